"""The explorer's server: the page's files, and the library's answers as JSON.

`safety` says who is let in; every answer is computed in `worker`'s process, so that nothing typed
on the page can bring the server down.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from layouts.explorer.export import STATIC, document
from layouts.explorer.refusals import MOST_BYTES, Refused, read_object, refusal
from layouts.explorer.safety import Door, Guard
from layouts.explorer.worker import Reply, Worker

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
# What differs each time that it is asked.
FLEETING = {"measure"}
# What the page says of a view that nobody has turned yet.
DEFAULTS = {"shapes": {}, "values": {}, "seed": 0, "layout": "numerator", "vec": "rows"}
DEFAULTS |= {"textbook": None}
# Bytes of answers that are kept, in case they are asked for again.
MOST_KEPT = 64 * 2**20
# Seconds for a request's body to come in.
BODY_LIMIT = 10.0


class Answers:
    """The worker's answers, the latest of them kept.

    Args:
        worker: that computes them.
    """

    def __init__(self, worker: Worker):
        self.worker = worker
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def ask(self, name: str, body: dict, anew: bool = False) -> Reply:
        """A status and a body, as `Worker.ask` has them; `anew` asks it even for what is kept."""
        key = _key(name, body)
        if key in self._kept and not anew:
            self._kept.move_to_end(key)
            return 200, self._kept[key]
        status, found = await self.worker.ask(name, body)
        if status == 200 and name not in FLEETING:
            self._keep(key, found)
        return status, found

    def _keep(self, key: str, found: bytes) -> None:
        self._size += len(key) + len(found) - len(self._kept.pop(key, b""))
        self._kept[key] = found
        while self._size > MOST_KEPT:
            old, gone = self._kept.popitem(last=False)
            self._size -= len(old) + len(gone)


def _key(name: str, body: dict) -> str:
    return json.dumps([name, body], sort_keys=True)


def application(
    door: Door,
    worker: Worker,
    names: Iterable[str],
    first: Mapping[str, Any] | None = None,
) -> Guard:
    """The server as an ASGI application.

    Args:
        door: who is let in.
        worker: computes; opened and closed with the application.
        names: of the answers that it has, each at `POST /api/<name>`.
        first: the view that the page begins with, computed ahead; that of the gallery's first row
            if it is empty, none if it is None.
    """
    answers = Answers(worker)
    if first is not None:
        worker.ahead = partial(_ahead, answers, first)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        worker.open()
        try:
            yield
        finally:
            await worker.close()

    routes = [Route("/", _file("index.html"), methods=["GET"])]
    for path in sorted(STATIC.iterdir()):  # what is not on this list cannot be asked for
        if path.suffix in KINDS:
            routes.append(Route(f"/{path.name}", _file(path.name), methods=["GET"]))
    for name in names:
        routes.append(Route(f"/api/{name}", _endpoint(answers, name), methods=["POST"]))
    routes.append(Route("/api/export", _exported(answers), methods=["POST"]))
    handlers: Any = {
        HTTPException: _http_error,
        Refused: _refused,
        ClientDisconnect: _broken_off,
        Exception: _failed,
    }
    inner = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    inner.router.redirect_slashes = False
    return Guard(inner, door)  # type: ignore[arg-type]


async def _ahead(answers: Answers, first: Mapping[str, Any]) -> bool:
    """Have the first view computed, and with it compiled what all views need."""
    status, found = await answers.ask("gallery", {}, anew=True)
    if status == 200:
        begun = first or {"source": json.loads(found)["rows"][0]["source"]}
        status, _ = await answers.ask("view", {**DEFAULTS, **begun}, anew=True)
    return status < 500


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        path = STATIC / name
        return Response(path.read_bytes(), headers={"Content-Type": KINDS[path.suffix]})

    return answer


def _endpoint(answers: Answers, name: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = await _body(request)
        status, found = await _while_connected(request, answers.ask(name, body))
        return _json(status, found)

    return answer


def _exported(answers: Answers) -> Callable[[Request], Awaitable[Response]]:
    """A view as one HTML file; what is asked is what is asked of the view."""

    async def answer(request: Request) -> Response:
        body = await _body(request)
        status, found = await _while_connected(request, answers.ask("view", body))
        if status != 200:
            return _json(status, found)
        _, gallery = await _while_connected(request, answers.ask("gallery", {}))
        page = document({"view": json.loads(found), "gallery": json.loads(gallery)})
        headers = {
            "Content-Type": KINDS[".html"],
            "Content-Disposition": 'attachment; filename="layouts.html"',
        }
        return Response(page, headers=headers)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that a request has; read no further than `MOST_BYTES`."""
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    known = all(p.strip() in {"", "charset=utf-8", 'charset="utf-8"'} for p in parameters)
    if kind.strip() != "application/json" or not known or "content-encoding" in request.headers:
        raise Refused(415, "only application/json is read here")
    too_long = Refused(413, f"the body has more than {MOST_BYTES} bytes")
    if int(request.headers.get("content-length", 0)) > MOST_BYTES:  # HTTP lets digits alone pass
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:  # it may come in pieces, with no length given
                    raise too_long
    except TimeoutError:
        raise Refused(408, "the body did not come in time") from None
    return read_object(bytes(body))


async def _while_connected(request: Request, answer: Awaitable[Reply]) -> Reply:
    """An answer, unless the one who asked goes before it is there."""
    asked = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise ClientDisconnect
        return asked.result()
    finally:
        asked.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(status: int, body: bytes, headers: Any = None) -> Response:
    found = {"Content-Type": "application/json", **(headers or {})}
    return Response(body, status, found)


async def _http_error(_: Request, error: HTTPException) -> Response:
    message = {404: "there is nothing here", 405: "this is asked in another way"}
    said = message.get(error.status_code, error.detail)
    return _json(error.status_code, refusal(said), error.headers)


async def _refused(_: Request, error: Refused) -> Response:
    return _json(error.status, refusal(error.message))


async def _broken_off(_: Request, error: ClientDisconnect) -> Response:
    return _json(400, refusal("the request was broken off"))  # nobody reads it


async def _failed(_: Request, error: Exception) -> Response:
    return _json(500, refusal(f"the server failed with {type(error).__name__}"))
