"""The one idea: a Jacobian is a sum of terms, a term is deltas times factors.

`dD[i,j]/dW[k,l] = δ[i,k] X[l,j]` is one term. Its output axes are `(i, j)`, its input axes
`(i, l)`: the label that stands on both sides *is* the delta. Its factor is `X` with the labels
`(l, j)`. Labels on one side that no factor carries mean ones: a broadcast, or a sum over the input.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from layouts.axes import Axes, Label, Unifier, labels_of, size, sizes
from layouts.program import Node, OneHot, Reshape
from layouts.selection import Selection


@dataclass(frozen=True, slots=True)
class Factor:
    """An array whose axes carry labels."""

    node: Node
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A product of deltas and factors times a number.

    Attributes:
        out: the output axes.
        into: the input axes; a label that is also in `out` is a delta.
        factors: the arrays multiplied, kept apart until an axis is summed.
        selections: deltas with an offset, each between two of the labels above.
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
    def labels(self) -> tuple[Label, ...]:
        """All labels, each once: out, in, then those that only a selection points from."""
        tied = (label for s in self.selections for label in (s.place, s.label))
        return tuple(dict.fromkeys((*labels_of(self.out), *labels_of(self.into), *tied)))


Terms = tuple[Term, ...]


def check(term: Term) -> None:
    """Raise where a term breaks the invariants that the algebra relies on.

    Raises:
        ValueError: a factor's labels and shape differ, or a factor carries a label that is on
            neither side (a sum that was never taken).
    """
    known = set(term.labels)
    for selection in term.selections:
        if not known.issuperset((selection.place, selection.label)):
            raise ValueError(f"a selection of {term} ties a label that is on neither side")
    for factor in term.factors:
        if factor.node.shape != sizes(factor.labels):
            raise ValueError(f"factor of shape {factor.node.shape} labelled {factor.labels}")
        if not known.issuperset(factor.labels):
            raise ValueError(f"a factor of {term} carries a label that is on neither side")


def matching(term: Term) -> tuple:
    """The term's pattern: terms with equal patterns differ only in their factors.

    Labels are numbered in the order of their first appearance, so that a number on both sides is a
    delta: `δ[i,k] X[l,j]` has the pattern `(((0, 4),), ((1, 5),)), (((0, 4),), ((2, 3),))`.
    """
    number = {label: place for place, label in enumerate(term.labels)}
    tied = sorted(
        ((number[s.place], number[s.label], s.signature) for s in term.selections),
        key=lambda entry: entry[:2],
    )

    def numbered(axes: Axes) -> tuple:
        return tuple(tuple((number[label], label.size) for label in axis) for axis in axes)

    return numbered(term.out), numbered(term.into), tuple(tied)


def resolve(term: Term, meet: Unifier) -> Term:
    """Rewrite a term in the digits that a unifier found."""
    if not meet.bound:
        return term
    return Term(
        tuple(map(meet.resolve, term.out)),
        tuple(map(meet.resolve, term.into)),
        tuple(resolve_factor(factor, meet) for factor in term.factors),
        term.coefficient,
        tuple(_resolve_selection(selection, meet) for selection in term.selections),
    )


def _resolve_selection(selection: Selection, meet: Unifier) -> Selection:
    """Rename a selection's labels; those that split have become factors before (`untied`)."""
    (place,), (label,) = meet.resolve((selection.place,)), meet.resolve((selection.label,))
    return selection.relabelled({selection.place: place, selection.label: label})


def untied(term: Term, meet: Unifier) -> Term:
    """Turn the selections of labels that split into one-hot factors, which split as arrays do."""
    whole: list[Selection] = []
    split: list[Selection] = []
    for s in term.selections:
        one = all(len(meet.resolve((label,))) == 1 for label in (s.place, s.label))
        (whole if one else split).append(s)
    if not split:
        return term
    factors = term.factors + tuple(map(one_hot, split))
    return replace(term, factors=factors, selections=tuple(whole))


def one_hot(selection: Selection) -> Factor:
    """A selection as a matrix of zeros and ones."""
    labels = (selection.place, selection.label)
    operands = () if selection.table is None else (selection.table,)
    node = OneHot(sizes(labels), 4, operands, selection.start, selection.step, selection.window)
    return Factor(node, labels)


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
        return tuple(tuple(names[label] for label in axis) for axis in axes)

    factors = tuple(Factor(f.node, tuple(names[label] for label in f.labels)) for f in term.factors)
    selections = tuple(selection.relabelled(names) for selection in term.selections)
    return Term(renamed(term.out), renamed(term.into), factors, term.coefficient, selections)


def afresh(term: Term) -> Term:
    """The same term with labels of its own."""
    return relabel(term, {label: Label(label.size) for label in term.labels})


def stored_size(factors: Iterable[Factor]) -> int:
    """The number of entries that the factors store together."""
    return sum(size(factor.labels) for factor in factors)
