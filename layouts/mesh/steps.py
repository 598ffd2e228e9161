"""The steps of a function's own program as nodes, as far as devices care: which axes go together.

This module imports no JAX.
"""

from dataclasses import dataclass
from typing import Any

from layouts.nodes import Indices, Node, Shape


@dataclass(frozen=True, eq=False)
class Step(Node):
    """An array that a function computes on its way, by whatever step.

    It can be divided along an index, with every operand that carries it; where the result lacks
    that, each device has a part of what is then added up, or compared.

    Attributes:
        indices: an index number for each axis of each operand; axes that go together share one.
        output: the index numbers of the result's axes.
        extents: the size of each index.
        whole: indices along which the step needs its operands undivided.
        token: what tells this step from others on the same operands.
    """

    indices: tuple[Indices, ...] = ()
    output: Indices = ()
    extents: Shape = ()
    whole: frozenset[int] = frozenset()
    token: Any = None

    @property
    def signature(self) -> tuple:
        """The step, and which axes go together."""
        return (Step, self.token, self.shape, self.indices, self.output, self.whole)
