"""Who may talk to the server, and what its answers tell a browser.

The page is for the person who started it alone. A page of another site, open in the same browser,
can reach 127.0.0.1 too, under a name of its own choosing. So every request must name this server as
its host, come from this server's page, and carry a cookie that only the printed address gives.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from layouts.explorer.refusals import Refused, refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Door:
    """What opens one start of the server.

    Attributes:
        port: that it listens on.
        token: stands in the printed address.
        session: what the token is exchanged for; the cookie's value.
        invitations: tokens that are good for one exchange each.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    invitations: set[str] = field(default_factory=set, repr=False)

    @property
    def url(self) -> str:
        """The address to open."""
        return self._address(self.token)

    def invitation(self) -> str:
        """An address that opens once: others can read the arguments that a browser is run with."""
        token = secrets.token_urlsafe(32)
        self.invitations.add(token)
        return self._address(token)

    def admits(self, token: str) -> bool:
        """Whether a token is this start's; an invitation is used up by that."""
        used = {one for one in self.invitations if same(token, one)}
        self.invitations.difference_update(used)
        return bool(used) or same(token, self.token)

    def _address(self, token: str) -> str:
        return f"http://127.0.0.1:{self.port}/?token={token}"

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that a request may name."""
        names = ("127.0.0.1", "localhost")
        bare = names if self.port == 80 else ()
        return frozenset((*(f"{name}:{self.port}" for name in names), *bare))

    @property
    def cookie(self) -> str:
        """The cookie's name: browsers keep cookies by host, whatever the port."""
        return f"layouts-{self.port}"

    def opens(self, cookies: list[str]) -> bool:
        """Whether the headers `Cookie` hold the session."""
        pairs = [part.strip().partition("=") for line in cookies for part in line.split(";")]
        return any(name == self.cookie and same(value, self.session) for name, _, value in pairs)


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


class Guard:
    """Stands before the application: refuses strangers, sets every answer's headers.

    Args:
        app: what answers those who are let in.
        door: what opens it.
    """

    def __init__(self, app: Application, door: Door):
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))
        else:  # a websocket; closed before it is accepted it is answered with status 403
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_origin(scope)
            location = self._exchanged(scope)
            if location is not None:
                cookie = f"{self.door.cookie}={self.door.session}; Path=/; HttpOnly"
                headers = {"Location": location, "Set-Cookie": f"{cookie}; SameSite=Strict"}
                await respond(send, 303, b"", headers)
                return
            if not self.door.opens(_values(scope, "cookie")):
                raise Refused(401, "open the address that `layouts serve` printed; it has a token")
        except Refused as error:
            await respond(send, error.status, refusal(error.message))
            return
        await self.app(scope, receive, send)

    def _check_origin(self, scope: Scope) -> None:
        """That the request is meant for this server, and comes from its own page."""
        hosts = _values(scope, "host")
        if len(hosts) != 1 or hosts[0].lower() not in self.door.hosts:
            raise Refused(403, "this server is 127.0.0.1 or localhost, with its port")
        origins = _values(scope, "origin")
        asks_only = scope["method"] in {"GET", "HEAD"}
        if (not origins and asks_only) or origins == [f"http://{hosts[0].lower()}"]:
            return
        raise Refused(403, "this server answers its own page alone")

    def _exchanged(self, scope: Scope) -> str | None:
        """Where a request with the right token goes on, without it; None for one with no token."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        if scope["path"] != "/" or not tokens or scope["method"] not in {"GET", "HEAD"}:
            return None
        if len(tokens) != 1 or not self.door.admits(tokens[0]):
            raise Refused(401, "the token is not this start's: open the address printed last")
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        return f"/?{rest}" if rest else "/"


async def respond(
    send: Send, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    """Send a whole answer; JSON unless the headers say otherwise."""
    found = {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(body)}
    lines = [(name.lower().encode(), str(value).encode()) for name, value in found.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            more = [(name, value) for name, value in own if name not in given]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


def _values(scope: Scope, name: str) -> list[str]:
    """The values of a header, one for each time it stands there."""
    wanted = name.encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted]
