"""A residual block: the input added to a small network of itself."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def forward(X, W, V):
    """X + tanh(X W) V."""
    return X + jnp.tanh(X @ W) @ V


def scaled(x, W):
    """One vector: x + relu(W x) / 4."""
    return x + jnp.maximum(W @ x, 0.0) / 4


def args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 7)), rng.normal(size=(7, 3))


def square_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))


def scaled_args(rng):
    return rng.normal(size=7), rng.normal(size=(7, 7))


def slope(X, W):
    return 1 - np.tanh(X @ W) ** 2


# by X


def X_two_paths(g, X, W, V):
    return g + (slope(X, W) * (g @ V.T)) @ W.T


def X_accumulated(g, X, W, V):
    dX = g.copy()
    dH = np.einsum("nk,jk->nj", g, V)
    for n in range(len(X)):
        dX[n] += W @ (dH[n] / np.cosh(X[n] @ W) ** 2)
    return dX


def X_jacobian_of_each_sample(g, X, W, V):
    eye = np.eye(X.shape[1])
    return np.stack(
        [(eye + V.T @ np.diag(s) @ W.T).T @ row for s, row in zip(slope(X, W), g, strict=True)]
    )


def X_skip_forgotten(g, X, W, V):
    return (slope(X, W) * (g @ V.T)) @ W.T


def X_block_forgotten(g, X, W, V):
    return g.copy()


def X_skip_counted_twice(g, X, W, V):
    return 2 * g + (slope(X, W) * (g @ V.T)) @ W.T


def X_one_for_the_skip(g, X, W, V):
    """The identity's derivative added without the cotangent."""
    return 1 + (slope(X, W) * (g @ V.T)) @ W.T


def X_input_for_the_skip(g, X, W, V):
    return X + (slope(X, W) * (g @ V.T)) @ W.T


def X_difference(g, X, W, V):
    return g - (slope(X, W) * (g @ V.T)) @ W.T


def X_slope_forgotten(g, X, W, V):
    return g + g @ V.T @ W.T


def X_value_for_slope(g, X, W, V):
    return g + (np.tanh(X @ W) * (g @ V.T)) @ W.T


def X_weight_not_transposed(g, X, W, V):
    return g + (slope(X, W) * (g @ V.T)) @ W


def X_inner_weight_not_transposed(g, X, W, V):
    return g + (slope(X, W) * (g @ V)) @ W.T


# by W and V


def W_right(g, X, W, V):
    return X.T @ (g @ V.T * slope(X, W))


def W_outer_products(g, X, W, V):
    dZ = (V @ g.T).T * slope(X, W)
    return sum(np.outer(x, d) for x, d in zip(X, dZ, strict=True))


def W_with_the_output(g, X, W, V):
    """Takes the block's output where its input belongs."""
    return (X + np.tanh(X @ W) @ V).T @ (g @ V.T * slope(X, W))


def W_slope_of_slope(g, X, W, V):
    return X.T @ (g @ V.T * (1 - np.tanh(np.tanh(X @ W)) ** 2))


def V_right(g, X, W, V):
    return np.tanh(X @ W).T @ g


def V_transposed(g, X, W, V):
    return g.T @ np.tanh(X @ W)


def V_before_the_activation(g, X, W, V):
    return (X @ W).T @ g


def V_mean_over_samples(g, X, W, V):
    return np.tanh(X @ W).T @ g / len(X)


# the scaled block


def x_right(g, x, W):
    return g + W.T @ (g * (W @ x > 0)) / 4


def x_active_rows(g, x, W):
    active = W @ x > 0
    return g + 0.25 * g[active] @ W[active]


def x_scale_forgotten(g, x, W):
    return g + W.T @ (g * (W @ x > 0))


def x_scale_on_both(g, x, W):
    return (g + W.T @ (g * (W @ x > 0))) / 4


def x_not_transposed(g, x, W):
    return g + W @ (g * (W @ x > 0)) / 4


def x_mask_of_the_input(g, x, W):
    return g + W.T @ (g * (x > 0)) / 4


def x_mask_missing(g, x, W):
    return g + W.T @ g / 4


CASES = [
    Case("residual", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, forward, X_two_paths, args, ()),
        (0, forward, X_accumulated, args, ()),
        (0, forward, X_jacobian_of_each_sample, args, ()),
        (0, forward, X_skip_forgotten, args, ("missing-path",)),
        (0, forward, X_block_forgotten, args, ("missing-path", "treated-as-constant")),
        (0, forward, X_skip_counted_twice, args, ("constant-factor",)),
        (0, forward, X_one_for_the_skip, args, ("missing-cotangent",)),
        (0, forward, X_input_for_the_skip, args, ("missing-cotangent", "value-for-derivative")),
        (0, forward, X_difference, args, ("sign",)),
        (0, forward, X_slope_forgotten, args, ("missing-activation-derivative",)),
        (0, forward, X_value_for_slope, args, ("value-for-derivative",)),
        (0, forward, X_weight_not_transposed, square_args, ("operand-not-transposed",)),
        (0, forward, X_inner_weight_not_transposed, square_args, ("operand-not-transposed",)),
        (1, forward, W_right, args, ()),
        (1, forward, W_outer_products, args, ()),
        (1, forward, W_with_the_output, args, ("wrong-point",)),
        (1, forward, W_slope_of_slope, args, ("wrong-point",)),
        (2, forward, V_right, args, ()),
        (2, forward, V_transposed, args, ("transposed-layout",)),
        (2, forward, V_before_the_activation, args, ("wrong-point",)),
        (2, forward, V_mean_over_samples, args, ("mean-for-sum", "constant-factor")),
        (0, scaled, x_right, scaled_args, ()),
        (0, scaled, x_active_rows, scaled_args, ()),
        (0, scaled, x_scale_forgotten, scaled_args, ("constant-factor", "missing-factor")),
        (0, scaled, x_scale_on_both, scaled_args, ("constant-factor", "extra-factor")),
        (0, scaled, x_not_transposed, scaled_args, ("operand-not-transposed",)),
        (0, scaled, x_mask_of_the_input, scaled_args, ("wrong-point",)),
        (0, scaled, x_mask_missing, scaled_args, ("missing-activation-derivative",)),
    ]
]
