"""One neuron: `y = tanh(w·x + b)`, and the same for the rows of a matrix."""

import jax.numpy as jnp
import numpy as np
from numpy import cosh, tanh

from tests.mistakes import Problem, normal


def forward(w, x, b):
    return jnp.tanh(jnp.dot(w, x) + b)


def rows(w, X, b):
    return jnp.tanh(X @ w + b)


def by_rows(dy, w, X, b):
    dw = np.zeros_like(w)
    for n in range(len(X)):
        y = tanh(X[n] @ w + b[0])
        dw += dy[n] * (1 - y**2) * X[n]
    return dw


def last_row(dy, w, X, b):
    for n in range(len(X)):
        y = tanh(X[n] @ w + b[0])
        dw = dy[n] * (1 - y**2) * X[n]
    return dw


w, x, b = (Problem("neuron", forward, normal(5, 5, ()), argnum) for argnum in range(3))
ROWS_W, ROWS_X, ROWS_B = (Problem("neuron", rows, normal(3, (7, 3), 1), n) for n in range(3))

CASES = [
    w.right("by w", lambda dy, w, x, b: dy * (1 - tanh(w @ x + b) ** 2) * x),
    w.right("by w, with cosh", lambda dy, w, x, b: x * dy / cosh(w @ x + b) ** 2),
    w.wrong("by w, no slope", lambda dy, w, x, b: dy * x, "missing-activation-derivative"),
    w.wrong(
        "by w, y for the slope",
        lambda dy, w, x, b: dy * tanh(w @ x + b) * x,
        "value-for-derivative",
    ),
    w.wrong("by w, 1 - y", lambda dy, w, x, b: dy * (1 - tanh(w @ x + b)) * x, "wrong-point"),
    w.wrong(
        "by w, slope of the sigmoid",
        lambda dy, w, x, b: dy * tanh(w @ x + b) * (1 - tanh(w @ x + b)) * x,
        "wrong-point",
    ),
    w.wrong(
        "by w, slope at y",
        lambda dy, w, x, b: dy * (1 - tanh(tanh(w @ x + b)) ** 2) * x,
        "wrong-point",
    ),
    w.wrong(
        "by w, slope without b", lambda dy, w, x, b: dy * (1 - tanh(w @ x) ** 2) * x, "wrong-point"
    ),
    w.wrong(
        "by w, dy forgotten",
        lambda dy, w, x, b: (1 - tanh(w @ x + b) ** 2) * x,
        "missing-cotangent",
    ),
    w.wrong(
        "by w, w for x", lambda dy, w, x, b: dy * (1 - tanh(w @ x + b) ** 2) * w, "wrong-argument"
    ),
    w.wrong(
        "by w, the input left out",
        lambda dy, w, x, b: dy * (1 - tanh(w @ x + b) ** 2) * np.ones_like(w),
        "missing-factor",
    ),
    x.right("by x", lambda dy, w, x, b: dy * (1 - tanh(w @ x + b) ** 2) * w),
    x.wrong("by x, y² - 1", lambda dy, w, x, b: dy * (tanh(w @ x + b) ** 2 - 1) * w, "sign"),
    b.right("by b", lambda dy, w, x, b: dy * (1 - tanh(w @ x + b) ** 2)),
    b.wrong(
        "by b, no slope", lambda dy, w, x, b: dy * np.ones(()), "missing-activation-derivative"
    ),
    b.wrong(
        "by b, times b", lambda dy, w, x, b: dy * (1 - tanh(w @ x + b) ** 2) * b, "extra-factor"
    ),
    ROWS_W.right("rows, by w", lambda dy, w, X, b: X.T @ (dy * (1 - tanh(X @ w + b) ** 2))),
    ROWS_W.right("rows, by w, row by row", by_rows),
    ROWS_W.right("rows, by w, scaled rows", lambda dy, w, X, b: (dy / cosh(X @ w + b) ** 2) @ X),
    ROWS_W.wrong("rows, by w, the last row", last_row, "overwritten-duplicates"),
    ROWS_W.wrong(
        "rows, by w, not summed",
        lambda dy, w, X, b: (dy * (1 - tanh(X @ w + b) ** 2))[:, None] * X,
        "missing-sum",
    ),
    ROWS_W.wrong(
        "rows, by w, mean",
        lambda dy, w, X, b: ((dy * (1 - tanh(X @ w + b) ** 2))[:, None] * X).mean(axis=0),
        "mean-for-sum",
        "constant-factor",
    ),
    ROWS_W.wrong(
        "rows, by w, no slope", lambda dy, w, X, b: X.T @ dy, "missing-activation-derivative"
    ),
    ROWS_X.right("rows, by X", lambda dy, w, X, b: np.outer(dy * (1 - tanh(X @ w + b) ** 2), w)),
    ROWS_X.wrong(
        "rows, by X, layout",
        lambda dy, w, X, b: np.outer(w, dy * (1 - tanh(X @ w + b) ** 2)),
        "transposed-layout",
    ),
    ROWS_X.wrong(
        "rows, by X, times X",
        lambda dy, w, X, b: (dy * (1 - tanh(X @ w + b) ** 2))[:, None] * X,
        "wrong-argument",
    ),
    ROWS_B.wrong(
        "rows, by b, not summed", lambda dy, w, X, b: dy * (1 - tanh(X @ w + b) ** 2), "missing-sum"
    ),
    ROWS_B.right(
        "rows, by b", lambda dy, w, X, b: np.sum(dy * (1 - tanh(X @ w + b) ** 2), keepdims=True)
    ),
]
