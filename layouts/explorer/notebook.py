"""The explorer in a notebook's cell: live through anywidget, or as a page that stands still."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError
from layouts.explorer.export import STATIC, document, modules
from layouts.expressions.loading import Loaded

WIDGET = Path(__file__).parent / "widget.js"
HEIGHT = "56rem"


def explore(
    fun: Callable, *args: Any, argnums: int | None = None, wrt: str | None = None
) -> Explorer:
    """Show the Jacobian of a function in a notebook, as `layouts serve` does in a browser.

    Args:
        fun: takes arrays by position, returns one array.
        args: where it is looked at. Arrays of floating-point numbers, and Python floats, are its
            inputs, under the names of the function's parameters; all else is held fixed.
        argnums: the argument to differentiate by; the first input unless told.
        wrt: the same by its name.

    Returns:
        An `Explorer`, which a notebook shows. With the extra `notebook` it asks the kernel; without
        it, and where no widget runs, it is a page with all that needs no computing.

    Raises:
        LayoutError: no argument is an array of floating-point numbers, or the one to differentiate
            by is none, or the function fails.

    Example:
        >>> import jax.numpy as jnp, layouts
        >>> W, X = jnp.ones((4, 3)), jnp.arange(15.0).reshape(3, 5)
        >>> layouts.explore(lambda W, X: W @ X, W, X, wrt="X")
        Explorer: D by X, with W 4×3, X 3×5
        >>> page = layouts.explore(lambda W, X: W @ X, W, X).html()  # one file, opens offline
    """
    inputs, call = _inputs(fun, args)
    if argnums is not None:
        wrt = _named(fun, args, argnums)
    names = list(inputs)
    if wrt is not None and wrt not in names:
        expected = f"an input: {', '.join(names)}"
        remedy = "name one, or make it an array of floating-point numbers"
        raise LayoutError("argument to differentiate by", expected, repr(wrt), remedy)
    name = getattr(fun, "__name__", "f")
    return Explorer(name if name.isidentifier() else "f", call, inputs, wrt or names[0])


class Explorer:
    """A Jacobian to be seen, turned and touched, in a notebook's cell.

    Args:
        name: of the function.
        call: takes the inputs by position.
        inputs: their values by name.
        wrt: the input to differentiate by.
    """

    def __init__(self, name: str, call: Callable, inputs: Mapping[str, np.ndarray], wrt: str):
        shapes = {key: array.shape for key, array in inputs.items()}
        self._functions = {name: Loaded(name, call, shapes)}
        values = {key: _plain(array) for key, array in inputs.items()}
        source = {"kind": "function", "name": name}
        self._state = {"source": source, "values": values, "wrt": wrt}
        self._data = {"gallery": self.ask("gallery", {}), "view": self.ask("view", self._state)}

    def ask(self, name: str, body: dict[str, Any]) -> Any:
        """Answer a request of the page.

        Args:
            name: of an answer, or `export` for the page as one HTML file.
            body: what it takes.

        Raises:
            LayoutError: a mistake in what is asked.
        """
        from layouts.explorer.payload import ANSWERS  # only where it is used: it imports much

        if name == "export":
            return document({**self._data, "view": self.ask("view", body)})
        if name not in ANSWERS:
            remedy = f"choose from {', '.join(ANSWERS)}"
            raise LayoutError("request", "a known one", repr(name), remedy)
        return ANSWERS[name](body, self._functions)

    def html(self) -> str:
        """The page as one HTML file, which opens offline."""
        return document(self._data)

    @cached_property
    def widget(self) -> Any:
        """The live view, as an `anywidget.AnyWidget`.

        Raises:
            ImportError: anywidget is not installed; it comes with the extra `notebook`.
        """
        try:
            anywidget = importlib.import_module("anywidget")
            traitlets = importlib.import_module("traitlets")
        except ImportError as error:
            remedy = "install it with pip install 'layouts[notebook]'"
            raise ImportError(f"a live view needs anywidget: {remedy}") from error
        fields = {
            "_esm": WIDGET.read_text("utf-8"),
            "_css": (STATIC / "style.css").read_text("utf-8"),
            "modules": traitlets.List(list(modules().items())).tag(sync=True),
            "data": traitlets.Dict(self._data).tag(sync=True),
        }
        made = type("ExplorerWidget", (anywidget.AnyWidget,), fields)()
        made.on_msg(self._heard)
        return made

    def _heard(self, widget: Any, message: Any, _: Any) -> None:
        """Answer what the live view asks."""
        reply = {"id": message["id"]}
        try:
            reply["answer"] = self.ask(message["name"], message["body"])
        except Exception as error:  # whatever the function may do; the page shows it
            reply["error"] = str(error) or type(error).__name__
        widget.send(reply)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, without the rights of the notebook's page."""
        return (
            f'<iframe sandbox="allow-scripts allow-downloads" title="{escape(repr(self))}" '
            f'style="width:100%;height:{HEIGHT};border:0" srcdoc="{escape(self.html())}"></iframe>'
        )

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """The live view where there is one, the page that stands still, and a line of text."""
        found = {"text/plain": repr(self), "text/html": self._repr_html_()}
        live = None
        if _attended():
            with suppress(ImportError):
                live = self.widget._repr_mimebundle_()
        bundle = live[0] if isinstance(live, tuple) else live or {}
        return {**bundle, **found}

    def __repr__(self) -> str:
        view = self._data["view"]
        pieces = (f"{a['name']} {_times(a['shape'])}" for a in view["inputs"])
        return f"Explorer: D by {view['state']['wrt']}, with {', '.join(pieces)}"


