"""Why are the matrices transposed, and their order reversed, in gradient form?"""

import sys
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise, permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import layouts
from experiments import style
from experiments.counting import multiplications
from experiments.harness import Claims, Grid, Result, main, relative_error

UNEQUAL, EQUAL = (9, 7, 5, 3), (6, 6, 6, 6)


def run(small: bool = False) -> Result:
    """Multiply a three-layer network's factors in every order, in both layouts.

    The sizes are those of the picture, and tiny already: `small` changes nothing.
    """
    claims, rows = Claims(), []
    factors, jacobian = network(claims, UNEQUAL)
    transposed = [factor.T for factor in reversed(factors)]
    claims.equal(
        "derivative form J₃ J₂ J₁ is the Jacobian of the network", product(factors), jacobian
    )
    claims.equal(
        "gradient form J₁ᵀ J₂ᵀ J₃ᵀ is its transpose, entry by entry",
        product(transposed),
        jacobian.T,
    )
    check_chain(claims, factors, jacobian)
    check_reversal(claims, factors)
    rows += orders(claims, UNEQUAL, factors, jacobian)
    square_factors, square_jacobian = network(claims, EQUAL)
    rows += orders(claims, EQUAL, square_factors, square_jacobian)
    check_loss(claims, factors, jacobian)
    return Result(
        question=str(__doc__),
        finding="(J₃ J₂ J₁)ᵀ = J₁ᵀ J₂ᵀ J₃ᵀ: the same entries, each layout in its own order. A "
        "mixed order has no shape, or with equal widths a wrong value and no warning.",
        claims=tuple(claims.made),
        grid=Grid(("widths", "order", "derivative form", "transposed factors"), tuple(rows)),
        data={
            "factors": factors,
            "jacobian": jacobian,
            "square": square_jacobian,
            "mixed": product(square_factors[::-1]),
        },
    )


def network(claims: Claims, widths: Sequence[int]) -> tuple[list[np.ndarray], np.ndarray]:
    """The factors J₃, J₂, J₁ of y = tanh(W₃ tanh(W₂ tanh(W₁ x))), and its whole Jacobian."""
    rng = np.random.default_rng(4)
    weights = [rng.normal(size=(out, n)) / n**0.5 for n, out in pairwise(widths)]
    point = first = rng.normal(size=widths[0])
    factors = []
    for number, weight in enumerate(weights, 1):
        factors.append(np.asarray(jax.jacrev(lambda v, w=weight: jnp.tanh(w @ v))(point)))
        point = np.tanh(weight @ point)
        claims.equal(
            f"widths {widths}: J{number} = diag(tanh′(z)) W{number}",
            np.diag(1 - point**2) @ weight,
            factors[-1],
        )
    whole = jax.jacrev(lambda v: reduce(lambda u, w: jnp.tanh(w @ u), weights, v))(first)
    return factors[::-1], np.asarray(whole)


def product(factors: Sequence[Any]) -> np.ndarray:
    """Multiply the factors as they are written."""
    return np.asarray(reduce(np.matmul, factors))


def check_chain(claims: Claims, factors: list[np.ndarray], jacobian: np.ndarray) -> None:
    """`layouts.chain` takes one list, output first, and multiplies as the layout demands."""
    transposed = [factor.T for factor in factors]
    forward = layouts.chain(factors, layout="numerator")
    claims.equal("layouts.chain multiplies left to right in numerator layout", forward, jacobian)
    backward = layouts.chain(transposed, layout="denominator")
    claims.equal("and right to left in denominator layout", backward, jacobian.T)
    for fault, wrong in (
        ("reversed order", factors[::-1]),
        ("mix of layouts", [factors[0], transposed[1], factors[2]]),
    ):
        message = ""
        try:
            layouts.chain(wrong, layout="numerator")
        except layouts.LayoutError as error:
            message = str(error)
        claims.check(f"it refuses a {fault}, and says what to do", bool(message), message)


def check_reversal(claims: Claims, factors: list[np.ndarray]) -> None:
    """(ABC)ᵀ = CᵀBᵀAᵀ on the network's own factors, and so on every part of the product."""
    c, b, a = factors
    claims.equal("(J₃ J₂)ᵀ = J₂ᵀ J₃ᵀ", b.T @ c.T, (c @ b).T)
    claims.equal("(J₂ J₁)ᵀ = J₁ᵀ J₂ᵀ", a.T @ b.T, (b @ a).T)
    claims.equal("(J₃ J₂ J₁)ᵀ = J₁ᵀ J₂ᵀ J₃ᵀ", a.T @ b.T @ c.T, (c @ b @ a).T)


