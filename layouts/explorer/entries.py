"""The formula of any one entry of a Jacobian, as a template that needs digits alone.

`∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j]` becomes the head `∂D[{i},{j}]/∂W[{k},{l}]`, the tie i = k and the
text `X[{l},{j}]`. `filled` puts the digits in, as the page does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from layouts.explorer.schema import Axis, Origin, Place, Template, TermTemplate, Tie
from layouts.formulas.sizing import affine, free_letters
from layouts.formulas.summands import Summand, written
from layouts.formulas.tree import (
    Call,
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Equation,
    Formula,
    Indicator,
    Letter,
    Name,
    Number,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
)
from layouts.show.text import text

Shape = tuple[int, ...]
_ELEMENTWISE = "tanh sigmoid relu gelu silu softplus elu erf exp log sqrt square abs sign sin cos"
ELEMENTWISE = frozenset(_ELEMENTWISE.split(" "))
_BRACES = re.compile(r"(\+?)\{([^}]*)\}")


def axes_of(
    equation: Equation | None, out_name: str, out_shape: Shape, in_name: str, in_shape: Shape
) -> list[Axis]:
    """The axes of a Jacobian in JAX's order, with the letters of its formula.

    Args:
        equation: the Jacobian in index notation; None where it has no formula.
        out_name: how the output is called.
        out_shape: its shape.
        in_name: how the input is called.
        in_shape: its shape.
    """
    indices = indices_of(equation) if equation else []
    letters = [index.text if isinstance(index, Letter) else "" for index in indices]
    sides = [("out", out_name, n, size) for n, size in enumerate(out_shape)]
    sides += [("in", in_name, n, size) for n, size in enumerate(in_shape)]
    if len(letters) != len(sides):
        letters = _own_letters([size for *_, size in sides])
    return [
        {
            "number": number,
            "side": side,  # type: ignore[typeddict-item]
            "of": of,
            "place": place,
            "letter": letters[number],
            "size": size,
            "edges": list(range(size + 1)),
        }
        for number, (side, of, place, size) in enumerate(sides)
    ]


def template_of(equation: Equation | None, shapes: Mapping[str, Shape]) -> Template | None:
    """The template of an equation in index notation.

    Args:
        equation: the Jacobian; None where it has no formula.
        shapes: of all arrays that formulas name.
    """
    if equation is None:
        return None
    head, body = equation.sides[0], equation.sides[-1]
    letters = {n.text: n for n in indices_of(equation) if isinstance(n, Letter)}
    numbers = {
        n.text: place for place, n in enumerate(indices_of(equation)) if isinstance(n, Letter)
    }
    if {n.text for n in free_letters(body)} - {*letters}:
        return None
    terms = [_term(summand, letters, shapes) for summand in summands_of(equation)]
    return {"head": _braced(head, letters)[0], "letters": numbers, "terms": terms}


def filled(
    template: Template, index: Sequence[int], allowed: bool = True
) -> tuple[str, str, list[Any]]:
    """One entry's formula, why it is zero by structure ("" if it is not), and where it is from.

    Args:
        template: of the Jacobian.
        index: of the entry, in JAX's order.
        allowed: whether the structure lets the entry be other than zero.

    Example:
        >>> from layouts.formulas.parsing import parse
        >>> equation = parse("∂D[i,j]/∂W[k,l] = δ[i,k] X[l,j]")
        >>> template = template_of(equation, {"X": (3, 5)})
        >>> filled(template, (1, 2, 1, 0))
        ('∂D[1,2]/∂W[1,0] = X[0,2]', '', [('X', [0, 2])])
        >>> filled(template, (1, 2, 0, 0))[:2]
        ('∂D[1,2]/∂W[0,0] = 0', 'zero by structure: 1 ≠ 0')
    """
    values = {letter: index[axis] for letter, axis in template["letters"].items()}
    own = {letter: {"start": 0, "letters": {letter: 1}, "text": letter} for letter in values}
    line, unequal = "", []
    origins: list[Any] = []
    for term in template["terms"]:
        ends = [(at(t["left"], values), at(t["right"], values)) for t in term["ties"]]
        apart = [f"{left} ≠ {right}" for left, right in ends if left != right]
        if apart:
            unequal.append(apart[0])
            continue
        sign = f" {term['sign']} " if line else ("-" if term["sign"] == "-" else "")
        line += sign + _filled(term["text"], term["places"], values)
        for origin in term["origins"]:
            found = [None if p is None else at(p, values) for p in origin["index"]]
            origins.append((origin["name"], found))
    if not allowed:
        line, origins = "", []
    why = ", ".join(dict.fromkeys(unequal))
    reason = "" if line else f"zero by structure: {why}".removesuffix(": ")
    head = _filled(template["head"], own, values)  # type: ignore[arg-type]
    return f"{head} = {line or '0'}", reason, origins


def at(place: Place, values: Mapping[str, int]) -> int:
    """The index that a place is, given the letters."""
    return place["start"] + sum(n * values[letter] for letter, n in place["letters"].items())


def _filled(line: str, places: Mapping[str, Place], values: Mapping[str, int]) -> str:
    def number(found: re.Match) -> str:
        plus, place = found[1], at(places[found[2]], values)
        return "" if plus and place == 0 else f"{plus if place >= 0 else ''}{place}"

    return _BRACES.sub(number, line)


def _own_letters(sizes: Sequence[int]) -> list[str]:
    """Letters for a Jacobian without a formula."""
    spare = iter("ijpqabcdefghmnrstuvwxyz")
    return ["" if size == 1 else next(spare) for size in sizes]


def indices_of(equation: Equation) -> list[Formula]:
    """The indices on the left side, the output's first: letters, or 0 on an axis of size one."""
    head = equation.sides[0]
    if isinstance(head, Entry):  # ∂L/∂W[k,l], of a scalar
        return list(head.indices)
    assert isinstance(head, Derivative)
    sides = (head.of, head.by)
    return [n for side in sides if isinstance(side, Entry) for n in side.indices]


