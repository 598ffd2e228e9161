"""Terms as formulas in index notation: the Jacobian, and the rule that pulls a cotangent back.

The rule is the transposed Jacobian times the cotangent. A delta renames an axis of the cotangent,
and what is left of the output's axes is summed:

    dD[i,j]/dW[k,l] = δ[i,k] X[l,j]    gives    ∂L/∂W[k,l] = Σ_j ∂L/∂D[k,j] X[l,j]
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count, islice
from math import isfinite, prod

from layouts.axes import Axes, Label, sizes
from layouts.formulas.summands import Summand, written
from layouts.formulas.tree import (
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Equation,
    Formula,
    Indicator,
    Letter,
    Name,
    Number,
    Sum,
)
from layouts.nodes import Leaf, Shape
from layouts.selection import Selection
from layouts.show.text import text
from layouts.terms import Factor, Term, Terms

OUT_LETTERS = "ijpqab"
IN_LETTERS = "klrscd"
INNER_LETTERS = "mnuvwefghtxyz"
FACTOR_NAMES = "ABCEFGHKMNPQRSTUV"

Spelt = tuple[tuple[Letter, ...], ...]


def terms_text(
    terms: Terms, out_name: str, in_name: str, shapes: Mapping[str, Shape] | None = None
) -> str:
    """A Jacobian as a formula, one line.

    Args:
        terms: the sum; its factors are leaves, with or without names.
        out_name: how to call the output.
        in_name: how to call the input.
        shapes: the shapes of named arrays, axes of size one included.

    Returns:
        Such as `dD[i,j]/dW[k,l] = δ[i,k] X[l,j]`. An axis of size one is written `0`, an axis
        of several digits `(i,j)`, the most significant first.
    """
    left, right = terms_formula(terms, out_name, in_name, shapes).sides
    return f"{text(left, 'ascii')} = {text(right)}"


def terms_formula(
    terms: Terms, out_name: str, in_name: str, shapes: Mapping[str, Shape] | None = None
) -> Equation:
    """A Jacobian as a formula.

    Args:
        terms: the sum; its factors are leaves, with or without names.
        out_name: how to call the output.
        in_name: how to call the input.
        shapes: the shapes of named arrays, axes of size one included.
    """
    if not terms:
        return Equation((Derivative(Name(out_name), Name(in_name)), Number(0)))
    spelling = Spelling(terms, factor_names(terms, (out_name, in_name)), shapes)
    of, by = Entry(Name(out_name), spelling.rows), Entry(Name(in_name), spelling.columns)
    return Equation((Derivative(of, by), written(spelling.summands)))


def rule_formula(
    terms: Terms,
    out_name: str,
    in_name: str,
    loss: str = "L",
    shapes: Mapping[str, Shape] | None = None,
) -> Equation:
    """The rule that pulls a cotangent back, in index notation.

    Args:
        terms: the Jacobian; its factors are leaves, with or without names, and may carry labels of
            neither side, which are summed.
        out_name: how to call the output.
        in_name: how to call the input.
        loss: how to call the scalar that the cotangent is the gradient of.
        shapes: the shapes of named arrays, axes of size one included.

    Returns:
        Such as `∂L/∂W[k,l] = Σ_j ∂L/∂D[k,j] X[l,j]`; the letters are those of the Jacobian.
    """
    result = Derivative(Name(loss), Name(in_name))
    if not terms:
        return Equation((result, Number(0)))
    spelling = Spelling(terms, factor_names(terms, (out_name, in_name)), shapes)
    pulled = spelling.pulled(Derivative(Name(loss), Name(out_name)))
    return Equation((Entry(result, spelling.columns), written(pulled)))


def factor_names(terms: Terms, taken: Iterable[str] = ()) -> dict[int, str]:
    """A name for each leaf: its own, or the next free capital letter."""
    leaves = {leaf.index: leaf.name for leaf in _leaves(terms)}
    used = {*taken, *(name for name in leaves.values() if name)}
    free = (name for name in chain(FACTOR_NAMES, (f"A{n}" for n in count(1))) if name not in used)
    return {index: name or next(free) for index, name in leaves.items()}


def _leaves(terms: Terms) -> list[Leaf]:
    """The arrays of terms."""
    factors = [factor.node for term in terms for factor in term.factors]
    return [node for node in factors if isinstance(node, Leaf)] + _tables(terms)


def _tables(terms: Terms) -> list[Leaf]:
    """The arrays of places among them."""
    tables = [selection.table for term in terms for selection in term.selections]
    return [table for table in tables if isinstance(table, Leaf)]


class Spelling:
    """Terms with letters for their labels: `i j` for the output's, `k l` for the input's.

    The first term says which digits an axis has; where another has others, `δ[(m,n),k]` ties them.

    Args:
        terms: the sum, not empty; its factors are leaves.
        names: how each leaf is called, by its index.
        shapes: the shapes of named arrays; an axis of size one that no label runs along is `0`.
    """

    def __init__(
        self, terms: Terms, names: Mapping[int, str], shapes: Mapping[str, Shape] | None = None
    ):
        """Spell every term."""
        self.names = names
        self.tables = {names[leaf.index] for leaf in _tables(terms)}
        own = {names[leaf.index]: leaf.shape for leaf in _leaves(terms)}
        self.arrays: dict[str, Shape] = {**own, **(shapes or {})}
        self.out = _spell(terms[0].out, OUT_LETTERS, "o")
        self.into = _spell(terms[0].into, IN_LETTERS, "n")
        self.rows, self.columns = tuple(map(_index, self.out)), tuple(map(_index, self.into))
        self.summands = tuple(map(self._summand, terms))

    @property
    def out_shape(self) -> Shape:
        """The shape of the output."""
        return tuple(prod(letter.size for letter in letters) for letters in self.out)

    def pulled(self, cotangent: Formula) -> tuple[Summand, ...]:
        """The summands of the rule: times the cotangent, summed over the output's axes."""
        return tuple(self._pulled(summand, cotangent) for summand in self.summands)

    def _pulled(self, summand: Summand, cotangent: Formula) -> Summand:
        ties = {delta.right: delta.left for delta in summand.deltas if delta.right in self.rows}
        rows = [n for n, index in zip(self.out, self.rows, strict=True) if index not in ties]
        own = Entry(cotangent, tuple(ties.get(row, row) for row in self.rows))
        whole = Summand(
            summand.coefficient,
            (*chain(*rows), *summand.summed),
            tuple(delta for delta in summand.deltas if delta.right not in ties),
            (own, *summand.factors),
        )
        return _renamed(whole)

    def _summand(self, term: Term) -> Summand:
        """One term; labels on neither side are summed over."""
        inner = _Inner()
        ties: list[Delta] = []
        sides: list[dict[Label, Letter]] = []
        for axes, spelt in ((term.out, self.out), (term.into, self.into)):
            sides.append({})
            for axis, letters in zip(axes, spelt, strict=True):
                if sizes(axis) != tuple(letter.size for letter in letters):
                    own = tuple(inner[label] for label in axis)
                    ties.append(Delta(_index(own), _index(letters)))
                    letters = own
                sides[-1].update(zip(axis, letters, strict=True))
        out, into = sides
        letter = {**out, **{label: own for label, own in into.items() if label not in out}}
        carried = [label for factor in term.factors for label in factor.labels]
        hidden = [label for label in term.hidden if label.size > 1]
        letter |= {label: inner[label] for label in (*hidden, *carried) if label not in letter}
        deltas = [Delta(out[n], into[n]) for n in term.deltas if out[n] != into[n]] + ties
        deltas += [self._delta(selection, letter) for selection in term.selections]
        factors = [part for s in term.selections for part in _window(s, letter)]
        factors += [self._entry(factor, letter) for factor in term.factors]
        summed = tuple(inner.values())
        return _renamed(Summand(_shown(term.coefficient), summed, tuple(deltas), tuple(factors)))

    def _entry(self, factor: Factor, letter: Mapping[Label, Letter]) -> Entry:
        """`X[l,j]`: a factor with its letters."""
        assert isinstance(factor.node, Leaf)
        name, labels = self.names[factor.node.index], list(factor.labels)
        indices: list[Formula] = []
        for extent in self.arrays[name]:
            own = bool(labels) and labels[0].size == extent
            indices.append(letter[labels.pop(0)] if own else Number(0))
        if labels:  # of other axes than the array's own
            indices = [letter[label] for label in factor.labels]
        return Entry(Name(name), tuple(indices))

    def _delta(self, selection: Selection, letter: Mapping[Label, Letter]) -> Delta:
        """`δ[i+2,k]`: a delta with an offset, or `δ[T[i],k]` with a table.

        The letters stand in their order in `letter`, the output's before the input's.
        """
        place, order = letter[selection.place], list(letter)
        if isinstance(selection.table, Leaf):
            listed = tuple(letter.get(label, Number(0)) for label in selection.labels)
            tied: Formula = Entry(Name(self.names[selection.table.index]), listed)
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


