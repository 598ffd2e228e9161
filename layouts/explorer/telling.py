"""The derivation and the rule of a subject, as the payload has them."""

from __future__ import annotations

from typing import Any, cast

from layouts.conventions import Layout
from layouts.derivation import Derivation
from layouts.derivation.outline import SECTIONS
from layouts.explorer import schema
from layouts.explorer.asking import plain
from layouts.explorer.runnable import runnable
from layouts.explorer.subject import Subject
from layouts.explorer.writing import read, written
from layouts.formulas.tree import Equation, Name, Product


def definitions(subject: Subject) -> list[schema.Formula]:
    """What the letters of the Jacobian's formula stand for."""
    if subject.equation is None:
        return [read(str(definition)) for definition in subject.facts.definitions]
    return [written(formula) for formula in subject.derivation.definitions]


def derived(subject: Subject) -> schema.Derivation:
    """The derivation, its steps not held against numbers."""
    return _derivation(subject.derivation)


def verified(subject: Subject) -> schema.Derivation:
    """The derivation, its steps held against numbers."""
    return _derivation(subject.verified)


def latex(subject: Subject) -> str:
    """The derivation for a paper."""
    return subject.derivation.latex()


def _derivation(found: Derivation) -> schema.Derivation:
    titles = {kind: title for title, kinds in SECTIONS.items() for kind in kinds}
    order = list(SECTIONS)
    steps = sorted(found.steps, key=lambda step: order.index(titles[step.kind]))
    listed: list[schema.Step] = []
    left = None
    for step in steps:
        equation = step.formula
        head = equation.sides[0] if isinstance(equation, Equation) else None
        layout = None if step.layout is None else str(Layout(step.layout))
        check = None if step.check is None else plain(step.check)
        title = titles[step.kind]
        known = (title, head) == left and head is not None
        left = (title, head)
        listed.append(
            {
                "kind": step.kind,
                "title": title,
                "formula": written(equation),
                "reason": step.reason,
                "shape": list(step.shape),
                "check": check,
                "layout": cast(Any, layout),
                "continued": known,
            }
        )
    return {
        "steps": listed,
        "definitions": [written(formula) for formula in found.definitions],
        "notes": list(found.notes),
        "checked": found.checked,
        "ok": found.holds,
    }


def rule(subject: Subject) -> schema.Rule:
    """The rule with matrices where there is one, else with indices."""
    found = subject.derivation
    scalar = not subject.out_shape
    indices = found.of("result") or found.of("jacobian")
    with_indices = written(indices[-1].formula) if indices else read(subject.facts.rule)
    matrices = found.of("matrix" if scalar else "vjp")
    pushed = found.of("jvp")
    numpy = None
    if matrices:
        body = subject.spelt_out(matrices[-1].formula)
        if scalar:  # the gradient, times what comes back for a number
            body = Product("entrywise", (Name(f"d{subject.out_name}"), body))
        numpy = runnable(body, subject.in_shape, subject.shape_of)
    return {
        "vjp": written(matrices[-1].formula) if matrices else with_indices,
        "vjp_indices": with_indices,
        "jvp": written(pushed[-1].formula) if pushed else None,
        "matrix": bool(matrices),
        "numpy": numpy,
        "cotangent": f"d{subject.out_name}",
    }
