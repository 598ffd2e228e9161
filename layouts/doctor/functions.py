"""Edits of the function itself, then differentiated: its sums and means over another axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.derivation.vertices import Vertex
from layouts.doctor.case import is_float
from layouts.doctor.guesses import Guess, Point
from layouts.errors import LayoutError
from layouts.formulas.evaluating import evaluate
from layouts.formulas.tree import Call, Formula, View
from layouts.show.text import text


class Changed:
    """A function with one vertex computed otherwise, differentiated by all inputs at once.

    Args:
        vertex: what is computed otherwise.
        instead: how.
        points: the function at each trial's inputs.
    """

    def __init__(self, vertex: Vertex, instead: Formula, points: Sequence[Point]):
        """Nothing is computed before it is asked for."""
        self.vertex, self.instead, self.points = vertex, instead, points
        self._known: dict[int, dict[int, np.ndarray]] = {}

    def gradients(self, number: int) -> dict[int, np.ndarray]:
        """The gradient by each input of a trial; none where its shapes do not fit."""
        if number not in self._known:
            self._known[number] = self._gradients(self.points[number])
        return self._known[number]

    def _gradients(self, point: Point) -> dict[int, np.ndarray]:
        program, leaves, cotangent = point.program, point.leaves, point.cotangent
        names = [vertex.name for vertex in program.vertices[: len(leaves)]]
        places = [n for n, leaf in enumerate(leaves) if is_float(leaf)]

        def run(*arrays: Any) -> Any:
            known = dict(zip(names, leaves, strict=True))
            known |= {names[n]: array for n, array in zip(places, arrays, strict=True)}
            for vertex in program.vertices:
                if vertex.name == self.vertex.name:
                    known[vertex.name] = evaluate(self.instead, known)
                elif vertex.compute is not None:
                    known[vertex.name] = vertex.compute(*(known[p] for p in vertex.parents))
            return known[program.output.name]

        try:
            out, pull = jax.vjp(run, *(jnp.asarray(leaves[n]) for n in places))
            if out.shape != np.shape(cotangent):
                return {}
            found = pull(jnp.asarray(cotangent, out.dtype))
        except (LayoutError, TypeError, ValueError):
            return {}
        return {n: np.asarray(array, float) for n, array in zip(places, found, strict=True)}


@dataclass(frozen=True)
class OnFunction(Guess):
    """The gradient of a changed function by one input.

    Attributes:
        changed: the function.
        leaf: the place of the input.
    """

    changed: Changed
    leaf: int

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where its shapes do not fit."""
        found = self.changed.gradients(number).get(self.leaf)
        return found if found is not None and np.isfinite(found).all() else None

    def formula(self) -> str:
        """The function that is differentiated in the right one's place."""
        return f"{self.changed.vertex.name} = {text(self.changed.instead)}, differentiated"


def of_function(points: Sequence[Point]) -> Iterator[OnFunction]:
    """A function's reductions over the other axis of a matrix, or over all entries, by each input.

    Args:
        points: the function at each trial's inputs.
    """
    program = points[0].program
    for vertex in program.vertices:
        if vertex.formula is None or vertex.opaque:
            continue
        other, whole = _turned(vertex.formula), _flattened(vertex.formula)
        edits = [
            (other, "wrong-axis", "the other axis", 3),
            (whole, "flattened-batch", "all entries", 3),
        ]
        for instead, kind, words, rank in edits:
            if instead == vertex.formula:
                continue
            part = (
                kind,
                f"{vertex.name} is normalised or summed over {words}: {text(instead)}",
                f"use {vertex.name} = {text(vertex.formula)}",
            )
            changed = Changed(vertex, instead, points)
            for leaf in range(len(points[0].leaves)):
                if program.leads(program.vertices[leaf].name, vertex.name):
                    yield OnFunction([part], rank, changed, leaf)


def _turned(formula: Formula) -> Formula:
    """Axis 0 for axis 1, a row for a column, and the other way round."""
    formula = formula.rebuilt(_turned)
    if isinstance(formula, Call):
        return replace(formula, options=tuple(_other_axis(option) for option in formula.options))
    if isinstance(formula, View) and {*formula.entries} == {":", "None"}:
        return replace(formula, entries=formula.entries[::-1])
    return formula


def _other_axis(option: tuple[str, object]) -> tuple[str, object]:
    name, value = option
    return (name, 1 - value) if name == "axis" and value in (0, 1) else option  # type: ignore[operator]


def _flattened(formula: Formula) -> Formula:
    """No axis at all: one number for the whole array."""
    formula = formula.rebuilt(_flattened)
    if isinstance(formula, Call):
        return replace(formula, options=tuple(o for o in formula.options if o[0] != "axis"))
    if isinstance(formula, View) and {*formula.entries} == {":", "None"}:
        inner = formula.of
        return inner if any(isinstance(part, Call) for part in inner.walk()) else formula
    return formula
