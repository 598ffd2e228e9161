"""How the arrays of a program are split where its results are: each as its user is.

An array that a result is written from is split the same way along the labels that it shares with
it, so that no device makes the whole. Where two users ask for one array in two ways, as the two
mirrored halves of a Hessian do, it would have to be sent; a large one is rather made in both, from
residuals that are computed twice, each device its own parts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

from jax.sharding import NamedSharding, PartitionSpec

from layouts.mesh.sharding import Sharded, split_of, split_over
from layouts.mesh.turning import Summed, Turns
from layouts.mesh.ways import columns_from
from layouts.nodes import Add, Apply, Contract, Leaf, Node, Operated, RealPart, Reshape, Write
from layouts.program import schedule
from layouts.terms import Term

# An array is made in as many ways at most, if it has so large a share of the results' bytes.
MOST_WAYS = 2
LEAST_SHARE = 1 / 16

Ways = list[list[NamedSharding]]


def by_label(term: Term, sharding: Sharded) -> list[Sharded]:
    """How the arrays of a term are split where its dense array is split so.

    Returns:
        For each factor, then for each table, a sharding; None where it has no label that is split.
    """
    tables: list[Sharded] = [None for s in term.selections if s.table is not None]
    if sharding is None:
        return [None] * len(term.factors) + tables
    number = {label: n for n, label in enumerate(term.labels)}
    axes = [tuple(number[label] for label in axis) for axis in term.out + term.into]
    extents = {number[label]: label.size for label in term.labels}
    named = _by_index(axes, extents, sharding)
    return [
        _picked([number[label] for label in factor.labels], named, sharding)
        for factor in term.factors
    ] + tables


def _by_index(
    axes: Sequence[Sequence[int]], extents: Mapping[int, int], sharding: NamedSharding
) -> dict[int, tuple[str, ...]]:
    """The mesh axes that each index is split over: those of the axis where it comes first."""
    sizes = dict(sharding.mesh.shape)
    named: dict[int, tuple[str, ...]] = {}
    for axis, names in zip(axes, split_of(sharding, len(axes)), strict=True):
        parts = prod(sizes[name] for name in names)
        if names and axis and extents[axis[0]] % parts == 0:
            named.setdefault(axis[0], names)
    return named


def _picked(
    indices: Sequence[int], named: Mapping[int, tuple[str, ...]], sharding: NamedSharding
) -> Sharded:
    split = tuple(named.get(index, ()) for index in indices)
    if not any(split) or len(set(indices)) < len(indices):
        return None
    return split_over(sharding.mesh, split)


def handed_down(node: Node, sharding: Sharded, summed: Summed) -> list[Sharded]:
    """How a node's operands are split where the node is split so; None where that says nothing.

    Args:
        node: the node.
        sharding: how it is split.
        summed: the mesh axes that summed indices of a `Contract` are split over.
    """
    if sharding is None:
        return [None] * len(node.operands)
    if isinstance(node, Write):
        return _of_patterns(node, sharding)
    if isinstance(node, Contract):
        extents = dict(enumerate(node.extents))
        named = _by_index([(index,) for index in node.output], extents, sharding)
        return [_picked(indices, {**named, **summed}, sharding) for indices in node.indices]
    if isinstance(node, Add):
        extents = dict(enumerate(node.shape))
        named = _by_index([(n,) for n in range(len(node.shape))], extents, sharding)
        return [_picked(indices, named, sharding) for indices in node.indices]
    if isinstance(node, RealPart):
        return [sharding]
    if isinstance(node, Apply):
        return _of_columns(node, sharding)
    if isinstance(node, Reshape):
        return [_through_reshape(node, sharding)]
    return [None] * len(node.operands)


def _of_patterns(node: Write, sharding: NamedSharding) -> list[Sharded]:
    found: list[Sharded] = []
    for pattern in node.patterns:
        digits, axes = list(pattern.digits), []
        for extent in node.shape:
            axis: list[int] = []
            while prod(pattern.extents[n] for n in axis) < extent:
                axis.append(digits.pop(0))
            axes.append(axis)
        if pattern.value is not None:
            named = _by_index(axes, dict(enumerate(pattern.extents)), sharding)
            found.append(_picked(pattern.value, named, sharding))
        found += [None for mask in pattern.masks if mask.table]
    return found


def _through_reshape(node: Reshape, sharding: NamedSharding) -> Sharded:
    """Through a reshape: an axis goes with the operand's that starts at the same place."""
    (operand,) = node.operands
    sizes = dict(sharding.mesh.shape)
    starts: dict[int, int] = {}
    for axis, extent in enumerate(operand.shape):
        if extent != 1:
            starts.setdefault(prod(operand.shape[:axis]), axis)
    split: list[tuple[str, ...]] = [()] * len(operand.shape)
    for axis, names in enumerate(split_of(sharding, len(node.shape))):
        parts = prod(sizes[name] for name in names)
        place = starts.get(prod(node.shape[:axis]))
        if names and place is not None and operand.shape[place] % parts == 0:
            split[place] = names
    return split_over(sharding.mesh, split) if any(split) else None


