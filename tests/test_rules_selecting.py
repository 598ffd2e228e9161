"""Lookups and placements of every kind against `jax.jacrev` and `jax.jacfwd`."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import layouts

RNG = np.random.default_rng(0)
ROWS, COLUMNS, PAGES = np.array([0, 2, 4]), np.array([1, 1, 6]), np.array([0, 2, 2])
SQUARE = np.array([[0, 4, 4], [3, 1, 0]])
LABELS = np.array([1, 6, 0, 3, 3])
OUTSIDE = np.array([1, 9, -7])
SOURCE, TARGET = np.array([0, 1, 1, 4, 3, 2]), np.array([1, 1, 2, 0, 4, 3])
WEIGHTS = jnp.asarray(RNG.normal(size=6))
ALONG = [jnp.asarray(RNG.integers(0, n, size=shape)) for n, shape in ((7, (5, 2)), (5, (2, 7)))]


def each(function, shared=None):
    """A lookup mapped over the rows of its operand, or of its indices alone."""
    return lambda x: jax.vmap(function, (shared, 0))(x, jnp.asarray(LABELS))


def start(x, n):
    return lax.dynamic_slice(x, (n,), (3,))


def placed(shape, places, **mode):
    return lambda x: jnp.zeros(shape).at[places].add(x**2, **mode)


def messages(x):
    return jax.ops.segment_sum(WEIGHTS * x[SOURCE], TARGET, 5)


def entropy(x):
    return -jax.nn.log_softmax(x)[jnp.arange(5), LABELS]


def beside_one_entry(x):
    """A place of one value, which two selections tell, one of them for a sum by a table."""
    return jnp.tile(lax.cumlogsumexp(x), 2)[1:7][3:5] @ x[4:6]


def looked_up_along_an_axis(x):
    """A place along a whole axis is told by a table, and tells another one."""
    first, second, along = np.array([3, 2, 4]), jnp.asarray([3, 0, 2]), jnp.arange(3)
    placed = jnp.zeros((5, 3)).at[first, along].add(x[along, first % 3])
    return jnp.zeros((5, 3)).at[second, along].add(placed[along, second % 3])


# name: function, input shape, the most entries that may be stored (tables count)
LOOKUPS = {
    "two axes": (lambda x: x[ROWS, COLUMNS] ** 2, (5, 7), 9),
    "last axis": (lambda x: x[:, COLUMNS] ** 2, (5, 7), 18),
    "negative": (lambda x: 2 * x[np.array([-1, -5, 2])], (5, 7), 4),
    "indices of two axes": (lambda x: jnp.sin(x[SQUARE]), (5, 7), 48),
    "first and last axis": (lambda x: x[ROWS, :, PAGES] ** 2, (5, 7, 3), 27),
    "middle and last axis": (lambda x: x[:, COLUMNS, PAGES] ** 2, (5, 7, 3), 21),
    "along the last": (lambda x: jnp.take_along_axis(x, ALONG[0], 1) ** 2, (5, 7), 20),
    "along the first": (lambda x: jnp.take_along_axis(x, ALONG[1], 0) ** 2, (5, 7), 28),
    "an entry of each row": (each(lambda r, n: r[n] ** 2, 0), (5, 7), 10),
    "entries of one row": (each(lambda r, n: r[n] ** 2), (7,), 10),
    "a window of each row": (each(start, 0), (5, 7), 15),
    "windows": (each(start), (9,), 15),
    "diagonal": (lambda x: x[jnp.arange(5), jnp.arange(5)] ** 2, (5, 5), 15),
    "triangle": (lambda x: x[jnp.triu_indices(4)] ** 2, (4, 4), 30),
    "flat": (lambda x: x.ravel()[np.array([3, 33, 12, 12])] ** 2, (5, 7), 12),
    "flat slice": (lambda x: x.ravel()[3:17] ** 2, (5, 7), 42),
    "slice in rows": (lambda x: x[2:8].reshape(2, 3) ** 2, (9,), 12),
    "of a stride": (lambda x: x[::2][np.array([0, 2, 1, 1])] ** 2, (6,), 8),
    "stride of": (lambda x: x[np.array([0, 2, 1, 1, 5])][1::2] ** 2, (6,), 4),
    "of a lookup": (lambda x: (x[ROWS] ** 2)[np.array([2, 2, 0, 1])], (5,), 8),
    "of one place": (lambda x: x.at[np.array([0, 1, 0])].get(mode="clip") ** 2, (1,), 6),
    "dropped of one": (
        lambda x: x.at[np.array([0, 1, 0])].get(mode="fill", fill_value=0.0) ** 2,
        (1,),
        6,
    ),
    "filled": (
        lambda x: x.at[OUTSIDE, np.array([0, 0, 8])].get(mode="fill", fill_value=0.0),
        (5, 7),
        6,
    ),
    "clipped": (lambda x: x.at[OUTSIDE, np.array([0, 0, 8])].get(mode="clip") ** 2, (5, 7), 9),
    "sorted": (lambda x: jnp.sort(x, axis=1) ** 2, (5, 7, 3), 210),
    "largest": (lambda x: lax.top_k(x, 2)[0] ** 2, (5, 7), 20),
    "nothing": (lambda x: x[np.array([], int)].sum() + x.sum(), (5,), 0),
    "cross-entropy": (entropy, (5, 7), 55),
}
PLACEMENTS = {
    "entries": (lambda x: x.at[ROWS, COLUMNS].add(x[ROWS, COLUMNS] ** 2), (5, 7), 15),
    "duplicates": (
        placed((5, 7), (np.array([1, 1, 1]), np.array([2, 2, 3]))),
        (3,),
        9,
    ),
    "rows, one dropped": (lambda x: x.at[np.array([1, 1, 9])].add(2 * x[:3]), (5, 7), 6),
    "indices of two axes": (placed(5, SQUARE), (2, 3), 12),
    "clipped": (placed(5, OUTSIDE, mode="clip"), (3,), 6),
    "subtracted": (lambda x: x.at[ROWS].add(-(x[:3] ** 2)), (5, 7), 40),
    "batched": (
        lambda x: jax.vmap(lambda r, n: jnp.zeros(7).at[n].add(r))(x[:, :2] ** 2, ALONG[0]),
        (5, 7),
        70,
    ),
    "set": (lambda x: x.at[ROWS, COLUMNS].set(x[0, :3] ** 2), (5, 7), 60),
    "set twice": (lambda x: x.at[np.array([1, 1, 3])].set(x[:3] ** 2), (5, 7), 80),
    "set, unique": (
        lambda x: (x**2).at[np.array([3, 9])].set(x[:2] ** 2, unique_indices=True),
        (5, 7),
        90,
    ),
    "set rows": (
        lambda x: x.at[np.array([3, 0])].set(x[:2] ** 2, unique_indices=True),
        (5, 7),
        45,
    ),
    "set a window": (lambda x: (x * x).at[2:4, 1:5].set(x[:2, :4]), (5, 7), 50),
    "set one": (lambda x: (x * x).at[2, 3].set(x[0, 1]), (5, 7), 40),
    "window": (lambda x: lax.dynamic_update_slice(x * x, x[:2, :3], (1, 2)), (5, 7), 50),
    "window moved in": (lambda x: lax.dynamic_update_slice(x * x, x[:2], (9, 0)), (5, 7), 45),
    "nothing": (lambda x: x[:4] + jnp.zeros(4).at[np.array([], int)].add(x[:0]), (5,), 0),
}
SUMS = {
    "messages": (messages, (5,), 18),
    "messages of rows": (jax.vmap(messages, 1, 1), (5, 7), 18),
    "messages twice": (lambda x: messages(jnp.tanh(messages(x))), (5,), 25),
    "bags": (lambda x: x[SQUARE].sum(1), (5, 7), 6),
    "squares": (jax.grad(lambda x: (x[SQUARE] ** 3).sum()), (5,), 5),
    "entries squared": (jax.grad(lambda x: (x[ROWS, COLUMNS] ** 3).sum()), (5, 7), 9),
    "edges": (jax.grad(lambda x: (WEIGHTS * (x[SOURCE] - x[TARGET]) ** 4).sum()), (5,), 23),
    "cross-entropy": (jax.grad(lambda x: entropy(x).sum()), (5, 7), 105),
    "beside one entry": (jax.grad(beside_one_entry), (6,), 36),
    "product of sorted": (jax.grad(lambda x: jnp.prod(1 + jnp.sort(x, axis=0))), (2, 3), 122),
}
SPELLED = {
    "set inside": (lambda x: x.at[1:-1].set(x[2:] * x[:-2]), (7, 3), 49),
    "set before": (lambda x: x.at[:2].set(x[2:4] ** 2), (7, 3), 21),
    "set behind": (lambda x: x.at[:, -2:].set(jnp.sin(x[:, :2])), (7, 3), 21),
    "set on two sides": (lambda x: x.at[0].set(0.0).at[-1].set(1.0) ** 2, (7,), 7),
    "set, one by one": (
        lambda x: jnp.zeros((2, 2)).at[0, 0].set(x[0] ** 2).at[1, 0].set(x[1]).at[0, 1].set(x[2]),
        (3,),
        9,
    ),
    "set apart": (lambda x: x.at[1::2].set(x[::2] ** 2), (8,), 24),
    "set apart, all": (
        lambda x: x.at[::2].set(x[::2] * x[1::2]).at[1::2].set(x[1::2] ** 2),
        (8,),
        56,
    ),
    "set backwards": (lambda x: x.at[::-1].set(x**2), (7, 3), 21),
    "set a diagonal": (
        lambda x: (x**2).at[jnp.arange(4), jnp.arange(1, 5)].set(x[0, :4], unique_indices=True),
        (5, 7),
        75,
    ),
    "added inside": (lambda x: x.at[1:-1].add(x[2:] - 2 * x[1:-1] + x[:-2]), (9,), 1),
    "added to corners": (lambda x: x.at[jnp.array([0, -1]), 0].add(x[1, :2]), (5, 7), 0),
    "multiplied": (lambda x: x.at[2:4, ::2].multiply(3.0), (5, 7), 35),
    "dropped": (lambda x: x.at[jnp.array([3, 5, 7])].add(x[:3]), (6, 2), 12),
    "dropped, none": (lambda x: x.at[jnp.array([1, 3, 5])].add(x[:3]), (6, 2), 0),
    "clipped": (lambda x: x.at[jnp.array([3, 5, 7])].get(mode="clip"), (6, 2), 3),
    "clipped to one": (lambda x: x.at[jnp.array([6, 8, 7])].get(mode="clip"), (6, 2), 0),
    "one, repeated": (lambda x: x[jnp.full(4, 2)], (5, 3), 0),
    "backwards": (lambda x: x[:, jnp.array([-1, -2, -3])], (5, 7), 0),
    "apart": (lambda x: x[jnp.array([1, 3])][:, jnp.array([6, 3, 0])] ** 2, (5, 7), 6),
    "a diagonal": (lambda x: jnp.diag(x, 1), (5, 7), 0),
    "a diagonal of pages": (lambda x: x[jnp.arange(3), :, jnp.arange(3)], (3, 5, 4), 0),
    "a diagonal, crossed": (lambda x: x[jnp.arange(5), jnp.arange(6, 1, -1)], (5, 7), 0),
    "the diagonal of a product": (lambda x: jnp.diag(x @ x.T), (5, 7), 35),
    "an antidiagonal, squared": (
        jax.grad(lambda x: (x[jnp.arange(5), jnp.arange(4, -1, -1)] ** 3).sum()),
        (5, 5),
        5,
    ),
    "windows": (lambda x: jax.vmap(lambda n: start(x, n))(jnp.array([1, 3, 5])) ** 2, (9,), 18),
    "in a loop": (
        lambda x: lax.fori_loop(1, 6, lambda n, x: x.at[n].set(x[n - 1] * x[n]), x),
        (7,),
        88,
    ),
    "along an axis, and back": (looked_up_along_an_axis, (5, 3), 75),
    "long": (lambda x: x.at[jnp.array(1)].set(0.0, mode="drop"), (3,), 3),
}
CASES = {
    f"{kind}: {name}": case
    for kind, table in (
        ("lookup", LOOKUPS),
        ("placement", PLACEMENTS),
        ("sum", SUMS),
        ("spelled out", SPELLED),
    )
    for name, case in table.items()
}


@cache
def computed(name):
    """Two inputs, the first one's Jacobian eagerly computed, and JAX's own by both."""
    function, shape, _ = CASES[name]
    x = jnp.asarray(np.random.default_rng(1).normal(size=shape))
    several = jnp.stack([x, 2 * x + 0.1])
    J = layouts.jacobian(function, structured=True)(x)
    return several, J, jax.jit(jax.vmap(jax.jacrev(function)))(several)


@pytest.mark.parametrize("name", CASES)
def test_every_way_gives_what_jax_gives(name):
    """Eagerly, and in one program: compiled in every order, structured, and mapped."""
    function, _, most = CASES[name]
    several, J, expected = computed(name)
    assert sum(array.size for array in J.arrays) <= most

    @jax.jit
    def everything(several, J):
        x, orders = several[0], ("forward", "reverse", "auto")
        found = [
            layouts.jacobian(function, structured=True)(x).dense(),
            J.dense(),  # which comes from outside
            *(layouts.jacobian(function, order=order)(x) for order in orders),
        ]
        mapped = jax.vmap(layouts.jacobian(function))(several)
        return jax.jacfwd(function)(x), found, mapped

    forward, found, mapped = everything(several, J)
    np.testing.assert_allclose(forward, expected[0], atol=1e-12)
    for dense in (J.dense(), *found):
        assert dense.shape == expected[0].shape
        np.testing.assert_allclose(dense, expected[0], atol=1e-11)
    np.testing.assert_allclose(mapped, expected, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_products_need_no_dense_jacobian(name):
    several, J, (dense, _) = computed(name)
    matrix = np.asarray(dense).reshape(-1, several[0].size)
    rng = np.random.default_rng(2)
    tangent, cotangent = rng.normal(size=J.in_shape), rng.normal(size=J.out_shape)

    @jax.jit
    def products(tangent, cotangent):
        return (
            J.jvp(tangent).ravel(),
            J.vjp(cotangent).ravel(),
            J.T.matrix(),
            J.gram("out").matrix(),
            J.gram("in").matrix(),
            (J @ J.T @ J).matrix(),
            J.to_bcoo().todense(),
        )

    wanted = (
        matrix @ tangent.ravel(),
        cotangent.ravel() @ matrix,
        matrix.T,
        matrix @ matrix.T,
        matrix.T @ matrix,
        matrix @ matrix.T @ matrix,
        dense,
    )
    for product, expected in zip(products(tangent, cotangent), wanted, strict=True):
        np.testing.assert_allclose(product, expected, atol=1e-10)


@pytest.mark.parametrize("name", ["edges", "squares", "messages", "bags"])
def test_sums_of_entries_multiply_nothing_that_is_zero(name):
    function, shape, _ = SUMS[name]
    report = layouts.cost(function)(jnp.ones(shape))
    assert report.planned.multiplications <= 24


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_entries_that_tables_list_are_convolved(order):
    """What a convolution is made of fits its own axes, not the entries of a sum still open."""

    def function(x):
        return jnp.convolve(jnp.diagonal(x), jnp.array([0.5, -1.0, 0.3]))

    x = jnp.asarray(RNG.normal(size=(3, 5)))
    found = layouts.jacobian(function, order=order)(x)
    np.testing.assert_allclose(found, jax.jacrev(function)(x), atol=1e-12)


@pytest.mark.parametrize(
    ("function", "printed"),
    [
        (
            lambda x: x.at[1:-1].add(x[2:] - 2 * x[1:-1] + x[:-2]),
            "δ[i,k] + δ[i+1,k] 1[i >= 1] - 2 δ[i,k] 1[i >= 1] 1[i < 6] + δ[i-1,k] 1[i < 6]",
        ),
        (lambda x: x.at[0].set(0.0), "δ[i,k] 1[i >= 1]"),
        (lambda x: x.at[:3].set(x[4:]), "δ[i,k] 1[i >= 3] + δ[i+4,k]"),
        (lambda x: x[jnp.arange(3) * 2], "δ[2i,k]"),
    ],
)
def test_places_that_the_program_spells_out_are_offsets(function, printed):
    """Run eagerly, compiled, and planned on shapes: nothing is looked up."""
    x = jnp.arange(7.0)
    eager = layouts.jacobian(function, structured=True)(x)
    compiled = jax.jit(layouts.jacobian(function, structured=True))(x)
    for J in (eager, compiled):
        assert str(J) == f"dD[i]/dx[k] = {printed}"
        assert not any(array.dtype.kind == "i" for array in J.arrays)


def test_places_that_are_an_argument_are_a_table():
    """What is planned does not depend on what they happen to be."""

    def function(x, places):
        return x[places]

    x, places = jnp.arange(7.0), jnp.array([1, 2, 3])
    for transform in (layouts.jacobian, lambda *a, **k: jax.jit(layouts.jacobian(*a, **k))):
        J = transform(function, structured=True)(x, places)
        assert len(J.terms[0].selections) == 1 and J.terms[0].selections[0].table is not None
    assert str(layouts.jacobian(function, structured=True)(x, places)).endswith("δ[A[i],k]")


def test_a_function_that_looks_at_its_numbers_still_looks_entries_up():
    def function(x):
        return x[jnp.arange(3)] * (2.0 if x[0] > 0 else 3.0)

    x = jnp.arange(1.0, 8.0)
    np.testing.assert_allclose(layouts.jacobian(function)(x), jax.jacrev(function)(x))


def test_two_lookups_by_one_table_are_a_delta():
    J = layouts.hessian(lambda x: (x[SQUARE] ** 3).sum(), structured=True)(jnp.arange(5.0))
    assert str(J).endswith("= 3 δ[i,k] A[i]")


def test_a_sum_that_is_not_taken_is_printed_as_one():
    J = layouts.jacobian(messages, structured=True)(jnp.ones(5))
    assert str(J) == "dD[i]/dx[k] = Σ_m δ[i,B[m]] δ[k,C[m]] A[m]"


def test_a_table_of_two_axes_is_printed_with_both():
    J = layouts.jacobian(lambda x: x[SQUARE], structured=True)(jnp.ones(5))
    assert str(J) == "dD[i,j]/dx[k] = δ[A[i,j],k]"


def test_promised_indices_that_lie_outside_are_dropped_as_in_reverse():
    """JAX leaves this open: its pushforward clips them and its pullback drops them."""

    def function(x):
        return x.at[OUTSIDE].get(mode="promise_in_bounds") ** 2

    x = jnp.arange(5.0)
    np.testing.assert_allclose(layouts.jacobian(function)(x), jax.jacrev(function)(x))


def test_weights_are_read_where_entries_are_looked_up():
    """`sin(x)[i] · x[i]`: what stands at the place is read for each label, no matrix multiplied."""
    rng = np.random.default_rng(1)
    x, places = jnp.asarray(rng.normal(size=40)), jnp.asarray(rng.integers(0, 40, 30))

    def function(x, places):
        return jnp.sin(x)[places] * x[places]

    found = layouts.jacobian(function)
    np.testing.assert_allclose(found(x, places), jax.jacrev(function)(x, places), atol=1e-14)
    program = str(jax.make_jaxpr(found)(x, places))
    assert "f64[30,40] = mul" not in program and "f64[40,30] = mul" not in program
