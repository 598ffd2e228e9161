"""A formula's value: names become arrays, letters become axes, Σ becomes an einsum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from layouts.errors import LayoutError
from layouts.formulas import tree
from layouts.formulas.arrays import Arrays, array_of, indices_of, names, text_of
from layouts.formulas.labelled import sized
from layouts.formulas.meaning import Evaluator, size_of, view_entry
from layouts.formulas.sizing import apart, free_letters, sizes, written
from layouts.formulas.tree import Formula, Letter
from layouts.nodes import Shape

__all__ = ["evaluate", "names", "shapes_of"]


def evaluate(
    formula: Formula, arrays: Mapping[str, jax.Array], letters: Sequence[Letter] | None = None
) -> jax.Array:
    """The array that a formula means.

    It may be traced: `jax.jit`, `jax.grad` and `jax.vmap` apply. An entry outside its array is
    zero, as in `x[i+1]` at the last i, where the letter's size is given.

    Args:
        formula: of an equation the last side is evaluated.
        arrays: by name. A derivative goes by `dL/dD` or `∂L/∂D`, and by `dD` if it is one of L.
        letters: the result's axes in order. By default the letters that no Σ binds, as they first
            appear, or those of an equation's left side. A letter without a size takes it from the
            entries that carry it.

    Returns:
        An array with an axis for each letter, then those of the formula itself if it has any.

    Raises:
        LayoutError: if a name is unknown, shapes do not fit, or a letter's size cannot be found.

    Example:
        >>> W, X = np.arange(6.0).reshape(2, 3), np.ones((3, 4))
        >>> i, j, k = (Letter(text) for text in "ijk")
        >>> entries = (tree.Entry(tree.Name("W"), (i, k)), tree.Entry(tree.Name("X"), (k, j)))
        >>> product = tree.Sigma((k,), tree.Product("matrix", entries))
        >>> print(evaluate(product, {"W": W, "X": X}))
        [[ 3.  3.  3.  3.]
         [12. 12. 12. 12.]]
    """
    if letters is None:
        # A scalar's derivative has no letters on its left; those on the right are then its axes.
        sides = formula.sides if isinstance(formula, tree.Equation) else (formula,)
        letters = free_letters(sides[0]) or free_letters(sides[-1])
    lookup = Arrays(arrays)
    own, letters = _with_numbers(apart(formula), lookup, letters)
    given = {letter.text: letter.size for letter in letters if letter.size}
    found = _sizes(own, lookup, given)
    last = own.sides[-1] if isinstance(own, tree.Equation) else own
    try:
        value = Evaluator(lookup, found).value(last)
    except ArithmeticError as error:  # of Python's own numbers; arrays have inf and nan
        raise LayoutError(text_of(last), "finite numbers", str(error), "check them") from error
    wanted = [letter.text for letter in letters]
    if lost := [letter for letter in value.letters if letter not in wanted]:
        raise LayoutError(
            "letters of the result",
            f"every free letter of the formula: {', '.join(map(written, value.letters))}",
            ", ".join(wanted) or "none",
            f"add {', '.join(lost)}, or sum over it",
        )
    return jnp.asarray(sized(value, [(n, size_of(n, found)) for n in wanted]).array)


def shapes_of(known: Mapping[str, jax.ShapeDtypeStruct]) -> Callable[[Formula], Shape]:
    """What tells the shape of an array formula; nothing is computed, and what was told is kept.

    Args:
        known: the arrays, by name; more may be added later.

    Example:
        >>> shape_of = shapes_of({"W": jax.ShapeDtypeStruct((2, 3), np.float32)})
        >>> shape_of(tree.Transpose(tree.Name("W"))), shape_of(tree.Identity(10**9))
        ((3, 2), (1000000000, 1000000000))
    """

    @cache
    def shape_of(formula: Formula) -> Shape:
        match formula:  # which may be larger than what can be evaluated
            case tree.Name(text) if text in known:
                return known[text].shape
            case tree.Identity(size):
                return size, size
            case tree.View(tree.Identity(size), (entry,)):
                rows = range(size)[view_entry(entry)]
                return (size,) if isinstance(rows, int) else (len(rows), size)
            case tree.Call("one_hot", (table, tree.Number(size)), ()):
                return *shape_of(table), int(size.real)
        return jax.eval_shape(partial(evaluate, formula), known).shape

    return shape_of


def _sizes(formula: Formula, lookup: Arrays, given: Mapping[str, int]) -> dict[str, int]:
    """The sizes of all letters; an array that is itself a formula is traced for its shape."""

    def shape(array: Formula) -> tuple[int, ...] | None:
        if (found := lookup.find(array)) is not None:
            return np.shape(found)
        if isinstance(array, tree.Name | tree.Derivative):
            return None  # such as the left side of an equation
        traced: list[tuple[int, ...]] = []

        def trace() -> None:
            inner = _sizes(array, lookup, given)
            traced.append(Evaluator(lookup, inner).value(array).cell)

        try:
            jax.eval_shape(trace)
        except LayoutError:
            return None  # what it lacks is told when it is evaluated
        return traced[0]

    left = _left_sizes(formula, lookup)
    alone = _only_left(formula) if left else set()
    sure = {letter: size for letter, size in left.items() if letter in alone}
    own = _sized_by(formula, lookup)
    found = sizes(own, shape, {**sure, **given}, left)
    # In `∂L/∂x[k] = ∂L/∂D[k]` of D = x[:3] the k runs as far as x: what lies outside D is zero.
    longer = {n: size for n, size in left.items() if found[n] < size and n not in given}
    return sizes(own, shape, {**sure, **given, **longer}, left) if longer else found


def _with_numbers(
    formula: Formula, lookup: Arrays, letters: Sequence[Letter]
) -> tuple[Formula, list[Letter]]:
    """The `y` of `δ[y,k]`, where that is the name of a whole number, as that number."""
    left = free_letters(formula.parts[0]) if isinstance(formula, tree.Equation) else ()
    known = {}
    for letter in free_letters(formula):
        array = lookup.find(tree.Name(letter.text))
        if letter.size or letter in left or array is None or np.shape(array):
            continue
        if jnp.issubdtype(jnp.result_type(array), jnp.integer):
            known[letter] = tree.Entry(tree.Name(letter.text), ())
    return formula.replaced(known), [letter for letter in letters if letter not in known]


def _right_of(formula: Formula, lookup: Arrays) -> Formula:
    """An equation's last side alone, where the first is a Jacobian that is not known."""
    match formula:
        case tree.Equation((tree.Derivative(tree.Entry()) as first, *_)):
            return formula if lookup.find(first) is not None else formula.parts[-1]
    return formula


