"""The doctor's faces: the report, custom_vjp and PyTorch as candidates, the command line."""

import json
import re
import sys
from functools import partial
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import cli
from layouts.doctor import Diagnosis, Finding, diagnose
from layouts.doctor.adapters import diagnose_vjp, from_torch
from layouts.doctor.primal import has_custom_vjp, without_custom_vjp
from layouts.errors import LayoutError

normal = np.random.default_rng(5).standard_normal
W, X, b = normal((4, 3)), normal((3, 5)), normal((4, 1))


def custom(f, forward, backward, **options):
    made = jax.custom_vjp(f, **options)
    made.defvjp(forward, backward)
    return made


def kinds(found):
    return [finding.kind for finding in found.findings]


# The report.

INVERSE = """\
mistake: inverse-for-transpose in the gradient by W

gradient by W: inverse-for-transpose
    the inverse stands where the transpose belongs
    wrong  ∂L/∂W = ∂L/∂D X⁻¹
    right  ∂L/∂W = ∂L/∂D Xᵀ
    where  16 of 16 entries differ; most at [#]: # for #
    fix    multiply by the transpose: the Jacobian's transpose carries cotangents back
    sure   to # at 4 independent inputs; the next-best mistake misses by #

# mistakes were tried at 4 independent inputs.
Note: Square matrices let a missing transpose run: try unequal sizes."""


def test_report_of_the_inverse_for_the_transpose():
    found = diagnose(lambda W, X: W @ X, "dD @ inv(X)", normal((4, 4)), normal((4, 4)))
    number = r"-?\d[\d.e+-]*"
    masked = re.sub(rf"at \[[\d, ]+\]: {number} for {number}", "at [#]: # for #", str(found))
    masked = re.sub(rf"to ({number}|rounding) at 4", "to # at 4", masked)
    masked = re.sub(rf"(misses by|^) ?{number}(?= mistakes|$)", r"\1 #", masked, flags=re.M)
    assert masked.replace("\n #", "\n#") == INVERSE
    assert found.findings[0].residual < 1e-10 < 1e-2 < found.findings[0].next_best


SIGN = Finding("sign", "the sign is wrong", "change the sign", 0.0, "W", inputs=4)
EVIL = "<script>alert('&')</script>"


def test_report_of_several_arguments_alternatives_and_two_mistakes_at_once():
    formula = "∂L/∂x = ∂L/∂D ⊙ x"
    unsure = {"residual": 1e-15, "argument": "x", "inputs": 4, "certain": False, "right": formula}
    found = Diagnosis(
        "unexplained",
        (
            Finding("constant-factor", "2 times the gradient", "divide by 2", 0.0, "W", inputs=4),
            SIGN,
            Finding("wrong-point", "taken at the output", "take it at x", **unsure),
            Finding("missing-path", "one path", "add the other", **unsure, alternative=1),
            Finding("sign", "and the sign", "change it", **unsure, alternative=1),
            Finding("unexplained", "nothing explains it", "", np.inf, "b", where="1 of 4 differ"),
        ),
        ("W is symmetric.",),
        12,
        4,
    )
    both = ("missing-path", "sign")
    assert not found.certain and found.candidates["x"] == [("wrong-point",), both]
    assert str(found) == (
        "unexplained: constant-factor and sign in the gradient by W; either wrong-point or"
        " missing-path and sign in the gradient by x; the gradient by b is wrong\n"
        """
gradient by W: constant-factor and sign
    2 times the gradient
    the sign is wrong
    fix    divide by 2
    fix    change the sign
    sure   to rounding at 4 independent inputs

gradient by x: either wrong-point or missing-path and sign
  1. wrong-point
    taken at the output
    fix    take it at x
  2. missing-path and sign
    one path
    and the sign
    fix    add the other
    fix    change it
  All of them
    right  ∂L/∂x = ∂L/∂D ⊙ x
    sure   to 1e-15 at 4 independent inputs; the numbers do not tell which it is

gradient by b: unexplained
    nothing explains it
    where  1 of 4 differ

12 mistakes were tried at 4 independent inputs.
Note: W is symmetric."""
    )


