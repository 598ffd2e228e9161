"""Entry by entry: elementwise functions, shifts, look-ups, running sums, the split of an axis."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.suite.case import Case, made_first, normal, on_diagonal, positive, same, standard


def tanh_by_hand(x: jax.Array) -> jax.Array:
    """`δ[i,k] (1 - tanh² x)[i]`."""
    return jnp.diag(1 - jnp.tanh(x) ** 2)


def stencil(x: jax.Array) -> jax.Array:
    """Burgers' equation in one dimension: advection and diffusion at the inner points."""
    return x[2:] - 2 * x[1:-1] + x[:-2] - 0.5 * x[1:-1] * (x[2:] - x[:-2])


def stencil_by_hand(x: jax.Array) -> jax.Array:
    """Three diagonals, set in an array of zeros."""
    rows = jnp.arange(x.size - 2)[:, None]
    zeros = jnp.zeros((x.size - 2, x.size), x.dtype)
    return zeros.at[rows, rows + jnp.arange(3)[None]].set(jnp.stack(stencil_diagonals(x), 1))


def stencil_diagonals(x: jax.Array) -> tuple[jax.Array, ...]:
    """What stands on the three diagonals."""
    return 1 + 0.5 * x[1:-1], -2 - 0.5 * (x[2:] - x[:-2]), 1 - 0.5 * x[1:-1]


def gather(x: jax.Array, places: jax.Array) -> jax.Array:
    """The sines of chosen entries."""
    return jnp.sin(x[places])


def gather_by_hand(x: jax.Array, places: jax.Array) -> jax.Array:
    """`δ[p[i],k] cos(x[p[i]])`."""
    chosen = places[:, None] == jnp.arange(x.size)[None, :]
    return jnp.where(chosen, jnp.cos(x[places])[:, None], 0)


def cumsum_by_hand(X: jax.Array) -> jax.Array:
    """`δ[i,k] [l ≤ j]`, as the product of two small arrays."""
    rows, n = X.shape
    here, below = made_first(same(rows, X.dtype), jnp.tril(jnp.ones((n, n), X.dtype)))
    return here[:, None, :, None] * below[None, :, None, :]


def pooled_embedding(table: jax.Array, tokens: jax.Array) -> jax.Array:
    """The mean of a sentence's vectors."""
    return table[tokens].mean(1)


def pooled_embedding_by_hand(table: jax.Array, tokens: jax.Array) -> jax.Array:
    """`δ[d,e] count[n,v] / length`."""
    (words, width), length = table.shape, tokens.shape[1]
    found = tokens[:, :, None] == jnp.arange(words)[None, None, :]
    share = found.sum(1).astype(table.dtype) / length
    return share[:, None, :, None] * same(width, table.dtype)[None, :, None, :]


def max_pool(X: jax.Array) -> jax.Array:
    """The largest of every four neighbours."""
    return X.reshape(X.shape[0], -1, 4).max(-1)


def max_pool_by_hand(X: jax.Array) -> jax.Array:
    """One where the largest stands."""
    n = X.shape[1]
    largest = jnp.repeat(max_pool(X), 4, axis=1)
    chosen = (largest == X)[:, None, :]
    window = (jnp.arange(n) // 4)[None, None, :] == jnp.arange(n // 4)[None, :, None]
    return on_diagonal((window & chosen).astype(X.dtype))


def heads(X: jax.Array, W: jax.Array) -> jax.Array:
    """A projection, its columns split into heads of 16 (or of 2), the heads in front."""
    width = 16 if W.shape[1] % 16 == 0 else 2
    return (X @ W).reshape(X.shape[0], -1, width).transpose(1, 0, 2)


def heads_by_hand(X: jax.Array, W: jax.Array) -> jax.Array:
    """`δ[n,m] W[k,(h,d)]`, written as (h, n, d, m, k)."""
    count, _, width = jax.eval_shape(heads, X, W).shape
    rows = W.T.reshape(count, 1, width, 1, -1)
    return jnp.where(same(X.shape[0])[None, :, None, :, None], rows, 0)


CASES = (
    Case(
        name="tanh of 2000",
        kind="elementwise",
        function=jnp.tanh,
        sizes=((2000,), (7,)),
        arguments=lambda r, n: (standard(r, n),),
        by_hand=tanh_by_hand,
        structured=20,
        kept_by_hand=lambda x: 1 - jnp.tanh(x) ** 2,
    ),
    Case(
        name="stencil of 2000",
        kind="selection",
        function=stencil,
        sizes=((2000,), (7,)),
        arguments=lambda r, n: (standard(r, n),),
        by_hand=stencil_by_hand,
        structured=20,
        kept_by_hand=stencil_diagonals,
    ),
    Case(
        name="gather 2000 of 2000",
        kind="selection",
        function=gather,
        sizes=((2000, 2000), (7, 5)),
        arguments=lambda r, n, m: (standard(r, n), r.integers(n, size=m).astype(np.int32)),
        by_hand=gather_by_hand,
        structured=20,
        kept_by_hand=lambda x, places: (jnp.cos(x[places]), places),
    ),
    Case(
        name="cumsum along the rows of 16×128",
        kind="running sum",
        function=lambda X: jnp.cumsum(X, axis=1),
        sizes=((16, 128), (3, 5)),
        arguments=lambda r, rows, n: (standard(r, rows, n),),
        by_hand=cumsum_by_hand,
    ),
    Case(
        name="embedding of 200 words in 16, mean of 10, by the table",
        kind="selection",
        function=pooled_embedding,
        sizes=((200, 16, 32, 10), (7, 3, 5, 2)),
        arguments=lambda r, words, width, n, length: (
            standard(r, words, width),
            r.integers(words, size=(n, length)).astype(np.int32),
        ),
        by_hand=pooled_embedding_by_hand,
        structured=20,
    ),
    Case(
        name="max of every 4, 32×64",
        kind="selection",
        function=max_pool,
        sizes=((32, 64), (3, 8)),
        arguments=lambda r, rows, n: (positive(r, rows, n),),
        by_hand=max_pool_by_hand,
    ),
    Case(
        name="projection split into 4 heads, 32×64",
        kind="selection",
        function=heads,
        sizes=((32, 64), (3, 6)),
        arguments=lambda r, rows, n: (normal(r, rows, n), normal(r, n, n)),
        by_hand=heads_by_hand,
        structured=20,
    ),
)
