"""Short loops written out: each step of a scan as a person writes it, `a2 = tanh(W a1 + U x2)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Jaxpr, JaxprEqn

from layouts.naming.step import CARRIED

# A loop is written out up to so many steps, of so many equations in all.
MOST_STEPS = 32
MOST_EQUATIONS = 256
# What a loop hands on from step to step has a name, if it has so many steps.
LEAST_NAMED = 3

Run = Callable[[Jaxpr, Sequence[Any], Sequence[Any]], Sequence[Any]]


def is_short(equation: JaxprEqn) -> bool:
    """Whether an equation of a jaxpr is a loop of a few steps, known in number."""
    if equation.primitive.name != "scan":
        return False
    length, body = equation.params["length"], _body(equation)
    return 0 < length <= MOST_STEPS and length * len(body.eqns) <= MOST_EQUATIONS


def unrolled(equation: JaxprEqn, operands: Sequence[Any], run: Run) -> list[Any]:
    """The results of a scan, its body run once for each step.

    Args:
        equation: the scan.
        operands: the arrays that it is applied to.
        run: runs a jaxpr, given its constants and arguments.
    """
    params, body = equation.params, _body(equation)
    carried = sum(map(_same_rank, equation.outvars, body.outvars))
    fixed = sum(map(_same_rank, equation.invars, body.invars)) - carried
    constants, scanned = operands[:fixed], operands[fixed + carried :]
    carry = list(operands[fixed : fixed + carried])
    steps = range(params["length"])
    rows: dict[int, Sequence[Any]] = {}
    for step in steps[::-1] if params["reverse"] else steps:
        entries = [lax.index_in_dim(array, step, keepdims=False) for array in scanned]
        held = getattr(params["jaxpr"], "consts", ())
        results = run(body, held, [*constants, *carry, *entries])
        carry, rows[step] = list(results[: len(carry)]), results[len(carry) :]
        if len(steps) >= LEAST_NAMED and len(rows) < len(steps):
            carry = list(map(_named, carry))
    columns = zip(*(rows[step] for step in steps), strict=True)
    return [*carry, *(jnp.stack(column) for column in columns)]


def _named(array: Any) -> Any:
    """What is handed on, marked as something to name."""
    real = jnp.issubdtype(jnp.result_type(array), jnp.floating)
    return checkpoint_name(array, CARRIED) if real else array


def _body(equation: JaxprEqn) -> Any:
    return getattr(equation.params["jaxpr"], "jaxpr", equation.params["jaxpr"])


def _same_rank(outside: Any, inside: Any) -> bool:
    """Whether a value is handed over whole: what is scanned over has one axis more outside."""
    return len(outside.aval.shape) == len(inside.aval.shape)
