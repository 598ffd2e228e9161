"""Expressions as formulas on paper: `x @ A` is `Aᵀ x`, `1 - tanh(z)²` is `tanh′(z)`.

A vector stands as a column, so a product of NumPy's is turned where it takes a vector for a row.
Nothing is lost: the formula has the value of the expression. Where an expression has no formula,
as a scan has none, it is a name whose meaning is left open (`is_open`).
"""

from ast import literal_eval
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from layouts.formulas.functions import KNOWN
from layouts.formulas.tree import (
    Call,
    Compare,
    Formula,
    Identity,
    Indicator,
    Inverse,
    Name,
    Number,
    Ones,
    Power,
    Product,
    View,
)
from layouts.naming.parts import (
    Coefficient,
    Part,
    added,
    gathered,
    multiplied,
    number,
    product,
    turned,
)
from layouts.naming.step import CARRIED
from layouts.show.value import Value, identity_size, put_in

# The keywords that a function's options without one stand for.
_KEYWORDS = {
    "broadcast_to": "shape",
    "pad": "pad_width",
    "reshape": "shape",
    "tile": "reps",
    "transpose": "axes",
}
_ON_PAPER = {"trace": "tr"}


@dataclass(frozen=True)
class _Form:
    """How a value is written: with which values, and what is made of their parts."""

    operands: tuple[Value, ...]
    build: Callable[..., Part]


def written(
    value: Value,
    named: Mapping[Value, str] | None = None,
    known: Mapping[Value, Value] | None = None,
    *,
    steps: bool = False,
) -> Formula:
    """Write an expression as a formula.

    Args:
        value: the expression; it is itself written out, be it named or not.
        named: names for what it is made of.
        known: values that are to be written as others, shorter ones (`layouts.naming.familiar`).
        steps: whether `1[z > 0]` is `relu′(z)`.

    Returns:
        A formula of the same value: of its shape, or of one that repeats itself to it as the
        expression does. Parts that have no formula are names (`open_parts`).

    Example:
        >>> from layouts.show.values import Values
        >>> values = Values()
        >>> x, A = values.name("x", (3,)), values.name("A", (3, 4))
        >>> written(values.make("matmul", (x, A), (), (4,)))
        Product(kind='matrix', factors=(Transpose(of=Name(text='A')), Name(text='x')))
    """
    named, known = named or {}, known or {}
    forms: dict[Value, _Form] = {}
    parts: dict[Value, Part] = {}
    pending = [value]
    while pending:
        node = pending[-1]
        if node in parts:
            pending.pop()
        elif node in named and node is not value:
            parts[node] = Part((Name(named[node]),))
        elif node not in forms:
            forms[node] = _form(known.get(node, node), steps, named)
            pending += forms[node].operands[::-1]
        else:
            form = forms[node]
            parts[node] = form.build(*(parts[operand] for operand in form.operands))
    return parts[value].formula


def is_open(value: Value) -> bool:
    """Whether an expression has no formula of its operands, only a name.

    Example:
        >>> from layouts.show.values import Values
        >>> is_open(Values().constant((3,))), is_open(Values().name("x", (3,)))
        (True, False)
    """
    if identity_size(value):
        return False
    if value.head == "name":
        text = value.detail[0]
        return len(value.detail) > 1 or text in ("True", "False") or "(" in text
    if value.head == "map":
        return value.detail[0].removesuffix("′") not in KNOWN and value.detail != (CARRIED,)
    if value.head == "call" and value.detail[0] == "einsum":
        return _alignment(value) is None
    return value.head == "unknown" or (value.head == "call" and value.detail[0] not in KNOWN)


def open_parts(
    values: Iterable[Value],
    named: Mapping[Value, str] | None = None,
    known: Mapping[Value, Value] | None = None,
    *,
    steps: bool = False,
) -> tuple[Value, ...]:
    """The parts of expressions that have no formula, in the order that they are met.

    Args:
        values: the expressions.
        named: names for what they are made of; a part with a name is not looked into.
        known: as for `written`.
        steps: as for `written`.

    Returns:
        Each such part once. What it is made of is not looked into.
    """
    named, known = named or {}, known or {}
    found: list[Value] = []
    seen: set[Value] = {*named}
    pending = list(values)[::-1]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        written_as = known.get(node, node)
        if is_open(written_as):
            found.append(node)
        else:
            pending += _form(written_as, steps, named).operands[::-1]
    return tuple(found)


def _of(operands: Sequence[Value], build: Callable[..., Formula]) -> _Form:
    """A form that is made of its operands' formulas as they stand."""
    return _Form(tuple(operands), lambda *parts: Part((build(*(p.formula for p in parts)),)))