def test_uncertain_findings_without_numbers_are_alternatives():
    one, other = (Finding(kind, kind, "", 0.0, "x", certain=False) for kind in ("sign", "ties"))
    assert "either sign or ties in the gradient by x" in Diagnosis("mistake", (one, other)).summary


class _Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_has_formulas_as_mathml_and_escapes_every_text():
    right = "∂L/∂W = ∂L/∂D Xᵀ"
    evil = Finding(EVIL, EVIL, EVIL, 0.1, EVIL, wrong=EVIL, right=right, where=EVIL)
    found = Diagnosis("mistake", (evil, evil), (EVIL,), 3, 4)
    page = _Texts()
    page.feed(found.html())
    assert page.open == [] and "script" not in page.tags
    assert "math" in page.tags and "code" in page.tags  # what is no formula stays text
    assert page.texts.count(EVIL) >= 3
    assert set(found._repr_mimebundle_()) == {"text/html", "text/plain"}
    assert not {"link", "img", "iframe"} & page.tags


def test_json_is_plain_and_has_no_infinity():
    found = Diagnosis("mistake", (SIGN,), ("a note",), 7, 4).as_json()
    plain = json.loads(json.dumps(found, allow_nan=False))
    assert plain == found and plain["certain"] is True
    assert plain["findings"][0] == {
        "kind": "sign", "message": "the sign is wrong", "correction": "change the sign",
        "argument": "W", "wrong": "", "right": "", "where": "", "inputs": 4, "certain": True,
        "alternative": 0, "residual": 0.0, "next_best": None,
    }  # fmt: skip


# What a function computes, without the derivatives that its author wrote.

WAVE = custom(lambda x: jnp.sin(x) * x, lambda x: (jnp.sin(x) * x, x), lambda x, g: (7 * g,))


def wave(x):
    return jnp.sin(x) * x


PLACES = {
    "itself": lambda f: f,
    "jit": lambda f: jax.jit(lambda x: 2 * f(x)),
    "vmap": lambda f: jax.vmap(f),
    "remat": lambda f: jax.checkpoint(lambda x: f(x) + x),
    "scan": lambda f: (
        lambda x: jax.lax.scan(
            lambda c, e: (f(c) * e[0], f(e)), x, jnp.outer(x, x), reverse=True, unroll=2
        )
    ),
    "fori_loop": lambda f: lambda x: jax.lax.fori_loop(0, 3, lambda i, c: f(c) * x, x),
    "cond": lambda f: lambda x: jax.lax.cond(x[0] > -9, f, jnp.cos, x),
    "map in jit": lambda f: jax.jit(lambda x: {"a": (jax.lax.map(jax.jit(f), jnp.outer(x, x)),)}),
    "under custom_jvp": lambda f: lambda x: jax.nn.relu(f(x)),
}


@pytest.mark.parametrize("place", PLACES)
def test_custom_derivatives_are_replaced_wherever_they_stand(place):
    x = normal(5)
    given, right = PLACES[place](WAVE), PLACES[place](wave)
    replaced = without_custom_vjp(given)
    assert has_custom_vjp(given, x) and not has_custom_vjp(right, x)
    for f in (lambda f: f(x), lambda f: jax.jacrev(f)(x)):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12), f(replaced), f(right))
    wrong, truth = jax.tree.leaves(jax.jacrev(given)(x)), jax.tree.leaves(jax.jacrev(right)(x))
    assert not all(map(np.allclose, wrong, truth))


def test_a_replaced_call_keeps_its_name():
    @jax.custom_vjp
    def swish(x):
        return x * jax.nn.sigmoid(x)

    swish.defvjp(lambda x: (swish(x), x), lambda x, g: (g,))
    assert jax.make_jaxpr(without_custom_vjp(swish))(1.0).eqns[0].params["name"] == "swish"


def test_a_custom_vjp_that_cannot_be_replaced_is_an_error():
    def endless(x):
        return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: WAVE(c) + 9, x)

    with pytest.raises(LayoutError, match="one inside while"):
        without_custom_vjp(endless)(np.ones(3))


