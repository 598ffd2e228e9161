"""What devices do, hold and send: predicted from labels and sizes, in figures known by hand."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from layouts import LayoutError, cost
from layouts.fusing import fused_peak_bytes
from layouts.mesh.dividing import Division
from layouts.mesh.exchanges import Collective, collectives, sent_bytes
from layouts.nodes import Contract, Leaf, Reshape
from layouts.program import cost as counted
from tests.oracle import BY_NAME

ITEM = 4
MESH = AbstractMesh((5,), ("d",))


def struct(*shape, lies=None):
    if lies is None:
        return jax.ShapeDtypeStruct(shape, "float32")
    sharding = NamedSharding(MESH, PartitionSpec(*lies))
    return jax.ShapeDtypeStruct(shape, "float32", sharding=sharding)


def product(x, W, V):
    return V @ (W @ x)


def way(report, start):
    return next(way for way in report.ways if way.name.startswith(start))


# x of 35, W 15×35, V 10×15: the Jacobian is V W, 10×35, by 5 devices.
X, W, V = (35,), (15, 35), (10, 15)


def test_whole_arguments_are_sliced_and_nothing_is_sent():
    report = cost(product)(struct(*X), struct(*W), struct(*V)).sharded({"d": 5})
    for name in ("rows (output axis 0)", "columns (x axis 0)"):
        found = way(report, name)
        assert found.cost.multiplications == 10 * 15 * 35 // 5
        assert found.sent_bytes == 0
        assert found.result_bytes == found.dense_bytes == ITEM * 10 * 35 // 5
    assert report.alone.cost.multiplications == 10 * 15 * 35
    used = 35 + 15 * 35 + 10 * 15
    # The rows of V are sliced, W is whole; and the other way round.
    assert way(report, "rows").dense_peak_bytes == ITEM * (used + 2 * 15 + 2 * 35)
    assert way(report, "columns").dense_peak_bytes == ITEM * (used + 15 * 7 + 10 * 7)


@pytest.mark.parametrize(
    ("lies_W", "lies_V", "split", "sent"),
    [
        (("d",), (), "rows", ITEM * 15 * 35 * 4 // 5),  # gathers W
        (("d",), (), "columns", ITEM * 15 * 7 * 4 // 5),  # W from rows to columns
        ((None, "d"), (), "rows", ITEM * 15 * 35 * 4 // 5),
        ((None, "d"), (), "columns", 0),
        ((), ("d",), "rows", 0),
        ((), ("d",), "columns", ITEM * 10 * 15 * 4 // 5),  # gathers V
        # V from columns to rows, and gathers W; it is not summed up, whole on each device.
        (("d",), (None, "d"), "rows", ITEM * (15 * 35 + 10 * 15 // 5) * 4 // 5),
        (("d",), (None, "d"), "columns", ITEM * (10 * 15 + 15 * 35 // 5) * 4 // 5),
        (("d",), (None, "d"), "arguments", 2 * ITEM * 10 * 35 * 4 // 5),  # adds up partial sums
        ((None, "d"), (), "arguments", ITEM * 10 * 35 * 4 // 5),  # gathers the result
    ],
)
def test_what_lies_elsewhere_is_sent(lies_W, lies_V, split, sent):
    args = (struct(*X), struct(*W, lies=lies_W), struct(*V, lies=lies_V))
    found = way(cost(product)(*args).sharded(MESH), split)
    assert found.sent_bytes == sent
    assert sum(bytes_ for _, bytes_ in found.exchanges) == sent
    assert found.cost.multiplications == 10 * 15 * 35 // 5


@pytest.mark.parametrize(
    ("lies_W", "lies_X", "split", "before", "after"),
    [
        ((), ("d",), "rows", 0, 0),
        (("d",), (), "rows", ITEM * 35 * 15, 0),  # gathers W
        ((), (None, "d"), "columns (W axis 1)", 0, ITEM * 20 * 35),  # X, for the result as well
        # Gathers X W, not what comes of it; and X goes from rows to columns.
        ((), ("d",), "columns (W axis 0)", ITEM * 20 * 15, ITEM * 20 * 7),
        # The parts of X W are added up, or W is gathered: whichever is smaller.
        (("d",), (), "columns (W axis 0)", 2 * ITEM * 20 * 15, 0),
    ],
)
def test_what_a_function_sends_on_its_way_is_counted(lies_W, lies_X, split, before, after):
    def network(W, V, X):
        return jnp.tanh(X @ W) @ V

    args = (struct(35, 15, lies=lies_W), struct(15, 10), struct(20, 35, lies=lies_X))
    found = way(cost(network)(*args).sharded(MESH), split)
    assert sum(sent for _, sent in found.evaluating) == before * 4 // 5
    assert found.sent_bytes == sum(sent for _, sent in found.exchanges) == (before + after) * 4 // 5


def test_steps_that_mix_entries_need_their_operands_whole():
    def function(x, A, W):
        return jnp.tanh(jnp.cumsum(jnp.linalg.inv(A) @ W, axis=1)) * x

    args = (struct(1, 1), struct(15, 15, lies=("d",)), struct(15, 20))
    found = way(cost(function)(*args).sharded(MESH), "rows (output axis 0)")
    assert found.evaluating == (("all-gather", ITEM * 15 * 15 * 4 // 5),)


def test_samples_of_a_batch_stay_on_their_device():
    def network(W, X):
        return jnp.tanh(X @ W)

    report = cost(network, 1)(struct(7, 3), struct(20, 7)).sharded({"d": 5})
    found = way(report, "batch (output axis 0 = X axis 0)")
    assert found.sent_bytes == 0
    slopes, weights = ITEM * 20 * 3, ITEM * 7 * 3  # δ[n,m] t[n,j] W[l,j]: all need W whole
    assert report.alone.result_bytes == slopes + weights
    assert found.result_bytes == slopes // 5 + weights
    assert found.dense_bytes * 5 == report.alone.dense_bytes == ITEM * 20 * 3 * 20 * 7


def test_a_loss_over_samples_adds_its_gradients_up():
    def loss(W, X, Y):
        return jnp.sum((X @ W - Y) ** 2)

    report = cost(loss)(struct(7, 3), struct(20, 7), struct(20, 3)).sharded({"d": 5})
    found = way(report, "summed (X axis 0)")
    assert found.exchanges == (("all-reduce", 2 * ITEM * 7 * 3 * 4 // 5),)
    assert found.cost.multiplications < report.alone.cost.multiplications / 4


def test_an_axis_of_two_mesh_axes_is_divided_by_both():
    args = (struct(70), struct(15, 70), struct(12, 15))
    report = cost(product)(*args).sharded({"a": 2, "b": 3})
    rows = way(report, "a: rows (output axis 0); b: rows (output axis 0)")
    assert rows.splits == (("a", "rows (output axis 0)"), ("b", "rows (output axis 0)"))
    assert rows.cost.multiplications == 12 * 15 * 70 // 6
    assert rows.sent_bytes == 0 and rows.dense_bytes == ITEM * 12 * 70 // 6
    mixed = way(report, "a: columns (x axis 0); b: rows (output axis 0)")
    assert mixed.cost.multiplications == 12 * 15 * 70 // 6
    assert mixed.sent_bytes == 0 and mixed.dense_bytes == ITEM * 12 * 70 // 6
    summed = way(report, "a: rows (output axis 0); b: summed (W axis 0)")
    assert summed.sent_bytes == 2 * (ITEM * 12 * 70 // 2) * 2 // 3


def test_a_tie_of_one_axis_to_both_mesh_axes_keeps_its_digits():
    report = cost(lambda x, W: jnp.tanh(x @ W))(struct(12, 7), struct(7, 5))
    found = report.sharded({"a": 2, "b": 3})
    name = "a: batch (output axis 0 = x axis 0); b: batch (output axis 0 = x axis 0)"
    assert way(found, name).dense_bytes * 6 == report.dense_bytes


def test_what_is_computed_entry_by_entry_is_not_stored():
    """Of softmax's two terms the second, an outer product, is as large as the result."""
    report = cost(jax.nn.softmax)(struct(35)).sharded({"d": 5})
    assert report.alone.dense_bytes == ITEM * 35 * 35
    assert ITEM * 35 * 36 <= report.alone.dense_peak_bytes < 1.1 * ITEM * 35 * 35
    A, B = Leaf((35, 3), ITEM, index=0), Leaf((3, 35), ITEM, index=1)
    AB = Contract((35, 35), ITEM, (A, B), ((0, 1), (1, 2)), (0, 2), (35, 3, 35))
    scaled = Contract((35, 35), ITEM, (AB, B), ((0, 1), (2, 1)), (0, 1), (35, 35, 3))
    assert fused_peak_bytes([AB]) == ITEM * (35 * 35 + 2 * 35 * 3)
    assert fused_peak_bytes([scaled]) == ITEM * (2 * 35 * 35 + 35 * 3)  # A is done with
    turned = Reshape((35 * 35,), ITEM, (AB,))
    assert fused_peak_bytes([turned]) == fused_peak_bytes([AB])


