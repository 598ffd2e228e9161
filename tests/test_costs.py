"""Cost reports: exact against XLA on dots, alike on shapes and arrays, without computing."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from layouts import CostReport, chains, cost, jacobian
from layouts.counting import count
from tests.cases import CASES, clipped_backward, halving
from tests.oracle import BY_NAME

DOTS = [case for case in CASES if case.dots]


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype)


def structured_flops(function, argnums, order, args):
    """XLA's count for the factors of a structured Jacobian."""

    def factors(*args):
        return jax.tree.leaves(jacobian(function, argnums, order=order, structured=True)(*args))

    compiled = jax.jit(factors).lower(*args).compile()
    return (compiled.cost_analysis() or {}).get("flops", 0)


@pytest.mark.parametrize("case", DOTS, ids=lambda case: case.name)
def test_flops_are_twice_the_multiplications(case):
    report = cost(case.function, case.argnums)(*case.args())
    for order, predicted in (
        ("forward", report.forward),
        ("reverse", report.reverse),
        ("auto", report.planned),
    ):
        flops = structured_flops(case.function, case.argnums, order, case.args())
        assert max(flops, 0) == 2 * predicted.multiplications, order


@settings(derandomize=True, deadline=None, max_examples=8)
@given(st.lists(st.integers(2, 13), min_size=4, max_size=6))
def test_chains_against_the_recurrence_and_xla(dims):
    matrices = [struct(m, n) for n, m in itertools.pairwise(dims)]

    def product(x, *matrices):
        for A in matrices:
            x = A @ x
        return x

    args = (struct(dims[0]), *matrices)
    report = cost(product)(*args)
    for name, order in (("forward", "forward"), ("reverse", "reverse"), ("planned", "auto")):
        wanted = chains.multiplications(dims, "optimal" if order == "auto" else order)
        assert getattr(report, name).multiplications == wanted
        assert structured_flops(product, 0, order, args) == 2 * wanted


@pytest.mark.parametrize(
    "name",
    [
        "W X by both",
        "MLP, rows, by both",
        "attention",
        "scan",
        "custom VJP",
        "while",
        "other arguments",
    ],
)
def test_shapes_and_arrays_cost_alike(name):
    case = BY_NAME[name]
    args = case.args()
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), args)
    assert cost(case.function, case.argnums)(*args) == cost(case.function, case.argnums)(*shapes)


def test_nothing_is_allocated():
    """A million by a million is no trouble: four terabytes that nobody asks for."""
    n = 10**6
    before = sum(array.nbytes for array in jax.live_arrays())
    report = cost(lambda W, X: jnp.tanh(W @ X))(struct(n, n), struct(n, 10))
    assert sum(array.nbytes for array in jax.live_arrays()) < before + 1000
    # X stays apart from tanh′, which JAX 0.10 writes as a product of two factors, newer JAX as one.
    assert report.planned.multiplications in (0, n * 10)
    assert report.dense_bytes == 4 * n * 10 * n * n


def test_tanh_of_a_product_is_kept_as_factors():
    report = cost(lambda W, X: jnp.tanh(W @ X))(struct(5, 3), struct(3, 7))
    assert report.result_bytes <= 4 * 5 * 3 * 7 < report.dense_bytes == 4 * 5 * 7 * 5 * 3


def test_a_scalar_loss_costs_vectors_in_reverse():
    widths = (50, 40, 30, 20)
    matrices = [struct(m, n) for n, m in itertools.pairwise(widths)]

    def loss(x, *matrices):
        for A in matrices:
            x = A @ x
        return x.sum()

    report = cost(loss)(struct(50), *matrices)
    assert report.reverse.multiplications == 30 * 40 + 40 * 50  # the sum of rows of A3 is free
    assert report.planned.multiplications == report.reverse.multiplications
    assert report.forward.multiplications == 30 * 40 * 50 + 20 * 30 * 50


def test_elementwise_functions_cost_a_product_an_entry():
    report = cost(lambda x: jnp.sin(jnp.sin(x)))(struct(7))
    assert report.planned.multiplications == 7
    assert cost(lambda x: 3 * x.T)(struct(5, 3)).planned.multiplications == 0


