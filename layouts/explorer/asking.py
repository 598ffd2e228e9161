"""Reads requests. A body is hostile until it has passed here: what it holds is then what it says.

Nothing of a function is run; shapes and values are only held against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, cast

from layouts.conventions import TEXTBOOKS, Convention
from layouts.errors import LayoutError
from layouts.explorer.gallery import GALLERY, Row
from layouts.explorer.limits import MAX_ENTRIES, MAX_INPUTS, MAX_NAME, MAX_SEED, check_inputs
from layouts.explorer.schema import State
from layouts.expressions.grammar import MAX_TEXT, guess, shorten
from layouts.expressions.loading import Loaded, load
from layouts.expressions.parsing import MAX_AXES, check_shapes, parse_expression

Shape = tuple[int, ...]
Functions = Mapping[str, Loaded]
"""The user's own functions, by what they were named by on the command line."""

KINDS = ("expression", "gallery", "function")
SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
STATE = ("source", "shapes", "values", "seed", "wrt", "layout", "vec", "textbook", "checks")


@dataclass(frozen=True)
class Asked:
    """A state that is sound.

    Attributes:
        kind: "expression", "gallery" or "function".
        name: of the row or the function; of an expression its text.
        loaded: the function with the shapes of its inputs.
        values: of inputs that are not drawn, flat.
        edited: the names of those whose values came with the request.
        seed: of those that are drawn.
        wrt: the input to differentiate by.
        convention: how the Jacobian is to be written at first.
        checks: whether the steps of the derivation are held against numbers.
    """

    kind: str
    name: str
    loaded: Loaded
    values: Mapping[str, tuple[float, ...]]
    edited: tuple[str, ...]
    seed: int
    wrt: str
    convention: Convention
    checks: bool

    @property
    def row(self) -> Row | None:
        """The row of the gallery."""
        return GALLERY[self.name] if self.kind == "gallery" else None

    @property
    def key(self) -> tuple:
        """What the symbolic facts depend on: not the values, not the layout."""
        return (self.kind, self.name, tuple(self.loaded.inputs.items()), self.wrt)

    @property
    def state(self) -> State:
        """The state with nothing left out."""
        source: dict[str, Any] = {"kind": self.kind}
        source["text" if self.kind == "expression" else "name"] = self.name
        found: dict[str, Any] = {
            "source": source,
            "shapes": {name: list(shape) for name, shape in self.loaded.inputs.items()},
            "values": {name: list(map(plain, self.values[name])) for name in self.edited},
            "seed": self.seed,
            "wrt": self.wrt,
            "layout": str(self.convention.layout) if self.convention.layout else "numerator",
            "vec": self.convention.vec or "rows",
            "textbook": self.convention.name or None,
            "checks": self.checks,
        }
        return cast(State, found)


def plain(number: float) -> Any:
    """A number as JSON has it; what JSON lacks is a word."""
    if isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def state_of(body: Any, functions: Functions, more: Sequence[str] = ()) -> Asked:
    """Read a state.

    Args:
        body: what came as JSON.
        functions: the user's own.
        more: the keys that the request has besides.

    Raises:
        LayoutError: a key is missing or unknown, a value has another type or size than it should,
            the expression is outside the grammar, or the shapes do not fit.
    """
    fields = keyed("request", body, (*STATE, *more), needed=("source", *more))
    kind, name = source_of(fields["source"], functions)
    loaded, row = _loaded(kind, name, shapes_of(fields.get("shapes") or {}), functions)
    check_inputs(loaded.inputs)
    wrt = fields.get("wrt")
    wrt = row.wrt if row and wrt is None else wrt
    wrt = next(iter(loaded.inputs)) if wrt is None else wrt
    if not isinstance(wrt, str) or wrt not in loaded.inputs:
        remedy = f"choose from {', '.join(loaded.inputs)}"
        raise LayoutError("wrt", "the name of an input", shorten(repr(wrt)), remedy)
    given = _values(fields.get("values") or {}, loaded.inputs)
    known = {n: v for n, v in (row.values if row else {}).items() if _fits(v, loaded.inputs[n])}
    return Asked(
        kind,
        name,
        loaded,
        known | given,
        tuple(given),
        integer("seed", fields.get("seed", 0), 0, MAX_SEED),
        wrt,
        _convention(fields),
        _of_type("checks", fields.get("checks", False), bool, "true or false"),
    )


