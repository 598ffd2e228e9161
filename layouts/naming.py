"""Which expression of a function's inputs each residual is the value of.

The linearisation is traced once more, from the arguments to the residuals, and the jaxpr of that
trace is read into expressions. The arrays that accumulation makes of the residuals are read the
same way, from their nodes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from layouts.linearize import Linearized
from layouts.program import Add, Apply, Contract, Identity, Leaf, Node, Reshape, schedule
from layouts.reading import read
from layouts.show.products import align, einsum
from layouts.show.values import Value, Values
from layouts.transforms import leaf_names, linearize_call


@dataclass(frozen=True)
class Named:
    """A linearisation whose residuals are known as expressions.

    Attributes:
        linearized: the graph; its value and residuals are tracers, of use for their shapes alone.
        residuals: the expression of each residual.
        values: what made them, and can make more.
    """

    linearized: Linearized
    residuals: tuple[Value, ...]
    values: Values

    def of(self, nodes: Sequence[Node]) -> list[Value]:
        """The expressions of arrays computed from the residuals."""
        ordered, place = schedule(nodes)
        known: list[Value] = []
        for node in ordered:
            operands = [known[place[id(operand)]] for operand in node.operands]
            known.append(self._node(node, operands))
        return [known[place[id(node)]] for node in nodes]

    def _node(self, node: Node, operands: list[Value]) -> Value:
        values = self.values
        shapes = [operand.shape for operand in node.operands]
        if isinstance(node, Leaf):
            return self.residuals[node.index]
        if isinstance(node, Reshape):
            return values.reshape(operands[0], shapes[0], node.shape)
        if isinstance(node, Contract):
            return einsum(values, operands, node.indices, node.output, node.extents)
        if isinstance(node, Add):
            axes = range(len(node.shape))
            parts = zip(operands, shapes, node.indices, strict=True)
            spread = [align(values, v, s, n, axes) for v, s, n in parts]
            return values.add(zip(node.coefficients, spread, strict=True))
        if isinstance(node, Identity):
            return values.number(1) if node.shape == () else values.unique("identity", node.shape)
        opaque = (
            node.application.opaque.name if isinstance(node, Apply) and node.application else ""
        )
        return values.unique(f"<Jacobian through {opaque or 'an opaque map'}>", node.shape)


def linearize_named(fun: Callable, argnum: int, args: Sequence[Any]) -> Named:
    """Linearise a function on shapes alone, and name its residuals.

    Args:
        fun: takes arrays, returns one; the expressions use its parameters' names.
        argnum: which argument it is differentiated by.
        args: arrays or `jax.ShapeDtypeStruct`s.

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
        found.append(linearize_call(fun, argnum, args, {}))
        return found[-1].residuals

    closed = jax.make_jaxpr(trace)(*args)
    values = Values()
    names = leaf_names(fun, args, range(len(args)))
    inputs = zip(names, closed.jaxpr.invars, strict=True)
    arguments = [values.name(name, var.aval.shape) for name, var in inputs]
    residuals = read(values, closed.jaxpr, closed.consts, arguments)
    return Named(found[-1], tuple(residuals), values)
