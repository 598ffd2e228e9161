"""Nodes of a program that one of several devices runs: its parts of arrays, and what is exchanged.

A ring of p devices is reckoned with: gathering n bytes takes (p-1)/p·n of each device, adding n
bytes up on all of them twice that, since it is a scatter and a gather; changing the axis that is
split, (p-1)/p of the n/p bytes that each holds. (R. Thakur, R. Rabenseifner,
W. Gropp: Optimization of collective communication operations in MPICH, 2005; P. Patarasuk, X. Yuan:
Bandwidth optimal all-reduce algorithms, 2009.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from layouts.nodes import Leaf, Node, Pattern, Shape, Write
from layouts.program import schedule


@dataclass(frozen=True, eq=False)
class Piece(Leaf):
    """What a device has of a residual."""

    @property
    def signature(self) -> tuple:
        """Which residual, and how much of it."""
        return (Piece, self.index, self.shape)


@dataclass(frozen=True, eq=False)
class Collective(Node):
    """An array that devices exchange, as it is afterwards on each.

    Attributes:
        kind: "all-gather", "all-reduce", "all-to-all"; or "slice", a device's part of an array that
            it has whole, for which nothing is sent.
        devices: how many exchange.
        axes: the axes that were divided, or are now.
    """

    kind: str = "all-gather"
    devices: int = 1
    axes: tuple[int, ...] = ()

    @property
    def sent_bytes(self) -> int:
        """The bytes that each device sends, and as many that it receives.

        Example:
            >>> part = Leaf((3, 5), 4, index=0)
            >>> Collective((24, 5), 4, (part,), "all-gather", 8, (0,)).sent_bytes  # 7/8 of 480
            420
            >>> Collective((3, 5), 4, (part,), "all-reduce", 8).sent_bytes  # 2·7/8 of 60
            105
        """
        (operand,) = self.operands
        whole = {
            "all-gather": self.nbytes,
            "all-reduce": 2 * self.nbytes,
            "all-to-all": operand.nbytes,
            "slice": 0,
        }[self.kind]
        return whole * (self.devices - 1) // self.devices

    @property
    def additions(self) -> int:
        """One for each entry and each other device, shared among them where they add."""
        if self.kind != "all-reduce":
            return 0
        return self.operands[0].size * (self.devices - 1) // self.devices

    @property
    def signature(self) -> tuple:
        """What is exchanged, by how many."""
        return (Collective, self.kind, self.devices, self.axes, self.shape)


@dataclass(frozen=True, eq=False)
class Portion(Write):
    """A device's part of a dense array.

    Where an output's and an input's axis share a divided index, that is shorter than one of them.

    Attributes:
        groups: for each pattern the digits of each axis.
    """

    groups: tuple[tuple[tuple[int, ...], ...], ...] = ()


def axis_digits(node: Write) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """For each pattern the digits of each axis."""
    if isinstance(node, Portion):
        return node.groups
    return tuple(_digits_by_axis(pattern, node.shape) for pattern in node.patterns)


def _digits_by_axis(pattern: Pattern, shape: Shape) -> tuple[tuple[int, ...], ...]:
    digits, found = list(pattern.digits), []
    for extent in shape:
        own: list[int] = []
        while prod(pattern.extents[n] for n in own) < extent:
            own.append(digits.pop(0))
        found.append(tuple(own))
    return tuple(found)


def collectives(roots: Sequence[Node]) -> list[Collective]:
    """What a device's program exchanges, in order."""
    return exchanged_among(schedule(roots)[0])


def exchanged_among(ordered: Sequence[Node]) -> list[Collective]:
    """The nodes among others for which something is sent."""
    return [node for node in ordered if isinstance(node, Collective) and node.kind != "slice"]


def sent_bytes(roots: Sequence[Node]) -> int:
    """The bytes that each device sends in all."""
    return sum(node.sent_bytes for node in collectives(roots))
