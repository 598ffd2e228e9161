"""Edits of single steps: for each primitive, what people get wrong in its pull-back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, at, fitted
from layouts.doctor.tape import Edit, Listing, Step, Tape

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


def of_steps(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """All edits of single steps.

    Args:
        listing: the function.
        tape: a run of it, which tells shapes and what is active.

    Yields:
        Hypotheses; their number is at most a constant times that of the steps.
    """
    for number, step in enumerate(listing.steps):
        for place in tape.places(step):
            for make in (_unary, _product, _contraction, _moves, _selection, _sums, _linear):
                yield from make(number, step, place, tape)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value)


def _unary(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of a function that acts entry by entry."""
    same = tape.values[step.results[0]].shape == tape.operand(step, place).shape
    if step.name not in UNARY or not same or len(tape.places(step)) != 1:
        return
    name = SHOWN.get(step.name, step.name)
    # Of a power people say that its factor, the inner derivative, is missing.
    missing = "missing-factor" if step.name in POWERS else "missing-activation-derivative"
    fix = f"multiply by the derivative of {name}, taken at its operand"

    def value(tape: Tape) -> np.ndarray:
        return _array(tape.values[step.results[0]])

    def point(tape: Tape) -> np.ndarray:
        return _array(tape.operand(step, place))

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
        at(number, place, lambda g, c, t: _array(g[0]) * value(t)),
        2,
    )
    yield Hypothesis(
        "value-for-derivative",
        f"the operand of {name} stands where its derivative belongs",
        fix,
        at(number, place, lambda g, c, t: _array(g[0]) * point(t)),
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
    for words, rule in masks.items():
        yield Hypothesis(
            "extra-factor" if "as well" in words else "wrong-point",
            f"a mask {words}",
            fix,
            at(
                number,
                place,
                lambda g, c, t, rule=rule: rule(_array(g[0]), point(t), value(t)),
            ),
            6,
        )
    for other, rule in RULES.items():
        yield Hypothesis(
            "wrong-point",
            f"the derivative of {other} stands where that of {name} belongs",
            fix,
            at(number, place, lambda g, c, t, rule=rule: _array(g[0]) * rule(point(t), value(t))),
            5,
        )


def _product(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of an entrywise product or quotient."""
    if step.name not in ("mul", "div") or len(step.operands) != 2:
        return
    like = tape.operand(step, place)

    def other(tape: Tape) -> np.ndarray:
        return _array(tape.operand(step, 1 - place))

    def own(tape: Tape) -> np.ndarray:
        return _array(tape.operand(step, place))

    def variant(
        kind: str, words: str, fix: str, change: Callable[[np.ndarray, Tape], Any], rank: int
    ) -> Hypothesis:
        edit = at(number, place, lambda g, c, t: fitted(change(_array(g[0]), t), like))
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


def _contraction(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of a product of matrices: transposes, inverses, order."""
    if step.name != "dot_general":
        return
    (contracted, batch) = step.params["dimension_numbers"]
    mine, theirs = tape.operand(step, place), tape.operand(step, 1 - place)
    if batch[0] or len(contracted[0]) != 1 or np.ndim(theirs) != 2 or np.ndim(mine) > 2:
        return
    for kind, words, transform, rank in _MATRICES:
        for turned in (False, True):
            for order in ("left", "right"):
                change = _matrix_change(step, place, transform, turned, order)
                found = _tried(change, number, step, tape)
                if found is None or found.shape != np.shape(mine):
                    continue
                label, message = _named_product(kind, words, order, place)
                yield Hypothesis(
                    label,
                    message,
                    "multiply by the transpose: the Jacobian's transpose carries cotangents back",
                    at(number, place, change),
                    rank + turned,
                )


def _identity(array: np.ndarray) -> np.ndarray:
    return array


def _transposed(array: np.ndarray) -> np.ndarray:
    return array.T


def _inverse(array: np.ndarray) -> np.ndarray:
    if array.shape[0] == array.shape[1]:
        try:
            return np.linalg.inv(array)
        except np.linalg.LinAlgError:
            return np.full_like(array, np.nan)
    return np.linalg.pinv(array)


_MATRICES = [
    ("operand-not-transposed", "a matrix is not transposed", _identity, 2),
    ("operand-not-transposed", "a matrix is not transposed", _transposed, 2),
    ("inverse-for-transpose", "the inverse stands where the transpose belongs", _inverse, 2),
    (
        "inverse-for-transpose",
        "the inverse of the transpose stands where the transpose belongs",
        lambda array: _inverse(array).T,
        3,
    ),
]


def _named_product(kind: str, words: str, order: str, place: int) -> tuple[str, str]:
    """A product on the other side than the true one has its operands swapped."""
    right_side = "right" if place == 0 else "left"
    if order != right_side and kind == "operand-not-transposed":
        return "order-swapped", "the matrices of a product stand in the wrong order"
    if order != right_side:
        return kind, f"{words}, and on the other side of the product"
    return kind, words


def _matrix_change(
    step: Step, place: int, transform: Callable, turned: bool, order: str
) -> Callable[[list[Any], Any, Tape], Any]:
    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        matrix = transform(_array(tape.operand(step, 1 - place)))
        cotangent = _array(g[0])
        cotangent = cotangent.T if turned else cotangent
        return cotangent @ matrix if order == "right" else matrix @ cotangent

    return change


def _tried(change: Callable, number: int, step: Step, tape: Tape) -> np.ndarray | None:
    """What a change gives for a cotangent of the right shape; None where shapes do not fit."""
    g = np.ones_like(tape.values[step.results[0]])
    try:
        return np.asarray(change([g], None, tape))
    except ValueError:
        return None


def _moves(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of what moves entries: transposes, reshapes, flips, running sums."""
    operand = _array(tape.operand(step, place))
    if step.name == "transpose":
        for order in list(permutations(range(operand.ndim)))[:24]:
            yield Hypothesis(
                "permutation-not-inverted",
                f"axes are permuted by {order} on the way back",
                "permute them by the inverse of the forward permutation",
                at(
                    number,
                    place,
                    lambda g, c, t, order=order: _if_fits(_array(g[0]).transpose(order), c),
                ),
                3,
            )
    if step.name == "reshape":
        yield Hypothesis(
            "vec-order",
            "entries are put back in columns' order where they were taken in rows' order",
            "reshape in the order of the forward pass",
            at(number, place, lambda g, c, t: np.reshape(_array(g[0]), np.shape(c), order="F")),
            3,
        )
    if step.name in ("cumsum", "rev", "gather", "transpose") and len(tape.places(step)) == 1:
        kind = "not-flipped" if step.name in ("cumsum", "rev") else "permutation-not-inverted"
        yield Hypothesis(
            kind,
            f"the forward {step.name} is used on the way back",
            "use its transpose: the sums run the other way, a permutation is inverted",
            at(number, place, lambda g, c, t: _pushed(step, place, g, c, t)),
            3,
        )


def _pushed(step: Step, place: int, g: list[Any], c: Any, tape: Tape) -> Any:
    """The forward step on the cotangent, where shapes let it."""
    if np.shape(g[0]) != np.shape(tape.operand(step, place)):
        return c
    pushed = tape.push(step, place, jax.numpy.asarray(g[0]))
    return pushed if pushed.shape == np.shape(c) else c


def _if_fits(array: np.ndarray, like: Any) -> Any:
    return array if array.shape == np.shape(like) else like


def _selection(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of choices: branches swapped, masks left out, duplicates overwritten."""
    if step.name == "select_n":
        yield Hypothesis(
            "missing-cotangent",
            "the cotangent is sent down the wrong branch",
            "where the forward pass took a branch, the cotangent goes down the same one",
            at(number, place, lambda g, c, t: _array(g[0]) - _array(c)),
            3,
        )
        yield Hypothesis(
            "missing-factor",
            "the mask is left out: the cotangent passes where the forward pass chose another branch",
            "multiply by the mask",
            at(number, place, lambda g, c, t: _if_fits(_array(g[0]), c)),
            2,
        )
    if step.name in ("max", "min") and len(tape.places(step)):
        yield Hypothesis(
            "missing-factor",
            "the mask of the larger operand is left out",
            "multiply by it",
            at(number, place, lambda g, c, t: fitted(g[0], c)),
            3,
        )
        yield Hypothesis(
            "missing-cotangent",
            "the cotangent is sent down the wrong branch",
            "it goes to the operand that was chosen",
            at(number, place, lambda g, c, t: fitted(g[0], c) - _array(c)),
            3,
        )
    if step.name in ("reduce_max", "reduce_min", "argmax", "reduce_window_max"):
        yield Hypothesis(
            "missing-factor",
            "the mask of the largest entry is left out: all entries get the cotangent",
            "multiply by the mask",
            at(number, place, lambda g, c, t: _spread(step, g, c)),
            3,
        )
    if step.name in ("gather", "dynamic_slice") and place == 0:
        for first in (False, True):
            word = "first" if first else "last"
            yield Hypothesis(
                "overwritten-duplicates",
                f"where an entry was read more than once only the {word} cotangent is kept",
                "add them: np.add.at, or jnp.zeros(...).at[index].add(...)",
                at(number, 0, lambda g, c, t, first=first: _overwritten(step, g, c, t, first)),
                3,
            )


def _spread(step: Step, g: list[Any], c: Any) -> Any:
    axes = step.params.get("axes")
    if axes is None:
        return c
    cotangent = np.expand_dims(_array(g[0]), tuple(axes))
    return np.broadcast_to(cotangent, np.shape(c))


def _overwritten(step: Step, g: list[Any], c: Any, tape: Tape, first: bool) -> Any:
    """Each place of the output is traced to where it was read; the last one there stays."""
    operands = tape.operands(step)
    size = int(np.size(operands[0]))
    places = np.arange(1, size + 1, dtype=np.asarray(operands[0]).dtype).reshape(
        np.shape(operands[0])
    )
    source = np.asarray(step.run([jax.numpy.asarray(places), *operands[1:]])[0])
    result = np.zeros(size + 1, _array(g[0]).dtype)
    order = slice(None, None, -1) if first else slice(None)
    source = np.nan_to_num(source, nan=0).astype(int).ravel()
    source = np.where((source < 0) | (source > size), 0, source)
    result[source[order]] = _array(g[0]).ravel()[order]
    return result[1:].reshape(np.shape(c))


ELEMENTWISE = ("add", "sub", "mul", "div", "max", "min", "pow", "add_any")


def _sums(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of what repeats entries, whose cotangents are added, and of sums."""
    operand, result = tape.operand(step, place), tape.values[step.results[0]]
    repeats = step.name == "broadcast_in_dim" or step.name in ELEMENTWISE
    if repeats and 0 < np.size(operand) < np.size(result):
        yield from _copies(number, step, place, tape)
    elif step.name == "reduce_sum" and np.size(operand) > np.size(result) > 0:
        count = np.size(operand) // np.size(result)
        yield Hypothesis(
            "mean-for-sum",
            f"a mean over {count} entries stands where a sum belongs",
            "do not divide by their number",
            at(number, place, lambda g, c, t: _array(c) / count),
            4,
        )


def _unsummed(step: Step, place: int, g: list[Any], tape: Tape) -> np.ndarray:
    """The cotangents of all copies of an operand, before they are added."""
    if step.name == "broadcast_in_dim":
        return _array(g[0])
    operands = tape.operands(step)
    operands[place] = jax.numpy.broadcast_to(operands[place], np.shape(g[0]))
    return _array(tape.pull(step, operands, place, g))


def _copies(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """One copy's cotangent, a mean, the sum over all entries, or over other axes."""
    operand = _array(tape.operand(step, place))
    result = _array(tape.values[step.results[0]])
    count = result.size // operand.size
    fix = "add the cotangents of all copies: what is repeated forward is summed backward"

    def edit(change: Callable[[np.ndarray, Any], Any]) -> Edit:
        return at(number, place, lambda g, c, t: change(_unsummed(step, place, g, t), c))

    yield Hypothesis(
        "mean-for-sum",
        f"a mean over {count} entries stands where a sum belongs",
        "add the cotangents of all copies: do not divide by their number",
        at(number, place, lambda g, c, t: _array(c) / count),
        4,
    )
    for last in (False, True):
        yield Hypothesis(
            "overwritten-duplicates" if last else "missing-sum",
            f"of the cotangents of all copies only the {'last' if last else 'first'} is kept",
            fix,
            edit(lambda full, c, last=last: _one_copy(full, c, last)),
            4,
        )
    if operand.size > 1:
        yield Hypothesis(
            "flattened-batch",
            "the cotangents of all entries are added, not those of each row by itself",
            "sum over the axis that was repeated, and no other",
            at(number, place, lambda g, c, t: np.full(np.shape(c), _array(c).sum())),
            4,
        )
        for axes in _axes(result.ndim):
            if result.sum(axes).size == operand.size:
                yield Hypothesis(
                    "wrong-axis",
                    f"the sum is taken over axis {axes[0] if len(axes) == 1 else axes}",
                    "sum over the axis that was repeated",
                    edit(lambda full, c, axes=axes: full.sum(axes).reshape(np.shape(c))),
                    3,
                )


def _axes(ndim: int) -> list[tuple[int, ...]]:
    return [axes for count in range(1, ndim) for axes in combinations(range(ndim), count)]


def _one_copy(array: np.ndarray, c: Any, last: bool) -> Any:
    """The first or the last entry along the axes that the operand was repeated on."""
    bare = [size for size in np.shape(c) if size != 1]
    for count in range(1, array.ndim + 1):
        for axes in combinations(range(array.ndim), count):
            if [n for axis, n in enumerate(array.shape) if axis not in axes and n != 1] == bare:
                place = tuple(
                    (-1 if last else 0) if axis in axes else slice(None)
                    for axis in range(array.ndim)
                )
                return array[place].reshape(np.shape(c))
    return c


def _linear(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of convolutions: a kernel not flipped, channels swapped."""
    if step.name != "conv_general_dilated":
        return
    numbers = step.params["dimension_numbers"]
    specs = (numbers.lhs_spec, numbers.rhs_spec)
    own, theirs = specs[place], specs[1 - place]
    other = _array(tape.operand(step, 1 - place))
    spatial = theirs[2:]
    for count in range(1, len(spatial) + 1):
        for axes in combinations(spatial, count):
            yield Hypothesis(
                "not-flipped",
                "the kernel is not flipped on the way back"
                if place == 0
                else "an operand of the convolution is flipped",
                "a convolution's transpose runs over the flipped kernel",
                at(
                    number,
                    place,
                    _with_other(step, place, lambda array, axes=axes: np.flip(array, axes)),
                ),
                3,
            )
    for count in range(1, len(own[2:]) + 1):
        for axes in combinations(own[2:], count):
            yield Hypothesis(
                "not-flipped",
                "the result of the convolution is flipped",
                "mind which way the kernel runs",
                at(number, place, lambda g, c, t, axes=axes: np.flip(_array(c), axes)),
                4,
            )
    if other.shape[theirs[0]] == other.shape[theirs[1]] > 1:
        yield Hypothesis(
            "wrong-axis",
            "input and output channels are swapped",
            "sum over the output channels on the way back",
            at(
                number,
                place,
                _with_other(step, place, lambda array: np.swapaxes(array, theirs[0], theirs[1])),
            ),
            3,
        )
    mine = _array(tape.operand(step, place))
    if mine.shape[own[0]] == mine.shape[own[1]] > 1:
        yield Hypothesis(
            "wrong-axis",
            "input and output channels are swapped",
            "mind which axis has the output channels",
            at(number, place, lambda g, c, t: np.swapaxes(_array(c), own[0], own[1])),
            4,
        )


def _with_other(step: Step, place: int, transform: Callable) -> Callable:
    """The pull-back at another operand than the true one."""

    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        operands = tape.operands(step)
        operands[1 - place] = jax.numpy.asarray(transform(_array(operands[1 - place])))
        return tape.pull(step, operands, place, g)

    return change


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
