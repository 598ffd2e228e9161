"""Values as text, one definition a line; what grows too long is cut by naming its parts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from layouts.show.value import Shape, Value, identity_size

# A definition longer than this gives names to its longest parts.
LONGEST_LINE = 64
SHORTEST_PART = 6
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

# How tightly a text binds: what stands around it puts parentheses where it binds less.
COMPARISON, SUM, PRODUCT, POSTFIX, ATOM = range(5)
Text = tuple[str, int]


@dataclass(frozen=True)
class Definition:
    """What a letter of a formula stands for.

    Attributes:
        name: the letter.
        shape: the shape of the array.
        text: an expression of the named inputs and of other letters.
    """

    name: str
    shape: Shape
    text: str

    def __str__(self) -> str:
        return f"{self.name} = {self.text}"


def definitions(
    letters: Mapping[str, tuple[Value, Shape]],
    taken: Iterable[str] = (),
    known: Mapping[Value, Value] | None = None,
) -> tuple[Definition, ...]:
    """Write down what letters stand for.

    Args:
        letters: for each its value, and the shape of the array.
        taken: names that no part may have.
        known: values that are to be written as others, shorter ones.

    Returns:
        The letters in order, then the parts z1, z2 ... that they are written with.

    Example:
        >>> from layouts.show.values import Values
        >>> values = Values()
        >>> W, x = values.name("W", (4, 3)), values.name("x", (3,))
        >>> z = values.make("matmul", (W, x), (), (4,))
        >>> h = values.map("tanh", z)
        >>> slope = values.add([(1, values.number(1)), (-1, values.multiply([(h, 2)]))])
        >>> print(*definitions({"A": (slope, (4,))}))
        A = 1 - tanh(W @ x)²
    """
    names = (name for name in (f"z{n}" for n in count(1)) if name not in {*letters, *taken})
    known = known or {}
    nodes = _reachable([value for value, _ in letters.values()], known)
    parts: set[Value] = set()
    _lower(nodes, known, parts)  # finds the parts; then everything is written with them
    numbered = {part: next(names) for part in nodes if part in parts}
    texts = _lower(nodes, known, parts, numbered)
    lines = [Definition(name, shape, texts[value][0]) for name, (value, shape) in letters.items()]
    lines += [Definition(name, part.shape, texts[part][0]) for part, name in numbered.items()]
    return tuple(lines)


def _reachable(roots: Iterable[Value], known: Mapping[Value, Value]) -> list[Value]:
    """All that the roots are written with, operands first."""
    ordered: dict[Value, None] = {}
    pending = [(root, False) for root in roots][::-1]
    while pending:
        value, ready = pending.pop()
        if ready:
            ordered[value] = None
        elif value not in ordered:
            pending.append((value, True))
            operands = known.get(value, value).operands
            pending += [(operand, False) for operand in reversed(operands)]
    return list(ordered)


def _lower(
    nodes: list[Value],
    known: Mapping[Value, Value],
    parts: set[Value],
    names: Mapping[Value, str] | None = None,
) -> dict[Value, Text]:
    """The text of each node; without names, adds the operands of what is too long to `parts`."""
    texts: dict[Value, Text] = {}

    def operand(value: Value) -> Text:
        if value in parts:
            return names[value] if names else "z0", ATOM
        return texts[value]

    for node in nodes:
        written = known.get(node, node)
        texts[node] = write(written, operand)
        while names is None and len(texts[node][0]) > LONGEST_LINE:
            longest = max(written.operands, key=lambda v: len(operand(v)[0]), default=None)
            if longest is None or len(operand(longest)[0]) < SHORTEST_PART:
                break
            parts.add(longest)
            texts[node] = write(written, operand)
    return texts


def write(value: Value, operand: Callable[[Value], Text]) -> Text:
    """Write one value, given the texts of its operands."""
    if value.head in ("sum", "product"):
        return _sum(value, operand) if value.head == "sum" else _product(value, operand, "")
    texts = [operand(inner) for inner in value.operands]
    match value.head:
        case "name":
            return value.detail[0], ATOM
        case "number":
            return number_text(value.detail[0])
        case "matmul":
            left, right = texts
            first = left[0] if value.operands[0].head == "matmul" else wrap(left, POSTFIX)
            return f"{first} @ {wrap(right, POSTFIX)}", PRODUCT
        case "transpose":
            return f"{wrap(texts[0], ATOM)}ᵀ", POSTFIX
        case "index":
            return f"{wrap(texts[0], ATOM)}[{', '.join(value.detail)}]", ATOM
        case "indicator":
            size = identity_size(value)
            return f"eye({size})" if size else f"1[{texts[0][0]}]", ATOM
        case "compare":
            left, right = texts
            return f"{wrap(left, SUM)} {value.detail[0]} {wrap(right, SUM)}", COMPARISON
    if value.head == "unknown":
        function, _, place = value.detail
        return f"{function}({', '.join(text for text, _ in texts)}){place}", ATOM
    function, *options = value.detail
    operands = ", ".join(text for text, _ in texts)
    if function in ("array", "concat"):
        operands = f"[{operands}]"
    return f"{function}({', '.join([operands] * bool(operands) + options)})", ATOM


def wrap(text: Text, least: int) -> str:
    """Put parentheses around what binds less."""
    return text[0] if text[1] >= least else f"({text[0]})"


def number_text(number: complex) -> Text:
    """A number to six digits."""
    if isinstance(number, complex):
        return f"({number:.6g})", ATOM
    return f"{number:.6g}" if isinstance(number, float) else str(
        number
    ), ATOM if number >= 0 else SUM


def _sum(value: Value, operand: Callable[[Value], Text]) -> Text:
    """Terms with signs between them, a positive one first where there is one."""
    terms = list(zip(value.detail, value.operands, strict=True))
    positive = [n for n, (c, _) in enumerate(terms) if not _negative(c)]
    if positive:
        terms.insert(0, terms.pop(positive[0]))
    text = ""
    for place, (coefficient, term) in enumerate(terms):
        sign = "-" if _negative(coefficient) else "+"
        text += f" {sign} " if place else ("-" if sign == "-" else "")
        size = -coefficient if _negative(coefficient) else coefficient
        text += wrap(_scaled(size, term, operand), PRODUCT)
    alone = len(terms) == 1 and not text.startswith("-")
    return text, PRODUCT if alone else SUM


def _negative(number: complex) -> bool:
    return not isinstance(number, complex) and number < 0


def _scaled(size: complex, term: Value, operand: Callable[[Value], Text]) -> Text:
    """`2 * x`, `x / 5`; a product takes the number in."""
    if term.head == "number":
        return number_text(size * term.detail[0])
    if size == 1:
        return operand(term)
    text, binding = operand(term)
    # One divided by the least of floats is infinite.
    inverse = 0 if isinstance(size, complex) or abs(size) < 1e-300 else 1 / size
    if abs(inverse) > 1.5 and abs(inverse - round(inverse)) < 1e-6 * inverse:
        over = f"/ {round(inverse)}"
        return (
            f"{wrap((text, binding), PRODUCT if term.head == 'product' else POSTFIX)} {over}",
            PRODUCT,
        )
    number = number_text(size)[0]
    if term.head == "product" and binding == PRODUCT:
        return _product(term, operand, number)
    return f"{number} * {wrap((text, binding), POSTFIX)}", PRODUCT


def _product(value: Value, operand: Callable[[Value], Text], number: str) -> Text:
    """Powers multiplied and divided, entry by entry."""
    pairs = list(zip(value.operands, value.detail, strict=True))
    above = [_power(base, power, operand) for base, power in pairs if power > 0]
    below = [_power(base, -power, operand) for base, power in pairs if power < 0]
    if len(pairs) == 1 and pairs[0][1] > 1 and not number:
        return above[0], POSTFIX
    top = " * ".join([number] * bool(number) + above) or "1"
    if not below:
        return top, PRODUCT
    return f"{top} / {below[0]}" if len(below) == 1 else f"{top} / ({' * '.join(below)})", PRODUCT


def _power(base: Value, power: int, operand: Callable[[Value], Text]) -> str:
    if power == 1:
        return wrap(operand(base), POSTFIX)
    return wrap(operand(base), ATOM) + str(power).translate(SUPERSCRIPTS)
