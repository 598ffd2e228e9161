"""Programs over a mesh: no device makes the whole of a result that is split.

The arrays that a result is written from are split the same way along the labels that they share
with it, so that the compiler has nothing whole to fall back to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from layouts.applying import cast
from layouts.evaluate import evaluate
from layouts.nodes import Add, Contract, Leaf, Node, RealPart, Reshape, Write
from layouts.program import schedule
from layouts.sharding import Sharded, is_explicit, is_traced, sharding_of, split_of, split_over
from layouts.terms import Term


def by_label(term: Term, sharding: Sharded) -> list[Sharded]:
    """How the arrays of a term are split where its dense array is split so.

    Returns:
        For each factor, then for each table, a sharding; None where it has no label that is split.
    """
    tables: list[Sharded] = [None for s in term.selections if s.table is not None]
    if sharding is None:
        return [None] * len(term.factors) + tables
    number = {label: n for n, label in enumerate(term.labels)}
    axes = [tuple(number[label] for label in axis) for axis in term.out + term.into]
    extents = {number[label]: label.size for label in term.labels}
    named = _by_index(axes, extents, sharding)
    return [
        _picked([number[label] for label in factor.labels], named, sharding)
        for factor in term.factors
    ] + tables


def _by_index(
    axes: Sequence[Sequence[int]], extents: Mapping[int, int], sharding: NamedSharding
) -> dict[int, tuple[str, ...]]:
    """The mesh axes that each index is split over: those of the axis where it comes first."""
    sizes = dict(sharding.mesh.shape)
    named: dict[int, tuple[str, ...]] = {}
    for axis, names in zip(axes, split_of(sharding, len(axes)), strict=True):
        parts = prod(sizes[name] for name in names)
        if names and axis and extents[axis[0]] % parts == 0:
            named.setdefault(axis[0], names)
    return named


def _picked(
    indices: Sequence[int], named: Mapping[int, tuple[str, ...]], sharding: NamedSharding
) -> Sharded:
    split = tuple(named.get(index, ()) for index in indices)
    if not any(split) or len(set(indices)) < len(indices):
        return None
    return split_over(sharding.mesh, split)


def _handed_down(node: Node, sharding: NamedSharding) -> list[Sharded]:
    """How a node's operands are split where the node is split so; None where that says nothing."""
    if isinstance(node, Write):
        return _of_patterns(node, sharding)
    if isinstance(node, Contract):
        extents = dict(enumerate(node.extents))
        named = _by_index([(index,) for index in node.output], extents, sharding)
        return [_picked(indices, named, sharding) for indices in node.indices]
    if isinstance(node, Add):
        extents = dict(enumerate(node.shape))
        named = _by_index([(n,) for n in range(len(node.shape))], extents, sharding)
        return [_picked(indices, named, sharding) for indices in node.indices]
    if isinstance(node, RealPart):
        return [sharding]
    if isinstance(node, Reshape):
        return [_through_reshape(node, sharding)]
    return [None] * len(node.operands)


def _of_patterns(node: Write, sharding: NamedSharding) -> list[Sharded]:
    found: list[Sharded] = []
    for pattern in node.patterns:
        digits, axes = list(pattern.digits), []
        for extent in node.shape:
            axis: list[int] = []
            while prod(pattern.extents[n] for n in axis) < extent:
                axis.append(digits.pop(0))
            axes.append(axis)
        if pattern.value is not None:
            named = _by_index(axes, dict(enumerate(pattern.extents)), sharding)
            found.append(_picked(pattern.value, named, sharding))
        found += [None for mask in pattern.masks if mask.table]
    return found


def _through_reshape(node: Reshape, sharding: NamedSharding) -> Sharded:
    """Through a reshape that only takes or leaves axes of size one."""
    (operand,) = node.operands
    if [n for n in node.shape if n != 1] != [n for n in operand.shape if n != 1]:
        return None
    whole = zip(split_of(sharding, len(node.shape)), node.shape, strict=True)
    names = iter([names for names, extent in whole if extent != 1])
    split = tuple(next(names) if extent != 1 else () for extent in operand.shape)
    return split_over(sharding.mesh, split) if any(split) else None


