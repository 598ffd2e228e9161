"""Edits of paths: one left out, a statistic held constant, a unit passed straight through."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from layouts.doctor.hypotheses import Hypothesis, of_cotangent
from layouts.doctor.listing import Listing
from layouts.doctor.tape import Edit, Tape
from layouts.doctor.units import of_units
from layouts.doctor.uses import of_constants, of_uses

# Products of matrices whose Jacobian may be one for vectors stacked by columns.
MOST_PRODUCTS = 4


def of_paths(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """All edits of paths; their number is linear in the number of steps.

    Args:
        listing: the function.
        tape: a run of it.
    """
    yield from _start(listing, tape)
    yield from of_uses(listing, tape)
    yield from of_constants(listing, tape)
    yield from of_units(listing, tape)


def _start(listing: Listing, tape: Tape) -> Iterator[Hypothesis]:
    """The cotangent dropped, or the output in its place."""
    if listing.output is None:
        return
    yield Hypothesis(
        "missing-cotangent",
        "the cotangent is left out, as if it were ones",
        "multiply by the cotangent: with ones in its place this looks right",
        of_cotangent(listing.output, lambda g, t: np.ones_like(g)),
        1,
    )
    output = listing.output
    yield Hypothesis(
        "missing-cotangent",
        "the output stands where the cotangent belongs",
        "start from the cotangent",
        of_cotangent(output, lambda g, t: np.asarray(t.values[output])),
        2,
    )
    products = [s.results[0] for s in listing.steps if s.name == "dot_general" and tape.places(s)]
    for end in dict.fromkeys([output, *products[:MOST_PRODUCTS]]):
        for leaf in sorted(tape.active & {*listing.inputs} - {end}):
            yield from _by_columns(tape, end, leaf)


def _by_columns(tape: Tape, output: int, leaf: int) -> Iterator[Hypothesis]:
    """The Jacobian for vectors stacked by columns, of vectors that are stacked by rows.

    Such is `kron(X.T, I)` for `W @ X`: it needs `vec(dD)` by columns, and gives `vec(dW)` so.
    """
    shapes = np.shape(tape.values[output]), np.shape(tape.values[leaf])
    if all(len(shape) == 2 and shape[0] == shape[1] for shape in shapes):
        yield Hypothesis(
            "operand-not-transposed",
            "nothing is transposed, or everything where nothing should be",
            "the Jacobian's transpose carries cotangents back",
            Edit(cotangents=dict.fromkeys((output, leaf), lambda g, t: np.transpose(g))),
            4,
        )
    for there, back in product((_read_by_columns, _laid_by_columns), repeat=2):
        yield Hypothesis(
            "vec-order",
            "the Jacobian for one order of stacking is multiplied by a cotangent in the other",
            "stack arrays in the order that the Jacobian, or its Kronecker products, are for",
            Edit(
                cotangents={
                    output: lambda g, t, there=there: there(np.asarray(g)),  # type: ignore[misc]
                    leaf: lambda g, t, back=back: back(np.asarray(g)),  # type: ignore[misc]
                }
            ),
            5,
        )


def _read_by_columns(array: np.ndarray) -> np.ndarray:
    return array.ravel(order="F").reshape(array.shape)


def _laid_by_columns(array: np.ndarray) -> np.ndarray:
    return array.ravel().reshape(array.shape, order="F")
