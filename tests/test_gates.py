"""A derivative is zero where a choice drops what is not finite, as one of JAX's modes has it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts

X = jnp.asarray([0.0, -1.0, 2.0, 0.5, -3.0, 1.0])
A = jnp.asarray(np.random.default_rng(0).standard_normal((4, 6)))
CLOSED = jnp.abs(X) + 1  # relu of less than nothing


def _length(x):
    return jnp.sqrt((x * x).sum())


FUNCTIONS = {
    "a logarithm of what is positive": lambda x: jnp.where(x > 0, jnp.log(x), 0),
    "entropy": lambda x: A @ jnp.where(x > 0, x * jnp.log(x), 0),
    "sinc": lambda x: jnp.where(x != 0, jnp.sin(x) / x, 1),
    "a direction": lambda x: jnp.where(_length(0 * x) > 0, 0 * x / _length(0 * x), 0),
    "roots of units": lambda x: jnp.sqrt(jax.nn.relu(A @ x)),
    "weights, then units": lambda x: A @ jnp.sqrt(jax.nn.relu(x)),
    "the length of dead units": lambda x: _length(jax.nn.relu(x - CLOSED)),
    "lengths of columns": lambda x: jnp.linalg.norm(jax.nn.relu(x.reshape(3, 2) - 1), axis=0),
    "units that are looked up": lambda x: jnp.sqrt(jax.nn.relu(x))[jnp.asarray([4, 2, 2])] * x[:3],
    "pooled": lambda x: jnp.sqrt(jax.nn.relu(x).reshape(3, 2).max(1)),
    "distances": lambda x: jnp.where(jnp.eye(6) > 0, 0, jnp.sqrt(jnp.square(x[:, None] - x[None]))),
    "forces": lambda x: jnp.where(jnp.eye(6) > 0, 0, 1 / (x[:, None] - x[None])).sum(1),
}


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_dropped_is_zero(name, order):
    function = FUNCTIONS[name]
    forward, reverse = jax.jacfwd(function)(X), jax.jacrev(function)(X)
    assert jnp.isnan(forward).any() or jnp.isnan(reverse).any()
    wanted = jnp.where(jnp.isnan(reverse), forward, reverse)
    assert jnp.isfinite(wanted).all()
    found = layouts.jacobian(function, order=order)
    np.testing.assert_allclose(found(X), wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(jax.jit(found)(X), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["roots of units", "the length of dead units", "lengths of columns", "pooled"]
)
def test_hessians_are_finite_where_those_of_jax_are(name):
    def energy(x):
        return jnp.sin(FUNCTIONS[name](x)).sum()

    wanted = jax.hessian(energy)(X)
    assert jnp.isfinite(wanted).all()
    np.testing.assert_allclose(layouts.hessian(energy)(X), wanted, rtol=1e-12, atol=1e-12)


def test_what_is_taken_is_not_hidden():
    """NaN where the chosen array has it."""
    found = layouts.jacobian(lambda x: jnp.where(x > -1, jnp.sqrt(x), 0))(jnp.asarray([0.0, 4.0]))
    assert found[0, 0] == jnp.inf and found[1, 1] == 0.25
    np.testing.assert_array_equal(
        layouts.jacobian(lambda x: jnp.where(x > 0, 0 * jnp.inf * x, x))(X[1:3]),
        [[1, 0], [0, jnp.nan]],
    )


def test_gates_of_one_program_are_not_those_of_another():
    """Programs are kept by their structure: which factor is a gate belongs to it."""
    first = layouts.jacobian(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0))
    last = layouts.jacobian(lambda x: jnp.sqrt(jnp.where(x > 0, x, 0)))
    for function in (first, last, first):
        np.testing.assert_allclose(jnp.diag(function(X[:3])), [0, 0, 0.5**1.5], atol=1e-12)
