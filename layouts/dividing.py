"""From a program to the part of it that one of several devices runs, with what they exchange.

One device's part is a program again: the same steps on arrays of which an axis is divided, and
between them collectives. So what a device multiplies and holds is counted as ever, and what it
sends is counted from the collectives. This module imports no JAX.

Arrays are divided as XLA's partitioner divides them. Where all that carry a summed index are split
along it, each device sums its part and the sums are added up. Otherwise an array is computed as it
is asked for: of its operands those that carry the split axis are split so, the others gathered.

A ring of p devices is reckoned with: gathering n bytes takes (p-1)/p·n of each device, adding n
bytes up on all of them twice that, since it is a scatter and a gather; changing the axis that is
split, (p-1)/p of the n/p bytes that each holds. (R. Thakur, R. Rabenseifner,
W. Gropp: Optimization of collective communication operations in MPICH, 2005; P. Patarasuk, X. Yuan:
Bandwidth optimal all-reduce algorithms, 2009.)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any, NamedTuple

from layouts.nodes import (
    Add,
    Apply,
    Contract,
    Digit,
    Leaf,
    Node,
    OneHot,
    Operated,
    Operator,
    Pattern,
    Put,
    RealPart,
    Reshape,
    Shape,
    Take,
    Write,
)
from layouts.program import schedule

# The axis of an array that is divided among the devices; None where each has the whole array.
State = int | None

# How a leaf lies: on an axis, whole, or where it is needed, since it is computed there.
ANYWHERE = -1


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


class _Way(NamedTuple):
    """One way to compute a node: which axis of the result is divided, and which of each operand.

    A partial result is whole on each device, and still to be added up. `along` is the contraction
    index or axis that the work is divided along, None where each device does all of it.
    """

    state: State
    operands: tuple[State, ...]
    along: int | None
    partial: bool = False


class _Recipe(NamedTuple):
    """A way, and the kinds of collective after it."""

    way: _Way
    kinds: tuple[str, ...] = ()


class _Table(NamedTuple):
    """A recipe for each state of a node, and how it lies if nothing is asked of it."""

    recipes: dict[State, _Recipe]
    lies: State


class Division:
    """How each array of a program is had by devices that divide the work.

    Example:
        >>> A, B = Leaf((8, 3), 4, index=0), Leaf((3, 5), 4, index=1)
        >>> AB = Contract((8, 5), 4, (A, B), ((0, 1), (1, 2)), (0, 2), (8, 3, 5))
        >>> whole = Division([AB], {0: None, 1: None}, 4)
        >>> (part,) = whole.parts([(AB, 0)])  # rows: nothing to exchange
        >>> part.shape, part.multiplications, sent_bytes([part])
        ((2, 5), 30, 0)
        >>> in_rows = Division([AB], {0: 0, 1: None}, 4)
        >>> sent_bytes(in_rows.parts([(AB, None)]))  # gathers the 8×5
        120
    """

    def __init__(
        self,
        roots: Sequence[Node],
        held: Mapping[int, State],
        devices: int,
        split: Mapping[int, State] | None = None,
    ):
        """Find a recipe for every array under the roots, in every state.

        Args:
            roots: the arrays that may be wanted.
            held: for each leaf's index how it lies; anywhere where it is not listed.
            devices: how many devices divide the work.
            split: places in the program of arrays that are had split anyhow, and their axes.
        """
        self.roots, self.held, self.devices, self.split = roots, held, devices, dict(split or {})
        self.ordered, self.place = schedule(roots)
        self.tables: list[_Table] = []
        for n, node in enumerate(self.ordered):
            below = [self.tables[self.place[id(operand)]] for operand in node.operands]
            self.tables.append(_table(node, below, held, devices, self.split.get(n)))

    def parts(self, wanted: Sequence[tuple[Node, State]]) -> list[Node]:
        """The program that one device runs: what it then has of each array.

        An array that is asked for both split and whole is made split, and lies so for its users.

        Args:
            wanted: roots, each with the axis that is to be divided, or None.
        """
        needed = self._needed(wanted)
        both = {
            n: max(states, key=lambda state: -1 if state is None else state)
            for n, states in needed.items()
            if len(states) > 1 and None in states and self.ordered[n].operands
        }
        if not both.keys() <= self.split.keys():
            again = Division(self.roots, self.held, self.devices, {**both, **self.split})
            return again.parts(wanted)
        made: dict[tuple[int, State], Node] = {}
        for n, node in enumerate(self.ordered):
            for state in needed.get(n, ()):
                operands = tuple(made[pair] for pair in self._operands(n, state))
                recipe = self.tables[n].recipes[state]
                made[n, state] = _made(node, operands, recipe, state, self.devices)
        return [made[self.place[id(node)], state] for node, state in wanted]

    def _needed(self, wanted: Sequence[tuple[Node, State]]) -> dict[int, set[State]]:
        """The states in which each array of the program is asked for."""
        needed: dict[int, set[State]] = {}
        for node, state in wanted:
            needed.setdefault(self.place[id(node)], set()).add(state)
        for n in reversed(range(len(self.ordered))):
            for state in needed.get(n, ()):
                for operand, below in self._operands(n, state):
                    needed.setdefault(operand, set()).add(below)
        return needed

    def _operands(self, n: int, state: State) -> list[tuple[int, State]]:
        """The operands of a node in the states that its recipe asks for, by their places."""
        operands = (self.place[id(operand)] for operand in self.ordered[n].operands)
        return list(zip(operands, self.tables[n].recipes[state].way.operands, strict=True))


def collectives(roots: Sequence[Node]) -> list[Collective]:
    """What a device's program exchanges, in order."""
    return [
        node for node in schedule(roots)[0] if isinstance(node, Collective) and node.kind != "slice"
    ]


