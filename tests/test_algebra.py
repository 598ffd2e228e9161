"""The algebra of terms, on random sums of terms, against nested loops over every index."""

from collections import Counter
from itertools import combinations
from math import prod

import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from hypothesis import given, settings

from layouts import algebra, pairing, products
from layouts.axes import Label, fresh_axes, labels_of
from layouts.evaluate import evaluate
from layouts.nodes import Leaf
from layouts.program import cost
from layouts.selection import Selection
from layouts.terms import Factor, Term, afresh, check, relabel, stored_size
from tests.laws import by_loops
from tests.strategies import factorisations

quick = settings(derandomize=True, deadline=None, max_examples=150)
eager = settings(quick, max_examples=25)
COEFFICIENTS = (1, 1, -1, 2, 0.5)


class Pool:
    """Residuals made as terms ask for them."""

    def __init__(self):
        self.rng, self.arrays = np.random.default_rng(0), []

    def table(self, places):
        self.arrays.append(np.asarray(places, np.int32))
        return Leaf((len(places),), 4, (), len(self.arrays) - 1)

    def factor(self, labels):
        array = self.rng.standard_normal([label.size for label in labels])
        self.arrays.append(array)
        return Factor(Leaf(array.shape, 8, (), len(self.arrays) - 1), tuple(labels))


@st.composite
def sums(draw, pool, out_shape, in_shape, most=3, dropped=0):
    """A random sum of terms between two shapes: digits, deltas, ones and factors."""
    terms = []
    for _ in range(draw(st.integers(1, most))):
        out, into = (
            tuple(
                tuple(Label(n) for n in draw(factorisations(extent)) if n > 1) for extent in shape
            )
            for shape in (out_shape, in_shape)
        )
        into = _with_deltas(draw, out, into)
        selections = _with_selections(draw, pool, out, into, dropped)
        labels = list(Term(out, into, (), 1, selections).labels)
        factors = []
        for _ in range(draw(st.integers(0, 2))):
            carried = draw(st.lists(st.sampled_from(labels), unique=True)) if labels else []
            factors.append(pool.factor(carried))
        coefficient = draw(st.sampled_from(COEFFICIENTS))
        terms.append(Term(out, into, tuple(factors), coefficient, selections))
    return tuple(terms)


def _with_selections(draw, pool, out, into, dropped):
    """Some axes tied by offsets, strides and tables, each label of either side at most once."""
    shared = {*labels_of(out)} & {*labels_of(into)}
    free = [[label for label in labels_of(side) if label not in shared] for side in (out, into)]
    selections = []
    for _ in range(draw(st.integers(0, 2))):
        if not (free[0] and free[1]):
            break
        ends = [draw(st.sampled_from(side)) for side in free]
        for end, side in zip(ends, free, strict=True):
            side.remove(end)
        place, label = ends if draw(st.booleans()) else ends[::-1]
        if draw(st.integers(0, 3)):
            start, step = (
                draw(st.integers(-3, place.size + 2)),
                draw(st.sampled_from([1, 1, -1, 2, -2])),
            )
            selections.append(Selection.affine(place, label, start, step))
        else:
            places = st.integers(0, place.size - 1 + dropped)  # past the end: dropped
            size = label.size
            table = pool.table(draw(st.lists(places, min_size=size, max_size=size)))
            selections.append(Selection(place, label, table=table))
    return tuple(selections)


def _with_deltas(draw, out, into):
    """Some input labels become output labels of their size, each output label at most once."""
    free = list(labels_of(out))
    renamed = []
    for axis in into:
        digits = []
        for label in axis:
            twins = [other for other in free if other.size == label.size]
            twin = draw(st.sampled_from([None, *twins]))
            if twin is not None:
                free.remove(twin)
            digits.append(twin or label)
        renamed.append(tuple(digits))
    return tuple(renamed)


SHAPES = [(), (6,), (4, 3), (2, 6), (12,), (3, 2, 2)]
shapes = st.sampled_from(SHAPES)


