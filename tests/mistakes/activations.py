"""Elementwise functions: the pull-back is the cotangent times the slope, entry by entry."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from numpy import cosh, exp, log, log1p, tanh

from tests.mistakes import Problem, normal

erf = np.vectorize(math.erf)


def sigma(z):
    return 1 / (1 + exp(-z))


def gelu(z):
    return jax.nn.gelu(z, approximate=False)


def positive(rng):
    return (rng.uniform(0.5, 3.0, (5, 3)),)


def bell(z):
    return exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def bell_cdf(z):
    return (1 + erf(z / np.sqrt(2))) / 2


def by_loops(d, z):
    out = np.empty_like(z)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            out[i, j] = d[i, j] * (1 - math.tanh(z[i, j]) ** 2)
    return out


def by_diagonal(d, z):
    J = np.diag(tanh(z).ravel() * -tanh(z).ravel() + 1)
    return (J.T @ d.ravel()).reshape(z.shape)


def relu_by_assignment(d, z):
    out = d.copy()
    out[z < 0] = 0
    return out


NO_SLOPE, VALUE = "missing-activation-derivative", "value-for-derivative"
DRAW = normal((5, 3))
TANH = Problem("activations", jnp.tanh, DRAW)
SIGMOID = Problem("activations", jax.nn.sigmoid, DRAW)
RELU = Problem("activations", jax.nn.relu, DRAW)
GELU = Problem("activations", gelu, DRAW)
SILU = Problem("activations", jax.nn.silu, DRAW)
SOFTPLUS = Problem("activations", jax.nn.softplus, DRAW)
EXP = Problem("activations", jnp.exp, DRAW)
LOG = Problem("activations", jnp.log, positive)

CASES = [
    TANH.right("tanh", lambda d, z: d * (1 - tanh(z) ** 2)),
    TANH.right("tanh, factored", lambda d, z: d * (1 - tanh(z)) * (1 + tanh(z))),
    TANH.right("tanh, with cosh", lambda d, z: d / cosh(z) ** 2),
    TANH.right("tanh, with sigmoids", lambda d, z: 4 * d * sigma(2 * z) * sigma(-2 * z)),
    TANH.right("tanh, by loops", by_loops),
    TANH.right("tanh, a diagonal matrix", by_diagonal),
    TANH.wrong("tanh, no slope", lambda d, z: d, NO_SLOPE),
    TANH.wrong("tanh, value", lambda d, z: d * tanh(z), VALUE),
    TANH.wrong("tanh, square forgotten", lambda d, z: d * (1 - tanh(z)), "wrong-point"),
    TANH.wrong("tanh, at the output", lambda d, z: d * (1 - tanh(tanh(z)) ** 2), "wrong-point"),
    TANH.wrong("tanh, z for the output", lambda d, z: d * (1 - z**2), "wrong-point"),
    TANH.wrong("tanh, sigmoid's", lambda d, z: d * tanh(z) * (1 - tanh(z)), "wrong-point"),
    TANH.wrong("tanh, sign", lambda d, z: d * (tanh(z) ** 2 - 1), "sign"),
    TANH.wrong("tanh, d forgotten", lambda d, z: 1 - tanh(z) ** 2, "missing-cotangent"),
    TANH.wrong("tanh, twice", lambda d, z: d * (1 - tanh(z) ** 2) ** 2, "extra-factor"),
    TANH.wrong(
        "tanh, the output for d", lambda d, z: tanh(z) * (1 - tanh(z) ** 2), "missing-cotangent"
    ),
    SIGMOID.right("sigmoid", lambda d, z: d * sigma(z) * (1 - sigma(z))),
    SIGMOID.right("sigmoid, both sides", lambda d, z: d * sigma(z) * sigma(-z)),
    SIGMOID.right("sigmoid, with exp", lambda d, z: d * exp(-z) / (1 + exp(-z)) ** 2),
    SIGMOID.right("sigmoid, with cosh", lambda d, z: d / (2 + 2 * cosh(z))),
    SIGMOID.wrong("sigmoid, no slope", lambda d, z: d, NO_SLOPE),
    SIGMOID.wrong("sigmoid, value", lambda d, z: d * sigma(z), VALUE),
    SIGMOID.wrong("sigmoid, z(1 - z)", lambda d, z: d * z * (1 - z), "wrong-point"),
    SIGMOID.wrong(
        "sigmoid, at the output",
        lambda d, z: d * sigma(sigma(z)) * (1 - sigma(sigma(z))),
        "wrong-point",
    ),
    SIGMOID.wrong("sigmoid, tanh's", lambda d, z: d * (1 - sigma(z) ** 2), "wrong-point"),
    SIGMOID.wrong("sigmoid, sign", lambda d, z: d * sigma(z) * (sigma(z) - 1), "sign"),
    RELU.right("relu", lambda d, z: d * (z > 0)),
    RELU.right("relu, where", lambda d, z: np.where(z > 0, d, 0.0)),
    RELU.right("relu, by assignment", relu_by_assignment),
    RELU.right("relu, by the sign", lambda d, z: d * (1 + np.sign(z)) / 2),
    RELU.right("relu, the output's sign", lambda d, z: d * np.sign(np.maximum(z, 0))),
    RELU.wrong("relu, no mask", lambda d, z: d, NO_SLOPE),
    RELU.wrong("relu, value", lambda d, z: d * np.maximum(z, 0), VALUE),
    RELU.wrong("relu, z for the mask", lambda d, z: d * z, "wrong-point", VALUE),
    RELU.wrong("relu, mask of d", lambda d, z: np.maximum(d, 0), "wrong-point", VALUE),
    RELU.wrong("relu, other side", lambda d, z: d * (z < 0), "wrong-point"),
    RELU.wrong("relu, the mask alone", lambda d, z: (z > 0) * 1.0, "missing-cotangent"),
    RELU.wrong("relu, d and z", lambda d, z: d * (z > 0) * (d > 0), "extra-factor", "wrong-point"),
    GELU.right("gelu", lambda d, z: d * (bell_cdf(z) + z * bell(z))),
    GELU.wrong("gelu, as relu", lambda d, z: d * (z > 0), "wrong-point"),
    GELU.wrong("gelu, the second term", lambda d, z: d * bell_cdf(z), "missing-path"),
    GELU.wrong("gelu, the first term", lambda d, z: d * z * bell(z), "missing-path"),
    GELU.wrong("gelu, no slope", lambda d, z: d, NO_SLOPE),
    GELU.wrong("gelu, value", lambda d, z: d * z * bell_cdf(z), VALUE),
    GELU.wrong("gelu, z left out", lambda d, z: d * (bell_cdf(z) + bell(z)), "missing-factor"),
    GELU.wrong("gelu, minus", lambda d, z: d * (bell_cdf(z) - z * bell(z)), "sign"),
    SILU.right("silu", lambda d, z: d * (sigma(z) + z * sigma(z) * (1 - sigma(z)))),
    SILU.right("silu, factored", lambda d, z: d * sigma(z) * (1 + z * sigma(-z))),
    SILU.right(
        "silu, from the value",
        lambda d, z: d * (z * sigma(z) + sigma(z) * (1 - z * sigma(z))),
    ),
    SILU.wrong(
        "silu, gate held fixed", lambda d, z: d * sigma(z), "missing-path", "treated-as-constant"
    ),
    SILU.wrong(
        "silu, the gate alone",
        lambda d, z: d * z * sigma(z) * (1 - sigma(z)),
        "missing-path",
        "treated-as-constant",
    ),
    SILU.wrong("silu, value", lambda d, z: d * z * sigma(z), VALUE),
    SILU.wrong("silu, no slope", lambda d, z: d, NO_SLOPE),
    SILU.wrong(
        "silu, gate's slope left out", lambda d, z: d * (sigma(z) + z), NO_SLOPE, "missing-factor"
    ),
    SILU.wrong("silu, gate's value", lambda d, z: d * (sigma(z) + z * sigma(z)), VALUE),
    SILU.wrong(
        "silu, as sigmoid",
        lambda d, z: d * sigma(z) * (1 - sigma(z)),
        "wrong-point",
        "missing-path",
        "missing-factor",
    ),
    SOFTPLUS.right("softplus", lambda d, z: d * sigma(z)),
    SOFTPLUS.right("softplus, with exp", lambda d, z: d * exp(z) / (1 + exp(z))),
    SOFTPLUS.right("softplus, from the value", lambda d, z: d * (1 - exp(-log1p(exp(z))))),
    SOFTPLUS.wrong("softplus, as relu", lambda d, z: d * (z > 0), "wrong-point"),
    SOFTPLUS.wrong("softplus, value", lambda d, z: d * log1p(exp(z)), VALUE),
    SOFTPLUS.wrong(
        "softplus, sigmoid of -z", lambda d, z: d * sigma(-z), "wrong-point", "missing-factor"
    ),
    SOFTPLUS.wrong(
        "softplus, exp left out", lambda d, z: d / (1 + exp(z)), "wrong-point", "missing-factor"
    ),
    SOFTPLUS.wrong(
        "softplus, twice", lambda d, z: d * sigma(z) * (1 - sigma(z)), "wrong-point", "extra-factor"
    ),
    EXP.right("exp", lambda d, z: d * exp(z)),
    EXP.right("exp, through its inverse", lambda d, z: d / exp(-z)),
    EXP.wrong("exp, no slope", lambda d, z: d, NO_SLOPE),
    EXP.wrong("exp, as a power", lambda d, z: d * z * exp(z - 1), "wrong-point"),
    EXP.wrong("exp, twice", lambda d, z: d * exp(z) * exp(z), "extra-factor"),
    EXP.wrong("exp, at the output", lambda d, z: d * exp(exp(z)), "wrong-point"),
    EXP.wrong("exp, d forgotten", lambda d, z: exp(z), "missing-cotangent"),
    LOG.right("log", lambda d, z: d / z),
    LOG.right("log, with exp", lambda d, z: d * exp(-log(z))),
    LOG.wrong("log, no slope", lambda d, z: d, NO_SLOPE),
    LOG.wrong("log, value", lambda d, z: d * log(z), VALUE),
    LOG.wrong("log, upside down", lambda d, z: d * z, "inverse-for-transpose", "wrong-point"),
    LOG.wrong("log, minus 1/z²", lambda d, z: -d / z**2, "wrong-point"),
    LOG.wrong("log, at the output", lambda d, z: d / log(z), "wrong-point"),
]
