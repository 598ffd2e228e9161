"""Symbolic arrays computed: each node against NumPy, dtypes kept, every number exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.evaluate import evaluate
from layouts.nodes import Add, Contract, Identity, Leaf, Pattern, Reshape, Write
from tests.cases import CASES
from tests.oracle import BY_NAME, assert_same, expected


def leaf(array, index):
    return Leaf(array.shape, array.dtype.itemsize, (), index)


def normal(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


CONTRACTIONS = [
    (((0, 1), (1, 2)), (0, 2), "ab,bc->ac"),
    (((0, 1), (1, 2)), (2, 0), "ab,bc->ca"),
    (((0, 1), (1, 0)), (), "ab,ba->"),
    (((0, 1), (0, 1)), (1,), "ab,ab->b"),
    (((0, 1), (2,)), (2, 0, 1), "ab,c->cab"),
    (((0, 1), (0,)), (1, 0), "ab,a->ba"),
    (((0, 1),), (1,), "ab->b"),
    (((0, 1),), (1, 0), "ab->ba"),
    (((0, 1), (2, 1, 0)), (2,), "ab,cba->c"),
    (((), (0, 1)), (0, 1), ",ab->ab"),
]


@pytest.mark.parametrize(("indices", "output", "equation"), CONTRACTIONS)
def test_contractions_are_einsums(indices, output, equation):
    extents = (5, 3, 7)[: 1 + max(max(index, default=0) for index in indices)]
    arrays = [normal(n, *(extents[i] for i in index)) for n, index in enumerate(indices)]
    nodes = tuple(leaf(array, n) for n, array in enumerate(arrays))
    shape = tuple(extents[i] for i in output)
    node = Contract(shape, 8, nodes, indices, output, extents)
    (found,) = evaluate([node], arrays)
    assert found.shape == shape
    np.testing.assert_allclose(found, np.einsum(equation, *arrays), atol=1e-12)


def test_sums_broadcast_and_scale():
    a, b = normal(0, 5, 3), normal(1, 3)
    node = Add((5, 3), 8, (leaf(a, 0), leaf(b, 1)), ((0, 1), (1,)), (-2, 0.5))
    np.testing.assert_allclose(
        evaluate([node], [a, b])[0], -2 * np.asarray(a) + 0.5 * np.asarray(b)
    )
    turned = Add((3, 5), 8, (leaf(a, 0), leaf(b, 1)), ((1, 0), (0,)), (1, -1))
    np.testing.assert_allclose(
        evaluate([turned], [a, b])[0], np.asarray(a).T - np.asarray(b)[:, None]
    )


def test_the_identity_between_two_numberings():
    node = Identity((3, 2, 2, 3), 4)
    np.testing.assert_array_equal(evaluate([node], [])[0], np.eye(6).reshape(3, 2, 2, 3))
    assert evaluate([Identity((), 4)], [])[0] == 1


def test_a_large_identity_sums_without_overflow():
    eye = Identity((14, 15, 15, 14), 4)
    total = Contract((), 4, (eye,), ((0, 1, 2, 3),), (), (14, 15, 15, 14))
    assert int(evaluate([total], [])[0]) == 210


def test_views():
    a = normal(0, 5, 6)
    node = Reshape((5, 2, 3), 8, (leaf(a, 0),))
    np.testing.assert_array_equal(evaluate([node], [a])[0], np.reshape(a, (5, 2, 3)))


def test_writing_a_term():
    v = normal(0, 3, 5)
    # out (5, 3), in (5,): δ[i,k] v[j,i]
    pattern = Pattern((0, 1, 0), (5, 3), (1, 0), -2)
    (found,) = evaluate([Write((5, 3, 5), 8, (leaf(v, 0),), (pattern,))], [v])
    np.testing.assert_allclose(found, np.einsum("ik,ji->ijk", np.eye(5), -2 * v))


def test_writing_several_terms_and_none():
    v = normal(0, 5)
    patterns = (Pattern((0, 0), (5,), (0,), 1), Pattern((0, 1), (5, 5), None, 0.5))
    (found,) = evaluate([Write((5, 5), 8, (leaf(v, 0),), patterns)], [v])
    np.testing.assert_allclose(found, np.diag(v) + 0.5)
    assert not np.any(np.asarray(evaluate([Write((5, 0, 3), 8)], [])[0]))


@pytest.mark.parametrize("number", [127, 128, 300, 100_000, 2**40, -129, 0.5, 1e300])
def test_numbers_are_written_exactly(number):
    pattern = Pattern((0, 0), (3,), None, number)
    (found,) = evaluate([Write((3, 3), 8, (), (pattern,))], [])
    np.testing.assert_array_equal(np.asarray(found, float), number * np.eye(3))


def test_terms_of_numbers_add_up_exactly():
    patterns = (Pattern((0, 0), (3,), None, 100), Pattern((0, 1), (3, 3), None, 100))
    (found,) = evaluate([Write((3, 3), 8, (), patterns)], [])
    np.testing.assert_array_equal(np.asarray(found, float), 100 * np.eye(3) + 100)


@pytest.mark.parametrize("count", [127, 128, 200, 300, 1000])
def test_a_count_is_exact_in_every_dtype(count):
    """Repeating x and adding it up again is `count` times x, whatever the integers inside."""
    for dtype in (jnp.float64, jnp.float32):
        x = normal(0, 3, dtype=dtype)
        found = layouts.jacobian(lambda x: jnp.broadcast_to(x, (count, 3)).sum(0))(x)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, count * np.eye(3))


def test_results_keep_the_dtype_of_their_factors():
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32, jnp.complex64):
        a = normal(0, 5, 3).astype(dtype)
        contraction = Contract((5,), a.dtype.itemsize, (leaf(a, 0),), ((0, 1),), (0,), (5, 3))
        written = Write((5, 5, 3), 2, (leaf(a, 0),), (Pattern((0, 0, 1), (5, 3), (0, 1), 0.5),))
        for found in evaluate([contraction, written], [a]):
            assert found.dtype == dtype


def test_an_equal_node_is_evaluated_once():
    a = normal(0, 5, 5)
    nodes = [Contract((5,), 8, (leaf(a, 0),), ((0, 1),), (0,), (5, 5)) for _ in range(2)]
    first, second = evaluate(nodes, [a])
    assert first is second


TRANSFORMED = [
    "W X by both",
    "softmax",
    "attention",
    "layer norm",
    "pad",
    "scan",
    "M M",
    "power spectrum",
]


@pytest.mark.parametrize("name", TRANSFORMED)
def test_under_the_callers_trace(name):
    """Vmap and grad of a Jacobian are those of JAX's."""
    case = BY_NAME[name]
    args = case.args()
    stacked = jax.tree.map(lambda a: jnp.stack([a, 1.5 * a]), args)

    transforms = layouts.jacobian, jax.jacrev

    @jax.jit
    def twice(*stacked):
        return [jax.vmap(of(case.function, case.argnums))(*stacked) for of in transforms]

    assert_same(*twice(*stacked))

    def loss(transform):
        def total(*args):
            leaves = jax.tree.leaves(transform(case.function, case.argnums)(*args))
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in leaves)

        return jax.grad(total, case.argnums)

    if name != "scan":  # JAX's own second derivative of this one takes its time
        assert_same(*jax.jit(lambda *args: [loss(of)(*args) for of in transforms])(*args))


