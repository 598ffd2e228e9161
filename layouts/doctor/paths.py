"""Edits of paths: one left out, a statistic held constant, a unit passed straight through."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from layouts.doctor.entrywise import RULES
from layouts.doctor.hypotheses import Hypothesis, at, of_cotangent
from layouts.doctor.listing import Listing
from layouts.doctor.tape import Contribution, Edit, Tape

# Pairs of variables that a unit may lie between, and the largest of which a diagonal is taken.
MOST_PAIRS = 60
MOST_ENTRIES = 128
# Products of matrices whose Jacobian may be one for vectors stacked by columns.
MOST_PRODUCTS = 4
# Uses of one variable of which one may overwrite the others.
MOST_USES = 6


# What is left out where the steps that are skipped do no more than move entries.
MOVED = ("not-flipped", "permutation-not-inverted")
# Library calls that people do not think of as functions with a derivative of their own.
PLAIN = ("where", "clip", "roll", "take", "var", "mean", "std", "matmul", "outer", "tile", "repeat")


def of_paths(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """All edits of paths; their number is linear in the number of steps.

    Args:
        listing: the function.
        tape: a run of it.
    """
    yield from _start(listing, tape)
    yield from _uses(listing, tape)
    yield from _constants(listing, tape)
    yield from _units(listing, tape)


def _start(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """The cotangent dropped, or the output in its place."""
    if listing.output is None:
        return
    yield Hypothesis(
        "missing-cotangent",
        "the cotangent is left out, as if it were ones",
        "multiply by the cotangent: with ones in its place this looks right",
        of_cotangent(listing.output, lambda g, t: np.ones_like(g)),
        1,
    )
    output = listing.output
    yield Hypothesis(
        "missing-cotangent",
        "the output stands where the cotangent belongs",
        "start from the cotangent",
        of_cotangent(output, lambda g, t: np.asarray(t.values[output])),
        2,
    )
    products = [s.results[0] for s in listing.steps if s.name == "dot_general" and tape.places(s)]
    for end in dict.fromkeys([output, *products[:MOST_PRODUCTS]]):
        for leaf in sorted(tape.active & {*listing.inputs} - {end}):
            yield from _by_columns(tape, end, leaf)


def _by_columns(tape: Tape, output: int, leaf: int) -> Iterator[Hypothesis]:
    """The Jacobian for vectors stacked by columns, of vectors that are stacked by rows.

    Such is `kron(X.T, I)` for `W @ X`: it needs `vec(dD)` by columns, and gives `vec(dW)` so.
    """
    shapes = np.shape(tape.values[output]), np.shape(tape.values[leaf])
    if all(len(shape) == 2 and shape[0] == shape[1] for shape in shapes):
        yield Hypothesis(
            "operand-not-transposed",
            "nothing is transposed, or everything where nothing should be",
            "the Jacobian's transpose carries cotangents back",
            Edit(cotangents=dict.fromkeys((output, leaf), lambda g, t: np.transpose(g))),
            4,
        )
    for there, back in product((_read_by_columns, _laid_by_columns), repeat=2):
        yield Hypothesis(
            "vec-order",
            "the Jacobian for one order of stacking is multiplied by a cotangent in the other",
            "stack arrays in the order that the Jacobian, or its Kronecker products, are for",
            Edit(
                cotangents={
                    output: lambda g, t, there=there: there(np.asarray(g)),  # type: ignore[misc]
                    leaf: lambda g, t, back=back: back(np.asarray(g)),  # type: ignore[misc]
                }
            ),
            5,
        )


def _read_by_columns(array: np.ndarray) -> np.ndarray:
    return array.ravel(order="F").reshape(array.shape)


def _laid_by_columns(array: np.ndarray) -> np.ndarray:
    return array.ravel().reshape(array.shape, order="F")


def _uses(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
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


def _constants(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
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


# Steps that move or repeat entries and compute nothing.
MOVES = ("broadcast_in_dim", "reshape", "transpose", "convert_element_type", "squeeze", "copy")


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


def _units(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
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