class _Inner(dict[Label, Letter]):
    """A letter for each label that is asked for, to be summed over."""

    def __missing__(self, label: Label) -> Letter:
        spare = chain(INNER_LETTERS, (f"m{n}" for n in count(1)))
        self[label] = Letter(next(islice(spare, len(self), None)), label.size)
        return self[label]


def _renamed(summand: Summand) -> Summand:
    """A summed letter that a delta says is another goes by the other's name."""
    summed, deltas = summand.summed, summand.deltas
    equal = {d.left: d.right for d in deltas if d.left in summed and isinstance(d.right, Letter)}
    left = tuple(delta for delta in deltas if delta.left not in equal)
    kept = tuple(letter for letter in summed if letter not in equal)
    return replace(summand, summed=kept, deltas=left).replaced(equal)


def _window(selection: Selection, letter: Mapping[Label, Letter]) -> Iterator[Formula]:
    """`1[i < 3]`, where a delta does not hold wherever its indices exist."""
    place, label = selection.place, selection.label
    if selection.table is not None or label not in letter:
        return
    natural = Selection.affine(place, label, selection.start, selection.step).window
    for sign, end, limit in zip((">=", "<"), selection.window, natural, strict=True):
        if end != limit:
            yield Indicator(Compare(sign, letter[label], Number(end)))


def _spell(axes: Axes, alphabet: str, spare: str) -> Spelt:
    """A letter for each digit; an axis without digits keeps its place in the alphabet."""
    letters: Iterator[str] = chain(alphabet, (f"{spare}{n}" for n in count(1)))
    spelled = []
    for axis in axes:
        texts = [next(letters) for _ in range(max(len(axis), 1))]
        spelled.append(tuple(map(Letter, texts, sizes(axis))))
    return tuple(spelled)


def _index(letters: Sequence[Letter]) -> Formula:
    """The index of an axis: its letter, its digits, or 0 where it has none."""
    if len(letters) == 1:
        return letters[0]
    return Digits(tuple(letters)) if letters else Number(0)


def _shown(number: complex) -> complex:
    """A coefficient as it is printed: whole, one part of a whole number, or to four digits."""
    if isinstance(number, complex):
        return complex(f"{number:.4g}")
    if not isfinite(number) or number == int(number):
        return number
    inverse = 1 / number
    if abs(inverse) < 1e6 and abs(inverse - round(inverse)) < 1e-9 * abs(inverse):
        return number
    return float(f"{number:.4g}")
