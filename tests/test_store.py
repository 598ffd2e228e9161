"""Streams written to disk: whole, resumed, refused, damaged, without room."""

import errno
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts import LayoutError, Stream, stream
from layouts.streaming.arrays import CHUNK_BYTES, Array
from layouts.streaming.journal import Journal

tensorstore = pytest.importorskip("tensorstore")
ROOT = Path(layouts.__file__).parents[1]
MATRIX = np.random.default_rng(3).standard_normal((23, 29))
X = np.random.default_rng(5).standard_normal(29)


def function(x):
    return jnp.tanh(MATRIX @ x)


def blocks_of(function=function, *args, limit=8000, **options):
    return stream(function, memory_limit=limit, **options)(*(args or (jnp.asarray(X),)))


def read(blocks, path):
    """The whole of every array, loaded."""
    opened = blocks.read(path)
    return jax.tree.map(lambda array: array.read().result(), opened)


def chunks_in(path):
    return sorted(p for p in path.rglob("c/**/*") if p.is_file() and not p.name.endswith("lock"))


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in chunks_in(path)}


@pytest.fixture
def written(tmp_path):
    """A finished store of several blocks, and what is in it."""
    blocks = blocks_of()
    assert len(blocks) > 3
    assert blocks.write(tmp_path).computed == len(blocks)
    return tmp_path, contents(tmp_path)


@pytest.mark.parametrize("axis", ["out", "in"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "complex128"])
def test_what_is_read_is_what_was_computed(axis, dtype, tmp_path):
    x = jnp.asarray(X, dtype)
    matrix = jnp.asarray(MATRIX * (1 + 1j) if dtype == "complex128" else MATRIX, dtype)
    options = {"axis": axis, "holomorphic": dtype == "complex128"}
    blocks = blocks_of(lambda x: matrix @ jnp.sin(x), x, limit=2**15, **options)
    assert len(blocks.write(tmp_path).path.name) and len(blocks) >= 1
    whole = read(blocks, tmp_path)[""]
    assert whole.dtype == dtype
    for block in blocks:
        np.testing.assert_array_equal(whole[block.slices], block.array)


def test_several_inputs_and_outputs(tmp_path):
    def both(p, s):
        return {"a": jnp.tanh(p["u"]) * s, "b": (p["v"] ** 2, s)}

    args = ({"u": jnp.asarray(X), "v": jnp.asarray(MATRIX)}, jnp.asarray(2.0))
    expected = jax.jit(jax.jacrev(both, (0, 1)))(*args)
    for axis in ("out", "in"):
        blocks = stream(both, (0, 1), axis=axis, memory_limit=10**6)(*args)
        blocks.write(tmp_path / axis)
        whole = read(blocks, tmp_path / axis)
        assert list(whole) == (
            ["['a']", "['b'][0]", "['b'][1]"] if axis == "out" else ["[0]['u']", "[0]['v']", "[1]"]
        )
        if axis == "out":
            found = {"a": whole["['a']"], "b": (whole["['b'][0]"], whole["['b'][1]"])}
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b.reshape(a.shape)), found, expected
            )


def test_any_reader_of_zarr_opens_it(written):
    path, _ = written
    plain = tensorstore.open({"driver": "zarr3", "kvstore": f"file://{path}/jacobian/"}).result()
    np.testing.assert_allclose(plain.read().result(), jax.jacrev(function)(X))
    root = json.loads((path / "zarr.json").read_text())
    assert (root["node_type"], root["zarr_format"]) == ("group", 3)
    assert root["attributes"]["layouts"]["versions"]["jax"] == jax.__version__


