"""Convolutions: by the images the kernel slides along, by the kernel the images do."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import jax
import jax.numpy as jnp

from layouts.axes import Axes, Axis, Label, fresh_axes, labels_of
from layouts.nodes import Node, Reshape, Take
from layouts.rules.equation import Equation
from layouts.rules.operators import partial
from layouts.selection import Selection
from layouts.sliding import Slide, slid
from layouts.terms import Factor, Term, Terms


def convolution(equation: Equation) -> dict[int, Terms] | None:
    """By the images each sample alike; by the kernel each output feature alike."""
    left, right, out = equation.params["dimension_numbers"]
    if equation.params["batch_group_count"] > 1 or len(equation.linear) > 1:
        return None
    groups = equation.params["feature_group_count"]
    if equation.linear == [0]:
        written = functools.partial(_by_images, equation) if groups == 1 else None
        return partial(equation, {out[0]: left[0]}, entries=_taps(equation), written=written)
    if groups > 1:
        return None
    return partial(equation, {out[1]: right[0]}, written=functools.partial(_by_kernel, equation))


@dataclass(frozen=True)
class Side:
    """One axis of images, kernel and output: `holes i + i = stride p + dilation q - low`.

    Attributes:
        outs: how many places p the output has.
        ins: how many entries i the images have.
        taps: how many entries q the kernel has.
        low: the padding before the first entry.
        stride: from one place of the output to the next.
        dilation: from one entry of the kernel to the next.
        holes: zeros between one entry of the images and the next.
    """

    outs: int
    ins: int
    taps: int
    low: int
    stride: int
    dilation: int
    holes: int


def _sides(equation: Equation) -> list[Side]:
    """The axes that a convolution moves along, in its own order."""
    params, (images, kernel) = equation.params, equation.operands
    left, right, out = (spec[2:] for spec in params["dimension_numbers"])
    ones = (1,) * len(out)
    return [
        Side(
            equation.out.shape[out[n]],
            images.shape[left[n]],
            kernel.shape[right[n]],
            params["padding"][n][0],
            params["window_strides"][n],
            (params["rhs_dilation"] or ones)[n],
            (params["lhs_dilation"] or ones)[n] - 1,
        )
        for n in range(len(out))
    ]


def _by_images(equation: Equation) -> jax.Array:
    """Of one sample: `∂out[o,p] / ∂x[c,i] = K[o,c,q]` with `d q = l - s p + b i`."""
    left, right, out = equation.params["dimension_numbers"]
    slides = [
        (Slide(side.outs, side.ins, side.low, -side.stride, side.holes + 1), side.dilation - 1)
        for side in _sides(equation)
    ]
    return _slid(equation, 1, right, (out[1:], left[1:]), slides)


def _by_kernel(equation: Equation) -> jax.Array:
    """Of one output feature: `∂out[n,p] / ∂K[c,q] = x[n,c,i]` with `b i = s p + d q - l`."""
    left, right, out = equation.params["dimension_numbers"]
    slides = [
        (Slide(side.outs, side.taps, -side.low, side.stride, side.dilation), side.holes)
        for side in _sides(equation)
    ]
    return _slid(equation, 0, left, ((out[0], *out[2:]), right[1:]), slides)


def _slid(
    equation: Equation,
    position: int,
    spec: Sequence[int],
    ends: tuple[Sequence[int], Sequence[int]],
    slides: Sequence[tuple[Slide, int]],
) -> jax.Array:
    """The matrix, its axes as the output and then as the operand has them.

    Args:
        equation: the convolution.
        position: which operand holds the entries.
        spec: where that has an axis of the output, one of the operand, those that it slides along.
        ends: where the output and the operand have those axes, and those that it slides along.
        slides: how it slides along each, and how many zeros stand between its entries.
    """
    array = equation.operands[position].value
    assert array is not None
    outs, ins = (sorted(range(len(places)), key=places.__getitem__) for places in ends)
    own = spec[0], *spec[2:]
    array = jnp.transpose(array, [*(own[n] for n in outs), spec[1]])
    for at, n in enumerate(ins, len(outs)):
        if n > 0:  # the first stands there already: all others are put in before it or behind
            slide, holes = slides[n - 1]
            array = slid(array, outs.index(n), at, slide, holes)
    return array.astype(equation.out.dtype)


# A kernel of more places is not written as one shift for each.
MOST_TAPS = 16


def _taps(equation: Equation) -> Terms | None:
    """A convolution of one sample as shifts: `out[o,p] = Σ_q K[o,c,q] x[c, s p + d q - l]`.

    Each place q of the kernel is a term: a slice of the kernel, and on each axis a selection.
    """
    left, right, out = equation.params["dimension_numbers"]
    sides, kernel = _sides(equation), equation.operands[1]
    plain = equation.params["feature_group_count"] == 1 and not any(side.holes for side in sides)
    small = prod(side.taps for side in sides) <= MOST_TAPS
    small = small and all(1 not in (side.outs, side.ins) for side in sides)
    if kernel.value is None or not (plain and small):
        return None
    leaf = equation.leaf(kernel.value, kernel.name)
    terms = []
    for tap in product(*(range(side.taps) for side in sides)):
        features = fresh_axes([kernel.shape[n] for n in right[:2]])  # output, input
        outs, ins = [(Label(s.outs),) for s in sides], [(Label(s.ins),) for s in sides]
        selections = tuple(
            Selection.affine(into[0], label[0], side.dilation * q - side.low, side.stride)
            for label, into, side, q in zip(outs, ins, sides, tap, strict=True)
        )
        weights = _slice_of(leaf, dict(zip(right[2:], tap, strict=True)))
        factor = Factor(weights, labels_of(_arranged(right[:2], features)))
        target = _arranged(out, ((), features[0], *outs))
        source = _arranged(left, ((), features[1], *ins))
        if not any(selection.empty for selection in selections):
            terms.append(Term(target, source, (factor,), 1, selections))
    return tuple(terms)


def _slice_of(leaf: Node, places: Mapping[int, int]) -> Node:
    """An array at one place along some axes; picked only where it is used."""
    node = leaf
    for axis, place in places.items():
        shape = (*node.shape[:axis], 1, *node.shape[axis + 1 :])
        node = Take(shape, node.itemsize, (node,), axis, place, 1, (0, 1))
    return Reshape(tuple(n for n in node.shape if n != 1), node.itemsize, (node,))


def _arranged(spec: Sequence[int], axes: Sequence[Axis]) -> Axes:
    """Axes given in a convolution's order, feature before places, put where its array has them."""
    return tuple(axes[spec.index(place)] for place in sorted(spec))
