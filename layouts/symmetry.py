"""Sums over products of an array with itself: each pair of its entries is multiplied once.

`Σ_n A[n,…] X[n,i] X[n,j]` is symmetric in i and j, whatever A is, as in the Hessian of a loss by
the weights of a linear layer. So only the pairs `i ≤ j` are computed, and looked up for the others.
This module imports no JAX.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod

from layouts.nodes import Contract, Indices, Node, Shape, Take, Triangle
from layouts.program import schedule

# From so many summed products on, an entry costs more to compute than to look up; and so many
# places make enough pairs of equals.
LEAST_SUMMED, LEAST_PLACES = 16, 6


def once(roots: Sequence[Node]) -> list[Node]:
    """The same arrays, with symmetric sums computed for one of each pair of indices.

    Args:
        roots: the nodes wanted.

    Example:
        >>> from layouts.nodes import Leaf
        >>> from layouts.program import cost
        >>> x, w = Leaf((40, 9), 4, index=0), Leaf((40, 7), 4, index=1)
        >>> pairs = Contract((40, 9, 9), 4, (x, x), ((0, 1), (0, 2)), (0, 1, 2), (40, 9, 9))
        >>> indices = ((0, 1), (0, 2, 3))
        >>> total = Contract((7, 9, 9), 4, (w, pairs), indices, (1, 2, 3), (40, 7, 9, 9))
        >>> cost([total]).multiplications, cost(once([total])).multiplications
        (25920, 14400)
    """
    ordered, place = schedule(roots)
    found: list[Node] = []
    for node in ordered:
        operands = tuple(found[place[id(operand)]] for operand in node.operands)
        same = all(a is b for a, b in zip(operands, node.operands, strict=True))
        node = node if same else replace(node, operands=operands)
        found.append(_halved(node) if isinstance(node, Contract) and node.summed else node)
    return [found[place[id(root)]] for root in roots]


def _halved(node: Contract) -> Node:
    """A symmetric sum, computed for one of each pair of indices; else the node itself."""
    found = [pair for n in range(len(node.operands)) if (pair := _pair(node, n)) is not None]
    if not found:
        return node
    pair = max(found, key=lambda pair: node.extents[pair.left])
    extent, both = node.extents[pair.left], node.operands[pair.operand]
    each = extent * (extent + 1) // 2
    numbered = len(node.extents)  # the index of the pairs
    extents = {**dict(enumerate(node.extents)), numbered: each}
    own = tuple(numbered if n == pair.left else n for n in pair.indices)
    halves = [_picked(both.operands[0], pair, _triangle((each,), extent, side)) for side in (0, 1)]
    operands: list[Node] = [_contract(halves, (own, own), own, extents)]
    indices = [own]
    for n, (operand, index) in enumerate(zip(node.operands, node.indices, strict=True)):
        if n != pair.operand:
            operands.append(operand)
            indices.append(index)
    rest = tuple(n for n in node.output if n not in (pair.left, pair.right))
    total = _contract(operands, indices, (numbered, *rest), extents)
    table = _triangle((extent, extent), extent, None)
    listed = ((numbered, *rest), (pair.left, pair.right))
    return Take(
        node.shape,
        node.itemsize,
        (total, table),
        indices=listed,
        places=(numbered,),
        output=node.output,
    )


@dataclass(frozen=True)
class _Pair:
    """An operand that is an array times itself but for one axis.

    Attributes:
        operand: which operand of the sum.
        axis: the axis of the array that runs along two indices.
        indices: the indices of the array where it stands first, as the sum has them.
        left: the index of that axis there.
        right: its index where the array stands a second time.
    """

    operand: int
    axis: int
    indices: Indices
    left: int
    right: int


def _pair(node: Contract, operand: int) -> _Pair | None:
    """The pair that an operand is made of, where the sum is symmetric in it and long enough."""
    both, others = node.operands[operand], [*node.indices]
    place = others.pop(operand)
    if not isinstance(both, Contract) or both.summed or len(both.operands) != 2:
        return None
    outer = dict(zip(both.output, place, strict=True))
    left, right = (tuple(outer[n] for n in index) for index in both.indices)
    apart = [axis for axis, (a, b) in enumerate(zip(left, right, strict=False)) if a != b]
    if both.operands[0] is not both.operands[1] or len(apart) != 1:
        return None
    (axis,) = apart
    ends = (left[axis], right[axis])
    free = all(n in node.output and not any(n in index for index in others) for n in ends)
    if not free or len({*left, *right}) != len(left) + 1:
        return None
    summed = prod(extent for n, extent in enumerate(node.extents) if n not in node.output)
    large = summed >= LEAST_SUMMED and node.extents[ends[0]] >= LEAST_PLACES
    return _Pair(operand, axis, left, *ends) if large else None


def _triangle(shape: Shape, extent: int, side: int | None) -> Triangle:
    return Triangle(shape, 4, (), extent, side)


def _picked(array: Node, pair: _Pair, table: Node) -> Take:
    """The entries of an array at the listed places of the pair's axis."""
    axes = tuple(range(len(array.shape)))
    shape = (*array.shape[: pair.axis], table.size, *array.shape[pair.axis + 1 :])
    listed = len(axes)
    output = (*axes[: pair.axis], listed, *axes[pair.axis + 1 :])
    return Take(
        shape,
        array.itemsize,
        (array, table),
        indices=(axes, (listed,)),
        places=(pair.axis,),
        output=output,
    )


def _contract(
    operands: Sequence[Node], indices: Sequence[Indices], output: Indices, extents: dict[int, int]
) -> Contract:
    """A contraction whose indices are numbered anew, without gaps."""
    used = dict.fromkeys(chain(*indices, output))
    number = {n: place for place, n in enumerate(used)}
    return Contract(
        tuple(extents[n] for n in output),
        max(operand.itemsize for operand in operands),
        tuple(operands),
        tuple(tuple(number[n] for n in index) for index in indices),
        tuple(number[n] for n in output),
        tuple(extents[n] for n in used),
    )
