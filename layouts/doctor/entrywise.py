"""Edits of what acts entry by entry: functions, products, quotients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at, fitted
from layouts.doctor.tape import Step, Tape

# Functions of one operand that act entry by entry.
UNARY = {
    *("tanh", "logistic", "exp", "log", "sin", "cos", "sqrt", "rsqrt", "integer_pow", "square"),
    *("abs", "erf", "log1p", "expm1", "custom_jvp_call", "tan", "sinh", "cosh", "exp2", "cbrt"),
}
POWERS = {"integer_pow", "square", "sqrt", "rsqrt", "cbrt"}
SHOWN = {"logistic": "sigmoid", "custom_jvp_call": "the activation", "integer_pow": "the power"}

# Derivatives that are taken for one another: each of the operand and of the value.
RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "tanh, 1 - y²,": lambda x, y: 1 - y**2,
    "the sigmoid, y (1 - y),": lambda x, y: y * (1 - y),
    "relu": lambda x, y: (x > 0).astype(x.dtype),
    "a function of the value, 1 - y,": lambda x, y: 1 - y,
    "tanh taken at the operand, 1 - x²,": lambda x, y: 1 - x**2,
    "the sigmoid taken at the operand, x (1 - x),": lambda x, y: x * (1 - x),
    "the sigmoid": lambda x, y: _sigmoid(x) * (1 - _sigmoid(x)),
    "tanh": lambda x, y: 1 - np.tanh(x) ** 2,
    "sin": lambda x, y: np.cos(x),
    "softplus": lambda x, y: _sigmoid(x),
    "a step of the value": lambda x, y: (y > 0).astype(x.dtype),
}


def of_functions(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of a function that acts entry by entry."""
    same = tape.values[step.results[0]].shape == tape.operand(step, place).shape
    if step.name not in UNARY or not same or len(tape.places(step)) != 1:
        return
    name = SHOWN.get(step.name, step.name)
    # Of a power inside a function people say that the inner derivative is missing, a factor.
    inner = step.name in POWERS and _is_inner(step, tape)
    missing = "missing-factor" if inner else "missing-activation-derivative"
    fix = f"multiply by the derivative of {name}, taken at its operand"

    def value(tape: Tape) -> np.ndarray:
        return array_of(tape.values[step.results[0]])

    def point(tape: Tape) -> np.ndarray:
        return array_of(tape.operand(step, place))

    yield Hypothesis(
        missing,
        f"the derivative of {name} is left out",
        fix,
        at(number, place, lambda g, c, t: g[0]),
        2,
    )
    yield Hypothesis(
        "value-for-derivative",
        f"the value of {name} stands where its derivative belongs",
        fix,
        at(number, place, lambda g, c, t: array_of(g[0]) * value(t)),
        2,
    )
    yield Hypothesis(
        "value-for-derivative",
        f"the operand of {name} stands where its derivative belongs",
        fix,
        at(number, place, lambda g, c, t: array_of(g[0]) * point(t)),
        4,
    )
    yield Hypothesis(
        "wrong-point",
        f"the derivative of {name} is taken at its value, not at its operand",
        fix,
        at(number, place, lambda g, c, t: t.pull(step, [value(t)], place, g)),
        3,
    )
    yield Hypothesis(
        "extra-factor",
        f"the derivative of {name} is multiplied in twice",
        "multiply by it once",
        at(number, place, lambda g, c, t: t.pull(step, [point(t)], place, [c])),
        4,
    )
    yield Hypothesis(
        "missing-cotangent",
        f"the cotangent is dropped at {name}: its derivative alone is passed on",
        "multiply by the cotangent",
        at(number, place, lambda g, c, t: t.pull(step, [point(t)], place, [np.ones_like(g[0])])),
        4,
    )
    masks = {
        "of the cotangent stands where that of the operand belongs": lambda g, x, y: g * (g > 0),
        "has the wrong side": lambda g, x, y: g * (x < 0),
        "of the cotangent is multiplied in as well": lambda g, x, y: g * (g > 0) * (x > 0),
    }
    for words, mask in masks.items():
        yield Hypothesis(
            "extra-factor" if "as well" in words else "wrong-point",
            f"a mask {words}",
            fix,
            at(
                number,
                place,
                lambda g, c, t, mask=mask: mask(array_of(g[0]), point(t), value(t)),  # type: ignore[misc]
            ),
            6,
        )
    for other, rule in RULES.items():
        yield Hypothesis(
            "wrong-point",
            f"the derivative of {other} stands where that of {name} belongs",
            fix,
            at(number, place, lambda g, c, t, rule=rule: array_of(g[0]) * rule(point(t), value(t))),  # type: ignore[misc]
            5,
        )


