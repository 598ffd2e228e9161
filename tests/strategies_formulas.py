"""Random formulas of each kind of node, with arrays to evaluate them on, and their normal form."""

from functools import cache

import numpy as np
from hypothesis import strategies as st

from layouts.formulas.tree import (
    Call,
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Equation,
    Formula,
    Identity,
    Indicator,
    Inverse,
    Letter,
    Name,
    Number,
    Ones,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
    View,
)
from layouts.show.flattening import is_scalar

SIZES = (2, 3, 5)
_RNG = np.random.default_rng(7)
# The names of two arrays of each shape, one of them dotted, and the loss's derivative by the first.
NAMES = {
    (): ("n", "params.rate"),
    **{(a,): (f"v{a}", f"params.u{a}") for a in SIZES},
    **{(a, b): (f"M{a}{b}", f"params.W{a}{b}") for a in SIZES for b in SIZES},
}
ARRAYS = {name: _RNG.standard_normal(shape) for shape, names in NAMES.items() for name in names}
ARRAYS |= {f"dL/d{names[0]}": _RNG.standard_normal(shape) for shape, names in NAMES.items()}
ARRAYS |= {"dM23/dM35": _RNG.standard_normal((2, 3, 3, 5)), "T": np.array([4, 0, 2])}
LETTERS = {
    n: tuple(Letter(text, n) for text in texts)
    for n, texts in zip(SIZES, (("i", "a"), ("j", "m1"), ("k", "l")), strict=True)
}
_TABLE = Name("T")  # of three numbers below five
_SLOPED = ("tanh", "sigmoid", "softplus", "exp", "sin")
_NUMBERS = st.sampled_from([2, 3, -1, 0.2, 0.5, 2.5, -4])


def formulas() -> st.SearchStrategy[tuple[Formula, list[Letter]]]:
    """A formula, and the letters of its result's axes."""
    closed = st.sampled_from(sorted(NAMES)).flatmap(lambda shape: matrix(shape, 3))
    indexed = st.lists(st.sampled_from(SIZES), max_size=3).flatmap(_indexed)
    return st.one_of(indexed, *(kind.map(lambda f: (f, [])) for kind in (closed, kronecker())))


def equations() -> st.SearchStrategy[tuple[Formula, list[Letter]]]:
    """A derivative and one or two formulas that it is said to equal."""
    left = Derivative(Name("L"), Name("M23"))

    def sides(formula: Formula) -> tuple[Formula, list[Letter]]:
        return Equation((left, formula)), []

    return matrix((2, 3), 2).map(sides)


def _indexed(sizes: list[int]) -> st.SearchStrategy[tuple[Formula, list[Letter]]]:
    free: list[Letter] = []
    for size in sizes:
        free += [letter for letter in LETTERS[size] if letter not in free][:1]
    return number(tuple(free), 3).map(lambda formula: (formula, free))


@cache
def matrix(shape: tuple[int, ...], depth: int) -> st.SearchStrategy[Formula]:
    """A formula in the language of arrays, whose value has this shape."""
    first = NAMES[shape][0]
    leaves: list[Formula] = [*map(Name, NAMES[shape]), Derivative(Name("L"), Name(first))]
    leaves += [Ones(shape)] if shape else []
    leaves += [Identity(shape[0])] if len(shape) == 2 and shape[0] == shape[1] else []
    leaf = st.sampled_from(leaves)
    if depth == 0:
        return leaf
    same = matrix(shape, depth - 1)
    grown = [leaf, _sums(same), _entrywise(same), *_products(shape, depth - 1)]
    grown.append(st.builds(Quotient, same, same))
    grown.append(st.builds(Quotient, _NUMBERS.map(Number), same))
    exponents = st.sampled_from([Number(2), Number(3), Number(-2), Number(0.5), Name("n")])
    grown.append(st.builds(Power, same, exponents))
    grown.append(st.builds(_call, st.sampled_from(_SLOPED), same, st.integers(0, 2)))
    grown.append(same.map(lambda f: Indicator(Compare(">", f, Number(0)))))
    grown.append(st.builds(lambda f, g: Indicator(Compare("<=", f, g)), same, same))
    if shape:
        grown.append(same.map(lambda f: Call("softmax", (f,), (("axis", len(shape) - 1),))))
        grown.append(same.map(lambda f: View(f, ("::-1",))))
    if len(shape) == 2:
        grown.append(matrix(shape[::-1], depth - 1).map(Transpose))
        grown.append(matrix(shape[:1], depth - 1).map(lambda f: _beside(f, shape)))
        if shape[0] == shape[1]:
            grown += [same.map(Inverse), same.map(lambda f: Transpose(Inverse(f)))]
            grown.append(matrix(shape[:1], depth - 1).map(lambda f: Call("diag", (f,))))
    if len(shape) == 1:
        square = matrix((*shape, *shape), depth - 1)
        grown.append(square.map(lambda f: Call("diag", (f,))))
        grown.append(
            matrix((3, *shape), depth - 1).map(lambda f: Call("sum", (f,), (("axis", 0),)))
        )
    if not shape:
        square, any_of = matrix((3, 3), depth - 1), matrix((2, 5), depth - 1)
        grown += [square.map(lambda f: Call("tr", (f,))), square.map(lambda f: Call("det", (f,)))]
        grown.append(square.map(lambda f: Call("logdet", (f,))))
        grown.append(any_of.map(lambda f: Call("norm", (f,))))
        grown.append(_NUMBERS.map(Number))
    return st.one_of(grown)


