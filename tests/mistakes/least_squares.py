"""Half the squared residual of `A w = y`, with and without a penalty, by each of its parts."""

import jax.numpy as jnp
import numpy as np
from numpy.linalg import norm, pinv

from tests.mistakes import Problem, normal


def forward(w, A, y):
    return jnp.sum((A @ w - y) ** 2) / 2


def ridge(w, A, y, strength):
    return jnp.sum((A @ w - y) ** 2) / 2 + strength * jnp.sum(w**2) / 2


def weighted(w, A, y, s):
    return jnp.sum(s * (A @ w - y) ** 2)


def matrix(W, X, Y):
    return jnp.mean((W @ X - Y) ** 2)


def root(w, A, y):
    return jnp.sqrt(jnp.mean((A @ w - y) ** 2))


def by_samples(d, w, A, y):
    out = np.zeros_like(w)
    for row, target in zip(A, y, strict=True):
        out += (row @ w - target) * row
    return d * out


def by_the_last_sample(d, w, A, y):
    for row, target in zip(A, y, strict=True):
        out = (row @ w - target) * row
    return d * out


def ridge_draw(rng):
    return (
        rng.standard_normal(3),
        rng.standard_normal((7, 3)),
        rng.standard_normal(7),
        np.array(1.3),
    )


def weighted_draw(rng):
    w, A, y = normal(3, (7, 3), 7)(rng)
    return w, A, y, rng.uniform(0.2, 2.0, 7)


def root_grad(d, w, A, y):
    r = A @ w - y
    return d * A.T @ r / norm(r) / np.sqrt(len(y))


w, A, y = (Problem("least_squares", forward, normal(3, (7, 3), 7), n) for n in range(3))
SQUARE = Problem("least_squares", forward, normal(5, (5, 5), 5))
RIDGE = Problem("least_squares", ridge, ridge_draw)
STRENGTH = Problem("least_squares", ridge, ridge_draw, 3)
WEIGHTED = Problem("least_squares", weighted, weighted_draw)
MATRIX = Problem("least_squares", matrix, normal((5, 3), (3, 7), (5, 7)))
MATRIX_SQUARE = Problem("least_squares", matrix, normal((5, 4), (4, 4), (5, 4)))
ROOT = Problem("least_squares", root, normal(3, (7, 3), 7))

