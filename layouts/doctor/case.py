"""The function at its arguments, flattened, and its true gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError
from layouts.leaves import leaf_names


@dataclass(frozen=True)
class Case:
    """A function at arguments, flattened."""

    fun: Callable
    args: tuple
    places: tuple[int, ...]
    several: bool

    @staticmethod
    def of(fun: Callable, args: tuple, argnums: int | Sequence[int]) -> Case:
        """A call of `diagnose`, its argnums checked."""
        several = not isinstance(argnums, int)
        places = tuple(argnums) if not isinstance(argnums, int) else (argnums,)
        for place in places:
            if not -len(args) <= place < len(args):
                received = f"{place} with {len(args)} arguments"
                raise LayoutError("argnums", "places among the arguments", received, "count from 0")
        return Case(fun, args, tuple(place % len(args) for place in places), several)

    @cached_property
    def leaves(self) -> list[Any]:
        """The arguments' leaves."""
        return jax.tree.leaves(self.args)

    @cached_property
    def names(self) -> list[str]:
        """What formulas call them."""
        return leaf_names(self.fun, self.args, range(len(self.args)))

    @cached_property
    def treedef(self) -> Any:
        """How they make the arguments."""
        return jax.tree.structure(self.args)

    @cached_property
    def wanted(self) -> list[int]:
        """The leaves that are differentiated by."""
        numbers = jax.tree.unflatten(self.treedef, range(len(self.leaves)))
        return [n for place in self.places for n in jax.tree.leaves(numbers[place])]

    def flat(self, *leaves: Any) -> Any:
        """The function of the leaves."""
        return self.fun(*jax.tree.unflatten(self.treedef, leaves))

    def flat_array(self, *leaves: Any) -> Any:
        """The output alone, of the arguments' leaves."""
        return jax.tree.leaves(self.flat(*leaves))[0]

    def unflatten(self, leaves: Sequence[Any]) -> tuple:
        """Leaves as arguments."""
        return jax.tree.unflatten(self.treedef, leaves)

    def right(self, leaves: Sequence[Any], cotangent: Any) -> dict[int, np.ndarray]:
        """JAX's own gradient, by every leaf that has one."""
        active = [n for n, leaf in enumerate(leaves) if is_float(leaf)]
        for leaf in self.wanted:
            if leaf not in active:
                jax.grad(lambda x: x)(leaves[leaf])  # JAX says what is wrong with it

        def of_active(*arrays: Any) -> Any:
            whole = list(leaves)
            for place, array in zip(active, arrays, strict=True):
                whole[place] = array
            return jax.tree.leaves(self.flat(*whole))[0]

        out, pull = jax.vjp(of_active, *(jnp.asarray(leaves[n]) for n in active))
        found = pull(jnp.asarray(cotangent, out.dtype))
        return {n: np.asarray(array) for n, array in zip(active, found, strict=True)}


def is_float(leaf: Any) -> bool:
    """Whether it can be differentiated by."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
