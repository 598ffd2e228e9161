"""`Y = X W`, the samples in rows, alone, in a batch and with a matrix for each of the batch."""

import numpy as np
from numpy.linalg import pinv

from tests.mistakes import Problem, normal


def forward(X, W):
    return X @ W


def by_samples(dY, X, W):
    dW = np.zeros_like(W)
    for d, x in zip(dY.reshape(-1, 5), X.reshape(-1, 3), strict=True):
        dW += np.outer(x, d)
    return dW


def last_of_batch(dY, X, W):
    dW = np.zeros_like(W)
    for d, x in zip(dY, X, strict=True):
        dW = x.T @ d
    return dW


def same_for_all(dY, X, W):
    dW = np.einsum("bij,bik->jk", X, dY)
    return np.repeat(dW[None], len(X), axis=0)


W = Problem("matmul_rows", forward, normal((7, 3), (3, 5)), argnum=1)
W_SQUARE = Problem("matmul_rows", forward, normal((4, 4), (4, 4)), argnum=1)
X = Problem("matmul_rows", forward, normal((7, 3), (3, 5)))
X_WIDE = Problem("matmul_rows", forward, normal((7, 4), (4, 4)))
BATCH = Problem("matmul_rows", forward, normal((2, 7, 3), (3, 5)), argnum=1)
EACH = Problem("matmul_rows", forward, normal((2, 7, 3), (2, 3, 5)), argnum=1)

CASES = [
    W.right("by W", lambda dY, X, W: X.T @ dY),
    W.right("by W, sample by sample", by_samples),
    W.right("by W, tensordot", lambda dY, X, W: np.tensordot(X, dY, axes=(0, 0))),
    W.wrong("by W, layout", lambda dY, X, W: dY.T @ X, "transposed-layout"),
    W.wrong(
        "by W, mean over samples",
        lambda dY, X, W: X.T @ dY / len(X),
        "mean-for-sum",
        "constant-factor",
    ),
    W.wrong(
        "by W, one gradient a sample", lambda dY, X, W: X[:, :, None] * dY[:, None], "missing-sum"
    ),
    W.wrong("by W, pseudo-inverse", lambda dY, X, W: pinv(X) @ dY, "inverse-for-transpose"),
    W.wrong(
        "by W, mean and sign",
        lambda dY, X, W: -(X.T @ dY) / len(X),
        "mean-for-sum+sign",
        "constant-factor+sign",
    ),
    W_SQUARE.wrong("by W, X as it is", lambda dY, X, W: X @ dY, "operand-not-transposed"),
    W_SQUARE.wrong("by W, order", lambda dY, X, W: dY @ X.T, "order-swapped"),
    W_SQUARE.wrong("by W, the formula of X", lambda dY, X, W: dY @ W.T, "wrong-argument"),
    X.right("by X", lambda dY, X, W: dY @ W.T),
    X.wrong("by X, ones", lambda dY, X, W: np.ones((7, 5)) @ W.T, "missing-cotangent"),
    X.wrong("by X, the output", lambda dY, X, W: X @ W @ W.T, "missing-cotangent"),
    X_WIDE.wrong("by X, W as it is", lambda dY, X, W: dY @ W, "operand-not-transposed"),
    BATCH.right("a batch, by W", lambda dY, X, W: np.einsum("btj,btk->jk", X, dY)),
    BATCH.right("a batch, by W, flat", lambda dY, X, W: X.reshape(-1, 3).T @ dY.reshape(-1, 5)),
    BATCH.right("a batch, by W, sample by sample", by_samples),
    BATCH.wrong("a batch, by W, the last one", last_of_batch, "overwritten-duplicates"),
    BATCH.wrong(
        "a batch, by W, not summed", lambda dY, X, W: X.transpose(0, 2, 1) @ dY, "missing-sum"
    ),
    BATCH.wrong(
        "a batch, by W, mean over the batch",
        lambda dY, X, W: (X.transpose(0, 2, 1) @ dY).mean(axis=0),
        "mean-for-sum",
        "constant-factor",
    ),
    BATCH.wrong(
        "a batch, by W, reshaped where a transpose belongs",
        lambda dY, X, W: X.reshape(3, -1) @ dY.reshape(-1, 5),
        "vec-order",
        "operand-not-transposed",
    ),
    EACH.right("a matrix each, by W", lambda dY, X, W: X.transpose(0, 2, 1) @ dY),
    EACH.wrong("a matrix each, summed as one", same_for_all, "flattened-batch"),
    EACH.wrong(
        "a matrix each, the batch summed away",
        lambda dY, X, W: np.einsum("btj,btk->jk", X, dY),
        "flattened-batch",
    ),
]
