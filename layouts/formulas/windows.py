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

import jax.numpy as jnp
from jax import lax


@dataclass(frozen=True)
class Window:
    """How a kernel lies on an image, for each axis of places.

    Attributes:
        strides: how far it moves from place to place.
        padding: the zeros before and after the image; fewer than none cut it off.
        dilation: how far apart the kernel's entries lie.
        spread: how far apart the image's entries lie.
        groups: how many the channels and the features are parted in; each feature is made of the
            channels of its own group.
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


def maxpool(array: Any, window: Any, strides: Any, padding: Any = None) -> Any:
    """The greatest entry of each window.

    Args:
        array: of as many axes as the window.
        window: its size along each axis.
        strides: how far it moves along each axis.
        padding: how far it reaches beyond the array, before and after; not at all unless told.
    """
    array = jnp.asarray(array)
    widths = padding or ((0, 0),) * array.ndim
    least = jnp.asarray(-jnp.inf, array.dtype)
    return lax.reduce_window(array, least, lax.max, window, strides, widths)


def argmaxpool(
    array: Any, window: Any, strides: Any, padding: Any = None, axis: int | None = None
) -> Any:
    """Where the first greatest entry of each window stands.

    Args:
        axis: along which axis its place is told; in `array.reshape(-1)` unless told.
        array: of as many axes as the window.
        window: as for `maxpool`.
        strides: as for `maxpool`.
        padding: as for `maxpool`.
    """
    array = jnp.asarray(array)
    widths = padding or ((0, 0),) * array.ndim
    entries = jnp.pad(array, widths, constant_values=-jnp.inf)
    places = jnp.pad(jnp.arange(array.size).reshape(array.shape), widths, constant_values=-1)
    for along, (size, step) in enumerate(zip(window, strides, strict=True)):
        last = (entries.shape[along] - size) // step * step + 1
        rows = [
            [lax.slice_in_dim(a, n, n + last, step, along) for n in range(size)]
            for a in (entries, places)
        ]
        entries, places = rows[0][0], rows[1][0]
        for entry, place in zip(*(row[1:] for row in rows), strict=True):
            greater = entry > entries
            entries, places = jnp.where(greater, entry, entries), jnp.where(greater, place, places)
    return places if axis is None else jnp.unravel_index(places, array.shape)[axis]
