"""Edits of what chooses entries: branches, the larger of two, lookups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from layouts.doctor.hypotheses import Hypothesis, array_of, at, fitted, if_fits
from layouts.doctor.listing import Step
from layouts.doctor.tape import Tape


def of_choices(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of choices: branches swapped, masks left out, duplicates overwritten."""
    if step.name == "select_n":
        yield from _of_branches(number, place)
    if step.name in ("max", "min") and len(tape.places(step)):
        yield from _of_larger(number, step, place, tape)
    if step.name in ("reduce_max", "reduce_min", "argmax", "reduce_window_max"):
        yield Hypothesis(
            "missing-factor",
            "the mask of the largest entry is left out: all entries get the cotangent",
            "multiply by the mask",
            at(number, place, lambda g, c, t: _spread(step, g, c)),
            3,
        )
    if step.name in ("gather", "dynamic_slice") and place == 0:
        yield from _of_lookups(number, step, tape)


def _of_branches(number: int, place: int) -> Iterator[Hypothesis]:
    """Of a choice by a condition."""
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
        at(number, place, lambda g, c, t: if_fits(array_of(g[0]), c)),
        2,
    )


def _of_larger(number: int, step: Step, place: int, tape: Tape) -> Iterator[Hypothesis]:
    """Of the larger or the smaller of two."""
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


def _of_lookups(number: int, step: Step, tape: Tape) -> Iterator[Hypothesis]:
    """Of entries that are picked."""
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
