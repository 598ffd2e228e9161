"""Where do the formulas for the gradient of a matrix product come from, index by index?"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import layouts
from experiments import style
from experiments.harness import Claims, Grid, Result, main

OUTPUTS, FEATURES, SAMPLES = 3, 5, 4


@dataclass(frozen=True)
class Twin:
    """One of the two ways to write a layer, and its derivation as index formulas.

    A formula is an einsum over W, X, the δ's of the outputs (`do`) and of the samples (`ds`), and
    a column of ones along the samples, which is how a bias reaches every one of them.
    """

    name: str
    layer: Callable[[Any, Any, Any], Any]
    local: dict[str, tuple[str, str]]  # by argument: δ formula in words, the einsum
    pulled: dict[str, tuple[str, Callable[..., Any]]]  # by argument: matrix formula, its code


COLUMNS = Twin(
    name="W X + b",
    layer=lambda w, x, b: w @ x + b,
    local={
        "W": ("δ[i,k] X[l,j]", "do[i,k] x[l,j]"),
        "X": ("W[i,k] δ[j,l]", "w[i,k] ds[j,l]"),
        "b": ("δ[i,k]", "do[i,k] ones[j,l]"),
    },
    pulled={
        "W": ("G Xᵀ", lambda g, w, x: g @ x.T),
        "X": ("Wᵀ G", lambda g, w, x: w.T @ g),
        "b": ("Σⱼ G[k,j]", lambda g, w, x: g.sum(1, keepdims=True)),
    },
)
ROWS = Twin(
    name="X W + b",
    layer=lambda w, x, b: x @ w + b,
    local={
        "W": ("X[i,k] δ[j,l]", "x[i,k] do[j,l]"),
        "X": ("δ[i,k] W[l,j]", "ds[i,k] w[l,j]"),
        "b": ("δ[j,l]", "ones[i,k] do[j,l]"),
    },
    pulled={
        "W": ("Xᵀ G", lambda g, w, x: x.T @ g),
        "X": ("G Wᵀ", lambda g, w, x: g @ w.T),
        "b": ("Σᵢ G[i,l]", lambda g, w, x: g.sum(0, keepdims=True)),
    },
)


def run(small: bool = False) -> Result:
    """Derive both twins step by step, and lay out the 4-axis Jacobian in both vec orders.

    The sizes are those of the picture, and tiny already: `small` changes nothing.
    """
    claims, rng = Claims(), np.random.default_rng(0)
    w, x = rng.normal(size=(OUTPUTS, FEATURES)), rng.normal(size=(FEATURES, SAMPLES))
    b, y = rng.normal(size=(OUTPUTS, 1)), rng.normal(size=(OUTPUTS, SAMPLES))
    rows = derive(claims, COLUMNS, w, x, b, y) + derive(claims, ROWS, w.T, x.T, b.T, y.T)
    matrices, products = lay_out(claims, w, x)
    return Result(
        question=str(__doc__),
        finding="The δ uses up one index, and the sum that is left is a product with the "
        "transpose, G Xᵀ. The Jacobian of W X is I ⊗ Xᵀ by rows and Xᵀ ⊗ I by columns.",
        claims=tuple(claims.made),
        grid=Grid(("layer", "derivative", "index form", "matrix form"), tuple(rows + products)),
        data={"matrices": matrices},
    )


def derive(
    claims: Claims, twin: Twin, w: np.ndarray, x: np.ndarray, b: np.ndarray, y: np.ndarray
) -> list[tuple[str, ...]]:
    """Check every step from the loss ½‖relu(Z) - Y‖² down to W, X and b. Returns the table."""

    def loss(activation: Any) -> Any:
        return 0.5 * jnp.sum((activation - y) ** 2)

    arguments = {"W": w, "X": x, "b": b}
    names = list(arguments)
    z = np.asarray(twin.layer(w, x, b))
    a, open_gate = np.maximum(z, 0), (z > 0).astype(float)
    claims.equal(f"{twin.name}: ∂L/∂A = A − Y", a - y, jax.grad(loss)(a))
    gate = np.einsum("ip,jq,ij->ijpq", np.eye(len(z)), np.eye(len(z[0])), open_gate)
    claims.equal(
        f"{twin.name}: ∂A[i,j]/∂Z[p,q] = δ[i,p] δ[j,q] 1[Z>0]", gate, jax.jacrev(jax.nn.relu)(z)
    )
    g = np.einsum("ij,ijpq->pq", a - y, gate)
    claims.equal(f"{twin.name}: G = ∂L/∂Z = (A − Y) ⊙ 1[Z>0]", (a - y) * open_gate, g)
    claims.equal(f"{twin.name}: and jax agrees", g, jax.grad(lambda v: loss(jax.nn.relu(v)))(z))
    symbols = {"w": w, "x": x, "do": np.eye(OUTPUTS), "ds": np.eye(SAMPLES)}
    symbols["ones"] = np.ones((SAMPLES, 1))
    truth = jax.grad(lambda *p: loss(jax.nn.relu(twin.layer(*p))), (0, 1, 2))(w, x, b)
    table: list[tuple[str, ...]] = []
    for index, name in enumerate(names):
        words, formula = twin.local[name]
        dense = jax.jacrev(twin.layer, index)(w, x, b)
        local = read_formula(formula, symbols)
        claims.equal(f"{twin.name}: ∂Z[i,j]/∂{name}[k,l] = {words}", local, dense)
        matrix_words, rule = twin.pulled[name]
        summed = np.einsum("ij,ijkl->kl", g, local)
        claims.equal(f"{twin.name}: Σᵢⱼ G[i,j] {words} is {matrix_words}", rule(g, w, x), summed)
        claims.equal(f"{twin.name}: ∂L/∂{name} = {matrix_words}", summed, truth[index])
        shape = "×".join(map(str, arguments[name].shape))
        table.append((twin.name, f"∂L/∂{name} ({shape})", f"Σᵢⱼ G[i,j] {words}", matrix_words))
    return table


def read_formula(formula: str, symbols: dict[str, np.ndarray]) -> np.ndarray:
    """Evaluate two factors written as `x[l,j] do[i,k]` into an array with axes i, j, k, l."""
    parts = [part.rstrip("]").split("[") for part in formula.split()]
    inputs = ",".join(indices.replace(",", "") for _, indices in parts)
    return np.einsum(f"{inputs}->ijkl", *(symbols[symbol] for symbol, _ in parts))


def lay_out(
    claims: Claims, w: np.ndarray, x: np.ndarray
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, ...]]]:
    """Write both 4-axis Jacobians as matrices in both vec orders. Returns them, and table rows."""
    eye, rows_x = np.eye(OUTPUTS), x.T  # samples as rows: the same numbers, transposed
    expected = {
        ("D = W X", "rows"): ("I₃ ⊗ Xᵀ", np.kron(eye, x.T)),
        ("D = W X", "columns"): ("Xᵀ ⊗ I₃", np.kron(x.T, eye)),
        ("D = X W", "rows"): ("X ⊗ I₃", np.kron(rows_x, eye)),
        ("D = X W", "columns"): ("I₃ ⊗ X", np.kron(eye, rows_x)),
    }
    jacobians = {
        "D = W X": layouts.jacobian(lambda W, X: W @ X, structured=True)(
            jnp.asarray(w), jnp.asarray(x)
        ),
        "D = X W": layouts.jacobian(lambda W, X: X @ W, structured=True)(
            jnp.asarray(w.T), jnp.asarray(rows_x)
        ),
    }
    matrices: dict[str, dict[str, Any]] = {}
    table: list[tuple[str, ...]] = []
    for (name, vec), (product, matrix) in expected.items():
        jacobian = jacobians[name]
        claims.equal(
            f"{name}, vec by {vec}: ∂vec D/∂vec W is {product}", jacobian.matrix(vec=vec), matrix
        )
        named = jacobian.kronecker(vec=vec)
        claims.check(f"{name}, vec by {vec}: the library names it", named == product, named)
        block = jacobian.out_shape[vec == "rows"], jacobian.in_shape[vec == "rows"]
        matrices[f"{name}, vec by {vec}"] = {"product": product, "matrix": matrix, "block": block}
        table.append((name, f"vec by {vec}", str(jacobian), product))
    return matrices, table


def draw(result: Result) -> Figure:
    """The two Jacobians in the two vec orders, ruled into the blocks of the Kronecker product."""
    figure = style.figure(10, 8.4)
    panels = result.data["matrices"].items()
    for axes, (name, panel) in zip(figure.subplots(2, 2).ravel(), panels, strict=True):
        matrix = np.asarray(panel["matrix"])
        style.heat(axes, matrix, f"{name}:  {panel['product']}")
        style.grid_lines(axes, matrix.shape, panel["block"])
        axes.set(xlabel="entries of vec W", ylabel="entries of vec D")
    figure.suptitle(
        "One 4-axis Jacobian, δ times X: the vec order decides where the identity stands",
        fontsize=11,
    )
    return figure


if __name__ == "__main__":
    main(sys.modules[__name__])
