"""A data set: a function of one sample, what all samples share, and the samples."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from layouts.errors import LayoutError
from layouts.jacobian import Jacobian
from layouts.transforms import jacobian

Progress = Callable[[Any], None]


@dataclass(frozen=True)
class Samples:
    """A data set: the function of one sample, what all share, and the samples, first axis first."""

    fun: Callable
    argnums: int | tuple[int, ...]
    in_axes: tuple[int | None, ...]  # each None or 0: the samples' axes have been moved
    args: tuple
    count: int

    @classmethod
    def of(cls, fun: Callable, argnums: Any, in_axes: Any, args: tuple) -> "Samples":
        """Read the arguments, and check that there is one number of samples."""
        axes = _one_each(in_axes, len(args))
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for number in numbers:
            if -len(args) <= number < len(args) and axes[number] is not None:
                raise LayoutError(
                    "in_axes",
                    f"None for argument {number}, which all samples are differentiated by",
                    repr(axes[number]),
                    "a Jacobian by what each sample has of its own is layouts.jacobian of "
                    "jax.vmap(fun)",
                )
        moved = tuple(
            arg if axis is None else jax.tree.map(lambda x, a=axis: _moved(x, a), arg)
            for arg, axis in zip(args, axes, strict=True)
        )
        counts = {
            leaf.shape[0]
            for arg, axis in zip(moved, axes, strict=True)
            if axis is not None
            for leaf in jax.tree.leaves(arg)
        }
        if len(counts) != 1 or 0 in counts:
            raise LayoutError(
                "samples",
                "the same number of them in every argument that has any, at least one",
                f"{sorted(counts) or 'no axis of samples'}",
                "in_axes names the axis of the samples in each argument, as for jax.vmap",
            )
        kept = argnums if isinstance(argnums, int) else numbers
        firsts = tuple(None if axis is None else 0 for axis in axes)
        return cls(fun, kept, firsts, moved, counts.pop())

    def __getitem__(self, places: slice) -> "Samples":
        """Some of the samples."""
        return self._on(lambda leaf: leaf[places], len(range(self.count)[places]))

    def block(self, start: jax.Array, size: int) -> "Samples":
        """So many samples from a place on that is known at run time."""
        return self._on(lambda leaf: lax.dynamic_slice_in_dim(leaf, start, size), size)

    def _on(self, pick: Callable, count: int) -> "Samples":
        args = tuple(
            arg if axis is None else jax.tree.map(pick, arg)
            for arg, axis in zip(self.args, self.in_axes, strict=True)
        )
        return replace(self, args=args, count=count)

    @property
    def batched(self) -> Callable:
        """The function of all the samples."""
        return jax.vmap(self.fun, self.in_axes)

    def jacobians(self) -> list[list[Jacobian]]:
        """The structured Jacobian of each leaf of the output by each leaf of the input."""
        tree = jacobian(self.batched, self.argnums, structured=True)(*self.args)
        return _in_rows(tree, len(jax.tree.leaves(self.differentiated)))

    def loss_hessians(self, loss: Callable) -> list[list[Jacobian]]:
        """The Hessian of each sample's loss by its output, for each pair of its leaves."""
        outputs = self.batched(*self.args)
        slope = jax.vmap(jax.grad(loss), (0, *self.in_axes))
        tree = jacobian(lambda outputs: slope(outputs, *self.args), structured=True)(outputs)
        return _in_rows(tree, len(jax.tree.leaves(outputs)))

    @property
    def differentiated(self) -> Any:
        """What the function is differentiated by."""
        if isinstance(self.argnums, int):
            return self.args[self.argnums]
        return tuple(self.args[number] for number in self.argnums)


def _in_rows(tree: Any, width: int) -> list[list[Jacobian]]:
    """The leaves of a tree of trees, a row for each of the outer ones."""
    flat = jax.tree.leaves(tree, is_leaf=lambda leaf: isinstance(leaf, Jacobian))
    return [flat[n : n + width] for n in range(0, len(flat), width)]


def _moved(leaf: Any, axis: int) -> jax.Array:
    """An array with its samples first."""
    leaf = jnp.asarray(leaf)
    if not -leaf.ndim <= axis < leaf.ndim:
        raise LayoutError(
            "in_axes",
            f"an axis of every array of the argument, of shape {leaf.shape}",
            str(axis),
            "in_axes names the axis of the samples in each argument, as for jax.vmap",
        )
    return jnp.moveaxis(leaf, axis, 0)


def _one_each(in_axes: Any, count: int) -> tuple[int | None, ...]:
    """An axis of samples, or None, for each argument."""
    axes = (in_axes,) * count if in_axes is None or isinstance(in_axes, int) else tuple(in_axes)
    if len(axes) != count or not all(axis is None or isinstance(axis, int) for axis in axes):
        raise LayoutError(
            "in_axes",
            f"an axis or None for each of the {count} arguments",
            repr(in_axes),
            "in_axes=(None, 0) maps over the second of two arguments, as in jax.vmap",
        )
    return axes


def over(mesh: Mesh, samples: Samples, work: Callable, out_specs: PartitionSpec) -> Any:
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


def nested(rows: list[list[Any]], outer: Any, inner: Any) -> Any:
    """A matrix of leaves as a tree of trees."""
    return jax.tree.unflatten(outer, [jax.tree.unflatten(inner, row) for row in rows])


def nothing(number: Any) -> None:
    """Report nothing."""


def tell(report: Progress, number: Any) -> None:
    """Report a batch that is done, from inside a compiled program too."""
    if report is not nothing:
        jax.debug.callback(report, number)
