"""Expressions, most of them hostile, asked of a running explorer: it must stay up, quick and small.

A longer run than the tests make, with the figures that it came to:

    python -m tests.fuzz_explorer --inputs 10000 --seed 1
"""

import argparse
import http.client
import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from layouts.expressions.functions import FUNCTIONS
from tests.explorer_served import Served, serving

MEGABYTE = 2**20
# What may be added by so many inputs: the server keeps at most 64 MB of answers, and the worker
# forgets what it has compiled past 768 MB; what it needs to run its first answer is no growth.
MOST_SERVER = 96 * MEGABYTE
MOST_WORKER = 832 * MEGABYTE
# The server stops an answer after 20 s.
LONGEST = 20.0

SHAPES = ([], [2], [3], [2, 3], [3, 2], [2, 2], [3, 1])
NAMES = "WXxbt"
FREAKS = (
    "__import__('os').system('true')", "x.__class__.__mro__", "(lambda: x)()", "[x for x in W]",
    "{x}", "f'{x}'", "x if x else W", "x := 3", "exec('1')", "open('/etc/passwd')", "x;W", "x\nW",
    "os:getpid", "mine:slow", "9**9**9**9", "x**1e308", "x**-64", "x**65", "1e308*x*1e308",
    "1e-320*x", "0*x/0", "x/0", "1/0*x", "log(-x)", "sqrt(x-x)", "inv(x*0)", "det(W-W)", "x**0.5",
    "--x", "x.T.T", "kron(kron(kron(W, W), kron(W, W)), kron(W, W))",
    "outer(outer(x, x), outer(x, x))", "(" * 300 + "x" + ")" * 300, "-" * 39 + "x",
    "x" + "+x" * 150, "x" * 2001, "x+" * 999, "", " ", "\x00", "\ufeffx", "x\u202eW", "\uff38",
    "x\u0301", "\u2202L/\u2202W", "\U0001f600", "0x10*x", "1_0*x", "1j*x", "True*x", "None",
    "x[0]", "*x", "**x", "sum(*x)", "sum(x, axis=99)", "sum(x, axis=0, axis=0)", "sum(x, axis=x)",
    "sum(x, keepdims=2)", "norm(x - x)", "max(x)", "softmax(x, axis=-7)", "foo(x)",
    "<script>alert(1)</script>", "'); drop table x; --", "%s%n", "${x}", "../../x", "\\", "#",
    "x#W",
)  # fmt: skip
SIGNS = list("+-*/@().,=_ 0123456789xWXbtT'\"[]{}:;<>|&^%$#!?\\\t\n\x00éλ∂²ᵀ×⊗\u200b\u202e\ufffd")


