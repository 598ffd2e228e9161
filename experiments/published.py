"""What would the Jacobian of a block of GPT-3 cost, and by which axis should devices split it?"""

import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass
from typing import Any

import jax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import layouts
from experiments import compiled, style, transformers
from experiments.harness import ClaimFailed, Claims, Grid, Result, main
from layouts.costs import CostReport
from layouts.mesh.communication import MeshReport

DEVICES = 64
REPEATS = 5
WITHIN = 0.1
UNITS = ("", "k", "M", "G", "T", "P", "E", "Z")


@dataclass(frozen=True)
class Planned:
    """One block of one model by its input, planned from shapes.

    Attributes:
        model: the model's name.
        block: which part of a block of it.
        report: on one device.
        shared: on a mesh.
        seconds: of processor time, for each time that both were found.
    """

    model: str
    block: str
    report: CostReport
    shared: MeshReport
    seconds: tuple[float, ...]


def run(small: bool = False) -> Result:
    """Plan every published size by block, then hold predictions against compiled programs."""
    claims = Claims()
    sizes = transformers.GPT3[:: len(transformers.GPT3) - 1] if small else transformers.GPT3
    planned = [
        plan(size, name, 3 if small else REPEATS) for size in sizes for name in transformers.BLOCKS
    ]
    check_time(claims, planned)
    check_memory_of_planning(claims)
    checks = compiled.run_apart(few=small)
    check_predictions(claims, checks)
    largest = {found.block: found for found in planned if found.model == sizes[-1].name}
    mlp, whole = largest["MLP"], largest["whole block"]
    return Result(
        question=str(__doc__),
        finding=f"By its input, an MLP of {mlp.model} has a Jacobian of "
        f"{amount(mlp.report.dense_bytes)}B, of which structure leaves "
        f"{amount(mlp.report.result_bytes)}B, and {DEVICES} devices "
        f"{amount(mlp.shared.best.result_bytes)}B each; a whole block ties every token to every "
        f"other, and takes {amount(whole.shared.best.result_bytes)}B on each. Checked were "
        f"{len(checks)} small programs, against what XLA compiles for {compiled.DEVICES} devices; "
        "every row of this table is extrapolated by the same formulas.",
        claims=tuple(claims.made),
        grid=Grid(
            (
                "GPT-3",
                "part",
                "planned",
                "jax.jacrev",
                "dense",
                "stored",
                f"split over {DEVICES}",
                "each",
                "peak",
                "sent",
            ),
            tuple(map(cells, planned)),
        ),
        data={
            "devices": DEVICES,
            "rows": [record(found) for found in planned],
            "checks": [vars(check) for check in checks],
        },
    )


def plan(size: transformers.Size, name: str, repeats: int) -> Planned:
    """Plan one part of a block, on one device and on the mesh, several times for the clock."""
    function, args = transformers.BLOCKS[name], transformers.shapes(size)[name]
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        report = layouts.cost(function)(*args)
        shared = report.sharded({"devices": DEVICES})
        seconds.append(time.process_time() - start)
    return Planned(size.name, name, report, shared, tuple(seconds))


def check_time(claims: Claims, planned: list[Planned]) -> None:
    """A second a block, the plan for one device and for the mesh together."""
    slowest = max(planned, key=lambda found: statistics.median(found.seconds))
    median, best = statistics.median(slowest.seconds), min(slowest.seconds)
    claims.check(
        "a block of any size is planned from its shapes in less than a second",
        median < 1,
        f"{slowest.block} of {slowest.model} takes the longest: {median:.2f} s of a processor, the "
        f"median of {len(slowest.seconds)}, and {best:.2f} s at best",
    )


