"""A diagnosis as data, and how it is shown: text, HTML, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap
from typing import Any

from layouts.errors import LayoutError
from layouts.formulas.parsing import parse
from layouts.show.html import Markup, Shown, code, fragment, section, tag
from layouts.show.mathml import mathml

UNKNOWN = float("inf")
WIDTH = 100
# The parts of a finding stand in a column behind their labels.
LABEL = 7
STYLE = """
.layouts .finding{border-left:3px solid #c4512d;padding:.1em .9em;margin:.3em 0 .8em}
.layouts .finding th{font-weight:400;opacity:.72;padding-right:1.2em;white-space:nowrap}
.layouts .finding td{max-width:48em}
.layouts .finding math{math-style:normal;font-size:1.1em}
.layouts .verdict{font-weight:600}
"""


@dataclass(frozen=True)
class Finding:
    """What is wrong with the gradient by one argument.

    Attributes:
        kind: which mistake, such as "operand-not-transposed"; "unexplained" where none fits,
            "raises", "not-finite", "not-deterministic", "wrong-shape" or "wrong-dtype" where there
            is no telling;
            "forward-value" where a custom rule changes the function itself.
        message: what was done, in words.
        correction: the one-line fix.
        residual: the largest difference between the candidate and what this mistake gives,
            relative to the largest entry, over all inputs.
        argument: which argument's gradient it is.
        wrong: the formula that the candidate follows, where it is known.
        right: the formula that it should follow.
        where: where the candidate differs from the right gradient.
        inputs: at how many independent inputs this was seen.
        next_best: the residual of the next-best mistake of another kind.
        certain: whether no other mistake gives the same numbers, nor what was done has another
            name; else it is one of several candidates.
        alternative: which of several explanations it belongs to; findings of one are there at once.
    """

    kind: str
    message: str
    correction: str
    residual: float
    argument: str
    wrong: str = ""
    right: str = ""
    where: str = ""
    inputs: int = 1
    next_best: float = UNKNOWN
    certain: bool = True
    alternative: int = 0


@dataclass(frozen=True)
class Diagnosis(Shown):
    """What the doctor says of a candidate; `str()` is the report, a notebook shows it as HTML.

    Attributes:
        verdict: "correct", "mistake" or "unexplained".
        findings: what is wrong, best first; none where all is right.
        notes: what else there is to know: ties, mistakes that may hide, what was tried.
        tried: how many mistakes were tried.
        inputs: at how many inputs.

    Example:
        >>> sign = Finding("sign", "the sign is wrong", "change the sign", 0.0, "x", inputs=4)
        >>> print(Diagnosis("mistake", (sign,), inputs=4))
        mistake: sign in the gradient by x
        <BLANKLINE>
        gradient by x: sign
            the sign is wrong
            fix    change the sign
            sure   to rounding at 4 independent inputs
    """

    verdict: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    tried: int = 0
    inputs: int = 0

    @property
    def ok(self) -> bool:
        """Whether the candidate is right."""
        return self.verdict == "correct"

    @property
    def certain(self) -> bool:
        """Whether the mistakes are stated as certain: each argument has one candidate alone."""
        return self.verdict == "mistake" and all(f.certain for f in self.findings)

    @property
    def candidates(self) -> dict[str, list[tuple[str, ...]]]:
        """For each argument what it may be, the likeliest first: the kinds that are there at once.

        Example:
            >>> one = Finding("missing-path", "", "", 0.0, "x", certain=False)
            >>> other = Finding("sign", "", "", 0.0, "x", certain=False, alternative=1)
            >>> Diagnosis("mistake", (one, other)).candidates
            {'x': [('missing-path',), ('sign',)]}
        """
        return {
            case[0][0].argument: [tuple(dict.fromkeys(f.kind for f in few)) for few in case]
            for case in self._cases()
        }

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        if self.ok:
            return f"correct: agrees with JAX's derivative at {_count(self.inputs)}"
        return f"{self.verdict}: " + "; ".join(_summary(case) for case in self._cases())

    def __str__(self) -> str:
        lines = [self.summary]
        for case in self._cases():
            lines += ["", *_case_lines(case)]
        if ends := self._ends():
            lines += ["", *(line for end in ends for line in wrap(end, WIDTH))]
        return "\n".join(lines)

    def html(self) -> str:
        """The report as a fragment of HTML that stands alone, its formulas as MathML."""
        parts = [tag("p", self.summary, class_="verdict")]
        parts += [section(_title(case), *_case_html(case)) for case in self._cases()]
        parts += [tag("p", end, class_="muted") for end in self._ends()]
        return fragment(tag("style", Markup(STYLE)), *parts)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is None."""
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "certain": self.certain,
            "findings": [
                {
                    **{name: getattr(f, name) for name in _PLAIN},
                    "residual": _finite(f.residual),
                    "next_best": _finite(f.next_best),
                }
                for f in self.findings
            ],
            "notes": list(self.notes),
            "tried": self.tried,
            "inputs": self.inputs,
        }

    def _cases(self) -> list[list[list[Finding]]]:
        """For each argument its explanations, each of one or more findings at once."""
        by_argument = groupby(self.findings, key=lambda finding: finding.argument)
        return [_alternatives(list(findings)) for _, findings in by_argument]

    def _ends(self) -> list[str]:
        """What is told after the findings."""
        tried = f"{self.tried} mistakes were tried at {_count(self.inputs)}."
        return [*([tried] if self.tried else []), *(f"Note: {note}" for note in self.notes)]


