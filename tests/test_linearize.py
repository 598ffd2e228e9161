"""From functions to graphs: calls inlined, residuals shared, dead parts gone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import layouts
from layouts import jacobian
from layouts.algebra import identity
from layouts.graph import Graph
from layouts.linearize import linearize
from layouts.nodes import Leaf
from tests.cases import clipped_backward, doubled_slope, halving
from tests.oracle import graph_of


def normal(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).standard_normal(shape))


def read(function, *primals, **options):
    return linearize(lambda *a: [function(*a)], primals, **options)[0]


def leaves(terms):
    """The leaves below some terms."""
    nodes = [factor.node for term in terms for factor in term.factors]
    found = []
    while nodes:
        node = nodes.pop()
        found += [node] if isinstance(node, Leaf) else []
        nodes.extend(node.operands)
    return found


CALLS = {
    "jit": jax.jit(lambda x: jnp.sin(x) * 2),
    "jit in jit": jax.jit(lambda x: jax.jit(jnp.sin)(x) * x),
    "remat": jax.checkpoint(lambda x: jnp.sin(jnp.tanh(x))),
    "remat of jit": jax.checkpoint(jax.jit(lambda x: jnp.sin(jnp.tanh(x)))),
    "custom JVP": doubled_slope,
    "custom JVP in jit": jax.jit(doubled_slope),
    "relu": jax.nn.relu,
    "named scope": jax.named_call(jnp.sin, name="wave"),
    "by platform": jax.jit(
        lambda x: lax.platform_dependent(x, mosaic=lambda x: 2 * x, default=lambda x: x + x)
    ),
    # In a jitted function of JAX this is a choice by platform, too.
    "a diagonal's gradient": jax.grad(lambda x: jnp.log(jnp.diag(x[None] * x[:, None])).sum()),
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_calls_are_read_as_if_written_out(name):
    graph = graph_of(CALLS[name], normal(5))
    assert graph.operators == []
    assert graph.edges


def test_a_function_may_be_another_on_each_platform():
    def chosen(x):
        return lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos)

    x = normal(5)
    for second, by_jax in [(layouts.jacobian, jax.jacrev), (layouts.hessian, jax.hessian)]:
        np.testing.assert_allclose(second(chosen)(x), by_jax(chosen)(x), atol=1e-12)
        np.testing.assert_allclose(jax.jit(second(chosen))(x), by_jax(chosen)(x), atol=1e-12)


def test_the_value_is_the_functions_own():
    x = normal(5)
    linearized = read(jnp.sin, x)
    np.testing.assert_array_equal(linearized.value[0], jnp.sin(x))


def test_the_auxiliary_output_comes_along():
    _, aux = linearize(lambda x: ([x * 2], {"n": x.sum()}), [normal(5)], has_aux=True)
    np.testing.assert_allclose(aux["n"], normal(5).sum())


def test_an_array_used_twice_is_one_residual():
    W, x = normal(3, 3), normal(3)
    linearized = read(lambda x: W @ jnp.tanh(W @ x), x)
    assert sum(residual is W for residual in linearized.residuals) == 1


def test_residuals_are_named_after_the_users_arrays():
    W, x = normal(5, 3), normal(3)
    linearized = linearize(lambda x: [W @ x], [x], ["x"], [(W, "W")])[0]
    (terms,) = (e for e in linearized.graph.edges.values() if leaves(e))
    assert [leaf.name for leaf in leaves(terms)] == ["W"]
    both = linearize(lambda W, x: [W @ x], [W, x], ["W", "x"])[0]
    assert {leaf.name for e in both.graph.edges.values() for leaf in leaves(e)} == {"W", "x"}


def test_what_no_input_reaches_and_what_reaches_no_output_is_gone():
    W = normal(5, 3)

    def function(x):
        unused = jnp.cumsum(W @ x)
        return jnp.sin(x) + 0 * lax.stop_gradient(unused.sum())

    graph = graph_of(function, normal(3))
    assert graph.operators == []
    graph = graph_of(lambda x: (jnp.cumsum(x), x)[1], normal(3))
    assert graph.operators == [] and len(graph.edges) == 1


def test_inputs_and_outputs_are_vertices_of_their_own():
    """An input that is an output, and an output used on, keep apart."""

    def function(x):
        y = jnp.sin(x)
        return [x, y, y * 2, x]

    linearized = linearize(function, [normal(5)])[0]
    graph = linearized.graph
    assert len({*graph.inputs, *graph.outputs}) == 5
    assert [graph.shapes[v] for v in graph.outputs] == [(5,)] * 4


def test_parallel_edges_are_added():
    graph = Graph([(5,), (5,)], [8, 8], ["a", "b"], (0,), (1,))
    graph.add_edge(0, 1, identity((5,)))
    graph.add_edge(0, 1, identity((5,)))
    (term,) = graph.edges[0, 1]
    assert term.coefficient == 2
    x = normal(5)
    linear = jacobian(lambda x: x * x + x + x * 3, structured=True)(x)
    assert len(linear.terms) == 1
    np.testing.assert_allclose(linear.dense(), np.diag(2 * x + 4))


@pytest.mark.parametrize(
    ("function", "args", "directions"),
    [
        (clipped_backward, (normal(5), normal(3)), ("pull",)),
        (jax.jit(clipped_backward), (normal(5), normal(3)), ("pull",)),
        (halving, (normal(5),), ("push",)),
        (lambda x: lax.cond(True, halving, jnp.sin, x), (normal(5),), ("push",)),
        (jnp.cumsum, (normal(5),), ("push", "pull")),
    ],
)
def test_the_ways_through_an_opaque_map(function, args, directions):
    (operator,) = graph_of(function, *args).operators
    assert operator.directions == directions


def test_an_opaque_map_applies_itself():
    """What it does to one of the axes that it leaves alone is what it does to all."""
    graph = read(lambda x: jnp.cumsum(x, axis=0), normal(5, 3)).graph
    (operator,) = graph.operators
    tangent = normal(5, 1)
    np.testing.assert_allclose(operator.function(tangent)[0], np.cumsum(tangent, 0))
    assert operator.name == "cumsum"
    assert operator.in_avals[0].shape == operator.out_avals[0].shape == (5, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.concatenate([x, x[:0]]),
        lambda x: jnp.concatenate([jnp.zeros(0), x, jnp.sin(x)[:0]]),
        lambda x: jnp.pad(x[:0], (0, 3)) + x,
        jnp.cumprod,
        lambda x: lax.associative_scan(jnp.multiply, x),
        lambda x: jnp.hstack([x[1:], x[:1], x[:0]]),
    ],
)
def test_a_piece_of_no_entries_hides_no_other(function):
    """An empty operand beside others must not take the whole equation with it."""
    x = normal(3)
    np.testing.assert_allclose(jacobian(function)(x), jax.jacrev(function)(x), atol=1e-12)


@jax.custom_vjp
def clipped(x):
    """Its gradient is clipped: a rule for cotangents that is not linear."""
    return 2 * x


clipped.defvjp(lambda x: (2 * x, x), lambda x, c: (jnp.clip(c, -0.3, 0.3) * x,))


@jax.custom_vjp
def attention(q, k):
    return jnp.tanh(q @ k.T), (q * q).sum(1)


attention.defvjp(
    lambda q, k: (attention(q, k), (q, k)),
    lambda saved, c: (
        jnp.clip(c[0], -0.3, 0.3) @ saved[1] + 3 * c[1][:, None] * saved[0],
        jnp.clip(c[0].T, -0.2, 0.2) @ saved[0],
    ),
)


def _of_two_results(x):
    scores, norms = attention(2 * x, x[::-1])
    return jnp.tanh(scores).sum(1) + norms * scores[:, 0]


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (clipped, normal(3)),
        (lambda x: 3 * clipped(1.5 * clipped(x)), normal()),
        (lambda x: clipped(x) * x[::-1], normal(5)),
        (lambda x: normal(3, 5) @ jnp.sin(clipped(normal(5, 4) @ clipped(x))), normal(4)),
        (lambda x: lax.scan(lambda c, a: (clipped(c) * a, c), x[0], x), normal(3)),
        (lambda x: lax.scan(lambda c, a: (clipped(c) * a, c), x[0], x), normal(17)),
        (_of_two_results, normal(3, 2)),
    ],
    ids=["alone", "chain", "reused", "layers", "short scan", "long scan", "two results"],
)
def test_a_rule_for_cotangents_sees_what_jacrev_hands_it(function, x):
    """Such a rule need not be linear, so cotangents go through it whole and in reverse."""
    assert layouts.cost(function)(x).plan.name == "reverse"
    expected = jax.jacrev(function)(x)
    for found in (
        jacobian(function)(x),
        jax.tree.map(
            lambda J: J.dense(),
            jacobian(function, structured=True)(x),
            is_leaf=lambda leaf: isinstance(leaf, layouts.Jacobian),
        ),
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, expected)


def test_a_scan_of_batches_and_what_is_left_over():
    """A place on an axis of which one entry is left meets tables of the places of the others."""
    x = normal(5, 2)
    for order in ("auto", "forward", "reverse"):
        found = jacobian(lambda x: lax.map(jnp.tanh, x, batch_size=2), order=order)(x)
        np.testing.assert_allclose(found, jax.jacrev(jnp.tanh)(x), atol=1e-12)


def steps(x):
    """An explicit time step, again and again: each shifts and adds, and no axis stays apart."""
    for _ in range(11):
        x = x.at[1:-1].add(0.1 * x[1:-1] * (x[2:] - 2 * x[1:-1] + x[:-2]))
    return x


def test_a_program_of_many_slices_is_applied_as_a_whole():
    """Its terms would be a hundred that store little; the plan says what became of it."""
    x = jnp.linspace(0.0, 1.0, 12) ** 2
    assert layouts.cost(steps)(x).plan.opaque == ("program",)
    for order in ("auto", "forward", "reverse"):
        found = layouts.jacobian(steps, order=order)(x)
        np.testing.assert_allclose(found, jax.jacrev(steps)(x), atol=1e-12)
    found = layouts.hessian(lambda x: steps(x).sum())(x)
    np.testing.assert_allclose(found, jax.hessian(lambda x: steps(x).sum())(x), atol=1e-12)


def test_samples_stay_apart_however_many_slices_there_are():
    X = jnp.sin(jnp.arange(36.0)).reshape(3, 12) ** 2
    cost = layouts.cost(jax.vmap(steps))(X)
    assert cost.plan.applied == ("program",)
    J = layouts.jacobian(jax.vmap(steps), structured=True)(X)
    assert J.nbytes * 3 == J.dense().nbytes
    np.testing.assert_allclose(J.dense(), jax.jacrev(jax.vmap(steps))(X), atol=1e-12)


def test_entries_picked_one_by_one_keep_the_plan_of_a_batch():
    """A joint's angles are read and its coordinates stacked: no slices that overlap."""

    def turned(angles):
        x = jnp.array([1.0, 0.5])
        for n in range(16):
            cos, sin = jnp.cos(angles[n]), jnp.sin(angles[n])
            x = jnp.stack([cos * x[0] - sin * x[1], sin * x[0] + cos * x[1]])
        return x

    angles = jnp.linspace(0.0, 1.0, 48).reshape(3, 16)
    plan = layouts.cost(jax.vmap(turned))(angles).plan
    assert not plan.opaque + plan.applied
    found = layouts.jacobian(jax.vmap(turned))(angles)
    np.testing.assert_allclose(found, jax.jacrev(jax.vmap(turned))(angles), atol=1e-12)


