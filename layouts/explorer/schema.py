"""What the page asks and what it is answered: the one description of both.

Every request is a JSON object and so is every answer. Indices count from 0. Arrays are flat lists
in row-major order (the last index fastest) beside their `shape`; a number that JSON does not have
is one of the strings "NaN", "Infinity" and "-Infinity". Formulas come as `Formula`.

The requests, by name, each with what it is sent and what it answers:

    read     ReadRequest     ReadAnswer      an expression while it is typed
    gallery  {}              GalleryAnswer   what can be chosen from
    view     State           ViewAnswer      all that there is to see
    verify   State           Derivation      the derivation, its steps held against numbers
    check    CheckRequest    CheckAnswer     the doctor
    chain    ChainRequest    ChainAnswer     a chain of any sizes
    measure  State           MeasureAnswer   measured times
    entry    EntryRequest    EntryAnswer     one entry of the Jacobian

A user's mistake in any of them is a `LayoutError`; its four parts make up a `Mistake`.

One Jacobian is one labelled array, `∂D[i,j]/∂W[k,l]`. Its **axes are numbered** in JAX's order, the
output's first: here i is axis 0, j axis 1, k axis 2, l axis 3. Every layout is an order of these
numbers, so that the page turns from one to another without asking:

    row of an entry    = its indices along `rows`, the first axis the slowest
    column of an entry = its indices along `columns`, the first axis the slowest

    row = 0
    for axis in arrangement.rows: row = row * cells.shape[axis] + index[axis]
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Number = float | int | Literal["NaN", "Infinity", "-Infinity"]
"""A number as JSON has it."""

LayoutName = Literal["numerator", "denominator", "mixed"]
VecName = Literal["rows", "columns"]


class Formula(TypedDict):
    """A formula in each notation."""

    text: str
    """Unicode on one line: `∂L/∂W = ∂L/∂D Xᵀ`."""
    mathml: str
    """One `<math>` element, safe to insert: names are escaped, and there is no script."""
    latex: str
    """For amsmath, without dollars."""


class Mistake(TypedDict):
    """What is wrong with a request, for people."""

    what: str
    """The object: `W @ X at column 6`."""
    expected: str
    received: str
    remedy: str
    text: str
    """All of it in one sentence."""


# What is asked.


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


# What is answered.


class Caps(TypedDict):
    """The limits, in every `gallery` and `view` answer. Sizes count entries of arrays."""

    text: int
    """Characters of an expression or a formula, before it is parsed."""
    nodes: int
    depth: int
    exponent: int
    inputs: int
    """Entries of one input."""
    intermediate: int
    """Entries of any array that the function makes."""
    jacobian: int
    """Entries of a Jacobian whose values are computed; of a larger one the structure is shown."""
    multiplications: int
    """Of the planned accumulation."""
    bytes: int
    """Of its peak memory."""
    cells: int
    """Entries shown one by one: a Jacobian of more is reduced."""
    side: int
    """Cells along a side of a reduced Jacobian."""
    shown_values: int
    """Entries of an input or output whose values are in the answer."""
    seed: int
    """The largest seed; the smallest is 0."""
    chain: int
    """Factors of a chain."""
    size: int
    """The largest size in a chain."""


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


class Array(TypedDict):
    """An input, the output, or an intermediate."""

    name: str
    shape: list[int]
    size: int
    values: list[Number] | None
    """Flat; None where there are more than `caps.shown_values`, or where they are complex."""
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


class Step(TypedDict):
    """A step of the derivation."""

    kind: str
    title: str
    """The heading that it stands under; equal ones follow each other."""
    formula: Formula
    reason: str
    shape: list[int]
    check: Number | None
    """The largest relative difference from the true value, at random inputs; None where it was
    not checked, as in a `view` that did not ask for `checks`."""
    layout: LayoutName | None
    continued: bool
    """Whether its left side is that of the step before, and need not be said again."""


class Derivation(TypedDict):
    """How the derivative is found by hand."""

    steps: list[Step]
    definitions: list[Formula]
    notes: list[str]
    checked: str
    """One sentence on the check in numbers; "" where there was none."""
    ok: bool
    """Whether all steps that were checked hold."""


class Rule(TypedDict):
    """The VJP rule, and its mirror image."""

    vjp: Formula
    """With matrices where there is such a form, else with indices."""
    vjp_indices: Formula
    jvp: Formula | None
    matrix: bool
    """Whether `vjp` is with matrices."""
    numpy: str | None
    """The rule in the signs of NumPy, `dD @ X.T`, of the inputs and the cotangent alone: what the
    doctor's box can be filled with. None where there is no such form."""
    cotangent: str
    """How it calls the cotangent: `dD`."""


