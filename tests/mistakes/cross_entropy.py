"""Cross-entropy of softmax over rows, against one-hot rows or weights: `(S - Y) / n`."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy import exp, log

from tests.mistakes import Problem

LABELS = np.array([2, 0, 4, 1, 1, 3, 0])


def forward(Z, Y):
    return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(Z, axis=1), axis=1))


def layer(W, X, Y):
    return -jnp.sum(Y * jax.nn.log_softmax(X @ W, axis=1)) / len(X)


def one_hot(rng):
    return rng.standard_normal((7, 5)), np.eye(5)[LABELS]


def weights(rng):
    return rng.standard_normal((7, 5)), rng.uniform(0.1, 2.0, (7, 5))


def linear(rng):
    return rng.standard_normal((3, 5)), rng.standard_normal((7, 3)), np.eye(5)[LABELS]


def soft(Z, axis=1):
    e = exp(Z - Z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def by_indices(d, Z, Y):
    grad = soft(Z)
    grad[np.arange(len(Z)), Y.argmax(axis=1)] -= 1
    return d * grad / len(Z)


def in_steps(d, Z, Y):
    S = soft(Z)
    dS = -d * Y / S / len(Z)
    return S * (dS - (dS * S).sum(axis=1, keepdims=True))


def steps_diagonal(d, Z, Y):
    S = soft(Z)
    dS = -d * Y / S / len(Z)
    return dS * S * (1 - S)


def steps_softmax_passed(d, Z, Y):
    return -d * Y / soft(Z) / len(Z)


def steps_log_passed(d, Z, Y):
    S = soft(Z)
    dS = -d * Y / len(Z)
    return S * (dS - (dS * S).sum(axis=1, keepdims=True))


def steps_flattened(d, Z, Y):
    S = soft(Z)
    dS = -d * Y / S / len(Z)
    return S * (dS - (dS * S).sum())


def layer_by_samples(d, W, X, Y):
    dW = np.zeros_like(W)
    for x, y, s in zip(X, Y, soft(X @ W), strict=True):
        dW += np.outer(x, s - y)
    return d * dW / len(X)


def layer_last_sample(d, W, X, Y):
    for x, y, s in zip(X, Y, soft(X @ W), strict=True):
        dW = np.outer(x, s - y)
    return d * dW / len(X)


Z, Y = (Problem("cross_entropy", forward, one_hot, argnum) for argnum in range(2))
WEIGHTED = Problem("cross_entropy", forward, weights)
LAYER = Problem("cross_entropy", layer, linear)

CASES = [
    Z.right("S - Y", lambda d, Z, Y: d * (soft(Z) - Y) / len(Z)),
    Z.right("through indices", by_indices),
    Z.right("in steps", in_steps),
    Z.right("two terms", lambda d, Z, Y: d / len(Z) * soft(Z) - d / len(Z) * Y),
    Z.wrong("no 1/n", lambda d, Z, Y: d * (soft(Z) - Y), "constant-factor"),
    Z.wrong("1 by all entries", lambda d, Z, Y: d * (soft(Z) - Y) / Z.size, "constant-factor"),
    Z.wrong("1 by the classes", lambda d, Z, Y: d * (soft(Z) - Y) / Z.shape[1], "constant-factor"),
    Z.wrong("sign", lambda d, Z, Y: d * (Y - soft(Z)) / len(Z), "sign"),
    Z.wrong("sign and 1/n", lambda d, Z, Y: d * (Y - soft(Z)), "constant-factor+sign"),
    Z.wrong("d forgotten", lambda d, Z, Y: (soft(Z) - Y) / len(Z), "missing-cotangent"),
    Z.wrong("Y left out", lambda d, Z, Y: d * soft(Z) / len(Z), "missing-path"),
    Z.wrong("Y alone", lambda d, Z, Y: -d * Y / len(Z), "missing-path", "treated-as-constant"),
    Z.wrong("softmax over samples", lambda d, Z, Y: d * (soft(Z, 0) - Y) / len(Z), "wrong-axis"),
    Z.wrong("diagonal of softmax", steps_diagonal, "diagonal-only"),
    Z.wrong(
        "softmax passed through",
        steps_softmax_passed,
        "missing-activation-derivative",
        "missing-factor",
    ),
    Z.wrong(
        "log passed through", steps_log_passed, "missing-activation-derivative", "missing-factor"
    ),
    Z.wrong("one batch as one sample", steps_flattened, "flattened-batch", "wrong-axis"),
    Z.wrong("log S - Y", lambda d, Z, Y: d * (log(soft(Z)) - Y) / len(Z), "wrong-point"),
    Z.wrong(
        "as a square loss of S",
        lambda d, Z, Y: (
            d
            * soft(Z)
            * (soft(Z) - Y - ((soft(Z) - Y) * soft(Z)).sum(axis=1, keepdims=True))
            / len(Z)
        ),
        "extra-factor",
        "wrong-point",
    ),
    Y.right("by Y", lambda d, Z, Y: -d * log(soft(Z)) / len(Z)),
    Y.wrong("by Y, the logits", lambda d, Z, Y: -d * Z / len(Z), "missing-path", "wrong-point"),
    Y.wrong("by Y, no log", lambda d, Z, Y: -d * soft(Z) / len(Z), "wrong-point", "missing-factor"),
    Y.wrong("by Y, as by Z", lambda d, Z, Y: d * (soft(Z) - Y) / len(Z), "wrong-argument"),
    Y.wrong("by Y, sign", lambda d, Z, Y: d * log(soft(Z)) / len(Z), "sign"),
    WEIGHTED.right(
        "weights", lambda d, Z, Y: d * (soft(Z) * Y.sum(axis=1, keepdims=True) - Y) / len(Z)
    ),
    WEIGHTED.wrong(
        "weights, as if they summed to one",
        lambda d, Z, Y: d * (soft(Z) - Y) / len(Z),
        "missing-factor",
    ),
    WEIGHTED.wrong(
        "weights, summed over all",
        lambda d, Z, Y: d * (soft(Z) * Y.sum() - Y) / len(Z),
        "wrong-axis",
        "flattened-batch",
    ),
    WEIGHTED.wrong(
        "weights, entry by entry",
        lambda d, Z, Y: d * Y * (soft(Z) - 1) / len(Z),
        "missing-sum",
        "diagonal-only",
    ),
    LAYER.right("a layer", lambda d, W, X, Y: d * X.T @ (soft(X @ W) - Y) / len(X)),
    LAYER.right("a layer, sample by sample", layer_by_samples),
    LAYER.wrong("a layer, the last sample", layer_last_sample, "overwritten-duplicates"),
    LAYER.wrong(
        "a layer, no 1/n", lambda d, W, X, Y: d * X.T @ (soft(X @ W) - Y), "constant-factor"
    ),
    LAYER.wrong(
        "a layer, layout",
        lambda d, W, X, Y: d * (soft(X @ W) - Y).T @ X / len(X),
        "transposed-layout",
    ),
    LAYER.wrong(
        "a layer, not summed",
        lambda d, W, X, Y: d * X[:, :, None] * (soft(X @ W) - Y)[:, None, :] / len(X),
        "missing-sum",
    ),
    LAYER.wrong(
        "a layer, sign and 1/n",
        lambda d, W, X, Y: d * X.T @ (Y - soft(X @ W)),
        "constant-factor+sign",
    ),
]
