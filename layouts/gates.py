"""What gates drop is zero, whatever it is: a choice between arrays takes no NaN of the other.

The derivative of `where(x > 0, sqrt(x), 0)` at 0 is `0 · ∞` if a mask is multiplied, and zero if
entries are chosen. JAX chooses on one side: `jax.jacfwd` has this right, `jax.jacrev` has NaN, and
the other way round for `sqrt(relu(x))`. Here a product is zero where a gate of either factor is
closed, in whatever order it is multiplied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from layouts.nodes import Add, Contract, Leaf, Node, Reshape, Take
from layouts.nodes.arrays import Indices
from layouts.parts import expand

Gate = tuple[jax.Array, Indices]


@dataclass(frozen=True)
class Gates:
    """The gates that an array has gone through, each with the axes of the array that it runs along.

    Attributes:
        found: the gates, in the dtype of numbers, and their axes.
        alone: whether the array is a gate itself.
    """

    found: tuple[Gate, ...] = ()
    alone: bool = False


OPEN = Gates()


def gates_of(node: Node, operands: Sequence[Gates], value: jax.Array) -> Gates:
    """The gates of a node's value, from those of its operands."""
    moved = isinstance(node, Reshape | Take) or (isinstance(node, Contract) and not node.summed)
    read = operands[:1] if isinstance(node, Take) else operands  # the rest are tables
    if (isinstance(node, Leaf) and node.gate) or (moved and all(one.alone for one in read)):
        return Gates(((value, tuple(range(value.ndim))),), alone=True)
    if not any(one.found for one in operands):
        return OPEN
    if isinstance(node, Reshape):
        return _reshaped(node, operands[0])
    if isinstance(node, Contract) and moved:
        return _of_product(node, operands)
    return _of_sum(node, operands) if isinstance(node, Add) else OPEN


def _reshaped(node: Reshape, given: Gates) -> Gates:
    """Those that run along all axes in their order."""
    whole = tuple(range(len(node.operands[0].shape)))
    axes = tuple(range(len(node.shape)))
    kept = [gate for gate, along in given.found if along == whole]
    return Gates(tuple((jnp.reshape(gate, node.shape), axes) for gate in kept))


def _of_product(node: Contract, operands: Sequence[Gates]) -> Gates:
    """Those that either factor has gone through."""
    found: list[Gate] = []
    for n, one in enumerate(operands):
        found += [gate for gate in _along(node, n, one) if not _is_among(gate, found)]
    return Gates(tuple(found))


def _of_sum(node: Add, operands: Sequence[Gates]) -> Gates:
    """Those that all terms have gone through."""
    first, *others = (_along(node, n, one) for n, one in enumerate(operands))
    return Gates(tuple(one for one in first if all(_is_among(one, other) for other in others)))


def _is_among(one: Gate, others: Sequence[Gate]) -> bool:
    return any(one[0] is gate and one[1] == axes for gate, axes in others)


def _along(node: Contract | Add, place: int, given: Gates) -> list[Gate]:
    """The gates of an operand, along the axes of what is made of it; not along a diagonal."""
    output = node.output if isinstance(node, Contract) else tuple(range(len(node.shape)))
    axes = [output.index(n) for n in node.indices[place]]
    if len(set(axes)) < len(axes):
        return []
    return [(gate, tuple(axes[axis] for axis in along)) for gate, along in given.found]


def closed(array: jax.Array, gates: Gates) -> jax.Array:
    """The entries that all gates let through, else zero."""
    if gates.alone:
        return array
    every = tuple(range(array.ndim))
    for gate, axes in gates.found:
        array = jnp.where(expand(gate, axes, every) != 0, array, 0)
    return array
