"""Formulas as exact text, and Kronecker products computed again from their text alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import jacobian
from layouts.show.terms import factor_names
from layouts.storing import with_numbers
from tests import formulas
from tests.cases import CASES
from tests.oracle import is_jacobian, structured_of


def normal(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).standard_normal(shape))


def structured(function, *args, argnums=0, **options):
    return jacobian(function, argnums, structured=True, **options)(*args)


# A function, what it is differentiated by, the shapes, and the formula, worked by hand.
FORMULAS = [
    (lambda W, X: W @ X, 0, [(5, 3), (3, 7)], "dD[i,j]/dW[k,l] = δ[i,k] X[l,j]"),
    (lambda W, X: W @ X, 1, [(5, 3), (3, 7)], "dD[i,j]/dX[k,l] = δ[j,l] W[i,k]"),
    (lambda W, X: X @ W, 0, [(5, 3), (7, 5)], "dD[i,j]/dW[k,l] = δ[j,l] X[i,k]"),
    (lambda W, X: X @ W, 1, [(5, 3), (7, 5)], "dD[i,j]/dX[k,l] = δ[i,k] W[l,j]"),
    (lambda A, x: A @ x, 0, [(5, 3), (3,)], "dD[i]/dA[k,l] = δ[i,k] x[l]"),
    (lambda A, x: A @ x, 1, [(5, 3), (3,)], "dD[i]/dx[k] = A[i,k]"),
    (lambda x, y: x @ y, 0, [(5,), (5,)], "dD/dx[k] = y[k]"),
    (lambda x, y: x * y, 0, [(5, 3), (5, 3)], "dD[i,j]/dx[k,l] = δ[i,k] δ[j,l] y[i,j]"),
    (lambda x: x, 0, [(5, 3)], "dD[i,j]/dx[k,l] = δ[i,k] δ[j,l]"),
    (lambda x: -x.T, 0, [(5, 3)], "dD[i,j]/dx[k,l] = -δ[i,l] δ[j,k]"),
    (lambda x: 3 * x, 0, [(5,)], "dD[i]/dx[k] = 3 δ[i,k]"),
    (lambda x: x / 4, 0, [(5,)], "dD[i]/dx[k] = 1/4 δ[i,k]"),
    (lambda x: x.sum(), 0, [(5, 3)], "dD/dx[k,l] = 1"),
    (lambda x: x.mean(), 0, [(5,)], "dD/dx[k] = 1/5"),
    (lambda x: x - x.mean(), 0, [(5,)], "dD[i]/dx[k] = δ[i,k] - 1/5"),
    (lambda s, x: s * x, 0, [(), (5,)], "dD[i]/ds = x[i]"),
    (lambda s, x: s * x, 1, [(), (5,)], "dD[i]/dx[k] = δ[i,k] s"),
    (lambda x: 7.0, 0, [(5,)], "dD/dx = 0"),
    (lambda x: x.ravel(), 0, [(5, 3)], "dD[(i,j)]/dx[k,l] = δ[i,k] δ[j,l]"),
    (lambda x: x.reshape(5, 3), 0, [(15,)], "dD[i,j]/dx[(k,l)] = δ[i,k] δ[j,l]"),
    (lambda A, b: A + b, 1, [(5, 3), (5, 1)], "dD[i,j]/db[k,0] = δ[i,k]"),
    (lambda M: M @ M, 0, [(5, 5)], "dD[i,j]/dM[k,l] = δ[i,k] M[l,j] + δ[j,l] M[i,k]"),
    (lambda A, B, C: A @ B @ C, 1, [(5, 3), (3, 7), (7, 2)], "dD[i,j]/dB[k,l] = C[l,j] A[i,k]"),
    (lambda W, X: jnp.exp(W @ X), 0, [(5, 3), (3, 7)], "dD[i,j]/dW[k,l] = δ[i,k] X[l,j] A[i,j]"),
]


@pytest.mark.parametrize(
    ("function", "argnums", "shapes", "formula"),
    FORMULAS,
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_formulas(function, argnums, shapes, formula):
    args = [normal(*shape) for shape in shapes]
    assert str(structured(function, *args, argnums=argnums)) == formula


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: case.name)
def test_a_formula_is_the_jacobian(case):
    """What is printed is read back and evaluated; scalars are printed to four digits."""
    for J in filter(is_jacobian, jax.tree.leaves(structured_of(case), is_leaf=is_jacobian)):
        terms = tuple(with_numbers(term, J.arrays) for term in J.terms)
        names = factor_names(terms, (J.names.out, J.names.into))
        arrays = {name: np.asarray(J.arrays[index]) for index, name in names.items()}
        if "(" not in str(J).partition(" = ")[0]:  # the text does not say the sizes of digits
            found = formulas.indexed(str(J), arrays, J.shape)
            np.testing.assert_allclose(found, J.dense(), rtol=2e-3, atol=1e-6)


def test_names_of_nested_parameters():
    params = [{"W": normal(5, 3), "b": normal(5)}]
    J = structured(lambda params, x: params[0]["W"] @ x + params[0]["b"], params, normal(3))
    assert str(J[0]["W"]) == "dD[i]/dparams[0].W[k,l] = δ[i,k] x[l]"
    assert str(J[0]["b"]) == "dD[i]/dparams[0].b[k] = δ[i,k]"


def test_a_function_without_names_gets_some():
    assert str(structured(jnp.negative, normal(5))).endswith("= -δ[i,k]")
    J = structured(lambda *xs: xs[0] * xs[1], normal(5), 2 * normal(5), argnums=1)
    assert str(J) == "dD[i]/dx1[k] = δ[i,k] x0[i]"


def named_arrays(J, arguments):
    """Each factor by the name that the text calls it; an argument's name must hold its values."""
    names = factor_names(J.terms, (J.names.out, J.names.into))
    assert len(set(names.values())) == len(names)
    arrays = {name: np.asarray(J.arrays[index]) for index, name in names.items()}
    for name, array in arguments.items():
        if name in arrays:
            np.testing.assert_array_equal(arrays[name].ravel(), np.asarray(array).ravel(), name)
    return arrays


