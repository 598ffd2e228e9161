"""Variance and standard deviation, covariance, and a variance of everything."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def unbiased(X):
    """Each column's variance, divided by n - 1."""
    return X.var(0, ddof=1)


def deviation(X):
    """Each row's standard deviation, divided by n."""
    return X.std(1)


def overall(x):
    """The variance of a vector, divided by n: a number."""
    return ((x - x.mean()) ** 2).mean()


def covariance(X):
    """Of the columns, divided by n - 1."""
    centred = X - X.mean(0, keepdims=True)
    return centred.T @ centred / (X.shape[0] - 1)


def uncentred(X):
    """Each column's mean of the squares less the square of the mean."""
    return jnp.sqrt((X**2).mean(0) - X.mean(0) ** 2)


def matrix(rng):
    return (rng.normal(size=(5, 7)) + 0.5,)


def vector(rng):
    return (rng.normal(size=7) + 0.5,)


def unbiased_right(g, X):
    return 2 * g * (X - X.mean(0)) / (len(X) - 1)


def unbiased_projected(g, X):
    """With the path through the mean written out, though it adds nought."""
    n = len(X)
    direct = 2 * g * (X - X.mean(0)) / (n - 1)
    return direct - direct.sum(0) / n


def unbiased_pairs(g, X):
    """From the differences of all pairs."""
    n = len(X)
    gaps = X[:, None, :] - X[None, :, :]
    return 2 * g * gaps.sum(1) / (n * (n - 1))


def unbiased_divided_by_n(g, X):
    return 2 * g * (X - X.mean(0)) / len(X)


def unbiased_two_forgotten(g, X):
    return g * (X - X.mean(0)) / (len(X) - 1)


def unbiased_not_centred(g, X):
    return 2 * g * X / (len(X) - 1)


def unbiased_centred_along_rows(g, X):
    return 2 * g * (X - X.mean(1, keepdims=True)) / (len(X) - 1)


def unbiased_centred_over_everything(g, X):
    return 2 * g * (X - X.mean()) / (len(X) - 1)


def unbiased_undivided(g, X):
    return 2 * g * (X - X.mean(0))


def unbiased_sign(g, X):
    return 2 * g * (X.mean(0) - X) / (len(X) - 1)


def unbiased_value(g, X):
    return g * (X - X.mean(0)) ** 2 / (len(X) - 1)


def unbiased_cotangent_forgotten(g, X):
    return 2 * (X - X.mean(0)) / (len(X) - 1)


def deviation_right(g, X):
    centred = X - X.mean(1, keepdims=True)
    return g[:, None] * centred / (X.shape[1] * X.std(1, keepdims=True))


def deviation_chain(g, X):
    dvar = g / (2 * np.sqrt(X.var(1)))
    return dvar[:, None] * 2 / X.shape[1] * (X - X.mean(1, keepdims=True))


def deviation_root_forgotten(g, X):
    return 2 * g[:, None] * (X - X.mean(1, keepdims=True)) / X.shape[1]


def deviation_two_kept(g, X):
    centred = X - X.mean(1, keepdims=True)
    return 2 * g[:, None] * centred / (X.shape[1] * X.std(1, keepdims=True))


def deviation_by_the_variance(g, X):
    centred = X - X.mean(1, keepdims=True)
    return g[:, None] * centred / (X.shape[1] * X.var(1, keepdims=True))


def deviation_multiplied(g, X):
    """The root's value where its slope belongs."""
    centred = X - X.mean(1, keepdims=True)
    return g[:, None] * 2 * centred / X.shape[1] * X.std(1, keepdims=True)


def deviation_divided_by_the_rows(g, X):
    centred = X - X.mean(1, keepdims=True)
    return g[:, None] * centred / (X.shape[0] * X.std(1, keepdims=True))


def deviation_not_centred(g, X):
    return g[:, None] * X / (X.shape[1] * X.std(1, keepdims=True))


def overall_right(g, x):
    return 2 * g * (x - x.mean()) / x.size


def overall_matrix(g, x):
    n = x.size
    H = np.eye(n) - 1 / n
    return 2 * g / n * H.T @ H @ x


def overall_not_centred(g, x):
    return 2 * g * x / x.size


def overall_undivided(g, x):
    return 2 * g * (x - x.mean())


def overall_unbiased(g, x):
    return 2 * g * (x - x.mean()) / (x.size - 1)


def overall_undivided_and_sign(g, x):
    return 2 * g * (x.mean() - x)


def covariance_right(g, X):
    centred = X - X.mean(0)
    return centred @ (g + g.T) / (len(X) - 1)


def covariance_both_sides(g, X):
    centred = X - X.mean(0)
    d = (np.einsum("ij,nj->ni", g, centred) + np.einsum("ij,ni->nj", g, centred)) / (len(X) - 1)
    return d - d.mean(0)


