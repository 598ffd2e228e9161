"""Residuals as expressions: each is evaluated as NumPy would, and must be the residual."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from layouts.naming import familiar, linearize_named
from layouts.naming.paper import on_paper
from layouts.show.writing import definitions
from layouts.transforms import linearize_call
from tests import formulas

X = (4, 3)
CASES = {
    "broadcast along rows": (lambda x, y: x * y[:, None], X, (4,)),
    "broadcast along columns": (lambda x, y: x * y[None, :] * y, X, (3,)),
    "square that is broadcast": (lambda x, y: x * y[:, None] + x * y[None, :], (3, 3), (3,)),
    "sum of a broadcast": (lambda x, y: jnp.sin(x * jnp.sum(y + jnp.zeros((5, 3)))), X, (3,)),
    "keepdims": (lambda x, y: x / (x * y).sum(1, keepdims=True), X, X),
    "squeeze": (lambda x, y: (x * y[:, 0, :]).sum(0) * y[0, 0], X, (4, 1, 3)),
    "flatten": (lambda x, y: jnp.tanh(x.reshape(-1)) * y, X, (12,)),
    "transpose of three axes": (lambda x, y: x * jnp.transpose(y, (2, 0, 1))[0], X, (4, 3, 2)),
    "batched product": (lambda x, y: jnp.sin(jnp.matmul(x, y)), (2, 3, 4), (2, 4, 5)),
    "outer": (lambda x, y: jnp.exp(jnp.outer(x, y)), (4,), (3,)),
    "slices": (lambda x, y: x[1:] * y[:-1] * y[::2][:1], X, X),
    "concatenation": (lambda x, y: jnp.concatenate([x, x]) * jnp.concatenate([y, y * y]), X, X),
    "where": (lambda x, y: jnp.where(y > 0.3, x * y, x / 3), X, X),
    "powers": (lambda x, y: x**3 * y**-2 + x**1.7 + jnp.sqrt(x) / jnp.sqrt(y), X, X),
    "cumulative": (lambda x, y: x * jnp.cumsum(y, axis=1) + x * lax.cummax(y, reverse=True), X, X),
    "logic": (lambda x, y: jnp.where((y > 0.5) & ~(x > 1), x * y, 2 * x), X, X),
    "reductions": (lambda x, y: x * y.max(1)[:, None] * y.min() * y.prod(0), X, X),
    "named calls": (lambda x, y: jax.nn.silu(x) * jax.nn.softplus(y) + jax.nn.elu(x + y), X, X),
    "gelu in a sum": (lambda x, y: jnp.tanh(x + jax.nn.gelu(x * y) / 3), X, X),
    "checkpoint": (jax.checkpoint(lambda x, y: jnp.sin(jnp.sin(x) * y)), X, X),
    "constant array": (lambda x, y: x * y * jnp.full((4, 3), 2.5), X, X),
    "comparison with equal": (lambda x, y: jnp.maximum(x, y) * jnp.minimum(x, 2 * y), X, X),
    "dot of a scalar": (lambda x, y: jnp.full((2, 4), y.sum()) @ jnp.sin(x), X, X),
    "vectors": (lambda x, y: jnp.sin(x @ y) * (y @ y), (4, 3), (3,)),
    "mean and variance": (lambda x, y: (x - x.mean(1, keepdims=True)) * y.var(0), X, X),
    "norms": (lambda x, y: x / jnp.linalg.norm(y, axis=1)[:, None] * jnp.linalg.norm(y), X, X),
    "logsumexp": (lambda x, y: x * jax.nn.logsumexp(y, axis=0) * jax.nn.log_softmax(y), X, X),
    "inverse": (lambda x, y: jnp.linalg.inv(y) @ x * jnp.linalg.det(y.T), (3, 4), (3, 3)),
    "solution": (lambda x, y: jnp.sin(jnp.linalg.solve(y.T, x)), (3, 4), (3, 3)),
    "padded": (lambda x, y: x * jnp.pad(y, ((1, 0), (0, 2)), constant_values=2), X, (3, 1)),
    "diagonal matrix": (lambda x, y: x * (jnp.diag(y) + 2), (3, 3), (3,)),
    "diagonal": (lambda x, y: jnp.sin(jnp.trace(x @ y)) * x, (3, 3), (3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_residual_is_what_its_expression_says(name):
    function, *shapes = CASES[name]
    rng = np.random.default_rng(len(name))
    args = {n: rng.uniform(0.2, 1.5, shape) for n, shape in zip("xy", shapes, strict=True)}
    with jax.numpy_rank_promotion("allow"):
        structs = [jax.ShapeDtypeStruct(shape, float) for shape in shapes]
        named = linearize_named(function, 0, structs)
        arrays = jax.jit(lambda *xs: linearize_call(on_paper(function), 0, xs, {}).residuals)(
            *args.values()
        )
    assert len(named.residuals) == len(arrays)
    letters = {f"R{n}": (value, ()) for n, value in enumerate(named.residuals)}
    lines = definitions(letters, args, familiar(named.values, float))
    known = dict(args)
    for line in [*(d for d in lines if d.name.startswith("z")), *lines]:
        known[line.name] = formulas.expression(line.text, known)
    for n, array in enumerate(arrays):
        value = np.broadcast_to(known[f"R{n}"], array.shape)
        np.testing.assert_allclose(value, array, rtol=2e-5, atol=1e-6, err_msg=str(lines[n]))


def lines_of(function, *shapes):
    named = linearize_named(function, 0, [jax.ShapeDtypeStruct(s, float) for s in shapes])
    letters = {f"R{n}": (value, ()) for n, value in enumerate(named.residuals)}
    return [d.text for d in definitions(letters, (), familiar(named.values, float))]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: jax.nn.relu(3 * x), "1[3 * x > 0]"),
        (jnp.exp, "exp(x)"),
        (jnp.sin, "cos(x)"),
        (jax.nn.sigmoid, "sigmoid(x)"),
        (lambda x: x.mean() * x, "mean(x)"),
        (lambda x: x.var() * x, "var(x)"),
        (lambda x: jnp.sqrt(x @ x) * x, "norm(x)"),
        (lambda x: jax.nn.logsumexp(2 * x) * x, "logsumexp(2 * x)"),
        (lambda x: jnp.trace(jnp.outer(x, x)) * x, "trace("),
        (lambda x: x @ x * x, "x @ x"),
        (lambda x: jnp.arctan2(x, 2.0), "x² + 4"),
        (lambda x: x * jnp.array([1.0, 2.0, 3.0]), "const"),
    ],
)
def test_as_people_write_it(function, text):
    assert any(text in line for line in lines_of(function, (3,)))


def test_an_unknown_primitive_shows_its_operands_and_never_merges_with_another():
    def summed(x, y):
        return x * (lax.cumlogsumexp(y, 0) * lax.cumlogsumexp(y, 1))

    assert lines_of(summed, (4, 3), (4, 3)) == ["cumlogsumexp(y) * cumlogsumexp(y)"]


def test_a_scan_is_named_with_the_place_of_its_result():
    def looped(x, y):
        total, parts = lax.scan(lambda c, t: (c * jnp.sin(t), c), jnp.sum(y), y)
        return x * total * parts

    assert any("scan(" in line and ")[1]" in line for line in lines_of(looped, (5,), (5,)))


def test_functions_that_ask_for_numbers_raise_as_in_jax():
    with pytest.raises(jax.errors.TracerBoolConversionError):
        linearize_named(lambda x: x if x[0] > 0 else -x, 0, [jax.ShapeDtypeStruct((3,), float)])


def test_an_integer_input_is_a_type_error():
    with pytest.raises(TypeError, match="int"):
        linearize_named(jnp.sin, 0, [jax.ShapeDtypeStruct((3,), int)])
