"""The Jacobian: its arrays, axes, cells and entries, and the conventions that it is written in."""

from __future__ import annotations

from typing import Literal, TypedDict

from layouts.explorer.schema.words import Formula, LayoutName, Number, VecName


class Array(TypedDict):
    """An input, the output, or an intermediate."""

    name: str
    shape: list[int]
    size: int
    values: list[Number] | None
    """Flat; None where there are more than `caps.shown_values`, too many in all arrays together,
    or where they are complex."""
    edited: bool
    """Whether the values of an input came with the request."""
    role: Literal["input", "intermediate", "output"]
    formula: Formula | None
    """What it is, such as `z1 = W1 x + b1`; None for an input."""


class Axis(TypedDict):
    """One axis of the Jacobian."""

    number: int
    """Its number, which is its place in this list and in every index."""
    side: Literal["out", "in"]
    of: str
    """The array whose axis it is."""
    place: int
    """Which of that array's axes it is."""
    letter: str
    """How formulas call its index, `i`; "" for an axis of size one, which is written 0."""
    size: int
    edges: list[int]
    """The first index of each cell along it, and the size last. [0, 1, 2, ..., size] unless the
    Jacobian is reduced."""


class Cells(TypedDict):
    """The entries of the Jacobian, or of a reduced one: the largest of each block.

    Both have the same axes in the same order, so that both are turned in the same way.
    """

    shape: list[int]
    """The number of cells along each axis, in JAX's order."""
    reduced: bool
    values: list[Number] | None
    """Flat, in the order of `shape`; a cell of several entries has the one of largest magnitude,
    NaN before infinity before all. None where the Jacobian is too large to compute."""
    structure: str
    """Which cells may hold anything but zero: a string of "0" and "1" in the same order, or
    "" where all may."""
    note: str
    """What was reduced or left out, in words, with the cap; "" for nothing."""


class Jacobian(TypedDict):
    """The Jacobian itself; the layouts are in `ViewAnswer.arrangements`."""

    formula: Formula
    """In index notation: `∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j]`."""
    definitions: list[Formula]
    """What names and functions in it stand for, such as `tanh′(z) = 1 - tanh(z)²`."""
    out_shape: list[int]
    in_shape: list[int]
    shape: list[int]
    """out_shape + in_shape, as JAX has it."""
    size: int
    axes: list[Axis]
    cells: Cells
    largest: float
    """The largest finite magnitude, for the colours."""
    nonzero: int | None
    """How many entries the structure lets be other than zero; None where that was not counted."""
    counts: dict[str, int]
    """How many entries are "NaN", "Infinity", "-Infinity", zero by "structure", zero by "value"."""
    stored_bytes: int | None
    """What the structured Jacobian stores; None where that is not known."""
    dense_bytes: int
    text: str
    """The sum of terms as the library stores it: `str(J)`, such as `δ[i,k] X[l,j]`."""


class Place(TypedDict):
    """An index as a formula of the letters: start + Σ factor·letter."""

    start: int
    letters: dict[str, int]
    text: str
    """As it is written: `i+2`."""


class Tie(TypedDict):
    """A delta: the term is zero unless both sides are equal."""

    left: Place
    right: Place
    text: str
    """`δ[i,k]`."""


class Origin(TypedDict):
    """An entry of an array that an entry of the Jacobian is made of, to light it up."""

    name: str
    """One of `ViewAnswer.arrays`."""
    index: list[Place | None]
    """Its index along each axis of that array; None for all along that axis."""


class TermTemplate(TypedDict):
    """One term of the sum."""

    sign: Literal["+", "-"]
    text: str
    """Without its sign, the letters in braces: `tanh′(z1)[{k}] x[{l}]`. A place that is more than
    a letter stands in braces as its text: `X[{i+2}]`; `places` says what that is."""
    places: dict[str, Place]
    """What stands in each pair of braces."""
    ties: list[Tie]
    origins: list[Origin]


class Template(TypedDict):
    """Every entry's formula at once.

    An index gives each letter its value. A term some of whose ties have unequal sides is zero, and
    drops out. The rest is the entry's formula:

        head with its braces filled in, " = ", the terms left with their braces filled in

    The first term's "+" is not written. Where no term is left, or `Cells.structure` has "0" for the
    entry, it is `= 0`, with the reason `zero by structure: 1 ≠ 0`: the two sides of the first
    unequal tie of each term that dropped out, each pair once, ", " between; `zero by structure`
    alone where no tie is unequal. (`layouts.explorer.entries.filled` does the same.)
    """

    head: str
    """`∂D[{i},{j}]/∂W[{k},{l}]`."""
    letters: dict[str, int]
    """Letter -> the number of its axis."""
    terms: list[TermTemplate]


class EntryText(TypedDict):
    """One entry of the Jacobian, in words."""

    index: list[int]
    formula: str
    """`∂D[1,2]/∂W[1,0] = X[0,2]`, or `... = 0`."""
    reason: str
    """Why it is zero by structure: `zero by structure: 1 ≠ 0`; "" otherwise."""
    value: Number
    origins: list[tuple[str, list[int | None]]]
    """The entries that it is made of: the array's name and the index, None for all along an
    axis."""


class Entries(TypedDict):
    """How the page knows an entry's formula."""

    template: Template | None
    """To be filled in by the page; None where the Jacobian has no formula but itself, and an
    entry its value alone."""
    request: bool
    """Whether `entry` is to be asked for an entry's value: of a reduced Jacobian `cells` has only
    the largest."""


class Arrangement(TypedDict):
    """The Jacobian in one convention: a layout with a vec order, or a textbook."""

    id: str
    """`numerator/rows` and the like, or `textbook/jax`."""
    kind: Literal["layout", "textbook"]
    title: str
    """For people: `numerator layout, vec by rows`, `JAX`."""
    layout: LayoutName | None
    vec: VecName | None
    textbook: str | None
    defined: bool
    """False where the source fixes no shape for this case, or none that was verified; then `note`
    says so, and all that follows is empty."""
    note: str
    form: str
    """Which of the four ways to write it: "vec(out) × vec(in)" and the like."""
    stacked: bool
    """Whether it is a matrix of stacked axes; False where the array itself is written, of any
    number of axes. Of three and more the picture has `rows` and `columns` all the same: draw
    lines or facets between their blocks."""
    shape: list[int]
    """The shape of what `layouts.arrange` gives."""
    rows: list[int]
    """The numbers of the axes along the picture's rows, the slowest first; [] for one row."""
    columns: list[int]
    picture: list[int]
    """Rows and columns of the picture, in cells; for a reduced Jacobian fewer than in `shape`."""
    kronecker: str | None
    """Such as `I₄ ⊗ Xᵀ`; None where there is no such form."""
    formula: Formula | None
    """The Jacobian as it is written here; None where there is no formula with matrices."""
    chain: Formula | None
    """The order of multiplication: `∂D/∂W = ∂D/∂z1 ∂z1/∂W`, in denominator layout the other way
    round. One step has no product, several paths are a sum. None in mixed layout, where one
    product of all does not exist, and for a textbook without a layout."""
    chain_note: str
    """What to say of the order, one sentence."""
    code: str
    """The lines that write `J` of `ViewAnswer.code` this way, to be put behind it."""
