"""Orders of elimination: all give one result, and what a plan says is what is done."""

import itertools
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layouts import LayoutError, Plan, chains, cost, hessian, jacobian
from layouts.algebra import compose, write
from layouts.counting import count
from layouts.evaluate import evaluate
from layouts.linearize import linearize
from layouts.plan import Elimination, make_plan, orders
from layouts.plan.plan import roots
from tests.cases import CASES, clipped_backward, halving
from tests.oracle import graph_of, graph_of_case
from tests.strategies import programs

quick = settings(derandomize=True, deadline=None)
REAL = [case for case in CASES if not case.holomorphic]


def struct(*shape):
    return jax.ShapeDtypeStruct(shape, float)


def test_a_chain_of_equal_layers_composes_few_pairs(monkeypatch):
    """The search over all brackets knows a product again by its form."""
    made = []
    monkeypatch.setattr(orders, "compose", lambda *pair: made.append(pair) or compose(*pair))
    graph = graph_of(lambda x, *W: reduce(lambda x, A: A @ jnp.sin(x), W, x), *layers(20))
    assert orders.chain(orders.start(graph)) is not None
    assert len(made) < 20  # of the 1,330 that there are


def layers(count):
    return struct(3), *(struct(3, 3) for _ in range(count))


def chain_graph(dims):
    """The graph of `A_p ... A_1 x` by x."""
    matrices = [struct(m, n) for n, m in itertools.pairwise(dims)]

    def product(x, *matrices):
        for A in matrices:
            x = A @ x
        return x

    return graph_of(product, struct(dims[0]), *matrices)


def test_an_unknown_order_names_the_choices():
    graph = chain_graph((5, 3, 7))
    with pytest.raises(LayoutError, match=r"^order: expected 'auto', 'forward', 'reverse'") as info:
        make_plan(graph, "sideways")
    assert info.value.received == "'sideways'"


@pytest.mark.parametrize("order", [3, None, ["forward"], ("forward",), b"auto"])
def test_what_is_no_order_at_all_is_told_the_same(order):
    with pytest.raises(LayoutError, match=r"^order: expected"):
        jacobian(jnp.sin, order=order)(jnp.ones(3))


@settings(quick, max_examples=40)
@given(st.lists(st.integers(2, 13), min_size=3, max_size=7))
def test_chains_cost_what_the_matrix_chain_costs(dims):
    graph = chain_graph(dims)
    for order in ("forward", "reverse"):
        wanted = chains.multiplications(dims, order)
        assert make_plan(graph, order).cost.multiplications == wanted
    assert make_plan(graph).cost.multiplications == chains.multiplications(dims, "optimal")


@settings(quick, max_examples=10)
@given(st.lists(st.integers(2, 13), min_size=4, max_size=6))
def test_activations_on_a_chain_cost_a_product_for_each_entry_at_most(dims):
    """Diagonals never change the order of magnitude: each scales one dense Jacobian."""
    matrices = [struct(m, n) for n, m in itertools.pairwise(dims)]

    def network(x, *matrices):
        for A in matrices:
            x = jnp.tanh(A @ x)
        return x

    report = cost(network)(struct(dims[0]), *matrices)
    best = chains.multiplications(dims, "optimal")
    extra = sum(m * max(dims) for m in dims)
    assert best <= report.planned.multiplications <= best + extra + sum(dims)


@pytest.mark.parametrize("case", REAL, ids=lambda case: case.name)
def test_the_plan_is_no_dearer_than_either_end(case):
    graph = graph_of_case(case)
    planned = make_plan(graph)
    for order in set(case.orders) - {"auto"}:
        assert planned.cost.multiplications <= make_plan(graph, order).cost.multiplications


@pytest.mark.parametrize(
    "case", [c for c in REAL if len(c.orders) == 3 and c.known], ids=lambda case: case.name
)
def test_every_vertex_is_eliminated_once(case):
    graph = graph_of_case(case)
    for order in ("auto", "forward", "reverse"):
        assert sorted(make_plan(graph, order).vertices) == graph.intermediates


@settings(quick, max_examples=15)
@given(programs(opaque=False), st.randoms(use_true_random=False))
def test_any_order_of_elimination_gives_one_result(program, random):
    args = program.args()
    linearized = linearize(program, args)[0]
    graph = linearized.graph
    results = []
    for _ in range(3):
        order = list(graph.intermediates)
        random.shuffle(order)
        found = Elimination(graph).run(order).result()
        results.append(dense_results(found, graph, linearized.residuals))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10 * max(1, np.max(np.abs(a), initial=0)))


def dense_results(found, graph, residuals):
    """All Jacobians of an elimination as arrays, computed in one compiled program."""
    nodes = [
        write(terms, graph.shapes[target] + graph.shapes[source], 8)
        for (source, target), terms in found.items()
    ]
    arrays = jax.jit(lambda *residuals: evaluate(nodes, residuals))(*residuals)
    return [np.asarray(array, float) for array in arrays]


@settings(quick, max_examples=30)
@given(programs(opaque=False))
def test_what_is_predicted_is_what_is_executed(program):
    """A plan's multiplications are those of the program that evaluates it, one for one."""
    linearized = linearize(program, program.args())[0]
    for order in ("auto", "forward", "reverse"):
        plan = make_plan(linearized.graph, order)
        nodes = roots(plan.apply(linearized.graph))
        done = count(
            lambda *residuals, nodes=nodes: evaluate(nodes, residuals), *linearized.residuals
        )
        assert done.multiplications == plan.cost.multiplications, order


def test_elimination_leaves_the_graph_alone():
    graph = chain_graph((5, 3, 7, 2))
    before = dict(graph.edges)
    make_plan(graph)
    make_plan(graph, "reverse")
    assert graph.edges == before


