"""Primitives that move, repeat, group or sum axes: deltas and ones, never a factor."""

from layouts.axes import Axis, fresh_axes, regroup
from layouts.rules.equation import Equation
from layouts.terms import Term, Terms


def transpose(equation: Equation) -> dict[int, Terms]:
    """`out[j,i] = x[i,j]`: the same labels in another order."""
    into = fresh_axes(equation.operands[0].shape)
    return {0: (Term(tuple(into[axis] for axis in equation.params["permutation"]), into),)}


def broadcast_in_dim(equation: Equation) -> dict[int, Terms]:
    """`out[i,j] = x[j]`: a new axis is a label on the output alone."""
    out = fresh_axes(equation.out.shape)
    operand = equation.operands[0]
    into: tuple[Axis, ...] = tuple(
        out[place] if extent != 1 else ()
        for place, extent in zip(
            equation.params["broadcast_dimensions"], operand.shape, strict=True
        )
    )
    return {0: (Term(out, into),)}


def tile(equation: Equation) -> dict[int, Terms]:
    """`out[i] = x[i mod n]`: which copy it is, is a label on the output alone."""
    into = fresh_axes(equation.operands[0].shape)
    copies = fresh_axes(equation.params["reps"])
    return {0: (Term(tuple(c + x for c, x in zip(copies, into, strict=True)), into),)}


def reduce_sum(equation: Equation) -> dict[int, Terms]:
    """`out[i] = Σ_j x[i,j]`: a summed axis is a label on the input alone."""
    into = fresh_axes(equation.operands[0].shape)
    summed = set(equation.params["axes"])
    return {0: (Term(tuple(axis for n, axis in enumerate(into) if n not in summed), into),)}


def reshape(equation: Equation) -> dict[int, Terms] | None:
    """The same labels, regrouped; opaque where the shapes have no common digits, 6×2 → 4×3.

    `dimensions`, where it is given, is the order in which the operand's axes are read.
    """
    shape = equation.operands[0].shape
    order = equation.params["dimensions"] or range(len(shape))
    both = regroup(fresh_axes([shape[axis] for axis in order]), equation.out.shape)
    if both is None:
        return None
    read, out = both
    into = dict(zip(order, read, strict=True))
    return {0: (Term(out, tuple(into[axis] for axis in range(len(shape)))),)}


def squeeze(equation: Equation) -> dict[int, Terms]:
    """The same labels: an axis of size one has none."""
    gone = {axis % len(equation.operands[0].shape) for axis in equation.params["dimensions"]}
    into = fresh_axes(equation.operands[0].shape)
    return {0: (Term(tuple(axis for n, axis in enumerate(into) if n not in gone), into),)}
