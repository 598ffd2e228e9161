"""Follow selections through a sum: pick entries out of factors, place them, or tie labels anew.

A summed label that is a selection's place is no sum at all: at most one of its values gives
anything. So it is replaced by what it is tied to, and what carried it is sliced or looked up.
Nothing is multiplied. A summed label that lookups read, `Σ_n f[n] δ[i,S[n]] δ[T[n],k]`, is the sum
of a sparse matrix by its entries: it is not taken but stays, hidden on neither side, until a
factor has to be written. Then its entries are added up at their places.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from layouts.axes import Label, labels_of, size, sizes
from layouts.nodes import Identity, Put, Reshape
from layouts.products import contract_node, product
from layouts.selection import Selection, meeting, take
from layouts.terms import Factor, Term, one_hot, relabel

State = tuple[list[Factor], list[Selection]]


@dataclass(frozen=True, slots=True)
class Followed:
    """A sum with its selections followed.

    Attributes:
        middle: the labels still to be summed, tied by nothing.
        factors: the factors left.
        selections: the selections left.
        hidden: the summed labels that lookups read: a sum that is not taken.
    """

    middle: list[Label]
    factors: list[Factor]
    selections: tuple[Selection, ...]
    hidden: set[Label]


def follow(
    kept: set[Label],
    middle: Sequence[Label],
    factors: Sequence[Factor],
    selections: Sequence[Selection],
) -> Followed:
    """Replace every summed label that is a place, and place what little is left to be placed.

    Args:
        kept: the labels of both sides.
        middle: the labels to be summed.
        factors: what carries them.
        selections: what ties them; a label that they alone tie is summed too.
    """
    if not selections:
        return Followed(list(middle), [_squeezed(f, kept) for f in factors], (), set())
    state: State = (list(factors), list(selections))
    tied = (label for s in selections for label in s.labels if label not in kept)
    summed = [*dict.fromkeys((*middle, *tied))]
    while (by := _source(kept, state[1])) and not any(s.empty for s in state[1]):
        rival = _rival(*by, kept, state[1])
        if rival is None:
            state, gone = _replaced(*by, state), {by[0].place}
        else:
            state, gone = _placed(rival, kept, state)
        summed = [label for label in summed if label not in gone]
    if any(s.empty for s in state[1]):
        return Followed([], state[0], tuple(state[1]), set())
    state = state[0], _distinct(state[1], kept)
    for label in _hidden(state[1], kept):
        if label in summed and _settles(label, kept, *state):
            state, gone = _placed(label, kept, state)
            summed = [label for label in summed if label not in gone]
    hidden = {*_hidden(state[1], kept)}
    left = [label for label in summed if label not in hidden]
    return Followed(left, [_squeezed(f, kept) for f in state[0]], tuple(state[1]), hidden)


def settled(term: Term) -> Term:
    """A term after its sums: entries placed on one axis are, and equal labels are deltas."""
    if not term.selections:
        return term
    factors, selections, kept = list(term.factors), list(term.selections), _sides(term)
    for label in _hidden(selections, kept):
        group, by = _together(label, kept, selections)
        if by and (_is_vector(group, by) or _is_full(group, by)):
            (factors, selections), _ = _placed(label, kept, (factors, selections))
    return _united(replace(term, factors=tuple(factors), selections=tuple(selections)))


def placed(term: Term) -> Term:
    """The same term with no label hidden: its entries added up at their places."""
    factors, selections, kept = list(term.factors), list(term.selections), _sides(term)
    while hidden := _hidden(selections, kept):
        (factors, selections), _ = _placed(hidden[0], kept, (factors, selections))
    return replace(term, factors=tuple(factors), selections=tuple(selections))


def read_by_label(term: Term) -> Term:
    """The same term with its factors read where selections look them up.

    `a[i] b[k] δ[k,S[i]]` is `(a[i] b[S[i]]) δ[k,S[i]]`: a vector, where a matrix was multiplied.
    """
    factors, sides = list(term.factors), _sides(term)
    for s in term.selections:
        known = {label for factor in factors for label in factor.labels}
        wanted = s.table is not None or not known.isdisjoint(s.labels)
        if wanted and sides.issuperset(s.labels):
            factors = [_take(f, s) if s.place in f.labels else f for f in factors]
    return replace(term, factors=tuple(factors))


def _sides(term: Term) -> set[Label]:
    return {*labels_of(term.out), *labels_of(term.into)}


def _hidden(selections: Iterable[Selection], kept: set[Label]) -> list[Label]:
    """The labels that lookups read and neither side has; one of size one only points."""
    labels = dict.fromkeys(label for s in selections for label in s.labels)
    return [label for label in labels if label not in kept and label.size > 1]


def _source(
    kept: set[Label], selections: Sequence[Selection]
) -> tuple[Selection, Selection] | None:
    """A selection whose place is summed, and the selection that it comes from."""
    # Tables last: what an offset ties stays a slice.
    for s in sorted(selections, key=lambda s: s.table is not None):
        if s.place not in kept:
            return s, s
    summed = [s for s in selections if s.table is None and s.label not in kept and s.label.size > 1]
    for s in summed:
        if inverse := s.inverted():
            return inverse, s
    for s in summed:
        if sum(s.label in other.labels for other in selections) > 1:
            return s.listed_inverse(), s
    return None


def _rival(
    by: Selection, source: Selection, kept: set[Label], selections: Sequence[Selection]
) -> Label | None:
    """A hidden label that lists the same places: of two such sums one has to be taken.

    A label that is a place itself is no sum: it is replaced in its turn.
    """
    told = {s.place for s in selections}
    for other in selections:
        rival = other is not source and other.place is by.place and _hidden([other], kept | told)
        if rival and {*other.labels}.isdisjoint(by.labels) and meeting(by, other) is None:
            return rival[0]
    return None


def _replaced(by: Selection, source: Selection, state: State) -> State:
    """`Σ_place`: what the place is tied to takes its place in every factor and selection."""
    factors, selections, new = list(state[0]), [], []
    for s in state[1]:
        if s is source:
            continue
        if s.place is by.place:
            met = meeting(by, s)
            (factors.append(one_hot(s)) if met is None else new.append(met))
        elif by.place in s.labels:
            new.append(s.after(by))
        else:
            selections.append(s)
    if not (new or by.total or any(by.place in f.labels for f in factors)):
        factors.append(_ones((by.place,)))
    factors = [_take(f, by) if by.place in f.labels else f for f in factors]
    for s in new:
        (factors.extend(_of_itself(s)) if s.place in s.labels else selections.append(s))
    return factors, selections


def _of_itself(s: Selection) -> list[Factor]:
    """A label that is its own place, of a diagonal and that read back: ones where that holds."""
    if s.same:
        return []
    place = Label(s.place.size)
    ends = (place, s.place)
    return [one_hot(replace(s, place=place)), Factor(Identity(sizes(ends), 4), ends)]


def _distinct(selections: Sequence[Selection], kept: set[Label]) -> list[Selection]:
    """Lookups by a hidden label that are equal: their places are one."""
    result: list[Selection] = []
    first: dict[tuple, Selection] = {}
    for s in selections:
        twin = first.setdefault((s.labels, s.place.size, s.signature), s)
        if twin is s or kept.issuperset(s.labels):
            result.append(s)
        elif twin.place is not s.place:
            result.append(Selection.affine(s.place, twin.place, 0))
    return result


def _settles(
    label: Label, kept: set[Label], factors: Sequence[Factor], selections: Sequence[Selection]
) -> bool:
    """Whether a hidden label's entries go to their places before anything else is summed.

    They do where that makes what is summed smaller, or where nothing else is.
    """
    group, by = _together(label, kept, selections)
    carrying = [f for f in factors if not group.isdisjoint(f.labels)]
    if len(carrying) > 1 or not (_is_vector(group, by) or _is_full(group, by)):
        return False
    known = {*kept, *group, *_hidden(selections, kept)}
    alone = all(known.issuperset(f.labels) for f in carrying)
    return alone or _is_full(group, by)


def _is_vector(group: set[Label], by: Sequence[Selection]) -> bool:
    """Whether the entries go along one axis alone: a full one is as good, and can be added to."""
    return len(by) == 1 and group.issuperset(by[0].labels)


def _is_full(group: set[Label], by: Sequence[Selection]) -> bool:
    """Whether there are as many entries as places, so that nothing is won by listing them."""
    labels = {label for s in by for label in s.labels}
    return size({s.place for s in by}) * size(labels - group) <= size(labels | group)


def _together(
    label: Label, kept: set[Label], selections: Sequence[Selection]
) -> tuple[set[Label], list[Selection]]:
    """The hidden labels that are summed with one, and the selections that read them."""
    by = [s for s in selections if label in s.labels]
    group = {label}
    group |= {
        other
        for other in {other for s in by for other in s.labels} - kept
        if all(s in by for s in selections if other in s.labels)
    }
    return group, by


def _placed(label: Label, kept: set[Label], state: State) -> tuple[State, set[Label]]:
    """`Σ_label`: the entries of what carries the label go to their places.

    Returns:
        The factors and selections left, and the labels that were summed.
    """
    factors, selections = state
    group, by = _together(label, kept, selections)
    first: dict[Label, Selection] = {}
    carrying = [f for f in factors if not group.isdisjoint(f.labels)]
    rest = [f for f in factors if group.isdisjoint(f.labels)]
    for s in by:  # a place that is tied twice is where both agree
        carrying += [one_hot(s)] if first.setdefault(s.place, s) is not s else []
    for place in first:  # one that tells another is itself told by the labels that are summed
        told = first[place]
        first = {n: s.after(told) if place in s.labels else s for n, s in first.items()}
    whole = _product(carrying) if carrying else _ones((label,))
    for s in first.values():
        whole = _take(whole, s) if s.place in whole.labels else whole
    left = [s for s in selections if s not in by]
    put = _squeezed(_put(whole, tuple(first.values()), group), kept)
    return ([*rest, put], left), group


def _product(factors: Sequence[Factor]) -> Factor:
    labels = tuple(dict.fromkeys(label for factor in factors for label in factor.labels))
    result = product(Term((labels,), (), tuple(factors)))
    assert result is not None
    return result


def _ones(labels: tuple[Label, ...]) -> Factor:
    return Factor(contract_node((Factor(Identity((), 4), ()),), labels), labels)


def _take(factor: Factor, by: Selection) -> Factor:
    """A factor with the place's axis read by what ties it."""
    return Factor(*take(factor.node, factor.labels, by))


