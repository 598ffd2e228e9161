"""Paths with another weight: a sign on one of them, a factor, one that is counted twice.

The gradient is a sum over paths. What one path carries is what is missing where its cotangent is
zero, so a candidate that gives a path another weight is `a R + b P`, of the right gradient `R` and
of what the path carries `P`: two numbers, solved for, and held to at every input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from layouts.doctor.changes import shown_term
from layouts.doctor.guesses import Guess, OnTape, Page, Part
from layouts.doctor.hypotheses import Hypothesis, at, of_cotangent
from layouts.doctor.listing import Listing
from layouts.doctor.ratios import Constant
from layouts.doctor.results import difference
from layouts.doctor.tape import Edit, Tape

# Paths whose weights are solved for alone, and two at a time.
MOST_PATHS = 60
MOST_PAIRED = 16


@dataclass(frozen=True)
class Path:
    """A part of the gradient.

    Attributes:
        words: where it comes from.
        carries: its part of the right gradient, at an input; None where it cannot be made.
        rank: how far-fetched it is to think of it by itself.
    """

    words: str
    carries: Callable[[int], np.ndarray | None]
    rank: int


@dataclass(frozen=True)
class Weighted(Guess):
    """The gradient with other weights than one.

    Attributes:
        right: the right gradient at each input.
        rest: the weight of all that is no path of these.
        paths: with their weights.
    """

    right: Sequence[np.ndarray]
    rest: float
    paths: tuple[tuple[Path, float], ...]

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input."""
        total = self.rest * self.right[number]
        for path, weight in self.paths:
            part = path.carries(number)
            if part is None:
                return None
            total = total + (weight - self.rest) * part
        return total


def paths_of(
    listing: Listing,
    tapes: Sequence[Tape],
    variable: int,
    page: Page | None,
    right: Sequence[np.ndarray],
) -> list[Path]:
    """The terms of the gradient as it is written, the uses of a variable, intermediates.

    Args:
        listing: the function.
        tapes: a run of it at each input.
        variable: the input whose gradient is asked for.
        page: the gradient as it is written, where it has a formula.
        right: the gradient at each input.
    """
    found = [] if page is None else list(_terms(page))
    for edit, words, rank in _cuts(listing, tapes[0]):
        if tapes[0].depends(edit, variable):
            cut = OnTape.of(Hypothesis("missing-path", words, "", edit), tapes, variable)
            found.append(Path(words, _carried(cut, right), rank))
    return found[:MOST_PATHS]


def _terms(page: Page) -> Iterator[Path]:
    """The terms as they are written, where there are several."""
    if len(page.written.summands) > 1:
        for summand in page.written.summands:
            words = f"the term {shown_term(summand)}"
            yield Path(words, lambda number, s=summand: page.value([s], number), 0)  # type: ignore[misc]


def _cuts(listing: Listing, tape: Tape) -> Iterator[tuple[Edit, str, int]]:
    """Edits that cut one path, and what it goes through."""
    for variable in sorted(tape.active):
        uses = [
            (number, place)
            for number, place in listing.uses(variable)
            if place in tape.places(listing.steps[number])
        ]
        for number, place in uses if len(uses) > 1 else ():
            edit = at(number, place, lambda g, c, t: np.zeros_like(c))
            yield edit, f"what comes through {listing.steps[number].name}", 1
    for step in listing.steps:
        for variable in step.results:
            if variable in tape.active and variable != listing.output:
                edit = of_cotangent(variable, lambda g, t: np.zeros_like(g))
                yield edit, f"what comes through the result of {step.name}", 2


def _carried(cut: OnTape, right: Sequence[np.ndarray]) -> Callable[[int], np.ndarray | None]:
    known: dict[int, np.ndarray | None] = {}

    def carries(number: int) -> np.ndarray | None:
        if number not in known:
            without = cut.value(number)
            known[number] = None if without is None else right[number] - without
        return known[number]

    return carries