def keyed(
    what: str, value: Any, known: Sequence[str], needed: Sequence[str] = ()
) -> dict[str, Any]:
    """A JSON object with these keys and no others.

    Raises:
        LayoutError: it is none.
    """
    found = _of_type(what, value, dict, "a JSON object")
    for key in found:
        if key not in known:
            remedy = f"use {', '.join(known)}"
            raise LayoutError(f"key of {what}", "a known one", shorten(repr(key)), remedy)
    for key in needed:
        if key not in found:
            received = ", ".join(map(shorten, found)) or "none"
            raise LayoutError(f"{what}", f"the key {key}", received, f"add {key}")
    return found


def integer(what: str, value: Any, least: int, most: int) -> int:
    """A whole number within limits.

    Raises:
        LayoutError: it is none.
    """
    if type(value) is not int or not least <= value <= most:
        expected = f"a whole number from {least:,} to {most:,}"
        raise LayoutError(what, expected, shorten(repr(value)), "choose another")
    return value


def line(what: str, value: Any) -> str:
    """A text of bounded length.

    Raises:
        LayoutError: it is none, is empty, or is too long.
    """
    found = _of_type(what, value, str, "a text")
    if not found.strip() or len(found) > MAX_TEXT:
        expected = f"one of 1 to {MAX_TEXT:,} characters"
        raise LayoutError(what, expected, f"{len(found):,}", "write it out, or shorten it")
    return found.strip()


def source_of(value: Any, functions: Functions) -> tuple[str, str]:
    """The kind of a source, and its text or name.

    Raises:
        LayoutError: no such kind, row or function.
    """
    fields = keyed("source", value, ("kind", "text", "name"), ("kind",))
    kind = fields["kind"]
    if kind not in KINDS:
        remedy = f"choose from {', '.join(KINDS)}"
        raise LayoutError("kind of source", "a known one", shorten(repr(kind)), remedy)
    if kind == "expression":
        keyed("source of an expression", fields, ("kind", "text"), ("text",))
        text = line("expression", fields["text"])
        if ":" in text:  # a module's function is named on the command line alone
            remedy = "write a formula; name functions of your own when you start the explorer"
            raise LayoutError("expression", "one without ':'", shorten(text), remedy)
        return kind, text
    keyed(f"source of kind {kind}", fields, ("kind", "name"), ("name",))
    known: Mapping[str, Any] = GALLERY if kind == "gallery" else functions
    name = fields["name"]
    if not isinstance(name, str) or name not in known:
        remedy = f"choose from {', '.join(known)}" if known else "name one on the command line"
        raise LayoutError(f"name of a {kind} source", "a known one", shorten(repr(name)), remedy)
    return kind, name


def shapes_of(value: Any) -> dict[str, Shape]:
    """Shapes by name.

    Raises:
        LayoutError: a size is no positive whole number, or there are too many.
    """
    given = _of_type("shapes", value, dict, "a JSON object")
    if len(given) > MAX_INPUTS:
        raise LayoutError("shapes", f"at most {MAX_INPUTS}", f"{len(given)}", "use fewer inputs")
    found = {}
    for name, sizes in given.items():
        if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_NAME:
            raise LayoutError("shapes", "names of inputs", shorten(repr(name)), "mend the name")
        what = f"shape of {shorten(name)}"
        listed = _of_type(what, sizes, list, "a list of sizes")
        if len(listed) > MAX_AXES:
            expected = f"at most {MAX_AXES} axes"
            raise LayoutError(what, expected, f"{len(listed)}", "use fewer axes")
        found[name] = tuple(integer(f"size in the {what}", n, 1, MAX_ENTRIES) for n in listed)
    return found


