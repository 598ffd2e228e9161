"""What one row of the benchmark is, and the arrays that rows are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import layouts


@dataclass(frozen=True, kw_only=True)
class Case:
    """One Jacobian: the function, its arguments, what one would write by hand, what is asked.

    Attributes:
        name: what it is, in a few words.
        kind: the family that it belongs to.
        function: differentiated by its first argument.
        sizes: handed to `arguments`, at full and at small size.
        arguments: makes the arguments from a generator and the sizes.
        by_hand: the dense result as an expert would write it.
        kept_by_hand: the arrays that an expert would keep in its place, where that is measured.
        dense: how many times faster than JAX's own the dense result is asked to be.
        structured: the same for the structured result, None where nothing is asked.
        second_order: the Hessian is meant, not the Jacobian.
        take: what is made of the structured Jacobian, where that and no dense array is the result.
        against: what to compare with in place of `jax.jacfwd` and `jax.jacrev`, by name.
        left_out: why one of JAX's modes is not run, by its name.
    """

    name: str
    kind: str
    function: Callable
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    arguments: Callable[..., tuple]
    by_hand: Callable
    dense: float = 0.95
    structured: float | None = None
    kept_by_hand: Callable | None = None
    second_order: bool = False
    take: Callable[[layouts.Jacobian], jax.Array] | None = None
    against: Mapping[str, Callable] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def differentiated(self) -> Callable:
        """The function whose Jacobian is meant: a Hessian is the Jacobian of a gradient."""
        return jax.grad(self.function) if self.second_order else self.function

    def draw(self, small: bool) -> tuple:
        """The arguments, the same in every run."""
        drawn = self.arguments(np.random.default_rng(0), *self.sizes[small])
        return jax.tree.map(jnp.asarray, drawn)

    def baselines(self) -> dict[str, Callable]:
        """What it is compared with, by name: programs of the arguments."""
        if self.against:
            return dict(self.against)
        if self.second_order:
            return {"jax.hessian": jax.hessian(self.function)}
        modes = {"jax.jacrev": jax.jacrev, "jax.jacfwd": jax.jacfwd}
        return {name: of(self.function) for name, of in modes.items() if name not in self.left_out}

    def planned(self, structured: bool) -> Callable:
        """What this project makes of it, as a program of the arguments."""
        transform = layouts.hessian if self.second_order else layouts.jacobian
        function, take = self.function, self.take
        # A fresh function every time, so that no trace of an earlier one is found again.
        program = transform(
            lambda *args: function(*args), structured=structured or take is not None
        )
        if take is None or structured:
            return program
        return lambda *args: take(program(*args))


def standard(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Entries from the standard normal distribution, in float32."""
    return random.normal(size=shape).astype(np.float32)


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """A normal array scaled so that products keep their size."""
    return standard(random, *shape) / np.float32(np.sqrt(shape[-1] if shape else 1))


def positive(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Entries between 0.5 and 1.5."""
    return (0.5 + random.random(size=shape)).astype(np.float32)


def layers(random: np.random.Generator, *widths: int) -> tuple[np.ndarray, ...]:
    """The weights of a network without biases, out × in."""
    return tuple(normal(random, out, into) for into, out in pairwise(widths))


def same(n: int, dtype: Any = bool) -> jax.Array:
    """`δ[i,k]` as an array."""
    return jnp.eye(n, dtype=dtype)


def made_first(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The arrays, computed once and kept: XLA must not work them out anew at every entry."""
    return lax.optimization_barrier(arrays)


def on_diagonal(blocks: jax.Array) -> jax.Array:
    """`δ[n,m] B[n,i,k]` written as (n, i, m, k): one block a sample, and zeros."""
    diagonal = same(blocks.shape[0])[:, None, :, None]
    return jnp.where(diagonal, blocks[:, :, None, :], 0)
