"""Jaxprs as expressions: each variable as what it is of the named inputs.

A primitive is written as people write it (`_PRIMITIVES`); one that is not in the table is written
`name(operands)`, which says less but nothing wrong. Calls are read through.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from layouts.naming.units import Unit, unit_of
from layouts.naming.windows import is_plain, window_of
from layouts.reader import INLINED, walk
from layouts.show.patterns import diagonal, inverse, logarithm, root, stepped
from layouts.show.products import einsum, reduce
from layouts.show.value import Shape, Value, is_call
from layouts.show.values import Values
from layouts.show.views import expand, full, index, piece, reshape, transpose

# An array of whole numbers is written out up to this many.
MOST_SHOWN = 8


def read(
    values: Values, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Value]
) -> list[Value]:
    """Read a jaxpr.

    Args:
        values: makes the expressions.
        jaxpr: the program.
        constants: the arrays that it holds.
        arguments: the expressions of its inputs.

    Returns:
        The expressions of its outputs.

    Example:
        >>> closed = jax.make_jaxpr(lambda x: -jnp.sin(x))(1.0)
        >>> values = Values()
        >>> (result,) = read(values, closed.jaxpr, closed.consts, [values.name("x", ())])
        >>> result.head, result.detail, result.operands[0].detail
        ('sum', (-1,), ('sin',))
    """

    def step(equation: JaxprEqn, operands: Sequence[Value]) -> Sequence[Value]:
        return _results(values, equation, tuple(operands))

    known = [constant(values, array) for array in constants]
    return walk(jaxpr, known, arguments, step, lambda atom: constant(values, atom.val))


def cut(closed: ClosedJaxpr, primitives: Collection[str]) -> ClosedJaxpr | None:
    """A program that ends with the first of these primitives; None where it has none."""
    for equation in closed.jaxpr.eqns:
        if equation.primitive.name in primitives:
            return closed.replace(jaxpr=closed.jaxpr.replace(outvars=equation.outvars))
    return None


def constant(values: Values, array: Any) -> Value:
    """A number, an array that repeats one number, or else an array without an expression."""
    shape = np.shape(array)
    if isinstance(array, jax.core.Tracer) or np.size(array) == 0:
        return values.constant(shape)
    dtype = jnp.result_type(array)
    if jnp.issubdtype(dtype, jnp.number) or dtype == jnp.bool_:
        entries = np.asarray(array).reshape(-1)
        first = entries[0].item()
        if bool(((entries == first) | (entries != entries)).all()):
            return values.name(str(first), ()) if dtype == jnp.bool_ else values.number(first)
        if jnp.issubdtype(dtype, jnp.integer) and len(shape) == 1 and len(entries) <= MOST_SHOWN:
            return values.name(f"array({entries.tolist()})", shape)
    return values.constant(shape)


@dataclass(frozen=True)
class _Step:
    """One equation with what its operands are."""

    values: Values
    equation: JaxprEqn
    operands: tuple[Value, ...]

    @property
    def params(self) -> dict[str, Any]:
        return self.equation.params

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of the operands, every repetition counted."""
        return [getattr(atom.aval, "shape", ()) for atom in self.equation.invars]

    @property
    def shape(self) -> Shape:
        return getattr(self.equation.outvars[0].aval, "shape", ())

    @property
    def full(self) -> list[Value]:
        """The operands with every repetition spelt out."""
        return [full(self.values, v, s) for v, s in zip(self.operands, self.shapes, strict=True)]

    def kind(self, place: int = 0) -> Any:
        """The dtype of an operand."""
        return getattr(self.equation.invars[place].aval, "dtype", None)


def _results(values: Values, equation: JaxprEqn, operands: tuple[Value, ...]) -> Sequence[Value]:
    name = equation.primitive.name
    unit = unit_of(equation)
    if unit is not None:
        return _called(_Step(values, equation, operands), unit)
    if name in INLINED and INLINED[name] in equation.params:
        body = equation.params[INLINED[name]]
        return read(values, getattr(body, "jaxpr", body), getattr(body, "consts", ()), operands)
    step = _Step(values, equation, operands)
    if name in _PRIMITIVES:
        return [_PRIMITIVES[name](step)]
    found = _SEVERAL[name](step) if name in _SEVERAL else None
    if found is not None:
        return found
    outputs = [getattr(var.aval, "shape", ()) for var in equation.outvars]
    return values.unknown(name, step.full, outputs)


