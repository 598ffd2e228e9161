"""Terms whose factors are expressions, multiplied out as a person writes them.

The engine's `B[k]` with `B = x @ A + A @ x` becomes two terms, `x[m] A[m,k]` and `A[k,m] x[m]`:
sums are distributed, products taken apart, and an identity matrix is a delta.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations

from layouts.axes import Axes, Label, labels_of
from layouts.naming.residuals import Named
from layouts.nodes import Add, Contract, Node, Pattern, Write
from layouts.products import settle
from layouts.selection import Selection
from layouts.show.value import ELEMENTWISE, Value, identity_size, is_call, powers_of, scale_of
from layouts.show.values import Values
from layouts.show.views import expand
from layouts.terms import Factor, Term, relabel

# A term is multiplied out into this many at most, of this many factors at most.
MOST_TERMS = 6
MOST_FACTORS = 10
# An array that is put together of more terms than this stays whole.
MOST_PIECES = 16


@dataclass(frozen=True)
class Symbol:
    """A factor: an expression with a label for each of its axes, None where it has one entry."""

    value: Value
    axes: tuple[Label | None, ...]


@dataclass(frozen=True)
class Symbolic:
    """A term whose factors are symbols; a label on neither side is summed over."""

    out: Axes
    into: Axes
    factors: tuple[Symbol, ...]
    coefficient: complex
    selections: tuple[Selection, ...]


def symbolic(named: Named, term: Term) -> list[Symbolic]:
    """Multiply a term out.

    Args:
        named: the linearisation that it comes from.
        term: one term of a derivative, settled.

    Returns:
        The terms that it is the sum of.
    """
    parts = _unfolded(term)
    if len(parts) > MOST_TERMS or any(len(part.factors) > MOST_FACTORS for part in parts):
        parts = [term]
    read = [_read(named, part) for part in parts]
    return [part for part in read if part.coefficient != 0]


def in_pieces(term: Term) -> list[Term]:
    """A term with an array that is put together entry by entry, as the terms that it is made of.

    Args:
        term: one term of a derivative, settled.

    Returns:
        The terms that it is the sum of; itself where no array is put together so.
    """
    for factor in term.factors:
        node = factor.node
        if not isinstance(node, Write) or len(node.patterns) > MOST_PIECES:
            continue
        if all(len(pattern.digits) == len(node.shape) for pattern in node.patterns):
            rest = replace(term, factors=tuple(f for f in term.factors if f is not factor))
            operands = iter(node.operands)
            pieces = (_piece(rest, factor.labels, p, operands) for p in node.patterns)
            return [settle(piece) for piece in pieces]
    return [term]


def _piece(term: Term, labels: Sequence[Label], pattern: Pattern, operands: Iterator[Node]) -> Term:
    """One of the terms that a dense array was put together of, in that array's place."""
    own = [Label(extent) for extent in pattern.extents]
    known = dict(zip(labels, (own[n] for n in pattern.digits), strict=True))
    names = {label: known.get(label, label) for label in term.labels}
    names |= {n: known.get(n, n) for factor in term.factors for n in factor.labels}
    found = relabel(term, names)
    factors, selections = list(found.factors), list(found.selections)
    if pattern.value is not None:
        factors.append(Factor(next(operands), tuple(own[n] for n in pattern.value)))
    for mask in pattern.masks:
        label, *others = (own[n] for n in mask.labels)
        table = next(operands) if mask.table else None
        ends = (mask.start, mask.step, mask.window)
        selections.append(Selection(own[mask.place], label, *ends, table, tuple(others)))
    coefficient = found.coefficient * pattern.coefficient
    return replace(
        found, factors=tuple(factors), selections=tuple(selections), coefficient=coefficient
    )


def _unfolded(term: Term) -> list[Term]:
    """Sums distributed, products of arrays taken apart; their sums are not taken."""
    for place, factor in enumerate(term.factors):
        node = factor.node
        before, after = term.factors[:place], term.factors[place + 1 :]
        if isinstance(node, Contract) and mixes(node):
            label = dict(zip(node.output, factor.labels, strict=True))
            for index, extent in enumerate(node.extents):
                label.setdefault(index, Label(extent))
            pairs = zip(node.operands, node.indices, strict=True)
            inner = [Factor(part, tuple(label[n] for n in index)) for part, index in pairs]
            return _unfolded(replace(term, factors=(*before, *inner, *after)))
        if isinstance(node, Add) and mixes(node):
            found = []
            terms = zip(node.coefficients, node.operands, node.indices, strict=True)
            for coefficient, part, axes in terms:
                one = Factor(part, tuple(factor.labels[axis] for axis in axes))
                scaled = replace(
                    term,
                    coefficient=term.coefficient * coefficient,
                    factors=(*before, one, *after),
                )
                found += _unfolded(scaled)
            return found
    return [term]


