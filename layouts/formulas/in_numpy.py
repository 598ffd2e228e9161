"""Products as NumPy has them: of two vectors `outer(x, y)`, of a number and anything `c * x`.

On paper a vector is a column, so that `x yᵀ` is a matrix and a number may stand beside anything.
In NumPy it is an array of one axis, which `@` takes for whatever fits. A formula in ASCII reads as
NumPy does; here it is written anew where NumPy would do something else, or refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

from layouts.errors import LayoutError
from layouts.formulas.functions import ELEMENTWISE
from layouts.formulas.tree import (
    Call,
    Derivative,
    Equation,
    Formula,
    Identity,
    Letter,
    Number,
    Ones,
    Power,
    Product,
    Quotient,
    Sum,
    Transpose,
    View,
)

Shape = tuple[int, ...]
NUMBER, COLUMN, ROW, ARRAY = "number", "column", "row", "array"


@dataclass(frozen=True)
class Part:
    """A formula as NumPy has it, and what it is on paper."""

    formula: Formula
    kind: str


class UnknownInNumPy(Exception):
    """What NumPy would make of a formula is not known, or it has none of it."""


def in_numpy(formula: Formula, shape_of: Callable[[Formula], Shape]) -> Formula:
    """A formula whose ASCII text NumPy reads as it is meant.

    Args:
        formula: any; of an equation the right sides are written anew. With indices it stays.
        shape_of: the shape of an array formula.

    Returns:
        A formula of the same value.

    Example:
        >>> from layouts.formulas.parsing import parse
        >>> from layouts.show.text import text
        >>> shapes = {"A": (4, 3), "x": (3,), "y": (3,)}
        >>> def shape_of(part):
        ...     return shapes[part.text]
        >>> print(text(in_numpy(parse("(xᵀ y) A + A x yᵀ"), shape_of), "ascii"))
        (x.T @ y) * A + outer(A @ x, y)
    """
    if isinstance(formula, Equation):
        first, *others = formula.sides
        return Equation((first, *(in_numpy(side, shape_of) for side in others)))
    if any(isinstance(part, Letter) for part in formula.walk()):
        return formula
    try:
        return part_in_numpy(formula, shape_of).formula
    except (UnknownInNumPy, LayoutError):  # or it has a name that no array has
        return formula


def part_in_numpy(formula: Formula, shape_of: Callable[[Formula], Shape]) -> Part:
    """The same with what it is on paper.

    Raises:
        UnknownInNumPy: where it is not known what NumPy would make of a product.
    """
    return _Writer(shape_of).written(formula)


@dataclass(frozen=True)
class _Writer:
    """Writes a formula from the inside out."""

    shape_of: Callable[[Formula], Shape]

    def written(self, formula: Formula) -> Part:
        """A formula of any kind."""
        match formula:
            case Number():
                return Part(formula, NUMBER)
            case Ones((_,)):
                return Part(formula, COLUMN)
            case Ones() | Identity():
                return Part(formula, ARRAY)
            case Transpose(of):
                inner = self.written(of)
                kind = {COLUMN: ROW, ROW: COLUMN}.get(inner.kind, inner.kind)
                return Part(Transpose(inner.formula), kind)
            case Product("matrix", factors):
                return self._product([self.written(factor) for factor in factors])
            case Product("kronecker", factors):
                return _kronecker([self.written(factor) for factor in factors])
            case Sum() | Quotient() | Power() | Product():
                return self._entrywise(formula)
            case Call(function) if function in ELEMENTWISE:
                return self._entrywise(formula)
        kind = (NUMBER, COLUMN, ARRAY)[min(len(self.shape_of(formula)), 2)]
        if isinstance(formula, Derivative):
            return Part(formula, kind)
        parts = [self.written(part) for part in formula.parts]
        if any(part.kind == ROW for part in parts):  # its axes are counted otherwise
            raise UnknownInNumPy
        new = iter([part.formula for part in parts])
        return Part(formula.rebuilt(lambda _: next(new)), kind)

    def _entrywise(self, formula: Formula) -> Part:
        parts = [self.written(part) for part in formula.parts]
        new = iter([part.formula for part in parts])
        return Part(formula.rebuilt(lambda _: next(new)), _widest(parts))

    def _product(self, parts: list[Part]) -> Part:
        """Numbers first, the rest from the left."""
        numbers = [part for part in parts if part.kind == NUMBER]
        chain = [part for part in parts if part.kind != NUMBER]
        if not numbers:
            return reduce(_multiplied, chain)
        if not chain:
            return Part(_times(numbers), NUMBER)
        whole = reduce(_multiplied, chain)
        return Part(_times([*numbers, whole]), whole.kind)


def _times(parts: Iterable[Part]) -> Formula:
    """`a * b`; what was put together so before is taken in."""
    found: list[Formula] = []
    for part in parts:
        inner = part.formula
        flat = isinstance(inner, Product) and inner.kind == "entrywise"
        found += inner.parts if flat else [inner]
    return Product("entrywise", tuple(found))


def _multiplied(left: Part, right: Part) -> Part:
    """The product of two; a row times a column is a number from then on."""
    pair = left.kind, right.kind
    if NUMBER in pair:
        kind = right.kind if left.kind == NUMBER else left.kind
        return Part(_times([left, right]), kind)
    if pair == (COLUMN, ROW):
        sides = (left.formula, _untransposed(right.formula))
        return Part(Call("outer", sides), ARRAY)
    if pair in ((ROW, ROW), (ARRAY, ROW)):
        raise UnknownInNumPy
    before = left.formula
    flat = isinstance(before, Product) and before.kind == "matrix"
    factors = (*before.parts, right.formula) if flat else (before, right.formula)
    kind = {ROW: NUMBER, COLUMN: NUMBER, ARRAY: COLUMN}[left.kind]
    if right.kind == ARRAY:
        kind = left.kind
    return Part(Product("matrix", factors), kind)


def _kronecker(parts: list[Part]) -> Part:
    """`kron(x[:, None], A)`: beside a matrix NumPy takes a vector for a row."""
    kinds = {part.kind for part in parts} - {NUMBER}
    if kinds == {COLUMN} or kinds == {ROW}:
        return Part(Product("kronecker", tuple(part.formula for part in parts)), kinds.pop())
    factors = (
        View(part.formula, (":", "None")) if part.kind == COLUMN else part.formula for part in parts
    )
    return Part(Product("kronecker", tuple(factors)), ARRAY)


def _untransposed(formula: Formula) -> Formula:
    return formula.of if isinstance(formula, Transpose) else formula


def _widest(parts: Iterable[Part]) -> str:
    """What broadcasts to."""
    kinds = {part.kind for part in parts} - {NUMBER}
    if ARRAY in kinds:
        return ARRAY
    if len(kinds) > 1:
        raise UnknownInNumPy
    return kinds.pop() if kinds else NUMBER
