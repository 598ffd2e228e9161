"""Symmetric sums from one of each pair of indices: the same numbers, about half the products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.evaluate import evaluate
from layouts.nodes import Contract, Leaf
from layouts.program import cost
from layouts.symmetry import LEAST_PLACES, LEAST_SUMMED, once

SIZES = {"n": 17, "i": 7, "j": 7, "a": 5, "b": 3, "k": 7}


def leaf(number, letters):
    return Leaf(tuple(SIZES[n] for n in letters), 8, index=number)


def contract(equation, *operands):
    """A contraction as `jnp.einsum` has it."""
    given, output = equation.split("->")
    number = {letter: n for n, letter in enumerate(dict.fromkeys(given.replace(",", "") + output))}
    return Contract(
        tuple(SIZES[n] for n in output),
        8,
        operands,
        tuple(tuple(number[n] for n in term) for term in given.split(",")),
        tuple(number[n] for n in output),
        tuple(SIZES[n] for n in number),
    )


def arrays(*letters):
    random = np.random.default_rng(0)
    return [jnp.asarray(random.standard_normal([SIZES[n] for n in term])) for term in letters]


@pytest.mark.parametrize(
    ("pair", "total", "weights"),
    [
        ("ni,nj->nij", "na,nij->aij", "na"),  # pairs last
        ("ni,nj->nij", "nij,na->jai", "na"),  # pairs first, and the result turned
        ("in,jn->ijn", "ijn,na->ija", "na"),  # the array turned
        ("ni,nj->inj", "bn,inj->bij", "bn"),  # between the two
        ("nbi,nbj->nbij", "nab,nbij->abij", "nab"),  # each sample of a batch
    ],
)
def test_a_symmetric_sum_is_computed_for_one_of_each_pair(pair, total, weights):
    x, w = leaf(0, pair.split(",")[0]), leaf(1, weights)
    again = leaf(0, pair.split(",")[0])  # an equal node, another object
    both = contract(pair, x, again)
    first = total.startswith(pair.split("->")[1])
    node = contract(total, *((both, w) if first else (w, both)))
    given = arrays(pair.split(",")[0], weights)
    (halved,) = once([node])
    assert halved is not node and halved.shape == node.shape
    assert 0.5 < cost([halved]).multiplications / cost([node]).multiplications < 0.6
    expected = np.einsum(
        total, *((np.einsum(pair, given[0], given[0]), given[1])[:: 1 if first else -1])
    )
    (found,) = evaluate([halved], given)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    left, right = (total.split("->")[1].index(n) for n in "ij")
    np.testing.assert_array_equal(found, jnp.swapaxes(found, left, right))


@pytest.mark.parametrize(
    ("pair", "total", "weights"),
    [
        ("ni,nj->nij", "ni,nij->ij", "ni"),  # the other factor knows one of the two
        ("ni,nj->nij", "na,nij->ai", "na"),  # one of the two is summed
        ("bi,bj->bij", "ab,bij->aij", "ab"),  # a sum too short
    ],
)
def test_what_is_not_symmetric_or_not_worth_it_stays(pair, total, weights):
    assert SIZES["b"] < LEAST_SUMMED <= SIZES["n"] and SIZES["i"] >= LEAST_PLACES
    x = leaf(0, pair.split(",")[0])
    node = contract(total, leaf(1, weights), contract(pair, x, x))
    assert once([node]) == [node]
    other = contract("na,nij->aij", leaf(1, "na"), contract("ni,nj->nij", x, leaf(2, "nj")))
    assert once([other]) == [other]


def test_the_hessian_of_a_classifier_by_its_weights():
    X, W = arrays("ni", "ai")
    labels = jnp.arange(17) % 5

    def loss(W):
        scores = X @ W.T
        chosen = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(scores, axis=1) - chosen).sum()

    expected = jax.hessian(loss)(W)
    for program in (layouts.hessian(loss), jax.jit(layouts.hessian(loss))):
        np.testing.assert_allclose(program(W), expected, atol=1e-12)
    np.testing.assert_allclose(
        layouts.hessian(loss, structured=True)(W).dense(), expected, atol=1e-12
    )
    third = jax.jacrev(layouts.hessian(loss))(W)
    np.testing.assert_allclose(third, jax.jacrev(jax.hessian(loss))(W), atol=1e-11)
    report = layouts.cost(jax.grad(loss))(W)
    pairs = 17 * 28 * (1 + 25)  # of the 49 of the entries of one sample, times those of its scores
    assert report.planned.multiplications < 17 * 49 * 25 + 17 * 49 * 5
    assert report.planned.multiplications > pairs
