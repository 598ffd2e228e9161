"""What a person names on the command line as a function: an expression, or `module:function`."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from layouts.errors import LayoutError
from layouts.expressions.grammar import guess, shorten
from layouts.expressions.parsing import check_shapes, parse_expression

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Loaded:
    """A function with the shapes of its inputs.

    Attributes:
        text: what it was named by.
        call: takes arrays by position, in the order of `inputs`.
        inputs: the shape of each input, by name.
    """

    text: str
    call: Callable[..., Any]
    inputs: Mapping[str, Shape]


def load(text: str, shapes: Mapping[str, Shape]) -> Loaded:
    """Find the function that a text names, and put the shapes in the order of its parameters.

    Args:
        text: an expression such as `relu(W @ X + b)`, or `module:function` for a function of a
            module that can be imported from the current directory.
        shapes: a shape for each variable, or for each parameter that has no default.

    Raises:
        LayoutError: the expression is outside the grammar, no such module or function is found, or
            the names do not match.

    Example:
        >>> loaded = load("W @ X", {"X": (3, 5), "W": (4, 3)})
        >>> loaded.inputs
        {'W': (4, 3), 'X': (3, 5)}
        >>> load("jax.numpy:matmul", {"a": (2, 3), "b": (3, 4)}).inputs
        {'a': (2, 3), 'b': (3, 4)}
    """
    text = text.strip()
    if ":" in text:
        return _bound(text, find(text), shapes)
    expression = parse_expression(text)
    check_shapes(expression, shapes)
    return Loaded(text, expression, {name: shapes[name] for name in expression.names})


def find(text: str) -> Callable:
    """The function that `module:function` names, imported from the current directory first.

    Raises:
        LayoutError: no such module or function is found.

    Example:
        >>> find("math:sqrt")(9)
        3.0
    """
    module_name, _, path = text.partition(":")
    if not (module_name and path):
        remedy = "write it as in mymodule:myfunction"
        raise LayoutError("function", "module:function", shorten(text), remedy)
    if module_name.endswith(".py") or os.sep in module_name:
        module = os.path.splitext(os.path.basename(module_name))[0]
        remedy = f"write {module}:{path}, and run from the directory that {module}.py is in"
        raise LayoutError("function", "module:function", shorten(text), remedy)
    function = _attribute(_module(module_name), module_name, path)
    if not callable(function):
        received = f"a {type(function).__name__}"
        raise LayoutError(shorten(text), "a function", received, "name a function of the module")
    return function


def _module(name: str) -> Any:
    """Import a module, from the current directory first."""
    what = f"module {shorten(name)!r}"
    if not all(part.isidentifier() for part in name.split(".")):
        raise LayoutError(what, "the name of a module", shorten(name), "write module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may do anything, such as call sys.exit
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        if missing and f"{name}.".startswith(f"{error.name}."):  # type: ignore[attr-defined]
            remedy = "run from the directory that it is in, or install it"
            raise LayoutError(what, "a module that is found", "none", remedy) from None
        reason = shorten(str(error).strip().partition("\n")[0], 200)
        received = f"{type(error).__name__}: {reason}"
        raise LayoutError(what, "one that imports", received, "mend the module") from error


def _attribute(module: Any, name: str, path: str) -> Any:
    """Follow a dotted path from a module."""
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [key for key in dir(found) if not key.startswith("_")]
            remedy = guess(part, known) or f"define {shorten(part)} there"
            what = f"function {shorten(path)!r}"
            raise LayoutError(what, f"one of {name}", "none of that name", remedy) from None
    return found


def _bound(text: str, function: Callable, shapes: Mapping[str, Shape]) -> Loaded:
    """A function of a module as one of positional arrays, those that shapes are given for."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        remedy = "wrap it in a function of your own"
        raise LayoutError(shorten(text), "named parameters", "none", remedy) from None
    kinds = inspect.Parameter
    known = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    }
    for name in shapes:
        if name not in known:
            remedy = guess(name, known) or "leave it out"
            expected = f"a parameter of {shorten(text)}: {', '.join(known) or 'it has none'}"
            raise LayoutError(f"shape of {name}", expected, repr(name), remedy)
    for name, parameter in known.items():
        if parameter.default is kinds.empty and name not in shapes:
            expected = "one for each parameter without a default"
            remedy = f"add {name}=, as in {name}=4x3"
            received = ", ".join(shapes) or "none"
            raise LayoutError(f"shape of {name}", expected, received, remedy)
    return Loaded(
        text,
        _positional(function, known, tuple(name for name in known if name in shapes)),
        {name: shapes[name] for name in known if name in shapes},
    )


def _positional(
    function: Callable, parameters: Mapping[str, inspect.Parameter], names: tuple[str, ...]
) -> Callable:
    """The function with some of its parameters, by position; the others keep their defaults."""
    leading = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_ONLY]

    def call(*arrays: Any) -> Any:
        given = dict(zip(names, arrays, strict=True))
        first = [given.pop(name) for name in leading if name in given]
        return function(*first, **given)

    kept = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    call.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    return call
