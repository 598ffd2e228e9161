"""What a stored Jacobian is the Jacobian of: digests of a function, its derivative and inputs."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.counting import inner_jaxprs
from layouts.errors import LayoutError


@dataclass(frozen=True)
class Identity:
    """Digests of everything that the values of a Jacobian depend on.

    Attributes:
        function: of the function's jaxpr and the constants in it.
        derivative: of the programs that compute the blocks: derivative rules, and the order.
        inputs: of each array among the arguments, by its name.
    """

    function: str
    derivative: str
    inputs: dict[str, str]


def identity_of(
    function: Callable,
    argnums: int | Sequence[int],
    args: tuple,
    kwargs: dict,
    names: Sequence[str],
    programs: Sequence[Any] = (),
) -> Identity:
    """Take the digests.

    Args:
        function: what was differentiated.
        argnums: by which of its positional arguments.
        args: its positional arguments.
        kwargs: its keyword arguments.
        names: of the leaves of `args`, in order.
        programs: the jaxprs that compute the blocks.

    Example:
        >>> x = jnp.arange(3.0)
        >>> sine = identity_of(jnp.sin, 0, (x,), {}, ["x"])
        >>> sine == identity_of(jnp.sin, 0, (x,), {}, ["x"])
        True
        >>> sine.function == identity_of(jnp.cos, 0, (x,), {}, ["x"]).function
        False
        >>> sine.inputs == identity_of(jnp.sin, 0, (2 * x,), {}, ["x"]).inputs
        False
    """
    paths = jax.tree_util.tree_flatten_with_path(kwargs)[0]
    named = dict(zip(names, jax.tree.leaves(args), strict=True))
    named |= {jax.tree_util.keystr(path): leaf for path, leaf in paths}
    inputs = {name: _of_leaf(leaf) for name, leaf in named.items()}
    numbers = argnums if isinstance(argnums, Sequence) else (argnums,)

    def of_picked(*values: Any) -> Any:
        given = list(args)
        for number, value in zip(numbers, values, strict=True):
            given[number] = value
        return function(*given, **kwargs)

    jaxpr = jax.make_jaxpr(of_picked)(*picked(args, numbers))
    own = set(inputs.values())
    return Identity(
        _digest(*_parts(jaxpr, own)),
        _digest(*[p for j in programs for p in _parts(j, own)]),
        inputs,
    )


def picked(args: tuple, argnums: int | Sequence[int]) -> Any:
    """The arguments that are differentiated by: one, or a tuple."""
    if isinstance(argnums, Sequence):
        return tuple(args[number] for number in argnums)
    return args[argnums]


def _parts(jaxpr: Any, inputs: set[str]) -> list[str]:
    """A jaxpr's text, and digests of its constants, save those that are inputs anyway."""
    constants = [_of_leaf(constant) for constant in _constants(jaxpr)]
    return [
        _without_addresses(str(jaxpr)),
        *("input" if digest in inputs else digest for digest in constants),
    ]


def _without_addresses(text: str) -> str:
    """Text in which every process agrees: a function prints its address."""
    return re.sub(r"\b0x[0-9a-fA-F]+", "0x", text)


def _constants(jaxpr: Any) -> list[Any]:
    """The constants of a jaxpr and of all within it."""
    found = list(getattr(jaxpr, "consts", ()))
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        for closed in jax.tree.leaves(list(equation.params.values()), is_leaf=_has_constants):
            found += list(closed.consts) if _has_constants(closed) else []
        for inner in inner_jaxprs(equation.params):
            found += _constants(inner)
    return found


def _has_constants(value: Any) -> bool:
    return hasattr(value, "consts") and hasattr(value, "jaxpr")


def _of_leaf(leaf: Any) -> str:
    """The digest of an array: type, shape and entries; of anything else its text."""
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        raise LayoutError(
            "an argument of a stream that is written",
            "arrays that this process has whole",
            f"an array of shape {leaf.shape} with parts on devices of other processes",
            "iterate, since blocks span processes too; or write in each process the rows of its "
            "own to a folder of its own, stream(lambda x: f(x)[mine])(x) with x whole in each",
        )
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if not hasattr(leaf, "dtype"):
        return _digest(type(leaf).__name__, _without_addresses(repr(leaf)))
    array = np.ascontiguousarray(leaf)
    return _digest(array.dtype.name, str(np.shape(leaf)), array.reshape(-1).view(np.uint8))


def _digest(*parts: Any) -> str:
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()
