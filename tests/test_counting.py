"""What JAX's own programs cost: against XLA on dots, by hand elsewhere."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from layouts.counting import count, inner_jaxprs, primitives


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype)


def flops(function, *args):
    """As XLA counts them: a product and a sum are two."""
    return jax.jit(function).lower(*args).compile().cost_analysis()["flops"]


def dot(contracted, batch):
    return lambda a, b: lax.dot_general(a, b, (contracted, batch))


DOTS = {
    "matmul": (jnp.matmul, [(5, 3), (3, 7)]),
    "matrix by vector": (jnp.matmul, [(5, 3), (3,)]),
    "batched": (jnp.matmul, [(2, 5, 3), (2, 3, 7)]),
    "two batch axes": (dot(((2,), (3,)), ((0, 1), (1, 0))), [(2, 3, 5, 7), (3, 2, 11, 5)]),
    "two contracted axes": (dot(((1, 2), (2, 0)), ((), ())), [(5, 3, 7), (7, 2, 3)]),
    "chain": (lambda a, b, c: a @ b @ c, [(5, 3), (3, 7), (7, 2)]),
    "the other bracketing": (lambda a, b, c: a @ (b @ c), [(5, 3), (3, 7), (7, 2)]),
    "in jit": (jax.jit(lambda a, b: jax.jit(jnp.matmul)(a, b)), [(5, 3), (3, 7)]),
    "vmapped": (jax.vmap(jnp.matmul, (None, 0)), [(5, 3), (2, 3, 7)]),
}


@pytest.mark.parametrize("name", sorted(DOTS))
def test_dots_are_half_of_xla_flops(name):
    function, shapes = DOTS[name]
    args = [struct(*shape) for shape in shapes]
    assert 2 * count(function, *args).multiplications == flops(function, *args)


def test_a_fourier_transform_is_counted_by_halves_of_halves():
    signals = struct(3, 8, dtype="complex64")  # each 3 times 8 sums, and half as many products
    cost = count(jnp.fft.fft, signals)
    assert (cost.multiplications, cost.additions) == (3 * 12, 3 * 24)
    assert count(jnp.fft.rfft, struct(3, 8)).multiplications == 3 * 6
    assert count(jnp.fft.fft2, struct(4, 8, dtype="complex64")).additions == 32 * 5


@settings(derandomize=True, deadline=None, max_examples=8)
@given(st.lists(st.integers(2, 11), min_size=3, max_size=5), st.data())
def test_random_chains_are_half_of_xla_flops(dims, data):
    args = [struct(m, n) for m, n in itertools.pairwise(dims)]

    def function(*matrices):
        matrices = list(matrices)
        while len(matrices) > 1:
            at = data.draw(st.integers(0, len(matrices) - 2))
            matrices[at : at + 2] = [matrices[at] @ matrices[at + 1]]
        return matrices[0]

    lowered = jax.jit(function).trace(*args)
    counted = count(lambda *a: jax.core.eval_jaxpr(lowered.jaxpr.jaxpr, [], *a), *args)
    assert 2 * counted.multiplications == lowered.lower().compile().cost_analysis()["flops"]


BY_HAND = {
    "matmul": (jnp.matmul, [(5, 3), (3, 7)], 105, 70),
    "dot of one entry": (jnp.matmul, [(5, 1), (1, 3)], 15, 0),
    "product": (lambda x, y: x * y, [(5, 3), (5, 3)], 15, 0),
    "sum of two": (lambda x, y: x + y, [(5, 3), (5, 3)], 0, 15),
    "difference": (lambda x, y: x - y, [(5,), (5,)], 0, 5),
    "quotient": (lambda x, y: x / y, [(5,), (5,)], 5, 0),
    "sum by rows": (lambda x: x.sum(1), [(5, 3)], 0, 10),
    "square": (lambda x: x**2, [(5,)], 5, 0),
    "third power": (lambda x: x**3, [(5,)], 10, 0),
    "eighth power": (lambda x: x**8, [(5,)], 15, 0),
    "seventh power": (lambda x: lax.integer_pow(x, 7), [(5,)], 20, 0),
    "first power": (lambda x: lax.integer_pow(x, 1), [(5,)], 0, 0),
    "transcendental": (lambda x: jnp.tanh(jnp.exp(x)), [(5,)], 0, 0),
    "moved": (lambda x: x.T.reshape(-1)[::-1], [(5, 3)], 0, 0),
    "compared": (lambda x, y: x > y, [(5,), (5,)], 0, 0),
    "integers": (lambda x: x.astype(int) * 3, [(5,)], 0, 0),
    "dead code": (lambda x, y: (x @ y, x * 2)[1], [(5, 5), (5, 5)], 25, 0),
    "scan": (
        lambda A, x: lax.scan(lambda x, _: (A @ x, None), x, None, 11)[0],
        [(3, 3), (3,)],
        99,
        66,
    ),
    "cond": (lambda x: lax.cond(x.sum() > 0, lambda: x @ x, lambda: 2 * x), [(5, 5)], 125, 124),
    "while": (
        lambda A, x: lax.while_loop(lambda x: x.sum() > 0, lambda x: A @ x, x),
        [(3, 3), (3,)],
        9,
        8,
    ),
    "convolution": (
        lambda x, k: lax.conv(x, k, (1, 1), "VALID"),
        [(2, 3, 7, 5), (4, 3, 2, 3)],
        2 * 4 * 6 * 3 * 18,
        2 * 4 * 6 * 3 * 17,
    ),
}


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_by_hand(name):
    function, shapes, products, sums = BY_HAND[name]
    counted = count(function, *(struct(*shape) for shape in shapes))
    assert (counted.multiplications, counted.additions) == (products, sums)


def test_grouped_convolution_counts_its_own_channels():
    def function(x, k):
        return lax.conv_general_dilated(x, k, (1, 1), "VALID", feature_group_count=3)

    # 6 output channels, each of 2 input channels and a 2×3 window.
    counted = count(function, struct(2, 6, 7, 5), struct(6, 2, 2, 3))
    assert counted.multiplications == 2 * 6 * 6 * 3 * (2 * 2 * 3)


def test_peak_bytes_by_hand():
    a, b, c = struct(2, 3), struct(3, 5), struct(5, 7)
    # a, b, c and ab are alive at once; then ab, c and abc.
    peak = 4 * max(6 + 15 + 35 + 10, 10 + 35 + 14)
    assert count(lambda a, b, c: a @ b @ c, a, b, c).peak_bytes == peak
    assert count(lambda a: a, a).peak_bytes == 24
    assert count(lambda a, b: a, a, b).peak_bytes == 24


def test_a_donated_intermediate_is_freed():
    x = struct(100)
    assert count(lambda x: jnp.sin(jnp.sin(jnp.sin(x))), x).peak_bytes == 2 * 400


def test_shapes_and_arrays_count_alike():
    shapes = [(5, 3), (3, 7)]
    arrays = [jnp.asarray(np.ones(shape, np.float32)) for shape in shapes]
    assert count(jnp.matmul, *arrays) == count(jnp.matmul, *(struct(*shape) for shape in shapes))


def test_inner_programs_are_found():
    jaxpr = jax.make_jaxpr(lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x))(jnp.ones(3)).jaxpr
    assert {"cond", "sin", "cos"} <= set(primitives(jaxpr))
    cond = next(e for e in jaxpr.eqns if e.primitive.name == "cond")
    assert len(inner_jaxprs(cond.params)) == 2
