"""Edits of units, the steps between two variables: passed straight through, or diagonal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layouts.doctor.entrywise import RULES
from layouts.doctor.hypotheses import Hypothesis, of_cotangent
from layouts.doctor.listing import Listing
from layouts.doctor.tape import Edit, Tape

# Pairs of variables that a unit may lie between, and the largest of which a diagonal is taken.
MOST_PAIRS = 60
MOST_ENTRIES = 128
# What is left out where the steps that are skipped do no more than move entries.
MOVED = ("not-flipped", "permutation-not-inverted")
# Library calls that people do not think of as functions with a derivative of their own.
PLAIN = ("where", "clip", "roll", "take", "var", "mean", "std", "matmul", "outer", "tile", "repeat")


def of_units(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """From a variable to one that all its paths lead to: passed through, or by its diagonal."""
    for start, end in _pairs(listing, tape):
        groups = (g for g in listing.groups if g.output == end and start in g.inputs)
        name = next((g.name for g in groups if g.name not in PLAIN), "")
        what = name or "what lies between"
        small = np.size(tape.values[end]) <= MOST_ENTRIES
        entrywise = small and _is_entrywise(tape, start, end)
        kind = _skipped(listing, tape, start, end)
        kind = "missing-activation-derivative" if name and kind not in MOVED else kind
        yield Hypothesis(
            kind,
            f"{what} is passed straight through, as if it were the identity",
            f"multiply by the Jacobian of {what}",
            Edit(skips={end: start}),
            1 if name else 4 if kind != "missing-activation-derivative" else 6,
        )
        if entrywise and kind == "missing-activation-derivative":
            yield from _other_rules(listing, start, end, what, 3 if name else 5)
        if small and not entrywise and name:
            yield from _of_relatives(end, what)
        if small and not entrywise:
            yield Hypothesis(
                "diagonal-only",
                f"of the Jacobian of {what} only the diagonal is used",
                "each entry of the output depends on all entries that are normalised with it",
                _diagonal_edit(listing, start, end),
                2,
            )
        if small and (name or not entrywise):
            yield Hypothesis(
                "value-for-derivative",
                f"the value of {what} stands where its derivative belongs",
                f"multiply by the Jacobian of {what}",
                _product_edit(listing, start, end),
                2 if name else 3,
            )


def _of_relatives(end: int, what: str) -> Iterator[Hypothesis]:
    """The pull-back of a function's exponential, or of its logarithm, in the place of its own."""
    slopes = {"the exponential": np.exp, "the logarithm": np.reciprocal}
    for words, slope in slopes.items():

        def change(g: Any, t: Tape, slope: Any = slope) -> Any:
            return np.asarray(g) * slope(np.asarray(t.values[end]))

        yield Hypothesis(
            "wrong-point",
            f"the derivative of {words} of {what} stands where that of {what} belongs",
            f"multiply by the Jacobian of {what}",
            of_cotangent(end, change),
            4,
        )


def _other_rules(
    listing: Listing, start: int, end: int, what: str, rank: int
) -> Iterator[Hypothesis]:
    """The derivative of another function than the one between two variables."""
    if any({*step.operands} == {start} and end in step.results for step in listing.steps):
        return  # one step: its own edits
    for other, rule in RULES.items():
        yield Hypothesis(
            "wrong-point",
            f"the derivative of {other} stands where that of {what} belongs",
            f"multiply by the derivative of {what}",
            _replaced_edit(
                listing,
                start,
                end,
                lambda t, rule=rule: rule(*(np.asarray(t.values[n]) for n in (start, end))),  # type: ignore[misc]
            ),
            rank,
        )


def _skipped(listing: Listing, tape: Tape, start: int, end: int) -> str:
    """What is left out where a cotangent skips the steps between two variables."""
    between = (step for step in listing.steps if start < step.results[0] <= end)
    names = {step.name for step in between if tape.places(step)}
    if names <= {"rev"}:
        return "not-flipped"
    if names <= {"gather", "transpose", "rev", "reshape", "dynamic_slice", "concatenate", "slice"}:
        return "permutation-not-inverted"
    if names <= {"dot_general", "transpose", "mul", "div", "broadcast_in_dim", "select_n"}:
        return "missing-factor"
    return "missing-activation-derivative"


