"""Functions that people write, derived: the gradient as it reads, and as it evaluates."""

from itertools import product

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
    "a loop": (  # small: where tanh is all but one, 1 - tanh² has few digits
        recurrent,
        [(2, 2), (2, 1), (2, 1), (2,)],
        "(∂L/∂D ⊙ tanh′(z2)) a1ᵀ + ((Wᵀ (∂L/∂D ⊙ tanh′(z2))) ⊙ tanh′(z1)) hᵀ",
    ),
    "a Hessian of differences": (jax.grad(rosenbrock), [(4,)], None),
    "a slice that is padded": (window, [(7,)], "I₇[:5]ᵀ ∂L/∂D[1:6]"),
    "a pair": (lambda ws, x: ws[1] @ (ws[0] @ x), [[(4, 3), (2, 4)], (3,)], "ws[1]ᵀ ∂L/∂D xᵀ"),
    "polar coordinates": (
        lambda p: jnp.array([p[0] * jnp.cos(p[1]), p[0] * jnp.sin(p[1])]),
        [(2,)],
        "[c ∂L/∂D[0] + s ∂L/∂D[1], p[0] c ∂L/∂D[1] - p[0] s ∂L/∂D[0]]",
    ),
    "a determinant by hand": (
        lambda A: A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0],
        [(2, 2)],
        "[[A[1, 1], -A[1, 0]], [-A[0, 1], A[0, 0]]]",
    ),
    "a label": (lambda z: -jax.nn.log_softmax(z)[2], [(5,)], "softmax(z) - I₅[2]"),
    "differences": (jnp.diff, [(5,)], "(I₅[1:] - I₅[:4])ᵀ ∂L/∂D"),
    "rolled": (
        lambda x: jnp.roll(x, -2),
        [(5,)],
        "I₅[2:]ᵀ ∂L/∂D[:3] + I₅[:2]ᵀ ∂L/∂D[3:]",
    ),
    "beside another": (lambda Y, X: jnp.hstack([X, Y]), [(3, 2), (3, 5)], "∂L/∂D[:, 5:]"),
    "gated": (
        jax.nn.glu,
        [(6,)],
        "I₆[:3]ᵀ (∂L/∂D ⊙ a1) + I₆[3:]ᵀ (∂L/∂D ⊙ x[:3] ⊙ σ′(z1))",
    ),
    "tiles": (lambda x: jnp.tile(x, 3), [(5,)], "reshape(∂L/∂D, shape=(3, 5))ᵀ 𝟏₃"),
    "vectors' Kronecker product": (
        lambda x, y: jnp.kron(x, y),
        [(3,), (5,)],
        "reshape(∂L/∂D, shape=(3, 5)) y",
    ),
    "a median": (
        jnp.median,
        [(5,)],
        "one_hot(argsort(a)[2], 5)",
    ),
    "a product": (jnp.prod, [(5,)], "prod(where(u[:, None] == u, 1, a), axis=1)"),
    "running products": (jnp.cumprod, [(5,)], None),
    "a triangular solve": (
        lambda B, M: jax.scipy.linalg.solve_triangular(M, B, lower=True),
        [(3, 5), (3, 3)],
        "tril(M)⁻ᵀ ∂L/∂D",
    ),
    "a Cholesky factor": (lambda S: jnp.linalg.cholesky(S + 5 * jnp.eye(3)), [(3, 3)], None),
    "eigenvalues": (jnp.linalg.eigvalsh, [(3, 3)], "V diag(∂L/∂D) Vᵀ"),
    "the greatest eigenvalue": (
        lambda X: jnp.linalg.eigvalsh(X.T @ X)[-1],
        [(5, 3)],
        "2 X u uᵀ",
    ),
    "a nuclear norm": (
        lambda X: jnp.linalg.norm(X, "nuc"),
        [(2, 3)],
        "svdleft(X) svdright(X)ᵀ",
    ),
    "an average pool": (
        lambda X: jax.lax.reduce_window(X, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID") / 4,
        [(4, 6)],
        "1/4 (I₄[1::2] + I₄[:3:2])ᵀ ∂L/∂D (I₆[1::2] + I₆[:5:2])",
    ),
    "a maximum over windows": (
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (3,), (2,), "SAME"),
        [(6,)],
        "one_hot(argmaxpool(x, window=(3,), strides=(2,), padding=((0, 1),)), 6)ᵀ ∂L/∂D",
    ),
    "smoothness": (
        lambda x: jnp.sum((x[1:] - x[:-1]) ** 2),
        [(5,)],
        "2 (I₅[1:] - I₅[:4])ᵀ u",
    ),
    "a part of a vector": (lambda x: x[:3], [(5,)], "I₅[:3]ᵀ ∂L/∂D"),
    "inverses side by side": (jnp.linalg.inv, [(2, 3, 3)], None),
    "what a loop carries": (
        lambda a: jax.lax.fori_loop(0, 3, lambda n, x: (x + a / x) / 2, 1.0),
        [()],
        "1 / (2 u2) + c / (4 u1) + 1/8 c (1 - a / u1²)",
    ),
    "what cancels": (lambda X: jnp.linalg.det(jnp.linalg.inv(X)), [(3, 3)], "-det(X⁻¹) X⁻ᵀ"),
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
    results = [step.formula for kind in ("result", "matrix") for step in found.of(kind)]
    last = results[-1]
    assert expected is None or text(last.sides[-1]) == expected
    value, pull = jax.vjp(function, *args)
    cotangent = (
        np.random.default_rng(1).standard_normal(value.shape) if value.shape else np.ones(())
    )
    true = jax.tree.leaves(pull(jnp.asarray(cotangent)))[0]
    known = dict(zip(found.inputs, jax.tree.leaves(args), strict=True))
    known[f"dL/d{found.out_name}"] = cotangent
    for alphabet in ("unicode", "ascii"):
        known = printed(found, alphabet, known)
        for result in results:
            formula = found.in_numpy.get(result, result) if alphabet == "ascii" else result
            read = evaluate(parse(text(formula, alphabet)), known)
            np.testing.assert_allclose(read, true, rtol=1e-9, atol=1e-12)


