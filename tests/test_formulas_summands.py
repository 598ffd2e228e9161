"""Deltas applied and like summands added, against einsums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_summands import ARRAYS, FREE, einsum, sums

from layouts.formulas.evaluating import evaluate
from layouts.formulas.summands import Summand, combined, written
from layouts.formulas.tree import Delta, Entry, Letter, Name, Number, Ones, Sum
from layouts.show.text import text


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


def test_a_sum_over_five_is_no_sum_over_seven():
    m, i = Letter("m", 5), Letter("i", 7)
    summand = Summand(1, (m,), (Delta(i, m),), (Entry(Name("s"), ()),))
    found = summand.settled()
    assert text(found.body) == "s 𝟏₅[i]"
    value = evaluate(found.body, {"s": np.array(2.0)}, [i])
    np.testing.assert_array_equal(value, [2, 2, 2, 2, 2, 0, 0])


def test_a_letter_that_runs_less_far_than_its_axis_hides_nothing():
    """Entries of x beyond the fifth are no zeros, though the letter stands on x."""
    u, k, i = Letter("u", 5), Letter("k", 7), Letter("i", 8)
    shifted = Delta(Sum((1, 1), (u, Number(1))), i)
    summand = Summand(1, (u, k), (Delta(u, k), shifted), (Entry(Name("x"), (k,)),))
    x = np.arange(1.0, 8.0)
    value = evaluate(summand.settled().body, {"x": x}, [i])
    np.testing.assert_array_equal(value, [0, 1, 2, 3, 4, 5, 0, 0])


@pytest.mark.parametrize("seed", range(40))
def test_indices_with_offsets_are_solved_for_what_they_are(seed):
    """Against every value of every letter."""
    rng = np.random.default_rng(seed)
    summed = [Letter(text, int(rng.integers(2, 5))) for text in "mnp"]
    free = [Letter(text, int(rng.integers(2, 6))) for text in "ik"]
    letters, arrays = [*summed, *free], {}
    factors = []
    for name in ("a", "b"):
        axes = [letters[n] for n in rng.choice(len(letters), 2, replace=False)]
        arrays[name] = rng.standard_normal([letter.size for letter in axes])
        factors.append(Entry(Name(name), tuple(axes)))

    def index():
        picked = [letters[n] for n in rng.choice(len(letters), rng.integers(1, 3), replace=False)]
        steps = [int(rng.choice([1, 1, -1, 2])) for _ in picked]
        return Sum((*steps, int(rng.integers(-2, 3))), (*picked, Number(1)))

    deltas = tuple(Delta(index(), index()) for _ in range(2))
    summand = Summand(1, (), deltas, tuple(factors)).over(summed)
    shape = [letter.size for letter in free]
    true, found = (_every_value(s, free, arrays) for s in (summand, summand.settled()))
    np.testing.assert_allclose(found, true, rtol=1e-12, err_msg=str(shape))


def _every_value(summand, free, arrays):
    """The summand's value by its definition, whatever its letters are."""
    letters = [*free, *summand.summed]
    total = np.zeros([letter.size for letter in free])
    for place in np.ndindex(*(letter.size for letter in letters)):
        known = dict(zip(letters, place, strict=True))
        term = all(_at(d.left, known) == _at(d.right, known) for d in summand.deltas)
        for factor in summand.factors:
            ones = isinstance(factor.array, Ones)
            array = np.ones(factor.array.shape) if ones else arrays[factor.array.text]
            where = tuple(_at(n, known) for n in factor.indices)
            inside = all(0 <= n < size for n, size in zip(where, array.shape, strict=True))
            term = term * (array[where] if inside else 0.0)
        total[place[: len(free)]] += term
    return total


def _at(index, known):
    if isinstance(index, Letter):
        return known[index]
    if isinstance(index, Number):
        return index.value
    return sum(c * _at(t, known) for c, t in zip(index.coefficients, index.terms, strict=True))
