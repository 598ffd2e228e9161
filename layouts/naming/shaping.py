"""Primitives that lay entries out anew, as expressions: views, pieces, arrays put together."""

from collections.abc import Sequence

from layouts.naming.step import Step, Writer
from layouts.show.value import Value
from layouts.show.views import expand, index, piece, reshape, transpose


def _broadcast(step: Step) -> Value:
    places = step.params["broadcast_dimensions"]
    return expand(step.values, step.operands[0], places, len(step.shape))


def _reshape(step: Step) -> Value:
    if step.equation.primitive.name == "reshape" and step.params["dimensions"] is not None:
        return step.values.unknown("reshape", step.full, [step.shape])[0]
    product = _kronecker(step)
    if product is not None:
        return product
    return reshape(step.values, step.operands[0], step.shapes[0], step.shape)


def _kronecker(step: Step) -> Value | None:
    """`kron(A, B)`, which JAX writes as an outer product with its axes taken two by two."""
    ((value,), (shape,)), rank = (step.operands, step.shapes), len(step.shape)
    if value.head != "product" or value.detail != (1, 1) or len(shape) != 2 * rank:
        return None
    if step.shape != tuple(a * b for a, b in zip(shape[::2], shape[1::2], strict=True)):
        return None
    entries = [[":", "None"] * rank, ["None", ":"] * rank]
    views = [tuple(entries[0]), tuple(entries[1]), tuple(entries[1][1:])]
    found: dict[int, Value] = {}
    for operand in value.operands:
        if rank == 1 and operand.shape == shape[1:] and shape[1:] != (1,):
            found[1] = operand
        elif operand.head == "index" and operand.detail in views:
            found[min(views.index(operand.detail), 1)] = operand.operands[0]
    sizes = shape[::2], shape[1::2]
    if [found[n].shape if n in found else () for n in (0, 1)] != [*sizes]:
        return None
    return step.values.call("kron", [found[0], found[1]], [], step.shape)


def _transpose(step: Step) -> Value:
    order = tuple(step.params["permutation"])
    return transpose(step.values, step.operands[0], step.shapes[0], order)


def _slice(step: Step) -> Value:
    if step.operands[0].shape == ():  # a number repeated is so in every piece
        return step.operands[0]
    starts, limits = step.params["start_indices"], step.params["limit_indices"]
    strides = step.params["strides"] or (1,) * len(starts)
    entries = []
    for start, limit, stride, extent in zip(starts, limits, strides, step.shapes[0], strict=True):
        first, last = str(start) if start else "", str(limit) if limit < extent else ""
        entries.append(f"{first}:{last}" + (f":{stride}" if stride != 1 else ""))
    (array,) = step.full
    if all(stride == 1 for stride in strides):
        found = piece(array, tuple(zip(starts, limits, strict=True)))
        if found is not None:
            return found
    while len(entries) > 1 and entries[-1] == ":":
        entries.pop()
    return index(step.values, array, tuple(entries), step.shape)


def parts(step: Step) -> Sequence[Value]:
    """The slices that an array is split into."""
    axis, start, found = step.params["axis"], 0, []
    (array,) = step.full
    for size in step.params["sizes"]:
        shape = tuple(size if n == axis else extent for n, extent in enumerate(array.shape))
        last = start + size
        entry = f"{start or ''}:{last if last < array.shape[axis] else ''}"
        bounds = tuple((start, last) if n == axis else (0, e) for n, e in enumerate(array.shape))
        own = piece(array, bounds)
        found.append(own or index(step.values, array, (*[":"] * axis, entry), shape))
        start = last
    return found


def _tile(step: Step) -> Value:
    options = [str(tuple(int(times) for times in step.params["reps"]))]
    return step.values.call("tile", step.full, options, step.shape)


def _rev(step: Step) -> Value:
    entries = ["::-1" if n in step.params["dimensions"] else ":" for n in range(len(step.shape))]
    return index(step.values, step.full[0], tuple(entries), step.shape)


def _concatenate(step: Step) -> Value:
    rows = [
        len(shape) < 3 and v.shape == shape[1:] and shape[0] == 1
        for v, shape in zip(step.operands, step.shapes, strict=True)
    ]
    if all(rows) and step.params["dimension"] == 0:
        return step.values.call("array", step.operands, [], step.shape)
    options = [f"axis={step.params['dimension']}"]
    return step.values.call("concat", step.full, options, step.shape)


def _stack(step: Step) -> Value:
    if step.params["axis"] == 0 and len(step.shape) < 3:
        return step.values.call("array", step.full, [], step.shape)
    return step.values.call("stack", step.full, [f"axis={step.params['axis']}"], step.shape)


def _pad(step: Step) -> Value:
    array, filler = step.full
    config = step.params["padding_config"]
    if all(tuple(axis) == (0, 0, 0) for axis in config):
        return array
    plain = all(low >= 0 and high >= 0 and between == 0 for low, high, between in config)
    if not plain or filler.head != "number":
        return step.values.unknown("pad", step.full, [step.shape])[0]
    widths = str(tuple((int(low), int(high)) for low, high, _ in config))
    filled = [] if filler.detail == (0,) else [f"constant_values={filler.detail[0]}"]
    return step.values.call("pad", [array], [widths, *filled], step.shape)


def _iota(step: Step) -> Value:
    shape, place = step.params["shape"], step.params["dimension"]
    counted = step.values.call("arange", [], [str(shape[place])], (shape[place],))
    return expand(step.values, counted, [place], len(shape))


SHAPING: dict[str, Writer] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "expand_dims": _reshape,
    "iota": _iota,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _rev,
    "slice": _slice,
    "stack": _stack,
    "squeeze": _reshape,
    "tile": _tile,
    "transpose": _transpose,
}
