"""Counts taken from the programs that JAX runs: sums and branches, and multiplications."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Var

from layouts.counting import count as count_as_executed


def multiplications(function: Callable[..., Any], *args: Any) -> int:
    """Scalar multiplications of the matrix products that a function executes.

    Counted on the jaxpr and confirmed by XLA, which reports floating point operations of the
    compiled program: two for each multiplication, since it counts the addition beside it. XLA adds
    up in single precision, so above 2²⁴ the two agree to seven digits only. A product that sums a
    single term has no addition, and XLA counts it as one operation: inner sizes must exceed one.

    Args:
        function: A function that does nothing but multiply matrices.
        args: Its arguments, arrays.

    Raises:
        ValueError: If XLA counts something else, so that the function was no such program.

    Example:
        >>> multiplications(lambda a, b: a @ b, np.ones((2, 3)), np.ones((3, 5)))
        30
    """
    count = count_as_executed(function, *args).multiplications
    costs: Any = jax.jit(function).lower(*args).compile().cost_analysis()
    flops = costs["flops"]
    if abs(flops - 2 * count) > (0 if 2 * count < 2**24 else 1e-6 * flops):
        raise ValueError(f"XLA counts {flops} operations for {count} multiplications")
    return count


def shape(variable: Any) -> tuple[int, ...]:
    """The shape of a variable of a program."""
    return variable.aval.shape


def size(variable: Any) -> int:
    """The number of entries of a variable of a program."""
    return int(np.prod(shape(variable)))


def contracted_length(equation: JaxprEqn) -> int:
    """How many products each entry of a `dot_general` sums."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    return int(np.prod([shape(equation.invars[0])[axis] for axis in contracted]))


def sums_and_branches(jaxpr: Jaxpr) -> dict[str, int]:
    """Scalar sums (many to one) and branches (one to many) of a linear program.

    A value that is used k times branches k - 1 times, whether two equations read it or a matrix
    product reads it once per column. A value that gathers k terms takes k - 1 sums.
    """
    linear = set(jaxpr.invars)
    sums = branches = 0
    for equation in jaxpr.eqns:
        operands = [v for v in equation.invars if isinstance(v, Var) and v in linear]
        if operands:
            linear.update(equation.outvars)
            within = inside(equation, operands)
            sums, branches = sums + within[0], branches + within[1]
    readers = [v for e in jaxpr.eqns for v in e.invars if isinstance(v, Var)]
    readers += [v for v in jaxpr.outvars if isinstance(v, Var)]
    branches += sum((readers.count(v) - 1) * size(v) for v in linear)
    return {"sums": sums, "branches": branches}


def inside(equation: JaxprEqn, operands: list[Var]) -> tuple[int, int]:
    """The sums and branches within one linear equation."""
    into, out = size(operands[0]), size(equation.outvars[0])
    widened = sum(out - size(operand) for operand in operands)
    match equation.primitive.name:
        case "add" | "add_any":
            return out, widened  # an operand may have axes of size one
        case "mul":
            return 0, widened
        case "dot_general":
            length = contracted_length(equation)
            return out * (length - 1), out * length - into
        case "broadcast_in_dim":
            return 0, out - into
        case "reduce_sum":
            return into - out, 0
        case "neg" | "transpose" | "reshape" | "squeeze" | "convert_element_type" | "copy":
            return 0, 0
        case other:
            raise NotImplementedError(f"no count of sums and branches for the primitive {other}")
