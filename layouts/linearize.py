"""From a function to the graph of its local Jacobians, by JAX's own linearisation.

`jax.linearize` gives a linear map; its jaxpr is a small program of linear primitives whose
constants are the residuals. `layouts.reader` turns that program into the graph.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from layouts.counting import (
    count_jaxpr,
    count_placed,
    count_stored,
    loops_over_residuals,
    primitives,
)
from layouts.crowding import Work, crowded, fewer, pushed, untouched
from layouts.graph import Graph
from layouts.reader import read, read_whole
from layouts.tracing import linear_program


@dataclass(frozen=True)
class Linearized:
    """A function's value and the graph of its local Jacobians there.

    Attributes:
        value: what the function returned, a list of leaves.
        graph: the graph; its inputs and outputs are the leaves in order.
        residuals: the array for each leaf of the graph's programs.
        work: what JAX's own program does that applies them all.
        whole: makes the graph and residuals of the function as one operator, for dense results.
    """

    value: list[jax.Array]
    graph: Graph
    residuals: list[jax.Array]
    work: Work
    whole: Callable[[], tuple[Graph, list[jax.Array]]]


def linearize(
    function: Callable[..., Sequence[jax.Array]],
    primals: Sequence[jax.Array],
    names: Sequence[str | None] = (),
    known: Sequence[tuple[Any, str]] = (),
    has_aux: bool = False,
) -> tuple[Linearized, Any]:
    """Linearise a function of a flat list of arrays at a point.

    Args:
        function: takes the primals, returns a flat list of arrays (and an auxiliary output).
        primals: where; inexact arrays or tracers.
        names: how formulas call the primals.
        known: other arrays that the function closes over, with their names.
        has_aux: the function returns a pair of its output and an auxiliary output.

    Returns:
        The value, the graph and the residuals; and the auxiliary output, or None.
    """
    given = [array for array, _ in known]
    value, closed, aux, told = linear_program(function, primals, has_aux, given)
    named = [(primal, name) for primal, name in zip(primals, names, strict=False) if name]
    apart, residuals = read(closed, [*named, *known], told)

    def push(*tangents: jax.Array) -> Any:
        return jax.jvp(function, tuple(primals), tangents, has_aux=has_aux)[1]

    def whole() -> tuple[Graph, list[jax.Array]]:
        together = pushed(apart, loops_over_residuals(closed.jaxpr))
        run = push if together else None
        return read_whole(closed, untouched(apart), (fewer(apart),), run)

    graph = apart
    if crowded(apart):
        graph, residuals = read_whole(closed, untouched(apart))
    once = count_jaxpr(closed.jaxpr)
    work = Work(
        once.multiplications,
        once.moved_bytes,
        count_stored(closed.jaxpr),
        len(primitives(closed.jaxpr)),
        count_placed(closed.jaxpr, fewer(apart)),
    )
    return Linearized(value, graph, residuals, work, whole), aux
