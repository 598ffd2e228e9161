"""What acts entry by entry: values and slopes in NumPy, for a function that is run many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Params = Mapping[str, Any]


def _power(x: Array, n: Any) -> Array:
    return x ** float(n) if n < 0 else x**n


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _share(x: Array, y: Array) -> Array:
    """The slope of the greater operand; of equal ones each has a half, as JAX has it."""
    return (x > y) + 0.5 * (x == y)


# For each primitive its value, of the parameters and the operands.
VALUES: Mapping[str, Callable[..., Array]] = {
    "add": lambda p, x, y: x + y,
    "add_any": lambda p, x, y: x + y,
    "sub": lambda p, x, y: x - y,
    "mul": lambda p, x, y: x * y,
    "div": lambda p, x, y: x / y,
    "max": lambda p, x, y: np.maximum(x, y),
    "min": lambda p, x, y: np.minimum(x, y),
    "pow": lambda p, x, y: x**y,
    "neg": lambda p, x: -x,
    "exp": lambda p, x: np.exp(x),
    "log": lambda p, x: np.log(x),
    "log1p": lambda p, x: np.log1p(x),
    "expm1": lambda p, x: np.expm1(x),
    "tanh": lambda p, x: np.tanh(x),
    "logistic": lambda p, x: _sigmoid(x),
    "sin": lambda p, x: np.sin(x),
    "cos": lambda p, x: np.cos(x),
    "sqrt": lambda p, x: np.sqrt(x),
    "rsqrt": lambda p, x: 1 / np.sqrt(x),
    "square": lambda p, x: x * x,
    "integer_pow": lambda p, x: _power(x, p["y"]),
    "abs": lambda p, x: np.abs(x),
    "sign": lambda p, x: np.sign(x),
    "copy": lambda p, x: x,
    "stop_gradient": lambda p, x: x,
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "gt": lambda p, x, y: x > y,
    "lt": lambda p, x, y: x < y,
    "ge": lambda p, x, y: x >= y,
    "le": lambda p, x, y: x <= y,
    "eq": lambda p, x, y: x == y,
    "ne": lambda p, x, y: x != y,
    "and": lambda p, x, y: x & y,
    "or": lambda p, x, y: x | y,
    "not": lambda p, x: ~x,
    "select_n": lambda p, which, *cases: np.choose(np.asarray(which, int), cases),
}

# And its slope by each operand, of the parameters, the value and the operands.
SLOPES: Mapping[str, Sequence[Callable[..., Any]]] = {
    "add": (lambda p, v, x, y: 1.0, lambda p, v, x, y: 1.0),
    "add_any": (lambda p, v, x, y: 1.0, lambda p, v, x, y: 1.0),
    "sub": (lambda p, v, x, y: 1.0, lambda p, v, x, y: -1.0),
    "mul": (lambda p, v, x, y: y, lambda p, v, x, y: x),
    "div": (lambda p, v, x, y: 1 / y, lambda p, v, x, y: -x / y**2),
    "max": (lambda p, v, x, y: _share(x, y), lambda p, v, x, y: _share(y, x)),
    "min": (lambda p, v, x, y: _share(y, x), lambda p, v, x, y: _share(x, y)),
    "pow": (lambda p, v, x, y: y * x ** (y - 1), lambda p, v, x, y: v * np.log(x)),
    "neg": (lambda p, v, x: -1.0,),
    "exp": (lambda p, v, x: v,),
    "log": (lambda p, v, x: 1 / x,),
    "log1p": (lambda p, v, x: 1 / (1 + x),),
    "expm1": (lambda p, v, x: v + 1,),
    "tanh": (lambda p, v, x: 1 - v**2,),
    "logistic": (lambda p, v, x: v * (1 - v),),
    "sin": (lambda p, v, x: np.cos(x),),
    "cos": (lambda p, v, x: -np.sin(x),),
    "sqrt": (lambda p, v, x: 0.5 / v,),
    "rsqrt": (lambda p, v, x: -0.5 * v**3,),
    "square": (lambda p, v, x: 2 * x,),
    "integer_pow": (lambda p, v, x: p["y"] * _power(x, p["y"] - 1),),
    "abs": (lambda p, v, x: np.sign(x),),
    "copy": (lambda p, v, x: 1.0,),
    "convert_element_type": (lambda p, v, x: 1.0,),
}


def slope(name: str, params: Params, place: int, value: Array, operands: Sequence[Array]) -> Any:
    """The slope of a primitive by one of its operands, entry by entry; a number where it is one.

    Args:
        name: the primitive's.
        params: its parameters.
        place: which operand.
        value: what it gives.
        operands: what it is given, of shapes that broadcast.

    Example:
        >>> float(slope("mul", {}, 0, np.array(6.0), [np.array(2.0), np.array(3.0)]))
        3.0
    """
    if name == "select_n":
        return (np.asarray(operands[0], int) == place - 1).astype(value.dtype)
    if name in ("stop_gradient", "sign"):
        return 0.0
    return SLOPES[name][place](params, value, *operands)
