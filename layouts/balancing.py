"""Terms that are symmetric to rounding, made so in every bit.

Of two entries that should be equal their mean stands for both, or where the compiler would fuse it
with what it is the mean of, the larger: but for large arrays, where that would cost too much. This
module imports no JAX.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

from layouts.algebra import add_factors
from layouts.axes import Label
from layouts.nodes import Add, Contract, Larger, Node, RealPart, Reshape
from layouts.products import contract_node, product
from layouts.program import schedule
from layouts.terms import Factor, Term, Terms

# Products that are fused are compared with their mirror image up to so many entries: beyond that
# reading across the rows costs up to half as much as all the rest (measured on CPUs).
MOST_COMPARED = 2**18


def balanced(terms: Terms, whole: bool) -> Terms:
    """Terms whose sum is symmetric, though none need be: the mean of the sum and its transpose.

    Where terms cannot be paired they stay as they are, all of them: half of a mean is no mean.
    Pairs come first: of several numbers that are added only the first two can be exchanged.

    Args:
        terms: a sum that is symmetric to rounding.
        whole: whether they are to be written out, so that their factors may be multiplied.
    """
    rest = [_multiplied(term) if whole else term for term in terms]
    pairs: list[Term] = []
    alone: list[Term] = []
    while rest:
        term = rest.pop(0)
        mirror = term.transposed
        if mirror.pattern == term.pattern:
            both = _mean(term, mirror)
            alone += [] if both is None else [both if both is term else exactly(both)]
        else:
            place = next((n for n, one in enumerate(rest) if one.pattern == mirror.pattern), None)
            both = None if place is None else _mean(term, rest.pop(place).transposed)
            pairs += [] if both is None else [both, both.transposed]
        if both is None:
            return terms
    return (*pairs, *alone)


def _multiplied(term: Term) -> Term:
    """A term with one factor at most."""
    value = product(term)
    return term if value is None else replace(term, factors=(value,))


def _mean(one: Term, other: Term) -> Term | None:
    """Half of the sum of two terms of one pattern; None where it would store more."""
    its = _factors(other, one)
    if one.coefficient == other.coefficient and one.factors == its:
        return one
    if len(one.factors) != 1 or len(its) != 1:
        return None
    halves = [0.5 * one.coefficient, 0.5 * other.coefficient]
    return replace(one, factors=(add_factors([*one.factors, *its], halves),), coefficient=1)


def _factors(other: Term, one: Term) -> tuple[Factor, ...]:
    """A term's factors with the labels that another of its pattern has in their place."""
    names = dict(zip(other.labels, one.labels, strict=True))
    return tuple(Factor(f.node, tuple(names[n] for n in f.labels)) for f in other.factors)


def exactly(term: Term, whole: bool = False) -> Term:
    """A term that is symmetric, so in every bit, if one factor carries what is exchanged.

    Args:
        term: symmetric to rounding.
        whole: whether its factors may be multiplied.
    """
    term = _multiplied(term) if whole else term
    if len(term.factors) != 1 or term.transposed.pattern != term.pattern:
        return term
    (factor,), (mirror,) = term.factors, _factors(term.transposed, term)
    if mirror.labels == factor.labels or {*mirror.labels} != {*factor.labels}:
        return term
    if not _is_fused_product(factor.node):
        return replace(term, factors=(add_factors([factor, mirror], [0.5, 0.5]),))
    if factor.node.size > MOST_COMPARED:
        return term
    # No mean: of `a b + c d` in one loop a processor rounds one product and not the other.
    _, number = schedule([factor.node])
    first, second = (_sorted(one, factor.labels, number) for one in (factor, mirror))
    _, number = schedule([first, second])
    if number[id(first)] != number[id(second)]:
        first = Larger(first.shape, first.itemsize, (first, second))
    return replace(term, factors=(Factor(first, factor.labels),))


def _is_fused_product(node: Node) -> bool:
    """Whether an array is a product, entry by entry, or a sum of such, which no step stores."""
    if isinstance(node, Contract) and not node.summed:
        arrays = sum(bool(operand.shape) for operand in node.operands)
        return arrays > 1 or any(map(_is_fused_product, node.operands))
    return isinstance(node, Add | RealPart | Reshape) and any(map(_is_fused_product, node.operands))


def _sorted(factor: Factor, order: Sequence[Label], number: Mapping[int, int]) -> Node:
    """A factor with its axes in this order, and the arrays of a product in that of their numbers.

    So what a term and its transpose both multiply is the same array, and is computed once.
    """
    node, labels = factor.node, factor.labels
    rank = {label: n for n, label in enumerate(order)}
    if isinstance(node, Add):
        own = [tuple(labels[n] for n in index) for index in node.indices]
        kept = [tuple(sorted(one, key=rank.__getitem__)) for one in own]
        parts = zip(node.operands, own, kept, strict=True)
        operands = tuple(_sorted(Factor(part, one), ends, number) for part, one, ends in parts)
        indices = tuple(tuple(rank[n] for n in one) for one in kept)
        shape = tuple(label.size for label in order)
        return replace(node, shape=shape, operands=operands, indices=indices)
    arrays = sorted(
        _multiplied_arrays(factor),
        key=lambda one: (number[id(one.node)], [rank[n] for n in one.labels]),
    )

    def times(one: Factor, other: Factor) -> Factor:
        every = {*one.labels, *other.labels}
        ends = tuple(label for label in order if label in every)
        return Factor(contract_node((one, other), ends), ends)

    result = reduce(times, arrays)
    return result.node if result.labels == tuple(order) else contract_node((result,), tuple(order))


def _multiplied_arrays(factor: Factor) -> list[Factor]:
    """The arrays of a product that is larger than they are; else the factor itself."""
    node = factor.node
    if not isinstance(node, Contract) or node.summed:
        return [factor]
    names = dict(zip(node.output, factor.labels, strict=True))
    parts = [
        Factor(operand, tuple(names[n] for n in index))
        for operand, index in zip(node.operands, node.indices, strict=True)
    ]
    if len(parts) == 1 or any(len(part.labels) == len(factor.labels) for part in parts):
        return [factor]
    return [array for part in parts for array in _multiplied_arrays(part)]