def _by_columns(node: Operated, sharding: NamedSharding) -> NamedSharding:
    """Of an operator's matrix, or of what it is applied to, each device makes some columns.

    However it is asked for: entries of one column are not had apart. Samples of a batch are.
    """
    assert node.operator is not None
    place, split = columns_from(node), split_of(sharding, len(node.shape))
    if place is None or any(names and _is_of_batch(node, n) for n, names in enumerate(split)):
        return sharding
    names = tuple(name for names in split for name in names)
    if node.shape[place] % prod(sharding.mesh.shape[name] for name in names):
        return sharding
    return split_over(sharding.mesh, [names if n == place else () for n in range(len(split))])


def _is_of_batch(node: Operated, axis: int) -> bool:
    assert node.operator is not None
    pulled = isinstance(node, Apply) and node.direction == "pull"
    columns = node.columns if pulled else 1  # type: ignore[attr-defined]
    last = prod(node.shape[: axis + 1])
    return columns < last <= columns * prod(node.operator.batch)


def _of_columns(node: Apply, sharding: NamedSharding) -> list[Sharded]:
    """What an operator is applied to, split as its columns are."""
    place = columns_from(node)
    names = () if place is None else split_of(sharding, len(node.shape))[place]
    if place is None or not names:
        return [None] * len(node.operands)
    rank = len(node.operands[0].shape)
    own = place if node.direction == "pull" else place + rank - len(node.shape)
    split = [names if n == own else () for n in range(rank)]
    return [split_over(sharding.mesh, split)] * len(node.operands)


def constraints(
    nodes: Sequence[Node], shardings: Sequence[Sharded]
) -> dict[int, tuple[NamedSharding, ...]]:
    """For places of the schedule how the array lies: what the first user of it asks for.

    Args:
        nodes: the results.
        shardings: how each is to lie; None to leave it to the compiler.

    Returns:
        One sharding, or two: how the array is made, and how it is turned for its users.
    """
    if not any(shardings):
        return {}
    turns = _turns(nodes, shardings)
    ordered, _, ways = _asked(nodes, shardings, lambda node: False, turns)
    found = {}
    for place, (node, known) in enumerate(zip(ordered, ways, strict=True)):
        asked = known[0] if known else None
        both = dict.fromkeys((turns.made_in(node, asked), asked))
        found[place] = tuple(way for way in both if way is not None)
    return {place: both for place, both in found.items() if both}


def _turns(nodes: Sequence[Node], shardings: Sequence[Sharded]) -> Turns:
    return Turns(nodes, shardings, handed_down)


