"""Edits of what moves, picks or repeats entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at, fitted
from layouts.doctor.tape import Edit, Step, Tape


def of_moves(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of what moves entries: transposes, reshapes, flips, running sums."""
    operand = array_of(tape.operand(step, place))
    if step.name == "transpose":
        for order in list(permutations(range(operand.ndim)))[:24]:
            yield Hypothesis(
                "permutation-not-inverted",
                f"axes are permuted by {order} on the way back",
                "permute them by the inverse of the forward permutation",
                at(
                    number,
                    place,
                    lambda g, c, t, order=order: _if_fits(array_of(g[0]).transpose(order), c),  # type: ignore[misc]
                ),
                2,
            )
    if step.name == "reshape":
        yield Hypothesis(
            "vec-order",
            "entries are put back in columns' order where they were taken in rows' order",
            "reshape in the order of the forward pass",
            at(number, place, lambda g, c, t: np.reshape(array_of(g[0]), np.shape(c), order="F")),
            3,
        )
    if step.name in ("cumsum", "rev", "gather", "transpose") and len(tape.places(step)) == 1:
        kind = "not-flipped" if step.name in ("cumsum", "rev") else "permutation-not-inverted"
        yield Hypothesis(
            kind,
            f"the forward {step.name} is used on the way back",
            "use its transpose: the sums run the other way, a permutation is inverted",
            at(number, place, lambda g, c, t: _pushed(step, place, g, c, t)),
            2,
        )


def _pushed(step: Step, place: int, g: list[Any], c: Any, tape: Tape) -> Any:
    """The forward step on the cotangent, where shapes let it."""
    if np.shape(g[0]) != np.shape(tape.operand(step, place)):
        return c
    pushed = tape.push(step, place, jax.numpy.asarray(g[0]))
    return pushed if pushed.shape == np.shape(c) else c


def _if_fits(array: np.ndarray, like: Any) -> Any:
    return array if array.shape == np.shape(like) else like


