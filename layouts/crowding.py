"""Programs that are better applied as a whole than taken apart: many slices, many small steps.

Each slice is a delta with an offset, and so is every product of them: after a hundred a Jacobian
has many terms that store little, all of them added up at every entry. An explicit time step, an
associative scan, a long unrolled loop over rows do so. JAX pushes or pulls all columns through such
a program at once, and that is what is left to do; along an axis that is never mixed (the samples of
a batch) for all entries together. So it is with a loop of small products that structure hardly
makes fewer, and with the single row of a gradient. This module imports no JAX.
"""

from collections.abc import Collection, Sequence
from math import prod
from typing import NamedTuple

from layouts.algebra import tied_axes
from layouts.graph import Graph
from layouts.nodes import Contract, Node, Put
from layouts.program import Cost, count_stored, schedule

# Measured on CPUs: programs with as many selections are 1 to 50 times as fast as a whole, of those
# with half as many some are twice as slow.
MANY = 48

# Measured on CPUs, of some 320 functions: to move so many bytes takes as long as a multiplication,
# to store an array as long as so many, and each step, stored or not, as long as so many.
BYTES, TO_STORE, A_STEP = 50, 8000, 1000

# An entry that is put at its place by itself, as XLA scatters, takes as long as so many.
TO_PLACE = 10

# Bytes moved beyond those of JAX's own program and beyond a cache: measured on CPUs, of matrices of
# operators that are written out only to be summed, 10 to 300 times as slow as to apply these.
CACHE, FAR_BYTES = 2**23, 5

# A plan that takes hardly less than JAX's own program is no faster, and compiles for longer; so
# with a single row, as of a gradient, or a single column, which JAX makes with nothing to spare.
WORTH_A_PLAN = 0.9


class Work(NamedTuple):
    """What a program does once: multiplications, bytes moved, arrays stored, and all its steps.

    And how many entries it puts at their places one at a time, and whether it turns the left matrix
    of a product `Aᵀ B` first, which JAX's own does not.
    """

    multiplications: int
    moved_bytes: int
    stored: int
    steps: int
    placed: int = 0
    turning: bool = False


def planned_work(cost: Cost, roots: Sequence[Node]) -> Work:
    """What a plan does.

    Args:
        cost: of the plan.
        roots: the nodes whose values it makes.
    """
    steps, place = schedule(roots)
    turning = any(isinstance(step, Contract) and step.both_read_down for step in steps)
    stored = count_stored(roots, steps, place)
    placed = sum(step.additions for step in steps if isinstance(step, Put))
    return Work(cost.multiplications, cost.moved_bytes, stored, len(steps), placed, turning)


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


def takes_longer(graph: Graph, planned: Work, its: Work) -> bool:
    """Whether a plan is expected to take longer than its program, applied to all columns or rows.

    Args:
        graph: what was planned.
        planned: what the plan does.
        its: what the program does that JAX linearises to, applied once.
    """
    if _bound(graph):
        return False
    times = _times(graph)
    far = max(planned.moved_bytes - times * its.moved_bytes - CACHE, 0) // FAR_BYTES
    if 1 in (graph.size(graph.inputs), graph.size(graph.outputs)):
        saving = planned.multiplications + far <= WORTH_A_PLAN * its.multiplications
        return not (saving or planned.turning)
    return far + _time(planned, 1) > WORTH_A_PLAN * _time(its, times) + TO_STORE


def _time(work: Work, times: int) -> int:
    """In multiplications; of an array that is stored for several columns at once, one is stored."""
    each = work.multiplications + work.moved_bytes // BYTES + TO_PLACE * work.placed
    return times * each + TO_STORE * work.stored + A_STEP * work.steps


def fewer(graph: Graph) -> str:
    """The direction in which a program is applied to fewer columns: "push" or "pull"."""
    return "push" if graph.size(graph.inputs) <= graph.size(graph.outputs) else "pull"


def pushed(graph: Graph, loops: Collection[bool]) -> bool:
    """Whether a program of loops is to be pushed: it has fewer columns than rows.

    Args:
        graph: the program.
        loops: which ways they run; where both, so they do in the program that pulls, and of as many
            columns as rows neither are had sooner.
    """
    columns, rows = graph.size(graph.inputs), graph.size(graph.outputs)
    return len(loops) > 0 and (columns < rows or (columns == rows and len(loops) > 1))


def _times(graph: Graph) -> int:
    """How often a program is applied for all columns or rows: once for samples that stay apart."""
    columns, rows = graph.size(graph.inputs), graph.size(graph.outputs)
    apart = prod(graph.shapes[graph.outputs[0]][axis] for axis in untouched(graph))
    return min(columns, rows) // max(apart, 1)


def _bound(graph: Graph) -> bool:
    """Whether what a program does may be applied in one direction alone.

    Between real ends a program of complex arrays is as real as any.
    """
    real = not any(graph.complex[vertex] for vertex in (*graph.inputs, *graph.outputs))
    return (graph.mixed and not real) or any(
        o.no_matrix or o.collective or (len(o.directions) < 2 and not (real and o.matrix_by))
        for o in graph.operators
    )


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
