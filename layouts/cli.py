"""The command line: `layouts explore`, `layouts textbooks`."""

import argparse
import json
import math
import os
import platform
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import layouts
from layouts import catalogue
from layouts.cells import Layout
from layouts.conventions import Convention, arrange
from layouts.costs import CONVENTION
from layouts.errors import LayoutError
from layouts.explore import Exploration, explore, jacobian_at_random
from layouts.expressions import parse_binding
from layouts.loading import Loaded, load
from layouts.program import Cost

# What is printed is cut to this; --json is never cut.
MOST_CHARACTERS = 2_000
MOST_DEFINITIONS = 24
MOST_ENTRIES = 600
MOST_COLUMNS = 24
# Wide enough for the widest table where there is no terminal to ask.
WIDTH = 104

EXAMPLES = """examples:
  layouts explore "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W
  layouts explore "softmax(z)" z=7 --json
  layouts explore mymodule:myfunction W=4x3 X=3x5
  layouts textbooks
"""
EXPLORE_EXAMPLES = """shapes:
  W=4x3 is a matrix, x=5 a vector of 5 entries, s=scalar a number.

functions:
  An expression has names, numbers, + - * / @ **, .T, and functions such as relu,
  tanh, softmax, sum, mean, norm, inv, logdet (axis= and keepdims= where they have them).
  module:function is a function of yours, imported from the current directory; its
  parameters take the shapes of the same names.

examples:
  layouts explore "W @ X" W=4x3 X=3x5 --wrt X
  layouts explore "relu(W @ X + b)" W=4x3 X=3x5 b=4x1 --wrt W
  layouts explore "sum((W @ x - y)**2)" W=4x3 x=3 y=4 --json
  layouts explore "W @ X" W=2x2 X=2x2 --layout numerator --vec columns
  layouts explore mymodule:loss W=4x3 X=3x5 --wrt W
"""
TEXTBOOKS_NOTES = (
    "",
    f"{catalogue.EXPLANATION}.",
    "— nobody has verified it at the source; none: the source defines no such derivative;",
    "either: it leaves the choice to the author. vec is how a matrix is stacked into one index.",
    "In Python: layouts.TEXTBOOKS[name]. With --json the sources are named.",
)
TEXTBOOKS_EXAMPLES = """examples:
  layouts textbooks
  layouts textbooks --json
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; those of the process unless given.

    Returns:
        The exit status: 0; 2 for a user's mistake, said in one line on stderr; 130 when
        interrupted; 141 when nobody reads the output any more.

    Raises:
        SystemExit: as argparse does, with 0 for --help and 2 for arguments that it refuses.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # δ and ⊗ on a terminal without them
    try:
        arguments = _parse(sys.argv[1:] if argv is None else argv)
        arguments.run(arguments)
        sys.stdout.flush()
        return 0
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
    command.add_argument("function", help="an expression, or module:function")
    command.add_argument("shapes", nargs="*", metavar="NAME=SHAPE", help="such as W=4x3")
    command.add_argument("--wrt", metavar="NAME", help="differentiate by this (the first)")
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
        matrix = None if convention is None else _matrix(loaded, found, convention, order, seed)
    if arguments.json:
        written = None if convention is None else _matrix_json(found, convention, matrix)
        _print_json({"function": loaded.text, **found.as_json(), "matrix": written})
        return
    console = _console()
    _print_formulas(console, loaded, found)
    _print_layouts(console, found)
    if convention is not None:
        _print_matrix(console, found, convention, matrix, arguments.seed)
    _print_costs(console, found)


def _bindings(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in map(parse_binding, texts):
        if name in shapes:
            remedy = f"give {name} once"
            raise LayoutError(f"shape of {name}", "one", "two", remedy)
        shapes[name] = shape
    return shapes


def _matrix(
    loaded: Loaded, found: Exploration, convention: Convention, order: str, seed: int
) -> np.ndarray | None:
    """The Jacobian at random inputs, written in a convention; None where it is too large."""
    shape = convention.shape(found.out_shape, found.inputs[found.wrt])
    if (
        math.prod(shape) > MOST_ENTRIES
        or max(shape[1:], default=0) > MOST_COLUMNS
        or len(shape) > 2
    ):
        return None
    J = jacobian_at_random(loaded.call, loaded.inputs, found.wrt, order=order, seed=seed)
    return np.asarray(arrange(J, convention))


def _matrix_json(
    found: Exploration, convention: Convention, matrix: np.ndarray | None
) -> dict[str, Any]:
    entries = None
    if matrix is not None:  # JSON has no NaN and no infinity
        flat = [float(x) if math.isfinite(x) else None for x in matrix.reshape(-1)]
        entries = np.array(flat, dtype=object).reshape(matrix.shape).tolist()
    shape = convention.shape(found.out_shape, found.inputs[found.wrt])
    layout, vec = str(convention.layout), convention.vec
    return {"layout": layout, "vec": vec, "shape": list(shape), "entries": entries}


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
    console = _console()
    table = _table("convention", *(case.replace("_", " ") for case in catalogue.CASES), "vec")
    words = {"author's choice": "either", "not defined": "none"}
    for entry in [*known, *books]:
        shapes = ["—" if shape is None else shape for shape in entry.shapes.values()]
        vec = "any" if entry in known else entry.vec or "—"
        cells = [words.get(shape, shape) for shape in shapes]
        table.add_row(entry.name, *cells, vec, end_section=entry is known[-1])
    console.print(table)
    for line in TEXTBOOKS_NOTES:
        _line(console, line)


def _print_formulas(console: Console, loaded: Loaded, found: Exploration) -> None:
    inputs = ", ".join(f"{name} {_times(shape)}" for name, shape in found.inputs.items())
    _line(console, f"{found.out_name} = {_cut(loaded.text)}, with {inputs}")
    _line(console, f"{found.out_name} is {_times(found.out_shape)}; differentiated by {found.wrt}")
    _heading(console, "Jacobian")
    _line(console, f"  {_cut(found.formula)}")
    shown = found.definitions[: MOST_DEFINITIONS + 1]
    if len(shown) > MOST_DEFINITIONS:  # then the letters alone
        shown = tuple(d for d in shown if not d.name.startswith("z"))
    for definition in shown:
        _line(console, f"  {_cut(str(definition))}   ({_times(definition.shape)})")
    if len(shown) < len(found.definitions):
        more = len(found.definitions) - len(shown)
        _line(console, f"  ... and {more} definitions more; --json has them all")
    _heading(console, "Rule that pulls a cotangent back (VJP)")
    _line(console, f"  {_cut(found.rule)}")
    if found.rule_matrix is not None:
        _line(console, f"  {_cut(found.rule_matrix)}")


def _print_layouts(console: Console, found: Exploration) -> None:
    _heading(console, "Layouts")
    table = _table("layout", "shape", "stacked by rows", "stacked by columns")
    for entry in found.arrangements:
        forms = [_cut(form, 60) if form else "—" for form in (entry.by_rows, entry.by_columns)]
        table.add_row(str(entry.layout), _times(entry.shape), *forms)
    table.add_row("JAX", _times(found.shape), "", "")
    console.print(table)
    by_rows = [entry.by_rows for entry in found.arrangements]
    if None in by_rows:
        _line(console, "— no Kronecker form: a factor ties axes together, or nothing is stacked")
    if any("vec(" in form for form in by_rows if form):
        _line(console, "vec( ) stacks a matrix as its column of this table says")


def _print_matrix(
    console: Console,
    found: Exploration,
    convention: Convention,
    matrix: np.ndarray | None,
    seed: int,
) -> None:
    shape = _times(convention.shape(found.out_shape, found.inputs[found.wrt]))
    _heading(console, f"Matrix, {convention}, {shape}")
    if matrix is None:
        _line(
            console,
            f"  too large to print: at most {MOST_ENTRIES} entries in {MOST_COLUMNS} columns",
        )
        return
    _line(console, f"  at standard normal inputs, seed {seed}")
    with np.printoptions(precision=3, suppress=True, linewidth=1000, threshold=10**6):
        for line in str(matrix + 0.0).split("\n"):
            _line(console, f"  {line}")


def _print_costs(console: Console, found: Exploration) -> None:
    _heading(console, "Costs")
    report = found.costs
    if report is None:
        _line(
            console, "  not counted: the function asks for numbers, and costs are counted on shapes"
        )
        return
    table = _table("order", "multiplications", "additions", "peak bytes", right=True)
    for name, cost in report.rows:
        table.add_row(name, *_counts(cost))
    console.print(table)
    _line(
        console, f"stored: {report.result_bytes:,} bytes structured, {report.dense_bytes:,} dense"
    )
    if found.opaque:
        _line(console, f"without structure (opaque): {', '.join(dict.fromkeys(found.opaque))}")
    _line(console, CONVENTION)


def _counts(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["—"] * 3
    return [f"{n:,}" for n in (cost.multiplications, cost.additions, cost.peak_bytes)]


def _console() -> Console:
    """Rich decides on colours; a pipe gets none, and a width that no terminal limits."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    return _Console(width=wide, highlight=False, markup=False, emoji=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _table(*columns: str, right: bool = False) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if right and place else "left", no_wrap=place == 0)
    return table


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _line(console: Console, text: str) -> None:
    """A line as it is: a formula that is wrapped cannot be copied."""
    console.print(Text(text), soft_wrap=True)


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]} ... (cut; --json has all of it)"


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _print_json(data: dict[str, Any]) -> None:
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(data, indent=2, ensure_ascii=ascii_only, allow_nan=False))
