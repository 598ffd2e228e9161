"""Terms as text: index notation, and Kronecker products where a term is one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, count
from math import isfinite

from layouts.axes import Axes, Axis, Label, labels_of
from layouts.nodes import Leaf
from layouts.selection import Selection
from layouts.terms import Factor, Term, Terms

OUT_LETTERS = "ijpqab"
IN_LETTERS = "klrscd"
SUMMED_LETTERS = "mnuvwxyz"
FACTOR_NAMES = "ABCEFGHKMNPQRSTUV"
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def terms_text(terms: Terms, out_name: str, in_name: str) -> str:
    """A Jacobian as a formula, one line.

    Args:
        terms: the sum; its factors are leaves, with or without names.
        out_name: how to call the output.
        in_name: how to call the input.

    Returns:
        Such as `dD[i,j]/dW[k,l] = δ[i,k] X[l,j]`. An axis of size one is written `0`, an axis
        of several digits `(i,j)`, the most significant first.
    """
    names = factor_names(terms, taken=(out_name, in_name))
    if not terms:
        return f"d{out_name}/d{in_name} = 0"
    head_term = terms[0]
    head = Letters(head_term)
    text = f"d{head.indexed(out_name, head.out)}/d{head.indexed(in_name, head.into)} ="
    for place, term in enumerate(terms):
        letters = Letters(term)
        sign = "-" if is_negative(term.coefficient) else "+"
        text += f" {sign} " if place else (" -" if sign == "-" else " ")
        text += letters.body(names)
        if digits(term) != digits(head_term):
            text += f" at [{letters.sides()}]"
    return text


def digits(term: Term) -> tuple:
    """The sizes of the digits of each axis: terms that share them are spelt alike."""
    return tuple(tuple(label.size for label in axis) for axis in term.out + term.into)


def is_negative(number: complex) -> bool:
    """Whether a coefficient is written with a minus before it."""
    return not isinstance(number, complex) and number < 0


def factor_names(terms: Terms, taken: Iterable[str] = ()) -> dict[int, str]:
    """A name for each leaf: its own, or the next free capital letter."""
    nodes = [factor.node for term in terms for factor in term.factors]
    nodes += [s.table for term in terms for s in term.selections if s.table is not None]
    leaves = {node.index: node.name for node in nodes if isinstance(node, Leaf)}
    used = {*taken, *(name for name in leaves.values() if name)}
    free = (name for name in chain(FACTOR_NAMES, (f"A{n}" for n in count(1))) if name not in used)
    return {index: name or next(free) for index, name in leaves.items()}


class Letters:
    """The index letters of one term: `i j` for the output, `k l` for the input."""

    def __init__(self, term: Term):
        self.term = term
        self.out = _spell(term.out, OUT_LETTERS, "o")
        self.into = _spell(term.into, IN_LETTERS, "n")
        out_letters = dict(zip(labels_of(term.out), chain(*self.out), strict=True))
        in_letters = dict(zip(labels_of(term.into), chain(*self.into), strict=True))
        # The letters of the output come first; a delta has its own there.
        self.letter: dict[Label, str] = {**out_letters, **in_letters, **out_letters}
        self.deltas = [(out_letters[d], in_letters[d]) for d in term.deltas]
        spare = chain(SUMMED_LETTERS, (f"m{n}" for n in count(1)))
        hidden = [label for label in term.hidden if label.size > 1]
        self.summed = [next(spare) for _ in hidden]
        self.letter |= zip(hidden, self.summed, strict=True)

    def indexed(self, name: str, axes: Sequence[Sequence[str]]) -> str:
        """`X[k,l]`: a name with the letters of its axes, as `out` and `into` spell them."""
        return f"{name}[{self._side(axes)}]" if axes else name

    def sides(self) -> str:
        """`i,j; k,l`: the letters of both sides."""
        return f"{self._side(self.out)}; {self._side(self.into)}"

    def _side(self, axes: Sequence[Sequence[str]]) -> str:
        return ",".join(
            axis[0] if len(axis) == 1 else f"({','.join(axis)})" if axis else "0" for axis in axes
        )

    def body(self, names: dict[int, str]) -> str:
        """The coefficient's size, the sum if any, the deltas and the factors."""
        parts = coefficient_text(self.term.coefficient)
        parts += [f"Σ_{''.join(self.summed)}"] if self.summed else []
        parts += [f"δ[{a},{b}]" for a, b in self.deltas]
        parts += [selection_text(s, names, self.letter) for s in self.term.selections]
        parts += [factor_text(factor, names, self.letter) for factor in self.term.factors]
        return " ".join(parts) or "1"


