"""One term of a dense array, as it is written: its pattern, its array, and what ties its digits."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from layouts.nodes import Indices, Pattern


@dataclass(frozen=True, eq=False)
class Part:
    """One term: its pattern, its array (None for ones) and the tables of its selections."""

    pattern: Pattern
    value: jax.Array | None
    tables: tuple[jax.Array | None, ...]
    split: frozenset[int] = frozenset()  # digits that are split over a mesh
    dtype: Any = None  # of numbers alone

    @cached_property
    def array(self) -> jax.Array:
        """Its array times its coefficient."""
        if self.value is None:
            return number_where(jnp.ones((), bool), self.pattern.coefficient, self.dtype)
        return times(self.value, self.pattern.coefficient)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The extent of each digit."""
        return tuple(self.pattern.extents[index] for index in self.pattern.digits)

    @cached_property
    def first(self) -> dict[int, int]:
        """The first digit that each index stands at."""
        digits = self.pattern.digits
        return {index: digits.index(index) for index in digits}

    @cached_property
    def along(self) -> tuple[int, ...]:
        """The digit that each axis of its array runs along: of several a split one, else the first.

        The others are tied to it by masks. So a device needs its part of the array alone.
        """
        own = {n: place for place, n in enumerate(self.pattern.digits) if place in self.split}
        return tuple(own.get(index, self.first[index]) for index in self.pattern.value or ())

    @cached_property
    def deltas(self) -> list[tuple[int, int]]:
        """Pairs of digits that are equal: the first of an index, and another."""
        pairs = enumerate(self.pattern.digits)
        return [(self.first[n], place) for place, n in pairs if self.first[n] != place]

    @cached_property
    def standing(self) -> dict[int, int]:
        """The digits along which it stands at one place alone, and that place."""
        pattern = self.pattern
        told = [n for mask in pattern.masks for n in (mask.place, *mask.labels)]
        used = [*told, *pattern.digits, *(pattern.value or ())]
        return {
            self.first[mask.place]: mask.start
            for mask in pattern.masks
            if mask.window == (0, 1)
            and not mask.table
            and self.first.keys().isdisjoint(mask.labels)
            if mask.place in self.first and used.count(mask.place) == 2  # as place and as digit
            if 0 <= mask.start < pattern.extents[mask.place]
        }

    def without(self, digit: int) -> "Part":
        """It at the one place along a digit where it stands."""
        pattern = self.pattern
        masks = tuple(m for m in pattern.masks if m.place != pattern.digits[digit])
        digits = (*pattern.digits[:digit], *pattern.digits[digit + 1 :])
        tables = tuple(t for m, t in zip(pattern.masks, self.tables, strict=True) if m in masks)
        return replace(self, pattern=replace(pattern, digits=digits, masks=masks), tables=tables)

    @cached_property
    def shift(self) -> tuple[tuple[int, int, int], int] | None:
        """Where one delta or shift is all that ties it: the digits and the step, and the start."""
        if len(self.deltas) + len(self.pattern.masks) != 1:
            return None
        if self.deltas:
            return (*self.deltas[0], 1), 0
        (mask,) = self.pattern.masks
        ends = [self.first[n] for n in (*mask.labels, mask.place) if n in self.first]
        return None if mask.table or len(ends) < 2 else ((ends[0], ends[1], mask.step), mask.start)


def expand(array: jax.Array, indices: Indices, output: Indices) -> jax.Array:
    """Put an array's axes in the order of the output, with size one where it lacks one."""
    order = sorted(range(len(indices)), key=lambda axis: output.index(indices[axis]))
    present = set(indices)
    missing = [axis for axis, index in enumerate(output) if index not in present]
    return lax.expand_dims(lax.transpose(array, order), missing)


def times(array: jax.Array, coefficient: complex) -> jax.Array:
    """Multiply by a number, in the array's own dtype where the number fits."""
    if coefficient == 1:
        return array
    return -array if coefficient == -1 else array * coefficient


def number_where(mask: jax.Array, number: complex, dtype: Any = None) -> jax.Array:
    """A number where the mask holds, else zero; without a dtype it is weak, and takes any other."""
    number = number if isinstance(number, complex) else float(number)
    if dtype is None:
        return jnp.where(mask, number, 0.0)
    typed = jnp.asarray(number, jnp.result_type(dtype, number))
    return jnp.where(mask, typed, jnp.zeros_like(typed))
