"""The chains that the library is about: matrix products and multilayer perceptrons.

A batch of n samples with m features is stored in one of two data layouts:

- samples as **columns**: X is m×n and a layer is `D = W X + b`, W out×in, b out×1;
- samples as **rows**: X is n×m and a layer is `D = X W + b`, W in×out, b 1×out.

One is the transpose of the other, term by term; `transpose_params` carries parameters across.
Which order to multiply a chain's Jacobians in is a question of integers alone: see
`layouts.chains.bracketing`, whose names are repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from layouts.chains.losses import LOSSES, feature_axis, one_of
from layouts.errors import LayoutError

Params = list[dict[str, jax.Array]]


def matmul(*matrices: jax.Array) -> jax.Array:
    """Multiply any number of matrices, as written, from left to right.

    Args:
        *matrices: one or more 2-D arrays, each with as many rows as the one before has columns.

    Returns:
        Their product, rows of the first × columns of the last. A single matrix is returned as is.

    Raises:
        LayoutError: if one is no matrix, or two neighbours do not meet.

    Example:
        `D[i,j] = A[i,k] B[k,l] C[l,j]`:

        >>> A, B, C = jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.ones((5, 7))
        >>> matmul(A, B, C).shape
        (2, 7)
        >>> matmul(A, C)
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: matmul, matrices 1 and 2: expected inner sizes that agree, \
got (2, 3) and (5, 7); transpose one, or reorder them
    """
    if not matrices:
        raise LayoutError("matmul", "at least one matrix", "none", "pass the factors in order")
    shapes = [jnp.shape(matrix) for matrix in matrices]
    for position, shape in enumerate(shapes, 1):
        if len(shape) != 2:
            remedy = "reshape a vector to a column (n, 1) or a row (1, n)"
            raise LayoutError(f"matmul, matrix {position}", "two axes", f"shape {shape}", remedy)
    for position, (left, right) in enumerate(pairwise(shapes), 1):
        if left[1] != right[0]:
            raise LayoutError(
                f"matmul, matrices {position} and {position + 1}",
                "inner sizes that agree",
                f"{left} and {right}",
                "transpose one, or reorder them",
            )
    return reduce(jnp.matmul, matrices)


# Elementwise, but for softmax, which runs over the features of each sample.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "identity": lambda Z: Z,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,  # the tanh form, JAX's default
    "softmax": jax.nn.softmax,
}


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: widths, activations and the data layout, no parameters.

    It is hashable and callable, `D = network(params, X)`; parameters are a list of
    `{"W": ..., "b": ...}`, one for each layer. Build it with `mlp`, where the fields are described.
    """

    widths: tuple[int, ...]
    activation: str | Callable[[jax.Array], jax.Array] = "tanh"
    samples: str = "columns"
    criterion: str | Callable[[jax.Array, jax.Array], jax.Array] = "squared_error"
    final_activation: str | Callable[[jax.Array], jax.Array] = "identity"

    def __post_init__(self):
        """Hold the description to its invariants."""
        integers = all(type(n) is int and n > 0 for n in self.widths)
        if len(self.widths) < 2 or not integers:
            raise LayoutError(
                "widths of an mlp",
                "two or more positive integers, input first",
                repr(self.widths),
                "list the input's width, then each layer's",
            )
        feature_axis(self.samples)
        for name, value, table in (
            ("activation", self.activation, ACTIVATIONS),
            ("final_activation", self.final_activation, ACTIVATIONS),
            ("loss", self.criterion, LOSSES),
        ):
            if not callable(value):
                one_of(name, value, table)
        if self.criterion == "cross_entropy" and self.final_activation == "softmax":
            raise LayoutError(
                "final_activation of an mlp",
                "logits where the loss is cross_entropy, which has its own softmax",
                "'softmax'",
                "leave final_activation out",
            )

    def init(self, key: jax.Array, dtype: Any = None) -> Params:
        """Draw parameters: weights and biases normal with variance 1/fan_in.

        Biases are drawn too, since zeros would hide a derivative that misses them. One key gives
        both data layouts the same network: the parameters are each other's transposes.

        Args:
            key: a JAX PRNG key.
            dtype: a float dtype; JAX's default float if left out.

        Returns:
            A list of {"W", "b"}; for samples as columns W is out×in and b out×1, for rows the
            transposes.

        Example:
            >>> params = mlp((3, 5, 2)).init(jax.random.key(0))
            >>> [(layer["W"].shape, layer["b"].shape) for layer in params]
            [((5, 3), (5, 1)), ((2, 5), (2, 1))]
        """
        keys = iter(jax.random.split(key, 2 * len(self.widths) - 2))
        params = []
        for fan_in, fan_out in pairwise(self.widths):
            W = jax.random.normal(next(keys), (fan_out, fan_in), dtype or float)
            b = jax.random.normal(next(keys), (fan_out, 1), dtype or float)
            params.append({"W": W / fan_in**0.5, "b": b / fan_in**0.5})
        return params if self.samples == "columns" else transpose_params(params)

    def __call__(self, params: Params, X: jax.Array) -> jax.Array:
        """Apply the network.

        Args:
            params: a list of {"W", "b"}, one for each layer, as `init` draws them.
            X: the inputs, widths[0] × samples ("columns") or samples × widths[0] ("rows").

        Returns:
            The outputs, widths[-1] × samples or samples × widths[-1].

        Raises:
            LayoutError: if X or a layer's parameters have another shape.
        """
        self._check(params, X)
        for number, layer in enumerate(params, 1):
            W, b = layer["W"], layer["b"]
            Z = (W @ X if self.samples == "columns" else X @ W) + b
            last = number == len(params)
            X = self._activate(self.final_activation if last else self.activation, Z)
        return X

    def loss(self, params: Params, X: jax.Array, Y: jax.Array) -> jax.Array:
        """The scalar loss of the network's output against the targets Y, summed over samples."""
        D = self(params, X)
        if callable(self.criterion):
            return self.criterion(D, Y)
        return LOSSES[self.criterion](D, Y, samples=self.samples)

    def _activate(self, activation: str | Callable, Z: jax.Array) -> jax.Array:
        """Apply an activation, softmax over the feature axis of the data layout."""
        if callable(activation):
            return activation(Z)
        if activation == "softmax":
            return jax.nn.softmax(Z, axis=feature_axis(self.samples))
        return ACTIVATIONS[activation](Z)

    def _check(self, params: Params, X: jax.Array) -> None:
        """Compare every shape with the widths, before broadcasting can hide a slip."""
        step = 1 if self.samples == "columns" else -1
        expected = [
            {"W": (fan_out, fan_in)[::step], "b": (fan_out, 1)[::step]}
            for fan_in, fan_out in pairwise(self.widths)
        ]
        received = list(jax.tree.map(jnp.shape, params))
        if received != expected:
            raise LayoutError(
                "params of an mlp",
                f"shapes {expected} for samples as {self.samples}",
                f"{received}",
                "use init, or transpose_params for parameters of the other data layout",
            )
        shape = jnp.shape(X)
        if len(shape) != 2 or shape[feature_axis(self.samples)] != self.widths[0]:
            raise LayoutError(
                "X of an mlp",
                f"two axes, {self.widths[0]} features and samples as {self.samples}",
                f"shape {shape}",
                "transpose X, or choose the other samples layout",
            )


