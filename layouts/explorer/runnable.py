"""A formula in the signs of NumPy, such that NumPy itself runs it.

`σ′` needs no definition on paper, and a softmax none in JAX; NumPy has neither, nor a sigmoid. So
functions are spelt out in those that it has, products are written as `formulas.in_numpy` does, and
names are NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, pi, prod, sqrt

import numpy as np

from layouts.errors import LayoutError
from layouts.formulas.functions import BROADCASTING, ELEMENTWISE
from layouts.formulas.in_numpy import COLUMN, ROW, Part, UnknownInNumPy, part_in_numpy
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
from layouts.show.text import text

Shape = tuple[int, ...]

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
# What a function that NumPy lacks is, and what the derivative of one is.
_SPELT = {0: FUNCTIONS, 1: {**PRIMES, "gelu": _GELU_PRIME}}
# What NumPy calls the others: those that act entry by entry, that broadcast, and of whole arrays.
_NAMES = {
    **{name: f"np.{name}" for name in ELEMENTWISE if isinstance(getattr(np, name, None), np.ufunc)},
    **{name: f"np.{name}" for name in BROADCASTING if hasattr(np, name)},
    **{name: f"np.{name}" for name in ("sum", "mean", "var", "max", "min", "outer", "dot", "diag")},
    **{name: f"np.linalg.{name}" for name in ("norm", "det", "solve")},
    "ln": "np.log",
    "tr": "np.trace",
}
_KINDS = (
    *(Call, Compare, Identity, Indicator, Inverse, Name, Number, Ones, Power, Product, Quotient),
    *(Sum, Transpose, View),
)


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
        part = part_in_numpy(_spelt(formula, shape_of), shape_of)
        return text(_named(_shaped(part, shape_of(formula), shape)), "ascii")
    except (UnknownInNumPy, LayoutError):  # the latter of a part whose shape cannot be had
        return None


def _spelt(formula: Formula, shape_of: Callable[[Formula], Shape]) -> Formula:
    """The same by functions that NumPy has."""

    def again(part: Formula) -> Formula:
        return _spelt(part, shape_of)

    match formula:
        case Number(value) if isinstance(value, complex) or not isfinite(value):
            raise UnknownInNumPy
        case Product("kronecker") | Ones((_, _, *_)):
            raise UnknownInNumPy
        case Inverse(of) if not shape_of(of):
            return Quotient(Number(1), again(of))
        case Product("entrywise", parts) if any(not isinstance(p, Indicator) for p in parts):
            # A truth value times a number is a number.
            bare = (part.condition if isinstance(part, Indicator) else part for part in parts)
            return Product("entrywise", tuple(map(again, bare)))
        case Call(function, (of,), _, primes) if function in _SPELT.get(primes, {}):
            return again(_SPELT[primes][function].replaced({_Z: of}))
        case Call(primes=primes) if primes:
            raise UnknownInNumPy
        case Call("softmax" | "log_softmax" | "logsumexp" | "logdet"):
            return again(_in_parts(formula, shape_of))
        case Call("diag", (of,)) if 1 in shape_of(of)[1:]:  # a column is a vector on paper
            return Call("diag", (View(again(of), (":", "0")),))
    if not isinstance(formula, _KINDS):
        raise UnknownInNumPy
    return formula.rebuilt(again)


def _in_parts(call: Call, shape_of: Callable[[Formula], Shape]) -> Formula:
    """A function of whole arrays that NumPy lacks."""
    (of,) = call.operands
    if call.function == "logdet":
        return Call("log", (Call("abs", (Call("det", (of,)),)),))
    spread = Call("exp", (of,))
    if call.function == "logsumexp":
        return Call("log", (Call("sum", (spread,), call.options),))
    kept = (*call.options, ("keepdims", True)) if len(shape_of(of)) > 1 else ()
    if kept and not call.options:  # along the last axis
        kept = (("axis", -1), *kept)
    total = Call("sum", (spread,), kept)
    if call.function == "softmax":
        return Quotient(spread, total)
    return Sum((1, -1), (of, Call("log", (total,))))


def _shaped(part: Part, shape: Shape, wanted: Shape) -> Formula:
    """A result with the axes of size one that it is to have."""
    if part.kind in (COLUMN, ROW):
        shape = (prod(shape),)
    if shape == wanted:
        return part.formula
    entries, left = [], list(shape)
    for size in wanted:
        entries.append(":" if left[:1] == [size] else "None")
        if entries[-1] == ":":
            left.pop(0)
        elif size != 1:
            raise UnknownInNumPy
    if left:
        raise UnknownInNumPy
    return View(part.formula, tuple(entries))


def _named(formula: Formula) -> Formula:
    """The same with NumPy's names."""
    formula = formula.rebuilt(_named)
    match formula:
        case Call(function, operands, options):
            if function not in _NAMES:
                raise UnknownInNumPy
            return Call(_NAMES[function], operands, options)
        case Inverse(of):
            return Call("np.linalg.inv", (of,))
        case Indicator(condition):
            return Call("np.where", (condition, Number(1), Number(0)))
        case Ones((size,)):
            return Name(f"np.ones({size})")
        case Identity(size):
            return Name(f"np.eye({size})")
    return formula
