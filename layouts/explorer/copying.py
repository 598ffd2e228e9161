"""A program to copy: it computes the Jacobian that is looked at, with jax.numpy and layouts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.explorer.asking import Asked
from layouts.explorer.subject import DIGITS
from layouts.expressions.functions import FUNCTIONS

# Inputs of more entries are drawn by the program and not written out, unless they were edited.
MOST_WRITTEN = 64
LONGEST_LINE = 88

# What has no one name in JAX.
OWN = {"logdet": "def logdet(A):\n    return jnp.linalg.slogdet(A).logabsdet\n"}


def program_of(asked: Asked, arrays: Sequence[np.ndarray]) -> str:
    """The program.

    Args:
        asked: what is looked at.
        arrays: its inputs.
    """
    names = list(asked.loaded.inputs)
    known = dict(zip(names, arrays, strict=True))
    drawn = [n for n, a in known.items() if a.size > MOST_WRITTEN and n not in asked.values]
    lines = ["import jax", "import jax.numpy as jnp"]
    lines += [*(["import numpy as np"] if drawn else []), "", "import layouts"]
    if asked.kind == "function":
        lines.append("from layouts.expressions import load")
    lines += ["", 'jax.config.update("jax_enable_x64", True)', ""]
    lines += [*_function(asked, names), ""]
    for place, name in enumerate(names):
        own = (asked.seed, place) if name in drawn else None
        lines.append(_input(name, known[name], own))
    arguments = ", ".join(names)
    derivative = f"layouts.jacobian(f, argnums={names.index(asked.wrt)}, structured=True)"
    lines += [
        f"J = {derivative}({arguments})",
        "print(J)",
        "dense = J.dense()  # out_shape + in_shape, as jax.jacrev gives it",
    ]
    return "\n".join(lines) + "\n"


def _function(asked: Asked, names: Sequence[str]) -> list[str]:
    if asked.kind == "function":
        shapes = ", ".join(f'"{n}": {s}' for n, s in asked.loaded.inputs.items())
        return [f'f = load("{asked.name}", {{{shapes}}}).call  # run where its module is found']
    body, needed = _python(asked.loaded.text)
    defined = [line for name in needed for line in ("", *OWN[name].splitlines(), "")]
    return [*defined, "", f"def f({', '.join(names)}):", f"    return {body}", ""]


def _python(text: str) -> tuple[str, list[str]]:
    """An expression as Python, and the functions that it needs besides JAX's."""
    needed: list[str] = []

    def name(found: re.Match[str]) -> str:
        if found[1] in OWN:
            needed.append(found[1])
            return found[1] + "("
        return _PYTHON[found[1]] + "("

    written = re.sub(r"\b([A-Za-z_]\w*)\s*\(", name, text)
    return written, list(dict.fromkeys(needed))


def _path(name: str, call: Any) -> str | None:
    """Where JAX has a function, by its public name."""
    places: Mapping[str, Any] = {"jnp": jnp, "jnp.linalg": jnp.linalg, "jax.nn": jax.nn}
    for prefix, module in places.items():
        for own in (name, getattr(call, "__name__", name)):
            if getattr(module, own, None) is call:
                return f"{prefix}.{own}"
    return None


_PATHS = {name: _path(name, function.call) for name, function in FUNCTIONS.items()}
_PYTHON = {name: path for name, path in _PATHS.items() if path is not None}


def _input(name: str, array: np.ndarray, stream: tuple[int, int] | None) -> str:
    """The line that makes an input: its numbers, or how they are drawn."""
    if stream is not None:
        drawn = f"np.random.default_rng({list(stream)}).standard_normal({array.shape})"
        return f"{name} = jnp.array(np.round({drawn}, {DIGITS}))"
    if not array.shape:
        return f"{name} = jnp.array({_number(array.item())})"
    rows = _rows(array.tolist())
    line = f"{name} = jnp.array({rows})"
    if len(line) > LONGEST_LINE:
        line = f"{name} = jnp.array(\n    {rows}\n)".replace("], [", "],\n     [")
    return line


def _rows(values: Any) -> str:
    if isinstance(values, list):
        return f"[{', '.join(map(_rows, values))}]"
    return _number(values)


def _number(value: float) -> str:
    if value != value:
        return "jnp.nan"
    if value in (float("inf"), float("-inf")):
        return "jnp.inf" if value > 0 else "-jnp.inf"
    return repr(value)
