"""Compile sharded Jacobians for eight virtual devices, and hold XLA's figures against the plan's.

Run as a process of its own, since a process has as many devices as it starts with:
`python -m experiments.compiled` prints a list of `Check`s as JSON. Nothing is computed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import layouts
from experiments import transformers

DEVICES = 8
SMALL_BLOCK = transformers.Size("small", "", 1, width=48, heads=6, head=8, context=64)
ITEMSIZES = {"pred": 1, "s32": 4, "u32": 4, "bf16": 2, "f32": 4, "f64": 8}


@dataclass(frozen=True)
class Check:
    """What was predicted for one device, and what XLA's compiled program has.

    Attributes:
        name: of the program.
        split: which axis of the Jacobian the devices divide.
        memory: bytes per device: arguments, result and what is between.
        sent: bytes that each device sends, to evaluate the function too.
        multiplications: of one device; None where the program is more than matrix products.
    """

    name: str
    split: str
    memory: tuple[int, int]
    sent: tuple[int, int]
    multiplications: tuple[int, int] | None


@dataclass(frozen=True)
class Case:
    """A function, its arguments with how they lie, and how the result is to lie."""

    name: str
    function: Callable
    args: tuple
    split: str
    out: tuple
    dots: bool = False


def product(x: jax.Array, W: jax.Array, V: jax.Array) -> jax.Array:
    """Two matrix products: its Jacobian is V W."""
    return V @ (W @ x)


def loss(W: jax.Array, X: jax.Array, Y: jax.Array) -> jax.Array:
    """A loss summed over samples, which are rows."""
    return jnp.sum((jnp.tanh(X @ W) - Y) ** 2)


def cases(mesh: jax.sharding.Mesh, few: bool) -> list[Case]:
    """The programs, small enough that XLA compiles them in a few seconds each."""

    def array(shape: tuple[int, ...], *axes: str | None) -> jax.ShapeDtypeStruct:
        lies = NamedSharding(mesh, PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, "float32", sharding=lies)

    x, W, V = array((256,)), array((128, 256)), array((512, 128))
    rows = array((128, 256), "d")
    samples = (array((480, 400)), array((64, 480), "d"), array((64, 400), "d"))
    found = [
        Case("two products", product, (x, W, V), "rows", ("d",), dots=True),
        Case("two products", product, (x, W, V), "columns", (None, "d"), dots=True),
        Case("two products, W in rows", product, (x, rows, V), "rows", ("d",), dots=True),
        Case("two products, W in rows", product, (x, rows, V), "columns", (None, "d"), dots=True),
        Case("loss, samples apart", loss, samples, "arguments", ()),
    ]
    if few:
        return found
    shapes = {
        name: jax.tree.map(lambda leaf: array(leaf.shape), args)
        for name, args in transformers.shapes(SMALL_BLOCK).items()
    }
    for name, lies, split, out in (
        ("attention", (), "rows (output axis 0)", ("d",)),
        ("attention", (), "rows (output axis 1)", (None, "d")),
        ("attention", (), "columns (x axis 1)", (None, None, None, "d")),
        ("attention", ("d",), "rows (output axis 0)", ("d",)),
        ("MLP", (), "batch", ("d",)),
        ("MLP", (), "columns", (None, None, None, "d")),
        ("MLP", ("d",), "rows (output axis 1)", (None, "d")),
        ("whole block", (), "rows (output axis 0)", ("d",)),
        ("whole block", (), "rows (output axis 1)", (None, "d")),
        ("whole block", ("d",), "rows (output axis 0)", ("d",)),
    ):
        x, *rest = shapes[name]
        args = (array(x.shape, *lies), *rest)
        called = f"{name}, x in rows" if lies else name
        found.append(Case(called, transformers.BLOCKS[name], args, split, out))
    return found


def check(case: Case, mesh: jax.sharding.Mesh) -> Check:
    """Predict, compile and read off."""
    report = layouts.cost(case.function)(*case.args).sharded(mesh)
    way = next(way for way in report.ways if way.name.startswith(case.split))
    asked = NamedSharding(mesh, PartitionSpec(*case.out))
    program = layouts.jacobian(case.function, out_sharding=asked)
    compiled: Any = jax.jit(program).lower(*case.args).compile()
    memory = compiled.memory_analysis()
    taken = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Check(
        case.name,
        way.name,
        (way.dense_peak_bytes, taken),
        (way.sent_bytes, sent_bytes(compiled.as_text())),
        (way.cost.multiplications, int(compiled.cost_analysis()["flops"]) // 2)
        if case.dots
        else None,
    )


def sent_bytes(text: str, devices: int = DEVICES) -> int:
    """What each device sends in a compiled program, by the formulas of `layouts.mesh.exchanges`.

    Example:
        >>> sent_bytes("%a = f32[16,2]{1,0} all-gather(f32[2,2] %b), dimensions={0}")  # 7/8 of 128
        112
    """
    share = (devices - 1) / devices
    factor = {"all-gather": share, "all-reduce": 2 * share, "all-to-all": share}
    total = 0.0
    kinds = "|".join((*factor, "reduce-scatter", "collective-permute"))
    text = re.sub(r"/\*.*?\*/", "", text)
    for shapes, kind in re.findall(rf"= (\(?[^=]*?\)?) ({kinds})(?:-start)?\(", text):
        if kind not in factor:
            raise ValueError(f"no formula for {kind}")
        total += factor[kind] * sum(
            ITEMSIZES[dtype] * prod(int(n) for n in extents.split(",") if n)
            for dtype, extents in re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        )
    return round(total)


def run_apart(few: bool = False) -> list[Check]:
    """Make the checks, all or a few quick ones, in a process with eight virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "experiments.compiled", *["--few"] * few]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"compiling for {DEVICES} devices failed:\n{done.stderr[-2000:]}")
    return [Check(**{k: _pair(v) for k, v in found.items()}) for found in json.loads(done.stdout)]


def _pair(value: Any) -> Any:
    """A pair again, which JSON has as a list."""
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", False)
    MESH = jax.make_mesh((DEVICES,), ("d",), axis_types=(AxisType.Auto,))
    print(json.dumps([asdict(check(case, MESH)) for case in cases(MESH, "--few" in sys.argv)]))
