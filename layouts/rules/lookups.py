"""Primitives that look entries up, or place them, at indices: gathers, scatters, dynamic slices.

What indices list is a table, as integers that are known only when the program runs. Where the
program spells them out and they stand steps apart, it is an offset, as a slice has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import GatherScatterMode

from layouts.algebra import identity, scale
from layouts.axes import Axes, Axis, Label, fresh_axes, labels_of, size, sizes
from layouts.nodes import Places
from layouts.rules.equation import Equation, Operand
from layouts.rules.selecting import labelled, one_term
from layouts.selection import Selection, looked_up
from layouts.terms import Term, Terms


def dynamic_slice(equation: Equation) -> dict[int, Terms] | None:
    """`out[i] = x[start + i]`, the start moved inside by JAX."""
    operand, *starts = equation.operands
    if any(start.linear for start in starts):
        return None
    into, out, selections = _window(equation, operand.shape, equation.out.shape, starts)
    return {0: one_term(out, into, selections)}


def dynamic_update_slice(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[start + i] = u[i]`: by x the identity outside the window, by u a window."""
    operand, update, *starts = equation.operands
    if any(start.linear for start in starts):
        return None
    out, into, selections = _window(equation, operand.shape, update.shape, starts)
    jacobians: dict[int, Terms] = {}
    if operand.linear:

        def elsewhere() -> jax.Array:
            one, zeros = jnp.ones(operand.shape), jnp.zeros(update.shape)
            return lax.dynamic_update_slice(one, zeros, [start.value for start in starts])  # type: ignore[misc]

        jacobians[0] = _outside(equation, out, selections, elsewhere)
    if update.linear and 0 not in update.shape:
        jacobians[1] = one_term(out, into, selections)
    return jacobians


def _window(
    equation: Equation,
    long_shape: Sequence[int],
    short_shape: Sequence[int],
    starts: Sequence[Operand],
) -> tuple[list[Axis], list[Axis], tuple[Selection, ...]]:
    """Axes of both sides with `long = start + short`; starts that are spelled out are offsets."""
    long, short = list(fresh_axes(long_shape)), list(fresh_axes(short_shape))
    selections = []
    sides = zip(long_shape, short_shape, starts, strict=True)
    for axis, (extent, window, start) in enumerate(sides):
        if extent == window:
            short[axis] = long[axis]
        elif start.entries is not None:
            first = min(max(int(start.entries), 0), extent - window)
            place, label = labelled(long, axis), labelled(short, axis)
            selections.append(Selection.affine(place, label, first))
        else:
            labels = short[axis]
            table = _places(equation, start, None, labels, extent, window, clip=True)
            selections.append(looked_up(labelled(long, axis), labels, table))
    return long, short, tuple(selections)


class _Line(NamedTuple):
    """Places that stand steps apart: `place = start + step·i`, i along one axis of the indices.

    Attributes:
        axis: which; None where all places are the same.
    """

    start: int
    step: int = 1
    axis: int | None = None

    @classmethod
    def of(cls, places: np.ndarray) -> "_Line | None":
        """The line that the places stand on, if they do."""
        along = [n for n in range(places.ndim) if np.diff(places, axis=n).any()]
        start = int(places[(0,) * places.ndim])
        if not along:
            return cls(start)
        steps = np.diff(places, axis=along[0])
        step = int(steps[(0,) * steps.ndim])
        return cls(start, step, along[0]) if len(along) == 1 and (steps == step).all() else None


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
        lines, same = self._lines(indices), dict(self.batch)
        for place, (start, step, axis) in lines.items():
            if axis is None or axis in same.values() or (start, step) != (0, 1):
                continue
            if self.shape[place] == indices.shape[axis]:
                same[place] = axis
        for place, axis in same.items():
            found[axis] = long[place]
        offsets: list[Axis] = []
        selections = []
        for place, (extent, window) in enumerate(zip(self.shape, self.windows, strict=True)):
            if place in dict(self.batch):
                continue
            inside = self.clip or place not in self.mapped or place in lines
            whole = window == extent and inside
            own = long[place] if whole else fresh_axes((window,))[0]
            if place not in self.dropped:
                offsets.append(own)
            if whole or place in same:
                continue
            if place not in self.mapped or place in lines:
                start, step, axis = lines.get(place, _Line(0))
                label, *_ = (own if axis is None else found[axis]) or (Label(1),)
                selections.append(Selection.affine(labelled(long, place), label, start, step))
                continue
            labels = (*labels_of(found), *own)
            column = self.mapped.index(place)
            table = _places(equation, indices, column, labels, extent, window, self.clip)
            selections.append(looked_up(labelled(long, place), labels, table))
        windows, batches = iter(offsets), iter(found)
        short = [next(windows if n in self.offsets else batches) for n in range(self.rank)]
        return tuple(long), tuple(short), tuple(selections)

    def _lines(self, indices: Operand) -> dict[int, _Line]:
        """The axes of the long array along which the program spells out places steps apart.

        Windows of several entries that do not all start at one place are a table all the same. So
        are longer steps beside a table: an offset could be read back by another table alone.
        """
        lines: dict[int, _Line] = {}
        if indices.entries is None or 0 in indices.shape:
            return lines
        for column, place in enumerate(self.mapped):
            starts, window = indices.entries[..., column].astype(int), self.windows[place]
            inside = np.clip(starts, 0, self.shape[place] - window)
            line = _Line.of(inside) if self.clip or (inside == starts).all() else None
            if line and (line.axis is None or window == 1):
                lines[place] = line
        listed = len(lines) < len(self.mapped)
        return {n: line for n, line in lines.items() if not (listed and abs(line.step) > 1)}


