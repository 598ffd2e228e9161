"""Orders of elimination: forward, reverse, greedy, switching, and the exact optimum on chains.

Each takes a state that elementwise functions have been eliminated in, and leaves it as it is.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf

from layouts.algebra import bounded, compose
from layouts.axes import labels_of
from layouts.graph import Graph
from layouts.plan.elimination import NO_LIMIT, Elimination, Limit, Price, price_beyond
from layouts.products import matrix_of
from layouts.terms import Term, Terms

# Interval programming composes n³/6 pairs: a longer chain is left to the greedy order, and so is
# one whose Jacobians have more terms than these.
LONGEST_CHAIN = 24
MOST_TERMS_IN_CHAIN = 6

# The greedy order is left for forward or reverse at this many places.
SWITCHES = 4

# So many products are planned in search of a better order: more have found none that is better
# by a hundredth, in benchmarks of up to 600 edges.
MOST_SEARCHED = 50


def start(graph: Graph) -> Elimination:
    """Eliminate the vertices inside elementwise functions, which every order starts with.

    JAX writes `tanh′` and `gelu′` as several equations; eliminated first, they are one diagonal
    edge, as people see them.
    """
    state = Elimination(graph)
    for vertex in graph.intermediates:
        into, out = state.into.get(vertex, {}), state.out.get(vertex, {})
        few = len(into) * len(out) <= len(into) + len(out)
        if (
            few
            and not state.through_real(vertex)
            and all(map(_diagonal, (*into.values(), *out.values())))
        ):
            state.eliminate(vertex)
    return state


def _diagonal(terms: Terms) -> bool:
    """Whether every label is a delta: entries are moved and scaled, never mixed."""
    return all(
        not t.selections
        and {*labels_of(t.out)} == {*labels_of(t.into)}
        and not any(matrix_of(factor.node) for factor in t.factors)
        for t in terms
    )


def forward(state: Elimination, limit: Limit = NO_LIMIT) -> Elimination:
    """From the inputs on: every product has an input's axes on its right."""
    return state.copy().run(state.left, limit)


def reverse(state: Elimination, limit: Limit = NO_LIMIT) -> Elimination:
    """From the outputs back: every product has an output's axes on its left."""
    return state.copy().run(state.left[::-1], limit)


