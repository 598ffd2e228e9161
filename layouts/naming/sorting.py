"""Sorting as a lookup: `sort(x)[i] = x[argsort(x)[i]]`, which differentiates as one.

JAX sorts the tangent along with the array, which says nothing of its indices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn


def sorting(equation: JaxprEqn) -> Callable[..., Sequence[jax.Array]] | None:
    """What to run in place of a sort; None where it sorts several arrays, or of many axes."""
    aval: Any = equation.invars[0].aval
    if len(equation.invars) > 1 or len(aval.shape) > 2:
        return None
    if not jnp.issubdtype(aval.dtype, jnp.floating):
        return None
    axis = equation.params["dimension"]
    return lambda x: [ordered(axis, x)]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def ordered(axis: int, x: jax.Array) -> jax.Array:
    """An array of one or two axes sorted along one."""
    return lax.sort(x, dimension=axis)


@ordered.defjvp
def _ordered_jvp(axis: int, primals: Any, tangents: Any) -> Any:
    ((x,), (tangent,)) = primals, tangents
    read = _looked_up
    if x.ndim == 2:
        read = jax.vmap(_looked_up, in_axes=1 - axis, out_axes=1 - axis)
    return ordered(axis, x), read(tangent, jnp.argsort(x, axis))


def _looked_up(x: jax.Array, places: jax.Array) -> jax.Array:
    numbers = lax.GatherDimensionNumbers((), (0,), (0,))
    mode = lax.GatherScatterMode.FILL_OR_DROP
    return lax.gather(x, places[:, None], numbers, (1,), mode=mode, fill_value=0)
