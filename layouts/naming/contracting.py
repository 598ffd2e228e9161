"""Primitives that bring entries of an axis together, as expressions: products, sums, sorting."""

from collections.abc import Sequence

from layouts.naming.step import Step, Writer
from layouts.naming.windows import is_plain, window_of
from layouts.show.products import einsum, reduce
from layouts.show.value import Value
from layouts.show.views import expand, full


def _reduction(name: str) -> Writer:
    def write(step: Step) -> Value:
        axes = step.params["axes"]
        return reduce(step.values, name, step.full[0], axes) if axes else step.operands[0]

    return write


def _cumulative(name: str) -> Writer:
    def write(step: Step) -> Value:
        options = [f"axis={step.params['axis']}"] + ["reverse=True"] * step.params["reverse"]
        return step.values.call(name, step.full, options, step.shape)

    return write


def _convolution(step: Step) -> Value:
    window = window_of(step.equation)
    if window is None or not is_plain(step.equation):
        return step.values.unknown("conv_general_dilated", step.full, [step.shape])[0]
    options = [f"{name}={value}" for name, value in window.options.items()]
    return step.values.call("conv", step.full, options, step.shape)


def _dot_general(step: Step) -> Value:
    (contracted, batch), shapes = step.params["dimension_numbers"], step.shapes
    labels = iter(range(sum(map(len, shapes))))
    indices = [[next(labels) for _ in shape] for shape in shapes]
    for pairs in (contracted, batch):
        for left, right in zip(*pairs, strict=True):
            indices[1][right] = indices[0][left]
    output = [indices[0][axis] for axis in batch[0]]
    for side in (0, 1):
        taken = {*contracted[side], *batch[side]}
        output += [n for axis, n in enumerate(indices[side]) if axis not in taken]
    extents = [extent for shape in shapes for extent in shape]
    return einsum(step.values, step.operands, indices, output, extents)


def in_order(step: Step) -> Sequence[Value] | None:
    """`sort(x)`, and `argsort(x)` where places are sorted along."""
    axis, (x, *others) = step.params["dimension"], step.full
    options = [f"axis={axis}"] * (len(step.shape) > 1)
    found = [step.values.call("sort", [x], options, step.shape)]
    size = step.shape[axis]
    counted = step.values.call("arange", [], [str(size)], (size,))
    places = full(step.values, expand(step.values, counted, [axis], len(step.shape)), step.shape)
    if step.params["num_keys"] > 1 or others not in ([], [places]):
        return None
    argsort = step.values.call("argsort", [x], options, step.shape)
    return [*found, argsort] if others else found


CONTRACTING: dict[str, Writer] = {
    **{f"reduce_{name}": _reduction(name) for name in ("sum", "max", "min", "prod")},
    **{f"reduce_{old}": _reduction(new) for old, new in (("or", "any"), ("and", "all"))},
    **{name: _cumulative(name) for name in ("cumsum", "cumprod", "cummax", "cummin")},
    "conv_general_dilated": _convolution,
    "dot_general": _dot_general,
}
