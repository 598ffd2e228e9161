"""What a formula means, held against NumPy and against loops over every index."""

from itertools import product as every
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layouts.errors import LayoutError
from layouts.formulas.evaluating import evaluate
from layouts.formulas.functions import ELEMENTWISE, KNOWN, function
from layouts.formulas.parsing import parse
from layouts.formulas.tree import (
    Call,
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Indicator,
    Letter,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
)
from tests.strategies_formulas import ARRAYS, LETTERS, number

RNG = np.random.default_rng(2)
W, X, D, S = (RNG.standard_normal(shape) for shape in ((4, 3), (3, 5), (4, 5), (3, 3)))
x, y, b, z = (RNG.standard_normal(shape) for shape in ((3,), (3,), (4,), (7,)))
GIVEN = {"W": W, "X": X, "dL/dD": D, "S": S, "x": x, "y": y, "b": b, "z": z}
GIVEN |= {"one": RNG.standard_normal((1, 3)), "T3": RNG.standard_normal((2, 3, 5))}


# Products of vectors, rows, matrices and numbers, each with what it is.
PRODUCTS = {
    "W x": W @ x,
    "b W": b @ W,
    "xᵀ y": x @ y,
    "x y": x @ y,
    "x bᵀ": np.outer(x, b),
    "xᵀ": x[None, :],
    "xᵀᵀ": x,
    "bᵀ W": (b @ W)[None, :],
    "bᵀ W x": b @ W @ x,
    "(bᵀ W + xᵀ) x": b @ W @ x + x @ x,
    "(2 xᵀ ⊙ yᵀ) x": 2 * (x * y) @ x,
    "tanh(xᵀ) y": np.tanh(x) @ y,
    "(W x) bᵀ W": np.outer(W @ x, b @ W),
    "W yᵀ S x": W * (y @ S @ x),
    "x yᵀ x": x * (y @ x),
    "one x": GIVEN["one"] @ x,
    "oneᵀ bᵀ": GIVEN["one"].T @ b[None, :],
    "T3ᵀ": GIVEN["T3"].T,
    "tr(S) W": np.trace(S) * W,
    "x ⊗ b": np.kron(x, b),
    "x ⊗ bᵀ": np.outer(x, b),
    "x ⊗ W": np.kron(x[:, None], W),
    "diag(xᵀ) - diag(S)": np.diag(x) - np.diag(S),
}


@pytest.mark.parametrize("text", PRODUCTS)
def test_vectors_are_columns_and_their_transposes_rows(text):
    value = evaluate(parse(text), GIVEN)
    assert value.shape == np.shape(PRODUCTS[text])
    np.testing.assert_allclose(value, PRODUCTS[text], rtol=1e-12)


def by_loops(formula, place):
    """A formula of indices at one place, by Python's arithmetic."""
    at = lambda part: by_loops(part, place)  # noqa: E731
    match formula:
        case Letter(text):
            return place[text]
        case Number(value):
            return value
        case Name(text):
            return ARRAYS[text]
        case Derivative(Name(of), Name(by)):
            return ARRAYS[f"d{of}/d{by}"]
        case Derivative(Entry(Name(of), first), Entry(Name(by), last)):
            return ARRAYS[f"d{of}/d{by}"][tuple(map(at, (*first, *last)))]
        case Transpose(of):
            return at(of).T
        case Product("matrix", (Name() as left, Name() as right)):
            return at(left) @ at(right)
        case Call("vec", (of,)):
            return at(of).reshape(-1)
        case Digits((left, right)):
            return at(left) * right.size + at(right)
        case Entry(array, indices):
            array, indices = at(array), tuple(map(at, indices))
            inside = all(0 <= n < size for n, size in zip(indices, array.shape, strict=True))
            return array[indices] if inside else 0
        case Delta(left, right):
            return float(at(left) == at(right))
        case Sigma(letters, body):
            ranges = every(*(range(letter.size) for letter in letters))
            names = [letter.text for letter in letters]
            return sum(by_loops(body, place | dict(zip(names, n, strict=True))) for n in ranges)
        case Sum(coefficients, terms):
            return sum(c * at(term) for c, term in zip(coefficients, terms, strict=True))
        case Product(_, factors):
            return prod(map(at, factors))
        case Quotient(above, below):
            return np.float64(at(above)) / at(below)
        case Power(base, exponent):
            return np.float64(at(base)) ** at(exponent)
        case Call("tanh", (of,), (), 1):
            return 1 - np.tanh(at(of)) ** 2
        case Call("sigmoid", (of,), (), primes):
            s = 1 / (1 + np.exp(-at(of)))
            return s * (1 - s) if primes else s
        case Call("softplus", (of,), (), primes):
            return 1 / (1 + np.exp(-at(of))) if primes else np.logaddexp(at(of), 0)
        case Call("sin", (of,), (), primes):
            return np.cos(at(of)) if primes else np.sin(at(of))
        case Call(name, (of,)):
            return getattr(np, name)(at(of))
        case Indicator(Compare("<", left, right)):
            return float(at(left) < at(right))
    raise AssertionError(formula)


