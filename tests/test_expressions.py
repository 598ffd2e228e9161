"""What an expression may say, what it then computes, and that all else is refused unevaluated."""

import ast
import builtins
import inspect
import os
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts.errors import LayoutError
from layouts.expressions import FUNCTIONS, check_shapes, parse_binding, parse_expression

RNG = np.random.default_rng(0)
W, X, b = (RNG.standard_normal(shape) for shape in ((5, 3), (3, 7), (5, 1)))
S, x, y = (RNG.standard_normal(shape) for shape in ((3, 3), (5,), (7,)))
P = np.abs(W) + 0.5

MEANINGS = {
    "W @ X + b": W @ X + b,
    "W.T @ b - 2 * X": W.T @ b - 2 * X,
    "-W / 3": -W / 3,
    "b * W": b * W,
    "(W + b) ** 2": (W + b) ** 2,
    "P ** -1.5": P**-1.5,
    "--b": b,
    "1 - 2 - b": -1 - b,
    "-2 ** 2 * b": -4 * b,
    "2e-1 * b + .5": 0.2 * b + 0.5,
    "relu(W @ X)": np.maximum(W @ X, 0),
    "tanh(W)": np.tanh(W),
    "sigmoid(W)": 1 / (1 + np.exp(-W)),
    "softplus(W)": np.log1p(np.exp(W)),
    "gelu(W)": 0.5 * W * (1 + np.tanh(np.sqrt(2 / np.pi) * (W + 0.044715 * W**3))),
    "exp(W) + sin(W) * cos(b)": np.exp(W) + np.sin(W) * np.cos(b),
    "log(P) + ln(P) - sqrt(P)": 2 * np.log(P) - np.sqrt(P),
    "square(W) - abs(W)": W**2 - np.abs(W),
    "maximum(W, b) - minimum(W, b)": np.abs(W - b),
    "softmax(W, axis=0)": np.exp(W) / np.exp(W).sum(axis=0),
    "log_softmax(W)": W - np.log(np.exp(W).sum(axis=-1, keepdims=True)),
    "sum(W)": W.sum(),
    "sum(W, axis=0)": W.sum(axis=0),
    "W - mean(W, axis=-1, keepdims=True)": W - W.mean(axis=1, keepdims=True),
    "var(W, keepdims=False, axis=1)": W.var(axis=1),
    "max(W, axis=1) - min(W, axis=1)": np.ptp(W, axis=1),
    "norm(W) + norm(x)": np.sqrt((W**2).sum()) + np.sqrt((x**2).sum()),
    "logsumexp(W, axis=1)": np.log(np.exp(W).sum(axis=1)),
    "transpose(W)": W.T,
    "dot(x, W)": x @ W,
    "outer(x, y)": x[:, None] * y[None, :],
    "kron(W, b)": np.kron(W, b),
    "diag(x)": np.diag(x),
    "trace(S) - tr(S @ S)": np.trace(S) - np.trace(S @ S),
    "inv(S) @ S": np.eye(3),
    "solve(S, X)": np.linalg.inv(S) @ X,
    "det(S)": np.linalg.det(S),
    "logdet(S)": np.log(np.abs(np.linalg.det(S))),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_an_expression_computes_what_it_says(text):
    expression = parse_expression(text)
    arrays = {name: globals()[name] for name in expression.names}
    value = expression(**arrays)
    assert isinstance(value, jax.Array)
    np.testing.assert_allclose(value, MEANINGS[text], rtol=1e-9, atol=1e-12)
    shapes = {name: array.shape for name, array in arrays.items()}
    assert check_shapes(expression, shapes) == np.shape(MEANINGS[text])


def test_every_listed_function_has_a_meaning_here():
    called = {node.func.id for text in MEANINGS for node in calls(text)}
    assert called == set(FUNCTIONS)


def calls(text):
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def test_names_are_in_order_of_first_appearance():
    expression = parse_expression("  relu(W @ X + b) * b + W.T")
    assert expression.names == ("W", "X", "b")
    assert list(inspect.signature(expression).parameters) == ["W", "X", "b"]
    assert parse_expression("dot(b, a)").names == ("b", "a")
    assert str(parse_expression("W @ X")) == "W @ X"
    with pytest.raises(TypeError, match="missing a required argument"):
        expression(W)


def test_an_expression_is_a_function_for_jax():
    expression = parse_expression("tanh(W @ X + b)")
    np.testing.assert_allclose(jax.jit(expression)(W, X, b), expression(W, X, b))
    ours = jax.jacrev(expression, argnums=2)(W, X, b)
    np.testing.assert_allclose(ours, jax.jacrev(lambda b: jnp.tanh(W @ X + b))(b))
    stack = RNG.standard_normal((2, 5, 3))
    assert jax.vmap(expression, (0, None, None))(stack, X, b).shape == (2, 5, 7)
    assert {parse_expression("W @ X"): 1}[parse_expression("W @ X")] == 1


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32, jnp.complex64])
def test_numbers_take_the_dtype_of_their_array(dtype):
    value = jnp.ones((3,), dtype)
    assert parse_expression("1 - 2.5 * v ** 2 / 3")(value).dtype == dtype