def summands_of(equation: Equation) -> list[Summand]:
    """The right side of an equation in index notation, term by term."""
    body = equation.sides[-1]
    if isinstance(body, Sum):
        pairs = list(zip(body.coefficients, body.terms, strict=True))
    else:
        pairs = [] if body == Number(0) else [(1, body)]
    return [_summand(coefficient, term) for coefficient, term in pairs]


def _summand(coefficient: complex, term: Formula) -> Summand:
    summed, inner = (term.letters, term.body) if isinstance(term, Sigma) else ((), term)
    whole = isinstance(inner, Product) and inner.kind == "matrix"
    factors = inner.parts if whole else (inner,)
    deltas = tuple(part for part in factors if isinstance(part, Delta))
    rest = tuple(p for p in factors if not isinstance(p, Delta) and p != Number(1))
    return Summand(coefficient, summed, deltas, rest)


def _term(
    summand: Summand, letters: Mapping[str, Letter], shapes: Mapping[str, Shape]
) -> TermTemplate:
    """One summand, its deltas between the Jacobian's own axes apart from the rest."""
    free = {name: n for name, n in letters.items() if n not in summand.summed}
    found = {delta: _tie(delta, free) for delta in summand.deltas}
    left = tuple(delta for delta, tie in found.items() if tie is None)
    size = cast(float, abs(summand.coefficient))
    rest = replace(summand, coefficient=size, deltas=left)
    line, places = _braced(written([rest]), free)
    origins = [origin for part in rest.factors for origin in _origins(part, free, shapes)]
    return {
        "sign": "-" if summand.coefficient != size else "+",
        "text": line,
        "places": places,
        "ties": [tie for tie in found.values() if tie],
        "origins": list({(o["name"], str(o["index"])): o for o in origins}.values()),
    }


def _tie(delta: Delta, letters: Mapping[str, Letter]) -> Tie | None:
    left, right = _place(delta.left, letters), _place(delta.right, letters)
    if left is None or right is None:
        return None
    return {"left": left, "right": right, "text": text(delta)}


def _place(index: Formula, letters: Mapping[str, Letter]) -> Place | None:
    """An index as a formula of the Jacobian's own letters; None if it is of others."""
    found = _affine(index)
    if found is None or not {*found[0]} <= {*letters}:
        return None
    return {"start": found[1], "letters": found[0], "text": _index_text(index)}


