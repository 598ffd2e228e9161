"""Convolutions that differentiate as on paper: one operand is read at shifted places, and summed.

    ∂D[i,j,p] = Σ_kq W[j,k,q] ∂X[i,k,s p + d q - l] + Σ_kq ∂W[j,k,q] X[i,k,s p + d q - l]

JAX's own derivative of a convolution is another convolution, which says nothing of its indices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from layouts.formulas.windows import Window, convolve


def window_of(equation: JaxprEqn) -> Window | None:
    """The window of a convolution of a jaxpr; None where it has no formula with indices."""
    params = equation.params
    avals: list[Any] = [atom.aval for atom in equation.invars]
    image, kernel = avals
    groups = params["feature_group_count"]
    if params["batch_group_count"] > 1 or 0 in (*image.shape, *kernel.shape):
        return None
    if not all(jnp.issubdtype(aval.dtype, jnp.floating) for aval in avals):
        return None
    ones = (1,) * len(params["window_strides"])
    window = Window(
        tuple(params["window_strides"]),
        tuple((int(low), int(high)) for low, high in params["padding"]),
        tuple(params["rhs_dilation"] or ones),
        tuple(params["lhs_dilation"] or ones),
        groups,
    )
    both = any(d > 1 and b > 1 for d, b in zip(window.dilation, window.spread, strict=True))
    return None if both else window


def is_plain(equation: JaxprEqn) -> bool:
    """Whether the axes are samples, channels, places; features, channels, places; and so on."""
    return all(tuple(spec) == tuple(range(len(spec))) for spec in _specs(equation))


def _specs(equation: JaxprEqn) -> Sequence[Sequence[int]]:
    numbers = equation.params["dimension_numbers"]
    return numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec


def convolution(equation: JaxprEqn) -> Callable[..., Sequence[jax.Array]] | None:
    """What to run in place of a convolution; None where it stays as it is."""
    window = window_of(equation)
    if window is None:
        return None
    of_image, of_kernel, of_out = _specs(equation)
    dtype: Any = equation.outvars[0].aval

    def run(image: jax.Array, kernel: jax.Array) -> Sequence[jax.Array]:
        found = convolved(window, _turned(image, of_image), _turned(kernel, of_kernel))
        return [_turned(found, np.argsort(of_out)).astype(dtype.dtype)]

    return run


def _turned(array: jax.Array, axes: Any) -> jax.Array:
    order = tuple(int(axis) for axis in axes)
    return array if order == tuple(range(len(order))) else jnp.transpose(array, order)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def convolved(window: Window, image: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution of axes in the plain order.

    Args:
        window: how the kernel lies on the image.
        image: samples × channels × places.
        kernel: features × channels × places.
    """
    return convolve(window, image, kernel)


@convolved.defjvp
def _convolved_jvp(window: Window, primals: Any, tangents: Any) -> Any:
    value = convolved(window, *primals)
    by_image = _summed(window, value.shape, tangents[0], primals[1], linear=0)
    return value, by_image + _summed(window, value.shape, primals[0], tangents[1], linear=1)


def _summed(
    window: Window, shape: Sequence[int], image: jax.Array, kernel: jax.Array, linear: int
) -> jax.Array:
    """One operand read at each place, times the other, summed."""
    channel, feature, group = 1, 2, 3
    arrays, groups = [image, kernel], window.groups
    if groups == 1:
        axes, out = [[0, channel], [feature, channel]], [0, feature]
    elif groups == image.shape[1] == kernel.shape[0]:
        axes, out = [[0, group], [group, channel]], [0, group]
    else:  # the channels of one group after those of another, and so the features
        arrays = [_parted(image, 1, groups), _parted(kernel, 0, groups)]
        axes, out = [[0, group, channel], [group, feature, channel]], [0, group, feature]
    for n, (count, b) in enumerate(zip(shape[2:], window.spread, strict=True)):
        place, other = 4 + 2 * n, 5 + 2 * n
        s, low = window.strides[n], window.padding[n][0]
        read = 0 if b == 1 else 1  # the image at s p + d q - l, or the kernel at b r - s p + l
        steps = (s, window.dilation[n], -low) if b == 1 else (-s, b, low)
        axis = len(axes[read])
        length = arrays[1 - read].shape[len(axes[1 - read])]
        arrays[read] = _read(arrays[read], axis, steps, (count, length), read == linear)
        axes[read] += [place, other]
        axes[1 - read] += [other]
        out.append(place)
    return jnp.einsum(arrays[0], axes[0], arrays[1], axes[1], out).reshape(shape)


def _parted(array: jax.Array, axis: int, count: int) -> jax.Array:
    """An axis as two, the first of so many groups."""
    shape = array.shape
    return array.reshape((*shape[:axis], count, shape[axis] // count, *shape[axis + 1 :]))


def _read(
    array: jax.Array,
    axis: int,
    steps: tuple[int, int, int],
    counts: tuple[int, int],
    linear: bool,
) -> jax.Array:
    """An array along one axis at `steps[0] p + steps[1] q + steps[2]`, zero outside.

    A tangent is read at these places, so that its derivative is a δ of them; a known array is
    padded before, so that it is read within.
    """
    size, (first, second, start) = array.shape[axis], steps
    ends = [step * (count - 1) for step, count in zip(steps, counts, strict=False)]
    least, most = start + sum(min(e, 0) for e in ends), start + sum(max(e, 0) for e in ends)
    if not linear:
        widths = [(0, 0)] * array.ndim
        widths[axis] = (max(-least, 0), max(most + 1 - size, 0))
        if any(widths[axis]):
            array = jnp.pad(array, widths)
            start += widths[axis][0]
    table = first * jnp.arange(counts[0])[:, None] + second * jnp.arange(counts[1])[None, :] + start
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(n if n < axis else n + 1 for n in range(array.ndim) if n != axis),
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
    )
    window = tuple(1 if n == axis else extent for n, extent in enumerate(array.shape))
    mode = lax.GatherScatterMode.FILL_OR_DROP
    return lax.gather(array, table[..., None], numbers, window, mode=mode, fill_value=0)
