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

from layouts.explorer.schema.answers import (
    ChainAnswer,
    CheckAnswer,
    EntryAnswer,
    GalleryAnswer,
    MeasureAnswer,
    ReadAnswer,
    Row,
    ViewAnswer,
)
from layouts.explorer.schema.jacobians import (
    Arrangement,
    Array,
    Axis,
    Cells,
    Entries,
    EntryText,
    Jacobian,
    Origin,
    Place,
    Template,
    TermTemplate,
    Tie,
)
from layouts.explorer.schema.readings import (
    Derivation,
    Edge,
    Graph,
    Rule,
    Step,
    Vertex,
)
from layouts.explorer.schema.requests import (
    ChainRequest,
    CheckRequest,
    EntryRequest,
    ReadRequest,
    Source,
    State,
)
from layouts.explorer.schema.weights import (
    Bracketings,
    Cost,
    Costs,
    Crossover,
    Measured,
    Tree,
)
from layouts.explorer.schema.words import (
    Caps,
    Formula,
    LayoutName,
    Mistake,
    Number,
    VecName,
)

__all__ = [
    "Arrangement",
    "Array",
    "Axis",
    "Bracketings",
    "Caps",
    "Cells",
    "ChainAnswer",
    "ChainRequest",
    "CheckAnswer",
    "CheckRequest",
    "Cost",
    "Costs",
    "Crossover",
    "Derivation",
    "Edge",
    "Entries",
    "EntryAnswer",
    "EntryRequest",
    "EntryText",
    "Formula",
    "GalleryAnswer",
    "Graph",
    "Jacobian",
    "LayoutName",
    "MeasureAnswer",
    "Measured",
    "Mistake",
    "Number",
    "Origin",
    "Place",
    "ReadAnswer",
    "ReadRequest",
    "Row",
    "Rule",
    "Source",
    "State",
    "Step",
    "Template",
    "TermTemplate",
    "Tie",
    "Tree",
    "VecName",
    "Vertex",
    "ViewAnswer",
]