def test_an_integer_power_needs_no_logarithm():
    jaxpr = str(jax.make_jaxpr(parse_expression("v ** 3"))(x))
    assert "integer_pow" in jaxpr
    assert float(jax.grad(parse_expression("v ** 2"))(-3.0)) == -6.0


# Each text, and what its refusal must say.
REFUSED = {
    "__import__('os')": "column 12.*apostrophe",
    "__import__(os)": "a listed function.*'__import__'",
    "__builtins__.open(x)": "a listed function",
    "eval(x)": "a listed function.*'eval'",
    "exec(x)": "a listed function",
    "open(x)": "a listed function",
    "x.__class__": r"expected \.T, got \.__class__",
    "x.T.base": r"expected \.T, got \.base",
    "x.shape": r"x\.shape at column 1.*got \.shape",
    "x.t": r"expected \.T",
    "x.T()": "a listed function",
    "(tanh)(x)(x)": "a listed function",
    "jnp.tanh(x)": "did you mean tanh",
    "rellu(W)": "did you mean relu",
    "sofmax(W)": "did you mean softmax",
    "W + np.rellu(W)": r"np\.rellu\(W\) at column 5.*did you mean relu",
    "   zzz(W)": r"zzz\(W\) at column 4.*choose from relu",
    "lambda x: x": "':'",
    "[x for x in y]": r"'\['",
    "sum(x for x in y)": "column 7.*keyword for",
    "f'{x}'": "apostrophe",
    '"x"': "quotation mark",
    "(x := 1)": "':'",
    "x[0]": r"column 2.*'\['",
    "{x}": r"'\{'",
    "sum(*x)": "Starred",
    "sum(**x)": "1 operand",
    "sum(x, **y)": r"got \*\*",
    "sum(x, axis=0, axis=1)": "once",
    "sum(x, axis=y)": "axis= an integer, got axis=y",
    "sum(x, axis=exit())": "axis= an integer",
    "sum(x, axis=(0, 1))": "axis= an integer",
    "sum(x, axis=True)": "axis= an integer",
    "sum(x, axis=0.0)": "axis= an integer",
    "sum(x, axis=99)": "axis= an integer",
    "sum(x, keepdims=1)": "keepdims= True or False",
    "sum(x, dtype=x)": "axis= and keepdims=",
    "sum(x, 0)": "1 operand, got 2; write axis= and keepdims= by name",
    "tanh(x, axis=0)": "no keyword",
    "tanh()": "1 operand, got 0",
    "tanh(x=x)": "1 operand, got 0",
    "dot(x)": "2 operands, got 1",
    "tanh + x": "a variable, got the function tanh",
    "x ** y": "exponent, got y",
    "x ** 2 ** 2": "exponent, got 2",
    "2 ** x": "exponent",
    "x ** 65": "from -64 to 64",
    "x ** -65": "from -64 to 64",
    "x ** 1e9": "from -64 to 64",
    "x ** True": "exponent, got True",
    "((9 ** 64) ** 64) ** 64 * x": "finite real number",
    "1 / 0 * x": "finite real number, got 1 / 0",
    "(-2) ** 0.5 * x": "finite real number",
    "1e999 * x": "finite real number",
    "9" * 1990 + "*x": "finite real number",
    "True * x": "finite real number, got True",
    "... + x": r"finite real number, got \.\.\.",
    "2j * x": "a sign after a number, got 2j",
    "2x": "a sign after a number, got 2x",
    "0xfor x": "a sign after a number",
    "1and x": "a sign after a number",
    "1 + 2": "at least one variable",
    "None": "keyword None",
    "not x": "keyword not",
    "x if y else x": "column 3.*keyword if",
    "import os": "keyword import",
    "await x": "keyword await",
    "()": "Tuple",
    "x, y": "Tuple",
    "x // y": "FloorDiv",
    "x % y": "percent sign",
    "x == y": "Eq|Compare",
    "x = 1": "column 3",
    "x y": "column 3.*invalid syntax",
    "  x y": "column 5.*invalid syntax",
    "x @": "invalid syntax",
    "exp(": "never closed",
    "x.": "invalid syntax",
    "0777 * x": "leading zeros",
    "x; y": "semicolon",
    "x # y": "number sign",
    "x\\y": "reverse solidus",
    "x\n+ y": "control character",
    "x\0": "control character",
    "\x1b[31mx": "control character",
    "": "a formula, got nothing",
    "   ": "a formula, got nothing",
    "ехp(x)": "cyrillic small letter ie",
    "𝐖 @ x": "mathematical bold capital w",
    "W − b": "column 3.*minus sign",
    "σ(x)": "greek small letter sigma",
    "x\u200b": "zero width space",
    "\ud800": "control character",
    "x" * 2_001: "2,000 characters, got 2,001",
    "(" * 1_000: "column 201|nested|never closed",
    "-" * 1_999 + "x": "40 levels|deep",
    "x" + " + x" * 60: "40 levels",
    "x" + ".T" * 900: "40 levels",
    "tanh(" * 45 + "x" + ")" * 45: "40 levels",
    "+".join(["x*x*x"] * 35): "200 nodes",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text[:30]))
