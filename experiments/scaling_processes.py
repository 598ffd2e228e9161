"""Start the processes of a scaling run, watch them, and leave none behind.

If one is lost, the others are stopped and an error says which it was and what it said last. They
are children of this process, on a cluster too: there each machine starts the one that is its own.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.scaling_cases import CASES
from experiments.scaling_worker import REFUSED, Task
from layouts.errors import LayoutError

Event = dict[str, Any]
Progress = Callable[[int, Event], None]

LOOPBACK = "127.0.0.1"
WATCH_SECONDS = 0.05
PROCESSES_PER_CORE = 4


class ProcessLost(RuntimeError):
    """A process of the run ended before its work was done."""


@dataclass(frozen=True)
class Run:
    """Processes that work on one mesh.

    Attributes:
        processes: how many, here and elsewhere.
        devices: virtual CPU devices of each.
        coordinator: host and port of process 0; None to take a free port of this machine.
        here: the numbers of those that are started here; None for all.
        modes: of "strong" and "weak", which to measure.
        small: at the small size.
        join_seconds: how long they wait for each other at the start.
        heartbeat_seconds: after so long a silence a process counts as lost.
        limit_seconds: for everything; whatever is not done then is stopped.
    """

    processes: int = 1
    devices: int = 2
    coordinator: str | None = None
    here: tuple[int, ...] | None = None
    modes: tuple[str, ...] = ("strong",)
    small: bool = False
    join_seconds: int = 60
    heartbeat_seconds: int = 20
    limit_seconds: float = 900.0

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is started."""
        self._check_counts()
        if self.coordinator is not None:
            self._check_coordinator(self.coordinator)
        for case in CASES:
            case.extent("strong", self.processes * self.devices)

    def _check_counts(self) -> None:
        for name in ("processes", "devices", "join_seconds", "heartbeat_seconds", "limit_seconds"):
            if getattr(self, name) < 1:
                option = f"--{name.removesuffix('_seconds')}"
                raise LayoutError(option, "at least 1", f"{getattr(self, name)}", "give more")
        numbers = range(self.processes)
        if self.here is not None and not set(self.here) <= set(numbers):
            raise LayoutError(
                "--process-id",
                f"a number from 0 to {self.processes - 1}, one for each of --processes",
                ", ".join(map(str, self.here)),
                "number the processes from 0",
            )
        most = PROCESSES_PER_CORE * cores()
        if self.here is None and self.processes > most:
            raise LayoutError(
                "--processes",
                f"at most {most} on this machine, {PROCESSES_PER_CORE} for each of its cores",
                f"{self.processes}",
                "start fewer, or spread them over machines with --coordinator and --process-id",
            )

    def _check_coordinator(self, coordinator: str) -> None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise LayoutError(
                "--coordinator", "HOST:PORT", repr(coordinator), "write 10.0.0.1:12345"
            )
        if self.here is None or 0 in self.here:
            _check_free(int(port))

    def tasks(self) -> list[Task]:
        """What each process that is started here does."""
        coordinator = self.coordinator
        if coordinator is None and self.processes > 1:
            coordinator = f"{LOOPBACK}:{free_port()}"
        return [
            Task(
                coordinator,
                self.processes,
                number,
                self.devices,
                self.modes,
                self.small,
                self.join_seconds,
                self.heartbeat_seconds,
            )
            for number in (range(self.processes) if self.here is None else self.here)
        ]

    @property
    def steps(self) -> int:
        """How many events of work a process tells, for a progress bar."""
        return 2 * len(self.modes) * len(CASES) + (len(CASES) if self.processes > 1 else 0)