FREE = (LETTERS[2][0], LETTERS[3][0], LETTERS[5][0])


@settings(max_examples=60)
@given(
    formula=st.lists(st.sampled_from(FREE), max_size=3, unique=True)
    .map(tuple)
    .flatmap(lambda free: number(free, 2).map(lambda formula: (free, formula)))
)
def test_letters_are_axes_and_sums_are_loops(formula):
    free, formula = formula
    value = evaluate(formula, ARRAYS, free)
    assert value.shape == tuple(letter.size for letter in free)
    names = [letter.text for letter in free]
    with np.errstate(all="ignore"):
        for n in np.ndindex(value.shape):
            true = by_loops(formula, dict(zip(names, n, strict=True)))
            np.testing.assert_allclose(value[n], true, rtol=1e-9, atol=1e-12)


def test_a_jacobian_has_the_axes_of_its_left_side():
    jacobian = parse("dD[i,j]/dW[k,l] = δ[i,k] X[l,j]")
    arrays = GIVEN | {"D": D}
    true = np.einsum("ik,lj->ijkl", np.eye(4), X)
    np.testing.assert_array_equal(evaluate(jacobian, arrays | {"dD/dW": true}), true)
    i, k = Letter("i", 4), Letter("k", 4)
    letters = [i, Letter("j"), k, Letter("l")]
    np.testing.assert_array_equal(evaluate(jacobian, GIVEN, letters), true)
    swapped = [Letter("l"), k, Letter("j"), i]
    np.testing.assert_array_equal(evaluate(jacobian, GIVEN, swapped), true.transpose(3, 2, 1, 0))
    entry = parse("Σ_ij ∂L/∂D[i,j] ∂D[i,j]/∂W[k,l]")
    np.testing.assert_allclose(evaluate(entry, GIVEN | {"dD/dW": true}), D @ X.T)


def test_letters_of_the_same_name_in_different_sums_are_apart():
    formula = parse("Σ_j W[i,j] x[j] + Σ_j ∂L/∂D[i,j] (Σ_i W[i,0]) - Σ_i b[i] Σ_i x[i]")
    true = W @ x + D.sum(axis=1) * W[:, 0].sum() - b.sum() * x.sum()
    np.testing.assert_allclose(evaluate(formula, GIVEN), true)


def test_sizes_come_from_entries_deltas_and_the_letters_given():
    assert evaluate(parse("z[i+2]"), GIVEN).shape == (5,)
    assert evaluate(parse("z[2i+1]"), GIVEN).shape == (3,)
    assert evaluate(parse("z[4-i]"), GIVEN).shape == (5,)
    assert evaluate(parse("x[i] z[i+j]"), GIVEN).shape == (3, 5)
    assert evaluate(parse("δ[i,k] δ[k,l] x[l]"), GIVEN).shape == (3, 3, 3)
    second = parse("z[i+2] - 2 z[i+1] + z[i]")
    np.testing.assert_allclose(evaluate(second, GIVEN, [Letter("i", 5)]), np.diff(z, 2))
    longer = evaluate(parse("x[i]"), GIVEN, [Letter("i", 5)])
    np.testing.assert_array_equal(longer, [*x, 0, 0])
    repeated = evaluate(parse("x[i]"), GIVEN, [Letter("n", 2), Letter("i")])
    np.testing.assert_array_equal(repeated, [x, x])


def test_derivatives_go_by_three_names():
    for name in ("dL/dD", "∂L/∂D", "dD"):
        for text in ("∂L/∂D", "dL/dD"):
            np.testing.assert_array_equal(evaluate(parse(text), {name: D}), D)
    np.testing.assert_array_equal(evaluate(parse("dD"), {"∂L/∂D": D}), D)
    with pytest.raises(LayoutError, match="name dM/dD"):
        evaluate(parse("∂M/∂D"), {"dD": D})


def test_no_outer_product_is_built_for_a_sum():
    large = np.ones((300, 300))
    chain = parse("Σ_jkm A[i,j] δ[j,m] B[m,k] C[k,l]")
    arrays = {"A": large, "B": large, "C": large}
    jaxpr = jax.make_jaxpr(lambda a: evaluate(chain, a))(arrays)
    assert "300,300,300" not in str(jaxpr) and "eq" not in str(jaxpr)
    np.testing.assert_array_equal(evaluate(chain, arrays), large @ large @ large)


