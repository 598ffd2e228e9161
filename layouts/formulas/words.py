"""What begins with a word: names, functions, derivatives, sums over letters."""

from __future__ import annotations

import re
from dataclasses import replace

from layouts.formulas.brackets import Brackets
from layouts.formulas.calls import is_known, is_package, nearest
from layouts.formulas.tokens import Token, plain
from layouts.formulas.tree import (
    Derivative,
    Entry,
    Formula,
    Identity,
    Letter,
    Name,
    Number,
    Sigma,
    View,
)

_BY = "write ∂L/∂W or ∂D[i,j]/∂W[k,l]"


class Words(Brackets):
    """Reads what begins with a word."""

    def word(self) -> Formula:
        """What begins with a name."""
        token = self.take()
        text = token.text
        if self.is_sigma(token):
            return self.sigma(token)
        if text in ("δ", "delta") and self.ahead("["):
            return self.delta()
        if self.next.kind == "lowered" and self.next.tight:
            if text == "I":
                return Identity(self.whole_size(plain(self.next.text)))
            text += plain(self.take().text)
        if text == "d" and self.ahead("(") and self.next.tight:
            found = self.derivative_of_formula()
            if found is not None:
                return found
        if text == "K" and self.is_commutation():
            return self.called(replace(token, text="commutation"), 0, [])
        if text == "log" and self.ahead("det") and self.ahead("(", by=1):
            return self.called(replace(self.take(), text="logdet"), 0, [])
        if text in ("inf", "nan") and not self.indexing:
            return Number(float(text))
        text = self.dotted(text)
        last = text.rpartition(".")[2]
        if self.next.kind == "prime" and self.next.tight and is_known(last):
            primes = sum(2 if mark == "″" else 1 for mark in self.take().text)
            if not self.ahead("("):
                raise self.refuse("'('", "write the derivative of a function as tanh'(x)")
            return self.called(replace(token, text=last), primes, [])
        if self.ahead("(") and (is_known(last) or (self.next.tight and is_package(text))):
            return self.function(replace(token, text=text))
        return self.named(text, token)

    def is_commutation(self) -> bool:
        """Whether `(3,5)` comes next, as in the commutation matrix `K(3,5)`."""
        kinds = [token.kind for token in self.tokens[self.place + 1 : self.place + 4 : 2]]
        comma = self.ahead(",", by=2) and self.ahead(")", by=4)
        return self.ahead("(") and self.next.tight and comma and kinds == ["number", "number"]

    def dotted(self, text: str) -> str:
        """`params.w`, and `params['w']` as the same."""
        while True:
            if self.ahead(".") and self.next.tight and not self.ahead("T", by=1):
                word = self.tokens[self.place + 1]
                if word.kind not in ("name", "number") or not word.tight:
                    return text
                if is_known(word.text) and self.ahead("(", by=2) and not is_package(text):
                    return text  # a method
                self.place += 2
                text += f".{word.text}"
            elif self.ahead("[") and self.tokens[self.place + 1].kind == "string":
                key = self.tokens[self.place + 1].text
                plain_key = key[1:-1].isidentifier() and key[1:-1] != "T"
                text += f".{key[1:-1]}" if plain_key else f"[{key}]"
                self.place += 2
                self.expect("]")
                if self.ahead("_dot") and self.next.tight:
                    return text + self.take().text
            elif self.is_place_in_path():
                text += f"[{self.tokens[self.place + 1].text}]"
                self.place += 3
                if self.ahead("_dot") and self.next.tight:
                    return text + self.take().text
            else:
                return text

    def is_place_in_path(self) -> bool:
        """Whether `[0]` comes next and the path goes on: `fs[0].W`, `ws[0][i,j]`, `ws[0]_dot`."""
        number, closing, after = (*self.tokens[self.place + 1 :], *self.tokens[-1:] * 3)[:3]
        if not (self.ahead("[") and number.text.isdigit() and closing.text == "]" and after.tight):
            return False
        word = (*self.tokens[self.place + 4 :], self.tokens[-1])[0]
        path = after.text == "." and word.kind == "name" and word.text != "T"
        return after.text in ("[", "_dot") or (path and not is_known(word.text))

    def function(self, token: Token) -> Formula:
        """A function called by its name, with or without the package before it."""
        package, _, name = token.text.rpartition(".")
        if package and not is_package(package):
            remedy = f"write {name}(...)"
            raise self.refuse("a function", remedy, at=token)
        if not is_known(name):
            remedy = nearest(name) or "functions are those such as tanh, softmax, sum, diag"
            raise self.refuse("a listed function", remedy, at=token)
        return self.called(replace(token, text=name), 0, [])

    def named(self, text: str, token: Token) -> Formula:
        """A name, a letter where an index is read, or the derivative dL/dD."""
        name = Name(text)
        if (self.indexing or text in self.letters) and not self.ahead("["):
            if "." in text:
                raise self.refuse("a letter, a number or an entry as index", at=token)
            return Letter(text)
        if not _is_d(text):
            return self.unknown_call(name, token)
        start = self.place
        above: Formula = Name(text[1:])
        if self.ahead("[") and self.next.tight:
            found = _entry_of(self.indexed(above))
            above = found if isinstance(found, Entry) else name
        if above != name and self.by_follows():
            return self.derivative(above, tight=True)
        self.place = start
        return self.unknown_call(name, token)

    def derivative_of_formula(self) -> Formula | None:
        """`d(dL/dW)/dW`; None where `d` is a name beside a parenthesis."""
        start = self.place
        opening = self.take()
        above = self.outside(lambda: self.parenthesised(opening))
        if self.by_follows():
            return self.derivative(above, tight=True)
        self.place = start
        return None

    def by_follows(self) -> bool:
        """Whether `/dW` or `/d(vec(W))` comes next, without spaces."""
        if not self.ahead("/"):
            return False
        slash, below, opening = (*self.tokens[self.place :], self.tokens[-1])[:3]
        formula = below.text == "d" and opening.text == "(" and opening.tight
        return slash.tight and below.tight and (formula or _is_d(below.text))

    def unknown_call(self, name: Name, token: Token) -> Formula:
        """Refuse `rellu(x)`, which is no product of a name and a parenthesis."""
        near = nearest(name.text)
        if self.ahead("(") and self.next.tight and len(name.text) > 2 and near:
            raise self.refuse(
                "a listed function", f"{near} A product has a space: W (A + B)", token
            )
        return name

    def operand_of_d(self) -> Formula:
        """What stands behind ∂: a name, an entry, or a parenthesis."""
        if opening := self.accept("("):
            return self.outside(lambda: self.parenthesised(opening))
        token = self.take()
        if token.kind != "name":
            raise self.refuse("a name behind ∂", _BY, at=token)
        name = Name(self.dotted(token.text + self.subscript()))
        if name == Name("vec") and self.ahead("("):
            return self.outside(lambda: self.called(token, 0, []))
        if self.ahead("["):
            found = _entry_of(self.indexed(name))
            if isinstance(found, Entry):
                return found
            raise self.refuse("letters as indices", "write ∂D[i,j]/∂W[k,l]", at=token)
        return name

    def subscript(self) -> str:
        """Lowered digits, as digits of the name."""
        return plain(self.take().text) if self.next.kind == "lowered" else ""

    def derivative(self, above: Formula, tight: bool) -> Formula:
        """The part from the slash on; indices of a derivative of a name are its entries."""
        self.expect("/", _BY)
        below: Formula
        if tight:
            word = self.take()
            if word.text == "d":
                opening = self.expect("(", _BY)
                below = self.outside(lambda: self.parenthesised(opening))
            else:
                below = Name(self.dotted(word.text[1:] + self.subscript()))
        else:
            self.expect("∂", _BY)
            if self.ahead("("):
                below = self.operand_of_d()
            else:
                word = self.take()
                if word.kind != "name":
                    raise self.refuse("a name behind ∂", "write ∂L/∂W", at=word)
                below = Name(self.dotted(word.text + self.subscript()))
                if below == Name("vec") and self.ahead("("):
                    below = self.outside(lambda: self.called(word, 0, []))
        if isinstance(above, Entry) and self.ahead("["):
            below = _entry_of(self.indexed(below))
        return Derivative(above, below)

    def is_sigma(self, token: Token) -> bool:
        """Whether `Σ_ij` or `sum_ij` is a sum, and no name such as `sum_loss` or `(Σ_x)`."""
        letters = _letters(token)
        if token.text.startswith("Σ_"):
            within = self.place > 1 and self.tokens[self.place - 2].text in ("(", "∂", "/∂")
            return not (within and self.ahead(")"))
        if not token.text.startswith("sum_"):
            return False
        if token.text == "sum_":
            return self.ahead("(", "{")
        begins = self.begins() or self.next.kind == "number"
        return 0 < len(letters) == len({*letters}) and begins

    def sigma(self, token: Token) -> Formula:
        """`Σ_j`, `Σ_ij`, `Σ_(i,m1)` and the term behind it."""
        remedy = "write Σ_j, Σ_ij or Σ_(i,m1)"
        letters = _letters(token)
        opening = None if letters else self.accept("(", "{")
        closing = {None: "", "(": ")", "{": "}"}[opening.text if opening else None]
        while opening and not self.accept(closing):
            if letters and not self.accept(","):
                raise self.refuse(f"',' or '{closing}'", remedy)
            if self.next.kind != "name":
                raise self.refuse("a letter", remedy)
            letters.append(self.take().text)
        if not letters or len({*letters}) < len(letters):
            raise self.refuse("different letters behind Σ_", remedy, at=token)
        body = self.deeper(self.term)
        return Sigma(tuple(Letter(letter) for letter in letters), body)


def _entry_of(found: Formula) -> Formula:
    """`D[0]` behind a ∂ is an entry, as `D[i]` is."""
    if isinstance(found, View) and all(entry.isdigit() for entry in found.entries):
        return Entry(found.of, tuple(Number(int(entry)) for entry in found.entries))
    return found


def _is_d(text: str) -> bool:
    """Whether a word may be the `dL` of `dL/dD`."""
    return len(text) > 1 and text[0] == "d" and text[1] != "."


def _letters(token: Token) -> list[str]:
    """The letters behind the underscore of `Σ_i1j`; none where there is anything else."""
    text = token.text.partition("_")[2]
    letters = re.findall(r"[^\W\d_][0-9]*", text)
    return letters if "".join(letters) == text else []
