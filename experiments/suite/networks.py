"""Whole networks: by their input, by their weights, sample by sample, and by one scalar loss."""

from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from experiments.suite.case import Case, layers, normal, on_diagonal, same


def network(X: jax.Array, *weights: jax.Array) -> jax.Array:
    """A tanh network, its last layer linear; works on a vector and on samples as columns."""
    *hidden, last = weights
    return last @ reduce(lambda A, W: jnp.tanh(W @ A), hidden, X)


def activations(X: jax.Array, *weights: jax.Array) -> list[jax.Array]:
    """The values after every tanh layer."""
    found = []
    for W in weights:
        X = jnp.tanh(W @ X)
        found.append(X)
    return found


def slopes(X: jax.Array, *weights: jax.Array) -> list[jax.Array]:
    """The activations' derivatives, layer by layer."""
    return [1 - A * A for A in activations(X, *weights)]


def bottleneck(x: jax.Array, *weights: jax.Array) -> jax.Array:
    """A network with tanh after every layer."""
    return reduce(lambda a, W: jnp.tanh(W @ a), weights, x)


def bottleneck_by_hand(x: jax.Array, *weights: jax.Array) -> jax.Array:
    """Each half multiplied towards the narrow layer, then the two halves."""
    (A, B, C, D), (a, b, c, d) = weights, slopes(x, *weights)
    below = b[:, None] * ((B * a[None]) @ A)
    above = d[:, None] * (D @ (c[:, None] * C))
    return above @ below


def batched_by_hand(X: jax.Array, A: jax.Array, B: jax.Array, C: jax.Array) -> jax.Array:
    """One small product a sample, from the output on, written on the samples' diagonal."""
    a, b = slopes(X, A, B)
    rows = (C[None] * b.T[:, None, :]) @ B
    rows = (rows * a.T[:, None, :]) @ A  # sample, output, input
    diagonal = same(X.shape[1])[None, :, None, :]
    return jnp.where(diagonal, rows.transpose(1, 0, 2)[:, :, :, None], 0)


def one_sample(x: jax.Array, *weights: jax.Array) -> jax.Array:
    """The network of one sample."""
    return network(x, *weights)


def rows_network(X: jax.Array, *weights: jax.Array) -> jax.Array:
    """The same network on samples as rows."""
    return network(X.T, *weights).T


def per_sample_by_jax(X: jax.Array, *weights: jax.Array) -> jax.Array:
    """`vmap(jacrev)` of the network of one sample."""
    return jax.vmap(lambda x: jax.jacrev(one_sample)(x, *weights))(X)


def per_sample_by_hand(X: jax.Array, A: jax.Array, B: jax.Array, C: jax.Array) -> jax.Array:
    """From the output on, all samples stacked in one matrix."""
    a, b = slopes(X.T, A, B)
    (n, into), out = X.shape, C.shape[0]
    rows = (C[None] * b.T[:, None, :]).reshape(n * out, -1) @ B
    rows = (rows.reshape(n, out, -1) * a.T[:, None, :]).reshape(n * out, -1) @ A
    return rows.reshape(n, out, into)


def by_weight(A: jax.Array, B: jax.Array, X: jax.Array) -> jax.Array:
    """`B tanh(A X)`, to be differentiated by the first layer."""
    return B @ jnp.tanh(A @ X)


def by_weight_by_hand(A: jax.Array, B: jax.Array, X: jax.Array) -> jax.Array:
    """`B[i,k] a[k,n] X[l,n]`: dense, yet a product."""
    (a,) = slopes(X, A)
    pulled = B[:, None, :] * a.T[None, :, :]
    return pulled[:, :, :, None] * X.T[None, :, None, :]


def by_weights(weights: list[jax.Array], X: jax.Array) -> jax.Array:
    """The network, its weights first."""
    return network(X, *weights)


def by_weights_by_hand(weights: list[jax.Array], X: jax.Array) -> list[jax.Array]:
    """`δ[i,k] a₂[l,n]` by the last layer; by those before it a pulled row times what came in."""
    A, B, C = weights
    a, b = activations(X, A, B)
    last = jnp.where(same(C.shape[0])[:, None, :, None], b.T[None, :, None, :], 0)
    by_second = C[:, None, :] * (1 - b * b).T[None]  # output, sample, hidden
    by_first = (by_second @ B) * (1 - a * a).T[None]
    second = by_second[..., None] * a.T[None, :, None, :]
    first = by_first[..., None] * X.T[None, :, None, :]
    return [first, second, last]


def residual_network(X: jax.Array, *weights: jax.Array) -> jax.Array:
    """Blocks of `X + tanh(X A) B`, samples as rows."""
    for A, B in zip(weights[::2], weights[1::2], strict=True):
        X = X + jnp.tanh(X @ A) @ B
    return X


def residual_network_by_hand(X: jax.Array, *weights: jax.Array) -> jax.Array:
    """One small product a sample and block, from the output back."""
    width, pairs = X.shape[1], list(zip(weights[::2], weights[1::2], strict=True))
    found = []
    for A, B in pairs:
        H = jnp.tanh(X @ A)
        X = X + H @ B
        found.append(1 - H * H)
    A, B = pairs[-1]
    rows = same(width, X.dtype)[None] + (B.T[None] * found[-1][:, None, :]) @ A.T
    for (A, B), slope in zip(pairs[-2::-1], found[-2::-1], strict=True):
        rows = rows + ((rows @ B.T) * slope[:, None, :]) @ A.T
    return on_diagonal(rows)


def recurrent(h: jax.Array, W: jax.Array, inputs: jax.Array) -> jax.Array:
    """The last state of `h ← tanh(h W + x)` in a scan, samples as rows."""
    return lax.scan(lambda h, x: (jnp.tanh(h @ W + x), None), h, inputs)[0]


