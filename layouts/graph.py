"""The graph of local Jacobians: vertices are the intermediates, edges are sums of terms."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from layouts.algebra import combine
from layouts.nodes import Leaf, Operator
from layouts.products import matrix_of
from layouts.terms import Terms


@dataclass
class Graph:
    """A linear program as a graph; vertex numbers are a topological order.

    Attributes:
        shapes: the shape of each vertex.
        itemsizes: the bytes per entry of each vertex.
        complex: whether the entries of each vertex are complex.
        inputs: the vertices differentiated by.
        outputs: the vertices differentiated.
        edges: the local Jacobian from one vertex to another; parallel edges have been added.
        labels: the name of the primitive that made each vertex, for printing.
        leaves: the symbolic residuals.
        spread: inside `jax.shard_map`, whether devices hold different outputs.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    itemsizes: list[int] = field(default_factory=list)
    complex: list[bool] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    edges: dict[tuple[int, int], Terms] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    spread: bool = False

    def add_vertex(
        self, shape: Sequence[int], itemsize: int, label: str, complex: bool = False
    ) -> int:
        """Append a vertex; returns its number."""
        self.shapes.append(tuple(shape))
        self.itemsizes.append(itemsize)
        self.complex.append(complex)
        self.labels.append(label)
        return len(self.shapes) - 1

    def add_edge(self, source: int, target: int, terms: Terms) -> None:
        """Add a local Jacobian; a second edge between the same vertices adds to the first."""
        if terms:
            before = self.edges.get((source, target), ())
            self.edges[source, target] = combine((*before, *terms)) if before else terms

    def size(self, vertices: Sequence[int]) -> int:
        """The number of entries of some vertices together."""
        return sum(prod(self.shapes[vertex]) for vertex in vertices)

    @property
    def mixed(self) -> bool:
        """Whether some vertices are complex and some are real, or a map has no matrix."""
        used = {vertex for edge in self.edges for vertex in edge}
        kinds = {self.complex[vertex] for vertex in used}
        return len(kinds) == 2 or any(operator.no_matrix for operator in self.operators)

    @property
    def intermediates(self) -> list[int]:
        """The vertices to eliminate, in topological order."""
        touched = {vertex for edge in self.edges for vertex in edge}
        return sorted(touched - {*self.inputs, *self.outputs})

    @property
    def operators(self) -> list[Operator]:
        """The linear maps known by applying them, in program order."""
        factors = (f for terms in self.edges.values() for term in terms for f in term.factors)
        matrices = (matrix_of(factor.node) for factor in factors)
        return list(dict.fromkeys(m.operator for m in matrices if m is not None and m.operator))

    @property
    def opaque(self) -> tuple[str, ...]:
        """The primitives without any structure, in program order."""
        return tuple(operator.name for operator in self.operators if operator.opaque)

    @property
    def applied(self) -> tuple[str, ...]:
        """The primitives that are applied on some axes and leave others alone."""
        return tuple(operator.name for operator in self.operators if not operator.opaque)

    def pruned(self) -> "Graph":
        """Without the vertices that no input reaches or that reach no output."""
        ahead = [*self.edges]
        live = _reach(self.inputs, ahead) & _reach(self.outputs, [(v, u) for u, v in ahead])
        self.edges = {(u, v): e for (u, v), e in self.edges.items() if u in live and v in live}
        return self


def _reach(start: Sequence[int], arrows: Sequence[tuple[int, int]]) -> set[int]:
    following: dict[int, list[int]] = {}
    for source, target in arrows:
        following.setdefault(source, []).append(target)
    reached, frontier = set(start), list(start)
    while frontier:
        for vertex in following.get(frontier.pop(), ()):
            if vertex not in reached:
                reached.add(vertex)
                frontier.append(vertex)
    return reached
