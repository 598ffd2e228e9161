"""`softmax` of a vector and of rows, and its logarithm: `s ⊙ (d - s·d)`."""

import jax
import numpy as np
from numpy import exp

from tests.mistakes import Problem, normal


def vector(z):
    return jax.nn.softmax(z)


def rows(Z):
    return jax.nn.softmax(Z, axis=1)


def log_rows(Z):
    return jax.nn.log_softmax(Z, axis=1)


def tempered(z, t):
    return jax.nn.softmax(z / t)


def soft(Z, axis=-1):
    e = exp(Z - Z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def by_jacobian(d, z):
    s = soft(z)
    J = np.diag(s) - np.outer(s, s)
    return J.T @ d


def by_quotient(d, z):
    e = exp(z)
    total = e.sum()
    de = d / total - (d @ e) / total**2
    return de * e


def by_loops(d, z):
    s = soft(z)
    out = np.zeros_like(z)
    for i in range(len(z)):
        for j in range(len(z)):
            out[j] += d[i] * s[i] * ((i == j) - s[j])
    return out


def jacobian_of_each_row(d, Z):
    out = np.empty_like(Z)
    for n, s in enumerate(soft(Z)):
        out[n] = (np.diag(s) - np.outer(s, s)) @ d[n]
    return out


def jacobian_of_all(d, Z):
    s = soft(Z).ravel()
    J = np.diag(s) - np.outer(s, s)
    return (J @ d.ravel()).reshape(Z.shape)


def quotient_total_fixed(d, z):
    e = exp(z)
    return d / e.sum() * e


def quotient_no_square(d, z):
    e = exp(z)
    total = e.sum()
    return (d / total - (d @ e) / total) * e


def quotient_no_exp(d, z):
    e = exp(z)
    total = e.sum()
    return d / total - (d @ e) / total**2


NO_SLOPE = "missing-activation-derivative"
VECTOR = Problem("softmax", vector, normal(7))
ROWS = Problem("softmax", rows, normal((5, 3)))
SQUARE = Problem("softmax", rows, normal((4, 4)))
LOG = Problem("softmax", log_rows, normal((5, 3)))
TEMPERED = Problem("softmax", tempered, lambda rng: (rng.standard_normal(5), np.array(1.7)))

CASES = [
    VECTOR.right("vector", lambda d, z: soft(z) * (d - soft(z) @ d)),
    VECTOR.right("vector, two terms", lambda d, z: soft(z) * d - soft(z) * (soft(z) * d).sum()),
    VECTOR.right("vector, its Jacobian", by_jacobian),
    VECTOR.right("vector, as a quotient", by_quotient),
    VECTOR.right("vector, by loops", by_loops),
    VECTOR.wrong("vector, diagonal", lambda d, z: d * soft(z) * (1 - soft(z)), "diagonal-only"),
    VECTOR.wrong(
        "vector, the total held fixed", quotient_total_fixed, "treated-as-constant", "missing-path"
    ),
    VECTOR.wrong(
        "vector, the first term left out", lambda d, z: -soft(z) * (soft(z) @ d), "missing-path"
    ),
    VECTOR.wrong("vector, total not squared", quotient_no_square, "missing-factor", "wrong-point"),
    VECTOR.wrong("vector, exp's slope left out", quotient_no_exp, NO_SLOPE, "missing-factor"),
    VECTOR.wrong("vector, no derivative", lambda d, z: d, NO_SLOPE),
    VECTOR.wrong("vector, plus", lambda d, z: soft(z) * (d + soft(z) @ d), "sign"),
    VECTOR.wrong("vector, sign", lambda d, z: soft(z) * (soft(z) @ d - d), "sign"),
    VECTOR.wrong("vector, d summed alone", lambda d, z: soft(z) * (d - d.sum()), "missing-factor"),
    VECTOR.wrong(
        "vector, d averaged",
        lambda d, z: soft(z) * (d - d.mean()),
        "missing-factor",
        "mean-for-sum",
        "wrong-point",
    ),
    VECTOR.wrong(
        "vector, mean for sum", lambda d, z: soft(z) * (d - (soft(z) * d).mean()), "mean-for-sum"
    ),
    VECTOR.wrong("vector, outer s left out", lambda d, z: d - soft(z) @ d, "missing-factor"),
    VECTOR.wrong(
        "vector, s for d", lambda d, z: soft(z) * (soft(z) - soft(z) @ soft(z)), "missing-cotangent"
    ),
    ROWS.right("rows", lambda d, Z: soft(Z) * (d - (d * soft(Z)).sum(axis=1, keepdims=True))),
    ROWS.right(
        "rows, an einsum", lambda d, Z: d * soft(Z) - np.einsum("ni,nj,nj->ni", soft(Z), soft(Z), d)
    ),
    ROWS.right("rows, one Jacobian a row", jacobian_of_each_row),
    ROWS.wrong(
        "rows, summed over columns",
        lambda d, Z: soft(Z) * (d - (d * soft(Z)).sum(axis=0, keepdims=True)),
        "wrong-axis",
    ),
    ROWS.wrong(
        "rows, summed over all",
        lambda d, Z: soft(Z) * (d - (d * soft(Z)).sum()),
        "flattened-batch",
        "wrong-axis",
    ),
    ROWS.wrong("rows, one Jacobian for all", jacobian_of_all, "flattened-batch", "wrong-axis"),
    ROWS.wrong(
        "rows, softmax of columns",
        lambda d, Z: soft(Z, 0) * (d - (d * soft(Z, 0)).sum(axis=0, keepdims=True)),
        "wrong-axis",
    ),
    ROWS.wrong(
        "rows, diagonal", lambda d, Z: d * soft(Z) * (1 - soft(Z)), "diagonal-only", "missing-sum"
    ),
    ROWS.wrong(
        "rows, not summed", lambda d, Z: soft(Z) * (d - d * soft(Z)), "missing-sum", "diagonal-only"
    ),
    ROWS.wrong("rows, s ⊙ d", lambda d, Z: soft(Z) * d, "missing-path", "treated-as-constant"),
    SQUARE.wrong(
        "rows, no keepdims", lambda d, Z: soft(Z) * (d - (d * soft(Z)).sum(axis=1)), "wrong-axis"
    ),
    LOG.right("log", lambda d, Z: d - soft(Z) * d.sum(axis=1, keepdims=True)),
    LOG.right("log, through softmax", lambda d, Z: jacobian_of_each_row(d / soft(Z), Z)),
    LOG.wrong("log, no sum", lambda d, Z: d - soft(Z) * d, "missing-sum", "diagonal-only"),
    LOG.wrong("log, d left out", lambda d, Z: d - soft(Z), "missing-cotangent", "missing-factor"),
    LOG.wrong(
        "log, over columns", lambda d, Z: d - soft(Z) * d.sum(axis=0, keepdims=True), "wrong-axis"
    ),
    LOG.wrong(
        "log, mean", lambda d, Z: d - soft(Z) * d.mean(axis=1, keepdims=True), "mean-for-sum"
    ),
    LOG.wrong("log, as softmax", jacobian_of_each_row, "wrong-point", NO_SLOPE),
    LOG.wrong("log, total held fixed", lambda d, Z: d, "missing-path", "treated-as-constant"),
    TEMPERED.right("tempered", lambda d, z, t: by_jacobian(d, z / t) / t),
    TEMPERED.wrong("tempered, no 1/t", lambda d, z, t: by_jacobian(d, z / t), "missing-factor"),
    TEMPERED.wrong(
        "tempered, times t",
        lambda d, z, t: by_jacobian(d, z / t) * t,
        "inverse-for-transpose",
        "wrong-point",
        "extra-factor",
    ),
    TEMPERED.wrong("tempered, softmax of z", lambda d, z, t: by_jacobian(d, z) / t, "wrong-point"),
]
