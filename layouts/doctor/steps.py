"""Edits of single steps: for each primitive, what people get wrong in its pull-back."""

from __future__ import annotations

from collections.abc import Iterator

from layouts.doctor.choosing import of_choices
from layouts.doctor.contractions import of_convolutions, of_matrices
from layouts.doctor.entrywise import of_functions, of_products
from layouts.doctor.hypotheses import Hypothesis
from layouts.doctor.listing import Listing
from layouts.doctor.moving import of_moves
from layouts.doctor.repeating import of_repetitions
from layouts.doctor.tape import Tape
from layouts.doctor.windows import of_sequences, of_windows


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
            for make in (
                of_functions,
                of_products,
                of_matrices,
                of_moves,
                of_choices,
                of_sequences,
                of_windows,
                of_repetitions,
                of_convolutions,
            ):
                yield from make(number, step, place, tape)
