"""Expressions: what is simplified, what is not, and where parentheses stand."""

import pytest

from layouts.show.patterns import inverse, logarithm, root, turn
from layouts.show.products import einsum, reduce
from layouts.show.values import Values
from layouts.show.views import expand, full, reshape, transpose
from layouts.show.writing import LONGEST_LINE, definitions


@pytest.fixture
def values():
    return Values()


def text(value):
    return definitions({"A": (value, value.shape)})[0].text


def less(values, one, other):
    return values.add([(1, one), (-1, other)])


def test_equal_values_are_one_object(values):
    x, y = values.name("x", (3,)), values.name("y", (3,))
    assert values.name("x", (3,)) is x
    assert values.add([(1, x), (1, y)]) is values.add([(1, x), (1, y)])
    assert values.unknown("f", [x], [(3,)])[0] is not values.unknown("f", [x], [(3,)])[0]


def test_sums_and_products_are_collected(values):
    x, y = values.name("x", (3,)), values.name("y", (3,))
    assert text(values.add([(1, x), (1, x)])) == "2 * x"
    assert text(less(values, x, less(values, x, y))) == "y"
    assert text(values.add([(2, less(values, x, y))])) == "2 * (x - y)"
    assert text(values.multiply([(x, 1), (y, -1), (x, 1)])) == "x² / y"
    assert text(values.multiply([(values.add([(2, x)]), 2), (y, -2), (x, -3)])) == "4 / (x * y²)"
    assert text(values.multiply([(values.number(0), -1), (x, 1)])) == "x / 0"
    assert less(values, x, x) is values.number(0)


def test_parentheses_stand_where_they_are_needed_and_nowhere_else(values):
    A, B = values.name("A", (3, 3)), values.name("B", (3, 3))
    product = einsum(values, [A, B], [(0, 1), (1, 2)], (0, 2), (3, 3, 3))
    right = einsum(values, [A, product], [(0, 1), (1, 2)], (0, 2), (3, 3, 3))
    left = einsum(values, [product, A], [(0, 1), (1, 2)], (0, 2), (3, 3, 3))
    turned = transpose(values, product, (3, 3), (1, 0))
    assert text(left) == "A @ B @ A"
    assert text(right) == "A @ (A @ B)"
    assert text(turned) == "(A @ B)ᵀ"
    assert transpose(values, turned, (3, 3), (1, 0)) is product
    assert text(values.multiply([(product, 1), (A, 1)])) == "(A @ B) * A"
    assert text(values.multiply([(less(values, A, B), 2)])) == "(A - B)²"
    assert text(values.add([(-1, A), (1, product)])) == "A @ B - A"
    assert text(values.add([(-1, A), (-2, B)])) == "-A - 2 * B"
    assert text(values.multiply([(A, 1), (values.multiply([(B, -1)]), -1)])) == "A * B"
    assert text(values.indicator(values.compare(">", less(values, A, B), B))) == "1[A - B > B]"
    assert text(values.multiply([(transpose(values, A, (3, 3), (1, 0)), 2)])) == "(Aᵀ)²"


def test_repetition_is_spelt_out_only_where_it_counts(values):
    x = values.name("x", (3,))
    assert full(values, x, (3,)) is x
    assert text(full(values, x, (4, 3))) == "broadcast_to(x, (4, 3))"
    assert expand(values, x, [1], 2) is x
    assert text(expand(values, x, [0], 2)) == "x[:, None]"
    assert text(reshape(values, expand(values, x, [0], 2), (3, 1), (3,))) == "x"
    assert text(reshape(values, x, (3,), (1, 3, 1))) == "x[:, None]"
    assert text(reshape(values, values.name("X", (2, 6)), (2, 6), (3, 4))) == "reshape(X, (3, 4))"


