"""What is looked at: one function, differentiated by one input, as symbols and as numbers.

The symbols depend on the shapes alone and are kept, so that new values, another seed or another
layout cost no tracing and no compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from graphlib import TopologicalSorter
from math import prod
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from layouts.at_random import derivation, run
from layouts.costs import CostReport
from layouts.derivation import Derivation, derive
from layouts.derivation.tracing import trace
from layouts.derivation.vertices import Program
from layouts.errors import LayoutError
from layouts.exploration import Exploration, explore
from layouts.explorer.asking import Asked
from layouts.explorer.limits import MAX_JACOBIAN, check_accumulation, check_function
from layouts.formulas.evaluating import evaluate, shapes_of
from layouts.formulas.tree import Equation, Formula, Name
from layouts.jacobian import Jacobian
from layouts.linearize import Linearized
from layouts.naming import linearize_named
from layouts.transforms import jacobian

Shape = tuple[int, ...]
# Functions whose symbols and compiled programs are kept.
KEPT = 24
DIGITS = 3


@dataclass(frozen=True)
class Numbers:
    """Values at one place.

    Attributes:
        arrays: the value of each vertex, and of what the formulas define, by name.
        jacobian: the structured Jacobian.
        dense: the array that JAX gives; None where it is too large.
    """

    arrays: Mapping[str, np.ndarray]
    jacobian: Jacobian
    dense: np.ndarray | None


class Subject:
    """A function and an input to differentiate by.

    Args:
        call: takes arrays by position.
        inputs: the shape of each, by name.
        wrt: the input to differentiate by.

    Raises:
        LayoutError: it fails on these shapes, has no derivative, or is too large.
    """

    def __init__(self, call: Callable, inputs: Mapping[str, Shape], wrt: str):
        self.call, self.inputs, self.wrt = call, inputs, wrt
        self.place = list(inputs).index(wrt)
        self._made: dict[tuple, Any] = {}
        self.facts: Exploration = explore(call, inputs, wrt)
        self.derivation: Derivation = derivation(call, inputs, wrt, seed=None)
        self.costs: CostReport = cast(CostReport, self.facts.costs)  # it was traced without numbers
        check_function(call, inputs)
        check_accumulation(self.costs.planned)

    @cached_property
    def verified(self) -> Derivation:
        """The derivation, its steps held against numbers at random inputs."""
        arrays = map(jnp.asarray, self.draw(0))
        return run(lambda: derive(self.call, self.place)(*arrays), "be differentiated", last=True)

    @cached_property
    def program(self) -> Program:
        """The function as people see it."""
        return trace(self.call, self._arguments)

    @cached_property
    def linearized(self) -> Linearized:
        """The graph of local Jacobians."""
        return linearize_named(self.call, self.place, self._arguments).linearized

    @property
    def _arguments(self) -> list[jax.ShapeDtypeStruct]:
        dtype = jnp.result_type(float)
        return [jax.ShapeDtypeStruct(shape, dtype) for shape in self.shapes]

    def once(self, make: Callable[..., Any], *args: Any) -> Any:
        """What a function makes of this subject, which does not depend on values: made once."""
        if (make, args) not in self._made:
            self._made[make, args] = make(self, *args)
        return self._made[make, args]

    @property
    def shapes(self) -> list[Shape]:
        """Of the inputs, in order."""
        return list(self.inputs.values())

    @property
    def out_shape(self) -> Shape:
        """Of the output."""
        return self.facts.out_shape

    @property
    def in_shape(self) -> Shape:
        """Of the input differentiated by."""
        return self.inputs[self.wrt]

    @property
    def out_name(self) -> str:
        """How formulas call the output."""
        return self.derivation.out_name

    @property
    def writable(self) -> bool:
        """Whether the Jacobian is small enough to be written out."""
        return prod(self.facts.shape) <= MAX_JACOBIAN

    @cached_property
    def equation(self) -> Equation | None:
        """The Jacobian in index notation; None where it has none but itself.

        Of a scalar output it is the gradient.
        """
        found = self.derivation.of("jacobian") or self.derivation.of("result")
        formula = found[-1].formula if found else None
        if not isinstance(formula, Equation) or (self.out_shape and not self._by_indices):
            return None
        return formula

    @property
    def _by_indices(self) -> bool:
        return bool(self.derivation.of("jacobian"))

    @cached_property
    def definitions(self) -> dict[str, Formula]:
        """What the letters of the derivation's formulas stand for, functions left out.

        Each stands behind those that it is made of.
        """
        found = {
            equation.sides[0].text: equation.sides[-1]
            for equation in self.derivation.definitions
            if isinstance(equation.sides[0], Name)
        }
        made_of = {
            name: {part.text for part in body.walk() if isinstance(part, Name)} & {*found}
            for name, body in found.items()
        }
        return {name: found[name] for name in TopologicalSorter(made_of).static_order()}

    @cached_property
    def structs(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shape of every array that formulas name, gradients among them."""
        found = dict(self.program.structs)
        for name, formula in self.definitions.items():
            found[name] = jax.eval_shape(partial(evaluate, formula), found)
        return found

    @cached_property
    def shape_of(self) -> Callable[[Formula], Shape]:
        """What tells the shape of an array formula."""
        return shapes_of(self.structs)

    def spelt_out(self, formula: Formula) -> Formula:
        """The last side of a formula, of the inputs and the cotangent alone."""
        known: dict[Formula, Formula] = {Name(n): f for n, f in self.definitions.items()}
        for vertex in self.program.vertices:
            if vertex.formula is not None and not vertex.opaque:
                known[Name(vertex.name)] = vertex.formula
        body = formula.sides[-1] if isinstance(formula, Equation) else formula
        for _ in known:
            put_in = body.replaced(known)
            if put_in == body:
                break
            body = put_in
        return body

    def draw(self, seed: int) -> list[np.ndarray]:
        """Standard normal inputs, rounded so that people can read them; each has its own stream.

        Drawn by NumPy, since JAX compiles a program for each shape.
        """
        return [
            np.round(np.random.default_rng([seed, n]).standard_normal(shape), DIGITS)
            for n, shape in enumerate(self.shapes)
        ]

    def at(self, asked: Asked) -> list[np.ndarray]:
        """The inputs that a request asks for."""
        drawn = zip(self.inputs, self.draw(asked.seed), strict=True)
        return [
            np.array(asked.values[name], array.dtype).reshape(array.shape)
            if name in asked.values
            else array
            for name, array in drawn
        ]

    @cached_property
    def _values(self) -> Callable:
        """One compiled program for all numbers."""
        names = list(self.inputs)
        derivative = jacobian(self.call, self.place, structured=True)

        def compute(*arrays: Any) -> tuple[dict[str, Any], Jacobian, Any]:
            J = derivative(*arrays)
            values = self._defined(self.program.values(dict(zip(names, arrays, strict=True))))
            return values, J, J.dense() if self.writable else None

        return jax.jit(compute)

    def _defined(self, arrays: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """The same with what the formulas define, where that can be had."""
        found = dict(arrays)
        for name, formula in self.definitions.items():
            with suppress(LayoutError):  # of what is made of a cotangent
                found[name] = evaluate(formula, found)
        return found

    def numbers(self, arrays: list[np.ndarray]) -> Numbers:
        """All values at these inputs.

        Raises:
            LayoutError: the function fails there.
        """
        values, J, dense = run(lambda: self._values(*arrays), "run on these values", last=True)
        known = {name: np.asarray(value) for name, value in values.items()}
        return Numbers(known, J, None if dense is None else np.asarray(dense))

    def entry(self, arrays: list[np.ndarray], index: Sequence[int]) -> float:
        """One entry of a Jacobian that is not written out: a cotangent of zeros and a one."""
        split = len(self.out_shape)
        cotangent = np.zeros(self.out_shape)
        cotangent[tuple(index[:split])] = 1

        def by_one(array: Any) -> Any:
            return self.call(*arrays[: self.place], array, *arrays[self.place + 1 :])

        def pulled() -> Any:
            return jax.vjp(by_one, arrays[self.place])[1](cotangent)[0]

        row = run(pulled, "be differentiated", last=True)
        return float(np.asarray(row)[tuple(index[split:])])


@lru_cache(maxsize=KEPT)
def _subject(key: tuple, call: Callable, wrt: str) -> Subject:
    return Subject(call, dict(key[2]), wrt)


def subject_of(asked: Asked) -> Subject:
    """The subject of a request; the last few are kept.

    Raises:
        LayoutError: the function fails, has no derivative, or is too large.
    """
    return _subject(asked.key, asked.loaded.call, asked.wrt)
