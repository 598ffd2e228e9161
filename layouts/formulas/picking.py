"""What picks entries, as matrices: `δ[i+1,k]` is `I₅[1:4]`, and `δ[2,k]` the unit vector `I₅[2]`.

A slice, a flip and a piece of a longer array are rows of an identity matrix. Where an index with an
offset always lies within its array, the array is sliced: `G[k+1]` is `G[1:4]`. Where it may lie
outside, so that an entry is zero, the rows of the identity matrix spread the array out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from layouts.formulas.offsets import linear
from layouts.formulas.splitting import ShapeOf
from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Delta,
    Digits,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
    Ones,
    Sum,
    View,
)

# A gradient or a Jacobian of so many numbers is written number by number.
MOST_CELLS = 16


def picked(summand: Summand, shape_of: ShapeOf | None) -> Summand:
    """The same with slices and rows of identity matrices in place of offsets.

    Args:
        summand: any.
        shape_of: the shape of an array's formula; without it entries stay as they are.

    Returns:
        A summand of the same value; what does not run evenly along an axis stays as it is.

    Example:
        >>> k = Letter("k", 5)
        >>> picked(Summand(1, (), (Delta(Number(2), k),)), None).factors[0].array
        View(of=Identity(size=5), entries=('2',))
    """
    summand = _windowed(summand, shape_of)
    deltas, matrices = list[Delta](), list[Formula]()
    for delta in summand.deltas:
        matrix = _rows(delta.left, delta.right) or _rows(delta.right, delta.left)
        (deltas if matrix is None else matrices).append(matrix or delta)  # type: ignore[arg-type]
    factors = [_sliced(factor, shape_of) for factor in summand.factors]
    kept = [factor for factor in factors if factor is not None]
    return replace(summand, deltas=tuple(deltas), factors=(*matrices, *kept))


def _windowed(summand: Summand, shape_of: ShapeOf | None) -> Summand:
    """The same with letters that run where every entry lies within its array, and no further.

    `G[k-1]` of five entries for seven k is `I₇[1:6]`, whose rows are those k, times `G`.
    """
    windows: dict[Letter, tuple[int, int]] = {}
    for index, size in _indices(summand, shape_of):
        run = _run(index, size)
        if run is not None:
            first, last = windows.get(run.letter, (0, run.letter.size))
            windows[run.letter] = max(first, run.first), min(last, run.first + run.count)
    for letter, (first, last) in windows.items():
        if not 0 < last - first < letter.size:
            continue
        row = Letter(f"#{len(summand.summed)}", last - first)
        moved: Formula = Sum((1, 1), (row, Number(first))) if first else row
        found = summand.replaced({letter: moved})
        if letter in summand.summed:
            summed = tuple(row if n == letter else n for n in summand.summed)
            summand = replace(found, summed=summed)
        else:
            rows = Entry(
                _identity(letter.size, f"{first or ''}:{_end(last, letter)}"), (row, letter)
            )
            factors = (rows, *found.factors)
            summand = replace(found, summed=(*summand.summed, row), factors=factors)
    return summand


def _end(last: int, letter: Letter) -> str:
    return str(last) if last < letter.size else ""


def _indices(summand: Summand, shape_of: ShapeOf | None) -> Iterator[tuple[Formula, int]]:
    """Each index with the size of what it runs along."""
    for delta in summand.deltas:
        for index, letter in ((delta.left, delta.right), (delta.right, delta.left)):
            if isinstance(letter, Letter) and letter.size:
                yield index, letter.size
    for factor in summand.factors:
        if shape_of is not None and isinstance(factor, Entry):
            shape = shape_of(factor.array)
            if len(shape) == len(factor.indices):
                yield from zip(factor.indices, shape, strict=True)


def _rows(index: Formula, letter: Formula) -> Entry | None:
    """`δ[i+1,k]` as the entry `[i,k]` of `I₅[1:4]`; None where it is no picking of rows."""
    if not isinstance(letter, Letter) or not letter.size or index == letter:
        return None
    place = index.value if isinstance(index, Number) else -1
    if isinstance(place, int) and 0 <= place < letter.size:
        return Entry(_identity(letter.size, str(place)), (letter,))
    run = _run(index, letter.size)
    if run is None or not run.whole or run.entry == ":":
        return None
    return Entry(_identity(letter.size, run.entry), (run.letter, letter))


def _sliced(factor: Formula, shape_of: ShapeOf | None) -> Formula | None:
    """An entry of a slice, its indices letters; None for one of ones."""
    if shape_of is None or not isinstance(factor, Entry):
        return factor
    shape, indices = shape_of(factor.array), factor.indices
    if len(shape) == len(indices) == 1 and isinstance(indices[0], Digits):
        return _regrouped(factor, indices[0])
    if len(shape) != len(indices):
        return factor
    runs = [_run(index, size) for index, size in zip(indices, shape, strict=True)]
    if any(run and not run.whole for run in runs):
        return factor
    if all(run is None or run.entry == ":" for run in runs):
        return replace(
            factor,
            indices=tuple(
                run.letter if run else index for index, run in zip(indices, runs, strict=True)
            ),
        )
    if isinstance(factor.array, Ones) and len(indices) == 1:
        return None
    slices = [
        run.entry if run else str(getattr(index, "value", ":"))
        for index, run in zip(indices, runs, strict=True)
    ]
    while slices[-1] == ":":
        slices.pop()
    pairs = zip(indices, runs, strict=True)
    kept = (run.letter if run else n for n, run in pairs if run or not isinstance(n, Number))
    return Entry(View(factor.array, tuple(slices)), tuple(kept))


def in_digits(summand: Summand, letter: Letter) -> tuple[tuple[Letter, Letter], Summand] | None:
    """A summand with two letters in place of an index that a δ makes of them.

    Args:
        summand: in index notation.
        letter: the index.

    Returns:
        The two letters, the same for all of their sizes, and the summand without the δ; None
        where there is no such δ.
    """
    for delta in summand.deltas:
        sides = (delta.left, delta.right)
        index, other = sides if delta.right == letter else sides[::-1]
        if other != letter or not isinstance(index, Digits) or len(index.letters) != 2:
            continue
        if {*index.letters} <= {*summand.summed}:
            new = [replace(n, text=f"#{at}") for n, at in zip(index.letters, "rc", strict=True)]
            rest = replace(
                summand,
                summed=tuple(n for n in summand.summed if n not in index.letters),
                deltas=tuple(other for other in summand.deltas if other != delta),
            )
            pair = dict(zip(index.letters, new, strict=True))
            return (new[0], new[1]), rest.replaced(pair)
    return None


def _regrouped(entry: Entry, index: Digits) -> Entry:
    """`D[(k,l)]` as the entry `[k,l]` of `reshape(D, shape=(3, 5))`."""
    sizes = tuple(letter.size for letter in index.letters)
    return Entry(Call("reshape", (entry.array,), (("shape", sizes),)), index.letters)


@dataclass(frozen=True)
class _Run:
    """Where the index `step letter + start` lies within an axis.

    Attributes:
        letter: the one letter in it.
        first: the letter's first value that has a place.
        count: how many have one.
        entry: the slice of the axis that they pick.
    """

    letter: Letter
    first: int
    count: int
    entry: str

    @property
    def whole(self) -> bool:
        """Whether every value of the letter has a place."""
        return self.count == self.letter.size


def _run(index: Formula, size: int) -> _Run | None:
    """Where an index runs along an axis; None where it is no such index, or nowhere on it."""
    own = _alone(index)
    if own is None:
        return None
    letter, step, start = own
    # The places of the first and the last value, counted upwards, and where they leave the axis.
    below, above = (-start, size - 1 - start) if step > 0 else (start - size + 1, start)
    first = max(0, -(-below // abs(step)))
    count = min(letter.size - 1, above // abs(step)) + 1 - first
    if count < 1:
        return None
    return _Run(letter, first, count, _slice(start + step * first, step, count, size))


def _alone(index: Formula) -> tuple[Letter, int, int] | None:
    """The letter, the step and the start of `2 i + 3`; None where it is no such index."""
    found = linear(index)
    start = found.pop(Number(1), 0)
    if len(found) != 1:
        return None
    ((letter, step),) = found.items()
    return (letter, step, start) if isinstance(letter, Letter) and letter.size and step else None


def _slice(start: int, step: int, count: int, size: int) -> str:
    """`1:4`, `::-1` for so many places along an axis."""
    past = start + step * (count - 1) + (1 if step > 0 else -1)
    ends = (0, size) if step > 0 else (size - 1, -1)
    first = "" if start == ends[0] else str(start)
    after = "" if past == ends[1] else str(past)
    return f"{first}:{after}" + (f":{step}" if abs(step) != 1 or step < 0 else "")


def _identity(size: int, entry: str) -> Formula:
    return Identity(size) if entry == ":" else View(Identity(size), (entry,))


def cells(
    summands: Sequence[Summand], letters: Sequence[Letter | None]
) -> dict[tuple[int, ...], list[Summand]] | None:
    """The summands of each number of an array whose numbers are told one by one.

    Args:
        summands: in index notation, their deltas applied.
        letters: those of the array's axes.

    Returns:
        The summands by their place, without the deltas that tell it; None where one of them has
        more places than one, or most places have none.

    Example:
        >>> k, x = Letter("k", 2), Entry(Number(5), ())
        >>> found = cells([Summand(n, (), (Delta(Number(n - 1), k),)) for n in (1, 2)], [k])
        >>> sorted(found)
        [(0,), (1,)]
    """
    count = prod(own.size for own in letters if own)
    if not letters or count > MOST_CELLS:
        return None
    found: dict[tuple[int, ...], list[Summand]] = {}
    for summand in summands:
        places: dict[Formula, int] = {}
        rest = []
        for delta in summand.deltas:
            sides = (delta.left, delta.right)
            number, letter = sides if isinstance(delta.left, Number) else sides[::-1]
            if isinstance(number, Number) and letter in letters and letter not in places:
                places[letter] = int(number.value.real)
            else:
                rest.append(delta)
        if any(own is not None and own not in places for own in letters):
            return None
        place = tuple(0 if own is None else places[own] for own in letters)
        fixed: dict[Formula, Formula] = {n: Number(at) for n, at in places.items()}
        found.setdefault(place, []).append(replace(summand, deltas=tuple(rest)).replaced(fixed))
    return found if 2 * len(found) >= count > 1 else None
