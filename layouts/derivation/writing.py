"""Writes a derivation: one program, differentiated by one of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from itertools import product as every
from math import prod

import jax

from layouts.conventions import Convention, Layout
from layouts.conventions.cells import Form
from layouts.derivation.folding import folded
from layouts.derivation.partials import IN, OUT, Letters, Local, itself, local
from layouts.derivation.steps import Derivation, Step
from layouts.derivation.tracing import Program, Vertex
from layouts.derivation.truth import Truth
from layouts.formulas.abbreviating import abbreviated
from layouts.formulas.evaluating import evaluate
from layouts.formulas.indexing import index_form, indexed
from layouts.formulas.kronecker import kronecker_form
from layouts.formulas.matrices import matrix_form
from layouts.formulas.primes import definitions_of
from layouts.formulas.summands import Summand, combined, written
from layouts.formulas.tree import (
    Call,
    Delta,
    Derivative,
    Equation,
    Formula,
    Letter,
    Name,
    Number,
    Transpose,
)
from layouts.nodes import Shape
from layouts.show.text import text

# With more ways to the output, more summands or more vertices, a derivative is written vertex by
# vertex and not multiplied out.
MOST_PATHS = 6
MOST_SUMMANDS = 16
MOST_VERTICES = 9

Axes = Sequence[Letter | None]


class Writing:
    """Writes the steps one after another.

    Args:
        program: the function.
        source: the input that it is differentiated by.
        truth: the true values that the steps are held against.
    """

    def __init__(self, program: Program, source: Vertex, truth: Truth | None = None):
        """Give letters to the axes of every vertex."""
        self.program, self.source, self.out = program, source, program.output
        self.names = [vertex.name for vertex in program.vertices]
        self.loss = next(n for n in ("L", "E", "J", "loss") if n not in self.names)
        self.truth = None if truth is None else truth.of(source, self.loss)
        self.checks: list[tuple] = []
        self.letters = Letters(self.names)
        self.axes = {
            self.out.name: self.letters.fresh(self.out.shape, OUT),
            source.name: self.letters.fresh(source.shape, IN),
        }
        self.short = len(self._made()) <= MOST_VERTICES
        for vertex in reversed(self._made() if self.short else []):
            self.axes.setdefault(vertex.name, self.letters.fresh(vertex.shape))
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.shapes: dict[Formula, Shape] = {}
        self.locals: dict[tuple[str, str], Local] = {}

    def derivation(self) -> Derivation:
        """All steps in order."""
        self._forward()
        paths = self.program.paths(self.source.name, MOST_PATHS) if self.short else None
        if paths is not None and self._differentiate(paths):
            summands = self._chain(paths)
            self._matrix(self.source, summands)
            jacobian = self._jacobian(paths)
            self._stacked(jacobian)
            self._rules(summands, jacobian)
            self._layouts(jacobian)
        else:
            self._backward()
        return self._finished()

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
                    found.append(Summand(factors=start).times(summand).over(_known(own)))
        return combined([summand.settled() for summand in found])

    @property
    def head(self) -> tuple[Derivative, list[Letter | None]]:
        """What the gradient is called, and the letters of its axes."""
        return self._gradient(self.source), self._axes(self.source)

    # The parts of a derivation, in their order.

    def _forward(self) -> None:
        for vertex in self._made():
            assert vertex.formula is not None
            name = Name(vertex.name)
            true = None if vertex.opaque else self.truth and self.truth.values[vertex.name]
            reason = "the output" if vertex is self.out else "an intermediate"
            self._say("forward", Equation((name, vertex.formula)), reason, vertex.shape, true)
            if vertex.opaque:
                self.steps[-1] = replace(self.steps[-1], reason="a function without a formula")
                continue
            axes = self._axes(vertex)
            body = index_form(vertex.formula, axes, self.shape_of, self._spare().one)
            if self.short and vertex.shape and body != indexed(vertex.formula, axes):
                equation = Equation((indexed(name, axes), body))
                self._say("forward", equation, "by its indices", vertex.shape, true, axes)

    def _differentiate(self, paths: Sequence[tuple[str, ...]]) -> bool:
        """The local derivatives along the paths; False if their product has too many summands."""
        edges = {edge for path in paths for edge in pairwise(path)}
        for child in self._made():
            for parent in child.parents:
                if (child.name, parent) in edges:
                    self._local(child, self.program.vertex(parent))
        if self._count(paths) > MOST_SUMMANDS:
            return False
        for child in self._made():
            for parent in child.parents:
                if (child.name, parent) in edges:
                    self._partial(child, self.program.vertex(parent))
        return True

    def _count(self, paths: Sequence[tuple[str, ...]]) -> int:
        """How many summands the paths' products have."""
        return sum(prod(len(self._written(*edge)) for edge in pairwise(path)) for path in paths)

    def _partial(self, child: Vertex, parent: Vertex) -> None:
        """One local derivative."""
        found, (out, into) = self._local(child, parent), (self._axes(child), self._axes(parent))
        if not found.closed:
            self.notes.append(f"∂{child.name}/∂{parent.name} has no formula and stands for itself.")
            return
        summands = found.write(out, into, self._spare())
        equation = Equation((itself(child, parent, out, into), written(summands)))
        true = self.truth and self.truth.local(child, parent)
        shape = child.shape + parent.shape
        self._say("partial", equation, _why(summands), shape, true, [*out, *into])

    def _chain(self, paths: Sequence[tuple[str, ...]]) -> list[Summand]:
        """The gradient in index notation, and how one comes to it."""
        head = indexed(self._gradient(self.source), self._axes(self.source))
        if not paths:
            reason = f"{self.out.name} does not depend on {self.source.name}"
            self._say_gradient("result", head, [], reason)
            return []
        whole = [self._along(path, self._start()) for path in paths]
        if (self.out.shape or len(self._made()) > 1) and not self._ambiguous(paths):
            reason = "the chain rule"
            if len(paths) > 1:
                reason += f", over {len(paths)} paths"
            self._say_gradient("chain", head, whole, reason)
        summands = [s for path in paths for s in self._put_in(path, self._start())]
        reason = "the local derivatives put in"
        if any(summand.applied() for summand in summands):
            self._say_gradient("substitute", head, summands, reason)
            summands, reason = self._apply_deltas(head, summands)
        summands = list(combined([summand.settled() for summand in summands]))
        self._say_gradient("result", head, summands, reason)
        return summands

    def _ambiguous(self, paths: Sequence[tuple[str, ...]]) -> bool:
        """Whether ∂L/∂z would mean two things: by z alone, and along every path from it."""
        if self.out.shape:
            return False
        lasts = {path[1] for path in paths}
        return any(last in path[2:] for last in lasts for path in paths)

    def _apply_deltas(self, head: Formula, summands: list[Summand]) -> tuple[list[Summand], str]:
        """One delta of each summand at a time; the last, with its reason, are the result's."""
        while True:
            applied = [(summand, summand.applied()) for summand in summands]
            reason = ", ".join(dict.fromkeys(_kept(step[0]) for _, step in applied if step))
            summands = [step[1] if step else summand for summand, step in applied]
            if not any(summand.applied() for summand in summands):
                return summands, reason
            self._say_gradient("delta", head, summands, reason)

    def _matrix(self, vertex: Vertex, summands: Sequence[Summand]) -> None:
        form = matrix_form(summands, self._axes(vertex), self.shape_of)
        if form is None:
            self.notes.append(
                f"∂{self._loss}/∂{vertex.name} has no form with matrices alone: its indices stand."
            )
            return
        equation = Equation((self._gradient(vertex), form))
        true = self.truth and self.truth.gradients[vertex.name]
        left = ", ".join(sorted({n.text for summand in summands for n in summand.summed}))
        reason = f"the sum over {left} is a product" if left else "with matrices"
        self._say("matrix", equation, reason, vertex.shape, true)

    def _jacobian(self, paths: Sequence[tuple[str, ...]]) -> list[Summand]:
        summands = [s for path in paths for s in self._put_in(path, Summand())]
        summands = list(combined([summand.settled() for summand in summands]))
        if self.out.shape:
            out, into = self._axes(self.out), self._axes(self.source)
            equation = Equation((itself(self.out, self.source, out, into), written(summands)))
            true, shape = self.truth and self.truth.jacobian, self.out.shape + self.source.shape
            reason = f"output by input, {len(summands)} term{'s' * (len(summands) != 1)}"
            self._say("jacobian", equation, reason, shape, true, [*out, *into])
        return summands

    def _stacked(self, jacobian: Sequence[Summand]) -> None:
        """The Kronecker form in both vec orders."""
        out, into = self._axes(self.out), self._axes(self.source)
        if not self.out.shape or max(len(out), len(into)) < 2:
            return
        for vec in ("rows", "columns"):
            form = kronecker_form(jacobian, out, into, vec, self.shape_of)
            if form is None:
                self.notes.append("There is no Kronecker form: a factor ties axes together.")
                return
            sides = [_vec(vertex, vec) for vertex in (self.out, self.source)]
            true = self.truth and self.truth.stacked(vec)
            shape = prod(self.out.shape), prod(self.source.shape)
            reason = f"stacked by {vec}" + (": vec(Aᵀ)" if vec == "rows" else ": vec(A)")
            self._say("kronecker", Equation((Derivative(*sides), form)), reason, shape, true)

    def _rules(self, summands: Sequence[Summand], jacobian: Sequence[Summand]) -> None:
        """The pull-back of a cotangent and the push-forward of a tangent."""
        pulled = matrix_form(summands, self._axes(self.source), self.shape_of)
        if self.out.shape and pulled is not None:
            known: dict[Formula, Formula] = {self._gradient(self.out): Name(f"d{self.out.name}")}
            equation = Equation((Name(f"d{self.source.name}"), pulled.replaced(known)))
            true = self.truth and self.truth.gradients[self.source.name]
            reason = "the VJP: pulls a cotangent back"
            self._say("vjp", equation, reason, self.source.shape, true)
        out, into = self._axes(self.out), self._axes(self.source)
        tangent, pushed = (
            indexed(Name(f"{self.source.name}_dot"), into),
            Name(f"{self.out.name}_dot"),
        )
        sums = [s.times(Summand(factors=(tangent,))).over(_known(into)).settled() for s in jacobian]
        form = matrix_form(sums, out, self.shape_of)
        sides = (indexed(pushed, out), written(sums)) if form is None else (pushed, form)
        true = self.truth and self.truth.pushed
        letters = out if form is None else ()
        reason = "the JVP: pushes a tangent forward"
        self._say("jvp", Equation(sides), reason, self.out.shape, true, letters)

    def _layouts(self, jacobian: Sequence[Summand]) -> None:
        """The same entries in each layout."""
        out, into = self._axes(self.out), self._axes(self.source)
        for layout in Layout:
            convention = Convention(layout)
            form = convention.form(self.out.shape, self.source.shape)
            found = _in_form(form, jacobian, out, into, self.shape_of)
            if found is None:
                continue
            shape = convention.shape(self.out.shape, self.source.shape)
            stacked = form in (Form.MATRIX, Form.MATRIX_TRANSPOSED)
            stacked = stacked and max(len(out), len(into)) > 1
            sides = [
                _vec(v, convention.vec or "rows") if stacked else Name(v.name)
                for v in (self.out, self.source)
            ]
            reason = f"{layout} layout, {'×'.join(map(str, shape)) or 'a scalar'}"
            true = self.truth and self.truth.arranged(convention)
            self._say("layout", Equation((Derivative(*sides), found)), reason, shape, true)

    def _backward(self) -> None:
        """The gradient by each vertex, made of the gradients by those that it leads to."""
        kept = [n for n, step in enumerate(self.steps) if step.kind == "forward"]
        self.steps = [self.steps[n] for n in kept]
        self.checks = [self.checks[n] for n in kept]
        self.notes.append(
            "Written vertex by vertex: there are more than "
            f"{MOST_VERTICES} intermediates, {MOST_PATHS} paths or {MOST_SUMMANDS} summands."
        )
        source = self.source.name
        for vertex in reversed(self.program.vertices):
            children = [v for v in self._made() if vertex.name in v.parents]
            on_path = vertex is self.source or self.program.leads(source, vertex.name)
            if not on_path or vertex is self.out or not children:
                continue
            self.axes = {k: v for k, v in self.axes.items() if k in (source, self.out.name)}
            self.letters = Letters(
                [*self.names, *(n.text for a in self.axes.values() for n in _known(a))]
            )
            self._backward_to(vertex, children)

    def _backward_to(self, vertex: Vertex, children: Sequence[Vertex]) -> None:
        axes, summands = self._axes(vertex), []
        for child in children:
            own = self._axes(child)
            start = Summand(factors=(indexed(self._gradient(child), own),))
            if child is self.out and not self.out.shape:
                start = Summand()
            for found in self._written(child.name, vertex.name):
                summands.append(start.times(found).over(_known(own)).settled())
        summands = list(combined(summands))
        form = matrix_form(summands, axes, self.shape_of)
        gradient, kind = self._gradient(vertex), "result" if vertex is self.source else "backward"
        true = self.truth and self.truth.gradients[vertex.name]
        reason = f"through {', '.join(child.name for child in children)}"
        if form is None or vertex is self.source:
            equation = Equation((indexed(gradient, axes), written(summands)))
            self._say(kind, equation, reason, vertex.shape, true, axes)
        if form is not None:
            kind = "matrix" if vertex is self.source else kind
            self._say(kind, Equation((gradient, form)), reason, vertex.shape, true)

    # What they are made of.

    @property
    def _loss(self) -> str:
        """A scalar output is the loss itself."""
        return self.loss if self.out.shape else self.out.name

    def _made(self) -> list[Vertex]:
        return [vertex for vertex in self.program.vertices if vertex.formula is not None]

    def _gradient(self, vertex: Vertex) -> Derivative:
        return Derivative(Name(self._loss), Name(vertex.name))

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
        return [n for name in inner for n in _known(self._axes(self.program.vertex(name)))]

    def shape_of(self, formula: Formula) -> Shape:
        """The shape of an array formula; nothing is computed."""
        if formula not in self.shapes:
            known = {v.name: jax.ShapeDtypeStruct(v.shape, v.dtype) for v in self.program.vertices}
            for vertex in self.program.vertices:
                for name in (f"d{self._loss}/d{vertex.name}", f"{vertex.name}_dot"):
                    known[name] = known[vertex.name]
            found = jax.eval_shape(lambda arrays: evaluate(formula, arrays), known)
            self.shapes[formula] = found.shape
        return self.shapes[formula]

    def _say_gradient(
        self, kind: str, head: Formula, summands: Sequence[Summand], reason: str
    ) -> None:
        equation = Equation((head, written(summands)))
        true = self.truth and self.truth.gradients[self.source.name]
        axes = self._axes(self.source)
        self._say(kind, equation, reason, self.source.shape, true, axes)

    def _say(
        self,
        kind: str,
        formula: Equation,
        reason: str,
        shape: Shape,
        true: object = None,
        letters: Axes = (),
    ) -> None:
        if len({*formula.sides}) == 1:  # what has no formula stands for itself
            return
        self.checks.append((formula.sides[-1], true, tuple(letters)))
        self.steps.append(Step(kind, formula, reason, shape))

    def _finished(self) -> Derivation:
        if self.truth is not None:
            checks = self.truth.differences(self.checks)
            pairs = zip(self.steps, checks, strict=True)
            self.steps = [replace(step, check=check) for step, check in pairs]
        later = [step.formula for step in self.steps if step.kind != "forward"]
        formulas, letters = abbreviated(later, self.shape_of, _length, self.letters.taken)
        given, known = iter(formulas), {d.sides[1]: d.sides[0] for d in letters}
        steps = [
            replace(s, formula=s.formula.replaced(known) if s.kind == "forward" else next(given))
            for s in self.steps
        ]
        formulas = [step.formula for step in steps]
        shown, notes = folded(steps)
        return Derivation(
            {v.name: v.shape for v in self.program.vertices if v.formula is None},
            self.source.name,
            self.out.name,
            self.out.shape,
            tuple(shown),
            (*letters, *definitions_of([*formulas, *letters])),
            tuple(dict.fromkeys([*self.notes, *notes])),
        )


