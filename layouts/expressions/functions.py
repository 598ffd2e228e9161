"""The functions that an expression may call: one table, nothing else is callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Function:
    """A function that an expression may call: what it runs, its operands, its keywords."""

    call: Callable[..., Any]
    operands: int = 1
    keywords: tuple[str, ...] = ()


_AXIS = ("axis",)
_REDUCE = ("axis", "keepdims")

FUNCTIONS: dict[str, Function] = {
    # elementwise
    "relu": Function(jax.nn.relu),
    "tanh": Function(jnp.tanh),
    "sigmoid": Function(jax.nn.sigmoid),
    "gelu": Function(jax.nn.gelu),
    "softplus": Function(jax.nn.softplus),
    "exp": Function(jnp.exp),
    "log": Function(jnp.log),
    "ln": Function(jnp.log),
    "sqrt": Function(jnp.sqrt),
    "square": Function(jnp.square),
    "abs": Function(jnp.abs),
    "sin": Function(jnp.sin),
    "cos": Function(jnp.cos),
    "maximum": Function(jnp.maximum, operands=2),
    "minimum": Function(jnp.minimum, operands=2),
    # along an axis
    "softmax": Function(jax.nn.softmax, keywords=_AXIS),
    "log_softmax": Function(jax.nn.log_softmax, keywords=_AXIS),
    "sum": Function(jnp.sum, keywords=_REDUCE),
    "mean": Function(jnp.mean, keywords=_REDUCE),
    "var": Function(jnp.var, keywords=_REDUCE),
    "max": Function(jnp.max, keywords=_REDUCE),
    "min": Function(jnp.min, keywords=_REDUCE),
    "norm": Function(jnp.linalg.norm, keywords=_REDUCE),
    "logsumexp": Function(jax.nn.logsumexp, keywords=_REDUCE),
    # matrices and vectors
    "transpose": Function(jnp.transpose),
    "dot": Function(jnp.dot, operands=2),
    "outer": Function(jnp.outer, operands=2),
    "kron": Function(jnp.kron, operands=2),
    "diag": Function(jnp.diag),
    "trace": Function(jnp.trace),
    "tr": Function(jnp.trace),
    "inv": Function(jnp.linalg.inv),
    "det": Function(jnp.linalg.det),
    "logdet": Function(lambda A: jnp.linalg.slogdet(A).logabsdet),
    "solve": Function(jnp.linalg.solve, operands=2),
}
