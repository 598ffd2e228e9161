"""What is printed about a Jacobian is read back and evaluated: it must be the Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import Convention, LayoutError
from layouts.conventions import arrange_array
from layouts.exploration import explore
from layouts.expressions import parse_expression
from tests import formulas

SHAPES = {
    "W": (4, 3), "X": (3, 5), "Z": (5, 3), "A": (3, 3), "M": (3, 3), "G": (4, 5),
    "b": (4, 1), "c": (1, 5), "x": (3,), "y": (4,), "z": (7,), "s": (), "W2": (2, 4),
    "u": (3, 1), "v": (4, 1),
}  # fmt: skip

# expression, by what
CASES = [
    ("W @ X", "W"),
    ("W @ X", "X"),
    ("Z @ X", "Z"),
    ("W @ X @ Z", "X"),
    ("W.T @ G", "W"),
    ("G.T @ W", "W"),
    ("relu(W @ X + b)", "W"),
    ("relu(W @ X + b)", "X"),
    ("relu(W @ X + b)", "b"),
    ("tanh(W @ X + c)", "c"),
    ("gelu(W @ X + b)", "W"),
    ("softplus(W @ X)", "X"),
    ("sigmoid(W @ X)", "W"),
    ("softmax(z)", "z"),
    ("softmax(G, axis=0)", "G"),
    ("softmax(G, axis=1)", "G"),
    ("log_softmax(G, axis=1)", "G"),
    ("softmax(W @ X, axis=0)", "W"),
    ("logsumexp(z)", "z"),
    ("W2 @ tanh(W @ X)", "W"),
    ("tanh(W2 @ tanh(W @ X))", "W"),
    ("tanh(W2 @ tanh(W @ X))", "X"),
    ("W2 @ gelu(W @ X + b)", "b"),
    ("sum((W @ x - y)**2)", "W"),
    ("sum((W @ x - y)**2)", "x"),
    ("sum((W @ u - v)**2)", "W"),
    ("mean((W @ u - v)**2)", "u"),
    ("x @ A @ x", "x"),
    ("x @ A @ x", "A"),
    ("M @ M", "M"),
    ("M @ M.T", "M"),
    ("M**3", "M"),
    ("G * b", "G"),
    ("G * b", "b"),
    ("G * c", "c"),
    ("G / b", "b"),
    ("outer(x, y)", "x"),
    ("outer(x, y)", "y"),
    ("sum(G)", "G"),
    ("sum(G, axis=0)", "G"),
    ("sum(G, axis=1)", "G"),
    ("G.T", "G"),
    ("trace(A @ M)", "M"),
    ("x / norm(x)", "x"),
    ("s * G", "s"),
    ("exp(s)", "s"),
    ("var(G, axis=1)", "G"),
    ("(G - mean(G, axis=1, keepdims=True)) / sqrt(var(G, axis=1, keepdims=True) + 0.1)", "G"),
    ("maximum(A, M)", "A"),
    ("max(G, axis=0)", "G"),
    ("3 * x - 2", "x"),
    ("-x", "x"),
    ("sum(log(exp(W @ x) + 1))", "x"),
    ("0.3 * square(G) / 7", "G"),
]


def arguments(text, rng):
    expression = parse_expression(text)
    inputs = {name: SHAPES[name] for name in expression.names}
    arrays = {name: rng.uniform(0.2, 1.5, s) * rng.choice([-1, 1], s) for name, s in inputs.items()}
    return expression, inputs, arrays


def check(found, function, arrays, digits=()):
    """Hold all that is printed about a Jacobian against JAX's; numbers have four digits or more."""
    place, shape = list(arrays).index(found.wrt), arrays[found.wrt].shape
    with jax.numpy_rank_promotion("allow"):
        true = np.asarray(jax.jacrev(function, place)(*arrays.values()))
        value, pull = jax.vjp(function, *map(jnp.asarray, arrays.values()))
    assert found.shape == true.shape
    known = formulas.letters(found.definitions, arrays)
    close = {"rtol": 1e-5, "atol": 1e-6}
    by_index = formulas.indexed(found.formula, known, true.shape, digits)
    np.testing.assert_allclose(by_index, true, **close)

    cotangent = np.random.default_rng(len(found.formula)).standard_normal(value.shape)
    pulled = np.asarray(pull(jnp.asarray(cotangent))[place])
    known[f"∂L/∂{found.out_name}"] = cotangent
    np.testing.assert_allclose(formulas.indexed(found.rule, known, shape), pulled, **close)
    if found.rule_matrix is not None:
        by_matrix = formulas.matrices(found.rule_matrix, known, shape)
        np.testing.assert_allclose(by_matrix, pulled, **close)

    for entry in found.arrangements:
        for vec, form in (("rows", entry.by_rows), ("columns", entry.by_columns)):
            convention = Convention(entry.layout, vec)
            written = arrange_array(true, convention, found.out_shape, shape)
            assert entry.shape == written.shape
            if form is not None:
                matrix = formulas.matrices(form, known, written.shape)
                np.testing.assert_allclose(matrix, written, **close)


