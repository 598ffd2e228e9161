"""Products with operators: applied, not written out as a matrix only to be summed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.axes import Label
from layouts.nodes import Leaf, Map, Operator
from layouts.products import multiply, written_order
from layouts.terms import Factor

N = 240
KERNEL = jnp.asarray(np.random.default_rng(3).normal(size=7))
LOWER = jnp.asarray(np.tril(np.random.default_rng(4).normal(size=(N, N))) + 20 * np.eye(N))


def pooled(y):
    return y.reshape(6, -1).sum(1)


OPERATORS = {
    "cumsum": jnp.cumsum,
    "flipped": lambda x: jnp.cumsum(x[::-1])[::-1],
    "convolve": lambda x: jnp.convolve(x, KERNEL, "same"),
    "solve": lambda x: jax.scipy.linalg.solve_triangular(LOWER, x, lower=True),
    "fft": lambda x: jnp.fft.fft(x).imag,
}
AROUND = {
    "mean": (lambda f, x: f(x).mean(), (N,)),
    "pooled": (lambda f, x: pooled(f(x)), (N,)),
    "pooled and squared": (lambda f, x: (pooled(f(x)) ** 2).sum(), (N,)),
    "pooled, weighted, scaled": (lambda f, x: jnp.cos(pooled(jnp.sin(f(x)))), (N,)),
    "filled": (lambda f, x: f(jnp.full(N, x)), ()),
    "repeated": (lambda f, x: f(jnp.repeat(x, N // 6)), (6,)),
    "squared and repeated": (lambda f, x: f(jnp.repeat(x**2, N // 6)), (6,)),
    "repeated and pooled": (lambda f, x: pooled(f(jnp.repeat(x, N // 6))), (6,)),
    "of all to all": (lambda f, x: f(jnp.full(N, x.sum())), (N,)),
    "batch": (lambda f, x: jax.vmap(f)(x).mean(0)[::40], (2, N)),
    "batch, mean": (lambda f, x: jax.vmap(f)(jnp.sin(x)).mean((0, 1)), (2, N)),
}


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", OPERATORS)
def test_sums_before_and_after_an_operator(name, around, structured):
    (fun, shape), operator = AROUND[around], OPERATORS[name]
    x = jnp.asarray(np.random.default_rng(5).normal(size=shape))
    got = layouts.jacobian(lambda x: fun(operator, x), structured=structured)(x)
    want = jax.jacrev(lambda x: fun(operator, x))(x)
    np.testing.assert_allclose(got.dense() if structured else got, want, atol=1e-11)


@pytest.mark.parametrize("around", ["mean", "pooled", "pooled and squared", "filled", "repeated"])
@pytest.mark.parametrize("name", ["cumsum", "convolve", "fft"])
def test_no_matrix_is_written_only_to_be_summed(name, around):
    (fun, shape), operator = AROUND[around], OPERATORS[name]
    report = layouts.cost(lambda x: fun(operator, x))(jnp.ones(shape))
    assert report.planned.additions < N * N // 2


def nodes_below(node):
    return [node, *(below for operand in node.operands for below in nodes_below(operand))]


@pytest.mark.parametrize("kept", [0, 1])
def test_a_number_stays_where_an_operator_is_applied_to_ones(kept):
    """The sum of a matrix's rows, or of its columns, times a number holds the number."""
    line = jax.ShapeDtypeStruct((N,), jnp.float32)
    operator = Operator("cumsum", lambda x: [jnp.cumsum(x)], (line,), (line,))
    sides = Label(N), Label(N)
    matrix = Factor(Map((N, N), 4, (), operator), sides)
    number = Factor(Leaf((), 4, (), 0), ())
    order = written_order((), (), sides)
    for pair in ((matrix, number), (number, matrix)):
        result = multiply(*pair, {sides[kept]}, order)
        assert set(result.labels) == {sides[kept]}
        assert number.node in nodes_below(result.node)