def _affine(index: Formula) -> tuple[dict[str, int], int] | None:
    """`layouts.formulas.sizing.affine`, of several digits as well."""
    if not isinstance(index, Digits):
        return affine(index)
    slopes, stride = {}, 1
    for letter in reversed(index.letters):
        slopes[letter.text] = stride
        stride *= letter.size
    return slopes if all(n.size for n in index.letters) else {}, 0


def _index_text(index: Formula) -> str:
    return text(Entry(Name("x"), (index,)))[2:-1]


def _braced(formula: Formula, letters: Mapping[str, Letter]) -> tuple[str, dict[str, Place]]:
    """The text with the Jacobian's own letters in braces, and what stands in the braces."""
    places: dict[str, Place] = {}

    def change(part: Formula) -> Formula:
        if isinstance(part, Entry):
            return Entry(change(part.array), tuple(map(index, part.indices)))
        if isinstance(part, Delta):
            return Delta(index(part.left), index(part.right))
        if isinstance(part, Letter):
            return index(part)
        return part if isinstance(part, Sigma) and not part.letters else _rebuilt(part)

    def _rebuilt(part: Formula) -> Formula:
        if isinstance(part, Sigma):
            return Sigma(part.letters, change(part.body))
        return part.rebuilt(change)

    def index(part: Formula) -> Formula:
        found = _affine(part)
        if found is None:
            return _rebuilt(part)
        slopes, start = found
        mine = {n: slope for n, slope in slopes.items() if n in letters}
        others = {n: slope for n, slope in slopes.items() if n not in letters}
        if not mine:
            return part
        own = _sum(mine, start)
        words = _index_text(own)
        places[words] = {"start": start, "letters": mine, "text": words}
        if not others:
            return Letter(f"{{{words}}}")
        return Sum((*others.values(), 1), (*map(Letter, others), Letter(f"{{{words}}}")))

    return text(change(formula)), places


def _sum(slopes: Mapping[str, int], start: int) -> Formula:
    """`i`, `i + 2`, `6 - i`."""
    if start == 0 and [*slopes.values()] == [1]:
        return Letter(next(iter(slopes)))
    pairs = sorted(((n, Letter(name)) for name, n in slopes.items()), key=lambda pair: pair[0] < 0)
    last = [(start, Number(1))] if start else []
    ordered = [*last, *pairs] if pairs[0][0] < 0 else [*pairs, *last]
    return Sum(tuple(n for n, _ in ordered), tuple(term for _, term in ordered))


def _origins(
    formula: Formula,
    letters: Mapping[str, Letter],
    shapes: Mapping[str, Shape],
    index: Sequence[Place | None] = (),
) -> Iterator[Origin]:
    """The entries of named arrays that an entry of a formula is made of."""
    match formula:
        case Name(name) if name in shapes:
            yield {"name": name, "index": _spread(shapes[name], index)}
        case Entry(array, indices):
            yield from _origins(array, letters, shapes, [_place(n, letters) for n in indices])
            for inner in indices:
                if _affine(inner) is None:  # a table of places
                    yield from _origins(inner, letters, shapes)
        case Transpose(of) if len(index) == 2:
            yield from _origins(of, letters, shapes, index[::-1])
        case Sum() | Power() | Quotient() | Indicator() | Compare() | Product(kind="entrywise"):
            for part in formula.parts:
                yield from _origins(part, letters, shapes, index)
        case Call(function) if function in ELEMENTWISE:
            for part in formula.parts:
                yield from _origins(part, letters, shapes, index)
        case Sigma(_, body):
            yield from _origins(body, letters, shapes)
        case _:
            known = [part.text for part in formula.walk() if isinstance(part, Name)]
            for name in dict.fromkeys(known):
                if name in shapes:
                    yield {"name": name, "index": [None] * len(shapes[name])}


def _spread(shape: Shape, index: Sequence[Place | None]) -> list[Place | None]:
    """An index of what is broadcast, along the axes of one of its parts."""
    if len(index) < len(shape):
        return [None] * len(shape)
    zero: Place = {"start": 0, "letters": {}, "text": "0"}
    own = index[len(index) - len(shape) :]
    return [zero if size == 1 else place for size, place in zip(shape, own, strict=True)]
