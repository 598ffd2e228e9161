"""The structured Jacobian: its laws, its layouts, its life as a pytree."""

import copy
import itertools
import pickle
import sys
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layouts import Convention, Jacobian, LayoutError, arrange, chains, jacobian
from tests.cases import arrays
from tests.laws import stacked
from tests.oracle import BY_NAME, assert_close, assert_same, expected, jacobians, structured_of
from tests.strategies import programs

quick = settings(derandomize=True, deadline=None)
LAYOUTS = ["numerator", "denominator"]
VECS = ["rows", "columns"]


def normal(*shape, dtype=jnp.float64, seed=0):
    rng = np.random.default_rng([len(shape), seed])
    return jnp.asarray(rng.standard_normal(shape), dtype)


def structured(function, *args, **options):
    return jacobian(function, structured=True, **options)(*args)


def of_case(name):
    return structured_of(BY_NAME[name])


def W_by_X(rows=5, inner=3, columns=7):
    return structured(lambda W, X: W @ X, normal(rows, inner), normal(inner, columns))


SAMPLE = [
    "W X by W",
    "W X by X",
    "M M",
    "tanh",
    "softmax by rows",
    "layer norm",
    "attention",
    "flatten the transpose",
    "reshape to and fro",
    "flatten, no common digits",
    "sum by rows",
    "broadcast",
    "pad",
    "scan",
    "scalar to vector",
    "constant",
    "zero-size output, dot",
    "pairwise Hessian",
    "one-entry axes",
    "deep MLP",
    "centred",
    "identity",
    "second difference",
    "fancy index",
    "complex matmul",
    "complex inside",
]


def shared(J):
    """The pairs of an output and an input axis that have one size."""
    pairs = itertools.product(range(len(J.out_shape)), range(len(J.in_shape)))
    return [(a, b) for a, b in pairs if J.out_shape[a] == J.in_shape[b]]


@cache
def views(name):
    """For each Jacobian of a case: itself, a tangent, a cotangent, and all that it says."""

    @jax.jit
    def look(J, tangent, cotangent, factor):
        return {
            "dense": J.dense(),
            "jvp": J.jvp(tangent),
            "vjp": J.vjp(cotangent),
            "T.jvp": J.T.jvp(cotangent),
            "T.vjp": J.T.vjp(tangent),
            "T": J.T.matrix(),
            "T.T": J.T.T.dense(),
            "gram out": J.gram("out").matrix(),
            "gram in": J.gram("in").matrix(),
            **{f"{layout} {vec}": J.matrix(layout, vec) for layout in LAYOUTS for vec in VECS},
            "combined": (sum([J, -J, 3 * J]) - J * factor / 4).dense(),
            "scaled": (factor * J).jvp(tangent),
            "sparse": J.to_bcoo().todense(),
            "blocks": {pair: J.blocks(pair) for pair in shared(J)},
            "diagonal": J.diagonal() if J.out_shape == J.in_shape else None,
        }

    found = []
    for J in jacobians(structured_of(BY_NAME[name])):
        tangent, cotangent = normal(*J.in_shape, seed=1), normal(*J.out_shape, seed=2)
        found.append((J, tangent, cotangent, look(J, tangent, cotangent, 0.7)))
    return found


@pytest.mark.parametrize("name", SAMPLE)
def test_pushes_and_pulls_are_products_with_the_dense_array(name):
    for J, tangent, cotangent, view in views(name):
        dense = np.asarray(view["dense"])
        pushed = np.tensordot(dense, tangent, len(J.in_shape))
        pulled = np.tensordot(cotangent, dense, len(J.out_shape))
        assert view["jvp"].shape == J.out_shape and view["vjp"].shape == J.in_shape
        for method, wanted in (
            ("jvp", pushed),
            ("T.vjp", pushed),
            ("vjp", pulled),
            ("T.jvp", pulled),
        ):
            assert_close(view[method], jnp.asarray(wanted))


@pytest.mark.parametrize("name", SAMPLE)
def test_the_matrix_in_every_layout(name):
    for J, _, _, view in views(name):
        for layout in LAYOUTS:
            for vec in VECS:
                wanted = stacked(view["dense"], J.out_shape, layout, vec)
                found = view[f"{layout} {vec}"]
                assert found.shape == wanted.shape
                assert_close(found, jnp.asarray(wanted))


