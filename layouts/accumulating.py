"""Tangent kernel and Gauss-Newton matrix of a whole data set, accumulated over batches and devices.

With J_n the Jacobian of sample n by the shared inputs, `Jᵀ J = Σ_n J_nᵀ J_n` is a sum over batches,
and block (n, m) of `J Jᵀ` is `J_n J_mᵀ`, a product of two batches. So only the Jacobian of a batch
is ever there, and that structured: by a layer's weights it is a product of two factors, `A[n,i,k]
X[n,l]`, which the grams multiply without writing it out.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from layouts.errors import LayoutError
from layouts.jacobian import Jacobian
from layouts.samples import Samples

Progress = Callable[[Any], None]


def gram(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    side: str = "out",
    *,
    in_axes: int | Sequence[int | None] | None,
    batch_size: int | None = None,
    loss: Callable | None = None,
    trace_axes: Sequence[int] = (),
    mesh: Mesh | None = None,
    progress: Progress | None = None,
) -> Callable:
    """`J Jᵀ` or `Jᵀ J` over a data set, J the Jacobian of all samples, which is never formed.

    Args:
        fun: of one sample; takes and returns pytrees of arrays.
        argnums: which positional arguments to differentiate by; all samples share them.
        side: "out" for the tangent kernel `J Jᵀ`, "in" for the Gauss-Newton matrix `Jᵀ J`.
        in_axes: as in `jax.vmap`, one entry for each argument: the axis of its samples, or None
            for an argument that all samples share.
        batch_size: how many samples are worked on at once, on each device; None for all.
        loss: with "in", `loss(output, *args)`, a scalar, is the loss of one sample, and
            `Σ_n J_nᵀ H_n J_n` is returned, H_n its Hessian by the output.
        trace_axes: with "out", axes of one sample's output, from 0, over whose diagonal the kernel
            is summed: with all of them it is samples × samples.
        mesh: the samples are split over all its devices. "in" adds up what they have and leaves it
            on each; "out" leaves each device its own rows of the kernel.
        progress: called with the number of each batch (of each pair of batches for "out") when it
            is done, from 0, inside compiled programs too.

    Returns:
        A function of the same arguments. "in": the tree that `jax.hessian` returns, an array of
        shape `in + in` for each pair of leaves of the input. "out": for each leaf of the output a
        tree of leaves, with arrays of shape `(samples, *out, samples, *out)`, less the traced axes.
        Complex Jacobians are not conjugated, as in `Jacobian.gram`.

    Raises:
        LayoutError: a side, batch, axis or mesh that does not fit.
        TypeError: where `layouts.jacobian` raises it.

    The tangent kernel is that of Jacot, Gabriel and Hongler (2018); the Gauss-Newton matrix with
    the loss's Hessian that of Schraudolph (2002).

    Example:
        >>> import jax.numpy as jnp
        >>> w, X = jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
        >>> linear = lambda w, x: w @ x
        >>> gram(linear, side="in", in_axes=(None, 0), batch_size=2)(w, X).tolist()  # XᵀX
        [[2.0, 1.0], [1.0, 10.0]]
        >>> gram(linear, side="out", in_axes=(None, 0), batch_size=2)(w, X).tolist()  # XXᵀ
        [[1.0, 1.0, 0.0], [1.0, 2.0, 3.0], [0.0, 3.0, 9.0]]
    """
    _check_choices(side, loss, trace_axes)

    def gram_of_fun(*args: Any) -> Any:
        samples = Samples.of(fun, argnums, in_axes, args)
        size = _checked_size(batch_size, samples.count)
        report = progress or _nothing
        if side == "in":
            return _gauss_newton(samples, size, loss, mesh, report)
        return _kernel(samples, size, tuple(trace_axes), mesh, report)

    return gram_of_fun


def _gauss_newton(
    samples: Samples, size: int, loss: Callable | None, mesh: Mesh | None, report: Progress
) -> Any:
    """`Σ_n J_nᵀ H_n J_n`; what a mesh does not divide is added on every device alike."""
    if mesh is None:
        return _accumulated(samples, size, loss, report)
    names, even = tuple(mesh.axis_names), samples.count // mesh.size * mesh.size
    total = None
    if even:
        total = _over(
            mesh,
            samples[:even],
            lambda own, _: lax.psum(_accumulated(own, min(size, own.count), loss, report), names),
            PartitionSpec(),
        )
    if even == samples.count:
        return total
    rest = samples[even:]
    left = _accumulated(rest, min(size, rest.count), loss, report)
    return left if total is None else jax.tree.map(add, total, left)


def _over(mesh: Mesh, samples: Samples, work: Callable, out_specs: PartitionSpec) -> Any:
    """Do something on every device, with its own samples and with all of them."""
    own = PartitionSpec(tuple(mesh.axis_names))
    in_specs = tuple(PartitionSpec() if axis is None else own for axis in samples.in_axes)

    def on_one_device(args: tuple, whole: tuple) -> Any:
        part = replace(samples, args=args, count=samples.count // mesh.size)
        return work(part, replace(samples, args=whole))

    # Loops that start from zeros would have to tell JAX on which devices they differ.
    mapped = jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(in_specs, PartitionSpec()),
        out_specs=out_specs,
        check_vma=False,
    )
    return mapped(samples.args, samples.args)


def _accumulated(samples: Samples, size: int, loss: Callable | None, report: Progress) -> Any:
    """`Σ_n J_nᵀ H_n J_n` over the batches, one after another, then over what is left."""
    count = samples.count // size

    def step(number: jax.Array, total: Any) -> Any:
        part = _gram_in(samples.block(number * size, size), loss)
        _tell(report, number)
        return jax.tree.map(add, total, part)

    if count == 1 and samples.count == size:
        total = _gram_in(samples, loss)
        _tell(report, 0)
        return total
    shapes = jax.eval_shape(lambda: _gram_in(samples[:size], loss))
    total = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total = lax.fori_loop(0, count, step, total)
    if rest := samples.count - count * size:
        total = jax.tree.map(add, total, _gram_in(samples[-rest:], loss))
        _tell(report, count)
    return total


def _gram_in(samples: Samples, loss: Callable | None) -> Any:
    """`Jᵀ H J` of a batch, for each pair of input leaves; the pairs below the diagonal turned."""
    rows, inner = samples.jacobians(), jax.tree.structure(samples.differentiated)
    pulled = rows if loss is None else _after(samples.loss_hessians(loss), rows)
    width = len(rows[0])
    found: dict[tuple[int, int], Jacobian] = {}
    for i in range(width):
        for j in range(i, width):
            pairs = zip(rows, pulled, strict=True)
            found[i, j] = reduce(add, (left[i].T @ right[j] for left, right in pairs))
            found[j, i] = found[i, j].T if i != j else found[i, i]
    dense = [[found[i, j].dense() for j in range(width)] for i in range(width)]
    return _nested(dense, inner, inner)


def _after(outer: list[list[Jacobian]], inner: list[list[Jacobian]]) -> list[list[Jacobian]]:
    """The products of two matrices of Jacobians."""
    return [
        [
            reduce(add, (a @ b[j] for a, b in zip(row, inner, strict=True)))
            for j, _ in enumerate(inner[0])
        ]
        for row in outer
    ]


def _nested(rows: list[list[Any]], outer: Any, inner: Any) -> Any:
    """A matrix of leaves as a tree of trees."""
    return jax.tree.unflatten(outer, [jax.tree.unflatten(inner, row) for row in rows])


def _kernel(
    samples: Samples, size: int, traced: tuple[int, ...], mesh: Mesh | None, report: Progress
) -> Any:
    """`J Jᵀ`, all rows here or on each device its own."""
    leaves, outer = jax.tree.flatten(jax.eval_shape(samples.batched, *samples.args))
    for leaf in leaves:
        _check_traced(traced, leaf.shape[1:])
    if mesh is None:
        rows = _rows_of_kernel(samples, samples, size, traced, report)
        return _nested(rows, outer, outer)
    if samples.count % mesh.size:
        raise LayoutError(
            "mesh",
            f"a number of devices that divides the {samples.count} samples, so that each has as "
            "many rows of the kernel",
            f"{mesh.size} devices",
            "use a mesh of a size that divides them, or leave samples out",
        )
    rows = _over(
        mesh,
        samples,
        lambda own, all_: _rows_of_kernel(own, all_, min(size, own.count), traced, report),
        PartitionSpec(tuple(mesh.axis_names)),
    )
    return _nested(rows, outer, outer)


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
        _tell(report, number)
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


def _nothing(number: Any) -> None:
    """Report nothing."""


def _tell(report: Progress, number: Any) -> None:
    """Report a batch that is done, from inside a compiled program too."""
    if report is not _nothing:
        jax.debug.callback(report, number)


def _checked_size(batch_size: Any, count: int) -> int:
    """The samples of a batch, at least one and no more than there are."""
    if batch_size is None:
        return count
    if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__"):
        batch_size = repr(batch_size)
    elif 1 <= batch_size <= count:
        return int(batch_size)
    raise LayoutError(
        "batch_size",
        f"a number of samples from 1 to {count}, all there are",
        f"{batch_size}",
        "leave batch_size out to work on all samples at once",
    )


def _check_choices(side: str, loss: Callable | None, trace_axes: Sequence[int]) -> None:
    if side not in ("out", "in"):
        raise LayoutError("gram side", "'out' or 'in'", repr(side), "side='out' gives J Jᵀ")
    if side == "out" and loss is not None:
        raise LayoutError(
            "loss", "no loss for J Jᵀ", "one", "pass side='in': the Hessian stands inside Jᵀ H J"
        )
    if side == "in" and trace_axes:
        raise LayoutError(
            "trace_axes", "none for Jᵀ J", repr(tuple(trace_axes)), "pass them with side='out'"
        )


def _check_traced(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(set(axes)) < len(axes) or not all(0 <= axis < len(shape) for axis in axes):
        raise LayoutError(
            "trace_axes",
            f"different axes of one sample's output, of shape {shape}, counted from 0",
            repr(axes),
            "leave trace_axes out to keep the whole kernel",
        )
