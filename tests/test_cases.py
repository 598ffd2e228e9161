"""Every case of the one table: dense in every order, structured, sound, zero where it says so."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import Jacobian, cost, jacobian
from layouts.entries import Entries
from layouts.sparsity import pattern
from layouts.storing import nodes_of
from layouts.terms import check
from tests.cases import CASES, DTYPES, STRUCTURES
from tests.oracle import (
    BY_NAME,
    assert_same,
    densified,
    expected,
    jacobians,
    structured_of,
    tables_of,
)

names = {"ids": lambda case: case.name}


def transformed(case, order, **options):
    return jacobian(
        case.function, case.argnums, holomorphic=case.holomorphic, order=order, **options
    )


@pytest.mark.parametrize("case", CASES, **names)
def test_compiled_in_every_order(case):
    """One program with a Jacobian for each order."""

    def all_orders(*args):
        return {order: transformed(case, order)(*args) for order in case.orders}

    found = jax.jit(all_orders)(*case.args())
    for order in case.orders:
        assert_same(found[order], expected(case), case.rounding)


# Eagerly constants are folded into residuals, so that the graph may be another.
@pytest.mark.parametrize("case", [*STRUCTURES, *DTYPES, *CASES[::7]], **names)
def test_eager(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = transformed(case, "auto")(*case.args())
    assert_same(found, expected(case), case.rounding)


PLANNED = [
    "W X by both",
    "MLP, rows, by both",
    "attention",
    "scan",
    "pad",
    "custom VJP inside",
    "while",
]


@pytest.mark.parametrize("name", PLANNED)
def test_a_plan_is_an_order(name):
    """A plan made on shapes alone serves the arrays, eagerly and compiled."""
    case = BY_NAME[name]
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), case.args())
    plan = cost(case.function, case.argnums)(*shapes).plan
    assert_same(transformed(case, plan)(*case.args()), expected(case))
    assert_same(jax.jit(transformed(case, plan))(*case.args()), expected(case))


@pytest.mark.parametrize("case", CASES, **names)
def test_structured(case):
    found = structured_of(case)
    assert all(isinstance(leaf, Jacobian) for leaf in jacobians(found))
    assert_same(jax.jit(densified)(found), expected(case), case.rounding)


@pytest.mark.parametrize("case", CASES, **names)
def test_invariants(case):
    for J in jacobians(structured_of(case)):
        assert J.shape == J.out_shape + J.in_shape and J.ndim == len(J.shape)
        assert J.nbytes == sum(array.nbytes for array in J.arrays)
        real = not jnp.issubdtype(J.dtype, jnp.complexfloating)
        for term in J.terms:
            check(term)
            assert term.coefficient != 0
            assert not (real and isinstance(term.coefficient, complex))
            for factor in term.factors:
                assert J.arrays[factor.node.index].shape == factor.node.shape
        used = {factor.node.index for term in J.terms for factor in term.factors}
        selections = [s for term in J.terms for s in term.selections]
        assert not (real and any(jnp.iscomplexobj(array) for array in J.arrays))
        used |= {s.table.index for s in selections if s.table is not None}
        assert used == set(range(len(J.arrays)))


def allowed_by_ones(J):
    """The same terms with ones for their factors, one at a time so that none cancel."""

    def of_ones(term, given):
        factors = {factor.node.index for factor in term.factors}
        tables = {n.index for n in nodes_of(term)} - factors
        arrays = tuple(a if n in tables else jnp.ones_like(a) for n, a in enumerate(given))
        alone = (replace(term, coefficient=1),)
        return Entries(alone, arrays, J.out_shape, J.in_shape, J.dtype).dense() != 0

    every = jax.jit(lambda given: [of_ones(term, given) for term in J.terms])(J.arrays)
    return np.any(every, axis=0) if every else np.zeros(J.shape, bool)


@pytest.mark.parametrize("case", CASES, **names)
def test_exact_patterns_are_those_of_terms_of_ones(case):
    for J in jacobians(structured_of(case)):
        if np.prod(J.shape) < 100_000:
            found = pattern(J.terms, tables_of(J), J.out_shape, J.in_shape)
            np.testing.assert_array_equal(found, allowed_by_ones(J))
