"""What stands in brackets: indices, slices, operands and options of a function."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from layouts.errors import LayoutError
from layouts.expressions.grammar import shorten
from layouts.formulas.calls import MAX_SIZE, call
from layouts.formulas.reader import Reader
from layouts.formulas.tokens import Token
from layouts.formulas.tree import (
    Delta,
    Derivative,
    Digits,
    Entry,
    Formula,
    Indicator,
    Letter,
    Number,
    View,
)

_CONSTANTS = {"True": True, "False": False, "None": None}
_SLICED = (":", "None", "newaxis", "...")
# Slices, None, whole numbers.
_VIEW = re.compile(r"-?[0-9]{1,9}|None|\.\.\.|(-?[0-9]{1,9})?:(-?[0-9]{1,9})?(:(-?[0-9]{1,9})?)?")


class Brackets(Reader):
    """Reads what stands in brackets, and numbers."""

    def number(self) -> Number:
        """A number; `2j` is imaginary outside of indices."""
        token = self.take()
        text = token.text
        whole = text.isdigit() and len(text) < 16
        value: complex | float | int = int(text) if whole else float(text)
        if not math.isfinite(abs(value)):
            raise self.refuse("a finite number", "choose another", at=token)
        if self.ahead("j") and self.next.tight and not self.indexing:
            self.take()
            value = complex(0, value)
        return Number(value)

    def whole_size(self, text: str) -> int:
        """A size, a whole number."""
        token = self.take()
        if not text.isdigit() or len(text) > 15 or int(text) > MAX_SIZE:
            raise self.refuse(f"a size, a whole number up to {MAX_SIZE:,}", at=token)
        return int(text)

    def is_indicator(self) -> bool:
        """Whether `1[` comes next."""
        return self.next.text == "1" and self.ahead("[", by=1) and self.tokens[self.place + 1].tight

    def indicator(self) -> Formula:
        """`1[z > 0]`."""
        self.place += 2
        condition = self.outside(self.comparison)
        self.expect("]")
        return Indicator(condition)

    def parenthesised(self, opening: Token) -> Formula:
        """What stands in parentheses; among indices `(i,j)` is one index."""
        norms, self.norms = self.norms, 0
        found = self.deeper(self.comparison)
        if self.indexing and self.ahead(","):
            letters = [found]
            while self.accept(","):
                letters.append(self.deeper(self.sum))
            if not all(isinstance(letter, Letter) for letter in letters):
                raise self.refuse("letters alone", "write one index of several as (i,j)", opening)
            found = Digits(tuple(letters))  # type: ignore[arg-type]
        self.expect(")", f"close the parenthesis of column {opening.column}")
        self.norms = norms
        return found

    def delta(self) -> Formula:
        """`δ[i,k]`, its δ read."""
        opening = self.next
        entries = self.indices()
        if len(entries) != 2:
            raise self.refuse("two indices", "write a delta as δ[i,k]", at=opening)
        return Delta(*entries)

    def indices(self) -> list[Formula]:
        """Indices in brackets."""
        self.expect("[")
        kept, self.indexing = self.indexing, True
        found = [self.deeper(self.sum)]
        while self.accept(","):
            found.append(self.deeper(self.sum))
        self.indexing = kept
        self.expect("]", "write indices as in X[i,j] and slices as in x[:, None]")
        return found

    def indexed(self, array: Formula) -> Formula:
        """An entry where there are letters, a view where there are slices, None or numbers."""
        parts = self.bracketed()
        sliced = any(t.text in _SLICED for part in parts for t in part)
        named = [t for part in parts for t in part if t.kind == "name" and t.text != "None"]
        named = [t for t in named if t.text != "newaxis"]
        if sliced and named:
            remedy = "write X[i,j] with letters alone, or x[:, None] with slices alone"
            raise self.refuse("letters or slices", remedy, at=named[0])
        if named:
            indices = self.indices()
            if isinstance(array, Derivative) and isinstance(array.of, Entry):
                raise self.refuse("no more indices", "write ∂D[i,j]/∂W[k,l]", at=named[0])
            return Entry(array, tuple(indices))
        opening = self.take()
        entries = []
        for part in parts:
            text = "".join(token.text for token in part).replace("newaxis", "None")
            if not _VIEW.fullmatch(text):
                remedy = "write a view as in x[:, None], X[1:, ::-1] or X[0]"
                raise self.refuse("slices, None or whole numbers", remedy, (part or [opening])[0])
            entries.append(text)
        self.place += sum(map(len, parts)) + len(parts)
        return View(array, tuple(entries))

    def bracketed(self) -> list[list[Token]]:
        """The tokens within the brackets that open here, parted at their commas."""
        parts: list[list[Token]] = [[]]
        depth = 0
        for token in self.tokens[self.place + 1 :]:
            if token.kind == "end":
                raise self.refuse("']'", f"close the bracket of column {self.next.column}", token)
            if token.kind == "sign" and token.text in ("]", ")") and depth == 0:
                break
            depth += token.text in ("[", "(") if token.kind == "sign" else 0
            depth -= token.text in ("]", ")") if token.kind == "sign" else 0
            if token.kind == "sign" and token.text == "," and depth == 0:
                parts.append([])
            else:
                parts[-1].append(token)
        return parts

    def called(self, token: Token, primes: int, first: list[Formula]) -> Formula:
        """The operands and options of a function."""
        self.expect("(")
        operands = list(first)
        options: list[tuple[str, object]] = []
        while not self.accept(")"):
            if (len(operands) > len(first) or options) and not self.accept(","):
                raise self.refuse("',' or ')'", f"close the parenthesis of {token.text}")
            if self.accept(")"):
                break
            if self.next.kind == "name" and self.ahead("=", by=1):
                word = self.take().text
                self.take()
                options.append((word, self.literal()))
            elif options:
                raise self.refuse("an option such as axis=1", "put operands before options")
            elif token.text == "ones" and not operands and self.ahead("("):
                operands += [Number(size) for size in self.sizes()]
            else:
                operands.append(self.outside(self.comparison))
        try:
            return call(token.text, operands, options, primes)
        except LayoutError as error:
            where = f"formula {shorten(self.text)}, column {token.column}: {error.what}"
            raise LayoutError(where, error.expected, error.received, error.remedy) from None

    def sizes(self) -> Iterator[float]:
        """`(4, 5)`, the sizes of an array as NumPy has them."""
        opening = self.next
        found = self.literal()
        if not isinstance(found, tuple) or not all(isinstance(n, int) for n in found):
            raise self.refuse("sizes", "write ones((4, 5))", at=opening)
        yield from found

    def literal(self) -> object:
        """An option's value: a number, a word in quotes, True, False, None, or several of these."""
        if opening := self.accept("(", "["):
            closing = ")" if opening.text == "(" else "]"
            found: list[object] = []
            while not self.accept(closing):
                if found and not self.accept(","):
                    raise self.refuse(f"',' or '{closing}'")
                if not self.ahead(closing):
                    found.append(self.deeper(self.literal))
            return tuple(found)
        sign = -1 if self.accept("-") else 1
        token = self.next
        if token.kind == "number":
            return sign * self.number().value
        self.take()
        if sign == 1 and token.kind == "string":
            return token.text[1:-1]
        if sign == 1 and token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        raise self.refuse("a number, True, False or a word in quotes", "write axis=1", at=token)
