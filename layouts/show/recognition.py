"""Functions recognised in what they are made of: `exp(x) / sum(exp(x))` is `softmax(x)`.

Each is an identity of real numbers where both sides are defined.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import combinations, permutations

from layouts.show.value import Maker, Number, Value, axis_along, is_call, terms_of, unindexed

Terms = dict[Value, Number]
Powers = dict[Value, int]


def in_sum(values: Maker, terms: Terms) -> Terms:
    """Recognise `softplus`, `log_softmax` and the slope of `sigmoid` among terms.

    Args:
        values: makes what they are replaced by.
        terms: values and their coefficients, none of them zero.
    """
    for change in (_softplus, _log_softmax, _slopes):
        terms = change(values, terms)
    return terms


def in_product(values: Maker, powers: Powers) -> Powers:
    """Recognise powers of roots and norms, `softmax` and `sigmoid` among factors.

    Args:
        values: makes what they are replaced by.
        powers: values and their powers.
    """
    for change in (_roots, _norms, _squares, _softmax, _sigmoids, _steps):
        powers = change(values, powers)
    return {v: 1 if _is_mask(v) and n > 1 else n for v, n in powers.items() if n}


def sigmoid_of(values: Maker, exponent: Value) -> Value | None:
    """`exp(x - softplus(x))` is `sigmoid(x)`, and `exp(-softplus(x))` is `sigmoid(-x)`."""
    terms = list(terms_of(1, exponent))
    for place, (coefficient, value) in enumerate(terms):
        if coefficient == -1 and is_call(value, "softplus"):
            (x,), rest = value.operands, values.add(terms[:place] + terms[place + 1 :])
            if rest is x:
                return values.map("sigmoid", x)
            if rest is values.number(0):
                return values.map("sigmoid", values.add([(-1, x)]))
    return None


def apart(values: Maker, view: Value, exponentials: Container[Value]) -> list[Value]:
    """`(s / sum(E))[:, None]` next to E as `s[:, None]` and `1 / sum(E)[:, None]`."""
    (product,) = view.operands
    if product.head != "product" or not {*view.detail} <= {":", "None"}:
        return [view]
    for base, power in zip(product.operands, product.detail, strict=True):
        total = power == -1 and is_call(base, "sum") and base.shape == product.shape
        if total and base.operands[0] in exponentials:
            rest = values.multiply([(product, 1), (base, 1)])
            if rest.shape == base.shape:
                inner = (values.make("index", (v,), view.detail, view.shape) for v in (rest, base))
                return [v if n == 0 else values.multiply([(v, -1)]) for n, v in enumerate(inner)]
    return [view]


def _softplus(values: Maker, terms: Terms) -> Terms:
    """`relu(x) + log1p(exp(-abs(x)))` is `softplus(x)`."""
    for tail in [v for v in terms if is_call(v, "softplus")]:
        (negative,) = tail.operands
        if (negative.head, negative.detail) != ("sum", (-1,)):
            continue
        (size,) = negative.operands
        for sign in (1, -1) if is_call(size, "abs") else ():
            x = values.add([(sign, size.operands[0])])
            head = values.known_as("map", (x,), ("relu",))
            if head is not None and terms.get(head) == terms[tail]:
                rest = {v: c for v, c in terms.items() if v not in (head, tail)}
                softplus = values.map("softplus", x)
                return {**rest, softplus: rest.get(softplus, 0) + terms[tail]}
    return terms


def _log_softmax(values: Maker, terms: Terms) -> Terms:
    """`x - logsumexp(x)` is `log_softmax(x)`."""
    for total in [v for v in terms if is_call(unindexed(v), "logsumexp")]:
        (x,), coefficient = unindexed(total).operands, -terms[total]
        inner = terms_of(1, x)
        axis = axis_along("logsumexp", total, x)
        if axis is not None and all(terms.get(v) == coefficient * c for c, v in inner):
            options = [f"axis={axis}"] if len(x.shape) > 1 else []
            logarithm = values.call("log_softmax", [x], options, x.shape)
            gone = {total, *(v for _, v in inner)}
            rest = {v: c for v, c in terms.items() if v not in gone}
            return {**rest, logarithm: rest.get(logarithm, 0) + coefficient}
    return terms


def _slopes(values: Maker, terms: Terms) -> Terms:
    """`sigmoid(x) - sigmoid(x)²` is `sigmoid(x) (1 - sigmoid(x))`, its derivative."""
    for sigmoid in [v for v in terms if is_call(v, "sigmoid")]:
        square = values.known_as("product", (sigmoid,), (2,))
        if square is not None and terms.get(square) == -terms[sigmoid]:
            rest = {v: c for v, c in terms.items() if v not in (sigmoid, square)}
            opposite = values.add([(1, values.number(1)), (-1, sigmoid)])
            slope = values.multiply([(sigmoid, 1), (opposite, 1)])
            return {**rest, slope: rest.get(slope, 0) + terms[sigmoid]}
    return terms


def _norms(values: Maker, powers: Powers) -> Powers:
    """`sum(x²) norm(x)` is `norm(x)³`."""
    for norm, total in permutations(powers, 2):
        if not (is_call(norm, "norm") and is_call(total, "sum")):
            continue
        square = values.multiply([(norm.operands[0], 2)])
        if total.operands == (square,) and total.detail[1:] == norm.detail[1:]:
            rest = {value: power for value, power in powers.items() if value is not total}
            return {**rest, norm: powers[norm] + 2 * powers[total]}
    return powers


def _roots(values: Maker, powers: Powers) -> Powers:
    """`x sqrt(x)` is `sqrt(x)³`, and `sqrt(x)²` is x."""
    for root in [v for v in powers if is_call(v, "sqrt")]:
        (x,) = root.operands
        total = powers[root] + 2 * powers.get(x, 0)
        if powers[root] and (powers.get(x) or total % 2 == 0):
            rest = {v: power for v, power in powers.items() if v not in (x, root)}
            powers = {**rest, root: total} if total % 2 else {**rest, x: total // 2}
    return powers


def _squares(values: Maker, powers: Powers) -> Powers:
    """`(a + b) (a - b)` is `a² - b²`."""
    sums = [v for v, power in powers.items() if v.head == "sum" and power == 1]
    for one, other in combinations([v for v in sums if len(v.operands) == 2], 2):
        (a, b), (c, d) = one.detail, other.detail
        if one.operands == other.operands and a == c and b == -d:
            rest = {v: power for v, power in powers.items() if v not in (one, other)}
            first, second = (values.multiply([(operand, 2)]) for operand in one.operands)
            return {**rest, values.add([(a * a, first), (-b * b, second)]): 1}
    return powers


def _softmax(values: Maker, powers: Powers) -> Powers:
    """`exp(x - max(x)) / sum(exp(x - max(x)))` is `softmax(x)`."""
    for base, divisor in permutations(powers, 2):
        if powers[base] < 1 or powers[divisor] > -1 or not is_call(base, "exp"):
            continue
        axis = axis_along("sum", divisor, base)
        if axis is not None:
            options = [f"axis={axis}"] if len(base.shape) > 1 else []
            logits = _unshifted(values, base.operands[0], axis)
            softmax = values.call("softmax", (logits,), options, base.shape)
            rest = {**powers, base: powers[base] - 1, divisor: powers[divisor] + 1}
            return {**rest, softmax: rest.get(softmax, 0) + 1}
    return powers


def _unshifted(values: Maker, shifted: Value, axis: int) -> Value:
    """`x - max(x, axis)` without the shift, which a softmax does not see."""
    terms = list(terms_of(1, shifted))
    for place, (coefficient, peak) in enumerate(terms):
        x = values.add(terms[:place] + terms[place + 1 :])
        whole = coefficient == -1 and x.shape == shifted.shape
        if whole and axis_along("max", peak, x) == axis:
            return x
    return shifted


def _sigmoids(values: Maker, powers: Powers) -> Powers:
    """`1 / (1 + exp(-x))` is `sigmoid(x)`, `exp(-x) sigmoid(x)` is `1 - sigmoid(x)`."""
    found = dict(powers)

    def exchange(one: Value, other: Value | None, new: Value) -> None:
        """Replace `one * other`, as often as it is there."""
        times = min(found[one], found.get(other, 0)) if other else 0
        if other and times > 0:
            found[one] -= times
            found[other] -= times
            found[new] = found.get(new, 0) + times

    for base in powers:
        x = _logistic_exponent(base)
        if x is not None and powers[base] < 0:
            sigmoid = values.map("sigmoid", values.add([(-1, x)]))
            found[sigmoid] = found.get(sigmoid, 0) - found.pop(base)
    one = values.number(1)
    for power in [v for v in found if is_call(v, "exp") and found[v] > 0]:
        (x,) = power.operands
        sigmoid = values.map("sigmoid", x)
        exchange(power, values.map("sigmoid", values.add([(-1, x)])), sigmoid)
        exchange(power, values.add([(1, one), (-1, sigmoid)]), sigmoid)
    for sigmoid in [v for v in found if is_call(v, "sigmoid")]:
        (x,) = sigmoid.operands
        if (x.head, x.detail) == ("sum", (-1,)):
            opposite = values.map("sigmoid", *x.operands)
            if found.get(opposite, 0) > 0:
                rest = values.add([(1, one), (-1, opposite)])
                found[rest] = found.get(rest, 0) + found.pop(sigmoid)
    return found


def _is_mask(value: Value) -> bool:
    """Whether all its entries are zero or one: `1[p]`, or `1 - 1[p]`."""
    if value.head == "sum" and sorted(value.detail, key=str) == [-1, 1]:
        one = [v for v, c in zip(value.operands, value.detail, strict=True) if c == 1]
        mask = [v for v, c in zip(value.operands, value.detail, strict=True) if c == -1]
        return one[0].detail == (1,) and one[0].head == "number" and mask[0].head == "indicator"
    return value.head == "indicator"


def _steps(values: Maker, powers: Powers) -> Powers:
    """`1[x == maximum(x, y)] / where(y == maximum(x, y), 2, 1)` is `heaviside(x - y, 1/2)`.

    It is the slope of the maximum: one where x is the larger, a half where they are equal.
    """
    for mask, ties in permutations(powers, 2):
        if mask.head != "indicator" or powers[ties] != -1 or not is_call(ties, "where"):
            continue
        one, other = mask.operands[0], ties.operands[0]
        numbers = [v.detail for v in ties.operands[1:]]
        if numbers != [(2,), (1,)] or (one.detail, other.detail) != (("==",), ("==",)):
            continue
        for x, top in permutations(one.operands):
            rest = [v for v in other.operands if v is not top]
            if len(rest) == 1 and top in other.operands and _is_larger(values, top, x, rest[0]):
                sign = -1 if is_call(top, "minimum") else 1
                apart = values.add([(sign, x), (-sign, rest[0])])
                step = values.map("heaviside", apart, values.number(0.5))
                kept = {v: n for v, n in powers.items() if v not in (mask, ties)}
                return {**kept, step: kept.get(step, 0) + 1}
    return powers


def _is_larger(values: Maker, top: Value, x: Value, y: Value) -> bool:
    """Whether a value is the maximum of two, or their minimum."""
    if is_call(top, "relu"):
        return y is values.number(0) and top.operands == (x,)
    return (
        top.head == "map"
        and top.detail[0] in ("maximum", "minimum")
        and top.operands
        in (
            (x, y),
            (y, x),
        )
    )


def _logistic_exponent(value: Value) -> Value | None:
    """The x of `1 + exp(x)`."""
    if value.head != "sum" or value.detail != (1, 1):
        return None
    for one, power in permutations(value.operands):
        if one.head == "number" and one.detail == (1,) and is_call(power, "exp"):
            return power.operands[0]
    return None
