"""Symbolic arrays: what they cost, and in which order they are computed."""

import pytest

from layouts.nodes import Add, Apply, Contract, Leaf, Operator, Pattern, Reshape, Write
from layouts.program import Cost, cost, count_stored, schedule


def leaf(index, *shape, itemsize=8):
    return Leaf(shape, itemsize, (), index)


def matmul(left, right):
    (m, k), (_, n) = left.shape, right.shape
    return Contract((m, n), 8, (left, right), ((0, 1), (1, 2)), (0, 2), (m, k, n))


def test_a_product_costs_the_product_of_all_sizes():
    node = matmul(leaf(0, 5, 3), leaf(1, 3, 7))
    assert (node.multiplications, node.additions) == (5 * 3 * 7, 5 * 7 * (3 - 1))
    assert node.summed and node.size == 35 and node.nbytes == 280


def test_a_sum_of_one_array_multiplies_nothing():
    node = Contract((5,), 8, (leaf(0, 5, 3),), ((0, 1),), (0,), (5, 3))
    assert (node.multiplications, node.additions) == (0, 5 * 2)


def test_an_outer_product_adds_nothing():
    node = Contract((5, 3), 8, (leaf(0, 5), leaf(1, 3)), ((0,), (1,)), (0, 1), (5, 3))
    assert (node.multiplications, node.additions, node.summed) == (15, 0, False)


def test_an_empty_sum_has_no_negative_cost():
    node = Contract((5,), 8, (leaf(0, 5, 0), leaf(1, 0)), ((0, 1), (1,)), (0,), (5, 0))
    assert (node.multiplications, node.additions) == (0, 0)


@pytest.mark.parametrize(
    ("coefficients", "products"),
    [((1, 1), 0), ((1, -1), 0), ((2, 1), 15), ((1, 0.5), 5), ((3, 1j), 20)],
)
def test_a_sum_multiplies_by_coefficients_other_than_one(coefficients, products):
    node = Add((5, 3), 8, (leaf(0, 5, 3), leaf(1, 5)), ((0, 1), (0,)), coefficients)
    assert (node.multiplications, node.additions) == (products, 15)


def test_writing_adds_only_where_terms_overlap():
    diagonal = Pattern((0, 0), (5,), (0,), 1)
    full = Pattern((0, 1), (5, 5), (0, 1), 1)
    assert Write((5, 5), 8, (leaf(0, 5),), (diagonal,)).additions == 0
    assert Write((5, 5), 8, (leaf(0, 5), leaf(1, 5, 5)), (diagonal, full)).additions == 5
    assert Write((5, 5), 8, (), ()).additions == 0


def test_equal_nodes_are_computed_once():
    a, b = leaf(0, 5, 3), leaf(1, 3, 7)
    twins = [matmul(a, b), matmul(a, b), matmul(leaf(0, 5, 3), leaf(1, 3, 7))]
    ordered, place = schedule(twins)
    assert len(ordered) == 3
    assert len({place[id(node)] for node in twins}) == 1
    assert cost(twins).multiplications == 105


def test_nodes_that_differ_stay_apart():
    a = leaf(0, 3, 3)
    nodes = [
        matmul(a, a),
        Contract((3, 3), 8, (a, a), ((0, 1), (2, 1)), (0, 2), (3, 3, 3)),  # a aᵀ
        Contract((3, 3), 8, (a, a), ((0, 1), (1, 2)), (2, 0), (3, 3, 3)),  # (a a)ᵀ
        Add((3, 3), 8, (a, a), ((0, 1), (0, 1)), (1, 1)),
        Add((3, 3), 8, (a, a), ((0, 1), (0, 1)), (1, -1)),
        Add((3, 3), 8, (a, a), ((0, 1), (1, 0)), (1, 1)),
        Reshape((9,), 8, (a,)),
        Reshape((9, 1), 8, (a,)),
        Write((3, 3), 8, (a,), (Pattern((0, 1), (3, 3), (0, 1), 1),)),
        Write((3, 3), 8, (a,), (Pattern((0, 1), (3, 3), (1, 0), 1),)),
        leaf(1, 3, 3),
    ]
    ordered, place = schedule(nodes)
    assert len(ordered) == len(nodes) + 1
    assert len({place[id(node)] for node in nodes}) == len(nodes)


def test_the_order_puts_operands_first():
    a, b, c = leaf(0, 2, 3), leaf(1, 3, 5), leaf(2, 5, 7)
    ab = matmul(a, b)
    ordered, place = schedule([matmul(ab, c), ab])
    for position, node in enumerate(ordered):
        assert all(place[id(operand)] < position for operand in node.operands)


def test_deep_programs_need_no_recursion():
    node = leaf(0, 2, 2)
    for _ in range(5000):
        node = matmul(node, leaf(1, 2, 2))
    assert cost([node]).multiplications == 5000 * 8


def test_peak_is_what_is_alive_at_once():
    a, b, c = leaf(0, 2, 3), leaf(1, 3, 5), leaf(2, 5, 7)
    ab = matmul(a, b)
    abc = matmul(ab, c)
    # The leaves (6 + 15 + 35) stand throughout the first product (10); a and b die before abc (14).
    assert cost([abc]).peak_bytes == 8 * max(56 + 10, 35 + 10 + 14)
    assert cost([abc, ab]).peak_bytes == 8 * max(56 + 10, 35 + 10 + 14)
    assert cost([a]) == Cost(0, 0, 48, 0)
    assert cost([]) == Cost(0, 0, 0, 0)


def test_a_result_stays_alive_to_the_end():
    a = leaf(0, 3, 3)
    squares = [matmul(a, a)]
    for _ in range(3):
        squares.append(matmul(squares[-1], a))
    assert cost(squares).peak_bytes == 8 * 9 * 5
    assert cost(squares[-1:]).peak_bytes == 8 * 9 * 3


def test_a_view_takes_no_room_and_keeps_its_array_alive():
    a = leaf(0, 2, 3)
    product = matmul(a, leaf(1, 3, 5))
    view = Reshape((10,), 8, (product,))
    total = Contract((), 8, (view,), ((0,),), (), (10,))
    assert cost([total]).peak_bytes == 8 * (6 + 15 + 10)
    assert cost([view]).moved_bytes == 8 * (6 + 15 + 10)


def test_what_is_moved_is_read_and_written():
    a, b = leaf(0, 2, 3), leaf(1, 3, 5, itemsize=4)
    assert cost([matmul(a, b)]).moved_bytes == 8 * 6 + 4 * 15 + 8 * 10


def test_a_loop_stores_its_arrays_at_each_step_once_for_all_its_results():
    loop = Operator("scan", tuple, (), (), stored=40)
    operand = leaf(0, 2, 15)
    results = [Apply((2, 5, 3), 8, (operand,), loop, "push", (0,), n, 15) for n in (0, 1)]
    assert count_stored(results, *schedule(results)) == 41
    assert count_stored(results[:1], *schedule(results[:1])) == 40


@pytest.mark.parametrize("wanted", [(0, 1), (0,), (1,)])
def test_an_application_is_booked_once_whichever_outputs_are_wanted(wanted):
    operator = Operator("f", tuple, (), (), work=(7, 11))
    operand = leaf(0, 2, 15)
    outputs = [Apply((2, 5, 3), 8, (operand,), operator, "push", (0,), n, 15) for n in wanted]
    assert cost(outputs).multiplications == 7 * 15
    assert cost(outputs).additions == 11 * 15