@pytest.mark.parametrize(("text", "wrt"), CASES)
def test_all_that_is_printed_is_true(text, wrt):
    rng = np.random.default_rng(len(text) + ord(wrt[0]))
    expression, inputs, arrays = arguments(text, rng)
    check(explore(expression, inputs, wrt), expression, arrays)


SELECTIONS = {
    "x[2:] - 2 x[1:-1] + x[:-2]": lambda x: x[2:] - 2 * x[1:-1] + x[:-2],
    "x[::-1]": lambda x: x[::-1],
    "x[1::2]": lambda x: jnp.sin(x)[1::2],
    "pad": lambda x: jnp.pad(x, (2, 1)),
    "pad of a slice": lambda x: jnp.pad(x[2:5], (1, 3)),
    "concatenation": lambda x: jnp.concatenate([x[3:] * x[:4], x[:3]]),
    "lookup": lambda x: 5 * x[np.array([3, 0, 3, 6])],
    "matrix of rows": lambda x: jnp.outer(x[1:], jnp.cos(x[::-1])),
    "one entry": lambda x: x[3] * x,
    "product of neighbours": lambda x: jnp.tanh(x[1:] * x[:-1]).sum(),
    "scatter": lambda x: jnp.zeros(9).at[np.array([1, 4, 1])].add(x[2:5]),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_selections_are_printed_with_their_offsets(name):
    rng, function = np.random.default_rng(len(name)), SELECTIONS[name]
    check(explore(function, {"x": (7,)}), function, {"x": rng.standard_normal(7)})


SEVERAL_AXES = {
    "batched": (lambda P, Q: jnp.tanh(P @ Q), (2, 3, 4), (2, 4, 5)),
    "one matrix for a batch": (lambda P, Q: Q @ P, (4, 5), (2, 3, 4)),
    "a batch by one matrix": (lambda P, Q: P @ Q, (2, 3, 4), (4, 5)),
    "raveled": (lambda P, Q: P.ravel() * Q, (2, 3), (6,)),
    "regrouped": (lambda P, Q: P.reshape(6) * Q + jnp.sin(P.T).reshape(6), (2, 3), (6,)),
}


@pytest.mark.parametrize("name", SEVERAL_AXES)
def test_several_axes_and_digits(name):
    function, *shapes = SEVERAL_AXES[name]
    inputs = dict(zip("PQ", shapes, strict=True))
    rng = np.random.default_rng(11)
    arrays = {n: rng.standard_normal(shape) for n, shape in inputs.items()}
    # The text does not say the sizes of the digits (i,j) of the output's one axis.
    check(explore(function, inputs), function, arrays, (2, 3, 2, 3) if len(shapes[1]) == 1 else ())


def test_shapes_alone_are_enough():
    found = explore(lambda W, X: jnp.tanh(W @ X), {"W": (10**4, 10**4), "X": (10**4, 10**4)})
    assert sorted(found.formula.split()) == sorted(
        ["dD[i,j]/dW[k,l]", "=", "δ[i,k]", "X[l,j]", "A[i,j]"]
    )
    assert found.arrangements[0].shape == (10**8, 10**8)


def test_names_never_clash():
    inputs = {"A": (3, 4), "D": (4, 5), "L": (3, 5), "z1": (3, 5)}
    found = explore(lambda A, D, L, z1: jnp.tanh(A @ D) * L * z1, inputs, "A")
    assert found.formula.startswith("dY[i,j]/dA[k,l] = δ[i,k] ")
    assert found.rule_matrix == "∂E/∂A = (∂E/∂Y ⊙ B) Dᵀ"
    (definition,) = found.definitions
    assert {*definition.text.split(" * ")} == {"L", "z1", "(1 - tanh(A @ D)²)"}


def test_a_long_definition_is_cut_into_parts_that_evaluate():
    def deep(x, W):
        for _ in range(12):
            x = jnp.tanh(W @ x) + x
        return x

    rng = np.random.default_rng(5)
    arrays = {"x": rng.standard_normal(3), "W": 0.3 * rng.standard_normal((3, 3))}
    found = explore(deep, {"x": (3,), "W": (3, 3)})
    assert len(found.definitions) > 10
    assert max(len(definition.text) for definition in found.definitions) < 150
    known = formulas.letters(found.definitions, arrays)
    true = jax.jacrev(deep)(*arrays.values())
    np.testing.assert_allclose(formulas.indexed(found.formula, known, (3, 3)), true, rtol=1e-5)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_order_may_change_the_factors_but_not_the_jacobian(order):
    rng = np.random.default_rng(3)
    expression, inputs, arrays = arguments("tanh(W2 @ tanh(W @ X))", rng)
    found = explore(expression, inputs, "X", order=order)
    true = jax.jacrev(expression, list(inputs).index("X"))(*arrays.values())
    known = formulas.letters(found.definitions, arrays)
    np.testing.assert_allclose(formulas.indexed(found.formula, known, true.shape), true, rtol=1e-5)


def test_an_opaque_part_is_named():
    found = explore(lambda x: jnp.fft.fft(x).real, {"x": (3,)})
    assert found.opaque == ("fft",)
    assert found.definitions[0].text == "<Jacobian through an opaque map>"


def test_what_asks_for_numbers_has_no_definitions_and_no_costs():
    def by_value(x):
        return jnp.sin(x) if x[0] > 99 else x @ x * x

    found = explore(by_value, {"x": (3,)}, seed=4)
    assert (found.definitions, found.costs) == ((), None)
    assert found.formula.startswith("dD[i]/dx[k] = ")


@pytest.mark.parametrize(
    ("fun", "inputs", "wrt", "message"),
    [
        (jnp.sin, {}, None, "inputs: expected a name and a shape for each"),
        (jnp.sin, {"x": (3,)}, "y", "input to differentiate by: .* choose from x"),
        (lambda x: (x, x), {"x": (3,)}, None, "one array, got a tuple of 2 arrays"),
        (lambda x: {"a": x}, {"x": (3,)}, None, "one array, got a dict"),
        (lambda x: x > 0, {"x": (3,)}, None, "a floating-point array, got bool"),
        (lambda x: x * 1j, {"x": (3,)}, None, "a floating-point array, got complex"),
        (lambda x: x @ jnp.ones(5), {"x": (3,)}, None, "got TypeError: "),
        (lambda x, y: x, {"x": (3,)}, None, "got TypeError: .* missing 1 required"),
    ],
)
def test_bad_input(fun, inputs, wrt, message):
    with pytest.raises(LayoutError, match=message):
        explore(fun, inputs, wrt)


def test_order_that_is_none():
    with pytest.raises(LayoutError, match="order: expected 'auto'"):
        explore(jnp.sin, {"x": (3,)}, order="sideways")
