"""Formulas as MathML Core: what browsers render by themselves, with nothing loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Literal

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
from layouts.show.symbols import Scalar, mark_of, number_text, split_name

# What XML cannot hold, escaped or not.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
COMPARISONS = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}
FUNCTIONS = {"sigmoid": "σ"}
MINUS = '<mo form="prefix">−</mo>'
# Signs in exponents and subscripts stand without spaces around them.
TOP = '<mo lspace="0" rspace="0">⊤</mo>'
SLASH = '<mo lspace="0" rspace="0">/</mo>'
TIMES = '<mspace width="0.17em"/>'
ALIGNED = '<mtd style="padding: 0.2em 0; text-align: {}">{}</mtd>'


def mathml(formula: Formula, display: Literal["block", "inline"] = "block") -> str:
    """Write a formula as a MathML element.

    Args:
        formula: any formula, with any characters in its names.
        display: a formula of its own, or one within a line of text. An equation of more than two
            sides has a line for each side after the first where it stands on its own.

    Returns:
        A whole `<math>` element; every name is escaped.

    Example:
        >>> from layouts.formulas.tree import Inverse, Name
        >>> print(mathml(Inverse(Name("a<b")), "inline").partition(">")[2])
        <msup><mi>a&lt;b</mi><mrow><mo form="prefix">−</mo><mn>1</mn></mrow></msup></math>
    """
    if display == "block" and isinstance(formula, Equation) and len(formula.sides) > 2:
        body = _lines(lower_pieces(formula, "stacked", _write, _parentheses))
    else:
        body = lower(formula, "stacked", _write, _parentheses)
    space = "http://www.w3.org/1998/Math/MathML"
    return f'<math xmlns="{space}" display="{display}">{body}</math>'


def _write(node: Formula, texts: Sequence[str]) -> str:
    """A node as elements side by side, given those of its pieces."""
    match node:
        case Name(text) | Letter(text):
            return _name(text)
        case Number(value):
            return _number(value)
        case Digits():
            return _between("(", _listed(texts), ")")
        case Derivative() | Entry(Derivative()) if partials(node):
            return _derivative(node, iter(texts))
        case Entry(_, indices):
            return _subscripted(texts[0], texts[1:]) if indices else texts[0]
        case Delta():
            return _element("msub", _mi("δ"), _listed(texts))
        case Sigma(letters):
            below = _listed(_name(letter.text) for letter in letters)
            return _element("munder", "<mo>∑</mo>", below) + texts[0]
        case Sum():
            return _sum(node, texts)
        case Product(kind):
            signs = {"entrywise": _mo("⊙"), "kronecker": _mo("⊗")}
            return (signs[kind].join(texts) if kind in signs else _beside(texts)) or _mn("1")
        case Quotient():
            return _element("mfrac", *texts)
        case Power(_, Number(-1)):
            return _element("mfrac", _mn("1"), texts[0])
        case Power(_, Number(value)) if "/" in number_text(value):
            return _element("msup", texts[0], _slashed(number_text(value)))
        case Power():
            return _element("msup", *texts)
        case Transpose(Inverse()):
            return _element("msup", texts[0], MINUS + TOP)
        case Transpose():
            return _element("msup", texts[0], TOP)
        case Inverse():
            return _element("msup", texts[0], MINUS + _mn("1"))
        case Call():
            return _called(node, texts)
        case View(_, entries):
            return texts[0] + _between("[", _mtext(", ".join(entries)), "]")
        case Ones(shape):
            return _element("msub", _mn("𝟏"), _mo("×").join(_mn(str(size)) for size in shape))
        case Identity(size):
            return _element("msub", _mi("I"), _mn(str(size)))
        case Compare(sign):
            return texts[0] + _mo(COMPARISONS.get(sign, sign)) + texts[1]
        case Indicator():
            return _mn("𝟏") + _between("[", texts[0], "]")
        case Equation():
            return _mo("=").join(texts)
    raise TypeError(f"no MathML is known for a {type(node).__name__}")


def _lines(sides: Sequence[str]) -> str:
    """A table: the first side, then a line for each other, the equals signs in a column."""
    rows = []
    for place, side in enumerate(sides[1:]):
        left = ALIGNED.format("right", sides[0] if place == 0 else "")
        right = ALIGNED.format("left", '<mo form="infix">=</mo>' + side)
        rows.append(f"<mtr>{left}{right}</mtr>")
    return f'<mtable displaystyle="true">{"".join(rows)}</mtable>'


def _name(name: str) -> str:
    role, name = mark_of(name)
    symbol, mark = split_name(name)
    found = _mi(symbol)
    if role == "dot":
        # A full stop, since not every font of mathematics has the accent.
        found = _element("mover", found, '<mo stretchy="false">.</mo>')
    if mark:
        found = _element("msub", found, _mn(mark) if mark.isdigit() else _mi(mark))
    upright = '<mi mathvariant="normal">d</mi>'
    return _element("mrow", upright, found) if role == "d" else found


def _number(number: Scalar) -> str:
    if isinstance(number, complex):
        sign = _mo("−" if number.imag < 0 else "+")
        imaginary = _real(f"{abs(number.imag):.4g}") + _mi("i")
        return _between("(", _real(f"{number.real:.4g}") + sign + imaginary, ")")
    return _real(number_text(number))


def _real(text: str) -> str:
    sign, text = (MINUS, text[1:]) if text.startswith("-") else ("", text)
    if "/" in text:
        return sign + _element("mfrac", *map(_mn, text.split("/")))
    if "e" in text:
        size, exponent = text.split("e")
        power = _element("msup", _mn("10"), _real(str(int(exponent))))
        return sign + _mn(size) + _mo("×") + power
    words = {"nan": _mi("nan"), "inf": _mi("∞")}
    return sign + words.get(text, _mn(text))


def _slashed(fraction: str) -> str:
    """`1/2` on one line, as in an exponent."""
    sign = MINUS if fraction.startswith("-") else ""
    above, below = fraction.lstrip("-").split("/")
    return sign + _mn(above) + SLASH + _mn(below)


def _subscripted(array: str, indices: Sequence[str]) -> str:
    """An array with its indices; what is more than a symbol stands in brackets."""
    plain = re.fullmatch(r"<mi>[^<]*</mi>", array)
    return _element("msub", array if plain else _between("[", array, "]"), _listed(indices))


def _derivative(node: Formula, texts: Iterator[str]) -> str:
    """A fraction of ∂s, with entries, of any order."""
    found = partials(node)
    assert found is not None
    of, order, below = next(texts), len(found[1]), []
    for _, indices in found[1]:
        by = next(texts)
        entry = _subscripted(by, [next(texts) for _ in indices]) if indices else by
        below.append(_mi("∂") + entry)
    above = _element("msup", _mi("∂"), _mn(str(order))) if order > 1 else _mi("∂")
    return _element("mfrac", above + of, TIMES.join(below))


def _sum(node: Sum, texts: Sequence[str]) -> str:
    row = ""
    for negative, numbers, terms in summands(node, texts):
        if row:
            row += _mo("−" if negative else "+")
        elif negative:
            row = MINUS
        row += _beside([*map(_number, numbers), *terms])
    return row or _mn("0")


def _beside(texts: Sequence[str]) -> str:
    """Factors side by side, a dot before a number."""
    row = ""
    for text in texts:
        # Ones and indicators begin with a digit that is none to a reader.
        number = re.match(r"(<m(row|sup|frac)>)*<mn>[0-9]", text) and not text.startswith("<mfrac>")
        row += (_mo("⋅") if number else TIMES) * bool(row) + text
    return row


def _called(node: Call, texts: Sequence[str]) -> str:
    match node:
        case Call("norm", (_,), (), 0):
            return _between("‖", texts[0], "‖")
        case Call("abs", (_,), (), 0):
            return _between("|", texts[0], "|")
        case Call("sqrt", (_,), (), 0):
            return _element("msqrt", texts[0])
        case Call("commutation", (Number(), Number()), (), 0):
            return _element("msub", _mi("K"), _mo(",").join(texts))
        case Call("logdet", (_,), (), 0):
            return _mi("log") + TIMES + _mi("det") + _mo("\u2061") + _parentheses(texts[0])
        case Call("array", _, (), 0):
            return _table(node, texts)
    function = _mi(FUNCTIONS.get(node.function, node.function))
    if node.primes:
        function = _element("msup", function, _mo("′" * node.primes))
    options = [_mi(key) + _mo("=") + _option(value) for key, value in node.options]
    return function + _mo("\u2061") + _parentheses(_listed([*texts, *options]))


def _table(node: Call, texts: Sequence[str]) -> str:
    """Numbers below each other, or rows of them."""
    rows = []
    for part, text in zip(node.parts, texts, strict=True):
        inner = is_array(part)
        cells = re.findall("<mtd>.*?</mtd>", text) if inner else [_cell(text)]
        rows.append(f"<mtr>{''.join(cells)}</mtr>")
    return _between("[", f"<mtable>{''.join(rows)}</mtable>", "]")


def _cell(text: str) -> str:
    return f"<mtd>{text}</mtd>"


def _option(value: object) -> str:
    text = repr(value)
    return _mn(text) if text.isdigit() else _mtext(text)


def _listed(texts: Iterable[str]) -> str:
    return _mo(",").join(texts)


def _parentheses(text: str) -> str:
    return _between("(", text, ")")


def _between(left: str, text: str, right: str) -> str:
    """Delimiters, which browsers stretch to what stands between them."""
    return f"<mrow>{_mo(left, 'prefix')}{text}{_mo(right, 'postfix')}</mrow>"


def _element(tag: str, *parts: str) -> str:
    return f"<{tag}>{''.join(map(_one, parts))}</{tag}>"


def _one(text: str) -> str:
    """One element, a row where there are several."""
    return text if re.fullmatch(r"<(m\w+)>[^<]*</\1>", text) else f"<mrow>{text}</mrow>"


def _mi(text: str) -> str:
    return f"<mi>{_escaped(text)}</mi>"


def _mn(text: str) -> str:
    return f"<mn>{_escaped(text)}</mn>"


def _mtext(text: str) -> str:
    return f"<mtext>{_escaped(text)}</mtext>"


def _mo(sign: str, form: str = "") -> str:
    attribute = f' form="{form}"' if form else ""
    return f"<mo{attribute}>{_escaped(sign)}</mo>"


def _escaped(text: str) -> str:
    return escape(FORBIDDEN.sub("\ufffd", text))
