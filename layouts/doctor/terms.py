"""Changes of one term of a gradient as it is written: of its sign, its number, its sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from layouts.doctor.changes import Change, Summands, shown_term
from layouts.formulas.summands import Summand
from layouts.formulas.tree import Letter, Number


def of_number(summand: Summand, before: Summands, after: Summands) -> Iterator[Change]:
    """A term with another sign or number.

    Args:
        summand: the term.
        before: the terms before it.
        after: those behind it.
    """
    shown = shown_term(summand)
    flipped = replace(summand, coefficient=-summand.coefficient)
    yield Change(
        "sign",
        f"the term {shown} has the wrong sign",
        "change its sign",
        (*before, flipped, *after),
        3,
    )
    if abs(summand.coefficient) != 1:
        bare = replace(summand, coefficient=np.sign(summand.coefficient).real)
        yield Change(
            "constant-factor",
            f"the factor {abs(summand.coefficient):.4g} of the term {shown} is left out",
            "multiply by it",
            (*before, bare, *after),
            3,
        )
    for factor, name in ((2, "twice"), (0.5, "half")):
        scaled = replace(summand, coefficient=factor * summand.coefficient)
        yield Change(
            "constant-factor",
            f"the term {shown} is counted {name}",
            "count it once",
            (*before, scaled, *after),
            4,
        )


def of_sums(summand: Summand, letters: Sequence[Letter]) -> Iterator[Change]:
    """A sum as a mean, over another axis, or over everything.

    Args:
        summand: the term.
        letters: those of the gradient's own axes.
    """
    for letter in summand.summed:
        yield Change(
            "mean-for-sum",
            f"a mean over {letter.text} stands where a sum belongs",
            f"do not divide by {letter.size}",
            (replace(summand, coefficient=summand.coefficient / letter.size),),
            3,
        )
        for place, word in ((letter.size - 1, "last"), (0, "first")):
            kept = tuple(n for n in summand.summed if n != letter)
            alone = replace(summand, summed=kept).replaced({letter: Number(place)})
            yield Change(
                "overwritten-duplicates" if place else "missing-sum",
                f"of the sum over {letter.text} only the {word} entry is kept",
                f"add over {letter.text}",
                (alone,),
                4,
            )
        inner = [f for f in (*summand.factors, *summand.deltas) if letter in f.walk()]
        shared = {n for f in inner for n in f.walk() if isinstance(n, Letter) and n in letters}
        for free in shared:
            yield from _inner_sum(summand, letter, free, letters)


def _inner_sum(
    summand: Summand, letter: Letter, free: Letter, letters: Sequence[Letter]
) -> Iterator[Change]:
    """`Σ_j` of what carries j, whose result runs over a free letter."""
    new = Letter(f"{free.text}0", free.size)
    carriers = [f for f in summand.factors if letter in f.walk()]
    rest = tuple(f for f in summand.factors if letter not in f.walk())
    whole = tuple(f.replaced({free: new}) for f in carriers)
    yield Change(
        "flattened-batch",
        f"the sum runs over all entries, not over {letter.text} for each {free.text} by itself",
        "sum over one axis alone",
        (replace(summand, summed=(*summand.summed, new), factors=(*whole, *rest)),),
        3,
    )
    summed = (*(n for n in summand.summed if n != letter), new)
    for target in letters:  # the letter itself: what broadcasts as a row, not as a column
        if target.size == letter.size:
            turned = tuple(f.replaced({letter: target, free: new}) for f in carriers)
            yield Change(
                "wrong-axis",
                f"the sum runs over the axis of {free.text}, not of {letter.text}",
                "sum over the other axis",
                (replace(summand, summed=summed, factors=(*turned, *rest)),),
                3,
            )
