"""Means: of everything, along an axis, weighted, over what a mask keeps, and centring."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def squared_error(P, T):
    """The mean of all squared differences, a number."""
    return ((P - T) ** 2).mean()


def over_rows(X):
    """The mean of each row's cubes."""
    return (X**3).mean(1)


def centred(X):
    """Each column less its mean."""
    return X - X.mean(0, keepdims=True)


def weighted(X, w):
    """The mean of the rows with positive weights."""
    return w @ X / w.sum()


def kept(X, mask):
    """Each row's mean over what the mask keeps."""
    return (jnp.exp(X) * mask).sum(1) / mask.sum(1)


def pair(rng):
    return rng.normal(size=(5, 7)), rng.normal(size=(5, 7))


def matrix(rng):
    return (rng.normal(size=(5, 7)),)


def weighted_args(rng):
    return rng.normal(size=(5, 7)), rng.uniform(0.5, 2, size=5)


def kept_args(rng):
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 1, 0], [1.0, 1, 1, 1, 0]])
    return rng.normal(size=(3, 5)), mask


def error_right(g, P, T):
    return 2 * g * (P - T) / P.size


def error_by_samples(g, P, T):
    """First the mean of each sample, then the mean over samples."""
    d_sample = np.full(len(P), g / len(P))
    return d_sample[:, None] / P.shape[1] * 2 * (P - T)


def error_undivided(g, P, T):
    return 2 * g * (P - T)


def error_divided_by_samples_only(g, P, T):
    return 2 * g * (P - T) / len(P)


def error_two_forgotten(g, P, T):
    return g * (P - T) / P.size


def error_sign(g, P, T):
    return 2 * g * (T - P) / P.size


def error_undivided_and_sign(g, P, T):
    return 2 * g * (T - P)


def error_cotangent_forgotten(g, P, T):
    return 2 * (P - T) / P.size


def error_value(g, P, T):
    return g * (P - T) ** 2 / P.size


def error_target_forgotten(g, P, T):
    return 2 * g * P / P.size


def error_as_absolute(g, P, T):
    return g * np.sign(P - T) / P.size


def error_slope_forgotten(g, P, T):
    return np.full_like(P, g / P.size)


def rows_right(g, X):
    return 3 * X**2 * g[:, None] / X.shape[1]


def rows_jacobian(g, X):
    ones = np.ones(X.shape[1]) / X.shape[1]
    return np.einsum("i,ij->ij", g, 3 * X**2 * ones)


def rows_divided_by_the_rows(g, X):
    return 3 * X**2 * g[:, None] / X.shape[0]


def rows_undivided(g, X):
    return 3 * X**2 * g[:, None]


def rows_cotangent_not_spread(g, X):
    return 3 * X**2 / X.shape[1]


def rows_slope_forgotten(g, X):
    return np.repeat(g[:, None] / X.shape[1], X.shape[1], axis=1)


def rows_value(g, X):
    return X**3 * g[:, None] / X.shape[1]


def rows_three_forgotten(g, X):
    return X**2 * g[:, None] / X.shape[1]


def centred_right(g, X):
    return g - g.mean(0)


def centred_matrix(g, X):
    n = len(X)
    return (np.eye(n) - np.full((n, n), 1 / n)) @ g


def centred_mean_constant(g, X):
    return g.copy()


def centred_along_rows(g, X):
    return g - g.mean(1, keepdims=True)


def centred_over_everything(g, X):
    return g - g.mean()


def centred_sum(g, X):
    return g - g.sum(0)


def centred_plus(g, X):
    return g + g.mean(0)


def centred_diagonal(g, X):
    return g * (1 - 1 / len(X))


def centred_mean_of_the_input(g, X):
    return g - X.mean(0)


def centred_mean_only(g, X):
    return np.broadcast_to(-g.mean(0), X.shape).copy()


def w_right(g, X, w):
    return (X - w @ X / w.sum()) @ g / w.sum()


def w_quotient_rule(g, X, w):
    total = w.sum()
    return X @ g / total - (w @ X @ g) / total**2


def w_total_constant(g, X, w):
    return X @ g / w.sum()


def w_total_forgotten(g, X, w):
    return (X - w @ X / w.sum()) @ g


def w_plus(g, X, w):
    return (X + w @ X / w.sum()) @ g / w.sum()


def w_not_summed(g, X, w):
    return (X - w @ X / w.sum()) * g / w.sum()


def rows_of_X_right(g, X, w):
    return np.outer(w, g) / w.sum()


def rows_of_X_weights_forgotten(g, X, w):
    return np.outer(np.ones_like(w), g) / w.sum()


