"""Matrix forms of random products of entries against their einsum."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_summands import ARRAYS, FREE, einsum, shape_of, sums

from layouts.formulas.evaluating import evaluate
from layouts.formulas.matrices import matrix_form
from layouts.formulas.parsing import parse
from layouts.formulas.summands import Summand
from layouts.formulas.tree import Delta, Entry, Formula, Letter, Name, Number
from layouts.show.text import text

TARGETS = [(), ("i",), ("j",), ("i", "j"), ("i", "k"), ("i", None), (None, "j"), ("k", "i")]


@given(st.sampled_from(TARGETS).flatmap(lambda t: st.tuples(st.just(t), sums(t))), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_form_has_the_value_of_its_sum(drawn, shapes_known):
    target, summands = drawn
    letters = [FREE.get(name) for name in target]
    form = matrix_form(summands, letters, shape_of if shapes_known else None)
    if form is None:
        return
    true = einsum(summands, [letter for letter in letters if letter])
    for formula in (form, parse(text(form)), parse(text(form, "ascii"))):
        value = evaluate(formula, ARRAYS)
        assert value.size in (true.size, 1), text(form)
        if value.size == true.size:
            value = value.reshape(true.shape)
        np.testing.assert_allclose(value + 0 * true, true, rtol=1e-9, atol=1e-9, err_msg=text(form))
