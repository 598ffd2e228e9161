"""Edits of products of matrices and of convolutions: transposes, inverses, order, flips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at
from layouts.doctor.tape import Step, Tape


def of_matrices(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of a product of matrices: transposes, inverses, order."""
    if step.name != "dot_general":
        return
    (contracted, batch) = step.params["dimension_numbers"]
    mine, theirs = tape.operand(step, place), tape.operand(step, 1 - place)
    if batch[0] or len(contracted[0]) != 1 or np.ndim(theirs) != 2 or np.ndim(mine) > 2:
        return
    for kind, words, transform, rank in _MATRICES:
        for turned in (False, True):
            for order in ("left", "right"):
                change = _matrix_change(step, place, transform, turned, order)
                found = _tried(change, number, step, tape)
                if found is None or found.shape != np.shape(mine):
                    continue
                label, message = _named_product(kind, words, order, place)
                yield Hypothesis(
                    label,
                    message,
                    "multiply by the transpose: the Jacobian's transpose carries cotangents back",
                    at(number, place, change),
                    rank + turned,
                )


def _identity(array: np.ndarray) -> np.ndarray:
    return array


def _transposed(array: np.ndarray) -> np.ndarray:
    return array.T


def _inverse(array: np.ndarray) -> np.ndarray:
    if array.shape[0] == array.shape[1]:
        try:
            return np.linalg.inv(array)
        except np.linalg.LinAlgError:
            return np.full_like(array, np.nan)
    return np.linalg.pinv(array)


_MATRICES = [
    ("operand-not-transposed", "a matrix is not transposed", _identity, 2),
    ("operand-not-transposed", "a matrix is not transposed", _transposed, 2),
    ("inverse-for-transpose", "the inverse stands where the transpose belongs", _inverse, 2),
    (
        "inverse-for-transpose",
        "the inverse of the transpose stands where the transpose belongs",
        lambda array: _inverse(array).T,
        3,
    ),
]


def _named_product(kind: str, words: str, order: str, place: int) -> tuple[str, str]:
    """A product on the other side than the true one has its operands swapped."""
    right_side = "right" if place == 0 else "left"
    if order != right_side and kind == "operand-not-transposed":
        return "order-swapped", "the matrices of a product stand in the wrong order"
    if order != right_side:
        return kind, f"{words}, and on the other side of the product"
    return kind, words


def _matrix_change(
    step: Step, place: int, transform: Callable, turned: bool, order: str
) -> Callable[[list[Any], Any, Tape], Any]:
    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        matrix = transform(array_of(tape.operand(step, 1 - place)))
        cotangent = array_of(g[0])
        cotangent = cotangent.T if turned else cotangent
        return cotangent @ matrix if order == "right" else matrix @ cotangent

    return change


def _tried(change: Callable, number: int, step: Step, tape: Tape) -> np.ndarray | None:
    """What a change gives for a cotangent of the right shape; None where shapes do not fit."""
    g = np.ones_like(tape.values[step.results[0]])
    try:
        return np.asarray(change([g], None, tape))
    except ValueError:
        return None


def of_convolutions(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of convolutions: a kernel not flipped, channels swapped."""
    if step.name != "conv_general_dilated":
        return
    numbers = step.params["dimension_numbers"]
    specs = (numbers.lhs_spec, numbers.rhs_spec)
    own, theirs = specs[place], specs[1 - place]
    other = array_of(tape.operand(step, 1 - place))
    spatial = theirs[2:]
    for count in range(1, len(spatial) + 1):
        for axes in combinations(spatial, count):
            yield Hypothesis(
                "not-flipped",
                "the kernel is not flipped on the way back"
                if place == 0
                else "an operand of the convolution is flipped",
                "a convolution's transpose runs over the flipped kernel",
                at(
                    number,
                    place,
                    _with_other(step, place, lambda array, axes=axes: np.flip(array, axes)),
                ),
                3,
            )
    for count in range(1, len(own[2:]) + 1):
        for axes in combinations(own[2:], count):
            yield Hypothesis(
                "not-flipped",
                "the result of the convolution is flipped",
                "mind which way the kernel runs",
                at(number, place, lambda g, c, t, axes=axes: np.flip(array_of(c), axes)),  # type: ignore[misc]
                4,
            )
    if other.shape[theirs[0]] == other.shape[theirs[1]] > 1:
        yield Hypothesis(
            "wrong-axis",
            "input and output channels are swapped",
            "sum over the output channels on the way back",
            at(
                number,
                place,
                _with_other(step, place, lambda array: np.swapaxes(array, theirs[0], theirs[1])),
            ),
            3,
        )
    mine = array_of(tape.operand(step, place))
    if mine.shape[own[0]] == mine.shape[own[1]] > 1:
        yield Hypothesis(
            "wrong-axis",
            "input and output channels are swapped",
            "mind which axis has the output channels",
            at(number, place, lambda g, c, t: np.swapaxes(array_of(c), own[0], own[1])),
            4,
        )


def _with_other(step: Step, place: int, transform: Callable) -> Callable:
    """The pull-back at another operand than the true one."""

    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        operands = tape.operands(step)
        operands[1 - place] = jax.numpy.asarray(transform(array_of(operands[1 - place])))
        return tape.pull(step, operands, place, g)

    return change
