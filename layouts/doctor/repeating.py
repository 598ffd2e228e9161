"""Edits of what repeats entries, whose cotangents are added, and of sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at
from layouts.doctor.listing import Listing, Step
from layouts.doctor.tape import Edit, Tape

ELEMENTWISE = ("add", "sub", "mul", "div", "max", "min", "pow", "add_any")


def of_repetitions(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of what repeats entries, whose cotangents are added, and of sums."""
    operand, result = tape.operand(step, place), tape.values[step.results[0]]
    if step.name == "tile":
        yield from _of_tiles(number, place, np.shape(operand), np.shape(result))
    repeats = step.name == "broadcast_in_dim" or step.name in ELEMENTWISE
    if repeats and 0 < np.size(operand) < np.size(result):
        yield from _copies(number, step, place, tape)
    elif step.name == "reduce_sum" and np.size(operand) > np.size(result) > 0:
        count = np.size(operand) // np.size(result)
        yield Hypothesis(
            "mean-for-sum",
            f"a mean over {count} entries stands where a sum belongs",
            "do not divide by their number",
            at(number, place, lambda g, c, t: array_of(c) / count),
            4,
        )


def _unsummed(step: Step, place: int, g: list[Any], tape: Tape) -> np.ndarray:
    """The cotangents of all copies of an operand, before they are added."""
    if step.name == "broadcast_in_dim":
        return array_of(g[0])
    operands = tape.operands(step)
    operands[place] = jax.numpy.broadcast_to(operands[place], np.shape(g[0]))
    return array_of(tape.pull(step, operands, place, g))


def _copies(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """One copy's cotangent, a mean, the sum over all entries, or over other axes."""
    operand = array_of(tape.operand(step, place))
    result = array_of(tape.values[step.results[0]])
    count = result.size // operand.size
    fix = "add the cotangents of all copies: what is repeated forward is summed backward"

    def edit(change: Callable[[np.ndarray, Any], Any]) -> Edit:
        return at(number, place, lambda g, c, t: change(_unsummed(step, place, g, t), c))

    yield Hypothesis(
        "mean-for-sum",
        f"a mean over {count} entries stands where a sum belongs",
        "add the cotangents of all copies: do not divide by their number",
        at(number, place, lambda g, c, t: array_of(c) / count),
        4,
    )
    for last in (False, True):
        yield Hypothesis(
            "overwritten-duplicates" if last else "missing-sum",
            f"of the cotangents of all copies only the {'last' if last else 'first'} is kept",
            fix,
            edit(lambda full, c, last=last: _one_copy(full, c, last)),  # type: ignore[misc]
            4,
        )
    if operand.size > 1:
        yield Hypothesis(
            "wrong-axis" if _is_input(tape.listing, step.operands[place]) else "flattened-batch",
            "the cotangents of all entries are added, not those of each row by itself",
            "sum over the axis that was repeated, and no other",
            at(number, place, lambda g, c, t: np.full(np.shape(c), array_of(c).sum())),
            3,
        )
        for axes in _axes(result.ndim):
            if result.sum(axes).size == operand.size:
                yield Hypothesis(
                    "wrong-axis",
                    f"the sum is taken over axis {axes[0] if len(axes) == 1 else axes}",
                    "sum over the axis that was repeated",
                    edit(lambda full, c, axes=axes: full.sum(axes).reshape(np.shape(c))),  # type: ignore[misc]
                    3,
                )


def _is_input(listing: Listing, variable: int | None) -> bool:
    """Whether a variable is an input, at most in another shape: a bias, and no statistic."""
    for step in reversed(listing.steps):
        if variable in step.results and step.name in ("reshape", "broadcast_in_dim"):
            variable = step.operands[0]
    return variable in listing.inputs


def _of_tiles(
    number: int, place: int, shape: tuple[int, ...], tiled: tuple[int, ...]
) -> Iterator[Hypothesis]:
    """Of whole arrays that are repeated: one copy alone, a mean, or each entry repeated instead."""
    shape = (1,) * (len(tiled) - len(shape)) + shape
    times = [n // size for n, size in zip(tiled, shape, strict=True)]
    straight = [n for pair in zip(times, shape, strict=True) for n in pair]
    turned = [n for pair in zip(shape, times, strict=True) for n in pair]
    copies, others = tuple(range(0, len(straight), 2)), tuple(range(1, len(straight), 2))
    last = tuple(-1 if n in copies else slice(None) for n in range(len(straight)))
    first = tuple(0 if n in copies else slice(None) for n in range(len(straight)))
    fix = "add the cotangents of all copies"
    for kind, words, rank, change in (
        ("overwritten-duplicates", "only the last copy's cotangent is kept", 3, lambda g: g[last]),
        ("missing-sum", "only the first copy's cotangent is kept", 3, lambda g: g[first]),
        (
            "mean-for-sum",
            "the mean of the copies' cotangents is taken",
            3,
            lambda g: g.mean(copies),
        ),
    ):
        edit = at(
            number,
            place,
            lambda g, c, t, change=change: change(array_of(g[0]).reshape(straight)).reshape(  # type: ignore[misc]
                np.shape(c)
            ),
        )
        yield Hypothesis(kind, words, fix, edit, rank)
    yield Hypothesis(
        "vec-order",
        "copies are added as if each entry were repeated, not the array as a whole",
        fix,
        at(
            number,
            place,
            lambda g, c, t: array_of(g[0]).reshape(turned).sum(others).reshape(np.shape(c)),
        ),
        3,
    )


def _axes(ndim: int) -> list[tuple[int, ...]]:
    return [axes for count in range(1, ndim) for axes in combinations(range(ndim), count)]


def _one_copy(array: np.ndarray, c: Any, last: bool) -> Any:
    """The first or the last entry along the axes that the operand was repeated on."""
    bare = [size for size in np.shape(c) if size != 1]
    for count in range(1, array.ndim + 1):
        for axes in combinations(range(array.ndim), count):
            if [n for axis, n in enumerate(array.shape) if axis not in axes and n != 1] == bare:
                place = tuple(
                    (-1 if last else 0) if axis in axes else slice(None)
                    for axis in range(array.ndim)
                )
                return array[place].reshape(np.shape(c))
    return c
