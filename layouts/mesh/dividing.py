"""From a program to the part of it that one of several devices runs, with what they exchange.

One device's part is a program again: the same steps on arrays of which an axis is divided, and
between them collectives. So what a device multiplies and holds is counted as ever, and what it
sends is counted from the collectives. This module imports no JAX.

Arrays are divided as XLA's partitioner divides them, constrained by `layouts.mesh.splitting`. One
that is asked for in parts is computed so: of its operands those that carry the split axis are split
so, the others gathered. Of one that is asked for whole, where its operands are split along a summed
index, each device sums its part and the sums are added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from layouts.mesh.exchanges import Collective, Piece, Portion, axis_digits
from layouts.mesh.steps import Step
from layouts.mesh.ways import State, Way, is_column, ways_of
from layouts.nodes import Apply, Contract, Leaf, Node, Operator, Pattern, Shape, Write
from layouts.program import schedule

# How a leaf lies: on an axis, whole, or where it is needed, since it is computed there.
ANYWHERE = -1


class _Recipe(NamedTuple):
    """A way, and the kinds of collective after it."""

    way: Way
    kinds: tuple[str, ...] = ()


class _Table(NamedTuple):
    """A recipe for each state of a node, and how it lies if nothing is asked of it."""

    recipes: dict[State, _Recipe]
    lies: State


class Division:
    """How each array of a program is had by devices that divide the work.

    Example:
        >>> from layouts.mesh.exchanges import sent_bytes
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
        # Many ways to share a program out are tried on one division of it.
        self._known: dict[tuple, tuple[Division, dict[int, set[State]]]] = {}
        self._again: dict[frozenset, Division] = {}
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
        settled, needed = self._settled(wanted)
        made: dict[tuple[int, State], Node] = {}
        for n, node in enumerate(self.ordered):
            for state in needed.get(n, ()):
                operands = tuple(made[pair] for pair in settled._operands(n, state))
                recipe = settled.tables[n].recipes[state]
                made[n, state] = _made(node, operands, recipe, state, self.devices)
        return [made[self.place[id(node)], state] for node, state in wanted]

    def leaves(self, wanted: Sequence[tuple[Node, State]]) -> list[tuple[Leaf, set[State]]]:
        """The leaves that are needed for this, each with the states that it is needed in."""
        _, needed = self._settled(wanted)
        pairs = ((self.ordered[n], states) for n, states in needed.items())
        return [(node, states) for node, states in pairs if isinstance(node, Leaf)]

    def _settled(
        self, wanted: Sequence[tuple[Node, State]]
    ) -> tuple["Division", dict[int, set[State]]]:
        """The division where what is asked for both split and whole is had split."""
        key = tuple((self.place[id(node)], state) for node, state in wanted)
        if key not in self._known:
            self._known[key] = self._settle(wanted)
        return self._known[key]

    def _settle(
        self, wanted: Sequence[tuple[Node, State]]
    ) -> tuple["Division", dict[int, set[State]]]:
        needed = self._needed(wanted)
        both = {
            n: max(states, key=lambda state: -1 if state is None else state)
            for n, states in needed.items()
            if len(states) > 1 and None in states and self.ordered[n].operands
        }
        if both.keys() <= self.split.keys():
            return self, needed
        split = {**both, **self.split}
        again = self._again.get(frozenset(split.items()))
        if again is None:
            again = Division(self.roots, self.held, self.devices, split)
            self._again[frozenset(split.items())] = again
        return again._settled(wanted)

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
    ways = list(ways_of(node, devices))
    direct = {way.state: way for way in ways if not way.partial}
    partial = [way for way in ways if way.partial]
    if isinstance(node, Step):
        return _table_of_step(node, below, direct, partial, states, split)
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
        sliced = _Recipe(whole.way, (*whole.kinds, "slice"))
        recipes[state] = _Recipe(direct[state]) if state in direct else sliced
    return _Table(recipes, lies)


