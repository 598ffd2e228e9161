"""Entries moved to other places, and the tables that list the places."""

from dataclasses import dataclass
from math import prod

from layouts.nodes.arrays import Indices, Node


@dataclass(frozen=True, eq=False)
class Moved(Node):
    """Entries moved by selections: along one axis, or to and from the places that tables list.

    Attributes:
        axis: the one axis, where there is no table.
        start: as in `Selection`, for that axis.
        step: as in `Selection`.
        window: as in `Selection`.
        fill: what is read where there is no place.
        indices: with tables, an index number for each axis of each operand: the array, the tables.
        places: the index number that each table lists the places of.
        output: the index numbers of the result's axes.
    """

    axis: int = 0
    start: int = 0
    step: int = 1
    window: tuple[int, int] = (0, 0)
    fill: int = 0
    indices: tuple[Indices, ...] = ()
    places: Indices = ()
    output: Indices = ()

    @property
    def signature(self) -> tuple:
        """The selections."""
        along = (self.axis, self.start, self.step, self.window)
        listed = (self.indices, self.places, self.output)
        return (type(self), self.shape, along, self.fill, listed)


class Take(Moved):
    """Entries picked: `result[label] = operand[start + step·label]`, zero outside the window.

    With tables: of the array, each place in `places` is the table's entry there, and `fill` stands
    where a place is past the end.
    """


class Put(Moved):
    """Entries placed: `result[start + step·label] = operand[label]`, zero elsewhere.

    With tables: entries go to the places that the tables list, nowhere where one is past the end;
    those that meet at one place are added, as are all along the indices that the output lacks.
    """

    @property
    def additions(self) -> int:
        """One for each entry that tables place."""
        extent = {
            n: e
            for node, index in zip(self.operands, self.indices, strict=False)
            for n, e in zip(index, node.shape, strict=True)
        }
        return prod(extent.values()) if self.places else 0


@dataclass(frozen=True, eq=False)
class OneHot(Node):
    """A selection as a matrix of places × labels, where nothing better can be done with it."""

    start: int = 0
    step: int = 1
    window: tuple[int, int] = (0, 0)

    @property
    def signature(self) -> tuple:
        """The selection."""
        return (OneHot, self.shape, self.start, self.step, self.window)


@dataclass(frozen=True, eq=False)
class Places(Node):
    """A table of places, from the start indices of a lookup as JAX has them.

    `start = indices[..., column]`, moved inside with `clip`, else past the end where the window
    of that size does not fit; axes of size one are left out, and a last axis counts through the
    window where its size is not one.

    Attributes:
        column: which of the last axis's start indices; None where the axis is not there.
        extent: the number of places.
        window: the size of the window.
        clip: whether a start outside is moved inside.
    """

    column: int | None = None
    extent: int = 0
    window: int = 1
    clip: bool = False

    @property
    def signature(self) -> tuple:
        """The column, the places and the mode."""
        return (Places, self.shape, self.column, self.extent, self.window, self.clip)


@dataclass(frozen=True, eq=False)
class Steps(Node):
    """The table `start + step·label`, past the end outside the window; or its inverse.

    Attributes:
        start: as in `Selection`.
        step: as in `Selection`.
        window: as in `Selection`.
        extent: the number of places; of labels in the inverse.
        inverse: whether each place's label is listed, past the end where it has none.
    """

    start: int = 0
    step: int = 1
    window: tuple[int, int] = (0, 0)
    extent: int = 0
    inverse: bool = False

    @property
    def signature(self) -> tuple:
        """The selection."""
        steps = (self.start, self.step, self.window)
        return (Steps, self.shape, steps, self.extent, self.inverse)


@dataclass(frozen=True, eq=False)
class Triangle(Node):
    """The pairs `i ≤ j` of so many places: the list of all i, that of all j, or where each stands.

    Attributes:
        extent: the number of places.
        side: 0 for every i, 1 for every j; None for the place of each pair, in either order.
    """

    extent: int = 0
    side: int | None = None

    @property
    def signature(self) -> tuple:
        """The number of places, and which table."""
        return (Triangle, self.extent, self.side)


@dataclass(frozen=True, eq=False)
class Digit(Node):
    """A digit of each place in a table: `table // below`, and of that the rest by `base` if any."""

    below: int = 1
    base: int = 0

    @property
    def signature(self) -> tuple:
        """Which digit."""
        return (Digit, self.below, self.base)
