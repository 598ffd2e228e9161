"""The command line: `layouts explore`, `derive`, `check`, `serve`, `textbooks`."""

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import layouts
from layouts.conventions import Convention, Layout, catalogue
from layouts.errors import LayoutError
from layouts.exploration import derivation, diagnosis, explore, write
from layouts.expressions import load, parse_binding
from layouts.expressions.grammar import shorten
from layouts.expressions.loading import Loaded, find
from layouts.formulas.evaluating import names
from layouts.formulas.parsing import parse
from layouts.printing import (
    FORMATS,
    derivation_text,
    diagnosis_text,
    print_catalogue,
    print_exploration,
)

EXAMPLES = """examples:
  layouts explore "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W
  layouts explore "softmax(z)" z=7 --json
  layouts explore mymodule:myfunction W=4x3 X=3x5
  layouts derive "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W
  layouts check "W @ X" "dD @ inv(X)" W=4x4 X=4x4 --wrt W
  layouts serve
  layouts textbooks
"""
SHAPES_AND_FUNCTIONS = """shapes:
  W=4x3 is a matrix, x=5 a vector of 5 entries, s=scalar a number.

functions:
  An expression has names, numbers, + - * / @ **, .T, and functions such as relu,
  tanh, softmax, sum, mean, norm, inv, logdet (axis= and keepdims= where they have them).
  module:function is a function of yours, imported from the current directory; its
  parameters take the shapes of the same names.
"""
EXPLORE_EXAMPLES = f"""{SHAPES_AND_FUNCTIONS}
examples:
  layouts explore "W @ X" W=4x3 X=3x5 --wrt X
  layouts explore "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W
  layouts explore "sum((W @ x - y)**2)" W=4x3 x=3 y=4 --json
  layouts explore "W @ X" W=2x2 X=2x2 --layout numerator --vec columns
  layouts explore mymodule:loss W=4x3 X=3x5 --wrt W
"""
DERIVE_EXAMPLES = f"""{SHAPES_AND_FUNCTIONS}
formats:
  text    as on paper, in Unicode
  ascii   as in NumPy; what is printed can be read back by layouts.parse
  latex   an align* environment, for a document with \\usepackage{{amsmath}}
  html    a page that stands alone, with MathML
  json    the steps as data, each with its formula as text and as LaTeX

examples:
  layouts derive "W @ X" W=4x3 X=3x5 --wrt W
  layouts derive "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W --format html --output relu.html
  layouts derive "x @ A @ x" x=5 A=5x5 --layout numerator
  layouts derive "softmax(z)" z=1000000 --no-check
  layouts derive mymodule:loss W=4x3 X=3x5 --format latex
"""
CHECK_EXAMPLES = f"""{SHAPES_AND_FUNCTIONS}
backward:
  A formula of the inputs and of one more name, the cotangent of the output: dD @ X.T,
  or as on paper, ∂L/∂D Xᵀ. Or module:function, called with NumPy arrays: the cotangent,
  then the inputs in the function's order. Left out, the function's own custom_vjp is
  held against what it computes.

exit status:
  0 it is right, 1 it is wrong, 2 the input cannot be used

examples:
  layouts check "W @ X" "dD @ inv(X)" W=4x4 X=4x4 --wrt W
  layouts check "tanh(W @ x)" "(g * (1 - tanh(W @ x)**2)) @ x.T" W=4x3 x=3 --cotangent g
  layouts check "softmax(z)" mymodule:backward z=7 --seed 1
  layouts check mymodule:forward mymodule:backward W=4x3 X=3x5 --wrt W,X --json
  layouts check mymodule:with_custom_vjp W=4x3 X=3x5 --wrt X
"""
SERVE_EXAMPLES = f"""{SHAPES_AND_FUNCTIONS}
The page is for you alone: the server listens on this machine only, and the address that is
printed has a token in it, a new one each time. Only functions named here are run; what is typed
on the page is read by the grammar above. Ctrl-C stops it.

examples:
  layouts serve
  layouts serve "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W
  layouts serve mymodule:loss W=4x3 X=3x5 --port 8000 --no-open
"""
TEXTBOOKS_EXAMPLES = """examples:
  layouts textbooks
  layouts textbooks --json
"""


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
        arguments = _parse(sys.argv[1:] if argv is None else argv)
        status = arguments.run(arguments)
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


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    # A formula may begin with a minus; after a space argparse does not take it for an option.
    argv = [f" {text}" if re.match(r"-[^-]", text) and text != "-h" else text for text in argv]
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(arguments, "shapes")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # shapes that stand behind an option
        arguments.shapes += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="layouts",
        description="Jacobians: their terms, their layouts, their costs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    versions = (
        f"layouts {layouts.__version__} (JAX {version('jax')}, Python {platform.python_version()})"
    )
    parser.add_argument("--version", action="version", version=versions)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_explore(commands)
    _add_derive(commands)
    _add_check(commands)
    _add_serve(commands)
    _add_textbooks(commands)
    return parser


