"""One layer, D = tanh(t W X + b): how does each textbook and tool write its derivatives down?"""

import sys
from collections.abc import Callable
from itertools import permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import layouts
from experiments import style
from experiments.harness import Claims, Grid, Result, main

Array = Any
PALETTE = ("#cfe0f3", "#f9d9c6", "#d5ecdf", "#eadcf2", "#f6ecc4", "#dfe3e8")


def cases(rng: np.random.Generator) -> dict[str, tuple[Callable[[Array], Array], Array]]:
    """The eight derivatives of the layer: a function of one argument, and the argument.

    y and x are vectors, Y and X matrices, s a scalar. X stands for the weight W, 3×5.
    """
    w, x, batch, b = (rng.normal(size=shape) for shape in ((3, 5), (5,), (5, 2), (3,)))
    t = np.float64(0.7)
    return {
        "s by x": (lambda v: jnp.sum(jnp.tanh(w @ v) ** 2), x),
        "s by X": (lambda v: jnp.sum(jnp.tanh(v @ batch) ** 2), w),
        "y by s": (lambda v: jnp.tanh(v * (w @ x)), t),
        "y by x": (lambda v: jnp.tanh(w @ v), x),
        "y by X": (lambda v: jnp.tanh(v @ x), w),
        "Y by s": (lambda v: jnp.tanh(v * (w @ batch)), t),
        "Y by x": (lambda v: jnp.tanh(w @ batch + v[:, None]), b),
        "Y by X": (lambda v: jnp.tanh(v @ batch), w),
    }


def conventions() -> dict[str, layouts.Convention]:
    """The layouts in both vec orders, then every textbook and tool of the table."""
    plain = {
        f"{layout}, vec by {vec}": layouts.Convention(layout=layout, vec=vec)
        for layout in (layouts.Layout.NUMERATOR, layouts.Layout.DENOMINATOR, layouts.Layout.MIXED)
        for vec in ("rows", "columns")
    }
    return plain | dict(layouts.TEXTBOOKS)


def run(small: bool = False) -> Result:
    """Write eight Jacobians in every convention, and convert each into each other and back.

    The sizes are those of the table, and tiny already: `small` changes nothing.
    """
    claims, known = Claims(), conventions()
    written: dict[str, dict[str, np.ndarray]] = {}
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    for case, (function, point) in cases(np.random.default_rng(0)).items():
        jacobian = layouts.jacobian(function, structured=True)(point)
        shapes[case] = jacobian.out_shape, jacobian.in_shape
        written[case] = write(jacobian, known)
        check_reading(claims, case, written[case], known, jax.jacrev(function)(point))
    check_conversions(claims, written, known, shapes)
    check_stacking(claims, written["Y by X"])
    check_traps(claims, written)
    rows = tuple(
        (name, *(show_shape(written[case].get(name)) for case in written))
        for name in known
        if any(name in arrays for arrays in written.values())
    )
    return Result(
        question=str(__doc__),
        finding="Any convention turns into any other and back, bit for bit. A shape check cannot "
        "tell them apart: 6×15 holds two different matrices, one by rows and one by columns.",
        claims=tuple(claims.made),
        grid=Grid(("convention", *written), rows),
        data={"rows": rows, "groups": groups(written)},
    )


def write(
    jacobian: layouts.Jacobian, known: dict[str, layouts.Convention]
) -> dict[str, np.ndarray]:
    """The Jacobian in each convention that has a verified cell for it."""
    arrays = {}
    for name, convention in known.items():
        try:
            array = np.asarray(layouts.arrange(jacobian, convention))
        except layouts.LayoutError:
            continue  # the source defines no shape for this case, or none was verified
        arrays[name] = array
    return arrays


def check_reading(
    claims: Claims,
    case: str,
    arrays: dict[str, np.ndarray],
    known: dict[str, layouts.Convention],
    truth: Array,
) -> None:
    """Reading what was written gives JAX's array again, in every convention."""
    out_shape = np.shape(truth)[: {"s": 0, "y": 1, "Y": 2}[case[0]]]
    in_shape = np.shape(truth)[len(out_shape) :]
    back = [layouts.read(array, known[name], out_shape, in_shape) for name, array in arrays.items()]
    claims.equal(
        f"{case}: written and read back in {len(back)} conventions, it is jax.jacrev's array",
        np.stack(back),
        np.stack([truth] * len(back)),
    )


