"""Rearranging without arithmetic: reshape, vec, flip, roll, slices, pieces, repeats, diagonals."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Problem, normal


def regrouped(X):
    return X.reshape(3, 4)


def vec_by_columns(X):
    return X.T.reshape(-1)


def flattened(X, w):
    return X.reshape(2, -1) @ w


def flip(x):
    return x[::-1]


def flip_columns(X):
    return X[:, ::-1]


def roll(x):
    return jnp.roll(x, 2)


def joined(X, Y):
    return jnp.concatenate([X, Y], axis=1)


def repeated(x):
    return jnp.repeat(x, 3)


def tiled(x):
    return jnp.tile(x, 3)


def picked(x):
    return x[PICKS]


def scaled_flip(x, k):
    return jnp.cumsum(x[::-1] * k)


def differenced(x):
    return x[1:] - x[:-1]


def summed(x):
    return jnp.cumsum(x)


def strided(x):
    return x[1::2]


PICKS = np.array([1, 4, 4, 0, 1, 1])


def picks_added(d, x):
    out = np.zeros_like(x)
    np.add.at(out, PICKS, d)
    return out


def picks_one_hot(d, x):
    return np.eye(len(x))[PICKS].T @ d


def picks_counted(d, x):
    return np.bincount(PICKS, weights=d, minlength=len(x))


def picks_assigned(d, x):
    out = np.zeros_like(x)
    out[PICKS] = d
    return out


def picks_plus_equals(d, x):
    out = np.zeros_like(x)
    out[PICKS] += d  # adds once for each index, not for each occurrence
    return out


def picks_averaged(d, x):
    return picks_added(d, x) / np.maximum(np.bincount(PICKS, minlength=len(x)), 1)


def stride(d, x, start):
    out = np.zeros_like(x)
    out[start::2][: len(d)] = d
    return out


def difference_padded(d, x):
    return np.concatenate([[0], d]) - np.concatenate([d, [0]])


def difference_by_matrix(d, x):
    n = len(x)
    return (np.eye(n)[1:] - np.eye(n)[:-1]).T @ d


def difference_of_the_first(d, x):
    out = np.zeros_like(x)
    out[1:] = d
    return out


def difference_assigned(d, x):
    out = np.zeros_like(x)
    out[:-1] = -d
    out[1:] = d
    return out


REGROUPED = Problem("reshape", regrouped, normal((2, 6)))
VEC = Problem("reshape", vec_by_columns, normal((5, 3)))
FLATTENED_X, FLATTENED_W = (
    Problem("reshape", flattened, normal((2, 3, 5), (15, 7)), n) for n in range(2)
)
FLIP = Problem("reshape", flip, normal(7))
FLIP_COLUMNS = Problem("reshape", flip_columns, normal((5, 3)))
ROLL = Problem("reshape", roll, normal(7))
JOINED, JOINED_Y = (Problem("reshape", joined, normal((5, 3), (5, 2)), n) for n in range(2))
JOINED_EVEN = Problem("reshape", joined, normal((5, 3), (5, 3)))
REPEATED = Problem("reshape", repeated, normal(5))
TILED = Problem("reshape", tiled, normal(5))
PICKED = Problem("reshape", picked, normal(5))
STRIDED = Problem("reshape", strided, normal(8))
DIFFERENCED = Problem("reshape", differenced, normal(7))
SUMMED = Problem("reshape", summed, normal(7))
SCALED_FLIP = Problem("reshape", scaled_flip, normal(7, 7))

CASES = [
    REGROUPED.right("regrouped", lambda d, X: d.reshape(X.shape)),
    REGROUPED.right("regrouped, flat", lambda d, X: np.array(np.split(d.ravel(), 2))),
    REGROUPED.wrong(
        "regrouped, by columns", lambda d, X: d.reshape(X.shape, order="F"), "vec-order"
    ),
    REGROUPED.wrong(
        "regrouped, transposed first",
        lambda d, X: d.T.reshape(X.shape),
        "vec-order",
        "operand-not-transposed",
    ),
    REGROUPED.wrong(
        "regrouped, left as it came",
        lambda d, X: d,
        "permutation-not-inverted",
        "vec-order",
        "transposed-layout",
    ),
    REGROUPED.wrong("regrouped, sign", lambda d, X: -d.reshape(X.shape), "sign"),
    VEC.right("vec by columns", lambda d, X: d.reshape(X.shape, order="F")),
    VEC.right("vec by columns, transposed", lambda d, X: d.reshape(X.T.shape).T),
    VEC.wrong(
        "vec by columns, read by rows",
        lambda d, X: d.reshape(X.shape),
        "vec-order",
        "permutation-not-inverted",
    ),
    VEC.wrong(
        "vec by columns, no transpose back",
        lambda d, X: d.reshape(X.T.shape),
        "transposed-layout",
        "permutation-not-inverted",
    ),
    FLATTENED_X.right("flattened, by X", lambda d, X, w: (d @ w.T).reshape(X.shape)),
    FLATTENED_X.wrong(
        "flattened, by X, by columns",
        lambda d, X, w: (d @ w.T).reshape(X.shape, order="F"),
        "vec-order",
        "permutation-not-inverted",
    ),
    FLATTENED_X.wrong(
        "flattened, by X, axes swapped",
        lambda d, X, w: (d @ w.T).reshape(2, 5, 3).transpose(0, 2, 1),
        "vec-order",
        "permutation-not-inverted",
    ),
    FLATTENED_W.right("flattened, by w", lambda d, X, w: X.reshape(2, -1).T @ d),
    FLATTENED_W.wrong(
        "flattened, by w, by columns",
        lambda d, X, w: X.reshape(2, -1, order="F").T @ d,
        "vec-order",
        "permutation-not-inverted",
    ),
    FLATTENED_W.wrong(
        "flattened, by w, axes swapped",
        lambda d, X, w: X.transpose(0, 2, 1).reshape(2, -1).T @ d,
        "vec-order",
        "permutation-not-inverted",
    ),
    FLATTENED_W.wrong(
        "flattened, by w, reshaped where a transpose belongs",
        lambda d, X, w: X.reshape(-1, 2) @ d,
        "vec-order",
        "operand-not-transposed",
    ),
    FLIP.right("flip", lambda d, x: d[::-1]),
    FLIP.right("flip, an exchange matrix", lambda d, x: np.eye(7)[::-1] @ d),
    FLIP.wrong("flip, not back", lambda d, x: d, "not-flipped", "permutation-not-inverted"),
    FLIP_COLUMNS.right("flip columns", lambda d, X: d[:, ::-1]),
    FLIP_COLUMNS.wrong(
        "flip columns, not back", lambda d, X: d, "not-flipped", "permutation-not-inverted"
    ),
    FLIP_COLUMNS.wrong(
        "flip columns, rows flipped", lambda d, X: d[::-1], "wrong-axis", "not-flipped"
    ),
    ROLL.right("roll", lambda d, x: np.roll(d, -2)),
    ROLL.right("roll, two pieces", lambda d, x: np.concatenate([d[2:], d[:2]])),
    ROLL.wrong("roll, the same way", lambda d, x: np.roll(d, 2), "permutation-not-inverted"),
    ROLL.wrong("roll, not back", lambda d, x: d, "permutation-not-inverted"),
    JOINED.right("joined, first", lambda d, X, Y: d[:, :3]),
    JOINED_EVEN.wrong("joined, first, the second's", lambda d, X, Y: d[:, 3:], "wrong-argument"),
    JOINED_Y.right("joined, second", lambda d, X, Y: d @ np.eye(5)[:, 3:]),
    JOINED_Y.wrong("joined, second, from the start", lambda d, X, Y: d[:, :2], "wrong-argument"),
    REPEATED.right("repeated", lambda d, x: d.reshape(5, 3).sum(axis=1)),
    REPEATED.right("repeated, added up", lambda d, x: np.add.reduceat(d, np.arange(0, 15, 3))),
    REPEATED.wrong(
        "repeated, as tiled", lambda d, x: d.reshape(3, 5).sum(axis=0), "vec-order", "wrong-axis"
    ),
    REPEATED.wrong(
        "repeated, the first copy", lambda d, x: d[::3], "overwritten-duplicates", "missing-sum"
    ),
    REPEATED.wrong(
        "repeated, mean",
        lambda d, x: d.reshape(5, 3).mean(axis=1),
        "mean-for-sum",
        "constant-factor",
    ),
    TILED.right("tiled", lambda d, x: d[:5] + d[5:10] + d[10:]),
    TILED.wrong(
        "tiled, as repeated", lambda d, x: d.reshape(5, 3).sum(axis=1), "vec-order", "wrong-axis"
    ),
    TILED.wrong(
        "tiled, the last copy", lambda d, x: d[10:], "overwritten-duplicates", "missing-sum"
    ),
    TILED.wrong("tiled, not summed", lambda d, x: d.reshape(3, 5), "missing-sum"),
    PICKED.right("picked", picks_added),
    PICKED.right("picked, one-hot", picks_one_hot),
    PICKED.right("picked, counted", picks_counted),
    PICKED.wrong("picked, assigned", picks_assigned, "overwritten-duplicates"),
    PICKED.wrong("picked, plus equals", picks_plus_equals, "overwritten-duplicates"),
    PICKED.wrong("picked, averaged", picks_averaged, "mean-for-sum"),
    PICKED.wrong("picked, sign", lambda d, x: -picks_added(d, x), "sign"),
    STRIDED.right("strided", lambda d, x: stride(d, x, 1)),
    STRIDED.right(
        "strided, zeros between", lambda d, x: np.stack([np.zeros_like(d), d], axis=1).ravel()
    ),
    STRIDED.wrong(
        "strided, not spread",
        lambda d, x: np.concatenate([d, np.zeros(4)]),
        "permutation-not-inverted",
    ),
    DIFFERENCED.right("differences", difference_padded),
    DIFFERENCED.right("differences, a matrix", difference_by_matrix),
    DIFFERENCED.wrong("differences, first use", difference_of_the_first, "missing-path"),
    DIFFERENCED.wrong(
        "differences, one overwrites", difference_assigned, "overwritten-duplicates", "missing-path"
    ),
    DIFFERENCED.wrong("differences, sign", lambda d, x: -difference_padded(d, x), "sign"),
    DIFFERENCED.wrong(
        "differences, plus",
        lambda d, x: np.concatenate([[0], d]) + np.concatenate([d, [0]]),
        "sign",
    ),
    SUMMED.right("running sum", lambda d, x: np.cumsum(d[::-1])[::-1]),
    SUMMED.right("running sum, what is left", lambda d, x: d.sum() - np.cumsum(d) + d),
    SUMMED.right("running sum, a triangle", lambda d, x: np.triu(np.ones((7, 7))) @ d),
    SUMMED.wrong(
        "running sum, not reversed",
        lambda d, x: np.cumsum(d),
        "not-flipped",
        "operand-not-transposed",
    ),
    SUMMED.wrong("running sum, not turned back", lambda d, x: np.cumsum(d[::-1]), "not-flipped"),
    SUMMED.wrong("running sum, entry by entry", lambda d, x: d, "diagonal-only", "missing-sum"),
    SUMMED.wrong(
        "running sum, without its own", lambda d, x: d.sum() - np.cumsum(d), "missing-path"
    ),
    SCALED_FLIP.right("flip, scale, add up", lambda d, x, k: (np.cumsum(d[::-1])[::-1] * k)[::-1]),
    SCALED_FLIP.wrong(
        "flip, scale, add up, not flipped back",
        lambda d, x, k: np.cumsum(d[::-1])[::-1] * k,
        "not-flipped",
        "permutation-not-inverted",
    ),
    SCALED_FLIP.wrong(
        "flip, scale, add up, scale of x's order",
        lambda d, x, k: np.cumsum(d[::-1]) * k,
        "not-flipped",
        "permutation-not-inverted",
        "order-swapped",
    ),
    SCALED_FLIP.wrong(
        "flip, scale, add up, no scale", lambda d, x, k: np.cumsum(d[::-1]), "missing-factor"
    ),
]
