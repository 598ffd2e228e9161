"""A Jacobian in each layout: its shape there, and its matrix as Kronecker products."""

from collections.abc import Mapping
from dataclasses import dataclass

from layouts.conventions.cells import Form, Layout
from layouts.conventions.convention import Convention
from layouts.formulas.of_terms import kronecker_of
from layouts.nodes import Shape
from layouts.show.text import text
from layouts.terms import Terms


@dataclass(frozen=True)
class Arrangement:
    """A Jacobian in one layout.

    Attributes:
        layout: the layout.
        shape: the shape that it is written in.
        by_rows: the Kronecker form, matrices stacked by rows; None where it has none.
        by_columns: the Kronecker form, matrices stacked by columns.
    """

    layout: Layout
    shape: Shape
    by_rows: str | None
    by_columns: str | None


def arrangements(
    terms: Terms, out_shape: Shape, in_shape: Shape, inputs: Mapping[str, Shape]
) -> tuple[Arrangement, ...]:
    """A Jacobian in each layout.

    Args:
        terms: the sum; its factors are leaves, those that are inputs by their names.
        out_shape: shape of the output.
        in_shape: shape of the input.
        inputs: the shapes of all inputs, axes of size one included.

    Returns:
        One arrangement a layout, in the order of `layouts.Layout`.
    """
    return tuple(_arranged(terms, out_shape, in_shape, layout, inputs) for layout in Layout)


def _arranged(
    terms: Terms, out: Shape, into: Shape, layout: Layout, inputs: Mapping[str, Shape]
) -> Arrangement:
    """One layout's shape, and its Kronecker form where it is a matrix of stacked axes."""
    convention = Convention(layout)
    form = convention.form(out, into)
    found: list[str | None] = []
    for vec in ("rows", "columns"):
        matrix = form in (Form.MATRIX, Form.MATRIX_TRANSPOSED)
        turned = form is Form.MATRIX_TRANSPOSED
        product = kronecker_of(terms, turned, vec, (), inputs) if matrix else None
        found.append(None if product is None else text(product))
    return Arrangement(layout, convention.shape(out, into), *found)
