"""Products entry by entry: `A ⊙ B`, with broadcasting, with itself, with a mask; quotients."""

import numpy as np

from tests.mistakes import Problem, normal

MASK = np.array([[1.0, 0, 1, 1, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]])


def forward(A, B):
    return A * B


def row_scale(X, s):
    return X * s[:, None]


def column_scale(X, s):
    return X * s[None, :]


def by_number(X, t):
    return t * X


def masked(X, W):
    return (MASK * X) @ W


def quotient(A, B):
    return A / B


def cubed(X):
    return X * X * X


def gated(X, W, V):
    return (X @ W) * (X @ V)


def apart_from_zero(rng):
    signs = np.sign(rng.standard_normal((5, 3)))
    return rng.standard_normal((5, 3)), signs * rng.uniform(0.5, 2.0, (5, 3))


def number(rng):
    return rng.standard_normal((5, 3)), np.array(rng.uniform(0.5, 2.0))


def by_diagonals(d, A, B):
    return (np.diag(B.ravel()) @ d.ravel()).reshape(A.shape)


def scaled_by_diagonal(d, X, s):
    return np.diag(s) @ d


A = Problem("hadamard", forward, normal((5, 3), (5, 3)))
ROW_X, ROW_S = (Problem("hadamard", row_scale, normal((5, 3), 5), n) for n in range(2))
COLUMN_X, COLUMN_S = (Problem("hadamard", column_scale, normal((5, 3), 3), n) for n in range(2))
COLUMN_SQUARE = Problem("hadamard", column_scale, normal((4, 4), 4))
NUMBER_X, NUMBER_T = (Problem("hadamard", by_number, number, n) for n in range(2))
MASKED, MASKED_W = (Problem("hadamard", masked, normal((3, 5), (5, 2)), n) for n in range(2))
OVER, UNDER = (Problem("hadamard", quotient, apart_from_zero, n) for n in range(2))
SQUARED = Problem("hadamard", lambda X: X * X, normal((5, 3)))
CUBED = Problem("hadamard", cubed, normal((5, 3)))
GATED = Problem("hadamard", gated, normal((5, 3), (3, 2), (3, 2)))

