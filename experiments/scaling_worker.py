"""One process of a scaling run: it joins the others, measures its part, and tells its parent.

`python -m experiments.scaling_worker JSON`, started by `experiments.scaling_processes`. What it
has to say are lines of JSON on its output; its parent is there as long as its input is open.
"""

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from experiments import scaling_measuring
from experiments.scaling_cases import cases
from layouts.errors import LayoutError

FAILED, REFUSED = 1, 2  # exit statuses: something went wrong, or was asked wrongly


@dataclass(frozen=True)
class Task:
    """What one process does.

    Attributes:
        coordinator: host and port of process 0; None where there is only one process.
        processes: how many there are.
        number: which of them this is, from 0.
        devices: of this process, where they are virtual; on other platforms it has what it has.
        local: whether all are on this machine, with virtual devices.
        modes: of "strong" and "weak", which to measure.
        small: at the small size, each call timed once.
        join_seconds: how long to wait for the others to come.
        heartbeat_seconds: after so long a silence a process counts as lost.
    """

    coordinator: str | None
    processes: int
    number: int
    devices: int
    local: bool
    modes: tuple[str, ...]
    small: bool
    join_seconds: int
    heartbeat_seconds: int

    def join(self) -> None:
        """Meet the other processes; JAX ends this one where they do not come."""
        if self.coordinator is None:
            return
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            self.coordinator,
            self.processes,
            self.number,
            initialization_timeout=self.join_seconds,
            heartbeat_timeout_seconds=self.heartbeat_seconds,
            shutdown_timeout_seconds=self.heartbeat_seconds,
        )


def peak_bytes() -> int:
    """The most memory that this process has had.

    Linux lets a process inherit what `resource.getrusage` tells from the one that started it, so
    that there `/proc` is asked instead.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [s for s in status.read_text().splitlines() if s.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tell(event: str, **data: Any) -> None:
    """A line for the parent; what collectives print themselves stays on lines of its own."""
    print("\n" + json.dumps({"event": event, **data}), flush=True)


def work(task: Task) -> None:
    """Measure everything, then check everything: what a check holds is not the result's memory."""
    task.join()
    mesh = scaling_measuring.line_of_devices()
    local = len(jax.local_devices())
    tell("joined", local=local, devices=mesh.size, platform=jax.default_backend())
    start = peak_bytes()
    prepared = []
    for case in cases(task.small):
        for mode in task.modes:
            one = scaling_measuring.Prepared.of(case, mode, mesh, task.small)
            tell("measured", **one.measured(1 if task.small else 5).record())
            prepared.append(one)
    tell("memory", start=start, peak=peak_bytes())
    for one in prepared:
        tell("checked", case=one.case.name, mode=one.mode, error=one.error())
    if task.processes > 1:
        compare(mesh, task.small)
    tell("done")


def compare(mesh: jax.sharding.Mesh, small: bool) -> None:
    """One device's bytes and time, and what else works over several processes."""
    for case in cases(small):
        memory, seconds = scaling_measuring.alone(case, small)
        tell("alone", case=case.name, memory=memory, seconds=seconds)
    for method, error in scaling_measuring.check_structured(mesh, small).items():
        tell("structured", method=method, error=error)
    tell("streamed", error=scaling_measuring.check_streamed(mesh, small))


def end_with_parent() -> None:
    """Stop when the parent is gone, however it went: then this process's input ends."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # nothing is ever written to it
        os._exit(FAILED)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Do the task of the command line; a failure is one line, and waits for nobody."""
    end_with_parent()
    task = Task(**json.loads(sys.argv[1]))
    try:
        work(task)
    except Exception as error:
        refused = isinstance(error, LayoutError)
        first = (str(error).splitlines() or [""])[0]
        print(first if refused else f"{type(error).__name__}: {first}", file=sys.stderr, flush=True)
        # A regular exit would wait for processes that may be gone.
        os._exit(REFUSED if refused else FAILED)


if __name__ == "__main__":
    main()
