"""The memory of a program whose entrywise steps a compiler fuses: what they give is not stored.

XLA computes an entrywise product or sum where its entries are used. Stored are the results, what
steps of another kind make (sums of products, operators, exchanges), and what those read.
This module imports no JAX.
"""

from collections.abc import Sequence

from layouts.mesh.exchanges import Collective
from layouts.nodes import Add, Contract, Leaf, Node, RealPart, Reshape, Write
from layouts.program import schedule


def fused_peak_bytes(roots: Sequence[Node]) -> int:
    """The most bytes of residuals, intermediates and results alive at once.

    Args:
        roots: the nodes whose values are wanted.

    Example:
        >>> s = Leaf((5,), 4, index=0)
        >>> square = Contract((5, 5), 4, (s, s), ((0,), (1,)), (0, 1), (5, 5))
        >>> twice = Add((5, 5), 4, (square, square), ((0, 1), (1, 0)), (1, 1))
        >>> fused_peak_bytes([twice])  # s and the sum
        120
    """
    ordered, place = schedule(roots)
    stored = {place[id(_base(root))] for root in roots}
    for number, node in enumerate(ordered):
        if not _is_entrywise(node):
            stored.add(number)
        if not _reads_entries(node):
            stored |= {place[id(_base(operand))] for operand in node.operands}
    read: list[frozenset[int]] = []
    for number, node in enumerate(ordered):
        below = frozenset[int]().union(*(read[place[id(operand)]] for operand in node.operands))
        read.append(frozenset([number]) if number in stored else below)
    last = {n: len(ordered) for root in roots for n in read[place[id(root)]]}
    for number, node in reversed(list(enumerate(ordered))):
        for operand in node.operands:
            for n in read[place[id(operand)]]:
                last.setdefault(n, number)
    alive = peak = sum(node.nbytes for node in ordered if isinstance(node, Leaf))
    for number, node in enumerate(ordered):
        if number in stored and not isinstance(node, Leaf):
            alive += node.nbytes
            peak = max(peak, alive + _scratch_bytes(node))
        alive -= sum(ordered[n].nbytes for n, end in last.items() if end == number)
    return peak


def _base(node: Node) -> Node:
    """The array that a node stores its entries in: a reshape is a view of its operand."""
    while isinstance(node, Reshape):
        (node,) = node.operands
    return node


def _scratch_bytes(node: Node) -> int:
    """What an exchange takes beside what comes of it, to put parts one behind another."""
    if not isinstance(node, Collective):
        return 0
    apart = node.kind == "all-to-all" or (node.kind == "all-gather" and any(node.axes))
    return node.nbytes if apart else 0


def _is_entrywise(node: Node) -> bool:
    """Whether each entry of a node is computed from single entries of its operands."""
    product = isinstance(node, Contract) and not node.summed
    return product or isinstance(node, Add | RealPart | Reshape | Write)


def _reads_entries(node: Node) -> bool:
    """Whether operands may be computed where they are read: in a sum over one array too."""
    return _is_entrywise(node) or (isinstance(node, Contract) and len(node.operands) == 1)
