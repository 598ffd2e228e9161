"""Rows of a table looked up by index, with words that come more than once."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def forward(E, idx):
    return E[idx]


def args(rng):
    return rng.normal(size=(7, 3)), np.array([2, 5, 2, 0, 6, 2, 5])


def batch_args(rng):
    return rng.normal(size=(7, 3)), np.array([[4, 1, 4, 4], [0, 1, 6, 4]])


def projected(E, W, idx):
    """Looked up, projected, passed through tanh."""
    return jnp.tanh(E[idx] @ W)


def projected_args(rng):
    return rng.normal(size=(7, 3)), rng.normal(size=(3, 5)), np.array([3, 3, 1, 5, 3, 0])


def bag(E, idx):
    """The mean over the words of each bag."""
    return E[idx].mean(1)


def bag_args(rng):
    return rng.normal(size=(11, 3)), np.array([[4, 1, 4, 4, 9], [0, 1, 10, 4, 4]])


def add_at(g, E, idx):
    out = np.zeros_like(E)
    np.add.at(out, idx, g)
    return out


def one_hot(g, E, idx):
    return np.eye(len(E))[idx].T @ g


def bincount_of_each_column(g, E, idx):
    columns = [np.bincount(idx, weights=g[:, c], minlength=len(E)) for c in range(g.shape[1])]
    return np.stack(columns, axis=1)


def sorted_segments(g, E, idx):
    order = np.argsort(idx, kind="stable")
    words, starts = np.unique(idx[order], return_index=True)
    out = np.zeros_like(E)
    out[words] = np.add.reduceat(g[order], starts, axis=0)
    return out


def assigned(g, E, idx):
    out = np.zeros_like(E)
    out[idx] = g
    return out


def buffered_addition(g, E, idx):
    out = np.zeros_like(E)
    out[idx] += g
    return out


def divided_by_the_count(g, E, idx):
    out = add_at(g, E, idx)
    return out / np.maximum(np.bincount(idx, minlength=len(E)), 1)[:, None]


def gathered_again(g, E, idx):
    """Indexes the cotangent as the forward pass indexes the table (sizes are equal)."""
    return g[idx]


def returned_unscattered(g, E, idx):
    return g.copy()


def sign(g, E, idx):
    out = np.zeros_like(E)
    np.subtract.at(out, idx, g)
    return out


def times_the_row(g, E, idx):
    out = np.zeros_like(E)
    np.add.at(out, idx, g * E[idx])
    return out


def ones_scattered(g, E, idx):
    out = np.zeros_like(E)
    np.add.at(out, idx, np.ones_like(g))
    return out


def transposed(g, E, idx):
    return add_at(g, E, idx).T


def batch_loop(g, E, idx):
    out = np.zeros_like(E)
    for sentence, rows in zip(idx, g, strict=True):
        for word, row in zip(sentence, rows, strict=True):
            out[word] += row
    return out


def batch_flat(g, E, idx):
    out = np.zeros_like(E)
    np.add.at(out, idx.ravel(), g.reshape(-1, E.shape[1]))
    return out


def batch_assigned_by_sentence(g, E, idx):
    """Adds across sentences, overwrites within one."""
    out = np.zeros_like(E)
    for sentence, rows in zip(idx, g, strict=True):
        out[sentence] += rows
    return out


def batch_mean(g, E, idx):
    return batch_loop(g, E, idx) / len(idx)


def projected_right(g, E, W, idx):
    H = np.tanh(E[idx] @ W)
    return np.eye(len(E))[:, idx] @ ((1 - H * H) * g) @ W.T


def projected_overwritten(g, E, W, idx):
    H = np.tanh(E[idx] @ W)
    out = np.zeros_like(E)
    out[idx] = (g * (1 - H**2)) @ W.T
    return out


def projected_without_slope(g, E, W, idx):
    out = np.zeros_like(E)
    np.add.at(out, idx, g @ W.T)
    return out


def projected_with_value(g, E, W, idx):
    out = np.zeros_like(E)
    np.add.at(out, idx, (g * np.tanh(E[idx] @ W)) @ W.T)
    return out


def bag_right(g, E, idx):
    out = np.zeros_like(E)
    for b, words in enumerate(idx):
        for word in words:
            out[word] += g[b] / len(words)
    return out


def bag_without_mean(g, E, idx):
    return bag_right(g, E, idx) * idx.shape[1]


def bag_overwritten(g, E, idx):
    out = np.zeros_like(E)
    for b, words in enumerate(idx):
        out[words] += g[b] / len(words)
    return out


def bag_divided_by_bags(g, E, idx):
    return bag_right(g, E, idx) * idx.shape[1] / idx.shape[0]


CASES = [
    Case("embedding", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, draw, rows in [
        (
            forward,
            args,
            [
                (add_at, ()),
                (one_hot, ()),
                (bincount_of_each_column, ()),
                (sorted_segments, ()),
                (assigned, ("overwritten-duplicates",)),
                (buffered_addition, ("overwritten-duplicates",)),
                (divided_by_the_count, ("mean-for-sum",)),
                (gathered_again, ("permutation-not-inverted",)),
                (returned_unscattered, ("permutation-not-inverted", "missing-factor")),
                (sign, ("sign",)),
                (times_the_row, ("extra-factor",)),
                (ones_scattered, ("missing-cotangent",)),
                (transposed, ("transposed-layout",)),
            ],
        ),
        (
            forward,
            batch_args,
            [
                (batch_loop, ()),
                (batch_flat, ()),
                (batch_assigned_by_sentence, ("overwritten-duplicates",)),
                (batch_mean, ("mean-for-sum", "constant-factor")),
            ],
        ),
        (
            projected,
            projected_args,
            [
                (projected_right, ()),
                (projected_overwritten, ("overwritten-duplicates",)),
                (projected_without_slope, ("missing-activation-derivative",)),
                (projected_with_value, ("value-for-derivative",)),
            ],
        ),
        (
            bag,
            bag_args,
            [
                (bag_right, ()),
                (bag_without_mean, ("constant-factor",)),
                (bag_overwritten, ("overwritten-duplicates",)),
                (bag_divided_by_bags, ("constant-factor",)),
            ],
        ),
    ]
    for b, kinds in rows
]