KINDS_OF_STEPS = [
    "A B C D by A and D",
    "einsum, diagonal",
    "M M",
    "softmax",
    "second difference",
    "fancy index",
    "scatter-add",
    "lower triangle",
    "reshape, no common digits",
    "cumulative sum",
    "MLP, columns, by parameters",
    "layer norm",
    "attention",
    "pairwise Hessian",
    "weight sharing",
    "solve",
    "1-D convolution",
    "filter by FFT",
    "scan",
    "eigh",
    "custom VJP",
    "complex inside",
    "empty pytree",
]


@pytest.mark.parametrize("name", KINDS_OF_STEPS)
def test_a_device_never_does_or_holds_more_than_one_that_does_it_all(name):
    """Whatever steps a program has; arrays that are needed both split and whole are made once."""
    case = BY_NAME[name]
    report = cost(case.function, case.argnums)(*case.args())
    extents = {n for n in report.program.sizes.values() if n > 1}
    for devices in extents:
        found = report.sharded({"d": devices})
        assert found.alone.cost == report.planned
        assert found.alone.result_bytes == report.result_bytes
        assert found.alone.dense_bytes == report.dense_bytes
        for split in found.ways:
            assert split.dense_bytes <= report.dense_bytes
            # What stands in two places may be needed whole and in part.
            assert split.result_bytes <= 1.5 * report.result_bytes
            assert split.cost.multiplications <= 1.5 * report.planned.multiplications


