"""Symbolic terms with a name for each factor: an input's own, or a letter and its definition.

The Jacobian `δ[i,k] X[l,j] A[i,j]` says what it stores; the definition `A = 1[W @ X + b > 0]` says
what that is. Nothing is computed, so shapes alone are enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, pairwise, permutations

from layouts.axes import Axes, Label, labels_of, sizes
from layouts.naming.residuals import Named, familiar
from layouts.nodes import Contract, Leaf, Node, Shape
from layouts.selection import Selection
from layouts.show.terms import FACTOR_NAMES
from layouts.show.value import Value, identity_size
from layouts.show.values import Values
from layouts.show.writing import Definition, definitions
from layouts.terms import Factor, Term, Terms

# A rule with more factors in one term than this is written with the Jacobian's own.
MOST_FACTORS = 10


@dataclass(frozen=True)
class _Symbol:
    """A factor: an expression whose axes carry labels; axes of size one carry none."""

    value: Value
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class _Symbolic:
    """A term whose factors are symbols."""

    out: Axes
    into: Axes
    factors: tuple[_Symbol, ...]
    coefficient: complex
    selections: tuple[Selection, ...]


class Lettering:
    """Gives letters, the same letter to the same array.

    Args:
        named: the linearisation that the terms come from.
        inputs: the shapes of the function's inputs, by name.
        taken: other names that no letter may have.
        dtype: the precision that the function runs in.
    """

    def __init__(
        self, named: Named, inputs: Mapping[str, Shape], taken: Sequence[str], dtype: object
    ):
        """Start with no letters."""
        self.named = named
        self.inputs = inputs
        self.dtype = dtype
        self.familiar = familiar(named.values, dtype)
        self.taken = {*inputs, *taken}
        self.letters: dict[Value, str] = {}
        self.shapes: dict[str, Shape] = {}
        spare = (f"A{n}" for n in count(1))
        self.free: Iterator[str] = (n for n in chain(FACTOR_NAMES, spare) if n not in self.taken)
        self.places: dict[str, int] = {}

    def write(self, terms: Terms) -> Terms:
        """The terms with a named leaf for each factor; numbers go into the coefficients."""
        read = [_balanced(self._read(term), self.values) for term in terms]
        return tuple(term for term in map(self._written, read) if term.coefficient != 0)

    def write_unfolded(self, terms: Terms) -> Terms | None:
        """The terms with products taken apart, as a backward pass meets them; None if too many."""
        read = [_without_identities(self._read(_unfolded(term))) for term in terms]
        unfolded = [_merged(term, self.values) for term in read]
        if any(len(term.factors) > MOST_FACTORS for term in unfolded):
            return None
        written = [self._written(_balanced(term, self.values)) for term in unfolded]
        return tuple(term for term in written if term.coefficient != 0)

    def definitions(self, terms: Terms) -> tuple[Definition, ...]:
        """What the letters in these terms stand for, and the parts that they are written with."""
        nodes = [factor.node for term in terms for factor in term.factors]
        nodes += [s.table for term in terms for s in term.selections if s.table is not None]
        used = {node.name for node in nodes if isinstance(node, Leaf)}
        letters = {
            letter: (value, self.shapes[letter])
            for value, letter in self.letters.items()
            if letter in used
        }
        return definitions(letters, self.taken, familiar(self.values, self.dtype))

    @property
    def values(self) -> Values:
        """What makes the expressions."""
        return self.named.values

    def _read(self, term: Term) -> _Symbolic:
        """The factors as expressions; a label along which one repeats itself is left out."""
        values = self.named.of([factor.node for factor in term.factors])
        symbols = []
        for factor, value in zip(term.factors, values, strict=True):
            seen = factor.labels[len(factor.labels) - len(value.shape) :]
            pairs = zip(seen, value.shape, strict=True)
            symbols.append(_Symbol(value, tuple(n for n, extent in pairs if extent == n.size)))
        return _Symbolic(term.out, term.into, tuple(symbols), term.coefficient, term.selections)

    def _written(self, term: _Symbolic) -> Term:
        """Numbers go into the coefficient, all else gets its name."""
        coefficient, factors = term.coefficient, []
        for symbol in term.factors:
            value = symbol.value
            if value.head == "number":
                coefficient = coefficient * value.detail[0]
                continue
            if _is_multiple(value) and value not in self.familiar:
                coefficient, value = coefficient * value.detail[0], value.operands[0]
            factors.append(self._factor(_Symbol(value, symbol.labels)))
        selections = tuple(map(self._selection, term.selections))
        return Term(term.out, term.into, tuple(factors), _rounded(coefficient), selections)

    def _selection(self, selection: Selection) -> Selection:
        """A table is an array with a name of its own."""
        if selection.table is None:
            return selection
        (value,) = self.named.of([selection.table])
        return replace(selection, table=self._factor(_Symbol(value, selection.labels)).node)

    def _factor(self, symbol: _Symbol) -> Factor:
        value, labels = _underlying(symbol.value), symbol.labels
        if value.head == "transpose" and _underlying(value.operands[0]).head == "name":
            value, labels = _underlying(value.operands[0]), labels[::-1]
        if value.head == "name" and value.detail[0] in self.inputs and len(value.detail) == 1:
            name = value.detail[0]
        else:
            value, labels = symbol.value, symbol.labels
            if value not in self.letters:
                self.letters[value] = next(self.free)
                self.shapes[self.letters[value]] = sizes(labels)
            name = self.letters[value]
        place = self.places.setdefault(name, len(self.places))
        return Factor(Leaf(sizes(labels), 4, (), place, name), labels)


def _is_multiple(value: Value) -> bool:
    """Whether it is a number times an array, such as `2 * x`."""
    return value.head == "sum" and len(value.operands) == 1 and _simple(value.detail[0])


def _simple(number: complex) -> bool:
    """A whole number, or one part of a whole number, not too large."""
    if isinstance(number, complex) or not 1e-3 < abs(number) < 1e3:
        return False
    return any(abs(n - round(n)) < 1e-6 and round(n) for n in (number, 1 / number))


def _rounded(number: complex) -> complex:
    """The whole number, or one part of it, that a float of low precision stands for."""
    if not _simple(number) or isinstance(number, complex):
        return number
    return round(number) if abs(number) > 0.5 else 1 / round(1 / number)


def _underlying(value: Value) -> Value:
    """The array of which this is a view with axes of size one put in or taken out."""
    while value.head == "index" and {*value.detail} <= {":", "0", "None"}:
        (value,) = value.operands
    return value


def _unfolded(term: Term) -> Term:
    """Products of arrays with different labels as factors of their own, their sums not taken."""
    pending, factors = list(term.factors)[::-1], []
    while pending:
        factor = pending.pop()
        node = factor.node
        if not isinstance(node, Contract) or not _mixes(node):
            factors.append(factor)
            continue
        label = dict(zip(node.output, factor.labels, strict=True))
        for index, extent in enumerate(node.extents):
            label.setdefault(index, Label(extent))
        parts = zip(node.operands, node.indices, strict=True)
        pending += [Factor(part, tuple(label[n] for n in index)) for part, index in parts][::-1]
    return replace(term, factors=tuple(factors))


def _mixes(node: Node) -> bool:
    """Whether a product of matrices is in it, beyond the scaling of one array by others."""
    if not isinstance(node, Contract):
        return False
    sets = sorted(map(frozenset, node.indices), key=len)
    nested = all(one <= other for one, other in pairwise(sets))
    return node.summed or not nested or any(map(_mixes, node.operands))


def _without_identities(term: _Symbolic) -> _Symbolic:
    """An identity matrix that is summed over is a delta: its labels are one."""
    kept = {*labels_of(term.out), *labels_of(term.into)}
    factors = list(term.factors)
    for symbol in term.factors:
        if identity_size(symbol.value):
            inner, other = sorted(symbol.labels, key=lambda label: label in kept)
            if inner not in kept:
                factors.remove(symbol)
                factors = [
                    _Symbol(f.value, tuple(other if n is inner else n for n in f.labels))
                    for f in factors
                ]
    return replace(term, factors=tuple(factors))


def _merged(term: _Symbolic, values: Values) -> _Symbolic:
    """Arrays of the same labels multiplied into one, inputs apart."""
    merged: list[_Symbol] = []
    for symbol in term.factors:
        plain = len(symbol.value.shape) == len(symbol.labels) and symbol.value.head != "name"
        hosts = [n for n, host in enumerate(merged) if host.labels == symbol.labels]
        hosts = [n for n in hosts if merged[n].value.head != "name"]
        if plain and hosts and len(merged[hosts[0]].value.shape) == len(symbol.labels):
            product = values.multiply([(merged[hosts[0]].value, 1), (symbol.value, 1)])
            merged[hosts[0]] = _Symbol(product, symbol.labels)
        else:
            merged.append(symbol)
    return replace(term, factors=tuple(merged))


def _balanced(term: _Symbolic, values: Values) -> _Symbolic:
    """Divisors moved from one factor to another where they make it a softmax."""
    factors = list(term.factors)
    for to, giver in permutations(range(len(factors)), 2):
        divisors = factors[giver].value
        if divisors.head != "product" or _has_softmax(factors[to].value):
            continue
        for base, power in zip(divisors.operands, divisors.detail, strict=True):
            if power < 0 and _shared(base, factors[to], factors[giver]):
                moved = values.multiply([(factors[to].value, 1), (base, -1)])
                if _has_softmax(moved):
                    rest = values.multiply([(divisors, 1), (base, 1)])
                    factors[to] = _Symbol(moved, factors[to].labels)
                    factors[giver] = _Symbol(rest, factors[giver].labels)
                    break
    return replace(term, factors=tuple(factors))


def _has_softmax(value: Value) -> bool:
    parts = value.operands if value.head in ("product", "sum") else (value,)
    return any(part.head == "call" and part.detail[0] == "softmax" for part in parts)


def _shared(base: Value, one: _Symbol, other: _Symbol) -> bool:
    """Whether an array broadcasts against two factors along the same labels."""
    for axis in range(-1, -len(base.shape) - 1, -1):
        if base.shape[axis] == 1:
            continue
        plain = all(len(symbol.labels) == len(symbol.value.shape) for symbol in (one, other))
        if not plain or max(-axis, 0) > min(len(one.labels), len(other.labels)):
            return False
        if one.labels[axis] is not other.labels[axis]:
            return False
    return True
