"""The chains that the library is about: networks, losses, and the orders to multiply them in."""

from layouts.chains.bracketing import (
    Bracketing,
    bracketings,
    forward,
    multiplications,
    optimal,
    reverse,
)
from layouts.chains.losses import LOSSES, cross_entropy, squared_error
from layouts.chains.networks import ACTIVATIONS, MLP, matmul, mlp, transpose_params

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "MLP",
    "Bracketing",
    "bracketings",
    "cross_entropy",
    "forward",
    "matmul",
    "mlp",
    "multiplications",
    "optimal",
    "reverse",
    "squared_error",
    "transpose_params",
]
