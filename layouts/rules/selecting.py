"""Primitives that pick or place entries: a selection on each axis that changes, never a factor."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from layouts.axes import Axis, Label, fresh_axes, labels_of
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
        place, label = _label(long, axis), _label(short, axis)
        selections.append(Selection.affine(place, label, int(start), int(step)))
    return long, short, tuple(selections)


def _label(axes: list[Axis], axis: int) -> Label:
    """An axis's label; one of size one is given one, so that a selection can point from it."""
    if not axes[axis]:
        axes[axis] = (Label(1),)
    return axes[axis][0]


def _term(out: Sequence[Axis], into: Sequence[Axis], selections: tuple[Selection, ...]) -> Terms:
    if any(selection.empty for selection in selections):
        return ()
    return (Term(tuple(out), tuple(into), (), 1, selections),)


def slice_(equation: Equation) -> dict[int, Terms]:
    """`out[i] = x[start + step·i]`."""
    starts = equation.params["start_indices"]
    steps = equation.params["strides"] or (1,) * len(starts)
    into, out, selections = _placed(equation.operands[0].shape, equation.out.shape, starts, steps)
    return {0: _term(out, into, selections)}


def rev(equation: Equation) -> dict[int, Terms]:
    """`out[i] = x[n-1-i]`."""
    shape, flipped = equation.out.shape, set(equation.params["dimensions"])
    turned = [n in flipped and size > 1 for n, size in enumerate(shape)]
    starts = [size - 1 if turn else 0 for size, turn in zip(shape, turned, strict=True)]
    into, out, selections = _placed(shape, shape, starts, [-1 if turn else 1 for turn in turned])
    return {0: _term(out, into, selections)}


def pad(equation: Equation) -> dict[int, Terms] | None:
    """`out[low + (between + 1)·i] = x[i]`."""
    if equation.operands[1].linear:
        return None
    lows = [low for low, _, _ in equation.params["padding_config"]]
    steps = [between + 1 for _, _, between in equation.params["padding_config"]]
    out, into, selections = _placed(equation.out.shape, equation.operands[0].shape, lows, steps)
    return {0: _term(out, into, selections)}


def concatenate(equation: Equation) -> dict[int, Terms]:
    """`out[offset + i] = x[i]`, the offset growing from operand to operand."""
    axis, offset, jacobians = equation.params["dimension"], 0, {}
    rank = len(equation.out.shape)
    for position, operand in enumerate(equation.operands):
        if operand.linear and 0 not in operand.shape:
            starts = [offset if n == axis else 0 for n in range(rank)]
            out, into, selections = _placed(equation.out.shape, operand.shape, starts, [1] * rank)
            jacobians[position] = _term(out, into, selections)
        offset += operand.shape[axis]
    return jacobians


def stack(equation: Equation) -> dict[int, Terms]:
    """`out[n,...] = x_n[...]`: each operand points at its place on the new axis."""
    axis, jacobians = equation.params["axis"], {}
    for position, operand in enumerate(equation.operands):
        if operand.linear:
            into = fresh_axes(operand.shape)
            place = fresh_axes(equation.out.shape[axis : axis + 1])
            pointing = tuple(Selection.affine(k, Label(1), position) for k in labels_of(place))
            jacobians[position] = _term(into[:axis] + place + into[axis:], into, pointing)
    return jacobians


def dynamic_slice(equation: Equation) -> dict[int, Terms] | None:
    """`out[i] = x[start + i]`, the start known only when it runs, and moved inside by JAX."""
    operand, *starts = equation.operands
    if any(start.linear for start in starts):
        return None
    into, out = list(fresh_axes(operand.shape)), list(fresh_axes(equation.out.shape))
    selections = []
    for axis, start in enumerate(starts):
        extent, size = operand.shape[axis], equation.out.shape[axis]
        if extent == size:
            out[axis] = into[axis]
            continue
        assert start.value is not None
        first = jnp.clip(start.value.astype(np.int32), 0, extent - size)
        table = equation.leaf(first + jnp.arange(size, dtype=np.int32), None)
        place, label = _label(into, axis), _label(out, axis)
        selections.append(Selection(place, label, table=table))
    return {0: _term(out, into, tuple(selections))}


