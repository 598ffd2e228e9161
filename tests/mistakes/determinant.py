"""`det(X)`: the gradient is the matrix of cofactors, `det(X) X⁻ᵀ`."""

import jax.numpy as jnp
import numpy as np
from numpy.linalg import det, inv, solve

from tests.mistakes import Problem, normal


def forward(X):
    return jnp.linalg.det(X)


def of_gram(X):
    return jnp.linalg.det(X.T @ X)


def of_product(A, B):
    return jnp.linalg.det(A @ B)


def of_square(X):
    return jnp.linalg.det(X) ** 2


def cofactors(X):
    out = np.empty_like(X)
    for i in range(len(X)):
        for j in range(len(X)):
            minor = np.delete(np.delete(X, i, axis=0), j, axis=1)
            out[i, j] = (-1) ** (i + j) * det(minor)
    return out


def minors(X):
    out = np.empty_like(X)
    for i in range(len(X)):
        for j in range(len(X)):
            out[i, j] = det(np.delete(np.delete(X, i, axis=0), j, axis=1))
    return out


def gram_grad(d, X):
    G = X.T @ X
    return 2 * d * det(G) * X @ inv(G)


DET = Problem("determinant", forward, normal((4, 4)))
GRAM = Problem("determinant", of_gram, normal((5, 3)))
PRODUCT = Problem("determinant", of_product, normal((3, 5), (5, 3)))
SQUARE = Problem("determinant", of_square, normal((4, 4)))

CASES = [
    DET.right("det", lambda d, X: d * det(X) * inv(X).T),
    DET.right("det, cofactors", lambda d, X: d * cofactors(X)),
    DET.right("det, by solving", lambda d, X: d * det(X) * solve(X.T, np.eye(len(X)))),
    DET.wrong(
        "det, adjugate",
        lambda d, X: d * det(X) * inv(X),
        "transposed-layout",
        "operand-not-transposed",
    ),
    DET.wrong(
        "det, cofactors transposed",
        lambda d, X: d * cofactors(X).T,
        "transposed-layout",
        "operand-not-transposed",
    ),
    DET.wrong("det, minors without signs", lambda d, X: d * minors(X), "sign", "missing-factor"),
    DET.wrong("det, of its logarithm", lambda d, X: d * inv(X).T, "missing-factor"),
    DET.wrong("det, sign", lambda d, X: -d * det(X) * inv(X).T, "sign"),
    DET.wrong("det, d forgotten", lambda d, X: det(X) * inv(X).T, "missing-cotangent"),
    DET.wrong(
        "det, Xᵀ for the inverse",
        lambda d, X: d * det(X) * X.T,
        "wrong-point",
        "inverse-for-transpose",
    ),
    DET.wrong("det, diagonal", lambda d, X: d * det(X) * np.diag(np.diag(inv(X))), "diagonal-only"),
    DET.wrong("det, the output for d", lambda d, X: det(X) ** 2 * inv(X).T, "missing-cotangent"),
    GRAM.right("gram", gram_grad),
    GRAM.right(
        "gram, two paths", lambda d, X: d * det(X.T @ X) * (X @ inv(X.T @ X) + X @ inv(X.T @ X).T)
    ),
    GRAM.wrong("gram, no 2", lambda d, X: gram_grad(d, X) / 2, "missing-path", "constant-factor"),
    GRAM.wrong("gram, layout", lambda d, X: gram_grad(d, X).T, "transposed-layout"),
    GRAM.wrong("gram, det left out", lambda d, X: 2 * d * X @ inv(X.T @ X), "missing-factor"),
    GRAM.wrong("gram, inverse left out", lambda d, X: 2 * d * det(X.T @ X) * X, "missing-factor"),
    PRODUCT.right("product", lambda d, A, B: d * det(A @ B) * inv(A @ B).T @ B.T),
    PRODUCT.right("product, one transpose", lambda d, A, B: d * (B @ (det(A @ B) * inv(A @ B))).T),
    PRODUCT.wrong(
        "product, not transposed",
        lambda d, A, B: d * det(A @ B) * inv(A @ B) @ B.T,
        "operand-not-transposed",
    ),
    PRODUCT.wrong(
        "product, B left out", lambda d, A, B: d * det(A @ B) * inv(A @ B).T, "missing-factor"
    ),
    PRODUCT.wrong(
        "product, by B", lambda d, A, B: d * det(A @ B) * A.T @ inv(A @ B).T, "wrong-argument"
    ),
    SQUARE.right("square", lambda d, X: 2 * d * det(X) ** 2 * inv(X).T),
    SQUARE.wrong(
        "square, no 2", lambda d, X: d * det(X) ** 2 * inv(X).T, "constant-factor", "missing-path"
    ),
    SQUARE.wrong("square, one det", lambda d, X: 2 * d * det(X) * inv(X).T, "missing-factor"),
    SQUARE.wrong(
        "square, not transposed",
        lambda d, X: 2 * d * det(X) ** 2 * inv(X),
        "transposed-layout",
        "operand-not-transposed",
    ),
    SQUARE.wrong(
        "square, square's slope left out",
        lambda d, X: d * det(X) * inv(X).T,
        "missing-activation-derivative",
        "missing-factor",
    ),
]
