"""The layouts and the conventions of textbooks and tools side by side, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from layouts.conventions.cells import FORMS, LAYOUT_CELLS, Cells, Form
from layouts.conventions.textbooks import TEXTBOOKS

CASES: Mapping[str, tuple[str, str]] = {
    field.name: (field.name[0], field.name[-1]) for field in fields(Cells)
}
"""Each case of `Cells` by what is differentiated and by what: s, y or Y; s, x or X."""

_SYMBOLS = {"s": "", "y": "m", "Y": "mn", "x": "n", "X": "pq"}
EXPLANATION = "y has m entries, x has n, Y is m×n, X is p×q, s is a scalar"


@dataclass(frozen=True)
class Entry:
    """One convention.

    Attributes:
        name: its name, as in `layouts.TEXTBOOKS` or `layouts.Layout`.
        source: whose it is.
        vec: how a matrix is stacked, "rows" or "columns"; None where that is not verified.
        shapes: for each case its shape in symbols, "author's choice" or "not defined"; None
            where the source was not verified.
    """

    name: str
    source: str
    vec: str | None
    shapes: Mapping[str, str | None]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "vec": self.vec,
            "shapes": {case.replace("_", " "): shape for case, shape in self.shapes.items()},
        }


def layout_entries() -> list[Entry]:
    """The three layouts, which leave the vec order open.

    Example:
        >>> [entry.shapes["s_by_X"] for entry in layout_entries()]
        ['q×p', 'p×q', 'p×q']
    """
    return [
        Entry(str(layout), f"{layout} layout", None, _shapes(cells))
        for layout, cells in LAYOUT_CELLS.items()
    ]


def textbook_entries() -> list[Entry]:
    """The conventions of textbooks and tools, in the order of `layouts.TEXTBOOKS`.

    Example:
        >>> entries = {entry.name: entry for entry in textbook_entries()}
        >>> entries["jax"].shapes["Y_by_X"], entries["magnus-neudecker"].shapes["s_by_X"]
        ('m×n×p×q', '1×pq')
        >>> print(entries["pytorch"].shapes["y_by_x"])
        None
    """
    return [
        Entry(name, convention.source, convention.vec, _shapes(convention.cells or Cells()))
        for name, convention in TEXTBOOKS.items()
    ]


def _shapes(cells: Cells) -> dict[str, str | None]:
    return {case: _shape(case, getattr(cells, case)) for case in CASES}


def _shape(case: str, word: str | None) -> str | None:
    """The shape that a word of the tables means, in symbols."""
    form = FORMS[case].get(word or "")
    if form is None:
        return word
    out, into = (_SYMBOLS[side] for side in CASES[case])
    if form is Form.MATRIX:
        return f"{out or 1}×{into or 1}"
    if form is Form.MATRIX_TRANSPOSED:
        return f"{into or 1}×{out or 1}"
    axes = out + into
    return "×".join(axes if form is Form.ARRAY else axes[::-1])