def test_chunks_are_even_parts_of_blocks():
    def array(shape, axis, block):
        return Array("jacobian", shape, "float64", axis, block, {})

    assert array((1000, 7), 0, 64).chunks == (64, 7)
    large = array((100_000, 5000), 0, 4096)
    assert large.chunks[0] in {2**n for n in range(13)}
    assert 2**22 < 8 * np.prod(large.chunks) <= CHUNK_BYTES
    tall = array((3, 10**7), -1, 2**20)
    assert tall.chunks[1] in {2**n for n in range(21)}
    for whole in (array((100_003, 5001), 0, 4096), array((1237, 97_001), -1, 1024), tall):
        axis, seen = whole.axis % 2, set()
        for first in range(0, whole.shape[axis], whole.block):
            stop = min(first + whole.block, whole.shape[axis])
            pieces = dict(whole.chunks_within(slice(first, stop)))
            assert seen.isdisjoint(pieces)
            seen.update(pieces)
            assert min(s[axis].start for s in pieces.values()) == first
            assert max(s[axis].stop for s in pieces.values()) == stop
            area = sum(np.prod([s.stop - s.start for s in ss]) for ss in pieces.values())
            assert area == (stop - first) * whole.shape[1 - axis]


def test_a_run_that_failed_goes_on(tmp_path, monkeypatch):
    blocks, get, computed = blocks_of(), Stream.__getitem__, []

    def until_the_third(self, number):
        computed.append(number)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return get(self, number)

    monkeypatch.setattr(Stream, "__getitem__", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        blocks.write(tmp_path)
    with pytest.raises(LayoutError, match=f"expected {len(blocks)} finished blocks, got 2"):
        blocks.read(tmp_path)
    written = blocks.write(tmp_path)
    assert (written.computed, written.found, written.damaged) == (len(blocks) - 2, 2, 0)
    assert computed == [0, 1, 2, *range(2, len(blocks))]
    blocks.write(tmp_path / "at once")
    (tmp_path / "at once").rename(tmp_path.with_name("apart"))
    assert contents(tmp_path) == contents(tmp_path.with_name("apart"))


def other_rule(scale):
    @jax.custom_vjp
    def rule(x):
        return jnp.tanh(MATRIX @ x)

    rule.defvjp(lambda x: (rule(x), x), lambda x, c: (scale * (c @ MATRIX),))
    return rule


def with_constant(constant):
    inner = jax.jit(lambda x: jnp.tanh(constant @ x))
    return lambda x: inner(x)


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ({}, {"function": lambda x: jnp.sin(MATRIX @ x)}, "another function"),
        ({}, {"x": X + 1e-9}, "other inputs: x;"),
        ({}, {"x": X.astype("float32")}, "dtype of jacobian: float64 against float"),
        ({}, {"axis": "in"}, "another axis: 'out' against 'in'"),
        ({}, {"limit": 9000}, r"blocks of jacobian: \d against \d+; pass memory_limit=8000"),
        ({}, {"function": lambda x: jnp.tanh(MATRIX[:19] @ x)}, r"shape of jacobian: \[23, 29\]"),
        (
            {"function": with_constant(MATRIX)},
            {"function": with_constant(MATRIX + 1e-9)},
            "other constants",
        ),
        ({"function": other_rule(1)}, {"function": other_rule(2)}, "another derivative rule"),
        (
            {"function": lambda x: (jnp.sin(x), x)},
            {"function": lambda x: {"a": jnp.sin(x), "b": x}},
            "places in the pytrees of jacobian-0-0",
        ),
        ({"function": lambda x: (jnp.sin(x), x)}, {}, "other arrays: jacobian-0-0"),
    ],
)
def test_a_store_of_something_else_is_refused(first, second, difference, tmp_path):
    def made(function=function, x=X, **options):
        return blocks_of(function, jnp.asarray(x), **options)

    made(**first).write(tmp_path)
    before = contents(tmp_path)
    for use in (made(**second).write, made(**second).read):
        with pytest.raises(LayoutError, match=difference):
            use(tmp_path)
    assert contents(tmp_path) == before
    assert made(**first).write(tmp_path).computed == 0  # the same again, traced anew


