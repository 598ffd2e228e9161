"""Dense Jacobians under a memory budget."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import LayoutError, hessian, jacobian
from tests.oracle import assert_same


def normal(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).standard_normal(shape))


def wide(W, V, x):
    """From 29 numbers through 31 to 23: every Jacobian in it is dense."""
    return jnp.tanh(V @ jnp.tanh(W @ x))


W, V, X = normal(31, 29), normal(23, 31), normal(29)


def needed(function, *args, **options):
    """The least budget, read off the error that names it."""
    with pytest.raises(LayoutError, match="memory_limit") as caught:
        jacobian(function, memory_limit=1, **options)(*args)
    return int(re.search(r"at least ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("factor", [1.0, 1.03, 1.2, 1.7, 10.0])
def test_blocks_of_any_size_give_the_whole(order, factor):
    def function(x):
        return wide(W, V, x)

    limit = int(needed(function, X, order=order) * factor)
    found = jax.jit(jacobian(function, order=order, memory_limit=limit))(X)
    assert_same(found, jax.jacrev(function)(X))


def test_the_least_budget_is_enough_and_one_byte_less_is_not():
    least = needed(lambda x: wide(W, V, x), X)
    jacobian(lambda x: wide(W, V, x), memory_limit=least)(X)
    with pytest.raises(LayoutError, match="one row or column at a time"):
        jacobian(lambda x: wide(W, V, x), memory_limit=least - 1)(X)


@pytest.mark.parametrize("limit", ["1GB", 1.5, float("nan")])
def test_a_budget_is_a_whole_number(limit):
    with pytest.raises(LayoutError, match="memory_limit: expected a whole number of bytes"):
        jacobian(jnp.sin, memory_limit=limit)(X)


@pytest.mark.parametrize(
    ("function", "args", "argnums"),
    [
        (wide, (W, V, X), (0, 2)),
        (lambda x: (jnp.cumsum(jnp.sin(x)), x[:3] * x.sum()), (normal(7, 5).ravel(),), 0),
        (lambda p: {"a": p["u"] @ jnp.tanh(p["v"]), "b": p["v"].sum(0)}, ({"u": W, "v": W.T},), 0),
        (lambda x: jnp.linalg.solve(jnp.eye(7) + jnp.outer(x, x), x), (normal(7),), 0),
        (lambda x, s: x * s, (normal(3, 5), jnp.asarray(2.0)), (0, 1)),
    ],
)
def test_several_inputs_and_outputs(function, args, argnums):
    limit = needed(function, *args, argnums=argnums)
    found = jacobian(function, argnums, memory_limit=limit)(*args)
    jax.tree.map(assert_same, found, jax.jacrev(function, argnums)(*args))


def test_blocks_are_as_weak_as_the_whole():
    x = jnp.broadcast_to(0.3, (7,))
    found = jacobian(jnp.cumprod, memory_limit=needed(jnp.cumprod, x))(x)
    assert found.weak_type and jax.jacrev(jnp.cumprod)(x).weak_type


def test_a_compiled_program_in_blocks_takes_less():
    """XLA's own count of what the program needs, the blocks' against the whole's."""
    A, B = normal(400, 300), normal(200, 400)

    def function(x):
        return B @ jnp.tanh(A @ jnp.tanh(x))

    def taken(limit):
        program = jax.jit(jacobian(function, memory_limit=limit, order="forward"))
        return program.lower(normal(300)).compile().memory_analysis().temp_size_in_bytes

    assert taken(needed(function, normal(300))) < taken(10**9) / 10


def test_hessians_have_a_budget_too():
    x = normal(40)

    def energy(x):
        return jnp.sum(jnp.tanh(jnp.outer(x, x)) ** 2)

    with pytest.raises(LayoutError, match="memory_limit"):
        hessian(energy, memory_limit=100)(x)
    assert_same(hessian(energy, memory_limit=10**6)(x), jax.hessian(energy)(x))
