"""The steps of a derivation as a page shows them: under headings, each said once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from layouts.conventions import Layout
from layouts.formulas.tree import Entry, Equation, Formula
from layouts.nodes import Shape
from layouts.show.html import times
from layouts.show.text import text

# The headings in their order, and the kinds of steps under each.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Forward": ("forward",),
    "Local derivatives": ("partial",),
    "Backward, vertex by vertex": ("backward",),
    "Gradient": ("chain", "substitute", "delta", "result", "matrix"),
    "Rules": ("vjp", "jvp"),
    "Jacobian": ("jacobian",),
    "Layouts": ("kronecker", "layout"),
}


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        kind: which kind of step: "forward", "partial", "backward", "chain", "substitute", "delta",
            "result", "matrix", "jacobian", "kronecker", "vjp", "jvp" or "layout".
        formula: an equation; its last side is what the step arrives at.
        reason: why it holds, in one line.
        shape: of the array that the last side means.
        check: the largest difference from the true value, relative to its largest entry; None
            where only shapes are known.
    """

    kind: str
    formula: Formula
    reason: str
    shape: Shape
    check: float | None = None

    def __str__(self) -> str:
        return text(self.formula)

    @property
    def layout(self) -> Layout | None:
        """The layout that a step of kind "layout" is in."""
        word = self.reason.partition(" ")[0]
        return Layout(word) if self.kind == "layout" else None


@dataclass(frozen=True)
class Line:
    """A line of the page.

    Attributes:
        formula: an equation.
        reason: why it holds; the shape, where a whole array is written.
        continued: whether its left side is the line's above, and is not written again.
    """

    formula: Equation
    reason: str
    continued: bool = False


@dataclass(frozen=True)
class Section:
    """A heading and the lines under it."""

    title: str
    lines: tuple[Line, ...]


def outline(steps: Sequence[Step], layout: Layout | None = None) -> tuple[Section, ...]:
    """The steps under headings, without those that say what another said before.

    Args:
        steps: in the order of the derivation.
        layout: the only layout to show; all of them unless told.
    """
    found = []
    seen: set[str] = set()
    for title, kinds in SECTIONS.items():
        chosen = [step for step in steps if step.kind in kinds]
        lines = _arranged(chosen, layout) if title == "Layouts" else _told(chosen, seen)
        # One layout's matrix is not equal to another's.
        kept = tuple(lines if title == "Layouts" else _continued(lines))
        if kept:
            found.append(Section(title, kept))
    return tuple(found)


def _told(steps: Iterable[Step], seen: set[str]) -> Iterator[Line]:
    """Lines of equations that were not seen before."""
    for step in steps:
        if str(step) in seen:
            continue
        seen.add(str(step))
        equation, reason = _equation(step), step.reason
        if _is_whole(equation.sides[0]):
            why, mark, rest = reason.partition(";")
            reason = f"{why}, {times(step.shape)}{mark}{rest}"
        yield Line(equation, reason)


def _arranged(steps: Sequence[Step], layout: Layout | None) -> Iterator[Line]:
    """A line for each matrix, with the names of all layouts that it is written in."""
    stacked = {step.formula: step.reason for step in steps if step.kind == "kronecker"}
    groups: dict[tuple[Formula, Shape], list[Layout]] = {}
    for step in steps:
        sides = _equation(step).sides
        if sides[0] in sides[-1].walk():  # of what has no formula, this says nothing
            continue
        names = groups.setdefault((step.formula, step.shape), [])
        if step.layout is not None:
            names.append(step.layout)
    named = [names for names in groups.values() if names]
    first = next(((f, names) for (f, _), names in groups.items() if f in stacked and names), None)
    for (formula, shape), names in groups.items():
        owners = names or (first[1] if first else [])  # stacked by columns in the same layouts
        if layout is not None and layout not in owners:
            continue
        assert isinstance(formula, Equation)
        words = " = ".join(owners if layout is None else [layout])
        reason = f"{words}, {times(shape)}" if named else times(shape)
        if formula in stacked:
            how = stacked[formula].partition(":")[0].removeprefix("matrices ")
            reason += f", {how}"
        yield Line(formula, reason)


def _continued(lines: Iterable[Line]) -> Iterator[Line]:
    """Marks the lines whose left side is that of the line above."""
    left: Formula | None = None
    for line in lines:
        same = line.formula.sides[0] == left and len(line.formula.sides) == 2
        yield replace(line, continued=True) if same else line
        left = line.formula.sides[0]


def _is_whole(left: Formula) -> bool:
    """Whether a left side is an array and not an entry of one."""
    return not any(isinstance(part, Entry) for part in left.walk())


def _equation(step: Step) -> Equation:
    formula = step.formula
    return formula if isinstance(formula, Equation) else Equation((formula,))
