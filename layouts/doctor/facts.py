"""What a function tells about its gradients' mistakes: its numbers, its divisors, its moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layouts.doctor.ratios import Constant, named
from layouts.doctor.tape import Listing

# Numbers of the function's that are named.
MOST_NUMBERS = 12


@dataclass
class Facts:
    """Facts of a function.

    Attributes:
        listing: its steps.
        sizes: numbers that stand for something, such as axes, and what that is.
    """

    listing: Listing
    sizes: Mapping[int, str]

    @cached_property
    def numbers(self) -> list[float]:
        """The numbers that stand in the function, without their signs."""
        constants = [c for step in self.listing.steps for c in step.constants]
        found = {abs(float(np.ravel(c)[0])) for c in constants if c is not None and np.size(c) == 1}
        return sorted(number for number in found if 0 < number < float("inf"))[:MOST_NUMBERS]

    def names(self, value: float) -> Constant | None:
        """What a number is called."""
        return named(value, self.sizes, self.numbers)

    @cached_property
    def divisors(self) -> set[int | None]:
        """The variables that the function divides by, as they are or repeated."""
        found: set[int | None] = set()
        for step in reversed(self.listing.steps):
            if step.name == "div":
                found.add(step.operands[1])
            elif step.name in ("broadcast_in_dim", "reshape") and step.results[0] in found:
                found.add(step.operands[0])
        return found

    @cached_property
    def permutes(self) -> bool:
        """Whether the function permutes axes and multiplies no matrices."""
        names = {step.name for step in self.listing.steps}
        return "transpose" in names and "dot_general" not in names

    @cached_property
    def divides(self) -> bool:
        """Whether the function divides by the number of something, as a mean does."""
        for step in self.listing.steps:
            if step.name == "integer_pow" and abs(step.params["y"]) in self.sizes:
                return True
            for constant in step.constants:
                if step.name in ("div", "mul") and np.size(constant) == 1 and constant is not None:
                    value = abs(float(np.asarray(constant).ravel()[0]))
                    if any(abs(value - n) < 1e-6 or abs(value * n - 1) < 1e-6 for n in self.sizes):
                        return True
        return False
