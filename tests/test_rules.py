"""The table of primitives: every rule is used, is exact, and keeps the structure it promises."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import layouts
from layouts.counting import primitives
from layouts.plan import make_plan
from layouts.rules import RULES
from tests.cases import CASES, arrays, positive
from tests.oracle import assert_same, densified, graph_of, graph_of_case

F32 = jnp.float32


def over_one_device(kind):
    """A sharding on a mesh of one device, whose axes the compiler may or may not deal with."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("n",), axis_types=(kind,))
    return NamedSharding(mesh, PartitionSpec("n"))


# For each primitive a function whose linear program holds it, at shapes that tell axes apart.
BY_PRIMITIVE = {
    "add_any": (lambda x: x * jnp.sin(x), arrays((5, 3))),
    "add": (lambda x: lax.add(jnp.sin(x), x), arrays((5, 3))),
    "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (5, 7, 3), (0, 2)), arrays((5, 3))),
    "convert_element_type": (lambda x: x.astype(F32).astype(x.dtype), arrays((5, 3))),
    "conv_general_dilated": (
        lambda x, K: lax.conv_general_dilated(x, K, (2,), [(1, 0)], rhs_dilation=(2,)),
        arrays((2, 3, 11), (5, 3, 2)),
    ),
    "copy": (jnp.copy, arrays((5, 3))),
    "copy_p": (lambda x: jnp.array(x, copy=True), arrays((5, 3))),
    "cumsum": (lambda x: lax.cumsum(x, axis=1, reverse=True), arrays((3, 5, 2))),
    "device_put": (lambda x: jax.device_put(2 * x, jax.devices()[0]), arrays((5, 3))),
    "div": (lambda x: x / jnp.arange(1.0, 6.0)[:, None], arrays((5, 3))),
    "dot_general": (
        lambda x: lax.dot_general(
            x, jnp.arange(84.0).reshape(7, 4, 3), (((0,), (1,)), ((2,), (0,)))
        ),
        arrays((4, 5, 7)),
    ),
    "complex": (lambda x: jnp.abs(lax.complex(x, 2 * x)), arrays((5, 3))),
    "concatenate": (lambda x: jnp.concatenate([x, jnp.ones((2, 3)), 3 * x[:0], x]), arrays((5, 3))),
    "dynamic_slice": (
        lambda x: lax.dynamic_slice(x, (jnp.argmax(x[:, 0]), -2), (2, 2)),
        arrays((5, 3)),
    ),
    "fft": (lambda x: jnp.fft.fft(x).real, arrays((3, 5))),
    "dynamic_update_slice": (
        lambda x: lax.dynamic_update_slice(jnp.sin(x), x[:2, :1], (1, 2)),
        arrays((5, 3)),
    ),
    "gather": (lambda x: x[:, np.array([2, 0, -1, 2])], arrays((5, 3))),
    "optimization_barrier": (lambda x: sum(lax.optimization_barrier((x, x * 2))), arrays((5, 3))),
    "pad": (lambda x: lax.pad(x, 0.0, [(-1, 2, 1), (3, -1, 0)]), arrays((5, 3))),
    "reshard": (
        lambda x: jax.reshard(2 * x, over_one_device(AxisType.Explicit)),
        arrays((5, 3)),
    ),
    "rev": (lambda x: lax.rev(x, (1,)), arrays((5, 3))),
    "scatter": (
        lambda x: jnp.sin(x).at[jnp.array([4, 1])].set(x[:2], unique_indices=True),
        arrays((5, 3)),
    ),
    "scatter-mul": (lambda x: jnp.sin(x).at[np.array([3, 0, 3]), 1:].mul(2.5), arrays((5, 3))),
    "scatter-sub": (lambda x: x.at[jnp.array([4, 1, 4])].subtract(x[:3] ** 2), arrays((5, 3))),
    "scatter-add": (
        lambda x: x.at[np.array([3, 0, 3])].add(x[:3] * 2, mode="drop"),
        arrays((5, 3)),
    ),
    "select_and_gather_add": (
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3), (1, 2), "VALID"),
        arrays((3, 7)),
    ),
    "sharding_constraint": (
        lambda x: lax.with_sharding_constraint(2 * x, over_one_device(AxisType.Auto)),
        arrays((5, 3)),
    ),
    "slice": (lambda x: x[1:5:2, 2:], arrays((5, 3))),
    "split": (lambda x: jnp.split(x, [1, 3])[1], arrays((5, 3))),
    "stack": (lambda x: jnp.stack([x, 2 * x, x[::-1]], 1), arrays((5, 3))),
    "unstack": (
        lambda x: sum(n * row for n, row in enumerate(jnp.unstack(x, axis=1))),
        arrays((5, 3)),
    ),
    "imag": (lambda x: jnp.imag((1 + 2j) * x), arrays((5, 3))),
    "mul": (lambda x: x * jnp.arange(1.0, 4.0)[None], arrays((5, 3))),
    "neg": (jnp.negative, arrays((5, 3))),
    "real": (lambda x: jnp.real((1 + 2j) * x), arrays((5, 3))),
    "reduce_precision": (lambda x: lax.reduce_precision(x, 11, 52), arrays((5, 3))),
    "reduce_sum": (lambda x: x.sum((0, 2)), arrays((5, 3, 2))),
    "reduce_window_sum": (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3), (1, 2), [(0, 0), (1, 0)]),
        arrays((3, 7)),
    ),
    "reshape": (lambda x: x.reshape(5, 2, 3), arrays((10, 3))),
    "select_n": (lambda x: jnp.where(x > 0, x, 3 * x), arrays((5, 3))),
    "squeeze": (lambda x: lax.squeeze(x, (1,)), arrays((5, 1, 3))),
    "sub": (lambda x: jnp.sin(x) - x, arrays((5, 3))),
    "triangular_solve": (
        lambda B: lax.linalg.triangular_solve(
            jnp.arange(1.0, 19.0).reshape(2, 3, 3), B, left_side=False, transpose_a=True
        ),
        arrays((2, 5, 3)),
    ),
    "tile": (lambda x: lax.tile(x, (2, 3)), arrays((5, 3))),
    "transpose": (lambda x: lax.transpose(x, (2, 0, 1)), arrays((5, 3, 2))),
}


