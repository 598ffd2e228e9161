"""Programs of symbolic arrays: in which order they are evaluated, and what they cost.

One elimination serves two purposes: counted, it is a plan's cost; evaluated on the residuals, it is
the result. This module imports no JAX.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layouts.nodes import Apply, Contract, Identity, Leaf, Node, Operated, Put, Reshape, Write


def schedule(roots: Iterable[Node]) -> tuple[list[Node], dict[int, int]]:
    """Put all nodes under the roots in an order of evaluation, equal ones once.

    Returns:
        The distinct nodes, operands first, and for each `id(node)` the place of its equal in that
        list (value numbering: two nodes are equal when their operands and signatures are).
    """
    ordered: list[Node] = []
    place: dict[int, int] = {}
    known: dict[tuple, int] = {}
    for node in _postorder(roots):
        key = (node.signature, _operands(node, place))
        if key not in known:
            known[key] = len(ordered)
            ordered.append(node)
        place[id(node)] = known[key]
    return ordered, place


def _postorder(roots: Iterable[Node]) -> Iterator[Node]:
    """Visit every node once, after its operands; iterative, since programs run deep."""
    seen: set[int] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((operand, False) for operand in reversed(node.operands))


@dataclass(frozen=True)
class Cost:
    """What a program costs, in the units of this project.

    Attributes:
        multiplications: scalar products of two stored numbers (a matmul of m×k by k×n is mkn).
        additions: scalar additions (of that matmul: mn(k-1)).
        peak_bytes: the most bytes of residuals, intermediates and results alive at once.
        moved_bytes: bytes read and written by all steps together.
    """

    multiplications: int = 0
    additions: int = 0
    peak_bytes: int = 0
    moved_bytes: int = 0


def cost(roots: Sequence[Node]) -> Cost:
    """Count a program exactly, from shapes alone.

    Args:
        roots: the nodes whose values are wanted.

    Example:
        >>> from layouts.nodes import Contract
        >>> a, b = Leaf((2, 3), 4, index=0), Leaf((3, 5), 4, index=1)
        >>> ab = Contract((2, 5), 4, (a, b), ((0, 1), (1, 2)), (0, 2), (2, 3, 5))
        >>> cost([ab]).multiplications, cost([ab]).additions, cost([ab]).peak_bytes
        (30, 20, 124)
    """
    ordered, place = schedule(roots)
    last_use = {place[id(_base(root))]: len(ordered) for root in roots}
    for step, node in reversed(list(enumerate(ordered))):
        for operand in node.operands:
            last_use.setdefault(place[id(_base(operand))], step)
    dying: dict[int, int] = {}
    for index, step in last_use.items():
        dying[step] = dying.get(step, 0) + ordered[index].nbytes
    alive = peak = sum(node.nbytes for node in ordered if isinstance(node, Leaf))
    for step, node in enumerate(ordered):
        alive += 0 if isinstance(node, Leaf | Reshape) else node.nbytes
        peak = max(peak, alive)
        alive -= dying.get(step, 0)
    counted = _once(ordered, place)
    return Cost(
        sum(node.multiplications for node in counted),
        sum(node.additions for node in counted),
        peak,
        sum(moved_bytes(node) for node in ordered),
    )


def count_stored(roots: Sequence[Node], ordered: Sequence[Node], place: dict[int, int]) -> int:
    """How many arrays a program stores: what no loop over entries takes in, or is taken in by none.

    Args:
        roots: the nodes whose values are wanted.
        ordered: their `schedule`.
        place: and where each node stands in it.

    Example:
        >>> from layouts.nodes import Add, Contract
        >>> a, b = Leaf((2, 3), 4, index=0), Leaf((3, 5), 4, index=1)
        >>> twice = Add((2, 3), 4, (a,), ((0, 1),), (2,))
        >>> ab = Contract((2, 5), 4, (twice, b), ((0, 1), (1, 2)), (0, 2), (2, 3, 5))
        >>> count_stored([ab], *schedule([ab]))
        2
    """
    kept = [*roots]
    for node in ordered:
        summed = isinstance(node, Contract) and node.summed
        if summed or isinstance(node, Operated | Put | Write):
            kept += [node, *node.operands]
    stored = {place[id(_base(node))] for node in kept}
    loops = {
        (node.application, _operands(node, place)): node.operator.stored - 1
        for node in ordered
        if isinstance(node, Operated) and node.operator
    }
    return sum(loops.values()) + sum(not isinstance(ordered[n], Leaf | Identity) for n in stored)


def _once(ordered: Iterable[Node], place: dict[int, int]) -> list[Node]:
    """The nodes that do work: of the results of one application only the first."""
    working: dict[Any, Node] = {}
    for node in ordered:
        key = (node.application, _operands(node, place)) if isinstance(node, Apply) else id(node)
        working.setdefault(key, node)
    return list(working.values())


def _operands(node: Node, place: dict[int, int]) -> tuple[int, ...]:
    return tuple(place[id(operand)] for operand in node.operands)


def _base(node: Node) -> Node:
    """The array that a node stores its entries in: a reshape is a view of its operand."""
    while isinstance(node, Reshape):
        (node,) = node.operands
    return node


def moved_bytes(node: Node) -> int:
    """The bytes that a step reads and writes; a leaf and a view are only read, by other steps."""
    if isinstance(node, Leaf | Reshape):
        return 0
    return node.nbytes + sum(operand.nbytes for operand in node.operands)
