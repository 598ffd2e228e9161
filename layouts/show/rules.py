"""The rule that pulls a cotangent back: in index notation, and with matrices where that is found.

The rule is the transposed Jacobian times the cotangent. A delta renames an axis of the cotangent,
and what is left of the output's axes is summed:

    dD[i,j]/dW[k,l] = δ[i,k] X[l,j]    gives    ∂L/∂W[k,l] = Σ_j ∂L/∂D[k,j] X[l,j] = (∂L/∂D Xᵀ)[k,l]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, count

from layouts.axes import Axes, Label, labels_of
from layouts.nodes import Leaf, Shape
from layouts.show.terms import (
    Letters,
    coefficient_text,
    digits,
    factor_names,
    factor_text,
    is_negative,
    selection_text,
)
from layouts.terms import Factor, Term, Terms

# For labels on neither side, which a product of matrices is summed over.
INNER_LETTERS = "mnuvwefghtxyz"


def rule_text(terms: Terms, out_name: str, in_name: str, loss: str = "L") -> str:
    """The rule in index notation, one line.

    Args:
        terms: the Jacobian; its factors are leaves, with or without names, and may carry labels of
            neither side, which are summed.
        out_name: how to call the output.
        in_name: how to call the input.
        loss: how to call the scalar that the cotangent is the gradient of.

    Returns:
        Such as `∂L/∂W[k,l] = Σ_j ∂L/∂D[k,j] X[l,j]`; the letters are those of the Jacobian.
    """
    result = f"∂{loss}/∂{in_name}"
    if not terms:
        return f"{result} = 0"
    names = factor_names(terms, taken=(out_name, in_name))
    head = Letters(terms[0])
    text = f"{head.indexed(result, head.into)} ="
    for place, term in enumerate(terms):
        sign = "-" if is_negative(term.coefficient) else "+"
        text += f" {sign} " if place else (" -" if sign == "-" else " ")
        text += _term_text(term, f"∂{loss}/∂{out_name}", names)
        if digits(term) != digits(terms[0]):
            text += f" at [{Letters(term).sides()}]"
    return text


def _term_text(term: Term, cotangent: str, names: Mapping[int, str]) -> str:
    letters, sides = Letters(term), labels_of(term.out) + labels_of(term.into)
    # A delta's letter is the input's, so it comes last.
    spelled = dict(zip(sides, chain(*letters.out, *letters.into), strict=True))
    carried = dict.fromkeys(label for factor in term.factors for label in factor.labels)
    spare = chain(INNER_LETTERS, (f"m{n}" for n in count(1)))
    inner = {label: next(spare) for label in carried if label not in spelled}
    spelled |= inner
    kept = {*labels_of(term.into)}
    summed = [spelled[label] for label in (*labels_of(term.out), *inner) if label not in kept]
    parts = coefficient_text(term.coefficient)
    if summed:
        plain = all(len(letter) == 1 for letter in summed)
        parts.append(f"Σ_{''.join(summed)}" if plain else f"Σ_({','.join(summed)})")
    axes = [tuple(spelled[label] for label in axis) for axis in term.out]
    parts.append(letters.indexed(cotangent, axes))
    parts += [selection_text(selection, names, spelled) for selection in term.selections]
    parts += [factor_text(factor, names, spelled) for factor in term.factors]
    return " ".join(parts)


def rule_matrix(
    terms: Terms,
    out_name: str,
    in_name: str,
    loss: str = "L",
    shapes: Mapping[str, Shape] | None = None,
) -> str | None:
    """The rule with matrices, such as `∂L/∂W = ∂L/∂D Xᵀ`; None where it is not found.

    Juxtaposition is the matrix product, ⊙ the product entry by entry, 𝟏 a vector of ones; a vector
    is a column.

    Args:
        terms: the Jacobian; its factors are leaves, with or without names.
        out_name: how to call the output.
        in_name: how to call the input.
        loss: how to call the scalar that the cotangent is the gradient of.
        shapes: the shapes of the named arrays, axes of size one included.
    """
    result, cotangent = f"∂{loss}/∂{in_name}", f"∂{loss}/∂{out_name}"
    if not terms:
        return f"{result} = 0"
    names = factor_names(terms, taken=(out_name, in_name))
    text = f"{result} ="
    for place, term in enumerate(terms):
        product = _matrix_term(term, cotangent, names, shapes or {})
        if product is None:
            return None
        sign = "-" if is_negative(term.coefficient) else "+"
        text += f" {sign} " if place else (" -" if sign == "-" else " ")
        text += " ".join([*coefficient_text(term.coefficient), product])
    return text


@dataclass(frozen=True)
class _Matrix:
    """An expression: an atom, or a product ("" joins) or entrywise product ("⊙") of parts.

    Its rows and columns run over a label each, or over nothing: a column has no column label.
    """

    rows: Label | None
    cols: Label | None
    atom: str = ""
    join: str = ""
    parts: tuple["_Matrix", ...] = ()

    @property
    def labels(self) -> frozenset[Label]:
        return frozenset(label for label in (self.rows, self.cols) if label is not None)

    @property
    def T(self) -> "_Matrix":
        """The transpose, carried inward: (A B)ᵀ = Bᵀ Aᵀ."""
        if self.rows is None and self.cols is None:
            return self
        turned = tuple(part.T for part in self.parts)
        if self.join != "⊙":
            turned = turned[::-1]
        atom = self.atom
        if atom.endswith("ᵀ"):
            atom = atom[:-1].removeprefix("(").removesuffix(")")
        elif atom and not atom.startswith("diag("):
            atom = f"({atom})ᵀ" if atom.startswith("∂") else f"{atom}ᵀ"
        return _Matrix(self.cols, self.rows, atom, self.join, turned)

    def __str__(self) -> str:
        if self.atom:
            return self.atom
        if self.turned:
            return f"({self.T})ᵀ"
        texts = [part.inside(self.join) for part in self.parts]
        return " ⊙ ".join(texts) if self.join else " ".join(texts)

    @property
    def turned(self) -> bool:
        """Whether `(A ⊙ B)ᵀ` says it better than `Aᵀ ⊙ Bᵀ`."""
        return self.join == "⊙" and all(part.atom.endswith("ᵀ") for part in self.parts)

    def inside(self, join: str) -> str:
        """The text as a part of a product of the one or the other kind."""
        bare = not self.parts or self.join == join or self.turned
        return f"{self}" if bare else f"({self})"


def _times(left: _Matrix, right: _Matrix) -> _Matrix:
    """The matrix product, summed over the columns of the left and the rows of the right."""
    parts = [part.parts if part.parts and not part.join else (part,) for part in (left, right)]
    return _Matrix(left.rows, right.cols, "", "", parts[0] + parts[1])


def _entrywise(one: _Matrix, other: _Matrix) -> _Matrix:
    """The product of two matrices of the same labels, entry by entry."""
    other = other if (other.rows, other.cols) == (one.rows, one.cols) else other.T
    parts = [part.parts if part.join else (part,) for part in (one, other)]
    return _Matrix(one.rows, one.cols, "", "⊙", parts[0] + parts[1])


def _matrix_term(
    term: Term, cotangent: str, names: Mapping[int, str], shapes: Mapping[str, Shape]
) -> str | None:
    """One term as a product of matrices; None where no step applies any more."""
    if term.selections or any(len(axis) > 1 for axis in term.out + term.into):
        return None
    start = [_of_axes(term.out, cotangent)]
    start += [_of_factor(factor, names, shapes) for factor in term.factors]
    target = _of_axes(term.into, "")
    if target is None or any(item is None for item in start):
        return None
    items = [item for item in start if item is not None]
    while (step := _step(items, target.labels)) is not None:
        items = step
    scalars = [item for item in items if not item.labels]
    arrays = [item for item in items if item.labels]
    product = _finish(arrays, target)
    if product is None:
        return None
    texts = [f"({item})" if item.parts else f"{item}" for item in scalars]
    if product.parts or product.atom:
        texts.append(product.inside("") if texts else f"{product}")
    return " ".join(texts)


def _of_axes(axes: Axes, name: str) -> _Matrix | None:
    """The array that axes of one digit at most index: a matrix, a column or a scalar."""
    if len(axes) > 2:
        return None
    rows, cols = [*(axis[0] if axis else None for axis in axes), None, None][:2]
    return _Matrix(rows, cols, name)


def _of_factor(
    factor: Factor, names: Mapping[int, str], shapes: Mapping[str, Shape]
) -> _Matrix | None:
    """A factor as a matrix, in the orientation that its name has."""
    if not isinstance(factor.node, Leaf) or len(factor.labels) > 2:
        return None
    name = names[factor.node.index]
    shape = shapes.get(name, factor.node.shape)
    if len(shape) > 2 or not name.isidentifier() or len({*factor.labels}) < len(factor.labels):
        return None
    rows, cols = [*factor.labels, None, None][:2]
    if len(factor.labels) == 1 and len(shape) == 2 and shape[0] == 1:
        rows, cols = None, rows
    return _Matrix(rows, cols, name)


def _step(items: Sequence[_Matrix], kept: frozenset[Label]) -> list[_Matrix] | None:
    """Sum one label, or multiply two items that share one; None where nothing is left to do."""
    everything = dict.fromkeys(label for item in items for label in (item.rows, item.cols))
    for label in everything:
        carriers = [item for item in items if label in item.labels]
        if label is None or label in kept:
            continue
        if len(carriers) == 1:
            return _replace(items, carriers, _summed(carriers[0], label))
        if len(carriers) == 2 and (
            carriers[0].labels != carriers[1].labels or len(carriers[0].labels) == 1
        ):
            left, right = carriers if carriers[0].cols is label else carriers[::-1]
            left = left if left.cols is label else left.T
            right = right if right.rows is label else right.T
            return _replace(items, carriers, _times(left, right))
    for one, other in combinations(items, 2):
        if one.labels and one.labels == other.labels:
            return _replace(items, (one, other), _entrywise(one, other))
    for one, other in combinations(items, 2):
        vector, matrix = sorted((one, other), key=lambda item: len(item.labels))
        if vector.labels < matrix.labels and len(vector.labels) == 1:
            (label,) = vector.labels
            return _replace(items, (one, other), _scaled(vector, matrix, label))
    return None


def _replace(items: Iterable[_Matrix], used: Iterable[_Matrix], result: _Matrix) -> list[_Matrix]:
    """The items with those used up replaced by what became of them, in the first one's place."""
    gone = list(used)
    places = [n for n, item in enumerate(items) if any(item is other for other in gone)]
    kept = [(n, item) for n, item in enumerate(items) if n not in places]
    return [item for _, item in sorted([*kept, (places[0], result)], key=lambda pair: pair[0])]


