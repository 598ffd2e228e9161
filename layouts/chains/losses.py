"""Losses of a batch, in both data layouts, and the words that name a layout."""

from __future__ import annotations

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp

from layouts.errors import LayoutError


def squared_error(
    D: jax.Array, Y: jax.Array, samples: str = "columns", reduction: str = "sum"
) -> jax.Array:
    """Half the squared distance, `L = ½ Σ (D - Y)²`, so that `∂L/∂D = D - Y`.

    Args:
        D: the network's output, features × samples ("columns") or samples × features ("rows").
        Y: the targets, in the shape of D.
        samples: "columns" or "rows"; it matters to the mean only.
        reduction: "sum" over samples, or "mean", the sum divided by the number of samples.

    Returns:
        The loss, a scalar.

    Raises:
        LayoutError: if the shapes differ, or a word is none of those above.

    Example:
        >>> float(squared_error(jnp.array([[1.0, 5.0]]), jnp.array([[3.0, 5.0]])))
        2.0
    """
    scale = _scale(D, Y, samples, reduction)
    return 0.5 * jnp.sum((D - Y) ** 2) / scale


def cross_entropy(
    D: jax.Array, Y: jax.Array, samples: str = "columns", reduction: str = "sum"
) -> jax.Array:
    """Cross-entropy of targets and logits, `L = -Σ Y log softmax(D)`.

    The softmax runs over the features. Where each sample's targets add up to one,
    `∂L/∂D = softmax(D) - Y`.

    Args:
        D: logits (no softmax yet), features × samples ("columns") or samples × features ("rows").
        Y: one-hot or other probabilities, in the shape of D.
        samples: "columns" or "rows".
        reduction: "sum" over samples, or "mean", the sum divided by the number of samples.

    Returns:
        The loss in nats, a scalar.

    Raises:
        LayoutError: if the shapes differ, or a word is none of those above.

    Example:
        Two equal logits leave one bit, ln 2 nats:

        >>> D, Y = jnp.zeros((2, 1)), jnp.array([[1.0], [0.0]])
        >>> round(float(cross_entropy(D, Y, samples="columns")), 4)
        0.6931
    """
    scale = _scale(D, Y, samples, reduction)
    return -jnp.sum(Y * jax.nn.log_softmax(D, axis=feature_axis(samples))) / scale


LOSSES: dict[str, Callable[..., jax.Array]] = {
    "squared_error": squared_error,
    "cross_entropy": cross_entropy,
}


def feature_axis(samples: str) -> int:
    """Tell which axis of a batch holds the features.

    Args:
        samples: "columns" or "rows".

    Returns:
        0 where samples are columns, 1 where they are rows.

    Raises:
        LayoutError: if `samples` is another word.

    Example:
        >>> feature_axis("columns"), feature_axis("rows")
        (0, 1)
    """
    return {"columns": 0, "rows": 1}[one_of("samples", samples, ("columns", "rows"))]


def one_of(what: str, value: object, allowed: Collection[str]) -> str:
    """Return `value` if it is one of the allowed words, else raise a LayoutError that lists them.

    Example:
        >>> one_of("samples", "diagonal", ("columns", "rows"))
        Traceback (most recent call last):
        ...
        layouts.errors.LayoutError: samples: expected one of 'columns', 'rows', got 'diagonal'; \
pass one of these words
    """
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise LayoutError(what, f"one of {words}", repr(value), "pass one of these words")
    return value


def _scale(D: jax.Array, Y: jax.Array, samples: str, reduction: str) -> int:
    """The number by which the sum is divided, once targets and words are found right."""
    if jnp.ndim(D) != 2 or jnp.shape(D) != jnp.shape(Y):
        raise LayoutError(
            "targets Y",
            f"the output's 2-D shape {jnp.shape(D)}",
            f"{jnp.shape(Y)}",
            "give Y one entry for each output, in the same data layout",
        )
    count = jnp.shape(D)[1 - feature_axis(samples)]
    return count if one_of("reduction", reduction, ("sum", "mean")) == "mean" else 1
