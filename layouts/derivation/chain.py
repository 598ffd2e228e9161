"""The chain rule over a program: letters for its axes, and products of local derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from itertools import product as every
from math import prod

from layouts.derivation.partials import IN, OUT, Axes, Letters, Local, itself, local
from layouts.derivation.vertices import Program, Vertex
from layouts.formulas.evaluating import shapes_of
from layouts.formulas.indexing import indexed
from layouts.formulas.summands import Summand, combined
from layouts.formulas.tree import Derivative, Letter, Name

# With more ways to the output, more summands or more vertices, a derivative is written vertex by
# vertex and not multiplied out.
MOST_PATHS = 6
MOST_SUMMANDS = 16
MOST_VERTICES = 9


class Chain:
    """The derivative of a program by one of its inputs, in index notation.

    Args:
        program: the function.
        source: the input that it is differentiated by.
    """

    def __init__(self, program: Program, source: Vertex):
        """Give letters to the axes of every vertex."""
        self.program, self.source, self.out = program, source, program.output
        self.names = [vertex.name for vertex in program.vertices]
        self.loss = program.loss
        self.letters = Letters(self.names)
        self.axes = {
            self.out.name: self.letters.fresh(self.out.shape, OUT),
            source.name: self.letters.fresh(source.shape, IN),
        }
        self.short = len(self._made()) <= MOST_VERTICES
        for vertex in reversed(self._made() if self.short else []):
            self.axes.setdefault(vertex.name, self.letters.fresh(vertex.shape))
        self.known = dict(program.structs)
        self.shape_of = shapes_of(self.known)
        self.locals: dict[tuple[str, str], Local] = {}

    def gradient(self) -> tuple[Summand, ...] | None:
        """The gradient in index notation, multiplied out; None where that would be too long."""
        paths = self.program.paths(self.source.name, MOST_PATHS) if self.short else None
        if paths is None or self._count(paths) > MOST_SUMMANDS:
            return None
        summands = [s for path in paths for s in self._put_in(path, self._start())]
        return combined([summand.settled() for summand in summands])

    def last_step(self) -> tuple[Summand, ...]:
        """The gradient by those of what the input leads to directly, in index notation."""
        found = []
        for child in self._made():
            if self.source.name in child.parents:
                own = self._axes(child)
                scalar = child is self.out and not self.out.shape
                start = () if scalar else (indexed(self._gradient(child), own),)
                for summand in self._written(child.name, self.source.name):
                    found.append(Summand(factors=start).times(summand).over(letters_of(own)))
        return combined([summand.settled() for summand in found])

    @property
    def head(self) -> tuple[Derivative, list[Letter | None]]:
        """What the gradient is called, and the letters of its axes."""
        return self._gradient(self.source), self._axes(self.source)

    def _count(self, paths: Sequence[tuple[str, ...]]) -> int:
        """How many summands the paths' products have."""
        return sum(prod(len(self._written(*edge)) for edge in pairwise(path)) for path in paths)

    def _made(self) -> list[Vertex]:
        return [vertex for vertex in self.program.vertices if vertex.formula is not None]

    def _gradient(self, vertex: Vertex) -> Derivative:
        return Derivative(Name(self.loss), Name(vertex.name))

    def dot(self, vertex: Vertex) -> str:
        """What a vertex's tangent is called."""
        return self.program.tangent(vertex.name)

    def _axes(self, vertex: Vertex) -> list[Letter | None]:
        if vertex.name not in self.axes:
            self.axes[vertex.name] = self.letters.fresh(vertex.shape)
        return self.axes[vertex.name]

    def _spare(self) -> Letters:
        """Letters for what is summed within one formula."""
        return Letters([*self.letters.taken])

    def _local(self, child: Vertex, parent: Vertex) -> Local:
        if (child.name, parent.name) not in self.locals:
            found = local(child, parent, self.program.vertices, self.shape_of)
            self.locals[child.name, parent.name] = found
        return self.locals[child.name, parent.name]

    def _written(
        self, child: str, parent: str, spare: Letters | None = None
    ) -> tuple[Summand, ...]:
        """A local derivative with the letters of both vertices."""
        one, other = self.program.vertex(child), self.program.vertex(parent)
        out, into = self._axes(one), self._axes(other)
        return self._local(one, other).write(out, into, spare or self._spare())

    def _start(self) -> Summand:
        """The cotangent's entry, where there is one."""
        if not self.out.shape:
            return Summand()
        return Summand(factors=(indexed(self._gradient(self.out), self._axes(self.out)),))

    def _along(self, path: Sequence[str], start: Summand) -> Summand:
        """A path's product of derivatives as they are called."""
        summand = start
        for edge in pairwise(path):
            child, parent = (self.program.vertex(name) for name in edge)
            derivative = itself(child, parent, self._axes(child), self._axes(parent))
            summand = summand.times(Summand(factors=(derivative,)))
        return summand.over(self._between(path, start))

    def _put_in(self, path: Sequence[str], start: Summand) -> list[Summand]:
        """A path's product of local derivatives, multiplied out."""
        spare, found = self._spare(), []
        for chosen in every(*(self._written(*edge, spare) for edge in pairwise(path))):
            summand = start
            for factor in chosen:
                summand = summand.times(factor)
            found.append(summand.over(self._between(path, start)))
        return found

    def _between(self, path: Sequence[str], start: Summand) -> list[Letter]:
        """The letters of the vertices in between, and the output's where a cotangent meets it."""
        inner = path[:-1] if start.factors else path[1:-1]
        return [n for name in inner for n in letters_of(self._axes(self.program.vertex(name)))]


def letters_of(letters: Axes) -> list[Letter]:
    """The letters of axes, those of size one left out."""
    return [letter for letter in letters if letter is not None]
