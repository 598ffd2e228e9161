"""How far each letter of a formula runs, and letters of their own for sums beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from math import prod

from layouts.errors import LayoutError
from layouts.formulas.offsets import linear
from layouts.formulas.tree import Delta, Digits, Entry, Formula, Letter, Number, Sigma

Shape = tuple[int, ...]
# Between a letter and the number that keeps it apart from another of the same text.
_APART = "~"


def renamed(formula: Formula, new: Mapping[str, Letter]) -> Formula:
    """The formula with letters replaced, those that a Sigma within it binds too."""
    if isinstance(formula, Letter):
        return new.get(formula.text, formula)
    return formula.rebuilt(lambda part: renamed(part, new))


def free_letters(formula: Formula) -> tuple[Letter, ...]:
    """The letters that no Sigma binds, in the order of their first appearance.

    Example:
        >>> i, j = Letter("i"), Letter("j")
        >>> [x.text for x in free_letters(Sigma((j,), Delta(j, i)))]
        ['i']
    """
    found: dict[str, Letter] = {}
    for letter in _free(formula):
        if letter.size or letter.text not in found:
            found[letter.text] = letter
    return tuple(found.values())


def _free(formula: Formula) -> Iterator[Letter]:
    if isinstance(formula, Letter):
        yield formula
    elif isinstance(formula, Sigma):
        bound = {letter.text for letter in formula.letters}
        yield from (letter for letter in _free(formula.body) if letter.text not in bound)
    else:
        for part in formula.parts:
            yield from _free(part)


def apart(formula: Formula) -> Formula:
    """The formula with a text of its own for each letter that a Sigma binds."""
    numbers = count(1)

    def change(part: Formula) -> Formula:
        part = part.rebuilt(change)
        if not isinstance(part, Sigma):
            return part
        new = {x.text: replace(x, text=f"{x.text}{_APART}{next(numbers)}") for x in part.letters}
        return renamed(part, new)

    return change(formula)


def written(letter: str) -> str:
    """A letter's text as the formula has it."""
    return letter.partition(_APART)[0]


def sizes(
    formula: Formula,
    shape: Callable[[Formula], Shape | None],
    given: Mapping[str, int],
    else_given: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """How far each letter runs.

    A letter's own size counts first, then the axes that it stands on alone, then the other side of
    a delta; last, inside `x[i+2]` it runs as far as the array has entries.

    Args:
        formula: with letters kept apart by `apart`.
        shape: the shape of an array in it, None where that is not known.
        given: sizes that are known beforehand, by letter.
        else_given: sizes of letters for which all of this finds none.

    Returns:
        The size of each letter that can be found.

    Raises:
        LayoutError: if one letter runs along axes of two sizes.
    """
    nodes = list(formula.walk())
    own = {node.text: node.size for node in nodes if isinstance(node, Letter) and node.size}
    fixed = {**own, **given}
    places = [place for node in nodes if isinstance(node, Entry) for place in _places(node, shape)]
    found = {**_plain(places, fixed), **fixed}
    _match(nodes, found)
    for more in ({}, else_given or {}):
        found = {**more, **found}
        for index, extent in places:
            _fit(index, extent, found)
        _match(nodes, found)
    return found


def _match(nodes: list[Formula], found: dict[str, int]) -> None:
    """Give the letter on one side of a delta the size of the other."""
    deltas = [node for node in nodes if isinstance(node, Delta)]
    for _ in deltas:  # a chain of deltas hands a size on from one to the next
        for delta in deltas:
            for one, other in ((delta.left, delta.right), (delta.right, delta.left)):
                if not isinstance(other, Letter) or other.text not in found:
                    continue
                if isinstance(one, Letter):
                    found.setdefault(one.text, found[other.text])
                elif isinstance(one, Digits):
                    _fit(one, found[other.text], found)


def _places(
    entry: Entry, shape: Callable[[Formula], Shape | None]
) -> Iterator[tuple[Formula, int]]:
    """Each index with the size of the axis that it stands on."""
    extents = shape(entry.array)
    if extents is not None and len(extents) == len(entry.indices):
        yield from zip(entry.indices, extents, strict=True)


def _plain(places: list[tuple[Formula, int]], fixed: Mapping[str, int]) -> dict[str, int]:
    """Sizes of the letters that stand alone on an axis."""
    found: dict[str, int] = {}
    for index, extent in places:
        if not isinstance(index, Letter) or index.text in fixed:
            continue
        other = found.setdefault(index.text, extent)
        if other != extent:
            letter = written(index.text)
            remedy = f"check the order of the indices wherever {letter} stands"
            received = f"axes of {other} and {extent}"
            raise LayoutError(f"letter {letter}", "axes of one size", received, remedy)
    return found


def _fit(index: Formula, extent: int, found: dict[str, int]) -> None:
    """Give the one letter of an index that has no size, as in `i+2` or `(i,j)`, what fits."""
    if isinstance(index, Digits):
        unknown = [letter.text for letter in index.letters if letter.text not in found]
        rest = prod(found.get(letter.text, 1) for letter in index.letters)
        if len(unknown) == 1 and rest and extent % rest == 0:
            found[unknown[0]] = extent // rest
        return
    read = affine(index)
    if read is None:
        return
    slopes, start = read
    unknown = [letter for letter in slopes if letter not in found]
    if len(unknown) != 1 or not slopes[unknown[0]]:
        return
    slope = slopes.pop(unknown[0])
    # Upwards the last entry bounds it, whatever the other letters are; downwards the first.
    ends = [(times, found[letter] - 1) for letter, times in slopes.items()]
    first = start + sum(times * last for times, last in ends if times < 0)
    last = start + sum(times * last for times, last in ends if times > 0)
    reach = (extent - 1 - last) // slope if slope > 0 else first // -slope
    found[unknown[0]] = max(reach + 1, 0)


def affine(index: Formula) -> tuple[dict[str, int], int] | None:
    """`2 i + 3` as the multiple of each letter and the number; None for anything else."""
    found = linear(index)
    start = found.pop(Number(1), 0)
    if not all(isinstance(atom, Letter) for atom in found):
        return None
    return {atom.text: times for atom, times in found.items() if isinstance(atom, Letter)}, start
