"""Primitives that are applied rather than written down: what mixes axes through no array at hand.

A cumulative sum, a convolution, a Fourier transform, a solve mixes some axes and leaves others
alone (samples, channels). Those are deltas; on the rest the primitive itself is the matrix.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from math import prod

import jax
import jax.numpy as jnp
from jax import lax

from layouts.axes import Axes, Label, fresh_axes, labels_of, sizes
from layouts.nodes import Map, Operator
from layouts.rules.equation import Equation, Operand
from layouts.sliding import Band, banded
from layouts.terms import Factor, Term, Terms
from layouts.waves import LONGEST, waves


def opaque(equation: Equation, firsts: Sequence[int]) -> dict[tuple[int, int], Terms]:
    """No rule: the whole primitive, by each linear operand, for each output.

    Args:
        equation: has no rule.
        firsts: for each linear operand which of them is the first that is the same array. What is
            given twice is one operand of the map: as a sum of two matrices it would be no map that
            can be applied.
    """
    once = sorted(set(firsts))
    linear = [equation.linear[n] for n in once]
    outs = [n for n, out in enumerate(equation.outs) if jnp.issubdtype(out.dtype, jnp.inexact)]

    def function(*tangents: jax.Array) -> Sequence[jax.Array]:
        given = dict(zip(once, tangents, strict=True))
        results = equation.apply(*(given[n] for n in firsts))
        return [results[n] for n in outs]

    operator = Operator(
        equation.name,
        function,
        tuple(equation.operands[n].aval(equation.operands[n].shape) for n in linear),
        tuple(equation.outs[n].aval(equation.outs[n].shape) for n in outs),
        None,
        (),
        equation.directions,
        equation.work,
        matrix_by=_matrix_by(equation),
        no_matrix=equation.directions == ("pull",)
        or any(_is_complex(o) or o.varies for o in (*equation.operands, *equation.outs)),
        stored=equation.stored,
    )
    found: dict[tuple[int, int], Terms] = {}
    for source, position in enumerate(linear):
        for target, place in enumerate(outs):
            operand, result = equation.operands[position], equation.outs[place]
            if 0 not in operand.shape + result.shape:
                axes = fresh_axes(result.shape), fresh_axes(operand.shape)
                labels = labels_of(axes[0] + axes[1])
                found[position, place] = _term(*axes, labels, operator, target, source)
    return found


def _term(
    out: Axes, into: Axes, labels: tuple[Label, ...], operator: Operator, target: int, source: int
) -> Terms:
    itemsize = operator.out_avals[target].dtype.itemsize
    node = Map(sizes(labels), itemsize, (), operator, target, source)
    return (Term(out, into, (Factor(node, labels),)),)


def _matrix_by(equation: Equation) -> str | None:
    """Between real and complex arrays a matrix has columns of the real, or rows of the real."""
    operands = any(_is_complex(operand) for operand in equation.operands if operand.linear)
    outs = any(map(_is_complex, equation.outs))
    if operands == outs:
        return None
    return "pull" if operands else "push"


def _is_complex(operand: Operand) -> bool:
    return bool(jnp.issubdtype(operand.dtype, jnp.complexfloating))


def partial(
    equation: Equation,
    alone: Mapping[int, int],
    each: Mapping[int, int] | None = None,
    packed: bool = False,
    entries: Terms | None = None,
    written: Callable[[], jax.Array] | None = None,
) -> dict[int, Terms]:
    """A primitive that leaves axes alone: deltas there, the primitive on the rest.

    Args:
        equation: has one linear operand and one output.
        alone: output axis → operand axis, where the map is the same all along.
        each: likewise, where it is another for each index (a batch).
        entries: the matrix of the rest as terms, where that is less.
        packed: the primitive takes no other sizes: columns are packed along `alone`.
        written: writes the matrix of the rest, the axes of the output and then of the operand.
    """
    each = each or {}
    (position,) = equation.linear
    operand, result = equation.operands[position], equation.out
    into, out = list(fresh_axes(operand.shape)), list(fresh_axes(result.shape))
    for target, source in {**alone, **each}.items():
        out[target] = into[source]
    shapes = [list(operand.shape), list(result.shape)]
    for target, source in alone.items():
        shapes[0][source] = shapes[1][target] = 1
    batches = [list(each.values()), list(each)]
    front = range(len(each))

    def function(tangent: jax.Array) -> Sequence[jax.Array]:
        (applied,) = equation.apply(jnp.moveaxis(tangent, front, batches[0]))
        return [jnp.moveaxis(applied, batches[1], front)]

    avals = [
        array.aval([shape[n] for n in batch] + [e for n, e in enumerate(shape) if n not in batch])
        for shape, batch, array in zip(shapes, batches, (operand, result), strict=True)
    ]
    way = _matrix_by(equation)
    repeated = prod(operand.shape[source] for source in alone.values())
    products, sums = (-(-count // max(repeated, 1)) for count in equation.work)
    operator = Operator(
        equation.name,
        function,
        (avals[0],),
        (avals[1],),
        _packed(equation, alone) if packed else None,
        tuple(operand.shape[n] for n in batches[0]),
        (way,) if way else equation.directions,
        (products, sums),
        not (alone or each),
        entries,
        way,
        written=written,
        stored=equation.stored,
    )
    shared = {*labels_of(out)} & {*labels_of(into)}
    apart = [label for label in labels_of(out) + labels_of(into) if label not in shared]
    labels = (*labels_of(into[n] for n in batches[0]), *apart)
    return {position: _term(tuple(out), tuple(into), labels, operator, 0, 0)}


def _packed(
    equation: Equation, alone: Mapping[int, int]
) -> Callable[[jax.Array], Sequence[jax.Array]]:
    """A primitive of fixed shapes on many columns: as many at once as it has places left alone."""
    (position,) = equation.linear
    shape, result = equation.operands[position].shape, equation.out.shape
    places = [shape[n] for n in alone.values()]

    def apply(columns: jax.Array) -> Sequence[jax.Array]:
        count, width = columns.shape[-1], prod(places)
        groups = -(-count // width)
        padded = jnp.pad(columns, [(0, 0)] * len(shape) + [(0, groups * width - count)])
        own = [extent for n, extent in enumerate(shape) if n not in alone.values()]
        packed = jnp.reshape(padded, (*own, groups, *places))
        packed = jnp.moveaxis(packed, range(len(own) + 1, packed.ndim), tuple(alone.values()))
        (applied,) = jax.vmap(equation.apply, in_axes=-1, out_axes=-1)(packed)
        applied = jnp.moveaxis(applied, tuple(alone), range(-len(alone), 0))
        own = [1 if n in alone else extent for n, extent in enumerate(result)]
        return [jnp.reshape(applied, (*own, groups * width))[..., :count]]

    return apply


def cumulative_sum(equation: Equation) -> dict[int, Terms]:
    """`out[i] = Σ_{j≤i} x[j]` along one axis."""
    axis, shape = equation.params["axis"], equation.out.shape
    extent = shape[axis]
    start = 0 if equation.params["reverse"] else 1 - extent
    ones = [Band(extent, extent, start, 1, extent)]
    written = functools.partial(banded, ones, equation.out.dtype)
    return partial(equation, {n: n for n in range(len(shape)) if n != axis}, written=written)


def fft(equation: Equation) -> dict[int, Terms]:
    """A discrete Fourier transform of the last axes."""
    lengths, kind = equation.params["fft_lengths"], equation.params["fft_type"]
    left = len(equation.out.shape) - len(lengths)
    outs, dtype = equation.out.shape[left:], equation.out.dtype
    written = None
    if kind != lax.FftType.IRFFT and max(lengths) <= LONGEST:  # IRFFT takes a real part: no matrix
        written = functools.partial(waves, outs, lengths, kind == lax.FftType.IFFT, dtype)
    return partial(equation, {n: n for n in range(left)}, written=written)


def window_sum(equation: Equation) -> dict[int, Terms]:
    """Sums over windows: the axes whose window is one entry are left alone."""
    alone = _untouched(equation)
    ones = _windows(equation, alone)
    written = None if ones is None else functools.partial(banded, ones, equation.out.dtype)
    return partial(equation, {n: n for n in alone}, written=written)


def window_pick(equation: Equation) -> dict[int, Terms] | None:
    """The entry of each window that another array has its extreme in: each sample its own."""
    if equation.linear != [0]:
        return None
    return partial(equation, {}, {n: n for n in _untouched(equation)})


def _windows(equation: Equation, alone: Sequence[int]) -> tuple[Band, ...] | None:
    """The windows of the other axes, where neither they nor the operand have holes."""
    params, rank = equation.params, len(equation.out.shape)
    ones = (1,) * rank
    for name in ("base_dilation", "window_dilation", "window_dilations"):
        if tuple(params.get(name) or ones) != ones:
            return None
    steps, padding = params["window_strides"] or ones, params["padding"] or ((0, 0),) * rank
    (position,) = equation.linear
    return tuple(
        Band(
            equation.out.shape[n],
            equation.operands[position].shape[n],
            -padding[n][0],
            steps[n],
            params["window_dimensions"][n],
        )
        for n in range(rank)
        if n not in alone
    )


def _untouched(equation: Equation) -> list[int]:
    params = equation.params
    rank = len(equation.out.shape)
    ones = (1,) * rank
    touched = zip(
        params["window_dimensions"],
        params["window_strides"] or ones,
        params["padding"] or ((0, 0),) * rank,
        params.get("base_dilation") or ones,
        strict=True,
    )
    return [n for n, entry in enumerate(touched) if entry == (1, 1, (0, 0), 1)]


def triangular_solve(equation: Equation) -> dict[int, Terms] | None:
    """`A x = b` or `x A = b` by b: each system of a batch its own, each right-hand side alike."""
    if equation.linear != [1]:
        return None
    rank = len(equation.out.shape)
    sides = rank - 1 if equation.params["left_side"] else rank - 2
    return partial(equation, {sides: sides}, {n: n for n in range(rank - 2)})
