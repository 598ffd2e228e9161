"""Deltas applied and like summands added, against einsums."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_summands import ARRAYS, FREE, einsum, sums

from layouts.formulas.evaluating import evaluate
from layouts.formulas.summands import Summand, combined, written
from layouts.formulas.tree import Delta, Entry, Letter, Name


@given(
    st.sampled_from([(), ("i",), ("i", "j"), ("k", "i")]).flatmap(
        lambda t: st.tuples(st.just(t), sums(t))
    )
)
@settings(max_examples=60, deadline=None)
def test_settled_and_combined_summands_have_the_same_value(drawn):
    target, summands = drawn
    letters = [FREE[name] for name in target]
    true = einsum(summands, letters)
    settled = [summand.settled() for summand in summands]
    twice = combined([*settled, *summands])
    for found, times in ((settled, 1), (combined(settled), 1), (twice, 2)):
        value = np.asarray(evaluate(written(found), ARRAYS, letters))
        np.testing.assert_allclose(value, times * true, rtol=1e-9, atol=1e-9)


def test_summands_that_cancel_are_gone():
    m, n = Letter("m", 3), Letter("n", 3)
    one = Summand(1, (m,), (), (Entry(Name("a"), (m,)),))
    other = Summand(-1, (n,), (), (Entry(Name("a"), (n,)),))
    assert combined([one, other]) == ()


def test_a_delta_that_may_find_nothing_stays():
    """A sum over five of δ[i,m] is no sum over seven."""
    m, i = Letter("m", 5), Letter("i", 7)
    summand = Summand(1, (m,), (Delta(i, m),), (Entry(Name("s"), ()),))
    assert summand.applied() is None