def agree(terms, pool, expected, out_shape, in_shape):
    """The terms are sound and stand for the array that is expected."""
    for term in terms:
        check(term)
    found = by_loops(terms, pool.arrays, out_shape, in_shape)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def written(terms, pool, out_shape, in_shape):
    """The dense array as the engine writes it."""
    node = algebra.write(terms, (*out_shape, *in_shape), 8)
    (array,) = jax.jit(lambda arrays: evaluate([node], arrays))(pool.arrays)
    return np.asarray(array, float)


@eager
@given(st.data(), shapes, shapes)
def test_writing_is_the_definition(data, out_shape, in_shape):
    pool = Pool()
    terms = data.draw(sums(pool, out_shape, in_shape))
    expected = by_loops(terms, pool.arrays, out_shape, in_shape)
    np.testing.assert_allclose(written(terms, pool, out_shape, in_shape), expected, atol=1e-9)


@quick
@given(st.data(), shapes, shapes, shapes)
def test_composition_is_the_matrix_product(data, out_shape, middle, in_shape):
    pool = Pool()
    left = data.draw(sums(pool, out_shape, middle, 2))
    right = data.draw(sums(pool, middle, in_shape, 2))
    L = by_loops(left, pool.arrays, out_shape, middle).reshape(prod(out_shape), prod(middle))
    R = by_loops(right, pool.arrays, middle, in_shape).reshape(prod(middle), prod(in_shape))
    expected = (L @ R).reshape((*out_shape, *in_shape))
    agree(algebra.compose(left, right), pool, expected, out_shape, in_shape)


@quick
@given(st.data(), shapes, shapes, st.sampled_from([(), (6,)]))
def test_composition_with_lookups_that_drop_entries(data, out_shape, middle, in_shape):
    """A table may list places past the end: those entries are zero, whatever meets them."""
    pool = Pool()
    left = data.draw(sums(pool, out_shape, middle, 1, dropped=2))
    right = data.draw(sums(pool, middle, in_shape, 1, dropped=2))
    L = by_loops(left, pool.arrays, out_shape, middle).reshape(prod(out_shape), prod(middle))
    R = by_loops(right, pool.arrays, middle, in_shape).reshape(prod(middle), prod(in_shape))
    expected = (L @ R).reshape((*out_shape, *in_shape))
    agree(algebra.compose(left, right), pool, expected, out_shape, in_shape)


@quick
@given(st.data(), shapes, shapes)
def test_terms_compose_with_themselves(data, out_shape, in_shape):
    """Both sides of a Gram matrix carry the same labels, which must not meet by accident."""
    pool = Pool()
    terms = data.draw(sums(pool, out_shape, in_shape, 2))
    matrix = by_loops(terms, pool.arrays, out_shape, in_shape)
    matrix = matrix.reshape(prod(out_shape), prod(in_shape))
    gram = algebra.compose(terms, algebra.transpose(terms))
    expected = (matrix @ matrix.T).reshape((*out_shape, *out_shape))
    agree(gram, pool, expected, out_shape, out_shape)


@quick
@given(st.data(), shapes, shapes)
def test_combining_settling_and_transposing_keep_the_sum(data, out_shape, in_shape):
    pool = Pool()
    terms = data.draw(sums(pool, out_shape, in_shape, 4))
    expected = by_loops(terms, pool.arrays, out_shape, in_shape)
    agree(algebra.combine(terms), pool, expected, out_shape, in_shape)
    settled = tuple(map(products.settle, terms))
    agree(settled, pool, expected, out_shape, in_shape)
    for term, before in zip(settled, terms, strict=True):
        assert stored_size(term.factors) <= stored_size(before.factors)
    swapped = np.moveaxis(expected, range(len(out_shape)), range(-len(out_shape), 0))
    agree(algebra.transpose(terms), pool, swapped, in_shape, out_shape)
    agree(algebra.scale(terms, -3), pool, -3 * expected, out_shape, in_shape)


@quick
@given(st.data(), st.sampled_from([(6,), (4, 3), (2, 6)]), shapes)
def test_the_identity_composes_to_nothing_new(data, out_shape, in_shape):
    pool = Pool()
    terms = data.draw(sums(pool, out_shape, in_shape, 2))
    expected = by_loops(terms, pool.arrays, out_shape, in_shape)
    left = algebra.compose(algebra.identity(out_shape), terms)
    right = algebra.compose(terms, algebra.identity(in_shape))
    for both in (left, right):
        agree(both, pool, expected, out_shape, in_shape)
        factors = [f for term in algebra.combine(terms) for f in term.factors]
        assert stored_size(f for t in both for f in t.factors) <= stored_size(factors)


