"""Diagonals, blocks and coordinates of terms, against nested loops over labels."""

import jax.numpy as jnp
import numpy as np
import pytest

from layouts import Jacobian, algebra, jacobian
from layouts.axes import Label, fresh_axes, labels_of, sizes
from layouts.extract import is_tied, tied
from layouts.nodes import Leaf
from layouts.selection import Selection
from layouts.terms import Factor, Term, check
from tests.laws import by_loops


class Build:
    """Terms with random factors: each array becomes the next leaf."""

    def __init__(self):
        self.arrays = []

    def array(self, array):
        self.arrays.append(jnp.asarray(array))
        return Leaf(array.shape, array.dtype.itemsize, (), len(self.arrays) - 1)

    def factor(self, *labels):
        values = np.random.default_rng(len(self.arrays)).standard_normal(sizes(labels))
        return Factor(self.array(values), labels)

    def jacobian(self, *terms):
        for term in terms:
            check(term)
        shapes = [
            tuple(int(np.prod(sizes(axis))) for axis in side)
            for side in (terms[0].out, terms[0].into)
        ]
        return Jacobian(terms, tuple(self.arrays), *shapes, jnp.float64)


def affine(start, step=1, window=None, size=7):
    """`δ[start + step·i, k]` times a factor of each label."""
    build, place, label = Build(), Label(size), Label(size)
    selection = Selection.affine(place, label, start, step, window)
    factors = (build.factor(place), build.factor(label))
    return build.jacobian(Term(((label,),), ((place,),), factors, 3, (selection,)))


def turned(J):
    return Jacobian(algebra.transpose(J.terms), J.arrays, J.in_shape, J.out_shape, J.dtype)


def by_table(places, size=7, carried=True):
    build, place, label = Build(), Label(size), Label(len(places))
    table = build.array(np.asarray(places))
    factors = (build.factor(place), build.factor(label)) if carried else ()
    selection = Selection(place, label, table=table)
    return build.jacobian(Term(((label,),), ((place,),), factors, 1, (selection,)))


def full():
    """A factor that carries output and input labels, beside a delta and a broadcast."""
    build = Build()
    n, a, m, k = Label(5), Label(3), Label(5), Label(3)
    dense = Term(((n,), (a,)), ((m,), (k,)), (build.factor(k, m, n, a), build.factor(n)))
    n, a, k = Label(5), Label(3), Label(3)
    batch = Term(((n,), (a,)), ((n,), (k,)), (build.factor(a, k), build.factor(n, a)), -2)
    ones = Term(fresh_axes((5, 3)), fresh_axes((5, 3)), (), 0.5)
    a, n = Label(3), Label(5)
    both = Term(((n,), (a,)), ((n,), (a,)))
    return build.jacobian(dense, batch, ones, both)


def other_digits():
    """One side splits six as 2·3, the other as 3·2, and both carry a delta to the second axis."""
    build = Build()
    two, three, five, four = Label(2), Label(3), Label(5), Label(5)
    out, into = ((two, three), (five,)), ((three, two), (four,))
    J = Term(out, into, (build.factor(two, three, four),))
    x, y = Label(2), Label(3)
    split = Term(((x, y), (five,)), (fresh_axes((6,))[0], (five,)), (build.factor(y, five),))
    return build.jacobian(J, split)


def split_selection():
    """A selection between labels, one of which the other side splits into digits."""
    build = Build()
    six, place, two, three = Label(6), Label(5), Label(2), Label(3)
    selection = Selection.affine(place, six, -1)
    axis = Label(5)
    term = Term(
        ((six,), (axis,)), ((two, three), (place,)), (build.factor(two, six),), 1, (selection,)
    )
    return build.jacobian(term)


def crowded():
    """Two selections of one place, one that follows from another, and one that points."""
    build = Build()
    place, one, other, far, single = Label(7), Label(5), Label(3), Label(11), Label(1)
    selections = (
        Selection.affine(place, one, 1),
        Selection.affine(place, other, 0, 2),
        Selection.affine(far, place, 9, -1),
    )
    row = Label(2)
    pointing = Selection.affine(row, single, 1)
    return build.jacobian(
        Term(
            ((place,), (row,), (one,)),
            ((other,), (far,)),
            (build.factor(far, other), build.factor(row, one)),
            1,
            (*selections, pointing),
        )
    )


