"""Formulas read back: what is printed comes back as it was, what people type means what it says."""

import builtins

import numpy as np
import pytest
from hypothesis import given, settings

from layouts.errors import LayoutError
from layouts.formulas.evaluating import evaluate, names
from layouts.formulas.parsing import parse
from layouts.formulas.tree import (
    Derivative,
    Entry,
    Inverse,
    Letter,
    Name,
    Number,
    Power,
    Product,
    View,
)
from layouts.show.text import text
from tests.strategies_formulas import ARRAYS, equations, flattened, formulas

ALPHABETS = ("unicode", "ascii")
RNG = np.random.default_rng(1)
W, X, D, S = (RNG.standard_normal(shape) for shape in ((4, 3), (3, 5), (4, 5), (3, 3)))
G, b, x, y, z = (RNG.standard_normal(shape) for shape in ((4, 3), (4,), (3,), (3,), (7,)))
GIVEN = {"W": W, "X": X, "dL/dD": D, "S": S, "G": G, "b": b, "x": x, "y": y, "z": z}
GIVEN |= {"params.w": x, "n": 2.5, "t": np.array([2, 0, 1]), "P": np.abs(W) + 0.5, "d": 3.0}
NORM = np.sqrt(((W @ x - b) ** 2).sum())
INVERSE = np.linalg.inv(S)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@settings(max_examples=300)
@given(case=formulas() | equations())
def test_a_printed_formula_comes_back(alphabet, case):
    formula, _ = case
    printed = text(formula, alphabet)
    assert flattened(parse(printed)) == flattened(formula), printed


@pytest.mark.parametrize("alphabet", ALPHABETS)
@settings(max_examples=40)
@given(case=formulas() | equations())
def test_a_printed_formula_has_the_value_of_what_was_printed(alphabet, case):
    formula, letters = case
    printed = text(formula, alphabet)
    true = evaluate(formula, ARRAYS, letters)
    value = evaluate(parse(printed), ARRAYS, letters)
    np.testing.assert_allclose(value, true, rtol=1e-6, err_msg=printed)


@pytest.mark.parametrize("width", [20, 40])
def test_a_printed_formula_comes_back_from_several_lines(width):
    formula = parse("∂L/∂W = 2 (∂L/∂D ⊙ A ⊙ B) Xᵀ - 3 C Xᵀ + E Xᵀ = F Xᵀ")
    printed = text(formula, width=width)
    assert "\n" in printed and parse(printed) == formula


