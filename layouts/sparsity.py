"""Where the structure of a Jacobian lets an entry be other than zero, exactly or in pieces.

A pattern is read off deltas and selections alone; factors are not looked at, so that an entry which
happens to be zero counts as one that may be there. Each axis is cut into pieces, as many as it has
places for the exact pattern: whatever the size of the Jacobian, the work is that of the pieces and
of the tables, never that of the dense array.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import gcd, prod

import numpy as np

from layouts.axes import Axis, Label
from layouts.nodes import Leaf
from layouts.selection import Selection
from layouts.terms import Term, Terms

Shape = tuple[int, ...]
Tables = Mapping[int, np.ndarray]
# A label in one of the places where it stands, and into how many pieces it is cut there.
Digit = tuple[Label, int]

# Where labels on neither side would make the pattern of a term larger, they are left out of it.
MOST_PLACES = 4_000_000


def pattern(terms: Terms, tables: Tables, out: Sequence[int], into: Sequence[int]) -> np.ndarray:
    """Which pieces may hold an entry that is not zero.

    Args:
        terms: of a Jacobian.
        tables: the places that lookups list, by the index of their leaf; a lookup whose table is
            missing is taken to reach everywhere.
        out: into how many pieces each output axis is cut, see `pieces`.
        into: the same of each input axis.

    Returns:
        An array of booleans of shape out + into. With an axis's own size as the number of its
        pieces it is exact; with less, a piece may be marked that two ties together rule out.

    Example:
        >>> i, k = Label(6), Label(4)
        >>> piece = Term(((i,),), ((k,),), selections=(Selection.affine(i, k, 2),))
        >>> pattern((piece,), {}, (3,), (2,)).astype(int).tolist()
        [[0, 0], [1, 0], [0, 1]]
    """
    found = np.zeros((*out, *into), bool)
    for term in terms:
        found |= _of_term(term, tables, (*out, *into)).reshape(found.shape)
    return found


def pieces(terms: Terms, out_shape: Shape, in_shape: Shape, most: int) -> tuple[Shape, Shape]:
    """Into how many pieces to cut each axis so that either side has at most so many.

    An axis of several digits is cut between the values of its first one; where terms write an axis
    in digits that do not agree, it may have to stay whole.

    Example:
        >>> pieces((), (100, 3), (5,), 64)
        ((21, 3), (5,))
    """
    outs = [[term.out[n] for term in terms] for n in range(len(out_shape))]
    intos = [[term.into[n] for term in terms] for n in range(len(in_shape))]
    return _cut(outs, out_shape, most), _cut(intos, in_shape, most)


def _cut(axes: Sequence[Sequence[Axis]], shape: Shape, most: int) -> Shape:
    """The smallest axes first; the larger ones share what is left."""
    counts = list(shape)
    order = sorted(range(len(shape)), key=shape.__getitem__)
    for place, n in enumerate(order):
        share = int(most ** (1 / (len(order) - place)) + 1e-9)
        counts[n] = _count(axes[n], shape[n], max(share, 1))
        most //= max(counts[n], 1)
    return tuple(counts)


def _count(axes: Sequence[Axis], size: int, most: int) -> int:
    if size <= most:
        return size
    if all(len(axis) == 1 for axis in axes):
        return most
    common = gcd(*(axis[0].size for axis in axes))
    return next(count for count in range(most, 0, -1) if common % count == 0)


def _of_term(term: Term, tables: Tables, counts: Sequence[int]) -> np.ndarray:
    """The pattern of one term, an axis for each digit."""
    digits = [
        digit
        for axis, count in zip((*term.out, *term.into), counts, strict=True)
        for digit in _digits(axis, count)
    ]
    sides = len(digits)
    shown = prod(count for _, count in digits)
    beside = prod(label.size for label in term.hidden)
    fits = shown * beside <= MOST_PLACES
    digits += [(label, label.size if fits else 1) for label in term.hidden]
    found = np.ones([count for _, count in digits], bool)
    for places, relation in _relations(term, tables, digits):
        found &= _spread(relation, places, len(digits))
    return np.asarray(found.any(axis=tuple(range(sides, len(digits)))))


def _digits(axis: Axis, count: int) -> list[Digit]:
    """The digits of an axis with their pieces: all of them, or the first alone is cut."""
    if prod(label.size for label in axis) == count:
        return [(label, label.size) for label in axis]
    return [(label, 1 if place else count) for place, label in enumerate(axis)]


def _relations(
    term: Term, tables: Tables, digits: Sequence[Digit]
) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """What ties digits, each by the axes of the digits and the pieces that may meet."""
    where: dict[Label, list[int]] = {}
    for place, (label, _) in enumerate(digits):
        where.setdefault(label, []).append(place)
    found: list[tuple[tuple[int, ...], np.ndarray]] = []
    for places in where.values():
        for pair in combinations(places, 2):
            cut = [digits[place] for place in pair]
            values = np.concatenate(list(map(_firsts, cut)))
            found.append((pair, _meeting(cut, [values, values])))
    for selection in term.selections:
        ends = [where[label][0] for label in (selection.place, *selection.labels)]
        listed = _values(selection, tables, [digits[end] for end in ends])
        if listed is not None:
            ends, listed = _without_loops(ends, listed)
            found.append((tuple(ends), _meeting([digits[end] for end in ends], listed)))
    return found


def _firsts(digit: Digit) -> np.ndarray:
    """The first value of each piece; in between, nothing changes."""
    label, count = digit
    return -(-np.arange(count) * label.size // max(count, 1))


def _values(
    selection: Selection, tables: Tables, digits: Sequence[Digit]
) -> list[np.ndarray] | None:
    """Places and labels that go together, some for each pair of pieces; None if not known."""
    if selection.table is None:
        start, step, (first, last) = selection.start, selection.step, selection.window
        ends = (_firsts(digits[0]) - start) // step  # at or next to where the place's piece ends
        labels = np.concatenate([_firsts(digits[1]), [first], ends - 1, ends, ends + 1])
        labels = labels[(labels >= first) & (labels < last)]
        return [start + step * labels, labels]
    assert isinstance(selection.table, Leaf)
    if selection.table.index not in tables:
        return None
    table = tables[selection.table.index]
    inside = (table >= 0) & (table < selection.place.size)
    return [table[inside].astype(np.int64), *np.nonzero(inside)]


def _without_loops(
    ends: Sequence[int], values: Sequence[np.ndarray]
) -> tuple[list[int], list[np.ndarray]]:
    """A digit that is tied to itself once, with the entries where both its values are one."""
    first = {end: values[place] for place, end in reversed(list(enumerate(ends)))}
    agree = [first[end] == value for end, value in zip(ends, values, strict=True)]
    kept = np.logical_and.reduce(agree)
    return list(first), [value[kept] for value in first.values()]


def _meeting(digits: Sequence[Digit], values: Sequence[np.ndarray]) -> np.ndarray:
    """Which pieces hold values that go together."""
    found = np.zeros([count for _, count in digits], bool)
    numbers = [v * count // label.size for v, (label, count) in zip(values, digits, strict=True)]
    found[tuple(numbers)] = True
    return found


def _spread(relation: np.ndarray, places: Sequence[int], rank: int) -> np.ndarray:
    """The axes of a relation at these places among so many, the rest of size one."""
    order = sorted(range(len(places)), key=places.__getitem__)
    missing = [n for n in range(rank) if n not in places]
    return np.expand_dims(relation.transpose(order), missing)
