"""Norms, distances and what is divided by them."""

import jax.numpy as jnp
import numpy as np
from numpy.linalg import norm

from tests.mistakes import Problem, normal


def euclid(x):
    return jnp.sqrt(jnp.sum(x**2))


def squared(x):
    return jnp.sum(x**2)


def absolute(x):
    return jnp.sum(jnp.abs(x))


def distance(x, y):
    return jnp.sqrt(jnp.sum((x - y) ** 2))


def of_rows(X):
    return jnp.sqrt(jnp.sum(X**2, axis=1))


def unit(x):
    return x / jnp.sqrt(jnp.sum(x**2))


def unit_rows(X):
    return X / jnp.sqrt(jnp.sum(X**2, axis=1, keepdims=True))


def cosine(x, y):
    return jnp.dot(x, y) / (jnp.sqrt(jnp.sum(x**2)) * jnp.sqrt(jnp.sum(y**2)))


def lengths(X, axis=1):
    return norm(X, axis=axis, keepdims=True)


def project(d, x):
    u = x / norm(x)
    return (np.eye(len(x)) - np.outer(u, u)) @ d / norm(x)


def unit_by_quotient(d, x):
    n = norm(x)
    dn = -(d @ x) / n**2
    return d / n + dn * x / n


def unit_no_square(d, x):
    n = norm(x)
    dn = -(d @ x) / n
    return d / n + dn * x / n


def unit_no_root(d, x):
    n = norm(x)
    dn = -(d @ x) / n**2
    return d / n + dn * 2 * x


def unit_plus(d, x):
    u = x / norm(x)
    return (d + u * (u @ d)) / norm(x)


def unit_not_divided(d, x):
    u = x / norm(x)
    return d - u * (u @ d)


def unit_of_x(d, x):
    return (d - x * (x @ d)) / norm(x)


def unit_entrywise(d, x):
    u = x / norm(x)
    return (d - u * u * d) / norm(x)


def project_rows(d, X):
    U = X / lengths(X)
    return (d - U * (U * d).sum(axis=1, keepdims=True)) / lengths(X)


def project_rows_one_by_one(d, X):
    return np.stack([project(a, b) for a, b in zip(d, X, strict=True)])


def project_rows_all(d, X):
    U = X / lengths(X)
    return (d - U * (U * d).sum()) / lengths(X)


def project_rows_columns(d, X):
    U = X / lengths(X)
    return (d - U * (U * d).sum(axis=0, keepdims=True)) / lengths(X)


def project_rows_by_columns(d, X):
    return project_rows(d.T, X.T).T


def cosine_by_x(d, x, y):
    c = x @ y / norm(x) / norm(y)
    return d * (y / norm(x) / norm(y) - c * x / norm(x) ** 2)


def cosine_lengths_fixed(d, x, y):
    return d * y / norm(x) / norm(y)


def cosine_one_length(d, x, y):
    c = x @ y / norm(x) / norm(y)
    return d * (y / norm(x) - c * x / norm(x) ** 2)


def cosine_not_squared(d, x, y):
    c = x @ y / norm(x) / norm(y)
    return d * (y / norm(x) / norm(y) - c * x / norm(x))


N = Problem("norms", euclid, normal(5))
MATRIX = Problem("norms", euclid, normal((5, 3)))
SQUARED = Problem("norms", squared, normal((5, 3)))
ABSOLUTE = Problem("norms", absolute, normal((5, 3)))
DX, DY = (Problem("norms", distance, normal(5, 5), argnum) for argnum in range(2))
OF_ROWS = Problem("norms", of_rows, normal((7, 3)))
UNIT = Problem("norms", unit, normal(5))
UNIT_ROWS = Problem("norms", unit_rows, normal((7, 3)))
COSINE = Problem("norms", cosine, normal(5, 5))
FIXED = ("treated-as-constant", "missing-path")

