"""A Jacobian in each layout: its shape there, and its matrix as Kronecker products."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from layouts.algebra import transpose
from layouts.axes import Label, labels_of
from layouts.conventions.cells import Form, Layout
from layouts.conventions.convention import Convention
from layouts.nodes import Leaf, Shape
from layouts.show.terms import coefficient_text, is_negative, kronecker_text
from layouts.terms import Factor, Term, Terms


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
    upright = _of_columns(terms, inputs)
    return tuple(_arranged(upright, out_shape, in_shape, layout) for layout in Layout)


def _arranged(terms: Terms, out: Shape, into: Shape, layout: Layout) -> Arrangement:
    """One layout's shape, and its Kronecker form where it is a matrix of stacked axes."""
    convention = Convention(layout)
    form = convention.form(out, into)
    side = {Form.MATRIX: Layout.NUMERATOR, Form.MATRIX_TRANSPOSED: Layout.DENOMINATOR}.get(form)
    forms = [_kronecker(terms, side, vec) if side else None for vec in ("rows", "columns")]
    return Arrangement(layout, convention.shape(out, into), *forms)


def _of_columns(terms: Terms, inputs: Mapping[str, Shape]) -> Terms:
    """Inputs that are rows by the name `cᵀ`, since a factor of one label is a column."""

    def renamed(factor: Factor) -> Factor:
        node = factor.node
        shape = inputs.get(node.name or "", ()) if isinstance(node, Leaf) else ()
        if not isinstance(node, Leaf) or len(shape) != 2 or shape[0] != 1 or not factor.labels:
            return factor
        return replace(factor, node=replace(node, name=f"{node.name}ᵀ"))

    return tuple(replace(term, factors=tuple(map(renamed, term.factors))) for term in terms)


def _turned(terms: Terms, layout: Layout, vec: str) -> Terms:
    """The terms with their axes in the order that a layout and a vec order stack them in."""
    if layout is Layout.DENOMINATOR:
        terms = transpose(terms)
    if vec == "columns":  # the first index runs fastest
        terms = tuple(replace(term, out=term.out[::-1], into=term.into[::-1]) for term in terms)
    return terms


def _kronecker(terms: Terms, layout: Layout, vec: str) -> str | None:
    """The matrix as Kronecker products, its rows and columns scaled: `diag(vec(A)) (I₄ ⊗ Xᵀ)`.

    `vec( )` in the text stacks as `vec` says.
    """
    whole = kronecker_text(_turned(terms, layout, vec))
    if whole is not None:
        return whole.replace("ᵀᵀ", "")
    text = ""
    for place, term in enumerate(terms):
        product = _scaled_term(term, layout, vec)
        if product is None:
            return None
        sign = "-" if is_negative(term.coefficient) else "+"
        text += f" {sign} " if place else ("-" if sign == "-" else "")
        text += " ".join([*coefficient_text(term.coefficient), product])
    return text.replace("ᵀᵀ", "")


def _scaled_term(term: Term, layout: Layout, vec: str) -> str | None:
    """One term: factors that carry all axes of a side are diagonal matrices on that side."""
    sides: tuple[list[str], list[str]] = ([], [])
    rest = []
    for factor in term.factors:
        for labels, found in zip((term.out, term.into), sides, strict=True):
            name = _stacked_name(factor, labels_of(labels))
            if name is not None:
                found.append(f"diag(vec({name}))")
                break
        else:
            rest.append(factor)
    bare = replace(term, factors=tuple(rest), coefficient=1)
    inner = kronecker_text(_turned((bare,), layout, vec))
    if inner is None:
        return None
    left, right = sides if layout is Layout.NUMERATOR else sides[::-1]
    if term.out == term.into and not rest:  # the identity matrix
        return " ".join([*left, *right]) or inner
    return " ".join([*left, f"({inner})" if left or right else inner, *right])


def _stacked_name(factor: Factor, labels: tuple[Label, ...]) -> str | None:
    """`A` or `Aᵀ`, whichever has the labels in this order, where there are two or more."""
    name = getattr(factor.node, "name", None)
    if len(labels) < 2 or factor.labels not in (labels, labels[::-1]):
        return None
    if factor.labels == labels:
        return name
    return f"{name}ᵀ" if len(labels) == 2 else None