@pytest.mark.parametrize("name", SAMPLE)
def test_transposes_and_grams(name):
    for J, _, _, view in views(name):
        matrix = stacked(view["dense"], J.out_shape, "numerator", "rows")
        assert J.T.shape == J.in_shape + J.out_shape and J.T.T.shape == J.shape
        assert_close(view["T"], jnp.asarray(matrix.T))
        assert_close(view["T.T"], view["dense"])
        assert_close(view["gram out"], jnp.asarray(matrix @ matrix.T))
        assert_close(view["gram in"], jnp.asarray(matrix.T @ matrix))
        out, into = jax.eval_shape(lambda J: (J.gram(), J.gram("in")), J)
        assert out.shape == J.out_shape * 2 and into.shape == J.in_shape * 2


@pytest.mark.parametrize("name", SAMPLE)
def test_sums_and_multiples(name):
    for _, _, _, view in views(name):
        assert view["combined"].dtype == view["dense"].dtype
        assert_close(view["combined"], (3 - 0.7 / 4) * view["dense"])
        assert_close(view["scaled"], 0.7 * view["jvp"])


@pytest.mark.parametrize("name", SAMPLE)
def test_diagonals_blocks_and_sparse_arrays(name):
    for J, _, _, view in views(name):
        dense = np.asarray(view["dense"])
        assert_close(view["sparse"], view["dense"])
        for (one, other), blocks in view["blocks"].items():
            wanted = np.moveaxis(np.diagonal(dense, 0, one, len(J.out_shape) + other), -1, 0)
            assert blocks.shape == wanted.shape
            assert_close(blocks, jnp.asarray(wanted))
        if J.out_shape == J.in_shape:
            square = dense.reshape(view["numerator rows"].shape)
            wanted = np.diagonal(square).reshape(J.out_shape)
            assert_close(view["diagonal"], jnp.asarray(wanted))


@settings(quick, max_examples=15)
@given(st.data())
def test_laws_on_random_functions(data):
    """Associativity, transposes of products, push and pull, for three composed programs."""
    first = data.draw(programs(most_steps=4))
    args = first.args()[:1]
    rest = first.args()[1:]
    middle = jax.eval_shape(first, *args, *rest)[0].shape
    m = data.draw(st.sampled_from([2, 3, 5]))
    weight = normal(m, *middle)

    def laws(x, y, z):
        K = structured(lambda x: first(x, *rest)[0], x)
        J = structured(lambda y: jnp.tanh(jnp.tensordot(weight, y, y.ndim)) * jnp.sum(y), y)
        H = structured(lambda z: jnp.outer(z, z), z)
        tangent, cotangent = normal(*K.in_shape), normal(m, m)
        whole = H @ (J @ K)
        return (
            [whole.dense(), ((H @ J) @ K).dense(), ((K.T @ J.T) @ H.T).T.dense()],
            [whole.jvp(tangent), H.jvp(J.jvp(K.jvp(tangent)))],
            [whole.vjp(cotangent), K.vjp(J.vjp(H.vjp(cotangent))), whole.T.jvp(cotangent)],
            [(J @ K).matrix(), J.matrix() @ K.matrix()],
            [(J @ K).T.matrix(), (K.T @ J.T).matrix(), K.matrix().T @ J.matrix().T],
        )

    for same in jax.jit(laws)(*args, normal(*middle), normal(m)):
        for other in same[1:]:
            assert_close(other, same[0])


NETWORK_CASES = [
    (samples, activation, dtype)
    for samples in ("columns", "rows")
    for activation, dtype in (
        ("tanh", jnp.float64),
        ("relu", jnp.float32),
        ("gelu", jnp.float64),
        ("softmax", jnp.float64),
        ("sigmoid", jnp.float32),
    )
]


