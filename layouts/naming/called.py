"""Calls that a function on paper makes by name: `eigvecs(A)`, where JAX has a primitive or many.

A call is a `jax.jit` whose name says what it is called in formulas, with its keywords; no function
of a user's has such a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from layouts.naming.step import Step
from layouts.show.patterns import turn
from layouts.show.value import Value, terms_of
from layouts.show.values import Values

_PREFIX = "on paper: "
_APART = " | "
# What takes half of a matrix and half of its transpose unless told otherwise.
_SYMMETRIC = ("cholesky", "eigvalsh", "eigvecs")


def called(name: str, function: Callable[..., jax.Array], **options: Any) -> Callable[..., Any]:
    """A function of arrays as a call that formulas write by its name.

    Args:
        name: one that formulas know.
        function: what it does, of one result; the keywords are known to it already.
        options: the keywords that are written.

    Example:
        >>> twice = called("twice", lambda x: 2 * x)
        >>> name_of(jax.make_jaxpr(twice)(1.0).eqns[0])
        ('twice', [])
    """

    def run(*arrays: Any) -> Any:
        return function(*arrays)

    words = [name, *(f"{key}={value!r}" for key, value in options.items())]
    run.__name__ = _PREFIX + _APART.join(words)
    return jax.jit(run)


def name_of(equation: Any) -> tuple[str, list[str]] | None:
    """The name and the keywords of a call that `called` made; None for any other equation."""
    text = equation.params.get("name")
    if equation.primitive.name not in ("jit", "pjit") or not str(text).startswith(_PREFIX):
        return None
    name, *options = text.removeprefix(_PREFIX).split(_APART)
    return name, options


def write_call(step: Step, name: str, options: Sequence[str]) -> Value:
    """Such a call as an expression."""
    operands, options = step.full, list(options)
    if name in _SYMMETRIC:
        whole = _halved(step.values, operands[0])
        if whole is None:
            options.append("symmetrize_input=False")
        else:
            operands = [whole]
    return step.values.call(name, operands, options, step.shape)


def _halved(values: Values, matrix: Value) -> Value | None:
    """The A of `(A + Aᵀ) / 2`, and any matrix that is its own transpose; None for others."""
    if matrix.head == "sum" and len(matrix.operands) == 1 and matrix.detail == (0.5,):
        terms = terms_of(1, matrix.operands[0])
    else:
        terms = [(2 * c, v) for c, v in terms_of(1, matrix)]
    if len(terms) == 2 and [c for c, _ in terms] == [1, 1]:
        one, other = sorted((v for _, v in terms), key=lambda v: v.head == "transpose")
        if turn(values, one) is other:
            return one
    return matrix if turn(values, matrix) is matrix else None
