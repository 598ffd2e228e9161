"""From matrices to indices: `W X` is `Σ_m W[i,m] X[m,j]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from layouts.formulas.offsets import placed, range_of
from layouts.formulas.tree import (
    Call,
    Delta,
    Entry,
    Formula,
    Identity,
    Letter,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
    View,
)
from layouts.formulas.windows import Window

Shape = tuple[int, ...]
Index = Formula | None

# Functions of one operand that act entry by entry.
ELEMENTWISE = (
    *("tanh", "sigmoid", "relu", "gelu", "silu", "softplus", "elu", "exp", "log", "sqrt", "abs"),
    *("sin", "cos", "tan", "sinh", "cosh", "erf", "log1p", "expm1", "square", "sign"),
)


def index_form(
    formula: Formula,
    letters: Sequence[Index],
    shape_of: Callable[[Formula], Shape],
    fresh: Callable[[int], Letter],
) -> Formula:
    """Write an array formula entry by entry, as far as its parts have indices.

    Args:
        formula: an array.
        letters: of its axes, or other indices; None for an axis of one. What an index finds
            outside of the array is zero.
        shape_of: the shape of a formula within it.
        fresh: a new letter of a size.

    Returns:
        A formula with these letters free; what has no index form is an `Entry` of the array.

    Example:
        >>> from layouts.formulas.tree import Name
        >>> i, j, m = Letter("i", 4), Letter("j", 5), Letter("m", 3)
        >>> product = Product("matrix", (Name("W"), Name("X")))
        >>> shapes = {Name("W"): (4, 3), Name("X"): (3, 5), product: (4, 5)}
        >>> index_form(product, (i, j), shapes.get, lambda size: m).letters == (m,)
        True
    """
    return _Indexing(shape_of, fresh).form(formula, letters)


@dataclass(frozen=True)
class _Indexing:
    """Writes formulas entry by entry; see `index_form`."""

    shape_of: Callable[[Formula], Shape]
    fresh: Callable[[int], Letter]

    def form(self, formula: Formula, letters: Sequence[Index]) -> Formula:
        """Write an array formula with these letters."""
        found = None
        if all(map(_within, letters, self.shape_of(formula))):
            found = (
                self._entrywise(formula, letters)
                or self._read(formula, letters)
                or self._summed(formula, letters)
            )
        return found or self.moved(formula, letters) or indexed(formula, letters)

    def _entrywise(self, formula: Formula, letters: Sequence[Index]) -> Formula | None:
        """What is made of its operands entry by entry; None for all else."""

        def inside(part: Formula) -> Formula:
            shape = self.shape_of(part)
            if len(shape) > len(letters):
                return indexed(part, [None] * len(shape))
            own = letters[len(letters) - len(shape) :]
            seen = [n if size != 1 else None for n, size in zip(own, shape, strict=True)]
            return self.form(part, seen)

        match formula:
            case Number():
                return formula
            case Sum(coefficients, terms):
                return Sum(coefficients, tuple(inside(term) for term in terms))
            case Quotient(above, below):
                return Quotient(inside(above), inside(below))
            case Power(base, Number() as exponent):
                return Power(inside(base), exponent)
            case Product("entrywise", factors):
                return Product("matrix", tuple(inside(factor) for factor in factors))
            case Call(function, (operand,), (), primes) if function in ELEMENTWISE:
                return Call(function, (inside(operand),), (), primes)
            case Call("broadcast_to", (of,), _) if len(self.shape_of(of)) <= len(letters):
                return inside(of)
        return None

    def _read(self, formula: Formula, letters: Sequence[Index]) -> Formula | None:
        """What its indices alone tell, or an array read at others; None for all else."""
        match formula:
            case Transpose(of) if len(self.shape_of(of)) == 1 and len(letters) == 2:
                return self.form(of, letters[1:])
            case Identity() if len(letters) == 2 and None not in letters:
                return Delta(letters[0], letters[1])  # type: ignore[arg-type]
            case Call("arange", (Number(),), ()) if len(letters) == 1:
                return letters[0] or Number(0)
            case Call("take_along_axis", (array, table), (("axis", int(axis)),)):
                at = self.form(table, letters)
                return indexed(array, (*letters[:axis], at, *letters[axis + 1 :]))
            case View(of, entries):
                seen = _seen(letters, entries, self.shape_of(of))
                return None if seen is None else self.form(of, seen)
        return None

    def _summed(self, formula: Formula, letters: Sequence[Index]) -> Formula | None:
        """What sums over axes; None for all else."""
        match formula:
            case Product("matrix", factors):
                return self._chain(factors, letters)
            case Call("sum", (of,), (("axis", int() | tuple() as axis),)):
                shape, free = self.shape_of(of), iter(letters)
                if len(shape) < 3:
                    return None
                axes = {axis} if isinstance(axis, int) else {*axis}
                every = [
                    self._own(size) if n in axes else next(free) for n, size in enumerate(shape)
                ]
                return _sum([n for a, n in enumerate(every) if a in axes], self.form(of, every))
        return None

    def moved(self, formula: Formula, letters: Sequence[Index]) -> Formula | None:
        """What only moves entries, or multiplies those that lie in windows; None for all else."""
        match formula:
            case Transpose(of) if len(self.shape_of(of)) == len(letters) == 2:
                return self.form(of, letters[::-1])
            case Call("transpose", (of,), (("axes", tuple() as axes),)):
                order = [axes.index(axis) for axis in range(len(axes))]
                return self.form(of, [letters[n] for n in order])
            case Call("pad", (of,), (("pad_width", tuple() as widths),)):
                lows = [low for low, _ in widths]
                starts = [placed([(1, n)], -low) for n, low in zip(letters, lows, strict=True)]
                return self.form(of, starts)
            case Call("take", (array, table), (("axis", int(axis)),)):
                looked = letters[axis : axis + len(self.shape_of(table))]
                if not all(map(_within, looked, self.shape_of(table))):
                    return None
                at = self.form(table, looked)
                inner = [*letters[:axis], at, *letters[axis + len(looked) :]]
                if range_of(at) is None:  # it is looked up
                    return indexed(array, inner)
                return self.form(array, inner)
            case View(of, entries):
                seen = _seen(letters, entries, self.shape_of(of), whole=True)
                return None if seen is None else self.form(of, seen)
            case Call("conv", (image, kernel), options):
                window = Window.of(len(letters) - 2, dict(options))
                each = window.groups == self.shape_of(image)[1] == self.shape_of(kernel)[0]
                if window.groups > 1 and not each:
                    return None
                return self._convolved(image, kernel, window, letters)
        return None

    def _convolved(
        self, image: Formula, kernel: Formula, window: Window, letters: Sequence[Index]
    ) -> Formula:
        """`Σ_kq W[j,k,q] X[i,k,s p + d q - l]`."""
        sample, feature, *places = letters
        own = self._own(self.shape_of(kernel)[1])
        on_image: list[Index] = [sample, own if window.groups == 1 else feature]
        on_kernel: list[Index] = [feature, own]
        summed = [own]
        sides = zip(places, self.shape_of(kernel)[2:], self.shape_of(image)[2:], strict=True)
        steps = zip(window.strides, window.dilation, window.spread, window.padding, strict=True)
        for (place, ours, theirs), (s, d, b, (low, _)) in zip(sides, steps, strict=True):
            inside = self._own(ours if b == 1 else theirs)
            summed.append(inside)
            on_image.append(placed([(s, place), (d, inside)], -low) if b == 1 else inside)
            on_kernel.append(inside if b == 1 else placed([(b, inside), (-s, place)], low))
        factors = (self.form(kernel, on_kernel), self.form(image, on_image))
        return _sum(summed, Product("matrix", factors))

    def _chain(self, factors: Sequence[Formula], letters: Sequence[Index]) -> Formula | None:
        """Scalars, then matrices that meet in letters which are summed over."""
        shapes = [self.shape_of(factor) for factor in factors]
        scalars = [f for f, shape in zip(factors, shapes, strict=True) if shape == ()]
        arrays = [(f, shape) for f, shape in zip(factors, shapes, strict=True) if shape != ()]
        if any(len(shape) > 2 for _, shape in arrays):
            return None
        ends = _ends(arrays, letters)
        if arrays and ends is None:
            return None
        row, column = ends or (None, None)
        parts: list[Formula] = [self.form(f, ()) for f in scalars]
        summed: list[Index] = []
        for place, (factor, shape) in enumerate(arrays):
            last = place == len(arrays) - 1
            after = column if last else self._own(shape[-1] if len(shape) == 2 else 1)
            summed += [] if last else [after]
            own = [row, after] if len(shape) == 2 else [row]
            parts.append(self.form(factor, own))
            row = after
        whole = Product("matrix", tuple(parts)) if len(parts) > 1 else parts[0]
        return _sum(summed, whole)

    def _own(self, size: int) -> Letter | None:
        """A new letter to sum over; None for an axis of one."""
        return self.fresh(size) if size != 1 else None


def moved_in(
    formula: Formula, shape_of: Callable[[Formula], Shape], fresh: Callable[[int], Letter]
) -> Formula:
    """`w[2-(r-p)]` for `w[::-1][r-p]`, wherever entries of views have indices with offsets.

    Args:
        formula: any formula.
        shape_of: the shape of an array in it.
        fresh: a new letter of a size.
    """
    match formula:
        case Entry(array, indices) if any(isinstance(n, Sum | Number) for n in indices):
            if isinstance(array, View):
                return index_form(array, indices, shape_of, fresh)
            if isinstance(array, Call):
                return _Indexing(shape_of, fresh).moved(array, indices) or formula
    return formula.rebuilt(lambda part: moved_in(part, shape_of, fresh))


def _within(index: Index, size: int) -> bool:
    """Whether an index always lies on an axis of this size."""
    ends = (0, 0) if index is None else range_of(index)
    return ends is None or (ends[0] >= 0 and ends[1] < size)


def indexed(array: Formula, indices: Sequence[Formula | None]) -> Entry:
    """`X[l,j]`; an axis of size one is read at 0."""
    return Entry(array, tuple(Number(0) if index is None else index for index in indices))


def _sum(letters: Sequence[Index], body: Formula) -> Formula:
    """`Σ` over the letters that there are."""
    found = tuple(letter for letter in letters if isinstance(letter, Letter))
    return Sigma(found, body) if found else body


def _seen(
    letters: Sequence[Index], entries: Sequence[str], shape: Shape, whole: bool = False
) -> list[Index] | None:
    """The indices of an array of which a view has these; None where they do not fit.

    Args:
        letters: the view's.
        entries: the view's entries.
        shape: the array's.
        whole: whether what lies outside of the view must lie outside of the array.
    """
    given, seen = list(letters), list[Index]()
    for entry in entries:
        if entry == "..." or (entry == "None" and (not given or not _within(given.pop(0), 1))):
            return None
        if entry == "None":
            continue
        if len(seen) == len(shape) or (":" in entry and not given):
            return None
        size = shape[len(seen)]
        if ":" not in entry:
            seen.append(Number(int(entry) % size))
            continue
        start, stop, step = slice(*(int(n) if n else None for n in entry.split(":"))).indices(size)
        if whole and len(range(start, stop, step)) < size:
            return None
        letter = given.pop(0)
        seen.append(letter if (start, step) == (0, 1) else placed([(step, letter)], start))
    return seen + given if len(seen) + len(given) == len(shape) else None


def _ends(
    arrays: Sequence[tuple[Formula, Shape]], letters: Sequence[Index]
) -> tuple[Index, Index] | None:
    """The letters of the rows of the first and the columns of the last array."""
    if not arrays:
        return None
    widths = [(shape[0], shape[1] if len(shape) == 2 else 1) for _, shape in arrays]
    for (_, size), (other, _) in pairwise(widths):
        if size != other:
            return None
    free = list(letters)
    outer = [widths[0][0], widths[-1][1]]
    if len(free) == 2:
        return free[0], free[1]
    if len(free) == 1:
        return (free[0], None) if outer[1] == 1 else (None, free[0])
    return (None, None) if outer == [1, 1] and not free else None
