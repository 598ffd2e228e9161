"""What `experiments.scale` computes over a mesh.

A case has one extent that grows: rows of a matrix, samples, tokens or bodies. The result's rows are
split over the mesh along it. Strong scaling keeps the extent; weak scaling keeps what a device has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import layouts
from layouts.errors import LayoutError

AXIS = "x"  # the one axis of the mesh
STRONG = 96  # the extent of strong scaling
MEETING = 4  # on so many devices weak scaling has the same extent


def product(W: jax.Array, X: jax.Array) -> jax.Array:
    """One matrix product."""
    return W @ X


def network(W: jax.Array, V: jax.Array, X: jax.Array) -> jax.Array:
    """An MLP of two layers on a batch of samples, which are rows."""
    return jnp.tanh(X @ W) @ V


def attention(x: jax.Array, Q: jax.Array, K: jax.Array, V: jax.Array) -> jax.Array:
    """One head over tokens, which are rows."""
    return jax.nn.softmax((x @ Q) @ (x @ K).T / np.sqrt(Q.shape[1])) @ (x @ V)


def energy(x: jax.Array) -> jax.Array:
    """The energy of bodies, which are rows, by their distances from each other."""
    return jnp.exp(-((x[:, None] - x[None]) ** 2).sum(-1)).sum()


def kernel(W: jax.Array, V: jax.Array, X: jax.Array, *, out_sharding: Any = None) -> jax.Array:
    """`J Jᵀ` of the MLP by both its weights: the tangent kernel of a batch."""
    by_weights = layouts.jacobian(network, (0, 1), structured=True)(W, V, X)
    first, second = (J.gram("out", out_sharding=out_sharding) for J in by_weights)
    return (first + second).dense(out_sharding=out_sharding)


def kernel_by_jax(W: jax.Array, V: jax.Array, X: jax.Array) -> jax.Array:
    """The same from dense Jacobians."""
    jacobians = jax.jacrev(network, (0, 1))(W, V, X)
    return sum(jnp.einsum("naij,mbij->namb", J, J) for J in jacobians)  # type: ignore[return-value]


@dataclass(frozen=True)
class Case:
    """One result that is split by rows.

    Attributes:
        name: what tables call it.
        ours: takes `out_sharding`, returns the function that computes the result.
        truth: the same by JAX alone, on one device.
        shapes: of the arguments, for an extent and a width.
        split: which arguments are split over the mesh too, along their first axis.
        power: of the extent that the result's bytes grow with.
        widths: the width at full and at small size.
    """

    name: str
    ours: Callable[[Any], Callable]
    truth: Callable
    shapes: Callable[[int, int], tuple[tuple[int, ...], ...]]
    split: tuple[bool, ...]
    power: int
    widths: tuple[int, int]

    def extent(self, mode: str, devices: int) -> int:
        """How many rows, so that each device has as many.

        Raises:
            LayoutError: strong scaling over devices that do not divide its rows.
        """
        if mode == "weak":
            whole = STRONG * (devices / MEETING) ** (1 / self.power)
            return round(whole / devices) * devices
        if STRONG % devices:
            fitting = [n for n in range(1, STRONG + 1) if STRONG % n == 0]
            raise LayoutError(
                f"mesh axis {AXIS!r}",
                f"a size that divides the {STRONG} rows of {self.name!r}, one of "
                f"{', '.join(map(str, fitting))}",
                f"{devices} devices",
                "choose --processes and --devices so that their product is one of these",
            )
        return STRONG

    def arguments(self, mode: str, devices: int, small: bool) -> list[np.ndarray]:
        """Random arguments, the same ones in every process."""
        shapes = self.shapes(self.extent(mode, devices), self.widths[small])
        return [
            np.random.default_rng([number, *shape]).standard_normal(shape) / shape[-1] ** 0.5
            for number, shape in enumerate(shapes)
        ]


CASES = (
    Case(
        "W X by W",
        lambda asked: layouts.jacobian(product, out_sharding=asked),
        jax.jacrev(product),
        lambda rows, width: ((rows, width), (width, width + 3)),
        (True, False),
        2,
        (12, 3),
    ),
    Case(
        "MLP by its weights",
        lambda asked: layouts.jacobian(network, out_sharding=asked),
        jax.jacrev(network),
        lambda samples, width: ((width, width + 5), (width + 5, 7), (samples, width)),
        (False, False, True),
        1,
        (44, 5),
    ),
    Case(
        "attention by x",
        lambda asked: layouts.jacobian(attention, out_sharding=asked),
        jax.jacrev(attention),
        lambda tokens, width: ((tokens, width), (width, 5), (width, 5), (width, width - 1)),
        (True, False, False, False),
        2,
        (13, 3),
    ),
    Case(
        "J Jᵀ of the MLP",
        lambda asked: lambda *args: kernel(*args, out_sharding=asked),
        kernel_by_jax,
        lambda samples, width: ((17, 19), (19, width), (samples, 17)),
        (False, False, True),
        2,
        (12, 3),
    ),
    Case(
        "energy's Hessian",
        lambda asked: layouts.hessian(energy, out_sharding=asked),
        jax.hessian(energy),
        lambda bodies, width: ((bodies, width),),
        (True,),
        2,
        (13, 3),
    ),
)


def cases(small: bool) -> tuple[Case, ...]:
    """All of them, or those that compile quickly."""
    return CASES[:-1] if small else CASES
