"""Integers that a program spells out: the indices of `x.at[1:-1]`, of `X[arange(n), arange(n)]`.

JAX makes them step by step out of numbers in the program, and keeps them as arrays like any other.
Made with NumPy while the program is read, they tell where entries stand: places that are steps
apart are a delta with an offset, not a table. Nothing is made of what depends on an argument.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn

from layouts.walking import inlined, walk

# Longer ones are left to the program.
MOST_ENTRIES = 2**20

# The entries of an array of integers, or of truth values; None where they are not known.
Entries = np.ndarray | None


def _iota(params: Mapping[str, Any]) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    line = np.arange(shape[axis], dtype=params["dtype"])
    return np.broadcast_to(np.expand_dims(line, [*range(1, len(shape) - axis)]), shape)


def _broadcast_in_dim(params: Mapping[str, Any], array: np.ndarray) -> np.ndarray:
    shape = params["shape"]
    new = [n for n in range(len(shape)) if n not in params["broadcast_dimensions"]]
    return np.broadcast_to(np.expand_dims(array, new), shape)


def _slice(params: Mapping[str, Any], array: np.ndarray) -> np.ndarray:
    steps = params["strides"] or [1] * array.ndim
    bounds = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return array[tuple(slice(*bound) for bound in bounds)]


def _select_n(params: Mapping[str, Any], which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    return np.choose(which, cases)


# What indices are made with: each step as NumPy takes it, given the parameters and the operands.
FOLDS: dict[str, Callable[..., np.ndarray]] = {
    "add": lambda params, a, b: a + b,
    "and": lambda params, a, b: a & b,
    "broadcast_in_dim": _broadcast_in_dim,
    "clamp": lambda params, low, a, high: np.clip(a, low, high),
    "concatenate": lambda params, *arrays: np.concatenate(arrays, params["dimension"]),
    "convert_element_type": lambda params, a: a.astype(params["new_dtype"]),
    "div": lambda params, a, b: (a - np.fmod(a, b)) // b,
    "eq": lambda params, a, b: a == b,
    "ge": lambda params, a, b: a >= b,
    "gt": lambda params, a, b: a > b,
    "iota": _iota,
    "le": lambda params, a, b: a <= b,
    "lt": lambda params, a, b: a < b,
    "max": lambda params, a, b: np.maximum(a, b),
    "min": lambda params, a, b: np.minimum(a, b),
    "mul": lambda params, a, b: a * b,
    "ne": lambda params, a, b: a != b,
    "neg": lambda params, a: -a,
    "not": lambda params, a: ~a,
    "or": lambda params, a, b: a | b,
    "rem": lambda params, a, b: np.fmod(a, b),
    "reshape": lambda params, a: a.reshape(params["new_sizes"]),
    "rev": lambda params, a: np.flip(a, params["dimensions"]),
    "select_n": _select_n,
    "sign": lambda params, a: np.sign(a),
    "slice": _slice,
    "squeeze": lambda params, a: np.squeeze(a, tuple(params["dimensions"])),
    "stack": lambda params, *arrays: np.stack(arrays, params["axis"]),
    "sub": lambda params, a, b: a - b,
    "transpose": lambda params, a: np.transpose(a, params["permutation"]),
}


def folded(equation: JaxprEqn, operands: Sequence[Entries]) -> Sequence[Entries]:
    """The entries of an equation's results, as far as they are known.

    Args:
        equation: one of any program.
        operands: the entries of what goes in.
    """
    if called := inlined(equation, operands):
        jaxpr, constants, given = called
        return fold(jaxpr, [entries_of(constant) for constant in constants], given)
    step = FOLDS.get(equation.primitive.name)
    aval: Any = equation.outvars[0].aval if equation.outvars else None
    if step is None or any(operand is None for operand in operands) or not _is_foldable(aval):
        return [None] * len(equation.outvars)
    with np.errstate(all="ignore"):
        return [np.asarray(step(equation.params, *operands), aval.dtype)]


def fold(jaxpr: Jaxpr, constants: Sequence[Entries], arguments: Sequence[Entries]) -> list[Entries]:
    """The entries of a program's results, as far as they are known.

    Args:
        jaxpr: the program.
        constants: the entries of the arrays that it holds.
        arguments: the entries of its inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> closed = jax.make_jaxpr(lambda n: (jnp.arange(3) * 2 + 1, jnp.arange(3) + n))(4)
        >>> places, others = fold(closed.jaxpr, [], [None])
        >>> places.tolist(), others
        ([1, 3, 5], None)
    """
    return walk(jaxpr, constants, arguments, folded, lambda atom: entries_of(atom.val, atom.aval))


def entries_of(value: Any, aval: Any = None) -> Entries:
    """The entries of an array of integers, where it is one and they can be looked at."""
    if isinstance(value, jax.core.Tracer) or not getattr(value, "is_fully_addressable", True):
        return None
    return np.asarray(value, aval and aval.dtype) if _is_foldable(aval or value) else None


def _is_foldable(array: Any) -> bool:
    dtype, size = getattr(array, "dtype", None), getattr(array, "size", MOST_ENTRIES + 1)
    # Keys of random numbers have a dtype that NumPy does not know.
    return isinstance(dtype, np.dtype) and dtype.kind in "bui" and size <= MOST_ENTRIES
