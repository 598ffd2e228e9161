"""The look of the figures: one palette, one signed colour map, one way to draw a matrix."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FORWARD, REVERSE, BEST, OTHER, INK = "#2f6fb2", "#d9662b", "#2a8c6a", "#8a8f98", "#22262b"
SIGNED = "RdBu_r"


def figure(width: float = 10.0, height: float = 4.0) -> Figure:
    """An empty figure in the project's style, with room kept between its parts."""
    mpl.rcParams.update(
        {
            "font.size": 10,
            "axes.titlesize": 10.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": OTHER,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": False,
            "lines.linewidth": 2.0,
        }
    )
    return Figure(figsize=(width, height), layout="constrained")


def heat(axes: Axes, matrix: Any, title: str = "", limit: float | None = None) -> None:
    """Draw a matrix of signed entries: white is zero, red is positive, blue is negative."""
    matrix = np.atleast_2d(np.asarray(matrix))
    limit = float(np.max(np.abs(matrix))) if limit is None else limit
    axes.imshow(matrix, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.8)
    axes.set_title(title)


def grid_lines(axes: Axes, shape: tuple[int, ...], block: tuple[int, int]) -> None:
    """Rule a drawn matrix into blocks of the given height and width."""
    rows, columns = shape
    for row in range(block[0], rows, block[0]):
        axes.axhline(row - 0.5, color=OTHER, linewidth=0.5)
    for column in range(block[1], columns, block[1]):
        axes.axvline(column - 0.5, color=OTHER, linewidth=0.5)
