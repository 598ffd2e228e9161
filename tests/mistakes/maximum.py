"""The larger of two arrays, the largest of each row, a hinge loss, a clip."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def larger(a, b):
    return jnp.maximum(a, b)


def largest(X):
    """Of each row."""
    return X.max(axis=1)


def hinge(w, X, y):
    """Mean of max(0, 1 - y X w), a number."""
    return jnp.maximum(0.0, 1 - y * (X @ w)).mean()


def clipped(x):
    return jnp.clip(3 * x, -2.0, 2.0)


def pair(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


def matrix(rng):
    return (rng.normal(size=(5, 7)),)


def square(rng):
    return (rng.normal(size=(6, 6)),)


def labelled(rng):
    y = np.resize([1.0, -1, -1, 1, 1, -1, 1], 23)  # enough for samples on both sides of the hinge
    return rng.normal(size=3) + 3, rng.normal(size=(23, 3)), y


def vector(rng):
    return (rng.normal(size=13),)


def larger_mask(g, a, b):
    return g * (a > b)


def larger_assigned(g, a, b):
    out = np.zeros_like(a)
    out[a >= b] = g[a >= b]
    return out


def larger_by_signs(g, a, b):
    """From max(a, b) = (a + b + |a - b|) / 2."""
    return g * (1 + np.sign(a - b)) / 2


def larger_mask_forgotten(g, a, b):
    return g.copy()


def larger_wrong_branch(g, a, b):
    return g * (a < b)


def larger_times_value(g, a, b):
    return g * a * (a > b)


def larger_against_nought(g, a, b):
    return g * (a > 0)


def larger_cotangent_forgotten(g, a, b):
    return (a > b).astype(float)


def largest_mask(g, X):
    return g[:, None] * (X.max(1, keepdims=True) == X)


def largest_scattered(g, X):
    out = np.zeros_like(X)
    np.put_along_axis(out, X.argmax(1)[:, None], g[:, None], axis=1)
    return out


def largest_one_hot(g, X):
    return np.diag(g) @ np.eye(X.shape[1])[X.argmax(1)]


def largest_of_the_column(g, X):
    return g[:, None] * (X.max(0, keepdims=True) == X)


def largest_of_all(g, X):
    return g[:, None] * (X.max() == X)


def largest_everywhere(g, X):
    return np.repeat(g[:, None], X.shape[1], axis=1)


def largest_smallest(g, X):
    return g[:, None] * (X.min(1, keepdims=True) == X)


def largest_value(g, X):
    return g[:, None] * X * (X.max(1, keepdims=True) == X)


def largest_without_cotangent(g, X):
    return (X.max(1, keepdims=True) == X).astype(float)


def largest_cotangent_along_columns(g, X):
    """Broadcasts the cotangent as a row; the matrix is square."""
    return g * (X.max(1, keepdims=True) == X)


def largest_softly(g, X):
    """The derivative of the log of the summed exponentials."""
    e = np.exp(X - X.max(1, keepdims=True))
    return g[:, None] * e / e.sum(1, keepdims=True)


def hinge_right(g, w, X, y):
    active = y * (X @ w) < 1
    return -g * X.T @ (y * active) / len(y)


def hinge_violators(g, w, X, y):
    bad = [i for i in range(len(y)) if 1 - y[i] * (X[i] @ w) > 0]
    return g * sum(-y[i] * X[i] for i in bad) / len(y)


def hinge_sign(g, w, X, y):
    return g * X.T @ (y * (y * (X @ w) < 1)) / len(y)


def hinge_undivided(g, w, X, y):
    return -g * X.T @ (y * (y * (X @ w) < 1))


def hinge_all_samples(g, w, X, y):
    return -g * X.T @ y / len(y)


def hinge_labels_missing(g, w, X, y):
    return -g * X.T @ (y * (X @ w) < 1).astype(float) / len(y)


def hinge_undivided_and_sign(g, w, X, y):
    return g * X.T @ (y * (y * (X @ w) < 1))


def hinge_without_cotangent(g, w, X, y):
    return -X.T @ (y * (y * (X @ w) < 1)) / len(y)


def hinge_value_for_mask(g, w, X, y):
    return -g * X.T @ (y * np.maximum(0, 1 - y * (X @ w))) / len(y)


def clip_right(g, x):
    return 3 * g * (np.abs(3 * x) < 2)


def clip_from_the_output(g, x):
    y = np.clip(3 * x, -2, 2)
    return np.where((y > -2) & (y < 2), 3.0, 0.0) * g


def clip_straight_through(g, x):
    return 3 * g


def clip_three_forgotten(g, x):
    return g * (np.abs(3 * x) < 2)


def clip_of_the_bare_input(g, x):
    return 3 * g * (np.abs(x) < 2)


CASES = [
    Case("maximum", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (larger, larger_mask, pair, ()),
        (larger, larger_assigned, pair, ()),
        (larger, larger_by_signs, pair, ()),
        (larger, larger_mask_forgotten, pair, ("missing-factor", "missing-activation-derivative")),
        (larger, larger_wrong_branch, pair, ("missing-cotangent", "wrong-argument")),
        (larger, larger_times_value, pair, ("extra-factor", "value-for-derivative")),
        (larger, larger_against_nought, pair, ("wrong-point",)),
        (larger, larger_cotangent_forgotten, pair, ("missing-cotangent",)),
        (largest, largest_mask, matrix, ()),
        (largest, largest_scattered, matrix, ()),
        (largest, largest_one_hot, matrix, ()),
        (largest, largest_of_the_column, matrix, ("wrong-axis",)),
        (largest, largest_of_all, matrix, ("flattened-batch", "wrong-axis")),
        (
            largest,
            largest_everywhere,
            matrix,
            ("missing-factor", "missing-activation-derivative"),
        ),
        (largest, largest_smallest, matrix, ("wrong-point",)),
        (largest, largest_value, matrix, ("extra-factor", "value-for-derivative")),
        (largest, largest_without_cotangent, matrix, ("missing-cotangent",)),
        (largest, largest_cotangent_along_columns, square, ("wrong-axis",)),
        (largest, largest_softly, matrix, ("wrong-point",)),
        (hinge, hinge_right, labelled, ()),
        (hinge, hinge_violators, labelled, ()),
        (hinge, hinge_sign, labelled, ("sign",)),
        (hinge, hinge_undivided, labelled, ("constant-factor",)),
        (hinge, hinge_all_samples, labelled, ("missing-factor", "missing-activation-derivative")),
        (hinge, hinge_labels_missing, labelled, ("missing-factor",)),
        (hinge, hinge_undivided_and_sign, labelled, ("constant-factor+sign", "constant-factor")),
        (hinge, hinge_without_cotangent, labelled, ("missing-cotangent",)),
        (hinge, hinge_value_for_mask, labelled, ("value-for-derivative",)),
        (clipped, clip_right, vector, ()),
        (clipped, clip_from_the_output, vector, ()),
        (
            clipped,
            clip_straight_through,
            vector,
            ("missing-activation-derivative", "missing-factor"),
        ),
        (clipped, clip_three_forgotten, vector, ("constant-factor", "missing-factor")),
        (clipped, clip_of_the_bare_input, vector, ("wrong-point",)),
    ]
]
