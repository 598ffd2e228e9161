"""Jaxprs as expressions: each variable as what it is of the named inputs.

A primitive is written as people write it (`_PRIMITIVES`); one that is not in the tables is written
`name(operands)`, which says less but nothing wrong. Calls are read through.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from layouts.naming.called import name_of, write_call
from layouts.naming.contracting import CONTRACTING, in_order
from layouts.naming.elementwise import ELEMENTWISE
from layouts.naming.lookups import gather
from layouts.naming.shaping import SHAPING, parts
from layouts.naming.step import Step, Writer
from layouts.naming.units import Unit, unit_of
from layouts.show.patterns import inverse
from layouts.show.products import einsum
from layouts.show.value import Value
from layouts.show.values import Values
from layouts.show.views import reshape
from layouts.walking import inlined, walk

# An array of whole numbers is written out up to this many.
MOST_SHOWN = 8

_PRIMITIVES: dict[str, Writer] = {**ELEMENTWISE, **SHAPING, **CONTRACTING, "gather": gather}
# Primitives of several results, or of none that has a formula.
_SEVERAL: dict[str, Callable[[Step], Sequence[Value] | None]] = {"sort": in_order, "split": parts}


def read(
    values: Values, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Value]
) -> list[Value]:
    """Read a jaxpr.

    Args:
        values: makes the expressions.
        jaxpr: the program.
        constants: the arrays that it holds.
        arguments: the expressions of its inputs.

    Returns:
        The expressions of its outputs.

    Example:
        >>> closed = jax.make_jaxpr(lambda x: -jnp.sin(x))(1.0)
        >>> values = Values()
        >>> (result,) = read(values, closed.jaxpr, closed.consts, [values.name("x", ())])
        >>> result.head, result.detail, result.operands[0].detail
        ('sum', (-1,), ('sin',))
    """

    def step(equation: JaxprEqn, operands: Sequence[Value]) -> Sequence[Value]:
        return _results(values, equation, tuple(operands))

    known = [constant(values, array) for array in constants]
    return walk(jaxpr, known, arguments, step, lambda atom: constant(values, atom.val))


def cut(closed: ClosedJaxpr, primitives: Collection[str]) -> ClosedJaxpr | None:
    """A program that ends with the first of these primitives; None where it has none."""
    for equation in closed.jaxpr.eqns:
        if equation.primitive.name in primitives:
            return closed.replace(jaxpr=closed.jaxpr.replace(outvars=equation.outvars))
    return None


def constant(values: Values, array: Any) -> Value:
    """A number, an array that repeats one number, or else an array without an expression."""
    shape = np.shape(array)
    if isinstance(array, jax.core.Tracer) or np.size(array) == 0:
        return values.constant(shape)
    dtype = jnp.result_type(array)
    if jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_:
        entries = np.asarray(array).reshape(-1)
        first = entries[0].item()
        if bool(((entries == first) | (entries != entries)).all()):
            return values.name(str(first), ()) if dtype == jnp.bool_ else values.number(first)
        if jnp.issubdtype(dtype, jnp.integer) and len(shape) == 1 and len(entries) <= MOST_SHOWN:
            return values.name(f"array({entries.tolist()})", shape)
    return values.constant(shape)


def _results(values: Values, equation: JaxprEqn, operands: tuple[Value, ...]) -> Sequence[Value]:
    name = equation.primitive.name
    unit = unit_of(equation, derived=True)
    if unit is not None:
        return _called(Step(values, equation, operands), unit)
    call = name_of(equation)
    if call is not None:
        return [write_call(Step(values, equation, operands), *call)]
    if called := inlined(equation, operands):
        return read(values, *called)
    step = Step(values, equation, operands)
    if name in _PRIMITIVES:
        return [_PRIMITIVES[name](step)]
    found = _SEVERAL[name](step) if name in _SEVERAL else None
    if found is not None:
        return found
    outputs = [getattr(var.aval, "shape", ()) for var in equation.outvars]
    return values.unknown(name, step.full, outputs)


def _called(step: Step, unit: Unit) -> Sequence[Value]:
    """A call of the library, as one."""
    if unit.name == "slogdet":
        determinant = step.values.call("det", step.full, [], step.shape)
        logarithm = step.values.call("logdet", step.full, [], step.shape)
        return [step.values.map("sign", determinant), logarithm]
    if unit.name == "solve":
        (_, b), output = step.shapes, tuple(range(2, 1 + len(step.shapes[1])))
        indices = [(0, 1), (1, *output)]
        operands = [inverse(step.values, step.full[0]), step.operands[1]]
        extents = (*step.shapes[0], *b[1:])
        return [einsum(step.values, operands, indices, (0, *output), extents)]
    if unit.name == "diagonal":
        return [step.values.call("diag", step.full, [], step.shape)]
    if unit.name == "inv":
        return [inverse(step.values, step.full[0])]
    options = [f"{key}={value}" for key, value in unit.options if key != "keepdims"]
    axis, shape = dict(unit.options).get("axis"), step.shape
    if shape and axis is not None:  # as `norm(X, axis=1)[:, None]` where the axis is kept
        whole = step.shapes[0]
        shape = tuple(extent for n, extent in enumerate(whole) if n != axis)
    found = step.values.call(unit.name, step.full, options, shape)
    return [reshape(step.values, found, shape, step.shape)]