def covariance_one_side(g, X):
    return (X - X.mean(0)) @ g / (len(X) - 1)


def covariance_as_if_symmetric(g, X):
    return 2 * (X - X.mean(0)) @ g / (len(X) - 1)


def covariance_not_centred(g, X):
    return X @ (g + g.T) / (len(X) - 1)


def covariance_divided_by_n(g, X):
    return (X - X.mean(0)) @ (g + g.T) / len(X)


def covariance_diagonal(g, X):
    """The variances alone: what lies off the diagonal is dropped."""
    return 2 * (X - X.mean(0)) * np.diag(g) / (len(X) - 1)


def covariance_transposed(g, X):
    return (g + g.T) @ (X - X.mean(0)).T / (len(X) - 1)


def uncentred_right(g, X):
    root = np.sqrt((X**2).mean(0) - X.mean(0) ** 2)
    return g / (2 * root) * (2 * X - 2 * X.mean(0)) / len(X)


def uncentred_square_of_mean_forgotten(g, X):
    root = np.sqrt((X**2).mean(0) - X.mean(0) ** 2)
    return g / root * X / len(X)


def uncentred_mean_of_squares_forgotten(g, X):
    root = np.sqrt((X**2).mean(0) - X.mean(0) ** 2)
    return -g / root * X.mean(0) * np.ones_like(X) / len(X)


def uncentred_plus(g, X):
    root = np.sqrt((X**2).mean(0) - X.mean(0) ** 2)
    return g / root * (X + X.mean(0)) / len(X)


def uncentred_mean_not_divided(g, X):
    root = np.sqrt((X**2).mean(0) - X.mean(0) ** 2)
    return g / root * (X / len(X) - X.mean(0))


CASES = [
    Case("variance", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (unbiased, unbiased_right, matrix, ()),
        (unbiased, unbiased_projected, matrix, ()),
        (unbiased, unbiased_pairs, matrix, ()),
        (unbiased, unbiased_divided_by_n, matrix, ("constant-factor",)),
        (unbiased, unbiased_two_forgotten, matrix, ("constant-factor",)),
        (unbiased, unbiased_not_centred, matrix, ("wrong-point", "missing-path")),
        (unbiased, unbiased_centred_along_rows, matrix, ("wrong-axis",)),
        (unbiased, unbiased_centred_over_everything, matrix, ("flattened-batch", "wrong-axis")),
        (unbiased, unbiased_undivided, matrix, ("constant-factor",)),
        (unbiased, unbiased_sign, matrix, ("sign",)),
        (unbiased, unbiased_value, matrix, ("value-for-derivative",)),
        (unbiased, unbiased_cotangent_forgotten, matrix, ("missing-cotangent",)),
        (deviation, deviation_right, matrix, ()),
        (deviation, deviation_chain, matrix, ()),
        (
            deviation,
            deviation_root_forgotten,
            matrix,
            ("missing-activation-derivative", "missing-factor"),
        ),
        (deviation, deviation_two_kept, matrix, ("constant-factor",)),
        (deviation, deviation_by_the_variance, matrix, ("extra-factor",)),
        (deviation, deviation_multiplied, matrix, ("value-for-derivative",)),
        (deviation, deviation_divided_by_the_rows, matrix, ("constant-factor", "wrong-axis")),
        (deviation, deviation_not_centred, matrix, ("wrong-point", "missing-path")),
        (overall, overall_right, vector, ()),
        (overall, overall_matrix, vector, ()),
        (overall, overall_not_centred, vector, ("wrong-point", "missing-path")),
        (overall, overall_undivided, vector, ("constant-factor",)),
        (overall, overall_unbiased, vector, ("constant-factor",)),
        (overall, overall_undivided_and_sign, vector, ("constant-factor+sign", "constant-factor")),
        (covariance, covariance_right, matrix, ()),
        (covariance, covariance_both_sides, matrix, ()),
        (covariance, covariance_one_side, matrix, ("missing-path",)),
        (
            covariance,
            covariance_as_if_symmetric,
            matrix,
            ("operand-not-transposed", "missing-path"),
        ),
        (covariance, covariance_not_centred, matrix, ("wrong-point", "missing-path")),
        (covariance, covariance_divided_by_n, matrix, ("constant-factor",)),
        (covariance, covariance_diagonal, matrix, ("diagonal-only",)),
        (covariance, covariance_transposed, matrix, ("transposed-layout",)),
        (uncentred, uncentred_right, matrix, ()),
        (uncentred, uncentred_square_of_mean_forgotten, matrix, ("missing-path",)),
        (uncentred, uncentred_mean_of_squares_forgotten, matrix, ("missing-path",)),
        (uncentred, uncentred_plus, matrix, ("sign",)),
        (uncentred, uncentred_mean_not_divided, matrix, ("constant-factor",)),
    ]
]
