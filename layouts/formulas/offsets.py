"""Indices with offsets: `2 p + q - 1`, how far they run, and letters that they are solved for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from layouts.formulas.tree import Digits, Formula, Letter, Number, Sum

_ONE = Number(1)


def linear(index: Formula) -> dict[Formula, int]:
    """How often each letter, each entry and one are in an index.

    Example:
        >>> p = Letter("p", 5)
        >>> linear(Sum((2, -1), (p, Number(3)))) == {p: 2, Number(1): -3}
        True
    """
    if isinstance(index, Number) and isinstance(index.value, int):
        return {_ONE: index.value}
    if not isinstance(index, Sum) or not all(isinstance(c, int) for c in index.coefficients):
        return {index: 1}
    found: dict[Formula, int] = {}
    for coefficient, term in zip(index.coefficients, index.terms, strict=True):
        for atom, times in linear(term).items():
            found[atom] = found.get(atom, 0) + int(coefficient.real) * times
    return found


def index_of(terms: Mapping[Formula, int]) -> Formula:
    """`r - 2 p`: what is added stands before what is taken away.

    Args:
        terms: how often each letter, each entry and one are in it.
    """
    kept = [(atom, times) for atom, times in terms.items() if times]
    kept.sort(key=lambda pair: (pair[1] < 0, pair[0] == _ONE))
    pairs = [
        (times // abs(times), Number(abs(times))) if atom == _ONE else (times, atom)
        for atom, times in kept
    ]
    if not pairs:
        return Number(0)
    if len(pairs) == 1 and pairs[0][0] == 1:
        return pairs[0][1]
    coefficients, atoms = zip(*pairs, strict=True)
    return Sum(tuple(coefficients), tuple(atoms))


def placed(parts: Sequence[tuple[int, Formula | None]], start: int = 0) -> Formula:
    """A sum of multiples of indices and a number; None is an axis of one, where an index is 0.

    Example:
        >>> p, q = Letter("p", 5), Letter("q", 3)
        >>> placed([(2, p), (1, q)], -1).coefficients
        (2, 1, -1)
    """
    total: dict[Formula, int] = {}
    for times, index in parts:
        for atom, inner in linear(index or Number(0)).items():
            total[atom] = total.get(atom, 0) + times * inner
    total[_ONE] = total.get(_ONE, 0) + start
    return index_of(total)


def solved(
    index: Formula, other: Formula, summed: Sequence[Letter]
) -> Iterator[tuple[Letter, Formula]]:
    """`p + 2 q = r` for p: each summed letter that stands once, and what it is then.

    Args:
        index: the side that the letters are on.
        other: the side that it equals.
        summed: the letters to solve for.

    Example:
        >>> p, q, r = (Letter(text, 5) for text in "pqr")
        >>> ((letter, found),) = solved(Sum((1, 2), (p, q)), r, [p, q])
        >>> letter == p, found == Sum((1, -2), (r, q))
        (True, True)
    """
    left, right = linear(index), linear(other)
    for letter, step in left.items():
        if not isinstance(letter, Letter) or letter not in summed or step not in (1, -1):
            continue
        total = {atom: step * times for atom, times in right.items()}
        for atom, times in left.items():
            if atom != letter:
                total[atom] = total.get(atom, 0) - step * times
        found = index_of(total)
        if letter not in found.walk():
            yield letter, found


def runs(index: Formula) -> bool:
    """Whether an index runs with letters: below 0 it is outside; a number counts from the end."""
    return any(isinstance(part, Letter) for part in index.walk())


def range_of(index: Formula) -> tuple[int, int] | None:
    """The least and the greatest value of an index; None where that is not known.

    Example:
        >>> range_of(Sum((1, 2), (Letter("i", 5), Number(1))))
        (2, 6)
    """
    match index:
        case Letter(_, size) if size:
            return 0, size - 1
        case Digits(letters):
            return 0, prod(letter.size for letter in letters) - 1
        case Number(int(value)):
            return value, value
        case Sum(coefficients, terms):
            ends = [0, 0]
            for coefficient, term in zip(coefficients, terms, strict=True):
                inner = range_of(term)
                if inner is None or not isinstance(coefficient, int):
                    return None
                products = sorted(coefficient * end for end in inner)
                ends = [ends[0] + products[0], ends[1] + products[1]]
            return ends[0], ends[1]
    return None
