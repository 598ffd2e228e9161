"""Edits of what acts entry by entry: functions, powers, products, quotients.

Each table lists what people write in place of a pull-back, a row for a mistake; a row is computed
from what is `Here`: the cotangent, the true contribution, the operands and the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at, fitted
from layouts.doctor.listing import Step
from layouts.doctor.tape import Tape

# Functions of one operand that act entry by entry.
UNARY = {
    *("tanh", "logistic", "exp", "log", "sin", "cos", "sqrt", "rsqrt", "integer_pow", "square"),
    *("abs", "erf", "log1p", "expm1", "custom_jvp_call", "tan", "sinh", "cosh", "exp2", "cbrt"),
}
POWERS = {"integer_pow": None, "square": 2.0, "sqrt": 0.5, "rsqrt": -0.5, "cbrt": 1 / 3}
# Functions whose derivative may be thought of as a factor of its own, not as an activation's.
PLAIN = {*POWERS, "exp", "log", "abs", "log1p", "expm1", "exp2"}
SHOWN = {"logistic": "sigmoid", "custom_jvp_call": "the activation", "integer_pow": "the power"}

MISSING, EXTRA, VALUE = "missing-factor", "extra-factor", "value-for-derivative"
POINT, CONSTANT, INVERSE = "wrong-point", "constant-factor", "inverse-for-transpose"
SLOPE, NO_COTANGENT, PATH = "missing-activation-derivative", "missing-cotangent", "missing-path"


@dataclass(frozen=True)
class Here:
    """One operand of a step on the way back.

    Attributes:
        tape: the run.
        step: the step.
        place: which operand.
        g: the cotangent of the step's result.
        c: what the operand gets of it.
    """

    tape: Tape
    step: Step
    place: int
    g: np.ndarray
    c: np.ndarray

    @cached_property
    def x(self) -> np.ndarray:
        """The operand."""
        return array_of(self.tape.operand(self.step, self.place))

    @cached_property
    def other(self) -> np.ndarray:
        """The other operand of two."""
        return array_of(self.tape.operand(self.step, 1 - self.place))

    @cached_property
    def y(self) -> np.ndarray:
        """The value."""
        return array_of(self.tape.values[self.step.results[0]])

    @property
    def exponent(self) -> float:
        """Of a power."""
        return float(POWERS[self.step.name] or self.step.params["y"])

    def pulled(self, point: np.ndarray, cotangent: np.ndarray) -> Any:
        """The pull-back of another cotangent, at another operand."""
        return self.tape.pull(self.step, [point], self.place, [cotangent])


class Row(NamedTuple):
    """What is done instead: its kind, words for it and for the fix, and how far-fetched it is."""

    kind: str
    words: str
    fix: str
    rank: int
    change: Callable[[Here], Any]


_ONCE = "multiply by it once"
# Of any function; `{f}` is its name.
FUNCTIONS = (
    Row(SLOPE, "the derivative of {f} is left out", "", 2, lambda h: h.g),
    Row(VALUE, "the value of {f} stands where its derivative belongs", "", 2, lambda h: h.g * h.y),
    Row(
        VALUE, "the operand of {f} stands where its derivative belongs", "", 4, lambda h: h.g * h.x
    ),
    Row(
        POINT,
        "the derivative of {f} is taken at its value, not at its operand",
        "",
        3,
        lambda h: h.pulled(h.y, h.g),
    ),
    Row(
        EXTRA,
        "the derivative of {f} is multiplied in twice",
        _ONCE,
        4,
        lambda h: h.pulled(h.x, h.c),
    ),
    Row(
        INVERSE,
        "the derivative of {f} stands upside down",
        "",
        3,
        lambda h: h.g * h.g / h.c,
    ),
    Row(
        NO_COTANGENT,
        "the cotangent is dropped at {f}: its derivative alone is passed on",
        "multiply by the cotangent",
        4,
        lambda h: h.pulled(h.x, np.ones_like(h.g)),
    ),
    Row(
        POINT,
        "a mask of the cotangent stands where that of the operand belongs",
        "",
        6,
        lambda h: h.g * (h.g > 0),
    ),
    Row(POINT, "a mask has the wrong side", "", 6, lambda h: h.g * (h.x < 0)),
    Row(
        EXTRA,
        "a mask of the cotangent is multiplied in as well",
        "",
        6,
        lambda h: h.g * (h.g > 0) * (h.x > 0),
    ),
)
# Of xⁿ, whose derivative is n xⁿ⁻¹.
POWER_ROWS = (
    Row(
        CONSTANT,
        "the exponent is left out as a factor",
        "the derivative of xⁿ is n xⁿ⁻¹",
        2,
        lambda h: h.c / h.exponent,
    ),
    Row(
        EXTRA,
        "the exponent is not lowered",
        "the derivative of xⁿ is n xⁿ⁻¹",
        3,
        lambda h: h.c * h.x,
    ),
    Row(
        MISSING,
        "the exponent is lowered twice",
        "the derivative of xⁿ is n xⁿ⁻¹",
        4,
        lambda h: h.c / h.x,
    ),
    Row(
        INVERSE,
        "the power stands upside down",
        "the derivative of xⁿ is n xⁿ⁻¹",
        4,
        lambda h: h.exponent * h.g * h.x / h.y,
    ),
)
# Of eˣ, which is no power of x.
EXPONENTIAL_ROWS = (
    Row(POINT, "{f} is differentiated as a power", "", 3, lambda h: h.g * h.x * h.y / np.e),
)
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
    "a leaky relu": lambda x, y: np.where(x > 0, 1, 0.01),
    "elu": lambda x, y: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    "silu": lambda x, y: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
    "gelu": lambda x, y: _gelu_slope(x),
    "1/x": lambda x, y: -1 / x**2,
    "|x|": lambda x, y: np.sign(x),
    "x²": lambda x, y: 2 * x,
}
# Of x y by x.
PRODUCTS = (
    Row(MISSING, "a factor is left out", "multiply by it", 2, lambda h: h.g),
    Row(EXTRA, "a factor is multiplied in twice", _ONCE, 3, lambda h: h.g * h.other**2),
    Row(
        EXTRA,
        "the operand itself is multiplied in as well",
        "multiply by the other operand alone",
        4,
        lambda h: h.g * h.other * h.x,
    ),
    Row(
        POINT,
        "the operand itself stands where the other factor belongs",
        "multiply by the other operand",
        4,
        lambda h: h.g * h.x,
    ),
    Row(
        INVERSE,
        "it is divided by a factor instead of multiplied",
        "multiply by it: a derivative is no inverse",
        4,
        lambda h: h.g / h.other,
    ),
    Row(
        INVERSE,
        "the pseudo-inverse of a vector stands where its transpose belongs",
        "multiply by it: nothing is solved for, so nothing is inverted",
        5,
        lambda h: h.g * h.other / np.square(h.other).sum(),
    ),
)
# Of x / y by x.
NUMERATORS = (
    Row(MISSING, "a divisor is left out", "divide by it", 2, lambda h: h.g),
    Row(
        INVERSE,
        "it is multiplied by a divisor instead of divided",
        "divide by it",
        4,
        lambda h: h.g * h.other,
    ),
    Row(EXTRA, "it is divided twice", "divide once", 4, lambda h: h.g / h.other**2),
)
# Of x / y by y.
DIVISORS = (
    Row(
        MISSING,
        "the square of the divisor is missing: -g x / y² is its derivative, not -g x / y",
        "divide by the square",
        3,
        lambda h: -h.g * h.other / h.x,
    ),
    Row(
        MISSING,
        "the numerator is left out of the divisor's derivative",
        "multiply by the numerator: -g x / y²",
        3,
        lambda h: -h.g / h.x**2,
    ),
    Row(
        VALUE,
        "the quotient is taken for the divisor's derivative",
        "use -g x / y²",
        5,
        lambda h: -h.g * h.other,
    ),
)


def of_functions(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of a function that acts entry by entry."""
    same = tape.values[step.results[0]].shape == tape.operand(step, place).shape
    if step.name not in UNARY or not same or len(tape.places(step)) != 1:
        return
    name = SHOWN.get(step.called, step.called)
    fix = f"multiply by the derivative of {name}, taken at its operand"
    rows = [*FUNCTIONS, *(_other_rule(*rule) for rule in RULES.items())]
    if step.name in POWERS:
        rows = [*POWER_ROWS, *rows]
    if step.name == "exp":
        rows = [*EXPONENTIAL_ROWS, *rows]
    if step.name in POWERS and _is_inner(step, tape):
        rows = [replace_kind(row, SLOPE, MISSING) for row in rows]
    elif step.name in PLAIN:
        rows += [row._replace(kind=MISSING, rank=3) for row in rows if row.kind == SLOPE]
    for row in [*rows, *_terms(step, place, tape)]:
        named = row._replace(words=row.words.format(f=name), fix=row.fix or fix)
        yield _hypothesis(named, number, step, place)


