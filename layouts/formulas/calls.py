"""Functions as they are typed: which are known, and which have a form of their own on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from layouts.errors import LayoutError
from layouts.expressions.grammar import guess
from layouts.formulas.functions import ELEMENTWISE, KNOWN
from layouts.formulas.tree import (
    Call,
    Formula,
    Identity,
    Inverse,
    Number,
    Ones,
    Product,
    Transpose,
)

MAX_SIZE = 10**6
_ALIASES = {
    "σ": "sigmoid",
    "trace": "tr",
    "concatenate": "concat",
    "absolute": "abs",
    "pow": "power",
}
_PACKAGES = {"jax", "jnp", "np", "numpy", "nn", "lax", "linalg", "scipy", "torch", "math"}


def is_known(name: str) -> bool:
    """Whether a function of this name may be called."""
    return name in KNOWN or name in _ALIASES or name in _FORMS


def is_package(name: str) -> bool:
    """Whether a prefix is that of a package, as in `jnp.tanh`."""
    return name.partition(".")[0] in _PACKAGES


def nearest(name: str) -> str:
    """A question that offers the function of the nearest name."""
    return guess(name, [*KNOWN, *_ALIASES, *_FORMS])


def call(
    name: str,
    operands: Sequence[Formula],
    options: Sequence[tuple[str, object]],
    primes: int = 0,
) -> Formula:
    """A function of operands as a formula: `inv(X)` is an Inverse, `eye(4)` an Identity.

    Raises:
        LayoutError: if it has a form of its own that does not fit the operands, or no operands.

    Example:
        >>> call("eye", [Number(4)], [])
        Identity(size=4)
    """
    name = _ALIASES.get(name, name)
    if primes and name not in ELEMENTWISE:
        remedy = "a prime is the derivative of a function of one number, as in tanh'(x)"
        raise LayoutError(f"{name}'", "a function that acts entry by entry", name, remedy)
    if not operands:
        raise LayoutError(name, "an operand", "none", f"write {name}(x)")
    if name in ELEMENTWISE and len(operands) != 1:
        raise LayoutError(name, "one operand", str(len(operands)), "check commas and parentheses")
    if name in _FORMS and not options:
        return _FORMS[name](tuple(operands))
    return Call(name, tuple(operands), tuple(options), primes)


def _sizes(name: str, operands: Sequence[Formula]) -> tuple[int, ...]:
    """Sizes given as operands."""
    found = []
    for operand in operands:
        value = operand.value if isinstance(operand, Number) else None
        if not isinstance(value, int) or not 0 <= value <= MAX_SIZE:
            expected = f"whole numbers up to {MAX_SIZE:,}"
            raise LayoutError(name, expected, type(operand).__name__.lower(), f"write {name}(4)")
        found.append(value)
    return tuple(found)


def _one(name: str, operands: Sequence[Formula]) -> Formula:
    if len(operands) != 1:
        raise LayoutError(name, "one operand", str(len(operands)), f"write {name}(X)")
    return operands[0]


def _identity(operands: Sequence[Formula]) -> Formula:
    (size,) = _sizes("eye", [_one("eye", operands)])
    return Identity(size)


def _kronecker(operands: tuple[Formula, ...]) -> Formula:
    """Nested Kronecker products are one."""
    first = operands[0]
    if isinstance(first, Product) and first.kind == "kronecker":
        operands = (*first.factors, *operands[1:])
    return Product("kronecker", operands)


def _array(operands: tuple[Formula, ...]) -> Formula:
    """`array([a, b])`, whose brackets are an array already."""
    first = operands[0]
    whole = len(operands) == 1 and isinstance(first, Call) and first.function == "array"
    return first if whole else Call("array", operands)


_FORMS: Mapping[str, Callable[[tuple[Formula, ...]], Formula]] = {
    "array": _array,
    "eye": _identity,
    "ones": lambda operands: Ones(_sizes("ones", operands)),
    "inv": lambda operands: Inverse(_one("inv", operands)),
    "transpose": lambda operands: Transpose(_one("transpose", operands)),
    "kron": _kronecker,
    "matmul": lambda operands: Product("matrix", operands),
}
