"""Terms written out as one array."""

from dataclasses import dataclass
from math import prod

from layouts.nodes.arrays import Indices, Node, Shape


@dataclass(frozen=True)
class Mask:
    """A selection between two digits of a dense array; the table, if any, is an operand.

    Attributes:
        place: the index of the digit that holds the place.
        labels: the index of the digit that holds each label.
        start: as in `Selection`.
        step: as in `Selection`.
        window: as in `Selection`.
        table: whether the places are listed.
    """

    place: int
    labels: Indices
    start: int
    step: int
    window: tuple[int, int]
    table: bool


@dataclass(frozen=True)
class Pattern:
    """One term of a dense array: which index runs along which digit of its shape.

    Attributes:
        digits: an index number for each digit of the dense shape, out before in; a number that
            stands twice is a delta.
        extents: the size of each index.
        value: the indices of the term's array, or None for a term of ones.
        coefficient: the number that the term is multiplied by.
        masks: its selections.
    """

    digits: Indices
    extents: Shape
    value: Indices | None
    coefficient: complex
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, eq=False)
class Write(Node):
    """The dense array of a sum of terms: the one place where zeros are stored."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def additions(self) -> int:
        """Terms overlap where several have no delta apart; booked entry by entry."""
        stored = [prod(pattern.extents) for pattern in self.patterns]
        return sum(stored) - max(stored, default=0)

    @property
    def signature(self) -> tuple:
        """The patterns."""
        return (Write, self.shape, self.patterns)
