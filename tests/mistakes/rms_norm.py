"""RMS norm: each row divided by its root mean square, then scaled."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case

EPS = 1e-6


def forward(X, gamma):
    return X / jnp.sqrt((X**2).mean(-1, keepdims=True) + EPS) * gamma[None, :]


def args(rng):
    return rng.normal(size=(3, 7)) + 0.5, rng.normal(size=7) + 1


def root(X):
    return np.sqrt((X**2).mean(-1, keepdims=True) + EPS)


def closed_form(g, X, gamma):
    r = root(X)
    d = g * gamma
    return d / r - X * (d * X).mean(-1, keepdims=True) / r**3


def normalised_form(g, X, gamma):
    r = root(X)
    y = X / r
    return (g * gamma - y * np.einsum("nj,j,nj->n", g, gamma, y)[:, None] / X.shape[1]) / r


def product_rule_through_the_scale(g, X, gamma):
    inverse = ((X**2).mean(-1, keepdims=True) + EPS) ** -0.5
    d = gamma * g
    dinverse = np.sum(d * X, -1, keepdims=True)
    dmean = -0.5 * inverse**3 * dinverse
    return d * inverse + np.broadcast_to(dmean / X.shape[-1], X.shape) * 2 * X


def root_constant(g, X, gamma):
    return g * gamma / root(X)


def only_the_root(g, X, gamma):
    return -X * (g * gamma * X).mean(-1, keepdims=True) / root(X) ** 3


def mean_subtracted_as_in_layer_norm(g, X, gamma):
    r = root(X)
    d = g * gamma
    y = X / r
    return (d - d.mean(-1, keepdims=True) - y * (d * y).mean(-1, keepdims=True)) / r


def gamma_forgotten(g, X, gamma):
    r = root(X)
    return g / r - X * (g * X).mean(-1, keepdims=True) / r**3


def gamma_forgotten_in_the_second_term(g, X, gamma):
    r = root(X)
    return g * gamma / r - X * (g * X).mean(-1, keepdims=True) / r**3


def sum_for_mean(g, X, gamma):
    r = root(X)
    d = g * gamma
    return d / r - X * (d * X).sum(-1, keepdims=True) / r**3


def half_forgotten(g, X, gamma):
    """Derivative of the square kept its 2 and that of the root lost its 1/2."""
    r = root(X)
    d = g * gamma
    return d / r - 2 * X * (d * X).mean(-1, keepdims=True) / r**3


def first_power_of_the_root(g, X, gamma):
    r = root(X)
    d = g * gamma
    return d / r - X * (d * X).mean(-1, keepdims=True) / r


def plus_for_minus(g, X, gamma):
    r = root(X)
    d = g * gamma
    return d / r + X * (d * X).mean(-1, keepdims=True) / r**3


def over_the_batch(g, X, gamma):
    r = root(X)
    d = g * gamma
    return d / r - X * (d * X).mean(0, keepdims=True) / r**3


def diagonal(g, X, gamma):
    r = root(X)
    return g * gamma * (1 / r - X**2 / X.shape[1] / r**3)


def gamma_as_matrix_diagonal(g, X, gamma):
    return np.einsum("nj,nj->j", g, X / root(X))


def gamma_without_root(g, X, gamma):
    return (g * X).sum(0)


def gamma_without_sum(g, X, gamma):
    return g * X / root(X)


def gamma_with_gamma(g, X, gamma):
    return (g * X / root(X) * gamma).sum(0)


def gamma_without_input(g, X, gamma):
    return (g / root(X)).sum(0)


CASES = [
    Case("rms_norm", b.__name__.replace("_", " "), argnum, forward, b, args, kinds)
    for argnum, b, kinds in [
        (0, closed_form, ()),
        (0, normalised_form, ()),
        (0, product_rule_through_the_scale, ()),
        (0, root_constant, ("treated-as-constant",)),
        (0, only_the_root, ("missing-path",)),
        (0, mean_subtracted_as_in_layer_norm, ("wrong-point",)),
        (0, gamma_forgotten, ("missing-factor",)),
        (0, gamma_forgotten_in_the_second_term, ("missing-factor",)),
        (0, sum_for_mean, ("constant-factor",)),
        (0, half_forgotten, ("constant-factor",)),
        (0, first_power_of_the_root, ("missing-factor",)),
        (0, plus_for_minus, ("sign",)),
        (0, over_the_batch, ("wrong-axis",)),
        (0, diagonal, ("diagonal-only",)),
        (1, gamma_as_matrix_diagonal, ()),
        (1, gamma_without_root, ("missing-factor",)),
        (1, gamma_without_sum, ("missing-sum",)),
        (1, gamma_with_gamma, ("extra-factor",)),
        (1, gamma_without_input, ("missing-factor",)),
    ]
]
