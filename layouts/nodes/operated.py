"""What operators give: linear maps that are applied, or written as a matrix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from layouts.nodes.arrays import Node, Shape


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
        written: writes its matrix, the axes of the output and then of the operand, where that needs
            no products and so is sooner than applying it to an identity.
        stored: how many arrays one application stores: a loop does so at each of its steps.
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
    written: Callable[[], Any] | None = None
    stored: int = 1

    @property
    def reverse_only(self) -> bool:
        """Whether cotangents have to be pulled through it whole, from an output."""
        return self.no_matrix and self.directions == ("pull",)

    @property
    def mixed(self) -> bool:
        """Whether it goes between real and complex arrays: applied one way it takes a real part."""
        return len({aval.dtype.kind == "c" for aval in self.in_avals + self.out_avals}) > 1

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
    def application(self) -> tuple:
        """What nodes share, beside their operands, that one application of the operator gives."""
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
    def applied_to(self) -> int:
        """Which operand is pushed, or which output is pulled."""
        return self.source if self.direction == "push" else self.target

    @property
    def application(self) -> tuple:
        """All matrices of an operator are had by applying it once to all columns, or rows."""
        return (id(self.operator), self.direction)

    @property
    def columns(self) -> int:
        """To how many columns, or rows, the operator is applied."""
        _, out, into = self.sides
        return into if self.direction == "push" else out

    @property
    def times(self) -> int:
        """Once for each column, or each row; never where the matrix is written without it."""
        assert self.operator is not None
        return 0 if self.operator.written is not None else self.columns

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
        """The operator, and what it is applied to."""
        return (id(self.operator), self.direction, self.present, self.columns)

    @property
    def signature(self) -> tuple:
        """The application, and which of its results."""
        return (Apply, *self.application, self.position, self.shape)