def linear_primitives(function, *args):
    _, pushforward = jax.linearize(function, *args)
    return set(primitives(jax.make_jaxpr(pushforward)(*args).jaxpr))


def assert_exact(function, *args, rounding="float64"):
    """Eagerly, where residuals are values, and in one program of every order."""
    J = layouts.jacobian(function, structured=True)(*args)

    @jax.jit
    def everything(*args):
        dense = [
            layouts.jacobian(function, order=order, structured=True)(*args).dense()
            for order in ("auto", "forward", "reverse")
        ]
        return jax.jacrev(function)(*args), [J.dense(), *dense]

    wanted, found = everything(*args)
    for dense in found:
        assert_same(dense, wanted, rounding)


def test_every_rule_is_tested():
    assert set(BY_PRIMITIVE) == set(RULES)


@pytest.mark.parametrize("name", sorted(BY_PRIMITIVE))
def test_rule_is_exact(name):
    function, make = BY_PRIMITIVE[name]
    args = make(np.random.default_rng(3))
    graph = graph_of(function, *args)
    assert not graph.opaque
    rounding = "float32" if name == "convert_element_type" else "float64"
    assert_exact(function, *args, rounding=rounding)


# JAX's versions trace these to other names.
ALIASES = {"copy_p", "add", "squeeze", "copy", "split", "stack", "optimization_barrier", "slice"}
ALIASES |= {"unstack"}


@pytest.mark.parametrize("name", sorted(set(BY_PRIMITIVE) - ALIASES))
def test_the_function_for_a_primitive_holds_it(name):
    function, make = BY_PRIMITIVE[name]
    assert name in linear_primitives(function, *make(np.random.default_rng(3)))


@pytest.mark.parametrize(
    "case", [c for c in CASES if not c.holomorphic], ids=lambda case: case.name
)
def test_what_has_a_rule_is_never_opaque(case):
    graph = graph_of_case(case)
    if case.known:
        assert graph.opaque == ()


@pytest.mark.parametrize(
    ("function", "shapes", "names"),
    [
        (lambda x: jnp.cumsum(x, 0), [(5,)], ["cumsum"]),
        (lambda x: jnp.cumsum(x, 0), [(5, 3)], []),
        (lambda x: jnp.sin(x).reshape(4, 3), [(6, 2)], ["reshape"]),
        (
            lambda x: jnp.cumsum(jnp.fft.irfft(jnp.fft.rfft(x), n=5)),
            [(5,)],
            ["fft", "fft", "cumsum"],
        ),
        (
            lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), "VALID"),
            [(5,)],
            ["reduce_window_sum"],
        ),
        (lambda x: lax.cond(x[0] > 0, jnp.multiply, jnp.hypot, x, x), [(5,)], ["cond"]),
    ],
)
def test_what_has_no_rule_is_named_in_the_plan(function, shapes, names):
    graph = graph_of(function, *arrays(*shapes)(np.random.default_rng(0)))
    plan = make_plan(graph)
    assert list(plan.opaque)[: len(names)] == names
    assert bool(names) == ("opaque" in str(plan)) and all(name in str(plan) for name in names)


