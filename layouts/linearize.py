"""From a function to the graph of its local Jacobians, by JAX's own linearisation.

`jax.linearize` gives a linear map; its jaxpr is a small program of linear primitives whose
constants are the residuals. Each equation becomes edges (see `layouts.rules`) or, where it has
no rule, an opaque map. Only this module, `layouts.rules` and `layouts.counting` read jaxprs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from layouts.algebra import identity
from layouts.counting import count_equation, inner_jaxprs, primitives
from layouts.graph import Graph
from layouts.program import Leaf, Opaque
from layouts.rules import RULES, Equation
from layouts.rules.equation import Operand

# Calls that are read as if their body stood in their place, with the parameter that holds it.
INLINED = {
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}


@dataclass(frozen=True)
class Known:
    """A value that does not depend on the inputs differentiated by: a residual."""

    value: Any
    name: str | None = None
    number: complex | None = None


@dataclass(frozen=True)
class Linearized:
    """A function's value and the graph of its local Jacobians there.

    Attributes:
        value: what the function returned, a list of leaves.
        graph: the graph; its inputs and outputs are the leaves in order.
        residuals: the array for each leaf of the graph's programs.
    """

    value: list[jax.Array]
    graph: Graph
    residuals: list[jax.Array]


def linearize(
    function: Callable[..., Sequence[jax.Array]],
    primals: Sequence[jax.Array],
    names: Sequence[str | None] = (),
    known: Sequence[tuple[Any, str]] = (),
    has_aux: bool = False,
) -> tuple[Linearized, Any]:
    """Linearise a function of a flat list of arrays at a point.

    Args:
        function: takes the primals, returns a flat list of arrays (and an auxiliary output).
        primals: where; inexact arrays or tracers.
        names: how formulas call the primals.
        known: other arrays that the function closes over, with their names.
        has_aux: the function returns a pair of its output and an auxiliary output.

    Returns:
        The value, the graph and the residuals; and the auxiliary output, or None.
    """
    linearized: Any = jax.linearize(function, *primals, has_aux=has_aux)  # type: ignore[call-overload]
    value, pushforward, *aux = linearized
    closed = jax.make_jaxpr(pushforward)(*primals)
    named = [(primal, name) for primal, name in zip(primals, names, strict=False) if name]
    reader = _Reader([*named, *known])
    sources = [reader.vertex(var, "input") for var in closed.jaxpr.invars]
    constants = [Known(const, reader.name_of(const)) for const in closed.consts]
    reader.graph.inputs = tuple(source.number for source in sources)
    results = reader.read(closed.jaxpr, constants, sources)
    reader.graph.outputs = tuple(
        reader.output(result, var)
        for result, var in zip(results, closed.jaxpr.outvars, strict=True)
    )
    found = Linearized(value, reader.graph.pruned(), reader.residuals)
    return found, aux[0] if has_aux else None


@dataclass(frozen=True)
class Vertex:
    """A value that depends linearly on the inputs."""

    number: int


@dataclass
class _Reader:
    """Reads jaxprs into a graph."""

    named: list[tuple[Any, str]]
    graph: Graph = field(default_factory=Graph)
    residuals: list[jax.Array] = field(default_factory=list)
    leaves: dict[int, Leaf] = field(default_factory=dict)

    def name_of(self, value: Any) -> str | None:
        """The name of an array that is one of the user's own."""
        return next((name for array, name in self.named if array is value), None)

    def leaf(self, value: jax.Array, name: str | None) -> Leaf:
        """Register a residual, once for each array."""
        if id(value) not in self.leaves:
            leaf = Leaf(value.shape, value.dtype.itemsize, (), len(self.residuals), name)
            self.leaves[id(value)] = leaf
            self.graph.leaves.append(leaf)
            self.residuals.append(value)
        return self.leaves[id(value)]

    def vertex(self, var: Any, label: str) -> "Vertex":
        """Add a vertex for a variable of the linear program."""
        itemsize = getattr(var.aval.dtype, "itemsize", 0)
        return Vertex(self.graph.add_vertex(var.aval.shape, itemsize, label))

    def read(
        self, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]
    ) -> list[Vertex | Known]:
        """Read a jaxpr's equations; returns what its outputs are."""
        environment: dict[Var, Vertex | Known] = {}
        environment.update(zip(jaxpr.constvars, constants, strict=True))
        environment.update(zip(jaxpr.invars, arguments, strict=True))

        def lookup(atom: Any) -> Vertex | Known:
            return _literal(atom) if isinstance(atom, Literal) else environment[atom]

        for equation in jaxpr.eqns:
            operands = [lookup(atom) for atom in equation.invars]
            environment.update(zip(equation.outvars, self.step(equation, operands), strict=True))
        return [lookup(atom) for atom in jaxpr.outvars]

    def step(
        self, equation: JaxprEqn, operands: Sequence[Vertex | Known]
    ) -> Sequence[Vertex | Known]:
        """Read one equation: run it, inline it, apply its rule, or take it as opaque."""
        name = equation.primitive.name
        if not any(isinstance(operand, Vertex) for operand in operands):
            return [Known(v) for v in bind(equation, [o.value for o in operands])]  # type: ignore[union-attr]
        if name in INLINED and INLINED[name] in equation.params:
            body = equation.params[INLINED[name]]
            constants = [Known(const) for const in getattr(body, "consts", ())]
            return self.read(getattr(body, "jaxpr", body), constants, operands)
        targets = [self.vertex(var, name) for var in equation.outvars]
        if all(0 in self.graph.shapes[target.number] for target in targets):
            return targets
        jacobians = None
        if name in RULES:
            jacobians = RULES[name](self.equation(equation, operands))
        if jacobians is None:
            self.graph.opaques.append(self.opaque(equation, operands, targets))
            return targets
        for key, terms in jacobians.items():
            position, place = key if isinstance(key, tuple) else (key, 0)
            source, target = operands[position], targets[place]
            assert isinstance(source, Vertex)
            if 0 in self.graph.shapes[source.number]:
                continue
            self.graph.add_edge(source.number, target.number, terms)
        return targets

    def equation(self, equation: JaxprEqn, operands: Sequence[Vertex | Known]) -> Equation:
        """What a rule sees of an equation."""
        seen = []
        for atom, operand in zip(equation.invars, operands, strict=True):
            aval: Any = atom.aval
            known = operand if isinstance(operand, Known) else Known(None)
            seen.append(Operand(aval.shape, aval.dtype, known.value, known.number, known.name))
        out: Any = equation.outvars[0].aval
        return Equation(equation.params, tuple(seen), Operand(out.shape, out.dtype), self.leaf)

    def opaque(
        self, equation: JaxprEqn, operands: Sequence[Vertex | Known], targets: Sequence[Vertex]
    ) -> Opaque:
        """Take an equation as a map known only by applying it."""
        linear = [n for n, operand in enumerate(operands) if isinstance(operand, Vertex)]

        def function(*tangents: jax.Array) -> Sequence[jax.Array]:
            values = [operand.value if isinstance(operand, Known) else None for operand in operands]
            for place, tangent in zip(linear, tangents, strict=True):
                values[place] = tangent
            return bind(equation, values)

        return Opaque(
            equation.primitive.name,
            function,
            tuple(operands[n].number for n in linear),  # type: ignore[union-attr, misc]
            tuple(target.number for target in targets),
            tuple(_aval(equation.invars[n]) for n in linear),
            tuple(_aval(var) for var in equation.outvars),
            _directions(equation),
            count_equation(equation)[:2],
        )

    def output(self, result: Vertex | Known, atom: Any) -> int:
        """An output is a vertex of its own, so that an input may be one, or one be used on."""
        number = self.vertex(atom, "output").number
        if isinstance(result, Vertex) and 0 not in atom.aval.shape:
            self.graph.add_edge(result.number, number, identity(atom.aval.shape))
        return number


def _literal(atom: Literal) -> Known:
    number = atom.val.item() if np.ndim(atom.val) == 0 and hasattr(atom.val, "item") else atom.val
    aval: Any = atom.aval
    value = np.asarray(atom.val, dtype=aval.dtype)
    return Known(value, None, number if np.ndim(number) == 0 else None)


def _aval(atom: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype)


def bind(equation: JaxprEqn, values: Sequence[Any]) -> Sequence[jax.Array]:
    """Run one equation."""
    params = equation.primitive.get_bind_params(equation.params)
    result = equation.primitive.bind(*values, **params)
    return result if equation.primitive.multiple_results else [result]


def _directions(equation: JaxprEqn) -> tuple[str, ...]:
    """JAX only pulls cotangents through a custom_vjp, and only pushes tangents through a while."""
    inside = {equation.primitive.name}
    for body in inner_jaxprs(equation.params):
        inside.update(primitives(body))
    if "custom_lin" in inside:
        return ("pull",)
    return ("push",) if "while" in inside else ("push", "pull")