def table_of_table():
    """A place that a table gives, shifted: entries may leave either axis."""
    build = Build()
    place, label, far = Label(7), Label(5), Label(6)
    table = build.array(np.array([3, 9, 0, -2, 6]))
    selections = (
        Selection(place, label, table=table),
        Selection.affine(far, place, -1),
    )
    term = Term(((label,),), ((place,), (far,)), (build.factor(far, label),), 1, selections)
    return build.jacobian(term)


def around():
    """Three labels that selections tie in a ring, and a table that agrees with one of them."""
    build = Build()
    a, b, c = Label(5), Label(5), Label(5)
    selections = (
        Selection.affine(a, b, 0, 1, (0, 4)),
        Selection.affine(b, c, 4, -1),
        Selection.affine(c, a, 4, -1),
        Selection(a, c, table=build.array(np.array([4, 3, 0, 1, 0]))),
    )
    term = Term(((a,), (b,)), ((c,),), (build.factor(a, c),), 1, selections)
    return build.jacobian(term)


def nothing():
    return Jacobian((), (), (5, 3), (5, 3), jnp.float64)


def no_axes():
    build = Build()
    return build.jacobian(Term((), (), (build.factor(),), -2))


def size_one():
    build, n, k = Build(), Label(3), Label(3)
    return build.jacobian(
        Term(((), (n,)), ((), (k,)), (build.factor(n, k),)), Term(((), (n,)), ((), (n,)))
    )


EXAMPLES = {
    **{
        f"start {start}, step {step}, window {window}": affine(start, step, window)
        for start, step, window in [
            (0, 1, None),
            (0, 1, (2, 5)),
            (2, 1, None),
            (-3, 1, None),
            (6, -1, None),
            (5, -1, None),
            (8, -1, (4, 7)),
            (8, -1, (5, 7)),
            (0, 2, None),
            (-3, 2, None),
            (-3, 2, (4, 5)),
            (4, -2, None),
            (3, 3, None),
        ]
    },
    "a shift, turned": turned(affine(0, 2)),
    "a table": by_table([2, 1, 4, 1, 4, 6, 6]),
    "a table that leaves": by_table([0, -1, 9, 3, 7, -6, 6]),
    "a table, turned": turned(by_table([2, 1, 9, -1, 4])),
    "a table, ones": by_table([2, 1, 4, 1, 4, 0, 6], carried=False),
    "full": full(),
    "other digits": other_digits(),
    "split selection": split_selection(),
    "crowded": crowded(),
    "a table and a shift": table_of_table(),
    "around": around(),
    "nothing": nothing(),
    "no axes": no_axes(),
    "size one": size_one(),
}
each = pytest.mark.parametrize("J", EXAMPLES.values(), ids=EXAMPLES)


def loops(J):
    return by_loops(J.terms, J.arrays, J.out_shape, J.in_shape)


def pairs_of(J):
    """Every choice of one pair of axes, and all pairs in order where the shapes agree."""
    found = [
        [(a, b)] for a, n in enumerate(J.out_shape) for b, m in enumerate(J.in_shape) if n == m
    ]
    if J.out_shape == J.in_shape:
        found.append([(a, a) for a in range(len(J.out_shape))])
    return found


def picked(dense, J, pairs):
    """The entries by NumPy: repeated letters read the diagonal."""
    letters = [chr(97 + n) for n in range(dense.ndim)]
    for one, other in pairs:
        letters[len(J.out_shape) + other] = letters[one]
    first = {one for one, _ in pairs}
    second = {other + len(J.out_shape) for _, other in pairs}
    rest = [letters[n] for n in range(dense.ndim) if n not in first | second]
    result = "".join([*(letters[one] for one, _ in pairs), *rest])
    return np.einsum(f"{''.join(letters)}->{result}", dense)


@each
def test_entries_where_axes_are_at_one_place(J):
    dense = loops(J)
    for pairs in pairs_of(J):
        wanted = picked(dense, J, pairs)
        terms, tables = tied(J.terms, pairs, len(J.arrays))
        fixed = [np.asarray(J.arrays[t.index]) == np.arange(t.size) for t in tables]
        for term in terms:
            check(term)
            assert all(s.place is not s.label for s in term.selections)
            assert all(len({*f.labels}) == len(f.labels) for f in term.factors)
        found = by_loops(terms, [*J.arrays, *fixed], (), wanted.shape)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        if len(pairs) == 1:
            np.testing.assert_allclose(J.blocks(pairs[0]), wanted, atol=1e-12)
        else:
            np.testing.assert_allclose(J.diagonal(), wanted, atol=1e-12)


