"""Mistakes of a person who computes, or differentiates, another function than the right one.

Each is one change of one step, of one intermediate, or of all sums over the same axes; the steps
that follow are run again, or keep their values, and the pull-back is what such a person would get.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from layouts.doctor.directions import Swapped, of_axes, of_centrings
from layouts.doctor.guesses import Guess
from layouts.doctor.orders import of_joins, of_loops, of_mixtures, of_orders
from layouts.doctor.points import of_points, of_points_everywhere, of_results
from layouts.doctor.replay import Replay
from layouts.doctor.rewrites import Found, Rewrite

# How many changes are tried at the most.
MOST_RERUNS = 1_500


@dataclass(frozen=True)
class Rerun:
    """A run with a change.

    Attributes:
        rewrite: the change.
    """

    rewrite: Rewrite

    def gradient(self, replay: Replay, leaf: int) -> np.ndarray | None:
        """The gradient by an input."""
        return replay.gradient(leaf, self.rewrite)


@dataclass(frozen=True)
class OnReplay(Guess):
    """A function run again with a change, and pulled back.

    Attributes:
        replays: the function at each input.
        variable: the input whose gradient is asked for.
        change: the change.
    """

    replays: Sequence[Replay]
    variable: int
    change: Rerun | Swapped

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where it cannot be made."""
        try:
            with np.errstate(all="ignore"):
                found = self.change.gradient(self.replays[number], self.variable)
        except (AssertionError, TypeError, ValueError):  # shapes that the change does not fit
            return None
        if found is None or not np.isfinite(found).all():
            return None
        return np.asarray(found, float)


def changes(replay: Replay) -> list[Found]:
    """All functions that may have been run or differentiated in the right one's place.

    Args:
        replay: the function at one input.

    Returns:
        The least far-fetched first; their number is at most a constant times that of the steps,
        and `MOST_RERUNS`.
    """
    makers = (
        of_axes,
        of_centrings,
        of_joins,
        of_loops,
        of_orders,
        of_mixtures,
        of_results,
        of_points,
        of_points_everywhere,
    )
    found: list[Found] = [entry for make in makers for entry in make(replay)]
    found.sort(key=lambda entry: entry[3])
    return found[:MOST_RERUNS]


def of_reruns(found: Iterable[Found], replays: Sequence[Replay], variable: int) -> list[OnReplay]:
    """What changed functions give.

    Args:
        found: the changes.
        replays: the function at each input.
        variable: the input whose gradient is asked for.
    """
    return [
        OnReplay(
            [(kind, message, fix)],
            rank,
            replays,
            variable,
            change if isinstance(change, Swapped) else Rerun(change),
        )
        for kind, message, fix, rank, change in found
    ]
