"""The matrix-chain question against brute force, closed forms and multiplications really made."""

import math
import operator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts import chains
from layouts.chains import bracketing
from layouts.chains.bracketing import (
    MAX_FACTORS,
    Bracketing,
    bracketings,
    forward,
    optimal,
    reverse,
)
from layouts.errors import LayoutError

chain_sizes = st.lists(st.integers(1, 40), min_size=2, max_size=8).map(tuple)


def recursive_minimum(sizes):
    """The optimum by trying every last product, written apart from the library's table."""
    if len(sizes) == 2:
        return 0
    return min(
        recursive_minimum(sizes[: k + 1])
        + recursive_minimum(sizes[k:])
        + sizes[0] * sizes[k] * sizes[-1]
        for k in range(1, len(sizes) - 1)
    )


class Counter:
    """Multiplies numpy matrices and counts the scalar products it makes."""

    def __init__(self):
        self.count = 0

    def __call__(self, a, b):
        terms = a[:, :, None] * b[None, :, :]
        self.count += terms.size
        return terms.sum(axis=1)


def matrices(sizes):
    """Random factors, output first, as they are written."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((m, n)) for n, m in pairwise(sizes)][::-1]


@pytest.mark.parametrize(("p", "catalan"), [(1, 1), (2, 1), (3, 2), (4, 5), (5, 14), (9, 1430)])
def test_there_are_catalan_many_distinct_bracketings(p, catalan):
    trees = bracketings(tuple(range(2, p + 3)))
    assert len(trees) == len(set(trees)) == len({str(tree) for tree in trees}) == catalan


@given(chain_sizes)
def test_optimum_is_the_least_of_all_bracketings(sizes):
    costs = [tree.multiplications for tree in bracketings(sizes)]
    assert optimal(sizes).multiplications == min(costs) == recursive_minimum(sizes)
    assert {forward(sizes), reverse(sizes), optimal(sizes)} <= set(bracketings(sizes))


@given(chain_sizes)
def test_forward_and_reverse_follow_their_closed_forms(sizes):
    p = len(sizes) - 1
    by_forward = sum(sizes[k] * sizes[k - 1] * sizes[0] for k in range(2, p + 1))
    by_reverse = sum(sizes[p] * sizes[k] * sizes[k - 1] for k in range(1, p))
    assert chains.multiplications(sizes, "forward") == by_forward
    assert chains.multiplications(sizes, "reverse") == by_reverse
    assert chains.multiplications(sizes[::-1], "reverse") == by_forward


@pytest.mark.parametrize("tree", bracketings((2, 7, 3, 11, 5)), ids=str)
def test_predicted_count_is_the_count_of_multiplications_made(tree):
    factors = matrices((2, 7, 3, 11, 5))
    counter = Counter()
    product = tree.multiply(factors, counter)
    assert counter.count == tree.multiplications
    np.testing.assert_allclose(product, factors[0] @ factors[1] @ factors[2] @ factors[3])


def test_textbook_chain():
    """The six matrices of the matrix-chain example of Cormen et al., whose optimum is 15,125."""
    sizes = (30, 35, 15, 5, 10, 20, 25)
    assert chains.multiplications(sizes, "optimal") == 15_125
    # The book writes the product A1 ... A6 as ((A1 (A2 A3)) ((A4 A5) A6)): here A1 is at the input.
    assert str(optimal(sizes)) == "(J6 (J5 J4)) ((J3 J2) J1)"


def test_names_are_those_of_the_product_as_written():
    assert [str(tree) for tree in bracketings((2, 3, 4, 5, 6))] == [
        "J4 (J3 (J2 J1))",
        "J4 ((J3 J2) J1)",
        "(J4 J3) (J2 J1)",
        "(J4 (J3 J2)) J1",
        "((J4 J3) J2) J1",
    ]
    assert str(forward((3, 2))) == "J1"


def test_diagram_shows_the_price_of_each_product():
    assert reverse((2, 3, 4, 5)).diagram() == (
        "J3 J2 J1: 5×3×2 = 30\n├── J3 J2: 5×4×3 = 60\n│   ├── J3: 5×4\n│   └── J2: 4×3\n└── J1: 3×2"
    )


def test_few_inputs_favour_forward_and_few_outputs_reverse():
    assert optimal((2, 50, 50, 50)) == forward((2, 50, 50, 50))
    assert optimal((50, 50, 50, 2)) == reverse((50, 50, 50, 2))


def test_a_tree_is_an_order_for_its_own_sizes_only():
    tree = bracketings((2, 3, 4, 5))[1]
    assert chains.multiplications((2, 3, 4, 5), tree) == 90
    with pytest.raises(LayoutError, match="sizes"):
        chains.multiplications((2, 3, 4, 7), tree)


@pytest.mark.parametrize(
    "sizes", [(), (3,), (3, 0), (3, -2, 5), (3, 2.5), (3, True), "35", 7, None, (3, "5")]
)
def test_what_is_no_chain_is_refused(sizes):
    for ask in (bracketings, optimal, lambda dims: chains.multiplications(dims, "forward")):
        with pytest.raises(LayoutError, match="positive integers"):
            ask(sizes)


@pytest.mark.parametrize("order", ["diagonal", "", None, 3, ["forward"]])
def test_an_unknown_order_is_refused(order):
    with pytest.raises(LayoutError, match="'forward', 'reverse', 'optimal'"):
        chains.multiplications((2, 3, 4), order)


def test_too_long_a_list_states_its_length():
    with pytest.raises(LayoutError, match="208,012"):
        bracketings((2,) * 14)


def test_the_longest_chain_is_planned_and_a_longer_one_refused():
    sizes = tuple(1 + (7 * k) % 11 for k in range(MAX_FACTORS + 1))
    counts = {order: chains.multiplications(sizes, order) for order in bracketing.ORDERS}
    assert counts["optimal"] < min(counts["forward"], counts["reverse"])
    with pytest.raises(LayoutError, match="at most 200 factors"):
        optimal((*sizes, 2))


def test_numpy_sizes_count_without_overflow():
    sizes = np.array([10**6, 10**6, 10**6, 1], dtype=np.int32)
    assert chains.multiplications(sizes, "forward") == 10**18 + 10**12


def test_a_tree_of_strangers_is_refused():
    a, b = Bracketing((2, 3), 1), Bracketing((5, 7), 2)
    with pytest.raises(LayoutError, match="neighbouring parts"):
        Bracketing((2, 3, 7), 1, b, a)
    with pytest.raises(LayoutError, match="neighbouring parts"):
        Bracketing((2, 3, 5), 1, a, a)
    with pytest.raises(LayoutError, match="single factor"):
        Bracketing((2, 3, 5))


def test_multiply_wants_one_matrix_for_each_factor():
    with pytest.raises(LayoutError, match="3 matrices"):
        forward((2, 3, 4, 5)).multiply(matrices((2, 3, 4)), operator.matmul)


def test_catalan_numbers_of_the_refusal():
    assert len(bracketings((1,) * 9)) == math.comb(14, 7) // 8
