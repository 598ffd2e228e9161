"""`X⁻¹` and solving with it: the pull-back is `-X⁻ᵀ dY X⁻ᵀ`."""

import jax.numpy as jnp
import numpy as np
from numpy.linalg import inv, lstsq, pinv, solve

from tests.mistakes import Problem, normal


def forward(X):
    return jnp.linalg.inv(X)


def solving(A, b):
    return jnp.linalg.solve(A, b)


def several(A, B):
    return jnp.linalg.solve(A, B)


def sandwich(X, A):
    return X @ jnp.linalg.inv(A) @ X.T


def by_directions(d, X):
    Y = inv(X)
    out = np.zeros_like(X)
    for k, column in enumerate(np.eye(len(X))):
        for m, row in enumerate(np.eye(len(X))):
            out[k, m] = np.sum(d * (-Y @ np.outer(column, row) @ Y))
    return out


def by_jacobian(d, X):
    J = -np.kron(inv(X), inv(X).T)
    return (J.T @ d.ravel()).reshape(X.shape)


def by_jacobian_of_columns(d, X):
    J = -np.kron(inv(X).T, inv(X))
    return (J.T @ d.ravel(order="F")).reshape(X.shape, order="F")


def mixed_vec(d, X):
    J = -np.kron(inv(X).T, inv(X))
    return (J.T @ d.ravel()).reshape(X.shape)


def adjoint(d, A, b):
    u = solve(A.T, d)
    return -np.outer(u, solve(A, b))


def dense_solve(d, A, B):
    U = solve(A.T, d)
    return -np.einsum("in,jn->ij", U, inv(A) @ B)


INV = Problem("inverse", forward, normal((4, 4)))
SOLVE_A, SOLVE_B = (Problem("inverse", solving, normal((5, 5), 5), n) for n in range(2))
MANY = Problem("inverse", several, normal((5, 5), (5, 3)))
MANY_B = Problem("inverse", several, normal((5, 5), (5, 3)), 1)
SANDWICH, MIDDLE = (Problem("inverse", sandwich, normal((5, 3), (3, 3)), n) for n in range(2))

