"""The inputs that a candidate is tried at: the caller's own, then random ones of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# A candidate is held to this, relative to the largest entry, by the precision of its dtype.
TOLERANCES = {"float64": 1e-7, "float32": 5e-4, "bfloat16": 5e-2, "float16": 2e-2}


def tolerance(arrays: Sequence[Any]) -> float:
    """The tolerance for what is computed of arrays: that of the least precise float among them."""
    names = [jnp.result_type(array).name for array in arrays]
    return max((TOLERANCES[name] for name in names if name in TOLERANCES), default=1e-7)


def perturbed(leaves: Sequence[Any], seed: int) -> tuple[Any, ...]:
    """Other arguments of the same kind.

    What may be a label, a mask or an index stays: integers, booleans, arrays of 0, 1 and -1,
    rows that sum to one. Zeros stay zero, positive arrays positive, symmetric matrices symmetric.

    Example:
        >>> mask, x = np.array([1.0, 0.0]), np.array([2.0, -3.0])
        >>> kept, moved = perturbed([mask, x], seed=1)
        >>> bool((kept == mask).all()), bool((moved == x).any())
        (True, False)
    """
    rng = np.random.default_rng(seed)
    return tuple(_perturbed(leaf, rng) for leaf in leaves)


def nearby(leaves: Sequence[Any], seed: int) -> tuple[Any, ...]:
    """The same arguments but for rounding: what changes between them is a kink or a tie."""
    rng = np.random.default_rng([seed, 11])

    def moved(leaf: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return leaf
        array = np.asarray(leaf, dtype=np.float64)
        step = 1e-3 if jnp.result_type(leaf) != np.float64 else 1e-6
        noise = step * (np.abs(array).mean() or 1.0) * rng.standard_normal(array.shape)
        return (array + noise).astype(jnp.result_type(leaf))

    return tuple(map(moved, leaves))


def squared(leaves: Sequence[Any], size: int) -> list[Any]:
    """Other arguments of the same kind, all of whose axes have one size but for those of one entry.

    Example:
        >>> [leaf.shape for leaf in squared([np.ones((2, 3)), np.ones((3, 1))], 5)]
        [(5, 5), (5, 1)]
    """
    rng = np.random.default_rng(size)

    def resized(leaf: Any) -> Any:
        array = np.asarray(leaf)
        if not array.size:
            return leaf
        drawn = rng.choice(array.ravel(), tuple(1 if n == 1 else size for n in array.shape))
        return drawn if array.dtype.kind == "f" else np.minimum(drawn, size - 1)

    return list(perturbed([resized(leaf) for leaf in leaves], size))


def cotangent_like(value: Any, seed: int) -> Any:
    """A random cotangent, since mistakes hide behind ones."""
    rng = np.random.default_rng([seed, 7])
    return rng.standard_normal(jnp.shape(value)).astype(jnp.result_type(value))


def is_symmetric(leaf: Any) -> bool:
    """Whether it is a symmetric matrix, in which a missing transpose hides."""
    shape = jnp.shape(leaf)
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 1:
        return False
    array = np.asarray(leaf)
    return bool(np.allclose(array, array.T)) and not _stays(array)


def _perturbed(leaf: Any, rng: np.random.Generator) -> Any:
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        return leaf
    array = np.asarray(leaf, dtype=np.float64)
    if _stays(array):
        return leaf
    noise = rng.standard_normal(array.shape)
    if is_symmetric(leaf):
        noise = (noise + noise.T) / 2
    if (array > 0).all():
        moved = array * np.exp(0.4 * noise)
        moved = (moved + moved.T) / 2 if is_symmetric(leaf) else moved
    else:
        scale = np.abs(array).mean() or 1.0
        moved = np.where(array == 0, 0, array + 0.5 * scale * noise)
    dtype = jnp.result_type(leaf)
    return moved.astype(dtype) if isinstance(leaf, np.ndarray) else jnp.asarray(moved, dtype)


def _stays(array: np.ndarray) -> bool:
    """Whether it may be labels, a mask, or weights of a mean."""
    if array.size == 0 or np.isin(array, (-1, 0, 1)).all():
        return True
    if array.ndim and (array >= 0).all():
        return any(np.allclose(array.sum(axis), 1) for axis in range(array.ndim))
    return False


def as_numpy(tree: Any) -> Any:
    """Arrays as NumPy's, since a candidate may be plain NumPy; what JAX alone has stays.

    They are copies: a candidate may write into what it is given.
    """

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            return leaf
        return np.array(leaf) if isinstance(leaf, jax.Array | np.ndarray) else leaf

    return jax.tree.map(convert, tree)
