"""The GPT-3 family by its published sizes, and one block of it as functions of arrays or shapes.

Whatever is of the size of the model is an argument, the causal mask too: so a trace of shapes holds
no array.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

BYTES_PER_ENTRY = 4


@dataclass(frozen=True)
class Size:
    """A published model.

    Attributes:
        name: as the paper has it.
        parameters: in all, as the paper has them.
        layers: the number of blocks.
        width: of the residual stream.
        heads: attention heads in a block.
        head: the size of each.
        context: tokens in a sequence.
        vocabulary: tokens there are.
    """

    name: str
    parameters: str
    layers: int
    width: int
    heads: int
    head: int
    context: int = 2048
    vocabulary: int = 50257


# T. Brown et al., Language models are few-shot learners (2020), table 2.1; the hidden layer of the
# MLP is four widths (section 2.1), the vocabulary is GPT-2's. Widths that are not heads × head are
# the paper's own.
GPT3 = (
    Size("GPT-3 Small", "125M", 12, 768, 12, 64),
    Size("GPT-3 Medium", "350M", 24, 1024, 16, 64),
    Size("GPT-3 Large", "760M", 24, 1536, 16, 96),
    Size("GPT-3 XL", "1.3B", 24, 2048, 24, 128),
    Size("GPT-3 2.7B", "2.7B", 32, 2560, 32, 80),
    Size("GPT-3 6.7B", "6.7B", 32, 4096, 32, 128),
    Size("GPT-3 13B", "13B", 40, 5140, 40, 128),
    Size("GPT-3 175B", "175B", 96, 12288, 96, 128),
)


def norm(x: jax.Array, gain: jax.Array, bias: jax.Array) -> jax.Array:
    """Layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + 1e-5) * gain[None] + bias[None]


def mlp(x: jax.Array, W1: jax.Array, b1: jax.Array, W2: jax.Array, b2: jax.Array) -> jax.Array:
    """Each token on its own through one hidden layer."""
    return jax.nn.gelu(x @ W1 + b1[None]) @ W2 + b2[None]


def attention(
    x: jax.Array, Q: jax.Array, K: jax.Array, V: jax.Array, B: jax.Array, mask: jax.Array
) -> jax.Array:
    """Attention with heads, B bringing them back together; the causal mask is an argument."""
    query, key, value = (jnp.einsum("sd,dhe->hse", x, weights) for weights in (Q, K, V))
    scores = jnp.einsum("hse,hte->hst", query, key) / query.shape[-1] ** 0.5
    weights = jax.nn.softmax(scores + mask[None], axis=-1)
    return jnp.einsum("hse,hed->sd", jnp.einsum("hst,hte->hse", weights, value), B)


def block(
    x: jax.Array, norms: tuple[jax.Array, ...], heads: tuple[jax.Array, ...], hidden: tuple
) -> jax.Array:
    """Attention, then the MLP, each after a layer norm and added to what came in."""
    gain, bias, second_gain, second_bias = norms
    x = x + attention(norm(x, gain, bias), *heads)
    return x + mlp(norm(x, second_gain, second_bias), *hidden)


BLOCKS: dict[str, Callable] = {"attention": attention, "MLP": mlp, "whole block": block}


def shapes(size: Size, dtype: str = "float32") -> dict[str, tuple]:
    """The arguments of each function of `BLOCKS` as shapes alone, x first."""

    def array(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype)

    tokens, width, hidden = size.context, size.width, 4 * size.width
    inward = array(width, size.heads, size.head)
    heads = (inward,) * 3 + (array(size.heads, size.head, width), array(tokens, tokens))
    layers = (array(width, hidden), array(hidden), array(hidden, width), array(width))
    x = array(tokens, width)
    return {
        "attention": (x, *heads),
        "MLP": (x, *layers),
        "whole block": (x, (array(width),) * 4, heads, layers),
    }