_PLAIN = (
    "kind",
    "message",
    "correction",
    "argument",
    "wrong",
    "right",
    "where",
    "inputs",
    "certain",
    "alternative",
)


def worst(verdicts: Sequence[str]) -> str:
    """The verdict on several arguments."""
    for verdict in ("unexplained", "mistake"):
        if verdict in verdicts:
            return verdict
    return "correct"


def _alternatives(findings: list[Finding]) -> list[list[Finding]]:
    """Findings of one argument by explanation: where they are not certain, each is one."""
    numbered = any(finding.alternative for finding in findings)
    found: list[list[Finding]] = []
    for finding in findings:
        other = found and found[-1][0].alternative != finding.alternative
        if not found or other or (not numbered and not finding.certain):
            found.append([])
        found[-1].append(finding)
    return found


def _summary(case: list[list[Finding]]) -> str:
    first = case[0][0]
    if first.kind == "unexplained":
        return f"{_place(first)} is wrong"
    return f"{_kinds(case)} in {_place(first)}"


def _title(case: list[list[Finding]]) -> str:
    return f"{_place(case[0][0]).removeprefix('the ')}: {_kinds(case)}"


def _place(finding: Finding) -> str:
    return (
        "the output" if finding.kind == "forward-value" else f"the gradient by {finding.argument}"
    )


def _kinds(case: list[list[Finding]]) -> str:
    named = dict.fromkeys(" and ".join(dict.fromkeys(f.kind for f in few)) for few in case)
    return f"either {' or '.join(named)}" if len(named) > 1 else next(iter(named))


# A report is made of rows: a label, which may be empty, what it says, and whether it is a formula.
Row = tuple[str, str, bool]


def _case_lines(case: list[list[Finding]]) -> Iterator[str]:
    """One argument's explanations as lines of text."""
    yield _title(case)
    for heading, rows in _parts(case):
        if heading:
            yield f"  {heading}"
        yield from _row_lines(rows)


def _row_lines(rows: Sequence[Row]) -> Iterator[str]:
    for label, words, is_formula in rows:
        indent = 4 + (LABEL if label else 0)
        lines = words.split("\n") if is_formula else wrap(words, WIDTH - indent)
        for n, line in enumerate(lines or [""]):
            yield " " * 4 + (label if n == 0 else "").ljust(indent - 4) + line


def _case_html(case: list[list[Finding]]) -> Iterator[Markup]:
    """One argument's explanations as elements."""
    for heading, rows in _parts(case):
        if heading:
            yield tag("p", heading)
        yield _rows_html(rows)


def _rows_html(rows: Sequence[Row]) -> Markup:
    words = [tag("p", text) for label, text, _ in rows if not label]
    cells = [
        tag("tr", tag("th", label), tag("td", _formula(text) if is_formula else text))
        for label, text, is_formula in rows
        if label
    ]
    body = tag("div", tag("table", tag("tbody", *cells)), class_="scroll")
    return tag("div", *words, body, class_="finding")


def _formula(text: str) -> Markup:
    """A formula as MathML; as text where it cannot be read back."""
    try:
        return Markup(mathml(parse(text), display="inline"))
    except LayoutError:
        return code(text)


def _parts(case: list[list[Finding]]) -> Iterator[tuple[str, list[Row]]]:
    """What is told of one argument: of each explanation, then what holds for all of them."""
    every = [finding for findings in case for finding in findings]
    right = _once("right", [finding.right for finding in every], is_formula=True)
    right += _once("where", [finding.where for finding in every])
    sure = _once("sure", [_sure(every, several=len(case) > 1)])
    for number, findings in enumerate(case, start=1):
        rows: list[Row] = [("", finding.message, False) for finding in findings]
        rows += _once("wrong", [finding.wrong for finding in findings], is_formula=True)
        fix = _once("fix", [finding.correction for finding in findings])
        if len(case) == 1:
            yield "", [*rows, *right, *fix, *sure]
        else:
            yield f"{number}. {_kinds([findings])}", [*rows, *fix]
    if len(case) > 1:
        yield "All of them", [*right, *sure]


def _once(label: str, texts: Sequence[str], is_formula: bool = False) -> list[Row]:
    """A row for each text that is new, the label before the first."""
    kept = [text for text in dict.fromkeys(texts) if text]
    return [(label, text, is_formula) for text in kept]


def _sure(findings: Sequence[Finding], several: bool) -> str:
    """How well the mistake explains the candidate, and the next best."""
    residual = max(finding.residual for finding in findings)
    if residual == UNKNOWN:
        return ""
    close = f"to {residual:.0e}" if residual > 0 else "to rounding"
    words = f"{close} at {_count(findings[0].inputs)}"
    next_best = min(finding.next_best for finding in findings)
    if next_best != UNKNOWN:
        words += f"; the next-best mistake misses by {next_best:.1g}"
    if several:
        words += "; the numbers do not tell which it is"
    return words


def _count(inputs: int) -> str:
    return "1 input" if inputs == 1 else f"{inputs} independent inputs"


def _finite(number: float) -> float | None:
    return number if abs(number) < UNKNOWN else None
