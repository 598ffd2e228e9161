"""The value of each kind of formula: names become arrays, letters axes, Σ an einsum."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError
from layouts.formulas import tree
from layouts.formulas.arrays import Arrays, array_of, bare_name, indices_of, text_of
from layouts.formulas.functions import BROADCASTING, ELEMENTWISE, ENLARGING, function
from layouts.formulas.labelled import (
    Labelled,
    aligned,
    bounded,
    gathered,
    multiply,
    over,
    sized,
    summed,
)
from layouts.formulas.sizing import free_letters, renamed, written
from layouts.formulas.tree import Formula, Letter

_NOT_FINITE = (float("inf"), float("-inf"))
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Evaluator:
    """Evaluates formulas whose arrays and sizes are known."""

    arrays: Arrays
    sizes: Mapping[str, int]

    def value(self, formula: Formula) -> Labelled:
        """The value of a formula, with an axis for each of its free letters."""
        return getattr(self, f"_{type(formula).__name__.lower()}")(formula)

    def _name(self, formula: tree.Name) -> Labelled:
        return Labelled(self.arrays.get(formula))

    def _number(self, formula: tree.Number) -> Labelled:
        if formula.value in _NOT_FINITE or formula.value != formula.value:
            name = tree.Name(str(formula.value))  # an array's, where one is called so
            if self.arrays.find(name) is not None:
                return self._name(name)
        return Labelled(formula.value)

    def _letter(self, formula: Letter) -> Labelled:
        return Labelled(jnp.arange(size_of(formula.text, self.sizes)), (formula.text,))

    def _digits(self, formula: tree.Digits) -> Labelled:
        total: Formula = tree.Number(0)
        for letter in formula.letters:
            total = tree.Sum((size_of(letter.text, self.sizes), 1), (total, letter))
        return self.value(total)

    def _entry(self, formula: tree.Entry) -> Labelled:
        held = self.value(formula.array)
        if len(held.cell) != len(formula.indices):
            expected = f"{len(held.cell)} indices, for the shape {held.cell}"
            received = f"{len(formula.indices)}"
            raise LayoutError(
                f"entry of {text_of(formula.array)}", expected, received, "count them"
            )
        letters = [index.text for index in formula.indices if isinstance(index, Letter)]
        if len({*letters, *held.letters}) == len(formula.indices) + len(held.letters):
            whole = replace(held, letters=(*held.letters, *letters), row=False)
            return sized(whole, [(n, size_of(n, self.sizes)) for n in letters], lead=held.letters)
        own = [
            Labelled(jnp.arange(np.shape(held.array)[n]), (x,)) for n, x in enumerate(held.letters)
        ]
        return gathered(held, [*own, *map(self.value, formula.indices)], text_of(formula))

    def _derivative(self, formula: tree.Derivative) -> Labelled:
        indices = indices_of(formula)
        if not indices:
            if self.arrays.find(formula) is None:
                return self._quotient_of_names(formula)
            return Labelled(self.arrays.get(formula))
        names = replace(formula, of=array_of(formula.of), by=array_of(formula.by))
        return self.value(tree.Entry(names, indices))

    def _quotient_of_names(self, formula: tree.Derivative) -> Labelled:
        """`dt/dx` is a quotient where arrays have the names dt and dx."""
        above, below = (
            tree.Name(f"d{bare_name(formula.of)}"),
            tree.Name(f"d{bare_name(formula.by)}"),
        )
        if self.arrays.find(above) is None or self.arrays.find(below) is None:
            self.arrays.get(formula)
        return self.value(tree.Quotient(above, below))

    def _delta(self, formula: tree.Delta) -> Labelled:
        same = self._broadcast(operator.eq, formula, formula.left, formula.right)
        return replace(same, array=jnp.where(same.array, 1.0, 0.0))

    def _sigma(self, formula: tree.Sigma) -> Labelled:
        letters = [letter.text for letter in formula.letters]
        body = formula.body
        if isinstance(body, tree.Sigma):
            return self.value(tree.Sigma((*formula.letters, *body.letters), body.body))
        if isinstance(body, tree.Sum):
            terms = tuple(tree.Sigma(formula.letters, term) for term in body.terms)
            return self.value(tree.Sum(body.coefficients, terms))
        if isinstance(body, tree.Quotient) and not _carries(body.below, letters):
            above = tree.Sigma(formula.letters, body.above)
            return self.value(tree.Quotient(above, body.below))
        if isinstance(body, tree.Product) and body.kind == "matrix":
            return self._product_summed(body, formula.letters)
        return summed([self.value(body)], [(n, size_of(n, self.sizes)) for n in letters])

    def _sum(self, formula: tree.Sum) -> Labelled:
        scaled = [
            self.value(term) if c == 1 else self._scaled(c, self.value(term))
            for c, term in zip(formula.coefficients, formula.terms, strict=True)
        ]
        return reduce(lambda a, b: self._joined(operator.add, formula, a, b), scaled)

    @staticmethod
    def _scaled(number: complex | float | int, value: Labelled) -> Labelled:
        return replace(value, array=number * value.array)

    def _product(self, formula: tree.Product) -> Labelled:
        if formula.kind == "matrix":
            return self._product_summed(formula, ())
        if formula.kind == "entrywise":
            return self._broadcast(operator.mul, formula, *formula.factors)
        kron = _bounded_call(function("kron"))
        return reduce(
            lambda a, b: replace(self._over(kron, formula, a, b), row=a.row and b.row),
            map(self.value, formula.factors),
        )

    def _product_summed(self, formula: tree.Product, letters: Sequence[Letter]) -> Labelled:
        """A product, summed over letters: numbers by one einsum, matrices from left to right."""
        factors, left = self._without_deltas(_flat(formula), [x.text for x in letters])
        values = [self.value(factor) for factor in factors]
        numbers = [value for value in values if value.cell == ()]
        matrices = [value for value in values if value.cell != ()]
        if matrices:
            numbers.append(self._chain(matrices, formula))
        return summed(numbers, [(letter, size_of(letter, self.sizes)) for letter in left])

    def _chain(self, matrices: list[Labelled], formula: Formula) -> Labelled:
        """Matrices and vectors multiplied from left to right, or from the right if that fits."""
        try:
            return reduce(multiply, matrices)
        except (TypeError, ValueError) as error:
            try:
                return reduce(lambda a, b: multiply(b, a), reversed(matrices))
            except (TypeError, ValueError):
                pass
            shapes = " and ".join(str(m.cell) for m in matrices)
            expected = "inner sizes that agree"
            raise LayoutError(text_of(formula), expected, f"shapes {shapes}", _ADVICE) from error

    def _without_deltas(
        self, factors: list[Formula], letters: list[str]
    ) -> tuple[list[Formula], list[str]]:
        """Sum over a letter of a delta by writing the other in its place."""
        for place, delta in enumerate(factors):
            if not isinstance(delta, tree.Delta):
                continue
            for old, new in ((delta.left, delta.right), (delta.right, delta.left)):
                if not isinstance(old, Letter) or not isinstance(new, Letter):
                    continue
                if old.text in letters and old.text != new.text and self._alike(old, new):
                    rest = factors[:place] + factors[place + 1 :]
                    rest = [renamed(factor, {old.text: new}) for factor in rest]
                    return self._without_deltas(
                        rest or [tree.Delta(new, new)], [n for n in letters if n != old.text]
                    )
        return factors, letters

    def _alike(self, one: Letter, other: Letter) -> bool:
        return size_of(one.text, self.sizes) == size_of(other.text, self.sizes)

    def _quotient(self, formula: tree.Quotient) -> Labelled:
        return self._broadcast(operator.truediv, formula, formula.above, formula.below)

    def _power(self, formula: tree.Power) -> Labelled:
        exponent = formula.exponent
        if isinstance(exponent, tree.Number) and exponent.value == int(exponent.value.real):
            base, whole = self.value(formula.base), int(exponent.value.real)
            return replace(base, array=_power(base.array, whole))
        return self._broadcast(_power, formula, formula.base, exponent)

    def _transpose(self, formula: tree.Transpose) -> Labelled:
        value = self.value(formula.of)
        if value.row:
            return replace(over(lambda a: jnp.reshape(a, (-1,)), value), row=False)
        if len(value.cell) == 1:
            return replace(over(lambda a: jnp.reshape(a, (1, -1)), value), row=True)
        return over(jnp.transpose, value) if value.cell else value

    def _inverse(self, formula: tree.Inverse) -> Labelled:
        value = self.value(formula.of)
        if value.cell == ():
            return replace(value, array=1 / value.array)
        if len(value.cell) < 2 or value.cell[-2] != value.cell[-1]:
            remedy = "only a square matrix has an inverse; 1 / x is entry by entry"
            received = f"the shape {value.cell}"
            raise LayoutError(text_of(formula), "a square matrix", received, remedy)
        return over(jnp.linalg.inv, value)

    def _call(self, formula: tree.Call) -> Labelled:
        call = function(formula.function, formula.primes)
        values = [self.value(operand) for operand in formula.operands]
        if formula.function in BROADCASTING:
            return self._joined(call, formula, *values)
        options = dict(formula.options)
        if formula.function in ENLARGING:
            call = _bounded_call(call)
        done = self._over(lambda *cells: call(*cells, **options), formula, *values)
        keeps = formula.function in ELEMENTWISE
        return replace(done, row=keeps and values[0].row)

    def _view(self, formula: tree.View) -> Labelled:
        if isinstance(formula.of, tree.Name) and self.arrays.find(formula.of) is None:
            path = tree.Name(f"{formula.of.text}[{', '.join(formula.entries)}]")
            if self.arrays.find(path) is not None:  # `ws[0]`, a path and no view
                return self._name(path)
        entries = tuple(view_entry(text) for text in formula.entries)
        return self._over(lambda cell: cell[entries], formula, self.value(formula.of))

    def _ones(self, formula: tree.Ones) -> Labelled:
        return Labelled(jnp.broadcast_to(jnp.asarray(1.0), bounded(formula.shape)))

    def _identity(self, formula: tree.Identity) -> Labelled:
        bounded((formula.size, formula.size))
        return Labelled(jnp.where(jnp.eye(formula.size, dtype=bool), 1.0, 0.0))

    def _compare(self, formula: tree.Compare) -> Labelled:
        return self._broadcast(_SIGNS[formula.sign], formula, formula.left, formula.right)

    def _indicator(self, formula: tree.Indicator) -> Labelled:
        held = self.value(formula.condition)
        return replace(held, array=jnp.where(held.array, 1.0, 0.0))

    def _equation(self, formula: tree.Equation) -> Labelled:
        return self.value(formula.sides[-1])

    def _broadcast(self, call: Callable[..., Any], formula: Formula, *parts: Formula) -> Labelled:
        """A function of arrays that broadcast, from left to right if there are more than two."""
        values = [self.value(part) for part in parts]
        return reduce(lambda a, b: self._joined(call, formula, a, b), values)

    def _joined(self, call: Callable[..., Any], formula: Formula, *values: Labelled) -> Labelled:
        """A function of values that broadcast as NumPy has it."""
        letters, arrays = aligned(values)
        rows = [value.row for value in values if value.cell != ()]
        try:
            found = call(*arrays)
        except (TypeError, ValueError) as error:
            raise _misfit(formula, values) from error
        return Labelled(found, letters, row=bool(rows) and all(rows))

    def _over(self, call: Callable[..., Any], formula: Formula, *values: Labelled) -> Labelled:
        """A function of whole arrays, for each value of the letters."""
        try:
            return over(call, *values)
        except LayoutError:
            raise
        except (TypeError, ValueError, IndexError) as error:
            raise _misfit(formula, values) from error


def _flat(formula: tree.Product) -> list[Formula]:
    """The factors, with those of products of numbers within."""
    found: list[Formula] = []
    for factor in formula.factors:
        inner = [factor]
        if isinstance(factor, tree.Product) and factor.kind == "matrix":
            inner = _flat(factor)
        found += inner if all(isinstance(part, _NUMBERS) for part in inner) else [factor]
    return found


def _carries(formula: Formula, letters: Sequence[str]) -> bool:
    """Whether one of the letters is free in a formula."""
    return any(letter.text in letters for letter in free_letters(formula))


_NUMBERS = (tree.Entry, tree.Delta, tree.Number, tree.Sigma)
_ADVICE = "check transposes and the order of the factors"


def _power(base: Any, exponent: Any) -> Any:
    """A power in floating point: Python's own numbers would grow without end."""
    base = jnp.asarray(base)
    whole = jnp.issubdtype(base.dtype, jnp.integer) or base.dtype == bool
    return (base.astype(float) if whole else base) ** exponent


