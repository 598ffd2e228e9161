"""Goes through jaxprs, equation by equation, into calls and from step to step of a loop.

What stands for a variable may be an array, a vertex of a graph, an expression: who goes through
says what an equation makes of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

# Calls that are read as if their body stood in their place, with the parameter that holds it.
INLINED = {
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}

# Platforms that are kernels within a program: what is differentiated is never lowered for them.
OF_KERNELS = {"mosaic", "mosaic_gpu", "triton"}

# A short loop has so many equations at most, those of all its steps together.
MOST_EQUATIONS = 256

# A jaxpr and the arrays that it holds.
Body = tuple[Jaxpr, Sequence[Any]]


def walk(
    jaxpr: Jaxpr,
    constants: Sequence[Any],
    arguments: Sequence[Any],
    step: Callable[[JaxprEqn, list[Any]], Sequence[Any]],
    literal: Callable[[Literal], Any] = lambda atom: atom.val,
) -> list[Any]:
    """Go through a jaxpr's equations in their order, whatever stands for its variables.

    Args:
        jaxpr: the program.
        constants: what stands for the arrays that it holds.
        arguments: what stands for its inputs.
        step: makes of an equation, and what stands for its operands, what stands for its results.
        literal: makes what stands for a number in the program.

    Returns:
        What stands for its outputs.

    Example:
        >>> closed = jax.make_jaxpr(lambda x: 2.0 * x + 1.0)(3.0)
        >>> (result,) = walk(closed.jaxpr, closed.consts, [3.0], bind)
        >>> float(result)
        7.0
    """
    known: dict[Var, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))

    def lookup(atom: Any) -> Any:
        return literal(atom) if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = [lookup(atom) for atom in equation.invars]
        known.update(zip(equation.outvars, step(equation, operands), strict=True))
    return [lookup(atom) for atom in jaxpr.outvars]


def bind(equation: JaxprEqn, values: Sequence[Any]) -> list[jax.Array]:
    """Run one equation."""
    params = equation.primitive.get_bind_params(equation.params)
    result = equation.primitive.bind(*values, **params)
    # Of some primitives JAX gives the results in a tree of its own.
    return list(result) if equation.primitive.multiple_results else [result]


def opened(body: Any) -> Body:
    """The program of a jaxpr, closed or not, and the arrays that it holds."""
    return getattr(body, "jaxpr", body), getattr(body, "consts", ())


def inlined(
    equation: JaxprEqn, operands: Sequence[Any]
) -> tuple[Jaxpr, Sequence[Any], Sequence[Any]] | None:
    """What is read as if it stood in a call's place: its body, what that holds and is given.

    Of a choice by platform it is what runs outside kernels, where that is the same on any.

    Example:
        >>> closed = jax.make_jaxpr(lambda x: jax.jit(jax.lax.sin)(x) + 1.0)(3.0)
        >>> [inlined(equation, equation.invars) is not None for equation in closed.eqns]
        [True, False]
    """
    params = equation.params
    if is_by_platform(equation):
        return *opened(params["branches"][params["branches_platforms"].index(None)]), operands[1:]
    body = params.get(INLINED.get(equation.primitive.name, ""))
    return None if body is None else (*opened(body), operands)


def is_by_platform(equation: JaxprEqn) -> bool:
    """Whether it is a choice by platform that is the same on any, outside kernels.

    What is chosen for CPUs, say, may be another function.

    Example:
        >>> def chosen(x, **ways):
        ...     return jax.lax.platform_dependent(x, **ways, default=jax.lax.neg)
        >>> for platform in ("mosaic", "cpu"):
        ...     closed = jax.make_jaxpr(lambda x: chosen(x, **{platform: jax.lax.sin}))(3.0)
        ...     is_by_platform(closed.eqns[-1])
        True
        False
    """
    named = equation.params.get("branches_platforms") or ()
    return None in named and all(some is None or OF_KERNELS.issuperset(some) for some in named)


def is_short_loop(equation: JaxprEqn, most_steps: int) -> bool:
    """Whether an equation is a scan of a few steps and equations."""
    if equation.primitive.name != "scan":
        return False
    length, (body, _) = equation.params["length"], opened(equation.params["jaxpr"])
    return 0 < length <= most_steps and length * len(body.eqns) <= MOST_EQUATIONS


def unrolled(
    equation: JaxprEqn,
    operands: Sequence[Any],
    run: Callable[[Jaxpr, Sequence[Any], Sequence[Any]], Sequence[Any]],
    entry: Callable[[Any, int], Any],
    stack: Callable[[list[Any]], Any],
    hand_on: Callable[[list[Any]], list[Any]] = list,
) -> list[Any]:
    """What stands for the results of a scan, its body gone through once for each step.

    Args:
        equation: the scan.
        operands: what stands for its operands.
        run: goes through a jaxpr, given the arrays that it holds and its arguments.
        entry: makes `x[step]`, along the first axis.
        stack: makes one array of rows, along a new first axis.
        hand_on: what the next step gets of what a step hands on.

    Example:
        >>> closed = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, r: (c + r, 2 * c), 0, x))(
        ...     jax.numpy.arange(1, 4)
        ... )
        >>> def run(jaxpr, constants, arguments):
        ...     return walk(jaxpr, constants, arguments, bind)
        >>> arguments = [0, jax.numpy.arange(1, 4)]
        >>> last, doubled = unrolled(closed.eqns[-1], arguments, run, lambda x, n: x[n], list)
        >>> int(last), list(map(int, doubled))
        (6, [0, 2, 6])
    """
    params, body = equation.params, opened(equation.params["jaxpr"])
    constants, carry, scanned = in_parts(equation, operands)
    carried = len(carry)
    rows: dict[int, Sequence[Any]] = {}
    steps = range(params["length"])
    for step in steps[::-1] if params["reverse"] else steps:
        given = hand_on(carry) if rows else carry
        entries = [entry(operand, step) for operand in scanned]
        results = run(*body, [*constants, *given, *entries])
        carry, rows[step] = list(results[:carried]), results[carried:]
    columns = zip(*(rows[step] for step in steps), strict=True)
    return [*carry, *(stack(list(column)) for column in columns)]


def in_parts(equation: JaxprEqn, operands: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """What stands for a scan's operands: constants, what is carried, and what is scanned over.

    Example:
        >>> closed = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, r: (c + r, c), 0, x))(
        ...     jax.numpy.arange(1, 4)
        ... )
        >>> in_parts(closed.eqns[-1], ["first", "rows"])
        ([], ['first'], ['rows'])
    """
    body, _ = opened(equation.params["jaxpr"])
    carried = sum(map(_same_rank, equation.outvars, body.outvars))
    fixed = sum(map(_same_rank, equation.invars, body.invars)) - carried
    carry = operands[fixed : fixed + carried]
    return list(operands[:fixed]), list(carry), list(operands[fixed + carried :])


def _same_rank(outside: Any, inside: Any) -> bool:
    """Whether a scan hands a value over whole: what is scanned has one axis more outside."""
    return len(outside.aval.shape) == len(inside.aval.shape)
