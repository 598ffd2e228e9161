"""Lookups as matrices: `Σ_i δ[y[i],k] G[i,l]` is `one_hot(y, 5)ᵀ G`.

An index that is read from a table picks a row, as a product with a matrix of zeros and ones does,
whose row i has its one where the table says. Formulas with indices keep the table, which is short;
formulas with matrices need the matrix.
"""

from __future__ import annotations

from dataclasses import replace

from layouts.formulas.splitting import ShapeOf
from layouts.formulas.summands import Summand, is_table
from layouts.formulas.tree import Call, Entry, Formula, Letter, Number, View


def laid_open(summand: Summand, shape_of: ShapeOf | None) -> Summand:
    """The same with products of one-hot matrices in place of indices read from tables.

    Args:
        summand: any.
        shape_of: the shape of an array's formula; without it entries stay as they are.

    Example:
        >>> from layouts.formulas.tree import Delta, Name
        >>> i, k = Letter("i", 4), Letter("k", 5)
        >>> y = Entry(Name("y"), (i,))
        >>> laid_open(Summand(1, (i,), (Delta(y, k),)), None).factors[0].indices == (i, k)
        True
    """
    deltas, factors, summed = [], [], [*summand.summed]
    for delta in summand.deltas:
        if _is_lookup(delta.left) and isinstance(delta.right, Letter):
            factors.append(_one_hot(delta.left, delta.right))
        else:
            deltas.append(delta)
    for factor in summand.factors:
        places: dict[Formula, Formula] = {}
        if shape_of is not None and isinstance(factor, Entry):
            for axis, index in enumerate(factor.indices):
                if _is_lookup(index):
                    place = Letter(f"#{len(summed)}", shape_of(factor.array)[axis])
                    places[index] = place
                    summed.append(place)
                    factors.append(_one_hot(index, place))
        factors.append(factor.replaced(places))
    if len(factors) == len(summand.factors):
        return summand
    return replace(summand, deltas=tuple(deltas), factors=tuple(factors), summed=tuple(summed))


def _is_lookup(index: Formula) -> bool:
    """Whether an index is an entry of indices that run along one axis at most."""
    if not isinstance(index, Entry) or not is_table(index.array):
        return False
    places = [n for n in index.indices if isinstance(n, Number)]
    letters = [n for n in index.indices if isinstance(n, Letter)]
    return len(letters) < 2 and len(letters) + len(places) == len(index.indices)


def _one_hot(index: Formula, place: Letter) -> Formula:
    """The entry that is one where the table's entry is the place."""
    assert isinstance(index, Entry)
    letters = tuple(n for n in index.indices if isinstance(n, Letter))
    entries = tuple(str(n.value) if isinstance(n, Number) else ":" for n in index.indices)
    array = index.array if len(letters) == len(entries) else View(index.array, entries)
    return Entry(Call("one_hot", (array, Number(place.size))), (*letters, place))
