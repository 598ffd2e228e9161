"""Edits of the whole gradient: a factor, a transpose, a sum, another argument's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from layouts.doctor.ratios import Constant, named, ratio


@dataclass(frozen=True)
class Result:
    """A mistake seen in the result alone.

    Attributes:
        kind: which mistake.
        message: what was done.
        correction: what to do instead.
        constant: a factor that stays after that.
    """

    kind: str
    message: str
    correction: str
    constant: Constant | None = None

    @property
    def key(self) -> tuple:
        """What must be the same at every input for the mistake to be the same."""
        return self.kind, self.message, self.constant.name if self.constant else ""


def of_result(
    candidate: np.ndarray,
    right: np.ndarray,
    others: Mapping[str, np.ndarray],
    sizes: Mapping[int, str],
    divides: bool,
    tolerance: float,
    cotangent: np.ndarray,
) -> Iterator[Result]:
    """What a candidate is of the right gradient, the simplest first.

    Args:
        candidate: what came.
        right: the gradient.
        others: the gradients of other inputs, by name.
        sizes: numbers that stand for something.
        divides: whether the function divides by one of them, as a mean does.
        tolerance: relative to the largest entry.
        cotangent: the output's.
    """
    if candidate.size and not candidate.any() and right.any():
        words = "it is zero: no cotangent arrives, along none of the paths"
        yield Result("missing-path", words, "pass the cotangent on")
        return
    for words, kind, fix, array in _forms(candidate, right, others):
        factor = ratio(array[0], array[1], tolerance)
        constant = None if factor is None else named(factor, sizes)
        if constant is None:
            continue
        if constant.name == "1":
            if kind:
                yield Result(kind, words, fix)
        elif kind:
            yield Result(kind, words, fix, constant)
        else:
            yield from _of_constant(constant, divides)
    if candidate.shape != right.shape:
        yield from _of_sums(candidate, right, cotangent, tolerance)


def of_array(
    candidate: np.ndarray, right: np.ndarray, arrays: Mapping[str, np.ndarray], tolerance: float
) -> Iterator[Result]:
    """A factor entry by entry that is an array of the program's.

    Args:
        candidate: what came.
        right: the gradient.
        arrays: the inputs and the output, by name.
        tolerance: relative to the largest entry.
    """
    if candidate.shape != right.shape:
        return
    for name, array in arrays.items():
        if array.size < 2 or not _broadcasts(array.shape, right.shape):
            continue
        if not np.isfinite(array).all():
            continue
        if _equal(candidate, right * array, tolerance):
            # Multiplied by what the right gradient divides by: the division is missing.
            divisor = name.startswith(("sqrt(", "var(", "norm(", "‖", "sum("))
            words = f"the gradient is multiplied by {name}, which has no place in it"
            kind = "extra-factor"
            if divisor:
                kind, words = "missing-factor", f"it is not divided by {name}"
            yield Result(kind, words, f"divide by {name}" if divisor else f"leave {name} out")
        if _equal(candidate * array, right, tolerance):
            inverse = name.startswith(("sqrt(", "var(", "norm(", "‖", "sum("))
            words = f"{name} is divided by once too often" if inverse else f"{name} is left out"
            kind = "extra-factor" if inverse else "missing-factor"
            yield Result(kind, words, "divide by it once" if inverse else f"multiply by {name}")


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _equal(one: np.ndarray, other: np.ndarray, tolerance: float) -> bool:
    scale = np.abs(other).max(initial=0)
    return bool(scale and np.abs(one - other).max(initial=0) <= tolerance * scale)


def _of_sums(
    candidate: np.ndarray, right: np.ndarray, cotangent: np.ndarray, tolerance: float
) -> Iterator[Result]:
    """The cotangent itself, summed over axes that are not those of the variable."""
    for count in range(cotangent.ndim + 1):
        for axes in combinations(range(cotangent.ndim), count):
            summed = cotangent.sum(axes)
            if summed.shape == candidate.shape and _equal(candidate, summed, tolerance):
                over = (
                    f"over axis {axes[0] if len(axes) == 1 else axes}" if axes else "over no axis"
                )
                yield Result(
                    "wrong-axis" if axes else "missing-sum",
                    f"the cotangent is summed {over}",
                    f"the gradient has the variable's shape {right.shape}: sum over the other axes",
                )


def _forms(
    candidate: np.ndarray, right: np.ndarray, others: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, str, str, tuple[np.ndarray, np.ndarray]]]:
    """Pairs of arrays that are equal up to a constant if a mistake was made, and which."""
    if candidate.shape == right.shape:
        yield "", "", "", (candidate, right)
    for order in permutations(range(right.ndim)):
        turned = right.transpose(order)
        if order != tuple(range(right.ndim)) and turned.shape == candidate.shape:
            yield (
                "the whole gradient is transposed",
                "transposed-layout",
                "transpose it: a gradient has the shape of its variable",
                (candidate, turned),
            )
    if candidate.size == right.size and right.ndim > 1:
        yield (
            "the entries are there, stacked by columns where rows were meant, or the reverse",
            "vec-order",
            "reshape in the order in which it was stacked",
            (candidate.ravel(), right.ravel(order="F")),
        )
        if candidate.shape != right.shape:
            yield (
                "the entries are there, in another shape",
                "vec-order",
                "reshape it to the variable's shape",
                (candidate.ravel(), right.ravel()),
            )
    for axes in _summable(candidate, right):
        summed = candidate.sum(axes).reshape(right.shape)
        yield (
            f"the sum over axis {axes[0] if len(axes) == 1 else axes} is missing: what is repeated"
            " forward is summed backward",
            "missing-sum",
            f"sum over axis {axes[0] if len(axes) == 1 else axes}",
            (summed, right),
        )
    for name, other in others.items():
        if other.shape == candidate.shape:
            yield (
                f"this is the gradient by {name}",
                "wrong-argument",
                "return the gradients in the order of the arguments",
                (candidate, other),
            )


def _summable(candidate: np.ndarray, right: np.ndarray) -> list[tuple[int, ...]]:
    """Axes over which the candidate may have to be summed."""
    if candidate.ndim < right.ndim or candidate.size <= right.size:
        return []
    found = []
    for count in range(1, candidate.ndim + 1):
        for axes in combinations(range(candidate.ndim), count):
            rest = [n for axis, n in enumerate(candidate.shape) if axis not in axes]
            if [n for n in rest if n != 1] == [n for n in right.shape if n != 1]:
                found.append(axes)
    return found


def _of_constant(constant: Constant, divides: bool) -> Iterator[Result]:
    """A constant factor by its name."""
    size = abs(constant.value)
    negative = constant.value < 0
    bare = constant.name.removeprefix("-")
    if size == 1 or bare == "1":
        yield Result("sign", "the sign is wrong", "change the sign")
        return
    words = f"{constant.name} times the gradient"
    if constant.meaning:
        words += f", where {constant.meaning}"
    fix = undo(bare)
    kind = "constant-factor"
    if constant.meaning and size < 1 and bare.startswith("1/") and "√" not in bare and not divides:
        kind = "mean-for-sum"
        words += ": a mean stands where a sum belongs"
    if negative:
        yield Result(kind, words, fix)
        yield Result("sign", "the sign is wrong", "change the sign")
    else:
        yield Result(kind, words, fix)


def undo(name: str) -> str:
    """How to be rid of a constant factor: `1/5` by multiplying by 5."""
    inverse = name.removeprefix("1/")
    return f"multiply by {inverse}" if inverse != name else f"divide by {name}"


def where_they_differ(candidate: np.ndarray, right: np.ndarray, tolerance: float) -> str:
    """In words: how many entries differ, in which pattern, and the worst of them.

    Example:
        >>> where_they_differ(np.array([1.0, 2.0]), np.array([1.0, 5.0]), 1e-6)
        '1 of 2 entries differ; most at [1]: 2 for 5'
    """
    if candidate.shape != right.shape:
        return f"its shape is {candidate.shape}, the variable's {right.shape}"
    scale = np.abs(right).max(initial=0) or 1.0
    off = ~(np.abs(candidate - right) <= tolerance * scale)
    if not off.any():
        return "they agree"
    worst = np.unravel_index(np.nanargmax(np.abs(candidate - right) + 0.0), right.shape)
    text = f"{int(off.sum())} of {off.size} entries differ"
    text += _pattern(off, candidate, right, tolerance)
    at = ", ".join(str(int(n)) for n in worst)
    return f"{text}; most at [{at}]: {candidate[worst]:.4g} for {right[worst]:.4g}"


def _pattern(off: np.ndarray, candidate: np.ndarray, right: np.ndarray, tolerance: float) -> str:
    if off.ndim == 2 and off.shape[0] == off.shape[1] and off.size > 1:
        diagonal = np.eye(len(off), dtype=bool)
        if off.any() and not off[~diagonal].any():
            return ", all on the diagonal"
        if not off[diagonal].any():
            return ", none on the diagonal"
    for axis in range(off.ndim):
        lines = np.asarray(off.any(tuple(n for n in range(off.ndim) if n != axis)))
        if off.ndim > 1 and not lines.all():
            word = ("rows", "columns")[axis] if off.ndim == 2 else f"places of axis {axis}"
            return f", in {int(lines.sum())} of {len(lines)} {word}"
    if (candidate[off] == 0).all():
        return ", which are zero"
    if off.ndim == 2:
        return _ratios(candidate, right, tolerance)
    return ""


def _ratios(candidate: np.ndarray, right: np.ndarray, tolerance: float) -> str:
    """Whether each row, or each column, is off by a factor of its own."""
    for axis, word in ((1, "row"), (0, "column")):
        lines = np.moveaxis(candidate, axis, -1), np.moveaxis(right, axis, -1)
        if all(ratio(a, b, tolerance) is not None for a, b in zip(*lines, strict=True)):
            return f", each {word} by a factor of its own"
    return ""


def close(candidate: Any, right: Any, tolerance: float) -> bool:
    """Whether two arrays agree, relative to the largest entry."""
    return difference(candidate, right) <= tolerance


def difference(candidate: Any, right: Any) -> float:
    """The largest difference, relative to the largest entry; infinite where shapes differ."""
    candidate, right = np.asarray(candidate, float), np.asarray(right, float)
    if candidate.shape != right.shape:
        return float("inf")
    if candidate.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        worst = np.abs(candidate - right).max()
    scale = np.abs(right).max()
    return float("inf") if np.isnan(worst) else float(worst / (scale or 1.0))
