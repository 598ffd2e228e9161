"""How formulas bind: where parentheses stand, whatever the notation.

Every lowering is the same walk. `pieces` says which formulas a node is written with, flattened, and
which of them stand in parentheses; a notation then puts the written pieces together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from layouts.formulas.tree import (
    Call,
    Compare,
    Derivative,
    Entry,
    Equation,
    Formula,
    Inverse,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
    View,
)
from layouts.show.flattening import ByWhom, factors, is_raised, partials, signed_terms
from layouts.show.symbols import Scalar, is_negative, is_one, number_text

# unicode and ascii are lines of text; stacked has bars for fractions and raised exponents.
Notation = Literal["unicode", "ascii", "stacked"]
# How tightly a formula binds. A term stands in a sum, a factor in a product, an atom under a power.
EQUATION, COMPARISON, SUM, TERM, FACTOR, ATOM = range(6)
Piece = tuple[Formula, bool]


def lower(
    formula: Formula,
    notation: Notation,
    write: Callable[[Formula, Sequence[str]], str],
    enclose: Callable[[str], str],
) -> str:
    """Write a formula from its innermost pieces outwards, without recursion.

    Args:
        formula: any formula, of any depth.
        notation: decides where parentheses are needed.
        write: the text of a node, given the texts of its pieces.
        enclose: puts parentheses around a text.

    Returns:
        The text of the whole.
    """
    done: dict[int, str] = {}
    split: dict[int, tuple[Piece, ...]] = {}
    pending = [formula]
    while pending:
        node = pending.pop()
        if id(node) in done:
            continue
        if id(node) not in split:
            split[id(node)] = pieces(node, notation)
            pending.append(node)
            pending += [piece for piece, _ in reversed(split[id(node)])]
            continue
        texts = [
            enclose(done[id(piece)]) if enclosed else done[id(piece)]
            for piece, enclosed in split[id(node)]
        ]
        done[id(node)] = write(node, texts)
    return done[id(formula)]


def lower_pieces(
    formula: Formula,
    notation: Notation,
    write: Callable[[Formula, Sequence[str]], str],
    enclose: Callable[[str], str],
) -> list[str]:
    """The texts of a formula's pieces, as `lower` hands them to `write`."""
    texts = []
    for piece, enclosed in pieces(formula, notation):
        text = lower(piece, notation, write, enclose)
        texts.append(enclose(text) if enclosed else text)
    return texts


def pieces(node: Formula, notation: Notation) -> tuple[Piece, ...]:
    """The formulas that a node is written with, and whether each stands in parentheses."""

    def least(formula: Formula, level: int) -> Piece:
        return formula, binding(formula, notation) < level

    match node:
        case Equation(sides):
            return tuple(least(side, SUM) for side in sides)
        case Compare(_, left, right):
            return least(left, SUM), least(right, SUM)
        case Sum():
            return tuple(
                _term(number, term, notation)
                for number, term in signed_terms(node)
                if term is not None
            )
        case Sigma(_, body):
            return (least(body, TERM),)
        case Product():
            return _factors(node, notation)
        case Quotient(above, below) if notation != "stacked":
            return _dividend(above, notation), (below, _is_divided(below, notation))
        case Power(base, Number(-1)) if notation == "stacked":
            return ((base, False),)  # one divided by it: x⁻¹ is an inverse
        case Power(base, exponent):
            raised = notation == "stacked" or (notation == "unicode" and is_raised(exponent))
            return least(base, ATOM), (exponent, False) if raised else least(exponent, ATOM)
        case Transpose(Inverse(of)) if notation != "ascii":
            return (least(of, ATOM),)
        case Inverse(of) if notation == "ascii":
            return ((of, False),)
        case Transpose(of) | Inverse(of):
            return (least(of, ATOM),)
        case Entry(array, indices):
            whole = partials(node) if notation == "stacked" else None
            if whole:
                return _stacked_partials(*whole)
            large = bool(indices) and notation != "stacked" and _is_large(array, notation)
            return (array, large), *((index, False) for index in indices)
        case View(of, _):
            return ((of, _is_large(of, notation)),)
        case Derivative(of, by):
            whole = partials(node) if notation == "stacked" else None
            if whole:
                return _stacked_partials(*whole)
            return tuple((part, not _is_named(part, notation)) for part in (of, by))
        case _:
            return tuple((part, False) for part in node.parts)


