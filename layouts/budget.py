"""Dense Jacobians under a memory budget: in blocks of rows or columns, one after another.

A block of rows is the Jacobian of a selection of the output's entries, a block of columns that by a
selection of the input's: one more vertex at one end of the graph. So blocks are planned like any
other graph, and their peak is counted before anything is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from layouts.algebra import compose, transpose, write
from layouts.applying import cast
from layouts.axes import Label, fresh_axes, regroup
from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.mesh import partitioned
from layouts.nodes import Leaf, Node
from layouts.plan import Plan, Results, choose
from layouts.program import cost
from layouts.selection import Selection
from layouts.terms import Term, Terms, one_hot

Dtypes = dict[int, Any]
Program = dict[tuple[int, int], Node]


@dataclass(frozen=True)
class Blocks:
    """How one leaf of an output (rows) or of an input (columns) is worked through.

    Attributes:
        side: "out" for rows, "in" for columns.
        vertex: the output's or input's vertex.
        size: entries of a block.
        count: how many blocks; the last one overlaps the one before where they do not divide.
        graph: the graph of one block; its last leaf holds the places of the block's entries.
        program: the dense block for each pair of an input and an output of that graph.
        dtypes: of each input's vertex.
        peak_bytes: of one block, residuals included, the whole result apart.
        multiplications: of all blocks together.
    """

    side: str
    vertex: int
    size: int
    count: int
    graph: Graph
    program: Program
    dtypes: Dtypes
    peak_bytes: int
    multiplications: int


def check(limit: Any) -> None:
    """Hold a budget against what one can be.

    Raises:
        LayoutError: no whole number.
    """
    if not (hasattr(limit, "__index__") or (isinstance(limit, float) and limit.is_integer())):
        raise LayoutError(
            "memory_limit", "a whole number of bytes", repr(limit), "pass 2**30 for 1 GiB"
        )


def within(
    graph: Graph, results: Results, order: str | Plan, dtypes: Dtypes, limit: int
) -> list[Blocks] | None:
    """Find blocks that keep a dense result within a budget.

    Args:
        graph: the local Jacobians.
        results: the terms of the whole Jacobian.
        order: how each block is planned.
        dtypes: of each input's vertex.
        limit: the budget in bytes, for residuals, intermediates and the result together.

    Returns:
        Blocks for each output or for each input; None where the whole fits at once.

    Raises:
        LayoutError: not even one row or column at a time fits.
    """
    at_once = _dense(graph, results, dtypes)
    whole = sum(node.nbytes for node in at_once.values())
    least = [cost(tuple(at_once.values())).peak_bytes]
    if least[0] <= limit:
        return None
    found = []
    for side in ("out", "in"):
        ends = graph.outputs if side == "out" else graph.inputs
        blocks = [_largest(graph, side, vertex, order, dtypes, limit - whole) for vertex in ends]
        least.append(max((b.peak_bytes for b in blocks), default=0) + whole)
        if all(b.peak_bytes + whole <= limit for b in blocks):
            found.append(blocks)
    if not found:
        raise LayoutError(
            "memory_limit",
            f"at least {min(least):,} bytes, of which the dense result takes {whole:,}, one row or "
            "column at a time",
            f"{limit:,} bytes",
            "raise the limit, or keep the Jacobian structured: structured=True",
        )
    return min(found, key=lambda blocks: sum(b.multiplications for b in blocks))


def _dense(graph: Graph, results: Results, dtypes: Dtypes) -> Program:
    """The dense array for each pair of an input and an output."""
    return {
        (source, target): write(
            terms,
            graph.shapes[target] + graph.shapes[source],
            jnp.dtype(dtypes[source]).itemsize,
        )
        for (source, target), terms in results.items()
    }


def _largest(
    graph: Graph, side: str, vertex: int, order: str | Plan, dtypes: Dtypes, room: int
) -> Blocks:
    """The largest blocks of one end that fit, by halves; the smallest peak where none does."""
    size = prod(graph.shapes[vertex])
    tried: list[Blocks] = []
    while size > 1 or not tried:
        size = max(1, -(-size // 2))
        tried.append(block(graph, side, vertex, size, order, dtypes))
        if tried[-1].peak_bytes <= room:
            return tried[-1]
    return min(tried, key=lambda blocks: blocks.peak_bytes)


def block(
    graph: Graph, side: str, vertex: int, size: int, order: str | Plan, dtypes: Dtypes
) -> Blocks:
    """Plan blocks of one size.

    Args:
        graph: the local Jacobians.
        side: "out" for rows of an output, "in" for columns of an input.
        vertex: that output or input.
        size: entries of a block, at most those of the vertex.
        order: how the block is planned; of a plan made for the whole graph nothing is taken over.
        dtypes: of each input's vertex.
    """
    # A choice of entries keeps structure, but an operator has entries only once its whole matrix is
    # written out; it is applied to zeros and ones instead, where that takes less.
    ways = (False, True) if graph.operators else (False,)
    found = [_block(graph, side, vertex, size, order, dtypes, by_numbers) for by_numbers in ways]
    return min(found, key=lambda blocks: blocks.peak_bytes)


def _block(
    graph: Graph,
    side: str,
    vertex: int,
    size: int,
    order: str | Plan,
    dtypes: Dtypes,
    by_numbers: bool,
) -> Blocks:
    part = _selecting(graph, side, vertex, size, by_numbers)
    if side == "in":
        dtypes = {part.inputs[0]: dtypes[vertex]}
    plan, results = choose(part, "auto" if isinstance(order, Plan) else order, dense=True)
    program = _dense(part, results, dtypes)
    peak = cost(tuple(program.values())).peak_bytes
    count = -(-prod(graph.shapes[vertex]) // size)
    work = count * plan.cost.multiplications
    return Blocks(side, vertex, size, count, part, program, dtypes, peak, work)


def _selecting(graph: Graph, side: str, vertex: int, size: int, by_numbers: bool) -> Graph:
    """The graph of one block: at one end a vertex of its entries, told by a table of places."""
    part = replace(
        graph,
        shapes=list(graph.shapes),
        itemsizes=list(graph.itemsizes),
        complex=list(graph.complex),
        labels=list(graph.labels),
        edges=dict(graph.edges),
        leaves=list(graph.leaves),
    )
    shape = graph.shapes[vertex]
    block = part.add_vertex(
        (size,), graph.itemsizes[vertex], f"block of {side}", graph.complex[vertex]
    )
    table = Leaf((size,), 4, (), len(graph.leaves))
    part.leaves.append(table)
    pick = _picked(shape, table, by_numbers)
    if side == "out":
        part.edges[vertex, block] = pick
        part.outputs = (block,)
    else:
        part.edges[block, vertex] = transpose(pick)
        part.inputs = (block,)
    return part.pruned()


def _picked(shape: Sequence[int], table: Leaf, by_numbers: bool) -> Terms:
    """`block[n] = flat[table[n]]`, flat the entries of an array by rows.

    A selection, or a product with a matrix of zeros and ones.
    """
    both = regroup(fresh_axes(shape), (prod(shape),))
    assert both is not None
    if prod(shape) == 1:
        return (Term(((),), both[0]),)
    place, label = Label(prod(shape)), Label(table.size)
    selection = Selection(place, label, table=table)
    if by_numbers:
        pick = Term(((label,),), ((place,),), (one_hot(selection),))
    else:
        pick = Term(((label,),), ((place,),), (), 1, (selection,))
    return compose((pick,), (Term(both[1], both[0]),))


def compute(
    blocks: Sequence[Blocks], residuals: Sequence[jax.Array]
) -> dict[tuple[int, int], jax.Array]:
    """Work through all blocks; the dense array for each pair of an input and an output.

    Args:
        blocks: what `within` found.
        residuals: the array for each leaf of the whole graph.
    """
    found = {}
    for part in blocks:
        whole = part.graph.shapes[part.vertex]
        for pair, array in _worked_through(part, residuals).items():
            source, target = pair
            shapes = part.graph.shapes
            if part.side == "out":
                found[source, part.vertex] = jnp.reshape(array, whole + shapes[source])
            else:
                found[part.vertex, target] = jnp.reshape(array, shapes[target] + whole)
    return found


def _worked_through(
    part: Blocks, residuals: Sequence[jax.Array]
) -> dict[tuple[int, int], jax.Array]:
    """Blocks written one after another into arrays of all rows, or of all columns."""
    entries = prod(part.graph.shapes[part.vertex])

    def step(number: jax.Array, arrays: list[jax.Array]) -> list[jax.Array]:
        first = jnp.minimum(number * part.size, entries - part.size).astype(jnp.int32)
        return [
            lax.dynamic_update_slice_in_dim(
                array, value, first, 0 if part.side == "out" else array.ndim - 1
            )
            for array, value in zip(arrays, one_block(part, residuals, first), strict=True)
        ]

    pairs = list(part.program)
    empty = [jnp.zeros(_shape_of(part, p, entries), part.dtypes[p[0]]) for p in pairs]
    return dict(zip(pairs, lax.fori_loop(0, part.count, step, empty), strict=True))


def one_block(
    part: Blocks, residuals: Sequence[jax.Array | None], first: jax.Array
) -> list[jax.Array]:
    """The rows, or the columns, from one place on.

    Args:
        part: the blocks.
        residuals: the array for each leaf of the whole graph; those that no block reads may lack.
        first: the first entry of the block, an int32 scalar; the block ends within the whole.

    Returns:
        For each pair of `part.program` an array of block size + input shape (rows) or
        output shape + block size (columns).
    """
    places = first + jnp.arange(part.size, dtype=jnp.int32)
    nodes = list(part.program.values())
    values = partitioned.compute(nodes, [*residuals, places], [None] * len(nodes))  # type: ignore[list-item]
    return [
        cast(jnp.reshape(value, _shape_of(part, pair, part.size)), part.dtypes[pair[0]])
        for value, pair in zip(values, part.program, strict=True)
    ]


def _shape_of(part: Blocks, pair: tuple[int, int], size: int) -> tuple[int, ...]:
    source, target = pair
    shapes = part.graph.shapes
    return (size, *shapes[source]) if part.side == "out" else (*shapes[target], size)
