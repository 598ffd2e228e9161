"""`layouts serve`: a socket on 127.0.0.1, its address on standard output, then the server."""

import asyncio
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn

from layouts.errors import LayoutError
from layouts.explorer.computing import Setup
from layouts.explorer.forking import forked
from layouts.explorer.payload import ANSWERS
from layouts.explorer.safety import Door, Guard
from layouts.explorer.server import application
from layouts.explorer.worker import Worker
from layouts.expressions.loading import Loaded, Shape

Function = tuple[str, Mapping[str, Shape]]


def bind(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1, so that nothing that connects from now on is refused.

    Args:
        port: 0 for any that is free.

    Raises:
        LayoutError: the port is taken, or not for us.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there it would let two servers share the port
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "choose another by --port N, or any that is free by --port 0"
        raise LayoutError(f"port {port}", "a free one", reason.lower(), remedy) from error
    return found


@dataclass(frozen=True)
class Start:
    """What the page begins with.

    Attributes:
        fragment: the page's state, as its address has it.
        state: the same as the first request has it; empty for the gallery's first row.
    """

    fragment: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: Loaded, wrt: str | None = None) -> "Start":
        """A function named on the command line.

        Raises:
            LayoutError: `wrt` is no input.

        Example:
            >>> from layouts.expressions import load
            >>> Start.of(load("W @ X", {"W": (4, 3), "X": (3, 5)}), "X").fragment
            'expression=W+%40+X&wrt=X&shapes=W%3D4x3+X%3D3x5'
        """
        if wrt is not None and wrt not in loaded.inputs:
            remedy = f"choose from {', '.join(loaded.inputs)}"
            raise LayoutError("--wrt", "the name of an input", repr(wrt), remedy)
        by = {} if wrt is None else {"wrt": wrt}
        if ":" in loaded.text:
            source = {"kind": "function", "name": loaded.text}
            fragment = urlencode({"function": loaded.text, **by})
            return cls(fragment, {"source": source, **by})
        shapes = {name: list(shape) for name, shape in loaded.inputs.items()}
        pieces = (f"{name}={_shape(shape)}" for name, shape in shapes.items())
        fragment = urlencode({"expression": loaded.text, **by, "shapes": " ".join(pieces)})
        source = {"kind": "expression", "text": loaded.text}
        return cls(fragment, {"source": source, "shapes": shapes, **by})


def _shape(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


@contextmanager
def prepared(functions: tuple[Function, ...] = (), limit: float = 20.0) -> Iterator[Worker]:
    """What computes, getting ready beside this process; to be had before JAX is used here.

    Args:
        functions: the user's own, each by the text that names it and its shapes by name.
        limit: seconds that one answer may take.
    """
    setup = Setup(functions, limit)
    worker = Worker(setup, first=forked(setup))
    try:
        yield worker
    finally:
        if worker.first is not None:
            worker.first.close()


def serve(start: Start, worker: Worker, *, port: int, opened: bool = True) -> None:
    """Serve the explorer until it is interrupted.

    Args:
        start: what the page begins with.
        worker: computes; closed in the end.
        port: to listen on; 0 for any that is free.
        opened: whether to open a browser.

    Raises:
        LayoutError: the port cannot be had.
    """
    listening = bind(port)
    # Raised just anywhere, in a callback say, a KeyboardInterrupt may get lost.
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        door = Door(listening.getsockname()[1])
        place = f"#{start.fragment}" if start.fragment else ""
        print(f"{door.url}{place}", flush=True)
        if opened:  # some browsers run in this terminal, and come back when they are left
            url = f"{door.invitation()}{place}"
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        config = _config(application(door, worker, ANSWERS, start.state))
        asyncio.run(_Server(config, worker, interrupted).serve(sockets=[listening]))
    finally:
        signal.signal(signal.SIGINT, before)


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=256,
        timeout_graceful_shutdown=2,
    )


class _Server(uvicorn.Server):
    """Stops the worker first, so that no answer is waited for."""

    def __init__(self, config: uvicorn.Config, worker: Worker, interrupted: threading.Event):
        super().__init__(config)
        self.worker, self.interrupted = worker, interrupted

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.should_exit = self.should_exit or self.interrupted.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.worker.close()
        await super().shutdown(sockets)
