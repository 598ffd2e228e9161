"""Formulas as lines of text, in Unicode as on paper or in ASCII as NumPy has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
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
from layouts.show.binding import SUM, binding, lower, lower_pieces
from layouts.show.flattening import factors, is_raised, is_scalar, summands
from layouts.show.symbols import SUBSCRIPTS, SUPERSCRIPTS, number_text

Alphabet = Literal["unicode", "ascii"]
# What stands for a word on paper.
SIGNS = {"sigmoid": "σ"}
# A name that would be read as a sum over letters.
_READS_AS_SUM = re.compile(r"Σ_.*|sum_([^\W\d_][0-9]*)+")


def text(formula: Formula, alphabet: Alphabet = "unicode", width: int | None = None) -> str:
    """Write a formula as text.

    Args:
        formula: any formula.
        alphabet: `unicode` as on paper, `ascii` as in NumPy.
        width: the longest line, in characters; what is longer breaks before equals signs, then
            before plus and minus signs, as far as there are any. None: one line.

    Returns:
        The text; `layouts.parse` reads it back, numbers to the digits that are printed.

    Example:
        >>> from layouts.formulas.tree import Derivative, Equation, Name, Product, Transpose
        >>> L, D, W, X = map(Name, "LDWX")
        >>> rule = Product("matrix", (Derivative(L, D), Transpose(X)))
        >>> print(text(Equation((Derivative(L, W), rule))))
        ∂L/∂W = ∂L/∂D Xᵀ
        >>> print(text(rule, "ascii"))
        dL/dD @ X.T
    """
    line = lower(formula, alphabet, WRITERS[alphabet], _parentheses)
    if width is None or len(line) <= width:
        return line
    if not isinstance(formula, Equation) or len(formula.sides) < 2:
        return "\n".join(_fill("", _chunks(formula, alphabet), 0, width))
    head, *others = [_chunks(side, alphabet, within=True) for side in formula.sides]
    lines = _fill("", head, 0, width)
    if len(lines) > 1 or len(lines[0]) > width // 2:
        indent = 2
        lines += _fill("  = ", others.pop(0), indent, width)
    else:
        indent = len(lines[0]) + 1
        lines = _fill(f"{lines[0]} = ", others.pop(0), indent, width)
    for side in others:
        lines += _fill(" " * indent + "= ", side, indent, width)
    return "\n".join(lines)


def _chunks(formula: Formula, alphabet: Alphabet, within: bool = False) -> list[str]:
    """What a line may break before: the terms of a sum, each with its sign."""
    write = WRITERS[alphabet]
    if isinstance(formula, Sum):
        texts = lower_pieces(formula, alphabet, write, _parentheses)
        return _terms(formula, texts, alphabet)
    line = lower(formula, alphabet, write, _parentheses)
    return [_parentheses(line) if within and binding(formula, alphabet) < SUM else line]


def _fill(start: str, chunks: Sequence[str], indent: int, width: int) -> list[str]:
    """Lines as full as the width allows, each but the first indented."""
    lines = [start + chunks[0]]
    for chunk in chunks[1:]:
        if len(lines[-1]) + 1 + len(chunk) <= width:
            lines[-1] += " " + chunk
        else:
            lines.append(" " * indent + chunk)
    return lines


def _unicode(node: Formula, texts: Sequence[str]) -> str:
    """A node as on paper, given the texts of its pieces."""
    match node:
        case Delta():
            return f"δ[{','.join(_indices(node.parts, texts, '·'))}]"
        case Entry(_, indices):
            return _indexed(texts[0], _indices(indices, texts[1:], "·"))
        case Sigma(letters):
            return f"Σ_{_subscript(letters)} {texts[0]}"
        case Sum():
            return " ".join(_terms(node, texts, "unicode"))
        case Product("matrix"):
            return " ".join([*texts[:1], *(_apart(text) for text in texts[1:])]) or "1"
        case Product(kind):
            return {"entrywise": " ⊙ ", "kronecker": " ⊗ "}[kind].join(texts) or "1"
        case Power(_, Number(value)) if is_raised(node.exponent):
            return texts[0] + number_text(value).translate(SUPERSCRIPTS)
        case Power():
            # `X^T` would be a transpose.
            return f"{texts[0]}^{texts[1] if texts[1] != 'T' else '(T)'}"
        case Transpose(Inverse()):
            return f"{texts[0]}⁻ᵀ"
        case Transpose():
            return f"{texts[0]}ᵀ"
        case Inverse():
            return f"{texts[0]}⁻¹"
        case Call("norm", (_,), (), 0) if "‖" not in texts[0]:
            return f"‖{texts[0]}‖"
        case Call("logdet", (_,), (), 0):
            return f"log det({texts[0]})"
        case Call("commutation", (Number(), Number()), (), 0):
            return f"K({','.join(texts)})"
        case Call("array", _, (), 0):
            return f"[{', '.join(texts)}]"
        case Call(function, _, options, primes):
            return _called(SIGNS.get(function, function) + "′" * primes, texts, options)
        case Ones((size,)):
            return "𝟏" + str(size).translate(SUBSCRIPTS)
        case Ones(shape):
            return f"𝟏({'×'.join(map(str, shape))})"
        case Identity(size):
            return "I" + str(size).translate(SUBSCRIPTS)
        case Derivative():
            return f"∂{texts[0]}/∂{texts[1]}"
        case _:
            return _common(node, texts)


def _ascii(node: Formula, texts: Sequence[str]) -> str:
    """A node as in NumPy, given the texts of its pieces."""
    match node:
        case Delta():
            return f"delta[{','.join(_indices(node.parts, texts, '*'))}]"
        case Entry(_, indices):
            return _indexed(texts[0], _indices(indices, texts[1:], "*"))
        case Sigma(letters):
            return f"sum_{_subscript(letters)} {texts[0]}"
        case Sum():
            return " ".join(_terms(node, texts, "ascii"))
        case Product("matrix"):
            return _multiplied(factors(node), texts) or "1"
        case Product("entrywise"):
            return " * ".join(texts) or "1"
        case Product():
            return reduce(lambda left, right: f"kron({left}, {right})", texts) if texts else "1"
        case Power():
            return f"{texts[0]}**{texts[1]}"
        case Transpose():
            return f"{texts[0]}.T"
        case Inverse():
            return f"inv({texts[0]})"
        case Call("array", _, (), 0):
            inner = (
                text.removeprefix("array(").removesuffix(")") if is_array(part) else text
                for part, text in zip(node.parts, texts, strict=True)
            )
            return f"array([{', '.join(inner)}])"
        case Call(function, _, options, primes):
            return _called(function + "'" * primes, texts, options)
        case Ones(shape):
            return f"ones({shape[0] if len(shape) == 1 else shape})"
        case Identity(size):
            return f"eye({size})"
        case Derivative():
            return f"d{texts[0]}/d{texts[1]}"
        case _:
            return _common(node, texts)


def _common(node: Formula, texts: Sequence[str]) -> str:
    """What both alphabets write alike."""
    match node:
        case Name(text) | Letter(text):
            return f"({text})" if _READS_AS_SUM.fullmatch(text) else text
        case Number(value):
            return number_text(value)
        case Digits():
            return f"({','.join(texts)})"
        case Quotient():
            return f"{texts[0]} / {texts[1]}"
        case View(_, entries):
            return _indexed(texts[0], [", ".join(entries)])
        case Compare(sign):
            return f"{texts[0]} {sign} {texts[1]}"
        case Indicator():
            return f"1[{texts[0]}]"
        case Equation():
            return " = ".join(texts)
    raise TypeError(f"no text is known for a {type(node).__name__}")


WRITERS: dict[Alphabet, Callable[[Formula, Sequence[str]], str]] = {
    "unicode": _unicode,
    "ascii": _ascii,
}


def _terms(formula: Sum, texts: Sequence[str], alphabet: Alphabet) -> list[str]:
    """The terms with their signs: `a`, `- 2 b`."""
    found: list[str] = []
    for negative, numbers, terms in summands(formula, texts):
        first, *others = [*map(number_text, numbers), *terms]
        if alphabet == "unicode":
            others = [_apart(other) for other in others]
        written = (" " if alphabet == "unicode" else " * ").join([first, *others])
        if found:
            found.append(f"{'-' if negative else '+'} {written}")
        else:
            found.append("-" * negative + written)
    return found or ["0"]


def _multiplied(parts: Sequence[Formula], texts: Sequence[str]) -> str:
    """Matrices with @ between them, numbers with *."""
    scalars = [is_scalar(part) for part in parts]
    signs = [" * " if left or right else " @ " for left, right in pairwise(scalars)]
    return "".join(text + sign for text, sign in zip(texts, [*signs, ""], strict=bool(texts)))


def _called(function: str, texts: Sequence[str], options: Sequence[tuple[str, object]]) -> str:
    return f"{function}({', '.join([*texts, *(f'{key}={value!r}' for key, value in options)])})"


def _indexed(array: str, indices: Sequence[str]) -> str:
    """`X[l,j]`; an array called δ stands in parentheses, since `δ[i,k]` is a delta."""
    array = f"({array})" if array in ("δ", "delta") else array
    return f"{array}[{','.join(indices)}]" if indices else array


def _indices(indices: Sequence[Formula], texts: Sequence[str], times: str) -> list[str]:
    """Indices without spaces: `i+2`, `6-i`, `2i+1`."""
    return [
        _tight(text, times) if isinstance(index, Sum) else text
        for index, text in zip(indices, texts, strict=True)
    ]


def _tight(index: str, times: str) -> str:
    index = re.sub(r" ([-+]) ", r"\1", index).replace(" * ", "*")
    return re.sub(r"\b(\d+) (\w+)", _step if times == "·" else r"\1*\2", index)


def _step(found: re.Match[str]) -> str:
    size, letter = found.groups()
    return size + letter if len(letter) == 1 else f"{size}·{letter}"


def _subscript(letters: Sequence[Letter]) -> str:
    """`ij`, or `(i,m1)` where a letter is long."""
    texts = [letter.text for letter in letters]
    return "".join(texts) if all(len(t) == 1 for t in texts) else f"({','.join(texts)})"


def _apart(text: str) -> str:
    """Keep a number or an array's brackets from running into what stands before it."""
    return f"({text})" if re.match(r"\d(?!\[)|\[", text, re.ASCII) else text


def _parentheses(text: str) -> str:
    return f"({text})"
