"""Follow selections through a sum: pick entries out of factors, place them, or tie labels anew.

A summed label that a selection ties is no sum at all: at most one of its values gives anything.
So it is replaced by the label (or the place) that it is tied to, and what carried it is sliced or
padded. Nothing is multiplied. Where that cannot be written, the selection becomes a one-hot matrix.
"""

from collections.abc import Sequence

from layouts.axes import Label, sizes
from layouts.program import Put, Take
from layouts.selection import Selection, meeting
from layouts.terms import Factor, one_hot

State = tuple[list[Factor], list[Selection]]


def follow(
    middle: Sequence[Label], factors: Sequence[Factor], selections: Sequence[Selection]
) -> tuple[list[Label], list[Factor], list[Selection]]:
    """Replace every summed label that a selection ties.

    Args:
        middle: the labels to be summed.
        factors: what carries them.
        selections: what ties them.

    Returns:
        The labels still to be summed, tied by nothing, and the factors and selections left.
    """
    left, state = list(middle), (list(factors), list(selections))
    for label in middle:
        if any(selection.empty for selection in state[1]):
            break  # the whole term is zero
        as_place = [s for s in state[1] if s.place is label]
        as_label = [s for s in state[1] if s.label is label]
        if as_label and not as_place and label.size == 1:
            left.remove(label)  # it only points at a place, and goes on pointing
        elif as_place or as_label:
            done = _replaced(label, as_place, as_label, state)
            if done is None:
                state = _untied(label, state)
            else:
                state = done
                left.remove(label)
    return left, *state


def _untied(label: Label, state: State) -> State:
    """Give up on a label's selections: one-hot matrices, to be summed like any factor."""
    factors, selections = state
    tied = [s for s in selections if label in (s.place, s.label)]
    return factors + [one_hot(s) for s in tied], [s for s in selections if s not in tied]


def _replaced(
    label: Label, as_place: list[Selection], as_label: list[Selection], state: State
) -> State | None:
    """Replace one summed label, or None where that cannot be written."""
    if as_place:
        return _picked(as_place[0], as_place[1:], as_label, state)
    turned = next((s for s in as_label if s.inverted() is not None), None)
    if turned is not None:
        inverse = turned.inverted()
        assert inverse is not None
        return _picked(inverse, [], [s for s in as_label if s is not turned], state, turned)
    return _placed(label, as_label, state)


def _picked(
    by: Selection,
    others: list[Selection],
    outer: list[Selection],
    state: State,
    known_as: Selection | None = None,
) -> State | None:
    """`Σ_place`: the label takes the place's place in every factor and selection."""
    factors, selections = state
    tied = [*others, *outer, known_as or by]
    new = [meeting(by, other) for other in others] + [s.after(by) for s in outer]
    carrying = [f for f in factors if by.place in f.labels]
    if any(s is None for s in new) or not (new or carrying or by.total):
        return None
    if any(by.label in f.labels for f in carrying):
        return None
    kept = [f for f in factors if by.place not in f.labels]
    return (
        kept + [_take(f, by) for f in carrying],
        [s for s in selections if s not in tied] + [s for s in new if s is not None],
    )


def _placed(label: Label, as_label: list[Selection], state: State) -> State | None:
    """`Σ_label`: the entries of the one factor that carries the label go to their places."""
    factors, selections = state
    carrying = [f for f in factors if label in f.labels]
    if len(as_label) > 1 or len(carrying) != 1 or as_label[0].place in carrying[0].labels:
        return None
    (by,) = as_label
    kept = [f for f in factors if f is not carrying[0]]
    return [*kept, _put(carrying[0], by)], [s for s in selections if s is not by]


def _take(factor: Factor, by: Selection) -> Factor:
    """A factor with the place's axis read by label."""
    axis = factor.labels.index(by.place)
    labels = tuple(by.label if label is by.place else label for label in factor.labels)
    return Factor(_moved(Take, factor, by, axis, labels), labels)


def _put(factor: Factor, by: Selection) -> Factor:
    """A factor with the label's axis written by place."""
    axis = factor.labels.index(by.label)
    labels = tuple(by.place if label is by.label else label for label in factor.labels)
    return Factor(_moved(Put, factor, by, axis, labels), labels)


def _moved(
    kind: type[Take] | type[Put],
    factor: Factor,
    by: Selection,
    axis: int,
    labels: tuple[Label, ...],
) -> Take | Put:
    table = () if by.table is None else (by.table,)
    return kind(
        sizes(labels),
        factor.node.itemsize,
        (factor.node, *table),
        axis,
        by.start,
        by.step,
        by.window,
    )