def _called(step: _Step, unit: Unit) -> Sequence[Value]:
    """A call of the library, as one."""
    if unit.name == "slogdet":
        determinant = step.values.call("det", step.full, [], ())
        logarithm = step.values.call("logdet", step.full, [], ())
        return [step.values.map("sign", determinant), logarithm]
    if unit.name == "solve":
        (_, b), output = step.shapes, tuple(range(2, 1 + len(step.shapes[1])))
        indices = [(0, 1), (1, *output)]
        operands = [inverse(step.values, step.full[0]), step.operands[1]]
        extents = (*step.shapes[0], *b[1:])
        return [einsum(step.values, operands, indices, (0, *output), extents)]
    if unit.name == "inv":
        return [inverse(step.values, step.full[0])]
    options = [f"{key}={value}" for key, value in unit.options if key != "keepdims"]
    axis, shape = dict(unit.options).get("axis"), step.shape
    if shape and axis is not None:  # as `norm(X, axis=1)[:, None]` where the axis is kept
        whole = step.shapes[0]
        shape = tuple(extent for n, extent in enumerate(whole) if n != axis)
    found = step.values.call(unit.name, step.full, options, shape)
    return [reshape(step.values, found, shape, step.shape)]


def _function(name: str) -> Callable[[_Step], Value]:
    """An elementwise function."""
    return lambda step: step.values.map(name, *step.operands)


def _sum(*coefficients: int) -> Callable[[_Step], Value]:
    return lambda step: step.values.add(zip(coefficients, step.operands, strict=True))


def _product(*exponents: int) -> Callable[[_Step], Value]:
    return lambda step: step.values.multiply(zip(step.operands, exponents, strict=True))


def _comparison(sign: str) -> Callable[[_Step], Value]:
    return lambda step: step.values.compare(sign, *step.operands)


def _reduction(name: str) -> Callable[[_Step], Value]:
    def write(step: _Step) -> Value:
        axes = step.params["axes"]
        return reduce(step.values, name, step.full[0], axes) if axes else step.operands[0]

    return write


def _cumulative(name: str) -> Callable[[_Step], Value]:
    def write(step: _Step) -> Value:
        options = [f"axis={step.params['axis']}"] + ["reverse=True"] * step.params["reverse"]
        return step.values.call(name, step.full, options, step.shape)

    return write


def _same(step: _Step) -> Value:
    return step.operands[0]


def _given(step: _Step) -> Value:
    """A value that `jax.ad_checkpoint.checkpoint_name` names."""
    (value,) = step.operands
    if value.head not in ("name", "number"):
        step.values.given.setdefault(value, step.params["name"])
    return value


def _absolute(step: _Step) -> Value:
    if jnp.issubdtype(step.kind(), jnp.complexfloating):  # exp(i x) is not its own size
        return step.values.make("map", step.operands, ("abs",))
    return step.values.map("abs", *step.operands)


def _root(step: _Step) -> Value:
    (value,) = step.operands
    if jnp.issubdtype(step.kind(), jnp.complexfloating):  # the root of Σ z² is no norm
        return step.values.make("map", (value,), ("sqrt",))
    return root(step.values, value)


def _one_minus_square(step: _Step) -> Value:
    one, square = step.values.number(1), step.values.multiply([(step.operands[0], 2)])
    return step.values.add([(1, one), (-1, square)])


def _inverse_root(step: _Step) -> Value:
    return step.values.multiply([(_root(step), -1)])


def _maximum(step: _Step) -> Value:
    left, right = step.operands
    for one, other in ((left, right), (right, left)):
        if one is step.values.number(-np.inf):
            return other
        if one is step.values.number(0):
            return step.values.map("relu", other)
    return step.values.map("maximum", *step.operands)