@dataclass(frozen=True, eq=False)
class Program:
    """What is to be computed, told apart from others by its structure, so that JAX can cache it.

    Attributes:
        nodes: the nodes wanted.
        dtypes: the dtype that each is returned in; None to leave it.
        shardings: how each lies; None to leave it to the compiler.
    """

    nodes: tuple[Node, ...]
    dtypes: tuple[Any, ...]
    shardings: tuple[Sharded, ...]

    @cached_property
    def key(self) -> tuple:
        """Plain values, and the operators that it applies."""
        ordered, place = schedule(self.nodes)
        steps = tuple(
            (node.signature, tuple(place[id(operand)] for operand in node.operands))
            for node in ordered
        )
        roots = tuple(place[id(node)] for node in self.nodes)
        return steps, roots, tuple(map(str, self.dtypes)), self.shardings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def compute(
    nodes: Sequence[Node],
    residuals: Sequence[jax.Array],
    shardings: Sequence[Sharded],
    dtypes: Sequence[Any] | None = None,
) -> list[jax.Array]:
    """Compute nodes, each lying as is said, under the caller's trace.

    Args:
        nodes: what is wanted.
        residuals: the array for each `Leaf.index`.
        shardings: how each result lies; None to leave it to the compiler.
        dtypes: that each is returned in; None to leave them.
    """
    types = tuple(dtypes or [None] * len(nodes))
    return _evaluated(Program(tuple(nodes), types, tuple(shardings)), residuals)


def compute_stored(
    nodes: Sequence[Node],
    arrays: Sequence[jax.Array],
    shardings: Sequence[Sharded],
    dtypes: Sequence[Any] | None = None,
) -> list[jax.Array]:
    """Compute nodes from a Jacobian's stored factors, as `compute` does.

    Factors on several devices are worked on in one compiled program, also outside `jax.jit`.
    """
    if any(map(is_traced, arrays)) or not any((*shardings, *map(sharding_of, arrays))):
        return compute(nodes, arrays, shardings, dtypes)
    wanted = list(zip(nodes, dtypes or [None] * len(nodes), shardings, strict=True))
    # A factor that is an array at hand stays that array.
    steps = {(id(n), t, s): (n, t, s) for n, t, s in wanted if s or not isinstance(n, Leaf)}
    made: dict[tuple, jax.Array] = {}
    if steps:
        program = Program(*(tuple(column) for column in zip(*steps.values(), strict=True)))
        made = dict(zip(steps, _compiled(program, list(arrays)), strict=True))
    return [
        made[id(n), t, s] if (id(n), t, s) in made else arrays[n.index]  # type: ignore[attr-defined]
        for n, t, s in wanted
    ]


def _evaluated(program: Program, residuals: Sequence[jax.Array]) -> list[jax.Array]:
    on_mesh = [s for s in (*program.shardings, *map(sharding_of, residuals)) if s is not None]
    explicit = next(filter(is_explicit, on_mesh), None)
    run = partial(_run, program, explicit is not None)
    if explicit is None:
        return run(residuals)
    replicated = NamedSharding(explicit.mesh, PartitionSpec())
    wanted = [replicated if s is None else s for s in program.shardings]
    return jax.sharding.auto_axes(run, out_sharding=wanted)(list(residuals))


def _run(program: Program, by_name: bool, residuals: Sequence[jax.Array]) -> list[jax.Array]:
    """Evaluate a program under the constraints on its results and on what they are made of."""
    arrays = evaluate(program.nodes, residuals, _constraints(program, by_name))
    return [
        array if dtype is None else cast(array, dtype)
        for array, dtype in zip(arrays, program.dtypes, strict=True)
    ]


def _constraints(program: Program, by_name: bool) -> dict[int, Any]:
    """For places of the schedule how the array lies: what the first user of it asks for."""
    if not any(program.shardings):
        return {}
    ordered, place = schedule(program.nodes)
    found: dict[int, NamedSharding] = {}
    for node, sharding in zip(program.nodes, program.shardings, strict=True):
        if sharding is not None:
            found.setdefault(place[id(node)], sharding)
    for number, node in reversed(list(enumerate(ordered))):
        if number in found:
            for operand, down in zip(node.operands, _handed_down(node, found[number]), strict=True):
                if down is not None:
                    found.setdefault(place[id(operand)], down)
    return {n: _inside(s) if by_name else s for n, s in found.items()}


def _inside(sharding: NamedSharding) -> Any:
    """A sharding where the compiler splits what explicit types name outside."""
    mesh = sharding.mesh
    if isinstance(mesh, AbstractMesh):
        return sharding.spec
    free = (AxisType.Auto,) * len(mesh.axis_names)
    return NamedSharding(Mesh(mesh.devices, mesh.axis_names, axis_types=free), sharding.spec)


_compiled = jax.jit(_evaluated, static_argnums=0, keep_unused=True)
