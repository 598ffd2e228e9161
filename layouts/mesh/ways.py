"""Every way to divide one step of a program among devices so that nothing is exchanged for it."""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from layouts.mesh.exchanges import Collective, axis_digits
from layouts.mesh.steps import Step
from layouts.nodes import (
    Add,
    Apply,
    Contract,
    Digit,
    Map,
    Node,
    OneHot,
    Operated,
    Pattern,
    Put,
    RealPart,
    Reshape,
    Take,
    Write,
)

# The axis of an array that is divided among the devices; None where each has the whole array.
State = int | None


class Way(NamedTuple):
    """One way to compute a node: which axis of the result is divided, and which of each operand.

    A partial result is whole on each device, and still to be added up. `along` is the contraction
    index or axis that the work is divided along, None where each device does all of it.
    """

    state: State
    operands: tuple[State, ...]
    along: int | None
    partial: bool = False


def ways_of(node: Node, devices: int) -> Iterator[Way]:
    """Every way to compute a node without exchanging anything."""
    yield Way(None, (None,) * len(node.operands), None)
    if isinstance(node, Contract | Step):
        yield from _by_index(node, devices)
    elif isinstance(node, Take | Put):
        yield from _by_moved(node, devices)
    else:
        for axis, extent in enumerate(node.shape):
            if extent % devices == 0:
                found = _along(node, axis, devices)
                if found is not None:
                    yield Way(axis, found, axis)


def _by_index(node: Contract | Step, devices: int) -> Iterator[Way]:
    """Dividing an index divides every operand that carries it; a summed one leaves partial sums.

    Example:
        >>> x = Step((8, 3), 4)
        >>> total = Step((3,), 4, (x,), ((0, 1),), (1,), (8, 3))
        >>> [(way.state, way.operands, way.partial) for way in _by_index(total, 4)]
        [(None, (0,), True)]
    """
    indices = node.indices
    undivided = node.whole if isinstance(node, Step) else frozenset[int]()
    for index, extent in enumerate(node.extents):
        twice = any(carried.count(index) > 1 for carried in indices)
        if extent % devices or twice or index in undivided:
            continue
        operands = tuple(c.index(index) if index in c else None for c in indices)
        if index in node.output:
            yield Way(node.output.index(index), operands, index)
        else:
            yield Way(None, operands, index, partial=True)


def _by_moved(node: Take | Put, devices: int) -> Iterator[Way]:
    """Entries are moved along one axis, or between the axes that tables name, never divided."""
    if not node.places:
        for axis, extent in enumerate(node.shape):
            if axis != node.axis and extent % devices == 0:
                yield Way(axis, (axis,), axis)
        return
    pairs = [
        pair
        for carried, operand in zip(node.indices, node.operands, strict=True)
        for pair in zip(carried, operand.shape, strict=True)
    ]
    for index, extent in dict(pairs).items():
        if index in node.places or extent % devices:
            continue
        operands = tuple(c.index(index) if index in c else None for c in node.indices)
        if index in node.output:
            axis = node.output.index(index)
            yield Way(axis, operands, axis)
        elif isinstance(node, Put):
            yield Way(None, operands, index, partial=True)


def _along(node: Node, axis: int, devices: int) -> tuple[State, ...] | None:
    """The axis of each operand that goes with an axis of the result; None where they do not."""
    if isinstance(node, Add):
        return tuple(c.index(axis) if axis in c else None for c in node.indices)
    if isinstance(node, RealPart | Digit):
        return (axis,)
    if isinstance(node, OneHot):
        return tuple(axis - 1 if axis else None for _ in node.operands)
    if isinstance(node, Reshape):
        return _before_reshape(node, axis, devices)
    if isinstance(node, Apply):
        return _before_apply(node, axis)
    if isinstance(node, Collective):
        return None if axis in node.axes else (axis,)
    if isinstance(node, Write):
        pairs = zip(node.patterns, axis_digits(node), strict=True)
        return tuple(n for p, digits in pairs for n in _before_write(p, digits[axis], devices))
    return () if not node.operands and not isinstance(node, Operated) else None


def _before_reshape(node: Reshape, axis: int, devices: int) -> tuple[State, ...] | None:
    """The operand's axis that starts at the same place, where both can be divided."""
    (operand,) = node.operands
    start = prod(node.shape[:axis])
    for place, extent in enumerate(operand.shape):
        if prod(operand.shape[:place]) == start and extent % devices == 0:
            return (place,)
    return None


def columns_from(node: Operated) -> int | None:
    """The first of the axes that an operator's columns (pushing) or rows (pulling) stand on.

    What is applied to a batch of those is applied to each on its own. None where there is no batch.
    """
    if isinstance(node, Apply):
        batch, count = 1, node.columns
    else:
        assert isinstance(node, Map)
        batch, out, into = node.sides
        count = into if node.direction == "push" else out
    before = prod(node.shape) // max(count, 1) if node.direction == "push" else batch
    starts = (axis for axis, extent in enumerate(node.shape) if extent > 1)
    return next((axis for axis in starts if prod(node.shape[:axis]) == before), None)


def is_column(node: Apply, axis: int) -> bool:
    """Whether an axis is one of the columns that an operator is applied to."""
    before, after = prod(node.shape[:axis]), prod(node.shape[axis:])
    return after <= node.columns if node.direction == "push" else before < node.columns


def _before_apply(node: Apply, axis: int) -> tuple[State, ...] | None:
    """Columns and the samples of a batch are each on their own; the other axes are not."""
    assert node.operator is not None
    shift = len(node.operands[0].shape) - len(node.shape)
    if is_column(node, axis):
        return (axis + shift if node.direction == "push" else axis,) * len(node.operands)
    columns = node.columns if node.direction == "pull" else 1
    if prod(node.shape[: axis + 1]) <= columns * prod(node.operator.batch):
        return (axis,) * len(node.operands)
    return None


def _before_write(pattern: Pattern, digits: tuple[int, ...], devices: int) -> list[State]:
    """How a term's array and tables are divided where an axis of the dense array is."""
    value = pattern.value
    carried = digits and value is not None and digits[0] in value
    fits = carried and pattern.extents[digits[0]] % devices == 0
    found: list[State] = [] if value is None else [value.index(digits[0]) if fits else None]
    return found + [None for mask in pattern.masks if mask.table]
