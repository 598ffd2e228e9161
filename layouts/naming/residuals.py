"""Which expression of a function's inputs each residual is the value of.

The linearisation is traced once more, from the arguments to the residuals, and the jaxpr of that
trace is read into expressions. The arrays that accumulation makes of the residuals are read the
same way, from their nodes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import isqrt
from typing import Any

import jax

from layouts.axes import Label
from layouts.leaves import leaf_names
from layouts.linearize import Linearized
from layouts.naming.paper import on_paper
from layouts.naming.reading import cut, read
from layouts.nodes import (
    Add,
    Apply,
    Contract,
    Digit,
    Identity,
    Leaf,
    Map,
    Node,
    OneHot,
    Places,
    Put,
    Reshape,
    Steps,
    Take,
)
from layouts.plan import choose
from layouts.products import settle
from layouts.program import schedule
from layouts.selection import Selection
from layouts.show.products import align, einsum
from layouts.show.value import Value
from layouts.show.values import Values
from layouts.show.views import expand, full, index, piece, reshape
from layouts.transforms import linearize_call

# Functions that JAX writes as several primitives, with a name for their derivative.
FAMILIAR: Mapping[str, tuple[Callable, str]] = {
    "gelu": (jax.nn.gelu, "gelu′"),
    "silu": (jax.nn.silu, "silu′"),
    "softplus": (jax.nn.softplus, "sigmoid"),
    "elu": (jax.nn.elu, "elu′"),
}

# The primitives of which a familiar function has one, beside arithmetic.
_CORES = ("tanh", "logistic", "erf", "erfc")
Writer = Callable[[Values, Value], Value]

# Each of so many values, the first ones, is tried as the operand of a familiar function.
MOST_TRIED = 400


@dataclass(frozen=True)
class Named:
    """A linearisation whose residuals are known as expressions.

    Attributes:
        linearized: the graph; its value and residuals are tracers, of use for their shapes alone.
        residuals: the expression of each residual.
        values: what made them, and can make more.
        read: the expressions of the arrays read so far.
    """

    linearized: Linearized
    residuals: tuple[Value, ...]
    values: Values
    read: dict[Node, Value] = field(default_factory=dict)

    def of(self, nodes: Sequence[Node]) -> list[Value]:
        """The expressions of arrays computed from the residuals."""
        ordered, place = schedule(nodes)
        for node in ordered:
            if node not in self.read:
                operands = [self.read[ordered[place[id(inner)]]] for inner in node.operands]
                self.read[node] = self._node(node, operands)
        return [self.read[ordered[place[id(node)]]] for node in nodes]

    def _node(self, node: Node, operands: list[Value]) -> Value:
        values = self.values
        shapes = [operand.shape for operand in node.operands]
        if isinstance(node, Leaf):
            return self.residuals[node.index]
        if isinstance(node, Reshape):
            return reshape(values, operands[0], shapes[0], node.shape)
        if isinstance(node, Contract):
            return einsum(values, operands, node.indices, node.output, node.extents)
        if isinstance(node, Add):
            axes = range(len(node.shape))
            parts = zip(operands, shapes, node.indices, strict=True)
            spread = [align(values, v, s, n, axes) for v, s, n in parts]
            return values.add(zip(node.coefficients, spread, strict=True))
        if isinstance(node, Identity) and node.shape == ():
            return values.number(1)
        if isinstance(node, Identity):
            size = isqrt(node.size)
            matrix = values.call("eye", [], [str(size)], (size, size))
            return reshape(values, matrix, matrix.shape, node.shape)
        if isinstance(node, Take | Put | OneHot):
            arrays = [full(values, v, s) for v, s in zip(operands, shapes, strict=True)]
            if isinstance(node, OneHot):
                return _one_hot(values, node, arrays)
            if len(arrays) == 1:
                return _moved(values, node, arrays[0])
            return values.unknown(type(node).__name__.lower(), arrays, [node.shape])[0]
        if isinstance(node, Places) and node.window == 1:
            return _places(values, node, full(values, operands[0], shapes[0]), shapes[0])
        if isinstance(node, Places | Steps | Digit):
            return values.unknown(type(node).__name__.lower(), operands, [node.shape])[0]
        operator = node.operator if isinstance(node, Apply | Map) else None
        through = operator.name if operator else "an opaque map"
        return values.unique(f"<Jacobian through {through}>", node.shape)


def _one_hot(values: Values, node: OneHot, table: list[Value]) -> Value:
    """`1[arange(9)[:, None] == T]`: ones where a label's place is."""
    rows, cols = (values.call("arange", [], [str(n)], (n,)) for n in node.shape)
    places = table[0] if table else cols
    if not table:
        place, label = (Label(extent) for extent in node.shape)
        natural = Selection.affine(place, label, node.start, node.step).window
        if node.window != natural:
            return values.unknown("onehot", [], [node.shape])[0]
        places = values.add([(node.start, values.number(1)), (node.step, cols)])
    return values.indicator(values.compare("==", expand(values, rows, [0], 2), places))


