"""Sums over products of an array with itself: each pair of its entries is multiplied once.

`Σ_n A[n,…] X[n,i] X[n,j]` is symmetric in i and j, whatever A is, as in the Hessian of a loss by
the weights of a linear layer. So only the pairs `i ≤ j` are computed, and looked up for the others.
This module imports no JAX.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from layouts.axes import Label, size
from layouts.nodes import Contract, Node, Triangle
from layouts.products import contract_node
from layouts.program import schedule
from layouts.selection import Selection, read, take
from layouts.terms import Factor

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
    labels = [Label(extent) for extent in node.extents]
    output = tuple(labels[n] for n in node.output)
    operands = zip(node.operands, node.indices, strict=True)
    factors = [Factor(operand, tuple(labels[n] for n in index)) for operand, index in operands]
    found = [pair for factor in factors if (pair := _pair(factor, factors, output)) is not None]
    if not found:
        return node
    pair = max(found, key=lambda pair: pair.left.size)
    extent = pair.left.size
    each = Label(extent * (extent + 1) // 2)  # runs over the pairs
    lists = [Triangle((each.size,), 4, (), extent, side) for side in (0, 1)]
    halves = [_taken(pair.one, Selection(pair.left, each, table=table)) for table in lists]
    own = halves[0].labels
    others = [factor for factor in factors if factor is not pair.both]
    kept = (each, *(label for label in output if label not in (pair.left, pair.right)))
    total = contract_node([Factor(contract_node(halves, own), own), *others], kept)
    table = Triangle((extent, extent), 4, (), extent, None)
    return read(total, kept, Selection(each, pair.left, table=table, others=(pair.right,)), output)


@dataclass(frozen=True)
class _Pair:
    """A factor that is an array times itself but for one axis.

    Attributes:
        both: the factor.
        one: the array, with the labels that it has where it stands first.
        left: the label of that axis there.
        right: its label where the array stands a second time.
    """

    both: Factor
    one: Factor
    left: Label
    right: Label


def _pair(factor: Factor, factors: Sequence[Factor], output: Sequence[Label]) -> _Pair | None:
    """The pair that a factor is made of, where the sum is symmetric in it and long enough."""
    both = factor.node
    if not isinstance(both, Contract) or both.summed or len(both.operands) != 2:
        return None
    outer = dict(zip(both.output, factor.labels, strict=True))
    left, right = (tuple(outer[n] for n in index) for index in both.indices)
    apart = [(a, b) for a, b in zip(left, right, strict=False) if a != b]
    if both.operands[0] is not both.operands[1] or len(apart) != 1:
        return None
    (ends,) = apart
    elsewhere = {label for other in factors if other is not factor for label in other.labels}
    free = all(label in output and label not in elsewhere for label in ends)
    if not free or len({*left, *right}) != len(left) + 1:
        return None
    summed = size({*factor.labels, *elsewhere} - {*output})
    large = summed >= LEAST_SUMMED and ends[0].size >= LEAST_PLACES
    return _Pair(factor, Factor(both.operands[0], left), *ends) if large else None


def _taken(factor: Factor, by: Selection) -> Factor:
    """The entries of a factor at the places that a selection lists."""
    return Factor(*take(factor.node, factor.labels, by))