def rows_of_X_undivided(g, X, w):
    return np.outer(w, g)


def kept_right(g, X, mask):
    return g[:, None] * np.exp(X) * mask / mask.sum(1, keepdims=True)


def kept_counted(g, X, mask):
    out = np.zeros_like(X)
    for i in range(len(X)):
        keep = mask[i] > 0
        out[i, keep] = g[i] * np.exp(X[i, keep]) / np.count_nonzero(keep)
    return out


def kept_divided_by_the_width(g, X, mask):
    return g[:, None] * np.exp(X) * mask / X.shape[1]


def kept_mask_forgotten(g, X, mask):
    return g[:, None] * np.exp(X) / mask.sum(1, keepdims=True)


def kept_undivided(g, X, mask):
    return g[:, None] * np.exp(X) * mask


def kept_exponential_forgotten(g, X, mask):
    return g[:, None] * mask / mask.sum(1, keepdims=True)


CASES = [
    Case("mean", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, squared_error, error_right, pair, ()),
        (0, squared_error, error_by_samples, pair, ()),
        (0, squared_error, error_undivided, pair, ("constant-factor",)),
        (0, squared_error, error_divided_by_samples_only, pair, ("constant-factor",)),
        (0, squared_error, error_two_forgotten, pair, ("constant-factor",)),
        (0, squared_error, error_sign, pair, ("sign", "wrong-argument")),
        (
            0,
            squared_error,
            error_undivided_and_sign,
            pair,
            ("constant-factor+sign", "constant-factor"),
        ),
        (0, squared_error, error_cotangent_forgotten, pair, ("missing-cotangent",)),
        (0, squared_error, error_value, pair, ("value-for-derivative",)),
        (0, squared_error, error_target_forgotten, pair, ("wrong-point", "missing-path")),
        (0, squared_error, error_as_absolute, pair, ("wrong-point",)),
        (0, squared_error, error_slope_forgotten, pair, ("missing-activation-derivative",)),
        (0, over_rows, rows_right, matrix, ()),
        (0, over_rows, rows_jacobian, matrix, ()),
        (0, over_rows, rows_divided_by_the_rows, matrix, ("constant-factor", "wrong-axis")),
        (0, over_rows, rows_undivided, matrix, ("constant-factor",)),
        (0, over_rows, rows_cotangent_not_spread, matrix, ("missing-cotangent",)),
        (0, over_rows, rows_slope_forgotten, matrix, ("missing-activation-derivative",)),
        (0, over_rows, rows_value, matrix, ("value-for-derivative",)),
        (0, over_rows, rows_three_forgotten, matrix, ("constant-factor",)),
        (0, centred, centred_right, matrix, ()),
        (0, centred, centred_matrix, matrix, ()),
        (0, centred, centred_mean_constant, matrix, ("treated-as-constant",)),
        (0, centred, centred_along_rows, matrix, ("wrong-axis",)),
        (0, centred, centred_over_everything, matrix, ("flattened-batch", "wrong-axis")),
        (0, centred, centred_sum, matrix, ("constant-factor",)),
        (0, centred, centred_plus, matrix, ("sign",)),
        (0, centred, centred_diagonal, matrix, ("diagonal-only",)),
        (0, centred, centred_mean_of_the_input, matrix, ("missing-cotangent",)),
        (0, centred, centred_mean_only, matrix, ("missing-path",)),
        (1, weighted, w_right, weighted_args, ()),
        (1, weighted, w_quotient_rule, weighted_args, ()),
        (1, weighted, w_total_constant, weighted_args, ("treated-as-constant",)),
        (1, weighted, w_total_forgotten, weighted_args, ("missing-factor",)),
        (1, weighted, w_plus, weighted_args, ("sign",)),
        (1, weighted, w_not_summed, weighted_args, ("missing-sum",)),
        (0, weighted, rows_of_X_right, weighted_args, ()),
        (0, weighted, rows_of_X_weights_forgotten, weighted_args, ("missing-factor",)),
        (0, weighted, rows_of_X_undivided, weighted_args, ("missing-factor",)),
        (0, kept, kept_right, kept_args, ()),
        (0, kept, kept_counted, kept_args, ()),
        (0, kept, kept_divided_by_the_width, kept_args, ("wrong-point", "missing-factor")),
        (0, kept, kept_mask_forgotten, kept_args, ("missing-factor",)),
        (0, kept, kept_undivided, kept_args, ("missing-factor",)),
        (0, kept, kept_exponential_forgotten, kept_args, ("missing-activation-derivative",)),
    ]
]
