"""Labels, digits and their unification, against divisibility alone."""

from itertools import pairwise
from math import prod

import hypothesis.strategies as st
from hypothesis import given, settings

from layouts.axes import Label, Unifier, fresh_axes, labels_of, regroup, size, sizes
from tests.strategies import factorisations

quick = settings(derandomize=True, deadline=None, max_examples=200)


@st.composite
def shape_pairs(draw):
    """Two shapes of the same size."""
    total = draw(st.sampled_from([1, 2, 6, 12, 24, 30, 36, 60, 72]))
    return draw(factorisations(total)), draw(factorisations(total))


def common_digits(left, right):
    """Whether two mixed-radix numberings share a refinement: their place values form one chain."""
    places = {1}
    for shape in (left, right):
        value = 1
        for extent in reversed(shape):
            value *= extent
            places.add(value)
    return all(b % a == 0 for a, b in pairwise(sorted(places)))


def test_labels_are_known_by_identity():
    assert Label(3) != Label(3)
    label = Label(3)
    assert label == label and len({label, label, Label(3)}) == 2


def test_fresh_axes_leave_out_ones_but_keep_zeros():
    axes = fresh_axes((5, 1, 0, 5))
    assert [sizes(axis) for axis in axes] == [(5,), (), (0,), (5,)]
    assert len(set(labels_of(axes))) == 3
    assert size(labels_of(axes)) == 0 and size(()) == 1


@quick
@given(shape_pairs())
def test_regroup_finds_digits_exactly_where_there_are_some(pair):
    before, after = pair
    found = regroup(fresh_axes(before), after)
    assert (found is not None) == common_digits(before, after)
    if found is not None:
        source, target = found
        assert tuple(map(size, source)) == before
        assert tuple(map(size, target)) == after
        assert labels_of(source) == labels_of(target)
        assert len(set(labels_of(source))) == len(labels_of(source))
        assert 1 not in sizes(labels_of(source))


@quick
@given(shape_pairs())
def test_unify_makes_two_axes_one(pair):
    left, right = (labels_of(fresh_axes(shape)) for shape in pair)
    meet = Unifier()
    assert meet.unify(left, right) == common_digits(*pair)
    if common_digits(*pair):
        assert meet.resolve(left) == meet.resolve(right)
        assert prod(sizes(meet.resolve(left))) == prod(pair[0])


def test_unify_splits_a_shared_label_on_every_axis_that_carries_it():
    six, two, three = Label(6), Label(2), Label(3)
    meet = Unifier()
    assert meet.unify((six,), (two, three))
    assert meet.unify((six,), (Label(6),))
    assert meet.resolve((six, six)) == (two, three, two, three)


def test_unify_carries_earlier_unions_on():
    a, b, c = Label(4), Label(4), Label(4)
    meet = Unifier()
    assert meet.unify((a,), (b,)) and meet.unify((b,), (c,)) and meet.unify((a,), (c,))
    assert meet.resolve((a,)) == meet.resolve((b,)) == meet.resolve((c,))
    assert not meet.unify((a,), (Label(5),))


def test_the_least_significant_digit_meets_first():
    twelve, three, four = Label(12), Label(3), Label(4)
    meet = Unifier()
    assert meet.unify((twelve,), (three, four))
    assert meet.resolve((twelve,)) == (three, four)
    six, two = Label(6), Label(2)
    assert meet.unify((twelve,), (six, two))
    assert sizes(meet.resolve((twelve,))) == (3, 2, 2)


def test_regroup_of_a_scalar_and_of_ones():
    assert regroup((), (1, 1)) == ((), ((), ()))
    assert regroup(((), ()), ()) == (((), ()), ())
