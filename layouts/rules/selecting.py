"""Primitives that pick or place entries: a selection on each axis that changes, never a factor."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.lax import GatherScatterMode

from layouts.algebra import entry, identity, scale, transpose
from layouts.axes import Axes, Axis, Label, fresh_axes, labels_of, sizes
from layouts.nodes import Places
from layouts.rules.equation import Equation, Operand
from layouts.selection import Selection, looked_up
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


def dynamic_slice(equation: Equation) -> dict[int, Terms] | None:
    """`out[i] = x[start + i]`, the start moved inside by JAX."""
    operand, *starts = equation.operands
    if any(start.linear for start in starts):
        return None
    into, out, selections = _window(equation, operand.shape, equation.out.shape, starts)
    return {0: _term(out, into, selections)}


def dynamic_update_slice(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[start + i] = u[i]`: by x the identity outside the window, by u a window."""
    operand, update, *starts = equation.operands
    if any(start.linear for start in starts):
        return None
    out, into, selections = _window(equation, operand.shape, update.shape, starts)
    jacobians: dict[int, Terms] = {}
    if operand.linear:
        dtype = equation.out.dtype
        outside = lax.dynamic_update_slice(
            jnp.ones(operand.shape, dtype),
            jnp.zeros(update.shape, dtype),
            [start.value for start in starts],  # type: ignore[misc]
        )
        jacobians[0] = _masked(equation, outside, [*map(tuple.__eq__, out, into)])
    if update.linear and 0 not in update.shape:
        jacobians[1] = _term(out, into, selections)
    return jacobians


def _window(
    equation: Equation,
    long_shape: Sequence[int],
    short_shape: Sequence[int],
    starts: Sequence[Operand],
) -> tuple[list[Axis], list[Axis], tuple[Selection, ...]]:
    """Axes of both sides with `long = start + short`; numbers in the program are offsets."""
    long, short = list(fresh_axes(long_shape)), list(fresh_axes(short_shape))
    selections = []
    for axis, (extent, size, start) in enumerate(zip(long_shape, short_shape, starts, strict=True)):
        if extent == size:
            short[axis] = long[axis]
        elif isinstance(start.number, int):
            first = min(max(start.number, 0), extent - size)
            place, label = _label(long, axis), _label(short, axis)
            selections.append(Selection.affine(place, label, first))
        else:
            labels = short[axis]
            table = _places(equation, start, None, labels, extent, size, clip=True)
            selections.append(looked_up(_label(long, axis), labels, table))
    return long, short, tuple(selections)


@dataclass(frozen=True)
class _Lookup:
    """What gather and scatter have in common: a long array, looked up by windows of a short one.

    The short one has the axes of the indices (all but their last, which lists the start of a
    window along each axis of `mapped`) and, at the places `offsets`, those of the window.

    Attributes:
        shape: of the long array.
        windows: the size of the window along each of its axes.
        rank: the number of axes of the short array.
        offsets: which of them are the window's.
        dropped: the axes of the long array that the window lacks; it has size one there.
        mapped: the axes of the long array that the indices are along.
        batch: pairs of an axis of the long array and one of the indices that are the same.
        clip: whether windows outside are moved inside; else they are left out.
    """

    shape: Sequence[int]
    windows: Sequence[int]
    rank: int
    offsets: Sequence[int]
    dropped: Sequence[int]
    mapped: Sequence[int]
    batch: Sequence[tuple[int, int]]
    clip: bool

    def axes(
        self, equation: Equation, indices: Operand
    ) -> tuple[Axes, Axes, tuple[Selection, ...]]:
        """Axes of the long and of the short side, and what ties them."""
        long, found = list(fresh_axes(self.shape)), list(fresh_axes(indices.shape[:-1]))
        for place, axis in self.batch:
            found[axis] = long[place]
        batched = {place for place, _ in self.batch}
        window: list[Axis] = []
        selections = []
        for place, (extent, size) in enumerate(zip(self.shape, self.windows, strict=True)):
            if place in batched:
                continue
            whole = size == extent and (self.clip or place not in self.mapped)
            own = long[place] if whole else fresh_axes((size,))[0]
            if place not in self.dropped:
                window.append(own)
            if whole:
                continue
            if place not in self.mapped:
                pointing = own[0] if own else Label(1)
                selections.append(Selection.affine(_label(long, place), pointing, 0))
                continue
            labels = (*labels_of(found), *own)
            column = self.mapped.index(place)
            table = _places(equation, indices, column, labels, extent, size, self.clip)
            selections.append(looked_up(_label(long, place), labels, table))
        offsets, batches = iter(window), iter(found)
        short = [next(offsets if n in self.offsets else batches) for n in range(self.rank)]
        return tuple(long), tuple(short), tuple(selections)


