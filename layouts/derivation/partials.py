"""Local derivatives in index notation: the engine's terms as deltas and entries with letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import jax
import jax.numpy as jnp

from layouts.axes import Axis, Label
from layouts.derivation.spreading import spread
from layouts.derivation.tracing import place_name
from layouts.derivation.vertices import Vertex
from layouts.formulas.indexing import index_form, indexed
from layouts.formulas.summands import Summand, combined
from layouts.formulas.tree import (
    Call,
    Delta,
    Derivative,
    Digits,
    Entry,
    Formula,
    Identity,
    Letter,
    Name,
    Number,
    Product,
    Sigma,
    Sum,
    Transpose,
    View,
)
from layouts.naming.residuals import Named, familiar, linearize_named
from layouts.naming.symbols import Symbol, Symbolic, in_pieces, symbolic
from layouts.naming.written import open_parts, written
from layouts.nodes import Shape
from layouts.plan import choose
from layouts.products import settle
from layouts.selection import Selection
from layouts.show.values import Value

Axes = Sequence[Letter | None]

# For the output's axes, the input's, and what is summed over.
OUT = "ijpqab"
IN = "klrscd"
INNER = "mnuvwefghtxyz"


class Letters:
    """Gives letters that stand for nothing else."""

    def __init__(self, taken: Sequence[str] = ()):
        self.taken = {*taken}

    def fresh(self, sizes: Sequence[int], alphabet: str = INNER) -> list[Letter | None]:
        """A letter for each axis, None for one of size one."""
        return [self._next(size, alphabet) if size != 1 else None for size in sizes]

    def one(self, size: int) -> Letter:
        """A new letter of a size."""
        return self._next(size, INNER)

    def _next(self, size: int, alphabet: str) -> Letter:
        spare: Iterator[str] = chain(alphabet, (f"{alphabet[0]}{n}" for n in count(1)))
        text = next(letter for letter in spare if letter not in self.taken)
        self.taken.add(text)
        return Letter(text, size)


@dataclass(frozen=True)
class Local:
    """The derivative of one vertex by another that it is directly made of.

    Attributes:
        child: the vertex differentiated.
        parent: the one differentiated by.
        write: its summands, given the letters of both sides and what gives new ones.
        closed: whether it is written by arrays that have formulas; else it stands for itself.
    """

    child: Vertex
    parent: Vertex
    write: Callable[[Axes, Axes, Letters], tuple[Summand, ...]]
    closed: bool = True


def local(
    child: Vertex,
    parent: Vertex,
    vertices: Sequence[Vertex],
    shape_of: Callable[[Formula], Shape],
) -> Local:
    """Differentiate a vertex by one of its parents.

    Args:
        child: the vertex.
        parent: one of its parents.
        vertices: all of the program, whose names the derivative is written with.
        shape_of: the shape of an array formula of these names.
    """
    assert child.compute is not None
    if not jnp.issubdtype(child.dtype, jnp.inexact):  # truth values and integers do not move
        return Local(child, parent, lambda out, into, letters: ())
    shapes = {v.name: jax.ShapeDtypeStruct(v.shape, v.dtype) for v in vertices}
    place = child.parents.index(parent.name)
    args = [shapes[name] for name in child.parents]
    named = linearize_named(child.compute, place, args, indexed=True)
    (found,) = choose(named.linearized.graph)[1].values()
    pieces = [p for term in map(settle, found) for whole in in_pieces(term) for p in spread(whole)]
    terms = [part for piece in pieces for part in symbolic(named, piece)]
    known = familiar(named.values, child.dtype)  # of all that the terms are made of
    writer = _Writer(named, known, child, vertices, shape_of)
    if not all(map(writer.writable, terms)):
        return Local(child, parent, _as_itself(child, parent), closed=False)

    def write(out: Axes, into: Axes, letters: Letters) -> tuple[Summand, ...]:
        found = [writer.summands(term, out, into, letters) for term in terms]
        return combined([summand for summands in found for summand in summands])

    return Local(child, parent, write)


def itself(child: Vertex, parent: Vertex, out: Axes, into: Axes) -> Derivative:
    """`∂D[i,j]/∂W[k,l]`."""
    return Derivative(indexed(Name(child.name), out), indexed(Name(parent.name), into))


def _as_itself(child: Vertex, parent: Vertex) -> Callable[[Axes, Axes, Letters], tuple]:
    return lambda out, into, _: (Summand(factors=(itself(child, parent, out, into),)),)


@dataclass(frozen=True)
class _Writer:
    """Writes terms whose factors are expressions."""

    named: Named
    known: Mapping[Value, Value]
    child: Vertex
    vertices: Sequence[Vertex]
    shape_of: Callable[[Formula], Shape]

    def writable(self, term: Symbolic) -> bool:
        """Whether every array has a formula."""
        values = [symbol.value for symbol in term.factors]
        for selection in term.selections:
            if selection.table is not None:
                values += self.named.of([selection.table])
        return not open_parts(values, known=self.known)

    def summands(self, term: Symbolic, out: Axes, into: Axes, letters: Letters) -> list[Summand]:
        """One term, the letters of its axes given; several where a factor is a sum."""
        letter: dict[Label, Letter] = {}
        summed: list[Letter] = []
        deltas: list[Delta] = []

        def fresh(label: Label) -> Letter:
            (new,) = letters.fresh([label.size])
            letter[label] = new or Letter("", 1)
            summed.append(letter[label])
            return letter[label]

        for axes, given in ((term.out, out), (term.into, into)):
            for axis, own in zip(axes, given, strict=True):
                if own is not None and len(axis) == 1 and axis[0] not in letter:
                    letter[axis[0]] = own
                elif own is not None and axis:
                    digits = _index(axis, letter, fresh)
                    deltas.append(Delta(digits, own) if given is into else Delta(own, digits))
        for selection in term.selections:
            deltas += self._deltas(selection, letter, fresh, letters, summed)
        found = [Summand(term.coefficient)]
        for symbol in term.factors:
            parts = self._entry(symbol, letter, fresh, letters)
            found = [before.times(part) for before in found for part in parts]
        start = Summand(1, tuple(summed), tuple(deltas))
        return [start.times(product).settled() for product in found]

    def _deltas(
        self,
        selection: Selection,
        letter: dict[Label, Letter],
        fresh: Callable,
        letters: Letters,
        summed: list[Letter],
    ) -> list[Delta]:
        """What ties letters; where only a window of them is tied, a letter runs over the window."""
        labels = [letter.get(n) or fresh(n) for n in selection.labels if n.size > 1]
        place = letter.get(selection.place) or fresh(selection.place)
        start, step, (first, last) = selection.start, selection.step, selection.window
        if selection.table is not None:
            (value,) = self.named.of([selection.table])
            table = self._formula(value)
            return [Delta(index_form(table, labels, self.shape_of, Letters().one), place)]
        natural = Selection.affine(selection.place, selection.label, start, step)
        if selection.window == natural.window or not labels:
            return [Delta(_affine(start, step, labels), place)]
        inside: list[Letter] = []
        if last - first > 1:
            inside = [letters.one(last - first)]
            summed += inside
        ties = ((first, 1, labels[0]), (start + step * first, step, place))
        return [Delta(_affine(begin, by, inside), end) for begin, by, end in ties]

    def _entry(
        self, symbol: Symbol, letter: dict[Label, Letter], fresh: Callable, letters: Letters
    ) -> list[Summand]:
        """An array's entry; a product of matrices as its sum, `x[:, None] - y` as two."""
        axes = [None if n is None else letter.get(n) or fresh(n) for n in symbol.axes]
        formula = self._formula(symbol.value)
        match formula:  # an identity matrix, its axes parted: δ[(i,j),(k,l)] is δ[i,k] δ[j,l]
            case Call("reshape", (Identity(),), (("shape", tuple() as shape),)):
                half = len(shape) // 2
                if shape[:half] == shape[half:] and len(axes) == len(shape):
                    ends = zip(axes[:half], axes[half:], strict=True)
                    return [Summand(deltas=tuple(Delta(a, b) for a, b in ends if a and b))]
        if _is_window(formula) and len(axes) == len(symbol.value.shape):
            return [Summand(factors=(index_form(formula, axes, self.shape_of, letters.one),))]
        if isinstance(formula, Sum) and 2 < len(axes) == len(symbol.value.shape):
            found = index_form(formula, axes, self.shape_of, letters.one)
            if isinstance(found, Sum) and all(isinstance(t, Entry) for t in found.terms):
                pairs = zip(found.coefficients, found.terms, strict=True)
                return [Summand(c, factors=(entry,)) for c, entry in pairs]
        if isinstance(formula, Product | Transpose) and len(axes) == len(symbol.value.shape):
            found = index_form(formula, axes, self.shape_of, letters.one)
            summed, body = _parted(found)
            factors = body.factors if isinstance(body, Product) else (body,)
            if all(isinstance(factor, Entry) for factor in factors):
                return [Summand(1, summed, (), factors)]
        return [Summand(factors=(indexed(formula, axes),))]

    def _formula(self, value: Value) -> Formula:
        formula = written(value, known=self.known, steps=True)
        parents: dict[Any, Formula] = {
            Name(place_name(n)): Name(p) for n, p in enumerate(self.child.parents)
        }
        # A scalar output is not written by itself: `x / L` says less than `x / ‖x‖`.
        defined = {
            v.formula: Name(v.name)
            for v in self.vertices
            if v.formula is not None and not v.opaque and (v.shape or v is not self.vertices[-1])
        }
        return formula.replaced(parents).replaced(defined)