def _attended() -> bool:
    """Whether anybody is there to touch a widget.

    What runs a notebook by itself, such as `nbconvert --execute`, says with each cell that nobody
    can be asked for input; a widget would be an empty place in the page that it writes.
    """
    try:
        shell = sys.modules["IPython"].get_ipython()
        return shell.get_parent()["content"]["allow_stdin"] is not False
    except (KeyError, AttributeError, TypeError):  # no IPython, or one that does not say
        return True


def _inputs(fun: Callable, args: tuple) -> tuple[dict[str, np.ndarray], Callable]:
    """The arguments that are inputs, by name, and the function of these alone."""
    names = _names(fun, args)
    places = [place for place, arg in enumerate(args) if _is_input(arg)]
    if not places:
        remedy = "pass its inputs behind it, as in explore(f, W, X)"
        raise LayoutError("arguments", "arrays of floating-point numbers", "none", remedy)

    def call(*arrays: Any) -> Any:
        given = list(args)
        for place, array in zip(places, arrays, strict=True):
            given[place] = array
        return fun(*given)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    kept = [inspect.Parameter(names[place], kind) for place in places]
    call.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    return {names[place]: np.asarray(args[place]) for place in places}, call


def _names(fun: Callable, args: tuple) -> list[str]:
    """What the arguments are called: as the parameters are, where these have names of their own."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters: Iterable[inspect.Parameter] = ()
    with suppress(TypeError, ValueError):
        parameters = inspect.signature(fun).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    return [*names, *(f"x{place}" for place in range(len(names), len(args)))][: len(args)]


def _named(fun: Callable, args: tuple, place: int) -> str:
    if not -len(args) <= place < len(args):
        remedy = "count the arguments from 0"
        raise LayoutError("argnums", f"below {len(args)}", str(place), remedy)
    return _names(fun, args)[place]


def _is_input(arg: Any) -> bool:
    if isinstance(arg, float):
        return True
    return (
        hasattr(arg, "dtype") and hasattr(arg, "shape") and jnp.issubdtype(arg.dtype, jnp.floating)
    )


def _plain(array: np.ndarray) -> list[float | str]:
    """Values as the page has them, flat: JSON has no NaN."""
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [words.get(str(x), x) for x in array.astype(float).ravel().tolist()]


def _times(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
