"""The one idea: a Jacobian is a sum of terms, a term is deltas times factors.

`dD[i,j]/dW[k,l] = δ[i,k] X[l,j]` is one term. Its output axes are `(i, j)`, its input axes
`(i, l)`: the label that stands on both sides *is* the delta. Its factor is `X` with the labels
`(l, j)`. Labels on one side that no factor carries mean ones: a broadcast, or a sum over the input.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from layouts.axes import Axes, Label, Unifier, labels_of, size, sizes
from layouts.nodes import Indices, Leaf, Node, OneHot, Reshape
from layouts.selection import Selection


@dataclass(frozen=True, slots=True)
class Factor:
    """An array whose axes carry labels."""

    node: Node
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Term:
    """A product of deltas and factors times a number.

    Attributes:
        out: the output axes.
        into: the input axes; a label that is also in `out` is a delta.
        factors: the arrays multiplied, kept apart until an axis is summed.
        selections: deltas with an offset or a table, between the labels above and hidden ones.
        coefficient: a number known while planning, such as the -1 of a subtraction.
    """

    out: Axes
    into: Axes
    factors: tuple[Factor, ...] = ()
    coefficient: complex = 1
    selections: tuple[Selection, ...] = ()

    @property
    def deltas(self) -> tuple[Label, ...]:
        """The labels that an output axis and an input axis share."""
        into = set(labels_of(self.into))
        return tuple(label for label in labels_of(self.out) if label in into)

    @property
    def hidden(self) -> tuple[Label, ...]:
        """The labels on neither side: a sum that is not taken, of entries that tables place."""
        sides = {*labels_of(self.out), *labels_of(self.into)}
        return tuple(label for label in self.labels if label not in sides)

    @property
    def transposed(self) -> "Term":
        """The same entries, read from the other side."""
        return replace(self, out=self.into, into=self.out)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """All labels, each once: out, in, then those on neither side that selections tie."""
        tied = [label for s in self.selections for label in (s.place, *s.labels)]
        return tuple(dict.fromkeys((*labels_of(self.out), *labels_of(self.into), *tied)))

    @cached_property
    def pattern(self) -> tuple:
        """What terms have in common that differ only in their factors.

        Labels are numbered in the order of their first appearance, so that a number on both sides
        is a delta: the sides of `δ[i,k] X[l,j]` are `(((0, 4),), ((1, 5),))` and
        `(((0, 4),), ((2, 3),))`. Behind them stand the selections.
        """
        number = {label: place for place, label in enumerate(self.labels)}
        tied = [
            (number[s.place], tuple([number[label] for label in s.labels]), s.signature)
            for s in self.selections
        ]
        sides = [
            tuple([tuple([(number[label], label.size) for label in axis]) for axis in axes])
            for axes in (self.out, self.into)
        ]
        return *sides, tuple(sorted(tied, key=lambda entry: entry[:2]))

    @cached_property
    def form(self) -> "Form":
        """Everything but the arrays and the number, in numbers for labels."""
        number = {label: place for place, label in enumerate(self.labels)}
        return Form(
            tuple([tuple([number[label] for label in axis]) for axis in self.out]),
            tuple([tuple([number[label] for label in axis]) for axis in self.into]),
            sizes(self.labels),
            tuple([(tuple([number[n] for n in f.labels]), f.node.itemsize) for f in self.factors]),
            tuple(
                [
                    (number[s.place], tuple([number[n] for n in s.labels]), *s.signature)
                    for s in self.selections
                ]
            ),
        )


class Form(NamedTuple):
    """What two terms share that differ in their arrays alone.

    Attributes:
        out: the output axes, in numbers for labels.
        into: the input axes.
        extents: the size of each label.
        factors: the labels of each array, and the bytes of an entry.
        selections: for each the place, the labels, and its signature.
    """

    out: tuple[Indices, ...]
    into: tuple[Indices, ...]
    extents: Indices
    factors: tuple[tuple[Indices, int], ...]
    selections: tuple[tuple, ...]

    def example(self, indices: Indices, leaves: dict[int, Leaf]) -> Term:
        """A term of this form without tables, on leaves of these indices, made if they are not."""
        names = [Label(extent) for extent in self.extents]

        def named(labels: Indices) -> tuple[Label, ...]:
            return tuple([names[n] for n in labels])

        factors = []
        for index, (numbers, itemsize) in zip(indices, self.factors, strict=False):
            labels = named(numbers)
            leaf = leaves.setdefault(index, Leaf(sizes(labels), itemsize, (), index))
            factors.append(Factor(leaf, labels))
        selections = tuple(
            Selection(names[place], names[labels[0]], start, step, window, None, named(labels[1:]))
            for place, labels, start, step, window, _ in self.selections
        )
        out, into = tuple(map(named, self.out)), tuple(map(named, self.into))
        return Term(out, into, tuple(factors), 1, selections)


Terms = tuple[Term, ...]


def check(term: Term) -> None:
    """Raise where a term breaks the invariants that the algebra relies on.

    Raises:
        ValueError: a factor's labels and shape differ, or a factor carries a label that is on
            neither side (a sum that was never taken).
    """
    known = set(term.labels)
    for selection in term.selections:
        if selection.place in term.hidden:
            raise ValueError(f"a selection of {term} has a place that is on neither side")
        if selection.table is not None and selection.table.shape != sizes(selection.labels):
            raise ValueError(f"table of shape {selection.table.shape} for {selection.labels}")
    for factor in term.factors:
        if factor.node.shape != sizes(factor.labels):
            raise ValueError(f"factor of shape {factor.node.shape} labelled {factor.labels}")
        if not known.issuperset(factor.labels):
            raise ValueError(f"a factor of {term} carries a label that is on neither side")


def resolve(term: Term, meet: Unifier) -> Term:
    """Rewrite a term in the digits that a unifier found."""
    if not meet.bound:
        return term
    return Term(
        tuple(map(meet.resolve, term.out)),
        tuple(map(meet.resolve, term.into)),
        tuple(resolve_factor(factor, meet) for factor in term.factors),
        term.coefficient,
        tuple(part for selection in term.selections for part in _resolved(selection, meet)),
    )


def _resolved(selection: Selection, meet: Unifier) -> tuple[Selection, ...]:
    """A selection between the digits of its labels."""
    labels = [meet.resolve((label,)) for label in selection.labels]
    return selection.split(meet.resolve((selection.place,)), labels)


def one_hot(selection: Selection) -> Factor:
    """A selection as a matrix of zeros and ones: places × labels."""
    labels = (selection.place, *selection.labels)
    operands = () if selection.table is None else (selection.table,)
    node = OneHot(sizes(labels), 4, operands, selection.start, selection.step, selection.window)
    return Factor(node, labels)


def stripped(term: Term) -> Term:
    """The term without labels of one value, which only a selection has a use for."""
    if all(label.size != 1 for label in term.labels):
        return term
    tied = {label for s in term.selections for label in (s.place, *s.labels)}
    meet = Unifier()
    meet.bound = {label: () for label in term.labels if label.size == 1 and label not in tied}
    return resolve(term, meet)


def resolve_factor(factor: Factor, meet: Unifier) -> Factor:
    """Rewrite a factor's labels, reshaping its array where one of them split."""
    labels = meet.resolve(factor.labels)
    shape = sizes(labels)
    if shape == factor.node.shape:
        return Factor(factor.node, labels)
    return Factor(Reshape(shape, factor.node.itemsize, (factor.node,)), labels)


def relabel(term: Term, names: dict[Label, Label]) -> Term:
    """Replace labels one for one by others of the same size."""

    def renamed(axes: Axes) -> Axes:
        return tuple([tuple([names[label] for label in axis]) for axis in axes])

    factors = tuple([Factor(f.node, tuple([names[n] for n in f.labels])) for f in term.factors])
    selections = tuple([selection.relabelled(names) for selection in term.selections])
    return Term(renamed(term.out), renamed(term.into), factors, term.coefficient, selections)


def afresh(term: Term) -> Term:
    """The same term with labels of its own."""
    return relabel(term, {label: Label(label.size) for label in term.labels})


def stored_size(factors: Iterable[Factor]) -> int:
    """The number of entries that the factors store together."""
    return sum(size(factor.labels) for factor in factors)
