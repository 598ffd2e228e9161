"""Layer norm: each row standardised over its features, then scaled and shifted."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case

EPS = 1e-5


def forward(X, gamma, beta):
    centred = X - X.mean(1, keepdims=True)
    std = jnp.sqrt(X.var(1, keepdims=True) + EPS)
    return centred / std * gamma[None, :] + beta[None, :]


def args(rng):
    return 2 * rng.normal(size=(5, 7)) - 1, rng.normal(size=7) + 2, rng.normal(size=7)


def standardised(X):
    std = np.sqrt(X.var(1, keepdims=True) + EPS)
    return (X - X.mean(1, keepdims=True)) / std, std


# by X, right


def fused(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    c1 = np.sum(xhat * d, axis=1, keepdims=True) / X.shape[1]
    c2 = np.sum(d, axis=1, keepdims=True) / X.shape[1]
    return (d - (xhat * c1 + c2)) / std


def projection(g, X, gamma, beta):
    """Project off the ones first, then off the standardised row."""
    xhat, std = standardised(X)
    n = X.shape[1]
    d = (g @ np.diag(gamma)) @ (np.eye(n) - np.ones((n, n)) / n)
    return (d - xhat * np.einsum("ij,ij->i", d, xhat)[:, None] / n) / std


def row_loop(g, X, gamma, beta):
    n = X.shape[1]
    out = np.zeros_like(X)
    for i, row in enumerate(X):
        centred = row - row.sum() / n
        rstd = 1 / np.sqrt(centred @ centred / n + EPS)
        for j in range(n):
            for k in range(n):
                slope = rstd * ((j == k) - 1 / n) - centred[j] * centred[k] * rstd**3 / n
                out[i, k] += g[i, j] * gamma[j] * slope
    return out


# by X, wrong


def statistics_constant(g, X, gamma, beta):
    return g * gamma / standardised(X)[1]


def variance_constant(g, X, gamma, beta):
    d = g * gamma
    return (d - d.mean(1, keepdims=True)) / standardised(X)[1]


def mean_constant(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - xhat * (d * xhat).mean(1, keepdims=True)) / std


def over_the_batch(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - d.mean(0) - xhat * (d * xhat).mean(0)) / std


def gamma_forgotten(g, X, gamma, beta):
    return fused(g, X, np.ones_like(gamma), beta)


def gamma_outside(g, X, gamma, beta):
    """Scales the gradient by gamma after the projection, where it belongs before."""
    return gamma * fused(g, X, np.ones_like(gamma), beta)


def gamma_applied_twice(g, X, gamma, beta):
    return fused(g * gamma, X, gamma, beta)


def variance_for_deviation(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - d.mean(1, keepdims=True) - xhat * (d * xhat).mean(1, keepdims=True)) / std**2


def sum_for_mean_in_the_variance(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - d.mean(1, keepdims=True) - xhat * (d * xhat).sum(1, keepdims=True)) / std


def sign_of_the_variance(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - d.mean(1, keepdims=True) + xhat * (d * xhat).mean(1, keepdims=True)) / std


def centred_for_standardised(g, X, gamma, beta):
    _, std = standardised(X)
    centred = X - X.mean(1, keepdims=True)
    d = g * gamma
    return (d - d.mean(1, keepdims=True) - centred * (d * centred).mean(1, keepdims=True)) / std


def diagonal(g, X, gamma, beta):
    xhat, std = standardised(X)
    n = X.shape[1]
    return g * gamma * (1 - 1 / n - xhat * xhat / n) / std


def whole_array(g, X, gamma, beta):
    std = np.sqrt(X.var() + EPS)
    xhat = (X - X.mean()) / std
    d = g * gamma
    return (d - d.mean() - xhat * np.mean(d * xhat)) / std


# by gamma and beta


def gamma_diagonal_of_product(g, X, gamma, beta):
    return np.diag(g.T @ standardised(X)[0])


def gamma_unsummed(g, X, gamma, beta):
    return standardised(X)[0] * g


def gamma_summed_over_features(g, X, gamma, beta):
    return (standardised(X)[0] * g).sum(axis=1)


def gamma_mean(g, X, gamma, beta):
    return np.mean(standardised(X)[0] * g, axis=0)


def gamma_not_scaled(g, X, gamma, beta):
    return np.sum((X - X.mean(1, keepdims=True)) * g, axis=0)


def gamma_gets_beta(g, X, gamma, beta):
    return g.sum(axis=0)


def beta_loop(g, X, gamma, beta):
    total = np.zeros_like(beta)
    for row in g:
        total += row
    return total


def beta_mean(g, X, gamma, beta):
    return g.mean(axis=0)


def beta_last_sample(g, X, gamma, beta):
    """Assigns in the loop over the samples where it should add."""
    total = np.zeros_like(beta)
    for row in g:
        total = row
    return total.copy()


CASES = [
    Case("layer_norm", b.__name__.replace("_", " "), argnum, forward, b, args, kinds)
    for argnum, b, kinds in [
        (0, fused, ()),
        (0, projection, ()),
        (0, row_loop, ()),
        (0, statistics_constant, ("treated-as-constant",)),
        (0, variance_constant, ("treated-as-constant", "missing-path")),
        (0, mean_constant, ("treated-as-constant", "missing-path")),
        (0, over_the_batch, ("wrong-axis",)),
        (0, gamma_forgotten, ("missing-factor",)),
        (0, gamma_outside, ("order-swapped",)),
        (0, gamma_applied_twice, ("extra-factor",)),
        (0, variance_for_deviation, ("extra-factor",)),
        (0, sum_for_mean_in_the_variance, ("constant-factor",)),
        (0, sign_of_the_variance, ("sign",)),
        (0, centred_for_standardised, ("missing-factor", "wrong-point")),
        (0, diagonal, ("diagonal-only",)),
        (0, whole_array, ("flattened-batch", "wrong-axis")),
        (1, gamma_diagonal_of_product, ()),
        (1, gamma_unsummed, ("missing-sum",)),
        (1, gamma_summed_over_features, ("wrong-axis",)),
        (1, gamma_mean, ("mean-for-sum", "constant-factor")),
        (1, gamma_not_scaled, ("missing-factor", "wrong-point")),
        (1, gamma_gets_beta, ("wrong-argument", "missing-factor")),
        (2, beta_loop, ()),
        (2, beta_mean, ("mean-for-sum", "constant-factor")),
        (2, beta_last_sample, ("overwritten-duplicates", "missing-sum")),
    ]
]