def _places(
    equation: Equation,
    indices: Operand,
    column: int | None,
    labels: Sequence[Label],
    extent: int,
    size: int,
    clip: bool,
) -> Places:
    """The table of the places along one axis."""
    assert indices.value is not None
    leaf = equation.leaf(indices.value, indices.name)
    return Places(sizes(labels), 4, (leaf,), column, extent, size, clip)


def gather(equation: Equation) -> dict[int, Terms] | None:
    """`out[i,...] = x[start[i] + ...]`: lookups, of windows that may be single entries."""
    numbers, mode = equation.params["dimension_numbers"], equation.params["mode"]
    operand, indices = equation.operands
    filled = mode == GatherScatterMode.FILL_OR_DROP and equation.params["fill_value"] != 0
    if indices.linear or filled or mode == GatherScatterMode.ONE_HOT:
        return None
    pairs = (numbers.operand_batching_dims, numbers.start_indices_batching_dims)
    lookup = _Lookup(
        operand.shape,
        equation.params["slice_sizes"],
        len(equation.out.shape),
        numbers.offset_dims,
        numbers.collapsed_slice_dims,
        numbers.start_index_map,
        tuple(zip(*pairs, strict=True)),
        mode == GatherScatterMode.CLIP,
    )
    into, out, selections = lookup.axes(equation, indices)
    return {0: _term(out, into, selections)}


def scatter_add(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[start[i] + ...] += u[i,...]`: the identity by x, a lookup by u."""
    operand, _, updates = equation.operands
    if equation.operands[1].linear:
        return None
    jacobians: dict[int, Terms] = {}
    if operand.linear:
        jacobians[0] = identity(operand.shape)
    if updates.linear and 0 not in updates.shape:
        out, into, selections = _scattered(equation).axes(equation, equation.operands[1])
        jacobians[2] = _term(out, into, selections)
    return jacobians


def scatter_sub(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[start[i] + ...] -= u[i,...]`."""
    jacobians = scatter_add(equation)
    if jacobians and 2 in jacobians:
        jacobians[2] = scale(jacobians[2], -1)
    return jacobians


def scatter(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[start[i] + ...] = u[i,...]`: by x the identity elsewhere, by u a lookup.

    Where places may meet, JAX does not say which entry stands: that case is opaque.
    """
    operand, indices, updates = equation.operands
    if indices.linear or not equation.params["unique_indices"]:
        return None
    lookup = _scattered(equation)
    out, into, selections = lookup.axes(equation, indices)
    jacobians: dict[int, Terms] = {}
    if operand.linear:
        dtype = equation.out.dtype
        elsewhere = lax.scatter(
            jnp.ones(operand.shape, dtype),
            indices.value,  # type: ignore[arg-type]
            jnp.zeros(updates.shape, dtype),
            equation.params["dimension_numbers"],
            unique_indices=True,
            mode=equation.params["mode"],
        )
        tied = {label for s in selections for label in (s.place, *s.labels)}
        whole = [tied.isdisjoint(axis) for axis in out]
        jacobians[0] = _masked(equation, elsewhere, whole)
    if updates.linear and 0 not in updates.shape:
        jacobians[2] = _term(out, into, selections)
    return jacobians


def _scattered(equation: Equation) -> _Lookup:
    """A scatter's updates are the short side."""
    numbers = equation.params["dimension_numbers"]
    operand, _, updates = equation.operands
    lacking = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sides = iter(sorted(numbers.update_window_dims))
    windows = [1 if n in lacking else updates.shape[next(sides)] for n in range(len(operand.shape))]
    pairs = (numbers.operand_batching_dims, numbers.scatter_indices_batching_dims)
    return _Lookup(
        operand.shape,
        windows,
        len(updates.shape),
        numbers.update_window_dims,
        numbers.inserted_window_dims,
        numbers.scatter_dims_to_operand_dims,
        tuple(zip(*pairs, strict=True)),
        equation.params["mode"] == GatherScatterMode.CLIP,
    )


def _masked(equation: Equation, mask: jax.Array, whole: Sequence[bool]) -> Terms:
    """The identity times a mask that is the same all along the axes that are whole."""
    axes = fresh_axes(mask.shape)
    varying = tuple(() if w else axis for w, axis in zip(whole, axes, strict=True))
    mask = mask[tuple(slice(0, 1) if w else slice(None) for w in whole)]
    return (Term(axes, axes, (equation.factor(varying, mask, None),)),)


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