def test_names_that_mean_something_else_elsewhere():
    """Arguments called as a cotangent, a tangent, a delta, a sum, or a number that is none."""
    A, x = arrays_for([(3, 5), (5,)])
    functions = {
        ("dD", "x"): lambda dD, x: dD @ x,
        ("W", "dW"): lambda W, dW: W @ dW,
        ("x_dot", "x"): lambda x_dot, x: x_dot @ x,
        ("Σ_x", "δ"): lambda Σ_x, δ: Σ_x @ δ,
        ("sum_i", "nan"): lambda sum_i, nan: sum_i @ nan,
        ("p['a b']", "p['T']"): lambda p: p["a b"] @ p["T"],
    }
    for called, function in functions.items():
        pytree = len(called[0]) > 5
        args = ({"a b": A, "T": x},) if pytree else (A, x)
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), args)
        found = derive(function, 0 if pytree else (0, 1))(*shapes)
        for place, wrt in enumerate(called):
            derivation = found[wrt[3:-2] if pytree else place]
            assert derivation.wrt == wrt
            known = {called[0]: A, called[1]: x, f"dL/d{derivation.out_name}": np.arange(3.0)}
            true = A.T @ np.arange(3.0) if place else np.outer(np.arange(3.0), x)
            for kind, alphabet in product(("result", "matrix"), ("unicode", "ascii")):
                formula = derivation.of(kind)[-1].formula
                read = evaluate(parse(text(formula, alphabet)), known)
                np.testing.assert_allclose(read, true, rtol=1e-9)


def test_an_entry_at_a_place_that_is_given():
    found = derive(lambda z, y: -jax.nn.log_softmax(z)[y])(arrays_for((5,)), jnp.asarray(2))
    assert text(found.formula.sides[-1]) == "softmax(z) - one_hot(y, 5)" and found.check < 1e-12
    (result,) = found.of("result")
    read = evaluate(parse(text(result.formula)), {"z": jnp.ones(5), "y": jnp.asarray(2)})
    np.testing.assert_allclose(read, [0.2, 0.2, -0.8, 0.2, 0.2])


def test_long_loops_are_folded_and_short_ones_are_not():
    def powers(length):
        def run(h, W):
            return jax.lax.fori_loop(0, length, lambda n, h: jnp.tanh(W @ h), h)

        shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((2,), (2, 2))]
        return derive(run)(*shapes)

    assert "likewise" not in powers(3).text()
    page = powers(20).text()
    assert "likewise 18 times more" in page and len(page.splitlines()) < 30
    assert any("loop" in note for note in powers(33).notes)


def test_each_definition_stands_after_those_that_it_is_made_of():
    found = derive(jax.grad(lambda x: jnp.sum(jnp.sin(x @ x * x) ** 2)))(arrays_for((5,)))
    names_of = [d.sides[0] for d in found.definitions if isinstance(d.sides[0], Name)]
    assert len(names_of) > 1
    for place, definition in enumerate(found.definitions):
        assert {*definition.sides[1].walk()}.isdisjoint(names_of[place:]), str(found)


def test_sizes_of_complex_numbers_are_not_left_out():
    """`|Σ exp(i x)|²` is no `(Σ exp(i x))²`; what has no formula stands for itself, plainly."""
    found = derive(lambda x: jnp.abs(jnp.sum(jnp.exp(1j * x))) ** 2)(jnp.arange(3.0))
    assert found.check is not None and found.check < 1e-12
    assert text(found.of("forward")[0].formula) == "L = abs(sum(exp((0+1j) x)))²"
    assert found.notes[0] == "∂L/∂x has no formula and stands for itself."
    assert not found.of("result")
    z = jnp.arange(3.0) + 1j * jnp.arange(2.0, 5.0)
    found = derive(lambda z: jnp.sum(jnp.abs(z) ** 2))(z)
    assert found.check < 1e-12 and "L_dot = real(" in str(found)


def test_ascii_is_what_numpy_makes_of_it():
    found = derive(lambda x, a, b: (a @ x) * b)(*arrays_for([(5,), (5,), (3,)]))
    page = found.text("ascii")
    assert "D = (a.T @ x) * b " in page
    assert "dx = outer(a, b) @ dD " in page
    assert "dx = a bᵀ dD " in found.text()


def test_what_is_too_large_to_compute_is_not_checked():
    """The Jacobian of six hundred by six hundred stands for no quotient of cotangents."""
    x = jnp.linspace(0.3, 1.7, 600)
    found = derive(jnp.tanh)(x)
    assert found.check < 1e-12 and found.of("partial")[0].check is None
    found = derive(jnp.diff)(x)
    assert text(found.of("matrix")[0].formula.sides[-1]) == "(I₆₀₀[1:] - I₆₀₀[:599])ᵀ ∂L/∂D"
    assert found.check < 1e-12 and found.of("result")[0].check is not None


def test_a_function_that_returns_an_array_of_its_own():
    table = jnp.arange(6.0).reshape(2, 3)
    found = derive(lambda x: table)(jnp.ones(5))
    assert found.check == 0 and text(found.of("forward")[0].formula) == "D = c1"
    assert text(found.of("result")[0].formula) == "∂L/∂x[k] = 0"


def test_truth_values_on_the_way_do_not_move():
    found = derive(jax.scipy.linalg.expm)(*arrays_for([(2, 2)]))
    assert found.check is not None and found.check < 1e-12
