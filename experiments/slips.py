"""Operations with backward passes in plain NumPy: right in several forms, and with one slip each.

Every pass is `backward(G, *args)`: the gradient by the first argument, with the cotangent G. The
slips that any operation allows are made by `slips`; those of its own stand in the table.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Slip:
    """A backward pass with a mistake.

    Attributes:
        kinds: what it may be called, the best name first.
        written: what it computes, as people write it.
        backward: the pass.
        own: whether it is a slip of this operation, and not one that any operation allows.
    """

    kinds: tuple[str, ...]
    written: str
    backward: Callable[..., Any]
    own: bool = False


@dataclass(frozen=True)
class Operation:
    """A function with its backward passes.

    Attributes:
        name: what people call it.
        forward: the function.
        args: its arguments.
        right: the pass.
        also: the same in other forms.
        own: its slips: the kinds, separated by spaces, what is written, the pass.
    """

    name: str
    forward: Callable[..., jax.Array]
    args: tuple[np.ndarray, ...]
    right: Callable[..., Any]
    also: tuple[Callable[..., Any], ...]
    own: tuple[tuple[str, str, Callable[..., Any]], ...]

    def slips(self) -> Iterator[Slip]:
        """Its own slips, then those that any operation allows."""
        for kinds, written, backward in self.own:
            yield Slip(tuple(kinds.split()), written, backward, own=True)
        right, shape = self.right, self.args[0].shape
        yield Slip(("sign",), "-dX", lambda G, *a: -right(G, *a))
        yield Slip(("constant-factor",), "2 dX", lambda G, *a: 2 * right(G, *a))
        if np.abs(right(1.0 + 0 * self.forward(*self.args), *self.args)).max() > 1e-9:
            ones = "dX, with ones for G"  # a softmax's is zero then, and tells nothing
            yield Slip(("missing-cotangent",), ones, lambda G, *a: right(np.ones_like(G), *a))
        if len(shape) == 2 and shape[0] != shape[1] and 1 not in shape:
            yield Slip(("transposed-layout",), "dXᵀ", lambda G, *a: right(G, *a).T)
            by_columns = "dX, stacked by columns"
            yield Slip(
                ("vec-order",), by_columns, lambda G, *a: right(G, *a).ravel("F").reshape(shape)
            )


def softmax(Z: Any) -> Any:
    """Of the last axis, in NumPy."""
    E = np.exp(Z - Z.max(-1, keepdims=True))
    return E / E.sum(-1, keepdims=True)


def through_softmax(S: Any, G: Any) -> Any:
    """The pull-back of a softmax with value S."""
    return S * (G - (G * S).sum(-1, keepdims=True))


def standardised(X: Any) -> tuple[Any, Any]:
    """Rows of mean zero and variance one, and by what they were divided."""
    spread = X.std(1, keepdims=True)
    return (X - X.mean(1, keepdims=True)) / spread, spread


def layer_norm(X: Any) -> Any:
    """Without scale and shift."""
    return (X - X.mean(1, keepdims=True)) / X.std(1, keepdims=True)


def by_layer_norm(G: Any, X: Any) -> Any:
    """The pull-back of `layer_norm`."""
    N, spread = standardised(X)
    return (G - G.mean(1, keepdims=True) - N * (G * N).mean(1, keepdims=True)) / spread


def scores(Q: Any, K: Any) -> Any:
    """Attention weights, in NumPy."""
    return softmax(Q @ K.T / np.sqrt(Q.shape[1]))


def sigmoid(Z: Any) -> Any:
    """In NumPy."""
    return 1 / (1 + np.exp(-Z))


def rms(X: Any) -> Any:
    """Of each row."""
    return np.sqrt((X**2).mean(1, keepdims=True))


def by_last_step(G: Any, A: Any, x: Any) -> Any:
    """What the second A of tanh(A tanh(A x)) gets."""
    h = np.tanh(A @ x)
    return np.outer(G * (1 - np.tanh(A @ h) ** 2), h)


def by_first_step(G: Any, A: Any, x: Any) -> Any:
    """What the first A gets."""
    h = np.tanh(A @ x)
    return np.outer(A.T @ (G * (1 - np.tanh(A @ h) ** 2)) * (1 - h**2), x)


def placed(G: Any, places: Any, shape: tuple[int, ...], add: bool) -> Any:
    """Rows put in their places; what comes to the same place is added, or overwrites."""
    out = np.zeros(shape)
    if add:
        np.add.at(out, places, G)
    else:
        out[places] = G
    return out


def normal(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Arrays of standard normal numbers."""
    rng = np.random.default_rng(3)
    return tuple(rng.normal(size=shape) for shape in shapes)