def _summed(item: _Matrix, label: Label) -> _Matrix:
    """Summed over its rows or columns: times a vector of ones."""
    if item.cols is label:
        return _times(item, _Matrix(label, None, "𝟏"))
    return _times(_Matrix(None, label, "𝟏ᵀ"), item)


def _scaled(vector: _Matrix, matrix: _Matrix, label: Label) -> _Matrix:
    """Each row, or each column, times its entry of a vector."""
    diagonal = _Matrix(label, label, f"diag({vector if vector.cols is None else vector.T})")
    return _times(diagonal, matrix) if matrix.rows is label else _times(matrix, diagonal)


def _finish(arrays: Sequence[_Matrix], target: _Matrix) -> _Matrix | None:
    """Put what is left in the target's shape: turned, as an outer product, or repeated."""
    if len(arrays) == 1 and arrays[0].labels == target.labels:
        (item,) = arrays
        return item if item.rows is target.rows else item.T
    rows = [item for item in arrays if item.labels == {target.rows}]
    cols = [item for item in arrays if item.labels == {target.cols}]
    if len(rows) + len(cols) < len(arrays) or len(rows) > 1 or len(cols) > 1:
        return None
    left = rows[0] if rows else _Matrix(target.rows, None, "𝟏" if target.rows else "")
    right = cols[0] if cols else _Matrix(None, target.cols, "𝟏ᵀ" if target.cols else "")
    left = left if left.cols is None else left.T
    right = right if right.rows is None else right.T
    if not (left.parts or left.atom):
        return right
    return left if not (right.parts or right.atom) else _times(left, right)
