"""Numbers and names as every notation writes them."""

from __future__ import annotations

import re
from fractions import Fraction
from math import isfinite

import numpy as np

Scalar = complex | float | int
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_GREEK_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ"
_GREEK_WORDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
# The word for each Greek letter, which is its name in LaTeX too.
GREEK = dict(zip(_GREEK_LETTERS, _GREEK_WORDS.split(), strict=True))
_LETTER_OF = {word: letter for letter, word in GREEK.items()}


# A fraction of whole numbers up to this is written as one.
MOST_BELOW = 99
# What a few roundings of double precision come to, relative to a number.
ROUNDING = 1e-15


def number_text(number: Scalar) -> str:
    """A number: whole, a simple fraction, or all its digits; complex in parentheses.

    A number of half precision has the digits of one: `0.1` and not `0.10000000149011612`.

    Example:
        >>> number_text(3.0), number_text(0.2), number_text(0.12345), number_text(1 - 2j)
        ('3', '1/5', '0.12345', '(1-2j)')
        >>> number_text(-2 / 3), number_text(1.5)
        ('-2/3', '1.5')
    """
    if isinstance(number, complex):
        sign = "-" if number.imag < 0 else "+"
        return f"({_digits(number.real)}{sign}{_digits(abs(number.imag))}j)"
    if isinstance(number, int) and not isinstance(number, bool):
        return str(number)
    if not isfinite(number):
        return str(float(number))
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    inverse = 1 / number if abs(number) > 1e-6 else 0
    if abs(inverse) > 1.5 and abs(inverse - round(inverse)) < 1e-9 * abs(inverse):
        return f"1/{round(inverse)}" if inverse > 0 else f"-1/{-round(inverse)}"
    short = f"{number:.4g}"
    if abs(float(short) - number) <= ROUNDING * abs(number):
        return short  # 0.6000000000000001 is what rounding makes of 0.6
    single = np.float32(number) if abs(number) < 1e38 else np.float32(0)
    exact = float(single) == number
    fraction = Fraction(number).limit_denominator(MOST_BELOW)
    near = float(np.float32(fraction) if exact else fraction)
    if abs(fraction) < MOST_BELOW and abs(near - number) <= ROUNDING * abs(number):
        return f"{fraction.numerator}/{fraction.denominator}"
    rounded = f"{number:.12g}"
    if abs(float(rounded) - number) <= ROUNDING * abs(number):
        return rounded
    return str(single) if exact else repr(float(number))


def _digits(number: float) -> str:
    """The digits that tell a number from others, four where they do."""
    short = f"{number:.4g}"
    return repr(number) if isfinite(number) and float(short) != number else short


def is_negative(number: Scalar) -> bool:
    """Whether a number is written with a minus before it."""
    return not isinstance(number, complex) and bool(number < 0)


def is_one(number: Scalar) -> bool:
    """Whether a number is one, and real."""
    return not isinstance(number, complex) and bool(number == 1)


def split_name(name: str) -> tuple[str, str]:
    """A name as a symbol and its subscript, if it has one.

    A letter, or a Greek letter by its word, takes a subscript after an underscore; any word takes
    digits at its end. Words with a letter that is not of these alphabets stay whole.

    Example:
        >>> [split_name(name) for name in ("z1", "W_hh", "out_2", "alpha", "my_var", "params.w")]
        [('z', '1'), ('W', 'hh'), ('out', '2'), ('α', ''), ('my_var', ''), ('params.w', '')]
    """
    parts = re.fullmatch(r"([A-Za-zα-ωΑ-Ω]+?)(?:_?(\d+)|_([A-Za-z]\w*))?", name, re.ASCII)
    if not parts:
        return name, ""
    word, digits, mark = parts.groups()
    symbol = _LETTER_OF.get(word, word)
    if mark and len(symbol) > 1:
        return name, ""
    return symbol, digits or mark or ""


def mark_of(name: str) -> tuple[str, str]:
    """What a name is for another: its tangent (`dot`), its cotangent (`d`), or just a name ("").

    Example:
        >>> [mark_of(name) for name in ("W_dot", "dz1", "dim", "W")]
        [('dot', 'W'), ('d', 'z1'), ('', 'dim'), ('', 'W')]
    """
    if name.endswith("_dot") and len(name) > 4:
        return "dot", name.removesuffix("_dot")
    if re.fullmatch(r"d[A-Za-zα-ωΑ-Ω]\d*", name):
        return "d", name[1:]
    return "", name
