"""How fast is a structured Jacobian beside JAX's own and the best by hand?

Dense, and as it is stored. Ratios of times in one process: all programs jitted and warm, called in
turn, the median of many rounds. A dense result can be no faster than writing it to memory, which is
what the hand-written optimum mostly does.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import layouts
from experiments import harness, style

SLOWEST_AGAINST_JAX = 0.95
FARTHEST_FROM_HAND = 1.5


@dataclass(frozen=True)
class Case:
    """One Jacobian: the function, its arguments, what one would write by hand, what is asked.

    Attributes:
        name: what it is, in a few words.
        function: differentiated by its first argument.
        sizes: handed to `arguments`, at full and at small size.
        arguments: makes the arguments from a generator and the sizes.
        by_hand: the dense Jacobian as an expert would write it.
        dense: how many times faster than JAX's better mode the dense result is asked to be.
        structured: the same for the structured result, None where nothing is asked.
        modes: the modes of JAX's that fit in memory.
    """

    name: str
    function: Callable
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    arguments: Callable[..., tuple[np.ndarray, ...]]
    by_hand: Callable
    dense: float = SLOWEST_AGAINST_JAX
    structured: float | None = None
    modes: tuple[str, ...] = ("jacfwd", "jacrev")


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """A float32 array scaled so that products keep their size."""
    scale = 1 / np.sqrt(shape[-1] if shape else 1)
    return (scale * random.normal(size=shape)).astype(np.float32)


def layers(random: np.random.Generator, *widths: int) -> tuple[np.ndarray, ...]:
    """The weights of a network without biases, out × in."""
    return tuple(normal(random, out, into) for into, out in pairwise(widths))


def network(X: jax.Array, *weights: jax.Array) -> jax.Array:
    """A tanh network, its last layer linear; works on a vector and on samples as columns."""
    *hidden, last = weights
    return last @ reduce(lambda A, W: jnp.tanh(W @ A), hidden, X)


def slopes(X: jax.Array, *weights: jax.Array) -> list[jax.Array]:
    """The activations' derivatives, layer by layer."""
    found = []
    for W in weights:
        X = jnp.tanh(W @ X)
        found.append(1 - X * X)
    return found


def matmul_by_hand(W: jax.Array, X: jax.Array) -> jax.Array:
    """`δ[i,k] X[l,j]`."""
    return jnp.einsum("ik,lj->ijkl", jnp.eye(W.shape[0], dtype=W.dtype), X)


def bottleneck(x: jax.Array, *weights: jax.Array) -> jax.Array:
    """A network with tanh after every layer."""
    return reduce(lambda a, W: jnp.tanh(W @ a), weights, x)


def bottleneck_by_hand(x: jax.Array, *weights: jax.Array) -> jax.Array:
    """Each half multiplied towards the narrow layer, then the two halves."""
    (A, B, C, D), (a, b, c, d) = weights, slopes(x, *weights)
    below = b[:, None] * ((B * a[None]) @ A)
    above = d[:, None] * (D @ (c[:, None] * C))
    return above @ below


def batched_by_hand(X: jax.Array, A: jax.Array, B: jax.Array, C: jax.Array) -> jax.Array:
    """One small product a sample, from the output on, written on the samples' diagonal."""
    a, b = slopes(X, A, B)
    rows = (C[None] * b.T[:, None, :]) @ B
    rows = (rows * a.T[:, None, :]) @ A  # sample, output, input
    diagonal = jnp.eye(X.shape[1], dtype=bool)[None, :, None, :]
    return jnp.where(diagonal, rows.transpose(1, 0, 2)[:, :, :, None], 0)


def by_weight(A: jax.Array, B: jax.Array, X: jax.Array) -> jax.Array:
    """`B tanh(A X)`, to be differentiated by the first layer."""
    return B @ jnp.tanh(A @ X)


def by_weight_by_hand(A: jax.Array, B: jax.Array, X: jax.Array) -> jax.Array:
    """`B[i,k] a[k,n] X[l,n]`: dense, yet a product."""
    (a,) = slopes(X, A)
    pulled = B[:, None, :] * a.T[None, :, :]
    return pulled[:, :, :, None] * X.T[None, :, None, :]


def layer_norm(X: jax.Array) -> jax.Array:
    """Each row shifted and scaled to mean 0 and variance 1."""
    centred = X - X.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)


