"""Pure functions on sums of terms: compose, add, transpose, and write out densely.

They work on labels and symbolic arrays alone (see `layouts.program`): no numbers, no JAX.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from math import prod

import opt_einsum

from layouts.axes import Axes, Axis, Label, Unifier, fresh_axes, labels_of, size, sizes
from layouts.following import follow
from layouts.program import Add, Contract, Identity, Mask, Node, Pattern, Reshape, Write
from layouts.terms import (
    Factor,
    Term,
    Terms,
    afresh,
    matching,
    relabel,
    resolve,
    resolve_factor,
    stored_size,
    untied,
)

# The rank of each label in the order in which results are written.
Order = dict[Label, int]

# Like terms whose sum would store more than they do apart stay apart, but no more than this many,
# so that the number of terms stays bounded however deep the function is.
MOST_LIKE_TERMS = 4

# Every order of multiplying this many factors is tried: 180 for five.
MOST_SEARCHED_FACTORS = 5


def identity(shape: Sequence[int]) -> Terms:
    """The Jacobian of the identity: a delta for every axis."""
    axes = fresh_axes(shape)
    return (Term(axes, axes),)


def transpose(terms: Terms) -> Terms:
    """Swap output and input: the same entries, read from the other side."""
    return tuple(replace(term, out=term.into, into=term.out) for term in terms)


def scale(terms: Terms, number: complex) -> Terms:
    """Multiply by a number known while planning."""
    return tuple(replace(term, coefficient=term.coefficient * number) for term in terms)


def compose(left: Terms, right: Terms) -> Terms:
    """The chain rule: `left` after `right`, the sum over the axes where they meet.

    Two deltas give a delta, a delta and a factor a relabelled factor, two factors a contraction.
    The product is distributed over the terms, and like terms are combined.
    """
    return combine([compose_terms(a, b) for a in left for b in right])


def compose_terms(left: Term, right: Term) -> Term:
    """Compose two terms: unite the labels of the axes between them, sum those left over."""
    right = afresh(right)
    meet = Unifier()
    bridges = [
        _bridge(a, b) for a, b in zip(left.into, right.out, strict=True) if not _meets(meet, a, b)
    ]
    left, right = resolve(untied(left, meet), meet), resolve(untied(right, meet), meet)
    factors = [*left.factors, *right.factors, *(resolve_factor(b, meet) for b in bridges)]
    kept = {*labels_of(left.out), *labels_of(right.into)}
    meeting = dict.fromkeys(labels_of(left.into + right.out))
    middle = [label for label in meeting if label not in kept]
    middle, factors, selections = follow(middle, factors, [*left.selections, *right.selections])
    if any(selection.empty for selection in selections):
        return Term(left.out, right.into, (), 0)
    carried = {label for factor in factors for label in factor.labels}
    middle += [label for label in carried if label not in kept and label not in middle]
    coefficient = left.coefficient * right.coefficient * size({*middle} - carried)
    order = _written_order(left.out, right.into, middle)
    results = contract(factors, kept, order)
    return Term(left.out, right.into, results, coefficient, tuple(selections))


def _written_order(out: Axes, into: Axes, middle: Iterable[Label] = ()) -> Order:
    """Rank labels: the output's, then the input's, then those to be summed."""
    labels = dict.fromkeys((*labels_of(out), *labels_of(into), *middle))
    return {label: rank for rank, label in enumerate(labels)}


def _meets(meet: Unifier, left: Axis, right: Axis) -> bool:
    """Unify two axes, leaving the unifier as it was where they have no common digits."""
    before = dict(meet.bound)
    if meet.unify(left, right):
        return True
    meet.bound = before
    return False


def _bridge(left: Axis, right: Axis) -> Factor:
    """The identity matrix between two ways of numbering one axis that share no digits."""
    labels = left + right
    return Factor(Identity(sizes(labels), 4), labels)


def contract(factors: Iterable[Factor], kept: set[Label], order: Order) -> tuple[Factor, ...]:
    """Sum every label that is not kept; multiply factors of equal labels; leave the rest apart."""
    groups: list[tuple[set[Label], list[Factor]]] = []
    apart: list[Factor] = []
    for factor in factors:
        summed, members = set(factor.labels) - kept, [factor]
        if not summed:
            apart.append(factor)
            continue
        touched = [group for group in groups if not summed.isdisjoint(group[0])]
        groups = [group for group in groups if summed.isdisjoint(group[0])]
        for other, others in touched:
            summed, members = summed | other, others + members
        groups.append((summed, members))
    for factor in apart:
        host = next((members for _, members in groups if _absorbs(members, factor, kept)), None)
        (groups.append((set(), [factor])) if host is None else host.append(factor))
    results = [
        _contract_group(members, kept, order) if summed else members[0]
        for summed, members in groups
    ]
    return merge(results, order)


def _absorbs(members: Sequence[Factor], factor: Factor, kept: set[Label]) -> bool:
    """Whether a contraction's operand takes a factor in for less than its result would."""
    result = kept & {label for member in members for label in member.labels}
    if not result.issuperset(factor.labels):
        return False
    hosts = [size(m.labels) for m in members if {*m.labels} >= {*factor.labels}]
    return min(hosts, default=size(result)) < size(result)