@pytest.mark.parametrize(("samples", "activation", "dtype"), NETWORK_CASES)
def test_networks_push_and_pull_like_jax(samples, activation, dtype):
    """For both data layouts, each parameter, and every convention of the matrix."""
    mlp = chains.mlp((3, 5, 2), activation=activation, samples=samples)
    X = normal(*((3, 7) if samples == "columns" else (7, 3)), dtype=dtype)
    shapes = jax.eval_shape(lambda: mlp.init(jax.random.key(3), dtype))
    params = jax.tree.map(lambda a: 0.7 * normal(*a.shape, dtype=dtype, seed=6), shapes)
    cotangent = normal(*jax.eval_shape(mlp, params, X).shape, dtype=dtype, seed=4)
    tangents = jax.tree.map(lambda a: normal(*a.shape, dtype=dtype, seed=5), (params, X))

    @jax.jit
    def everything(params, X, tangents):
        blocks = jacobians(structured(mlp, params, X, argnums=(0, 1)))
        pushed = sum(b.jvp(t) for b, t in zip(blocks, jax.tree.leaves(tangents), strict=True))
        matrices = {vec: [b.matrix("denominator", vec) for b in blocks] for vec in VECS}
        wanted = jax.vjp(mlp, params, X)[1](cotangent), jax.jvp(mlp, (params, X), tangents)[1]
        return [b.vjp(cotangent) for b in blocks], pushed, matrices, wanted

    by_vjp, by_jvp, matrices, (pulled, pushed) = everything(params, X, tangents)
    assert_close(by_jvp, pushed)
    for place, wanted in enumerate(jax.tree.leaves(pulled)):
        assert_same(by_vjp[place], wanted)
        for vec, order in (("rows", "C"), ("columns", "F")):
            row = np.asarray(matrices[vec][place]) @ np.asarray(cotangent).ravel(order)
            assert_close(jnp.asarray(row), jnp.asarray(np.asarray(wanted).ravel(order)))


@settings(quick, max_examples=8)
@given(st.lists(st.integers(2, 5), min_size=3, max_size=5), st.data())
def test_random_matrix_chains_push_and_pull_like_jax(dims, data):
    place = data.draw(st.integers(0, len(dims) - 2))
    matrices = [normal(m, n, seed=m) for m, n in itertools.pairwise(dims)]
    tangent = normal(*matrices[place].shape, seed=7)
    cotangent = normal(dims[0], dims[-1], seed=8)

    def one(matrix):
        return chains.matmul(*matrices[:place], matrix, *matrices[place + 1 :])

    @jax.jit
    def both_ways(*matrices):
        J = structured(chains.matmul, *matrices, argnums=place)
        pulled = J.vjp(cotangent), jax.vjp(one, matrices[place])[1](cotangent)[0]
        pushed = J.jvp(tangent), jax.jvp(one, (matrices[place],), (tangent,))[1]
        return pulled, pushed

    for found, wanted in both_ways(*matrices):
        assert_close(found, wanted)