# What people type, and what it means.
MEANINGS = {
    "dD @ X.T": D @ X.T,
    "W.T @ dD": W.T @ D,
    "∂L/∂D Xᵀ": D @ X.T,
    "∂L/∂W = ∂L/∂D Xᵀ": D @ X.T,
    "dL/dW = dL/dD @ X.T": D @ X.T,
    "∂L / ∂D X^T": D @ X.T,
    "S + S.T": S + S.T,
    "2*(W@x - b)": 2 * (W @ x - b),
    "2(W x - b)": 2 * (W @ x - b),
    "sum(G, axis=1)": G.sum(axis=1),
    "np.sum(G, axis=-1, keepdims=True)": G.sum(axis=1, keepdims=True),
    "G.sum(axis=0)": G.sum(axis=0),
    "(W @ X).T.sum(axis=0)": (W @ X).sum(axis=1),
    "Σ_j W[i,j] X[j,k]": W @ X,
    "∑_j W[i,j] X[j,k]": W @ X,
    "sum_j W[i,j] * X[j,k]": W @ X,
    "Σ_{j} W[i,j]·X[j,k]": W @ X,
    "Σ_ij W[i,j] Σ_k X[j,k]": (W @ X).sum(),
    "Σ_j W[i,j] x[j] - b[i]": W @ x - b,
    "-inv(S).T": -INVERSE.T,
    "S^-1": INVERSE,
    "S^-T x": INVERSE.T @ x,
    "S⁻¹ x": INVERSE @ x,
    "1/n": 1 / 2.5,
    "1/5 x": x / 5,
    "x / 5": x / 5,
    "1/n x": x / 2.5,
    "x / n / 2": x / 5,
    "n/1/5": 0.5,
    "x**2 - x^2 + x² + square(x)": 2 * x**2,
    "-x²": -(x**2),
    "-2 ** 2 x": -4 * x,
    "P**-1": 1 / (np.abs(W) + 0.5),
    "P^(1/2)": np.sqrt(np.abs(W) + 0.5),
    "2**3**2": 512.0,
    "G ⊙ W": G * W,
    "G * W": G * W,
    "W x * b": (W @ x) * b,
    "W X ⊙ dD": (W @ X) * D,
    "n * W @ x": 2.5 * W @ x,
    "W (X + X)": 2 * W @ X,
    "x (n)": 2.5 * x,
    "x yᵀ": np.outer(x, y),
    "x @ y": x @ y,
    "xᵀ S y": x @ S @ y,
    "‖W x - b‖²": NORM**2,
    "|| W x - b ||^2": NORM**2,
    "‖x‖ ‖y‖": np.linalg.norm(x) * np.linalg.norm(y),
    "log det(S Sᵀ)": np.log(np.linalg.det(S @ S.T)),
    "logdet(S @ S.T)": np.log(np.linalg.det(S @ S.T)),
    "jnp.tanh(x) + np.tanh(x) - jax.nn.sigmoid(x)": 2 * np.tanh(x) - 1 / (1 + np.exp(-x)),
    "tanh'(x)": 1 - np.tanh(x) ** 2,
    "tanh″(x)": -2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
    "σ′(x)": np.exp(-x) / (1 + np.exp(-x)) ** 2,
    "params.w + params['w']": 2 * x,
    "x[:, None] * X": x[:, None] * X,
    "x[None] ⊙ W": x * W,
    "z[1:] - z[:-1]": np.diff(z),
    "z[::-1] + z[-1]": z[::-1] + z[-1],
    "W[0]": W[0],
    "W[i,0]": W[:, 0],
    "z[i+1] - z[i]": np.append(z[1:], 0) - z,
    "z[2i] x[i]": z[[0, 2, 4]] * x,
    "z[6-i]": z[::-1],
    "x[t[i]]": x[[2, 0, 1]],
    "(W X)[i,j] dD[i,j]": (W @ X) * D,
    "tanh′(W x)[m]": 1 - np.tanh(W @ x) ** 2,
    "dL/dD[i,j] X[l,j]": D[:, :, None] * X.T,
    "x[i] 1[i < 2]": x * [1, 1, 0],
    "x[i] * i * y": x[:, None] * np.arange(3)[:, None] * y,
    "i x[i]": np.arange(3) * x,
    "sum_j 2 x[j]": 2 * x.sum(),
    "sum_j 2 * x[j]": 2 * x.sum(),
    "2.T * x": 2 * x,
    "1[W > 0] ⊙ G": (W > 0) * G,
    "where(W > 0, 1, 0) * G": (W > 0) * G,
    "δ[i,k] x[i]": np.diag(x),
    "diag(x) - x xᵀ": np.diag(x) - np.outer(x, x),
    "vec(W)": W.T.reshape(-1),
    "vec(W, order='rows')": W.reshape(-1),
    "[x[0], 2 n]": np.array([x[0], 5]),
    "[[n, 0], [-1, 2]] x[:2]": np.array([[2.5, 0], [-1, 2]]) @ x[:2],
    "array([[n, 0], [-1, 2]]) @ array([1, 2])": np.array([2.5, 3]),
    "one_hot(t[1], 4) - I₄[2]": np.eye(4)[0] - np.eye(4)[2],
    "I₄ ⊗ Xᵀ": np.kron(np.eye(4), X.T),
    "kron(eye(4), transpose(X)) @ vec(W, order='rows')": (W @ X).reshape(-1),
    "𝟏₄ᵀ W": W.sum(axis=0, keepdims=True),
    "𝟏(4×3) + W": 1 + W,
    "ones(4, 3) * W": W,
    "exp(x) / sum(exp(x))": np.exp(x) / np.exp(x).sum(),
    "reshape(W, shape=(6, 2))": W.reshape(6, 2),
    "(1-2j) * x": (1 - 2j) * x,
    "2e-1 * x + .5": 0.2 * x + 0.5,
    "x − y": x - y,
    "d(x + y)": 3 * (x + y),
}