def _places(values: Values, node: Places, starts: Value, shape: tuple[int, ...]) -> Value:
    """The indices that were given: in a formula one that lies outside gives zero anyway."""
    if node.column is not None and shape[-1] > 1:
        column, lines = node.column, shape[:-1]
        found = piece(starts, (*((0, n) for n in lines), (column, column + 1)))
        if found is not None:
            starts = reshape(values, found, found.shape, lines)
        else:
            starts = index(values, starts, (*[":"] * len(lines), str(column)), lines)
        shape = lines
    places = reshape(values, starts, shape, node.shape)
    if not node.clip:
        return places
    options = ["0", str(node.extent - 1)]
    return values.call("clip", [full(values, places, node.shape)], options, node.shape)


def _moved(values: Values, node: Take | Put, operand: Value) -> Value:
    """A slice of one axis, and the zeros around it."""
    axis, step, (first, last) = node.axis, node.step, node.window
    ends = node.start + step * first, node.start + step * (last - 1)
    if isinstance(node, Take):
        entry, before, after = _entry(*ends, step), first, node.shape[axis] - last
    elif abs(step) == 1:
        before, after = min(ends), node.shape[axis] - 1 - max(ends)
        entry = _entry(first, last - 1, 1) if step > 0 else _entry(last - 1, first, -1)
    else:
        return values.unknown("put", [operand], [node.shape])[0]
    picked = [last - first if n == axis else extent for n, extent in enumerate(node.shape)]
    value = operand
    if step < 0 or tuple(picked) != operand.shape:
        value = index(values, operand, (*[":"] * axis, entry), tuple(picked))
    if before == after == 0:
        return value
    widths = [(before, after) if n == axis else (0, 0) for n in range(len(node.shape))]
    filled = [f"constant_values={node.fill}"] if node.fill else []
    return values.call("pad", [value], [str(tuple(widths)), *filled], node.shape)


def _entry(first: int, last: int, step: int) -> str:
    """The slice from one place to another, both included."""
    past = last + (1 if step > 0 else -1)
    return f"{first}:{past if past >= 0 else ''}" + (f":{step}" if step != 1 else "")


def linearize_named(
    fun: Callable, argnum: int, args: Sequence[Any], indexed: bool = False
) -> Named:
    """Linearise a function on shapes alone, and name its residuals.

    Args:
        fun: takes arrays, returns one; the expressions use its parameters' names.
        argnum: which argument it is differentiated by.
        args: arrays or `jax.ShapeDtypeStruct`s.
        indexed: as for `on_paper`.

    Returns:
        The linearisation with an expression for each residual.

    Raises:
        TypeError: where `jax.jacrev` raises it, and where the function asks for an array's
            numbers.

    Example:
        >>> x = jax.ShapeDtypeStruct((3,), "float32")
        >>> named = linearize_named(lambda x: jax.numpy.sin(x), 0, (x,))
        >>> [value.detail for value in named.residuals]
        [('cos',)]
    """
    found: list[Linearized] = []

    def trace(*args: Any) -> list[jax.Array]:
        found.append(linearize_call(on_paper(fun, (), indexed), argnum, args, {}))
        return found[-1].residuals

    closed = jax.make_jaxpr(trace)(*args)
    values = Values()
    names = leaf_names(fun, args, range(len(args)))
    inputs = zip(names, closed.in_avals, strict=True)
    arguments = [values.name(name, aval.shape) for name, aval in inputs]
    residuals = read(values, closed.jaxpr, closed.consts, arguments)
    return Named(found[-1], tuple(residuals), values)


