"""Answers the page's requests: JSON in, plain data out. No HTTP, no HTML but what the library has.

`ANSWERS` has a function for each request; `layouts.explorer.schema` describes them all. All numbers
are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import prod
from types import MappingProxyType
from typing import Any, cast

import jax
import numpy as np

from layouts.at_random import run
from layouts.conventions import catalogue
from layouts.doctor import diagnose
from layouts.errors import LayoutError
from layouts.explorer import schema
from layouts.explorer.asking import (
    Asked,
    Functions,
    integer,
    keyed,
    line,
    plain,
    shapes_of,
    source_of,
    state_of,
)
from layouts.explorer.cells import allowed_of, allows, cells_of, counts_of, edges_of, tally
from layouts.explorer.copying import program_of
from layouts.explorer.entries import axes_of, filled, template_of
from layouts.explorer.gallery import GALLERY
from layouts.explorer.graphs import graph_of
from layouts.explorer.limits import caps
from layouts.explorer.operands import arrays_of
from layouts.explorer.proposing import proposed
from layouts.explorer.subject import Numbers, Subject, subject_of
from layouts.explorer.telling import definitions, derived, latex, rule, verified
from layouts.explorer.turning import arrangements, chosen
from layouts.explorer.weighing import chain_answer, costs_of, measured
from layouts.explorer.writing import read, written
from layouts.expressions.functions import FUNCTIONS
from layouts.expressions.grammar import shorten
from layouts.expressions.loading import Loaded
from layouts.formulas.tree import Equation, Name

Answer = Callable[[Any, Functions], dict[str, Any]]
# Characters of a function that is written without names for what it computes on the way.
MOST_SPELT = 60


def gallery(body: Any, functions: Functions) -> dict[str, Any]:
    """What can be chosen from."""
    keyed("request", body, ())
    rows: list[schema.Row] = [
        {
            "source": {"kind": "gallery", "name": row.name},
            "title": row.title,
            "question": row.question,
            "expression": row.expression,
            "shapes": {name: list(shape) for name, shape in row.shapes.items()},
            "wrt": row.wrt,
        }
        for row in GALLERY.values()
    ]
    return {
        "rows": rows,
        "functions": [_function_row(name, found) for name, found in functions.items()],
        "textbooks": [entry.as_json() for entry in catalogue.textbook_entries()],
        "symbols": catalogue.EXPLANATION,
        "names": {
            name: {"operands": found.operands, "keywords": list(found.keywords)}
            for name, found in FUNCTIONS.items()
        },
        "caps": caps(),
        "jax": jax.__version__,
    }


def _function_row(name: str, found: Loaded) -> schema.Row:
    return {
        "source": {"kind": "function", "name": name},
        "title": name,
        "question": "",
        "expression": found.text,
        "shapes": {key: list(shape) for key, shape in found.inputs.items()},
        "wrt": next(iter(found.inputs), ""),
    }


def reading(body: Any, functions: Functions) -> dict[str, Any]:
    """What an expression asks for, while it is typed."""
    fields = keyed("request", body, ("source", "shapes"), ("source",))
    kind, name = source_of(fields["source"], functions)
    given = shapes_of(fields.get("shapes") or {})
    if kind != "expression":
        own = GALLERY[name].shapes if kind == "gallery" else functions[name].inputs
        known = {key: given.get(key, shape) for key, shape in own.items()}
        whole = GALLERY[name].expression if kind == "gallery" else name
        return {"text": whole, "names": [*known], "shapes": _listed(known), "proposed": []}
    names, shapes, guessed = proposed(name, given)
    return {"text": name, "names": names, "shapes": _listed(shapes), "proposed": guessed}


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[int]]:
    return {name: list(shape) for name, shape in shapes.items()}


def view(body: Any, functions: Functions) -> dict[str, Any]:
    """All that there is to see."""
    asked = state_of(body, functions)
    subject = subject_of(asked)
    inputs = subject.at(asked)
    found = subject.numbers(inputs)
    shown = arrays_of(asked, subject, found.arrays)
    jacobian, counts = _jacobian(subject, found)
    shapes = {name: array.shape for name, array in found.arrays.items()}
    return {
        "state": asked.state,
        "title": asked.row.title if asked.row else asked.name,
        "question": asked.row.question if asked.row else "",
        "function": _function(asked, subject),
        "dtype": "float64",
        "jax": jax.__version__,
        "caps": caps(),
        "inputs": [array for array in shown if array["name"] in subject.inputs],
        "wrt": subject.wrt,
        "differentiable": list(subject.inputs),
        "output": next(array for array in shown if array["role"] == "output"),
        "arrays": shown,
        "jacobian": jacobian,
        "entries": {
            "template": template_of(subject.equation, shapes),
            "request": jacobian["cells"]["reduced"],
        },
        "arrangements": subject.once(arrangements, counts),
        "arrangement": chosen(asked.convention),
        "derivation": subject.once(verified if asked.checks else derived),
        "vjp": subject.once(rule),
        "graph": subject.once(graph_of),
        "costs": subject.once(costs_of),
        "code": program_of(asked, inputs),
        "latex": subject.once(latex),
        "notes": list(subject.derivation.notes),
    }


def verify(body: Any, functions: Functions) -> dict[str, Any]:
    """The derivation, its steps held against numbers."""
    return cast(dict, subject_of(state_of(body, functions)).once(verified))


def check(body: Any, functions: Functions) -> dict[str, Any]:
    """The doctor's verdict on a formula."""
    asked = state_of(body, functions, ("formula",))
    formula = line("formula", body["formula"])
    subject = subject_of(asked)
    arrays = [jax.numpy.asarray(array) for array in subject.at(asked)]
    found = run(
        lambda: diagnose(subject.call, formula, *arrays, argnums=subject.place),
        "be differentiated",
        last=True,
    )
    said = found.as_json()
    for finding in said["findings"]:
        for side in ("wrong", "right"):
            finding[f"{side}_formula"] = read(finding[side]) if finding[side] else None
    kept = ("ok", "verdict", "certain", "findings", "notes", "tried", "inputs")
    return {
        **{key: said[key] for key in kept},
        "summary": found.summary,
        "text": str(found),
        "html": found.html(),
        "formula": read(formula),
    }


