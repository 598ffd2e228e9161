"""Products of factors: contract, multiply, apply operators, two at a time in the cheapest order.

They work on labels and symbolic arrays alone (see `layouts.nodes`): no numbers, no JAX.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from layouts.axes import Axes, Label, labels_of, size, sizes
from layouts.nodes import Add, Apply, Contract, Identity, Map, Node, Operator, Reshape
from layouts.pairing import cheapest_order
from layouts.terms import Factor, Term, Terms

# The rank of each label in the order in which results are written.
Order = dict[Label, int]

# Beside operators every order of multiplying this many factors is tried: 18 for four.
MOST_AROUND_OPERATORS = 4

# What an operator is applied to that meets nothing else: ones, along what is summed.
ONE = Factor(Identity((), 1), ())


def number(value: complex, itemsize: int) -> Factor:
    """A number as a factor."""
    return Factor(Add((), itemsize, (ONE.node,), ((),), (value,)), ())


def written_order(out: Axes, into: Axes, middle: Iterable[Label] = ()) -> Order:
    """Rank labels: the output's, then the input's, then those to be summed."""
    labels = dict.fromkeys((*labels_of(out), *labels_of(into), *middle))
    return {label: rank for rank, label in enumerate(labels)}


def contract(factors: Iterable[Factor], kept: set[Label], order: Order) -> tuple[Factor, ...]:
    """Sum every label that is not kept; multiply factors of equal labels; leave the rest apart."""
    groups: list[tuple[set[Label], list[Factor]]] = []
    apart: list[Factor] = []
    factors = list(factors)
    if any(map(takes_real_part, factors)):
        return (_around_operators([*factors, *[ONE] * (len(factors) == 1)], kept, order)[1],)
    plain = all(kept.issuperset(factor.labels) for factor in factors)
    if plain and not any(map(_must_be_applied, factors)):
        return merge(factors, order)
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
        _contract_group(members, kept, order) if len(members) > 1 or summed else members[0]
        for summed, members in groups
    ]
    return merge(results, order)


def _absorbs(members: Sequence[Factor], factor: Factor, kept: set[Label]) -> bool:
    """Whether a contraction's operand takes a factor in for less than its result would.

    An operator that no matrix does for is applied to what it meets, also where nothing is summed.
    """
    if any(map(_must_be_applied, (*members, factor))):
        return True
    result = kept & {label for member in members for label in member.labels}
    if not result.issuperset(factor.labels):
        return False
    hosts = [size(m.labels) for m in members if {*m.labels}.issuperset(factor.labels)]
    return min(hosts, default=size(result)) < size(result)


def merge(factors: Iterable[Factor], order: Order) -> tuple[Factor, ...]:
    """Multiply factors that carry the same labels into one: nothing grows."""
    factors = tuple(factors)
    if len(factors) < 2:
        return factors
    merged: dict[frozenset[Label], Factor] = {}
    for factor in factors:
        key = frozenset(factor.labels)
        other = merged.get(key)
        merged[key] = factor if other is None else multiply(other, factor, set(key), order)
    return tuple(merged.values())


def _contract_group(factors: Sequence[Factor], kept: set[Label], order: Order) -> Factor:
    """Contract factors that summed labels tie together, two at a time, in the cheapest order."""
    remaining = list(_sum_alone(factors, kept))
    if any(matrix_of(factor.node) for factor in remaining):
        alone = [ONE] * (len(remaining) == 1)
        return _around_operators([*remaining, *alone], kept, order)[1]
    held = dict(enumerate(remaining))
    for made, (a, b) in enumerate(cheapest_order(remaining, kept), len(held)):
        one, other = held.pop(a), held.pop(b)
        needed = kept.union(*(f.labels for f in held.values()))
        held[made] = multiply(one, other, needed, order)
    (result,) = held.values()
    return result


def _around_operators(factors: list[Factor], kept: set[Label], order: Order) -> tuple[int, Factor]:
    """Try every order where operators are among the factors, and price what comes out.

    What takes a real part does so last, of all that is multiplied: `a Re(b)` is not `Re(a b)`.
    """
    if len(factors) == 1:
        return 0, factors[0]
    pairs = list(combinations(range(len(factors)), 2))
    if len(factors) > MOST_AROUND_OPERATORS:  # then the first two that meet
        apart = [{*factors[i].labels}.isdisjoint(factors[j].labels) for i, j in pairs]
        pairs = [pairs[apart.index(False)]]
    found = []
    for i, j in pairs:
        rest = [factor for n, factor in enumerate(factors) if n not in (i, j)]
        needed = kept.union(*(f.labels for f in rest))
        both = multiply(factors[i], factors[j], needed, order, not rest)
        price, result = _around_operators([*rest, both], kept, order)
        found.append((price + _work(both, factors), result))
    return min(found, key=lambda pair: pair[0])


def _work(result: Factor, given: Sequence[Factor]) -> int:
    """Multiplications and additions of making a factor of others, and of writing their matrices."""
    known = {id(factor.node) for factor in given}
    work, stack = 0, [result.node]
    while stack:
        node = stack.pop()
        made = matrix_of(node) if id(node) in known else node
        work += made.multiplications + made.additions if made is not None else 0
        stack.extend(() if id(node) in known else node.operands)
    return work


def _sum_alone(factors: Sequence[Factor], kept: set[Label]) -> Iterable[Factor]:
    """Sum labels that one factor alone carries, before anything is multiplied; not of operators."""
    carried = Counter(label for factor in factors for label in factor.labels)
    for factor in factors:
        needed = kept.union(n for n in factor.labels if carried[n] > 1)
        yield factor if matrix_of(factor.node) else _summed(factor, needed)


def _summed(factor: Factor, needed: set[Label]) -> Factor:
    """Sum the labels that nothing needs."""
    inside = tuple([label for label in factor.labels if label in needed])
    if len(inside) == len(factor.labels):
        return factor
    return Factor(contract_node((factor,), inside), inside)


def multiply(
    left: Factor, right: Factor, needed: set[Label], order: Order, last: bool = False
) -> Factor:
    """Multiply two factors and sum the labels that nothing else needs.

    A sum over one whole side of an operator's matrix applies the operator; one over part of a side
    does where that takes less than to write the matrix.

    Args:
        left: a factor.
        right: another.
        needed: the labels that are not summed.
        order: in which results are written.
        last: whether nothing is multiplied with the result, so that it may be a real part.
    """
    both = left, right
    if not any(matrix_of(factor.node) for factor in both):
        return _plainly(left, right, needed, order)
    pairs = both, both[::-1]
    found = [f for pair in pairs if (f := _applied(*pair, needed, last))]
    if not found:
        one, other = (_summed(f, needed.union(g.labels)) for f, g in pairs)
        found = [_plainly(one, other, needed, order)]
        found += [f for pair in pairs for f in _by_columns(*pair, needed, last)]
    return min(found, key=lambda factor: _work(factor, both))


def _plainly(left: Factor, right: Factor, needed: set[Label], order: Order) -> Factor:
    """The product entry by entry."""
    if right is ONE:
        return left
    first, second = sorted((left, right), key=lambda f: [order[label] for label in f.labels])
    labels = _product_labels(first.labels, second.labels, needed, order)
    return Factor(contract_node((first, second), labels), labels)


def matrix_of(node: Node) -> Map | None:
    """The operator's matrix that a node is, perhaps with its axes split into digits."""
    while isinstance(node, Reshape):
        (node,) = node.operands
    return node if isinstance(node, Map) else None