CASES = [
    w.right("by w", lambda d, w, A, y: d * A.T @ (A @ w - y)),
    w.right("by w, normal equations", lambda d, w, A, y: d * (A.T @ A @ w - A.T @ y)),
    w.right("by w, sample by sample", by_samples),
    w.right("by w, row times matrix", lambda d, w, A, y: (d * (A @ w - y)) @ A),
    w.right("by w, from the solution", lambda d, w, A, y: d * A.T @ A @ (w - pinv(A) @ y)),
    w.wrong("by w, sign", lambda d, w, A, y: d * A.T @ (y - A @ w), "sign"),
    w.wrong("by w, twice", lambda d, w, A, y: d * 2 * A.T @ (A @ w - y), "constant-factor"),
    w.wrong(
        "by w, mean",
        lambda d, w, A, y: d * A.T @ (A @ w - y) / len(y),
        "mean-for-sum",
        "constant-factor",
    ),
    w.wrong(
        "by w, mean and sign",
        lambda d, w, A, y: d * A.T @ (y - A @ w) / len(y),
        "mean-for-sum+sign",
        "constant-factor+sign",
    ),
    w.wrong(
        "by w, prediction for residual",
        lambda d, w, A, y: d * A.T @ A @ w,
        "missing-path",
        "wrong-point",
    ),
    w.wrong(
        "by w, target for residual", lambda d, w, A, y: -d * A.T @ y, "missing-path", "wrong-point"
    ),
    w.wrong(
        "by w, pseudo-inverse",
        lambda d, w, A, y: d * pinv(A) @ (A @ w - y),
        "inverse-for-transpose",
    ),
    w.wrong("by w, not summed", lambda d, w, A, y: d * (A @ w - y)[:, None] * A, "missing-sum"),
    w.wrong("by w, the last sample", by_the_last_sample, "overwritten-duplicates"),
    w.wrong(
        "by w, residual left out",
        lambda d, w, A, y: d * A.sum(axis=0),
        "missing-activation-derivative",
        "missing-factor",
    ),
    w.wrong("by w, d left out", lambda d, w, A, y: A.T @ (A @ w - y), "missing-cotangent"),
    SQUARE.wrong(
        "by w, A as it is", lambda d, w, A, y: d * A @ (A @ w - y), "operand-not-transposed"
    ),
    SQUARE.wrong("by w, A left out", lambda d, w, A, y: d * (A @ w - y), "missing-factor"),
    A.right("by A", lambda d, w, A, y: d * np.outer(A @ w - y, w)),
    A.wrong("by A, layout", lambda d, w, A, y: d * np.outer(w, A @ w - y), "transposed-layout"),
    A.wrong(
        "by A, residual left out",
        lambda d, w, A, y: d * np.outer(np.ones_like(y), w),
        "missing-activation-derivative",
        "missing-factor",
    ),
    A.wrong(
        "by A, y for the residual",
        lambda d, w, A, y: -d * np.outer(y, w),
        "missing-path",
        "wrong-point",
    ),
    y.right("by y", lambda d, w, A, y: d * (y - A @ w)),
    y.wrong("by y, sign", lambda d, w, A, y: d * (A @ w - y), "sign"),
    y.wrong("by y, half", lambda d, w, A, y: d * (y - A @ w) / 2, "constant-factor"),
    RIDGE.right("ridge", lambda d, w, A, y, k: d * ((A.T @ A + k * np.eye(3)) @ w - A.T @ y)),
    RIDGE.wrong(
        "ridge, penalty left out", lambda d, w, A, y, k: d * A.T @ (A @ w - y), "missing-path"
    ),
    RIDGE.wrong("ridge, penalty alone", lambda d, w, A, y, k: d * k * w, "missing-path"),
    RIDGE.wrong(
        "ridge, penalty subtracted", lambda d, w, A, y, k: d * (A.T @ (A @ w - y) - k * w), "sign"
    ),
    RIDGE.wrong(
        "ridge, penalty's strength left out",
        lambda d, w, A, y, k: d * (A.T @ (A @ w - y) + w),
        "missing-factor",
    ),
    RIDGE.wrong(
        "ridge, penalty twice",
        lambda d, w, A, y, k: d * (A.T @ (A @ w - y) + 2 * k * w),
        "constant-factor",
        "missing-factor",
    ),
    RIDGE.wrong(
        "ridge, penalty's slope left out",
        lambda d, w, A, y, k: d * (A.T @ (A @ w - y) + k * np.ones_like(w)),
        "missing-activation-derivative",
        "missing-factor",
    ),
    STRENGTH.right("ridge by its strength", lambda d, w, A, y, k: d * (w @ w) / 2),
    STRENGTH.wrong(
        "ridge by its strength, no half", lambda d, w, A, y, k: d * (w @ w), "constant-factor"
    ),
    STRENGTH.wrong(
        "ridge by its strength, not summed", lambda d, w, A, y, k: d * w**2 / 2, "missing-sum"
    ),
    WEIGHTED.right("weighted", lambda d, w, A, y, s: 2 * d * A.T @ (s * (A @ w - y))),
    WEIGHTED.right(
        "weighted, a diagonal",
        lambda d, w, A, y, s: 2 * d * (A.T @ np.diag(s) @ A @ w - A.T @ np.diag(s) @ y),
    ),
    WEIGHTED.wrong(
        "weighted, weights left out",
        lambda d, w, A, y, s: 2 * d * A.T @ (A @ w - y),
        "missing-factor",
    ),
    WEIGHTED.wrong(
        "weighted, weights twice",
        lambda d, w, A, y, s: 2 * d * A.T @ (s**2 * (A @ w - y)),
        "extra-factor",
    ),
    WEIGHTED.wrong(
        "weighted, target without its weights",
        lambda d, w, A, y, s: 2 * d * (A.T @ (s * (A @ w)) - A.T @ y),
        "missing-factor",
    ),
    WEIGHTED.wrong(
        "weighted, no 2", lambda d, w, A, y, s: d * A.T @ (s * (A @ w - y)), "constant-factor"
    ),
    MATRIX.right("matrix", lambda d, W, X, Y: d * 2 / Y.size * (W @ X - Y) @ X.T),
    MATRIX.right(
        "matrix, precomputed moments", lambda d, W, X, Y: d * 2 / Y.size * (W @ (X @ X.T) - Y @ X.T)
    ),
    MATRIX.wrong("matrix, no 1/n", lambda d, W, X, Y: 2 * d * (W @ X - Y) @ X.T, "constant-factor"),
    MATRIX.wrong(
        "matrix, mean over samples alone",
        lambda d, W, X, Y: d * 2 / Y.shape[1] * (W @ X - Y) @ X.T,
        "constant-factor",
    ),
    MATRIX.wrong(
        "matrix, layout", lambda d, W, X, Y: d * 2 / Y.size * X @ (W @ X - Y).T, "transposed-layout"
    ),
    MATRIX.wrong(
        "matrix, sign, no 1/n", lambda d, W, X, Y: 2 * d * (Y - W @ X) @ X.T, "constant-factor+sign"
    ),
    MATRIX.wrong(
        "matrix, no 1/n and layout",
        lambda d, W, X, Y: 2 * d * X @ (W @ X - Y).T,
        "constant-factor+transposed-layout",
    ),
    MATRIX_SQUARE.wrong(
        "matrix, X as it is",
        lambda d, W, X, Y: d * 2 / Y.size * (W @ X - Y) @ X,
        "operand-not-transposed",
    ),
    ROOT.right("root", root_grad),
    ROOT.wrong(
        "root, of the square",
        lambda d, w, A, y: d * 2 / len(y) * A.T @ (A @ w - y),
        "missing-activation-derivative",
    ),
    ROOT.wrong(
        "root, n for its root",
        lambda d, w, A, y: root_grad(d, w, A, y) / np.sqrt(len(y)),
        "constant-factor",
    ),
    ROOT.wrong(
        "root, no n", lambda d, w, A, y: root_grad(d, w, A, y) * np.sqrt(len(y)), "constant-factor"
    ),
]
