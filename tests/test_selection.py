"""Selections against their own definition: the set of (place, label) pairs where they are one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layouts
from layouts.axes import Label
from layouts.selection import Selection, meeting
from tests.laws import value_of

extents = st.integers(1, 8)
starts = st.integers(-9, 9)
steps = st.sampled_from([-3, -2, -1, 1, 2, 3])


def pairs(selection: Selection) -> set[tuple[int, int]]:
    """The (place, label) pairs that a selection holds for."""
    if selection.table is not None:
        table = value_of(selection.table, ())
        return {(int(p), n) for n, p in enumerate(table) if p < selection.place.size}
    return {(selection.start + selection.step * n, n) for n in range(*selection.window)}


def brute(places: int, labels: int, start: int, step: int) -> set[tuple[int, int]]:
    """The same from the definition, every pair tried."""
    return {(p, n) for p in range(places) for n in range(labels) if p == start + step * n}


@given(places=extents, labels=extents, start=starts, step=steps)
def test_the_window_is_cut_to_the_labels_that_have_a_place(places, labels, start, step):
    selection = Selection.affine(Label(places), Label(labels), start, step)
    assert pairs(selection) == brute(places, labels, start, step)


@given(
    sizes=st.tuples(extents, extents, extents),
    one=st.tuples(starts, steps),
    two=st.tuples(starts, steps),
)
def test_one_after_another_is_the_composed_relation(sizes, one, two):
    place, middle, label = map(Label, sizes)
    outer, inner = Selection.affine(place, middle, *one), Selection.affine(middle, label, *two)
    expected = {(p, n) for p, m in pairs(outer) for other, n in pairs(inner) if m == other}
    found = outer.after(inner)
    assert (found.place, found.label) == (place, label)
    assert pairs(found) == expected


@given(places=extents, labels=extents, start=starts, step=st.sampled_from([-1, 1]))
def test_an_inverse_swaps_the_pairs(places, labels, start, step):
    selection = Selection.affine(Label(places), Label(labels), start, step)
    inverse = selection.inverted()
    assert inverse is not None
    assert pairs(inverse) == {(n, p) for p, n in pairs(selection)}


@given(places=extents, labels=extents, start=starts, step=steps)
def test_an_inverse_by_table_swaps_the_pairs(places, labels, start, step):
    selection = Selection.affine(Label(places), Label(labels), start, step)
    assert pairs(selection.listed_inverse()) == {(n, p) for p, n in pairs(selection)}


@given(digits=st.lists(st.integers(2, 4), min_size=1, max_size=3), place=st.integers(0, 80))
def test_the_digits_of_the_place_of_a_single_entry_need_no_table(digits, place):
    whole, entry = Label(math.prod(digits)), Label(1)
    parts = tuple(map(Label, digits))
    found = Selection.affine(whole, entry, place).split(parts, ((entry,),))
    assert [one.place for one in found] == [*parts]
    assert all(one.table is None and one.label is entry for one in found)
    if place < whole.size:
        places = np.unravel_index(place, digits)
        assert [pairs(one) for one in found] == [{(at, 0)} for at in places]
    else:
        assert all(one.empty for one in found)


def test_a_step_of_two_has_an_inverse_by_table_alone():
    assert Selection.affine(Label(7), Label(3), 0, 2).inverted() is None


@given(
    sizes=st.tuples(extents, extents, extents),
    one=st.tuples(starts, steps),
    two=st.tuples(starts, steps),
)
def test_two_selections_of_one_place_tie_their_labels(sizes, one, two):
    place, first, second = map(Label, sizes)
    a, b = Selection.affine(place, first, *one), Selection.affine(place, second, *two)
    found = meeting(a, b)
    assert found is not None
    expected = {(m, n) for p, m in pairs(a) for q, n in pairs(b) if p == q}
    turned = pairs(found) if found.label is second else {(m, n) for n, m in pairs(found)}
    assert turned == expected


INDEX = np.array([2, 0, 2, 4, 1, 1])
WEIGHT = np.random.default_rng(0).normal(size=(7, 5))
SPARSE = {  # name: function, input shape, the most entries that may be stored
    "stencil": (lambda x: x[2:] - 2 * x[1:-1] + x[:-2], (7,), 1),
    "stride": (lambda x: x[1::2] * x[:6:2], (7,), 6),
    "flip": (lambda x: x[::-1] * x, (7,), 14),
    "pad and crop": (lambda x: jnp.pad(x, (2, 1))[1:6] * 2, (5,), 1),
    "interior pad": (lambda x: jax.lax.pad(x, 0.0, [(1, -1, 2)]), (5,), 0),
    "roll": (lambda x: jnp.roll(x, 2) + x, (7,), 0),
    "roll there and back": (lambda x: jnp.roll(jnp.roll(x, 2) * x, -3), (7,), 21),
    "concatenate": (lambda x: jnp.concatenate([x, jnp.sin(x), x[:2]]), (5,), 5),
    "split": (lambda x: jnp.multiply(*jnp.split(x, 2)), (8,), 8),
    "stack": (lambda x: jnp.stack([x[0], x[2] * x[1]]), (5,), 2),
    "one entry": (lambda x: x[3] * x, (7,), 8),
    "matrix of entries": (
        lambda x: jnp.stack([x[0], -x[1], x[1], x[0]]).reshape(2, 2) @ x[2:],
        (4,),
        10,
    ),
    "lookup": (lambda x: x[INDEX] ** 2, (5,), 12),
    "lookup of rows": (lambda x: jnp.tanh(x[INDEX]), (5, 3), 24),
    "scatter": (lambda x: jnp.zeros(5).at[INDEX].add(x) * 2, (6,), 7),
    "sort": (jnp.sort, (5,), 5),
    "out of bounds dropped": (
        lambda x: x.at[np.array([1, 9, -7])].get(mode="fill", fill_value=0.0),
        (5,),
        3,
    ),
    "out of bounds clipped": (lambda x: x.at[np.array([1, 9, -7])].get(mode="clip"), (5,), 3),
    "moving start": (lambda x: jax.lax.dynamic_slice(x, (jnp.int32(9),), (3,)) * 2, (7,), 4),
    "patches": (lambda x: x[1:, 1:] + x[:-1, :-1], (4, 5), 0),
    "sliced matrix": (lambda x: x[1:3] @ WEIGHT.T[:, :3], (4, 5), 15),
}


@pytest.mark.parametrize("name", SPARSE)
def test_selections_stay_sparse_and_exact(name):
    function, shape, most = SPARSE[name]
    x = jnp.asarray(np.random.default_rng(1).normal(size=shape))
    expected = jax.jacrev(function)(x)
    J = layouts.jacobian(function, structured=True)(x)
    assert sum(array.size for array in J.arrays) <= most
    np.testing.assert_allclose(J.dense(), expected, atol=1e-12)
    np.testing.assert_allclose(jax.jit(lambda J: J.dense())(J), expected, atol=1e-12)
    for order in ("forward", "reverse"):
        np.testing.assert_allclose(layouts.jacobian(function, order=order)(x), expected, atol=1e-12)
    cotangent = jnp.asarray(np.random.default_rng(2).normal(size=J.out_shape))
    np.testing.assert_allclose(J.vjp(cotangent), jax.vjp(function, x)[1](cotangent)[0], atol=1e-12)
    inputs = range(-x.ndim, 0)
    gram = np.tensordot(expected, expected, (tuple(inputs), tuple(inputs)))
    np.testing.assert_allclose(J.gram().dense(), gram, atol=1e-12)