@pytest.mark.parametrize("vec", VECS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_matrix_of_the_convention_is_what_arrange_writes(layout, vec):
    J = W_by_X()
    np.testing.assert_array_equal(J.matrix(layout, vec), arrange(J, Convention(layout, vec)))


def test_shapes_of_scalars_and_vectors():
    J = structured(jnp.dot, normal(5), normal(5, seed=1))
    assert (J.out_shape, J.in_shape, J.shape) == ((), (5,), (5,))
    assert J.matrix().shape == (1, 5) and J.matrix("denominator").shape == (5, 1)
    empty = structured(lambda x: x[:0], normal(5))
    assert empty.matrix().shape == (0, 5) and empty.nbytes == 0


def test_storage_is_the_factors():
    J = W_by_X()
    assert J.nbytes == 8 * 21 and J.dense().nbytes == 8 * 35 * 15
    square = J.gram("out")
    assert square.nbytes == 8 * 7 * 7  # δ[i,k] (XᵀX)[j,l]
    assert J.gram("in").nbytes == 8 * 3 * 3
    assert (J @ structured(lambda W: 2 * W.T, normal(3, 5))).nbytes == 8 * 21


def test_composition_that_does_not_fit():
    J = W_by_X()
    with pytest.raises(LayoutError, match=r"J @ K: expected .*\(5, 3\), got .*\(5, 7\).*outermost"):
        _ = J @ J
    with pytest.raises(LayoutError, match=r"right operand of @.*got ArrayImpl; .*jvp"):
        _ = J @ normal(5, 3)


@pytest.mark.parametrize(("method", "what"), [("jvp", "tangent"), ("vjp", "cotangent")])
@pytest.mark.parametrize("shape", [(), (3, 7), (3, 5), (7, 5), (15,), (5, 3, 1)])
def test_vectors_that_do_not_fit(method, what, shape):
    J = W_by_X()
    wanted = J.in_shape if method == "jvp" else J.out_shape
    with pytest.raises(LayoutError) as info:
        getattr(J, method)(jnp.ones(shape))
    error = info.value
    assert (error.what, error.expected, error.received) == (
        what,
        f"shape {wanted}",
        f"shape {shape}",
    )
    assert what in error.remedy


def test_a_complex_vector_is_not_silently_halved():
    """A real Jacobian times a complex tangent is complex, or an error; never its real part."""
    J = W_by_X()
    tangent = normal(5, 3) + 1j * normal(5, 3, seed=1)
    wanted = np.tensordot(np.asarray(J.dense()), tangent, 2)
    try:
        found = J.jvp(tangent)
    except (TypeError, LayoutError):
        return
    np.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize("layout", ["mixed", "sideways", None, 3])
def test_layouts_that_have_no_matrix(layout):
    for method in ("matrix", "kronecker"):
        with pytest.raises(LayoutError, match=r"^layout.*'numerator'"):
            getattr(W_by_X(), method)(layout)


@pytest.mark.parametrize("vec", ["cols", "row", None, 1])
def test_vec_orders_that_are_none(vec):
    for method in ("matrix", "kronecker"):
        with pytest.raises(LayoutError, match=r"^vec order: expected 'rows' or 'columns'"):
            getattr(W_by_X(), method)(vec=vec)


@pytest.mark.parametrize("side", ["input", "x", None, 0])
def test_gram_sides_that_are_none(side):
    with pytest.raises(LayoutError, match=r"^gram side: expected 'out' or 'in'"):
        W_by_X().gram(side)


def test_a_pytree_of_its_factors():
    J = W_by_X()
    leaves, tree = jax.tree.flatten(J)
    assert len(leaves) == 1 and leaves[0] is J.arrays[0]
    again = jax.tree.unflatten(tree, leaves)
    assert isinstance(again, Jacobian)
    assert_same(again.dense(), J.dense())
    assert str(again) == str(J)
    doubled = jax.tree.map(lambda array: 2 * array, J)
    assert_close(doubled.dense(), 2 * J.dense())


def test_equal_structures_are_equal():
    def by_name(A, B):
        return jax.tree.structure(structured(lambda A, B: A @ B, A, B))

    one = jax.tree.structure(W_by_X())
    assert one == jax.tree.structure(W_by_X()) == by_name(normal(5, 3), normal(3, 7))
    assert hash(one) == hash(jax.tree.structure(W_by_X()))
    for other in (
        W_by_X(5, 3, 11),
        W_by_X().T,
        structured(lambda W, X: -(W @ X), normal(5, 3), normal(3, 7)),
    ):
        assert one != jax.tree.structure(other)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / jnp.linalg.norm(x),
        jax.nn.logsumexp,
        jax.nn.softmax,
        lambda x: x.sum() * x,
        lambda x: jnp.exp(x.mean()) * x[::-1],
    ],
)
def test_the_structure_does_not_depend_on_values(function):
    """Values are leaves: else every new point would compile anew."""
    one, other = (jax.tree.structure(structured(function, k * normal(5))) for k in (1, 2))
    assert one == other


def test_a_compiled_function_takes_and_gives_jacobians_once():
    traces = []

    @jax.jit
    def square(J):
        traces.append(1)
        return J @ J.T

    for seed in range(3):
        J = structured(lambda W, X: W @ X, normal(5, 3, seed=seed), normal(3, 7, seed=seed))
        assert_close(square(J).matrix(), J.matrix() @ J.matrix().T)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "name", ["W X by W", "softmax", "attention", "scan", "identity", "flatten, no common digits"]
)
def test_through_jit(name):
    case = BY_NAME[name]
    found = jax.jit(lambda *a: structured(case.function, *a, argnums=case.argnums))(*case.args())
    dense = jax.jit(lambda tree: [J.dense() for J in jacobians(tree)])(found)
    for left, right in zip(dense, jax.tree.leaves(expected(case)), strict=True):
        assert_same(left, right)


