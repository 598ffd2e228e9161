"""A function as a list of steps, one for each primitive equation.

A function is flattened into primitive equations, and calls of library functions that people write
as one, such as `inv`, are steps too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn

from layouts.doctor import plain
from layouts.doctor.slopes import VALUES
from layouts.naming.paper import on_paper
from layouts.naming.units import unit_of
from layouts.walking import bind, walk

# Primitives that may stand under a rule of their own, which is the primitive's.
RULED = ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "tile")
CALLS = ("jit", "pjit", "closed_call", "core_call")


@dataclass(frozen=True)
class Group:
    """A call that has a name, such as `softmax` or `relu`: steps that people think of as one.

    Attributes:
        name: the name.
        inputs: the variables that it takes.
        output: the variable that it returns.
    """

    name: str
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True)
class Step:
    """One equation: `results = primitive(operands)`; an operand is a variable or a constant.

    Attributes:
        equation: the equation.
        operands: for each the number of its variable; None for a constant.
        constants: the constants' values, None for a variable.
        results: the numbers of the variables that it makes.
    """

    equation: JaxprEqn
    operands: tuple[int | None, ...]
    constants: tuple[Any, ...]
    results: tuple[int, ...]

    @cached_property
    def name(self) -> str:
        """The primitive's name, or the name of the library function that is called."""
        unit = unit_of(self.equation)
        return unit.name if unit else self.equation.primitive.name

    @property
    def called(self) -> str:
        """What people call it: of a function with a rule of its own the function's name."""
        if self.name != "custom_jvp_call":
            return self.name
        inner = self.params["call_jaxpr"].jaxpr.eqns
        return str(inner[0].params.get("name", self.name)) if len(inner) == 1 else self.name

    @property
    def params(self) -> Mapping[str, Any]:
        """The primitive's parameters."""
        return self.equation.params

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first result."""
        return tuple(self.equation.outvars[0].aval.shape)  # type: ignore[attr-defined]

    @cached_property
    def rule(self) -> Rule | None:
        """What it does, if it acts entry by entry by a rule of its own, as relu does."""
        return _rule_of(self) if _is_entrywise(self) else None

    def run(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """The results for other operands."""
        return bind(self.equation, arrays)


@dataclass(frozen=True)
class Rule:
    """What a function of one operand gives entry by entry, and its slope, in NumPy's steps.

    Attributes:
        value: what it gives.
        slope: its derivative, as its own rule has it.
    """

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


@dataclass
class Listing:
    """A function as a list of steps.

    Attributes:
        steps: in order.
        groups: the calls with names.
        inputs: the variables of the arguments' leaves.
        output: the variable of the result; None where it is a constant.
        count: how many variables there are.
        shifts: whether what is held constant on purpose has its value.
    """

    steps: list[Step] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    output: int | None = None
    count: int = 0
    shifts: bool = True

    def uses(self, variable: int) -> list[tuple[int, int]]:
        """The steps and operands where a variable is used."""
        return [
            (n, place)
            for n, step in enumerate(self.steps)
            for place, operand in enumerate(step.operands)
            if operand == variable
        ]


def listing(fun: Callable, leaves: Sequence[Any], shifts: bool = True) -> Listing:
    """Flatten a function of arrays that returns one array.

    Args:
        fun: the function.
        leaves: its arguments.
        shifts: whether what is held constant on purpose has its value; else it is zero, as the
            shift by the largest entry that a softmax has for the sake of precision.

    Example:
        >>> found = listing(lambda x: jnp.sin(x) * 2, [jnp.ones(3)])
        >>> [step.name for step in found.steps]
        ['sin', 'mul']
    """
    closed = jax.make_jaxpr(on_paper(fun))(*leaves)
    found = Listing(shifts=shifts)
    found.inputs = tuple(range(len(leaves)))
    found.count = len(leaves)
    (output,) = _flatten(found, closed.jaxpr, closed.consts, found.inputs)
    found.output = output if isinstance(output, int) else None
    return found if shifts else _without_unused(found)


def _without_unused(found: Listing) -> Listing:
    """The same without the steps that nothing depends on."""
    needed, kept = {found.output}, []
    for step in reversed(found.steps):
        if needed & {*step.results}:
            needed |= {*step.operands}
            kept.append(step)
    return replace(found, steps=kept[::-1])


class _Constant:
    def __init__(self, value: Any):
        self.value = value


def _flatten(
    found: Listing, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]
) -> list[Any]:
    """Append a jaxpr's equations, its variables numbered; returns its outputs."""

    def step(equation: JaxprEqn, operands: list[Any]) -> list[Any]:
        if equation.primitive.name == "stop_gradient" and not found.shifts:
            return [_Constant(jnp.zeros(v.aval.shape, v.aval.dtype)) for v in equation.outvars]  # type: ignore[attr-defined]
        if not found.shifts and _takes_off_nothing(equation, operands):
            return operands[:1]
        body = _body(equation)
        variables = tuple(n for n in operands if isinstance(n, int))
        if body is not None:
            outputs = _flatten(found, body.jaxpr, body.consts, operands)
            if len(outputs) == 1 and isinstance(outputs[0], int) and variables:
                name = str(equation.params.get("name", "")).strip("_")
                found.groups.append(Group(name, variables, outputs[0]))
            return outputs
        outputs = list(range(found.count, found.count + len(equation.outvars)))
        found.count += len(outputs)
        found.steps.append(
            Step(
                equation,
                tuple(n if isinstance(n, int) else None for n in operands),
                tuple(None if isinstance(n, int) else n.value for n in operands),
                tuple(outputs),
            )
        )
        return outputs

    held = [_Constant(array) for array in constants]
    return walk(jaxpr, held, arguments, step, lambda atom: _Constant(atom.val))


