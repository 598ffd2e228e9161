"""The gallery: functions worth seeing, each with the question that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One function of the gallery.

    Attributes:
        name: its name in a URL.
        title: for people.
        question: what to look for, in one line.
        expression: in the grammar of `layouts.expressions`.
        shapes: a shape for each input; no two sizes that could be confused are equal.
        wrt: the input to differentiate by.
        values: inputs that are not drawn, such as labels, flat.
    """

    name: str
    title: str
    question: str
    expression: str
    shapes: Mapping[str, Shape]
    wrt: str
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


_ROWS = (
    Row(
        "seed-w",
        "D = W X, by W",
        "Why is the gradient ∂L/∂D Xᵀ: why a transpose, and why no inverse?",
        "W @ X",
        {"W": (4, 3), "X": (3, 5)},
        "W",
    ),
    Row(
        "seed-x",
        "D = X W, by W",
        "The samples along the rows: on which side does Xᵀ stand now?",
        "X @ W",
        {"X": (5, 3), "W": (3, 4)},
        "W",
    ),
    Row(
        "neuron",
        "A neuron",
        "One number out: which shape has its derivative, a row or a column?",
        "sigmoid(w @ x + b)",
        {"w": (5,), "x": (5,), "b": ()},
        "w",
    ),
    Row(
        "mlp",
        "A two-layer network",
        "Four Jacobians in a chain: from which end are they multiplied?",
        "W2 @ tanh(W1 @ x + b1) + b2",
        {"W1": (5, 3), "x": (3,), "b1": (5,), "W2": (2, 5), "b2": (2,)},
        "W1",
    ),
    Row(
        "cross-entropy",
        "Softmax with cross-entropy",
        "The derivative is the prediction less the label: where did the softmax's Jacobian go?",
        "-sum(y * log_softmax(W @ x))",
        {"y": (5,), "W": (5, 3), "x": (3,)},
        "W",
        {"y": (0.0, 0.0, 1.0, 0.0, 0.0)},
    ),
    Row(
        "layer-norm",
        "Layer norm",
        "Every output depends on every input, and yet a few short terms say it all: which?",
        "g * (x - mean(x)) / sqrt(var(x) + 0.001) + b",
        {"g": (7,), "x": (7,), "b": (7,)},
        "x",
    ),
    Row(
        "quadratic-form",
        "A quadratic form",
        "Why both A and Aᵀ?",
        "x @ A @ x",
        {"x": (5,), "A": (5, 5)},
        "x",
    ),
    Row(
        "attention",
        "Attention",
        "Which queries does an output depend on, and which zeros are there by structure?",
        "softmax(Q @ K.T / 2, axis=1) @ V",
        {"Q": (3, 4), "K": (5, 4), "V": (5, 2)},
        "Q",
    ),
    Row(
        "matrix-chain",
        "A chain of matrices",
        "Neither forward nor reverse is cheapest: where should the brackets be?",
        "A4 @ (A3 @ (A2 @ (A1 @ x)))",
        {"A4": (11, 7), "A3": (7, 2), "A2": (2, 5), "A1": (5, 13), "x": (13,)},
        "x",
    ),
)

GALLERY: Mapping[str, Row] = MappingProxyType({row.name: row for row in _ROWS})
"""Name → row, in the order in which they are offered."""