def coefficient_text(number: complex) -> list[str]:
    """A coefficient without its sign, where there is one to write."""
    if isinstance(number, complex):
        return [number_text(number)]
    return [] if abs(number) == 1 else [number_text(abs(number))]


def factor_text(factor: Factor, names: Mapping[int, str], letter: Mapping[Label, str]) -> str:
    """`X[l,j]`: a factor with its letters."""
    assert isinstance(factor.node, Leaf)
    name = names[factor.node.index]
    letters = ",".join(letter[label] for label in factor.labels)
    return f"{name}[{letters}]" if letters else name


def selection_text(
    selection: Selection, names: Mapping[int, str], letter: Mapping[Label, str]
) -> str:
    """`δ[i+2,k]`: a delta with an offset, or `δ[T[i],k]` with a table, and the window if need be.

    The letters stand in their order in `letter`, the output's before the input's.
    """
    place, label = letter[selection.place], letter.get(selection.label)
    if isinstance(selection.table, Leaf):
        listed = ",".join(letter.get(n, "0") for n in selection.labels)
        tied = f"{names[selection.table.index]}[{listed}]"
    else:
        tied = _affine(selection.start, selection.step, label)
    order = list(letter)
    first = label is None or order.index(selection.label) < order.index(selection.place)
    text = f"δ[{tied},{place}]" if first else f"δ[{place},{tied}]"
    if label is None or is_natural(selection):
        return text
    return f"{text} [{selection.window[0]}≤{label}<{selection.window[1]}]"


def is_natural(selection: Selection) -> bool:
    """Whether a selection holds wherever its indices exist."""
    place, label = selection.place, selection.label
    if selection.table is not None or label is None:
        return True
    return (
        selection.window == Selection.affine(place, label, selection.start, selection.step).window
    )


def _affine(start: int, step: int, letter: str | None) -> str:
    """`i+2`, `6-i`, `2i+1`; a number where there is no letter."""
    if letter is None:
        return str(start)
    size = "" if abs(step) == 1 else f"{abs(step)}" if len(letter) == 1 else f"{abs(step)}·"
    if step < 0:
        return f"{start or ''}-{size}{letter}"
    return f"{size}{letter}{start:+d}" if start else f"{size}{letter}"


def _spell(axes: Axes, alphabet: str, spare: str) -> tuple[tuple[str, ...], ...]:
    """A letter for each digit; an axis without digits keeps its place in the alphabet."""
    letters: Iterator[str] = chain(alphabet, (f"{spare}{n}" for n in count(1)))
    spelled = []
    for axis in axes:
        digits = [next(letters) for _ in range(max(len(axis), 1))]
        spelled.append(tuple(digits[: len(axis)]))
    return tuple(spelled)


def number_text(number: complex) -> str:
    """A coefficient: a whole number, a simple fraction, or four digits."""
    if isinstance(number, complex):
        return f"({number:.4g})"
    if not isfinite(number):
        return str(number)
    if number == int(number):
        return str(int(number))
    inverse = 1 / number
    if abs(inverse) < 1e6 and abs(inverse - round(inverse)) < 1e-9 * abs(inverse):
        return f"1/{round(inverse)}"
    return f"{number:.4g}"


