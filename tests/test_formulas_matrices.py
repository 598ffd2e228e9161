"""Matrix forms of random products of entries against their einsum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_summands import ARRAYS, FREE, einsum, shape_of, sums

from layouts.formulas.evaluating import evaluate
from layouts.formulas.matrices import matrix_form
from layouts.formulas.parsing import parse
from layouts.formulas.summands import Summand
from layouts.formulas.tree import Delta, Entry, Letter, Name
from layouts.show.text import text

TARGETS = [(), ("i",), ("j",), ("i", "j"), ("i", "k"), ("i", None), (None, "j"), ("k", "i")]


@given(st.sampled_from(TARGETS).flatmap(lambda t: st.tuples(st.just(t), sums(t))), st.booleans())
@settings(max_examples=120, deadline=None)
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


def forms(code, **arrays):
    """The matrix form of a sum of entries as text: `A_ij x_j + ...` with its free letters."""
    target, _, right = code.partition(" = ")
    sizes = {}
    for term in right.replace("-", "+").split("+"):
        for entry in term.split():
            name, _, own = entry.partition("_")
            sizes |= dict(zip(own, arrays.get(name, ()), strict=False))
    letters = {n: Letter(n, size) for n, size in sizes.items()}
    summands = []
    for term in right.replace(" - ", " + -1 ").split(" + "):
        number, entries = 1, []
        for entry in term.split():
            name, _, own = entry.partition("_")
            if entry.lstrip("-").replace(".", "").isdigit():
                number = number * float(entry)
            else:
                entries.append(Entry(_array(name), tuple(letters[n] for n in own)))
        deltas = tuple(Delta(*f.indices) for f in entries if f.array == Name("delta"))
        factors = tuple(f for f in entries if f.array != Name("delta"))
        number = int(number) if number == int(number) else number
        body = Summand(number, (), deltas, factors)
        summands.append(body.over([n for n in letters.values() if n.text not in target]))
    own = [None if n == "_" else letters[n] for n in target]
    form = matrix_form(summands, own)
    return None if form is None else text(form)


def _array(name):
    return parse("dL/dD") if name == "G" else Name(name)


SHAPES = {"A": (5, 5), "C": (5, 5), "D": (5,), "G": (5,), "x": (5,), "y": (5,), "a": (5,), "s": ()}
SHAPES |= {"X": (3, 5), "Y": (3, 5), "b": (3,), "v": (7,), "delta": (5, 5)}


@pytest.mark.parametrize(
    ("code", "form"),
    [
        # What is summed is a product of matrices, turned where its axes stand the other way.
        ("i = X_ij x_j", "X x"),
        ("j = X_ij b_i", "Xᵀ b"),
        ("_j = X_ij b_i", "bᵀ X"),
        (" = x_i A_ij x_j", "xᵀ A x"),
        ("ji = b_i x_j", "x bᵀ"),
        ("ik = X_ij Y_kj", "X Yᵀ"),
        # A plain term before its transpose, and factors that terms share outside.
        ("i = A_ji x_j + A_ij x_j", "(A + Aᵀ) x"),
        ("_i = A_ji x_j + A_ij x_j", "xᵀ (A + Aᵀ)"),
        ("i = 0.5 A_ji x_j - y_i + 0.5 A_ij x_j", "1/2 (A + Aᵀ) x - y"),
        ("ij = A_ji + A_ij", "A + Aᵀ"),
        ("ij = 0.5 A_ij + 0.5 A_ji", "1/2 (A + Aᵀ)"),
        ("ij = A_ij + -1 A_ij", "0"),
        ("ik = A_ji x_j v_k + A_ij x_j v_k", "(A + Aᵀ) x vᵀ"),
        ("i = A_ij x_j + C_ij y_j", "A x + C y"),
        # Numbers in front, in brackets beside others; what a derivative acts on last.
        ("i = 2 a_i x_j a_j", "2 (aᵀ x) a"),
        ("i = a_j x_j b_k b_k a_i", "(aᵀ x) (bᵀ b) a"),
        ("i = x_j x_j y_k x_k x_l y_l a_i", "(xᵀ x) (xᵀ y)² a"),
        ("i = s a_i", "s a"),
        ("i = D_i D_j G_j", "D Dᵀ ∂L/∂D"),
        ("i = G_i D_i - D_i D_j G_j", "∂L/∂D ⊙ D - D Dᵀ ∂L/∂D"),
        ("i = G_i a_j x_j + a_i G_j x_j", "(aᵀ x) ∂L/∂D + a xᵀ ∂L/∂D"),
        ("i = -1 y_i + D_i y_j", "sum(y) D - y"),
        (" = A_ij", "sum(A)"),
        (" = A_ij C_ji", "tr(A C)"),
        (" = A_ij A_ij", "tr(A Aᵀ)"),
        # Diagonals, entrywise products, rows and columns of ones.
        ("ij = delta_ij x_j", "diag(x)"),
        ("ij = delta_ij x_j - x_i x_j", "diag(x) - x xᵀ"),
        ("ij = b_i X_ij x_j", "diag(b) X diag(x)"),
        ("ij = X_ij Y_ij", "X ⊙ Y"),
        ("ji = X_ij Y_ij", "(X ⊙ Y)ᵀ"),
        ("i = X_ij Y_ij", "(X ⊙ Y) 𝟏₅"),
        ("i = x_i x_i y_i", "x² ⊙ y"),
        ("_j = b_i X_ij x_j", "bᵀ X diag(x)"),
        ("ij = b_i + 0 X_ij", "b 𝟏₅ᵀ"),
        ("i = A_im C_mj A_mk", "A ((C 𝟏₅) ⊙ (A 𝟏₅))"),
        # None: each of four letters meets each other.
        (" = A_ij A_jk A_kl A_li A_ik A_jl", None),
    ],
)
def test_forms_as_people_write_them(code, form):
    assert forms(code, **SHAPES) == form


def test_a_letter_that_is_no_axis_is_not_summed():
    i, j = Letter("i", 3), Letter("j", 5)
    assert matrix_form([Summand(factors=(Entry(Name("X"), (i, j)),))], (i,)) is None


@pytest.mark.parametrize(("size", "form"), [(3, "I₅[:3]ᵀ g"), (5, "g"), (7, "g[:5]")])
def test_an_entry_outside_of_its_array_is_zero(size, form):
    """Of `x[:3]` the derivative by x is zero beyond: rows of the identity spread it out."""
    k, g = Letter("k", 5), np.random.default_rng(2).standard_normal(size)
    summand = Summand(factors=(Entry(Name("g"), (k,)),))
    found = matrix_form([summand], (k,), lambda part: np.shape(evaluate(part, {"g": g})))
    assert text(found) == form
    wanted = np.concatenate([g, np.zeros(5)])[:5]
    np.testing.assert_allclose(evaluate(parse(text(found)), {"g": g}), wanted)


@pytest.mark.parametrize(
    ("array", "column", "row"),
    [
        ("A.T @ x / 2 - y", "1/2 Aᵀ x - y", "1/2 xᵀ A - yᵀ"),
        ("A @ (A @ x + y)", "A (A x + y)", "(A x + y)ᵀ Aᵀ"),
        ("x / norm(x)", "x / ‖x‖", "xᵀ / ‖x‖"),
        ("a.T @ x * y", "(aᵀ x) y", "(aᵀ x) yᵀ"),
        ("2 * (x * y) / sum(x)", "2 (x ⊙ y) / sum(x)", "2 (x ⊙ y)ᵀ / sum(x)"),
        ("sin(x) * y", "y ⊙ sin(x)", "(y ⊙ sin(x))ᵀ"),
    ],
)
def test_products_within_arrays_are_laid_open(array, column, row):
    arrays = {n: np.random.default_rng(3).standard_normal(SHAPES[n]) for n in "Aaxy"}

    def shape(formula):
        return evaluate(formula, arrays).shape

    k = Letter("k", 5)
    summand = Summand(factors=(Entry(parse(array), (k,)),))
    for letters, form in (((k,), column), ((None, k), row)):
        found = matrix_form([summand], letters, shape)
        assert text(found) == form
        value = evaluate(found, arrays).reshape(-1)
        np.testing.assert_allclose(value, evaluate(parse(array), arrays))
