"""Triangles and what is solved with them, with the derivatives on paper.

JAX differentiates a triangular solve by another, and a Cholesky factor by two; people write the
inverse of the triangle, and `dL = L Φ(L⁻¹ dS L⁻ᵀ)`, where Φ keeps the lower half and half of the
diagonal.

Source of the formula: I. Murray, Differentiation of the Cholesky decomposition, 2016, equation 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn

Run = Callable[..., Sequence[Any]]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def triangle(half: Callable, X: jax.Array) -> jax.Array:
    """The entries of one half, `jnp.tril` or `jnp.triu`; a triangle of ones picks those of dX."""
    return half(X)


@triangle.defjvp
def _triangle_jvp(half: Callable, primals: Any, tangents: Any) -> Any:
    ((X,), (tangent,)) = primals, tangents
    return triangle(half, X), half(jnp.ones_like(X)) * tangent


def triangular(solve: Callable) -> Callable[[JaxprEqn], Run | None]:
    """What to run in place of a triangular solve of matrices, by a function that solves."""

    def replacement(equation: JaxprEqn) -> Run | None:
        avals: list[Any] = [atom.aval for atom in equation.invars]
        real = all(jnp.issubdtype(aval.dtype, jnp.floating) for aval in avals)
        if not real or any(len(aval.shape) != 2 for aval in avals):
            return None
        params = equation.params

        def run(A: jax.Array, b: jax.Array) -> Sequence[jax.Array]:
            half = jnp.tril if params["lower"] else jnp.triu
            if params["unit_diagonal"]:
                k = -1 if params["lower"] else 1
                known = half(jnp.ones_like(A), k)
                T = known * A + jnp.eye(A.shape[0], dtype=A.dtype)
            else:
                T = triangle(half, A)
            T = T.T if params["transpose_a"] else T
            if not params["left_side"]:
                return [solve(T.T, b.T).T]
            # A column is a vector to whoever reads it.
            return [solve(T, b[:, 0])[:, None] if b.shape[1] == 1 else solve(T, b)]

        return run

    return replacement


@jax.custom_jvp
def cholesky(S: jax.Array) -> jax.Array:
    """The lower L with L Lᵀ = (S + Sᵀ) / 2, whose differential is L Φ(L⁻¹ dS L⁻ᵀ)."""
    return jnp.linalg.cholesky(S)


@cholesky.defjvp
def _cholesky_jvp(primals: Any, tangents: Any) -> Any:
    ((S,), (tangent,)) = primals, tangents
    L = cholesky(S)
    known = jnp.tril(jnp.ones_like(S)) - jnp.eye(S.shape[0], dtype=S.dtype) / 2
    M = jnp.linalg.inv(L)
    return L, L @ (known * (M @ ((tangent + tangent.T) / 2) @ M.T))