def test_inputs_that_are_not_differentiated_count_by_name(tmp_path):
    def scaled(x, scale, flag):
        return jnp.tanh(MATRIX @ x) * scale if flag else x

    blocks_of(scaled, X, np.float64(2), True).write(tmp_path)
    with pytest.raises(LayoutError, match="expected the store of this very stream, got other in"):
        blocks_of(scaled, X, np.float64(3), True).write(tmp_path)
    try:
        blocks_of(scaled, X, np.asarray([2.0] * 23), True).write(tmp_path)
    except LayoutError as error:
        assert "other inputs: scale" in str(error)
    key = jax.random.key(3)
    blocks = blocks_of(lambda x, key: x * jax.random.normal(key, (29,)), X, key)
    blocks.write(tmp_path / "key")
    assert blocks.write(tmp_path / "key").computed == 0


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(LayoutError, match="choose another folder"):
        blocks_of().write(tmp_path)
    assert not (tmp_path / "zarr.json").exists()
    with pytest.raises(LayoutError, match="expected a store, got none"):
        blocks_of().read(tmp_path)
    with pytest.raises(LayoutError, match=r"letters\.txt.*File exists"):
        blocks_of().write(tmp_path / "letters.txt")


def test_a_second_writer_is_refused(tmp_path, monkeypatch):
    blocks, get, caught = blocks_of(), Stream.__getitem__, []

    def second(self, number):
        with pytest.raises(LayoutError, match="no other writer") as error:
            self.write(tmp_path)
        caught.append(error)
        return get(self, number)

    monkeypatch.setattr(Stream, "__getitem__", second)
    assert blocks.write(tmp_path).computed == len(caught) == len(blocks)
    assert blocks.write(tmp_path).computed == 0


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_chunk_is_computed_again(damage, written):
    path, whole = written
    damage(chunks_in(path)[1])
    blocks = blocks_of()
    with pytest.raises(LayoutError, match="others damaged"):
        blocks.read(path)
    again = blocks.write(path)
    assert (again.computed, again.damaged) == (1, 1)
    assert str(again).endswith("1 of the computed had been damaged")
    assert contents(path) == whole


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_damaged_metadata_is_written_anew(damage, written):
    path, whole = written
    before = (path / "jacobian/zarr.json").read_bytes()
    damage(path / "jacobian/zarr.json")
    assert blocks_of().write(path).computed == 0
    assert (path / "jacobian/zarr.json").read_bytes() == before
    assert contents(path) == whole