def _loaded(
    kind: str, name: str, shapes: Mapping[str, Shape], functions: Functions
) -> tuple[Loaded, Row | None]:
    """The function with its shapes, those asked for before its own."""
    if kind == "expression":
        check_inputs(shapes)
        return load(name, shapes), None
    row = GALLERY.get(name) if kind == "gallery" else None
    own = row.shapes if row else functions[name].inputs
    for other in shapes:
        if other not in own:
            remedy = guess(other, own) or f"choose from {', '.join(own)}"
            raise LayoutError("shapes", f"inputs of {name}", shorten(other), remedy)
    chosen = {known: shapes.get(known, shape) for known, shape in own.items()}
    check_inputs(chosen)
    if row is None:
        return Loaded(name, functions[name].call, chosen), None
    expression = parse_expression(row.expression)
    check_shapes(expression, chosen)
    return Loaded(row.expression, expression, {n: chosen[n] for n in expression.names}), row


def _values(value: Any, inputs: Mapping[str, Shape]) -> dict[str, tuple[float, ...]]:
    given = _of_type("values", value, dict, "a JSON object")
    found = {}
    for name, entries in given.items():
        if name not in inputs:
            remedy = f"choose from {', '.join(inputs)}"
            raise LayoutError("values", "the name of an input", shorten(repr(name)), remedy)
        found[name] = tuple(_entries(f"values of {name}", entries, inputs[name]))
    return found


def _entries(what: str, value: Any, shape: Shape) -> list[float]:
    """Flat values of an array, given flat or nested as its shape is."""
    wanted = prod(shape)
    if (
        isinstance(value, list)
        and len(value) == wanted
        and not any(isinstance(entry, list) for entry in value)
    ):
        return [_number(what, entry) for entry in value]
    if not shape:
        return [_number(what, value)]
    if not isinstance(value, list) or len(value) != shape[0]:
        received = f"{len(value)}" if isinstance(value, list) else type(value).__name__
        times = "×".join(map(str, shape))
        expected = f"{wanted} numbers, or lists of lists of shape {times}"
        raise LayoutError(what, expected, received, "give as many as the shape has")
    return [number for part in value for number in _entries(what, part, shape[1:])]


def _number(what: str, value: Any) -> float:
    if isinstance(value, str) and value in SPECIAL:
        return SPECIAL[value]
    number: float | None = None
    if type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = None
    if number is None:
        expected = f"numbers, or {', '.join(SPECIAL)}"
        raise LayoutError(what, expected, shorten(repr(value)), "write digits")
    return number


def _fits(values: Sequence[float], shape: Shape) -> bool:
    return len(values) == prod(shape)


def _convention(fields: Mapping[str, Any]) -> Convention:
    """The textbook's, or that of the layout and the vec order."""
    textbook = fields.get("textbook")
    layout, vec = (
        fields.get(key) if fields.get(key) is not None else usual
        for key, usual in (("layout", "numerator"), ("vec", "rows"))
    )
    for what, value in (("layout", layout), ("vec", vec)):
        _of_type(what, value, str, "its name")
    convention = Convention(layout, cast(Any, vec))
    if textbook is None:
        return convention
    if not isinstance(textbook, str) or textbook not in TEXTBOOKS:
        remedy = f"choose from {', '.join(TEXTBOOKS)}"
        raise LayoutError("textbook", "a known one", shorten(repr(textbook)), remedy)
    return TEXTBOOKS[textbook]


def _of_type(what: str, value: Any, kind: Callable, expected: str) -> Any:
    if type(value) is not kind:
        received = shorten(repr(value))
        raise LayoutError(what, expected, received, "send another")
    return value