@quick
@given(st.data())
def test_three_composed_in_either_order_agree(data):
    pool = Pool()
    dims = [data.draw(st.sampled_from([(6,), (4, 3), (2, 6)])) for _ in range(4)]
    a, b, c = (data.draw(sums(pool, dims[n], dims[n + 1], 2)) for n in range(3))
    left = algebra.compose(algebra.compose(a, b), c)
    expected = by_loops(left, pool.arrays, dims[0], dims[3])
    agree(algebra.compose(a, algebra.compose(b, c)), pool, expected, dims[0], dims[3])


def test_like_terms_combine_and_unlike_ones_do_not():
    pool = Pool()
    out = fresh_axes((5, 3))
    (i, j) = labels_of(out)
    diagonal = Term(out, out, (pool.factor((i, j)),))
    again = afresh(Term(out, out, (pool.factor((j, i)),), -2))
    broadcast = Term(out, fresh_axes((5, 3)))
    assert len(algebra.combine([diagonal, again])) == 1
    assert len(algebra.combine([diagonal, broadcast, again])) == 2
    assert diagonal.pattern == again.pattern != broadcast.pattern


def test_terms_that_cancel_are_gone():
    pool = Pool()
    out = fresh_axes((5, 3))
    term = Term(out, out, (pool.factor(labels_of(out)),))
    assert algebra.combine([term, *algebra.scale((term,), -1)]) == ()
    assert algebra.compose((), (term,)) == algebra.compose((term,), ()) == ()


def test_outer_products_stay_apart_until_there_are_too_many():
    pool = Pool()
    (row,), (column,) = fresh_axes((7,)), fresh_axes((11,))
    terms = [Term((row,), (column,), (pool.factor(row), pool.factor(column))) for _ in range(9)]
    two = algebra.combine(terms[:2])
    assert len(two) == 2 and stored_size(f for t in two for f in t.factors) == 2 * (7 + 11)
    many = algebra.combine(terms)
    assert len(many) <= algebra.MOST_LIKE_TERMS
    agree(many, pool, by_loops(terms, pool.arrays, (7,), (11,)), (7,), (11,))


def test_a_sum_over_ones_is_a_number():
    """`Σ_k 1` over an axis that no factor carries is its size, however large."""
    (i,), (k,) = fresh_axes((5,)), fresh_axes((1000,))
    total = algebra.compose((Term((i,), (k,)),), (Term((k,), ()),))
    assert total[0].coefficient == 1000 and total[0].factors == ()
    assert by_loops(total, [], (5,), ()).tolist() == [1000.0] * 5
    np.testing.assert_array_equal(written(total, Pool(), (5,), ()), np.full(5, 1000.0))


def test_ones_that_overlap_add_up():
    """Terms without a factor are as exact as any number: 100 + 100 is 200."""
    (i,), (k,) = fresh_axes((5,)), fresh_axes((5,))
    terms = (Term((i,), (i,), (), 100), Term((i,), (k,), (), 100))
    np.testing.assert_array_equal(written(terms, Pool(), (5,), (5,)), 100 * (np.eye(5) + 1))


def test_digits_without_refinement_meet_through_a_bridge():
    pool = Pool()
    (a, b), (c, d) = labels_of(fresh_axes((3, 2))), labels_of(fresh_axes((2, 3)))
    left = (Term(((a,), (b,)), ((a, b),), (pool.factor((a, b)),)),)
    right = (Term(((c, d),), ((c,), (d,)), (pool.factor((d, c)),)),)
    L = by_loops(left, pool.arrays, (3, 2), (6,)).reshape(6, 6)
    R = by_loops(right, pool.arrays, (6,), (2, 3)).reshape(6, 6)
    agree(algebra.compose(left, right), pool, (L @ R).reshape(3, 2, 2, 3), (3, 2), (2, 3))


