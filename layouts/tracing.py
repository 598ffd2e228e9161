"""From a function to its linear program, and which of its residuals are one number repeated.

A mean hands the same cotangent to every entry, and JAX keeps it as an array like any other. As a
number it is multiplied in where that is cheapest. It matters for another reason too: where XLA for
CPUs (jaxlib 0.10.2 to 0.12.0) fuses a product of a matrix and a repeated number with a sum over
it, it reads memory that nothing was written to.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.errors import JAXIndexError, JAXTypeError
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun

from layouts.walking import inlined, walk

# What makes an array of one number of such arrays and numbers.
REPEATING = {
    "add",
    "add_any",
    "broadcast_in_dim",
    "convert_element_type",
    "copy",
    "div",
    "mul",
    "neg",
    "reshape",
    "squeeze",
    "sub",
    "transpose",
}


class LinearProgram(NamedTuple):
    """A function at a point.

    Attributes:
        value: what it returns.
        closed: the program of its linear map; the constants are the residuals.
        aux: its auxiliary output, or None.
        repeated: which residuals are known to be one number in all entries.
    """

    value: list[jax.Array]
    closed: ClosedJaxpr
    aux: Any
    repeated: Sequence[bool]


def linear_program(
    function: Callable[..., Any], primals: Sequence[jax.Array], has_aux: bool = False
) -> LinearProgram:
    """Linearise a function by JAX.

    Of concrete arrays none is said to repeat a number: what is planned must not depend on numbers.
    Of traced ones it is told by the program that makes them.

    Example:
        >>> import jax.numpy as jnp
        >>> def tell(x):  # the gradient of this is 3 x² / 4
        ...     print(linear_program(jax.grad(lambda x: (x**3).mean()), [x]).repeated)
        >>> jax.eval_shape(tell, jnp.ones(4))
        [False, True]
    """
    if any(isinstance(primal, jax.core.Tracer) for primal in primals):
        try:
            return _traced(function, primals, has_aux)
        except (JAXTypeError, JAXIndexError):
            pass  # the function looks at its numbers, which some tracers allow
    return _linearized(function, primals, has_aux)


def _linearized(
    function: Callable[..., Any], primals: Sequence[jax.Array], has_aux: bool
) -> LinearProgram:
    linearized: Any = jax.linearize(function, *primals, has_aux=has_aux)  # type: ignore[call-overload]
    value, pushforward, *aux = linearized
    closed = jax.make_jaxpr(pushforward)(*primals)
    return LinearProgram(value, closed, aux[0] if has_aux else None, [False] * len(closed.consts))


def _traced(
    function: Callable[..., Any], primals: Sequence[jax.Array], has_aux: bool
) -> LinearProgram:
    """Trace the function with its linearisation, see what makes the residuals, and run that."""
    told: list[Any] = []

    def run(*primals: jax.Array) -> list[jax.Array]:
        value, closed, aux, _ = _linearized(function, primals, has_aux)
        leaves, tree = jax.tree.flatten((value, closed.consts, aux))
        told.extend((closed.jaxpr, leaves, tree))
        return [leaf for leaf in leaves if isinstance(leaf, jax.core.Tracer)]

    traced = jax.make_jaxpr(run)(*primals)
    jaxpr, leaves, tree = told
    same = repeating(traced.jaxpr, list(map(_is_number, traced.jaxpr.invars)))
    made = zip(jaxpr_as_fun(traced)(*primals), same, strict=True)
    pairs = [next(made) if isinstance(x, jax.core.Tracer) else (x, False) for x in leaves]
    value, constants, aux = jax.tree.unflatten(tree, [array for array, _ in pairs])
    _, repeated, _ = jax.tree.unflatten(tree, [same for _, same in pairs])
    return LinearProgram(value, ClosedJaxpr(jaxpr, constants), aux, repeated)


def repeating(jaxpr: Jaxpr, arguments: Sequence[bool]) -> list[bool]:
    """Which outputs of a program are one number in all entries.

    Args:
        jaxpr: the program.
        arguments: which of its inputs are.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones(3)
        >>> closed = jax.make_jaxpr(lambda x: (0 * x + x.sum(), jax.lax.full_like(x, 2) / 3))(x)
        >>> repeating(closed.jaxpr, [False])
        [False, True]
    """

    def step(equation: JaxprEqn, operands: Sequence[bool]) -> Sequence[bool]:
        if called := inlined(equation, operands):
            return repeating(called[0], called[2])
        same = equation.primitive.name in REPEATING and all(operands)
        return [same or _is_number(var) for var in equation.outvars]

    constants = list(map(_is_number, jaxpr.constvars))
    return walk(jaxpr, constants, arguments, step, lambda atom: True)


def _is_number(var: Any) -> bool:
    return getattr(var.aval, "shape", None) == ()