def _form(value: Value, steps: bool, named: Container[Value]) -> _Form:
    """How a value is written."""
    if identity_size(value):
        return _of((), lambda: Identity(identity_size(value)))
    if is_open(value):
        return _of((), lambda: Name(_open_name(value)))
    match value.head:
        case "name":
            return _of((), lambda: Name(value.detail[0]))
        case "number":
            return _Form((), lambda: number(value.detail[0]))
        case "sum":
            return _sum(value, named)
        case "product":
            return _powers(value, named)
        case "matmul":
            left, right = (len(operand.shape) for operand in value.operands)
            return _Form(value.operands, lambda a, b: multiplied(a, b, (left, right)))
        case "transpose":
            return _Form(value.operands, lambda part: part.transposed)
        case "index":
            return _of(value.operands, lambda of: View(of, value.detail))
        case "compare":
            return _of(value.operands, lambda *sides: Compare(value.detail[0], *sides))
        case "indicator":
            return _indicator(value, steps)
        case "map":
            return _map(value)
    return _call(value)


def _open_name(value: Value) -> str:
    """A name that tells where it comes from; no other value has it."""
    text = str(value.detail[0])
    if value.head == "name" and text.isidentifier():
        return text
    plain = "".join(c if c.isalnum() else "_" for c in text).strip("_")
    return f"{plain if plain[:1].isalpha() else 'part'}_{value.place}"


def _is_hidden(activation: Value, named: Container[Value]) -> bool:
    """Whether a = f(z) has a name and z has none, so that f′(z) is better written with a."""
    return activation in named and activation.operands[0] not in named


def _sum(value: Value, named: Container[Value]) -> _Form:
    """Terms with their coefficients; `1 - tanh(z)²` is `tanh′(z)`."""
    slope = _tanh_slope(value)
    if slope and not _is_hidden(slope[1], named):
        scale, z = slope[0], slope[1].operands[0]
        return _Form((z,), lambda z: Part((Call("tanh", (z.formula,), (), 1),), scale))
    if len(value.operands) == 1:
        (scale,) = value.detail
        return _Form(value.operands, lambda p: replace(p, coefficient=scale * p.coefficient))
    return _Form(value.operands, lambda *parts: added(zip(value.detail, parts, strict=True)))


def _tanh_slope(value: Value) -> tuple[Coefficient, Value] | None:
    """The c and tanh(z) of `c - c tanh(z)²`."""
    if len(value.operands) != 2:
        return None
    for (c, one), (d, square) in permutations(zip(value.detail, value.operands, strict=True)):
        if one.head == "number" and c * one.detail[0] == -d and square.detail == (2,):
            base = square.operands[0]
            if square.head == "product" and base.detail == ("tanh",):
                return -d, base
    return None


def _sigmoid_slope(powers: Mapping[Value, int]) -> tuple[Value, Value] | None:
    """The `sigmoid(z)` and `1 - sigmoid(z)` among the factors of a product."""
    for s, rest in permutations(powers, 2):
        if s.detail != ("sigmoid",) or rest.head != "sum" or min(powers[s], powers[rest]) < 1:
            continue
        parts = zip(rest.operands, rest.detail, strict=True)
        terms = {v.detail if v.head == "number" else v: c for v, c in parts}
        if terms == {(1,): 1, s: -1}:
            return s, rest
    return None


def _powers(value: Value, named: Container[Value]) -> _Form:
    """A product of powers; with columns and rows among its factors, a product of matrices."""
    powers: dict[Value, int] = dict(zip(value.operands, value.detail, strict=True))
    bases: list[tuple[Value, int, str]] = []
    pair = _sigmoid_slope(powers)
    if pair and not _is_hidden(pair[0], named):
        times = min(powers[v] for v in pair)
        powers |= {v: powers[v] - times for v in pair}
        bases.append((pair[0].operands[0], times, "sigmoid"))
    bases += [(v, n, "") for v, n in powers.items() if n]
    roles = [_role(v, n, value.shape) for v, n, _ in bases]
    mixed = _is_of_matrices(roles)
    if not mixed:
        plain = ["whole" if n > 0 else "below" for _, n, _ in bases]
        roles = [r if r == "scalar" else p for r, p in zip(roles, plain, strict=True)]
    opened = (
        v.operands[0] if role == "column" else v
        for role, (v, _, _) in zip(roles, bases, strict=True)
    )

    def build(*parts: Part) -> Part:
        groups: dict[str, list[tuple[Part, int]]] = {}
        for part, role, (_, power, slope) in zip(parts, roles, bases, strict=True):
            if slope:
                part = Part((Call(slope, (part.formula,), (), 1),))
            groups.setdefault(role, []).append((part, power))
        return gathered(groups)

    return _Form(tuple(opened), build)


