"""Backward passes written by hand, right and wrong: what the gradient doctor is held against.

One module for an operation, each with a list `CASES`. The passes are plain NumPy, written as people
write them, and know nothing of how the doctor searches: a wrong one holds one classical slip.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

_NAMES = """
transposed-layout operand-not-transposed order-swapped inverse-for-transpose vec-order
permutation-not-inverted missing-sum wrong-axis mean-for-sum constant-factor sign missing-factor
extra-factor missing-activation-derivative value-for-derivative wrong-point missing-cotangent
missing-path treated-as-constant diagonal-only flattened-batch wrong-argument
overwritten-duplicates not-flipped ties
"""
KINDS = frozenset(_NAMES.split())


@dataclass(frozen=True)
class Case:
    """One backward pass of one operation.

    Attributes:
        operation: what is differentiated, `"matmul"`; the module's name.
        name: what this pass does or does wrong, in a few words; unique within the operation.
        argnum: the argument it gives the gradient by.
        forward: the function, in `jax.numpy`; returns one array.
        backward: `backward(cotangent, *args)`, in NumPy: the gradient by `args[argnum]`.
        args: draws the arguments: NumPy arrays of float64 (labels and indices: of integers).
        kinds: () for a right pass, else the acceptable names of the mistake, the best first; two
            mistakes at once are one name, joined by "+" in alphabetical order.
    """

    operation: str
    name: str
    argnum: int
    forward: Callable
    backward: Callable
    args: Callable[[np.random.Generator], tuple]
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            parts = kind.split("+")
            if not KINDS.issuperset(parts) or parts != sorted(parts):
                raise ValueError(f"{self}: {kind!r} is no kind, nor kinds in alphabetical order")

    def __str__(self) -> str:
        return f"{self.operation}: {self.name}"


@dataclass(frozen=True)
class Problem:
    """An operation by one of its arguments: makes the cases that share these.

    Attributes: those of `Case`.

    Example:
        >>> double = Problem("double", lambda x: 2 * x, normal(3))
        >>> double.wrong("two left out", lambda d, x: d, "constant-factor").kinds
        ('constant-factor',)
    """

    operation: str
    forward: Callable
    args: Callable[[np.random.Generator], tuple]
    argnum: int = 0

    def right(self, name: str, backward: Callable) -> Case:
        """A pass that is right, in whatever form."""
        return self.wrong(name, backward)

    def wrong(self, name: str, backward: Callable, *kinds: str) -> Case:
        """A pass with a slip, and what a person may call it, best first."""
        return Case(
            self.operation, name, self.argnum, self.forward, backward, self.args, tuple(kinds)
        )


def normal(*shapes: int | tuple[int, ...]) -> Callable[[np.random.Generator], tuple]:
    """Draws one normal array of each shape."""
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def cases() -> list[Case]:
    """The cases of every module of this folder, by the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [case for name in names for case in import_module(f"{__name__}.{name}").CASES]
