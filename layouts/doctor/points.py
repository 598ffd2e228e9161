"""Derivatives at another point: a step left out, done twice, or an intermediate for another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layouts.doctor.listing import Step
from layouts.doctor.replay import Replay
from layouts.doctor.rewrites import Found, Rewrite
from layouts.doctor.slopes import VALUES
from layouts.doctor.tape import Tape
from layouts.doctor.units import between, dominators

# How many arrays are tried in the place of one.
MOST_POINTS = 8
# Functions whose slopes people write by their values, as 1 - y² for tanh.
BY_VALUE = ("tanh", "logistic", "exp", "sqrt", "rsqrt")
LINEAR = (
    *("add", "sub", "neg", "add_any", "reduce_sum", "broadcast_in_dim", "reshape", "transpose"),
    *("convert_element_type", "copy", "squeeze", "gather", "slice", "concatenate", "rev", "cumsum"),
)
# Steps that compute nothing that a person would think of.
_PLAIN = ("convert_element_type", "copy", "stop_gradient", "select_n")


def of_results(replay: Replay) -> Iterator[Found]:
    """A step left out, done twice, or another in its place; what follows is computed anew."""
    for number, step in enumerate(replay.steps):
        if step.name not in VALUES or not replay.tape.places(step) or step.name in _PLAIN:
            continue
        for place in range(len(step.operands)):
            yield from _left_out(replay, number, step, place)
        for words, fun in _others(step):
            yield (
                "wrong-point",
                f"what follows {step.name} is computed of {words}",
                f"compute it as the function does, by {step.name}",
                5,
                Rewrite(results={number: fun}),
            )


def _left_out(replay: Replay, number: int, step: Step, place: int) -> Iterator[Found]:
    """One operand of a step in place of its result."""
    if step.operands[place] is None:
        return
    yield (
        "wrong-point",
        f"what follows is computed without {step.name}: at another point",
        f"compute what follows of the result of {step.name}",
        4,
        Rewrite(passed={number: place}, frozen=frozenset([number])),
    )
    if place in replay.tape.places(step):
        kind = "missing-activation-derivative"
        if step.name in ("mul", "div"):
            other = replay.tape.operand(step, 1 - place)
            constant = step.operands[1 - place] not in replay.tape.active
            number_alone = constant and np.size(other) == 1
            kind = "constant-factor" if number_alone else "missing-factor"
        elif len(step.operands) > 1:
            active = step.operands[1 - place] in replay.tape.active
            kind = "missing-path" if active else "wrong-point"
        yield (
            kind,
            f"the whole is computed and differentiated without {step.name}",
            f"put {step.name} back, and its derivative",
            4,
            Rewrite(passed={number: place}),
        )


def _is_count(constant: Any) -> bool:
    """Whether a constant may be the number of something that a mean is taken of."""
    if constant is None or np.size(constant) != 1:
        return False
    number = float(np.ravel(constant)[0])
    return number >= 2 and number == round(number)


def _others(step: Step) -> Iterator[tuple[str, Any]]:
    """Other functions of a step's operands, in words."""
    fun, params = VALUES[step.name], step.params
    if len(step.operands) == 1:
        yield "its result twice over", lambda x: fun(params, fun(params, x))
        return
    if step.name == "div" and _is_count(step.constants[1]):
        yield "one less as the divisor", lambda x, y: x / (y - 1)
    if step.name in ("mul", "div"):
        yield "what has the factor twice", lambda x, y: fun(params, fun(params, x, y), y)
    if step.name in ("sub", "div", "pow"):
        yield "its operands exchanged", lambda x, y: fun(params, y, x)
    opposite = {"add": "sub", "sub": "add", "mul": "div", "div": "mul", "max": "min", "min": "max"}
    if step.name in opposite:
        other = VALUES[opposite[step.name]]
        yield f"{opposite[step.name]} in its place", lambda x, y: other({}, x, y)


# What a person may have taken a function of, in its operand's place.
_OF_ITSELF = {
    "its negative": lambda x: -x,
    "its absolute value": np.abs,
    "its square": np.square,
    "its inverse": lambda x: 1 / x,
    "its exponential": np.exp,
    "its logarithm": np.log,
    "its root": np.sqrt,
    "its sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "its tanh": np.tanh,
    "its positive part": lambda x: np.maximum(x, 0),
    "one less it": lambda x: 1 - x,
    "ones": np.ones_like,
    "zeros, without it": np.zeros_like,
}


def of_points(replay: Replay) -> Iterator[Found]:
    """An intermediate whose value is taken for another's, in one step or in all that follow."""
    tape = replay.tape
    after = dominators(tape.listing, tape)
    for variable in sorted({*tape.active, *_factors(replay)}):
        uses = tape.listing.uses(variable)
        if not uses or not np.size(tape.values[variable]):
            continue
        for words, value, rank in _instead(replay, variable):
            for rewrite in _where(replay, variable, uses, after.get(variable, []), value):
                yield (
                    "wrong-point",
                    f"derivatives are taken at {words}, not at the operand",
                    "take them at the operand's own value",
                    rank + (not rewrite.operands),
                    rewrite,
                )


