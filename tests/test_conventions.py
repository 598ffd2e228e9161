"""Conventions: shapes, vec orders, and arrange and read as inverses."""

import pickle
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts.conventions import Convention, arrange, arrange_array, convert, read
from layouts.conventions.cells import Cells, Layout
from layouts.conventions.textbooks import TEXTBOOKS
from layouts.errors import LayoutError
from layouts.transforms import jacobian

M, N, P, Q = 2, 3, 5, 7

SHAPES = {  # (out_shape, in_shape): numerator, denominator, mixed
    ((), ()): ((), (), ()),
    ((), (3,)): ((1, 3), (3, 1), (3, 1)),
    ((), (5, 7)): ((7, 5), (5, 7), (5, 7)),
    ((2,), ()): ((2, 1), (1, 2), (2, 1)),
    ((2,), (3,)): ((2, 3), (3, 2), (2, 3)),
    ((2,), (5, 7)): ((2, 35), (35, 2), (2, 35)),
    ((2, 3), ()): ((2, 3), (3, 2), (2, 3)),
    ((2, 3), (5,)): ((6, 5), (5, 6), (6, 5)),
    ((2, 3), (5, 7)): ((6, 35), (35, 6), (6, 35)),
    ((), (2, 3, 5)): ((1, 30), (30, 1), (1, 30)),
    ((2, 3, 5), ()): ((30, 1), (1, 30), (30, 1)),
    ((2, 3, 5), (7,)): ((30, 7), (7, 30), (30, 7)),
}
PLAIN = [Convention(layout=layout, vec=vec) for layout in Layout for vec in ("rows", "columns")]

sides = st.lists(st.sampled_from([1, 2, 3, 5]), max_size=3).map(tuple)
conventions = st.sampled_from([*PLAIN, *TEXTBOOKS.values()])


def numbers(*shape):
    return np.random.default_rng(shape).normal(size=shape)


def jacobian_of(dense, out_ndim):
    """Stands for the structured Jacobian: all that `arrange` asks of it."""
    return SimpleNamespace(
        out_shape=dense.shape[:out_ndim], in_shape=dense.shape[out_ndim:], dense=lambda: dense
    )


def writable(convention, out_shape, in_shape):
    try:
        arrange_array(np.zeros(out_shape + in_shape), convention, out_shape, in_shape)
    except LayoutError:
        return False
    return True


@pytest.mark.parametrize("vec", ["rows", "columns"])
@pytest.mark.parametrize(("sides", "written"), SHAPES.items(), ids=str)
def test_every_case_has_its_shape_in_every_layout(sides, written, vec):
    out_shape, in_shape = sides
    J = jacobian_of(numbers(*out_shape, *in_shape), len(out_shape))
    for layout, shape in zip(Layout, written, strict=True):
        convention = Convention(layout=layout, vec=vec)
        assert convention.shape(out_shape, in_shape) == shape
        assert arrange(J, convention).shape == shape


def test_where_each_entry_goes_entry_by_entry():
    gradient, derivative, jacobian = numbers(P, Q), numbers(M, N), numbers(M, N, P, Q)
    by_X = arrange_array(gradient, "numerator", (), (P, Q))
    by_s = arrange_array(derivative, "denominator", (M, N), ())
    rows = arrange_array(jacobian, Convention("numerator", "rows"), (M, N), (P, Q))
    columns = arrange_array(jacobian, Convention("numerator", "columns"), (M, N), (P, Q))
    transposed = arrange_array(jacobian, Convention("denominator", "columns"), (M, N), (P, Q))
    for i, j, k, l in np.ndindex(M, N, P, Q):  # noqa: E741
        entry = jacobian[i, j, k, l]
        assert by_X[l, k] == gradient[k, l]
        assert by_s[j, i] == derivative[i, j]
        assert rows[i * N + j, k * Q + l] == entry
        assert columns[i + M * j, k + P * l] == entry
        assert transposed[k + P * l, i + M * j] == entry


