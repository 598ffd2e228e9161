"""Which mistake does a wrong backward pass have, and can a machine say so?"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments import style
from experiments.harness import Claims, Grid, Result, main
from experiments.slips import OPERATIONS, Operation, Slip
from layouts.doctor import Diagnosis, diagnose

# What the report shows, by the function and what was written in place of its gradient.
GALLERY = (
    ("W X, square", "G X⁻¹"),
    ("W X, square", "G X"),
    ("W X + b, by b", "G"),
    ("tanh(W X)", "G Xᵀ"),
    ("tanh(W X)", "(G ⊙ tanh(W X)) Xᵀ"),
    ("mean (W x - y)²", "2 (W x - y) xᵀ"),
    ("softmax of rows", "s ⊙ (1 - s) ⊙ G"),
    ("softmax of rows", "s ⊙ (G - sum of all G ⊙ s)"),
    ("layer norm", "G / σ"),
    ("rows of a table", "dE[rows] = G"),
    ("permutation", "G[p]"),
    ("xᵀ A x", "2 A x"),
    ("x + tanh(A x)", "Aᵀ (G ⊙ tanh′)"),
)
SMALL = ("W X, square", "W X + b, by b", "xᵀ A x", "permutation")
# How a verdict fits: named first, named among others, or neither.
FIRST, AMONG, MISSED = "named, or by a name that fits", "among its candidates", "missed"
COLOURS = {FIRST: style.BEST, AMONG: style.FORWARD, MISSED: style.REVERSE}
UNEXPLAINED = "unexplained"


def run(small: bool = False) -> Result:
    """Diagnose the inverse in place of the transpose, then every slip of every operation."""
    claims = Claims()
    chosen = [op for op in OPERATIONS if not small or op.name in SMALL]
    found = [
        (op, slip, diagnose(op.forward, slip.backward, *op.args))
        for op in chosen
        for slip in op.slips()
    ]
    check_inverse(claims, found)
    rights, accused = check_right(claims, chosen)
    cases = [case(op, slip, diagnosis) for op, slip, diagnosis in found]
    named = check_named(claims, cases)
    check_two(claims, chosen)
    return Result(
        question=str(__doc__),
        finding=f"Yes. {named} of {len(cases)} wrong backward passes of {len(chosen)} operations "
        f"were called by their mistake's name, and none of {rights} right ones was accused. "
        "The inverse for the transpose is one of them.",
        claims=tuple(claims.made),
        grid=Grid(("function", "written for dX", "named", "what was done"), gallery(found)),
        data={"cases": cases, "accused": accused},
    )


def check_inverse(claims: Claims, found: Sequence[tuple[Operation, Slip, Diagnosis]]) -> None:
    """The mistake that the first experiment is about."""
    (seen,) = [d for op, slip, d in found if (op.name, slip.written) == GALLERY[0]]
    first = seen.findings[0]
    claims.check(
        "dD X⁻¹ is named as the inverse for the transpose, and nothing else",
        [f.kind for f in seen.findings] == ["inverse-for-transpose"] and first.certain,
        f"{first.wrong} for {first.right}, to {first.residual:.0e} at {first.inputs} inputs",
    )


def check_right(claims: Claims, operations: Sequence[Operation]) -> tuple[int, int]:
    """How many right passes, as the books have them and in other forms, and how many accused."""
    passes = [(op, right) for op in operations for right in (op.right, *op.also)]
    accused = [op.name for op, right in passes if not diagnose(op.forward, right, *op.args).ok]
    claims.check(
        "no right backward pass is accused, in whatever form it is written",
        not accused,
        f"{len(accused)} of {len(passes)} accused" + "".join(f", {name}" for name in accused),
    )
    return len(passes), len(accused)


def case(op: Operation, slip: Slip, diagnosis: Diagnosis) -> dict[str, Any]:
    """What was asked and what was said, as data."""
    kinds = [finding.kind for finding in diagnosis.findings]
    fits = FIRST if kinds[:1] and kinds[0] in slip.kinds else MISSED
    if fits == MISSED and set(kinds) & set(slip.kinds):
        fits = AMONG
    return {
        "operation": op.name,
        "written": slip.written,
        "asked": slip.kinds[0],
        "named": kinds[0] if kinds else "correct",
        "fits": fits,
        "own": slip.own,
        "certain": all(finding.certain for finding in diagnosis.findings),
    }


def check_named(claims: Claims, cases: Sequence[dict[str, Any]]) -> int:
    """The share that is named, and what is said of the rest."""
    counts = Counter(entry["fits"] for entry in cases)
    own = [entry["fits"] for entry in cases if entry["own"]]
    claims.check(
        "nine of ten mistakes are called by their name first, also of those that are no mere sign, "
        "factor or transpose of the whole",
        counts[FIRST] >= 0.9 * len(cases) and own.count(FIRST) >= 0.9 * len(own),
        f"{counts[FIRST]} of {len(cases)}, and {own.count(FIRST)} of {len(own)}; "
        f"{counts[AMONG]} more among the candidates",
    )
    wrong = [entry for entry in cases if entry["fits"] == MISSED and entry["named"] != UNEXPLAINED]
    sure = [f"{entry['operation']}: {entry['written']}" for entry in wrong if entry["certain"]]
    claims.check(
        "what is stated as certain is so; what is not known is called unexplained",
        not sure,
        f"{len(wrong)} called by another name, {len(sure)} of them as certain"
        + "".join(f"; {name}" for name in sure),
    )
    return counts[FIRST]


def check_two(claims: Claims, operations: Sequence[Operation]) -> None:
    """Each operation's first slip of its own, and the wrong sign besides."""
    both = 0
    slips = [(op, slip) for op in operations for slip in list(op.slips())[:1]]
    for op, slip in slips:
        found = diagnose(op.forward, minus(slip.backward), *op.args)
        kinds = {finding.kind for finding in found.findings}
        both += "sign" in kinds and bool(kinds & set(slip.kinds))
    claims.check(
        "of two mistakes at once, the second a wrong sign, both are named in nine of ten",
        both >= 0.9 * len(slips),
        f"{both} of {len(slips)}",
    )


