"""Chains of elementary functions, entry by entry, and a few that end in a number."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def root_of_exponential(x):
    """The chain sqrt(1 + exp(2 x))."""
    return jnp.sqrt(1 + jnp.exp(2 * x))


def exponential_of_root(x):
    return jnp.exp(jnp.sqrt(x))


def log_sum_exp(x):
    """A number."""
    return jnp.log(jnp.exp(x).sum())


def damped(x):
    """A sine times a Gaussian: the product rule."""
    return jnp.sin(3 * x) * jnp.exp(-(x**2))


def geometric_mean(x):
    """A number."""
    return jnp.exp(jnp.log(x).mean())


def vector(rng):
    return (rng.normal(size=7),)


def positive(rng):
    return (rng.uniform(0.5, 3, size=7),)


def root_right(g, x):
    return g * np.exp(2 * x) / np.sqrt(1 + np.exp(2 * x))


def root_by_the_output(g, x):
    y = np.sqrt(1 + np.exp(2 * x))
    return g * (y - 1 / y)


def root_step_by_step(g, x):
    e = np.exp(2 * x)
    dinside = g * 0.5 * (1 + e) ** -0.5
    return 2 * (dinside * e)


def root_half_forgotten(g, x):
    return g * 2 * np.exp(2 * x) / np.sqrt(1 + np.exp(2 * x))


def root_inner_two_forgotten(g, x):
    return g * np.exp(2 * x) / (2 * np.sqrt(1 + np.exp(2 * x)))


def root_exponential_forgotten(g, x):
    return g / np.sqrt(1 + np.exp(2 * x))


def root_slope_forgotten(g, x):
    return 2 * g * np.exp(2 * x)


def root_value_for_slope(g, x):
    return 2 * g * np.exp(2 * x) * np.sqrt(1 + np.exp(2 * x))


def root_of_the_exponential_alone(g, x):
    """The root's slope without the 1."""
    return g * np.exp(2 * x) / np.sqrt(np.exp(2 * x))


def root_exponential_at_x(g, x):
    return g * np.exp(x) / np.sqrt(1 + np.exp(2 * x))


def root_cotangent_forgotten(g, x):
    return np.exp(2 * x) / np.sqrt(1 + np.exp(2 * x))


def root_minus(g, x):
    return -g * np.exp(2 * x) / np.sqrt(1 + np.exp(2 * x))


def exponential_right(g, x):
    r = np.sqrt(x)
    return g * np.exp(r) / (2 * r)


def exponential_powers(g, x):
    return 0.5 * g * np.exp(np.sqrt(x)) * x**-0.5


def exponential_inner_forgotten(g, x):
    return g * np.exp(np.sqrt(x))


def exponential_outer_forgotten(g, x):
    return g / (2 * np.sqrt(x))


def exponential_at_x(g, x):
    """The outer slope taken at the input, not at the root."""
    return g * np.exp(x) / (2 * np.sqrt(x))


def exponential_half_forgotten(g, x):
    return g * np.exp(np.sqrt(x)) / np.sqrt(x)


def exponential_root_multiplied(g, x):
    return g * np.exp(np.sqrt(x)) * np.sqrt(x)


def sum_right(g, x):
    e = np.exp(x - x.max())
    return g * e / e.sum()


def sum_by_the_output(g, x):
    return g * np.exp(x - np.log(np.exp(x).sum()))


def sum_normaliser_forgotten(g, x):
    return g * np.exp(x)


def sum_exponential_forgotten(g, x):
    return g / np.exp(x).sum() * np.ones_like(x)


def sum_as_maximum(g, x):
    return g * (x == x.max())


def sum_without_cotangent(g, x):
    return np.exp(x) / np.exp(x).sum()


def sum_divided_by_the_logarithm(g, x):
    """Divides by the output, not by the sum."""
    return g * np.exp(x) / np.log(np.exp(x).sum())


def sum_mean(g, x):
    return g * np.exp(x) / np.exp(x).sum() / x.size


def damped_right(g, x):
    return g * np.exp(-(x**2)) * (3 * np.cos(3 * x) - 2 * x * np.sin(3 * x))


def damped_two_branches(g, x):
    s, e = np.sin(3 * x), np.exp(-x * x)
    ds, de = g * e, g * s
    return ds * np.cos(3 * x) * 3 + de * e * -2 * x


def damped_first_branch(g, x):
    return g * np.exp(-(x**2)) * 3 * np.cos(3 * x)


def damped_second_branch(g, x):
    return -2 * g * x * np.exp(-(x**2)) * np.sin(3 * x)


def damped_sign(g, x):
    return g * np.exp(-(x**2)) * (3 * np.cos(3 * x) + 2 * x * np.sin(3 * x))


