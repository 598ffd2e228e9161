"""Terms multiplied out: as arrays they are the derivative, and their factors are plain."""

import re
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.leaves import leaf_names
from layouts.naming import linearize_named
from layouts.naming.symbols import symbolic
from layouts.plan import choose
from layouts.products import settle
from layouts.show.writing import definitions
from tests import formulas


def _cross_entropy(X, Y):
    return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(X, axis=1), axis=1))


def _layer_norm(X, _):
    return (X - X.mean(1, keepdims=True)) / X.std(1, keepdims=True)


def _gelu_twice(x, y):
    return jax.nn.gelu(y * jax.nn.gelu(x))


CASES = {
    "x A x": (lambda x, A: x @ A @ x, (3,), (3, 3)),
    "quadratic": (lambda x, A: x * (A @ x), (3,), (3, 3)),
    "product": (lambda X, Y: X @ Y @ X, (4, 3), (3, 4)),
    "gram": (lambda X, Y: X.T @ Y @ X, (4, 3), (4, 4)),
    "identity": (lambda X, Y: X @ jnp.eye(3) @ Y, (4, 3), (3, 5)),
    "softmax": (lambda x, A: A @ jax.nn.softmax(x), (3,), (4, 3)),
    "log-sum-exp twice": (jax.grad(lambda x, A: jax.nn.logsumexp(A @ x)), (3,), (4, 3)),
    "cross-entropy": (_cross_entropy, (4, 3), (4, 3)),
    "logarithm of a softmax": (lambda X, Y: (Y * jnp.log(jax.nn.softmax(X))).sum(), (4, 3), (4, 3)),
    "cross-entropy twice": (jax.grad(_cross_entropy), (4, 3), (4, 3)),
    "logistic twice": (jax.grad(lambda x, A: jax.nn.softplus(A @ x).sum()), (3,), (4, 3)),
    "layer norm": (_layer_norm, (4, 3), ()),
    "tanh twice": (jax.grad(lambda x, A: jnp.tanh(A @ x).sum()), (3,), (4, 3)),
    "gelu": (_gelu_twice, (3,), (3,)),
}  # fmt: skip


def terms_of(function, *shapes):
    named = linearize_named(function, 0, [jax.ShapeDtypeStruct(s, float) for s in shapes])
    (found,) = choose(named.linearized.graph)[1].values()
    return [part for term in map(settle, found) for part in symbolic(named, term)]


def array(value, args):
    lines = {line.name: line.text for line in definitions({"V": (value, value.shape)}, args)}

    def known(name):
        names = re.findall(r"\bz[0-9]+", lines[name])
        return formulas.expression(lines[name], {**args, **{n: known(n) for n in names}})

    return known("V")


def dense(term, args):
    """The array of a term: an eye for each label that stands on both sides."""
    letter, operands = {}, [np.asarray(term.coefficient)]
    specs = [""]

    def letters(labels):
        return "".join(letter.setdefault(n, ascii_letters[len(letter)]) for n in labels)

    for symbol in term.factors:
        entries = array(symbol.value, args)
        kept = [n for n, label in enumerate(symbol.axes) if label is not None]
        operands.append(np.reshape(entries, [entries.shape[n] for n in kept]))
        specs.append(letters([symbol.axes[n] for n in kept]))
    output = ""
    for (label,) in (axis for axis in (*term.out, *term.into) if axis):
        fresh = next(c for c in ascii_letters if c not in (*letter.values(), *output))
        operands.append(np.eye(label.size))
        specs.append(letters([label]) + fresh)
        letter[object()] = fresh
        output += fresh
    return np.einsum(",".join(specs) + "->" + output, *operands)


@pytest.mark.parametrize("name", CASES)
def test_terms_add_up_to_the_derivative(name):
    function, *shapes = CASES[name]
    rng = np.random.default_rng(len(name))
    args = [rng.uniform(0.3, 1.5, shape) for shape in shapes]
    with jax.numpy_rank_promotion("allow"):
        terms = terms_of(function, *shapes)
        expected = jax.jacrev(function)(*map(jnp.asarray, args))
        names = leaf_names(function, args, range(len(args)))
        found = sum(dense(term, dict(zip(names, args, strict=True))) for term in terms)
    assert not any(term.selections for term in terms)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=2e-6)  # as texts round


def test_divisors_go_where_they_make_a_softmax():
    twice = terms_of(jax.grad(_cross_entropy), (4, 3), (4, 3))
    calls = [[s.value for s in term.factors if s.value.head == "call"] for term in twice]
    factors = [{value.detail[0] for value in term} for term in calls]
    assert factors == [{"softmax", "sum"}, {"softmax", "sum"}]
    assert [value.detail[0] for value in calls[1]].count("softmax") == 2
