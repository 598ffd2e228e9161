"""A choice between two branches, by a fixed mask and by the value itself."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def chosen(a, b, mask):
    """Where the mask holds sin(a), elsewhere b²."""
    return jnp.where(mask, jnp.sin(a), b**2)


def chosen_args(rng):
    mask = np.array([[1, 0, 0, 1, 1], [0, 1, 0, 0, 1], [1, 1, 0, 1, 0]], bool)
    return rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), mask


def huber(r):
    """Half the square up to 1, then the absolute value less a half."""
    return jnp.where(jnp.abs(r) <= 1, r**2 / 2, jnp.abs(r) - 0.5)


def residuals(rng):
    return (2 * rng.normal(size=11),)


def leaky(X, W):
    """A leaky relu of slope 0.1 after a product."""
    Z = X @ W
    return jnp.where(Z > 0, Z, 0.1 * Z)


def leaky_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 7))


def masked(S, mask):
    """Scores with the masked out pushed down, then exponentials."""
    return jnp.exp(jnp.where(mask, S, -3.0))


def masked_args(rng):
    return rng.normal(size=(5, 5)), np.tri(5, dtype=bool)


def a_right(g, a, b, mask):
    return np.where(mask, g * np.cos(a), 0.0)


def a_indexed(g, a, b, mask):
    out = np.zeros_like(a)
    out[mask] = g[mask] * np.cos(a[mask])
    return out


def a_wrong_branch(g, a, b, mask):
    return np.where(mask, 0.0, g * np.cos(a))


def a_mask_forgotten(g, a, b, mask):
    return g * np.cos(a)


def a_value(g, a, b, mask):
    return np.where(mask, g * np.sin(a), 0.0)


def a_slope_forgotten(g, a, b, mask):
    return g * mask


def a_sign(g, a, b, mask):
    return np.where(mask, -g * np.cos(a), 0.0)


def b_right(g, a, b, mask):
    return (1 - mask) * 2 * b * g


def b_mask_of_the_other(g, a, b, mask):
    return mask * 2 * b * g


def b_at_a(g, a, b, mask):
    return ~mask * 2 * a * g


def b_two_forgotten(g, a, b, mask):
    return ~mask * b * g


def b_squared(g, a, b, mask):
    return ~mask * b**2 * g


def b_cotangent_forgotten(g, a, b, mask):
    return ~mask * 2 * b


def b_gets_the_gradient_of_a(g, a, b, mask):
    return mask * np.cos(a) * g


def huber_clipped(g, r):
    return g * np.clip(r, -1, 1)


def huber_branches(g, r):
    return g * np.where(np.abs(r) <= 1, r, np.sign(r))


def huber_always_the_square(g, r):
    return g * r


def huber_sign_missing(g, r):
    """The slope of the absolute value taken as 1."""
    return g * np.where(np.abs(r) <= 1, r, 1.0)


def huber_branches_swapped(g, r):
    return g * np.where(np.abs(r) <= 1, np.sign(r), r)


def huber_factor_two(g, r):
    return g * np.where(np.abs(r) <= 1, 2 * r, np.sign(r))


def huber_inner_branch_only(g, r):
    return g * np.where(np.abs(r) <= 1, r, 0.0)


def huber_value(g, r):
    return g * np.where(np.abs(r) <= 1, r**2 / 2, np.abs(r) - 0.5)


def W_right(g, X, W):
    return X.T @ (g * np.where(X @ W > 0, 1.0, 0.1))


def W_from_the_output(g, X, W):
    """The output has the sign of the input, so that it serves as well."""
    Y = np.maximum(X @ W, 0.1 * X @ W)
    return np.einsum("ni,nj->ij", X, g * (0.1 + 0.9 * (Y > 0)))


def W_as_plain_relu(g, X, W):
    return X.T @ (g * (X @ W > 0))


def W_slopes_swapped(g, X, W):
    return X.T @ (g * np.where(X @ W > 0, 0.1, 1.0))


def W_no_slope(g, X, W):
    return X.T @ g


def W_value_for_slope(g, X, W):
    Z = X @ W
    return X.T @ (g * np.where(Z > 0, Z, 0.1 * Z))


def W_transposed(g, X, W):
    return (g * np.where(X @ W > 0, 1.0, 0.1)).T @ X


def S_right(g, S, mask):
    return np.where(mask, g * np.exp(S), 0.0)


def S_lower_triangle(g, S, mask):
    return np.tril(g * np.exp(S))


def S_mask_forgotten(g, S, mask):
    return g * np.exp(np.where(mask, S, -3.0))


def S_exponential_forgotten(g, S, mask):
    return np.where(mask, g, 0.0)


def S_without_the_cotangent(g, S, mask):
    return np.where(mask, np.exp(S), 0.0)


CASES = [
    Case("where", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, chosen, a_right, chosen_args, ()),
        (0, chosen, a_indexed, chosen_args, ()),
        (0, chosen, a_wrong_branch, chosen_args, ("missing-cotangent",)),
        (0, chosen, a_mask_forgotten, chosen_args, ("missing-factor",)),
        (0, chosen, a_value, chosen_args, ("value-for-derivative",)),
        (0, chosen, a_slope_forgotten, chosen_args, ("missing-activation-derivative",)),
        (0, chosen, a_sign, chosen_args, ("sign",)),
        (1, chosen, b_right, chosen_args, ()),
        (1, chosen, b_mask_of_the_other, chosen_args, ("missing-cotangent",)),
        (1, chosen, b_at_a, chosen_args, ("wrong-point", "wrong-argument")),
        (1, chosen, b_two_forgotten, chosen_args, ("constant-factor",)),
        (1, chosen, b_squared, chosen_args, ("value-for-derivative",)),
        (1, chosen, b_cotangent_forgotten, chosen_args, ("missing-cotangent",)),
        (1, chosen, b_gets_the_gradient_of_a, chosen_args, ("wrong-argument",)),
        (0, huber, huber_clipped, residuals, ()),
        (0, huber, huber_branches, residuals, ()),
        (0, huber, huber_always_the_square, residuals, ("wrong-point",)),
        (0, huber, huber_sign_missing, residuals, ("missing-factor",)),
        (0, huber, huber_branches_swapped, residuals, ("missing-cotangent", "order-swapped")),
        (0, huber, huber_factor_two, residuals, ("constant-factor",)),
        (0, huber, huber_inner_branch_only, residuals, ("missing-path",)),
        (0, huber, huber_value, residuals, ("value-for-derivative",)),
        (1, leaky, W_right, leaky_args, ()),
        (1, leaky, W_from_the_output, leaky_args, ()),
        (1, leaky, W_as_plain_relu, leaky_args, ("missing-path", "wrong-point")),
        (1, leaky, W_slopes_swapped, leaky_args, ("missing-cotangent", "order-swapped")),
        (1, leaky, W_no_slope, leaky_args, ("missing-activation-derivative",)),
        (1, leaky, W_value_for_slope, leaky_args, ("value-for-derivative",)),
        (1, leaky, W_transposed, leaky_args, ("transposed-layout",)),
        (0, masked, S_right, masked_args, ()),
        (0, masked, S_lower_triangle, masked_args, ()),
        (0, masked, S_mask_forgotten, masked_args, ("missing-factor",)),
        (0, masked, S_exponential_forgotten, masked_args, ("missing-activation-derivative",)),
        (0, masked, S_without_the_cotangent, masked_args, ("missing-cotangent",)),
    ]
]
