"""Reads a linear program: each equation becomes edges of the graph, by its rule or as an operator.

Calls are read as if their body stood in their place, short scans as their steps one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from layouts.algebra import entry, identity, tied_axes, transpose
from layouts.counting import count_equation, count_jaxpr, count_stored_by, inner_jaxprs, primitives
from layouts.folding import Entries, entries_of, folded
from layouts.graph import Graph
from layouts.nodes import Leaf
from layouts.plan.elimination import Elimination
from layouts.rules import RULES, Equation, LocalJacobians
from layouts.rules.equation import Operand
from layouts.rules.operators import opaque, partial
from layouts.terms import Terms
from layouts.tracing import Told
from layouts.walking import bind, inlined, is_short_loop, opened, unrolled, walk

# A scan is read step by step up to this many steps.
MOST_STEPS = 16


def read(
    closed: ClosedJaxpr,
    named: Sequence[tuple[Any, str]] = (),
    told: Sequence[Told] = (),
) -> tuple[Graph, list[jax.Array]]:
    """Read a linear program.

    Args:
        closed: the program; its constants are the residuals.
        named: arrays that formulas call by a name.
        told: what is known of each constant.

    Returns:
        The graph of local Jacobians and the array for each of its leaves.
    """
    reader = _Reader(list(named))
    told = told or [Told() for _ in closed.consts]
    for array, known in zip(closed.consts, told, strict=True):
        if known.repeated and array.size > 1:
            reader.numbers[id(array)] = array[(0,) * array.ndim]
    sources = [reader.vertex(var, "input") for var in closed.jaxpr.invars]
    constants = [
        Known(const, reader.name_of(const), entries=known.entries)
        for const, known in zip(closed.consts, told, strict=True)
    ]
    reader.graph.inputs = tuple(source.number for source in sources)
    results = reader.read(closed.jaxpr, constants, sources)
    reader.graph.outputs = tuple(
        reader.output(result, var)
        for result, var in zip(results, closed.jaxpr.outvars, strict=True)
    )
    kinds = [_manual(var.aval) for var in closed.jaxpr.outvars]
    reader.graph.spread = any(kind is not None and kind.varying for kind in kinds)
    return reader.graph.pruned(), reader.residuals


def read_whole(
    closed: ClosedJaxpr,
    each: Mapping[int, int],
    ways: tuple[str, ...] = ("push", "pull"),
    function: Callable[..., Any] | None = None,
) -> tuple[Graph, list[jax.Array]]:
    """Read a linear program as one operator: what every input does to every output.

    Args:
        closed: the program.
        each: output axis → input axis, where these are left alone; one input and one output.
        ways: the directions in which it may be applied.
        function: does what the program does, in these directions, and is run in its place.

    Returns:
        As `read` does; no array is a factor.
    """
    reader = _Reader([])
    sources = [reader.vertex(var, "input") for var in closed.jaxpr.invars]
    targets = [reader.vertex(var, "output") for var in closed.jaxpr.outvars]
    reader.graph.inputs = tuple(source.number for source in sources)
    reader.graph.outputs = tuple(target.number for target in targets)
    avals: list[list[Any]] = [[v.aval for v in closed.jaxpr.invars], closed.out_avals]
    operands, outs = (
        tuple(Operand(aval.shape, aval.dtype, manual=_manual(aval)) for aval in side)
        for side in avals
    )
    cost, run = count_jaxpr(closed.jaxpr), function or jaxpr_as_fun(closed)
    work = cost.multiplications, cost.additions
    equation = Equation("program", {}, operands, outs, reader.leaf, run, ways, work)
    found = partial(equation, {}, each) if each else opaque(equation, range(len(sources)))
    for key, terms in found.items():
        position, place = key if isinstance(key, tuple) else (key, 0)
        reader.edge(sources[position], targets[place], terms)
    return reader.graph.pruned(), reader.residuals


@dataclass(frozen=True)
class Known:
    """A value that does not depend on the inputs differentiated by: a residual.

    Attributes:
        value: the array.
        name: what formulas call it.
        number: the Python number, of a literal.
        entries: those that the program spells out.
    """

    value: Any
    name: str | None = None
    number: complex | None = None
    entries: Entries = None


@dataclass(frozen=True)
class Vertex:
    """A value that depends linearly on the inputs."""

    number: int


Value = Vertex | Known


@dataclass
class _Reader:
    """Reads jaxprs into a graph."""

    named: list[tuple[Any, str]]
    graph: Graph = field(default_factory=Graph)
    residuals: list[jax.Array] = field(default_factory=list)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    numbers: dict[int, jax.Array] = field(default_factory=dict)

    def name_of(self, value: Any) -> str | None:
        """The name of an array that is one of the user's own."""
        return next((name for array, name in self.named if array is value), None)

    def leaf(self, value: jax.Array, name: str | None, gate: bool = False) -> Leaf:
        """Register a residual, once for each array."""
        if id(value) not in self.leaves:
            leaf = Leaf(value.shape, value.dtype.itemsize, (), len(self.residuals), name, gate)
            self.leaves[id(value)] = leaf
            self.graph.leaves.append(leaf)
            self.residuals.append(value)
        return self.leaves[id(value)]

    def vertex(self, var: Any, label: str) -> Vertex:
        """Add a vertex for a variable of the linear program."""
        itemsize = getattr(var.aval.dtype, "itemsize", 0)
        is_complex = jnp.issubdtype(var.aval.dtype, jnp.complexfloating)
        return Vertex(self.graph.add_vertex(var.aval.shape, itemsize, label, is_complex))

    def read(
        self, jaxpr: Jaxpr, constants: Sequence[Value], arguments: Sequence[Value]
    ) -> list[Value]:
        """Read a jaxpr's equations; returns what its outputs are."""
        return walk(jaxpr, constants, arguments, self.step, _literal)

    def body(
        self, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Value]
    ) -> list[Value]:
        """Read a jaxpr in the place where it is called."""
        known = [Known(constant, entries=entries_of(constant)) for constant in constants]
        return self.read(jaxpr, known, arguments)

    def step(self, equation: JaxprEqn, operands: Sequence[Value]) -> Sequence[Value]:
        """Read one equation: run it, read its body, or make edges of it."""
        name, params = equation.primitive.name, equation.params
        known = [operand for operand in operands if isinstance(operand, Known)]
        if len(known) == len(operands):
            values = bind(equation, [operand.value for operand in known])
            entries = folded(equation, [operand.entries for operand in known])
            return [Known(v, entries=some) for v, some in zip(values, entries, strict=True)]
        if called := inlined(equation, operands):
            return self.body(*called)
        if is_short_loop(equation, MOST_STEPS):
            return self.scan(equation, operands)
        if name == "cond" and _decided(operands[0]):
            branches = params["branches"]
            chosen = int(np.clip(operands[0].value, 0, len(branches) - 1))  # type: ignore[union-attr]
            return self.body(*opened(branches[chosen]), operands[1:])
        return self.edges(equation, operands)

    def edges(self, equation: JaxprEqn, operands: Sequence[Value]) -> Sequence[Vertex]:
        """Add an equation's local Jacobians, by its rule or else by applying it."""
        targets = [self.vertex(var, equation.primitive.name) for var in equation.outvars]
        if all(0 in self.graph.shapes[target.number] for target in targets):
            return targets
        seen = self.equation(equation, operands)
        jacobians: LocalJacobians = None
        if equation.primitive.name in RULES:
            jacobians = RULES[equation.primitive.name](seen)
        elif alone := _left_alone(equation, operands):
            jacobians = partial(seen, alone, packed=True)
        if jacobians is None:
            vertices = [o.number for o in operands if isinstance(o, Vertex)]
            jacobians = opaque(seen, [vertices.index(vertex) for vertex in vertices])
        for key, terms in jacobians.items():
            position, place = key if isinstance(key, tuple) else (key, 0)
            self.edge(operands[position], targets[place], terms)
        return targets

    def edge(self, source: Value, target: Vertex, terms: Terms) -> None:
        """Add one local Jacobian, unless there is nothing to differentiate by."""
        assert isinstance(source, Vertex)
        if 0 not in self.graph.shapes[source.number]:
            self.graph.add_edge(source.number, target.number, terms)

    def equation(self, equation: JaxprEqn, operands: Sequence[Value]) -> Equation:
        """What a rule sees of an equation."""
        seen = []
        for atom, operand in zip(equation.invars, operands, strict=True):
            aval: Any = atom.aval
            known = operand if isinstance(operand, Known) else Known(None)
            seen.append(
                Operand(
                    aval.shape,
                    aval.dtype,
                    known.value,
                    known.number,
                    known.name,
                    _manual(aval),
                    known.entries,
                )
            )
        outs: list[Any] = [var.aval for var in equation.outvars]

        def apply(*tangents: jax.Array) -> Sequence[jax.Array]:
            given = iter(tangents)
            return bind(
                equation, [o.value if isinstance(o, Known) else next(given) for o in operands]
            )

        return Equation(
            equation.primitive.name,
            equation.params,
            tuple(seen),
            tuple(Operand(out.shape, out.dtype, manual=_manual(out)) for out in outs),
            self.leaf,
            apply,
            _directions(equation),
            count_equation(equation)[:2],
            count_stored_by(equation),
            self.numbers,
        )

    def scan(self, equation: JaxprEqn, operands: Sequence[Value]) -> list[Value]:
        """Read a scan as its steps, each with its entry of what is scanned over."""
        return unrolled(equation, operands, self.body, self.entry, self.stack)

    def entry(self, operand: Value, step: int) -> Value:
        """`x[step]`, along the first axis."""
        if isinstance(operand, Known):
            entries = None if operand.entries is None else operand.entries[step]
            return Known(operand.value[step], entries=entries)
        shape = self.graph.shapes[operand.number]
        result = self._like(operand, shape[1:], "slice")
        if 0 not in shape:
            self.edge(operand, result, entry(shape, step))
        return result

    def stack(self, rows: list[Value]) -> Value:
        """The rows as one array, along a new first axis."""
        if all(isinstance(row, Known) for row in rows):
            return Known(jnp.stack([row.value for row in rows]))  # type: ignore[union-attr]
        first = next(row for row in rows if isinstance(row, Vertex))
        shape = self.graph.shapes[first.number]
        whole = (len(rows), *shape)
        result = self._like(first, whole, "stack")
        for step, row in enumerate(rows):
            if isinstance(row, Vertex) and 0 not in shape:
                self.edge(row, result, transpose(entry(whole, step)))
        return result

    def _like(self, vertex: Vertex, shape: tuple[int, ...], label: str) -> Vertex:
        """A new vertex of the dtype of another."""
        graph, number = self.graph, vertex.number
        return Vertex(
            graph.add_vertex(shape, graph.itemsizes[number], label, graph.complex[number])
        )

    def output(self, result: Value, atom: Any) -> int:
        """An output is a vertex of its own, so that an input may be one, or one be used on."""
        number = self.vertex(atom, "output").number
        if isinstance(result, Vertex) and 0 not in atom.aval.shape:
            self.graph.add_edge(result.number, number, identity(atom.aval.shape))
        return number


