"""From a program to arrays: evaluates symbolic nodes on residuals, under the caller's trace."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from layouts.applying import applied, matrix
from layouts.beforehand import left_to_run
from layouts.gates import Gates, closed, gates_of
from layouts.mesh.sharding import split_of
from layouts.mesh.ways import columns_from
from layouts.nodes import (
    Add,
    Apply,
    Contract,
    Digit,
    Identity,
    Larger,
    Leaf,
    Map,
    Mask,
    Moved,
    Node,
    OneHot,
    Places,
    Put,
    RealPart,
    Reshape,
    Steps,
    Take,
    Triangle,
    Write,
)
from layouts.parts import expand, number_where, times
from layouts.program import schedule
from layouts.writing import relation, written


def evaluate(
    roots: Sequence[Node],
    residuals: Sequence[jax.Array],
    shardings: Mapping[int, Sequence[Any]] | None = None,
    dtype: Any = None,
) -> list[jax.Array]:
    """Compute the nodes.

    Args:
        roots: the nodes wanted.
        residuals: the array for each `Leaf.index`.
        shardings: how arrays lie on a mesh, by their place in the `schedule` of the roots: one
            after another, as they are made and as they are turned then.
        dtype: of numbers alone; without, they are weakly typed, and double where 64 bits are on.

    Returns:
        One array for each root.

    Example:
        >>> import jax.numpy as jnp
        >>> from layouts.nodes import Contract, Leaf
        >>> a = Leaf((2, 3), 4, index=0)
        >>> total = Contract((2,), 4, (a,), ((0, 1),), (0,), (2, 3))
        >>> evaluate([total], [jnp.ones((2, 3))])[0].tolist()
        [3.0, 3.0]
    """
    ordered, place = schedule(roots)
    values: list[jax.Array] = []
    applications: dict[tuple, Sequence[jax.Array]] = {}
    matrices: dict[tuple, Sequence[jax.Array]] = {}
    columns = _columns(ordered)
    left = left_to_run(ordered, place, residuals)
    gates: list[Gates] = []
    for node in ordered:
        operands = [values[place[id(operand)]] for operand in node.operands]
        if len(values) in left:
            operands = lax.optimization_barrier(operands)
        if isinstance(node, Leaf):
            values.append(residuals[node.index])
        elif isinstance(node, Write):
            axes = _split_axes(node, _made(shardings, len(values)))
            values.append(written(node, operands, bool(shardings), axes, dtype))
        elif isinstance(node, Identity):
            values.append(_identity(node, dtype))
        elif isinstance(node, OneHot):
            values.append(_one_hot(node, operands, dtype))
        elif isinstance(node, Apply):
            key = (node.application, tuple(place[id(operand)] for operand in node.operands))
            if key not in applications:
                split = _split_of_columns(node, _made(shardings, len(values)))
                applications[key] = applied(node, operands, *split)
            values.append(jnp.reshape(applications[key][node.position], node.shape))
        elif isinstance(node, Map):
            split = _split_of_columns(node, _made(shardings, len(values)))
            together = {node.applied_to: node.columns} if shardings else columns[node.application]
            values.append(matrix(node, together, matrices, *split))
        else:
            values.append(_LOWERINGS[type(node)](node, operands))
        gates.append(gates_of(node, [gates[place[id(one)]] for one in node.operands], values[-1]))
        if isinstance(node, Contract) and len(operands) == 2:
            values[-1] = closed(values[-1], gates[-1])
        for sharding in (shardings or {}).get(len(values) - 1, ()):
            values[-1] = lax.with_sharding_constraint(values[-1], sharding)
    return [values[place[id(root)]] for root in roots]


def _made(shardings: Mapping[int, Sequence[Any]] | None, place: int) -> Any:
    """How the array at a place of the schedule is made."""
    return next(iter((shardings or {}).get(place, ())), None)


def _columns(ordered: Sequence[Node]) -> dict[tuple, dict[int, int]]:
    """What each operator is applied to at once, so that its matrices are written: see `matrix`."""
    found: dict[tuple, dict[int, int]] = {}
    for node in ordered:
        if isinstance(node, Map):
            found.setdefault(node.application, {})[node.applied_to] = node.columns
    return {key: dict(sorted(sizes.items())) for key, sizes in found.items()}


def _split_axes(node: Node, lying: Any) -> list[int]:
    return [axis for axis, names in enumerate(split_of(lying, len(node.shape))) if names]


def _split_of_columns(node: Apply | Map, lying: Any) -> tuple[tuple[str, ...], Any]:
    """The mesh axes that the columns of an operator are split over, and the mesh."""
    place = None if lying is None else columns_from(node)
    return ((), None) if place is None else (split_of(lying, len(node.shape))[place], lying.mesh)


def _contract(node: Contract, operands: Sequence[jax.Array]) -> jax.Array:
    """A contraction where an index is summed, else a broadcast product that XLA can fuse."""
    if node.summed or any(len(set(index)) < len(index) for index in node.indices):
        if node.both_read_down:
            return _product_of_columns(node, *operands)
        pairs = [x for pair in zip(operands, node.indices, strict=True) for x in pair]
        return jnp.einsum(*pairs, node.output)
    factors = [
        expand(array, index, node.output)
        for array, index in zip(operands, node.indices, strict=True)
    ]
    result = factors[0] if len(factors) == 1 else factors[0] * factors[1]
    return jnp.broadcast_to(result, node.shape)


def _product_of_columns(node: Contract, left: jax.Array, right: jax.Array) -> jax.Array:
    """`Aᵀ B`, with the left operand turned first.

    On CPUs XLA hands a product to its fast kernels only if the left operand is read along its rows.
    A second free axis, of size one, makes it turn the operand for that: measured 0.95 to 1.8 times
    as fast (JAX 0.10.2 and 0.12.0, sizes 10 to 1000, no more rows than columns), and a batch of
    small ones 1.1 to 2.5 times.
    """
    first, second = node.indices
    summed = next(n for n in first if n not in node.output)
    sums = ((first.index(summed),), (second.index(summed),))
    alike = ([*map(first.index, node.batch)], [*map(second.index, node.batch)])
    product = lax.dot_general(lax.expand_dims(left, (left.ndim,)), right, (sums, alike))
    return lax.squeeze(product, (product.ndim - 2,))


def _add(node: Add, operands: Sequence[jax.Array]) -> jax.Array:
    everything = tuple(range(len(node.shape)))
    total: Any = None
    # Ones last: they are numbers beside what has a dtype.
    parts = list(zip(node.operands, operands, node.indices, node.coefficients, strict=True))
    for operand, array, index, coefficient in sorted(parts, key=lambda part: _is_one(part[0])):
        if total is not None and _is_one(operand):
            total = total + coefficient
            continue
        part = times(expand(array, index, everything), coefficient)
        total = part if total is None else total + part
    return jnp.broadcast_to(total, node.shape)


def _is_one(node: Node) -> bool:
    return isinstance(node, Identity) and node.size == 1


def _larger(node: Larger, operands: Sequence[jax.Array]) -> jax.Array:
    return _larger_of_both(operands[0], node.order)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _larger_of_both(array: jax.Array, order: tuple[int, ...]) -> jax.Array:
    """The entries or those of the mirror image, which are equal but for rounding."""
    return _in_a_branch(partial(_larger_bits, order=order), array)


def _in_a_branch(function: Callable[[jax.Array], jax.Array], array: jax.Array) -> jax.Array:
    """Apply a function to an array that is stored first.

    Computed twice in one loop, an entry and its mirror image may be rounded apart. XLA for CPUs
    drops barriers before it fuses (JAX 0.10.2), but it fuses nothing into a branch. Which one is
    taken is asked once for a batch: asked for each of its arrays, all are computed, in one loop.
    """

    @jax.custom_batching.custom_vmap
    def run(array: jax.Array) -> jax.Array:
        first = array[(0,) * array.ndim]
        return lax.cond(first == first, function, lambda array: array, array)

    @run.def_vmap
    def batched(size: int, mapped: list[bool], array: jax.Array) -> tuple[jax.Array, bool]:
        return _in_a_branch(jax.vmap(function), array), True

    return run(array)


def _larger_bits(array: jax.Array, order: tuple[int, ...]) -> jax.Array:
    """Compared as integers: of what is read across the rows, CPUs compare several of these at once.

    Numbers they compare one by one, which takes three times as long (JAX 0.10.2).
    """
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return jnp.maximum(array, jnp.transpose(array, order))
    bits = lax.bitcast_convert_type(array, f"uint{8 * array.dtype.itemsize}")
    larger = jnp.maximum(bits, jnp.transpose(bits, order))
    return lax.bitcast_convert_type(larger, array.dtype)


@_larger_of_both.defjvp
def _push_both(
    order: tuple[int, ...], primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # Not of the larger: compared in two loops, rounded apart, that would lose cotangents.
    (array,), (tangent,) = primals, tangents
    return _larger_of_both(array, order), 0.5 * (tangent + jnp.transpose(tangent, order))


def _reshape(node: Reshape, operands: Sequence[jax.Array]) -> jax.Array:
    return jnp.reshape(operands[0], node.shape)


def _identity(node: Identity, dtype: Any) -> jax.Array:
    if _is_one(node):
        return number_where(jnp.ones(node.shape, bool), 1, dtype)
    extent = int(np.sqrt(node.size))
    return number_where(jnp.eye(extent, dtype=bool).reshape(node.shape), 1, dtype)


def _take(node: Take, operands: Sequence[jax.Array]) -> jax.Array:
    array, extent = operands[0], node.shape[node.axis]
    if node.places:
        return _looked_up(node, operands)
    first, last = node.window
    low, high = sorted((node.start + node.step * first, node.start + node.step * (last - 1)))
    picked = lax.slice_in_dim(array, low, high + 1, abs(node.step), node.axis)
    picked = lax.rev(picked, (node.axis,)) if node.step < 0 else picked
    return _padded(picked, node.axis, first, extent - last, 0, node.fill)


def _put(node: Put, operands: Sequence[jax.Array]) -> jax.Array:
    array, extent = operands[0], node.shape[node.axis]
    if node.places:
        return _added_up(node, operands)
    first, last = node.window
    low, high = sorted((node.start + node.step * first, node.start + node.step * (last - 1)))
    placed = lax.slice_in_dim(array, first, last, 1, node.axis)
    placed = lax.rev(placed, (node.axis,)) if node.step < 0 else placed
    return _padded(placed, node.axis, low, extent - 1 - high, abs(node.step) - 1)


def _padded(
    array: jax.Array, axis: int, low: int, high: int, between: int, fill: int = 0
) -> jax.Array:
    """Zeros (or another number) before, after and between the entries of one axis."""
    config = [(low, high, between) if n == axis else (0, 0, 0) for n in range(array.ndim)]
    return lax.pad(array, lax.full_like(array, fill, shape=()), config)  # weak if the array is


def _looked_up(node: Take, operands: Sequence[jax.Array]) -> jax.Array:
    """Read an array at the places that tables list, all at once."""
    array, tables = operands[0], operands[1:]
    own, read = node.indices[0], list(dict.fromkeys(chain(*node.indices[1:])))
    extents = _extents(node, operands)
    spread = tuple(extents[index] for index in read)
    at = {
        place: jnp.broadcast_to(expand(table, index, tuple(read)), spread)
        for place, table, index in zip(node.places, tables, node.indices[1:], strict=True)
    }
    at |= {n: _counted(spread, read.index(n)) for n in own if n in read}
    rest = [n for n in own if n not in at]
    front = lax.transpose(array, [own.index(n) for n in (*at, *rest)])
    found = front.at[tuple(at.values())].get(mode="fill", fill_value=node.fill)
    axes = (*read, *rest)
    return lax.transpose(found, [axes.index(n) for n in node.output])


def _added_up(node: Put, operands: Sequence[jax.Array]) -> jax.Array:
    """Add the entries of an array up at the places that tables list, all at once."""
    array, tables = operands[0], operands[1:]
    own, read = node.indices[0], list(dict.fromkeys(chain(*node.indices[1:])))
    extents = _extents(node, operands)
    rest = [n for n in own if n not in read]
    spread = tuple(extents[index] for index in read)
    at = {n: _counted(spread, read.index(n)) for n in read if n in node.output}
    at |= {
        place: jnp.broadcast_to(expand(table, index, tuple(read)), spread)
        for place, table, index in zip(node.places, tables, node.indices[1:], strict=True)
    }
    axes = (*at, *rest)
    extents |= dict(zip(node.output, node.shape, strict=True))
    entries = expand(array, own, (*read, *rest))
    entries = jnp.broadcast_to(entries, (*spread, *(extents[n] for n in rest)))
    zeros = lax.full_like(array, 0, shape=tuple(extents[n] for n in axes))
    total = zeros.at[tuple(at.values())].add(entries, mode="drop")
    return lax.transpose(total, [axes.index(n) for n in node.output])


def _extents(node: Moved, operands: Sequence[jax.Array]) -> dict[int, int]:
    """The size of each index of the operands."""
    pairs = zip(node.indices, operands, strict=True)
    return dict(chain(*(zip(index, array.shape, strict=True) for index, array in pairs)))


def _counted(shape: tuple[int, ...], axis: int) -> jax.Array:
    return lax.broadcasted_iota(np.int32, shape, axis)


def _places(node: Places, operands: Sequence[jax.Array]) -> jax.Array:
    """The places of a lookup; those that JAX drops are put past the end."""
    starts = operands[0] if node.column is None else operands[0][..., node.column]
    starts = starts.astype(np.int32) if starts.dtype.itemsize < 4 else starts
    last = node.extent - node.window
    inside = jnp.clip(starts, 0, last)
    if not node.clip:
        inside = jnp.where((starts >= 0) & (starts <= last), inside, node.extent)
    shape = (*inside.shape, node.window)
    first = jnp.broadcast_to(inside.astype(np.int32)[..., None], shape)
    return jnp.reshape(first + _counted(shape, inside.ndim), node.shape)


def _steps(node: Steps, operands: Sequence[jax.Array]) -> jax.Array:
    first, last = node.window
    labels = np.arange(first, last)
    places = node.start + node.step * labels
    table = np.full(node.shape, node.extent, np.int32)
    table[places if node.inverse else labels] = labels if node.inverse else places
    return jnp.asarray(table)


def _triangle(node: Triangle, operands: Sequence[jax.Array]) -> jax.Array:
    pairs = np.triu_indices(node.extent)
    if node.side is not None:
        return jnp.asarray(pairs[node.side], np.int32)
    place = np.zeros(node.shape, np.int32)
    place[pairs] = place[pairs[::-1]] = np.arange(len(pairs[0]))
    return jnp.asarray(place)


def _digit(node: Digit, operands: Sequence[jax.Array]) -> jax.Array:
    digit = operands[0] // node.below
    return digit % node.base if node.base else digit


def _one_hot(node: OneHot, operands: Sequence[jax.Array], dtype: Any) -> jax.Array:
    labels = tuple(range(1, len(node.shape)))
    mask = Mask(0, labels, node.start, node.step, node.window, bool(operands))
    return number_where(relation(mask, node.shape, operands[0] if operands else None), 1, dtype)


_LOWERINGS: dict[type, Callable[..., jax.Array]] = {
    Add: _add,
    Contract: _contract,
    Digit: _digit,
    Larger: _larger,
    Places: _places,
    Put: _put,
    RealPart: lambda node, operands: jnp.real(operands[0]),
    Reshape: _reshape,
    Steps: _steps,
    Take: _take,
    Triangle: _triangle,
}
