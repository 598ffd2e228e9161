"""Terms that are symmetric to rounding, made so in every bit.

Of two entries that should be equal their mean stands for both, or where the compiler would fuse it
with what it is the mean of, the larger: but for large arrays, where that would cost too much. This
module imports no JAX.
"""

from dataclasses import replace
from math import prod

from layouts.algebra import add_factors, as_one
from layouts.axes import labels_of, size
from layouts.nodes import Add, Contract, Larger, Node, RealPart, Reshape, Write
from layouts.selection import Selection, take
from layouts.terms import Factor, Term, Terms

# Entries are compared with their mirror image in arrays of so many: in larger ones reading across
# the rows costs up to half as much as all the rest (measured on CPUs).
MOST_COMPARED = 2**18


def together(terms: Terms) -> Terms | None:
    """Terms whose sum is symmetric to rounding, though none need be, as one array that is so.

    None where that is large.
    """
    if prod(size(axis) for axis in terms[0].out + terms[0].into) > MOST_COMPARED:
        return None
    (term,) = as_one(terms, {})
    return (exactly(term),)


def in_pairs(terms: Terms) -> Terms:
    """Terms whose sum is symmetric to rounding, each the mean of two that mirror each other.

    Where terms cannot be paired they stay as they are, all of them: half of a mean is no mean.
    Pairs come first: of several numbers that are added only the first two can be exchanged.
    """
    rest = list(terms)
    pairs: list[Term] = []
    alone: list[Term] = []
    while rest:
        term = rest.pop(0)
        mirror = _mirror(term)
        if mirror.pattern == term.pattern:
            both = _mean(term, mirror)
            alone += [] if both is None else [both if both is term else exactly(both)]
        else:
            place = next((n for n, one in enumerate(rest) if one.pattern == mirror.pattern), None)
            both = None if place is None else _mean(term, _mirror(rest.pop(place)))
            pairs += [] if both is None else [both, both.transposed]
        if both is None:
            return terms
    return (*pairs, *alone)


def _mirror(term: Term) -> Term:
    """A term's mirror image, places still told from the output's labels where they can be.

    That of `δ[i+1,k] a[i]` is `δ[i,k+1] a[k]`, or `δ[i-1,k] a[i-1]`. Flips, which may be their own
    mirror image, stay: the mean of two entries of one array is rounded apart in two places.
    """
    term = term.transposed
    inputs = {*labels_of(term.into)}
    for n, selection in enumerate(term.selections):
        shifts = selection.step == 1 and {*selection.labels} <= inputs
        inverse = selection.inverted() if shifts else None
        carrying = [f.labels for f in term.factors if selection.label in f.labels]
        if inverse is None or any(selection.place in labels for labels in carrying):
            continue
        told = (*term.selections[:n], inverse, *term.selections[n + 1 :])
        factors = tuple([_told(factor, inverse) for factor in term.factors])
        term = replace(term, factors=factors, selections=told)
    return term


def _told(factor: Factor, by: Selection) -> Factor:
    """A factor's entries at the places of a selection, on whose axis they stand from now on."""
    if by.place not in factor.labels:
        return factor
    if (by.start, by.step) == (0, 1) and by.place.size == by.label.size:
        return Factor(factor.node, tuple(by.label if n is by.place else n for n in factor.labels))
    return Factor(*take(factor.node, factor.labels, by))


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


def exactly(term: Term) -> Term:
    """A term that is symmetric, so in every bit, if one factor carries what is exchanged.

    Args:
        term: symmetric to rounding.
    """
    if len(term.factors) != 1 or term.transposed.pattern != term.pattern:
        return term
    (factor,), (mirror,) = term.factors, _factors(term.transposed, term)
    if mirror.labels == factor.labels or {*mirror.labels} != {*factor.labels}:
        return term
    if not _is_fused(factor.node):
        return replace(term, factors=(add_factors([factor, mirror], [0.5, 0.5]),))
    if factor.node.size > MOST_COMPARED:
        return term
    # No mean: of `a b + c d` in one loop a processor rounds one product and not the other.
    order = tuple(mirror.labels.index(label) for label in factor.labels)
    larger = Larger(factor.node.shape, factor.node.itemsize, (factor.node,), order)
    return replace(term, factors=(Factor(larger, factor.labels),))


def _is_fused(node: Node) -> bool:
    """Whether an array is a product, entry by entry, or a sum of such, which no step stores."""
    if isinstance(node, Contract) and not node.summed:
        arrays = sum(bool(operand.shape) for operand in node.operands)
        return arrays > 1 or any(map(_is_fused, node.operands))
    if isinstance(node, Write):
        return True
    return isinstance(node, Add | RealPart | Reshape) and any(map(_is_fused, node.operands))
