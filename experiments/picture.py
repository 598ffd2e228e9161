"""Draw the picture at the head of the README: `python -m experiments.picture`.

One Jacobian, `dD[i,j]/dW[k,l] = δ[i,k] X[l,j]` for `D = W X`: as it is stored, and as it is written
in both vec orders. The matrices come from the library, the picture adds nothing.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import layouts
from experiments import style

PICTURE = Path(__file__).with_name("picture.png")


def draw() -> Figure:
    """The δ and X on the left, then the matrix by rows and the matrix by columns."""
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=(3, 5)), rng.uniform(-1, 1, size=(5, 4))
    jacobian = layouts.jacobian(lambda weight: weight @ x, structured=True)(w)
    figure = style.figure(10, 3.5)
    parts = figure.subplot_mosaic(
        [["delta", "rows", "columns"], ["x", "rows", "columns"]],
        width_ratios=(0.62, 1.5, 1.5),
        height_ratios=(1, 1.5),
    )
    style.heat(parts["delta"], np.eye(3), "δ[i,k]")
    style.heat(parts["x"], x, "X[l,j]")
    for vec, product, block in (("rows", "I ⊗ Xᵀ", (4, 5)), ("columns", "Xᵀ ⊗ I", (3, 3))):
        matrix = np.asarray(jacobian.matrix(vec=vec))
        style.heat(parts[vec], matrix, f"vec by {vec}:  {product}")
        style.grid_lines(parts[vec], matrix.shape, block)
    figure.suptitle(
        "D = W X:  dD[i,j]/dW[k,l] = δ[i,k] X[l,j].  One Jacobian, two ways to stack it",
        fontsize=11,
        weight="bold",
        x=0.01,
        ha="left",
    )
    return figure


if __name__ == "__main__":
    draw().savefig(PICTURE, dpi=110, facecolor="white")
    print(PICTURE)
