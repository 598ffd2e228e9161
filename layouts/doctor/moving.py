"""Edits of what moves entries: transposes, reshapes, flips, running sums."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at, if_fits
from layouts.doctor.listing import Step
from layouts.doctor.tape import Tape


def of_moves(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of what moves entries: transposes, reshapes, flips, running sums."""
    rank = np.ndim(tape.operand(step, place))
    if step.name == "transpose":
        yield from _of_transposes(number, place, rank)
    if step.name == "reshape":
        yield Hypothesis(
            "vec-order",
            "entries are put back in columns' order where they were taken in rows' order",
            "reshape in the order of the forward pass",
            at(number, place, lambda g, c, t: np.reshape(array_of(g[0]), np.shape(c), order="F")),
            3,
        )
    if step.name == "rev":
        yield from _of_flips(number, place, rank, tuple(step.params["dimensions"]))
    if step.name in ("cumsum", "cumprod"):
        yield from _of_running(number, step, place)
    if step.name in ("cumsum", "rev", "gather", "transpose") and len(tape.places(step)) == 1:
        kind = "not-flipped" if step.name in ("cumsum", "rev") else "permutation-not-inverted"
        yield Hypothesis(
            kind,
            f"the forward {step.name} is used on the way back",
            "use its transpose: the sums run the other way, a permutation is inverted",
            at(number, place, lambda g, c, t: _pushed(step, place, g, c, t)),
            2,
        )


def _of_transposes(number: int, place: int, rank: int) -> Iterator[Hypothesis]:
    """Every order of the axes."""
    for order in list(permutations(range(rank)))[:24]:
        yield Hypothesis(
            "permutation-not-inverted",
            f"axes are permuted by {order} on the way back",
            "permute them by the inverse of the forward permutation",
            at(
                number,
                place,
                lambda g, c, t, order=order: if_fits(array_of(g[0]).transpose(order), c),  # type: ignore[misc]
            ),
            2,
        )


def _of_flips(number: int, place: int, rank: int, flipped: tuple[int, ...]) -> Iterator[Hypothesis]:
    """Other axes, one or two."""
    for axes in (axes for n in (1, 2) for axes in combinations(range(rank), n)):
        if axes != flipped:
            yield Hypothesis(
                "wrong-axis",
                f"the cotangent is flipped along axis {axes[0] if len(axes) == 1 else axes}",
                f"flip it along {flipped} as in the forward pass",
                at(number, place, lambda g, c, t, axes=axes: np.flip(array_of(g[0]), axes)),  # type: ignore[misc]
                3,
            )


def _pushed(step: Step, place: int, g: list[Any], c: Any, tape: Tape) -> Any:
    """The forward step on the cotangent, where shapes let it."""
    if np.shape(g[0]) != np.shape(tape.operand(step, place)):
        return c
    pushed = tape.push(step, place, jax.numpy.asarray(g[0]))
    return pushed if pushed.shape == np.shape(c) else c


def _of_running(number: int, step: Step, place: int) -> Iterator[Hypothesis]:
    """Of running sums and products: the sum over all, or in the order of the forward pass."""
    of = _of_running_sum if step.name == "cumsum" else _of_running_product
    yield from of(number, step, place)


def _of_running_sum(number: int, step: Step, place: int) -> Iterator[Hypothesis]:
    def total(g: list[Any], c: Any, t: Tape) -> Any:
        whole = array_of(g[0]).sum(step.params["axis"], keepdims=True)
        return np.broadcast_to(whole, np.shape(c))

    def all_of_it(g: list[Any], c: Any, t: Tape) -> Any:
        return np.broadcast_to(array_of(g[0]).sum(), np.shape(c))

    yield Hypothesis(
        "missing-path",
        "the sum that an entry ends is left out",
        "an entry is part of the sum that it ends, too",
        at(number, place, lambda g, c, t: array_of(c) - array_of(g[0])),
        3,
    )
    for kind, words, change in (
        ("wrong-axis", "all cotangents along the axis", total),
        ("flattened-batch", "all cotangents", all_of_it),
    ):
        words = f"{words} are added, not those of the sums that an entry is part of"
        yield Hypothesis(kind, words, "sum from each entry on", at(number, place, change), 3)


def _of_running_product(number: int, step: Step, place: int) -> Iterator[Hypothesis]:
    axis = step.params["axis"]

    def run(array: np.ndarray, reverse: bool) -> np.ndarray:
        return np.flip(np.flip(array, axis).cumsum(axis), axis) if reverse else array.cumsum(axis)

    def ahead(g: list[Any], c: Any, t: Tape) -> Any:
        y = array_of(t.values[step.results[0]])
        return run(array_of(g[0]) * y, step.params["reverse"]) / array_of(t.operand(step, place))

    def bare(g: list[Any], c: Any, t: Tape) -> Any:
        return run(array_of(g[0]), not step.params["reverse"]) / array_of(t.operand(step, place))

    def alone(g: list[Any], c: Any, t: Tape) -> Any:
        return run(array_of(g[0]), not step.params["reverse"])

    for kind, words, change in (
        ("not-flipped", "the sums run in the order of the forward pass", ahead),
        ("missing-factor", "the running product is left out", bare),
        ("missing-factor", "the running product and its divisor are left out", alone),
    ):
        fix = "sum g y from each entry on, and divide by the entry"
        yield Hypothesis(kind, words, fix, at(number, place, change), 3)