CASES = [
    N.right("length", lambda d, x: d * x / norm(x)),
    N.right("length, normalised first", lambda d, x: x / np.sqrt(x @ x) * d),
    N.wrong(
        "length, of the square",
        lambda d, x: d * 2 * x,
        "missing-activation-derivative",
        "wrong-point",
    ),
    N.wrong("length, twice", lambda d, x: d * 2 * x / norm(x), "constant-factor"),
    N.wrong(
        "length, by the square", lambda d, x: d * x / norm(x) ** 2, "extra-factor", "wrong-point"
    ),
    N.wrong("length, not divided", lambda d, x: d * x, "missing-factor"),
    N.wrong("length, root's value", lambda d, x: d * 2 * x * norm(x), "value-for-derivative"),
    N.wrong("length, d forgotten", lambda d, x: x / norm(x), "missing-cotangent"),
    N.wrong("length, as absolute", lambda d, x: d * np.sign(x), "wrong-point"),
    MATRIX.right("a matrix", lambda d, X: d * X / norm(X)),
    MATRIX.wrong("a matrix, layout", lambda d, X: d * X.T / norm(X), "transposed-layout"),
    MATRIX.wrong("a matrix, rows apart", lambda d, X: d * X / lengths(X), "wrong-axis"),
    MATRIX.wrong("a matrix, columns apart", lambda d, X: d * X / lengths(X, 0), "wrong-axis"),
    MATRIX.wrong("a matrix, sign", lambda d, X: -d * X / norm(X), "sign"),
    SQUARED.right("squared", lambda d, X: d * (X + X)),
    SQUARED.wrong("squared, no 2", lambda d, X: d * X, "constant-factor", "missing-path"),
    SQUARED.wrong(
        "squared, mean", lambda d, X: d * 2 * X / X.size, "mean-for-sum", "constant-factor"
    ),
    SQUARED.wrong("squared, the value", lambda d, X: d * X**2, "value-for-derivative"),
    SQUARED.wrong(
        "squared, no slope",
        lambda d, X: d * np.ones_like(X),
        "missing-activation-derivative",
        "missing-factor",
    ),
    ABSOLUTE.right("absolute", lambda d, X: d * np.sign(X)),
    ABSOLUTE.right("absolute, a quotient", lambda d, X: d * X / np.abs(X)),
    ABSOLUTE.wrong(
        "absolute, no sign",
        lambda d, X: d * np.ones_like(X),
        "missing-activation-derivative",
        "missing-factor",
    ),
    ABSOLUTE.wrong("absolute, value", lambda d, X: d * np.abs(X), "value-for-derivative"),
    ABSOLUTE.wrong(
        "absolute, mean", lambda d, X: d * np.sign(X) / X.size, "mean-for-sum", "constant-factor"
    ),
    ABSOLUTE.wrong("absolute, as relu", lambda d, X: d * (X > 0), "wrong-point"),
    DX.right("distance by x", lambda d, x, y: d * (x - y) / norm(x - y)),
    DX.wrong(
        "distance by x, sign", lambda d, x, y: d * (y - x) / norm(x - y), "sign", "wrong-argument"
    ),
    DX.wrong(
        "distance by x, of x alone", lambda d, x, y: d * x / norm(x), "missing-path", "wrong-point"
    ),
    DX.wrong("distance by x, not divided", lambda d, x, y: d * (x - y), "missing-factor"),
    DY.right("distance by y", lambda d, x, y: d * (y - x) / norm(x - y)),
    DY.wrong(
        "distance by y, as by x",
        lambda d, x, y: d * (x - y) / norm(x - y),
        "sign",
        "wrong-argument",
    ),
    OF_ROWS.right("rows' lengths", lambda d, X: d[:, None] * X / lengths(X)),
    OF_ROWS.wrong(
        "rows' lengths, one length",
        lambda d, X: d[:, None] * X / norm(X),
        "wrong-axis",
        "flattened-batch",
    ),
    OF_ROWS.wrong("rows' lengths, ones", lambda d, X: X / lengths(X), "missing-cotangent"),
    OF_ROWS.wrong(
        "rows' lengths, the output for d", lambda d, X: X, "missing-cotangent", "missing-factor"
    ),
    UNIT.right("unit", lambda d, x: (d - x * (x @ d) / (x @ x)) / norm(x)),
    UNIT.right("unit, a projection", project),
    UNIT.right("unit, as a quotient", unit_by_quotient),
    UNIT.wrong("unit, length held fixed", lambda d, x: d / norm(x), *FIXED),
    UNIT.wrong("unit, plus", unit_plus, "sign"),
    UNIT.wrong("unit, not divided", unit_not_divided, "missing-factor"),
    UNIT.wrong("unit, x for u", unit_of_x, "missing-factor", "wrong-point"),
    UNIT.wrong("unit, entrywise", unit_entrywise, "diagonal-only", "missing-sum"),
    UNIT.wrong("unit, quotient's square", unit_no_square, "missing-factor", "wrong-point"),
    UNIT.wrong(
        "unit, root's slope", unit_no_root, "missing-activation-derivative", "missing-factor"
    ),
    UNIT_ROWS.right("unit rows", project_rows),
    UNIT_ROWS.right("unit rows, one by one", project_rows_one_by_one),
    UNIT_ROWS.wrong("unit rows, lengths fixed", lambda d, X: d / lengths(X), *FIXED),
    UNIT_ROWS.wrong(
        "unit rows, summed over all", project_rows_all, "flattened-batch", "wrong-axis"
    ),
    UNIT_ROWS.wrong("unit rows, summed over columns", project_rows_columns, "wrong-axis"),
    UNIT_ROWS.wrong("unit rows, of columns", project_rows_by_columns, "wrong-axis"),
    COSINE.right("cosine", cosine_by_x),
    COSINE.right("cosine, unit vectors", lambda d, x, y: d * project(y / norm(y), x)),
    COSINE.wrong("cosine, lengths fixed", cosine_lengths_fixed, *FIXED),
    COSINE.wrong("cosine, y's length left out", cosine_one_length, "missing-factor"),
    COSINE.wrong("cosine, not squared", cosine_not_squared, "missing-factor", "wrong-point"),
    COSINE.wrong("cosine, by y", lambda d, x, y: cosine_by_x(d, y, x), "wrong-argument"),
]
