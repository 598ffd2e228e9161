"""From a function to its derivation: `layouts.derive`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from layouts.derivation.tracing import trace
from layouts.derivation.truth import differences
from layouts.derivation.writing import Writing
from layouts.errors import LayoutError


def derive(fun: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """Derive a derivative as a person does by hand: sums, deltas, and the matrix form.

    Args:
        fun: takes pytrees of arrays, returns one array.
        argnums: which positional arguments to differentiate by.

    Returns:
        A function of the same arguments, arrays or `jax.ShapeDtypeStruct`s, that returns a
        `Derivation`: for a pytree one for each leaf, in its structure; for several argnums a
        tuple. On arrays every step is checked against JAX's own derivative in numbers.

    Raises:
        TypeError: where `jax.jacrev` raises it.
        LayoutError: `fun` returns no array, or an argnum is out of range.

    Example:
        >>> W, X = jnp.ones((4, 3)), jnp.ones((3, 5))
        >>> derivation = derive(lambda W, X: W @ X)(W, X)
        >>> print(derivation.of("result")[-1])
        ∂L/∂W[k,l] = Σ_j ∂L/∂D[k,j] X[l,j]
        >>> print(derivation.of("matrix")[-1])
        ∂L/∂W = ∂L/∂D Xᵀ
    """

    def derivation_of_fun(*args: Any) -> Any:
        places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for place in places:
            if not isinstance(place, int):
                remedy = "count the arguments from 0"
                raise LayoutError("argnums", "a whole number or several", repr(place), remedy)
            if not -len(args) <= place < len(args):
                received = f"{place} with {len(args)} arguments"
                raise LayoutError("argnums", "places among the arguments", received, "count from 0")
        leaves, treedef = jax.tree.flatten(args)
        program = trace(fun, args)
        names = [vertex.name for vertex in program.vertices[: len(leaves)]]
        tree = jax.tree.unflatten(treedef, names)
        chosen = tuple(tree[place] for place in places)
        records = {name: Writing(program, program.vertex(name)) for name in jax.tree.leaves(chosen)}
        for record in records.values():
            record.write()
        if not any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):

            def flat(*leaves: Any) -> Any:
                return fun(*jax.tree.unflatten(treedef, leaves))

            arrays = [jnp.asarray(leaf) for leaf in leaves]
            apart = differences(flat, program, arrays, {n: r.checks for n, r in records.items()})
            for name, record in records.items():
                record.hold(apart[name])
        derivations = {name: record.derivation() for name, record in records.items()}
        found = jax.tree.map(derivations.__getitem__, chosen)
        return found[0] if isinstance(argnums, int) else found

    return derivation_of_fun
