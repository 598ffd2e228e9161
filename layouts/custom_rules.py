"""Whether a function's derivatives are all JAX's own, or some follow rules that a user wrote.

What JAX differentiates by its own rules is the derivative of what it computes, so that a Hessian is
symmetric. A user's rule may give whatever it likes: a straight-through estimator gives none. And
where JAX takes a matrix for symmetric its rule is the derivative among symmetric matrices alone.
"""

import sys
from typing import Any

import jax

from layouts.counting import inner_jaxprs

# They read one triangle of a matrix, and take the other for its mirror image.
OF_SYMMETRIC = {"cholesky", "eigh"}


def by_own_rules(closed: Any) -> bool:
    """Whether a program uses no derivative rule but those of JAX, which hold for any input.

    Args:
        closed: the program, as `jax.make_jaxpr` gives it.

    Example:
        >>> import jax.numpy as jnp
        >>> by_own_rules(jax.make_jaxpr(lambda x: jax.nn.relu(jnp.sin(x)))(1.0))
        True
        >>> sign = jax.custom_jvp(jnp.sign)
        >>> _ = sign.defjvp(lambda primals, tangents: (jnp.sign(*primals), *tangents))
        >>> by_own_rules(jax.make_jaxpr(lambda x: sign(jnp.sin(x)))(1.0))
        False
    """
    return all(
        _is_own(equation) and all(map(by_own_rules, inner_jaxprs(equation.params)))
        for equation in getattr(closed, "jaxpr", closed).eqns
    )


def _is_own(equation: Any) -> bool:
    """Whether an equation has no rule, or is a function of JAX that has one as it stands there."""
    kind = equation.primitive.name
    if not kind.startswith("custom_"):
        return kind not in OF_SYMMETRIC
    if kind == "custom_linear_solve":
        # Derived from the equation that it solves; its transpose may be taken for the same.
        jaxprs = equation.params["jaxprs"]
        return str(jaxprs.matvec) != str(jaxprs.vecmat)
    called = equation.params.get("call_jaxpr")
    written = getattr(getattr(called, "jaxpr", called), "debug_info", None)
    name, file = (getattr(written, what, None) for what in ("func_name", "func_filename"))
    # A user may give a function of JAX another rule: then what JAX calls so has none.
    return name is not None and any(
        module.__name__.startswith("jax.")
        and isinstance(getattr(module, name, None), jax.custom_jvp)
        for module in list(sys.modules.values())
        if file is not None and getattr(module, "__file__", None) == file
    )
