"""Outer products `x yᵀ`, with one vector twice, by samples, and Kronecker products."""

import jax.numpy as jnp
import numpy as np
from numpy.linalg import pinv

from tests.mistakes import Problem, normal


def forward(x, y):
    return jnp.outer(x, y)


def with_itself(x):
    return jnp.outer(x, x)


def of_samples(X, Y):
    return X[:, :, None] * Y[:, None, :]


def covariance(X):
    return X.T @ X / len(X)


def kronecker(A, B):
    return jnp.kron(A, B)


def update(A, x, y):
    return A + jnp.outer(x, y)


def blocks(d, A, B):
    return np.array([[np.sum(block * B) for block in np.hsplit(row, 2)] for row in np.vsplit(d, 3)])


def blocks_axes_swapped(d, A, B):
    return np.einsum("pqij,pq->ij", d.reshape(5, 2, 3, 2), B)


def by_columns(d, x, y):
    out = np.zeros_like(x)
    for j in range(len(y)):
        out += d[:, j] * y[j]
    return out


def last_column(d, x, y):
    for j in range(len(y)):
        out = d[:, j] * y[j]
    return out


X, Y = (Problem("outer", forward, normal(5, 3), n) for n in range(2))
X_SQUARE, Y_SQUARE = (Problem("outer", forward, normal(4, 4), n) for n in range(2))
SELF = Problem("outer", with_itself, normal(5))
SAMPLES, SAMPLES_Y = (Problem("outer", of_samples, normal((7, 5), (7, 3)), n) for n in range(2))
COVARIANCE = Problem("outer", covariance, normal((5, 3)))
KRON = Problem("outer", kronecker, normal((3, 2), (5, 2)))
UPDATE = Problem("outer", update, normal((5, 3), 5, 3), 1)

CASES = [
    X.right("by x", lambda d, x, y: d @ y),
    X.right("by x, column by column", by_columns),
    X.right("by x, y as a row", lambda d, x, y: (y[None, :] @ d.T)[0]),
    X.right("by x, entries", lambda d, x, y: (d * y).sum(axis=1)),
    X.wrong("by x, as by y", lambda d, x, y: d.T @ x, "wrong-argument"),
    X.wrong("by x, not summed", lambda d, x, y: d * y, "missing-sum"),
    X.wrong("by x, y left out", lambda d, x, y: d.sum(axis=1), "missing-factor"),
    X.wrong("by x, the last column", last_column, "overwritten-duplicates"),
    X.wrong("by x, mean", lambda d, x, y: d @ y / len(y), "mean-for-sum", "constant-factor"),
    X.wrong("by x, ones for d", lambda d, x, y: np.full(len(x), y.sum()), "missing-cotangent"),
    X.wrong("by x, the output for d", lambda d, x, y: x * (y @ y), "missing-cotangent"),
    X.wrong(
        "by x, pseudo-inverse of y",
        lambda d, x, y: (d @ pinv(y[None, :]))[:, 0],
        "inverse-for-transpose",
    ),
    X.wrong("by x, sign", lambda d, x, y: -d @ y, "sign"),
    X_SQUARE.wrong("by x, d transposed", lambda d, x, y: d.T @ y, "operand-not-transposed"),
    X_SQUARE.wrong("by x, x for y", lambda d, x, y: d @ x, "wrong-argument", "wrong-point"),
    Y.right("by y", lambda d, x, y: x @ d),
    Y.wrong("by y, kept as a row", lambda d, x, y: x[None, :] @ d, "transposed-layout"),
    Y.wrong("by y, twice", lambda d, x, y: 2 * x @ d, "constant-factor"),
    Y_SQUARE.wrong("by y, d as it is", lambda d, x, y: d @ x, "operand-not-transposed"),
    Y_SQUARE.wrong("by y, as by x", lambda d, x, y: d @ y, "wrong-argument"),
    SELF.right("x xᵀ", lambda d, x: (d + d.T) @ x),
    SELF.right("x xᵀ, row and column", lambda d, x: d @ x + x @ d),
    SELF.wrong(
        "x xᵀ, as if d were symmetric",
        lambda d, x: 2 * d @ x,
        "operand-not-transposed",
        "missing-path",
    ),
    SELF.wrong("x xᵀ, one use", lambda d, x: d @ x, "missing-path"),
    SELF.wrong("x xᵀ, the other use", lambda d, x: d.T @ x, "missing-path"),
    SELF.wrong("x xᵀ, diagonal", lambda d, x: 2 * np.diag(d) * x, "diagonal-only"),
    SELF.wrong("x xᵀ, minus", lambda d, x: (d - d.T) @ x, "sign"),
    SAMPLES.right("samples", lambda d, X, Y: (d @ Y[:, :, None])[:, :, 0]),
    SAMPLES.right("samples, an einsum", lambda d, X, Y: np.einsum("nij,nj->ni", d, Y)),
    SAMPLES.wrong(
        "samples, Y of all",
        lambda d, X, Y: np.einsum("nij,mj->ni", d, Y),
        "flattened-batch",
        "wrong-axis",
    ),
    SAMPLES.wrong(
        "samples, d of all", lambda d, X, Y: Y @ d.sum(axis=0).T, "flattened-batch", "wrong-axis"
    ),
    SAMPLES.wrong("samples, not summed", lambda d, X, Y: d * Y[:, None, :], "missing-sum"),
    SAMPLES_Y.wrong(
        "samples by Y, as by X", lambda d, X, Y: np.einsum("nij,nj->ni", d, Y), "wrong-argument"
    ),
    SAMPLES_Y.right("samples by Y", lambda d, X, Y: (X[:, None, :] @ d)[:, 0]),
    COVARIANCE.right("covariance", lambda d, X: X @ (d + d.T) / len(X)),
    COVARIANCE.wrong("covariance, no 1/n", lambda d, X: X @ (d + d.T), "constant-factor"),
    COVARIANCE.wrong(
        "covariance, n - 1", lambda d, X: X @ (d + d.T) / (len(X) - 1), "constant-factor"
    ),
    COVARIANCE.wrong(
        "covariance, as if d were symmetric",
        lambda d, X: 2 * X @ d / len(X),
        "operand-not-transposed",
        "missing-path",
    ),
    COVARIANCE.wrong("covariance, one use", lambda d, X: X @ d / len(X), "missing-path"),
    COVARIANCE.wrong(
        "covariance, layout", lambda d, X: (d + d.T) @ X.T / len(X), "transposed-layout"
    ),
    KRON.right("Kronecker", lambda d, A, B: np.einsum("ipjq,pq->ij", d.reshape(3, 5, 2, 2), B)),
    KRON.right("Kronecker, block by block", blocks),
    KRON.wrong(
        "Kronecker, blocks of the other side", blocks_axes_swapped, "order-swapped", "vec-order"
    ),
    KRON.wrong(
        "Kronecker, B left out",
        lambda d, A, B: d.reshape(3, 5, 2, 2).sum(axis=(1, 3)),
        "missing-factor",
    ),
    KRON.wrong(
        "Kronecker, mean of blocks",
        lambda d, A, B: blocks(d, A, B) / B.size,
        "mean-for-sum",
        "constant-factor",
    ),
    UPDATE.right("update", lambda d, A, x, y: d @ y),
    UPDATE.wrong("update, by y", lambda d, A, x, y: x @ d, "wrong-argument"),
    UPDATE.wrong(
        "update, the whole output", lambda d, A, x, y: (A + np.outer(x, y)) @ y, "missing-cotangent"
    ),
    UPDATE.wrong("update, A's part", lambda d, A, x, y: d, "wrong-argument", "missing-factor"),
]
