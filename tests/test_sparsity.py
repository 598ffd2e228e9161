"""Patterns against the dense array: a term with ones for factors has zeros where structure says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.axes import Label
from layouts.selection import Selection
from layouts.sparsity import pattern, pieces
from layouts.terms import Term
from tests.oracle import tables_of


def in_pieces(exact, counts):
    """Any entry of each piece, by the definition of a piece."""
    for axis, count in enumerate(counts):
        size = exact.shape[axis]
        piece = np.arange(size) * count // size
        parts = [exact.compress(piece == n, axis).any(axis) for n in range(count)]
        exact = np.stack(parts, axis)
    return exact


FUNCTIONS = {
    "stencil": lambda x: x[2:] - x[:-2],
    "every third": lambda x: x[1::3],
    "flipped": lambda x: x[::-1] * x[0],
    "backwards in steps": lambda x: x[-2::-5],
    "padded": lambda x: jnp.pad(x, (5, 9)),
    "lookup": lambda x: x[jnp.array([40, 2, 2, 17, 30, 31, 32, 0, 1, 8, 90])],
    "pointwise": jnp.tanh,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("most", [2, 7, 13])
def test_pieces_of_one_tie_are_exact(name, most):
    x = jnp.linspace(0.1, 2.0, 97)
    J = layouts.jacobian(FUNCTIONS[name], structured=True)(x)
    out, into = pieces(J.terms, J.out_shape, J.in_shape, most)
    exact = pattern(J.terms, tables_of(J), J.out_shape, J.in_shape)
    found = pattern(J.terms, tables_of(J), out, into)
    assert found.shape == (min(most, J.shape[0]), min(most, J.shape[1]))
    np.testing.assert_array_equal(found, in_pieces(exact, out + into))


@pytest.mark.parametrize("most", [4, 9, 30])
def test_pieces_of_several_axes_leave_nothing_out(most):
    W, X = jnp.ones((11, 6)), jnp.ones((6, 7))
    J = layouts.jacobian(lambda W, X: jnp.tanh((W @ X).reshape(77)), structured=True)(W, X)
    out, into = pieces(J.terms, J.out_shape, J.in_shape, most)
    exact = in_pieces(pattern(J.terms, {}, J.out_shape, J.in_shape), out + into)
    found = pattern(J.terms, {}, out, into)
    assert max(np.prod(out), np.prod(into)) <= most
    assert (found | ~exact).all()
    np.testing.assert_array_equal(found, exact)  # deltas of separate axes: exact here too


def test_axes_of_several_digits_are_cut_between_the_first():
    a, b, k = Label(4), Label(25), Label(25)
    terms = (Term(((a, b),), ((a,), (k,))),)
    assert pieces(terms, (100,), (4, 25), 8) == ((4,), (2, 4))
    assert pieces((*terms, Term(((Label(25), Label(4)),), ((a,), (k,)))), (100,), (4, 25), 8)[
        0
    ] == (1,)


def test_a_tie_of_a_digit_to_itself_and_a_missing_table():
    i, k = Label(5), Label(5)
    looped = Term(((i,),), ((i,),), selections=(Selection.affine(i, i, 4, -1),))
    assert np.argwhere(pattern((looped,), {}, (5,), (5,))).tolist() == [[2, 2]]
    J = layouts.jacobian(lambda x: x[jnp.array([3, 0, 1])], structured=True)(jnp.ones(5))
    assert pattern(J.terms, tables_of(J), (3,), (5,)).sum() == 3
    assert pattern(J.terms, {}, (3,), (5,)).all()
    assert not pattern((), {}, (2,), (5,)).any()
    assert k is not i


def test_an_axis_of_a_billion_places_takes_no_memory():
    x = jax.ShapeDtypeStruct((10**9,), jnp.float32)
    J = jax.eval_shape(layouts.jacobian(lambda x: x[3:] * 2, structured=True), x)
    out, into = pieces(J.terms, J.out_shape, J.in_shape, 64)
    assert 64 <= pattern(J.terms, {}, out, into).sum() <= 128