@each
def test_tied_axes_have_nothing_off_the_blocks(J):
    dense = loops(J)
    for ((one, other),) in (pairs for pairs in pairs_of(J) if len(pairs) == 1):
        off = np.moveaxis(dense, (one, len(J.out_shape) + other), (0, 1)).copy()
        off[np.arange(len(off)), np.arange(len(off))] = 0
        if is_tied(J.terms, (one, other)):
            assert not off.any()


def test_what_counts_as_tied():
    assert is_tied(nothing().terms, (0, 1))
    assert is_tied(size_one().terms, (0, 0)) and not is_tied(size_one().terms, (1, 1))
    assert not is_tied(full().terms, (0, 0))
    assert is_tied(full().terms[1:2], (0, 0)) and not is_tied(full().terms[1:2], (1, 1))


def test_a_delta_that_is_taken_leaves_no_label_behind():
    (term,), tables = tied(algebra.identity((5, 3)), [(0, 0), (1, 1)], 0)
    assert not tables and not term.factors and not term.selections
    assert term.out == () and [axis[0].size for axis in term.into] == [5, 3]
    assert len(labels_of(term.into)) == 2


@each
def test_sparse_entries(J):
    sparse = J.to_bcoo()
    assert sparse.shape == J.shape and sparse.dtype == J.dtype
    np.testing.assert_allclose(sparse.todense(), loops(J), atol=1e-12)
    inside = (np.asarray(sparse.indices) < np.array(J.shape)).all(1)
    assert (np.asarray(sparse.indices) >= 0).all()
    assert not np.asarray(sparse.data)[~inside].any()
    if sparse.unique_indices:
        assert (
            inside.all() and len({tuple(row) for row in np.asarray(sparse.indices)}) == sparse.nse
        )


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("start 0, step 1, window None", 7),
        ("start 0, step 1, window (2, 5)", 3),
        ("start 2, step 1, window None", 5),
        ("start 0, step 2, window None", 4),
        ("a shift, turned", 4),
        ("a table", 7),
        ("a table that leaves", 7),
        ("full", 225 + 45 + 225 + 15),
        ("crowded", 5 * 3),
        ("nothing", 0),
        ("no axes", 1),
        ("size one", 9 + 3),
    ],
)
def test_as_many_entries_as_the_structure_says(name, entries):
    assert EXAMPLES[name].to_bcoo().nse == entries


ALONG = np.array([[1, 0, 2], [0, 1, 1], [2, 2, 0]])
# Products whose entries tables place: once axes are made one a table depends twice on one label,
# or what placed an entry places none any more.
PLACED = {
    "a table read twice": [
        lambda x: jnp.take_along_axis(x, ALONG, 0),
        jnp.transpose,
        lambda x: jnp.take_along_axis(x, ALONG, 0),
    ],
    "a sum left over": [
        lambda x: x.ravel()[::-1].reshape(3, 3),
        lambda x: jnp.broadcast_to(x.sum(0), (3, 3)),
        lambda x: x.ravel()[::-1].reshape(3, 3),
    ],
    "one value left over": [
        lambda x: jnp.roll(x, 1, 0),
        lambda x: x.ravel()[np.array([3, 1, 4, 8, 5, 0, 2, 6, 7])].reshape(3, 3),
    ],
    "both": [
        lambda x: jnp.outer(x[0], x[:, 1]),
        lambda x: jnp.take_along_axis(x, ALONG, 1) * x,
    ],
}


@pytest.mark.parametrize("name", PLACED)
def test_entries_of_products_that_tables_place(name):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)))
    J, *others = (jacobian(function, structured=True)(x) for function in PLACED[name])
    for other in others:
        J = J @ other
    dense = np.asarray(J.dense())
    np.testing.assert_allclose(J.diagonal(), np.einsum("ijij->ij", dense), atol=1e-12)
    for axis, blocks in enumerate(("nanb->nab", "anbn->nab")):
        np.testing.assert_allclose(J.blocks(axis), np.einsum(blocks, dense), atol=1e-12)
    blocks = np.einsum("nabn->nab", dense)
    np.testing.assert_allclose(J.blocks((0, 1)), blocks, atol=1e-12)


def test_the_diagonal_of_a_slice_in_other_digits():
    J = jacobian(lambda x: jnp.repeat(x[4:8] ** 2, 3), structured=True)(jnp.arange(12.0))
    np.testing.assert_array_equal(J.diagonal(), np.diagonal(J.dense()))
