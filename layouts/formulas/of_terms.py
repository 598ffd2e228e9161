"""A Jacobian's terms with matrices: as Kronecker products, and the rule that pulls back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp

from layouts.formulas.evaluating import shapes_of
from layouts.formulas.kronecker import kronecker_form
from layouts.formulas.matrices import matrix_form
from layouts.formulas.summands import Summand
from layouts.formulas.tree import Derivative, Equation, Formula, Letter, Name, Number
from layouts.nodes import Shape
from layouts.show.terms import Spelling, factor_names
from layouts.terms import Terms


def kronecker_of(
    terms: Terms,
    turned: bool = False,
    vec: str = "rows",
    taken: Iterable[str] = (),
    shapes: Mapping[str, Shape] | None = None,
) -> Formula | None:
    """The matrix of a Jacobian as Kronecker products; None where it has no such form.

    Args:
        terms: the sum; its factors are leaves, with or without names.
        turned: whether the input's axes are the rows, as in denominator layout.
        vec: "rows" or "columns": how each side is stacked.
        taken: names that no letter may have.
        shapes: the shapes of named arrays, axes of size one included.
    """
    if not terms:
        return Number(0)
    spelling = Spelling(terms, factor_names(terms, taken), shapes)
    out, into = _axes(spelling.rows), _axes(spelling.columns)
    if out is None or into is None:
        return None
    out, into = out or (None,), into or (None,)  # a scalar is stacked as a vector of one
    summands = [_toward(summand, out, into) for summand in spelling.summands]
    sides = (into, out) if turned else (out, into)
    return kronecker_form(summands, *sides, vec, _shape_of(spelling))


def rule_matrix(
    terms: Terms,
    out_name: str,
    in_name: str,
    loss: str = "L",
    shapes: Mapping[str, Shape] | None = None,
) -> Equation | None:
    """The rule with matrices, such as `∂L/∂W = ∂L/∂D Xᵀ`; None where it is not found.

    Args:
        terms: the Jacobian; its factors are leaves, with or without names.
        out_name: how to call the output.
        in_name: how to call the input.
        loss: how to call the scalar that the cotangent is the gradient of.
        shapes: the shapes of named arrays, axes of size one included.
    """
    result, cotangent = (Derivative(Name(loss), Name(name)) for name in (in_name, out_name))
    if not terms:
        return Equation((result, Number(0)))
    spelling = Spelling(terms, factor_names(terms, (out_name, in_name)), shapes)
    axes = _axes(spelling.columns)
    if axes is None:
        return None
    cotangents = {f"d{loss}/d{out_name}": spelling.out_shape}
    form = matrix_form(spelling.pulled(cotangent), axes, _shape_of(spelling, cotangents))
    return None if form is None else Equation((result, form))


def _shape_of(
    spelling: Spelling, cotangents: Mapping[str, Shape] | None = None
) -> Callable[[Formula], Shape]:
    """The shape of a formula of the arrays of terms; nothing is computed."""
    arrays = {**spelling.arrays, **(cotangents or {})}
    kinds = {name: int if name in spelling.tables else float for name in arrays}
    return shapes_of(
        {n: jax.ShapeDtypeStruct(s, jnp.result_type(kinds[n])) for n, s in arrays.items()}
    )


def _axes(indices: Sequence[Formula]) -> tuple[Letter | None, ...] | None:
    """The letters of axes of one digit at most; None where one has several."""
    if any(not isinstance(index, Letter) and index != Number(0) for index in indices):
        return None
    return tuple(index if isinstance(index, Letter) else None for index in indices)


def _toward(summand: Summand, *sides: Sequence[Letter | None]) -> Summand:
    """With factors on one side alone, where deltas allow it: `δ[i,k] A[i,l]` is `δ[i,k] A[k,l]`."""
    ties = [(delta.left, delta.right) for delta in summand.deltas]
    into = {a: b for a, b in ties if isinstance(a, Letter) and isinstance(b, Letter)}
    own = [{letter for letter in side if letter is not None} for side in sides]

    def moved(factor: Formula) -> Formula:
        turned = factor.replaced(into)
        inside = [{p for p in f.walk() if isinstance(p, Letter)} for f in (factor, turned)]
        return factor if inside[0] <= own[0] or not inside[1] <= own[1] else turned

    return replace(summand, factors=tuple(map(moved, summand.factors)))
