"""From a function to its linear program, and what is known of its residuals before there are any.

A mean hands the same cotangent to every entry, and JAX keeps it as an array like any other. As a
number it is multiplied in where that is cheapest. It matters for another reason too: where XLA for
CPUs (jaxlib 0.10.2 to 0.12.0) fuses a product of a matrix and a repeated number with a sum over
it, it reads memory that nothing was written to.

The indices of a slice that is set, or of a diagonal that is read, are residuals too. The program
spells them out, and what they say is known (see `layouts.folding`).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import JAXIndexError, JAXTypeError
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun

from layouts.beforehand import unknown
from layouts.folding import Entries, entries_of, fold
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


# Stands for an array that a traced program gives, until that is run.
_FOUND: Any = object()


class Told(NamedTuple):
    """What is known of a residual.

    Attributes:
        repeated: whether it is one number in all entries.
        entries: those that the program spells out.
    """

    repeated: bool = False
    entries: Entries = None


class LinearProgram(NamedTuple):
    """A function at a point.

    Attributes:
        value: what it returns.
        closed: the program of its linear map; the constants are the residuals.
        aux: its auxiliary output, or None.
        told: what is known of each residual.
    """

    value: list[jax.Array]
    closed: ClosedJaxpr
    aux: Any
    told: Sequence[Told]


def linear_program(
    function: Callable[..., Any],
    primals: Sequence[jax.Array],
    has_aux: bool = False,
    given: Sequence[Any] = (),
) -> LinearProgram:
    """Linearise a function by JAX.

    Of concrete arrays none is said to repeat a number: what is planned must not depend on numbers.
    Of traced ones it is told by the program that makes them.

    Args:
        function: takes the primals, returns a flat list of arrays (and an auxiliary output).
        primals: where.
        has_aux: the function returns a pair of its output and an auxiliary output.
        given: more arrays that the function was called with; what they hold is no part of it.

    Example:
        >>> import jax.numpy as jnp
        >>> def tell(x):  # the gradient of this is 3 x² / 4
        ...     told = linear_program(jax.grad(lambda x: (x**3).mean()), [x]).told
        ...     print([residual.repeated for residual in told])
        >>> jax.eval_shape(tell, jnp.ones(4))
        [False, True]
    """
    others = {id(array) for array in given}
    if any(isinstance(primal, jax.core.Tracer) for primal in primals):
        try:
            return _traced(function, primals, has_aux, others)
        except (JAXTypeError, JAXIndexError):
            pass  # the function looks at its numbers, which some tracers allow
    program = _linearized(function, primals, has_aux)
    if not any(map(_lists_places, program.closed.consts)):
        return program
    return program._replace(told=_told(function, primals, has_aux, others, program.closed.consts))


def _linearized(
    function: Callable[..., Any], primals: Sequence[jax.Array], has_aux: bool
) -> LinearProgram:
    linearized: Any = jax.linearize(function, *primals, has_aux=has_aux)  # type: ignore[call-overload]
    value, pushforward, *aux = linearized
    closed = jax.make_jaxpr(pushforward)(*primals)
    told = [Told() for _ in closed.consts]
    return LinearProgram(value, closed, aux[0] if has_aux else None, told)


def _traced(
    function: Callable[..., Any], primals: Sequence[jax.Array], has_aux: bool, others: set[int]
) -> LinearProgram:
    """Trace the function with its linearisation, see what makes the residuals, and run that."""
    kept: list[Any] = []

    def run(*primals: jax.Array) -> list[jax.Array]:
        value, closed, aux, _ = _linearized(function, primals, has_aux)
        leaves, tree = jax.tree.flatten((value, closed.consts, aux))
        # A tracer that outlived its trace would be a leak to `jax.checking_leaks`; newer JAX holds
        # a program's constants in the program.
        held = [_FOUND if isinstance(leaf, jax.core.Tracer) else leaf for leaf in leaves]
        bare = ClosedJaxpr(closed.jaxpr, [None] * len(closed.consts))
        kept.extend((bare, held, tree))
        return [leaf for leaf in leaves if isinstance(leaf, jax.core.Tracer)]

    traced = jax.make_jaxpr(run)(*primals)
    bare, leaves, tree = kept
    same = repeating(traced.jaxpr, list(map(_is_number, traced.jaxpr.invars)))
    told = map(Told, same, _spelled_out(traced, others))
    arrays = zip(jaxpr_as_fun(traced)(*primals), _of_constants(traced), same, strict=True)
    results = [unknown(x) if constant and not number else x for x, constant, number in arrays]
    made = zip(results, told, strict=True)
    pairs = [next(made) if x is _FOUND else (x, Told(entries=_held(x, others))) for x in leaves]
    value, constants, aux = jax.tree.unflatten(tree, [array for array, _ in pairs])
    _, known, _ = jax.tree.unflatten(tree, [of_it for _, of_it in pairs])
    return LinearProgram(value, ClosedJaxpr(bare.jaxpr, constants), aux, known)


def _of_constants(closed: ClosedJaxpr) -> list[bool]:
    """Which outputs of a program are made of arrays that are there before it runs."""

    def step(equation: JaxprEqn, operands: Sequence[bool]) -> Sequence[bool]:
        return [all(operands)] * len(equation.outvars)

    there = [not isinstance(const, jax.core.Tracer) for const in closed.consts]
    arguments = [False] * len(closed.jaxpr.invars)
    return walk(closed.jaxpr, there, arguments, step, lambda atom: True)


def _told(
    function: Callable[..., Any],
    primals: Sequence[jax.Array],
    has_aux: bool,
    others: set[int],
    residuals: Sequence[jax.Array],
) -> list[Told]:
    """What is known of concrete residuals: the entries that a trace of the function spells out."""

    def made(*primals: jax.Array) -> list[jax.Array]:
        return _linearized(function, primals, has_aux).closed.consts

    try:
        traced = jax.make_jaxpr(made)(*primals)
    except Exception:  # without numbers, a function may refuse in any way
        return [Told() for _ in residuals]
    known = [entries for entries in _spelled_out(traced, others) if entries is not None]

    def entries(residual: jax.Array) -> Entries:
        if id(residual) in others or not _lists_places(residual):
            return None
        return next((some for some in known if np.array_equal(some, residual)), None)

    return [Told(entries=entries(residual)) for residual in residuals]


def _spelled_out(traced: ClosedJaxpr, others: set[int]) -> list[Entries]:
    """The entries of a program's results that it spells out, from no argument and no `others`."""
    held = [_held(const, others) for const in traced.consts]
    return fold(traced.jaxpr, held, [None] * len(traced.jaxpr.invars))


def _held(array: Any, others: set[int]) -> Entries:
    """The entries of what a function closes over, but for what it was called with."""
    return None if id(array) in others else entries_of(array)


def _lists_places(array: Any) -> bool:
    return array.ndim > 0 and jnp.issubdtype(array.dtype, jnp.integer)


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
