"""What a function closes over is known to the compiler, which is not to work on it at length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import hessian, jacobian

RNG = np.random.default_rng(0)
DATA = jnp.asarray(RNG.normal(size=(200, 120)))
SMALL = jnp.asarray(RNG.normal(size=(20, 12)))


def scaled(data):
    return (data - data.mean(0, keepdims=True)) / data.std(0, keepdims=True)


LOSSES = {
    "data": lambda w, data: ((w @ data) ** 2).sum(),
    "turned": lambda w, data: ((data.T @ w) ** 2).mean(),
    "weighted": lambda w, data: (data[0] * (w @ data) ** 2).sum(),
    "scaled": lambda w, data: ((w @ scaled(data)) ** 2).sum(),
    "by NumPy": lambda w, data: ((w @ np.asarray(data)) ** 2).sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_large_product_of_what_is_closed_over_is_left_to_run(name):
    def loss(w):
        return LOSSES[name](w, DATA)

    w = jnp.asarray(RNG.normal(size=200))
    compiled = jax.jit(hessian(loss)).lower(w).compile()
    assert has_product(compiled)
    np.testing.assert_allclose(compiled(w), jax.hessian(loss)(w), atol=1e-10)
    np.testing.assert_allclose(hessian(loss)(w), jax.hessian(loss)(w), atol=1e-10)


def test_a_small_one_is_computed_beforehand():
    w = jnp.asarray(RNG.normal(size=20))
    compiled = jax.jit(hessian(lambda w: LOSSES["data"](w, SMALL))).lower(w).compile()
    assert not has_product(compiled)
    np.testing.assert_allclose(compiled(w), 2 * SMALL @ SMALL.T, atol=1e-12)


def has_product(compiled):
    text = compiled.as_text()
    return " dot(" in text or "custom_call_target" in text


def test_no_dense_array_is_kept_in_a_compiled_program():
    x = jnp.asarray(RNG.normal(size=700))
    compiled = jax.jit(jacobian(lambda x: 2.5 * x)).lower(x).compile()
    assert not [line for line in compiled.as_text().splitlines() if "[700,700]{1,0} const" in line]
    np.testing.assert_array_equal(compiled(x), 2.5 * np.eye(700))
