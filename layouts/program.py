"""Symbolic arrays: what is to be computed, before anything is.

Composing Jacobians writes down nodes: contractions, sums, reshapes. The nodes know shapes and item
sizes but hold no numbers, so one elimination serves two purposes: counted, it is a plan's cost;
evaluated on the residuals, it is the result. This module imports no JAX.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
        return (Contract, self.indices, self.output)


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
    """Entries moved along one axis by a selection; a table, if any, is the second operand."""

    axis: int = 0
    start: int = 0
    step: int = 1
    window: tuple[int, int] = (0, 0)

    @property
    def signature(self) -> tuple:
        """The axis and the selection."""
        return (type(self), self.shape, self.axis, self.start, self.step, self.window)


class Take(Moved):
    """Entries picked: `result[label] = operand[start + step·label]`, zero outside the window."""


class Put(Moved):
    """Entries placed: `result[start + step·label] = operand[label]`, zero elsewhere.

    Entries that a table puts on one place are added.
    """


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
        label: the index of the digit that holds the label.
        start: as in `Selection`.
        step: as in `Selection`.
        window: as in `Selection`.
        table: whether the places are listed.
    """

    place: int
    label: int
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
class Opaque:
    """A linear map without a rule: exact all the same, known only by applying it.

    Attributes:
        name: the primitive's name, as the plan shows it.
        function: the map itself, from its linear operands to a tuple of outputs.
        inputs: the vertices of the linear operands.
        outputs: the vertices of the outputs.
        in_avals: shape and dtype of each operand.
        out_avals: shape and dtype of each output.
        directions: the ways it can be applied: "push" (to tangents), "pull" (to cotangents).
        work: multiplications and additions of one application.
    """

    name: str
    function: Callable[..., Sequence[Any]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_avals: tuple[Any, ...]
    out_avals: tuple[Any, ...]
    directions: tuple[str, ...] = ("push", "pull")
    work: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Application:
    """An opaque map applied to a batch: to dense Jacobians of its operands, or of the outputs.

    Attributes:
        opaque: the map.
        direction: "push" or "pull".
        present: which operands (pushing) or outputs (pulling) are given; the rest are zero.
        batch: the shape of the input (pushing) or output (pulling) of the given Jacobians.
    """

    opaque: Opaque
    direction: str
    present: tuple[int, ...]
    batch: Shape

    @property
    def work(self) -> tuple[int, int]:
        """Multiplications and additions of the whole batch."""
        multiplications, additions = self.opaque.work
        return multiplications * prod(self.batch), additions * prod(self.batch)


@dataclass(frozen=True, eq=False)
class Apply(Node):
    """Number `position` of the arrays that an application returns; `cost` books its work once."""

    application: Application | None = None
    position: int = 0

    @property
    def signature(self) -> tuple:
        """The application and which output this is."""
        return (Apply, id(self.application), self.position)


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
        key = (node.signature, tuple(place[id(operand)] for operand in node.operands))
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
    applied = {
        id(node.application): node.application for node in ordered if isinstance(node, Apply)
    }
    work = [application.work for application in applied.values() if application is not None]
    return Cost(
        sum(node.multiplications for node in ordered) + sum(products for products, _ in work),
        sum(node.additions for node in ordered) + sum(sums for _, sums in work),
        peak,
        sum(_moved_bytes(node) for node in ordered),
    )


def _base(node: Node) -> Node:
    """The array that a node stores its entries in: a reshape is a view of its operand."""
    while isinstance(node, Reshape):
        (node,) = node.operands
    return node


def _moved_bytes(node: Node) -> int:
    """A leaf and a view are only read, by those who use them."""
    if isinstance(node, Leaf | Reshape):
        return 0
    return node.nbytes + sum(operand.nbytes for operand in node.operands)
