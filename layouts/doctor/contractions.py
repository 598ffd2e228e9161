"""Edits of products of matrices and of convolutions: transposes, inverses, order, flips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at
from layouts.doctor.listing import Step
from layouts.doctor.tape import Tape

_NOT_TRANSPOSED, _INVERSE, _SWAPPED = (
    "operand-not-transposed",
    "inverse-for-transpose",
    "order-swapped",
)
_FIX = "multiply by the transpose: the Jacobian's transpose carries cotangents back"


def _transposed(array: np.ndarray) -> np.ndarray:
    return np.swapaxes(array, -1, -2)


def _inverse(array: np.ndarray) -> np.ndarray:
    if array.shape[-1] == array.shape[-2]:
        try:
            return np.linalg.inv(array)
        except np.linalg.LinAlgError:
            return np.full_like(array, np.nan)
    return np.linalg.pinv(array)


class _Matrix(NamedTuple):
    """What is made of the other matrix, and how far-fetched it is."""

    kind: str
    words: str
    transform: Callable[[np.ndarray], np.ndarray]
    rank: int


_MATRICES = (
    _Matrix(_NOT_TRANSPOSED, "a matrix is not transposed", lambda array: array, 2),
    _Matrix(_NOT_TRANSPOSED, "a matrix is not transposed", _transposed, 2),
    _Matrix(_INVERSE, "the inverse stands where the transpose belongs", _inverse, 2),
    _Matrix(
        _INVERSE,
        "the inverse of the transpose stands where the transpose belongs",
        lambda array: _transposed(_inverse(array)),
        3,
    ),
)


def of_matrices(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of a product of matrices, or of a batch of them: transposes, inverses, order."""
    if step.name != "dot_general":
        return
    (contracted, batch) = step.params["dimension_numbers"]
    mine, theirs = tape.operand(step, place), tape.operand(step, 1 - place)
    leading = len(batch[0])
    straight = all(tuple(axes) == tuple(range(leading)) for axes in batch)
    ranks = np.ndim(mine) - leading, np.ndim(theirs) - leading
    if not straight or len(contracted[0]) != 1 or ranks[1] != 2 or not 1 <= ranks[0] <= 2:
        return
    # A vector has no sides: on the left of the transpose is on the right of the matrix.
    orders = ("left", "right") if ranks[0] == 2 else ("right",)
    for matrix in _MATRICES:
        for turned in (False, True)[: ranks[0]]:
            for order in orders:
                change = _matrix_change(step, place, matrix.transform, turned, order)
                found = _tried(change, step, tape, mine)
                if found is None or found.shape != np.shape(mine):
                    continue
                kind, words = _named_product(matrix, order, place, sides=ranks[0] == 2)
                edit = at(number, place, change)
                yield Hypothesis(kind, words, _FIX, edit, matrix.rank + turned)
    yield from _entry_by_entry(number, step, place, tape)


