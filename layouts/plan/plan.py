"""A plan: an order of elimination, with what it costs."""

from collections.abc import Iterable
from dataclasses import dataclass

from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.plan import orders
from layouts.plan.elimination import Elimination
from layouts.products import settle
from layouts.program import Cost, Node, cost
from layouts.terms import Terms

# What a dense answer adds: the same for every order, so that it is not part of the choice.
Results = dict[tuple[int, int], Terms]


@dataclass(frozen=True)
class Plan:
    """In which order the intermediates of a function are eliminated.

    Attributes:
        name: "forward", "reverse", "greedy" or "optimal" (exact, on a chain).
        vertices: the intermediates in the order in which they are eliminated.
        cost: what it costs.
        fingerprint: the graph that it is for.
        labels: for each vertex of the graph its primitive and shape, for printing.
        opaque: the names of the parts that have no structure.
    """

    name: str
    vertices: orders.Order
    cost: Cost
    fingerprint: tuple
    labels: tuple[tuple[str, tuple[int, ...]], ...] = ()
    opaque: tuple[str, ...] = ()

    def apply(self, graph: Graph) -> Results:
        """Eliminate on a graph: the symbolic Jacobians from each input to each output.

        Raises:
            LayoutError: the plan was made for another graph.
        """
        if self.fingerprint != fingerprint(graph):
            raise LayoutError(
                "plan",
                f"a function with {len(self.fingerprint[0])} vertices as it was planned for",
                f"a function with {len(graph.shapes)} vertices of other shapes or structure",
                "make a plan for this function and these shapes: layouts.cost(fun)(*args).plan",
            )
        return _settled(Elimination(graph).run(self.vertices))

    def __str__(self) -> str:
        """The steps, one a line."""
        lines = [
            f"{self.name}: {self.cost.multiplications:,} multiplications, "
            f"{self.cost.additions:,} additions, peak {self.cost.peak_bytes:,} bytes"
        ]
        for number in self.vertices:
            primitive, shape = self.labels[number]
            lines.append(
                f"  eliminate v{number} {primitive} {'×'.join(map(str, shape)) or 'scalar'}"
            )
        if self.opaque:
            lines.append(f"  without structure (opaque): {', '.join(self.opaque)}")
        return "\n".join(lines)


def fingerprint(graph: Graph) -> tuple:
    """What two graphs must share for a plan of one to fit the other."""
    return (
        tuple(graph.shapes),
        graph.inputs,
        graph.outputs,
        tuple(sorted(graph.edges)),
        tuple(operator.name for operator in graph.operators),
    )


def _settled(results: Results) -> Results:
    return {edge: tuple(map(settle, terms)) for edge, terms in results.items()}


def roots(results: Results) -> list[Node]:
    """The arrays that a result stores."""
    return [factor.node for terms in results.values() for term in terms for factor in term.factors]


def make_plan(graph: Graph, order: str = "auto") -> Plan:
    """Choose an order of elimination.

    Args:
        graph: the local Jacobians.
        order: "forward", "reverse" or "auto": the cheapest of forward, reverse, greedy and, on a
            chain, the exact optimum, by multiplications, then by bytes moved.

    Raises:
        LayoutError: an unknown order.
    """
    candidates = {"forward": _forward, "reverse": _reverse, "auto": _all}
    if not isinstance(order, str) or order not in candidates:
        raise LayoutError(
            "order", "'auto', 'forward', 'reverse' or a Plan", repr(order), "pass one of these"
        )
    prefix, reduced = orders.elementwise(graph)
    plans = [_costed(graph, name, prefix + rest) for name, rest in candidates[order](reduced)]
    return min(plans, key=lambda plan: (plan.cost.multiplications, plan.cost.moved_bytes))


def _costed(graph: Graph, name: str, vertices: orders.Order) -> Plan:
    results = _settled(Elimination(graph).run(vertices))
    return Plan(
        name,
        vertices,
        cost(roots(results)),
        fingerprint(graph),
        tuple(zip(graph.labels, graph.shapes, strict=True)),
        graph.opaque,
    )


def _forward(graph: Graph) -> Iterable[tuple[str, orders.Order]]:
    yield "forward", orders.forward(graph)


def _reverse(graph: Graph) -> Iterable[tuple[str, orders.Order]]:
    yield "reverse", orders.reverse(graph)


def _all(graph: Graph) -> Iterable[tuple[str, orders.Order]]:
    """Every order worth costing.

    A map that conjugates is no matrix: it is right only when applied to columns that start at real
    inputs, or to rows that start at real outputs.
    """
    yield from _forward(graph)
    yield from _reverse(graph)
    if any(operator.real_linear for operator in graph.operators):
        return
    yield "greedy", orders.greedy(graph)
    exact = orders.chain(graph)
    if exact is not None:
        yield "optimal", exact
