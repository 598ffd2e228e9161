"""Writes a derivation: one program, differentiated by one of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod

import jax.numpy as jnp

from layouts.conventions import Convention, Layout
from layouts.conventions.cells import Form
from layouts.derivation.chain import MOST_PATHS, MOST_SUMMANDS, MOST_VERTICES, letters_of
from layouts.derivation.partials import Axes, Letters, itself
from layouts.derivation.recording import Record
from layouts.derivation.tracing import MOST_STEPS
from layouts.derivation.truth import Truth
from layouts.derivation.vertices import Vertex
from layouts.formulas.indexing import index_form, indexed
from layouts.formulas.kronecker import kronecker_form
from layouts.formulas.matrices import matrix_form
from layouts.formulas.summands import Summand, combined, written
from layouts.formulas.tree import (
    Call,
    Delta,
    Derivative,
    Equation,
    Formula,
    Name,
    Number,
    Transpose,
)
from layouts.nodes import Shape
from layouts.show.text import text

# Of more intermediates that a gradient comes through the first and the last are told.
MOST_TOLD = 6


class Writing(Record):
    """Writes the steps one after another; arguments as for a `Record`."""

    def write(self) -> None:
        """Put down all steps in order."""
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

    def _forward(self) -> None:
        for vertex in self._made():
            assert vertex.formula is not None
            name = Name(vertex.name)
            true = None if vertex.opaque else partial(Truth.value, name=vertex.name)
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

    def _partial(self, child: Vertex, parent: Vertex) -> None:
        """One local derivative."""
        found, (out, into) = self._local(child, parent), (self._axes(child), self._axes(parent))
        if not found.closed:
            self.notes.append(f"∂{child.name}/∂{parent.name} has no formula and stands for itself.")
            if isinstance(child.formula, Call) and child.formula.function == "scan":
                self.notes.append(f"A loop of more than {MOST_STEPS} steps is not written out.")
            return
        summands = found.write(out, into, self._spare())
        equation = Equation((itself(child, parent, out, into), written(summands)))
        true = partial(Truth.local, child=child.name, parent=parent.name)
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
                f"∂{self.loss}/∂{vertex.name} has no form with matrices alone: its indices stand."
            )
            return
        equation = Equation((self._gradient(vertex), form))
        true = partial(Truth.gradient, name=vertex.name)
        left = ", ".join(sorted({n.text for summand in summands for n in summand.summed}))
        reason = f"the sum over {left} is a product" if left else "with matrices"
        self._say("matrix", equation, reason, vertex.shape, true)

    def _jacobian(self, paths: Sequence[tuple[str, ...]]) -> list[Summand]:
        summands = [s for path in paths for s in self._put_in(path, Summand())]
        summands = list(combined([summand.settled() for summand in summands]))
        if self.out.shape:
            out, into = self._axes(self.out), self._axes(self.source)
            left = itself(self.out, self.source, out, into)
            if written(summands) == left:
                return summands
            equation = Equation((left, written(summands)))
            true = partial(Truth.whole, source=self.source.name)
            shape = self.out.shape + self.source.shape
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
                several = max(len(out), len(into)) > 2
                why = "an array has over two axes" if several else "a factor ties axes together"
                self.notes.append(f"There is no Kronecker form: {why}.")
                return
            sides = [_vec(vertex, vec) for vertex in (self.out, self.source)]
            true = partial(Truth.stacked, source=self.source.name, vec=vec)
            shape = prod(self.out.shape), prod(self.source.shape)
            reason = f"stacked by {vec}" + (": vec(Aᵀ)" if vec == "rows" else ": vec(A)")
            self._say("kronecker", Equation((Derivative(*sides), form)), reason, shape, true)

    def _rules(self, summands: Sequence[Summand], jacobian: Sequence[Summand]) -> None:
        """The pull-back of a cotangent and the push-forward of a tangent."""
        pulled = matrix_form(summands, self._axes(self.source), self.shape_of)
        if self.out.shape and pulled is not None:
            short: dict[Formula, Formula] = {self._gradient(self.out): Name(f"d{self.out.name}")}
            own = Name(f"d{self.source.name}")
            left = self._gradient(self.source) if own.text in self.names else own
            equation = Equation((left, pulled.replaced(short)))
            true = partial(Truth.gradient, name=self.source.name)
            reason = "the VJP: pulls a cotangent back"
            self._say("vjp", equation, reason, self.source.shape, true)
        out, into = self._axes(self.out), self._axes(self.source)
        tangent, pushed = (
            indexed(Name(self.dot(self.source)), into),
            Name(self.dot(self.out)),
        )
        acting = Summand(factors=(tangent,))
        sums = [s.times(acting).over(letters_of(into)).settled() for s in jacobian]
        form = matrix_form(sums, out, self.shape_of)
        whole, right = (indexed(pushed, out), written(sums)) if form is None else (pushed, form)
        sides = (whole, Call("real", (right,)) if self._loses_imaginary_part else right)
        letters = out if form is None else ()
        reason = "the JVP: pushes a tangent forward"
        true = partial(Truth.pushed, source=self.source.name)
        self._say("jvp", Equation(sides), reason, self.out.shape, true, letters)

    @property
    def _loses_imaginary_part(self) -> bool:
        """Whether a real output changes with the real part alone of what a complex input adds."""
        complex_in = jnp.issubdtype(self.source.dtype, jnp.complexfloating)
        return bool(complex_in and not jnp.issubdtype(self.out.dtype, jnp.complexfloating))

    def _layouts(self, jacobian: Sequence[Summand]) -> None:
        """The same entries in each layout."""
        out, into = self._axes(self.out), self._axes(self.source)
        # What has no formula is not said to be itself.
        itself_of = Derivative(Name(self.out.name), Name(self.source.name))
        for layout in Layout:
            convention = Convention(layout)
            form = convention.form(self.out.shape, self.source.shape)
            found = _in_form(form, jacobian, out, into, self.shape_of)
            if found is None or _untransposed(found) == itself_of:
                continue
            shape = convention.shape(self.out.shape, self.source.shape)
            stacked = form in (Form.MATRIX, Form.MATRIX_TRANSPOSED)
            stacked = stacked and max(len(out), len(into)) > 1
            sides = [
                _vec(v, convention.vec or "rows") if stacked else Name(v.name)
                for v in (self.out, self.source)
            ]
            reason = f"{layout} layout, {'×'.join(map(str, shape)) or 'a scalar'}"
            true = partial(Truth.arranged, source=self.source.name, convention=convention)
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
                [*self.names, *(n.text for a in self.axes.values() for n in letters_of(a))]
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
                summands.append(start.times(found).over(letters_of(own)).settled())
        summands = list(combined(summands))
        form = matrix_form(summands, axes, self.shape_of)
        gradient, kind = self._gradient(vertex), "result" if vertex is self.source else "backward"
        true = partial(Truth.gradient, name=vertex.name)
        called = [child.name for child in children]
        called = [*called[:2], "…", called[-1]] if len(called) > MOST_TOLD else called
        reason = f"through {', '.join(called)}"
        if form is None or vertex is self.source:
            equation = Equation((indexed(gradient, axes), written(summands)))
            self._say(kind, equation, reason, vertex.shape, true, axes)
        if form is not None:
            kind = "matrix" if vertex is self.source else kind
            self._say(kind, Equation((gradient, form)), reason, vertex.shape, true)


def _vec(vertex: Vertex, vec: str) -> Formula:
    """`vec(W)` stacks columns, `vec(Wᵀ)` rows; a vector is stacked as it is."""
    name = Name(vertex.name)
    if len(vertex.shape) < 2:
        return name
    return Call("vec", (Transpose(name) if vec == "rows" else name,))


def _untransposed(formula: Formula) -> Formula:
    return formula.of if isinstance(formula, Transpose) else formula


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
