"""The one table of linear primitives: primitive → its local Jacobians, as terms.

A rule sees one equation of a linear program and returns, for each linear operand, the Jacobian of
the output by it. No derivative is written here: JAX has linearised already. A primitive that is not
in the table is opaque: exact all the same, but without structure.
"""

from collections.abc import Callable, Mapping

from layouts.rules import contraction, elementwise, shape
from layouts.rules.equation import Equation
from layouts.terms import Terms

# The Jacobian by each linear operand, by its position; None when this case has no structure.
LocalJacobians = Mapping[int, Terms] | None
Rule = Callable[[Equation], LocalJacobians]

RULES: dict[str, Rule] = {
    "add": elementwise.add,
    "add_any": elementwise.add,
    "broadcast_in_dim": shape.broadcast_in_dim,
    "convert_element_type": elementwise.convert,
    "copy": elementwise.identity,
    "copy_p": elementwise.identity,
    "div": elementwise.div,
    "dot_general": contraction.dot_general,
    "expand_dims": shape.reshape,
    "mul": elementwise.mul,
    "neg": elementwise.neg,
    "reduce_precision": elementwise.identity,
    "reduce_sum": shape.reduce_sum,
    "reshape": shape.reshape,
    "select_n": elementwise.select_n,
    "squeeze": shape.reshape,
    "sub": elementwise.sub,
    "transpose": shape.transpose,
}

__all__ = ["RULES", "Equation", "LocalJacobians", "Rule"]
