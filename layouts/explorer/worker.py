"""The server's side of the worker process: one request at a time, each with a time limit.

Whatever runs too long or brings its process down is stopped, answered by an error, and followed by
a new process, so that the server stays up whatever is asked.
"""

import asyncio
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from layouts.explorer.computing import Setup, frame
from layouts.explorer.forking import PLATFORMS, Forked
from layouts.explorer.refusals import Refused, refusal

COMMAND = (sys.executable, "-P", "-m", "layouts.explorer.computing")
# Requests that wait for their turn; more are refused.
MOST_WAITING = 16
# Seconds for a process to start: JAX is imported, the user's modules too.
START_LIMIT = 120.0
# Seconds for what nobody waits for any more.
UNWANTED_LIMIT = 2.0

Process = asyncio.subprocess.Process | Forked
Reply = tuple[int, bytes]


@dataclass(eq=False)
class _Job:
    """A request, and those who wait for its answer."""

    key: str
    name: str
    body: dict
    reply: asyncio.Future[Reply]
    started: bool = False
    waiting: int = 0
    unwanted: asyncio.Event = field(default_factory=asyncio.Event)


class Worker:
    """A process that computes, and the queue before it.

    Args:
        setup: what the process is told.
        command: what runs the process.
        first: the first process, which has been told the setup; None to start that one too.

    Attributes:
        ahead: asks for something after each start, so that what answers need is compiled; says
            whether that went well, and is left alone for ever if it did not.
        process: the one that computes; None while there is none.
    """

    def __init__(
        self, setup: Setup, command: tuple[str, ...] = COMMAND, first: Forked | None = None
    ):
        self.setup, self.command, self.first = setup, command, first
        self.ahead: Callable[[], Awaitable[bool]] | None = None
        self.process: Process | None = None
        self._ending: asyncio.Future[None] | None = None  # of the last process
        self._jobs: dict[str, _Job] = {}  # the first of them is next
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task] = set()

    def open(self) -> None:
        """Start; returns at once."""
        self._begin(self._serve())

    async def close(self) -> None:
        """Stop the process and refuse what waits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop()
        self._settle_all(503, "the server is being stopped")

    async def ask(self, name: str, body: dict) -> Reply:
        """Have a request answered; equal ones are answered together.

        Args:
            name: of an entry of the table of answers.
            body: what it takes.

        Returns:
            The status and the body in JSON: 200; 422 for a user's mistake; 500 for a fault of
            the explorer; 503 where the process broke down; 504 where it took too long.

        Raises:
            Refused: with status 503, where too many wait already.
        """
        key = json.dumps([name, body], sort_keys=True)
        job = self._jobs.get(key)
        if job is None:
            if len(self._jobs) > MOST_WAITING:
                raise Refused(503, "too many requests wait already: try again in a moment")
            job = _Job(key, name, body, asyncio.get_running_loop().create_future())
            self._jobs[key] = job
            self._arrived.set()
        job.waiting += 1
        job.unwanted.clear()
        try:
            return await asyncio.shield(job.reply)
        finally:
            job.waiting -= 1
            if not job.waiting:
                job.unwanted.set()
                if not job.started:
                    self._jobs.pop(key, None)

    async def _serve(self) -> None:
        """The one task that talks to the process, one process after the other."""
        fit = True
        while True:
            if not fit:  # one that answered nothing is not started again unasked
                await self._first()
            try:
                fit = await self._life()
            except Exception:  # a fault of this module must not leave anybody waiting
                traceback.print_exc()
                fit = False
                self._settle_all(500, "the explorer failed; its terminal has the details")
            await self._stop()

    async def _life(self) -> bool:
        """One process from its start to its end; whether it answered anything."""
        failure = await self._start()
        if failure is not None:
            await self._first()
            self._settle_all(*failure)
            return False
        if self.ahead is not None:
            self._begin(self._warm(self.ahead))
        return await self._work()

    async def _warm(self, ahead: Callable[[], Awaitable[bool]]) -> None:
        with contextlib.suppress(Refused):  # others wait already, who warm it as well
            if not await ahead():
                self.ahead = None

    async def _first(self) -> _Job:
        """The next request, once there is one."""
        while not self._jobs:
            self._arrived.clear()
            await self._arrived.wait()
        return next(iter(self._jobs.values()))

    async def _work(self) -> bool:
        """Answer until the process ends; whether it answered anything."""
        assert self.process is not None
        answered = False
        end = asyncio.ensure_future(self.process.wait())
        try:
            while True:
                request = asyncio.ensure_future(self._first())
                await asyncio.wait({end, request}, return_when=asyncio.FIRST_COMPLETED)
                if end.done():
                    request.cancel()
                    return answered
                if not await self._answer(request.result()):
                    return answered
                answered = True
        finally:
            end.cancel()

    async def _start(self) -> tuple[int, str] | None:
        """Start a process; what stood in the way, if anything did."""
        try:
            async with asyncio.timeout(START_LIMIT):
                if self.first is not None:
                    self.process = await self.first.connect()
                    self.first = None
                else:
                    self.process = await self._spawned()
                    await self._send(self.setup.encoded())
                _, status, body = await self._receive()
        except TimeoutError:
            return 503, f"no process to compute in was ready after {START_LIMIT:g} s"
        except (OSError, EOFError) as error:
            return 503, f"no process to compute in could be started: {error}"
        return None if status == 200 else (status, json.loads(body)["error"])

    async def _spawned(self) -> asyncio.subprocess.Process:
        paths = [path or os.getcwd() for path in sys.path]
        own = {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": PLATFORMS}
        pipe = asyncio.subprocess.PIPE
        # In a session of its own, so that Ctrl-C is the server's alone.
        return await asyncio.create_subprocess_exec(
            *self.command,
            stdin=pipe,
            stdout=pipe,
            env={**os.environ, **own},
            start_new_session=True,
        )

    async def _answer(self, job: _Job) -> bool:
        """Answer one request; whether the process is fit for another one."""
        if self._jobs.get(job.key) is not job:  # those who asked have gone
            return True
        job.started = True
        limit = self.setup.limit
        exchange = asyncio.ensure_future(self._exchange(json.dumps([job.name, job.body]).encode()))
        watch = asyncio.ensure_future(_unwanted(job))
        try:
            either = {exchange, watch}
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not exchange.done():
                remedy = "choose something smaller, or start the server with a longer --time-limit"
                self._settle(job, 504, f"stopped after {limit:g} s: {remedy}")
                return False
            last, status, body = exchange.result()
            del self._jobs[job.key]
            job.reply.set_result((status, body))
            return not last
        except (OSError, EOFError):
            self._settle(job, 503, "the process that computes broke down at this; a new one starts")
            return False
        finally:
            exchange.cancel()
            watch.cancel()
            await asyncio.gather(exchange, watch, return_exceptions=True)

    async def _exchange(self, data: bytes) -> tuple[bool, int, bytes]:
        """Send one frame and receive one.

        Raises:
            EOFError, OSError: the process ended.
        """
        await self._send(data)
        return await self._receive()

    async def _send(self, data: bytes) -> None:
        assert self.process is not None and self.process.stdin
        self.process.stdin.write(frame(data))
        await self.process.stdin.drain()

    async def _receive(self) -> tuple[bool, int, bytes]:
        """A frame: whether it is the last, the status, the body."""
        assert self.process is not None and self.process.stdout
        size = int.from_bytes(await self.process.stdout.readexactly(4))
        found = await self.process.stdout.readexactly(size)
        return found[3:4] == b"!", int(found[:3]), found[4:]

    def _settle(self, job: _Job, status: int, message: str) -> None:
        self._jobs.pop(job.key, None)
        if not job.reply.done():
            job.reply.set_result((status, refusal(message)))

    def _settle_all(self, status: int, message: str) -> None:
        for job in list(self._jobs.values()):
            self._settle(job, status, message)

    async def _stop(self) -> None:
        """End the process, wholly even where this is broken off."""
        process, self.process = self.process, None
        if process is not None:
            self._ending = asyncio.ensure_future(_ended(process))
        if self._ending is not None:
            await asyncio.shield(self._ending)

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _unwanted(job: _Job) -> None:
    """Return once nobody has waited for a job for a while."""
    while True:
        await job.unwanted.wait()
        await asyncio.sleep(UNWANTED_LIMIT)
        if not job.waiting:
            return


async def _ended(process: Process) -> None:
    """Kill a process, and let go of its pipes."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):  # both pipes have to be at their end to be let go
            await process.stdout.read()
            await process.stdin.wait_closed()
    await process.wait()
