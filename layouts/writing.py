"""A sum of terms as one dense array: the place where zeros are stored.

A delta is a mask, `where(i == k, value, 0)`, made in the same pass over memory as the value. Where
several terms that leave most of it zero, their entries standing in runs, each is added at its
places instead.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from layouts.nodes import Indices, Mask, Pattern, Write

# Measured on CPUs: an array of so many entries is worth placing a term in, if it leaves so many
# zeros for each of its entries.
LARGE, ZEROS_PER_ENTRY = 2**14, 16

# A mask of so many entries is a constant of the program; a larger one is counted out.
SMALL = 2**12


@dataclass(frozen=True, eq=False)
class _Part:
    """One term: its pattern, its array (None for ones) and the tables of its selections."""

    pattern: Pattern
    value: jax.Array | None
    tables: tuple[jax.Array | None, ...]

    @cached_property
    def array(self) -> jax.Array:
        """Its array times its coefficient."""
        if self.value is None:
            return number_where(jnp.ones((), bool), self.pattern.coefficient)
        return times(self.value, self.pattern.coefficient)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The extent of each digit."""
        return tuple(self.pattern.extents[index] for index in self.pattern.digits)

    @cached_property
    def first(self) -> dict[int, int]:
        """The first digit that each index stands at."""
        digits = self.pattern.digits
        return {index: digits.index(index) for index in digits}

    @cached_property
    def deltas(self) -> list[tuple[int, int]]:
        """Pairs of digits that are equal: the first of an index, and another."""
        pairs = enumerate(self.pattern.digits)
        return [(self.first[n], place) for place, n in pairs if self.first[n] != place]

    @cached_property
    def shift(self) -> tuple[tuple[int, int, int], int] | None:
        """Where one delta or shift is all that ties it: the digits and the step, and the start."""
        if len(self.deltas) + len(self.pattern.masks) != 1:
            return None
        if self.deltas:
            return (*self.deltas[0], 1), 0
        (mask,) = self.pattern.masks
        ends = [self.first[n] for n in (*mask.labels, mask.place) if n in self.first]
        return None if mask.table or len(ends) < 2 else ((ends[0], ends[1], mask.step), mask.start)

    @property
    def runs(self) -> bool:
        """Whether it has few entries, and deltas alone tie them, but not along the last digit."""
        last, whole = len(self.shape) - 1, prod(self.shape)
        if not self.deltas or self.pattern.masks or any(last in pair for pair in self.deltas):
            return False
        entries = prod(self.shape[place] for place in self.first.values())
        return whole >= LARGE and ZEROS_PER_ENTRY * entries <= whole


def written(node: Write, operands: Sequence[jax.Array], in_one_pass: bool = False) -> jax.Array:
    """Write the dense array.

    Args:
        node: what is to be written.
        operands: the arrays and tables of its patterns.
        in_one_pass: by masks alone, as arrays are that lie on several devices.
    """
    arrays = iter(operands)
    alike: dict[tuple[int, ...], list[_Part]] = {}
    for pattern in node.patterns:
        value = None if pattern.value is None else next(arrays)
        tables = tuple(next(arrays) if mask.table else None for mask in pattern.masks)
        part = _Part(pattern, value, tables)
        alike.setdefault(part.shape, []).append(part)
    total: jax.Array | None = None
    for parts in alike.values():
        found = jnp.reshape(_sum(parts, in_one_pass), node.shape)
        total = found if total is None else total + found
    return jnp.zeros(node.shape, bool) if total is None else total


def _sum(parts: Sequence[_Part], in_one_pass: bool) -> jax.Array:
    """The sum of terms on the same digits."""
    if len(parts) > 1 and not in_one_pass and all(part.runs for part in parts):
        parts = _joined(parts)
        placed = jnp.zeros(parts[0].shape, jnp.result_type(*(part.array for part in parts)))
        return reduce(lambda found, part: _placed(part, found), parts, placed)
    total: jax.Array | None = None
    for count, part in enumerate(parts):
        apart = all(_apart(part, other) for other in parts[:count])
        total = _added(part, total, apart, len(parts) == 1 and part.shift is not None)
    assert total is not None
    return total


def _joined(parts: Sequence[_Part]) -> list[_Part]:
    """Terms tied by the same deltas as one: their entries are added before they are placed."""
    found: dict[Indices, _Part] = {}
    for part in parts:
        digits = part.pattern.digits
        found[digits] = _both(found[digits], part) if digits in found else part
    return list(found.values())