def kronecker() -> st.SearchStrategy[Formula]:
    """A Kronecker product, alone or times vec of something."""
    pair = st.tuples(matrix((2, 3), 1), matrix((3, 2), 1)).map(lambda p: Product("kronecker", p))
    orders = st.sampled_from([(), (("order", "rows"),)])
    stacked = st.builds(lambda f, o: Call("vec", (f,), o), matrix((2, 3), 1), orders)
    return st.one_of(pair, st.builds(lambda k, v: Product("matrix", (k, v)), pair, stacked))


def _call(function: str, operand: Formula, primes: int) -> Formula:
    return Call(function, (operand,), (), primes)


def _beside(vector: Formula, shape: tuple[int, ...]) -> Formula:
    return Product("entrywise", (View(vector, (":", "None")), Name(NAMES[shape][0])))


def _sums(same: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    terms = st.lists(st.tuples(_NUMBERS | st.just(1), same), min_size=1, max_size=3)
    return terms.map(lambda pairs: Sum(*zip(*pairs, strict=True)))


def _entrywise(same: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    """Factors entry by entry; what is seen to be a number would read as a plain product."""
    seen_as_array = same.filter(lambda factor: not is_scalar(factor))
    pairs = st.lists(seen_as_array, min_size=2, max_size=3)
    return pairs.map(lambda factors: Product("entrywise", tuple(factors)))


def _products(shape: tuple[int, ...], depth: int) -> list[st.SearchStrategy[Formula]]:
    """Products of matrices, vectors and numbers with a value of this shape."""

    def of(*parts: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        return st.tuples(*parts).map(lambda factors: Product("matrix", factors))

    found = [of(matrix((), depth), matrix(shape, depth))]
    for inner in (2, 5):
        if len(shape) == 2:
            found.append(of(matrix((shape[0], inner), depth), matrix((inner, shape[1]), depth)))
        if len(shape) == 1:
            found.append(of(matrix((shape[0], inner), depth), matrix((inner,), depth)))
        if not shape:
            row = matrix((inner,), depth).map(Transpose)
            found.append(of(row, matrix((inner,), depth)))
            found.append(of(row, matrix((inner, 3), depth), matrix((3,), depth)))
    if len(shape) == 2:
        row = matrix(shape[1:], depth).map(Transpose)
        found.append(of(matrix(shape[:1], depth), row))
    return found


@cache
def number(free: tuple[Letter, ...], depth: int) -> st.SearchStrategy[Formula]:
    """A formula in the language of indices, a number for each value of these letters."""
    leaf = _entries(free)
    if depth == 0:
        return leaf
    same = number(free, depth - 1)
    grown = [leaf, leaf, _sums(same | st.just(Number(1)))]
    grown.append(st.lists(same, min_size=2, max_size=3).map(lambda f: Product("matrix", tuple(f))))
    spare = [letter for two in LETTERS.values() for letter in two if letter not in free]
    for letter in spare[:2]:
        inner = number((*free, letter), depth - 1)
        grown.append(inner.map(lambda body, letter=letter: _summed((letter,), body)))
    pair = tuple(spare[-2:])
    grown.append(number((*free, *pair), depth - 1).map(lambda body: _summed(pair, body)))
    grown.append(st.builds(Quotient, same, same))
    grown.append(st.builds(Power, same, st.sampled_from([Number(2), Number(-2), Name("n")])))
    grown.append(st.builds(_call, st.sampled_from(_SLOPED), same, st.integers(0, 1)))
    grown.append(same.map(lambda f: Indicator(Compare("<", f, Number(1)))))
    return st.one_of(grown)


def _summed(letters: tuple[Letter, ...], body: Formula) -> Formula:
    """A sum whose letters have their sizes from entries that carry them."""
    carriers = tuple(Entry(Name(f"v{letter.size}"), (letter,)) for letter in letters)
    return Sigma(letters, Product("matrix", (*carriers, body)))


def _entries(free: tuple[Letter, ...]) -> st.SearchStrategy[Formula]:
    """Entries and deltas that carry some of these letters."""
    found: list[Formula] = [Name("n")]
    for one in free:
        shifted = Sum((1, 2), (one, Number(1)))
        turned = Sum((1, -1), (Number(one.size), one))
        found += [Entry(Name(f"v{one.size}"), (one,)), Entry(Name("v5"), (shifted,))]
        found += [Entry(Name("v5"), (turned,)), Entry(Name(f"M2{one.size}"), (Number(0), one))]
        found.append(Entry(Derivative(Name("L"), Name(f"v{one.size}")), (one,)))
        found.append(Entry(Call("tanh", (Name(f"v{one.size}"),), (), 1), (one,)))
        found.append(Entry(Transpose(Name(f"M{one.size}3")), (Number(1), one)))
        if one.size == 3:
            found.append(Entry(Name("v5"), (Entry(_TABLE, (one,)),)))
            found += [Delta(Entry(_TABLE, (one,)), k) for k in free if k.size == 5]
        for other in free:
            rows, cols = one.size, other.size
            array = Product("matrix", (Name(f"M{rows}2"), Name(f"M2{cols}")))
            found += [
                Entry(Name(f"params.W{rows}{cols}"), (one, other)),
                Entry(array, (one, other)),
            ]
            found += [Delta(one, other), Delta(shifted, other), Delta(one, Sum((2,), (other,)))]
            if (rows, cols) == (2, 3):
                eight = Call("vec", (Name("M23"),), (("order", "rows"),))
                found.append(Entry(eight, (Digits((one, other)),)))
                by = [Entry(Name("M35"), (other, k)) for k in free if k.size == 5]
                found += [Derivative(Entry(Name("M23"), (one, other)), entry) for entry in by]
    return st.sampled_from(found)


def flattened(formula: Formula) -> Formula:
    """The formula with nested sums and products of a kind taken in, and numbers in front.

    Two formulas that differ by no more than that are the same here, letters without their sizes.
    """
    formula = formula.rebuilt(flattened)
    match formula:
        case Letter(text):
            return Letter(text)
        case Number(value):
            return Number(_rounded(value))
        case Sum():
            return _collected([(formula, 1)])
        case Product(kind, factors):
            number: complex = 1
            found: list[Formula] = []
            for factor in factors:
                if kind != "kronecker" and isinstance(factor, Sum) and len(factor.terms) == 1:
                    number, factor = number * factor.coefficients[0], factor.terms[0]
                if isinstance(factor, Number):
                    number *= factor.value
                elif isinstance(factor, Product) and factor.kind == kind:
                    found += factor.factors
                else:
                    found.append(factor)
            whole = found[0] if len(found) == 1 else Product(kind, tuple(found))
            return _collected([(whole if found else Number(1), number)])
    return formula


def _collected(pending: list[tuple[Formula, complex]]) -> Formula:
    terms: list[tuple[complex, Formula]] = []
    while pending:
        node, number = pending.pop()
        if isinstance(node, Sum):
            parts = zip(node.terms, node.coefficients, strict=True)
            pending += [(term, number * coefficient) for term, coefficient in parts][::-1]
        elif isinstance(node, Number):
            terms.append((_rounded(number * node.value), Number(1)))
        else:
            terms.append((_rounded(number), node))
    if len(terms) == 1:
        ((number, term),) = terms
        if isinstance(term, Number):
            return Number(number)
        return term if number == 1 else Sum((number,), (term,))
    return Sum(*zip(*terms, strict=True))


def _rounded(number: complex) -> complex:
    """Floats as they come back from a text, whole ones as whole numbers."""
    if isinstance(number, complex):
        return number
    return int(number) if number == int(number) else float(f"{number:.12g}")
