"""From indices to matrices: `Σ_j ∂L/∂D[k,j] X[l,j]` is `∂L/∂D Xᵀ`.

Each entry is a matrix whose rows and columns run over a letter each, or over nothing: a vector is a
column. Letters are summed one by one as products, entries with the same letters are multiplied
entry by entry, and what is left is turned into the result's shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Delta,
    Derivative,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
    Ones,
    Product,
    Quotient,
    Sum,
    Transpose,
)


@dataclass(frozen=True)
class Matrix:
    """An atom, or a product of parts: "matrix" side by side, "entrywise" ⊙.

    Attributes:
        rows: the letter of its rows; None where there is one row.
        cols: the letter of its columns; None for a column.
        atom: an array as it is; turned where `turned`.
        turned: whether the atom is transposed.
        kind: of product.
        parts: of the product.
    """

    rows: Letter | None
    cols: Letter | None
    atom: Formula | None = None
    turned: bool = False
    kind: str = "matrix"
    parts: tuple[Matrix, ...] = ()

    @property
    def letters(self) -> frozenset[Letter]:
        """The letters that it runs over."""
        return frozenset(letter for letter in (self.rows, self.cols) if letter is not None)

    @property
    def T(self) -> Matrix:
        """The transpose, carried inward: (A B)ᵀ = Bᵀ Aᵀ."""
        if not self.letters:
            return self
        parts = tuple(part.T for part in self.parts)
        if self.kind == "matrix":
            parts = parts[::-1]
        symmetric = self.atom is not None and is_symmetric(self.atom)
        turned = self.turned if symmetric else not self.turned
        return Matrix(self.cols, self.rows, self.atom, turned, self.kind, parts)

    @property
    def formula(self) -> Formula:
        """The formula; `(A ⊙ B)ᵀ` for `Aᵀ ⊙ Bᵀ`, which says it better."""
        if self.atom is not None:
            return turned(self.atom) if self.turned else self.atom
        if self.kind == "entrywise" and all(part.turned for part in self.parts):
            return Transpose(self.T.formula)
        factors = [part.formula for part in self.parts]
        if self.kind == "matrix":
            factors = [f for f in factors if not isinstance(f, Identity)] or factors[:1]
        return factors[0] if len(factors) == 1 else Product(self.kind, tuple(factors))  # type: ignore[arg-type]


def matrix_form(summands: Sequence[Summand], letters: Sequence[Letter | None]) -> Formula | None:
    """A derivative with matrices, such as `∂L/∂D Xᵀ`.

    Args:
        summands: the derivative in index notation.
        letters: those of the result's axes, two at most: rows, columns; None for an axis of one.

    Returns:
        A formula whose value has these axes; None where none is found.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> j, k, l = Letter("j", 5), Letter("k", 4), Letter("l", 3)
        >>> G, X = Entry(Name("G"), (k, j)), Entry(Name("X"), (l, j))
        >>> matrix_form([Summand(1, (j,), (), (G, X))], (k, l)).factors
        (Name(text='G'), Transpose(of=Name(text='X')))
    """
    if len(letters) > 2:
        return None
    rows, cols = [*letters, None, None][:2]
    found = [_product(summand, Matrix(rows, cols)) for summand in summands]
    terms = [(s.coefficient, f) for s, f in zip(summands, found, strict=True) if f is not None]
    return total(terms) if len(terms) == len(summands) else None


def total(terms: Iterable[tuple[complex, Formula]]) -> Formula:
    """A sum with equal terms added and common factors taken out: `A x + Aᵀ x` is `(A + Aᵀ) x`."""
    collected: dict[Formula, complex] = {}
    for coefficient, formula in terms:
        if isinstance(formula, Number):
            coefficient, formula = coefficient * formula.value, Number(1)
        collected[formula] = collected.get(formula, 0) + coefficient
    kept = [_over(c, f) for f, c in collected.items() if c != 0]
    if not kept:
        return Number(0)
    for place in (0, -1):
        kept = _gathered(kept, place)
    if len(kept) == 1:
        ((coefficient, formula),) = kept
        if isinstance(formula, Number):
            return Number(coefficient * formula.value)
        if coefficient == 1:
            return formula
    return Sum(tuple(c for c, _ in kept), tuple(f for _, f in kept))


def _over(coefficient: complex, formula: Formula) -> tuple[complex, Formula]:
    """A number times a quotient: `2 a / b`, `a / (5 b)`."""
    if not isinstance(formula, Quotient) or isinstance(coefficient, complex):
        return coefficient, formula
    sign, size = (-1, -coefficient) if coefficient < 0 else (1, coefficient)
    if size == int(size) and size != 1:
        above = _joined([Number(int(size)), *_factors(formula.above)])
        return sign, Quotient(above, formula.below)
    if abs(1 / size - round(1 / size)) < 1e-9 / size and size < 1:
        below = _joined([Number(round(1 / size)), *_factors(formula.below)])
        return sign, Quotient(formula.above, below)
    return coefficient, formula


def _factors(formula: Formula) -> tuple[Formula, ...]:
    chain = isinstance(formula, Product) and formula.kind == "matrix"
    return formula.factors if chain else (formula,)  # type: ignore[attr-defined]


def _gathered(terms: list[tuple[complex, Formula]], place: int) -> list[tuple[complex, Formula]]:
    """Products with the same first factor (place 0), or last (-1), and one more, as one product."""
    groups: dict[object, list[tuple[complex, Formula]]] = {}
    for number, (coefficient, formula) in enumerate(terms):
        pair = isinstance(formula, Product) and formula.kind == "matrix"
        pair = pair and len(formula.factors) == 2  # type: ignore[attr-defined]
        key = formula.factors[place] if pair else number  # type: ignore[attr-defined]
        groups.setdefault(key, []).append((coefficient, formula))
    result = []
    for key, group in groups.items():
        if len(group) == 1 or not _has_axes(key):
            result += group
            continue
        others = [(c, f.factors[1 + place]) for c, f in group]  # type: ignore[attr-defined]
        coefficient = group[0][0] if len({c for c, _ in group}) == 1 else 1
        inner = total((c / coefficient if coefficient != 1 else c, f) for c, f in others)
        pair = (key, inner) if place == 0 else (inner, key)
        result.append((coefficient, Product("matrix", pair)))  # type: ignore[arg-type]
    return result


def _has_axes(factor: object) -> bool:
    """Whether a common factor is worth taking out: an array, not a matrix of ones."""
    return not isinstance(factor, Ones | Number) and not (
        isinstance(factor, Transpose) and isinstance(factor.of, Ones)
    )


def is_symmetric(formula: Formula) -> bool:
    """Whether a formula is seen to equal its transpose."""
    return isinstance(formula, Identity) or (
        isinstance(formula, Call) and formula.function == "diag" and not formula.primes
    )


def turned(formula: Formula) -> Formula:
    """The transpose, written the plain way: of `A + Aᵀ` itself, of `Aᵀ` A.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> A = Name("A")
        >>> turned(Sum((1, 1), (A, Transpose(A)))) == Sum((1, 1), (A, Transpose(A)))
        True
    """
    if isinstance(formula, Transpose):
        return formula.of
    if is_symmetric(formula):
        return formula
    if isinstance(formula, Sum):
        pairs = list(zip(formula.coefficients, map(turned, formula.terms), strict=True))
        if Counter(pairs) == Counter(zip(formula.coefficients, formula.terms, strict=True)):
            return formula
    return Transpose(formula)


def _product(summand: Summand, target: Matrix) -> Formula | None:
    """One summand as a product of matrices; None where no step applies any more."""
    start = [_of_entry(factor) for factor in summand.factors]
    start += [_of_delta(delta) for delta in summand.deltas]
    if any(item is None for item in start):
        return None
    items = [item for item in start if item is not None]
    while (step := _step(items, target.letters)) is not None:
        items = step
    scalars = [item.formula for item in items if not item.letters]
    product = _finish([item for item in items if item.letters], target)
    if product is None:
        return None
    factors: list[Formula] = []
    if product.parts or product.atom is not None:
        factors = list(_factors(product.formula))
    below = [s.below for s in scalars if isinstance(s, Quotient) and s.above == Number(1)]
    scalars = [s for s in scalars if not isinstance(s, Quotient) or s.above != Number(1)]
    # A column takes the number xᵀ y behind it: `z xᵀ y` reads as a product of matrices.
    numbers = [s for s in scalars if isinstance(s, Product) and s.kind == "matrix"]
    if product.cols is None and product.rows is not None and len(numbers) == 1:
        scalars = [s for s in scalars if s is not numbers[0]]
        factors += numbers[0].factors
    above = _joined([*scalars, *factors])
    return Quotient(above, _joined(below)) if below else above


def _joined(factors: Sequence[Formula]) -> Formula:
    if not factors:
        return Number(1)
    return factors[0] if len(factors) == 1 else Product("matrix", tuple(factors))


def _of_entry(factor: Formula) -> Matrix | None:
    """An entry as a matrix, in the orientation that its array has."""
    if isinstance(factor, Derivative):
        factor = _derivative_entry(factor)
    if not isinstance(factor, Entry):
        return None
    if any(not isinstance(n, Letter) and n != Number(0) for n in factor.indices):
        return None
    indices = [n if isinstance(n, Letter) else None for n in factor.indices]
    if len(indices) > 2:
        return None
    if len(indices) == 2 and indices[0] is not None and indices[0] == indices[1]:
        return Matrix(indices[0], None, Call("diag", (factor.array,)))
    rows, cols = [*indices, None, None][:2]
    return Matrix(rows, cols, factor.array)


def _derivative_entry(factor: Derivative) -> Formula:
    """`∂D[i]/∂x[k]` as the entry `[i,k]` of `∂D/∂x`."""
    of, by = factor.of, factor.by
    if not isinstance(of, Entry) or not isinstance(by, Entry):
        return factor
    return Entry(Derivative(of.array, by.array), of.indices + by.indices)


def _of_delta(delta: Delta) -> Matrix | None:
    """A delta between two letters is the identity matrix."""
    if not isinstance(delta.left, Letter) or not isinstance(delta.right, Letter):
        return None
    return Matrix(delta.left, delta.right, Identity(delta.left.size))


def _step(items: Sequence[Matrix], kept: frozenset[Letter]) -> list[Matrix] | None:
    """Sum one letter, or multiply two items that share one; None where nothing is left to do."""
    for letter in dict.fromkeys(n for item in items for n in (item.rows, item.cols)):
        if letter is None or letter in kept:
            continue
        carriers = [item for item in items if letter in item.letters]
        if len(carriers) == 1:
            return _replace(items, carriers, _summed(carriers[0], letter))
        if len(carriers) == 2:
            one, other = carriers
            if _closed(items, carriers, kept):
                return _replace(items, carriers, _trace(one, other))
            if one.letters != other.letters or len(one.letters) == 1:
                left, right = carriers if one.cols == letter else carriers[::-1]
                left = left if left.cols == letter else left.T
                right = right if right.rows == letter else right.T
                return _replace(items, carriers, _times(left, right))
    for one, other in combinations(items, 2):
        if one.letters and one.letters == other.letters:
            if one.rows is None and one.parts:  # a row that is a product: its columns are scaled
                return _replace(items, (one, other), _times(one, _diagonal(other)))
            return _replace(items, (one, other), _entrywise(one, other))
    for one, other in combinations(items, 2):
        vector, matrix = sorted((one, other), key=lambda item: len(item.letters))
        if vector.letters < matrix.letters and len(vector.letters) == 1:
            (letter,) = vector.letters
            return _replace(items, (one, other), _scaled(vector, matrix, letter))
    return None


def _closed(items: Sequence[Matrix], pair: Sequence[Matrix], kept: frozenset[Letter]) -> bool:
    """Whether two matrices share both letters, and these with nothing else: a trace."""
    letters = pair[0].letters
    if len(letters) < 2 or letters != pair[1].letters or letters & kept:
        return False
    return all(sum(n in item.letters for item in items) == 2 for n in letters)


def _replace(items: Iterable[Matrix], used: Iterable[Matrix], result: Matrix) -> list[Matrix]:
    """The items with those used up replaced by what became of them, in the first one's place."""
    gone = list(used)
    places = [n for n, item in enumerate(items) if any(item is other for other in gone)]
    kept = [(n, item) for n, item in enumerate(items) if n not in places]
    return [item for _, item in sorted([*kept, (places[0], result)], key=lambda pair: pair[0])]


