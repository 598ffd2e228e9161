"""The grammar of expressions: from text to a tree of variables, numbers and listed functions.

Names, numbers, `+ - * / @ **`, unary minus, `.T`, parentheses, and calls of the functions in
`layouts.expressions.functions`, some of which take `axis=` and `keepdims=`. An exponent is a
number. Python's `ast` only parses: each node that it yields is turned into one of the three node
types below or refused, and nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp

from layouts.errors import LayoutError
from layouts.expressions.functions import FUNCTIONS, Function

# Limits keep a hostile text from costing time or memory; the first is checked before parsing.
MAX_TEXT = 2_000
MAX_NODES = 200
MAX_DEPTH = 40
MAX_EXPONENT = 64
MAX_AXIS = 32

_OPTIONS: dict[str, tuple[Any, str]] = {
    "axis": (int, "an integer"),
    "keepdims": (bool, "True or False"),
}
_GRAMMAR = "names, numbers, + - * / @ **, .T, parentheses and the listed functions"
_STRAY = re.compile(r"[^A-Za-z0-9_.,=+\-*/@() ]")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A number run into a name: 2x, 2j, 0xff. Python would guess at where to part them.
_GLUED = re.compile(r"(?<![A-Za-z0-9_])(?>[0-9][0-9_.]*(?:[eE][+-]?[0-9]+)?)[A-Za-z_]+")


@dataclass(frozen=True)
class _Operator:
    """An infix sign: what it runs, and what it asks of its operands' shapes."""

    sign: str
    call: Callable[..., Any]
    shapes: str = "shapes that broadcast"


_OPERATORS: dict[type[ast.AST], _Operator] = {
    ast.Add: _Operator("+", operator.add),
    ast.Sub: _Operator("-", operator.sub),
    ast.Mult: _Operator("*", operator.mul),
    ast.Div: _Operator("/", operator.truediv),
    ast.MatMult: _Operator("@", jnp.matmul, "inner sizes that agree"),
}


@dataclass(frozen=True)
class Variable:
    """A name, to be bound to an array."""

    name: str


@dataclass(frozen=True)
class Number:
    """A finite number; it takes the dtype of the array that it meets."""

    value: float


@dataclass(frozen=True)
class Apply:
    """A function applied to operands; `text` and `column` say where it stands."""

    call: Callable[..., Any]
    operands: tuple[Node, ...]
    form: str  # "{} @ {}", to show the operands' shapes in
    shapes: str  # what is asked of them
    text: str
    column: int


Node = Variable | Number | Apply


