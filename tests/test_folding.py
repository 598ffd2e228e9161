"""Integers that a program spells out are what JAX computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from layouts.counting import primitives
from layouts.folding import FOLDS, MOST_ENTRIES, fold

A, B = np.array([[3, -7, 0], [12, 5, -1]]), np.array([[2, 3, -4], [5, -5, 1]])

PROGRAMS = {
    "add": lambda: jnp.add(A, B),
    "and": lambda: lax.bitwise_and(A, B),
    "broadcast_in_dim": lambda: lax.broadcast_in_dim(A, (2, 4, 3), (0, 2)),
    "clamp": lambda: lax.clamp(-2, jnp.asarray(A), 4),
    "concatenate": lambda: jnp.concatenate([A, B, A], 1),
    "convert_element_type": lambda: jnp.asarray(A).astype(np.int16),
    "div": lambda: jnp.asarray(A) // jnp.asarray(B),
    "eq": lambda: lax.eq(A, B),
    "ge": lambda: lax.ge(A, B),
    "gt": lambda: lax.gt(A, B),
    "iota": lambda: lax.broadcasted_iota(np.int32, (2, 3, 4), 1),
    "le": lambda: lax.le(A, B),
    "lt": lambda: lax.lt(A, B),
    "max": lambda: jnp.maximum(A, B),
    "min": lambda: jnp.minimum(A, B),
    "mul": lambda: jnp.asarray(A) * jnp.asarray(B),
    "ne": lambda: lax.ne(A, B),
    "neg": lambda: lax.neg(A),
    "not": lambda: ~(jnp.asarray(A) > 0),
    "or": lambda: lax.bitwise_or(A, B),
    "rem": lambda: jnp.asarray(A) % jnp.asarray(B),
    "reshape": lambda: lax.reshape(jnp.asarray(A) + 1, (3, 2)),
    "rev": lambda: lax.rev(A, (1,)),
    "select_n": lambda: jnp.where(A > B, A, 2 * B),
    "sign": lambda: lax.sign(A),
    "slice": lambda: lax.slice(A, (0, 0), (2, 3), (1, 2)),
    "squeeze": lambda: lax.squeeze(lax.broadcast_in_dim(A, (2, 1, 3), (0, 2)), (1,)),
    "stack": lambda: jnp.stack([A, B], 1),
    "sub": lambda: lax.sub(A, B),
    "transpose": lambda: lax.transpose(A, (1, 0)),
}


def test_every_step_is_tested():
    assert set(PROGRAMS) == set(FOLDS)


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_step_is_what_jax_computes(name):
    closed = jax.make_jaxpr(PROGRAMS[name])()
    # JAX's versions trace `stack` and `squeeze` to other names.
    assert name in primitives(closed.jaxpr) or name in ("stack", "squeeze")
    (found,) = fold(closed.jaxpr, list(map(np.asarray, closed.consts)), [])
    expected = PROGRAMS[name]()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_nothing_is_made_of_arguments_of_other_numbers_or_of_very_many():
    def program(n):
        return n + jnp.arange(3), jnp.arange(3.0), jnp.arange(MOST_ENTRIES + 1), jnp.arange(2)

    closed = jax.make_jaxpr(program)(4)
    *unknown, known = fold(closed.jaxpr, [], [None])
    assert unknown == [None] * 3
    np.testing.assert_array_equal(known, [0, 1])
