"""Arrays joined along an axis: by columns before a layer, with a repeat, stacked, padded."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def joined(A, B, W):
    """Columns side by side, through one layer."""
    return jnp.tanh(jnp.concatenate([A, B], axis=1) @ W)


def joined_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 4)), rng.normal(size=(7, 2))


def joined_equal_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=(6, 2))


def features(x):
    """The same vector three times: as it is, squared, and its sine."""
    return jnp.concatenate([x, x**2, jnp.sin(x)])


def vector(rng):
    return (rng.normal(size=7),)


def stacked(a, b):
    return jnp.stack([a * b, a - b], axis=1)


def pair(rng):
    return rng.normal(size=7), rng.normal(size=7)


def padded(X):
    """A border of ones at the left, of noughts at the bottom."""
    return jnp.pad(jnp.pad(X, ((0, 0), (1, 0)), constant_values=1.0), ((0, 2), (0, 0)))


def matrix(rng):
    return (rng.normal(size=(5, 3)),)


def layer(g, A, B, W):
    """The gradient by both together."""
    return (g * (1 - np.tanh(np.hstack([A, B]) @ W) ** 2)) @ W.T


# by A and B


def A_first_columns(g, A, B, W):
    return np.split(layer(g, A, B, W), [A.shape[1]], axis=1)[0]


def A_upper_weights(g, A, B, W):
    U, V = W[: A.shape[1]], W[A.shape[1] :]
    return np.einsum("nk,nk,ik->ni", g, 1 / np.cosh(A @ U + B @ V) ** 2, U)


def A_gets_the_part_of_B(g, A, B, W):
    return layer(g, A, B, W)[:, A.shape[1] :]


def A_slope_without_B(g, A, B, W):
    U = W[: A.shape[1]]
    return (g * (1 - np.tanh(A @ U) ** 2)) @ U.T


def A_slope_missing(g, A, B, W):
    return g @ W[: A.shape[1]].T


def A_value_for_slope(g, A, B, W):
    return (g * np.tanh(np.hstack([A, B]) @ W)) @ W[: A.shape[1]].T


def B_remaining_columns(g, A, B, W):
    return layer(g, A, B, W)[:, A.shape[1] :]


def B_selected(g, A, B, W):
    choose = np.eye(W.shape[0])[:, A.shape[1] :]
    return layer(g, A, B, W) @ choose


def B_from_the_start(g, A, B, W):
    return layer(g, A, B, W)[:, : B.shape[1]]


def B_joined_in_the_other_order(g, A, B, W):
    d = (g * (1 - np.tanh(np.hstack([B, A]) @ W) ** 2)) @ W.T
    return d[:, A.shape[1] :]


def W_transposed_features(g, A, B, W):
    X = np.hstack([A, B])
    return X.T @ (g * (1 - np.tanh(X @ W) ** 2))


def W_parts(g, A, B, W):
    d = g * (1 - np.tanh(np.hstack([A, B]) @ W) ** 2)
    return np.vstack([A.T @ d, B.T @ d])


def W_parts_in_the_other_order(g, A, B, W):
    d = g * (1 - np.tanh(np.hstack([A, B]) @ W) ** 2)
    return np.vstack([B.T @ d, A.T @ d])


def W_only_A(g, A, B, W):
    """The rows that meet B are left at nought."""
    d = g * (1 - np.tanh(np.hstack([A, B]) @ W) ** 2)
    return np.vstack([A.T @ d, np.zeros((B.shape[1], W.shape[1]))])


# one vector three times


def features_added(g, x):
    g1, g2, g3 = np.split(g, 3)
    return g1 + 2 * x * g2 + np.cos(x) * g3


def features_jacobian(g, x):
    J = np.vstack([np.eye(x.size), np.diag(2 * x), np.diag(np.cos(x))])
    return J.T @ g


def features_reshaped(g, x):
    slopes = np.stack([np.ones_like(x), 2 * x, np.cos(x)])
    return np.einsum("ki,ki->i", slopes, g.reshape(3, -1))


def features_first_forgotten(g, x):
    _, g2, g3 = np.split(g, 3)
    return 2 * x * g2 + np.cos(x) * g3


def features_square_forgotten(g, x):
    g1, _, g3 = np.split(g, 3)
    return g1 + np.cos(x) * g3


def features_interleaved(g, x):
    """Takes every third entry, as if the features of one entry were neighbours."""
    g1, g2, g3 = g.reshape(-1, 3).T
    return g1 + 2 * x * g2 + np.cos(x) * g3


def features_sign_of_cosine(g, x):
    g1, g2, g3 = np.split(g, 3)
    return g1 + 2 * x * g2 - np.cos(x) * g3


def features_sine_for_cosine(g, x):
    g1, g2, g3 = np.split(g, 3)
    return g1 + 2 * x * g2 + np.sin(x) * g3


def features_swapped_cotangents(g, x):
    g1, g2, g3 = np.split(g, 3)
    return g1 + 2 * x * g3 + np.cos(x) * g2


def features_two_missing(g, x):
    g1, g2, g3 = np.split(g, 3)
    return g1 + x * g2 + np.cos(x) * g3


def features_averaged(g, x):
    return features_added(g, x) / 3


# stacked


def stacked_second(g, a, b):
    return a * g[:, 0] - g[:, 1]


def stacked_second_rows(g, a, b):
    return np.array([row @ (x, -1.0) for row, x in zip(g, a, strict=True)])


def stacked_second_plus(g, a, b):
    return a * g[:, 0] + g[:, 1]


def stacked_second_by_the_first(g, a, b):
    return b * g[:, 0] + g[:, 1]


def stacked_second_columns_swapped(g, a, b):
    return a * g[:, 1] - g[:, 0]


def stacked_second_product_only(g, a, b):
    return a * g[:, 0]


def stacked_second_wrong_operand(g, a, b):
    return b * g[:, 0] - g[:, 1]


# padded


def padded_cut(g, X):
    return g[:-2, 1:].copy()


def padded_by_matrices(g, X):
    return np.eye(len(X), len(g)) @ g @ np.eye(g.shape[1], X.shape[1], k=-1)


CASES = [
    Case("concatenate", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, joined, A_first_columns, joined_args, ()),
        (0, joined, A_upper_weights, joined_args, ()),
        (0, joined, A_gets_the_part_of_B, joined_equal_args, ("wrong-argument",)),
        (0, joined, A_slope_without_B, joined_args, ("wrong-point",)),
        (0, joined, A_slope_missing, joined_args, ("missing-activation-derivative",)),
        (0, joined, A_value_for_slope, joined_args, ("value-for-derivative",)),
        (1, joined, B_remaining_columns, joined_args, ()),
        (1, joined, B_selected, joined_args, ()),
        (1, joined, B_from_the_start, joined_equal_args, ("wrong-argument",)),
        (1, joined, B_joined_in_the_other_order, joined_equal_args, ("order-swapped",)),
        (2, joined, W_transposed_features, joined_args, ()),
        (2, joined, W_parts, joined_args, ()),
        (2, joined, W_parts_in_the_other_order, joined_args, ("order-swapped",)),
        (2, joined, W_only_A, joined_args, ("missing-path",)),
        (0, features, features_added, vector, ()),
        (0, features, features_jacobian, vector, ()),
        (0, features, features_reshaped, vector, ()),
        (0, features, features_first_forgotten, vector, ("missing-path",)),
        (0, features, features_square_forgotten, vector, ("missing-path",)),
        (0, features, features_interleaved, vector, ("vec-order",)),
        (0, features, features_sign_of_cosine, vector, ("sign",)),
        (0, features, features_sine_for_cosine, vector, ("value-for-derivative",)),
        (0, features, features_swapped_cotangents, vector, ("missing-cotangent", "order-swapped")),
        (0, features, features_two_missing, vector, ("constant-factor",)),
        (0, features, features_averaged, vector, ("mean-for-sum", "constant-factor")),
        (1, stacked, stacked_second, pair, ()),
        (1, stacked, stacked_second_rows, pair, ()),
        (1, stacked, stacked_second_plus, pair, ("sign",)),
        (1, stacked, stacked_second_by_the_first, pair, ("wrong-argument",)),
        (1, stacked, stacked_second_columns_swapped, pair, ("missing-cotangent", "order-swapped")),
        (1, stacked, stacked_second_product_only, pair, ("missing-path",)),
        (1, stacked, stacked_second_wrong_operand, pair, ("wrong-point", "wrong-argument")),
        (0, padded, padded_cut, matrix, ()),
        (0, padded, padded_by_matrices, matrix, ()),
    ]
]
