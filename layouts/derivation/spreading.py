"""Zeros around an array written as a δ: `pad(u)[k]` is `Σ_i δ[i+1,k] u[i]`.

A derivative of slices is put together of padded arrays. People write the matrix that places the
entries, `(I₅[1:])ᵀ u`, and not the zeros around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from layouts.axes import Label
from layouts.nodes import Add, Contract, Node, Put, Take
from layouts.products import settle
from layouts.selection import Selection
from layouts.terms import Factor, Term

# A term is written as at most so many.
MOST_TERMS = 16


def spread(term: Term) -> list[Term]:
    """A term with arrays that stand among zeros, as terms with a δ each.

    Args:
        term: one term of a derivative, settled.

    Returns:
        The terms that it is the sum of; itself where no array is padded, or they would be many.
    """
    if not any(_is_among_zeros(factor.node) for factor in term.factors):
        return [term]
    found = list(_spread(term))
    return found if len(found) <= MOST_TERMS else [term]


def _spread(term: Term) -> Iterator[Term]:
    place = next((n for n, f in enumerate(term.factors) if _is_among_zeros(f.node)), None)
    if place is None:
        yield settle(term)
        return
    factor = term.factors[place]
    rest = replace(term, factors=(*term.factors[:place], *term.factors[place + 1 :]))
    for opened in _opened(rest, factor):
        yield from _spread(opened)


def _is_among_zeros(node: Node) -> bool:
    """Whether it is an array with zeros around it, or made of such by sums and products."""
    if isinstance(node, Put | Take):
        whole = isinstance(node, Take) and node.window == (0, node.shape[node.axis])
        return not (whole or node.places or node.fill)
    return isinstance(node, Add | Contract) and any(map(_is_among_zeros, node.operands))


def _opened(rest: Term, factor: Factor) -> Iterator[Term]:
    """A term times an array, that array opened by one level."""
    node = factor.node
    if isinstance(node, Put | Take):
        (operand,) = node.operands
        inner = Label(operand.shape[node.axis])
        ends = (factor.labels[node.axis], inner)
        place, label = ends if isinstance(node, Put) else ends[::-1]
        own = Selection(place, label, node.start, node.step, node.window)
        labels = (*factor.labels[: node.axis], inner, *factor.labels[node.axis + 1 :])
        factors = (*rest.factors, Factor(operand, labels))
        yield replace(rest, factors=factors, selections=(*rest.selections, own))
    elif isinstance(node, Add):
        for coefficient, operand, axes in zip(
            node.coefficients, node.operands, node.indices, strict=True
        ):
            factors = (*rest.factors, Factor(operand, tuple(factor.labels[n] for n in axes)))
            yield replace(rest, coefficient=rest.coefficient * coefficient, factors=factors)
    elif isinstance(node, Contract):
        known = dict(zip(node.output, factor.labels, strict=True))
        for index, extent in enumerate(node.extents):
            known.setdefault(index, Label(extent))
        pairs = zip(node.operands, node.indices, strict=True)
        inner_factors = [
            Factor(operand, tuple(known[n] for n in index)) for operand, index in pairs
        ]
        yield replace(rest, factors=(*rest.factors, *inner_factors))