@jax.custom_vjp
def clipped(x, y):
    return x * y


clipped.defvjp(
    lambda x, y: (x * y, (x, y)),
    lambda saved, c: (jnp.clip(c, -0.5, 0.5) * saved[1], jnp.clip(c, -1.0, 1.0) * saved[0]),
)


def test_an_array_given_twice_goes_through_what_has_no_rule_whole():
    def function(x):
        return 3 * jnp.cumsum(clipped(x, x))

    def energy(x):
        z = x * (1 + 1j)
        branches = lambda a, b: (a * b[::-1]).real, lambda a, b: a.imag * b.real
        return jnp.sum(jnp.sin(lax.cond(x[0] > 0, *branches, z, z)) * jnp.arange(1.0, 4.0))

    x = jnp.array([0.3, -1.2, 0.8])
    assert_same(layouts.jacobian(function)(x), jax.jacrev(function)(x))
    for at in (x, -x):
        assert_same(layouts.hessian(energy)(at), jax.hessian(energy)(at))


A7 = jnp.eye(7) + jnp.arange(49.0).reshape(7, 7) / 50
K, X = jnp.arange(12.0).reshape(2, 3, 2), jnp.arange(84.0).reshape(4, 3, 7)

# What is stored: terms, deltas of the first term, entries kept. Formulas are by hand.
STRUCTURE = {
    "W X by W": (lambda W, X: W @ X, 0, [(5, 3), (3, 7)], 1, 1, 3 * 7),  # δ X
    "W X by X": (lambda W, X: W @ X, 1, [(5, 3), (3, 7)], 1, 1, 5 * 3),  # W δ
    "X W by W": (lambda W, X: X @ W, 0, [(5, 3), (7, 5)], 1, 1, 7 * 5),
    "tanh": (jnp.tanh, 0, [(5, 3)], 1, 2, 15),
    "identity": (lambda x: x, 0, [(5, 3)], 1, 2, 0),
    "transpose": (jnp.transpose, 0, [(5, 3)], 1, 2, 0),
    "flatten": (jnp.ravel, 0, [(5, 3)], 1, 2, 0),
    "split": (lambda x: x.reshape(5, 3, 2), 0, [(5, 6)], 1, 3, 0),
    "sum": (jnp.sum, 0, [(5, 3)], 1, 0, 0),
    "mean": (jnp.mean, 0, [(5, 3)], 1, 0, 0),
    "broadcast": (lambda x: jnp.broadcast_to(x, (7, 5)), 0, [(5,)], 1, 1, 0),
    "5 x": (lambda x: 5 * x, 0, [(5,)], 1, 1, 1),
    "softmax": (jax.nn.softmax, 0, [(5,)], 2, 1, 3 * 5),  # δ s - s s
    "M M": (lambda M: M @ M, 0, [(5, 5)], 2, 1, 25),  # δ Mᵀ + M δ, one array
    "outer(x, x)": (lambda x: jnp.outer(x, x), 0, [(5,)], 2, 1, 2 * 5),
    "batched": (lambda A, B: A @ B, 0, [(2, 5, 3), (2, 3, 7)], 1, 2, 2 * 3 * 7),
    "W2 tanh(W1 X) by W1": (
        lambda W1, W2, X: W2 @ jnp.tanh(W1 @ X),
        0,
        [(5, 3), (2, 5), (3, 7)],
        1,
        0,
        2 * 5 + 3 * 7 + 5 * 7,
    ),  # W2[i,k] X[l,n] A[k,n], a product
    "W2 tanh(W1 X) by X": (
        lambda W1, W2, X: W2 @ jnp.tanh(W1 @ X),
        2,
        [(5, 3), (2, 5), (3, 7)],
        1,
        1,
        2 * 3 * 7,
    ),
    "bias": (lambda W, b: W + b[None], 1, [(5, 3), (3,)], 1, 1, 0),
    "slice": (lambda x: x[1:4], 0, [(5,)], 1, 0, 0),
    "second difference": (lambda x: x[2:] - 2 * x[1:-1] + x[:-2], 0, [(7,)], 3, 0, 1),
    "flip": (lambda x: x[::-1], 0, [(5, 3)], 1, 1, 0),
    "cumulative sum": (lambda x: jnp.cumsum(x, 0), 0, [(5, 3)], 1, 1, 5 * 5),
    "solve": (lambda b: jnp.linalg.solve(A7, b), 0, [(7, 3)], 1, 1, 7 * 7),
    "pool": (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 2), (1, 2), "VALID"),
        0,
        [(5, 6)],
        1,
        1,
        3 * 6,
    ),
    "images": (lambda x: lax.conv(x, K, (1,), "VALID"), 0, [(5, 3, 7)], 2, 1, 2 * (2 * 3)),
    "kernel": (lambda k: lax.conv(X, k, (1,), "VALID"), 0, [(5, 3, 2)], 1, 1, (4 * 6) * (3 * 2)),
    "scan": (lambda x: lax.scan(lambda s, r: (s + r, s * 2.0), 0.0, x)[0], 0, [(5,)], 5, 0, 0),
    "pad": (lambda x: jnp.pad(x, 2), 0, [(5,)], 1, 0, 0),
    "constant": (lambda x: jnp.ones(3), 0, [(5,)], 0, None, 0),
    "x - x": (lambda x: x - x, 0, [(5,)], 0, None, 0),
    "W x - W x": (lambda x, W: W @ x - W @ x, 0, [(3,), (5, 3)], 0, None, 0),
}


