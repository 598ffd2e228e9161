"""What a Jacobian costs on each device of a mesh, and what the devices send each other.

For each way to share it out (by rows, by columns, by the samples of a batch, or along an axis of an
argument that is summed over) the plan's steps are divided as `layouts.mesh.dividing` says. This
module imports no JAX: a mesh is a number of devices for each name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from layouts.errors import LayoutError
from layouts.fusing import fused_peak_bytes
from layouts.mesh.dividing import Division, piece
from layouts.mesh.exchanges import Collective, collectives, exchanged_among
from layouts.mesh.shareable import Place, Program
from layouts.mesh.ways import State
from layouts.nodes import Leaf, Node
from layouts.plan.plan import weight
from layouts.program import Cost, cost, schedule
from layouts.show.html import Shown, fragment, table, tag

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
    "2(p-1)/p·n, an all-to-all (p-1)/p·n/p; what evaluating the function sends is in it, what it "
    "multiplies is not"
)


@dataclass(frozen=True)
class Shared:
    """What one device does, holds and sends where a Jacobian is shared out in one way.

    Attributes:
        splits: for each mesh axis what is split over it.
        cost: of the structured result, on one device.
        sent_bytes: what each device sends, and receives, for it and to evaluate the function.
        exchanges: each collective's kind and the bytes that it sends.
        evaluating: those among them that evaluating the function needs, up to its residuals.
        result_bytes: what a device has of the structured result.
        dense_bytes: what it would have of the dense one.
        dense_peak_bytes: the most bytes alive while that is written, the arguments all the time;
            what is computed entry by entry in between is not stored.
    """

    splits: tuple[tuple[str, str], ...]
    cost: Cost
    sent_bytes: int
    exchanges: tuple[tuple[str, int], ...]
    evaluating: tuple[tuple[str, int], ...]
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
    def weight(self) -> float:
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
    own = Division(program.nodes, held, devices)
    division = own, _evaluation(program, own, name)
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
                parts = summed.parts([(wanted.node, None) for wanted in program.factors])
                if {node.kind for node in collectives(parts)} == {"all-reduce"}:
                    what = f"summed ({leaf.name} axis {axis})"
                    both = summed, _evaluation(program, summed, name)
                    found.append(_divided(before, program, both, (name, what), None))
    return found


def _evaluation(program: Program, division: Division, name: str) -> Division:
    """Of what the function computes on the way to its residuals."""
    nodes = [node for _, node in program.evaluated]
    return Division(nodes, {**program.given(name), **division.held}, division.devices)


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
    divisions: tuple[Division, Division],
    split: tuple[str, str],
    place: Place | None,
) -> tuple[Shared, Program]:
    """What one device does, and its part as a program that can be divided further."""
    division, evaluation = divisions
    wanted = program.factors + program.arrays
    asked = [(one.node, one.axis_at(place, division.devices)) for one in wanted]
    nodes = division.parts(asked)
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
        evaluated=_evaluated(program, evaluation, division.leaves(asked)),
    )
    return _counted(part, (*before.splits, split)), part


def _evaluated(
    program: Program, evaluation: Division, leaves: Sequence[tuple[Leaf, set[State]]]
) -> tuple[tuple[Leaf, Node], ...]:
    """What a device has of the residuals that are asked for, and how it computes them."""
    states = {leaf.signature: needed for leaf, needed in leaves}
    wanted = [
        (leaf, node, state)
        for leaf, node in program.evaluated
        for state in states.get(leaf.signature, ())
    ]
    parts = evaluation.parts([(node, state) for _, node, state in wanted])
    return tuple(
        (piece(leaf, state, evaluation.devices), part)
        for (leaf, _, state), part in zip(wanted, parts, strict=True)
    )


def _exchanged(part: Program) -> tuple[list[Collective], list[Collective]]:
    """What is exchanged to evaluate the function, and for the structured Jacobian."""
    factors = [wanted.node for wanted in part.factors]
    after, _ = schedule(factors)
    read = {node.signature for node in after if isinstance(node, Leaf)}
    on_the_way = [node for leaf, node in part.evaluated if leaf.signature in read]
    both, _ = schedule([*factors, *on_the_way])
    # An argument that both need elsewhere is sent once, for the Jacobian.
    return exchanged_among(both[len(after) :]), exchanged_among(after)


def _counted(part: Program, splits: tuple[tuple[str, str], ...]) -> Shared:
    """What one device does, holds and sends for its part."""
    factors = [wanted.node for wanted in part.factors]
    arrays = [wanted.node for wanted in part.arrays]
    named = {leaf.index for leaf in part.arguments}
    kept: list[Node] = [n for n in schedule(arrays)[0] if isinstance(n, Leaf) and n.index in named]
    evaluating, exchanged = (
        tuple((node.kind, node.sent_bytes) for node in nodes) for nodes in _exchanged(part)
    )
    return Shared(
        splits,
        cost(factors),
        sum(sent for _, sent in evaluating + exchanged),
        evaluating + exchanged,
        evaluating,
        sum({(one.pair, id(one.node)): one.node.nbytes for one in part.factors}.values()),
        sum(node.nbytes for node in arrays),
        fused_peak_bytes(arrays + kept) + sum(nbytes for nbytes, _ in part.others),
    )
