"""Results as HTML: well formed, escaped, and honest about what is not shown."""

from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.portrait import MOST_ENTRIES
from layouts.program import Cost
from layouts.show.costs import MOST_STEPS, plan_parts
from layouts.show.html import Markup, Shown, code, escape, page, table, tag
from tests.cases import CASES
from tests.oracle import structured_of

EVIL = "</td><script>alert('\"&')</script>"
MIMES = ["text/html", "text/plain"]


def text_of(html):
    """All text of a fragment but its style; raises where it is not well formed."""
    root = ElementTree.fromstring(str(html))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "style":
                parent.remove(child)
    return " ".join(" ".join(root.itertext()).split())


def structured(f, *args, argnums=0):
    return layouts.jacobian(f, argnums, structured=True)(*args)


def normal(*shape):
    return jax.random.normal(jax.random.key(sum(shape)), shape)


def mlp(W, V, X):
    return jnp.tanh(X @ W) @ V


def test_text_is_escaped_and_markup_is_not():
    assert "<script" not in escape(EVIL) and escape(escape(EVIL)) == escape(EVIL)
    made = tag("p", EVIL, tag("b", EVIL), title=EVIL)
    root = ElementTree.fromstring(made)
    assert root.text == root.get("title") == root.find("b").text == EVIL
    assert ElementTree.fromstring(tag("p", "a\x00b\ud800\x1f")).text == "a\ufffdb\ufffd\ufffd"
    assert text_of(table([EVIL], [[EVIL], [code(EVIL)]])).count(EVIL) == 3


def test_a_page_stands_alone():
    whole = page(EVIL, Markup("<p>body</p>"))
    assert whole.startswith("<!DOCTYPE html>") and "<script" not in whole
    assert "http" not in whole and "color-scheme:light dark" in whole
    ElementTree.fromstring(whole.removeprefix("<!DOCTYPE html>"))


