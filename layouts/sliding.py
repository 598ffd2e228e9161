"""Matrices of what moves along an array: windows that are summed, kernels that slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@dataclass(frozen=True)
class Band:
    """Where `step·i + start ≤ j < step·i + start + width`, of `outs` places i and `ins` labels j.

    A sum over a window that moves on by `step`, or over all that came before.
    """

    outs: int
    ins: int
    start: int
    step: int
    width: int


def banded(bands: Sequence[Band], dtype: Any) -> jax.Array:
    """Ones where every band holds, of shape `outs` of each, then `ins` of each; zeros elsewhere.

    Counted out where it is read: nothing is stored.
    """
    count = len(bands)
    shape = tuple(band.outs for band in bands) + tuple(band.ins for band in bands)
    holds = jnp.ones((), bool)
    for axis, band in enumerate(bands):
        places, labels = (lax.broadcasted_iota(np.int32, shape, n) for n in (axis, count + axis))
        first = band.step * places + band.start
        # What holds at the first and the last place holds throughout: it is not compared.
        last = band.step * (band.outs - 1) + band.start
        if max(band.start, last) > 0:
            holds &= labels >= first
        if min(band.start, last) + band.width < band.ins:
            holds &= labels < first + band.width
    return jnp.broadcast_to(holds, shape).astype(dtype)


@dataclass(frozen=True)
class Slide:
    """For `outs` places i and `ins` labels j the index `start + step·i + stride·j`."""

    outs: int
    ins: int
    start: int
    step: int
    stride: int


# Slices of an array are written sooner than its entries are looked up, but each has to be compiled.
FEW = 7


def slid(array: jax.Array, axis: int, at: int, slide: Slide, holes: int = 0) -> jax.Array:
    """An axis slides along itself: `out[…, i, …, j, …] = array[…, start + step·i + stride·j, …]`.

    Args:
        array: is zero beyond its ends.
        axis: the axis along which i takes its place.
        at: where j is put in, after i.
        slide: which of the entries they have.
        holes: how many zeros are put between two neighbours of the array, before it is indexed.

    Example:
        >>> slid(jnp.array([1, 2, 3]), 0, 1, Slide(4, 2, start=0, step=-1, stride=1)).tolist()
        [[1, 2], [0, 1], [0, 0], [0, 0]]
    """
    shape = slide.outs, slide.ins
    ends = [slide.step * i + slide.stride * j for i in (0, shape[0] - 1) for j in (0, shape[1] - 1)]
    extent = (array.shape[axis] - 1) * (holes + 1) + 1
    before, after = -(slide.start + min(ends)), slide.start + max(ends) + 1 - extent
    pads = [(0, 0, 0)] * array.ndim
    pads[axis] = (before, after, holes)  # a negative number leaves out what is never read
    padded = lax.pad(array, jnp.zeros((), array.dtype), pads)
    if slide.step > 0 and slide.ins <= FEW:
        firsts = [slide.stride * j for j in range(slide.ins)]
        width = slide.step * (slide.outs - 1) + 1
        slices = [lax.slice_in_dim(padded, n, n + width, slide.step, axis) for n in firsts]
        return jnp.stack(slices, at)
    i, j = (lax.broadcasted_iota(np.int32, shape, n) for n in (0, 1))
    places = slide.step * i + slide.stride * j - min(ends)
    return jnp.moveaxis(jnp.take(padded, places, axis, mode="clip"), axis + 1, at)
