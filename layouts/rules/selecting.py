"""Primitives that pick or place entries: a selection on each axis that changes, never a factor."""

from collections.abc import Sequence

from layouts.algebra import entry, transpose
from layouts.axes import Axis, Label, fresh_axes
from layouts.rules.equation import Equation
from layouts.selection import Selection
from layouts.terms import Term, Terms


def _placed(
    long_shape: Sequence[int],
    short_shape: Sequence[int],
    starts: Sequence[int],
    steps: Sequence[int],
) -> tuple[list[Axis], list[Axis], tuple[Selection, ...]]:
    """Axes of both sides with `long = start + step·short` on each axis that changes."""
    long, short = list(fresh_axes(long_shape)), list(fresh_axes(short_shape))
    selections = []
    for axis, (start, step) in enumerate(zip(starts, steps, strict=True)):
        if long_shape[axis] == short_shape[axis] and (start, step) == (0, 1):
            short[axis] = long[axis]
            continue
        place, label = labelled(long, axis), labelled(short, axis)
        selections.append(Selection.affine(place, label, int(start), int(step)))
    return long, short, tuple(selections)


def labelled(axes: list[Axis], axis: int) -> Label:
    """An axis's label; one of size one is given one, so that a selection can point from it."""
    if not axes[axis]:
        axes[axis] = (Label(1),)
    return axes[axis][0]


def one_term(out: Sequence[Axis], into: Sequence[Axis], selections: tuple[Selection, ...]) -> Terms:
    """A term of ones where selections tie the sides; none where one of them ties nothing."""
    if any(selection.empty for selection in selections):
        return ()
    return (Term(tuple(out), tuple(into), (), 1, selections),)


def slice_(equation: Equation) -> dict[int, Terms]:
    """`out[i] = x[start + step·i]`."""
    starts = equation.params["start_indices"]
    steps = equation.params["strides"] or (1,) * len(starts)
    into, out, selections = _placed(equation.operands[0].shape, equation.out.shape, starts, steps)
    return {0: one_term(out, into, selections)}


def rev(equation: Equation) -> dict[int, Terms]:
    """`out[i] = x[n-1-i]`."""
    shape, flipped = equation.out.shape, set(equation.params["dimensions"])
    turned = [n in flipped and size > 1 for n, size in enumerate(shape)]
    starts = [size - 1 if turn else 0 for size, turn in zip(shape, turned, strict=True)]
    into, out, selections = _placed(shape, shape, starts, [-1 if turn else 1 for turn in turned])
    return {0: one_term(out, into, selections)}


def pad(equation: Equation) -> dict[int, Terms] | None:
    """`out[low + (between + 1)·i] = x[i]`."""
    if equation.operands[1].linear:
        return None
    lows = [low for low, _, _ in equation.params["padding_config"]]
    steps = [between + 1 for _, _, between in equation.params["padding_config"]]
    out, into, selections = _placed(equation.out.shape, equation.operands[0].shape, lows, steps)
    return {0: one_term(out, into, selections)}


def concatenate(equation: Equation) -> dict[int, Terms]:
    """`out[offset + i] = x[i]`, the offset growing from operand to operand."""
    axis, offset, jacobians = equation.params["dimension"], 0, {}
    rank = len(equation.out.shape)
    for position, operand in enumerate(equation.operands):
        if operand.linear and 0 not in operand.shape:
            starts = [offset if n == axis else 0 for n in range(rank)]
            out, into, selections = _placed(equation.out.shape, operand.shape, starts, [1] * rank)
            jacobians[position] = one_term(out, into, selections)
        offset += operand.shape[axis]
    return jacobians


def stack(equation: Equation) -> dict[int, Terms]:
    """`out[n,...] = x_n[...]`: each operand points at its place on the new axis."""
    shape, axis = equation.out.shape, equation.params["axis"]
    return {
        position: transpose(entry(shape, position, axis))
        for position, operand in enumerate(equation.operands)
        if operand.linear
    }


def unstack(equation: Equation) -> dict[tuple[int, int], Terms]:
    """`out_n[...] = x[n,...]`: each result points at its place on the old axis."""
    shape, axis = equation.operands[0].shape, equation.params["axis"]
    return {(0, n): entry(shape, n, axis) for n in range(shape[axis])}


def split(equation: Equation) -> dict[tuple[int, int], Terms]:
    """`out_n[i] = x[offset_n + i]`."""
    shape, axis, offset = equation.operands[0].shape, equation.params["axis"], 0
    jacobians = {}
    for target, size in enumerate(equation.params["sizes"]):
        piece = [size if n == axis else extent for n, extent in enumerate(shape)]
        starts = [offset if n == axis else 0 for n in range(len(shape))]
        into, out, selections = _placed(shape, piece, starts, [1] * len(shape))
        if size:
            jacobians[0, target] = one_term(out, into, selections)
        offset += size
    return jacobians