CASES = [
    INV.right("inverse", lambda d, X: -inv(X).T @ d @ inv(X).T),
    INV.right("inverse, by solving", lambda d, X: -solve(X.T, solve(X, d.T).T)),
    INV.right("inverse, transposed at the end", lambda d, X: -(inv(X) @ d.T @ inv(X)).T),
    INV.right("inverse, direction by direction", by_directions),
    INV.right("inverse, a Kronecker product", by_jacobian),
    INV.right("inverse, a Kronecker product on columns", by_jacobian_of_columns),
    INV.wrong("inverse, sign", lambda d, X: inv(X).T @ d @ inv(X).T, "sign"),
    INV.wrong(
        "inverse, not transposed",
        lambda d, X: -inv(X) @ d @ inv(X),
        "operand-not-transposed",
        "vec-order",
    ),
    INV.wrong(
        "inverse, left one not transposed",
        lambda d, X: -inv(X) @ d @ inv(X).T,
        "operand-not-transposed",
    ),
    INV.wrong(
        "inverse, right one not transposed",
        lambda d, X: -inv(X).T @ d @ inv(X),
        "operand-not-transposed",
    ),
    INV.wrong("inverse, layout", lambda d, X: -inv(X) @ d.T @ inv(X), "transposed-layout"),
    INV.wrong("inverse, as of numbers", lambda d, X: -inv(X).T @ inv(X).T @ d, "order-swapped"),
    INV.wrong(
        "inverse, X for its inverse",
        lambda d, X: -X.T @ d @ X.T,
        "wrong-point",
        "inverse-for-transpose",
    ),
    INV.wrong("inverse, entry by entry", lambda d, X: -d / X**2, "wrong-point"),
    INV.wrong("inverse, one side", lambda d, X: -inv(X).T @ d, "missing-factor"),
    INV.wrong("inverse, d forgotten", lambda d, X: -inv(X).T @ inv(X).T, "missing-cotangent"),
    INV.wrong(
        "inverse, Kronecker product on the other vec",
        mixed_vec,
        "vec-order",
        "operand-not-transposed",
    ),
    SOLVE_A.right("solve by A", adjoint),
    SOLVE_A.right("solve by A, inverses", lambda d, A, b: -np.outer(d @ inv(A), inv(A) @ b)),
    SOLVE_A.wrong("solve by A, sign", lambda d, A, b: -adjoint(d, A, b), "sign"),
    SOLVE_A.wrong(
        "solve by A, A not transposed",
        lambda d, A, b: -np.outer(solve(A, d), solve(A, b)),
        "operand-not-transposed",
    ),
    SOLVE_A.wrong(
        "solve by A, layout",
        lambda d, A, b: -np.outer(solve(A, b), solve(A.T, d)),
        "transposed-layout",
        "order-swapped",
    ),
    SOLVE_A.wrong(
        "solve by A, b for the solution",
        lambda d, A, b: -np.outer(solve(A.T, d), b),
        "missing-factor",
        "wrong-point",
    ),
    SOLVE_A.wrong(
        "solve by A, d unsolved", lambda d, A, b: -np.outer(d, solve(A, b)), "missing-factor"
    ),
    SOLVE_A.wrong(
        "solve by A, held fixed", lambda d, A, b: -np.outer(d, b), "missing-factor", "wrong-point"
    ),
    SOLVE_B.right("solve by b", lambda d, A, b: solve(A.T, d)),
    SOLVE_B.right("solve by b, least squares", lambda d, A, b: lstsq(A.T, d, rcond=None)[0]),
    SOLVE_B.right("solve by b, row times inverse", lambda d, A, b: d @ pinv(A)),
    SOLVE_B.wrong(
        "solve by b, A not transposed", lambda d, A, b: solve(A, d), "operand-not-transposed"
    ),
    SOLVE_B.wrong(
        "solve by b, A for its inverse",
        lambda d, A, b: A.T @ d,
        "wrong-point",
        "inverse-for-transpose",
    ),
    SOLVE_B.wrong("solve by b, sign", lambda d, A, b: -solve(A.T, d), "sign"),
    SOLVE_B.wrong(
        "solve by b, the output for d", lambda d, A, b: solve(A.T, solve(A, b)), "missing-cotangent"
    ),
    MANY.right("several by A", dense_solve),
    MANY.right("several by A, inverses", lambda d, A, B: -inv(A).T @ d @ B.T @ inv(A).T),
    MANY.wrong(
        "several by A, A not transposed",
        lambda d, A, B: -solve(A, d) @ solve(A, B).T,
        "operand-not-transposed",
    ),
    MANY.wrong(
        "several by A, the last right-hand side",
        lambda d, A, B: -np.outer(solve(A.T, d[:, -1]), solve(A, B[:, -1])),
        "overwritten-duplicates",
        "missing-sum",
    ),
    MANY.wrong(
        "several by A, mean",
        lambda d, A, B: dense_solve(d, A, B) / 3,
        "mean-for-sum",
        "constant-factor",
    ),
    MANY_B.wrong(
        "several by B, A not transposed", lambda d, A, B: inv(A) @ d, "operand-not-transposed"
    ),
    MANY_B.right("several by B", lambda d, A, B: inv(A).T @ d),
    SANDWICH.right("sandwich by X", lambda d, X, A: d @ X @ inv(A).T + d.T @ X @ inv(A)),
    SANDWICH.wrong(
        "sandwich by X, as if symmetric",
        lambda d, X, A: 2 * d @ X @ inv(A),
        "operand-not-transposed",
        "missing-path",
    ),
    SANDWICH.wrong(
        "sandwich by X, one use",
        lambda d, X, A: d @ X @ inv(A).T,
        "missing-path",
    ),
    MIDDLE.right("sandwich by A", lambda d, X, A: -inv(A).T @ X.T @ d @ X @ inv(A).T),
    MIDDLE.wrong(
        "sandwich by A, the inverse passed through",
        lambda d, X, A: X.T @ d @ X,
        "missing-activation-derivative",
        "missing-factor",
    ),
    MIDDLE.wrong("sandwich by A, sign", lambda d, X, A: inv(A).T @ X.T @ d @ X @ inv(A).T, "sign"),
    MIDDLE.wrong(
        "sandwich by A, not transposed",
        lambda d, X, A: -inv(A) @ X.T @ d @ X @ inv(A),
        "operand-not-transposed",
    ),
]