def _takes_off_nothing(equation: JaxprEqn, operands: Sequence[Any]) -> bool:
    """Whether it takes zeros off an array of its own shape."""
    if equation.primitive.name != "sub" or not isinstance(operands[1], _Constant):
        return False
    shapes = [atom.aval.shape for atom in (equation.invars[0], equation.outvars[0])]  # type: ignore[attr-defined]
    return shapes[0] == shapes[1] and not np.any(operands[1].value)


def _inner(equation: JaxprEqn) -> Any:
    """The jaxpr that an equation calls; None where it calls none."""
    return equation.params.get("jaxpr") or equation.params.get("call_jaxpr")


def _body(equation: JaxprEqn) -> Any:
    """What a call runs, unless people write it as one."""
    if equation.primitive.name in CALLS and not unit_of(equation):
        return _inner(equation)
    if equation.primitive.name == "custom_jvp_call":
        body = equation.params["call_jaxpr"]
        if len(body.jaxpr.eqns) == 1 and body.jaxpr.eqns[0].primitive.name in RULED:
            return body
    return None


def _is_entrywise(step: Step) -> bool:
    """Whether a function of one operand with a rule of its own acts entry by entry."""
    if step.name != "custom_jvp_call" or len(step.results) != 1:
        return False
    body = step.params["call_jaxpr"].jaxpr
    shapes = {variable.aval.shape for variable in (*body.invars, *body.outvars)}
    return len(body.invars) == 1 and len(shapes) == 1 and all(map(_keeps_entries, body.eqns))


def _keeps_entries(equation: JaxprEqn) -> bool:
    """Whether an equation acts entry by entry, whatever it calls."""
    if equation.primitive.name in CALLS:
        return all(map(_keeps_entries, _inner(equation).jaxpr.eqns))
    return equation.primitive.name in VALUES


def _rule_of(step: Step) -> Rule | None:
    """The rule of a function that acts entry by entry; None where NumPy lacks one of its steps."""
    (variable,) = step.params["call_jaxpr"].jaxpr.invars
    like = jnp.ones(variable.aval.shape, variable.aval.dtype)

    def slope(x: Any) -> Any:
        return jax.jvp(lambda y: step.run([y])[0], (x,), (jnp.ones_like(x),))[1]

    found = Rule(
        partial(_in_numpy, step.params["call_jaxpr"]),
        partial(_in_numpy, jax.make_jaxpr(slope)(like)),
    )
    try:
        found.value(np.asarray(like)), found.slope(np.asarray(like))
    except KeyError:
        return None
    return found


def _in_numpy(closed: Any, *arrays: np.ndarray) -> np.ndarray:
    """What a jaxpr of one result gives.

    Raises:
        KeyError: a step that NumPy lacks.
    """

    def of_equation(equation: JaxprEqn, operands: list[Any]) -> list[Any]:
        body = _inner(equation)
        if body is not None:
            return [_in_numpy(body, *operands)]
        result = plain.run(Step(equation, (), (), ()), operands)
        if result is None:
            raise KeyError(equation.primitive.name)
        return [result]

    (found,) = walk(closed.jaxpr, closed.consts, arrays, of_equation)
    return np.asarray(found)
