"""Formulas: one tree, read from text, evaluated on arrays, lowered by `layouts.show`."""
