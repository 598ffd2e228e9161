"""Entries at places that are known only when it runs, `x[y]`: lookups, which differentiate as such.

That a place lies within its array is taken for granted, as it is of every index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn


def sliced(equation: JaxprEqn) -> Callable[..., Sequence[jax.Array]] | None:
    """What to run in place of a dynamic slice of one place along some axes; None for any other."""
    aval: Any = equation.invars[0].aval
    sizes = tuple(equation.params["slice_sizes"])
    cut = [axis for axis, extent in enumerate(aval.shape) if sizes[axis] < extent]
    if any(sizes[axis] != 1 for axis in cut) or not jnp.issubdtype(aval.dtype, jnp.floating):
        return None

    def run(x: jax.Array, *starts: Any) -> Sequence[jax.Array]:
        for axis in cut:
            if isinstance(starts[axis], jax.core.Tracer):
                x = _looked_up(x, axis, starts[axis])
            else:
                place = min(max(int(starts[axis]), 0), x.shape[axis] - 1)
                x = lax.slice_in_dim(x, place, place + 1, axis=axis)
        return [x]

    return run


def _looked_up(x: jax.Array, axis: int, place: jax.Array) -> jax.Array:
    """One row, its axis kept."""
    numbers = lax.GatherDimensionNumbers(tuple(range(x.ndim - 1)), (axis,), (axis,))
    sizes = tuple(1 if n == axis else extent for n, extent in enumerate(x.shape))
    mode = lax.GatherScatterMode.FILL_OR_DROP
    row = lax.gather(x, jnp.reshape(place, (1,)), numbers, sizes, mode=mode, fill_value=0)
    return jnp.expand_dims(row, axis)
