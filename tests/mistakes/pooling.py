"""Pooling of images: averages and maxima over windows, apart or overlapping, and over all."""

import jax
import numpy as np

from tests.mistakes import Case


def averaged(X):
    """Means over 2x3 windows."""
    n, h, w = X.shape
    return X.reshape(n, h // 2, 2, w // 3, 3).mean(axis=(2, 4))


def maximal(X):
    """Maxima over 2x3 windows."""
    n, h, w = X.shape
    return X.reshape(n, h // 2, 2, w // 3, 3).max(axis=(2, 4))


def overlapping(x):
    """Maxima over windows of 3 at every second place."""
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 3), (1, 2), "VALID")


def summed_windows(x):
    """Sums over windows of 3 at every second place."""
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3), (1, 2), "VALID")


def overall(X):
    """The mean of each image."""
    return X.mean(axis=(1, 2))


def images(rng):
    return (rng.normal(size=(2, 4, 9)),)


def rows(rng):
    return (rng.normal(size=(3, 11)),)


def spread(Y):
    return np.repeat(np.repeat(Y, 2, axis=1), 3, axis=2)


# averages


def average_repeated(g, X):
    return spread(g) / 6


def average_kronecker(g, X):
    return np.stack([np.kron(G, np.full((2, 3), 1 / 6)) for G in g])


def average_matrices(g, X):
    rows = np.kron(np.eye(g.shape[1]), np.ones((1, 2)) / 2)
    columns = np.kron(np.eye(g.shape[2]), np.ones((1, 3)) / 3)
    return rows.T @ g @ columns


def average_undivided(g, X):
    return spread(g)


def average_divided_by_the_image(g, X):
    return spread(g) / (X.shape[1] * X.shape[2])


def average_tiled(g, X):
    """Tiles the cotangent where each entry should be repeated."""
    return np.tile(g, (1, 2, 3)) / 6


def average_into_the_first_place(g, X):
    out = np.zeros_like(X)
    out[:, ::2, ::3] = g / 6
    return out


# maxima of windows apart


def maximum_masked(g, X):
    return spread(g) * (spread(maximal_numpy(X)) == X)


def maximal_numpy(X):
    n, h, w = X.shape
    return X.reshape(n, h // 2, 2, w // 3, 3).max(axis=(2, 4))


def maximum_loop(g, X):
    out = np.zeros_like(X)
    for n, i, j in np.ndindex(g.shape):
        window = X[n, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3]
        a, b = np.unravel_index(window.argmax(), window.shape)
        out[n, 2 * i + a, 3 * j + b] = g[n, i, j]
    return out


def maximum_mask_forgotten(g, X):
    return spread(g)


def maximum_as_average(g, X):
    return spread(g) / 6


def maximum_times_value(g, X):
    return spread(g) * X * (spread(maximal_numpy(X)) == X)


def maximum_without_cotangent(g, X):
    return (spread(maximal_numpy(X)) == X).astype(float)


def maximum_mask_inverted(g, X):
    return spread(g) * (spread(maximal_numpy(X)) != X)


def maximum_of_the_image(g, X):
    return spread(g) * (X.max(axis=(1, 2), keepdims=True) == X)


# windows that overlap


def overlapping_scattered(g, x):
    out = np.zeros_like(x)
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)[:, ::2]
    where = windows.argmax(2) + 2 * np.arange(g.shape[1])
    np.add.at(out, (np.arange(len(x))[:, None], where), g)
    return out


def overlapping_overwritten(g, x):
    out = np.zeros_like(x)
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)[:, ::2]
    where = windows.argmax(2) + 2 * np.arange(g.shape[1])
    out[np.arange(len(x))[:, None], where] = g
    return out


def overlapping_offset_forgotten(g, x):
    """Scatters to the place within the window."""
    out = np.zeros_like(x)
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)[:, ::2]
    np.add.at(out, (np.arange(len(x))[:, None], windows.argmax(2)), g)
    return out


def window_sums_added(g, x):
    out = np.zeros_like(x)
    for t in range(g.shape[1]):
        out[:, 2 * t : 2 * t + 3] += g[:, [t]]
    return out


def window_sums_by_matrix(g, x):
    starts = 2 * np.arange(g.shape[1])[:, None]
    position = np.arange(x.shape[1])[None, :]
    return g @ ((starts <= position) & (position < starts + 3)).astype(float)


def window_sums_overwritten(g, x):
    out = np.zeros_like(x)
    for t in range(g.shape[1]):
        out[:, 2 * t : 2 * t + 3] = g[:, [t]]
    return out


def window_sums_as_means(g, x):
    return window_sums_added(g, x) / 3


# the mean of each image


def overall_broadcast(g, X):
    return np.broadcast_to(g[:, None, None], X.shape) / X[0].size


def overall_undivided(g, X):
    return np.broadcast_to(g[:, None, None], X.shape).copy()


def overall_divided_by_the_batch_too(g, X):
    return np.broadcast_to(g[:, None, None], X.shape) / X.size


def overall_divided_by_the_height(g, X):
    return np.broadcast_to(g[:, None, None], X.shape) / X.shape[1]


CASES = [
    Case("pooling", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (averaged, average_repeated, images, ()),
        (averaged, average_kronecker, images, ()),
        (averaged, average_matrices, images, ()),
        (averaged, average_undivided, images, ("constant-factor",)),
        (averaged, average_divided_by_the_image, images, ("constant-factor",)),
        (averaged, average_tiled, images, ("vec-order", "permutation-not-inverted")),
        (averaged, average_into_the_first_place, images, ("missing-path",)),
        (maximal, maximum_masked, images, ()),
        (maximal, maximum_loop, images, ()),
        (
            maximal,
            maximum_mask_forgotten,
            images,
            ("missing-factor", "missing-activation-derivative"),
        ),
        (maximal, maximum_as_average, images, ("wrong-point",)),
        (maximal, maximum_times_value, images, ("extra-factor", "value-for-derivative")),
        (maximal, maximum_without_cotangent, images, ("missing-cotangent",)),
        (maximal, maximum_mask_inverted, images, ("wrong-point", "missing-cotangent")),
        (maximal, maximum_of_the_image, images, ("wrong-axis", "flattened-batch")),
        (overlapping, overlapping_scattered, rows, ()),
        (overlapping, overlapping_overwritten, rows, ("overwritten-duplicates",)),
        (overlapping, overlapping_offset_forgotten, rows, ("wrong-point",)),
        (summed_windows, window_sums_added, rows, ()),
        (summed_windows, window_sums_by_matrix, rows, ()),
        (summed_windows, window_sums_overwritten, rows, ("overwritten-duplicates",)),
        (summed_windows, window_sums_as_means, rows, ("mean-for-sum", "constant-factor")),
        (overall, overall_broadcast, images, ()),
        (overall, overall_undivided, images, ("constant-factor",)),
        (overall, overall_divided_by_the_batch_too, images, ("constant-factor",)),
        (overall, overall_divided_by_the_height, images, ("constant-factor",)),
    ]
]
