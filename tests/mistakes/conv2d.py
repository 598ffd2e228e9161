"""Convolution of images with a bias: Y[n,o,i,j] = sum_cab W[o,c,a,b] X[n,c,i+a,j+b] + b[o]."""

import jax
import numpy as np

from tests.mistakes import Case


def forward(X, W, b):
    dims = ("NCHW", "OIHW", "NCHW")
    Y = jax.lax.conv_general_dilated(X, W, (1, 1), "VALID", dimension_numbers=dims)
    return Y + b[None, :, None, None]


def padded(X, W):
    """The same size kept, zeros around the image."""
    dims = ("NCHW", "OIHW", "NCHW")
    return jax.lax.conv_general_dilated(X, W, (1, 1), "SAME", dimension_numbers=dims)


def args(rng):
    return rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(5, 3, 3, 2)), rng.normal(size=5)


def square_args(rng):
    return rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(3, 3, 3, 3)), rng.normal(size=3)


def padded_args(rng):
    return rng.normal(size=(2, 3, 5, 7)), rng.normal(size=(4, 3, 3, 3))


def windows(X, W):
    return np.lib.stride_tricks.sliding_window_view(X, W.shape[2:], axis=(2, 3))


def full(g, W):
    """Correlates the cotangent, padded by the kernel's size less one, with W[o,c]."""
    h, w = W.shape[2:]
    spread = np.pad(g, ((0, 0), (0, 0), (h - 1, h - 1), (w - 1, w - 1)))
    return np.einsum("noijab,ocab->ncij", windows(spread, W), W)


# by X


def X_full_with_flipped_kernel(g, X, W, b):
    return full(g, W[:, :, ::-1, ::-1])


def X_scattered_windows(g, X, W, b):
    out = np.zeros_like(X)
    for i in range(g.shape[2]):
        for j in range(g.shape[3]):
            patch = np.tensordot(g[:, :, i, j], W, 1)
            out[:, :, i : i + W.shape[2], j : j + W.shape[3]] += patch
    return out


def X_rotated_twice(g, X, W, b):
    return full(g, np.rot90(np.rot90(W, axes=(2, 3)), axes=(2, 3)))


def X_not_flipped(g, X, W, b):
    return full(g, W)


def X_flipped_in_one_direction(g, X, W, b):
    return full(g, W[:, :, ::-1])


def X_kernel_transposed_for_flipped(g, X, W, b):
    return full(g, W.transpose(0, 1, 3, 2))