@pytest.mark.parametrize("name", ["W X by W", "identity", "softmax", "pad"])
def test_sharded_inputs(name):
    """On a mesh, here of one device, results are the same and on the mesh."""
    case = BY_NAME[name]
    mesh = jax.make_mesh((1,), ("data",))
    where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    args = jax.device_put(case.args(), where)
    found = jax.jit(layouts.jacobian(case.function, case.argnums))(*args)
    assert_same(found, expected(case))


def window(x, **how):
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 3), **how)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (jnp.cumsum, (7,)),
        (lambda x: jnp.cumsum(x, 1), (3, 5)),
        (lambda x: jax.lax.cumsum(x, 0, reverse=True), (5, 3)),
        (lambda x: window(x, window_strides=(1, 2), padding="VALID"), (5, 7)),
        (lambda x: window(x, window_strides=(3, 2), padding="SAME"), (5, 7)),
        (lambda x: window(x, window_strides=(1, 1), padding=((2, 3), (4, 0))), (5, 7)),
        (lambda x: window(x, window_strides=(1, 3), padding=((0, 1), (-2, 3))), (5, 7)),
    ],
)
def test_sums_of_windows_are_counted_out(function, shape):
    """Their matrices are comparisons of places: nothing is summed to write them."""
    x = normal(0, *shape)
    transform = layouts.jacobian(lambda x: function(x), order="forward")
    np.testing.assert_array_equal(transform(x), jax.jacrev(function)(x))
    program = str(jax.make_jaxpr(lambda x: transform(x))(x))
    assert program.count("cumsum[") + program.count("reduce_window_sum[") <= 1  # the value's own


def test_a_window_with_holes_is_applied():
    def function(x):
        return window(x, window_strides=(1, 1), padding="SAME", window_dilation=(1, 2))

    x = normal(0, 5, 7)
    np.testing.assert_array_equal(layouts.jacobian(function)(x), jax.jacrev(function)(x))


def test_the_table_is_large_enough():
    assert len(CASES) >= 60 and len(BY_NAME) == len(CASES)
