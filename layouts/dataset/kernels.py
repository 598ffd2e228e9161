"""The tangent kernel of a data set, `J Jᵀ`, by blocks of two batches, each written in its place."""

from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from layouts.dataset.samples import Progress, Samples, nested, over, tell
from layouts.errors import LayoutError
from layouts.jacobian import Jacobian


def tangent_kernel(
    samples: Samples, size: int, traced: tuple[int, ...], mesh: Mesh | None, report: Progress
) -> Any:
    """`J Jᵀ`, all rows here or on each device its own."""
    leaves, outer = jax.tree.flatten(jax.eval_shape(samples.batched, *samples.args))
    for leaf in leaves:
        _check_traced(traced, leaf.shape[1:])
    if mesh is None:
        rows = _rows_of_kernel(samples, samples, size, traced, report)
        return nested(rows, outer, outer)
    if samples.count % mesh.size:
        raise LayoutError(
            "mesh",
            f"a number of devices that divides the {samples.count} samples, so that each has as "
            "many rows of the kernel",
            f"{mesh.size} devices",
            "use a mesh of a size that divides them, or leave samples out",
        )
    rows = over(
        mesh,
        samples,
        lambda own, all_: _rows_of_kernel(own, all_, min(size, own.count), traced, report),
        PartitionSpec(tuple(mesh.axis_names)),
    )
    return nested(rows, outer, outer)


def _rows_of_kernel(
    own: Samples, everyone: Samples, size: int, traced: tuple[int, ...], report: Progress
) -> list[list[jax.Array]]:
    """The kernel's rows of some samples, by blocks of two batches, each written in its place.

    The last batch overlaps the one before where they do not divide. Where rows and columns are the
    same samples, each block gives its mirror image too.
    """
    same = own is everyone
    pairs = [
        (row, column)
        for row in range(-(-own.count // size))
        for column in range(row if same else 0, -(-everyone.count // size))
    ]
    starts = np.minimum(np.array(pairs) * size, [own.count - size, everyone.count - size])
    shapes = jax.eval_shape(lambda: _gram_out(own[:size], everyone[:size], traced))
    ranks = _ranks(shapes)

    def step(number: jax.Array, kernel: list[list[jax.Array]]) -> list[list[jax.Array]]:
        row, column = jnp.asarray(starts)[number]
        block = _gram_out(own.block(row, size), everyone.block(column, size), traced)
        if same:  # the mirror image first: where it meets the block, both are the same
            kernel = _written(kernel, _mirrored(block, ranks), column, row, ranks)
        tell(report, number)
        return _written(kernel, block, row, column, ranks)

    empty = [
        [jnp.zeros(_whole(leaf.shape, rank, own.count, everyone.count), leaf.dtype) for leaf in row]
        for row, rank in zip(shapes, ranks, strict=True)
    ]
    return lax.fori_loop(0, len(pairs), step, empty)


def _gram_out(rows: Samples, columns: Samples, traced: tuple[int, ...]) -> list[list[jax.Array]]:
    """`J_rows J_columnsᵀ` of two batches, for each pair of output leaves."""
    left, right = rows.jacobians(), columns.jacobians()
    products = [
        [reduce(add, (a @ b.T for a, b in zip(one, other, strict=True))) for other in right]
        for one in left
    ]
    return [[_traced(product, traced) for product in row] for row in products]


def _traced(product: Jacobian, axes: tuple[int, ...]) -> jax.Array:
    """The kernel of two batches, summed over the diagonal of some axes of a sample's output."""
    rank, total = len(product.out_shape), len(product.shape)
    left, right = list(range(rank)), list(range(rank, total))
    for axis in axes:
        right[axis + 1] = left[axis + 1]
    kept = [n for n in left + right if (left + right).count(n) == 1]
    return jnp.einsum(product.dense(), left + right, kept)


def _written(
    kernel: list[list[jax.Array]],
    block: list[list[jax.Array]],
    row: jax.Array,
    column: jax.Array,
    ranks: list[int],
) -> list[list[jax.Array]]:
    """The kernel with a block in its place."""
    return [
        [
            lax.dynamic_update_slice(
                whole, part, [row, *[0] * (rank - 1), column, *[0] * (part.ndim - rank - 1)]
            )
            for whole, part in zip(wholes, parts, strict=True)
        ]
        for wholes, parts, rank in zip(kernel, block, ranks, strict=True)
    ]


def _mirrored(block: list[list[jax.Array]], ranks: list[int]) -> list[list[jax.Array]]:
    """The transposed block, of the columns' samples by the rows'."""

    def turned(array: jax.Array, rank: int) -> jax.Array:
        return jnp.transpose(array, (*range(rank, array.ndim), *range(rank)))

    count = range(len(block))
    return [[turned(block[b][a], ranks[b]) for b in count] for a in count]


def _whole(shape: tuple[int, ...], rank: int, rows: int, columns: int) -> tuple[int, ...]:
    """The shape of the kernel, from that of a block."""
    return (rows, *shape[1:rank], columns, *shape[rank + 1 :])


def _ranks(block: list[list[Any]]) -> list[int]:
    """The axes that the rows have in each leaf: half of those on the diagonal."""
    return [block[n][n].ndim // 2 for n in range(len(block))]


def _check_traced(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(set(axes)) < len(axes) or not all(0 <= axis < len(shape) for axis in axes):
        raise LayoutError(
            "trace_axes",
            f"different axes of one sample's output, of shape {shape}, counted from 0",
            repr(axes),
            "leave trace_axes out to keep the whole kernel",
        )
