"""Programs that are better applied as a whole than taken apart: many slices, many small steps.

Each slice is a delta with an offset, and so is every product of them: after a hundred a Jacobian
has many terms that store little, all of them added up at every entry. An explicit time step, an
associative scan, a long unrolled loop over rows do so. JAX pushes or pulls all columns through such
a program at once, and that is what is left to do; along an axis that is never mixed (the samples of
a batch) for all entries together. So it is with a loop of small products that structure hardly
makes fewer. This module imports no JAX.
"""

from layouts.algebra import tied_axes
from layouts.graph import Graph
from layouts.program import Cost

# Measured on CPUs: programs with as many selections are 1 to 50 times as fast as a whole, of those
# with half as many some are twice as slow.
MANY = 48

# Measured on CPUs: to store an array takes as long as so many multiplications. Plans that store as
# few more arrays than the program itself are not compared with it.
TO_STORE, FEW = 5000, 4


def crowded(graph: Graph) -> bool:
    """Whether a program has many selections; where the samples of a batch stay apart, many slices.

    What has to be applied in one direction keeps its own plan, and so do several inputs or outputs
    of which the samples stay apart.
    """
    selections = [t.selections for terms in graph.edges.values() for t in terms if t.selections]
    if len(selections) < MANY or _bound(graph):
        return False
    if not any(_apart(graph).values()):
        return True
    slices = sum(any(s.label.size > 1 for s in some) for some in selections)
    return slices >= MANY and len(graph.inputs) == len(graph.outputs) == 1


def takes_small_steps(graph: Graph, stored: int, its: int) -> bool:
    """Whether a plan stores so many more arrays than the program that both are to be compared.

    Args:
        graph: what was planned.
        stored: how many arrays the plan stores.
        its: how many the program stores.
    """
    return stored > its + FEW and not _bound(graph)


def takes_longer(planned: Cost, stored: int, whole: Cost, its: int) -> bool:
    """Whether a plan is expected to take longer than the program applied as a whole.

    Args:
        planned: what the plan costs.
        stored: how many arrays it stores.
        whole: what the program costs, applied to all columns or rows.
        its: how many arrays it stores.
    """
    mine, theirs = planned.multiplications, whole.multiplications
    return mine + TO_STORE * stored > theirs + TO_STORE * its


def _bound(graph: Graph) -> bool:
    """Whether what a program does may be applied in one direction alone."""
    return graph.mixed or any(o.no_matrix or o.matrix_by or o.collective for o in graph.operators)


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
