"""Contractions: the residual operand is a factor, the linear operand's free axes are deltas."""

from layouts.axes import Axis, fresh_axes
from layouts.rules.equation import Equation
from layouts.terms import Term, Terms


def dot_general(equation: Equation) -> dict[int, Terms]:
    """`out[b,i,j] = Σ_k x[b,i,k] r[b,k,j]` by x: `δ[b,b'] δ[i,i'] r[b,k,j]`.

    Batch axes stand on all three arrays, contracted axes on the two operands, the rest on one
    operand and the output. Parameters: `dimension_numbers` is ((contracted left, right),
    (batch left, right)); the output's axes are batch, free left, free right.

    Reference: the XLA operation semantics of DotGeneral.
    """
    contracted, batch = equation.params["dimension_numbers"]
    axes = [list(fresh_axes(operand.shape)) for operand in equation.operands]
    for pairs in (contracted, batch):
        for left, right in zip(*pairs, strict=True):
            axes[1][right] = axes[0][left]
    out: list[Axis] = [axes[0][place] for place in batch[0]]
    for side in (0, 1):
        taken = {*contracted[side], *batch[side]}
        out += [axis for place, axis in enumerate(axes[side]) if place not in taken]
    position = 0 if equation.operands[0].linear else 1
    known = equation.operands[1 - position]
    assert known.value is not None
    factor = equation.factor(tuple(axes[1 - position]), known.value, known.name)
    return {position: (Term(tuple(out), tuple(axes[position]), (factor,)),)}
