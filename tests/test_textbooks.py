"""The verified cells, each against a shape that is written out here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.conventions import Convention, arrange_array
from layouts.conventions.textbooks import TEXTBOOKS
from layouts.errors import LayoutError

M, N, P, Q = 2, 3, 5, 7
CASES = {  # column → (out_shape, in_shape)
    "y by x": ((M,), (N,)),
    "s by x": ((), (N,)),
    "s by X": ((), (P, Q)),
    "Y by s": ((M, N), ()),
    "Y by X": ((M, N), (P, Q)),
    "y by s": ((M,), ()),
}
NO = None  # not verified, not defined, or the author's choice
# columns as in CASES; m×n = (2, 3), p×q = (5, 7), mn×pq = (6, 35)
TABLE = {
    "wikipedia-numerator": [(2, 3), (1, 3), (7, 5), (2, 3), NO, NO],
    "wikipedia-denominator": [(3, 2), (3, 1), (5, 7), (3, 2), NO, NO],
    "wikipedia-mixed": [NO, NO, (5, 7), (2, 3), NO, NO],
    "magnus-neudecker": [(2, 3), (1, 3), (1, 35), (6, 1), (6, 35), (2, 1)],
    "minka": [(2, 3), (1, 3), (7, 5), (2, 3), NO, NO],
    "matrix-cookbook": [NO] * 6,
    "parr-howard": [NO] * 6,
    "mit-18.s096": [(2, 3), (3,), (5, 7), NO, (6, 35), NO],
    "mit-18.s096-derivative": [(2, 3), (1, 3), NO, NO, (6, 35), NO],
    "jax": [(2, 3), (3,), (5, 7), (2, 3), (2, 3, 5, 7), (2,)],
    "autograd": [(2, 3), (3,), (5, 7), (2, 3), (2, 3, 5, 7), (2,)],
    "pytorch": [NO] * 6,
    "tensorflow": [NO] * 6,
    "tensorflow-batch-jacobian": [(2, 3), NO, NO, NO, NO, NO],
    "casadi": [(2, 3), (3, 1), (5, 7), (6, 1), (6, 35), (2, 1)],
    "casadi-jacobian": [(2, 3), (1, 3), (1, 35), (6, 1), (6, 35), (2, 1)],
    "matlab-symbolic": [(2, 3), (3, 1), NO, NO, NO, NO],
    "matlab-symbolic-jacobian": [(2, 3), (1, 3), NO, NO, NO, NO],
    "matlab-dlgradient": [NO] * 6,
    "forwarddiff": [(2, 3), NO, NO, NO, (6, 35), NO],
    "zygote": [(3, 2), NO, NO, NO, NO, NO],
    "enzyme": [(2, 3), NO, NO, NO, (2, 3, 5, 7), NO],
    "stan": [(2, 3), NO, NO, NO, NO, NO],
    "eigen": [(2, 3), NO, NO, NO, NO, NO],
    "r-numderiv": [NO] * 6,
    "matrixcalculus.org": [NO] * 6,
}
VEC = {  # the others' order is not verified
    "magnus-neudecker": "columns",
    "minka": "columns",
    "matrix-cookbook": "columns",
    "mit-18.s096": "columns",
    "mit-18.s096-derivative": "columns",
    "casadi": "columns",
    "casadi-jacobian": "columns",
    "jax": "rows",
    "autograd": "rows",
}


def numbers(*shape):
    return np.random.default_rng(shape).normal(size=shape)


def test_the_table_here_has_every_entry():
    assert list(TEXTBOOKS) == list(TABLE)


@pytest.mark.parametrize(("name", "row"), TABLE.items(), ids=list(TABLE))
def test_every_cell_has_its_shape_or_says_why_not(name, row):
    convention = TEXTBOOKS[name]
    for (case, shapes), expected in zip(CASES.items(), row, strict=True):
        if expected is NO:
            with pytest.raises(LayoutError, match=f"{case}.*(not verified|in the source)"):
                convention.shape(*shapes)
        else:
            assert convention.shape(*shapes) == expected, case


@pytest.mark.parametrize("name", TEXTBOOKS)
def test_each_entry_keeps_its_name_source_and_vec_order(name):
    convention = TEXTBOOKS[name]
    assert convention.name == name and repr(convention) == f"TEXTBOOKS[{name!r}]"
    assert convention.source and str(convention) == convention.source
    assert convention.vec == VEC.get(name)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TEXTBOOKS["mine"] = Convention()


@pytest.mark.parametrize("name", ["magnus-neudecker", "mit-18.s096", "casadi"])
def test_the_books_stack_matrices_by_columns(name):
    W, X = numbers(2, 3), numbers(3, 5)
    by_X = jax.jacrev(lambda X: W @ X)(X)
    written = arrange_array(by_X, TEXTBOOKS[name], (2, 5), (3, 5))
    np.testing.assert_allclose(written, np.kron(np.eye(5), W), atol=1e-14)


@pytest.mark.parametrize("name", ["magnus-neudecker", "casadi-jacobian"])
def test_vec_of_gradient_and_derivative_run_down_the_columns(name):
    gradient, derivative = numbers(P, Q), numbers(M, N)
    row = arrange_array(gradient, TEXTBOOKS[name], (), (P, Q))
    column = arrange_array(derivative, TEXTBOOKS[name], (M, N), ())
    np.testing.assert_array_equal(row, gradient.ravel(order="F")[None, :])
    np.testing.assert_array_equal(column, derivative.ravel(order="F")[:, None])


def test_q_by_p_is_the_transposed_gradient_and_not_a_reshaped_one():
    gradient = numbers(P, Q)
    for name in ("wikipedia-numerator", "minka"):
        written = arrange_array(gradient, TEXTBOOKS[name], (), (P, Q))
        np.testing.assert_array_equal(written, gradient.T)


def test_a_known_shape_with_an_unknown_vec_order_is_not_filled():
    convention, shapes = TEXTBOOKS["forwarddiff"], ((M, N), (P, Q))
    assert convention.shape(*shapes) == (6, 35)
    with pytest.raises(LayoutError, match=r"ForwardDiff.jl, vec order.*not verified"):
        arrange_array(numbers(M, N, P, Q), convention, *shapes)
    y_by_x = numbers(M, N)
    np.testing.assert_array_equal(arrange_array(y_by_x, convention, (M,), (N,)), y_by_x)


def test_undefined_and_unverified_are_told_apart():
    with pytest.raises(LayoutError, match=r"Wikipedia, numerator.*'not defined' in the source"):
        TEXTBOOKS["wikipedia-numerator"].shape((M, N), (P, Q))
    with pytest.raises(LayoutError, match=r"Wikipedia, mixed.*'author's choice' in the source"):
        TEXTBOOKS["wikipedia-mixed"].shape((M,), (N,))
    with pytest.raises(LayoutError, match=r"PyTorch.*a cell that is not verified"):
        TEXTBOOKS["pytorch"].shape((M,), (N,))


@pytest.mark.parametrize(
    ("out_shape", "in_shape"),
    [*CASES.values(), ((M,), (P, Q)), ((M, N), (P,)), ((M, N, P), (Q,)), ((), (M, N, P))],
)
def test_the_jax_entry_is_what_jax_does(out_shape, in_shape):
    A = numbers(*out_shape, *in_shape)
    given = jax.jacrev(lambda x: jnp.tensordot(A, x, len(in_shape)))(jnp.ones(in_shape))
    assert TEXTBOOKS["jax"].shape(out_shape, in_shape) == given.shape
    np.testing.assert_allclose(arrange_array(A, TEXTBOOKS["jax"], out_shape, in_shape), given)
