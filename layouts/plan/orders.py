"""Orders of elimination: forward, reverse, greedy, and the exact optimum on chains."""

from collections.abc import Iterator
from dataclasses import replace

from layouts.algebra import combine, compose
from layouts.axes import labels_of
from layouts.graph import Graph
from layouts.plan.elimination import Elimination
from layouts.program import Node
from layouts.terms import Terms

# Vertices in the order in which they are eliminated.
Order = tuple[int, ...]

# Interval programming composes n³/6 pairs: a longer chain is left to the greedy order.
LONGEST_CHAIN = 24


def elementwise(graph: Graph) -> tuple[Order, Graph]:
    """Eliminate the vertices inside elementwise functions, which every order starts with.

    JAX writes `tanh′` and `gelu′` as several equations; eliminated first, they are one diagonal
    edge, as people see them. Returns the steps and the graph that is left.
    """
    state = Elimination(graph)
    steps = []
    for vertex in graph.intermediates:
        into, out = state.into.get(vertex, {}), state.out.get(vertex, {})
        few = len(into) * len(out) <= len(into) + len(out)
        edges = (*into.values(), *out.values())
        if few and all(map(_diagonal, edges)):
            state.eliminate(vertex)
            steps.append(vertex)
    left = {(u, v): terms for v, into in state.into.items() for u, terms in into.items()}
    return tuple(steps), replace(graph, edges=left)


def _diagonal(terms: Terms) -> bool:
    """Whether every label is a delta: entries are moved and scaled, never mixed."""
    return all(not t.selections and {*labels_of(t.out)} == {*labels_of(t.into)} for t in terms)


def forward(graph: Graph) -> Order:
    """From the inputs on: every product has an input's axes on its right."""
    return tuple(graph.intermediates)


def reverse(graph: Graph) -> Order:
    """From the outputs back: every product has an output's axes on its left."""
    return tuple(graph.intermediates[::-1])


def greedy(graph: Graph) -> Order:
    """The cheapest vertex next, at every step."""
    return tuple(_Greedy(graph).exhaust())


# What orders are compared by: multiplications, then additions.
Price = tuple[int, int]


class _Greedy:
    """Eliminates the cheapest vertex next, re-costing only the neighbours of the last one."""

    def __init__(self, graph: Graph, state: Elimination | None = None):
        self.graph = graph
        self.state = state or Elimination(graph)
        self.known: dict[tuple[int, int, int], tuple[tuple[Terms, ...], Price]] = {}

    def exhaust(self, only_free: bool = False) -> Iterator[int]:
        """Eliminate every vertex, or only those that cost nothing."""
        state = self.state
        price = {v: self._price(v) for v in self.graph.intermediates}
        while price:
            vertex = min(price, key=lambda v: (price[v], v))
            if only_free and price[vertex][0] > 0:
                return
            neighbours = {*state.into.get(vertex, {}), *state.out.get(vertex, {})}
            state.eliminate(vertex)
            del price[vertex]
            yield vertex
            price.update({v: self._price(v) for v in neighbours if v in price})

    def _price(self, vertex: int) -> Price:
        """The multiplications and additions of eliminating a vertex now."""
        state = self.state
        pairs = [
            self._pair(source, vertex, target, left, right)
            for source, right in state.into.get(vertex, {}).items()
            for target, left in state.out.get(vertex, {}).items()
        ]
        return sum(p for p, _ in pairs), sum(a for _, a in pairs)

    def _pair(self, source: int, vertex: int, target: int, left: Terms, right: Terms) -> Price:
        """The price of one product and of adding it to what stands there, remembered."""
        key = (source, vertex, target)
        edges = (left, right, self.state.into.get(target, {}).get(source, ()))
        seen = self.known.get(key)
        if seen is None or any(a is not b for a, b in zip(seen[0], edges, strict=True)):
            self.known[key] = seen = (edges, price_of(*edges))
        return seen[1]


def price_of(left: Terms, right: Terms, before: Terms = ()) -> Price:
    """The multiplications and additions of `left` after `right` plus `before`, these given."""
    known = {id(f.node) for term in left + right + before for f in term.factors}
    total = combine((*before, *compose(left, right)))
    return _beyond([f.node for term in total for f in term.factors], known)


def _beyond(nodes: list[Node], known: set[int]) -> Price:
    products, sums, seen = 0, 0, set(known)
    while nodes:
        node = nodes.pop()
        if id(node) not in seen:
            seen.add(id(node))
            products, sums = products + node.multiplications, sums + node.additions
            nodes.extend(node.operands)
    return products, sums


def chain(graph: Graph) -> Order | None:
    """The exact optimum of a graph that is a chain once its free vertices are gone, else None.

    C(j,i) = min over k of C(j,k) + C(k,i) + the cost of composing what lies on both sides of k,
    for dense Jacobians m_j·m_k·n_i (the matrix-chain recurrence).
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    search = _Greedy(graph)
    steps = list(search.exhaust(only_free=True))
    path = _path(graph, search.state)
    if path is None or len(path) > LONGEST_CHAIN:
        return None
    best: dict[tuple[int, int], tuple[Price, Terms, int]] = {}
    for place in range(len(path) - 1):
        best[place, place + 1] = ((0, 0), search.state.out[path[place]][path[place + 1]], -1)
    for length in range(2, len(path)):
        for i in range(len(path) - length):
            best[i, i + length] = _cheapest_split(best, i, i + length)
    order: list[int] = []
    _unwind(best, 0, len(path) - 1, order)
    return (*steps, *(path[place] for place in order))


def _cheapest_split(
    best: dict[tuple[int, int], tuple[Price, Terms, int]], i: int, j: int
) -> tuple[Price, Terms, int]:
    candidates = []
    for k in range(i + 1, j):
        (below, right, _), (above, left, _) = best[i, k], best[k, j]
        prices = (below, above, price_of(left, right))
        candidates.append(((sum(p for p, _ in prices), sum(a for _, a in prices)), k))
    total, k = min(candidates)
    return total, compose(best[k, j][1], best[i, k][1]), k


def _unwind(best: dict, i: int, j: int, order: list[int]) -> None:
    split = best[i, j][2]
    if split >= 0:
        _unwind(best, i, split, order)
        _unwind(best, split, j, order)
        order.append(split)


def _path(graph: Graph, state: Elimination) -> list[int] | None:
    """The vertices from input to output where each has one successor and one predecessor."""
    (start,), (end,) = graph.inputs, graph.outputs
    path = [start]
    while path[-1] != end:
        following = state.out.get(path[-1], {})
        if len(following) != 1:
            return None
        path.extend(following)
        if len(state.into[path[-1]]) != 1:
            return None
    return path
