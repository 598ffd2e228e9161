"""Convolution in one dimension: of one signal, and of channels over a batch, with a stride."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case

# One signal: jnp.convolve flips the kernel, y[t] = sum_s k[s] x[t + m - 1 - s].


def convolved(x, k):
    return jnp.convolve(x, k, mode="valid")


def signal(rng):
    return rng.normal(size=11), rng.normal(size=3)


def x_full_correlation(g, x, k):
    return np.correlate(g, k, mode="full")


def x_toeplitz(g, x, k):
    m = len(k)
    matrix = np.zeros((len(g), len(x)))
    for t in range(len(g)):
        matrix[t, t : t + m] = k[::-1]
    return matrix.T @ g


def x_scattered(g, x, k):
    out = np.zeros_like(x)
    for s in range(len(k)):
        out[len(k) - 1 - s : len(k) - 1 - s + len(g)] += k[s] * g
    return out


def x_kernel_not_flipped(g, x, k):
    return np.convolve(g, k, mode="full")


def x_cut_off_at_the_border(g, x, k):
    """Correlates with the size kept, then pads: what reaches over the border is lost."""
    return np.pad(np.correlate(g, k, mode="same"), (1, 1))


def x_sign(g, x, k):
    return -np.correlate(g, k, mode="full")


def x_without_kernel(g, x, k):
    return np.convolve(g, np.ones_like(k), mode="full")


def k_valid(g, x, k):
    return np.correlate(x, g, mode="valid")[::-1]


def k_windows(g, x, k):
    windows = np.lib.stride_tricks.sliding_window_view(x, len(k))
    return (windows.T @ g)[::-1]


def k_loop(g, x, k):
    m = len(k)
    return np.array([sum(g[t] * x[t + m - 1 - s] for t in range(len(g))) for s in range(m)])


def k_not_flipped(g, x, k):
    return np.correlate(x, g, mode="valid")


def k_mean(g, x, k):
    return np.correlate(x, g, mode="valid")[::-1] / len(g)


def k_signal_flipped(g, x, k):
    return np.convolve(x, g, mode="valid")


def k_last_position_only(g, x, k):
    m = len(k)
    out = np.zeros_like(k)
    for t in range(len(g)):
        out = g[t] * x[t : t + m][::-1]
    return out


def k_without_cotangent(g, x, k):
    return np.correlate(x, np.ones_like(g), mode="valid")[::-1]


# Channels: Y[n,o,t] = sum_cs W[o,c,s] X[n,c,2t+s], a correlation as the libraries have it.


def strided(X, W):
    dims = ("NCH", "OIH", "NCH")
    return jax.lax.conv_general_dilated(X, W, (2,), "VALID", dimension_numbers=dims)


def channels(rng):
    return rng.normal(size=(2, 3, 11)), rng.normal(size=(5, 3, 3))


def equal_channels(rng):
    return rng.normal(size=(2, 3, 11)), rng.normal(size=(3, 3, 3))


def X_windows(g, X, W):
    out = np.zeros_like(X)
    for t in range(g.shape[2]):
        out[:, :, 2 * t : 2 * t + W.shape[2]] += np.einsum("no,ocs->ncs", g[:, :, t], W)
    return out


def X_kernel_positions(g, X, W):
    out = np.zeros_like(X)
    for s in range(W.shape[2]):
        out[:, :, s : s + 2 * g.shape[2] : 2] += np.einsum("not,oc->nct", g, W[:, :, s])
    return out


def X_flipped(g, X, W):
    return X_windows(g, X, W[:, :, ::-1])


def X_channels_swapped(g, X, W):
    return X_windows(g, X, W.transpose(1, 0, 2))


def X_stride_forgotten(g, X, W):
    out = np.zeros_like(X)
    for t in range(g.shape[2]):
        out[:, :, t : t + W.shape[2]] += np.einsum("no,ocs->ncs", g[:, :, t], W)
    return out


def X_overlaps_overwritten(g, X, W):
    out = np.zeros_like(X)
    for t in range(g.shape[2]):
        out[:, :, 2 * t : 2 * t + W.shape[2]] = np.einsum("no,ocs->ncs", g[:, :, t], W)
    return out


def W_einsum(g, X, W):
    windows = np.lib.stride_tricks.sliding_window_view(X, W.shape[2], axis=2)[:, :, ::2]
    return np.einsum("not,ncts->ocs", g, windows)


def W_kernel_positions(g, X, W):
    T = g.shape[2]
    return np.stack(
        [np.tensordot(g, X[:, :, s : s + 2 * T : 2], ([0, 2], [0, 2])) for s in range(3)], axis=2
    )


def W_flipped(g, X, W):
    return W_einsum(g, X, W)[:, :, ::-1]


def W_channels_swapped(g, X, W):
    return W_einsum(g, X, W).transpose(1, 0, 2)


def W_stride_forgotten(g, X, W):
    windows = np.lib.stride_tricks.sliding_window_view(X, W.shape[2], axis=2)
    return np.einsum("not,ncts->ocs", g, windows[:, :, : g.shape[2]])


def W_mean_over_samples(g, X, W):
    return W_einsum(g, X, W) / len(X)


def W_not_summed_over_samples(g, X, W):
    windows = np.lib.stride_tricks.sliding_window_view(X, W.shape[2], axis=2)[:, :, ::2]
    return np.einsum("not,ncts->nocs", g, windows)


def W_first_sample_only(g, X, W):
    return W_einsum(g[:1], X[:1], W)


CASES = [
    Case("conv1d", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, convolved, x_full_correlation, signal, ()),
        (0, convolved, x_toeplitz, signal, ()),
        (0, convolved, x_scattered, signal, ()),
        (0, convolved, x_kernel_not_flipped, signal, ("not-flipped",)),
        (0, convolved, x_cut_off_at_the_border, signal, ("missing-path",)),
        (0, convolved, x_sign, signal, ("sign",)),
        (0, convolved, x_without_kernel, signal, ("missing-factor",)),
        (1, convolved, k_valid, signal, ()),
        (1, convolved, k_windows, signal, ()),
        (1, convolved, k_loop, signal, ()),
        (1, convolved, k_not_flipped, signal, ("not-flipped",)),
        (1, convolved, k_mean, signal, ("mean-for-sum", "constant-factor")),
        (1, convolved, k_signal_flipped, signal, ("not-flipped",)),
        (1, convolved, k_last_position_only, signal, ("overwritten-duplicates", "missing-sum")),
        (1, convolved, k_without_cotangent, signal, ("missing-cotangent",)),
        (0, strided, X_windows, channels, ()),
        (0, strided, X_kernel_positions, channels, ()),
        (0, strided, X_flipped, channels, ("not-flipped",)),
        (0, strided, X_channels_swapped, equal_channels, ("operand-not-transposed", "wrong-axis")),
        (0, strided, X_stride_forgotten, channels, ("wrong-point",)),
        (0, strided, X_overlaps_overwritten, channels, ("overwritten-duplicates",)),
        (1, strided, W_einsum, channels, ()),
        (1, strided, W_kernel_positions, channels, ()),
        (1, strided, W_flipped, channels, ("not-flipped",)),
        (1, strided, W_channels_swapped, equal_channels, ("transposed-layout",)),
        (1, strided, W_stride_forgotten, channels, ("wrong-point",)),
        (1, strided, W_mean_over_samples, channels, ("mean-for-sum", "constant-factor")),
        (1, strided, W_not_summed_over_samples, channels, ("missing-sum",)),
        (1, strided, W_first_sample_only, channels, ("missing-path", "missing-sum")),
    ]
]
