"""Entries in another order, and loops that overwrite where they should add."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations

import numpy as np

from layouts.doctor.listing import Step
from layouts.doctor.replay import Replay
from layouts.doctor.rewrites import Found, Rewrite
from layouts.doctor.tape import Tape

Reorder = Callable[[np.ndarray], np.ndarray]

FIX = "reshape in the order of the forward pass: a reshape is no transpose"


def of_orders(replay: Replay) -> Iterator[Found]:
    """Arrays that are reshaped where they should be transposed, or stacked in the other order.

    Args:
        replay: the function at an input.

    Yields:
        Changes of one cotangent, or of one operand of a product of matrices.
    """
    tape = replay.tape
    for variable in sorted(tape.active):
        for words, reorder in reorders(np.shape(tape.values[variable])):
            yield (
                "vec-order",
                f"a cotangent of shape {np.shape(tape.values[variable])} is {words}",
                FIX,
                4,
                Rewrite(cotangents={variable: reorder}),
            )
        for words, turn in turns(np.shape(tape.values[variable])):
            yield (
                "operand-not-transposed",
                f"a cotangent is transposed: {words}",
                "use it as it is",
                4,
                Rewrite(cotangents={variable: turn}),
            )
    for number, place, operand in _operands(replay, "dot_general"):
        if number in replay.labels.whole:
            continue
        source = _before_reshape(replay, operand)
        shape = np.shape(tape.values[source])
        for words, turn in turns(np.shape(tape.values[operand])):
            yield (
                "operand-not-transposed",
                f"an operand of a product is transposed, or should be: {words}",
                "the Jacobian's transpose carries cotangents back",
                3,
                _instead(replay, number, place, operand, turn),
            )
        for words, reorder in reorders(shape):
            yield (
                "vec-order",
                f"an operand of a product, of shape {shape}, is {words}",
                FIX,
                4,
                _instead(replay, number, place, source, reorder),
            )


def _before_reshape(replay: Replay, variable: int) -> int:
    """What a variable was before it was flattened."""
    for step in replay.steps:
        if variable in step.results and step.name == "reshape" and step.operands[0] is not None:
            return step.operands[0]
    return variable


def _read(source: int, shape: tuple[int, ...], change: Reorder) -> Callable[[Tape], np.ndarray]:
    """A variable's value, changed, in another shape."""
    return lambda tape: change(np.asarray(tape.values[source])).reshape(shape)


def _in_order(order: tuple[int, ...]) -> Reorder:
    return lambda array: array.transpose(order).reshape(array.shape)


def _out_of_order(order: tuple[int, ...], shape: tuple[int, ...]) -> Reorder:
    back = tuple(int(n) for n in np.argsort(order))
    other = tuple(shape[axis] for axis in order)
    return lambda array: array.reshape(other).transpose(back)


def reorders(shape: tuple[int, ...]) -> Iterator[tuple[str, Reorder]]:
    """All ways to read the entries of an array in the order of other axes, in words.

    Example:
        >>> for words, reorder in reorders((2, 3)):
        ...     print(reorder(np.arange(6).reshape(2, 3)).tolist())
        [[0, 3, 1], [4, 2, 5]]
        [[0, 2, 4], [1, 3, 5]]
    """
    long = [axis for axis, size in enumerate(shape) if size > 1]
    if len(long) < 2 or len(shape) > 4:
        return
    for order in permutations(range(len(shape))):
        moved = [n for n, axis in enumerate(order) if axis != n]
        adjacent = len(moved) == 2 and moved[1] - moved[0] == 1
        if not moved or (len(shape) == 4 and not adjacent and [*order] != [3, 2, 1, 0]):
            continue
        if [axis for axis in order if axis in long] == long:
            continue
        yield f"reshaped after its axes are ordered as {order}", _in_order(order)
        yield f"reshaped where its axes should be ordered as {order}", _out_of_order(order, shape)


def turns(shape: tuple[int, ...]) -> Iterator[tuple[str, Reorder]]:
    """All ways to exchange two axes of one size, in words."""
    for one, other in combinations(range(len(shape)), 2):
        if shape[one] == shape[other] > 1:
            words = f"axes {one} and {other} change places"
            yield words, lambda array, one=one, other=other: np.swapaxes(array, one, other)  # type: ignore[misc]


