"""A derivation as data: its steps, what they are for, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

from layouts.conventions import Layout
from layouts.derivation.outline import Step, outline
from layouts.derivation.page import Page
from layouts.formulas.tree import Derivative, Equation, Formula, Name
from layouts.nodes import Shape
from layouts.show.html import Shown
from layouts.show.latex import latex
from layouts.show.mathml import mathml
from layouts.show.text import Alphabet, text

__all__ = ["Derivation", "Step"]

# A larger difference from the true value is no matter of rounding.
ALARM = 1e-2


@dataclass(frozen=True, repr=False)
class Derivation(Shown):
    """How a derivative is found by hand, step by step.

    `print` shows it as text, a notebook as a page, with what two steps both say said once; `steps`
    holds them all.

    Attributes:
        inputs: the shape of each input, by name.
        wrt: the input differentiated by.
        out_name: how formulas call the output.
        out_shape: its shape.
        steps: the steps in order.
        definitions: what functions and letters stand for, each once.
        notes: what was left out, and why.
        in_numpy: what is written otherwise in ASCII, where NumPy would misread it.

    Example:
        >>> import jax
        >>> from layouts.derivation import derive
        >>> shapes = [jax.ShapeDtypeStruct(shape, float) for shape in ((4, 3), (3, 5))]
        >>> derivation = derive(lambda W, X: W @ X)(*shapes)
        >>> print(derivation.text("ascii").partition("\\n\\nRules\\n")[2].partition("\\n\\n")[0])
            dW = dD @ X.T       the VJP: pulls a cotangent back, 4x3
            D_dot = W_dot @ X   the JVP: pushes a tangent forward, 4x5
        >>> derivation.as_json()["steps"][0]["latex"]
        'D = W X'
        >>> {"by W": derivation}
        {'by W': <derivation of ∂D/∂W in 15 steps>}
    """

    inputs: Mapping[str, Shape]
    wrt: str
    out_name: str
    out_shape: Shape
    steps: tuple[Step, ...]
    definitions: tuple[Equation, ...] = ()
    notes: tuple[str, ...] = ()
    in_numpy: Mapping[Formula, Formula] = field(default_factory=dict)

    def of(self, kind: str) -> tuple[Step, ...]:
        """The steps of one kind."""
        return tuple(step for step in self.steps if step.kind == kind)

    @property
    def formula(self) -> Formula:
        """The result: with matrices where there is such a form, else with indices."""
        found = self.of("matrix") or self.of("result") or self.steps
        return found[-1].formula

    @property
    def check(self) -> float | None:
        """The largest difference of any step from the true value; None for shapes alone.

        It is relative to the largest entry of the true value; NaN where a value is not finite.
        """
        checks = [step.check for step in self.steps if step.check is not None]
        if not all(map(isfinite, checks)):
            return nan
        return max(checks, default=None)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        """In a few words, so that a dictionary of derivations can be printed."""
        asked = text(Derivative(Name(self.out_name), Name(self.wrt)))
        return f"<derivation of {asked} in {len(self.steps)} steps>"

    def text(
        self, alphabet: Alphabet = "unicode", width: int = 88, layout: Layout | str | None = None
    ) -> str:
        """The whole derivation as text, steps under headings.

        Args:
            alphabet: "unicode" as on paper, or "ascii" as in NumPy.
            width: where lines break, in characters.
            layout: the only layout to show; all three unless told.

        Raises:
            LayoutError: another layout.
        """
        return self._page(layout).text(alphabet, width)

    def latex(self, layout: Layout | str | None = None) -> str:
        """The derivation as LaTeX: an `align*` environment of amsmath, reasons as text.

        Args:
            layout: the only layout to show; all three unless told.

        Raises:
            LayoutError: another layout.
        """
        return self._page(layout).latex()

    def mathml(self) -> str:
        """The result as one `<math>` element."""
        return mathml(self.formula)

    def html(self, layout: Layout | str | None = None) -> str:
        """The derivation as a fragment of HTML with MathML: no script, nothing fetched.

        Args:
            layout: the only layout to show; all three unless told.

        Raises:
            LayoutError: another layout.
        """
        return self._page(layout).html()

    def _repr_latex_(self) -> str:
        """The result alone."""
        return f"$${latex(self.formula)}$$"

    def as_json(self, layout: Layout | str | None = None) -> dict[str, Any]:
        """Plain values for JSON; a difference that is not finite is None.

        Args:
            layout: the only layout to give the steps of; all three unless told.

        Raises:
            LayoutError: another layout.
        """
        only = None if layout is None else Layout(layout)
        steps = [s for s in self.steps if only is None or s.layout in (None, only)]
        return {
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "wrt": self.wrt,
            "output": {"name": self.out_name, "shape": list(self.out_shape)},
            "steps": [_step_json(step) for step in steps],
            "definitions": [_formula_json(formula) for formula in self.definitions],
            "notes": list(self.notes),
        }

    def _page(self, layout: Layout | str | None) -> Page:
        chosen = None if layout is None else Layout(layout)
        return Page(
            Derivative(Name(self.out_name), Name(self.wrt)),
            self.inputs,
            outline(self.steps, chosen),
            self.definitions,
            self.notes,
            self.checked,
            not self.holds,
            self.in_numpy,
        )

    @property
    def holds(self) -> bool:
        """Whether every step that was checked in numbers holds, up to rounding."""
        return self.check is None or self.check < ALARM

    @property
    def checked(self) -> str:
        """What was found when the steps were checked in numbers; empty where they were not."""
        if self.check is None:
            return ""
        if not isfinite(self.check):
            return "Not checked in numbers: at these inputs some are not finite"
        count = sum(step.check is not None for step in self.steps)
        whole = f"{count} of {len(self.steps)}" if count < len(self.steps) else f"all {count}"
        found = f"Checked in numbers, {whole} steps: the largest relative difference"
        wrong = "" if self.holds else "; a step does not hold"
        return f"{found} is {self.check:.1g}{wrong}"


def _step_json(step: Step) -> dict[str, Any]:
    known = step.check is not None and isfinite(step.check)
    return {
        "kind": step.kind,
        **_formula_json(step.formula),
        "reason": step.reason,
        "shape": list(step.shape),
        "check": step.check if known else None,
    }


def _formula_json(formula: Formula) -> dict[str, str]:
    return {"text": text(formula), "latex": latex(formula)}
