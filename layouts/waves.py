"""Matrices of Fourier transforms: waves, powers of the roots of unity."""

from collections.abc import Sequence
from functools import reduce
from operator import mul
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

LONGEST = 1 << 16  # of an axis: the product of two places is an integer of 32 bits


def waves(outs: Sequence[int], lengths: Sequence[int], inverse: bool, dtype: Any) -> jax.Array:
    """The matrix of a discrete Fourier transform, `exp(∓2πi jk/n)` along each axis.

    Looked up among the n roots where it is read, with the places `jk mod n`: nothing is stored, and
    each entry is right to its last bit, which sums of a fast transform are not.

    Args:
        outs: how many frequencies of each axis are wanted: about half where the input is real.
        lengths: how many entries each axis has, at most `LONGEST`.
        inverse: for the inverse transform, which divides by the lengths.
        dtype: the matrix's, a complex one.

    Returns:
        An array of shape outs + lengths.

    Example:
        >>> x = jnp.array([3.0, 1.0, 4.0, 1.0, 5.0])
        >>> bool(jnp.allclose(waves([3], [5], False, "complex64") @ x, jnp.fft.rfft(x)))
        True
    """
    count = len(lengths)
    along = []
    for axis, (out, length) in enumerate(zip(outs, lengths, strict=True)):
        turns = (2j if inverse else -2j) * np.pi * np.arange(length) / length
        roots = jnp.asarray(np.exp(turns) / (length if inverse else 1), dtype)
        shape = [1] * (2 * count)
        shape[axis], shape[count + axis] = out, length
        j, k = (lax.broadcasted_iota(np.uint32, shape, n) for n in (axis, count + axis))
        along.append(roots.at[j * k % np.uint32(length)].get(mode="promise_in_bounds"))
    return reduce(mul, along)
