"""Slices of a gradient in another order: reversed, exchanged, permuted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# An axis with more slices is not searched.
MOST_SLICES = 200
# Places that a message names.
MOST_SHOWN = 8

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


def of_patterns(candidate: np.ndarray, right: np.ndarray, tolerance: float) -> Iterator[Told]:
    """The right entries, but for some that are zero or have the wrong sign.

    The same entries have to be so at every input, so it is no mask that depends on what is given.

    Yields:
        Kind, message, correction, and how far-fetched it is.

    Example:
        >>> right = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> [words for _, words, _, _ in of_patterns(right * [[1], [0], [1]], right, 1e-9)]
        ['no cotangent arrives in 1 of 3 places along axis 0: 1']
    """
    if candidate.shape != right.shape or not right.any():
        return
    near = tolerance * np.abs(right).max()
    same = np.abs(candidate - right) <= near
    minus = np.abs(candidate + right) <= near
    gone = np.abs(candidate) <= near
    if (same | gone).all():
        for axis, count in enumerate(right.shape):
            others = tuple(n for n in range(right.ndim) if n != axis)
            lost = np.flatnonzero((gone & ~same).any(others))
            if 0 < len(lost) < count and np.take(gone, lost, axis).all():
                where = ", ".join(map(str, lost[:MOST_SHOWN])) + (", …" * (len(lost) > MOST_SHOWN))
                words = f"no cotangent arrives in {len(lost)} of {count} places along axis {axis}"
                yield "missing-path", f"{words}: {where}", "pass it on to all of them", 4
                if len(lost) == count - 1:
                    yield "diagonal-only", f"{words}: {where}", "pass it on to all of them", 4
                break
        else:
            if gone.any() and not gone.all():
                words = f"no cotangent arrives in {int(gone.sum())} of {right.size} entries"
                words += f", all but {_mark(~gone)}"
                for kind in ("missing-path", "diagonal-only"):
                    yield kind, words, "pass it on to all of them", 5
    if (same | minus).all() and not same.all() and not minus.all():
        words = f"{int((~same).sum())} of {right.size} entries have the wrong sign, always the same"
        yield "sign", f"{words} ({_mark(~same)})", "mind the sign of each entry", 3


def _mark(which: np.ndarray) -> str:
    """Words that are the same for the same entries: the first of them."""
    places = [", ".join(map(str, place)) for place in np.argwhere(which)[:MOST_SHOWN]]
    return "; ".join(f"[{place}]" for place in places)


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
