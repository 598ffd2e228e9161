"""A plan as a tree: which Jacobians are multiplied, innermost first, written as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Deeper or wider trees are cut, and say so.
MOST_LINES = 400


@dataclass(frozen=True)
class Branch:
    """A Jacobian between two vertices: given, or a sum of a given one and of products.

    Attributes:
        source: the vertex differentiated by.
        target: the vertex differentiated.
        through: for each product the vertex between, the Jacobian after it and the one before.
        given: whether a local Jacobian is part of the sum.
    """

    source: int
    target: int
    through: tuple[tuple[int, "Branch", "Branch"], ...] = ()
    given: bool = True


def grow(edges: Sequence[tuple[int, int]], vertices: Sequence[int]) -> dict[tuple, Branch]:
    """Eliminate vertices in this order, keeping account of what is multiplied by what."""
    left = {edge: Branch(*edge) for edge in edges}
    for vertex in vertices:
        into = [edge for edge in left if edge[1] == vertex]
        out = [edge for edge in left if edge[0] == vertex]
        for source, _ in into:
            for _, target in out:
                before = left.get((source, target), Branch(source, target, given=False))
                product = (vertex, left[vertex, target], left[source, vertex])
                through = (*before.through, product)
                left[source, target] = Branch(source, target, through, before.given)
        for edge in (*into, *out):
            del left[edge]
    return left


def lines(branch: Branch, names: Sequence[str]) -> list[str]:
    """Write a tree; a Jacobian that is used twice is written once."""
    written: list[str] = []
    for line in _lines(branch, names, "", "", set()):
        if len(written) == MOST_LINES:
            return [*written, "... (cut: str(plan) lists every step)"]
        written.append(line)
    return written


def _lines(
    branch: Branch, names: Sequence[str], first: str, rest: str, seen: set[int]
) -> Iterator[str]:
    title = f"∂{names[branch.target]}/∂{names[branch.source]}"
    if not branch.through:
        yield f"{first}{title}"
        return
    if id(branch) in seen:
        yield f"{first}{title} (as above)"
        return
    seen.add(id(branch))
    parts = [("local", None)] * branch.given + [("product", p) for p in branch.through]
    yield f"{first}{title}" + (" = sum of" if len(parts) > 1 else " = product of")
    for n, (_, product) in enumerate(parts):
        last = n == len(parts) - 1
        if product is None:
            yield f"{rest}├─ the local Jacobian"
            continue
        inner = rest
        if len(parts) > 1:
            yield f"{rest}{'└─' if last else '├─'} product of"
            inner = rest + ("   " if last else "│  ")
        _, after, before = product
        yield from _lines(after, names, f"{inner}├─ ", f"{inner}│  ", seen)
        yield from _lines(before, names, f"{inner}└─ ", f"{inner}   ", seen)