def merge(factors: Iterable[Factor], order: Order) -> tuple[Factor, ...]:
    """Multiply factors that carry the same labels into one: nothing grows."""
    merged: dict[frozenset[Label], Factor] = {}
    for factor in factors:
        key = frozenset(factor.labels)
        other = merged.get(key)
        merged[key] = factor if other is None else multiply(other, factor, set(key), order)
    return tuple(merged.values())


def _contract_group(factors: Sequence[Factor], kept: set[Label], order: Order) -> Factor:
    """Contract factors that summed labels tie together, two at a time, in the cheapest order."""
    remaining = list(_sum_alone(factors, kept))
    for pair in _path(remaining, kept):
        picked = [remaining[n] for n in pair]
        remaining = [f for n, f in enumerate(remaining) if n not in pair]
        needed = kept.union(*(f.labels for f in remaining))
        remaining.append(multiply(picked[0], picked[1], needed, order))
    (result,) = remaining
    return result


def _sum_alone(factors: Sequence[Factor], kept: set[Label]) -> Iterable[Factor]:
    """Sum labels that one factor alone carries, before anything is multiplied."""
    for factor in factors:
        others = kept.union(*(f.labels for f in factors if f is not factor))
        inside = tuple(label for label in factor.labels if label in others)
        if len(inside) == len(factor.labels):
            yield factor
        else:
            yield Factor(_contract_node((factor,), inside), inside)


def _path(factors: Sequence[Factor], kept: set[Label]) -> Sequence[tuple[int, ...]]:
    """The order of pairwise products: exact for few factors, by opt_einsum's greedy for many."""
    if len(factors) <= 2:
        return ((0, 1),)[: len(factors) - 1]
    inputs = [frozenset(factor.labels) for factor in factors]
    if len(inputs) <= MOST_SEARCHED_FACTORS:
        return _cheapest(inputs, frozenset(kept))[1]
    everything = frozenset().union(*inputs)
    extents = {label: label.size for label in everything}
    return opt_einsum.paths.greedy(inputs, everything & kept, extents)


