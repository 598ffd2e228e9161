"""Who may ask the explorer's server, what it refuses, and that it stays up whatever is asked."""

import asyncio
import json
import re
import sys
import time

import pytest
from starlette.testclient import TestClient

import layouts
from layouts.explorer.computing import Setup
from layouts.explorer.export import modules
from layouts.explorer.refusals import MOST_BYTES, Refused, read_object
from layouts.explorer.safety import HEADERS, Door, same
from layouts.explorer.server import Answers, application
from layouts.explorer.worker import MOST_WAITING, Worker

PORT = 8123
ORIGIN = f"http://127.0.0.1:{PORT}"
LIMIT = 2.0
STAND_IN = "tests.explorer_answers:ANSWERS"
# The worker's own program, but without `layouts/__init__.py`: JAX takes a second to import.
LIGHT = (sys.executable, "-P", "-c", f"""
import sys, types
sys.modules["layouts"] = types.ModuleType("layouts")
sys.modules["layouts"].__path__ = {list(layouts.__path__)!r}
from layouts.explorer.computing import main
main()
""")  # fmt: skip


@pytest.fixture(scope="module")
def door():
    return Door(PORT)


@pytest.fixture(scope="module")
def served(door):
    worker = Worker(Setup(limit=LIMIT, answers=STAND_IN), LIGHT)
    app = application(door, worker, ["gallery", "view", "measure"])
    with TestClient(app, ORIGIN, raise_server_exceptions=False) as client:
        client.worker = worker
        yield client


@pytest.fixture
def stranger(served):
    """One who has no cookie yet."""
    served.cookies.clear()
    return served


@pytest.fixture
def client(served, door):
    served.cookies.clear()
    served.cookies.set(door.cookie, door.session)
    return served


def ask(client, name="view", body=None, origin=ORIGIN, **headers):
    content = json.dumps(body or {}) if not isinstance(body, bytes) else body
    given = {"Origin": origin, "Content-Type": "application/json", **headers}
    wanted = {name: value for name, value in given.items() if value is not None}
    return client.post(f"/api/{name}", content=content, headers=wanted)


