"""Modules and losses of equinox, flax and optax, differentiated as their users would."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from layouts import Jacobian, hessian, jacobian
from tests.oracle import assert_same, densified, jacobians

KEY = jax.random.key(3)


def normal(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape))


class Recurrent(eqx.Module):
    """A GRU cell scanned over a sequence, then a linear layer."""

    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear
    name: str = eqx.field(static=True)

    def __call__(self, sequence):
        def step(state, value):
            state = self.cell(value, state)
            return state, state

        last, states = jax.lax.scan(step, jnp.zeros(self.cell.hidden_size), sequence)
        return self.head(last), states.sum(1)


def gru():
    return Recurrent(
        eqx.nn.GRUCell(2, 3, key=KEY), eqx.nn.Linear(3, 2, key=KEY), "two steps of three"
    )


class Pooled(eqx.Module):
    """A convolution, an activation, a pool, a mean."""

    convolution: eqx.nn.Conv2d
    pool: eqx.nn.MaxPool2d

    def __call__(self, image):
        return self.pool(jax.nn.gelu(self.convolution(image))).mean((1, 2))


def pooled():
    return Pooled(eqx.nn.Conv2d(2, 3, (3, 2), stride=(1, 2), key=KEY), eqx.nn.MaxPool2d(2))


def attend(module, x):
    return module(x, jnp.tanh(x), x)


def normalise(module, x):
    return jax.vmap(module)(x)


@dataclass(frozen=True)
class Module:
    """An equinox module, how it is called, and on what shape."""

    make: Callable[[], Any]
    shape: tuple[int, ...]
    call: Callable = lambda module, x: module(x)


MODULES = {
    "MLP": Module(lambda: eqx.nn.MLP(3, 2, 5, 2, key=KEY), (3,)),
    "MLP, a batch": Module(lambda: eqx.nn.MLP(3, 2, 5, 1, key=KEY), (7, 3), normalise),
    "LayerNorm": Module(lambda: eqx.nn.LayerNorm(5), (3, 5), normalise),
    "RMSNorm": Module(lambda: eqx.nn.RMSNorm(5), (3, 5), normalise),
    "GroupNorm": Module(lambda: eqx.nn.GroupNorm(2, 6), (6, 5)),
    "MultiheadAttention": Module(lambda: eqx.nn.MultiheadAttention(2, 6, key=KEY), (5, 6), attend),
    "GRUCell in a scan": Module(gru, (3, 2)),
    "LSTMCell": Module(
        lambda: eqx.nn.LSTMCell(3, 2, key=KEY),
        (3,),
        lambda cell, x: cell(x, (jnp.full(2, 0.3), jnp.full(2, -0.7))),
    ),
    "Conv2d and pool": Module(pooled, (2, 5, 6)),
    "ConvTranspose1d": Module(lambda: eqx.nn.ConvTranspose1d(2, 3, 2, 2, key=KEY), (2, 5)),
    "Embedding": Module(
        lambda: eqx.nn.Embedding(5, 3, key=KEY),
        (2,),
        lambda table, x: jax.vmap(table)(jnp.array([4, 1])) * x[:, None],
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_equinox_by_arrays_and_input(name):
    """By `eqx.filter(module, is_inexact_array)` and by the input; structured alike."""
    row = MODULES[name]
    arrays, static = eqx.partition(row.make(), eqx.is_inexact_array)
    x = normal(*row.shape)

    def function(arrays, x):
        return row.call(eqx.combine(arrays, static), x)

    @jax.jit
    def everything(*args):
        wanted = jax.jacrev(function, (0, 1))(*args)
        structured = jacobian(function, (0, 1), structured=True)(*args)
        both = jacobian(function, (0, 1))(*args), densified(structured)
        return wanted, both, jacobian(function, order="forward")(*args)

    wanted, both, forward = everything(arrays, x)
    assert jax.tree.leaves(wanted)
    for found in both:
        assert_same(found, wanted)
    assert_same(forward, wanted_of(wanted, 0))


def wanted_of(tree, place):
    """The Jacobians by one of two arguments: pairs stand where the output has its leaves."""
    return jax.tree.map(
        lambda pair: pair[place],
        tree,
        is_leaf=lambda t: isinstance(t, tuple) and len(t) == 2 and isinstance(t[1], jax.Array),
    )


def test_equinox_by_the_whole_module():
    """A module of arrays alone is a pytree as it stands."""
    layer, x = eqx.nn.Linear(3, 2, key=KEY), normal(3)

    def function(layer):
        return jnp.tanh(layer(x))

    wanted = jax.jacrev(function)(layer)
    found = jacobian(function)(layer)
    assert isinstance(found, eqx.nn.Linear)
    assert_same(found, wanted)
    structured = jacobian(function, structured=True)(layer)
    assert isinstance(structured, eqx.nn.Linear) and isinstance(structured.weight, Jacobian)
    assert structured.weight.nbytes < wanted.weight.nbytes


def test_equinox_module_with_a_function_in_it_is_refused_as_by_jax():
    module = eqx.nn.MLP(3, 2, 5, 1, key=KEY)
    for transform in (jax.jacrev, jacobian):
        with pytest.raises(TypeError):
            transform(lambda module: module(normal(3)))(module)


def test_equinox_filtered_transforms_take_the_jacobian():
    module, x = eqx.nn.MLP(3, 2, 5, 1, key=KEY), normal(3)
    found = eqx.filter_jit(lambda module, x: jacobian(module)(x))(module, x)
    assert_same(found, jax.jacrev(module)(x))


def test_equinox_hessian_of_a_loss():
    arrays, static = eqx.partition(eqx.nn.MLP(2, 1, 3, 1, key=KEY), eqx.is_inexact_array)
    X, y = normal(7, 2), normal(7)

    def loss(arrays):
        return jnp.mean((jax.vmap(eqx.combine(arrays, static))(X)[:, 0] - y) ** 2)

    @jax.jit
    def everything(arrays):
        structured = hessian(loss, structured=True)(arrays)
        return jax.hessian(loss)(arrays), hessian(loss)(arrays), densified(structured)

    wanted, *both = everything(arrays)
    for found in both:
        assert_same(found, wanted)


class Block(nn.Module):
    """A flax network with a normalisation and a residual path."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(5)(x)
        y = nn.LayerNorm()(nn.gelu(y))
        return x + nn.Dense(3, use_bias=False)(y)


