"""Edits of windows that overlap, and of parts that are joined or cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at
from layouts.doctor.listing import Step
from layouts.doctor.tape import Edit, Tape

# Windows that are taken one by one.
MOST_WINDOWS = 256
# Parts that are joined, of which all orders are tried.
MOST_PARTS = 4


def of_windows(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of windows that overlap: one overwrites another."""
    if step.name in ("reduce_window_max", "reduce_window_sum", "conv_general_dilated"):
        for first in (False, True):
            yield Hypothesis(
                "overwritten-duplicates",
                f"where windows overlap only the {'first' if first else 'last'} one's cotangent"
                " is kept",
                "add the cotangents of all windows",
                at(
                    number,
                    place,
                    lambda g, c, t, first=first: _by_window(step, place, g, c, t, first),  # type: ignore[misc]
                ),
                3,
            )


def _by_window(step: Step, place: int, g: list[Any], c: Any, tape: Tape, first: bool) -> Any:
    """The cotangents of windows, each written over those before."""
    cotangent = array_of(g[0])
    axes = list(range(cotangent.ndim))
    if step.name == "conv_general_dilated":
        axes = list(step.params["dimension_numbers"].out_spec[2:])
    sizes = [cotangent.shape[axis] for axis in axes]
    count = int(np.prod(sizes))
    if count > MOST_WINDOWS:
        return c
    operands = tape.operands(step)
    masks = np.eye(count, dtype=cotangent.dtype).reshape(count, *sizes)
    shape = [cotangent.shape[n] if n in axes else 1 for n in range(cotangent.ndim)]
    masks = masks.reshape(count, *shape)

    def pulled(array: np.ndarray) -> np.ndarray:
        pull = lambda one: tape.pull(step, operands, place, [one])  # noqa: E731
        return array_of(jax.vmap(pull)(jax.numpy.asarray(array)))

    parts, reached = pulled(masks * cotangent), pulled(masks * np.ones_like(cotangent)) != 0
    found = np.zeros_like(parts[0])
    for number in range(count)[:: -1 if first else 1]:
        found = np.where(reached[number], parts[number], found)
    return found


def of_sequences(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of parts that are joined or cut out: the wrong part, or the right one at the wrong place."""
    if step.name == "concatenate":
        axis = step.params["dimension"]
        yield from _of_joined(number, step, place, tape, axis)
    if step.name == "stack" and place == tape.places(step)[0]:
        yield from _exchanged(number, step, tape)
    if step.name == "slice":
        starts, strides = step.params["start_indices"], step.params["strides"]
        for words, start, stride in (
            ("from the start", tuple(0 for _ in starts), strides),
            ("without the stride", starts, None),
        ):
            if (start, stride) != (starts, strides):
                yield Hypothesis(
                    "wrong-point",
                    f"the cotangent is put back {words}",
                    "put each entry back where it was taken",
                    at(
                        number,
                        place,
                        lambda g, c, t, start=start, stride=stride: _put(g, c, start, stride),  # type: ignore[misc]
                    ),
                    3,
                )
    if step.name == "cumsum" and np.ndim(tape.operand(step, place)) > 1:
        yield Hypothesis(
            "flattened-batch",
            "the sum runs on through all rows, as if they were one sequence",
            "start anew in each row",
            at(number, place, lambda g, c, t: _run_on(step, g)),
            3,
        )


def _of_joined(number: int, step: Step, place: int, tape: Tape, axis: int) -> Iterator[Hypothesis]:
    """Each part gets what belongs to another, or every other entry."""
    shapes = [np.shape(tape.operand(step, n)) for n in range(len(step.operands))]
    sizes = [shape[axis] for shape in shapes]
    if place != tape.places(step)[0]:
        return  # all parts at once

    def edit(starts: list[int], steps: int) -> Edit:
        def of_part(part: int) -> Callable[[list[Any], Any, Tape], Any]:
            def change(g: list[Any], c: Any, t: Tape) -> Any:
                cut = slice(starts[part], starts[part] + sizes[part] * steps, steps)
                return array_of(g[0])[(*(slice(None),) * axis, cut)]

            return change

        return Edit(contributions={(number, n): of_part(n) for n in tape.places(step)})

    ends = [sum(sizes[part + 1 :]) for part in range(len(sizes))]
    yield Hypothesis(
        "order-swapped",
        "the parts are taken apart in the other order than they were joined in",
        "take them apart in the order in which they were joined",
        edit(ends, 1),
        3,
    )
    if len({*sizes}) == 1:
        yield from _exchanged(number, step, tape)
        yield Hypothesis(
            "vec-order",
            "the parts are taken apart as if they were interleaved",
            "take them apart one after the other",
            edit(list(range(len(sizes))), len(sizes)),
            4,
        )


def _exchanged(number: int, step: Step, tape: Tape) -> Iterator[Hypothesis]:
    """Each of several parts of one size gets what belongs to another."""
    count = len(step.operands)
    if not 1 < count <= MOST_PARTS:
        return

    def of_part(part: int) -> Callable[[list[Any], Any, Tape], Any]:
        return lambda g, c, t: array_of(_pulled(step, t, g)[part]).reshape(np.shape(c))

    for order in permutations(range(count)):
        if order != tuple(range(count)):
            yield Hypothesis(
                "order-swapped",
                f"the parts get the cotangents of one another: of the parts {order}",
                "take them apart in the order in which they were joined",
                Edit(contributions={(number, n): of_part(order[n]) for n in tape.places(step)}),
                4,
            )


def _pulled(step: Step, tape: Tape, g: list[Any]) -> list[Any]:
    """What a step passes on to each of its operands."""
    operands = tape.operands(step)
    return [tape.pull(step, operands, n, g) for n in range(len(operands))]


def _put(g: list[Any], c: Any, starts: Sequence[int], strides: Sequence[int] | None) -> Any:
    """A cotangent put into zeros."""
    cotangent = array_of(g[0])
    found = np.zeros(np.shape(c), cotangent.dtype)
    strides = strides or [1] * cotangent.ndim
    places = tuple(
        slice(start, start + stride * (size - 1) + 1, stride)
        for start, size, stride in zip(starts, cotangent.shape, strides, strict=True)
    )
    if found[places].shape != cotangent.shape:
        return c
    found[places] = cotangent
    return found


def _run_on(step: Step, g: list[Any]) -> Any:
    """The running sum over all rows, in rows' order, on the way back."""
    cotangent = np.moveaxis(array_of(g[0]), step.params["axis"], -1)
    flat = cotangent.ravel() if step.params["reverse"] else cotangent.ravel()[::-1]
    summed = np.cumsum(flat)
    summed = summed if step.params["reverse"] else summed[::-1]
    return np.moveaxis(summed.reshape(cotangent.shape), -1, step.params["axis"])