def layer_norm_by_hand(X: jax.Array) -> jax.Array:
    """`(δ[j,l] - 1/n - y[i,j] y[i,l] / n) / s[i]` on the diagonal of the rows."""
    rows, n = X.shape
    y = layer_norm(X)
    scale = 1 / jnp.sqrt(X.var(-1, keepdims=True) + 1e-5)
    block = jnp.eye(n, dtype=X.dtype)[None] - 1 / n - y[:, :, None] * y[:, None, :] / n
    block = block * scale[:, :, None]  # row, out, in
    diagonal = jnp.eye(rows, dtype=bool)[:, None, :, None]
    return jnp.where(diagonal, block[:, :, None, :], 0)


def softmax_by_hand(z: jax.Array) -> jax.Array:
    """`diag(s) - s sᵀ`."""
    s = jax.nn.softmax(z)
    return jnp.diag(s) - s[:, None] * s[None, :]


CASES = (
    Case(
        "D = W X, by W",
        lambda W, X: W @ X,
        ((40, 60, 50), (5, 7, 3)),
        lambda r, h, m, n: (normal(r, h, m), normal(r, m, n)),
        matmul_by_hand,
        dense=2,
    ),
    Case(
        "tanh network 1000-1000-10-1000-1000, by x",
        bottleneck,
        ((1000, 10), (11, 3)),
        lambda r, n, k: (normal(r, n), *layers(r, n, n, k, n, n)),
        bottleneck_by_hand,
        dense=20,
    ),
    Case(
        "tanh network 64-64-64-16, 64 samples, by X",
        network,
        ((64, 64, 16), (7, 5, 3)),
        lambda r, samples, n, m: (normal(r, n, samples), *layers(r, n, n, n, m)),
        batched_by_hand,
        dense=4,
        structured=30,
    ),
    Case(
        "W₂ tanh(W₁ X) 64-64-16, 64 samples, by W₁",
        by_weight,
        ((64, 64, 16), (7, 5, 3)),
        lambda r, samples, n, m: (*layers(r, n, n, m), normal(r, n, samples)),
        by_weight_by_hand,
        dense=3,
        structured=30,
    ),
    Case(
        "layer norm 32×128, by its input",
        layer_norm,
        ((32, 128), (3, 5)),
        lambda r, rows, n: (normal(r, rows, n),),
        layer_norm_by_hand,
    ),
    Case(
        "softmax of 1000",
        jax.nn.softmax,
        ((1000,), (7,)),
        lambda r, n: (normal(r, n),),
        softmax_by_hand,
    ),
    Case(
        "tanh of 2000",
        jnp.tanh,
        ((2000,), (7,)),
        lambda r, n: (normal(r, n),),
        lambda x: jnp.diag(1 - jnp.tanh(x) ** 2),
    ),
    Case(
        "squared error of a tanh network 256-256-64, 128 samples, by W₁",
        lambda A, B, X, Y: ((B @ jnp.tanh(A @ X) - Y) ** 2).sum(),
        ((128, 256, 64), (5, 7, 3)),
        lambda r, samples, n, m: (
            *layers(r, n, n, m),
            normal(r, n, samples),
            normal(r, m, samples),
        ),
        lambda A, B, X, Y: (
            (B.T @ (2 * (B @ jnp.tanh(A @ X) - Y)) * (1 - jnp.tanh(A @ X) ** 2)) @ X.T
        ),
        modes=("jacrev",),
    ),
)


@dataclass(frozen=True)
class Row:
    """What was measured of one case: times in seconds, bytes."""

    name: str
    plan: str
    seconds: dict[str, float]
    dense_bytes: int
    stored_bytes: int
    dense_target: float
    structured_target: float | None

    def ratio(self, what: str) -> float:
        """How many times faster than the better of jacfwd and jacrev."""
        best = min(self.seconds[mode] for mode in ("jacfwd", "jacrev") if mode in self.seconds)
        return best / self.seconds[what]

    @property
    def distance(self) -> float:
        """How many times slower than the hand-written optimum."""
        return self.seconds["dense"] / self.seconds["by hand"]

    @property
    def reached(self) -> bool:
        """Whether all that is asked of this case was measured."""
        structured = self.structured_target
        return (
            self.ratio("dense") >= self.dense_target
            and self.distance <= FARTHEST_FROM_HAND
            and (structured is None or self.ratio("structured") >= structured)
        )


