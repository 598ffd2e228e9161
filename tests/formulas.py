"""Reads the formulas that `layouts` prints and evaluates them: the oracle of everything printed."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.formulas.evaluating import evaluate
from layouts.formulas.parsing import parse
from layouts.formulas.tree import Equation, Letter, Number

Arrays = Mapping[str, np.ndarray]

POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
GELU_SLOPE = jnp.vectorize(jax.grad(jax.nn.gelu))
SILU_SLOPE = jnp.vectorize(jax.grad(jax.nn.silu))
ELU_SLOPE = jnp.vectorize(jax.grad(jax.nn.elu))


class _Indicator:
    def __getitem__(self, condition: Any) -> Any:
        return jnp.where(condition, 1.0, 0.0)


_FUNCTIONS = {
    **{name: getattr(jnp, name) for name in dir(jnp) if not name.startswith("_")},
    **{
        name: getattr(jax.nn, name)
        for name in ("relu", "sigmoid", "softmax", "gelu", "silu", "logsumexp", "log_softmax")
    },
    **{name: getattr(jnp.linalg, name) for name in ("det", "inv", "norm")},
    "logdet": lambda A: jnp.linalg.slogdet(A).logabsdet,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    **{name: getattr(jax.lax, name) for name in ("erf", "erfc", "cummax", "cummin")},
    "gelu_slope": GELU_SLOPE,
    "silu_slope": SILU_SLOPE,
    "elu_slope": ELU_SLOPE,
    "indicator": _Indicator(),
}


def expression(text: str, arrays: Arrays) -> np.ndarray:
    """The value of a definition such as `1[W @ X + b > 0]`."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda match: "**" + match[0].translate(POWERS), text)
    text = re.sub(r"(?<![A-Za-z0-9_])1\[", "indicator[", text)
    text = text.replace("ᵀ", ".T").replace("′", "_slope")
    with jax.numpy_rank_promotion("allow"):
        return np.asarray(eval(text, {**_FUNCTIONS, **arrays}))


def letters(definitions: Any, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of all letters; the parts that they are written with come last in the list."""
    known = dict(arrays)
    parts = [d for d in definitions if re.fullmatch("z[0-9]+", d.name)]
    for definition in [*parts, *(d for d in definitions if d not in parts)]:
        value = expression(definition.text, known)
        known[definition.name] = value.reshape(definition.shape)
    return known


def indexed(
    formula: str, arrays: Arrays, shape: tuple[int, ...], digits: tuple[int, ...] = ()
) -> np.ndarray:
    """The array of `dD[i,j]/dW[k,l] = δ[i,k] X[l,j]`, its axes those of the left side in order.

    `digits` are the sizes of the letters where an axis has several: `dD[(i,j)]`.
    """
    equation = parse(formula)
    assert isinstance(equation, Equation)
    head = [part for part in equation.sides[0].walk() if isinstance(part, Letter | Number)]
    sizes = zip(head, digits or shape, strict=bool(head))
    letters = [Letter(index.text, size) for index, size in sizes if isinstance(index, Letter)]
    return _in_shape(evaluate(equation, arrays, letters), shape)


def matrices(formula: str, arrays: Arrays, shape: tuple[int, ...]) -> np.ndarray:
    """The array of `∂L/∂W = (∂L/∂D ⊙ A) Xᵀ`, or the matrix of `diag(vec(A)) (I₄ ⊗ Xᵀ)`."""
    return _in_shape(evaluate(parse(formula), arrays), shape)


def _in_shape(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A formula knows no axes of size one; a number alone is each entry."""
    array = np.asarray(value)
    return np.broadcast_to(array, shape) if array.ndim == 0 else array.reshape(shape)
