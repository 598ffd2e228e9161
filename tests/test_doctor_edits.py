"""Mistakes on functions that no list of layers has: each family of edits finds its own."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.doctor import diagnose
from layouts.doctor.listing import listing
from layouts.doctor.named import Named, product, summed, together
from layouts.doctor.orders import reorders
from layouts.doctor.replay import Replay
from layouts.doctor.reruns import MOST_RERUNS, changes
from layouts.doctor.rewrites import Rewrite
from layouts.doctor.screening import Screen
from layouts.doctor.swaps import Swap
from layouts.doctor.tape import Tape
from tests.mistakes import cases


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def run_of(fun, *args, seed=3):
    arrays = [jnp.asarray(a) for a in args]
    out, pull = jax.vjp(fun, *arrays)
    g = jnp.asarray(np.random.default_rng(seed).standard_normal(out.shape), out.dtype)
    return Tape(listing(fun, arrays), arrays, g), dict(enumerate(pull(g)))


OPERATIONS = (
    "attention",
    "batch_norm",
    "conv1d",
    "cosine",
    "gated",
    "maximum",
    "recurrent",
    "where",
)
FORWARDS = {(c.operation, c.forward): c for c in cases() if c.operation in OPERATIONS}


@pytest.mark.parametrize("key", FORWARDS, ids=lambda key: f"{key[0]}-{key[1].__name__}")
def test_a_run_without_a_change_gives_the_true_gradient(key):
    case = FORWARDS[key]
    args = case.args(np.random.default_rng(1))
    tape, right = run_of(case.forward, *args)
    replay = Replay(tape)
    for leaf in tape.gradients():
        own = {leaf: lambda t, leaf=leaf: t.values[leaf]}  # all that follows is run again
        for rewrite in (Rewrite(), Rewrite(points=own), Rewrite(static=True)):
            found = replay.gradient(leaf, rewrite)
            np.testing.assert_allclose(found, right[leaf], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(tape.gradients()[leaf], right[leaf], rtol=1e-8, atol=1e-10)


def test_sums_that_are_not_swapped_give_the_true_gradient():
    def standardised(X, scale):
        centred = X - X.mean(0, keepdims=True)
        return centred / jnp.sqrt(X.var(0, keepdims=True) + 1e-3) * scale[None, :]

    tape, right = run_of(standardised, normal(7, 5), normal(5, seed=1))
    replay = Replay(tape)
    for leaf in (0, 1):
        found = Swap(replay, {}).gradient(leaf)
        np.testing.assert_allclose(replay.labels.plain(leaf, found), right[leaf], atol=1e-10)


def test_named_axes_repeat_what_they_lack():
    row = Named(np.arange(3.0), (1,), frozenset([0, 1]))
    column = Named(np.arange(2.0), (0,), frozenset([0]))
    sizes = {0: 2, 1: 3}
    assert summed(row, {0}, sizes).array.tolist() == [0, 2, 4]
    assert together(np.add, row, column).array.shape == (3, 2)
    assert product(row, column, {0}, sizes).array.tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (2, 3, 5), (1, 2, 3), (2, 3, 5, 7)])
def test_reorders_move_every_entry_and_differ(shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    found = [reorder(array) for _, reorder in reorders(shape)]
    assert found and all(f.shape == shape for f in found)
    for one in found:
        assert sorted(one.ravel()) == sorted(array.ravel()) and (one != array).any()
    assert not [*reorders((1, 7))] and not [*reorders((5,))]


# Functions and slips that stand in no corpus.
def gibbs(X, t):
    """Shares of each row at a temperature."""
    e = jnp.exp(X / t)
    return e / e.sum(1, keepdims=True)


def shares(X, t, axis=1):
    e = np.exp(X / t)
    return e / e.sum(axis, keepdims=True)


def back_through(g, p, axis=1):
    return p * (g - (g * p).sum(axis, keepdims=True))


def contrast(X):
    """Each column by its range-free spread."""
    centred = X - X.mean(0, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(0, keepdims=True))


def contrast_back(g, X, axis):
    s = np.sqrt(((X - X.mean(0)) ** 2).mean(0))
    u = (X - X.mean(0)) / s
    return (g - g.mean(axis, keepdims=True) - u * (g * u).mean(axis, keepdims=True)) / s


def two_gates(x, A, B):
    return jnp.sin(A @ x) * jnp.tanh(B @ x)


def columns_of(x, W):
    """A stack of two vectors, row by row, weighed as one long vector."""
    return W @ jnp.outer(jnp.array([1.0, 2.0, 3.0]), jnp.sin(x)).ravel()


def smoothed(x):
    return x[1:-1] - 0.5 * (x[:-2] + x[2:])


def smoothed_overwriting(g, x):
    d = np.zeros_like(x)
    d[1:-1] = g
    d[:-2] += -0.5 * g
    d[2:] = -0.5 * g
    return d


def total(W, X):
    return jnp.sum(jnp.cosh(X @ W))


def total_last(g, W, X):
    for row in X:
        d = g * np.outer(row, np.sinh(row @ W))
    return d


def pairs(X, Y):
    return jnp.einsum("ni,ni->n", X, jnp.sin(Y))


def swish(W, x):
    z = W @ x
    return jnp.tanh(z / (1 + jnp.exp(-1.7 * z)))


def swish_as_relu(g, W, x):
    z = W @ x
    y = np.tanh(z / (1 + np.exp(-1.7 * z)))
    return np.outer(g * (1 - y**2) * (z > 0), x)


def spaced(x, k):
    """Every second window."""
    x, k = x[None, None, :], k[None, None, :]
    return jax.lax.conv_general_dilated(x, k, (2,), "VALID")[0, 0]


def spaced_back(stride):
    def back(g, x, k):
        d = np.zeros_like(x)
        for n, one in enumerate(g):
            d[stride * n : stride * n + len(k)] += one * k
        return d

    return back


def ends_joined(a, b, W):
    return jnp.sin(W @ jnp.concatenate([a, jnp.exp(b)]))


def scaled(X):
    return X / jnp.sqrt((X**2).mean(1, keepdims=True))


def scaled_as_if_centred(g, X):
    r = np.sqrt((X**2).mean(1, keepdims=True))
    y = X / r
    return (g - g.mean(1, keepdims=True) - y * (g * y).mean(1, keepdims=True)) / r


def weighted(x, A, y, w):
    return jnp.sum(w * (A @ x - y) ** 2)


PLACES = np.array([2, 0, 2, 2, 1])


def places_averaged(g, x):
    counts = np.bincount(PLACES, minlength=len(x))
    return np.cos(x) * np.bincount(PLACES, g, len(x)) / np.maximum(counts, 1)


SLIPS = [
    (gibbs, lambda g, X, t: back_through(g, shares(X, t)) / t, (normal(5, 3), 2.5), None),
    (
        gibbs,
        lambda g, X, t: back_through(g, shares(X, t, 0), 0) / t,
        (normal(5, 3), 2.5),
        {"wrong-axis"},
    ),
    (
        gibbs,
        lambda g, X, t: back_through(g, shares(X, 1.0)) / t,
        (normal(5, 3), 2.5),
        {"wrong-point"},
    ),
    (
        gibbs,
        lambda g, X, t: back_through(g, shares(X, t), (0, 1)) / t,
        (normal(5, 3), 2.5),
        {"flattened-batch"},
    ),
    (contrast, lambda g, X: contrast_back(g, X, 0), (normal(7, 5),), None),
    (contrast, lambda g, X: contrast_back(g, X, 1), (normal(7, 5),), {"wrong-axis"}),
    (contrast, lambda g, X: contrast_back(g, X, (0, 1)), (normal(7, 5),), {"flattened-batch"}),
    (
        two_gates,
        lambda g, x, A, B: (
            A.T @ (g * np.cos(B @ x) * np.tanh(B @ x))
            + B.T @ (g * np.sin(A @ x) * (1 - np.tanh(B @ x) ** 2))
        ),
        (normal(3), normal(5, 3), normal(5, 3, seed=1)),
        {"wrong-point"},
    ),
    (
        columns_of,
        lambda g, x, W: np.cos(x) * ([1.0, 2.0, 3.0] @ (W.T @ g).reshape(5, 3).T),
        (normal(5), normal(2, 15)),
        {"vec-order"},
    ),
    (smoothed, smoothed_overwriting, (normal(7),), {"overwritten-duplicates"}),
    (total, total_last, (normal(3, 2), normal(5, 3)), {"overwritten-duplicates"}),
    (
        pairs,
        lambda g, X, Y: g.sum() * np.sin(Y),
        (normal(5, 3), normal(5, 3, seed=1)),
        {"flattened-batch"},
    ),
    (swish, swish_as_relu, (normal(5, 3), normal(3)), {"wrong-point"}),
    (spaced, spaced_back(2), (normal(9), normal(3)), None),
    (spaced, spaced_back(1), (normal(9), normal(3)), {"wrong-point"}),
    (
        ends_joined,
        lambda g, a, b, W: (W.T @ (g * np.cos(W @ np.concatenate([np.exp(b), a]))))[: len(a)],
        (normal(3), normal(4), normal(5, 7)),
        {"order-swapped"},
    ),
    (scaled, scaled_as_if_centred, (normal(5, 3),), {"wrong-point"}),
    (
        weighted,
        lambda g, x, A, y, w: g * 2 * A.T @ (w * (A @ x) - y),
        (normal(3), normal(5, 3), normal(5), normal(5, seed=1) ** 2),
        {"missing-factor"},
    ),
    (lambda x: jnp.sin(x)[PLACES], places_averaged, (normal(4),), {"mean-for-sum"}),
    (
        lambda x: jnp.tile(jnp.sin(x), 3),
        lambda g, x: g[-len(x) :] * np.cos(x),
        (normal(4),),
        {"overwritten-duplicates"},
    ),
    (
        lambda x: jnp.cumsum(x**2),
        lambda g, x: 2 * x * (g.sum() - np.cumsum(g)),
        (normal(5),),
        {"missing-path"},
    ),
    (
        lambda x: jnp.sin(x),
        lambda g, x: g * np.cos(x) * (-1.0) ** np.arange(len(x)),
        (normal(5),),
        {"sign"},
    ),
    (
        lambda X: jnp.sin(X),
        lambda g, X: np.pad((g * np.cos(X))[:, 1:], ((0, 0), (1, 0))),
        (normal(4, 3),),
        {"missing-path"},
    ),
    (
        lambda X, W: jnp.sin(X) @ W,
        lambda g, X, W: np.cos(X) * (g * W.T),
        (normal(4, 4), normal(4, 4, seed=1)),
        {"missing-sum"},
    ),
    (
        lambda B, v: jnp.einsum("nij,nj->ni", B, v),
        lambda g, B, v: np.einsum("ni,nj->ij", g, v),
        (normal(2, 3, 4), normal(2, 4)),
        {"flattened-batch"},
    ),
    (
        lambda X, A: jnp.sin(A @ X),
        lambda g, X, A: (np.kron(np.eye(3), A).T @ (g * np.cos(A @ X)).ravel()).reshape(X.shape),
        (normal(4, 3), normal(5, 4)),
        {"vec-order"},
    ),
]


@pytest.mark.parametrize(("fun", "backward", "args", "kinds"), SLIPS)
def test_slips_on_functions_nobody_thought_of(fun, backward, args, kinds):
    diagnosis = diagnose(fun, backward, *args)
    if kinds is None:
        assert diagnosis.ok, str(diagnosis)
    else:
        assert diagnosis.findings[0].kind in kinds, str(diagnosis)


def test_the_number_of_changes_is_bounded_by_the_steps():
    def deep(x, *weights):
        for W in weights:
            x = jnp.tanh(W @ x)
        return x

    counts = []
    for depth in (2, 4, 8, 16):
        weights = [normal(5, 5, seed=n) for n in range(depth)]
        tape, _ = run_of(deep, normal(5), *weights)
        counts.append(len(changes(Replay(tape))))
        assert counts[-1] <= min(MOST_RERUNS, 250 * len(tape.listing.steps))
    assert counts[0] < counts[1]


@dataclass(frozen=True)
class Fixed:
    """A guess of known numbers."""

    array: np.ndarray
    rank: int = 1
    kind: str = "sign"
    parts: tuple = ()

    def value(self, number):
        return self.array

    def formula(self):
        return ""


def screened(right, given, *guesses):
    screen = Screen(given, right, 1e-6)
    return screen, [screen.scored(Fixed(right + change, rank)) for change, rank in guesses]


@pytest.mark.parametrize("shape", [(7, 3), (211, 97)])  # the larger one is compared in part
def test_two_changes_that_add_up_are_found_among_others(shape):
    rng = np.random.default_rng(0)
    right, *changes = rng.standard_normal((41, *shape))
    few = np.zeros(shape)
    few[3, 2] = 5.0  # one entry of 20,467 that is off
    changes += [few]
    screen, scored = screened(right, right + changes[11] + few, *((c, 1) for c in changes))
    found = screen.side_by_side(scored)
    assert [(one.array.tobytes(), other.array.tobytes()) for one, other, _ in found] == [
        ((right + changes[11]).tobytes(), (right + few).tobytes())
    ]


def test_of_guesses_of_the_same_numbers_the_least_far_fetched_stays():
    rng = np.random.default_rng(0)
    right, *changes = rng.standard_normal((6, 5, 4))
    rounding = 1e-9 * rng.standard_normal((5, 4))
    guesses = [(c + n * rounding, rank) for c in changes for n, rank in enumerate((4, 2, 3))]
    screen, scored = screened(right, right + 1, *guesses)
    kept = screen.distinct(scored)
    assert [entry[0].rank for entry in kept] == [2] * len(changes)
    assert len({entry[0].array.tobytes() for entry in kept}) == len(changes)


def test_a_guess_that_differs_from_the_truth_where_the_candidate_does_is_kept():
    right = np.random.default_rng(0).standard_normal((300, 200))
    given = right.copy()
    given[17, 5] += 1.0
    screen, (scored,) = screened(right, given, (given - right, 1))
    assert scored is not None and scored[2] < 1e-12
    assert screen.scored(Fixed(right)) is None


@pytest.mark.parametrize("fun", [jax.nn.relu, jax.nn.relu6])
def test_rules_of_functions_are_run_in_numpy(fun):
    (step,) = listing(fun, [normal(5, 3)]).steps
    x = 4 * np.asarray(normal(5, 3))
    x[0, 0] = 0.0  # where the rule is not the slope of max(x, 0)
    np.testing.assert_allclose(step.rule.value(x), fun(x), atol=1e-12)
    slope = jax.jvp(fun, (x,), (np.ones_like(x),))[1]
    np.testing.assert_allclose(step.rule.slope(x), slope, atol=1e-12)
