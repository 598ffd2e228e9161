"""Edits of the whole gradient: a factor, a transpose, a sum, another argument's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from layouts.doctor.entrywise import RULES
from layouts.doctor.permuting import of_order, of_patterns
from layouts.doctor.ratios import Constant, ratio

# What is wrong with an array, and two that are equal up to a constant if that is so.
Form = tuple[str, str, str, tuple[np.ndarray, np.ndarray]]
# How far-fetched a factor is that stands for nothing.
UNNAMED = 6
# What an array is called that the function divides by.
DIVISOR = "the divisor"


@dataclass(frozen=True)
class Result:
    """A mistake seen in the result alone.

    Attributes:
        kind: which mistake.
        message: what was done.
        correction: what to do instead.
        constant: a factor that stays after that.
        rank: how far-fetched it is.
    """

    kind: str
    message: str
    correction: str
    constant: Constant | None = None
    rank: int = 1

    @property
    def part(self) -> tuple[str, str, str]:
        """Kind, message and correction."""
        return self.kind, self.message, self.correction

    @property
    def unnamed(self) -> bool:
        """Whether it is a number that stands for nothing."""
        return self.rank == UNNAMED

    @property
    def key(self) -> tuple:
        """What must be the same at every input for the mistake to be the same."""
        return self.kind, self.message, self.constant.name if self.constant else ""


def of_result(
    candidate: np.ndarray,
    right: np.ndarray,
    others: Mapping[str, np.ndarray],
    names: Callable[[float], Constant | None],
    divides: Collection[int],
    tolerance: float,
    cotangent: np.ndarray,
) -> Iterator[Result]:
    """What a candidate is of the right gradient, the simplest first.

    Args:
        candidate: what came.
        right: the gradient.
        others: the gradients of other inputs, by name.
        names: what a number may stand for.
        divides: the numbers that the function divides by, as a mean does.
        tolerance: relative to the largest entry.
        cotangent: the output's.
    """
    if candidate.size and not candidate.any() and right.any():
        words = "it is zero: no cotangent arrives, along none of the paths"
        yield Result("missing-path", words, "pass the cotangent on")
        return
    for words, kind, fix, array in _forms(candidate, right, others):
        factor = ratio(array[0], array[1], tolerance)
        constant = None if factor is None else names(factor)
        if constant is not None and constant.name == "1":
            if kind:
                # Read by columns, a matrix is transposed.
                shapes = (right.shape, right.shape[::-1])
                turned = kind == "vec-order" and candidate.shape in shapes
                far = turned or kind in ("flattened-batch", "wrong-axis")
                yield Result(kind, words, fix, rank=4 if far else 1)
        elif kind and constant is not None:
            yield Result(kind, words, fix, constant, rank=5)
        elif not kind and factor is not None:
            # A loss that is a mean already is no sum, whatever else it is divided by.
            is_mean = bool(divides) and not cotangent.ndim
            yield _of_factor(factor, constant, is_mean or round(1 / abs(factor)) in divides)
    for kind, words, fix, rank in (
        *of_order(candidate, right, tolerance),
        *of_patterns(candidate, right, tolerance),
    ):
        yield Result(kind, words, fix, rank=rank)
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
    for name in factors_of(candidate, right, arrays, tolerance):
        yield from _of_factor_array(name, "multiplied by", f"leave {name} out")
    for name in factors_of(right, candidate, arrays, tolerance):
        yield from _of_factor_array(name, "divided by", f"multiply by {name}")


def of_slope(
    candidate: np.ndarray, right: np.ndarray, arrays: Mapping[str, np.ndarray], tolerance: float
) -> Iterator[Result]:
    """A derivative that is multiplied in, as a sigmoid's beside the loss that has done with it.

    Args:
        candidate: what came.
        right: the gradient.
        arrays: the inputs and what is computed of them, by name.
        tolerance: relative to the largest entry.
    """
    if candidate.shape != right.shape or not right.ndim:
        return
    for name, array in arrays.items():
        if array.shape != right.shape:
            continue
        with np.errstate(all="ignore"):
            slopes = {words: rule(array, array) for words, rule in RULES.items()}
        for words, slope in slopes.items():
            if np.isfinite(slope).all() and _equal(candidate, right * slope, tolerance):
                what = f"the derivative of {words.rstrip(',')} at {name}"
                extra = f"the gradient is multiplied by {what}, which has no place in it"
                yield Result("extra-factor", extra, f"leave {what} out", rank=4)


def factors_of(
    product: np.ndarray, array: np.ndarray, factors: Mapping[str, np.ndarray], tolerance: float
) -> list[str]:
    """The names of what an array is multiplied by, entry by entry, to give another."""
    if product.shape != array.shape:
        return []
    return [
        name
        for name, factor in factors.items()
        if _broadcasts(factor.shape, array.shape)
        and np.isfinite(factor).all()
        and _equal(product, array * factor, tolerance)
    ]


def _of_factor_array(name: str, done: str, fix: str) -> Iterator[Result]:
    """An array too many; or, where it is computed, the opposite that should have been done."""
    computed = not name.isidentifier()
    divided = done == "divided by"
    extra = f"the gradient is {done} {name}, which has no place in it"
    missing = f"{name} is left out" if divided else f"it is not divided by {name}"
    divisor = name.startswith((DIVISOR, "sqrt(", "var(", "norm(", "‖", "sum("))
    missing_first = divisor != divided
    rank = 4 if computed else 3
    if missing_first or computed:
        yield Result("missing-factor", missing, fix, rank=rank if missing_first else rank + 1)
    if not missing_first or computed:
        yield Result("extra-factor", extra, fix, rank=rank + 1 if missing_first else rank)


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
                    rank=4,
                )


def _forms(
    candidate: np.ndarray, right: np.ndarray, others: Mapping[str, np.ndarray]
) -> Iterator[Form]:
    """Pairs of arrays that are equal up to a constant if a mistake was made, and which."""
    if candidate.shape == right.shape:
        yield "", "", "", (candidate, right)
    yield from _laid_out(candidate, right)
    yield from _summed(candidate, right)
    for name, other in others.items():
        if other.shape == candidate.shape:
            yield (
                f"this is the gradient by {name}",
                "wrong-argument",
                "return the gradients in the order of the arguments",
                (candidate, other),
            )


def _laid_out(candidate: np.ndarray, right: np.ndarray) -> Iterator[Form]:
    """All entries in other places."""
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


def _summed(candidate: np.ndarray, right: np.ndarray) -> Iterator[Form]:
    """A sum too few, or one too many."""
    for axes in _summable(candidate, right):
        summed = candidate.sum(axes).reshape(right.shape)
        yield (
            f"the sum over axis {axes[0] if len(axes) == 1 else axes} is missing: what is repeated"
            " forward is summed backward",
            "missing-sum",
            f"sum over axis {axes[0] if len(axes) == 1 else axes}",
            (summed, right),
        )
    for axes in _summable(right, candidate):
        yield (
            f"the gradient is summed over axis {axes[0] if len(axes) == 1 else axes} of the"
            " variable, as if that were a batch",
            "flattened-batch" if right.ndim > 1 else "wrong-axis",
            f"the gradient has the variable's shape {right.shape}",
            (candidate.reshape(right.sum(axes).shape), right.sum(axes)),
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


def _of_factor(factor: float, constant: Constant | None, divides: bool) -> Result:
    """A constant factor by its name, where it has one."""
    if constant is None:
        words = f"{factor:.6g} times the gradient"
        return Result("constant-factor", words, f"divide by {factor:.6g}", rank=UNNAMED)
    bare = constant.name.removeprefix("-")
    if bare == "1":
        return Result("sign", "the sign is wrong", "change the sign", rank=0)
    words = f"{bare} times the gradient"
    if constant.meaning:
        words += f", where {constant.meaning}"
    kind = "constant-factor"
    if constant.meaning and bare.startswith("1/") and "√" not in bare and not divides:
        kind = "mean-for-sum"
        words += ": a mean stands where a sum belongs"
    return Result(kind, words, undo(bare), Constant(-1.0, "-1") if factor < 0 else None)


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
    whole = ratio(candidate, right, tolerance)
    if whole is not None and off.size > 1:
        return f", all by a factor of {whole:.4g}"
    return _ratios(candidate, right, tolerance) if off.ndim == 2 else ""


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
