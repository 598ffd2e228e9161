"""Edits of the gradient as it is written: a factor dropped or replaced, a sum over another axis.

The gradient in index notation, `Σ_j ∂L/∂D[k,j] X[l,j]`, is what a hand-written backward pass
computes, so a slip of the hand is a small change of it: of a factor, of its indices, of what is
summed, of a sign. Each change is written down as a formula, and computed by one einsum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any

from layouts.doctor.changes import (
    Change,
    Instead,
    Summands,
    bridged,
    doubled,
    instead_of_derivative,
    kind_of_missing,
    parts_of_sum,
    rank_of_missing,
    reordered,
    shown_term,
    text,
    tied,
    without_array,
)
from layouts.doctor.rewriting import rewritten
from layouts.doctor.terms import of_number, of_sums
from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Derivative,
    Entry,
    Formula,
    Inverse,
    Letter,
    Sum,
    View,
)


def _with_factor(summand: Summand, place: int, factor: Formula) -> Summand:
    """A term with another factor in the place of one."""
    factors = (*summand.factors[:place], factor, *summand.factors[place + 1 :])
    return replace(summand, factors=factors)


@dataclass(frozen=True)
class Written:
    """The right gradient by one variable, as it is written.

    Attributes:
        summands: in index notation.
        head: what it is called.
        axes: the letters of its axes; None for an axis of one.
        arrays: formulas of arrays that may be mistaken for one another, with their shapes.
        definitions: what the names of intermediates stand for.
        output: the name of the function's value.
    """

    summands: Summands
    head: Derivative
    axes: Sequence[Letter | None]
    arrays: Mapping[Formula, tuple[int, ...]]
    definitions: Mapping[Any, Formula]
    output: Formula

    @property
    def free(self) -> list[Letter]:
        """The letters that are not summed."""
        return [letter for letter in self.axes if letter is not None]

    def changes(self) -> Iterator[Change]:
        """All changes of one place; their number is linear in that of factors and arrays."""
        for place, summand in enumerate(self.summands):
            rest = self.summands[:place], self.summands[place + 1 :]
            for change in self._of_one(summand):
                yield replace(change, summands=(*rest[0], *change.summands, *rest[1]))
            if len(self.summands) > 1:
                yield from self._of_terms(place, summand, rest)
        yield from self._of_all()

    def _of_terms(self, place: int, summand: Summand, rest: tuple) -> Iterator[Change]:
        """A term left out, alone, or with another sign or number."""
        shown = shown_term(summand)
        # Beside a term without a sum, one with a sum comes of a statistic: a mean, a norm.
        plain = [s for s in self.summands if not s.summed]
        statistic = bool(summand.summed and plain)
        yield Change(
            "treated-as-constant" if statistic else "missing-path",
            f"the term {shown} is left out"
            + (": what it sums is treated as a constant" if statistic else ""),
            f"add {shown}: cotangents of all paths are added",
            (*rest[0], *rest[1]),
            4,
        )
        yield from of_number(summand, *rest)
        if len(self.summands) > 2:
            alone = plain == [summand]
            yield Change(
                "treated-as-constant" if alone else "missing-path",
                f"only the term {shown} is there"
                + (": all that is summed is treated as a constant" if alone else ""),
                "add the others",
                (summand,),
                4,
            )

    def _of_all(self) -> Iterator[Change]:
        """The same change in every term: the diagonal alone, the cotangent as ones."""
        summed = {letter for summand in self.summands for letter in summand.summed}
        for letter in summed:
            for free in self.free:
                if letter.size == free.size and len(self.summands) > 1:
                    yield Change(
                        "diagonal-only",
                        "only the diagonal of the Jacobian is used",
                        "sum over all entries of the output",
                        tuple(tied(s, letter, free) for s in self.summands),
                        3,
                    )
        cotangents = {
            f.array
            for s in self.summands
            for f in s.factors
            if isinstance(f, Entry) and isinstance(f.array, Derivative)
        }
        for cotangent in cotangents:
            for other, shape in self.arrays.items():
                if shape == self.arrays.get(cotangent) and other != cotangent:
                    known = {cotangent: other}
                    yield Change(
                        "missing-cotangent",
                        f"{text(other)} stands where the cotangent {text(cotangent)} belongs",
                        f"multiply by {text(cotangent)}",
                        tuple(s.replaced(known) for s in self.summands),
                        4,
                    )
        yield from self._everywhere()

    def _everywhere(self) -> Iterator[Change]:
        """An array replaced by another, or dropped, in every term at once."""
        places = [f.array for s in self.summands for f in s.factors if isinstance(f, Entry)]
        for array in dict.fromkeys(places):
            if places.count(array) < 2 or isinstance(array, Derivative):
                continue
            dropped = tuple(without_array(s, array) for s in self.summands)
            yield Change(
                kind_of_missing(array),
                f"{text(array)} is left out everywhere",
                f"multiply by {text(array)}",
                dropped,
                3,
            )
            for other, kind, words, rank in self._instead(array):
                yield Change(
                    kind,
                    words,
                    f"use {text(array)}",
                    tuple(s.replaced({array: other}) for s in self.summands),
                    rank,
                )

    def _of_one(self, summand: Summand) -> Iterator[Change]:
        for place, factor in enumerate(summand.factors):
            yield from self._of_factor(summand, place, factor)
        yield from of_sums(summand, self.free)
        yield from self._of_products(summand)
        yield from self._of_strangers(summand)
        yield from self._of_brackets(summand)

    def _of_brackets(self, summand: Summand) -> Iterator[Change]:
        """A factor that multiplies a sum, and in the candidate only one of its terms."""
        for place, factor in enumerate(summand.factors):
            array = factor.array if isinstance(factor, Entry) else None
            whole = self.definitions.get(array, array)
            if not isinstance(factor, Entry) or not isinstance(whole, Sum) or len(whole.terms) < 2:
                continue
            for number, (coefficient, term) in enumerate(
                zip(whole.coefficients, whole.terms, strict=True)
            ):
                rest, alone = parts_of_sum(whole)[number], Sum((coefficient,), (term,))
                first = _with_factor(summand, place, Entry(rest, factor.indices))
                second = _with_factor(summand, place, Entry(alone, factor.indices))
                for gone, other in enumerate(second.factors):
                    if gone != place and isinstance(other, Entry) and other.array != factor.array:
                        kept = second.factors[:gone] + second.factors[gone + 1 :]
                        shown = text(other.array)
                        yield Change(
                            kind_of_missing(other.array),
                            f"{shown} multiplies {text(rest)}, not {text(whole)}",
                            f"multiply the whole of {text(whole)} by {shown}",
                            (first, replace(second, factors=kept)),
                            4,
                        )

    def _of_strangers(self, summand: Summand) -> Iterator[Change]:
        """An array multiplied in that has no place in the gradient."""
        here = {f.array for f in summand.factors if isinstance(f, Entry)}
        letters = [*self.free, *summand.summed]
        for array, shape in self.arrays.items():
            if array in here or not 0 < len(shape) < 3 or isinstance(array, Derivative):
                continue
            for chosen in permutations(letters, len(shape)):
                if tuple(letter.size for letter in chosen) == shape:
                    yield Change(
                        "extra-factor",
                        f"{text(array)} is multiplied in, which has no place there",
                        f"leave {text(array)} out",
                        (replace(summand, factors=(*summand.factors, Entry(array, chosen))),),
                        5,
                    )

    def _of_factor(self, summand: Summand, place: int, factor: Formula) -> Iterator[Change]:
        """A factor dropped, doubled, transposed, inverted, or another in its place."""
        shown = text(factor.array) if isinstance(factor, Entry) else text(factor)

        def other(*new: Formula) -> Summands:
            factors = summand.factors[:place] + new + summand.factors[place + 1 :]
            return (replace(summand, factors=factors),)

        array = factor.array if isinstance(factor, Entry) else factor
        kind = kind_of_missing(array)
        if kind == "missing-factor" and self._is_slope(summand, array):
            kind = "missing-activation-derivative"
        yield Change(
            kind,
            f"{shown} is left out",
            f"multiply by {shown}",
            other(),
            rank_of_missing(array),
        )
        if not isinstance(array, Derivative):
            yield Change(
                "extra-factor",
                f"{shown} is multiplied in twice",
                "multiply by it once",
                other(factor, factor),
                4,
            )
        if not isinstance(factor, Entry):
            return
        if len(factor.indices) > 1:
            yield from self._of_matrix(factor, other)
        if len(factor.indices) == 2:
            yield from bridged(summand, place, factor, self.axes)
            yield from doubled(summand, place, factor)
        for instead, kind, words, rank in self._instead(array):
            yield Change(kind, words, f"use {shown}", other(Entry(instead, factor.indices)), rank)

    def _is_slope(self, summand: Summand, array: Formula) -> bool:
        """Whether all but the cotangent is this, computed of the variable: a derivative."""
        computed = array != self.head.by and self.head.by in array.walk()
        return computed and len(summand.factors) == 2 and len(self.summands) == 1

    def _of_matrix(self, factor: Entry, other: Callable[..., Summands]) -> Iterator[Change]:
        *batch, rows, cols = factor.indices
        sizes = [n.size if isinstance(n, Letter) else 1 for n in (rows, cols)]
        as_it_is, turned = (*batch, rows, cols), (*batch, cols, rows)
        array, shown = factor.array, text(factor.array)
        if isinstance(array, Derivative):
            if sizes[0] == sizes[1] > 1:
                words = f"{shown} is transposed"
                instead = other(Entry(array, turned))
                yield Change("operand-not-transposed", words, f"use {shown} as it is", instead, 4)
            return
        solved = "use the transpose: nothing is solved for, so nothing is inverted"
        if sizes[0] == sizes[1] > 1:
            yield Change(
                "operand-not-transposed",
                f"{shown} is not transposed where it has to be, or is where it has not",
                f"transpose {shown}: the Jacobian's transpose carries cotangents back",
                other(Entry(array, turned)),
                2,
            )
            words = f"the inverse of {shown} stands where its transpose belongs"
            instead = other(Entry(Inverse(array), turned))
            yield Change("inverse-for-transpose", words, solved, instead, 2)
            words = f"the inverse of the transpose of {shown} stands where {shown} belongs"
            instead = other(Entry(Inverse(array), as_it_is))
            yield Change("inverse-for-transpose", words, "use the matrix itself", instead, 3)
        elif min(sizes) > 1:
            words = f"the pseudo-inverse of {shown} stands where its transpose belongs"
            instead = other(Entry(Call("pinv", (array,)), turned))
            yield Change("inverse-for-transpose", words, solved, instead, 2)

    def _instead(self, array: Formula) -> Iterator[Instead]:
        """What may be taken for an array: of a derivative the value, of a value another."""
        shown = text(array)
        if not isinstance(array, Call) or not array.primes:
            yield from rewritten(self.definitions.get(array, array), self.arrays)
        if isinstance(array, Call) and array.primes:
            yield from instead_of_derivative(array, shown)
            (z,) = array.operands
            whole = self.definitions.get(z, z)
            for part in parts_of_sum(whole):
                point = replace(array, operands=(part,))
                words = (
                    f"{text(point)} stands where {shown} belongs: a term of {text(z)} is missing"
                )
                yield point, "wrong-point", words, 4
            for other, shape in self.arrays.items():
                if (
                    shape == self.arrays.get(array, shape)
                    and other != z
                    and not isinstance(other, Derivative)
                ):
                    point = replace(array, operands=(other,))
                    words = f"{text(point)} stands where {shown} belongs: another point"
                    yield point, "wrong-point", words, 4
        for other, shape in self.arrays.items():
            if shape != self.arrays.get(array) or other == array:
                continue
            words = f"{text(other)} stands where {shown} belongs"
            if isinstance(array, Derivative):
                yield other, "missing-cotangent", words, 4
                continue
            if isinstance(array, View) and array.of == other:
                turned = any("-1" in entry for entry in array.entries)
                yield other, "not-flipped" if turned else "permutation-not-inverted", words, 3
            value = other == self.output  # of what is differentiated, or just another array
            yield other, "wrong-point", words, 5 if value else 4
            if value or (isinstance(array, Call) and array.primes):
                yield other, "value-for-derivative", words, 4 if value else 5

    def _of_products(self, summand: Summand) -> Iterator[Change]:
        """Two matrices in another order, transposed or not."""
        matrices = [
            (n, f)
            for n, f in enumerate(summand.factors)
            if isinstance(f, Entry)
            and len(f.indices) == 2
            and all(isinstance(i, Letter) for i in f.indices)
        ]
        for (m, one), (n, other) in combinations(matrices, 2):
            yield from reordered(summand, m, one, n, other)
