"""Programs of so many slices that they are better applied as a whole than taken apart.

Each slice is a delta with an offset, and so is every product of them: after a hundred a Jacobian
has many terms that store little, all of them added up at every entry. An explicit time step, an
associative scan, a long unrolled loop over rows do so. JAX pushes or pulls all columns through such
a program at once, and that is what is left to do; along an axis that is never mixed (the samples of
a batch) for all entries together. This module imports no JAX.
"""

from layouts.algebra import tied_axes
from layouts.graph import Graph

# Measured on CPUs: programs with as many selections are 1 to 50 times as fast as a whole, of those
# with half as many some are twice as slow.
MANY = 48


def crowded(graph: Graph) -> bool:
    """Whether a program has many selections; where the samples of a batch stay apart, many slices.

    What has to be applied in one direction keeps its own plan, and so do several inputs or outputs
    of which the samples stay apart.
    """
    selections = [t.selections for terms in graph.edges.values() for t in terms if t.selections]
    bound = any(o.no_matrix or o.matrix_by or o.collective for o in graph.operators)
    if len(selections) < MANY or bound or graph.mixed:
        return False
    if not any(_apart(graph).values()):
        return True
    slices = sum(any(s.label.size > 1 for s in some) for some in selections)
    return slices >= MANY and len(graph.inputs) == len(graph.outputs) == 1


def untouched(graph: Graph) -> dict[int, int]:
    """The axes of one output that are those of one input, entry for entry: output axis → input's.

    Empty where there are several inputs or outputs.
    """
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        return {}
    (pairs,) = _apart(graph).values()
    return {axis: other for axis, (_, other) in sorted(pairs)}


def _apart(graph: Graph) -> dict[int, set[tuple[int, tuple[int, int]]]]:
    """For each output its axes that are an input's, entry for entry, with that input and axis."""
    into: dict[int, list[tuple[int, dict[int, int]]]] = {}
    for (source, target), terms in graph.edges.items():
        into.setdefault(target, []).append((source, tied_axes(terms)))
    apart: dict[int, set[tuple[int, tuple[int, int]]]] = {}
    for vertex, shape in enumerate(graph.shapes):
        ways = [
            {
                (axis, origin)
                for axis, other in ties.items()
                for at, origin in apart[s]
                if at == other
            }
            for s, ties in into.get(vertex, [])
        ]
        own = {(axis, (vertex, axis)) for axis, extent in enumerate(shape) if extent > 1}
        given = own if vertex in graph.inputs else set()
        apart[vertex] = set.intersection(*ways) if ways else given
    return {vertex: apart[vertex] for vertex in graph.outputs}