def searched(state: Elimination, limit: Limit) -> Iterator[tuple[str, Elimination]]:
    """The cheapest vertex next, at every step; and the same, left for a sweep on the way.

    Greedy sees one step ahead and is lured into products that a sweep never makes. So it is stopped
    where free products end and at a few places after, and each time the rest is swept both ways.
    An order that spends more than the limit is given up, and so is the search where it has planned
    MOST_SEARCHED products beyond those of the sweeps.
    """
    end, limit = state.copy(), limit._replace(planned=len(state.known) + MOST_SEARCHED)
    trail = list(_greedy(end, limit))
    free = sum(price.multiplications == 0 for price, _ in trail)
    stops = {free + (len(trail) - free) * n // SWITCHES for n in range(SWITCHES)}
    for stop in sorted(stops - {len(trail)}):
        reached = state.copy().run(vertex for _, vertex in trail[:stop])
        yield "greedy, then forward", forward(reached, limit)
        yield "greedy, then reverse", reverse(reached, limit)
    yield "greedy", end


def _greedy(state: Elimination, limit: Limit = NO_LIMIT) -> Iterator[tuple[Price, int]]:
    """Eliminate the cheapest vertex next, re-costing only the neighbours of those gone.

    What is free goes first, in sweeps over what has to be costed anew: a neighbour that comes later
    in the sweep is costed once, after all that is free before it is gone. What is not free is
    costed no further than it takes to see that another is cheaper.
    """
    least: dict[int, tuple[Price, bool]] = {}
    queue: list[tuple[Price, int]] = []
    anew = set(state.left)

    def eliminate(vertex: int) -> tuple[Price, int]:
        anew.update({*state.into.get(vertex, {}), *state.out.get(vertex, {})} & least.keys())
        state.eliminate(vertex)
        return least.pop(vertex)[0], vertex

    def cost(vertex: int, enough: Limit) -> None:
        least[vertex] = state.price(vertex, enough)
        heappush(queue, (least[vertex][0], vertex))

    while anew or least:
        for vertex in sorted(anew):
            anew.discard(vertex)
            cost(vertex, Limit(0))
            if least[vertex][0].free and least[vertex][1]:
                yield eliminate(vertex)
        if anew or not least:
            continue
        price, vertex = heappop(queue)
        if vertex not in least or least[vertex][0] != price:
            continue  # costed anew since
        if not least[vertex][1]:
            cost(vertex, Limit(queue[0][0].multiplications if queue else inf))
        elif limit.less(state.spent).passed(price) or len(state.known) > limit.planned:
            return
        else:
            yield eliminate(vertex)


def chain(state: Elimination) -> Elimination | None:
    """The exact optimum of a graph that is a chain once its free vertices are gone, else None.

    C(j,i) = min over k of C(j,k) + C(k,i) + the cost of composing what lies on both sides of k,
    for dense Jacobians m_j·m_k·n_i (the matrix-chain recurrence).
    """
    if len(state.graph.inputs) != 1 or len(state.graph.outputs) != 1:
        return None
    state = state.copy()
    for _ in _greedy(state, Limit(state.spent.multiplications)):
        pass
    path = _path(state)
    if path is None or not 3 < len(path) <= LONGEST_CHAIN:
        return None
    products = _Products()
    best: dict[tuple[int, int], tuple[Price, Terms, int]] = {}
    for place in range(len(path) - 1):
        terms = state.out[path[place]][path[place + 1]]
        best[place, place + 1] = (Price(), products.alike(terms), -1)
    for length in range(2, len(path)):
        if any(len(terms) > MOST_TERMS_IN_CHAIN for _, terms, _ in best.values()):
            return None
        for i in range(len(path) - length):
            best[i, i + length] = _cheapest_split(best, products, i, i + length)
    order: list[int] = []
    _unwind(best, 0, len(path) - 1, order)
    return state.run(path[place] for place in order)


class _Products:
    """Products of Jacobians by their form alone, each made once: layers repeat, and so do they."""

    def __init__(self) -> None:
        self.forms: dict[tuple, Terms] = {}
        self.made: dict[tuple[int, int], tuple[Terms, Price]] = {}

    def alike(self, terms: Terms) -> Terms:
        """The first Jacobian met that has the form of this one."""
        return self.forms.setdefault(tuple(map(_form, terms)), terms)

    def product(self, left: Terms, right: Terms) -> tuple[Terms, Price]:
        """A product of two such Jacobians, and what it costs."""
        key = id(left), id(right)
        if key not in self.made:
            product = bounded(compose(left, right))
            self.made[key] = self.alike(product), price_beyond(product, (*left, *right))
        return self.made[key]


def _form(term: Term) -> tuple:
    """What the price of a term's products depends on: its form, and what its arrays are."""
    arrays = []
    for factor in term.factors:
        matrix = matrix_of(factor.node)
        applied = None if matrix is None else (id(matrix.operator), matrix.target, matrix.source)
        arrays.append((type(factor.node), applied))
    return term.form, term.coefficient, tuple(arrays)


def _cheapest_split(
    best: dict[tuple[int, int], tuple[Price, Terms, int]], products: _Products, i: int, j: int
) -> tuple[Price, Terms, int]:
    candidates = []
    for k in range(i + 1, j):
        (below, right, _), (above, left, _) = best[i, k], best[k, j]
        product, price = products.product(left, right)
        candidates.append((below.plus(above).plus(price), product, k))
    return min(candidates, key=lambda candidate: (candidate[0], candidate[2]))


def _unwind(best: dict, i: int, j: int, order: list[int]) -> None:
    split = best[i, j][2]
    if split >= 0:
        _unwind(best, i, split, order)
        _unwind(best, split, j, order)
        order.append(split)


def _path(state: Elimination) -> list[int] | None:
    """The vertices from input to output where each has one successor and one predecessor."""
    (first,), (last,) = state.graph.inputs, state.graph.outputs
    path = [first]
    while path[-1] != last:
        following = state.out.get(path[-1], {})
        if len(following) != 1:
            return None
        path.extend(following)
        if len(state.into[path[-1]]) != 1:
            return None
    return path
