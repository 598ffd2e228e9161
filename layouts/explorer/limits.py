"""The limits of the explorer, in one place: what is typed into a page may be anything.

The first are checked on the request, the others on shapes alone, before anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import jax

from layouts.counting import count
from layouts.errors import LayoutError
from layouts.explorer.schema import Caps
from layouts.expressions.grammar import MAX_DEPTH, MAX_EXPONENT, MAX_NODES, MAX_TEXT
from layouts.program import Cost

Shape = tuple[int, ...]

MAX_INPUTS = 24
MAX_NAME = 100
MAX_ENTRIES = 100_000
MAX_INTERMEDIATE = 1_000_000
MAX_MULTIPLICATIONS = 10**9
MAX_BYTES = 2**28
# A Jacobian of more entries is not written out; of more than MAX_CELLS it is shown reduced.
MAX_JACOBIAN = 4_000_000
MAX_CELLS = 40_000
MAX_SIDE = 200
# As many for an array, and for all arrays of a view together.
MAX_SHOWN = 40_000
MAX_SHOWN_IN_ALL = 120_000
MAX_SEED = 2**31 - 1
MAX_FACTORS = 24
MAX_SIZE_IN_CHAIN = 100_000

BYTES = 8  # of a float64


def caps() -> Caps:
    """The limits as data."""
    return {
        "text": MAX_TEXT,
        "nodes": MAX_NODES,
        "depth": MAX_DEPTH,
        "exponent": MAX_EXPONENT,
        "inputs": MAX_ENTRIES,
        "intermediate": MAX_INTERMEDIATE,
        "jacobian": MAX_JACOBIAN,
        "multiplications": MAX_MULTIPLICATIONS,
        "bytes": MAX_BYTES,
        "cells": MAX_CELLS,
        "side": MAX_SIDE,
        "shown_values": MAX_SHOWN,
        "seed": MAX_SEED,
        "chain": MAX_FACTORS,
        "size": MAX_SIZE_IN_CHAIN,
    }


def check_inputs(shapes: Mapping[str, Shape]) -> None:
    """Refuse inputs that are too many or too large.

    Raises:
        LayoutError: if they are.
    """
    if len(shapes) > MAX_INPUTS:
        raise LayoutError("inputs", f"at most {MAX_INPUTS}", f"{len(shapes)}", "use fewer")
    for name, shape in shapes.items():
        if prod(shape) > MAX_ENTRIES:
            received = f"{prod(shape):,}"
            expected = f"at most {MAX_ENTRIES:,} entries"
            raise LayoutError(f"shape of {name}", expected, received, "choose smaller sizes")


def check_function(call: Callable, shapes: Mapping[str, Shape]) -> None:
    """Refuse a function that makes arrays that are too large, by shapes alone.

    Raises:
        LayoutError: if it does.
    """
    structs = [jax.ShapeDtypeStruct(shape, "float64") for shape in shapes.values()]
    found = count(call, *structs)
    _check_cost("the function", found, MAX_INTERMEDIATE * BYTES)


def check_accumulation(cost: Cost) -> None:
    """Refuse a Jacobian that costs too much.

    Raises:
        LayoutError: if it does.
    """
    _check_cost("the Jacobian", cost, MAX_BYTES)


def _check_cost(what: str, found: Cost, most_bytes: int) -> None:
    limits: list[tuple[str, Any, int]] = [
        ("multiplications", found.multiplications, MAX_MULTIPLICATIONS),
        ("bytes at once", found.peak_bytes, most_bytes),
    ]
    for unit, received, most in limits:
        if received > most:
            remedy = "choose smaller sizes"
            raise LayoutError(what, f"at most {most:,} {unit}", f"{received:,}", remedy)
