"""Two layers, the samples in columns: `Y = W2 tanh(W1 X + b1) + b2`; and a deep one with relu."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy import tanh
from numpy.linalg import pinv

from tests.mistakes import Problem, normal


def forward(W1, b1, W2, b2, X):
    return W2 @ jnp.tanh(W1 @ X + b1[:, None]) + b2[:, None]


def deep(W1, W2, W3, X):
    return W3 @ jax.nn.relu(W2 @ jax.nn.relu(W1 @ X))


def hidden(W1, b1, X):
    return tanh(W1 @ X + b1[:, None])


def plain(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    dA = W2.T @ dY
    dZ = dA * (1 - A**2)
    return dZ @ X.T


def by_samples(dY, W1, b1, W2, b2, X):
    dW1 = np.zeros_like(W1)
    for n in range(X.shape[1]):
        a = tanh(W1 @ X[:, n] + b1)
        J = W2 @ np.diag(1 - a**2)
        dW1 += np.outer(J.T @ dY[:, n], X[:, n])
    return dW1


def by_jacobian(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    J = np.einsum("oh,hn,in->onhi", W2, 1 - A**2, X)
    return np.tensordot(dY, J, axes=2)


def no_slope(dY, W1, b1, W2, b2, X):
    return W2.T @ dY @ X.T


def value_for_slope(dY, W1, b1, W2, b2, X):
    return ((W2.T @ dY) * hidden(W1, b1, X)) @ X.T


def slope_at_the_output(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    return ((W2.T @ dY) * (1 - tanh(A) ** 2)) @ X.T


def slope_of_the_sigmoid(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    return ((W2.T @ dY) * A * (1 - A)) @ X.T


def slope_without_the_bias(dY, W1, b1, W2, b2, X):
    return ((W2.T @ dY) * (1 - tanh(W1 @ X) ** 2)) @ X.T


def slope_twice(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    return ((W2.T @ dY) * (1 - A**2) ** 2) @ X.T


def mean_of_samples(dY, W1, b1, W2, b2, X):
    return plain(dY, W1, b1, W2, b2, X) / X.shape[1]


def no_output_layer(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    return (dY * (1 - A**2)) @ X.T


def weights_not_transposed(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    return ((W2 @ dY) * (1 - A**2)) @ X.T


def pseudo_inverse(dY, W1, b1, W2, b2, X):
    A = hidden(W1, b1, X)
    return ((pinv(W2) @ dY) * (1 - A**2)) @ X.T


def output_for_cotangent(dY, W1, b1, W2, b2, X):
    Y = W2 @ hidden(W1, b1, X) + b2[:, None]
    return plain(Y, W1, b1, W2, b2, X)


def two_slips(dY, W1, b1, W2, b2, X):
    return -mean_of_samples(dY, W1, b1, W2, b2, X)


def no_slope_and_mean(dY, W1, b1, W2, b2, X):
    return W2.T @ dY @ X.T / X.shape[1]


def signals(dY, W1, W2, W3, X):
    """The pre-activations, and the cotangents that reach them."""
    z1 = W1 @ X
    z2 = W2 @ np.maximum(z1, 0)
    d2 = (W3.T @ dY) * (z2 > 0)
    d1 = (W2.T @ d2) * (z1 > 0)
    return z1, z2, d1, d2


def deep_plain(dY, W1, W2, W3, X):
    _, _, d1, _ = signals(dY, W1, W2, W3, X)
    return d1 @ X.T


def deep_masked_weights(dY, W1, W2, W3, X):
    # a relu network is linear between its kinks: mask the weights, then multiply from the left
    z1, z2, _, _ = signals(dY, W1, W2, W3, X)
    dW1 = np.zeros_like(W1)
    for n in range(X.shape[1]):
        M2 = W2 * (z2[:, n] > 0)[:, None] * (z1[:, n] > 0)[None, :]
        dW1 += np.outer(dY[:, n] @ W3 @ M2, X[:, n])
    return dW1


def deep_no_outer_mask(dY, W1, W2, W3, X):
    z1 = W1 @ X
    return ((W2.T @ (W3.T @ dY)) * (z1 > 0)) @ X.T


def deep_no_inner_mask(dY, W1, W2, W3, X):
    _, _, _, d2 = signals(dY, W1, W2, W3, X)
    return (W2.T @ d2) @ X.T


def deep_mask_of_the_cotangent(dY, W1, W2, W3, X):
    _, z2, _, _ = signals(dY, W1, W2, W3, X)
    d1 = W2.T @ ((W3.T @ dY) * (z2 > 0))
    return (d1 * (d1 > 0)) @ X.T


def deep_value_for_mask(dY, W1, W2, W3, X):
    z1, _, _, d2 = signals(dY, W1, W2, W3, X)
    return ((W2.T @ d2) * np.maximum(z1, 0)) @ X.T


def deep_masks_swapped(dY, W1, W2, W3, X):
    z1, z2, _, _ = signals(dY, W1, W2, W3, X)
    return ((W2.T @ ((W3.T @ dY) * (z1 > 0))) * (z2 > 0)) @ X.T


def deep_input_of_the_layer(dY, W1, W2, W3, X):
    z1, _, _, d2 = signals(dY, W1, W2, W3, X)
    return d2 @ z1.T


SIZES = normal((5, 3), 5, (2, 5), 2, (3, 7))
EQUAL = normal((4, 3), 4, (4, 4), 4, (3, 7))
W1, B1, W2, B2, X = (Problem("mlp", forward, SIZES, argnum) for argnum in range(5))
W1_EQUAL = Problem("mlp", forward, EQUAL)
DEEP1, DEEP2 = (
    Problem("mlp", deep, normal((6, 3), (6, 6), (2, 6), (3, 7)), argnum) for argnum in range(2)
)

CASES = [
    W1.right("by W1", plain),
    W1.right("by W1, sample by sample", by_samples),
    W1.right("by W1, a dense Jacobian", by_jacobian),
    W1.wrong("by W1, no slope", no_slope, "missing-activation-derivative"),
    W1.wrong("by W1, value for slope", value_for_slope, "value-for-derivative"),
    W1.wrong("by W1, slope at the output", slope_at_the_output, "wrong-point"),
    W1.wrong("by W1, slope of the sigmoid", slope_of_the_sigmoid, "wrong-point"),
    W1.wrong("by W1, slope without the bias", slope_without_the_bias, "wrong-point"),
    W1.wrong("by W1, slope twice", slope_twice, "extra-factor"),
    W1.wrong("by W1, mean", mean_of_samples, "mean-for-sum", "constant-factor"),
    W1.wrong("by W1, layout", lambda *args: plain(*args).T, "transposed-layout"),
    W1.wrong("by W1, pseudo-inverse of W2", pseudo_inverse, "inverse-for-transpose"),
    W1.wrong("by W1, Y for dY", output_for_cotangent, "missing-cotangent"),
    W1.wrong("by W1, mean and sign", two_slips, "mean-for-sum+sign", "constant-factor+sign"),
    W1.wrong(
        "by W1, no slope and mean",
        no_slope_and_mean,
        "mean-for-sum+missing-activation-derivative",
        "constant-factor+missing-activation-derivative",
    ),
    W1_EQUAL.wrong("by W1, W2 left out", no_output_layer, "missing-factor"),
    W1_EQUAL.wrong("by W1, W2 as it is", weights_not_transposed, "operand-not-transposed"),
    B1.right(
        "by b1",
        lambda dY, W1, b1, W2, b2, X: ((W2.T @ dY) * (1 - hidden(W1, b1, X) ** 2)).sum(axis=1),
    ),
    B1.wrong(
        "by b1, not summed",
        lambda dY, W1, b1, W2, b2, X: (W2.T @ dY) * (1 - hidden(W1, b1, X) ** 2),
        "missing-sum",
    ),
    B1.wrong(
        "by b1, no slope",
        lambda dY, W1, b1, W2, b2, X: (W2.T @ dY).sum(axis=1),
        "missing-activation-derivative",
    ),
    W2.right("by W2", lambda dY, W1, b1, W2, b2, X: dY @ hidden(W1, b1, X).T),
    W2.wrong(
        "by W2, before the activation",
        lambda dY, W1, b1, W2, b2, X: dY @ (W1 @ X + b1[:, None]).T,
        "wrong-point",
    ),
    W2.wrong(
        "by W2, slope where none belongs",
        lambda dY, W1, b1, W2, b2, X: dY @ (1 - hidden(W1, b1, X) ** 2).T,
        "wrong-point",
        "value-for-derivative",
    ),
    B2.right("by b2", lambda dY, W1, b1, W2, b2, X: dY @ np.ones(X.shape[1])),
    B2.wrong(
        "by b2, mean",
        lambda dY, W1, b1, W2, b2, X: dY.mean(axis=1),
        "mean-for-sum",
        "constant-factor",
    ),
    X.right(
        "by X",
        lambda dY, W1, b1, W2, b2, X: W1.T @ ((W2.T @ dY) * (1 - hidden(W1, b1, X) ** 2)),
    ),
    X.wrong(
        "by X, no slope",
        lambda dY, W1, b1, W2, b2, X: (W2 @ W1).T @ dY,
        "missing-activation-derivative",
    ),
    DEEP1.right("deep, by W1", deep_plain),
    DEEP1.right("deep, by W1, masked weights", deep_masked_weights),
    DEEP1.wrong("deep, second mask", deep_no_outer_mask, "missing-activation-derivative"),
    DEEP1.wrong("deep, first mask", deep_no_inner_mask, "missing-activation-derivative"),
    DEEP1.wrong("deep, mask of the cotangent", deep_mask_of_the_cotangent, "wrong-point"),
    DEEP1.wrong("deep, value for mask", deep_value_for_mask, "value-for-derivative"),
    DEEP1.wrong("deep, masks swapped", deep_masks_swapped, "wrong-point", "order-swapped"),
    DEEP2.wrong("deep, by W2, before the relu", deep_input_of_the_layer, "wrong-point"),
]
