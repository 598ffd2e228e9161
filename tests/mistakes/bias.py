"""What broadcasting adds, the pull-back sums: biases of rows, of columns, of images."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Problem, normal


def rows(X, b):
    return X + b[None, :]


def columns(X, b):
    return X + b[:, None]


def channels(X, b):
    return X + b[None, :, None, None]


def number(X, b):
    return X + b


def grid(u, v):
    return u[:, None] + v[None, :]


def shifted(X, W, b):
    return jnp.tanh(X @ W + b[None, :])


def differences(x):
    return x[:, None] - x[None, :]


def centred(X):
    return X - jnp.mean(X, axis=0, keepdims=True)


def by_rows(d, X, b):
    out = np.zeros_like(b)
    for row in d:
        out += row
    return out


def last_row(d, X, b):
    out = np.zeros_like(b)
    for row in d:
        out[:] = row
    return out


def slope(X, W, b):
    return 1 - np.tanh(X @ W + b) ** 2


ROWS, COLUMNS = (Problem("bias", f, normal((5, 3), n), 1) for f, n in ((rows, 3), (columns, 5)))
ROWS_X = Problem("bias", rows, normal((5, 3), 3))
ROWS_SQUARE = Problem("bias", rows, normal((4, 4), 4), 1)
COLUMNS_SQUARE = Problem("bias", columns, normal((4, 4), 4), 1)
CHANNELS = Problem("bias", channels, normal((2, 3, 5, 7), 3), 1)
NUMBER = Problem("bias", number, normal((5, 3), ()), 1)
GRID_U, GRID_V = (Problem("bias", grid, normal(5, 3), n) for n in range(2))
SHIFTED = Problem("bias", shifted, normal((5, 3), (3, 7), 7), 2)
DIFFERENCES = Problem("bias", differences, normal(5))
CENTRED = Problem("bias", centred, normal((5, 3)))

CASES = [
    ROWS.right("rows", lambda d, X, b: d.sum(axis=0)),
    ROWS.right("rows, ones times d", lambda d, X, b: np.ones(len(X)) @ d),
    ROWS.right("rows, row by row", by_rows),
    ROWS.wrong("rows, not summed", lambda d, X, b: d, "missing-sum", "wrong-argument"),
    ROWS.wrong("rows, mean", lambda d, X, b: d.mean(axis=0), "mean-for-sum", "constant-factor"),
    ROWS.wrong("rows, sum of rows", lambda d, X, b: d.sum(axis=1), "wrong-axis"),
    ROWS.wrong("rows, one number", lambda d, X, b: np.full(b.shape, d.sum()), "wrong-axis"),
    ROWS.wrong("rows, the last", last_row, "overwritten-duplicates"),
    ROWS.wrong("rows, ones", lambda d, X, b: np.full(b.shape, 5.0), "missing-cotangent"),
    ROWS.wrong("rows, times b", lambda d, X, b: d.sum(axis=0) * b, "extra-factor"),
    ROWS.wrong(
        "rows, mean and sign",
        lambda d, X, b: -d.mean(axis=0),
        "mean-for-sum+sign",
        "constant-factor+sign",
    ),
    ROWS.wrong(
        "rows, the gradient of a weight", lambda d, X, b: (d * X).sum(axis=0), "extra-factor"
    ),
    ROWS_X.right("rows, by X", lambda d, X, b: d.copy()),
    ROWS_X.wrong("rows, by X, summed", lambda d, X, b: d.sum(axis=0), "wrong-argument"),
    ROWS_SQUARE.wrong("rows, square, sum of rows", lambda d, X, b: d.sum(axis=1), "wrong-axis"),
    COLUMNS.right("columns", lambda d, X, b: d @ np.ones(3)),
    COLUMNS.wrong(
        "columns, one kept axis",
        lambda d, X, b: d.sum(axis=1, keepdims=True).T,
        "transposed-layout",
    ),
    COLUMNS.wrong(
        "columns, mean", lambda d, X, b: d.mean(axis=1), "mean-for-sum", "constant-factor"
    ),
    COLUMNS.wrong("columns, sign", lambda d, X, b: -d.sum(axis=1), "sign"),
    COLUMNS_SQUARE.wrong(
        "columns, square, sum of columns", lambda d, X, b: d.sum(axis=0), "wrong-axis"
    ),
    CHANNELS.right("channels", lambda d, X, b: d.sum(axis=(0, 2, 3))),
    CHANNELS.right(
        "channels, flat", lambda d, X, b: d.transpose(1, 0, 2, 3).reshape(3, -1).sum(axis=1)
    ),
    CHANNELS.wrong("channels, batch left", lambda d, X, b: d.sum(axis=(2, 3)), "missing-sum"),
    CHANNELS.wrong(
        "channels, batch mean",
        lambda d, X, b: d.sum(axis=(2, 3)).mean(axis=0),
        "mean-for-sum",
        "constant-factor",
    ),
    CHANNELS.wrong(
        "channels, mean of pixels",
        lambda d, X, b: d.mean(axis=(2, 3)).sum(axis=0),
        "mean-for-sum",
        "constant-factor",
    ),
    CHANNELS.wrong(
        "channels, reshaped without a transpose",
        lambda d, X, b: d.reshape(3, -1).sum(axis=1),
        "vec-order",
        "permutation-not-inverted",
        "wrong-axis",
    ),
    CHANNELS.wrong("channels, last axis", lambda d, X, b: d.sum(axis=(0, 1, 2)), "wrong-axis"),
    NUMBER.right("a number", lambda d, X, b: d.sum()),
    NUMBER.wrong("a number, not summed", lambda d, X, b: d, "missing-sum", "wrong-argument"),
    NUMBER.wrong("a number, mean", lambda d, X, b: d.mean(), "mean-for-sum", "constant-factor"),
    NUMBER.wrong("a number, one axis", lambda d, X, b: d.sum(axis=0), "missing-sum"),
    GRID_U.right("grid by u", lambda d, u, v: d.sum(axis=1)),
    GRID_U.wrong(
        "grid by u, as by v", lambda d, u, v: d.sum(axis=0), "wrong-axis", "wrong-argument"
    ),
    GRID_U.wrong("grid by u, times v", lambda d, u, v: d @ v, "extra-factor"),
    GRID_V.wrong(
        "grid by v, mean", lambda d, u, v: d.mean(axis=0), "mean-for-sum", "constant-factor"
    ),
    GRID_V.right("grid by v", lambda d, u, v: np.einsum("ij->j", d)),
    SHIFTED.right("layer", lambda d, X, W, b: (d * slope(X, W, b)).sum(axis=0)),
    SHIFTED.wrong(
        "layer, no slope", lambda d, X, W, b: d.sum(axis=0), "missing-activation-derivative"
    ),
    SHIFTED.wrong("layer, not summed", lambda d, X, W, b: d * slope(X, W, b), "missing-sum"),
    SHIFTED.wrong(
        "layer, slope without b",
        lambda d, X, W, b: (d * slope(X, W, 0 * b)).sum(axis=0),
        "wrong-point",
    ),
    DIFFERENCES.right("differences", lambda d, x: d.sum(axis=1) - d.sum(axis=0)),
    DIFFERENCES.right("differences, antisymmetric part", lambda d, x: (d - d.T).sum(axis=1)),
    DIFFERENCES.wrong("differences, one use", lambda d, x: d.sum(axis=1), "missing-path"),
    DIFFERENCES.wrong("differences, the other use", lambda d, x: -d.sum(axis=0), "missing-path"),
    DIFFERENCES.wrong("differences, plus", lambda d, x: d.sum(axis=1) + d.sum(axis=0), "sign"),
    DIFFERENCES.wrong("differences, sign", lambda d, x: d.sum(axis=0) - d.sum(axis=1), "sign"),
    CENTRED.right("centred", lambda d, X: d - d.mean(axis=0, keepdims=True)),
    CENTRED.right("centred, a projection", lambda d, X: (np.eye(5) - np.full((5, 5), 0.2)) @ d),
    CENTRED.wrong(
        "centred, mean held fixed", lambda d, X: d, "treated-as-constant", "missing-path"
    ),
    CENTRED.wrong(
        "centred, mean of rows", lambda d, X: d - d.mean(axis=1, keepdims=True), "wrong-axis"
    ),
    CENTRED.wrong("centred, one mean", lambda d, X: d - d.mean(), "wrong-axis", "flattened-batch"),
    CENTRED.wrong(
        "centred, sum for mean",
        lambda d, X: d - d.sum(axis=0, keepdims=True),
        "constant-factor",
        "missing-factor",
    ),
    CENTRED.wrong("centred, plus", lambda d, X: d + d.mean(axis=0, keepdims=True), "sign"),
    CENTRED.wrong("centred, entry by entry", lambda d, X: d * (1 - 1 / len(X)), "diagonal-only"),
]