# custom_vjp as a candidate.


def affine(W, X, b):
    return W @ X + b


def linear(backward):
    return custom(affine, lambda W, X, b: (affine(W, X, b), (W, X)), backward)


def by_affine(saved, g):
    return g @ saved[1].T, saved[0].T @ g, g.sum(1, keepdims=True)


def test_a_right_custom_vjp_is_correct():
    assert diagnose_vjp(linear(by_affine), W, X, b, argnums=(0, 1, 2)).ok


def test_a_custom_vjp_of_a_wrong_shape_is_named_although_jax_refuses_it():
    wrong = linear(lambda saved, g: (*by_affine(saved, g)[:2], g))
    found = diagnose_vjp(wrong, W, X, b, argnums=(0, 2))
    assert [(f.kind, f.argument) for f in found.findings] == [("missing-sum", "b")]


def test_a_custom_vjp_inside_a_jitted_function_is_named():
    act = custom(jnp.tanh, lambda x: (jnp.tanh(x), x), lambda x, g: (g,))

    @jax.jit
    def layer(W, X):
        return act(W @ X)

    found = diagnose_vjp(layer, W, X)
    assert kinds(found)[0] == "missing-activation-derivative"
    assert "tanh" in found.findings[0].message


def test_arguments_that_are_no_arrays_stay_as_they_are():
    def backward(n, x, g):
        return (g * x ** (n - 1),)

    power = custom(lambda n, x: x**n, lambda n, x: (x**n, x), backward, nondiff_argnums=(0,))
    found = diagnose_vjp(power, 3, normal(5), argnums=1)
    assert kinds(found) == ["constant-factor"]
    assert (found.findings[0].argument, "1/3" in found.findings[0].message) == ("x", True)


def test_a_forward_rule_with_another_value_is_told():
    other = custom(jnp.sin, lambda x: (2 * jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))
    found = diagnose_vjp(other, normal(5))
    assert (found.verdict, kinds(found)) == ("mistake", ["forward-value"])
    assert found.summary == "mistake: forward-value in the output"


def test_what_has_no_custom_vjp_and_what_is_out_of_range_are_errors():
    with pytest.raises(LayoutError, match="a custom_vjp somewhere in it"):
        diagnose_vjp(jnp.sin, normal(3))
    with pytest.raises(LayoutError, match="argnums"):
        diagnose_vjp(WAVE, normal(3), argnums=1)


# PyTorch.


@pytest.fixture(scope="module")
def functions():
    torch = pytest.importorskip("torch")

    class Right(torch.autograd.Function):
        @staticmethod
        def forward(ctx, W, X, b):
            ctx.save_for_backward(W, X)
            return W @ X + b

        @staticmethod
        def backward(ctx, g):
            return by_torch(ctx.saved_tensors, g)

    class Wrong(Right):
        @staticmethod
        def backward(ctx, g):
            by_W, by_X, by_b = by_torch(ctx.saved_tensors, g)
            return by_W.T, -by_X, by_b if ctx.needs_input_grad[2] else None

    class Setup(torch.autograd.Function):
        @staticmethod
        def forward(W, X):
            return W @ X

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return ctx.saved_tensors[1] @ g.T, None

    def by_torch(saved, g):
        return g @ saved[1].T, saved[0].T @ g, g.sum(1, keepdim=True)

    return {"right": Right, "wrong": Wrong, "setup": Setup, "plain": lambda W, X, b: W @ X + b}


@pytest.mark.parametrize("name", ["right", "plain"])
def test_a_right_torch_function_is_correct(functions, name):
    three = from_torch(functions[name], (0, 1, 2))
    assert diagnose(affine, three, W, X, b, argnums=(0, 1, 2)).ok
    assert diagnose(affine, from_torch(functions[name], 1), W, X, b, argnums=1).ok


def test_a_wrong_torch_function_is_named_although_torch_refuses_its_shape(functions):
    three = from_torch(functions["wrong"], (0, 1, 2))
    found = diagnose(affine, three, W, X, b, argnums=(0, 1, 2))
    assert [(f.kind, f.argument) for f in found.findings] == [
        ("transposed-layout", "W"),
        ("sign", "X"),
    ]