def sent_bytes(roots: Sequence[Node]) -> int:
    """The bytes that each device sends in all."""
    return sum(node.sent_bytes for node in collectives(roots))


def _table(
    node: Node,
    below: Sequence[_Table],
    held: Mapping[int, State],
    devices: int,
    split: State,
) -> _Table:
    """The recipes of a node, those of its operands being known."""
    states = [n for n, extent in enumerate(node.shape) if extent % devices == 0]
    if isinstance(node, Leaf):
        lies = held.get(node.index, ANYWHERE)
        return _Table({state: _of_leaf(lies, state) for state in [None, *states]}, lies)
    ways = list(_ways(node, devices))
    direct = {way.state: way for way in ways if not way.partial}
    partial = [way for way in ways if way.partial]
    agreed = next((way for way in partial if _agrees(way, below)), None)
    summed = agreed or next((way for way in partial if _lean(way, below)), None)
    kept = direct.get(split) if split is not None else None
    kept = kept or next((way for way in direct.values() if _lean(way, below)), None)
    if summed is not None:
        whole, lies = _Recipe(summed, ("all-reduce",)), None
    elif kept is not None:
        whole, lies = _Recipe(kept, ("all-gather",)), kept.state
    else:
        free = all(table.lies == ANYWHERE for table in below)
        whole, lies = _Recipe(direct[None]), ANYWHERE if free else None
    recipes: dict[State, _Recipe] = {None: whole}
    for state in states:
        at_once = state in direct and agreed is None
        sliced = _Recipe(whole.way, (*whole.kinds, "slice"))
        recipes[state] = _Recipe(direct[state]) if at_once else sliced
    return _Table(recipes, lies)


def _of_leaf(lies: State, state: State) -> _Recipe:
    """How a leaf that lies in one way is had in another."""
    if lies == ANYWHERE:
        return _Recipe(_Way(state, (), state))
    found = _Way(lies, (), lies)
    if state == lies:
        return _Recipe(found)
    kind = "slice" if lies is None else "all-gather" if state is None else "all-to-all"
    return _Recipe(found, (kind,))


def _agrees(way: _Way, below: Sequence[_Table]) -> bool:
    """Whether all operands that a way divides may lie so, and one does."""
    pairs = zip(below, way.operands, strict=True)
    fits = all(table.lies in (state, ANYWHERE) for table, state in pairs if state is not None)
    return fits and _lean(way, below)


def _lean(way: _Way, below: Sequence[_Table]) -> bool:
    """Whether an operand lies as a way divides it."""
    pairs = zip(below, way.operands, strict=True)
    return any(state is not None and table.lies == state for table, state in pairs)


def _made(
    node: Node, operands: tuple[Node, ...], recipe: _Recipe, state: State, devices: int
) -> Node:
    """A device's part of a node, after what is exchanged."""
    part, before = _part(node, operands, recipe.way, devices), recipe.way.state
    for kind in recipe.kinds:
        after = state if kind in ("slice", "all-to-all") else None
        axes = tuple(axis for axis in (before, after) if axis is not None)
        shape = _local(node.shape, after, devices)
        part, before = Collective(shape, node.itemsize, (part,), kind, devices, axes), after
    return part