def test_vec_orders_of_a_matrix_product_are_its_two_kronecker_forms():
    W, X = numbers(2, 3), numbers(3, 5)
    by_W = np.einsum("ik,lj->ijkl", np.eye(2), X)  # dD[i,j]/dW[k,l] = δ[i,k] X[l,j]
    by_X = np.einsum("ik,jl->ijkl", W, np.eye(5))  # dD[i,j]/dX[k,l] = W[i,k] δ[j,l]
    rows, columns = Convention(vec="rows"), Convention(vec="columns")
    written = {
        "W rows": (by_W, rows, np.kron(np.eye(2), X.T)),
        "W columns": (by_W, columns, np.kron(X.T, np.eye(2))),
        "X rows": (by_X, rows, np.kron(W, np.eye(5))),
        "X columns": (by_X, columns, np.kron(np.eye(5), W)),
    }
    for name, (dense, convention, expected) in written.items():
        got = arrange(jacobian_of(dense, 2), convention)
        np.testing.assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize(("vec", "order"), [("rows", "C"), ("columns", "F")])
@given(out_shape=sides, in_shape=sides)
def test_the_stacked_matrix_maps_vec_to_vec(vec, order, out_shape, in_shape):
    dense, tangent = numbers(*out_shape, *in_shape), numbers(*in_shape)
    pushed = np.tensordot(dense, tangent, len(in_shape))
    stacked = Convention(vec=vec, cells=TEXTBOOKS["magnus-neudecker"].cells)
    matrix = arrange_array(dense, stacked, out_shape, in_shape)
    image = np.atleast_2d(matrix) @ np.ravel(tangent, order=order)
    np.testing.assert_allclose(image, np.ravel(pushed, order=order), atol=1e-12)


@given(convention=conventions, out_shape=sides, in_shape=sides)
def test_read_is_the_inverse_of_arrange(convention, out_shape, in_shape):
    if not writable(convention, out_shape, in_shape):
        return
    dense = numbers(*out_shape, *in_shape)
    written = arrange_array(dense, convention, out_shape, in_shape)
    assert written.shape == convention.shape(out_shape, in_shape)
    np.testing.assert_array_equal(read(written, convention, out_shape, in_shape), dense)
    again = arrange_array(
        read(written, convention, out_shape, in_shape), convention, out_shape, in_shape
    )
    np.testing.assert_array_equal(again, written)


@given(source=conventions, target=conventions, out_shape=sides, in_shape=sides)
def test_converting_there_and_back_changes_nothing(source, target, out_shape, in_shape):
    shapes = out_shape, in_shape
    if not (writable(source, *shapes) and writable(target, *shapes)):
        return
    array = numbers(*source.shape(*shapes))
    there = convert(array, source, target, *shapes)
    assert there.shape == target.shape(*shapes)
    np.testing.assert_array_equal(convert(there, target, source, *shapes), array)


def test_convert_composes():
    rows, columns = Convention("numerator", "rows"), Convention("denominator", "columns")
    array, shapes = numbers(6, 35), ((2, 3), (5, 7))
    direct = convert(array, rows, columns, *shapes)
    by_way_of_jax = convert(
        convert(array, rows, TEXTBOOKS["jax"], *shapes), TEXTBOOKS["jax"], columns, *shapes
    )
    np.testing.assert_array_equal(direct, by_way_of_jax)
    assert not np.array_equal(direct, array.T)


def test_the_vec_order_matters_only_where_a_matrix_is_stacked():
    for layout in Layout:
        rows, columns = (Convention(layout=layout, vec=vec) for vec in ("rows", "columns"))
        for out_shape, in_shape in SHAPES:
            dense = numbers(*out_shape, *in_shape)
            pair = [arrange_array(dense, c, out_shape, in_shape) for c in (rows, columns)]
            ndims = len(out_shape), len(in_shape)
            stacked = max(ndims) > 2 or sorted(ndims) in ([1, 2], [2, 2])
            assert np.array_equal(*pair) is not stacked, (layout, out_shape, in_shape)


def test_it_works_under_jit_and_vmap_and_keeps_jax_arrays():
    dense = jnp.asarray(numbers(2, 3, 5, 7))
    convention, shapes = Convention("denominator", "columns"), ((2, 3), (5, 7))
    write = lambda array: arrange_array(array, convention, *shapes)  # noqa: E731
    written = write(dense)
    assert isinstance(written, jax.Array) and written.dtype == dense.dtype
    np.testing.assert_array_equal(jax.jit(write)(dense), written)
    np.testing.assert_array_equal(jax.vmap(write)(dense[None])[0], written)


