"""Quadratic and bilinear forms: `xᵀ A x`, `xᵀ A y`, one for each row, `tr(Xᵀ A X)`."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Problem, normal


def form(x, A):
    return x @ A @ x


def bilinear(x, A, y):
    return x @ A @ y


def each_row(X, A):
    return jnp.einsum("ni,ij,nj->n", X, A, X)


def trace(X, A):
    return jnp.trace(X.T @ A @ X)


def centred(x, A, m):
    return (x - m) @ A @ (x - m) / 2


def by_entries(d, x, A):
    out = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            out[i] += A[i, j] * x[j]
            out[j] += A[i, j] * x[i]
    return d * out


def entries_of_one_index(d, x, A):
    out = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            out[i] += A[i, j] * x[j]
    return d * out


def diagonal(d, x, A):
    return d * 2 * np.diag(A) * x


SYMMETRIC = ("operand-not-transposed", "missing-path")
x, A = (Problem("quadratic", form, normal(5, (5, 5)), argnum) for argnum in range(2))
BX, BA, BY = (Problem("quadratic", bilinear, normal(5, (5, 3), 3), n) for n in range(3))
BA_SQUARE = Problem("quadratic", bilinear, normal(4, (4, 4), 4), 1)
BX_SQUARE = Problem("quadratic", bilinear, normal(4, (4, 4), 4))
ROWS = Problem("quadratic", each_row, normal((7, 3), (3, 3)))
ROWS_A = Problem("quadratic", each_row, normal((7, 3), (3, 3)), 1)
TRACE = Problem("quadratic", trace, normal((5, 3), (5, 5)))
CENTRED, CENTRE = (Problem("quadratic", centred, normal(5, (5, 5), 5), n) for n in (0, 2))

CASES = [
    x.right("by x", lambda d, x, A: d * (A + A.T) @ x),
    x.right("by x, row and column", lambda d, x, A: d * (A @ x + x @ A)),
    x.right("by x, by entries", by_entries),
    x.right("by x, the symmetric part", lambda d, x, A: 2 * d * ((A + A.T) / 2 @ x)),
    x.wrong("by x, 2Ax", lambda d, x, A: d * 2 * A @ x, *SYMMETRIC),
    x.wrong("by x, 2Aᵀx", lambda d, x, A: d * 2 * A.T @ x, *SYMMETRIC),
    x.wrong("by x, Ax", lambda d, x, A: d * A @ x, "missing-path"),
    x.wrong("by x, Aᵀx", lambda d, x, A: d * A.T @ x, "missing-path"),
    x.wrong("by x, one index of two", entries_of_one_index, "missing-path"),
    x.wrong("by x, diagonal", diagonal, "diagonal-only"),
    x.wrong("by x, d forgotten", lambda d, x, A: (A + A.T) @ x, "missing-cotangent"),
    x.wrong("by x, half", lambda d, x, A: d * (A + A.T) @ x / 2, "constant-factor"),
    x.wrong("by x, A left out", lambda d, x, A: d * 2 * x, "missing-factor"),
    x.wrong("by x, minus", lambda d, x, A: d * (A - A.T) @ x, "sign"),
    A.right("by A", lambda d, x, A: d * np.outer(x, x)),
    A.wrong("by A, twice", lambda d, x, A: d * 2 * np.outer(x, x), "constant-factor"),
    A.wrong("by A, a diagonal", lambda d, x, A: d * np.diag(x**2), "diagonal-only"),
    A.wrong("by A, d forgotten", lambda d, x, A: np.outer(x, x), "missing-cotangent"),
    BX.right("bilinear by x", lambda d, x, A, y: d * A @ y),
    BX.wrong("bilinear by x, by columns", lambda d, x, A, y: d * A * y, "missing-sum"),
    BX.wrong("bilinear by x, as by y", lambda d, x, A, y: d * A.T @ x, "wrong-argument"),
    BX_SQUARE.wrong("bilinear by x, Aᵀy", lambda d, x, A, y: d * A.T @ y, "operand-not-transposed"),
    BA.right("bilinear by A", lambda d, x, A, y: d * x[:, None] * y[None, :]),
    BA.right(
        "bilinear by A, a Kronecker product", lambda d, x, A, y: d * np.kron(x, y).reshape(A.shape)
    ),
    BA.wrong("bilinear by A, layout", lambda d, x, A, y: d * np.outer(y, x), "transposed-layout"),
    BA.wrong(
        "bilinear by A, Kronecker by columns",
        lambda d, x, A, y: d * np.kron(y, x).reshape(A.shape),
        "vec-order",
    ),
    BA_SQUARE.wrong(
        "bilinear by A, order",
        lambda d, x, A, y: d * np.outer(y, x),
        "transposed-layout",
        "order-swapped",
    ),
    BY.right("bilinear by y", lambda d, x, A, y: d * x @ A),
    BY.wrong("bilinear by y, sign", lambda d, x, A, y: -d * A.T @ x, "sign"),
    ROWS.right("rows", lambda d, X, A: d[:, None] * (X @ (A + A.T))),
    ROWS.wrong("rows, 2XAᵀ", lambda d, X, A: 2 * d[:, None] * (X @ A.T), *SYMMETRIC),
    ROWS.wrong("rows, 2XA", lambda d, X, A: 2 * d[:, None] * (X @ A), *SYMMETRIC),
    ROWS.wrong("rows, one path", lambda d, X, A: d[:, None] * (X @ A), "missing-path"),
    ROWS.wrong(
        "rows, one d for all",
        lambda d, X, A: d.sum() * (X @ (A + A.T)),
        "flattened-batch",
        "wrong-axis",
    ),
    ROWS.wrong("rows, ones for d", lambda d, X, A: X @ (A + A.T), "missing-cotangent"),
    ROWS_A.right("rows by A", lambda d, X, A: (X * d[:, None]).T @ X),
    ROWS_A.wrong(
        "rows by A, not summed",
        lambda d, X, A: d[:, None, None] * X[:, :, None] * X[:, None, :],
        "missing-sum",
    ),
    ROWS_A.wrong(
        "rows by A, mean",
        lambda d, X, A: (X * d[:, None]).T @ X / len(X),
        "mean-for-sum",
        "constant-factor",
    ),
    ROWS_A.wrong("rows by A, d left out", lambda d, X, A: X.T @ X, "missing-cotangent"),
    TRACE.right("trace", lambda d, X, A: d * (A @ X + A.T @ X)),
    TRACE.wrong("trace, 2AX", lambda d, X, A: d * 2 * A @ X, *SYMMETRIC),
    TRACE.wrong("trace, one path", lambda d, X, A: d * A @ X, "missing-path"),
    TRACE.wrong("trace, layout", lambda d, X, A: d * X.T @ (A + A.T), "transposed-layout"),
    CENTRED.right("centred", lambda d, x, A, m: d / 2 * (A + A.T) @ (x - m)),
    CENTRED.wrong("centred, A(x - m)", lambda d, x, A, m: d * A @ (x - m), *SYMMETRIC),
    CENTRED.wrong(
        "centred, x for x - m",
        lambda d, x, A, m: d / 2 * (A + A.T) @ x,
        "missing-path",
        "wrong-point",
    ),
    CENTRED.wrong(
        "centred, no half", lambda d, x, A, m: d * (A + A.T) @ (x - m), "constant-factor"
    ),
    CENTRE.wrong(
        "centred, by m as by x",
        lambda d, x, A, m: d / 2 * (A + A.T) @ (x - m),
        "sign",
        "wrong-argument",
    ),
    CENTRE.right("centred, by m", lambda d, x, A, m: d / 2 * (A + A.T) @ (m - x)),
]
