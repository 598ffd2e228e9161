"""Names for the axes of every intermediate of a function: what is added entry by entry shares them.

An axis keeps its name through functions entry by entry, sums over other axes, repetitions and
products of matrices. Where it cannot, as in `X @ X.T`, whose two axes would have one name, or in a
convolution, the result's axes get new ones, and the step is taken whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from layouts.doctor.listing import Step
from layouts.doctor.named import Named
from layouts.doctor.slopes import SLOPES, VALUES
from layouts.doctor.tape import Tape

REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min")
MOVES = ("broadcast_in_dim", "reshape", "squeeze", "transpose", "expand_dims")

Axes = tuple[int | None, ...]


class Labels:
    """The names of the axes of every variable, None for an axis of one entry.

    Args:
        tape: a run of the function, which tells shapes.
    """

    def __init__(self, tape: Tape):
        """Follow the steps in order."""
        self.tape = tape
        self.sizes: dict[int, int] = {}
        self._same: dict[int, int] = {}
        self._axes: dict[int, Axes] = {}
        self.whole: set[int] = set()
        for variable in tape.listing.inputs:
            self._axes[variable] = self._new(np.shape(tape.values[variable]))
        for number, step in enumerate(tape.listing.steps):
            found = self._of_step(step)
            if found is None:
                self.whole.add(number)
                for result in step.results:
                    self._axes[result] = self._new(np.shape(tape.values[result]))
            else:
                self._axes[step.results[0]] = found
        self.axes = {v: tuple(map(self._name, axes)) for v, axes in self._axes.items()}

    def named(self, variable: int, array: Any) -> Named:
        """An array of a variable's shape with its names."""
        axes = tuple(axis for axis in self.axes[variable] if axis is not None)
        array = np.asarray(array)
        shape = [
            n for n, axis in zip(array.shape, self.axes[variable], strict=True) if axis is not None
        ]
        return Named(array.reshape(shape), axes, frozenset(axes))

    def plain(self, variable: int, named: Named) -> np.ndarray | None:
        """An array of a variable's shape again; None where it has other axes than that."""
        axes = self.axes[variable]
        if not {*named.axes} <= {*axes}:
            return None
        kept = [axis for axis in axes if axis is not None]
        shape = [1 if axis is None else self.sizes[axis] for axis in axes]
        spread = np.broadcast_to(named.laid(kept), [self.sizes[axis] for axis in kept])
        return spread.reshape(shape)

    def names(self, variable: int) -> frozenset[int]:
        """The names of a variable's axes."""
        return frozenset(axis for axis in self.axes[variable] if axis is not None)

    def is_name(self, name: int) -> bool:
        """Whether a name stands for itself, and not for another that it was joined with."""
        return self._same[name] == name

    def _new(self, shape: tuple[int, ...]) -> Axes:
        return tuple(None if size == 1 else self._one(size) for size in shape)

    def _one(self, size: int) -> int:
        name = len(self._same)
        self._same[name], self.sizes[name] = name, size
        return name

    def _name(self, name: int | None) -> int | None:
        while name is not None and self._same[name] != name:
            name = self._same[name]
        return name

    def _joined(self, one: int, other: int) -> bool:
        """Make two names one, unless some array has both."""
        first, second = self._name(one), self._name(other)
        if first == second:
            return True
        for axes in self._axes.values():
            if {first, second} <= {*map(self._name, axes)}:
                return False
        self._same[second] = first  # type: ignore[index, assignment]
        return True

    def _of_step(self, step: Step) -> Axes | None:
        """The names of a result's axes; None where a step has to be taken whole."""
        if len(step.results) != 1:
            return None
        result = np.shape(self.tape.values[step.results[0]])
        known = [None if v is None else self._axes[v] for v in step.operands]
        if step.name in VALUES or step.name in SLOPES:
            return self._entrywise(known, result)
        if step.name == "dot_general":
            return self._product(step, known, result)
        (own,) = known if len(known) == 1 else (None,)
        if own is None:
            return None
        if step.name in REDUCTIONS:
            return tuple(a for n, a in enumerate(own) if n not in step.params["axes"])
        if step.name == "transpose":
            return tuple(own[n] for n in step.params["permutation"])
        if step.name == "broadcast_in_dim":
            fresh: list[int | None] = list(self._new(result))
            for place, target in enumerate(step.params["broadcast_dimensions"]):
                fresh[target] = own[place] if own[place] is not None else fresh[target]
            return tuple(fresh)
        if step.name in MOVES:
            bare = [axis for axis in own if axis is not None]
            sizes = [self.sizes[axis] for axis in bare]
            if sizes == [size for size in result if size != 1]:
                names = iter(bare)
                return tuple(None if size == 1 else next(names) for size in result)
        return None

    def _entrywise(self, known: list[Axes | None], result: tuple[int, ...]) -> Axes | None:
        found: list[int | None] = [None] * len(result)
        for axes in known:
            if axes is None or not axes:
                continue
            for place, axis in enumerate(axes):
                first = found[place]
                if axis is None:
                    continue
                if first is None:
                    found[place] = axis
                elif not self._joined(first, axis):
                    return None
        if len({*map(self._name, (a for a in found if a is not None))}) < sum(
            a is not None for a in found
        ):
            return None
        fresh = self._new(result)
        return tuple(new if own is None else own for own, new in zip(found, fresh, strict=True))

    def _product(
        self, step: Step, known: list[Axes | None], result: tuple[int, ...]
    ) -> Axes | None:
        left, right = known
        if left is None or right is None:
            return None
        (contracted, batch) = step.params["dimension_numbers"]
        for mine, theirs in zip(
            (*contracted[0], *batch[0]), (*contracted[1], *batch[1]), strict=True
        ):
            one, other = left[mine], right[theirs]
            if one is not None and other is not None and not self._joined(one, other):
                return None
        rest = [a for n, a in enumerate(left) if n not in (*contracted[0], *batch[0])]
        more = [a for n, a in enumerate(right) if n not in (*contracted[1], *batch[1])]
        found = [*(left[n] for n in batch[0]), *rest, *more]
        met = {self._name(left[n]) for n in contracted[0] if left[n] is not None}
        named = [self._name(a) for a in found if a is not None]
        if len({*named}) < len(named) or met & {*named}:
            return None
        return tuple(found)
