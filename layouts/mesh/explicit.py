"""Explicit mesh axes, which are part of arrays' types: computing as if they were not.

`jax.make_mesh` makes axes so. Types say how each array lies and JAX refuses an operation where that
would be ambiguous. A program that was planned here is rather left to the compiler, and only its
results are typed again.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding

from layouts.mesh.sharding import Sharded, is_explicit, sharding_of


def explicit_among(arrays: Iterable[Any], shardings: Iterable[Sharded] = ()) -> Sharded:
    """A sharding over explicit mesh axes, if an array or a sharding has one."""
    return next(filter(is_explicit, (*shardings, *map(sharding_of, arrays))), None)


def on_auto_axes(run: Callable[..., Any], wanted: Any, *args: Any) -> Any:
    """Call a function where the compiler splits what types name outside.

    Args:
        run: the function.
        wanted: how its results lie outside, a pytree that is a prefix of theirs.
        args: pytrees of arrays.
    """
    return jax.sharding.auto_axes(run, out_sharding=wanted)(*args)


def inside(sharding: NamedSharding) -> NamedSharding:
    """A sharding as it is named there."""
    return NamedSharding(auto_mesh(sharding.mesh), sharding.spec)


def auto_mesh(mesh: Any) -> Any:
    """The same mesh with axes that are no part of types.

    Example:
        >>> [kind.name for kind in auto_mesh(jax.make_mesh((1,), ("x",))).axis_types]
        ['Auto']
    """
    free = (AxisType.Auto,) * len(mesh.axis_names)
    if isinstance(mesh, AbstractMesh):
        return AbstractMesh(mesh.axis_sizes, mesh.axis_names, axis_types=free)
    return Mesh(mesh.devices, mesh.axis_names, axis_types=free)
