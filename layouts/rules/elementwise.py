"""Elementwise primitives: a delta for every axis, times at most one factor.

Written out, `out[i,j] = r[i,j] x[i,j]` has the Jacobian `δ[i,k] δ[j,l] r[i,j]`. An operand axis of
size one broadcasts against the output's: it carries no label, so that the output's label stands on
the output side alone.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from layouts.algebra import identity as algebra_identity
from layouts.axes import Axes, fresh_axes
from layouts.rules.equation import Equation
from layouts.terms import Term, Terms


def _narrow(axes: Axes, shape: Sequence[int]) -> Axes:
    """The output's axes as an array of this shape carries them: a scalar carries none."""
    if not shape:
        return ()
    return tuple(axis if extent != 1 else () for axis, extent in zip(axes, shape, strict=True))


def _scaled(equation: Equation, position: int, coefficient: complex) -> Terms:
    """`out = c x`."""
    axes = fresh_axes(equation.out.shape)
    into = _narrow(axes, equation.operands[position].shape)
    return (Term(axes, into, (), coefficient),)


def _weighted(
    equation: Equation, position: int, weight: jax.Array, name: str | None, gate: bool = False
) -> Terms:
    """`out = r ⊙ x`."""
    axes = fresh_axes(equation.out.shape)
    into = _narrow(axes, equation.operands[position].shape)
    factor = equation.factor(_narrow(axes, weight.shape), weight, name, gate)
    return (Term(axes, into, (factor,)),)


def _each(equation: Equation, coefficients: Sequence[complex]) -> dict[int, Terms]:
    return {
        position: _scaled(equation, position, coefficients[position])
        for position, operand in enumerate(equation.operands)
        if operand.linear
    }


def identity(equation: Equation) -> dict[int, Terms]:
    """`out = x`: the deltas alone."""
    return _each(equation, (1,))


def each(equation: Equation) -> dict[tuple[int, int], Terms]:
    """`out_n = x_n`, for several operands at once."""
    return {
        (place, place): algebra_identity(operand.shape)
        for place, operand in enumerate(equation.operands)
        if operand.linear
    }


def neg(equation: Equation) -> dict[int, Terms]:
    """`out = -x`."""
    return _each(equation, (-1,))


def add(equation: Equation) -> dict[int, Terms]:
    """`out = x + y`; a known operand of a linear sum can only be zero."""
    return _each(equation, (1, 1))


def sub(equation: Equation) -> dict[int, Terms]:
    """`out = x - y`."""
    return _each(equation, (1, -1))


def imag(equation: Equation) -> dict[int, Terms]:
    """`out = Im x = Re(-i x)`; of what a matrix gives for a real output the real part is meant."""
    return _each(equation, (-1j,))


def complex_(equation: Equation) -> dict[int, Terms]:
    """`out = x + i y`."""
    return _each(equation, (1, 1j))


def mul(equation: Equation) -> dict[int, Terms]:
    """`out = r ⊙ x`, the residual on either side."""
    position = 0 if equation.operands[0].linear else 1
    known = equation.operands[1 - position]
    if known.number is not None:
        return {position: _scaled(equation, position, known.number)}
    assert known.value is not None
    return {position: _weighted(equation, position, known.value, known.name)}


def div(equation: Equation) -> dict[int, Terms]:
    """`out = x / r`."""
    known = equation.operands[1]
    if known.number:
        return {0: _scaled(equation, 0, 1 / known.number)}
    assert known.value is not None
    name = f"1/{known.name}" if known.name else None
    reciprocal = jnp.divide(1, known.value)  # of a zero, too, without NumPy's warning
    return {0: _weighted(equation, 0, reciprocal, name)}


def select_n(equation: Equation) -> dict[int, Terms]:
    """`out = x_which`: each case behind a gate, open where it is taken."""
    which = equation.operands[0].value
    assert which is not None
    jacobians = {}
    for position, operand in enumerate(equation.operands):
        if position > 0 and operand.linear:
            taken = (which == (position - 1)).astype(operand.dtype)
            jacobians[position] = _weighted(equation, position, taken, None, gate=True)
    return jacobians