def test_exchanges_by_the_formulas_of_a_ring():
    part, whole = Leaf((3, 7), ITEM, index=0), (15, 7)
    assert Collective(whole, ITEM, (part,), "all-gather", 5).sent_bytes == ITEM * 105 * 4 // 5
    assert Collective((3, 7), ITEM, (part,), "all-reduce", 5).sent_bytes == 2 * ITEM * 21 * 4 // 5
    assert Collective((15, 7), ITEM, (part,), "all-to-all", 5).sent_bytes == ITEM * 21 * 4 // 5
    assert Collective((3, 7), ITEM, (part,), "slice", 5).sent_bytes == 0
    assert all(Collective((3, 7), ITEM, (part,), kind, 1).sent_bytes == 0 for kind in KINDS)


KINDS = ("all-gather", "all-reduce", "all-to-all", "slice")


def test_every_way_to_hold_and_to_want_a_product():
    """Whatever lies where, a device has what it is asked for, and work is shared if it can be."""
    A, B = Leaf((10, 15), ITEM, index=0), Leaf((15, 20), ITEM, index=1)
    AB = Contract((10, 20), ITEM, (A, B), ((0, 1), (1, 2)), (0, 2), (10, 15, 20))
    states = (None, 0, 1)
    for a, b, wanted in itertools.product(states, states, states):
        (part,) = Division([AB], {0: a, 1: b}, 5).parts([(AB, wanted)])
        expected = [10, 20]
        if wanted is not None:
            expected[wanted] //= 5
        assert part.shape == tuple(expected)
        everything = (a, b, wanted) == (None, None, None)
        assert counted([part]).multiplications == 10 * 15 * 20 // (1 if everything else 5)
        sent = sent_bytes([part])
        assert (sent == 0) == (not collectives([part]))
        assert a is not None or b is not None or sent == 0


def test_what_does_not_fit_says_so():
    report = cost(product)(struct(*X), struct(*W), struct(*V))
    with pytest.raises(LayoutError, match=r"mesh axis 'd'.*output axis 0: 10, x axis 0: 35.*11"):
        report.sharded({"d": 11})
    for mesh in ({}, {"d": 0}, {"d": 2.5}):
        with pytest.raises(LayoutError, match="a number of devices for each name"):
            report.sharded(mesh)


def test_the_table_reads():
    args = (struct(*X), struct(*W, lies=("d",)), struct(*V))
    report = cost(product)(*args).sharded(MESH)
    lines = str(report).splitlines()
    assert lines[0] == "mesh d=5"
    assert lines[1].split()[:2] == ["split", "multiplications"]
    assert lines[2].startswith("one device") and f"{10 * 15 * 35:,}" in lines[2]
    assert len(lines) == 3 + len(report.ways) + 2
    assert f"best: {report.best.name}" in lines
    assert "2(p-1)/p·n" in lines[-1]
    assert report.best.weight == min(found.weight for found in report.ways)
    assert report.html().count("<tr>") == 2 + len(report.ways)
    assert "2(p-1)/p·n" in report.html()


def test_long_tables_are_cut():
    args = (struct(210), struct(210, 210), struct(210, 210))
    report = cost(product)(*args).sharded({"a": 2, "b": 3, "c": 5})
    assert f"… and {len(report.ways) - 12} ways more" in str(report)
