"""A function with the calls that JAX decomposes replaced by ones with the derivative on paper.

JAX differentiates `inv` and `det` through an LU decomposition; people write -X⁻¹ dX X⁻¹ and
det(X) tr(X⁻¹ dX). The values are the same, the residuals are inverses and not triangles.

Source of the formulas: K. B. Petersen, M. S. Pedersen, The Matrix Cookbook, sections 2.1 and 2.2.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from layouts.naming.called import name_of
from layouts.naming.decomposing import decomposed, factored
from layouts.naming.guards import Guards, has_guards
from layouts.naming.pooling import pooled
from layouts.naming.reading import read
from layouts.naming.running import multiplied, running
from layouts.naming.slicing import sliced
from layouts.naming.sorting import sorting
from layouts.naming.triangles import cholesky, triangle, triangular
from layouts.naming.units import Unit, unit_of
from layouts.naming.windows import convolution
from layouts.show.products import einsum
from layouts.show.values import Values
from layouts.walking import bind, inlined, is_by_platform, walk

_CALLS = ("closed_call", "jit", "pjit")
# What is made of indices by these is indices again, none below 0.
_REARRANGED = ("broadcast_in_dim", "concatenate", "convert_element_type", "reshape", "squeeze")


def on_paper(fun: Callable, counted: Collection[int] = (), indexed: bool = False) -> Callable:
    """The same function, with inverses, determinants and norms that differentiate as on paper.

    Args:
        fun: any function of arrays that JAX can trace.
        counted: places among the leaves of the arguments of indices that are never negative.
        indexed: whether convolutions, sorts, lookups, pools and decompositions differentiate as
            they are derived too, and guards against NaN are left out.

    Returns:
        A function of the same arguments and, up to rounding, the same values. Where nothing is to
        be replaced it calls `fun`.

    Example:
        >>> X = jnp.array([[2.0, 1.0], [3.0, 4.0]])
        >>> print(jax.grad(on_paper(jnp.linalg.det))(X).round())
        [[ 4. -3.]
         [-1.  2.]]
    """

    @wraps(fun)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        closed, shapes = jax.make_jaxpr(fun, return_shape=True)(*args, **kwargs)
        leaves = jax.tree.leaves((args, kwargs))
        paper = _Paper([leaves[place] for place in counted], indexed, Guards())
        if not paper.has_units(closed.jaxpr):
            return fun(*args, **kwargs)
        results = paper.evaluate(closed.jaxpr, closed.consts, leaves)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return replaced


def _body(equation: JaxprEqn) -> ClosedJaxpr | None:
    """What a plain call runs."""
    if equation.primitive.name not in _CALLS or name_of(equation) is not None:
        return None
    return equation.params.get("jaxpr") or equation.params.get("call_jaxpr")


def _is_guard(equation: JaxprEqn) -> bool:
    """Whether it picks one of two tables of whole numbers, as indexing by them does."""
    if equation.primitive.name != "select_n" or len(equation.invars) != 3:
        return False
    kind = getattr(equation.outvars[0].aval, "dtype", None)
    return kind is not None and jnp.issubdtype(kind, jnp.integer)


@dataclass(frozen=True)
class _Paper:
    """Runs jaxprs with their units replaced."""

    counted: list[Any]
    indexed: bool
    guards: Guards

    def has_units(self, jaxpr: Jaxpr) -> bool:
        """Whether there is anything to replace."""
        if self.indexed and has_guards(jaxpr):
            return True
        for equation in jaxpr.eqns:
            body = _body(equation)
            if self._replacement(equation) is not None or _is_guard(equation):
                return True
            if is_by_platform(equation) or (body is not None and self.has_units(body.jaxpr)):
                return True
        return False

    def _replacement(self, equation: JaxprEqn) -> Callable[..., Sequence[Any]] | None:
        """What to run in place of an equation."""
        if equation.primitive.name in _INDEXED:
            return _INDEXED[equation.primitive.name](equation) if self.indexed else None
        return _replacement(equation, self.indexed)

    def evaluate(
        self, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]
    ) -> list[Any]:
        """The results of a jaxpr."""

        def step(equation: JaxprEqn, operands: list[Any]) -> Sequence[Any]:
            passed = self.guards.passed(equation, operands)
            results = passed or self._guarded(equation, jaxpr, operands)
            results = results or self._run(equation, operands)
            if self.indexed:
                self.guards.note(equation, operands, results)
            if self._counts(equation, operands):
                self.counted.extend(results)
            return results

        return walk(jaxpr, constants, arguments, step)

    def _counts(self, equation: JaxprEqn, operands: Sequence[Any]) -> bool:
        """Whether the results are whole numbers and none is below 0."""
        kept = equation.primitive.name in _REARRANGED and all(map(self._is_counted, operands))
        return kept or equation.primitive.name == "iota"

    def _guarded(
        self, equation: JaxprEqn, jaxpr: Jaxpr, operands: Sequence[Any]
    ) -> Sequence[Any] | None:
        """The indices in `where(i < 0, i + n, i)`, of a table that has none below 0."""
        if not _is_guard(equation) or not self._is_counted(operands[1]):
            return None
        which, index, _ = equation.invars
        tests = [e for e in jaxpr.eqns if which in e.outvars and e.primitive.name == "lt"]
        for test in tests:
            left, right = test.invars
            if left is index and isinstance(right, Literal) and right.val == 0:
                return [operands[1]]
        return None

    def _is_counted(self, table: Any) -> bool:
        """Whether a table is known to have no entry below 0."""
        if isinstance(table, jax.core.Tracer):
            return any(table is known for known in self.counted)
        whole = jnp.issubdtype(jnp.result_type(table), jnp.integer) and np.size(table)
        return bool(whole and np.asarray(table).min() >= 0)

    def _run(self, equation: JaxprEqn, operands: list[Any]) -> Sequence[Any]:
        """Run one equation, or what stands for it on paper."""
        replacement = self._replacement(equation)
        if replacement is not None:
            return replacement(*operands)
        if is_by_platform(equation) and (called := inlined(equation, operands)):
            return self.evaluate(*called)
        body = _body(equation)
        if body is not None and (self.has_units(body.jaxpr) or self.guards.tests):
            return self.evaluate(body.jaxpr, body.consts, operands)
        return bind(equation, operands)


def _replacement(equation: JaxprEqn, derived: bool) -> Callable[..., Sequence[Any]] | None:
    """What to run in place of a unit, a linear solve, a running sum or product."""
    unit = unit_of(equation, derived)
    if unit is not None:
        return _UNITS[unit.name](unit)
    if equation.primitive.name == "custom_linear_solve":
        return _solved(equation)
    replace = _PRIMITIVES.get(equation.primitive.name)
    return None if replace is None else replace(equation)


def _solved(equation: JaxprEqn) -> Callable[..., Sequence[Any]] | None:
    """`A⁻¹ b` for the x with A x = b, `b A⁻¹` for the one with x A = b; A may be transposed."""
    lengths, matvec = equation.params["const_lengths"], equation.params["jaxprs"].matvec
    if lengths.matvec != 1 or len(equation.invars) != sum(lengths) + 1:
        return None
    if any(len(aval.shape) != 2 or aval.dtype.kind != "f" for aval in matvec.in_avals[:1]):
        return None
    values = Values()
    A, x = (values.name(n, aval.shape) for n, aval in zip("Ax", matvec.in_avals, strict=True))
    (found,) = read(values, matvec.jaxpr, matvec.consts, [A, x])
    rest = tuple(range(2, 1 + len(x.shape)))
    for left, turned in product((True, False), repeat=2):
        matrix = (1, 0) if turned else (0, 1)
        sides = [matrix, (1, *rest) if left else (*rest, 0)]
        output = (0, *rest) if left else (*rest, 1)
        extents = (*A.shape, *(x.shape[1:] if left else x.shape[:-1]))
        for order in (slice(None), slice(None, None, -1)):
            if found is einsum(values, [A, x][order], sides[order], output, extents):
                return partial(_solution, left=left, turned=turned)
    return None


def _solution(*operands: Any, left: bool, turned: bool) -> Sequence[Any]:
    """The inverse of the first operand times the last."""
    A, b = operands[0].T if turned else operands[0], operands[-1]
    return [solve(A, b) if left else solve(A.T, b.T).T]


@jax.custom_jvp
def inv(X: jax.Array) -> jax.Array:
    """X⁻¹, whose differential is -X⁻¹ dX X⁻¹."""
    return jnp.linalg.inv(X)


@inv.defjvp
def _inv_jvp(primals: Any, tangents: Any) -> Any:
    A = inv(*primals)
    return A, -(A @ tangents[0] @ A)


@jax.custom_jvp
def det(X: jax.Array) -> jax.Array:
    """|X|, whose differential is |X| tr(X⁻¹ dX)."""
    return jnp.linalg.det(X)


@det.defjvp
def _det_jvp(primals: Any, tangents: Any) -> Any:
    value = det(*primals)
    return value, value * _trace(inv(*primals), tangents[0])


@jax.custom_jvp
def slogdet(X: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sign of |X| and log |det X|, whose differential is tr(X⁻¹ dX)."""
    sign, logarithm = jnp.linalg.slogdet(X)
    return sign, logarithm