def test_through_vmap():
    def row_jacobian(x):
        return structured(lambda x: jax.nn.softmax(x) * x.sum(), x)

    X = normal(7, 5)
    J = jax.vmap(row_jacobian)(X)
    dense = jax.vmap(lambda J: J.dense())(J)
    assert_same(dense, jax.vmap(jax.jacrev(lambda x: jax.nn.softmax(x) * x.sum()))(X))
    pulled = jax.vmap(lambda J, c: J.vjp(c))(J, normal(7, 5, seed=1))
    assert_close(pulled, jnp.einsum("nij,ni->nj", dense, normal(7, 5, seed=1)))


def test_through_scan_and_cond():
    def step(total, x):
        J = structured(lambda x: jnp.outer(x, x), x)
        return total + J.gram("in").dense().sum(), J

    X = normal(3, 5)
    _, Js = jax.lax.scan(step, 0.0, X)
    last = jax.tree.map(lambda array: array[-1], Js)
    assert_close(last.dense(), jax.jacrev(lambda x: jnp.outer(x, x))(X[-1]))
    J = W_by_X()
    chosen = jax.lax.cond(
        J.arrays[0].sum() > 1e9, lambda J: J, lambda J: jax.tree.map(jnp.negative, J), J
    )
    assert_close(chosen.dense(), -J.dense())


def test_gradients_through_a_jacobian():
    W, X = normal(5, 3), normal(3, 7)

    def loss(transform, W):
        return jnp.sum(jnp.sin(transform(W)))

    ours = jax.grad(lambda W: loss(lambda W: structured(lambda W: jnp.tanh(W @ X), W).dense(), W))(
        W
    )
    theirs = jax.grad(lambda W: loss(jax.jacrev(lambda W: jnp.tanh(W @ X)), W))(W)
    assert_close(ours, theirs)


def test_pickle_and_copies():
    J = of_case("softmax by rows")
    for twin in (pickle.loads(pickle.dumps(J)), copy.deepcopy(J), copy.copy(J)):
        assert_same(twin.dense(), J.dense())
        assert jax.tree.structure(twin) == jax.tree.structure(J)
        assert str(twin) == str(J)


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        W_by_X().out_shape = ()  # type: ignore[misc]


def test_repr_says_what_is_stored():
    wanted = "Jacobian(out_shape=(5, 7), in_shape=(5, 3), dtype=float64, terms=1, nbytes=168)"
    assert repr(W_by_X()) == wanted


def test_dtypes_of_products():
    low = structured(lambda x: jnp.sin(x), normal(5, dtype=jnp.float32))
    assert low.dtype == low.dense().dtype == low.matrix().dtype == jnp.float32
    assert low.gram().dtype == (low @ low).dense().dtype == jnp.float32
    high = structured(jnp.sin, arrays((5,))(np.random.default_rng(0))[0])
    assert (high @ low).dense().dtype == jnp.float64


def largest(function, *args):
    """The number of entries of the largest array that a function writes, fused or not."""

    def within(jaxpr):
        for equation in jaxpr.eqns:
            yield from (variable.aval.size for variable in equation.outvars)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    yield from within(inner)

    return max(within(jax.make_jaxpr(function)(*args).jaxpr), default=0)


def network(W, V, X):
    return jnp.tanh(X @ W) @ V


def network_jacobians():
    """By the first weights and by 31 samples; 31·2 outputs."""
    W, V, X = normal(5, 7), normal(7, 2), normal(31, 5)
    J, K = structured(network, W, V, X, argnums=(0, 2))
    return (W, V, X), J, K


def test_blocks_are_the_jacobians_of_each_sample():
    (W, V, X), _, K = network_jacobians()
    wanted = jax.vmap(jax.jacrev(lambda x: network(W, V, x[None])[0]))(X)
    for axis in (0, -2, (0, 0), (-2, 0), (0, -2)):
        assert K.is_block_diagonal(axis)
        assert_same(K.blocks(axis), wanted)
    assert largest(lambda K: K.blocks(), K) <= wanted.size
    compiled = jax.jit(lambda K: K.blocks()).lower(K).compile().memory_analysis()
    assert compiled.temp_size_in_bytes <= 2 * wanted.nbytes < K.dense().nbytes / 10
    assert not structured(lambda X: X + X.sum(), X).is_block_diagonal()


