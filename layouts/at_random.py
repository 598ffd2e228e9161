"""A user's function by the shapes of its inputs: run, differentiated, derived, diagnosed.

Where numbers are needed they are standard normal.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from layouts.derivation import Derivation, derive
from layouts.doctor import Diagnosis, diagnose
from layouts.doctor.adapters import diagnose_vjp
from layouts.errors import LayoutError
from layouts.expressions.grammar import guess, shorten
from layouts.jacobian import Jacobian
from layouts.nodes import Shape
from layouts.transforms import jacobian

# JAX raises these where a function asks a tracer for its numbers.
NEEDS_NUMBERS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def jacobian_at(
    fun: Callable, inputs: Mapping[str, Shape], wrt: str, *, order: str = "auto", seed: int = 0
) -> Jacobian:
    """The structured Jacobian at standard normal inputs.

    Args:
        fun: takes arrays by position, returns one array.
        inputs: the shape of each argument, by name.
        wrt: the input to differentiate by.
        order: of accumulation.
        seed: of the random inputs.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array.
    """
    place = list(inputs).index(input_of(wrt, inputs))
    arrays = _drawn(inputs, seed)
    check_output(run(lambda: fun(*arrays), "run on arrays of these shapes", last=True))
    derivative = jacobian(fun, place, order=order, structured=True)
    return run(lambda: derivative(*arrays), "be differentiated", last=True)


def derivation(
    fun: Callable, inputs: Mapping[str, Shape], wrt: str | None = None, *, seed: int | None = 0
) -> Derivation:
    """How a derivative is found by hand, for shapes alone or checked at random inputs.

    Args:
        fun: takes arrays by position, returns one array; its parameters' names are those of inputs.
        inputs: the shape of each argument, by name.
        wrt: the input to differentiate by; the first unless told.
        seed: of the standard normal inputs that every step is checked at; None for shapes alone.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array.
        TypeError: where JAX raises it, as for an integer output.

    Example:
        >>> found = derivation(lambda W, X: W @ X, {"W": (4, 3), "X": (3, 5)}, seed=None)
        >>> print(found.of("matrix")[0])
        ∂L/∂W = ∂L/∂D Xᵀ
    """
    place = list(inputs).index(input_of(wrt, inputs))
    args = structs(inputs) if seed is None else _drawn(inputs, seed)
    check_output(run(lambda: jax.eval_shape(fun, *args), "run on these shapes", last=True))
    return run(lambda: derive(fun, place)(*args), "be differentiated", last=True)


def diagnosis(
    fun: Callable,
    backward: Any,
    inputs: Mapping[str, Shape],
    wrt: Sequence[str] = (),
    *,
    seed: int = 0,
) -> Diagnosis:
    """Whether a hand-written gradient is right, at standard normal inputs in float64.

    Args:
        fun: takes arrays by position, returns one array; its parameters' names are those of inputs.
        backward: a formula, or `backward(cotangent, *arrays)`; None for a function with a
            `jax.custom_vjp` of its own.
        inputs: the shape of each argument, by name.
        wrt: the inputs to differentiate by; the first unless told. For several, backward returns a
            tuple.
        seed: of the random inputs.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array, the
            formula cannot be read.

    Example:
        >>> inputs = {"W": (4, 3), "X": (3, 5)}
        >>> print(diagnosis(lambda W, X: W @ X, "-dD @ X.T", inputs).summary)
        mistake: sign in the gradient by W
    """
    wanted = [input_of(name, inputs) for name in wrt or (None,)]
    places = [list(inputs).index(name) for name in wanted]
    argnums = places[0] if len(places) == 1 else places
    with jax.enable_x64(True):
        args = _drawn(inputs, seed)
        check_output(run(lambda: jax.eval_shape(fun, *args), "run on these shapes", last=True))

        def found() -> Diagnosis:
            if backward is None:
                return diagnose_vjp(fun, *args, argnums=argnums)
            return diagnose(fun, backward, *args, argnums=argnums)

        return run(found, "be differentiated", last=True)


def structs(inputs: Mapping[str, Shape]) -> list[jax.ShapeDtypeStruct]:
    """The inputs without numbers, in JAX's default precision."""
    return [jax.ShapeDtypeStruct(shape, jnp.result_type(float)) for shape in inputs.values()]


def _drawn(inputs: Mapping[str, Shape], seed: int) -> list[jax.Array]:
    """Standard normal inputs, each with a key of its own."""
    keys = jax.random.split(jax.random.key(seed), len(inputs))
    return [jax.random.normal(key, s) for key, s in zip(keys, inputs.values(), strict=True)]


def input_of(wrt: str | None, inputs: Mapping[str, Shape]) -> str:
    """The input to differentiate by, the first unless told.

    Raises:
        LayoutError: it is none of them, or there is none.
    """
    if not inputs:
        remedy = "give at least one, as in W=4x3"
        raise LayoutError("inputs", "a name and a shape for each", "none", remedy)
    if wrt is None:
        return next(iter(inputs))
    if wrt not in inputs:
        remedy = guess(wrt, inputs) or f"choose from {', '.join(inputs)}"
        raise LayoutError("input to differentiate by", "the name of an input", repr(wrt), remedy)
    return wrt


def run(call: Callable[[], Any], purpose: str, *, last: bool = False) -> Any:
    """Call what runs the user's function; its exceptions are named, not shown.

    Args:
        call: what to run.
        purpose: what the function should have been able to do, for the error.
        last: whether an error that asks for a tracer's numbers is an error too.

    Raises:
        LayoutError: whatever it raised.
    """
    try:
        return call()
    except LayoutError:
        raise
    except (Exception, SystemExit) as error:  # whatever the function may do
        if isinstance(error, NEEDS_NUMBERS) and not last:
            raise
        reason, _, _ = str(error).strip().partition("\n")
        received = f"{type(error).__name__}: {shorten(reason.rstrip('.'), 200)}"
        remedy = "change it, or the shapes"
        if reason.startswith("RESOURCE_EXHAUSTED"):
            remedy = "make the shapes smaller, or leave a check out by --no-check"
        if isinstance(error, NEEDS_NUMBERS):
            remedy = "write it with jax.numpy in place of numpy, and jnp.where in place of if"
        raise LayoutError("function", f"one that can {purpose}", received, remedy) from error


def check_output(output: Any) -> None:
    """See that a function returns one array, or one number.

    Raises:
        LayoutError: it returns several, or one that has no derivative.
    """
    leaves, treedef = jax.tree.flatten(output)
    if len(leaves) != 1 or not jax.tree_util.treedef_is_leaf(treedef):
        received = f"a {type(output).__name__} of {len(leaves)} arrays"
        remedy = "return one of them, or write a function for each"
        raise LayoutError("output of the function", "one array", received, remedy)
    dtype = jnp.result_type(output)
    if not jnp.issubdtype(dtype, jnp.floating):
        remedy = "only what varies smoothly and really can be differentiated"
        raise LayoutError("output of the function", "a floating-point array", dtype.name, remedy)