def _must_be_applied(factor: Factor) -> bool:
    node = matrix_of(factor.node)
    return node is not None and node.operator is not None and node.operator.no_matrix


def takes_real_part(factor: Factor) -> bool:
    """Whether it is an operator that gives the real part of its product when applied one way."""
    node = matrix_of(factor.node)
    if node is None or node.operator is None or node.operator.no_matrix:
        return False
    return node.operator.mixed and len(node.operator.directions) > 1


def both_ways(terms: Terms) -> Terms:
    """Let operators between real and complex arrays be pushed and pulled: both ends are real."""
    return _with_operators(
        terms, lambda o: replace(o, directions=("push", "pull")) if o.matrix_by else o
    )


def one_way(terms: Terms, direction: str) -> Terms:
    """Let operators without a matrix be applied this way only."""
    return _with_operators(
        terms, lambda o: replace(o, directions=(direction,)) if o.no_matrix else o
    )


def written_by(terms: Terms, direction: str) -> Terms:
    """Let operators without a matrix have one after all.

    Its columns start at an input ("push"), or its rows start at an output ("pull").
    """
    return _with_operators(
        terms,
        lambda o: (
            replace(
                o,
                matrix_by=direction,
                no_matrix=False,
                directions=(direction,) if o.mixed else o.directions,
            )
            if o.no_matrix and direction in o.directions
            else o
        ),
    )


def written_by_rows(terms: Terms) -> Terms:
    """Let operators that cotangents alone go through have a matrix: what an identity becomes."""
    return _with_operators(
        terms, lambda o: replace(o, matrix_by="pull", no_matrix=False) if o.reverse_only else o
    )


def _with_operators(terms: Terms, change: Callable[[Operator], Operator]) -> Terms:
    def changed(factor: Factor) -> Factor:
        node = matrix_of(factor.node)
        if node is None or node.operator is None:
            return factor
        operator = change(node.operator)
        if operator is node.operator:
            return factor
        return Factor(replace(node, operator=operator, shape=factor.node.shape), factor.labels)

    if not any(matrix_of(factor.node) for term in terms for factor in term.factors):
        return terms
    return tuple(replace(t, factors=tuple(map(changed, t.factors))) for t in terms)


