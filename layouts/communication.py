"""What a Jacobian costs on each device of a mesh, and what the devices send each other.

For each way to share it out (by rows, by columns, by the samples of a batch, or along an axis of an
argument that is summed over) the plan's steps are divided as `layouts.dividing` says. This module
imports no JAX: a mesh is a number of devices for each name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from layouts.algebra import tied_axes, write
from layouts.dividing import Division, State, collectives
from layouts.errors import LayoutError
from layouts.graph import Graph
from layouts.nodes import Leaf, Node, Reshape, Write
from layouts.plan.plan import Results, weight
from layouts.program import Cost, cost, schedule
from layouts.show.html import Shown, fragment, table, tag
from layouts.terms import Term

# An axis of an output or of an input: the side, which of its leaves, which axis of it.
Place = tuple[str, int, int]

# Multiplications in the time that a device takes to send a byte: an H100 makes 495·10¹² of them a
# second in bfloat16 and sends 450·10⁹ bytes over NVLink (NVIDIA's data sheet: 989 TFLOPS, 900 GB/s
# both ways).
MULTIPLICATIONS_PER_SENT_BYTE = 1_100

# Mesh axes are settled one after another, and so many of the best ways are followed up.
FOLLOWED_UP = 4

# A table of more ways is cut; `MeshReport.ways` has them all.
MOST_ROWS = 12

FORMULAS = (
    "per device; of n bytes among p devices an all-gather sends (p-1)/p·n, an all-reduce "
    "2(p-1)/p·n, an all-to-all (p-1)/p·n/p"
)


@dataclass(frozen=True, eq=False)
class Wanted:
    """An array of the result of an output by an input.

    Attributes:
        node: the array.
        pair: the vertices of the input and the output.
        places: what each of its axes stands for.
    """

    node: Node
    pair: tuple[int, int]
    places: tuple[frozenset[Place], ...]

    def axis_at(self, place: Place | None, devices: int) -> State:
        """The axis that stands for a place, where the devices divide it."""
        fits = (n for n, places in enumerate(self.places) if place in places)
        return next((n for n in fits if self.node.shape[n] % devices == 0), None)


@dataclass(frozen=True, eq=False)
class Program:
    """A planned Jacobian as what can be shared out.

    Attributes:
        factors: the arrays that the structured result stores.
        arrays: the dense result for each output and input.
        sizes: of each axis of each output and input.
        names: what a table calls it.
        tied: axes of the output that every term ties to one of the input: samples of a batch.
        arguments: leaves that are arguments of the function themselves.
        lies: for each mesh axis, by its name, and each such leaf's index, the axis split over it.
        others: bytes of each argument that is no leaf, and the mesh axes that it is split over.
    """

    factors: tuple[Wanted, ...]
    arrays: tuple[Wanted, ...]
    sizes: Mapping[Place, int]
    names: Mapping[Place, str]
    tied: Mapping[Place, Place]
    arguments: tuple[Leaf, ...]
    lies: Mapping[str, Mapping[int, int]]
    others: tuple[tuple[int, frozenset[str]], ...] = ()

    @property
    def nodes(self) -> list[Node]:
        """All arrays that may be wanted."""
        return [wanted.node for wanted in self.factors + self.arrays]

    def held(self, name: str) -> dict[int, State]:
        """How the arguments lie over a mesh axis: as they say, else whole."""
        lies = self.lies.get(name, {})
        return {leaf.index: lies.get(leaf.index) for leaf in self.arguments}


@dataclass(frozen=True)
class Shared:
    """What one device does, holds and sends where a Jacobian is shared out in one way.

    Attributes:
        splits: for each mesh axis what is split over it.
        cost: of the structured result, on one device.
        sent_bytes: what each device sends, and receives, for it.
        exchanges: each collective's kind and the bytes that it sends.
        result_bytes: what a device has of the structured result.
        dense_bytes: what it would have of the dense one.
        dense_peak_bytes: the most bytes alive while that is written, the arguments all the time.
    """

    splits: tuple[tuple[str, str], ...]
    cost: Cost
    sent_bytes: int
    exchanges: tuple[tuple[str, int], ...]
    result_bytes: int
    dense_bytes: int
    dense_peak_bytes: int

    @property
    def name(self) -> str:
        """What is split, in words."""
        if len(self.splits) == 1:
            return self.splits[0][1]
        return "; ".join(f"{axis}: {what}" for axis, what in self.splits)

    @property
    def weight(self) -> int:
        """Multiplications, bytes moved and bytes sent in one number, as a device weighs them."""
        return weight(self.cost) + MULTIPLICATIONS_PER_SENT_BYTE * self.sent_bytes


@dataclass(frozen=True)
class MeshReport(Shown):
    """What each way to share a Jacobian over a mesh costs.

    Attributes:
        mesh: devices by the name of the mesh axis.
        alone: one device that does everything.
        ways: best first.
    """

    mesh: dict[str, int]
    alone: Shared
    ways: tuple[Shared, ...]

    @property
    def best(self) -> Shared:
        """The way that takes a device least: its multiplications, bytes moved and bytes sent."""
        return self.ways[0]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table's cells, its head first, then one device, then the best ways."""
        head = ("split", "multiplications", "peak bytes", "result bytes", "dense bytes", "sent")
        return [head, *map(_cells, (self.alone, *self.ways[:MOST_ROWS]))]

    def html(self) -> str:
        """The table as HTML."""
        head, *rows = self.rows
        shown = table(head, rows, numbers=range(1, len(head)))
        notes = [tag("p", note, class_="muted") for note in (self._heading, FORMULAS)]
        return fragment(notes[0], shown, notes[1])

    def __str__(self) -> str:
        """The table, the way that is best, and the formulas."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = [self._heading] + [
            f"{name:<{widths[0]}}"
            + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True))
            for name, *cells in self.rows
        ]
        if len(self.ways) > MOST_ROWS:
            lines.append(f"… and {len(self.ways) - MOST_ROWS} ways more")
        return "\n".join([*lines, f"best: {self.best.name}", f"({FORMULAS})"])

    @property
    def _heading(self) -> str:
        return "mesh " + ", ".join(f"{name}={size}" for name, size in self.mesh.items())


def _cells(way: Shared) -> tuple[str, ...]:
    counts = (
        way.cost.multiplications,
        way.cost.peak_bytes,
        way.result_bytes,
        way.dense_bytes,
        way.sent_bytes,
    )
    return (way.name, *(f"{count:,}" for count in counts))


def program_of(
    graph: Graph,
    results: Results,
    itemsizes: Sequence[int],
    names: Sequence[str],
    arguments: Mapping[str, tuple[int, Mapping[str, int]]],
) -> Program:
    """What can be shared out of a planned Jacobian.

    Args:
        graph: the local Jacobians.
        results: the terms of each output by each input.
        itemsizes: bytes per entry of each input.
        names: how tables call the inputs.
        arguments: the bytes of each argument by its name, and for each mesh axis that splits it
            which of its axes.
    """
    factors, arrays = [], []
    sizes: dict[Place, int] = {}
    tied: dict[Place, set[Place]] = {}
    for pair, terms in results.items():
        source, target = pair
        t, s = graph.outputs.index(target), graph.inputs.index(source)
        places: list[Place] = [("out", t, a) for a in range(len(graph.shapes[target]))]
        places += [("in", s, a) for a in range(len(graph.shapes[source]))]
        shape = graph.shapes[target] + graph.shapes[source]
        sizes.update(zip(places, shape, strict=True))
        factors += [wanted for term in terms for wanted in _factors_of(term, pair, places)]
        node = _without_copy(write(terms, shape, itemsizes[s]))
        arrays.append(Wanted(node, pair, tuple(frozenset([place]) for place in places)))
        for a, b in tied_axes(terms).items() if terms else ():
            tied.setdefault(("out", t, a), set()).add(("in", s, b))
    several = len(graph.outputs) > 1
    called = {
        place: f"output{f'[{place[1]}]' if several else ''} axis {place[2]}"
        if place[0] == "out"
        else f"{names[place[1]]} axis {place[2]}"
        for place in sizes
    }
    leaves = tuple(leaf for leaf in graph.leaves if leaf.name in arguments)
    lies: dict[str, dict[int, int]] = {}
    for leaf in leaves:
        for axis, place in arguments[leaf.name or ""][1].items():
            lies.setdefault(axis, {})[leaf.index] = place
    known = {leaf.name for leaf in leaves}
    others = tuple((n, frozenset(at)) for name, (n, at) in arguments.items() if name not in known)
    batches = {out: into.pop() for out, into in tied.items() if len(into) == 1}
    return Program(tuple(factors), tuple(arrays), sizes, called, batches, leaves, lies, others)


def _without_copy(node: Node) -> Node:
    """A dense array that is one factor as it stands is that factor, which a compiler sees too."""
    if not isinstance(node, Write) or len(node.patterns) != 1:
        return node
    (pattern,) = node.patterns
    alone = pattern.value == pattern.digits and pattern.coefficient == 1 and not pattern.masks
    return Reshape(node.shape, node.itemsize, node.operands) if alone else node


def _factors_of(term: Term, pair: tuple[int, int], places: Sequence[Place]) -> list[Wanted]:
    """The term's arrays; an axis stands for the places whose first digit it is."""
    first: dict[Any, set[Place]] = {}
    for place, axis in zip(places, term.out + term.into, strict=True):
        if axis:
            first.setdefault(axis[0], set()).add(place)
    return [
        Wanted(factor.node, pair, tuple(frozenset(first.get(label, ())) for label in factor.labels))
        for factor in term.factors
    ]


