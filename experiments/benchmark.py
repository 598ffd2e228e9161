"""How fast is a structured Jacobian beside JAX's own and the best by hand?

Dense, and as it is stored. Ratios of times in one process: all programs jitted and warm, called in
turn, the median of many rounds. Dense results are written to memory that earlier calls have used,
and can be no faster than that, which is what the hand-written optimum mostly does. What is kept
structured is timed before, and can be no faster than the call of a jitted function. The cases are
in `experiments.suite`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import geometric_mean, median
from types import ModuleType

import numpy as np
from matplotlib.figure import Figure
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from experiments import harness, peers, style, timing
from experiments.measuring import FARTHEST_FROM_HAND, Row, measure, time_kept
from experiments.suite import CASES, Case

SHARE_OF_BEST_MEAN, SLOWEST_AGAINST_JAX, MEDIAN_DISTANCE = 0.95, 0.95, 1.15
ROUNDS = 100
COLUMNS = (
    *("case", "dense", "by hand", "distance", "structured (by hand)"),
    *("stored", "compile", "planning"),
)


@dataclass(frozen=True)
class Goal:
    """What is asked of the suite as a whole, what was measured, and whether that is enough."""

    asked: str
    measured: str
    met: bool

    def __str__(self) -> str:
        """In one line."""
        return f"{self.asked}: {self.measured}, {'met' if self.met else 'missed'}"


def goals(rows: Sequence[Row]) -> list[Goal]:
    """What is asked of all cases together, beside what was measured."""
    mean, best = (geometric_mean(row.ratio(what) for row in rows) for what in ("dense", "by hand"))
    slowest = min(rows, key=lambda row: row.ratio("dense"))
    farthest = max(rows, key=lambda row: row.distance)
    middle, short = median(row.distance for row in rows), sum(bool(row.missed) for row in rows)
    return [
        Goal(
            f"{SHARE_OF_BEST_MEAN:.0%} of the hand-written geometric mean",
            f"{mean:.2f}× of {best:.2f}×, {mean / best:.1%}",
            mean >= SHARE_OF_BEST_MEAN * best,
        ),
        Goal(
            f"no case below {SLOWEST_AGAINST_JAX}× the best of JAX",
            f"{slowest.ratio('dense'):.2f}× ({slowest.case.name})",
            slowest.ratio("dense") >= SLOWEST_AGAINST_JAX,
        ),
        Goal(
            f"half of the cases within {MEDIAN_DISTANCE} of the time by hand",
            f"median {middle:.2f}",
            middle <= MEDIAN_DISTANCE,
        ),
        Goal(
            f"every case within {FARTHEST_FROM_HAND} of the time by hand",
            f"{farthest.distance:.2f} ({farthest.case.name})",
            farthest.distance <= FARTHEST_FROM_HAND,
        ),
        Goal("what each case asks", f"{len(rows) - short} of {len(rows)} cases", not short),
    ]


def run(
    small: bool = False,
    cases: Sequence[Case] = CASES,
    rounds: int = ROUNDS,
    tell: Callable[[Case], None] = lambda case: None,
) -> harness.Result:
    """Measure the cases.

    Args:
        small: sizes for checking results, not speed.
        cases: which to measure.
        rounds: how often to time each program at most.
        tell: called with every case before it is measured: kept structured, then dense.
    """
    claims, rows = harness.Claims(), []
    apart: list[dict[str, float]] = []
    for case in cases:
        tell(case)
        apart.append({} if small else time_kept(case, rounds))
    kept = not small and timing.keep_memory()
    for case, seconds in zip(cases, apart, strict=True):
        tell(case)
        rows.append(measure(case, small, rounds, claims, seconds))
    found, shown = ([], {}) if small else (goals(rows), peers.titles())
    return harness.Result(
        question="How fast is it, beside jax.jacfwd, jax.jacrev and the best by hand?",
        finding="Small sizes: nothing is timed here."
        if small
        else "; ".join(map(str, found)) + ".",
        claims=tuple(claims.made),
        grid=harness.Grid(
            (*COLUMNS, *shown.values(), "asked"),
            tuple(_cells(row, tuple(shown)) for row in rows),
        ),
        data={
            "goals": [asdict(goal) for goal in found],
            "memory_kept": kept,
            "rows": [row.record() for row in rows],
        },
    )


def _cells(row: Row, shown: tuple[str, ...]) -> tuple[str, ...]:
    case, left_out = (
        row.case,
        "".join(f"; {name}: {why}" for name, why in row.case.left_out.items()),
    )
    asked = f"{case.dense:g}×" + (f", {case.structured:g}×" if case.structured else "")
    missed = "missed: " + "; ".join(row.missed) if row.missed else "met"
    return (
        f"{case.name} ({row.best} {row.seconds[row.best] * 1e3:.3g} ms{left_out})",
        f"{row.ratio('dense'):.2f}×",
        f"{row.ratio('by hand'):.2f}×",
        f"{row.distance:.2f}",
        _structured(row),
        f"1/{row.dense_bytes / max(row.stored_bytes, 1):.0f}",
        f"{row.compilation:.2f}" if row.compilation else "",
        f"{row.planning * 1e3:.0f} ms",
        *(_peer(row, name) for name in shown),
        f"{asked} {missed}",
    )


def _structured(row: Row) -> str:
    """How fast the structured result is, and what one would keep by hand."""
    by_hand = f" ({row.ratio('kept by hand'):.1f}×)" if "kept by hand" in row.kept else ""
    return f"{row.ratio('structured'):.1f}×{by_hand}"


def _peer(row: Row, name: str) -> str:
    """How fast a peer is, as a multiple of the best of JAX, and whether it beats this project."""
    taken = row.peers.get(name, "")
    if isinstance(taken, str):
        return taken
    wins = " wins" if taken < row.seconds["dense"] else ""
    return f"{row.seconds[row.best] / taken:.2f}×{wins}"


def draw(result: harness.Result) -> Figure:
    """One line a case on a logarithmic scale, as multiples of the best of JAX."""
    rows = result.data["rows"][::-1]
    figure = style.figure(10, 0.27 * len(rows) + 1.6)
    axes = figure.subplots()
    marks = (
        ("structured", "structured_ratio", style.BEST, "D", 26),
        ("by hand, dense", "by_hand_ratio", style.OTHER, "|", 130),
        ("layouts, dense", "dense_ratio", style.FORWARD, "o", 34),
    )
    places = np.arange(len(rows))
    for label, key, colour, marker, size in marks:
        axes.scatter(
            [row[key] for row in rows],
            places,
            s=size,
            c=colour,
            marker=marker,
            label=label,
            zorder=3,
        )
    for name, marker in (("asdex", "x"), ("torch", "+")):
        taken = [(row["peers"].get(name), place) for place, row in enumerate(rows)]
        timed = [(t, place) for t, place in taken if t and not isinstance(t, str)]
        if timed:
            best = [rows[place]["seconds"][rows[place]["best_of_jax"]] / t for t, place in timed]
            axes.scatter(
                best,
                [place for _, place in timed],
                s=30,
                c=style.REVERSE,
                marker=marker,
                label=name,
                zorder=2,
            )
    for place, row in enumerate(rows):
        axes.annotate(
            f"{row['dense_ratio']:.3g}×",
            (1.005, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=style.REVERSE if row["missed"] else style.INK,
        )
    axes.axvline(1, color=style.INK, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(places, [row["case"] for row in rows], fontsize=8)
    axes.hlines(places, *axes.get_xlim(), color=style.OTHER, linewidth=0.3, alpha=0.5)
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.set_xlabel(
        "times faster than the best of JAX (right: layouts, dense; red: less than asked)"
    )
    figure.suptitle("Jacobians and Hessians beside the best of JAX and the best by hand", x=0.5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: the options of every experiment, and which cases to run how often."""
    options = harness.parser("experiments.benchmark", __doc__)
    options.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds TEXT")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="at most (%(default)s)")
    options.add_argument("--list", action="store_true", help="name the cases and stop")
    chosen, console = options.parse_args(arguments), harness.console_of_results()
    cases = [case for case in CASES if chosen.only.lower() in f"{case.name} {case.kind}".lower()]
    if not cases:
        options.error(f"argument --only: no case holds {chosen.only!r}; --list names them")
    if chosen.list:
        for case in cases:
            console.print(Text(f"{case.kind:18} {case.name}"), soft_wrap=True)
        console.print(f"{len(cases)} of {len(CASES)} cases")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=2 * len(cases), completed=-1)

        def tell(case: Case) -> None:
            progress.update(task, advance=1, description=case.name)

        module = ModuleType("benchmark")
        vars(module).update(
            run=partial(run, cases=cases, rounds=chosen.rounds, tell=tell), draw=draw
        )
        with harness.ending():
            report = harness.perform(module, chosen.out, chosen.small)
    harness.show(report, console)
    console.print(
        Text(f"Saved {chosen.out / 'benchmark'}.json and .png, after {report.seconds:.0f} s.")
    )


if __name__ == "__main__":
    main()
