"""One equation of a jaxpr with what its operands are: what writes a primitive is given one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax.extend.core import JaxprEqn

from layouts.show.value import Shape, Value
from layouts.show.values import Values
from layouts.show.views import full


@dataclass(frozen=True)
class Step:
    """One equation with what its operands are.

    Attributes:
        values: makes the expressions.
        equation: of the jaxpr.
        operands: the expressions of its inputs.
    """

    values: Values
    equation: JaxprEqn
    operands: tuple[Value, ...]

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the primitive."""
        return self.equation.params

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of the operands, every repetition counted."""
        return [getattr(atom.aval, "shape", ()) for atom in self.equation.invars]

    @property
    def shape(self) -> Shape:
        """The shape of the first result."""
        return getattr(self.equation.outvars[0].aval, "shape", ())

    @property
    def full(self) -> list[Value]:
        """The operands with every repetition spelt out."""
        return [full(self.values, v, s) for v, s in zip(self.operands, self.shapes, strict=True)]

    def kind(self, place: int = 0) -> Any:
        """The dtype of an operand."""
        return getattr(self.equation.invars[place].aval, "dtype", None)


Writer = Callable[[Step], Value]
# The name of what a loop hands on from step to step: it is not taken apart by the next.
CARRIED = "carried by a loop"
