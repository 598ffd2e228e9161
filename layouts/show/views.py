"""Arrays seen in another shape: axes added, taken away, permuted, repeated."""

from collections.abc import Sequence
from itertools import zip_longest

from layouts.show.patterns import turn
from layouts.show.value import ELEMENTWISE, Shape, Value, is_call, put_in
from layouts.show.values import Values


def full(values: Values, value: Value, shape: Shape) -> Value:
    """The value with every repetition spelt out."""
    if value.shape == shape:
        return value
    return values.call("broadcast_to", [value], [str(shape)], shape)


def index(values: Values, value: Value, entries: tuple[str, ...], shape: Shape) -> Value:
    """Such as `x[:, None]` or `x[1:]`; `value` is full."""
    if value.head == "index":
        found = _composed(value.detail, entries)
        if found is not None:
            return values.make("index", value.operands, found, shape)
    return values.make("index", (value,), entries, shape)


def _composed(inner: Sequence[str], outer: Sequence[str]) -> tuple[str, ...] | None:
    """`x[2:][0]` as `x[2]`: places picked among slices from the front; None for all else."""
    if len(outer) < len(inner) or not any(map(str.isdigit, outer)):
        return None
    found = []
    for before, entry in zip_longest(inner, outer, fillvalue=":"):
        start, colon, rest = before.partition(":")
        step = rest.partition(":")[2]
        if not colon or not f"0{start}{step}".isdigit() or not (entry == ":" or entry.isdigit()):
            return None
        picked = str(int(start or 0) + int(step or 1) * int(entry)) if entry != ":" else before
        found.append(picked)
    while len(found) > 1 and found[-1] == ":":
        found.pop()
    return tuple(found)


def piece(value: Value, bounds: tuple[tuple[int, int], ...]) -> Value | None:
    """The one of the arrays joined to `value` that lies within these bounds, if it is one."""
    if is_call(value, "array"):
        (first, last), *others = bounds
        whole = others == [(0, extent) for extent in value.shape[1:]]
        return value.operands[first] if whole and last == first + 1 else None
    if not is_call(value, "concat"):
        return None
    axis, start = int(value.detail[1].removeprefix("axis=")), 0
    for operand in value.operands:
        own = [(0, extent) for extent in value.shape]
        own[axis] = (start, start + operand.shape[axis])
        start = own[axis][1]
        if tuple(own) == bounds:
            return operand
    return None


def expand(values: Values, value: Value, places: Sequence[int], rank: int) -> Value:
    """Axis n of the array becomes axis `places[n]` of one of this rank, the others size one."""
    places = tuple(places)[len(places) - len(value.shape) :]
    if places == tuple(range(rank - len(places), rank)):
        return value
    arrays = [operand for operand in value.operands if operand.shape != ()]
    scaled = value.head == "sum" and len(value.operands) == 1
    if scaled or (value.head == "product" and len(arrays) == 1):
        return values.again(value, [expand(values, v, places, rank) for v in value.operands])
    entries = put_in(places, rank)
    extents = iter(value.shape)
    shape = tuple(next(extents) if entry == ":" else 1 for entry in entries)
    return index(values, value, entries, shape)


def squeeze(values: Values, value: Value, axes: Sequence[int], depth: int = 4) -> Value:
    """Without axes of size one, counted from the end: -1 is the last."""
    rank = len(value.shape)
    axes = [axis for axis in axes if axis >= -rank]
    if not axes:
        return value
    if value.head in ELEMENTWISE and depth:
        inner = [squeeze(values, operand, axes, depth - 1) for operand in value.operands]
        return values.again(value, inner)
    shape = tuple(extent for n, extent in enumerate(value.shape) if n - rank not in axes)
    if is_call(value, "broadcast_to") and value.operands[0].shape == ():
        return full(values, value.operands[0], shape)
    indexed = value.head == "index" and len(value.detail) == rank
    if indexed and all(value.detail[axis] == "None" for axis in axes):
        kept = [e for n, e in enumerate(value.detail) if n - rank not in axes]
        places = [n for n, entry in enumerate(kept) if entry == ":"]
        if len(places) == len(value.operands[0].shape):
            return expand(values, value.operands[0], places, len(kept))
    entries = tuple("0" if n - rank in axes else ":" for n in range(rank))
    return index(values, value, entries, shape)


def reshape(values: Values, value: Value, shape: Shape, target: Shape) -> Value:
    """The same entries in another shape; axes of size one come and go as indices."""
    if value.shape == () or shape == target:
        return value
    squeezed = tuple(extent for extent in shape if extent != 1)
    if squeezed != tuple(extent for extent in target if extent != 1):
        return values.call("reshape", [full(values, value, shape)], [str(target)], target)
    value = squeeze(values, value, [n - len(shape) for n, e in enumerate(shape) if e == 1])
    return expand(values, value, [n for n, e in enumerate(target) if e != 1], len(target))


def transpose(values: Values, value: Value, shape: Shape, order: tuple[int, ...]) -> Value:
    """The axes in another order; `Wᵀ` for a matrix."""
    if value.shape == () or order == tuple(range(len(order))):
        return value
    value = full(values, value, shape)
    target = tuple(shape[axis] for axis in order)
    if order != (1, 0):
        return values.call("transpose", [value], [str(order)], target)
    return turn(values, value)
