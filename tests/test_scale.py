"""Several processes: they agree with one device, and a lost one ends the run and leaves nothing."""

import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from experiments import scale, scaling_cases, scaling_joint, scaling_measuring
from experiments.harness import ClaimFailed, Claims
from experiments.scaling_processes import Process, ProcessLost, launch
from experiments.scaling_run import Run, free_port
from experiments.scaling_worker import peak_bytes

ROOT = Path(__file__).parent.parent
BOUND = 40  # seconds, of which starting Python and JAX are most


def start(*options):
    command = [sys.executable, "-m", "experiments.scale", "--small", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def children(parent):
    """The processes that a process has started and that run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if int(fields["PPid"]) == parent and not fields["State"].startswith("Z"):
            found.append(int(status.parent.name))
    return found


def runs(process):
    """Whether a process is there, and more than a name in a table."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def await_joined(parent, count):
    for _ in range(count):
        line = parent.stderr.readline()
        assert re.match(r"process \d joined: 2 of 4 cpu devices", line), line
    found = children(parent.pid)
    assert len(found) == count
    return found


def test_two_processes_agree_with_one_device():
    parent = start("--processes", "2")
    out, err = parent.communicate(timeout=300)
    assert parent.returncode == 0, err
    for case in scaling_cases.cases(small=True):
        assert case.name in out
    assert "RSS peak" in out and "per device" in out and "no measure of speed" in out
    assert re.search(r"every part equals one device's answer \(relative error \de-1[4-7]", out)


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_killed_process_ends_the_run(monkeypatch, capsys):
    """At work with the other, which waits for it in a collective."""
    started, killed = [], []
    start_one = Process.start.__func__

    def started_one(cls, task, progress):
        started.append(start_one(cls, task, progress))
        return started[-1]

    def kill_the_second(report, number, event):
        if number == 1 and event["event"] == "measured" and not killed:
            killed.append(time.monotonic())
            started[1].child.kill()

    monkeypatch.setattr(Process, "start", classmethod(started_one))
    monkeypatch.setattr(scaling_joint, "advance", kill_the_second)
    assert scale.main(["--small", "--processes", "2"]) == 1
    assert time.monotonic() - killed[0] < BOUND
    out, err = capsys.readouterr()
    joined = [line for line in err.splitlines() if "joined" in line]
    assert not out and len(joined) == 2 and err.count("\n") == 3
    assert "process 1 of 2 was killed by SIGKILL after " in err
    assert not any(runs(process.child.pid) for process in started)


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_killed_parent_leaves_no_process():
    parent = start("--processes", "2")
    workers = await_joined(parent, 2)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + BOUND
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, workers))


def test_a_process_that_never_comes_is_an_error():
    address = f"127.0.0.1:{free_port()}"
    run = Run(processes=2, here=(1,), coordinator=address, join_seconds=2)
    with pytest.raises(ProcessLost, match=r"process 1 of 2 did not meet the others at 127.0.0.1"):
        launch(run)


def test_a_process_that_fails_says_why(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")
    alone = Run(here=(0,), coordinator=f"127.0.0.1:{free_port()}")
    with pytest.raises(ProcessLost, match=r"process 0 of 1 failed .*: .*nonsense") as failure:
        launch(alone)
    assert "\n" not in str(failure.value)


def test_a_run_has_a_limit():
    """It ends with how far each process was, which on a quick machine may have joined by then."""
    far = r"process 0 (before it had joined|after '\w+')"
    with pytest.raises(ProcessLost, match=rf"^.*not done after 1 s: {far}.*; all stopped"):
        launch(Run(limit_seconds=1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--processes 0", "--processes: expected at least 1, got 0"),
        ("--processes 9999", "on this machine, .* got 9999; start fewer, or spread them over"),
        ("--processes 2 --devices 5", "divides the 96 rows of .* 1, 2, 3, .* got 10 devices"),
        ("--processes 2 --limit 0", "--limit: expected at least 1"),
        ("--process-id 0", "--coordinator, --processes and --process-id together"),
        ("--processes 2 --coordinator 127.0.0.1:1", "--process-id together"),
        ("--processes 2 --coordinator 1 --process-id 0", "expected HOST:PORT, got '1'"),
        ("--processes 2 --coordinator a:b --process-id 0", "expected HOST:PORT, got 'a:b'"),
        ("--processes 2 --coordinator a:1 --process-id 2", "a number from 0 to 1, .* got 2"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(options, words, capsys):
    assert scale.main(options.split()) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and not out
    assert re.search(words, err), err


def test_a_port_in_use_is_refused(capsys):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = f"--processes 2 --coordinator 127.0.0.1:{port} --process-id 0"
        assert scale.main(options.split()) == 2
    assert re.search(rf"listen on, got {port}: Address already in use", capsys.readouterr().err)


@pytest.mark.parametrize("case", scaling_cases.CASES, ids=lambda case: case.name)
def test_weak_scaling_keeps_what_a_device_has(case):
    def share(devices):
        arrays = case.arguments("weak", devices, small=True)
        return jax.eval_shape(case.truth, *map(jnp.asarray, arrays)).size / devices

    assert case.extent("weak", scaling_cases.MEETING) == case.extent("strong", 8)
    assert all(share(count) == pytest.approx(share(4), rel=0.02) for count in (1, 2, 4, 8))


def test_an_error_on_a_device_is_found():
    mesh = Mesh(np.array(jax.devices()[:1]), ("x",))
    prepared = scaling_measuring.Prepared.of(scaling_cases.CASES[0], "strong", mesh, small=True)
    assert prepared.error() == 0
    other = [array + 1e-6 for array in prepared.arrays]
    assert replace(prepared, arrays=other).error() > 1e-8


def rows(**changed):
    """Ideal scaling of one case, and the last row changed."""
    common = {"case": "a", "seconds": 1.0, "error": 0.0}
    found = [
        {**common, "mode": mode, "devices": n, "processes": p, "whole": whole}
        | {"shard": whole // n, "memory": whole // n, "sent": 8 * (n - 1)}
        for mode in ("strong", "weak")
        for n, p in ((1, 1), (4, 1), (4, 2))
        for whole in [4800 * (n if mode == "weak" else 1)]
    ]
    found[-1] |= changed
    return found


def test_ideal_scaling_bears_out_every_claim():
    claims = Claims()
    scale.check(claims, rows())
    assert len(claims.made) == 5
    assert scale.finding(rows(), 4).startswith("On 4 devices each takes 4.0 to 4.0 times less")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"error": 1e-9}, "relative error 1e-09"),
        ({"shard": 19200}, "no more"),
        ({"processes": 1, "memory": 19200}, "25% of ideal"),
        ({"memory": 9600}, "memory within 100.0%"),
        ({"sent": 99}, "bytes sent within"),
    ],
)
def test_each_claim_can_fail(changed, words):
    with pytest.raises(ClaimFailed, match=words):
        scale.check(Claims(), rows(**changed))


def test_memory_of_a_process_is_its_own():
    code = "from experiments.scaling_worker import peak_bytes; print(peak_bytes())"
    held = np.ones(2**26)  # 512 MiB here, which a child's own figure must not have
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert 2**24 < int(done.stdout) < held.nbytes < peak_bytes()
