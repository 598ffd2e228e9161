"""A function as its named vertices: inputs, intermediates and the output, each with its formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp

from layouts.formulas.tree import Formula
from layouts.nodes import Shape


@dataclass(frozen=True)
class Vertex:
    """An input, an intermediate or the output.

    Attributes:
        name: how formulas call it.
        shape: its shape.
        parents: the names of what it is made of, in their order in the function.
        formula: what it is; None for an input.
        compute: makes it of its parents, by position.
        opaque: whether the formula only names a function that has no formula.
    """

    name: str
    shape: Shape
    dtype: Any
    parents: tuple[str, ...] = ()
    formula: Formula | None = None
    compute: Callable[..., jax.Array] | None = None
    opaque: bool = False


@dataclass(frozen=True)
class Program:
    """A function of named inputs: its vertices, inputs first, the output last."""

    vertices: tuple[Vertex, ...]

    @property
    def output(self) -> Vertex:
        """The last vertex."""
        return self.vertices[-1]

    @property
    def loss(self) -> str:
        """What the scalar that cotangents are gradients of is called; a scalar output is it."""
        if not self.output.shape:
            return self.output.name
        names = {vertex.name for vertex in self.vertices}
        return next(name for name in ("L", "E", "J", "loss") if name not in names)

    def tangent(self, name: str) -> str:
        """What a vertex's tangent is called: no vertex's name."""
        names = {vertex.name for vertex in self.vertices}
        return next(n for n in marked(name, "_dot") if n not in names)

    @cached_property
    def structs(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shape of every array that formulas name, gradients and tangents among them."""
        own = {v.name: jax.ShapeDtypeStruct(v.shape, v.dtype) for v in self.vertices}
        found: dict[str, jax.ShapeDtypeStruct] = {}
        for name, struct in own.items():
            others = (f"d{name}", f"d{self.loss}/d{name}", self.tangent(name))
            found |= dict.fromkeys(others, struct)
        return found | own  # an input may be called dW

    def vertex(self, name: str) -> Vertex:
        """A vertex by its name."""
        return next(vertex for vertex in self.vertices if vertex.name == name)

    def paths(self, start: str, most: int) -> list[tuple[str, ...]] | None:
        """The ways from a vertex to the output, output first; None if more than `most`."""
        found: list[tuple[str, ...]] = []
        pending: list[tuple[str, ...]] = [(self.output.name,)]
        while pending:
            path = pending.pop()
            if path[-1] == start:
                found.append(path)
                continue
            parents = [p for p in self.vertex(path[-1]).parents if self.leads(start, p)]
            pending += [(*path, parent) for parent in parents][::-1]
            if len(found) + len(pending) > most:
                return None
        return found

    def leads(self, start: str, end: str) -> bool:
        """Whether one vertex is made of another, by what has derivatives, or is it."""
        reached = {start}
        for vertex in self.vertices:
            smooth = jnp.issubdtype(vertex.dtype, jnp.inexact)
            if smooth and reached & {*vertex.parents}:
                reached.add(vertex.name)
        return end in reached

    def values(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each vertex, from those of the inputs."""
        known = dict(arrays)
        for vertex in self.vertices:
            if vertex.compute is not None:
                known[vertex.name] = vertex.compute(*(known[name] for name in vertex.parents))
        return known

    def gradients(self, values: Mapping[str, Any], cotangent: Any) -> dict[str, Any]:
        """The gradient by each vertex that the output depends on.

        Args:
            values: of every vertex.
            cotangent: the output's.
        """
        found = {self.output.name: cotangent}
        for child in reversed(self.vertices):
            if child.compute is None or child.name not in found:
                continue
            arrays = [values[name] for name in child.parents]
            for place, parent in enumerate(child.parents):
                if jnp.issubdtype(self.vertex(parent).dtype, jnp.inexact):
                    pulled = pull(child.compute, arrays, place, found[child.name])
                    found[parent] = found[parent] + pulled if parent in found else pulled
        return found


def pull(fun: Callable, arrays: Sequence[Any], place: int, cotangent: Any) -> Any:
    """The gradient of a function of arrays by one of them."""

    def of_one(array: Any) -> Any:
        return fun(*arrays[:place], array, *arrays[place + 1 :])

    return jax.vjp(of_one, arrays[place])[1](cotangent)[0]


def marked(name: str, mark: str) -> Iterator[str]:
    """`x_dot`, and where that is taken `x_dot_dot`."""
    return (name + mark * times for times in count(1))
