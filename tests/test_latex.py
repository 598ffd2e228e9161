"""Formulas as LaTeX: whole strings, known macros, what a renderer takes."""

import re

import pytest
from hypothesis import given, settings
from matplotlib.mathtext import MathTextParser

from layouts.formulas.tree import Call, Entry, Equation, Name, Number
from layouts.show.latex import aligned, latex, name_latex, number_latex
from layouts.show.symbols import GREEK
from tests.formula_trees import FORMULAS, TABLE, a, at, b, c, dL, formulas, hand, i, j, one, small

# Macros of plain LaTeX with amsmath and amssymb, besides those of Greek letters.
_WORDS = r"""
    \, \\ \{ \} \$ \& \# \_ \% \left \right \frac \sqrt \partial \sum \cdot \times \odot \otimes
    \top \infty \leq \geq \neq \lVert \rVert \lvert \rvert \mathrm \mathbf \text \operatorname
    \begin \end \textbackslash \textasciitilde \textasciicircum \textless \textgreater
    \arccos \arcsin \arctan \cos \cosh \cot \det \exp \log \max \min \sin \sinh \tan \tanh
"""
KNOWN = {*_WORDS.split(), *("\\" + word for word in GREEK.values())}


def check(line):
    """Macros known, braces and \\left ... \\right balanced, nothing special outside of both."""
    macros = re.findall(r"\\(?:[A-Za-z]+|.)", line)
    assert {*macros} <= KNOWN
    bare = re.sub(r"\\[^A-Za-z]", " ", line)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert macros.count(r"\left") == macros.count(r"\right")
    assert not re.search(r"[$&#%~]|[\^_](?!\{)|\}_\{[^{}]*\}_\{", bare)
    assert "\n" not in line


@pytest.mark.parametrize("formula, unicode, _, expected", TABLE, ids=[row[1] for row in TABLE])
def test_the_table(formula, unicode, _, expected):
    assert latex(formula) == expected
    check(expected)


def test_all_small_formulas_are_balanced():
    for formula in small():
        check(latex(formula))


@given(formulas)
@settings(max_examples=200, deadline=None)
def test_any_formula_is_balanced(formula):
    check(latex(formula))


def test_a_renderer_takes_what_it_knows():
    """Matplotlib knows no text and no upright bars of amsmath; the rest it renders."""
    parser = MathTextParser("path")
    rendered = 0
    for formula in FORMULAS:
        line = latex(formula)
        if not re.search(r"\\text\b|\\[lr][vV]ert", line):
            parser.parse(f"${line}$")
            rendered += 1
    assert rendered > len(FORMULAS) * 0.9


def test_numbers_one_by_one_are_a_matrix():
    rows = Call("array", (Call("array", (a, Number(1))), Call("array", (Number(0), b))))
    assert latex(rows) == r"\begin{bmatrix}a & 1 \\ 0 & b\end{bmatrix}"
    assert latex(Call("array", (a, b))) == r"\begin{bmatrix}a \\ b\end{bmatrix}"


@pytest.mark.parametrize(
    "name, expected",
    [
        ("x", "x"),
        ("W_1", "W_{1}"),
        ("W_out", r"W_{\mathrm{out}}"),
        ("x_t", "x_{t}"),
        ("out", r"\mathrm{out}"),
        ("out12", r"\mathrm{out}_{12}"),
        ("my_var", r"\mathrm{my\_var}"),
        ("layers.0.w", r"\mathrm{layers.0.w}"),
        ("sigma", r"\sigma"),
        ("λ_2", r"\lambda_{2}"),
        ("é", r"\text{é}"),
        ("x'", r"\text{x'}"),
        ("a\n{$&#_%~^\\<>", r"\text{a \{\$\&\#\_\%\textasciitilde{}\textasciicircum{}"
         r"\textbackslash{}\textless{}\textgreater{}}"),
    ],
)  # fmt: skip
def test_names(name, expected):
    assert name_latex(name) == expected
    check(expected)


def test_numbers():
    nan, inf = float("nan"), float("inf")
    assert [number_latex(n) for n in (3.0, -0.5, 1e-20, -inf, nan, 0.12345)] == [
        "3",
        r"-\frac{1}{2}",
        r"1 \times 10^{-20}",
        r"-\infty",
        r"\mathrm{nan}",
        "0.12345",
    ]
    assert number_latex(complex(-1, -2)) == r"(-1 - 2\mathrm{i})"
    assert number_latex(complex(nan, inf)) == r"(\mathrm{nan} + \infty\mathrm{i})"


def test_aligned_has_a_line_for_each_side():
    first, *others = map(latex, hand.sides)
    assert aligned(hand) == (
        rf"\begin{{aligned}} {first} &= {others[0]} \\ &= {others[1]} \end{{aligned}}"
    )
    assert aligned(dL) == latex(dL)
    assert latex(Equation((a, b, c))) == "a = b = c"


def test_functions_without_a_macro():
    assert latex(Call("log_softmax", (a,), (), 1)) == r"\operatorname{log\_softmax}'(a)"
    options = (("axis", 1), ("mode", "a$"))
    assert latex(Call("f", (a,), options)) == (
        r"\operatorname{f}(a, \mathrm{axis} = 1, \mathrm{mode} = \text{'a\$'})"
    )


def test_an_entry_of_what_is_more_than_a_letter_stands_in_brackets():
    assert latex(Entry(Name("W_1"), (i, j))) == "[W_{1}]_{i,j}"
    assert latex(at(one("sqrt", a), i)) == r"[\sqrt{a}]_{i}"
    assert latex(at(at(Name("out"), i), j)) == r"[\mathrm{out}_{i}]_{j}"
    assert latex(Entry(Number(0.2), (i,))) == r"\left[\frac{1}{5}\right]_{i}"
