"""One run over several processes: its options, and what is printed of it."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments import harness, scaling_processes
from experiments.harness import progress
from experiments.published import amount
from experiments.scaling_processes import Event, Process, ProcessLost
from experiments.scaling_run import Run
from layouts.errors import LayoutError

TOLERANCE = 1e-12  # of an error relative to the largest entry


def advance(move: Callable[[int], None], number: int, event: Event) -> None:
    """Move a bar for each piece of work; other things that a process tells are none."""
    if event["event"] in ("measured", "checked", "alone"):
        move(number)


def join(asked: Run, console: Console) -> None:
    """Run once over several processes, compare with one device, and print what each process took.

    Raises:
        ProcessLost: one of them was lost; none is left.
    """
    here = asked.processes if asked.here is None else len(asked.here)

    def tell(number: int, event: Event) -> None:
        if event["event"] == "joined":
            told = f"joined: {event['local']} of {event['devices']} {event['platform']} devices"
            sys.stderr.write(f"process {number} {told}\n")  # in one piece: threads take turns
            sys.stderr.flush()
        move(number, event)

    with progress(f"{asked.processes} processes", here * asked.steps) as report:
        move = partial(advance, report)
        processes = scaling_processes.launch(asked, tell)
    console.print(by_case(processes))
    console.print(by_process(processes))
    console.print(Text("* on one machine devices share cores: no measure of speed"))
    worst = max(told["error"] for process in processes for told in process.told("checked"))
    other = max(
        told["error"]
        for process in processes
        for told in process.told("structured") + process.told("streamed")
    )
    if max(worst, other) > TOLERANCE:
        raise ProcessLost(f"the results differ from one device's, by {max(worst, other):.0e}")
    console.print(
        Text("✓ ", style="green")
        + Text(
            f"every part equals one device's answer (relative error {worst:.0e} at most); so do "
            f"jvp, vjp, gram and dense of a structured Jacobian, and streams ({other:.0e})"
        )
    )


def by_case(processes: Sequence[Process]) -> Table:
    """One line for each result: the processes together, and one device."""
    table = _table("result", "whole", "per device", "on one", "sent", "time *", "on one")
    alone = {told["case"]: told for told in processes[0].told("alone")}
    for row in processes[0].told("measured"):
        single = alone.get(row["case"], row)
        slowest = max(
            told["seconds"]
            for process in processes
            for told in process.told("measured")
            if told["case"] == row["case"]
        )
        sizes = (row["whole"], row["memory"], single["memory"], row["sent"])
        times = (slowest, single["seconds"])
        table.add_row(
            row["case"],
            *("?" if size is None else f"{amount(size)}B" for size in sizes),
            *(f"{1e3 * seconds:.2f} ms" for seconds in times),
        )
    return table


def by_process(processes: Sequence[Process]) -> Table:
    """One line for each process: its memory and its time."""
    table = _table("process", "pid", "devices", "RSS at start", "RSS peak", "calls *", "error")
    for process in processes:
        memory, joined = process.told("memory")[0], process.told("joined")[0]
        table.add_row(
            str(process.task.number),
            str(process.child.pid),
            str(joined["local"]),
            f"{amount(memory['start'])}B",
            f"{amount(memory['peak'])}B",
            f"{1e3 * sum(told['seconds'] for told in process.told('measured')):.2f} ms",
            f"{max(told['error'] for told in process.told('checked')):.0e}",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every experiment, and those for processes."""
    options = harness.parser("experiments.scale", description)
    several = options.add_argument_group(
        "one run over several processes, joined by jax.distributed"
    )
    several.add_argument("--processes", type=int, metavar="N", help="how many in all")
    several.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="where process 0 listens; start the script once on each machine, with --process-id",
    )
    several.add_argument("--process-id", type=int, metavar="I", help="which one this is, from 0")
    several.add_argument(
        "--devices",
        type=int,
        default=Run.devices,
        metavar="N",
        help="virtual CPU devices of each process (%(default)s); of other platforms all are used",
    )
    for name, default, what in (
        ("join", Run.join_seconds, "wait so long for all processes to come"),
        ("heartbeat", Run.heartbeat_seconds, "a process that is silent so long is lost"),
        ("limit", int(Run.limit_seconds), "give up after so long in all"),
    ):
        several.add_argument(
            f"--{name}", type=int, default=default, metavar="SECONDS", help=f"{what} (%(default)s)"
        )
    return options


def asked_run(chosen: argparse.Namespace) -> Run:
    """The run over several processes that the command line asks for.

    Raises:
        LayoutError: options that do not go together, or a run that cannot work.
    """
    if chosen.processes is None or (chosen.coordinator is None) != (chosen.process_id is None):
        raise LayoutError(
            "options",
            "--processes alone, or --coordinator, --processes and --process-id together",
            "some of them",
            "on one machine --processes 2 is enough",
        )
    return Run(
        processes=chosen.processes,
        devices=chosen.devices,
        coordinator=chosen.coordinator,
        here=None if chosen.process_id is None else (chosen.process_id,),
        small=chosen.small,
        join_seconds=chosen.join,
        heartbeat_seconds=chosen.heartbeat,
        limit_seconds=chosen.limit,
    )