class Vertex(TypedDict):
    """A vertex of the graph: an array of `ViewAnswer.arrays`."""

    id: str
    """`v:z1`. The same in the forward and the backward picture."""
    name: str
    role: Literal["input", "intermediate", "output"]
    layer: int
    """How many steps it is from the inputs: where to draw it, left to right (backward: right to
    left)."""
    on_path: bool
    """Whether it depends on the input differentiated by and leads to the output."""
    uses: int
    """By how many edges it is used; a vertex used more than once is a branch forward."""
    branch: bool
    """Used more than once: forward its value is copied, backward its gradients are summed."""
    value: Formula | None
    """Forward: what it is."""
    gradient: Formula | None
    """Backward: its cotangent as the sum over the edges that leave it, `∂L/∂z = ... + ...`;
    None off the path."""


class Edge(TypedDict):
    """An edge from a vertex to one that is made of it; the same id in both directions."""

    id: str
    """`e:W1→z1`."""
    tail: str
    """The id of the vertex used."""
    head: str
    """The id of the vertex made."""
    on_path: bool
    uses: int
    """How often the one uses the other within this edge: 2 in `M @ M`."""
    local: Formula | None
    """The local Jacobian with indices, `∂z1[u]/∂W1[k,l] = δ[u,k] x[l]`."""
    forward: Formula | None
    """What a tangent does along it, `ż1 ← ...`; None where it has no form."""
    backward: Formula | None
    """What it adds to the gradient of its tail."""


class Graph(TypedDict):
    """The program as people see it: a few named vertices. Both directions are the same graph."""

    vertices: list[Vertex]
    """Inputs first, the output last."""
    edges: list[Edge]
    note: str


class Tree(TypedDict):
    """One way to multiply a chain, a binary tree. Products are written output first."""

    name: str
    """`J3 J2 J1`; of a leaf `J2`."""
    rows: int
    columns: int
    inner: int | None
    """The size summed over; None in a leaf."""
    multiplications: int
    """Of this product alone; 0 in a leaf."""
    total: int
    """Of all the tree."""
    text: str
    """With brackets: `J3 (J2 J1)`."""
    left: Tree | None
    """The part nearest the output."""
    right: Tree | None


class Bracketings(TypedDict):
    """A chain of Jacobians in three orders."""

    sizes: list[int]
    """n0, ..., np from the input to the output; Jk is n_k × n_{k-1}."""
    names: list[str]
    """What the factors are, J1 first: `∂z1/∂x`; a step without a name of its own is u1, u2, ...
    `J1` and so on for a chain of sizes alone."""
    forward: Tree
    reverse: Tree
    optimal: Tree
    convention: str
    """What counts as one multiplication."""


class Crossover(TypedDict):
    """Forward and reverse as one size of a chain varies."""

    which: int
    """The place of the size in `sizes`: 0 the input's, -1 the output's."""
    values: list[int]
    """The sizes tried."""
    forward: list[int]
    reverse: list[int]
    optimal: list[int]
    """Multiplications at each."""
    crossing: float | None
    """Where forward and reverse cost the same; None where they never do."""


class ChainAnswer(Bracketings):
    """`chain`."""

    cheaper: Literal["forward", "reverse", "equal"]
    crossovers: list[Crossover]
    """For each place in `sizes`."""


class Cost(TypedDict):
    """One way to the Jacobian."""

    name: str
    """forward, reverse, planned, jacfwd, jacrev."""
    title: str
    multiplications: int
    additions: int
    peak_bytes: int


class Costs(TypedDict):
    """What it costs; nothing is measured here."""

    ways: list[Cost]
    """Those that exist, in the order above. The first three keep the structure; jacfwd and jacrev
    are JAX's own programs, zeros and all."""
    plan: str
    """The planned order's name, as in `layouts.Plan.name`."""
    tree: str
    """Which Jacobians the plan multiplies, as text."""
    bracketings: Bracketings | None
    """Where the program is a chain: the same chain of dense matrices, the question in its pure
    form. None where it is none."""
    bracketings_note: str
    convention: str
    opaque: list[str]
    """Primitives without structure."""
    stored_bytes: int
    dense_bytes: int


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


class Measured(TypedDict):
    """One way, as measured."""

    name: str
    title: str
    milliseconds: float
    """The median."""
    ratio: float
    """Against the fastest."""


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