def familiar(values: Values, dtype: Any) -> dict[Value, Value]:
    """Which of the values are `gelu(u)` or its derivative, and the like, of other values.

    Args:
        values: all expressions made so far.
        dtype: the precision that the function runs in, which the constants of gelu depend on.

    Returns:
        For each such value how it is written with the function's name.
    """
    operands = [value for value in values.known.values() if value.head != "number"][:MOST_TRIED]
    found = {}
    for name, write, core in _familiar(jax.numpy.dtype(dtype).name):
        for operand in operands:
            value = _known(values, core or write, operand)
            if value is not None and core:  # what lies between may have been written otherwise
                before = len(values.known)
                value = write(values, operand)
                value = value if value.place < before else None
            if value is not None and value.head not in ("name", "number"):
                found[value] = values.map(name, operand)
    return {**found, **_in_sums(values, found)}


def _known(values: Values, write: Writer, operand: Value) -> Value | None:
    """What is written for an operand, if all of it has been made before."""
    values.closed = True
    try:
        return write(values, operand)
    except LookupError:
        return None
    finally:
        values.closed = False


def _in_sums(values: Values, found: Mapping[Value, Value]) -> dict[Value, Value]:
    """Sums that have taken in a familiar function's coefficient, the 1/2 of gelu."""
    alone = {v: written for v, written in found.items() if v.head == "sum" and len(v.detail) == 1}
    scaled = {v.operands[0]: (v.detail[0], written) for v, written in alone.items()}
    sums = {}
    for value in list(values.known.values()):
        if value.head == "sum" and value not in found and scaled.keys() & {*value.operands}:
            terms = zip(value.detail, value.operands, strict=True)
            sums[value] = values.add(
                (c / scaled[v][0], scaled[v][1]) if v in scaled else (c, v) for c, v in terms
            )
    return sums


@cache
def _familiar(dtype: str) -> list[tuple[str, Writer, Writer | None]]:
    """Each familiar function and derivative, as what writes it out for an operand.

    With it, where there is one, what writes the part that tells the function from others.
    """
    x = jax.ShapeDtypeStruct((2,), dtype)
    writers: list[tuple[str, Writer, Writer | None]] = []
    for name, (function, derivative) in FAMILIAR.items():
        body = jax.make_jaxpr(function)(x)
        writers.append((name, _written(body), None))
        first = cut(body, _CORES)
        core = _written(first) if first else None
        found: list[Linearized] = []

        def trace(x: jax.Array, function: Callable = function, found: list = found) -> list:
            found.append(linearize_call(function, 0, (x,), {}))
            return found[0].residuals

        closed = jax.make_jaxpr(trace)(x)
        (terms,) = choose(found[0].graph)[1].values()
        factors = [factor for term in map(settle, terms) for factor in term.factors]
        if len(terms) == len(factors) == 1 and terms[0].coefficient == 1:
            writers.append((derivative, _written(closed, found[0], factors[0].node), core))
    return writers


def _written(closed: Any, linearized: Linearized | None = None, node: Node | None = None) -> Writer:
    """What reads a jaxpr, or a node on the residuals that it returns, for an operand."""

    def write(values: Values, operand: Value) -> Value:
        results = read(values, closed.jaxpr, closed.consts, [operand])
        if linearized is None or node is None:
            return results[0]
        return Named(linearized, tuple(results), values).of([node])[0]

    return write