def test_bundles_hold_what_is_asked_for():
    J = structured(jnp.sin, normal(3))
    assert sorted(J._repr_mimebundle_()) == MIMES
    assert J._repr_mimebundle_()["text/plain"] == str(J)
    assert J._repr_mimebundle_()["text/html"] == J._repr_html_() == J.html()
    assert list(J._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert list(J._repr_mimebundle_(exclude={"text/plain"})) == ["text/html"]
    assert J._repr_mimebundle_(include=MIMES, exclude=MIMES) == {}
    assert J._repr_mimebundle_(include=["image/png"]) == {}
    assert J._repr_latex_() is None


def test_what_is_not_wanted_is_not_made():
    class Result(Shown):
        def html(self):
            raise AssertionError

        def latex(self):
            return r"\frac{a}{b}"

    assert Result()._repr_mimebundle_(include=["text/latex"]) == {
        "text/latex": r"$\displaystyle \frac{a}{b}$"
    }


def test_a_jacobian_shows_its_formula_terms_layouts_and_matrix():
    J = structured(lambda W, X: W @ X, normal(4, 3), normal(3, 5))
    text = text_of(J.html())
    assert str(J) in text and "X 3×5 float64" in text
    assert "120 bytes stored, 1,920 bytes dense" in text
    assert "numerator 20×12 I₄ ⊗ Xᵀ Xᵀ ⊗ I₄" in text
    assert "denominator 12×20 I₄ ⊗ X X ⊗ I₄" in text
    assert "mixed 20×12" in text and "JAX 4×5×4×3" in text
    titles = [e.text for e in ElementTree.fromstring(J.html()).iter() if e.tag.endswith("title")]
    assert len(titles) == 4 * 5 * 3
    assert titles[1] == f"row 0, column 1: {J.matrix()[0, 1]:.6g}"


@pytest.mark.parametrize("case", CASES[::7], ids=lambda case: case.name)
def test_every_kind_of_jacobian_is_well_formed(case):
    for J in jax.tree.leaves(structured_of(case), is_leaf=lambda J: hasattr(J, "html")):
        if hasattr(J, "html"):
            before = str(J)
            assert "Matrix" in text_of(J.html()) and str(J) == before


def test_nan_is_shown_in_small_and_large_jacobians():
    x = normal(30).at[4].set(jnp.nan)
    assert "1 NaN among 900 entries" in text_of(structured(jnp.sin, x).html())
    large = structured(jnp.sin, jnp.zeros(1000).at[jnp.array([3, 7])].set(jnp.inf))
    text = text_of(large.html())
    assert "2 NaN among 1,000 stored numbers" in text
    J = structured(jnp.sin, jnp.full(3, jnp.nan))
    with jax.debug_nans(True):
        assert "3 NaN among 9 entries" in text_of(J.html())


def test_beyond_the_cap_the_structure_is_drawn_and_the_text_says_so():
    J = structured(mlp, normal(7, 11), normal(11, 3), normal(200, 7), argnums=2)
    assert np.prod(J.shape) > MOST_ENTRIES
    text = text_of(J.html())
    assert "840,000 entries are more than the 250,000" in text and "values are left out" in text
    assert "200×3 is cut into 21×3 pieces, 200×7 into 9×7" in text
    assert "zero by structure" in text and "positive" not in text


def test_under_a_trace_no_values_are_shown():
    shown = []

    @jax.jit
    def run(x):
        J = structured(lambda x: jnp.tanh(x) * 2, x)
        shown.append(text_of(J.html()))
        return J.dense()

    run(normal(5))
    assert "not known while JAX traces" in shown[0] and "zero by structure" in shown[0]
    J = structured(jnp.tanh, normal(5))
    outer = J.html()
    inner = []
    jax.jit(lambda x: inner.append(J.html()) or x)(1.0)
    assert inner == [outer]  # its own values are known


def test_deleted_and_foreign_leaves_do_not_raise():
    J = structured(lambda x, s: x[jnp.array([2, 0, 1])] * jnp.sin(s), normal(3), 2.0)
    for array in J.arrays:
        array.delete()
    text = text_of(J.html())
    assert "deleted, donated" in text and "count as reaching everywhere" in text
    J = structured(lambda x: jnp.tanh(x) * x[::-1], normal(5))
    for leaves in (lambda a: None, lambda a: 1.0, lambda a: jax.ShapeDtypeStruct((2,), a.dtype)):
        assert "the values are not here" in text_of(jax.tree.map(leaves, J).html())
    assert "batch of Jacobians" in text_of(jax.tree.map(lambda a: a[None], J).html())


def test_names_are_escaped():
    J = structured(lambda p: p[EVIL] * 2, {EVIL: normal(3)})[EVIL]
    assert "<script" not in J.html() and EVIL in text_of(J.html())


def test_a_cost_report_shows_numbers_bars_and_plan():
    report = layouts.cost(mlp)(normal(5, 7), normal(7, 3), normal(11, 5))
    text = text_of(report.html())
    for name, cost in report.rows:
        row = f"{name} {cost.multiplications:,} {cost.additions:,} {cost.peak_bytes:,}"
        assert row in text
    assert report.html().count('class="bar"') == 15 and report.html().count("width:100.0%") == 3
    assert report.plan.tree().split()[0] in text
    assert sorted(report._repr_mimebundle_()) == MIMES


def test_what_is_opaque_is_named_with_how_often():
    report = layouts.cost(jnp.cumsum)(normal(5))
    assert "without structure (opaque): cumsum" in text_of(report.html())
    parts = plan_parts("greedy", Cost(), [], "", ["conv"], [EVIL, EVIL])
    assert "applied, other axes left alone: conv" in text_of(parts[1])
    assert f"{EVIL} (2 times)" in text_of(parts[2])


def test_a_plan_shows_its_steps_and_is_cut():
    plan = layouts.cost(mlp)(normal(5, 7), normal(7, 3), normal(11, 5)).plan
    text = text_of(plan.html())
    for step, number in enumerate(plan.vertices, 1):
        assert f"{step} v{number} {plan.labels[number][0]}" in text
    steps = [(n, "tanh", (n,)) for n in range(MOST_STEPS + 3)]
    text = text_of(tag("div", *plan_parts(EVIL, Cost(), steps, EVIL, (), ())))
    assert "… and 3 steps more" in text and text.count(EVIL) == 2
    assert f"v{MOST_STEPS - 1} tanh" in text and f"v{MOST_STEPS} tanh" not in text