def of_products(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of an entrywise product or quotient."""
    if step.name not in ("mul", "div") or len(step.operands) != 2:
        return
    like = tape.operand(step, place)

    def other(tape: Tape) -> np.ndarray:
        return array_of(tape.operand(step, 1 - place))

    def own(tape: Tape) -> np.ndarray:
        return array_of(tape.operand(step, place))

    def variant(
        kind: str, words: str, fix: str, change: Callable[[np.ndarray, Tape], Any], rank: int
    ) -> Hypothesis:
        edit = at(number, place, lambda g, c, t: fitted(change(array_of(g[0]), t), like))
        return Hypothesis(kind, words, fix, edit, rank)

    missing, number_ = "missing-factor", tape.operand(step, 1 - place)
    if np.size(number_) == 1 and step.operands[1 - place] is None:
        missing = "constant-factor"  # a number of the function's own, such as a mean's 1/n
    if step.name == "mul":
        yield variant(missing, "a factor is left out", "multiply by it", lambda g, t: g, 2)
        yield variant(
            "extra-factor",
            "a factor is multiplied in twice",
            "multiply by it once",
            lambda g, t: g * other(t) ** 2,
            3,
        )
        yield variant(
            "extra-factor",
            "the operand itself is multiplied in as well",
            "multiply by the other operand alone",
            lambda g, t: g * other(t) * own(t),
            4,
        )
        yield variant(
            "value-for-derivative",
            "the operand itself stands where the other factor belongs",
            "multiply by the other operand",
            lambda g, t: g * own(t),
            4,
        )
        yield variant(
            "inverse-for-transpose",
            "it is divided by a factor instead of multiplied",
            "multiply by it: a derivative is no inverse",
            lambda g, t: g / other(t),
            4,
        )
    elif place == 0:
        yield variant(missing, "a divisor is left out", "divide by it", lambda g, t: g, 2)
        yield variant(
            "inverse-for-transpose",
            "it is multiplied by a divisor instead of divided",
            "divide by it",
            lambda g, t: g * other(t),
            4,
        )
        yield variant(
            "extra-factor",
            "it is divided twice",
            "divide once",
            lambda g, t: g / other(t) ** 2,
            4,
        )
    else:
        yield variant(
            "missing-factor",
            "the square of the divisor is missing: -g x / y² is its derivative, not -g x / y",
            "divide by the square",
            lambda g, t: -g * other(t) / own(t),
            3,
        )
        yield variant(
            "missing-factor",
            "the numerator is left out of the divisor's derivative",
            "multiply by the numerator: -g x / y²",
            lambda g, t: -g / own(t) ** 2,
            3,
        )
        yield variant(
            "value-for-derivative",
            "the quotient is taken for the divisor's derivative",
            "use -g x / y²",
            lambda g, t: -g * other(t),
            5,
        )


def _is_inner(step: Step, tape: Tape) -> bool:
    """Whether another function is applied to what it gives."""
    made = {step.results[0]}
    for later in tape.listing.steps:
        if made & {*later.operands}:
            if later.name in UNARY:
                return True
            made |= {*later.results}
    return False


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
