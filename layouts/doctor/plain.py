"""Steps in NumPy, on whole arrays: run and pulled back many times, they need not be traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from layouts.doctor.slopes import SLOPES, VALUES, slope

# Products of more multiplications than these are worth the time to prepare them for BLAS.
SMALL = 100_000
SUMS = ("reduce_sum", "broadcast_in_dim")
RESHAPES = ("reshape", "squeeze", "expand_dims")
Arrays = Sequence[np.ndarray]


class Step(Protocol):
    """What has to be known of a step."""

    @property
    def name(self) -> str:
        """Its primitive's name."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters."""

    @property
    def rule(self) -> Any:
        """Its value and slope, if it acts entry by entry by a rule of its own."""

    @property
    def results(self) -> Sequence[int]:
        """The variables that it makes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first of them."""


def knows(step: Step) -> bool:
    """Whether NumPy can run a step and pull it back."""
    name = step.name
    entrywise = name in SLOPES or name in ("select_n", "stop_gradient")
    moves = (*RESHAPES, "transpose", "slice", "concatenate", "rev", "dot_general")
    known = entrywise or name in moves or name in SUMS or step.rule is not None
    return len(step.results) == 1 and known


def run(step: Step, operands: Arrays) -> np.ndarray | None:
    """What a step gives; None where NumPy has no such step.

    Args:
        step: the step, of one result.
        operands: in the shapes that it has them.
    """
    name, params = step.name, step.params
    if name in VALUES:
        return np.asarray(VALUES[name](params, *operands))
    if name == "dot_general":
        (left, right, out) = _letters(step, operands)
        return product(operands[0], left, operands[1], right, out)
    if name in RESHAPES:
        return np.reshape(operands[0], step.shape)
    if name == "transpose":
        return np.transpose(operands[0], params["permutation"])
    if name == "slice":
        return np.asarray(operands[0])[_cut(params)]
    if name == "concatenate":
        return np.concatenate(list(operands), params["dimension"])
    if name == "rev":
        return np.flip(operands[0], params["dimensions"])
    if name == "reduce_sum":
        return np.sum(operands[0], tuple(params["axes"]))
    if name == "broadcast_in_dim":
        return np.broadcast_to(_spread(params, operands[0]), params["shape"])
    return None if step.rule is None else step.rule.value(operands[0])


def pull(
    step: Step, operands: Arrays, value: np.ndarray, place: int, g: np.ndarray
) -> np.ndarray | None:
    """What a step passes back to one of its operands; None where NumPy has no such step.

    Args:
        step: the step, of one result.
        operands: where it is differentiated.
        value: its result there.
        place: which operand.
        g: the cotangent of the result.
    """
    name, params, shape = step.name, step.params, np.shape(operands[place])
    if name == "select_n" or name in SLOPES or name == "stop_gradient":
        return _unspread(g * slope(name, params, place, value, operands), shape)
    if name == "dot_general":
        letters = _letters(step, operands)
        other = operands[1 - place]
        return product(g, letters[2], other, letters[1 - place], letters[place])
    if name in RESHAPES:
        return np.reshape(g, shape)
    if name == "transpose":
        return np.transpose(g, np.argsort(params["permutation"]))
    if name == "slice":
        found = np.zeros(shape, g.dtype)
        found[_cut(params)] = g
        return found
    if name == "concatenate":
        axis = params["dimension"]
        start = sum(np.shape(operand)[axis] for operand in operands[:place])
        return g[(*(slice(None),) * axis, slice(start, start + shape[axis]))]
    if name == "rev":
        return np.flip(g, params["dimensions"])
    if name == "reduce_sum":
        return np.broadcast_to(np.expand_dims(g, tuple(params["axes"])), shape)
    if name == "broadcast_in_dim":
        return _unspread(g, _spread(params, operands[0]).shape).reshape(shape)
    return None if step.rule is None else g * step.rule.slope(operands[0])


def product(
    one: np.ndarray,
    letters: Sequence[int],
    other: np.ndarray,
    others: Sequence[int],
    kept: Sequence[int],
) -> np.ndarray:
    """The product of two arrays whose axes have letters, summed over the letters not kept."""
    sizes = dict(zip((*letters, *others), (*np.shape(one), *np.shape(other)), strict=True))
    large = prod(sizes.values()) > SMALL
    return np.einsum(one, letters, other, others, kept, optimize=large)


def _spread(params: Any, operand: Any) -> np.ndarray:
    """An operand with axes of one entry where it will be repeated."""
    shape = [1] * len(params["shape"])
    for size, axis in zip(np.shape(operand), params["broadcast_dimensions"], strict=True):
        shape[axis] = size
    return np.reshape(operand, shape)


def _cut(params: Any) -> tuple[slice, ...]:
    starts, limits = params["start_indices"], params["limit_indices"]
    strides = params["strides"] or (1,) * len(starts)
    return tuple(map(slice, starts, limits, strides))


def _letters(step: Step, operands: Arrays) -> tuple[list[int], list[int], list[int]]:
    """The letters of both operands' axes and of the result's."""
    contracted, batch = step.params["dimension_numbers"]
    left = list(range(np.ndim(operands[0])))
    right = [len(left) + n for n in range(np.ndim(operands[1]))]
    for mine, theirs in zip((*contracted[0], *batch[0]), (*contracted[1], *batch[1]), strict=True):
        right[theirs] = left[mine]
    out = [left[n] for n in batch[0]]
    out += [a for n, a in enumerate(left) if n not in (*contracted[0], *batch[0])]
    out += [a for n, a in enumerate(right) if n not in (*contracted[1], *batch[1])]
    return left, right, out


def _unspread(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sum over the axes that were repeated."""
    array = array.sum(tuple(range(array.ndim - len(shape))))
    axes = tuple(n for n, size in enumerate(shape) if size == 1 and array.shape[n] != 1)
    return np.broadcast_to(array.sum(axes, keepdims=True) if axes else array, shape)