@pytest.mark.parametrize(
    ("indices", "output", "expected"),
    [
        ([(0, 1), (1, 2)], (0, 2), "A @ B"),
        ([(0, 1), (2, 1)], (0, 2), "A @ Bᵀ"),
        ([(1, 0), (1, 2)], (0, 2), "Aᵀ @ B"),
        ([(1, 0), (2, 1)], (0, 2), "Aᵀ @ Bᵀ"),
        ([(0, 1), (1, 2)], (2, 0), "Bᵀ @ Aᵀ"),
        ([(0, 1), (0, 1)], (0, 1), "A * B"),
        ([(0, 1), (1, 0)], (0, 1), "A * Bᵀ"),
        ([(0, 1), (0, 1)], (0,), "einsum('ij,ij->i', A, B)"),
        ([(0, 1), (0, 2)], (0, 1, 2), "A[:, :, None] * B[:, None, :]"),
        ([(0, 0), (0, 1)], (1,), "einsum('jj,ji->i', A, B)"),
    ],
)
def test_products_are_written_the_plainest_way(values, indices, output, expected):
    A, B = values.name("A", (3, 3)), values.name("B", (3, 3))
    assert text(einsum(values, [A, B], indices, output, (3, 3, 3))) == expected


def test_softmax_is_seen_only_along_its_own_axis(values):
    X = values.name("X", (3, 3))
    exp = values.map("exp", X)
    columns = values.call("sum", [exp], ["axis=0"], (3,))
    rows = values.call("sum", [exp], ["axis=1"], (3,))
    upright = expand(values, rows, [0], 2)
    assert text(values.multiply([(exp, 1), (columns, -1)])) == "softmax(X, axis=0)"
    assert text(values.multiply([(exp, 1), (upright, -1)])) == "softmax(X, axis=1)"
    assert text(values.multiply([(exp, 1), (rows, -1)])) == "exp(X) / sum(exp(X), axis=1)"
    peak = values.call("max", [X], ["axis=1"], (3,))
    shifted = values.map("exp", less(values, X, peak))  # square, so it broadcasts the other way
    total = values.call("sum", [shifted], ["axis=0"], (3,))
    assert "max(X, axis=1)" in text(values.multiply([(shifted, 1), (total, -1)]))


def test_a_transpose_goes_to_the_parts_where_that_is_shorter(values):
    X, A = values.name("X", (4, 3)), values.name("A", (4, 4))
    turned = [turn(values, matrix) for matrix in (X, A)]
    product = einsum(values, [X, A], [(1, 0), (1, 2)], (0, 2), (3, 4, 4))
    assert text(product) == "Xᵀ @ A"
    assert text(turn(values, product)) == "Aᵀ @ X"
    both = values.add([(1, product), (-2, values.make("matmul", turned, (), (3, 4)))])
    assert text(turn(values, both)) == "Aᵀ @ X - 2 * (A @ X)"
    assert text(turn(values, less(values, A, values.map("tanh", A)))) == "(A - tanh(A))ᵀ"
    assert text(turn(values, less(values, A, turned[1]))) == "Aᵀ - A"
    column = expand(values, values.name("x", (4,)), [0], 2)
    assert text(turn(values, less(values, turned[1], column))) == "(Aᵀ - x[:, None])ᵀ"
    eye = values.call("eye", [], ["4"], (4, 4))
    assert turn(values, eye) is eye
    assert text(inverse(values, turned[1])) == "inv(A)ᵀ"
    assert inverse(values, inverse(values, A)) is A


def test_a_matrix_beside_the_identity_stays(values):
    A, eye = values.name("A", (4, 4)), values.call("eye", [], ["4"], (4, 4))
    assert einsum(values, [A, eye], [(0, 1), (1, 2)], (0, 2), (4, 4, 4)) is A
    assert einsum(values, [eye, A], [(1, 0), (1, 2)], (0, 2), (4, 4, 4)) is A


