"""Orders of elimination: forward, reverse, greedy, and the exact optimum on chains."""

from collections.abc import Iterator

from layouts.algebra import compose
from layouts.graph import Graph
from layouts.plan.elimination import Elimination, Step
from layouts.terms import Terms

# Interval programming composes n³/6 pairs: a longer chain is left to the greedy order.
LONGEST_CHAIN = 24


def forward(graph: Graph) -> tuple[Step, ...]:
    """From the inputs on: every product has an input's axes on its right."""
    return tuple(_sweep(graph, list(range(len(graph.shapes))), "push"))


def reverse(graph: Graph) -> tuple[Step, ...]:
    """From the outputs back: every product has an output's axes on its left."""
    return tuple(_sweep(graph, list(range(len(graph.shapes)))[::-1], "pull"))


def _sweep(graph: Graph, vertices: list[int], direction: str) -> Iterator[Step]:
    """Visit vertices in order; apply each opaque map before the vertices beyond it."""
    free = set(graph.intermediates)
    pending = dict(enumerate(graph.opaques))
    waiting: list[int] = []
    for vertex in vertices:
        for number, opaque in list(pending.items()):
            if vertex in (opaque.outputs if direction == "push" else opaque.inputs):
                del pending[number]
                yield Step(direction, number)
        waiting.append(vertex)
        held = {v for opaque in pending.values() for v in opaque.inputs + opaque.outputs}
        yield from (Step("eliminate", v) for v in waiting if v in free and v not in held)
        waiting = [v for v in waiting if v in held]
    yield from (Step("eliminate", v) for v in waiting if v in free)


def mixed(graph: Graph, pushed: int) -> tuple[Step, ...]:
    """Greedy, with the first `pushed` opaque maps pushed and the others pulled."""
    search = _Greedy(graph)
    steps = list(search.exhaust())
    for number in range(pushed):
        search.state.push(number)
        steps.append(Step("push", number))
    for number in reversed(range(pushed, len(graph.opaques))):
        search.state.pull(number)
        steps.append(Step("pull", number))
    if graph.opaques:
        steps += _Greedy(graph, search.state).exhaust()
    return tuple(steps)


class _Greedy:
    """Eliminates the cheapest vertex next, re-costing only the neighbours of the last one."""

    def __init__(self, graph: Graph, state: Elimination | None = None):
        self.graph = graph
        self.state = state or Elimination(graph)
        self.known: dict[tuple[int, int, int], tuple[Terms, Terms, int]] = {}

    def exhaust(self, limit: int | None = None) -> Iterator[Step]:
        """Eliminate every vertex that no opaque map touches and that costs within the limit."""
        state = self.state
        vertices = [v for v in self.graph.intermediates if not state.incident(v)]
        price = {v: self._price(v) for v in vertices}
        while price:
            vertex = min(price, key=lambda v: (price[v], v))
            if limit is not None and price[vertex] > limit:
                return
            neighbours = {*state.into.get(vertex, {}), *state.out.get(vertex, {})}
            state.eliminate(vertex)
            del price[vertex]
            yield Step("eliminate", vertex)
            price.update({v: self._price(v) for v in neighbours if v in price})

    def _price(self, vertex: int) -> int:
        """The multiplications of eliminating a vertex now."""
        state = self.state
        return sum(
            self._pair(source, vertex, target, left, right)
            for source, right in state.into.get(vertex, {}).items()
            for target, left in state.out.get(vertex, {}).items()
        )

    def _pair(self, source: int, vertex: int, target: int, left: Terms, right: Terms) -> int:
        key = (source, vertex, target)
        seen = self.known.get(key)
        if seen is None or seen[0] is not left or seen[1] is not right:
            self.known[key] = (left, right, price_of(left, right))
        return self.known[key][2]


def price_of(left: Terms, right: Terms) -> int:
    """The multiplications of composing two Jacobians, beyond what they cost themselves."""
    before = {id(f.node) for term in left + right for f in term.factors}
    after = [f.node for term in compose(left, right) for f in term.factors]
    return _beyond(after, before)


def _beyond(nodes: list, known: set[int]) -> int:
    total, stack, seen = 0, list(nodes), set(known)
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            total += node.multiplications
            stack.extend(node.operands)
    return total


def chain(graph: Graph) -> tuple[Step, ...] | None:
    """The exact optimum of a graph that is a chain once its free vertices are gone, else None.

    C(j,i) = min over k of C(j,k) + C(k,i) + the cost of composing what lies on both sides of k,
    for dense Jacobians m_j·m_k·n_i (the matrix-chain recurrence).
    """
    if graph.opaques or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    search = _Greedy(graph)
    steps = list(search.exhaust(limit=0))
    path = _path(graph, search.state)
    if path is None or len(path) > LONGEST_CHAIN:
        return None
    best: dict[tuple[int, int], tuple[int, Terms, int]] = {}
    for place in range(len(path) - 1):
        best[place, place + 1] = (0, search.state.out[path[place]][path[place + 1]], -1)
    for length in range(2, len(path)):
        for i in range(len(path) - length):
            best[i, i + length] = _cheapest_split(best, i, i + length)
    order: list[int] = []
    _unwind(best, 0, len(path) - 1, order)
    return (*steps, *(Step("eliminate", path[place]) for place in order))


def _cheapest_split(
    best: dict[tuple[int, int], tuple[int, Terms, int]], i: int, j: int
) -> tuple[int, Terms, int]:
    candidates = []
    for k in range(i + 1, j):
        (below, right, _), (above, left, _) = best[i, k], best[k, j]
        candidates.append((below + above + price_of(left, right), k))
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


