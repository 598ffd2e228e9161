"""Scale and shift: a X + b by columns, by a number, and as features modulated by a condition."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def columns(X, a, b):
    """Column j times a[j], plus b[j]."""
    return X * a[None, :] + b[None, :]


def number(X, a):
    """The whole times a number, through a sine."""
    return jnp.sin(a * X)


def modulated(X, c, A, B):
    """The condition c gives each column's scale A c and shift B c, around 1."""
    return X * (1 + A @ c)[None, :] + (B @ c)[None, :]


def columns_args(rng):
    return rng.normal(size=(5, 7)), rng.normal(size=7), rng.normal(size=7)


def number_args(rng):
    return rng.normal(size=(5, 7)), np.asarray(rng.uniform(0.5, 2))


def modulated_args(rng):
    shapes = (5, 7), 3, (7, 3), (7, 3)
    return tuple(rng.normal(size=shape) for shape in shapes)


def X_right(g, X, a, b):
    return g * a


def X_diagonal_matrix(g, X, a, b):
    return g @ np.diag(a)


def X_scale_forgotten(g, X, a, b):
    return g.copy()


def X_scale_twice(g, X, a, b):
    return g * a**2


def X_divided(g, X, a, b):
    return g / a


def X_shift_for_scale(g, X, a, b):
    return g * b


def X_scale_without_cotangent(g, X, a, b):
    return np.tile(a, (len(X), 1))


def a_right(g, X, a, b):
    return (g * X).sum(0)


def a_column_inner_products(g, X, a, b):
    return np.array([g[:, j] @ X[:, j] for j in range(X.shape[1])])


def a_not_summed(g, X, a, b):
    return g * X


def a_over_the_columns(g, X, a, b):
    return (g * X).sum(1)


def a_mean(g, X, a, b):
    return (g * X).mean(0)


def a_with_the_output(g, X, a, b):
    return (g * (X * a + b)).sum(0)


def a_input_forgotten(g, X, a, b):
    return g.sum(0)


def a_output_for_cotangent(g, X, a, b):
    return ((X * a + b) * X).sum(0)


def a_sign_and_mean(g, X, a, b):
    return -(g * X).mean(0)


def b_right(g, X, a, b):
    return g.sum(0)


def b_rows_added(g, X, a, b):
    return np.add.reduce(list(g))


def b_scaled(g, X, a, b):
    return g.sum(0) * a


def b_not_summed(g, X, a, b):
    return g.copy()


def b_ones(g, X, a, b):
    return np.full_like(b, len(X))


def b_mean(g, X, a, b):
    return g.mean(axis=0)


# a number


def number_right(g, X, a):
    return np.sum(g * X * np.cos(a * X))


def number_inner_product(g, X, a):
    return g.ravel() @ (np.cos(a * X) * X).ravel()


def number_not_summed(g, X, a):
    return g * X * np.cos(a * X)


def number_inner_slope_forgotten(g, X, a):
    return np.sum(g * np.cos(a * X))


def number_of_the_bare_input(g, X, a):
    return np.sum(g * X * np.cos(X))


def number_value(g, X, a):
    return np.sum(g * X * np.sin(a * X))


def number_sign(g, X, a):
    return -np.sum(g * X * np.cos(a * X))


def number_slope_by_X(g, X, a):
    return np.sum(g * a * np.cos(a * X))


def number_slope_forgotten(g, X, a):
    return np.sum(g * X)


# modulated


def c_right(g, X, c, A, B):
    return A.T @ (g * X).sum(0) + B.T @ g.sum(0)


def c_einsum(g, X, c, A, B):
    return np.einsum("nj,nj,jk->k", g, X, A) + np.einsum("nj,jk->k", g, B)


def c_scale_only(g, X, c, A, B):
    return A.T @ (g * X).sum(0)


def c_shift_only(g, X, c, A, B):
    return B.T @ g.sum(0)


def c_matrices_exchanged(g, X, c, A, B):
    return B.T @ (g * X).sum(0) + A.T @ g.sum(0)


def c_scale_not_times_X(g, X, c, A, B):
    return A.T @ g.sum(0) + B.T @ g.sum(0)


def c_mean(g, X, c, A, B):
    return A.T @ (g * X).mean(0) + B.T @ g.mean(0)


