"""The program as people see it, forward and backward: the same vertices, the same edges.

A vertex that is used more than once is a branch forward; backward its gradient is the sum of what
comes along each of its edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp

from layouts.derivation.partials import IN, OUT, Axes, Letters, itself, local
from layouts.derivation.vertices import Vertex
from layouts.explorer import schema
from layouts.explorer.subject import Subject
from layouts.explorer.writing import written
from layouts.formulas.indexing import indexed
from layouts.formulas.matrices import matrix_form
from layouts.formulas.summands import Summand, combined
from layouts.formulas.summands import written as sum_of
from layouts.formulas.tree import Derivative, Equation, Formula, Letter, Name

# A program of more vertices is drawn, but its edges are not differentiated one by one.
MOST_EDGES = 40
# Nor is an edge of more summands written out.
MOST_SUMMANDS = 16


def graph_of(subject: Subject) -> schema.Graph:
    """The graph of a subject's program."""
    drawing = _Drawing(subject)
    edges = drawing.edges()
    return {"vertices": drawing.vertices(), "edges": edges, "note": drawing.note}


class _Drawing:
    """One program with the formulas of its edges."""

    def __init__(self, subject: Subject):
        self.subject = subject
        self.program = subject.program
        self.known = {vertex.name: vertex for vertex in self.program.vertices}
        self.made = [v for v in self.program.vertices if v.parents]
        self.pairs = [(child, self.known[p]) for child in self.made for p in child.parents]
        self.pulled: dict[str, list[tuple[str, Formula | None]]] = {}
        self.loss = subject.program.loss
        self.short = {f: Name(name) for name, f in subject.definitions.items()}
        self.note = ""
        if len(self.pairs) > MOST_EDGES:
            self.note = f"{len(self.pairs)} edges are more than the {MOST_EDGES} that are written."

    def edges(self) -> list[schema.Edge]:
        """Every edge, with what happens along it."""
        return [self._edge(child, parent) for child, parent in self.pairs]

    def vertices(self) -> list[schema.Vertex]:
        """Every vertex, inputs first."""
        layers: dict[str, int] = {}
        for vertex in self.program.vertices:
            layers[vertex.name] = 1 + max((layers[p] for p in vertex.parents), default=-1)
        return [self._vertex(vertex, layers[vertex.name]) for vertex in self.program.vertices]

    def _vertex(self, vertex: Vertex, layer: int) -> schema.Vertex:
        uses = sum(_uses(child, vertex) for child, parent in self.pairs if parent is vertex)
        on_path = self._on_path(vertex.name)
        value = None
        if vertex.formula is not None:
            value = self._written(Name(vertex.name), vertex.formula)
        return {
            "id": f"v:{vertex.name}",
            "name": vertex.name,
            "role": role_of(vertex, self.program.output),
            "layer": layer,
            "on_path": on_path,
            "uses": uses,
            "branch": uses > 1,
            "value": value,
            "gradient": self._gradient(vertex) if on_path else None,
        }

    def _gradient(self, vertex: Vertex) -> schema.Formula | None:
        """`∂L/∂z = ... + ...`: what comes along each edge, in their order."""
        parts = [formula for _, formula in self.pulled.get(vertex.name, [])]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        total = sum_of([Summand(1, (), (), (part,)) for part in known])
        return self._written(Derivative(Name(self.loss), Name(vertex.name)), total)

    def _edge(self, child: Vertex, parent: Vertex) -> schema.Edge:
        found: schema.Edge = {
            "id": f"e:{parent.name}→{child.name}",
            "tail": f"v:{parent.name}",
            "head": f"v:{child.name}",
            "on_path": self._on_path(parent.name),
            "uses": _uses(child, parent),
            "local": None,
            "forward": None,
            "backward": None,
        }
        pulled: Formula | None = None
        smooth = all(jnp.issubdtype(v.dtype, jnp.inexact) for v in (child, parent))
        if smooth and len(self.pairs) <= MOST_EDGES:
            letters = Letters([*self.known])
            out = letters.fresh(child.shape, OUT)
            into = letters.fresh(parent.shape, IN)
            partial = local(child, parent, self.program.vertices, self.subject.shape_of)
            summands = partial.write(out, into, letters)
            head = itself(child, parent, out, into)
            found["local"] = self._written(head, sum_of(summands))
            if partial.closed and len(summands) <= MOST_SUMMANDS:
                found["forward"] = self._pushed(child, parent, summands, out, into)
                pulled = self._pulled(child, parent, summands, out, into)
        if pulled is not None:
            head = Derivative(Name(self.loss), Name(parent.name))
            found["backward"] = self._written(head, pulled)
        if smooth:  # whole numbers have no derivative, and pass none on
            self.pulled.setdefault(parent.name, []).append((child.name, pulled))
        return found

    def _pulled(
        self, child: Vertex, parent: Vertex, summands: Sequence[Summand], out: Axes, into: Axes
    ) -> Formula | None:
        """What an edge adds to the gradient of the vertex that it leaves."""
        start: tuple[Formula, ...] = ()
        if child is not self.program.output or child.shape:
            start = (indexed(Derivative(Name(self.loss), Name(child.name)), out),)
        found = [Summand(1, (), (), start).times(s).over(_known(out)).settled() for s in summands]
        return matrix_form(combined(found), into, self.subject.shape_of)

    def _pushed(
        self, child: Vertex, parent: Vertex, summands: Sequence[Summand], out: Axes, into: Axes
    ) -> schema.Formula | None:
        """What a tangent becomes along an edge."""
        tangent = Summand(1, (), (), (indexed(Name(f"{parent.name}_dot"), into),))
        found = [s.times(tangent).over(_known(into)).settled() for s in summands]
        form = matrix_form(combined(found), out, self.subject.shape_of)
        return None if form is None else self._written(Name(f"{child.name}_dot"), form)

    def _written(self, head: Formula, body: Formula) -> schema.Formula:
        """An equation, with the names that the derivation gives to long parts."""
        return written(Equation((head, body.replaced(self.short))))

    def _on_path(self, name: str) -> bool:
        wrt, out = self.subject.wrt, self.program.output.name
        return self.program.leads(wrt, name) and self.program.leads(name, out)


def role_of(vertex: Vertex, output: Vertex) -> Literal["input", "intermediate", "output"]:
    """Whether it is an input, an intermediate or the output."""
    if vertex is output:
        return "output"
    return "intermediate" if vertex.parents else "input"


def _uses(child: Vertex, parent: Vertex) -> int:
    """How often a vertex's formula names another."""
    if child.formula is None:
        return 1
    return max(1, sum(part == Name(parent.name) for part in child.formula.walk()))


def _known(axes: Axes) -> list[Letter]:
    return [letter for letter in axes if letter is not None]
