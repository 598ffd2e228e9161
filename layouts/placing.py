"""Terms with few entries put at their places in an array of zeros, where masks would test all.

In a small array each entry is looked up in a list of theirs.
"""

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from layouts.nodes import Indices, Mask
from layouts.parts import Part, expand
from layouts.selection import moves_back

# Measured on CPUs: placing is worth it where so many zeros stand for each entry, in arrays of at
# most SMALL entries and in larger ones, counted for each of several terms, as masks test them all
# each time. Waking a thread for the masks of a small one takes as long as so many zeros MORE. Fewer
# do where a mask tests slowly (up to ten times), and fewer still for several terms whose entries
# stand in runs.
LEAST, SMALL, MORE = 2**12, 2**18, 2**17
ZEROS_IN_SMALL, ZEROS_IN_LARGE, ZEROS_BESIDE_SLOW, ZEROS_BESIDE_RUNS = 200, 600, 64, 16

# What XLA runs at once on CPUs has fewer operations than this; and so many zeros for each entry and
# term make a table of where entries come from worth it.
AT_ONCE, ZEROS_LOOKED_UP = 1000, 16

# Where entries stand, by axis: an array of places, or a slice along the whole of it; and these.
Placed = tuple[tuple[Any, ...], jax.Array]


def placed(parts: Sequence[Part]) -> jax.Array | None:
    """The sum of terms on the same digits, each at its places in zeros.

    None where they have too many entries for that, or their places cannot be listed.
    """
    parts = [_turned(part) for part in parts]
    if all(part.value is None for part in parts):  # ones alone: the compiler writes them sooner
        return None
    if not all(map(_listed, parts)):
        return None
    if _worth_looking_up(parts) and (found := _looked_up(_joined(parts))) is not None:
        return found
    return _added_up(_joined(parts)) if _worth_placing(parts) else None


def _worth_placing(parts: Sequence[Part]) -> bool:
    """Whether terms have so few entries that adding them at their places is quicker than masks."""
    whole, counts = prod(parts[0].shape), [_entries(part) for part in parts]
    if whole < LEAST:
        return False
    if len(parts) > 1 and all(map(_runs, parts)):
        return ZEROS_BESIDE_RUNS * max(counts) <= whole
    slow = len(parts) > 1 and any(map(_slowly_tested, parts))
    tested, entries = whole * len(parts), sum(counts)
    if slow:
        return ZEROS_BESIDE_SLOW * entries <= tested
    if whole <= SMALL:
        return ZEROS_IN_SMALL * entries <= tested + MORE
    return ZEROS_IN_LARGE * entries <= tested


def _worth_looking_up(parts: Sequence[Part]) -> bool:
    """Whether a small array is written sooner by a table of where each entry comes from.

    XLA runs a program of less than a thousand operations at once and wakes a thread for others;
    that takes longer than writing a small array, and looking up is no operation.
    """
    whole = prod(parts[0].shape)
    if whole > LEAST or whole * 2 * len(parts) < AT_ONCE:
        return False
    if any(mask.table for part in parts for mask in part.pattern.masks):
        return False
    return ZEROS_LOOKED_UP * sum(map(_entries, parts)) <= whole * len(parts)


def _added_up(parts: Sequence[Part]) -> jax.Array:
    """The sum of terms, each added at its places in zeros."""
    shape, found = parts[0].shape, list(map(_at_places, parts))
    groups = _grouped([at for at, _ in found], shape)
    runs: list[Placed] = []
    lists: list[Placed] = []
    for places, entries in found:
        at = tuple(_as_one_axis(places, shape, group) for group in groups)
        whole = any(isinstance(place, slice) for place in at)
        (runs if whole else lists).append((at, entries))
    zero = reduce(operator.add, (jnp.zeros_like(part.array, shape=()) for part in parts))
    if prod(shape) >= SMALL:  # known beforehand it is copied, which takes up to 6 times as long
        zero = lax.optimization_barrier(zero)
    merged = [prod(shape[axis] for axis in group) for group in groups]
    total = jnp.broadcast_to(zero, merged)
    for at, entries in runs:
        total = total.at[at].add(entries, mode="drop", unique_indices=True)
    if lists:  # all of them in one step, which compiles once
        at, entries = _one_after_another(lists)
        total = total.at[at].add(entries, mode="drop", unique_indices=len(lists) == 1)
    return jnp.reshape(total, shape)