def of_products(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of an entrywise product or quotient."""
    if step.name not in ("mul", "div") or len(step.operands) != 2:
        return
    rows: Sequence[Row] = PRODUCTS
    if step.name == "div":
        rows = NUMERATORS if place == 0 else DIVISORS
    other = step.operands[1 - place]
    if np.size(tape.operand(step, 1 - place)) == 1 and other not in tape.active:
        # A number of the function's own, such as a mean's 1/n.
        rows = [replace_kind(replace_kind(r, INVERSE, CONSTANT), MISSING, CONSTANT) for r in rows]
    for row in rows:
        yield _hypothesis(row, number, step, place)


def replace_kind(row: Row, kind: str, by: str) -> Row:
    """A row under another name, if it has the one."""
    return row._replace(kind=by) if row.kind == kind else row


def _hypothesis(row: Row, number: int, step: Step, place: int) -> Hypothesis:
    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        here = Here(tape, step, place, array_of(g[0]), array_of(c))
        return fitted(row.change(here), tape.operand(step, place))

    return Hypothesis(row.kind, row.words, row.fix, at(number, place, change), row.rank)


def _other_rule(name: str, rule: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Row:
    words = f"the derivative of {name} stands where that of {{f}} belongs"
    return Row(POINT, words, "", 3, lambda h: h.g * rule(h.x, h.y))


def _terms(step: Step, place: int, tape: Tape) -> Iterator[Row]:
    """The derivative at one of the terms whose sum or difference is the operand."""
    maker = next((s for s in tape.listing.steps if step.operands[place] in s.results), None)
    if maker is None or maker.name not in ("add", "sub"):
        return
    kind = PATH if step.name in POWERS else POINT
    for kept in (0, 1):
        sign = -1 if kept and maker.name == "sub" else 1

        def change(h: Here, kept: int = kept, sign: int = sign) -> Any:
            point = sign * np.broadcast_to(array_of(h.tape.operand(maker, kept)), h.x.shape)
            return h.pulled(point, h.g)

        words = "the derivative of {f} is taken at one term of its operand: the other is left out"
        yield Row(kind, words, "", 4, change)


def _is_inner(step: Step, tape: Tape) -> bool:
    """Whether another function is applied to what it gives."""
    made = {step.results[0]}
    for later in tape.listing.steps:
        if made & {*later.operands}:
            if later.name in UNARY:
                return True
            made |= {*later.results}
    return False


def _gelu_slope(x: np.ndarray) -> np.ndarray:
    """Of the form with tanh, which JAX takes unless it is told otherwise."""
    root = np.sqrt(2 / np.pi)
    value = np.tanh(root * (x + 0.044715 * x**3))
    return 0.5 * (1 + value) + 0.5 * x * (1 - value**2) * root * (1 + 3 * 0.044715 * x**2)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
