"""Arrays as expressions: `1 - tanh(W @ X)²` is a tree of names, numbers and functions.

A value's text means what NumPy makes of it. It may have fewer axes than the array that it stands
for, or axes of size one, where the array repeats its entries: `x + 1` needs no array of ones. So
every value has the shape of its own text, and `layouts.show.views.full` spells a repetition out
where an operation would notice it, as a sum does. Equal values are one object.
"""

import operator
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Number = complex | float | int
Terms = dict["Value", Number]

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
        (first, *rest) = operands
        if function == "abs" and not rest:
            if is_positive(first):
                return first
            if first.head == "sum" and first.detail == (-1,):
                (first,) = operands = first.operands
        if function == "exp":
            sigmoid = self._as_sigmoid(first)
            if sigmoid is not None:
                return sigmoid
        if function == "log1p" and is_call(first, "exp"):
            return self.map("softplus", *first.operands)
        return self.make("map", operands, (function,))

    def _as_sigmoid(self, exponent: Value) -> Value | None:
        """`exp(x - softplus(x))` is `sigmoid(x)`, and `exp(-softplus(x))` is `sigmoid(-x)`."""
        terms = list(_terms(1, exponent))
        for place, (coefficient, value) in enumerate(terms):
            if coefficient == -1 and is_call(value, "softplus"):
                (x,), rest = value.operands, self.add(terms[:place] + terms[place + 1 :])
                if rest is x:
                    return self.map("sigmoid", x)
                if rest is self.number(0):
                    return self.map("sigmoid", self.add([(-1, x)]))
        return None

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
        kept = self._as_slopes(self._as_log_softmax(self._as_softplus(kept)))
        if not kept:
            return self.number(0)
        if len(kept) == 1:
            ((value, coefficient),) = kept.items()
            return self._times(coefficient, value)
        fewer = self._cancelled(kept)
        if fewer is not None:
            return fewer
        return self.make("sum", tuple(kept), tuple(map(_plain, kept.values())))

    def _as_softplus(self, terms: Terms) -> Terms:
        """`relu(x) + log1p(exp(-abs(x)))` is `softplus(x)`."""
        for tail in [v for v in terms if is_call(v, "softplus")]:
            (negative,) = tail.operands
            if (negative.head, negative.detail) != ("sum", (-1,)):
                continue
            (size,) = negative.operands
            for sign in (1, -1) if is_call(size, "abs") else ():
                x = self.add([(sign, size.operands[0])])
                head = self.known_as("map", (x,), ("relu",))
                if head is not None and terms.get(head) == terms[tail]:
                    rest = {v: c for v, c in terms.items() if v not in (head, tail)}
                    softplus = self.map("softplus", x)
                    return {**rest, softplus: rest.get(softplus, 0) + terms[tail]}
        return terms

    def _as_log_softmax(self, terms: Terms) -> Terms:
        """`x - logsumexp(x)` is `log_softmax(x)`."""
        for total in [v for v in terms if is_call(_unindexed(v), "logsumexp")]:
            (x,), coefficient = _unindexed(total).operands, -terms[total]
            inner = _terms(1, x)
            axis = axis_along("logsumexp", total, x)
            if axis is not None and all(terms.get(v) == coefficient * c for c, v in inner):
                options = [f"axis={axis}"] if len(x.shape) > 1 else []
                logarithm = self.call("log_softmax", [x], options, x.shape)
                gone = {total, *(v for _, v in inner)}
                rest = {v: c for v, c in terms.items() if v not in gone}
                return {**rest, logarithm: rest.get(logarithm, 0) + coefficient}
        return terms

    def _as_slopes(self, terms: Terms) -> Terms:
        """`sigmoid(x) - sigmoid(x)²` is `sigmoid(x) (1 - sigmoid(x))`, its derivative."""
        for sigmoid in [v for v in terms if is_call(v, "sigmoid")]:
            square = self.known_as("product", (sigmoid,), (2,))
            if square is not None and terms.get(square) == -terms[sigmoid]:
                rest = {v: c for v, c in terms.items() if v not in (sigmoid, square)}
                opposite = self.add([(1, self.number(1)), (-1, sigmoid)])
                slope = self.multiply([(sigmoid, 1), (opposite, 1)])
                return {**rest, slope: rest.get(slope, 0) + terms[sigmoid]}
        return terms

    def _cancelled(self, terms: Terms) -> Value | None:
        """The sum with its products multiplied out, where that is shorter: `x (1 - y) - x`."""
        if not any(_has_sum(value) for value in terms) or len(terms) > MOST_OPERANDS:
            return None
        total: Terms = {}
        for value, coefficient in terms.items():
            inner = self._multiplied_out(value)
            if len(total) + len(inner) > 2 * MOST_OPERANDS:
                return None
            for number, part in inner:
                total[part] = total.get(part, 0) + coefficient * number
        kept = {value: c for value, c in total.items() if c != 0}
        if (len(kept), _length(kept)) >= (len(terms), _length(terms)):
            return None
        return self._factored(kept)

    def _multiplied_out(self, value: Value) -> list[tuple[Number, Value]]:
        """A product of sums as the terms of its own sum."""
        if not _has_sum(value):
            return [(1, value)]
        found: list[tuple[Number, list[tuple[Value, int]]]] = [(1, [])]
        for base, power in zip(value.operands, value.detail, strict=True):
            inner = [(1, base)]
            if base.head == "sum" and power == 1:
                inner = list(zip(base.detail, base.operands, strict=True))
            if len(found) * len(inner) > MOST_OPERANDS:
                return [(1, value)]
            exponent = 1 if len(inner) > 1 else power
            found = [(c * d, [*of, (v, exponent)]) for c, of in found for d, v in inner]
        terms: list[tuple[Number, Value]] = []
        for c, factors in found:
            for number, part in _terms(c, self.multiply(factors)):
                if part.head == "number":
                    number, part = number * part.detail[0], self.number(1)
                terms.append((number, part))
        return terms

    def _factored(self, terms: Terms) -> Value:
        """A sum with the factors that all of its terms have in front."""
        if len(terms) < 2:
            return self.add((c, v) for v, c in terms.items())
        powers = [dict(_powers(value)) for value in terms]
        common = [
            (base, least)
            for base in powers[0]
            if (least := min(inner.get(base, 0) for inner in powers)) > 0
        ]
        divided = [(base, -power) for base, power in common]
        rest = self.add((c, self.multiply([(v, 1), *divided])) for v, c in terms.items())
        return self.multiply([*common, (rest, 1)]) if common else rest

    def known_as(self, head: str, operands: Sequence[Value], detail: tuple) -> Value | None:
        """A value if it has been made."""
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
        exponentials = {v for v, _ in pending if is_call(v, "exp")}
        while pending:
            value, exponent = pending.pop()
            if exponentials and value.head == "index":
                apart = self._apart(value, exponentials)
                pending += [(v, exponent) for v in apart[1:]]
                value = apart[0]
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
        powers = self._as_softmax(self._as_squares(self._as_norms(self._as_roots(powers))))
        powers = self._as_sigmoids(powers)
        kept = {v: 1 if _is_mask(v) and n > 1 else n for v, n in powers.items() if n != 0}
        if not kept:
            return self.number(coefficient)
        if list(kept.values()) == [1]:
            (result,) = kept
        else:
            result = self.make("product", tuple(kept), tuple(kept.values()))
        return self.add([(coefficient, result)])

    def _apart(self, view: Value, exponentials: Container[Value]) -> list[Value]:
        """`(s / sum(E))[:, None]` next to E as `s[:, None]` and `1 / sum(E)[:, None]`."""
        (product,) = view.operands
        if product.head != "product" or not {*view.detail} <= {":", "None"}:
            return [view]
        for base, power in zip(product.operands, product.detail, strict=True):
            total = power == -1 and is_call(base, "sum") and base.shape == product.shape
            if total and base.operands[0] in exponentials:
                rest = self.multiply([(product, 1), (base, 1)])
                if rest.shape == base.shape:
                    inner = (self.make("index", (v,), view.detail, view.shape) for v in (rest, base))
                    return [v if n == 0 else self.multiply([(v, -1)]) for n, v in enumerate(inner)]
        return [view]

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

    def _as_roots(self, powers: dict[Value, int]) -> dict[Value, int]:
        """`x sqrt(x)` is `sqrt(x)³`."""
        for root in [v for v in powers if is_call(v, "sqrt")]:
            (x,) = root.operands
            if powers.get(x) and powers[root]:
                rest = {v: power for v, power in powers.items() if v not in (x, root)}
                half, odd = divmod(powers[root] + 2 * powers[x], 2)
                return {**rest, root: 2 * half + odd}
        return powers

    def _as_sigmoids(self, powers: dict[Value, int]) -> dict[Value, int]:
        """`1 / (1 + exp(-x))` is `sigmoid(x)`, `exp(-x) sigmoid(x)` is `1 - sigmoid(x)`."""
        found = dict(powers)
        for base in powers:
            exponent = _logistic_exponent(base)
            if exponent is not None and powers[base] < 0:
                sigmoid = self.map("sigmoid", self.add([(-1, exponent)]))
                found[sigmoid] = found.get(sigmoid, 0) - found.pop(base)
        for base in [v for v in found if is_call(v, "exp")]:
            (x,) = base.operands
            sigmoid = self.known_as("map", (self.add([(-1, x)]),), ("sigmoid",))
            times = min(found[base], found.get(sigmoid, 0)) if sigmoid else 0
            if sigmoid and times > 0:
                found[base] -= times
                found[sigmoid] -= times
                opposite = self.map("sigmoid", x)
                found[opposite] = found.get(opposite, 0) + times
        for base in [v for v in found if is_call(v, "exp")]:
            sigmoid = self.known_as("map", base.operands, ("sigmoid",))
            rest = sigmoid and self.known_as("sum", (self.number(1), sigmoid), (1, -1))
            times = min(found[base], found.get(rest, 0)) if rest else 0
            if sigmoid and rest and times > 0:  # exp(x) (1 - sigmoid(x)) is sigmoid(x)
                found[base] -= times
                found[rest] -= times
                found[sigmoid] = found.get(sigmoid, 0) + times
        for base in [v for v in found if is_call(v, "sigmoid")]:
            negative = base.operands[0]
            if negative.head != "sum" or negative.detail != (-1,) or found[base] < 1:
                continue
            sigmoid = self.map("sigmoid", *negative.operands)
            if found.get(sigmoid, 0) > 0:
                rest = self.add([(1, self.number(1)), (-1, sigmoid)])
                found[rest] = found.get(rest, 0) + found.pop(base)
        return found

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
        if number == np.inf and sign in ("==", "!=") and left.head not in ("number", "name"):
            return self.name(str(sign == "!="), ())  # of real numbers none is
        if number == np.inf and sign in ("==", "!=") and len(left.detail) == 1 and left.head == "name":
            return self.name(str(sign == "!="), ())
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