def _length(formula: Formula) -> int:
    return len(text(formula))


def _known(letters: Axes) -> list[Letter]:
    return [letter for letter in letters if letter is not None]


def _vec(vertex: Vertex, vec: str) -> Formula:
    """`vec(W)` stacks columns, `vec(Wᵀ)` rows; a vector is stacked as it is."""
    name = Name(vertex.name)
    if len(vertex.shape) < 2:
        return name
    return Call("vec", (Transpose(name) if vec == "rows" else name,))


def _why(summands: Sequence[Summand]) -> str:
    if not summands:
        return "nothing depends on it"
    if len(summands) == 1 and summands[0].deltas:
        equal = [f"{text(d.left)} = {text(d.right)}" for d in summands[0].deltas]
        return f"zero unless {' and '.join(equal)}"
    if any(summand.deltas for summand in summands):
        return "a term with a δ is zero unless its indices are equal"
    return "no δ: every entry counts"


def _kept(delta: Delta) -> str:
    return f"{text(delta)} keeps {text(delta.left)} = {text(delta.right)}"


def _in_form(
    form: Form,
    jacobian: Sequence[Summand],
    out: Axes,
    into: Axes,
    shape_of: Callable[[Formula], Shape],
) -> Formula | None:
    """The Jacobian written in one of the four ways."""
    if not jacobian:
        return Number(0)
    if form in (Form.ARRAY, Form.ARRAY_TRANSPOSED):
        letters = [*out, *into]
        letters = letters[::-1] if form is Form.ARRAY_TRANSPOSED else letters
        return matrix_form(jacobian, letters, shape_of)
    if max(len(out), len(into)) < 2:
        pair = [*(out or [None]), *(into or [None])]
        pair = pair[::-1] if form is Form.MATRIX_TRANSPOSED else pair
        return matrix_form(jacobian, pair, shape_of)
    sides = (into, out) if form is Form.MATRIX_TRANSPOSED else (out, into)
    return kronecker_form(jacobian, *sides, shape_of=shape_of)
