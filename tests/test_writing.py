"""Dense arrays of sums of terms: placed, shifted or masked, the same entries in the same dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.nodes import Leaf, Mask, Pattern, Write
from layouts.placing import LEAST, MORE, ZEROS_BESIDE_RUNS, ZEROS_IN_SMALL
from layouts.writing import STACKED, written

POINTS, WIDTH = 41, 3


def normal(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def node(shape, patterns, arrays):
    leaves = tuple(Leaf(array.shape, array.dtype.itemsize, (), n) for n, array in enumerate(arrays))
    return Write(shape, 8, leaves, tuple(patterns))


def pairs(dtype=jnp.float64):
    """`δ[i,m] A[i,j,d] - 2 δ[j,m] B[i,j,d]`, as of what pairs of points have between them."""
    arrays = [normal(n, POINTS, POINTS, WIDTH, dtype=dtype) for n in (0, 1)]
    extents = (POINTS, POINTS, WIDTH)
    patterns = [
        Pattern((0, 1, 0, 2), extents, (0, 1, 2), 1),
        Pattern((0, 1, 1, 2), extents, (0, 1, 2), -2),
    ]
    return node((POINTS, POINTS, POINTS, WIDTH), patterns, arrays), arrays


def shifts(starts, step=1):
    """`Σ_s δ[i,step·k+s] v_s[i]`, the first a plain delta, entries outside left out."""
    arrays = [normal(n, 7) for n in range(len(starts))]
    patterns = []
    for start in starts:
        inside = [label for label in range(7) if 0 <= start + step * label < 16]
        mask = Mask(1, (0,), start, step, (inside[0], inside[-1] + 1), False)
        patterns.append(Pattern((0, 1), (7, 16), (0,), 1, (mask,)))
    expected = np.zeros((7, 16))
    for array, start in zip(arrays, starts, strict=True):
        for label in range(7):
            if 0 <= start + step * label < 16:
                expected[label, start + step * label] += array[label]
    return node((7, 16), patterns, arrays), arrays, expected


def test_terms_of_few_entries_are_placed_as_masks_would_write_them():
    written_node, arrays = pairs()
    entries, whole = POINTS * POINTS * WIDTH, POINTS**3 * WIDTH
    assert whole >= LEAST and entries * ZEROS_BESIDE_RUNS <= whole
    A, B = arrays
    expected = np.einsum("ijd,im->ijmd", A, np.eye(POINTS))
    expected -= 2 * np.einsum("ijd,jm->ijmd", B, np.eye(POINTS))
    for in_one_pass in (False, True):
        np.testing.assert_allclose(written(written_node, arrays, in_one_pass), expected, atol=1e-12)
    program = jax.make_jaxpr(lambda *given: written(written_node, given))(*arrays)
    assert str(program).count("scatter-add") == 2
    program = jax.make_jaxpr(lambda *given: written(written_node, given, True))(*arrays)
    assert "scatter" not in str(program)


def test_terms_tied_alike_are_placed_at_once():
    """`δ[i,m] (A[i,j,d] - 2 v[j]) + 3 δ[j,m]`: two deltas, two placements."""
    A, v = normal(0, POINTS, POINTS, WIDTH), normal(1, POINTS)
    extents = (POINTS, POINTS, WIDTH)
    patterns = [
        Pattern((0, 1, 0, 2), extents, (0, 1, 2), 1),
        Pattern((0, 1, 1, 2), extents, None, 3),
        Pattern((0, 1, 0, 2), extents, (1,), -2),
    ]
    written_node = node((POINTS, POINTS, POINTS, WIDTH), patterns, [A, v])
    unit = np.eye(POINTS)
    expected = np.einsum("ijd,im->ijmd", np.asarray(A) - 2 * np.asarray(v)[:, None], unit)
    expected += 3 * unit[None, :, :, None]
    np.testing.assert_allclose(written(written_node, [A, v]), expected, atol=1e-12)
    program = jax.make_jaxpr(lambda *given: written(written_node, given))(A, v)
    assert str(program).count("scatter-add") == 2


TIED = {
    "batch first": ((0, 1, 0, 2), "nij,nm->nimj", True),
    "batch last": ((1, 0, 2, 0), "nij,nm->injm", False),
}


@pytest.mark.parametrize("digits, subscripts, apart", TIED.values(), ids=TIED)
def test_terms_that_share_a_diagonal_are_added_up_on_it(digits, subscripts, apart):
    """`δ[n,m] (A[n,i,j] + 2 u[n,i] v[n,j] - 3 δ[i,j] u[n,i])`, but where the rows end with it."""
    A, u, v = normal(0, 5, 7, 7), normal(1, 5, 7, 1)[..., 0], normal(2, 5, 7)
    same = tuple(1 if index == 2 else index for index in digits)
    patterns = [
        Pattern(digits, (5, 7, 7), (0, 1, 2), 1),
        Pattern(digits, (5, 7, 7), (0, 1, 2), 2),
        Pattern(same, (5, 7), (0, 1), -3),
    ]
    arrays = [A, u[:, :, None] * v[:, None], u]
    shape = tuple(5 if index == 0 else 7 for index in digits)
    block = A + 2 * arrays[1] - 3 * u[:, :, None] * jnp.eye(7)[None]
    expected = np.einsum(subscripts, block, np.eye(5))
    written_node = node(shape, patterns, arrays)
    np.testing.assert_allclose(written(written_node, arrays), expected, atol=1e-12)
    program = str(jax.make_jaxpr(lambda *given: written(written_node, given))(*arrays))
    assert ("optimization_barrier" in program) == apart
    np.testing.assert_allclose(written(written_node, arrays, True), expected, atol=1e-12)
    program = jax.make_jaxpr(lambda *given: written(written_node, given, True))(*arrays)
    assert "optimization_barrier" not in str(program)


def by_places(side, start, step, window, value, table=False):
    """A selection of places (digit 1) by labels (digit 0), its array along one of them."""
    mask = Mask(1, (0,), start, step, window, table)
    return Pattern((0, 1), (side, side), (value,), 2, (mask,))


def at_ends(side):
    """The first label at the last place, through a place of one value: a roll that wraps."""
    masks = (Mask(1, (2,), side - 1, 1, (0, 1), False), Mask(2, (0,), 0, 1, (0, 1), False))
    return Pattern((0, 1), (side, side, 1), (0,), 2, masks)


def pinned(side):
    """Places that labels of one value tell, and nothing else: a single entry."""
    masks = (Mask(0, (2,), 3, 1, (0, 1), False), Mask(1, (3,), 5, 1, (0, 1), False))
    return Pattern((0, 1), (side, side, 1, 1), None, 2, masks)


def selected(side):
    shift, turn = (5, 1, (3, side - 11)), (side - 2, -1, (4, side - 32))
    return {
        "delta": [Pattern((0, 0), (side,), (0,), 2)],
        "shift by label": [by_places(side, *shift, 0)],
        "shift by place": [by_places(side, *shift, 1)],
        "turned, by label": [by_places(side, *turn, 0)],
        "turned, by place": [by_places(side, *turn, 1)],
        "every second": [by_places(side, 1, 2, (0, side // 2 - 5), 0)],
        "table": [by_places(side, 0, 1, (0, side), 0, True)],
        "one shift, by label and by place": [by_places(side, *shift, n) for n in (0, 1)],
        "two that meet": [by_places(side, *shift, 0), by_places(side, *turn, 1)],
        "wrapped around": [by_places(side, -1, 1, (1, side), 0), at_ends(side)],
        "single": [by_places(side, *shift, 0), pinned(side)],
    }


@pytest.mark.parametrize(("side", "least"), [(131, 50), (43, 5)])
@pytest.mark.parametrize("kind", selected(43))
def test_selections_with_few_entries_are_placed_as_masks_would_write_them(kind, side, least):
    """In a large array they are added at their places; each entry of a small one is looked up."""
    patterns, small = selected(side)[kind], side**2 <= LEAST
    assert small or len(patterns) * side * ZEROS_IN_SMALL <= side * side + MORE
    listed = np.random.default_rng(3).permutation(side + 9)[:side].astype(np.int32)
    values = [normal(n, side) for n, pattern in enumerate(patterns) if pattern.value is not None]
    tables = [jnp.asarray(listed) for pattern in patterns for mask in pattern.masks if mask.table]
    operands = values + tables  # some of the places listed are past the end
    leaves = tuple(Leaf(a.shape, a.dtype.itemsize, (), n) for n, a in enumerate(operands))
    wanted = Write((side, side), 8, leaves, tuple(patterns))
    expected = written(wanted, operands, in_one_pass=True)
    assert np.count_nonzero(expected) > least
    np.testing.assert_array_equal(written(wanted, operands), expected)
    program = str(jax.make_jaxpr(lambda *given: written(wanted, given))(*operands))
    assert program.count("scatter-add") == (not small)  # all of them in one step
    meet = kind.startswith("one shift")  # two are looked up at each place, and added
    assert ("gather" in program) == (small and not tables and not meet)
    weights = normal(9, side, side)
    slopes = [
        jax.grad(lambda a, one=one: (written(wanted, [a, *operands[1:]], one) * weights).sum())
        for one in (False, True)
    ]
    np.testing.assert_allclose(*(slope(operands[0]) for slope in slopes), atol=1e-12)


ROWS, COLUMNS = 16, 23
EXTENTS = (ROWS, COLUMNS, ROWS, COLUMNS)
ACROSS = {
    "as they are": [Pattern((0, 1, 0, 1), EXTENTS[:2], (0, 1), 1)],
    "shifted both ways": [
        Pattern(
            (0, 1, 2, 3),
            EXTENTS,
            (0, 1),
            1,
            (
                Mask(2, (0,), 3, 1, (0, ROWS - 3), False),
                Mask(3, (1,), -2, 1, (2, COLUMNS), False),
            ),
        )
    ],
    "columns shifted, beside as they are": [
        Pattern((0, 1, 0, 1), EXTENTS[:2], (0, 1), -4),
        Pattern(
            (0, 1, 0, 2),
            (ROWS, COLUMNS, COLUMNS),
            (0, 1),
            2,
            (Mask(2, (1,), 5, 1, (0, 18), False),),
        ),
    ],
    "by a table, some past the end": [
        Pattern(
            (0, 1, 2, 1), (ROWS, COLUMNS, ROWS), (0, 1), 3, (Mask(2, (0,), 0, 1, (0, ROWS), True),)
        )
    ],
}


@pytest.mark.parametrize("kind", ACROSS)
def test_entries_of_matrices_are_placed_in_two_axes(kind):
    """Places along neighbouring axes are one; what is past the end of either is left out."""
    patterns = ACROSS[kind]
    arrays = [normal(n, ROWS, COLUMNS) for n, _ in enumerate(patterns)]
    tables = [jnp.arange(3, 3 + ROWS)] if kind.startswith("by a table") else []
    wanted = node(EXTENTS, patterns, [*arrays, *tables])
    expected = written(wanted, [*arrays, *tables], in_one_pass=True)
    np.testing.assert_array_equal(written(wanted, [*arrays, *tables]), expected)
    assert 100 < np.count_nonzero(expected) <= len(patterns) * ROWS * COLUMNS
    program = str(jax.make_jaxpr(lambda *given: written(wanted, given))(*arrays, *tables))
    (scatter,) = [line for line in program.splitlines() if "= scatter-add" in line]
    assert f"f64[{ROWS * COLUMNS},{ROWS * COLUMNS}] = scatter-add" in scatter


def test_terms_with_one_that_no_label_tells_are_masked():
    """Every second place: what label an odd place has is not told by a step."""
    side, values = 131, normal(0, 131)
    patterns = [by_places(side, 1, 2, (0, 60), 1)]
    found = written(node((side, side), patterns, [values]), [values])
    expected = np.zeros((side, side))
    for label in range(60):
        expected[label, 1 + 2 * label] = 2 * values[1 + 2 * label]
    np.testing.assert_array_equal(found, expected)


def test_terms_are_placed_under_vmap_and_grad():
    written_node, arrays = pairs()
    weights = normal(5, *written_node.shape)

    def total(A, B):
        return (written(written_node, [A, B]) * weights).sum()

    by_A, by_B = jax.grad(total, (0, 1))(*arrays)
    np.testing.assert_allclose(by_A, np.einsum("ijid->ijd", weights), atol=1e-12)
    np.testing.assert_allclose(by_B, -2 * np.einsum("ijjd->ijd", weights), atol=1e-12)
    A, B = arrays
    both = jax.vmap(lambda A: written(written_node, [A, B]))(jnp.stack([A, B]))
    np.testing.assert_allclose(both[1], written(written_node, [B, B]), atol=1e-12)


def rows(places, tied=False):
    """`Σ_p δ[p,i] A_p[j,k]`: rows that are stacked; or `δ[p,i] δ[j,i] v_p[k]`, where i tells j."""
    arrays = [normal(n, *(() if tied else (7,)), 5) for n in range(len(places))]
    expected = np.zeros((7, 7, 5))
    patterns = []
    for place, array in zip(places, arrays, strict=True):
        masks = [Mask(0, (3,), place, 1, (0, 1), False)]
        masks += [Mask(1, (0,), 0, 1, (0, 7), False)] * tied
        value = (2,) if tied else (1, 2)
        patterns.append(Pattern((0, 1, 2), (7, 7, 5, 1), value, 3, tuple(masks)))
        at = (place, place) if tied else (place,)
        expected[at] += 3 * np.asarray(array)
    return node((7, 7, 5), patterns, arrays), arrays, expected


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("places", [range(7), (6, 2, 1, 5), (0, 0, 3, 3, 4), (2, 2, 2, 2, 2)])
def test_rows_are_written_side_by_side(places, tied):
    written_node, arrays, expected = rows(places, tied)
    for in_one_pass in (False, True):
        np.testing.assert_allclose(written(written_node, arrays, in_one_pass), expected, atol=1e-12)
    program = str(jax.make_jaxpr(lambda *given: written(written_node, given))(*arrays))
    assert tied or ("select_n" in program) == (len({*places}) < STACKED)


def test_rows_that_are_stacked_are_not_tested_entry_by_entry():
    """A window of each part of a signal; the same with rows between that are zero."""

    def windows(x):
        return jnp.stack([jnp.sin(x[n : n + 6] * x[n]) for n in range(0, 20, 4)])

    def among_zeros(x):
        return jnp.zeros((9, 6)).at[np.array([7, 1, 3, 4, 8])].set(windows(x)) ** 2

    for function in (windows, among_zeros):
        x = normal(3, 24)
        expected = jax.jacrev(function)(x)
        np.testing.assert_allclose(jax.jit(layouts.jacobian(function))(x), expected, atol=1e-12)
        several = jnp.stack([x, 2 * x])
        mapped = jax.jit(jax.vmap(layouts.jacobian(function)))(several)
        np.testing.assert_allclose(mapped[0], expected, atol=1e-12)
    program = jax.make_jaxpr(layouts.jacobian(windows))(x)
    assert "select_n" not in str(program)


@pytest.mark.parametrize("starts", [(0, 1, 2), (3, -2, 5), (4, 4, 1)])
@pytest.mark.parametrize("step", [1, 2, -1])
def test_shifts_that_are_apart_or_meet(starts, step):
    starts = [start + (8 if step < 0 else 0) for start in starts]
    written_node, arrays, expected = shifts(starts, step)
    np.testing.assert_allclose(written(written_node, arrays), expected, atol=1e-12)


def test_a_shift_is_apart_from_a_delta_but_not_from_what_is_full():
    v, w, F = normal(0, 7), normal(1, 7), normal(2, 7, 7)
    shift = Mask(1, (0,), 1, 1, (0, 6), False)
    patterns = [
        Pattern((0, 0), (7,), (0,), 1),
        Pattern((0, 1), (7, 7), (0,), 3, (shift,)),
        Pattern((0, 1), (7, 7), (0, 1), 1),
    ]
    expected = np.diag(v) + np.diag(3 * np.asarray(w)[:-1], 1) + F
    arrays = [v, w, F]
    np.testing.assert_allclose(written(node((7, 7), patterns, arrays), arrays), expected)
    turned = [arrays[2], arrays[1], arrays[0]]
    found = written(node((7, 7), patterns[::-1], turned), turned)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.complex64])
def test_ones_beside_an_array_take_its_dtype(dtype):
    """Also where double precision is on: a delta of ones has no dtype of its own."""
    F = normal(0, 5, 5).astype(dtype)
    patterns = [Pattern((0, 0), (5,), None, 2), Pattern((0, 1), (5, 5), (0, 1), 1)]
    found = written(node((5, 5), patterns, [F]), [F])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, F + 2 * jnp.eye(5, dtype=dtype))
    placed, arrays = pairs(dtype)
    assert written(placed, arrays).dtype == dtype
