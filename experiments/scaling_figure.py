"""The figure of `experiments.scale`: memory, bytes sent and time by the number of devices."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import style

COLOURS = (style.FORWARD, style.REVERSE, style.BEST, "#8a5fb0", "#b0892a")
Rows = Sequence[dict[str, Any]]


def draw(rows: Rows, cores: int) -> Figure:
    """Strong scaling above, weak below; a line for each case, dashed what is ideal."""
    figure = style.figure(10, 6.6)
    panels: Any = figure.subplots(2, 3)
    for (memory, sent, clock), mode in zip(panels, ("strong", "weak"), strict=True):
        own = [row for row in rows if row["mode"] == mode]
        counts = sorted({row["devices"] for row in own})
        draw_memory(memory, own, counts, mode)
        draw_sent(sent, own, counts)
        draw_time(clock, own, counts, cores)
        for axes in (memory, sent, clock):
            axes.set_xscale("log", base=2)
            axes.set_xticks(counts, [str(count) for count in counts])
            axes.minorticks_off()
    for axes in panels[1]:
        axes.set_xlabel("devices")
    return figure


def draw_memory(axes: Axes, rows: Rows, counts: list[int], mode: str) -> None:
    """Bytes on a device over those on one device alone."""
    first = _at_one(rows, "memory")
    _lines(axes, rows, {k: [r["memory"] / first[k] for r in v] for k, v in _cases(rows).items()})
    _ideal(axes, counts, mode)
    axes.set_ylabel("× one device's")
    axes.set_title(f"{mode.capitalize()} scaling: memory per device")
    if mode == "strong":
        axes.set_yscale("log", base=2)
        axes.set_yticks([1 / n for n in counts], ["1", *(f"1/{n}" for n in counts[1:])])
    else:
        axes.set_ylim(0, 1.5)


def draw_sent(axes: Axes, rows: Rows, counts: list[int]) -> None:
    """Bytes that a device sends over those that it holds; nothing would be ideal."""
    _lines(
        axes, rows, {k: [100 * r["sent"] / r["memory"] for r in v] for k, v in _cases(rows).items()}
    )
    axes.set_title("Sent per device")
    axes.set_ylabel("% of its memory")


def draw_time(axes: Axes, rows: Rows, counts: list[int], cores: int) -> None:
    """Seconds of a call over those on one device, where devices share cores."""
    first = _at_one(rows, "seconds")
    _lines(axes, rows, {k: [r["seconds"] / first[k] for r in v] for k, v in _cases(rows).items()})
    axes.set_title(f"Time, on {cores} cores")
    axes.set_yscale("log", base=2)


def _cases(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["case"], []).append(row)
    return found


def _at_one(rows: Rows, what: str) -> dict[str, float]:
    return {row["case"]: row[what] for row in rows if row["devices"] == 1}


def _lines(axes: Axes, rows: Rows, values: dict[str, list[float]]) -> None:
    """A line with dots for one process, squares for several."""
    for colour, (case, own) in zip(COLOURS, _cases(rows).items(), strict=True):
        points = list(zip(own, values[case], strict=True))
        alone = sorted((row["devices"], value) for row, value in points if row["processes"] == 1)
        axes.plot(*zip(*alone, strict=True), "o-", color=colour, markersize=4, label=case)
        several = [(row["devices"], value) for row, value in points if row["processes"] > 1]
        axes.plot(*zip(*several, strict=True), "s", color=colour, markersize=9, fillstyle="none")


def _ideal(axes: Axes, counts: list[int], mode: str) -> None:
    ideal = [1 / n if mode == "strong" else 1.0 for n in counts]
    axes.plot(counts, ideal, "--", color=style.OTHER, linewidth=1.2, label="ideal")
