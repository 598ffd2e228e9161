"""The arrays of a view: what entries of the Jacobian are made of, with values where they fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layouts.explorer import schema
from layouts.explorer.asking import Asked
from layouts.explorer.graphs import role_of
from layouts.explorer.limits import MAX_SHOWN, MAX_SHOWN_IN_ALL
from layouts.explorer.subject import Subject
from layouts.explorer.writing import numbers, written
from layouts.formulas.tree import Equation, Formula, Name


def arrays_of(
    asked: Asked, subject: Subject, arrays: Mapping[str, np.ndarray]
) -> list[schema.Array]:
    """Inputs, intermediates, what formulas define, the output.

    Args:
        asked: the request, which may have brought values of its own.
        subject: what is looked at.
        arrays: the values, by name.
    """
    output = subject.program.output
    found = [
        _array(vertex.name, role_of(vertex, output), vertex.formula, arrays)
        for vertex in subject.program.vertices[:-1]
    ]
    for name, formula in subject.definitions.items():
        if name in arrays:
            found.append(_array(name, "intermediate", formula, arrays))
    found.append(_array(output.name, "output", output.formula, arrays))
    left = MAX_SHOWN_IN_ALL
    for array in sorted(found, key=lambda array: array["size"]):
        array["edited"] = array["name"] in asked.edited
        left -= array["size"]
        if left < 0:
            array["values"] = None
    return found


def _array(
    name: str, role: str, formula: Formula | None, arrays: Mapping[str, np.ndarray]
) -> schema.Array:
    array = arrays[name]
    real = not np.iscomplexobj(array)  # JSON has no other numbers
    return {
        "name": name,
        "shape": list(array.shape),
        "size": array.size,
        "values": numbers(array) if array.size <= MAX_SHOWN and real else None,
        "edited": False,
        "role": role,  # type: ignore[typeddict-item]
        "formula": None if formula is None else written(Equation((Name(name), formula))),
    }