def check_memory_of_planning(claims: Claims) -> None:
    """Planning the largest block allocates no array, neither JAX's nor NumPy's."""
    size = transformers.GPT3[-1]
    before = sum(array.nbytes for array in jax.live_arrays())
    tracemalloc.start()
    plan(size, "whole block", 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    made = sum(array.nbytes for array in jax.live_arrays()) - before
    least = size.context**2 * transformers.BYTES_PER_ENTRY  # one causal mask
    claims.check(
        f"planning a block of {size.name} allocates no array of it",
        made == 0 and peak < least,
        f"{made} bytes of JAX arrays, a peak of {amount(peak)}B in Python, plans and traces; one "
        f"causal mask alone would be {amount(least)}B",
    )


def check_predictions(claims: Claims, checks: list[compiled.Check]) -> None:
    """Memory, bytes sent and multiplications of one of eight devices, against XLA's own."""
    for what, pairs in (
        ("memory per device, arguments included", [check.memory for check in checks]),
        ("bytes sent per device", [check.sent for check in checks]),
        (
            "multiplications per device",
            [check.multiplications for check in checks if check.multiplications],
        ),
    ):
        worst = max(abs(got - want) / max(want, 1) for got, want in pairs)
        claims.check(
            f"the predicted {what} are those of XLA's program for {compiled.DEVICES} devices",
            worst <= WITHIN,
            f"within {worst:.1%} in {len(pairs)} programs",
        )
    if not any(check.sent[1] for check in checks):
        raise ClaimFailed("no compiled program sends anything: nothing was checked")


def cells(found: Planned) -> tuple[str, ...]:
    """A row of the table: multiplications, bytes, then what each of the devices has of them."""
    report, best = found.report, found.shared.best
    if report.jacrev is None:
        raise ClaimFailed(f"jax.jacrev was not counted on {found.block}")
    return (
        found.model.removeprefix("GPT-3 "),
        found.block,
        amount(report.planned.multiplications),
        amount(report.jacrev.multiplications),
        f"{amount(report.dense_bytes)}B",
        f"{amount(report.result_bytes)}B",
        best.name,
        amount(best.cost.multiplications),
        f"{amount(best.cost.peak_bytes)}B",
        f"{amount(best.sent_bytes)}B",
    )


def record(found: Planned) -> dict[str, Any]:
    """A row as data, every way to split included."""
    report = found.report
    return {
        "model": found.model,
        "block": found.block,
        "planned": vars(report.planned),
        "jacrev": vars(report.jacrev) if report.jacrev else None,
        "dense_bytes": report.dense_bytes,
        "result_bytes": report.result_bytes,
        "seconds": found.seconds,
        "ways": [
            {
                "split": way.name,
                **vars(way.cost),
                "sent_bytes": way.sent_bytes,
                "result_bytes": way.result_bytes,
                "dense_bytes": way.dense_bytes,
                "dense_peak_bytes": way.dense_peak_bytes,
            }
            for way in found.shared.ways
        ],
    }


def amount(number: float) -> str:
    """A count in three figures.

    Example:
        >>> amount(1_236_950_581_248), amount(999.6), amount(0)
        ('1.24 T', '1 k', '0 ')
    """
    power = 0
    while round(number, 0) >= 1000 and power < len(UNITS) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {UNITS[power]}"


def draw(result: Result) -> Figure:
    """Bytes of each block's Jacobian: dense, structured, and on each device."""
    rows = result.data["rows"]
    figure = style.figure(10, 3.6)
    panels: Any = figure.subplots(1, len(transformers.BLOCKS), sharey=True)
    for axes, block in zip(panels, transformers.BLOCKS, strict=True):
        draw_block(axes, block, [row for row in rows if row["block"] == block])
    panels[0].set_ylabel("bytes, float32")
    panels[0].legend(loc="upper left", fontsize=8)
    return figure


def draw_block(axes: Axes, block: str, rows: list[dict[str, Any]]) -> None:
    """The sizes of one part of a block, over the models."""
    places = range(len(rows))
    best = [row["ways"][0]["result_bytes"] for row in rows]
    axes.semilogy(
        places, [row["dense_bytes"] for row in rows], "o-", color=style.OTHER, label="dense"
    )
    axes.semilogy(
        places, [row["result_bytes"] for row in rows], "o-", color=style.FORWARD, label="structured"
    )
    axes.semilogy(places, best, "o-", color=style.BEST, label=f"on each of {DEVICES} devices")
    axes.axhline(80e9, color=style.REVERSE, linestyle=":", linewidth=1.2)
    axes.text(
        len(rows) - 1, 80e9, "80 GB", color=style.REVERSE, ha="right", va="bottom", fontsize=8
    )
    names = [row["model"].removeprefix("GPT-3 ") for row in rows]
    axes.set_xticks(list(places), names, rotation=45, ha="right")
    axes.set_title(f"{block[0].upper()}{block[1:]}, by its input")


if __name__ == "__main__":
    main(sys.modules[__name__])
