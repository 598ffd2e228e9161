"""Sums of products that cancel when they are multiplied out: `x (1 - y) - x` is `-x y`."""

from __future__ import annotations

from collections.abc import Iterable

from layouts.show.recognition import Terms
from layouts.show.value import MOST_OPERANDS, Maker, Number, Value, powers_of, terms_of


def cancelled(values: Maker, terms: Terms) -> Value | None:
    """The sum with its products multiplied out, where that is shorter: `x (1 - y) - x`."""
    if not any(_has_sum(value) for value in terms) or len(terms) > MOST_OPERANDS:
        return None
    total: Terms = {}
    for value, coefficient in terms.items():
        inner = _multiplied_out(values, value)
        if len(total) + len(inner) > 2 * MOST_OPERANDS:
            return None
        for number, part in inner:
            total[part] = total.get(part, 0) + coefficient * number
    kept = {value: c for value, c in total.items() if c != 0}
    if (len(kept), _length(kept)) >= (len(terms), _length(terms)):
        return None
    return _factored(values, kept)


def _multiplied_out(values: Maker, value: Value) -> list[tuple[Number, Value]]:
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
        for number, part in terms_of(c, values.multiply(factors)):
            if part.head == "number":
                number, part = number * part.detail[0], values.number(1)
            terms.append((number, part))
    return terms


def _factored(values: Maker, terms: Terms) -> Value:
    """A sum with the factors that all of its terms have in front."""
    if len(terms) < 2:
        return values.add((c, v) for v, c in terms.items())
    powers = [dict(powers_of(value)) for value in terms]
    common = [
        (base, least)
        for base in powers[0]
        if (least := min(inner.get(base, 0) for inner in powers)) > 0
    ]
    divided = [(base, -power) for base, power in common]
    rest = values.add((c, values.multiply([(v, 1), *divided])) for v, c in terms.items())
    return values.multiply([*common, (rest, 1)]) if common else rest


def _has_sum(value: Value) -> bool:
    """Whether a sum is among the factors of a product."""
    if value.head != "product":
        return False
    pairs = zip(value.operands, value.detail, strict=True)
    return any(v.head == "sum" and len(v.operands) > 1 and n == 1 for v, n in pairs)


def _length(terms: Iterable[Value]) -> int:
    """How many factors and terms are written, looking two levels in."""
    total = 0
    for value in terms:
        inner = [base for base, _ in powers_of(value)] or [value]
        total += sum(len(v.operands) if v.head == "sum" else 1 for v in inner)
    return total
