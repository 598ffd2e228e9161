"""Edits of what moves, picks or repeats entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at, fitted
from layouts.doctor.listing import Listing, Step
from layouts.doctor.tape import Edit, Tape


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
    if step.name == "rev":
        for axes in (axes for n in (1, 2) for axes in combinations(range(operand.ndim), n)):
            if axes != tuple(step.params["dimensions"]):
                yield Hypothesis(
                    "wrong-axis",
                    f"the cotangent is flipped along axis {axes[0] if len(axes) == 1 else axes}",
                    f"flip it along {tuple(step.params['dimensions'])} as in the forward pass",
                    at(number, place, lambda g, c, t, axes=axes: np.flip(array_of(g[0]), axes)),  # type: ignore[misc]
                    3,
                )
    if step.name in ("cumsum", "cumprod"):
        yield from _of_running(number, step, place)
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


def _of_running(number: int, step: Step, place: int) -> Iterator[Hypothesis]:
    """Of running sums and products: the sum over all, or in the order of the forward pass."""
    axis = step.params["axis"]

    def total(g: list[Any], c: Any, t: Tape, axis: int | None = axis) -> Any:
        return np.broadcast_to(array_of(g[0]).sum(axis, keepdims=True), np.shape(c))

    def all_of_it(g: list[Any], c: Any, t: Tape) -> Any:
        return total(g, c, t, None)

    if step.name == "cumsum":
        yield Hypothesis(
            "missing-path",
            "the sum that an entry ends is left out",
            "an entry is part of the sum that it ends, too",
            at(number, place, lambda g, c, t: array_of(c) - array_of(g[0])),
            3,
        )
        for kind, words, change in (
            ("wrong-axis", "all cotangents along the axis", total),
            ("flattened-batch", "all cotangents", all_of_it),
        ):
            words = f"{words} are added, not those of the sums that an entry is part of"
            yield Hypothesis(kind, words, "sum from each entry on", at(number, place, change), 3)
        return

    def run(array: np.ndarray, reverse: bool) -> np.ndarray:
        return np.flip(np.flip(array, axis).cumsum(axis), axis) if reverse else array.cumsum(axis)

    def ahead(g: list[Any], c: Any, t: Tape) -> Any:
        y = array_of(t.values[step.results[0]])
        return run(array_of(g[0]) * y, step.params["reverse"]) / array_of(t.operand(step, place))

    def bare(g: list[Any], c: Any, t: Tape) -> Any:
        return run(array_of(g[0]), not step.params["reverse"]) / array_of(t.operand(step, place))

    def alone(g: list[Any], c: Any, t: Tape) -> Any:
        return run(array_of(g[0]), not step.params["reverse"])

    for kind, words, change in (
        ("not-flipped", "the sums run in the order of the forward pass", ahead),
        ("missing-factor", "the running product is left out", bare),
        ("missing-factor", "the running product and its divisor are left out", alone),
    ):
        fix = "sum g y from each entry on, and divide by the entry"
        yield Hypothesis(kind, words, fix, at(number, place, change), 3)


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

        yield Hypothesis(
            "mean-for-sum",
            "where an entry was read more than once the mean of the cotangents is taken",
            "add them: do not divide by how often it was read",
            at(number, 0, lambda g, c, t: _averaged(step, c, t)),
            3,
        )
        yield Hypothesis(
            "missing-factor",
            "the cotangent of what was picked goes to all entries that it was picked from",
            "it goes to the entry that was picked, and the others get zero",
            at(number, 0, lambda g, c, t: _spread_out(g, c)),
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


def _averaged(step: Step, c: Any, tape: Tape) -> Any:
    source, size = _sources(step, tape)
    counts = np.bincount(source.ravel(), minlength=size + 1)[1:].reshape(np.shape(c))
    return array_of(c) / np.maximum(counts, 1)


def _spread_out(g: list[Any], c: Any) -> Any:
    """A cotangent repeated along the axes that it lacks; as it was where that has no sense."""
    whole = array_of(g[0])
    sizes = [n for n in whole.shape if n > 1]
    shape = []
    for size in np.shape(c):
        shape.append(sizes.pop(0) if sizes and sizes[0] == size else 1)
    if sizes or whole.size == np.size(c):
        return c
    return np.broadcast_to(whole.reshape(shape), np.shape(c))


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
    if step.name == "tile":
        yield from _of_tiles(number, place, np.shape(operand), np.shape(result))
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
            "wrong-axis" if _is_input(tape.listing, step.operands[place]) else "flattened-batch",
            "the cotangents of all entries are added, not those of each row by itself",
            "sum over the axis that was repeated, and no other",
            at(number, place, lambda g, c, t: np.full(np.shape(c), array_of(c).sum())),
            3,
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


def _is_input(listing: Listing, variable: int | None) -> bool:
    """Whether a variable is an input, at most in another shape: a bias, and no statistic."""
    for step in reversed(listing.steps):
        if variable in step.results and step.name in ("reshape", "broadcast_in_dim"):
            variable = step.operands[0]
    return variable in listing.inputs


def _of_tiles(
    number: int, place: int, shape: tuple[int, ...], tiled: tuple[int, ...]
) -> Iterator[Hypothesis]:
    """Of whole arrays that are repeated: one copy alone, a mean, or each entry repeated instead."""
    shape = (1,) * (len(tiled) - len(shape)) + shape
    times = [n // size for n, size in zip(tiled, shape, strict=True)]
    straight = [n for pair in zip(times, shape, strict=True) for n in pair]
    turned = [n for pair in zip(shape, times, strict=True) for n in pair]
    copies, others = tuple(range(0, len(straight), 2)), tuple(range(1, len(straight), 2))
    last = tuple(-1 if n in copies else slice(None) for n in range(len(straight)))
    first = tuple(0 if n in copies else slice(None) for n in range(len(straight)))
    fix = "add the cotangents of all copies"
    for kind, words, rank, change in (
        ("overwritten-duplicates", "only the last copy's cotangent is kept", 3, lambda g: g[last]),
        ("missing-sum", "only the first copy's cotangent is kept", 3, lambda g: g[first]),
        (
            "mean-for-sum",
            "the mean of the copies' cotangents is taken",
            3,
            lambda g: g.mean(copies),
        ),
    ):
        edit = at(
            number,
            place,
            lambda g, c, t, change=change: change(array_of(g[0]).reshape(straight)).reshape(  # type: ignore[misc]
                np.shape(c)
            ),
        )
        yield Hypothesis(kind, words, fix, edit, rank)
    yield Hypothesis(
        "vec-order",
        "copies are added as if each entry were repeated, not the array as a whole",
        fix,
        at(
            number,
            place,
            lambda g, c, t: array_of(g[0]).reshape(turned).sum(others).reshape(np.shape(c)),
        ),
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
