"""What every node knows, and sums, products and shapes of arrays."""

from dataclasses import dataclass
from math import prod

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
    """A residual: the array at `index` among those handed to the evaluator.

    Attributes:
        index: its place.
        name: what formulas call it.
        gate: whether its entries are 0 and 1, and a 0 drops what it meets, be that NaN.
    """

    index: int = 0
    name: str | None = None
    gate: bool = False

    @property
    def signature(self) -> tuple:
        """A leaf is known by its place among the residuals, and by what it does to others."""
        return (Leaf, self.index, self.gate)


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
    def batch(self) -> Indices:
        """The indices that two operands share and the output keeps."""
        left, right = self.indices
        return tuple(n for n in left if n in right and n in self.output)

    @property
    def both_read_down(self) -> bool:
        """Whether this is `Aᵀ B`, rows summed in both operands: matrices not tall, or a batch."""
        if len(self.indices) != 2 or any(len(set(index)) < len(index) for index in self.indices):
            return False
        batch = self.batch
        rows, columns = ([n for n in index if n not in batch] for index in self.indices)
        if len(rows) != 2 or len(columns) != 2 or rows[0] != columns[0]:
            return False
        (a, m), (_, n) = rows, columns
        wide = self.extents[a] <= max(self.extents[m], self.extents[n])
        return self.output == (*batch, m, n) and (wide or bool(batch))

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
class RealPart(Node):
    """The real part of its operand."""


@dataclass(frozen=True, eq=False)
class Larger(Node):
    """Of two entries that mirror each other, equal to rounding, the larger: equal in every bit.

    Attributes:
        order: the axes of the mirror image, as in a transpose.
    """

    order: Indices = ()

    @property
    def signature(self) -> tuple:
        """The order of the axes."""
        return (Larger, self.order)
