"""In which order should a chain of Jacobians be multiplied, and what does the order cost?"""

import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import style
from experiments.counting import multiplications
from experiments.harness import Claims, Grid, Result, interleaved_seconds, main
from layouts import chains

COLOURS = {"forward": style.FORWARD, "reverse": style.REVERSE, "optimal": style.BEST}
ORDERS = tuple(COLOURS)

# The sizes of a chain from the input to the output, and which order is expected to win.
CASES = {
    "widening": ((10, 400, 700, 1000), "forward"),
    "narrowing": ((1000, 700, 400, 10), "reverse"),
    "bottleneck": ((900, 900, 10, 900, 900), "neither"),
    "two funnels": ((500, 20, 700, 20, 500), "neither"),
    "scalar loss": ((1500, 1500, 1500, 1), "reverse"),
}


def run(small: bool = False) -> Result:
    """Predict, count and time every order, along a sweep and on chains of five kinds."""
    claims = Claims()
    check_optimum(claims, trials=20 if small else 200)
    check_every_bracketing(claims)
    shrink, repeats = (5, 3) if small else (1, 15)
    sweep = measure_sweep(claims, hidden=384 // shrink, repeats=repeats)
    cases = {
        name: measure(tuple(-(-size // shrink) for size in dims), repeats)
        for name, (dims, _) in CASES.items()
    }
    check_cases(claims, cases, timed=not small)
    return Result(
        question=str(__doc__),
        finding="Start at the smaller end, or in the middle where the chain is narrow: there each "
        f"end takes {ratio(cases['bottleneck'], 'counted', 'forward'):.0f} times the optimum's "
        "multiplications. The predicted counts are exact.",
        claims=tuple(claims.made),
        grid=Grid(
            ("chain", "sizes", "optimum", "multiplications", "forward", "reverse"),
            tuple(table(cases)),
        ),
        data={"sweep": sweep, "cases": cases},
    )


def check_optimum(claims: Claims, trials: int) -> None:
    """The dynamic program against the list of all bracketings, on random chains."""
    rng = np.random.default_rng(0)
    agreed, most = 0, 0
    for _ in range(trials):
        dims = tuple(int(size) for size in rng.integers(1, 60, size=rng.integers(3, 8)))
        costs = [tree.multiplications for tree in chains.bracketings(dims)]
        agreed += chains.optimal(dims).multiplications == min(costs)
        most = max(most, len(costs))
    claims.check(
        "the optimum is the least of all bracketings, on random chains",
        agreed == trials,
        f"{agreed} of {trials} chains, up to {most} bracketings each",
    )


def check_every_bracketing(claims: Claims) -> None:
    """Predicted against counted multiplications, and one product, for all orders of one chain."""
    dims = (11, 2, 13, 3, 7, 5)
    factors = random_factors(dims)
    trees = chains.bracketings(dims)
    predicted = [tree.multiplications for tree in trees]
    counted = [multiplications(lambda *m, t=tree: t.multiply(m), *factors) for tree in trees]
    claims.check(
        f"predicted multiplications are those XLA counts, for all {len(trees)} orders of {dims}",
        predicted == counted,
        f"from {min(counted)} to {max(counted)}, every one equal",
    )
    products = [np.asarray(tree.multiply(factors)) for tree in trees]
    claims.equal("all of them give one product", products[-1], products[0])


def random_factors(dims: Sequence[int]) -> list[jax.Array]:
    """Matrices of a chain, as they are written: the output's factor first."""
    rng = np.random.default_rng(1)
    made = [rng.normal(size=(out, n)) / n**0.5 for n, out in pairwise(dims)]
    return [jax.numpy.asarray(matrix) for matrix in reversed(made)]


def measure(dims: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Predict, count and time forward, reverse and the optimum on one chain."""
    factors = random_factors(dims)
    trees = {name: getattr(chains, name)(dims) for name in ORDERS}
    programs = {
        name: jax.jit(lambda *matrices, t=tree: t.multiply(matrices))
        for name, tree in trees.items()
    }
    return {
        "dims": dims,
        "trees": {name: str(tree) for name, tree in trees.items()},
        "predicted": {name: chains.multiplications(dims, name) for name in ORDERS},
        "counted": {name: multiplications(programs[name], *factors) for name in ORDERS},
        "seconds": interleaved_seconds(
            {name: partial(program, *factors) for name, program in programs.items()}, repeats
        ),
    }


def measure_sweep(claims: Claims, hidden: int, repeats: int) -> list[dict[str, Any]]:
    """Sweep outputs / inputs through one, with three equal layers between."""
    points = []
    for exponent in (-4, -3, -2, -1, 0, 1, 2, 3, 4):
        n_in = round(hidden / 2 * 2 ** (-exponent / 2))
        n_out = round(hidden / 2 * 2 ** (exponent / 2))
        point = measure((n_in, hidden, hidden, hidden, n_out), repeats)
        points.append({"ratio": n_out / n_in, **point})
    signs = [np.sign(p["counted"]["forward"] - p["counted"]["reverse"]) for p in points]
    expected = [np.sign(1 - p["ratio"]) for p in points]
    claims.check(
        "forward costs less exactly where outputs outnumber inputs",
        signs == expected,
        "multiplications cross over at a ratio of one",
    )
    return points


def check_cases(claims: Claims, cases: dict[str, dict[str, Any]], timed: bool) -> None:
    """Each kind of chain is won by the order that was expected, in counts and in time."""
    for name, case in cases.items():
        costs, winner = case["counted"], CASES[name][1]
        claims.check(f"{name}: predicted is counted", costs == case["predicted"], f"{costs}")
        ahead = [order for order in ("forward", "reverse") if costs[order] == costs["optimal"]]
        claims.check(
            f"{name}: {winner} attains the optimum",
            ahead == ([] if winner == "neither" else [winner]),
            f"optimum {case['trees']['optimal']} at {costs['optimal']:,}, "
            f"forward {costs['forward']:,}, reverse {costs['reverse']:,}",
        )
        slow = max(("forward", "reverse"), key=costs.__getitem__)
        gain = case["seconds"][slow] / case["seconds"]["optimal"]
        if timed:
            claims.check(
                f"{name}: and it is faster on the clock than the worse end",
                gain > 1.2,
                f"{gain:.1f} times faster than {slow}, for "
                f"{costs[slow] / costs['optimal']:.1f} times fewer multiplications",
            )
    scalar = cases["scalar loss"]
    entries = sum(out * n for n, out in pairwise(scalar["dims"][:-1]))
    claims.check(
        "scalar loss: reverse multiplies vectors only, each entry of each matrix once",
        scalar["counted"]["reverse"] == entries,
        f"{entries:,} multiplications for {entries:,} entries",
    )


def ratio(case: dict[str, Any], what: str, order: str) -> float:
    """An order's figure over the optimum's."""
    return case[what][order] / case[what]["optimal"]


def table(cases: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row per chain; the two ends as multiples of the optimum, in count and in time."""
    return [
        (
            name,
            "-".join(map(str, case["dims"])),
            case["trees"]["optimal"],
            f"{case['counted']['optimal']:,}",
            *(
                f"×{ratio(case, 'counted', order):.1f}, time ×{ratio(case, 'seconds', order):.1f}"
                for order in ("forward", "reverse")
            ),
        )
        for name, case in cases.items()
    ]


def draw(result: Result) -> Figure:
    """The crossover in counts and in time, and the five kinds of chain."""
    figure = style.figure(10, 7.4)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 0.95))
    draw_counts(figure.add_subplot(grid[0, 0]), result.data["sweep"])
    draw_times(figure.add_subplot(grid[0, 1]), result.data["sweep"])
    draw_cases(figure.add_subplot(grid[1, :]), result.data["cases"])
    return figure


def draw_counts(axes: Axes, sweep: list[dict[str, Any]]) -> None:
    """Predicted multiplications as lines, counted ones as marks."""
    ratios = [point["ratio"] for point in sweep]
    for order in ("forward", "reverse"):
        colour = COLOURS[order]
        axes.plot(ratios, [p["predicted"][order] for p in sweep], color=colour, label=order)
        axes.plot(ratios, [p["counted"][order] for p in sweep], "o", color=colour)
    optimum = [point["predicted"]["optimal"] for point in sweep]
    axes.plot(ratios, optimum, "--", color=style.BEST, label="optimum")
    axes.plot([], [], "o", color=style.OTHER, label="counted")
    axes.set(title="Forward and reverse cross where outputs = inputs", ylabel="multiplications")
    axes.set_yscale("log")
    ratio_axis(axes)
    axes.legend()


def draw_times(axes: Axes, sweep: list[dict[str, Any]]) -> None:
    """The ratio of forward to reverse: predicted, and on the clock."""
    ratios = [point["ratio"] for point in sweep]
    for what, mark, colour, label in (
        ("counted", "-", style.OTHER, "multiplications"),
        ("seconds", "o", style.INK, "measured time"),
    ):
        values = [point[what]["forward"] / point[what]["reverse"] for point in sweep]
        axes.plot(ratios, values, mark, color=colour, label=label)
    axes.axhline(1, color=style.OTHER, linewidth=0.8, linestyle=":")
    axes.set(title="The clock follows the count", ylabel="forward / reverse")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    ratio_axis(axes)
    axes.legend()


def ratio_axis(axes: Axes) -> None:
    """A logarithmic axis of outputs per input, with one marked."""
    axes.set_xscale("log", base=2)
    axes.set_xticks([1 / 16, 1 / 4, 1, 4, 16], ["1/16", "1/4", "1", "4", "16"])
    axes.axvline(1, color=style.OTHER, linewidth=0.8, linestyle=":")
    axes.set_xlabel("outputs / inputs")


def draw_cases(axes: Axes, cases: dict[str, dict[str, Any]]) -> None:
    """Multiplications over the optimum's as bars, time over the optimum's as marks."""
    places = np.arange(len(cases))
    for offset, order in zip((-0.2, 0.2), ("forward", "reverse"), strict=True):
        heights = [ratio(case, "counted", order) for case in cases.values()]
        times = [ratio(case, "seconds", order) for case in cases.values()]
        bars = axes.bar(places + offset, heights, 0.38, color=COLOURS[order], label=order)
        labels = [f"{height:.3g}×" if height > 1 else "" for height in heights]
        axes.bar_label(bars, labels, padding=2)
        marks = axes.plot(places + offset, times, "D", color="white", markeredgecolor=style.INK)
    marks[0].set_label("measured time")
    axes.axhline(1, color=style.BEST, label="optimum")
    names = [f"{name}\n{'-'.join(map(str, case['dims']))}" for name, case in cases.items()]
    axes.set_xticks(places, names)
    axes.set_yscale("log")
    axes.set(ylabel="× optimum", title="Where the middle is narrow, neither end wins")
    axes.set_ylim(0.5, 4 * max(axes.get_ylim()))
    axes.legend(ncols=4, loc="upper left")


if __name__ == "__main__":
    main(sys.modules[__name__])
