"""The one table of linear primitives: primitive → its local Jacobians, as terms.

A rule sees one equation of a linear program and returns, for each linear operand, the Jacobian of
the output by it. No derivative is written here: JAX has linearised already. A primitive that is not
in the table is opaque: exact all the same, but without structure.
"""

from collections.abc import Callable, Mapping

from layouts.rules import contraction, elementwise, selecting, shape
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
    "concatenate": selecting.concatenate,
    "convert_element_type": elementwise.convert,
    "copy": elementwise.identity,
    "copy_p": elementwise.identity,
    "div": elementwise.div,
    "dot_general": contraction.dot_general,
    "dynamic_slice": selecting.dynamic_slice,
    "gather": selecting.gather,
    "mul": elementwise.mul,
    "neg": elementwise.neg,
    "optimization_barrier": elementwise.each,
    "pad": selecting.pad,
    "reduce_precision": elementwise.identity,
    "reduce_sum": shape.reduce_sum,
    "reshape": shape.reshape,
    "rev": selecting.rev,
    "scatter-add": selecting.scatter_add,
    "select_n": elementwise.select_n,
    "slice": selecting.slice_,
    "split": selecting.split,
    "squeeze": shape.squeeze,
    "stack": selecting.stack,
    "sub": elementwise.sub,
    "transpose": shape.transpose,
}

__all__ = ["RULES", "Equation", "LocalJacobians", "Rule"]