def over_mesh(program: Program, mesh: Mapping[str, int]) -> MeshReport:
    """Share a Jacobian out over a mesh in every way that its axes allow.

    Args:
        program: the planned Jacobian.
        mesh: devices by the name of the mesh axis.

    Raises:
        LayoutError: a size that is no positive number, or a mesh axis that divides nothing.
    """
    _check(mesh)
    alone = _counted(program, ())
    found = [(alone, program)]
    for name, devices in mesh.items():
        found = [pair for kept in found for pair in _split_over(*kept, name, devices)]
        if not found:
            raise _indivisible(program, name, devices)
        found.sort(key=lambda pair: (pair[0].weight, pair[0].cost.peak_bytes))
        if name != list(mesh)[-1]:
            found = found[:FOLLOWED_UP]
    single = replace(alone, splits=(("", "one device"),))
    return MeshReport(dict(mesh), single, tuple(way for way, _ in found))


def _check(mesh: Mapping[str, int]) -> None:
    if not mesh or not all(isinstance(n, int) and n >= 1 for n in mesh.values()):
        raise LayoutError(
            "mesh", "a number of devices for each name", repr(dict(mesh)), "mesh={'rows': 8}"
        )


def _indivisible(program: Program, name: str, devices: int) -> LayoutError:
    axes = ", ".join(f"{called}: {program.sizes[place]}" for place, called in program.names.items())
    return LayoutError(
        f"mesh axis {name!r}",
        f"a size that divides an axis of the Jacobian ({axes or 'it has none'})",
        f"{devices}",
        "take a mesh of another size, or pad the function's arguments",
    )