def network_loss(reduced):
    X, targets = normal(64, 24).astype(jnp.float32), normal(64, 10).astype(jnp.float32)
    W1, W2 = normal(24, 32).astype(jnp.float32) / 5, normal(32, 10).astype(jnp.float32) / 5
    return lambda b: reduced((jnp.tanh(X @ W1 + b[None]) @ W2 - targets) ** 2)


@pytest.mark.parametrize("reduced", [jnp.mean, jnp.sum, jax.jit(jnp.mean)])
def test_a_cotangent_that_repeats_a_number_is_a_number(reduced):
    """XLA makes nothing sensible of such an array in a sum over a product of matrices."""
    loss, b = network_loss(reduced), normal(32).astype(jnp.float32)
    expected = jax.hessian(loss)(b)
    for found in (layouts.hessian(loss)(b), jax.jit(layouts.hessian(loss))(b)):
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    stored = jax.jit(layouts.hessian(loss, structured=True))(b)
    np.testing.assert_allclose(stored.dense(), expected, atol=1e-6 * np.abs(expected).max())

    def shapes(b):
        found = read(jax.grad(loss), b)
        used = {leaf.index for terms in found.graph.edges.values() for leaf in leaves(terms)}
        return [found.residuals[index].shape for index in used]

    told = []
    jax.eval_shape(lambda b: told.extend(shapes(b)), b)
    assert (64, 10) not in told and () in told


def test_a_function_may_look_at_its_numbers_where_jax_lets_it():
    """Under `jvp` tracers have numbers, under `jit` none."""

    def kinked(x):
        return jnp.sin(x) if x[0] > 0 else x**2

    x = jnp.array([1.0, 2.0])
    second = jax.jacfwd(jacobian(kinked))(x)
    np.testing.assert_allclose(second, jax.jacfwd(jax.jacrev(kinked))(x), atol=1e-12)
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(jacobian(kinked))(x)


def test_traced_functions_may_return_and_close_over_anything():
    x, told = normal(5), []

    def outer(scale):
        def function(x):
            told.append("traced")
            return scale * jnp.tanh(x).mean() * x, {"name": "words", "scale": scale, "sum": x.sum()}

        J, aux = jacobian(function, has_aux=True)(x * scale)
        assert aux["name"] == "words" and aux["scale"] is scale
        return J, aux["sum"]

    J, total = jax.jit(outer)(2.0)
    expected = jax.jacrev(lambda x: 2 * jnp.tanh(x).mean() * x)(2 * x)
    np.testing.assert_allclose(J, expected, atol=1e-12)
    np.testing.assert_allclose(total, 2 * x.sum(), atol=1e-12)
    assert told == ["traced"]