def gather(equation: Equation) -> dict[int, Terms] | None:
    """`out[i,...] = x[table[i],...]`: a lookup along one axis; other gathers are opaque."""
    numbers, shape = equation.params["dimension_numbers"], equation.operands[0].shape
    axis = _looked_up(numbers.start_index_map, numbers.collapsed_slice_dims)
    indices = equation.operands[1]
    batched = numbers.operand_batching_dims or indices.linear or len(indices.shape) != 2
    whole = all(
        size == extent or n == axis
        for n, (size, extent) in enumerate(zip(equation.params["slice_sizes"], shape, strict=True))
    )
    if axis is None or batched or not whole:
        return None
    assert indices.value is not None
    into = list(fresh_axes(shape))
    kept = iter(into[:axis] + into[axis + 1 :])
    out = [next(kept) if n in numbers.offset_dims else () for n in range(len(equation.out.shape))]
    (batch,) = [n for n in range(len(out)) if n not in numbers.offset_dims]
    out[batch] = (Label(indices.shape[0]),)
    table = equation.leaf(_table(indices.value, shape[axis], equation.params["mode"]), None)
    selection = Selection(_label(into, axis), out[batch][0], table=table)
    return {0: _term(out, into, (selection,))}


def scatter_add(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[table[i],...] += u[i,...]`: the identity by x, a lookup by u."""
    numbers = equation.params["dimension_numbers"]
    operand, indices, updates = equation.operands
    axis = _looked_up(numbers.scatter_dims_to_operand_dims, numbers.inserted_window_dims)
    windows = [updates.shape[n] for n in numbers.update_window_dims]
    rest = [extent for n, extent in enumerate(operand.shape) if n != axis]
    batched = numbers.operand_batching_dims or indices.linear or len(indices.shape) != 2
    if axis is None or batched or windows != rest:
        return None
    jacobians: dict[int, Terms] = {}
    if operand.linear:
        axes = fresh_axes(operand.shape)
        jacobians[0] = (Term(axes, axes),)
    if updates.linear and 0 not in updates.shape:
        assert indices.value is not None
        out = list(fresh_axes(operand.shape))
        kept = iter(out[:axis] + out[axis + 1 :])
        ranks = range(len(updates.shape))
        into = [next(kept) if n in numbers.update_window_dims else () for n in ranks]
        (batch,) = [n for n in ranks if n not in numbers.update_window_dims]
        into[batch] = (Label(indices.shape[0]),)
        table = equation.leaf(
            _table(indices.value, operand.shape[axis], equation.params["mode"]), None
        )
        selection = Selection(_label(out, axis), into[batch][0], table=table)
        jacobians[2] = _term(out, into, (selection,))
    return jacobians


def split(equation: Equation) -> dict[tuple[int, int], Terms]:
    """`out_n[i] = x[offset_n + i]`."""
    shape, axis, offset = equation.operands[0].shape, equation.params["axis"], 0
    jacobians = {}
    for target, size in enumerate(equation.params["sizes"]):
        piece = [size if n == axis else extent for n, extent in enumerate(shape)]
        starts = [offset if n == axis else 0 for n in range(len(shape))]
        into, out, selections = _placed(shape, piece, starts, [1] * len(shape))
        if size:
            jacobians[0, target] = _term(out, into, selections)
        offset += size
    return jacobians


def _looked_up(mapped: Sequence[int], collapsed: Sequence[int]) -> int | None:
    """The one axis that indices run along, where there is one."""
    one = len(mapped) == 1 and tuple(mapped) == tuple(collapsed)
    return mapped[0] if one else None


def _table(indices: jax.Array, extent: int, mode: object) -> jax.Array:
    """A place for each label; one that JAX drops is put past the end."""
    places = indices[:, 0].astype(np.int32)
    if mode == jax.lax.GatherScatterMode.CLIP:
        return jnp.clip(places, 0, extent - 1)
    return jnp.where((places >= 0) & (places < extent), places, extent)
