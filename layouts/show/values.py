"""Arrays as expressions: `1 - tanh(W @ X)²` is a tree of names, numbers and functions.

A value's text means what NumPy makes of it. It may have fewer axes than the array that it stands
for, or axes of size one, where the array repeats its entries: `x + 1` needs no array of ones. So
every value has the shape of its own text, and `layouts.show.views.full` spells a repetition out
where an operation would notice it, as a sum does. Equal values are one object.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor, isfinite, prod
from typing import Any

import numpy as np

from layouts.show.expanding import cancelled
from layouts.show.recognition import apart, in_product, in_sum, sigmoid_of
from layouts.show.value import (
    MOST_OPERANDS,
    Number,
    Shape,
    Value,
    centred,
    is_call,
    is_positive,
    plain,
    scale_of,
    terms_of,
)

_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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
        places = [operand.place for operand in operands]
        if head in ("sum", "product"):  # as it was first written, whatever the order
            key: tuple = (head, tuple(sorted(zip(places, detail, strict=True))), (), shape)
        elif head == "matmul" and shape == ():
            key = (head, tuple(sorted(places)), detail, shape)
        else:
            key = (head, tuple(places), detail, shape)
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
        return self.make("number", (), (plain(number),), ())

    def constant(self, shape: Shape) -> Value:
        """An array that a function holds, as `const1`, `const2` and so on."""
        self.constants += 1
        return self.unique(f"const{self.constants}", shape)

    def unique(self, text: str, shape: Shape) -> Value:
        """A named array that is equal to no other, whatever its name."""
        return self.make("name", (), (text, len(self.known)), shape)

    def map(self, function: str, *operands: Value) -> Value:
        """A function applied entry by entry."""
        (first, *rest) = operands
        if function in _WHOLE and all(v.head == "number" and _is_real(v) for v in operands):
            return self.number(_WHOLE[function](*(v.detail[0] for v in operands)))
        if function == "abs" and not rest:
            if is_positive(first):
                return first
            if first.head == "sum" and first.detail == (-1,):
                (first,) = operands = first.operands
        if function == "exp":
            sigmoid = sigmoid_of(self, first)
            if sigmoid is not None:
                return sigmoid
        if function == "log1p" and is_call(first, "exp"):
            return self.map("softplus", *first.operands)
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
            for inner, operand in terms_of(coefficient, value):
                if operand.head == "number":
                    inner, operand = inner * operand.detail[0], self.number(1)
                total[operand] = total.get(operand, 0) + inner
        kept = in_sum(self, {value: c for value, c in total.items() if c != 0})
        if not kept:
            return self.number(0)
        if len(kept) == 1:
            ((value, coefficient),) = kept.items()
            return self._times(coefficient, value)
        fewer = cancelled(self, kept)
        if fewer is not None:
            return fewer
        return self.make("sum", tuple(kept), tuple(map(plain, kept.values())))

    def known_as(self, head: str, operands: Sequence[Value], detail: tuple) -> Value | None:
        """A value that has been made before, else None; elementwise."""
        before, self.closed = self.closed, True
        try:
            return self.make(head, operands, detail)
        except LookupError:
            return None
        finally:
            self.closed = before

    def _times(self, coefficient: Number, value: Value) -> Value:
        """One term of a sum, alone."""
        if value.head == "number":
            return self.number(coefficient * value.detail[0])
        if coefficient == 1:
            return value
        mean = self._as_mean(coefficient, value)
        if mean is not None:
            return mean
        return self.make("sum", (value,), (plain(coefficient),))

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
        exponentials = {v for v, _ in pending if is_call(v, "exp")}
        while pending:
            value, exponent = pending.pop()
            if exponentials and value.head == "index":
                value, *others = apart(self, value, exponentials)
                pending += [(v, exponent) for v in others]
            scale = scale_of(value)
            raised = None if scale is None else _power(scale, exponent)
            if value.head == "product" and len(value.operands) <= MOST_OPERANDS:
                inner = zip(value.operands, value.detail, strict=True)
                pending += [(base, power * exponent) for base, power in inner][::-1]
            elif raised is not None:
                coefficient *= raised
                pending += [(operand, exponent) for operand in value.operands]
            else:
                if is_call(value, "sqrt") and exponent % 2 == 0:
                    value, exponent = value.operands[0], exponent // 2
                powers[value] = powers.get(value, 0) + exponent
        if coefficient == 0:
            return self.number(0)
        kept = in_product(self, powers)
        if not kept:
            return self.number(coefficient)
        if list(kept.values()) == [1]:
            (result,) = kept
        else:
            result = self.make("product", tuple(kept), tuple(kept.values()))
        return self.add([(coefficient, result)])

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
        held = left.head == "number" or (left.head == "name" and len(left.detail) > 1)
        if number == np.inf and sign in ("==", "!=") and not held:
            return self.name(str(sign == "!="), ())  # no real number is infinite
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


# What makes a whole number of numbers; `clip` bounds the first by the others.
_WHOLE: dict[str, Callable[..., Number]] = {
    "ceil": ceil,
    "floor": floor,
    "int": int,
    "clip": lambda number, low, high: min(max(number, low), high),
}


def _is_real(value: Value) -> bool:
    """Whether a number is neither complex nor without bounds."""
    number = value.detail[0]
    return not isinstance(number, complex) and isfinite(number)


def _power(scale: Number, exponent: int) -> Number | None:
    """A coefficient's power; None where there is none, or none that a float can hold."""
    if scale == 0 and exponent <= 0:
        return None
    try:
        return scale**exponent
    except OverflowError:
        return None