def _factors(replay: Replay) -> set[int]:
    """Variables that are constant, but by which what depends on the input is multiplied."""
    return {
        variable
        for step in replay.steps
        if step.name in ("mul", "div", "dot_general") and replay.tape.places(step)
        for variable in step.operands
        if variable is not None and _is_real(replay.tape.values[variable])
    }


def _is_real(value: Any) -> bool:
    """Whether an array is of real numbers."""
    return np.issubdtype(np.asarray(value).dtype, np.floating)


def _instead(replay: Replay, variable: int) -> Iterator[tuple[str, Any, int]]:
    """Values that may be taken for a variable's, in words."""
    tape = replay.tape
    shape = np.shape(tape.values[variable])
    others = [
        other
        for other, value in tape.values.items()
        if other != variable and np.shape(value) == shape and _is_real(value)
    ]
    others.sort(key=lambda other: abs(other - variable))
    for other in others[:MOST_POINTS]:
        yield _told(replay, other), lambda t, other=other: t.values[other], 5
    for words, fun in _OF_ITSELF.items():
        yield words, lambda t, fun=fun: fun(np.asarray(t.values[variable])), 6
    start = _made_of(replay, variable)
    if start is not None:

        def derivative(t: Tape) -> Any:
            return between(t.listing, t, start, variable, np.ones_like(t.values[variable]))

        yield "its derivative", derivative, 6


def _made_of(replay: Replay, variable: int) -> int | None:
    """What a function entry by entry, of one operand, was given."""
    listing = replay.tape.listing
    for group in listing.groups:
        if group.output == variable and len(group.inputs) == 1:
            return group.inputs[0]
    for step in listing.steps:
        if variable in step.results and len(replay.tape.places(step)) == 1 and step.name in VALUES:
            place = replay.tape.places(step)[0]
            return step.operands[place]
    return None


def _relative(replay: Replay, variable: int) -> Iterator[tuple[Any, str, Any]]:
    """Values in a variable's place: other variables by how far away they are, or made of it."""
    tape = replay.tape
    shape = np.shape(tape.values[variable])
    for other, value in tape.values.items():
        if other != variable and np.shape(value) == shape and _is_real(value):
            words = (
                f"the value {abs(variable - other)} steps {'on' if other > variable else 'back'}"
            )
            yield other - variable, words, lambda t, other=other: t.values[other]
    for words, fun in _OF_ITSELF.items():
        yield words, words, lambda t, fun=fun: fun(np.asarray(t.values[variable]))


def _told(replay: Replay, variable: int) -> str:
    for step in replay.steps:
        if variable in step.results:
            return f"the result of {step.name}"
    return "an input"


def _where(
    replay: Replay, variable: int, uses: list[tuple[int, int]], after: list[int], value: Any
) -> Iterator[Rewrite]:
    """In one step alone; in all steps up to one that all paths lead to; or in all that follow."""
    for number, place in uses:
        step = replay.steps[number]
        if step.name not in LINEAR:
            yield Rewrite(operands={(number, place): value}, until=frozenset(step.results))
        if step.name in BY_VALUE and len(step.operands) == 1:
            yield Rewrite(values={number: value})
    ends = [end for end in after if end > variable]
    direct = {result for number, _ in uses for result in replay.steps[number].results}
    same = [
        e for e in ends if np.shape(replay.tape.values[e]) == np.shape(replay.tape.values[variable])
    ]
    for end in same[:3]:
        if end not in direct or len(uses) > 1:
            yield Rewrite(points={variable: value}, until=frozenset([end]))
    yield Rewrite(points={variable: value})


def of_points_everywhere(replay: Replay) -> Iterator[Found]:
    """The same point in each of several steps of one kind, as in a loop that is unrolled."""
    groups: dict[tuple, Rewrite] = {}
    counts: dict[tuple, int] = {}
    for number, step in enumerate(replay.steps):
        if step.name in LINEAR or number in replay.labels.whole or not replay.tape.places(step):
            continue
        targets = [(n, v) for n, v in enumerate(step.operands) if v is not None]
        if step.name in BY_VALUE:
            targets.append((-1, step.results[0]))
        for place, variable in targets:
            for key, words, value in _relative(replay, variable):
                name = step.name, place, key, words
                old = groups.get(name, Rewrite())
                counts[name] = counts.get(name, 0) + 1
                if place < 0:
                    groups[name] = Rewrite(values={**old.values, number: value})
                else:
                    groups[name] = Rewrite(
                        operands={**old.operands, (number, place): value},
                        until=old.until | {*step.results},
                    )
    for key, rewrite in groups.items():
        if counts[key] > 1:
            step_name, words = key[0], key[-1]
            yield (
                "wrong-point",
                f"in each {step_name} the derivative is taken at {words}, not at the operand",
                "take it at the operand's own value",
                5,
                rewrite,
            )