def kronecker_text(terms: Terms, taken: Iterable[str] = ()) -> str | None:
    """A sum of Kronecker products, one block a pair of axes in order; None where a term is none.

    Args:
        terms: the sum; its factors are leaves, with or without names.
        taken: names that no letter may have.
    """
    names = factor_names(terms, taken)
    text = ""
    for place, term in enumerate(terms):
        product = _kronecker_term(term, names)
        if product is None:
            return None
        sign = "-" if is_negative(term.coefficient) else "+"
        text += f" {sign} " if place else ("-" if sign == "-" else "")
        number = coefficient_text(term.coefficient)
        product = f"({product})" if number and "⊗" in product else product
        text += " ".join([*number, product]).removesuffix(" 1")
    return text or "0"


def _kronecker_term(term: Term, names: dict[int, str]) -> str | None:
    """Pair the axes of both sides in order so that every delta and factor stays within a pair."""
    if term.selections:
        return None
    for pairs in _pairings(term.out, term.into):
        left, parts = [f for f in term.factors if f.labels], []
        for out, into in pairs:
            mine = [f for f in left if {*f.labels} <= {*out, *into}]
            left = [f for f in left if f not in mine]
            parts.append(_block(out, into, mine, names))
        if left or None in parts:
            continue
        product = " ⊗ ".join(part for part in parts if part and part != "1") or "1"
        scalars = [names[f.node.index] for f in term.factors if not f.labels]  # type: ignore[attr-defined]
        return " ".join([*scalars, product]).removesuffix(" 1")
    return None


def _pairings(out: Axes, into: Axes) -> Iterator[list[tuple[Axis, Axis]]]:
    """Every way to pair the axes in order, axes of size one put in where one side has fewer."""
    if any(len(axis) > 1 for axis in out + into):
        return
    rank = max(len(out), len(into))
    for places in combinations(range(rank), min(len(out), len(into))):
        shorter = dict(zip(places, out if len(out) < rank else into, strict=True))
        padded = [shorter.get(place, ()) for place in range(rank)]
        pairs = list(
            zip(padded, into, strict=True) if len(out) < rank else zip(out, padded, strict=True)
        )
        deltas = {*labels_of(out)} & {*labels_of(into)}
        if all(({*a, *b} & deltas) <= ({*a} & {*b}) for a, b in pairs):
            yield pairs


def _block(out: Axis, into: Axis, factors: Sequence[Factor], names: dict[int, str]) -> str | None:
    """One pair of axes as a matrix."""
    if out and out == into:
        if not factors:
            return f"I{str(out[0].size).translate(SUBSCRIPTS)}"
        inside = " ⊙ ".join(names[f.node.index] for f in factors if isinstance(f.node, Leaf))
        return f"diag({inside})"
    if {*out} & {*into}:
        return None
    if not factors:
        shape = "×".join(str(axis[0].size if axis else 1) for axis in (out, into))
        return "1" if shape == "1×1" else f"𝟏({shape})"
    if len(factors) > 1:
        return _outer(out, into, factors, names)
    (factor,) = factors
    assert isinstance(factor.node, Leaf)
    name = names[factor.node.index]
    if factor.labels == (*out, *into) and out and into:
        return name
    if factor.labels == (*into, *out) and out and into:
        return f"{name}ᵀ"
    return _outer(out, into, factors, names)


def _outer(out: Axis, into: Axis, factors: Sequence[Factor], names: dict[int, str]) -> str | None:
    """A column times a row."""
    column = [names[f.node.index] for f in factors if f.labels == out and isinstance(f.node, Leaf)]
    row = [names[f.node.index] for f in factors if f.labels == into and isinstance(f.node, Leaf)]
    if len(column) + len(row) < len(factors) or len(column) > 1 or len(row) > 1:
        return None
    left = column[0] if column else (f"𝟏{str(out[0].size).translate(SUBSCRIPTS)}" if out else "")
    right = (
        f"{row[0]}ᵀ" if row else (f"𝟏{str(into[0].size).translate(SUBSCRIPTS)}ᵀ" if into else "")
    )
    return f"{left} {right}".strip()
