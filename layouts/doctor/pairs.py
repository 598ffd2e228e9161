"""Mistakes that are made more than once: the same in every place, or two at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, combinations, islice

import numpy as np

from layouts.doctor.guesses import Guess, OnPage, OnTape
from layouts.doctor.hypotheses import Hypothesis, both
from layouts.doctor.screening import Scored, Screen
from layouts.doctor.tape import Edit

# Guesses of which two at a time are tried one after the other, and how many pairs.
MOST_PAIRED = 20
MOST_PAIRS = 1_200
# Guesses of which two at a time are tried side by side: what they change is added.
MOST_ADDED = 1_000


def everywhere(hypotheses: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """The same mistake in all places where it can be made, and in all but the first or the last.

    A loop that is unrolled, or a network of several layers, has the same steps again and again;
    who errs in one of them errs in each.
    """
    groups: dict[tuple, list[Hypothesis]] = {}
    variants: Counter[tuple] = Counter()
    for hypothesis in hypotheses:
        steps = hypothesis.edit.contributions
        named = hypothesis.kind, hypothesis.message
        variants[*named, *steps] += 1  # the same words may stand for several edits of one step
        key = *named, *(place for _, place in steps), variants[*named, *steps]
        groups.setdefault(key, []).append(hypothesis)
    for group in groups.values():
        choices = [("everywhere", group)] if len(group) > 1 else []
        if len(group) > 2:
            choices += [("but for the last place", group[:-1]), ("but for the first", group[1:])]
        for words, chosen in choices:
            edit = _all([hypothesis.edit for hypothesis in chosen])
            if edit is not None:
                first = chosen[0]
                message = f"{first.message}, {words} of {len(group)}"
                yield replace(first, message=message, edit=edit, rank=first.rank + 1)


def _all(edits: Sequence[Edit]) -> Edit | None:
    def joined(one: Edit | None, other: Edit) -> Edit | None:
        return None if one is None else both(one, other)

    return reduce(joined, edits[1:], edits[0])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Added(Guess):
    """Two mistakes on paths of their own: each changes the gradient as it does alone.

    Attributes:
        one: the first.
        other: the second.
        right: the right gradient at each input.
    """

    one: Guess
    other: Guess
    right: Sequence[np.ndarray]

    @classmethod
    def of(cls, one: Guess, other: Guess, right: Sequence[np.ndarray]) -> Added:
        """Two mistakes; the same mistake twice is one habit."""
        rank = max(one.rank, other.rank) if one.kind == other.kind else one.rank + other.rank
        return cls([*one.parts, *other.parts], rank + 1, one, other, right)

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where it cannot be made."""
        one, other = self.one.value(number), self.other.value(number)
        return None if one is None or other is None else one + other - self.right[number]


def side_by_side(
    scored: Sequence[Scored], screen: Screen, right: Sequence[np.ndarray]
) -> list[Scored]:
    """Two mistakes whose changes add up to the candidate's at the first input."""
    found = screen.side_by_side(scored[:MOST_ADDED])
    return [(Added.of(one, other, right), entries, 0.0) for one, other, entries in found]


def in_turn(scored: Sequence[Scored]) -> Iterator[Guess]:
    """Two mistakes one after the other, of the least far-fetched."""
    tapes = [guess for guess, _, _ in scored if isinstance(guess, OnTape)][:MOST_PAIRED]
    written = [guess for guess, _, _ in scored if isinstance(guess, OnPage)][:MOST_PAIRED]
    pairs = chain(
        (one.with_(other) for one, other in combinations(tapes, 2)),
        chain.from_iterable(guess.again() for guess in written),
    )
    return islice((pair for pair in pairs if pair is not None), MOST_PAIRS)
