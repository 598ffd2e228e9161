"""What a rule sees: one equation of a linear program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from layouts.axes import Axes, labels_of
from layouts.nodes import Leaf, Reshape
from layouts.terms import Factor


@dataclass(frozen=True)
class Operand:
    """An operand of an equation.

    Attributes:
        shape: its shape.
        dtype: its dtype.
        value: the array, where it is known (a residual); None where it is linear.
        number: the Python number, where it is a literal of the program.
        name: how a formula calls it, where it has a name.
        manual: inside `jax.shard_map`, the mesh axes that it varies over.
        entries: of an array of integers that the program spells out.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    value: jax.Array | None = None
    number: complex | None = None
    name: str | None = None
    manual: Any = None
    entries: np.ndarray | None = None

    @property
    def varies(self) -> bool:
        """Whether devices of a mesh hold different values of it."""
        return bool(self.manual is not None and self.manual.varying)

    def aval(self, shape: Sequence[int]) -> jax.ShapeDtypeStruct:
        """An array of its kind in another shape."""
        return jax.ShapeDtypeStruct(tuple(shape), self.dtype, manual_axis_type=self.manual)

    @property
    def linear(self) -> bool:
        """Whether the equation is differentiated by this operand."""
        return self.value is None


@dataclass(frozen=True)
class Equation:
    """One equation: a primitive, its parameters, what goes in and what comes out.

    Attributes:
        name: the primitive's.
        params: the primitive's parameters.
        operands: known and linear operands, in order.
        outs: shape and dtype of each output.
        leaf: registers an array as a residual and returns the symbolic array for it.
        apply: runs the primitive: from its linear operands, of these or other shapes that it
            takes, to its outputs.
        directions: the ways in which JAX can apply it: "push" (tangents), "pull" (cotangents).
        work: multiplications and additions of running it once.
        stored: how many arrays that stores.
        numbers: by the ids of residuals that are one number in all entries: the number.
    """

    name: str
    params: Mapping[str, Any]
    operands: tuple[Operand, ...]
    outs: tuple[Operand, ...]
    leaf: Callable[..., Leaf]
    apply: Callable[..., Sequence[jax.Array]]
    directions: tuple[str, ...] = ("push", "pull")
    work: tuple[int, int] = (0, 0)
    stored: int = 1
    numbers: Mapping[int, jax.Array] = field(default_factory=dict)

    @property
    def out(self) -> Operand:
        """The output, or the first of several."""
        return self.outs[0]

    @property
    def linear(self) -> list[int]:
        """The positions of the linear operands."""
        return [n for n, operand in enumerate(self.operands) if operand.linear]

    def factor(self, axes: Axes, value: jax.Array, name: str | None, gate: bool = False) -> Factor:
        """A residual as a factor: its axes of size one carry no label and are squeezed away.

        One that repeats a number is that number, which carries none.
        """
        if id(value) in self.numbers:
            return Factor(self.leaf(self.numbers[id(value)], name), ())
        leaf = self.leaf(value, name, gate)
        shape = tuple(extent for extent in leaf.shape if extent != 1)
        node = leaf if shape == leaf.shape else Reshape(shape, leaf.itemsize, (leaf,))
        return Factor(node, labels_of(axes))