def of_loops(replay: Replay) -> Iterator[Found]:
    """Loops over the entries along an axis in which the last assignment, or the first, stays.

    Args:
        replay: the function at an input.

    Yields:
        Changes of one cotangent, of which only one slice is passed on.
    """
    tape = replay.tape
    for variable in sorted(tape.active - {*tape.listing.inputs}):
        shape = np.shape(tape.values[variable])
        for axis, size in enumerate(shape):
            if size < 2:
                continue
            for last in (True, False):
                word = "last" if last else "first"
                yield (
                    "overwritten-duplicates" if last else "missing-sum",
                    f"of the {size} cotangents along an axis only the {word} is passed on",
                    "add them: an assignment in a loop overwrites",
                    4 if variable == tape.listing.output else 5,
                    Rewrite(cotangents={variable: _slice(axis, last)}),
                )


def of_joins(replay: Replay) -> Iterator[Found]:
    """Parts joined in another order, and what follows computed of that.

    Args:
        replay: the function at an input.

    Yields:
        Changes of the value of what is joined.
    """
    for step in replay.steps:
        if step.name != "concatenate" or not replay.tape.places(step):
            continue

        def reverse(tape: Tape, step: Step = step) -> np.ndarray:
            return np.concatenate(tape.operands(step)[::-1], step.params["dimension"])

        yield (
            "order-swapped",
            "the parts are joined in the other order",
            "join them in the order of the function",
            4,
            Rewrite(points={step.results[0]: reverse}),
        )


def of_mixtures(replay: Replay) -> Iterator[Found]:
    """One number where each entry along an axis has its own: their sum, their mean, the diagonal.

    Args:
        replay: the function at an input.

    Yields:
        Changes of one cotangent, or of one operand of a product.
    """
    tape = replay.tape
    for variable in sorted(tape.active):
        for words, mixture in _mixtures(np.shape(tape.values[variable])):
            yield (
                "flattened-batch",
                f"in place of each cotangent stands {words}",
                "each entry has a cotangent of its own",
                5,
                Rewrite(cotangents={variable: mixture}),
            )
        shape = np.shape(tape.values[variable])
        if len(shape) == 2 and shape[0] == shape[1] > 1:
            yield (
                "diagonal-only",
                "of a cotangent only the diagonal is passed on",
                "pass on all its entries",
                4,
                Rewrite(cotangents={variable: lambda array: array * np.eye(len(array))}),
            )
    for number, place, operand in _operands(replay, "dot_general", "mul"):
        if not tape.places(replay.steps[number]):
            continue
        for words, mixture in _mixtures(np.shape(tape.values[operand])):
            yield (
                "flattened-batch",
                f"in place of each entry of a factor stands {words}",
                "each entry has a factor of its own",
                5,
                _instead(replay, number, place, operand, mixture),
            )


def _operands(replay: Replay, *names: str) -> Iterator[tuple[int, int, int]]:
    """The variables that steps of these names take: step, place, variable."""
    for number, step in enumerate(replay.steps):
        for place, operand in enumerate(step.operands if step.name in names else ()):
            if operand is not None:
                yield number, place, operand


def _instead(replay: Replay, number: int, place: int, source: int, reorder: Reorder) -> Rewrite:
    """Another array in an operand's place, made of a variable."""
    step = replay.steps[number]
    value = _read(source, np.shape(replay.tape.values[step.operands[place]]), reorder)  # type: ignore[index]
    return Rewrite(operands={(number, place): value}, until=frozenset(step.results))


def _mixtures(shape: tuple[int, ...]) -> Iterator[tuple[str, Reorder]]:
    """Sums and means over one axis, or over all, in words."""
    long = [axis for axis, size in enumerate(shape) if size > 1]
    for axes in [(axis,) for axis in long] + ([tuple(long)] if len(long) > 1 else []):
        over = "all" if len(axes) == len(long) else f"axis {axes[0]}"

        def total(array: np.ndarray, axes: tuple[int, ...] = axes) -> np.ndarray:
            return np.broadcast_to(array.sum(axes, keepdims=True), array.shape)

        def mean(array: np.ndarray, axes: tuple[int, ...] = axes) -> np.ndarray:
            return np.broadcast_to(array.mean(axes, keepdims=True), array.shape)

        yield f"the sum over {over}", total
        yield f"the mean over {over}", mean


def _slice(axis: int, last: bool) -> Reorder:
    def kept(array: np.ndarray) -> np.ndarray:
        found = np.zeros_like(array)
        place = (*(slice(None),) * axis, slice(-1, None) if last else slice(0, 1))
        found[place] = array[place]
        return found

    return kept
