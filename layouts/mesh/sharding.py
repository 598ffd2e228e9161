"""Arrays over a mesh: what is asked of a result, and where arrays lie.

JAX distributes: `jax.jit`'s partitioner splits each operation. What is done here is to say where a
result's entries lie and to check that before anything is computed. A split is named by the axes of
the result. `layouts.mesh.partitioned` computes results so; `layouts.mesh.devices` compiles whole
functions.
"""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec, get_abstract_mesh

from layouts.errors import LayoutError
from layouts.nodes import Leaf
from layouts.terms import Terms

# For each axis of an array the mesh axes that it is split over, the most significant one first.
Split = tuple[tuple[str, ...], ...]
Sharded = NamedSharding | None


# What is asked for.


def resolved(
    asked: Any, shapes: Any, arrays: Sequence[Any], split_as: Sequence[Sharded]
) -> list[Sharded]:
    """Check what is asked of a pytree of results against their shapes and against the inputs.

    Args:
        asked: a `NamedSharding` or a `PartitionSpec` for all results, or a pytree of them that is
            a prefix of the results' own; None where nothing is asked.
        shapes: the pytree of results, with a `jax.ShapeDtypeStruct` in each leaf.
        arrays: the inputs, which may say what the mesh is.
        split_as: for each result the sharding that it gets where nothing is asked.

    Returns:
        A sharding for each result, None where the compiler is free.

    Raises:
        LayoutError: a pytree of another structure, something that is no sharding, a sharding of
            more axes than the result has, an axis that its mesh axes do not divide, a mesh
            axis that is unknown, a mesh of other devices than the inputs', or no mesh at all.
    """
    if asked is None:
        return list(split_as)
    whole, structure = jax.tree.flatten(shapes)
    try:
        given = jax.tree.broadcast(asked, shapes, is_leaf=is_asked)
    except ValueError:
        raise LayoutError(
            "out_sharding",
            f"one sharding, or a prefix of the result's pytree {structure}",
            str(jax.tree.structure(asked, is_leaf=is_asked)),
            "give one sharding for all results, or one for each",
        ) from None
    found = []
    for one, result, otherwise in zip(
        jax.tree.leaves(given, is_leaf=is_asked), whole, split_as, strict=True
    ):
        found.append(otherwise if one is None else checked(one, result.shape, arrays))
    return found


def checked(asked: Any, shape: Sequence[int], arrays: Iterable[Any]) -> NamedSharding:
    """One sharding for a result of a shape.

    Raises:
        LayoutError: as `resolved`.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("x",))
        >>> checked(NamedSharding(mesh, P("x")), (4, 3), ()).spec
        P('x',)
        >>> checked(NamedSharding(mesh, P(None, None, "x")), (4, 3), ())
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: out_sharding P(None, None, 'x'): expected at most 2 axes, \
those of the result's shape (4, 3), got 3 axes; name an axis of the mesh, or None, for each \
axis of the result: the output's axes first, then the input's
    """
    sharding = on_devices(asked, list(arrays))
    sizes, spec = dict(sharding.mesh.shape), sharding.spec
    if len(spec) > len(shape):
        raise LayoutError(
            f"out_sharding {spec}",
            f"at most {len(shape)} axes, those of the result's shape {tuple(shape)}",
            f"{len(spec)} axes",
            "name an axis of the mesh, or None, for each axis of the result: the output's axes "
            "first, then the input's",
        )
    for place, (names, extent) in enumerate(
        zip(split_of(sharding, len(shape)), shape, strict=True)
    ):
        parts = prod(sizes[name] for name in names)
        if extent % parts:
            raise _indivisible(spec, place, names, parts, tuple(shape))
    return sharding


def is_asked(asked: Any) -> bool:
    """Whether this says how one result lies, as a leaf of what is asked of a pytree."""
    return asked is None or isinstance(asked, PartitionSpec | jax.sharding.Sharding)


def on_devices(asked: Any, arrays: Sequence[Any]) -> NamedSharding:
    """A sharding with its mesh, if that is one of the devices that the inputs are on.

    Raises:
        LayoutError: as `resolved`, for what does not depend on the result's shape.
    """
    sharding = _on_a_mesh(asked, arrays)
    _check_devices(sharding, arrays)
    return sharding


