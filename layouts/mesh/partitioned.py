"""Programs over a mesh: no device makes the whole of a result that is split.

The arrays that a result is written from are split as `layouts.mesh.splitting` says, so that the
compiler has nothing whole to fall back to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from layouts.applying import cast
from layouts.evaluate import evaluate
from layouts.mesh.explicit import explicit_among, inside, on_auto_axes
from layouts.mesh.sharding import Sharded, is_staged, is_traced, sharding_of
from layouts.mesh.splitting import constraints, made_apart
from layouts.nodes import Leaf, Node, Operated
from layouts.program import schedule
from layouts.symmetry import once

Residuals = Sequence[jax.Array]


@dataclass(frozen=True)
class Origin:
    """Where a program and its residuals come from, so that they can be had once more.

    Attributes:
        arrays: what the function is called with.
        derive: from such arrays to the program's nodes, alike each time, and the residuals.
    """

    arrays: Sequence[jax.Array]
    derive: Callable[[Sequence[jax.Array]], tuple[Sequence[Node], Residuals]]

    @property
    def has_effects(self) -> bool:
        """Whether deriving it does something that may happen only once."""
        traced = jax.jit(lambda *arrays: self.derive(arrays)[1]).trace(*self.arrays)
        return bool(traced.jaxpr.effects)

    def residuals(self) -> Residuals:
        """The residuals once more, as the compiler may split them in another way."""
        # What is behind a barrier is not found to be the same as what is before it.
        return self.derive(lax.optimization_barrier(list(self.arrays)))[1]


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

    @property
    def has_operators(self) -> bool:
        """Whether a node applies an operator."""
        return any(isinstance(node, Operated) for node in schedule(self.nodes)[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def compute(
    nodes: Sequence[Node],
    residuals: Residuals,
    shardings: Sequence[Sharded],
    dtypes: Sequence[Any] | None = None,
    origin: Origin | None = None,
) -> list[jax.Array]:
    """Compute nodes, each lying as is said, under the caller's trace or in a program of their own.

    Args:
        nodes: what is wanted.
        residuals: the array for each `Leaf.index`.
        shardings: how each result lies; None to leave it to the compiler.
        dtypes: that each is returned in; None to leave them.
        origin: where the nodes and residuals come from, if they can be had once more.
    """
    types = tuple(dtypes or [None] * len(nodes))
    program = Program(tuple(nodes), types, tuple(shardings))
    _, copies = made_apart(nodes, shardings, len(residuals))
    explicit = explicit_among(residuals, program.shardings)
    operated = explicit is not None and program.has_operators
    if origin is None or not (copies or operated) or origin.has_effects:
        return _met(program, residuals)
    if explicit is not None:
        try:
            return _derived_inside(program, explicit, origin)
        except Exception:  # a function that names explicit axes itself works on those alone
            return _evaluated(program, residuals)
    return _run(*_in_two_ways(program, residuals, origin))


def _in_two_ways(
    program: Program, residuals: Residuals, origin: Origin
) -> tuple[Program, Residuals]:
    """A program in which large arrays that are needed in two splits are computed in both."""
    nodes, copies = made_apart(program.nodes, program.shardings, len(residuals))
    further = [array for _ in range(copies) for array in origin.residuals()]
    return replace(program, nodes=tuple(nodes)), [*residuals, *further]


def _derived_inside(program: Program, explicit: NamedSharding, origin: Origin) -> list[jax.Array]:
    """A program whose residuals are computed where the compiler splits, not the types.

    There an operator finds the arrays that it holds on to, and an array may lie in two ways.
    """

    def run(arrays: Sequence[jax.Array]) -> list[jax.Array]:
        inner = replace(origin, arrays=arrays)
        nodes, residuals = inner.derive(arrays)
        derived = replace(_named_inside(program), nodes=tuple(nodes))
        return _run(*_in_two_ways(derived, residuals, inner))

    return _on_auto_axes(run, program, explicit, list(origin.arrays))


def _met(program: Program, residuals: Residuals) -> list[jax.Array]:
    """Evaluate a program as it is met: in that which JAX traces, or else compiled by itself.

    An operator belongs to one trace of its function, so that what applies it would be compiled at
    each call; on one device its steps are run one by one.
    """
    if any(map(is_traced, residuals)) or is_staged():
        return _evaluated(program, residuals)
    lies = any((*program.shardings, *map(sharding_of, residuals)))
    run = _by_itself if lies or not program.has_operators else _evaluated
    return run(program, residuals)


def _by_itself(program: Program, residuals: Residuals) -> list[jax.Array]:
    """Compile and run a program; equal results are one, and an array at hand stays that array."""
    ordered, place = schedule(program.nodes)
    columns = zip(program.nodes, program.dtypes, program.shardings, strict=True)
    wanted = [(place[id(node)], dtype, sharding) for node, dtype, sharding in columns]
    made: dict[tuple, jax.Array] = {}
    for key in wanted:
        if key[1:] == (None, None) and isinstance(leaf := ordered[key[0]], Leaf):
            made[key] = residuals[leaf.index]
    if rest := [key for key in dict.fromkeys(wanted) if key not in made]:
        places, dtypes, shardings = zip(*rest, strict=True)
        part = Program(tuple(ordered[n] for n in places), dtypes, shardings)
        made |= zip(rest, _compiled(part, list(residuals)), strict=True)
    return [made[key] for key in wanted]


def _evaluated(program: Program, residuals: Residuals) -> list[jax.Array]:
    explicit = explicit_among(residuals, program.shardings)
    if explicit is None:
        return _run(program, residuals)
    run = partial(_run, _named_inside(program))
    return _on_auto_axes(run, program, explicit, list(residuals))


def _named_inside(program: Program) -> Program:
    """The program with its shardings as they are named on auto axes."""
    return replace(program, shardings=tuple(s and inside(s) for s in program.shardings))


def _on_auto_axes(
    run: Callable[[Any], list[jax.Array]], program: Program, explicit: NamedSharding, given: Any
) -> list[jax.Array]:
    """Compute a program's results on auto axes; where nothing else is said each device has all."""
    replicated = NamedSharding(explicit.mesh, PartitionSpec())
    return on_auto_axes(run, [s or replicated for s in program.shardings], given)


def _run(program: Program, residuals: Residuals) -> list[jax.Array]:
    """Evaluate a program under the constraints on its results and on what they are made of."""
    lying = constraints(program.nodes, program.shardings)
    nodes = program.nodes if lying else once(program.nodes)
    wanted = [dtype for dtype in program.dtypes if dtype is not None]
    arrays = evaluate(nodes, residuals, lying, jnp.result_type(*wanted) if wanted else None)
    return [
        array if dtype is None else cast(array, dtype)
        for array, dtype in zip(arrays, program.dtypes, strict=True)
    ]


_compiled = jax.jit(_evaluated, static_argnums=0, keep_unused=True)
