"""From indices to matrices: `Σ_j ∂L/∂D[k,j] X[l,j]` is `∂L/∂D Xᵀ`.

Each entry is a matrix whose rows and columns run over a letter each, or over nothing: a vector is a
column. Letters are summed one by one as products, entries with the same letters are multiplied
entry by entry, and what is left is turned into the result's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from layouts.formulas.contracting import Matrix, step
from layouts.formulas.factors import (
    Atom,
    Diagonal,
    Entrywise,
    Term,
    array,
    diagonal,
    entrywise,
    number,
    ones,
    times,
)
from layouts.formulas.indexing import ELEMENTWISE
from layouts.formulas.lookups import laid_open
from layouts.formulas.picking import cells, in_digits, picked
from layouts.formulas.plain import is_applied_to, transposes
from layouts.formulas.simplifying import total
from layouts.formulas.splitting import ShapeOf, split
from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Delta,
    Derivative,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
    Ones,
    Product,
    Transpose,
    View,
)

Axes = Sequence[Letter | None]


def matrix_form(
    summands: Sequence[Summand], letters: Axes, shape_of: ShapeOf | None = None
) -> Formula | None:
    """A derivative with matrices, such as `∂L/∂D Xᵀ`.

    Args:
        summands: the derivative in index notation.
        letters: those of the result's axes, two at most: rows, columns; None for an axis of one.
        shape_of: the shape of an array's formula; with it products within arrays are laid open.

    Returns:
        A formula whose value has these axes; None where none is found.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> j, k, l = Letter("j", 5), Letter("k", 4), Letter("l", 3)
        >>> G, X = Entry(Name("G"), (k, j)), Entry(Name("X"), (l, j))
        >>> matrix_form([Summand(1, (j,), (), (G, X))], (k, l)).factors
        (Name(text='G'), Transpose(of=Name(text='X')))
    """
    numbers = _numbers(summands, letters, shape_of)
    if numbers is not None:
        return numbers
    terms = matrix_terms(summands, letters, shape_of)
    if terms is None:
        return _regrouped(summands, letters[0], shape_of) if len(letters) == 1 else None
    return total(terms, shape_of)


def _regrouped(
    summands: Sequence[Summand], letter: Letter | None, shape_of: ShapeOf | None
) -> Formula | None:
    """`reshape(A, shape=(15,))` of a matrix, where a vector's index is made of two letters."""
    parted = [in_digits(summand, letter) for summand in summands] if letter else []
    found = [part for part in parted if part is not None]
    if not letter or not found or len(found) < len(parted) or len({p for p, _ in found}) > 1:
        return None
    form = matrix_form([rest for _, rest in found], found[0][0], shape_of)
    return None if form is None else Call("reshape", (form,), (("shape", (letter.size,)),))


def _numbers(
    summands: Sequence[Summand], letters: Axes, shape_of: ShapeOf | None
) -> Formula | None:
    """`[[a, b], [c, d]]` where each number of the result is told on its own."""
    found = cells(summands, letters)
    if found is None:
        return None
    written: dict[tuple[int, ...], Formula] = {}
    for place, inside in found.items():
        terms = matrix_terms(inside, (), shape_of)
        if terms is None:
            return None
        written[place] = total(terms, shape_of)
    sizes = [1 if letter is None else letter.size for letter in letters]
    if sizes[0] == 1 and len(sizes) == 2:
        row = [written.get((0, n), Number(0)) for n in range(sizes[1])]
        return Transpose(Call("array", tuple(row)))
    lines = [
        written.get((n, 0)[: len(sizes)], Number(0))
        if len(sizes) == 1 or sizes[1] == 1
        else Call("array", tuple(written.get((n, m), Number(0)) for m in range(sizes[1])))
        for n in range(sizes[0])
    ]
    return Call("array", tuple(lines))


def matrix_terms(
    summands: Sequence[Summand],
    letters: Axes,
    shape_of: ShapeOf | None = None,
    flat: bool | None = None,
) -> list[Term] | None:
    """The terms of a matrix form, one for each summand; None where one of them has none.

    Args:
        summands: the derivative in index notation.
        letters: those of the result's axes, two at most.
        shape_of: the shape of an array's formula.
        flat: whether columns of two axes are read as vectors; by default where others are.
    """
    if len(letters) > 2:
        return None
    target = tuple([*letters, None, None][:2])
    summands = [picked(laid_open(summand, shape_of), shape_of) for summand in summands]
    for narrow in (False, True) if flat is None else (flat,):
        found = [_product(summand, target, narrow, shape_of) for summand in summands]
        terms = [term for term in found if term is not None]
        if len(terms) < len(found):
            return None
        if narrow or not mixes(summands, terms, shape_of):
            break
    return terms


