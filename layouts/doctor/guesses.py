"""Guesses: what mistakes give at each input, be they made on the tape or on the page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from layouts.derivation.vertices import Program
from layouts.derivation.writing import Writing
from layouts.doctor.changes import MOST_ARRAYS, Change
from layouts.doctor.hypotheses import Hypothesis, both
from layouts.doctor.indices import Written
from layouts.doctor.tape import Tape
from layouts.doctor.values import Values
from layouts.errors import LayoutError
from layouts.formulas.evaluating import evaluate
from layouts.formulas.matrices import matrix_form
from layouts.formulas.summands import Summand, written
from layouts.formulas.tree import (
    Call,
    Derivative,
    Entry,
    Equation,
    Formula,
    Letter,
    Name,
    Power,
    Quotient,
    Sum,
)
from layouts.show.text import text

Part = tuple[str, str, str]


@dataclass(frozen=True)
class Guess(ABC):
    """One mistake, or several at once.

    Attributes:
        parts: kind, message and correction of each mistake.
        rank: how far-fetched they are together.
    """

    parts: list[Part]
    rank: int

    @property
    def kind(self) -> str:
        """Which mistake; several are joined by a plus."""
        return "+".join(kind for kind, _, _ in self.parts)

    @abstractmethod
    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where it cannot be made."""

    def formula(self) -> str:
        """What is computed, as a formula; empty where it is told in words alone."""
        return ""


@dataclass(frozen=True)
class OnTape(Guess):
    """An edit of the pull-back, step by step.

    Attributes:
        hypothesis: the edit.
        tapes: a run of the function at each input.
        variable: the input whose gradient is asked for.
    """

    hypothesis: Hypothesis
    tapes: Sequence[Tape]
    variable: int

    @classmethod
    def of(cls, hypothesis: Hypothesis, tapes: Sequence[Tape], variable: int) -> OnTape:
        """One edit."""
        return cls([hypothesis.part], hypothesis.rank, hypothesis, tapes, variable)

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where it cannot be made."""
        try:
            with np.errstate(all="ignore"):
                found = self.hypothesis.gradients(self.tapes[number])[self.variable]
        except (AssertionError, TypeError, ValueError):  # JAX's, where an edit makes no sense
            return None
        array = np.asarray(found, float)
        return array if np.isfinite(array).all() else None

    def with_(self, other: OnTape) -> OnTape | None:
        """Both edits at once."""
        edit = both(self.hypothesis.edit, other.hypothesis.edit)
        if edit is None:
            return None
        parts, rank = [*self.parts, *other.parts], self.rank + other.rank
        return OnTape(parts, rank, Hypothesis("", "", "", edit, rank), self.tapes, self.variable)


@dataclass(frozen=True)
class Page:
    """The gradient by one variable as it is written, and its values at each input.

    Attributes:
        written: the gradient.
        values: at each input.
    """

    written: Written
    values: Sequence[Values]

    def guesses(self) -> list[Guess]:
        """All changes of one place."""
        return [OnPage([c.part], c.rank, self, c) for c in self.written.changes()]

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        """The arrays that it is written with, at an input, by their formulas."""
        found = {}
        for formula in self.written.arrays:
            try:
                found[text(formula)] = self.values[number].array(formula)
            except (LayoutError, TypeError, ValueError):
                continue
        return found

    def value(
        self,
        summands: Sequence[Summand],
        number: int,
        axes: Sequence[Letter | None] | None = None,
    ) -> np.ndarray | None:
        """What terms add up to at an input; None where they cannot be computed."""
        try:
            with np.errstate(all="ignore"):
                found = self.values[number].total(summands, axes or self.written.axes)
        except (LayoutError, TypeError, ValueError, IndexError):
            return None
        return found if np.isfinite(found).all() else None

    def text(
        self,
        summands: Sequence[Summand] | None = None,
        axes: Sequence[Letter | None] | None = None,
    ) -> str:
        """The gradient as a formula, with matrices where there is such a form."""
        summands = self.written.summands if summands is None else summands
        head, axes = self.written.head, axes or self.written.axes
        try:
            form = matrix_form(summands, axes)
        except (KeyError, ValueError, TypeError, IndexError):
            form = None
        if form is not None:
            return text(Equation((head, form)))
        indices = tuple(letter for letter in axes if letter is not None)
        return text(Equation((Entry(head, indices), written(summands))))


@dataclass(frozen=True)
class OnPage(Guess):
    """A change of the gradient as it is written.

    Attributes:
        page: the gradient.
        change: the last change of it.
    """

    page: Page
    change: Change

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where it cannot be made."""
        return self.page.value(self.change.summands, number, self.change.axes)

    def formula(self) -> str:
        """What is computed, as a formula."""
        return self.page.text(self.change.summands, self.change.axes)

    def again(self) -> Iterator[OnPage]:
        """The change and one more."""
        axes = self.change.axes or self.page.written.axes
        further = replace(self.page.written, summands=self.change.summands, axes=axes)
        for change in further.changes():
            parts, rank = [*self.parts, change.part], change.rank + 5 * len(self.parts)
            yield OnPage(parts, rank, self.page, replace(change, axes=change.axes or axes))


