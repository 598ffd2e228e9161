"""A network on handwritten digits, trained by a backward pass written out by hand.

Samples are columns, D = W X + b, so the backward pass is G Xᵀ, Σ G and Wᵀ G, layer by layer.
"""

from typing import Any

import jax
import numpy as np
from sklearn.datasets import load_digits

Params = list[dict[str, Any]]


def load() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The 1797 digits as columns of 64 pixels in [0, 1], shuffled; four fifths to train on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order].T / 16, labels[order]
    cut = 4 * len(labels) // 5
    return (images[:, :cut], labels[:cut]), (images[:, cut:], labels[cut:])


def forward(params: Params, images: np.ndarray) -> list[np.ndarray]:
    """The activations of every layer, the images first and the logits last."""
    activations = [images]
    for number, layer in enumerate(params, 1):
        z = layer["W"] @ activations[-1] + layer["b"]
        activations.append(z if number == len(params) else np.tanh(z))
    return activations


def backward(params: Params, activations: list[np.ndarray], targets: np.ndarray) -> Params:
    """The gradient of the summed cross-entropy, by G Xᵀ, Σ G and Wᵀ G, layer by layer."""
    shifted = np.exp(activations[-1] - activations[-1].max(0))
    slope = shifted / shifted.sum(0) - targets
    gradients: Params = []
    for layer, below in zip(reversed(params), reversed(activations[:-1]), strict=True):
        gradients.insert(0, {"W": slope @ below.T, "b": slope.sum(1, keepdims=True)})
        slope = (layer["W"].T @ slope) * (1 - below**2)
    return gradients


def fit(params: Params, images: np.ndarray, targets: np.ndarray, epochs: int) -> Params:
    """Gradient descent with momentum on batches of 32, by the hand-written backward pass.

    Noise on the pixels and a small weight decay keep the input's slopes smooth.
    """
    rng = np.random.default_rng(1)
    speed = jax.tree.map(np.zeros_like, params)
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(images.shape[1]), images.shape[1] // 32):
            noisy = images[:, batch] + 0.2 * rng.normal(size=(len(images), len(batch)))
            slope = backward(params, forward(params, noisy), targets[:, batch])
            step = jax.tree.map(lambda g, p: 0.05 * (g / 32 + 1e-3 * p), slope, params)
            speed = jax.tree.map(lambda v, s: 0.9 * v - s, speed, step)
            params = jax.tree.map(np.add, params, speed)
    return params
