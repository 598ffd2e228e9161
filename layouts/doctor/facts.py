"""What a function tells about its gradients' mistakes: its numbers, its divisors, its moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layouts.doctor.listing import Listing
from layouts.doctor.ratios import Constant, named

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
        """The variables that the function, or a derivative of it, divides by; and their factors."""
        found: set[int | None] = set()
        passed = ("broadcast_in_dim", "reshape", "mul", "integer_pow", "square")
        for step in reversed(self.listing.steps):
            if step.called in ("sqrt", "cbrt", "norm"):
                found.add(step.results[0])
            if step.name == "div":
                found.add(step.operands[1])
            elif step.name == "log":
                found.add(step.operands[0])
            elif step.name in passed and step.results[0] in found:
                found |= {*step.operands}
        return found

    @cached_property
    def permutes(self) -> bool:
        """Whether the function permutes axes and multiplies no matrices."""
        names = {step.name for step in self.listing.steps}
        return "transpose" in names and "dot_general" not in names

    @cached_property
    def moves(self) -> bool:
        """Whether the function puts entries in other places."""
        moving = ("transpose", "rev", "gather", "slice", "dynamic_slice")
        return any(step.name in moving for step in self.listing.steps)

    @cached_property
    def only_moves(self) -> bool:
        """Whether it does, and multiplies no matrices."""
        return self.moves and all(step.name != "dot_general" for step in self.listing.steps)

    @cached_property
    def divides(self) -> frozenset[int]:
        """The numbers of something that the function divides by, as a mean does."""
        found: set[int] = set()
        for step in self.listing.steps:
            if step.name == "integer_pow":
                found.add(abs(step.params["y"]))
            for constant in step.constants:
                if step.name in ("div", "mul") and np.size(constant) == 1 and constant is not None:
                    value = abs(float(np.asarray(constant).ravel()[0]))
                    found |= {
                        n for n in self.sizes if min(abs(value - n), abs(value * n - 1)) < 1e-6
                    }
        return frozenset(found)