def mixes(
    summands: Sequence[Summand], terms: Sequence[Term], shape_of: ShapeOf | None = None
) -> bool:
    """Whether some vectors or numbers have an axis of one, and others not."""
    factors = [factor for summand in summands for factor in summand.factors]
    entries = [entry for entry in map(_as_entry, factors) if entry is not None]
    read = [entry for entry in entries if any(isinstance(n, Number) for n in entry.indices)]
    if not read:
        return False
    # What `∂D[i,0]/∂x[k]` is an entry of has no formula, nor a shape that could be asked for.
    shapeless = any(isinstance(f, Derivative) and Number(0) in f.walk() for f in factors)
    if shapeless or not all(_is_thin(entry, shape_of) for entry in read):
        return True
    vectors = [entry for entry in entries if sum(isinstance(n, Letter) for n in entry.indices) == 1]
    made = any(term.numbers or term.below or any(map(_has_ones, term.factors)) for term in terms)
    return made or len(vectors) != len(read)


def _is_thin(entry: Entry, shape_of: ShapeOf | None) -> bool:
    """Whether a vector is read from an array of two axes, one of them of size one."""
    if shape_of is None or len(entry.indices) != 2:
        return False
    sizes = zip(entry.indices, shape_of(entry.array), strict=True)
    return all(size == 1 for n, size in sizes if isinstance(n, Number))


def _has_ones(factor: object) -> bool:
    match factor:
        case Atom(Ones()):
            return True
        case Entrywise(parts):
            return any(_has_ones(inner) for part in parts for inner in part.factors)
        case Diagonal(of):
            return any(map(_has_ones, of.factors))
    return False


def _product(summand: Summand, target: tuple, flat: bool, shape_of: ShapeOf | None) -> Term | None:
    """One summand as a product of matrices; None where no step applies any more."""
    items = []
    for factor in summand.factors:
        item = _of_entry(factor, flat, shape_of)
        if item is None:
            return None
        items.append(item)
    for delta in summand.deltas:
        item = _of_delta(delta)
        if item is None:
            return None
        items.append(item)
    kept = frozenset(letter for letter in target if letter is not None)
    carried = frozenset(letter for item in items for letter in item.letters)
    if carried - kept - {*summand.summed} or kept & {*summand.summed}:
        return None  # a letter that is free and no axis of the result
    absent = prod(letter.size for letter in summand.summed if letter not in carried)
    while (fewer := step(items, kept)) is not None:
        items = fewer
    scalars = [item.term for item in items if not item.letters]
    whole = _finish([item for item in items if item.letters], target)
    if whole is None:
        return None
    whole = whole.scaled(Term(coefficient=summand.coefficient * absent))
    for scalar in scalars:
        if target[1] is None and scalar.factors and _stands_last(scalar):
            whole = times(whole, _acting(scalar))
        else:
            whole = whole.scaled(number(scalar))
    return whole


def _stands_last(scalar: Term) -> bool:
    """Whether it is a row times what a derivative acts on: `D Dᵀ ∂L/∂D` reads as a product."""
    term = number(scalar)
    return any(map(is_applied_to, scalar.formulas)) and not any(
        isinstance(n, Call) for n in term.numbers
    )


def _acting(scalar: Term) -> Term:
    """With what it acts on last, or as it is where it stands in the middle: `aᵀ Ẋ b`."""
    place = next(
        n for n, factor in enumerate(scalar.factors) if any(map(is_applied_to, factor.formulas))
    )
    if 1 in scalar.factors[place].sides:
        return scalar if place else scalar.T
    return scalar.T if transposes(*scalar.factors[place].formulas) else scalar


def _as_entry(factor: Formula) -> Entry | None:
    """`∂D[i]/∂x[k]` is the entry `[i,k]` of `∂D/∂x`."""
    if isinstance(factor, Derivative):
        of, by = factor.of, factor.by
        if isinstance(of, Entry) and isinstance(by, Entry):
            return Entry(Derivative(of.array, by.array), of.indices + by.indices)
    if isinstance(factor, Entry) and len(factor.indices) == 1:
        column = _unsliced(factor.array)
        if column is not None:  # entry by entry, so that it does not matter how wide they are
            return Entry(column, (*factor.indices, Number(0)))
    return factor if isinstance(factor, Entry) else None


