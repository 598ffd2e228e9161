"""Which blocks a budget allows, and the one compiled program for each output or input."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts import budget
from layouts.errors import LayoutError
from layouts.linearize import Linearized
from layouts.nodes import Leaf
from layouts.plan import Plan
from layouts.plan.plan import roots
from layouts.program import schedule


@dataclass(frozen=True, eq=False)
class Part:
    """The blocks of one output (rows) or of one input (columns).

    Attributes:
        blocks: how they were planned.
        used: the residuals that the program reads.
        run: the compiled program, from the first entry's number and those residuals to one array
            for each array on the other side.
        jaxpr: the program as JAX traced it.
        peak_bytes: the most bytes alive at once, the residuals of all parts and the block before
            included.
    """

    blocks: budget.Blocks
    used: tuple[int, ...]
    run: Callable[..., list[jax.Array]]
    jaxpr: Any
    peak_bytes: int

    @property
    def entries(self) -> int:
        """The rows or columns in all."""
        return prod(self.blocks.graph.shapes[self.blocks.vertex])

    def place(self, number: int) -> slice:
        """The rows or columns of a block; the last block may be the shorter one."""
        first = number * self.blocks.size
        return slice(first, min(first + self.blocks.size, self.entries))


def part_of(
    linearized: Linearized,
    side: str,
    vertex: int,
    dtypes: budget.Dtypes,
    order: str | Plan,
    limit: int,
) -> Part:
    """Find the largest blocks that fit, by the plan's count first and then by XLA's.

    Args:
        linearized: the function at its arguments.
        side: "out" for rows, "in" for columns.
        vertex: the output or input.
        dtypes: of each input's vertex.
        order: how a block is planned.
        limit: the budget in bytes.

    Raises:
        LayoutError: not even one row or column fits.
    """
    graph = linearized.graph
    leaves = [node for node in schedule(roots(graph.edges))[0] if isinstance(node, Leaf)]
    held = sum(leaf.nbytes for leaf in leaves)
    row = _bytes_of_one(linearized, side, vertex, dtypes)
    least = held + 2 * row
    for size in _sizes(prod(graph.shapes[vertex])):
        if held + 2 * size * row > limit:
            continue
        blocks = budget.block(graph, side, vertex, size, order, dtypes)
        if size > 1 and blocks.peak_bytes + size * row > limit:
            continue
        part = _compiled(blocks, linearized.residuals, held)
        if part.peak_bytes <= limit:
            return part
        least = part.peak_bytes
    raise LayoutError(
        "memory_limit",
        f"at least {least:,} bytes, for one {'row' if side == 'out' else 'column'} at a time",
        f"{limit:,} bytes",
        f"raise the limit, pass axis={'in' if side == 'out' else 'out'!r}, or keep the Jacobian "
        "structured: layouts.jacobian(structured=True)",
    )


def _bytes_of_one(linearized: Linearized, side: str, vertex: int, dtypes: budget.Dtypes) -> int:
    """The bytes of one dense row by all inputs, or of one column of all outputs."""
    graph = linearized.graph
    if side == "in":
        return graph.size(graph.outputs) * jnp.dtype(dtypes[vertex]).itemsize
    return sum(prod(graph.shapes[n]) * jnp.dtype(dtypes[n]).itemsize for n in graph.inputs)


def _sizes(entries: int) -> Iterator[int]:
    """All entries, then powers of two: those are cut into even chunks."""
    yield entries
    size = 1 << max(entries - 1, 0).bit_length() >> 1
    while size and entries > 1:
        yield size
        size >>= 1


def _compiled(blocks: budget.Blocks, residuals: Sequence[jax.Array], held: int) -> Part:
    """Compile the program of one block, and let XLA count what it takes."""
    count = len(residuals)
    ordered, _ = schedule(blocks.program.values())
    used = sorted({node.index for node in ordered if isinstance(node, Leaf)} - {count})

    def program(first: jax.Array, *arrays: jax.Array) -> list[jax.Array]:
        given: list[jax.Array | None] = [None] * count
        for index, array in zip(used, arrays, strict=True):
            given[index] = array
        return budget.one_block(blocks, given, first)

    traced = jax.jit(program).trace(np.int32(0), *[residuals[index] for index in used])
    compiled = traced.lower().compile()
    memory = compiled.memory_analysis()
    result = memory.output_size_in_bytes
    entries = prod(blocks.graph.shapes[blocks.vertex])
    cut = result if entries % blocks.size else 0  # the last block is copied to its shorter self
    peak = held + 2 * result + max(memory.temp_size_in_bytes, cut)
    return Part(blocks, tuple(used), compiled, traced.jaxpr, peak)
