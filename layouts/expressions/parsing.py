"""Expressions such as `relu(W @ X + b)` as functions, and bindings such as `W=4x3` as shapes.

The text is read by the whitelist of `layouts.expressions.grammar` and never evaluated as Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import Any

import jax
import jax.numpy as jnp

from layouts.errors import LayoutError
from layouts.expressions.functions import FUNCTIONS
from layouts.expressions.grammar import Apply, Node, Number, Variable, guess, read, shorten

__all__ = ["FUNCTIONS", "Expression", "check_shapes", "parse_binding", "parse_expression"]

MAX_AXES = 8
MAX_SIZE = 10**8


@dataclass(frozen=True)
class Expression:
    """A parsed expression: a callable of its variables, in the order of their first appearance.

    Build it with `parse_expression`. `inspect.signature` gives the variables' names.

    Attributes:
        text: what was parsed.
        root: the tree of Variable, Number and Apply.
        names: the variables, in order of first appearance.
    """

    text: str
    root: Node = field(repr=False, compare=False)  # the text determines it
    names: tuple[str, ...] = field(init=False)
    __signature__: Signature = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        """Collect the variables, of which there must be one at least."""
        names = tuple(dict.fromkeys(_variables(self.root)))
        if not names:
            raise LayoutError(
                f"expression {shorten(self.text)}",
                "at least one variable",
                "numbers only",
                "name the array to differentiate by, as in 2 * x",
            )
        parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "__signature__", Signature(parameters))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate on arrays, given in the order of `names` or by name."""
        bound = self.__signature__.bind(*args, **kwargs).arguments
        values = {name: jnp.asarray(value) for name, value in bound.items()}
        return _walk(self.root, values, lambda node, operands: node.call(*operands))

    def __str__(self) -> str:
        """The text that was parsed."""
        return self.text


def parse_expression(text: str) -> Expression:
    """Read an expression by the grammar of `layouts.expressions.grammar`.

    Args:
        text: at most 2,000 characters, 200 nodes, 40 levels deep.

    Returns:
        A callable `Expression`; `**` and the functions not named for matrices act elementwise.

    Raises:
        LayoutError: if the text is outside the grammar or the limits; it says at which column.

    Example:
        >>> expression = parse_expression("relu(W @ X + b)")
        >>> expression.names
        ('W', 'X', 'b')
        >>> expression(jnp.ones((4, 3)), jnp.ones((3, 5)), jnp.ones((4, 1))).shape
        (4, 5)
        >>> parse_expression("rellu(W)")
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: rellu(W) at column 1: expected a listed function, \
got 'rellu'; did you mean relu?
    """
    return Expression(text, read(text))


def check_shapes(expression: Expression, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Find an expression's shape, or the part of it whose operands do not fit.

    Args:
        expression: what `parse_expression` returned.
        shapes: a shape for every name of the expression and no other.

    Returns:
        The shape of the value. Nothing is computed or allocated.

    Raises:
        LayoutError: if a name is missing or unknown, operands do not fit, or a part is too large.

    Example:
        >>> expression = parse_expression("tanh(W @ X) + b")
        >>> check_shapes(expression, {"W": (4, 3), "X": (3, 5), "b": (4, 1)})
        (4, 5)
        >>> check_shapes(expression, {"W": (4, 3), "X": (5, 2), "b": (4, 1)})
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: W @ X at column 6: expected inner sizes that agree, \
got (4, 3) @ (5, 2); change the shapes, or transpose an operand with .T
    """
    for name in expression.names:
        if name not in shapes:
            received = ", ".join(shapes) or "none"
            remedy = f"add {name}=, as in {name}=4x3"
            raise LayoutError(f"shape of {name}", "one for each variable", received, remedy)
    for name in shapes:
        if name not in expression.names:
            remedy = guess(name, expression.names) or "leave it out"
            expected = f"a variable of {shorten(expression.text)}"
            raise LayoutError(f"shape of {name}", expected, repr(name), remedy)
    values = {
        name: jax.ShapeDtypeStruct(tuple(shape), jnp.result_type(float))
        for name, shape in shapes.items()
    }
    return jnp.shape(_walk(expression.root, values, _shape_of))


def parse_binding(text: str) -> tuple[str, tuple[int, ...]]:
    """Read a name and its shape: `W=4x3`, `W=4×3`, `x=5`, or `s=scalar`.

    Args:
        text: a name of ASCII letters, digits and underscores, and positive sizes between x's.

    Returns:
        The name and the shape; `x=5` is a vector of 5 entries, `s=scalar` or `s=()` has shape ().

    Raises:
        LayoutError: if the text has another form, a size is 0, or there are over 10⁸ entries.

    Example:
        >>> parse_binding("W=4x3"), parse_binding("x=5"), parse_binding("s=scalar")
        (('W', (4, 3)), ('x', (5,)), ('s', ()))
    """
    if not isinstance(text, str):
        raise LayoutError("binding", "a string", type(text).__name__, "write it as in W=4x3")
    match = re.fullmatch(
        r" *([A-Za-z_][A-Za-z0-9_]*) *= *(scalar|\(\)|[0-9]{1,12}( *[x×] *[0-9]{1,12})*) *",
        text,
    )
    what = f"binding {shorten(text)}"
    if match is None:
        expected = "NAME=SHAPE with positive sizes"
        remedy = "write it as in W=4x3, x=5 or s=scalar"
        if not text.partition("=")[0].isascii():
            remedy = "call it by letters of ASCII, as in Sigma=3x3"
        raise LayoutError(what, expected, shorten(text), remedy)
    name, sizes = match[1], match[2]
    shape = tuple(int(size) for size in re.findall("[0-9]+", sizes))
    if 0 in shape or len(shape) > MAX_AXES:
        expected = f"positive sizes on at most {MAX_AXES} axes"
        raise LayoutError(what, expected, shorten(sizes), "give each axis a size of 1 or more")
    if math.prod(shape) > MAX_SIZE:
        received = f"{math.prod(shape):,}"
        raise LayoutError(what, f"at most {MAX_SIZE:,} entries", received, "choose smaller sizes")
    return name, shape


def _walk(node: Node, values: Mapping[str, Any], apply: Callable[[Apply, list], Any]) -> Any:
    """Fold a tree from its leaves: variables have values, `apply` combines them."""
    match node:
        case Variable(name):
            return values[name]
        case Number(value):
            return value
    return apply(node, [_walk(operand, values, apply) for operand in node.operands])


def _variables(node: Node) -> Iterator[str]:
    """Every variable of a tree, from left to right."""
    if isinstance(node, Variable):
        yield node.name
    elif isinstance(node, Apply):
        for operand in node.operands:
            yield from _variables(operand)


def _shape_of(node: Apply, operands: list) -> jax.ShapeDtypeStruct:
    """The shape of one node from its operands', or the error that names the node."""
    what = f"{shorten(node.text)} at column {node.column}"
    try:
        result = jax.eval_shape(node.call, *operands)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        received = node.form.format(*(jnp.shape(operand) for operand in operands))
        if node.shapes.startswith("operands"):
            reason, _, _ = str(error).partition("\n")
            received += f" ({shorten(reason, 200)})"
        remedy = "change the shapes, or transpose an operand with .T"
        raise LayoutError(what, node.shapes, received, remedy) from error
    if math.prod(result.shape) > MAX_SIZE:
        received = f"shape {result.shape}"
        raise LayoutError(what, f"at most {MAX_SIZE:,} entries", received, "choose smaller sizes")
    return result
