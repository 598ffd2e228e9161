"""What a candidate may have done: one small edit of the true pull-back each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layouts.doctor.tape import Contribution, Edit, Tape

# Entries of the gradients that are kept of each hypothesis.
MOST_KEPT = 10_000


@dataclass(frozen=True)
class Hypothesis:
    """One mistake.

    Attributes:
        kind: which mistake.
        message: what was done, in words.
        correction: what to do instead.
        edit: the pull-back that has the mistake.
        rank: how far-fetched it is; of several that give the same numbers the least is reported.
    """

    kind: str
    message: str
    correction: str
    edit: Edit = field(default_factory=Edit)
    rank: int = 5
    _known: dict[int, dict[int, Any]] = field(init=False, repr=False, default_factory=dict)

    @property
    def part(self) -> tuple[str, str, str]:
        """Kind, message and correction."""
        return self.kind, self.message, self.correction

    def gradients(self, tape: Tape) -> dict[int, Any]:
        """What a person gets who makes it, by input; small ones are kept for the next input."""
        if id(tape) in self._known:
            return self._known[id(tape)]
        found = tape.gradients(self.edit)
        if sum(np.size(array) for array in found.values()) <= MOST_KEPT:
            self._known[id(tape)] = found
        return found


def at(step: int, place: int, change: Contribution) -> Edit:
    """An edit of what one step passes on to one operand."""
    return Edit(contributions={(step, place): change})


def of_cotangent(variable: int, change: Callable[[Any, Tape], Any]) -> Edit:
    """An edit of a variable's whole cotangent."""
    return Edit(cotangents={variable: change})


def both(one: Edit, other: Edit) -> Edit | None:
    """Two edits at once; None where they are in the same place."""
    if {*one.contributions} & {*other.contributions} or {*one.cotangents} & {*other.cotangents}:
        return None
    if {*one.skips} & {*other.skips}:
        return None
    return Edit(
        {**one.contributions, **other.contributions},
        {**one.cotangents, **other.cotangents},
        {**one.skips, **other.skips},
    )


def fitted(array: Any, like: Any) -> Any:
    """Summed over the axes along which `like` repeats itself, as a pull-back of a broadcast is."""
    array, shape = np.asarray(array), np.shape(like)
    if array.shape == shape:
        return array
    array = array.sum(tuple(range(array.ndim - len(shape)))) if array.ndim > len(shape) else array
    if array.ndim < len(shape):
        return np.broadcast_to(array, shape)
    axes = tuple(n for n, size in enumerate(shape) if size == 1 and array.shape[n] != 1)
    return np.broadcast_to(array.sum(axes, keepdims=True) if axes else array, shape)


def if_fits(array: np.ndarray, like: Any) -> Any:
    """An array where it has the shape of another, else the other."""
    return array if array.shape == np.shape(like) else like


def array_of(value: Any) -> np.ndarray:
    """A value as NumPy's: what an edit computes is small, and need not be compiled."""
    return np.asarray(value)
