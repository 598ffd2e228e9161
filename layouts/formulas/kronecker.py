"""A Jacobian between matrices as Kronecker products: `δ[i,k] X[l,j]` is `I₄ ⊗ Xᵀ` by rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from layouts.formulas.matrices import matrix_form, total
from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Delta,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
    Product,
    Transpose,
)

Axes = Sequence[Letter | None]
Pair = tuple[Letter | None, Letter | None]


def kronecker_form(
    summands: Sequence[Summand], out: Axes, into: Axes, vec: str = "rows"
) -> Formula | None:
    """The matrix `∂vec(D)/∂vec(W)` as a sum of Kronecker products.

    Args:
        summands: the derivative in index notation.
        out: the letters of the output's axes; None for an axis of one.
        into: those of the input's.
        vec: "rows" or "columns": how matrices are stacked.

    Returns:
        One block a pair of axes in order, rows and columns scaled by `diag(vec(A))` where a factor
        carries a whole side; None where a term has no such form.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> i, j, k, l = (Letter(text, size) for text, size in zip("ijkl", (4, 5, 4, 3)))
        >>> term = Summand(1, (), (Delta(i, k),), (Entry(Name("X"), (l, j)),))
        >>> kronecker_form([term], (i, j), (k, l)).factors
        (Identity(size=4), Transpose(of=Name(text='X')))
    """
    if vec == "columns":
        out, into = tuple(out)[::-1], tuple(into)[::-1]
    found = [_scaled(summand, out, into, vec) for summand in summands]
    if any(form is None for form in found):
        return None
    pairs = zip(summands, found, strict=True)
    return total((s.coefficient, form) for s, form in pairs if form is not None)


def _scaled(summand: Summand, out: Axes, into: Axes, vec: str) -> Formula | None:
    """A term; a factor that carries all axes of a side is a diagonal matrix on that side."""
    whole = _blocks(summand, out, into)
    if whole is not None:
        return whole
    left: list[Formula] = []
    right: list[Formula] = []
    rest = []
    for factor in summand.factors:
        for axes, found in ((out, left), (into, right)):
            stacked = _stacked(factor, axes, vec)
            if stacked is not None:
                found.append(stacked)
                break
        else:
            rest.append(factor)
    if not left and not right:
        return None
    inner = _blocks(replace(summand, factors=tuple(rest)), out, into)
    if inner is None:
        return None
    plain = _is_identity(inner)
    factors = (*left, *(() if plain else (inner,)), *right)
    return factors[0] if len(factors) == 1 else Product("matrix", factors)


def _is_identity(formula: Formula) -> bool:
    if isinstance(formula, Product) and formula.kind == "kronecker":
        return all(isinstance(part, Identity) for part in formula.factors)
    return isinstance(formula, Identity)


def _stacked(factor: Formula, axes: Axes, vec: str) -> Formula | None:
    """`diag(vec(A))` where the array has exactly these axes, two or more."""
    if not isinstance(factor, Entry) or len(factor.indices) < 2:
        return None
    own = tuple(factor.indices)
    given = tuple(Number(0) if letter is None else letter for letter in axes)
    straight = given if vec == "rows" else given[::-1]
    if own == straight:
        array = factor.array
    elif own == straight[::-1] and len(own) == 2:
        array = Transpose(factor.array)
    else:
        return None
    # vec stacks columns, so that rows are stacked by vec(Aᵀ).
    if vec == "rows":
        array = array.of if isinstance(array, Transpose) else Transpose(array)
    return Call("diag", (Call("vec", (array,)),))


def _blocks(summand: Summand, out: Axes, into: Axes) -> Formula | None:
    """Pair the axes of both sides in order so that every delta and factor stays within a pair."""
    if len(out) < 2 and len(into) < 2:
        return matrix_form([replace(summand, coefficient=1)], [*(out or [None]), *(into or [None])])
    for pairs in _pairings(out, into):
        form = _blocked(summand, pairs)
        if form is not None:
            return form
    return None


def _blocked(summand: Summand, pairs: Sequence[Pair]) -> Formula | None:
    scalars: list[Formula] = []
    groups: list[list] = [[[], []] for _ in pairs]
    # What a summed letter ties together stays together.
    clusters = _clusters(summand)
    for letters, deltas, factors in clusters:
        free = letters - {*summand.summed}
        if not free:
            inner = replace(summand, coefficient=1, deltas=tuple(deltas), factors=tuple(factors))
            form = matrix_form([inner.over(())], ())
            if form is None:
                return None
            scalars.append(form)
            continue
        place = next((n for n, pair in enumerate(pairs) if free <= {*pair}), None)
        if place is None:
            return None
        groups[place][0] += deltas
        groups[place][1] += factors
    blocks = []
    for (row, col), (deltas, factors) in zip(pairs, groups, strict=True):
        inner = Summand(1, summand.summed, tuple(deltas), tuple(factors))
        inner = replace(inner, summed=tuple(n for n in inner.summed if n in _within(inner)))
        block = matrix_form([inner], (row, col))
        if block is None:
            return None
        blocks.append(block)
    kept = [block for block in blocks if block != Number(1)]
    product = kept[0] if len(kept) == 1 else Product("kronecker", tuple(kept))
    if not kept:
        product = Number(1)
    parts = tuple(scalar for scalar in scalars if scalar != Number(1))
    return Product("matrix", (*parts, product)) if parts else product


def _within(summand: Summand) -> set[Letter]:
    parts = (part for f in (*summand.deltas, *summand.factors) for part in f.walk())
    return {part for part in parts if isinstance(part, Letter)}


def _clusters(summand: Summand) -> list[tuple[set[Letter], list[Delta], list[Formula]]]:
    """Deltas and factors that share a summed letter, together."""
    clusters: list[tuple[set[Letter], list[Delta], list[Formula]]] = []
    for part in (*summand.deltas, *summand.factors):
        letters = {p for p in part.walk() if isinstance(p, Letter)}
        delta = isinstance(part, Delta)
        merged = (letters, [part] if delta else [], [] if delta else [part])
        rest = []
        for cluster in clusters:
            if cluster[0] & merged[0] & {*summand.summed}:
                merged = (
                    cluster[0] | merged[0],
                    cluster[1] + merged[1],  # type: ignore[operator]
                    cluster[2] + merged[2],  # type: ignore[operator]
                )
            else:
                rest.append(cluster)
        clusters = [*rest, merged]  # type: ignore[list-item]
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
