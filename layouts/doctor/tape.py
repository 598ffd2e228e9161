"""The pull-back as a tape whose every step can be edited.

A function is run once, step by step; each step's own pull-back is kept. Accumulating the
cotangents from the end gives the true gradient. An edit changes what one step passes on, and what
it gives then is what a person would get who made that mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.doctor import plain
from layouts.doctor.listing import Listing, Step

# What an edit passes on in place of a step's contribution to an operand: given the cotangents of
# the step's results, the true contribution, and the tape. None stands for nothing.
Contribution = Callable[[list[Any], Any, "Tape"], Any]


@dataclass(frozen=True)
class Edit:
    """What is changed in a pull-back.

    Attributes:
        contributions: by step and operand, what is passed on there.
        cotangents: by variable, what becomes of its cotangent when it is complete.
        skips: by variable, the earlier one that takes its cotangent as it is.
    """

    contributions: Mapping[tuple[int, int], Contribution] = field(default_factory=dict)
    cotangents: Mapping[int, Callable[[Any, Tape], Any]] = field(default_factory=dict)
    skips: Mapping[int, int] = field(default_factory=dict)


class Tape:
    """A function run at given arrays, its pull-backs kept.

    Args:
        found: the function's steps.
        leaves: the arrays.
        cotangent: the output's cotangent.
    """

    def __init__(self, found: Listing, leaves: Sequence[Any], cotangent: Any):
        """Run the function, step by step."""
        self.listing, self.cotangent = found, cotangent
        self.values: dict[int, Any] = dict(zip(found.inputs, map(jnp.asarray, leaves), strict=True))
        self.active = {n for n in found.inputs if _inexact(self.values[n])}
        self.pulls: list[Callable | None] = []
        self._descendants: dict[int, set[int | None]] = {}
        for step in found.steps:
            self._run(step)

    def operand(self, step: Step, place: int) -> Any:
        """The value of an operand."""
        variable = step.operands[place]
        return step.constants[place] if variable is None else self.values[variable]

    def operands(self, step: Step) -> list[Any]:
        """The values of all operands."""
        return [self.operand(step, place) for place in range(len(step.operands))]

    def places(self, step: Step) -> list[int]:
        """The operands that a derivative passes through."""
        return [n for n, variable in enumerate(step.operands) if variable in self.active]

    def pull(self, step: Step, operands: Sequence[Any], place: int, cotangents: list[Any]) -> Any:
        """A step's pull-back to one operand, at other operands than its own."""
        if plain.knows(step):
            arrays = [np.asarray(array) for array in operands]
            value = np.asarray(plain.run(step, arrays))
            return plain.pull(step, arrays, value, place, np.asarray(cotangents[0]))

        def of_one(array: Any) -> Any:
            return self._outputs(step, [*operands[:place], array, *operands[place + 1 :]])

        return jax.vjp(of_one, operands[place])[1](cotangents)[0]

    def push(self, step: Step, place: int, tangent: Any) -> Any:
        """A step's push-forward from one operand."""
        operands = self.operands(step)

        def of_one(array: Any) -> Any:
            return self._outputs(step, [*operands[:place], array, *operands[place + 1 :]])[0]

        return jax.jvp(of_one, (operands[place],), (tangent,))[1]

    def gradients(self, edit: Edit | None = None) -> dict[int, Any]:
        """The cotangents of the inputs, with an edit made; those that nothing reaches are zero."""
        edit = edit or Edit()
        first = self._first(edit)
        found = dict(self.before[first])
        for number in reversed(range(first + 1)):
            self.step_back(number, found, edit)
        for variable in self.listing.inputs:
            if variable in found and variable in edit.cotangents:
                found[variable] = edit.cotangents[variable](found[variable], self)
        return {
            n: found[n] if n in found else jnp.zeros_like(self.values[n])
            for n in self.listing.inputs
            if n in self.active
        }

    @cached_property
    def before(self) -> list[dict[int, Any]]:
        """The cotangents that wait when each step is about to pass on its own, nothing edited."""
        found: dict[int, Any] = {}
        if self.listing.output is not None:
            found[self.listing.output] = self.cotangent
        states: list[dict[int, Any]] = []
        for number in reversed(range(len(self.listing.steps))):
            states.append(dict(found))
            self.step_back(number, found, Edit())
        return states[::-1] or [found]

    def _first(self, edit: Edit) -> int:
        """The last step that an edit touches: those after it pass on what they always do."""
        touched = {number for number, _ in edit.contributions}
        made = {n: number for number, step in enumerate(self.listing.steps) for n in step.results}
        touched |= {made.get(n, 0) for n in (*edit.cotangents, *edit.skips)}
        return max(touched, default=0)

    def depends(self, edit: Edit, variable: int) -> bool:
        """Whether an edit can change the gradient by an input: whether it lies on its paths."""
        after = self.descendants(variable)
        places = {self.listing.steps[n].operands[place] for n, place in edit.contributions}
        return bool(after & {*places, *edit.cotangents, *edit.skips.values()})

    def descendants(self, variable: int) -> set[int | None]:
        """A variable and all that is made of it."""
        if variable not in self._descendants:
            found: set[int | None] = {variable}
            for step in self.listing.steps:
                if found & {*step.operands}:
                    found |= {*step.results}
            self._descendants[variable] = found
        return self._descendants[variable]

    def _run(self, step: Step) -> None:
        operands = self.operands(step)
        places = self.places(step)
        if not places:
            outputs, pull = self._outputs(step, operands), None
        elif plain.knows(step):
            outputs, pull = self._plainly(step, operands, places)
        else:

            def of_active(*arrays: Any) -> Any:
                given = list(operands)
                for place, array in zip(places, arrays, strict=True):
                    given[place] = array
                return self._outputs(step, given)

            outputs, pull = jax.vjp(of_active, *(operands[place] for place in places))
        for variable, output in zip(step.results, outputs, strict=True):
            self.values[variable] = output
            if pull is not None and _inexact(output):
                self.active.add(variable)
        self.pulls.append(pull)

    @staticmethod
    def _plainly(step: Step, operands: list[Any], places: list[int]) -> tuple[list[Any], Callable]:
        """A step's results and its pull-back in NumPy, which need not be traced."""
        arrays = [np.asarray(array) for array in operands]
        value = np.asarray(plain.run(step, arrays))

        def pull(cotangents: list[Any]) -> list[Any]:
            g = np.asarray(cotangents[0])
            return [plain.pull(step, arrays, value, place, g) for place in places]

        return [jnp.asarray(value)], pull

    @staticmethod
    def _outputs(step: Step, operands: Sequence[Any]) -> list[Any]:
        return list(step.run(operands))

    def step_back(self, number: int, found: dict[int, Any], edit: Edit) -> None:
        """Pass the cotangents of one step's results on to its operands."""
        step, pull = self.listing.steps[number], self.pulls[number]
        given = [found.pop(n, None) for n in step.results]
        for place, variable in enumerate(step.results):
            if given[place] is not None and variable in edit.cotangents:
                given[place] = edit.cotangents[variable](given[place], self)
        if all(cotangent is None for cotangent in given):
            return
        target = edit.skips.get(step.results[0])
        if target is not None:
            _add(found, target, given[0])
            return
        if pull is None:
            return
        whole = [
            zero(self.values[n]) if cotangent is None else cotangent
            for n, cotangent in zip(step.results, given, strict=True)
        ]
        contributions = pull(whole)
        for place, contribution in zip(self.places(step), contributions, strict=True):
            change = edit.contributions.get((number, place))
            if change is not None:
                contribution = change(whole, contribution, self)
            if contribution is not None:
                _add(found, step.operands[place], contribution)


def _add(found: dict[int, Any], variable: int | None, contribution: Any) -> None:
    assert variable is not None
    found[variable] = found[variable] + contribution if variable in found else contribution


def zero(value: Any) -> Any:
    """The cotangent of an array on which nothing depends."""
    if _inexact(value):
        return jnp.zeros_like(value)
    return np.zeros(jnp.shape(value), jax.dtypes.float0)


def _inexact(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)
