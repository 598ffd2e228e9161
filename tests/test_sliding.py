"""Matrices of what slides along an array: against NumPy, and in convolutions of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import layouts
from layouts.sliding import FEW, Slide, slid

SLIDES = [
    Slide(outs=4, ins=3, start=-1, step=1, stride=1),
    Slide(outs=5, ins=FEW + 2, start=2, step=-1, stride=1),
    Slide(outs=3, ins=2, start=1, step=2, stride=3),
    Slide(outs=3, ins=FEW + 1, start=-4, step=2, stride=1),
    Slide(outs=2, ins=2, start=2, step=1, stride=1),  # reads a part of the array
    Slide(outs=2, ins=2, start=40, step=1, stride=1),  # reads nothing
]


@pytest.mark.parametrize("holes", [0, 2])
@pytest.mark.parametrize("slide", SLIDES, ids=str)
def test_every_entry_is_the_one_that_is_named(slide, holes):
    array = np.random.default_rng(1).normal(size=(3, 7, 2))
    apart = np.zeros((3, 6 * (holes + 1) + 1, 2))
    apart[:, :: holes + 1] = array
    wanted = np.zeros((3, slide.outs, 2, slide.ins))
    for i in range(slide.outs):
        for j in range(slide.ins):
            place = slide.start + slide.step * i + slide.stride * j
            if 0 <= place < apart.shape[1]:
                wanted[:, i, :, j] = apart[:, place]
    np.testing.assert_array_equal(slid(jnp.asarray(array), 1, 3, slide, holes), wanted)


# Sizes of image and kernel, strides, padding, dilation of the image and of the kernel, and how the
# axes of images, kernel and output lie.
CONVOLUTIONS = {
    "long": ((31,), (19,), (1,), ((18, 18),), (1,), (1,), ("NCH", "OIH", "NCH")),
    "longer than the image": ((5,), (23,), (2,), ((23, 20),), (1,), (1,), ("HNC", "HIO", "CNH")),
    "with holes": ((7,), (5,), (2,), ((4, 3),), (3,), (2,), ("NHC", "IHO", "NHC")),
    "cropped": ((9,), (17,), (1,), ((-1, 12),), (1,), (1,), ("NCH", "OIH", "HCN")),
    "images": ((7, 6), (5, 4), (1, 2), ((2, 2), (0, 3)), (1, 1), (1, 1), ("NHWC", "HWIO", "NHWC")),
    "turned": ((5, 6), (3, 2), (2, 1), ((1, 0), (1, 1)), (1, 2), (2, 1), ("CWHN", "WOHI", "WCNH")),
}


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_written_without_a_product(name, position):
    size, taps, strides, padding, holes, dilation, spec = CONVOLUTIONS[name]
    extents = {"N": 2, "C": 3, "O": 4, **dict(zip("HW", size, strict=False))}
    draw = np.random.default_rng(3).normal
    images = jnp.asarray(draw(size=[extents[axis] for axis in spec[0]]))
    extents |= {"I": 3, **dict(zip("HW", taps, strict=False))}
    kernel = jnp.asarray(draw(size=[extents[axis] for axis in spec[1]]))

    def convolve(images, kernel):
        return lax.conv_general_dilated(images, kernel, strides, padding, holes, dilation, spec)

    wanted = jax.jacfwd(convolve, position)(images, kernel)
    ours = jax.jit(layouts.jacobian(convolve, position))
    np.testing.assert_array_equal(ours(images, kernel), wanted)
    linear = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in (images, kernel)]
    assert layouts.cost(convolve, position)(*linear).planned.multiplications == 0
    assert "convolution" not in ours.lower(images, kernel).as_text()
    J = layouts.jacobian(convolve, position, structured=True)(images, kernel)
    value, pull = jax.vjp(convolve, images, kernel)
    cotangent = jnp.asarray(draw(size=value.shape))
    np.testing.assert_allclose(J.vjp(cotangent), pull(cotangent)[position], atol=1e-12)
