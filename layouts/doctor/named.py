"""Arrays whose axes have names, so that what is summed over the wrong axis still fits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layouts.doctor import plain


@dataclass(frozen=True)
class Named:
    """An array, and for each of its axes a name; axes of one entry are left out.

    Attributes:
        array: the entries.
        axes: the name of each axis, no two the same.
        span: the names that it runs over; along those that are no axis it repeats itself.
    """

    array: np.ndarray
    axes: tuple[int, ...]
    span: frozenset[int]

    def laid(self, axes: Sequence[int]) -> np.ndarray:
        """The array with its axes in another order, of one entry where it has no such axis."""
        order = [self.axes.index(axis) for axis in axes if axis in self.axes]
        array = self.array.transpose(order)
        sizes = iter(array.shape)
        return array.reshape([next(sizes) if axis in self.axes else 1 for axis in axes])

    def over(self, names: Collection[int]) -> Named:
        """The same array, of another span."""
        return Named(self.array, self.axes, frozenset(names))

    def renamed(self, names: Mapping[int, int]) -> Named:
        """The same array with other names for its axes."""
        axes = tuple(names.get(axis, axis) for axis in self.axes)
        return Named(self.array, axes, frozenset(names.get(n, n) for n in self.span))


def together(fun: Callable[..., np.ndarray], *operands: Named) -> Named:
    """A function entry by entry, of arrays that are matched by the names of their axes.

    Example:
        >>> row = Named(np.ones(3), (1,), frozenset([1]))
        >>> column = Named(np.ones(2), (0,), frozenset([0]))
        >>> together(np.add, row, column).array.shape
        (3, 2)
    """
    axes = tuple(dict.fromkeys(axis for operand in operands for axis in operand.axes))
    span = frozenset().union(*(operand.span for operand in operands))
    with np.errstate(all="ignore"):
        array = fun(*(operand.laid(axes) for operand in operands))
    return Named(np.asarray(array), axes, span)


def summed(operand: Named, names: Collection[int], sizes: Mapping[int, int]) -> Named:
    """The sum over some names; where the array repeats itself, that many times the array."""
    places = tuple(n for n, axis in enumerate(operand.axes) if axis in names)
    times = int(np.prod([sizes[name] for name in names if name not in operand.axes], initial=1))
    array = operand.array.sum(places) if places else operand.array
    axes = tuple(axis for axis in operand.axes if axis not in names)
    return Named(array * times if times != 1 else array, axes, operand.span - {*names})


def greatest(operand: Named, names: Collection[int], least: bool = False) -> Named:
    """The greatest, or least, entry over some names."""
    places = tuple(n for n, axis in enumerate(operand.axes) if axis in names)
    array = (operand.array.min(places) if least else operand.array.max(places)) if places else None
    axes = tuple(axis for axis in operand.axes if axis not in names)
    return Named(operand.array if array is None else array, axes, operand.span - {*names})


def product(
    one: Named,
    other: Named,
    met: Collection[int],
    sizes: Mapping[int, int],
) -> Named:
    """The product of two arrays, summed over the names in `met`."""
    axes = tuple(dict.fromkeys((*one.axes, *other.axes)))
    letters = {axis: n for n, axis in enumerate(axes)}
    kept = tuple(axis for axis in axes if axis not in met)
    array = plain.product(
        one.array,
        [letters[axis] for axis in one.axes],
        other.array,
        [letters[axis] for axis in other.axes],
        [letters[axis] for axis in kept],
    )
    times = int(np.prod([sizes[name] for name in met if name not in axes], initial=1))
    return Named(array * times, kept, (one.span | other.span) - {*met})