def binding(formula: Formula, notation: Notation) -> int:
    """How tightly a formula binds, once written."""
    match formula:
        case Equation(sides):
            return EQUATION if len(sides) > 1 else SUM
        case Compare():
            return COMPARISON
        case Sum():
            return _sum_binding(formula, notation)
        case Number(value):
            return _number_binding(value, notation)
        case Product():
            return _product_binding(formula, notation)
        case Sigma():
            return TERM
        case Quotient():
            return FACTOR if notation == "stacked" else TERM
        case Transpose() | Inverse() if notation == "ascii":
            return ATOM
        case Derivative() | Power() | Transpose() | Inverse() | Entry(Derivative()):
            return FACTOR
        case Call("logdet", (_,), ()) if notation != "ascii":
            return FACTOR
        case Entry(array, ()):
            return binding(array, notation)
        case _:
            return ATOM


def _term(number: Scalar, term: Formula, notation: Notation) -> Piece:
    level = binding(term, notation)
    if is_one(number) or is_one(-number):
        return term, level < TERM
    match term:
        case Sigma():
            return term, False
        case Product(kind) if kind == "matrix" or notation == "ascii":
            return term, level < TERM
        case _:
            return term, level < FACTOR


def _factors(product: Product, notation: Notation) -> tuple[Piece, ...]:
    found = factors(product)
    if product.kind == "kronecker" and notation == "ascii" and len(found) > 1:
        return tuple((factor, False) for factor in found)
    placed = []
    for place, factor in enumerate(found):
        enclosed = binding(factor, notation) < FACTOR
        if product.kind == "matrix" and len(found) > 1:
            first, last = place == 0, place == len(found) - 1
            fraction = first and isinstance(factor, Number) and not is_negative(factor.value)
            enclosed = enclosed and not fraction and not (last and isinstance(factor, Sigma))
        placed.append((factor, enclosed))
    return tuple(placed)


def _dividend(above: Formula, notation: Notation) -> Piece:
    if isinstance(above, Product) and (above.kind == "matrix" or notation == "ascii"):
        found = factors(above)
        if len(found) > 1:
            # What reaches to the end of the term would take the quotient in.
            return above, isinstance(found[-1], Sigma)
    return above, _is_divided(above, notation)


def _is_divided(formula: Formula, notation: Notation) -> bool:
    """Whether parentheses keep a formula apart from the bar of a quotient in a line of text."""
    slashed = isinstance(formula, Derivative | Entry) and binding(formula, notation) == FACTOR
    return slashed or binding(formula, notation) < FACTOR


def _stacked_partials(of: Formula, by_whom: ByWhom) -> tuple[Piece, ...]:
    found: list[Piece] = [(of, not _is_named(of))]
    for by, indices in by_whom:
        found += [(by, not _is_named(by)), *((index, False) for index in indices)]
    return tuple(found)


def _is_large(array: Formula, notation: Notation) -> bool:
    """Whether brackets cannot follow an array as it stands."""
    if isinstance(array, Derivative | Number):
        return isinstance(array, Number)
    if isinstance(array, Transpose | Inverse) and notation != "stacked":
        return False
    return binding(array, notation) < ATOM


def _is_named(formula: Formula, notation: Notation = "stacked") -> bool:
    """Whether a formula follows ∂ without parentheses: a name, an entry of one, `vec(X)`."""
    if isinstance(formula, Call):
        return formula.function == "vec" and not formula.options and notation != "ascii"
    return isinstance(formula.array if isinstance(formula, Entry) else formula, Name)


def _sum_binding(formula: Sum, notation: Notation) -> int:
    terms = signed_terms(formula)
    if len(terms) != 1:
        return SUM if terms else ATOM
    number, term = terms[0]
    if term is None:
        return _number_binding(number, notation)
    if is_negative(number):
        return SUM
    piece, enclosed = _term(number, term, notation)
    if not is_one(number):
        return TERM
    return ATOM if enclosed else binding(piece, notation)


def _product_binding(formula: Product, notation: Notation) -> int:
    found = factors(formula)
    if len(found) > 1:
        return ATOM if formula.kind == "kronecker" and notation == "ascii" else TERM
    return max(FACTOR, binding(found[0], notation)) if found else ATOM


def _number_binding(number: Scalar, notation: Notation) -> int:
    if is_negative(number):
        return SUM
    text = number_text(number)
    if "/" in text:
        return FACTOR if notation == "stacked" else TERM
    return TERM if "e" in text and notation == "stacked" else ATOM
