"""Costs and plans as HTML tables."""

from collections.abc import Sequence

from layouts.program import Cost
from layouts.show.html import Markup, folded, fragment, join, table, tag, times

# A plan of more steps is cut; its text has all of them.
MOST_STEPS = 200
Row = tuple[str, Cost | None]


def costs_html(
    rows: Sequence[Row],
    result_bytes: int,
    dense_bytes: int,
    convention: str,
    parts: Sequence[Markup] = (),
) -> str:
    """The costs of several ways, numbers with bars below them.

    Args:
        rows: the ways by name; None where a way does not exist.
        result_bytes: what the structured answer takes.
        dense_bytes: what the dense answer takes.
        convention: how multiplications are counted, in words.
        parts: what comes below.

    Example:
        >>> html = costs_html([("forward", Cost(6, 3, 40, 0)), ("jax.jacfwd", None)], 8, 16, "")
        >>> html.count('class="bar"'), html.count("—")
        (3, 3)
    """
    fields = ("multiplications", "additions", "peak_bytes")
    most = {
        field: max((getattr(cost, field) for _, cost in rows if cost), default=0)
        for field in fields
    }
    cells = [
        [name, *(_number(getattr(cost, f), most[f]) if cost else "—" for f in fields)]
        for name, cost in rows
    ]
    head = ["order", *(field.replace("_", " ") for field in fields)]
    stored = f"stored: {result_bytes:,} bytes structured, {dense_bytes:,} dense"
    return fragment(
        table(head, cells, numbers=(1, 2, 3)),
        tag("p", stored),
        tag("p", convention, class_="muted"),
        *parts,
    )


def _number(number: int, most: int) -> Markup:
    """A number over a bar that is as long as its share of the largest in its column."""
    share = 100 * number / most if most else 0
    return join([f"{number:,}", tag("span", class_="bar", style=f"width:{share:.1f}%")])


def plan_parts(
    name: str,
    cost: Cost,
    steps: Sequence[tuple[int, str, tuple[int, ...]]],
    tree: str,
    applied: Sequence[str],
    opaque: Sequence[str],
) -> list[Markup]:
    """A plan in parts: what it costs, its steps, its tree.

    Args:
        name: of the order.
        cost: of the plan.
        steps: number, primitive and shape of each vertex in the order of elimination.
        tree: which Jacobians are multiplied, as text.
        applied: the parts that leave some axes alone.
        opaque: the parts without structure.
    """
    counts = (
        f"{name}: {cost.multiplications:,} multiplications, {cost.additions:,} additions, "
        f"peak {cost.peak_bytes:,} bytes"
    )
    shown = steps[:MOST_STEPS]
    rows = [[n, f"v{v} {what}", times(shape)] for n, (v, what, shape) in enumerate(shown, 1)]
    found = [tag("p", counts), *_lacking(applied, opaque)]
    if rows:
        found.append(table(["step", "eliminate", "shape"], rows))
    else:
        found.append(tag("p", "nothing to eliminate: the local Jacobians are the answer"))
    if len(shown) < len(steps):
        left = f"… and {len(steps) - len(shown):,} steps more; str(plan) lists every step"
        found.append(tag("p", left, class_="muted"))
    if tree:
        found.append(folded("which Jacobians are multiplied", tag("pre", tree)))
    return found


def _lacking(applied: Sequence[str], opaque: Sequence[str]) -> list[Markup]:
    """The parts that no rule covers, each once with how often it occurs."""
    said = [("applied, other axes left alone", applied), ("without structure (opaque)", opaque)]
    return [
        tag("p", f"{what}: {', '.join(_counted(names))}", class_="alarm")
        for what, names in said
        if names
    ]


def _counted(names: Sequence[str]) -> list[str]:
    count = {name: names.count(name) for name in names}
    return [name if n == 1 else f"{name} ({n} times)" for name, n in count.items()]