def _power(step: _Step) -> Value:
    base, exponent = step.operands
    number = exponent.detail[0] if exponent.head == "number" else None
    if isinstance(number, int):
        return step.values.multiply([(base, number)])
    return step.values.map("power", *step.operands)


def _convert(step: _Step) -> Value:
    """A change of precision is not written; truth values become ones and zeros."""
    old, new = step.kind(), step.params["new_dtype"]
    (value,) = step.operands
    if old == new:
        return value
    if old == jnp.bool_:
        return step.values.indicator(value)
    if new == jnp.bool_:
        return step.values.compare("!=", value, step.values.number(0))
    if jnp.issubdtype(new, jnp.complexfloating) or jnp.issubdtype(old, jnp.integer):
        return value
    if jnp.issubdtype(old, jnp.floating) and jnp.issubdtype(new, jnp.floating):
        return value
    return step.values.map("real" if jnp.issubdtype(new, jnp.floating) else "int", value)


def _select(step: _Step) -> Value:
    if step.kind() != jnp.bool_:
        return step.values.unknown("select_n", step.full, [step.shape])[0]
    which, otherwise, where = step.operands
    if where is otherwise or which.detail == ("True",):
        return where
    if which.detail == ("False",):
        return otherwise
    truths = [value.detail for value in (where, otherwise)]
    if truths == [("True",), ("False",)]:
        return which
    guarded = which.head == "compare" and which.detail == ("!=",)
    if guarded and which.operands[0] is which.operands[1] and is_call(otherwise, "softplus"):
        return otherwise  # it guards against infinities
    finite = which.head == "map" and which.detail == ("isfinite",)
    if finite and which.operands == (where,) and otherwise is step.values.number(0):
        return where
    numbers = [v.detail[0] for v in (where, otherwise) if v.head == "number"]
    if numbers in ([1, 0], [0, 1]):
        if numbers == [0, 1]:
            which = step.values.map("logical_not", which)
        return step.values.indicator(which)
    chosen = step.values.map("where", which, where, otherwise)
    return stepped(step.values, diagonal(step.values, chosen))


def _broadcast(step: _Step) -> Value:
    places = step.params["broadcast_dimensions"]
    return expand(step.values, step.operands[0], places, len(step.shape))


def _reshape(step: _Step) -> Value:
    if step.equation.primitive.name == "reshape" and step.params["dimensions"] is not None:
        return step.values.unknown("reshape", step.full, [step.shape])[0]
    product = _kronecker(step)
    if product is not None:
        return product
    return reshape(step.values, step.operands[0], step.shapes[0], step.shape)


def _kronecker(step: _Step) -> Value | None:
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


def _transpose(step: _Step) -> Value:
    order = tuple(step.params["permutation"])
    return transpose(step.values, step.operands[0], step.shapes[0], order)


def _slice(step: _Step) -> Value:
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


def _parts(step: _Step) -> Sequence[Value]:
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


def _tile(step: _Step) -> Value:
    options = [str(tuple(int(times) for times in step.params["reps"]))]
    return step.values.call("tile", step.full, options, step.shape)


def _rev(step: _Step) -> Value:
    entries = ["::-1" if n in step.params["dimensions"] else ":" for n in range(len(step.shape))]
    return index(step.values, step.full[0], tuple(entries), step.shape)


def _concatenate(step: _Step) -> Value:
    rows = [
        len(shape) < 3 and v.shape == shape[1:] and shape[0] == 1
        for v, shape in zip(step.operands, step.shapes, strict=True)
    ]
    if all(rows) and step.params["dimension"] == 0:
        return step.values.call("array", step.operands, [], step.shape)
    options = [f"axis={step.params['dimension']}"]
    return step.values.call("concat", step.full, options, step.shape)


def _stack(step: _Step) -> Value:
    if step.params["axis"] == 0 and len(step.shape) < 3:
        return step.values.call("array", step.full, [], step.shape)
    return step.values.call("stack", step.full, [f"axis={step.params['axis']}"], step.shape)


