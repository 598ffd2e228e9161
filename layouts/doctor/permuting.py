"""Slices of a gradient in another order: reversed, exchanged, permuted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# An axis with more slices is not searched.
MOST_SLICES = 200

Told = tuple[str, str, str, int]


def of_order(candidate: np.ndarray, right: np.ndarray, tolerance: float) -> Iterator[Told]:
    """The right entries, an axis of them in another order.

    Args:
        candidate: what came.
        right: the gradient.
        tolerance: relative to the largest entry.

    Yields:
        Kind, message, correction, and how far-fetched it is.

    Example:
        >>> found = of_order(np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0]), 1e-9)
        >>> [kind for kind, _, _, _ in found]
        ['not-flipped', 'permutation-not-inverted']
    """
    if candidate.shape != right.shape:
        return
    for axis, count in enumerate(right.shape):
        order = _order(candidate, right, axis, tolerance) if 1 < count <= MOST_SLICES else None
        if order is not None:
            yield from _told(order, axis)


def _order(
    candidate: np.ndarray, right: np.ndarray, axis: int, tolerance: float
) -> list[int] | None:
    """Which slice of the right gradient each of the candidate's is; None where one is none."""
    ours, theirs = (np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in (candidate, right))
    near = tolerance * np.abs(right).max(initial=0)
    order = []
    for one in ours:
        (same,) = np.nonzero(np.abs(theirs - one).max(1) <= near)
        if len(same) != 1:  # none, or equal ones that do not tell
            return None
        order.append(int(same[0]))
    return order if len({*order}) == len(order) else None


def _told(order: list[int], axis: int) -> Iterator[Told]:
    count = len(order)
    straight = list(range(count))
    permuted = "permutation-not-inverted"
    if order == straight[::-1]:
        words, fix = f"entries stand in reverse along axis {axis}", f"turn axis {axis} around"
        yield "not-flipped", words, fix, 2
        yield permuted, words, fix, 3
        return
    shift = (order[0] - straight[0]) % count
    fix = f"put axis {axis} in the order of the forward pass"
    if order == [*straight[shift:], *straight[:shift]]:
        words = f"the first {count - shift} and the last {shift} along axis {axis} are exchanged"
        yield "order-swapped", words, fix, 2
        yield permuted, words, fix, 2
        return
    words = f"entries along axis {axis} stand in the order {tuple(order)}"
    yield permuted, words, fix, 2
