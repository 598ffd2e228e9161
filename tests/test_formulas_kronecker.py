"""Kronecker forms of random products of entries against the reshaped tensor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_summands import ARRAYS, FREE, einsum, shape_of, sums

from layouts.errors import LayoutError
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


@given(
    st.sampled_from(SIDES).flatmap(drawn_sums), st.booleans(), st.sampled_from(["rows", "columns"])
)
@settings(max_examples=120, deadline=None)
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


X = Name("X")  # 3×5
N, J, K, L = (Letter(text, size) for text, size in zip("njkl", (5, 5, 3, 5), strict=True))
I3, J3 = Letter("i", 3), Letter("j", 3)
A = Entry(Name("A"), (I3, K)), Entry(Name("A"), (K, I3))


@pytest.mark.parametrize(
    ("summands", "out", "rows", "columns"),
    [
        # By X of 2 X, Xᵀ, XᵀX and (A + Aᵀ) X.
        ([Summand(2, (), (Delta(I3, K), Delta(J, L)))], (I3, J), "2 I₁₅", "2 I₁₅"),
        ([Summand(1, (), (Delta(N, L), Delta(J3, K)))], (N, J3), "K(5,3)", "K(3,5)"),
        (
            [
                Summand(1, (), (Delta(N, L),), (Entry(X, (K, J)),)),
                Summand(1, (), (Delta(J, L),), (Entry(X, (K, N)),)),
            ],
            (N, J),
            "(I₂₅ + K(5,5)) (Xᵀ ⊗ I₅)",
            "(I₂₅ + K(5,5)) (I₅ ⊗ Xᵀ)",
        ),
        (
            [Summand(1, (), (Delta(J, L),), (entry,)) for entry in A],
            (I3, J),
            "(A + Aᵀ) ⊗ I₅",
            "I₅ ⊗ (A + Aᵀ)",
        ),
        # Of a number, and of a matrix times a number.
        ([Summand(-1, (), (), (Entry(X, (K, L)),))], (), "-vec(Xᵀ)ᵀ", "-vec(X)ᵀ"),
        (
            [Summand(1, (), (), (Entry(Name("A"), (N, J)), Entry(X, (K, L))))],
            (N, J),
            "vec(Aᵀ) vec(Xᵀ)ᵀ",
            "vec(A) vec(X)ᵀ",
        ),
        # Entry by entry.
        (
            [Summand(1, (), (Delta(I3, K), Delta(J, L)), (Entry(X, (I3, J)),))],
            (I3, J),
            "diag(vec(Xᵀ))",
            "diag(vec(X))",
        ),
    ],
)
def test_forms_as_people_write_them(summands, out, rows, columns):
    found = [text(kronecker_form(summands, out, (K, L), vec)) for vec in ("rows", "columns")]
    assert found == [rows, columns]


def test_by_a_scalar_the_matrix_is_stacked():
    summand = Summand(-1, (), (), (Entry(X, (K, L)),))
    assert text(kronecker_form([summand], (K, L), (), "columns")) == "-vec(X)"
    assert text(kronecker_form([summand], (K, L), (), "rows")) == "-vec(Xᵀ)"


def test_the_commutation_matrix_stacks_the_transpose():
    """K(m,n) vec(A) = vec(Aᵀ), A of m rows and n columns."""
    array = np.random.default_rng(5).standard_normal((3, 5))
    arrays = {"A": array}
    np.testing.assert_array_equal(
        evaluate(parse("K(3,5) vec(A)"), arrays), evaluate(parse("vec(Aᵀ)"), arrays)
    )
    assert evaluate(parse("commutation(3, 5)"), {}).shape == (15, 15)


@pytest.mark.parametrize("wrong", ["K(0,3)", "commutation(2.5, 3)", "K(3000,5000)"])
def test_sizes_of_the_commutation_matrix_are_whole_and_bounded(wrong):
    with pytest.raises(LayoutError, match="commutation matrix: expected two whole sizes"):
        evaluate(parse(wrong), {})
