"""Entries where an output axis and an input axis are at one place: diagonals and blocks.

Pure functions on terms: labels and symbolic arrays, no numbers. The entries `B[n,a,b] = J[n,a,n,b]`
are those of the same terms with the labels of two axes made one. A delta between the two goes away,
a factor that carries both is read along its diagonal; the dense Jacobian is never written.
"""

from collections.abc import Sequence
from dataclasses import replace

from layouts import algebra
from layouts.axes import Axis, Label, Unifier, labels_of
from layouts.nodes import Add, Identity, Leaf, Node, Take
from layouts.products import contract, contract_node, written_order
from layouts.selection import Selection, looked_up
from layouts.terms import Factor, Term, Terms, one_hot, resolve


def tied(
    terms: Terms, pairs: Sequence[tuple[int, int]], leaves: int
) -> tuple[Terms, tuple[Node, ...]]:
    """The entries of a sum of terms where paired axes are at the same place.

    Args:
        terms: of a Jacobian.
        pairs: for each pair an output axis and an input axis of the same size.
        leaves: how many arrays the terms refer to.

    Returns:
        Terms without output axes, whose input axes are the pairs, the other output axes, the other
        input axes; and the tables that they need the fixed points of. The leaf numbered
        `leaves + n` stands for ones where table n lists a place at that place, zeros elsewhere.

    Example:
        >>> terms = algebra.identity((5, 3))
        >>> (blocks,), _ = tied(terms, [(0, 0)], 0)
        >>> [[label.size for label in axis] for axis in blocks.into]
        [[5], [3], [3]]
        >>> blocks.into[1] == blocks.into[2]  # the identity again, in every block
        True
    """
    tables: list[Node] = []
    met = (_without_loops(_met(term, pairs), tables, leaves) for term in terms)
    return algebra.combine(term for term in met if term is not None), tuple(tables)


def _met(term: Term, pairs: Sequence[tuple[int, int]]) -> Term:
    """A term whose paired axes have become one, all its axes on the input side."""
    meet = Unifier()
    for one, other in pairs:
        if not meet.unify(term.out[one], term.into[other]):
            return _met(_recoded(term, other, term.out[one]), pairs)
    term = resolve(term, meet)
    first = {one for one, _ in pairs}
    second = {other for _, other in pairs}
    entries = (
        *(term.out[one] for one, _ in pairs),
        *(axis for n, axis in enumerate(term.out) if n not in first),
        *(axis for n, axis in enumerate(term.into) if n not in second),
    )
    return replace(term, out=(), into=entries, factors=tuple(map(_diagonal, term.factors)))


def _recoded(term: Term, axis: int, like: Axis) -> Term:
    """The term with one input axis in the digits of another, that it shares none with."""
    axes = tuple(
        tuple(Label(label.size) for label in (like if n == axis else digits))
        for n, digits in enumerate(term.into)
    )
    return algebra.compose_terms(term, Term(axes, axes))


def _diagonal(factor: Factor) -> Factor:
    """A factor without the entries where axes of one label differ."""
    labels = tuple(dict.fromkeys(factor.labels))
    if len(labels) == len(factor.labels):
        return factor
    return Factor(contract_node((factor,), labels), labels)


def is_tied(terms: Terms, pair: tuple[int, int]) -> bool:
    """Whether every term has a delta along the whole of an output axis and an input axis.

    Example:
        >>> is_tied(algebra.identity((5, 3)), (0, 0))
        True
    """
    out, into = pair
    return all(term.out[out] == term.into[into] for term in terms)


def _without_loops(term: Term, tables: list[Node], leaves: int) -> Term | None:
    """Write selections that tie a label to itself as factors; None where they leave nothing."""
    factors, selections = list(term.factors), []
    for s in term.selections:
        if s.place not in s.labels:
            selections.append(_once_each(s))
        elif s.others:
            factors.append(_diagonal(one_hot(s)))
        elif s.table is not None:
            if s.table not in tables:
                tables.append(s.table)
            index = leaves + tables.index(s.table)
            factors.append(Factor(Leaf((s.label.size,), 1, (), index), (s.label,)))
        else:
            first, last = _fixed_points(s)
            if first >= last:
                return None
            if last - first < s.label.size:
                factors.append(_ones_within(s.label, (first, last)))
    # What those alone tied, or what only points, is summed.
    hidden = dict.fromkeys(n for f in factors for n in f.labels if n not in labels_of(term.into))
    kept = {n for s in selections for n in s.labels if n.size > 1} | {*labels_of(term.into)}
    results = contract(factors, kept, written_order((), term.into, hidden))
    return replace(term, factors=results, selections=tuple(selections))


def _once_each(selection: Selection) -> Selection:
    """A selection that depends on each label once: where two have become one, its diagonal."""
    labels = tuple(dict.fromkeys(selection.labels))
    if selection.table is None or len(labels) == len(selection.labels):
        return selection
    table = _diagonal(Factor(selection.table, selection.labels)).node
    return looked_up(selection.place, labels, table)


def _fixed_points(selection: Selection) -> tuple[int, int]:
    """The window of the labels that are at their own place: `label = start + step·label`."""
    first, last = selection.window
    if selection.step == 1:
        return (first, last) if selection.start == 0 else (0, 0)
    point, rest = divmod(selection.start, 1 - selection.step)
    return (point, point + 1) if rest == 0 and first <= point < last else (0, 0)


def _ones_within(label: Label, window: tuple[int, int]) -> Factor:
    """Ones at the labels of a window, zeros elsewhere."""
    ones = Add((label.size,), 4, (Identity((), 4),), ((),), (1,))
    return Factor(Take((label.size,), 4, (ones,), 0, 0, 1, window), (label,))
