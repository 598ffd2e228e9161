"""Calls of the library that people write as one: `inv`, `det`, `norm`, as they stand in a jaxpr.

A call is known by its name and by its whole text, which must be that of the library's own function
on the same shapes: a function of the user's that is called `norm` is not taken for another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

Aval = tuple[tuple[int, ...], str]


@dataclass(frozen=True)
class Unit:
    """A call of a library function.

    Attributes:
        name: the function's.
        options: its keywords.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()


_ORDERS: list[dict[str, Any]] = [{}, {"ord": 2}, {"ord": "fro"}]
_AXES: list[dict[str, Any]] = [{}, {"axis": 0}, {"axis": 1}]
_KEPT: list[dict[str, Any]] = [{}, {"keepdims": True}]
_NORMS = [order | axis | kept for order in _ORDERS for axis in _AXES for kept in _KEPT]

# For each name the library's function, the axes that its operands must have, and its variants.
_LIBRARY: Mapping[str, tuple[Callable, tuple[tuple[int, ...], ...], list[dict[str, Any]]]] = {
    "cholesky": (jnp.linalg.cholesky, ((2,),), [{}]),
    "det": (jnp.linalg.det, ((2, 3),), [{}]),
    "diagonal": (jnp.diagonal, ((2,),), [{}]),
    "inv": (jnp.linalg.inv, ((2, 3),), [{}]),
    "norm": (jnp.linalg.norm, ((1, 2),), _NORMS),
    "slogdet": (jnp.linalg.slogdet, ((2, 3),), [{}]),
    "solve": (jnp.linalg.solve, ((2,), (1, 2)), [{}]),
    "tril": (jnp.tril, ((2,),), [{}]),
    "triu": (jnp.triu, ((2,),), [{}]),
}


def unit_of(equation: Any, derived: bool = False) -> Unit | None:
    """Which library function an equation of a jaxpr calls.

    Args:
        equation: any equation.
        derived: whether diagonals, and inverses and determinants side by side, are calls too, as
            derivations write them.

    Returns:
        The function and its keywords; None where it is none of the known ones.

    Example:
        >>> closed = jax.make_jaxpr(jnp.linalg.inv)(jax.ShapeDtypeStruct((4, 4), "float32"))
        >>> unit_of(closed.eqns[0])
        Unit(name='inv', options=())
    """
    name = equation.params.get("name")
    if equation.primitive.name not in ("jit", "pjit") or name not in _LIBRARY:
        return None
    stacked = any(len(getattr(atom.aval, "shape", ())) > 2 for atom in equation.invars)
    if not derived and (stacked or name == "diagonal"):
        return None
    kinds = [getattr(atom.aval, "dtype", None) for atom in equation.invars]
    if not all(kind and jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        return None  # the derivatives are those of real functions
    avals = tuple((atom.aval.shape, atom.aval.dtype.name) for atom in equation.invars)
    return _variants(name, avals).get(str(equation.params["jaxpr"]))


@cache
def _variants(name: str, avals: tuple[Aval, ...]) -> Mapping[str, Unit]:
    """The texts of a library function on operands of these shapes, one for each set of keywords."""
    function, ranks, options = _LIBRARY[name]
    fits = len(avals) == len(ranks) and all(
        len(shape) in rank for (shape, _), rank in zip(avals, ranks, strict=True)
    )
    found: dict[str, Unit] = {}
    for keywords in options if fits else ():
        try:
            closed = jax.make_jaxpr(partial(function, **keywords))(
                *(jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in avals)
            )
        except (TypeError, ValueError):  # an axis that an array of this rank lacks
            continue
        if len(closed.eqns) != 1 or closed.eqns[0].params.get("name") != name:
            continue
        kept = tuple((key, value) for key, value in keywords.items() if key != "ord")
        if keywords.get("ord") == 2 and len(avals[0][0]) == 2 and "axis" not in keywords:
            continue  # the greatest singular value
        found.setdefault(str(closed.eqns[0].params["jaxpr"]), Unit(name, kept))
    return found
