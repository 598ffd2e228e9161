"""The cursor that a formula's text is read with, and what it says where it cannot go on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from layouts.errors import LayoutError
from layouts.expressions.grammar import shorten
from layouts.formulas.tokens import Token, tokens
from layouts.formulas.tree import Formula

MAX_DEPTH = 60
EXAMPLE = "write it as in dD @ X.T, W.T (A ⊙ B) or Σ_j W[i,j] X[j,k]"
OPERAND = "a name, a number, '(' or a function"
T = TypeVar("T")


class Reader:
    """A place among the tokens; each method that reads moves it on, or refuses.

    Args:
        text: the formula.
        letters: words that are letters outside of indices too, as in `x[i] 1[i < n]`.
    """

    def __init__(self, text: str, letters: Collection[str] = ()):
        """Stand before the first token."""
        self.text = text
        self.letters = letters
        self.tokens = tokens(text)
        self.place = 0
        self.depth = 0
        self.norms = 0  # ‖ that are open
        self.indexing = False  # whether a lone name is a letter

    @property
    def next(self) -> Token:
        """The token to read next."""
        return self.tokens[self.place]

    def ahead(self, *signs: str, by: int = 0) -> bool:
        """Whether one of these signs or words comes next."""
        token = self.tokens[min(self.place + by, len(self.tokens) - 1)]
        return token.kind in ("sign", "name") and token.text in signs

    def take(self) -> Token:
        """Read a token."""
        self.place += 1
        return self.tokens[self.place - 1]

    def accept(self, *signs: str) -> Token | None:
        """Read one of these signs or words if it comes next."""
        return self.take() if self.ahead(*signs) else None

    def expect(self, sign: str, remedy: str = EXAMPLE) -> Token:
        """Read this sign, which must come next."""
        if not self.ahead(sign):
            raise self.refuse(repr(sign), remedy)
        return self.take()

    def refuse(self, expected: str, remedy: str = EXAMPLE, at: Token | None = None) -> LayoutError:
        """The error for the token that comes next, or for another."""
        token = at or self.next
        where = f"formula {shorten(self.text)}, column {token.column}"
        return LayoutError(where, expected, token.found, remedy)

    def deeper(self, read: Callable[[], T]) -> T:
        """Read what stands one level deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.refuse(f"at most {MAX_DEPTH} levels", "shorten it")
        found = read()
        self.depth -= 1
        return found

    def outside(self, read: Callable[[], Formula]) -> Formula:
        """Read what stands in brackets of its own: names are names, ‖ opens."""
        kept = self.indexing, self.norms
        self.indexing, self.norms = False, 0
        found = self.deeper(read)
        self.indexing, self.norms = kept
        return found

    # The levels of the grammar, for what stands in brackets.

    def comparison(self) -> Formula:
        """A sum, or two compared."""
        raise NotImplementedError

    def sum(self) -> Formula:
        """Terms with their signs and numbers."""
        raise NotImplementedError

    def term(self) -> Formula:
        """Products, joined by ⊙ or ⊗."""
        raise NotImplementedError

    def begins(self) -> bool:
        """Whether a factor begins here, beside the one before it."""
        raise NotImplementedError
