"""Which processes a scaling run has; what cannot work is refused before anything is started."""

import os
import socket
from dataclasses import dataclass

from experiments.scaling_cases import cases
from experiments.scaling_worker import Task
from layouts.errors import LayoutError

LOOPBACK = "127.0.0.1"
PROCESSES_PER_CORE = 4


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
        for case in cases(self.small):
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
                self.coordinator is None,
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
        return len(cases(self.small)) * (2 * len(self.modes) + (self.processes > 1))


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