def _local(shape: Shape, state: State, devices: int) -> Shape:
    return tuple(e // devices if n == state else e for n, e in enumerate(shape))


def _part(node: Node, operands: tuple[Node, ...], way: _Way, devices: int) -> Node:
    """The node itself on a device's operands."""
    shape = _local(node.shape, way.state, devices)
    if isinstance(node, Leaf):
        kept = (node.itemsize, (), node.index, node.name)
        return node if way.state is None else Piece(shape, *kept)
    if isinstance(node, Write) and way.along is not None:
        groups = _groups(node)
        patterns = tuple(
            _lighter_pattern(pattern, digits[way.along], devices)
            for pattern, digits in zip(node.patterns, groups, strict=True)
        )
        return Portion(shape, node.itemsize, operands, patterns, groups)
    changes: dict[str, Any] = {}
    if way.along is not None:
        if isinstance(node, Contract):
            changes["extents"] = _local(node.extents, way.along, devices)
        elif isinstance(node, Apply) and node.operator is not None:
            if _is_column(node, way.along):
                changes["columns"] = node.columns // devices
            else:
                changes["operator"] = _lighter(node.operator, devices)
    return replace(node, shape=shape, operands=operands, **changes)


@cache
def _lighter(operator: Operator, devices: int) -> Operator:
    """An operator on a device's share of the batch; one object, so that it is known again."""
    return replace(operator, work=(operator.work[0] // devices, operator.work[1] // devices))


def _ways(node: Node, devices: int) -> Iterator[_Way]:
    """Every way to compute a node without exchanging anything."""
    yield _Way(None, (None,) * len(node.operands), None)
    if isinstance(node, Contract):
        yield from _by_index(node.indices, node.output, node.extents, devices)
    elif isinstance(node, Take | Put):
        yield from _by_moved(node, devices)
    else:
        for axis, extent in enumerate(node.shape):
            if extent % devices == 0:
                found = _along(node, axis, devices)
                if found is not None:
                    yield _Way(axis, found, axis)


def _by_index(
    indices: Sequence[tuple[int, ...]], output: tuple[int, ...], extents: Shape, devices: int
) -> Iterator[_Way]:
    """Dividing an index divides every operand that carries it; a summed one leaves partial sums."""
    for index, extent in enumerate(extents):
        if extent % devices or any(carried.count(index) > 1 for carried in indices):
            continue
        operands = tuple(c.index(index) if index in c else None for c in indices)
        if index in output:
            yield _Way(output.index(index), operands, index)
        else:
            yield _Way(None, operands, index, partial=True)


def _by_moved(node: Take | Put, devices: int) -> Iterator[_Way]:
    """Entries are moved along one axis, or between the axes that tables name, never divided."""
    if not node.places:
        for axis, extent in enumerate(node.shape):
            if axis != node.axis and extent % devices == 0:
                yield _Way(axis, (axis,), axis)
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
            yield _Way(axis, operands, axis)
        elif isinstance(node, Put):
            yield _Way(None, operands, index, partial=True)


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
        pairs = zip(node.patterns, _groups(node), strict=True)
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


def _is_column(node: Apply, axis: int) -> bool:
    """Whether an axis is one of the columns that an operator is applied to."""
    before, after = prod(node.shape[:axis]), prod(node.shape[axis:])
    return after <= node.columns if node.direction == "push" else before < node.columns


def _before_apply(node: Apply, axis: int) -> tuple[State, ...] | None:
    """Columns and the samples of a batch are each on their own; the other axes are not."""
    assert node.operator is not None
    shift = len(node.operands[0].shape) - len(node.shape)
    if _is_column(node, axis):
        return (axis + shift if node.direction == "push" else axis,) * len(node.operands)
    columns = node.columns if node.direction == "pull" else 1
    if prod(node.shape[: axis + 1]) <= columns * prod(node.operator.batch):
        return (axis,) * len(node.operands)
    return None


def _groups(node: Write) -> tuple[tuple[tuple[int, ...], ...], ...]:
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


def _before_write(pattern: Pattern, digits: tuple[int, ...], devices: int) -> list[State]:
    """How a term's array and tables are divided where an axis of the dense array is."""
    value = pattern.value
    carried = digits and value is not None and digits[0] in value
    fits = carried and pattern.extents[digits[0]] % devices == 0
    found: list[State] = [] if value is None else [value.index(digits[0]) if fits else None]
    return found + [None for mask in pattern.masks if mask.table]


def _lighter_pattern(pattern: Pattern, digits: tuple[int, ...], devices: int) -> Pattern:
    """A device's share of a term, where the first digit of the axis can be divided."""
    if not digits or pattern.extents[digits[0]] % devices:
        return pattern
    return replace(pattern, extents=_local(pattern.extents, digits[0], devices))
