"""Vertex elimination: the chain rule, one intermediate at a time, on symbolic Jacobians."""

import operator
from collections.abc import Iterable
from copy import copy
from math import inf
from typing import NamedTuple

from layouts.algebra import bounded, combine, compose, real_part
from layouts.graph import Graph
from layouts.nodes import Node
from layouts.products import both_ways, written_by, written_by_rows
from layouts.program import moved_bytes
from layouts.terms import Terms

# Measured on CPUs: a matrix product does so many while memory delivers one byte.
MULTIPLICATIONS_PER_BYTE = 4


class Price(NamedTuple):
    """What some products cost: the cheaper of two multiplies less, then adds less, moves less."""

    multiplications: float = 0
    additions: float = 0
    moved_bytes: float = 0

    @property
    def free(self) -> bool:
        """Whether nothing is multiplied or added."""
        return not self.multiplications and not self.additions

    @property
    def weight(self) -> float:
        """Multiplications and bytes moved in one number, as a processor weighs them."""
        return self.multiplications + MULTIPLICATIONS_PER_BYTE * self.moved_bytes

    def plus(self, other: "Price") -> "Price":
        """Of both together."""
        return Price(*map(operator.add, self, other))


class Limit(NamedTuple):
    """The most multiplications, the most weight, and the most products planned in all orders."""

    multiplications: float = inf
    weight: float = inf
    planned: float = inf

    def passed(self, price: Price) -> bool:
        """Whether so much is more than it allows."""
        return price.multiplications > self.multiplications or price.weight > self.weight

    def tightened(self, spent: Price, slack: float) -> "Limit":
        """No more than so many times what was spent, nor more than before."""
        most = slack * spent.multiplications, slack * spent.weight
        return self._replace(
            multiplications=min(self.multiplications, most[0]), weight=min(self.weight, most[1])
        )

    def less(self, price: Price) -> "Limit":
        """What is left of it."""
        left = self.multiplications - price.multiplications, self.weight - price.weight
        return Limit(*left, self.planned)


NO_LIMIT = Limit()


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
        self.spent = Price()
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

    def run(self, vertices: Iterable[int], limit: Limit = NO_LIMIT) -> "Elimination":
        """Eliminate in this order as long as no more than the limit is spent."""
        for vertex in vertices:
            left = limit.less(self.spent)
            if len(self.known) > limit.planned or left.passed(self.price(vertex, left)[0]):
                break
            self.eliminate(vertex)
        return self

    def price(self, vertex: int, enough: Limit = NO_LIMIT) -> tuple[Price, bool]:
        """What it costs to eliminate a vertex now, and whether that is all.

        Counting stops where `enough` is passed: it costs so much at least.
        """
        total = Price()
        targets = self.out.get(vertex, {})
        for source in self.into.get(vertex, {}):
            for target in targets:
                if enough.passed(total):
                    return total, False
                total = total.plus(self._known(source, vertex, target).price)
        return total, True

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
        self.spent = self.spent.plus(self.price(vertex)[0])
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
    """What some terms cost, others being there."""
    seen = {id(factor.node) for term in given for factor in term.factors}
    nodes: list[Node] = [factor.node for term in terms for factor in term.factors]
    products = sums = moved = 0
    while nodes:
        node = nodes.pop()
        if id(node) not in seen:
            seen.add(id(node))
            products, sums = products + node.multiplications, sums + node.additions
            moved += moved_bytes(node)
            nodes.extend(node.operands)
    return Price(products, sums, moved)
