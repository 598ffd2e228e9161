"""From a function to the stream of its Jacobian's blocks."""

from collections.abc import Callable, Sequence
from functools import wraps
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts import budget
from layouts.errors import LayoutError
from layouts.leaves import leaf_names
from layouts.linearize import Linearized
from layouts.plan import Plan
from layouts.streaming.identity import identity_of, picked
from layouts.streaming.planning import part_of
from layouts.streaming.streams import End, Stream
from layouts.transforms import linearize_call

GIBIBYTE = 2**30


def stream(
    fun: Callable,
    argnums: int | Sequence[int] = 0,
    holomorphic: bool = False,
    *,
    axis: str = "out",
    memory_limit: int = GIBIBYTE,
    order: str | Plan = "auto",
) -> Callable[..., Stream]:
    """The dense Jacobian in blocks of rows or columns, for results larger than memory.

    Args:
        fun: takes and returns pytrees of arrays.
        argnums: which positional arguments to differentiate by.
        holomorphic: promise that a complex function is holomorphic.
        axis: "out" for blocks of rows (some outputs by all inputs), "in" for blocks of columns (all
            outputs by some inputs).
        memory_limit: the budget in bytes (default 1 GiB) for what is alive at once: the residuals
            at the arguments, the intermediates of a block, the block, and the one before. Whoever
            holds more blocks than the latest pays for them. Evaluating `fun` itself, which
            happens once, is outside, and so is what an allocator keeps of memory that was freed.
        order: as in `layouts.jacobian`, for each block.

    Returns:
        A function of the same arguments that returns a `Stream`. Where `fun` has several outputs
        (or, with "in", several inputs), their blocks follow one another, as `Block.leaf` says.

    Raises:
        TypeError: where `jax.jacrev` raises it.
        LayoutError: not even one row (column) fits the budget, or an argument of a traced function.

    Example:
        >>> x = jnp.arange(1.0, 6.0)
        >>> columns = stream(lambda x: jnp.outer(x, x), axis="in", memory_limit=2000)(x)
        >>> whole = np.zeros(columns.result[""].shape)
        >>> for block in columns:
        ...     whole[block.slices] = block.array
        >>> whole.shape, whole.sum().item()
        ((5, 5, 5), 150.0)
    """
    _check(axis, memory_limit)

    @wraps(fun)
    def stream_of_fun(*args: Any, **kwargs: Any) -> Stream:
        args, kwargs = _kept(args, kwargs)
        linearized = linearize_call(fun, argnums, args, kwargs, holomorphic)
        into, out = picked(args, argnums), jax.eval_shape(lambda: fun(*args, **kwargs))
        near, far = (out, into) if axis == "out" else (into, out)
        dtypes = list(map(jnp.result_type, jax.tree.leaves(into)))
        of_complex = any(jnp.issubdtype(dtype, jnp.complexfloating) for dtype in dtypes)
        # As in `jacobian`: a real function of complex inputs has rows alone.
        chosen = "reverse" if order == "auto" and of_complex and not holomorphic else order
        ends = _ends(linearized, axis, _paths(near), dtypes, chosen, memory_limit)
        used = {index for end in ends if end.part for index in end.part.used}
        names = leaf_names(fun, args, range(len(args)))
        programs = [end.part.jaxpr for end in ends if end.part]
        return Stream(
            axis,
            int(memory_limit),
            ends,
            tuple(_paths(far)),
            jax.tree.structure(far),
            # What no block reads is let go.
            tuple(array if n in used else None for n, array in enumerate(linearized.residuals)),
            lambda: identity_of(fun, argnums, args, kwargs, names, programs),
        )

    return stream_of_fun


def _check(axis: str, memory_limit: int) -> None:
    if axis not in ("out", "in"):
        raise LayoutError("axis", "'out' (rows) or 'in' (columns)", repr(axis), "pass one of these")
    budget.check(memory_limit)


def _kept(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments for later: arrays that nobody else writes into."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs))):
        raise LayoutError(
            "the arguments of stream",
            "arrays",
            "tracers of jit, grad or vmap",
            "call it outside, or compute under layouts.jacobian(memory_limit=...)",
        )
    # Blocks are computed later, when the caller may have written into NumPy arrays.
    return jax.tree.map(
        lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, (args, kwargs)
    )


def _ends(
    linearized: Linearized,
    axis: str,
    paths: Sequence[str],
    dtypes: Sequence[Any],
    order: str | Plan,
    memory_limit: int,
) -> tuple[End, ...]:
    """Each output ("out") or input ("in") with the program of its blocks.

    `dtypes` are those of the inputs.
    """
    graph = linearized.graph
    kinds = dict(zip(graph.inputs, dtypes, strict=True))
    vertices, others = graph.outputs, graph.inputs
    if axis == "in":
        vertices, others = others, vertices

    def end_of(leaf: str, vertex: int) -> End:
        shape, beside = graph.shapes[vertex], [graph.shapes[other] for other in others]
        types = [kinds[other if axis == "out" else vertex] for other in others]
        whole = _wholes(axis, prod(shape), beside, types)
        if not prod(shape):
            return End(leaf, shape, whole, None)
        part = part_of(linearized, axis, vertex, kinds, order, memory_limit)
        return End(leaf, shape, whole, part)

    return tuple(map(end_of, paths, vertices))


def _wholes(
    axis: str, entries: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]
) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The whole arrays: the entries of the streamed side on one axis, beside each other shape."""
    wholes = [(entries, *shape) if axis == "out" else (*shape, entries) for shape in shapes]
    return tuple(map(jax.ShapeDtypeStruct, wholes, dtypes))


def _paths(tree: Any) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