def _applied(matrix: Factor, other: Factor, needed: set[Label], last: bool) -> Factor | None:
    """Apply an operator to a factor, or its transpose; None where that is not their product."""
    summed = {*matrix.labels, *other.labels} - needed
    for node, direction, (batch, source, target) in _ways(matrix, last):
        fits = summed == {*source} and summed <= {*other.labels}
        apart = {*target}.isdisjoint(other.labels)
        free = not summed and not _must_be_applied(matrix)  # a product that sums nothing
        if fits and apart and not free:
            columns = tuple(n for n in other.labels if n not in (*source, *batch))
            return _application(node, direction, other, (batch, source, target, columns))
    return None


def _by_columns(matrix: Factor, other: Factor, needed: set[Label], last: bool) -> Iterator[Factor]:
    """Apply an operator where part of one side is summed, or where the other factor lacks part.

    `Σ_b M[k,(a,b)] y[a,b]` is M pushing `δ[a′,a] y[a′,b]`; for what y lacks, ones stand.
    """
    for node, direction, (batch, source, target) in _ways(matrix, last):
        columns = tuple([label for label in source if label in needed])
        fits = len(columns) < len(source) and {*target}.isdisjoint(other.labels)
        if not fits or (columns and _must_be_applied(matrix)):
            continue
        own = {label: Label(label.size) for label in columns}
        places = tuple([own.get(label, label) for label in source])
        renamed = Factor(other.node, tuple([own.get(label, label) for label in other.labels]))
        labels = tuple(dict.fromkeys((*places, *columns, *renamed.labels)))
        parts = [renamed]
        if columns:
            shape = sizes(columns) * 2
            delta = Factor(Identity(shape, node.itemsize), (*own.values(), *columns))
            parts = [delta] if other is ONE else [renamed, delta]
        given = Factor(contract_node(parts, labels), labels)
        apart = tuple([label for label in labels if label not in (*places, *batch)])
        yield _summed(_application(node, direction, given, (batch, places, target, apart)), needed)


def _ways(matrix: Factor, last: bool) -> Iterator[tuple[Map, str, tuple[tuple[Label, ...], ...]]]:
    """The ways an operator can be applied, each with its labels: of batch, operand and result."""
    node = matrix_of(matrix.node)
    if node is None or node.operator is None:
        return
    real = takes_real_part(matrix) and not last
    batch, out, into = _sides(node, matrix.labels)
    for direction, source, target in (("push", into, out), ("pull", out, into)):
        if real and direction != node.operator.matrix_by:
            continue
        if direction in node.operator.directions:
            yield node, direction, (batch, source, target)


def _application(
    node: Map, direction: str, other: Factor, sides: tuple[tuple[Label, ...], ...]
) -> Factor:
    batch, source, target, columns = sides
    if direction == "push":
        given, present, position = (*batch, *source, *columns), node.source, node.target
        labels = (*batch, *target, *columns)
    else:
        given, present, position = (*columns, *batch, *source), node.target, node.source
        labels = (*columns, *batch, *target)
    operand = other.node if given == other.labels else contract_node((other,), given)
    itemsize = max(node.itemsize, operand.itemsize)
    result = Apply(
        sizes(labels),
        itemsize,
        (operand,),
        node.operator,
        direction,
        (present,),
        position,
        size(columns),
    )
    return Factor(result, labels)


def _sides(node: Map, labels: Sequence[Label]) -> tuple[tuple[Label, ...], ...]:
    """A matrix's labels by side; none has size one, so that their sizes tell."""
    found, rest = [], list(labels)
    for extent in node.sides:
        side: list[Label] = []
        while size(side) < extent:
            side.append(rest.pop(0))
        found.append(tuple(side))
    return tuple(found)


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


def contract_node(factors: Sequence[Factor], output: tuple[Label, ...]) -> Contract:
    """Write a contraction with numbers for labels; one that no factor carries is broadcast."""
    number: dict[Label, int] = {}
    indices = tuple(
        [
            tuple([number.setdefault(label, len(number)) for label in factor.labels])
            for factor in factors
        ]
    )
    return Contract(
        sizes(output),
        max([factor.node.itemsize for factor in factors]),
        tuple([factor.node for factor in factors]),
        indices,
        tuple([number.setdefault(label, len(number)) for label in output]),
        sizes(number),
    )


def product(term: Term) -> Factor | None:
    """Multiply all factors of a term into one, small ones first; None where there are none."""
    order = written_order(term.out, term.into, term.hidden)
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
    order = written_order(term.out, term.into, term.hidden)
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
