"""`chain`: one list order, two directions of multiplication, and no mix."""

from itertools import pairwise
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts.conventions.chaining import chain
from layouts.errors import LayoutError
from layouts.transforms import jacobian

J3, J2, J1 = (
    np.random.default_rng(i).normal(size=s) for i, s in enumerate([(2, 3), (3, 5), (5, 7)])
)
unequal_widths = st.lists(st.integers(1, 9), min_size=2, max_size=6, unique=True)


def factors_of(widths):
    rng = np.random.default_rng(widths)
    return [rng.normal(size=pair) for pair in pairwise(widths)]


def space(out_shape, in_shape):
    """Stands for the structured Jacobian: all that `chain` asks of it."""
    out_size, in_size = int(np.prod(out_shape)), int(np.prod(in_shape))
    entries = np.random.default_rng([out_size, in_size]).normal(size=(out_size, in_size))

    def matrix(layout="numerator", vec="rows"):
        return entries if layout == "numerator" else entries.T

    return SimpleNamespace(out_shape=out_shape, in_shape=in_shape, matrix=matrix)


def test_each_layout_multiplies_in_its_own_direction():
    product = J3 @ J2 @ J1
    np.testing.assert_allclose(chain([J3, J2, J1], layout="numerator"), product)
    transposes = [J3.T, J2.T, J1.T]
    np.testing.assert_allclose(chain(transposes, layout="denominator"), J1.T @ J2.T @ J3.T)
    np.testing.assert_allclose(chain(transposes, layout="denominator"), product.T)


@given(unequal_widths)
def test_numerator_is_the_transpose_of_denominator(widths):
    factors = factors_of(widths)
    across = chain([factor.T for factor in factors], layout="denominator")
    np.testing.assert_allclose(chain(factors, layout="numerator"), across.T, rtol=1e-10)


@given(unequal_widths)
def test_the_order_listed_from_the_input_is_refused_in_both_layouts(widths):
    factors = factors_of(widths)
    if len(factors) < 2:
        return
    with pytest.raises(LayoutError, match=r"opposite order; reverse the list.*'denominator'"):
        chain(factors[::-1], layout="numerator")
    with pytest.raises(LayoutError, match=r"opposite order; reverse the list.*'numerator'"):
        chain([factor.T for factor in factors][::-1], layout="denominator")


@given(unequal_widths, st.data())
def test_one_factor_in_the_other_layout_is_named(widths, data):
    factors = factors_of(widths)
    if len(factors) < 3:
        return
    place = data.draw(st.integers(0, len(factors) - 1))
    mixed = [factor.T if i == place else factor for i, factor in enumerate(factors)]
    with pytest.raises(LayoutError, match=f"mix of layouts: number {place + 1} in denominator"):
        chain(mixed, layout="numerator")
    with pytest.raises(LayoutError, match=f"mix of layouts: number {place + 1} in numerator"):
        chain([factor.T for factor in mixed], layout="denominator")


def test_jacobians_are_written_in_the_layout():
    Js = [space((2,), (3, 5)), space((3, 5), (7,)), space((7,), (1, 11))]
    numerator = chain(Js, layout="numerator")
    assert numerator.shape == (2, 11)
    np.testing.assert_allclose(numerator, Js[0].matrix() @ Js[1].matrix() @ Js[2].matrix())
    np.testing.assert_allclose(chain(Js, layout="denominator"), numerator.T)


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_jacobians_know_their_spaces_where_sizes_agree(layout):
    upper, lower = space((2, 3), (6,)), space((6,), (3, 2))
    assert chain([upper, lower], layout=layout).shape == (6, 6)
    with pytest.raises(LayoutError, match="numbers 1 and 2, which do not meet"):
        chain([space((5,), (2, 3)), space((3, 2), (7,))], layout=layout)
    with pytest.raises(LayoutError, match=r"opposite order; reverse the list$"):
        chain([space((6,), (5, 1)), space((2, 3), (6,))], layout=layout)
    with pytest.raises(LayoutError, match=r"transpose number 2$"):
        chain([space((4,), (6,)), space((2, 3), (6,)), space((2, 3), (5,))], layout=layout)


def test_jacobians_and_matrices_may_share_a_list():
    upper = space((2,), (3,))
    np.testing.assert_allclose(chain([upper, J2]), upper.matrix() @ J2)
    np.testing.assert_allclose(chain([upper, J2.T], "denominator"), (upper.matrix() @ J2).T)
    with pytest.raises(LayoutError, match="mix of layouts"):
        chain([upper, J2], layout="denominator")


def test_a_single_factor_is_its_own_chain():
    np.testing.assert_array_equal(chain([J3]), J3)
    np.testing.assert_array_equal(chain([J3], layout="denominator"), J3)


def test_it_keeps_jax_arrays_and_works_under_jit():
    factors = [jnp.asarray(J) for J in (J3, J2, J1)]
    assert isinstance(chain(factors), jax.Array)
    traced = jax.jit(lambda *Js: chain([J.T for J in Js], layout="denominator"))(*factors)
    np.testing.assert_allclose(traced, (J3 @ J2 @ J1).T)


def test_sizes_that_never_meet():
    with pytest.raises(LayoutError, match="numbers 2 and 3, which do not meet"):
        chain([J3, J2, np.ones((11, 13))])


def test_there_is_no_chain_in_mixed_layout():
    with pytest.raises(LayoutError, match=r"'numerator' or 'denominator', got 'mixed'"):
        chain([J3, J2], layout="mixed")


def test_an_unknown_layout_an_empty_list_and_what_is_no_matrix():
    with pytest.raises(LayoutError, match="'numerator', 'denominator', 'mixed'"):
        chain([J3, J2], layout="gradient")
    with pytest.raises(LayoutError, match="at least one Jacobian, got an empty list"):
        chain([])
    with pytest.raises(LayoutError, match=r"number 2 of the chain: .*shape \(3, 5, 1\)"):
        chain([J3, J2[:, :, None]])
    np.testing.assert_allclose(chain([J3.tolist(), J2.tolist()]), J3 @ J2)


def test_the_fewest_factors_are_blamed():
    square = np.ones((3, 3))
    with pytest.raises(LayoutError, match=r"transpose number 3$"):
        chain([J3, square, J2.T])
    with pytest.raises(LayoutError, match=r"transpose number 1 and number 4$"):
        chain([J3.T, square, square, J2.T, np.ones((5, 7))])


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_the_chain_of_a_network_is_its_jacobian(layout):
    X, W1, W2 = (jnp.asarray(J.T) for J in (J3, J2, J1))  # 3×2, 5×3, 7×5
    layer1, layer2 = (lambda X: jnp.tanh(W1 @ X)), (lambda Z: jnp.sin(W2 @ Z))
    Js = [
        jacobian(layer2, structured=True)(layer1(X)),
        jacobian(layer1, structured=True)(X),
    ]
    whole = jax.jacrev(lambda X: layer2(layer1(X)))(X).reshape(14, 6)
    expected = whole if layout == "numerator" else whole.T
    np.testing.assert_allclose(chain(Js, layout=layout), expected, atol=1e-12)
    with pytest.raises(LayoutError, match=r"opposite order; reverse the list$"):
        chain(Js[::-1], layout=layout)
