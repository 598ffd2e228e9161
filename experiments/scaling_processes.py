"""Start the processes of a scaling run, watch them, and leave none behind.

If one is lost, the others are stopped and an error says which it was and what it said last. They
are children of this process, on a cluster too: there each machine starts the one that is its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.scaling_run import Run
from experiments.scaling_worker import REFUSED, Task

Event = dict[str, Any]
Progress = Callable[[int, Event], None]

WATCH_SECONDS = 0.05
JAX_ABORTS = "Terminating process because the JAX distributed service"


class ProcessLost(RuntimeError):
    """A process of the run ended before its work was done."""


@dataclass
class Process:
    """One child: what it has told, and how it ended.

    Attributes:
        task: what it does.
        child: the process itself.
        words: where it writes what is wrong.
        events: what it has told.
        listener: the thread that reads that.
    """

    task: Task
    child: subprocess.Popen
    words: Any
    events: list[Event] = field(default_factory=list)
    listener: threading.Thread | None = None

    @classmethod
    def start(cls, task: Task, progress: Progress) -> "Process":
        """Start it, and read what it tells as it comes."""
        words = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process is
        environment = dict(os.environ)
        flags = f"--xla_force_host_platform_device_count={task.devices}"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flags}".strip()
        if task.local:
            environment["JAX_PLATFORMS"] = "cpu"
        child = subprocess.Popen(
            [sys.executable, "-m", "experiments.scaling_worker", json.dumps(asdict(task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        )
        process = cls(task, child, words)
        process.listener = threading.Thread(target=process._listen, args=(progress,), daemon=True)
        process.listener.start()
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
    def aborts(self) -> bool:
        """Whether JAX ends it because it has lost the others, which takes it a while."""
        return JAX_ABORTS in self.said()

    @property
    def failed(self) -> bool:
        """Whether it is over before its time, or about to be."""
        return self.child.returncode != 0 if self.ended else self.aborts

    @property
    def was_killed(self) -> bool:
        """Whether somebody else ended it."""
        return self.ended and self.child.returncode < 0 and not self.aborts

    def said(self) -> str:
        """Its error output so far; the place where it goes on writing is left alone."""
        size = os.fstat(self.words.fileno()).st_size
        return os.pread(self.words.fileno(), size, 0).decode(errors="replace")

    def stop(self) -> None:
        """End it, if it has not ended, and let go of what it had."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        if self.listener is not None:
            self.listener.join()  # all that it has told is there
        for stream in (self.child.stdin, self.child.stdout, self.words):
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
        ProcessLost: one of them failed, refused, was killed, or was not done in time; none is
            left.
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
    words = last_words(lost.said())
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
    if lost.aborts and not lost.told("joined"):
        return (
            f"did not meet the others at {lost.task.coordinator} within {run.join_seconds} s "
            "(start them all with the same --coordinator and --processes)"
        )
    if lost.aborts:
        return f"lost the others {_after(lost)}"
    return f"failed {_after(lost)} (exit status {status})"


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
