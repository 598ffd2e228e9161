"""Changes of a written gradient: what may be taken for what, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Derivative,
    Entry,
    Formula,
    Letter,
    Number,
    Power,
    Product,
    Sum,
)
from layouts.show import text as lowered

# The same arrays are named again and again.
text = cache(lowered.text)

# Functions whose derivatives are taken for one another.
ACTIVATIONS = ("tanh", "sigmoid", "relu", "exp", "softplus", "silu", "gelu", "sin")
# Arrays that may stand in the place of a factor.
MOST_ARRAYS = 40

Summands = tuple[Summand, ...]
# What stands in an array's place: the formula, the kind of mistake, words, how far-fetched it is.
Instead = tuple[Formula, str, str, int]


@dataclass(frozen=True)
class Change:
    """A gradient with a mistake.

    Attributes:
        kind: which mistake.
        message: what was done.
        correction: what to do instead.
        summands: the gradient that has the mistake.
        rank: how far-fetched it is.
        axes: the letters of its axes, where they are not those of the right gradient.
    """

    kind: str
    message: str
    correction: str
    summands: Summands
    rank: int = 3
    axes: Sequence[Letter | None] | None = None

    @property
    def part(self) -> tuple[str, str, str]:
        """Kind, message and correction."""
        return self.kind, self.message, self.correction


def bridged(
    summand: Summand, place: int, factor: Entry, axes: Sequence[Letter | None]
) -> Iterator[Change]:
    """A matrix left out of a chain: what stood on its sides meets, or becomes an axis."""
    rows, cols = factor.indices
    if not isinstance(rows, Letter) or not isinstance(cols, Letter):
        return
    factors = summand.factors[:place] + summand.factors[place + 1 :]
    shown = text(factor.array)
    for gone, kept in ((rows, cols), (cols, rows)):
        if gone not in summand.summed or gone == kept:
            continue
        summed = tuple(n for n in summand.summed if n != gone)
        shorter, turned = replace(summand, summed=summed, factors=factors), None
        if rows.size == cols.size:
            shorter = shorter.replaced({gone: kept})
        elif kept in axes:
            turned = tuple(gone if letter == kept else letter for letter in axes)
        else:
            continue
        words, fix = f"{shown} is left out", f"multiply by {shown}"
        yield Change(kind_of_missing(factor.array), words, fix, (shorter,), 3, turned)
        return


def doubled(summand: Summand, place: int, factor: Entry) -> Iterator[Change]:
    """A matrix that stands twice in a chain."""
    rows, cols = factor.indices
    if not isinstance(rows, Letter) or not isinstance(cols, Letter) or rows.size != cols.size:
        return
    if isinstance(factor.array, Derivative) or rows.size < 2:
        return
    new = Letter(f"{rows.text}{cols.text}", rows.size)
    twice = Entry(factor.array, (rows, new)), Entry(factor.array, (new, cols))
    factors = (*summand.factors[:place], *twice, *summand.factors[place + 1 :])
    longer = replace(summand, summed=(*summand.summed, new), factors=factors)
    words = f"{text(factor.array)} is multiplied in twice"
    yield Change("extra-factor", words, "multiply by it once", (longer,), 4)


def parts_of_sum(formula: Formula) -> list[Formula]:
    """A sum with each of its terms left out."""
    if not isinstance(formula, Sum) or len(formula.terms) < 2:
        return []
    found: list[Formula] = []
    for gone in range(len(formula.terms)):
        terms = formula.terms[:gone] + formula.terms[gone + 1 :]
        coefficients = formula.coefficients[:gone] + formula.coefficients[gone + 1 :]
        plain = len(terms) == 1 and coefficients == (1,)
        found.append(terms[0] if plain else Sum(coefficients, terms))
    return found


def reordered(summand: Summand, m: int, one: Entry, n: int, other: Entry) -> Iterator[Change]:
    """Two matrices that meet in a summed letter, multiplied the other way round."""
    met = {*one.indices} & {*other.indices} & {*summand.summed}
    if len(met) != 1:
        return
    (inner,) = met
    (row,) = [i for i in one.indices if i != inner] or [inner]
    (col,) = [i for i in other.indices if i != inner] or [inner]
    if row == inner or col == inner or not isinstance(inner, Letter):
        return
    sizes = {i.size for i in (row, col, inner) if isinstance(i, Letter)}
    straight = (one.indices, other.indices)
    for first, second in ((row, col), (col, row)):
        for turns in product((False, True), repeat=2):
            left = (first, inner) if not turns[0] else (inner, first)
            right = (inner, second) if not turns[1] else (second, inner)
            if (left, right) == straight or not _fits(one, left, other, right, sizes):
                continue
            factors = list(summand.factors)
            factors[m], factors[n] = Entry(one.array, left), Entry(other.array, right)
            kind = "order-swapped" if first != row else "operand-not-transposed"
            words = f"{text(one.array)} and {text(other.array)} stand in the wrong order"
            if first == row:
                words = f"{text(one.array)} and {text(other.array)} are transposed otherwise"
            yield Change(
                kind,
                words,
                "multiply in the order that the shapes of unequal matrices allow",
                (replace(summand, factors=tuple(factors)),),
                3,
            )


def _fits(one: Entry, left: tuple, other: Entry, right: tuple, sizes: set[int]) -> bool:
    """Whether axes keep their sizes."""
    pairs = [*zip(one.indices, left, strict=True), *zip(other.indices, right, strict=True)]
    return all(a.size == b.size for a, b in pairs)  # type: ignore[attr-defined]


def instead_of_derivative(array: Call, shown: str) -> Iterator[Instead]:
    """The value, the operand, another function's derivative, the derivative at the value."""
    value = replace(array, primes=array.primes - 1)
    (z,) = array.operands
    yield value, "value-for-derivative", f"the value {text(value)} stands where {shown} belongs", 2
    yield z, "value-for-derivative", f"{text(z)} stands where the derivative {shown} belongs", 3
    point = replace(array, operands=(value,))
    words = f"{text(point)} stands where {shown} belongs: it is taken at the value"
    yield point, "wrong-point", words, 3
    rules = {
        "tanh": Sum((1, -1), (Number(1), Power(value, Number(2)))),
        "the sigmoid": Product("entrywise", (value, Sum((1, -1), (Number(1), value)))),
    }
    for name, rule in rules.items():
        words = f"{text(rule)}, the derivative of {name}, stands where {shown} belongs"
        yield rule, "wrong-point", words, 3
    for function in ACTIVATIONS:
        if function != array.function:
            other = replace(array, function=function)
            words = f"the derivative of {function} stands where {shown} belongs"
            yield other, "wrong-point", words, 3


def kind_of_missing(array: Formula) -> str:
    """What it is called to leave an array out."""
    if isinstance(array, Derivative):
        return "missing-cotangent"
    if isinstance(array, Call) and array.primes:
        return "missing-activation-derivative"
    return "missing-factor"


def rank_of_missing(array: Formula) -> int:
    """How far-fetched that is."""
    return 2 if isinstance(array, Derivative) or (isinstance(array, Call) and array.primes) else 3


def without_array(summand: Summand, array: Formula) -> Summand:
    """A term without one of its arrays."""
    kept = tuple(f for f in summand.factors if not (isinstance(f, Entry) and f.array == array))
    return replace(summand, factors=kept)


def tied(summand: Summand, letter: Letter, free: Letter) -> Summand:
    """A term whose sum over a letter has one entry, at a free letter."""
    summed = tuple(n for n in summand.summed if n != letter)
    return replace(summand, summed=summed).replaced({letter: free})


def shown_term(summand: Summand) -> str:
    """A term as text, its number apart."""
    return text(replace(summand, coefficient=1).body)
