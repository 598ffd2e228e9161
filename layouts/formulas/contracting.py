"""Letters summed one by one: matrices that share them are multiplied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from layouts.formulas.factors import Atom, Term, diagonal, entrywise, ones, times
from layouts.formulas.plain import is_applied_to, transposes
from layouts.formulas.tree import Call, Letter


@dataclass(frozen=True)
class Matrix:
    """A term whose rows and columns run over letters.

    Attributes:
        rows: the letter of its rows; None where there is one row.
        cols: the letter of its columns; None for a column.
        term: what it is made of.
    """

    rows: Letter | None
    cols: Letter | None
    term: Term

    @property
    def letters(self) -> frozenset[Letter]:
        """The letters that it runs over."""
        return frozenset(letter for letter in (self.rows, self.cols) if letter is not None)

    @property
    def T(self) -> Matrix:
        """The transpose."""
        return Matrix(self.cols, self.rows, self.term.T)

    @property
    def column(self) -> Matrix:
        """A vector as a column."""
        return self if self.cols is None else self.T


def step(items: Sequence[Matrix], kept: frozenset[Letter]) -> list[Matrix] | None:
    """Sum one letter, or multiply two items that share one; None where nothing is left to do."""
    for letter in dict.fromkeys(n for item in items for n in (item.rows, item.cols)):
        if letter is None or letter in kept:
            continue
        carriers = [item for item in items if letter in item.letters]
        if len(carriers) == 1:
            return _replaced(items, carriers, _summed(carriers[0], letter))
        if len(carriers) == 2:
            one, other = carriers
            if _closed(items, carriers, kept):
                return _replaced(items, carriers, _trace(one, other))
            if one.letters != other.letters or len(one.letters) == 1:
                left, right = carriers if one.cols == letter else carriers[::-1]
                left = left if left.cols == letter else left.T
                right = right if right.rows == letter else right.T
                product = Matrix(left.rows, right.cols, times(left.term, right.term))
                return _replaced(items, carriers, product)
    for one, other in combinations(items, 2):
        if one.letters and one.letters == other.letters:
            return _replaced(items, (one, other), _entrywise(one, other))
    for one, other in combinations(items, 2):
        vector, matrix = sorted((one, other), key=lambda item: len(item.letters))
        if vector.letters < matrix.letters and len(vector.letters) == 1:
            return _replaced(items, (one, other), _scaled(vector, matrix))
    return None


def _closed(items: Sequence[Matrix], pair: Sequence[Matrix], kept: frozenset[Letter]) -> bool:
    """Whether two matrices share both letters, and these with nothing else: a trace."""
    letters = pair[0].letters
    if len(letters) < 2 or letters != pair[1].letters or letters & kept:
        return False
    return all(sum(n in item.letters for item in items) == 2 for n in letters)


def _replaced(items: Iterable[Matrix], used: Iterable[Matrix], result: Matrix) -> list[Matrix]:
    """The items with those used up replaced by what became of them, in the first one's place."""
    gone = list(used)
    places = [n for n, item in enumerate(items) if any(item is other for other in gone)]
    kept = [(n, item) for n, item in enumerate(items) if n not in places]
    return [item for _, item in sorted([*kept, (places[0], result)], key=lambda pair: pair[0])]


def _entrywise(one: Matrix, other: Matrix) -> Matrix:
    """The product of two matrices of the same letters, entry by entry; of vectors as columns."""
    if len(one.letters) == 1:
        one, other = one.column, other.column
    other = other if (other.rows, other.cols) == (one.rows, one.cols) else other.T
    return Matrix(one.rows, one.cols, entrywise([one.term, other.term]))


def _trace(one: Matrix, other: Matrix) -> Matrix:
    """`Σ_mn A[m,n] B[n,m]` is `tr(A B)`."""
    other = other if other.rows == one.cols else other.T
    whole = times(one.term, other.term)
    factors = list(whole.factors)
    last = [n for n, factor in enumerate(factors) if any(map(is_applied_to, factor.formulas))]
    if last:  # `tr(Xᵀ Ẋ)`: what it acts on stands last, as it is
        factors = factors[last[0] + 1 :] + factors[: last[0] + 1]
        if transposes(*factors[-1].formulas):
            *others, acted = factors
            factors = [*(factor.T for factor in reversed(others)), acted.T]
    inner = Term(whole.sides, factors=tuple(factors))
    trace = Term(numbers=(Call("tr", (inner.body,)),))
    return Matrix(None, None, trace.scaled(replace(whole, sides=(1, 1), factors=())))


def _summed(item: Matrix, letter: Letter) -> Matrix:
    """Summed over its rows or columns: times a vector of ones; a diagonal gives a trace."""
    match item.term.factors:
        case (Atom(Call("diag", operands)),) if len(item.letters) == 1:
            trace = Term(numbers=(Call("tr", operands),))
            outer = replace(item.term, sides=(1, 1), factors=())
            return Matrix(None, None, trace.scaled(outer))
    if item.cols == letter:
        return Matrix(item.rows, None, times(item.term, ones(letter.size)))
    return Matrix(None, item.cols, times(ones(letter.size).T, item.term))


def _scaled(vector: Matrix, matrix: Matrix) -> Matrix:
    """Each row, or each column, times its entry of a vector."""
    (letter,) = vector.letters
    scale, term = diagonal(vector.column.term), matrix.term
    both = times(scale, term) if matrix.rows == letter else times(term, scale)
    return Matrix(matrix.rows, matrix.cols, both)
