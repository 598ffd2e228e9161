"""`identify`: which conventions an array is in, on functions that tell them apart."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts.conventions import Convention, arrange_array
from layouts.conventions.cells import Layout
from layouts.conventions.textbooks import TEXTBOOKS
from layouts.errors import LayoutError
from layouts.identify import identify

PLAIN = [Convention(layout=layout, vec=vec) for layout in Layout for vec in ("rows", "columns")]


def numbers(*shape):
    return np.random.default_rng(shape).normal(size=shape)


W, X, x, A, B = numbers(2, 3), numbers(3, 5), numbers(7), numbers(2, 7), numbers(3, 5, 7)
FUNCTIONS = {  # case → function, its point, the one argument that the derivative is by
    "s by s": (jnp.tanh, (0.3,)),
    "s by x": (lambda x: jnp.sum(jnp.sin(x)), (x,)),
    "s by X": (lambda X: jnp.sum(jnp.sin(W @ X)), (X,)),
    "y by s": (lambda s: jnp.sin(s * x), (0.7,)),
    "y by x": (lambda x: jnp.tanh(A @ x), (x,)),
    "y by X": (lambda X: jnp.sum(jnp.sin(W @ X), axis=1), (X,)),
    "Y by s": (lambda s: jnp.sin(s * X), (0.7,)),
    "Y by x": (lambda x: jnp.tanh(B @ x), (x,)),
    "Y by X": (lambda X: jnp.tanh(W @ X), (X,)),
}


@cache
def derivative_of(case):
    fun, point = FUNCTIONS[case]
    value, dense = jax.jit(lambda *point: (fun(*point), jax.jacrev(fun)(*point)))(*point)
    return np.asarray(dense), value.shape, np.shape(point[0])


def written(convention, dense, out_shape, in_shape):
    try:
        return arrange_array(dense, convention, out_shape, in_shape)
    except LayoutError:
        return None


@pytest.mark.parametrize("case", FUNCTIONS)
def test_exactly_the_conventions_that_write_it_so_are_found(case):
    fun, point = FUNCTIONS[case]
    derivative = derivative_of(case)
    every = [*PLAIN, *TEXTBOOKS.values()]
    arrays = [written(convention, *derivative) for convention in every]
    for array in (array for array in arrays if array is not None):
        same = [
            convention
            for convention, other in zip(every, arrays, strict=True)
            if other is not None and np.array_equal(array, other)
        ]
        assert identify(array, fun, *point) == same


def test_the_two_vec_orders_of_a_product_are_told_apart():
    product = lambda X: W @ X  # noqa: E731
    by_rows = identify(np.kron(W, np.eye(5)), product, X)
    by_columns = identify(np.kron(np.eye(5), W), product, X)
    assert by_rows == [Convention("numerator", "rows"), Convention("mixed", "rows")]
    assert by_columns[:2] == [Convention("numerator", "columns"), Convention("mixed", "columns")]
    assert TEXTBOOKS["magnus-neudecker"] in by_columns
    assert identify(np.kron(W.T, np.eye(5)), product, X) == [Convention("denominator", "rows")]


def test_jax_order_is_a_convention_too():
    product = lambda X: W @ X  # noqa: E731
    found = identify(jax.jacrev(product)(X), product, X)
    assert [c.name for c in found] == ["jax", "autograd", "enzyme"]


@given(st.sampled_from(list(FUNCTIONS)), st.sampled_from(PLAIN), st.data())
def test_a_wrong_array_is_in_no_convention(case, convention, data):
    fun, point = FUNCTIONS[case]
    array = np.array(written(convention, *derivative_of(case)))
    place = data.draw(st.integers(0, array.size - 1))
    array.flat[place] += 1e-3 * np.max(np.abs(array))
    assert identify(array, fun, *point) == []
    assert identify(2 * array, fun, *point) == []


def test_a_wrong_shape_is_in_no_convention():
    fun, point = FUNCTIONS["y by X"]
    assert identify(np.ones(30), fun, *point) == []
    assert identify([], fun, *point) == []


def test_a_symmetric_jacobian_is_in_all_layouts():
    S = numbers(3, 3) + numbers(3, 3).T
    found = identify(S, lambda x: S @ x, x[:3])
    assert found[:6] == PLAIN and TEXTBOOKS["zygote"] in found


def test_argnums_picks_the_argument():
    product = lambda W, X: W @ X  # noqa: E731
    by_W = identify(np.kron(np.eye(2), X.T), product, W, X)
    by_X = identify(np.kron(W, np.eye(5)), product, W, X, argnums=1)
    assert by_W == by_X == [Convention("numerator", "rows"), Convention("mixed", "rows")]
    assert identify(np.kron(W, np.eye(5)), product, W, X, argnums=-1) == by_X
    assert identify(np.kron(W, np.eye(5)), product, W, X) == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_tolerance_is_that_of_the_coarser_dtype(dtype):
    fun, (point,) = FUNCTIONS["y by x"]
    exact = np.asarray(jax.jacrev(fun)(point))
    rounded = jnp.asarray(exact, dtype)
    assert Convention("numerator") in identify(rounded, fun, point)
    assert Convention("numerator") in identify(exact, fun, jnp.asarray(point, dtype))
    off = 3 * float(jnp.finfo(dtype).eps) ** 0.5 * np.max(np.abs(exact))
    assert identify(exact + off, fun, jnp.asarray(point, dtype)) == []


def test_integers_are_compared_as_numbers():
    double = lambda x: jnp.array([2 * x[0], 3 * x[2]])  # noqa: E731
    assert Convention("denominator") in identify([[2, 0], [0, 0], [0, 3]], double, x[:3])


def test_what_it_cannot_compare_with():
    fun, point = FUNCTIONS["y by x"]
    dense = jax.jacrev(fun)(*point)
    with pytest.raises(LayoutError, match=r"argnums of identify: expected one integer"):
        identify(dense, fun, *point, argnums=(0,))
    with pytest.raises(LayoutError, match=r"one array by one array, got .* a dict"):
        identify(dense, lambda x: {"y": fun(x)}, *point)
    with pytest.raises(LayoutError, match=r"array to identify: expected numbers"):
        identify({"y": dense}, fun, *point)
    with pytest.raises(TypeError):
        identify(dense, fun, np.arange(7))