def _table_of_step(
    node: Step,
    below: Sequence[_Table],
    direct: Mapping[State, Way],
    partial: Sequence[Way],
    states: Sequence[int],
    split: State,
) -> _Table:
    """The recipes of a step of the function itself, as XLA's partitioner has them.

    Where an operand lies split along a summed index and the others do not, it is gathered if it is
    smaller than the result; else the sums are added up. Where an entrywise step is needed whole,
    its operands are gathered, not what comes of them.
    """
    summed = next((way for way in partial if _agrees(way, below)), None)
    if summed is None:
        summed = next((way for way in partial if _lean(way, below)), None)
        if summed is not None and _bytes_lying(node, below, summed) < node.nbytes:
            summed = None
    if split in direct and split is not None:
        kept: Way | None = direct[split]
    else:
        kept = next((way for way in direct.values() if _lean(way, below)), None)
    whole = _Recipe(direct[None])
    if summed is not None:
        whole, kept = _Recipe(summed, ("all-reduce",)), None
    elif kept is not None and (partial or kept.state == split):
        whole = _Recipe(kept, ("all-gather",))
    recipes: dict[State, _Recipe] = {None: whole}
    for state in states:
        sliced = _Recipe(whole.way, (*whole.kinds, "slice"))
        recipes[state] = _Recipe(direct[state]) if state in direct else sliced
    if kept is not None:
        return _Table(recipes, kept.state)
    free = summed is None and all(table.lies == ANYWHERE for table in below)
    return _Table(recipes, ANYWHERE if free else None)


def _bytes_lying(node: Node, below: Sequence[_Table], way: Way) -> int:
    """The bytes of the operands that lie as a way divides them."""
    trios = zip(node.operands, below, way.operands, strict=True)
    return sum(operand.nbytes for operand, table, state in trios if _lies_so(table, state))


def _lies_so(table: _Table, state: State) -> bool:
    return state is not None and table.lies == state


def _of_leaf(lies: State, state: State) -> _Recipe:
    """How a leaf that lies in one way is had in another."""
    if lies == ANYWHERE:
        return _Recipe(Way(state, (), state))
    found = Way(lies, (), lies)
    if state == lies:
        return _Recipe(found)
    kind = "slice" if lies is None else "all-gather" if state is None else "all-to-all"
    return _Recipe(found, (kind,))


def _agrees(way: Way, below: Sequence[_Table]) -> bool:
    """Whether all operands that a way divides may lie so, and one does."""
    pairs = zip(below, way.operands, strict=True)
    fits = all(table.lies in (state, ANYWHERE) for table, state in pairs if state is not None)
    return fits and _lean(way, below)


def _lean(way: Way, below: Sequence[_Table]) -> bool:
    """Whether an operand lies as a way divides it."""
    pairs = zip(below, way.operands, strict=True)
    return any(_lies_so(table, state) for table, state in pairs)


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


def piece(leaf: Leaf, state: State, devices: int) -> Leaf:
    """What a device has of a leaf that lies so."""
    if state is None:
        return leaf
    shape = _local(leaf.shape, state, devices)
    return Piece(shape, leaf.itemsize, (), leaf.index, leaf.name)


def _local(shape: Shape, state: State, devices: int) -> Shape:
    return tuple(e // devices if n == state else e for n, e in enumerate(shape))


def _part(node: Node, operands: tuple[Node, ...], way: Way, devices: int) -> Node:
    """The node itself on a device's operands."""
    shape = _local(node.shape, way.state, devices)
    if isinstance(node, Leaf):
        return piece(node, way.state, devices)
    if isinstance(node, Write) and way.along is not None:
        groups = axis_digits(node)
        patterns = tuple(
            _lighter_pattern(pattern, digits[way.along], devices)
            for pattern, digits in zip(node.patterns, groups, strict=True)
        )
        return Portion(shape, node.itemsize, operands, patterns, groups)
    changes: dict[str, Any] = {}
    if way.along is not None:
        if isinstance(node, Contract | Step):
            changes["extents"] = _local(node.extents, way.along, devices)
        elif isinstance(node, Apply) and node.operator is not None:
            if is_column(node, way.along):
                changes["columns"] = node.columns // devices
            else:
                changes["operator"] = _lighter(node.operator, devices)
    return replace(node, shape=shape, operands=operands, **changes)


@cache
def _lighter(operator: Operator, devices: int) -> Operator:
    """An operator on a device's share of the batch; one object, so that it is known again."""
    return replace(operator, work=(operator.work[0] // devices, operator.work[1] // devices))


def _lighter_pattern(pattern: Pattern, digits: tuple[int, ...], devices: int) -> Pattern:
    """A device's share of a term, where the first digit of the axis can be divided."""
    if not digits or pattern.extents[digits[0]] % devices:
        return pattern
    return replace(pattern, extents=_local(pattern.extents, digits[0], devices))
