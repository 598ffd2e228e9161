"""How formulas call the leaves of a function's arguments."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax


def leaf_names(fun: Callable, args: Sequence[Any], argnums: Sequence[int]) -> list[str]:
    """How formulas call the leaves of the arguments: `W`, or `params[0].W` inside a pytree."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = []
    for number in argnums:
        fits = number < len(parameters) and parameters[number].kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        base = parameters[number].name if fits else f"x{number}"
        paths = jax.tree_util.tree_flatten_with_path(args[number])[0]
        names += [base + "".join(map(_key_text, path)) for path, _ in paths]
    return names


def _place_text(key: Any) -> str:
    """How formulas call what a dictionary holds: `.W` where that is a name, else `['W 1']`."""
    if isinstance(key, str) and key.isidentifier() and key != "T":
        return f".{key}"
    quote = '"' if isinstance(key, str) and "'" in key else "'"
    return f"[{quote}{key}{quote}]" if isinstance(key, str) else f"[{key}]"


def _key_text(key: Any) -> str:
    if isinstance(key, jax.tree_util.DictKey):
        return _place_text(key.key)
    if isinstance(key, jax.tree_util.GetAttrKey):
        return f".{key.name}"
    return str(key)
