"""Formulas as LaTeX for math mode: plain LaTeX with amsmath and amssymb, no other macros."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from layouts.formulas.plain import is_array
from layouts.formulas.tree import (
    Call,
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Equation,
    Formula,
    Identity,
    Indicator,
    Inverse,
    Letter,
    Name,
    Number,
    Ones,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
    View,
)
from layouts.show.binding import lower, lower_pieces
from layouts.show.flattening import partials, summands
from layouts.show.symbols import GREEK, Scalar, mark_of, number_text, split_name

# Functions that LaTeX has a macro for; sigmoid is σ on paper.
_OPERATORS = "arccos arcsin arctan cos cosh cot det exp log max min sin sinh tan tanh"
MACROS = {name: "\\" + name for name in _OPERATORS.split()} | {"sigmoid": r"\sigma"}
COMPARISONS = {"==": "=", "!=": r"\neq", "<=": r"\leq", ">=": r"\geq"}
ESCAPES = {char: "\\" + char for char in "{}$&#_%"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
# Letters with or without marks: between two of them there is no space.
_LETTER = r"([A-Za-z]|\\[A-Za-z]+)(_\{[^{}]*\})?(\^\{[^{}]*\})?"
LETTERS = re.compile(f"{_LETTER}( {_LETTER})*")


def latex(formula: Formula) -> str:
    r"""Write a formula as LaTeX.

    Args:
        formula: any formula, with any characters in its names.

    Returns:
        One line for math mode, without dollar signs. An entry of a derivative by an array,
        `∂L/∂D[i,j]`, is written as the derivative by an entry of that array.

    Example:
        >>> from layouts.formulas.tree import Derivative, Equation, Name, Product, Transpose
        >>> L, D, W, X = map(Name, "LDWX")
        >>> rule = Product("matrix", (Derivative(L, D), Transpose(X)))
        >>> print(latex(Equation((Derivative(L, W), rule))))
        \frac{\partial L}{\partial W} = \frac{\partial L}{\partial D} \, X^{\top}
    """
    return lower(formula, "stacked", _write, _parentheses)


def aligned(formula: Formula) -> str:
    r"""Write a formula as LaTeX, an equation with a line for each side after the first.

    Args:
        formula: any formula.

    Returns:
        For an equation of several sides an `aligned` environment of amsmath, else `latex`'s line.

    Example:
        >>> from layouts.formulas.tree import Equation, Name
        >>> print(aligned(Equation(tuple(map(Name, "abc")))))
        \begin{aligned} a &= b \\ &= c \end{aligned}
    """
    if not isinstance(formula, Equation) or len(formula.sides) < 2:
        return latex(formula)
    first, *others = lower_pieces(formula, "stacked", _write, _parentheses)
    lines = r" \\ ".join(f"&= {side}" for side in others)
    return rf"\begin{{aligned}} {first} {lines} \end{{aligned}}"


def _write(node: Formula, texts: Sequence[str]) -> str:
    """A node, given the LaTeX of its pieces."""
    match node:
        case Name(text) | Letter(text):
            return name_latex(text)
        case Number(value):
            return number_latex(value)
        case Digits():
            return f"({','.join(texts)})"
        case Derivative() | Entry(Derivative()) if partials(node):
            return _derivative(node, iter(texts))
        case Entry(_, indices):
            return _subscripted(texts[0], texts[1:]) if indices else texts[0]
        case Delta():
            return rf"\delta_{{{','.join(texts)}}}"
        case Sigma(letters):
            return rf"\sum_{{{','.join(name_latex(n.text) for n in letters)}}} {texts[0]}"
        case Sum():
            return _sum(node, texts)
        case Product(kind):
            signs = {"entrywise": r" \odot ", "kronecker": r" \otimes "}
            return (signs[kind].join(texts) if kind in signs else _beside(texts)) or "1"
        case Quotient():
            return rf"\frac{{{texts[0]}}}{{{texts[1]}}}"
        case Power(_, Number(-1)):
            return rf"\frac{{1}}{{{texts[0]}}}"
        case Power(_, Number(value)) if "/" in number_text(value):
            return f"{texts[0]}^{{{number_text(value)}}}"
        case Power():
            return f"{texts[0]}^{{{texts[1]}}}"
        case Transpose(Inverse()):
            return rf"{texts[0]}^{{-\top}}"
        case Transpose():
            return rf"{texts[0]}^{{\top}}"
        case Inverse():
            return f"{texts[0]}^{{-1}}"
        case Call():
            return _called(node, texts)
        case View(_, entries):
            return f"{texts[0]}[{_words(', '.join(entries))}]"
        case Ones(shape):
            sizes = r" \times ".join(map(str, shape))
            return rf"\mathbf{{1}}_{{{sizes}}}"
        case Identity(size):
            return f"I_{{{size}}}"
        case Compare(sign):
            return f"{texts[0]} {COMPARISONS.get(sign, sign)} {texts[1]}"
        case Indicator():
            return rf"\mathbf{{1}}{_brackets(texts[0])}"
        case Equation():
            return " = ".join(texts)
    raise TypeError(f"no LaTeX is known for a {type(node).__name__}")


def name_latex(name: str) -> str:
    r"""A name: one letter in italics, words upright, digits at the end as a subscript.

    Example:
        >>> print(name_latex("z1"), name_latex("W_hh"), name_latex("params.w"), name_latex("a<b"))
        z_{1} W_{\mathrm{hh}} \mathrm{params.w} \text{a\textless{}b}
        >>> print(name_latex("W1_dot"), name_latex("dW"))
        \dot{W}_{1} \mathrm{d}W
    """
    role, name = mark_of(name)
    symbol, mark = split_name(name)
    line = rf"\dot{{{_symbol(symbol)}}}" if role == "dot" else _symbol(symbol)
    line = f"{line}_{{{_symbol(mark)}}}" if mark else line
    return rf"\mathrm{{d}}{line}" if role == "d" else line


def number_latex(number: Scalar) -> str:
    """A number, as `number_text` rounds it."""
    if isinstance(number, complex):
        sign = "-" if number.imag < 0 else "+"
        imaginary = _real(f"{abs(number.imag):.4g}")
        return rf"({_real(f'{number.real:.4g}')} {sign} {imaginary}\mathrm{{i}})"
    return _real(number_text(number))


def _real(text: str) -> str:
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    if "/" in text:
        return sign + r"\frac{{{}}}{{{}}}".format(*text.split("/"))
    if "e" in text:
        size, exponent = text.split("e")
        return rf"{sign}{size} \times 10^{{{int(exponent)}}}"
    return sign + {"nan": r"\mathrm{nan}", "inf": r"\infty"}.get(text, text)


def _symbol(word: str) -> str:
    if word in GREEK:
        return "\\" + GREEK[word]
    if word.isdigit() or re.fullmatch("[A-Za-z]", word):
        return word
    return _upright(word)


def _upright(word: str) -> str:
    plain = re.fullmatch(r"[A-Za-z0-9._]*", word)
    return rf"\mathrm{{{_escaped(word)}}}" if plain else _words(word)


def _words(text: str) -> str:
    """Words upright; text mode has no Greek letters, which stand between its pieces."""
    pieces = [piece for piece in re.split(f"([{''.join(GREEK)}])", text) if piece]
    written = ["\\" + GREEK[p] if p in GREEK else rf"\text{{{_escaped(p)}}}" for p in pieces]
    return written[0] if len(written) == 1 else f"{{{''.join(written)}}}"


def _escaped(text: str) -> str:
    return "".join(ESCAPES.get(c, c if c.isprintable() else " ") for c in text)


def _subscripted(array: str, indices: Sequence[str]) -> str:
    """`X_{l,j}`; what is more than a letter stands in brackets."""
    plain = re.fullmatch(r"[A-Za-z]|\\[a-zA-Z]+|\\mathrm\{[^{}]*\}|\\text\{[^{}]*\}", array)
    return f"{array if plain else _brackets(array)}_{{{','.join(indices)}}}"


def _derivative(node: Formula, texts: Iterator[str]) -> str:
    r"""`\frac{\partial L}{\partial W}`, with entries, of any order."""
    found = partials(node)
    assert found is not None
    of, order, below = next(texts), len(found[1]), []
    for _, indices in found[1]:
        by = next(texts)
        entry = _subscripted(by, [next(texts) for _ in indices]) if indices else by
        below.append(rf"\partial {entry}")
    power = f"^{{{order}}}" if order > 1 else ""
    return rf"\frac{{\partial{power} {of}}}" + r" \, ".join(below).join("{}")


def _sum(node: Sum, texts: Sequence[str]) -> str:
    line = ""
    for negative, numbers, terms in summands(node, texts):
        sign = "-" if negative else "+"
        line += f" {sign} " if line else sign * negative
        line += _beside([*map(number_latex, numbers), *terms])
    return line or "0"


def _beside(texts: Sequence[str]) -> str:
    r"""Factors side by side: letters with no space, a number before a number with a dot."""
    line = texts[0] if texts else ""
    for left, right in pairwise(texts):
        if right[:1].isdigit():
            space = r" \cdot "
        else:
            letters = LETTERS.fullmatch(right) and (LETTERS.fullmatch(left) or left.isdigit())
            space = " " if letters else r" \, "
        line += space + right
    return line


def _called(node: Call, texts: Sequence[str]) -> str:
    match node:
        case Call("norm", (_,), (), 0):
            return _between(r"\lVert ", texts[0], r" \rVert")
        case Call("abs", (_,), (), 0):
            return _between(r"\lvert ", texts[0], r" \rvert")
        case Call("sqrt", (_,), (), 0):
            return rf"\sqrt{{{texts[0]}}}"
        case Call("commutation", (Number(), Number()), (), 0):
            return f"K_{{{','.join(texts)}}}"
        case Call("logdet", (_,), (), 0):
            return rf"\log\det{_parentheses(texts[0])}"
        case Call("array", _, (), 0):
            return _table(node, texts)
    function = MACROS.get(node.function)
    if function is None:
        plain = re.fullmatch(r"[A-Za-z0-9._]+", node.function)
        word = _escaped(node.function)
        function = rf"\operatorname{{{word}}}" if plain else _words(node.function)
    options = [f"{_upright(key)} = {_option(value)}" for key, value in node.options]
    return f"{function}{chr(39) * node.primes}{_parentheses(', '.join([*texts, *options]))}"


def _table(node: Call, texts: Sequence[str]) -> str:
    """Numbers below each other, or rows of them."""
    begin, end = r"\begin{bmatrix}", r"\end{bmatrix}"
    rows = [is_array(part) for part in node.parts]
    if all(rows):
        texts = [t.removeprefix(begin).removesuffix(end).replace(r" \\ ", " & ") for t in texts]
    return begin + r" \\ ".join(texts) + end


def _option(value: object) -> str:
    text = repr(value)
    return text if text.isdigit() else _words(text)


def _parentheses(text: str) -> str:
    return _between("(", text, ")")


def _brackets(text: str) -> str:
    return _between("[", text, "]")


def _between(left: str, text: str, right: str) -> str:
    r"""Delimiters, as tall as what they hold."""
    if r"\frac" in text or r"\sum" in text:
        return rf"\left{left}{text}\right{right.strip()}"
    return f"{left}{text}{right}"
