"""Sums of products that devices make in another split than the one that is asked for.

Split as its user asks, a sum of products may need an operand whole on every device, which may take
more than all else. Where it takes less, it is made split along another axis, so that the operands
are split too, and turned afterwards: devices send each other parts of what is made (an
all-to-all), or the whole of it where each needs that (an all-gather).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

from jax.sharding import NamedSharding, PartitionSpec

from layouts.mesh.sharding import Sharded, split_of, split_over
from layouts.nodes import Contract, Leaf, Node

# What is sent costs time: an array is turned only where it and its operands would take so much of a
# device's part of the results, and where that saves so much of it.
LEAST_TAKEN, LEAST_SAVED = 1 / 2, 1 / 8

# The mesh axes that summed indices are split over.
Summed = Mapping[int, tuple[str, ...]]


class Turns:
    """In which split each array of a program is made.

    Args:
        results: the nodes wanted.
        shardings: how each of them lies.
        handed_down: from a node, its split and the mesh axes of summed indices to the splits of
            its operands.
    """

    def __init__(
        self,
        results: Sequence[Node],
        shardings: Sequence[Sharded],
        handed_down: Callable[[Node, Sharded, Summed], list[Sharded]],
    ):
        self._known = next((s for s in shardings if s is not None), None)
        splits = [split_of(s, 0) for s in shardings if s is not None]
        self._groups = list(dict.fromkeys(names for split in splits for names in split if names))
        self._part = sum(map(_local, results, shardings))
        self._handed_down = handed_down

    def operands(self, node: Node, made: Sharded) -> list[Sharded]:
        """How the operands of a node lie that is made in a split.

        A summed index is split over mesh axes that are left, where that saves enough.
        """
        handed = self._handed_down(node, made, {})
        if not self._is_weighed(node) or self._taken(node, handed) < LEAST_TAKEN * self._part:
            return handed
        summed: dict[int, tuple[str, ...]] = {}
        used = {name for names in split_of(made, len(node.shape)) for name in names}
        for group in self._groups:
            least = self._taken(node, handed) - LEAST_SAVED * self._part
            for index in self._summed(node, group) if used.isdisjoint(group) else ():
                more = {**summed, index: group}
                found = self._handed_down(node, made or self._whole, more)
                if index not in summed and self._taken(node, found) < least:
                    summed, handed, least = more, found, self._taken(node, found)
        return handed

    @property
    def _whole(self) -> NamedSharding:
        assert self._known is not None
        return NamedSharding(self._known.mesh, PartitionSpec())

    def _is_weighed(self, node: Node) -> bool:
        return isinstance(node, Contract) and node.summed and self._known is not None

    def _summed(self, node: Node, group: tuple[str, ...]) -> list[int]:
        """The summed indices that mesh axes divide."""
        assert isinstance(node, Contract) and self._known is not None
        parts = prod(self._known.mesh.shape[name] for name in group)
        extents = enumerate(node.extents)
        return [n for n, extent in extents if n not in node.output and extent % parts == 0]

    def made_in(self, node: Node, asked: Sharded) -> Sharded:
        """The split in which a node is made, where another or none is asked for."""
        if not self._is_weighed(node):
            return asked
        taken = self._with_turn(node, asked, asked)
        if taken < LEAST_TAKEN * self._part:
            return asked
        best, least = asked, taken - LEAST_SAVED * self._part
        for group in self._groups:
            for way in self._with(node, best, group):
                taken = self._with_turn(node, way, asked)
                if taken < least:
                    best, least = way, taken
        return best

    def _with(self, node: Node, way: Sharded, group: tuple[str, ...]) -> Iterator[NamedSharding]:
        """The same split with some mesh axes on another axis of the node."""
        assert self._known is not None
        mesh, rank = self._known.mesh, len(node.shape)
        split = [tuple(n for n in names if n not in group) for names in split_of(way, rank)]
        parts = prod(mesh.shape[name] for name in group)
        for axis, extent in enumerate(node.shape):
            if not split[axis] and extent % parts == 0:
                yield split_over(mesh, [*split[:axis], group, *split[axis + 1 :]])

    def _with_turn(self, node: Node, way: Sharded, asked: Sharded) -> float:
        """The bytes of a node made so, of its operands, and of it as it is asked for."""
        turned = 0 if way == asked else _local(node, asked)
        return self._taken(node, self._handed_down(node, way, {})) + _local(node, way) + turned

    def _taken(self, node: Node, splits: Sequence[Sharded]) -> float:
        """The bytes of operands on a device."""
        # What the function computes lies as it is left there: a residual is not made here.
        pairs = zip(node.operands, splits, strict=True)
        made = {id(one): _local(one, split) for one, split in pairs if not isinstance(one, Leaf)}
        return sum(made.values())


def _local(node: Node, way: Sharded) -> float:
    """The bytes of a device's part."""
    if way is None:
        return node.nbytes
    split = split_of(way, len(node.shape))
    return node.nbytes / prod(way.mesh.shape[name] for names in split for name in names)
