"""Repeated layers folded: the steps of one, and how often they come again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layouts.derivation.steps import Step
from layouts.formulas.tree import Formula, Letter, Name, View
from layouts.show.text import text

# Fewer repetitions are printed, and so are all steps of a derivation that is no longer than this.
LEAST = 3
LONGEST_WHOLE = 40
# Steps of other kinds are never many.
FOLDED = ("forward", "backward")
# A layer has at most so many steps.
LONGEST = 12


def folded(steps: Sequence[Step]) -> tuple[list[Step], list[str]]:
    """Leave out steps that repeat those before them but for names.

    Args:
        steps: in order.

    Returns:
        The steps with each run of repetitions left out but its first, and what that is called; a
        derivation of few steps as it is.
    """
    if len(steps) <= LONGEST_WHOLE:
        return list(steps), []
    signs = [_signature(step) for step in steps]
    kept: list[Step] = []
    notes: list[str] = []
    place = 0
    while place < len(steps):
        period, times = _run(signs, place)
        if times < LEAST:
            kept.append(steps[place])
            place += 1
            continue
        block = list(steps[place : place + period])
        last = steps[place + period * times - 1]
        again = f"and likewise {times - 1} times more, to {_left(last)}"
        block[-1] = replace(block[-1], reason=f"{block[-1].reason}; {again}")
        kept += block
        notes.append(f"Folded: {_left(steps[place])} {again}.")
        place += period * times
    return kept, notes


def _run(signs: Sequence[tuple[str, Formula]], place: int) -> tuple[int, int]:
    """The period that repeats most from a place on, and how often it stands there."""
    best = (1, 1)
    if signs[place][0] not in FOLDED:
        return best
    for period in range(1, min(LONGEST, (len(signs) - place) // LEAST) + 1):
        block, times = signs[place : place + period], 1
        while signs[place + times * period : place + (times + 1) * period] == block:
            times += 1
        if times >= LEAST and period * times > best[0] * best[1]:
            best = (period, times)
    return best


def _signature(step: Step) -> tuple[str, Formula]:
    """The step with its names numbered as they come."""
    names: dict[Formula, Formula] = {}
    for part in step.formula.walk():
        if isinstance(part, Name | Letter) or _is_row(part):
            names.setdefault(part, Name(f"#{len(names)}"))
    return step.kind, step.formula.replaced(names)


def _is_row(formula: Formula) -> bool:
    """Whether it is `xs[3]`, which is a name by another number."""
    match formula:
        case View(Name(), entries):
            return all(entry.isdigit() for entry in entries)
    return False


def _left(step: Step) -> str:
    return text(step.formula.parts[0])