def _split_over(
    before: Shared, program: Program, name: str, devices: int
) -> list[tuple[Shared, Program]]:
    """Every way to split a program, or a device's part of one, over one more mesh axis."""
    held = program.held(name)
    division = Division(program.nodes, held, devices)
    found = []
    for what, place in _results(program, devices):
        found.append(_divided(before, program, division, (name, what), place))
    if any(axis is not None for axis in held.values()):
        found.append(_divided(before, program, division, (name, "arguments as they lie"), None))
        return found
    for leaf in program.arguments:
        for axis, extent in enumerate(leaf.shape):
            if extent % devices == 0:
                summed = Division(program.nodes, {**held, leaf.index: axis}, devices)
                what = f"summed ({leaf.name} axis {axis})"
                way, part = _divided(before, program, summed, (name, what), None)
                if {kind for kind, _ in way.exchanges} == {"all-reduce"}:
                    found.append((way, part))
    return found


def _results(program: Program, devices: int) -> list[tuple[str, Place]]:
    """The axes of the result that devices can divide; samples of a batch stand on both sides."""
    partners = set(program.tied.values())
    found = []
    for place, extent in program.sizes.items():
        if extent % devices or place in partners:
            continue
        kind = {"out": "rows", "in": "columns"}[place[0]]
        name = program.names[place]
        if place in program.tied:
            kind, name = "batch", f"{name} = {program.names[program.tied[place]]}"
        found.append((f"{kind} ({name})", place))
    return found


def _divided(
    before: Shared,
    program: Program,
    division: Division,
    split: tuple[str, str],
    place: Place | None,
) -> tuple[Shared, Program]:
    """What one device does, and its part as a program that can be divided further."""
    wanted = program.factors + program.arrays
    nodes = division.parts([(one.node, one.axis_at(place, division.devices)) for one in wanted])
    parts = [replace(one, node=node) for one, node in zip(wanted, nodes, strict=True)]
    count = len(program.factors)
    shorter = () if place is None else (place, program.tied.get(place))
    sizes = {
        p: extent // division.devices if p in shorter else extent
        for p, extent in program.sizes.items()
    }
    part = replace(
        program,
        factors=tuple(parts[:count]),
        arrays=tuple(parts[count:]),
        sizes=sizes,
        others=tuple(
            (nbytes // division.devices if split[0] in at else nbytes, at)
            for nbytes, at in program.others
        ),
    )
    return _counted(part, (*before.splits, split)), part


def _counted(part: Program, splits: tuple[tuple[str, str], ...]) -> Shared:
    """What one device does, holds and sends for its part."""
    factors = [wanted.node for wanted in part.factors]
    arrays = [wanted.node for wanted in part.arrays]
    named = {leaf.index for leaf in part.arguments}
    kept: list[Node] = [n for n in schedule(arrays)[0] if isinstance(n, Leaf) and n.index in named]
    exchanged = tuple((node.kind, node.sent_bytes) for node in collectives(factors))
    return Shared(
        splits,
        cost(factors),
        sum(sent for _, sent in exchanged),
        exchanged,
        sum({(one.pair, id(one.node)): one.node.nbytes for one in part.factors}.values()),
        sum(node.nbytes for node in arrays),
        cost(arrays + kept).peak_bytes + sum(nbytes for nbytes, _ in part.others),
    )