def _times(left: Matrix, right: Matrix) -> Matrix:
    """The matrix product, summed over the columns of the left and the rows of the right."""
    parts = [
        part.parts if part.parts and part.kind == "matrix" else (part,) for part in (left, right)
    ]
    return Matrix(left.rows, right.cols, None, False, "matrix", parts[0] + parts[1])


def _entrywise(one: Matrix, other: Matrix) -> Matrix:
    """The product of two matrices of the same letters, entry by entry."""
    other = other if (other.rows, other.cols) == (one.rows, one.cols) else other.T
    parts = [part.parts if part.kind == "entrywise" else (part,) for part in (one, other)]
    return Matrix(one.rows, one.cols, None, False, "entrywise", parts[0] + parts[1])


def _trace(one: Matrix, other: Matrix) -> Matrix:
    """`Σ_mn A[m,n] B[n,m]` is `tr(A B)`."""
    other = other if other.rows == one.cols else other.T
    return Matrix(None, None, Call("tr", (_times(one, other).formula,)))


def _summed(item: Matrix, letter: Letter) -> Matrix:
    """Summed over its rows or columns: times a vector of ones; a diagonal gives a trace."""
    if isinstance(item.atom, Call) and item.atom.function == "diag":
        return Matrix(None, None, Call("tr", item.atom.operands))
    ones = Matrix(letter, None, Ones((letter.size,)))
    return _times(item, ones) if item.cols == letter else _times(ones.T, item)