def _clamp(step: _Step) -> Value:
    """`clip(x, low, high)`."""
    low, x, high = step.operands
    return step.values.map("clip", x, low, high)


def _pad(step: _Step) -> Value:
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


def _iota(step: _Step) -> Value:
    shape, place = step.params["shape"], step.params["dimension"]
    counted = step.values.call("arange", [], [str(shape[place])], (shape[place],))
    return expand(step.values, counted, [place], len(shape))


def _gather(step: _Step) -> Value:
    """Rows, columns or entries looked up by indices."""
    taken = _taken(step) or _paired(step)
    return taken or step.values.unknown("gather", step.full, [step.shape])[0]


def _taken(step: _Step) -> Value | None:
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


def _paired(step: _Step) -> Value | None:
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


def _convolution(step: _Step) -> Value:
    window = window_of(step.equation)
    if window is None or not is_plain(step.equation):
        return step.values.unknown("conv_general_dilated", step.full, [step.shape])[0]
    options = [f"{name}={value}" for name, value in window.options.items()]
    return step.values.call("conv", step.full, options, step.shape)


def _sorted(step: _Step) -> Sequence[Value] | None:
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


def _dot_general(step: _Step) -> Value:
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


# Primitives of several results, or of none that has a formula.
_SEVERAL: dict[str, Callable[[_Step], Sequence[Value] | None]] = {"sort": _sorted, "split": _parts}
_PRIMITIVES: dict[str, Callable[[_Step], Value]] = {
    **{name: _function(name) for name in ("atan2", "ceil", "cos", "cosh", "erf", "exp")},
    **{name: _function(name) for name in ("expm1", "floor", "log1p", "sign", "sin")},
    **{name: _function(name) for name in ("sinh", "tan", "tanh", "real", "imag")},
    **{name: _function(name) for name in ("cbrt", "digamma", "erfc", "exp2", "lgamma")},
    **{f"a{name}": _function(f"arc{name}") for name in ("cos", "cosh", "sin", "sinh", "tan")},
    "atanh": _function("arctanh"),
    **{f"reduce_{name}": _reduction(name) for name in ("sum", "max", "min", "prod")},
    **{f"reduce_{old}": _reduction(new) for old, new in (("or", "any"), ("and", "all"))},
    **{name: _cumulative(name) for name in ("cumsum", "cumprod", "cummax", "cummin")},
    "abs": _absolute,
    "add": _sum(1, 1),
    "add_any": _sum(1, 1),
    "and": _function("logical_and"),
    "broadcast_in_dim": _broadcast,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "conj": _function("conj"),
    "conv_general_dilated": _convolution,
    "convert_element_type": _convert,
    "copy": _same,
    "copy_p": _same,
    "div": _product(1, -1),
    "dot_general": _dot_general,
    "eq": _comparison("=="),
    "expand_dims": _reshape,
    "gather": _gather,
    "ge": _comparison(">="),
    "gt": _comparison(">"),
    "integer_pow": lambda step: step.values.multiply([(step.operands[0], step.params["y"])]),
    "iota": _iota,
    "is_finite": _function("isfinite"),
    "le": _comparison("<="),
    "logistic": _function("sigmoid"),
    "log": lambda step: logarithm(step.values, *step.operands),
    "lt": _comparison("<"),
    "max": _maximum,
    "min": _function("minimum"),
    "mul": _product(1, 1),
    "name": _given,
    "ne": _comparison("!="),
    "neg": _sum(-1),
    "not": _function("logical_not"),
    "one_minus_square": _one_minus_square,
    "or": _function("logical_or"),
    "pad": _pad,
    "pow": _power,
    "reduce_precision": _same,
    "reshape": _reshape,
    "rev": _rev,
    "rsqrt": _inverse_root,
    "select_n": _select,
    "slice": _slice,
    "sqrt": _root,
    "stack": _stack,
    "square": lambda step: step.values.multiply([(step.operands[0], 2)]),
    "squeeze": _reshape,
    "stop_gradient": _same,
    "sub": _sum(1, -1),
    "tile": _tile,
    "transpose": _transpose,
}