@slogdet.defjvp
def _slogdet_jvp(primals: Any, tangents: Any) -> Any:
    sign, logarithm = slogdet(*primals)
    slope = _trace(inv(*primals), tangents[0])
    return (sign, logarithm), (jnp.zeros_like(sign), slope)


def _trace(A: jax.Array, B: jax.Array) -> jax.Array:
    """tr(A B)."""
    return jnp.einsum("...ij,...ji->...", A, B)


@jax.custom_jvp
def diagonal(X: jax.Array) -> jax.Array:
    """The diagonal of a matrix, whose differential is that of `I ⊙ dX` summed."""
    return jnp.diagonal(X)


@diagonal.defjvp
def _diagonal_jvp(primals: Any, tangents: Any) -> Any:
    ((X,), (tangent,)) = primals, tangents
    size = min(X.shape)
    return diagonal(X), jnp.sum(jnp.eye(size, dtype=X.dtype) * tangent[:size, :size], axis=0)


@jax.custom_jvp
def solve(A: jax.Array, b: jax.Array) -> jax.Array:
    """The x = A⁻¹ b, whose differential is A⁻¹ (db - dA x)."""
    return inv(A) @ b


@solve.defjvp
def _solve_jvp(primals: Any, tangents: Any) -> Any:
    x = solve(*primals)
    return x, inv(primals[0]) @ (tangents[1] - tangents[0] @ x)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def norm(options: tuple[tuple[str, Any], ...], x: jax.Array) -> jax.Array:
    """‖x‖ of all entries or along an axis, whose differential is xᵀ dx / ‖x‖."""
    return jnp.linalg.norm(x, **dict(options))