def _pairs(listing: Listing, tape: Tape) -> list[tuple[int, int]]:
    """Variables of one shape, the later one on every path from the earlier to the output."""
    found = []
    after = dominators(listing, tape)
    for start in sorted(tape.active):
        shape = np.shape(tape.values[start])
        for end in after.get(start, ()):
            if end != start and np.shape(tape.values[end]) == shape and shape:
                found.append((start, end))
    grouped = {(n, g.output) for g in listing.groups for n in g.inputs}
    found.sort(key=lambda pair: (pair not in grouped, pair[1] - pair[0]))
    return found[:MOST_PAIRS]


def dominators(listing: Listing, tape: Tape) -> dict[int, list[int]]:
    """For each variable those that all its paths to the output go through, nearest first."""
    after: dict[int, set[int]] = {}
    order: dict[int, int] = {}
    if listing.output is not None:
        after[listing.output] = {listing.output}
    for number, step in enumerate(listing.steps):
        order.update(dict.fromkeys(step.results, number))
    for variable in sorted(tape.active, reverse=True):
        if variable in after:
            continue
        ways = []
        for number, place in listing.uses(variable):
            step = listing.steps[number]
            if place in tape.places(step):
                ways += [after[n] for n in step.results if n in after]
        if ways:
            after[variable] = {variable} | set.intersection(*ways)
    return {v: sorted(dominators) for v, dominators in after.items()}


def between(listing: Listing, tape: Tape, start: int, end: int, cotangent: Any) -> Any:
    """A cotangent of one variable pulled back to an earlier one."""
    found: dict[int, Any] = {end: cotangent}
    for number in reversed(range(len(listing.steps))):
        step = listing.steps[number]
        if step.results[0] > end or step.results[-1] <= start:
            continue
        tape.step_back(number, found, Edit())
    return found.get(start, np.zeros_like(tape.values[start]))


def _is_entrywise(tape: Tape, start: int, end: int) -> bool:
    """Whether the Jacobian is diagonal: seen by one cotangent with a single entry."""
    value = np.asarray(tape.values[end])
    one = np.zeros(value.size, value.dtype)
    one[value.size // 2] = 1
    pulled = np.array(between(tape.listing, tape, start, end, one.reshape(value.shape))).ravel()
    pulled[value.size // 2] = 0
    return not np.abs(pulled).max(initial=0) > 1e-12


def _diagonal(listing: Listing, tape: Tape, start: int, end: int) -> np.ndarray:
    """The diagonal of a Jacobian, entry by entry."""
    value = np.asarray(tape.values[end])
    found = np.zeros(value.size, value.dtype)
    for place in range(value.size):
        one = np.zeros(value.size, value.dtype)
        one[place] = 1
        pulled = between(listing, tape, start, end, one.reshape(value.shape))
        found[place] = np.asarray(pulled).ravel()[place]
    return found.reshape(value.shape)


def _replaced_edit(listing: Listing, start: int, end: int, factor: Any) -> Edit:
    """The cotangent of `end`, times an array, is all that `start` gets."""
    return Edit(skips={end: start}, cotangents={end: lambda g, t: np.asarray(g) * factor(t)})


def _diagonal_edit(listing: Listing, start: int, end: int) -> Edit:
    known: dict[int, np.ndarray] = {}

    def factor(tape: Tape) -> np.ndarray:
        if id(tape) not in known:
            known[id(tape)] = _diagonal(listing, tape, start, end)
        return known[id(tape)]

    return _replaced_edit(listing, start, end, factor)


def _product_edit(listing: Listing, start: int, end: int) -> Edit:
    return _replaced_edit(listing, start, end, lambda tape: np.asarray(tape.values[end]))
