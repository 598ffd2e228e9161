"""Names for what a formula repeats, each defined once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from layouts.formulas.tree import (
    Call,
    Derivative,
    Entry,
    Equation,
    Formula,
    Identity,
    Letter,
    Name,
    Number,
    Ones,
    Transpose,
    View,
)

Shape = tuple[int, ...]

MATRICES = "ABCEFGHKMNPQRSTUV"
VECTORS = "uvwpqrst"
SCALARS = "cefgh"
# What the results of some functions are called.
INITIALS = {"eigvecs": "v", "svdleft": "u", "svdright": "v", "eigvalsh": "w"}
# What is no longer than this stands as it is, however often.
SHORT = 6
# A formula that is longer than this has its longest part named, if that is so long.
LONGEST = 110
LONG_PART = 16


def abbreviated(
    formulas: Sequence[Formula],
    shape_of: Callable[[Formula], Shape],
    length_of: Callable[[Formula], int],
    taken: Iterable[str],
    most: int = 12,
) -> tuple[list[Formula], list[Equation]]:
    """Give names to arrays that stand more than once, or are long.

    Args:
        formulas: index or matrix formulas.
        shape_of: the shape of an array formula.
        length_of: how long a formula is when it is written.
        taken: names that are in use.
        most: how many names are given.

    Returns:
        The formulas with the names, and what these stand for, in an order to read them in.

    Example:
        >>> from layouts.formulas.tree import Product
        >>> z = Name("z")
        >>> s = Call("softmax", (z,))
        >>> twice = Product("matrix", (s, Transpose(s)))
        >>> found, (definition,) = abbreviated(
        ...     [twice], lambda formula: (5,), lambda formula: 10, {"z"}
        ... )
        >>> found[0].factors[0], definition.sides == (Name("s"), s)
        (Name(text='s'), True)
    """
    formulas, used = list(formulas), {*taken}
    definitions: list[Equation] = []
    for formula in formulas:
        used |= {part.text for part in formula.walk() if isinstance(part, Name | Letter)}
    for _ in range(most):
        part = _worth_naming([*formulas, *(d.sides[1] for d in definitions)], length_of)
        if part is None:
            break
        whole = _spelt_out(part, definitions)
        name = Name(_name(part, shape_of(whole), used))
        used.add(name.text)
        formulas = [formula.replaced({part: name}) for formula in formulas]
        definitions = [
            Equation((d.sides[0], d.sides[1].replaced({part: name}))) for d in definitions
        ]
        definitions.append(Equation((name, part)))
    return formulas, definitions[::-1]


def _spelt_out(part: Formula, definitions: Sequence[Equation]) -> Formula:
    """A formula with names that were given put back."""
    known = {d.sides[0]: d.sides[1] for d in definitions}
    while any(inner in known for inner in part.walk()):
        part = part.replaced(known)
    return part


def _worth_naming(
    formulas: Iterable[Formula], length_of: Callable[[Formula], int]
) -> Formula | None:
    """The array whose name shortens formulas most; else the longest part of too long a line."""
    repeated: dict[Formula, int] = {}
    long: dict[Formula, int] = {}
    whole: set[Formula] = set()
    for formula in formulas:
        last = formula.sides[-1] if isinstance(formula, Equation) else formula
        whole.add(last)
        arrays = Counter(part for part in last.walk() if _is_array(part))
        found = {part: length_of(part) for part in arrays}
        for part, length in found.items():
            if arrays[part] > 1 and length > SHORT:
                saved = (arrays[part] - 1) * length
                repeated[part] = max(repeated.get(part, 0), saved)
        if length_of(last) > LONGEST:
            long |= {p: n for p, n in found.items() if p != last and n >= LONG_PART}
    repeated = {part: n for part, n in repeated.items() if part not in whole}
    if repeated:
        return max(repeated, key=lambda part: repeated[part])
    return max(long, key=lambda part: long[part], default=None)


def _is_array(formula: Formula) -> bool:
    """An array that is more than a name, without letters."""
    plain = (Name, Number, Ones, Identity, Derivative, Letter, Entry, Equation)
    if isinstance(formula, plain):
        return False
    if isinstance(formula, Transpose):
        return False
    if isinstance(formula, View) and isinstance(formula.of, Name | Identity):
        return any(entry in ("None", "...") for entry in formula.entries)  # `x[0]` is a name
    if isinstance(formula, Call) and formula.function in ("diag", "vec"):
        return False
    if isinstance(formula, Call) and formula.primes and isinstance(formula.operands[0], Name):
        return False
    inside = list(formula.walk())
    return not any(isinstance(part, Letter | Derivative) for part in inside)


def _name(part: Formula, shape: Shape, used: set[str]) -> str:
    """The function's initial, or the next free letter of the kind."""
    alphabet = (SCALARS, VECTORS, MATRICES)[min(len(shape), 2)]
    if isinstance(part, Call):
        initial = INITIALS.get(part.function, part.function[0])
        initial = initial.upper() if len(shape) > 1 else initial
        alphabet = initial + alphabet
    for letter in alphabet:
        if letter not in used:
            return letter
    number = 1
    while f"{alphabet[-1]}{number}" in used:
        number += 1
    return f"{alphabet[-1]}{number}"
