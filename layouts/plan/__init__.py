"""Planning: in which order to eliminate the vertices of a graph of Jacobians, and what it costs.

It works on labels and sizes; nothing here imports JAX or sees an array.
"""

from layouts.plan.elimination import Elimination
from layouts.plan.plan import Plan, Results, choose, make_plan, roots

__all__ = ["Elimination", "Plan", "Results", "choose", "make_plan", "roots"]