def _on_a_mesh(asked: Any, arrays: Sequence[Any]) -> NamedSharding:
    """A sharding with its mesh: its own, that of the context, or that of the inputs."""
    if isinstance(asked, NamedSharding):
        return asked
    if not isinstance(asked, PartitionSpec):
        raise LayoutError(
            "out_sharding",
            "a jax.sharding.NamedSharding or a PartitionSpec",
            repr(asked),
            "write NamedSharding(mesh, PartitionSpec('x')) to split the first axis over mesh "
            "axis 'x'",
        )
    context = get_abstract_mesh()
    mesh = mesh_of(arrays) if context.empty else context
    if mesh is None:
        raise LayoutError(
            f"out_sharding {asked}",
            "inputs on one mesh, or a mesh in the context",
            "inputs that lie on no mesh, or on several, as far as their types tell",
            "give NamedSharding(mesh, spec), or call under jax.set_mesh(mesh)",
        )
    try:
        return NamedSharding(mesh, asked)
    except ValueError as error:
        raise LayoutError(
            f"out_sharding {asked}",
            f"axes of the mesh {dict(mesh.shape)}, each at most once",
            str(error).splitlines()[0],
            "name axes that the mesh has",
        ) from None


def _indivisible(
    spec: PartitionSpec, place: int, names: Sequence[str], parts: int, shape: tuple[int, ...]
) -> LayoutError:
    """An axis that the mesh axes asked for do not divide, and what they would."""
    fitting = [n for n, extent in enumerate(shape) if extent and extent % parts == 0]
    others = f"split axis {' or '.join(map(str, fitting))} instead, or " if fitting else ""
    divisors = [n for n in range(2, shape[place] + 1) if shape[place] % n == 0]
    sizes = ", ".join(map(str, divisors[:8])) or "1"
    mesh_axes = " × ".join(repr(name) for name in names)
    return LayoutError(
        f"out_sharding {spec}",
        f"axis {place} of the result's shape {shape} to be a multiple of {parts}, the size of mesh "
        f"axis {mesh_axes}",
        f"the size {shape[place]}",
        f"{others}take a mesh axis whose size divides {shape[place]} ({sizes}), or pad the axis",
    )


def _check_devices(sharding: NamedSharding, arrays: Iterable[Any]) -> None:
    """Refuse inputs that are bound to other devices than the result is to lie on."""
    mesh = sharding.mesh
    explicit = [s.mesh for array in arrays if (s := sharding_of(array)) and is_explicit(s)]
    for other in explicit:
        if other.abstract_mesh.shape != mesh.shape or other.axis_types != mesh.axis_types:
            raise LayoutError(
                f"out_sharding {sharding.spec}",
                f"the mesh that the inputs' types name, {other.abstract_mesh}",
                str(mesh.abstract_mesh),
                "give a PartitionSpec, or a NamedSharding on that mesh",
            )
    if isinstance(mesh, AbstractMesh):
        return
    devices = list(mesh.devices.flat)
    for array in arrays:
        if not isinstance(array, jax.Array) or is_traced(array) or not array.committed:
            continue
        own = getattr(array.sharding, "mesh", None)
        theirs = array.sharding.device_set
        ordered = list(theirs) if own is None else list(own.devices.flat)
        if theirs != {*devices} or (own is not None and ordered != devices):
            raise LayoutError(
                f"out_sharding {sharding.spec}",
                f"a mesh of the devices that the inputs are on, {_ids(ordered)}",
                f"a mesh of the devices {_ids(devices)}",
                "put inputs and result on one mesh: jax.device_put(x, NamedSharding(mesh, spec))",
            )


def _ids(devices: Iterable[Any]) -> list[int]:
    return [device.id for device in devices]


# Where arrays lie.


def is_traced(array: Any) -> bool:
    """Whether an array is known by its type alone."""
    return isinstance(array, jax.core.Tracer)


def is_staged() -> bool:
    """Whether what is computed now becomes a part of a program that JAX traces."""
    return is_traced(lax.optimization_barrier(0.0))


