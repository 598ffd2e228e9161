"""Functions recognised in what they are made of: the text, and that it has the same value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.naming.reading import read
from layouts.show.values import Values
from layouts.show.writing import definitions
from tests import formulas

x, X, Y = (3,), (3, 3), (4, 3)
softmax, logsumexp = jax.nn.softmax, jax.nn.logsumexp
CASES = {
    # Sums of products that cancel.
    "-2 * x * y": (lambda x, y: x * (1 - y) - x - y * x, x, x),
    "x * (1 - y²)": (lambda x, y: x * (1 - y) + x * (1 - y) * y, x, x),
    "x": (lambda x, y: x * (1 - y) + y * x, x, x),
    "y * (1 + x)": (lambda x, y: y * (1 + x), x, x),
    "x - y * (1 - x)": (lambda x, y: x - y * (1 - x), x, x),
    "(x + y) * (x - 2 * y)": (lambda x, y: (x + y) * (x - 2 * y), x, x),
    "2 * x * y": (lambda x, y: x * y + y * x, x, x),
    "2 * (x @ y)": (lambda x, y: x @ y + y.T @ x, x, X),
    "3 * (x @ y)": (lambda x, y: x @ y + 2 * (y @ x), x, x),
    # Masks.
    "1[x > 0] * y": (lambda x, y: jnp.where(x > 0, 1.0, 0.0) ** 2 * y, x, x),
    "(1 - 1[x > 0]) * y": (lambda x, y: (1 - jnp.where(x > 0, 1.0, 0.0)) ** 3 * y, x, x),
    # Roots.
    "sqrt(x)³ + y": (lambda x, y: x * jnp.sqrt(x) + y, x, x),
    "x / sqrt(y)³": (lambda x, y: x / (y * jnp.sqrt(y)), x, x),
    "x * sqrt(y)": (lambda x, y: x * y / jnp.sqrt(y), x, x),
    "x * y²": (lambda x, y: x * jnp.sqrt(y) * y * jnp.sqrt(y), x, x),
    # The logistic function and what belongs to it.
    "x * sigmoid(y)": (lambda x, y: x / (1 + jnp.exp(-y)), x, x),
    "y + sigmoid(x)": (lambda x, y: y + jnp.exp(x) / (1 + jnp.exp(x)), x, x),
    "y * sigmoid(x) * (1 - sigmoid(x))": (lambda x, y: y * jax.vmap(jax.grad(_own))(x), x, x),
    "sigmoid(x) * (1 - sigmoid(x))": (lambda x, y: _slope(jax.nn.sigmoid(x)), x, x),
    "softplus(x) - y": (lambda x, y: jax.nn.softplus(x) - y, x, x),
    "softplus(-x) - y": (lambda x, y: jnp.logaddexp(0.0, -x) - y, x, x),
    "softplus(x * y)": (lambda x, y: jnp.log(1 + jnp.exp(x * y)), x, x),
    "softplus(x + y)": (lambda x, y: jnp.log1p(jnp.exp(x + y)), x, x),
    "y * sigmoid(x)": (lambda x, y: y * jax.vmap(jax.grad(jax.nn.softplus))(x), x, x),
    # Softmax and its kin, along their own axis only.
    "log_softmax(x, axis=1) * y": (lambda x, y: jax.nn.log_softmax(x) * y, Y, x),
    "log_softmax(x + y, axis=1)": (lambda x, y: _log_softmax(x + y, 1), X, x),
    "x + y - logsumexp(x + y, axis=1)": (lambda x, y: x + y - logsumexp(x + y, axis=1), X, x),
    "log_softmax(x, axis=1) - y": (lambda x, y: _log_softmax(x, 1) - y, X, x),
    "y * log_softmax(x)": (lambda x, y: y * jnp.log(softmax(x)), x, x),
    "2 * x - logsumexp(x)": (lambda x, y: 2 * x - logsumexp(x) + 0 * y, x, x),
    "y[:, None] * softmax(x, axis=1)": (lambda x, y: _weighted(jnp.exp(x), y), Y, (4,)),
}  # fmt: skip


def _own(x):
    return 1 / (1 + jnp.exp(-x))


def _slope(s):
    return s - s**2


def _log_softmax(x, axis):
    return x - logsumexp(x, axis=axis, keepdims=True)


def _weighted(e, y):
    return (y / e.sum(1))[:, None] * e


def written(function, *shapes):
    values = Values()
    structs = [jax.ShapeDtypeStruct(shape, float) for shape in shapes]
    closed = jax.make_jaxpr(function)(*structs)
    names = [values.name(*pair) for pair in zip("xy", shapes, strict=True)]
    (value,) = read(values, closed.jaxpr, closed.consts, names)
    (line,) = definitions({"A": (value, value.shape)})
    return line.text


@pytest.mark.parametrize("text", CASES)
def test_it_is_written_so_and_has_the_value(text):
    function, *shapes = CASES[text]
    with jax.numpy_rank_promotion("allow"):
        assert written(function, *shapes) == text
        rng = np.random.default_rng(len(text))
        args = {n: rng.uniform(0.3, 2, shape) for n, shape in zip("xy", shapes, strict=True)}
        found = formulas.expression(text, args)
        expected = function(*map(jnp.asarray, args.values()))
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, rtol=1e-12)


def test_the_infinities_that_a_user_writes_stay():
    def masked(x, y):
        return jnp.where(y == -jnp.inf, 0.0, x)

    assert "-inf" in written(masked, (3,), (3,))
    assert "!=" in written(lambda x, y: jnp.where(x != x, 0.0, y), (3,), (3,))
    assert "inf" not in written(lambda x, y: jnp.where(x + y == jnp.inf, 0.0, x), (3,), (3,))
