"""Entries looked up by tables of indices, as expressions: `take`, `take_along_axis`, `diag`."""

from layouts.naming.step import Step
from layouts.show.value import Value, is_call
from layouts.show.views import expand, index, reshape


def gather(step: Step) -> Value:
    """Rows, columns or entries looked up by indices."""
    taken = _taken(step) or _paired(step)
    return taken or step.values.unknown("gather", step.full, [step.shape])[0]


def _taken(step: Step) -> Value | None:
    """`take(E, idx, axis=0)`, or along an axis by as many indices as there are lines."""
    numbers, extents = step.params["dimension_numbers"], step.shapes[0]
    if len(numbers.start_index_map) != 1:
        return None
    (axis,), rank = numbers.start_index_map, len(extents)
    sizes = tuple(1 if n == axis else extent for n, extent in enumerate(extents))
    array, table = step.full
    inner, number = table.shape[:-1], step.operands[1]
    places = reshape(step.values, table, table.shape, inner)
    others = tuple(n for n in range(rank) if n != axis)
    batching = tuple(numbers.operand_batching_dims)
    if tuple(numbers.collapsed_slice_dims) != (axis,) or table.shape[-1] != 1:
        return None
    if batching == others and tuple(numbers.start_indices_batching_dims) == others and rank > 1:
        return step.values.call("take_along_axis", [array, places], [f"axis={axis}"], step.shape)
    kept = tuple(n if n < axis else n + len(inner) - 1 for n in others)
    if batching or tuple(step.params["slice_sizes"]) != sizes or kept != numbers.offset_dims:
        return None
    if inner == () and number.head == "number" and 0 <= number.detail[0] < extents[axis]:
        return index(step.values, array, (*[":"] * axis, str(number.detail[0])), step.shape)
    return step.values.call("take", [array, places], [f"axis={axis}"], step.shape)


def _paired(step: Step) -> Value | None:
    """`P[arange(n), y]`, which is `take_along_axis(P, y[:, None], axis=1)[:, 0]`."""
    numbers, (array, table) = step.params["dimension_numbers"], step.full
    if len(array.shape) != 2 or tuple(numbers.start_index_map) != (0, 1) or step.shape == ():
        return None
    if tuple(numbers.collapsed_slice_dims) != (0, 1) or not is_call(table, "concat"):
        return None
    if len(table.operands) != 2 or len(table.shape) != 2 or table.shape[0] != array.shape[0]:
        return None
    row, column = table.operands
    every = step.values.call("arange", [], [str(table.shape[0])], table.shape[:1])
    if row is not expand(step.values, every, [0], 2):
        return None
    if column is row and array.shape[0] == array.shape[1]:
        return step.values.call("diag", [array], [], step.shape)
    found = step.values.call("take_along_axis", [array, column], ["axis=1"], column.shape)
    return reshape(step.values, found, column.shape, step.shape)
