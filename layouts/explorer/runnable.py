"""A formula in the signs of NumPy, such that NumPy itself runs it.

On paper a vector is a column, `x xᵀ` a matrix, and `σ′` needs no definition. NumPy has arrays of
one axis, `np.outer`, and neither a sigmoid nor primes. So each part is written anew, with what it
is: a number, a column, a row, a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import isfinite, pi, prod, sqrt

import numpy as np

from layouts.errors import LayoutError
from layouts.formulas.functions import BROADCASTING, ELEMENTWISE
from layouts.formulas.primes import FUNCTIONS, PRIMES
from layouts.formulas.tree import (
    Call,
    Compare,
    Formula,
    Identity,
    Indicator,
    Inverse,
    Name,
    Number,
    Ones,
    Power,
    Product,
    Quotient,
    Sum,
    Transpose,
    View,
)
from layouts.show.symbols import is_negative, number_text
from layouts.show.text import text

Shape = tuple[int, ...]
NUMBER, COLUMN, ROW, MATRIX = "number", "column", "row", "matrix"
_BY_RANK = {0: NUMBER, 1: COLUMN, 2: MATRIX}

_Z = Name("z")
_CUBIC = Sum((1, 0.044715), (_Z, Power(_Z, Number(3))))
_TANH = Call("tanh", (Sum((sqrt(2 / pi),), (_CUBIC,)),))
_SLOPE = Sum((sqrt(2 / pi), 3 * 0.044715 * sqrt(2 / pi)), (Number(1), Power(_Z, Number(2))))
_GELU_PRIME = Sum(
    (0.5, 0.5, 0.5),
    (
        Number(1),
        _TANH,
        Product("entrywise", (_Z, Sum((1, -1), (Number(1), Power(_TANH, Number(2)))), _SLOPE)),
    ),
)
# NumPy's names of functions that act entry by entry, of those that broadcast, and of others.
_ENTRYWISE = {n: f"np.{n}" for n in ELEMENTWISE if isinstance(getattr(np, n, None), np.ufunc)}
_ENTRYWISE |= {"ln": "np.log"}
_BROADCAST = {n: f"np.{n}" for n in BROADCASTING if hasattr(np, n)}
_WHOLE = {
    **{name: f"np.{name}" for name in ("sum", "mean", "var", "max", "min", "outer", "dot", "diag")},
    **{name: f"np.linalg.{name}" for name in ("norm", "det", "solve")},
    "tr": "np.trace",
}


class _NotInNumPy(Exception):
    """A part of a formula has no form in NumPy, or none that is known here."""


@dataclass(frozen=True)
class _Written:
    """A part as NumPy has it.

    Attributes:
        formula: whose text NumPy reads.
        form: what it is on paper; a row and a column are both one-dimensional in NumPy.
    """

    formula: Formula
    form: str


def runnable(formula: Formula, shape: Shape, shape_of: Callable[[Formula], Shape]) -> str | None:
    """The text of a formula that NumPy runs, with `np` for its name.

    Args:
        formula: of named arrays; matrices, vectors and numbers.
        shape: what the result is to have: `b` of shape (4, 1) has such a gradient.
        shape_of: the shape of a formula, a vector's being of one axis.

    Returns:
        None where a part has no form in NumPy: an index, a function that it lacks.

    Example:
        >>> from layouts.formulas.parsing import parse
        >>> shapes = {"g": (4,), "W": (4, 3), "x": (3,)}
        >>> import jax, layouts.formulas.evaluating as evaluating
        >>> arrays = {n: jax.ShapeDtypeStruct(s, "float32") for n, s in shapes.items()}
        >>> def shape_of(part):
        ...     return jax.eval_shape(lambda a: evaluating.evaluate(part, a), arrays).shape
        >>> runnable(parse("(g * tanh'(W @ x)) @ x.T"), (4, 3), shape_of)
        'np.outer(g * (1 - np.tanh(W @ x)**2), x)'
    """
    try:
        found = _Writer(shape_of).written(formula)
        return text(_shaped(found, shape_of(formula), shape), "ascii")
    except (_NotInNumPy, LayoutError):  # the latter of a part whose shape cannot be had
        return None


def _shaped(part: _Written, shape: Shape, wanted: Shape) -> Formula:
    """A result with the axes of size one that it is to have."""
    if part.form in (COLUMN, ROW):
        shape = (prod(shape),)
    if shape == wanted:
        return part.formula
    entries, left = [], list(shape)
    for size in wanted:
        entries.append(":" if left[:1] == [size] else "None")
        if entries[-1] == ":":
            left.pop(0)
        elif size != 1:
            raise _NotInNumPy
    if left:
        raise _NotInNumPy
    return View(part.formula, tuple(entries))


class _Writer:
    """Writes a formula from the inside out."""

    def __init__(self, shape_of: Callable[[Formula], Shape]):
        self.shape_of = shape_of

    def written(self, part: Formula) -> _Written:
        """A part of any kind."""
        match part:
            case Number(value):
                return _Written(_exact(value), NUMBER)
            case Name():
                return _Written(part, self._form(part))
            case Transpose(of):
                return _transposed(self.written(of))
            case Inverse(of):
                inner = self.written(of)
                if inner.form == NUMBER:
                    return _Written(Quotient(Number(1), inner.formula), NUMBER)
                return _Written(Call("np.linalg.inv", (inner.formula,)), inner.form)
            case Sum(coefficients, terms) if any(map(_is_long, coefficients)):
                return self._entrywise(_spread(coefficients, terms))
            case Sum() | Quotient() | Power() | Compare() | Product(kind="entrywise"):
                return self._entrywise(part)
            case Indicator(condition):
                inner = self.written(condition)
                ends = (inner.formula, Number(1), Number(0))
                return _Written(Call("np.where", ends), inner.form)
            case Product(kind="matrix", factors=factors):
                return self._product(factors)
            case Call():
                return self._call(part)
            case Ones((size,)):
                return _Written(Name(f"np.ones({size})"), COLUMN)
            case Identity(size):
                return _Written(Name(f"np.eye({size})"), MATRIX)
            case View(of, entries):
                inner = self.written(of)
                if inner.form != ROW:
                    return _Written(View(inner.formula, entries), self._form(part))
        raise _NotInNumPy

    def _form(self, part: Formula) -> str:
        rank = len(self.shape_of(part))
        if rank not in _BY_RANK:
            raise _NotInNumPy
        return _BY_RANK[rank]

    def _entrywise(self, part: Formula) -> _Written:
        """What broadcasts: NumPy does as paper does, as long as rows and columns do not meet."""
        parts = [self.written(inner) for inner in part.parts]
        masks = [n for n, inner in enumerate(parts) if _is_mask(inner.formula)]
        if isinstance(part, Product) and len(masks) < len(parts):
            for n in masks:  # a truth value times a number is a number
                parts[n] = _Written(parts[n].formula.parts[0], parts[n].form)
        rest = iter([inner.formula for inner in parts])
        return _Written(part.rebuilt(lambda _: next(rest)), _widest(parts))

    def _product(self, factors: Sequence[Formula]) -> _Written:
        """Numbers first, then rows times columns, which are numbers too, then from the left."""
        parts = [self.written(factor) for factor in factors]
        numbers = [part for part in parts if part.form == NUMBER]
        chain = [part for part in parts if part.form != NUMBER]
        place = 0
        while place + 1 < len(chain):
            if (chain[place].form, chain[place + 1].form) == (ROW, COLUMN) and len(chain) > 2:
                numbers.append(_multiplied(chain[place], chain[place + 1]))
                del chain[place : place + 2]
            else:
                place += 1
        whole = [reduce(_multiplied, chain)] if chain else []
        if not parts:
            return _Written(Number(1), NUMBER)
        if not numbers:
            return whole[0]
        scaled = (*(number.formula for number in numbers), *(part.formula for part in whole))
        return _Written(Product("entrywise", scaled), whole[0].form if whole else NUMBER)

    def _call(self, part: Call) -> _Written:
        name, options = part.function, part.options
        if part.primes or name in FUNCTIONS:
            return self._spelled(part)
        if name in ("softmax", "log_softmax", "logsumexp", "logdet"):
            return self._in_parts(part)
        known = _ENTRYWISE | _BROADCAST | _WHOLE
        parts = [self.written(operand) for operand in part.operands]
        if name not in known:
            raise _NotInNumPy
        if name == "diag" and 1 in self.shape_of(part.operands[0])[1:]:
            parts = [_Written(View(parts[0].formula, (":", "0")), COLUMN)]  # on paper a vector
        found = Call(known[name], tuple(inner.formula for inner in parts), options)
        if name not in _WHOLE:
            return _Written(found, _widest(parts))
        if any(inner.form == ROW for inner in parts):  # axes of a row are counted otherwise
            raise _NotInNumPy
        return _Written(found, self._form(part))

    def _spelled(self, part: Call) -> _Written:
        """A function that NumPy lacks, or a derivative, by what it is."""
        slopes = {**PRIMES, "gelu": _GELU_PRIME}
        known = {0: FUNCTIONS, 1: slopes}.get(part.primes, {})
        if part.function not in known or len(part.operands) != 1:
            raise _NotInNumPy
        return self.written(known[part.function].replaced({_Z: part.operands[0]}))

    def _in_parts(self, part: Call) -> _Written:
        """Functions of whole arrays that NumPy lacks."""
        (of,) = part.operands
        if part.function == "logdet":
            return self.written(Call("log", (Call("abs", (Call("det", (of,)),)),)))
        spread = Call("exp", (of,))
        if part.function == "logsumexp":
            return self.written(Call("log", (Call("sum", (spread,), part.options),)))
        kept = (*part.options, ("keepdims", True)) if len(self.shape_of(of)) > 1 else ()
        if kept and not part.options:  # along the last axis
            kept = (("axis", -1), *kept)
        total = Call("sum", (spread,), kept)
        if part.function == "softmax":
            return self.written(Quotient(spread, total))
        return self.written(Sum((1, -1), (of, Call("log", (total,)))))


def _is_long(number: complex | float | int) -> bool:
    """Whether a number is printed with fewer digits than it has."""
    if isinstance(number, complex) or not isfinite(number):
        raise _NotInNumPy
    return float(Fraction(number_text(number))) != number


def _exact(number: complex | float | int) -> Formula:
    return Name(repr(number)) if _is_long(number) else Number(number)


def _spread(coefficients: Sequence[complex | float | int], terms: Sequence[Formula]) -> Sum:
    """The same sum with the long numbers among the factors, where no digit is left out."""
    pairs = [
        (-1 if is_negative(n) else 1, Product("entrywise", (Number(abs(n)), term)))
        if _is_long(n)
        else (n, term)
        for n, term in zip(coefficients, terms, strict=True)
    ]
    return Sum(*zip(*pairs, strict=True))


def _is_mask(formula: Formula) -> bool:
    """Whether it is one where something holds, else zero."""
    ends = (Number(1), Number(0))
    return (
        isinstance(formula, Call) and formula.function == "np.where" and formula.parts[1:] == ends
    )


def _transposed(part: _Written) -> _Written:
    if part.form == MATRIX:
        return _Written(Transpose(part.formula), MATRIX)
    return _Written(part.formula, {ROW: COLUMN, COLUMN: ROW}.get(part.form, part.form))


def _widest(parts: Sequence[_Written]) -> str:
    """The form of what broadcasts."""
    forms = {part.form for part in parts} - {NUMBER}
    if MATRIX in forms:
        return MATRIX
    if len(forms) > 1:
        raise _NotInNumPy
    return forms.pop() if forms else NUMBER


def _multiplied(left: _Written, right: _Written) -> _Written:
    """The product of two, neither of them a number unless it has become one."""
    if NUMBER in (left.form, right.form):
        form = right.form if left.form == NUMBER else left.form
        return _Written(Product("entrywise", (left.formula, right.formula)), form)
    pair = (left.form, right.form)
    if pair == (COLUMN, ROW):
        return _Written(Call("np.outer", (left.formula, right.formula)), MATRIX)
    forms = {(MATRIX, MATRIX): MATRIX, (MATRIX, COLUMN): COLUMN, (COLUMN, MATRIX): COLUMN}
    forms |= {(ROW, MATRIX): ROW, (ROW, COLUMN): NUMBER, (COLUMN, COLUMN): NUMBER}
    if pair not in forms:
        raise _NotInNumPy
    return _Written(Product("matrix", (left.formula, right.formula)), forms[pair])
