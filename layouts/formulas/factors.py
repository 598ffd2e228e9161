"""Products of matrices as they are put together: numbers in front, what is divided by below.

A term is `coefficient numbers factors / below`. A factor is an array as it is or transposed, an
entrywise product, or a diagonal matrix. Vectors are columns, so a factor's sides are always two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from layouts.formulas.plain import (
    is_applied_to,
    is_symmetric,
    names,
    product,
    transposed,
    transposes,
    turned,
)
from layouts.formulas.tree import (
    Call,
    Formula,
    Identity,
    Inverse,
    Number,
    Ones,
    Power,
    Product,
    Quotient,
    Sum,
    Transpose,
)

Sides = tuple[int, int]


@dataclass(frozen=True)
class Atom:
    """An array as a factor.

    Attributes:
        array: its formula.
        sides: its rows and columns as it stands, one where it has no such axis.
        turned: whether it is transposed.
        flipped: a sum's transpose, term by term, where that is known.
    """

    array: Formula
    sides: Sides
    turned: bool = False
    flipped: Formula | None = field(default=None, compare=False)

    @property
    def T(self) -> Atom:
        """The transpose."""
        symmetric = self.sides[0] == self.sides[1] and is_symmetric(self.array)
        return replace(self, sides=self.sides[::-1], turned=not symmetric and not self.turned)

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """The factors that it is written as."""
        if not self.turned:
            return (self.array,)
        # `diag(A)` of a matrix is a vector: only what is square may equal its transpose.
        square = self.sides[0] == self.sides[1]
        found = turned(self.array) if square else transposed(self.array)
        if self.flipped is not None and transposes(self.flipped) <= transposes(found):
            return (self.flipped,)
        return (found,)


@dataclass(frozen=True)
class Entrywise:
    """Terms of the same sides multiplied entry by entry; their numbers stand outside."""

    parts: tuple[Term, ...]
    sides: Sides

    @property
    def T(self) -> Entrywise:
        """The transpose."""
        return Entrywise(tuple(part.T for part in self.parts), self.sides[::-1])

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """`a ⊙ b`; `(A ⊙ B)ᵀ` where that has fewer transposes; a row's columns are scaled."""
        if self.sides[0] == 1:
            long = [part for part in self.parts if len(part.factors) > 1]
            if not long:
                return (Transpose(_entrywise(self.T.parts)),)
            others = [part for part in self.parts if part is not long[0]]
            scales = [Diagonal(entrywise([part.T for part in others]))] if others else []
            return (*long[0].formulas, *(f for scale in scales for f in scale.formulas))
        plain, flipped = _entrywise(self.parts), Transpose(_entrywise(self.T.parts))
        return (flipped if transposes(flipped) < transposes(plain) else plain,)


@dataclass(frozen=True)
class Diagonal:
    """`diag(s)` of a column."""

    of: Term

    @property
    def sides(self) -> Sides:
        """It is square."""
        return self.of.sides[0], self.of.sides[0]

    @property
    def T(self) -> Diagonal:
        """Itself."""
        return self

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """The factors that it is written as."""
        return (Call("diag", (self.of.body,)),)


Factor = Atom | Entrywise | Diagonal


@dataclass(frozen=True)
class Term:
    """A product of numbers and factors, over numbers.

    Attributes:
        sides: its rows and columns.
        coefficient: a number that is known.
        numbers: formulas of scalars.
        below: formulas of scalars that it is divided by.
        factors: matrices side by side; none for a number.
    """

    sides: Sides = (1, 1)
    coefficient: complex = 1
    numbers: tuple[Formula, ...] = ()
    below: tuple[Formula, ...] = ()
    factors: tuple[Factor, ...] = ()

    @property
    def T(self) -> Term:
        """The transpose: (A B)ᵀ = Bᵀ Aᵀ."""
        factors = tuple(factor.T for factor in reversed(self.factors))
        return replace(self, sides=self.sides[::-1], factors=factors)

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """The factors as formulas, without the numbers."""
        found = tuple(formula for factor in self.factors for formula in factor.formulas)
        return tuple(f for f in found if not isinstance(f, Identity)) or found[:1]

    @cached_property
    def body(self) -> Formula:
        """All but the coefficient as a formula."""
        above = product([*_written(self.numbers, bool(self.factors)), *self.formulas])
        if not self.below:
            return above
        return Quotient(above, product(_written(self.below)))

    @cached_property
    def key(self) -> tuple:
        """The same for terms that differ in their coefficient alone."""
        return _sorted(self.numbers), _sorted(self.below), tuple(map(_key, self.factors))

    def scaled(self, other: Term) -> Term:
        """With the numbers of another term as well; what is above and below the bar is gone."""
        numbers, below = [*self.numbers, *other.numbers], list[Formula]()
        for divisor in (*self.below, *other.below):
            if divisor in numbers:
                numbers.remove(divisor)
            else:
                below.append(divisor)
        return replace(
            self,
            coefficient=self.coefficient * other.coefficient,
            numbers=tuple(numbers),
            below=tuple(below),
        )


def array(formula: Formula, sides: Sides) -> Term:
    """An array alone."""
    return Term(sides, factors=(Atom(formula, sides),))


def ones(size: int) -> Term:
    """A column of ones."""
    return array(Ones((size,)), (size, 1))


def times(left: Term, right: Term) -> Term:
    """The product of matrices; of a number and anything the multiple."""
    if not right.factors:
        return left.scaled(right)
    if not left.factors:
        return replace(left.scaled(right), sides=right.sides, factors=right.factors)
    factors = (*left.factors, *right.factors)
    kept = [factor for factor in factors if not _is_identity(factor)]
    for at in range(len(kept) - 1, 0, -1):
        if len(kept) > 2 and _cancel(*kept[at - 1 : at + 1]):
            del kept[at - 1 : at + 1]
            break
    for at in range(len(kept) - 1):
        scaled = _beside(kept[at], kept[at + 1])
        if scaled is not None:
            kept[at : at + 2] = scaled
            break
    return replace(
        left.scaled(right),
        sides=(left.sides[0], right.sides[1]),
        factors=tuple(kept) or factors[:1],
    )