@pytest.mark.parametrize("typed", MEANINGS)
def test_what_is_typed_means_what_it_says(typed):
    value = evaluate(parse(typed), GIVEN)
    assert value.shape == np.shape(MEANINGS[typed])
    np.testing.assert_allclose(value, MEANINGS[typed], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "paper, typed",
    [
        ("∂vec(Dᵀ)/∂vec(Wᵀ)", "d(vec(D.T))/d(vec(W.T))"),
        ("∂D/∂vec(W)", "dD/d(vec(W))"),
        ("∂vec(D)/∂x", "d(vec(D))/dx"),
    ],
)
def test_stacked_arrays_are_differentiated_in_both_alphabets(paper, typed):
    formula = parse(typed)
    assert formula == parse(paper)
    assert (text(formula), isinstance(formula, Derivative)) == (paper, True)
    assert parse(text(formula, "ascii")) == formula


def test_a_prefix_in_ascii_is_a_derivative_only_without_spaces():
    L, D, W = (Name(name) for name in "LDW")
    i, j, k, l = (Letter(letter) for letter in "ijkl")  # noqa: E741
    assert parse("dL/dD") == parse("∂L/∂D") == parse("∂L / ∂D") == Derivative(L, D)
    assert names(parse("dL / dD")) == ("dL", "dD")
    assert parse("∂L/∂D[i,j]") == Entry(Derivative(L, D), (i, j))
    both = Derivative(Entry(D, (i, j)), Entry(W, (k, l)))
    assert parse("dD[i,j]/dW[k,l]") == parse("∂D[i,j]/∂W[k,l]") == both
    assert parse("dL/dD[i,j]") == Entry(Derivative(L, D), (i, j))
    assert parse("∂L/∂params.w") == parse("dL/dparams.w") == Derivative(L, Name("params.w"))
    assert parse("d(dL/dW)/dW") == Derivative(Derivative(L, W), W)
    assert parse("d (x + y)").factors[0] == Name("d")
    arrays = {"data": np.float64(6), "dims": np.float64(4)}
    assert evaluate(parse("data/dims"), arrays) == 1.5


def test_brackets_hold_letters_or_slices():
    assert parse("X[0]") == View(Name("X"), ("0",))
    assert parse("X[1:, ::-1, None, ...]").entries == ("1:", "::-1", "None", "...")
    assert parse("X[i, 0]") == Entry(Name("X"), (Letter("i"), Number(0)))
    assert parse("X⁻¹") == Inverse(Name("X")) and parse("X**-1") == Power(Name("X"), Number(-1))


def test_a_name_may_begin_as_a_sum_does():
    assert names(parse("sum_loss * x + sum_sq / n - Σ")) == ("sum_loss", "x", "sum_sq", "n", "Σ")
    assert names(parse("sum_ij W[i,j]")) == ("W",)


def test_a_star_beside_a_number_is_the_plain_product():
    for typed in ("2 * d * x[i] * y", "d x[i] * y", "x[i] * d * y[i] * n"):
        formula = parse(typed)
        assert {part.kind for part in formula.walk() if isinstance(part, Product)} == {"matrix"}
        assert parse(text(formula, "ascii")) == formula
    assert parse("2 * A * B").terms[0].kind == "entrywise"


