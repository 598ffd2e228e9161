"""The worker process: answers one request after the other, and ends with the server.

Run as `python -m layouts.explorer.computing`, which `worker` does. It reads frames from its
standard input and writes frames to its standard output; a frame is four bytes of length, the
highest first, then so many bytes. The first frame in is a `Setup`, the first out says that the
process is ready. A frame out begins with the status in three digits and with "." or, where the
process ends after it, "!". What the user's own functions print goes to standard error.
"""

import contextlib
import faulthandler
import gc
import importlib
import itertools
import json
import os
import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from layouts.errors import LayoutError
from layouts.explorer.refusals import Refused, refusal

Answer = Callable[[dict, Any], dict]
# A longer answer would stop the browser.
MOST_ANSWERED = 16 * 2**20
# Past its time limit by so many seconds the process ends itself, in case nobody stops it.
GRACE = 5.0
# Bytes that JAX may have grown by with what it has compiled, before it is made to forget.
MOST_GROWTH = 768 * 2**20


@dataclass(frozen=True)
class Setup:
    """What a worker process is told when it starts.

    Attributes:
        functions: the user's own, each by the text that names it and its shapes by name.
        limit: seconds that one answer may take.
        memory: bytes that answers may take beyond what the process has when it is ready.
        answers: where the table of answers is, as module:name.
    """

    functions: tuple[tuple[str, Mapping[str, tuple[int, ...]]], ...] = ()
    limit: float = 20.0
    memory: int = 4 * 2**30
    answers: str = "layouts.explorer.payload:ANSWERS"

    def encoded(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame of a stream, None at its end."""
    head = stream.read(4)
    return stream.read(int.from_bytes(head)) if len(head) == 4 else None


def frame(data: bytes) -> bytes:
    """Bytes as a frame.

    Example:
        >>> frame(b"abc")
        b'\\x00\\x00\\x00\\x03abc'
    """
    return len(data).to_bytes(4) + data


def main() -> None:
    """Answer until the standard input ends."""
    requests, replies = _streams()
    setup = json.loads(read_frame(requests) or b"null")
    if setup is None:
        return
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, frames), daemon=True).start()

    def reply(status: int, body: bytes, last: bool = False) -> None:
        replies.write(frame(b"%03d%s%s" % (status, b"!" if last else b".", body)))
        replies.flush()

    try:
        answers, functions = _load(setup)
    except LayoutError as error:
        return reply(503, refusal(str(error)), last=True)
    reply(200, b"{}")
    size = _memory("VmRSS") or 0
    with open(os.devnull, "w") as nowhere:
        for count in itertools.count():
            name, body = json.loads(frames.get())
            faulthandler.dump_traceback_later(setup["limit"] + GRACE, exit=True, file=nowhere)
            found = _answered(answers[name], body, functions)
            faulthandler.cancel_dump_traceback_later()
            last = not _forget(size + MOST_GROWTH)
            reply(*found, last)
            if last:
                return
            if count == 0:  # the first answer has started what JAX starts once
                _limit_memory(setup["memory"])


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, out of reach of what reads standard input or prints."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _listen(requests: BinaryIO, frames: queue.SimpleQueue) -> None:
    """Pass requests on; once the server is gone, end the process in the midst of any answer."""
    with contextlib.suppress(OSError):
        while (found := read_frame(requests)) is not None:
            frames.put(found)
    os._exit(0)


def _load(setup: dict[str, Any]) -> tuple[Mapping[str, Answer], dict[str, Any]]:
    module, _, name = setup["answers"].partition(":")
    answers = getattr(importlib.import_module(module), name)
    functions = {}
    for text, shapes in setup["functions"]:
        from layouts.expressions import load  # JAX comes with it, which takes its time

        loaded = load(text, {key: tuple(shape) for key, shape in shapes.items()})
        functions[loaded.text] = loaded
    return answers, functions


def _answered(answer: Answer, body: dict, functions: Mapping[str, Any]) -> tuple[int, bytes]:
    """The status and the body of one answer, whatever happens."""
    try:
        found = json.dumps(answer(body, functions), allow_nan=False, separators=(",", ":")).encode()
        if len(found) > MOST_ANSWERED:
            raise Refused(422, "the answer is too large for a page: choose smaller shapes")
        return 200, found
    except Refused as error:
        return error.status, refusal(error.message)
    except LayoutError as error:
        return 422, _mistake(error)
    except (MemoryError, RecursionError) as error:
        what = "more memory" if isinstance(error, MemoryError) else "deeper nesting"
        return 422, refusal(f"this takes {what} than the explorer has: choose something smaller")
    except (Exception, SystemExit) as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            message = "this takes more memory than the explorer has: choose smaller shapes"
            return 422, refusal(message)
        traceback.print_exc()
        told = "the terminal of `layouts serve` has the details"
        return 500, refusal(f"the explorer failed with {type(error).__name__}; {told}")


def _mistake(error: LayoutError) -> bytes:
    parts = {"what": error.what, "expected": error.expected, "received": error.received}
    whole = {**parts, "remedy": error.remedy, "text": str(error)}
    return json.dumps({"error": str(error), "mistake": whole}).encode()


def _limit_memory(more: int) -> None:
    """Let the process have so many bytes more than it has; where the system counts them."""
    used = _memory("VmData")
    if used is not None:
        import resource  # not on Windows, where there is no /proc either

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = used + more if hard == resource.RLIM_INFINITY else min(used + more, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _forget(most: int) -> bool:
    """Drop what JAX has compiled once it takes too much; whether the process is small then."""
    if (_memory("VmRSS") or 0) <= most:
        return True
    import jax

    jax.clear_caches()
    gc.collect()
    return (_memory("VmRSS") or 0) <= most


def _memory(field: str) -> int | None:
    """Bytes in use, as Linux counts them."""
    try:
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines[field].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


if __name__ == "__main__":
    main()