def test_plans_are_values():
    graph = chain_graph((5, 3, 7, 2))
    assert make_plan(graph) == make_plan(chain_graph((5, 3, 7, 2)))
    assert make_plan(graph) != make_plan(chain_graph((5, 3, 7, 3)))
    assert isinstance(make_plan(graph), Plan)


def test_a_bottleneck_is_met_from_both_ends():
    dims = (50, 40, 2, 40, 50)
    plan = make_plan(chain_graph(dims))
    ends = [chains.multiplications(dims, order) for order in ("forward", "reverse")]
    assert plan.cost.multiplications == 50 * 40 * 2 * 2 + 50 * 2 * 50
    assert plan.cost.multiplications * 8 < min(ends)


def test_the_plan_reads_as_steps():
    graph = chain_graph((5, 3, 7, 2))
    text = str(make_plan(graph, "forward"))
    head, *lines = text.splitlines()
    assert head == "forward: 175 multiplications, 130 additions, peak 680 bytes"
    assert [line.split()[0] for line in lines] == ["eliminate"] * len(graph.intermediates)
    assert any("dot_general 3" in line for line in lines)


def test_a_plan_for_another_function_is_refused():
    W, x = jnp.ones((5, 3)), jnp.ones(3)
    plan = cost(lambda x: jnp.tanh(W @ x))(x).plan
    with pytest.raises(LayoutError, match=r"^plan: expected .* got .*layouts.cost\(fun\)"):
        jacobian(lambda x: W @ x, order=plan)(x)
    with pytest.raises(LayoutError, match=r"^plan: "):
        jacobian(lambda x: jnp.tanh(W @ x), order=plan)(jnp.ones((3, 2)))


def test_a_plan_serves_other_values_of_the_same_shapes():
    def function(x, W):
        return jnp.tanh(W @ jnp.sin(x))

    plan = cost(function)(struct(3), struct(5, 3)).plan
    rng = np.random.default_rng(5)
    x, W = jnp.asarray(rng.standard_normal(3)), jnp.asarray(rng.standard_normal((5, 3)))
    np.testing.assert_allclose(
        jacobian(function, order=plan)(x, W), jax.jacrev(function)(x, W), atol=1e-12
    )


def test_a_plan_for_a_hessian_is_made_for_the_gradient():
    W, x = normal(5, 3), normal(3)

    def loss(x):
        return (jnp.tanh(W @ x) ** 3).sum()

    plan = cost(jax.grad(loss))(struct(3)).plan
    np.testing.assert_allclose(hessian(loss, order=plan)(x), jax.hessian(loss)(x), atol=1e-12)
    with pytest.raises(LayoutError, match=r"^plan: .*Hessian layouts.cost\(jax.grad\(fun\)\)"):
        hessian(loss, order=cost(loss)(struct(3)).plan)(x)


def normal(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).standard_normal(shape))


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
@pytest.mark.parametrize(
    ("function", "args", "mode"),
    [
        (clipped_backward, (normal(5), normal(3)), jax.jacrev),
        (halving, (normal(5),), jax.jacfwd),
        (lambda x: jnp.cumsum(clipped_backward(jnp.cumsum(x), x)), (normal(5),), jax.jacrev),
        (lambda x: jnp.cumsum(halving(jnp.cumsum(x) ** 2)), (normal(5),), jax.jacfwd),
    ],
)
def test_one_way_maps_are_right_in_every_order(function, args, mode, order):
    """Where JAX pushes only, or pulls only, the other way goes through the map's matrix."""
    got = jacobian(function, order=order)(*args)
    np.testing.assert_allclose(got, mode(function)(*args), atol=1e-12)


def test_planning_time_grows_gently():
    """A hundred layers with skips are planned at once, not in minutes."""
    matrices = [struct(3, 3)] * 60

    def network(x, *matrices):
        early = x
        for A in matrices:
            x, early = jnp.tanh(A @ x) + early, x
        return x

    plan = make_plan(graph_of(network, struct(3), *matrices))
    assert len(plan.vertices) > 120


def test_a_search_ends_with_what_it_may_plan(monkeypatch):
    """Then the better of forward and reverse is left, and what was found so far."""

    def narrow(x, y, A, B, C, D):
        return D @ jnp.sin(C @ jnp.sin(B @ jnp.sin(A @ (x * y))))

    shapes = (31,), (31,), (37, 31), (2, 37), (37, 2), (29, 37)
    graph = graph_of(narrow, *itertools.starmap(struct, shapes), argnums=(0, 1))
    found = make_plan(graph)
    monkeypatch.setattr(orders, "MOST_SEARCHED", -1000)
    left = make_plan(graph)
    assert found.name.startswith("greedy")
    assert left.name in ("forward", "reverse")
    assert found.cost.multiplications < left.cost.multiplications


def test_the_plan_reads_as_a_tree():
    """What stands beside a product is a sum with it."""
    plan = cost(lambda x, A, B: A @ (B @ x) + x)(struct(5), struct(5, 2), struct(2, 5)).plan
    assert plan.tree().splitlines()[0] == "∂v4:output/∂v0:input = sum of"
    diamond = cost(lambda x, A: jnp.sin(A @ x) * (A @ x))(struct(5), struct(5, 5)).plan
    text = diamond.tree()
    assert text.count("=") >= 1 and "├─" in text and "└─" in text
    long = cost(lambda x: jax.lax.fori_loop(0, 9, lambda _, y: jnp.sin(y) * y + x, x))(struct(3))
    assert long.plan.tree()


def test_a_tree_holds_every_step_once():
    graph = chain_graph((5, 3, 7, 2))
    text = make_plan(graph, "reverse").tree()
    assert text.count("product of") == len(graph.intermediates)
