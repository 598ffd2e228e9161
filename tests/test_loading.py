"""What a person names as a function, and the shapes in the order of its parameters."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

from layouts import LayoutError
from layouts.expressions.loading import load

MODULE = """
import functools
import jax

def f(a, /, b, *, c=2.0):
    return a * b + c

partial = functools.partial(f, b=3.0)
jitted = jax.jit(f)

class Net:
    def __call__(self, x):
        return x + 1

net = Net()
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "some_functions.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("some_functions", None)


def test_expression_keeps_the_order_of_its_variables():
    loaded = load(" W @ X ", {"X": (3, 5), "W": (4, 3)})
    assert list(loaded.inputs.items()) == [("W", (4, 3)), ("X", (3, 5))]
    W, X = np.random.default_rng(0).standard_normal((2, 3, 3))
    np.testing.assert_allclose(loaded.call(W, X), W @ X)


def test_module_is_found_in_the_current_directory():
    loaded = load("some_functions:f", {"b": (3,), "a": (3,)})
    assert list(loaded.inputs) == ["a", "b"]
    a, b = jnp.array([1.0, 2.0, 5.0]), jnp.array([3.0, 7.0, 11.0])
    np.testing.assert_allclose(loaded.call(a, b), a * b + 2)


def test_keyword_parameters_take_part_when_they_have_a_shape():
    loaded = load("some_functions:f", {"c": (3,), "a": (3,), "b": (3,)})
    assert list(loaded.inputs) == ["a", "b", "c"]
    a, b, c = jnp.array([1.0, 2.0]), jnp.array([3.0, 7.0]), jnp.array([11.0, 13.0])
    np.testing.assert_allclose(loaded.call(a, b, c), a * b + c)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("some_functions:jitted", ["a", "b"]),
        ("some_functions:partial", ["a"]),
        ("some_functions:net", ["x"]),
        ("some_functions:Net.__call__", ["self", "x"]),
        ("jax.numpy:tanh", ["x"]),
    ],
)
def test_whatever_can_be_called(text, names):
    assert list(load(text, dict.fromkeys(names, (3,))).inputs) == names


def test_installed_module_that_takes_any_number_of_arrays_is_refused():
    with pytest.raises(LayoutError, match=r"expected a parameter of jax\.numpy:broadcast_arrays"):
        load("jax.numpy:broadcast_arrays", {"x": (3,)})
