"""Functions that people write, derived: the gradient as it reads, and as it evaluates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from layouts.derivation import derive
from layouts.formulas.evaluating import evaluate, names
from layouts.formulas.parsing import parse
from layouts.formulas.tree import Equation, Name
from layouts.show.text import text


def distances(X, Y):
    return jnp.sum((X[:, None] - Y[None]) ** 2, axis=-1)


def recurrent(W, U, xs, h):
    def step(h, x):
        return jnp.tanh(W @ h + U @ x), None

    return jax.lax.scan(step, h, xs)[0]


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def window(x):
    return jnp.pad(checkpoint_name(x[:5], "z"), (1, 2))


# The function, the shapes of its arguments, and the gradient by the first; None where any is good.
CASES = {
    "hinge": (
        lambda w, X, y: jnp.sum(jnp.maximum(0, 1 - y * (X @ w))),
        [(3,), (7, 3), (7,)],
        "-Xᵀ (y ⊙ heaviside(z1, 1/2))",
    ),
    "minimum": (lambda x, y: jnp.sum(jnp.minimum(x, y)), [(5,), (5,)], "heaviside(y - x, 1/2)"),
    "KL divergence": (
        lambda s, m: jnp.sum(s**2 + m**2 - 1 - 2 * jnp.log(s)) / 2,
        [(5,), (5,)],
        "s - 1 / s",
    ),
    "polynomial kernel": (
        lambda x, Y: (Y @ x + 1) ** 3,
        [(3,), (5, 3)],
        "3 Yᵀ (∂L/∂D ⊙ (Y x + 1)²)",
    ),
    "distances": (
        distances,
        [(4, 3), (5, 3)],
        "2 (diag(∂L/∂D 𝟏₅) X - ∂L/∂D Y)",
    ),
    "distances within": (
        lambda X: distances(X, X),
        [(4, 3)],
        "2 (diag(∂L/∂D 𝟏₄) - ∂L/∂D - (∂L/∂D)ᵀ + diag((∂L/∂D)ᵀ 𝟏₄)) X",
    ),
    "rows of length one": (
        lambda X: X / jnp.linalg.norm(X, axis=1, keepdims=True),
        [(4, 3)],
        "diag(1 / u) ∂L/∂D - diag((∂L/∂D ⊙ X) 𝟏₃ / u³) X",
    ),
    "a loop": (
        recurrent,
        [(3, 3), (3, 2), (2, 2), (3,)],
        "(∂L/∂D ⊙ tanh′(z2)) a1ᵀ + ((Wᵀ (∂L/∂D ⊙ tanh′(z2))) ⊙ tanh′(z1)) hᵀ",
    ),
    "a Hessian of differences": (jax.grad(rosenbrock), [(4,)], None),
    "a slice that is padded": (window, [(7,)], "∂L/∂D[k+1] 𝟏₅[k]"),
    "a pair": (lambda ws, x: ws[1] @ (ws[0] @ x), [[(4, 3), (2, 4)], (3,)], "ws[1]ᵀ ∂L/∂D xᵀ"),
    "all digits": (lambda x: 0.1234567 * x**2 + x / 3.7, [(3,)], None),
}


def arrays_for(shapes):
    rng = np.random.default_rng(4)
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.uniform(0.3, 1.7, shape)),
        shapes,
        is_leaf=lambda shape: isinstance(shape, tuple),
    )


def printed(derivation, alphabet, known):
    """What is given a name in print, worked out from its text."""
    formulas = [*(step.formula for step in derivation.of("forward")), *derivation.definitions]
    if alphabet == "ascii":
        formulas = [derivation.in_numpy.get(formula, formula) for formula in formulas]
    waiting = [parse(text(formula, alphabet)) for formula in formulas]
    waiting = [e for e in waiting if isinstance(e, Equation) and isinstance(e.sides[0], Name)]
    while waiting:
        ready = [e for e in waiting if known.keys() >= {n for n in names(e) if n != "ws"}]
        if not ready:
            break  # those that other steps use
        known |= {e.sides[0].text: evaluate(e, known) for e in ready}
        waiting = [e for e in waiting if e not in ready]
    return known


@pytest.mark.parametrize("name", CASES)
def test_a_function_is_derived_and_its_formula_reads_back(name):
    function, shapes, expected = CASES[name]
    args = arrays_for(shapes)
    found = jax.tree.leaves(derive(function)(*args), is_leaf=lambda d: hasattr(d, "steps"))[0]
    assert found.check is not None and found.check < 1e-12, str(found)
    last = (found.of("matrix") or found.of("result"))[-1].formula
    assert expected is None or text(last.sides[-1]) == expected
    value, pull = jax.vjp(function, *args)
    cotangent = (
        np.random.default_rng(1).standard_normal(value.shape) if value.shape else np.ones(())
    )
    true = jax.tree.leaves(pull(jnp.asarray(cotangent)))[0]
    known = dict(zip(found.inputs, jax.tree.leaves(args), strict=True))
    known[f"dL/d{found.out_name}"] = cotangent
    for alphabet in ("unicode", "ascii"):
        formula = found.in_numpy.get(last, last) if alphabet == "ascii" else last
        known = printed(found, alphabet, known)
        read = evaluate(parse(text(formula, alphabet)), known)
        np.testing.assert_allclose(read, true, rtol=1e-9, atol=1e-12)


def test_sizes_of_complex_numbers_are_not_left_out():
    """`|Σ exp(i x)|²` is no `(Σ exp(i x))²`; what has no formula stands for itself, plainly."""
    found = derive(lambda x: jnp.abs(jnp.sum(jnp.exp(1j * x))) ** 2)(jnp.arange(3.0))
    assert found.check is not None and found.check < 1e-12
    assert text(found.of("forward")[0].formula) == "L = abs(sum(exp((0+1j) x)))²"
    assert found.notes[0] == "∂L/∂x has no formula and stands for itself."
    assert not found.of("result")


def test_ascii_is_what_numpy_makes_of_it():
    found = derive(lambda x, a, b: (a @ x) * b)(*arrays_for([(5,), (5,), (3,)]))
    page = found.text("ascii")
    assert "D = (a.T @ x) * b " in page
    assert "dx = outer(a, b) @ dD " in page
    assert "dx = a bᵀ dD " in found.text()
