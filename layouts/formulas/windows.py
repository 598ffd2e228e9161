"""Convolutions: a kernel that is laid on an image at one place after another.

    conv(X, W)[i,j,p] = Σ_kq W[j,k,q] X[i,k,s p + d q - l]

with samples i, features j and channels k, the step s, the dilation d and l zeros before the image;
there may be several axes of places. What lies outside of the image is zero. Where the image is
dilated by b, it is `Σ_kr X[i,k,r] W[j,k,b r - s p + l]`.

Source: the XLA operation semantics of ConvGeneralDilated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jax import lax


@dataclass(frozen=True)
class Window:
    """How a kernel lies on an image, for each axis of places.

    Attributes:
        strides: how far it moves from place to place.
        padding: the zeros before and after the image; fewer than none cut it off.
        dilation: how far apart the kernel's entries lie.
        spread: how far apart the image's entries lie.
        groups: 1, or as many as there are channels, each of which has a kernel of its own.
    """

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    spread: tuple[int, ...]
    groups: int = 1

    @staticmethod
    def of(places: int, options: Mapping[str, Any]) -> Window:
        """The window of so many axes of places that has these options, the others left out.

        Example:
            >>> Window.of(1, {"strides": (2,)}).padding
            ((0, 0),)
        """
        ones = (1,) * places
        return Window(**{**vars(Window(ones, ((0, 0),) * places, ones, ones)), **options})

    @property
    def options(self) -> dict[str, Any]:
        """What differs from a plain window."""
        plain = vars(Window.of(len(self.strides), {}))
        return {name: value for name, value in vars(self).items() if value != plain[name]}


def conv(image: Any, kernel: Any, **options: Any) -> Any:
    """A convolution as networks have it: the kernel is not flipped.

    Args:
        image: samples × channels × places.
        kernel: features × channels × places.
        options: those of a `Window`.

    Returns:
        Samples × features × places.
    """
    return convolve(Window.of(len(image.shape) - 2, options), image, kernel)


def convolve(window: Window, image: Any, kernel: Any) -> Any:
    """A kernel laid on an image; arguments as for `conv`."""
    return lax.conv_general_dilated(
        image,
        kernel,
        window.strides,
        window.padding,
        window.spread,
        window.dilation,
        feature_group_count=window.groups,
    )
