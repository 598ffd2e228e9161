"""Axes and rows in another order: the pull-back takes the inverse permutation."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Problem, normal

CYCLE = (1, 2, 0)  # not its own inverse
ROWS = np.array([2, 0, 3, 1, 4])
BACK = np.argsort(ROWS)
COLUMNS = np.array([1, 2, 0])


def plain(X):
    return X.T


def cycled(X):
    return X.transpose(CYCLE)


def permuted(X):
    return X[ROWS]


def permuted_both(X):
    return X[ROWS][:, COLUMNS]


def symmetrised(X):
    return X + X.T


def product(X, W):
    return X.T @ W


def heads(X, W):
    return X.reshape(7, 2, 3).transpose(1, 0, 2) @ W


def shuffled_layer(X, w):
    return jnp.tanh(X[ROWS] * w)


def scattered(d, X):
    out = np.empty_like(X)
    out[ROWS] = d
    return out


def by_permutation_matrix(d, X):
    return np.eye(5)[ROWS].T @ d


def cycled_by_loops(d, X):
    out = np.empty_like(X)
    for i, j, k in np.ndindex(X.shape):
        out[i, j, k] = d[j, k, i]
    return out


def heads_grad(d, X, W):
    return (d @ W.T).transpose(1, 0, 2).reshape(X.shape)


def heads_not_transposed(d, X, W):
    return (d @ W.T).reshape(X.shape)


def heads_wrong_axes(d, X, W):
    return (d @ W.T).transpose(1, 2, 0).reshape(X.shape)


def slopes(X, w):
    return 1 - np.tanh(X[ROWS] * w) ** 2


PLAIN = Problem("transpose", plain, normal((5, 3)))
CYCLED = Problem("transpose", cycled, normal((2, 3, 5)))
CUBE = Problem("transpose", cycled, normal((3, 3, 3)))
PERMUTED = Problem("transpose", permuted, normal((5, 3)))
BOTH = Problem("transpose", permuted_both, normal((5, 3)))
SYMMETRISED = Problem("transpose", symmetrised, normal((4, 4)))
ANTI = Problem("transpose", lambda X: X - X.T, normal((4, 4)))
PRODUCT, PRODUCT_W = (Problem("transpose", product, normal((5, 3), (5, 7)), n) for n in range(2))
HEADS = Problem("transpose", heads, normal((7, 6), (3, 3)))
LAYER, LAYER_W = (Problem("transpose", shuffled_layer, normal((5, 3), (5, 3)), n) for n in (0, 1))

CASES = [
    PLAIN.right("transpose", lambda d, X: d.T),
    PLAIN.right("transpose, column by column", lambda d, X: np.stack(list(d), axis=1)),
    PLAIN.wrong(
        "transpose, not back", lambda d, X: d, "transposed-layout", "permutation-not-inverted"
    ),
    PLAIN.wrong(
        "transpose, a reshape",
        lambda d, X: d.reshape(X.shape),
        "vec-order",
        "permutation-not-inverted",
    ),
    PLAIN.wrong("transpose, the output for d", lambda d, X: X.copy(), "missing-cotangent"),
    CYCLED.right("cycle", lambda d, X: d.transpose(np.argsort(CYCLE))),
    CYCLED.right("cycle, written out", lambda d, X: d.transpose(2, 0, 1)),
    CYCLED.right("cycle, entry by entry", cycled_by_loops),
    CYCLED.right("cycle, two swaps", lambda d, X: d.swapaxes(0, 2).swapaxes(1, 2)),
    CYCLED.wrong("cycle, again", lambda d, X: d.transpose(CYCLE), "permutation-not-inverted"),
    CYCLED.wrong(
        "cycle, a reshape", lambda d, X: d.reshape(X.shape), "vec-order", "permutation-not-inverted"
    ),
    CUBE.wrong(
        "cycle of equal axes, again", lambda d, X: d.transpose(CYCLE), "permutation-not-inverted"
    ),
    CUBE.wrong(
        "cycle of equal axes, all reversed",
        lambda d, X: d.T,
        "permutation-not-inverted",
        "vec-order",
        "transposed-layout",
    ),
    CUBE.wrong("cycle of equal axes, left", lambda d, X: d, "permutation-not-inverted"),
    PERMUTED.right("rows", lambda d, X: d[BACK]),
    PERMUTED.right("rows, scattered", scattered),
    PERMUTED.right("rows, a permutation matrix", by_permutation_matrix),
    PERMUTED.wrong("rows, again", lambda d, X: d[ROWS], "permutation-not-inverted"),
    PERMUTED.wrong("rows, left", lambda d, X: d, "permutation-not-inverted"),
    PERMUTED.wrong(
        "rows, again and sign",
        lambda d, X: -d[ROWS],
        "permutation-not-inverted+sign",
    ),
    BOTH.right("rows and columns", lambda d, X: d[BACK][:, np.argsort(COLUMNS)]),
    BOTH.right(
        "rows and columns, scattered", lambda d, X: np.eye(5)[ROWS].T @ d @ np.eye(3)[COLUMNS]
    ),
    BOTH.wrong(
        "rows and columns, columns again",
        lambda d, X: d[BACK][:, COLUMNS],
        "permutation-not-inverted",
    ),
    BOTH.wrong("rows and columns, columns left", lambda d, X: d[BACK], "permutation-not-inverted"),
    BOTH.wrong(
        "rows and columns, both again", lambda d, X: d[ROWS][:, COLUMNS], "permutation-not-inverted"
    ),
    SYMMETRISED.right("symmetrised", lambda d, X: d + d.T),
    SYMMETRISED.wrong(
        "symmetrised, as if d were symmetric",
        lambda d, X: 2 * d,
        "operand-not-transposed",
        "missing-path",
    ),
    SYMMETRISED.wrong("symmetrised, one use", lambda d, X: d, "missing-path"),
    SYMMETRISED.wrong("symmetrised, the other use", lambda d, X: d.T, "missing-path"),
    SYMMETRISED.wrong("symmetrised, minus", lambda d, X: d - d.T, "sign"),
    ANTI.right("antisymmetric", lambda d, X: d - d.T),
    ANTI.wrong("antisymmetric, sign", lambda d, X: d.T - d, "sign", "transposed-layout"),
    ANTI.wrong("antisymmetric, half", lambda d, X: (d - d.T) / 2, "constant-factor"),
    PRODUCT.right("Xᵀ W", lambda d, X, W: W @ d.T),
    PRODUCT.wrong(
        "Xᵀ W, layout", lambda d, X, W: d @ W.T, "transposed-layout", "permutation-not-inverted"
    ),
    PRODUCT_W.right("Xᵀ W by W", lambda d, X, W: np.einsum("ji,ik->jk", X, d)),
    PRODUCT_W.wrong("Xᵀ W by W, twice", lambda d, X, W: 2 * X @ d, "constant-factor"),
    HEADS.right("heads", heads_grad),
    HEADS.right("heads, one by one", lambda d, X, W: np.hstack([head @ W.T for head in d])),
    HEADS.wrong(
        "heads, not put back", heads_not_transposed, "permutation-not-inverted", "vec-order"
    ),
    HEADS.wrong("heads, within a head", heads_wrong_axes, "permutation-not-inverted", "vec-order"),
    HEADS.wrong(
        "heads, W as it is", lambda d, X, W: heads_grad(d, X, W.T), "operand-not-transposed"
    ),
    LAYER.right("shuffled layer", lambda d, X, w: (d * slopes(X, w) * w)[BACK]),
    LAYER.wrong(
        "shuffled layer, again",
        lambda d, X, w: (d * slopes(X, w) * w)[ROWS],
        "permutation-not-inverted",
    ),
    LAYER.wrong(
        "shuffled layer, left", lambda d, X, w: d * slopes(X, w) * w, "permutation-not-inverted"
    ),
    LAYER.wrong(
        "shuffled layer, d alone put back",
        lambda d, X, w: d[BACK] * slopes(X, w) * w,
        "permutation-not-inverted",
        "wrong-point",
    ),
    LAYER_W.right("shuffled layer by w", lambda d, X, w: d * slopes(X, w) * X[ROWS]),
    LAYER_W.wrong(
        "shuffled layer by w, X in its old order",
        lambda d, X, w: d * slopes(X, w) * X,
        "permutation-not-inverted",
        "wrong-point",
    ),
    LAYER_W.wrong(
        "shuffled layer by w, put back",
        lambda d, X, w: (d * slopes(X, w) * X[ROWS])[BACK],
        "permutation-not-inverted",
    ),
]
