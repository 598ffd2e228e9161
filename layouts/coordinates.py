"""Stored terms as coordinates and entries, the form that sparse arrays have.

A term's labels that nothing else determines run freely: one entry for each of their combinations. A
selection `place = start + step·label` determines a place, and its window narrows the label.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from layouts.applying import cast
from layouts.axes import Axis, Label
from layouts.nodes import Leaf
from layouts.parts import expand, times
from layouts.selection import Selection
from layouts.storing import Arrays
from layouts.terms import Factor, Term

Shape = tuple[int, ...]


def coordinates(
    term: Term, arrays: Arrays, shape: Shape, dtype: Any
) -> tuple[jax.Array, jax.Array, bool]:
    """The entries of a term that its structure does not say are zero.

    Args:
        term: stored, of a Jacobian of this shape.
        arrays: those that its leaves stand for.
        shape: out_shape + in_shape.
        dtype: of the entries.

    Returns:
        The entries, of shape (nse,); their coordinates, of shape (nse, ndim); and whether all are
        entries. Where not, padding is among them: entries of zero whose coordinates are `shape`,
        as in JAX's sparse arrays. It comes from tables, whose entries are not known beforehand.

    Example:
        >>> from layouts.algebra import identity
        >>> entries, indices, _ = coordinates(identity((3,))[0], (), (3, 3), jnp.float32)
        >>> entries.tolist(), indices.tolist()
        ([1.0, 1.0, 1.0], [[0, 0], [1, 1], [2, 2]])
    """
    grid = _Grid.of(term, arrays)
    data = jnp.ones((1,) * len(grid.free), dtype)
    for n, factor in enumerate(term.factors):
        value = grid.read(factor)
        data = value if n == 0 else data * value
    data = cast(times(data, term.coefficient), dtype)
    columns = [
        jnp.broadcast_to(grid.along(axis), grid.shape).reshape(-1) for axis in term.out + term.into
    ]
    indices = jnp.stack(columns, -1) if columns else jnp.zeros((prod(grid.shape), 0), jnp.int32)
    data = jnp.broadcast_to(data, grid.shape).reshape(-1)
    inside = grid.inside()
    if inside is None:
        return data, indices, True
    inside = jnp.broadcast_to(inside, grid.shape).reshape(-1)
    data = jnp.where(inside, data, jnp.zeros((), dtype))
    outside = jnp.asarray(shape, indices.dtype).reshape(1, -1)
    return data, jnp.where(inside[:, None], indices, outside), False


@dataclass(frozen=True)
class _Grid:
    """The combinations of a term's free labels.

    Attributes:
        free: the labels that run freely, each with its window: one axis of the grid each.
        places: what determines each of the other labels.
        checks: selections that determine nothing new, so that they have to be checked.
        arrays: those that the leaves stand for.
    """

    free: dict[Label, tuple[int, int]]
    places: dict[Label, Selection]
    checks: list[Selection]
    arrays: Arrays

    @classmethod
    def of(cls, term: Term, arrays: Arrays) -> "_Grid":
        """Let each selection determine its place, unless something depends on that already."""
        places: dict[Label, Selection] = {}
        checks: list[Selection] = []
        for s in term.selections:
            used = {label for known in places.values() for label in known.labels}
            if s.place in places or s.place in used:
                checks.append(s)
            else:
                places[s.place] = s
        free = {label: (0, label.size) for label in term.labels if label not in places}
        for s in places.values():
            if s.label in free and s.table is None:
                first, last = max(free[s.label][0], s.window[0]), min(free[s.label][1], s.window[1])
                free[s.label] = (first, max(first, last))
        return cls(free, places, checks, arrays)

    @property
    def shape(self) -> Shape:
        """How many values each free label takes."""
        return tuple(last - first for first, last in self.free.values())

    def at(self, label: Label) -> jax.Array:
        """The value of a label over the grid, of size one along the axes that it does not need."""
        if label in self.free:
            axis = list(self.free).index(label)
            shape = tuple(n if k == axis else 1 for k, n in enumerate(self.shape))
            return lax.broadcasted_iota(jnp.int32, shape, axis) + self.free[label][0]
        return self.place(self.places[label])

    def place(self, selection: Selection) -> jax.Array:
        """Where a selection puts its label."""
        if selection.table is None:
            return selection.start + selection.step * self.at(selection.label)
        assert isinstance(selection.table, Leaf)
        table = self.arrays[selection.table.index]
        # A wide index may not fit: what lies outside is then minus one.
        table = jnp.where((table >= 0) & (table < selection.place.size), table, -1)
        at = tuple(map(self.at, selection.labels))
        return table.astype(jnp.int32).at[at].get(mode="fill", fill_value=-1)

    def along(self, axis: Axis) -> jax.Array:
        """The position along an axis: its labels are the digits, most significant first."""
        position = jnp.zeros((1,) * len(self.free), jnp.int32)
        for label in axis:
            position = position * label.size + self.at(label)
        return position

    def inside(self) -> jax.Array | None:
        """Where all selections hold; None where they hold throughout."""
        found: jax.Array | None = None
        for s in (*self.places.values(), *self.checks):
            holds: list[jax.Array] = []
            if s.table is not None:
                holds.append(self.place(s) >= 0)
            elif s.label not in self.free or s in self.checks:
                label = self.at(s.label)
                holds.append((label >= s.window[0]) & (label < s.window[1]))
            if s in self.checks:
                holds.append(self.at(s.place) == self.place(s))
            for mask in holds:
                found = mask if found is None else found & mask
        return found

    def read(self, factor: Factor) -> jax.Array:
        """A factor's values over the grid."""
        assert isinstance(factor.node, Leaf)
        array, free = self.arrays[factor.node.index], list(self.free)
        if not all(label in self.free for label in factor.labels):
            return array.at[tuple(map(self.at, factor.labels))].get(mode="fill", fill_value=0)
        for axis, label in enumerate(factor.labels):
            array = lax.slice_in_dim(array, *self.free[label], axis=axis)
        places = tuple(free.index(label) for label in factor.labels)
        return expand(array, places, tuple(range(len(free))))