def of_choices(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of choices: branches swapped, masks left out, duplicates overwritten."""
    if step.name == "select_n":
        yield Hypothesis(
            "missing-cotangent",
            "the cotangent is sent down the wrong branch",
            "where the forward pass took a branch, the cotangent goes down the same one",
            at(number, place, lambda g, c, t: array_of(g[0]) - array_of(c)),
            3,
        )
        yield Hypothesis(
            "missing-factor",
            "the mask is left out: the cotangent passes where another branch was chosen",
            "multiply by the mask",
            at(number, place, lambda g, c, t: _if_fits(array_of(g[0]), c)),
            2,
        )
    if step.name in ("max", "min") and len(tape.places(step)):
        floor = tape.operand(step, 1 - place)
        relu = step.operands[1 - place] is None and not np.any(array_of(floor))
        yield Hypothesis(
            "missing-activation-derivative" if relu else "missing-factor",
            "the mask of the larger operand is left out",
            "multiply by it",
            at(number, place, lambda g, c, t: fitted(g[0], c)),
            3,
        )
        yield Hypothesis(
            "missing-cotangent",
            "the cotangent is sent down the wrong branch",
            "it goes to the operand that was chosen",
            at(number, place, lambda g, c, t: fitted(g[0], c) - array_of(c)),
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
                at(number, 0, lambda g, c, t, first=first: _overwritten(step, g, c, t, first)),  # type: ignore[misc]
                3,
            )

        if np.ndim(tape.values[step.results[0]]) > 1:
            yield Hypothesis(
                "overwritten-duplicates",
                "of what was read more than once in a row only the last cotangent is kept",
                "add them: np.add.at, or jnp.zeros(...).at[index].add(...)",
                at(number, 0, lambda g, c, t: _by_row(step, g, c, t)),
                3,
            )


def _by_row(step: Step, g: list[Any], c: Any, tape: Tape) -> Any:
    """Added across rows, overwritten within each: what `out[index[row]] += g[row]` gives."""
    whole = array_of(g[0])
    source, width = _sources(step, tape)
    found = np.zeros(width + 1, whole.dtype)
    for places, cotangents in zip(source, whole, strict=True):
        row = np.zeros_like(found)
        row[places.ravel()] = cotangents.ravel()
        found += row
    return found[1:].reshape(np.shape(c))


def _spread(step: Step, g: list[Any], c: Any) -> Any:
    axes = step.params.get("axes")
    if axes is None:
        return c
    cotangent = np.expand_dims(array_of(g[0]), tuple(axes))
    return np.broadcast_to(cotangent, np.shape(c))


def _sources(step: Step, tape: Tape) -> tuple[np.ndarray, int]:
    """For each entry of the output the one that it was read from, counted from one; 0 is none."""
    operands = tape.operands(step)
    size, shape = int(np.size(operands[0])), np.shape(operands[0])
    dtype = np.asarray(operands[0]).dtype
    places = np.arange(1, size + 1, dtype=dtype).reshape(shape)
    source = np.asarray(step.run([jax.numpy.asarray(places), *operands[1:]])[0])
    source = np.nan_to_num(source, nan=0).astype(int)
    return np.where((source < 0) | (source > size), 0, source), size


def _overwritten(step: Step, g: list[Any], c: Any, tape: Tape, first: bool) -> Any:
    """Each place of the output is traced to where it was read; the last one there stays."""
    source, size = _sources(step, tape)
    source = source.ravel()
    result = np.zeros(size + 1, array_of(g[0]).dtype)
    order = slice(None, None, -1) if first else slice(None)
    result[source[order]] = array_of(g[0]).ravel()[order]
    return result[1:].reshape(np.shape(c))


ELEMENTWISE = ("add", "sub", "mul", "div", "max", "min", "pow", "add_any")


def of_repetitions(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
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
            at(number, place, lambda g, c, t: array_of(c) / count),
            4,
        )


def _unsummed(step: Step, place: int, g: list[Any], tape: Tape) -> np.ndarray:
    """The cotangents of all copies of an operand, before they are added."""
    if step.name == "broadcast_in_dim":
        return array_of(g[0])
    operands = tape.operands(step)
    operands[place] = jax.numpy.broadcast_to(operands[place], np.shape(g[0]))
    return array_of(tape.pull(step, operands, place, g))


def _copies(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """One copy's cotangent, a mean, the sum over all entries, or over other axes."""
    operand = array_of(tape.operand(step, place))
    result = array_of(tape.values[step.results[0]])
    count = result.size // operand.size
    fix = "add the cotangents of all copies: what is repeated forward is summed backward"

    def edit(change: Callable[[np.ndarray, Any], Any]) -> Edit:
        return at(number, place, lambda g, c, t: change(_unsummed(step, place, g, t), c))

    yield Hypothesis(
        "mean-for-sum",
        f"a mean over {count} entries stands where a sum belongs",
        "add the cotangents of all copies: do not divide by their number",
        at(number, place, lambda g, c, t: array_of(c) / count),
        4,
    )
    for last in (False, True):
        yield Hypothesis(
            "overwritten-duplicates" if last else "missing-sum",
            f"of the cotangents of all copies only the {'last' if last else 'first'} is kept",
            fix,
            edit(lambda full, c, last=last: _one_copy(full, c, last)),  # type: ignore[misc]
            4,
        )
    if operand.size > 1:
        yield Hypothesis(
            "flattened-batch",
            "the cotangents of all entries are added, not those of each row by itself",
            "sum over the axis that was repeated, and no other",
            at(number, place, lambda g, c, t: np.full(np.shape(c), array_of(c).sum())),
            4,
        )
        for axes in _axes(result.ndim):
            if result.sum(axes).size == operand.size:
                yield Hypothesis(
                    "wrong-axis",
                    f"the sum is taken over axis {axes[0] if len(axes) == 1 else axes}",
                    "sum over the axis that was repeated",
                    edit(lambda full, c, axes=axes: full.sum(axes).reshape(np.shape(c))),  # type: ignore[misc]
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
