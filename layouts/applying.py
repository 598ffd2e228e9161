"""Operators applied: to batches of tangents, by transposition to cotangents, and to an identity."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from layouts.nodes import Apply, Map, Operator


def cast(array: jax.Array, dtype: Any) -> jax.Array:
    """Convert to the dtype that JAX returns; for a real one the real part is meant."""
    if jnp.iscomplexobj(array) and not jnp.issubdtype(dtype, jnp.complexfloating):
        array = array.real
    return array.astype(dtype)


def applied(
    node: Apply, operands: Sequence[jax.Array], names: tuple[str, ...] = (), mesh: Any = None
) -> Sequence[jax.Array]:
    """All results of one application of an operator or its transpose, to a batch of columns.

    Args:
        node: the application.
        operands: what it is applied to; the columns stand on the last axis of what is pushed, as
            they do of its results, and on the first of what is pulled.
        names: axes of a mesh over which the columns are split, each device applying it to its own.
        mesh: that mesh.
    """
    assert node.operator is not None
    if node.direction == "push":
        avals = [node.operator.in_avals[place] for place in node.present]
        pairs = zip(operands, avals, strict=True)
        flat = [jnp.reshape(array, (*aval.shape, node.columns)) for array, aval in pairs]
        operands = [jnp.moveaxis(array, -1, 0) for array in flat]
    return _applied(node, operands, names, mesh)


def _applied(
    node: Apply, operands: Sequence[jax.Array], names: tuple[str, ...], mesh: Any
) -> Sequence[jax.Array]:
    """The same for columns on the first axis: pushed from there, as JAX does, most run sooner."""
    operator = node.operator
    assert operator is not None
    avals = operator.in_avals if node.direction == "push" else operator.out_avals
    present = [avals[place] for place in node.present]
    if _beyond_real(operator, present, operands):
        parts = [
            _applied(node, [part(array) for array in operands], names, mesh)
            for part in (jnp.real, jnp.imag)
        ]
        return [real + 1j * imaginary for real, imaginary in zip(*parts, strict=True)]
    given = []
    for aval, array in zip(present, operands, strict=True):
        flat = jnp.reshape(array, (node.columns, *aval.shape))
        given.append(_varying(cast(flat, aval.dtype), aval))
    if not names or operator.name == "shard_map":  # which splits over devices by itself
        return _to_columns(node, *given)
    return _on_each_device(node, given, names, mesh)


def _on_each_device(
    node: Apply, given: Sequence[jax.Array], names: tuple[str, ...], mesh: Any
) -> Sequence[jax.Array]:
    """Do the same on every device, to its own columns.

    Left to itself XLA's partitioner gathers what a Fourier transform or a solve is applied to.
    """
    run = partial(_to_columns, node)

    def split(axis: int, array: Any) -> PartitionSpec:
        place = axis % array.ndim
        return PartitionSpec(*(names if n == place else None for n in range(array.ndim)))

    results = jax.eval_shape(run, *given)
    # What the operator holds on to is the same on every device.
    own = jax.shard_map(
        lambda *part: list(run(*part)),
        mesh=mesh,
        in_specs=tuple(split(0, array) for array in given),
        out_specs=[split(_place_of_columns(node), result) for result in results],
        check_vma=False,
    )
    try:
        return own(*given)
    except (TypeError, ValueError):
        # The body of a loop names the mesh that it was traced on; loops XLA splits by itself.
        return run(*given)


def _to_columns(node: Apply, *given: jax.Array) -> Sequence[jax.Array]:
    """All results, of columns on the first axis."""
    operator, pushing = node.operator, node.direction == "push"
    assert operator is not None
    avals = operator.in_avals if pushing else operator.out_avals
    if operator.columns is not None:
        return _by_columns(node, operator.columns, given)
    function = operator.function if pushing else _transposed(operator.function, operator.in_avals)
    where = _place_of_columns(node)

    def one(*vectors: jax.Array) -> Sequence[jax.Array]:
        return function(*_fill(avals, node.present, vectors))

    if node.columns == 1:  # an axis of size one makes it another program to XLA, no quicker one
        results = one(*(jnp.squeeze(array, 0) for array in given))
        return [jnp.expand_dims(result, where) for result in results]
    return jax.vmap(one, out_axes=where)(*given)


def _place_of_columns(node: Apply) -> int:
    """The axis of its results on which the columns stand."""
    return -1 if node.direction == "push" else 0


def _varying(array: jax.Array, aval: jax.ShapeDtypeStruct) -> jax.Array:
    """Inside `jax.shard_map` an operand has to vary over the same mesh axes as the original."""
    wanted = getattr(aval, "manual_axis_type", None)
    if wanted is None:
        return array
    missing = wanted.varying - jax.typeof(array).manual_axis_type.varying
    return lax.pcast(array, tuple(missing), to="varying") if missing else array


def _alike(aval: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct | jax.Array:
    """What stands for an operand where only its type counts."""
    kind = getattr(aval, "manual_axis_type", None)
    if kind is None or not kind.varying:
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)
    return _varying(jnp.zeros(aval.shape, aval.dtype), aval)


def _beyond_real(
    operator: Operator, avals: Sequence[jax.ShapeDtypeStruct], operands: Sequence[jax.Array]
) -> bool:
    """Whether a real map meets complex columns, which are two real ones each."""
    reals = any(jnp.issubdtype(aval.dtype, jnp.floating) for aval in avals)
    return reals and operator.matrix_by is None and any(map(jnp.iscomplexobj, operands))


def _by_columns(
    node: Apply, function: Callable[..., Sequence[jax.Array]], given: Sequence[jax.Array]
) -> Sequence[jax.Array]:
    """An operator that takes several columns at once, all of its operands present."""
    assert node.operator is not None
    if node.direction == "push":
        return function(*(jnp.moveaxis(array, 0, -1) for array in given))
    columns = given[0].shape[:1]
    avals = [
        jax.ShapeDtypeStruct(aval.shape + columns, aval.dtype) for aval in node.operator.in_avals
    ]
    results = _transposed(function, avals)(*(jnp.moveaxis(array, 0, -1) for array in given))
    return [jnp.moveaxis(result, -1, 0) for result in results]


def _transposed(
    function: Callable[..., Sequence[jax.Array]], avals: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[jax.Array]]:
    """From cotangents of a linear function's outputs to those of its operands."""
    operands = map(_alike, avals)
    transpose = jax.linear_transpose(lambda *tangents: tuple(function(*tangents)), *operands)
    return lambda *cotangents: transpose(tuple(cotangents))


