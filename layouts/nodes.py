"""Symbolic arrays: what is to be computed, before anything is.

Composing Jacobians writes down nodes: contractions, sums, reshapes. The nodes know shapes and item
sizes but hold no numbers. This module imports no JAX.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]
Indices = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """An array to be computed.

    Attributes:
        shape: its shape.
        itemsize: bytes per entry.
        operands: the nodes that it is computed from.
    """

    shape: Shape
    itemsize: int
    operands: tuple["Node", ...] = ()

    @property
    def size(self) -> int:
        """The number of entries."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that it takes once computed."""
        return self.size * self.itemsize

    @property
    def multiplications(self) -> int:
        """Scalar products of two stored numbers made by this node alone."""
        return 0

    @property
    def additions(self) -> int:
        """Scalar additions made by this node alone."""
        return 0

    @property
    def signature(self) -> tuple:
        """What tells this node from others on the same operands."""
        return (type(self), self.shape)


@dataclass(frozen=True, eq=False)
class Leaf(Node):
    """A residual: the array at `index` among those handed to the evaluator."""

    index: int = 0
    name: str | None = None

    @property
    def signature(self) -> tuple:
        """A leaf is known by its place among the residuals."""
        return (Leaf, self.index)


@dataclass(frozen=True, eq=False)
class Contract(Node):
    """A product of one or two arrays summed over the indices that the output lacks.

    `indices[n]` names the axes of operand n and `output` those of the result, each index one
    number; `extents` gives their sizes. Costs the product of all sizes for two operands, and as
    many additions less the outputs where an index is summed.
    """

    indices: tuple[Indices, ...] = ()
    output: Indices = ()
    extents: Shape = ()

    @property
    def summed(self) -> bool:
        """Whether any index is summed over."""
        return len(self.output) < len(self.extents)

    @property
    def multiplications(self) -> int:
        """One for each combination of indices, where there are two operands."""
        return prod(self.extents) if len(self.operands) == 2 else 0

    @property
    def additions(self) -> int:
        """One for each combination of indices beyond the first of each output."""
        return max(prod(self.extents) - self.size, 0) if self.summed else 0

    @property
    def signature(self) -> tuple:
        """The index pattern."""
        return (Contract, self.indices, self.output, self.extents)


@dataclass(frozen=True, eq=False)
class Add(Node):
    """A sum of arrays times coefficients, each broadcast along the indices that it lacks."""

    indices: tuple[Indices, ...] = ()
    coefficients: tuple[complex, ...] = ()

    @property
    def multiplications(self) -> int:
        """One for each entry of an operand whose coefficient is not ±1."""
        pairs = zip(self.operands, self.coefficients, strict=True)
        return sum(node.size for node, c in pairs if c not in (1, -1))

    @property
    def additions(self) -> int:
        """One for each entry and each operand beyond the first."""
        return self.size * (len(self.operands) - 1)

    @property
    def signature(self) -> tuple:
        """The index pattern and the coefficients."""
        return (Add, self.indices, self.coefficients)


@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """The same entries in another shape; free."""


@dataclass(frozen=True, eq=False)
class Identity(Node):
    """The identity from the last half of the axes to the first, where digits have no refinement."""


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


@dataclass(frozen=True, eq=False)
class RealPart(Node):
    """The real part of its operand."""


@dataclass(frozen=True, eq=False)
class Larger(Node):
    """Of two arrays the larger, entry by entry: of two that are equal to rounding, either."""


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


@dataclass(frozen=True)
class Band:
    """Where `step·i + start ≤ j < step·i + start + width`, of `outs` places i and `ins` labels j.

    A sum over a window that moves on by `step`, or over all that came before.
    """

    outs: int
    ins: int
    start: int
    step: int
    width: int


