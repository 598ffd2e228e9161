"""Sums as people write them: like terms together, common factors outside, what is plain first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, inf

from layouts.formulas.factors import Atom, Diagonal, Factor, Term, array, entrywise, times
from layouts.formulas.plain import is_applied_to, names, transposes
from layouts.formulas.splitting import ShapeOf, split
from layouts.formulas.tree import Formula, Identity, Number, Ones, Product, Quotient, Sum


def total(terms: Sequence[Term], shape_of: ShapeOf | None = None) -> Formula:
    """A sum of terms of the same sides: `A x + Aᵀ x` is `(A + Aᵀ) x`.

    Args:
        terms: added up; none are zero.
        shape_of: the shape of an array's formula; with it a sum among the terms is laid open.

    Returns:
        The formula of the sum.

    Example:
        >>> from layouts.formulas.factors import times
        >>> from layouts.formulas.tree import Name
        >>> A, x = array(Name("A"), (5, 5)), array(Name("x"), (5, 1))
        >>> total([times(A.T, x), times(A, x)]).factors[0].terms
        (Name(text='A'), Transpose(of=Name(text='A')))
    """
    parts = [_laid_open(term, shape_of, len(terms) == 1) for term in terms]
    return added([part for found in parts for part in found])


def added(terms: Sequence[Term]) -> Formula:
    """The sum of terms, common factors taken out."""
    found = _factored(_collected(terms))
    if not found:
        return Number(0)
    outer, found = _shared(found)
    if outer is not None:
        bracket = array(added(found), found[0].sides)
        return added([bracket.scaled(outer)])
    pairs = [_over(term) for term in _ordered(found)]
    if len(pairs) == 1:
        ((coefficient, formula),) = pairs
        if isinstance(formula, Number):
            return Number(coefficient * formula.value)
        if coefficient == 1:
            return formula
    return Sum(tuple(c for c, _ in pairs), tuple(f for _, f in pairs))


def _shared(terms: list[Term]) -> tuple[Term | None, list[Term]]:
    """Numbers that all of several terms have: `s (diag(d) - d dᵀ)`, `1/2 (A + Aᵀ)`."""
    first = terms[0]
    if len(terms) < 2 or not all(term.factors for term in terms):
        return None, terms
    if any(term.below or _has_sum(term) for term in terms):
        return None, terms
    numbers = first.numbers if len({term.key[0] for term in terms}) == 1 else ()
    size = _common_number([term.coefficient for term in terms])
    flat = 1 in first.sides and size == int(size)  # `2 c x + 2 A x` reads well
    if not numbers and (flat or size in (1, -1)):
        return None, terms
    size = 1 if flat else size
    rests = [
        replace(
            term,
            coefficient=_whole(term.coefficient / size),
            numbers=() if numbers else term.numbers,
        )
        for term in terms
    ]
    return Term(coefficient=size, numbers=numbers), rests


def _has_sum(term: Term) -> bool:
    parts = (part for formula in term.formulas for part in formula.walk())
    return any(isinstance(part, Sum) and len(part.terms) > 1 for part in parts)


def _laid_open(term: Term, shape_of: ShapeOf | None, only: bool) -> list[Term]:
    """The terms of an array that is itself a sum, alone or before what a derivative acts on.

    Where there is no other term, `(A x - b)ᵀ ẋ` stays as it is, unless numbers or diagonal
    matrices in the sum read better outside.
    """
    first, *acted = term.factors or (None,)
    alone = not acted and not term.numbers and not term.below
    alone = alone and (term.coefficient == 1 or _divides(term.coefficient, first))
    applied = len(acted) == 1 and all(map(is_applied_to, acted[0].formulas))
    if shape_of is None or not (alone or applied) or not isinstance(first, Atom):
        return [term]
    if not isinstance(first.array, Sum) or is_applied_to(first.array):
        return [term]
    shape = shape_of(first.array)
    if any(shape_of(part) != shape for part in first.array.terms):
        return [term]
    parts = [
        split(part, shape, shape_of).scaled(Term(coefficient=coefficient))
        for coefficient, part in zip(first.array.coefficients, first.array.terms, strict=True)
    ]
    parts = [part.T if first.turned else part for part in parts]
    plain = not any(isinstance(factor, Diagonal) for part in parts for factor in part.factors)
    plain = plain and not any(isinstance(n, Product) for part in parts for n in part.numbers)
    if applied and only and plain and all(part.coefficient in (1, -1) for part in parts):
        return [term]
    if applied:
        last = Term(acted[0].sides, factors=tuple(acted))
        parts = [_scaling(times(part, last)) for part in parts]
    return [part.scaled(replace(term, sides=(1, 1), factors=())) for part in parts]


def _divides(number: complex, factor: Factor | None) -> bool:
    """Whether a number and those in a sum make plain terms: `1/2 (2 s - 2 x)` is `s - x`."""
    if not isinstance(factor, Atom) or not isinstance(factor.array, Sum):
        return False
    return all(number * inner in (1, -1) for inner in factor.array.coefficients)


def _scaling(term: Term) -> Term:
    """`diag(s) A x` as `s ⊙ (A x)`."""
    first, *rest = term.factors
    if not isinstance(first, Diagonal) or not rest or term.sides[1] != 1:
        return term
    column = Term(term.sides, factors=tuple(rest))
    return entrywise([first.of, column]).scaled(replace(term, sides=(1, 1), factors=()))


def _collected(terms: Sequence[Term]) -> list[Term]:
    """Like terms added; those of zero left out."""
    found: dict[object, Term] = {}
    for term in terms:
        before = found.get(term.key)
        number = term.coefficient + (before.coefficient if before else 0)
        found[term.key] = replace(before or term, coefficient=number)
    return [term for term in found.values() if term.coefficient != 0]


def _factored(terms: list[Term]) -> list[Term]:
    """Common factors at one end taken out, as often as that helps."""
    while True:
        groups = [g for last in (False, True) for g in _groups(terms, last)]
        if not groups:
            return terms
        members, common, last = max(groups, key=lambda group: len(group[0]))
        joined = _joined([terms[n] for n in members], common, last)
        place = members[0]
        terms = [t for n, t in enumerate(terms) if n not in members[1:]]
        terms[place] = joined


def _groups(terms: Sequence[Term], last: bool) -> list[tuple[list[int], int, bool]]:
    """Which terms share factors at an end, and how many."""
    by_end: dict[object, list[int]] = {}
    for place, term in enumerate(terms):
        if term.factors:
            key = (*term.key[:2], term.factors[-1 if last else 0].formulas)
            by_end.setdefault(key, []).append(place)
    found = []
    for members in by_end.values():
        chains = [terms[n].factors[::-1] if last else terms[n].factors for n in members]
        common = 0
        while len({chain[common].formulas for chain in chains if len(chain) > common}) == 1 and all(
            len(chain) > common for chain in chains
        ):
            common += 1
        while common and not _is_worth(members, terms, chains, common, last):
            common -= 1
        if common:
            found.append((members, common, last))
    return found


def _is_worth(
    members: Sequence[int],
    terms: Sequence[Term],
    chains: Sequence[Sequence[Factor]],
    common: int,
    last: bool,
) -> bool:
    """Whether to take factors out: the rests are one factor each, or the whole sum shares them."""
    if len(members) < 2 or all(_is_ones(factor) for factor in chains[0][:common]):
        return False
    rests = [chain[common:] for chain in chains]
    if not all(rests):
        return all(not rest or (len(rest) == 1 and _is_commutation(rest[0])) for rest in rests)
    ends = [(rest[-1], rest[0]) if last else (rest[0], rest[-1]) for rest in rests]
    if any((one.sides[0], other.sides[1]) == (1, 1) for one, other in ends):
        return False  # numbers
    if len(members) == len(terms):
        return True
    others = [rest[::-1] for rest in rests]  # what they share at the other end goes out as well
    again = 0
    while min(map(len, others)) > again + 1 and len({o[again].formulas for o in others}) == 1:
        again += 1
    return all(len(rest) - again == 1 for rest in rests)


def _is_ones(factor: Factor) -> bool:
    return isinstance(factor, Atom) and isinstance(factor.array, Ones | Identity)


def _is_commutation(factor: Factor) -> bool:
    return isinstance(factor, Atom) and getattr(factor.array, "function", "") == "commutation"


def _joined(group: Sequence[Term], common: int, last: bool) -> Term:
    """`B A + C A` as `(B + C) A`."""
    first = group[0]
    ours = first.factors[-common:] if last else first.factors[:common]
    number = _common_number([term.coefficient for term in group])
    rests = []
    for term in group:
        rest = term.factors[:-common] if last else term.factors[common:]
        if rest:
            sides = (rest[0].sides[0], rest[-1].sides[1])
        else:
            size = ours[0].sides[0] if last else ours[-1].sides[1]
            sides = (size, size)
            rest = (Atom(Identity(size), sides),)
        rests.append(Term(sides, term.coefficient / number, factors=rest))
    rests = [replace(r, coefficient=_whole(r.coefficient)) for r in rests]
    inner = _bracket(rests)
    factors = (*inner.factors, *ours) if last else (*ours, *inner.factors)
    outer = Term(first.sides, number, first.numbers, first.below, factors)
    return outer.scaled(replace(inner, factors=()))


def _bracket(terms: Sequence[Term]) -> Term:
    """A sum as one factor, transposed as a whole where that has fewer transposes."""
    found = _factored(_collected(terms))
    if not found:
        return Term(terms[0].sides, 0, factors=terms[0].factors)
    if len(found) == 1:
        return found[0]
    plain, flipped = added(found), added([term.T for term in found])
    sides = terms[0].sides
    if transposes(flipped) + 1 < transposes(plain):
        return Term(sides, factors=(Atom(flipped, sides, turned=True),))
    return array(plain, sides)


def _common_number(numbers: Sequence[complex]) -> float:
    """What coefficients have in common: their size, or a divisor of whole numbers."""
    if any(isinstance(number, complex) for number in numbers):
        return 1
    real = [number.real for number in numbers]
    sign, sizes = (-1 if all(n < 0 for n in real) else 1), {abs(n) for n in real}
    if len(sizes) == 1:
        return sign * sizes.pop()
    whole = all(float(n).is_integer() for n in real)
    return sign * gcd(*map(int, real)) if whole else 1


def _whole(number: complex) -> complex:
    """Without a decimal point where it needs none."""
    if isinstance(number, complex) or not float(number).is_integer():
        return number
    return int(number)


def _ordered(terms: Sequence[Term]) -> list[Term]:
    """The plain term before its own transpose; a positive term first."""
    found = list(terms)
    for place, term in enumerate(found):
        for after in range(place + 1, len(found)):
            other = found[after]
            twin = term.sides[0] == term.sides[1] and term.T.key == other.key
            if twin and _plainness(other) < _plainness(term):
                found[place], found[after] = other, term
                break
    found.sort(key=lambda term: any(map(_is_commutation, term.factors)) and len(term.factors) == 1)
    first = next((n for n, term in enumerate(found) if _is_positive(term)), 0)
    return [found[first], *found[:first], *found[first + 1 :]]


def _plainness(term: Term) -> tuple[int, tuple[str, ...]]:
    """Products of what a derivative acts on stay in their order."""
    return transposes(term.body), () if is_applied_to(term.body) else names(term.body)


def _is_positive(term: Term) -> bool:
    return isinstance(term.coefficient, complex) or term.coefficient > 0


def _over(term: Term) -> tuple[complex, Formula]:
    """A coefficient and a formula; `2 a / b`, `a / (5 b)` for a multiple of a quotient."""
    coefficient, formula = _whole(term.coefficient), term.body
    if isinstance(formula, Number):
        return _whole(coefficient * formula.value), Number(1)
    if not isinstance(formula, Quotient) or isinstance(coefficient, complex) or not term.below:
        return coefficient, formula
    sign, size = (-1, -coefficient) if coefficient < 0 else (1, coefficient)
    if not 1e-300 < size < inf:
        return coefficient, formula
    if size == int(size) and size != 1:
        above = replace(term, below=(), numbers=(Number(int(size)), *term.numbers)).body
        return sign, Quotient(above, formula.below)
    if size < 1 and abs(1 / size - round(1 / size)) < 1e-9 / size:
        lower = Term(numbers=(Number(round(1 / size)), *term.below), factors=())
        return sign, Quotient(formula.above, lower.body)
    return coefficient, formula
