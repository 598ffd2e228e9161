"""Quotients: entry by entry, by a column, by a sum, of two functions."""

import numpy as np

from tests.mistakes import Case


def quotient(a, b):
    return a / b


def by_column(X, s):
    return X / s[:, None]


def shares(X):
    """Each row divided by its sum."""
    return X / X.sum(1, keepdims=True)


def rational(x):
    """The quotient x / (1 + x²)."""
    return x / (1 + x**2)


def pair(rng):
    return rng.normal(size=(5, 3)), rng.uniform(0.5, 2, size=(5, 3))


def column_args(rng):
    return rng.normal(size=(5, 7)), rng.uniform(0.5, 2, size=5)


def positive(rng):
    return (rng.uniform(0.5, 2, size=(5, 3)),)


def vector(rng):
    return (rng.normal(size=11),)


def numerator_right(g, a, b):
    return g / b


def numerator_by_the_reciprocal(g, a, b):
    return np.multiply(g, np.reciprocal(b))


def numerator_multiplied(g, a, b):
    return g * b


def numerator_squared(g, a, b):
    return g / b**2


def numerator_divisor_forgotten(g, a, b):
    return g.copy()


def numerator_divided_by_a(g, a, b):
    return g / a


def numerator_value(g, a, b):
    return g * a / b


def denominator_right(g, a, b):
    return -g * a / b**2


def denominator_by_the_output(g, a, b):
    y = a / b
    return -g * y / b


def denominator_sign(g, a, b):
    return g * a / b**2


def denominator_first_power(g, a, b):
    return -g * a / b


def denominator_numerator_forgotten(g, a, b):
    return -g / b**2


def denominator_is_numerator(g, a, b):
    return g / b


def denominator_squared_numerator(g, a, b):
    return -g * b / a**2


def denominator_cotangent_forgotten(g, a, b):
    return -a / b**2


def column_right(g, X, s):
    return -(g * X).sum(1) / s**2


def column_einsum(g, X, s):
    return np.einsum("ij,ij,i,i->i", g, X, -1 / s, 1 / s)


def column_unsummed(g, X, s):
    return -g * X / s[:, None] ** 2


def column_mean(g, X, s):
    return -(g * X).mean(1) / s**2


def column_plus(g, X, s):
    return (g * X).sum(1) / s**2


def column_once(g, X, s):
    return -(g * X).sum(1) / s


def column_without_X(g, X, s):
    return -g.sum(1) / s**2


def column_mean_and_sign(g, X, s):
    return (g * X).mean(1) / s**2


def shares_right(g, X):
    total = X.sum(1, keepdims=True)
    return g / total - (g * X).sum(1, keepdims=True) / total**2


def shares_by_the_output(g, X):
    Y = X / X.sum(1, keepdims=True)
    return (g - (g * Y).sum(1, keepdims=True)) / X.sum(1, keepdims=True)


def shares_row_jacobian(g, X):
    out = np.empty_like(X)
    for i, row in enumerate(X):
        total = row.sum()
        J = np.eye(row.size) / total - row[:, None] / total**2
        out[i] = g[i] @ J
    return out


def shares_jacobian_not_transposed(g, X):
    out = np.empty_like(X)
    for i, row in enumerate(X):
        total = row.sum()
        J = np.eye(row.size) / total - row[:, None] / total**2
        out[i] = J @ g[i]
    return out


def shares_total_constant(g, X):
    return g / X.sum(1, keepdims=True)


def shares_total_only(g, X):
    return -(g * X).sum(1, keepdims=True) / X.sum(1, keepdims=True) ** 2 * np.ones_like(X)


def shares_plus(g, X):
    total = X.sum(1, keepdims=True)
    return g / total + (g * X).sum(1, keepdims=True) / total**2


def shares_diagonal(g, X):
    total = X.sum(1, keepdims=True)
    return g * (1 / total - X / total**2)


def shares_of_columns(g, X):
    Y = X / X.sum(0, keepdims=True)
    return (g - (g * Y).sum(0, keepdims=True)) / X.sum(0, keepdims=True)


