"""A derivative in index notation, and the step that people take by hand: a delta applied.

    Σ_ij ∂L/∂D[i,j] δ[i,k] X[l,j]    is    Σ_j ∂L/∂D[k,j] X[l,j]

A summand is a number times a sum of deltas and entries. A delta whose one side is a letter that is
summed over replaces that letter by the other side, wherever it stands, and is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from layouts.formulas.tree import (
    Call,
    Delta,
    Digits,
    Entry,
    Formula,
    Letter,
    Name,
    Number,
    Product,
    Sigma,
    Sum,
    View,
)


@dataclass(frozen=True)
class Summand:
    """`coefficient Σ_summed deltas factors`.

    Attributes:
        coefficient: a number.
        summed: the letters that are summed over.
        deltas: which indices must be equal.
        factors: entries of arrays, scalars among them.

    Example:
        >>> i, k, l = Letter("i", 4), Letter("k", 4), Letter("l", 3)
        >>> from layouts.formulas.tree import Entry, Name
        >>> summand = Summand(1, (i,), (Delta(i, k),), (Entry(Name("W"), (i, l)),))
        >>> summand.settled() == Summand(1, (), (), (Entry(Name("W"), (k, l)),))
        True
    """

    coefficient: complex = 1
    summed: tuple[Letter, ...] = ()
    deltas: tuple[Delta, ...] = ()
    factors: tuple[Formula, ...] = ()

    @property
    def body(self) -> Formula:
        """All but the coefficient as a formula."""
        parts = (*self.deltas, *self.factors)
        inner = Product("matrix", parts) if len(parts) > 1 else parts[0] if parts else Number(1)
        return Sigma(self.summed, inner) if self.summed else inner

    @property
    def letters(self) -> set[Letter]:
        """All letters in it."""
        within = {part for f in (*self.deltas, *self.factors) for part in f.walk()}
        return {part for part in within if isinstance(part, Letter)} | {*self.summed}

    def times(self, other: Summand) -> Summand:
        """The product of two summands whose summed letters differ."""
        return Summand(
            self.coefficient * other.coefficient,
            self.summed + other.summed,
            self.deltas + other.deltas,
            self.factors + other.factors,
        )

    def over(self, letters: Iterable[Letter]) -> Summand:
        """Summed over more letters, those of them that are in it."""
        present = self.letters
        return replace(self, summed=(*self.summed, *(n for n in letters if n in present)))

    def replaced(self, known: Mapping[Any, Formula]) -> Summand:
        """With other formulas in place of some."""
        deltas = tuple(delta.replaced(known) for delta in self.deltas)
        factors = tuple(factor.replaced(known) for factor in self.factors)
        return replace(self, deltas=deltas, factors=factors)  # type: ignore[arg-type]

    def relettered(self, letters: Mapping[Letter, Letter]) -> Summand:
        """With other letters, those summed over too."""
        summed = tuple(letters.get(letter, letter) for letter in self.summed)
        return replace(self.replaced(dict(letters)), summed=summed)

    def applied(self) -> tuple[Delta, Summand] | None:
        """The first delta that can be applied, and what remains; None where there is none."""
        for place, delta in enumerate(self.deltas):
            rest = replace(self, deltas=self.deltas[:place] + self.deltas[place + 1 :])
            if delta.left == delta.right:
                return delta, rest
            for gone, kept in ((delta.left, delta.right), (delta.right, delta.left)):
                outside = isinstance(kept, Letter | Entry) and rest._vanishes_outside(gone)
                if gone in self.summed and (outside or _covers(kept, gone)):
                    return delta, rest._without(gone, kept)
                solved = _solved(gone, kept, self.summed)
                if solved is not None and rest._vanishes_outside(solved[0]):
                    return delta, rest._without(*solved)
        return None

    def _without(self, gone: Formula, kept: Formula) -> Summand:
        """A letter replaced by what it must equal."""
        summed = tuple(letter for letter in self.summed if letter != gone)
        return replace(self, summed=summed).replaced({gone: kept})

    def _vanishes_outside(self, letter: Formula) -> bool:
        """Whether an entry has the letter for an index: outside its array it is zero."""
        return any(isinstance(f, Entry) and letter in f.indices for f in self.factors)

    def settled(self) -> Summand:
        """All deltas applied that can be."""
        summand = self
        while (step := summand.applied()) is not None:
            summand = step[1]
        return summand


def written(summands: Sequence[Summand]) -> Formula:
    """Summands as one formula; zero where there are none.

    Example:
        >>> x = Number(5)
        >>> written([Summand(-2, (), (), (x,))]).coefficients
        (-2,)
    """
    if not summands:
        return Number(0)
    if len(summands) == 1:
        (summand,) = summands
        if not summand.deltas and not summand.factors and not summand.summed:
            return Number(summand.coefficient)
        if summand.coefficient == 1:
            return summand.body
    bodies = tuple(summand.body for summand in summands)
    return Sum(tuple(summand.coefficient for summand in summands), bodies)


def combined(summands: Sequence[Summand]) -> tuple[Summand, ...]:
    """Like summands added, whatever their summed letters are called; those of zero left out."""
    total: dict[Summand, complex] = {}
    first: dict[Summand, Summand] = {}
    for summand in summands:
        if _vanishes(summand):
            continue
        key = _canonical(summand)
        total[key] = total.get(key, 0) + summand.coefficient
        first.setdefault(key, summand)
    return tuple(replace(first[key], coefficient=c) for key, c in total.items() if c != 0)


def _vanishes(summand: Summand) -> bool:
    """Whether it sums what is left of an array when its mean is taken away."""
    counts = letter_counts((*summand.deltas, *summand.factors))
    for factor in summand.factors:
        if isinstance(factor, Entry) and isinstance(factor.array, Sum):
            free = [n in summand.summed and counts[n] == 1 for n in factor.indices]  # type: ignore[index]
            axes = _centred(factor.array)
            if axes is not None and all(free[axis] for axis in axes or range(len(free))) and free:
                return True
    return False


def _centred(array: Sum) -> tuple[int, ...] | None:
    """The axes of the mean in `x - mean(x)`, none for all of them; None for any other sum."""
    if array.coefficients != (1, -1):
        return None
    whole, mean = array.terms
    if isinstance(mean, View):
        mean = mean.of
    if not isinstance(mean, Call) or mean.function != "mean" or mean.operands != (whole,):
        return None
    axis = dict(mean.options).get("axis", ())
    if isinstance(array.terms[1], View):
        # The view must put the axis back where it was.
        entries = array.terms[1].entries
        if not isinstance(axis, int) or entries.index("None") != axis % len(entries):
            return None
    elif axis not in ((), 0):
        return None
    return (axis,) if isinstance(axis, int) else ()


def _canonical(summand: Summand) -> Summand:
    """The same for summands that differ in their coefficient and summed letters' names alone."""
    order = [p for f in (*summand.deltas, *summand.factors) for p in f.walk()]
    seen = dict.fromkeys(part for part in order if part in summand.summed)
    names = {
        letter: Letter(f"#{place}", letter.size)
        for place, letter in enumerate(seen)
        if isinstance(letter, Letter)
    }
    plain = replace(summand, coefficient=1).relettered(names)
    factors = tuple(sorted(plain.factors, key=repr))
    deltas = tuple(sorted(plain.deltas, key=repr))
    return replace(plain, factors=factors, deltas=deltas, summed=tuple(names.values()))