def test_what_is_outside_the_grammar_is_refused_in_one_line(text, monkeypatch):
    with warnings.catch_warnings(), pytest.raises(LayoutError, match=REFUSED[text]) as caught:
        warnings.simplefilter("error")
        with monkeypatch.context() as patch:
            patch.setattr(os, "system", forbidden)
            for name in (
                "eval",
                "exec",
                "open",
                "__import__",
            ):  # the last ends pytest's own imports
                patch.setattr(builtins, name, forbidden)
            parse_expression(text)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 600


def forbidden(*args, **kwargs):
    raise AssertionError("something was evaluated")


@pytest.mark.parametrize("thing", [None, 3, b"x", ["x"]])
def test_what_is_no_text_is_refused(thing):
    with pytest.raises(LayoutError, match="a string"):
        parse_expression(thing)
    with pytest.raises(LayoutError, match="a string"):
        parse_binding(thing)


def test_limits_are_reached_and_not_passed():
    assert parse_expression("x" + " + x" * 39).names == ("x",)
    assert parse_expression("(" * 99 + "x" + ")" * 99).names == ("x",)
    assert parse_expression("x" + " " * 1_999).names == ("x",)
    assert float(parse_expression("x ** 64")(1.5)) == 1.5**64


@given(st.text(alphabet="xW2.T(),=+-*/@ axis_tnhsum", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        expression = parse_expression(text)
        check_shapes(expression, dict.fromkeys(expression.names, (2, 2)))
    except LayoutError:
        return
    assert expression.names


@given(st.text(max_size=30))
def test_any_binding_is_read_or_refused(text):
    try:
        _, shape = parse_binding(text)
    except LayoutError:
        return
    assert all(size > 0 for size in shape)


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        ("W=4x3", ("W", (4, 3))),
        ("W=4×3", ("W", (4, 3))),
        (" W = 4 x 3 ", ("W", (4, 3))),
        ("x=5", ("x", (5,))),
        ("A_1=2x3x5", ("A_1", (2, 3, 5))),
        ("s=scalar", ("s", ())),
        ("s=()", ("s", ())),
    ],
)
def test_bindings_are_read(text, binding):
    assert parse_binding(text) == binding


@pytest.mark.parametrize(
    "text",
    [
        *("", "W", "W=", "=4x3", "W=4x", "W=x3", "W=4,3", "W=-4x3", "W=4.0x3", "W=4X3", "1W=4x3"),
        *("W=4x3=2", "W=٤x3", "é=3", "W=(4,3)", "W=4x3\n", "W=__import__", "W=" + "9" * 5_000),
        *("W=0", "W=4x0", "W=1x1x1x1x1x1x1x1x1", "W=100000x100000", "W=" + "1x" * 5_000 + "1"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_bad_bindings_are_refused_in_one_line(text):
    with pytest.raises(LayoutError, match="binding") as caught:
        parse_binding(text)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        (
            "relu(W @ X + b)",
            {"W": (4, 3), "X": (5, 2), "b": (4, 1)},
            r"^W @ X at column 6: expected inner sizes that agree, got \(4, 3\) @ \(5, 2\);",
        ),
        (
            "relu(W @ X + b)",
            {"W": (4, 3), "X": (3, 5), "b": (3, 1)},
            r"^W @ X \+ b at column 6: .*broadcast, got \(4, 5\) \+ \(3, 1\)",
        ),
        ("  a + det(A)", {"a": (), "A": (2, 3)}, r"^det\(A\) at column 7: .*det\(\(2, 3\)\)"),
        ("sum(A, axis=2)", {"A": (2, 3)}, r"sum\(\(2, 3\), axis=2\) \(axis 2 is out of bounds"),
        ("1 @ x", {"x": (3,)}, r"^1 @ x at column 1: .*got \(\) @ \(3,\)"),
        ("outer(a, a)", {"a": (10**5,)}, r"at most 100,000,000 entries, got shape \(100000"),
        ("W @ X", {"W": (4, 3)}, "shape of X: expected one for each variable, got W; add X="),
        ("W @ X", {}, "shape of W: expected one for each variable, got none"),
        ("bias + 1", {"bias": (4,), "bais": (4,)}, "shape of bais.*did you mean bias"),
    ],
)
def test_shapes_that_do_not_fit_name_the_part(text, shapes, message):
    with pytest.raises(LayoutError, match=message):
        check_shapes(parse_expression(text), shapes)


def test_checking_shapes_allocates_nothing():
    shape = (10_000, 10_000)
    assert check_shapes(parse_expression("tanh(W @ X) ** 2"), {"W": shape, "X": shape}) == shape