def _places(
    equation: Equation,
    indices: Operand,
    column: int | None,
    labels: Sequence[Label],
    extent: int,
    window: int,
    clip: bool,
) -> Places:
    """The table of the places along one axis."""
    assert indices.value is not None
    leaf = equation.leaf(indices.value, indices.name)
    return Places(sizes(labels), 4, (leaf,), column, extent, window, clip)


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
    return {0: one_term(out, into, selections)}


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
        jacobians[2] = one_term(out, into, selections)
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
    out, into, selections = _scattered(equation).axes(equation, indices)
    jacobians: dict[int, Terms] = {}
    if operand.linear:

        def elsewhere() -> jax.Array:
            return lax.scatter(
                jnp.ones(operand.shape),
                indices.value,  # type: ignore[arg-type]
                jnp.zeros(updates.shape),
                equation.params["dimension_numbers"],
                unique_indices=True,
                mode=equation.params["mode"],
            )

        jacobians[0] = _outside(equation, out, selections, elsewhere)
    if updates.linear and 0 not in updates.shape:
        jacobians[2] = one_term(out, into, selections)
    return jacobians


def scatter_mul(equation: Equation) -> dict[int, Terms] | None:
    """`out = x; out[start[i] + ...] *= u[i,...]`: by x each entry by what it is multiplied by."""
    operand, indices, updates = equation.operands
    if indices.linear or updates.linear:
        return None
    (scales,) = equation.apply(jnp.ones(operand.shape, operand.dtype))
    axes = fresh_axes(operand.shape)
    return {0: (Term(axes, axes, (equation.factor(axes, scales, None),)),)}


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


def _outside(
    equation: Equation,
    axes: Sequence[Axis],
    selections: Sequence[Selection],
    elsewhere: Callable[[], jax.Array],
) -> Terms:
    """The identity at the places that selections do not point at.

    Args:
        equation: places entries of a short array in a long one.
        axes: of the long array.
        selections: where entries are placed.
        elsewhere: makes an array of the long one's shape, ones at all other places.
    """
    if len(selections) == 1 and (window := _left_over(axes, selections[0])):
        at = [selections[0].place in axis for axis in axes].index(True)
        into = list(fresh_axes(equation.out.shape))
        out = [axis if n == at else into[n] for n, axis in enumerate(axes)]
        (label,), (place,) = out[at], into[at]
        return one_term(out, into, (Selection.affine(place, label, 0, 1, window),))
    spelled = _pointed_at(axes, selections)
    if spelled is not None and spelled.all():
        return ()
    mask = elsewhere() if spelled is None else jnp.asarray(~spelled)
    tied = {label for s in selections for label in (s.place, *s.labels)}
    whole = [tied.isdisjoint(axis) for axis in axes]
    mask = mask[tuple(slice(0, 1) if w else slice(None) for w in whole)].astype(equation.out.dtype)
    fresh = fresh_axes(equation.out.shape)
    varying = tuple(() if w else axis for w, axis in zip(whole, fresh, strict=True))
    return (Term(fresh, fresh, (equation.factor(varying, mask, None),)),)


def _left_over(axes: Sequence[Axis], selection: Selection) -> tuple[int, int] | None:
    """The places before or after those that a selection points at, where they are all others."""
    if selection.table is not None or selection.step != 1 or selection.label in labels_of(axes):
        return None
    first, last = (selection.start + label for label in selection.window)
    if 0 in (first, selection.place.size - last):
        return (last, selection.place.size) if first == 0 else (0, first)
    return None


def _pointed_at(axes: Sequence[Axis], selections: Sequence[Selection]) -> np.ndarray | None:
    """At which places entries are placed, where no table says so."""
    ranges = np.indices([size(axis) for axis in axes], np.int32, sparse=True)
    at = {axis[0]: places for axis, places in zip(axes, ranges, strict=True) if axis}
    free = [s.label for s in selections if s.label not in at]
    if any(s.table is not None for s in selections) or len({*free}) < len(free):
        return None
    found = np.ones([1] * len(axes), bool)
    for s in selections:
        labels = at[s.label] if s.label in at else np.arange(s.label.size)
        places = s.start + s.step * labels
        found = found & (at[s.place] == places if s.label in at else np.isin(at[s.place], places))
    return np.broadcast_to(found, [size(axis) for axis in axes])
