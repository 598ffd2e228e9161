"""In which order several factors are multiplied, two at a time.

It works on labels alone: no numbers, no JAX.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from math import prod

import opt_einsum

from layouts.axes import Label, sizes
from layouts.terms import Factor

# The cheapest order is found of so many factors.
MOST_SEARCHED = 7


def cheapest_order(factors: Sequence[Factor], kept: set[Label]) -> Sequence[tuple[int, ...]]:
    """The order of pairwise products: exact for few factors, by opt_einsum's greedy for many.

    Args:
        factors: numbered from 0 on; each product has the next free number.
        kept: the labels that are not summed.

    Example:
        >>> from layouts.nodes import Leaf
        >>> i, k, m = Label(2), Label(30), Label(31)
        >>> AB_x = [(Leaf((2, 30), 4), (i, k)), (Leaf((30, 31), 4), (k, m)), (Leaf((31,), 4), (m,))]
        >>> cheapest_order([Factor(*pair) for pair in AB_x], {i})  # A (B x)
        [(2, 1), (3, 0)]
    """
    if len(factors) <= 2:
        return ((0, 1),)[: len(factors) - 1]
    inputs = [frozenset(factor.labels) for factor in factors]
    if len(inputs) <= MOST_SEARCHED:
        number: dict[Label, int] = {}
        numbered = tuple(
            [frozenset([number.setdefault(n, len(number)) for n in f.labels]) for f in factors]
        )
        needed = frozenset([place for label, place in number.items() if label in kept])
        return _searched(numbered, needed, sizes(number), _squares(factors, kept))
    everything = frozenset().union(*inputs)
    extents = {label: label.size for label in everything}
    path = opt_einsum.paths.greedy(inputs, everything & kept, extents)
    return opt_einsum.paths.linear_to_ssa(path)


def _squares(factors: Sequence[Factor], kept: set[Label]) -> frozenset[int]:
    """The pairs, a bit for each factor, of an array with itself, apart in one kept label."""
    carried = Counter(label for factor in factors for label in factor.labels)
    alone = {label for label in kept if carried[label] == 1}
    found = set()
    for (n, one), (m, other) in combinations(enumerate(factors), 2):
        ends = {*one.labels} ^ {*other.labels}
        if one.node is other.node and len(ends) == 2 and ends <= alone:
            found.add(2**n + 2**m)
    return frozenset(found)


@lru_cache(4096)
def _searched(
    inputs: tuple[frozenset[int], ...],
    kept: frozenset[int],
    extents: tuple[int, ...],
    squares: frozenset[int],
) -> list[tuple[int, int]]:
    """Of all orders one of the fewest multiplications, and of these of the fewest entries stored.

    It goes by subsets of the factors, a bit for each: what a product of some carries is the same in
    whichever order they are multiplied. A sum over a product of an array with itself takes half
    (see `layouts.symmetry`). opt_einsum's own exhaustive search misprices products without a sum,
    and its greedy one an index that many factors share.
    """
    single = [2**n for n in range(len(inputs))]
    whole = sum(single)
    union = [frozenset[int]()]
    for labels in inputs:
        union += [others | labels for others in union]
    carried = [union[s] & (kept | union[whole ^ s]) for s in range(whole + 1)]
    best: dict[int, tuple[int, int, list[tuple[int, int]]]] = {n: (0, 0, []) for n in single}

    def price(a: int, b: int) -> int:
        products = prod([extents[n] for n in carried[a] | carried[b]])
        return products if squares.isdisjoint((a, b)) else products // 2

    for subset in range(1, whole + 1):
        if subset in best:
            continue
        entries = prod([extents[n] for n in carried[subset]])
        best[subset] = min(
            (
                best[a][0] + best[b][0] + price(a, b),
                best[a][1] + best[b][1] + entries,
                [*best[a][2], *best[b][2], (a, b)],
            )
            for a, b in _halves(subset)
        )
    number = {n: place for place, n in enumerate(single)}
    path = []
    for a, b in best[whole][2]:
        number[a | b] = len(number)
        path.append((number[a], number[b]))
    return path


def _halves(subset: int) -> Iterator[tuple[int, int]]:
    """A set of bits in two, in every way."""
    part = (subset - 1) & subset
    while part > subset ^ part:
        yield part, subset ^ part
        part = (part - 1) & subset
