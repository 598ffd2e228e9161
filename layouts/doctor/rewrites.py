"""What of a function, or of its pull-back, is computed otherwise than it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layouts.doctor.tape import Tape

Value = Callable[[Tape], Any]
# Kind, message and correction of a mistake, how far-fetched it is, and the change that makes it.
Found = tuple[str, str, str, int, Any]


@dataclass(frozen=True)
class Rewrite:
    """What is computed otherwise.

    Attributes:
        over: for a reduction the names that it runs over instead, and a factor of its result.
        passed: for a step the operand that is returned in place of its result.
        results: for a step, which is differentiated as it was, its result of its operands.
        points: for a variable what stands for its value in what follows, as a function of the tape.
        operands: the same for one operand of one step.
        skips: for a variable the earlier one that takes its cotangent as it is.
        names: for a step other names for its result's axes.
        frozen: steps that are differentiated where they always were, whatever their operands are.
        until: variables that have their own value again.
        values: for a step what stands for its value in its slope.
        cotangents: for a variable what becomes of its cotangent, an array of its shape.
        turned: for a step other names for the axes of its result's cotangent.
        centred: for a variable the names over which its mean is taken off it.
        static: whether cotangents are added over the axes of the true run, not of this.
    """

    over: Mapping[int, tuple[frozenset[int], float]] = field(default_factory=dict)
    passed: Mapping[int, int] = field(default_factory=dict)
    results: Mapping[int, Callable[..., np.ndarray]] = field(default_factory=dict)
    points: Mapping[int, Value] = field(default_factory=dict)
    operands: Mapping[tuple[int, int], Value] = field(default_factory=dict)
    skips: Mapping[int, int] = field(default_factory=dict)
    names: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    frozen: frozenset[int] = frozenset()
    until: frozenset[int] = frozenset()
    values: Mapping[int, Value] = field(default_factory=dict)
    cotangents: Mapping[int, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    turned: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    centred: Mapping[int, frozenset[int]] = field(default_factory=dict)
    static: bool = False


class NoFit(ValueError):
    """Axes do not fit where they have to."""