@pytest.mark.parametrize("axis", [2, -3, (0, 1), (0, 0, 0), (), (2, 0), "a", 0.0])
def test_axes_that_have_no_blocks(axis):
    _, _, K = network_jacobians()
    for method in (K.blocks, K.is_block_diagonal):
        with pytest.raises(LayoutError, match=r"^axis of blocks: .*\(31, 2\).*\(31, 5\)"):
            method(axis)
    with pytest.raises(LayoutError, match="axis of blocks"):
        structured(jnp.sum, normal(3)).blocks()


def test_diagonals_need_one_shape():
    with pytest.raises(LayoutError, match=r"J.diagonal\(\): .*\(5, 7\).*\(5, 3\); J.blocks"):
        W_by_X().diagonal()


def test_nothing_is_written_out_on_the_way():
    """Products stay as small as their own structure, and so does what they are made from."""
    _, J, K = network_jacobians()
    kernel = K.gram("out")  # δ[n,m] times a 2 × 2 block for each sample
    assert kernel.nbytes <= 8 * 31 * 4 and kernel.is_block_diagonal()
    assert K.gram("in").nbytes <= 8 * 31 * 25
    assert largest(lambda K: K.gram("in"), K) <= 31 * 25
    assert largest(lambda J: J.gram("in"), J) <= 35 * 35 * 7
    pair = structured(lambda x: jnp.sin(x) * x[::-1], normal(1009))
    steps = {
        "+": lambda J: J + 2 * J,
        "-": lambda J: J - J.T,
        "*": lambda J: jnp.float64(0.3) * J,
        "@": lambda J: J @ J.T,
        "diagonal": lambda J: J.diagonal(),
        "jvp": lambda J: J.jvp(jnp.ones(1009)),
    }
    for name, step in steps.items():
        assert largest(step, pair) <= 1009, name
    for name in ("+", "-", "*", "@"):
        assert steps[name](pair).nbytes <= 4 * 8 * 1009, name
    assert largest(lambda J: J.to_bcoo(), pair) <= 4 * 1009
    assert pair.to_bcoo().nse == 2 * 1009


def test_a_real_jacobian_is_its_real_part_in_products_too():
    """A function that is real, through complex numbers: `Re A Re B`, not `Re(A B)`."""

    def waves(x):
        return jnp.abs(jnp.fft.fft(x)) ** 2 + jnp.real(jnp.exp(1j * x) * (x + 2j))

    x = normal(5)
    J, dense = structured(waves, x), jax.jacrev(waves)(x)
    assert_close(J.gram("in").dense(), dense.T @ dense)
    assert_close((J @ J).dense(), dense @ dense)
    tangent = normal(5, seed=1) + 1j * normal(5, seed=2)
    assert_close(J.jvp(tangent), dense @ tangent)


def test_shared_factors_are_stored_once():
    J = W_by_X()
    assert (J + J.gram("out") @ J).nbytes <= 2 * J.nbytes + 8 * 7 * 7
    assert sum([J, J]).nbytes == J.nbytes == 8 * 21
    twice = replace(J, arrays=(J.arrays[0], J.arrays[0]))
    assert twice.nbytes == J.nbytes


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        (2, jnp.float32),
        (0, jnp.float32),
        (-0.3, jnp.float32),
        (True, jnp.float32),
        (1 - 2j, jnp.complex64),
        (np.float32(0.3), jnp.float32),
        (np.float64(0.3), jnp.float64),
        (np.int32(3), jnp.float32),
        (np.asarray(0.3), jnp.float64),
        (jnp.asarray(3), jnp.float32),
        (jnp.asarray(1 - 2j), jnp.complex64),
        (jnp.asarray(1 - 2j, jnp.complex128), jnp.complex128),
    ],
)
def test_numbers_are_promoted_as_jax_promotes_them(number, dtype):
    x = normal(5, dtype=jnp.float32)
    J = structured(lambda x: x**2 * x[::-1] + x.sum() / 3, x)
    for found in (number * J, J * number):
        assert found.dtype == dtype == (number * J.dense()).dtype
        assert_same(found.dense(), number * J.dense(), "float32")
    if number != 0:
        assert_same((J / number).dense(), (J * (1 / number)).dense())


