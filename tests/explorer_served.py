"""`layouts serve` as a process, for tests and for the fuzz."""

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent


class Served:
    """A running `layouts serve`."""

    def __init__(self, folder, *argv):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
        self.errors = folder / "errors.txt"
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "layouts", "serve", *argv],
                cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self.url = self.process.stdout.readline().strip()
        parts = urlsplit(self.url)
        self.port, self.query, self.fragment = parts.port, parts.query, parts.fragment
        self.origin = f"http://127.0.0.1:{self.port}"
        self.cookie = None

    def request(self, method, path, body=None, timeout=60, **headers):
        """The status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        own = {"Cookie": self.cookie} if self.cookie else {}
        if method == "POST":
            own |= {"Origin": self.origin, "Content-Type": "application/json"}
        given = {name: value for name, value in {**own, **headers}.items() if value is not None}
        connection.putrequest(method, path, skip_host="Host" in given)
        if isinstance(body, bytes):
            given.setdefault("Content-Length", str(len(body)))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def ask(self, name, body=None, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        status, _, found = self.request("POST", f"/api/{name}", content, **headers)
        return status, json.loads(found)

    def enter(self):
        status, headers, _ = self.request("GET", f"/?{self.query}")
        assert (status, headers["Location"]) == (303, "/")
        self.cookie = headers["Set-Cookie"].split(";")[0]
        return self

    def workers(self):
        """The processes that compute."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(word) for word in Path(path).read_text().split()]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def serving(folder, *argv):
    """A server on a free port, started in a folder."""
    served = Served(folder, "--no-open", "--port", "0", *argv)
    try:
        yield served
    finally:
        served.end()


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()