def kron_cases():
    """Functions of named arguments whose Jacobians are sums of Kronecker products."""
    W, X, M, x, y, s = normal(5, 3), normal(3, 7), normal(3, 3), normal(5), 2 + normal(3), normal()
    return {
        "W X by W": (lambda W, X: W @ X, 0, {"W": W, "X": X}),
        "W X by X": (lambda W, X: W @ X, 1, {"W": W, "X": X}),
        "W X C by X": (lambda W, X, C: W @ X @ C, 1, {"W": W, "X": X, "C": normal(7, 2)}),
        "M M": (lambda M: M @ M, 0, {"M": M}),
        "x": (lambda x: x, 0, {"x": x}),
        "5 x": (lambda x: 5 * x, 0, {"x": x}),
        "-x/3": (lambda x: -x / 3, 0, {"x": x}),
        "0.3 x + 1.7 sum": (lambda x: 0.3 * x + 1.7 * x.sum(), 0, {"x": x}),
        "x y": (lambda x, y: x * y, 0, {"x": x, "y": 2 * x}),
        "tanh": (lambda x: jnp.tanh(x), 0, {"x": x}),
        "tanh of A": (lambda A: jnp.tanh(A), 0, {"A": x}),
        "W x": (lambda W, y: W @ y, 1, {"W": W, "y": y}),
        "W x by W": (lambda W, y: W @ y, 0, {"W": W, "y": y}),
        "outer by x": (lambda x, y: jnp.outer(x, y), 0, {"x": x, "y": y}),
        "outer by y": (lambda x, y: jnp.outer(x, y), 1, {"x": x, "y": y}),
        "outer(x, x)": (lambda x: jnp.outer(x, x), 0, {"x": x}),
        "softmax": (lambda x: jax.nn.softmax(x), 0, {"x": x}),
        "inner": (lambda x, y: x @ y, 0, {"x": x, "y": 2 * x}),
        "s W": (lambda s, W: s * W, 1, {"s": s, "W": W}),
        "sum": (lambda W: W.sum(), 0, {"W": W}),
        "row sums": (lambda W: W.sum(1), 0, {"W": W}),
        "column sums": (lambda W: W.sum(0), 0, {"W": W}),
        "broadcast": (lambda y: jnp.broadcast_to(y, (5, 3)), 0, {"y": y}),
        "bias": (lambda W, b: W + b, 1, {"W": W, "b": normal(5, 1)}),
        "centred": (lambda W: W - W.mean(0, keepdims=True), 0, {"W": W}),
        "all means": (lambda W: jnp.full((7,), 1.0) * W.mean(), 0, {"W": W}),
        "three axes": (
            lambda A, B: jnp.einsum("aij,jk->aik", A, B),
            0,
            {"A": normal(2, 5, 3), "B": X},
        ),
        "batched rows": (
            lambda X, W: jnp.einsum("nf,hf->nh", X, W),
            0,
            {"X": normal(7, 3), "W": W},
        ),
        "scaled rows": (lambda c, W: c * W, 1, {"c": normal(5, 1), "W": W}),
        "constant": (lambda x: jnp.ones(()), 0, {"x": jnp.ones(1)}),
        "cumulated": (lambda y, W: jnp.cumsum(W @ y), 0, {"y": y, "W": W}),
        "negated": (lambda y, W: jnp.cumsum(-(W @ y)), 0, {"y": y, "W": W}),
        "of x y z": (lambda y, z: jnp.einsum("i,j->ij", y, z).sum(0), 1, {"y": y, "z": x}),
    }


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("vec", ["rows", "columns"])
@pytest.mark.parametrize("name", sorted(kron_cases()))
def test_kronecker_text_is_the_matrix(name, vec, layout):
    function, argnums, arguments = kron_cases()[name]
    J = structured(function, *arguments.values(), argnums=argnums)
    text = J.kronecker(layout, vec)
    assert text is not None
    matrix = J.matrix(layout, vec)
    found = formulas.matrices(text, named_arrays(J, arguments), matrix.shape)
    np.testing.assert_allclose(found, matrix, atol=1e-12)


