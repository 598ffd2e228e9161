"""Whose layout is this array in? Found by comparing it with the derivative in every convention."""

from collections.abc import Callable
from typing import Any, get_args

import jax.numpy as jnp
import numpy as np

from layouts.conventions import TEXTBOOKS, Convention, Layout, arrange_array
from layouts.conventions.convention import Array, Vec
from layouts.errors import LayoutError
from layouts.transforms import jacobian


def identify(array: Array, fun: Callable, *args: Any, argnums: int = 0) -> list[Convention]:
    """Find the conventions in which an array is the derivative of a function.

    Args:
        array: what a formula, a book or a tool gives as derivative.
        fun: function of arrays, with one array as its value.
        *args: the point at which ``array`` was taken.
        argnums: the argument that the derivative is by.

    Returns:
        Every convention that fits, the plain layouts first, then the textbooks and tools; [] if the
        array is the derivative in none of them. Several agree where they write this case alike, or
        where sizes are equal and the derivative symmetric. Entries may differ from the derivative
        by √ε of its largest entry, for ε of the coarser of the two dtypes.

    Raises:
        LayoutError: several argnums, a function or argument that is a tree of arrays, or an array
            that holds no numbers.
        TypeError: an argument that cannot be differentiated by, as JAX has it.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([0.5, 2.0])
        >>> def f(x):
        ...     return jnp.array([x[0] * x[1], x[0], 3 * x[1]])
        >>> found = identify([[2.0, 1.0, 0.0], [0.5, 0.0, 3.0]], f, x)  # 2×3, and f is 3 by 2
        >>> [str(convention) for convention in found]
        ['denominator layout, vec by rows', 'denominator layout, vec by columns',
         'Wikipedia, denominator layout', 'Zygote.jl, forward_jacobian']
    """
    if isinstance(argnums, bool) or not isinstance(argnums, int):
        remedy = "call identify once for each argument"
        raise LayoutError("argnums of identify", "one integer", repr(argnums), remedy)
    candidate = np.asarray(array)
    if not jnp.issubdtype(candidate.dtype, np.number):
        remedy = "pass the derivative by one argument as one array"
        raise LayoutError("array to identify", "numbers", f"dtype {candidate.dtype}", remedy)
    derivative, out_shape, in_shape = _derivative(fun, args, argnums)
    found = []
    for convention in (*_PLAIN, *TEXTBOOKS.values()):
        try:
            written = arrange_array(derivative, convention, out_shape, in_shape)
        except LayoutError:  # this source has no verified shape for the case
            continue
        if written.shape == candidate.shape and _agree(candidate, written):
            found.append(convention)
    return found


_PLAIN = [Convention(layout=layout, vec=vec) for layout in Layout for vec in get_args(Vec)]


def _derivative(fun: Callable, args: tuple, argnums: int) -> tuple[Array, tuple, tuple]:
    derivative = jacobian(fun, argnums=argnums)(*args)
    if not hasattr(derivative, "shape"):
        remedy = "wrap the function so that it takes and gives the one array that is meant"
        received = f"a derivative that is a {type(derivative).__name__}"
        raise LayoutError("function to identify with", "one array by one array", received, remedy)
    in_shape = np.shape(args[argnums])
    out_shape = derivative.shape[: derivative.ndim - len(in_shape)]
    return np.asarray(derivative), out_shape, in_shape


def _agree(candidate: np.ndarray, derivative: np.ndarray) -> bool:
    inexact = [d for d in (candidate.dtype, derivative.dtype) if jnp.issubdtype(d, np.inexact)]
    tolerance = max(float(jnp.finfo(dtype).eps) for dtype in inexact) ** 0.5
    # bfloat16 and the like are foreign to NumPy's comparisons
    a, b = (np.asarray(x, np.result_type(x.dtype, np.float64)) for x in (candidate, derivative))
    return bool(np.all(np.abs(a - b) <= tolerance * np.max(np.abs(b), initial=0)))
