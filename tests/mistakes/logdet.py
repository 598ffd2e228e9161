"""`log |det X|`: the gradient is `X⁻ᵀ`; of a Gram matrix, `2 X (XᵀX)⁻¹`."""

import jax.numpy as jnp
import numpy as np
from numpy.linalg import det, inv, pinv, solve

from tests.mistakes import Problem, normal


def forward(X):
    return jnp.linalg.slogdet(X)[1]


def of_gram(X):
    return jnp.linalg.slogdet(X.T @ X)[1]


def likelihood(S, x):
    return jnp.linalg.slogdet(S)[1] / 2 + x @ jnp.linalg.inv(S) @ x / 2


def ridged(X, G):
    return jnp.linalg.slogdet(jnp.eye(3) + X.T @ G @ X)[1]


def by_solving_columns(d, X):
    columns = [solve(X.T, e) for e in np.eye(len(X))]
    return d * np.stack(columns, axis=1)


def likelihood_grad(d, S, x):
    u = inv(S).T @ x
    v = inv(S) @ x
    return d * (inv(S).T - np.outer(u, v)) / 2


def likelihood_symmetric(d, S, x):
    v = inv(S) @ x
    return d * (inv(S) - np.outer(v, v)) / 2


def likelihood_logdet_left_out(d, S, x):
    return -d * np.outer(inv(S).T @ x, inv(S) @ x) / 2


def likelihood_form_left_out(d, S, x):
    return d * inv(S).T / 2


def likelihood_plus(d, S, x):
    return d * (inv(S).T + np.outer(inv(S).T @ x, inv(S) @ x)) / 2


def inner(X, G):
    return np.eye(3) + X.T @ G @ X


LOGDET = Problem("logdet", forward, normal((4, 4)))
GRAM = Problem("logdet", of_gram, normal((5, 3)))
LIKELIHOOD = Problem("logdet", likelihood, normal((4, 4), 4))
LIKELIHOOD_X = Problem("logdet", likelihood, normal((4, 4), 4), 1)
RIDGED = Problem("logdet", ridged, normal((5, 3), (5, 5)))

CASES = [
    LOGDET.right("log det", lambda d, X: d * inv(X).T),
    LOGDET.right("log det, by solving", by_solving_columns),
    LOGDET.right("log det, through det", lambda d, X: d / det(X) * (det(X) * inv(X.T))),
    LOGDET.wrong(
        "log det, not transposed",
        lambda d, X: d * inv(X),
        "transposed-layout",
        "operand-not-transposed",
    ),
    LOGDET.wrong(
        "log det, of det",
        lambda d, X: d * det(X) * inv(X).T,
        "extra-factor",
        "missing-activation-derivative",
    ),
    LOGDET.wrong(
        "log det, one by det", lambda d, X: d * np.ones_like(X) / det(X), "missing-factor"
    ),
    LOGDET.wrong("log det, entry by entry", lambda d, X: d / X, "wrong-point"),
    LOGDET.wrong(
        "log det, transpose for inverse",
        lambda d, X: d * X.T,
        "wrong-point",
        "inverse-for-transpose",
    ),
    LOGDET.wrong("log det, sign", lambda d, X: -d * inv(X).T, "sign"),
    LOGDET.wrong("log det, d forgotten", lambda d, X: inv(X).T, "missing-cotangent"),
    GRAM.right("gram", lambda d, X: 2 * d * X @ inv(X.T @ X)),
    GRAM.right("gram, pseudo-inverse", lambda d, X: 2 * d * pinv(X).T),
    GRAM.wrong("gram, no 2", lambda d, X: d * X @ inv(X.T @ X), "missing-path", "constant-factor"),
    GRAM.wrong("gram, layout", lambda d, X: 2 * d * pinv(X), "transposed-layout"),
    GRAM.wrong("gram, inverse left out", lambda d, X: 2 * d * X, "missing-factor"),
    GRAM.wrong(
        "gram, times gram", lambda d, X: 2 * d * X @ X.T @ X, "wrong-point", "inverse-for-transpose"
    ),
    GRAM.wrong("gram, the outer matrix left out", lambda d, X: d * inv(X.T @ X), "missing-factor"),
    LIKELIHOOD.right("likelihood", likelihood_grad),
    LIKELIHOOD.right(
        "likelihood, one product",
        lambda d, S, x: d / 2 * inv(S).T @ (S.T - np.outer(x, x)) @ inv(S).T,
    ),
    LIKELIHOOD.wrong("likelihood, as if symmetric", likelihood_symmetric, "operand-not-transposed"),
    LIKELIHOOD.wrong("likelihood, the form alone", likelihood_logdet_left_out, "missing-path"),
    LIKELIHOOD.wrong("likelihood, log det alone", likelihood_form_left_out, "missing-path"),
    LIKELIHOOD.wrong("likelihood, plus", likelihood_plus, "sign"),
    LIKELIHOOD.wrong("likelihood, sign", lambda d, S, x: -likelihood_grad(d, S, x), "sign"),
    LIKELIHOOD.wrong(
        "likelihood, no half", lambda d, S, x: 2 * likelihood_grad(d, S, x), "constant-factor"
    ),
    LIKELIHOOD_X.right("likelihood by x", lambda d, S, x: d * (inv(S) + inv(S).T) @ x / 2),
    LIKELIHOOD_X.wrong(
        "likelihood by x, as if symmetric",
        lambda d, S, x: d * inv(S) @ x,
        "operand-not-transposed",
        "missing-path",
    ),
    RIDGED.right(
        "ridged", lambda d, X, G: d * (G @ X @ inv(inner(X, G)) + G.T @ X @ inv(inner(X, G)).T)
    ),
    RIDGED.wrong(
        "ridged, as if symmetric",
        lambda d, X, G: d * 2 * G @ X @ inv(inner(X, G)),
        "operand-not-transposed",
        "missing-path",
    ),
    RIDGED.wrong("ridged, one use", lambda d, X, G: d * G @ X @ inv(inner(X, G)), "missing-path"),
    RIDGED.wrong(
        "ridged, identity left out",
        lambda d, X, G: d * (G @ X @ inv(X.T @ G @ X) + G.T @ X @ inv(X.T @ G @ X).T),
        "missing-path",
        "wrong-point",
    ),
]
