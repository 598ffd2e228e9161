"""Terms as a formula tree, for LaTeX and MathML."""

from collections.abc import Mapping, Sequence

from layouts.axes import Label
from layouts.formulas.tree import (
    Delta,
    Derivative,
    Digits,
    Entry,
    Equation,
    Formula,
    Letter,
    Name,
    Number,
    Product,
    Sigma,
    Sum,
)
from layouts.nodes import Leaf
from layouts.selection import Selection
from layouts.show.terms import Letters, digits, factor_names, is_natural, number_text
from layouts.terms import Terms


def terms_formula(terms: Terms, out_name: str, in_name: str) -> Equation | None:
    """A Jacobian as a formula, for notations that `terms_text` does not write.

    Args:
        terms: the sum; its factors are leaves, with or without names.
        out_name: how to call the output.
        in_name: how to call the input.

    Returns:
        The equation that `terms_text` writes; None where that has what no formula has: a δ that
        holds only in a window, axes that are spelt apart in different terms.
    """
    names = factor_names(terms, taken=(out_name, in_name))
    if not terms:
        return Equation((Derivative(Name(out_name), Name(in_name)), Number(0)))
    plain = all(is_natural(s) for term in terms for s in term.selections)
    if not plain or len({digits(term) for term in terms}) > 1:
        return None
    head = Letters(terms[0])
    sides = zip((out_name, in_name), (head.out, head.into), strict=True)
    of, by = (Entry(Name(name), tuple(map(_index, axes))) for name, axes in sides)
    bodies = tuple(_term_formula(Letters(term), names) for term in terms)
    total = Sum(tuple(_shown(term.coefficient) for term in terms), bodies)
    return Equation((Derivative(of, by), total))


def _shown(number: complex) -> complex:
    """A coefficient as the text has it: four digits."""
    text = number_text(number)
    if "/" in text:
        return number
    return complex(text) if isinstance(number, complex) else float(text)


def _term_formula(letters: Letters, names: Mapping[int, str]) -> Formula:
    """A term without its coefficient."""
    letter = {label: Letter(text, label.size) for label, text in letters.letter.items()}
    parts: list[Formula] = [Delta(Letter(a), Letter(b)) for a, b in letters.deltas]
    parts += [_selection_formula(s, names, letter) for s in letters.term.selections]
    for factor in letters.term.factors:
        assert isinstance(factor.node, Leaf)
        indices = tuple(letter[label] for label in factor.labels)
        parts.append(Entry(Name(names[factor.node.index]), indices))
    body: Formula = Product("matrix", tuple(parts)) if parts else Number(1)
    summed = tuple(map(Letter, letters.summed))
    return Sigma(summed, body) if summed else body


def _selection_formula(
    selection: Selection, names: Mapping[int, str], letter: Mapping[Label, Letter]
) -> Delta:
    place, order = letter[selection.place], list(letter)
    if isinstance(selection.table, Leaf):
        listed = tuple(letter.get(label, Number(0)) for label in selection.labels)
        tied: Formula = Entry(Name(names[selection.table.index]), listed)
    elif selection.label not in letter:
        tied = Number(selection.start)
    else:
        pairs = [(selection.step, letter[selection.label]), (selection.start, Number(1))]
        kept = [(n, term) for n, term in (pairs if selection.step > 0 else pairs[::-1]) if n]
        tied = Sum(tuple(n for n, _ in kept), tuple(term for _, term in kept))
    first = selection.label not in letter or (
        order.index(selection.label) < order.index(selection.place)
    )
    return Delta(tied, place) if first else Delta(place, tied)


def _index(axis: Sequence[str]) -> Formula:
    if len(axis) == 1:
        return Letter(axis[0])
    return Digits(tuple(map(Letter, axis))) if axis else Number(0)
