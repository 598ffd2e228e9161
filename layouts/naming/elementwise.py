"""Primitives that act entry by entry, as expressions."""

import jax.numpy as jnp
import numpy as np

from layouts.naming.step import CARRIED, Step, Writer
from layouts.show.patterns import diagonal, logarithm, root, stepped
from layouts.show.value import Value, is_call


def _function(name: str) -> Writer:
    """An elementwise function."""
    return lambda step: step.values.map(name, *step.operands)


def _same(step: Step) -> Value:
    return step.operands[0]


def _sum(*coefficients: int) -> Writer:
    return lambda step: step.values.add(zip(coefficients, step.operands, strict=True))


def _product(*exponents: int) -> Writer:
    return lambda step: step.values.multiply(zip(step.operands, exponents, strict=True))


def _comparison(sign: str) -> Writer:
    return lambda step: step.values.compare(sign, *step.operands)


def _given(step: Step) -> Value:
    """A value that `jax.ad_checkpoint.checkpoint_name` names; what a loop carries stays whole."""
    (value,) = step.operands
    if step.params["name"] == CARRIED:
        return step.values.make("map", (value,), (CARRIED,))
    if value.head not in ("name", "number"):
        step.values.given.setdefault(value, step.params["name"])
    return value


def _absolute(step: Step) -> Value:
    if jnp.issubdtype(step.kind(), jnp.complexfloating):  # exp(i x) is not its own size
        return step.values.make("map", step.operands, ("abs",))
    return step.values.map("abs", *step.operands)


def _root(step: Step) -> Value:
    (value,) = step.operands
    if jnp.issubdtype(step.kind(), jnp.complexfloating):  # the root of Σ z² is no norm
        return step.values.make("map", (value,), ("sqrt",))
    return root(step.values, value)


def _one_minus_square(step: Step) -> Value:
    one, square = step.values.number(1), step.values.multiply([(step.operands[0], 2)])
    return step.values.add([(1, one), (-1, square)])


def _inverse_root(step: Step) -> Value:
    return step.values.multiply([(_root(step), -1)])


def _maximum(step: Step) -> Value:
    left, right = step.operands
    for one, other in ((left, right), (right, left)):
        if one is step.values.number(-np.inf):
            return other
        if one is step.values.number(0):
            return step.values.map("relu", other)
    return step.values.map("maximum", *step.operands)


def _power(step: Step) -> Value:
    base, exponent = step.operands
    number = exponent.detail[0] if exponent.head == "number" else None
    if isinstance(number, int):
        return step.values.multiply([(base, number)])
    return step.values.map("power", *step.operands)


def _convert(step: Step) -> Value:
    """A change of precision is not written; truth values become ones and zeros."""
    old, new = step.kind(), step.params["new_dtype"]
    (value,) = step.operands
    if old == new:
        return value
    if old == jnp.bool_:
        return step.values.indicator(value)
    if new == jnp.bool_:
        return step.values.compare("!=", value, step.values.number(0))
    if jnp.issubdtype(new, jnp.complexfloating) or jnp.issubdtype(old, jnp.integer):
        return value
    if jnp.issubdtype(old, jnp.floating) and jnp.issubdtype(new, jnp.floating):
        return value
    return step.values.map("real" if jnp.issubdtype(new, jnp.floating) else "int", value)


def _select(step: Step) -> Value:
    if step.kind() != jnp.bool_:
        return step.values.unknown("select_n", step.full, [step.shape])[0]
    which, otherwise, where = step.operands
    if where is otherwise or which.detail == ("True",):
        return where
    if which.detail == ("False",):
        return otherwise
    truths = [value.detail for value in (where, otherwise)]
    if truths == [("True",), ("False",)]:
        return which
    guarded = which.head == "compare" and which.detail == ("!=",)
    if guarded and which.operands[0] is which.operands[1] and is_call(otherwise, "softplus"):
        return otherwise  # it guards against infinities
    finite = which.head == "map" and which.detail == ("isfinite",)
    if finite and which.operands == (where,) and otherwise is step.values.number(0):
        return where
    numbers = [v.detail[0] for v in (where, otherwise) if v.head == "number"]
    if numbers in ([1, 0], [0, 1]):
        if numbers == [0, 1]:
            which = step.values.map("logical_not", which)
        return step.values.indicator(which)
    chosen = step.values.map("where", which, where, otherwise)
    return stepped(step.values, diagonal(step.values, chosen))


def _clamp(step: Step) -> Value:
    """`clip(x, low, high)`."""
    low, x, high = step.operands
    return step.values.map("clip", x, low, high)


ELEMENTWISE: dict[str, Writer] = {
    **{name: _function(name) for name in ("atan2", "ceil", "cos", "cosh", "erf", "exp")},
    **{name: _function(name) for name in ("expm1", "floor", "log1p", "sign", "sin")},
    **{name: _function(name) for name in ("sinh", "tan", "tanh", "real", "imag")},
    **{name: _function(name) for name in ("cbrt", "digamma", "erfc", "exp2", "lgamma")},
    **{f"a{name}": _function(f"arc{name}") for name in ("cos", "cosh", "sin", "sinh", "tan")},
    "atanh": _function("arctanh"),
    "abs": _absolute,
    "add": _sum(1, 1),
    "add_any": _sum(1, 1),
    "and": _function("logical_and"),
    "clamp": _clamp,
    "conj": _function("conj"),
    "convert_element_type": _convert,
    "copy": _same,
    "copy_p": _same,
    "div": _product(1, -1),
    "eq": _comparison("=="),
    "ge": _comparison(">="),
    "gt": _comparison(">"),
    "integer_pow": lambda step: step.values.multiply([(step.operands[0], step.params["y"])]),
    "is_finite": _function("isfinite"),
    "le": _comparison("<="),
    "logistic": _function("sigmoid"),
    "log": lambda step: logarithm(step.values, *step.operands),
    "lt": _comparison("<"),
    "max": _maximum,
    "min": _function("minimum"),
    "mul": _product(1, 1),
    "name": _given,
    "ne": _comparison("!="),
    "neg": _sum(-1),
    "not": _function("logical_not"),
    "one_minus_square": _one_minus_square,
    "or": _function("logical_or"),
    "pow": _power,
    "reduce_precision": _same,
    "rsqrt": _inverse_root,
    "select_n": _select,
    "sqrt": _root,
    "square": lambda step: step.values.multiply([(step.operands[0], 2)]),
    "stop_gradient": _same,
    "sub": _sum(1, -1),
}