def _both(one: _Part, other: _Part) -> _Part:
    """The sum of two terms tied by the same deltas, over the indices of both."""
    listed = [part.pattern.value or () for part in (one, other)]
    union = tuple(sorted({*listed[0], *listed[1]}, key=one.pattern.digits.index))
    arrays = (expand(part.array, n, union) for part, n in zip((one, other), listed, strict=True))
    pattern = replace(one.pattern, value=union, coefficient=1)
    return _Part(pattern, operator.add(*arrays), ())


def _apart(one: _Part, other: _Part) -> bool:
    """Whether both are seen to have no place in common: shifts of the same digits."""
    if one.shift is None or other.shift is None:
        return False
    return one.shift[0] == other.shift[0] and one.shift[1] != other.shift[1]


def _added(part: _Part, total: jax.Array | None, apart: bool, known: bool) -> jax.Array:
    """Add a term over all digits: its value where its deltas and selections hold."""
    digits = tuple(range(len(part.shape)))
    places = tuple(part.first[index] for index in part.pattern.value or ())
    array = jnp.broadcast_to(expand(part.array, places, digits), part.shape)
    masks = [expand(_equal(part.shape[pair[0]], known), pair, digits) for pair in part.deltas]
    for mask, table in zip(part.pattern.masks, part.tables, strict=True):
        ends = (mask.place, *mask.labels)
        holds = relation(mask, tuple(part.pattern.extents[index] for index in ends), table, known)
        hidden = [axis for axis, index in enumerate(ends) if index not in part.first]
        seen = tuple(part.first[index] for index in ends if index in part.first)
        masks.append(expand(lax.squeeze(holds, hidden), seen, digits))
    if not masks:
        return array if total is None else total + array
    whole = jnp.broadcast_to(reduce(operator.and_, masks), part.shape)
    if total is not None and apart:
        return jnp.where(whole, array, total)
    masked = jnp.where(whole, array, 0)
    return masked if total is None else total + masked


def _placed(part: _Part, total: jax.Array) -> jax.Array:
    """Add a term's entries at their places: a run for each value of the indices of its deltas."""
    digits = part.pattern.digits
    tied = list(dict.fromkeys(digits[place] for place, _ in part.deltas))
    spread = tuple(part.pattern.extents[index] for index in tied)
    places = {n: lax.broadcasted_iota(np.int32, spread, axis) for axis, n in enumerate(tied)}
    rest = [index for index in digits if index not in places]
    listed = [place for place, index in enumerate(digits) if index in places]
    # NumPy's rule: what is listed comes first, or in its place where it stands together.
    before = listed[0] if listed[-1] - listed[0] == len(listed) - 1 else 0
    order = (*rest[:before], *tied, *rest[before:])
    entries = expand(part.array, part.pattern.value or (), order)
    entries = jnp.broadcast_to(entries, [part.pattern.extents[index] for index in order])
    dtype = jnp.result_type(total, entries)
    at = tuple(places.get(index, slice(None)) for index in digits)
    found = total.astype(dtype).at[at]
    return found.add(entries.astype(dtype), mode="drop", unique_indices=True)


def _equal(extent: int, known: bool) -> jax.Array:
    """Where two digits are equal."""
    mask = Mask(0, (1,), 0, 1, (0, extent), False)
    return relation(mask, (extent, extent), None, known)


def relation(
    mask: Mask, shape: tuple[int, ...], table: jax.Array | None, known: bool = False
) -> jax.Array:
    """Where a selection holds, as a small matrix of places × labels."""
    if table is not None:
        places = lax.broadcasted_iota(np.int32, shape, 0)
        return places == lax.expand_dims(table, (0,)).astype(np.int32)
    if known and prod(shape) <= SMALL:
        places, labels = np.indices(shape, np.int32)
    else:
        places, labels = (lax.broadcasted_iota(np.int32, shape, axis) for axis in (0, 1))
    holds = places == mask.start + mask.step * labels
    first, last = mask.window
    if (first, last) != (0, shape[1]):
        holds = holds & (labels >= first) & (labels < last)
    return jnp.asarray(holds)


def expand(array: jax.Array, indices: Indices, output: Indices) -> jax.Array:
    """Put an array's axes in the order of the output, with size one where it lacks one."""
    order = sorted(range(len(indices)), key=lambda axis: output.index(indices[axis]))
    present = set(indices)
    missing = [axis for axis, index in enumerate(output) if index not in present]
    return lax.expand_dims(lax.transpose(array, order), missing)


def times(array: jax.Array, coefficient: complex) -> jax.Array:
    """Multiply by a number, in the array's own dtype where the number fits."""
    if coefficient == 1:
        return array
    return -array if coefficient == -1 else array * coefficient


def number_where(mask: jax.Array, number: complex) -> jax.Array:
    """A number where the mask holds, else zero; weakly typed, so that it takes any dtype."""
    number = number if isinstance(number, complex) else float(number)
    return jnp.where(mask, number, 0.0)