def _unsliced(array: Formula) -> Formula | None:
    """`tanh′(z)` for `tanh′(z[:, 0])`: what acts entry by entry on the only column of arrays."""
    match array:
        case View(of, (":", "0")):
            return of
        case Call(function, (operand,), (), primes) if function in ELEMENTWISE:
            inner = _unsliced(operand)
            return None if inner is None else Call(function, (inner,), (), primes)
        case Product("entrywise", factors):
            found = [_unsliced(factor) for factor in factors]
            parts = tuple(part for part in found if part is not None)
            return Product("entrywise", parts) if len(parts) == len(found) else None
    return None


def _of_entry(factor: Formula, flat: bool, shape_of: ShapeOf | None) -> Matrix | None:
    """An entry as a matrix, in the orientation that its array has."""
    entry = _as_entry(factor)
    if entry is None or not all(isinstance(n, Letter) or _is_place(n) for n in entry.indices):
        return None
    letters = [n for n in entry.indices if isinstance(n, Letter)]
    if len(letters) > 2 or (len(entry.indices) > 2 and len(letters) < len(entry.indices)):
        return None
    shape = tuple(n.size if isinstance(n, Letter) else 1 for n in entry.indices)
    if shape_of is not None and not isinstance(factor, Derivative):
        sizes = zip(entry.indices, shape_of(entry.array), strict=True)
        if any(n.size != size if isinstance(n, Letter) else n.value >= size for n, size in sizes):  # type: ignore[attr-defined]
            return None  # an entry outside of its array is zero
    if len(letters) == 2 and letters[0] == letters[1]:
        size = letters[0].size
        return Matrix(letters[0], None, array(Call("diag", (entry.array,)), (size, 1)))
    known = not isinstance(factor, Derivative) and letters and not flat
    thin = known and _is_thin(entry, shape_of)
    if len(entry.indices) == len(letters) or thin:
        axes = [n if isinstance(n, Letter) else None for n in entry.indices]
        rows, cols = [*axes, None, None][:2]
        return Matrix(rows, cols, split(entry.array, shape, shape_of))
    places = (":" if isinstance(n, Letter) else str(n.value) for n in entry.indices)  # type: ignore[attr-defined]
    own = View(entry.array, tuple(places))
    term = split(own, tuple(letter.size for letter in letters), shape_of)
    row, col = [*letters, None, None][:2]
    return Matrix(row, col, term)


def _is_place(index: Formula) -> bool:
    return isinstance(index, Number) and isinstance(index.value, int) and index.value >= 0


def _of_delta(delta: Delta) -> Matrix | None:
    """A delta between two letters is the identity matrix."""
    left, right = delta.left, delta.right
    if not isinstance(left, Letter) or not isinstance(right, Letter) or left.size != right.size:
        return None
    if left == right:
        return Matrix(left, None, ones(left.size))
    return Matrix(left, right, array(Identity(left.size), (left.size, left.size)))


def _finish(items: Sequence[Matrix], target: tuple) -> Term | None:
    """Put what is left in the target's shape: turned, as an outer product, or repeated."""
    letters = frozenset(letter for letter in target if letter is not None)
    if not letters:
        return Term() if not items else None
    if len(items) == 1 and items[0].letters == letters:
        (item,) = items
        return item.term if item.rows == target[0] else item.T.term
    sides = []
    for letter in target:
        own = [item.column.term for item in items if item.letters == {letter}]
        if len(own) > 1:
            return None
        sides.append(own[0] if own else None if letter is None else ones(letter.size))
    found = sum(item.letters == {letter} for item in items for letter in target if letter)
    if found < len(items):
        return None
    rows, cols = sides
    if rows is None or cols is None:
        return rows if cols is None else cols.T
    return times(_unscaled(rows) if cols == ones(cols.sides[0]) else rows, cols.T)


def _unscaled(column: Term) -> Term:
    """`(A x) ⊙ s` as `diag(s) A x`, beside a row of ones."""
    match column.factors:
        case (Entrywise(parts),):
            long = [part for part in parts if len(part.factors) > 1]
            if len(long) == 1:
                others = entrywise([part for part in parts if part is not long[0]])
                outer = replace(column, sides=(1, 1), factors=())
                return times(diagonal(others), long[0]).scaled(outer)
    return column
