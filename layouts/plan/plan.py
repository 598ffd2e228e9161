"""A plan: an order of elimination, with what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from layouts.algebra import expanded
from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.nodes import Node
from layouts.plan import orders
from layouts.plan.elimination import NO_LIMIT, Elimination, Price
from layouts.plan.tree import grow, lines
from layouts.products import settle
from layouts.program import Cost, cost
from layouts.show.costs import plan_parts
from layouts.show.html import Shown, fragment
from layouts.symmetry import once
from layouts.terms import Terms

# An order is given up where it spends so many times what the best so far has spent: what is spent
# is counted product by product, and parts that turn out to be equal are computed once.
SLACK = 1.1

# Every product has an input's axes on its right, or an output's on its left.
SWEEPS = ("forward", "reverse")

# The terms from each input to each output. What writing them densely adds is the same for every
# order, and no part of the choice.
Results = dict[tuple[int, int], Terms]


@dataclass(frozen=True)
class Plan(Shown):
    """In which order the intermediates of a function are eliminated.

    Attributes:
        name: "forward", "reverse", "greedy", "greedy, then forward", "greedy, then reverse" or
            "optimal" (exact, on a chain).
        vertices: the intermediates in the order in which they are eliminated.
        cost: what it costs.
        fingerprint: the graph that it is for.
        labels: for each vertex of the graph its primitive and shape, for printing.
        opaque: the names of the parts that have no structure.
        applied: the names of those that leave some axes alone and are applied on the rest.
    """

    name: str
    vertices: tuple[int, ...]
    cost: Cost
    fingerprint: tuple
    labels: tuple[tuple[str, tuple[int, ...]], ...] = ()
    opaque: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()

    def apply(self, graph: Graph, dense: bool = False) -> Results:
        """Eliminate on a graph: the symbolic Jacobians from each input to each output.

        Args:
            graph: what the plan was made for.
            dense: as in `choose`.

        Raises:
            LayoutError: the plan was made for another graph.
        """
        if self.fingerprint != fingerprint(graph):
            raise LayoutError(
                "plan",
                f"a function with {len(self.fingerprint[0])} vertices as it was planned for",
                f"a function with {len(graph.shapes)} vertices of other shapes or structure",
                "make a plan for this function and these shapes: layouts.cost(fun)(*args).plan, "
                "for its Hessian layouts.cost(jax.grad(fun))(*args).plan",
            )
        return _settled(Elimination(graph).run(self.vertices).result(), dense)

    def tree(self) -> str:
        """Which Jacobians are multiplied, as a tree for each output and input.

        A vertex is written by its number and the primitive that made it.
        """
        _, inputs, outputs, edges, _ = self.fingerprint
        names = [f"v{number}:{primitive}" for number, (primitive, _) in enumerate(self.labels)]
        grown = grow(edges, self.vertices)
        found = [grown[pair] for pair in product(inputs, outputs) if pair in grown]
        return "\n".join(line for branch in found for line in lines(branch, names))

    def html(self) -> str:
        """The steps as a table, and the tree, as HTML."""
        steps = [(number, *self.labels[number]) for number in self.vertices]
        lacking = (self.applied, self.opaque)
        return fragment(*plan_parts(self.name, self.cost, steps, self.tree(), *lacking))

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
        if self.applied:
            lines.append(f"  applied, other axes left alone: {', '.join(self.applied)}")
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


def _settled(results: Results, dense: bool) -> Results:
    return {
        edge: tuple(settle(part) for term in terms for part in expanded(term, dense))
        for edge, terms in results.items()
    }


def roots(results: Results) -> list[Node]:
    """The arrays that a result stores."""
    return [factor.node for terms in results.values() for term in terms for factor in term.factors]


def make_plan(graph: Graph, order: str = "auto") -> Plan:
    """Choose an order of elimination; see `choose`."""
    return choose(graph, order)[0]


def choose(graph: Graph, order: "str | Plan" = "auto", dense: bool = False) -> tuple[Plan, Results]:
    """Choose an order of elimination, and eliminate.

    Args:
        graph: the local Jacobians.
        order: "forward", "reverse", a plan, or "auto": the cheapest of forward, reverse, a search
            that is greedy at first, and, on a chain, the exact optimum. None that multiplies more
            than forward or reverse; of the others the one that multiplies and moves least, and of
            equals the one that holds least at once.
        dense: whether the results are to be written densely, so that the terms of an operator are
            of use only where they are written sooner than its matrix.

    Raises:
        LayoutError: an unknown order, or a plan for another graph.
    """
    if isinstance(order, Plan):
        return order, order.apply(graph, dense)
    if order not in ("auto", *SWEEPS):
        raise LayoutError(
            "order", "'auto', 'forward', 'reverse' or a Plan", repr(order), "pass one of these"
        )
    finished: dict[tuple[Price, str], tuple[str, Elimination]] = {}
    for name, state in _candidates(graph, order):
        if not state.left:  # of searched orders that spend the same one is enough
            finished.setdefault((state.spent, name if name in SWEEPS else ""), (name, state))
    found = [_costed(graph, *pair, dense) for pair in finished.values()]
    sweeps = (plan.cost for plan, _ in found if plan.name in SWEEPS)
    most = min(cost.multiplications for cost in sweeps)
    fair = [pair for pair in found if pair[0].cost.multiplications <= most]
    return min(fair, key=lambda pair: (weight(pair[0].cost), pair[0].cost.peak_bytes))


def weight(cost: Cost) -> float:
    """Multiplications and bytes moved in one number, as a processor weighs them."""
    return Price(cost.multiplications, cost.additions, cost.moved_bytes).weight


def _costed(graph: Graph, name: str, state: Elimination, dense: bool) -> tuple[Plan, Results]:
    results = _settled(state.result(), dense)
    plan = Plan(
        name,
        tuple(state.done),
        cost(once(roots(results))),
        fingerprint(graph),
        tuple(zip(graph.labels, graph.shapes, strict=True)),
        graph.opaque,
        graph.applied,
    )
    return plan, results


def _candidates(graph: Graph, order: str) -> Iterator[tuple[str, Elimination]]:
    """Every order worth costing.

    Between real and complex arrays a product is right only where it makes columns that start at
    real inputs, or rows that start at real outputs; so is an operator that no matrix does for. A
    user's own rule for cotangents (`custom_vjp`) leaves reverse alone, as in JAX.
    """
    state = orders.start(graph)
    if order == "forward":
        yield "forward", orders.forward(state)
        return
    if order == "reverse" or any(operator.reverse_only for operator in graph.operators):
        yield "reverse", orders.reverse(state)
        return
    sweeps = [("forward", orders.forward), ("reverse", orders.reverse)]
    if any(operator.collective for operator in graph.operators):
        # Devices with rows of their own push; those with one and the same output pull together.
        name, sweep = sweeps[0 if graph.spread else 1]
        yield name, sweep(state)
        return
    if graph.size(graph.outputs) < graph.size(graph.inputs):
        sweeps.reverse()  # the one that promises to be cheaper limits what the others may spend
    limit = NO_LIMIT
    for name, sweep in sweeps:
        swept = sweep(state, limit)
        yield name, swept
        if not swept.left:
            limit = limit.tightened(swept.spent, SLACK)
    if graph.mixed:
        return
    yield from orders.searched(state, limit)
    exact = orders.chain(state)
    if exact is not None:
        yield "optimal", exact