def test_python_numbers_are_structure_and_arrays_are_values():
    J = structured(jnp.sin, normal(5))

    def structure(number):
        return jax.tree.structure(number * J)

    assert structure(2) == structure(2) != structure(3)
    assert structure(jnp.asarray(2.0)) == structure(jnp.asarray(3.0)) == structure(np.float64(4))
    assert (2 * J).arrays[0] is J.arrays[0] and (0 * J).arrays == () == (0 * J).terms
    slope = jax.grad(lambda number: jnp.sum((J - number * J).dense() ** 2))(0.25)
    assert_close(slope, jnp.asarray(-2 * 0.75 * jnp.sum(J.dense() ** 2)))
    traced = jax.jit(lambda number, J: number * J / (1 + number))(3, J)
    assert_close(traced.dense(), 0.75 * J.dense())


def test_sums_keep_what_is_alike_together():
    J, one = structured(jnp.tanh, normal(5)), structured(lambda x: x, normal(5))
    assert len((J + J).terms) == len((J + one).terms) == 1
    damped = W_by_X().gram("in") + 0.1 * structured(lambda W: W, normal(5, 3))
    assert damped.nbytes <= 8 * 10
    assert_close(damped.matrix(), W_by_X().gram("in").matrix() + 0.1 * jnp.eye(15))


def test_the_more_exact_dtype_of_two():
    low = structured(lambda x: jnp.float32(3) * x * x, jnp.ones(5, jnp.float32))
    high = structured(lambda x: x / 3, normal(5))
    for found, wanted in ((low + high, 19 / 3), (high - low, -17 / 3), (high @ low, 2)):
        assert found.dtype == found.dense().dtype == jnp.float64
        assert_close(found.dense(), wanted * jnp.eye(5))


def test_numbers_leave_the_zeros_of_the_structure():
    J = float("inf") * structured(lambda x: x, normal(5))
    np.testing.assert_array_equal(J.dense(), np.where(np.eye(5), np.inf, 0))
    assert jax.tree.structure(J) == jax.tree.structure(float("nan") * (J / 1))


@pytest.mark.parametrize("symbol", ["+", "-"])
def test_sums_that_do_not_fit(symbol):
    add = {"+": lambda a, b: a + b, "-": lambda a, b: a - b}[symbol]
    wanted = rf"^J \{symbol} K: expected .*\(5, 7\).*\(5, 3\), got .*\(5, 3\).*\(5, 7\)"
    with pytest.raises(LayoutError, match=wanted):
        add(W_by_X(), W_by_X().T)
    for other in (normal(5, 7, 5, 3), 1, "x", None):
        with pytest.raises(LayoutError, match=rf"^right operand of \{symbol}: .*J.dense"):
            add(W_by_X(), other)
    with pytest.raises(LayoutError, match=r"^right operand of \+"):
        np.ones((5, 7)) + W_by_X()


@pytest.mark.parametrize("shape", [(1,), (5, 7), (0,)])
def test_factors_that_are_no_numbers(shape):
    for array in (np.ones(shape), jnp.ones(shape)):
        for multiply in (lambda J, a: J * a, lambda J, a: a * J, lambda J, a: J / a):
            with pytest.raises(LayoutError, match=r"^factor of a Jacobian: .*shape \(\)"):
                multiply(W_by_X(), array)
    for other in ("x", None, [2.0]):
        with pytest.raises(TypeError):
            W_by_X() * other
        with pytest.raises(TypeError):
            W_by_X() / other
    with pytest.raises(ZeroDivisionError):
        W_by_X() / 0


