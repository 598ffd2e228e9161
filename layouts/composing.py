"""The chain rule for two terms, worked out once for all terms of the same forms.

How labels are united, what is summed and in which order depends on forms alone: on which labels
stand where and on their sizes, not on the arrays. Layers repeat, and so do the forms of their
products: a recipe is found for each pair, kept, and followed on the arrays at hand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from layouts.axes import Axis, Label, Unifier, labels_of, size, sizes
from layouts.following import follow, settled
from layouts.nodes import Identity, Indices, Leaf, Node, Take
from layouts.products import contract, matrix_of, number, takes_real_part, written_order
from layouts.program import schedule
from layouts.selection import Selection
from layouts.terms import Factor, Form, Term, afresh, relabel, resolve, resolve_factor, stripped

MOST_KEPT = 2**14

# A class of nodes, its fields before the operands, the numbers of these, and the fields after them.
Step = tuple[Callable[..., Node], tuple, Indices, tuple]


def compose_terms(left: Term, right: Term) -> Term:
    """Compose two terms: unite the labels of the axes between them, sum those left over.

    Example:
        >>> from layouts.axes import fresh_axes
        >>> i, j, k = fresh_axes((4, 3, 5))
        >>> A, B = Leaf((4, 3), 4, index=0), Leaf((3, 5), 4, index=1)
        >>> left = Term((i,), (j,), (Factor(A, i + j),))
        >>> right = Term((j,), (k,), (Factor(B, j + k),))
        >>> (product,) = compose_terms(left, right).factors
        >>> product.node.shape, product.node.multiplications
        ((4, 5), 60)
    """
    if not (_is_of_form(left) and _is_of_form(right)):
        return _composed(left, right)
    nodes = [factor.node for factor in (*left.factors, *right.factors)]
    first: dict[int, int] = {}
    same = tuple([first.setdefault(id(node), n) for n, node in enumerate(nodes)])
    return _recipe(left.form, right.form, same).on(left, right)


def _is_of_form(term: Term) -> bool:
    """Whether nothing but its form tells what becomes of a term: no operator, no table."""
    if any(s.table is not None for s in term.selections):
        return False
    nodes = [factor.node for factor in term.factors]
    if any(matrix_of(node) is not None for node in nodes):
        return False
    return not (term.selections and any(isinstance(n, Take) and n.places for n in nodes))


@dataclass(frozen=True, slots=True)
class _Recipe:
    """The product of two terms of given forms, in numbers for labels and arrays.

    Attributes:
        fresh: the sizes of the labels that neither term has; they are numbered after theirs.
        steps: the arrays computed from the terms' own, which they are numbered after.
        factors: for each the array and the labels.
        selections: for each the place, the labels, and a selection to take the rest from.
        labels: all labels of the product.
        pattern: of the product.
        form: of the product.
    """

    out: tuple[Indices, ...]
    into: tuple[Indices, ...]
    coefficient: complex
    fresh: Indices
    steps: tuple[Step, ...]
    factors: tuple[tuple[int, Indices], ...]
    selections: tuple[tuple[int, Indices, Selection], ...]
    labels: Indices
    pattern: tuple
    form: Form

    def on(self, left: Term, right: Term) -> Term:
        """The product of two terms of these forms."""
        names = [*left.labels, *_apart(right.labels, left.labels), *map(Label, self.fresh)]
        nodes = [factor.node for factor in (*left.factors, *right.factors)]
        for made, before, operands, after in self.steps:
            nodes.append(made(*before, tuple([nodes[n] for n in operands]), *after))
        product = Term(
            tuple([tuple([names[n] for n in axis]) for axis in self.out]),
            tuple([tuple([names[n] for n in axis]) for axis in self.into]),
            tuple(
                [Factor(nodes[n], tuple([names[m] for m in labels])) for n, labels in self.factors]
            ),
            left.coefficient * right.coefficient * self.coefficient,
            tuple([_on_labels(names, *selection) for selection in self.selections]),
        )
        # What every term works out when it is asked for is known already.
        labels = tuple([names[n] for n in self.labels])
        vars(product).update(labels=labels, pattern=self.pattern, form=self.form)
        return product


def _apart(labels: Sequence[Label], others: Sequence[Label]) -> Sequence[Label]:
    """The labels, or where one of them is among the others as many new ones."""
    return labels if {*labels}.isdisjoint(others) else [Label(label.size) for label in labels]


def _on_labels(names: Sequence[Label], place: int, labels: Indices, like: Selection) -> Selection:
    first, *others = (names[n] for n in labels)
    moves = like.start, like.step, like.window, like.table
    return Selection(names[place], first, *moves, tuple(others))


@lru_cache(MOST_KEPT)
def _recipe(left: Form, right: Form, same: Indices) -> _Recipe:
    """Compose two terms of these forms on arrays that only stand for others.

    Args:
        left: the first term's form.
        right: the second's.
        same: for each factor of both the first one of the same array.
    """
    leaves: dict[int, Leaf] = {}
    first = left.example(same, leaves)
    second = right.example(same[len(first.factors) :], leaves)
    product = _composed(first, second)
    number = {label: n for n, label in enumerate((*first.labels, *second.labels))}
    given = len(number)
    for label in product.labels:
        number.setdefault(label, len(number))

    def numbered(labels: Sequence[Label]) -> Indices:
        return tuple([number[label] for label in labels])

    ordered, place = schedule([factor.node for factor in product.factors])
    arrays: dict[int, int] = {}
    steps: list[Step] = []
    for n, node in enumerate(ordered):
        if isinstance(node, Leaf):
            arrays[n] = node.index
            continue
        arrays[n] = len(first.factors) + len(second.factors) + len(steps)
        operands = tuple([arrays[place[id(operand)]] for operand in node.operands])
        steps.append((type(node), (node.shape, node.itemsize), operands, _after_operands(node)))
    return _Recipe(
        tuple(map(numbered, product.out)),
        tuple(map(numbered, product.into)),
        product.coefficient,
        tuple([label.size for label in list(number)[given:]]),
        tuple(steps),
        tuple([(arrays[place[id(f.node)]], numbered(f.labels)) for f in product.factors]),
        tuple([(number[s.place], numbered(s.labels), s) for s in product.selections]),
        numbered(product.labels),
        product.pattern,
        product.form,
    )


def _after_operands(node: Node) -> tuple[Any, ...]:
    return tuple(getattr(node, field.name) for field in fields(node)[len(fields(Node)) :])


def _composed(left: Term, right: Term) -> Term:
    """The product of two terms, worked out."""
    left, right, bridges = _in_common_labels(left, right)
    factors = [*left.factors, *right.factors, *bridges]
    kept = {*labels_of(left.out), *labels_of(right.into)}
    meeting = dict.fromkeys(labels_of(left.into + right.out))
    middle = [label for label in meeting if label not in kept]
    tied = follow(kept, middle, factors, [*left.selections, *right.selections])
    if any(selection.empty for selection in tied.selections):
        return Term(left.out, right.into, (), 0)
    kept |= tied.hidden
    carried = dict.fromkeys(label for factor in tied.factors for label in factor.labels)
    middle = [*dict.fromkeys((*tied.middle, *(n for n in carried if n not in kept)))]
    coefficient = left.coefficient * right.coefficient * size({*middle} - carried.keys())
    order = written_order(left.out, right.into, [*middle, *tied.hidden])
    factors = [*tied.factors]
    if isinstance(coefficient, complex) and any(map(takes_real_part, factors)):
        factors.append(number(coefficient, factors[0].node.itemsize))
        coefficient = 1
    results = contract(factors, kept, order)
    return stripped(settled(Term(left.out, right.into, results, coefficient, tied.selections)))


def _in_common_labels(left: Term, right: Term) -> tuple[Term, Term, list[Factor]]:
    """Both terms in the same labels where they meet, and what it takes to tie the rest."""
    if matched := _matched(left, right):
        return left, matched, []
    if not {*left.labels}.isdisjoint(right.labels):
        right = afresh(right)
    meet = Unifier()
    bridges = [
        _bridge(a, b) for a, b in zip(left.into, right.out, strict=True) if not _meets(meet, a, b)
    ]
    left, right = resolve(left, meet), resolve(right, meet)
    return left, right, [resolve_factor(bridge, meet) for bridge in bridges]


def _matched(left: Term, right: Term) -> Term | None:
    """The right term in the left one's labels, where the digits between them are the same.

    None where a digit has to be split, or labels of the left term are one.
    """
    names: dict[Label, Label] = {}
    for axis, other in zip(left.into, right.out, strict=True):
        if len(axis) != len(other):
            return None
        for label, its in zip(axis, other, strict=True):
            if label.size != its.size or names.setdefault(its, label) is not label:
                return None
    taken = {*left.labels}
    for label in right.labels:
        if label not in names:
            names[label] = Label(label.size) if label in taken else label
    return relabel(right, names)


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