@pytest.mark.parametrize("damage", [cut, Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_damaged_description_is_written_anew_for_the_same_stream_alone(damage, written):
    path, whole = written
    damage(path / "zarr.json")
    with pytest.raises(LayoutError, match=r"zarr\.json"):
        blocks_of(lambda x: jnp.sin(MATRIX @ x)).write(path)
    with pytest.raises(LayoutError, match=r"zarr\.json|got none"):
        blocks_of().read(path)
    assert blocks_of().write(path).computed == 0
    assert contents(path) == whole
    assert blocks_of().read(path)


@pytest.mark.parametrize("keep", [0, 1, 60, 200, 400])
def test_a_journal_cut_anywhere_costs_the_blocks_it_lost(keep, written):
    path, whole = written
    journal = path / "journal.jsonl"
    lines = journal.read_bytes()
    journal.write_bytes(lines[:keep])
    left = lines[:keep].count(b"\n")
    again = blocks_of().write(path)
    assert (again.found, again.computed) == (left, len(blocks_of()) - left)
    assert contents(path) == whole
    assert sorted(journal.read_bytes().splitlines()) == sorted(lines.splitlines())


def test_an_altered_line_of_the_journal_does_not_count(written):
    path, whole = written
    journal = path / "journal.jsonl"
    lines = journal.read_bytes()
    journal.write_bytes(lines.replace(b"[1, ", b"[2, ", 1) + b"\xff\x00 no line\n")
    assert blocks_of().write(path).computed == 1
    assert contents(path) == whole


def test_a_file_that_may_not_grow(tmp_path):
    """The system refuses to write beyond a size, as a full disk does."""
    matrix = np.random.default_rng(7).standard_normal((13, 20_000))
    blocks = blocks_of(lambda x: jnp.tanh(matrix @ x), jnp.ones(20_000), limit=3_000_000)
    assert len(blocks) > 1
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(LayoutError, match="File too large") as caught:
            blocks.write(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path) in str(caught.value) and "finished blocks are kept" in str(caught.value)
    assert "tensorstore_spec" not in str(caught.value)
    finished = (tmp_path / "journal.jsonl").read_bytes().count(b"\n")
    again = blocks.write(tmp_path)
    assert (again.found, again.computed) == (finished, len(blocks) - finished)
    assert 0 < finished < len(blocks)  # rows of zeros are small


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    blocks, add = blocks_of(), Journal.add

    def full(self, block, chunks):
        if block == 2:
            with open(self.path, "ab") as file:
                file.write(self._line(block, chunks)[:40])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        add(self, block, chunks)

    monkeypatch.setattr(Journal, "add", full)
    with pytest.raises(LayoutError, match="No space left on device") as caught:
        blocks.write(tmp_path)
    assert str(tmp_path) in str(caught.value)
    monkeypatch.undo()
    again = blocks.write(tmp_path)
    assert (again.computed, again.found) == (len(blocks) - 2, 2)
    assert blocks.read(tmp_path)


def test_without_tensorstore_blocks_come_and_stores_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    blocks = blocks_of()
    assert sum(1 for _ in blocks) == len(blocks)
    for use in (blocks.write, blocks.read):
        with pytest.raises(ImportError, match=r'pip install "layouts\[store\]"'):
            use(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_progress_is_quiet_where_nobody_looks(tmp_path, capfd):
    blocks_of().write(tmp_path, progress=True)
    assert capfd.readouterr() == ("", "")


KILLS = '''
import json, os, random, shutil, signal, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import jax, jax.numpy as jnp, numpy as np, tensorstore
from layouts import Stream, stream

folder, seed, kills = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
store, log = folder / "killed", folder / "log"
log.touch()
matrix = np.random.default_rng(3).standard_normal((67, 5003)).astype(np.float32)

def rows():
    function = lambda x: jnp.tanh(matrix @ x)
    return stream(function, memory_limit=matrix.nbytes + 70_000)(np.ones(5003, np.float32) / 70)

def work():
    """What is killed: it notes each block that it begins to compute, and is slowed down."""
    compute = Stream.__getitem__
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    def slow(self, number):
        os.write(file, f"{number} ".encode())
        time.sleep(0.01)
        return compute(self, number)
    Stream.__getitem__ = slow
    rows().write(store)

def forked(function):
    # No thread of JAX runs before the fork: none of its backends has been asked for.
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return pid

def finished():
    try:
        lines = (store / "journal.jsonl").read_bytes().split(b"\\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line.partition(b" ")[2])[0] for line in lines]

def ended(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

generator, runs = random.Random(seed), []
while True:
    if len(finished()) == len(matrix):  # before it was killed often enough: once more
        shutil.rmtree(store)
    before, said = finished(), log.stat().st_size
    pid, status = forked(work), None
    killed = sum(status == -signal.SIGKILL for *_, status in runs) < kills
    if killed:
        early = generator.random() < 0.2  # while it starts, too
        while not early and log.stat().st_size == said and not ended(pid):
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.8 if early else 0.06))
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    computed = [int(word) for word in log.read_bytes()[said:].split()]
    runs.append([before, computed, finished(), status])
    if not killed:
        break
os.waitpid(forked(lambda: rows().write(folder / "whole")), 0)
print(json.dumps([len(rows()), runs]))
'''


def test_killed_at_any_moment_it_goes_on(tmp_path):
    """SIGKILL at 20 random moments: nothing finished is lost or computed twice."""
    seed = random.randrange(10**6)
    found = subprocess.run(
        [sys.executable, "-c", KILLS, str(ROOT), str(tmp_path), str(seed), "20"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    count, runs = json.loads(found.stdout)
    note = f"seed {seed}: {runs}"
    statuses = [status for *_, status in runs]
    assert statuses.count(-9) == 20 and {*statuses} == {-9, 0} and statuses[-1] == 0, note
    for before, computed, after, _ in runs:
        assert set(before) <= set(after), note
        assert set(before).isdisjoint(computed), note
        assert len(set(after) - set(before)) <= len(computed) <= len(set(after) - set(before)) + 1
    assert sorted(runs[-1][2]) == list(range(count)), note
    assert len([run for run in runs if run[1]]) > 12, note  # most were killed at work
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) == count
