"""Vertex elimination: the chain rule, one intermediate at a time, on symbolic Jacobians."""

from collections.abc import Iterable
from copy import copy
from math import inf
from typing import NamedTuple

from layouts.algebra import bounded, combine, compose, real_part
from layouts.graph import Graph
from layouts.nodes import Node
from layouts.products import both_ways, written_by, written_by_rows
from layouts.terms import Terms

# Multiplications, then additions.
Price = tuple[int, int]


class _Through(NamedTuple):
    """A product of two Jacobians added to what stood there: terms, price, what it is made of.

    What it is made of is kept alive, since products are known again by the identity of it.
    """

    terms: Terms
    price: Price
    made_of: tuple[Terms, ...]


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
        self.done: list[int] = []
        self.spent = (0, 0)
        self.known: dict[tuple[int, ...], _Through] = {}
        for (source, target), terms in graph.edges.items():
            self._put(source, target, terms)

    def copy(self) -> "Elimination":
        """The same state, to go on from in another order; products made in one are known in all."""
        other = copy(self)
        other.into = {vertex: dict(edges) for vertex, edges in self.into.items()}
        other.out = {vertex: dict(edges) for vertex, edges in self.out.items()}
        other.done = list(self.done)
        return other

    @property
    def left(self) -> list[int]:
        """The intermediates still to be eliminated, in topological order."""
        done = set(self.done)
        return [vertex for vertex in self.graph.intermediates if vertex not in done]

    def run(self, vertices: Iterable[int], limit: float = inf) -> "Elimination":
        """Eliminate in this order until more than `limit` multiplications are spent."""
        for vertex in vertices:
            if self.spent[0] > limit:
                break
            self.eliminate(vertex)
        return self

    def price(self, vertex: int) -> Price:
        """The multiplications and additions of eliminating a vertex now."""
        pairs = [
            self._known(source, vertex, target).price
            for source in self.into.get(vertex, {})
            for target in self.out.get(vertex, {})
        ]
        return sum(products for products, _ in pairs), sum(sums for _, sums in pairs)

    def result(self) -> dict[tuple[int, int], Terms]:
        """The Jacobians between inputs and outputs, in (input, output) order."""
        return {
            (source, target): self.into.get(target, {}).get(source, ())
            for source in self.graph.inputs
            for target in self.graph.outputs
        }

    def through_real(self, vertex: int) -> bool:
        """Whether a real vertex stands between complex ones: `Re z` there is no matrix."""
        is_complex = self.graph.complex
        sources, targets = self.into.get(vertex, {}), self.out.get(vertex, {})
        return not is_complex[vertex] and (
            any(is_complex[v] for v in sources) and any(is_complex[v] for v in targets)
        )

    def eliminate(self, vertex: int) -> None:
        """Multiply all pairs of Jacobians through a vertex and take it away."""
        products, sums = self.price(vertex)
        self.spent = self.spent[0] + products, self.spent[1] + sums
        self.done.append(vertex)
        through = {
            (source, target): self._known(source, vertex, target).terms
            for source in self.into.get(vertex, {})
            for target in self.out.get(vertex, {})
        }
        for source in self.into.pop(vertex, {}):
            del self.out[source][vertex]
        for target in self.out.pop(vertex, {}):
            del self.into[target][vertex]
        for (source, target), terms in through.items():
            if terms:
                self._put(source, target, terms)
            elif source in self.into.get(target, {}):
                del self.into[target][source], self.out[source][target]

    def _known(self, source: int, vertex: int, target: int) -> "_Through":
        right, left = self.into[vertex][source], self.out[vertex][target]
        before = self.into.get(target, {}).get(source, ())
        key = (id(right), id(left), id(before), source, vertex, target)
        if key not in self.known:
            product = self._product(source, vertex, target, left, right)
            total = bounded(combine((*before, *product)) if before else product)
            price = price_beyond(total, (*left, *right, *before))
            self.known[key] = _Through(total, price, (right, left, before))
        return self.known[key]

    def _product(self, source: int, vertex: int, target: int, left: Terms, right: Terms) -> Terms:
        """The product of two Jacobians; from real to real through complex its real part is meant.

        So taking the real part, `Re z`, is the identity as a matrix, and whatever goes between real
        and complex arrays is a complex matrix.
        """
        is_complex = self.graph.complex
        left = written_by_rows(left)
        if target not in self.graph.outputs:
            right = written_by_rows(right)
        if source in self.graph.inputs and not is_complex[source]:
            right = written_by(right, "push")
        elif target in self.graph.outputs and not is_complex[target]:
            left = written_by(left, "pull")
        if not is_complex[vertex] or is_complex[source] or is_complex[target]:
            return compose(left, right)
        return real_part(compose(both_ways(left), both_ways(right)))

    def _put(self, source: int, target: int, terms: Terms) -> None:
        self.out.setdefault(source, {})[target] = terms
        self.into.setdefault(target, {})[source] = terms


def price_beyond(terms: Terms, given: Terms) -> Price:
    """The multiplications and additions of some terms, others being there."""
    seen = {id(factor.node) for term in given for factor in term.factors}
    nodes: list[Node] = [factor.node for term in terms for factor in term.factors]
    products = sums = 0
    while nodes:
        node = nodes.pop()
        if id(node) not in seen:
            seen.add(id(node))
            products, sums = products + node.multiplications, sums + node.additions
            nodes.extend(node.operands)
    return products, sums