def shares_as_softmax(g, X):
    Y = X / X.sum(1, keepdims=True)
    return Y * (g - (g * Y).sum(1, keepdims=True))


def rational_right(g, x):
    return g * (1 - x**2) / (1 + x**2) ** 2


def rational_product_rule(g, x):
    q = 1 + x**2
    return g / q - g * x * 2 * x / q**2


def rational_rule_in_reverse(g, x):
    """The two products of the quotient rule subtracted the wrong way round."""
    return g * (x**2 - 1) / (1 + x**2) ** 2


def rational_sum(g, x):
    return g * (1 + 3 * x**2) / (1 + x**2) ** 2


def rational_denominator_unsquared(g, x):
    return g * (1 - x**2) / (1 + x**2)


def rational_denominator_constant(g, x):
    return g / (1 + x**2)


def rational_inner_two_forgotten(g, x):
    return g / (1 + x**2) - g * x**2 / (1 + x**2) ** 2


CASES = [
    Case("division", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, quotient, numerator_right, pair, ()),
        (0, quotient, numerator_by_the_reciprocal, pair, ()),
        (0, quotient, numerator_multiplied, pair, ("wrong-point", "inverse-for-transpose")),
        (0, quotient, numerator_squared, pair, ("extra-factor",)),
        (0, quotient, numerator_divisor_forgotten, pair, ("missing-factor",)),
        (0, quotient, numerator_divided_by_a, pair, ("wrong-point", "wrong-argument")),
        (0, quotient, numerator_value, pair, ("extra-factor", "value-for-derivative")),
        (1, quotient, denominator_right, pair, ()),
        (1, quotient, denominator_by_the_output, pair, ()),
        (1, quotient, denominator_sign, pair, ("sign",)),
        (1, quotient, denominator_first_power, pair, ("missing-factor",)),
        (1, quotient, denominator_numerator_forgotten, pair, ("missing-factor",)),
        (1, quotient, denominator_is_numerator, pair, ("wrong-argument",)),
        (1, quotient, denominator_squared_numerator, pair, ("order-swapped", "wrong-argument")),
        (1, quotient, denominator_cotangent_forgotten, pair, ("missing-cotangent",)),
        (1, by_column, column_right, column_args, ()),
        (1, by_column, column_einsum, column_args, ()),
        (1, by_column, column_unsummed, column_args, ("missing-sum",)),
        (1, by_column, column_mean, column_args, ("mean-for-sum", "constant-factor")),
        (1, by_column, column_plus, column_args, ("sign",)),
        (1, by_column, column_once, column_args, ("missing-factor",)),
        (1, by_column, column_without_X, column_args, ("missing-factor",)),
        (1, by_column, column_mean_and_sign, column_args, ("mean-for-sum+sign", "constant-factor")),
        (0, shares, shares_right, positive, ()),
        (0, shares, shares_by_the_output, positive, ()),
        (0, shares, shares_row_jacobian, positive, ()),
        (0, shares, shares_jacobian_not_transposed, positive, ("operand-not-transposed",)),
        (0, shares, shares_total_constant, positive, ("treated-as-constant",)),
        (0, shares, shares_total_only, positive, ("missing-path",)),
        (0, shares, shares_plus, positive, ("sign",)),
        (0, shares, shares_diagonal, positive, ("diagonal-only",)),
        (0, shares, shares_of_columns, positive, ("wrong-axis",)),
        (0, shares, shares_as_softmax, positive, ("wrong-point",)),
        (0, rational, rational_right, vector, ()),
        (0, rational, rational_product_rule, vector, ()),
        (0, rational, rational_rule_in_reverse, vector, ("sign",)),
        (0, rational, rational_sum, vector, ("sign",)),
        (0, rational, rational_denominator_unsquared, vector, ("missing-factor",)),
        (0, rational, rational_denominator_constant, vector, ("treated-as-constant",)),
        (0, rational, rational_inner_two_forgotten, vector, ("constant-factor", "missing-path")),
    ]
]