def _grouped(found: Sequence[Sequence[Any]], shape: Sequence[int]) -> list[list[int]]:
    """The axes, as one those in a row along which every term lists its places.

    Measured on CPUs: an entry is put at its place in two axes in half the time that four take. But
    zeros along one axis alone may take twice as long: those are two axes, about equally long.
    """
    axes = range(len(shape))
    listed = [not any(isinstance(at[axis], slice) for at in found) for axis in axes]
    groups: list[list[int]] = []
    for axis in axes:
        if axis and listed[axis - 1] and listed[axis]:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if len(groups) > 1 or len(shape) < 2:
        return groups
    half = min(axes[1:], key=lambda n: prod(shape[:n]) + prod(shape[n:]))
    return [[*axes[:half]], [*axes[half:]]]


def _as_one_axis(places: Sequence[Any], shape: Sequence[int], group: Sequence[int]) -> Any:
    """Places along several axes as places along one; past the end where one of them is."""
    if len(group) == 1:
        return places[group[0]]
    own, extents = [places[axis] for axis in group], [shape[axis] for axis in group]
    inside = reduce(operator.and_, map(operator.lt, own, extents))
    total = reduce(lambda count, pair: count * pair[0] + pair[1], zip(extents, own, strict=True), 0)
    where: Any = np.where if isinstance(inside, np.ndarray) else jnp.where
    return where(inside, total, prod(extents)).astype(np.int32)


def _looked_up(parts: Sequence[Part]) -> jax.Array | None:
    """The sum of terms, each entry looked up among a zero and theirs.

    None where terms meet, and to add what is looked up for each would take a thread to wake.
    """
    shape = parts[0].shape
    tables: list[np.ndarray] = []
    found, count = [jnp.zeros(1, bool)], 1
    for at, entries in map(_at_places, parts):
        places = np.zeros([extent + 1 for extent in shape], np.int32)  # one past the end
        at = tuple(slice(n) if isinstance(p, slice) else p for p, n in zip(at, shape, strict=True))
        places[at] = np.arange(count, count + entries.size).reshape(entries.shape)
        places = places[tuple(map(slice, shape))]
        free = next((n for n, table in enumerate(tables) if not (table * places).any()), None)
        if free is None:
            tables.append(places)
        else:
            tables[free] = tables[free] + places
        found.append(jnp.ravel(entries))
        count += entries.size
    if len(tables) > 1 and prod(shape) >= AT_ONCE:
        return None
    known = jnp.concatenate(found)
    return reduce(operator.add, (known.at[table].get(mode="promise_in_bounds") for table in tables))


def _one_after_another(found: Sequence[Placed]) -> Placed:
    """The entries of several terms and their places, as one list."""
    flat = [
        ([jnp.ravel(jnp.broadcast_to(place, entries.shape)) for place in at], jnp.ravel(entries))
        for at, entries in found
    ]
    places, entries = zip(*flat, strict=True)
    return tuple(map(jnp.concatenate, zip(*places, strict=True))), jnp.concatenate(entries)


def _entries(part: Part) -> int:
    told = {mask.place for mask in part.pattern.masks}
    return prod(part.pattern.extents[n] for n in part.first if n not in told)


def _slowly_tested(part: Part) -> bool:
    """Whether a mask of it reads a table, or a label that runs along no digit."""
    return any(
        mask.table or not part.first.keys() >= {mask.place, *mask.labels}
        for mask in part.pattern.masks
    )


def _runs(part: Part) -> bool:
    """Whether its entries stand in runs: deltas alone tie it, but not along the last digit."""
    last = len(part.shape) - 1
    return bool(part.deltas) and not part.pattern.masks and all(last not in d for d in part.deltas)


def _turned(part: Part) -> Part:
    """The same term; its selections tell places that its array does not know, where they can."""
    known = part.pattern.value or ()
    masks = [_inverted(mask) if mask.place in known else mask for mask in part.pattern.masks]
    return replace(part, pattern=replace(part.pattern, masks=tuple(masks)))