def _role(value: Value, power: int, shape: tuple[int, ...]) -> str:
    """What a factor is in a product of this shape; "" where it is nothing of a matrix."""
    if value.shape == ():
        return "scalar"
    if power < 0 or len(shape) != 2:
        return ""
    if value.head == "index" and value.detail == (":", "None"):
        return "column" if value.operands[0].shape == shape[:1] else ""
    return {shape: "whole", shape[1:]: "row"}.get(value.shape, "")


def _is_of_matrices(roles: Sequence[str]) -> bool:
    """Whether an entrywise product is `diag(x) A` or `x yᵀ`."""
    found = {*roles} - {"scalar"}
    return "" not in found and len(found) > 1


def _indicator(value: Value, steps: bool) -> _Form:
    (condition,) = value.operands
    if steps and condition.head == "compare" and condition.detail == (">",):
        z, zero = condition.operands
        if zero.head == "number" and zero.detail == (0,):
            return _of([z], lambda z: Call("relu", (z,), (), 1))
    return _of(value.operands, Indicator)


def _map(value: Value) -> _Form:
    (function,) = value.detail
    if function == CARRIED:
        return _Form(value.operands, lambda part: part)
    if function == "power":
        return _of(value.operands, Power)
    name = function.removesuffix("′")
    return _of(value.operands, lambda *of: Call(name, of, (), len(function) - len(name)))


def _call(value: Value) -> _Form:
    function, *options = value.detail
    if function == "einsum":
        return _einsum(value)
    if function == "inv":
        return _of(value.operands, Inverse)
    if function == "kron":
        return _of(value.operands, lambda *of: Product("kronecker", of))
    if function == "broadcast_to" and value.operands[0].detail == (1,) and len(value.shape) < 3:
        return _of((), lambda: Ones(value.shape))
    if function == "broadcast_to" and _is_led(value):
        (operand,) = value.operands
        return _of([operand], lambda of: View(of, ("None",) * _lead(value)))
    numbers, pairs = [], []
    for option in options:
        key, _, text = option.rpartition("=")
        key = key or _KEYWORDS.get(function, "")
        if key:
            pairs.append((key, literal_eval(text)))
        else:
            numbers.append(Number(literal_eval(text)))
    name = _ON_PAPER.get(function, function)
    return _of(value.operands, lambda *of: Call(name, (*of, *numbers), tuple(pairs)))


def _lead(value: Value) -> int:
    """How many axes an array has that its operand lacks."""
    return len(value.shape) - len(value.operands[0].shape)


def _is_led(value: Value) -> bool:
    """Whether axes of size one are put in front, and nothing else."""
    ones = (1,) * _lead(value)
    return bool(value.operands[0].shape) and value.shape == ones + value.operands[0].shape


def _alignment(value: Value) -> list[str] | None:
    """The indices of an einsum's operands, then those of its result; None where they repeat."""
    inputs, _, output = value.operands[0].detail[0].strip("'").partition("->")
    indices = [*inputs.split(","), output]
    return indices if all(len({*index}) == len(index) for index in indices) else None


def _einsum(value: Value) -> _Form:
    """The operands side by side, entry by entry, and summed over the last axes."""
    *indices, output = _alignment(value) or [""]
    summed = sorted({*"".join(indices)} - {*output})
    every = [*output, *summed]
    axes = tuple(range(len(output), len(every)))

    def build(*of: Formula) -> Formula:
        spread = [_spread(f, index, every) for f, index in zip(of, indices, strict=True)]
        total = product("entrywise", spread)
        options = (("axis", axes if len(axes) > 1 else axes[0]),) if axes else ()
        return Call("sum", (total,), options) if axes else total

    return _of(value.operands[1:], build)


def _spread(formula: Formula, index: str, every: Sequence[str]) -> Formula:
    """The array with its axes where `every` has them, and axes of size one between."""
    order = tuple(sorted(range(len(index)), key=lambda axis: every.index(index[axis])))
    if order == (1, 0):
        formula = turned(formula)
    elif order != tuple(range(len(order))):
        formula = Call("transpose", (formula,), (("axes", order),))
    entries = put_in([every.index(n) for n in index], len(every))
    return View(formula, entries) if "None" in entries else formula
