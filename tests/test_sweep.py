"""Every public function of JAX's array modules against JAX's own Jacobian; none left out unsaid."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import jacobian
from tests.oracle import assert_same, densified, distinct_orders
from tests.sweep import (
    CONSTANT,
    DIFFERENTIABLE,
    MODULES,
    OUTSIDE,
    REFUSED,
    VERSIONED,
    WHOLE,
    Call,
    calls,
    public,
)

TABLES = (DIFFERENTIABLE, WHOLE, CONSTANT, REFUSED, OUTSIDE)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_stands_in_one_table(module):
    named = Counter(name for table in TABLES for name in table[module])
    assert [name for name, times in named.items() if times > 1] == []
    assert sorted(set(public(module)) - set(named)) == []
    absent = {f"{module}.{name}" for name in set(named) - set(public(module))}
    assert absent <= VERSIONED


def kinds(value: Any) -> set:
    """What the leaves of a value are: complex, other inexact, or neither."""
    arrays = (jax.Array, jax.ShapeDtypeStruct)
    leaves = [leaf.dtype for leaf in jax.tree.leaves(value) if isinstance(leaf, arrays)]
    return {
        next((k for k in (jnp.complexfloating, jnp.floating) if jnp.issubdtype(d, k)), None)
        for d in leaves
    }


def orders_of(call: Call, holomorphic: bool) -> tuple[str, ...]:
    """The orders that JAX can execute and that may differ."""
    if call.forward_only:
        return ("auto", "forward")
    if kinds(call.args) != {jnp.floating} and not holomorphic:
        return ("auto", "reverse")  # a real function of complex inputs has rows, but no columns
    if not holomorphic and not call.eager:
        return distinct_orders(call.function, *call.args, argnums=tuple(range(len(call.args))))
    return ("auto", "forward", "reverse")


@pytest.mark.parametrize("call", calls(DIFFERENTIABLE), ids=str)
def test_jacobian(call):
    """One program of all Jacobians of a call, its own in each order and JAX's."""
    function, args = call.function, call.args
    output = kinds(function(*args) if call.eager else jax.eval_shape(function, *args))
    holomorphic = output == {jnp.complexfloating}
    assert holomorphic or output == {jnp.floating}
    options = {"argnums": tuple(range(len(args))), "holomorphic": holomorphic}
    orders = orders_of(call, holomorphic)
    transform = jax.jacfwd if call.forward_only else jax.jacrev

    def everything(*args: jax.Array) -> Any:
        found = [jacobian(function, **options, order=order)(*args) for order in orders]
        structured = jacobian(function, **options, structured=True)(*args)
        return transform(function, **options)(*args), [*found, densified(structured)]

    run = everything if call.eager else jax.jit(everything)
    wanted, found = run(*args)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(wanted)), "no oracle"
    for tree in found:
        assert_same(tree, wanted, call.rounding)


@pytest.mark.parametrize("call", calls(WHOLE), ids=str)
def test_no_output_to_differentiate(call):
    assert kinds(call.function(*call.args)) <= {None}


@pytest.mark.parametrize("call", calls(CONSTANT), ids=str)
def test_no_input_to_differentiate_by(call):
    assert call.variables == ()
    call.function()


@pytest.mark.parametrize("call", calls(REFUSED), ids=str)
@pytest.mark.parametrize("transform", [jax.jacrev, jax.jacfwd, jacobian])
def test_what_jax_does_not_differentiate(call, transform):
    with pytest.raises((NotImplementedError, TypeError, ValueError)):
        transform(call.function, tuple(range(len(call.args))))(*call.args)
