"""Formulas of arrays with one slip inside: a divisor, a factor, a term, a power, a sign.

What stands in a gradient, such as `a / (‖a‖³ ‖b‖)`, is a formula of its own, and a slip may lie
anywhere in it. Each part of it is changed, and the whole written anew around that part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from layouts.doctor.changes import Instead, kind_of_missing, parts_of_sum, text
from layouts.formulas.tree import (
    Call,
    Derivative,
    Formula,
    Inverse,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Transpose,
)

# Of one array no more are tried.
MOST_REWRITTEN = 80


def rewritten(array: Formula, shapes: Mapping[Formula, tuple[int, ...]]) -> Iterator[Instead]:
    """An array's formula with one part of it changed, the outermost first.

    Args:
        array: the formula.
        shapes: of arrays that may be mistaken for one another.
    """
    shown, count = text(array), 0
    for part in dict.fromkeys(array.walk()):
        for new, kind, words, rank in (*_changed(part, shown), *_mistaken(part, array, shapes)):
            yield array.replaced({part: new}), kind, words, rank if part == array else rank + 1
            count += 1
            if count == MOST_REWRITTEN:
                return
    yield from _exchanged(array, shapes)


def _changed(part: Formula, shown: str) -> Iterator[Instead]:
    """A slip in one operation."""
    if isinstance(part, Quotient):
        yield from _of_quotient(part, shown)
    if isinstance(part, Power):
        yield from _of_power(part, shown)
    if isinstance(part, Product) and len(part.factors) > 1:
        for gone, factor in enumerate(part.factors):
            words = f"{text(factor)} is left out of {shown}"
            yield _without(part, gone), kind_of_missing(factor), words, 3
    if isinstance(part, Sum):
        yield from _of_sum(part, shown)
    if isinstance(part, Call) and not part.primes and len(part.operands) == 1:
        (operand,) = part.operands
        yield operand, "wrong-point", f"{text(operand)} stands where {text(part)} belongs", 4
    if isinstance(part, Transpose):
        words = f"{text(part.of)} is not transposed in {shown}"
        yield part.of, "operand-not-transposed", words, 3
    if isinstance(part, Inverse):
        words = f"{text(part.of)} stands where its inverse belongs in {shown}"
        yield part.of, "inverse-for-transpose", words, 4
        yield Transpose(part), "operand-not-transposed", f"{text(part)} is transposed", 4


def _of_quotient(part: Quotient, shown: str) -> Iterator[Instead]:
    below = text(part.below)
    yield part.above, "missing-factor", f"{shown} is not divided by {below}", 3
    twice = Power(part.below, Number(2))
    yield replace(part, below=twice), "extra-factor", f"{shown} is divided by {below} twice", 4
    if part.above == Number(1):
        yield part.below, "wrong-point", f"{below} stands for {text(part)}", 4
    else:
        product = Product("entrywise", (part.above, part.below))
        words = f"{text(part.above)} is multiplied by {below} instead of divided"
        yield product, "inverse-for-transpose", words, 4


def _of_power(part: Power, shown: str) -> Iterator[Instead]:
    base = text(part.base)
    yield part.base, "missing-factor", f"{base} stands where {text(part)} belongs in {shown}", 3
    exponent = part.exponent.value if isinstance(part.exponent, Number) else None
    if isinstance(exponent, int | float):
        for other, kind in ((exponent + 1, "extra-factor"), (exponent - 1, "missing-factor")):
            if other not in (0, 1):
                power = Power(part.base, Number(other))
                yield power, kind, f"{text(power)} stands where {text(part)} belongs", 4


def _of_sum(part: Sum, shown: str) -> Iterator[Instead]:
    for gone, rest in enumerate(parts_of_sum(part)):
        yield rest, "missing-path", f"{text(part.terms[gone])} is left out of {shown}", 3
    if len(part.terms) > 1:
        for place, term in enumerate(part.terms):
            signs = [-c if n == place else c for n, c in enumerate(part.coefficients)]
            words = f"{text(term)} has the wrong sign in {shown}"
            yield replace(part, coefficients=tuple(signs)), "sign", words, 4


def _without(part: Product, gone: int) -> Formula:
    rest = part.factors[:gone] + part.factors[gone + 1 :]
    return rest[0] if len(rest) == 1 else Product(part.kind, rest)


def _mistaken(
    part: Formula, array: Formula, shapes: Mapping[Formula, tuple[int, ...]]
) -> Iterator[Instead]:
    """Another name of the same shape in the place of one within."""
    if not isinstance(part, Name) or part == array or part not in shapes:
        return
    for other, shape in shapes.items():
        if isinstance(other, Name) and other != part and shape == shapes[part]:
            yield other, "wrong-point", f"{text(other)} stands where {text(part)} belongs", 4


def _exchanged(array: Formula, shapes: Mapping[Formula, tuple[int, ...]]) -> Iterator[Instead]:
    """Two arrays of one shape exchanged."""
    inside = [part for part in dict.fromkeys(array.walk()) if part in shapes and part != array]
    inside = [part for part in inside if not isinstance(part, Number | Derivative)]
    for one, other in combinations(inside[:8], 2):
        if shapes[one] == shapes[other] and one not in {*other.walk()} | {*one.parts}:
            words = f"{text(one)} and {text(other)} are exchanged"
            yield array.replaced({one: other, other: one}), "wrong-point", words, 5