def _cheapest(
    inputs: list[frozenset[Label]], kept: frozenset[Label]
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Try every order; opt_einsum's own exhaustive search misprices products without a sum."""
    if len(inputs) == 1:
        return 0, ()
    found = []
    for i, j in combinations(range(len(inputs)), 2):
        rest = [labels for n, labels in enumerate(inputs) if n not in (i, j)]
        both = inputs[i] | inputs[j]
        price, path = _cheapest([*rest, both & kept.union(*rest)], kept)
        found.append((price + size(both), ((i, j), *path)))
    return min(found)


def multiply(left: Factor, right: Factor, needed: set[Label], order: Order) -> Factor:
    """Multiply two factors and sum the labels that nothing else needs."""
    first, second = sorted((left, right), key=lambda f: [order[label] for label in f.labels])
    labels = _product_labels(first.labels, second.labels, needed, order)
    return Factor(_contract_node((first, second), labels), labels)


def _product_labels(
    first: Sequence[Label], second: Sequence[Label], needed: set[Label], order: Order
) -> tuple[Label, ...]:
    """The labels of a product in the order in which it is computed without transposing.

    A sum gives its shared labels, then those of one side, then those of the other; a factor that
    carries all labels keeps its own; an outer product goes by rank, labels to be summed last.
    """
    both, either = {*first} & {*second}, {*first} | {*second}
    if both - needed:
        shared = [label for label in first if label in both]
        apart = [label for label in (*first, *second) if label not in both]
        return tuple(label for label in (*shared, *apart) if label in needed)
    whole = next((labels for labels in (first, second) if {*labels} == either), None)
    return tuple(whole or sorted(either, key=order.__getitem__))


def _contract_node(factors: Sequence[Factor], output: tuple[Label, ...]) -> Contract:
    """Write a contraction with numbers for labels."""
    number: dict[Label, int] = {}
    indices = tuple(
        tuple(number.setdefault(label, len(number)) for label in factor.labels)
        for factor in factors
    )
    return Contract(
        sizes(output),
        max(factor.node.itemsize for factor in factors),
        tuple(factor.node for factor in factors),
        indices,
        tuple(number[label] for label in output),
        sizes(number),
    )


def product(term: Term) -> Factor | None:
    """Multiply all factors of a term into one, small ones first; None where there are none."""
    order = _written_order(term.out, term.into)
    remaining = sorted(term.factors, key=lambda factor: size(factor.labels))
    while len(remaining) > 1:
        a, b = min(
            combinations(remaining, 2), key=lambda pair: size({*pair[0].labels, *pair[1].labels})
        )
        remaining = [f for f in remaining if f is not a and f is not b]
        remaining.append(multiply(a, b, {*a.labels, *b.labels}, order))
    return remaining[0] if remaining else None


def settle(term: Term) -> Term:
    """Multiply each factor into another that carries its labels too, so that less is stored."""
    order = _written_order(term.out, term.into)
    factors = sorted(term.factors, key=lambda factor: size(factor.labels), reverse=True)
    kept: list[Factor] = []
    while factors:
        factor = factors.pop()
        hosts = [n for n, host in enumerate(factors) if {*factor.labels} <= {*host.labels}]
        if hosts:
            host = factors[hosts[-1]]
            factors[hosts[-1]] = multiply(factor, host, {*host.labels}, order)
        else:
            kept.append(factor)
    return replace(term, factors=tuple(kept))


def combine(terms: Iterable[Term]) -> Terms:
    """Add like terms: those of one matching become one, unless their sum would store more."""
    distinct: list[tuple[tuple, Term]] = []
    for term in terms:
        if term.coefficient == 0:
            continue
        pattern, like = matching(term), 0
        for place, (other_pattern, other) in enumerate(distinct):
            both = _alike(other, other_pattern, term, pattern)
            if both is None:
                continue
            like += 1
            if not _grows(*both) or like == MOST_LIKE_TERMS:
                total = add_like(*both)
                distinct[place : place + 1] = [(matching(total), total)] * (total.coefficient != 0)
                break
        else:
            distinct.append((pattern, term))
    return tuple(term for _, term in distinct)


def _alike(
    one: Term, pattern: tuple, other: Term, other_pattern: tuple
) -> tuple[Term, Term] | None:
    """Both terms in the same labels if they have the same matching, else None."""
    if pattern != other_pattern:
        refined = _refine(one, other)
        if refined is None:
            return None
        one, other = refined
        if matching(one) != matching(other):
            return None
    return one, relabel(other, dict(zip(other.labels, one.labels, strict=True)))


def _refine(one: Term, other: Term) -> tuple[Term, Term] | None:
    """Split both terms' labels until their axes have the same digits; None if they have none.

    Splitting a delta's label splits it on both sides, which may ask for another round.
    """
    if _digits(one) == _digits(other) or one.selections or other.selections:
        return None
    while _digits(one) != _digits(other):
        target: list[Axis] = []
        for a, b in zip(one.out + one.into, other.out + other.into, strict=True):
            common = Unifier()
            left, right = fresh_axes(sizes(a)), fresh_axes(sizes(b))
            if not common.unify(labels_of(left), labels_of(right)):
                return None
            target.append(common.resolve(labels_of(left)))
        one, other = _split(one, target), _split(other, target)
    return one, other


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
    labels = tuple(dict.fromkeys(label for value in present for label in value.labels))
    place = {label: n for n, label in enumerate(labels)}
    operands = [value or Factor(_one(), ()) for value in values]
    node = Add(
        sizes(labels),
        max(operand.node.itemsize for operand in operands),
        tuple(operand.node for operand in operands),
        tuple(tuple(place[label] for label in operand.labels) for operand in operands),
        (one.coefficient, other.coefficient),
    )
    return replace(one, factors=(Factor(node, labels),), coefficient=1)


def _one() -> Node:
    """The number one, as an array of no axes."""
    return Identity((), 4)


def write(terms: Terms, shape: Sequence[int], itemsize: int) -> Node:
    """The dense array of shape out + in; a plain factor with its axes in order needs no writing."""
    if any(extent == 0 for extent in shape):
        terms = ()
    operands, patterns = [], []
    for term in terms:
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
                        number[s.label],
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


def dense(node: Node, out_shape: Sequence[int], in_shape: Sequence[int]) -> Terms:
    """The Jacobian whose entries are a node of shape out + in, without structure."""
    squeezed = tuple(extent for extent in node.shape if extent != 1)
    if prod(node.shape) == 0:
        return ()
    out, into = fresh_axes(out_shape), fresh_axes(in_shape)
    if squeezed != node.shape:
        node = Reshape(squeezed, node.itemsize, (node,))
    return (Term(out, into, (Factor(node, labels_of(out) + labels_of(into)),)),)
