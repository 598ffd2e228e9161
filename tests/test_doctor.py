"""The doctor against backward passes that people wrote: which mistake it is, and none accused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.doctor import diagnose
from layouts.errors import LayoutError
from tests.mistakes import cases

CASES = cases()
RIGHT = [case for case in CASES if not case.kinds]
WRONG = [case for case in CASES if case.kinds]


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def examined(case, seed=1):
    args = case.args(np.random.default_rng(seed))
    return diagnose(case.forward, case.backward, *args, argnums=case.argnum)


@pytest.mark.parametrize("place", range(8))
def test_nobody_is_accused_who_is_right(place):
    for case in RIGHT[place::8]:
        diagnosis = examined(case)
        assert diagnosis.ok, f"{case.operation}, {case.name}: {diagnosis}"


def matrices(n=4, m=4, k=4):
    return normal(n, m), normal(m, k, seed=1)


def product(W, X):
    return W @ X


# A formula for the gradient by W of W @ X, and what is wrong with it.
FORMULAS = [
    ("dD @ X.T", None),
    ("∂L/∂D Xᵀ", None),
    ("(X @ dD.T).T", None),
    ("dD @ X", "operand-not-transposed"),
    ("X.T @ dD", "order-swapped"),
    ("dD @ inv(X)", "inverse-for-transpose"),
    ("X @ dD.T", "transposed-layout"),
    ("-dD @ X.T", "sign"),
    ("2 * dD @ X.T", "constant-factor"),
    ("dD", "missing-factor"),
    ("ones(4, 4) @ X.T", "missing-cotangent"),
]


@pytest.mark.parametrize(("formula", "kind"), FORMULAS)
def test_formulas_are_candidates(formula, kind):
    diagnosis = diagnose(product, formula, *matrices())
    assert (diagnosis.findings[0].kind if diagnosis.findings else None) == kind, str(diagnosis)


def test_the_right_and_the_wrong_formula_stand_side_by_side():
    (finding,) = diagnose(product, "dD @ inv(X)", *matrices()).findings
    assert finding.right == "∂L/∂W = ∂L/∂D Xᵀ"
    assert finding.wrong == "∂L/∂W = ∂L/∂D X⁻¹"
    assert finding.inputs > 2 and finding.residual < 1e-9 < finding.next_best


def test_an_array_is_a_candidate_at_its_cotangent():
    W, X = matrices(4, 3, 5)
    G = normal(4, 5)
    assert diagnose(product, G @ X.T, W, X, cotangent=G).ok
    found = diagnose(product, -(G @ X.T), W, X, cotangent=G)
    assert found.findings[0].kind == "sign" and found.findings[0].inputs == 1


def test_an_array_without_a_cotangent_is_told_so():
    W, X = matrices(4, 3, 5)
    found = diagnose(product, np.ones((4, 5)) @ X.T, W, X)
    assert found.ok and any("ones" in note for note in found.notes)


def test_the_gradient_of_a_scalar_needs_no_cotangent():
    x = normal(5)
    assert diagnose(lambda x: jnp.sum(x**2), 2 * x, x).ok
    assert diagnose(lambda x: jnp.sum(x**2), x, x).findings[0].kind == "constant-factor"


def test_a_whole_jacobian_is_a_candidate():
    W, X = matrices(4, 3, 5)
    J = np.asarray(jax.jacrev(product)(W, X))
    assert diagnose(product, J, W, X, kind="jacobian").ok
    assert diagnose(product, -J, W, X, kind="jacobian").findings[0].kind == "sign"


def test_several_arguments_have_a_finding_each():
    W, X = matrices(4, 3, 5)

    def right(g, W, X):
        return g @ X.T, W.T @ g

    def wrong(g, W, X):
        return g @ X.T, -(W.T @ g)

    assert diagnose(product, right, W, X, argnums=(0, 1)).ok
    (finding,) = diagnose(product, wrong, W, X, argnums=(0, 1)).findings
    assert (finding.argument, finding.kind) == ("X", "sign")


def test_pytrees_have_a_finding_for_each_leaf():
    params = {"W": normal(4, 3), "b": normal(4, 1)}

    def forward(params, X):
        return jnp.tanh(params["W"] @ X + params["b"])

    def backward(g, params, X):
        d = g * (1 - np.tanh(params["W"] @ X + params["b"]) ** 2)
        return {"W": d @ X.T, "b": d}

    found = diagnose(forward, backward, params, normal(3, 5))
    assert [(f.argument, f.kind) for f in found.findings] == [("params.b", "missing-sum")]


def test_two_mistakes_at_once():
    X, T = normal(5, 3), normal(5, 3, seed=1)
    found = diagnose(lambda X, T: jnp.mean((X - T) ** 2), lambda g, X, T: -g * 2 * (X - T), X, T)
    assert [f.kind for f in found.findings] == ["constant-factor", "sign"]


def test_ties_are_right():
    x = np.array([0.0, 1.0, -2.0])
    found = diagnose(jax.nn.relu, lambda g, x: g * (x >= 0), x)
    assert found.ok


def test_kinks_at_the_given_point_are_told():
    x = np.array([2.0, 2.0, 1.0])
    found = diagnose(jnp.max, lambda g, x: g * (np.arange(3) == np.argmax(x)), x)
    assert found.ok and any("subgradient" in note for note in found.notes)


def test_ones_hide_a_mistake_and_it_is_told():
    X = normal(4, 3)
    found = diagnose(lambda X: X - X.mean(0, keepdims=True), lambda g, X: g - g.mean(), X)
    assert not found.ok and any("ones" in note for note in found.notes)


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [
        (lambda g, W, X: 1 / 0, "raises"),
        (lambda g, W, X: np.full((4, 4), np.nan), "not-finite"),
        (lambda g, W, X: np.random.standard_normal((4, 4)), "not-deterministic"),
        (lambda g, W, X: (g, g), "wrong-shape"),
    ],
)
def test_what_cannot_be_diagnosed_is_told(candidate, kind):
    found = diagnose(product, candidate, *matrices())
    assert found.verdict == "unexplained" and found.findings[0].kind == kind


def test_what_no_mistake_explains_is_unexplained():
    found = diagnose(product, lambda g, W, X: np.sin(g @ X.T) + W**3, *matrices())
    assert found.verdict == "unexplained"
    assert "differ" in found.findings[0].where


def test_bad_input_is_refused():
    W, X = matrices()
    with pytest.raises(LayoutError, match="argnums"):
        diagnose(product, "dD", W, X, argnums=5)
    with pytest.raises(LayoutError, match="kind"):
        diagnose(product, "dD", W, X, kind="jvp")
    with pytest.raises(LayoutError, match="cotangent"):
        diagnose(product, W, W, X, cotangent=np.ones(3))
    with pytest.raises(LayoutError, match="candidate"):
        diagnose(product, "dD @ Y @ Z", W, X)
    with pytest.raises(TypeError):
        diagnose(lambda n: n * 2, lambda g, n: g, np.arange(3))
