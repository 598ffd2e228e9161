"""Run every experiment, then print one summary table and write the HTML report."""

import importlib
import sys
import time
from argparse import Namespace
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from experiments import harness, report, timing

# In the order of the story. Each is a module with `run(small) -> Result`, and perhaps `draw`.
EXPERIMENTS = (
    "transpose_not_inverse",
    "matmul_gradient",
    "gradient_form",
    "doctor",
    "multiplication_order",
    "layout_table",
    "digits",
    "tangent",
    "published",
    "scale",
    "benchmark",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them all. The exit status is 1 if a claim failed."""
    options = harness.parser("experiments", __doc__)
    options.add_argument(
        "--only",
        nargs="+",
        choices=EXPERIMENTS,
        default=EXPERIMENTS,
        metavar="NAME",
        help=f"these alone, of {', '.join(EXPERIMENTS)}",
    )
    chosen = options.parse_args(arguments)
    console, start = harness.console_of_results(), time.perf_counter()
    if not chosen.small:
        timing.keep_memory()  # works from the first computation on
    with harness.ending():
        reports, failures = run_all(chosen.only, chosen, console)
    console.print()
    console.print(summary(reports, failures))
    chosen.out.mkdir(parents=True, exist_ok=True)
    page = chosen.out / "report.html"
    page.write_text(report.page(reports, failures), encoding="utf-8")
    seconds = time.perf_counter() - start
    console.print(Text(f"Report: {page}   ({seconds:.0f} s)"), soft_wrap=True)
    return 1 if failures else 0


def run_all(
    names: Sequence[str], chosen: Namespace, console: Console
) -> tuple[list[harness.Report], dict[str, str]]:
    """Run the named experiments in turn, with a progress display. A failure stops only its own."""
    reports, failures = [], {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:
            progress.update(task, description=name)
            try:
                module = importlib.import_module(f"experiments.{name}")
                done = harness.perform(module, chosen.out, chosen.small)
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"
                console.print(Text(f"✗ {name}: {failures[name]}", style="red"))
            else:
                reports.append(done)
                console.print(Text("✓ ", style="green") + Text(done.result.question))
            progress.advance(task)
    return reports, failures


def summary(reports: Sequence[harness.Report], failures: dict[str, str]) -> Table:
    """One line per experiment: how many claims held, how long it took, what was found."""
    table = Table(title="Findings", title_justify="left", show_lines=True)
    for heading in ("experiment", "claims", "seconds", "finding"):
        table.add_column(heading, justify="right" if heading in ("claims", "seconds") else "left")
    for done in reports:
        count = f"{len(done.result.claims)} ✓"
        table.add_row(done.name, count, f"{done.seconds:.1f}", Text(done.result.finding))
    for name, message in failures.items():
        table.add_row(name, "✗", "", Text(message, style="red"))
    return table


if __name__ == "__main__":
    sys.exit(main())