def minus(backward: Callable[..., Any]) -> Callable[..., Any]:
    """The same pass with the wrong sign."""
    return lambda *args: -backward(*args)


def gallery(found: Sequence[tuple[Operation, Slip, Diagnosis]]) -> tuple[tuple[str, ...], ...]:
    """Reports in short."""
    seen = {(op.name, slip.written): diagnosis for op, slip, diagnosis in found}
    rows = []
    for name, written in GALLERY:
        if (name, written) in seen:
            findings = seen[name, written].findings
            kinds = " or ".join(dict.fromkeys(finding.kind for finding in findings))
            rows.append((name, written, kinds, findings[0].message))
    return tuple(rows)


def draw(result: Result) -> Figure:
    """The confusion matrix, and beside it how every kind fared in every operation it applies to."""
    figure = style.figure(17, 8.4)
    matrix, grid = figure.subplots(1, 2)
    draw_matrix(matrix, result.data["cases"])
    draw_grid(grid, result.data["cases"], result.data["accused"])
    return figure


def draw_matrix(axes: Axes, cases: Sequence[dict[str, Any]]) -> None:
    """A count for each pair of the mistake that was made and the one that was named."""
    kinds = sorted(
        {entry[which] for entry in cases for which in ("asked", "named")} - {UNEXPLAINED}
    )
    columns = [*kinds, UNEXPLAINED]
    counts = Counter((entry["asked"], entry["named"], entry["fits"]) for entry in cases)
    for (row, column, fits), count in counts.items():
        x, y = columns.index(column), kinds.index(row)
        axes.add_patch(_cell(x, y, COLOURS[fits]))
        axes.text(x, y, str(count), ha="center", va="center", color="white", fontweight="bold")
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    numbers = range(1, len(columns))
    axes.set_xticks(range(len(columns)), [*map(str, numbers), UNEXPLAINED])
    axes.get_xticklabels()[-1].set_rotation(90)
    words = [f"{kind}  {n}" for n, kind in zip(numbers, kinds, strict=True)]
    axes.set_yticks(range(len(kinds)), words)
    axes.set(
        title="The mistake that was made, and the name it was given", xlabel="name it was given"
    )
    axes.set_axisbelow(True)
    axes.grid(color="#e6e8eb", linewidth=0.8)
    axes.tick_params(length=0)
    handles = [_cell(0, 0, colour) for colour in COLOURS.values()]
    axes.legend(handles, COLOURS, loc="upper right", handlelength=1, handleheight=1)


def draw_grid(axes: Axes, cases: Sequence[dict[str, Any]], accused: int) -> None:
    """Of every kind, in every operation that it applies to, how many were named.

    A cell that no slip of that kind applies to stays empty.
    """
    kinds = sorted({entry["asked"] for entry in cases})
    names = list(dict.fromkeys(entry["operation"] for entry in cases))
    made = Counter((entry["asked"], entry["operation"]) for entry in cases)
    worst = {}
    for entry in sorted(cases, key=lambda entry: [*COLOURS].index(entry["fits"])):
        worst[entry["asked"], entry["operation"]] = entry["fits"]
    named = Counter(
        (entry["asked"], entry["operation"]) for entry in cases if entry["fits"] == FIRST
    )
    for (kind, name), fits in worst.items():
        x, y = names.index(name), kinds.index(kind)
        count, of = named[kind, name], made[kind, name]
        axes.add_patch(_cell(x, y, COLOURS[fits]))
        text = f"{count}" if count == of else f"{count}/{of}"
        axes.text(x, y, text, ha="center", va="center", color="white", fontsize="small")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_axisbelow(True)
    axes.grid(color="#e6e8eb", linewidth=0.8)
    axes.tick_params(length=0)
    rate = sum(named.values()) / len(cases)
    axes.set_title(f"Named first, by operation: {rate:.0%} of all; {accused} right ones accused")


def _cell(x: float, y: float, colour: str) -> Rectangle:
    return Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, color=colour, linewidth=0)


if __name__ == "__main__":
    main(sys.modules[__name__])
