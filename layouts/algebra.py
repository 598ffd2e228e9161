"""Pure functions on sums of terms: compose, add, transpose, and write out densely.

They work on labels and symbolic arrays alone (see `layouts.nodes`): no numbers, no JAX.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from layouts.axes import Axis, Label, Unifier, fresh_axes, labels_of, size, sizes
from layouts.composing import compose_terms
from layouts.following import placed, read_by_label
from layouts.nodes import Add, Apply, Identity, Map, Mask, Node, Pattern, RealPart, Reshape, Write
from layouts.products import matrix_of, one_way, product
from layouts.selection import Selection
from layouts.terms import (
    Factor,
    Term,
    Terms,
    afresh,
    relabel,
    resolve,
    stored_size,
)

# So many terms stay as they are; more become one where they store more than their entries, and
# many more however little they store.
FEW_TERMS, MOST_TERMS = 6, 32

# Rounds in which two terms are split until their digits agree.
MOST_ROUNDS = 8

# Like terms whose sum would store more than they do apart stay apart, but no more than this many,
# so that the number of terms stays bounded however deep the function is.
MOST_LIKE_TERMS = 4


def identity(shape: Sequence[int]) -> Terms:
    """The Jacobian of the identity: a delta for every axis."""
    axes = fresh_axes(shape)
    return (Term(axes, axes),)


def entry(shape: Sequence[int], place: int, axis: int = 0) -> Terms:
    """The Jacobian of `x[place]`, along the first axis or another."""
    into = fresh_axes(shape)
    pointing = tuple(Selection.affine(label, Label(1), place) for label in into[axis])
    return (Term(into[:axis] + into[axis + 1 :], into, (), 1, pointing),)


def transpose(terms: Terms) -> Terms:
    """Swap output and input: the same entries, read from the other side."""
    return tuple(term.transposed for term in terms)


def real_part(terms: Terms) -> Terms:
    """The real part of each term, its factors multiplied into one."""
    found = []
    for term in terms:
        value = product(term)
        if value is None:
            found.append(replace(term, coefficient=complex(term.coefficient).real))
            continue
        scaled = add_factors([value], [term.coefficient]) if term.coefficient != 1 else value
        node = RealPart(scaled.node.shape, scaled.node.itemsize // 2, (scaled.node,))
        found.append(replace(term, factors=(Factor(node, scaled.labels),), coefficient=1))
    return combine(found)


def scale(terms: Terms, number: complex) -> Terms:
    """Multiply by a number known while planning."""
    return tuple(replace(term, coefficient=term.coefficient * number) for term in terms)


def compose(left: Terms, right: Terms) -> Terms:
    """The chain rule: `left` after `right`, the sum over the axes where they meet.

    Two deltas give a delta, a delta and a factor a relabelled factor, two factors a contraction.
    The product is distributed over the terms, and like terms are combined. An operator
    that no matrix does for is applied to the other side as a whole.
    """
    if _has_no_matrix(left):
        left, right = one_way(left, "push"), as_one(right, {})
    elif _has_no_matrix(right):
        left, right = as_one(left, {}), one_way(right, "pull")
    return combine([compose_terms(a, b) for a in left for b in right])


def _has_no_matrix(terms: Terms) -> bool:
    matrices = (matrix_of(factor.node) for term in terms for factor in term.factors)
    return any(m.operator.no_matrix for m in matrices if m is not None and m.operator is not None)


def combine(terms: Iterable[Term]) -> Terms:
    """Add like terms: those of one matching become one, unless their sum would store more."""
    terms = tuple(term for term in terms if term.coefficient != 0)
    if len(terms) < 2:
        return terms
    distinct = _Distinct()
    for term in terms:
        distinct.add(term)
    return tuple(term for term in distinct.terms if term is not None)


class _Distinct:
    """Terms, those of one matching found by it; a term that came to nothing leaves a None."""

    def __init__(self) -> None:
        self.terms: list[Term | None] = []
        self.alike: dict[tuple, list[int]] = {}
        self.without_selections: dict[tuple, list[int]] = {}

    def add(self, term: Term) -> None:
        """Add a term to one like it, or else to the list."""
        for count, (place, one, other) in enumerate(self._like(term), 1):
            if not _grows(one, other) or count == MOST_LIKE_TERMS:
                total = add_like(one, other)
                self._put(place, total if total.coefficient != 0 else None)
                return
        self.terms.append(None)
        self._put(len(self.terms) - 1, term)

    def _put(self, place: int, term: Term | None) -> None:
        self.terms[place] = term
        if term is not None:
            places = self.alike.setdefault(term.pattern, [])
            places += [place] * (place not in places)
            if not term.selections:
                places = self.without_selections.setdefault(_digits(term), [])
                places += [place] * (place not in places)

    def _like(self, term: Term) -> Iterator[tuple[int, Term, Term]]:
        """The terms of one matching with this one, both in the same labels."""
        pattern = term.pattern
        for place in list(self.alike.get(pattern, ())):
            one = self.terms[place]
            if one is not None and one.pattern == pattern:
                yield place, one, relabel(term, dict(zip(term.labels, one.labels, strict=True)))
        if term.selections:
            return
        for digits, places in list(self.without_selections.items()):
            if digits == _digits(term):
                continue
            for place in list(places):
                one = self.terms[place]
                refined = None if one is None else _refine(one, term)
                if refined is not None and refined[0].pattern == refined[1].pattern:
                    one, other = refined
                    names = dict(zip(other.labels, one.labels, strict=True))
                    yield place, one, relabel(other, names)


def _refine(one: Term, other: Term) -> tuple[Term, Term] | None:
    """Split both terms' labels until their axes have the same digits; None if they have none.

    Splitting a delta's label splits it on both sides, which may ask for another round.
    """
    if one.selections or other.selections:
        return None
    for _ in range(MOST_ROUNDS):
        if _digits(one) == _digits(other):
            return one, other
        target: list[Axis] = []
        for a, b in zip(one.out + one.into, other.out + other.into, strict=True):
            common = Unifier()
            left, right = fresh_axes(sizes(a)), fresh_axes(sizes(b))
            if not common.unify(labels_of(left), labels_of(right)):
                return None
            target.append(common.resolve(labels_of(left)))
        one, other = _split(one, target), _split(other, target)
    return None


def _digits(term: Term) -> tuple:
    return tuple(sizes(axis) for axis in term.out + term.into)


def _split(term: Term, target: Sequence[Axis]) -> Term:
    """Write a term's axes in digits of the target's sizes."""
    meet = Unifier()
    for axis, digits in zip(term.out + term.into, target, strict=True):
        meet.unify(axis, tuple(Label(digit.size) for digit in digits))
    return resolve(term, meet)


def _grows(one: Term, other: Term) -> bool:
    """Whether the sum of two terms in the same labels stores more than both do apart."""
    union = {label for factor in one.factors + other.factors for label in factor.labels}
    return size(union) > stored_size(one.factors) + stored_size(other.factors) + 1


def add_like(one: Term, other: Term) -> Term:
    """Add two terms that are written in the same labels."""
    if one.factors == other.factors:
        return replace(one, coefficient=one.coefficient + other.coefficient)
    values = [product(one), product(other)]
    present = [value for value in values if value is not None]
    coefficients = (one.coefficient, other.coefficient)
    factor = _one_application(present, coefficients)
    if factor is None:
        factor = add_factors([value or Factor(_one(), ()) for value in values], coefficients)
    return replace(one, factors=(factor,), coefficient=1)


def add_factors(operands: Sequence[Factor], coefficients: Sequence[complex]) -> Factor:
    """Add factors times numbers, each broadcast along the labels that it lacks.

    The sum lies as its largest operand does, so that only smaller ones are transposed.
    """
    largest_first = sorted(operands, key=lambda operand: -operand.node.size)
    labels = tuple(dict.fromkeys(label for operand in largest_first for label in operand.labels))
    place = {label: n for n, label in enumerate(labels)}
    node = Add(
        sizes(labels),
        max(operand.node.itemsize for operand in operands),
        tuple(operand.node for operand in operands),
        tuple(tuple(place[label] for label in operand.labels) for operand in operands),
        tuple(coefficients),
    )
    return Factor(node, labels)


def _one_application(factors: Sequence[Factor], coefficients: Sequence[complex]) -> Factor | None:
    """`c A(x) + d A(y) = A(c x + d y)`: an operator is applied to a sum once.

    Its operands may differ: what it makes of each alone adds up to what it makes of both.
    """
    if len(factors) < 2 or factors[0].labels != factors[1].labels:
        return None
    a, b = (factor.node for factor in factors)
    if not isinstance(a, Apply) or not isinstance(b, Apply):
        return None
    if (a.operator, a.direction, a.position) != (b.operator, b.direction, b.position):
        return None
    parts: dict[int, list[tuple[Node, complex]]] = {}
    for node, coefficient in zip((a, b), coefficients, strict=True):
        for place, operand in zip(node.present, node.operands, strict=True):
            parts.setdefault(place, []).append((operand, coefficient))
    present = tuple(sorted(parts))
    operands = tuple(_sum_of(parts[place]) for place in present)
    return Factor(replace(a, operands=operands, present=present), factors[0].labels)


def _sum_of(parts: Sequence[tuple[Node, complex]]) -> Node:
    """A sum of arrays times numbers, in the digits of the first: all lie alike."""
    if [coefficient for _, coefficient in parts] == [1]:
        return parts[0][0]
    shape = parts[0][0].shape
    labels = labels_of(fresh_axes(shape))
    nodes = (
        node if node.shape == shape else Reshape(shape, node.itemsize, (node,)) for node, _ in parts
    )
    factors = [Factor(node, labels) for node in nodes]
    return add_factors(factors, [coefficient for _, coefficient in parts]).node


def _one() -> Node:
    """The number one, as an array of no axes."""
    return Identity((), 4)


def write(terms: Terms, shape: Sequence[int], itemsize: int) -> Node:
    """The dense array of shape out + in."""
    if any(extent == 0 for extent in shape):
        terms = ()
    operands, patterns = [], []
    for term in map(read_by_label, map(placed, terms)):
        value = product(term)
        number = {label: n for n, label in enumerate(term.labels)}
        operands += [] if value is None else [value.node]
        operands += [s.table for s in term.selections if s.table is not None]
        patterns.append(
            Pattern(
                tuple(number[label] for label in labels_of(term.out) + labels_of(term.into)),
                sizes(term.labels),
                None if value is None else tuple(number[label] for label in value.labels),
                term.coefficient,
                tuple(
                    Mask(
                        number[s.place],
                        tuple(number[label] for label in s.labels),
                        s.start,
                        s.step,
                        s.window,
                        s.table is not None,
                    )
                    for s in term.selections
                ),
            )
        )
    return Write(tuple(shape), itemsize, tuple(operands), tuple(patterns))


def bounded(terms: Terms) -> Terms:
    """The terms, or one of them all where that is less: structure must not outgrow its entries.

    Axes that every term ties stay tied, so that the samples of a batch stay apart.
    """
    if len(terms) <= FEW_TERMS:
        return terms
    tied = tied_axes(terms)
    out, into = _extents(terms)
    entries = prod(out) * prod(n for place, n in enumerate(into) if place not in tied.values())
    stored = sum(stored_size(term.factors) + 1 for term in terms)
    if len(terms) <= MOST_TERMS and stored <= entries:
        return terms
    return as_one(terms, tied)


def _extents(terms: Terms) -> tuple[list[int], list[int]]:
    """The sizes of the output axes and of the input axes."""
    out, into = ([size(axis) for axis in side] for side in (terms[0].out, terms[0].into))
    return out, into


def as_one(terms: Terms, tied: Mapping[int, int]) -> Terms:
    """All terms as one array; with a delta on each tied output and input axis, else dense."""
    out, into = _extents(terms)
    rest = [place for place in range(len(into)) if place not in tied.values()]
    shape = (*out, *(into[place] for place in rest))
    itemsize = max((f.node.itemsize for term in terms for f in term.factors), default=4)
    blocks = tuple(replace(t, into=tuple(t.into[place] for place in rest)) for t in terms)
    (term,) = dense(write(blocks, shape, itemsize), out, [into[place] for place in rest])
    axes = iter(term.into)
    partner = {place: term.out[target] for target, place in tied.items()}
    whole = (partner[n] if n in partner else next(axes) for n in range(len(into)))
    return (replace(term, into=tuple(whole)),)


def expanded(term: Term, dense: bool = False) -> Terms:
    """A term whose one operator is left unapplied, with the operator's own terms for its matrix.

    Args:
        term: any term.
        dense: whether it is to be written densely: then numbers are put at their places, but the
            matrix is written sooner than a sum of arrays.
    """
    operators = [(f, f.node.operator) for f in term.factors if isinstance(f.node, Map)]
    if len(operators) != 1:
        return (term,)
    ((matrix, operator),) = operators
    hidden = not {*term.hidden}.isdisjoint(matrix.labels)  # its sum is still to be taken
    if operator is None or operator.entries is None or hidden:
        return (term,)
    if dense and any(factor.labels for entry in operator.entries for factor in entry.factors):
        return (term,)
    found = []
    for entry in map(afresh, operator.entries):
        names = dict(zip(labels_of(entry.out + entry.into), matrix.labels, strict=True))
        entry = relabel(entry, {label: names.get(label, label) for label in entry.labels})
        rest = tuple(factor for factor in term.factors if factor is not matrix)
        found.append(
            replace(
                term,
                factors=rest + entry.factors,
                coefficient=term.coefficient * entry.coefficient,
                selections=term.selections + entry.selections,
            )
        )
    return tuple(found)


def tied_axes(terms: Terms) -> dict[int, int]:
    """The axes on which every term has a plain delta: output axis → input axis."""
    pairs = [
        {
            (n, m)
            for n, out in enumerate(term.out)
            for m, into in enumerate(term.into)
            if len(out) == 1 and out == into
        }
        for term in terms
    ]
    return dict(set.intersection(*pairs)) if pairs else {}


def dense(node: Node, out_shape: Sequence[int], in_shape: Sequence[int]) -> Terms:
    """The Jacobian whose entries are a node of shape out + in, without structure."""
    squeezed = tuple(extent for extent in node.shape if extent != 1)
    if prod(node.shape) == 0:
        return ()
    out, into = fresh_axes(out_shape), fresh_axes(in_shape)
    if squeezed != node.shape:
        node = Reshape(squeezed, node.itemsize, (node,))
    return (Term(out, into, (Factor(node, labels_of(out) + labels_of(into)),)),)
