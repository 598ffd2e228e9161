"""Cosine similarity: of two vectors, of rows in pairs, of all pairs of rows."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def similarity(a, b):
    """A number."""
    return a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b))


def paired(A, B):
    """Row i of A with row i of B."""
    lengths = jnp.sqrt((A**2).sum(1) * (B**2).sum(1))
    return (A * B).sum(1) / lengths


def table(A, B):
    """Every row of A with every row of B."""
    U = A / jnp.sqrt((A**2).sum(1, keepdims=True))
    V = B / jnp.sqrt((B**2).sum(1, keepdims=True))
    return U @ V.T


def vectors(rng):
    return rng.normal(size=7), rng.normal(size=7)


def pairs(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


def tables(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(7, 3))


def square_tables(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


def length(A):
    return np.sqrt((A**2).sum(-1, keepdims=True))


# two vectors


def a_right(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * (b / (p * q) - a * (a @ b) / (p**3 * q))


def a_by_the_output(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    c = a @ b / p / q
    return g / p * (b / q - c * a / p)


def a_projection(g, a, b):
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return g * (np.eye(a.size) - np.outer(u, u)) @ v / np.linalg.norm(a)


def a_length_constant(g, a, b):
    return g * b / (np.linalg.norm(a) * np.linalg.norm(b))


def a_length_path_only(g, a, b):
    return -g * a * (a @ b) / (np.linalg.norm(a) ** 3 * np.linalg.norm(b))


def a_length_of_b_forgotten(g, a, b):
    p = np.linalg.norm(a)
    return g * (b / p - a * (a @ b) / p**3)


def a_first_power(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * (b / (p * q) - a * (a @ b) / (p * q))


def a_plus(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * (b / (p * q) + a * (a @ b) / (p**3 * q))


def a_sign(g, a, b):
    return -a_right(g, a, b)


def a_is_the_gradient_by_b(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * (a / (p * q) - b * (a @ b) / (q**3 * p))


def a_lengths_exchanged(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * (b / (p * q) - a * (a @ b) / (q**3 * p))


def a_without_the_cotangent(g, a, b):
    return a_right(1.0, a, b)


def a_as_inner_product(g, a, b):
    return g * b


def a_diagonal(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * b / q * (1 / p - a**2 / p**3)


def a_half_of_the_root_lost(g, a, b):
    p, q = np.linalg.norm(a), np.linalg.norm(b)
    return g * (b / (p * q) - 2 * a * (a @ b) / (p**3 * q))


# rows in pairs


def B_right(g, A, B):
    U, V = A / length(A), B / length(B)
    return g[:, None] / length(B) * (U - (U * V).sum(1, keepdims=True) * V)


def B_quotient_rule(g, A, B):
    inner, bottom = (A * B).sum(1, keepdims=True), length(A) * length(B)
    dbottom = -g[:, None] * inner / bottom**2
    return g[:, None] * A / bottom + dbottom * length(A) * B / length(B)


def B_rows_in_a_loop(g, A, B):
    return np.array([a_right(d, b, a) for d, a, b in zip(g, A, B, strict=True)])


def B_similarity_of_all(g, A, B):
    """One inner product for the whole batch."""
    U, V = A / length(A), B / length(B)
    return g[:, None] / length(B) * (U - (U * V).sum() * V)


def B_over_the_columns(g, A, B):
    U, V = A / length(A), B / length(B)
    return g[:, None] / length(B) * (U - (U * V).sum(0) * V)


def B_not_divided_by_its_length(g, A, B):
    U, V = A / length(A), B / length(B)
    return g[:, None] * (U - (U * V).sum(1, keepdims=True) * V)


def B_gets_that_of_A(g, A, B):
    U, V = A / length(A), B / length(B)
    return g[:, None] / length(A) * (V - (U * V).sum(1, keepdims=True) * U)


def B_batch_mean(g, A, B):
    return B_right(g, A, B) / len(B)


# all pairs


def T_right(g, A, B):
    U, V = A / length(A), B / length(B)
    dU = g @ V
    return (dU - U * (dU * U).sum(1, keepdims=True)) / length(A)


def T_by_the_output(g, A, B):
    U, V = A / length(A), B / length(B)
    S = U @ V.T
    return (g @ V - (g * S).sum(1, keepdims=True) * U) / length(A)


def T_table_not_transposed(g, A, B):
    U, V = A / length(A), B / length(B)
    dU = g.T @ V
    return (dU - U * (dU * U).sum(1, keepdims=True)) / length(A)


def T_lengths_constant(g, A, B):
    return g @ (B / length(B)) / length(A)


def T_raw_other_side(g, A, B):
    U = A / length(A)
    dU = g @ B
    return (dU - U * (dU * U).sum(1, keepdims=True)) / length(A)


def T_columns(g, A, B):
    U, V = A / length(A), B / length(B)
    dU = g @ V
    return (dU - U * (dU * U).sum(0, keepdims=True)) / length(A)


def T_output_for_cotangent(g, A, B):
    U, V = A / length(A), B / length(B)
    return T_right(U @ V.T, A, B)


CASES = [
    Case("cosine", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, similarity, a_right, vectors, ()),
        (0, similarity, a_by_the_output, vectors, ()),
        (0, similarity, a_projection, vectors, ()),
        (0, similarity, a_length_constant, vectors, ("treated-as-constant",)),
        (0, similarity, a_length_path_only, vectors, ("missing-path",)),
        (0, similarity, a_length_of_b_forgotten, vectors, ("missing-factor",)),
        (0, similarity, a_first_power, vectors, ("missing-factor",)),
        (0, similarity, a_plus, vectors, ("sign",)),
        (0, similarity, a_sign, vectors, ("sign",)),
        (0, similarity, a_is_the_gradient_by_b, vectors, ("wrong-argument",)),
        (0, similarity, a_lengths_exchanged, vectors, ("wrong-point", "wrong-argument")),
        (0, similarity, a_without_the_cotangent, vectors, ("missing-cotangent",)),
        (0, similarity, a_as_inner_product, vectors, ("wrong-point", "missing-factor")),
        (0, similarity, a_diagonal, vectors, ("diagonal-only",)),
        (0, similarity, a_half_of_the_root_lost, vectors, ("constant-factor",)),
        (1, paired, B_right, pairs, ()),
        (1, paired, B_quotient_rule, pairs, ()),
        (1, paired, B_rows_in_a_loop, pairs, ()),
        (1, paired, B_similarity_of_all, pairs, ("flattened-batch", "wrong-axis")),
        (1, paired, B_over_the_columns, pairs, ("wrong-axis",)),
        (1, paired, B_not_divided_by_its_length, pairs, ("missing-factor",)),
        (1, paired, B_gets_that_of_A, pairs, ("wrong-argument",)),
        (1, paired, B_batch_mean, pairs, ("mean-for-sum", "constant-factor")),
        (0, table, T_right, tables, ()),
        (0, table, T_by_the_output, tables, ()),
        (0, table, T_table_not_transposed, square_tables, ("operand-not-transposed",)),
        (0, table, T_lengths_constant, tables, ("treated-as-constant",)),
        (0, table, T_raw_other_side, tables, ("missing-factor", "wrong-point")),
        (0, table, T_columns, tables, ("wrong-axis",)),
        (0, table, T_output_for_cotangent, tables, ("missing-cotangent",)),
    ]
]
