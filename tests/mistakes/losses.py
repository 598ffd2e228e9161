"""Scalar losses of a prediction: squares, logits and labels, Huber."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy import exp

from tests.mistakes import Problem


def sigma(z):
    return 1 / (1 + exp(-z))


def mse(P, T):
    return jnp.mean((P - T) ** 2)


def squares(P, T):
    return jnp.sum((P - T) ** 2) / 2


def fit(w, X, y):
    return jnp.mean((X @ w - y) ** 2)


def labelled(z, label):
    return jax.nn.logsumexp(z) - z[label]


def binary(z, y):
    p = jax.nn.sigmoid(z)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def logistic(w, X, y):
    return jnp.sum(jnp.log1p(jnp.exp(-y * (X @ w))))


def huber(P, T):
    r = P - T
    small = jnp.abs(r) <= 1
    return jnp.mean(jnp.where(small, r**2 / 2, jnp.abs(r) - 0.5))


def pair(rng):
    return rng.standard_normal((7, 3)), rng.standard_normal((7, 3))


def far(rng):
    return 2 * rng.standard_normal((7, 3)), rng.standard_normal((7, 3))


def regression(rng):
    return rng.standard_normal(3), rng.standard_normal((7, 3)), rng.standard_normal(7)


def logits(rng):
    return rng.standard_normal(5), np.array(3)


def zeros_and_ones(rng):
    return rng.standard_normal(7), np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])


def signs(rng):
    y = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
    return rng.standard_normal(3), rng.standard_normal((7, 3)), y


def softmax(z):
    e = exp(z - z.max())
    return e / e.sum()


def labelled_in_place(d, z, label):
    grad = softmax(z)
    grad[label] -= 1
    return d * grad


def labelled_through_probabilities(d, z, label):
    p = softmax(z)
    dp = np.zeros_like(z)
    dp[label] = -1 / p[label]
    return d * ((np.diag(p) - np.outer(p, p)) @ dp)


def labelled_diagonal(d, z, label):
    p = softmax(z)
    dp = np.zeros_like(z)
    dp[label] = -1 / p[label]
    return d * dp * p * (1 - p)


def labelled_no_softmax(d, z, label):
    dp = np.zeros_like(z)
    dp[label] = -1 / softmax(z)[label]
    return d * dp


def labelled_no_label(d, z, label):
    return d * softmax(z)


def labelled_minus_everywhere(d, z, label):
    return d * (softmax(z) - 1)


def labelled_label_alone(d, z, label):
    grad = np.zeros_like(z)
    grad[label] = -1
    return d * grad


def labelled_no_softmax_at_all(d, z, label):
    grad = z.copy()
    grad[label] -= 1
    return d * grad


def binary_chain(d, z, y):
    p = sigma(z)
    dp = -(y / p - (1 - y) / (1 - p)) / len(z)
    return d * dp * p * (1 - p)


def binary_no_sigmoid(d, z, y):
    p = sigma(z)
    return d * -(y / p - (1 - y) / (1 - p)) / len(z)


def binary_positives(d, z, y):
    return d * -y * (1 - sigma(z)) / len(z)


def logistic_by_samples(d, w, X, y):
    dw = np.zeros_like(w)
    for x, t in zip(X, y, strict=True):
        margin = t * (x @ w)
        dw -= d * t * x * exp(-margin) / (1 + exp(-margin))
    return dw


def huber_by_cases(d, P, T):
    grad = np.empty_like(P)
    for i in np.ndindex(P.shape):
        r = P[i] - T[i]
        grad[i] = r if abs(r) <= 1 else np.sign(r)
    return d * grad / P.size


def huber_one_far_away(d, P, T):
    r = P - T
    return d * np.where(np.abs(r) <= 1, r, 1.0) / P.size


NO_SLOPE = "missing-activation-derivative"
MSE, MSE_T = (Problem("losses", mse, pair, argnum) for argnum in range(2))
SQUARES = Problem("losses", squares, pair)
FIT = Problem("losses", fit, regression)
LABELLED = Problem("losses", labelled, logits)
BINARY = Problem("losses", binary, zeros_and_ones)
LOGISTIC = Problem("losses", logistic, signs)
HUBER = Problem("losses", huber, far)

CASES = [
    MSE.right("mean square", lambda d, P, T: d * 2 * (P - T) / P.size),
    MSE.right("mean square, two terms", lambda d, P, T: d * (P / P.size - T / P.size) * 2),
    MSE.wrong("mean square, no 1/n", lambda d, P, T: d * 2 * (P - T), "constant-factor"),
    MSE.wrong("mean square, no 2", lambda d, P, T: d * (P - T) / P.size, "constant-factor"),
    MSE.wrong(
        "mean square, mean over rows alone",
        lambda d, P, T: d * 2 * (P - T) / len(P),
        "constant-factor",
    ),
    MSE.wrong(
        "mean square, sign", lambda d, P, T: d * 2 * (T - P) / P.size, "sign", "wrong-argument"
    ),
    MSE.wrong("mean square, sign and 1/n", lambda d, P, T: d * 2 * (T - P), "constant-factor+sign"),
    MSE.wrong("mean square, d left out", lambda d, P, T: 2 * (P - T) / P.size, "missing-cotangent"),
    MSE.wrong("mean square, T left out", lambda d, P, T: d * 2 * P / P.size, "missing-path"),
    MSE.wrong(
        "mean square, as absolute", lambda d, P, T: d * np.sign(P - T) / P.size, "wrong-point"
    ),
    MSE.wrong(
        "mean square, the square itself",
        lambda d, P, T: d * (P - T) ** 2 / P.size,
        "value-for-derivative",
    ),
    MSE_T.right("mean square, by the target", lambda d, P, T: d * 2 * (T - P) / P.size),
    MSE_T.wrong(
        "mean square, by the target, as by P",
        lambda d, P, T: d * 2 * (P - T) / P.size,
        "sign",
        "wrong-argument",
    ),
    SQUARES.right("half squares", lambda d, P, T: d * (P - T)),
    SQUARES.wrong("half squares, a 2", lambda d, P, T: d * 2 * (P - T), "constant-factor"),
    SQUARES.wrong(
        "half squares, a mean",
        lambda d, P, T: d * (P - T) / P.size,
        "mean-for-sum",
        "constant-factor",
    ),
    SQUARES.wrong("half squares, only 1", lambda d, P, T: d * np.ones_like(P), NO_SLOPE),
    FIT.right("fit", lambda d, w, X, y: d * 2 / len(y) * X.T @ (X @ w - y)),
    FIT.right("fit, normal equations", lambda d, w, X, y: d * 2 * (X.T @ X @ w - X.T @ y) / len(y)),
    FIT.wrong("fit, no 1/n", lambda d, w, X, y: d * 2 * X.T @ (X @ w - y), "constant-factor"),
    FIT.wrong("fit, y - Xw", lambda d, w, X, y: d * 2 / len(y) * X.T @ (y - X @ w), "sign"),
    FIT.wrong(
        "fit, sign, no 1/n", lambda d, w, X, y: d * 2 * X.T @ (y - X @ w), "constant-factor+sign"
    ),
    FIT.wrong(
        "fit, prediction for residual",
        lambda d, w, X, y: d * 2 / len(y) * X.T @ (X @ w),
        "missing-path",
        "wrong-point",
    ),
    FIT.wrong(
        "fit, not summed",
        lambda d, w, X, y: d * 2 / len(y) * X * (X @ w - y)[:, None],
        "missing-sum",
    ),
    FIT.wrong(
        "fit, no slope",
        lambda d, w, X, y: d / len(y) * X.T @ np.ones(len(y)),
        NO_SLOPE,
        "missing-factor",
    ),
    LABELLED.right("labelled", labelled_in_place),
    LABELLED.right("labelled, one-hot", lambda d, z, label: d * (softmax(z) - np.eye(5)[label])),
    LABELLED.right("labelled, through the probabilities", labelled_through_probabilities),
    LABELLED.wrong("labelled, diagonal of softmax", labelled_diagonal, "diagonal-only"),
    LABELLED.wrong(
        "labelled, softmax passed through", labelled_no_softmax, NO_SLOPE, "missing-factor"
    ),
    LABELLED.wrong("labelled, the label left out", labelled_no_label, "missing-path"),
    LABELLED.wrong(
        "labelled, the label alone", labelled_label_alone, "missing-path", "treated-as-constant"
    ),
    LABELLED.wrong("labelled, 1 everywhere", labelled_minus_everywhere, "missing-factor"),
    LABELLED.wrong(
        "labelled, logits for probabilities", labelled_no_softmax_at_all, "wrong-point", NO_SLOPE
    ),
    LABELLED.wrong("labelled, sign", lambda d, z, k: d * (np.eye(5)[k] - softmax(z)), "sign"),
    LABELLED.wrong(
        "labelled, mean over classes",
        lambda d, z, k: d * (softmax(z) - np.eye(5)[k]) / 5,
        "constant-factor",
        "mean-for-sum",
    ),
    BINARY.right("binary", lambda d, z, y: d * (sigma(z) - y) / len(z)),
    BINARY.right("binary, through the probability", binary_chain),
    BINARY.right(
        "binary, two classes", lambda d, z, y: d * np.where(y == 1, -sigma(-z), sigma(z)) / len(z)
    ),
    BINARY.wrong("binary, no sigmoid", binary_no_sigmoid, NO_SLOPE),
    BINARY.wrong("binary, no 1/n", lambda d, z, y: d * (sigma(z) - y), "constant-factor"),
    BINARY.wrong("binary, sign", lambda d, z, y: d * (y - sigma(z)) / len(z), "sign"),
    BINARY.wrong(
        "binary, sign and 1/n", lambda d, z, y: d * (y - sigma(z)), "constant-factor+sign"
    ),
    BINARY.wrong(
        "binary, sigmoid's slope once more",
        lambda d, z, y: d * (sigma(z) - y) * sigma(z) * (1 - sigma(z)) / len(z),
        "extra-factor",
    ),
    BINARY.wrong("binary, only positives", binary_positives, "missing-path"),
    BINARY.wrong(
        "binary, logits for probabilities",
        lambda d, z, y: d * (z - y) / len(z),
        "wrong-point",
        NO_SLOPE,
    ),
    LOGISTIC.right("logistic", lambda d, w, X, y: -d * X.T @ (y * sigma(-y * (X @ w)))),
    LOGISTIC.right("logistic, sample by sample", logistic_by_samples),
    LOGISTIC.right(
        "logistic, with labels of 0 and 1",
        lambda d, w, X, y: d * X.T @ (sigma(X @ w) - (y + 1) / 2),
    ),
    LOGISTIC.wrong(
        "logistic, sign", lambda d, w, X, y: d * X.T @ (y * sigma(-y * (X @ w))), "sign"
    ),
    LOGISTIC.wrong(
        "logistic, sigmoid of the margin",
        lambda d, w, X, y: -d * X.T @ (y * sigma(y * (X @ w))),
        "wrong-point",
    ),
    LOGISTIC.wrong(
        "logistic, y left out", lambda d, w, X, y: -d * X.T @ sigma(-y * (X @ w)), "missing-factor"
    ),
    LOGISTIC.wrong(
        "logistic, labels of 0 and 1 assumed",
        lambda d, w, X, y: d * X.T @ (sigma(X @ w) - y),
        "wrong-point",
    ),
    LOGISTIC.wrong(
        "logistic, mean",
        lambda d, w, X, y: -d * X.T @ (y * sigma(-y * (X @ w))) / len(y),
        "mean-for-sum",
        "constant-factor",
    ),
    LOGISTIC.wrong(
        "logistic, not summed",
        lambda d, w, X, y: -d * (y * sigma(-y * (X @ w)))[:, None] * X,
        "missing-sum",
    ),
    HUBER.right("huber", lambda d, P, T: d * np.clip(P - T, -1, 1) / P.size),
    HUBER.right("huber, case by case", huber_by_cases),
    HUBER.wrong(
        "huber, as squares", lambda d, P, T: d * (P - T) / P.size, "wrong-point", "missing-path"
    ),
    HUBER.wrong(
        "huber, as absolute",
        lambda d, P, T: d * np.sign(P - T) / P.size,
        "wrong-point",
        "missing-path",
    ),
    HUBER.wrong(
        "huber, flat far away",
        lambda d, P, T: d * (P - T) * (np.abs(P - T) <= 1) / P.size,
        "missing-path",
    ),
    HUBER.wrong("huber, sum", lambda d, P, T: d * np.clip(P - T, -1, 1), "constant-factor"),
    HUBER.wrong(
        "huber, sign far away left out",
        huber_one_far_away,
        "missing-activation-derivative",
        "missing-factor",
    ),
    HUBER.wrong(
        "huber, sign and mean", lambda d, P, T: -d * np.clip(P - T, -1, 1), "constant-factor+sign"
    ),
]