def mixes(node: Node) -> bool:
    """Whether a product of matrices is in it, beyond what acts entry by entry."""
    if isinstance(node, Add):
        return any(map(mixes, node.operands))
    if not isinstance(node, Contract):
        return False
    sets = sorted(map(frozenset, node.indices), key=len)
    nested = all(one <= other for one, other in pairwise(sets))
    return node.summed or not nested or any(map(mixes, node.operands))


def _read(named: Named, term: Term) -> Symbolic:
    """The factors as expressions, those on the same labels multiplied into one."""
    values = named.of([factor.node for factor in term.factors])
    symbols = []
    for factor, value in zip(term.factors, values, strict=True):
        symbols.append(Symbol(value, _aligned(factor.labels, value)))
    coefficient, plain = term.coefficient, []
    for symbol in symbols:
        number, parts = _split(symbol, named.values)
        coefficient *= number
        plain += parts
    plain = _balanced(plain, named.values)
    symbols, out, into, selections, united = _without_identities(plain, term)
    coefficient *= _unseen(term, symbols, united)
    merged = _merged(symbols, named.values)
    numbers = [symbol.value.detail[0] for symbol in merged if symbol.value.head == "number"]
    for number in numbers:
        coefficient *= number
    kept = tuple(symbol for symbol in merged if symbol.value.head != "number")
    return Symbolic(out, into, kept, rounded(coefficient), selections)


def _aligned(labels: Sequence[Label | None], value: Value) -> tuple[Label | None, ...]:
    """The label of each axis that an expression has; it may repeat itself along others."""
    seen = labels[len(labels) - len(value.shape) :]
    pairs = zip(seen, value.shape, strict=True)
    return tuple(n if n is not None and extent == n.size else None for n, extent in pairs)


def _split(symbol: Symbol, values: Values) -> tuple[complex, list[Symbol]]:
    """A product as its factors, a view as what it is a view of, numbers apart."""
    value, axes = _viewed(symbol.value, values), symbol.axes
    if value.head == "number":
        return value.detail[0], []
    if value.head == "sum" and len(value.operands) == 1:
        (operand,) = value.operands
        number, parts = _split(Symbol(operand, _aligned(axes, operand)), values)
        return value.detail[0] * number, parts
    if value.head == "product":
        coefficient: complex = 1
        found = []
        for base, power in zip(value.operands, value.detail, strict=True):
            part = values.multiply([(base, power)])
            if part is value:
                return 1, [symbol]
            number, parts = _split(Symbol(part, _aligned(axes, part)), values)
            coefficient *= number
            found += parts
        return coefficient, found
    if is_call(value, "broadcast_to") and value.operands[0].shape == ():
        return _split(Symbol(value.operands[0], ()), values)
    if value.head == "transpose":
        return _split(Symbol(value.operands[0], axes[::-1]), values)
    if value.head == "index" and {*value.detail} <= {":", "None", "0"}:
        (operand,) = value.operands
        given = iter(axes)
        inner: list[Label | None] = []
        for entry in value.detail:
            if entry == "0":
                inner.append(None)
                continue
            label = next(given)
            if entry == ":":
                inner.append(label)
        rest = list(given)
        if len(inner) + len(rest) == len(operand.shape):
            return _split(Symbol(operand, (*inner, *rest)), values)
    return 1, [symbol]


def _viewed(value: Value, values: Values, depth: int = 4) -> Value:
    """`(x + y)[:, None]` for `x[:, None] + y[:, None]`: a view of all, not all of views."""
    if value.head not in ELEMENTWISE or depth == 0:
        return value
    operands = [_viewed(operand, values, depth - 1) for operand in value.operands]
    entries = {operand.detail for operand in operands if operand.shape}
    views = all(operand.head == "index" for operand in operands if operand.shape)
    if len(entries) != 1 or not views or not {*next(iter(entries))} <= {":", "None"}:
        return value
    inner = [operand.operands[0] if operand.shape else operand for operand in operands]
    if len({operand.shape for operand in inner if operand.shape}) != 1:
        return value
    whole = values.again(value, inner)
    shape = next(operand.shape for operand in operands if operand.shape)
    if whole.shape != next(operand.shape for operand in inner if operand.shape):
        return value
    return values.make("index", (whole,), next(iter(entries)), shape)