def _entry_by_entry(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """A product entry by entry where one of matrices belongs: for square ones the shapes fit."""
    operands = [np.shape(tape.operand(step, n)) for n in (0, 1)]
    shapes = {*operands, np.shape(tape.values[step.results[0]])}
    if len(shapes) > 1 or len({*operands[0]}) != 1:
        return
    words = "a product entry by entry stands where one of matrices belongs: no sum is taken"
    fix = "multiply as matrices: `@`, not `*`"
    for transform in (_transposed, np.asarray):

        def change(g: list[Any], c: Any, t: Tape, transform: Callable = transform) -> Any:
            return array_of(g[0]) * transform(array_of(t.operand(step, 1 - place)))

        yield Hypothesis("missing-sum", words, fix, at(number, place, change), 4)


def _named_product(matrix: _Matrix, order: str, place: int, sides: bool) -> tuple[str, str]:
    """A product on the other side than the true one has its operands swapped."""
    right_side = "right" if place == 0 else "left"
    if order == right_side or not sides:
        return matrix.kind, matrix.words
    if matrix.kind == _NOT_TRANSPOSED:
        return _SWAPPED, "the matrices of a product stand in the wrong order"
    return matrix.kind, f"{matrix.words}, and on the other side of the product"


def _matrix_change(
    step: Step, place: int, transform: Callable, turned: bool, order: str
) -> Callable[[list[Any], Any, Tape], Any]:
    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        matrix = transform(array_of(tape.operand(step, 1 - place)))
        cotangent = array_of(g[0])
        if np.ndim(c) < matrix.ndim:  # vectors of a batch of matrices
            return (cotangent[..., None, :] @ matrix)[..., 0, :]
        cotangent = _transposed(cotangent) if turned else cotangent
        return cotangent @ matrix if order == "right" else matrix @ cotangent

    return change


def _tried(change: Callable, step: Step, tape: Tape, like: Any) -> np.ndarray | None:
    """What a change gives for a cotangent of the right shape; None where shapes do not fit."""
    g = np.ones_like(tape.values[step.results[0]])
    try:
        return np.asarray(change([g], like, tape))
    except ValueError:
        return None


class _Turn(NamedTuple):
    """Axes that are flipped, or two that are swapped."""

    kind: str
    words: str
    fix: str
    turn: Callable[[np.ndarray], np.ndarray]


def of_convolutions(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of convolutions: a kernel not flipped, channels swapped."""
    if step.name != "conv_general_dilated":
        return
    numbers = step.params["dimension_numbers"]
    specs = (numbers.lhs_spec, numbers.rhs_spec)
    shapes = [np.shape(tape.operand(step, n)) for n in (0, 1)]
    flipped = (
        "the kernel is not flipped on the way back",
        "an operand of the convolution is flipped",
    )
    fix = "a convolution's transpose runs over the flipped kernel"
    for turn in _turns(specs[1 - place], shapes[1 - place], flipped[place], fix):
        edit = at(number, place, _with_other(step, place, turn.turn))
        yield Hypothesis(turn.kind, turn.words, turn.fix, edit, 3)
    yield from _of_windows_elsewhere(number, step, place)
    bare = _with_other(step, place, np.ones_like)
    missing, fix = "the other operand of the convolution is left out", "correlate with it"
    yield Hypothesis("missing-factor", missing, fix, at(number, place, bare), 4)
    words, fix = "the result of the convolution is flipped", "mind which way the kernel runs"
    for turn in _turns(specs[place], shapes[place], words, fix):
        edit = at(number, place, lambda g, c, t, turn=turn.turn: turn(array_of(c)))  # type: ignore[misc]
        yield Hypothesis(turn.kind, turn.words, turn.fix, edit, 4)


def _of_windows_elsewhere(number: int, step: Step, place: int) -> Iterator[Hypothesis]:
    """The stride or the dilation of the forward pass forgotten on the way back."""
    for name, words in (("window_strides", "stride"), ("rhs_dilation", "dilation")):
        ones = tuple(1 for _ in step.params[name])
        if tuple(step.params[name]) != ones:

            def change(g: list[Any], c: Any, t: Tape, known: dict = {name: ones}) -> Any:  # noqa: B006
                return _elsewhere(step, place, known, g, t)

            yield Hypothesis(
                "wrong-point",
                f"the {words} is forgotten on the way back: windows lie side by side",
                f"put each cotangent where its window was, with the {words}",
                at(number, place, change),
                3,
            )


def _elsewhere(step: Step, place: int, known: dict[str, Any], g: list[Any], tape: Tape) -> Any:
    """The pull-back of a convolution with other parameters, its cotangent put at the start."""
    params = {**step.params, **known}

    def convolved(*operands: Any) -> Any:
        return step.equation.primitive.bind(*operands, **params)

    operands = [jax.numpy.asarray(array) for array in tape.operands(step)]
    out, pull = jax.vjp(convolved, *operands)
    cotangent = array_of(g[0])
    cut = tuple(slice(0, n) for n in np.minimum(cotangent.shape, out.shape))
    whole = np.zeros(out.shape, cotangent.dtype)
    whole[cut] = cotangent[cut]
    return array_of(pull(jax.numpy.asarray(whole))[place])


def _turns(spec: tuple[int, ...], shape: tuple[int, ...], words: str, fix: str) -> Iterator[_Turn]:
    """Of an operand of a convolution: its spatial axes flipped, its channels swapped."""
    spatial = spec[2:]
    for count in range(1, len(spatial) + 1):
        for axes in combinations(spatial, count):
            yield _Turn("not-flipped", words, fix, lambda array, axes=axes: np.flip(array, axes))  # type: ignore[misc]
    if len(spatial) == 2 and shape[spatial[0]] == shape[spatial[1]] > 1:
        turned = "a kernel is transposed, not flipped"
        yield _Turn("not-flipped", turned, fix, lambda array: np.swapaxes(array, *spatial))
        # The pull-back flips it anyway: what it takes for the flipped one is transposed alone.
        turn = lambda array: np.flip(np.swapaxes(array, *spatial), spatial)  # noqa: E731
        yield _Turn("not-flipped", turned, fix, turn)
    if shape[spec[0]] == shape[spec[1]] > 1:
        swapped = "input and output channels are swapped"
        fix = "sum over the output channels on the way back"
        yield _Turn("wrong-axis", swapped, fix, lambda array: np.swapaxes(array, spec[0], spec[1]))


def _with_other(step: Step, place: int, transform: Callable) -> Callable:
    """The pull-back at another operand than the true one."""

    def change(g: list[Any], c: Any, tape: Tape) -> Any:
        operands = tape.operands(step)
        operands[1 - place] = jax.numpy.asarray(transform(array_of(operands[1 - place])))
        return tape.pull(step, operands, place, g)

    return change