@dataclass
class Process:
    """One child: what it has told, and how it ended.

    Attributes:
        task: what it does.
        child: the process itself.
        words: where it writes what is wrong.
        events: what it has told.
    """

    task: Task
    child: subprocess.Popen
    words: Any
    events: list[Event] = field(default_factory=list)

    @classmethod
    def start(cls, task: Task, progress: Progress) -> "Process":
        """Start it, and read what it tells as it comes."""
        words = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process is
        environment = dict(os.environ)
        flags = f"--xla_force_host_platform_device_count={task.devices}"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flags}".strip()
        child = subprocess.Popen(
            [sys.executable, "-m", "experiments.scaling_worker", json.dumps(asdict(task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        )
        process = cls(task, child, words)
        threading.Thread(target=process._listen, args=(progress,), daemon=True).start()
        return process

    def _listen(self, progress: Progress) -> None:
        for line in self.child.stdout or ():
            if line.startswith(b'{"event"'):
                self.events.append(json.loads(line))
                progress(self.task.number, self.events[-1])

    def told(self, event: str) -> list[Event]:
        """What it told of one kind."""
        return [found for found in self.events if found["event"] == event]

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.child.poll() is not None

    @property
    def failed(self) -> bool:
        """Whether it is over before its time."""
        return self.ended and self.child.returncode != 0

    @property
    def was_killed(self) -> bool:
        """Whether somebody else ended it: JAX aborts a process that has lost the others."""
        return self.child.returncode < 0 and -self.child.returncode != signal.SIGABRT

    def last_words(self) -> str:
        """What it said last, in one line."""
        self.words.seek(0)
        return last_words(self.words.read().decode(errors="replace"))

    def stop(self) -> None:
        """End it, if it has not ended, and let go of what it had."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.words):
            if stream is not None:
                stream.close()


def launch(run: Run, progress: Progress | None = None) -> list[Process]:
    """Run all processes that are to be here to their end.

    Args:
        run: what to start.
        progress: called with a process's number and what it tells, from other threads.

    Returns:
        The processes, ended, with all that they told.

    Raises:
        ProcessLost: one of them failed, was killed, or was not done in time; none is left.
        LayoutError: what one of them refused.
    """
    deadline = time.monotonic() + run.limit_seconds
    processes: list[Process] = []
    try:
        for task in run.tasks():
            processes.append(Process.start(task, progress or (lambda number, event: None)))
        while not all(process.ended for process in processes):
            if any(process.failed for process in processes):
                break
            if time.monotonic() > deadline:
                raise ProcessLost(
                    f"not done after {run.limit_seconds:.0f} s: {_where(processes)}; all stopped"
                )
            time.sleep(WATCH_SECONDS)
        _raise_if_lost(run, processes)
        return processes
    finally:
        for process in processes:
            process.stop()


def _raise_if_lost(run: Run, processes: Sequence[Process]) -> None:
    """Say which process failed first: a killed one before those that failed for want of it."""
    if not any(process.failed for process in processes):
        return
    time.sleep(2 * WATCH_SECONDS)  # for the one whose loss the first one noticed
    failed = [process for process in processes if process.failed]
    lost = min(failed, key=lambda process: (not process.was_killed, process.task.number))
    words = lost.last_words()
    if lost.child.returncode == REFUSED:
        raise ProcessLost(words)
    raise ProcessLost(
        f"process {lost.task.number} of {run.processes} {_how(run, lost)}"
        f"{'; its last words: ' + words if words else ''}"
        f"{'; the others were stopped' if len(processes) > 1 else ''}"
    )


def _how(run: Run, lost: Process) -> str:
    """How a process came to its end."""
    status = lost.child.returncode
    if lost.was_killed:
        return f"was killed by {signal.Signals(-status).name} {_after(lost)}"
    if run.processes > 1 and not lost.told("joined"):
        return (
            f"did not meet the others at {lost.task.coordinator} within {run.join_seconds} s: are "
            "all of them started, with the same --coordinator and --processes?"
        )
    how = f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"failed {_after(lost)} ({how})"


def _after(process: Process) -> str:
    """What a process did last."""
    if not process.events:
        return "before it had joined"
    last = process.events[-1]
    return f"after {last['event']!r}" + (f" of {last['case']!r}" if "case" in last else "")


def _where(processes: Sequence[Process]) -> str:
    return ", ".join(f"process {p.task.number} {_after(p)}" for p in processes if not p.ended)


def last_words(text: str) -> str:
    """The line of an error output that says most.

    Example:
        >>> last_words("Traceback ...\\nValueError: no\\n")
        'ValueError: no'
        >>> last_words("F11 client.h:80] absl::Status: UNAVAILABLE: lost:\\n1\\n   @ 0x")
        'UNAVAILABLE: lost: 1'
    """
    if status := re.findall(r"absl::Status: (.*(?:\n\d+)*)", text):
        return " ".join(status[-1].split())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise LayoutError(
                "--coordinator",
                "a port that process 0 can listen on",
                f"{port}: {error.strerror}",
                "choose another port, the same for all processes",
            ) from None
