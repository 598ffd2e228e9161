"""Arrays of different ranks brought together: a bias, an outer sum, an outer product, a tile."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def biased(X, b):
    return jnp.tanh(X + b[None, :])


def scaled_rows(X, a):
    return X * a[:, None]


def outer(a, b):
    return a[:, None] * b[None, :]


def outer_sum(a, b):
    return jnp.exp(a[:, None] + b[None, :])


def repeated(x):
    """A vector spread over rows that are weighted 1, 2, 3, ..."""
    return jnp.broadcast_to(x[None, :], (5, x.size)) * (1.0 + jnp.arange(5))[:, None]


def by_scalar(s, X):
    return s * X


def matrix_and_vector(rng):
    return rng.normal(size=(5, 7)), rng.normal(size=7)


def matrix_and_column(rng):
    return rng.normal(size=(5, 7)), rng.normal(size=5)


def vectors(rng):
    return rng.normal(size=5), rng.normal(size=7)


def same_vectors(rng):
    return rng.normal(size=5), rng.normal(size=5)


def vector(rng):
    return (rng.normal(size=7),)


def scalar_and_matrix(rng):
    return np.asarray(rng.normal()), rng.normal(size=(5, 7))


def bias_sum(g, X, b):
    return (g / np.cosh(X + b) ** 2).sum(0)


def bias_ones(g, X, b):
    return np.ones(len(X)) @ (g * (1 - np.tanh(X + b) ** 2))


def bias_unsummed(g, X, b):
    return g * (1 - np.tanh(X + b) ** 2)


def bias_over_columns(g, X, b):
    return (g * (1 - np.tanh(X + b) ** 2)).sum(1)


def bias_averaged(g, X, b):
    return (g * (1 - np.tanh(X + b) ** 2)).mean(0)


def bias_without_slope(g, X, b):
    return g.sum(0)


def bias_slope_without_bias(g, X, b):
    return (g * (1 - np.tanh(X) ** 2)).sum(0)


def bias_slope_at_the_output(g, X, b):
    return (g * (1 - np.tanh(np.tanh(X + b)) ** 2)).sum(0)


def column_einsum(g, X, a):
    return np.einsum("ij,ij->i", g, X)


def column_diagonal(g, X, a):
    return np.diag(g @ X.T)


def column_unsummed(g, X, a):
    return g * X


def column_along_the_rows(g, X, a):
    return (g * X).sum(0)


def column_without_the_matrix(g, X, a):
    return g.sum(1)


def column_mean(g, X, a):
    return (g * X).mean(1)


def matrix_times_column(g, X, a):
    return np.diag(a) @ g


def matrix_without_column(g, X, a):
    return g.copy()


def outer_first(g, a, b):
    return g @ b


def outer_first_by_rows(g, a, b):
    return np.array([row @ b for row in g])


def outer_first_by_the_other_side(g, a, b):
    return g.T @ b


def outer_first_is_second(g, a, b):
    return a @ g


def outer_first_without_b(g, a, b):
    return g.sum(1)


def exponential_first(g, a, b):
    return np.exp(a) * (g @ np.exp(b))


def exponential_first_direct(g, a, b):
    return (g * np.exp(np.add.outer(a, b))).sum(1)


def exponential_without_b(g, a, b):
    return g.sum(1) * np.exp(a)


def exponential_without_value(g, a, b):
    return g.sum(1)


def exponential_not_summed(g, a, b):
    return g * np.exp(np.add.outer(a, b))


def repeated_right(g, x):
    return np.arange(1.0, 6.0) @ g


def repeated_loop(g, x):
    total = np.zeros_like(x)
    for i, row in enumerate(g):
        total += (i + 1) * row
    return total


def repeated_overwritten(g, x):
    total = np.zeros_like(x)
    for i, row in enumerate(g):
        total[:] = (i + 1) * row
    return total


def repeated_weights_missing(g, x):
    return g.sum(0)


def repeated_mean(g, x):
    return np.arange(1.0, 6.0) @ g / 5


def scalar_inner_product(g, s, X):
    return np.vdot(X, g)


def scalar_trace(g, s, X):
    return np.trace(g.T @ X)


def scalar_unsummed(g, s, X):
    return g * X


def scalar_mean(g, s, X):
    return (g * X).mean()


def scalar_with_itself(g, s, X):
    return s * (g * X).sum()


def scalar_rows_only(g, s, X):
    return (g * X).sum(0)


CASES = [
    Case("broadcast", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (1, biased, bias_sum, matrix_and_vector, ()),
        (1, biased, bias_ones, matrix_and_vector, ()),
        (1, biased, bias_unsummed, matrix_and_vector, ("missing-sum",)),
        (1, biased, bias_over_columns, matrix_and_vector, ("wrong-axis",)),
        (1, biased, bias_averaged, matrix_and_vector, ("mean-for-sum", "constant-factor")),
        (1, biased, bias_without_slope, matrix_and_vector, ("missing-activation-derivative",)),
        (1, biased, bias_slope_without_bias, matrix_and_vector, ("wrong-point",)),
        (1, biased, bias_slope_at_the_output, matrix_and_vector, ("wrong-point",)),
        (1, scaled_rows, column_einsum, matrix_and_column, ()),
        (1, scaled_rows, column_diagonal, matrix_and_column, ()),
        (1, scaled_rows, column_unsummed, matrix_and_column, ("missing-sum",)),
        (1, scaled_rows, column_along_the_rows, matrix_and_column, ("wrong-axis",)),
        (1, scaled_rows, column_without_the_matrix, matrix_and_column, ("missing-factor",)),
        (1, scaled_rows, column_mean, matrix_and_column, ("mean-for-sum", "constant-factor")),
        (0, scaled_rows, matrix_times_column, matrix_and_column, ()),
        (0, scaled_rows, matrix_without_column, matrix_and_column, ("missing-factor",)),
        (0, outer, outer_first, vectors, ()),
        (0, outer, outer_first_by_rows, vectors, ()),
        (
            0,
            outer,
            outer_first_by_the_other_side,
            same_vectors,
            ("operand-not-transposed", "wrong-axis"),
        ),
        (0, outer, outer_first_is_second, vectors, ("wrong-argument",)),
        (0, outer, outer_first_without_b, vectors, ("missing-factor",)),
        (0, outer_sum, exponential_first, vectors, ()),
        (0, outer_sum, exponential_first_direct, vectors, ()),
        (0, outer_sum, exponential_without_b, vectors, ("wrong-point", "missing-factor")),
        (0, outer_sum, exponential_without_value, vectors, ("missing-activation-derivative",)),
        (0, outer_sum, exponential_not_summed, vectors, ("missing-sum",)),
        (0, repeated, repeated_right, vector, ()),
        (0, repeated, repeated_loop, vector, ()),
        (0, repeated, repeated_overwritten, vector, ("overwritten-duplicates", "missing-sum")),
        (0, repeated, repeated_weights_missing, vector, ("missing-factor",)),
        (0, repeated, repeated_mean, vector, ("mean-for-sum", "constant-factor")),
        (0, by_scalar, scalar_inner_product, scalar_and_matrix, ()),
        (0, by_scalar, scalar_trace, scalar_and_matrix, ()),
        (0, by_scalar, scalar_unsummed, scalar_and_matrix, ("missing-sum",)),
        (0, by_scalar, scalar_mean, scalar_and_matrix, ("mean-for-sum", "constant-factor")),
        (0, by_scalar, scalar_with_itself, scalar_and_matrix, ("extra-factor",)),
        (0, by_scalar, scalar_rows_only, scalar_and_matrix, ("missing-sum",)),
    ]
]
