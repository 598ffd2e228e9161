"""Kronecker forms of random products of entries against the reshaped tensor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_summands import ARRAYS, FREE, einsum, shape_of, sums

from layouts.formulas.evaluating import evaluate
from layouts.formulas.kronecker import kronecker_form
from layouts.formulas.parsing import parse
from layouts.formulas.summands import Summand
from layouts.formulas.tree import Delta, Entry, Letter, Name
from layouts.show.text import text

SIDES = [
    ("ij", "kl"), ("ij", "lk"), ("ij", "k"), ("i", "kl"), ("ij", ""), ("", "ij"), ("i", "k"),
    ("i_", "kl"), ("ij", "_k"), ("i_", "k_"),
]  # fmt: skip


def stacked(tensor, out, into, vec):
    """The matrix of a tensor, both sides stacked."""
    rank = len(out)
    axes = [*range(rank)], [*range(rank, tensor.ndim)]
    if vec == "columns":
        axes = [side[::-1] for side in axes]
    rows = int(np.prod([n.size for n in out]))
    return tensor.transpose([*axes[0], *axes[1]]).reshape(rows, -1)


def drawn_sums(sides):
    return st.tuples(st.just(sides), sums(tuple(c for side in sides for c in side if c != "_")))


@given(st.sampled_from(SIDES).flatmap(drawn_sums), st.booleans(), st.sampled_from(["rows", "columns"]))
@settings(max_examples=200, deadline=None)
def test_a_form_has_the_value_of_its_tensor(drawn, shapes_known, vec):
    sides, summands = drawn
    out, into = ([FREE.get(name) for name in side] for side in sides)
    form = kronecker_form(summands, out, into, vec, shape_of if shapes_known else None)
    if form is None:
        return
    own = [[n for n in side if n is not None] for side in (out, into)]
    true = stacked(einsum(summands, [*own[0], *own[1]]), *own, vec)
    for formula in (form, parse(text(form)), parse(text(form, "ascii"))):
        value = evaluate(formula, ARRAYS)
        value = value.reshape(true.shape) if value.size == true.size else value
        np.testing.assert_allclose(value + 0 * true, true, rtol=1e-9, atol=1e-9, err_msg=text(form))
