"""Constants by their names: 2, -1, 1/n, √d, and which axis or argument n is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

# A ratio is taken for a number that is as close to it as this.
CLOSE = 1e-5


@dataclass(frozen=True)
class Constant:
    """A factor between a candidate and what it should be.

    Attributes:
        value: candidate = value · right.
        name: how people call it: `1/5`, `-1`, `√3`.
        meaning: what it may be: "5 is the number of rows of X".
    """

    value: float
    name: str
    meaning: str = ""


def ratio(candidate: Any, right: Any, tolerance: float) -> float | None:
    """The number that one array is of another; None where there is none.

    Example:
        >>> ratio(np.array([2.0, 4.0]), np.array([1.0, 2.0]), 1e-6)
        2.0
    """
    candidate, right = np.asarray(candidate, float).ravel(), np.asarray(right, float).ravel()
    with np.errstate(over="ignore"):
        square = float(right @ right)
    finite = np.isfinite(square) and np.isfinite(candidate).all()
    if candidate.shape != right.shape or square == 0 or not finite:
        return None
    found = float(candidate @ right) / square
    close = np.abs(candidate - found * right).max(initial=0)
    scale = np.abs(candidate).max(initial=0)
    return found if scale and close <= tolerance * scale else None


def named(value: float, sizes: Mapping[int, str], numbers: Sequence[float] = ()) -> Constant | None:
    """A constant that people know, or None.

    Args:
        value: the ratio.
        sizes: numbers that stand for something, such as axes, and what that is.
        numbers: that stand in the function, positive.

    Example:
        >>> named(0.2, {5: "the rows of X"})
        Constant(value=0.2, name='1/5', meaning='5 is the rows of X')
    """
    for sign in (1, -1):
        for number, name, size in (*_known(sizes), *_of_function(numbers)):
            if abs(value - sign * number) <= CLOSE * abs(number):
                meaning = f"{size} is {sizes[size]}" if size in sizes else ""
                return Constant(value, name if sign > 0 else f"-{name}", meaning)
    return None


def _of_function(numbers: Sequence[float]) -> Iterable[tuple[float, str, int]]:
    """A number of the function's, its inverse, and their squares."""
    for number in numbers:
        yield number, f"{number:.6g}", 0
        yield 1 / number, f"1/{number:.6g}", 0
        yield number**2, f"{number:.6g}²", 0
        yield 1 / number**2, f"1/{number:.6g}²", 0


def _known(sizes: Mapping[int, str]) -> Iterable[tuple[float, str, int]]:
    yield 1.0, "1", 0
    yield 2.0, "2", 2
    yield 0.5, "1/2", 2
    for size in sizes:
        if size > 1:
            yield float(size), f"{size}", size
            yield 1 / size, f"1/{size}", size
            yield (size - 1) / size, f"{size - 1}/{size}", size
            yield size / (size - 1), f"{size}/{size - 1}", size
    for number in (3, 4, 1 / 3, 1 / 4):
        text = f"{number}" if number > 1 else f"1/{round(1 / number)}"
        yield float(number), text, 0
    for size in sizes:
        if size > 1:
            yield sqrt(size), f"√{size}", size
            yield 1 / sqrt(size), f"1/√{size}", size
            yield 2 / size, f"2/{size}", size
            yield size / 2, f"{size}/2", size
            yield float(size) ** 2, f"{size}²", size
            yield 1 / size**2, f"1/{size}²", size
    pairs = [(a, b) for a in sizes for b in sizes if 1 < a < b]
    for a, b in pairs:
        yield a / b, f"{a}/{b}", 0
        yield b / a, f"{b}/{a}", 0
        yield float(a * b), f"{a * b}", a * b
        yield 1 / (a * b), f"1/{a * b}", a * b


def sizes_of(names: Sequence[str], leaves: Sequence[Any], out: Sequence[int]) -> dict[int, str]:
    """The sizes of axes, and whose they are."""
    found: dict[int, str] = {}
    for name, leaf in zip(names, leaves, strict=True):
        shape = np.shape(leaf)
        for axis, size in enumerate(shape):
            words = ("rows", "columns")[axis] if len(shape) == 2 else f"size of axis {axis}"
            what = "entries" if len(shape) == 1 else words
            found.setdefault(size, f"the number of {what} of {name}")
    for axis, size in enumerate(out):
        found.setdefault(size, f"the size of axis {axis} of the output")
    for name, leaf in zip(names, leaves, strict=True):
        found.setdefault(int(np.size(leaf)), f"the number of entries of {name}")
    found.setdefault(int(np.prod(out)), "the number of entries of the output")
    found.pop(1, None)
    return found