def made_apart(
    nodes: Sequence[Node], shardings: Sequence[Sharded], count: int
) -> tuple[list[Node], int]:
    """The program with large arrays that are asked for in two ways made in both.

    Args:
        nodes: the results.
        shardings: how each is to lie; None to leave it to the compiler.
        count: how many residuals there are.

    Returns:
        The same results, and how many further copies of the residuals they are computed from:
        residual `n` of the first further copy is leaf `count + n`.
    """
    if not any(shardings):
        return list(nodes), 0
    least = LEAST_SHARE * sum(node.nbytes for node in nodes)
    turns = _turns(nodes, shardings)
    ordered, place, ways = _asked(nodes, shardings, lambda node: _is_made_apart(node, least), turns)
    made: dict[tuple[int, Sharded], Node] = {}
    copies = 0

    def operand(node: Node, asked: Sharded) -> Node:
        number = place[id(node)]
        known = ways[number]
        return made[number, asked if asked in known else known[0] if known else None]

    for number, node in enumerate(ordered):
        for copy, way in enumerate(ways[number] or [None]):
            if isinstance(node, Leaf):
                made[number, way] = replace(node, index=node.index + copy * count)
                copies = max(copies, copy)
            else:
                split = turns.operands(node, turns.made_in(node, way))
                pairs = zip(node.operands, split, strict=True)
                operands = tuple(operand(*pair) for pair in pairs)
                made[number, way] = replace(node, operands=operands)
    return [operand(*pair) for pair in zip(nodes, shardings, strict=True)], copies


def _is_made_apart(node: Node, least: float) -> bool:
    """Whether it costs nothing to make an array in two ways, but for its residuals."""
    each = isinstance(node, Add | RealPart | Reshape) or (
        isinstance(node, Contract) and not node.summed
    )
    return each or (isinstance(node, Leaf) and node.nbytes >= least)


def _asked(
    nodes: Sequence[Node],
    shardings: Sequence[Sharded],
    apart: Callable[[Node], bool],
    turns: Turns,
) -> tuple[list[Node], dict[int, int], Ways]:
    """The schedule, and for each place the ways that users ask for, one unless it is made apart."""
    ordered, place = schedule(nodes)
    ways: Ways = [[] for _ in ordered]

    def ask(wanted: Iterable[tuple[Node, Sharded]]) -> None:
        for node, way in wanted:
            known = ways[place[id(node)]]
            if way is not None and way not in known:
                known.append(way)

    ask(zip(nodes, shardings, strict=True))
    for number, node in reversed(list(enumerate(ordered))):
        known = ways[number]
        whole = [way for way in known if not _splits(way)]
        # Of a leaf that is needed whole each device has its part.
        known[:] = whole if whole and isinstance(node, Leaf) else _parted(known) or known
        del known[MOST_WAYS if apart(node) else 1 :]
        if isinstance(node, Operated):
            ways[number] = [_by_columns(node, way) for way in known]
        wanted: Sequence[Sharded] = ways[number] or [None]
        for way in wanted:
            made = turns.made_in(node, way)
            handed = turns.operands(node, made)
            if made is not None and _gathers_below(node, made):
                gathered = NamedSharding(made.mesh, PartitionSpec())
                handed = [split or gathered for split in handed]
            ask(zip(node.operands, handed, strict=True))
    return ordered, place, ways


def _parted(ways: Sequence[NamedSharding]) -> list[NamedSharding]:
    return list(filter(_splits, ways))


def _splits(way: NamedSharding) -> bool:
    return any(split_of(way, 0))


def _gathers_below(node: Node, made: NamedSharding) -> bool:
    """Whether operands that are not split are to be gathered, if they lie elsewhere.

    Else a compiler may make of parts what is larger, and gather that. So it is for a node that is
    split itself, and for a product that is larger than its operands.
    """
    if isinstance(node, Contract) and any(len(set(n)) < len(n) for n in node.indices):
        return False
    if _splits(made):
        return isinstance(node, Contract | Add | Write)
    larger = node.nbytes > sum(operand.nbytes for operand in node.operands)
    return isinstance(node, Contract) and not node.summed and larger