CASES = [
    A.right("by A", lambda d, A, B: d * B),
    A.right("by A, a diagonal matrix", by_diagonals),
    A.wrong("by A, times A", lambda d, A, B: d * A, "wrong-argument"),
    A.wrong("by A, B left out", lambda d, A, B: d, "missing-factor"),
    A.wrong("by A, d forgotten", lambda d, A, B: B, "missing-cotangent"),
    A.wrong("by A, the output for d", lambda d, A, B: A * B * B, "missing-cotangent"),
    A.wrong("by A, layout", lambda d, A, B: (d * B).T, "transposed-layout"),
    A.wrong("by A, B twice", lambda d, A, B: d * B * B, "extra-factor"),
    A.wrong("by A, divided by B", lambda d, A, B: d / B, "inverse-for-transpose", "wrong-point"),
    ROW_X.right("rows scaled, by X", scaled_by_diagonal),
    ROW_X.wrong("rows scaled, by X, scale left out", lambda d, X, s: d, "missing-factor"),
    ROW_X.wrong(
        "rows scaled, by X, scale twice", lambda d, X, s: d * s[:, None] ** 2, "extra-factor"
    ),
    ROW_S.right("rows scaled, by s", lambda d, X, s: np.einsum("ij,ij->i", d, X)),
    ROW_S.right("rows scaled, by s, a diagonal", lambda d, X, s: np.diag(d @ X.T)),
    ROW_S.wrong("rows scaled, by s, not summed", lambda d, X, s: d * X, "missing-sum"),
    ROW_S.wrong(
        "rows scaled, by s, the other axis", lambda d, X, s: (d * X).sum(axis=0), "wrong-axis"
    ),
    ROW_S.wrong(
        "rows scaled, by s, mean",
        lambda d, X, s: (d * X).mean(axis=1),
        "mean-for-sum",
        "constant-factor",
    ),
    ROW_S.wrong("rows scaled, by s, X left out", lambda d, X, s: d.sum(axis=1), "missing-factor"),
    COLUMN_X.right("columns scaled, by X", lambda d, X, s: d @ np.diag(s)),
    COLUMN_SQUARE.wrong(
        "columns scaled, by X, as rows", lambda d, X, s: d * s[:, None], "wrong-axis"
    ),
    COLUMN_S.right("columns scaled, by s", lambda d, X, s: (d * X).sum(axis=0)),
    COLUMN_S.wrong("columns scaled, by s, one number", lambda d, X, s: np.sum(d * X), "wrong-axis"),
    COLUMN_S.wrong(
        "columns scaled, by s, the output",
        lambda d, X, s: (d * X * s).sum(axis=0),
        "extra-factor",
        "value-for-derivative",
    ),
    NUMBER_X.wrong("a number, by X, left out", lambda d, X, t: d, "missing-factor"),
    NUMBER_T.right("a number", lambda d, X, t: np.vdot(d, X)),
    NUMBER_T.right("a number, a trace", lambda d, X, t: np.trace(d @ X.T)),
    NUMBER_T.wrong("a number, not summed", lambda d, X, t: d * X, "missing-sum"),
    NUMBER_T.wrong(
        "a number, mean", lambda d, X, t: np.mean(d * X), "mean-for-sum", "constant-factor"
    ),
    NUMBER_T.wrong(
        "a number, summed by rows alone", lambda d, X, t: (d * X).sum(axis=1), "missing-sum"
    ),
    MASKED.right("mask", lambda d, X, W: MASK * (d @ W.T)),
    MASKED.right("mask, where", lambda d, X, W: np.where(MASK == 1, d @ W.T, 0)),
    MASKED.wrong("mask, left out", lambda d, X, W: d @ W.T, "missing-factor"),
    MASKED.wrong("mask, the other side", lambda d, X, W: (1 - MASK) * (d @ W.T), "wrong-point"),
    MASKED_W.right("mask, by W", lambda d, X, W: (MASK * X).T @ d),
    MASKED_W.wrong("mask, by W, left out", lambda d, X, W: X.T @ d, "missing-factor"),
    OVER.right("quotient by A", lambda d, A, B: d / B),
    OVER.wrong(
        "quotient by A, times B", lambda d, A, B: d * B, "inverse-for-transpose", "wrong-point"
    ),
    UNDER.right("quotient by B", lambda d, A, B: -d * A / B**2),
    UNDER.right("quotient by B, from the value", lambda d, A, B: -d * (A / B) / B),
    UNDER.wrong("quotient by B, sign", lambda d, A, B: d * A / B**2, "sign"),
    UNDER.wrong(
        "quotient by B, no square", lambda d, A, B: -d * A / B, "missing-factor", "wrong-point"
    ),
    UNDER.wrong("quotient by B, A left out", lambda d, A, B: -d / B**2, "missing-factor"),
    UNDER.wrong("quotient by B, as by A", lambda d, A, B: d / B, "wrong-argument"),
    SQUARED.right("X ⊙ X", lambda d, X: d * X + X * d),
    SQUARED.wrong("X ⊙ X, one use", lambda d, X: d * X, "missing-path", "constant-factor"),
    SQUARED.wrong("X ⊙ X, sign", lambda d, X: -2 * d * X, "sign"),
    CUBED.right("X ⊙ X ⊙ X", lambda d, X: 3 * d * X**2),
    CUBED.wrong(
        "X ⊙ X ⊙ X, two uses of three", lambda d, X: 2 * d * X**2, "missing-path", "constant-factor"
    ),
    CUBED.wrong(
        "X ⊙ X ⊙ X, one power too many",
        lambda d, X: 3 * d * X**3,
        "extra-factor",
        "value-for-derivative",
    ),
    CUBED.wrong("X ⊙ X ⊙ X, one power too few", lambda d, X: 3 * d * X, "missing-factor"),
    GATED.right("gate", lambda d, X, W, V: (d * (X @ V)) @ W.T + (d * (X @ W)) @ V.T),
    GATED.wrong(
        "gate held fixed",
        lambda d, X, W, V: (d * (X @ V)) @ W.T,
        "missing-path",
        "treated-as-constant",
    ),
    GATED.wrong(
        "gate, each by its own value",
        lambda d, X, W, V: (d * (X @ W)) @ W.T + (d * (X @ V)) @ V.T,
        "order-swapped",
        "wrong-point",
        "wrong-argument",
    ),
    GATED.wrong("gate, values left out", lambda d, X, W, V: d @ W.T + d @ V.T, "missing-factor"),
]
