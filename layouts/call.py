"""One call of a Jacobian: what is asked for, of which arguments, and how its result is made."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from layouts import algebra, budget
from layouts.custom_rules import by_own_rules
from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.jacobian import Jacobian, Names, store
from layouts.leaves import leaf_names
from layouts.linearize import Linearized, linearize
from layouts.mesh import sharding
from layouts.mesh.partitioned import Origin, compute
from layouts.mesh.sharding import Sharded
from layouts.mirroring import mirrored
from layouts.nodes import Node
from layouts.plan import Plan, Results, choose


@dataclass(frozen=True)
class Asked:
    """What a caller of `jacobian` or `hessian` asks for, as they name it.

    Attributes:
        second: the function whose gradient is differentiated, where a Hessian is meant.
    """

    argnums: int | Sequence[int] = 0
    has_aux: bool = False
    holomorphic: bool = False
    allow_int: bool = False
    order: str | Plan = "auto"
    structured: bool = False
    memory_limit: int | None = None
    out_sharding: Any = None
    second: Callable | None = None

    def by_jax(self, fun: Callable) -> Callable:
        """What JAX makes of the function."""
        return jax.jacrev(fun, self.argnums, self.has_aux, self.holomorphic, self.allow_int)


@dataclass(frozen=True)
class Call:
    """One call of a Jacobian: the function, its arguments, and which leaves are differentiated."""

    fun: Callable
    asked: Asked  # with the argnums counted from the first argument on
    args: tuple
    kwargs: dict
    dynamic: list[Any]
    treedef: Any
    names: list[str]
    outputs: list[Any]  # filled with the output's treedef by the trace

    @classmethod
    def of(cls, fun: Callable, asked: Asked, args: tuple, kwargs: dict) -> "Call | None":
        """Read the arguments; None where JAX would refuse them."""
        numbers = _positions(asked.argnums)
        if numbers is None:
            return None
        _check_in_range(numbers, len(args))
        if len({number % len(args) for number in numbers}) < len(numbers):
            return None
        numbers = tuple(number % len(args) for number in numbers)
        one = isinstance(asked.argnums, int)  # a NumPy integer makes JAX return a tuple of one
        picked = args[numbers[0]] if one else tuple(args[n] for n in numbers)
        dynamic, treedef = jax.tree.flatten(picked)
        if not all(_accepts_input(leaf, asked) for leaf in dynamic):
            return None
        asked = replace(asked, argnums=numbers[0] if one else numbers)
        names = leaf_names(fun, args, numbers)
        return cls(fun, asked, args, kwargs, dynamic, treedef, names, [])

    @property
    def places(self) -> list[int]:
        """Which of the dynamic leaves are differentiated: the inexact ones."""
        return [
            n for n, leaf in enumerate(self.dynamic) if jnp.issubdtype(_dtype(leaf), jnp.inexact)
        ]

    @property
    def dtypes(self) -> list[np.dtype]:
        """The dtypes of the leaves that are differentiated."""
        return [_dtype(self.dynamic[place]) for place in self.places]

    def dtype(self, value: jax.Array, place: int) -> np.dtype:
        """A Jacobian's: its input's, as `jax.jacrev` has it; a Hessian's: its gradient's.

        Complex outputs of real inputs have theirs, as `jax.jacfwd` has it.
        """
        own = _dtype(self.dynamic[place])
        of, by = (jnp.issubdtype(dtype, jnp.complexfloating) for dtype in (value.dtype, own))
        of_output = of == by if self.asked.second else of and not by
        return value.dtype if of_output else own

    @property
    def of_complex(self) -> bool:
        """Whether complex inputs go to real outputs, as `jax.jacrev` allows."""
        return not self.asked.holomorphic and any(
            jnp.issubdtype(dtype, jnp.complexfloating) for dtype in self.dtypes
        )

    def linearize(self) -> tuple[Linearized, Any]:
        """Linearise at the arguments; returns the linearisation and the auxiliary output."""
        primals = [jnp.asarray(self.dynamic[n]) for n in self.places]
        known = [
            (leaf, name)
            for number, arg in enumerate(self.args)
            for leaf, name in zip(
                jax.tree.leaves(arg), leaf_names(self.fun, self.args, (number,)), strict=True
            )
        ]
        return linearize(
            self.flat, primals, [self.names[n] for n in self.places], known, self.asked.has_aux
        )

    def mirrored(self, graph: Graph, results: Results) -> Results:
        """A Hessian's blocks, symmetric in every bit where the function's value is a scalar."""
        shapes = ([graph.shapes[n] for n in ends] for ends in (graph.inputs, graph.outputs))
        if len({*map(tuple, shapes)}) > 1 or self.of_complex:
            return results

        def known() -> bool:
            assert self.asked.second is not None
            value = replace(self, fun=self.asked.second, outputs=[]).flat
            return by_own_rules(jax.make_jaxpr(value)(*[self.dynamic[n] for n in self.places]))

        whole = not self.asked.structured
        return mirrored(results, graph.inputs, graph.outputs, known, whole)

    def origin(self, plan: Plan) -> Origin:
        """Where the dense program comes from: the arrays among the arguments."""
        leaves, treedef = jax.tree.flatten((self.args, self.kwargs))
        places = [n for n, leaf in enumerate(leaves) if _is_plain_array(leaf)]

        def derive(arrays: Sequence[jax.Array]) -> tuple[list[Node], list[jax.Array]]:
            given = dict(zip(places, arrays, strict=True))
            args, kwargs = jax.tree.unflatten(
                treedef, [given.get(n, leaf) for n, leaf in enumerate(leaves)]
            )
            again = Call.of(self.fun, replace(self.asked, allow_int=True), args, kwargs)
            assert again is not None
            linearized, _ = again.linearize()
            _, results = choose(linearized.graph, plan, dense=True)
            return again.written(linearized.graph, results), linearized.residuals

        return Origin([leaves[n] for n in places], derive)

    def written(self, graph: Graph, results: Results) -> list[Node]:
        """The dense array of each output by each input, as a node."""
        pairs = [
            (source, target, dtype)
            for target in graph.outputs
            for source, dtype in zip(graph.inputs, self.dtypes, strict=True)
        ]
        return [
            algebra.write(
                results[source, target], graph.shapes[target] + graph.shapes[source], dtype.itemsize
            )
            for source, target, dtype in pairs
        ]

    def flat(self, *primals: jax.Array) -> Any:
        """The function from the differentiated leaves to the output's leaves."""
        leaves = list(self.dynamic)
        for place, primal in zip(self.places, primals, strict=True):
            leaves[place] = primal
        picked = jax.tree.unflatten(self.treedef, leaves)
        args, argnums, has_aux = list(self.args), self.asked.argnums, self.asked.has_aux
        if isinstance(argnums, int):
            args[argnums] = picked
        else:
            for number, arg in zip(argnums, picked, strict=True):
                args[number] = arg
        result = self.fun(*args, **self.kwargs)
        if has_aux and not (isinstance(result, tuple | list) and len(result) == 2):
            raise TypeError(
                "expected function with aux output to return a two-element tuple, but got type "
                f"{type(result)} with value {result!r}"
            )
        result, aux = result if has_aux else (result, None)
        flat, treedef = jax.tree.flatten(result)
        self.outputs[:] = [treedef]
        flat = [jnp.asarray(leaf) for leaf in flat]
        return (flat, aux) if has_aux else flat

    def accepts(self, value: Sequence[jax.Array]) -> bool:
        """Whether JAX differentiates outputs of these dtypes: forward by `jacfwd`, else `jacrev`.

        Pushed, real inputs may go to complex outputs.
        """
        pushed = self.asked.order == "forward" and not self.asked.second and not self.of_complex
        real = jnp.inexact if pushed else jnp.floating
        kind = jnp.complexfloating if self.asked.holomorphic else real
        return all(jnp.issubdtype(leaf.dtype, kind) for leaf in value)

    def leaves(
        self,
        linearized: Linearized,
        plan: Plan,
        results: Results,
        blocks: Sequence[budget.Blocks] | None,
        shardings: Sequence[Sequence[Sharded]],
    ) -> list[list[Any]]:
        """The Jacobian of each output leaf by each dynamic leaf."""
        graph, places = linearized.graph, self.places
        lying = [row[place] for row in shardings for place in places]
        found: Iterator[Any]
        if blocks is not None:
            arrays = budget.compute(blocks, linearized.residuals)
            pairs = [(source, target) for target in graph.outputs for source in graph.inputs]
            found = iter(self.typed(linearized.value, [arrays[pair] for pair in pairs]))
        elif self.asked.structured:
            found = iter(self.structured(linearized, results, lying))
        else:
            found = iter(self.dense(linearized, plan, results, lying))
        return [
            [
                next(found) if place in places else self.trivial(value, leaf, lying)
                for place, (leaf, lying) in enumerate(zip(self.dynamic, row, strict=True))
            ]
            for value, row in zip(linearized.value, shardings, strict=True)
        ]

    def dense(
        self, linearized: Linearized, plan: Plan, results: Results, lying: Sequence[Sharded]
    ) -> list[jax.Array]:
        """The dense array of each output by each input."""
        graph = linearized.graph
        nodes, origin = self.written(graph, results), self.origin(plan)
        dtypes = [self.dtype(value, place) for value in linearized.value for place in self.places]
        arrays = compute(nodes, linearized.residuals, lying, dtypes, origin)
        return self.typed(linearized.value, arrays)

    def typed(self, values: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> list[jax.Array]:
        """The dense array of each output by each input in the type, weak or not, it has in JAX."""
        pairs = [(value, place) for value in values for place in self.places]
        return [
            _weak_as(
                value if self.asked.second else self.dynamic[place],
                array.astype(self.dtype(value, place)),
            )
            for (value, place), array in zip(pairs, arrays, strict=True)
        ]

    def structured(
        self, linearized: Linearized, results: Results, lying: Sequence[Sharded]
    ) -> list[Jacobian]:
        """The Jacobian of each output by each input, its factors kept."""
        graph = linearized.graph
        wanted = [
            (
                results[source, target],
                graph.shapes[target],
                graph.shapes[source],
                self.dtype(value, place),
                Names(into=self.names[place]),
            )
            for target, value in zip(graph.outputs, linearized.value, strict=True)
            for source, place in zip(graph.inputs, self.places, strict=True)
        ]
        return store(wanted, linearized.residuals, lying)

    def shardings(
        self, value: Sequence[jax.Array], asked: Any, lies: Mapping[int, Sharded]
    ) -> list[list[Sharded]]:
        """How the Jacobian of each output leaf by each dynamic leaf lies on a mesh."""
        pairs = [[(out, leaf) for leaf in self.dynamic] for out in value]
        own = [sharding.by_itself(*pair, lies.get(id(pair[1]))) for row in pairs for pair in row]
        if asked is None:
            found = iter(own)
        else:
            shapes = [
                [
                    jax.ShapeDtypeStruct(jnp.shape(out) + jnp.shape(leaf), out.dtype)
                    for out, leaf in row
                ]
                for row in pairs
            ]
            arrays = jax.tree.leaves((self.args, self.kwargs))
            found = iter(sharding.resolved(asked, self.assemble(shapes), arrays, own))
        return [[next(found) for _ in row] for row in pairs]

    def trivial(self, value: jax.Array, leaf: Any, lying: Sharded) -> Any:
        """By an integer, which `allow_int` lets stand: zeros of its own dtype, as JAX has it."""
        zero = Jacobian((), (), value.shape, jnp.shape(leaf), _dtype(leaf))
        return zero if self.asked.structured else _weak_as(leaf, zero.dense(out_sharding=lying))

    def assemble(self, leaves: list[list[Any]]) -> Any:
        """Put the leaves in the output's tree of the inputs' trees."""
        inner = [jax.tree.unflatten(self.treedef, row) for row in leaves]
        return jax.tree.unflatten(self.outputs[0], inner)


def _weak_as(leaf: Any, array: jax.Array) -> jax.Array:
    """Give an array the weak type of the input that it is the Jacobian by, as JAX does.

    Only AD makes weak arrays of others in public: a cotangent is cast back to its primal's type.
    """
    plain = isinstance(leaf, int | float | complex) and not isinstance(leaf, np.generic)
    if not (plain or getattr(leaf, "weak_type", False)):
        return array
    zero = {"c": 0j, "f": 0.0}.get(array.dtype.kind, 0)
    weak = jnp.broadcast_to(jnp.asarray(zero), array.shape)
    if weak.dtype != array.dtype:
        return array
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return weak  # by an integer: zeros
    (result,) = jax.linear_transpose(lambda w: lax.convert_element_type(w, array.dtype), weak)(
        array
    )
    return result


def _is_plain_array(leaf: Any) -> bool:
    """Whether it is an array of numbers, not of keys of random numbers."""
    return isinstance(leaf, jax.Array) and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def _positions(argnums: Any) -> tuple[int, ...] | None:
    """A number or any collection of numbers, as JAX takes them; None for what it refuses."""
    try:
        return (operator.index(argnums),)
    except TypeError:
        pass
    try:
        return tuple(map(operator.index, argnums))
    except TypeError:
        return None


def _check_in_range(numbers: Sequence[int], count: int) -> None:
    for number in numbers:
        if not -count <= number < count:
            raise LayoutError(
                "argnums",
                f"positions from {-count} to {count - 1}" if count else "a positional argument",
                str(number),
                f"the function was called with {count} positional arguments; pass what is to be "
                "differentiated by position",
            )


def _dtype(leaf: Any) -> np.dtype:
    return jnp.result_type(leaf)


def _accepts_input(leaf: Any, asked: Asked) -> bool:
    """Whether JAX differentiates by a leaf of this type."""
    try:
        dtype = _dtype(leaf)
    except TypeError:
        return False
    if asked.holomorphic:
        return jnp.issubdtype(dtype, jnp.complexfloating)
    whole = jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)
    return jnp.issubdtype(dtype, jnp.inexact) or (whole and asked.allow_int)
