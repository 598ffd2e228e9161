"""Scaled dot-product attention of one head: rows of Q attend to rows of K and V."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def forward(Q, K, V):
    scores = Q @ K.T / jnp.sqrt(float(Q.shape[1]))
    return jax.nn.softmax(scores, axis=1) @ V


def args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(7, 3)), rng.normal(size=(7, 4))


def square_args(rng):
    return rng.normal(size=(5, 5)), rng.normal(size=(5, 5)), rng.normal(size=(5, 5))


def weights(Q, K):
    scores = Q @ K.T / np.sqrt(Q.shape[1])
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def through_softmax(P, dP):
    return P * (dP - (dP * P).sum(1, keepdims=True))


# by Q


def q_closed(g, Q, K, V):
    dS = through_softmax(weights(Q, K), g @ V.T)
    return dS @ K / np.sqrt(Q.shape[1])


def q_flash(g, Q, K, V):
    """With the row sum of output times cotangent, as a fused kernel has it."""
    P = weights(Q, K)
    delta = np.sum(g * (P @ V), axis=1, keepdims=True)
    return np.einsum("ij,jd->id", P * (g @ V.T - delta), K) * Q.shape[1] ** -0.5


def q_row_jacobians(g, Q, K, V):
    P = weights(Q, K)
    out = np.zeros_like(Q)
    for i in range(len(Q)):
        J = np.diag(P[i]) - np.outer(P[i], P[i])
        out[i] = K.T @ J @ V @ g[i] / np.sqrt(Q.shape[1])
    return out


def q_scale_forgotten(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V.T) @ K


def q_scale_by_d_for_root_d(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V.T) @ K / Q.shape[1]


def q_scale_twice_in_forward(g, Q, K, V):
    """Recomputes the weights without the scale."""
    root = np.sqrt(Q.shape[1])
    return through_softmax(weights(Q * root, K), g @ V.T) @ K / root


def q_softmax_diagonal(g, Q, K, V):
    P = weights(Q, K)
    return (P * (1 - P) * (g @ V.T)) @ K / np.sqrt(Q.shape[1])


def q_normaliser_constant(g, Q, K, V):
    return (weights(Q, K) * (g @ V.T)) @ K / np.sqrt(Q.shape[1])


def q_softmax_skipped(g, Q, K, V):
    return (g @ V.T) @ K / np.sqrt(Q.shape[1])


def q_softmax_over_columns(g, Q, K, V):
    P, dP = weights(Q, K), g @ V.T
    dS = P * (dP - (dP * P).sum(0, keepdims=True))
    return dS @ K / np.sqrt(Q.shape[1])


def q_value_not_transposed(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V) @ K / np.sqrt(Q.shape[1])


def q_sign(g, Q, K, V):
    P, dP = weights(Q, K), g @ V.T
    return P * ((dP * P).sum(1, keepdims=True) - dP) @ K / np.sqrt(Q.shape[1])


def q_row_sum_without_weights(g, Q, K, V):
    P, dP = weights(Q, K), g @ V.T
    return P * (dP - dP.sum(1, keepdims=True)) @ K / np.sqrt(Q.shape[1])


# by K


def k_closed(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V.T).T @ Q / np.sqrt(Q.shape[1])


def k_outer_products(g, Q, K, V):
    dS = through_softmax(weights(Q, K), g @ V.T) / np.sqrt(Q.shape[1])
    return sum(np.outer(dS[i], Q[i]) for i in range(len(Q)))


def k_layout(g, Q, K, V):
    """The gradient by the transposed keys, handed back as it came."""
    return Q.T @ through_softmax(weights(Q, K), g @ V.T) / np.sqrt(Q.shape[1])


def k_scores_not_transposed(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V.T) @ Q / np.sqrt(Q.shape[1])


def k_is_gradient_by_q(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V.T) @ K / np.sqrt(Q.shape[1])


def k_scale_missing(g, Q, K, V):
    return through_softmax(weights(Q, K), g @ V.T).T @ Q


def k_scale_and_sign(g, Q, K, V):
    return -through_softmax(weights(Q, K), g @ V.T).T @ Q


# by V


def v_closed(g, Q, K, V):
    return weights(Q, K).T @ g


def v_scattered(g, Q, K, V):
    out = np.zeros_like(V)
    for p, row in zip(weights(Q, K), g, strict=True):
        out += p[:, None] * row
    return out


def v_weights_not_transposed(g, Q, K, V):
    return weights(Q, K) @ g


def v_scores_for_weights(g, Q, K, V):
    return (Q @ K.T / np.sqrt(Q.shape[1])).T @ g


def v_normaliser_of_the_columns(g, Q, K, V):
    e = np.exp(Q @ K.T / np.sqrt(Q.shape[1]))
    return (e / e.sum(0, keepdims=True)).T @ g


def v_output_for_cotangent(g, Q, K, V):
    P = weights(Q, K)
    return P.T @ (P @ V)


def v_inverse(g, Q, K, V):
    return np.linalg.solve(weights(Q, K), g)


CASES = [
    Case("attention", b.__name__.replace("_", " "), argnum, forward, b, draw, kinds)
    for argnum, b, draw, kinds in [
        (0, q_closed, args, ()),
        (0, q_flash, args, ()),
        (0, q_row_jacobians, args, ()),
        (0, q_scale_forgotten, args, ("constant-factor", "missing-factor")),
        (0, q_scale_by_d_for_root_d, args, ("constant-factor", "extra-factor")),
        (0, q_scale_twice_in_forward, args, ("wrong-point",)),
        (0, q_softmax_diagonal, args, ("diagonal-only",)),
        (0, q_normaliser_constant, args, ("treated-as-constant", "missing-path")),
        (0, q_softmax_skipped, args, ("missing-activation-derivative",)),
        (0, q_softmax_over_columns, args, ("wrong-axis",)),
        (0, q_value_not_transposed, square_args, ("operand-not-transposed",)),
        (0, q_sign, args, ("sign",)),
        (0, q_row_sum_without_weights, args, ("missing-factor",)),
        (1, k_closed, args, ()),
        (1, k_outer_products, args, ()),
        (1, k_layout, args, ("transposed-layout",)),
        (1, k_scores_not_transposed, square_args, ("operand-not-transposed",)),
        (1, k_is_gradient_by_q, square_args, ("wrong-argument",)),
        (1, k_scale_missing, args, ("constant-factor", "missing-factor")),
        (1, k_scale_and_sign, args, ("constant-factor+sign", "constant-factor")),
        (2, v_closed, args, ()),
        (2, v_scattered, args, ()),
        (2, v_weights_not_transposed, square_args, ("operand-not-transposed",)),
        (2, v_scores_for_weights, args, ("wrong-point", "missing-factor")),
        (2, v_normaliser_of_the_columns, args, ("wrong-axis",)),
        (2, v_output_for_cotangent, args, ("missing-cotangent",)),
        (2, v_inverse, square_args, ("inverse-for-transpose",)),
    ]
]
