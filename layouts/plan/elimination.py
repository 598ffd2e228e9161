"""Vertex elimination: the chain rule, one intermediate at a time, on symbolic Jacobians."""

from typing import NamedTuple

from layouts.algebra import combine, compose, dense, identity, write
from layouts.graph import Graph
from layouts.program import Application, Apply, Node, Opaque
from layouts.terms import Terms


class Step(NamedTuple):
    """One step of a plan.

    Attributes:
        kind: "eliminate" a vertex; "push" columns through an opaque map or "pull" rows.
        number: the vertex's, or the opaque map's.
    """

    kind: str
    number: int


class Elimination:
    """The state of an elimination: the Jacobians between the vertices that are left.

    Eliminating a vertex multiplies every Jacobian into it by every Jacobian out of it and adds the
    product between its neighbours; when only inputs and outputs are left, what is between them
    is the answer. The order changes the cost, never the result.
    """

    def __init__(self, graph: Graph):
        """Start with a graph's local Jacobians; the graph itself is not changed."""
        self.graph = graph
        self.into: dict[int, dict[int, Terms]] = {}
        self.out: dict[int, dict[int, Terms]] = {}
        for (source, target), terms in graph.edges.items():
            self._put(source, target, terms)
        self.pending: dict[int, Opaque] = dict(enumerate(graph.opaques))

    def run(self, steps: tuple[Step, ...]) -> dict[tuple[int, int], Terms]:
        """Take all steps; returns the Jacobians from inputs to outputs."""
        actions = {"eliminate": self.eliminate, "push": self.push, "pull": self.pull}
        for kind, number in steps:
            actions[kind](number)
        return self.result()

    def result(self) -> dict[tuple[int, int], Terms]:
        """The Jacobians between inputs and outputs, in (input, output) order."""
        return {
            (source, target): self.into.get(target, {}).get(source, ())
            for source in self.graph.inputs
            for target in self.graph.outputs
        }

    def incident(self, vertex: int) -> bool:
        """Whether an opaque map that is still to be applied starts or ends at a vertex."""
        return any(vertex in o.inputs or vertex in o.outputs for o in self.pending.values())

    def eliminate(self, vertex: int) -> None:
        """Multiply all pairs of Jacobians through a vertex and take it away."""
        sources, targets = self.into.pop(vertex, {}), self.out.pop(vertex, {})
        for source in sources:
            del self.out[source][vertex]
        for target in targets:
            del self.into[target][vertex]
        for source, right in sources.items():
            for target, left in targets.items():
                self._add(source, target, compose(left, right))

    def push(self, number: int) -> None:
        """Apply an opaque map to the Jacobians of its operands by the inputs."""
        opaque = self.pending.pop(number)
        for vertex in opaque.inputs:
            self._accumulate_into(vertex)
        for source in self.graph.inputs:
            found = {
                n: self._of(vertex, source)
                for n, vertex in enumerate(opaque.inputs)
                if self._of(vertex, source)
            }
            if not found:
                continue
            batch = self.graph.shapes[source]
            operands = [
                self._dense(found[n], opaque.inputs[n], source, opaque.inputs[n]) for n in found
            ]
            application = Application(opaque, "push", tuple(found), batch)
            for position, vertex in enumerate(opaque.outputs):
                shape = self.graph.shapes[vertex] + batch
                node = self._apply(application, position, shape, vertex, operands)
                self._add(source, vertex, dense(node, self.graph.shapes[vertex], batch))

    def pull(self, number: int) -> None:
        """Apply an opaque map's transpose to the Jacobians of the outputs by its results."""
        opaque = self.pending.pop(number)
        for vertex in opaque.outputs:
            self._accumulate_out_of(vertex)
        for target in self.graph.outputs:
            found = {
                n: self.out.get(vertex, {}).get(target, ())
                for n, vertex in enumerate(opaque.outputs)
                if self.out.get(vertex, {}).get(target, ())
            }
            if not found:
                continue
            batch = self.graph.shapes[target]
            operands = [
                self._dense(found[n], target, opaque.outputs[n], opaque.outputs[n]) for n in found
            ]
            application = Application(opaque, "pull", tuple(found), batch)
            for position, vertex in enumerate(opaque.inputs):
                shape = batch + self.graph.shapes[vertex]
                node = self._apply(application, position, shape, vertex, operands)
                self._add(vertex, target, dense(node, batch, self.graph.shapes[vertex]))

    def _apply(
        self,
        application: Application,
        position: int,
        shape: tuple[int, ...],
        vertex: int,
        operands: list[Node],
    ) -> Apply:
        return Apply(shape, self.graph.itemsizes[vertex], tuple(operands), application, position)

    def _dense(self, terms: Terms, out: int, into: int, typed: int) -> Node:
        shapes = self.graph.shapes
        return write(terms, shapes[out] + shapes[into], self.graph.itemsizes[typed])

    def _of(self, vertex: int, source: int) -> Terms:
        """The Jacobian of a vertex by an input, the identity where they are one."""
        if vertex == source:
            return identity(self.graph.shapes[vertex])
        return self.into.get(vertex, {}).get(source, ())

    def _accumulate_into(self, vertex: int) -> None:
        """Replace the Jacobians by intermediates with those by the inputs behind them."""
        for middle in sorted(set(self.into.get(vertex, {})) - {*self.graph.inputs}, reverse=True):
            self._accumulate_into(middle)
            left = self.into[vertex].pop(middle)
            del self.out[middle][vertex]
            for source, right in list(self.into.get(middle, {}).items()):
                self._add(source, vertex, compose(left, right))

    def _accumulate_out_of(self, vertex: int) -> None:
        """Replace the Jacobians of intermediates with those of the outputs beyond them."""
        for middle in sorted(set(self.out.get(vertex, {})) - {*self.graph.outputs}):
            self._accumulate_out_of(middle)
            right = self.out[vertex].pop(middle)
            del self.into[middle][vertex]
            for target, left in list(self.out.get(middle, {}).items()):
                self._add(vertex, target, compose(left, right))

    def _add(self, source: int, target: int, terms: Terms) -> None:
        before = self.into.get(target, {}).get(source)
        total = combine((*before, *terms)) if before else terms
        if total:
            self._put(source, target, total)
        elif before is not None:
            del self.into[target][source], self.out[source][target]

    def _put(self, source: int, target: int, terms: Terms) -> None:
        self.out.setdefault(source, {})[target] = terms
        self.into.setdefault(target, {})[source] = terms