def orders(
    claims: Claims, widths: tuple[int, ...], factors: list[np.ndarray], jacobian: np.ndarray
) -> list[tuple[str, ...]]:
    """Try all six orders of the factors and of their transposes. Returns the table's rows."""
    rows = []
    right: list[tuple[str, tuple[int, ...], float]] = []
    wrong: list[tuple[str, tuple[int, ...], float]] = []
    for order in permutations((3, 2, 1)):
        written = [factors[3 - number] for number in order]
        cells = []
        for form, matrices, target in (
            ("J", written, jacobian),
            ("Jᵀ", [matrix.T for matrix in written], jacobian.T),
        ):
            try:
                error = relative_error(product(matrices), target)
            except ValueError:
                cells.append("no shape")
                continue
            cells.append("right" if error < 1e-12 else f"wrong by {error:.0%}")
            (right if error < 1e-12 else wrong).append((form, order, error))
        rows.append(("-".join(map(str, widths)), " ".join(f"J{n}" for n in order), *cells))
    claims.check(
        f"widths {widths}: of twelve products only J₃ J₂ J₁ and J₁ᵀ J₂ᵀ J₃ᵀ are right",
        [(form, order) for form, order, _ in right] == [("J", (3, 2, 1)), ("Jᵀ", (1, 2, 3))],
        f"{len(right)} right, {len(wrong)} wrong, {12 - len(right) - len(wrong)} without a shape",
    )
    if widths == EQUAL:
        least = min(error for _, _, error in wrong)
        claims.check(
            "equal widths hide it: ten wrong products pass the shape check",
            len(wrong) == 10 and least > 0.1,
            f"each wrong by {least:.0%} or more",
        )
    return rows


def check_loss(claims: Claims, factors: list[np.ndarray], jacobian: np.ndarray) -> None:
    """For a scalar loss both forms start at the loss: the same work, mirrored."""
    j3, j2, j1 = factors
    slope = np.random.default_rng(5).normal(size=(jacobian.shape[0], 1))
    row = multiplications(lambda g, a, b, c: ((g.T @ a) @ b) @ c, slope, j3, j2, j1)
    column = multiplications(lambda g, a, b, c: c.T @ (b.T @ (a.T @ g)), slope, j3, j2, j1)
    expected = sum(factor.size for factor in factors)
    claims.equal(
        "row gᵀ J₃ J₂ J₁ from the left is column J₁ᵀ J₂ᵀ J₃ᵀ g from the right",
        (slope.T @ j3 @ j2 @ j1).T,
        j1.T @ (j2.T @ (j3.T @ slope)),
    )
    claims.check(
        "and costs the same: each factor's entries once",
        row == column == expected,
        f"{row} and {column} multiplications, counted by XLA",
    )


def draw(result: Result) -> Figure:
    """Both products as strips of matrices, and what a mixed order gives for equal widths."""
    data = result.data
    j3, j2, j1 = data["factors"]
    jacobian, right, mixed = data["jacobian"], data["square"], data["mixed"]
    figure = style.figure(10, 7.6)
    axes = figure.subplots()
    strip(
        axes,
        0,
        "Derivative form: output × input, last layer first",
        [(jacobian, "∂y/∂x"), (j3, "J₃"), (j2, "J₂"), (j1, "J₁")],
        "=··",
    )
    strip(
        axes,
        10.5,
        "Gradient form: the same entries, each factor transposed, first layer first",
        [(jacobian.T, "(∂y/∂x)ᵀ"), (j1.T, "J₁ᵀ"), (j2.T, "J₂ᵀ"), (j3.T, "J₃ᵀ")],
        "=··",
    )
    strip(
        axes,
        23,
        "Equal widths hide a mixed order: the shape is right, the entries are wrong",
        [(right, "J₃ J₂ J₁"), (mixed, "J₁ J₂ J₃"), (mixed - right, "difference")],
        "≠ ",
    )
    axes.set(xlim=(-0.5, 38), ylim=(31.5, -2.6), aspect="equal")
    axes.axis("off")
    return figure


def strip(
    axes: Axes, top: float, title: str, panels: list[tuple[np.ndarray, str]], signs: str
) -> None:
    """Draw matrices side by side, one unit per entry, with a sign between them.

    Each matrix has a colour scale of its own, from its largest entry down.
    """
    gap, left = 2.4, 0.0
    tall = max(len(matrix) for matrix, _ in panels)
    axes.text(0, top - 1.5, title, weight="bold", va="bottom")
    for (matrix, label), sign in zip(panels, [*signs, ""], strict=True):
        rows, columns = matrix.shape
        limit, low = float(np.max(np.abs(matrix))), top + (tall - rows) / 2
        extent = (left, left + columns, low + rows, low)
        axes.imshow(matrix, cmap=style.SIGNED, vmin=-limit, vmax=limit, extent=extent)
        frame = Rectangle(
            (left, low), columns, rows, fill=False, edgecolor=style.INK, linewidth=0.8
        )
        axes.add_patch(frame)
        size = f"{label}  {rows}×{columns}"
        axes.text(left + columns / 2, low - 0.3, size, ha="center", va="bottom", fontsize=9)
        middle = left + columns + gap / 2, top + tall / 2
        axes.text(*middle, sign, ha="center", va="center", fontsize=16)
        left += columns + gap


if __name__ == "__main__":
    main(sys.modules[__name__])
