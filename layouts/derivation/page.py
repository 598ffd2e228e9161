"""A derivation's page in each notation: text, LaTeX, HTML. Nothing here computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from layouts.derivation.outline import Line, Section
from layouts.formulas.tree import Derivative, Equation, Formula, Name
from layouts.nodes import Shape
from layouts.show.html import Markup, fragment, section, tag, times
from layouts.show.latex import latex
from layouts.show.mathml import mathml
from layouts.show.symbols import GREEK
from layouts.show.text import Alphabet, text

# Reasons stand in a column of their own, so far from the formulas.
GAP = 3
INDENT = 4
# More are counted and not listed.
MOST_INPUTS = 12
# Words as ASCII has them.
ASCII = {"×": "x", "δ": "delta", "∂": "d", "ᵀ": ".T", "Σ": "sum", "′": "'", "⊙": "*", "…": "..."}
# Words as LaTeX has them.
SPECIAL = {char: f"\\{char}" for char in "_&%#{}$"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "×": r"$\times$",
    "∂": r"$\partial$",
    "ᵀ": r"$^\top$",
}
SPECIAL |= {letter: f"$\\{word}$" for letter, word in GREEK.items()}
STYLE = """
.layouts:has(.steps){max-width:none}
.layouts .steps{display:grid;grid-template-columns:max-content max-content minmax(12em,1fr);
 column-gap:.3em;row-gap:.5em;align-items:baseline;overflow:auto hidden;padding:.2em 0}
.layouts .steps .left{text-align:right;padding-left:1em}
.layouts .steps .reason{opacity:.72;padding-left:2em}
.layouts math{math-style:normal;font-size:1.1em}
@media (max-width:45em){.layouts .steps{grid-template-columns:max-content minmax(0,1fr)}
 .layouts .steps .reason{grid-column:2;padding-left:1em}}
"""


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        title: the derivative.
        inputs: the shape of each input, by name.
        sections: the steps under headings.
        definitions: what letters and functions stand for.
        notes: what was left out, and why.
        checked: what was found when the steps were checked in numbers; empty where they were not.
        alarm: whether that is bad news.
        in_numpy: what is written otherwise in ASCII.
    """

    title: Derivative
    inputs: Mapping[str, Shape]
    sections: tuple[Section, ...]
    definitions: tuple[Equation, ...]
    notes: tuple[str, ...]
    checked: str
    alarm: bool = False
    in_numpy: Mapping[Formula, Formula] = field(default_factory=dict)

    @property
    def given(self) -> list[str]:
        """The inputs and their shapes; of very many the first."""
        pieces = [f"{name} {times(shape)}" for name, shape in self.inputs.items()]
        if len(pieces) > MOST_INPUTS:
            more = len(pieces) - MOST_INPUTS
            pieces = [*pieces[:MOST_INPUTS], f"and {more} inputs more"]
        return [f"{piece}," for piece in pieces[:-1]] + pieces[-1:]

    def text(self, alphabet: Alphabet, width: int) -> str:
        """The page as lines of text."""
        head = [f"{text(self.title, alphabet)}, with", *self.given]
        lines = _wrapped([_words(piece, alphabet) for piece in head], width)
        for part in self.sections:
            own = [self._in(alphabet, line) for line in part.lines]
            lines += ["", part.title, *_section_lines(own, alphabet, width)]
        if self.definitions:
            lines += ["", "where"]
            for definition in self.definitions:
                line = self._in(alphabet, Line(definition, ""))
                lines += _formula_lines(line.formula, alphabet, width)
        ends = [*self.notes, *([f"{self.checked}."] if self.checked else [])]
        for end in ends:
            lines += ["", *_wrapped(_words(end, alphabet).split(), width)]
        return "\n".join(lines)

    def _in(self, alphabet: Alphabet, line: Line) -> Line:
        """A line as it is written in an alphabet."""
        known = self.in_numpy.get(line.formula) if alphabet == "ascii" else None
        return replace(line, formula=known) if isinstance(known, Equation) else line

    def latex(self) -> str:
        """The page as an `align*` environment, what is no formula as comments."""
        rows = []
        for part in self.sections:
            for line in part.lines:
                rows.append(f"{_aligned_row(line)} && {_latex_words(line.reason)}")
        rows += [_aligned_row(Line(d, "")) for d in self.definitions]
        comments = [f"% {_words(note, 'ascii')}\n" for note in self.notes]
        return f"{''.join(comments)}\\begin{{align*}}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def html(self) -> Markup:
        """The page as a fragment of HTML."""
        head = tag("p", _math(self.title), f", with {' '.join(self.given)}")
        sections = list(self.sections)
        if self.definitions:
            sections.append(Section("where", tuple(Line(d, "") for d in self.definitions)))
        parts = [
            section(part.title, tag("div", *_html_lines(part.lines), class_="steps"))
            for part in sections
        ]
        parts += [tag("p", note) for note in self.notes]
        if self.checked:
            css = "alarm" if self.alarm else "muted"
            parts.append(tag("p", f"{self.checked}.", class_=css))
        return fragment(tag("style", Markup(STYLE)), head, *parts)


