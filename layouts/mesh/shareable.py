"""A planned Jacobian as what devices can share: its arrays, and what each of their axes stands for.

This module imports no JAX.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any

from layouts.algebra import tied_axes, write
from layouts.graph import Graph
from layouts.mesh.ways import State
from layouts.nodes import Leaf, Node, Reshape, Shape, Write
from layouts.plan.plan import Results
from layouts.terms import Term

# An axis of an output or of an input: the side, which of its leaves, which axis of it.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Argument:
    """An argument of the function.

    Attributes:
        shape: its shape.
        itemsize: bytes per entry.
        lies: for each mesh axis that splits it, which of its axes that is.
    """

    shape: Shape
    itemsize: int
    lies: Mapping[str, int]

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return prod(self.shape) * self.itemsize


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
        inputs: every argument as a leaf of the function's own program.
        evaluated: each other leaf, and how that program computes it.
    """

    factors: tuple[Wanted, ...]
    arrays: tuple[Wanted, ...]
    sizes: Mapping[Place, int]
    names: Mapping[Place, str]
    tied: Mapping[Place, Place]
    arguments: tuple[Leaf, ...]
    lies: Mapping[str, Mapping[int, int]]
    others: tuple[tuple[int, frozenset[str]], ...] = ()
    inputs: tuple[Leaf, ...] = ()
    evaluated: tuple[tuple[Leaf, Node], ...] = ()

    @property
    def nodes(self) -> list[Node]:
        """All arrays that may be wanted."""
        return [wanted.node for wanted in self.factors + self.arrays]

    def held(self, name: str) -> dict[int, State]:
        """How the arguments lie over a mesh axis: as they say, else whole."""
        lies = self.lies.get(name, {})
        return {leaf.index: lies.get(leaf.index) for leaf in self.arguments}

    def given(self, name: str) -> dict[int, State]:
        """The same for all that the function's own program is called with."""
        lies = self.lies.get(name, {})
        return {leaf.index: lies.get(leaf.index) for leaf in self.inputs}


def program_of(
    graph: Graph,
    results: Results,
    itemsizes: Sequence[int],
    names: Sequence[str],
    arguments: Mapping[str, Argument],
    evaluate: Callable[[Sequence[Leaf], int], Sequence[Node]],
) -> Program:
    """What can be shared out of a planned Jacobian.

    Args:
        graph: the local Jacobians.
        results: the terms of each output by each input.
        itemsizes: bytes per entry of each input.
        names: how tables call the inputs.
        arguments: by name.
        evaluate: from a leaf for each argument, and the first number that is free for others, to
            a node for each residual.
    """
    factors, arrays = [], []
    sizes: dict[Place, int] = {}
    tied: dict[Place, set[Place]] = {}
    for pair, terms in results.items():
        source, target = pair
        t, s = graph.outputs.index(target), graph.inputs.index(source)
        shape = graph.shapes[target] + graph.shapes[source]
        out, into = _axes("out", t, graph.shapes[target]), _axes("in", s, graph.shapes[source])
        places = out + into
        sizes.update(zip(places, shape, strict=True))
        factors += [wanted for term in terms for wanted in _factors_of(term, pair, places)]
        node = _without_copy(write(terms, shape, itemsizes[s]))
        arrays.append(Wanted(node, pair, tuple(frozenset([place]) for place in places)))
        for a, b in tied_axes(terms).items():
            tied.setdefault(out[a], set()).add(into[b])
    own = {leaf.name: leaf for leaf in graph.leaves if leaf.name in arguments}
    free = count(1 + max((leaf.index for leaf in graph.leaves), default=0))
    inputs = {
        name: own.get(name) or Leaf(one.shape, one.itemsize, (), next(free), name)
        for name, one in arguments.items()
    }
    evaluated = evaluate(list(inputs.values()), next(free))
    return Program(
        tuple(factors),
        tuple(arrays),
        sizes,
        {place: _called(place, names, len(graph.outputs) > 1) for place in sizes},
        {one: others.pop() for one, others in tied.items() if len(others) == 1},
        tuple(own.values()),
        _lies(inputs, arguments),
        tuple((a.nbytes, frozenset(a.lies)) for name, a in arguments.items() if name not in own),
        tuple(inputs.values()),
        tuple((leaf, evaluated[leaf.index]) for leaf in graph.leaves if leaf.name not in own),
    )


def _axes(side: str, leaf: int, shape: Shape) -> list[Place]:
    """The axes of one output or input."""
    return [(side, leaf, axis) for axis in range(len(shape))]


def _called(place: Place, names: Sequence[str], several: bool) -> str:
    """What a table calls an axis, of the one output or of several."""
    side, leaf, axis = place
    output = f"output[{leaf}]" if several else "output"
    return f"{output if side == 'out' else names[leaf]} axis {axis}"


def _lies(
    inputs: Mapping[str, Leaf], arguments: Mapping[str, Argument]
) -> dict[str, dict[int, int]]:
    """For each mesh axis and each leaf's index, the axis of the leaf that is split over it."""
    found: dict[str, dict[int, int]] = {}
    for name, leaf in inputs.items():
        for axis, place in arguments[name].lies.items():
            found.setdefault(axis, {})[leaf.index] = place
    return found


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
