"""The true values that a derivation's steps are held against: JAX's own derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.conventions import Convention
from layouts.conventions.convention import arrange_array
from layouts.derivation.vertices import Program, Vertex, pull
from layouts.formulas.evaluating import evaluate, names
from layouts.formulas.tree import Formula, Identity, Letter

# A Jacobian with more entries than this is not computed to check steps against.
MOST_ENTRIES = 250_000


class Truth:
    """True values at given arrays.

    Args:
        fun: the function, of the leaves of its arguments.
        program: its vertices.
        leaves: the arrays that it is given.
        cotangent: of the output; random unless given.
    """

    def __init__(
        self, fun: Callable, program: Program, leaves: Sequence[Any], cotangent: Any = None
    ):
        """Nothing is computed before it is asked for."""
        self.fun, self.program, self.leaves = fun, program, leaves
        if cotangent is not None:
            self.cotangent = cotangent
        self.names = [vertex.name for vertex in program.vertices[: len(leaves)]]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The value of each vertex."""
        inputs = dict(zip(self.names, self.leaves, strict=True))
        return jax.jit(self.program.values)(inputs)

    @cached_property
    def cotangent(self) -> Any:
        """Random, since mistakes hide behind ones; one for a scalar output, which is the loss."""
        out = self.program.output
        if not out.shape:
            return jnp.ones((), out.dtype)
        return _normal(0, out)

    @cached_property
    def locals(self) -> dict[tuple[str, str], Any]:
        """The Jacobian of each vertex by each parent; None if large or not differentiable."""

        def compute(values: dict[str, Any]) -> dict[tuple[str, str], Any]:
            found = {}
            for child in self.program.vertices:
                for place, name in enumerate(child.parents):
                    parent = self.program.vertex(name)
                    smooth = jnp.issubdtype(parent.dtype, jnp.inexact)
                    if smooth and _is_small(child, parent) and child.compute is not None:
                        arrays = [values[other] for other in child.parents]
                        found[child.name, name] = jax.jacrev(child.compute, place)(*arrays)
            return found

        return jax.jit(compute)(self.values)

    @cached_property
    def gradients(self) -> dict[str, Any]:
        """The gradient of the loss by each vertex that can be differentiated by."""
        cotangent = self.cotangent

        def compute(values: dict[str, Any], leaves: Sequence[Any]) -> dict[str, Any]:
            found = self.program.gradients(values, cotangent)
            for place, name in enumerate(self.names):  # of the function itself
                if jnp.issubdtype(self.program.vertex(name).dtype, jnp.inexact):
                    found[name] = pull(self.fun, leaves, place, cotangent)
            return found

        return jax.jit(compute)(self.values, self.leaves)

    def of(self, source: Vertex) -> TrueOf:
        """The true values of what is differentiated by one input."""
        return TrueOf(self, source)


