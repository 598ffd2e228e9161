"""Formulas and numbers as the payload has them."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from layouts.errors import LayoutError
from layouts.explorer import schema
from layouts.explorer.asking import plain
from layouts.formulas.parsing import parse
from layouts.formulas.tree import Formula
from layouts.show.latex import latex
from layouts.show.mathml import mathml
from layouts.show.text import text


def written(formula: Formula) -> schema.Formula:
    """A formula in each notation."""
    return {
        "text": text(formula),
        "mathml": mathml(formula, "inline"),
        "latex": latex(formula),
    }


def read(line: str) -> schema.Formula:
    """A formula that comes as text; as words where it cannot be read."""
    try:
        return {**written(parse(line)), "text": line}
    except LayoutError:
        element = f"<math><mtext>{escape(line)}</mtext></math>"
        words = line.replace("\\", "").replace("{", "").replace("}", "")
        return {"text": line, "mathml": element, "latex": rf"\texttt{{{words}}}"}


def numbers(array: np.ndarray) -> list[Any]:
    """An array's entries, flat, as JSON has them."""
    flat = np.asarray(array, np.float64).ravel()
    found: list[Any] = flat.tolist()
    for place in np.flatnonzero(~np.isfinite(flat)):
        found[place] = plain(found[place])
    return found