KRONECKER = [
    (lambda W, X: W @ X, 0, ("I₅ ⊗ Xᵀ", "Xᵀ ⊗ I₅", "I₅ ⊗ X", "X ⊗ I₅")),
    (lambda W, X: W @ X, 1, ("W ⊗ I₇", "I₇ ⊗ W", "Wᵀ ⊗ I₇", "I₇ ⊗ Wᵀ")),
]


@pytest.mark.parametrize(("function", "argnums", "texts"), KRONECKER)
def test_which_is_which(function, argnums, texts):
    """By rows and by columns, in numerator and in denominator layout."""
    J = structured(function, normal(5, 3), normal(3, 7), argnums=argnums)
    found = tuple(
        J.kronecker(layout, vec)
        for layout in ("numerator", "denominator")
        for vec in ("rows", "columns")
    )
    assert found == texts


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda W, X: jnp.tanh(W @ X), [(5, 3), (3, 7)]),
        (lambda x: x.ravel(), [(5, 3)]),
        (lambda W, X: (W @ X).T, [(5, 3), (3, 7)]),
        (lambda M: M @ M.T, [(5, 3)]),
    ],
)
def test_what_is_no_kronecker_product_is_none(function, shapes):
    assert structured(function, *(normal(*shape) for shape in shapes)).kronecker() is None


def test_complex_numbers_are_written_whole():
    x = normal(5) + 1j
    J = structured(lambda x: (2 + 1j) * x, x, holomorphic=True)
    assert str(J) == "dD[i]/dx[k] = (2+1j) δ[i,k]"
    assert "2+1j" in J.kronecker()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"),
        (7, "7"),
        (0.25, "1/4"),
        (1 / 3, "1/3"),
        (0.3, "0.3"),
        (1.7, "1.7"),
        (1e6, "1000000"),
        (1e-30, "1e-30"),
        (2 + 1j, "(2+1j)"),
    ],
)
def test_numbers(number, text):
    x, whole = normal(3), isinstance(number, complex)
    J = structured(lambda x: number * x, x + 0j if whole else x, holomorphic=whole)
    assert str(J) == f"dD[i]/dx[k] = {text} δ[i,k]".replace(" 1 ", " ")


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -float("inf")])
def test_printing_never_fails(number):
    J = structured(lambda x: x * number, normal(3))
    assert "δ[i,k]" in str(J)
    assert J.kronecker()


def test_a_name_is_its_owners_alone():
    """What an opaque map made of W is not called W."""
    W, x = normal(5, 3), normal(3)
    for function in (
        lambda x, W: jnp.cumsum(W @ x),
        lambda x, W: jnp.cumsum(-(W @ x)),
        lambda x, W: (W @ x)[::-1],
        lambda x, W: jnp.sort(W @ x),
    ):
        J = structured(function, x, W)
        for term in J.terms:
            for factor in term.factors:
                if factor.node.name == "W":
                    np.testing.assert_array_equal(J.arrays[factor.node.index], W)


SELECTIONS = [
    (lambda x: x[2:] - 2 * x[1:-1] + x[:-2], "dD[i]/dx[k] = δ[i,k] - 2 δ[i+1,k] + δ[i+2,k]"),
    (lambda x: x[2:], "dD[i]/dx[k] = δ[i+2,k]"),
]


@pytest.mark.parametrize(("function", "formula"), SELECTIONS)
def test_formulas_of_selections(function, formula):
    assert str(structured(function, normal(7))) == formula


@pytest.mark.parametrize("vec", ["rows", "columns"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[1:4],
        lambda x: x[::-1],
        lambda x: x[::2],
        lambda x: jnp.pad(x, (2, 1)),
        lambda x: x[np.array([3, 0, 3])],
        lambda x: jnp.concatenate([x[3:], x[:3]]),
        lambda x: jnp.outer(x[1:], x[::-1]),
        lambda x: jnp.tile(x[:3, None], (1, 2)),
    ],
)
def test_a_selection_is_never_left_out(function, vec):
    """A formula that hides an offset is a wrong formula."""
    J = structured(function, normal(7))
    text = J.kronecker(vec=vec)
    if text is not None:
        matrix = J.matrix(vec=vec)
        found = formulas.matrices(text, named_arrays(J, {}), matrix.shape)
        np.testing.assert_allclose(found, matrix, atol=1e-12)
    ones = structured(lambda x: jnp.full(J.out_shape, x.sum()), normal(7))
    assert str(J) != str(ones)