def grammatical(rng: random.Random, depth: int = 2) -> str:
    """An expression of the grammar; its shapes may fit or not."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice([*NAMES, "2", "0.5", "1e-3"])
    part = grammatical(rng, depth - 1)
    kind = rng.randrange(4)
    if kind == 0:
        name = rng.choice(list(FUNCTIONS))
        rest = [grammatical(rng, depth - 1) for _ in range(FUNCTIONS[name].operands - 1)]
        axis = [f"axis={rng.randrange(-2, 2)}"] * (rng.random() < 0.2)
        return f"{name}({', '.join([part, *rest, *axis])})"
    if kind == 1:
        return rng.choice([f"({part}).T", f"-{part}", f"({part})**{rng.randrange(-2, 4)}"])
    return f"({part} {rng.choice('+-*/@')} {grammatical(rng, depth - 1)})"


def mutated(rng: random.Random) -> str:
    """An expression with a few characters wrong."""
    text = list(grammatical(rng, 3))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text) + 1)
        size = rng.choice((0, 0, 1, 1, 4))
        text[at : at + size] = rng.choices(SIGNS, k=rng.choice((0, 1, 1, 2)))
    return "".join(text)


def raw(rng: random.Random) -> str:
    """Any characters at all."""
    most = rng.choice((0x7F, 0x2FFF, 0x10FFFF))
    return "".join(chr(rng.randrange(most + 1)) for _ in range(rng.choice((1, 5, 30, 300))))


def freakish(rng: random.Random) -> str:
    """Two things that someone with bad intentions would try."""
    return rng.choice(("{0}", "{0}{1}", "sum({0})", "({0}) * ({1})")).format(
        *rng.choices(FREAKS, k=2)
    )


def body_of(rng: random.Random) -> bytes:
    """One request for a view."""
    kinds = (grammatical, mutated, raw, freakish)
    text = rng.choices(kinds, (1, 12, 9, 12))[0](rng)
    shapes: dict = {name: rng.choice(SHAPES) for name in NAMES if name in text}
    body: dict = {"source": {"kind": "expression", "text": text}, "shapes": shapes}
    chance = rng.random()
    if chance < 0.05:
        name, wrong = (
            rng.choice(NAMES),
            ([-1], [10**9], [0], [2.5], "2", None, [[2]], [1] * 40, {}, [True]),
        )
        shapes[name] = rng.choice(wrong)
    elif chance < 0.08:
        key = rng.choice(
            ("wrt", "seed", "layout", "vec", "textbook", "values", "checks", "\ud800", "x")
        )
        body[key] = rng.choice(
            (text, -1, 10**40, 1e999, [], {}, {"x": [1e999] * 2}, None, [[[[]]]])
        )
    elif chance < 0.10:
        body["source"] = rng.choice(
            (text, None, [text], {"kind": text}, {"kind": "function", "name": text})
        )
    found = json.dumps(body).encode()
    if rng.random() < 0.05:  # no longer JSON, or other JSON
        at = rng.randrange(len(found))
        found = found[:at] + rng.randbytes(rng.randrange(3)) + found[at + rng.randrange(3) :]
    return found


@dataclass
class Figures:
    """What a run came to.

    Attributes:
        statuses: how often each status was answered.
        longest: seconds of the slowest answer, and what was asked.
        server: bytes that the server's process grew by.
        worker: the same of the worker, beyond what it had after its first answer.
        seconds: in all.
        workers: processes that computed; more than one means that some were stopped.
        wrong: what was answered as it must not be.
    """

    statuses: Counter = field(default_factory=Counter)
    longest: tuple[float, bytes] = (0.0, b"")
    server: int = 0
    worker: int = 0
    seconds: float = 0.0
    workers: set[int] = field(default_factory=set)
    wrong: list[tuple[int, bytes]] = field(default_factory=list)

    def check(self) -> None:
        """Raise where the explorer failed, hung or grew."""
        assert not self.wrong, self.wrong[:5]
        assert self.longest[0] < LONGEST, self.longest
        assert self.server < MOST_SERVER, f"the server grew by {self.server:,} bytes"
        assert self.worker < MOST_WORKER, f"the worker grew by {self.worker:,} bytes"

    def __str__(self) -> str:
        """All of it but for what was wrong, for people."""
        each = ", ".join(f"{count:,} × {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{each}; slowest {self.longest[0]:.2f} s; the server grew by "
            f"{self.server / MEGABYTE:.0f} MB, the worker by {self.worker / MEGABYTE:.0f} MB; "
            f"{len(self.workers)} worker; {self.seconds:.0f} s in all"
        )


def resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def fuzz(served: Served, inputs: int, seed: int) -> Figures:
    """Ask a server for so many views, one connection for all of them."""
    rng, found = random.Random(seed), Figures()
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    own = {"Cookie": served.cookie, "Origin": served.origin, "Content-Type": "application/json"}

    def ask(body: bytes) -> tuple[int, bytes]:
        line.request("POST", "/api/view", body, own)
        answer = line.getresponse()
        return answer.status, answer.read()

    first = {
        "source": {"kind": "expression", "text": "tanh(W @ x)"},
        "shapes": {"W": [2, 3], "x": [3]},
    }
    status, _ = ask(json.dumps(first).encode())
    assert status == 200
    before, small = resident(served.process.pid), {}
    start = time.monotonic()
    for _ in range(inputs):
        body, begun = body_of(rng), time.monotonic()
        status, answer = ask(body)
        found.longest = max(found.longest, (time.monotonic() - begun, body))
        found.statuses[status] += 1
        refused = status in (400, 422) and b'"error"' in answer
        if not refused and not (status == 200 and b'"jacobian"' in answer):
            found.wrong.append((status, body))
        if sum(found.statuses.values()) % 25 == 0:
            for pid in served.workers():
                found.workers.add(pid)
                size = resident(pid)
                found.worker = max(found.worker, size - small.setdefault(pid, size))
            found.server = max(found.server, resident(served.process.pid) - before)
    found.seconds = time.monotonic() - start
    line.close()
    return found


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as served:
        found = fuzz(served.enter(), options.inputs, options.seed)
    print(found)
    print("slowest:", found.longest[1].decode("utf-8", "replace")[:300])
    for status, body in found.wrong:
        print(status, body)
    found.check()


if __name__ == "__main__":
    main()