@dataclass(frozen=True, eq=False)
class Operator:
    """A linear map known by applying it: exact, though its entries are written nowhere.

    A primitive without a rule is one; so is what a convolution does to each sample alone.

    Attributes:
        name: the primitive's name, as the plan shows it.
        function: from its operands to a tuple of outputs.
        in_avals: shape and dtype of each operand, the batch axes before its own.
        out_avals: shape and dtype of each output, likewise.
        columns: the same on several columns at once, along a last axis of all operands and outputs;
            None where `function` is batched for that.
        batch: the shape of the leading axes that it treats each on its own.
        directions: the ways it can be applied: "push" (to tangents), "pull" (to cotangents).
        work: multiplications and additions of one application.
        entries: its matrix as terms, on the axes of the output and of the operand, where they store
            less than the matrix; for what is left of it at the end.
        opaque: whether no rule says which axes it leaves alone.
        matrix_by: the one way to write its matrix, where it goes between real and complex arrays:
            "push" for columns of a real operand, "pull" for rows of a real output.
        no_matrix: whether a matrix may not do for it, so that it has to be applied to the whole of
            what meets it: it conjugates, it is a sum over the devices of a mesh, or it is a rule of
            the user's own for cotangents, which need not be linear (clipped gradients).
        ones: where its matrix is one, as masks of places × labels, one for each axis in turn; None
            where it has other entries than zeros and ones.
    """

    name: str
    function: Callable[..., Sequence[Any]]
    in_avals: tuple[Any, ...]
    out_avals: tuple[Any, ...]
    columns: Callable[..., Sequence[Any]] | None = None
    batch: Shape = ()
    directions: tuple[str, ...] = ("push", "pull")
    work: tuple[int, int] = (0, 0)
    opaque: bool = True
    entries: tuple[Any, ...] | None = None
    matrix_by: str | None = None
    no_matrix: bool = False
    ones: tuple[Band, ...] | None = None

    @property
    def reverse_only(self) -> bool:
        """Whether cotangents have to be pulled through it whole, from an output."""
        return self.no_matrix and self.directions == ("pull",)

    @property
    def collective(self) -> bool:
        """Whether it may bring together what devices of a mesh hold."""
        kinds = (getattr(a, "manual_axis_type", None) for a in self.in_avals + self.out_avals)
        return self.no_matrix and any(kind is not None and kind.varying for kind in kinds)


@dataclass(frozen=True, eq=False)
class Operated(Node):
    """What an operator gives; it costs the operator's work as often as that is applied."""

    operator: Operator | None = None

    @property
    def times(self) -> int:
        """How often the operator is applied."""
        raise NotImplementedError

    @property
    def multiplications(self) -> int:
        """Those of all applications; several results of one are booked once (`cost`)."""
        assert self.operator is not None
        return self.operator.work[0] * self.times

    @property
    def additions(self) -> int:
        """As the multiplications."""
        assert self.operator is not None
        return self.operator.work[1] * self.times


@dataclass(frozen=True, eq=False)
class Map(Operated):
    """The matrix of one output of an operator by one operand: batch, then output, then operand.

    Written out by applying the operator to an identity; mostly it is applied instead (`Apply`).
    """

    target: int = 0
    source: int = 0

    @property
    def sides(self) -> tuple[int, int, int]:
        """The sizes of batch, output and operand."""
        assert self.operator is not None
        batch = prod(self.operator.batch)
        out = prod(self.operator.out_avals[self.target].shape) // max(batch, 1)
        into = prod(self.operator.in_avals[self.source].shape) // max(batch, 1)
        return batch, out, into

    @property
    def direction(self) -> str:
        """By columns or by rows: whichever are fewer of those that can be had."""
        assert self.operator is not None
        if self.operator.matrix_by:
            return self.operator.matrix_by
        _, out, into = self.sides
        return min(self.operator.directions, key={"push": into, "pull": out}.__getitem__)

    @property
    def times(self) -> int:
        """Once for each column, or each row."""
        _, out, into = self.sides
        return into if self.direction == "push" else out

    @property
    def signature(self) -> tuple:
        """The operator, and which of its matrices."""
        return (Map, id(self.operator), self.target, self.source, self.shape)


@dataclass(frozen=True, eq=False)
class Apply(Operated):
    """What an operator makes of a batch of tangents, or its transpose of cotangents.

    Pushed operands have the axes batch, own, columns; pulled ones columns, batch, own.

    Attributes:
        direction: "push" or "pull".
        present: which operands (pushing) or outputs (pulling) are given; the rest are zero.
        position: which output (pushing) or operand (pulling) this is.
        columns: the size of what it is applied to at once.
    """

    direction: str = "push"
    present: tuple[int, ...] = ()
    position: int = 0
    columns: int = 1

    @property
    def times(self) -> int:
        """Once for each column."""
        return self.columns

    @property
    def application(self) -> tuple:
        """What nodes of one application share, beside their operands."""
        return (id(self.operator), self.direction, self.present, self.columns)

    @property
    def signature(self) -> tuple:
        """The application, and which of its results."""
        return (Apply, *self.application, self.position, self.shape)
