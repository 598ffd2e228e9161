"""The entries of a Jacobian for a picture: all of them, or the largest of each block.

A large Jacobian is cut along each of its axes, so that what is left has the same axes and is turned
like the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from layouts.explorer import schema
from layouts.explorer.limits import MAX_CELLS, MAX_JACOBIAN, MAX_SIDE
from layouts.explorer.subject import Numbers
from layouts.explorer.writing import numbers
from layouts.jacobian import Jacobian
from layouts.nodes import Leaf
from layouts.sparsity import pattern, pieces

Shape = tuple[int, ...]


def counts_of(J: Jacobian) -> Shape:
    """The number of cells along each axis."""
    if prod(J.shape) <= MAX_CELLS:
        return J.shape
    out, into = pieces(J.terms, J.out_shape, J.in_shape, MAX_SIDE)
    return out + into


def edges_of(size: int, count: int) -> list[int]:
    """The first index of each cell along an axis, and the size.

    Example:
        >>> edges_of(5, 5), edges_of(5, 2), edges_of(0, 0)
        ([0, 1, 2, 3, 4, 5], [0, 3, 5], [0])
    """
    return [0] if not count else [-(-cell * size // count) for cell in range(count + 1)]


def allowed_of(J: Jacobian, counts: Sequence[int]) -> np.ndarray:
    """Which cells may hold anything but zero."""
    tables = [s.table for term in J.terms for s in term.selections if s.table is not None]
    places = {t.index: np.asarray(J.arrays[t.index]) for t in tables if isinstance(t, Leaf)}
    split = len(J.out_shape)
    return pattern(J.terms, places, counts[:split], counts[split:])


def allows(J: Jacobian, index: Sequence[int]) -> bool:
    """Whether the structure lets one entry be other than zero; of a large Jacobian, its cell."""
    counts = counts_of(J)
    sizes = zip(index, J.shape, counts, strict=True)
    return bool(allowed_of(J, counts)[tuple(n * count // size for n, size, count in sizes)])


def cells_of(found: Numbers, counts: Sequence[int], allowed: np.ndarray) -> schema.Cells:
    """The cells as data.

    Args:
        found: the values.
        counts: the number of cells along each axis.
        allowed: which of them the structure lets be other than zero.
    """
    shape = found.jacobian.shape
    values = None if found.dense is None else numbers(reduced(found.dense, counts))
    bits = np.where(allowed.ravel(), b"1", b"0").tobytes().decode()
    return {
        "shape": list(counts),
        "reduced": tuple(counts) != shape,
        "values": values,
        "structure": "" if allowed.all() else bits,
        "note": _note(shape, counts),
    }


def reduced(dense: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The largest of each block in magnitude; NaN goes before infinity, and both before numbers.

    Example:
        >>> reduced(np.array([[1.0, -3.0, 2.0]]), (1, 2))
        array([[-3.,  2.]])
    """
    if dense.shape == tuple(counts):
        return dense
    highest = lowest = dense
    for axis, (size, count) in enumerate(zip(dense.shape, counts, strict=True)):
        starts = edges_of(size, count)[:-1]
        highest = np.maximum.reduceat(highest, starts, axis)  # both spread NaN
        lowest = np.minimum.reduceat(lowest, starts, axis)
    return np.where(-lowest > highest, lowest, highest)


def tally(found: Numbers, allowed: np.ndarray, whole: bool) -> dict[str, int]:
    """How many entries are no finite number, and how many are zero, and why.

    Args:
        found: the values.
        allowed: which cells may be other than zero.
        whole: whether each cell is one entry.
    """
    counts = {"structure": int((~allowed).sum())} if whole else {}
    if found.dense is None:
        return counts
    dense = found.dense
    counts["NaN"] = int(np.isnan(dense).sum())
    counts["Infinity"] = int(np.isposinf(dense).sum())
    counts["-Infinity"] = int(np.isneginf(dense).sum())
    if whole:
        counts["value"] = int(((dense == 0) & allowed).sum())
    return counts


def _note(shape: Shape, counts: Sequence[int]) -> str:
    """What is not shown, with the cap that says so."""
    if tuple(counts) == shape:
        return ""
    times = "×".join(map(str, counts))
    if prod(shape) > MAX_JACOBIAN:
        return (
            f"{prod(shape):,} entries are more than the {MAX_JACOBIAN:,} that are computed: "
            f"{times} cells show where the structure lets an entry be other than zero."
        )
    return (
        f"{prod(shape):,} entries are more than the {MAX_CELLS:,} that are shown one by one: "
        f"each of {times} cells shows the largest of its block in magnitude; NaN goes before "
        "infinity, and both before numbers."
    )
