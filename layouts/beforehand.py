"""What a compiler would compute of constants beforehand, and is not to.

XLA does so entry by entry: a product that runs in a millisecond may take it many seconds. Behind a
barrier it does not see that an array is known; it drops barriers before it joins loops.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from layouts.mesh.sharding import is_staged, is_traced
from layouts.nodes import Leaf, Node

# Measured with JAX 0.10.2: it takes 0.04 seconds and more over so many multiplications and
# additions; an entry counts as so many. An array of more entries than this is large.
LONG, AN_ENTRY, LARGE = 2**21, 8, 2**12


def left_to_run(
    ordered: Sequence[Node], place: Mapping[int, int], residuals: Sequence[jax.Array]
) -> set[int]:
    """What a program makes of large constants, and takes long, by its places in the schedule.

    Small arrays beside them are taken for constants, as they may be made of these.

    Args:
        ordered: the program's `schedule`.
        place: and where each node stands in it.
        residuals: the array for each `Leaf.index`.
    """
    long = set[int]()
    known: dict[int, bool] = {}  # and whether it is made of a large array
    for step, node in enumerate(ordered):
        if isinstance(node, Leaf):
            large = node.size > LARGE
            if not (large and is_traced(residuals[node.index])):
                known[step] = large
            continue
        below = [known.get(place[id(operand)]) for operand in node.operands]
        if None in below:
            continue
        if any(below) and node.multiplications + node.additions + AN_ENTRY * node.size > LONG:
            long.add(step)
        else:
            known[step] = any(below)
    return long if long and is_staged() else set()


def unknown(array: jax.Array) -> jax.Array:
    """An array that is made of constants; if it is large and of numbers, behind a barrier."""
    large = array.size > LARGE and jnp.issubdtype(array.dtype, jnp.inexact)
    return lax.optimization_barrier(array) if large else array
