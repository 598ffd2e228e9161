"""A derivation's page as people see it: whole texts, LaTeX, HTML, JSON, and no step said twice."""

import json
import re
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.derivation.outline import Step, outline
from layouts.derivation.steps import Derivation
from layouts.formulas.tree import Equation, Name

EVIL = "</td><script>alert('\"&')</script>"


def product(W, X):
    return W @ X


def softmax(z):
    return jax.nn.softmax(z)


def mlp(W1, W2, x):
    return W2 @ jnp.tanh(W1 @ x)


FUNCTIONS = {
    "product": (product, [(4, 3), (3, 5)]),
    "softmax": (softmax, [(7,)]),
    "mlp": (mlp, [(4, 5), (3, 4), (5,)]),
}


def derived(name, argnums=0, arrays=False):
    function, shapes = FUNCTIONS[name]
    args = [jax.ShapeDtypeStruct(shape, float) for shape in shapes]
    if arrays:
        rng = np.random.default_rng(3)
        args = [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]
    return layouts.derive(function, argnums)(*args)


# The function, the alphabet, the width, and the whole page.
PAGES = [
    (
        "product",
        "unicode",
        88,
        """
∂D/∂W, with W 4×3, X 3×5

Forward
    D = W X                      the output, 4×5
    D[i,j] = Σ_u W[i,u] X[u,j]   by its indices

Local derivatives
    ∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j]   zero unless i = k

Gradient
    ∂L/∂W[k,l] = Σ_ij ∂L/∂D[i,j] ∂D[i,j]/∂W[k,l]   the chain rule
               = Σ_ij δ[i,k] ∂L/∂D[i,j] X[l,j]     the local derivatives put in
               = Σ_j ∂L/∂D[k,j] X[l,j]             δ[i,k] keeps i = k
    ∂L/∂W = ∂L/∂D Xᵀ                               the sum over j is a product, 4×3

Rules
    dW = dD Xᵀ        the VJP: pulls a cotangent back, 4×3
    D_dot = W_dot X   the JVP: pushes a tangent forward, 4×5

Layouts
    ∂vec(Dᵀ)/∂vec(Wᵀ) = I₄ ⊗ Xᵀ   numerator = mixed, 20×12, stacked by rows
    ∂vec(D)/∂vec(W) = Xᵀ ⊗ I₄     numerator = mixed, 20×12, stacked by columns
    ∂vec(Dᵀ)/∂vec(Wᵀ) = I₄ ⊗ X    denominator, 12×20
""",
    ),
    (
        "product",
        "unicode",
        56,
        """
∂D/∂W, with W 4×3, X 3×5

Forward
    D = W X                      the output, 4×5
    D[i,j] = Σ_u W[i,u] X[u,j]   by its indices

Local derivatives
    ∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j]   zero unless i = k

Gradient
    ∂L/∂W[k,l] = Σ_ij ∂L/∂D[i,j] ∂D[i,j]/∂W[k,l]
                       the chain rule
               = Σ_ij δ[i,k] ∂L/∂D[i,j] X[l,j]
                       the local derivatives put in
               = Σ_j ∂L/∂D[k,j] X[l,j]
                       δ[i,k] keeps i = k
    ∂L/∂W = ∂L/∂D Xᵀ   the sum over j is a product, 4×3

Rules
    dW = dD Xᵀ   the VJP: pulls a cotangent back, 4×3
    D_dot = W_dot X
                 the JVP: pushes a tangent forward, 4×5

Layouts
    ∂vec(Dᵀ)/∂vec(Wᵀ) = I₄ ⊗ Xᵀ
        numerator = mixed, 20×12, stacked by rows
    ∂vec(D)/∂vec(W) = Xᵀ ⊗ I₄
        numerator = mixed, 20×12, stacked by columns
    ∂vec(Dᵀ)/∂vec(Wᵀ) = I₄ ⊗ X   denominator, 12×20
""",
    ),
    (
        "product",
        "ascii",
        88,
        """
dD/dW, with W 4x3, X 3x5

Forward
    D = W @ X                        the output, 4x5
    D[i,j] = sum_u W[i,u] * X[u,j]   by its indices

Local derivatives
    dD[i,j]/dW[k,l] = delta[i,k] * X[l,j]   zero unless i = k

Gradient
    dL/dW[k,l] = sum_ij dL/dD[i,j] * dD[i,j]/dW[k,l]   the chain rule
               = sum_ij delta[i,k] * dL/dD[i,j] * X[l,j]   the local derivatives put in
               = sum_j dL/dD[k,j] * X[l,j]             delta[i,k] keeps i = k
    dL/dW = dL/dD @ X.T                                the sum over j is a product, 4x3

Rules
    dW = dD @ X.T       the VJP: pulls a cotangent back, 4x3
    D_dot = W_dot @ X   the JVP: pushes a tangent forward, 4x5

Layouts
    d(vec(D.T))/d(vec(W.T)) = kron(eye(4), X.T)
        numerator = mixed, 20x12, stacked by rows
    d(vec(D))/d(vec(W)) = kron(X.T, eye(4))
        numerator = mixed, 20x12, stacked by columns
    d(vec(D.T))/d(vec(W.T)) = kron(eye(4), X)   denominator, 12x20
""",
    ),
    (
        "softmax",
        "unicode",
        88,
        """
∂D/∂z, with z 7

Forward
    D = softmax(z)   the output, 7

Local derivatives
    ∂D[i]/∂z[k] = δ[i,k] D[i] - D[i] D[k]
        a term with a δ is zero unless its indices are equal

Gradient
    ∂L/∂z[k] = Σ_i ∂L/∂D[i] ∂D[i]/∂z[k]                 the chain rule
             = Σ_i δ[i,k] ∂L/∂D[i] D[i] - Σ_i ∂L/∂D[i] D[i] D[k]
                                                        the local derivatives put in
             = ∂L/∂D[k] D[k] - Σ_i ∂L/∂D[i] D[i] D[k]   δ[i,k] keeps i = k
    ∂L/∂z = ∂L/∂D ⊙ D - D Dᵀ ∂L/∂D                      the sum over i is a product, 7

Rules
    dz = dD ⊙ D - D Dᵀ dD            the VJP: pulls a cotangent back, 7
    D_dot = D ⊙ z_dot - D Dᵀ z_dot   the JVP: pushes a tangent forward, 7

Layouts
    ∂D/∂z = diag(D) - D Dᵀ   numerator = denominator = mixed, 7×7
""",
    ),
    (
        "mlp",
        "unicode",
        88,
        """
∂D/∂W1, with W1 4×5, W2 3×4, x 5

Forward
    z1 = W1 x                  an intermediate, 4
    z1[u] = Σ_v W1[u,v] x[v]   by its indices
    a1 = tanh(z1)              an intermediate, 4
    a1[n] = tanh(z1[n])        by its indices
    D = W2 a1                  the output, 3
    D[i] = Σ_v W2[i,v] a1[v]   by its indices

Local derivatives
    ∂z1[u]/∂W1[k,l] = δ[u,k] x[l]         zero unless u = k
    ∂a1[n]/∂z1[u] = δ[n,u] tanh′(z1)[n]   zero unless n = u
    ∂D[i]/∂a1[n] = W2[i,n]                no δ: every entry counts

Gradient
    ∂L/∂W1[k,l] = Σ_inu ∂L/∂D[i] ∂D[i]/∂a1[n] ∂a1[n]/∂z1[u] ∂z1[u]/∂W1[k,l]
                                            the chain rule
                = Σ_inu δ[n,u] δ[u,k] ∂L/∂D[i] W2[i,n] tanh′(z1)[n] x[l]
                                            the local derivatives put in
                = Σ_iu δ[u,k] ∂L/∂D[i] W2[i,u] tanh′(z1)[u] x[l]   δ[n,u] keeps n = u
                = Σ_i ∂L/∂D[i] W2[i,k] tanh′(z1)[k] x[l]   δ[u,k] keeps u = k
    ∂L/∂W1 = ((W2ᵀ ∂L/∂D) ⊙ tanh′(z1)) xᵀ   the sum over i is a product, 4×5

Rules
    dW1 = ((W2ᵀ dD) ⊙ tanh′(z1)) xᵀ       the VJP: pulls a cotangent back, 4×5
    D_dot = W2 (tanh′(z1) ⊙ (W1_dot x))   the JVP: pushes a tangent forward, 3

Jacobian
    ∂D[i]/∂W1[k,l] = W2[i,k] tanh′(z1)[k] x[l]   output by input, 1 term

Layouts
    ∂D/∂vec(W1ᵀ) = (W2 diag(tanh′(z1))) ⊗ xᵀ   numerator = mixed, 3×20, stacked by rows
    ∂D/∂vec(W1) = xᵀ ⊗ (W2 diag(tanh′(z1)))
        numerator = mixed, 3×20, stacked by columns
    ∂D/∂vec(W1ᵀ) = (diag(tanh′(z1)) W2ᵀ) ⊗ x   denominator, 20×3

where
    tanh′(z) = 1 - tanh(z)²
""",
    ),
]


