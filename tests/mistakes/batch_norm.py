"""Batch norm: each column standardised over the samples (rows), then scaled and shifted."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case

EPS = 1e-5


def forward(X, gamma, beta):
    mu, var = X.mean(0, keepdims=True), X.var(0, keepdims=True)
    return (X - mu) / jnp.sqrt(var + EPS) * gamma[None, :] + beta[None, :]


def args(rng):
    return 2 * rng.normal(size=(7, 5)) + 1, rng.normal(size=5) + 2, rng.normal(size=5)


def standardised(X):
    std = np.sqrt(X.var(0) + EPS)
    return (X - X.mean(0)) / std, std


# by X, right


def closed_form(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - d.mean(0) - xhat * (d * xhat).mean(0)) / std


def step_by_step(g, X, gamma, beta):
    n = len(X)
    centred = X - X.mean(0)
    var = X.var(0)
    dxhat = g * gamma
    dvar = (dxhat * centred * -0.5 * (var + EPS) ** -1.5).sum(0)
    dmu = (-dxhat / np.sqrt(var + EPS)).sum(0) + dvar * (-2 * centred).mean(0)
    return dxhat / np.sqrt(var + EPS) + dvar * 2 * centred / n + dmu / n


def jacobian_of_each_column(g, X, gamma, beta):
    n = len(X)
    xhat, std = standardised(X)
    out = np.empty_like(X)
    for c in range(X.shape[1]):
        jacobian = (np.eye(n) - 1 / n - np.outer(xhat[:, c], xhat[:, c]) / n) / std[c]
        out[:, c] = gamma[c] * jacobian.T @ g[:, c]
    return out


def sums_of_the_parameter_gradients(g, X, gamma, beta):
    n = len(X)
    xhat, std = standardised(X)
    dgamma, dbeta = np.einsum("ij,ij->j", g, xhat), g.sum(0)
    return gamma / (n * std) * (n * g - dbeta - xhat * dgamma)


# by X, wrong


def statistics_constant(g, X, gamma, beta):
    return g * gamma / standardised(X)[1]


def variance_constant(g, X, gamma, beta):
    d = g * gamma
    return (d - d.mean(0)) / standardised(X)[1]


def mean_constant(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - xhat * (d * xhat).mean(0)) / std


def gamma_forgotten(g, X, gamma, beta):
    xhat, std = standardised(X)
    return (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std


def gamma_twice(g, X, gamma, beta):
    return gamma * closed_form(g, X, gamma, beta)


def standard_deviation_forgotten(g, X, gamma, beta):
    xhat, _ = standardised(X)
    d = g * gamma
    return d - d.mean(0) - xhat * (d * xhat).mean(0)


def divided_by_the_variance(g, X, gamma, beta):
    xhat, _ = standardised(X)
    d = g * gamma
    return (d - d.mean(0) - xhat * (d * xhat).mean(0)) / (X.var(0) + EPS)


def averages_over_the_features(g, X, gamma, beta):
    xhat, std = standardised(X)
    d = g * gamma
    return (d - d.mean(1, keepdims=True) - xhat * (d * xhat).mean(1, keepdims=True)) / std


def statistics_of_the_whole_batch(g, X, gamma, beta):
    std = np.sqrt(X.var() + EPS)
    xhat = (X - X.mean()) / std
    d = g * gamma
    return (d - d.mean() - xhat * (d * xhat).mean()) / std


def sign_lost(g, X, gamma, beta):
    return -closed_form(g, X, gamma, beta)


def only_the_diagonal(g, X, gamma, beta):
    n = len(X)
    xhat, std = standardised(X)
    return g * gamma * (1 - 1 / n - xhat**2 / n) / std


# by gamma and beta


def gamma_einsum(g, X, gamma, beta):
    return np.einsum("nc,nc->c", g, standardised(X)[0])


def gamma_deferred_mean(g, X, gamma, beta):
    return ((g * X).sum(0) - X.mean(0) * g.sum(0)) / np.sqrt(X.var(0) + EPS)


def gamma_without_the_sum(g, X, gamma, beta):
    return g * standardised(X)[0]


def gamma_averaged(g, X, gamma, beta):
    return (g * standardised(X)[0]).mean(0)


def gamma_with_the_raw_input(g, X, gamma, beta):
    return (g * X).sum(0)


def gamma_with_the_output_for_the_cotangent(g, X, gamma, beta):
    xhat, _ = standardised(X)
    output = xhat * gamma + beta
    return (output * xhat).sum(0)


def gamma_with_the_output_for_the_input(g, X, gamma, beta):
    return (g * (standardised(X)[0] * gamma + beta)).sum(0)


def beta_sum(g, X, gamma, beta):
    return np.ones(len(X)) @ g


def beta_without_the_sum(g, X, gamma, beta):
    return g.copy()


def beta_over_the_features(g, X, gamma, beta):
    return g.sum(1)


def beta_times_gamma(g, X, gamma, beta):
    return (g * gamma).sum(0)


def beta_is_the_gradient_by_gamma(g, X, gamma, beta):
    return (g * standardised(X)[0]).sum(0)


CASES = [
    Case("batch_norm", b.__name__.replace("_", " "), argnum, forward, b, args, kinds)
    for argnum, b, kinds in [
        (0, closed_form, ()),
        (0, step_by_step, ()),
        (0, jacobian_of_each_column, ()),
        (0, sums_of_the_parameter_gradients, ()),
        (0, statistics_constant, ("treated-as-constant",)),
        (0, variance_constant, ("treated-as-constant", "missing-path")),
        (0, mean_constant, ("treated-as-constant", "missing-path")),
        (0, gamma_forgotten, ("missing-factor",)),
        (0, gamma_twice, ("extra-factor",)),
        (0, standard_deviation_forgotten, ("missing-factor",)),
        (0, divided_by_the_variance, ("extra-factor",)),
        (0, averages_over_the_features, ("wrong-axis",)),
        (0, statistics_of_the_whole_batch, ("flattened-batch", "wrong-axis")),
        (0, sign_lost, ("sign",)),
        (0, only_the_diagonal, ("diagonal-only",)),
        (1, gamma_einsum, ()),
        (1, gamma_deferred_mean, ()),
        (1, gamma_without_the_sum, ("missing-sum",)),
        (1, gamma_averaged, ("mean-for-sum", "constant-factor")),
        (1, gamma_with_the_raw_input, ("wrong-point",)),
        (1, gamma_with_the_output_for_the_cotangent, ("missing-cotangent",)),
        (1, gamma_with_the_output_for_the_input, ("wrong-point",)),
        (2, beta_sum, ()),
        (2, beta_without_the_sum, ("missing-sum",)),
        (2, beta_over_the_features, ("wrong-axis",)),
        (2, beta_times_gamma, ("extra-factor",)),
        (2, beta_is_the_gradient_by_gamma, ("wrong-argument", "extra-factor")),
    ]
]
