"""From matrices to indices: `W X` is `Σ_m W[i,m] X[m,j]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from layouts.formulas.tree import (
    Call,
    Delta,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
    View,
)

Shape = tuple[int, ...]

# Functions of one operand that act entry by entry.
ELEMENTWISE = (
    *("tanh", "sigmoid", "relu", "gelu", "silu", "softplus", "elu", "exp", "log", "sqrt", "abs"),
    *("sin", "cos", "tan", "sinh", "cosh", "erf", "log1p", "expm1", "square", "sign"),
)


def index_form(
    formula: Formula,
    letters: Sequence[Letter | None],
    shape_of: Callable[[Formula], Shape],
    fresh: Callable[[int], Letter],
) -> Formula:
    """Write an array formula entry by entry, as far as its parts have indices.

    Args:
        formula: an array.
        letters: of its axes; None for an axis of one.
        shape_of: the shape of a formula within it.
        fresh: a new letter of a size.

    Returns:
        A formula with these letters free; what has no index form is an `Entry` of the array.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> i, j, m = Letter("i", 4), Letter("j", 5), Letter("m", 3)
        >>> shapes = {Name("W"): (4, 3), Name("X"): (3, 5)}
        >>> product = Product("matrix", (Name("W"), Name("X")))
        >>> index_form(product, (i, j), shapes.get, lambda size: m).letters == (m,)
        True
    """

    def inner(part: Formula) -> Formula:
        shape = shape_of(part)
        own = letters[len(letters) - len(shape) :] if len(shape) <= len(letters) else None
        if own is None:
            return Entry(part, tuple(Number(0) for _ in shape))
        seen = [n if size != 1 else None for n, size in zip(own, shape, strict=True)]
        return index_form(part, seen, shape_of, fresh)

    match formula:
        case Number():
            return formula
        case Transpose(of) if len(shape_of(of)) == len(letters) == 2:
            return index_form(of, letters[::-1], shape_of, fresh)
        case Transpose(of) if len(shape_of(of)) == 1 and len(letters) == 2:
            return index_form(of, letters[1:], shape_of, fresh)
        case Identity() if len(letters) == 2 and None not in letters:
            return Delta(letters[0], letters[1])  # type: ignore[arg-type]
        case Sum(coefficients, terms):
            return Sum(coefficients, tuple(inner(term) for term in terms))
        case Quotient(above, below):
            return Quotient(inner(above), inner(below))
        case Power(base, Number() as exponent):
            return Power(inner(base), exponent)
        case Call("arange", (Number(),), ()) if len(letters) == 1:
            return letters[0] or Number(0)
        case Call("take", (array, table), (("axis", int(axis)),)):
            looked = len(shape_of(table))
            at = index_form(table, letters[axis : axis + looked], shape_of, fresh)
            return indexed(array, (*letters[:axis], at, *letters[axis + looked :]))
        case Call("take_along_axis", (array, table), (("axis", int(axis)),)):
            at = index_form(table, letters, shape_of, fresh)
            return indexed(array, (*letters[:axis], at, *letters[axis + 1 :]))
        case View(of, entries) if {*entries} <= {":", "None", "0"}:
            seen = _seen(letters, entries)
            if seen is not None and len(seen) == len(shape_of(of)):
                return index_form(of, seen, shape_of, fresh)
        case Call(function, (operand,), (), primes) if function in ELEMENTWISE:
            return Call(function, (inner(operand),), (), primes)
        case Product("entrywise", factors):
            return Product("matrix", tuple(inner(factor) for factor in factors))
        case Product("matrix", factors):
            found = _chain(factors, letters, shape_of, fresh)
            if found is not None:
                return found
    return indexed(formula, letters)


def indexed(array: Formula, indices: Sequence[Formula | None]) -> Entry:
    """`X[l,j]`; an axis of size one is read at 0."""
    return Entry(array, tuple(Number(0) if index is None else index for index in indices))


def _seen(letters: Sequence[Letter | None], entries: Sequence[str]) -> list[Letter | None] | None:
    """The letters of an array of which a view has these; None where they do not fit."""
    given = list(letters)
    seen: list[Letter | None] = []
    for entry in entries:
        if entry == "0":
            seen.append(None)
        elif not given:
            return None
        else:
            letter = given.pop(0)
            seen += [letter] * (entry == ":")
    return seen + given


def _chain(
    factors: Sequence[Formula],
    letters: Sequence[Letter | None],
    shape_of: Callable[[Formula], Shape],
    fresh: Callable[[int], Letter],
) -> Formula | None:
    """Scalars, then matrices that meet in letters which are summed over."""
    shapes = [shape_of(factor) for factor in factors]
    scalars = [f for f, shape in zip(factors, shapes, strict=True) if shape == ()]
    arrays = [(f, shape) for f, shape in zip(factors, shapes, strict=True) if shape != ()]
    if any(len(shape) > 2 for _, shape in arrays):
        return None
    ends = _ends(arrays, letters)
    if arrays and ends is None:
        return None
    row, column = ends or (None, None)
    parts: list[Formula] = [index_form(f, (), shape_of, fresh) for f in scalars]
    summed: list[Letter] = []
    for place, (factor, shape) in enumerate(arrays):
        last = place == len(arrays) - 1
        size = shape[-1] if len(shape) == 2 else 1
        after = column if last else (fresh(size) if size != 1 else None)
        if not last and after is not None:
            summed.append(after)
        own = [row, after] if len(shape) == 2 else [row]
        parts.append(index_form(factor, own, shape_of, fresh))
        row = after
    whole = Product("matrix", tuple(parts)) if len(parts) > 1 else parts[0]
    return Sigma(tuple(summed), whole) if summed else whole


def _ends(
    arrays: Sequence[tuple[Formula, Shape]], letters: Sequence[Letter | None]
) -> tuple[Letter | None, Letter | None] | None:
    """The letters of the rows of the first and the columns of the last array."""
    if not arrays:
        return None
    widths = [(shape[0], shape[1] if len(shape) == 2 else 1) for _, shape in arrays]
    for (_, size), (other, _) in pairwise(widths):
        if size != other:
            return None
    free = list(letters)
    outer = [widths[0][0], widths[-1][1]]
    if len(free) == 2:
        return free[0], free[1]
    if len(free) == 1:
        return (free[0], None) if outer[1] == 1 else (None, free[0])
    return (None, None) if outer == [1, 1] and not free else None
