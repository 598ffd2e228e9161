"""Sums and products as they are put together while a text is read: numbers go in front."""

from __future__ import annotations

from layouts.formulas.tree import Formula, Number, Product, Sum
from layouts.show.flattening import is_scalar


def times(number: complex, formula: Formula) -> Formula:
    """A number times a formula, in one coefficient."""
    if isinstance(formula, Number):
        return Number(number * formula.value)
    if isinstance(formula, Sum) and len(formula.terms) == 1:
        return Sum((number * formula.coefficients[0],), formula.terms)
    return formula if number == 1 else Sum((number,), (formula,))


def split(sign: int, term: Formula) -> tuple[complex, Formula]:
    """A term of a sum as its coefficient and the rest; a number as a multiple of one."""
    if isinstance(term, Number):
        return sign * term.value, Number(1)
    if isinstance(term, Sum) and len(term.terms) == 1:
        return sign * term.coefficients[0], term.terms[0]
    return sign, term


def joined(kind: str, left: Formula, right: Formula) -> Formula:
    """A product of one more factor; numbers before its factors are a coefficient."""
    if kind == "matrix" and isinstance(left, Number):
        return times(left.value, right)
    number: complex = 1
    if kind != "kronecker" and isinstance(left, Sum) and len(left.terms) == 1:
        (number,), (left,) = left.coefficients, left.terms
    flat = left.factors if isinstance(left, Product) and left.kind == kind else (left,)
    return times(number, Product(kind, (*flat, right)))  # type: ignore[arg-type]


def starred(left: Formula, right: Formula) -> Formula:
    """`a * b`: entry by entry, but the plain product of numbers."""
    if isinstance(right, Number) and not isinstance(left, Number):
        return times(right.value, left)
    body = left.terms[0] if isinstance(left, Sum) and len(left.terms) == 1 else left
    last = body.factors[-1] if isinstance(body, Product) and body.kind == "matrix" else body
    numbers = is_scalar(last) or is_scalar(right)
    return joined("matrix" if numbers else "entrywise", left, right)
