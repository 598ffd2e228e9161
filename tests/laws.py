"""Independent arithmetic: terms by nested loops, matrices and Kronecker products by NumPy."""

import re
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from layouts.evaluate import evaluate
from layouts.terms import Terms


def by_loops(
    terms: Terms, residuals: Sequence[Any], out_shape: Sequence[int], in_shape: Sequence[int]
) -> np.ndarray:
    """The dense array of a sum of terms, one entry at a time, straight from the definition."""
    arrays = [np.asarray(array) for array in residuals]
    kind = np.result_type(
        np.float64, *(array.dtype for array in arrays), *(type(t.coefficient) for t in terms)
    )
    total = np.zeros((*out_shape, *in_shape), kind)
    for term in terms:
        values = [np.asarray(v) for v in evaluate([f.node for f in term.factors], residuals)]
        labels = term.labels
        for digits in product(*(range(label.size) for label in labels)):
            at = dict(zip(labels, digits, strict=True))
            entry = term.coefficient
            for factor, value in zip(term.factors, values, strict=True):
                entry = entry * value[tuple(at[label] for label in factor.labels)]
            place = []
            for axis in term.out + term.into:
                position = 0
                for label in axis:
                    position = position * label.size + at[label]
                place.append(position)
            total[tuple(place)] += entry
    return total


def stacked(dense: Any, out_shape: Sequence[int], layout: str, vec: str) -> np.ndarray:
    """The matrix of a dense Jacobian by explicit loops over its entries."""
    dense = np.asarray(dense)
    into_shape = dense.shape[len(out_shape) :]
    matrix = np.zeros((prod(out_shape), prod(into_shape)), dense.dtype)
    for place in np.ndindex(*dense.shape):
        out, into = place[: len(out_shape)], place[len(out_shape) :]
        matrix[_rank(out, out_shape, vec), _rank(into, into_shape, vec)] = dense[place]
    return matrix if layout == "numerator" else matrix.T


def _rank(place: Sequence[int], shape: Sequence[int], vec: str) -> int:
    """The position of an entry when an array is stacked with its last (or first) index fastest."""
    pairs = list(zip(place, shape, strict=True))
    rank = 0
    for index, extent in pairs if vec == "rows" else pairs[::-1]:
        rank = rank * extent + index
    return rank


NUMBER = r"(?:\d+/\d+|\d+(?:\.\d+)?(?:e[+-]\d+)?)"


def kronecker_value(text: str, arrays: dict[str, Any]) -> np.ndarray:
    """Compute the matrix that a sum of Kronecker products stands for, by NumPy alone."""
    if text == "0":
        return np.zeros((1, 1))
    total: Any = 0
    for sign, part in re.findall(r"(?:^|(?<= ))([+-]? ?)((?:\([^()]*\)|[^()+-]|(?<=e)-)+)", text):
        total = total + (-1 if "-" in sign else 1) * _scaled(part.strip(), arrays)
    return total


def _scaled(text: str, arrays: dict[str, Any]) -> Any:
    """A product, or a number and a product in brackets."""
    match = re.fullmatch(rf"({NUMBER}) \((.*)\)", text)
    if match is None:
        return _chain(text, arrays)
    numerator, _, denominator = match[1].partition("/")
    return float(numerator) / float(denominator or 1) * _chain(match[2], arrays)


def _chain(text: str, arrays: dict[str, Any]) -> Any:
    """Blocks between ⊗; a column times a row binds tighter."""
    value: Any = np.ones((1, 1))
    for block in text.split(" ⊗ "):
        value = np.kron(value, _block(block, arrays))
    return value


def _block(text: str, arrays: dict[str, Any]) -> Any:
    if text.startswith("diag("):
        diagonal: Any = 1.0
        for name in text[5:-1].split(" ⊙ "):
            diagonal = diagonal * arrays[name]
        return np.diag(diagonal)
    value: Any = np.ones((1, 1))
    for word in text.split(" "):
        other = _word(word, arrays)
        value = value * other if 1 in (value.size, other.size) else value @ other
    return value


def _word(text: str, arrays: dict[str, Any]) -> Any:
    """One symbol as a matrix; a vector is a column."""
    if text == "1":
        return np.ones((1, 1))
    plain = text.translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
    name, turned = (text[:-1], True) if text.endswith("ᵀ") else (text, False)
    if re.fullmatch(r"I\d+", plain) and name not in arrays:
        return np.eye(int(plain[1:]))
    if match := re.fullmatch(r"𝟏\((\d+)×(\d+)\)", text):
        return np.ones((int(match[1]), int(match[2])))
    if match := re.fullmatch(r"𝟏(\d+)ᵀ?", plain):
        value = np.ones((int(match[1]), 1))
    else:
        array = np.asarray(arrays[name])
        value = array if array.ndim == 2 else array.reshape(-1, 1)
    return value.T if turned else value
