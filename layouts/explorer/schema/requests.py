"""What is asked."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from layouts.explorer.schema.words import LayoutName, VecName


class Source(TypedDict, total=False):
    """Which function."""

    kind: Literal["expression", "gallery", "function"]
    text: str
    """For an expression: its text, such as `relu(W @ X + b)`."""
    name: str
    """For a row of the gallery its name; for a user's own function what it was named by on the
    command line, `module:function`."""


class State(TypedDict, total=False):
    """All that a view depends on; what the page keeps in its URL. Only `source` is a must.

    `view` answers with the same state, nothing left out.
    """

    source: Source
    shapes: dict[str, list[int]]
    """A shape for every input. May be left out for the gallery and for the user's functions, which
    have shapes of their own; those given replace theirs one by one."""
    values: dict[str, list[Any]]
    """Edited values of some inputs, nested lists or flat ones; the others are drawn."""
    seed: int
    """Of the inputs that are drawn: standard normal numbers, rounded to three decimals; labels of
    the gallery are not drawn."""
    wrt: str
    """The input to differentiate by; the row's own, or the first, unless told."""
    layout: LayoutName
    vec: VecName
    textbook: str | None
    """A key of `layouts.TEXTBOOKS`, which goes before layout and vec; None for these."""
    checks: bool
    """Whether the steps of the derivation are held against numbers in the `view` itself, which
    takes a second more; False unless told. The request `verify` does it later."""


class CheckRequest(State):
    """`check`: a state and a hand-written formula."""

    formula: str
    """Of the inputs and the cotangent, such as `dD @ X.T` or `∂L/∂D Xᵀ`."""


class EntryRequest(State):
    """`entry`: a state and one entry's indices, one for each axis in JAX's order."""

    index: list[int]


class ChainRequest(TypedDict):
    """`chain`: the sizes of a chain of Jacobians, from the input n0 to the output np."""

    sizes: list[int]


class ReadRequest(TypedDict, total=False):
    """`read`: an expression as it is typed, and the shapes known so far."""

    source: Source
    shapes: dict[str, list[int]]
