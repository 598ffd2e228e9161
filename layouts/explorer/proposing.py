"""Shapes for an expression that has none yet: a proposal that fits, so that typing is enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product

from layouts.errors import LayoutError
from layouts.explorer.limits import MAX_INPUTS
from layouts.expressions.parsing import check_shapes, parse_expression

Shape = tuple[int, ...]

# Matrices first, since capitals are matrices; then vectors and numbers. No two sizes are equal
# unless they must be.
MATRICES: tuple[Shape, ...] = ((4, 3), (3, 5), (5, 2), (4, 5), (4, 1), (3, 4), (3, 3), (5, 3))
VECTORS: tuple[Shape, ...] = ((3,), (5,), (4,), ())
MOST_TRIED = 200


def proposed(
    text: str, given: Mapping[str, Shape]
) -> tuple[list[str], dict[str, Shape], list[str]]:
    """The names of an expression, a shape for each, and which of these are proposals.

    Args:
        text: the expression.
        given: the shapes that are known; those of other names are left out.

    Returns:
        The names in order of appearance. No shapes where none that fit were found.

    Raises:
        LayoutError: the expression is outside the grammar, or has too many variables.

    Example:
        >>> proposed("W @ x", {})
        (['W', 'x'], {'W': (4, 3), 'x': (3,)}, ['W', 'x'])
    """
    expression = parse_expression(text)
    names = list(expression.names)
    if len(names) > MAX_INPUTS:
        received = f"{len(names)}"
        raise LayoutError("variables", f"at most {MAX_INPUTS}", received, "use fewer")
    known = {name: given[name] for name in names if name in given}
    missing = [name for name in names if name not in known]
    for shapes in islice(_candidates(missing), MOST_TRIED):
        whole = {**known, **dict(zip(missing, shapes, strict=True))}
        try:
            check_shapes(expression, whole)
        except LayoutError:
            continue
        return names, {name: whole[name] for name in names}, missing
    return names, {}, []


def _candidates(names: list[str]) -> Iterator[tuple[Shape, ...]]:
    """Shapes for these names, the likeliest first."""
    choices = [MATRICES + VECTORS if n[0].isupper() else VECTORS + MATRICES for n in names]
    for most in range(max(map(len, choices), default=1)):
        # Those in which the farthest choice is the one numbered `most`.
        for places in product(range(most + 1), repeat=len(names)):
            if most in places or not names:
                yield tuple(choice[n] for choice, n in zip(choices, places, strict=True))
