"""The doctor against backward passes that people wrote: which mistake it is, and none accused."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.doctor import diagnose
from layouts.errors import LayoutError
from tests import corpus
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


def test_few_of_the_wrong_ones_are_missed_and_none_is_misnamed_as_certain():
    verdicts = [corpus.examined(case) for case in WRONG[7::80]]
    counts = Counter(verdict.fit for verdict in verdicts)
    assert counts[corpus.NAMED] >= 0.7 * len(verdicts), "\n".join(corpus.table(verdicts))
    assert not counts[corpus.CERTAIN] and not counts[corpus.PASSED]


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


@pytest.mark.parametrize(
    ("formula", "wrong", "factor"),
    [
        ("-dD @ X.T", "-∂L/∂D Xᵀ", "-1"),
        ("dD @ X.T / 3", "1/3 ∂L/∂D Xᵀ", "0.3333"),
        ("pi * dD @ X.T", "", "3.142"),
    ],
)
def test_a_constant_stands_in_the_wrong_formula(formula, wrong, factor):
    (finding, *_) = diagnose(product, formula.replace("pi", repr(np.pi)), *matrices()).findings
    assert finding.wrong == (wrong and f"∂L/∂W = {wrong}")
    assert f"all by a factor of {factor};" in finding.where


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
        (lambda g, W, X: None, "wrong-shape"),
        (lambda g, W, X: g @ X.T * 1j, "wrong-dtype"),
        (lambda g, W, X: "dD", "wrong-dtype"),
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


def test_a_number_that_stands_for_nothing_is_a_constant_factor():
    (finding,) = diagnose(product, "0.37 * dD @ X.T", *matrices(4, 3, 5)).findings
    assert finding.kind == "constant-factor" and finding.message.startswith("0.37 times")


def test_an_ambiguous_mistake_lists_its_candidates():
    found = diagnose(product, "dD @ X.T / 3", *matrices(4, 3, 5))
    assert found.candidates == {"W": [("mean-for-sum",), ("constant-factor",)]}
    assert not found.certain and "either mean-for-sum or constant-factor" in found.summary
    assert not any(finding.certain for finding in found.findings)


def gated(x, A):
    gate = jnp.tanh(A @ x)
    return gate * jnp.sin(x) + (1 - gate) * x


def test_a_path_with_the_wrong_sign():
    def backward(g, x, A):
        gate = np.tanh(A @ x)
        straight = g * (gate * np.cos(x) + 1 - gate)
        return straight + A.T @ (g * (1 - gate**2) * (np.sin(x) + x))  # less x

    found = diagnose(gated, backward, normal(5), normal(5, 5))
    assert found.findings[0].kind == "sign"


def test_two_paths_with_weights_of_their_own():
    def forward(x):
        return jnp.sin(x) + jnp.exp(x) + x**3

    def backward(g, x):
        return g * (np.cos(x) - np.exp(x) + 6 * x**2)

    found = diagnose(forward, backward, normal(5))
    assert found.candidates["x"][0] in {("sign", "constant-factor"), ("constant-factor", "sign")}


def test_two_mistakes_on_paths_of_their_own():
    def forward(x, y):
        return jnp.tanh(x * y) + jnp.sin(x) * y

    def backward(g, x, y):
        return g * (np.tanh(x * y) * y + np.sin(x) * y)  # values for both derivatives

    found = diagnose(forward, backward, normal(5), normal(5, seed=1))
    assert found.findings[0].kind == "value-for-derivative"


def test_the_same_mistake_in_every_step_of_a_loop():
    def forward(W, X):
        h = jnp.zeros(4)
        for x in X:
            h = jnp.tanh(W @ h + x)
        return h

    def backward(g, W, X):
        states = [np.zeros(4)]
        for x in X:
            states.append(np.tanh(W @ states[-1] + x))
        found = np.zeros_like(W)
        for state in states[-2::-1]:
            found += np.outer(g, state)  # no slope of tanh
            g = W.T @ g
        return found

    found = diagnose(forward, backward, normal(4, 4) / 2, normal(5, 4))
    assert found.findings[0].kind == "missing-activation-derivative"
    assert "everywhere" in found.findings[0].message


def late(g, x, y):
    return np.exp(np.cumsum(x)) * np.cumsum(g[::-1])[::-1]


@pytest.mark.parametrize(
    ("forward", "backward", "kind"),
    [
        (
            lambda x, y: x @ y / jnp.sqrt(x @ x),
            lambda g, x, y: g * (y / np.sqrt(x @ x) - x @ y * x / (x @ x)),
            "missing-factor",
        ),
        (jnp.outer, lambda g, x, y: (g * np.outer(x, y)).sum(1), "extra-factor"),
        (lambda x, y: jnp.exp(jnp.cumsum(x)), late, "order-swapped"),
    ],
)
def test_slips_inside_a_formula(forward, backward, kind):
    found = diagnose(forward, backward, normal(5), normal(5, seed=1))
    assert found.findings[0].kind == kind, str(found)


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        (lambda d: d[::-1], "not-flipped"),
        (lambda d: np.roll(d, 3), "order-swapped"),
        (lambda d: d[[2, 0, 1, 4, 3, 6, 5]], "permutation-not-inverted"),
    ],
)
def test_entries_in_another_order(order, kind):
    found = diagnose(jnp.sin, lambda g, x: order(g * np.cos(x)), normal(7))
    assert found.findings[0].kind == kind


def test_a_matrix_left_out_is_named_although_the_shape_is_wrong():
    found = diagnose(lambda A, B: A @ B @ B.T, "dD @ B", normal(3, 4), normal(4, 5))
    assert found.findings[0].kind == "missing-factor"
    assert found.findings[0].wrong == "∂L/∂A = ∂L/∂D B"


def test_a_wrong_shape_that_nothing_explains_is_said():
    found = diagnose(product, lambda g, W, X: np.ones((2, 2)), *matrices(4, 3, 5))
    (finding,) = found.findings
    assert finding.kind == "wrong-shape" and finding.correction == "return shape (4, 3)"
    assert finding.where == "its shape is (2, 2), the variable's (4, 3)" and not found.certain


def test_a_candidate_may_write_into_its_arguments_and_return_lists():
    W, X = matrices(4, 3, 5)
    before = W.copy()

    def backward(g, W, X):
        W *= 2
        return (g @ X.T).tolist()

    assert diagnose(product, backward, W, X).ok and (before == W).all()


def test_the_right_entries_as_a_row_are_no_gradient_of_a_vector():
    def backward(g, X, b):
        return g.sum(0, keepdims=True)

    found = diagnose(lambda X, b: X + b[None, :], backward, normal(4, 3), normal(3), argnums=1)
    assert [finding.kind for finding in found.findings] == ["transposed-layout"]


def test_a_jacobian_in_the_place_of_its_transpose():
    def backward(g, z):
        p = np.exp(z) / np.exp(z).sum()
        return g - p @ g

    found = diagnose(jax.nn.log_softmax, backward, normal(5))
    assert found.findings[0].kind == "operand-not-transposed"


MISFITS = {
    "dD @ X": {"operand-not-transposed"},
    "X.T @ dD": {"order-swapped"},
    "X @ dD": {"operand-not-transposed", "order-swapped"},
    "dD @ inv(X)": {"inverse-for-transpose"},
    "dD * X.T": {"missing-sum"},
}


@pytest.mark.parametrize("formula", MISFITS)
def test_a_formula_whose_shapes_do_not_fit_is_mended(formula):
    rng = np.random.default_rng(4)
    W, X = rng.standard_normal((4, 3)), rng.standard_normal((3, 5))
    found = diagnose(lambda W, X: W @ X, formula, W, X)
    assert {finding.kind for finding in found.findings} == MISFITS[formula]
    assert {finding.right for finding in found.findings} == {"dD Xᵀ"}
    assert diagnose(lambda W, X: W @ X, found.findings[0].right, W, X).ok


def test_only_the_occurrence_that_does_not_fit_is_turned():
    rng = np.random.default_rng(5)
    W, X = rng.standard_normal((4, 3)), rng.standard_normal((3, 5))
    formula = "(dD * (1 - tanh(W @ X)**2)) @ X"
    (finding,) = diagnose(lambda W, X: jnp.tanh(W @ X), formula, W, X).findings
    assert finding.right == "(dD ⊙ (1 - tanh(W X)²)) Xᵀ"


@pytest.mark.parametrize(
    ("fun", "formula", "kinds"),
    [
        (product, "-dD @ X", ("operand-not-transposed", "sign")),
        (product, "2 * inv(X) @ dD", ("inverse-for-transpose", "constant-factor")),
        (
            lambda W, X: jnp.tanh(W @ X),
            "dD @ X",
            ("operand-not-transposed", "missing-activation-derivative"),
        ),
    ],
)
def test_a_misfit_with_another_slip_is_diagnosed_where_all_sizes_are_equal(fun, formula, kinds):
    found = diagnose(fun, formula, *matrices(4, 3, 5))
    assert kinds in found.candidates["W"], str(found)
    assert {finding.wrong for finding in found.findings} == {formula}
    assert "Where all axes have 5 entries the shapes fit" in found.notes[0]


def test_a_pass_whose_shapes_do_not_fit_raises_and_is_told_what_it_has_where_they_do():
    found = diagnose(product, lambda g, W, X: X.T @ g, *matrices(4, 3, 5))
    assert found.verdict == "unexplained" and found.findings[0].kind == "raises"
    assert "It is either order-swapped or" in found.notes[-1]


def test_a_misfit_that_nothing_mends_is_refused():
    with pytest.raises(LayoutError, match="shapes that fit"):
        diagnose(lambda W, X: W @ X + np.ones((4, 5)), "dD + X", *matrices(4, 3, 5))


def test_a_formula_may_name_the_output_and_a_scalar_function_needs_no_cotangent():
    W, X = matrices(4, 3, 5)
    assert diagnose(lambda W, X: jnp.tanh(W @ X), "(dY * (1 - Y**2)) @ X.T", W, X).ok
    square, x = normal(4, 4), normal(4)
    assert diagnose(lambda x, A: x @ A @ x, "(A + A.T) @ x", x, square).ok
    found = diagnose(lambda x, A: x @ A @ x, "2 A x", x, square)
    assert ("missing-path",) in found.candidates["x"]