def x_right(g, X, c, A, B):
    return g * (1 + A @ c)


def x_one_forgotten(g, X, c, A, B):
    return g * (A @ c)


def x_scale_forgotten(g, X, c, A, B):
    return g.copy()


def A_right(g, X, c, A, B):
    return np.outer((g * X).sum(0), c)


def A_transposed(g, X, c, A, B):
    return np.outer(c, (g * X).sum(0))


def A_gets_that_of_B(g, X, c, A, B):
    return np.outer(g.sum(0), c)


def A_condition_forgotten(g, X, c, A, B):
    return np.outer((g * X).sum(0), np.ones_like(c))


CASES = [
    Case("scale_shift", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, columns, X_right, columns_args, ()),
        (0, columns, X_diagonal_matrix, columns_args, ()),
        (0, columns, X_scale_forgotten, columns_args, ("missing-factor",)),
        (0, columns, X_scale_twice, columns_args, ("extra-factor",)),
        (0, columns, X_divided, columns_args, ("inverse-for-transpose", "wrong-point")),
        (0, columns, X_shift_for_scale, columns_args, ("wrong-point", "wrong-argument")),
        (0, columns, X_scale_without_cotangent, columns_args, ("missing-cotangent",)),
        (1, columns, a_right, columns_args, ()),
        (1, columns, a_column_inner_products, columns_args, ()),
        (1, columns, a_not_summed, columns_args, ("missing-sum",)),
        (1, columns, a_over_the_columns, columns_args, ("wrong-axis",)),
        (1, columns, a_mean, columns_args, ("mean-for-sum", "constant-factor")),
        (1, columns, a_with_the_output, columns_args, ("wrong-point",)),
        (1, columns, a_input_forgotten, columns_args, ("missing-factor", "wrong-argument")),
        (1, columns, a_output_for_cotangent, columns_args, ("missing-cotangent",)),
        (1, columns, a_sign_and_mean, columns_args, ("mean-for-sum+sign", "constant-factor+sign")),
        (2, columns, b_right, columns_args, ()),
        (2, columns, b_rows_added, columns_args, ()),
        (2, columns, b_scaled, columns_args, ("extra-factor",)),
        (2, columns, b_not_summed, columns_args, ("missing-sum",)),
        (2, columns, b_ones, columns_args, ("missing-cotangent",)),
        (2, columns, b_mean, columns_args, ("mean-for-sum", "constant-factor")),
        (1, number, number_right, number_args, ()),
        (1, number, number_inner_product, number_args, ()),
        (1, number, number_not_summed, number_args, ("missing-sum",)),
        (1, number, number_inner_slope_forgotten, number_args, ("missing-factor",)),
        (1, number, number_of_the_bare_input, number_args, ("wrong-point",)),
        (1, number, number_value, number_args, ("value-for-derivative",)),
        (1, number, number_sign, number_args, ("sign",)),
        (1, number, number_slope_by_X, number_args, ("wrong-argument", "wrong-point")),
        (1, number, number_slope_forgotten, number_args, ("missing-activation-derivative",)),
        (1, modulated, c_right, modulated_args, ()),
        (1, modulated, c_einsum, modulated_args, ()),
        (1, modulated, c_scale_only, modulated_args, ("missing-path",)),
        (1, modulated, c_shift_only, modulated_args, ("missing-path",)),
        (1, modulated, c_matrices_exchanged, modulated_args, ("order-swapped", "wrong-point")),
        (1, modulated, c_scale_not_times_X, modulated_args, ("missing-factor",)),
        (1, modulated, c_mean, modulated_args, ("mean-for-sum", "constant-factor")),
        (0, modulated, x_right, modulated_args, ()),
        (0, modulated, x_one_forgotten, modulated_args, ("missing-path", "missing-factor")),
        (0, modulated, x_scale_forgotten, modulated_args, ("missing-factor", "missing-path")),
        (2, modulated, A_right, modulated_args, ()),
        (2, modulated, A_transposed, modulated_args, ("transposed-layout",)),
        (2, modulated, A_gets_that_of_B, modulated_args, ("wrong-argument", "missing-factor")),
        (2, modulated, A_condition_forgotten, modulated_args, ("missing-factor",)),
    ]
]