LABELS = jnp.array([2, 0, 1, 1, 2, 0, 2])


def test_flax_linen_parameters_and_loss():
    x = normal(7, 3)
    block = Block()
    variables = jax.tree.map(lambda a: a.astype(jnp.float64), block.init(KEY, x))

    def function(variables, x):
        logits = block.apply(variables, x)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, LABELS)
        return {"logits": logits, "losses": loss, "mean": loss.mean()}

    # The modules compute in float32 unless told otherwise; inputs of float64 promote.
    wanted = jax.jit(jax.jacrev(function, (0, 1)))(variables, x)
    assert set(wanted["mean"][0]["params"]) == {"Dense_0", "LayerNorm_0", "Dense_1"}
    assert_same(jax.jit(jacobian(function, (0, 1)))(variables, x), wanted)
    structured = jax.jit(jacobian(function, (0, 1), structured=True))(variables, x)
    assert_same(densified(structured), wanted)
    kernel = structured["logits"][0]["params"]["Dense_1"]["kernel"]
    assert kernel.nbytes < wanted["logits"][0]["params"]["Dense_1"]["kernel"].nbytes / 2


def test_flax_nnx_state():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(5), param_dtype=jnp.float64)
    graph, state = nnx.split(model)
    x = normal(7, 3)

    def function(state):
        return jnp.tanh(nnx.merge(graph, state)(x))

    wanted = jax.jacrev(function)(state)
    assert_same(jacobian(function)(state), wanted)
    assert_same(densified(jacobian(function, structured=True)(state)), wanted)


LOSSES = {
    "integer labels": lambda z: optax.softmax_cross_entropy_with_integer_labels(z, LABELS),
    "one-hot labels": lambda z: optax.softmax_cross_entropy(z, jax.nn.one_hot(LABELS, 3)),
    "binary": lambda z: optax.sigmoid_binary_cross_entropy(z, (LABELS[:, None] > 0) * 1.0),
    "huber": lambda z: optax.huber_loss(2 * z, jnp.zeros_like(z), delta=0.7),
    "cosine": lambda z: optax.cosine_distance(z, z[:, ::-1], epsilon=1e-6),
    "Kullback-Leibler": lambda z: optax.kl_divergence(z, jnp.full((7, 3), 1 / 3)),
    "hinge": lambda z: optax.hinge_loss(z, jnp.sign(normal(7, 3))),
    "l2": lambda z: optax.l2_loss(z, normal(3, 7).T),
    "CTC": lambda z: optax.ctc_loss(
        z[None], jnp.zeros((1, 7)), LABELS[None, :2], jnp.zeros((1, 2))
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_optax_losses(name):
    loss = LOSSES[name]

    @jax.jit
    def everything(z):
        structured = jacobian(loss, structured=True)(z)
        return jax.jacrev(loss)(z), jacobian(loss)(z), structured.dense()

    wanted, *found = everything(normal(7, 3))
    assert np.isfinite(wanted).all() and np.any(wanted)
    for dense in found:
        assert_same(dense, wanted)


def test_optax_losses_by_sample_are_block_diagonal():
    """One row of logits for each loss: a delta between samples and one small factor."""
    J = jacobian(LOSSES["integer labels"], structured=True)(normal(7, 3))
    assert J.nbytes <= 2 * 7 * 3 * 8 + 7 * 8
    (only,) = jacobians(J)
    assert only is J


def test_optax_hessian():
    z = normal(7, 3)

    def mean(z):
        return LOSSES["integer labels"](z).mean()

    assert_same(jax.jit(hessian(mean))(z), jax.jit(jax.hessian(mean))(z))


def test_an_optax_step_through_a_jacobian():
    """Gauss–Newton's gradient `Jᵀ r` drives an optimiser."""
    theta, x, y = {"w": normal(3), "b": jnp.asarray(0.3)}, normal(7, 3), normal(7)
    optimiser = optax.adam(1e-2)

    def residuals(theta):
        return jnp.tanh(x @ theta["w"] + theta["b"]) - y

    @jax.jit
    def step(theta, state):
        J = jacobian(residuals, structured=True)(theta)
        pulled = jax.tree.map(
            lambda J: J.vjp(residuals(theta)), J, is_leaf=lambda J: isinstance(J, Jacobian)
        )
        updates, state = optimiser.update(pulled, state)
        return optax.apply_updates(theta, updates), pulled

    moved, pulled = step(theta, optimiser.init(theta))
    assert_same(pulled, jax.grad(lambda theta: 0.5 * jnp.sum(residuals(theta) ** 2))(theta))
    assert np.any(moved["w"] != theta["w"])
