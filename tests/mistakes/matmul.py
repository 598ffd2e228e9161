"""`D = W X`: by W the pull-back is `dD Xᵀ`, by X it is `Wᵀ dD`."""

import numpy as np
from numpy.linalg import inv, pinv, solve

from tests.mistakes import Problem, normal


def forward(W, X):
    return W @ X


def by_entries(dD, W, X):
    dW = np.zeros_like(W)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            dW[i, j] = np.sum(dD[i] * X[j])
    return dW


def by_columns(dD, W, X):
    dW = np.zeros_like(W)
    for d, x in zip(dD.T, X.T, strict=True):
        dW += np.outer(d, x)
    return dW


def by_jacobian(dD, W, X):
    J = np.einsum("ik,lj->ijkl", np.eye(len(W)), X)
    return (dD.reshape(-1) @ J.reshape(dD.size, W.size)).reshape(W.shape)


def by_kronecker(dD, W, X):
    J = np.kron(X.T, np.eye(len(W)))  # vec by columns
    return (J.T @ dD.reshape(-1, order="F")).reshape(W.shape, order="F")


def vec_by_rows(dD, W, X):
    J = np.kron(X.T, np.eye(len(W)))  # vec by columns
    return (J.T @ dD.reshape(-1)).reshape(W.shape)


W = Problem("matmul", forward, normal((5, 3), (3, 7)))
W_SQUARE = Problem("matmul", forward, normal((4, 4), (4, 4)))
W_WIDE = Problem("matmul", forward, normal((5, 4), (4, 4)))
X = Problem("matmul", forward, normal((5, 3), (3, 7)), argnum=1)
X_SQUARE = Problem("matmul", forward, normal((4, 4), (4, 4)), argnum=1)
X_TALL = Problem("matmul", forward, normal((4, 4), (4, 7)), argnum=1)

CASES = [
    W.right("by W", lambda dD, W, X: dD @ X.T),
    W.right("by W, the transpose of a product", lambda dD, W, X: (X @ dD.T).T),
    W.right("by W, entry by entry", by_entries),
    W.right("by W, a sum of outer products", by_columns),
    W.right("by W, a dense Jacobian", by_jacobian),
    W.right("by W, a Kronecker product", by_kronecker),
    W.wrong("by W, left transposed", lambda dD, W, X: X @ dD.T, "transposed-layout"),
    W.wrong("by W, Kronecker product on rows", vec_by_rows, "vec-order"),
    W.wrong(
        "by W, mean over columns",
        lambda dD, W, X: dD @ X.T / X.shape[1],
        "mean-for-sum",
        "constant-factor",
    ),
    W.wrong("by W, negative", lambda dD, W, X: -dD @ X.T, "sign"),
    W.wrong("by W, pseudo-inverse", lambda dD, W, X: dD @ pinv(X), "inverse-for-transpose"),
    W.wrong("by W, ones for dD", lambda dD, W, X: np.ones_like(dD) @ X.T, "missing-cotangent"),
    W.wrong("by W, D for dD", lambda dD, W, X: (W @ X) @ X.T, "missing-cotangent"),
    W.wrong("by W, sum over columns left out", lambda dD, W, X: dD[:, None] * X, "missing-sum"),
    W_WIDE.wrong("by W, X as it is", lambda dD, W, X: dD @ X, "operand-not-transposed"),
    W_WIDE.wrong("by W, inverse of X", lambda dD, W, X: dD @ inv(X), "inverse-for-transpose"),
    W_WIDE.wrong(
        "by W, solving with X", lambda dD, W, X: solve(X.T, dD.T).T, "inverse-for-transpose"
    ),
    W_SQUARE.wrong("by W, order swapped", lambda dD, W, X: X.T @ dD, "order-swapped"),
    W_SQUARE.wrong("by W, the formula of X", lambda dD, W, X: W.T @ dD, "wrong-argument"),
    X.right("by X", lambda dD, W, X: W.T @ dD),
    X.right("by X, einsum", lambda dD, W, X: np.einsum("ij,ik->kj", dD, W)),
    X.right("by X, row times matrix", lambda dD, W, X: np.stack([d @ W for d in dD.T], axis=1)),
    X.wrong("by X, left transposed", lambda dD, W, X: dD.T @ W, "transposed-layout"),
    X.wrong(
        "by X, mean over rows",
        lambda dD, W, X: W.T @ dD / len(W),
        "mean-for-sum",
        "constant-factor",
    ),
    X.wrong("by X, twice", lambda dD, W, X: 2 * W.T @ dD, "constant-factor"),
    X.wrong("by X, in W's place", lambda dD, W, X: dD @ X.T, "wrong-argument"),
    X_TALL.wrong("by X, W as it is", lambda dD, W, X: W @ dD, "operand-not-transposed"),
    X_TALL.wrong("by X, inverse of W", lambda dD, W, X: inv(W) @ dD, "inverse-for-transpose"),
    X_SQUARE.wrong("by X, order swapped", lambda dD, W, X: dD @ W.T, "order-swapped"),
]
