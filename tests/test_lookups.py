"""Derivatives of lookups: indices read from tables, and the one-hot matrices that they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.derivation import derive
from layouts.formulas.evaluating import evaluate
from layouts.formulas.lookups import laid_open
from layouts.formulas.parsing import parse
from layouts.formulas.summands import Summand
from layouts.formulas.tree import Delta, Entry, Letter, Name
from layouts.show.text import text

LABELS = np.array([2, 0, 2, 1])


def loss(Z, y):
    return -jnp.mean(jax.nn.log_softmax(Z, axis=1)[jnp.arange(4), y])


def attention(Q, K, V):
    mask = jnp.tril(jnp.ones((4, 4), bool))
    return jax.nn.softmax(jnp.where(mask, Q @ K.T, -jnp.inf), axis=-1) @ V


# For each function the shapes of its arrays, its indices, and the gradient by the first array.
CASES = {
    "rows": (lambda E, y: E[y], [(5, 3)], LABELS, "one_hot(y, 5)ᵀ ∂L/∂D"),
    "columns": (lambda E, y: jnp.tanh(E[:, y]), [(3, 5)], LABELS, None),
    "a row": (lambda E, y: 2 * E[y], [(5, 3)], np.array(1), None),
    "rows of rows": (lambda E, y: E[y], [(5, 3)], LABELS.reshape(2, 2), None),
    "along an axis": (
        lambda E, y: jnp.take_along_axis(E, y[:, None], 1),
        [(4, 3)],
        LABELS,
        "diag(∂L/∂D) one_hot(y, 3)",
    ),
    "from the end": (lambda E, y: E[y], [(5, 3)], -1 - LABELS, None),
    "cross-entropy": (loss, [(4, 3)], LABELS, "1/4 (softmax(Z, axis=1) - one_hot(y, 3))"),
    "diagonal": (jnp.diag, [(4, 4)], None, "diag(∂L/∂D)"),
    "running sum": (jnp.cumsum, [(5,)], None, "tril(𝟏(5×5))ᵀ ∂L/∂D"),
    "running sum of rows": (
        lambda X: jnp.cumsum(X[:, ::-1], axis=1),
        [(4, 3)],
        None,
        None,
    ),
    "sorted": (lambda x: jnp.sort(x) ** 2, [(5,)], None, None),
    "sorted rows": (lambda X: jnp.sort(X, axis=1), [(4, 3)], None, None),
    "sorted and weighed": (
        lambda x, w: jnp.sort(x) @ w,
        [(5,), (5,)],
        None,
        "one_hot(argsort(x), 5)ᵀ w",
    ),
    "lower half": (jnp.tril, [(4, 4)], None, "∂L/∂D ⊙ tril(𝟏(4×4))"),
    "causal attention": (attention, [(4, 3), (4, 3), (4, 2)], None, None),
}


@pytest.mark.parametrize("name", CASES)
def test_every_step_holds(name):
    function, shapes, indices, expected = CASES[name]
    rng = np.random.default_rng(3)
    arrays = [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]
    found = derive(function)(*arrays, *([] if indices is None else [jnp.asarray(indices)]))
    assert found.check is not None and found.check < 1e-12, str(found)
    if expected is not None:
        (gradient,) = found.of("matrix")
        assert text(gradient.formula.sides[-1]) == expected


@pytest.mark.parametrize("alphabet", ["unicode", "ascii"])
def test_what_is_printed_is_the_gradient(alphabet):
    Z = jnp.asarray(np.random.default_rng(5).standard_normal((4, 3)))
    (gradient,) = derive(loss)(Z, jnp.asarray(LABELS)).of("matrix")
    value = evaluate(parse(text(gradient.formula.sides[-1], alphabet)), {"Z": Z, "y": LABELS})
    np.testing.assert_allclose(value, jax.grad(loss)(Z, LABELS), rtol=1e-12)


def test_indices_alone_say_what_a_lookup_is():
    shapes = jax.ShapeDtypeStruct((5, 3), float), jax.ShapeDtypeStruct((4,), int)
    found = derive(lambda E, y: E[y])(*shapes)
    assert text(found.of("forward")[-1].formula) == "D[i,j] = E[y[i],j]"
    assert text(found.of("result")[-1].formula) == "∂L/∂E[k,l] = Σ_i δ[y[i],k] ∂L/∂D[i,l]"


def test_a_table_that_the_function_holds_is_named():
    table = jnp.asarray(LABELS)
    (gradient,) = derive(lambda E: E[table])(jnp.ones((5, 3))).of("matrix")
    assert text(gradient.formula) == "∂L/∂E = one_hot(c1, 5)ᵀ ∂L/∂D"


def test_an_entry_looked_up_is_a_product_with_zeros_and_ones():
    i, k, j = Letter("i", 4), Letter("k", 5), Letter("j", 3)
    y = Entry(Name("y"), (i,))
    arrays = {"y": LABELS, "G": np.random.default_rng(7).standard_normal((4, 3))}
    arrays["A"] = np.random.default_rng(8).standard_normal((5, 3))
    looked = Summand(1, (), (), (Entry(Name("A"), (y, j)),))
    opened = laid_open(looked, lambda _: (5, 3))
    np.testing.assert_allclose(evaluate(opened.body, arrays, [i, j]), arrays["A"][LABELS])
    scattered = Summand(1, (i,), (Delta(y, k),), (Entry(Name("G"), (i, j)),))
    opened = laid_open(scattered, None)
    assert opened.deltas == () and len(opened.factors) == 2
    expected = np.zeros((5, 3))
    np.add.at(expected, LABELS, arrays["G"])
    np.testing.assert_allclose(evaluate(opened.body, arrays, [k, j]), expected, rtol=1e-12)