def weighted(
    paths: Sequence[Path],
    given: Sequence[np.ndarray],
    right: Sequence[np.ndarray],
    names: Callable[[float], Constant | None],
    tolerance: float,
) -> list[tuple[Weighted, float]]:
    """Weights of one path, else of two, that give the candidate; each with its residual.

    Args:
        paths: the parts that the gradient may be taken apart into.
        given: the candidate at each input.
        right: the gradient at each input.
        names: what a number may stand for.
        tolerance: relative to the largest entry.
    """
    if any(a.shape != b.shape for a, b in zip(given, right, strict=True)):
        return []
    # At few entries the weights are solved for at all inputs at once.
    count = len(given) if given[0].size < 8 else 1
    distinct = _distinct(paths, right, count, tolerance)
    target, whole = _stacked(given[:count]), _stacked(right[:count])
    for several in (1, 2):
        found = []
        for chosen in combinations(distinct[:MOST_PAIRED] if several > 1 else distinct, several):
            columns = np.stack([whole, *(array for _, array in chosen)], axis=1)
            if len(columns) <= len(columns.T):
                continue
            (first, *others), *_ = np.linalg.lstsq(columns, target, rcond=None)
            if difference(columns @ [first, *others], target) > tolerance:
                continue
            weights = [first + other for other in others]
            guess = _named([path for path, _ in chosen], first, weights, right, names)
            residual = float("inf") if guess is None else _residual(guess, given)
            if guess is not None and residual <= tolerance:
                found.append((guess, residual))
        if found:
            return found
    return []


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _distinct(
    paths: Sequence[Path], right: Sequence[np.ndarray], count: int, tolerance: float
) -> list[tuple[Path, np.ndarray]]:
    """Those that carry a part of the gradient, and not all of it, the plainest of each."""
    whole = _stacked(right[:count])
    kept: list[tuple[Path, np.ndarray]] = []
    for path in sorted(paths, key=lambda path: path.rank):
        parts = [path.carries(number) for number in range(count)]
        if any(part is None or part.shape != right[0].shape for part in parts):
            continue
        array = _stacked(parts)  # type: ignore[arg-type]
        known = [np.zeros_like(whole), whole, *(other for _, other in kept)]
        scale = np.abs(whole).max(initial=0)
        if all(np.abs(array - other).max(initial=0) > 10 * tolerance * scale for other in known):
            kept.append((path, array))
    return kept


def _residual(guess: Weighted, given: Sequence[np.ndarray]) -> float:
    worst = 0.0
    for number, array in enumerate(given):
        value = guess.value(number)
        worst = float("inf") if value is None else max(worst, difference(array, value))
    return worst


def _named(
    paths: Sequence[Path],
    rest: float,
    weights: Sequence[float],
    right: Sequence[np.ndarray],
    names: Callable[[float], Constant | None],
) -> Weighted | None:
    """The mistakes that weights stand for; None where one of them is no number that has a name."""
    entries = [*((path.words, weight) for path, weight in zip(paths, weights, strict=True))]
    others = "all but " + " and ".join(path.words for path in paths)
    parts: list[Part] = []
    for words, weight in [*entries, (others, rest)]:
        of_one = _parts(words, weight, names)
        if of_one is None:
            return None
        parts += of_one
    rank = 4 + sum(path.rank for path in paths) + 2 * len(parts)
    pairs = tuple(zip(paths, weights, strict=True))
    return Weighted(parts, rank, right, rest, pairs) if parts else None


def _parts(
    words: str, weight: float, names: Callable[[float], Constant | None]
) -> list[Part] | None:
    """The mistakes of one weight: none where it is one."""
    if abs(weight) < 1e-6:
        return [("missing-path", f"{words} is left out", "add the cotangents of all paths")]
    constant = names(weight)
    if constant is None:
        return None
    bare = constant.name.removeprefix("-")
    parts = []
    if bare != "1":
        meaning = f", where {constant.meaning}" if constant.meaning else ""
        parts.append(
            ("constant-factor", f"{words} is multiplied by {bare}{meaning}", "take it once")
        )
    if constant.value < 0:
        parts.append(("sign", f"{words} has the wrong sign", "change its sign"))
    return parts
