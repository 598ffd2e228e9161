"""A formula's text as tokens: names, numbers, raised and lowered digits, and signs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from layouts.errors import LayoutError
from layouts.expressions.grammar import shorten

Kind = Literal["number", "name", "raised", "lowered", "prime", "string", "sign", "end"]

# Signs that look alike, one character for one, so that columns stay.
_ALIKE = str.maketrans("∑−⋅∙•∗’⊤≤≥≠…ϵ", "Σ-···*'ᵀ≤≥≠…ε")
_RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵀ"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉"
# What a word is made of: letters of any script, plain digits, underscores.
_WORD = rf"[^\W\d{_RAISED}{_LOWERED}][^\W{_RAISED}{_LOWERED}𝟎-𝟿]*"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
  | (?P<number>(?:[0-9]+(?:\.(?!T\b)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<name>{_WORD})
  | (?P<raised>[{_RAISED}]+)
  | (?P<lowered>[{_LOWERED}]+)
  | (?P<string>'[^'\n]*'|"[^"\n]*")
  | (?P<prime>[′″']+)
  | (?P<sign>\*\*|\.\.\.|[=!<>]=|\|\||[-+*/@^=<>()\[\]{{}},:.·×⊙⊗∂‖≤≥≠…𝟏])
    """,
    re.VERBOSE,
)
_MEANT = {"≤": "<=", "≥": ">=", "≠": "!=", "…": "...", "||": "‖"}
_PLAIN = str.maketrans(_RAISED[:-1] + _LOWERED, "-0123456789" * 1 + "0123456789")


@dataclass(frozen=True)
class Token:
    """A piece of text.

    Attributes:
        kind: of token; "end" after the last.
        text: as in the formula, signs that look alike made one.
        column: of its first character, from 1.
        tight: whether it follows the token before it without a space.
    """

    kind: Kind
    text: str
    column: int
    tight: bool

    @property
    def found(self) -> str:
        """The token in an error's words."""
        return "the end" if self.kind == "end" else repr(shorten(self.text, 30))


def tokens(text: str) -> list[Token]:
    """The tokens of a formula, a token "end" last.

    Raises:
        LayoutError: if a character belongs to no token; it says at which column.

    Example:
        >>> [token.text for token in tokens("W.T @ δ[i+2,k] x²")]
        ['W', '.', 'T', '@', 'δ', '[', 'i', '+', '2', ',', 'k', ']', 'x', '²', '']
    """
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    alike = text.translate(_ALIKE)
    place, before = 0, "space"
    while place < len(text):
        found = _TOKEN.match(alike, place)
        # A quote right behind a name or a bracket is a prime, elsewhere it begins a string.
        if alike[place] == "'" and before == "operand":
            found = re.compile("'+").match(alike, place)
            assert found is not None
            yield Token("prime", found[0], place + 1, True)
            place = found.end()
            continue
        if found is None:
            raise _stray(text, place)
        kind = found.lastgroup
        if kind != "space":
            word = _MEANT.get(found[0], found[0])
            yield Token(kind, word, place + 1, place > 0 and before != "space")  # type: ignore[arg-type]
        closing = kind in ("name", "raised", "lowered") or found[0] in (")", "]", "‖")
        before = "space" if kind == "space" else "operand" if closing else "sign"
        place = found.end()
    yield Token("end", "", len(text) + 1, before != "space")


def _stray(text: str, place: int) -> LayoutError:
    character = text[place]
    name = unicodedata.name(character, "a control character").lower()
    remedy = "it is no part of a formula; write one as in dD @ X.T or Σ_j W[i,j] X[j,k]"
    where = f"formula {shorten(text)}, column {place + 1}"
    received = f"{shorten(character)!r} ({name})"
    return LayoutError(where, "names, numbers, signs, brackets", received, remedy)


def plain(text: str) -> str:
    """Raised or lowered digits as digits on the line."""
    return text.translate(_PLAIN)