@norm.defjvp
def _norm_jvp(options: tuple[tuple[str, Any], ...], primals: Any, tangents: Any) -> Any:
    (x,), (tangent,) = primals, tangents
    value = norm(options, x)
    axis = dict(options).get("axis")
    kept = value if axis is None or value.ndim == x.ndim else jnp.expand_dims(value, axis)
    return value, jnp.sum(x / kept * tangent, **dict(options))


def _listed(function: Callable) -> Callable[[Unit], Callable[..., Sequence[Any]]]:
    """A unit of one result."""
    return lambda unit: lambda *operands: [function(*operands)]


# What derivations write: convolutions with offsets, sorts with a table, eigenvectors.
_INDEXED = {
    "cholesky": factored,
    "conv_general_dilated": convolution,
    "dynamic_slice": sliced,
    "eigh": decomposed,
    "svd": decomposed,
    "reduce_window_max": pooled,
    "reduce_window_sum": pooled,
    "sort": sorting,
}
_PRIMITIVES: dict[str, Callable[[JaxprEqn], Callable[..., Sequence[Any]] | None]] = {
    "cumprod": running,
    "cumsum": running,
    "reduce_prod": multiplied,
    "triangular_solve": triangular(solve),
}
_UNITS: dict[str, Callable[[Unit], Callable[..., Sequence[Any]]]] = {
    "cholesky": _listed(cholesky),
    "det": _listed(det),
    "diagonal": _listed(diagonal),
    "inv": _listed(inv),
    "norm": lambda unit: lambda x: [norm(unit.options, x)],
    "slogdet": lambda unit: slogdet,
    "solve": _listed(solve),
    "tril": _listed(partial(triangle, jnp.tril)),
    "triu": _listed(partial(triangle, jnp.triu)),
}
