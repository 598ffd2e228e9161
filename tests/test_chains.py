"""Matrix products and perceptrons in both data layouts, against numpy and against each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import chains
from layouts.errors import LayoutError

WIDTHS = (5, 7, 3, 2)
SAMPLES = 11
ACTIVATIONS = sorted(chains.ACTIVATIONS)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def batch(samples):
    """Inputs, one-hot-free targets: random probabilities of each sample."""
    X, Y = normal(0, WIDTHS[0], SAMPLES), np.exp(normal(1, WIDTHS[-1], SAMPLES))
    Y = Y / Y.sum(axis=0)
    return (X, Y) if samples == "columns" else (X.T, Y.T)


def numpy_activation(name, Z):
    """Each activation of a features × samples array, written out."""
    if name == "gelu":
        return 0.5 * Z * (1 + np.tanh(np.sqrt(2 / np.pi) * (Z + 0.044715 * Z**3)))
    return {
        "identity": lambda: Z,
        "relu": lambda: np.where(Z > 0, Z, 0),
        "tanh": lambda: np.tanh(Z),
        "sigmoid": lambda: 1 / (1 + np.exp(-Z)),
        "softmax": lambda: np.exp(Z) / np.exp(Z).sum(axis=0),
    }[name]()


def test_matmul_is_the_product_as_written():
    A, B, C = normal(0, 2, 3), normal(1, 3, 5), normal(2, 5, 7)
    np.testing.assert_allclose(chains.matmul(A, B, C), A @ B @ C)
    np.testing.assert_allclose(jax.jit(chains.matmul)(A, B), A @ B)
    assert chains.matmul(A) is A
    stack = normal(3, 4, 3, 5)
    np.testing.assert_allclose(jax.vmap(chains.matmul, (None, 0))(A, stack), A @ stack)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([], "matmul: expected at least one matrix"),
        ([(2, 3), (5, 3)], r"matrices 1 and 2: .* \(2, 3\) and \(5, 3\); transpose"),
        ([(2, 3), (3, 5), (7, 2)], r"matrices 2 and 3: .* \(3, 5\) and \(7, 2\)"),
        ([(2, 3), (3,)], r"matrix 2: expected two axes, got shape \(3,\); reshape"),
        ([()], "matrix 1: expected two axes"),
        ([(4, 2, 3), (3, 5)], "matrix 1: expected two axes"),
    ],
)
def test_matrices_that_do_not_meet_are_refused(shapes, message):
    with pytest.raises(LayoutError, match=message):
        chains.matmul(*(np.ones(shape) for shape in shapes))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_is_the_formula(activation):
    network = chains.mlp(WIDTHS, activation, final_activation="sigmoid")
    params = network.init(jax.random.key(0))
    X, _ = batch("columns")
    D = X
    for number, layer in enumerate(params, 1):
        Z = np.asarray(layer["W"]) @ D + np.asarray(layer["b"])
        D = numpy_activation("sigmoid" if number == len(params) else activation, Z)
    np.testing.assert_allclose(network(params, X), D, rtol=1e-12)


@pytest.mark.parametrize("loss", sorted(chains.LOSSES))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rows_are_the_transpose_of_columns(activation, loss):
    final = "identity" if loss == "cross_entropy" else activation
    columns = chains.mlp(WIDTHS, activation, "columns", loss, final)
    rows = chains.mlp(WIDTHS, activation, "rows", loss, final)
    params = columns.init(jax.random.key(3))
    turned = chains.transpose_params(params)
    (X, Y), (Xr, Yr) = batch("columns"), batch("rows")
    np.testing.assert_allclose(rows(turned, Xr), columns(params, X).T, rtol=1e-12)
    np.testing.assert_allclose(rows.loss(turned, Xr, Yr), columns.loss(params, X, Y), rtol=1e-12)
    gradients = chains.transpose_params(jax.grad(columns.loss)(params, X, Y))
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12),
        gradients,
        jax.grad(rows.loss)(turned, Xr, Yr),
    )


@pytest.mark.parametrize("samples", ["columns", "rows"])
def test_one_key_draws_one_network_in_both_layouts(samples):
    params = chains.mlp(WIDTHS, samples=samples).init(jax.random.key(5))
    other = chains.mlp(WIDTHS, samples="rows" if samples == "columns" else "columns")
    turned = chains.transpose_params(params)
    jax.tree.map(np.testing.assert_array_equal, turned, other.init(jax.random.key(5)))
    jax.tree.map(np.testing.assert_array_equal, chains.transpose_params(turned), params)
    W, b = params[0]["W"], params[0]["b"]
    assert (W.shape, b.shape) == (((7, 5), (7, 1)) if samples == "columns" else ((5, 7), (1, 7)))


def test_parameters_are_drawn_apart_and_scaled():
    params = chains.mlp((400, 300, 400)).init(jax.random.key(1))
    for layer, fan_in in zip(params, (400, 300), strict=True):
        assert abs(float(jnp.var(layer["W"])) * fan_in - 1) < 0.05
        assert float(jnp.var(layer["b"])) * fan_in > 0.5
    assert float(jnp.abs(params[0]["W"].ravel()[:100] - params[1]["W"].ravel()[:100]).min()) > 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16, None])
def test_dtype_is_kept_through_network_and_loss(dtype):
    network = chains.mlp(WIDTHS, "gelu", loss="cross_entropy")
    params = network.init(jax.random.key(0), dtype)
    expected = jnp.dtype(dtype or jnp.float64)
    X, Y = (jnp.asarray(array, expected) for array in batch("columns"))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {expected}
    assert network(params, X).dtype == network.loss(params, X, Y).dtype == expected


@pytest.mark.parametrize("samples", ["columns", "rows"])
def test_both_losses_have_output_minus_target_as_gradient(samples):
    D = normal(4, WIDTHS[-1], SAMPLES)
    D = D if samples == "columns" else D.T
    _, Y = batch(samples)
    softmax = jax.nn.softmax(D, axis=0 if samples == "columns" else 1)
    for loss, gradient in ((chains.squared_error, D - Y), (chains.cross_entropy, softmax - Y)):
        np.testing.assert_allclose(jax.grad(loss)(D, Y, samples), gradient, rtol=1e-9, atol=1e-12)
        mean = jax.grad(partial(loss, samples=samples, reduction="mean"))(D, Y)
        np.testing.assert_allclose(mean, gradient / SAMPLES, rtol=1e-9, atol=1e-12)


def test_losses_are_their_formulas():
    D, (_, Y) = normal(4, WIDTHS[-1], SAMPLES), batch("columns")
    np.testing.assert_allclose(chains.squared_error(D, Y), 0.5 * np.sum((D - Y) ** 2))
    log_softmax = D - np.log(np.exp(D).sum(axis=0))
    np.testing.assert_allclose(chains.cross_entropy(D, Y), -np.sum(Y * log_softmax))


def test_network_works_inside_transformations():
    network = chains.mlp(WIDTHS, jnp.sin, loss=lambda D, Y: jnp.sum(jnp.cos(D) * Y))
    params = network.init(jax.random.key(0))
    X, Y = batch("columns")
    eager = network.loss(params, X, Y)
    np.testing.assert_allclose(jax.jit(network.loss)(params, X, Y), eager)
    several = jax.vmap(network.init)(jax.random.split(jax.random.key(0), 3))
    assert jax.vmap(network, (0, None))(several, X).shape == (3, WIDTHS[-1], SAMPLES)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    assert jax.eval_shape(network, shapes, X).shape == (WIDTHS[-1], SAMPLES)
    jitted = jax.jit(lambda net, p, x: net(p, x), static_argnums=0)
    np.testing.assert_allclose(jitted(network, params, X), network(params, X))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (5,)}, "two or more positive integers"),
        ({"widths": (5, 0, 2)}, "two or more positive integers"),
        ({"widths": (5, 2.0)}, "two or more positive integers"),
        ({"activation": "tahn"}, "activation: expected one of 'identity', 'relu'"),
        ({"activation": None}, "activation: expected one of"),
        ({"final_activation": "step"}, "final_activation: expected one of"),
        ({"samples": "diagonal"}, "samples: expected one of 'columns', 'rows', got 'diagonal'"),
        ({"loss": "hinge"}, "loss: expected one of 'squared_error', 'cross_entropy'"),
        ({"loss": "cross_entropy", "final_activation": "softmax"}, "has its own softmax"),
    ],
)
def test_a_network_that_is_none_is_refused(arguments, message):
    with pytest.raises(LayoutError, match=message):
        chains.mlp(**{"widths": WIDTHS, **arguments})


def test_arrays_that_do_not_fit_are_refused():
    network = chains.mlp(WIDTHS)
    params = network.init(jax.random.key(0))
    X, Y = batch("columns")
    for wrong in (X.T, X[:, 0], X[:4]):
        with pytest.raises(LayoutError, match="5 features and samples as columns"):
            network(params, wrong)
    for wrong in (params[:2], chains.transpose_params(params), [{"W": params[0]["W"]}]):
        with pytest.raises(LayoutError, match="params of an mlp"):
            network(wrong, X)
    # Broadcasting would accept one target for all samples.
    for wrong in (Y.T, Y[:, :1], Y[0]):
        with pytest.raises(
            LayoutError, match=r"targets Y: expected the output's 2-D shape \(2, 11"
        ):
            network.loss(params, X, wrong)
    with pytest.raises(LayoutError, match="reduction: expected one of 'sum', 'mean'"):
        chains.squared_error(Y, Y, reduction="median")
    with pytest.raises(LayoutError, match="samples"):
        chains.cross_entropy(Y, Y, samples="diagonal")
