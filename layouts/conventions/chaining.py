"""The chain rule as a product of matrices, in the order that the layout asks for.

For z = f3(f2(f1(x))) numerator layout writes J = J3 J2 J1: the Jacobians in the order of the
composition. Denominator layout has the transposes, and (J3 J2 J1)ᵀ = J1ᵀ J2ᵀ J3ᵀ reverses them.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from layouts.conventions.cells import Layout
from layouts.errors import LayoutError

Matrix = Any  # NumPy's or JAX's, two axes


def chain(jacobians: Iterable[Any], layout: Layout | str = Layout.NUMERATOR) -> Matrix:
    """Multiply the Jacobians of a composition, listed from the output to the input.

    The list has one order in every layout, [J3, J2, J1]; ``layout`` says how each matrix in it is
    written, and so in which direction to multiply: left to right in numerator layout (J3 J2 J1),
    right to left in denominator layout, where the list holds the transposes (J1ᵀ J2ᵀ J3ᵀ).

    Args:
        jacobians: output's side first; matrices that are all in ``layout``, or `layouts.Jacobian`
            objects, which are written in it (stacked by rows).
        layout: numerator or denominator. In mixed layout gradients and Jacobians are written
            differently, so one product of all does not exist.

    Returns:
        The matrix of the whole composition, in ``layout``: outputs × inputs, or inputs × outputs.

    Raises:
        LayoutError: matrices that do not meet: listed in the wrong order, one in another layout,
            or of unrelated sizes. Square matrices of one size always meet, so there the order is
            yours to keep. Also for mixed layout, an empty list, or what is no matrix.

    Example:
        >>> J2, J1 = np.ones((2, 3)), np.ones((3, 5))
        >>> chain([J2, J1], layout="numerator").shape
        (2, 5)
        >>> chain([J2.T, J1.T], layout="denominator").shape
        (5, 2)
        >>> chain([J2, J1.T], layout="numerator")
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: chain of shapes (2, 3), (5, 3): expected matrices in \
numerator layout that meet, the output's side first, got a mix of layouts: number 2 in denominator \
layout; transpose number 2
    """
    layout = Layout(layout)
    if layout is Layout.MIXED:
        received = "'mixed', which writes gradients and Jacobians on different sides"
        remedy = "write every factor in one of the two, see layouts.convert"
        raise LayoutError("layout of a chain", "'numerator' or 'denominator'", received, remedy)
    items = list(jacobians)
    if not items:
        remedy = "pass [J3, J2, J1], the output's side first"
        raise LayoutError("chain", "at least one Jacobian", "an empty list", remedy)
    if all(_is_jacobian(item) for item in items):
        # Spaces tell more than sizes: (2, 3) and (6,) do not meet, though their matrices would.
        _check_meeting([(tuple(J.out_shape), tuple(J.in_shape)) for J in items], layout, True)
    matrices = [_matrix(item, layout, place) for place, item in enumerate(items, 1)]
    _check_meeting([tuple(matrix.shape) for matrix in matrices], layout, False)
    if layout is Layout.NUMERATOR:
        return reduce(lambda product, matrix: product @ matrix, matrices)
    return reduce(lambda product, matrix: matrix @ product, matrices)


def _is_jacobian(item: Any) -> bool:
    return all(hasattr(item, part) for part in ("matrix", "out_shape", "in_shape"))


def _matrix(item: Any, layout: Layout, place: int) -> Matrix:
    if _is_jacobian(item):
        return item.matrix(layout=str(layout))
    matrix = item if hasattr(item, "shape") and hasattr(item, "__matmul__") else np.asarray(item)
    if len(matrix.shape) != 2:
        remedy = "write it with layouts.arrange, or pass the structured Jacobian itself"
        received = f"an array of shape {tuple(matrix.shape)}"
        raise LayoutError(f"number {place} of the chain", "a matrix", received, remedy)
    return matrix


def _check_meeting(shapes: Sequence[tuple[Any, Any]], layout: Layout, of_jacobians: bool) -> None:
    """Raise unless each factor takes what the next gives, and say which mistake explains it."""
    outputs_first = of_jacobians or layout is Layout.NUMERATOR
    faces = [(out, into) if outputs_first else (into, out) for out, into in shapes]
    misfit = [i for i, (left, right) in enumerate(pairwise(faces), 1) if left[1] != right[0]]
    if not misfit:
        return
    other = Layout.DENOMINATOR if layout is Layout.NUMERATOR else Layout.NUMERATOR
    expected = f"matrices in {layout} layout that meet, the output's side first"
    turned = _fewest_turned(faces)
    if all(left[0] == right[1] for left, right in pairwise(faces)):
        received = "a list that meets only in the opposite order"
        # Shapes cannot tell a reversed list from one in the other layout.
        either = "" if of_jacobians else f", or if it is in {other} layout pass layout='{other}'"
        remedy = f"reverse the list{either}"
    elif turned:
        names = " and ".join(f"number {place}" for place in turned)
        received = f"a mix of layouts: {names} in {other} layout"
        remedy = f"transpose {names}"
    else:
        received = f"numbers {misfit[0]} and {misfit[0] + 1}, which do not meet"
        remedy = "check which function is applied to which"
    what = "chain of shapes " + ", ".join(str(shape) for shape in shapes)
    raise LayoutError(what, expected, received, remedy)


def _fewest_turned(faces: Sequence[tuple[Any, Any]]) -> tuple[int, ...]:
    """Places, from 1, of the fewest factors whose transposition makes all meet; () if none does."""
    # For each way in which the last factor may lie: the size it offers, and all turned up to it.
    ways: list[tuple[Any, tuple[int, ...]]] = [(faces[0][1], ()), (faces[0][0], (1,))]
    for place, (out, into) in enumerate(faces[1:], 2):
        ways = [
            min(reaching, key=lambda way: len(way[1]))
            for head, tail, mark in ((out, into, ()), (into, out, (place,)))
            if (reaching := [(tail, done + mark) for size, done in ways if size == head])
        ]
    return min((done for _, done in ways), key=len, default=())
