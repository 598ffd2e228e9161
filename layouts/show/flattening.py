"""Formulas as they are written: inner sums and products taken in, signs before the terms.

Every notation writes these, so that they agree; nothing is computed but signs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from layouts.formulas.tree import (
    Call,
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Formula,
    Indicator,
    Letter,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
)
from layouts.show.symbols import Scalar, is_negative, is_one

ByWhom = list[tuple[Formula, tuple[Formula, ...]]]
Partials = tuple[Formula, ByWhom]
# Functions whose value is a number, whatever they are applied to.
NUMBERS = {"tr", "det", "logdet", "norm", "logsumexp"} | {
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "var",
}


def signed_terms(formula: Sum) -> list[tuple[Scalar, Formula | None]]:
    """The terms of a sum with its inner sums taken in; a term that is a number alone is None."""
    found: list[tuple[Scalar, Formula | None]] = []
    pending = list(zip(formula.coefficients, formula.terms, strict=True))[::-1]
    while pending:
        number, term = pending.pop()
        if isinstance(term, Sum) and is_one(number):
            pending += list(zip(term.coefficients, term.terms, strict=True))[::-1]
        elif isinstance(term, Number) and (is_one(number) or is_one(-number)):
            found.append((term.value if is_one(number) else -term.value, None))
        elif isinstance(term, Number) and is_one(term.value):
            found.append((number, None))
        else:
            found.append((number, term))
    return found


def summands(
    formula: Sum, texts: Sequence[str]
) -> Iterator[tuple[bool, tuple[Scalar, ...], tuple[str, ...]]]:
    """The terms as they are written: whether with a minus, times which number, and the text.

    There is no number where it is one, and no text where the term is a number alone.
    """
    rest = iter(texts)
    for number, term in signed_terms(formula):
        negative = is_negative(number)
        size = -number if negative else number
        written = () if term is None else (next(rest),)
        yield negative, () if written and is_one(size) else (size,), written


def factors(formula: Product) -> list[Formula]:
    """The factors of a product with inner products of its kind taken in.

    Matrices are multiplied from the left, and `x (y z)` of vectors differs from `x y z`: there only
    a leading product is taken in, or one of numbers.
    """
    found: list[Formula] = []
    pending = list(formula.factors[::-1])
    while pending:
        factor = pending.pop()
        alike = isinstance(factor, Product) and factor.kind == formula.kind
        if alike and (formula.kind != "matrix" or not found or is_scalar(factor)):
            pending += factor.parts[::-1]
        else:
            found.append(factor)
    return found


def partials(formula: Formula) -> Partials | None:
    """What is differentiated and by what in turn, each with the indices of its entry.

    `∂L/∂D[i,j]`, the entry of a derivative, is the derivative by an entry; of an entry of a
    derivative it is a second derivative. None where the formula is no derivative.
    """
    by_whom: ByWhom = []
    node = formula
    while True:
        match node:
            case Derivative(of, by):
                by_whom.append((by, ()))
            case Entry(Derivative(Name() | Entry() as of, Name() as by), (_, *_) as indices):
                by_whom.append((by, tuple(indices)))
            case _:
                return (node, by_whom) if by_whom else None
        node = of


def is_scalar(formula: Formula) -> bool:
    """Whether a formula is seen to be a number, such as an entry, a delta or a trace."""
    pending = [formula]
    while pending:
        node = pending.pop()
        match node:
            case Number() | Letter() | Digits() | Entry() | Delta():
                continue
            case Derivative(Entry(), Entry()):
                continue
            case Call(function, _, ()) if function in NUMBERS:
                continue
            case Sum() | Product() | Sigma() | Quotient() | Power() | Compare() | Indicator():
                pending += node.parts
            case Call(function, operands, ()) if operands and function != "array":
                pending += operands
            case _:
                return False
    return True


def is_raised(exponent: Formula) -> bool:
    """Whether an exponent is written in raised digits: a whole number; `X⁻¹` is an inverse."""
    if not isinstance(exponent, Number) or isinstance(exponent.value, complex):
        return False
    value = exponent.value
    return isfinite(value) and value == int(value) and value != -1