def matrix(
    node: Map,
    columns: Mapping[int, int],
    known: dict[tuple, Sequence[jax.Array]],
    names: tuple[str, ...] = (),
    mesh: Any = None,
) -> jax.Array:
    """The matrix of an operator: what it makes of an identity, the same for each of a batch.

    Args:
        node: which matrix.
        columns: the operands (outputs, where it is pulled) whose matrices are wanted, with their
            sizes: the operator is applied to the columns of all their identities at once.
        known: what operators have made of identities so far, all their results; added to.
        names: axes of a mesh over which its columns are split, or its rows where it is pulled.
        mesh: that mesh.
    """
    operator = node.operator
    assert operator is not None
    if operator.written is not None:
        return jnp.reshape(operator.written(), node.shape)
    pushing = node.direction == "push"
    batch, out, into = node.sides
    position, rows = (node.target, out) if pushing else (node.source, into)
    total = sum(columns.values())
    apply = Apply((), 0, (), operator, node.direction, tuple(columns), position, total)
    if apply.application not in known:
        known[apply.application] = _applied(apply, _identities(apply, columns, batch), names, mesh)
    first = sum(size for place, size in columns.items() if place < node.applied_to)
    shape, axis = ((batch, rows, total), 2) if pushing else ((total, batch, rows), 0)
    result = jnp.reshape(known[apply.application][position], shape)
    own = lax.slice_in_dim(result, first, first + node.columns, axis=axis)
    return jnp.reshape(own if pushing else jnp.moveaxis(own, 0, 1), node.shape)


def _identities(node: Apply, columns: Mapping[int, int], batch: int) -> list[jax.Array]:
    """For each operand its part of the identity of all columns together, for each of a batch."""
    assert node.operator is not None
    avals = node.operator.in_avals if node.direction == "push" else node.operator.out_avals
    first, operands = 0, []
    for place, size in columns.items():
        ones = jnp.eye(node.columns, size, -first, dtype=avals[place].dtype)
        operands.append(jnp.broadcast_to(ones[:, None], (node.columns, batch, size)))
        first += size
    return operands


def _fill(
    avals: Sequence[jax.ShapeDtypeStruct], present: Sequence[int], given: Sequence[jax.Array]
) -> list[jax.Array]:
    """Put zeros where nothing is given."""
    arrays = dict(zip(present, given, strict=True))
    return [
        arrays[n] if n in arrays else jnp.zeros(aval.shape, aval.dtype)
        for n, aval in enumerate(avals)
    ]
