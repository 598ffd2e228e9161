"""What is read off formulas, and the plain way to write transposes and products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from layouts.formulas.tree import (
    Call,
    Derivative,
    Formula,
    Identity,
    Inverse,
    Name,
    Number,
    Product,
    Sum,
    Transpose,
)


def is_applied_to(formula: Formula) -> bool:
    """Whether it holds a cotangent or tangent: what a derivative acts on, which stands last."""
    return any(
        isinstance(part, Derivative) or (isinstance(part, Name) and part.text.endswith("_dot"))
        for part in formula.walk()
    )


def is_array(formula: Formula) -> bool:
    """Whether it is written number by number."""
    return isinstance(formula, Call) and formula.function == "array"


def is_symmetric(formula: Formula) -> bool:
    """Whether a matrix is seen to equal its transpose."""
    match formula:
        case Identity():
            return True
        case Call("diag", _, _, 0):
            return True
        case Sum():
            return turned(formula) == formula
        case Inverse(of):
            return is_symmetric(of)
        case Product("matrix", factors):  # `Xᵀ X`
            return tuple(map(turned, reversed(factors))) == factors
    return False


def turned(formula: Formula) -> Formula:
    """The transpose, written the plain way: of `A + Aᵀ` itself, of `Aᵀ` A.

    Example:
        >>> A = Name("A")
        >>> turned(Sum((1, 1), (A, Transpose(A)))) == Sum((1, 1), (A, Transpose(A)))
        True
    """
    match formula:
        case Transpose(of):
            return of
        case Identity() | Call("diag", _, _, 0):
            return formula
        case Inverse() | Product() if is_symmetric(formula):
            return formula
        case Sum(coefficients, terms):
            pairs = Counter(zip(coefficients, map(turned, terms), strict=True))
            if pairs == Counter(zip(coefficients, terms, strict=True)):
                return formula
    return Transpose(formula)


def transposed(formula: Formula) -> Formula:
    """The transpose of what is no square matrix."""
    return formula.of if isinstance(formula, Transpose) else Transpose(formula)


def transposes(*formulas: Formula) -> int:
    """How many transposes formulas have."""
    return sum(isinstance(part, Transpose) for formula in formulas for part in formula.walk())


def names(formula: Formula) -> tuple[str, ...]:
    """The names in a formula from left to right."""
    return tuple(part.text for part in formula.walk() if isinstance(part, Name))


def product(factors: Sequence[Formula]) -> Formula:
    """Factors side by side; one where there are none."""
    if not factors:
        return Number(1)
    return factors[0] if len(factors) == 1 else Product("matrix", tuple(factors))
