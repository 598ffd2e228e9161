"""The figure of `experiments.scale`: memory, bytes sent and time by the number of devices."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments import style

COLOURS = (style.FORWARD, style.REVERSE, style.BEST, "#8a5fb0", "#a07a1f")
CLOSEST = 0.085  # of a panel's height, between the labels of two lines
Row = dict[str, Any]
Rows = Sequence[Row]


def draw(rows: Rows, cores: int) -> Figure:
    """Strong scaling above, weak below; a line for each case, dashed what is ideal."""
    figure = style.figure(10, 6.4)
    panels: Any = figure.subplots(2, 3, width_ratios=(1, 1, 0.85))
    for (memory, sent, clock), mode in zip(panels, ("strong", "weak"), strict=True):
        own = [row for row in rows if row["mode"] == mode]
        counts = sorted({row["devices"] for row in own})
        ideal = [1 / n if mode == "strong" else 1.0 for n in counts]
        draw_memory(memory, own, counts, ideal, mode)
        draw_sent(sent, own, counts)
        draw_time(clock, own, counts, ideal, cores)
        for axes in (memory, sent, clock):
            axes.set_xscale("log", base=2)
            axes.set_xticks(counts, list(map(str, counts)))
            axes.minorticks_off()
    for axes in panels[1]:
        axes.set_xlabel("devices")
    return figure


def draw_memory(
    axes: Axes, rows: Rows, counts: list[int], ideal: Sequence[float], mode: str
) -> None:
    """Bytes on a device over those on one device alone."""
    _lines(axes, rows, _relative(rows, "memory"))
    axes.set(title=f"{mode.capitalize()} scaling: memory", ylabel="bytes on a device, × alone")
    if mode == "strong":
        axes.set_yscale("log", base=2)
        axes.set_yticks([1 / n for n in counts], ["1", *(f"1/{n}" for n in counts[1:])])
        _marks(axes)
    else:
        axes.set_ylim(0, 1.35)
    _ideal(axes, counts, ideal, "ideal: 1/devices" if mode == "strong" else "ideal: the same")


def draw_sent(axes: Axes, rows: Rows, counts: list[int]) -> None:
    """Bytes that a device sends over those that it holds, each line with its name."""
    _lines(axes, rows, lambda row: 100 * row["sent"] / row["memory"])
    last = [row for row in rows if row["devices"] == counts[-1] and row["processes"] == 1]
    ends = [100 * row["sent"] / row["memory"] for row in last]
    height = max(*ends, 1.0)
    places = apart([end / height for end in ends], CLOSEST)
    for colour, row, place in zip(COLOURS, last, places, strict=False):
        axes.annotate(
            row["case"],
            (counts[-1], place * height),
            xytext=(10, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    axes.set_ylim(-0.09 * height, 1.1 * height)
    axes.set(title="Communication", ylabel="bytes sent, % of its memory")
    _ideal(axes, counts, [0.0] * len(counts), "ideal: nothing")


def draw_time(
    axes: Axes, rows: Rows, counts: list[int], ideal: Sequence[float], cores: int
) -> None:
    """Seconds of a call over those on one device, grey where devices share cores."""
    _lines(axes, rows, _relative(rows, "seconds"))
    axes.set_yscale("log", base=4)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}" if value >= 1 else _part(value))
    axes.set(title=f"Time on {cores} cores", ylabel="one call, × alone")
    axes.margins(y=0.15)
    if counts[-1] > cores:
        start = max(1, cores) * 1.08
        axes.axvspan(start, counts[-1] * 1.2, color=style.OTHER, alpha=0.15, linewidth=0)
        axes.text(
            start * 1.1,
            0.985,
            "shared cores:\nno speed to see",
            transform=_across(axes),
            **_SMALL,
        )
    axes.set_xlim(counts[0] / 1.2, counts[-1] * 1.2)
    axes.plot(counts, ideal, "--", color=style.INK, linewidth=1.2, zorder=4)


_SMALL: Any = {"fontsize": 8.5, "va": "top", "color": style.INK}


def _part(value: float) -> str:
    return f"1/{1 / value:g}"


def _across(axes: Axes) -> Any:
    """Data across, and up from 0 to 1."""
    return axes.get_xaxis_transform()


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Move places up until each is so far from the next lower one.

    Example:
        >>> apart([0.5, 0.0, 0.0], 0.125)
        [0.5, 0.0, 0.125]
    """
    moved, floor = list(places), float("-inf")
    for number in sorted(range(len(places)), key=lambda n: places[n]):
        moved[number] = max(places[number], floor)
        floor = moved[number] + gap
    return moved


def _cases(rows: Rows) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["case"], []).append(row)
    return found


def _relative(rows: Rows, what: str) -> Callable[[Row], float]:
    """A figure over that of the same case on one device."""
    first = {row["case"]: row[what] for row in rows if row["devices"] == 1}
    return lambda row: row[what] / first[row["case"]]


def _lines(axes: Axes, rows: Rows, value: Callable[[Row], float]) -> None:
    """A line with dots for one process, squares for several."""
    for colour, own in zip(COLOURS, _cases(rows).values(), strict=False):
        alone = sorted((row["devices"], value(row)) for row in own if row["processes"] == 1)
        axes.plot(*zip(*alone, strict=True), "o-", color=colour, markersize=4, linewidth=1.8)
        several = [(row["devices"], value(row)) for row in own if row["processes"] > 1]
        if several:
            axes.plot(*zip(*several, strict=True), "s", color=colour, ms=8, fillstyle="none")


def _ideal(axes: Axes, counts: list[int], ideal: Sequence[float], text: str) -> None:
    axes.plot(counts, ideal, "--", color=style.INK, linewidth=1.2, zorder=4)
    axes.annotate(
        text,
        (counts[0], ideal[0]) if ideal[0] == ideal[-1] else (counts[-2], ideal[-2]),
        xytext=(0, -6) if ideal[0] == ideal[-1] else (-8, -6),
        textcoords="offset points",
        ha="left" if ideal[0] == ideal[-1] else "right",
        **_SMALL,
    )


def _marks(axes: Axes) -> None:
    """What dots and squares are."""
    shared: Any = {"color": style.INK, "linestyle": "none"}
    axes.legend(
        handles=[
            Line2D([], [], marker="o", markersize=4, label="one process", **shared),
            Line2D(
                *([], []), marker="s", ms=8, fillstyle="none", label="processes of 2 each", **shared
            ),
        ],
        loc="upper right",
        fontsize=8.5,
        handletextpad=0.2,
    )