def _cancel(one: Factor, other: Factor) -> bool:
    """Whether one of two factors is the inverse of the other."""
    if not isinstance(one, Atom) or not isinstance(other, Atom) or one.turned != other.turned:
        return False
    return one.array == Inverse(other.array) or other.array == Inverse(one.array)


def _beside(one: Factor, other: Factor) -> tuple[Factor, ...] | None:
    """`diag(s) x` as `s ⊙ x`; None where it is no diagonal beside a vector."""
    if isinstance(one, Diagonal) and other.sides[1] == 1:
        return entrywise([one.of, Term(other.sides, factors=(other,))]).factors
    if isinstance(other, Diagonal) and one.sides[0] == 1:
        return entrywise([Term(one.sides, factors=(one,)), other.of.T]).factors
    return None


def entrywise(parts: Sequence[Term]) -> Term:
    """The product entry by entry of terms of the same sides."""
    flat: list[Term] = []
    outer = Term()
    for part in parts:
        outer = outer.scaled(replace(part, factors=()))
        (only,) = part.factors if len(part.factors) == 1 else (None,)
        if isinstance(only, Entrywise):
            flat += only.parts
        else:
            flat.append(Term(part.sides, factors=part.factors))
    flat = [p for p in flat if not (len(p.factors) == 1 and _is_ones(p.factors[0]))] or flat[:1]
    sides = parts[0].sides
    factors = flat[0].factors if len(flat) == 1 else (Entrywise(tuple(flat), sides),)
    return Term(sides, factors=factors).scaled(outer)


def diagonal(column: Term) -> Term:
    """The diagonal matrix of a column, its numbers outside."""
    inner = Term(column.sides, factors=column.factors)
    size = column.sides[0]
    if len(column.factors) == 1 and _is_ones(column.factors[0]):
        return array(Identity(size), (size, size)).scaled(replace(column, factors=()))
    return Term((size, size), factors=(Diagonal(inner),)).scaled(replace(column, factors=()))


def number(term: Term) -> Term:
    """A row times a column as a number: `aᵀ x`, of the two ways the one with fewer transposes."""
    if not term.factors:
        return term
    outer = Term().scaled(replace(term, factors=()))
    ends = [_is_ones(term.factors[0]), _is_ones(term.factors[-1])]
    inner = term.factors[ends[0] : len(term.factors) - ends[1]]
    if not inner:
        return replace(outer, coefficient=outer.coefficient * term.factors[0].sides[1])
    if any(ends) and len(inner) == 1 and (all(ends) or 1 in inner[0].sides):
        (only,) = inner
        flip = only.sides[0] == 1 or (all(ends) and transposes(*only.formulas))
        return outer.scaled(Term(numbers=(Call("sum", (only.T if flip else only).formulas),)))
    one, other = Term(factors=term.factors), Term(factors=term.factors).T
    first = min(one, other, key=_reading)
    return outer.scaled(Term(numbers=(first.body,)))


def _entrywise(parts: Iterable[Term]) -> Formula:
    """`a ⊙ b`, and `a / x` for `a ⊙ (1 / x)`."""
    above: list[Formula] = []
    below: list[Formula] = []
    for part in parts:
        (only,) = part.factors if len(part.factors) == 1 else (None,)
        if isinstance(only, Atom) and _is_reciprocal(only.array):
            divisor = only.array.below  # type: ignore[attr-defined]
            below.append(transposed(divisor) if only.turned else divisor)
        else:
            above.append(part.body)
    if not any(map(is_applied_to, above)):
        above.sort(key=lambda factor: isinstance(factor, Call))  # y ⊙ σ(z)
    found = []
    for factors in (above or [Number(1)], below):
        counts = Counter(factors)
        powers = [f if n == 1 else Power(f, Number(n)) for f, n in counts.items()]
        if powers:
            found.append(powers[0] if len(powers) == 1 else Product("entrywise", tuple(powers)))
    return found[0] if len(found) == 1 else Quotient(*found)


def _is_reciprocal(formula: Formula) -> bool:
    return isinstance(formula, Quotient) and formula.above == Number(1)


def _is_ones(factor: Factor) -> bool:
    return isinstance(factor, Atom) and isinstance(factor.array, Ones) and 1 in factor.sides


def _is_identity(factor: Factor) -> bool:
    return isinstance(factor, Atom) and isinstance(factor.array, Identity)


def _written(numbers: Sequence[Formula], beside: bool = False) -> list[Formula]:
    """Numbers with powers; a product such as `aᵀ x` in brackets where it stands beside others."""
    counts = Counter(sorted(numbers, key=is_applied_to))
    found = [n if times == 1 else Power(n, Number(times)) for n, times in counts.items()]
    if len(found) == 1 and not beside:
        return found
    return [Sum((1,), (n,)) if isinstance(n, Product) else n for n in found]


def _sorted(formulas: Sequence[Formula]) -> tuple[str, ...]:
    return tuple(sorted(map(repr, formulas)))


def _key(factor: Factor) -> object:
    if isinstance(factor, Entrywise):
        return "⊙", tuple(sorted(repr(part.key) for part in factor.parts))
    return factor.formulas


def _reading(term: Term) -> tuple:
    """Which of a number and its transpose is read: what it acts on last, few transposes."""
    first, *_ = term.formulas
    return is_applied_to(first), transposes(term.body), names(term.body)
