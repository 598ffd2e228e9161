"""Powers: a fixed exponent, an exponent that is an argument, a sum of powers."""

import numpy as np

from tests.mistakes import Case


def cubed(X):
    return X**3


def general(x, p):
    """Entry by entry, x to the power p."""
    return x**p


def root_of_sum(x):
    """The 3-norm of a positive vector."""
    return (x**3).sum() ** (1 / 3)


def quadratic(X, w):
    """(X w)² for each row."""
    return (X @ w) ** 2


def matrix(rng):
    return (rng.normal(size=(5, 3)),)


def positive(rng):
    return rng.uniform(0.5, 2, size=7), rng.uniform(1, 3, size=7)


def positive_vector(rng):
    return (rng.uniform(0.5, 2, size=7),)


def linear_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=3)


def cubed_right(g, X):
    return 3 * X**2 * g


def cubed_from_the_output(g, X):
    return 3 * g * X**3 / X


def cubed_product_rule(g, X):
    return g * X * X + X * g * X + X * X * g


def cubed_three_forgotten(g, X):
    return X**2 * g


def cubed_exponent_not_lowered(g, X):
    return 3 * X**3 * g


def cubed_value(g, X):
    return X**3 * g


def cubed_one_product_term(g, X):
    """One of the three equal terms of the product rule left out."""
    return g * X * X + X * g * X


def cubed_without_cotangent(g, X):
    return 3 * X**2


def cubed_output_for_cotangent(g, X):
    return 3 * X**2 * X**3


def base_right(g, x, p):
    return g * p * x ** (p - 1)


def base_by_logarithm(g, x, p):
    return g * np.exp(p * np.log(x)) * p / x


def base_without_exponent(g, x, p):
    return g * x ** (p - 1)


def base_not_lowered(g, x, p):
    return g * p * x**p


def base_swapped(g, x, p):
    return g * x * p ** (x - 1)


def base_is_gradient_by_exponent(g, x, p):
    return g * x**p * np.log(x)


def exponent_right(g, x, p):
    return g * x**p * np.log(x)


def exponent_as_e_to_the(g, x, p):
    log = np.log(x)
    return log * np.exp(p * log) * g


def exponent_log_forgotten(g, x, p):
    return g * x**p


def exponent_log_of_exponent(g, x, p):
    return g * x**p * np.log(p)


def exponent_as_if_base(g, x, p):
    return g * p * x ** (p - 1)


def exponent_value_forgotten(g, x, p):
    return g * np.log(x)


def exponent_log_base_two(g, x, p):
    return g * x**p * np.log2(x)


def norm_right(g, x):
    return g * x**2 / (x**3).sum() ** (2 / 3)


def norm_by_the_output(g, x):
    y = np.cbrt(np.sum(x * x * x))
    return g * (x / y) ** 2


def norm_constant_outside(g, x):
    """Only the inner power: the root's slope left out."""
    return g * 3 * x**2


def norm_outer_only(g, x):
    return g / 3 * (x**3).sum() ** (-2 / 3) * np.ones_like(x)


def norm_third_forgotten(g, x):
    return g * 3 * x**2 * (x**3).sum() ** (-2 / 3)


def norm_as_euclidean(g, x):
    return g * x / np.sqrt((x**2).sum())


def w_right(g, X, w):
    return 2 * X.T @ (g * (X @ w))


def w_gram_form(g, X, w):
    return 2 * (X.T @ np.diag(g) @ X) @ w


def w_one_path(g, X, w):
    return X.T @ (g * (X @ w))


def w_inner_forgotten(g, X, w):
    return 2 * X.T @ g


def w_value_for_slope(g, X, w):
    return X.T @ (g * (X @ w) ** 2)


def w_not_summed(g, X, w):
    return 2 * X * (g * (X @ w))[:, None]


def w_mean(g, X, w):
    return 2 * X.T @ (g * (X @ w)) / len(X)


CASES = [
    Case("power", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, cubed, cubed_right, matrix, ()),
        (0, cubed, cubed_from_the_output, matrix, ()),
        (0, cubed, cubed_product_rule, matrix, ()),
        (0, cubed, cubed_three_forgotten, matrix, ("constant-factor",)),
        (0, cubed, cubed_exponent_not_lowered, matrix, ("extra-factor", "wrong-point")),
        (0, cubed, cubed_value, matrix, ("value-for-derivative",)),
        (0, cubed, cubed_one_product_term, matrix, ("missing-path", "constant-factor")),
        (0, cubed, cubed_without_cotangent, matrix, ("missing-cotangent",)),
        (0, cubed, cubed_output_for_cotangent, matrix, ("missing-cotangent",)),
        (0, general, base_right, positive, ()),
        (0, general, base_by_logarithm, positive, ()),
        (0, general, base_without_exponent, positive, ("missing-factor",)),
        (0, general, base_not_lowered, positive, ("extra-factor", "wrong-point")),
        (0, general, base_swapped, positive, ("order-swapped", "wrong-argument")),
        (0, general, base_is_gradient_by_exponent, positive, ("wrong-argument",)),
        (1, general, exponent_right, positive, ()),
        (1, general, exponent_as_e_to_the, positive, ()),
        (1, general, exponent_log_forgotten, positive, ("missing-factor", "value-for-derivative")),
        (1, general, exponent_log_of_exponent, positive, ("wrong-point",)),
        (1, general, exponent_as_if_base, positive, ("wrong-argument", "wrong-point")),
        (1, general, exponent_value_forgotten, positive, ("missing-factor",)),
        (1, general, exponent_log_base_two, positive, ("constant-factor",)),
        (0, root_of_sum, norm_right, positive_vector, ()),
        (0, root_of_sum, norm_by_the_output, positive_vector, ()),
        (
            0,
            root_of_sum,
            norm_constant_outside,
            positive_vector,
            ("missing-activation-derivative", "missing-factor"),
        ),
        (0, root_of_sum, norm_outer_only, positive_vector, ("missing-factor",)),
        (0, root_of_sum, norm_third_forgotten, positive_vector, ("constant-factor",)),
        (0, root_of_sum, norm_as_euclidean, positive_vector, ("wrong-point",)),
        (1, quadratic, w_right, linear_args, ()),
        (1, quadratic, w_gram_form, linear_args, ()),
        (1, quadratic, w_one_path, linear_args, ("constant-factor", "missing-path")),
        (1, quadratic, w_inner_forgotten, linear_args, ("missing-factor",)),
        (1, quadratic, w_value_for_slope, linear_args, ("value-for-derivative",)),
        (1, quadratic, w_not_summed, linear_args, ("missing-sum",)),
        (1, quadratic, w_mean, linear_args, ("mean-for-sum", "constant-factor")),
    ]
]