def test_a_torch_function_with_setup_context(functions):
    found = diagnose(lambda W, X: W @ X, from_torch(functions["setup"]), W, X)
    assert kinds(found) == ["transposed-layout"]


def test_without_torch_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(LayoutError, match="PyTorch to be installed"):
        from_torch(lambda x: x)


# The command line.

MODULE = """
import jax, jax.numpy as jnp, numpy as np

print("noise")

def forward(W, X): return jnp.tanh(W @ X)

def both(g, W, X):
    slope = g * (1 - np.tanh(W @ X) ** 2)
    return slope @ X.T, W.T @ slope

def broken(g, W, X): raise KeyError("lost")

@jax.custom_vjp
def cube(x): return x**3
cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * x**2,))
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    (tmp_path / "to_be_checked.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def run(*argv):
        status = cli.main(("check", *argv))
        return status, *capsys.readouterr()

    yield run
    sys.modules.pop("to_be_checked", None)


def test_check_of_a_right_formula(check):
    status, out, err = check("W @ X", "dD @ X.T", "W=4x3", "X=3x5")
    assert (status, err) == (0, "")
    assert out == (
        "W @ X, with W 4×3, X 3×5\nchecked: dD @ X.T\n\n"
        "correct: agrees with JAX's derivative at 4 independent inputs\n"
    )
    assert check("W @ X", "W.T @ g", "X=3x5", "W=4x3", "--wrt", "X", "--cotangent", "g")[0] == 0


def test_check_of_a_wrong_formula_as_text_and_html(check):
    asked = ("W @ X", "-dD @ X.T", "W=4x3", "X=3x5", "--wrt", "W", "--seed", "3")
    status, out, _ = check(*asked)
    assert status == 1
    assert "mistake: sign in the gradient by W" in out
    status, page, _ = check(*asked, "--html")
    assert status == 1 and page.startswith("<!DOCTYPE html>") and "change the sign" in page


def test_check_of_functions_of_a_module(check):
    asked = ("to_be_checked:forward", "to_be_checked:both", "W=4x3", "X=3x5", "--json")
    status, out, err = check(*asked, "--wrt", "W,X")
    assert (status, err) == (0, "noise\n")
    data = json.loads(out)
    assert (data["ok"], data["inputs"], data["shapes"]) == (True, 4, {"W": [4, 3], "X": [3, 5]})
    status, out, _ = check("to_be_checked:forward", "to_be_checked:broken", "W=4x3", "X=3x5")
    assert status == 1 and "it raises KeyError" in out


def test_check_of_a_function_with_its_own_custom_vjp(check):
    status, out, _ = check("to_be_checked:cube", "x=5")
    assert status == 1
    assert "checked: its own custom_vjp" in out and "constant-factor" in out and "1/3" in out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("W @ X|dD @ Y.T|W=4x3|X=3x5", "dD, Y"),
        ("W @ X|dD @ Y.T|W=4x3|X=3x5|--cotangent|dD", "got Y; mend the name"),
        ("W @ X|dD @ |W=4x3|X=3x5", "column"),
        ("W @ X|dD @ X.T|W=4x3", "shape of X"),
        ("W @ X|dD @ X.T|W=4x3|X=3x5|--wrt|Y", "'Y'"),
        ("W @ X|nowhere:f|W=4x3|X=3x5", "module 'nowhere'"),
        ("to_be_checked:forward|W=4x3|X=3x5", "a custom_vjp somewhere in it"),
    ],
)
def test_check_says_what_it_cannot_use(check, line, message):
    status, out, err = check(*line.split("|"))
    last = err.splitlines()[-1]
    assert (status, out) == (2, "")
    assert last.startswith("layouts: error: ") and message in last


def test_check_has_help_with_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(("check", "--help"))
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert 'layouts check "W @ X" "dD @ inv(X)" W=4x4 X=4x4 --wrt W' in out
    assert "exit status" in out