def X_channels_swapped(g, X, W, b):
    return full(g, W.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def X_windows_overwritten(g, X, W, b):
    out = np.zeros_like(X)
    for i in range(g.shape[2]):
        for j in range(g.shape[3]):
            patch = np.tensordot(g[:, :, i, j], W, 1)
            out[:, :, i : i + W.shape[2], j : j + W.shape[3]] = patch
    return out


def X_output_for_cotangent(g, X, W, b):
    Y = np.einsum("ncijab,ocab->noij", windows(X, W), W) + b[:, None, None]
    return full(Y, W[:, :, ::-1, ::-1])


# by W


def W_windows(g, X, W, b):
    return np.einsum("noij,ncijab->ocab", g, windows(X, W))


def W_columns_of_patches(g, X, W, b):
    """As a matrix product of the unfolded image (im2col)."""
    patches = windows(X, W).transpose(1, 4, 5, 0, 2, 3).reshape(W[0].size, -1)
    rows = g.transpose(1, 0, 2, 3).reshape(len(W), -1)
    return (rows @ patches.T).reshape(W.shape)


def W_shifted_images(g, X, W, b):
    out = np.empty_like(W)
    height, width = g.shape[2:]
    for a in range(W.shape[2]):
        for c in range(W.shape[3]):
            shifted = X[:, :, a : a + height, c : c + width]
            out[:, :, a, c] = np.tensordot(g, shifted, ((0, 2, 3), (0, 2, 3)))
    return out


def W_flipped(g, X, W, b):
    return W_windows(g, X, W, b)[:, :, ::-1, ::-1]


def W_mean_over_samples(g, X, W, b):
    return W_windows(g, X, W, b) / X.shape[0]


def W_mean_over_everything(g, X, W, b):
    return W_windows(g, X, W, b) / (X.shape[0] * g.shape[2] * g.shape[3])


def W_input_channel_first(g, X, W, b):
    return np.einsum("noij,ncijab->coab", g, windows(X, W))


def W_samples_not_summed(g, X, W, b):
    return np.einsum("noij,ncijab->nocab", g, windows(X, W))


def W_patches_reshaped_in_the_wrong_order(g, X, W, b):
    """Unfolds to (a,b,c) and reshapes as if it were (c,a,b)."""
    patches = windows(X, W).transpose(4, 5, 1, 0, 2, 3).reshape(W[0].size, -1)
    rows = g.transpose(1, 0, 2, 3).reshape(len(W), -1)
    return (rows @ patches.T).reshape(W.shape)


def W_without_cotangent(g, X, W, b):
    return W_windows(np.ones_like(g), X, W, b)


# by b


def b_sum(g, X, W, b):
    return g.sum(axis=(0, 2, 3))


def b_as_a_matrix_product(g, X, W, b):
    rows = np.moveaxis(g, 1, 0).reshape(len(b), -1)
    return rows @ np.ones(rows.shape[1])


def b_sum_over_samples_only(g, X, W, b):
    return g.sum(axis=0)


def b_mean_over_positions(g, X, W, b):
    return g.mean(axis=(2, 3)).sum(axis=0)


def b_wrong_axes(g, X, W, b):
    return g.sum(axis=(0, 1, 2))


# the same size kept


def padded_right(g, X, W):
    out = np.zeros((X.shape[0], X.shape[1], X.shape[2] + 2, X.shape[3] + 2))
    for a in range(3):
        for c in range(3):
            out[:, :, a : a + X.shape[2], c : c + X.shape[3]] += np.einsum(
                "noij,oc->ncij", g, W[:, :, a, c]
            )
    return out[:, :, 1:-1, 1:-1]


def padded_not_flipped(g, X, W):
    spread = np.pad(g, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.einsum("noijab,ocab->ncij", windows(spread, W), W)


CASES = [
    Case("conv2d", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, forward, X_full_with_flipped_kernel, args, ()),
        (0, forward, X_scattered_windows, args, ()),
        (0, forward, X_rotated_twice, args, ()),
        (0, forward, X_not_flipped, args, ("not-flipped",)),
        (0, forward, X_flipped_in_one_direction, args, ("not-flipped",)),
        (0, forward, X_kernel_transposed_for_flipped, square_args, ("not-flipped", "wrong-axis")),
        (0, forward, X_channels_swapped, square_args, ("operand-not-transposed", "wrong-axis")),
        (0, forward, X_windows_overwritten, args, ("overwritten-duplicates",)),
        (0, forward, X_output_for_cotangent, args, ("missing-cotangent",)),
        (1, forward, W_windows, args, ()),
        (1, forward, W_columns_of_patches, args, ()),
        (1, forward, W_shifted_images, args, ()),
        (1, forward, W_flipped, args, ("not-flipped",)),
        (1, forward, W_mean_over_samples, args, ("mean-for-sum", "constant-factor")),
        (1, forward, W_mean_over_everything, args, ("mean-for-sum", "constant-factor")),
        (1, forward, W_input_channel_first, args, ("transposed-layout",)),
        (1, forward, W_samples_not_summed, args, ("missing-sum",)),
        (1, forward, W_patches_reshaped_in_the_wrong_order, args, ("vec-order", "wrong-axis")),
        (1, forward, W_without_cotangent, args, ("missing-cotangent",)),
        (2, forward, b_sum, args, ()),
        (2, forward, b_as_a_matrix_product, args, ()),
        (2, forward, b_sum_over_samples_only, args, ("missing-sum",)),
        (2, forward, b_mean_over_positions, args, ("mean-for-sum", "constant-factor")),
        (2, forward, b_wrong_axes, args, ("wrong-axis",)),
        (0, padded, padded_right, padded_args, ()),
        (0, padded, padded_not_flipped, padded_args, ("not-flipped",)),
    ]
]
