"""Guards against NaN: `where(any(x != x), nan, y)` is y wherever there are numbers.

JAX's `median` and `quantile` put NaN where an entry is NaN. That is no part of a function of
numbers, nor of its derivative, and people do not write it. What is done with NaN otherwise, as
`nanmean` does, stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn

# What is made of NaNs alone, or of tests for NaN alone, by these is such again.
_SAME = ("broadcast_in_dim", "convert_element_type", "copy", "reduce_or", "reshape", "squeeze")


def asks_for_nan(equation: JaxprEqn) -> bool:
    """Whether it compares an array with itself, which only NaN differs from."""
    return equation.primitive.name == "ne" and equation.invars[0] is equation.invars[1]


def has_guards(jaxpr: Jaxpr) -> bool:
    """Whether anything in a jaxpr, calls left out, asks for NaN."""
    return any(map(asks_for_nan, jaxpr.eqns))


@dataclass
class Guards:
    """What is known while a jaxpr runs: which arrays are NaN alone, which ask for NaN."""

    tests: list[Any] = field(default_factory=list)
    nans: list[Any] = field(default_factory=list)

    def passed(self, equation: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any] | None:
        """The result of a guard, which is what it guards; None for any other equation."""
        if equation.primitive.name != "select_n" or len(operands) != 3:
            return None
        which, otherwise, where = operands
        return [otherwise] if self._tests(which) and self._is_nan(where) else None

    def note(self, equation: JaxprEqn, operands: Sequence[Any], results: Sequence[Any]) -> None:
        """Take in what an equation makes."""
        kept = equation.primitive.name in _SAME
        if asks_for_nan(equation) or (kept and all(map(self._tests, operands))):
            self.tests.extend(results)
        elif kept and all(map(self._is_nan, operands)):
            self.nans.extend(results)

    def _tests(self, array: Any) -> bool:
        return any(array is known for known in self.tests)

    def _is_nan(self, array: Any) -> bool:
        if isinstance(array, jax.core.Tracer):
            return any(array is known for known in self.nans)
        kind = np.asarray(array).dtype.kind
        return kind == "f" and np.size(array) > 0 and bool(np.isnan(np.asarray(array)).all())