def test_a_batch_of_jacobians_is_told_from_one():
    batch = jax.vmap(lambda x: structured(lambda x: jnp.sin(x) * x.sum(), x))(normal(7, 5))
    for use in (
        lambda J: J.dense(),
        lambda J: J.jvp(jnp.ones(5)),
        lambda J: J @ J.T,
        lambda J: J + J,
        lambda J: jnp.float64(2) * J,
        lambda J: J.diagonal(),
        lambda J: J.to_bcoo(),
    ):
        with pytest.raises(LayoutError, match=r"shape \(7(, 5)?\).*jax.vmap\(lambda J"):
            use(batch)
    mapped = jax.vmap(lambda J: (J + 2 * J @ J).diagonal())(batch)
    dense = jax.vmap(lambda J: J.dense())(batch)
    wanted = jnp.diagonal(dense + 2 * dense @ dense, axis1=1, axis2=2)
    assert_close(mapped, wanted)
    assert "7" not in str(batch) and "nbytes=" in repr(batch)


def test_sparse_arrays_under_jit_and_in_products():
    table = jnp.array([2, 0, 4, 0, 1])
    x, v = normal(5), normal(5, seed=1)
    J = jax.jit(lambda x, i: structured(lambda x: x[i] * x[1] + x[::-1], x))(x, table)
    sparse = jax.jit(lambda J: J.to_bcoo())(J)
    assert_close(sparse.todense(), J.dense())
    assert_close(sparse @ v, J.jvp(v))
    assert_close(sparse.sum_duplicates(nse=15).todense(), J.dense())
    K = W_by_X()
    assert_close(K.to_bcoo().reshape(35, 15).todense(), K.matrix())
    slope = jax.grad(lambda x: (structured(jnp.sin, x).to_bcoo() @ v).sum())(x)
    assert_close(slope, -jnp.sin(x) * v)


def test_linear_operators():
    lineax = pytest.importorskip("lineax")
    W, X = normal(5, 3), normal(7, 5)
    J = structured(lambda W: jnp.tanh(X @ W), W)
    operator, tangent, cotangent = J.as_linear_operator(), normal(5, 3), normal(7, 3)
    assert operator.in_structure() == jax.ShapeDtypeStruct((5, 3), jnp.float64)
    assert operator.out_structure() == jax.ShapeDtypeStruct((7, 3), jnp.float64)
    assert_close(operator.mv(tangent), J.jvp(tangent))
    assert_close(operator.T.mv(cotangent), J.vjp(cotangent))
    assert_close(operator.as_matrix(), J.matrix())

    def solve(J, vector):
        """Gauss-Newton with damping, by conjugate gradients."""
        damped = J.gram("in") + 0.1 * structured(lambda W: W, vector)
        operator = damped.as_linear_operator(lineax.positive_semidefinite_tag)
        return lineax.linear_solve(operator, vector, lineax.CG(1e-13, 1e-13)).value

    matrix = J.matrix().T @ J.matrix() + 0.1 * jnp.eye(15)
    found = jax.jit(solve)(J, tangent)
    np.testing.assert_allclose(found.ravel(), jnp.linalg.solve(matrix, tangent.ravel()), 1e-9)


def test_a_missing_lineax_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lineax", None)
    with pytest.raises(ImportError, match=r"layouts\[operators\]"):
        W_by_X().as_linear_operator()


def test_through_checkpoint_and_shape_evaluation():
    x = normal(5)

    def loss(x):
        J = jax.checkpoint(lambda x: structured(lambda x: jnp.sin(x) * x[::-1], x))(x)
        return jnp.sum((J + J.T).dense() ** 3)

    def dense_loss(x):
        J = jax.jacrev(lambda x: jnp.sin(x) * x[::-1])(x)
        return jnp.sum((J + J.T) ** 3)

    assert_close(jax.grad(loss)(x), jax.grad(dense_loss)(x))
    shapes = jax.eval_shape(lambda x: structured(jnp.sin, x), x)
    assert shapes.nbytes == 40 and "nbytes=40" in repr(shapes)
    assert str(shapes) == str(structured(jnp.sin, x))


def test_a_sum_is_carried_through_a_scan():
    """The structure of a running mean is that of its first value."""
    X = normal(11, 5)

    def of(x):
        return structured(lambda x: jnp.tanh(x) * x[::-1], x)

    def step(mean, x):
        return mean + jnp.asarray(1 / 11) * of(x), None

    start = jnp.asarray(0.0) * of(X[0])
    mean, _ = jax.lax.scan(step, start, X)
    assert_close(mean.dense(), jnp.mean(jnp.stack([of(x).dense() for x in X]), 0))
