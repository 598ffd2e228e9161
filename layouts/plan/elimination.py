"""Vertex elimination: the chain rule, one intermediate at a time, on symbolic Jacobians."""

from collections.abc import Iterable
from math import prod

from layouts.algebra import combine, compose, dense, real_part, write
from layouts.graph import Graph
from layouts.products import both_ways
from layouts.terms import Terms, stored_size

# More terms than these are written as one dense array, however little they store.
MOST_TERMS = 32


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

    def run(self, vertices: Iterable[int]) -> dict[tuple[int, int], Terms]:
        """Eliminate in this order; returns the Jacobians from inputs to outputs."""
        for vertex in vertices:
            self.eliminate(vertex)
        return self.result()

    def result(self) -> dict[tuple[int, int], Terms]:
        """The Jacobians between inputs and outputs, in (input, output) order."""
        return {
            (source, target): self.into.get(target, {}).get(source, ())
            for source in self.graph.inputs
            for target in self.graph.outputs
        }

    def eliminate(self, vertex: int) -> None:
        """Multiply all pairs of Jacobians through a vertex and take it away."""
        sources, targets = self.into.pop(vertex, {}), self.out.pop(vertex, {})
        for source in sources:
            del self.out[source][vertex]
        for target in targets:
            del self.into[target][vertex]
        for source, right in sources.items():
            for target, left in targets.items():
                self._add(source, target, self._through(vertex, source, target, left, right))

    def _through(self, vertex: int, source: int, target: int, left: Terms, right: Terms) -> Terms:
        """The product of two Jacobians; from real to real through complex its real part is meant.

        So taking the real part, `Re z`, is the identity as a matrix, and whatever goes between real
        and complex arrays is a complex matrix.
        """
        is_complex = self.graph.complex
        if not is_complex[vertex] or is_complex[source] or is_complex[target]:
            return compose(left, right)
        return real_part(compose(both_ways(left), both_ways(right)))

    def _add(self, source: int, target: int, terms: Terms) -> None:
        before = self.into.get(target, {}).get(source)
        total = self._bounded(source, target, combine((*before, *terms)) if before else terms)
        if total:
            self._put(source, target, total)
        elif before is not None:
            del self.into[target][source], self.out[source][target]

    def _bounded(self, source: int, target: int, terms: Terms) -> Terms:
        """The terms, or their dense array where that is less: structure must not outgrow it."""
        shapes = self.graph.shapes
        entries = prod(shapes[source]) * prod(shapes[target])
        stored = sum(stored_size(term.factors) + 1 for term in terms)
        if len(terms) == 1 or (len(terms) <= MOST_TERMS and stored <= entries):
            return terms
        itemsize = self.graph.itemsizes[target]
        node = write(terms, shapes[target] + shapes[source], itemsize)
        return dense(node, shapes[target], shapes[source])

    def _put(self, source: int, target: int, terms: Terms) -> None:
        self.out.setdefault(source, {})[target] = terms
        self.into.setdefault(target, {})[source] = terms
