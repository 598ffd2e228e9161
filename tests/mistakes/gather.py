"""Entries taken by index: permutations, repeats, slices, flips, rolls, one entry of each row."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case

PERM = np.array([2, 4, 0, 6, 1, 3, 5])  # of order 6: its square and its inverse differ from it


def permuted(X):
    """Rows in another order."""
    return X[PERM]


def repeated(x, idx):
    return x[idx] ** 2


def picked(X, labels):
    """One entry of each row, as a cross-entropy picks it."""
    return jnp.take_along_axis(X, labels[:, None], axis=1)[:, 0]


def sliced(x):
    """Every second entry from the second on."""
    return x[1:8:2]


def rolled(x):
    return jnp.roll(x, 3) * jnp.arange(1.0, 1 + x.size)


def transposed(X):
    """Axes moved round."""
    return jnp.transpose(X, (2, 0, 1))


def differences(x):
    return x[1:] - x[:-1]


def matrix(rng):
    return (rng.normal(size=(7, 3)),)


def indexed(rng):
    return rng.normal(size=7), np.array([1, 4, 1, 1, 6, 0, 4])


def labelled(rng):
    return rng.normal(size=(5, 7)), np.array([3, 0, 6, 3, 2])


def vector(rng):
    return (rng.normal(size=11),)


def cube(rng):
    return (rng.normal(size=(2, 3, 5)),)


def equal_cube(rng):
    return (rng.normal(size=(4, 4, 4)),)


def permuted_by_argsort(g, X):
    return g[np.argsort(PERM)]


def permuted_by_assignment(g, X):
    out = np.empty_like(X)
    out[PERM] = g
    return out


def permuted_by_matrix(g, X):
    return np.eye(len(PERM))[PERM].T @ g


def permuted_again(g, X):
    return g[PERM]


def permuted_not(g, X):
    return g.copy()


def repeated_added(g, x, idx):
    out = np.zeros_like(x)
    np.add.at(out, idx, 2 * x[idx] * g)
    return out


def repeated_counted(g, x, idx):
    return 2 * x * np.bincount(idx, weights=g, minlength=x.size)


def repeated_assigned(g, x, idx):
    out = np.zeros_like(x)
    out[idx] = 2 * x[idx] * g
    return out


def repeated_two_missing(g, x, idx):
    return x * np.bincount(idx, weights=g, minlength=x.size)


def repeated_value(g, x, idx):
    out = np.zeros_like(x)
    np.add.at(out, idx, x[idx] ** 2 * g)
    return out


def repeated_slope_of_unindexed(g, x, idx):
    """Takes the slope at x, not at x[idx]; the sizes are equal by chance."""
    return np.bincount(idx, weights=2 * x * g, minlength=x.size)


def repeated_averaged(g, x, idx):
    counts = np.maximum(np.bincount(idx, minlength=x.size), 1)
    return 2 * x * np.bincount(idx, weights=g, minlength=x.size) / counts


def repeated_gathered(g, x, idx):
    return 2 * x[idx] * g[idx]


def picked_scattered(g, X, labels):
    out = np.zeros_like(X)
    out[np.arange(len(X)), labels] = g
    return out


def picked_one_hot(g, X, labels):
    return g[:, None] * np.eye(X.shape[1])[labels]


def picked_whole_row(g, X, labels):
    return np.repeat(g[:, None], X.shape[1], axis=1)


def picked_without_cotangent(g, X, labels):
    return np.eye(X.shape[1])[labels]


def picked_negative(g, X, labels):
    return -g[:, None] * np.eye(X.shape[1])[labels]


def picked_mean(g, X, labels):
    return picked_one_hot(g, X, labels) / len(X)


def sliced_back(g, x):
    out = np.zeros_like(x)
    out[1:8:2] = g
    return out


def sliced_without_stride(g, x):
    out = np.zeros_like(x)
    out[1:5] = g
    return out


def sliced_from_the_start(g, x):
    out = np.zeros_like(x)
    out[0:7:2] = g
    return out


def rolled_back(g, x):
    return np.roll(g * np.arange(1.0, 1 + x.size), -3)


def rolled_by_index(g, x):
    i = (np.arange(x.size) + 3) % x.size
    return (1.0 + i) * g[i]


def rolled_the_same_way(g, x):
    return np.roll(g * np.arange(1.0, 1 + x.size), 3)


def rolled_before_the_weights(g, x):
    return np.roll(g, -3) * np.arange(1.0, 1 + x.size)


def rolled_not(g, x):
    return g * np.arange(1.0, 1 + x.size)


def rolled_without_weights(g, x):
    return np.roll(g, -3)


def transposed_back(g, X):
    return g.transpose(1, 2, 0)


def transposed_by_inverse(g, X):
    return np.moveaxis(g, 0, 2)


def transposed_by_the_same(g, X):
    return g.transpose(2, 0, 1)


def transposed_reversed(g, X):
    return g.transpose()


def transposed_by_reshape(g, X):
    return g.reshape(X.shape)


def differences_right(g, x):
    return np.append(0, g) - np.append(g, 0)


def differences_matrix(g, x):
    return np.diff(np.eye(x.size), axis=0).T @ g


def differences_sign(g, x):
    return np.append(g, 0) - np.append(0, g)


def differences_one_end(g, x):
    return np.append(0, g)


def differences_overwritten(g, x):
    out = np.zeros_like(x)
    out[1:] = g
    out[:-1] = -g
    return out


CASES = [
    Case("gather", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (permuted, permuted_by_argsort, matrix, ()),
        (permuted, permuted_by_assignment, matrix, ()),
        (permuted, permuted_by_matrix, matrix, ()),
        (permuted, permuted_again, matrix, ("permutation-not-inverted",)),
        (permuted, permuted_not, matrix, ("permutation-not-inverted", "missing-factor")),
        (repeated, repeated_added, indexed, ()),
        (repeated, repeated_counted, indexed, ()),
        (repeated, repeated_assigned, indexed, ("overwritten-duplicates",)),
        (repeated, repeated_two_missing, indexed, ("constant-factor",)),
        (repeated, repeated_value, indexed, ("value-for-derivative",)),
        (repeated, repeated_slope_of_unindexed, indexed, ("wrong-point",)),
        (repeated, repeated_averaged, indexed, ("mean-for-sum",)),
        (repeated, repeated_gathered, indexed, ("permutation-not-inverted",)),
        (picked, picked_scattered, labelled, ()),
        (picked, picked_one_hot, labelled, ()),
        (picked, picked_whole_row, labelled, ("missing-factor",)),
        (picked, picked_without_cotangent, labelled, ("missing-cotangent",)),
        (picked, picked_negative, labelled, ("sign",)),
        (picked, picked_mean, labelled, ("mean-for-sum", "constant-factor")),
        (sliced, sliced_back, vector, ()),
        (sliced, sliced_without_stride, vector, ("wrong-point",)),
        (sliced, sliced_from_the_start, vector, ("wrong-point",)),
        (rolled, rolled_back, vector, ()),
        (rolled, rolled_by_index, vector, ()),
        (rolled, rolled_the_same_way, vector, ("permutation-not-inverted",)),
        (rolled, rolled_before_the_weights, vector, ("order-swapped",)),
        (rolled, rolled_not, vector, ("permutation-not-inverted", "missing-factor")),
        (rolled, rolled_without_weights, vector, ("missing-factor",)),
        (transposed, transposed_back, cube, ()),
        (transposed, transposed_by_inverse, cube, ()),
        (transposed, transposed_by_the_same, equal_cube, ("permutation-not-inverted",)),
        (transposed, transposed_reversed, equal_cube, ("permutation-not-inverted",)),
        (transposed, transposed_by_reshape, cube, ("vec-order", "permutation-not-inverted")),
        (differences, differences_right, vector, ()),
        (differences, differences_matrix, vector, ()),
        (differences, differences_sign, vector, ("sign",)),
        (differences, differences_one_end, vector, ("missing-path",)),
        (differences, differences_overwritten, vector, ("overwritten-duplicates",)),
    ]
]
