"""Linear algebra: products, Kronecker products, solves, determinants."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.suite.case import Case, made_first, normal, same


def matmul_by_hand(W: jax.Array, X: jax.Array) -> jax.Array:
    """`δ[i,k] X[l,j]`."""
    return jnp.where(same(W.shape[0])[:, None, :, None], X.T[None, :, None, :], 0)


def sandwich(X: jax.Array, A: jax.Array, B: jax.Array) -> jax.Array:
    """`A X B`."""
    return A @ X @ B


def sandwich_by_hand(X: jax.Array, A: jax.Array, B: jax.Array) -> jax.Array:
    """`A[i,k] B[l,j]`."""
    return A[:, None, :, None] * B.T[None, :, None, :]


def solve_by_right_side(B: jax.Array, A: jax.Array) -> jax.Array:
    """The solution of `A X = B`."""
    return jnp.linalg.solve(A, B)


def solve_by_right_side_by_hand(B: jax.Array, A: jax.Array) -> jax.Array:
    """`A⁻¹[i,k] δ[j,l]`."""
    inverse, here = made_first(jnp.linalg.inv(A), same(B.shape[1], B.dtype))
    return inverse[:, None, :, None] * here[None, :, None, :]


def solve_by_matrix(A: jax.Array, B: jax.Array) -> jax.Array:
    """The solution of `A X = B`."""
    return jnp.linalg.solve(A, B)


def solve_by_matrix_by_hand(A: jax.Array, B: jax.Array) -> jax.Array:
    """`-A⁻¹[i,k] X[l,j]`."""
    inverse = jnp.linalg.inv(A)
    X = inverse @ B
    return -inverse[:, None, :, None] * X.T[None, :, None, :]


def log_determinant(A: jax.Array) -> jax.Array:
    """The logarithm of the determinant's absolute value."""
    return jnp.linalg.slogdet(A)[1]


def log_determinant_by_hand(A: jax.Array) -> jax.Array:
    """`-A⁻¹[j,k] A⁻¹[l,i]`."""
    inverse = jnp.linalg.inv(A)
    return -inverse[None, :, :, None] * inverse.T[:, None, None, :]


def regular(random: np.random.Generator, n: int) -> np.ndarray:
    """A square matrix far from singular."""
    return (2 * np.eye(n) + normal(random, n, n)).astype(np.float32)


CASES = (
    Case(
        name="D = W X, by W",
        kind="product",
        function=lambda W, X: W @ X,
        sizes=((40, 60, 50), (5, 7, 3)),
        arguments=lambda r, h, m, n: (normal(r, h, m), normal(r, m, n)),
        by_hand=matmul_by_hand,
        dense=2,
    ),
    Case(
        name="A X B, by X, 32×32",
        kind="product",
        function=sandwich,
        sizes=((32, 32), (3, 5)),
        arguments=lambda r, m, n: (normal(r, m, n), normal(r, m, m), normal(r, n, n)),
        by_hand=sandwich_by_hand,
    ),
    Case(
        name="A⁻¹ B, 40×40 and 40×16, by B",
        kind="linear solve",
        function=solve_by_right_side,
        sizes=((40, 16), (5, 3)),
        arguments=lambda r, n, m: (normal(r, n, m), regular(r, n)),
        by_hand=solve_by_right_side_by_hand,
    ),
    Case(
        name="A⁻¹ B, 40×40 and 40×16, by A",
        kind="linear solve",
        function=solve_by_matrix,
        sizes=((40, 16), (5, 3)),
        arguments=lambda r, n, m: (regular(r, n), normal(r, n, m)),
        by_hand=solve_by_matrix_by_hand,
    ),
    Case(
        name="log det A, 30×30, Hessian",
        kind="linear solve",
        function=log_determinant,
        sizes=((30,), (5,)),
        arguments=lambda r, n: (regular(r, n),),
        by_hand=log_determinant_by_hand,
        second_order=True,
    ),
)
