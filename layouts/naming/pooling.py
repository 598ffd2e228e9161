"""Sums and maxima over windows, with the derivatives on paper.

A sum over a window of two is `x[::2] + x[1::2]`; side by side, windows are an axis of their own. A
maximum is the entry at the place where it stands, `x[T]` with `T = argmaxpool(x, ...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import JaxprEqn

from layouts.formulas.windows import argmaxpool, maxpool
from layouts.naming.called import called

Run = Callable[..., Sequence[Any]]
# Windows of more entries along an axis stay as they are.
MOST_SUMMED = 9


def pooled(equation: JaxprEqn) -> Run | None:
    """What to run in place of a sum or a maximum over windows; None where it stays as it is."""
    params, aval = equation.params, cast(Any, equation.invars[0].aval)
    dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
    if dilated or 0 in aval.shape or not jnp.issubdtype(aval.dtype, jnp.floating):
        return None
    sizes, steps = (tuple(params[key]) for key in ("window_dimensions", "window_strides"))
    padding = tuple((int(low), int(high)) for low, high in params["padding"])
    if any(low < 0 or high < 0 for low, high in padding):
        return None
    if equation.primitive.name == "reduce_window_max":
        return lambda x: [_maximum(sizes, steps, padding, x)]
    if max(sizes) > MOST_SUMMED:
        return None
    return lambda x: [_summed(sizes, steps, padding, x)]


def _summed(
    sizes: Sequence[int], steps: Sequence[int], padding: Sequence[tuple[int, int]], x: jax.Array
) -> jax.Array:
    """The sum over one axis of the windows after the other."""
    for axis, (size, step, widths) in enumerate(zip(sizes, steps, padding, strict=True)):
        if any(widths):
            x = jnp.pad(x, [widths if n == axis else (0, 0) for n in range(x.ndim)])
        extent = x.shape[axis]
        if x.ndim > 2 and size == step and size > 1 and extent % size == 0:
            shape = (*x.shape[:axis], extent // size, size, *x.shape[axis + 1 :])
            x = x.reshape(shape).sum(axis + 1)
        elif (size, step) != (1, 1):
            last = (extent - size) // step * step + 1
            pieces = [lax.slice_in_dim(x, start, start + last, step, axis) for start in range(size)]
            x = sum(pieces[1:], pieces[0])
    return x


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _maximum(
    sizes: tuple[int, ...],
    steps: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    x: jax.Array,
) -> jax.Array:
    return _call("maxpool", maxpool, sizes, steps, padding)(x)


@_maximum.defjvp
def _maximum_jvp(sizes: Any, steps: Any, padding: Any, primals: Any, tangents: Any) -> Any:
    ((x,), (tangent,)) = primals, tangents
    value = _maximum(sizes, steps, padding, x)
    columns = []
    for axis, size in enumerate(sizes):
        if size == steps[axis] == 1:  # no window: it stays where it is
            columns.append(lax.broadcasted_iota(int, value.shape, axis))
        else:
            options = {"axis": axis} if x.ndim > 1 else {}
            call = _call("argmaxpool", argmaxpool, sizes, steps, padding, **options)
            columns.append(call(x))
    axes = tuple(range(x.ndim))
    numbers = lax.GatherDimensionNumbers((), axes, axes)
    places = jnp.stack(columns, axis=-1) if x.ndim > 1 else columns[0][:, None]
    mode = lax.GatherScatterMode.FILL_OR_DROP
    ones = (1,) * x.ndim
    return value, lax.gather(tangent, places, numbers, ones, mode=mode, fill_value=0)


def _call(
    name: str, function: Callable, sizes: Any, steps: Any, padding: Any, **more: Any
) -> Callable:
    options = {**more, "window": sizes, "strides": steps}
    if any(map(any, padding)):
        options["padding"] = padding
    return called(name, partial(function, **options), **options)
