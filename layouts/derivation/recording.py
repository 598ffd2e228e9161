"""The steps of a derivation, put down one after another and held against true values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax

from layouts.derivation.chain import Chain
from layouts.derivation.folding import folded
from layouts.derivation.partials import Axes
from layouts.derivation.steps import Derivation, Step
from layouts.derivation.truth import Check, Truth
from layouts.derivation.vertices import Program, Vertex
from layouts.formulas.abbreviating import abbreviated
from layouts.formulas.in_numpy import in_numpy
from layouts.formulas.indexing import moved_in
from layouts.formulas.primes import definitions_of
from layouts.formulas.summands import Summand, written
from layouts.formulas.tree import Equation, Formula
from layouts.nodes import Shape
from layouts.show.text import text


class Record(Chain):
    """A chain with the steps that were said of it.

    Args:
        program: the function.
        source: the input that it is differentiated by.
    """

    def __init__(self, program: Program, source: Vertex):
        """Start without steps."""
        super().__init__(program, source)
        self.checks: list[Check] = []
        self.steps: list[Step] = []
        self.notes: list[str] = []

    def _say_gradient(
        self, kind: str, head: Formula, summands: Sequence[Summand], reason: str
    ) -> None:
        equation = Equation((head, written(summands)))
        true = partial(Truth.gradient, name=self.source.name)
        axes = self._axes(self.source)
        self._say(kind, equation, reason, self.source.shape, true, axes)

    def _say(
        self,
        kind: str,
        formula: Equation,
        reason: str,
        shape: Shape,
        true: Callable[[Truth], Any] | None = None,
        letters: Axes = (),
    ) -> None:
        if len({*map(text, formula.sides)}) == 1:  # what has no formula stands for itself
            return
        *before, last = formula.sides
        formula = Equation((*before, moved_in(last, self.shape_of, self._spare().one)))
        self.checks.append((formula.sides[-1], true, tuple(letters)))
        self.steps.append(Step(kind, formula, reason, shape))

    def hold(self, apart: Sequence[float | None]) -> None:
        """Take in how far each step is from its true value; None where that is not known."""
        self.steps = [replace(step, check=d) for step, d in zip(self.steps, apart, strict=True)]

    def derivation(self) -> Derivation:
        """What was said, with letters for what would be written often."""
        later = [step.formula for step in self.steps if step.kind != "forward"]
        formulas, letters = abbreviated(later, self.shape_of, _length, self.letters.taken)
        given, known = iter(formulas), {d.sides[1]: d.sides[0] for d in letters}
        steps = [
            replace(s, formula=s.formula.replaced(known) if s.kind == "forward" else next(given))
            for s in self.steps
        ]
        formulas = [step.formula for step in steps]
        shown, notes = folded(steps)
        letters = self._know(letters)
        plain = [*(step.formula for step in shown), *letters]
        pairs = ((formula, in_numpy(formula, self.shape_of)) for formula in plain)
        return Derivation(
            {v.name: v.shape for v in self.program.vertices if v.formula is None},
            self.source.name,
            self.out.name,
            self.out.shape,
            tuple(shown),
            (*letters, *definitions_of([*formulas, *letters])),
            tuple(dict.fromkeys([*self.notes, *notes])),
            {one: other for one, other in pairs if one != other},
        )

    def _know(self, letters: Sequence[Equation]) -> list[Equation]:
        """Take in the shapes of arrays that were given letters; each after those it is made of."""
        waiting, known = list(letters), []
        while waiting:
            names = {definition.sides[0] for definition in waiting}
            ready = next(d for d in waiting if names.isdisjoint(d.sides[1].walk()))
            shape = self.shape_of(ready.sides[1])
            self.known[text(ready.sides[0])] = jax.ShapeDtypeStruct(shape, self.out.dtype)
            waiting.remove(ready)
            known.append(ready)
        return known


def _length(formula: Formula) -> int:
    return len(text(formula))
