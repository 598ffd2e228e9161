"""One Jacobian in every convention: which axes become rows and columns, and how it is written.

Nothing is computed: a convention is an order of axes, and its formula the same terms in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any, cast

import numpy as np

from layouts.conventions import TEXTBOOKS, Convention, Layout
from layouts.conventions.cells import Form
from layouts.conventions.convention import arrange_array
from layouts.errors import LayoutError
from layouts.explorer import schema
from layouts.explorer.entries import indices_of, summands_of
from layouts.explorer.subject import Subject
from layouts.explorer.writing import written
from layouts.formulas.kronecker import kronecker_form
from layouts.formulas.matrices import matrix_form
from layouts.formulas.plain import product
from layouts.formulas.tree import (
    Call,
    Derivative,
    Equation,
    Formula,
    Letter,
    Name,
    Number,
    Sum,
    Transpose,
)
from layouts.show.text import text

# With more paths from the output to the input the chain is not written.
MOST_PATHS = 6

CHAIN_NOTES = {
    Layout.NUMERATOR: "Numerator layout: the output's side stands on the left, and the product "
    "follows the composition.",
    Layout.DENOMINATOR: "Denominator layout has the transposes, and the transpose of a product "
    "reverses it: the input's side stands on the left.",
    Layout.MIXED: "Mixed layout writes Jacobians like numerator layout and gradients like their "
    "variable, so that a transpose stands between them.",
}


def arrangements(subject: Subject, cells: Sequence[int]) -> list[schema.Arrangement]:
    """The Jacobian in the three layouts, both vec orders, and every textbook.

    Args:
        subject: what is differentiated.
        cells: the number of cells along each of its axes.
    """
    writer = _Writer(subject)
    found = []
    for layout in Layout:
        for vec in ("rows", "columns"):
            convention = Convention(layout, cast(Any, vec))
            found.append(_arranged(convention, f"{layout}/{vec}", writer, cells))
    for name, convention in TEXTBOOKS.items():
        found.append(_arranged(convention, f"textbook/{name}", writer, cells))
    return found


def chosen(convention: Convention) -> str:
    """The id of a convention's arrangement."""
    if convention.name:
        return f"textbook/{convention.name}"
    return f"{convention.layout}/{convention.vec}"


def sides(form: Form, vec: str, out: int, into: int) -> tuple[list[int], list[int]]:
    """The numbers of the axes along the rows and the columns of the picture, the slowest first.

    Args:
        form: how the array is written.
        vec: how axes are stacked, "rows" or "columns".
        out: how many axes the output has.
        into: how many the input has.

    Example:
        >>> sides(Form.MATRIX, "columns", 2, 2)
        ([1, 0], [3, 2])
        >>> sides(Form.ARRAY_TRANSPOSED, "rows", 0, 2)  # a scalar by a matrix, q×p
        ([1], [0])
    """
    axes = list(range(out + into))
    first, second = axes[:out], axes[out:]
    if form in (Form.ARRAY, Form.ARRAY_TRANSPOSED):
        order = axes if form is Form.ARRAY else axes[::-1]
        if len(axes) > 2:  # no matrix: drawn with the output along the rows
            split = out if form is Form.ARRAY else into
            return order[:split], order[split:]
        return order[:1], order[1:]
    if vec == "columns":
        first, second = first[::-1], second[::-1]
    return (first, second) if form is Form.MATRIX else (second, first)


def _arranged(
    convention: Convention, name: str, writer: _Writer, cells: Sequence[int]
) -> schema.Arrangement:
    out, into = writer.subject.out_shape, writer.subject.in_shape
    layout = None if convention.layout is None else Layout(convention.layout)
    textbook = convention.name or None
    found: dict[str, Any] = {
        "id": name,
        "kind": "textbook" if textbook else "layout",
        "title": str(convention),
        "layout": None if layout is None else str(layout),
        "vec": convention.vec,
        "textbook": textbook,
        "defined": False,
        "note": "",
        **_nothing(),
    }
    note = _undefined(convention, len(out), len(into))
    if note:
        return cast(schema.Arrangement, {**found, "note": note})
    form, vec = convention.form(out, into), convention.vec or "rows"
    rows, columns = sides(form, vec, len(out), len(into))
    stacked = form in (Form.MATRIX, Form.MATRIX_TRANSPOSED)
    equation = writer.equation(form, vec)
    own = text(equation.sides[-1]) if equation and stacked and writer.matrices else None
    upright = form in (Form.ARRAY, Form.MATRIX_TRANSPOSED)
    if layout is Layout.NUMERATOR and upright and into and not out:
        layout = Layout.MIXED  # the source writes a gradient like its variable
    return cast(
        schema.Arrangement,
        {
            **found,
            "defined": True,
            "form": form.value,
            "stacked": stacked,
            "shape": list(convention.shape(out, into)),
            "rows": rows,
            "columns": columns,
            "picture": [prod(cells[n] for n in side) for side in (rows, columns)],
            "kronecker": own,
            "formula": None if equation is None else written(equation),
            "chain": writer.chain(layout),
            "chain_note": "" if layout is None else CHAIN_NOTES[layout],
            "code": f"matrix = layouts.arrange(J, {_expression(convention)})",
        },
    )