class Point:
    """A function at one input: the values of all that its gradients are written with.

    Args:
        program: the function, as `layouts.derive` sees it.
        leaves: its inputs.
        cotangent: the output's.
    """

    def __init__(self, program: Program, leaves: Sequence[Any], cotangent: Any):
        """Nothing is computed before it is asked for."""
        self.program, self.leaves, self.cotangent = program, leaves, cotangent

    @cached_property
    def whole(self) -> Values:
        """For gradients that are written down to the output."""
        return self._values({self.program.output.name: self.cotangent})

    @cached_property
    def local(self) -> Values:
        """For gradients that are written with other gradients."""
        return self._values(self.program.gradients(self._known, jnp.asarray(self.cotangent)))

    @cached_property
    def _known(self) -> dict[str, Any]:
        names = [vertex.name for vertex in self.program.vertices[: len(self.leaves)]]
        return self.program.values(dict(zip(names, self.leaves, strict=True)))

    def _values(self, gradients: Mapping[str, Any]) -> Values:
        by = f"d{self.program.loss}/d"
        known = self._known | {f"{by}{name}": g for name, g in gradients.items()}
        return Values(lambda formula: evaluate(formula, known))


def page_of(program: Program, leaf: int, points: Sequence[Point]) -> Page | None:
    """Write the gradient by an input down.

    Args:
        program: the function, as `layouts.derive` sees it.
        leaf: which of its inputs.
        points: the function at each trial's inputs.

    Returns:
        The page; None where the gradient has no formula.
    """
    source = program.vertices[leaf]
    writing = Writing(program, source)
    summands = writing.gradient()
    whole = summands is not None
    if summands is None:
        summands = writing.last_step()
    head, axes = writing.head
    out = program.output
    if not out.shape:  # the cotangent of a scalar is a number that people forget
        cotangent = Entry(Derivative(Name(writing.loss), Name(out.name)), ())
        summands = tuple(Summand(factors=(cotangent,)).times(s) for s in summands)
    if not summands:
        return None
    arrays = _arrays(summands, program, writing)
    values = [point.whole if whole else point.local for point in points]
    definitions = {Name(v.name): v.formula for v in program.vertices if v.formula is not None}
    output = Name(out.name)
    return Page(Written(summands, head, axes, arrays, definitions, output), values)


def _arrays(
    summands: Sequence[Summand], program: Program, writing: Writing
) -> dict[Formula, tuple[int, ...]]:
    """Arrays that may be mistaken for one another: the factors', what is in them, the program's."""
    found: dict[Formula, tuple[int, ...]] = {}
    for summand in summands:
        for factor in summand.factors:
            if isinstance(factor, Entry):
                found[factor.array] = _shape(factor.array, writing)
    for vertex in program.vertices:
        found.setdefault(Name(vertex.name), vertex.shape)
        formula = vertex.formula
        if isinstance(formula, Call) and not vertex.opaque and len(formula.operands) == 1:
            found.setdefault(replace(formula, primes=1), vertex.shape)
    for array in list(found):
        for part in array.walk():
            if isinstance(part, Call | Quotient | Power | Sum) and not _has_letters(part):
                found.setdefault(part, _shape(part, writing))
    return dict(list(found.items())[:MOST_ARRAYS])


def _shape(formula: Formula, writing: Writing) -> tuple[int, ...]:
    try:
        return tuple(writing.shape_of(formula))
    except LayoutError:
        return (-1,)


def _has_letters(formula: Formula) -> bool:
    return any(isinstance(part, Letter) for part in formula.walk())
