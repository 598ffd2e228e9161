"""A plan: an order of elimination, with what it costs."""

from collections.abc import Iterable
from dataclasses import dataclass

from layouts.algebra import settle
from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.plan import orders
from layouts.plan.elimination import Elimination, Step
from layouts.program import Cost, Node, cost
from layouts.terms import Terms

# What a dense answer adds: the same for every order, so that it is not part of the choice.
Results = dict[tuple[int, int], Terms]


@dataclass(frozen=True)
class Plan:
    """In which order the intermediates of a function are eliminated.

    Attributes:
        name: "forward", "reverse", "greedy" or "optimal" (exact, on a chain).
        steps: what is done, in order.
        cost: what it costs.
        fingerprint: the graph that it is for.
        vertices: for each vertex its primitive and shape, for printing.
        opaque: the names of the parts that have no structure.
    """

    name: str
    steps: tuple[Step, ...]
    cost: Cost
    fingerprint: tuple
    vertices: tuple[tuple[str, tuple[int, ...]], ...] = ()
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
        return _settled(Elimination(graph).run(self.steps))

    def __str__(self) -> str:
        """The steps, one a line."""
        lines = [
            f"{self.name}: {self.cost.multiplications:,} multiplications, "
            f"{self.cost.additions:,} additions, peak {self.cost.peak_bytes:,} bytes"
        ]
        for kind, number in self.steps:
            if kind == "eliminate":
                primitive, shape = self.vertices[number]
                what = f"v{number} {primitive} {'×'.join(map(str, shape)) or 'scalar'}"
            else:
                what = f"{self.opaque[number]} (opaque)"
            lines.append(f"  {kind} {what}")
        return "\n".join(lines)


def fingerprint(graph: Graph) -> tuple:
    """What two graphs must share for a plan of one to fit the other."""
    return (
        tuple(graph.shapes),
        graph.inputs,
        graph.outputs,
        tuple(sorted(graph.edges)),
        tuple(opaque.name for opaque in graph.opaques),
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


def _costed(graph: Graph, name: str, steps: tuple[Step, ...]) -> Plan:
    results = _settled(Elimination(graph).run(steps))
    return Plan(
        name,
        steps,
        cost(roots(results)),
        fingerprint(graph),
        tuple(zip(graph.labels, graph.shapes, strict=True)),
        tuple(opaque.name for opaque in graph.opaques),
    )


def _forward(graph: Graph) -> Iterable[tuple[str, tuple[Step, ...]]]:
    yield "forward", orders.forward(graph)


def _reverse(graph: Graph) -> Iterable[tuple[str, tuple[Step, ...]]]:
    yield "reverse", orders.reverse(graph)


def _all(graph: Graph) -> Iterable[tuple[str, tuple[Step, ...]]]:
    """Every order worth costing; opaque maps that go one way only rule some of them out."""
    pushable = [place for place, o in enumerate(graph.opaques) if "push" not in o.directions]
    pullable = [place for place, o in enumerate(graph.opaques) if "pull" not in o.directions]
    most = min(pushable, default=len(graph.opaques))
    least = max(pullable, default=-1) + 1
    if most == len(graph.opaques):
        yield from _forward(graph)
    if least == 0:
        yield from _reverse(graph)
    for pushed in sorted({min(least, most), most}):
        yield "greedy", orders.mixed(graph, pushed)
    exact = orders.chain(graph)
    if exact is not None:
        yield "optimal", exact