def _unindexed(value: Value) -> Value:
    return value.operands[0] if value.head == "index" else value


def _is_mask(value: Value) -> bool:
    """Whether all its entries are zero or one: `1[p]`, or `1 - 1[p]`."""
    if value.head == "sum" and sorted(value.detail, key=str) == [-1, 1]:
        one = [v for v, c in zip(value.operands, value.detail, strict=True) if c == 1]
        mask = [v for v, c in zip(value.operands, value.detail, strict=True) if c == -1]
        return one[0].detail == (1,) and one[0].head == "number" and mask[0].head == "indicator"
    return value.head == "indicator"


def _logistic_exponent(value: Value) -> Value | None:
    """The x of `1 + exp(x)`."""
    if value.head != "sum" or value.detail != (1, 1):
        return None
    for one, power in permutations(value.operands):
        if one.head == "number" and one.detail == (1,) and is_call(power, "exp"):
            return power.operands[0]
    return None


def _has_sum(value: Value) -> bool:
    """Whether a sum is among the factors of a product."""
    if value.head != "product":
        return False
    pairs = zip(value.operands, value.detail, strict=True)
    return any(v.head == "sum" and len(v.operands) > 1 and n == 1 for v, n in pairs)


def _powers(value: Value) -> list[tuple[Value, int]]:
    """The factors of a product, or of anything else itself."""
    if value.head == "product":
        return list(zip(value.operands, value.detail, strict=True))
    return [(value, 1)] if value.head != "number" else []


def _length(terms: Iterable[Value]) -> int:
    """How many factors and terms are written, looking two levels in."""
    total = 0
    for value in terms:
        inner = [base for base, _ in _powers(value)] or [value]
        total += sum(len(v.operands) if v.head == "sum" else 1 for v in inner)
    return total


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
