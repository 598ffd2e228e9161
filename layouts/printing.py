"""What was found about a Jacobian, as text for a terminal or a pipe."""

import os
import sys
from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from layouts.conventions.catalogue import CASES, EXPLANATION, Entry
from layouts.conventions.cells import Layout
from layouts.costs import CONVENTION
from layouts.derivation import Derivation
from layouts.doctor import Diagnosis
from layouts.exploration import MOST_COLUMNS, MOST_ENTRIES, Exploration, Written
from layouts.expressions.loading import Loaded
from layouts.program import Cost
from layouts.show.html import Markup, page, tag

# How a derivation is printed.
FORMATS = ("text", "ascii", "latex", "html", "json")
# What is printed is cut to this; --json is never cut.
MOST_CHARACTERS = 2_000
MOST_DEFINITIONS = 24
MOST_IN_CELL = 80
# Wide enough for the widest table where there is no terminal to ask.
WIDTH = 104

TEXTBOOKS_NOTES = (
    "",
    f"{EXPLANATION}.",
    "— nobody has verified it at the source; none: the source defines no such derivative;",
    "either: it leaves the choice to the author. vec is how a matrix is stacked into one index.",
    "In Python: layouts.TEXTBOOKS[name]. With --json the sources are named.",
)


def print_exploration(text: str, found: Exploration, written: Written | None = None) -> None:
    """Print all there is to say about a Jacobian.

    Args:
        text: what the function was named by.
        found: what was found.
        written: its matrix, where that was asked for.
    """
    console = _console()
    _print_formulas(console, text, found)
    _print_layouts(console, found)
    if written is not None:
        _print_matrix(console, written)
    _print_costs(console, found)


def derivation_text(text: str, found: Derivation, form: str, layout: Layout | None = None) -> str:
    """A derivation in one of the formats that are no data.

    Args:
        text: what the function was named by.
        found: the derivation.
        form: "text", "ascii", "latex" or "html".
        layout: the only layout to show; all of them unless told.
    """
    if form == "latex":
        return found.latex(layout)
    if form == "html":
        return page(f"{found.out_name} = {_cut(text)}", Markup(found.html(layout)))
    # A terminal's lines are its own; a file's are as wide as a page.
    width = max(40, _console().width)
    return found.text("ascii" if form == "ascii" else "unicode", width, layout)


def diagnosis_text(loaded: Loaded, backward: str, found: Diagnosis, *, html: bool = False) -> str:
    """A diagnosis as text, or as a page.

    Args:
        loaded: the function.
        backward: what was held against it; empty for its own custom_vjp.
        found: the diagnosis.
        html: whether to write a page.
    """
    inputs = ", ".join(f"{name} {_times(shape)}" for name, shape in loaded.inputs.items())
    head = f"{_cut(loaded.text)}, with {inputs}"
    asked = f"checked: {_cut(backward or 'its own custom_vjp')}"
    if html:
        return page(found.summary, tag("p", head), tag("p", asked), Markup(found.html()))
    return f"{head}\n{asked}\n\n{found}"


def print_catalogue(layouts: Sequence[Entry], textbooks: Sequence[Entry]) -> None:
    """Print conventions, one a row."""
    console = _console()
    table = _table("convention", *(case.replace("_", " ") for case in CASES), "vec")
    words = {"author's choice": "either", "not defined": "none"}
    for entry in [*layouts, *textbooks]:
        shapes = ["—" if shape is None else shape for shape in entry.shapes.values()]
        vec = "any" if entry in layouts else entry.vec or "—"
        cells = [words.get(shape, shape) for shape in shapes]
        table.add_row(entry.name, *cells, vec, end_section=entry is layouts[-1])
    console.print(table)
    for line in TEXTBOOKS_NOTES:
        _line(console, line)


def _console() -> Console:
    """Rich decides on colours; a pipe gets none, and a width that no terminal limits."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    return _Console(width=wide, highlight=False, markup=False, emoji=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _print_formulas(console: Console, text: str, found: Exploration) -> None:
    inputs = ", ".join(f"{name} {_times(shape)}" for name, shape in found.inputs.items())
    _line(console, f"{found.out_name} = {_cut(text)}, with {inputs}")
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
        forms = [form or "—" for form in (entry.by_rows, entry.by_columns)]
        forms = [form if len(form) <= MOST_IN_CELL else "long: see --json" for form in forms]
        table.add_row(str(entry.layout), _times(entry.shape), *forms)
    table.add_row("JAX", _times(found.shape), "", "")
    console.print(table)
    by_rows = [entry.by_rows for entry in found.arrangements]
    if None in by_rows:
        _line(console, "— no Kronecker form: a factor ties axes together, or nothing is stacked")
    if any("vec(" in form for form in by_rows if form):
        _line(console, "vec(A) stacks the columns of A, vec(Aᵀ) its rows")
    if any("K(" in form for form in by_rows if form):
        _line(console, "K(m,n) vec(A) = vec(Aᵀ) for A of m rows and n columns")


def _print_matrix(console: Console, written: Written) -> None:
    """A matrix, if it is small."""
    _heading(console, f"Matrix, {written.convention}, {_times(written.shape)}")
    if written.entries is None:
        limits = f"at most {MOST_ENTRIES} entries in {MOST_COLUMNS} columns"
        _line(console, f"  too large to print: {limits}")
        return
    _line(console, f"  at standard normal inputs, seed {written.seed}")
    with np.printoptions(precision=3, suppress=True, linewidth=1000, threshold=10**6):
        for line in str(written.entries + 0.0).split("\n"):
            _line(console, f"  {line}")


def _print_costs(console: Console, found: Exploration) -> None:
    _heading(console, "Costs")
    report = found.costs
    if report is None:
        _line(
            console, "  not counted: they are counted on shapes, and the function asks for numbers"
        )
        return
    table = _table("order", "multiplications", "additions", "peak bytes", right=True)
    for name, cost in report.rows:
        table.add_row(name, *_counts(cost))
    console.print(table)
    structured, dense = report.result_bytes, report.dense_bytes
    _line(console, f"stored: {structured:,} bytes structured, {dense:,} dense")
    if found.opaque:
        _line(console, f"without structure (opaque): {', '.join(dict.fromkeys(found.opaque))}")
    _line(console, CONVENTION)


def _counts(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["—"] * 3
    return [f"{n:,}" for n in (cost.multiplications, cost.additions, cost.peak_bytes)]


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


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} ... (cut; --json has all of it)"


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