def _section_lines(lines: Sequence[Line], alphabet: Alphabet, width: int) -> list[str]:
    """Formulas, and their reasons in a column beside them, or below where a formula is long."""
    reasons = [_words(line.reason, alphabet) for line in lines]
    written = [_formula_lines(line.formula, alphabet, width, line.continued) for line in lines]
    column = _column([len(rows[-1]) for rows in written], [len(r) for r in reasons], width)
    found = []
    for rows, reason in zip(written, reasons, strict=True):
        *above, last = rows
        after = max(column, len(last) + GAP)
        if not reason:
            found += rows
        elif after + len(reason) <= width:
            found += [*above, last.ljust(after) + reason]
        else:
            start = max(2 * INDENT, min(column, width - len(reason)))
            found += [*rows, " " * start + reason]
    return found


def _column(formulas: Sequence[int], reasons: Sequence[int], width: int) -> int:
    """Where reasons start: as far out as those before it fit the width, given all lengths."""
    for column in sorted((size + GAP for size in formulas), reverse=True):
        beside = [r for f, r in zip(formulas, reasons, strict=True) if f + GAP <= column]
        if column + max(beside) <= width:
            return column
    return 2 * INDENT


def _formula_lines(
    formula: Equation, alphabet: Alphabet, width: int, continued: bool = False
) -> list[str]:
    lines = text(formula, alphabet, width - INDENT).split("\n")
    if continued:
        left = text(formula.sides[0], alphabet)
        if lines[0] == left:  # too long to stand beside the right side
            del lines[0]
        else:
            lines[0] = " " * len(left) + lines[0].removeprefix(left)
    return [" " * INDENT + line for line in lines]


def _words(words: str, alphabet: Alphabet) -> str:
    if alphabet == "unicode":
        return words
    return "".join(ASCII.get(char, char) for char in words)


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    """Words in lines; never broken within one."""
    lines = list(words[:1])
    for word in words[1:]:
        fits = len(lines[-1]) + 1 + len(word) <= width
        lines[-1:] = [f"{lines[-1]} {word}"] if fits else [lines[-1], word]
    return lines


def _aligned_row(line: Line) -> str:
    """An equation with its equals sign in a column."""
    left, *right = (latex(side) for side in line.formula.sides)
    return f"{'' if line.continued else left} &= {' = '.join(right)}"


def _latex_words(words: str) -> str:
    return rf"\text{{{''.join(SPECIAL.get(char, char) for char in words)}}}"


def _html_lines(lines: Sequence[Line]) -> Iterator[Markup]:
    """Three cells a line: the left side, the equals sign with the right side, the reason."""
    for line in lines:
        left, *right = line.formula.sides
        whole = Equation((Name(""), *right)) if right else left
        yield tag("div", "" if line.continued else _math(left), class_="left")
        yield tag("div", _math(whole))
        yield tag("div", line.reason, class_="reason")


def _math(formula: Formula) -> Markup:
    return Markup(mathml(formula, "inline"))
