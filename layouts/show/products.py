"""Products of arrays with labelled axes, written the plainest way that says the same."""

from collections.abc import Sequence
from math import prod
from string import ascii_lowercase, ascii_uppercase

from layouts.show.patterns import traced
from layouts.show.value import Shape, Value, centred, identity_size, is_call, parted
from layouts.show.values import Values
from layouts.show.views import expand, full, squeeze, transpose

LETTERS = ascii_lowercase[8:] + ascii_lowercase[:8] + ascii_uppercase
Indices = Sequence[int]


def align(values: Values, value: Value, shape: Shape, indices: Indices, output: Indices) -> Value:
    """Move an array's axes to where the output has them, so that it broadcasts against it.

    Args:
        values: makes the result.
        value: the array.
        shape: its shape.
        indices: the index of each of its axes, no two the same.
        output: the index of each axis of the output.
    """
    order = tuple(sorted(range(len(indices)), key=lambda axis: output.index(indices[axis])))
    value = transpose(values, value, shape, order)
    return expand(values, value, [output.index(indices[axis]) for axis in order], len(output))


def einsum(
    values: Values,
    operands: Sequence[Value],
    indices: Sequence[Indices],
    output: Indices,
    extents: Sequence[int],
) -> Value:
    """A product of arrays, summed over the indices that the output lacks.

    Args:
        values: makes the result.
        operands: the arrays.
        indices: for each the index of each axis.
        output: the index of each axis of the result.
        extents: the size of each index.

    Returns:
        `a * b`, `A @ B`, `Aᵀ @ x` or `sum(A, axis=1)` where it is one, else `einsum(...)`.

    Example:
        >>> values = Values()
        >>> W, G = values.name("W", (4, 3)), values.name("G", (4, 5))
        >>> product = einsum(values, [W, G], [(0, 1), (0, 2)], (1, 2), (4, 3, 5))
        >>> product.head, [operand.head for operand in product.operands]
        ('matmul', ['transpose', 'name'])
    """
    shapes = [tuple(extents[n] for n in index) for index in indices]
    used = {n for index in indices for n in index}
    if all(len(set(index)) == len(index) for index in indices):
        if used <= set(output):
            parts = zip(operands, shapes, indices, strict=True)
            aligned = [align(values, v, shape, index, output) for v, shape, index in parts]
            return values.multiply([(value, 1) for value in aligned])
        operands = [full(values, v, shape) for v, shape in zip(operands, shapes, strict=True)]
        if len(operands) == 1:
            return _sum(values, operands[0], indices[0], output, extents)
        numbers, bare = zip(*map(parted, operands), strict=True)
        product = _matmul(values, bare, indices, tuple(output)) if len(bare) == 2 else None
        if product is not None:
            return values.add([(numbers[0] * numbers[1], product)])
    else:
        operands = [full(values, v, shape) for v, shape in zip(operands, shapes, strict=True)]
    letter = dict(zip(dict.fromkeys([*output, *sorted(used)]), LETTERS, strict=False))
    sides = [",".join("".join(letter[n] for n in index) for index in indices)]
    sides.append("".join(letter[n] for n in output if n in used))
    pattern = values.name(f"'{'->'.join(sides)}'", ())
    result = values.call(
        "einsum", [pattern, *operands], [], tuple(extents[n] for n in output if n in used)
    )
    return align(values, result, result.shape, [n for n in output if n in used], output)


def _sum(
    values: Values, value: Value, indices: Indices, output: Indices, extents: Sequence[int]
) -> Value:
    """One array summed over some of its axes."""
    axes = [axis for axis, n in enumerate(indices) if n not in output]
    kept = [n for n in indices if n in output]
    total = reduce(values, "sum", value, axes)
    shape = tuple(extents[n] for n in kept)
    return align(values, total, shape, kept, output)


def reduce(values: Values, function: str, value: Value, axes: Sequence[int]) -> Value:
    """`sum(x)`, `max(x, axis=1)`, `sum(x, axis=(0, 2))`; `value` is full."""
    shape = tuple(extent for axis, extent in enumerate(value.shape) if axis not in axes)
    if function == "sum" and value.head == "sum" and len(value.operands) == 1:
        total = reduce(values, function, full(values, value.operands[0], value.shape), axes)
        return values.add([(value.detail[0], total)])
    if function == "sum" and is_call(value, "broadcast_to") and value.operands[0].shape == ():
        count = prod(extent for axis, extent in enumerate(value.shape) if axis in axes)
        return full(values, values.add([(count, value.operands[0])]), shape)
    if all(value.shape[axis] == 1 for axis in axes):
        return squeeze(values, value, [axis - len(value.shape) for axis in axes])
    whole = len(axes) == len(value.shape)
    options = [] if whole else [f"axis={axes[0]}" if len(axes) == 1 else f"axis={tuple(axes)}"]
    if function == "sum" and centred(value, options) is not None:
        return values.number(0)
    matrix = traced(values, value) if function == "sum" and whole else None
    if matrix is not None:
        return values.call("trace", [matrix], [], shape)
    return values.call(function, [value], options, shape)


def _matmul(
    values: Values, operands: Sequence[Value], indices: Sequence[Indices], output: tuple[int, ...]
) -> Value | None:
    """Matrices and vectors that meet in one summed index and share no other."""
    common = set(indices[0]) & set(indices[1])
    if len(common) != 1 or common & set(output) or max(map(len, indices)) > 2:
        return None
    free = [tuple(n for n in index if n not in common) for index in indices]
    order = (0, 1) if free[0] + free[1] == output else (1, 0)
    if free[order[0]] + free[order[1]] != output:
        return None
    left, right = (operands[n] for n in order)
    if len(left.shape) == 2 and indices[order[0]][0] in common:
        left = transpose(values, left, left.shape, (1, 0))
    if len(right.shape) == 2 and indices[order[1]][1] in common:
        right = transpose(values, right, right.shape, (1, 0))
    shape = left.shape[:-1] + right.shape[1:]
    if len(right.shape) == 1 and left.head == "transpose":
        left, right = right, left.operands[0]
    elif len(left.shape) == 1 and right.head == "transpose":
        left, right = right.operands[0], left
    for identity, other in ((left, right), (right, left)):
        if identity_size(identity):
            return other
    return values.make("matmul", (left, right), (), shape)
