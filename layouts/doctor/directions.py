"""Sums, means and maxima over other axes than the right ones, there or on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from layouts.doctor.labels import REDUCTIONS
from layouts.doctor.replay import Replay
from layouts.doctor.rewrites import Found, Rewrite
from layouts.doctor.swaps import Swap

# Variables off which a mean is taken.
MOST_CENTRED = 24


@dataclass(frozen=True)
class Swapped:
    """Sums over other axes on the way back.

    Attributes:
        names: the axes.
        others: the ones instead.
        factor: of the sum.
        bare: whether the result keeps the shape that comes of it.
    """

    names: frozenset[int]
    others: frozenset[int]
    factor: float
    bare: bool = False

    def gradient(self, replay: Replay, leaf: int) -> np.ndarray | None:
        """The gradient by an input."""
        found = Swap(replay, {self.names: (self.others, self.factor)}).gradient(leaf)
        if found is None:
            return None
        plain = None if self.bare else replay.labels.plain(leaf, found)
        return found.array if plain is None else plain


def of_axes(replay: Replay) -> Iterator[Found]:
    """Sums, means and maxima over other axes, on the way there or on the way back."""
    reductions: dict[frozenset[int], list[int]] = {}
    for number, step in enumerate(replay.steps):
        if (
            step.name in REDUCTIONS
            and step.operands[0] is not None
            and number not in replay.labels.whole
        ):
            reductions.setdefault(replay.met(step), []).append(number)
    for names, numbers in reductions.items():
        for group in [numbers, *([[n] for n in numbers] if len(numbers) > 1 else [])]:
            yield from _over(replay, names, group)
    yield from _back_over(replay)
    yield from _turned(replay)


def of_centrings(replay: Replay) -> Iterator[Found]:
    """A mean taken off what is summed: layer norm's rule for RMS norm's, a variance for a square.

    Args:
        replay: the function at an input.

    Yields:
        Changes of a variable that is summed further on, over the axes of that sum.
    """
    sums = {
        replay.met(step)
        for number, step in enumerate(replay.steps)
        if step.name == "reduce_sum" and number not in replay.labels.whole
    }
    found = [
        (variable, names)
        for names in sums
        for variable in sorted(replay.tape.active)
        if names and names <= replay.labels.names(variable)
    ]
    for variable, names in found[:MOST_CENTRED]:
        yield (
            "wrong-point",
            f"the mean over the axis of {replay.size(names)} is taken off, as in another function",
            "differentiate the function as it is, without that mean",
            5,
            Rewrite(centred={variable: names}),
        )


def _over(replay: Replay, names: frozenset[int], numbers: list[int]) -> Iterator[Found]:
    """Reductions over some axes, over others instead."""
    spans = [replay.labels.names(replay.steps[n].operands[0]) for n in numbers]  # type: ignore[arg-type]
    rank = 3 if len(numbers) > 1 else 4
    for others in _subsets(spans[0]):
        if others == names or not all(others <= span for span in spans):
            continue
        kind, words = _called(replay, names, others, spans[0])
        sizes = [replay.size(names), replay.size(others)]
        factors = [_factor(replay, number, *sizes) for number in numbers]
        over = {n: (others, f) for n, f in zip(numbers, factors, strict=True)}
        what = replay.steps[numbers[-1]].name.removeprefix("reduce_")
        for static in (False, True):
            yield (
                kind,
                f"the {_named(what, factors)} runs over {words}",
                f"take it over the axis of {replay.size(names)}",
                rank + static,
                Rewrite(over=over, static=static),
            )


def _named(what: str, factors: list[float]) -> str:
    return "mean" if what == "sum" and factors[-1] != 1 else what


def _called(
    replay: Replay, names: frozenset[int], others: frozenset[int], span: frozenset[int]
) -> tuple[str, str]:
    """What it is called to take others for some axes."""
    if others == span:
        return "flattened-batch", "all entries, not over those of each row by itself"
    if others < names:
        return "wrong-axis", f"the axis of {replay.size(others)} alone"
    return "wrong-axis", f"the axis of {replay.size(others)}, not of {replay.size(names)}"


def _subsets(names: frozenset[int]) -> list[frozenset[int]]:
    """All sets of names but the empty one, of at most five names."""
    order = sorted(names)[:5]
    return [
        frozenset(chosen)
        for count in range(1, len(order) + 1)
        for chosen in combinations(order, count)
    ]


def _factor(replay: Replay, number: int, size: int, instead: int) -> float:
    """A mean divides by the number of its own entries: what a sum has to be multiplied by."""
    step = replay.steps[number]
    if step.name != "reduce_sum":
        return 1.0
    for _ in range(6):
        uses = replay.tape.listing.uses(step.results[0])
        if len(uses) != 1:
            return 1.0
        step = replay.steps[uses[0][0]]
        if step.name in ("div", "mul") and len(step.operands) == 2:
            other = 1 - uses[0][1]
            constant = replay.tape.operand(step, other)
            if np.size(constant) != 1 or step.operands[other] in replay.tape.active:
                return 1.0
            count = abs(float(np.ravel(constant)[0]))
            count = 1 / count if step.name == "mul" and count else count
            less = round(size - count, 9)
            return count / (instead - less) if less in (0, 1) and instead > less else 1.0
    return 1.0


def _back_over(replay: Replay) -> Iterator[Found]:
    """On the way back the cotangents of copies added over other axes than they were spread over."""
    spreads: dict[frozenset[int], frozenset[int]] = {}
    for number, step in enumerate(replay.steps):
        if number in replay.labels.whole or step.name == "dot_general" or step.name in REDUCTIONS:
            continue
        span = replay.labels.names(step.results[0])
        for place in replay.tape.places(step):
            names = span - replay.labels.names(step.operands[place])  # type: ignore[arg-type]
            if names:
                spreads[names] = spreads.get(names, frozenset()) | span
    for names, span in spreads.items():
        for others in _subsets(span):
            if others == names:
                continue
            kind, words = _called(replay, names, others, span)
            for factor in (1.0, replay.size(names) / replay.size(others)):
                for bare in (False, True):
                    yield (
                        kind,
                        f"on the way back the sum runs over {words}",
                        f"sum over the axis of {replay.size(names)}, along which it was repeated",
                        4,
                        Swapped(names, others, factor, bare),
                    )


def _turned(replay: Replay) -> Iterator[Found]:
    """Of two axes of one size the wrong one: a row where a column belongs."""
    labels = replay.labels
    for number, step in enumerate(replay.steps):
        if step.name not in ("broadcast_in_dim", *REDUCTIONS) or number in labels.whole:
            continue
        for name in labels.names(step.results[0]):
            for other, size in labels.sizes.items():
                if size == labels.sizes[name] and other != name and labels.is_name(other):
                    names = {number: {name: other}}
                    for rewrite in (Rewrite(names=names), Rewrite(turned=names, static=True)):
                        yield (
                            "wrong-axis",
                            f"what {step.name} gives runs along the other axis of {size}",
                            "a row is no column: mind which axis is kept",
                            4,
                            rewrite,
                        )
