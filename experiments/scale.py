"""How do memory per device and communication scale over devices, and over processes?"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments import harness, scaling_figure, scaling_processes
from experiments.harness import Claims, Grid, Result
from experiments.published import amount
from experiments.scaling_cases import CASES
from experiments.scaling_processes import Event, Process, ProcessLost, Run
from experiments.scaling_worker import FAILED, REFUSED
from experiments.tangent import progress
from layouts.errors import LayoutError

MODES = ("strong", "weak")
TOLERANCE = 1e-12
INTERRUPTED = 130  # the exit status that shells give for Ctrl-C


def run(small: bool = False) -> Result:
    """Scale over devices of one process, then over processes of two devices each."""
    runs = [Run(devices=count) for count in ((1, 4) if small else (1, 2, 4, 8))]
    runs += [Run(processes=count) for count in ((2,) if small else (2, 4))]
    runs = [Run(one.processes, one.devices, modes=MODES, small=small) for one in runs]
    claims, rows, peaks = Claims(), [], {}
    with progress("scaling", sum(one.processes * one.steps for one in runs)) as report:
        for one in runs:
            processes = scaling_processes.launch(one, partial(_advance, report))
            rows += [{**row, "error": error} for row, error in _measured(processes)]
            peaks[one.processes, one.devices] = _peaks(processes)
    check(claims, rows, small)
    devices = max(row["devices"] for row in rows)
    return Result(
        question=str(__doc__),
        finding=finding(rows, devices),
        claims=tuple(claims.made),
        grid=Grid(
            (
                "result, split by rows",
                "scaling",
                f"bytes per device, on {listed(_counts(rows))}",
                "of ideal",
                f"sent, on {devices}",
                "time *",
            ),
            tuple(cells(rows, case.name, mode) for case in CASES for mode in MODES),
        ),
        data={
            "rows": rows,
            "peak_bytes_per_process": [
                {"processes": p, "devices": d, "bytes": found} for (p, d), found in peaks.items()
            ],
            "cores": scaling_processes.cores(),
        },
    )


def _advance(report: Any, number: int, event: Event) -> None:
    """Move a bar for each piece of work; other things that a process tells are none."""
    if event["event"] in ("measured", "checked", "alone"):
        report(number)


def _measured(processes: Sequence[Process]) -> Iterable[tuple[dict[str, Any], float]]:
    """What the first process measured, each with the largest error of all processes."""
    for row in processes[0].told("measured"):
        key = row["case"], row["mode"]
        yield (
            {name: value for name, value in row.items() if name != "event"},
            max(
                told["error"]
                for process in processes
                for told in process.told("checked")
                if (told["case"], told["mode"]) == key
            ),
        )


def _peaks(processes: Sequence[Process]) -> list[int]:
    """The most memory that each process had, checks left out."""
    return [process.told("memory")[0]["peak"] for process in processes]


def line(rows: Sequence[dict[str, Any]], case: str, mode: str) -> list[dict[str, Any]]:
    """One case in one process, by the number of devices."""
    found = [r for r in rows if (r["case"], r["mode"], r["processes"]) == (case, mode, 1)]
    return sorted(found, key=lambda row: row["devices"])


def efficiency(rows: Sequence[dict[str, Any]], case: str, mode: str) -> float:
    """The ideal memory of a device over what it takes, on the most devices of one process."""
    first, *_, last = line(rows, case, mode)
    ideal = first["memory"] * (last["whole"] / last["devices"]) / first["whole"]
    return ideal / last["memory"]


def check(claims: Claims, rows: Sequence[dict[str, Any]], small: bool) -> None:
    """Right values, no device with the whole, and the same over processes."""
    worst = max(row["error"] for row in rows)
    claims.check(
        "what each device has is its part of JAX's answer on one device",
        worst <= TOLERANCE,
        f"relative error {worst:.0e} at most, in {len(rows)} programs",
    )
    claims.check(
        "a device holds its rows of the result and no more",
        all(row["shard"] * row["devices"] == row["whole"] for row in rows),
        "1/p of the bytes on p devices, exactly",
    )
    for mode, least in (("strong", 0.6 if small else 0.75), ("weak", 0.75)):
        lowest = min((efficiency(rows, case.name, mode), case.name) for case in CASES)
        claims.check(
            f"under {mode} scaling memory per device, intermediates and all, is nearly ideal",
            lowest[0] >= least,
            f"{lowest[0]:.0%} of ideal or better on {_counts(rows)[-1]} devices; the least is "
            f"{lowest[1]}",
        )
    gap = max(abs(ratio - 1) for ratio in over_processes(rows, "memory"))
    sent = max(abs(ratio - 1) for ratio in over_processes(rows, "sent"))
    claims.check(
        "over processes a device holds and sends what it does in one process",
        max(gap, sent) <= 0.01,
        f"memory within {gap:.1%} and bytes sent within {sent:.1%}",
    )


def over_processes(rows: Sequence[dict[str, Any]], what: str) -> list[float]:
    """A figure of each program over several processes, relative to that in one."""
    alone = {(r["case"], r["mode"], r["devices"]): r for r in rows if r["processes"] == 1}
    several = [row for row in rows if row["processes"] > 1]
    pairs = [(row[what], alone[row["case"], row["mode"], row["devices"]][what]) for row in several]
    return [(found + 1) / (expected + 1) for found, expected in pairs]


def finding(rows: Sequence[dict[str, Any]], devices: int) -> str:
    """The claim that two cores allow, in figures that were measured."""
    strong = [line(rows, case.name, "strong") for case in CASES]
    ratios = [found[0]["memory"] / found[-1]["memory"] for found in strong]
    shares = [found[-1]["sent"] / found[-1]["memory"] for found in strong]
    processes = max(row["processes"] for row in rows)
    return (
        f"On {devices} devices each takes {min(ratios):.1f} to {max(ratios):.1f} times less memory "
        f"than one alone, intermediates included, and sends {min(shares):.0%} to "
        f"{max(shares):.0%} of that; {processes} processes agree with one device to "
        f"{max(row['error'] for row in rows):.0e}. All devices share "
        f"{scaling_processes.cores()} cores, so this shows memory and communication, not speed."
    )


def cells(rows: Sequence[dict[str, Any]], case: str, mode: str) -> tuple[str, ...]:
    """A row of the table."""
    found = line(rows, case, mode)
    return (
        case,
        mode,
        ", ".join(f"{amount(row['memory'])}B" for row in found),
        f"{efficiency(rows, case, mode):.0%}",
        f"{amount(found[-1]['sent'])}B",
        f"{found[-1]['seconds'] / found[0]['seconds']:.2g}×",
    )


def _counts(rows: Sequence[dict[str, Any]]) -> list[int]:
    return sorted({row["devices"] for row in rows if row["processes"] == 1})


def listed(numbers: Sequence[int]) -> str:
    """Numbers in a sentence."""
    return ", ".join(map(str, numbers))


def draw(result: Result) -> Figure:
    """Memory, bytes sent and time, by the number of devices, with ideal lines."""
    return scaling_figure.draw(result.data["rows"], result.data["cores"])


def join(asked: Run, console: Console) -> None:
    """Run once over several processes, compare with one device, and print what each process took.

    Raises:
        ProcessLost: one of them was lost; none is left.
    """
    here = asked.processes if asked.here is None else len(asked.here)

    def tell(number: int, event: Event) -> None:
        if event["event"] == "joined":
            told = f"joined: {event['local']} of {event['devices']} {event['platform']} devices"
            print(f"process {number} {told}", file=sys.stderr, flush=True)
        advance(number, event)

    with progress(f"{asked.processes} processes", here * asked.steps) as report:
        advance = partial(_advance, report)
        processes = scaling_processes.launch(asked, tell)
    console.print(by_case(processes))
    console.print(by_process(processes))
    console.print(Text("* of virtual devices that share cores: no measure of speed"))
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
    table = _table("result", "whole", "per device", "alone", "sent", "time *", "alone")
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
            *(f"{amount(size)}B" for size in sizes),
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


def parser() -> argparse.ArgumentParser:
    """The options of every experiment, and those for processes."""
    options = harness.parser(__doc__)
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
        help="virtual CPU devices of each process (%(default)s); other platforms use what they have",
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The experiment, or one run over several processes; what goes wrong is one line."""
    chosen = parser().parse_args(arguments)
    try:
        if (chosen.processes, chosen.coordinator, chosen.process_id) == (None, None, None):
            small = ["--small"] * chosen.small
            harness.main(sys.modules[__name__], ["--out", str(chosen.out), *small])
        else:
            join(asked_run(chosen), Console())
    except (LayoutError, ProcessLost) as error:
        print(f"experiments.scale: {error}", file=sys.stderr)
        return REFUSED if isinstance(error, LayoutError) else FAILED
    except KeyboardInterrupt:
        print("experiments.scale: interrupted; all processes stopped", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
