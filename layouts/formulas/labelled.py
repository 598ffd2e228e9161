"""Arrays with an axis for each letter of a formula, and the operations on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError

# Keeps a short text from asking for more memory than there is.
MAX_ENTRIES = 10**8


@dataclass(frozen=True)
class Labelled:
    """What a formula means for each value of its letters.

    Attributes:
        array: the letters' axes, in order, then the axes of the cell.
        letters: the letters that the first axes stand for.
        row: whether each cell, of shape (1, n), is the transpose of a vector.
    """

    array: Any
    letters: tuple[str, ...] = ()
    row: bool = False

    @property
    def cell(self) -> tuple[int, ...]:
        """The shape of what the formula is for one value of each letter."""
        return np.shape(self.array)[len(self.letters) :]


def _union(values: Sequence[Labelled]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(letter for value in values for letter in value.letters))


def _ordered(value: Labelled, letters: Sequence[str]) -> Any:
    """The array with its letters' axes in the order in which they stand among others."""
    order = [value.letters.index(letter) for letter in letters if letter in value.letters]
    if order == sorted(order):
        return value.array
    rest = range(len(order), np.ndim(value.array))
    return jnp.transpose(value.array, (*order, *rest))


def aligned(values: Sequence[Labelled]) -> tuple[tuple[str, ...], list[Any]]:
    """The letters of all, and the arrays with axes of size one put in, so that they broadcast."""
    letters = _union(values)
    rank = max(len(value.cell) for value in values)
    arrays = []
    for value in values:
        array = _ordered(value, letters)
        if np.ndim(array):  # a number stays what it is, so that it takes the other's precision
            extents = dict(zip(value.letters, np.shape(value.array), strict=False))
            shape = [extents.get(letter, 1) for letter in letters]
            shape += [1] * (rank - len(value.cell)) + [*value.cell]
            array = jnp.reshape(array, shape)
        arrays.append(array)
    return letters, arrays


def over(call: Callable[..., Any], *values: Labelled) -> Labelled:
    """A function of cells, for each value of the letters."""
    letters = _union(values)
    arrays = [_ordered(value, letters) for value in values]
    for letter in reversed(letters):
        axes = tuple(0 if letter in value.letters else None for value in values)
        call = jax.vmap(call, in_axes=axes)
    return Labelled(call(*arrays), letters)


def sized(value: Labelled, sizes: Sequence[tuple[str, int]], lead: Sequence[str] = ()) -> Labelled:
    """The value with its letters in this order, each of this size, zero where it had no entry.

    A letter that the value does not carry repeats it.

    Args:
        value: carries no other letters.
        sizes: letters in order, with their sizes.
        lead: letters that stay in front as they are.
    """
    letters = (*lead, *(letter for letter, _ in sizes))
    if value.letters == letters == ():
        return value
    _, (_, array) = aligned([Labelled(0, letters), value])
    array = jnp.reshape(
        jnp.asarray(array), (1,) * len(letters) if not np.ndim(array) else np.shape(array)
    )
    for axis, (letter, size) in enumerate(sizes, len(lead)):
        if letter not in value.letters:
            shape = np.shape(array)
            array = jnp.broadcast_to(array, bounded((*shape[:axis], size, *shape[axis + 1 :])))
        elif np.shape(array)[axis] > size:
            array = jax.lax.slice_in_dim(array, 0, size, axis=axis)
        elif np.shape(array)[axis] < size:
            widths = [(0, 0)] * np.ndim(array)
            widths[axis] = (0, size - np.shape(array)[axis])
            array = jnp.pad(array, widths)
    return replace(value, array=array, letters=letters)


