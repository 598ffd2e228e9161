"""Arrays as expressions: `1 - tanh(W @ X)²` is a tree of names, numbers and functions.

A value's text means what NumPy makes of it. It may have fewer axes than the array that it stands
for, or axes of size one, where the array repeats its entries: `x + 1` needs no array of ones. So
every value has the shape of its own text, and `layouts.show.views.full` spells a repetition out
where an operation would notice it, as a sum does. Equal values are one object.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Number = complex | float | int

# A sum or product of more operands than this is not flattened into another.
MOST_OPERANDS = 12

_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
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
    operands: tuple["Value", ...]
    detail: tuple
    shape: Shape
    place: int


class Values:
    """Makes values, each once, and simplifies as people do: `x + x` is `2 * x`.

    Every simplification is an identity of real numbers where both sides are defined.

    Example:
        >>> values = Values()
        >>> h = values.name("h", (3,))
        >>> one = values.number(1)
        >>> squared = values.add([(1, one), (-1, values.multiply([(h, 2)]))])
        >>> both = values.multiply([(values.add([(1, one), (s, h)]), 1) for s in (1, -1)])
        >>> both is squared  # (1 + h) (1 - h) is 1 - h²
        True
    """

    def __init__(self) -> None:
        """Start with no values."""
        self.known: dict[tuple, Value] = {}
        self.given: dict[Value, str] = {}  # names that the function itself gives
        self.constants = 0
        self.closed = False  # while closed, what is not known is a LookupError

    def make(
        self, head: str, operands: Sequence[Value], detail: tuple = (), shape: Shape | None = None
    ) -> Value:
        """Any value, as it stands; elementwise where no shape is given."""
        if shape is None:
            shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        key = (head, tuple(operand.place for operand in operands), detail, shape)
        if key not in self.known:
            if self.closed:
                raise LookupError(f"no {head} of this kind is known")
            self.known[key] = Value(head, tuple(operands), detail, shape, len(self.known))
        return self.known[key]

    def name(self, text: str, shape: Shape) -> Value:
        """A named array."""
        return self.make("name", (), (text,), shape)

    def number(self, number: Number) -> Value:
        """A number, which repeats itself to any shape."""
        return self.make("number", (), (_plain(number),), ())

    def constant(self, shape: Shape) -> Value:
        """An array that a function holds, as `const1`, `const2` and so on."""
        self.constants += 1
        return self.unique(f"const{self.constants}", shape)

    def unique(self, text: str, shape: Shape) -> Value:
        """A named array that is equal to no other, whatever its name."""
        return self.make("name", (), (text, len(self.known)), shape)

    def map(self, function: str, *operands: Value) -> Value:
        """A function applied entry by entry."""
        if function == "abs" and is_positive(operands[0]):
            return operands[0]
        return self.make("map", operands, (function,))

    def call(
        self, function: str, operands: Sequence[Value], options: Sequence[str], shape: Shape
    ) -> Value:
        """A function written `f(operands, options)`, of full operands."""
        return self.make("call", operands, (function, *options), shape)

    def unknown(self, name: str, operands: Sequence[Value], shapes: Sequence[Shape]) -> list[Value]:
        """The results of a function with more to it than its operands: equal to no other."""
        detail = (name, len(self.known))
        if len(shapes) == 1:
            return [self.make("unknown", operands, (*detail, ""), shapes[0])]
        places = enumerate(shapes)
        return [self.make("unknown", operands, (*detail, f"[{n}]"), shape) for n, shape in places]

    def add(self, terms: Iterable[tuple[Number, Value]]) -> Value:
        """A sum of values times coefficients; equal ones are collected."""
        total: dict[Value, Number] = {}
        for coefficient, value in terms:
            for inner, operand in _terms(coefficient, value):
                if operand.head == "number":
                    inner, operand = inner * operand.detail[0], self.number(1)
                total[operand] = total.get(operand, 0) + inner
        kept = {value: c for value, c in total.items() if c != 0}
        if not kept:
            return self.number(0)
        if len(kept) == 1:
            ((value, coefficient),) = kept.items()
            return self._times(coefficient, value)
        return self.make("sum", tuple(kept), tuple(map(_plain, kept.values())))

    def _times(self, coefficient: Number, value: Value) -> Value:
        """One term of a sum, alone."""
        if value.head == "number":
            return self.number(coefficient * value.detail[0])
        if coefficient == 1:
            return value
        mean = self._as_mean(coefficient, value)
        if mean is not None:
            return mean
        return self.make("sum", (value,), (_plain(coefficient),))

    def _as_mean(self, coefficient: Number, value: Value) -> Value | None:
        """`sum(x, axis=1) / 5` over five entries is `mean(x, axis=1)`, indexed or not."""
        indexed = value.head == "index"
        total = value.operands[0] if indexed else value
        if not is_call(total, "sum") or isinstance(coefficient, complex):
            return None
        count = prod(total.operands[0].shape) / max(prod(total.shape), 1)
        if abs(coefficient * count - 1) > 1e-6:
            return None
        square = total.operands[0]
        x = centred(square.operands[0], total.detail[1:]) if square.detail == (2,) else None
        if x is not None and square.head == "product":  # the mean of (x - mean(x))²
            mean = self.call("var", [x], total.detail[1:], total.shape)
        else:
            mean = self.call("mean", total.operands, total.detail[1:], total.shape)
        return self.make("index", [mean], value.detail, value.shape) if indexed else mean

    def multiply(self, factors: Iterable[tuple[Value, int]]) -> Value:
        """A product of integer powers, entry by entry; equal bases are collected."""
        coefficient: Number = 1
        powers: dict[Value, int] = {}
        pending = list(factors)[::-1]
        while pending:
            value, exponent = pending.pop()
            scale = _scale(value)
            if value.head == "product" and len(value.operands) <= MOST_OPERANDS:
                inner = zip(value.operands, value.detail, strict=True)
                pending += [(base, power * exponent) for base, power in inner][::-1]
            elif scale is not None and (scale != 0 or exponent > 0):
                coefficient *= scale**exponent
                pending += [(operand, exponent) for operand in value.operands]
            else:
                if is_call(value, "sqrt") and exponent % 2 == 0:
                    value, exponent = value.operands[0], exponent // 2
                powers[value] = powers.get(value, 0) + exponent
        if coefficient == 0:
            return self.number(0)
        powers = self._as_softmax(self._as_squares(self._as_norms(powers)))
        kept = {value: power for value, power in powers.items() if power != 0}
        if not kept:
            return self.number(coefficient)
        if list(kept.values()) == [1]:
            (result,) = kept
        else:
            result = self.make("product", tuple(kept), tuple(kept.values()))
        return self.add([(coefficient, result)])

    def _as_norms(self, powers: dict[Value, int]) -> dict[Value, int]:
        """`sum(x²) norm(x)` is `norm(x)³`."""
        for norm, total in permutations(powers, 2):
            if not (is_call(norm, "norm") and is_call(total, "sum")):
                continue
            square = self.multiply([(norm.operands[0], 2)])
            if total.operands == (square,) and total.detail[1:] == norm.detail[1:]:
                rest = {value: power for value, power in powers.items() if value is not total}
                return {**rest, norm: powers[norm] + 2 * powers[total]}
        return powers

    def _as_squares(self, powers: dict[Value, int]) -> dict[Value, int]:
        """`(a + b) (a - b)` is `a² - b²`."""
        sums = [v for v, power in powers.items() if v.head == "sum" and power == 1]
        for one, other in combinations([v for v in sums if len(v.operands) == 2], 2):
            (a, b), (c, d) = one.detail, other.detail
            if one.operands == other.operands and a == c and b == -d:
                rest = {v: power for v, power in powers.items() if v not in (one, other)}
                first, second = (self.multiply([(operand, 2)]) for operand in one.operands)
                return {**rest, self.add([(a * a, first), (-b * b, second)]): 1}
        return powers

    def _as_softmax(self, powers: dict[Value, int]) -> dict[Value, int]:
        """`exp(x - max(x)) / sum(exp(x - max(x)))` is `softmax(x)`."""
        for base, divisor in permutations(powers, 2):
            if powers[base] < 1 or powers[divisor] > -1 or not is_call(base, "exp"):
                continue
            axis = axis_along("sum", divisor, base)
            if axis is not None:
                options = [f"axis={axis}"] if len(base.shape) > 1 else []
                logits = self._unshifted(base.operands[0], axis)
                softmax = self.call("softmax", (logits,), options, base.shape)
                rest = {**powers, base: powers[base] - 1, divisor: powers[divisor] + 1}
                return {**rest, softmax: rest.get(softmax, 0) + 1}
        return powers

    def _unshifted(self, shifted: Value, axis: int) -> Value:
        """`x - max(x, axis)` without the shift, which a softmax does not see."""
        terms = list(_terms(1, shifted))
        for place, (coefficient, peak) in enumerate(terms):
            x = self.add(terms[:place] + terms[place + 1 :])
            whole = coefficient == -1 and x.shape == shifted.shape
            if whole and axis_along("max", peak, x) == axis:
                return x
        return shifted

    def again(self, value: Value, operands: Sequence[Value]) -> Value:
        """The same elementwise function of other operands."""
        if value.head == "sum":
            return self.add(zip(value.detail, operands, strict=True))
        if value.head == "product":
            return self.multiply(zip(operands, value.detail, strict=True))
        return self.make(value.head, operands, value.detail)

    def compare(self, sign: str, left: Value, right: Value) -> Value:
        """`left > right` and the like; `1[p] == 1` is p itself."""
        number = right.detail[0] if right.head == "number" else None
        if left.head == right.head == "number":
            return self.name(str(_SIGNS[sign](left.detail[0], number)), ())
        if (sign, number) == (">=", 0) and is_positive(left):
            return self.name("True", ())
        if left.head == "indicator" and (sign, number) in (("==", 1), ("!=", 0)):
            return left.operands[0]
        if left.head == "indicator" and (sign, number) in (("==", 0), ("!=", 1)):
            return self.map("logical_not", *left.operands)
        return self.make("compare", (left, right), (sign,))

    def indicator(self, condition: Value) -> Value:
        """One where a condition holds, zero elsewhere: `1[x > 0]`."""
        if condition.head == "name" and condition.detail[0] in ("True", "False"):
            return self.number(int(condition.detail[0] == "True"))
        if is_call(condition, "logical_not"):
            opposite = self.indicator(condition.operands[0])
            return self.add([(1, self.number(1)), (-1, opposite)])
        return self.make("indicator", (condition,))


def _plain(number: Number) -> Number:
    """A whole number without its point."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        return int(number)
    return number


def _terms(coefficient: Number, value: Value) -> list[tuple[Number, Value]]:
    """The terms of a sum, its sign multiplied in; a number times a sum stays a product."""
    if value.head != "sum" or len(value.operands) > MOST_OPERANDS:
        return [(coefficient, value)]
    if len(value.operands) > 1 and abs(coefficient) != 1:
        return [(coefficient, value)]
    return [(coefficient * c, v) for c, v in zip(value.detail, value.operands, strict=True)]


def parted(value: Value) -> tuple[Number, Value]:
    """`2 * x` as 2 and x; a fraction stays, which is mostly part of a function such as gelu."""
    if value.head == "sum" and len(value.operands) == 1 and isinstance(value.detail[0], int):
        return value.detail[0], value.operands[0]
    return 1, value


def _scale(value: Value) -> Number | None:
    """The coefficient of `2 * x`, or a number itself; None where there is none."""
    if value.head == "number" or (value.head == "sum" and len(value.operands) == 1):
        return value.detail[0]
    return None


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
