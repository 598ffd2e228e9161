"""The drop-in face: `jacobian` and `hessian`, with the signatures of JAX's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts import budget
from layouts.call import Asked, Call
from layouts.crowding import planned_work, takes_longer
from layouts.errors import LayoutError
from layouts.linearize import Linearized
from layouts.mesh.devices import across_devices
from layouts.mesh.sharding import Sharded
from layouts.plan import Plan, Results, choose, roots


def jacobian(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    order: str | Plan = "auto",
    structured: bool = False,
    memory_limit: int | None = None,
    out_sharding: Any = None,
) -> Callable:
    """The Jacobian of a function, in the place of `jax.jacfwd` and `jax.jacrev`.

    Args:
        fun: takes and returns pytrees of arrays.
        argnums: which positional arguments to differentiate by.
        has_aux: `fun` returns `(output, aux)`, and so does the Jacobian.
        holomorphic: promise that a complex function is holomorphic.
        allow_int: let integer inputs stand, with a trivial Jacobian.
        order: "auto", "forward", "reverse" or a `layouts.Plan` made for the same shapes. As with
            `jax.jacfwd`, outputs may be complex where inputs are real with "forward".
        structured: return `layouts.Jacobian` leaves in place of dense arrays.
        memory_limit: a budget in bytes for residuals, intermediates and the dense result together;
            where the whole would not fit, rows or columns are computed in blocks.
        out_sharding: how the result lies on a mesh of devices, as JAX's own functions take it: a
            `jax.sharding.NamedSharding` or a `PartitionSpec` with an entry for each axis of
            output shape + input shape, for all leaves or as a pytree that is a prefix of the
            result's. No device makes the whole. With `structured`, each factor is split along the
            labels that it carries.

    Planned is what `layouts.cost(fun)` says; but where the plan, written densely, would store so
    many small arrays that JAX's own program is expected to be quicker, that is applied, and so it
    is for a single row or column, as of a gradient, where a plan multiplies hardly less. Tangents
    are pushed through long loops over entries together with the function, as `jax.jacfwd` does.

    Without `out_sharding`, the Jacobian by an input that is split over devices is split
    likewise along its columns, where the sharding can be seen (outside `jit`, or on explicit mesh
    axes); the rest is the compiler's choice. Arrays on several devices make it one compiled
    program, as `jax.jit` makes it. Where `fun` has a step that JAX refuses for explicit axes of a
    mesh (`jax.make_mesh`), it is differentiated, outside `jit`, as on a mesh of auto axes.

    Returns:
        A function of the same arguments that returns the pytree that `jax.jacrev` returns: the
        structure of the output, in each leaf the structure of the inputs, with arrays of shape
        output shape + input shape and of the input's dtype.

    Raises:
        TypeError: where JAX raises it, with JAX's own words (integer inputs, complex outputs ...).
        LayoutError: an argnum out of range, an unknown order, a plan for another function, or an
            `out_sharding` that does not fit the result, the mesh or the inputs' devices.

    Example:
        >>> import jax.numpy as jnp
        >>> jacobian(lambda x: x * x)(jnp.array([1.0, 2.0, 3.0])).diagonal().tolist()
        [2.0, 4.0, 6.0]
    """
    asked = Asked(
        argnums, has_aux, holomorphic, allow_int, order, structured, memory_limit, out_sharding
    )
    return _transform(fun, asked)


def _transform(fun: Callable, asked: Asked) -> Callable:
    """What `jacobian` returns."""
    if asked.memory_limit is not None:
        budget.check(asked.memory_limit)
    if asked.memory_limit is not None and asked.out_sharding is not None:
        raise LayoutError(
            "memory_limit",
            "no out_sharding beside it",
            f"both, with out_sharding {asked.out_sharding}",
            "blocks are for one device: split the result over a mesh, or compute it in blocks",
        )
    across = across_devices(partial(_differentiate, fun, asked), asked.out_sharding)

    @wraps(fun)
    def jacobian_of_fun(*args: Any, **kwargs: Any) -> Any:
        return across(*args, **kwargs)

    return jacobian_of_fun


def _differentiate(
    fun: Callable,
    asked: Asked,
    out_sharding: Any,
    lies: Mapping[int, Sharded],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """The Jacobian at some arguments, where these lie on a mesh as `lies` tells by their ids."""
    if asked.structured:  # so that a NumPy array is known again among the residuals, by its name
        args = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, args)
    call = Call.of(fun, asked, args, kwargs)
    if call is None:
        # JAX refuses these arguments: let it say so in its own words.
        return asked.by_jax(fun)(*args, **kwargs)
    linearized, aux = call.linearize()
    if not call.accepts(linearized.value):
        return asked.by_jax(fun)(*args, **kwargs)
    shardings = call.shardings(linearized.value, out_sharding, lies)
    # A real function of complex inputs is not complex-linear: only its rows make a Jacobian.
    order = "reverse" if asked.order == "auto" and call.of_complex else asked.order
    plan, results = choose(linearized.graph, order, dense=not asked.structured)
    blocks, divided = None, any(lying for row in shardings for lying in row)
    if order == "auto" and not (asked.structured or asked.memory_limit or divided):
        linearized, results = _sooner(linearized, plan, results)
    if asked.memory_limit is not None and not asked.structured:
        dtypes = dict(zip(linearized.graph.inputs, call.dtypes, strict=True))
        blocks = budget.within(linearized.graph, results, order, dtypes, asked.memory_limit)
    elif asked.second is not None and not divided:
        results = call.mirrored(linearized.graph, results)
    leaves = call.leaves(linearized, plan, results, blocks, shardings)
    tree = call.assemble(leaves)
    return (tree, aux) if asked.has_aux else tree


def _sooner(linearized: Linearized, plan: Plan, results: Results) -> tuple[Linearized, Results]:
    """What gives the dense result sooner: the plan, or the function applied as a whole."""
    planned = planned_work(plan.cost, roots(results))
    if not takes_longer(linearized.graph, planned, linearized.work):
        return linearized, results
    graph, residuals = linearized.whole()
    return replace(linearized, graph=graph, residuals=residuals), choose(graph)[1]


def hessian(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    order: str | Plan = "auto",
    structured: bool = False,
    memory_limit: int | None = None,
    out_sharding: Any = None,
) -> Callable:
    """The Hessian of a function, in the place of `jax.hessian`: the Jacobian of its gradient.

    Args:
        fun: takes and returns pytrees of arrays.
        argnums: which positional arguments to differentiate by.
        has_aux: `fun` returns `(output, aux)`, and so does the Hessian.
        holomorphic: promise that a complex function is holomorphic.
        order: as in `jacobian`, for the Jacobian of the gradient; a plan is made for it by
            `layouts.cost(jax.grad(fun))`, of several outputs by `layouts.cost(jax.jacrev(fun))`.
        structured: return `layouts.Jacobian` leaves in place of dense arrays.
        memory_limit: as in `jacobian`.
        out_sharding: as in `jacobian`, for the axes of the gradient and then those of the input.

    The result is symmetric in every bit, and of the blocks by two arguments one is the other
    turned. It is not where `fun` has a derivative rule of the user's own (`jax.custom_jvp`,
    `jax.custom_vjp`) or JAX takes a matrix for symmetric (`cholesky`, `eigh`, `cg`), whose rules
    need not be symmetric and are kept as they are. To rounding only are blocks under a
    `memory_limit`, what lies on a mesh, structured terms that have no mirror image among the
    others, and entrywise products of more than 2¹⁸ entries, which that would slow down.

    Returns:
        A function that returns the pytree that `jax.hessian` returns.

    Example:
        >>> import jax.numpy as jnp
        >>> hessian(lambda x: (x**3).sum())(jnp.array([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    first = Asked(argnums, has_aux, holomorphic)
    asked = Asked(
        argnums, has_aux, holomorphic, False, order, structured, memory_limit, out_sharding, fun
    )
    return _transform(_gradient(fun, first), asked)


def _gradient(fun: Callable, asked: Asked) -> Callable:
    """The function's gradient where its value is a scalar, else its Jacobian."""

    @wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        try:
            # Unlike `jax.jacrev` it pulls one cotangent back, not a batch of one.
            return jax.grad(fun, asked.argnums, asked.has_aux, asked.holomorphic)(*args, **kwargs)
        except TypeError:  # several outputs, or what JAX refuses
            return asked.by_jax(fun)(*args, **kwargs)

    return gradient


def linearize_call(
    fun: Callable,
    argnums: int | Sequence[int],
    args: tuple,
    kwargs: dict,
    holomorphic: bool = False,
) -> Linearized:
    """Linearise a function at its arguments, with the checks that `jacobian` makes.

    Raises:
        TypeError: where `jax.jacrev` raises it.
    """
    asked = Asked(argnums, False, holomorphic)
    call = Call.of(fun, asked, args, kwargs)
    linearized = None if call is None else call.linearize()[0]
    if call is None or linearized is None or not call.accepts(linearized.value):
        asked.by_jax(fun)(*args, **kwargs)
        raise TypeError("these arguments cannot be differentiated by")
    return linearized
