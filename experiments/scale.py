"""How do memory per device and communication scale over devices, and over processes?"""

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from experiments import harness, scaling_figure, scaling_processes
from experiments.harness import Claims, Grid, Result, progress
from experiments.published import amount
from experiments.scaling_joint import TOLERANCE, advance, asked_run, join, parser
from experiments.scaling_processes import Process, ProcessLost
from experiments.scaling_run import Run, cores
from experiments.scaling_worker import FAILED, REFUSED
from layouts.errors import LayoutError

MODES = ("strong", "weak")
NEARLY = 0.75  # so that of 8 devices each has at most a sixth


def run(small: bool = False) -> Result:
    """Scale over devices of one process, then over processes of two devices each."""
    runs = [Run(devices=count) for count in ((1, 4) if small else (1, 2, 4, 8))]
    runs += [Run(processes=count) for count in ((2,) if small else (2, 4))]
    runs = [Run(one.processes, one.devices, modes=MODES, small=small) for one in runs]
    claims, rows, peaks = Claims(), [], {}
    with progress("scaling", sum(one.processes * one.steps for one in runs)) as report:
        for one in runs:
            processes = scaling_processes.launch(one, partial(advance, report))
            rows += [{**row, "error": error} for row, error in _measured(processes)]
            peaks[one.processes, one.devices] = _peaks(processes)
    check(claims, rows)
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
                f"time, of {cores()} cores",
            ),
            tuple(cells(rows, case, mode) for case in names(rows) for mode in MODES),
        ),
        data={
            "rows": rows,
            "peak_bytes_per_process": [
                {"processes": p, "devices": d, "bytes": found} for (p, d), found in peaks.items()
            ],
            "cores": cores(),
        },
    )


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


def names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The cases that were measured, in their order."""
    return list(dict.fromkeys(row["case"] for row in rows))


def line(rows: Sequence[dict[str, Any]], case: str, mode: str) -> list[dict[str, Any]]:
    """One case in one process, by the number of devices."""
    found = [r for r in rows if (r["case"], r["mode"], r["processes"]) == (case, mode, 1)]
    return sorted(found, key=lambda row: row["devices"])


def efficiency(rows: Sequence[dict[str, Any]], case: str, mode: str) -> float:
    """The ideal memory of a device over what it takes, on the most devices of one process."""
    first, *_, last = line(rows, case, mode)
    ideal = first["memory"] * (last["whole"] / last["devices"]) / first["whole"]
    return ideal / last["memory"]


def check(claims: Claims, rows: Sequence[dict[str, Any]]) -> None:
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
    for mode in MODES:
        lowest = min((efficiency(rows, case, mode), case) for case in names(rows))
        claims.check(
            f"under {mode} scaling memory per device, intermediates and all, is nearly ideal",
            lowest[0] >= NEARLY,
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
    strong = [line(rows, case, "strong") for case in names(rows)]
    ratios = [found[0]["memory"] / found[-1]["memory"] for found in strong]
    shares = [found[-1]["sent"] / found[-1]["memory"] for found in strong]
    processes = max(row["processes"] for row in rows)
    return (
        f"On {devices} devices each takes {min(ratios):.1f} to {max(ratios):.1f} times less memory "
        f"than one alone, intermediates included, and sends {min(shares):.0%} to "
        f"{max(shares):.0%} of that; {processes} processes agree with one device to "
        f"{max(row['error'] for row in rows):.0e}. All devices share "
        f"{cores()} cores, so this shows memory and communication, not speed."
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The experiment, or one run over several processes; what goes wrong is one line."""
    chosen = parser(__doc__).parse_args(arguments)
    try:
        if (chosen.processes, chosen.coordinator, chosen.process_id) == (None, None, None):
            small = ["--small"] * chosen.small
            harness.main(sys.modules[__name__], ["--out", str(chosen.out), *small])
        else:
            with harness.ending():
                join(asked_run(chosen), Console())
    except (LayoutError, ProcessLost) as error:
        print(f"experiments.scale: {error}", file=sys.stderr)
        return REFUSED if isinstance(error, LayoutError) else FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
