"""A sum of terms as one dense array: the place where zeros are stored.

A delta is a mask, `where(i == k, value, 0)`, made in the same pass over memory as the value. Terms
that leave most of it zero are put at their places instead (`layouts.placing`), and terms that are
rows each, as those of a `jnp.stack`, one beside the other.
"""

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import groupby
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from layouts.nodes import Mask, Pattern, Write
from layouts.parts import Part, expand
from layouts.placing import placed

# A mask of so many entries is a constant of the program; a larger one is counted out.
SMALL = 2**12

# Measured on CPUs: from so many on, rows that are stacked are written in an eighth of the time, to
# all of it, in which each entry is tested for every one of them.
STACKED = 2


def written(
    node: Write,
    operands: Sequence[jax.Array],
    in_one_pass: bool = False,
    split: Collection[int] = (),
    dtype: Any = None,
) -> jax.Array:
    """Write the dense array.

    Args:
        node: what is to be written.
        operands: the arrays and tables of its patterns.
        in_one_pass: by masks alone, as arrays are that lie on several devices.
        split: the axes that are split over those.
        dtype: of numbers alone; without, they are weakly typed.
    """
    arrays = iter(operands)
    alike: dict[tuple[int, ...], list[Part]] = {}
    for pattern in node.patterns:
        value = None if pattern.value is None else next(arrays)
        tables = tuple(next(arrays) if mask.table else None for mask in pattern.masks)
        part = Part(pattern, value, tables, _leading(pattern, node.shape, split), dtype)
        alike.setdefault(part.shape, []).append(part)
    total: jax.Array | None = None
    for parts in alike.values():
        found = jnp.reshape(_sum(parts, in_one_pass), node.shape)
        total = found if total is None else total + found
    return jnp.zeros(node.shape, bool) if total is None else total


def _leading(pattern: Pattern, shape: tuple[int, ...], axes: Collection[int]) -> frozenset[int]:
    """The first digit of each of these axes of the dense array."""
    found, place = [], 0
    for axis, extent in enumerate(shape):
        first, counted = place, 1
        while counted < extent:
            counted *= pattern.extents[pattern.digits[place]]
            place += 1
        if axis in axes and place > first:
            found.append(first)
    return frozenset(found)


def _sum(parts: Sequence[Part], in_one_pass: bool) -> jax.Array:
    """The sum of terms on the same digits."""
    total = None if in_one_pass else placed(parts)
    if total is None and not in_one_pass:
        total = _side_by_side(parts)
    if total is not None:
        return total
    last = len(parts[0].shape) - 1  # to skip along it would take longer than what is saved
    tied = {pair for pair in parts[0].deltas if last not in pair}
    tied = tied.intersection(*(part.deltas for part in parts))
    if len(parts) > 1 and tied and not in_one_pass:
        return _sum([_block(parts, tied)], in_one_pass)
    known = _better_known(parts)
    for count, part in enumerate(parts):
        apart = all(_apart(part, other) for other in parts[:count])
        total = _added(part, total, apart, known)
    assert total is not None
    return total


def _side_by_side(parts: Sequence[Part]) -> jax.Array | None:
    """The sum of terms that each stand at one place along a digit, as rows that are stacked do.

    None where there is no such digit, or they stand at few places of it.
    """
    for digit in range(len(parts[0].shape)):
        if not all(digit in part.standing for part in parts):
            continue
        rows: dict[int, list[Part]] = {}
        for part in parts:
            rows.setdefault(part.standing[digit], []).append(part.without(digit))
        if len(rows) >= STACKED:
            return _stacked({n: _sum(row, False) for n, row in rows.items()}, digit, parts[0].shape)
    return None


def _stacked(rows: Mapping[int, jax.Array], axis: int, shape: Sequence[int]) -> jax.Array:
    """Rows at their places along an axis of an array that is zero elsewhere."""
    zero = jnp.zeros_like(jnp.expand_dims(next(iter(rows.values())), axis))
    pieces = []
    for known, run in groupby(range(shape[axis]), rows.__contains__):
        places = [*run]
        if known:
            pieces.append(jnp.stack([rows[place] for place in places], axis))
        else:
            extents = (*shape[:axis], len(places), *shape[axis + 1 :])
            pieces.append(jnp.broadcast_to(zero, extents))
    return jnp.concatenate(pieces, axis)


def _block(parts: Sequence[Part], tied: Collection[tuple[int, int]]) -> Part:
    """Terms that hold on the same diagonal alone (that of a batch), as one: added up on that.

    It is stored: a loop that writes all entries would add them up off the diagonal as well.
    """
    partner = {second: first for first, second in tied}
    kept = [digit for digit in range(len(parts[0].shape)) if digit not in partner]
    own = [
        replace(p, pattern=replace(p.pattern, digits=tuple(p.pattern.digits[n] for n in kept)))
        for p in parts
    ]
    total = lax.optimization_barrier(_sum(own, True))
    number = {digit: n for n, digit in enumerate(kept)}
    digits = tuple(number[partner.get(n, n)] for n in range(len(parts[0].shape)))
    return Part(Pattern(digits, total.shape, tuple(range(total.ndim)), 1), total, ())


def _better_known(parts: Sequence[Part]) -> bool:
    """Whether masks are read sooner than counted out, in the loop that writes all entries.

    Measured on CPUs: for one term if a single shift ties it, for several if deltas alone do (batch
    norm takes half the time); else counting is up to twice as fast.
    """
    if len(parts) == 1:
        return parts[0].shift is not None
    return not any(part.pattern.masks for part in parts)


def _apart(one: Part, other: Part) -> bool:
    """Whether both are seen to have no place in common: shifts of the same digits."""
    if one.shift is None or other.shift is None:
        return False
    return one.shift[0] == other.shift[0] and one.shift[1] != other.shift[1]


def _added(part: Part, total: jax.Array | None, apart: bool, known: bool) -> jax.Array:
    """Add a term over all digits: its value where its deltas and selections hold."""
    digits = tuple(range(len(part.shape)))
    array = jnp.broadcast_to(expand(part.array, part.along, digits), part.shape)
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
        return jnp.asarray(np.arange(shape[0])[:, None] == _told(mask, shape[1]))
    places, labels = (lax.broadcasted_iota(np.int32, shape, axis) for axis in (0, 1))
    plain = (mask.start, mask.step, mask.window) == (0, 1, (0, shape[1]))
    return places == (labels if plain else jnp.asarray(_told(mask, shape[1]))[None])


def _told(mask: Mask, count: int) -> np.ndarray:
    """The place of each label, or none: listed, so that no entry has to be reckoned with."""
    labels = np.arange(count)
    inside = (labels >= mask.window[0]) & (labels < mask.window[1])
    return np.where(inside, mask.start + mask.step * labels, -1).astype(np.int32)
