"""Candidates of every kind as one: a function of a cotangent and the arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from layouts.doctor.evidence import as_numpy
from layouts.errors import LayoutError
from layouts.formulas.evaluating import evaluate, names
from layouts.formulas.parsing import parse
from layouts.formulas.tree import Formula


@dataclass(frozen=True)
class Candidate:
    """What is to be diagnosed.

    Attributes:
        call: returns the gradients of the arguments, a tuple of pytrees.
        fixed: whether it is an array, and so known at the caller's own arguments alone.
        text: a formula as it was given.
    """

    call: Callable[..., tuple]
    fixed: bool = False
    text: str = ""


def as_candidate(
    candidate: Any,
    count: int,
    several: bool,
    argument_names: Sequence[str],
    value: Callable | None = None,
) -> Candidate:
    """Read a candidate.

    Args:
        candidate: a callable `candidate(cotangent, *args)`, an array or a pytree of arrays, or a
            formula.
        count: how many arguments are differentiated by.
        several: whether argnums was a sequence, so that a tuple is expected.
        argument_names: what formulas call the arguments.
        value: the function of the arguments' leaves, for formulas that name its value.

    Raises:
        LayoutError: a formula with names that are no arguments, or a tuple of another length.
    """
    if isinstance(candidate, str):
        formula = parse(candidate)
        return Candidate(of_formula(formula, argument_names, value), text=candidate)
    if callable(candidate):
        return Candidate(
            lambda g, *args: _tuple(candidate(as_numpy(g), *as_numpy(args)), count, several)
        )
    return Candidate(lambda g, *args: _tuple(candidate, count, several), fixed=True)


def _tuple(found: Any, count: int, several: bool) -> tuple:
    if not several:
        return (found,)
    if not isinstance(found, tuple | list) or len(found) != count:
        received = f"{len(found)}" if isinstance(found, tuple | list) else type(found).__name__
        remedy = "return a tuple in the order of argnums"
        raise LayoutError("candidate", f"{count} gradients", received, remedy)
    return tuple(found)


def of_formula(
    formula: Formula, argument_names: Sequence[str], value: Callable | None = None
) -> Callable[..., tuple]:
    """A formula of the arguments and of one more name, the cotangent's.

    Where the cotangent is called dY or ∂L/∂Y, Y is the function's value. A gradient of a scalar is
    written without a cotangent, as `2 X w`: then it is multiplied by it.
    """
    unknown = [name for name in names(formula) if name not in argument_names]
    prefixes = ("d", "dL/d", "∂L/∂")
    outputs = [n for n in unknown if any(f"{p}{n}" in unknown for p in prefixes)] if value else []
    unknown = [name for name in unknown if name not in outputs]
    if len(unknown) > 1:
        known = ", ".join(argument_names)
        received = ", ".join(unknown)
        remedy = "call the cotangent by one name, as dD or ∂L/∂D"
        raise LayoutError("candidate", f"a formula of {known} and a cotangent", received, remedy)

    def call(cotangent: Any, *args: Any) -> tuple:
        arrays = dict(zip(argument_names, jax.tree.leaves(args), strict=True))
        arrays |= dict.fromkeys(unknown, cotangent)
        if value is not None and outputs:
            arrays |= dict.fromkeys(outputs, value(*jax.tree.leaves(args)))
        found = np.asarray(evaluate(formula, arrays))
        return (found if unknown or np.ndim(cotangent) else found * np.asarray(cotangent),)

    return call
