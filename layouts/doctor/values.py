"""Values of gradients in index notation: one einsum a summand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from opt_einsum import contract_expression, get_symbol

from layouts.formulas.summands import Summand
from layouts.formulas.tree import Delta, Entry, Formula, Letter, Number


class Values:
    """Values of summands at given arrays.

    Args:
        of_array: the value of an array formula.
    """

    def __init__(self, of_array: Callable[[Formula], Any]):
        """Start with nothing known."""
        self.of_array = of_array
        self.known: dict[Formula, np.ndarray] = {}
        self.orders: dict[tuple, Callable] = {}

    def array(self, formula: Formula) -> np.ndarray:
        """An array formula's value."""
        if formula not in self.known:
            self.known[formula] = np.asarray(self.of_array(formula), float)
        return self.known[formula]

    def total(self, summands: Sequence[Summand], axes: Sequence[Letter | None]) -> np.ndarray:
        """The sum over axes in the order of their letters.

        Raises:
            ValueError: an index that is no plain letter.
        """
        shape = tuple(1 if letter is None else letter.size for letter in axes)
        result = np.zeros(shape)
        for summand in summands:
            result = result + self._one(summand, axes)
        return result

    def _one(self, summand: Summand, axes: Sequence[Letter | None]) -> np.ndarray:
        number: dict[Letter, int] = {}
        operands: list[Any] = []
        for factor in (*summand.factors, *summand.deltas):
            array, indices = self._operand(factor)
            operands += [array, [number.setdefault(n, len(number)) for n in indices]]
        free = [letter for letter in axes if letter is not None]
        kept = [letter for letter in free if letter in number]
        # A letter that is summed and that nothing depends on is no sum that a person writes.
        operands.append([number[letter] for letter in kept])
        value: Any = summand.coefficient * (1 if len(operands) == 1 else self._einsum(operands))
        shape = [letter.size if letter in number else 1 for letter in free]
        value = np.broadcast_to(np.reshape(value, shape), [letter.size for letter in free])
        return value.reshape([1 if letter is None else letter.size for letter in axes])

    def _einsum(self, operands: list[Any]) -> Any:
        """An einsum whose order of products is looked up: most changes leave it as it is."""
        arrays, letters = operands[:-1:2], [*operands[1::2], operands[-1]]
        if len(arrays) < 3:
            return np.einsum(*operands)
        key = (tuple(map(np.shape, arrays)), tuple(map(tuple, letters)))
        if key not in self.orders:
            *each, out = ("".join(map(get_symbol, one)) for one in letters)
            equation = f"{','.join(each)}->{out}"
            self.orders[key] = contract_expression(equation, *key[0], optimize="greedy")
        return self.orders[key](*arrays)

    def _operand(self, factor: Formula) -> tuple[np.ndarray, list[Letter]]:
        if isinstance(factor, Delta):
            left, right = factor.left, factor.right
            if isinstance(left, Letter) and isinstance(right, Letter):
                return np.eye(left.size, right.size), [left, right]
            return self._selection(left, right)
        if not isinstance(factor, Entry):
            return self.array(factor), []
        array = self.array(factor.array)
        letters: list[Letter] = []
        place: list[Any] = []
        for index in factor.indices:
            if isinstance(index, Letter):
                letters.append(index)
                place.append(slice(None))
            elif isinstance(index, Number):
                place.append(int(index.value.real))
            else:
                raise ValueError("an index that is no letter")
        return array[tuple(place)] if place else array, letters

    def _selection(self, left: Formula, right: Formula) -> tuple[np.ndarray, list[Letter]]:
        """A table's delta as its one-hot array."""
        if not isinstance(right, Letter) or not isinstance(left, Entry):
            raise ValueError("a delta that is no table")
        letters = [n for n in left.indices if isinstance(n, Letter)]
        table = self.array(left.array).astype(int)
        return (table[..., None] == np.arange(right.size)).astype(float), [*letters, right]
