"""For test suites: an assertion that a hand-written gradient is right, which fails with the report.

In a test:

    from layouts.testing import assert_vjp

    def test_backward():
        assert_vjp(forward, backward, W, X, argnums=(0, 1))  # backward(cotangent, W, X)
"""

from collections.abc import Callable, Sequence
from typing import Any

from layouts.doctor.adapters import diagnose_vjp
from layouts.doctor.diagnose import diagnose
from layouts.errors import LayoutError


def assert_vjp(
    f: Callable,
    backward: Any = None,
    *args: Any,
    argnums: int | Sequence[int] = 0,
    cotangent: Any = None,
    kind: str = "vjp",
) -> None:
    """Fail with the doctor's report unless a gradient is right.

    Args:
        f: the function, that returns one array.
        backward: what `layouts.diagnose` takes: `backward(cotangent, *args)`, a formula such as
            `"dD @ X.T"`, an array; None for a function with a `jax.custom_vjp` of its own, which is
            held against what it computes as `layouts.diagnose_vjp` does.
        args: the arguments to try it at; random ones of the same shapes are tried too.
        argnums: which argument the gradient is by; several for a backward that returns a tuple.
        cotangent: the output's cotangent at `args`; random unless given.
        kind: "vjp", or "jacobian" for an array that is a whole Jacobian.

    Raises:
        AssertionError: the gradient is wrong; the message is the report, the mistake's name first.
        LayoutError: as `layouts.diagnose` and `layouts.diagnose_vjp` raise it.

    Example:
        >>> import jax.numpy as jnp, numpy as np
        >>> W, X = np.arange(12.0).reshape(4, 3), np.ones((3, 5))
        >>> assert_vjp(jnp.matmul, lambda g, W, X: g @ X.T, W, X)
        >>> assert_vjp(jnp.matmul, lambda g, W, X: -g @ X.T, W, X)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        AssertionError: mistake: sign in the gradient by a
        ...
    """
    __tracebackhide__ = True
    if backward is None:
        if kind != "vjp":
            remedy = "leave kind out, or give a backward"
            raise LayoutError("kind", "'vjp' for a custom_vjp", repr(kind), remedy)
        found = diagnose_vjp(f, *args, argnums=argnums, cotangent=cotangent)
    else:
        found = diagnose(f, backward, *args, argnums=argnums, cotangent=cotangent, kind=kind)
    if not found.ok:
        raise AssertionError(str(found))