@pytest.mark.parametrize("name", sorted(STRUCTURE))
def test_what_is_stored(name):
    function, argnums, shapes, terms, deltas, entries = STRUCTURE[name]
    args = arrays(*shapes)(np.random.default_rng(1))
    transforms = {
        order: layouts.jacobian(function, argnums, order=order, structured=True)
        for order in ("auto", "forward", "reverse")
    }
    traced = [jax.eval_shape(transform, *args) for transform in transforms.values()]
    for J in (transforms["auto"](*args), *traced):
        assert len(J.terms) == terms, str(J)
        assert J.nbytes == 8 * entries, str(J)
        if terms:
            assert len(J.terms[0].deltas) == deltas, str(J)


def test_repeated_operands_are_two_edges_that_add():
    for function in (lambda x: x * x, lambda x: x + x, lambda x: x @ x, lambda x: x - 3 * x):
        x = positive((3, 3))(np.random.default_rng(2))[0]
        J = layouts.jacobian(function, structured=True)(x)
        assert_same(*jax.jit(lambda J, x, f=function: (J.dense(), jax.jacrev(f)(x)))(J, x))


def test_what_is_divided_by_zero_is_infinite_and_warns_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        J = layouts.jacobian(lambda x: x / np.float64(0))(jnp.ones(3))
    np.testing.assert_array_equal(jnp.diagonal(J), np.inf)


def test_size_one_axes_broadcast_by_the_primitive_itself():
    """Lax lets elementwise primitives meet only equal shapes; size one arrives by jnp."""
    column, matrix = arrays((6, 1), (6, 6))(np.random.default_rng(4))
    both = layouts.jacobian(lambda c, A: A * c, (0, 1), structured=True)(column, matrix)
    wanted = jax.jit(jax.jacrev(lambda c, A: A * c, (0, 1)))(column, matrix)
    assert_same(jax.jit(densified)(both), wanted)


DROPPED = {
    "lookups past the end": lambda x: jnp.take(
        x, np.array([0, 7, 2, -9]), mode="fill", fill_value=0
    ),
    "of ones": lambda x: jnp.take(
        jnp.broadcast_to(x.sum(), (3,)), np.array([0, 7]), mode="fill", fill_value=0
    ),
    "of one entry": lambda x: jnp.take(
        x.sum(keepdims=True), np.array([0, 7]), mode="fill", fill_value=0
    ),
    "clipped": lambda x: jnp.take(x, np.array([0, 7, -9]), mode="clip"),
    "updates past the end": lambda x: (
        jnp.zeros(3).at[np.array([0, 7, 2, 0, -9])].add(x, mode="drop")
    ),
    "updates of ones": lambda x: (
        jnp.zeros(3).at[np.array([0, 7, 2])].add(jnp.broadcast_to(x.sum(), (3,)), mode="drop").sum()
    ),
    "many on one place": lambda x: (
        jnp.zeros(3).at[np.zeros(200, int)].add(jnp.broadcast_to(x.sum(), (200,)))
    ),
    "one place many times": lambda x: x[np.zeros(200, int)].sum(),
    "cut on both sides": lambda x: lax.pad(x, 0.0, [(-2, -1, 1)]),
    "cut to nothing": lambda x: lax.pad(x, 0.0, [(-9, 12, 0)]),
    "window moved inside": lambda x: lax.dynamic_slice(x, (jnp.argmax(x) + 7,), (3,)),
}


@pytest.mark.parametrize("name", sorted(DROPPED))
def test_entries_that_a_selection_drops_or_repeats(name):
    (x,) = arrays((5,))(np.random.default_rng(5))
    assert_exact(DROPPED[name], x)