def test_a_contraction_of_three_takes_the_cheapest_order():
    pool = Pool()
    i, k, m, n = (Label(extent) for extent in (2, 30, 31, 3))
    factors = [pool.factor((k, m)), pool.factor((i, k)), pool.factor((m, n))]
    order = {label: rank for rank, label in enumerate((i, n, k, m))}
    (whole,) = products.contract(factors, {i, n}, order)
    assert cost([whole.node]).multiplications == min(
        2 * 30 * 31 + 2 * 31 * 3, 30 * 31 * 3 + 2 * 30 * 3
    )


def test_five_factors_that_share_an_index_become_one_product_of_matrices():
    """As in the Hessian of a network's loss by its first weights, summed over samples."""
    pool = Pool()
    i, j, k, m, s = (Label(extent) for extent in (6, 7, 5, 4, 9))
    pairs = [(s, i), (s, j), (s, j, m), (s, m), (s, k)]
    factors = [pool.factor(labels) for labels in pairs]
    order = {label: rank for rank, label in enumerate((i, j, k, m, s))}
    (whole,) = products.contract(factors, {i, j, k, m}, order)
    outer, both = 6 * 5, 7 * 4
    assert cost([whole.node]).multiplications == 9 * (outer + 2 * both + outer * both)
    (found,) = evaluate([whole.node], pool.arrays)
    subscripts = [[order[label] for label in labels] for labels in (*pairs, whole.labels)]
    arguments = [x for pair in zip(pool.arrays, subscripts, strict=False) for x in pair]
    np.testing.assert_allclose(found, np.einsum(*arguments, subscripts[-1]), rtol=1e-12)


some = st.sets(st.integers(0, 4))


@quick
@given(st.lists(some, min_size=3, max_size=5), some)
def test_the_cheapest_order_is_as_cheap_as_every_other(inputs, kept):
    extents = (2, 3, 5, 7, 11)

    def least(remaining):
        if len(remaining) == 1:
            return 0
        found = []
        for a, b in combinations(range(len(remaining)), 2):
            rest = [labels for n, labels in enumerate(remaining) if n not in (a, b)]
            both = remaining[a] | remaining[b]
            price = prod(extents[n] for n in both)
            found.append(price + least([*rest, both & kept.union(*rest)]))
        return min(found)

    names = [Label(extent) for extent in extents]
    pool = Pool()
    carried = Counter(n for labels in inputs for n in labels)
    inputs = [{n for n in labels if n in kept or carried[n] > 1} for labels in inputs]
    factors = [pool.factor(tuple(names[n] for n in sorted(labels))) for labels in inputs]
    path = pairing.cheapest_order(factors, {names[n] for n in kept})
    held, price = dict(enumerate(inputs)), 0
    for made, (a, b) in enumerate(path, len(held)):
        both = held.pop(a) | held.pop(b)
        price += prod(extents[n] for n in both)
        held[made] = both & kept.union(*held.values())
    assert price == least(inputs)


def test_write_of_nothing_is_zero():
    node = algebra.write((), (5, 3), 8)
    assert evaluate([node], [])[0].shape == (5, 3)
    assert not np.any(np.asarray(evaluate([node], [])[0]))


@pytest.mark.parametrize("shape", [(5, 3), (1, 5), (1,), ()])
def test_an_unstructured_jacobian_is_its_array(shape):
    pool = Pool()
    array = np.random.default_rng(1).standard_normal((2, *shape))
    pool.arrays.append(array)
    terms = algebra.dense(Leaf(array.shape, 8, (), 0), (2,), shape)
    agree(terms, pool, array, (2,), shape)


def test_check_refuses_what_the_algebra_cannot_hold():
    (i,), (k,) = fresh_axes((5,)), fresh_axes((3,))
    with pytest.raises(ValueError, match="shape"):
        check(Term((i,), (k,), (Factor(Leaf((3,), 8), i),)))
    with pytest.raises(ValueError, match="neither side"):
        check(Term((i,), (), (Factor(Leaf((3,), 8), k),)))


def test_relabelling_keeps_the_pattern():
    pool = Pool()
    out = fresh_axes((5, 3))
    term = Term(out, out, (pool.factor(labels_of(out)),))
    other = relabel(term, {label: Label(label.size) for label in term.labels})
    assert term.pattern == other.pattern
    assert not {*term.labels} & {*other.labels}
    assert term.deltas == labels_of(out)