def test_names_are_those_that_evaluation_needs():
    assert names(parse("∂L/∂W = (∂L/∂D ⊙ tanh′(z1)) Xᵀ")) == ("dL/dD", "z1", "X")
    assert names(parse("Σ_j params.w[i,j] T[j] δ[i,j]")) == ("params.w", "T")


# Each text, the column of its mistake, and what the refusal must say.
REFUSED = {
    "W @": (4, "a name, a number"),
    "x y)": (4, "an operator or the end"),
    "X'": (2, r"tanh'\(x\) is the derivative"),
    "X' @ W": (2, "X.T for a transpose"),
    "rellu(x)": (1, "did you mean relu"),
    "np.foo(x)": (1, "a listed function"),
    "(a + b": (7, r"close the parenthesis of column 1"),
    "tanh(x": (7, "close the parenthesis of tanh"),
    "X[i": (4, "close the bracket of column 2"),
    "a $ b": (3, "dollar sign"),
    "x; y": (2, "semicolon"),
    "x[i,:]": (3, "letters or slices"),
    "x[1.5]": (3, "slices, None or whole numbers"),
    "x[[0,1]]": (3, "slices"),
    "δ[i]": (2, "two indices"),
    "1[0 <= i < 3] x[i]": (10, "one comparison"),
    "eye(n)": (1, "whole numbers"),
    "softmax'(x)": (1, "acts entry by entry"),
    "tanh()": (1, "an operand"),
    "tanh(x, y)": (1, "one operand"),
    "sum(x, axis=y)": (13, "a number, True, False"),
    "sum(x, axis=__import__)": (13, "a number, True, False"),
    "2 3": (3, r"write a power as x\*\*2"),
    "x 2": (3, r"write a power as x\*\*2"),
    "∂L": (3, "'/'"),
    "∂L/W": (4, "'∂'"),
    "A × B": (3, "A ⊗ B"),
    "__import__('os')": (12, "a name, a number"),
    "lambda x: x": (9, "an operator"),
    "{x}": (1, "a name"),
    "'a'": (1, "a name"),
    "|x|": (1, "vertical line"),
    "a = ": (5, "a name"),
    "A ^": (4, "a name"),
    "1/0": (3, "other than 0"),
    "9" * 400: (1, "finite"),
    "𝟏": (2, "give the size"),
    "‖x": (3, "close the norm"),
    "Σ_ x": (1, "letters behind Σ_"),
    "Σ_(i,i) x[i]": (1, "different letters"),
    "x\0": (2, "a control character"),
    "x\ud800": (2, "a control character"),
    "(" * 500 + "x": (62, "60 levels"),
    "-" * 1_999 + "x": (63, "60 levels"),
    "Σ_i " * 400 + "x": (None, "60 levels"),
    "sum(x, axis=" + "(" * 900: (None, "60 levels"),
    "x" + ".T" * 900: (None, "60 levels"),
    "/".join("x" * 900): (None, "60 levels"),
    "+".join(["x*y"] * 400): (None, "1,000 nodes"),
    "x" * 2_001: (None, "2,000 characters, got 2,001"),
    "": (None, "nothing"),
    "  ": (None, "nothing"),
}


@pytest.mark.parametrize("typed", REFUSED, ids=lambda t: ascii(t[:20]))
def test_a_mistake_is_refused_at_its_column(typed, monkeypatch):
    column, message = REFUSED[typed]
    with pytest.raises(LayoutError, match=message) as caught, monkeypatch.context() as patch:
        for name in ("eval", "exec", "compile", "open"):
            patch.setattr(builtins, name, lambda *_: pytest.fail("something was evaluated"))
        parse(typed)
    written = str(caught.value)
    assert written.isprintable() and len(written) < 500
    if column is not None:
        assert f"column {column}: " in written


@pytest.mark.parametrize("thing", [None, 3, b"x", ["x"]])
def test_what_is_no_text_is_refused(thing):
    with pytest.raises(LayoutError, match="a string"):
        parse(thing)
