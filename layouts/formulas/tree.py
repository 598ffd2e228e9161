"""A formula as a tree: the one form that text, LaTeX and MathML are lowered from, and parsed to.

The language is NumPy's, with what paper has beyond it. A formula means an array, or a number for
each value of its free index letters:

    Product("matrix", (W, Transpose(X)))                 W Xᵀ
    Sigma((j,), Product("matrix", (W[i,j], X[j,k])))     Σ_j W[i,j] X[j,k]

A vector is one-dimensional and stands as a column: its transpose is a row, so `x xᵀ` is a matrix
and `xᵀ x` a number; a product that does not fit so is NumPy's, `x W` a row times a matrix. Numbers
next to anything multiply it. Sums and entrywise products broadcast as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

Kind = Literal["matrix", "entrywise", "kronecker"]


@dataclass(frozen=True)
class Formula:
    """Any formula; the classes below are its kinds."""

    @property
    def parts(self) -> tuple[Formula, ...]:
        """The formulas that it is made of, from left to right."""
        found: list[Formula] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Formula):
                found.append(value)
            elif isinstance(value, tuple):
                found += [part for part in value if isinstance(part, Formula)]
        return tuple(found)

    def walk(self) -> Iterator[Formula]:
        """The formula and all within it, the outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def rebuilt(self, change: Callable[[Formula], Formula]) -> Formula:
        """The same formula of other parts: each replaced by what `change` makes of it."""
        new: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Formula):
                new[field.name] = change(value)
            elif isinstance(value, tuple):
                new[field.name] = tuple(change(p) if isinstance(p, Formula) else p for p in value)
        return replace(self, **new) if new else self

    def replaced(self, known: Mapping[Any, Formula]) -> Formula:
        """The formula with others in place of some of what is within it, the outermost first.

        Example:
            >>> x, y = Name("x"), Name("y")
            >>> Transpose(x).replaced({x: y})
            Transpose(of=Name(text='y'))
        """
        if self in known:
            return known[self]
        return self.rebuilt(lambda part: part.replaced(known))


@dataclass(frozen=True)
class Name(Formula):
    """An array by its name, such as `W`, `z1`, `params.w`."""

    text: str


@dataclass(frozen=True)
class Number(Formula):
    """A number."""

    value: complex | float | int


@dataclass(frozen=True)
class Letter(Formula):
    """An index such as `i`, which runs over `range(size)`; 0 is a size that is not known."""

    text: str
    size: int = 0


@dataclass(frozen=True)
class Digits(Formula):
    """An index made of several, the most significant first: `(i,j)` is `i * j.size + j`."""

    letters: tuple[Letter, ...]


@dataclass(frozen=True)
class Entry(Formula):
    """An entry of an array: `X[l,j]`, `T[i]`, `x[i+2]`. No indices: the number that a scalar is.

    An index is a letter, digits, a number, or a sum or entry made of these.
    """

    array: Formula
    indices: tuple[Formula, ...]


@dataclass(frozen=True)
class Delta(Formula):
    """One where two indices are equal, else zero: `δ[i,k]`, `δ[i+2,k]`, `δ[T[i],k]`."""

    left: Formula
    right: Formula


@dataclass(frozen=True)
class Sigma(Formula):
    """A sum over the values of letters: `Σ_j W[i,j] X[j,k]`."""

    letters: tuple[Letter, ...]
    body: Formula


@dataclass(frozen=True)
class Sum(Formula):
    """Terms times numbers: `a - 2 b`, a coefficient for each term."""

    coefficients: tuple[complex | float | int, ...]
    terms: tuple[Formula, ...]


@dataclass(frozen=True)
class Product(Formula):
    """Factors side by side, ⊙ or ⊗.

    `matrix` is the product of matrices and of numbers: `W Xᵀ`, `2 x`, `δ[i,k] X[l,j]`. Signs and
    numbers stand in a `Sum`'s coefficients where they can.
    """

    kind: Kind
    factors: tuple[Formula, ...]


@dataclass(frozen=True)
class Quotient(Formula):
    """One divided by the other, entry by entry."""

    above: Formula
    below: Formula


@dataclass(frozen=True)
class Power(Formula):
    """A power entry by entry: `x²`; of a number, the number's."""

    base: Formula
    exponent: Formula


@dataclass(frozen=True)
class Transpose(Formula):
    """`Xᵀ`: the axes in reverse; of a vector, a row."""

    of: Formula


@dataclass(frozen=True)
class Inverse(Formula):
    """`X⁻¹`, of a square matrix; under a Transpose `X⁻ᵀ`."""

    of: Formula


@dataclass(frozen=True)
class Call(Formula):
    """A function of operands: `tanh(z)`, `softmax(Z, axis=1)`, `diag(s)`, `vec(X)`, `tr(A)`.

    Attributes:
        function: its name; `diag` of a vector is a matrix, `tr`, `det`, `vec` are as on paper.
        operands: what it is applied to.
        options: keywords with their values, as `("axis", 1)`.
        primes: which derivative of an elementwise function it is: 1 for `σ′(z)`.
    """

    function: str
    operands: tuple[Formula, ...]
    options: tuple[tuple[str, object], ...] = ()
    primes: int = 0


@dataclass(frozen=True)
class View(Formula):
    """An array indexed as NumPy has it: `x[:, None]`, `X[1:, ::-1]`; the entries are texts."""

    of: Formula
    entries: tuple[str, ...]


@dataclass(frozen=True)
class Ones(Formula):
    """Ones, of one axis or two: `𝟏₅`, `𝟏(4×5)`."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Identity(Formula):
    """`I₄`."""

    size: int


@dataclass(frozen=True)
class Compare(Formula):
    """Whether `left > right`, entry by entry; sign is one of == != < <= > >=."""

    sign: str
    left: Formula
    right: Formula


@dataclass(frozen=True)
class Indicator(Formula):
    """One where a condition holds, else zero: `1[z > 0]`."""

    condition: Formula


@dataclass(frozen=True)
class Derivative(Formula):
    """`∂L/∂W`, or with entries `∂D[i,j]/∂W[k,l]`: an array like any other, by its name."""

    of: Formula
    by: Formula


@dataclass(frozen=True)
class Equation(Formula):
    """Formulas that are equal: `∂L/∂W = ∂L/∂D Xᵀ`."""

    sides: tuple[Formula, ...]
