"""A delta with an offset: slices, pads, flips, pieces of a concatenation, lookups.

`x[2:] - x[:-2]` has the Jacobian `δ[i+2,k] - δ[i,k]`: its entries are ones and zeros, so nothing is
stored, and a product with it moves entries and multiplies none. A selection ties two labels of a
term by `place = start + step·label` for the labels in a window; a lookup ties them by a table.
"""

from dataclasses import dataclass, replace

from layouts.axes import Label
from layouts.program import Node


@dataclass(frozen=True, slots=True)
class Selection:
    """One where `place = start + step·label` and the label is in the window, else zero.

    Attributes:
        place: the label of the longer axis, as a rule: where the entry stands.
        label: the label that runs over the entries.
        start: the place of label 0; may lie outside, where the window leaves that label out.
        step: not zero; negative for a flip.
        window: the labels from first to last, the last not included, that have a place.
        table: where the places are listed instead, an integer array with an entry for each label.
    """

    place: Label
    label: Label
    start: int = 0
    step: int = 1
    window: tuple[int, int] = (0, 0)
    table: Node | None = None

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
    def empty(self) -> bool:
        """Whether no label has a place."""
        return self.table is None and self.window[0] == self.window[1]

    @property
    def total(self) -> bool:
        """Whether every label is known to have a place; a table may list places outside."""
        return self.table is None and self.window == (0, self.label.size)

    @property
    def signature(self) -> tuple:
        """What tells it from others on the same labels."""
        table = None if self.table is None else self.table.signature
        return (self.start, self.step, self.window, table)

    def relabelled(self, names: dict[Label, Label]) -> "Selection":
        """The same selection on other labels of the same sizes."""
        return replace(self, place=names[self.place], label=names[self.label])

    def inverted(self) -> "Selection | None":
        """The label by the place, where the step lets it be written so."""
        if self.table is not None or abs(self.step) != 1:
            return None
        ends = [self.start + self.step * (n - (n == self.window[1])) for n in self.window]
        window = (min(ends), max(ends) + 1)
        return Selection.affine(self.label, self.place, -self.start * self.step, self.step, window)

    def after(self, inner: "Selection") -> "Selection | None":
        """With the label replaced by what places it: the place by `inner.label`."""
        if self.table is not None or inner.table is not None or self.empty or inner.empty:
            return None
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


def _ceil(number: float) -> int:
    return -int(-number // 1)


def _floor(number: float) -> int:
    return int(number // 1)


def meeting(one: Selection, other: Selection) -> Selection | None:
    """Two selections of one place: the label of the other by the label of the one."""
    inverse = other.inverted()
    if inverse is not None:
        return inverse.after(one)
    inverse = one.inverted()
    if inverse is not None:
        return inverse.after(other)
    return None
