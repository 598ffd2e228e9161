"""What is answered, request by request."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from layouts.explorer.schema.jacobians import Arrangement, Array, Entries, EntryText, Jacobian
from layouts.explorer.schema.readings import Derivation, Graph, Rule
from layouts.explorer.schema.requests import Source, State
from layouts.explorer.schema.weights import Bracketings, Costs, Crossover, Measured
from layouts.explorer.schema.words import Caps, Formula


class ReadAnswer(TypedDict):
    """What there is to know of an expression before it has shapes."""

    text: str
    names: list[str]
    """The inputs in order of appearance."""
    shapes: dict[str, list[int]]
    """A shape for each: the one given, or a proposal that fits; {} where none was found."""
    proposed: list[str]
    """The names whose shapes are proposals."""


class Row(TypedDict):
    """A row of the gallery, or one of the user's functions."""

    source: Source
    title: str
    question: str
    """One line: what to look for."""
    expression: str
    """The text; for a user's function what it was named by."""
    shapes: dict[str, list[int]]
    wrt: str


class GalleryAnswer(TypedDict):
    """All that can be chosen from."""

    rows: list[Row]
    functions: list[Row]
    """The user's own."""
    textbooks: list[dict[str, Any]]
    """`{name, source, vec, shapes}` as `layouts textbooks --json` has it."""
    symbols: str
    """What the symbols in their shapes mean."""
    names: dict[str, dict[str, Any]]
    """What an expression may call: name -> {operands, keywords}."""
    caps: Caps
    jax: str
    """JAX's version."""


class ViewAnswer(TypedDict):
    """All that the page shows of one function at one place."""

    state: State
    """The state with nothing left out, for the URL."""
    title: str
    question: str
    """Of a row of the gallery; "" otherwise."""
    function: Formula
    """`D = relu(W X + b)`."""
    dtype: str
    """Of all numbers, "float64"."""
    jax: str
    caps: Caps
    inputs: list[Array]
    wrt: str
    differentiable: list[str]
    """The inputs that can be differentiated by."""
    output: Array
    arrays: list[Array]
    """Inputs, intermediates, the output: all that an `Origin` or a `Vertex` names."""
    jacobian: Jacobian
    entries: Entries
    arrangements: list[Arrangement]
    """The six of layouts and vec orders, then the textbooks."""
    arrangement: str
    """The id of the one that the state asks for."""
    derivation: Derivation
    vjp: Rule
    graph: Graph
    costs: Costs
    code: str
    """A program that computes `J`; `Arrangement.code` goes behind it."""
    latex: str
    """The derivation for a paper: an align* environment."""
    notes: list[str]
    """What else to know, such as what was left out and why."""


class CheckAnswer(TypedDict):
    """The doctor's verdict."""

    ok: bool
    verdict: Literal["correct", "mistake", "unexplained"]
    certain: bool
    """Whether the mistakes are stated as certain."""
    summary: str
    """The verdict in one line."""
    findings: list[dict[str, Any]]
    """As `Diagnosis.as_json` has them, each besides with `wrong_formula` and `right_formula`: a
    `Formula` or None."""
    notes: list[str]
    tried: int
    inputs: int
    text: str
    """The report as text."""
    html: str
    """The report as a fragment of HTML without script; its style is a `<style>` element, which a
    policy without 'unsafe-inline' ignores."""
    formula: Formula | None
    """The formula as it was read."""


class ChainAnswer(Bracketings):
    """`chain`."""

    cheaper: Literal["forward", "reverse", "equal"]
    crossovers: list[Crossover]
    """For each place in `sizes`."""


class MeasureAnswer(TypedDict):
    """`measure`: jitted, warm, interleaved."""

    ways: list[Measured]
    """forward, reverse, planned, and JAX's jacfwd and jacrev."""
    repetitions: int
    inner: int
    """Calls in each repetition."""
    jax: str
    device: str
    dtype: str
    note: str


class EntryAnswer(EntryText):
    """`entry`."""
