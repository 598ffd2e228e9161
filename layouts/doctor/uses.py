"""Edits of uses of a variable: one left out, counted twice, or what is used held constant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layouts.doctor.hypotheses import Hypothesis, at, of_cotangent
from layouts.doctor.listing import Listing
from layouts.doctor.tape import Contribution, Edit, Tape

# Uses of one variable of which one may overwrite the others.
MOST_USES = 6
# Steps that move or repeat entries and compute nothing.
MOVES = ("broadcast_in_dim", "reshape", "transpose", "convert_element_type", "squeeze", "copy")


def of_uses(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """A variable is used more than once, and one use is left out."""
    for variable in sorted(tape.active):
        uses = [
            use for use in listing.uses(variable) if use[1] in tape.places(listing.steps[use[0]])
        ]
        if len(uses) < 2:
            continue
        for number, place in uses:
            statistic = _is_statistic(listing, tape, number, variable)
            kind = "treated-as-constant" if statistic else "missing-path"
            words = listing.steps[number].name
            message = (
                "a statistic of the input is treated as a constant"
                if statistic
                else "a variable is used more than once, and one of its paths is left out"
            )
            yield Hypothesis(
                kind,
                f"{message} (through {words})",
                "add the cotangents of all paths",
                at(number, place, lambda g, c, t: np.zeros_like(c)),
                1,
            )
            if not statistic and _is_factor(listing, tape, number, variable):
                yield Hypothesis(
                    "treated-as-constant",
                    f"one of two factors that depend on the variable is held constant ({words})",
                    "a product has two paths: add the cotangents of both",
                    at(number, place, lambda g, c, t: np.zeros_like(c)),
                    2,
                )
        yield from _less_means(listing, tape, variable, uses)
        if len(uses) == 2:
            yield from _doubled(uses)
        if len(uses) <= MOST_USES:
            yield from _overwriting(listing, uses)


def _less_means(
    listing: Listing, tape: Tape, variable: int, uses: list[tuple[int, int]]
) -> Iterator[Hypothesis]:
    """The mean taken off the cotangent of one use, as layer norm's rule does."""
    shape = np.shape(tape.values[variable])
    reduced = {
        tuple(step.params["axes"])
        for step in listing.steps
        if step.name == "reduce_sum" and np.shape(tape.operand(step, 0)) == shape
    }
    for axes in sorted(reduced):
        for number, place in uses:
            yield Hypothesis(
                "wrong-point",
                "a mean is taken off the cotangent, as if one were taken off on the way there",
                "the rule of another function: nothing is centred here",
                at(
                    number,
                    place,
                    lambda g, c, t, axes=axes: np.asarray(c) - np.mean(c, axes, keepdims=True),  # type: ignore[misc]
                ),
                4,
            )


def _is_factor(listing: Listing, tape: Tape, number: int, variable: int) -> bool:
    """Whether a use of a variable ends in a product with what comes of another use of it."""
    through, around = {*listing.steps[number].results}, {variable}
    for n, step in enumerate(listing.steps):
        operands = {*step.operands}
        if n > number and operands & through:
            if step.name == "mul" and operands & around - through:
                return True
            through |= {*step.results}
        if n != number and operands & around:
            around |= {*step.results}
    return False


def _doubled(uses: list[tuple[int, int]]) -> Iterator[Hypothesis]:
    """One path counted twice and the other not at all, as in 2 A x for xᵀ A x."""
    for one, other in (uses, uses[::-1]):
        edit = Edit(
            contributions={
                one: lambda g, c, t: 2 * np.asarray(c),
                other: lambda g, c, t: np.zeros_like(c),
            }
        )
        yield Hypothesis(
            "missing-path",
            "one path is counted twice in place of both: right only where they are equal, as for a"
            " symmetric matrix",
            "add both paths, as (A + Aᵀ) x",
            edit,
            1,
        )


def _overwriting(listing: Listing, uses: list[tuple[int, int]]) -> Iterator[Hypothesis]:
    """Where several paths give an entry something, a later one does alone: assigned, not added."""
    moves = ("slice", "gather", "dynamic_slice", "rev", "pad", "squeeze", "concatenate")
    picking = [use for use in uses if listing.steps[use[0]].name in moves]
    found: list[dict[tuple[int, int], list[tuple[int, int]]]] = [
        {use: [last] for use in uses if use != last} for last in picking
    ]
    if len(picking) == len(uses) > 2:
        for order in (uses, uses[::-1]):
            found.append({use: order[n + 1 :] for n, use in enumerate(order[:-1])})
    for later in found:
        yield Hypothesis(
            "overwritten-duplicates",
            "where several paths reach an entry, the cotangent of one overwrites the others'",
            "add the cotangents of all paths",
            Edit(contributions={use: _unless(others) for use, others in later.items()}),
            3,
        )


def _unless(others: list[tuple[int, int]]) -> Contribution:
    """What a path carries, but where one of the others reaches."""

    def kept(g: list[Any], c: Any, t: Tape) -> Any:
        array = np.asarray(c)
        for number, place in others:
            step = t.listing.steps[number]
            ones = [np.ones_like(t.values[n]) for n in step.results]
            reached = np.asarray(t.pull(step, t.operands(step), place, ones)) != 0
            array = np.where(reached, 0, array)
        return array

    return kept


def of_constants(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """An intermediate is treated as a constant."""
    for number, step in enumerate(listing.steps):
        for variable in step.results:
            if variable in tape.active and variable != listing.output:
                statistic = _is_statistic(listing, tape, number, None)
                yield Hypothesis(
                    "treated-as-constant" if statistic else "missing-path",
                    f"the result of {step.name} is treated as a constant",
                    "it depends on the input: pass its cotangent on",
                    of_cotangent(variable, lambda g, t: np.zeros_like(g)),
                    3 if statistic else 4,
                )


def _is_statistic(listing: Listing, tape: Tape, number: int, variable: int | None) -> bool:
    """Whether a path goes through something that people hold fixed: a mean, a norm, a factor.

    A sum that is added to others, as the parts of a loss are, is a path like any other; one that
    is spread over an array again, or multiplied in, is a statistic.
    """
    step = listing.steps[number]
    size = max((np.size(tape.operand(step, n)) for n in tape.places(step)), default=0)
    least, computed = size, False
    for _ in range(10):
        result = step.results[0]
        if len(tape.places(step)) > 1:
            if step.name == "div" or (step.name == "mul" and least < np.size(tape.values[result])):
                return computed and (least < size or step.name == "div")
            if step.name in ("add", "sub", "dot_general"):
                return least < size and least < np.size(tape.values[result])
        computed = computed or step.name not in MOVES
        if step.name == "dot_general":
            return False
        least = min(least, np.size(tape.values[result]))
        uses = listing.uses(result)
        if len(uses) != 1 or result == listing.output:
            return least < size and result != listing.output
        step = listing.steps[uses[0][0]]
    return False
