"""Formulas as text: whole strings, at two widths, one text for each formula."""

from collections import defaultdict

import pytest
from hypothesis import given, settings

from layouts.formulas.tree import (
    Call,
    Derivative,
    Entry,
    Equation,
    Formula,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
)
from layouts.show.text import text
from tests.formula_trees import (
    FORMULAS,
    TABLE,
    A,
    L,
    W,
    a,
    add,
    at,
    b,
    dL,
    formulas,
    had,
    hand,
    i,
    mul,
    one,
    small,
    x,
)


@pytest.mark.parametrize("formula, unicode, ascii, _", TABLE, ids=[row[1] for row in TABLE])
def test_both_alphabets(formula, unicode, ascii, _):
    assert text(formula) == unicode
    assert text(formula, "ascii") == ascii
    assert text(formula, "ascii").isascii()


def test_an_equation_breaks_at_its_equals_signs():
    assert text(hand, width=len(text(hand))) == text(hand)
    assert text(hand, width=len(text(hand)) - 1) == (
        "∂L/∂W[k,l] = Σ_ij ∂L/∂D[i,j] δ[i,k] X[l,j]\n           = Σ_j ∂L/∂D[k,j] X[l,j]"
    )
    assert text(hand, "ascii", width=18) == (
        "dL/dW[k,l]\n  = sum_ij dL/dD[i,j] * delta[i,k] * X[l,j]\n  = sum_j dL/dD[k,j] * X[l,j]"
    )


long_sum = add(*(((-1) ** n * n, mul(A, Name(f"x{n}"))) for n in range(1, 7)))


def test_a_long_sum_breaks_at_its_signs():
    assert text(long_sum, width=24) == (
        "-A x1 + 2 A x2 - 3 A x3\n"
        "+ 4 A x4 - 5 A x5\n"
        "+ 6 A x6"
    )  # fmt: skip
    assert text(Equation((dL, long_sum, a)), width=40) == (
        "∂L/∂W = -A x1 + 2 A x2 - 3 A x3 + 4 A x4\n      - 5 A x5 + 6 A x6\n      = a"
    )


def test_a_long_left_side_stands_alone():
    assert text(Equation((long_sum, a)), width=24) == (
        "-A x1 + 2 A x2 - 3 A x3\n"
        "+ 4 A x4 - 5 A x5\n"
        "+ 6 A x6\n"
        "  = a"
    )  # fmt: skip


@pytest.mark.parametrize("width", [10, 24, 40])
def test_broken_lines_say_what_one_line_says(width):
    for formula in [*FORMULAS, long_sum]:
        assert " ".join(text(formula, width=width).split()) == text(formula)


def canonical(formula: Formula) -> Formula:
    """The formula up to what is written alike on purpose: see each branch."""
    formula = formula.rebuilt(canonical)
    match formula:
        case Product(kind, factors):
            return _canonical_product(kind, factors)
        case Sum(numbers, terms):
            return _canonical_sum(numbers, terms)
        case Entry(Derivative(of, by), indices):
            return Derivative(of, Entry(by, indices))
        case Derivative(of, Entry() as by) if not isinstance(of, Entry):
            return Derivative(of, by)
    return formula


def _canonical_product(kind, factors):
    """A product with inner products of its kind taken in, its numbers before it."""
    number, found = 1, []
    for factor in factors:
        if kind == "matrix" and isinstance(factor, Sum) and len(factor.terms) == 1:
            number *= factor.coefficients[0]
            factor = factor.terms[0]
        if kind == "matrix" and isinstance(factor, Number):
            number *= factor.value
        else:
            alike = isinstance(factor, Product) and factor.kind == kind
            found += factor.parts if alike else (factor,)
    rest = found[0] if len(found) == 1 else Product(kind, tuple(found))
    return _canonical_sum((number,), (rest,) if found else (Number(1),))


def _canonical_sum(numbers, terms):
    """A sum with inner sums of one term taken in, and others where they are added."""
    found = []
    for number, term in zip(numbers, terms, strict=True):
        if isinstance(term, Sum) and (number == 1 or len(term.terms) == 1):
            inner = zip(term.coefficients, term.terms, strict=True)
            found += [(number * coefficient, part) for coefficient, part in inner]
        elif isinstance(term, Number):
            found.append((number * term.value, Number(1)))
        else:
            found.append((number, term))
    if len(found) == 1 and isinstance(found[0][1], Number):
        return Number(found[0][0])
    return found[0][1] if len(found) == 1 and found[0][0] == 1 else add(*found)


@pytest.mark.parametrize("alphabet", ["unicode", "ascii"])
def test_formulas_that_differ_are_written_differently(alphabet):
    """Over all small formulas; in ASCII a product of numbers may be read either way."""
    meanings = defaultdict(set)
    for formula in small():
        meanings[text(formula, alphabet)].add(canonical(formula))
    assert len(meanings) > 10_000
    clashes = {line: found for line, found in meanings.items() if len(found) > 1}
    if alphabet == "ascii":
        clashes = {line: found for line, found in clashes.items() if "*" not in line}
    assert not clashes


def test_depth_and_length_have_no_limit():
    deep = nested = x
    for _ in range(5_000):
        deep = one("tanh", deep)
        nested = Sum((2, 1), (a, nested))
    assert text(deep) == "tanh(" * 5_000 + "x" + ")" * 5_000
    assert text(nested) == "2 a + " * 5_000 + "x"
    assert text(add(*[(1, x)] * 5_000), "ascii") == " + ".join("x" * 5_000)


def test_a_part_that_occurs_twice_is_written_twice():
    part = mul(A, x)
    assert text(Quotient(part, add((1, part), (1, part)))) == "A x / (A x + A x)"


def test_what_stands_for_nothing():
    assert [text(Product(kind, ())) for kind in ("matrix", "entrywise", "kronecker")] == ["1"] * 3
    assert text(Sum((), ())) == "0"


def test_a_norm_within_a_norm_is_spelt():
    inner = one("norm", x)
    assert text(one("norm", mul(a, inner, b))) == "norm(a ‖x‖ b)"


def test_brackets_behind_a_number_are_no_indicator():
    assert text(Entry(Number(1), (i,))) == "(1)[i]"


def test_what_would_be_read_otherwise_stands_in_parentheses():
    assert text(Power(x, Name("T"))) == "x^(T)"
    dividend = mul(a, Sigma((i,), at(x, i)))
    assert text(Quotient(dividend, b)) == "(a Σ_i x[i]) / b"
    assert text(had(a, Sigma((i,), at(x, i)))) == "a ⊙ (Σ_i x[i])"


def test_derivatives_of_more_than_names_stand_in_parentheses():
    assert text(Derivative(mul(W, x), x)) == "∂(W x)/∂x"
    assert text(Derivative(L, at(W, i))) == text(at(dL, i)) == "∂L/∂W[i]"
    assert text(Derivative(one("tanh", b), b), "ascii") == "d(tanh(b))/db"


@given(formulas)
@settings(max_examples=100, deadline=None)
def test_any_formula_has_a_text(formula):
    for alphabet in ("unicode", "ascii"):
        line = text(formula, alphabet)
        assert text(formula, alphabet, width=10).split() == line.split()


def test_numbers_one_by_one_stand_in_brackets():
    rows = Call("array", (Call("array", (a, Number(1))), Call("array", (Number(0), b))))
    assert text(mul(rows, x)) == "[[a, 1], [0, b]] x"
    assert text(mul(x, rows)) == "x ([[a, 1], [0, b]])"
    assert text(mul(rows, x), "ascii") == "array([[a, 1], [0, b]]) @ x"