def mlp(
    widths: Sequence[int],
    activation: str | Callable[[jax.Array], jax.Array] = "tanh",
    samples: str = "columns",
    loss: str | Callable[[jax.Array, jax.Array], jax.Array] = "squared_error",
    final_activation: str | Callable[[jax.Array], jax.Array] = "identity",
) -> MLP:
    """Describe a multilayer perceptron with biases.

    Args:
        widths: sizes of the input and of each layer's output, input first.
        activation: between layers: "relu", "tanh", "sigmoid", "gelu" (the tanh form), "softmax"
            (over the features of each sample), "identity", or a function of the layer's output.
        samples: "columns" for `D = W X + b`, "rows" for `D = X W + b`.
        loss: "squared_error", "cross_entropy" (on logits), both summed over samples, or a
            function of output and targets.
        final_activation: after the last layer, as `activation`.

    Returns:
        The network: `.init(key)`, `network(params, X)`, `.loss(params, X, Y)`.

    Raises:
        LayoutError: if a width is not positive, or a word is none of those above.

    Example:
        `D[i,n] = W2[i,j] tanh(W1[j,k] X[k,n] + b1[j]) + b2[i]`, with 3 features and 7 samples:

        >>> network = mlp((3, 5, 2), activation="tanh", samples="columns")
        >>> params = network.init(jax.random.key(0))
        >>> network(params, jnp.ones((3, 7))).shape
        (2, 7)
        >>> mlp((3, 5, 2), samples="rows")(transpose_params(params), jnp.ones((7, 3))).shape
        (7, 2)
    """
    return MLP(tuple(widths), activation, samples, loss, final_activation)


def transpose_params(params: Params) -> Params:
    """Carry parameters to the other data layout: each W and b transposed.

    With samples as rows the network on Xᵀ is the transpose of that with samples as columns on X,
    since `(W X + b)ᵀ = Xᵀ Wᵀ + bᵀ`. Applied twice it changes nothing.

    Args:
        params: a list of {"W", "b"} in either layout.

    Returns:
        The same in the other layout.

    Example:
        >>> params = mlp((3, 5)).init(jax.random.key(0))
        >>> [array.shape for array in transpose_params(params)[0].values()]
        [(3, 5), (1, 5)]
    """
    return jax.tree.map(jnp.transpose, params)