@pytest.mark.parametrize(("name", "alphabet", "width", "page"), PAGES)
def test_whole_pages(name, alphabet, width, page):
    found = derived(name).text(alphabet, width)
    assert found == page.strip("\n")
    if alphabet == "ascii":
        found.encode("ascii")


def test_a_product_reads_as_by_hand():
    """The sum, the delta put in and applied, and the matrix form, one under the other."""
    page = str(derived("product"))
    lines = [re.split(r"   +", line.strip())[0] for line in page.split("\n")]
    start = lines.index("Gradient")
    assert lines[start + 1 : start + 5] == [
        "∂L/∂W[k,l] = Σ_ij ∂L/∂D[i,j] ∂D[i,j]/∂W[k,l]",
        "= Σ_ij δ[i,k] ∂L/∂D[i,j] X[l,j]",
        "= Σ_j ∂L/∂D[k,j] X[l,j]",
        "∂L/∂W = ∂L/∂D Xᵀ",
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_equation_is_said_twice_and_none_is_left_out(name):
    derivation = derived(name)
    told = [line.formula for part in outline(derivation.steps) for line in part.lines]
    assert len(told) == len({*told})
    assert {*told} == {step.formula for step in derivation.steps}


def test_layouts_that_coincide_share_a_line():
    assert "numerator = denominator = mixed, 7×7" in str(derived("softmax"))
    page = str(derived("product"))
    assert page.count("numerator = mixed, 20×12") == 2
    assert page.count("  denominator, 12×20") == 1


@pytest.mark.parametrize("layout", ["numerator", "denominator", "mixed"])
def test_one_layout_alone(layout):
    page = derived("product").text(layout=layout)
    others = {"numerator", "denominator", "mixed"} - {layout}
    assert f"{layout}, " in page
    assert not any(other in page for other in others)
    with pytest.raises(layouts.LayoutError, match="'sideways'"):
        derived("product").text(layout="sideways")


def test_what_was_checked_is_said():
    assert "Checked" not in str(derived("mlp"))
    derivation = derived("mlp", arrays=True)
    assert f"Checked in numbers, all {len(derivation.steps)} steps" in str(derivation)
    assert derivation.check < 1e-12


@pytest.mark.parametrize(
    ("checks", "said", "alarm"),
    [
        ([1e-16, None], "1 of 2 steps: the largest relative difference is 1e-16", False),
        ([0.5, 1e-16], "all 2 steps: the largest relative difference is 0.5; a step does", True),
        ([1e-16, float("nan")], "Not checked in numbers", True),
    ],
)
def test_bad_news_is_not_hidden(checks, said, alarm):
    names = [Name("a"), Name("b")]
    steps = [
        Step("forward", Equation((name, Name("c"))), "given", (), check)
        for name, check in zip(names, checks, strict=True)
    ]
    derivation = Derivation({}, "x", "D", (), tuple(steps))
    assert said in str(derivation)
    assert ('class="alarm"' in derivation.html()) is alarm
    json.dumps(derivation.as_json(), allow_nan=False)


def test_long_pages_keep_to_their_width():
    params = {f"layer{n}": jax.ShapeDtypeStruct((3, 3), float) for n in range(20)}

    def net(params, x):
        for W in params.values():
            x = jnp.tanh(W @ x)
        return x

    derivation = layouts.derive(net, 1)(params, jax.ShapeDtypeStruct((3,), float))
    page = derivation.text(width=70)
    assert max(map(len, page.split("\n")[:3])) <= 70
    assert "and 9 inputs more" in page


def test_html_is_well_formed_escaped_and_without_script():
    derivation = derived("mlp", arrays=True)
    root = ElementTree.fromstring(derivation.html())
    math = "{http://www.w3.org/1998/Math/MathML}math"
    assert len(list(root.iter(math))) > len(derivation.steps)
    titles = [e.text for e in root.iter("h4")]
    assert titles == [
        "Forward", "Local derivatives", "Gradient", "Rules", "Jacobian", "Layouts", "where",
    ]  # fmt: skip
    step = Step("forward", Equation((Name(EVIL), Name("x"))), EVIL, (2,))
    notes = (EVIL,)
    html = Derivation({EVIL: (2,)}, EVIL, "D", (2,), (step,), (), notes).html()
    assert "<script" not in html
    assert "".join(ElementTree.fromstring(html).itertext()).count(EVIL) > 3


def test_notebooks_get_the_page_and_the_result():
    bundle = derived("product")._repr_mimebundle_()
    assert sorted(bundle) == ["text/html", "text/latex", "text/plain"]
    assert bundle["text/plain"] == str(derived("product"))
    rule = r"\frac{\partial L}{\partial W} = \frac{\partial L}{\partial D} \, X^{\top}"
    assert bundle["text/latex"] == f"$${rule}$$"
    assert derived("product").mathml().startswith("<math ")


def test_latex_has_an_equals_sign_a_row_and_no_bare_symbols():
    found = derived("mlp").latex()
    assert found.startswith("\\begin{align*}\n") and found.endswith("\n\\end{align*}")
    rows = found.split("\n")[1:-1]
    assert all(row.count(" &= ") == 1 for row in rows)
    assert all(row.endswith(r" \\") for row in rows[:-1])
    found.encode("ascii")
    step = Step("forward", Equation((Name("a"), Name("b"))), "50% of_x & #{y} δ", ())
    words = Derivation({}, "x", "D", (), (step,)).latex()
    assert r"\text{50\% of\_x \& \#\{y\} $\delta$" in words


def test_json_holds_every_step():
    derivation = derived("product", arrays=True)
    found = json.loads(json.dumps(derivation.as_json(), allow_nan=False))
    assert list(found) == ["inputs", "wrt", "output", "steps", "definitions", "notes"]
    assert found["inputs"] == {"W": [4, 3], "X": [3, 5]}
    assert len(found["steps"]) == len(derivation.steps)
    assert list(found["steps"][0]) == ["kind", "text", "latex", "reason", "shape", "check"]
    (matrix,) = (step for step in found["steps"] if step["kind"] == "matrix")
    assert matrix["text"] == "∂L/∂W = ∂L/∂D Xᵀ" and matrix["shape"] == [4, 3]
    assert matrix["check"] < 1e-12


def test_a_jacobian_whose_arrays_are_gone_is_printed():
    J = layouts.jacobian(lambda x, s: x * jnp.sin(s), structured=True)(jnp.ones(3), 2.0)
    known = str(J)
    for array in J.arrays:
        array.delete()
    assert str(J) == "dD[i]/dx[k] = δ[i,k] A" != known
