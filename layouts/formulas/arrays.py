"""Which array a name in a formula stands for, and a derivative."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError
from layouts.expressions.grammar import guess, shorten
from layouts.formulas.functions import KNOWN
from layouts.formulas.tree import Derivative, Entry, Equation, Formula, Name
from layouts.show.text import text


def names(formula: Formula) -> tuple[str, ...]:
    """The names of the arrays that `evaluate` looks up, in order of first appearance.

    Example:
        >>> from layouts.formulas.parsing import parse
        >>> names(parse("∂L/∂W = ∂L/∂D Xᵀ"))
        ('dL/dD', 'X')
    """
    last = formula.sides[-1] if isinstance(formula, Equation) else formula
    return tuple(dict.fromkeys(_names(last)))


def _names(formula: Formula) -> list[str]:
    if isinstance(formula, Name):
        return [formula.text]
    if isinstance(formula, Derivative):
        inner = [name for index in indices_of(formula) for name in _names(index)]
        return [derivative_names(formula)[0], *inner]
    return [name for part in formula.parts for name in _names(part)]


def bare_name(formula: Formula) -> str:
    """The name of an array, with or without indices, that a derivative is of or by."""
    while isinstance(formula, Entry):
        formula = formula.array
    if isinstance(formula, Derivative):
        return f"({derivative_names(formula)[0]})"
    if not isinstance(formula, Name):
        kind = type(formula).__name__
        raise LayoutError("derivative", "names, as in dL/dW", kind, "give it a name of its own")
    return formula.text


def derivative_names(formula: Derivative) -> tuple[str, ...]:
    """The names that a derivative's array may go by."""
    above, below = bare_name(formula.of), bare_name(formula.by)
    short = (f"d{below}", f"∂{below}") if above == "L" else ()
    return (f"d{above}/d{below}", f"∂{above}/∂{below}", *short)


def indices_of(formula: Derivative) -> tuple[Formula, ...]:
    """The indices of a derivative of entries by entries, the output's first."""
    sides = (formula.of, formula.by)
    return tuple(n for side in sides if isinstance(side, Entry) for n in side.indices)


def array_of(formula: Formula) -> Formula:
    """The array that an entry is of; any other formula as it is."""
    return formula.array if isinstance(formula, Entry) else formula


@dataclass(frozen=True)
class Arrays:
    """The arrays that names stand for."""

    arrays: Mapping[str, Any]

    def find(self, formula: Formula) -> Any:
        """The array of a name or of a derivative; None where there is none."""
        if isinstance(formula, Derivative):
            full, sign, *short = derivative_names(formula)
            # `dW` stands for ∂L/∂W, but for an array of another shape, where W is known.
            by = self.arrays.get(bare_name(formula.by))
            short = [n for n in short if by is None or np.shape(by) == self._shape(n)]
            keys: tuple[str, ...] = (full, sign, *short)
        elif isinstance(formula, Name):
            text = formula.text
            keys = (text, *(f"{d}L/{d}{text[1:]}" for d in "d∂" if text[:1] in ("d", "∂")))
        else:
            return None
        return next((self.arrays[key] for key in keys if key in self.arrays), None)

    def _shape(self, name: str) -> tuple[int, ...] | None:
        return np.shape(self.arrays[name]) if name in self.arrays else None

    def get(self, formula: Formula) -> Any:
        """The array of a name or of a derivative."""
        found = self.find(formula)
        if found is None:
            name = _names(formula)[0]
            known = ", ".join(self.arrays) or "none"
            remedy = guess(name, self.arrays) or "pass it, or choose another name"
            if name in KNOWN:
                remedy = f"write the function as {name}(x)"
            raise LayoutError(f"name {name}", f"one of the arrays: {shorten(known)}", name, remedy)
        # Python's own numbers take the precision of what they meet.
        return found if type(found) in (bool, int, float, complex) else jnp.asarray(found)


def text_of(formula: Formula) -> str:
    """A formula for an error's line."""
    return f"formula {shorten(re.sub('~[0-9]+', '', text(formula)))}"
