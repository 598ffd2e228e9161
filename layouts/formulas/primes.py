"""What `σ′(z)` and its kin are, each once."""

from __future__ import annotations

from collections.abc import Iterable
from math import pi, sqrt

from layouts.formulas.tree import (
    Call,
    Compare,
    Equation,
    Formula,
    Indicator,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
)

_Z = Name("z")
_ONE = Number(1)


def _call(function: str, primes: int = 0) -> Call:
    return Call(function, (_Z,), (), primes)


def _times(*factors: Formula) -> Product:
    return Product("entrywise", factors)


def _less(one: Formula, other: Formula) -> Sum:
    return Sum((1, -1), (one, other))


PRIMES: dict[str, Formula] = {
    "tanh": _less(_ONE, Power(_call("tanh"), Number(2))),
    "sigmoid": _times(_call("sigmoid"), _less(_ONE, _call("sigmoid"))),
    "relu": Indicator(Compare(">", _Z, Number(0))),
    "softplus": _call("sigmoid"),
    "elu": Call("where", (Compare(">", _Z, Number(0)), _ONE, _call("exp"))),
    "silu": Sum(
        (1, 1), (_call("sigmoid"), _times(_Z, _call("sigmoid"), _less(_ONE, _call("sigmoid"))))
    ),
}

FUNCTIONS: dict[str, Formula] = {
    "sigmoid": Quotient(_ONE, Sum((1, 1), (_ONE, Call("exp", (Sum((-1,), (_Z,)),))))),
    "silu": _times(_Z, _call("sigmoid")),
    "relu": Call("maximum", (_Z, Number(0))),
    "softplus": Call("log", (Sum((1, 1), (_ONE, _call("exp"))),)),
    "gelu": Sum(
        (0.5,),
        (
            _times(
                _Z,
                Sum(
                    (1, 1),
                    (
                        _ONE,
                        Call(
                            "tanh",
                            (
                                Sum(
                                    (sqrt(2 / pi), 0.044715 * sqrt(2 / pi)),
                                    (_Z, Power(_Z, Number(3))),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
    "elu": Call("where", (Compare(">", _Z, Number(0)), _Z, Sum((1, -1), (_call("exp"), _ONE)))),
}


# A step with one half where it rises.
_STEP = Sum(
    (1, 0.5),
    (
        Indicator(Compare(">", _Z, Number(0))),
        Indicator(Compare("==", _Z, Number(0))),
    ),
)


def definitions_of(formulas: Iterable[Formula]) -> list[Equation]:
    """What the derivatives of functions, and functions with letters for names, stand for.

    Example:
        >>> [equation.sides[0].primes for equation in definitions_of([_call("tanh", 1)])]
        [1]
    """
    used = {
        (part.function, part.primes)
        for formula in formulas
        for part in formula.walk()
        if isinstance(part, Call)
    }
    found = []
    for function, primes in sorted(used):
        body = PRIMES.get(function) if primes == 1 else None
        if body is not None:
            found.append(Equation((_call(function, 1), body)))
            used |= {(p.function, p.primes) for p in body.walk() if isinstance(p, Call)}
        elif primes and function in FUNCTIONS:  # too long to write: the function says it
            found.append(Equation((_call(function), FUNCTIONS[function])))
    if ("heaviside", 0) in used:
        found.append(Equation((Call("heaviside", (_Z, Number(0.5))), _STEP)))
    if ("sigmoid", 0) in used or ("sigmoid", 1) in used:
        found.append(Equation((_call("sigmoid"), FUNCTIONS["sigmoid"])))
    return found
