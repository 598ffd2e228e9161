"""The command line: `layouts explore`, `derive`, `check`, `serve`, `textbooks`."""

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import layouts
from layouts.arguments import parse
from layouts.at_random import derivation, diagnosis
from layouts.conventions import Convention, Layout, catalogue
from layouts.errors import LayoutError
from layouts.exploration import explore, write
from layouts.expressions import load, parse_binding
from layouts.expressions.grammar import shorten
from layouts.expressions.loading import Loaded, find
from layouts.formulas import parsing
from layouts.formulas.evaluating import names
from layouts.printing import (
    derivation_text,
    diagnosis_text,
    print_catalogue,
    print_exploration,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; those of the process unless given.

    Returns:
        The exit status: 0; 1 for a gradient that is wrong; 2 for a user's mistake, said in one
        line on stderr; 130 when interrupted; 141 when nobody reads the output any more.

    Raises:
        SystemExit: as argparse does, with 0 for --help and 2 for arguments that it refuses.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # δ and ⊗ on a terminal without them
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv, _version())
        status = COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        return status or 0
    except (LayoutError, TypeError) as error:
        message, _, _ = str(error).partition("\n")
        print(f"layouts: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("layouts: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more as it exits; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _version() -> str:
    own, jax = layouts.__version__, version("jax")
    return f"layouts {own} (JAX {jax}, Python {platform.python_version()})"


def _explore(arguments: argparse.Namespace) -> None:
    """`layouts explore`."""
    convention = None
    if arguments.layout or arguments.vec:
        convention = Convention(arguments.layout or "numerator", arguments.vec or "rows")
    with redirect_stdout(sys.stderr):  # what the user's own module prints is not the answer
        loaded = load(arguments.function, _bindings(arguments.shapes))
        order, seed = arguments.order, arguments.seed
        found = explore(loaded.call, loaded.inputs, arguments.wrt, order=order, seed=seed)
        written = None
        if convention is not None:
            written = write(loaded.call, found, convention, order=order, seed=seed)
    if arguments.json:
        matrix = None if written is None else written.as_json()
        _print_json({"function": loaded.text, **found.as_json(), "matrix": matrix})
        return
    print_exploration(loaded.text, found, written)


def _derive(arguments: argparse.Namespace) -> None:
    """`layouts derive`."""
    layout = None if arguments.layout == "all" else Layout(arguments.layout)
    with redirect_stdout(sys.stderr):
        loaded = load(arguments.function, _bindings(arguments.shapes))
        seed = None if arguments.no_check else arguments.seed
        found = derivation(loaded.call, loaded.inputs, arguments.wrt, seed=seed)
    if arguments.format == "json":
        written = _json({"function": loaded.text, **found.as_json(layout)}, arguments.output)
    else:
        written = derivation_text(loaded.text, found, arguments.format, layout)
    if arguments.output is None:
        print(written)
        return
    try:
        Path(arguments.output).write_text(f"{written}\n", encoding="utf-8")
    except OSError as error:
        remedy = "name a file in a directory that is there"
        raise LayoutError("--output", "a file to write", str(error), remedy) from error


def _check(arguments: argparse.Namespace) -> int:
    """`layouts check`."""
    text, shapes = arguments.backward.strip(), list(arguments.shapes)
    if re.match(r"\w+=", text):  # no backward: the function has a custom_vjp
        text, shapes = "", [text, *shapes]
    wrt = [name.strip() for name in arguments.wrt.split(",")] if arguments.wrt else []
    with redirect_stdout(sys.stderr):
        loaded = load(arguments.function, _bindings(shapes))
        backward = _backward(text, loaded, arguments.cotangent)
        found = diagnosis(loaded.call, backward, loaded.inputs, wrt, seed=arguments.seed)
    if arguments.json:
        asked = {"function": loaded.text, "backward": text or None, "shapes": dict(loaded.inputs)}
        _print_json({**asked, "seed": arguments.seed, **found.as_json()})
    else:
        print(diagnosis_text(loaded, text, found, html=arguments.html))
    return 0 if found.ok else 1


def _serve(arguments: argparse.Namespace) -> None:
    """`layouts serve`."""
    if not arguments.time_limit > 0:
        raise LayoutError("--time-limit", "seconds", f"{arguments.time_limit:g}", "leave it out")
    try:
        from layouts.explorer import serving  # an extra, which the other commands do without
    except ModuleNotFoundError as error:
        remedy = 'install it by pip install "layouts[explorer]"'
        raise LayoutError("layouts serve", "the extra explorer", str(error), remedy) from error
    text, shapes = (arguments.function or "").strip(), _bindings(arguments.shapes)
    if arguments.function is None and arguments.wrt is not None:
        raise LayoutError("--wrt", "a function first", "none", "name one, or leave --wrt out")
    own = ((text, shapes),) if ":" in text else ()
    with serving.prepared(own, arguments.time_limit) as worker:  # before their module uses JAX
        start = serving.Start()
        if arguments.function is not None:
            with redirect_stdout(sys.stderr):
                start = serving.Start.of(load(text, shapes), arguments.wrt)
        serving.serve(start, worker, port=arguments.port, opened=not arguments.no_open)


def _backward(text: str, loaded: Loaded, cotangent: str | None) -> Any:
    """What a text names as a backward pass: a function, a formula, or with no text nothing."""
    if not text:
        return None
    if re.fullmatch(r"[^\s:]+:[^\s:\[\],]+", text):
        return find(text)
    if cotangent is not None:
        wanted = names(parsing.parse(cotangent))
        for name in names(parsing.parse(text)):
            if name not in (*loaded.inputs, *wanted):
                expected = f"a formula of {', '.join((*loaded.inputs, *wanted))}"
                remedy = "mend the name, or name the cotangent by --cotangent"
                raise LayoutError(shorten(text), expected, name, remedy)
    return text


def _bindings(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in map(parse_binding, texts):
        if name in shapes:
            remedy = f"give {name} once"
            raise LayoutError(f"shape of {name}", "one", "two", remedy)
        shapes[name] = shape
    return shapes


def _textbooks(arguments: argparse.Namespace) -> None:
    """`layouts textbooks`."""
    known, books = catalogue.layout_entries(), catalogue.textbook_entries()
    if arguments.json:
        _print_json(
            {
                "symbols": catalogue.EXPLANATION,
                "layouts": [entry.as_json() for entry in known],
                "textbooks": [entry.as_json() for entry in books],
            }
        )
        return
    print_catalogue(known, books)


def _print_json(data: dict[str, Any]) -> None:
    print(_json(data))


def _json(data: dict[str, Any], file: str | None = None) -> str:
    """JSON for a file in UTF-8, or for a terminal that may not have all characters."""
    ascii_only = file is None and not (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(data, indent=2, ensure_ascii=ascii_only, allow_nan=False)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "explore": _explore,
    "derive": _derive,
    "check": _check,
    "serve": _serve,
    "textbooks": _textbooks,
}