def _left_sizes(formula: Formula, lookup: Arrays) -> dict[str, int]:
    """The sizes of letters that the arrays of the left side have, in `∂D[i]/∂x[k] = δ[i,k]`."""
    if not isinstance(formula, tree.Equation):
        return {}
    match formula.sides[0]:
        case tree.Entry(tree.Derivative(_, by), indices):
            entries = [(by, indices)]
        case tree.Derivative(of, by):
            sides = [side for side in (of, by) if isinstance(side, tree.Entry)]
            entries = [(side.array, side.indices) for side in sides]
        case tree.Entry(tree.Name(text), indices):  # `D_dot[i]` has the shape of D
            entries = [(tree.Name(text.removesuffix("_dot")), indices)]
        case _:
            return {}
    found: dict[str, int] = {}
    for name, indices in entries:
        array = lookup.find(name)
        if array is not None and len(np.shape(array)) == len(indices):
            pairs = zip(indices, np.shape(array), strict=True)
            found |= {n.text: size for n, size in pairs if isinstance(n, Letter)}
    return found


def _only_left(formula: Formula) -> set[str]:
    """The letters that the left side alone tells the size of.

    A letter that stands among others in an index, or in a δ with such an index, runs further than
    the axes that it stands on alone, as k does in `∂L/∂x[k] = ∂L/∂D[k] - ∂L/∂D[k-1]`.
    """
    first, last = formula.parts[0], formula.parts[-1]
    moved = {letter.text for letter in _moved_letters(last)}
    return moved | {letter.text for letter in free_letters(first) if letter not in last.walk()}


def _moved_letters(formula: Formula) -> Iterator[Letter]:
    """The letters of indices that are more than a letter, and those set equal to such an index."""
    for part in formula.walk():
        indices: tuple[Formula, ...] = ()
        if isinstance(part, tree.Entry):
            indices = tuple(n for n in part.indices if isinstance(n, tree.Sum))
        elif isinstance(part, tree.Delta):
            plain = all(isinstance(n, Letter) for n in part.parts)
            indices = () if plain else part.parts
        for index in indices:
            yield from (inner for inner in index.walk() if isinstance(inner, Letter))


def _sized_by(formula: Formula, lookup: Arrays) -> Formula:
    """What tells sizes: entries of derivatives as entries of one array, if there is such."""

    def change(part: Formula) -> Formula:
        if isinstance(part, tree.Derivative) and indices_of(part):
            if lookup.find(part) is not None:
                return tree.Entry(
                    replace(part, of=array_of(part.of), by=array_of(part.by)), indices_of(part)
                )
            return part
        return part.rebuilt(change)

    if isinstance(formula, tree.Equation):
        formula = tree.Equation((formula.sides[0], formula.sides[-1]))
    return change(_right_of(formula, lookup))
