"""What all requests and answers are made of: numbers, formulas, mistakes, limits."""

from __future__ import annotations

from typing import Literal, TypedDict

Number = float | int | Literal["NaN", "Infinity", "-Infinity"]
"""A number as JSON has it."""

LayoutName = Literal["numerator", "denominator", "mixed"]
VecName = Literal["rows", "columns"]


class Formula(TypedDict):
    """A formula in each notation."""

    text: str
    """Unicode on one line: `∂L/∂W = ∂L/∂D Xᵀ`."""
    mathml: str
    """One `<math>` element, safe to insert: names are escaped, and there is no script."""
    latex: str
    """For amsmath, without dollars."""


class Mistake(TypedDict):
    """What is wrong with a request, for people."""

    what: str
    """The object: `W @ X at column 6`."""
    expected: str
    received: str
    remedy: str
    text: str
    """All of it in one sentence."""


class Caps(TypedDict):
    """The limits, in every `gallery` and `view` answer. Sizes count entries of arrays."""

    text: int
    """Characters of an expression or a formula, before it is parsed."""
    nodes: int
    depth: int
    exponent: int
    inputs: int
    """Entries of one input."""
    intermediate: int
    """Entries of any array that the function makes."""
    jacobian: int
    """Entries of a Jacobian whose values are computed; of a larger one the structure is shown."""
    multiplications: int
    """Of the planned accumulation."""
    bytes: int
    """Of its peak memory."""
    cells: int
    """Entries shown one by one: a Jacobian of more is reduced."""
    side: int
    """Cells along a side of a reduced Jacobian."""
    shown_values: int
    """Entries of an input or output whose values are in the answer."""
    seed: int
    """The largest seed; the smallest is 0."""
    chain: int
    """Factors of a chain."""
    size: int
    """The largest size in a chain."""