def range_of(index: Formula) -> tuple[int, int] | None:
    """The least and the greatest value of an index; None where that is not known.

    Example:
        >>> range_of(Sum((1, 2), (Letter("i", 5), Number(1))))
        (2, 6)
    """
    match index:
        case Letter(_, size) if size:
            return 0, size - 1
        case Digits(letters):
            return 0, prod(letter.size for letter in letters) - 1
        case Number(int(value)):
            return value, value
        case Sum(coefficients, terms):
            ends = [0, 0]
            for coefficient, term in zip(coefficients, terms, strict=True):
                inner = range_of(term)
                if inner is None or not isinstance(coefficient, int):
                    return None
                products = sorted(coefficient * end for end in inner)
                ends = [ends[0] + products[0], ends[1] + products[1]]
            return ends[0], ends[1]
    return None


def _covers(index: Formula, letter: Formula) -> bool:
    """Whether an index is always a value of the letter, so that the letter's sum finds it.

    That what is looked up in a table of indices lies within its array is taken for granted.
    """
    if isinstance(index, Entry) and isinstance(index.array, Name):
        return isinstance(letter, Letter) and letter not in index.walk()
    ends = range_of(index)
    if ends is None or not isinstance(letter, Letter) or letter in index.walk():
        return False
    return ends[0] >= 0 and ends[1] < letter.size


def _solved(
    affine: Formula, other: Formula, summed: Sequence[Letter]
) -> tuple[Formula, Formula] | None:
    """`i + 2 = k` for i: a summed letter, and what it is then."""
    if not isinstance(affine, Sum) or not isinstance(other, Letter):
        return None
    found = [(c, n) for c, n in zip(affine.coefficients, affine.terms, strict=True) if n in summed]
    if len(found) != 1 or found[0][0] not in (1, -1):
        return None
    ((step, letter),) = found
    rest = [(c, n) for c, n in zip(affine.coefficients, affine.terms, strict=True) if n != letter]
    if any(not isinstance(n, Number) for _, n in rest):
        return None
    start = sum(c * n.value for c, n in rest)  # type: ignore[attr-defined]
    if step == 1:
        return letter, Sum((1, -1 if start > 0 else 1), (other, Number(abs(start))))
    return letter, Sum((1, -1), (Number(start), other))


def letter_counts(formulas: Iterable[Formula]) -> Counter[Letter]:
    """How often each letter stands in formulas."""
    parts = (part for formula in formulas for part in formula.walk())
    return Counter(part for part in parts if isinstance(part, Letter))
