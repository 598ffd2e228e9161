"""What every experiment shares: claims, results, the table on screen, the files on disk.

An experiment is a module with a function `run(small) -> Result`. It computes and checks, and draws
nothing. A module may add `draw(result) -> Figure`. Everything else happens here.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.errors import LiveError
from rich.progress import Progress
from rich.table import Table as RichTable
from rich.text import Text

DEFAULT_OUT = "results"
INTERRUPTED = 130  # the exit status that shells give for Ctrl-C
WIDTH = 160  # of a line that no terminal limits: the benchmark's table has eleven columns


class ClaimFailed(AssertionError):
    """A claim of an experiment that its own measurement does not bear out."""


@dataclass(frozen=True)
class Claim:
    """One sentence, and the measured figure that bears it out."""

    text: str
    measured: str


@dataclass
class Claims:
    """The claims of one experiment, in the order in which they were checked."""

    made: list[Claim] = field(default_factory=list)

    def check(self, text: str, holds: bool | np.bool, measured: str) -> None:
        """Record a claim with its figure.

        Args:
            text: The claim, as one sentence.
            holds: Whether the measurement bears it out.
            measured: The figure that was measured, in words.

        Raises:
            ClaimFailed: If it does not hold.

        Example:
            >>> claims = Claims()
            >>> claims.check("two and two make four", 2 + 2 == 4, "2 + 2 = 4")
            >>> claims.made[0].measured
            '2 + 2 = 4'
        """
        if not holds:
            raise ClaimFailed(f"{text}: measured {measured}")
        self.made.append(Claim(text, measured))

    def equal(self, text: str, got: Any, expected: Any, tolerance: float = 1e-12) -> None:
        """Record the claim that two arrays have the same shape and the same entries.

        The figure is the largest difference over the largest expected entry.
        """
        got, expected = np.asarray(got), np.asarray(expected)
        if got.shape != expected.shape:
            raise ClaimFailed(f"{text}: measured shape {got.shape}, expected {expected.shape}")
        error = relative_error(got, expected)
        self.check(
            text, error <= tolerance, f"relative error {error:.0e}" if error else "no difference"
        )


def relative_error(got: Any, expected: Any) -> float:
    """The largest absolute difference of two arrays, over the largest entry of the second."""
    got, expected = np.asarray(got), np.asarray(expected)
    return float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))


@dataclass(frozen=True)
class Grid:
    """A small table of text: the same one on screen and in the report."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a row that does not fit the columns."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} does not fit the columns {self.columns}")


@dataclass(frozen=True)
class Result:
    """What an experiment found: the finding in one sentence, and all that backs it."""

    question: str
    finding: str
    claims: tuple[Claim, ...]
    grid: Grid
    data: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """One experiment that ran: its result, how long it took, where its picture is."""

    name: str
    result: Result
    seconds: float
    picture: Path | None


def environment() -> dict[str, str]:
    """The versions that a figure depends on."""
    versions = {package: metadata.version(package) for package in ("jax", "jaxlib", "numpy")}
    return {"python": platform.python_version(), **versions, "device": jax.default_backend()}


def full_name(module: ModuleType) -> str:
    """What `python -m` calls a module, also where it runs as `__main__`."""
    return module.__spec__.name if module.__spec__ else module.__name__


def perform(module: ModuleType, out: Path, small: bool) -> Report:
    """Run one experiment and save its data, and its picture where it has one, under `out`."""
    name = full_name(module).rpartition(".")[2]
    start = time.perf_counter()
    result: Result = module.run(small)
    out.mkdir(parents=True, exist_ok=True)
    picture = None
    if draw := getattr(module, "draw", None):
        picture = out / f"{name}.png"
        save_figure(draw(result), picture)
    record = {"experiment": name, "small": small, "environment": environment(), **asdict(result)}
    (out / f"{name}.json").write_text(json.dumps(record, indent=1, default=plain) + "\n")
    return Report(name, result, time.perf_counter() - start, picture)


def plain(value: Any) -> Any:
    """A NumPy or JAX value as JSON knows it."""
    return np.asarray(value).tolist()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure at the width of a README page."""
    figure.savefig(path, dpi=130, facecolor="white")


def console_of_results() -> Console:
    """As wide as the terminal; in a file or a pipe, which have no width, as tables need."""
    limited = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if limited else WIDTH)


def show(report: Report, console: Console) -> None:
    """Print an experiment's question, table, claims and finding."""
    result = report.result
    console.print()
    console.print(Text(report.name, style="bold"), Text(result.question, style="italic"))
    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for column in result.grid.columns:
        table.add_column(Text(column), overflow="fold")
    for row in result.grid.rows:
        table.add_row(*map(Text, row))
    console.print(table)
    for claim in result.claims:
        console.print(Text("✓ ", style="green") + Text(f"{claim.text} ({claim.measured})"))
    console.print(Text("Finding: ", style="bold") + Text(result.finding))


def folder(text: str) -> Path:
    """A folder that results can be written to, there or to be made: known before the work."""
    path = Path(text)
    there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise argparse.ArgumentTypeError(f"expected a folder to write to, got {text}")
    return path


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options that every experiment takes, under the name of its module."""
    options = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    options.add_argument("--small", action="store_true", help="a small size, for a quick look")
    options.add_argument(
        "--out",
        type=folder,
        default=DEFAULT_OUT,
        metavar="DIR",
        help="where results go (%(default)s)",
    )
    return options


@contextmanager
def ending() -> Iterator[None]:
    """A claim that fails, or Ctrl-C, ends the program with one line and an exit status."""
    try:
        yield
    except ClaimFailed as error:
        sys.exit(f"claim failed: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def main(module: ModuleType, arguments: Sequence[str] | None = None) -> None:
    """The command line of one experiment."""
    options = parser(full_name(module), module.__doc__).parse_args(arguments)
    console = console_of_results()
    with ending():
        report = perform(module, options.out, options.small)
    show(report, console)
    saved = f"{options.out / report.name}.json" + (
        f" and {report.picture}" if report.picture else ""
    )
    console.print(Text(f"Saved {saved}, after {report.seconds:.1f} s."), soft_wrap=True)


def interleaved_seconds(
    functions: Mapping[str, Callable[[], Any]], repeats: int, inner: int = 1
) -> dict[str, float]:
    """The median time of each call, measured in turns so that drift hits all alike.

    Args:
        functions: Calls without arguments that return JAX arrays; each is warmed by two calls.
        repeats: How many turns.
        inner: How many calls one measurement spans.

    Returns:
        Seconds per call, by name.
    """
    for function in functions.values():
        jax.block_until_ready(function())
        jax.block_until_ready(function())
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    turns, shuffle = list(functions.items()), random.Random(0).shuffle
    for _ in range(repeats):
        shuffle(turns)  # so that none always follows the same neighbour
        for name, function in turns:
            jax.block_until_ready(function())  # what ran before it has filled the caches
            start = time.perf_counter()
            for _ in range(inner):
                jax.block_until_ready(function())
            seconds[name].append((time.perf_counter() - start) / inner)
    return {name: statistics.median(times) for name, times in seconds.items()}


@contextmanager
def progress(name: str, steps: int) -> Iterator[Callable[[Any], None]]:
    """A bar on a terminal that shows no other; yields what to call after each step."""
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(name, total=steps)
    try:
        bar.start()
    except LiveError:  # all experiments together have a bar of their own
        bar.disable = True
    try:
        yield lambda _: bar.advance(task)
    finally:
        bar.stop()