inv = np.linalg.inv
LABELS, ROWS, SHUFFLE = np.array([2, 0, 4, 1]), np.array([3, 1, 3, 0, 3]), np.array([2, 0, 4, 1, 3])
ONE_HOT = np.eye(5)[LABELS]
(INVERTIBLE,) = normal((4, 4))


def log_likelihood(Z: Any) -> Any:
    """The mean cross-entropy of rows of logits."""
    return -jnp.mean(jnp.sum(ONE_HOT * jax.nn.log_softmax(Z), axis=1))


def attention(Q: Any, K: Any, V: Any) -> Any:
    """One head, its rows attending to rows."""
    return jax.nn.softmax(Q @ K.T / jnp.sqrt(1.0 * Q.shape[1])) @ V


def filtered(x: Any, w: Any) -> Any:
    """A correlation: each output is the weighted sum of the entries from there on."""
    return jnp.correlate(x, w, mode="valid")


def by_attention(G: Any, Q: Any, K: Any, V: Any) -> Any:
    """The pull-back of `attention` to the queries."""
    return through_softmax(scores(Q, K), G @ V.T) @ K / np.sqrt(Q.shape[1])


OPERATIONS = (
    Operation(
        "W X",
        lambda W, X: W @ X,
        normal((4, 3), (3, 5)),
        lambda G, W, X: G @ X.T,
        (
            lambda G, W, X: (X @ G.T).T,
            lambda G, W, X: np.einsum("ij,kj->ik", G, X),
            lambda G, W, X: sum(np.outer(g, x) for g, x in zip(G.T, X.T, strict=True)),
        ),
        (("inverse-for-transpose", "G X⁺", lambda G, W, X: G @ np.linalg.pinv(X)),),
    ),
    Operation(
        "W X, square",
        lambda W, X: W @ X,
        normal((4, 4), (4, 4)),
        lambda G, W, X: G @ X.T,
        (lambda G, W, X: np.tensordot(G, X, (1, 1)),),
        (
            ("inverse-for-transpose", "G X⁻¹", lambda G, W, X: G @ inv(X)),
            ("operand-not-transposed", "G X", lambda G, W, X: G @ X),
            ("order-swapped", "Xᵀ G", lambda G, W, X: X.T @ G),
            ("wrong-argument", "Wᵀ G", lambda G, W, X: W.T @ G),
            ("transposed-layout", "X Gᵀ", lambda G, W, X: X @ G.T),
        ),
    ),
    Operation(
        "W X + b, by b",
        lambda b, W, X: W @ X + b,
        normal((5, 1), (5, 3), (3, 5)),
        lambda G, b, W, X: G.sum(1, keepdims=True),
        (lambda G, b, W, X: G @ np.ones((5, 1)), lambda G, b, W, X: G.T.sum(0)[:, None]),
        (
            ("missing-sum", "G", lambda G, b, W, X: G),
            ("mean-for-sum", "mean of G by row", lambda G, b, W, X: G.mean(1, keepdims=True)),
            ("wrong-axis", "sum of G by column", lambda G, b, W, X: G.sum(0)[:, None]),
        ),
    ),
    Operation(
        "tanh(W X)",
        lambda W, X: jnp.tanh(W @ X),
        normal((4, 3), (3, 5)),
        lambda G, W, X: (G * (1 - np.tanh(W @ X) ** 2)) @ X.T,
        (lambda G, W, X: (G / np.cosh(W @ X) ** 2) @ X.T,),
        (
            ("missing-activation-derivative", "G Xᵀ", lambda G, W, X: G @ X.T),
            (
                "value-for-derivative",
                "(G ⊙ tanh(W X)) Xᵀ",
                lambda G, W, X: (G * np.tanh(W @ X)) @ X.T,
            ),
            (
                "wrong-point",
                "(G ⊙ (1 - tanh²(tanh(W X)))) Xᵀ",
                lambda G, W, X: (G * (1 - np.tanh(np.tanh(W @ X)) ** 2)) @ X.T,
            ),
            (
                "extra-factor",
                "(G ⊙ (1 - tanh²(W X))²) Xᵀ",
                lambda G, W, X: (G * (1 - np.tanh(W @ X) ** 2) ** 2) @ X.T,
            ),
            (
                "missing-factor",
                "tanh′(W X) 1, for X one",
                lambda G, W, X: (G * (1 - np.tanh(W @ X) ** 2)) @ np.ones((5, 3)),
            ),
        ),
    ),
    Operation(
        "mean (W x - y)²",
        lambda W, x, y: jnp.mean((W @ x - y) ** 2),
        normal((4, 3), (3,), (4,)),
        lambda G, W, x, y: G / 2 * np.outer(W @ x - y, x),
        (lambda G, W, x, y: G * 2 / 4 * (W @ np.outer(x, x) - np.outer(y, x)),),
        (
            (
                "constant-factor",
                "2 (W x - y) xᵀ",
                lambda G, W, x, y: G * 2 * np.outer(W @ x - y, x),
            ),
            ("missing-path", "½ W x xᵀ", lambda G, W, x, y: G / 2 * np.outer(W @ x, x)),
            (
                "missing-factor",
                "½ (W x - y) 1ᵀ",
                lambda G, W, x, y: G / 2 * np.outer(W @ x - y, x**0),
            ),
        ),
    ),
    Operation(
        "softmax of rows",
        lambda Z: jax.nn.softmax(Z, axis=1),
        normal((4, 5)),
        lambda G, Z: through_softmax(softmax(Z), G),
        (
            lambda G, Z: np.stack(
                [(np.diag(s) - np.outer(s, s)) @ g for s, g in zip(softmax(Z), G, strict=True)]
            ),
            lambda G, Z: (
                softmax(Z) * G - softmax(Z) * np.einsum("nc,nc->n", softmax(Z), G)[:, None]
            ),
        ),
        (
            ("diagonal-only", "s ⊙ (1 - s) ⊙ G", lambda G, Z: softmax(Z) * (1 - softmax(Z)) * G),
            ("treated-as-constant missing-path", "s ⊙ G", lambda G, Z: softmax(Z) * G),
            (
                "wrong-axis",
                "s ⊙ (G - column sums of G ⊙ s)",
                lambda G, Z: softmax(Z) * (G - (G * softmax(Z)).sum(0)),
            ),
            (
                "flattened-batch",
                "s ⊙ (G - sum of all G ⊙ s)",
                lambda G, Z: softmax(Z) * (G - (G * softmax(Z)).sum()),
            ),
            ("missing-activation-derivative", "G", lambda G, Z: G),
        ),
    ),
    Operation(
        "cross-entropy",
        log_likelihood,
        normal((4, 5)),
        lambda G, Z: G / 4 * (softmax(Z) - ONE_HOT),
        (lambda G, Z: G * -(ONE_HOT - ONE_HOT.sum(1, keepdims=True) * softmax(Z)) / len(Z),),
        (
            ("constant-factor", "softmax(Z) - Y", lambda G, Z: G * (softmax(Z) - ONE_HOT)),
            ("missing-path", "¼ softmax(Z)", lambda G, Z: G / 4 * softmax(Z)),
        ),
    ),
    Operation(
        "layer norm",
        layer_norm,
        normal((4, 5)),
        by_layer_norm,
        (
            lambda G, X: (
                (
                    5 * G
                    - G.sum(1)[:, None]
                    - standardised(X)[0] * (G * standardised(X)[0]).sum(1)[:, None]
                )
                / (5 * X.std(1)[:, None])
            ),
        ),
        (
            (
                "treated-as-constant",
                "G / σ",
                lambda G, X: G / standardised(X)[1],
            ),
            (
                "treated-as-constant missing-path",
                "(G - mean G) / σ",
                lambda G, X: (G - G.mean(1, keepdims=True)) / standardised(X)[1],
            ),
        ),
    ),
    Operation(
        "attention, by Q",
        attention,
        normal((5, 3), (7, 3), (7, 4)),
        by_attention,
        (
            lambda G, Q, K, V: (
                np.einsum(
                    "ij,jd->id", through_softmax(scores(Q, K), np.einsum("ie,je->ij", G, V)), K
                )
                * 3**-0.5
            ),
        ),
        (
            (
                "constant-factor missing-factor",
                "no 1/√d",
                lambda G, Q, K, V: by_attention(G, Q, K, V) * np.sqrt(3),
            ),
            (
                "missing-activation-derivative",
                "G Vᵀ K / √d",
                lambda G, Q, K, V: G @ V.T @ K / np.sqrt(3),
            ),
            (
                "diagonal-only",
                "(P ⊙ (1 - P) ⊙ G Vᵀ) K / √d",
                lambda G, Q, K, V: scores(Q, K) * (1 - scores(Q, K)) * (G @ V.T) @ K / np.sqrt(3),
            ),
        ),
    ),
    Operation(
        "rows of a table",
        lambda E: E[ROWS],
        normal((4, 3)),
        lambda G, E: placed(G, ROWS, E.shape, add=True),
        (lambda G, E: np.eye(4)[ROWS].T @ G,),
        (
            (
                "overwritten-duplicates",
                "dE[rows] = G",
                lambda G, E: placed(G, ROWS, E.shape, add=False),
            ),
        ),
    ),
    Operation(
        "permutation",
        lambda x: x[SHUFFLE],
        normal((5,)),
        lambda G, x: placed(G, SHUFFLE, x.shape, add=False),
        (lambda G, x: G[np.argsort(SHUFFLE)],),
        (("permutation-not-inverted", "G[p]", lambda G, x: G[SHUFFLE]),),
    ),
    Operation(
        "convolution",
        filtered,
        normal((9,), (3,)),
        lambda G, x, w: np.convolve(G, w),
        (lambda G, x, w: sum(np.pad(w[k] * G, (k, 2 - k)) for k in range(3)),),
        (("not-flipped", "G correlated with w", lambda G, x, w: np.convolve(G, w[::-1])),),
    ),
    Operation(
        "inverse",
        lambda A: jnp.linalg.inv(A),
        (INVERTIBLE,),
        lambda G, A: -inv(A).T @ G @ inv(A).T,
        (lambda G, A: -np.linalg.solve(A.T, np.linalg.solve(A, G.T).T),),
        (
            ("operand-not-transposed", "-A⁻¹ G A⁻¹", lambda G, A: -inv(A) @ G @ inv(A)),
            ("missing-factor", "-A⁻ᵀ G", lambda G, A: -inv(A).T @ G),
        ),
    ),
    Operation(
        "xᵀ A x",
        lambda x, A: x @ A @ x,
        normal((5,), (5, 5)),
        lambda G, x, A: G * (A + A.T) @ x,
        (lambda G, x, A: G * (A @ x + x @ A),),
        (
            ("missing-path operand-not-transposed", "2 A x", lambda G, x, A: G * 2 * A @ x),
            ("missing-path", "A x", lambda G, x, A: G * A @ x),
        ),
    ),
    Operation(
        "x + tanh(A x)",
        lambda x, A: x + jnp.tanh(A @ x),
        normal((5,), (5, 5)),
        lambda G, x, A: G + A.T @ (G * (1 - np.tanh(A @ x) ** 2)),
        (lambda G, x, A: (np.eye(5) + np.diag(1 - np.tanh(A @ x) ** 2) @ A).T @ G,),
        (
            (
                "missing-path",
                "Aᵀ (G ⊙ tanh′)",
                lambda G, x, A: A.T @ (G * (1 - np.tanh(A @ x) ** 2)),
            ),
            (
                "operand-not-transposed",
                "G + A (G ⊙ tanh′)",
                lambda G, x, A: G + A @ (G * (1 - np.tanh(A @ x) ** 2)),
            ),
            (
                "missing-activation-derivative",
                "G + Aᵀ G",
                lambda G, x, A: G + A.T @ G,
            ),
        ),
    ),
    Operation(
        "x / ‖x‖",
        lambda x: x / jnp.linalg.norm(x),
        normal((5,)),
        lambda G, x: (G - x * (x @ G) / (x @ x)) / np.linalg.norm(x),
        (lambda G, x: (np.eye(5) - np.outer(x, x) / (x @ x)) @ G / np.sqrt(x @ x),),
        (("treated-as-constant missing-path", "G / ‖x‖", lambda G, x: G / np.linalg.norm(x)),),
    ),
    Operation(
        "σ(Z)",
        jax.nn.sigmoid,
        normal((4, 5)),
        lambda G, Z: G * sigmoid(Z) * (1 - sigmoid(Z)),
        (lambda G, Z: G / (2 + 2 * np.cosh(Z)),),
        (
            ("value-for-derivative", "G ⊙ σ(Z)", lambda G, Z: G * sigmoid(Z)),
            ("wrong-point", "G ⊙ Z ⊙ (1 - Z)", lambda G, Z: G * Z * (1 - Z)),
            ("wrong-point", "G ⊙ (1 - σ(Z)²)", lambda G, Z: G * (1 - sigmoid(Z) ** 2)),
            ("missing-activation-derivative", "G", lambda G, Z: G),
        ),
    ),
    Operation(
        "relu(W X)",
        lambda W, X: jax.nn.relu(W @ X),
        normal((4, 3), (3, 5)),
        lambda G, W, X: (G * (W @ X > 0)) @ X.T,
        (lambda G, W, X: np.where(W @ X > 0, G, 0.0) @ X.T,),
        (
            ("missing-activation-derivative", "G Xᵀ", lambda G, W, X: G @ X.T),
            ("wrong-point", "relu(G) Xᵀ", lambda G, W, X: np.maximum(G, 0) @ X.T),
        ),
    ),
    Operation(
        "tanh(A tanh(A x))",
        lambda A, x: jnp.tanh(A @ jnp.tanh(A @ x)),
        normal((5, 5), (5,)),
        lambda G, A, x: by_last_step(G, A, x) + by_first_step(G, A, x),
        (lambda G, A, x: by_first_step(G, A, x) - by_last_step(-G, A, x),),
        (
            ("missing-path", "the last step alone", by_last_step),
            ("missing-path", "the first step alone", by_first_step),
        ),
    ),
    Operation(
        "RMS norm with scale",
        lambda X, w: w * X / jnp.sqrt(jnp.mean(X**2, axis=1, keepdims=True)),
        normal((4, 5), (5,)),
        lambda G, X, w: (w * G - X * (w * G * X).mean(1, keepdims=True) / rms(X) ** 2) / rms(X),
        (lambda G, X, w: w * G / rms(X) - X * ((G * X) @ w)[:, None] / 5 / rms(X) ** 3,),
        (
            ("treated-as-constant missing-path", "w ⊙ G / rms", lambda G, X, w: w * G / rms(X)),
            (
                "missing-factor",
                "no w",
                lambda G, X, w: (G - X * (G * X).mean(1, keepdims=True) / rms(X) ** 2) / rms(X),
            ),
        ),
    ),
    Operation(
        "dropout",
        lambda X, M: X * M / 0.8,
        (*normal((4, 3)), (np.arange(12).reshape(4, 3) % 4 > 0) * 1.0),
        lambda G, X, M: G * M / 0.8,
        (lambda G, X, M: np.where(M > 0, G, 0.0) * 1.25,),
        (
            ("missing-factor", "G / 0.8", lambda G, X, M: G / 0.8),
            ("constant-factor missing-factor", "G ⊙ M", lambda G, X, M: G * M),
        ),
    ),
    Operation(
        "log det A",
        lambda A: jnp.linalg.slogdet(A)[1],
        (INVERTIBLE,),
        lambda G, A: G * inv(A).T,
        (lambda G, A: G * inv(A.T),),
        (("operand-not-transposed transposed-layout", "A⁻¹", lambda G, A: G * inv(A)),),
    ),
)
