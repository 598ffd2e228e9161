"""A derivative in index notation, and the step that people take by hand: a delta applied.

    Σ_ij ∂L/∂D[i,j] δ[i,k] X[l,j]    is    Σ_j ∂L/∂D[k,j] X[l,j]

A summand is a number times a sum of deltas and entries. A delta whose one side is a letter that is
summed over replaces that letter by the other side, wherever it stands, and is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from layouts.formulas.offsets import range_of, runs, solved
from layouts.formulas.tree import (
    Call,
    Delta,
    Digits,
    Entry,
    Formula,
    Letter,
    Name,
    Number,
    Ones,
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
        parts = (*self.deltas, *map(_sliced, self.factors))
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
        """The first delta that can be applied, and what remains; None where there is none.

        Where nothing else says that a letter runs no further, ones do: `Σ_n δ[n,k] G[n+1]` over
        five is `𝟏₅[k] G[k+1]`, whatever k runs over.
        """
        for bounded in (False, True):
            for place, delta in enumerate(self.deltas):
                rest = replace(self, deltas=self.deltas[:place] + self.deltas[place + 1 :])
                found = rest._tied(delta, bounded)
                if found is not None:
                    return delta, found
        return None

    def _tied(self, delta: Delta, bounded: bool) -> Summand | None:
        """A letter replaced by what a delta says that it is; None where none can be.

        Args:
            delta: is gone from the summand.
            bounded: whether ones are put where the letter would run too far.
        """
        if delta.left == delta.right:
            return self
        for gone, kept in ((delta.left, delta.right), (delta.right, delta.left)):
            if gone in self.summed and gone not in kept.walk() and _covers(kept, gone):
                return self._without(gone, kept)
            for letter, index in solved(gone, kept, self.summed):
                if not runs(index):
                    continue
                if self._vanishes_outside(letter):
                    return self._without(letter, index)
                if bounded:
                    ones = Entry(Ones((letter.size,)), (index,))
                    return self._without(letter, index).times(Summand(factors=(ones,)))
        return None

    def _without(self, gone: Formula, kept: Formula) -> Summand:
        """A letter replaced by what it must equal."""
        summed = tuple(letter for letter in self.summed if letter != gone)
        if isinstance(gone, Letter) and isinstance(kept, Letter) and kept.size < gone.size:
            # On an axis that is longer than it runs, a letter does not stand bare: there are
            # entries outside of it (`_vanishes_outside`).
            kept = Sum((1,), (kept,))
        return replace(self, summed=summed).replaced({gone: kept})

    def _vanishes_outside(self, letter: Formula) -> bool:
        """Whether an entry has the letter for an index: outside its array it is zero."""
        return any(isinstance(f, Entry) and letter in f.indices for f in self.factors)

    def united(self) -> Summand:
        """One letter for several that stand in one index alone: `Σ_uv a[(u,v)]` is `Σ_n a[n]`."""
        parts = [part for f in (*self.deltas, *self.factors) for part in _indices(f)]
        found = self
        for digits in dict.fromkeys(part for part in parts if isinstance(part, Digits)):
            apart = any(
                isinstance(part, Digits | Letter) and part != digits and {*part.walk()} & inside
                for inside in [{*digits.letters}]
                for part in parts
            )
            if not apart and {*digits.letters} <= {*found.summed}:
                one = Letter(digits.letters[0].text, prod(n.size for n in digits.letters))
                rest = tuple(n for n in found.summed if n not in digits.letters)
                found = replace(found.replaced({digits: one}), summed=(*rest, one))
        return found

    def settled(self) -> Summand:
        """All deltas applied that can be."""
        summand = self.united()
        while (step := summand.applied()) is not None:
            summand = step[1]
        return summand


def _indices(formula: Formula) -> Iterator[Formula]:
    """What indices are made of: letters, and letters that are one index together."""
    if isinstance(formula, Digits | Letter):
        yield formula
    else:
        for part in formula.parts:
            yield from _indices(part)


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


def is_table(array: Formula) -> bool:
    """Whether an array is one of indices: the user's own, or an order."""
    listed = isinstance(array, Call) and array.function in ("argmaxpool", "argsort")
    return isinstance(array, Name) or listed


def _sliced(factor: Formula) -> Formula:
    """`D[:3][k]` where k runs less far than the axis, which nothing would tell otherwise."""
    if not isinstance(factor, Entry) or isinstance(factor.array, Ones):
        return factor
    runs = [
        n.terms[0] if isinstance(n, Sum) and n.coefficients == (1,) else n for n in factor.indices
    ]
    if runs == list(factor.indices):
        return factor
    pairs = zip(factor.indices, runs, strict=True)
    slices = [f":{run.size}" if isinstance(run, Letter) and n != run else ":" for n, run in pairs]
    return Entry(View(factor.array, tuple(slices)), tuple(runs))


def _covers(index: Formula, letter: Formula) -> bool:
    """Whether an index is always a value of the letter, so that the letter's sum finds it.

    That what is looked up in a table of indices lies within its array is taken for granted.
    """
    if isinstance(index, Entry) and is_table(index.array):
        return isinstance(letter, Letter) and letter not in index.walk()
    ends = range_of(index)
    if ends is None or not isinstance(letter, Letter) or letter in index.walk():
        return False
    return ends[0] >= 0 and ends[1] < letter.size


def letter_counts(formulas: Iterable[Formula]) -> Counter[Letter]:
    """How often each letter stands in formulas."""
    parts = (part for formula in formulas for part in formula.walk())
    return Counter(part for part in parts if isinstance(part, Letter))