def _undefined(convention: Convention, out: int, into: int) -> str:
    """Why a convention says nothing of arrays of these ranks; empty where it does."""
    ones = ((1,) * out, (1,) * into)  # the ranks decide, so that the smallest array tells
    try:
        arrange_array(np.zeros(ones[0] + ones[1]), convention, *ones)
    except LayoutError as error:
        return f"{error.what}: {error.received}"
    return ""


def _nothing() -> dict[str, Any]:
    """What a convention without a shape for this case has."""
    return {
        "form": "",
        "stacked": False,
        "shape": [],
        "rows": [],
        "columns": [],
        "picture": [],
        "kronecker": None,
        "formula": None,
        "chain": None,
        "chain_note": "",
        "code": "",
    }


def _expression(convention: Convention) -> str:
    if convention.name:
        return f'layouts.TEXTBOOKS["{convention.name}"]'
    return f'layouts.Convention("{convention.layout}", vec="{convention.vec}")'


class _Writer:
    """Writes one Jacobian in every way, each once."""

    def __init__(self, subject: Subject):
        self.subject = subject
        self.known: dict[tuple[Form, str], Equation | None] = {}
        self.chains: dict[Layout, schema.Formula | None] = {}

    @property
    def matrices(self) -> bool:
        """Whether a side has more than one axis, which are stacked."""
        return max(len(self.subject.out_shape), len(self.subject.in_shape)) > 1

    def equation(self, form: Form, vec: str) -> Equation | None:
        """The Jacobian as one form writes it; None where it has no formula with matrices."""
        if (form, vec) not in self.known:
            self.known[form, vec] = self._equation(form, vec)
        return self.known[form, vec]

    def _equation(self, form: Form, vec: str) -> Equation | None:
        subject, given = self.subject, self.subject.equation
        if given is None:
            return None
        indices = [n if isinstance(n, Letter) else None for n in indices_of(given)]
        out, into = indices[: len(subject.out_shape)], indices[len(subject.out_shape) :]
        terms = summands_of(given)
        stacked = form in (Form.MATRIX, Form.MATRIX_TRANSPOSED)
        found: Formula | None
        if not terms:
            found = Number(0)
        elif not stacked:
            if len(indices) > 2:
                return given
            order = indices if form is Form.ARRAY else indices[::-1]
            found = matrix_form(terms, order, subject.shape_of)
        elif not self.matrices:
            pair = [*(out or [None]), *(into or [None])]
            order = pair if form is Form.MATRIX else pair[::-1]
            found = matrix_form(terms, order, subject.shape_of)
        else:
            ends = (out, into) if form is Form.MATRIX else (into, out)
            found = kronecker_form(terms, *ends, vec, subject.shape_of)
        if found is None:
            return None
        names = [(subject.out_name, out), (subject.wrt, into)]
        heads = [_stacked(name, vec if stacked and len(n) > 1 else "") for name, n in names]
        return Equation((Derivative(*heads), found))

    def chain(self, layout: Layout | None) -> schema.Formula | None:
        """The chain rule in a layout's order."""
        if layout is None:
            return None
        if layout not in self.chains:
            self.chains[layout] = self._chain(layout)
        return self.chains[layout]

    def _chain(self, layout: Layout) -> schema.Formula | None:
        subject = self.subject
        paths = subject.program.paths(subject.wrt, MOST_PATHS)
        if not paths:
            return None
        loss = subject.program.loss
        # Of a scalar output, ∂L/∂z would mean two things: by z alone, and along every path.
        if not subject.out_shape and any(path[1] in other[2:] for path in paths for other in paths):
            return None
        found = []
        for path in paths:
            names = [loss, *path] if subject.out_shape else list(path)
            factors = [Derivative(Name(of), Name(by)) for of, by in pairwise(names)]
            found.append(_multiplied(factors, layout))
        whole = found[0] if len(found) == 1 else Sum((1,) * len(found), tuple(found))
        head = Derivative(Name(loss), Name(subject.wrt))
        return None if whole == head else written(Equation((head, whole)))


def _multiplied(factors: Sequence[Formula], layout: Layout) -> Formula:
    """A gradient and the Jacobians that follow it, as a layout multiplies them."""
    if layout is Layout.MIXED and len(factors) > 1:
        return product([Transpose(product(factors[1:])), factors[0]])
    return product(factors[::-1] if layout is Layout.DENOMINATOR else factors)


def _stacked(name: str, vec: str) -> Formula:
    """`vec(W)` stacks columns, `vec(Wᵀ)` rows."""
    if not vec:
        return Name(name)
    return Call("vec", (Name(name) if vec == "columns" else Transpose(Name(name)),))
