"""Dropout with a fixed mask, alone and inside a layer."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case

KEEP = 0.6


def inverted(X, mask):
    """What is kept is divided by the rate at which it is kept."""
    return jnp.where(mask, X / KEEP, 0.0)


def layer(X, W, mask):
    return jnp.tanh(X @ W) * mask / KEEP


def args(rng):
    mask = np.array([[0, 1, 1, 0, 1, 1, 1], [1, 1, 0, 1, 0, 1, 0], [1, 0, 1, 1, 1, 0, 1]], bool)
    return rng.normal(size=(3, 7)), mask


def layer_args(rng):
    mask = np.array([[0, 1, 1, 0, 1], [1, 1, 0, 1, 0], [1, 0, 1, 1, 1.0]])
    return rng.normal(size=(3, 7)), rng.normal(size=(7, 5)), mask


def scaled_mask(g, X, mask):
    return g * mask / KEEP


def indexed(g, X, mask):
    out = np.zeros_like(X)
    out[mask] = g[mask] / KEEP
    return out


def filled(g, X, mask):
    out = g / KEEP
    out[~mask] = 0
    return out


def mask_forgotten(g, X, mask):
    return g / KEEP


def rate_forgotten(g, X, mask):
    return g * mask


def rate_of_what_is_dropped(g, X, mask):
    return g * mask / (1 - KEEP)


def times_the_rate(g, X, mask):
    return g * mask * KEEP


def rate_twice(g, X, mask):
    return g * mask / KEEP**2


def mask_inverted(g, X, mask):
    return g * ~mask / KEEP


def times_the_input(g, X, mask):
    return g * X * mask / KEEP


def cotangent_forgotten(g, X, mask):
    return mask / KEEP


def output_for_cotangent(g, X, mask):
    return (X * mask / KEEP) * mask / KEEP


# by the weights of the layer


def W_right(g, X, W, mask):
    H = np.tanh(X @ W)
    return X.T @ (g * (mask / KEEP) * (1 - H**2))


def W_from_the_dropped_output(g, X, W, mask):
    """Where the output is kept it is tanh over the rate; where dropped the slope is unused."""
    output = np.tanh(X @ W) * mask / KEEP
    return np.einsum("ni,nj->ij", X, g * mask * (1 - (KEEP * output) ** 2) / KEEP)


def W_mask_forgotten(g, X, W, mask):
    return X.T @ (g * (1 - np.tanh(X @ W) ** 2) / KEEP)


def W_slope_at_the_output(g, X, W, mask):
    output = np.tanh(X @ W) * mask / KEEP
    return X.T @ (g * mask * (1 - output**2) / KEEP)


def W_slope_forgotten(g, X, W, mask):
    return X.T @ (g * mask / KEEP)


def W_value_for_slope(g, X, W, mask):
    return X.T @ (g * mask / KEEP * np.tanh(X @ W))


def W_rate_forgotten(g, X, W, mask):
    return X.T @ (g * mask * (1 - np.tanh(X @ W) ** 2))


def W_transposed(g, X, W, mask):
    return (g * mask / KEEP * (1 - np.tanh(X @ W) ** 2)).T @ X


CASES = [
    Case("dropout", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, inverted, scaled_mask, args, ()),
        (0, inverted, indexed, args, ()),
        (0, inverted, filled, args, ()),
        (0, inverted, mask_forgotten, args, ("missing-factor",)),
        (0, inverted, rate_forgotten, args, ("constant-factor", "missing-factor")),
        (0, inverted, rate_of_what_is_dropped, args, ("constant-factor",)),
        (0, inverted, times_the_rate, args, ("constant-factor",)),
        (0, inverted, rate_twice, args, ("constant-factor", "extra-factor")),
        (0, inverted, mask_inverted, args, ("missing-cotangent", "wrong-point")),
        (0, inverted, times_the_input, args, ("extra-factor", "value-for-derivative")),
        (0, inverted, cotangent_forgotten, args, ("missing-cotangent",)),
        (0, inverted, output_for_cotangent, args, ("missing-cotangent",)),
        (1, layer, W_right, layer_args, ()),
        (1, layer, W_from_the_dropped_output, layer_args, ()),
        (1, layer, W_mask_forgotten, layer_args, ("missing-factor",)),
        (1, layer, W_slope_at_the_output, layer_args, ("wrong-point",)),
        (1, layer, W_slope_forgotten, layer_args, ("missing-activation-derivative",)),
        (1, layer, W_value_for_slope, layer_args, ("value-for-derivative",)),
        (1, layer, W_rate_forgotten, layer_args, ("constant-factor", "missing-factor")),
        (1, layer, W_transposed, layer_args, ("transposed-layout",)),
    ]
]
