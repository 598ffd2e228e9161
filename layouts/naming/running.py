"""Running sums and products, and products of all entries, with the derivatives on paper.

JAX differentiates a product by halves of halves, which says nothing; on paper the derivative by an
entry is the product of the others, row k of `where(a[:, None] == a, 1, x)` with `a = arange(5)`.
That holds where entries are zero too, as `prod(x) / x` does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn

Run = Callable[..., Sequence[Any]]


def running(equation: JaxprEqn) -> Run | None:
    """What to run in place of a running sum of two axes at most, or a running product of one."""
    aval: Any = equation.outvars[0].aval
    product = equation.primitive.name == "cumprod"
    if len(aval.shape) > 2 - product or not jnp.issubdtype(aval.dtype, jnp.floating):
        return None
    axis, reverse = equation.params["axis"], equation.params["reverse"]
    if product:
        return lambda x: [cumprod(reverse, x)]
    return lambda x: [cumsum(axis, reverse, x)]


def multiplied(equation: JaxprEqn) -> Run | None:
    """What to run in place of the product of all entries of a vector."""
    aval: Any = equation.invars[0].aval
    plain = len(aval.shape) == 1 == len(equation.params["axes"])
    return (lambda x: [prod(x)]) if plain and jnp.issubdtype(aval.dtype, jnp.floating) else None


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def cumsum(axis: int, reverse: bool, x: jax.Array) -> jax.Array:
    """The running sum along an axis, whose differential is a triangle of ones times dx."""
    return jax.lax.cumsum(x, axis=axis, reverse=reverse)


@cumsum.defjvp
def _cumsum_jvp(axis: int, reverse: bool, primals: Any, tangents: Any) -> Any:
    (x,), (tangent,) = primals, tangents
    known = _before(x.shape[axis], reverse, x.dtype)
    summed = known @ tangent if axis == 0 else tangent @ known.T
    return cumsum(axis, reverse, x), summed


def _before(size: int, reverse: bool, dtype: Any) -> jax.Array:
    """In row k ones for the entries up to the k-th, or from there on."""
    ones = jnp.ones((size,) * 2, dtype)
    return jnp.triu(ones) if reverse else jnp.tril(ones)


def _others(x: jax.Array) -> jax.Array:
    """In row k the entries, with one for the k-th."""
    return jnp.where(jnp.eye(x.shape[0], dtype=bool), jnp.ones((), x.dtype), x)


@jax.custom_jvp
def prod(x: jax.Array) -> jax.Array:
    """The product of a vector's entries; by each of them the product of the others."""
    return jnp.prod(x)


@prod.defjvp
def _prod_jvp(primals: Any, tangents: Any) -> Any:
    return prod(*primals), jnp.prod(_others(*primals), axis=1) @ tangents[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def cumprod(reverse: bool, x: jax.Array) -> jax.Array:
    """The running products of a vector; by each entry those of the others, from there on."""
    return jax.lax.cumprod(x, reverse=reverse)


@cumprod.defjvp
def _cumprod_jvp(reverse: bool, primals: Any, tangents: Any) -> Any:
    (x,) = primals
    slopes = (
        _before(x.shape[0], reverse, x.dtype)
        * jax.lax.cumprod(_others(x), axis=1, reverse=reverse).T
    )
    return cumprod(reverse, x), slopes @ tangents[0]
