"""What `experiments.scale` computes over a mesh, and what is measured of one program.

A case has one extent that grows: rows of a matrix, samples, tokens or bodies. The result's rows are
split over the mesh along it. Strong scaling keeps the extent; weak scaling keeps what a device has.
"""

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
from layouts.errors import LayoutError

AXIS = "x"  # the one axis of the mesh
STRONG = 96  # the extent of strong scaling
MEETING = 4  # on so many devices weak scaling has the same extent
SPLIT, WHOLE = PartitionSpec(AXIS), PartitionSpec()


def product(W: jax.Array, X: jax.Array) -> jax.Array:
    """One matrix product."""
    return W @ X


def network(W: jax.Array, V: jax.Array, X: jax.Array) -> jax.Array:
    """An MLP of two layers on a batch of samples, which are rows."""
    return jnp.tanh(X @ W) @ V


def attention(x: jax.Array, Q: jax.Array, K: jax.Array, V: jax.Array) -> jax.Array:
    """One head over tokens, which are rows."""
    return jax.nn.softmax((x @ Q) @ (x @ K).T / np.sqrt(Q.shape[1])) @ (x @ V)


def energy(x: jax.Array) -> jax.Array:
    """The energy of bodies, which are rows, by their distances from each other."""
    return jnp.exp(-((x[:, None] - x[None]) ** 2).sum(-1)).sum()


def kernel(W: jax.Array, V: jax.Array, X: jax.Array, *, out_sharding: Any = None) -> jax.Array:
    """`J Jᵀ` of the MLP by both its weights: the tangent kernel of a batch."""
    by_weights = layouts.jacobian(network, (0, 1), structured=True)(W, V, X)
    first, second = (J.gram("out", out_sharding=out_sharding) for J in by_weights)
    return (first + second).dense(out_sharding=out_sharding)


def kernel_by_jax(W: jax.Array, V: jax.Array, X: jax.Array) -> jax.Array:
    """The same from dense Jacobians."""
    jacobians = jax.jacrev(network, (0, 1))(W, V, X)
    return sum(jnp.einsum("naij,mbij->namb", J, J) for J in jacobians)  # type: ignore[return-value]


@dataclass(frozen=True)
class Case:
    """One result that is split by rows.

    Attributes:
        name: what tables call it.
        ours: takes `out_sharding`, returns the function that computes the result.
        truth: the same by JAX alone, on one device.
        shapes: of the arguments, for an extent and a width.
        split: which arguments are split over the mesh too, along their first axis.
        power: of the extent that the result's bytes grow with.
        widths: the width at full and at small size.
    """

    name: str
    ours: Callable[[Any], Callable]
    truth: Callable
    shapes: Callable[[int, int], tuple[tuple[int, ...], ...]]
    split: tuple[bool, ...]
    power: int
    widths: tuple[int, int]

    def extent(self, mode: str, devices: int) -> int:
        """How many rows, so that each device has as many.

        Raises:
            LayoutError: strong scaling over devices that do not divide its rows.
        """
        if mode == "weak":
            whole = STRONG * (devices / MEETING) ** (1 / self.power)
            return round(whole / devices) * devices
        if STRONG % devices:
            fitting = [n for n in range(1, STRONG + 1) if STRONG % n == 0]
            raise LayoutError(
                f"mesh axis {AXIS!r}",
                f"a size that divides the {STRONG} rows of {self.name!r}, one of "
                f"{', '.join(map(str, fitting))}",
                f"{devices} devices",
                "choose --processes and --devices so that their product is one of these",
            )
        return STRONG

    def arguments(self, mode: str, devices: int, small: bool) -> list[np.ndarray]:
        """Random arguments, the same ones in every process."""
        shapes = self.shapes(self.extent(mode, devices), self.widths[small])
        return [
            np.random.default_rng([number, *shape]).standard_normal(shape) / shape[-1] ** 0.5
            for number, shape in enumerate(shapes)
        ]


CASES = (
    Case(
        "W X by W",
        lambda asked: layouts.jacobian(product, out_sharding=asked),
        jax.jacrev(product),
        lambda rows, width: ((rows, width), (width, width + 3)),
        (True, False),
        2,
        (12, 3),
    ),
    Case(
        "MLP by its weights",
        lambda asked: layouts.jacobian(network, out_sharding=asked),
        jax.jacrev(network),
        lambda samples, width: ((width, width + 5), (width + 5, 7), (samples, width)),
        (False, False, True),
        1,
        (44, 5),
    ),
    Case(
        "attention by x",
        lambda asked: layouts.jacobian(attention, out_sharding=asked),
        jax.jacrev(attention),
        lambda tokens, width: ((tokens, width), (width, 5), (width, 5), (width, width - 1)),
        (True, False, False, False),
        2,
        (13, 3),
    ),
    Case(
        "energy's Hessian",
        lambda asked: layouts.hessian(energy, out_sharding=asked),
        jax.hessian(energy),
        lambda bodies, width: ((bodies, width),),
        (True,),
        2,
        (13, 3),
    ),
    Case(
        "J Jᵀ of the MLP",
        lambda asked: lambda *args: kernel(*args, out_sharding=asked),
        kernel_by_jax,
        lambda samples, width: ((17, 19), (19, width), (samples, 17)),
        (False, False, True),
        2,
        (12, 3),
    ),
)


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
        sent: bytes that each device sends, from the collectives in the compiled program.
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
    sent: int
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
            compiled.sent_bytes(self.program.as_text(), self.mesh.size),
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
    return float(max(gaps) / np.abs(expected).max())


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
