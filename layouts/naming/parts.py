"""Formulas in pieces, so that a product takes them in: number, scalars, matrices, divisors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from layouts.formulas.tree import (
    Call,
    Formula,
    Identity,
    Kind,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Transpose,
)

# A product of more matrices than this is not taken into another.
MOST_FACTORS = 12

Coefficient = complex | float | int


@dataclass(frozen=True)
class Part:
    """The formula `coefficient scalars factors / below`.

    Attributes:
        factors: matrices and a vector at the end, or one formula of any kind.
        coefficient: a number.
        scalars: formulas of numbers, before the matrices.
        below: formulas of numbers that it is divided by.
    """

    factors: tuple[Formula, ...]
    coefficient: Coefficient = 1
    scalars: tuple[Formula, ...] = ()
    below: tuple[Formula, ...] = ()

    @property
    def bare(self) -> Formula:
        """The formula without its coefficient."""
        above = product("matrix", [*self.scalars, *self.factors])
        return Quotient(above, product("matrix", self.below)) if self.below else above

    @property
    def formula(self) -> Formula:
        """All of it."""
        return self.bare if self.coefficient == 1 else Sum((self.coefficient,), (self.bare,))

    @property
    def transposed(self) -> Part:
        """The factors turned and in reverse; a vector becomes a row."""
        return replace(self, factors=tuple(turned(f) for f in reversed(self.factors)))

    @property
    def chain(self) -> tuple[Formula, ...]:
        """The factors, as one if there are many."""
        whole = len(self.factors) > MOST_FACTORS
        return (product("matrix", self.factors),) if whole else self.factors


def number(value: Coefficient) -> Part:
    """A number, its sign in the coefficient."""
    negative = not isinstance(value, complex) and value < 0
    return Part((Number(-value if negative else value),), -1 if negative else 1)


def product(kind: Kind, factors: Sequence[Formula]) -> Formula:
    """Factors side by side; one alone is itself, none is the number one."""
    if not factors:
        return Number(1)
    return factors[0] if len(factors) == 1 else Product(kind, tuple(factors))


def power(base: Formula, exponent: int) -> Formula:
    """A whole power, entry by entry."""
    return base if exponent == 1 else Power(base, Number(exponent))


def turned(formula: Formula) -> Formula:
    """The transpose of a matrix or vector."""
    if isinstance(formula, Transpose):
        return formula.of
    diagonal = isinstance(formula, Call) and formula.function == "diag"
    return formula if diagonal or isinstance(formula, Identity) else Transpose(formula)


def added(terms: Iterable[tuple[Coefficient, Part]]) -> Part:
    """A sum, a positive term first where there is one."""
    found: list[tuple[Coefficient, Formula]] = []
    for coefficient, part in terms:
        if part.bare == Number(1):
            part = number(coefficient * part.coefficient)
            coefficient = 1
        found.append((coefficient * part.coefficient, part.bare))
    positive = [n for n, (c, _) in enumerate(found) if isinstance(c, complex) or c > 0]
    if positive:
        found.insert(0, found.pop(positive[0]))
    return Part((Sum(tuple(c for c, _ in found), tuple(term for _, term in found)),))


def multiplied(left: Part, right: Part, ranks: tuple[int, int]) -> Part:
    """NumPy's product of arrays of one or two axes, vectors standing as columns."""
    if ranks == (1, 2):
        left, right = right.transposed, left
    elif ranks == (1, 1):
        left = left.transposed
    factors = (*left.chain, *right.chain)
    if ranks == (1, 1):  # a number, which others may stand beside
        factors = (product("matrix", factors),)
    return Part(
        factors,
        left.coefficient * right.coefficient,
        left.scalars + right.scalars,
        left.below + right.below,
    )


# What a factor of an entrywise product is; only a product of matrices has columns and rows.
Groups = Mapping[str, Sequence[tuple[Part, int]]]


def gathered(groups: Groups) -> Part:
    """Powers multiplied, entry by entry.

    Args:
        groups: parts and their powers as "scalar"; "column" and "row", vectors along the axes of
            a matrix, with positive powers; "whole", arrays of positive powers; "below", arrays of
            negative ones.

    Returns:
        `s x yᵀ` of columns and rows alone, else `s diag(x) A diag(y)`.
    """
    column, whole, row = (_entrywise(groups.get(kind, ())) for kind in ("column", "whole", "row"))
    divisor = _entrywise([(part, -n) for part, n in groups.get("below", ())])
    factors: list[Formula] = []
    if column and row and not whole:
        factors += [*column.factors, *row.transposed.factors]
    else:
        factors += [Call("diag", (product("matrix", column.factors),))] if column else []
        factors += whole.factors if whole else ()
        factors += [Call("diag", (product("matrix", row.factors),))] if row else []
    coefficient: Coefficient = 1
    scalars: list[Formula] = []
    below: list[Formula] = []
    for part, exponent in groups.get("scalar", ()):
        if exponent == 1:
            coefficient *= part.coefficient
            scalars += [f for f in (*part.scalars, *part.factors) if f != Number(1)]
            below += part.below
        else:
            (scalars if exponent > 0 else below).append(power(part.formula, abs(exponent)))
    for inner in (column, whole, row):
        if inner:
            coefficient *= inner.coefficient
            scalars += inner.scalars
            below += inner.below
    if not factors:
        factors, scalars = [product("matrix", scalars)], []
    if divisor:
        factors = [Quotient(product("matrix", factors), divisor.formula)]
    return Part(tuple(factors), coefficient, tuple(scalars), tuple(below))


def _entrywise(group: Sequence[tuple[Part, int]]) -> Part | None:
    """Positive powers multiplied entry by entry; one alone stays in its pieces."""
    if not group:
        return None
    if len(group) == 1 and group[0][1] == 1:
        return group[0][0]
    total = Part(())
    for part, exponent in group:
        if exponent == 1:
            whole = multiplied_by_number(total, part)
            total = replace(whole, factors=(*total.factors, product("matrix", part.factors)))
        else:
            total = replace(total, factors=(*total.factors, power(part.formula, exponent)))
    return replace(total, factors=(product("entrywise", total.factors),))


def multiplied_by_number(total: Part, part: Part) -> Part:
    """The number, scalars and divisors of both."""
    return replace(
        total,
        coefficient=total.coefficient * part.coefficient,
        scalars=total.scalars + part.scalars,
        below=total.below + part.below,
    )