def sharding_of(array: Any) -> Sharded:
    """How an array lies on a mesh of several devices, or of explicit axes; else None.

    Inside `jax.jit` only explicit mesh axes are part of an array's type.
    """
    if not isinstance(array, jax.Array):
        return None
    if is_traced(array):
        sharding = jax.typeof(array).sharding
        return sharding if is_explicit(sharding) else None
    sharding = array.sharding
    if isinstance(sharding, NamedSharding) and sharding.mesh.size > 1:
        return sharding
    return None


def is_explicit(sharding: Any) -> bool:
    """Whether a mesh's axes are part of the types of the arrays on it."""
    mesh = getattr(sharding, "mesh", None)
    return mesh is not None and not mesh.empty and AxisType.Explicit in mesh.axis_types


def mesh_of(arrays: Iterable[Any]) -> Any:
    """The one mesh that arrays lie on; None where they lie on none, or on several."""
    found = [sharding.mesh for array in arrays if (sharding := sharding_of(array)) is not None]
    return found[0] if found and all(mesh == found[0] for mesh in found) else None


def split_of(sharding: Sharded, rank: int) -> Split:
    """For each axis of an array the mesh axes that it is split over."""
    spec = () if sharding is None else tuple(sharding.spec)
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in spec]
    names = [tuple(n for n in entry if isinstance(n, str)) for entry in entries]
    return tuple(names) + ((),) * (rank - len(names))


def by_itself(out: Any, into: Any, lies: Sharded) -> Sharded:
    """Where a Jacobian's entries lie if nothing is asked: its columns as the input's entries.

    Where the input is whole on each device and mesh axes are part of types, the rows as the output.

    Args:
        out: the output.
        into: the input.
        lies: how the input lies, where that is known though its type does not tell.
    """
    lies = lies or sharding_of(into)
    ranks = jnp.ndim(out), jnp.ndim(into)
    if lies is not None and any(columns := split_of(lies, ranks[1])):
        free = () if is_explicit(lies) else PartitionSpec.UNCONSTRAINED
        return split_over(lies.mesh, [free] * ranks[0] + [*columns])
    rows = sharding_of(out)
    if is_explicit(rows) or is_explicit(lies):
        return split_over((rows or lies).mesh, [*split_of(rows, ranks[0]), *[()] * ranks[1]])  # type: ignore[union-attr]
    return None


def split_over(mesh: Any, split: Iterable[Any]) -> NamedSharding:
    """A split as a sharding, each mesh axis where it comes first."""
    used: set[str] = set()
    entries: list[Any] = []
    for names in split:
        if names is PartitionSpec.UNCONSTRAINED:
            entries.append(names)
            continue
        free = tuple(name for name in names if name not in used)
        used |= {*free}
        entries.append(free[0] if len(free) == 1 else free or None)
    return NamedSharding(mesh, PartitionSpec(*entries))


def lifted(terms: Terms, arrays: Sequence[Any]) -> Sharded:
    """Where the entries of a Jacobian lie by themselves, told by how its factors lie.

    An axis is split as the first factor is that carries the axis's first label.

    Args:
        terms: of whose factors those count that are leaves.
        arrays: the array for each leaf.
    """
    mesh = mesh_of(arrays)
    if mesh is None or not terms:
        return None
    rank = len(terms[0].out + terms[0].into)
    found: list[tuple[str, ...]] = [()] * rank
    for term in terms:
        carried: dict[Any, tuple[str, ...]] = {}
        for factor in term.factors:
            if not isinstance(factor.node, Leaf):
                continue
            split = split_of(sharding_of(arrays[factor.node.index]), len(factor.labels))
            for label, names in zip(factor.labels, split, strict=True):
                carried[label] = carried.get(label) or names
        for place, axis in enumerate(term.out + term.into):
            found[place] = found[place] or (carried.get(axis[0], ()) if axis else ())
    return split_over(mesh, tuple(found))


def rows_and_columns(left: Sharded, rows: int, right: Sharded, rank: int, columns: int) -> Sharded:
    """How a product of Jacobians lies: its rows as the left one's, its columns as the right one's.

    Args:
        left: how the left one lies.
        rows: the number of its output axes.
        right: how the right one lies.
        rank: the number of its axes.
        columns: the number of its input axes.
    """
    known = left or right
    if known is None:
        return None
    return split_over(
        known.mesh, split_of(left, rows)[:rows] + split_of(right, rank)[rank - columns :]
    )
