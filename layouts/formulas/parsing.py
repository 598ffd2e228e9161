"""From text to a formula: what the lowerings to text print, and what people type.

Juxtaposition and `@` are products of matrices, `*` and `⊙` go entry by entry, `X[i,j]` with letters
is an entry and with slices a view. Nothing is evaluated as Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from layouts.errors import LayoutError
from layouts.expressions.grammar import shorten
from layouts.formulas.calls import call, is_known
from layouts.formulas.joining import joined, split, starred, times
from layouts.formulas.reader import EXAMPLE, MAX_DEPTH, OPERAND
from layouts.formulas.tokens import Token, plain
from layouts.formulas.tree import (
    Call,
    Compare,
    Equation,
    Formula,
    Inverse,
    Letter,
    Number,
    Ones,
    Power,
    Quotient,
    Sum,
    Transpose,
)
from layouts.formulas.words import Words

MAX_TEXT = 2_000
MAX_NODES = 1_000

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_KINDS = {"⊙": "entrywise", "⊗": "kronecker"}
_RAISED = re.compile("⁻?ᵀ|⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,9}")


def parse(text: str) -> Formula:
    """Read a formula as `layouts` prints it or as people type it.

    Args:
        text: at most 2,000 characters, 1,000 nodes, 60 levels deep. `dD` and `dL/dD` without
            spaces are a derivative, `a / b` with spaces a quotient.

    Returns:
        Its tree, for `layouts.formulas.evaluating.evaluate`; letters have no sizes.

    Raises:
        LayoutError: if the text is no formula; it says at which column, what was expected there,
            and gives an example.

    Example:
        >>> parse("dL/dD @ X.T") == parse("∂L/∂D Xᵀ")
        True
        >>> parse("δ[i,k] X[l,j]").factors[0]
        Delta(left=Letter(text='i', size=0), right=Letter(text='k', size=0))
    """
    if not isinstance(text, str):
        raise LayoutError("formula", "a string", type(text).__name__, "pass its text")
    if len(text) > MAX_TEXT:
        expected = f"at most {MAX_TEXT:,} characters"
        raise LayoutError(f"formula {shorten(text)}", expected, f"{len(text):,}", "shorten it")
    if not text.strip():
        raise LayoutError("formula", "a formula", "nothing", EXAMPLE)
    formula = _Parser(text).whole()
    _check_size(text, formula)
    letters = {part.text for part in formula.walk() if isinstance(part, Letter)}
    # Only now is it known that the `i` of `i x[i]` is a letter, a number times a number.
    return _Parser(text, letters).whole() if letters else formula


class _Parser(Words):
    """Reads the operators, the loosest first."""

    def whole(self) -> Formula:
        """The whole text: a formula, or several that are equal."""
        sides = [self.comparison()]
        while self.accept("="):
            sides.append(self.comparison())
        if self.next.kind != "end":
            raise self.refuse("an operator or the end", _remedy(self.next))
        return sides[0] if len(sides) == 1 else Equation(tuple(sides))

    def comparison(self) -> Formula:
        """A sum, or two compared."""
        left = self.sum()
        if not self.ahead(*_COMPARISONS):
            return left
        sign = self.take().text
        found = Compare(sign, left, self.sum())
        if self.ahead(*_COMPARISONS):
            raise self.refuse("one comparison", "write 1[0 <= i] 1[i < 3] for 1[0 <= i < 3]")
        return found

    def sum(self) -> Formula:
        """Terms with their signs and numbers."""
        sign = self.accept("+", "-")
        terms = [(-1 if sign and sign.text == "-" else 1, self.term())]
        while sign := self.accept("+", "-"):
            terms.append((-1 if sign.text == "-" else 1, self.term()))
        if len(terms) == 1:
            return times(*terms[0])
        numbers = [sign * term.value for sign, term in terms if isinstance(term, Number)]
        if len(numbers) == len(terms) and any(isinstance(n, complex) for n in numbers):
            return Number(sum(numbers))
        return Sum(*zip(*(split(sign, term) for sign, term in terms), strict=True))

    def term(self) -> Formula:
        """Products, joined by ⊙ or ⊗."""
        found = self.product()
        while sign := self.accept(*_KINDS):
            found = joined(_KINDS[sign.text], found, self.product())
        return found

    def product(self) -> Formula:
        """Factors beside each other or joined by `@ * · /`, from left to right."""
        found = self.factor()
        found = self.fraction(found)
        while True:
            sign = self.accept("*", "@", "·", "/")
            if sign is None:
                if self.ahead("×"):
                    raise self.refuse("a product", "write A B, A ⊙ B or A ⊗ B; × parts sizes")
                if not self.begins():
                    return found
                found = joined("matrix", found, self.factor())
                continue
            other = self.factor()
            if sign.text == "/":
                found = Quotient(found, other)
            elif sign.text == "*":
                found = starred(found, self.fraction(other))
            else:
                found = joined("matrix", found, self.fraction(other))

    def fraction(self, found: Formula) -> Formula:
        """`1/5` without spaces is a number."""
        over = self.tokens[self.place + 1] if self.ahead("/") else None
        if (
            isinstance(found, Number)
            and over is not None
            and over.kind == "number"
            and over.tight
            and self.next.tight
            and self.tokens[self.place - 1].kind == "number"
        ):
            after = self.tokens[self.place + 2]
            if after.kind not in ("raised", "prime") and after.text not in ("**", "^", "[", "."):
                self.take()
                below = self.number().value
                if below == 0:
                    raise self.refuse("a number other than 0", "divide by another", at=over)
                return Number(found.value / below)
        return found

    def begins(self) -> bool:
        """Whether a factor begins here, beside the one before it."""
        if self.ahead("‖"):
            return self.norms == 0
        return self.next.kind == "name" or self.ahead("(", "∂", "𝟏") or self.is_indicator()

    def factor(self) -> Formula:
        """A factor with its sign."""
        if sign := self.accept("-", "+"):
            found = self.deeper(self.factor)
            return times(-1, found) if sign.text == "-" else found
        return self.power()

    def power(self) -> Formula:
        """A base and its exponent."""
        base = self.postfix(self.atom())
        if not (sign := self.accept("**", "^")):
            return base
        if sign.text == "^":
            turned = self.raised_word()
            if turned is not None:
                return self.postfix(turned(base))
        exponent = self.deeper(self.factor)
        return Power(base, exponent)

    def raised_word(self) -> Callable[[Formula], Formula] | None:
        """What `^T`, `^-1` and `^-T` make of a base; None for an exponent."""
        minus = self.ahead("-")
        word = self.tokens[self.place + minus]
        if word.text == "T" and word.kind == "name":
            self.place += 1 + minus
            return (lambda base: Transpose(Inverse(base))) if minus else Transpose
        if minus and word.kind == "number" and word.text == "1":
            self.place += 2
            return Inverse
        return None

    def postfix(self, found: Formula) -> Formula:
        """What stands behind an atom: ᵀ, .T, ², brackets."""
        while True:
            token = self.next
            if token.kind == "raised":
                found = self.raised(found, self.take())
            elif token.kind == "prime":
                remedy = "write Xᵀ or X.T for a transpose; tanh'(x) is the derivative of a function"
                raise self.refuse("no prime behind an operand", remedy)
            elif self.ahead("["):
                found = self.indexed(found)
            elif self.ahead(".") and token.tight:
                found = self.attribute(found)
            else:
                return found

    def raised(self, found: Formula, token: Token) -> Formula:
        """What raised signs make of a base: `X⁻¹`, `Xᵀ`, `x²`, and several in turn."""
        marks = _RAISED.findall(token.text)
        if "".join(marks) != token.text:
            raise self.refuse("a raised number, ᵀ or ⁻¹", at=token)
        for mark in marks:
            if mark in ("⁻¹", "⁻ᵀ"):
                found = Inverse(found)
            if mark in ("ᵀ", "⁻ᵀ"):
                found = Transpose(found)
            elif mark != "⁻¹":
                found = Power(found, Number(int(plain(mark))))
        return found

    def attribute(self, found: Formula) -> Formula:
        """`.T`, or a method such as `.sum(axis=1)`."""
        self.take()
        word = self.take()
        if word.kind == "name" and word.text == "T":
            return Transpose(found)
        if word.kind == "name" and is_known(word.text) and self.ahead("("):
            return self.called(word, 0, [found])
        raise self.refuse(".T", "write functions as tanh(x)", at=word)

    def atom(self) -> Formula:
        """What has no operator outside of brackets."""
        token = self.next
        if token.kind == "number":
            return self.indicator() if self.is_indicator() else self.number()
        if token.kind == "name":
            return self.word()
        if self.accept("("):
            return self.parenthesised(token)
        if self.accept("["):
            return self.array()
        if self.accept("∂"):
            return self.derivative(self.operand_of_d(), tight=False)
        if self.accept("𝟏"):
            return self.ones()
        if self.accept("‖"):
            return self.norm()
        if self.ahead("|"):
            raise self.refuse(OPERAND, "write abs(x), det(X) or ‖x‖")
        raise self.refuse(OPERAND)

    def array(self) -> Formula:
        """`[a, b]` or `[[a, b], [c, d]]`, its first bracket read."""
        found = [self.outside(self.sum)]
        while self.accept(","):
            found.append(self.outside(self.sum))
        self.expect("]", "write an array as [a, b] or [[a, b], [c, d]]")
        return Call("array", tuple(found))

    def norm(self) -> Formula:
        """`‖x‖`, its first sign read."""
        self.norms += 1
        found = self.deeper(self.sum)
        self.norms -= 1
        if not self.ahead("‖"):
            raise self.refuse("'‖'", "close the norm, as in ‖x‖")
        self.take()
        return call("norm", [found], [])

    def ones(self) -> Formula:
        """`𝟏₅` or `𝟏(4×5)`, its 𝟏 read."""
        if self.next.kind == "lowered":
            return Ones((self.whole_size(plain(self.next.text)),))
        self.expect("(", "give the size, as in 𝟏₅ or 𝟏(4×5)")
        sizes: list[int] = []
        while not self.accept(")"):
            if sizes and not self.accept("×", ","):
                raise self.refuse("'×'", "write sizes as in 𝟏(4×5)")
            sizes.append(self.whole_size(self.next.text))
        return Ones(tuple(sizes))


def _remedy(token: Token) -> str:
    """What to do about a token that nothing takes."""
    if token.kind == "number":
        return "write a power as x**2 and a product as 2 * x"
    if token.text in (")", "]"):
        return f"check the brackets before column {token.column}"
    return EXAMPLE


def _check_size(text: str, formula: Formula) -> None:
    """Refuse a tree with too many nodes or levels, without recursion."""
    level: list[Formula] = [formula]
    count = depth = 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise LayoutError(
                f"formula {shorten(text)}",
                f"at most {MAX_NODES:,} nodes and {MAX_DEPTH} levels",
                f"over {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"over {MAX_NODES:,} nodes",
                "shorten it",
            )
        level = [part for node in level for part in node.parts]
