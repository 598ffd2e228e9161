"""A delta with an offset: slices, pads, flips, pieces of a concatenation, lookups.

`x[2:] - x[:-2]` has the Jacobian `δ[i+2,k] - δ[i,k]`: its entries are ones and zeros, so nothing is
stored, and a product with it moves entries and multiplies none. A selection ties two labels of a
term by `place = start + step·label` for the labels in a window. A lookup `x[T]` ties them by a
table, `place = T[label]`: an array of integers that carries labels as a factor does, one or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from layouts.axes import Axis, Label, sizes
from layouts.nodes import Digit, Indices, Node, Reshape, Steps, Take


@dataclass(frozen=True, slots=True)
class Selection:
    """One where `place = start + step·label` and the label is in the window, else zero.

    With a table, one where `place = table[label, *others]`. A place that is not on its axis gives
    zero; such a place is past the end, never negative.

    Attributes:
        place: the label of the longer axis, as a rule: where the entry stands.
        label: the label that runs over the entries.
        start: the place of label 0; may lie outside, where the window leaves that label out.
        step: not zero; negative for a flip.
        window: the labels from first to last, the last not included, that have a place.
        table: where the places are listed instead, an integer array with the axes `labels`.
        others: more labels that a table depends on, such as those of a batch of lookups.
    """

    place: Label
    label: Label
    start: int = 0
    step: int = 1
    window: tuple[int, int] = (0, 0)
    table: Node | None = None
    others: tuple[Label, ...] = ()

    @staticmethod
    def affine(
        place: Label, label: Label, start: int, step: int = 1, window: tuple[int, int] | None = None
    ) -> "Selection":
        """A selection whose window is cut to the labels that have a place at all.

        Example:
            >>> k, i = Label(7), Label(5)
            >>> Selection.affine(k, i, 2).window, Selection.affine(i, k, -2).window
            ((0, 5), (2, 7))
        """
        first, last = window or (0, label.size)
        ends = sorted((-start / step, (place.size - 1 - start) / step))
        first = max(first, 0, _ceil(ends[0]))
        last = min(last, label.size, _floor(ends[1]) + 1)
        return Selection(place, label, start, step, (first, max(first, last)))

    @property
    def labels(self) -> tuple[Label, ...]:
        """All labels that the place depends on."""
        return (self.label, *self.others)

    @property
    def empty(self) -> bool:
        """Whether no label has a place."""
        return self.table is None and self.window[0] == self.window[1]

    @property
    def total(self) -> bool:
        """Whether every label is known to have a place; a table may list places outside."""
        return self.table is None and self.window == (0, self.label.size)

    @property
    def same(self) -> bool:
        """Whether the place is the label: a delta in disguise."""
        plain = (self.start, self.step) == (0, 1) and self.place.size == self.label.size
        return plain and self.total

    @property
    def signature(self) -> tuple:
        """What tells it from others on the same labels."""
        table = None if self.table is None else _signature(self.table)
        return (self.start, self.step, self.window, table)

    def relabelled(self, names: dict[Label, Label]) -> "Selection":
        """The same selection on other labels of the same sizes."""
        others = tuple([names[label] for label in self.others])
        moves = (self.start, self.step, self.window, self.table)
        return Selection(names[self.place], names[self.label], *moves, others)

    def listed(self) -> Node:
        """The places as a table, in the order of the labels."""
        if self.table is not None:
            return self.table
        shape = (self.label.size,)
        return Steps(shape, 4, (), self.start, self.step, self.window, self.place.size)

    def inverted(self) -> "Selection | None":
        """The label by the place, where the step lets it be written so."""
        moves = None if self.table is not None else moves_back(self.start, self.step, self.window)
        return None if moves is None else Selection.affine(self.label, self.place, *moves)

    def listed_inverse(self) -> "Selection":
        """The label by the place as a table, where the places are steps apart."""
        shape = (self.place.size,)
        table = Steps(shape, 4, (), self.start, self.step, self.window, self.label.size, True)
        return Selection(self.label, self.place, table=table)

    def after(self, inner: "Selection") -> "Selection":
        """With the label `inner.place` replaced by what places it."""
        if self.empty or inner.empty:
            return Selection(self.place, inner.label)
        if self.table is not None or inner.table is not None:
            table, labels = take(self.listed(), self.labels, inner, fill=self.place.size)
            return looked_up(self.place, labels, table)
        # The labels of `inner` whose places lie in this window.
        ends = sorted(
            (end - inner.start) / inner.step for end in (self.window[0], self.window[1] - 1)
        )
        window = (max(inner.window[0], _ceil(ends[0])), min(inner.window[1], _floor(ends[1]) + 1))
        return Selection.affine(
            self.place,
            inner.label,
            self.start + self.step * inner.start,
            self.step * inner.step,
            (window[0], max(window)),
        )

    def split(self, place: Axis, labels: Sequence[Axis]) -> tuple["Selection", ...]:
        """The same ties on the digits of the labels, one selection for each digit of the place.

        Args:
            place: the digits of the place, most significant first.
            labels: the digits of each of `labels`.
        """
        if len(place) == 1 and all(len(axis) == 1 for axis in labels):
            names = zip((self.place, *self.labels), (*place, *(a for (a,) in labels)), strict=True)
            return (self.relabelled(dict(names)),)
        digits = tuple(digit for axis in labels for digit in axis)
        if self.table is None and self.label.size == 1:
            return self._of_one_entry(place, *(digits or (Label(1),)))
        table: Node = Reshape(sizes(digits), 4, (self.listed(),))
        found: list[Selection] = []
        below = self.place.size
        for digit in place:
            below //= digit.size
            # The first digit keeps a place past the end past its own end.
            base = digit.size if found else 0
            node = Digit(table.shape, 4, (table,), below, base) if len(place) > 1 else table
            found.append(looked_up(digit, digits, node))
        return tuple(found)

    def _of_one_entry(self, place: Axis, label: Label) -> tuple["Selection", ...]:
        """The digits of the place of a single entry: numbers, for which no table is needed."""
        found, below = [], self.place.size
        for digit in place:
            below //= digit.size
            start = self.start // below % digit.size
            found.append(Selection.affine(digit, label, start, 1, self.window))
        return tuple(found)


def moves_back(
    start: int, step: int, window: tuple[int, int]
) -> tuple[int, int, tuple[int, int]] | None:
    """The label by the place: start, step and window; None where the step has no such inverse.

    Example:
        >>> moves_back(6, -1, (0, 5))  # of the places 6, 5, 4, 3, 2
        (6, -1, (2, 7))
    """
    if abs(step) != 1:
        return None
    first, last = (start + step * label for label in window)
    return -step * start, step, (first, last) if step == 1 else (last + 1, first + 1)


def looked_up(place: Label, labels: Sequence[Label], table: Node) -> Selection:
    """`place = table[labels]`; a table of no axes gets a label that it points from.

    Example:
        >>> from layouts.nodes import Leaf
        >>> k, i, j = Label(7), Label(2), Label(3)
        >>> looked_up(k, (i, j), Leaf((2, 3), 4)).labels == (i, j)
        True
    """
    if not labels:
        return Selection(place, Label(1), table=Reshape((1,), 4, (table,)))
    return Selection(place, labels[0], table=table, others=tuple(labels[1:]))


def take(
    node: Node, labels: tuple[Label, ...], by: Selection, fill: int = 0
) -> tuple[Node, tuple[Label, ...]]:
    """An array with the axis of `by.place` read by what ties it.

    Args:
        node: the array.
        labels: what its axes carry; a label of `by` may be among them.
        by: the selection.
        fill: what is read where there is no place.

    Returns:
        The new array and its labels.
    """
    axis = labels.index(by.place)
    new = tuple(label for label in by.labels if label not in labels)
    result = labels[:axis] + new + labels[axis + 1 :]
    if by.table is None and new:
        moves = (axis, by.start, by.step, by.window, fill)
        return Take(sizes(result), node.itemsize, (node,), *moves), result
    return read(node, labels, by, result, fill), result


def read(
    node: Node,
    labels: tuple[Label, ...],
    by: Selection,
    output: tuple[Label, ...],
    fill: int = 0,
) -> Node:
    """An array with the axis of `by.place` read at the places of a table.

    Args:
        node: the array.
        labels: what its axes carry; a label of `by` may be among them.
        by: the selection.
        output: what the result's axes carry, in any order.
        fill: what is read where there is no place.
    """
    operands, indices, places, number = _reading(node, labels, by.place, fill)
    first = 1 + max(chain(*indices))
    new = [label for label in by.labels if label not in labels]
    number |= {label: first + place for place, label in enumerate(new)}
    return Take(
        sizes(output),
        node.itemsize,
        (*operands, by.listed()),
        fill=fill,
        indices=(*indices, tuple(number[label] for label in by.labels)),
        places=(*places, number[by.place]),
        output=tuple(number[label] for label in output),
    )


def _reading(
    node: Node, labels: tuple[Label, ...], place: Label, fill: int
) -> tuple[tuple[Node, ...], tuple[Indices, ...], Indices, dict[Label, int]]:
    """What is read, and how far: an axis that lookups left alone is read along with theirs."""
    if isinstance(node, Take) and node.places and node.fill == fill:
        number = dict(zip(labels, node.output, strict=True))
        if number[place] not in set(chain(*node.indices[1:])):
            return node.operands, node.indices, node.places, number
    number = {label: axis for axis, label in enumerate(labels)}
    return (node,), (tuple(number.values()),), (), number


def _ceil(number: float) -> int:
    return -int(-number // 1)


def _floor(number: float) -> int:
    return int(number // 1)


def _signature(node: Node) -> tuple:
    """What tells a table from others: tables are short programs, not worth numbering."""
    return (node.signature, *map(_signature, node.operands))


def meeting(one: Selection, other: Selection) -> Selection | None:
    """Two selections of one place: the label of one by the labels of the other.

    None where both are tables, which may list a place more than once.
    """
    for inner, outer in ((one, other), (other, one)):
        inverse = outer.inverted()
        if inverse is not None:
            return inverse.after(inner)
    for inner, outer in ((one, other), (other, one)):
        if outer.table is None:
            return outer.listed_inverse().after(inner)
    return None
