"""Backward passes that live elsewhere: in a `jax.custom_vjp`, in PyTorch.

What is plain NumPy, `backward(cotangent, *args)`, needs no adapter: `diagnose` takes it as it is.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.doctor.diagnose import diagnose
from layouts.doctor.evidence import tolerance
from layouts.doctor.primal import has_custom_vjp, without_custom_vjp
from layouts.doctor.report import Diagnosis, Finding, worst
from layouts.doctor.results import close, where_they_differ
from layouts.errors import LayoutError


def diagnose_vjp(
    fun: Callable, *args: Any, argnums: int | Sequence[int] = 0, cotangent: Any = None
) -> Diagnosis:
    """Say whether the custom derivatives in a function are right, and if not, what is wrong.

    The candidate is JAX's own gradient of the function, which asks the `custom_vjp`s in it; the
    truth is the derivative of what these compute. A forward rule that returns another value than
    its function is told as `forward-value`.

    Args:
        fun: a `jax.custom_vjp`, or a function that calls some, also under jit, vmap, remat, scan or
            cond; returns one array.
        args: its arguments. Those that hold no arrays and no floats, as those of
            `nondiff_argnums` often are, stay as they are.
        argnums: which argument the gradient is by, or several.
        cotangent: the output's cotangent at the first input; random unless given.

    Raises:
        LayoutError: nothing in the function has a `custom_vjp`, or one stands where it cannot be
            replaced by what it computes; an argnum is out of range.
        TypeError: where JAX raises it for a function that it cannot differentiate.

    Example:
        >>> @jax.custom_vjp
        ... def tanh(x):
        ...     return jnp.tanh(x)
        >>> tanh.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (g * jnp.tanh(x),))
        >>> print(diagnose_vjp(tanh, np.array([0.3, -0.5, 2.0])).findings[0].kind)
        value-for-derivative
    """
    several = not isinstance(argnums, int)
    places = tuple(argnums) if not isinstance(argnums, int) else (argnums,)
    if not all(-len(args) <= place < len(args) for place in places):
        received = f"{argnums} with {len(args)} arguments"
        raise LayoutError("argnums", "places among the arguments", received, "count from 0")
    asked = [place % len(args) for place in places]
    kept = [n for n, arg in enumerate(args) if n in asked or _varies(arg)]
    call = _of_some(fun, args, kept)
    given = [args[n] for n in kept]
    if not has_custom_vjp(call, *given):
        remedy = "give the backward pass after the function; in Python call layouts.diagnose"
        raise LayoutError("function", "a custom_vjp somewhere in it", "none", remedy)
    primal = without_custom_vjp(call)
    moved = tuple(kept.index(n) for n in asked)
    candidate = _Custom(call, _raw(fun, args, kept), moved, several)
    numbers = moved if several else moved[0]
    found = diagnose(primal, candidate, *given, argnums=numbers, cotangent=cotangent)
    return _with_value(found, call, primal, given, moved[0])


def from_torch(function: Any, argnums: int | Sequence[int] = 0) -> Callable:
    """A PyTorch backward pass as a candidate for `diagnose`, through NumPy.

    Args:
        function: a `torch.autograd.Function` subclass, or any function of tensors that PyTorch
            differentiates; returns one tensor.
        argnums: which argument the gradient is by, or several: the same as for `diagnose`.

    Returns:
        `candidate(cotangent, *args)` of NumPy arrays. A gradient that is None is zero. One of a
        wrong shape, which PyTorch itself refuses, comes as it is, so that it can be diagnosed.

    Raises:
        LayoutError: PyTorch is not installed, or the function is not callable.

    Example:
        >>> class Product(torch.autograd.Function):  # doctest: +SKIP
        ...     @staticmethod
        ...     def forward(ctx, W, X):
        ...         ctx.save_for_backward(W, X)
        ...         return W @ X
        ...
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         W, X = ctx.saved_tensors
        ...         return g @ X, W @ g
        >>> print(diagnose(jnp.matmul, from_torch(Product), W, X).summary)  # doctest: +SKIP
        mistake: operand-not-transposed in the gradient by a
    """
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        remedy = "install it, as with pip install torch"
        raise LayoutError("from_torch", "PyTorch to be installed", "none", remedy) from error
    is_class = isinstance(function, type) and issubclass(function, torch.autograd.Function)
    if not is_class and not callable(function):
        received = f"a {type(function).__name__}"
        remedy = "pass the class, or a function of tensors"
        raise LayoutError("from_torch", "a torch.autograd.Function", received, remedy)
    several = not isinstance(argnums, int)
    places = tuple(argnums) if not isinstance(argnums, int) else (argnums,)

    def candidate(cotangent: Any, *args: Any) -> Any:
        tensors = [torch.tensor(np.asarray(arg)) for arg in args]
        upstream = torch.tensor(np.asarray(cotangent))
        found: Sequence[Any]
        try:
            call = function.apply if is_class else function
            found = _by_autograd(torch, call, tensors, upstream)
        except RuntimeError:
            if not is_class:
                raise
            found = _by_hand(torch, function, tensors, upstream)
        gradients = [
            np.zeros(tensors[n].shape) if found[n] is None else found[n].detach().numpy()
            for n in places
        ]
        return tuple(gradients) if several else gradients[0]

    return candidate


def _by_autograd(torch: Any, call: Callable, tensors: Sequence[Any], cotangent: Any) -> list[Any]:
    """The gradients as PyTorch finds them, by position."""
    inputs = [t.requires_grad_() if t.is_floating_point() else t for t in tensors]
    out = call(*inputs)
    floats = [n for n, tensor in enumerate(inputs) if tensor.is_floating_point()]
    gradients = torch.autograd.grad(out, [inputs[n] for n in floats], cotangent, allow_unused=True)
    found: list[Any] = [None] * len(inputs)
    for place, gradient in zip(floats, gradients, strict=True):
        found[place] = gradient
    return found


def _by_hand(torch: Any, function: Any, tensors: Sequence[Any], cotangent: Any) -> Sequence[Any]:
    """What the static methods of a Function return, unchecked."""

    class Context(torch.autograd.function.FunctionCtx):
        needs_input_grad = tuple(tensor.is_floating_point() for tensor in tensors)

        @property
        def saved_tensors(self) -> Any:
            return getattr(self, "to_save", ())

    context, plain = Context(), [tensor.detach() for tensor in tensors]
    if function.setup_context is not torch.autograd.Function.setup_context:
        function.setup_context(context, tuple(plain), function.forward(*plain))
    else:
        function.forward(context, *plain)
    found = function.backward(context, cotangent)
    return found if isinstance(found, tuple) else (found,)


class _Custom:
    """The gradients of a function with custom derivatives, as JAX gives them."""

    def __init__(
        self, call: Callable, raw: Callable | None, places: tuple[int, ...], several: bool
    ):
        self.call, self.raw, self.places, self.several = call, raw, places, several

    def __call__(self, cotangent: Any, *args: Any) -> Any:
        def of_asked(*asked: Any) -> Any:
            whole = dict(enumerate(args)) | dict(zip(self.places, asked, strict=True))
            return self.call(*whole.values())

        asked = [jax.tree.map(jnp.asarray, args[n]) for n in self.places]
        try:
            out, pull = jax.vjp(of_asked, *asked)
            leaf = jax.tree.leaves(out)[0]
            given = jnp.asarray(cotangent, leaf.dtype)
            found = pull(jax.tree.unflatten(jax.tree.structure(out), [given]))
        except (TypeError, ValueError):  # JAX refuses gradients of a wrong shape
            if self.raw is None:
                raise
            found = [self.raw(cotangent, *args)[n] for n in self.places]
        return tuple(found) if self.several else found[0]


def _raw(fun: Callable, args: tuple, kept: Sequence[int]) -> Callable | None:
    """The rules of a custom_vjp called one after the other, what they return unchecked."""
    if not isinstance(fun, jax.custom_vjp) or fun.symbolic_zeros:
        return None
    forward, backward = fun.fwd, fun.bwd
    if forward is None or backward is None:
        return None
    held = {n % len(args) for n in fun.nondiff_argnums}
    order = [n for n in range(len(args)) if n not in held]

    def raw(cotangent: Any, *given: Any) -> list[Any]:
        whole = dict(enumerate(args)) | dict(zip(kept, given, strict=True))
        _, residuals = forward(*(whole[n] for n in range(len(args))))
        static = [args[n] for n in sorted(held)]
        found = dict(zip(order, backward(*static, residuals, cotangent), strict=True))
        return [found.get(n) for n in kept]

    return raw


def _varies(arg: Any) -> bool:
    """Whether an argument holds an array or a float."""
    leaves = jax.tree.leaves(arg)
    return bool(leaves) and all(isinstance(x, float) or hasattr(x, "dtype") for x in leaves)


def _of_some(fun: Callable, args: tuple, kept: Sequence[int]) -> Callable:
    """A function of some of its arguments by position, the others as they were given."""

    @wraps(fun)
    def call(*given: Any) -> Any:
        whole = dict(enumerate(args)) | dict(zip(kept, given, strict=True))
        return fun(*(whole[n] for n in range(len(args))))

    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if len(parameters) >= len(args):
        named = [parameters[n].replace(kind=inspect.Parameter.POSITIONAL_ONLY) for n in kept]
        bare = [parameter.replace(default=inspect.Parameter.empty) for parameter in named]
        call.__signature__ = inspect.Signature(bare)  # type: ignore[attr-defined]
    return call


def _with_value(
    found: Diagnosis, call: Callable, primal: Callable, args: Sequence[Any], place: int
) -> Diagnosis:
    """The diagnosis, and whether the forward rule returns what the function does."""

    def of_one(array: Any) -> Any:
        return call(*args[:place], array, *args[place + 1 :])

    try:
        value = np.asarray(jax.tree.leaves(jax.vjp(of_one, args[place])[0])[0])
    except (TypeError, ValueError):  # told as the gradient's mistake
        return found
    right = np.asarray(jax.tree.leaves(primal(*args))[0])
    limit = tolerance([*jax.tree.leaves(args), right])
    if close(value, right, limit):
        return found
    lone = Finding(
        "forward-value",
        "the forward rule returns another value than the function",
        "return from the forward rule what the function returns",
        float("inf"),
        "output",
        where=where_they_differ(value, right, limit),
    )
    verdict = worst([found.verdict, "mistake"])
    return replace(found, verdict=verdict, findings=(*found.findings, lone))
