"""Eigenvalues, singular values, Cholesky factors of what is not known to be symmetric.

With V of eigenvectors, `dλ = diag(Vᵀ dS V)` and `dV = V (F ⊙ Vᵀ dS V)`; with singular vectors U, V,
`dσ = diag(Uᵀ dA V)`. F holds `1 / (λ_j - λ_i)`, zeros on its diagonal: where two are equal there is
no derivative.

Sources: J. R. Magnus, On differentiating eigenvalues and eigenvectors, 1985; J. Townsend,
Differentiating the singular value decomposition, 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from layouts.formulas.functions import WHOLE
from layouts.naming.called import called

Run = Callable[..., Sequence[Any]]


def decomposed(equation: JaxprEqn) -> Run | None:
    """What to run in place of a decomposition of one real matrix; None where it stays."""
    aval: Any = equation.invars[0].aval
    params = equation.params
    if len(aval.shape) != 2 or 0 in aval.shape or not jnp.issubdtype(aval.dtype, jnp.floating):
        return None
    if params.get("subset_by_index") is not None or params.get("algorithm") is not None:
        return None
    if equation.primitive.name == "eigh":
        plain = params["lower"] and params["sort_eigenvalues"]
        return (lambda S: eigh(S)[::-1]) if plain else None
    if not params["compute_uv"]:
        return lambda A: [svd(A)[0]]
    square = aval.shape[0] == aval.shape[1]
    return svd if square or not params["full_matrices"] else None


_VECTORS, _VALUES = (
    called(name, partial(WHOLE[name], symmetrize_input=False)) for name in ("eigvecs", "eigvalsh")
)
_FACTOR = called("cholesky", partial(WHOLE["cholesky"], symmetrize_input=False))
_LEFT, _SIZES, _RIGHT = (called(name, WHOLE[name]) for name in ("svdleft", "svdvals", "svdright"))


def factored(equation: JaxprEqn) -> Run | None:
    """What to run in place of a Cholesky factor of one real matrix, of which half is read."""
    aval: Any = equation.invars[0].aval
    plain = len(aval.shape) == 2 and jnp.issubdtype(aval.dtype, jnp.floating)
    return (lambda S: [cholesky(S)]) if plain else None


@jax.custom_jvp
def cholesky(S: jax.Array) -> jax.Array:
    """The lower L with L Lᵀ = S, whose differential is L Φ(L⁻¹ dS L⁻ᵀ) (`naming.triangles`)."""
    return _FACTOR(S)


@cholesky.defjvp
def _cholesky_jvp(primals: Any, tangents: Any) -> Any:
    (S,), (tangent,) = primals, tangents
    L = cholesky(S)
    known = jnp.tril(jnp.ones_like(S)) - jnp.eye(S.shape[0], dtype=S.dtype) / 2
    M = jnp.linalg.inv(L)
    return L, L @ (known * (M @ tangent @ M.T))


@jax.custom_jvp
def eigh(S: jax.Array) -> list[jax.Array]:
    """The eigenvalues of a symmetric matrix, and its eigenvectors as columns."""
    return [_VALUES(S), _VECTORS(S)]


@eigh.defjvp
def _eigh_jvp(primals: Any, tangents: Any) -> Any:
    (S,), (tangent,) = primals, tangents
    w, V = eigh(S)
    moved = V.T @ tangent @ V
    slopes = jnp.einsum("ki,kl,li->i", V, tangent, V)
    return [w, V], [slopes, V @ (_apart(w, w) * moved)]


def _apart(columns: jax.Array, rows: jax.Array) -> jax.Array:
    """One divided by each difference of two different ones, `F[i,j] = 1 / (c[j] - r[i])`."""
    same = jnp.eye(rows.shape[0], dtype=rows.dtype)
    return (1 - same) / (columns[None, :] - rows[:, None] + same)


@jax.custom_jvp
def svd(A: jax.Array) -> list[jax.Array]:
    """The singular values of a matrix, its left vectors as columns, its right ones as rows."""
    return [_SIZES(A), _LEFT(A), _RIGHT(A).T]


@svd.defjvp
def _svd_jvp(primals: Any, tangents: Any) -> Any:
    (A,), (tangent,) = primals, tangents
    s, U, Vt = svd(A)
    moved = U.T @ tangent @ Vt.T
    F = _apart(s**2, s**2)
    columns, rows = s[:, None], s[None, :]
    left = U @ (F * (moved * rows + columns * moved.T))
    right = Vt.T @ (F * (columns * moved + moved.T * rows))
    if A.shape[0] > s.shape[0]:
        beside = tangent @ Vt.T
        left += (beside - U @ (U.T @ beside)) / rows
    if A.shape[1] > s.shape[0]:
        beside = tangent.T @ U
        right += (beside - Vt.T @ (Vt @ beside)) / rows
    slopes = jnp.einsum("ki,kl,il->i", U, tangent, Vt)
    return [s, U, Vt], [slopes, left, right.T]