@pytest.mark.parametrize("name", ["jax", "magnus-neudecker", "casadi"])
def test_a_structured_jacobian_is_arranged_like_its_dense_array(name):
    W, X = jnp.asarray(numbers(2, 3)), jnp.asarray(numbers(3, 5))
    function = lambda X: jnp.tanh(W @ X)  # noqa: E731
    J, dense = jacobian(function, structured=True)(X), jax.jacrev(function)(X)
    for convention in (TEXTBOOKS[name], *PLAIN):
        expected = arrange_array(dense, convention, (2, 5), (3, 5))
        np.testing.assert_allclose(arrange(J, convention), expected, atol=1e-13)


def test_names_and_layouts_stand_for_conventions_by_rows():
    dense, shapes = numbers(2, 3, 5, 7), ((2, 3), (5, 7))
    expected = arrange_array(dense, Convention("denominator", "rows"), *shapes)
    for short in ("denominator", Layout.DENOMINATOR):
        np.testing.assert_array_equal(arrange_array(dense, short, *shapes), expected)
        np.testing.assert_array_equal(read(expected, short, *shapes), dense)


def test_lists_and_numbers_are_read_as_arrays():
    np.testing.assert_array_equal(read([[1], [2]], "denominator", (), (2,)), [1, 2])
    assert read(3.0, "mixed", (), ()) == 3.0


def test_arrays_of_size_zero():
    for convention in PLAIN:
        written = arrange_array(np.zeros((0, 3, 5)), convention, (0, 3), (5,))
        assert written.shape == convention.shape((0, 3), (5,))
        assert read(written, convention, (0, 3), (5,)).shape == (0, 3, 5)


def test_a_convention_is_a_value():
    assert Convention() == Convention(layout="numerator", vec="rows")
    assert Convention("mixed").layout is Layout.MIXED
    assert len({Convention("mixed"), Convention(Layout.MIXED), Convention("mixed", "columns")}) == 2
    assert eval(repr(Convention("mixed", "columns"))) == Convention("mixed", "columns")
    own = Convention(None, None, cells=Cells(s_by_x="row"))
    assert eval(repr(own)) == own
    for convention in (own, TEXTBOOKS["magnus-neudecker"]):
        assert pickle.loads(pickle.dumps(convention)) == convention
    with pytest.raises(AttributeError):
        own.layout = "mixed"


@pytest.mark.parametrize("vec", ["diagonal", "Rows", None, 0])
def test_a_vec_order_that_is_none(vec):
    with pytest.raises(LayoutError, match=r"vec order: expected 'rows' or 'columns', got"):
        Convention(vec=vec)


@pytest.mark.parametrize("layout", ["gradient", None, 3])
def test_a_layout_that_is_none(layout):
    with pytest.raises(LayoutError, match=r"'numerator', 'denominator', 'mixed'"):
        Convention(layout=layout)


def test_reading_a_transposed_array_names_the_layout_that_it_is_in():
    with pytest.raises(LayoutError) as caught:
        read(numbers(2, 3), Convention("denominator", "columns"), (2,), (3,))
    message = str(caught.value)
    assert "denominator layout, vec by columns" in message
    assert "expected shape (3, 2)" in message and "got (2, 3)" in message
    assert "read it with Convention(layout='numerator', vec='columns')" in message


def test_reading_an_array_in_jax_order_says_so():
    with pytest.raises(LayoutError, match=r"JAX's order.*TEXTBOOKS\['jax'\]"):
        read(numbers(2, 3, 5, 7), "numerator", (2, 3), (5, 7))


def test_reading_an_array_of_no_layout():
    with pytest.raises(LayoutError, match=r"\(6, 35\).*got \(5, 42\).*check out_shape"):
        read(numbers(5, 42), "numerator", (2, 3), (5, 7))


def test_arranging_what_is_no_jacobian():
    with pytest.raises(LayoutError, match=r"one layouts.Jacobian, got tuple"):
        arrange((numbers(2, 3),), "numerator")
    with pytest.raises(LayoutError, match=r"dense Jacobian: expected shape \(2, 3\)"):
        arrange_array(numbers(3, 2), "numerator", (2,), (3,))


@pytest.mark.parametrize("wrong", ["magnus-neudecker", None, ("numerator", "rows"), ["mixed"]])
def test_what_is_no_convention(wrong):
    with pytest.raises(LayoutError, match=r"convention: expected .*TEXTBOOKS"):
        arrange_array(numbers(2, 3), wrong, (2,), (3,))


@pytest.mark.parametrize("wrong", [5, (2.5,), (-1,), None, "ab"])
def test_what_is_no_shape(wrong):
    with pytest.raises(LayoutError, match=r"in_shape: expected a tuple of sizes"):
        Convention().shape((2,), wrong)
