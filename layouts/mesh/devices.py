"""Functions of arrays on several devices, each run as one compiled program."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, get_abstract_mesh

from layouts.errors import LayoutError
from layouts.mesh.explicit import auto_mesh, explicit_among, inside
from layouts.mesh.sharding import Sharded, is_asked, is_explicit, is_traced, on_devices, sharding_of


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class _Fixed:
    """Something that is no array, carried through a compiled program."""

    value: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Fixed) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or (self._hashable and self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value) if self._hashable else id(self.value)

    @property
    def _hashable(self) -> bool:
        try:
            hash(self.value)
        except TypeError:
            return False
        return True


def _wrapped(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, jax.Array | np.ndarray) else _Fixed(leaf), tree
    )


def _unwrapped(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.value if isinstance(leaf, _Fixed) else leaf,
        tree,
        is_leaf=lambda leaf: isinstance(leaf, _Fixed),
    )


def across_devices(function: Callable[..., Any], asked: Any) -> Callable[..., Any]:
    """Run a function as one compiled program where its arrays lie on several devices.

    Args:
        function: of what is asked, of how arguments lie (by `id`, where their types do not tell),
            and of its arguments.
        asked: a sharding of its results or a pytree of them.

    Returns:
        A function of the arguments and keyword arguments. Inside `jax.jit`, and on one device
        with nothing asked, it is just called.
    """

    def whole(lies: _Fixed, asked: _Fixed, args: Any, kwargs: Any) -> Any:
        args, kwargs = _unwrapped((args, kwargs))
        known = dict(zip(map(id, jax.tree.leaves((args, kwargs))), lies.value, strict=True))
        leaves, structure = asked.value
        return _wrapped(function(jax.tree.unflatten(structure, leaves), known, *args, **kwargs))

    # An argument that the result does not depend on tells the devices all the same.
    compiled = jax.jit(whole, keep_unused=True)

    def run(*args: Any, **kwargs: Any) -> Any:
        arrays = jax.tree.leaves((args, kwargs))
        lies = tuple(map(sharding_of, arrays))
        if any(map(is_traced, arrays)) or (asked is None and not any(lies)):
            return function(asked, {}, *args, **kwargs)
        if not any(map(is_explicit, lies)):
            return at_once(asked, lies, args, kwargs)
        try:
            return at_once(asked, lies, args, kwargs)
        except LayoutError:
            raise
        except Exception as refused:
            # JAX refuses a step of the function where types would be ambiguous.
            return _untyped(at_once, asked, args, kwargs, refused)

    def at_once(asked: Any, lies: Sequence[Sharded], args: tuple, kwargs: dict) -> Any:
        arrays = jax.tree.leaves((args, kwargs))
        leaves, structure = jax.tree.flatten(asked, is_leaf=is_asked)
        placed = tuple(None if leaf is None else on_devices(leaf, arrays) for leaf in leaves)
        fixed = _Fixed(tuple(lies)), _Fixed((placed, structure))
        return _unwrapped(compiled(*fixed, *_wrapped((args, kwargs))))

    return run


def _untyped(
    at_once: Callable[..., Any], asked: Any, args: tuple, kwargs: dict, refused: Exception
) -> Any:
    """The same where no types name the mesh; the results are typed again.

    Raises:
        Exception: what JAX said at first, if that is no remedy.
    """

    def without(array: Any) -> Any:
        lies = sharding_of(array)
        return array if lies is None else jax.device_put(array, inside(lies))

    def again(array: Any) -> Any:
        lies = sharding_of(array)
        return array if lies is None else jax.device_put(array, NamedSharding(mesh, lies.spec))

    known = explicit_among(jax.tree.leaves((args, kwargs)))
    assert known is not None
    mesh = known.mesh
    given, keywords = jax.tree.map(without, (args, kwargs))
    wanted = jax.tree.map(
        lambda one: inside(one) if isinstance(one, NamedSharding) and is_explicit(one) else one,
        asked,
        is_leaf=is_asked,
    )
    lies = tuple(map(sharding_of, jax.tree.leaves((given, keywords))))
    context = nullcontext() if get_abstract_mesh().empty else jax.set_mesh(auto_mesh(mesh))
    try:
        with context:
            found = at_once(wanted, lies, given, keywords)
    except Exception:
        raise refused from None
    return jax.tree.map(again, found)