def _manual(aval: Any) -> Any:
    return getattr(aval, "manual_axis_type", None)


def _literal(atom: Literal) -> Known:
    number = atom.val.item() if np.ndim(atom.val) == 0 and hasattr(atom.val, "item") else atom.val
    aval: Any = atom.aval
    value = np.asarray(atom.val, dtype=aval.dtype)
    return Known(value, None, number if np.ndim(number) == 0 else None, entries_of(value))


def _directions(equation: JaxprEqn) -> tuple[str, ...]:
    """JAX only pulls cotangents through a custom_vjp, and only pushes tangents through a while."""
    inside = {equation.primitive.name}
    for body in inner_jaxprs(equation.params):
        inside.update(primitives(body))
    if "custom_lin" in inside:
        return ("pull",)
    return ("push",) if "while" in inside else ("push", "pull")


def _decided(predicate: Value) -> bool:
    """Whether the branch of a cond is known while reading."""
    return isinstance(predicate, Known) and not isinstance(predicate.value, jax.core.Tracer)


def _left_alone(equation: JaxprEqn, operands: Sequence[Value]) -> dict[int, int]:
    """The axes that a linear solve leaves alone (right-hand sides): output axis → operand axis.

    Read off the program that solves. It is read for that alone: JAX differentiates a solve by its
    matrix, and takes what the program has made of the matrix for constant.
    """
    if equation.primitive.name != "custom_linear_solve":
        return {}
    jaxprs, counts = equation.params["jaxprs"], equation.params["const_lengths"]
    linear = [n for n, operand in enumerate(operands) if isinstance(operand, Vertex)]
    if linear != [len(operands) - 1] or "while" in primitives(jaxprs.solve.jaxpr):
        return {}
    first, reader = counts.matvec + counts.vecmat, _Reader([])
    source = reader.vertex(equation.invars[-1], "input")
    reader.graph.inputs = (source.number,)
    given = [*operands[first : first + counts.solve], source]
    (result,) = reader.body(*opened(jaxprs.solve), given)
    reader.graph.outputs = (reader.output(result, equation.outvars[0]),)
    graph = reader.graph.pruned()
    (terms,) = Elimination(graph).run(graph.intermediates).result().values()
    carried = {label for term in terms for f in term.factors for label in f.labels}
    return {
        target: source
        for target, source in tied_axes(terms).items()
        if all(carried.isdisjoint(term.out[target]) for term in terms)
    }
