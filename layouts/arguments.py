"""What the command line takes: its commands, their options, and the help that they print."""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from layouts.conventions import Layout
from layouts.printing import FORMATS

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


def parse(argv: Sequence[str], version: str) -> argparse.Namespace:
    """Read the command line's arguments.

    Args:
        argv: the arguments without the program's name.
        version: what --version prints.

    Returns:
        The options of a command, and its name as `command`.

    Raises:
        SystemExit: as argparse does, with 0 for --help and 2 for arguments that it refuses.
    """
    # A formula may begin with a minus; after a space argparse does not take it for an option.
    argv = [f" {text}" if re.match(r"-[^-]", text) and text != "-h" else text for text in argv]
    parser = _parser(version)
    arguments, rest = parser.parse_known_args(argv)
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(arguments, "shapes")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # shapes that stand behind an option
        arguments.shapes += rest
    return arguments


class _Parser(argparse.ArgumentParser):
    """One whose help keeps its own line breaks; so do the parsers of its commands."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)


def _parser(version: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="layouts",
        description="Jacobians: their terms, their layouts, their costs.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command"
    )
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


def _add_derive(commands: Any) -> None:
    command = commands.add_parser(
        "derive",
        help="derive a gradient and a Jacobian step by step, as by hand",
        description="Print how a derivative is found by hand: the chain rule as sums and deltas, "
        "the deltas\napplied, the form with matrices, and the matrix in each layout. Each step is "
        "checked\nagainst JAX at random inputs.",
        epilog=DERIVE_EXAMPLES,
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


def _add_check(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="say whether a hand-written gradient is right, and if not, which mistake it has",
        description="Hold a backward pass against JAX's derivative at random inputs, in float64. "
        "If it is\nwrong, name the mistake that explains it, with the right formula beside the "
        "wrong one.",
        epilog=CHECK_EXAMPLES,
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


def _add_serve(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="open the explorer, a page in the browser",
        description="Serve a page on which a Jacobian can be seen, turned and touched, and open it "
        "in the\nbrowser. Its address is printed at once.",
        epilog=SERVE_EXAMPLES,
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
    )
    command.add_argument("--json", action="store_true", help="print JSON")