def check_conversions(
    claims: Claims,
    written: dict[str, dict[str, np.ndarray]],
    known: dict[str, layouts.Convention],
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
) -> None:
    """Every ordered pair of conventions, there and back, bit for bit."""
    pairs = exact = 0
    for case, arrays in written.items():
        for source, target in permutations(arrays, 2):
            there = layouts.convert(arrays[source], known[source], known[target], *shapes[case])
            back = layouts.convert(there, known[target], known[source], *shapes[case])
            pairs += 1
            exact += np.array_equal(there, arrays[target]) and np.array_equal(back, arrays[source])
    claims.check(
        "each convention converts into each other and back, bit for bit",
        exact == pairs,
        f"{exact} of {pairs} ordered pairs",
    )


def check_stacking(claims: Claims, arrays: dict[str, np.ndarray]) -> None:
    """The matrix of Magnus & Neudecker against a derivative of vec by vec, taken by JAX itself."""
    function, w = cases(np.random.default_rng(0))["Y by X"]
    for order, name in (("F", "magnus-neudecker"), ("C", "numerator, vec by rows")):
        stacked = jax.jacrev(
            lambda v, order=order: function(v.reshape(w.shape, order=order)).ravel(order=order)
        )(w.ravel(order=order))
        claims.equal(f"Y by X in {name} is ∂vec Y/∂(vec X)ᵀ", arrays[name], stacked)


def check_traps(claims: Claims, written: dict[str, dict[str, np.ndarray]]) -> None:
    """Pairs of conventions that no shape check can tell apart, though their entries differ."""
    found = {}
    for case, arrays in written.items():
        distinct = list({(a.shape, a.tobytes()): a for a in arrays.values()}.values())
        found[case] = sum(a.shape == b.shape for a, b in permutations(distinct, 2)) // 2
    claims.check(
        "the same shape can hold different entries",
        found["Y by X"] > 0,
        ", ".join(f"{case}: {count} pairs of arrays" for case, count in found.items() if count),
    )


def show_shape(array: np.ndarray | None) -> str:
    """A shape as people write it; a dash where the source has none, or none was verified."""
    if array is None:
        return "–"
    return "×".join(map(str, array.shape)) if array.ndim > 1 else f"({array.size})"


def groups(written: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, int]]:
    """By case and convention: a number that is the same where the whole array is the same."""
    found: dict[str, dict[str, int]] = {}
    for case, arrays in written.items():
        seen: dict[tuple[tuple[int, ...], bytes], int] = {}
        found[case] = {
            name: seen.setdefault((array.shape, array.tobytes()), len(seen))
            for name, array in arrays.items()
        }
    return found


def draw(result: Result) -> Figure:
    """The table, coloured so that one colour in a column is one and the same array."""
    columns, rows = result.grid.columns, result.data["rows"]
    figure = style.figure(10.5, 0.27 * len(rows) + 1.5)
    axes = figure.subplots()
    for place, heading in enumerate(columns[1:]):
        axes.text(place + 0.5, -0.35, heading, ha="center", weight="bold")
    for line, (name, *cells) in enumerate(rows):
        axes.text(-0.08, line + 0.5, name, ha="right", va="center", fontsize=9)
        for place, (case, cell) in enumerate(zip(columns[1:], cells, strict=True)):
            draw_cell(axes, place, line, cell, result.data["groups"][case].get(name))
    axes.axhline(6, color=style.INK, linewidth=1.2)
    axes.set(xlim=(-2.1, len(columns) - 1), ylim=(len(rows), -1.1))
    axes.set_title("Same colour in a column: the same array. Same shape in another colour: a trap")
    axes.axis("off")
    return figure


def draw_cell(axes: Axes, place: int, line: int, text: str, group: int | None) -> None:
    """One cell: its shape, on the colour of its array."""
    colour = "white" if group is None else PALETTE[group % len(PALETTE)]
    axes.add_patch(Rectangle((place, line), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
    ink = style.OTHER if group is None else style.INK
    axes.text(place + 0.5, line + 0.5, text, ha="center", va="center", fontsize=9, color=ink)


if __name__ == "__main__":
    main(sys.modules[__name__])