def measure(case: Case, small: bool, rounds: int, claims: harness.Claims) -> Row:
    """Check one case against JAX, then time it."""
    drawn = case.arguments(np.random.default_rng(0), *case.sizes[small])
    args = tuple(jnp.asarray(array, jnp.float32) for array in drawn)
    programs = {
        **{mode: jax.jit(getattr(jax, mode)(case.function)) for mode in case.modes},
        "dense": jax.jit(layouts.jacobian(case.function)),
        "structured": jax.jit(layouts.jacobian(case.function, structured=True)),
        "by hand": jax.jit(case.by_hand),
    }
    expected = programs["jacrev"](*args)
    structured = programs["structured"](*args)
    claims.equal(f"{case.name}: equals jax.jacrev", programs["dense"](*args), expected, 1e-4)
    claims.equal(f"{case.name}: structured equals dense", structured.dense(), expected, 1e-4)
    claims.equal(
        f"{case.name}: the hand-written one does", programs["by hand"](*args), expected, 1e-4
    )
    calls = {name: partial(program, *args) for name, program in programs.items()}
    seconds = harness.interleaved_seconds(calls, rounds)
    plan = layouts.cost(case.function)(*args).plan.name
    return Row(
        case.name, plan, seconds, expected.nbytes, structured.nbytes, case.dense, case.structured
    )


def run(small: bool = False) -> harness.Result:
    """Measure every case; the sizes of the small run are for checking results, not speed."""
    claims, rounds = harness.Claims(), 3 if small else 25
    rows = [measure(case, small, rounds, claims) for case in CASES]
    met = sum(row.reached for row in rows)
    mean = float(np.exp(np.mean([np.log(row.ratio("dense")) for row in rows])))
    best = float(np.exp(np.mean([np.log(row.ratio("by hand")) for row in rows])))
    return harness.Result(
        question="How fast is it, beside jax.jacfwd, jax.jacrev and the best by hand?",
        finding=(
            f"dense {mean:.1f}× the better of jacfwd and jacrev in the geometric mean, where the "
            f"hand-written optimum reaches {best:.1f}×; {met} of {len(rows)} cases meet theirs"
        ),
        claims=tuple(claims.made),
        grid=harness.Grid(
            ("case", "plan", "dense", "by hand", "distance", "structured", "stored", "target"),
            tuple(_cells(row) for row in rows),
        ),
        data={"rows": [_record(row) for row in rows]},
    )


def _cells(row: Row) -> tuple[str, ...]:
    target = f"{row.dense_target:g}×"
    if row.structured_target:
        target += f", {row.structured_target:g}×"
    return (
        row.name,
        row.plan,
        f"{row.ratio('dense'):.2f}×",
        f"{row.ratio('by hand'):.2f}×",
        f"{row.distance:.2f}",
        f"{row.ratio('structured'):.1f}×",
        f"1/{row.dense_bytes / max(row.stored_bytes, 1):.0f}",
        target + (" met" if row.reached else " missed"),
    )


def _record(row: Row) -> dict[str, Any]:
    return {
        "case": row.name,
        "plan": row.plan,
        "seconds": row.seconds,
        "dense_ratio": row.ratio("dense"),
        "structured_ratio": row.ratio("structured"),
        "by_hand_ratio": row.ratio("by hand"),
        "distance_to_by_hand": row.distance,
        "dense_bytes": row.dense_bytes,
        "stored_bytes": row.stored_bytes,
        "reached": row.reached,
    }


def draw(result: harness.Result) -> Figure:
    """Bars on a logarithmic scale, as multiples of the better of jacfwd and jacrev."""
    rows = result.data["rows"][::-1]
    figure = style.figure(10, 0.72 * len(rows) + 1.2)
    axes = figure.subplots()
    bars = (
        ("structured", "structured_ratio", style.BEST),
        ("by hand, dense", "by_hand_ratio", style.OTHER),
        ("layouts, dense", "dense_ratio", style.FORWARD),
    )
    for offset, (label, key, colour) in enumerate(bars):
        heights = [row[key] for row in rows]
        places = np.arange(len(rows)) + 0.26 * (1 - offset)
        drawn = axes.barh(places, heights, 0.24, color=colour, label=label)
        axes.bar_label(drawn, [f"{height:.3g}×" for height in heights], padding=3, fontsize=8)
    axes.axvline(1, color=style.INK, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row["case"].replace(", ", ",\n", 1) for row in rows])
    axes.set_xlabel("times faster than the better of jax.jacfwd and jax.jacrev")
    figure.suptitle("Structure is cheap; what remains of the dense result is writing it", x=0.5)
    axes.margins(x=0.12, y=0.02)
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
