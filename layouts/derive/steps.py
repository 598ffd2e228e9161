"""A derivation as data: its steps, what they are for, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from layouts.formulas.tree import Equation, Formula
from layouts.nodes import Shape
from layouts.show.latex import latex
from layouts.show.mathml import mathml
from layouts.show.text import text

# The kinds of steps in their order, each with the heading that it stands under.
KINDS: Mapping[str, str] = {
    "forward": "Forward",
    "partial": "Local derivatives",
    "backward": "Backward, vertex by vertex",
    "chain": "Chain rule, over every path",
    "substitute": "Local derivatives put in",
    "delta": "Deltas applied",
    "result": "What remains",
    "matrix": "With matrices",
    "jacobian": "Jacobian",
    "kronecker": "Stacked",
    "vjp": "Rules",
    "jvp": "Rules",
    "layout": "Layouts",
}


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        kind: which kind of step: "forward", "partial", "chain", "substitute", "delta", "result",
            "matrix", "jacobian", "kronecker", "vjp", "jvp" or "layout".
        formula: an equation; its last side is what the step arrives at.
        reason: why it holds, in one line.
        shape: of the array that the last side means.
        check: the largest difference from the true value, relative to its largest entry; None
            where only shapes are known.
    """

    kind: str
    formula: Formula
    reason: str
    shape: Shape
    check: float | None = None

    def __str__(self) -> str:
        return text(self.formula)


@dataclass(frozen=True)
class Derivation:
    """How a derivative is found by hand, step by step.

    Attributes:
        inputs: the shape of each input, by name.
        wrt: the input differentiated by.
        out_name: how formulas call the output.
        out_shape: its shape.
        steps: the steps in order.
        definitions: what functions and letters stand for, each once.
        notes: what was left out, and why.
    """

    inputs: Mapping[str, Shape]
    wrt: str
    out_name: str
    out_shape: Shape
    steps: tuple[Step, ...]
    definitions: tuple[Equation, ...] = ()
    notes: tuple[str, ...] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

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
        """The largest difference of any step from the true value; None for shapes alone."""
        checks = [step.check for step in self.steps if step.check is not None]
        return max(checks) if checks else None

    def __str__(self) -> str:
        return self.text()

    def text(self, alphabet: str = "unicode", width: int = 88) -> str:
        """The whole derivation as text, steps under headings.

        Args:
            alphabet: "unicode" or "ascii".
            width: where lines break.
        """
        lines, heading = [self._headline(alphabet)], ""
        for step in self.steps:
            if KINDS[step.kind] != heading:
                heading = KINDS[step.kind]
                lines += ["", heading]
            written = text(step.formula, alphabet, width - 4)  # type: ignore[arg-type]
            lines += [f"    {line}" for line in written.split("\n")]
            lines.append(f"        {step.reason}")
        if self.definitions:
            lines += ["", "where"]
            lines += [f"    {text(d, alphabet, width - 4)}" for d in self.definitions]  # type: ignore[arg-type]
        lines += [f"\n{note}" for note in self.notes]
        if self.check is not None:
            lines += [
                "",
                f"checked in numbers: the largest relative difference is {self.check:.1g}",
            ]
        return "\n".join(lines)

    def _headline(self, alphabet: str) -> str:
        by = "∂" if alphabet == "unicode" else "d"
        times = "×" if alphabet == "unicode" else "x"
        shapes = [f"{n} {times.join(map(str, s)) or 'scalar'}" for n, s in self.inputs.items()]
        return f"{by}{self.out_name}/{by}{self.wrt}, with {', '.join(shapes)}"

    def latex(self) -> str:
        """The derivation as LaTeX: an `align*` environment, reasons as text."""
        rows = [
            rf"{latex(s.formula, aligned=True)} && \text{{{_plain(s.reason)}}}" for s in self.steps
        ]
        rows += [latex(d, aligned=True) for d in self.definitions]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def mathml(self) -> str:
        """The result as one `<math>` element."""
        return mathml(self.formula)


def _at_equals(formula: Formula) -> str:
    """An equation whose first equals sign is aligned with others."""
    left, *right = formula.sides if isinstance(formula, Equation) else (formula,)
    return " ".join([latex(left), *(f"&= {latex(side)}" for side in right[:1])]) + "".join(
        f" = {latex(side)}" for side in right[1:]
    )


def _plain(words: str) -> str:
    """Words inside LaTeX's `text`."""
    special = {"_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "{": r"\{", "}": r"\}", "$": r"\$"}
    special |= {"^": r"\^{}", "~": r"\~{}", "\\": r"\textbackslash{}"}
    return "".join(special.get(c, c) for c in words)
