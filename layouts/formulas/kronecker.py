"""A Jacobian between matrices as Kronecker products: `δ[i,k] X[l,j]` is `I₄ ⊗ Xᵀ` by rows.

Where the first axis of the output goes with the second of the input, the stacked input is first
permuted: `∂vec(Xᵀ)/∂vec(X)` is the commutation matrix K of Magnus and Neudecker, Matrix
Differential Calculus, chapter 3: `K(m,n) vec(A) = vec(Aᵀ)` for A of m rows and n columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod

from layouts.formulas.blocks import Block, merged
from layouts.formulas.factors import Term, array, diagonal, times
from layouts.formulas.matrices import Axes, matrix_form, matrix_terms, mixes
from layouts.formulas.simplifying import added, total
from layouts.formulas.splitting import ShapeOf
from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Delta,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
)

Pair = tuple[Letter | None, Letter | None]
Cluster = tuple[set[Letter], list[Delta], list[Formula]]


def kronecker_form(
    summands: Sequence[Summand],
    out: Axes,
    into: Axes,
    vec: str = "rows",
    shape_of: ShapeOf | None = None,
) -> Formula | None:
    """The matrix `∂vec(D)/∂vec(W)` as a sum of Kronecker products.

    Args:
        summands: the derivative in index notation.
        out: the letters of the output's axes; None for an axis of one.
        into: those of the input's. Where one side has no axes the form is `vec(A)`, or its row.
        vec: "rows" or "columns": how matrices are stacked.
        shape_of: the shape of an array's formula; with it products within arrays are laid open.

    Returns:
        One block a pair of axes, rows and columns scaled by `diag(vec(A))` where a factor
        carries a whole side; None where a term has no such form.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> i, j, k, l = (Letter(text, size) for text, size in zip("ijkl", (4, 5, 4, 3)))
        >>> term = Summand(1, (), (Delta(i, k),), (Entry(Name("X"), (l, j)),))
        >>> kronecker_form([term], (i, j), (k, l)).factors
        (Identity(size=4), Transpose(of=Name(text='X')))
    """
    if not out or not into:
        return _one_sided(summands, out, into, vec, shape_of)
    if max(len(out), len(into)) < 2:
        return matrix_form(summands, (*out, *into), shape_of)
    if vec == "columns":
        out, into = tuple(out)[::-1], tuple(into)[::-1]
    for flat in (False, True):
        found = [_Stacking(summand, out, into, vec, flat, shape_of).block() for summand in summands]
        blocks = [block for block in found if block is not None]
        if len(blocks) < len(found):
            return None
        parts = [part for block in blocks for part in block.all_parts]
        if flat or not mixes(summands, parts, shape_of):
            return added(merged(blocks))
    return None


def _one_sided(
    summands: Sequence[Summand], out: Axes, into: Axes, vec: str, shape_of: ShapeOf | None
) -> Formula | None:
    """By a scalar, or of one: the matrix of its entries, stacked."""
    axes = out or into
    if len(axes) < 2:
        return matrix_form(summands, axes if out else (None, *axes), shape_of)
    terms = matrix_terms(summands, axes[::-1] if vec == "rows" else axes, shape_of)
    if not terms:
        return None if terms is None else Number(0)
    outer = replace(terms[0], sides=(1, 1), factors=()) if len(terms) == 1 else Term()
    inner = [replace(terms[0], coefficient=1, numbers=(), below=())] if len(terms) == 1 else terms
    size = prod(1 if letter is None else letter.size for letter in axes)
    column = array(Call("vec", (total(inner, shape_of),)), (size, 1)).scaled(outer)
    return added([column if out else column.T])


@dataclass(frozen=True)
class _Stacking:
    """One summand between stacked arrays, the slowest axis of each side first."""

    summand: Summand
    out: Axes
    into: Axes
    vec: str
    flat: bool
    shape_of: ShapeOf | None

    def block(self) -> Block | None:
        """A Kronecker product; an outer one; or scaled where a factor carries a whole side."""
        return self._paired(self.summand) or self._outer() or self._scaled()

    def _paired(self, summand: Summand) -> Block | None:
        """The axes of both sides paired so that every delta and factor stays within a pair."""
        for pairs in _pairings(self.out, self.into):
            found = self._blocks(summand, pairs)
            if found is not None:
                return found
        if len(self.out) != 2 or len(self.into) != 2:
            return None
        found = self._blocks(summand, list(zip(self.out, self.into[::-1], strict=True)))
        if found is None:
            return None
        return replace(found, swaps=(_commutation(self.out), _commutation(self.into[::-1])))

    def _blocks(self, summand: Summand, pairs: Sequence[Pair]) -> Block | None:
        outer = Term(coefficient=summand.coefficient)
        groups: list[tuple[list[Delta], list[Formula]]] = [([], []) for _ in pairs]
        # What a summed letter ties together stays together.
        for letters, deltas, factors in _clusters(summand):
            free = letters - {*summand.summed}
            place = next((n for n, pair in enumerate(pairs) if free <= {*pair}), None)
            if place is None:
                return None
            groups[place][0].extend(deltas)
            groups[place][1].extend(factors)
        parts = []
        for pair, (deltas, factors) in zip(pairs, groups, strict=True):
            inner = Summand(1, (), tuple(deltas), tuple(factors)).over(summand.summed)
            part = self._matrix(inner, pair)
            if part is None:
                return None
            outer = outer.scaled(replace(part, sides=(1, 1), factors=()))
            sides = part.sides if part.factors else (1, 1)
            parts.append(Term(sides, factors=part.factors))
        absent = prod(n.size for n in summand.summed if n not in summand.letters)
        return Block(outer.scaled(Term(coefficient=absent)), tuple(parts))

    def _matrix(self, summand: Summand, axes: Axes) -> Term | None:
        found = matrix_terms([summand], axes, self.shape_of, self.flat)
        return found[0] if found else None

    def _scaled(self) -> Block | None:
        """A factor that carries all axes of a side is a diagonal matrix on that side."""
        left: list[Term] = []
        right: list[Term] = []
        rest = []
        for factor in self.summand.factors:
            for axes, found in ((self.out, left), (self.into, right)):
                stacked = self._stacked(factor, axes)
                if stacked is not None:
                    found.append(stacked)
                    break
            else:
                rest.append(factor)
        inner = self._paired(replace(self.summand, factors=tuple(rest)))
        if inner is None or not (left or right):
            return None
        return replace(inner, left=tuple(map(diagonal, left)), right=tuple(map(diagonal, right)))

    def _stacked(self, factor: Formula, axes: Axes) -> Term | None:
        """`vec(A)` where the array has exactly these axes, two or more."""
        if not isinstance(factor, Entry) or len(axes) < 2 or {*factor.indices} != {*axes}:
            return None
        return self._column(Summand(factors=(factor,)), axes)

    def _column(self, summand: Summand, axes: Axes) -> Term | None:
        """`vec(A)`: the slowest axis is that of the columns."""
        size = prod(1 if letter is None else letter.size for letter in axes)
        part = self._matrix(summand, tuple(axes)[::-1])
        if part is None or len(axes) < 2 or not part.factors:
            return part
        outer = replace(part, sides=(1, 1), factors=())
        inner = Term(part.sides, factors=part.factors)
        return array(Call("vec", (inner.body,)), (size, 1)).scaled(outer)

    def _outer(self) -> Block | None:
        """`vec(A) vec(B)ᵀ` where every factor stays on one side."""
        summed, sides = {*self.summand.summed}, []
        clusters = _clusters(self.summand)
        for axes in (self.out, self.into):
            own = {letter for letter in axes if letter is not None}
            inside = [c for c in clusters if c[0] - summed <= own]
            clusters = [c for c in clusters if not c[0] - summed <= own]
            deltas = tuple(delta for cluster in inside for delta in cluster[1])
            factors = tuple(factor for cluster in inside for factor in cluster[2])
            part = Summand(1, (), deltas, factors).over(self.summand.summed)
            sides.append(self._column(part, axes))
        left, right = sides
        if clusters or left is None or right is None:
            return None
        whole = times(left, right.T).scaled(Term(coefficient=self.summand.coefficient))
        return Block(
            replace(whole, sides=(1, 1), factors=()), (Term(whole.sides, factors=whole.factors),)
        )


def _commutation(axes: Axes) -> Term:
    """What turns arrays stacked with the axes swapped into arrays stacked with these."""
    slow, fast = (1 if letter is None else letter.size for letter in axes)
    size = slow * fast
    if 1 in (slow, fast):
        return array(Identity(size), (size, size))
    return array(Call("commutation", (Number(slow), Number(fast))), (size, size))


def _clusters(summand: Summand) -> list[Cluster]:
    """Deltas and factors that share a summed letter, together."""
    clusters: list[Cluster] = []
    for part in (*summand.deltas, *summand.factors):
        letters = {p for p in part.walk() if isinstance(p, Letter)}
        delta = isinstance(part, Delta)
        found: Cluster = (letters, [part] if delta else [], [] if delta else [part])  # type: ignore[list-item]
        rest = []
        for cluster in clusters:
            if cluster[0] & found[0] & {*summand.summed}:
                found = (cluster[0] | found[0], cluster[1] + found[1], cluster[2] + found[2])
            else:
                rest.append(cluster)
        clusters = [*rest, found]
    return clusters


def _pairings(out: Axes, into: Axes) -> Iterator[list[Pair]]:
    """Every way to pair the axes in order, axes of one put in where one side has fewer."""
    rank = max(len(out), len(into))
    for places in combinations(range(rank), min(len(out), len(into))):
        shorter = dict(zip(places, out if len(out) < rank else into, strict=True))
        padded = [shorter.get(place) for place in range(rank)]
        if len(out) < rank:
            yield list(zip(padded, into, strict=True))
        else:
            yield list(zip(out, padded, strict=True))
