"""From an array's formula to a term: its numbers taken out, its products laid open."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from layouts.formulas.factors import Atom, Sides, Term, array, diagonal, entrywise, number, times
from layouts.formulas.tree import (
    Call,
    Formula,
    Identity,
    Number,
    Product,
    Quotient,
    Sum,
    Transpose,
)

Shape = tuple[int, ...]
ShapeOf = Callable[[Formula], Shape]


def split(formula: Formula, shape: Shape, shape_of: ShapeOf | None = None) -> Term:
    """A formula as a product of numbers and factors.

    Args:
        formula: an array of rank two at most.
        shape: its shape.
        shape_of: the shape of a formula within it; without it products stay closed.

    Returns:
        A term of the same value; where a part does not fit, the formula as one factor.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> a, x, b = map(Name, "axb")
        >>> shapes = {a: (3,), Transpose(a): (1, 3), x: (3,), b: (5,)}
        >>> term = split(Product("matrix", (Transpose(a), x, b)), (5,), shapes.get)
        >>> [len(part) for part in (term.numbers, term.factors)]
        [1, 1]
    """
    found = None if 1 in shape else _open(formula, shape, shape_of)
    if found is not None and found.sides == sides_of(shape):
        return found
    return Term(numbers=(formula,)) if not shape else array(formula, sides_of(shape))


def sides_of(shape: Shape) -> Sides:
    """Rows and columns; a vector is a column."""
    rows, cols = [*shape, 1, 1][:2]
    return rows, cols


def _open(formula: Formula, shape: Shape, shape_of: ShapeOf | None) -> Term | None:
    match formula:
        case Number(value) if not shape:
            return Term(coefficient=value)
        case Sum((coefficient,), (term,)):
            return split(term, shape, shape_of).scaled(Term(coefficient=coefficient))
        case Quotient(above, below) if not shape:
            lower = split(below, (), shape_of)
            if lower.coefficient == 0:
                return None
            upper = split(above, (), shape_of)
            inverse = Term((1, 1), 1 / lower.coefficient, lower.below, lower.numbers)
            return upper.scaled(inverse)
        case Quotient(Number(value), below) if shape and value != 1:
            rest = Quotient(Number(1), below)
            return array(rest, sides_of(shape)).scaled(Term(coefficient=value))
        case Transpose(of) if len(shape) == 2 and (shape_of is None or len(shape_of(of)) == 2):
            return split(of, shape[::-1], shape_of).T
    return None if shape_of is None else _open_known(formula, shape, shape_of)


def _open_known(formula: Formula, shape: Shape, shape_of: ShapeOf) -> Term | None:
    """What is laid open where the shapes of parts are known."""
    match formula:
        case Quotient(above, below) if shape_of(below) == () and shape_of(above) == shape:
            lower = split(below, (), shape_of)
            if lower.coefficient == 0:
                return None
            inverse = Term((1, 1), 1 / lower.coefficient, lower.below, lower.numbers)
            return split(above, shape, shape_of).scaled(inverse)
        case Sum(coefficients, terms) if all(shape_of(term) == shape for term in terms):
            parts = [split(term, shape, shape_of).T for term in terms]
            flipped = Sum(
                tuple(c * part.coefficient for c, part in zip(coefficients, parts, strict=True)),
                tuple(part.body for part in parts),
            )
            sides = sides_of(shape)
            return Term(sides, factors=(Atom(formula, sides, flipped=flipped),)) if shape else None
        case Product("entrywise", factors) if all(shape_of(f) in (shape, ()) for f in factors):
            parts = [split(factor, shape_of(factor), shape_of) for factor in factors]
            numbers = [part for part in parts if not part.factors]
            arrays = [part for part in parts if part.factors]
            whole = entrywise(arrays) if arrays else Term()
            return reduce(Term.scaled, numbers, whole)
        case Product("matrix", factors):
            return _chain(factors, shape_of)
        case Call("diag", (of,), (), 0) if len(shape_of(of)) == 1:
            return diagonal(split(of, shape_of(of), shape_of))
    return None


def _chain(factors: tuple[Formula, ...], shape_of: ShapeOf) -> Term | None:
    """Matrices side by side from the left; a number where a row has met its column."""
    whole = Term()
    for factor in factors:
        inner = factor.of if isinstance(factor, Transpose) else factor
        row = inner is not factor and len(shape_of(inner)) == 1
        column = inner if row else factor
        shape = shape_of(column)
        if 1 in shape or len(shape) > 2:
            return None
        part = split(column, shape, shape_of)
        part = part.T if row else part
        if whole.factors and part.factors and whole.sides[1] != part.sides[0]:
            return None
        if isinstance(factor, Identity) and not whole.factors:
            part = array(factor, (factor.size, factor.size))
        whole = times(whole, part)
        if whole.factors and whole.sides == (1, 1):
            whole = number(whole)
    return whole