def _put(factor: Factor, by: Sequence[Selection], summed: set[Label]) -> Factor:
    """A factor with its entries added up at their places."""
    places = tuple(s.place for s in by)
    if len(by) == 1 and by[0].table is None and by[0].label in factor.labels:
        (s,), axis = by, factor.labels.index(by[0].label)
        labels = (*factor.labels[:axis], s.place, *factor.labels[axis + 1 :])
        moves = (axis, s.start, s.step, s.window)
        return Factor(Put(sizes(labels), factor.node.itemsize, (factor.node,), *moves), labels)
    lists = [s.labels for s in by]
    every = tuple(dict.fromkeys((*factor.labels, *(n for labels in lists for n in labels))))
    labels = places + tuple(label for label in every if label not in summed)
    number = {label: n for n, label in enumerate((*every, *places))}
    node = Put(
        sizes(labels),
        factor.node.itemsize,
        (factor.node, *(s.listed() for s in by)),
        indices=tuple(tuple(number[n] for n in one) for one in (factor.labels, *lists)),
        places=tuple(number[place] for place in places),
        output=tuple(number[label] for label in labels),
    )
    return Factor(node, labels)


def _squeezed(factor: Factor, kept: set[Label]) -> Factor:
    """A factor without its summed labels of size one."""
    if all(label.size > 1 for label in factor.labels):
        return factor
    labels = tuple(label for label in factor.labels if label.size > 1 or label in kept)
    if labels == factor.labels:
        return factor
    return Factor(Reshape(sizes(labels), factor.node.itemsize, (factor.node,)), labels)


def _united(term: Term) -> Term:
    """Selections of which the place is the label, one on either side, become deltas."""
    for s in term.selections:
        ends = [{*labels_of(axes)} & {s.place, s.label} for axes in (term.out, term.into)]
        others = [other for other in term.selections if other is not s]
        tied = any({s.place, s.label} <= {o.place, *o.labels} for o in others)
        twice = any(o.place in (s.place, s.label) for o in others)
        if not s.same or tied or twice or sorted(map(len, ends)) != [1, 1] or ends[0] == ends[1]:
            continue
        factors = tuple(_take(f, s) if s.place in f.labels else f for f in term.factors)
        names = {label: label for label in term.labels} | {s.place: s.label}
        return _united(relabel(replace(term, factors=factors, selections=tuple(others)), names))
    return term