def chain(body: Any, functions: Functions) -> dict[str, Any]:
    """A chain of any sizes."""
    return cast(dict, chain_answer(body))


def measure(body: Any, functions: Functions) -> dict[str, Any]:
    """Measured times."""
    asked = state_of(body, functions)
    subject = subject_of(asked)
    return cast(dict, run(lambda: measured(subject, subject.at(asked)), "be measured", last=True))


def entry(body: Any, functions: Functions) -> dict[str, Any]:
    """One entry of the Jacobian."""
    asked = state_of(body, functions, ("index",))
    subject = subject_of(asked)
    index = _index(body["index"], subject.facts.shape)
    inputs = subject.at(asked)
    found = subject.numbers(inputs)
    value = subject.entry(inputs, index) if found.dense is None else found.dense[tuple(index)]
    allowed = allows(found.jacobian, index)
    shapes = {name: struct.shape for name, struct in subject.structs.items()}
    template = template_of(subject.equation, shapes)
    if template is None:
        formula, reason, origins = _bare_entry(subject, index, value, allowed)
    else:
        formula, reason, origins = filled(template, index, allowed)
    return {
        "index": index,
        "formula": formula,
        "reason": reason,
        "value": plain(float(value)),
        "origins": [[name, place] for name, place in origins],
    }


def _index(given: Any, shape: Sequence[int]) -> list[int]:
    if not isinstance(given, list) or len(given) != len(shape):
        expected = f"a list of {len(shape)} indices"
        raise LayoutError("index", expected, shorten(repr(given)), "give one for each axis")
    return [integer("index", n, 0, size - 1) for n, size in zip(given, shape, strict=True)]


def _bare_entry(
    subject: Subject, index: Sequence[int], value: float, allowed: bool
) -> tuple[str, str, list[Any]]:
    """What there is to say of an entry that has no formula."""
    split = len(subject.out_shape)
    sides = [(subject.out_name, index[:split]), (subject.wrt, index[split:])]
    head, by = [f"∂{n}[{','.join(map(str, at))}]" if at else f"∂{n}" for n, at in sides]
    if not allowed:
        return f"{head}/{by} = 0", "zero by structure", []
    return f"{head}/{by} = {value:.6g}", "", []


def _function(asked: Asked, subject: Subject) -> schema.Formula:
    """The function as an equation: an expression as it was typed, others of the inputs if short."""
    if asked.kind != "function":
        return read(f"{subject.out_name} = {asked.loaded.text}")
    formula = subject.program.output.formula
    assert formula is not None
    found, whole = (
        written(Equation((Name(subject.out_name), one)))
        for one in (formula, subject.spelt_out(formula))
    )
    return whole if len(whole["text"]) <= MOST_SPELT else found


def _jacobian(subject: Subject, found: Numbers) -> tuple[schema.Jacobian, tuple[int, ...]]:
    J, equation = found.jacobian, subject.equation
    counts = counts_of(J)
    allowed = allowed_of(J, counts)
    whole = counts == J.shape
    axes = axes_of(equation, subject.out_name, J.out_shape, subject.wrt, J.in_shape)
    for axis, count in zip(axes, counts, strict=True):
        axis["edges"] = edges_of(axis["size"], count)
    finite = np.zeros(0) if found.dense is None else found.dense[np.isfinite(found.dense)]
    answer: schema.Jacobian = {
        "formula": read(subject.facts.formula) if equation is None else written(equation),
        "definitions": definitions(subject),
        "out_shape": list(J.out_shape),
        "in_shape": list(J.in_shape),
        "shape": list(J.shape),
        "size": prod(J.shape),
        "axes": axes,
        "cells": cells_of(found, counts, allowed),
        "largest": float(np.abs(finite).max(initial=0.0)),
        "nonzero": int(allowed.sum()) if whole else None,
        "counts": tally(found, allowed, whole),
        "stored_bytes": J.nbytes,
        "dense_bytes": prod(J.shape) * np.dtype(J.dtype).itemsize,
        "text": str(J),
    }
    return answer, counts


def _in_float64(answer: Answer) -> Answer:
    """The same answer, computed in float64 whatever the process is set to."""

    @wraps(answer)
    def answered(body: Any, functions: Functions) -> dict[str, Any]:
        with jax.enable_x64(True):
            return answer(body, functions)

    return answered


ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "read": _in_float64(reading),
        "gallery": _in_float64(gallery),
        "view": _in_float64(view),
        "verify": _in_float64(verify),
        "check": _in_float64(check),
        "chain": _in_float64(chain),
        "measure": _in_float64(measure),
        "entry": _in_float64(entry),
    }
)
"""Request → the function that answers it: takes the JSON body and the user's own functions."""