def test_jax_itself_is_counted_dense():
    """Jacfwd pushes every basis vector through the product, jacrev pulls every one."""
    report = cost(lambda W, X: W @ X)(struct(5, 3), struct(3, 7))
    W, X = struct(5, 3), struct(3, 7)
    assert report.jacfwd == count(jax.jacfwd(lambda W, X: W @ X), W, X)
    assert report.jacrev.multiplications == (5 * 7) * (5 * 7 * 3)
    assert report.jacfwd.multiplications == (5 * 3) * (5 * 3 * 7)
    assert report.planned.multiplications == 0


def test_what_jax_cannot_execute_has_no_count():
    report = cost(clipped_backward)(struct(5), struct(3))
    assert report.jacfwd is None and report.jacrev is not None
    report = cost(halving)(struct(5))
    assert report.jacrev is None and report.jacfwd is not None
    assert "-" in str(report)


def test_opaque_maps_are_named_and_paid_for():
    report = cost(lambda x: jnp.cumsum(jnp.sin(x)))(struct(7))
    assert report.opaque == ("cumsum",)
    assert "(opaque): cumsum" in str(report)
    along = cost(lambda x: jnp.cumsum(jnp.sin(x), axis=0))(struct(7, 3))
    assert along.opaque == () and "left alone: cumsum" in str(along)
    assert report.planned.additions == 0  # ones below a diagonal are written, not added up
    applied = cost(lambda x, W: jnp.cumsum(W @ x))(struct(5), struct(7, 5))
    assert applied.planned.additions >= 5 * (7 - 1)  # of each column


def scanned(x, rows):
    """Returns the second output of a scan alone; the first carries the work as well."""
    return lax.scan(lambda s, row: (s * row, row @ s), x, rows)[1]


def test_work_is_booked_whichever_output_is_used():
    report = cost(scanned)(struct(3), struct(11, 3))
    assert report.planned.multiplications > 0


def test_keywords_may_be_shapes_too():
    report = cost(lambda x, scale: jnp.sin(x) * scale)(struct(5), scale=struct(5))
    assert report.planned.multiplications == 5


def test_arguments_that_jax_refuses():
    with pytest.raises(TypeError, match="real- or complex-valued inputs"):
        cost(jnp.sin)(struct(3, dtype="int32"))
    with pytest.raises(ValueError, match=r"^argnums: expected positions"):
        cost(jnp.sin, 5)(struct(3))


def test_bytes_are_those_of_the_arrays():
    W, X = (jnp.asarray(np.ones(shape)) for shape in ((5, 3), (3, 7)))
    report = cost(lambda W, X: W @ X, (0, 1))(W, X)
    J = jacobian(lambda W, X: W @ X, (0, 1), structured=True)(W, X)
    assert report.result_bytes == sum(part.nbytes for part in J)
    assert report.dense_bytes == sum(part.dense().nbytes for part in J)


@pytest.mark.parametrize("name", ["softmax", "W2 tanh(W1 X)", "layer norm", "scan", "M M"])
def test_what_is_reported_as_stored_is_stored(name):
    case = BY_NAME[name]
    found = jacobian(case.function, case.argnums, structured=True)(*case.args())
    stored = sum(array.nbytes for array in jax.tree.leaves(found))
    assert cost(case.function, case.argnums)(*case.args()).result_bytes == stored


def test_the_table_reads():
    report = cost(lambda x, A, B: A @ (B @ x))(struct(5), struct(7, 2), struct(2, 5))
    assert isinstance(report, CostReport)
    lines = str(report).splitlines()
    assert lines[0].split() == ["order", "multiplications", "additions", "peak", "bytes"]
    assert lines[1].split()[:3] == ["forward", "70", "35"]
    assert [line.split()[0] for line in lines[1:6]] == [
        "forward",
        "reverse",
        "planned",
        "jax.jacfwd",
        "jax.jacrev",
    ]
    assert "m×k by k×n is mkn" in lines[-1]


def test_large_numbers_stay_apart():
    n = 10**6
    report = cost(lambda W, X: jnp.tanh(W @ X))(struct(n, n), struct(n, n))
    for line in str(report).splitlines()[1:6]:
        *_, products, sums, peak = line.split()
        for text in (products, sums, peak):
            assert all(len(group) == 3 for group in text.split(",")[1:]), line
            int(text.replace(",", ""))
