"""The dense oracle: what `jax.jacrev` gives, and how a result is compared with it."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts import Jacobian, jacobian
from layouts.graph import Graph
from layouts.linearize import Linearized
from layouts.plan import make_plan
from layouts.transforms import linearize_call
from tests.cases import CASES, Case

BY_NAME = {case.name: case for case in CASES}

# The tests compile quickly, as one does not: what is computed twice in a loop is rounded apart more
# often as it is compiled by default.
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}

# Relative to the largest entry: a few roundings of each dtype.
TOLERANCES = {"float16": 2e-2, "bfloat16": 1e-1, "float32": 2e-5, "complex64": 2e-5}


def transform_of(case: Case) -> Any:
    """JAX's own transform for a case: jacrev, or jacfwd where JAX cannot pull back."""
    return jax.jacrev if "reverse" in case.orders else jax.jacfwd


@cache
def _expected(name: str) -> Any:
    case = BY_NAME[name]
    transform = transform_of(case)(case.function, case.argnums, holomorphic=case.holomorphic)
    return jax.jit(transform)(*case.args())


def expected(case: Case) -> Any:
    """The pytree that JAX gives for a case."""
    return _expected(case.name)


@cache
def _structured(name: str) -> Any:
    case = BY_NAME[name]
    transform = jacobian(case.function, case.argnums, holomorphic=case.holomorphic, structured=True)
    return transform(*case.args())


def structured_of(case: Case) -> Any:
    """The structured Jacobians of a case, computed eagerly in the planned order."""
    return _structured(case.name)


def is_jacobian(value: Any) -> bool:
    """Whether a leaf is structured."""
    return isinstance(value, Jacobian)


def jacobians(tree: Any) -> list[Jacobian]:
    """The structured leaves of a result."""
    return jax.tree.leaves(tree, is_leaf=is_jacobian)


def tables_of(J: Jacobian) -> dict[int, np.ndarray]:
    """The places that a Jacobian's lookups list, by the number of the array."""
    found = (s.table for term in J.terms for s in term.selections if s.table is not None)
    return {node.index: np.asarray(J.arrays[node.index]) for node in found}


def densified(tree: Any) -> Any:
    """A structured result as the dense pytree."""
    return jax.tree.map(lambda J: J.dense(), tree, is_leaf=is_jacobian)


def assert_close(actual: Any, wanted: Any, loosest: Any = "float64") -> None:
    """Compare two arrays up to a few roundings of the least exact dtype involved."""
    names = (jnp.dtype(wanted.dtype).name, loosest)
    tolerance = max(TOLERANCES.get(name, 1e-11) for name in names)
    wide = np.complex128 if jnp.iscomplexobj(wanted) else np.float64
    left, right = np.asarray(actual).astype(wide), np.asarray(wanted).astype(wide)
    size = np.max(np.abs(right), initial=1.0)
    np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance * size)


def assert_same(actual: Any, wanted: Any, loosest: Any = "float64") -> None:
    """Compare two pytrees: structure, and for each leaf type, shape, dtype and value."""
    assert jax.tree.structure(actual) == jax.tree.structure(wanted)
    for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(wanted), strict=True):
        assert isinstance(left, jax.Array), type(left)
        assert left.shape == right.shape
        assert left.dtype == right.dtype
        assert_close(left, right, loosest)


def graph_of(function: Any, *args: Any, argnums: Any = 0) -> Graph:
    """The graph of local Jacobians of a function, traced on shapes alone."""
    found: list[Linearized] = []
    jax.eval_shape(lambda *a: found.append(linearize_call(function, argnums, a, {})), *args)
    return found[0].graph


def distinct_orders(function: Any, *args: Any, argnums: Any = 0) -> tuple[str, ...]:
    """The orders that do not eliminate in the same sequence as one before them."""
    graph = graph_of(function, *args, argnums=argnums)
    found: dict[tuple[int, ...], str] = {}
    for order in ("auto", "forward", "reverse"):
        found.setdefault(make_plan(graph, order).vertices, order)
    return tuple(found.values())


def graph_of_case(case: Case) -> Graph:
    """The graph of a case that is not complex."""
    return graph_of(case.function, *case.args(), argnums=case.argnums)