def _scaled(vector: Matrix, matrix: Matrix, letter: Letter) -> Matrix:
    """Each row, or each column, times its entry of a vector."""
    diagonal = _diagonal(vector)
    return _times(diagonal, matrix) if matrix.rows == letter else _times(matrix, diagonal)


def _diagonal(vector: Matrix) -> Matrix:
    """`diag(s)`."""
    (letter,) = vector.letters
    column = vector if vector.cols is None else vector.T
    return Matrix(letter, letter, Call("diag", (column.formula,)))


def _finish(arrays: Sequence[Matrix], target: Matrix) -> Matrix | None:
    """Put what is left in the target's shape: turned, as an outer product, or repeated."""
    if len(arrays) == 1 and arrays[0].letters == target.letters:
        (item,) = arrays
        return item if item.rows == target.rows else item.T
    rows = [item for item in arrays if item.letters == {target.rows}]
    cols = [item for item in arrays if item.letters == {target.cols}]
    if len(rows) + len(cols) < len(arrays) or len(rows) > 1 or len(cols) > 1:
        return None
    left, right = rows[0] if rows else None, cols[0] if cols else None
    if left is None and target.rows is not None:
        left = Matrix(target.rows, None, Ones((target.rows.size,)))
    if right is None and target.cols is not None:
        right = Matrix(None, target.cols, Ones((target.cols.size,)), turned=True)
    left = left.T if left is not None and left.cols is not None else left
    right = right.T if right is not None and right.rows is not None else right
    if left is None or right is None:
        return left or right or replace(target, rows=None, cols=None)
    return _times(left, right)
