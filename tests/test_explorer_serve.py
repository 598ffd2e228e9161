"""`layouts serve` as a process: its address, its safety over a real socket, its end."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import pytest

from layouts.explorer.computing import Setup
from layouts.explorer.forking import forked
from layouts.explorer.refusals import MOST_BYTES
from tests import explorer_served
from tests.explorer_served import ROOT, until

LIMIT = 5
MODULE = """
import time

def slow(x):
    if x.shape == (7,):
        time.sleep(600)
    return x

def square(x):
    print("noise")
    return x * x
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")


@contextmanager
def serving(folder, *argv):
    (folder / "mine.py").write_text(MODULE)
    with explorer_served.serving(folder, *argv) as served:
        yield served


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, "mine:slow", "x=3", "--time-limit", str(LIMIT)) as found:
        found.enter()
        until(lambda: found.ask("gallery")[0] == 200)
        yield found
        said = found.errors.read_text()
        assert found.process.poll() is None
        assert "Traceback" not in said, said


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


OWN = {"source": {"kind": "function", "name": "mine:slow"}}
SLOW = {**OWN, "shapes": {"x": [7]}}
SEED = {"source": {"kind": "expression", "text": "W @ X"}, "shapes": {"W": [4, 3], "X": [3, 5]}}


def test_the_address_has_a_token_and_the_state(served):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43,}#.*", served.url)
    assert served.fragment == "function=mine%3Aslow"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied there")
def test_the_first_worker_is_a_copy_that_has_nothing_to_import(served):
    (worker,) = served.workers()
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (worker, served.process.pid)]
    assert commands[0] == commands[1]
    jax.numpy.zeros(1)  # with it JAX has threads, which no copy would have
    assert forked(Setup()) is None


def test_it_listens_on_this_machine_alone(served):
    own = {socket.gethostbyname(socket.gethostname()), "127.0.0.2"} - {"127.0.0.1"}
    for address in own:
        with pytest.raises(OSError):
            socket.create_connection((address, served.port), timeout=2).close()


def test_strangers_are_refused(served):
    host = {"Host": f"evil.example:{served.port}"}
    assert served.request("GET", "/", **host)[0] == 403
    assert served.ask("gallery", **host)[0] == 403
    assert served.ask("gallery", Origin="http://evil.example")[0] == 403
    assert served.ask("gallery", Origin=None)[0] == 403
    assert served.ask("gallery", Cookie=None)[0] == 401
    assert served.request("GET", "/", Cookie=None)[0] == 401
    assert served.request("GET", "/?token=x", Cookie=None)[0] == 401
    status, headers, _ = served.request("GET", f"http://evil.example/?{served.query}")
    assert status in {401, 403, 404} and "Set-Cookie" not in headers
    assert served.request("GET", "/style.css")[0] == 200


def test_a_websocket_is_refused(served):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
    assert served.request("GET", "/nothing", **headers)[0] in {403, 404}


def test_a_long_body_is_refused(served):
    assert served.ask("view", b"{" + b" " * MOST_BYTES + b"}")[0] == 413
    for length in ("1" * 12, "1" * 30, "-1", "2e3"):
        status, _, _ = served.request("POST", "/api/view", b"{}", **{"Content-Length": length})
        assert status in {400, 413}


