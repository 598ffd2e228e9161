"""Terms as a Jacobian stores them: factors that are arrays, and a structure of plain values.

While a Jacobian is worked out its factors are symbolic. Stored, each is a `Leaf` whose index is a
place in a tuple of arrays, so that the arrays can be the leaves of a JAX pytree and everything else
its structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from layouts.mesh.partitioned import compute
from layouts.mesh.sharding import Sharded
from layouts.mesh.splitting import by_label
from layouts.nodes import Leaf, Node, Reshape
from layouts.products import settle
from layouts.terms import Factor, Term, Terms

Arrays = tuple[jax.Array, ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Names:
    """How formulas call the output and the input; of no account when Jacobians are compared."""

    out: str = "D"
    into: str = "X"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names)

    def __hash__(self) -> int:
        return 0


def nodes_of(term: Term) -> list[Node]:
    """The arrays of a term: its factors, then the tables of its selections."""
    tables = [s.table for s in term.selections if s.table is not None]
    return [factor.node for factor in term.factors] + tables


def on_nodes(term: Term, nodes: Sequence[Node]) -> Term:
    """The same term on other arrays, in the order of `nodes_of`."""
    given = iter(nodes)
    factors = tuple(Factor(next(given), factor.labels) for factor in term.factors)
    selections = tuple(
        s if s.table is None else replace(s, table=next(given)) for s in term.selections
    )
    return replace(term, factors=factors, selections=selections)


def shifted(terms: Terms, offset: int) -> Terms:
    """The same terms with their leaves numbered after another Jacobian's."""

    def moved(node: Node) -> Node:
        assert isinstance(node, Leaf)
        return replace(node, index=node.index + offset)

    return tuple(on_nodes(term, list(map(moved, nodes_of(term)))) for term in terms)


def settled(
    wanted: Sequence[Terms],
    residuals: Sequence[jax.Array],
    shardings: Sequence[Sharded] | None = None,
) -> list[tuple[Terms, Arrays]]:
    """Evaluate the factors of several sums of symbolic terms in one program.

    Args:
        wanted: the terms of each.
        residuals: the array for each leaf of the terms' programs.
        shardings: how the dense array of each would lie on a mesh; factors are split likewise.

    Returns:
        For each the stored terms and their arrays, an array that several factors share once.
    """
    wanted = [tuple(map(settle, terms)) for terms in wanted]
    nodes = [node for terms in wanted for term in terms for node in nodes_of(term)]
    lying = [
        one
        for terms, whole in zip(wanted, shardings or [None] * len(wanted), strict=True)
        for term in terms
        for one in by_label(term, whole)
    ]
    values = iter(compute(nodes, residuals, lying))
    found = []
    for terms in wanted:
        arrays: list[jax.Array] = []
        kept: list[Term] = []
        for term in terms:
            leaves = [_kept(next(values), arrays, node) for node in nodes_of(term)]
            kept.append(on_nodes(term, leaves))
        found.append((tuple(kept), tuple(arrays)))
    return found


def _kept(array: jax.Array, arrays: list[jax.Array], node: Node) -> Leaf:
    """A leaf for an array, which joins the others unless it is among them."""
    place = next((n for n, known in enumerate(arrays) if known is array), len(arrays))
    arrays += [array] if place == len(arrays) else []
    return Leaf(array.shape, array.dtype.itemsize, (), place, _name(node))


def _name(node: Node) -> str | None:
    """A factor that is an array of the user's, perhaps without its axes of size one."""
    while isinstance(node, Reshape):
        (node,) = node.operands
    return node.name if isinstance(node, Leaf) else None


def with_numbers(term: Term, arrays: Arrays, exact: bool = False) -> Term:
    """The term with its nameless scalars as the numbers that they are, where they are known.

    With `exact`, only those that print without rounding.
    """
    kept, coefficient = [], term.coefficient
    for factor in term.factors:
        number = _number(factor, arrays)
        if number is None or (exact and complex(f"{number:.4g}") != number):
            kept.append(factor)
        else:
            coefficient = coefficient * number
    return replace(term, factors=tuple(kept), coefficient=coefficient)


def _number(factor: Factor, arrays: Arrays) -> complex | None:
    """The value of a nameless scalar, where it is known."""
    assert isinstance(factor.node, Leaf)
    value = arrays[factor.node.index]
    return None if factor.node.name or not is_known(value) or value.ndim else value.item()


def is_known(array: Any) -> bool:
    """Whether the numbers of an array can be read: no tracer, not donated, on this host."""
    if isinstance(array, jax.core.Tracer) or not isinstance(array, jax.Array):
        return isinstance(array, np.ndarray)
    return not array.is_deleted() and array.is_fully_addressable


class Structure:
    """All of a Jacobian but its arrays; equal to another of the same terms, whatever the labels."""

    def __init__(self, terms: Terms, out_shape: Shape, in_shape: Shape, dtype: Any, names: Names):
        """Keep the fields of a Jacobian as they are."""
        self.fields = {
            "terms": terms,
            "out_shape": out_shape,
            "in_shape": in_shape,
            "dtype": dtype,
            "names": names,
        }

    @cached_property
    def code(self) -> tuple:
        """Plain values that tell it from others."""
        terms, *rest = self.fields.values()
        return (tuple(map(_encode, terms)), *rest)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Structure) and self.code == other.code)

    def __hash__(self) -> int:
        return hash(self.code)


def _encode(term: Term) -> tuple:
    """A term's structure as plain values."""
    number = {label: place for place, label in enumerate(term.labels)}
    out, into, _ = term.pattern
    factors = tuple(tuple(number[label] for label in factor.labels) for factor in term.factors)
    selections = tuple(
        (
            number[s.place],
            tuple(number[label] for label in s.labels),
            (s.start, s.step, s.window),
            s.table is not None,
        )
        for s in term.selections
    )
    leaves = tuple(
        (node.shape, node.itemsize, node.index, Names(node.name or ""))
        for node in nodes_of(term)
        if isinstance(node, Leaf)
    )
    return out, into, factors, selections, leaves, term.coefficient