def test_traces_norms_and_variances_are_seen(values):
    A, x = values.name("A", (3, 3)), values.name("x", (3,))
    eye = values.call("eye", [], ["3"], (3, 3))
    assert text(reduce(values, "sum", values.multiply([(A, 1), (eye, 1)]), (0, 1))) == "trace(A)"
    assert text(reduce(values, "sum", values.multiply([(A, 1), (eye, 1)]), (0,))) != "trace(A)"
    total = reduce(values, "sum", values.multiply([(x, 2)]), (0,))
    norm = root(values, total)
    assert text(norm) == "norm(x)"
    assert text(values.multiply([(x, 1), (norm, -1), (total, -1)])) == "x / norm(x)³"
    assert text(root(values, reduce(values, "sum", x, (0,)))) == "sqrt(sum(x))"
    rows = reduce(values, "sum", values.multiply([(A, 2)]), (1,))
    assert text(root(values, rows)) == "norm(A, axis=1)"
    mean = values.add([(1 / 3, reduce(values, "sum", A, (1,)))])
    apart = less(values, A, expand(values, mean, [0], 2))
    assert reduce(values, "sum", apart, (1,)) is values.number(0)
    assert text(reduce(values, "sum", apart, (0,))) == "sum(A - mean(A, axis=1)[:, None], axis=0)"
    squares = reduce(values, "sum", values.multiply([(apart, 2)]), (1,))
    assert text(values.add([(1 / 3, squares)])) == "var(A, axis=1)"
    other = less(values, A, mean)  # square, so it broadcasts the other way
    squares = reduce(values, "sum", values.multiply([(other, 2)]), (1,))
    assert "var" not in text(values.add([(1 / 3, squares)]))
    assert reduce(values, "sum", other, (1,)) is not values.number(0)


def test_logsumexp_loses_its_shift_along_its_own_axis_only(values):
    X = values.name("X", (3, 3))
    peak = values.call("max", [X], ["axis=1"], (3,))
    shifted = less(values, X, expand(values, peak, [0], 2))
    total = reduce(values, "sum", values.map("exp", shifted), (1,))
    assert text(values.add([(1, logarithm(values, total)), (1, peak)])) == "logsumexp(X, axis=1)"
    wrong = less(values, X, peak)
    total = reduce(values, "sum", values.map("exp", wrong), (1,))
    assert text(logarithm(values, total)) == "logsumexp(X - max(X, axis=1), axis=1)"


def test_sums_of_repetitions_are_counted(values):
    s = values.name("s", ())
    assert text(reduce(values, "sum", full(values, s, (4, 3)), (0, 1))) == "12 * s"
    assert text(reduce(values, "sum", full(values, s, (4, 3)), (0,))) == "broadcast_to(4 * s, (3,))"


def test_long_texts_are_cut_into_named_parts(values):
    value = values.name("x", ())
    for n in range(40):
        value = values.map("sin", values.add([(1, value), (n + 0.5, values.number(1))]))
    lines = definitions({"A": (value, ())}, taken=["z1"])
    assert len(lines) > 3
    assert max(len(line.text) for line in lines) <= LONGEST_LINE
    assert [line.name for line in lines[:3]] == ["A", "z2", "z3"]  # z1 is taken
    assert "x" in lines[1].text


def test_the_order_of_factors_and_terms_makes_no_difference(values):
    x, y, A = values.name("x", (3,)), values.name("y", (3,)), values.name("A", (3, 4))
    assert values.multiply([(x, 1), (y, 2)]) is values.multiply([(y, 2), (x, 1)])
    assert values.multiply([(x, 1), (y, 2)]) is not values.multiply([(x, 2), (y, 1)])
    assert values.add([(1, x), (2, y)]) is values.add([(2, y), (1, x)])
    dots = [einsum(values, pair, [(0,), (0,)], (), (3,)) for pair in ([x, y], [y, x])]
    assert dots[0] is dots[1]
    turned = transpose(values, A, (3, 4), (1, 0))
    row = einsum(values, [x, A], [(0,), (0, 1)], (1,), (3, 4))
    assert einsum(values, [turned, x], [(0, 1), (1,)], (0,), (4, 3)) is row
    assert text(row) == "x @ A"


def test_sums_along_axes_of_one_entry_are_left_out(values):
    X = values.name("X", (3, 1))
    assert text(reduce(values, "sum", X, (1,))) == "X[:, 0]"
    half = values.add([(0.5, values.name("A", (3, 4)))])
    assert text(reduce(values, "sum", half, (1,))) == "sum(A, axis=1) / 2"


def test_coefficients_that_no_float_holds_stay_apart(values):
    x = values.name("x", (3,))
    large = values.add([(1e308, x)])
    assert text(values.multiply([(large, 2)])) == "(1e+308 * x)²"
    assert text(values.add([(1e-309, x)])) == "1e-309 * x"  # one divided by it is infinite
    assert text(values.multiply([(values.add([(1e100, x)]), 2)])) == "1e+200 * x²"
