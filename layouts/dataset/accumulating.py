"""Tangent kernel and Gauss-Newton matrix of a whole data set, accumulated over batches and devices.

With J_n the Jacobian of sample n by the shared inputs, `Jᵀ J = Σ_n J_nᵀ J_n` is a sum over batches,
and block (n, m) of `J Jᵀ` is `J_n J_mᵀ`, a product of two batches. So only the Jacobian of a batch
is ever there, and that structured: by a layer's weights it is a product of two factors, `A[n,i,k]
X[n,l]`, which the grams multiply without writing it out.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from layouts.dataset.kernels import tangent_kernel
from layouts.dataset.samples import Progress, Samples, nested, nothing, over, tell
from layouts.errors import LayoutError
from layouts.jacobian import Jacobian
from layouts.mesh.explicit import auto_mesh, explicit_among, on_auto_axes


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

    def accumulate(mesh: Mesh | None, *args: Any) -> Any:
        samples = Samples.of(fun, argnums, in_axes, args)
        size = _checked_size(batch_size, samples.count)
        report = progress or nothing
        if side == "in":
            return _gauss_newton(samples, size, loss, mesh, report)
        return tangent_kernel(samples, size, tuple(trace_axes), mesh, report)

    def gram_of_fun(*args: Any) -> Any:
        rows = tuple(mesh.axis_names) if mesh is not None and side == "out" else None
        asked = None if mesh is None else NamedSharding(mesh, PartitionSpec(rows))
        explicit = explicit_among(jax.tree.leaves(args), [asked])
        if explicit is None:
            return accumulate(mesh, *args)
        lying = asked or NamedSharding(explicit.mesh, PartitionSpec())
        own = None if mesh is None else auto_mesh(mesh)
        return on_auto_axes(partial(accumulate, own), lying, *args)

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
        total = over(
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


def _accumulated(samples: Samples, size: int, loss: Callable | None, report: Progress) -> Any:
    """`Σ_n J_nᵀ H_n J_n` over the batches, one after another, then over what is left."""
    count = samples.count // size

    def step(number: jax.Array, total: Any) -> Any:
        part = _gram_in(samples.block(number * size, size), loss)
        tell(report, number)
        return jax.tree.map(add, total, part)

    if count == 1 and samples.count == size:
        total = _gram_in(samples, loss)
        tell(report, 0)
        return total
    shapes = jax.eval_shape(lambda: _gram_in(samples[:size], loss))
    total = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total = lax.fori_loop(0, count, step, total)
    if rest := samples.count - count * size:
        total = jax.tree.map(add, total, _gram_in(samples[-rest:], loss))
        tell(report, count)
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
    return nested(dense, inner, inner)


def _after(outer: list[list[Jacobian]], inner: list[list[Jacobian]]) -> list[list[Jacobian]]:
    """The products of two matrices of Jacobians."""
    return [
        [
            reduce(add, (a @ b[j] for a, b in zip(row, inner, strict=True)))
            for j, _ in enumerate(inner[0])
        ]
        for row in outer
    ]


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
