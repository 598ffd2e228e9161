"""Edits of the function itself, then differentiated: its sums and means over another axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.derivation.tracing import Program, Vertex
from layouts.errors import LayoutError
from layouts.formulas.evaluating import evaluate
from layouts.formulas.tree import Call, Formula, View
from layouts.show.text import text


@dataclass(frozen=True)
class OnFunction:
    """The gradient of a function with one vertex computed otherwise.

    Attributes:
        kind: which mistake.
        parts: kind, message and correction.
        rank: how far-fetched it is.
        program: the function.
        vertex: what is computed otherwise.
        instead: how.
        leaf: the place of the input whose gradient is asked for.
        inputs: the leaves and the cotangent of each trial.
    """

    kind: str
    parts: list[tuple[str, str, str]]
    rank: int
    program: Program
    vertex: Vertex
    instead: Formula
    leaf: int
    inputs: Sequence[tuple[Sequence[Any], Any]]

    def value(self, number: int) -> np.ndarray | None:
        """What it gives at an input; None where its shapes do not fit."""
        leaves, cotangent = self.inputs[number]
        names = [vertex.name for vertex in self.program.vertices[: len(leaves)]]

        def run(array: Any) -> Any:
            known = dict(zip(names, leaves, strict=True)) | {names[self.leaf]: array}
            for vertex in self.program.vertices:
                if vertex.name == self.vertex.name:
                    known[vertex.name] = evaluate(self.instead, known)
                elif vertex.compute is not None:
                    known[vertex.name] = vertex.compute(*(known[p] for p in vertex.parents))
            return known[self.program.output.name]

        try:
            out, pull = jax.vjp(run, jnp.asarray(leaves[self.leaf]))
            if out.shape != np.shape(cotangent):
                return None
            found = np.asarray(pull(jnp.asarray(cotangent, out.dtype))[0], float)
        except (LayoutError, TypeError, ValueError):
            return None
        return found if np.isfinite(found).all() else None

    def formula(self) -> str:
        """The function that is differentiated in the right one's place."""
        return f"{self.vertex.name} = {text(self.instead)}, differentiated"


def of_function(
    program: Program, leaf: int, inputs: Sequence[tuple[Sequence[Any], Any]]
) -> Iterator[OnFunction]:
    """A function's reductions over the other axis of a matrix, or over all entries.

    Args:
        program: the function.
        leaf: which input the gradient is by.
        inputs: the leaves and the cotangent of each trial.
    """
    source = program.vertices[leaf].name
    for vertex in program.vertices:
        if vertex.formula is None or vertex.opaque or not program.leads(source, vertex.name):
            continue
        other, whole = _turned(vertex.formula), _flattened(vertex.formula)
        edits = [
            (other, "wrong-axis", "the other axis", 3),
            (whole, "flattened-batch", "all entries", 3),
        ]
        for instead, kind, words, rank in edits:
            if instead != vertex.formula:
                part = (
                    kind,
                    f"{vertex.name} is normalised or summed over {words}: {text(instead)}",
                    f"use {vertex.name} = {text(vertex.formula)}",
                )
                yield OnFunction(kind, [part], rank, program, vertex, instead, leaf, inputs)


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