def _add_explore(commands: Any) -> None:
    command = commands.add_parser(
        "explore",
        help="say what there is to say about the Jacobian of a function",
        description="Print a Jacobian's terms, the rule that pulls a cotangent back, its shape in "
        "each layout,\nand what it costs. Only shapes are needed, so sizes do not matter.",
        epilog=EXPLORE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_function(command)
    command.add_argument(
        "--order",
        choices=("auto", "forward", "reverse"),
        default="auto",
        help="order of accumulation; the stored factors may depend on it (auto: the cheapest)",
    )
    command.add_argument(
        "--layout", metavar="LAYOUT", help=f"also print the matrix: {', '.join(Layout)}"
    )
    command.add_argument(
        "--vec", metavar="ORDER", help="stack it by rows or columns (rows; numerator layout)"
    )
    command.add_argument(
        "--seed", type=int, default=0, help="of the random inputs that a matrix needs (0)"
    )
    command.add_argument("--json", action="store_true", help="print JSON, uncut")
    command.set_defaults(run=_explore)


def _add_derive(commands: Any) -> None:
    command = commands.add_parser(
        "derive",
        help="derive a gradient and a Jacobian step by step, as by hand",
        description="Print how a derivative is found by hand: the chain rule as sums and deltas, "
        "the deltas\napplied, the form with matrices, and the matrix in each layout. Each step is "
        "checked\nagainst JAX at random inputs.",
        epilog=DERIVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_function(command)
    command.add_argument(
        "--format", choices=FORMATS, default="text", help="how to print it (text); see below"
    )
    command.add_argument(
        "--layout",
        metavar="LAYOUT",
        default="all",
        help=f"show the matrix in one layout only: {', '.join(Layout)} (all)",
    )
    command.add_argument(
        "--seed", type=int, default=0, help="of the random inputs that steps are checked at (0)"
    )
    command.add_argument(
        "--no-check", action="store_true", help="work on shapes alone, so that sizes do not matter"
    )
    command.add_argument("--output", metavar="FILE", help="write to a file, in UTF-8")
    command.set_defaults(run=_derive)


def _add_check(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="say whether a hand-written gradient is right, and if not, which mistake it has",
        description="Hold a backward pass against JAX's derivative at random inputs, in float64. "
        "If it is\nwrong, name the mistake that explains it, with the right formula beside the "
        "wrong one.",
        epilog=CHECK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("function", help="an expression, or module:function")
    command.add_argument("backward", help="a formula, or module:function; see below")
    command.add_argument("shapes", nargs="*", metavar="NAME=SHAPE", help="such as W=4x3")
    command.add_argument(
        "--wrt",
        metavar="NAMES",
        help="the input that the gradient is by (the first), or several, as in W,X",
    )
    command.add_argument(
        "--cotangent", metavar="NAME", help="what the formula calls it (its one other name)"
    )
    command.add_argument("--seed", type=int, default=0, help="of the standard normal inputs (0)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--html", action="store_true", help="print a page that stands alone")
    command.set_defaults(run=_check)


def _add_serve(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="open the explorer, a page in the browser",
        description="Serve a page on which a Jacobian can be seen, turned and touched, and open it "
        "in the\nbrowser. Its address is printed at once.",
        epilog=SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_function(command, nargs="?")
    command.add_argument(
        "--port", type=int, default=8420, metavar="N", help="listen there (8420); 0: any free one"
    )
    command.add_argument("--no-open", action="store_true", help="open no browser")
    command.add_argument(
        "--time-limit",
        type=float,
        default=20.0,
        metavar="S",
        help="stop what takes longer than so many seconds (20)",
    )
    command.set_defaults(run=_serve)


def _add_function(command: Any, **options: Any) -> None:
    """What is differentiated, and by what."""
    command.add_argument("function", help="an expression, or module:function", **options)
    command.add_argument("shapes", nargs="*", metavar="NAME=SHAPE", help="such as W=4x3")
    command.add_argument("--wrt", metavar="NAME", help="differentiate by this (the first)")


def _add_textbooks(commands: Any) -> None:
    command = commands.add_parser(
        "textbooks",
        help="whose layout is whose",
        description="Print how textbooks and tools write each derivative, as far as verified.",
        epilog=TEXTBOOKS_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_textbooks)


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
        wanted = names(parse(cotangent))
        for name in names(parse(text)):
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
