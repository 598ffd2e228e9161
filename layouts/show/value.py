"""One expression, and what can be seen of it: its terms, its factors, whether it is positive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol

Shape = tuple[int, ...]
Number = complex | float | int

# A sum or product of more operands than this is not flattened into another.
MOST_OPERANDS = 12
ELEMENTWISE = ("sum", "product", "map", "compare", "indicator")


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """An expression: a function of other expressions.

    Attributes:
        head: "name", "number", "sum", "product", "matmul", "transpose", "index", "indicator",
            "compare", "map" for an elementwise function, "call" for any other; "unknown" where
            the text does not say all.
        operands: what it is applied to.
        detail: the rest: the name, the number, coefficients, exponents, options.
        shape: the shape of what the text means.
        place: values are numbered as they are made, operands first.
    """

    head: str
    operands: tuple[Value, ...]
    detail: tuple
    shape: Shape
    place: int


class Maker(Protocol):
    """What makes values and simplifies them: `layouts.show.values.Values`."""

    def add(self, terms: Iterable[tuple[Number, Value]]) -> Value:
        """A sum of values times coefficients."""

    def multiply(self, factors: Iterable[tuple[Value, int]]) -> Value:
        """A product of whole powers, entry by entry."""

    def number(self, number: Number) -> Value:
        """A number."""

    def map(self, function: str, *operands: Value) -> Value:
        """A function applied entry by entry."""

    def call(
        self, function: str, operands: Sequence[Value], options: Sequence[str], shape: Shape
    ) -> Value:
        """A function of whole arrays."""

    def make(
        self, head: str, operands: Sequence[Value], detail: tuple = (), shape: Shape | None = None
    ) -> Value:
        """Any value, as it stands."""

    def known_as(self, head: str, operands: Sequence[Value], detail: tuple) -> Value | None:
        """A value that has been made before, else None."""


def plain(number: Number) -> Number:
    """A whole number without its point."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        return int(number)
    return number


def terms_of(coefficient: Number, value: Value) -> list[tuple[Number, Value]]:
    """The terms of a sum, its sign multiplied in; a number times a sum stays a product."""
    if value.head != "sum" or len(value.operands) > MOST_OPERANDS:
        return [(coefficient, value)]
    if len(value.operands) > 1 and abs(coefficient) != 1:
        return [(coefficient, value)]
    return [(coefficient * c, v) for c, v in zip(value.detail, value.operands, strict=True)]


def unindexed(value: Value) -> Value:
    """What `x[:, None]` is a view of; all else is itself."""
    return value.operands[0] if value.head == "index" else value


def powers_of(value: Value) -> list[tuple[Value, int]]:
    """The factors of a product, or of anything else itself."""
    if value.head == "product":
        return list(zip(value.operands, value.detail, strict=True))
    return [(value, 1)] if value.head != "number" else []


def scale_of(value: Value) -> Number | None:
    """The coefficient of `2 * x`, or a number itself; None where there is none."""
    if value.head == "number" or (value.head == "sum" and len(value.operands) == 1):
        return value.detail[0]
    return None


def parted(value: Value) -> tuple[Number, Value]:
    """`2 * x` as 2 and x; a fraction stays, which is mostly part of a function such as gelu."""
    if value.head == "sum" and len(value.operands) == 1 and isinstance(value.detail[0], int):
        return value.detail[0], value.operands[0]
    return 1, value


def is_call(value: Value, function: str) -> bool:
    """Whether it is this function of something."""
    return value.head in ("map", "call") and value.detail[0] == function


def axis_along(function: str, reduced: Value, whole: Value) -> int | None:
    """The axis that `function` reduces `whole` along, if the result stands as keepdims has it."""
    indexed = reduced.head == "index"
    inner = reduced.operands[0] if indexed else reduced
    rank = len(whole.shape)
    if not is_call(inner, function) or inner.operands != (whole,) or rank == 0:
        return None
    option = "".join(inner.detail[1:]).removeprefix("axis=")
    if rank > 1 and not option.isdigit():
        return None
    axis = int(option) if rank > 1 else 0
    entries = reduced.detail if indexed else (":",) * len(inner.shape)
    return axis if entries == put_in([n for n in range(rank) if n != axis], rank) else None


def reduces(function: str, reduced: Value, whole: Value, options: Sequence[str]) -> bool:
    """Whether it is `function(whole, options)`, standing as keepdims has it."""
    if not options and len(whole.shape) > 1:
        return is_call(reduced, function) and reduced.operands == (whole,) and reduced.shape == ()
    axis = axis_along(function, reduced, whole)
    return axis is not None and tuple(options) in ((), (f"axis={axis}",))


def centred(value: Value, options: Sequence[str]) -> Value | None:
    """The x of which it is a multiple of `x - mean(x, options)`."""
    if value.head != "sum" or len(value.operands) != 2 or value.detail[0] != -value.detail[1]:
        return None
    for x, mean in permutations(value.operands):
        if x.shape == value.shape and reduces("mean", mean, x, options):
            return x
    return None


def identity_size(value: Value) -> int:
    """The n of the identity matrix `1[arange(n)[:, None] == arange(n)]`; 0 for all else."""
    if value.head == "call" and value.detail[0] == "eye":
        return value.shape[0]
    if value.head != "indicator" or value.operands[0].detail != ("==",):
        return 0
    one, other = sorted(value.operands[0].operands, key=lambda operand: len(operand.shape))
    spread = other.head == "index" and other.detail == (":", "None")
    return one.shape[0] if spread and other.operands == (one,) and is_call(one, "arange") else 0


def put_in(places: Sequence[int], rank: int) -> tuple[str, ...]:
    """The index that puts the axes of an array at these places among `rank`."""
    return tuple(":" if n in places else "None" for n in range(min(places, default=rank), rank))


def is_positive(value: Value, depth: int = 6) -> bool:
    """Whether a value is seen to be positive wherever it is defined, looking so many levels in."""
    if depth == 0:
        return False
    if value.head == "number":
        return not isinstance(value.detail[0], complex) and value.detail[0] > 0
    if value.head in ("map", "call") and value.detail[0] in ("exp", "softmax", "sigmoid"):
        return True
    if value.head in ("sum", "product"):
        signs = value.detail if value.head == "sum" else ()
        inner = (is_positive(operand, depth - 1) for operand in value.operands)
        return all(c > 0 for c in signs) and all(inner)
    reduced = value.head == "call" and value.detail[0] in ("sum", "mean", "max", "min")
    return (reduced or value.head == "index") and is_positive(value.operands[0], depth - 1)