def _bounded_call(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that may enlarge its operands, refused where its result is too large."""

    def checked(*cells: Any, **options: Any) -> Any:
        bounded(jax.eval_shape(lambda: call(*cells, **options)).shape)
        return call(*cells, **options)

    return checked


def view_entry(text: str) -> Any:
    """One entry of a view: a slice, None, or a whole number."""
    try:
        if ":" in text:
            parts = text.split(":")
            if len(parts) > 3:
                raise ValueError
            return slice(*(int(part) if part.strip() else None for part in parts))
        return None if text.strip() == "None" else Ellipsis if text == "..." else int(text)
    except ValueError:
        expected = "slices, None and whole numbers, as in x[:, None] or x[1:]"
        raise LayoutError("view", expected, repr(text), "write one of these") from None


def _misfit(formula: Formula, values: Sequence[Labelled]) -> LayoutError:
    """The error for operands whose shapes do not fit."""
    shapes = " and ".join(str(value.cell) for value in values)
    return LayoutError(
        text_of(formula), "shapes that fit", f"shapes {shapes}", "check the operands"
    )


def size_of(letter: str, found: Mapping[str, int]) -> int:
    """The size of a letter, which must be known."""
    if letter not in found:
        text = written(letter)
        remedy = f"pass letters=[Letter({text!r}, size), ...]"
        raise LayoutError(f"letter {text}", "an entry that gives its size", "none", remedy)
    return found[letter]