def _is_window(formula: Formula) -> bool:
    """Whether it reads an array at places that are worked out, not looked up."""
    match formula:
        case Call("take", (array, table), _):
            return isinstance(table, Sum) or _is_window(array)
        case View(of) | Transpose(of) | Call("transpose" | "pad" | "broadcast_to", (of,), _):
            return _is_window(of)
    return False


def _parted(formula: Formula) -> tuple[tuple[Letter, ...], Formula]:
    return (formula.letters, formula.body) if isinstance(formula, Sigma) else ((), formula)


def _index(axis: Axis, letter: Mapping[Label, Letter], fresh: Callable) -> Formula:
    digits = tuple(letter.get(label) or fresh(label) for label in axis)
    return digits[0] if len(digits) == 1 else Digits(digits)


def _affine(start: int, step: int, letters: Sequence[Letter]) -> Formula:
    """`i`, `i + 2`, `6 - i`; a number where there is no letter."""
    if not letters:
        return Number(start)
    if (start, step) == (0, 1):
        return letters[0]
    terms: tuple[tuple[int, Formula], ...] = ((step, letters[0]), (start, Number(1)))
    terms = tuple(term for term in (terms if step > 0 else terms[::-1]) if term[0])
    return Sum(tuple(c for c, _ in terms), tuple(term for _, term in terms))
