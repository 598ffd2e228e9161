"""A function as people see it on paper: a few named intermediates, each made of those before it.

The function is traced, its variables are read as expressions, and the intermediates that people
give names to are picked: `z1 = W X + b`, what a nonlinear function is applied to, `a1 = tanh(z1)`,
what comes of it, and whatever the function itself names by `jax.ad_checkpoint.checkpoint_name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from layouts.derivation.vertices import Program, Vertex
from layouts.errors import LayoutError
from layouts.formulas.tree import Call, Formula, Name
from layouts.leaves import leaf_names
from layouts.naming.called import name_of
from layouts.naming.paper import on_paper
from layouts.naming.reading import constant, read
from layouts.naming.residuals import familiar
from layouts.naming.step import CARRIED
from layouts.naming.units import unit_of
from layouts.naming.written import is_open, open_parts, written
from layouts.show.value import Value, is_call
from layouts.show.values import Values
from layouts.walking import bind, is_short_loop, unrolled, walk

# Functions of which both sides have names: what goes in is z1, what comes out a1.
ACTIVATIONS = ("tanh", "sigmoid", "relu", "gelu", "silu", "softplus", "elu", "erf")
ALONG_AN_AXIS = ("softmax", "log_softmax")

# A loop is written out, `a2 = tanh(W a1 + U x2)`, up to so many steps.
MOST_STEPS = 32
# What a loop hands on from step to step has a name, if it has so many steps.
LEAST_NAMED = 3


def trace(
    fun: Callable, args: Sequence[Any], out_name: str | None = None, names: Sequence[str] = ()
) -> Program:
    """Trace a function and pick its intermediates.

    Args:
        fun: takes pytrees of arrays, returns one array.
        args: arrays or `jax.ShapeDtypeStruct`s.
        out_name: how to call the output; `L` for a scalar and `D` for an array unless told.
        names: how to call the leaves of the arguments, in place of their parameters' names.

    Returns:
        The program; its vertices are as many as people would name.

    Example:
        >>> import jax.numpy as jnp
        >>> shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((4, 3), (3,), (2, 4))]
        >>> program = trace(lambda W1, x, W2: W2 @ jnp.tanh(W1 @ x), shapes)
        >>> [vertex.name for vertex in program.vertices]
        ['W1', 'x', 'W2', 'z1', 'a1', 'D']
    """
    leaves, treedef = jax.tree.flatten(tuple(args))
    names = tuple(names) or tuple(leaf_names(fun, args, range(len(args))))

    def flat(*leaves: Any) -> Any:
        found = fun(*jax.tree.unflatten(treedef, leaves))
        if not jax.tree_util.treedef_is_leaf(jax.tree.structure(found)):
            count = len(jax.tree.leaves(found))
            received = f"a {type(found).__name__} of {count} array{'s' * (count != 1)}"
            remedy = "derive each output on its own: lambda *args: f(*args)[0]"
            raise LayoutError("the function's result", "one array", received, remedy)
        return found

    counted = [place for place, leaf in enumerate(leaves) if _counts(leaf)]
    closed = jax.make_jaxpr(_inlined(on_paper(flat, counted, indexed=True)))(*leaves)
    return _Tracing(closed.jaxpr, closed.consts, names, out_name).program()


def _counts(leaf: Any) -> bool:
    """Whether it holds indices: whole numbers, where they are known none below 0."""
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.integer):
        return False
    abstract = isinstance(leaf, jax.ShapeDtypeStruct | jax.core.Tracer)
    return abstract or not np.size(leaf) or bool(np.min(leaf) >= 0)


def _inlined(fun: Callable) -> Callable:
    """The same function without calls, but for those that people write as one."""

    def run(jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        return walk(jaxpr, constants, arguments, step)

    def step(equation: JaxprEqn, operands: list[Any]) -> Sequence[Any]:
        called = equation.primitive.name in ("jit", "pjit")
        body = equation.params.get("jaxpr") if called else None
        whole = unit_of(equation, derived=True) or name_of(equation)
        if body and not (whole or _solves(body.jaxpr)):
            return run(body.jaxpr, body.consts, operands)
        if is_short_loop(equation, MOST_STEPS):
            few = equation.params["length"] < LEAST_NAMED
            return unrolled(equation, operands, run, _entry, jnp.stack, list if few else _named)
        return bind(equation, operands)

    def inlined(*leaves: Any) -> Any:
        closed = jax.make_jaxpr(fun)(*leaves)
        return run(closed.jaxpr, closed.consts, leaves)[0]

    return inlined


def _entry(array: Any, step: int) -> Any:
    return lax.index_in_dim(array, step, keepdims=False)


def _named(arrays: list[Any]) -> list[Any]:
    """What is handed on in a loop, marked as something to name."""
    return [
        checkpoint_name(array, CARRIED)
        if jnp.issubdtype(jnp.result_type(array), jnp.floating)
        else array
        for array in arrays
    ]


def _solves(jaxpr: Jaxpr) -> bool:
    """Whether it solves for several at once, which JAX differentiates within a call alone."""
    return any(equation.primitive.name == "custom_linear_solve" for equation in jaxpr.eqns)


# A variable of a jaxpr, which here always has a shape and a dtype.
Variable = Any


class _Tracing:
    """A jaxpr with the expression of each variable."""

    def __init__(
        self, jaxpr: Any, constants: Sequence[Any], names: Sequence[str], out_name: str | None
    ):
        self.jaxpr = jaxpr
        self.constants = dict(zip(jaxpr.constvars, constants, strict=True))
        self.values = Values()
        self.input_names = dict(zip(jaxpr.invars, names, strict=True))
        inputs = [self.values.name(n, v.aval.shape) for v, n in self.input_names.items()]
        numbers = (f"c{n}" for n in count(1))
        held = [constant(self.values, array) for array in constants]
        self.held = {
            var: next(n for n in numbers if n not in names)
            for var, value in zip(jaxpr.constvars, held, strict=True)
            if value.head == "name" and value.shape
        }
        used = [v for e in jaxpr.eqns for v in e.invars if isinstance(v, Var)]
        made = {v for e in jaxpr.eqns for v in e.outvars} & {*used, *jaxpr.outvars}
        self.made = [v for e in jaxpr.eqns for v in e.outvars if v in made]
        # Arrays that the function holds are inputs with names of their own.
        held = [
            self.values.name(self.held[var], var.aval.shape) if var in self.held else value
            for var, value in zip(jaxpr.constvars, held, strict=True)
        ]
        variables = [*jaxpr.constvars, *jaxpr.invars]
        whole = jaxpr.replace(constvars=[], invars=variables, outvars=self.made)
        found = read(self.values, whole, (), [*held, *inputs])
        self.value: dict[Any, Value] = dict(zip(self.made, found, strict=True))
        self.value |= zip(variables, [*held, *inputs], strict=True)
        self.known = familiar(self.values, getattr(jaxpr.outvars[0].aval, "dtype", float))
        self.producer = {v: e for e in jaxpr.eqns for v in e.outvars}
        (self.out,) = jaxpr.outvars
        self.taken = {*names, *self.held.values()}
        shape = self.out.aval.shape
        fallback = ("D", "Y", "F", "out") if shape else ("L", "E", "J", "loss")
        free = (n for n in fallback if self.taken.isdisjoint((n, f"d{n}", f"{n}_dot")))
        self.out_name = out_name or next(free)
        self.taken.add(self.out_name)

    def program(self) -> Program:
        """The vertices in the order of the program."""
        if isinstance(self.out, Literal) or self.out in self.constants:
            literal = isinstance(self.out, Literal)
            value = self.out.val if literal else self.constants[self.out]
            known = constant(self.values, value) if literal else self.value[self.out]
            formula = written(known, {})
            last = Vertex(
                self.out_name, self.out.aval.shape, self.out.aval.dtype, (), formula, lambda: value
            )
            return Program((*self._inputs(), last))
        named = {**self._picked(), **self.held}
        written_as = {self.value[var]: name for var, name in named.items()}
        vertices = [
            self._vertex(var, name, named, written_as)
            for var, name in named.items()
            if var not in self.input_names and var not in self.held
        ]
        if self.out in self.input_names:
            vertices.append(self._vertex(self.out, self.out_name, named, written_as))
        return Program((*self._inputs(), *vertices))

    def _inputs(self) -> list[Vertex]:
        inputs = [Vertex(n, v.aval.shape, v.aval.dtype) for v, n in self.input_names.items()]
        for var, name in self.held.items():
            array = self.constants[var]
            inputs.append(Vertex(name, array.shape, array.dtype, compute=lambda a=array: a))
        return inputs

    def _picked(self) -> dict[Variable, str]:
        """The variables that get names, in their order, inputs first and the output last."""
        known = self.known
        chosen: dict[Value, str] = {}
        reached = self._reached()
        for var in self.made:
            value = known.get(self.value[var], self.value[var])
            if value not in reached:
                continue
            if is_open(value):
                chosen.setdefault(value, "u")
            if not _is_activation(value):
                continue
            for role, part in (("z", value.operands[0]), ("a", self.value[var])):
                if part.head not in ("name", "number"):
                    chosen.setdefault(part, role)
        terms = {part for value in (*chosen, self.value[self.out]) for part in _terms(value)}
        for value in reached - terms:
            if is_call(value, "sort"):
                chosen.setdefault(value, "u")
            elif is_call(value, "conv") and value not in map(_moved, terms):
                chosen.setdefault(value, "z")
            elif value.detail == (CARRIED,) and value.operands[0] not in chosen:
                chosen.setdefault(value, "u")
        numbers = {role: map(f"{role}{{}}".format, count(1)) for role in "zau"}
        given = self.values.given
        picked: dict[Variable, str] = dict(self.input_names)
        seen = {self.value[var] for var in picked}
        for var in self.made:
            value = self.value[var]
            if var is self.out or value in seen or value is self.value[self.out]:
                continue
            if jnp.issubdtype(var.aval.dtype, jnp.complexfloating):
                continue  # derivatives from real to real pass through it
            kind = chosen.get(value)
            if value in given or (kind and value.shape == var.aval.shape):
                spare = (n for n in numbers[kind or "u"] if n not in self.taken)
                name = str(given.get(value) or next(spare))
                picked[var] = name
                self.taken.add(name)
                seen.add(value)
        if self.out not in picked:
            picked[self.out] = self.out_name
        return picked

    def _reached(self) -> set[Value]:
        """What the output is written with, functions with names not looked into."""
        pending, seen = [self.value[self.out]], set()
        while pending:
            part = pending.pop()
            part = self.known.get(part, part)
            if part not in seen:
                seen.add(part)
                pending += part.operands
        return seen

    def _vertex(
        self,
        var: Variable,
        name: str,
        named: Mapping[Variable, str],
        written_as: Mapping[Value, str],
    ) -> Vertex:
        """One vertex, computed from the named variables that it is directly made of."""
        by_value = {self.value[v]: v for v in named if v is not var}
        equations, parents = self._slice(var, by_value)
        order = [v for v in named if v in parents]

        def compute(*arrays: Any) -> Any:
            return self._run(equations, dict(zip(order, arrays, strict=True)), by_value, var)

        names = tuple(named[v] for v in order)
        kinds = [Parameter(place_name(n), Parameter.POSITIONAL_ONLY) for n in range(len(names))]
        compute.__signature__ = Signature(kinds)  # type: ignore[attr-defined]
        others = {value: n for value, n in written_as.items() if n in names}
        value = self.value[var]
        opaque = bool(open_parts([value], others, self.known)) and value not in others
        if opaque:
            function = value.detail[0] if is_open(value) and value.head != "name" else "f"
            formula: Formula = Call(str(function), tuple(map(Name, names)))
        else:
            formula = written(value, others, self.known)
        return Vertex(name, var.aval.shape, var.aval.dtype, names, formula, compute, opaque)

    def _slice(
        self, var: Variable, by_value: Mapping[Value, Variable]
    ) -> tuple[list[JaxprEqn], set[Variable]]:
        """The equations that make a variable of named ones, and which these are."""
        needed, parents, pending = set(), set(), [var]
        while pending:
            v = pending.pop()
            if isinstance(v, Literal) or (v in self.constants and v not in self.held):
                continue
            other = self._same(v, by_value)
            if v is not var and other is not None:
                parents.add(other)
            elif v in self.input_names or v in self.held:
                parents.add(v)
            elif id(self.producer[v]) not in needed:
                needed.add(id(self.producer[v]))
                pending += self.producer[v].invars
        return [e for e in self.jaxpr.eqns if id(e) in needed], parents

    def _same(self, var: Variable, by_value: Mapping[Value, Variable]) -> Variable | None:
        """The named variable of the same value and shape."""
        other = by_value.get(self.value[var])
        same = other is not None and (other.aval.shape, other.aval.dtype) == (
            var.aval.shape,
            var.aval.dtype,
        )
        return other if same else None

    def _run(
        self,
        equations: Sequence[JaxprEqn],
        arrays: dict[Variable, Any],
        by_value: Mapping[Value, Variable],
        result: Variable,
    ) -> Any:
        environment = {**self.constants, **arrays}

        def lookup(atom: Any) -> Any:
            if isinstance(atom, Literal):
                return atom.val
            if atom is not result and atom not in environment:
                return environment[self._same(atom, by_value)]
            return environment[atom]

        for equation in equations:
            outputs = bind(equation, [lookup(atom) for atom in equation.invars])
            environment.update(zip(equation.outvars, outputs, strict=True))
        return environment[result]


def place_name(place: int) -> str:
    """How a vertex's `compute` calls a parent, since a path such as `params.W` is no parameter."""
    return f"_{place}"


def _terms(value: Value) -> tuple[Value, ...]:
    """The terms of a sum; of anything else itself."""
    return value.operands if value.head == "sum" else (value,)


def _moved(value: Value) -> Value:
    """The array of which this is a view with its axes in another order."""
    while value.head in ("index", "transpose") or is_call(value, "transpose"):
        (value,) = value.operands
    return value


def _is_activation(value: Value) -> bool:
    if value.head == "map":
        return value.detail[0] in ACTIVATIONS
    return value.head == "call" and value.detail[0] in ALONG_AN_AXIS
