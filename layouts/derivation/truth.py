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
from layouts.nodes import Shape

# A Jacobian with more entries than this is not computed to check steps against.
MOST_ENTRIES = 250_000

# A formula, what picks its true value, None where there is none, and the letters of its axes.
Check = tuple[Formula, Callable[["Truth"], Any] | None, Sequence[Letter | None]]


@dataclass(frozen=True)
class Truth:
    """The true values of a function and its derivatives, each computed when it is asked for.

    Attributes:
        fun: the function, of the leaves of its arguments.
        program: its vertices.
        leaves: the arrays that it is given.
        cotangent: of the output.
        tangents: of the inputs that it is differentiated by.
    """

    fun: Callable
    program: Program
    leaves: Sequence[Any]
    cotangent: Any
    tangents: Mapping[str, Any]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each input among the leaves."""
        return {self.program.vertices[place].name: place for place in range(len(self.leaves))}

    @cached_property
    def values(self) -> dict[str, Any]:
        """The value of each vertex."""
        return self.program.values(dict(zip(self.places, self.leaves, strict=True)))

    @cached_property
    def locals(self) -> dict[tuple[str, str], Any]:
        """The Jacobian of each vertex by each parent, unless large or not differentiable."""
        found = {}
        for child in self.program.vertices:
            for place, name in enumerate(child.parents):
                parent = self.program.vertex(name)
                smooth = jnp.issubdtype(parent.dtype, jnp.inexact)
                if smooth and _is_small(child, parent) and child.compute is not None:
                    arrays = [self.values[other] for other in child.parents]
                    found[child.name, name] = jax.jacrev(child.compute, place)(*arrays)
        return found

    @cached_property
    def gradients(self) -> dict[str, Any]:
        """The gradient of the loss by each vertex that can be differentiated by."""
        found = self.program.gradients(self.values, self.cotangent)
        for name in self.tangents:  # of the function itself
            found[name] = pull(self.fun, self.leaves, self.places[name], self.cotangent)
        return found

    @cached_property
    def jacobians(self) -> dict[str, Any]:
        """The whole Jacobian by each input, unless large."""
        small = (n for n in self.tangents if _is_small(self.program.output, self.program.vertex(n)))
        return {name: jax.jacrev(self.fun, self.places[name])(*self.leaves) for name in small}

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """What formulas are evaluated with."""
        known = {f"d{child}/d{parent}": J for (child, parent), J in self.locals.items()}
        known |= {f"d{self.program.loss}/d{name}": G for name, G in self.gradients.items()}
        known[f"d{self.program.output.name}"] = self.cotangent
        known |= {self.program.tangent(name): array for name, array in self.tangents.items()}
        return {**known, **self.values}

    def value(self, name: str) -> Any:
        """The value of a vertex."""
        return self.values[name]

    def gradient(self, name: str) -> Any:
        """The gradient of the loss by a vertex."""
        return self.gradients[name]

    def local(self, child: str, parent: str) -> Any:
        """The Jacobian of a vertex by one of its parents; None if it is not known."""
        return self.locals.get((child, parent))

    def pushed(self, source: str) -> Any:
        """The tangent of an input pushed forward."""
        leaves, place = self.leaves, self.places[source]

        def along(leaf: Any) -> Any:
            return self.fun(*leaves[:place], leaf, *leaves[place + 1 :])

        return jax.jvp(along, (leaves[place],), (self.tangents[source],))[1]

    def whole(self, source: str) -> Any:
        """The whole Jacobian by an input; None if it is not known."""
        return self.jacobians.get(source)

    def stacked(self, source: str, vec: str) -> Any:
        """The Jacobian of the stacked output by a stacked input; None if it is not known.

        Args:
            source: the input.
            vec: "rows" or "columns": how both are stacked.
        """
        out, into = self._shapes(source)
        if source not in self.jacobians:
            return None
        axes = [*range(len(out)), *range(len(out), len(out) + len(into))]
        if vec == "columns":
            axes = [*axes[: len(out)][::-1], *axes[len(out) :][::-1]]
        return jnp.transpose(self.jacobians[source], axes).reshape(prod(out), prod(into))

    def arranged(self, source: str, convention: Convention) -> Any:
        """The Jacobian by an input as a convention writes it; None if it is not known."""
        if source not in self.jacobians:
            return None
        return arrange_array(self.jacobians[source], convention, *self._shapes(source))

    def difference(self, check: Check) -> Any:
        """How far a formula is from its true value; None if either is not known."""
        formula, true_in, letters = check
        true = true_in and true_in(self)
        if true is None or not _is_known(formula, self.arrays):
            return None
        return _difference(formula, true, letters, self.arrays)

    def _shapes(self, source: str) -> tuple[Shape, Shape]:
        return self.program.output.shape, self.program.vertex(source).shape


def differences(
    fun: Callable, program: Program, leaves: Sequence[Any], checks: Mapping[str, Sequence[Check]]
) -> dict[str, list[float | None]]:
    """How far formulas are from true values, relative to the largest entry of each.

    Args:
        fun: the function, of the leaves of its arguments.
        program: its vertices.
        leaves: the arrays that it is given.
        checks: the formulas, by the inputs that are differentiated by. All are computed as one
            program with what they are held against, since compiling takes most of the time.

    Raises:
        LayoutError: a formula cannot be evaluated; a derivation has none of that kind.
    """
    out = program.output
    # Random, since mistakes hide behind ones; one for a scalar output, which is the loss.
    cotangent = _normal(0, out) if out.shape else jnp.ones((), out.dtype)
    tangents = {name: _normal(1, program.vertex(name)) for name in checks}

    def compute(*at: Any) -> dict[str, list[Any]]:
        truth = Truth(fun, program, *at)
        return {name: [truth.difference(check) for check in checks[name]] for name in checks}

    return jax.tree.map(float, jax.jit(compute)(leaves, cotangent, tangents))


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
