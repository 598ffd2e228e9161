"""All pairs of points: squared distances, a Gaussian kernel, an energy, inner products."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def distances(X, Y):
    """Squared distance of row i of X to row j of Y."""
    return ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1)


def kernel(X, Y, s):
    """Entries exp(-|x - y|² / 2 s²); the width s is a number."""
    return jnp.exp(-distances(X, Y) / (2 * s**2))


def energy(X):
    """Sum of 1 / (1 + |x_i - x_j|²) over the pairs i < j, a number."""
    i, j = np.triu_indices(X.shape[0], 1)
    return (1 / (1 + ((X[i] - X[j]) ** 2).sum(1))).sum()


def gram(X):
    """The inner products of all pairs of rows."""
    return X @ X.T


def args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(7, 3))


def square_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


def kernel_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(7, 3)), np.asarray(rng.uniform(1, 2))


def points(rng):
    return (rng.normal(size=(7, 3)),)


def gaps(X, Y):
    return X[:, None, :] - Y[None, :, :]


# squared distances by X


def X_differences(g, X, Y):
    return 2 * (g[:, :, None] * gaps(X, Y)).sum(1)


def X_expanded(g, X, Y):
    """From |x|² - 2 x y + |y|²."""
    return 2 * g.sum(1, keepdims=True) * X - 2 * g @ Y


def X_pair_by_pair(g, X, Y):
    out = np.zeros_like(X)
    for i in range(len(X)):
        for j in range(len(Y)):
            out[i] += g[i, j] * 2 * (X[i] - Y[j])
    return out


def X_two_forgotten(g, X, Y):
    return np.einsum("ij,ijd->id", g, gaps(X, Y))


def X_sign(g, X, Y):
    return 2 * np.einsum("ij,jid->id", g, gaps(Y, X))


def X_cross_term_only(g, X, Y):
    return -2 * g @ Y


def X_cross_term_plus(g, X, Y):
    return 2 * g.sum(1, keepdims=True) * X + 2 * g @ Y


def X_mean_over_the_others(g, X, Y):
    return 2 * np.einsum("ij,ijd->id", g, gaps(X, Y)) / len(Y)


def X_not_summed(g, X, Y):
    return 2 * g[:, :, None] * gaps(X, Y)


def X_table_not_transposed(g, X, Y):
    return 2 * np.einsum("ji,ijd->id", g, gaps(X, Y))


def X_last_pair(g, X, Y):
    out = np.zeros_like(X)
    for i in range(len(X)):
        for j in range(len(Y)):
            out[i] = g[i, j] * 2 * (X[i] - Y[j])
    return out


def X_cotangent_forgotten(g, X, Y):
    return 2 * gaps(X, Y).sum(1)


def Y_right(g, X, Y):
    return 2 * (g.sum(0)[:, None] * Y - g.T @ X)


def Y_column_sums(g, X, Y):
    return -2 * np.einsum("ij,ijd->jd", g, gaps(X, Y))


def Y_sign(g, X, Y):
    return 2 * np.einsum("ij,ijd->jd", g, gaps(X, Y))


def Y_sum_over_its_own_axis(g, X, Y):
    return -2 * np.einsum("ij,ijd->id", g, gaps(X, Y))


def Y_two_forgotten_and_sign(g, X, Y):
    return np.einsum("ij,ijd->jd", g, gaps(X, Y))


# Gaussian kernel


def K(X, Y, s):
    return np.exp(-(gaps(X, Y) ** 2).sum(-1) / (2 * s**2))


def kernel_right(g, X, Y, s):
    return -np.einsum("ij,ijd->id", g * K(X, Y, s), gaps(X, Y)) / s**2


def kernel_by_row_sums(g, X, Y, s):
    weights = g * K(X, Y, s)
    return (weights @ Y - weights.sum(1)[:, None] * X) / s**2


def kernel_value_forgotten(g, X, Y, s):
    return -np.einsum("ij,ijd->id", g, gaps(X, Y)) / s**2


def kernel_width_forgotten(g, X, Y, s):
    return -np.einsum("ij,ijd->id", g * K(X, Y, s), gaps(X, Y))


def kernel_sign(g, X, Y, s):
    return np.einsum("ij,ijd->id", g * K(X, Y, s), gaps(X, Y)) / s**2


def kernel_difference_forgotten(g, X, Y, s):
    return -(g * K(X, Y, s)).sum(1, keepdims=True) * X / s**2


def kernel_width_not_squared(g, X, Y, s):
    return -np.einsum("ij,ijd->id", g * K(X, Y, s), gaps(X, Y)) / s


def kernel_factor_two(g, X, Y, s):
    return -2 * np.einsum("ij,ijd->id", g * K(X, Y, s), gaps(X, Y)) / s**2


def width_right(g, X, Y, s):
    return (g * K(X, Y, s) * (gaps(X, Y) ** 2).sum(-1)).sum() / s**3


def width_not_summed(g, X, Y, s):
    return g * K(X, Y, s) * (gaps(X, Y) ** 2).sum(-1) / s**3


def width_sign(g, X, Y, s):
    return -(g * K(X, Y, s) * (gaps(X, Y) ** 2).sum(-1)).sum() / s**3


def width_half_kept(g, X, Y, s):
    return (g * K(X, Y, s) * (gaps(X, Y) ** 2).sum(-1)).sum() / (2 * s**3)


# energy


def forces(g, X):
    D = gaps(X, X)
    w = 1 / (1 + (D**2).sum(-1)) ** 2
    return -2 * g * (w[:, :, None] * D).sum(1)


def forces_by_pairs(g, X):
    out = np.zeros_like(X)
    i, j = np.triu_indices(len(X), 1)
    D = X[i] - X[j]
    F = -2 * g * D / (1 + (D**2).sum(1, keepdims=True)) ** 2
    np.add.at(out, i, F)
    np.subtract.at(out, j, F)
    return out


def forces_without_reaction(g, X):
    """Each pair pushes its first point and not its second."""
    out = np.zeros_like(X)
    i, j = np.triu_indices(len(X), 1)
    D = X[i] - X[j]
    np.add.at(out, i, -2 * g * D / (1 + (D**2).sum(1, keepdims=True)) ** 2)
    return out


def forces_reaction_with_the_same_sign(g, X):
    out = np.zeros_like(X)
    i, j = np.triu_indices(len(X), 1)
    D = X[i] - X[j]
    F = -2 * g * D / (1 + (D**2).sum(1, keepdims=True)) ** 2
    np.add.at(out, i, F)
    np.add.at(out, j, F)
    return out


def forces_overwritten(g, X):
    out = np.zeros_like(X)
    i, j = np.triu_indices(len(X), 1)
    D = X[i] - X[j]
    F = -2 * g * D / (1 + (D**2).sum(1, keepdims=True)) ** 2
    out[i] += F
    out[j] -= F
    return out


def forces_each_pair_twice(g, X):
    return 2 * forces(g, X)


def forces_instead_of_gradient(g, X):
    """The force is minus the gradient."""
    return -forces(g, X)


# inner products


def gram_right(g, X):
    return (g + g.T) @ X


def gram_two_paths(g, X):
    return np.einsum("ij,jd->id", g, X) + np.einsum("ij,id->jd", g, X)


def gram_as_if_symmetric(g, X):
    return 2 * g @ X


def gram_one_path(g, X):
    return g @ X


def gram_other_path(g, X):
    return g.T @ X


def gram_antisymmetric(g, X):
    return (g - g.T) @ X


CASES = [
    Case("pairwise", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, distances, X_differences, args, ()),
        (0, distances, X_expanded, args, ()),
        (0, distances, X_pair_by_pair, args, ()),
        (0, distances, X_two_forgotten, args, ("constant-factor",)),
        (0, distances, X_sign, args, ("sign",)),
        (0, distances, X_cross_term_only, args, ("missing-path",)),
        (0, distances, X_cross_term_plus, args, ("sign",)),
        (0, distances, X_mean_over_the_others, args, ("mean-for-sum", "constant-factor")),
        (0, distances, X_not_summed, args, ("missing-sum",)),
        (0, distances, X_table_not_transposed, square_args, ("operand-not-transposed",)),
        (0, distances, X_last_pair, args, ("overwritten-duplicates", "missing-sum")),
        (0, distances, X_cotangent_forgotten, args, ("missing-cotangent",)),
        (1, distances, Y_right, args, ()),
        (1, distances, Y_column_sums, args, ()),
        (1, distances, Y_sign, args, ("sign",)),
        (1, distances, Y_sum_over_its_own_axis, args, ("wrong-axis", "wrong-argument")),
        (1, distances, Y_two_forgotten_and_sign, args, ("constant-factor+sign", "constant-factor")),
        (0, kernel, kernel_right, kernel_args, ()),
        (0, kernel, kernel_by_row_sums, kernel_args, ()),
        (0, kernel, kernel_value_forgotten, kernel_args, ("missing-activation-derivative",)),
        (0, kernel, kernel_width_forgotten, kernel_args, ("missing-factor",)),
        (0, kernel, kernel_sign, kernel_args, ("sign",)),
        (0, kernel, kernel_difference_forgotten, kernel_args, ("missing-path", "wrong-point")),
        (0, kernel, kernel_width_not_squared, kernel_args, ("missing-factor",)),
        (0, kernel, kernel_factor_two, kernel_args, ("constant-factor",)),
        (2, kernel, width_right, kernel_args, ()),
        (2, kernel, width_not_summed, kernel_args, ("missing-sum",)),
        (2, kernel, width_sign, kernel_args, ("sign",)),
        (2, kernel, width_half_kept, kernel_args, ("constant-factor",)),
        (0, energy, forces, points, ()),
        (0, energy, forces_by_pairs, points, ()),
        (0, energy, forces_without_reaction, points, ("missing-path",)),
        (0, energy, forces_reaction_with_the_same_sign, points, ("sign",)),
        (0, energy, forces_overwritten, points, ("overwritten-duplicates",)),
        (0, energy, forces_each_pair_twice, points, ("constant-factor",)),
        (0, energy, forces_instead_of_gradient, points, ("sign",)),
        (0, gram, gram_right, points, ()),
        (0, gram, gram_two_paths, points, ()),
        (0, gram, gram_as_if_symmetric, points, ("operand-not-transposed", "missing-path")),
        (0, gram, gram_one_path, points, ("missing-path",)),
        (0, gram, gram_other_path, points, ("missing-path",)),
        (0, gram, gram_antisymmetric, points, ("sign",)),
    ]
]
