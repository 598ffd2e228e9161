"""Independent arithmetic: terms by nested loops, matrices and Kronecker products by NumPy."""

from collections.abc import Sequence
from itertools import chain, product
from math import prod
from typing import Any

import numpy as np

from layouts.axes import Label
from layouts.nodes import (
    Add,
    Contract,
    Digit,
    Identity,
    Leaf,
    Node,
    OneHot,
    Places,
    Put,
    Reshape,
    Steps,
    Take,
)
from layouts.selection import Selection
from layouts.terms import Terms


def value_of(node: Node, residuals: Sequence[np.ndarray]) -> np.ndarray:
    """A symbolic array by NumPy, from what its class says that it is."""
    if isinstance(node, Leaf):
        return residuals[node.index]
    operands = [value_of(operand, residuals) for operand in node.operands]
    if isinstance(node, Reshape):
        return operands[0].reshape(node.shape)
    if isinstance(node, Identity):
        extent = round(prod(node.shape) ** 0.5)
        return np.eye(extent).reshape(node.shape)
    if isinstance(node, Contract):
        pairs = [part for pair in zip(operands, node.indices, strict=True) for part in pair]
        missing = [n for n in node.output if n not in {*chain(*node.indices)}]
        ones = np.ones([node.extents[n] for n in missing])
        return np.einsum(*pairs, ones, missing, node.output)
    if isinstance(node, Add):
        total = np.zeros(node.shape, np.result_type(*operands, *map(type, node.coefficients)))
        everything = range(len(node.shape))
        for array, index, number in zip(operands, node.indices, node.coefficients, strict=True):
            ones = np.ones([node.shape[n] for n in everything if n not in index])
            others = [n for n in everything if n not in index]
            total += number * np.einsum(array, index, ones, others, everything)
        return total
    return _moved(node, operands)


def _moved(node: Node, operands: Sequence[np.ndarray]) -> np.ndarray:
    """A selection applied to one axis, as a product with its matrix of places × labels."""
    if isinstance(node, Steps | Digit | Places):
        return _table(node, operands)
    if not isinstance(node, OneHot | Put | Take):
        raise TypeError(f"no NumPy for a {type(node).__name__}")
    if not isinstance(node, OneHot) and node.places:
        return _by_tables(node, operands)
    axis = 0 if isinstance(node, OneHot) else node.axis
    if isinstance(node, OneHot):
        places, *labels = node.shape
    elif isinstance(node, Put):
        places, labels = node.shape[axis], [operands[0].shape[axis]]
    else:
        places, labels = operands[0].shape[axis], [node.shape[axis]]
    hot = np.zeros((places, *labels))
    if isinstance(node, OneHot) and operands:
        for at in np.ndindex(*labels):
            if operands[0][at] < places:
                hot[(operands[0][at], *at)] = 1
        return hot
    for label in range(*node.window):
        place = node.start + node.step * label
        if 0 <= place < places:
            hot[place, label] = 1
    if isinstance(node, OneHot):
        return hot
    matrix = hot if isinstance(node, Put) else hot.T
    front = np.tensordot(matrix, operands[0], (1, axis))
    if isinstance(node, Take):
        nowhere = node.fill * (1 - hot.sum(0))
        front = front + nowhere.reshape(-1, *[1] * (front.ndim - 1))
    return np.moveaxis(front, 0, axis).astype(operands[0].dtype)


def _table(node: Node, operands: Sequence[np.ndarray]) -> np.ndarray:
    """A table of places, entry by entry."""
    if isinstance(node, Digit):
        digit = operands[0] // node.below
        return digit % node.base if node.base else digit
    if isinstance(node, Steps):
        table = np.full(node.shape, node.extent)
        for label in range(*node.window):
            place = node.start + node.step * label
            table[place if node.inverse else label] = label if node.inverse else place
        return table
    raise TypeError(f"no NumPy for a {type(node).__name__}")


def _by_tables(node: Take | Put, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Entries read or added up at the places that tables list, one at a time."""
    array, *tables = operands
    own, *read = node.indices
    extents = dict(zip(node.output, node.shape, strict=True))
    for index, operand in zip(node.indices, operands, strict=True):
        extents |= dict(zip(index, operand.shape, strict=True))
    free = [n for n in extents if n not in node.places]
    result = np.full(node.shape, node.fill, array.dtype)
    for digits in product(*(range(extents[n]) for n in free)):
        at = dict(zip(free, digits, strict=True))
        for place, table, index in zip(node.places, tables, read, strict=True):
            at[place] = int(table[tuple(at[n] for n in index)])
        if any(at[place] >= extents[place] for place in node.places):
            continue
        here, there = (tuple(at[n] for n in side) for side in (own, node.output))
        if isinstance(node, Put):
            result[there] += array[here]
        else:
            result[there] = array[here]
    return result


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
        tables = [s.table for s in term.selections if s.table is not None]
        nodes = [*(f.node for f in term.factors), *tables]
        values = [value_of(node, arrays) for node in nodes]
        looked_up = {id(table): values[len(term.factors) + n] for n, table in enumerate(tables)}
        labels = term.labels
        for digits in product(*(range(label.size) for label in labels)):
            at = dict(zip(labels, digits, strict=True))
            if not all(_holds(s, at, looked_up) for s in term.selections):
                continue
            entry = term.coefficient
            for factor, value in zip(term.factors, values, strict=False):
                entry = entry * value[tuple(at[label] for label in factor.labels)]
            place = []
            for axis in term.out + term.into:
                position = 0
                for label in axis:
                    position = position * label.size + at[label]
                place.append(position)
            total[tuple(place)] += entry
    return total


def _holds(selection: Selection, at: dict[Label, int], tables: dict[int, np.ndarray]) -> bool:
    """Whether a selection lets an entry stand."""
    place, label = at[selection.place], at[selection.label]
    if selection.table is not None:
        return place == tables[id(selection.table)][tuple(at[n] for n in selection.labels)]
    first, last = selection.window
    return first <= label < last and place == selection.start + selection.step * label


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
