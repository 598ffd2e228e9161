"""The functions that a formula may call, and the derivatives of those that act entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError
from layouts.expressions.functions import FUNCTIONS
from layouts.expressions.grammar import guess
from layouts.formulas.windows import argmaxpool, conv, maxpool


def _vec(array: Any, order: str = "columns") -> jax.Array:
    """The columns of a matrix, or its rows, one below the other."""
    if order not in ("columns", "rows"):
        raise LayoutError("vec", "order='columns' or 'rows'", repr(order), "leave it out: columns")
    return jnp.reshape(jnp.transpose(array) if order == "columns" else array, (-1,))


def _diag(array: Any) -> jax.Array:
    """The diagonal matrix of a vector, a column or a row; the diagonal of any other matrix."""
    thin = np.ndim(array) == 2 and 1 in np.shape(array)
    return jnp.diag(jnp.reshape(array, (-1,)) if thin else array)


def _kron(left: Any, right: Any) -> jax.Array:
    """The Kronecker product; a vector beside a matrix stands as a column."""
    if {np.ndim(left), np.ndim(right)} == {1, 2}:
        left, right = (jnp.reshape(a, (-1, 1)) if np.ndim(a) == 1 else a for a in (left, right))
    return jnp.kron(left, right)


def _commutation(rows: int, cols: int) -> jax.Array:
    """The permutation K with `K vec(A) = vec(Aᵀ)` for A of so many rows and columns.

    Magnus and Neudecker, Matrix Differential Calculus, section 3.7.
    """
    whole = all(isinstance(size, int) and size > 0 for size in (rows, cols))
    if not whole or rows * cols > MOST_COMMUTED:
        expected = f"two whole sizes with a product up to {MOST_COMMUTED:,}"
        raise LayoutError("commutation matrix", expected, f"{rows}, {cols}", "write K(3,5)")
    order = jnp.arange(rows * cols).reshape(cols, rows).T.reshape(-1)
    return jnp.eye(rows * cols)[order]


def _cumulative(name: str) -> Callable[..., jax.Array]:
    """A cumulative function along an axis, from its end where reversed."""

    def call(array: Any, axis: int = 0, reverse: bool = False) -> jax.Array:
        array = jnp.asarray(array)
        return getattr(jax.lax, name)(array, axis=axis % array.ndim, reverse=reverse)

    return call


MOST_COMMUTED = 10**6
_LISTED = ("relu", "tanh", "sigmoid", "gelu", "softplus", "exp", "log", "ln", "sqrt", "square")
_OF_NUMPY = (
    *("tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh", "arccosh", "arctanh"),
    *("exp2", "expm1", "log1p", "log2", "log10", "cbrt", "reciprocal", "negative", "sign"),
    *("ceil", "floor", "isfinite", "real", "imag", "conj", "logical_not"),
)
_WHOLE_OF_NUMPY = (
    *(
        "prod",
        "any",
        "all",
        "argmax",
        "argmin",
        "reshape",
        "broadcast_to",
        "pad",
        "transpose",
        "expand_dims",
    ),
    *(
        "squeeze",
        "triu",
        "tril",
        "arange",
        "eye",
        "outer",
        "dot",
        "take",
        "take_along_axis",
        "argsort",
        "tile",
    ),
)
# Functions of one operand that act entry by entry: these have derivatives such as tanh′.
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    **{name: FUNCTIONS[name].call for name in (*_LISTED, "abs", "sin", "cos")},
    **{name: getattr(jax.nn, name) for name in ("silu", "elu", "relu6", "selu", "log_sigmoid")},
    **{name: getattr(jnp, name) for name in _OF_NUMPY},
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    "rsqrt": jax.lax.rsqrt,
    "lgamma": jax.scipy.special.gammaln,
    "digamma": jax.scipy.special.digamma,
    "int": lambda array: jnp.asarray(array).astype(int),
}
# Functions of several operands that act entry by entry, and broadcast.
BROADCASTING: dict[str, Callable[..., Any]] = {
    "atan2": jnp.arctan2,
    **{name: getattr(jnp, name) for name in ("maximum", "minimum", "where", "power", "clip")},
    "heaviside": jnp.heaviside,
    **{name: getattr(jnp, name) for name in ("arctan2", "logical_and", "logical_or")},
}
# Functions of whole arrays.
WHOLE: dict[str, Callable[..., Any]] = {
    **{n: f.call for n, f in FUNCTIONS.items() if n not in ELEMENTWISE | BROADCASTING},
    **{name: getattr(jnp, name) for name in _WHOLE_OF_NUMPY},
    **{name: _cumulative(name) for name in ("cumsum", "cumprod", "cummax", "cummin")},
    "array": lambda *arrays: jnp.stack(jnp.broadcast_arrays(*arrays)),
    "concat": lambda *arrays, axis=0: jnp.concatenate(arrays, axis),
    "sort": jnp.sort,
    "stack": lambda *arrays, axis=0: jnp.stack(arrays, axis),
    "cholesky": jnp.linalg.cholesky,
    "eigvalsh": jnp.linalg.eigvalsh,
    "eigvecs": lambda array, **options: jnp.linalg.eigh(array, **options)[1],
    "svdleft": lambda array: jnp.linalg.svd(array, full_matrices=False)[0],
    "svdright": lambda array: jnp.linalg.svd(array, full_matrices=False)[2].T,
    "svdvals": lambda array: jnp.linalg.svd(array, compute_uv=False),
    "commutation": _commutation,
    "argmaxpool": argmaxpool,
    "conv": conv,
    "maxpool": maxpool,
    "diag": _diag,
    "kron": _kron,
    "one_hot": lambda table, size: jax.nn.one_hot(table, int(size)),
    "vec": _vec,
    "ones": lambda *sizes: jnp.ones(sizes),
    "zeros": lambda *sizes: jnp.zeros(sizes),
}
# Those whose result may be larger than what they are given.
ENLARGING = {
    *("tile", "arange", "eye", "ones", "zeros", "broadcast_to", "pad", "kron", "outer", "diag"),
    "commutation",
    "one_hot",
}
KNOWN = ELEMENTWISE | BROADCASTING | WHOLE


def function(name: str, primes: int = 0) -> Callable[..., Any]:
    """What a name in a formula calls.

    Args:
        name: as written, such as `tanh`.
        primes: the order of the derivative, of a function that acts entry by entry.

    Raises:
        LayoutError: if no such function is listed, or it has no derivative entry by entry.

    Example:
        >>> print(f"{function('sigmoid', primes=1)(0.0):.2f}")
        0.25
    """
    if name not in KNOWN:
        remedy = guess(name, KNOWN) or f"choose from {', '.join(sorted(KNOWN))}"
        raise LayoutError(f"function {name}", "a listed function", repr(name), remedy)
    if primes and name not in ELEMENTWISE:
        remedy = "a prime is the derivative of a function of one number: tanh'(x)"
        raise LayoutError(f"{name}′", "a function that acts entry by entry", name, remedy)
    return _slope(ELEMENTWISE[name], primes) if primes else KNOWN[name]


def _slope(call: Callable[..., Any], primes: int) -> Callable[..., Any]:
    """The derivative of a function of a number, entry by entry."""

    def slope(array: Any) -> jax.Array:
        array = jnp.asarray(array)
        if not jnp.issubdtype(array.dtype, jnp.inexact):
            array = array.astype(float)
        derivative = call
        for _ in range(primes):
            derivative = jax.grad(derivative, holomorphic=jnp.iscomplexobj(array))
        return jnp.vectorize(derivative)(array)

    return slope