def _without_identities(
    symbols: list[Symbol], term: Term
) -> tuple[list[Symbol], Axes, Axes, tuple[Selection, ...], set[Label]]:
    """An identity matrix says that two labels are one; the last result are those that are gone."""
    united: set[Label] = set()
    out, into, selections = term.out, term.into, term.selections
    sides = {*labels_of(out), *labels_of(into)}
    place = 0
    while place < len(symbols):
        symbol = symbols[place]
        ends = [label for label in symbol.axes if label is not None]
        if not identity_size(symbol.value) or len(ends) < 2:
            place += 1
            continue
        kept, gone = sorted(ends, key=lambda label: label not in sides)
        united.add(gone)

        def named(label: Label, kept: Label = kept, gone: Label = gone) -> Label:
            return kept if label is gone else label

        rest = symbols[:place] + symbols[place + 1 :]
        symbols = [
            replace(s, axes=tuple(None if n is None else named(n) for n in s.axes)) for s in rest
        ]
        out, into = (tuple(tuple(map(named, axis)) for axis in axes) for axes in (out, into))
        selections = tuple(
            s.relabelled({n: named(n) for n in (s.place, *s.labels)}) for s in selections
        )
    return symbols, out, into, selections, united


def _unseen(term: Term, symbols: Sequence[Symbol], united: set[Label]) -> int:
    """Labels that are summed over and that no factor depends on: each counts its values."""
    known = {*term.labels, *united, *(label for symbol in symbols for label in symbol.axes)}
    gone = {label for factor in term.factors for label in factor.labels if label not in known}
    total = 1
    for label in gone:
        total *= label.size
    return total


def _merged(symbols: Sequence[Symbol], values: Values) -> list[Symbol]:
    """Expressions on the same labels multiplied into one, inputs apart."""
    merged: list[Symbol] = []
    for symbol in symbols:
        places = [
            n
            for n, host in enumerate(merged)
            if host.axes == symbol.axes
            and host.value.shape == symbol.value.shape
            and "name" not in (host.value.head, symbol.value.head)
        ]
        if not places:
            merged.append(symbol)
            continue
        product = values.multiply([(merged[places[0]].value, 1), (symbol.value, 1)])
        merged[places[0]] = Symbol(product, _aligned(symbol.axes, product))
    return merged


def _balanced(symbols: list[Symbol], values: Values) -> list[Symbol]:
    """Divisors moved from one factor to another where they make its `exp` a softmax."""
    symbols = list(symbols)
    for to, giver in permutations(range(len(symbols)), 2):
        divisors = symbols[giver].value
        if divisors.head != "product" or not _exponentials(symbols[to].value):
            continue
        for base, power in zip(divisors.operands, divisors.detail, strict=True):
            divisor = _standing(base, symbols[giver], symbols[to], values) if power < 0 else None
            if divisor is not None:
                moved = values.multiply([(symbols[to].value, 1), (divisor, -1)])
                if _exponentials(moved) < _exponentials(symbols[to].value):
                    rest = values.multiply([(divisors, 1), (base, 1)])
                    symbols[to] = Symbol(moved, _aligned(symbols[to].axes, moved))
                    symbols[giver] = Symbol(rest, _aligned(symbols[giver].axes, rest))
                    break
    return symbols


def _exponentials(value: Value) -> int:
    """How many factors are `exp` of something, each as often as its power."""
    powers = powers_of(value.operands[0] if scale_of(value) and value.operands else value)
    return sum(power for base, power in powers if is_call(base, "exp") and power > 0)


def _standing(base: Value, giver: Symbol, to: Symbol, values: Values) -> Value | None:
    """A factor of one symbol with its axes where another has the same labels."""
    axes = _aligned(giver.axes, base)
    labels = [label for label in axes if label is not None]
    if len(labels) == len(axes) and all(label in to.axes for label in labels):
        places = [to.axes.index(label) for label in labels]
        if places == sorted(places) and len({*places}) == len(places):
            return expand(values, base, places, len(to.axes))
    trailing = zip(reversed(axes), reversed(to.axes), strict=False)
    fits = len(axes) <= len(to.axes) and all(a is None or a is b for a, b in trailing)
    return base if fits else None


def rounded(number: complex) -> complex:
    """The whole number, or one part of it, that a float of low precision stands for."""
    if isinstance(number, complex) or not 1e-3 < abs(number) < 1e3:
        return number
    if abs(number - round(number)) < 1e-6 and round(number):
        return round(number)
    inverse = 1 / number
    near = abs(inverse - round(inverse)) < 1e-6 * abs(inverse)
    return 1 / round(inverse) if near and round(inverse) else number
