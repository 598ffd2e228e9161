"""Convolutions by their indices: `Σ_kq W[j,k,q] X[i,k,p+q]`, and what they differentiate to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from layouts.derivation import derive
from layouts.formulas.evaluating import evaluate
from layouts.formulas.parsing import parse
from layouts.formulas.windows import Window, conv
from layouts.naming.paper import on_paper
from layouts.show.text import text


def channels_last(x, w):
    return lax.conv_general_dilated(x, w, (2,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"))


def dilated(w, x):
    return lax.conv_general_dilated(x, w, (1,), [(1, 2)], rhs_dilation=(2,))


def transposed(x, w):
    return lax.conv_transpose(x, w, (2,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"))


def images(w, x):
    return lax.conv_general_dilated(x, w, (2, 1), "SAME")


def each_channel(w, x):
    return lax.conv_general_dilated(x, w, (1,), "VALID", feature_group_count=3)


def grouped(x, w):
    return lax.conv_general_dilated(x, w, (1,), "VALID", feature_group_count=2)


# The function, the shapes of its arguments, its gradient by the first.
CASES = {
    "by images": (
        lambda x, w: lax.conv(x, w, (1,), "VALID"),
        [(2, 2, 7), (3, 2, 3)],
        "Σ_jp ∂L/∂D[k,j,p] w[j,l,r-p]",
    ),
    "by the kernel": (
        lambda w, x: lax.conv(x, w, (1,), "VALID"),
        [(3, 2, 3), (2, 2, 7)],
        "Σ_ip ∂L/∂D[i,k,p] x[i,l,p+r]",
    ),
    "steps": (channels_last, [(2, 5, 3), (3, 3, 4)], "Σ_jp ∂L/∂D[k,j,p] w[l+1-2j,r,p]"),
    "dilated": (dilated, [(3, 2, 2), (2, 2, 5)], "Σ_ip ∂L/∂D[i,k,p] x[i,l,p+2r-1]"),
    "spread": (transposed, [(2, 5, 3), (3, 3, 4)], "Σ_jp ∂L/∂D[k,j,p] w[2l+2-j,r,p]"),
    "two axes": (
        images,
        [(3, 2, 2, 3), (2, 2, 5, 4)],
        "Σ_ipq ∂L/∂D[i,k,p,q] x[i,l,2p+r,q+s-1]",
    ),
    "each channel": (each_channel, [(3, 1, 2), (2, 3, 5)], "Σ_ip ∂L/∂D[i,k,p] x[i,k,p+l]"),
    "groups": (
        grouped,
        [(2, 4, 3), (6, 2, 2)],
        "Σ_vefp δ[(v,f),l] ∂L/∂D[k,(v,e),p] reshape(w, shape=(2, 3, 2, 2))[v,e,f,r-p]",
    ),
    "NumPy's": (lambda x, w: jnp.convolve(x, w), [(7,), (3,)], "Σ_i ∂L/∂D[i] w[i-k]"),
}


def arrays_for(shapes):
    rng = np.random.default_rng(len(shapes[0]))
    return [jnp.asarray(rng.standard_normal(shape)) for shape in shapes]


@pytest.mark.parametrize("name", CASES)
def test_every_step_holds_and_the_gradient_reads_back(name):
    function, shapes, expected = CASES[name]
    arrays = arrays_for(shapes)
    found = derive(function)(*arrays)
    assert found.check is not None and found.check < 1e-12, str(found)
    result = found.of("result")[-1].formula
    assert text(result.sides[-1]) == expected
    known = dict(zip(found.inputs, arrays, strict=True))
    value, pull = jax.vjp(lambda first: function(first, arrays[1]), arrays[0])
    known["dL/dD"] = np.random.default_rng(1).standard_normal(value.shape)
    (true,) = pull(jnp.asarray(known["dL/dD"]))
    for alphabet in ("unicode", "ascii"):
        read = evaluate(parse(text(result, alphabet)), known)
        np.testing.assert_allclose(np.reshape(read, true.shape), true, rtol=1e-9, atol=1e-12)


def test_the_forward_is_a_sum_over_places():
    found = derive(lambda w, x: lax.conv(x, w, (2,), "VALID"))(*arrays_for([(3, 2, 2), (2, 2, 7)]))
    lines = [text(step.formula) for step in found.of("forward")]
    assert lines == [
        "D = conv(x, w, strides=(2,))",
        "D[i,j,p] = Σ_ve w[j,v,e] x[i,v,2p+e]",
    ]


def test_a_network_names_what_it_convolves():
    def loss(w, x, b):
        return jnp.sum(jnp.tanh(lax.conv(x, w, (1,), "SAME") + b))

    shapes = [(2, 1, 2), (1, 1, 4), (1, 2, 1)]
    found = derive(loss)(*(jax.ShapeDtypeStruct(shape, float) for shape in shapes))
    first = found.of("forward")[0].formula
    assert text(first) == "z1 = conv(x, w, padding=((0, 1),)) + b"
    assert found.of("result")


def test_a_window_knows_what_is_plain():
    assert Window.of(2, {}).options == {}
    window = Window.of(1, {"strides": (3,), "groups": 2})
    assert window.options == {"strides": (3,), "groups": 2}
    x, w = arrays_for([(2, 4, 7), (6, 2, 3)])
    expected = lax.conv_general_dilated(x, w, (3,), "VALID", feature_group_count=2)
    np.testing.assert_allclose(conv(x, w, strides=(3,), groups=2), expected)


def test_what_has_no_indices_stays_a_convolution():
    x, w = arrays_for([(2, 4, 7), (6, 4, 3)])

    def grouped(x):
        return lax.conv_general_dilated(x, w, (1,), "VALID", batch_group_count=2)

    closed = jax.make_jaxpr(on_paper(grouped, indexed=True))(x)
    assert "gather" not in str(closed) and "custom_jvp" not in str(closed)
    found = derive(grouped)(x)
    assert found.check is not None and found.check < 1e-12
    assert "stands for itself" in str(found)
