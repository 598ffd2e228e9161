"""Layers of networks, each alone: normalisations, attention, convolutions."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.suite.case import Case, normal, on_diagonal, positive, same, standard


def layer_norm(X: jax.Array) -> jax.Array:
    """Each row shifted and scaled to mean 0 and variance 1."""
    centred = X - X.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)


def layer_norm_by_hand(X: jax.Array) -> jax.Array:
    """`(δ[j,l] - 1/n - y[i,j] y[i,l] / n) / s[i]` on the diagonal of the rows."""
    n = X.shape[1]
    y = layer_norm(X)
    scale = 1 / jnp.sqrt(X.var(-1, keepdims=True) + 1e-5)
    block = same(n, X.dtype)[None] - 1 / n - y[:, :, None] * y[:, None, :] / n
    return on_diagonal(block * scale[:, :, None])


def batch_norm(X: jax.Array, gain: jax.Array) -> jax.Array:
    """Each column shifted and scaled to mean 0 and variance 1, then by its gain."""
    centred = X - X.mean(0, keepdims=True)
    return gain * centred / jnp.sqrt((centred * centred).mean(0, keepdims=True) + 1e-5)


def batch_norm_by_hand(X: jax.Array, gain: jax.Array) -> jax.Array:
    """`g[j] δ[j,l] / s[j]` times `δ[i,k] - 1/n - y[i,j] y[k,l] / n`, the δ in the small factors."""
    n, features = X.shape
    scale = (gain / jnp.sqrt(X.var(0, keepdims=True) + 1e-5))[0]
    y = layer_norm(X.T).T
    own = scale[:, None] * same(features, X.dtype)
    centred = (same(n, X.dtype) - 1 / n)[:, None, :, None] * own[None, :, None, :]
    scaled = (y / n)[:, :, None] * own[None]
    return centred - scaled[:, :, None, :] * y[None, None]


def softmax_by_hand(z: jax.Array) -> jax.Array:
    """`diag(s) - s sᵀ`."""
    s = jax.nn.softmax(z)
    return jnp.diag(s) - s[:, None] * s[None, :]


def attention(
    X: jax.Array, query: jax.Array, key: jax.Array, value: jax.Array, out: jax.Array
) -> jax.Array:
    """One head of self-attention with its projections and the residual connection."""
    scores = (X @ query) @ (X @ key).T / jnp.sqrt(X.shape[1]).astype(X.dtype)
    return X + jax.nn.softmax(scores) @ (X @ value) @ out


def attention_by_hand(
    X: jax.Array, query: jax.Array, key: jax.Array, value: jax.Array, out: jax.Array
) -> jax.Array:
    """`A[i,m] (M[b,a] + Q[i,b] (V[m,a] - Y[i,a])) + δ[i,m] (δ[a,b] + G[i,a,b])`.

    With the scores `X C Xᵀ`, `M = value @ out`, `V = X M`, `Y = A V`, `Q = X C`, `P = X Cᵀ`, and
    `G[i,a,b] = Σ_j A[i,j] (V[j,a] - Y[i,a]) P[j,b]`.
    """
    n, width = X.shape
    C = query @ key.T / jnp.sqrt(width).astype(X.dtype)
    M = value @ out
    V, Q, P = X @ M, X @ C, X @ C.T
    A = jax.nn.softmax(Q @ X.T)
    Y = A @ V
    weighted = A[:, None, :] * (V.T[None] - Y[:, :, None])  # i, a, j
    G = (weighted.reshape(-1, n) @ P).reshape(n, width, width) + same(width, X.dtype)[None]
    slope = M.T[None, :, None, :] + Q[:, None, None, :] * (V.T[None] - Y[:, :, None])[..., None]
    everywhere = A[:, None, :, None] * slope
    return everywhere + on_diagonal(G)


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A layer in one dimension, without padding: (in, length) to (out, length - width + 1)."""
    return lax.conv_general_dilated(x[None], kernel, (1,), "VALID")[0]


def convolution_by_input_by_hand(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`K[o,c,k-i]`, looked up: offsets outside the kernel find the zero behind it."""
    width, length = kernel.shape[2], x.shape[1]
    offset = jnp.arange(length)[None, :] - jnp.arange(length - width + 1)[:, None]
    inside = (offset >= 0) & (offset < width)
    padded = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1))).transpose(0, 2, 1)
    return padded[:, jnp.where(inside, offset, width)].transpose(0, 1, 3, 2)


def convolution_by_kernel(kernel: jax.Array, x: jax.Array) -> jax.Array:
    """The same layer, its kernel first."""
    return convolution(x, kernel)


def convolution_by_kernel_by_hand(kernel: jax.Array, x: jax.Array) -> jax.Array:
    """`δ[o,p] x[c,i+w]`."""
    out, _, width = kernel.shape
    places = x.shape[1] - width + 1
    windows = jnp.stack([x[:, w : w + places] for w in range(width)], -1)  # channel, place, offset
    windows = windows.transpose(1, 0, 2)[None, :, None]
    return jnp.where(same(out)[:, None, :, None, None], windows, 0)


CASES = (
    Case(
        name="layer norm 32×128, by its input",
        kind="normalisation",
        function=layer_norm,
        sizes=((32, 128), (3, 5)),
        arguments=lambda r, rows, n: (normal(r, rows, n),),
        by_hand=layer_norm_by_hand,
        dense=3,
        structured=20,
    ),
    Case(
        name="batch norm 64×32, by its input",
        kind="normalisation",
        function=batch_norm,
        sizes=((64, 32), (5, 3)),
        arguments=lambda r, n, features: (standard(r, n, features), positive(r, 1, features)),
        by_hand=batch_norm_by_hand,
    ),
    Case(
        name="softmax of 1000",
        kind="normalisation",
        function=jax.nn.softmax,
        sizes=((1000,), (7,)),
        arguments=lambda r, n: (normal(r, n),),
        by_hand=softmax_by_hand,
        dense=1.5,
        structured=50,
        kept_by_hand=jax.nn.softmax,
    ),
    Case(
        name="attention block 32×64, by its input",
        kind="attention",
        function=attention,
        sizes=((32, 64), (3, 5)),
        arguments=lambda r, n, width: (
            standard(r, n, width),
            *(normal(r, width, width) for _ in range(4)),
        ),
        by_hand=attention_by_hand,
        dense=6,
    ),
    Case(
        name="convolution 4→8 channels, width 5, of 128, by its input",
        kind="convolution",
        function=convolution,
        sizes=((4, 8, 5, 128), (2, 3, 3, 7)),
        arguments=lambda r, into, out, width, length: (
            standard(r, into, length),
            normal(r, out, into, width),
        ),
        by_hand=convolution_by_input_by_hand,
    ),
    Case(
        name="convolution 4→8 channels, width 5, of 512, by its kernel",
        kind="convolution",
        function=convolution_by_kernel,
        sizes=((4, 8, 5, 512), (2, 3, 3, 7)),
        arguments=lambda r, into, out, width, length: (
            normal(r, out, into, width),
            standard(r, into, length),
        ),
        by_hand=convolution_by_kernel_by_hand,
    ),
)