def test_it_may_be_traced():
    formula = parse("Σ_j tanh′(W x)[i] W[i,j] y[j]")

    def value(W, x):
        return evaluate(formula, GIVEN | {"W": W, "x": x})

    true = (1 - jnp.tanh(W @ x) ** 2) * (W @ y)
    np.testing.assert_allclose(jax.jit(value)(W, x), true)
    stack = jnp.stack([W, 2 * W])
    np.testing.assert_allclose(jax.vmap(value, (0, None))(stack, x)[0], true)
    ours = jax.jacrev(value)(W, x)
    theirs = jax.jacrev(lambda W: (1 - jnp.tanh(W @ x) ** 2) * (W @ y))(W)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_precision_is_that_of_the_arrays():
    single = {name: jnp.asarray(array, "float32") for name, array in GIVEN.items()}
    texts = ("2 W x - 1/3 b", "I₄ W ⊙ 1[W > 0]", "𝟏₄ᵀ W", "δ[i,k] W[i,j]", "W² / 2", "σ″(W)")
    for text in texts:
        assert evaluate(parse(text), single).dtype == "float32", text
    assert evaluate(parse("2j x"), GIVEN).dtype == "complex128"


@pytest.mark.parametrize("name", sorted({*ELEMENTWISE} - {"isfinite", "logical_not", "int"}))
def test_primes_are_derivatives(name):
    points = jnp.array([[0.3, 0.7], [0.45, 0.62], [0.21, 0.9]]) + (name == "arccosh")
    step = 1e-6
    if name in ("real", "imag", "conj", "ceil", "floor", "sign"):
        expected = jnp.full(points.shape, float(name in ("real", "conj")))
    else:
        call = KNOWN[name]
        expected = (call(points + step) - call(points - step)) / (2 * step)
    formula = Call(name, (Name("x"),), (), 1)
    np.testing.assert_allclose(evaluate(formula, {"x": points}), expected, rtol=1e-4, atol=1e-6)


def test_a_derivative_at_a_kink_is_as_in_jax():
    assert evaluate(parse("relu'(x)"), {"x": np.float64(0)}) == jax.grad(jax.nn.relu)(0.0)
    assert function("relu", primes=1)(jnp.array([-1, 2])).tolist() == [0, 1]


# What does not fit, and what the refusal must say.
REFUSED = {
    "W W": r"formula W W: expected inner sizes that agree, got shapes \(4, 3\) and \(4, 3\)",
    "W + X": "formula W . X",
    "W ⊙ X": "shapes that fit",
    "V x": "name V: expected one of the arrays: W, X",
    "tanh x": r"write the function as tanh\(x\)",
    "δ[i,j]": r"letter i: expected an entry that gives its size",
    "Σ_j W[i,k]": "letter j",
    "W[i,j] X[i,j]": "letter i: expected axes of one size, got axes of 4 and 3",
    "W[i]": r"2 indices, for the shape \(4, 3\), got 1",
    "x[b[i]]": "a whole number, got float64",
    "W[i,7]": "an index below 3, got 7",
    "W⁻¹": "a square matrix",
    "x⁻¹": "1 / x is entry by entry",
    "softmax(x, axis=3)": "formula softmax",
    "x[:, :, None]": "formula x",
    "sum(x, axes=3)": "formula sum",
    "1 / (1 - 1)": "finite numbers",
    "eye(1000000)": "at most 100,000,000 entries",
    "𝟏(99999×99999)": "at most 100,000,000 entries",
    "z[a] z[b] z[c] z[d] z[e] z[f] z[g] z[h] z[i] z[j] z[k]": "at most 100,000,000 entries",
    "eye(200) ⊗ eye(200)": "at most 100,000,000 entries",
    "arange(999999999)": "at most 100,000,000 entries",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_does_not_fit_is_refused(text):
    with pytest.raises(LayoutError, match=REFUSED[text]) as caught:
        evaluate(parse(text), GIVEN)
    assert "~" not in str(caught.value)


LEFT = {
    "∂L/∂W[k,l] = δ[k,l]": np.eye(4, 3),
    "dL/dW[k,l] = r[(k,l)]": np.arange(12.0).reshape(4, 3),
    "∂L/∂x[k] = Σ_u r[(k,u)]": np.arange(12.0).reshape(3, 4).sum(axis=1),
    "∂b[0]/∂x[k] = x[k]": np.asarray(GIVEN["x"]),
}


@pytest.mark.parametrize("text", LEFT)
def test_the_left_side_tells_how_far_letters_run(text):
    value = evaluate(parse(text), {**GIVEN, "r": np.arange(12.0)})
    np.testing.assert_allclose(value, LEFT[text])


def test_a_result_must_have_every_free_letter():
    with pytest.raises(LayoutError, match="add j"):
        evaluate(parse("W[i,j]"), GIVEN, [Letter("i")])


def test_a_tower_of_powers_ends():
    assert not np.isfinite(evaluate(parse("9**9**9**9"), {}))
