"""Formulas in ASCII are what NumPy makes of them."""

import jax
import numpy as np
import pytest

from layouts.formulas.evaluating import evaluate
from layouts.formulas.in_numpy import in_numpy
from layouts.formulas.parsing import parse
from layouts.show.text import text

_RNG = np.random.default_rng(2)
SHAPES = {"A": (4, 3), "B": (3, 3), "x": (3,), "y": (3,), "z": (4,), "c": (), "X": (3, 1)}
ARRAYS = {name: _RNG.standard_normal(shape) for name, shape in SHAPES.items()}
NUMPY = {
    name: getattr(np, name) for name in ("diag", "eye", "kron", "ones", "outer", "sum", "tanh")
}

# As on paper, and as NumPy has it.
FORMULAS = {
    "x yᵀ": "outer(x, y)",
    "A x yᵀ B": "outer(A @ x, y) @ B",
    "(xᵀ y) A": "(x.T @ y) * A",
    "c x - 2 c (xᵀ y) y": "c * x - 2 * c * (x.T @ y) * y",
    "A (x yᵀ + y xᵀ) x": "A @ (outer(x, y) + outer(y, x)) @ x",
    "xᵀ B y": "x.T @ B @ y",
    "sum(y) x - y": "sum(y) * x - y",
    "1/3 𝟏₃ 𝟏₃ᵀ - I₃": "1/3 * outer(ones(3), ones(3)) - eye(3)",
    "𝟏(4×3) B": "ones((4, 3)) @ B",
    "x ⊗ B": "kron(x[:, None], B)",
    "xᵀ ⊗ B": "kron(x.T, B)",
    "x ⊗ y": "kron(x, y)",
    "tanh(x yᵀ) / (1 + xᵀ x)": "tanh(outer(x, y)) / (1 + x.T @ x)",
}


def shape_of(part):
    return jax.eval_shape(lambda: evaluate(part, ARRAYS)).shape


@pytest.mark.parametrize("paper", FORMULAS)
def test_numpy_reads_what_is_meant(paper):
    formula = parse(paper)
    plain = in_numpy(formula, shape_of)
    assert text(plain, "ascii") == FORMULAS[paper]
    wanted = np.asarray(evaluate(formula, ARRAYS))
    np.testing.assert_allclose(np.asarray(evaluate(plain, ARRAYS)), wanted, rtol=1e-12)
    found = eval(text(plain, "ascii"), NUMPY, ARRAYS)
    np.testing.assert_allclose(np.reshape(found, wanted.shape), wanted, rtol=1e-12)


@pytest.mark.parametrize("text_", ["Σ_j A[i,j] x[j]", "f x", "X xᵀ"])
def test_what_is_not_known_stays(text_):
    formula = parse(text_)
    assert in_numpy(formula, shape_of) == formula
