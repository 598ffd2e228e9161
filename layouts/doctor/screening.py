"""What guesses give at the first input, compared at some entries before it is at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from layouts.doctor.guesses import Guess
from layouts.doctor.results import difference

# Entries that are compared of a larger gradient. Of thousands of guesses all but a few go wrong at
# any of them; and thousands of gradients of a large layer would not fit into memory.
MOST_ENTRIES = 4_096
# Entries that are compared before these.
FEW = 64

# A guess, what it gives at the entries that are compared, and how far that is from the candidate.
Scored = tuple[Guess, np.ndarray, float]


class Screen:
    """Some entries of a candidate and of the right gradient at the first input.

    Args:
        given: the candidate.
        right: the right gradient.
        tolerance: relative to the largest entry.
    """

    def __init__(self, given: np.ndarray, right: np.ndarray, tolerance: float):
        """Choose the entries."""
        self.shape, self.tolerance = given.shape, tolerance
        self.fits = given.shape == right.shape
        self.places = _places(given, right)
        self.given = self.entries(given)
        self.right = self.entries(right) if self.fits else np.empty(0)

    def entries(self, array: np.ndarray) -> np.ndarray:
        """The entries of an array that are compared."""
        flat = array.ravel()
        return flat if self.places is None else flat[self.places]

    def scored(self, guess: Guess) -> Scored | None:
        """What a guess gives; None where it cannot be made or is no mistake."""
        found = guess.value(0)
        if found is None or found.shape != self.shape:
            return None
        entries = self.entries(found)
        if self.fits and difference(entries, self.right) <= self.tolerance:
            return None
        return guess, entries, difference(self.given, entries)

    @cached_property
    def weights(self) -> np.ndarray:
        """Random numbers: arrays that agree have about the same sum with them."""
        return np.random.default_rng(0).standard_normal(len(self.given))

    def distinct(self, scored: Sequence[Scored]) -> list[Scored]:
        """Of guesses that give the same numbers the least far-fetched one."""
        if not scored or not len(self.given):
            return list(scored)
        order = sorted(scored, key=lambda entry: entry[0].rank)
        arrays = np.stack([entries for _, entries, _ in order])
        scales = np.abs(arrays).max(1)
        sums = arrays @ self.weights
        slack = self.tolerance * scales * np.abs(self.weights).sum()
        ranked = np.argsort(sums, kind="stable")
        last = np.searchsorted(sums[ranked], sums[ranked] + slack[ranked], side="right")
        gone: set[int] = set()
        for place, here in enumerate(ranked):
            if here in gone:
                continue
            others = ranked[place + 1 : last[place]]
            same = self._same(arrays, others, arrays[here], scales[here])
            least = min((here, *same))
            gone |= {here, *same} - {least}
        return [entry for place, entry in enumerate(order) if place not in gone]

    def side_by_side(self, scored: Sequence[Scored]) -> list[tuple[Guess, Guess, np.ndarray]]:
        """Two mistakes whose changes add up to the candidate's, and what they give together."""
        if not scored or not self.fits or len(self.given) < 3:
            return []
        changes = np.stack([entries - self.right for _, entries, _ in scored])
        target = self.given - self.right
        scale = np.abs(target).max()
        # Where the candidate is off the most, few pairs come near it by chance.
        most = np.argsort(-np.abs(target))[:FEW]
        weights = self.weights[most]
        sums, wanted = changes[:, most] @ weights, float(target[most] @ weights)
        slack = self.tolerance * scale * np.abs(weights).sum()
        order = np.argsort(sums)
        low = np.searchsorted(sums[order], wanted - sums - slack)
        high = np.searchsorted(sums[order], wanted - sums + slack, side="right")
        found = []
        for one, (guess, entries, _) in enumerate(scored):
            others = order[low[one] : high[one]]
            others = others[others > one]
            for other in self._same(changes, others, target - changes[one], scale):
                found.append((guess, scored[other][0], entries + changes[other]))
        return found

    def _same(
        self, arrays: np.ndarray, which: np.ndarray, like: np.ndarray, scale: float
    ) -> list[int]:
        """Which of some rows agree with an array: first a few entries, then all are compared."""
        for columns in (slice(FEW), slice(None)):
            off = np.abs(arrays[which, columns] - like[columns]).max(1, initial=0)
            which = which[off <= self.tolerance * scale]
        return which.tolist()


def _places(given: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """The flat places that are compared: where a candidate is off the most, and others."""
    if given.size <= MOST_ENTRIES:
        return None
    chosen = np.random.default_rng(0).choice(given.size, MOST_ENTRIES // 2, replace=False)
    if given.shape == right.shape:
        off = np.abs(given - right).ravel()
        worst = np.argpartition(off, -(MOST_ENTRIES // 2))[-(MOST_ENTRIES // 2) :]
        chosen = np.union1d(chosen, worst)
    return np.random.default_rng(1).permutation(chosen)
