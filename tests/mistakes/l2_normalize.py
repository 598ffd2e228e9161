"""Vectors divided by their length: one vector, each row, and weights with a learned length."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def unit(x):
    return x / jnp.linalg.norm(x)


def unit_rows(X):
    return X / jnp.sqrt((X**2).sum(1, keepdims=True))


def weight_norm(x, V, s):
    """Rows x times weights whose columns have the lengths s."""
    return x @ (V / jnp.sqrt((V**2).sum(0, keepdims=True)) * s[None, :])


def vector(rng):
    return (rng.normal(size=7),)


def matrix(rng):
    return (rng.normal(size=(5, 7)),)


def weight_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 7)), rng.uniform(0.5, 2, size=7)


# one vector


def unit_projection(g, x):
    r = np.linalg.norm(x)
    u = x / r
    return (g - u * (u @ g)) / r


def unit_matrix(g, x):
    r2 = x @ x
    return (np.eye(x.size) - np.outer(x, x) / r2) @ g / np.sqrt(r2)


def unit_quotient_rule(g, x):
    r = np.sqrt(x @ x)
    dr = -(g @ x) / r**2
    return g / r + dr * x / r


def unit_length_constant(g, x):
    return g / np.linalg.norm(x)


def unit_length_path_only(g, x):
    return -x * (g @ x) / np.linalg.norm(x) ** 3


def unit_length_left_out(g, x):
    """Projects and does not divide by the length."""
    u = x / np.linalg.norm(x)
    return g - u * (u @ g)


def unit_length_squared(g, x):
    u = x / np.linalg.norm(x)
    return (g - u * (u @ g)) / (x @ x)


def unit_not_normalised_inside(g, x):
    return (g - x * (x @ g)) / np.linalg.norm(x)


def unit_plus(g, x):
    r = np.linalg.norm(x)
    u = x / r
    return (g + u * (u @ g)) / r


def unit_diagonal(g, x):
    r = np.linalg.norm(x)
    return g * (1 / r - x**2 / r**3)


def unit_two_kept(g, x):
    """The square's 2 kept, the root's half lost."""
    r = np.linalg.norm(x)
    return g / r - 2 * x * (g @ x) / r**3


# each row


def rows_projection(g, X):
    r = np.linalg.norm(X, axis=1, keepdims=True)
    U = X / r
    return (g - U * (g * U).sum(1, keepdims=True)) / r


def rows_loop(g, X):
    return np.stack([unit_matrix(d, x) for d, x in zip(g, X, strict=True)])


def rows_over_the_batch(g, X):
    r = np.linalg.norm(X, axis=1, keepdims=True)
    U = X / r
    return (g - U * (g * U).sum(0, keepdims=True)) / r


def rows_of_the_whole_matrix(g, X):
    r = np.linalg.norm(X)
    return (g - X * (g * X).sum() / r**2) / r


def rows_inner_product_of_all(g, X):
    r = np.linalg.norm(X, axis=1, keepdims=True)
    U = X / r
    return (g - U * (g * U).sum()) / r


def rows_mean(g, X):
    r = np.linalg.norm(X, axis=1, keepdims=True)
    U = X / r
    return (g - U * (g * U).mean(1, keepdims=True)) / r


def rows_length_constant(g, X):
    return g / np.linalg.norm(X, axis=1, keepdims=True)


def rows_unsummed(g, X):
    r = np.linalg.norm(X, axis=1, keepdims=True)
    U = X / r
    return (g - U * (g * U)) / r


# learned lengths


def V_right(g, x, V, s):
    r = np.linalg.norm(V, axis=0)
    dW = x.T @ g * s
    U = V / r
    return (dW - U * (dW * U).sum(0)) / r


def V_by_the_gradient_of_the_lengths(g, x, V, s):
    r = np.linalg.norm(V, axis=0)
    dW = x.T @ g
    ds = np.einsum("ij,ij->j", dW, V) / r
    return s / r * dW - s * ds / r**2 * V


def V_lengths_constant(g, x, V, s):
    return s / np.linalg.norm(V, axis=0) * (x.T @ g)


def V_scale_forgotten(g, x, V, s):
    return V_right(g, x, V, np.ones_like(s))


def V_scale_twice(g, x, V, s):
    return s * V_right(g, x, V, s)


def V_rows_normalised(g, x, V, s):
    r = np.linalg.norm(V, axis=0)
    dW = x.T @ g * s
    U = V / r
    return (dW - U * (dW * U).sum(1, keepdims=True)) / r


def s_right(g, x, V, s):
    return (x.T @ g * V).sum(0) / np.linalg.norm(V, axis=0)


def s_not_normalised(g, x, V, s):
    return (x.T @ g * V).sum(0)


def s_unsummed(g, x, V, s):
    return x.T @ g * V / np.linalg.norm(V, axis=0)


def s_mean(g, x, V, s):
    return (x.T @ g * V).mean(0) / np.linalg.norm(V, axis=0)


CASES = [
    Case("l2_normalize", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, unit, unit_projection, vector, ()),
        (0, unit, unit_matrix, vector, ()),
        (0, unit, unit_quotient_rule, vector, ()),
        (0, unit, unit_length_constant, vector, ("treated-as-constant",)),
        (0, unit, unit_length_path_only, vector, ("missing-path",)),
        (0, unit, unit_length_left_out, vector, ("missing-factor",)),
        (0, unit, unit_length_squared, vector, ("extra-factor",)),
        (0, unit, unit_not_normalised_inside, vector, ("missing-factor", "wrong-point")),
        (0, unit, unit_plus, vector, ("sign",)),
        (0, unit, unit_diagonal, vector, ("diagonal-only",)),
        (0, unit, unit_two_kept, vector, ("constant-factor",)),
        (0, unit_rows, rows_projection, matrix, ()),
        (0, unit_rows, rows_loop, matrix, ()),
        (0, unit_rows, rows_over_the_batch, matrix, ("wrong-axis",)),
        (0, unit_rows, rows_of_the_whole_matrix, matrix, ("flattened-batch", "wrong-axis")),
        (0, unit_rows, rows_inner_product_of_all, matrix, ("flattened-batch", "wrong-axis")),
        (0, unit_rows, rows_mean, matrix, ("mean-for-sum", "constant-factor")),
        (0, unit_rows, rows_length_constant, matrix, ("treated-as-constant",)),
        (0, unit_rows, rows_unsummed, matrix, ("diagonal-only", "missing-sum")),
        (1, weight_norm, V_right, weight_args, ()),
        (1, weight_norm, V_by_the_gradient_of_the_lengths, weight_args, ()),
        (1, weight_norm, V_lengths_constant, weight_args, ("treated-as-constant",)),
        (1, weight_norm, V_scale_forgotten, weight_args, ("missing-factor",)),
        (1, weight_norm, V_scale_twice, weight_args, ("extra-factor",)),
        (1, weight_norm, V_rows_normalised, weight_args, ("wrong-axis",)),
        (2, weight_norm, s_right, weight_args, ()),
        (2, weight_norm, s_not_normalised, weight_args, ("missing-factor",)),
        (2, weight_norm, s_unsummed, weight_args, ("missing-sum",)),
        (2, weight_norm, s_mean, weight_args, ("mean-for-sum", "constant-factor")),
    ]
]
