"""Layouts: how the labelled axes of a Jacobian are written down, and read back.

The array ``dD[i,j]/dX[k,l]`` with its output axes before its input axes is the whole truth: it is
what JAX returns. A convention is a table of forms (see `layouts.conventions.cells`) and a vec
order. Nothing is computed anew: `arrange` and `read` are exact inverses, and every conversion goes
through the labelled array.
"""

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import numpy as np

from layouts.conventions.cells import LAYOUT_CELLS, Cells, Form, Layout
from layouts.errors import LayoutError

Array = Any  # NumPy's, JAX's or a tracer: only .shape, .reshape, .transpose and .T are used
Shape = tuple[int, ...]
Vec = Literal["rows", "columns"]


@dataclass(frozen=True, repr=False)
class Convention:
    """A layout and a vec order; for a textbook or a tool, its own table besides.

    Args:
        layout: a `Layout` or its name. Beside a source's own table: the layout of its y by x.
        vec: how a matrix is stacked into one index: "rows" (last index fastest, as in NumPy and
            JAX) or "columns" (first index fastest, the vec of the books).
        cells: the table to follow where it is not the layout's. With it, ``layout`` and ``vec`` may
            be None: not verified.
        source: whose table this is, for people.
        name: its key in `layouts.TEXTBOOKS`.

    Raises:
        LayoutError: an unknown layout or vec order.

    Example:
        >>> Convention(layout="denominator").shape((2,), (3,))
        (3, 2)
        >>> print(Convention(vec="columns"))
        numerator layout, vec by columns
    """

    layout: Layout | str | None = Layout.NUMERATOR
    vec: Vec | None = "rows"
    cells: Cells | None = field(default=None, kw_only=True)
    source: str = field(default="", kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        has_table = self.cells is not None
        if not (has_table and self.layout is None):
            object.__setattr__(self, "layout", Layout(cast(str, self.layout)))
        if self.vec not in ("rows", "columns") and not (has_table and self.vec is None):
            remedy = "say how a matrix is stacked: vec='rows' or vec='columns'"
            raise LayoutError("vec order", "'rows' or 'columns'", repr(self.vec), remedy)

    def form(self, out_shape: Iterable[int], in_shape: Iterable[int]) -> Form:
        """In which of the four forms a derivative of these shapes is written.

        Raises:
            LayoutError: the source fixes no shape for this case, or none that was verified.

        Example:
            >>> Convention("mixed").form((), (2, 3))
            <Form.ARRAY: 'out shape + in shape'>
        """
        table = self.cells or LAYOUT_CELLS[cast(Layout, self.layout)]
        out, into = _shapes(out_shape, in_shape)
        try:
            return table.form(len(out), len(into))
        except LayoutError as error:
            what = f"{self}, {error.what}"
            raise LayoutError(what, error.expected, error.received, error.remedy) from None

    def shape(self, out_shape: Iterable[int], in_shape: Iterable[int]) -> Shape:
        """The shape in which a derivative is written; `layouts.conventions.cells` has the table.

        Args:
            out_shape: shape of the output, with any number of axes.
            in_shape: shape of the input, with any number of axes.

        Returns:
            The shape of the array that `arrange` gives.

        Raises:
            LayoutError: the source fixes no shape for this case, or none that was verified.

        Example:
            >>> Convention("numerator").shape((), (2, 3))  # s by X
            (3, 2)
            >>> Convention("mixed").shape((5, 7), (2, 3))  # Y by X
            (35, 6)
        """
        out, into = _shapes(out_shape, in_shape)
        form = self.form(out, into)
        if form in (Form.ARRAY, Form.ARRAY_TRANSPOSED):
            return out + into if form is Form.ARRAY else (out + into)[::-1]
        sides = math.prod(out), math.prod(into)
        return sides if form is Form.MATRIX else sides[::-1]

    def __str__(self) -> str:
        """The source, or the layout in words."""
        return self.source or f"{self.layout} layout, vec by {self.vec}"

    def __repr__(self) -> str:
        """The expression that gives this convention."""
        if self.name:
            return f"TEXTBOOKS[{self.name!r}]"
        layout = None if self.layout is None else str(self.layout)
        table = "" if self.cells is None else f", cells={self.cells!r}"
        return f"Convention(layout={layout!r}, vec={self.vec!r}{table})"


class HasDense(Protocol):
    """What `arrange` needs of a Jacobian: its two shapes, and its array in JAX's order."""

    @property
    def out_shape(self) -> Shape:
        """Shape of the output."""

    @property
    def in_shape(self) -> Shape:
        """Shape of the input."""

    def dense(self) -> Array:
        """The array of shape out_shape + in_shape."""


def arrange(J: HasDense, convention: Convention | Layout | str) -> Array:
    """Write a Jacobian down in a convention. Its labelled axes are reordered, no more.

    Args:
        J: a `layouts.Jacobian`.
        convention: a `Convention`, an entry of `TEXTBOOKS`, or a layout (then vec is by rows).

    Returns:
        The array of shape ``convention.shape(J.out_shape, J.in_shape)``.

    Raises:
        LayoutError: J is not one Jacobian, or the convention has no verified shape for its case.

    Example:
        >>> from types import SimpleNamespace as Jacobian  # stands for the one of layouts.jacobian
        >>> J = Jacobian(out_shape=(2,), in_shape=(3,), dense=lambda: np.arange(6).reshape(2, 3))
        >>> arrange(J, Convention(layout="denominator"))
        array([[0, 3],
               [1, 4],
               [2, 5]])
    """
    if not all(hasattr(J, part) for part in ("dense", "out_shape", "in_shape")):
        remedy = (
            "take one leaf of layouts.jacobian(f, structured=True)(...); for an array in JAX's "
            "order call layouts.convert with layouts.TEXTBOOKS['jax'] as its source"
        )
        raise LayoutError("object to arrange", "one layouts.Jacobian", type(J).__name__, remedy)
    return arrange_array(J.dense(), convention, J.out_shape, J.in_shape)


def arrange_array(
    dense: Array,
    convention: Convention | Layout | str,
    out_shape: Iterable[int],
    in_shape: Iterable[int],
) -> Array:
    """`arrange` for the plain array of shape out_shape + in_shape, as jax.jacrev gives it.

    Raises:
        LayoutError: the array has another shape, or the convention none for this case.

    Example:
        >>> arrange_array(np.arange(6).reshape(2, 3), "numerator", (), (2, 3)).shape
        (3, 2)
    """
    convention, dense = _convention(convention), _array(dense)
    out, into = _shapes(out_shape, in_shape)
    _check_dense(dense, out, into)
    form = convention.form(out, into)
    if form in (Form.ARRAY, Form.ARRAY_TRANSPOSED):
        return dense if form is Form.ARRAY else dense.T
    matrix = _stack(dense, convention, out, into)
    return matrix if form is Form.MATRIX else matrix.T


def read(
    array: Array,
    convention: Convention | Layout | str,
    out_shape: Iterable[int],
    in_shape: Iterable[int],
) -> Array:
    """Read an array that is written in a convention; the inverse of `arrange`.

    Args:
        array: of shape ``convention.shape(out_shape, in_shape)``.
        convention: a `Convention`, an entry of `TEXTBOOKS`, or a layout (then vec is by rows).
        out_shape: shape of the output.
        in_shape: shape of the input.

    Returns:
        The array of shape out_shape + in_shape, as jax.jacrev gives it.

    Raises:
        LayoutError: the array has another shape, or the convention none for this case.

    Example:
        >>> read(np.ones((3, 2)), "denominator", (2,), (3,)).shape
        (2, 3)
        >>> read(np.ones((2, 3)), "denominator", (2,), (3,))
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: array in denominator layout, vec by rows: expected shape \
(3, 2) for output (2,) by input (3,), got (2, 3); that is its shape in numerator layout, vec by \
rows: read it with Convention(layout='numerator', vec='rows')
    """
    convention, array = _convention(convention), _array(array)
    out, into = _shapes(out_shape, in_shape)
    expected, received = convention.shape(out, into), tuple(array.shape)
    if received != expected:
        expectation = f"shape {expected} for output {out} by input {into}"
        remedy = _reading_that_fits(received, convention, out, into)
        raise LayoutError(f"array in {convention}", expectation, f"{received}", remedy)
    form = convention.form(out, into)
    if form in (Form.ARRAY, Form.ARRAY_TRANSPOSED):
        return array if form is Form.ARRAY else array.T
    matrix = array if form is Form.MATRIX else array.T
    if _by_columns(convention, out, into):
        return matrix.reshape(out[::-1] + into[::-1]).transpose(_each_side_reversed(out, into))
    return matrix.reshape(out + into)


def convert(
    array: Array,
    source: Convention | Layout | str,
    target: Convention | Layout | str,
    out_shape: Iterable[int],
    in_shape: Iterable[int],
) -> Array:
    """Rewrite an array from one convention in another.

    Args:
        array: of shape ``source.shape(out_shape, in_shape)``.
        source: the convention that the array is in.
        target: the convention wanted.
        out_shape: shape of the output.
        in_shape: shape of the input.

    Returns:
        The same derivative, of shape ``target.shape(out_shape, in_shape)``.

    Raises:
        LayoutError: the array has another shape, or a convention none for this case.

    Example:
        >>> convert(np.array([[1, 2, 3]]), "numerator", "denominator", (), (3,))
        array([[1],
               [2],
               [3]])
    """
    out, into = _shapes(out_shape, in_shape)
    return arrange_array(read(array, source, out, into), target, out, into)


def _convention(value: Convention | Layout | str) -> Convention:
    if isinstance(value, Convention):
        return value
    if isinstance(value, str) and value in set(Layout):
        return Convention(layout=value)
    expected = f"a layouts.Convention or one of {', '.join(repr(str(name)) for name in Layout)}"
    remedy = "pass layouts.Convention(layout=..., vec=...) or layouts.TEXTBOOKS[name]"
    raise LayoutError("convention", expected, repr(value), remedy)


def _array(value: Array) -> Array:
    # JAX's arrays and tracers must stay what they are; lists and numbers become NumPy's.
    return value if hasattr(value, "reshape") and hasattr(value, "shape") else np.asarray(value)


def _shapes(out_shape: Iterable[int], in_shape: Iterable[int]) -> tuple[Shape, Shape]:
    return _shape("out_shape", out_shape), _shape("in_shape", in_shape)


def _shape(what: str, value: Iterable[int]) -> Shape:
    try:
        shape = tuple(operator.index(size) for size in value)
    except TypeError:
        shape = (-1,)
    if any(size < 0 for size in shape):
        remedy = "write () for a scalar, (n,) for a vector, (m, n) for a matrix"
        raise LayoutError(what, "a tuple of sizes", repr(value), remedy)
    return shape


def _check_dense(dense: Array, out: Shape, into: Shape) -> None:
    if tuple(dense.shape) != out + into:
        remedy = "give the array with its output axes first, then its input axes"
        raise LayoutError("dense Jacobian", f"shape {out + into}", f"{tuple(dense.shape)}", remedy)


def _stack(dense: Array, convention: Convention, out: Shape, into: Shape) -> Array:
    if _by_columns(convention, out, into):
        dense = dense.transpose(_each_side_reversed(out, into))
    return dense.reshape(math.prod(out), math.prod(into))


def _by_columns(convention: Convention, out: Shape, into: Shape) -> bool:
    if convention.vec is None and max(len(out), len(into)) > 1:
        remedy = "name it yourself: Convention(layout=..., vec='rows') or vec='columns'"
        received = "one that is not verified at the source"
        raise LayoutError(f"{convention}, vec order", "'rows' or 'columns'", received, remedy)
    return convention.vec == "columns"


def _each_side_reversed(out: Shape, into: Shape) -> list[int]:
    # Stacked by rows, the reversed axes are the axes stacked by columns; its own inverse.
    split, end = len(out), len(out) + len(into)
    return [*reversed(range(split)), *reversed(range(split, end))]


def _reading_that_fits(received: Shape, tried: Convention, out: Shape, into: Shape) -> str:
    for layout in Layout:
        other = Convention(layout=layout, vec=tried.vec or "rows")
        if other.shape(out, into) == received:
            return f"that is its shape in {other}: read it with {other!r}"
    if received == out + into:
        return "that is JAX's order, output axes first: read it with layouts.TEXTBOOKS['jax']"
    return "check out_shape and in_shape: this derivative has such a shape in no layout"
