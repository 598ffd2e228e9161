"""A worker process that is ready at once: a copy of this one, which has imported JAX already.

Only a process in which JAX has not been used yet can be copied: its threads would be missing. So
the first worker is copied before anything else is done; those that follow it are started afresh.
"""

import asyncio
import multiprocessing
import os
import socket
import sys
import warnings
from multiprocessing.context import ForkProcess

import jax

from layouts.explorer import computing

# A page's small Jacobians are no reason to take hold of an accelerator.
PLATFORMS = os.environ.get("JAX_PLATFORMS", "cpu")


class Forked:
    """A copied process, as `asyncio.subprocess` has those that are started.

    Args:
        process: the copy.
        line: its standard input and output.

    Attributes:
        pid: of the process.
        stdin: what it reads; connected by `connect`.
        stdout: what it writes.
    """

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def __init__(self, process: ForkProcess, line: socket.socket):
        self._process, self._line = process, line
        self.pid: int = process.pid or 0

    async def connect(self) -> "Forked":
        """Have its streams on the running loop."""
        self.stdout, self.stdin = await asyncio.open_unix_connection(sock=self._line)
        return self

    def kill(self) -> None:
        """Stop it."""
        self._process.kill()

    async def wait(self) -> None:
        """Return once it has ended."""
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        watched = os.dup(self._process.sentinel)  # each that waits has its own to watch
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
        self._process.join()

    def close(self) -> None:
        """End one that was never connected."""
        self.kill()
        self._line.close()
        self._process.join()


def forked(setup: computing.Setup) -> Forked | None:
    """A copy of this process that answers as `computing` says.

    Args:
        setup: what it is told at once, so that it imports the user's modules by itself.

    Returns:
        None where processes cannot be copied, or this one is not fit for it.
    """
    if sys.platform != "linux":  # elsewhere the system's own libraries forbid it
        return None
    here, there = socket.socketpair()
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(here, there), daemon=True
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        process.start()
    there.close()
    found = Forked(process, here)
    # Python warns of the threads that NumPy has, which outlive this; JAX warns of its own.
    if any(issubclass(one.category, RuntimeWarning) for one in said):
        found.close()
        return None
    here.sendall(computing.frame(setup.encoded()))
    return found


def _run(here: socket.socket, there: socket.socket) -> None:
    """The copy."""
    multiprocessing.current_process().daemon = False  # a function may start processes of its own
    os.setsid()  # so that Ctrl-C is the server's alone
    here.close()  # its end is how the copy learns of the server's
    for stream in (0, 1):
        os.dup2(there.fileno(), stream)
    there.close()
    jax.config.update("jax_platforms", PLATFORMS)
    computing.main()
