"""The corpus of backward passes is what it says: right ones right, wrong ones wrong."""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from itertools import combinations

import jax
import numpy as np
import pytest

from tests.mistakes import Case, cases

CASES = cases()
SEEDS = (0, 1, 2)
RIGHT, WRONG = 1e-8, 1e-3  # relative to the largest entry of the derivative


@cache
def pulled(forward: Callable, argnum: int) -> Callable:
    """`(cotangent, *args)` to the gradient as JAX has it; compiled once for all its passes."""

    def gradient(cotangent: jax.Array, *args: jax.Array) -> jax.Array:
        def of_argument(value: jax.Array) -> jax.Array:
            return forward(*args[:argnum], value, *args[argnum + 1 :])

        return jax.vjp(of_argument, args[argnum])[1](cotangent)[0]

    return jax.jit(gradient)


@cache
def derivative(forward: Callable, draw: Callable, argnum: int, seed: int) -> tuple:
    """The arguments, a cotangent, and the derivative's answer to it: shared, so never written."""
    rng = np.random.default_rng(seed)
    args = draw(rng)
    cotangent = rng.standard_normal(jax.eval_shape(forward, *args).shape)
    for array in args:
        array.flags.writeable = False
    return args, cotangent, np.asarray(pulled(forward, argnum)(cotangent, *args))


def gradients(case: Case, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What the pass gives, and the derivative."""
    args, cotangent, true = derivative(case.forward, case.args, case.argnum, seed)
    given = case.backward(np.array(cotangent), *args)
    assert isinstance(given, np.ndarray | np.floating), f"a pass gives an array, not {type(given)}"
    assert np.isfinite(given).all() and np.isfinite(true).all()
    return np.asarray(given), true


def distance(given: np.ndarray, true: np.ndarray) -> float:
    """How far apart, relative to the largest entry; infinite where the shapes differ."""
    if given.shape != true.shape:
        return np.inf
    return float(np.abs(given - true).max() / np.abs(true).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pass_is_as_right_or_as_wrong_as_it_says(case):
    distances = [distance(*gradients(case, seed)) for seed in SEEDS]
    if case.kinds:
        assert min(distances) > WRONG
    else:
        assert max(distances) < RIGHT


def test_names_are_unique_and_operations_are_modules():
    twice = [name for name, count in Counter(map(str, CASES)).items() if count > 1]
    assert not twice


def test_every_operation_has_right_and_wrong_passes():
    right = {case.operation for case in CASES if not case.kinds}
    wrong = {case.operation for case in CASES if case.kinds}
    assert right == wrong


def test_passes_that_nobody_can_tell_apart_share_a_name():
    problems = defaultdict(list)
    for case in CASES:
        if case.kinds:
            given, _ = gradients(case, seed=0)
            problems[case.forward, case.argnum, case.args].append((case, given))
    for passes in problems.values():
        for (one, given), (other, again) in combinations(passes, 2):
            if distance(given, again) < RIGHT:
                assert set(one.kinds) & set(other.kinds), f"{one} and {other}"


def test_the_corpus_is_large_enough():
    wrong = sum(bool(case.kinds) for case in CASES)
    assert wrong >= 150 and len(CASES) - wrong >= 50
