"""An array as an inline SVG: colours centred at zero, block structure, and nothing bad hidden.

Blue is negative and vermilion positive, which colour-blind readers tell apart; both carry dark and
light text alike. The size of a number is how opaque its cell is, so that a small one fades into the
page whatever its theme. NaN and infinity have colours of their own, outrank every number where
cells stand for several entries, and are counted below.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import isinf, isnan, prod

import numpy as np

from layouts.show.html import Markup, join, tag, times

Shape = tuple[int, ...]

# More cells than this along either side are drawn as the largest of a block each.
MOST_CELLS = 64
# Numbers stand in the cells of arrays up to this size: rows, columns.
MOST_WITH_NUMBERS = (16, 12)
# Each of so many cells says on hovering where it is; NaN and infinity always do.
MOST_WITH_TITLES = 600

POSITIVE, NEGATIVE, NAN, INFINITY = "#c8501e", "#3578c0", "#ffd000", "#e040fb"
PALEST = 0.24
# Lines between blocks are no nearer to each other, in pixels.
NEAREST_LINES = 10
# What is not a number: pale, so that a zero that was computed differs from one that needs not be.
ZERO = {"fill": "currentColor", "fill_opacity": "0.13"}
ALLOWED = {"fill": "currentColor", "fill_opacity": "0.45"}
UNKNOWN = "may be nonzero"


@dataclass(frozen=True)
class Cells:
    """What is drawn: the entries, or the largest of each block of them.

    Attributes:
        values: NaN where there is one, else infinity, else the largest in magnitude.
        allowed: whether the structure lets any entry of the cell be other than zero.
        rows: the first row of each row of cells, and the number of all.
        columns: the first column of each, and the number of all.
        known: whether there are values.
    """

    values: np.ndarray
    allowed: np.ndarray
    rows: Sequence[int]
    columns: Sequence[int]
    known: bool

    @property
    def whole(self) -> bool:
        """Whether each cell is one entry."""
        return self.values.shape == (self.rows[-1], self.columns[-1])

    @property
    def largest(self) -> float:
        """The largest finite magnitude."""
        finite = self.values[np.isfinite(self.values)]
        return float(np.abs(finite).max(initial=0.0))

    def listed(self) -> Iterator[tuple[int, int, float]]:
        """Row, column and value of each cell that is not zero by structure."""
        places = self.allowed | (self.values != 0)
        for row, column in zip(*map(np.ndarray.tolist, np.nonzero(places)), strict=True):
            yield row, column, float(self.values[row, column])


def heatmap(
    values: np.ndarray | None,
    structure: np.ndarray | None = None,
    rows: Shape | None = None,
    columns: Shape | None = None,
    most: int = MOST_CELLS,
) -> Markup:
    """A matrix as a figure with its legend.

    Args:
        values: a matrix of any dtype, of complex numbers the magnitudes are drawn; None where
            the values are not known and the structure is drawn alone.
        structure: booleans of the same shape, False where an entry is zero by structure.
        rows: the shape of the array whose entries are the rows; lines are drawn between its blocks.
        columns: the same of the columns.
        most: cells along either side; beyond that a cell stands for a block of entries.

    Returns:
        A `<figure>`: an SVG, and a caption that says what the colours mean, how many entries are
        NaN or infinite, and what was left out.

    Example:
        >>> figure = heatmap(np.array([[0.0, -2.0], [np.nan, 1.0]]))
        >>> "1 NaN" in figure, figure.count("<title>")
        (True, 4)
    """
    shape = values.shape if values is not None else structure.shape  # type: ignore[union-attr]
    allowed = np.ones(shape, bool) if structure is None else structure
    rows, columns = rows or shape[:1], columns or shape[1:]
    if 0 in shape:
        return tag("figure", tag("figcaption", f"{times(shape)}: there are no entries"))
    real = None if values is None else _real(values)
    cells = _cells(real, allowed, most)
    svg = _svg(cells, rows, columns)
    words = (
        "negative",
        "magnitude" if values is not None and np.iscomplexobj(values) else "positive",
    )
    notes = [_counts(real), _reduction(cells)]
    caption = [tag("p", note, class_=css) for css, note in notes if note]
    return tag("figure", svg, tag("figcaption", tag("p", _legend(real, allowed, words)), *caption))


def _real(values: np.ndarray) -> np.ndarray:
    """As float64; magnitudes of complex numbers, NaN and infinity kept."""
    if not np.iscomplexobj(values):
        return values.astype(np.float64)
    with np.errstate(over="ignore"):
        sizes = np.abs(values.astype(np.complex128))
    sizes[np.isfinite(values) & np.isinf(sizes)] = np.finfo(np.float64).max
    sizes[np.isnan(values)] = np.nan  # of NaN + Inf i the magnitude is infinite
    return sizes


def _cells(values: np.ndarray | None, allowed: np.ndarray, most: int) -> Cells:
    """Reduce to at most so many cells a side: NaN wins, then the largest magnitude."""
    rows, columns = (_edges(size, most) for size in allowed.shape)
    allowed = _reduced(np.logical_or, allowed, rows, columns)
    if values is None:
        return Cells(np.zeros(allowed.shape), allowed, rows, columns, False)
    highest = _reduced(np.maximum, values, rows, columns)  # both spread NaN
    lowest = _reduced(np.minimum, values, rows, columns)
    largest = np.where(-lowest > highest, lowest, highest)
    return Cells(largest, allowed, rows, columns, True)


def _edges(size: int, most: int) -> list[int]:
    """The first entry of each cell, and the number of entries."""
    count = min(size, most)
    return [n * size // count for n in range(count + 1)]


def _reduced(
    function: np.ufunc, array: np.ndarray, rows: Sequence[int], columns: Sequence[int]
) -> np.ndarray:
    return function.reduceat(function.reduceat(array, rows[:-1], 0), columns[:-1], 1)


def _svg(cells: Cells, rows: Shape, columns: Shape) -> Markup:
    height, width = cells.values.shape
    numbers = cells.known and height <= MOST_WITH_NUMBERS[0] and width <= MOST_WITH_NUMBERS[1]
    size = (54, 22) if numbers else (_side(width), _side(height))
    x, y = (
        [n * size[k] for n in range(len(edges))]
        for k, edges in enumerate((cells.columns, cells.rows))
    )
    titled = height * width <= MOST_WITH_TITLES
    shapes = [*_painted(cells, x, y, titled)]
    marks = [*(_written(cells, x, y) if numbers else _crossed(cells, x, y))]
    marks += _lines(rows, cells.rows, y, lambda at: f"M0 {at}H{x[-1]}")
    marks += _lines(columns, cells.columns, x, lambda at: f"M{at} 0V{y[-1]}")
    marks.append(_line(f"M0 0H{x[-1]}V{y[-1]}H0z", 0.6, "frame"))
    shapes.append(tag("g", *marks, pointer_events="none"))  # hovering reaches the cells below
    label = f"heat map of a matrix of {cells.rows[-1]} rows and {cells.columns[-1]} columns"
    return tag(
        "svg",
        *shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"-1 -1 {x[-1] + 2} {y[-1] + 2}",
        width=x[-1] + 2,
        height=y[-1] + 2,
        role="img",
        aria_label=label,
    )


def _side(count: int) -> int:
    """How large a cell is, in pixels."""
    return max(6, min(18, 400 // count))


def _painted(cells: Cells, x: Sequence[int], y: Sequence[int], titled: bool) -> Iterator[Markup]:
    """A rectangle each for cells with a title; the others in one path for each colour."""
    paint: Callable[[float], dict[str, str]] = partial(_paint, largest=cells.largest)
    runs: dict[tuple, list[list[int]]] = {}
    for row, column, value in cells.listed():
        colour = paint(value) if cells.known else ALLOWED
        if titled or not np.isfinite(value):
            title = tag("title", _title(cells, row, column, value))
            sides = {"width": x[column + 1] - x[column], "height": y[row + 1] - y[row]}
            yield tag("rect", title, x=x[column], y=y[row], **sides, **colour)
            continue
        run = runs.setdefault(tuple(colour.items()), [[-1, 0, 0]])
        if run[-1][::2] == [row, column]:
            run[-1][2] += 1
        else:
            run.append([row, column, column + 1])
    for colours, found in runs.items():
        outlines = (f"M{x[a]} {y[row]}H{x[b]}V{y[row + 1]}H{x[a]}z" for row, a, b in found[1:])
        yield tag("path", d="".join(outlines), **dict(colours))


def _paint(value: float, largest: float) -> dict[str, str]:
    """The colour of a number, its opacity in eighths."""
    if isnan(value) or isinf(value):
        return {"fill": NAN if isnan(value) else INFINITY}
    if value == 0:
        return ZERO
    strength = PALEST + (1 - PALEST) * round(8 * (abs(value) / largest)) / 8
    return {"fill": POSITIVE if value > 0 else NEGATIVE, "fill_opacity": f"{strength:.2f}"}


def _title(cells: Cells, row: int, column: int, value: float) -> str:
    """Where a cell is, and what is there."""
    ends = [
        f"{edges[n]}" if edges[n + 1] - edges[n] == 1 else f"{edges[n]}–{edges[n + 1] - 1}"
        for edges, n in ((cells.rows, row), (cells.columns, column))
    ]
    said = f"{value:.6g}".replace("nan", "NaN").replace("inf", "Inf") if cells.known else UNKNOWN
    return f"row {ends[0]}, column {ends[1]}: {said}"


def _written(cells: Cells, x: Sequence[int], y: Sequence[int]) -> Iterator[Markup]:
    """The numbers, in the colour of the text around; on NaN and infinity in black."""
    for row, column, value in cells.listed():
        place = {"x": (x[column] + x[column + 1]) / 2, "y": (y[row] + y[row + 1]) / 2 + 4}
        fill = "currentColor" if np.isfinite(value) else "#000"
        yield tag("text", _short(value), **place, fill=fill, font_size=11, text_anchor="middle")


def _short(value: float) -> str:
    """A number in seven characters or fewer."""
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if isnan(value):
        return "NaN"
    for digits in (3, 2, 1):
        mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
        text = f"{mantissa}e{int(exponent)}" if exponent else mantissa
        if len(text) <= 7:
            break
    return text.replace("-", "−")


def _crossed(cells: Cells, x: Sequence[int], y: Sequence[int]) -> Iterator[Markup]:
    """A cross on every NaN and a stroke on every infinity, which colour alone must not tell."""
    marks = {"NaN": "", "infinity": ""}
    for row, column in zip(*np.nonzero(~np.isfinite(cells.values)), strict=True):
        left, right, top, bottom = x[column], x[column + 1], y[row], y[row + 1]
        marks["infinity"] += f"M{left} {bottom}L{right} {top}"
        if np.isnan(cells.values[row, column]):
            marks["NaN"] += f"M{left} {top}L{right} {bottom}"
    for name, path in marks.items():
        if path:
            yield tag("path", d=path, stroke="#000", stroke_width="1", fill="none", class_=name)


def _lines(
    shape: Shape, edges: Sequence[int], places: Sequence[int], path: Callable[[float], str]
) -> Iterator[Markup]:
    """Lines between the blocks of a side, its first axis the strongest; none that would crowd."""
    block = total = prod(shape)
    drawn = {0}
    for axis, size in enumerate(n for n in shape if n != 1):
        block //= size
        if block == 1 or places[-1] * block < NEAREST_LINES * total:
            return
        new = [at for at in range(0, total, block) if at not in drawn]
        drawn.update(new)
        opacity = 0.3 if axis else 0.6
        for at in new:
            yield _line(path(_position(at, edges, places)), opacity, "block")


def _line(path: str, opacity: float, name: str) -> Markup:
    style = {"stroke": "currentColor", "stroke_opacity": opacity, "fill": "none"}
    return tag("path", d=path, class_=name, **style)


def _position(at: int, edges: Sequence[int], places: Sequence[int]) -> float:
    """Where the boundary before an entry is, within a cell if need be."""
    return round(float(np.interp(at, edges, places)), 2)


def _counts(values: np.ndarray | None) -> tuple[str, str]:
    """How many entries are no finite number."""
    if values is None:
        return "", ""
    kinds = {
        "NaN": np.isnan(values),
        "+Inf": np.isposinf(values),
        "−Inf": np.isneginf(values),
    }
    found = [f"{mask.sum():,} {name}" for name, mask in kinds.items() if mask.any()]
    return "alarm", f"{', '.join(found)} among {values.size:,} entries" if found else ""


def _reduction(cells: Cells) -> tuple[str, str]:
    """What is not drawn."""
    if cells.whole:
        return "", ""
    height, width = cells.values.shape
    entries = cells.rows[-1] * cells.columns[-1]
    block = [-(-edges[-1] // (len(edges) - 1)) for edges in (cells.rows, cells.columns)]
    what = "the largest in magnitude" if cells.known else "the structure"
    return (
        "muted",
        f"{entries:,} entries in {height}×{width} cells: each shows {what} of a block of up to "
        f"{block[0]}×{block[1]}, the others are left out (NaN and infinity never are)",
    )


def _legend(values: np.ndarray | None, allowed: np.ndarray, words: tuple[str, str]) -> Markup:
    """A swatch for each colour that is there."""
    keys: list[tuple[dict[str, str], str]] = []
    if values is None:
        keys.append((ALLOWED, "may be nonzero"))
    else:
        finite = values[np.isfinite(values)]
        lowest, highest = (float(f(initial=0.0)) for f in (finite.min, finite.max))
        largest = max(-lowest, highest)
        if lowest < 0:
            keys.append((_paint(lowest, largest), f"{words[0]}, to {_short(lowest)}"))
        if highest > 0:
            keys.append((_paint(highest, largest), f"{words[1]}, to {_short(highest)}"))
        if ((values == 0) & allowed).any():
            keys.append((ZERO, "zero by value"))
        keys += [({"fill": NAN}, "NaN")] * bool(np.isnan(values).any())
        keys += [({"fill": INFINITY}, "infinite")] * bool(np.isinf(values).any())
    if not allowed.all():
        keys.append(({"fill": "none"}, "zero by structure"))
    return join(tag("span", _swatch(paint), text, class_="key") for paint, text in keys)


def _swatch(paint: dict[str, str]) -> Markup:
    square = tag("rect", x=0.5, y=0.5, width=11, height=11, stroke="currentColor", **paint)
    return tag("svg", square, width=12, height=12, aria_hidden="true")