def read(text: str) -> Node:
    """Read a text by the grammar.

    Args:
        text: at most 2,000 characters, 200 nodes, 40 levels deep.

    Returns:
        The root of its tree.

    Raises:
        LayoutError: if the text is outside the grammar or the limits; it says at which column.

    Example:
        >>> tree = read("W.T @ x")
        >>> tree.form, tree.operands[0].form, tree.operands[1]
        ('{} @ {}', '{}.T', Variable(name='x'))
    """
    _check_text(text)
    formula = text.strip(" ")  # Python would take a leading space for an indent.
    indent = text.index(formula)
    try:
        body = ast.parse(formula, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        column = indent + (getattr(error, "offset", None) or 1)
        raise LayoutError(
            f"expression {shorten(text)}, column {column}",
            f"a formula of {_GRAMMAR}",
            getattr(error, "msg", None) or "nesting too deep to parse",
            "check signs, commas and parentheses",
        ) from None
    _check_size(text, body)
    return _Reader(formula, indent).read(body)


@dataclass(frozen=True)
class _Reader:
    """Turns Python's syntax tree into Variable, Number and Apply, and refuses the rest."""

    text: str
    indent: int

    def read(self, node: ast.expr) -> Node:
        """One node and all below it."""
        match node:
            case ast.Name():
                return self.variable(node)
            case ast.Constant():
                value = _literal(node)
                real = type(value) in (int, float)
                return self.finite(node, lambda: float(value) if real else None)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.apply(node, operator.neg, [operand], "-{}", "an array")
            case ast.BinOp(op=ast.Pow(), left=base, right=exponent):
                power = partial(_power, exponent=self.exponent(exponent))
                form = "{} ** " + self.segment(exponent)
                return self.apply(node, power, [base], form, "an array")
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
                infix = _OPERATORS[type(op)]
                form = f"{{}} {infix.sign} {{}}"
                return self.apply(node, infix.call, [left, right], form, infix.shapes)
            case ast.Attribute(value=value, attr="T"):
                return self.apply(node, jnp.transpose, [value], "{}.T", "an array")
            case ast.Attribute(attr=name):
                remedy = "write functions as tanh(x); only .T stands behind a name"
                raise self.refuse(node, ".T", f".{name}", remedy)
            case ast.Call():
                return self.call(node)
        kind = type(getattr(node, "op", node)).__name__
        raise self.refuse(node, _GRAMMAR, kind, "rewrite it with these")

    def variable(self, node: ast.Name) -> Variable:
        """A name that is no function's."""
        if node.id in FUNCTIONS:
            remedy = f"write {node.id}(...), or choose another name"
            raise self.refuse(node, "a variable", f"the function {node.id}", remedy)
        return Variable(node.id)

    def exponent(self, node: ast.expr) -> int | float:
        """A number, so that x ** 2 is a square and no tower of powers can be built."""
        value = _literal(node)
        if type(value) not in (int, float) or abs(value) > MAX_EXPONENT:
            expected = f"a number from -{MAX_EXPONENT} to {MAX_EXPONENT} as exponent"
            remedy = "write a ** b with a variable b as exp(b * log(a))"
            raise self.refuse(node, expected, shorten(self.segment(node)), remedy)
        return value

    def call(self, node: ast.Call) -> Node:
        """A listed function, with as many operands as it has and keywords that it knows."""
        name = self.segment(node.func)
        if not isinstance(node.func, ast.Name) or name not in FUNCTIONS:
            remedy = guess(name.split(".")[-1], FUNCTIONS) or f"choose from {', '.join(FUNCTIONS)}"
            raise self.refuse(node, "a listed function", repr(shorten(name)), remedy)
        function = FUNCTIONS[name]
        if len(node.args) != function.operands:
            words = " and ".join(f"{word}=" for word in function.keywords)
            remedy = f"write {words} by name" if words else "check commas and parentheses"
            expected = f"{function.operands} operand{'s' * (function.operands > 1)}"
            raise self.refuse(node, expected, f"{len(node.args)}", remedy)
        options = self.options(node, function)
        shown = ["{}"] * function.operands + [f"{word}={options[word]}" for word in options]
        return self.apply(
            node,
            partial(function.call, **options) if options else function.call,
            node.args,
            f"{name}({', '.join(shown)})",
            f"operands that {name} takes",
        )

    def options(self, node: ast.Call, function: Function) -> dict[str, int | bool]:
        """Keywords: `axis=` an integer, `keepdims=` True or False, each once."""
        options: dict[str, int | bool] = {}
        for given in node.keywords:
            word = given.arg or "**"
            value = _literal(given.value)
            if word not in function.keywords or word in options:
                known = " and ".join(f"{known}=" for known in function.keywords) or "no keyword"
                raise self.refuse(node, f"{known}, once", f"{word}=", "leave it out")
            kind, words = _OPTIONS[word]
            if type(value) is not kind or abs(value) > MAX_AXIS:
                received = f"{word}={shorten(self.segment(given.value))}"
                raise self.refuse(node, f"{word}= {words}", received, "write the value itself")
            options[word] = value
        return options

    def apply(
        self, node: ast.expr, call: Callable, operands: Iterable[ast.expr], form: str, shapes: str
    ) -> Node:
        """A function of operands; arithmetic on numbers alone is done at once."""
        read = tuple(self.read(operand) for operand in operands)
        numbers = [operand.value for operand in read if isinstance(operand, Number)]
        arithmetic = isinstance(node, ast.BinOp | ast.UnaryOp) and call is not jnp.matmul
        if arithmetic and len(numbers) == len(read):
            return self.finite(node, lambda: call(*numbers))
        column = self.indent + node.col_offset + 1
        return Apply(call, read, form, shapes, self.segment(node), column)

    def finite(self, node: ast.expr, compute: Callable[[], Any]) -> Number:
        """A number computed without overflow, division by zero or imaginary part."""
        try:
            value = compute()
        except ArithmeticError:
            value = math.nan
        if not isinstance(value, float) or not math.isfinite(value):
            received = shorten(self.segment(node))
            raise self.refuse(node, "a finite real number", received, "choose another number")
        return Number(value)

    def segment(self, node: ast.expr) -> str:
        """The text of a node; columns are characters, since the text is ASCII."""
        return self.text[node.col_offset : node.end_col_offset]

    def refuse(self, node: ast.expr, expected: str, received: str, remedy: str) -> LayoutError:
        """The error for a node: its text, its column, and what the grammar has instead."""
        what = f"{shorten(self.segment(node))} at column {self.indent + node.col_offset + 1}"
        return LayoutError(what, expected, received, remedy)


def _power(base: Any, exponent: int | float) -> Any:
    """`base ** exponent` with the exponent known, so that x ** 2 has no logarithm in it."""
    return base**exponent


def _literal(node: ast.expr) -> Any:
    """The real number or truth value that stands there, with its sign; None for all else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand)
        return -value if type(value) in (int, float) else None
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        return node.value
    return None


def _check_text(text: str) -> None:
    """Refuse by length, character and keyword, before Python's parser sees anything."""
    if not isinstance(text, str):
        raise LayoutError("expression", "a string", type(text).__name__, "pass its text")
    if len(text) > MAX_TEXT:
        expected = f"at most {MAX_TEXT:,} characters"
        remedy = "shorten it, or write a Python function"
        raise LayoutError(f"expression {shorten(text)}", expected, f"{len(text):,}", remedy)
    if not text.strip(" "):
        raise LayoutError("expression", "a formula", "nothing", "write one, as in W @ X + b")
    if stray := _STRAY.search(text):
        raise LayoutError(
            f"expression {shorten(text)}, column {stray.start() + 1}",
            "ASCII letters, digits and _ . , = + - * / @ ( )",
            f"{stray[0]!r} ({unicodedata.name(stray[0], 'a control character').lower()})",
            f"the grammar has {_GRAMMAR}",
        )
    if glued := _GLUED.search(text):
        where = f"expression {shorten(text)}, column {glued.start() + 1}"
        received = shorten(glued[0])
        raise LayoutError(where, "a sign after a number", received, "write 2 * x for 2x")
    for word in _WORD.finditer(text):
        if keyword.iskeyword(word[0]) and word[0] not in ("True", "False"):
            where = f"expression {shorten(text)}, column {word.start() + 1}"
            received = f"Python's keyword {word[0]}"
            raise LayoutError(where, _GRAMMAR, received, "rewrite it, or choose another name")


def _check_size(text: str, body: ast.expr) -> None:
    """Refuse a tree with too many nodes or levels, without recursion."""
    level: list[ast.AST] = [body]
    count = depth = 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise LayoutError(
                f"expression {shorten(text)}",
                f"at most {MAX_NODES} nodes and {MAX_DEPTH} levels",
                f"over {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"over {MAX_NODES} nodes",
                "shorten it, or write a Python function",
            )
        children = [child for node in level for child in ast.iter_child_nodes(node)]
        level = [child for child in children if isinstance(child, ast.expr | ast.keyword)]


def guess(name: str, known: Iterable[str]) -> str:
    """A question that offers the nearest known name, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""


def shorten(text: str, width: int = 60) -> str:
    """The text for an error's one line: cut where it is too long, no control characters."""
    cut = text if len(text) <= width else text[: width - 1] + "…"
    return "".join(character if character.isprintable() else "�" for character in cut)