def damped_frequency_forgotten(g, x):
    return g * np.exp(-(x**2)) * (np.cos(3 * x) - 2 * x * np.sin(3 * x))


def damped_two_forgotten(g, x):
    return g * np.exp(-(x**2)) * (3 * np.cos(3 * x) - x * np.sin(3 * x))


def damped_cotangents_exchanged(g, x):
    """Each branch gets its own value where it should get the other's."""
    s, e = np.sin(3 * x), np.exp(-(x**2))
    return g * (s * 3 * np.cos(3 * x) + e * -2 * x * e)


def damped_sine_for_cosine(g, x):
    return g * np.exp(-(x**2)) * (3 * np.sin(3 * x) - 2 * x * np.sin(3 * x))


def geometric_right(g, x):
    return g * np.exp(np.log(x).mean()) / (x.size * x)


def geometric_by_powers(g, x):
    return g * np.prod(x) ** (1 / x.size) / x.size * np.reciprocal(x)


def geometric_undivided(g, x):
    return g * np.exp(np.log(x).mean()) / x


def geometric_value_forgotten(g, x):
    return g / (x.size * x)


def geometric_logarithm_forgotten(g, x):
    return g * np.exp(np.log(x).mean()) / x.size * np.ones_like(x)


def geometric_logarithm_value(g, x):
    return g * np.exp(np.log(x).mean()) * np.log(x) / x.size


CASES = [
    Case("sqrt_exp", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (root_of_exponential, root_right, vector, ()),
        (root_of_exponential, root_by_the_output, vector, ()),
        (root_of_exponential, root_step_by_step, vector, ()),
        (root_of_exponential, root_half_forgotten, vector, ("constant-factor",)),
        (root_of_exponential, root_inner_two_forgotten, vector, ("constant-factor",)),
        (root_of_exponential, root_exponential_forgotten, vector, ("missing-factor",)),
        (root_of_exponential, root_slope_forgotten, vector, ("missing-activation-derivative",)),
        (root_of_exponential, root_value_for_slope, vector, ("value-for-derivative",)),
        (root_of_exponential, root_of_the_exponential_alone, vector, ("wrong-point",)),
        (root_of_exponential, root_exponential_at_x, vector, ("wrong-point",)),
        (root_of_exponential, root_cotangent_forgotten, vector, ("missing-cotangent",)),
        (root_of_exponential, root_minus, vector, ("sign",)),
        (exponential_of_root, exponential_right, positive, ()),
        (exponential_of_root, exponential_powers, positive, ()),
        (exponential_of_root, exponential_inner_forgotten, positive, ("missing-factor",)),
        (
            exponential_of_root,
            exponential_outer_forgotten,
            positive,
            ("missing-activation-derivative", "missing-factor"),
        ),
        (exponential_of_root, exponential_at_x, positive, ("wrong-point",)),
        (exponential_of_root, exponential_half_forgotten, positive, ("constant-factor",)),
        (exponential_of_root, exponential_root_multiplied, positive, ("value-for-derivative",)),
        (log_sum_exp, sum_right, vector, ()),
        (log_sum_exp, sum_by_the_output, vector, ()),
        (log_sum_exp, sum_normaliser_forgotten, vector, ("missing-factor",)),
        (log_sum_exp, sum_exponential_forgotten, vector, ("missing-factor",)),
        (log_sum_exp, sum_as_maximum, vector, ("wrong-point",)),
        (log_sum_exp, sum_without_cotangent, vector, ("missing-cotangent",)),
        (log_sum_exp, sum_divided_by_the_logarithm, vector, ("wrong-point",)),
        (log_sum_exp, sum_mean, vector, ("mean-for-sum", "constant-factor")),
        (damped, damped_right, vector, ()),
        (damped, damped_two_branches, vector, ()),
        (damped, damped_first_branch, vector, ("missing-path", "treated-as-constant")),
        (damped, damped_second_branch, vector, ("missing-path", "treated-as-constant")),
        (damped, damped_sign, vector, ("sign",)),
        (damped, damped_frequency_forgotten, vector, ("constant-factor",)),
        (damped, damped_two_forgotten, vector, ("constant-factor",)),
        (damped, damped_cotangents_exchanged, vector, ("missing-cotangent", "wrong-argument")),
        (damped, damped_sine_for_cosine, vector, ("value-for-derivative",)),
        (geometric_mean, geometric_right, positive, ()),
        (geometric_mean, geometric_by_powers, positive, ()),
        (geometric_mean, geometric_undivided, positive, ("constant-factor",)),
        (geometric_mean, geometric_value_forgotten, positive, ("missing-factor",)),
        (geometric_mean, geometric_logarithm_forgotten, positive, ("missing-factor",)),
        (geometric_mean, geometric_logarithm_value, positive, ("value-for-derivative",)),
    ]
]
