"""Hessians that are symmetric in every bit.

`Σ_n d[n] X[n,i] X[n,k]` is symmetric, but `(d X)ᵀ X` as computed is so to rounding only. So of two
entries that should be equal the mean stands for both, or the larger, and of the Hessian by two
arguments one block is the other turned. That a term is symmetric is seen where it is the product of
the same arrays when its two sides are exchanged. Else it has to be known of the function: a user's
own derivative rules need not be symmetric at all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count
from math import prod
from typing import Any

from layouts.algebra import transpose
from layouts.axes import Label, size
from layouts.balancing import exactly, in_pairs, together
from layouts.nodes import Add, Contract, Node
from layouts.program import schedule
from layouts.terms import Term, Terms, stored_size

# The terms from each input to each output.
Results = dict[tuple[int, int], Terms]

Labels = tuple[Label, ...]

# Where so many entries are written for each that is stored, what is stored is compared with its
# mirror image, not what is written.
SPARSE = 8


def mirrored(
    results: Results,
    inputs: Sequence[int],
    outputs: Sequence[int],
    known: Callable[[], bool] = lambda: False,
    whole: bool = False,
) -> Results:
    """The Jacobian of a gradient, each block that is symmetric exactly so.

    Args:
        results: the terms from each input to each output of the gradient.
        inputs: the arrays differentiated by.
        outputs: the gradients of one scalar by each of them, in the same order.
        known: whether the function's Hessian is known to be symmetric; asked where it is not seen.
        whole: whether the terms are to be written out, so that they may be one array.

    Example:
        >>> from layouts.axes import fresh_axes, labels_of
        >>> from layouts.nodes import Contract, Leaf
        >>> from layouts.terms import Factor
        >>> x, w = Leaf((7, 3), 4, index=0), Leaf((7,), 4, index=1)
        >>> wx = Contract((7, 3), 4, (w, x), ((0,), (0, 1)), (0, 1), (7, 3))
        >>> gram = Contract((3, 3), 4, (wx, x), ((0, 1), (0, 2)), (1, 2), (7, 3, 3))
        >>> i, k = fresh_axes((3, 3))
        >>> term = Term((i,), (k,), (Factor(gram, labels_of((i, k))),))
        >>> ((found,),) = mirrored({(0, 1): (term,)}, [0], [1]).values()
        >>> found.factors[0].node.coefficients
        (0.5, 0.5)
    """
    nodes = [f.node for terms in results.values() for term in terms for f in term.factors]
    known = cache(known)
    seen = _Expressions(schedule(nodes)[1])
    found = dict(results)
    for row, (first, out) in enumerate(zip(inputs, outputs, strict=True)):
        terms = results[first, out]
        unseen = tuple(term for term in terms if not seen.symmetric(term))
        if unseen and known():
            found[first, out] = _balanced(terms, unseen, whole)
        else:
            found[first, out] = tuple(t if t in unseen else exactly(t) for t in terms)
        for second, other in zip(inputs[:row], outputs[:row], strict=True):
            mirror = transpose(results[second, out])
            if seen.alike(mirror, results[first, other]) or known():
                found[first, other] = mirror
    return found


def _balanced(terms: Terms, unseen: Terms, whole: bool) -> Terms:
    """Terms whose sum is known to be symmetric, exactly so, though of some it is not seen."""
    if len(unseen) == 1 and len(unseen[0].factors) == 1:  # so is it, as all the others are
        return tuple(map(exactly, terms))
    pairs = in_pairs(terms)
    if whole and (pairs is terms or not _few(pairs)):
        return together(terms) or pairs
    return pairs


def _few(terms: Terms) -> bool:
    """Whether terms store far fewer entries than the array that they are written to."""
    entries = prod(size(axis) for axis in terms[0].out + terms[0].into)
    factors = (factor for term in terms for factor in term.factors)
    return SPARSE * stored_size(factors) <= entries


class _Expressions:
    """What terms are the sums of products of: equal expressions are equal numbers."""

    def __init__(self, place: dict[int, int]) -> None:
        """Start with which nodes are equal, by `schedule`."""
        self.place = place

    def symmetric(self, term: Term) -> bool:
        """Whether a term is seen to be symmetric."""
        number = self.of(term)
        return number is not None and number == self.of(term.transposed)

    def alike(self, one: Terms, other: Terms) -> bool:
        """Whether two sums of terms are seen to be equal."""
        found = [Counter(map(self.of, terms)) for terms in (one, other)]
        return None not in found[0] and found[0] == found[1]

    def of(self, term: Term) -> Any:
        """A term's pattern and what it is the sum of, however multiplied; None if unclear."""
        number = {label: place for place, label in enumerate(term.labels)}
        found: list[Any] = []
        for coefficient, factors in _summands(term):
            atoms: list[tuple[int, list[int]]] = []
            fresh = count(len(number))
            for node, labels in factors:
                self._multiply(node, [number[n] for n in labels], fresh, atoms)
            found.append((coefficient, _product(atoms, len(number))))
        if any(product is None for _, product in found):
            return None
        return term.pattern, frozenset(Counter(found).items())

    def _multiply(self, node: Node, names: list[int], fresh: Iterator[int], atoms: list) -> None:
        """List the arrays that a node is the product of, each with what runs along its axes."""
        if not isinstance(node, Contract):
            atoms.append((self.place[id(node)], names))
            return
        index = dict(zip(node.output, names, strict=True))
        for operand, own in zip(node.operands, node.indices, strict=True):
            for n in own:
                if n not in index:
                    index[n] = next(fresh)
            self._multiply(operand, [index[n] for n in own], fresh, atoms)


def _summands(term: Term) -> Iterator[tuple[complex, list[tuple[Node, Labels]]]]:
    """The products that a term is the sum of, each with its number."""
    pending = [(term.coefficient, [(f.node, f.labels) for f in term.factors])]
    while pending:
        coefficient, factors = pending.pop()
        node, labels = factors[0] if len(factors) == 1 else (None, ())
        if not isinstance(node, Add):
            yield coefficient, factors
            continue
        for operand, index, number in zip(
            node.operands, node.indices, node.coefficients, strict=True
        ):
            pending.append((coefficient * number, [(operand, tuple(labels[n] for n in index))]))


def _product(atoms: Sequence[tuple[int, list[int]]], free: int) -> Any:
    """Arrays with the indices along their axes; those that are summed known by where they stand."""
    ends: dict[int, list[tuple[int, int]]] = {}
    for node, names in atoms:
        for axis, name in enumerate(names):
            if name >= free:
                ends.setdefault(name, []).append((node, axis))
    summed = {name: tuple(sorted(where)) for name, where in ends.items()}
    if len(set(summed.values())) < len(summed):
        return None  # sums that cannot be told apart
    known = [(node, tuple(summed.get(name, name) for name in names)) for node, names in atoms]
    return frozenset(Counter(known).items())
