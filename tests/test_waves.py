"""Matrices of Fourier transforms: against JAX's own, without a transform, right to the last bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import layouts
from layouts.waves import waves

SHAPE = (2, 4, 7, 5)
TRANSFORMS = {
    "one axis": jnp.fft.fft,
    "back": jnp.fft.ifft,
    "of reals": lambda x: jnp.fft.rfft(x.real),
    "of an even number of reals": lambda x: jnp.fft.rfft(x.real, axis=1),
    "two axes": jnp.fft.fft2,
    "three back": lambda x: jnp.fft.ifftn(x, axes=(1, 2, 3)),
    "two of reals": lambda x: jnp.fft.rfft2(x.real),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_is_written_without_a_transform(name):
    x = jnp.asarray(np.random.default_rng(2).normal(size=SHAPE))

    def part(x):  # of both parts, so that none is left out
        out = TRANSFORMS[name](x + 0j)
        return out.real + 2 * out.imag

    got = layouts.jacobian(part)(x)
    np.testing.assert_allclose(got, jax.jacfwd(part)(x), atol=1e-14)
    transforms = str(jax.make_jaxpr(layouts.jacobian(part))(x)).count(" fft[")
    assert transforms == 1  # of the value


@pytest.mark.parametrize("inverse", [False, True])
def test_every_entry_is_right_to_its_last_bit(inverse):
    exact = waves([151], [300], inverse, "complex128")
    np.testing.assert_array_equal(waves([151], [300], inverse, "complex64"), exact.astype("c8"))
    transform = np.fft.ifft if inverse else np.fft.fft
    np.testing.assert_allclose(exact, transform(np.eye(300))[:151], atol=1e-13)


def test_a_place_beyond_32_bits_is_not_reckoned_with():
    """The last entries of a long signal, and its last frequencies: `jk` is some 5,000,000,000."""

    def end(x):
        return jnp.fft.rfft(jnp.pad(x, (99_990, 7)))[-3:].real

    x = jnp.arange(3.0)
    np.testing.assert_allclose(layouts.jacobian(end)(x), jax.jacfwd(end)(x), atol=1e-9)


def test_what_is_transformed_on_the_way_is_transformed_fast():
    """Where a transform meets an array, it is applied: a product with its matrix costs more."""

    def filtered(x):
        return jnp.fft.fft(jnp.fft.fft(x) * jnp.arange(64.0)).real

    report = layouts.cost(filtered)(jnp.ones(64))
    by_transform = 64 * (64 // 2) * 6 + 64 * 64  # of 64 columns, and the products between
    assert report.planned.multiplications == by_transform < 64**3
