"""The formula of every entry, filled in from the template, is the entry's value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts.explorer.asking import state_of
from layouts.explorer.cells import allowed_of
from layouts.explorer.entries import filled, template_of
from layouts.explorer.gallery import GALLERY
from layouts.explorer.subject import subject_of
from layouts.formulas.evaluating import evaluate
from layouts.formulas.parsing import parse

# Beside the gallery: deltas alone, one-sided axes, digits that a sum ties, two paths, indicators.
EXPRESSIONS = {
    "transpose": ("A.T", {"A": (3, 2)}, "A"),
    "bias": ("relu(W @ X + b)", {"W": (4, 3), "X": (3, 5), "b": (4, 1)}, "b"),
    "square": ("M @ M", {"M": (3, 3)}, "M"),
    "product": ("kron(A, B)", {"A": (2, 3), "B": (5, 2)}, "A"),
    "unit": ("x / norm(x)", {"x": (5,)}, "x"),
    "inverse": ("inv(A)", {"A": (3, 3)}, "A"),
    "maximum": ("max(A, axis=0)", {"A": (3, 4)}, "A"),
    "cube": ("sum(T * T, axis=1)", {"T": (2, 3, 5)}, "T"),
    "ones": ("W @ X", {"W": (1, 3), "X": (3, 1)}, "W"),
    "residual": ("x + tanh(W @ x) * x", {"W": (5, 5), "x": (5,)}, "x"),
}


def asked_of(name):
    if name in GALLERY:
        return state_of({"source": {"kind": "gallery", "name": name}}, {})
    text, shapes, wrt = EXPRESSIONS[name]
    listed = {key: list(shape) for key, shape in shapes.items()}
    body = {"source": {"kind": "expression", "text": text}, "shapes": listed, "wrt": wrt}
    return state_of(body, {})


def sample(shape, most=12):
    places = list(np.ndindex(*shape))
    chosen = np.random.default_rng(0).permutation(len(places))[:most]
    return [places[n] for n in chosen]


@pytest.mark.parametrize("name", [*GALLERY, *EXPRESSIONS])
def test_an_entrys_formula_has_the_entrys_value(name):
    asked = asked_of(name)
    subject = subject_of(asked)
    inputs = subject.at(asked)
    found = subject.numbers(inputs)
    true = np.asarray(jax.jit(jax.jacrev(asked.loaded.call, subject.place))(*inputs))
    arrays = found.arrays
    template = template_of(subject.equation, {key: a.shape for key, a in arrays.items()})
    allowed = allowed_of(found.jacobian, true.shape)
    zeros = 0
    said = {index: filled(template, index, bool(allowed[index])) for index in sample(true.shape)}
    bodies = [parse(formula.partition(" = ")[2]) for formula, _, _ in said.values()]
    values = jax.jit(lambda known: [evaluate(body, known) for body in bodies])(arrays)
    for (index, (formula, reason, origins)), value in zip(said.items(), values, strict=True):
        head, _, body = formula.partition(" = ")
        value = float(value)
        assert value == pytest.approx(true[index], rel=1e-9, abs=1e-12), formula
        assert bool(reason) == (body == "0") == (not allowed[index]), formula
        assert "{" not in formula and head.startswith("∂")
        for array, place in origins:
            assert len(place) == arrays[array].ndim
            sizes = zip(place, arrays[array].shape, strict=True)
            assert all(n is None or 0 <= n < size for n, size in sizes)
        zeros += not allowed[index]
    if name in ("seed-w", "seed-x", "attention", "transpose"):
        assert zeros, "the sample has none of the zeros by structure"


@pytest.mark.parametrize("name", ["seed-w", "mlp", "attention", "bias", "cube", "residual"])
def test_an_entry_changes_with_what_it_lights_up_and_with_nothing_else(name):
    """The value as a function of the arrays of its formula has its derivative in the origins."""
    asked = asked_of(name)
    subject = subject_of(asked)
    found = subject.numbers(subject.at(asked))
    arrays = found.arrays
    template = template_of(subject.equation, {key: a.shape for key, a in arrays.items()})
    said = [filled(template, index) for index in sample(found.dense.shape, 6)]
    bodies = [parse(formula.partition(" = ")[2]) for formula, _, _ in said]

    def slopes_of(known):
        values = (lambda known, body=body: 1.0 * jnp.sum(evaluate(body, known)) for body in bodies)
        return [jax.grad(value)(known) for value in values]

    for (formula, _, origins), slopes in zip(said, jax.jit(slopes_of)(arrays), strict=True):
        for array, slope in slopes.items():
            lit = np.zeros(slope.shape, bool)
            for _, place in (origin for origin in origins if origin[0] == array):
                lit[tuple(slice(None) if n is None else n for n in place)] = True
            assert not np.asarray(slope)[~lit].any(), f"{formula}: {array}"


def test_zero_says_why():
    equation = parse("∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j] + δ[j,l] Y[k,i]")
    template = template_of(equation, {"X": (3, 3), "Y": (3, 3)})
    found = filled(template, (1, 2, 0, 0))
    assert found == ("∂D[1,2]/∂W[0,0] = 0", "zero by structure: 1 ≠ 0, 2 ≠ 0", [])
    assert filled(template, (1, 2, 1, 0)) == ("∂D[1,2]/∂W[1,0] = X[0,2]", "", [("X", [0, 2])])
    ruled_out = filled(template, (1, 2, 1, 2), allowed=False)
    assert ruled_out == ("∂D[1,2]/∂W[1,2] = 0", "zero by structure", [])


@pytest.mark.parametrize(
    "text, index, expected",
    [
        ("∂D[i]/∂x[k] = δ[i+2,k] - 2 δ[i+1,k] + δ[i,k]", (1, 2), "∂D[1]/∂x[2] = -2"),
        ("∂D[i]/∂x[k] = δ[i+2,k] - 2 δ[i+1,k] + δ[i,k]", (1, 3), "∂D[1]/∂x[3] = 1"),
        ("∂D[i]/∂x[k] = δ[6-i,k] w[2i+1]", (2, 4), "∂D[2]/∂x[4] = w[5]"),
        ("∂D[i]/∂x[k] = -w[i] x[k]", (3, 4), "∂D[3]/∂x[4] = -w[3] x[4]"),
        ("∂D[i]/∂x[k] = a[i] - 1/7 w[k]", (3, 4), "∂D[3]/∂x[4] = a[3] - 1/7 w[4]"),
        ("∂D[i]/∂x[k] = Σ_v δ[i,v+k-2] x[v]", (3, 4), "∂D[3]/∂x[4] = Σ_v δ[3,v+2] x[v]"),
        ("∂D[i]/∂x[k] = Σ_v δ[i,v+k-2] x[v]", (3, 2), "∂D[3]/∂x[2] = Σ_v δ[3,v] x[v]"),
        ("∂D[i]/∂x[k] = Σ_v δ[i,v+k-2] x[v]", (3, 1), "∂D[3]/∂x[1] = Σ_v δ[3,v-1] x[v]"),
    ],
)
def test_places_that_are_more_than_a_letter(text, index, expected):
    template = template_of(parse(text), {"w": (9,), "x": (9,), "a": (9,)})
    assert filled(template, index)[0] == expected