def summed(values: Sequence[Labelled], sizes: Sequence[tuple[str, int]]) -> Labelled:
    """The product of values, at most one of which is more than a number, summed over letters.

    Args:
        values: the factors.
        sizes: the letters to sum over, with their sizes.
    """
    over_all = {letter for letter, _ in sizes}
    factor: Any = 1
    for letter, size in sizes:
        if not any(letter in value.letters for value in values):
            factor = factor * size
    labelled = []
    for value in values:
        if np.ndim(value.array):
            labelled.append(value)
        else:
            factor = (
                value.array if isinstance(factor, int) and factor == 1 else factor * value.array
            )
    if not labelled:
        return Labelled(factor)
    kept = tuple(letter for letter in _union(labelled) if letter not in over_all)
    row = any(value.row for value in labelled)
    if len(labelled) == 1 and kept == labelled[0].letters:
        array = labelled[0].array
    else:
        array = _einsum(labelled, kept)
    one = isinstance(factor, int) and factor == 1
    return Labelled(array if one else factor * array, kept, row)


def _einsum(values: Sequence[Labelled], kept: tuple[str, ...]) -> Any:
    """One einsum over labelled arrays; the axes of a cell have labels of their own."""
    number = {letter: place for place, letter in enumerate(_union(values))}
    cell: list[int] = []
    operands: list[Any] = []
    for value in values:
        axes = [number[letter] for letter in value.letters]
        if value.cell:
            cell = [len(number) + n for n in range(len(value.cell))]
            axes += cell
        operands += [value.array, axes]
    extents = {
        axis: size
        for value, axes in zip(values, operands[1::2], strict=True)
        for axis, size in zip(axes, np.shape(value.array), strict=True)
    }
    result = [number[letter] for letter in kept] + cell
    bounded([extents[axis] for axis in result])
    return jnp.einsum(*operands, result)


def bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if an array of it is not too large."""
    if prod(shape) > MAX_ENTRIES:
        size = "×".join(map(str, shape))
        remedy = "evaluate a part of it, or sum over letters"
        raise LayoutError("array", f"at most {MAX_ENTRIES:,} entries", size, remedy)
    return tuple(shape)


def multiply(left: Labelled, right: Labelled) -> Labelled:
    """The product of matrices and vectors, a vector standing as a column."""
    if left.cell == () or right.cell == ():
        return replace(summed([left, right], ()), row=left.row or right.row)
    ranks = len(left.cell), len(right.cell)
    if left.row and ranks[1] == 1:  # row times column: a number
        return over(lambda a, b: jnp.matmul(a[0], b), left, right)
    if ranks == (1, 2) and right.cell[0] == 1 and (right.row or left.cell[0] != 1):
        return over(lambda a, b: a[:, None] * b, left, right)
    return replace(over(jnp.matmul, left, right), row=left.row and ranks[1] == 2)


def gathered(held: Labelled, indices: list[Labelled], what: str) -> Labelled:
    """Entries at computed places; outside the array they are zero.

    Args:
        held: the array.
        indices: one for each axis of the array, those of its letters first.
        what: the entry, for an error.
    """
    for index in indices:
        if index.cell != () or not jnp.issubdtype(jnp.result_type(index.array), jnp.integer):
            received = f"{jnp.result_type(index.array)} of shape {index.cell}"
            raise LayoutError(f"index of {what}", "a whole number", received, "use one")
    shape = np.shape(held.array)
    pairs = list(zip(indices, shape, strict=True))
    for index, extent in pairs:
        if isinstance(index.array, int) and not -extent <= index.array < extent:
            expected = f"an index below {extent}"
            raise LayoutError(what, expected, str(index.array), "count from 0")
    # A number counts from the end if it is negative, as in NumPy; a letter's sum does not.
    pairs = [
        (replace(x, array=x.array % n) if isinstance(x.array, int) else x, n) for x, n in pairs
    ]
    letters, places = aligned([index for index, _ in pairs])
    inside: Any = True
    for place, extent in zip(places, shape, strict=True):
        inside = inside & (place >= 0) & (place < extent)
    clipped = tuple(jnp.clip(p, 0, max(n - 1, 0)) for p, n in zip(places, shape, strict=True))
    array = jnp.asarray(held.array)
    return Labelled(jnp.where(inside, array[clipped], jnp.zeros((), array.dtype)), letters)