def error(response, status):
    """The message of an answer that must be an error."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (message,) = {key: value for key, value in response.json().items() if key == "error"}.values()
    return message


# The token and the cookie.


def test_the_token_is_exchanged_for_a_cookie(stranger, door):
    answer = stranger.get("/", params={"token": door.token, "wrt": "W"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?wrt=W")
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name == f"layouts-{PORT}={door.session}"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
    assert stranger.get("/").status_code == 200
    assert ask(stranger).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "é", "{token}x", "{session}", "{token}&token={token}"])
def test_a_wrong_token_opens_nothing(stranger, door, token):
    query = token.format(token=door.token, session=door.session)
    answer = stranger.get(f"/?token={query}", follow_redirects=False)
    assert "address" in error(answer, 401)
    assert "set-cookie" not in answer.headers


def test_an_invitation_opens_once(stranger, door):
    address = door.invitation()
    token = address.partition("token=")[2]
    assert address == f"{ORIGIN}/?token={token}" and token not in (door.token, door.session)
    assert token not in repr(door)
    error(
        stranger.get(f"/?token={token}", headers={"Host": "evil.example"}), 403
    )  # uses up nothing
    answer = stranger.get(f"/?token={token}", follow_redirects=False)
    assert answer.status_code == 303 and "SameSite=Strict" in answer.headers["set-cookie"]
    stranger.cookies.clear()
    error(stranger.get(f"/?token={token}", follow_redirects=False), 401)
    assert stranger.get(f"/?token={door.token}", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("path", ["/", "/index.html", "/style.css", "/boot.js", "/nothing"])
def test_without_the_cookie_nothing_is_there(stranger, path):
    assert "token" in error(stranger.get(path), 401)


def test_without_the_cookie_nothing_is_computed(stranger, door):
    assert "token" in error(ask(stranger), 401)
    error(ask(stranger, Cookie=f"{door.cookie}={door.token}"), 401)
    error(ask(stranger, Cookie=f"layouts-1={door.session}"), 401)
    error(ask(stranger, "export"), 401)
    error(stranger.post(f"/?token={door.token}", headers={"Origin": ORIGIN}), 401)
    assert ask(stranger, Cookie=f"other=1; {door.cookie}={door.session}").status_code == 200


def test_each_start_has_secrets_of_its_own():
    one, other = Door(PORT), Door(PORT)
    secrets = {one.token, one.session, other.token, other.session}
    assert len(secrets) == 4 and all(len(secret) >= 43 for secret in secrets)
    assert one.token not in repr(one) and one.session not in repr(one)


def test_secrets_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(given, wanted):
        compared.append((given, wanted))
        return given == wanted

    monkeypatch.setattr("layouts.explorer.safety.hmac.compare_digest", compare)
    assert same("a", "a") and not same("é\udcff", "b")
    door = Door(PORT)
    assert door.opens([f"{door.cookie}={door.session}"]) and not door.opens([f"{door.cookie}=x"])
    assert len(compared) == 4


# Host, Origin, cross-site reading.


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "localhost:1", f"127.0.0.1:{PORT}.evil",
     f"127.0.0.2:{PORT}", f"[::1]:{PORT}", f"user@127.0.0.1:{PORT}", ""],
)  # fmt: skip
def test_another_host_is_refused(client, door, host):
    assert "127.0.0.1" in error(client.get("/", headers={"Host": host}), 403)
    error(ask(client, Host=host), 403)
    exchange = client.get(f"/?token={door.token}", headers={"Host": host}, follow_redirects=False)
    error(exchange, 403)


def test_two_hosts_are_refused(client):
    hosts = [("Host", f"127.0.0.1:{PORT}"), ("Host", "evil.example")]
    error(client.get("/", headers=hosts), 403)


def test_localhost_is_this_host_too(client):
    name = f"localhost:{PORT}"
    assert client.get("/", headers={"Host": name}).status_code == 200
    assert ask(client, origin=f"http://{name}", Host=name).status_code == 200
    error(ask(client, origin=ORIGIN, Host=name), 403)  # another origin to a browser


@pytest.mark.parametrize(
    "origin",
    [None, "null", "", "http://evil.example", "http://127.0.0.1", f"https://127.0.0.1:{PORT}",
     f"http://127.0.0.1:{PORT + 1}", f"http://localhost:{PORT}", f"{ORIGIN}/", f"{ORIGIN}.evil"],
)  # fmt: skip
def test_a_request_of_another_origin_is_refused(client, origin):
    assert "page" in error(ask(client, origin=origin), 403)
    error(ask(client, "export", origin=origin), 403)


def test_reading_needs_no_origin_but_no_other_one(client):
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"Origin": ORIGIN}).status_code == 200
    error(client.get("/", headers={"Origin": "http://evil.example"}), 403)


def test_no_answer_allows_another_origin(client, door):
    preflight = client.options(
        "/api/view",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )
    for answer in (preflight, client.get("/"), ask(client), client.get("/nothing")):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    error(preflight, 403)


def test_every_answer_has_the_policy(client, door):
    token = client.get(f"/?token={door.token}", follow_redirects=False)
    answers = [
        client.get("/"), client.get("/style.css"), client.get("/nothing"), client.put("/"), token,
        ask(client), ask(client, body=b"["), ask(client, origin=None), ask(client, "export"),
        client.get("/", headers={"Host": "evil.example"}), ask(client, body={"do": "fault"}),
    ]  # fmt: skip
    client.cookies.clear()
    for answer in (*answers, client.get("/"), ask(client)):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (answer.url, name)


def test_the_policy_starts_from_nothing():
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    for name in ("frame-ancestors", "base-uri", "form-action"):
        assert policy[name] == "'none'"
    assert not re.search("unsafe|http|blob|[*]", HEADERS["Content-Security-Policy"])
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "same-origin"
    assert HEADERS["Cross-Origin-Resource-Policy"] == "same-origin"
    assert HEADERS["Cross-Origin-Opener-Policy"] == "same-origin"


# Paths and methods.


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/api", "/api/nothing", "/api/view/", "/static/index.html", "/../safety.py",
     "/%2e%2e/safety.py", "/..%2fsafety.py", "//etc/passwd", "/style.css/", "/__init__.py"],
)  # fmt: skip
def test_what_is_not_listed_is_not_there(client, path):
    error(client.get(path), 404)
    error(client.post(path, headers={"Origin": ORIGIN}), 404)


def test_other_methods_are_refused(client):
    own = {"Origin": ORIGIN}
    for method, path in [
        ("GET", "/api/view"),
        ("PUT", "/api/view"),
        ("DELETE", "/"),
        ("POST", "/"),
    ]:
        answer = client.request(method, path, headers=own)
        error(answer, 405)
        assert answer.headers["allow"]
    error(client.get("/api/export"), 405)


def test_the_page_and_its_files(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    names = re.findall(r'(?:href|src)="([\w.]+)"', page.text)
    for name in names:
        kind = kinds[name.rpartition(".")[2]]
        assert client.get(f"/{name}").headers["content-type"] == kind
    assert set(modules()) <= set(names)  # asked for at once, and not one behind the other
    assert client.head("/").status_code == 200


# What is read.


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
     "application/jsonp", "text/json", "application/json; charset=utf-16"],
)  # fmt: skip
def test_only_json_is_read(client, kind):
    assert "json" in error(ask(client, **{"Content-Type": kind}), 415)


def test_json_may_say_that_it_is_utf8(client):
    for kind in ("application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'):
        assert ask(client, **{"Content-Type": kind}).status_code == 200
    error(ask(client, **{"Content-Encoding": "gzip"}), 415)


def body_of(size):
    return b'{"x":"' + b"a" * (size - 8) + b'"}'


def test_a_body_has_64_kilobytes_at_most(client):
    assert ask(client, body=body_of(MOST_BYTES)).status_code == 200
    assert "65536" in error(ask(client, body=body_of(MOST_BYTES + 1)), 413)
    assert "65536" in error(ask(client, "export", body=body_of(MOST_BYTES + 1)), 413)


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"", "no JSON"), (b"[1]", "no object"), (b"null", "no object"), (b"{", "no JSON"),
        (b'{"x":NaN}', "NaN"), (b'{"x":-Infinity}', "Infinity"), (b'{"x":1e999}', "too large"),
        (b'{"x":' + b"9" * 5000 + b"}", "too long"), (b'{"x":1,"x":2}', "twice"),
        (b'{"y":{"x":1,"x":1}}', "twice"), (b'{"x":"\xff"}', "UTF-8"),
        (b'\xef\xbb\xbf{"x":1}', "no JSON"), (b'{"x":"\\ud800"}', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"), (b'{"x":1} {}', "no JSON"), (b"{'x':1}", "no JSON"),
        (b'{"x":' + b"[" * 30000 + b"]" * 30000 + b"}", "deeply"),
        (b'{"x":' + b"[" * 40 + b"]" * 40 + b"}", "deeply"),
        (b'{"x":' * 9000 + b"1" + b"}" * 9000, "deeply"),
        ('{"x":1}'.encode("utf-16"), "UTF-8"), (b'{"x":01}', "no JSON"), (b'{"x":"\n"}', "no JSON"),
    ],
)  # fmt: skip
def test_what_is_no_object_in_json_is_refused(client, body, reason):
    assert reason in error(ask(client, body=body), 400)


def test_a_body_is_read_as_it_stands():
    whole = {"a": [[1, 2.5, -3e-7], None, True], "é": "☃ 😀", "n": {"m": {}}}
    assert read_object(json.dumps(whole).encode()) == whole
    assert read_object(json.dumps(whole, ensure_ascii=False).encode()) == whole
    deep = b'{"x":' + b"[" * 30 + b"]" * 30 + b"}"
    assert read_object(deep)
    with pytest.raises(Refused):
        read_object(deep.replace(b"[]", b"[[]]", 1).replace(b"[]", b"[[]]", 1))


# What is answered.


def test_an_answer_is_the_librarys(client):
    assert ask(client, body={"x": [1]}).json()["body"] == {"x": [1]}


def test_a_mistake_is_said_in_its_four_parts(client):
    answer = ask(client, body={"do": "mistake"})
    assert error(answer, 422) == "the thing: expected this, got that; the other"
    assert answer.json()["mistake"]["remedy"] == "the other"


def test_a_fault_says_no_more_than_its_kind(client):
    message = error(ask(client, body={"do": "fault"}), 500)
    assert "KeyError" in message and "secret" not in message
    error(ask(client, body={"do": "leave"}), 500)


def test_what_is_printed_is_no_answer(client):
    assert ask(client, body={"do": "print"}).json() == {"read": ""}


def test_what_takes_too_long_is_stopped(client):
    before = ask(client, "measure").json()["pid"]
    for body in ({"do": "sleep", "seconds": 60}, {"do": "hold"}):
        start = time.monotonic()
        assert "2 s" in error(ask(client, body=body), 504)
        assert time.monotonic() - start < LIMIT + 10
    after = ask(client, "measure").json()["pid"]
    assert after != before


def test_a_process_that_breaks_down_is_followed_by_another(client):
    before = ask(client, "measure").json()["pid"]
    assert "broke down" in error(ask(client, body={"do": "die"}), 503)
    assert ask(client, "measure").json()["pid"] != before


def test_one_that_is_killed_while_idle_is_not_missed(client):
    before = ask(client, "measure").json()["pid"]
    client.worker.process.kill()
    time.sleep(0.5)
    assert ask(client, "measure").json()["pid"] != before


@pytest.mark.parametrize("do, word", [("eat", "memory"), ("descend", "nesting"), ("fill", "large")])
def test_too_much_is_a_mistake_and_not_a_breakdown(client, do, word):
    before = ask(client, "measure").json()["pid"]
    assert word in error(ask(client, body={"do": do}), 422)
    assert ask(client, "measure").json()["pid"] == before


# One request at a time, whoever comes and goes.


def with_worker(scenario, **setup):
    """Run a scenario with a worker of its own."""

    async def run():
        worker = Worker(Setup(answers=STAND_IN, **setup), LIGHT)
        worker.open()
        try:
            return await scenario(worker)
        finally:
            await worker.close()

    return asyncio.run(run())


def test_equal_requests_are_answered_together_and_others_in_turn():
    async def scenario(worker):
        slow = {"do": "sleep", "seconds": 0.5}
        start = time.monotonic()
        await worker.ask("view", {})
        asked = [worker.ask("view", body) for body in (slow, slow, {"n": 1}, slow, {"n": 2})]
        found = [json.loads(body) for _, body in await asyncio.gather(*asked)]
        assert [view["body"] for view in found] == [slow, slow, {"n": 1}, slow, {"n": 2}]
        return time.monotonic() - start

    with_worker(scenario)


def test_one_that_goes_away_wedges_nothing():
    async def scenario(worker):
        await worker.ask("view", {})
        running = asyncio.ensure_future(worker.ask("view", {"do": "sleep", "seconds": 60}))
        await asyncio.sleep(0.1)
        waiting = asyncio.ensure_future(worker.ask("view", {"do": "die"}))
        await asyncio.sleep(0.1)
        running.cancel()
        waiting.cancel()
        start = time.monotonic()
        status, _ = await worker.ask("view", {"n": 1})
        assert status == 200 and time.monotonic() - start < 20
        assert not worker._jobs

    with_worker(scenario, limit=60.0)


def test_what_nobody_waits_for_is_not_begun():
    async def scenario(worker):
        _, before = await worker.ask("view", {})
        running = asyncio.ensure_future(worker.ask("view", {"do": "sleep", "seconds": 0.5}))
        waiting = asyncio.ensure_future(worker.ask("view", {"do": "die"}))
        await asyncio.sleep(0.1)
        waiting.cancel()
        assert (await running)[0] == 200
        _, after = await worker.ask("measure", {})
        assert json.loads(after)["pid"] == json.loads(before)["pid"]

    with_worker(scenario)


def test_what_fails_ahead_is_not_tried_again():
    async def scenario(worker):
        begun, ended = [], asyncio.Event()

        async def ahead():
            begun.append(await worker.ask("view", {}))
            await worker.ask("view", {"do": "die"})
            ended.set()
            return False

        worker.ahead = ahead
        await ended.wait()
        for n in range(2):
            assert (await worker.ask("measure", {"n": n}))[0] == 200
            assert (await worker.ask("measure", {"n": n, "do": "die"}))[0] == 503
        assert len(begun) == 1

    with_worker(scenario)


def test_no_more_wait_than_a_few():
    async def scenario(worker):
        bodies = [{"do": "sleep", "seconds": 0.01, "n": n} for n in range(MOST_WAITING + 5)]
        asked = [worker.ask("view", body) for body in bodies]
        found = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in found if isinstance(one, Refused)]
        assert len(refused) == 4 and {one.status for one in refused} == {503}
        assert all(one[0] == 200 for one in found if not isinstance(one, Refused))

    with_worker(scenario)


def test_what_waits_when_the_server_stops_is_refused():
    async def scenario(worker):
        asked = asyncio.ensure_future(worker.ask("view", {"do": "sleep", "seconds": 60}))
        await asyncio.sleep(0.1)
        await worker.close()
        assert (await asked)[0] == 503

    with_worker(scenario, limit=60.0)


@pytest.mark.parametrize(
    "setup, reason",
    [({"functions": (("no_such_module:f", {}),)}, "no_such_module"), ({"answers": "no:where"}, "")],
)
def test_a_worker_that_cannot_start_says_why(setup, reason):
    async def run():
        worker = Worker(Setup(**{"answers": STAND_IN, **setup}), LIGHT)
        worker.open()
        found = [await worker.ask("view", {"n": n}) for n in range(2)]
        await worker.close()
        return found

    for status, body in asyncio.run(run()):
        assert status == 503 and reason in json.loads(body)["error"]


def test_a_start_that_breaks_down_is_not_tried_without_end():
    async def run():
        started = []
        worker = Worker(Setup(answers=STAND_IN), LIGHT)

        async def ahead():
            started.append(worker.process.pid)
            status, _ = await worker.ask("view", {"do": "die"})
            return status == 200

        worker.ahead = ahead
        worker.open()
        while not started:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        quiet = len(started)
        status, _ = await worker.ask("view", {})
        await worker.close()
        return quiet, status

    quiet, status = asyncio.run(run())
    assert quiet == 1 and status == 200


class Counting:
    """Stands in for a worker, and counts what it is asked."""

    def __init__(self, reply):
        self.reply, self.count = reply, 0

    async def ask(self, name, body):
        self.count += 1
        return self.reply


@pytest.mark.parametrize(
    "name, reply, times",
    [("view", (200, b"{}"), 1), ("measure", (200, b"{}"), 3), ("view", (422, b""), 3)],
)
def test_answers_are_kept_but_times_and_errors(name, reply, times):
    worker = Counting(reply)
    answers = Answers(worker)
    for body in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 2}):
        assert asyncio.run(answers.ask(name, body)) == reply
    assert worker.count == times


def test_no_more_is_kept_than_fits(monkeypatch):
    monkeypatch.setattr("layouts.explorer.server.MOST_KEPT", 1000)
    worker = Counting((200, b"x" * 300))
    answers = Answers(worker)
    for n in (1, 2, 1, 3, 4, 1):  # 2 goes first, since 1 was asked for after it
        asyncio.run(answers.ask("view", {"n": n}))
        assert answers._size <= 1000
    assert worker.count == 4
    asyncio.run(answers.ask("view", {"n": 2}))
    assert worker.count == 5
