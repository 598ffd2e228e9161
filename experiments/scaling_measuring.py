"""What is measured and checked of one result over a mesh, in one process of a scaling run."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import layouts
from experiments import compiled
from experiments.scaling_cases import AXIS, CASES, Case, network, product

SPLIT, WHOLE = PartitionSpec(AXIS), PartitionSpec()


@dataclass(frozen=True)
class Measured:
    """One program for a mesh.

    Attributes:
        case: its name.
        mode: "strong" or "weak".
        devices: of the mesh.
        processes: that they belong to.
        extent: rows of the result.
        memory: bytes on one device: arguments, result and what is between, by XLA's own analysis.
        shard: the largest part of the result on a device here, in bytes.
        whole: the whole result, in bytes.
        sent: bytes that each device sends, from the collectives in the compiled program; None on
            other platforms than the CPU, whose programs write them otherwise.
        seconds: of one call, compiled and warm: the median.
        compiling: seconds to trace, plan and compile.
    """

    case: str
    mode: str
    devices: int
    processes: int
    extent: int
    memory: int
    shard: int
    whole: int
    sent: int | None
    seconds: float
    compiling: float

    def record(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def line_of_devices() -> Mesh:
    """All devices of all processes in a row."""
    return Mesh(np.array(jax.devices()), (AXIS,), axis_types=(AxisType.Auto,))


def placed(case: Case, arrays: list[np.ndarray], mesh: Mesh) -> list[jax.Array]:
    """The arguments over a mesh; each process makes its own devices' parts."""
    return [
        jax.make_array_from_callback(
            array.shape, NamedSharding(mesh, SPLIT if split else WHOLE), array.__getitem__
        )
        for array, split in zip(arrays, case.split, strict=True)
    ]


@dataclass(frozen=True)
class Prepared:
    """A compiled program for a mesh and what it is called with.

    Attributes:
        case: what it computes.
        mode: "strong" or "weak".
        mesh: over which the result's rows are split.
        arrays: the whole arguments.
        given: the same over the mesh.
        program: compiled.
        compiling: seconds that this took, tracing and planning included.
    """

    case: Case
    mode: str
    mesh: Mesh
    arrays: list[np.ndarray]
    given: list[jax.Array]
    program: Any
    compiling: float

    @classmethod
    def of(cls, case: Case, mode: str, mesh: Mesh, small: bool) -> "Prepared":
        """Draw the arguments, place them, and compile."""
        arrays = case.arguments(mode, mesh.size, small)
        given = placed(case, arrays, mesh)
        start = time.perf_counter()
        asked = NamedSharding(mesh, SPLIT)
        program = jax.jit(case.ours(asked)).lower(*given).compile()
        return cls(case, mode, mesh, arrays, given, program, time.perf_counter() - start)

    def measured(self, repeats: int) -> Measured:
        """Run it, and read off what XLA planned for a device."""
        result = jax.block_until_ready(self.program(*self.given))
        return Measured(
            self.case.name,
            self.mode,
            self.mesh.size,
            jax.process_count(),
            self.case.extent(self.mode, self.mesh.size),
            memory_of(self.program),
            max(shard.data.nbytes for shard in result.addressable_shards),
            prod(result.shape) * result.dtype.itemsize,
            compiled.sent_bytes(self.program.as_text(), self.mesh.size)
            if jax.default_backend() == "cpu"
            else None,
            median_seconds(self.program, self.given, repeats),
            self.compiling,
        )

    def error(self) -> float:
        """How far what lies on this process's devices is from the answer of one device."""
        return error_here(self.program(*self.given), truth(self.case, self.arrays))


def memory_of(program: Any) -> int:
    """Bytes on one device, as XLA plans them: arguments, result and what is between."""
    taken = program.memory_analysis()
    return int(taken.argument_size_in_bytes + taken.output_size_in_bytes + taken.temp_size_in_bytes)


def median_seconds(program: Callable, given: list[Any], repeats: int) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(program(*given))
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def truth(case: Case, arrays: list[np.ndarray]) -> np.ndarray:
    """The whole result by JAX alone, in float64, on one device of this process."""
    with jax.default_device(jax.local_devices()[0]):
        return np.asarray(jax.jit(case.truth)(*map(jnp.asarray, arrays)))


def error_here(found: jax.Array, expected: np.ndarray) -> float:
    """The largest difference on this process's devices, relative to the largest entry."""
    gaps = [np.abs(np.asarray(s.data) - expected[s.index]).max() for s in found.addressable_shards]
    # What is no number is as wrong as can be.
    return float(np.nan_to_num(np.max(gaps), nan=np.inf) / np.abs(expected).max())


def alone(case: Case, small: bool) -> tuple[int, float]:
    """Bytes and seconds of strong scaling's program on one device of this process."""
    with jax.default_device(jax.local_devices()[0]):
        given = [jnp.asarray(array) for array in case.arguments("strong", 1, small)]
        program: Any = jax.jit(case.ours(None)).lower(*given).compile()
        jax.block_until_ready(program(*given))
        return memory_of(program), median_seconds(program, given, 1 if small else 5)


def check_structured(mesh: Mesh, small: bool) -> dict[str, float]:
    """What a structured Jacobian does with factors that lie on several processes' devices.

    Returns:
        For push, pull, kernel and dense array the error on this process's devices.
    """
    case = CASES[1]
    arrays = case.arguments("strong", mesh.size, small)
    given, dense = placed(case, arrays, mesh), truth(case, arrays)
    J = layouts.jacobian(network, structured=True)(*given)
    rows, columns = dense.shape[:2], dense.shape[2:]
    matrix = dense.reshape(prod(rows), prod(columns))
    rng = np.random.default_rng(0)
    tangent, cotangent = rng.standard_normal(columns), rng.standard_normal(rows)
    by_rows = NamedSharding(mesh, SPLIT)
    pulled = J.vjp(cotangent, out_sharding=NamedSharding(mesh, WHOLE))
    return {
        "jvp": error_here(
            J.jvp(tangent, out_sharding=by_rows), (matrix @ tangent.ravel()).reshape(rows)
        ),
        "vjp": error_here(pulled, (cotangent.ravel() @ matrix).reshape(columns)),
        "gram": error_here(
            J.gram("out", out_sharding=by_rows).dense(out_sharding=by_rows),
            (matrix @ matrix.T).reshape(rows * 2),
        ),
        "dense": error_here(J.dense(out_sharding=by_rows), dense),
    }


def check_streamed(mesh: Mesh, small: bool) -> float:
    """How far the blocks of a stream are from JAX, where its arguments lie on all processes."""
    case = CASES[0]
    arrays = case.arguments("strong", mesh.size, small)
    expected = truth(case, arrays)
    rows = expected.reshape(-1, *expected.shape[2:])
    blocks = layouts.stream(product, memory_limit=expected.nbytes // 4)(*placed(case, arrays, mesh))
    return max(error_here(b.array, rows[b.slices]) for b in blocks)