def test_a_body_without_a_length_is_read_to_the_cap_and_no_further(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as line:
        head = [
            "POST /api/view HTTP/1.1", f"Host: 127.0.0.1:{served.port}", f"Origin: {served.origin}",
            f"Cookie: {served.cookie}", "Content-Type: application/json",
            "Transfer-Encoding: chunked", "", "",
        ]  # fmt: skip
        line.sendall("\r\n".join(head).encode())
        for _ in range(9):  # 72 kB, and no end
            line.sendall(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        answer = line.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_it_computes(served):
    status, found = served.ask("gallery")
    assert status == 200 and [row["source"] for row in found["functions"]] == [OWN["source"]]
    status, found = served.ask("view", SEED)
    assert status == 200
    assert found["jacobian"]["formula"]["text"] == "∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j]"


def test_what_takes_too_long_is_stopped(served):
    start = time.monotonic()
    status, found = served.ask("view", SLOW)
    assert status == 504 and f"{LIMIT} s" in found["error"]
    assert time.monotonic() - start < 2 * LIMIT + 30
    assert served.ask("view", SEED)[0] == 200


def test_a_worker_that_is_killed_comes_back(served):
    assert served.ask("view", {**SEED, "seed": 7})[0] == 200  # it has started, and answered
    (before,) = served.workers()
    os.kill(before, signal.SIGKILL)
    assert until(lambda: before not in served.workers())
    status, _ = served.ask("view", {**SEED, "seed": 1})
    assert status == 200 and before not in served.workers()


def test_a_worker_that_is_killed_at_work_is_said_to_have_broken_down(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    headers = {"Cookie": served.cookie, "Origin": served.origin, "Content-Type": "application/json"}
    connection.request("POST", "/api/view", json.dumps({**SLOW, "seed": 2}), headers)
    time.sleep(1)
    for pid in served.workers():
        os.kill(pid, signal.SIGKILL)
    answer = connection.getresponse()
    assert answer.status == 503 and "broke down" in json.loads(answer.read())["error"]
    connection.close()
    assert served.ask("view", {**SEED, "seed": 2})[0] == 200


def test_one_that_hangs_up_is_not_waited_for(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    headers = {"Cookie": served.cookie, "Origin": served.origin, "Content-Type": "application/json"}
    connection.request("POST", "/api/view", json.dumps({**SLOW, "seed": 3}), headers)
    time.sleep(0.5)
    connection.close()
    assert served.ask("view", {**SEED, "seed": 3})[0] == 200


def expression(text, **shapes):
    return {"source": {"kind": "expression", "text": text}, "shapes": shapes}


@pytest.mark.parametrize(
    "body",
    [
        expression("os:system"), expression("os:getpid()"), expression("mine:square", x=[3]),
        expression("__import__('os').system('true')"), expression("x.__class__", x=[3]),
        expression("x" * 100_00), expression("(" * 500 + "x" + ")" * 500, x=[3]),
        expression("x**999999999", x=[3]), expression("2**9**9**9 * x", x=[3]),
        expression("x @ y", x=[10**5, 10**5], y=[10**5, 10**5]),
        expression("x * y", x=[9999, 1], y=[1, 9999]), expression("x", x=[10**12]),
        expression("x", x=[-1]), expression("x", x=[True]), expression("x", x="4x3"),
        {"source": {"kind": "function", "name": "mine:square"}},
        {"source": {"kind": "function", "name": "os:getpid"}},
        {"source": {"kind": "gallery", "name": "../x"}}, {"source": None}, {},
    ],
    ids=lambda body: str(body)[:60],
)  # fmt: skip
def test_whatever_is_typed_is_answered(served, body):
    start = time.monotonic()
    status, found = served.ask("view", body)
    assert status == 422 and found["error"]
    assert time.monotonic() - start < LIMIT + 30
    assert "noise" not in served.errors.read_text()


def test_an_export_opens_alone(served):
    status, headers, page = served.request("POST", "/api/export", json.dumps(SEED).encode())
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Disposition"].startswith("attachment")
    assert b'id="data"' in page and b"default-src 'none'" in page
    assert served.ask("export", {"source": 1})[0] == 422


OPENING = """
import time, webbrowser
from layouts.explorer import serving

opened = []
webbrowser.open = opened.append

async def nothing(self, sockets):
    for one in sockets:
        one.close()

serving._Server.serve = nothing
with serving.prepared() as worker:
    serving.serve(serving.Start("wrt=W"), worker, port=0)
while not opened:
    time.sleep(0.05)
print(opened[0])
"""


def test_the_browser_is_given_an_address_that_opens_once():
    """In a process of its own, since serving takes over signals and the event loop."""
    command = [sys.executable, "-c", OPENING]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    printed, opened = run.stdout.split()
    assert printed.partition("token=")[0] == opened.partition("token=")[0]
    assert printed != opened and printed.endswith("#wrt=W") and opened.endswith("#wrt=W")


# How it ends.


def test_ctrl_c_ends_it_and_its_worker(tmp_path):
    with serving(tmp_path, "W @ X", "W=4x3", "X=3x5", "--wrt", "X") as served:
        assert served.fragment == "expression=W+%40+X&wrt=X&shapes=W%3D4x3+X%3D3x5"
        served.enter()
        (worker,) = served.workers()
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 0
        assert until(lambda: not alive(worker))
        assert served.errors.read_text() == ""


def test_ctrl_c_before_it_has_answered_anything(tmp_path):
    with serving(tmp_path) as served:
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 0
        assert served.errors.read_text() == ""


def test_ctrl_c_in_the_midst_of_an_answer(tmp_path):
    with serving(tmp_path, "mine:slow", "x=3") as served:
        served.enter()
        (worker,) = served.workers()
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        headers = {"Cookie": served.cookie, "Origin": served.origin}
        headers["Content-Type"] = "application/json"
        connection.request("POST", "/api/view", json.dumps(SLOW), headers)
        time.sleep(1)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 0
        connection.close()
        assert until(lambda: not alive(worker))
        assert served.errors.read_text() == ""


def test_a_killed_server_takes_its_worker_along(tmp_path):
    with serving(tmp_path, "mine:slow", "x=7") as served:
        served.enter()
        assert served.ask("gallery")[0] == 200
        (worker,) = served.workers()  # busy by now: it computes the first view ahead
        served.process.kill()
        served.process.wait()
        assert until(lambda: not alive(worker))


# What the command says.


def command(folder, *argv, code=None):
    program = ["-c", code] if code else ["-m", "layouts"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *program, "serve", "--no-open", *argv],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def said(run, *words):
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("layouts: error: ") and run.stderr.count("\n") == 1
    for word in words:
        assert word in run.stderr


def test_a_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said(command(tmp_path, "--port", str(taken.getsockname()[1])), "in use", "--port 0")


def test_without_the_extra(tmp_path):
    code = "import sys; sys.modules['starlette'] = None; import layouts.cli as c; exit(c.main())"
    said(command(tmp_path, code=code), 'pip install "layouts[explorer]"')
