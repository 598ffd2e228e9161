"""The one table of linear primitives: primitive → its local Jacobians, as terms.

A rule sees one equation of a linear program and returns, for each linear operand, the Jacobian of
the output by it. No derivative is written here: JAX has linearised already. A primitive that is not
in the table is opaque: exact all the same, applied rather than written down.
"""

from collections.abc import Callable, Mapping

from layouts.rules import contraction, convolving, elementwise, lookups, operators, selecting, shape
from layouts.rules.equation import Equation
from layouts.terms import Terms

# The Jacobian by each linear operand, by its position (and the output's, where there are several);
# None when this case has no structure.
LocalJacobians = Mapping[int, Terms] | Mapping[tuple[int, int], Terms] | None
Rule = Callable[[Equation], LocalJacobians]

RULES: dict[str, Rule] = {
    "add": elementwise.add,
    "add_any": elementwise.add,
    "broadcast_in_dim": shape.broadcast_in_dim,
    "complex": elementwise.complex_,
    "concatenate": selecting.concatenate,
    "conv_general_dilated": convolving.convolution,
    "convert_element_type": elementwise.identity,
    "copy": elementwise.identity,
    "copy_p": elementwise.identity,
    "cumsum": operators.cumulative_sum,
    "device_put": elementwise.each,
    "div": elementwise.div,
    "dot_general": contraction.dot_general,
    "dynamic_slice": lookups.dynamic_slice,
    "dynamic_update_slice": lookups.dynamic_update_slice,
    "fft": operators.fft,
    "gather": lookups.gather,
    "imag": elementwise.imag,
    "mul": elementwise.mul,
    "neg": elementwise.neg,
    "optimization_barrier": elementwise.each,
    "pad": selecting.pad,
    "real": elementwise.identity,
    "reduce_precision": elementwise.identity,
    "reduce_sum": shape.reduce_sum,
    "reduce_window_sum": operators.window_sum,
    "reshape": shape.reshape,
    "reshard": elementwise.identity,
    "rev": selecting.rev,
    "scatter": lookups.scatter,
    "scatter-add": lookups.scatter_add,
    "scatter-mul": lookups.scatter_mul,
    "scatter-sub": lookups.scatter_sub,
    "select_n": elementwise.select_n,
    "select_and_gather_add": operators.window_pick,
    "sharding_constraint": elementwise.identity,
    "slice": selecting.slice_,
    "split": selecting.split,
    "squeeze": shape.squeeze,
    "stack": selecting.stack,
    "unstack": selecting.unstack,
    "sub": elementwise.sub,
    "tile": shape.tile,
    "transpose": shape.transpose,
    "triangular_solve": operators.triangular_solve,
}

__all__ = ["RULES", "Equation", "LocalJacobians", "Rule"]
