"""Conventions: one vocabulary for the layouts and vec orders of every textbook.

Shapes, sizes and text; nothing here traces a function.
"""

from layouts.conventions.cells import Layout
from layouts.conventions.chaining import chain
from layouts.conventions.convention import Convention, arrange, arrange_array, convert, read
from layouts.conventions.textbooks import TEXTBOOKS

__all__ = [
    "TEXTBOOKS",
    "Convention",
    "Layout",
    "arrange",
    "arrange_array",
    "chain",
    "convert",
    "read",
]
