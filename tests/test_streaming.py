"""Dense Jacobians in blocks under a budget: what they hold, how they tile, what they take."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts import LayoutError, Stream, stream
from tests.oracle import assert_close

ROOT = Path(layouts.__file__).parents[1]


def normal(*shape, dtype="float64"):
    generator = np.random.default_rng(len(shape) + sum(shape))
    numbers = generator.standard_normal(shape)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        numbers = numbers + 1j * generator.standard_normal(shape)
    return jnp.asarray(numbers, dtype)


def wide(W, V, x):
    """From 29 numbers through 31 to 23: every Jacobian in it is dense."""
    return jnp.tanh(V @ jnp.tanh(W @ x))


W, V, X = normal(31, 29), normal(23, 31), normal(29)


def least(function, *args, **options):
    """The least budget, read off the error that names it."""
    with pytest.raises(LayoutError, match="memory_limit") as caught:
        stream(function, memory_limit=1, **options)(*args)
    return int(re.search(r"at least ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))


def smallest(function, *args, **options):
    """The stream of the least budget that is enough."""
    limit = least(function, *args, **options)
    while True:  # one row may need less than the first figure says it might
        try:
            return stream(function, memory_limit=limit, **options)(*args)
        except LayoutError as error:
            more = int(re.search(r"at least ([\d,]+) bytes", str(error))[1].replace(",", ""))
            assert more > limit
            limit = more


def gathered(blocks):
    """The whole arrays, each entry written exactly once, by the leaf."""
    whole = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), blocks.result)
    times = jax.tree.map(lambda s: np.zeros(s.shape, int), blocks.result)

    def place(into, count, array, slices):
        assert isinstance(array, jax.Array) and array.dtype == into.dtype
        assert into[slices].shape == array.shape
        into[slices] = array
        count[slices] += 1

    for number, block in enumerate(blocks):
        assert block.number == number
        jax.tree.map(
            lambda i, c, a, s=block.slices: place(i, c, a, s),
            whole[block.leaf],
            times[block.leaf],
            block.array,
        )
    assert all((count == 1).all() for count in jax.tree.leaves(times))
    return whole


def assert_streams(blocks, dense, structure=None):
    """Compare with the dense Jacobian, a tree of outputs of trees of inputs."""
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(dense)]
    inputs = len(arrays) // (structure or 1)
    rows = [arrays[n : n + inputs] for n in range(0, len(arrays), inputs)]
    wanted = rows if blocks.axis == "out" else [list(column) for column in zip(*rows, strict=True)]
    whole = gathered(blocks)
    assert len(whole) == len(wanted)
    for found, group in zip(whole.values(), wanted, strict=True):
        for array, expected in zip(jax.tree.leaves(found), group, strict=True):
            assert array.dtype == expected.dtype
            assert_close(array, expected.reshape(array.shape), expected.dtype.name)


@pytest.mark.parametrize("axis", ["out", "in"])
@pytest.mark.parametrize("factor", [1.0, 1.2, 1.5, 100.0])
def test_blocks_of_any_size_tile_the_whole(axis, factor):
    def function(x):
        return wide(W, V, x)

    limit = int(smallest(function, X, axis=axis).memory_limit * factor)
    blocks = stream(function, axis=axis, memory_limit=limit)(X)
    assert blocks.peak_bytes <= limit
    assert len(blocks) == 1 if factor == 100.0 else len(blocks) > 1
    assert_streams(blocks, jax.jit(jax.jacrev(function))(X))


COMPLEX = normal(5, 3, dtype="complex128")


@pytest.mark.parametrize("axis", ["out", "in"])
@pytest.mark.parametrize(
    ("function", "args", "argnums", "outputs"),
    [
        (wide, (W, V, X), (0, 2), 1),
        (wide, (W, V, X), 1, 1),
        (lambda x: (jnp.cumsum(jnp.sin(x)), x[:3] * x.sum()), (normal(7, 5).ravel(),), 0, 2),
        (lambda p: {"a": p["u"] @ p["v"] ** 2, "b": p["v"].sum(0)}, ({"u": W, "v": W.T},), 0, 2),
        (lambda x, s: x * s, (normal(3, 5), jnp.asarray(2.0)), (0, 1), 1),
        (lambda x: jnp.outer(x, x) @ W[:7, :5], (normal(7),), -1, 1),
        (lambda x: jnp.vdot(x, x), (normal(17),), 0, 1),
        (lambda x: x * 2.5, (1.5,), 0, 1),
        (lambda x: (x[:0], x), (normal(5),), 0, 2),
        (lambda x, y: x, (normal(5), normal(3)), (0, 1), 1),
    ],
)  # fmt: skip
def test_several_inputs_and_outputs(axis, function, args, argnums, outputs):
    blocks = smallest(function, *args, argnums=argnums, axis=axis)
    assert_streams(blocks, jax.jit(jax.jacrev(function, argnums))(*args), outputs)


@pytest.mark.parametrize("axis", ["out", "in"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_floats_of_any_width(axis, dtype):
    x = normal(13, dtype=dtype)

    def function(x):
        return jnp.tanh(normal(11, 13, dtype=dtype) @ x)

    blocks = smallest(function, x, axis=axis)
    assert blocks.result[""].dtype == dtype
    assert_streams(blocks, jax.jit(jax.jacrev(function))(x))


@pytest.mark.parametrize("axis", ["out", "in"])
def test_complex_numbers(axis):
    def holomorphic(z):
        return jnp.sin(z) @ normal(3, 7, dtype="complex128")

    blocks = smallest(holomorphic, COMPLEX, holomorphic=True, axis=axis)
    assert_streams(blocks, jax.jit(jax.jacrev(holomorphic, holomorphic=True))(COMPLEX))

    def modulus(z):
        return jnp.abs(z @ normal(3, 7, dtype="complex128")) ** 2

    blocks = smallest(modulus, COMPLEX, axis=axis)
    assert_streams(blocks, jax.jit(jax.jacrev(modulus))(COMPLEX))


def test_a_block_by_its_number():
    blocks = smallest(lambda x: wide(W, V, x), X)
    assert isinstance(blocks, Stream)
    last = list(blocks)[-1]
    assert last.number == len(blocks) - 1
    again = blocks[-1]
    assert (again.number, again.slices, again.leaf) == (last.number, last.slices, "")
    np.testing.assert_array_equal(again.array, last.array)
    with pytest.raises(IndexError, match=f"of {len(blocks)}"):
        blocks[len(blocks)]


def test_blocks_are_of_the_arguments_as_they_were():
    x = np.arange(1.0, 1001.0)
    blocks = stream(lambda x: x**2)(x)
    x[:] = 0
    np.testing.assert_array_equal(np.diagonal(blocks[0].array), 2 * np.arange(1.0, 1001.0))


def test_one_program_computes_all_blocks():
    traced = []

    def function(x):
        traced.append(x)
        return wide(W, V, x)

    blocks = smallest(function, X)
    before = len(traced)
    assert len(blocks) > 20
    assert len({id(part) for part in blocks.plan}) == 1
    for _ in blocks:
        pass
    assert len(traced) == before


@pytest.mark.parametrize("axis", ["out", "in"])
def test_the_text_tells_blocks_and_peak(axis):
    blocks = smallest(lambda x: wide(W, V, x), X, axis=axis)
    what = "rows?" if axis == "out" else "columns?"
    assert re.fullmatch(
        rf"\d+ blocks of (up to )?\d+ {what}: 23 × 29 float64, 5.34 kB\npeak .* of .*", str(blocks)
    )


def test_mistakes_are_named():
    with pytest.raises(LayoutError, match="axis: expected 'out'"):
        stream(jnp.sin, axis="rows")
    with pytest.raises(LayoutError, match="memory_limit: expected a whole number"):
        stream(jnp.sin, memory_limit="1 GiB")
    with pytest.raises(LayoutError, match="one row at a time, got 0 bytes"):
        stream(jnp.sin, memory_limit=0)(X)
    with pytest.raises(LayoutError, match="tracers"):
        jax.jit(lambda x: stream(jnp.sin)(x)[0].array)(X)
    with pytest.raises(LayoutError, match="argnums"):
        stream(jnp.sin, argnums=3)(X)
    with pytest.raises(TypeError, match="real- or complex-valued"):
        stream(jnp.sin)(jnp.arange(3))


def test_a_budget_of_one_row_is_enough_and_less_is_not():
    blocks = smallest(lambda x: wide(W, V, x), X)
    assert blocks.plan[0].size == 1 and blocks.peak_bytes == blocks.memory_limit
    with pytest.raises(LayoutError, match=f"at least {blocks.memory_limit:,} bytes"):
        stream(lambda x: wide(W, V, x), memory_limit=blocks.memory_limit - 1)(X)


def test_live_arrays_stay_under_the_budget():
    """Beside what was there before, at each block, the one before it still held."""
    A, B = normal(701, 503), normal(1009, 701)

    def function(x):
        return jnp.tanh(B @ jnp.tanh(A @ x))

    x = normal(503)
    for axis in ("out", "in"):
        before = {id(array) for array in jax.live_arrays()}
        # The weights are constants: they are residuals, and in the budget.
        limit = A.nbytes + B.nbytes + 200_000
        blocks = stream(function, axis=axis, memory_limit=limit)(x)
        assert len(blocks) > 20
        most = 0
        for block in blocks:  # noqa: B007
            mine = sum(a.nbytes for a in jax.live_arrays() if id(a) not in before)
            most = max(most, mine)
        assert 0 < most <= limit - A.nbytes - B.nbytes
        assert len(blocks.plan) == 1


RESIDENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax.numpy as jnp, numpy as np
from layouts import stream

def resident(what):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(what)]
    return int(line.split()[1]) * 1024

def function(x):
    return jnp.tanh(jnp.cumsum(jnp.sin(x)))

def run(axis):
    limit, x = 2**24, jnp.linspace(0.0, 1.0, 14_701, dtype=jnp.float32)
    blocks = stream(function, axis=axis, memory_limit=limit)(x)
    before = resident("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here
    total = 0.0
    for block in blocks:
        total += np.asarray(block.array).sum(dtype=np.float64)
    whole = blocks.result[""]
    nbytes = whole.size * whole.dtype.itemsize
    return nbytes / limit, (resident("VmHWM") - before - limit) / 1e6, len(blocks), total

print(json.dumps([run(axis) for axis in ("out", "in")]))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux counts resident bytes"
)
def test_a_process_stays_under_a_budget_a_fiftieth_of_the_result():
    """The peak of resident memory while it computes a result of 0.9 GB, beyond what was there."""
    found = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
        # What is freed goes back to the system at once: arrays are measured, not the allocator.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    x = np.linspace(0.0, 1.0, 14_701)
    slope = 1 - np.tanh(np.cumsum(np.sin(x))) ** 2
    expected = (slope * np.cumsum(np.cos(x))).sum()
    for ratio, beyond, count, total in json.loads(found.stdout):
        assert ratio > 50 and count > 50
        assert beyond < 12  # MB, for the threads' stacks and the program of the last block's cut
        np.testing.assert_allclose(total, expected, rtol=1e-3)