def recurrent_by_hand(h: jax.Array, W: jax.Array, inputs: jax.Array) -> jax.Array:
    """One small product a sample and step, from the last state back."""
    found = []
    for x in inputs:
        h = jnp.tanh(h @ W + x)
        found.append(1 - h * h)
    rows = found[-1][:, :, None] * W.T[None]
    for slope in found[-2::-1]:
        rows = (rows * slope[:, None, :]) @ W.T
    return on_diagonal(rows)


def deep_loss(weights: list[jax.Array], X: jax.Array, Y: jax.Array) -> jax.Array:
    """Half the squared error of a deep tanh network."""
    return 0.5 * ((network(X, *weights) - Y) ** 2).sum()


def deep_loss_by_hand(weights: list[jax.Array], X: jax.Array, Y: jax.Array) -> list[jax.Array]:
    """Backpropagation."""
    values = [X, *activations(X, *weights[:-1])]
    delta = weights[-1] @ values[-1] - Y
    gradients = [delta @ values[-1].T]
    for W, A, before in zip(weights[:0:-1], values[:0:-1], values[-2::-1], strict=True):
        delta = (W.T @ delta) * (1 - A * A)
        gradients.append(delta @ before.T)
    return gradients[::-1]


def error_by_hand(A: jax.Array, B: jax.Array, X: jax.Array, Y: jax.Array) -> jax.Array:
    """Backpropagation through two layers."""
    H = jnp.tanh(A @ X)
    error = 2 * (B @ H - Y)
    # `Bᵀ error`; a third axis makes XLA turn B first, to read it along its rows: quick on CPUs
    pulled = lax.dot_general(B[:, :, None], error, (((0,), (0,)), ((), ())))[:, 0]
    return (pulled * (1 - H * H)) @ X.T


SCALAR = "one push for each weight, the loss is a scalar"

CASES = (
    Case(
        name="tanh network 1000-1000-10-1000-1000, by x",
        kind="chain",
        function=bottleneck,
        sizes=((1000, 10), (11, 3)),
        arguments=lambda r, n, k: (normal(r, n), *layers(r, n, n, k, n, n)),
        by_hand=bottleneck_by_hand,
        dense=20,
    ),
    Case(
        name="tanh network 64-64-64-16, 64 samples, by X",
        kind="network by input",
        function=network,
        sizes=((64, 64, 16), (7, 5, 3)),
        arguments=lambda r, samples, n, m: (normal(r, n, samples), *layers(r, n, n, n, m)),
        by_hand=batched_by_hand,
        dense=4,
        structured=30,
    ),
    Case(
        name="tanh network 64-64-64-16, 64 samples, block of each",
        kind="network by input",
        function=rows_network,
        sizes=((64, 64, 16), (7, 5, 3)),
        arguments=lambda r, samples, n, m: (normal(r, samples, n), *layers(r, n, n, n, m)),
        by_hand=per_sample_by_hand,
        dense=0.8,
        take=lambda J: J.blocks(0),
        against={"vmap(jacrev)": per_sample_by_jax},
    ),
    Case(
        name="residual network, 4 blocks of 64, 16 samples, by X",
        kind="network by input",
        function=residual_network,
        sizes=((16, 64, 8), (3, 5, 4)),
        arguments=lambda r, samples, n, k: (
            normal(r, samples, n),
            *(normal(r, n, n) for _ in range(k)),
        ),
        by_hand=residual_network_by_hand,
        dense=4,
    ),
    Case(
        name="recurrent network of 64, 16 steps, 16 samples, by h₀",
        kind="recurrence",
        function=recurrent,
        sizes=((16, 64, 16), (3, 5, 2)),
        arguments=lambda r, samples, n, steps: (
            normal(r, samples, n),
            normal(r, n, n),
            normal(r, steps, samples, n),
        ),
        by_hand=recurrent_by_hand,
    ),
    Case(
        name="W₂ tanh(W₁ X) 64-64-16, 64 samples, by W₁",
        kind="network by weights",
        function=by_weight,
        sizes=((64, 64, 16), (7, 5, 3)),
        arguments=lambda r, samples, n, m: (*layers(r, n, n, m), normal(r, n, samples)),
        by_hand=by_weight_by_hand,
        dense=3,
        structured=30,
    ),
    Case(
        name="tanh network 32-32-32-8, 32 samples, by all weights",
        kind="network by weights",
        function=by_weights,
        sizes=((32, 32, 8), (7, 5, 3)),
        arguments=lambda r, samples, n, m: ([*layers(r, n, n, n, m)], normal(r, n, samples)),
        by_hand=by_weights_by_hand,
    ),
    Case(
        name="squared error of a tanh network 256-256-64, 128 samples, by W₁",
        kind="scalar loss",
        function=lambda A, B, X, Y: ((B @ jnp.tanh(A @ X) - Y) ** 2).sum(),
        sizes=((128, 256, 64), (5, 7, 3)),
        arguments=lambda r, samples, n, m: (
            *layers(r, n, n, m),
            normal(r, n, samples),
            normal(r, m, samples),
        ),
        by_hand=error_by_hand,
        left_out={"jax.jacfwd": SCALAR},
    ),
    Case(
        name="squared error of 8 layers of 128, 64 samples, by all weights",
        kind="scalar loss",
        function=deep_loss,
        sizes=((64, 128, 8), (5, 3, 3)),
        arguments=lambda r, samples, n, depth: (
            [*layers(r, *[n] * (depth + 1))],
            normal(r, n, samples),
            normal(r, n, samples),
        ),
        by_hand=deep_loss_by_hand,
        against={"jax.jacrev": jax.jacrev(deep_loss), "jax.grad": jax.grad(deep_loss)},
    ),
)
