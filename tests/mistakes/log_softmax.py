"""Log softmax of each row, alone and as a mean loss over labels."""

import jax
import numpy as np

from tests.mistakes import Case


def rows(Z):
    return jax.nn.log_softmax(Z, axis=1)


def loss(Z, T):
    """Mean over the samples of minus the log probability of the target; T is one-hot."""
    return -(T * jax.nn.log_softmax(Z, axis=1)).sum() / Z.shape[0]


def tempered(Z):
    """At the temperature 2.5."""
    return jax.nn.log_softmax(Z / 2.5, axis=1)


def matrix(rng):
    return (rng.normal(size=(5, 7)),)


def targets(rng):
    return rng.normal(size=(5, 7)), np.eye(7)[[3, 0, 3, 6, 1]]


def softmax(Z, axis=1):
    e = np.exp(Z - Z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def rows_closed(g, Z):
    return g - softmax(Z) * g.sum(1, keepdims=True)


def rows_from_the_output(g, Z):
    peak = Z.max(1, keepdims=True)
    output = Z - peak - np.log(np.exp(Z - peak).sum(1, keepdims=True))
    return g - np.exp(output) * np.einsum("ij->i", g)[:, None]


def rows_jacobian(g, Z):
    n = Z.shape[1]
    return np.stack(
        [(np.eye(n) - np.outer(np.ones(n), p)).T @ r for p, r in zip(softmax(Z), g, strict=True)]
    )


def rows_through_the_logarithm(g, Z):
    """The derivative of log after the derivative of softmax."""
    P = softmax(Z)
    dP = g / P
    return P * (dP - (dP * P).sum(1, keepdims=True))


def rows_normaliser_constant(g, Z):
    return g.copy()


def rows_sum_of_cotangent_forgotten(g, Z):
    """Right only for a one-hot cotangent."""
    return g - softmax(Z)


def rows_sum_not_taken(g, Z):
    return g - softmax(Z) * g


def rows_mean_for_sum(g, Z):
    return g - softmax(Z) * g.mean(1, keepdims=True)


def rows_over_the_columns(g, Z):
    return g - softmax(Z, axis=0) * g.sum(0, keepdims=True)


def rows_softmax_over_everything(g, Z):
    P = np.exp(Z) / np.exp(Z).sum()
    return g - P * g.sum()


def rows_as_softmax(g, Z):
    P = softmax(Z)
    return P * (g - (g * P).sum(1, keepdims=True))


def rows_plus(g, Z):
    return g + softmax(Z) * g.sum(1, keepdims=True)


def rows_jacobian_not_transposed(g, Z):
    P = softmax(Z)
    return g - (P * g).sum(1, keepdims=True)


def loss_difference(g, Z, T):
    return g * (softmax(Z) - T) / len(Z)


def loss_in_place(g, Z, T):
    out = softmax(Z)
    out[np.arange(len(Z)), T.argmax(1)] -= 1
    return out * (g / len(Z))


def loss_through_each_step(g, Z, T):
    P = softmax(Z)
    dlog = -g * T / len(Z)
    dP = dlog / P
    return np.einsum("ni,nij->nj", dP, P[:, :, None] * (np.eye(P.shape[1]) - P[:, None, :]))


def loss_undivided(g, Z, T):
    return g * (softmax(Z) - T)


def loss_sign(g, Z, T):
    return g * (T - softmax(Z)) / len(Z)


def loss_undivided_and_sign(g, Z, T):
    return g * (T - softmax(Z))


def loss_divided_by_all(g, Z, T):
    return g * (softmax(Z) - T) / Z.size


def loss_targets_forgotten(g, Z, T):
    return g * softmax(Z) / len(Z)


def loss_cotangent_forgotten(g, Z, T):
    return (softmax(Z) - T) / len(Z)


def loss_logits_for_probabilities(g, Z, T):
    return g * (Z - T) / len(Z)


def loss_softmax_slope_once_more(g, Z, T):
    """Multiplies by p (1 - p), as after a sigmoid with a squared error."""
    P = softmax(Z)
    return g * (P - T) * P * (1 - P) / len(Z)


def loss_over_the_wrong_axis(g, Z, T):
    return g * (softmax(Z, axis=0) - T) / len(Z)


def tempered_right(g, Z):
    return (g - softmax(Z / 2.5) * g.sum(1, keepdims=True)) / 2.5


def tempered_scale_forgotten(g, Z):
    return g - softmax(Z / 2.5) * g.sum(1, keepdims=True)


def tempered_only_outside(g, Z):
    """The probabilities taken at the temperature 1."""
    return (g - softmax(Z) * g.sum(1, keepdims=True)) / 2.5


def tempered_multiplied(g, Z):
    return (g - softmax(Z / 2.5) * g.sum(1, keepdims=True)) * 2.5


CASES = [
    Case("log_softmax", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (rows, rows_closed, matrix, ()),
        (rows, rows_from_the_output, matrix, ()),
        (rows, rows_jacobian, matrix, ()),
        (rows, rows_through_the_logarithm, matrix, ()),
        (rows, rows_normaliser_constant, matrix, ("treated-as-constant",)),
        (rows, rows_sum_of_cotangent_forgotten, matrix, ("missing-cotangent",)),
        (rows, rows_sum_not_taken, matrix, ("diagonal-only", "missing-sum")),
        (rows, rows_mean_for_sum, matrix, ("mean-for-sum", "constant-factor")),
        (rows, rows_over_the_columns, matrix, ("wrong-axis",)),
        (rows, rows_softmax_over_everything, matrix, ("flattened-batch", "wrong-axis")),
        (rows, rows_as_softmax, matrix, ("wrong-point",)),
        (rows, rows_plus, matrix, ("sign",)),
        (rows, rows_jacobian_not_transposed, matrix, ("operand-not-transposed",)),
        (loss, loss_difference, targets, ()),
        (loss, loss_in_place, targets, ()),
        (loss, loss_through_each_step, targets, ()),
        (loss, loss_undivided, targets, ("constant-factor",)),
        (loss, loss_sign, targets, ("sign",)),
        (loss, loss_undivided_and_sign, targets, ("constant-factor+sign", "constant-factor")),
        (loss, loss_divided_by_all, targets, ("constant-factor",)),
        (loss, loss_targets_forgotten, targets, ("missing-path",)),
        (loss, loss_cotangent_forgotten, targets, ("missing-cotangent",)),
        (loss, loss_logits_for_probabilities, targets, ("wrong-point", "missing-factor")),
        (loss, loss_softmax_slope_once_more, targets, ("extra-factor",)),
        (loss, loss_over_the_wrong_axis, targets, ("wrong-axis",)),
        (tempered, tempered_right, matrix, ()),
        (tempered, tempered_scale_forgotten, matrix, ("constant-factor", "missing-factor")),
        (tempered, tempered_only_outside, matrix, ("wrong-point",)),
        (tempered, tempered_multiplied, matrix, ("constant-factor",)),
    ]
]