def _inverted(mask: Mask) -> Mask:
    """The same selection with the label told from the place; as it is where it cannot be."""
    moves = None if mask.table else moves_back(mask.start, mask.step, mask.window)
    return mask if moves is None else Mask(mask.labels[0], (mask.place,), *moves, False)


def _listed(part: Part) -> bool:
    """Whether it is tied at all, and its selections tell places, from digits or what others tell.

    Its array knows none of these. A hidden label has one value, a hidden place tells another.
    """
    masks, extents = part.pattern.masks, part.pattern.extents
    places, labels = {mask.place for mask in masks}, {n for mask in masks for n in mask.labels}
    tied = len(places) == len(masks) and bool(masks or part.deltas)
    apart = tied and places.isdisjoint(part.pattern.value or ())
    hidden = (places | labels) - part.first.keys()
    told = all(n in labels if n in places else extents[n] == 1 for n in hidden)
    tables = {n for mask in masks if mask.table for n in mask.labels}
    return apart and told and places.isdisjoint(tables) and _order(part) is not None


def _order(part: Part) -> list[int] | None:
    """Its selections, each after those that tell its labels; None where they go in a circle."""
    place = {mask.place: n for n, mask in enumerate(part.pattern.masks)}
    told = TopologicalSorter({mask.place: mask.labels for mask in part.pattern.masks})
    try:
        return [place[n] for n in told.static_order() if n in place]
    except CycleError:
        return None


def _spread(part: Part) -> list[int]:
    """The indices whose values are counted out: those that stand at several digits, and labels."""
    pattern = part.pattern
    tied = [pattern.digits[place] for place, _ in part.deltas]
    labels = [n for mask in pattern.masks for n in mask.labels]
    places = {mask.place for mask in pattern.masks}
    return [n for n in dict.fromkeys((*tied, *labels)) if n not in places]


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Terms at the same places as one: their entries are added before they are placed."""
    found: dict[tuple, Part] = {}
    for part in parts:
        pattern = part.pattern
        key = (pattern.digits, pattern.masks, *map(id, part.tables))
        found[key] = _both(found[key], part) if key in found else part
    return list(found.values())


def _both(one: Part, other: Part) -> Part:
    """The sum of two terms at the same places, over the indices of both."""
    listed = [part.pattern.value or () for part in (one, other)]
    union = tuple(sorted({*listed[0], *listed[1]}, key=one.pattern.digits.index))
    arrays = (expand(part.array, n, union) for part, n in zip((one, other), listed, strict=True))
    pattern = replace(one.pattern, value=union, coefficient=1)
    return Part(pattern, operator.add(*arrays), one.tables)


def _at_places(part: Part) -> Placed:
    """A term's places and its entries there: a run for each value of the indices listed."""
    pattern, listed = part.pattern, _spread(part)
    spread = tuple(pattern.extents[n] for n in listed)
    places: dict[int, Any] = dict(zip(listed, np.indices(spread, np.int32), strict=True))
    for n in _order(part) or ():
        mask, table = pattern.masks[n], part.tables[n]
        places[mask.place] = _places(mask, table, places, listed, pattern.extents[mask.place])
    at = tuple(places.get(n, slice(None)) for n in pattern.digits)
    rest = [n for n in pattern.digits if n not in places]
    stand = [place for place, n in enumerate(pattern.digits) if n in places]
    # NumPy's rule: what is listed comes first, or in its place where it stands together.
    before = stand[0] if stand[-1] - stand[0] == len(stand) - 1 else 0
    order = (*rest[:before], *listed, *rest[before:])
    entries = expand(part.array, pattern.value or (), order)
    return at, jnp.broadcast_to(entries, [pattern.extents[n] for n in order])


def _places(
    mask: Mask,
    table: jax.Array | None,
    labels: dict[int, Any],
    listed: Indices | Sequence[int],
    extent: int,
) -> Any:
    """The place of each label; past the end where it has none."""
    if table is not None:
        shape = next(iter(labels.values())).shape
        return jnp.broadcast_to(expand(table.astype(np.int32), mask.labels, tuple(listed)), shape)
    label = labels[mask.labels[0]]
    inside = (label >= mask.window[0]) & (label < mask.window[1])
    where: Any = jnp.where if isinstance(label, jax.Array) else np.where
    return where(inside, mask.start + mask.step * label, extent).astype(np.int32)
