"""A function without the derivatives that its author wrote: JAX differentiates what it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params

from layouts.errors import LayoutError
from layouts.walking import bind, in_parts, opened, walk

CUSTOM = "custom_vjp_call"
# Calls that are read as if their body stood in their place, where it holds a custom_vjp.
_CALLS = ("checkpoint", "closed_call", "core_call", "jit", "pjit", "remat", "remat2")
# JAX never differentiates what these compute, but asks a rule of theirs.
_RULED = ("custom_jvp_call",)


def without_custom_vjp(fun: Callable) -> Callable:
    """The same function, with every `jax.custom_vjp` in it replaced by what it computes.

    Args:
        fun: any function of arrays that JAX can trace; calls of a `custom_vjp` may stand under
            jit, vmap, remat, scan and cond.

    Returns:
        A function of the same arguments and the same values, that JAX differentiates by the rules
        of the primitives. Each replaced call is a `jit` under its own name.

    Raises:
        LayoutError: when it is called, if a `custom_vjp` stands where it cannot be replaced.

    Example:
        >>> @jax.custom_vjp
        ... def square(x):
        ...     return x * x
        >>> square.defvjp(lambda x: (x * x, x), lambda x, g: (g * x,))
        >>> print(jax.grad(square)(3.0), jax.grad(without_custom_vjp(square))(3.0))
        3.0 6.0
    """

    @wraps(fun)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        closed, shapes = jax.make_jaxpr(fun, return_shape=True)(*args, **kwargs)
        leaves = jax.tree.leaves((args, kwargs))
        results = _evaluate(closed.jaxpr, closed.consts, leaves)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return replaced


def has_custom_vjp(fun: Callable, *args: Any) -> bool:
    """Whether a function calls a `jax.custom_vjp` anywhere, at these arguments.

    Example:
        >>> has_custom_vjp(lambda x: 2 * x, 3.0)
        False
    """
    return _holds(jax.make_jaxpr(fun)(*args).jaxpr)


def _holds(jaxpr: Jaxpr) -> bool:
    return any(map(_is_custom, jaxpr.eqns))


def _is_custom(equation: JaxprEqn) -> bool:
    """Whether an equation is a custom_vjp, or has one inside that a derivative would ask."""
    name = equation.primitive.name
    if name == CUSTOM or name in _RULED:
        return name == CUSTOM
    return any(map(_holds, jaxprs_in_params(equation.params)))


def _evaluate(jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """Run a jaxpr with its custom_vjps replaced."""

    def step(equation: JaxprEqn, operands: list[Any]) -> Sequence[Any]:
        return (_run if _is_custom(equation) else bind)(equation, operands)

    return walk(jaxpr, constants, arguments, step)


def _run(equation: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any]:
    """Run an equation that holds a custom_vjp."""
    name, params = equation.primitive.name, equation.params
    if name == CUSTOM:
        return jax.jit(_body(params["call_jaxpr"]))(*operands)
    if name in _CALLS:
        return _body(params.get("jaxpr") or params["call_jaxpr"])(*operands)
    if name == "scan":
        return _scan(equation, operands)
    if name == "cond":
        index, *rest = operands
        return jax.lax.switch(index, [_body(branch) for branch in params["branches"]], *rest)
    remedy = "diagnose the function that it is called in by itself"
    expected = "one that stands under jit, vmap, remat, scan or cond"
    raise LayoutError("custom_vjp", expected, f"one inside {name}", remedy)


def _body(closed: Any) -> Callable[..., list[Any]]:
    """What a call runs, as a function of its operands, under the name that it had."""
    jaxpr, constants = opened(closed)

    def body(*operands: Any) -> list[Any]:
        return _evaluate(jaxpr, constants, operands)

    body.__name__ = getattr(jaxpr.debug_info, "func_name", None) or "custom_vjp"
    return body


def _scan(equation: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any]:
    """Run a scan: its operands are constants, what is carried, and what is scanned over."""
    params = equation.params
    constants, start, scanned = in_parts(equation, operands)
    body = _body(params["jaxpr"])

    def step(carry: Sequence[Any], entries: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        results = body(*constants, *carry, *entries)
        return results[: len(start)], results[len(start) :]

    options = {key: params[key] for key in ("length", "reverse", "unroll") if key in params}
    last, stacked = jax.lax.scan(step, start, scanned, **options)
    return [*last, *stacked]
