"""Symbolic arrays: what is to be computed, before anything is.

Composing Jacobians writes down nodes: contractions, sums, reshapes. The nodes know shapes and item
sizes but hold no numbers. This module imports no JAX.
"""

from layouts.nodes.arrays import (
    Add,
    Contract,
    Identity,
    Indices,
    Larger,
    Leaf,
    Node,
    RealPart,
    Reshape,
    Shape,
)
from layouts.nodes.moved import Digit, Moved, OneHot, Places, Put, Steps, Take, Triangle
from layouts.nodes.operated import Apply, Map, Operated, Operator
from layouts.nodes.written import Mask, Pattern, Write

__all__ = [
    "Add",
    "Apply",
    "Contract",
    "Digit",
    "Identity",
    "Indices",
    "Larger",
    "Leaf",
    "Map",
    "Mask",
    "Moved",
    "Node",
    "OneHot",
    "Operated",
    "Operator",
    "Pattern",
    "Places",
    "Put",
    "RealPart",
    "Reshape",
    "Shape",
    "Steps",
    "Take",
    "Triangle",
    "Write",
]