@dataclass(frozen=True)
class TrueOf:
    """The true derivatives by one input.

    Attributes:
        shared: what is the same for all inputs.
        source: the input.
    """

    shared: Truth
    source: Vertex

    @property
    def values(self) -> dict[str, Any]:
        """The value of each vertex."""
        return self.shared.values

    @property
    def gradients(self) -> dict[str, Any]:
        """The gradient of the loss by each vertex."""
        return self.shared.gradients

    def local(self, child: Vertex, parent: Vertex) -> Any:
        """The Jacobian of a vertex by one of its parents; None if it is not known."""
        return self.shared.locals.get((child.name, parent.name))

    @cached_property
    def place(self) -> int:
        """The input's place among the leaves."""
        return self.shared.names.index(self.source.name)

    @cached_property
    def tangent(self) -> Any:
        """A random tangent."""
        return _normal(1, self.source)

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """What formulas are evaluated with."""
        program = self.shared.program
        known = {f"d{child}/d{parent}": J for (child, parent), J in self.shared.locals.items()}
        known |= {f"d{program.loss}/d{name}": G for name, G in self.gradients.items()}
        known[f"d{program.output.name}"] = self.shared.cotangent
        known[program.tangent(self.source.name)] = self.tangent
        return {**known, **self.values}

    @cached_property
    def jacobian(self) -> Any:
        """The whole Jacobian; None if it is large."""
        if not _is_small(self.shared.program.output, self.source):
            return None
        return jax.jit(jax.jacrev(self.shared.fun, self.place))(*self.shared.leaves)

    @cached_property
    def pushed(self) -> Any:
        """The tangent pushed forward."""
        leaves, place = self.shared.leaves, self.place

        def along(leaf: Any) -> Any:
            return self.shared.fun(*leaves[:place], leaf, *leaves[place + 1 :])

        return jax.jvp(along, (leaves[place],), (self.tangent,))[1]

    def stacked(self, vec: str) -> Any:
        """The Jacobian of the stacked output by the stacked input.

        Args:
            vec: "rows" or "columns": how both are stacked.
        """
        out, into = self.shared.program.output.shape, self.source.shape
        if self.jacobian is None:
            return None
        axes = [*range(len(out)), *range(len(out), len(out) + len(into))]
        if vec == "columns":
            axes = [*axes[: len(out)][::-1], *axes[len(out) :][::-1]]
        return jnp.transpose(self.jacobian, axes).reshape(prod(out), prod(into))

    def arranged(self, convention: Convention) -> Any:
        """The Jacobian as a convention writes it."""
        if self.jacobian is None:
            return None
        return arrange_array(
            self.jacobian, convention, self.shared.program.output.shape, self.source.shape
        )

    def differences(
        self, checks: Sequence[tuple[Formula, Any, Sequence[Letter | None]]]
    ) -> list[float | None]:
        """How far formulas are from true values, relative to the largest entry of each.

        Args:
            checks: formulas, their true values, None where that is not known, and the letters of
                their axes.

        Raises:
            LayoutError: a formula cannot be evaluated; a derivation has none of that kind.
        """

        def compute(arrays: dict[str, Any], trues: list[Any]) -> list[Any]:
            return [
                _difference(formula, true, letters, arrays)
                if true is not None and _is_known(formula, arrays)
                else None
                for (formula, _, letters), true in zip(checks, trues, strict=True)
            ]

        found = jax.jit(compute)(self.arrays, [true for _, true, _ in checks])
        return [None if difference is None else float(difference) for difference in found]


def _is_known(formula: Formula, arrays: Mapping[str, Any]) -> bool:
    """Whether a formula has no derivative, nor identity matrix, that is too large to compute."""
    sizes = (part.size**2 for part in formula.walk() if isinstance(part, Identity))
    known = all("/" not in name or name in arrays for name in names(formula))
    return known and max(sizes, default=0) <= MOST_ENTRIES


def _difference(
    formula: Formula, true: Any, letters: Sequence[Letter | None], arrays: dict[str, Any]
) -> Any:
    true = jnp.asarray(true)
    if true.size == 0:
        return jnp.zeros(())
    value = evaluate(formula, arrays, [letter for letter in letters if letter is not None])
    value = value.reshape(true.shape) if value.size == true.size else value + jnp.zeros_like(true)
    scale = jnp.max(jnp.where(jnp.isinf(true), 0, jnp.abs(true)))
    apart = jnp.where(value == true, 0, jnp.abs(value - true))  # the same infinity is no distance
    return jnp.max(apart) / jnp.where(scale == 0, 1, scale)


def _normal(seed: int, like: Vertex) -> jax.Array:
    """Standard normal numbers; by NumPy, since a key is compiled for anew at every shape."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(like.shape), like.dtype)


def _is_small(child: Vertex, parent: Vertex) -> bool:
    """Whether a Jacobian is real, and small enough to be computed as a check."""
    real = all(jnp.issubdtype(vertex.dtype, jnp.floating) for vertex in (child, parent))
    return real and prod(child.shape) * prod(parent.shape) <= MOST_ENTRIES
