# ruff: noqa: E501 - a case is one line
"""The one table of functions with shapes: what every structured result is compared on.

Shapes are unequal primes unless the function asks for a square; arrays are random, never symmetric
unless the function makes them so, and differ from case to case.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from layouts import chains

F64, F32, F16, BF16 = jnp.float64, jnp.float32, jnp.float16, jnp.bfloat16
C128, C64 = jnp.complex128, jnp.complex64


@dataclass(frozen=True)
class Case:
    """A function and where it is differentiated.

    Attributes:
        name: what the test report calls it.
        function: takes and returns pytrees of arrays.
        make: draws the arguments from a random generator.
        argnums: which arguments it is differentiated by.
        holomorphic: the function is complex and holomorphic.
        orders: the orders that JAX itself can execute.
        dots: the linear program is made of `dot_general` (and transposes) alone.
        known: nothing of it may be opaque: elementwise functions, contractions and shapes.
        rounding: the least exact dtype inside the function.
    """

    name: str
    function: Callable
    make: Callable[[np.random.Generator], tuple]
    argnums: int | tuple[int, ...] = 0
    holomorphic: bool = False
    orders: tuple[str, ...] = ("auto", "forward", "reverse")
    dots: bool = False
    known: bool = True
    rounding: str = "float64"

    def args(self) -> tuple:
        """The arguments: the same at every call."""
        return self.make(np.random.default_rng(zlib.crc32(self.name.encode())))


def arrays(*shapes: tuple[int, ...], dtype: Any = F64) -> Callable:
    """Normal arrays of these shapes."""

    def make(rng: np.random.Generator) -> tuple:
        return tuple(jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes)

    return make


def positive(*shapes: tuple[int, ...]) -> Callable:
    """Arrays with entries in [1/2, 2]."""

    def make(rng: np.random.Generator) -> tuple:
        return tuple(jnp.asarray(rng.uniform(0.5, 2, shape)) for shape in shapes)

    return make


def complexes(*shapes: tuple[int, ...], dtype: Any = C128) -> Callable:
    """Complex normal arrays."""

    def make(rng: np.random.Generator) -> tuple:
        parts = [rng.standard_normal((2, *shape)) for shape in shapes]
        return tuple(jnp.asarray(part[0] + 1j * part[1], dtype) for part in parts)

    return make


def dominant(n: int, *shapes: tuple[int, ...]) -> Callable:
    """A well-conditioned n×n matrix that is not symmetric, then normal arrays."""

    def make(rng: np.random.Generator) -> tuple:
        matrix = rng.standard_normal((n, n)) + 3 * n * np.eye(n)
        rest = (jnp.asarray(rng.standard_normal(shape)) for shape in shapes)
        return (jnp.asarray(matrix), *rest)

    return make


def tree(build: Callable) -> Callable:
    """Arguments built by a function of `draw(*shape)`."""

    def make(rng: np.random.Generator) -> tuple:
        return build(lambda *shape: jnp.asarray(rng.standard_normal(shape)))

    return make


def network(widths: Sequence[int], samples: int, layout: str, **options: Any) -> tuple:
    """A perceptron with its arguments: parameters and X."""
    mlp = chains.mlp(widths, samples=layout, **options)

    def make(rng: np.random.Generator) -> tuple:
        key = jax.random.key(int(rng.integers(1 << 30)))
        shape = (widths[0], samples) if layout == "columns" else (samples, widths[0])
        return mlp.init(key), jnp.asarray(rng.standard_normal(shape))

    return mlp, make


def _dot(contracted: tuple, batch: tuple, **options: Any) -> Callable:
    return lambda a, b: lax.dot_general(a, b, (contracted, batch), **options)


def _normalised(x: jax.Array, axis: int) -> jax.Array:
    centred = x - x.mean(axis, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis, keepdims=True) + 1e-3)


def layer_norm(x: jax.Array, gain: jax.Array, shift: jax.Array) -> jax.Array:
    """Rows normalised, then scaled and shifted."""
    return gain[None, :] * _normalised(x, -1) + shift[None, :]


def rms_norm(x: jax.Array, gain: jax.Array) -> jax.Array:
    """Rows divided by their root mean square."""
    return gain[None, :] * x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-3)


def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """One head: softmax(q kᵀ / √d) v."""
    return jax.nn.softmax(q @ k.T / np.sqrt(q.shape[-1]), axis=-1) @ v


def multi_head(x: jax.Array, W: jax.Array) -> jax.Array:
    """Self-attention: x by three projections in one weight, features × 3 × heads × head size."""
    q, k, v = jnp.einsum("nf,fphd->phnd", x, W)
    weights = jax.nn.softmax(jnp.einsum("hnd,hmd->hnm", q, k), axis=-1)
    return jnp.einsum("hnm,hmd->nhd", weights, v).reshape(x.shape[0], -1)


def energy_gradient(x: jax.Array) -> jax.Array:
    """The gradient of a pairwise energy: its Jacobian is the Hessian."""

    def energy(x: jax.Array) -> jax.Array:
        difference = x[:, None, :] - x[None, :, :]
        return jnp.sum(jnp.exp(-jnp.sum(difference**2, -1)))

    return jax.grad(energy)(x)


def rbf(x: jax.Array, y: jax.Array) -> jax.Array:
    """The kernel matrix exp(-½|x - y|²)."""
    return jnp.exp(-0.5 * ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1))


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A strided 2-D convolution, batch × channels × height × width."""
    return lax.conv_general_dilated(x, kernel, (2, 1), "SAME")


def recurrent(W: jax.Array, h: jax.Array, xs: jax.Array) -> jax.Array:
    """A recurrent network by scan."""

    def step(h: jax.Array, x: jax.Array) -> tuple:
        h = jnp.tanh(W @ h + x)
        return h, h.sum()

    last, sums = lax.scan(step, h, xs)
    return jnp.concatenate([last, sums])


def halving(x: jax.Array) -> jax.Array:
    """A while loop: JAX pushes tangents through it, and pulls nothing."""
    return lax.while_loop(lambda s: jnp.sum(s**2) > 0.1, lambda s: 0.5 * jnp.sin(s), x)


@jax.custom_jvp
def doubled_slope(x: jax.Array) -> jax.Array:
    """A function whose rule is not its derivative, so that only the rule can be what is used."""
    return jnp.sin(x)


doubled_slope.defjvp(
    lambda primals, tangents: (jnp.sin(*primals), 2 * jnp.cos(*primals) * tangents[0])
)


@jax.custom_vjp
def clipped_backward(x: jax.Array, y: jax.Array) -> jax.Array:
    """A function whose pull-back is not its derivative; JAX cannot push through it."""
    return x[:, None] * y[None, :]


clipped_backward.defvjp(
    lambda x, y: (clipped_backward(x, y), (x, y)),
    lambda saved, c: (3 * (c @ saved[1]), -(saved[0] @ c)),
)


def _remat(W: jax.Array, x: jax.Array) -> jax.Array:
    return jax.checkpoint(lambda x: jnp.tanh(W @ jnp.sin(x)))(x)


def _dropout(x: jax.Array) -> jax.Array:
    keep = jax.random.bernoulli(jax.random.key(7), 0.6, x.shape)
    return jnp.where(keep, x / 0.6, 0.0) @ jax.random.normal(jax.random.key(8), (3, 2))


def _states(x: jax.Array) -> jax.Array:
    z = jnp.exp(1j * x)
    return jnp.real(z * (2 + 1j)) + jnp.imag(z[::-1]) * jnp.abs(z + 0.5)


def _through_real(x: jax.Array) -> jax.Array:
    a, b = jnp.asarray([1 + 2j, 3 - 1j, 0.5j]), jnp.asarray([0.2 - 1j, 1j, 2.0])
    return jnp.imag(a * jnp.real(b * jnp.sin(x)) ** 2) + jnp.real(jnp.conj(b * x) * b)


def _int_mask(x: jax.Array, mask: jax.Array, power: jax.Array) -> jax.Array:
    return jnp.where(mask, x * power, -x)


def _int_args(rng: np.random.Generator) -> tuple:
    return jnp.asarray(rng.standard_normal((3, 5))), jnp.asarray(rng.random((3, 5)) < 0.5), 3


def _keyed(rng: np.random.Generator) -> tuple:
    return jnp.asarray(rng.standard_normal((3, 5))), jax.random.key(int(rng.integers(1 << 30)))


_TAKEN = np.array([4, 0, 0, 2, 1, 4])
_GRID = (np.array([0, 2, 1, 0]), np.array([3, 3, 0, 3]))

CONTRACTIONS = [
    Case("W X by W", lambda W, X: W @ X, arrays((5, 3), (3, 7)), dots=True),
    Case("W X by X", lambda W, X: W @ X, arrays((5, 3), (3, 7)), 1, dots=True),
    Case("W X by both", lambda W, X: W @ X, arrays((5, 3), (3, 7)), (0, 1), dots=True),
    Case("W X by both, X first", lambda W, X: W @ X, arrays((5, 3), (3, 7)), (1, 0), dots=True),
    Case("matrix by vector", lambda A, x: A @ x, arrays((5, 3), (3,)), (0, 1), dots=True),
    Case("vector by matrix", lambda x, A: x @ A, arrays((5,), (5, 3)), (0, 1), dots=True),
    Case("inner product", jnp.dot, arrays((5,), (5,)), (0, 1), dots=True),
    Case("outer product", jnp.outer, arrays((5,), (3,)), (0, 1)),
    Case("A B C D by B", lambda A, B, C, D: A @ B @ C @ D, arrays((2, 5), (5, 3), (3, 7), (7, 11)), 1, dots=True),
    Case("A B C D by A and D", lambda A, B, C, D: A @ B @ C @ D, arrays((2, 5), (5, 3), (3, 7), (7, 3)), (0, 3)),
    Case("chain of vectors", lambda x, A, B, C: C @ (B @ (A @ x)), arrays((5,), (3, 5), (7, 3), (2, 7)), dots=True),
    Case("batched matmul", lambda A, B: A @ B, arrays((2, 5, 3), (2, 3, 7)), (0, 1)),
    Case("two batch axes", _dot(((3,), (3,)), ((0, 1), (1, 0))), arrays((2, 3, 7, 5), (3, 2, 11, 5)), (0, 1)),
    Case("two contracted axes", _dot(((1, 2), (2, 0)), ((), ())), arrays((5, 3, 7), (7, 2, 3)), (0, 1)),
    Case("odd places", _dot(((3, 0), (1, 2)), ((2,), (3,))), arrays((2, 5, 3, 7), (11, 7, 2, 3)), (0, 1)),
    Case("all contracted", _dot(((0, 1), (1, 0)), ((), ())), arrays((5, 3), (3, 5)), (0, 1)),
    Case("all batched", _dot(((), ()), ((0, 1), (1, 0))), arrays((5, 3), (3, 5)), (0, 1)),
    Case("wider accumulator", _dot(((1,), (0,)), ((), ()), preferred_element_type=F64), arrays((5, 3), (3, 7), dtype=F32), (0, 1), rounding="float32"),
    Case("tensordot", partial(jnp.tensordot, axes=2), arrays((5, 3, 7), (3, 7, 2)), (0, 1)),
    Case("tensordot, none", partial(jnp.tensordot, axes=0), arrays((5, 3), (2,)), (0, 1)),
    Case("einsum chain", partial(jnp.einsum, "ij,jk,kl->li"), arrays((2, 5), (5, 3), (3, 7)), (0, 1, 2)),
    Case("einsum, batch", partial(jnp.einsum, "bij,bkj->bik"), arrays((2, 5, 3), (2, 7, 3)), (0, 1)),
    Case("einsum, three", partial(jnp.einsum, "ijk,kl,jm->ilm"), arrays((2, 3, 5), (5, 7), (3, 2)), (0, 1, 2)),
    Case("einsum, summed alone", partial(jnp.einsum, "ij,kl->ik"), arrays((5, 3), (2, 7)), (0, 1)),
    Case("einsum, outer", partial(jnp.einsum, "i,j,k->kij"), arrays((5,), (3,), (2,)), (0, 1, 2)),
    Case("einsum, diagonal", partial(jnp.einsum, "ii->i"), arrays((5, 5)), known=False),
    Case("einsum, trace", partial(jnp.einsum, "ii->"), arrays((5, 5)), known=False),
    Case("M M", lambda M: M @ M, arrays((5, 5))),
    Case("M M M", lambda M: M @ M @ M, arrays((3, 3))),
    Case("M Mᵀ", lambda M: M @ M.T, arrays((5, 3))),
    Case("Mᵀ M", lambda M: M.T @ M, arrays((5, 3))),
    Case("quadratic form", lambda x, A: x @ A @ x, arrays((5,), (5, 5)), (0, 1)),
    Case("bilinear", lambda x, A, y: x @ A @ y, arrays((5,), (5, 3), (3,)), (0, 1, 2)),
    Case("kron", jnp.kron, arrays((2, 5), (3, 2)), (0, 1)),
    Case("Frobenius product", lambda A, B: jnp.sum(A * B), arrays((5, 3), (5, 3)), (0, 1)),
    Case("dot with a size of one", lambda A, B: A @ B, arrays((5, 1), (1, 3)), (0, 1)),
    Case("row by column", lambda A, B: A @ B, arrays((1, 5), (5, 1)), (0, 1)),
]  # fmt: skip

ELEMENTWISE = [
    Case("tanh", jnp.tanh, arrays((5, 3))),
    Case("sigmoid of sine", lambda x: jax.nn.sigmoid(jnp.sin(x)), arrays((5, 3))),
    Case("gelu", jax.nn.gelu, arrays((5, 3))),
    Case("exact gelu", partial(jax.nn.gelu, approximate=False), arrays((5,))),
    Case("silu", jax.nn.silu, arrays((5,))),
    Case("softplus", jax.nn.softplus, arrays((5,))),
    Case("relu", jax.nn.relu, arrays((5, 3))),
    Case("leaky relu", jax.nn.leaky_relu, arrays((5, 3))),
    Case("x x", lambda x: x * x, arrays((5, 3))),
    Case("x³", lambda x: x**3, arrays((5,))),
    Case("x⁻²", lambda x: x**-2, positive((5,))),
    Case("xʸ", lambda x, y: x**y, positive((5,), (5,)), (0, 1)),
    Case("x + x", lambda x: x + x, arrays((5,))),
    Case("x - x", lambda x: x - x, arrays((5, 3))),
    Case("0 x", lambda x: 0 * x, arrays((5,))),
    Case("0.3 x - 7", lambda x: 0.3 * x - 7, arrays((5,))),
    Case("x / y", lambda x, y: x / y, positive((5, 3), (5, 3)), (0, 1)),
    Case("x / 3", lambda x: x / 3, arrays((5,))),
    Case("log of exp", lambda x: jnp.log(1 + jnp.exp(x) * x**2), arrays((5,))),
    Case("square root", jnp.sqrt, positive((5, 3))),
    Case("absolute value", jnp.abs, arrays((5, 3))),
    Case("sign", jnp.sign, arrays((5,))),
    Case("floor and rest", lambda x: jnp.floor(x) * x, arrays((5,))),
    Case("remainder", lambda x, y: jnp.mod(x, y), positive((5,), (5,)), (0, 1)),
    Case("maximum", jnp.maximum, arrays((5, 3), (5, 3)), (0, 1)),
    Case("minimum with itself", lambda x: jnp.minimum(x, -x), arrays((5,))),
    Case("clip", lambda x: jnp.clip(x, -0.5, 0.7), arrays((5, 3))),
    Case("arctan2", jnp.arctan2, arrays((5,), (5,)), (0, 1)),
    Case("logaddexp", jnp.logaddexp, arrays((5,), (5,)), (0, 1)),
    Case("where", lambda x, y: jnp.where(x > y, x * y, y), arrays((5, 3), (5, 3)), (0, 1)),
    Case("where by a scalar", lambda x, y: jnp.where(x.sum() > 0, x, 2 * y), arrays((5,), (5,)), (0, 1)),
    Case("select of three", lambda x, y, z: lax.select_n(jnp.array([0, 2, 1, 2, 0]), x, y, z), arrays((5,), (5,), (5,)), (0, 1, 2)),
    Case("where by a row of masks", lambda x: jnp.where(jnp.array([[True, False, True]]), x, x**2), arrays((5, 3))),
    Case("stopped gradient", lambda x: x * lax.stop_gradient(x), arrays((5,))),
    Case("row and column", lambda r, c: jnp.tanh(r) * c, arrays((1, 5), (3, 1)), (0, 1)),
    Case("matrix times column", lambda A, c: A * c, arrays((5, 3), (5, 1)), (0, 1)),
    Case("bias", lambda A, b: A + b[None, :], arrays((5, 3), (3,)), (0, 1)),
    Case("scalar times matrix", lambda s, A: s * A, arrays((), (5, 3)), (0, 1)),
    Case("one-entry axes", lambda x, y: jnp.sin(x) * y, arrays((1, 3, 1), (5, 1, 1)), (0, 1)),
    Case("sine of both", lambda x, y: jnp.sin(x * y + x), arrays((5,), (5,)), (0, 1)),
]  # fmt: skip

REDUCTIONS = [
    Case("sum", jnp.sum, arrays((5, 3))),
    Case("sum by rows", partial(jnp.sum, axis=1), arrays((5, 3, 2))),
    Case("sum, axes kept", partial(jnp.sum, axis=(0, 2), keepdims=True), arrays((5, 3, 2))),
    Case("sum of a one-entry axis", partial(jnp.sum, axis=1), arrays((5, 1, 3))),
    Case("mean", partial(jnp.mean, axis=0), arrays((5, 3))),
    Case("variance", partial(jnp.var, axis=1), arrays((5, 3))),
    Case("standard deviation", jnp.std, arrays((5, 3))),
    Case("max", partial(jnp.max, axis=1), arrays((5, 3))),
    Case("min of all", jnp.min, arrays((5, 3))),
    Case("product", partial(jnp.prod, axis=0), arrays((5, 3)), known=False),
    Case("norm", jnp.linalg.norm, arrays((5, 3))),
    Case("x / norm", lambda x: x / jnp.linalg.norm(x), arrays((5,))),
    Case("outer(x, x)", lambda x: jnp.outer(x, x), arrays((5,))),
    Case("logsumexp", jax.nn.logsumexp, arrays((5,))),
    Case("logsumexp by columns", partial(jax.nn.logsumexp, axis=0), arrays((5, 3))),
    Case("softmax", jax.nn.softmax, arrays((5,))),
    Case("softmax by rows", partial(jax.nn.softmax, axis=-1), arrays((5, 3))),
    Case("log-softmax", partial(jax.nn.log_softmax, axis=0), arrays((5, 3))),
    Case("cumulative sum", partial(jnp.cumsum, axis=0), arrays((5, 3)), known=False),
    Case("cumulative product", jnp.cumprod, arrays((5,)), known=False),
    Case("sort", partial(jnp.sort, axis=0), arrays((5, 3)), known=False),
    Case("top three", lambda x: lax.top_k(x, 3)[0], arrays((2, 5)), known=False),
    Case("median", jnp.median, arrays((5,)), known=False),
    Case("centred", lambda x: x - x.mean(0, keepdims=True), arrays((5, 3))),
    Case("many ones", lambda x: jnp.broadcast_to(x, (300, 5)).sum(0), arrays((5,))),
    Case("overlapping ones", lambda x: jnp.broadcast_to(x, (100, 5)).sum(0) + jnp.broadcast_to(x.sum(), (100, 5)).sum(0), arrays((5,))),
]  # fmt: skip

SHAPES = [
    Case("identity", lambda x: x, arrays((5, 3))),
    Case("transpose", jnp.transpose, arrays((5, 3, 2))),
    Case("swapped axes", lambda x: jnp.moveaxis(jnp.sin(x), 0, 2), arrays((5, 3, 2, 7))),
    Case("flatten", jnp.ravel, arrays((5, 3, 2))),
    Case("flatten the transpose", lambda x: x.T.ravel(), arrays((5, 3))),
    Case("split an axis", lambda x: x.reshape(5, 2, 3), arrays((5, 6))),
    Case("reshape to and fro", lambda x: jnp.tanh(x.reshape(6, 5)).reshape(2, 15), arrays((2, 3, 5))),
    Case("reshape, no common digits", lambda x: jnp.sin(x).reshape(4, 3), arrays((6, 2)), known=False),
    Case("flatten, no common digits", lambda x: jnp.tanh(x.reshape(6)).reshape(3, 2).sum(1), arrays((2, 3))),
    Case("sum through a bridge", lambda s: jnp.broadcast_to(s, (14, 15)).reshape(210).reshape(15, 14).sum(), arrays(())),
    Case("expand and squeeze", lambda x: jnp.squeeze(x[None, :, None] * 2, 0), arrays((5,))),
    Case("repeat", lambda x: jnp.repeat(x, 3, axis=1), arrays((5, 2)), known=False),
    Case("tile", lambda x: jnp.tile(x, (3, 2)), arrays((5, 2))),
    Case("concatenate", lambda x, y: jnp.concatenate([x, y * x[:2], x]), arrays((5, 3), (2, 3)), (0, 1), known=False),
    Case("stack", lambda x, y: jnp.stack([x, y, x * y], 1), arrays((5,), (5,)), (0, 1), known=False),
    Case("split", lambda x: [jnp.sin(part) for part in jnp.split(x, [2], 1)], arrays((3, 5)), known=False),
    Case("pad", lambda x: jnp.pad(x, ((1, 2), (0, 3))), arrays((5, 3)), known=False),
    Case("slice", lambda x: x[1:4, ::2], arrays((5, 7)), known=False),
    Case("second difference", lambda x: x[2:] - 2 * x[1:-1] + x[:-2], arrays((7,)), known=False),
    Case("flip", lambda x: x[::-1] * x, arrays((5, 2)), known=False),
    Case("roll", lambda x: jnp.roll(x, 2, 0), arrays((5, 3)), known=False),
    Case("take", lambda x: x[_TAKEN], arrays((5, 3)), known=False),
    Case("fancy index", lambda x: x[_GRID] ** 2, arrays((3, 5)), known=False),
    Case("one entry", lambda x: x[1, 2], arrays((3, 5)), known=False),
    Case("set", lambda x, y: x.at[1].set(y), arrays((5, 3), (3,)), (0, 1), known=False),
    Case("scatter-add", lambda x: jnp.zeros((3, 2)).at[np.array([0, 2, 0, 1, 2])].add(x), arrays((5, 2)), known=False),
    Case("dynamic slice", lambda x: lax.dynamic_slice(x, (1, 2), (2, 3)), arrays((5, 7)), known=False),
    Case("index by argmax", lambda x: x[jnp.argmax(x)] * x, arrays((5,)), known=False),
    Case("diagonal", jnp.diagonal, arrays((5, 5)), known=False),
    Case("diag", lambda x: jnp.diag(jnp.sin(x)), arrays((5,)), known=False),
    Case("lower triangle", jnp.tril, arrays((5, 3)), known=False),
    Case("broadcast", lambda x: jnp.broadcast_to(x, (3, 5, 2)), arrays((5, 2))),
    Case("size-one axes", lambda x: x.reshape(1, 5, 1).sum(0) * 3, arrays((5,))),
]  # fmt: skip

_MLP, _mlp_args = network((3, 5, 2), 7, "columns")
_ROWS, _rows_args = network((3, 5, 2), 7, "rows", activation="relu")
_DEEP, _deep_args = network(
    (2, 3, 5, 3, 2), 3, "rows", activation="gelu", final_activation="softmax"
)

NETWORKS = [
    Case("MLP, columns, by X", _MLP, _mlp_args, 1),
    Case("MLP, columns, by parameters", _MLP, _mlp_args, 0),
    Case("MLP, rows, by both", _ROWS, _rows_args, (0, 1)),
    Case("deep MLP", _DEEP, _deep_args, (0, 1)),
    Case("W2 tanh(W1 X)", lambda W1, W2, X: W2 @ jnp.tanh(W1 @ X), arrays((5, 3), (2, 5), (3, 7)), (0, 1, 2)),
    Case("squared error", lambda W, X, Y: 0.5 * jnp.sum((W @ X - Y) ** 2), arrays((5, 3), (3, 7), (5, 7)), (0, 1, 2)),
    Case("cross-entropy", lambda Z: chains.cross_entropy(Z, jnp.full((5, 3), 0.2), samples="columns"), arrays((5, 3))),
    Case("layer norm", layer_norm, arrays((5, 3), (3,), (3,)), (0, 1, 2)),
    Case("batch norm", partial(_normalised, axis=0), arrays((5, 3))),
    Case("RMS norm", rms_norm, arrays((5, 3), (3,)), (0, 1)),
    Case("attention", attention, arrays((5, 3), (7, 3), (7, 2)), (0, 1, 2)),
    Case("multi-head attention", multi_head, arrays((5, 3), (3, 3, 2, 2)), (0, 1), known=False),
    Case("pairwise Hessian", energy_gradient, arrays((5, 2))),
    Case("RBF kernel", rbf, arrays((5, 2), (3, 2)), (0, 1)),
    Case("cosine similarity", lambda x, y: x @ y / jnp.linalg.norm(x) / jnp.linalg.norm(y), arrays((5,), (5,)), (0, 1)),
    Case("residual block", lambda x, W: x + jnp.tanh(x @ W) @ W.T, arrays((5, 3), (3, 2)), (0, 1)),
    Case("weight sharing", lambda W, x: W @ jnp.tanh(W @ jnp.tanh(W @ x)), arrays((3, 3), (3,)), (0, 1)),
    Case("gradient of a loss", lambda W: jax.grad(lambda V: jnp.sum(jnp.tanh(V @ V.T)))(W), arrays((3, 2))),
    Case("vmapped", lambda X, A: jax.vmap(lambda x: jnp.tanh(A @ x))(X), arrays((5, 3), (2, 3)), (0, 1)),
    Case("mixer", lambda x, A, B: (jnp.tanh(A @ x) @ B).reshape(2, -1), arrays((5, 3), (4, 5), (3, 7)), (0, 1)),
]  # fmt: skip

STRUCTURES = [
    Case("constant", lambda x: jnp.ones((2, 3)), arrays((5,))),
    Case("untouched input", lambda x, y: jnp.sin(x), arrays((5,), (3, 2)), (0, 1)),
    Case("Python float", lambda s: s * jnp.arange(3.0), lambda rng: (0.7,)),
    Case("Python float, alone", lambda s: s**2, lambda rng: (0.7,)),
    Case("Python float beside an array", lambda x, s: jnp.sin(x) * s, lambda rng: (jnp.arange(1.0, 4.0, dtype=F32), 0.7), (0, 1), rounding="float32"),
    Case("NumPy array", lambda x: jnp.sin(x), lambda rng: (rng.standard_normal((5,)),)),
    Case("Python float output", lambda x: (x.sum(), 3.0), arrays((5,))),
    Case("tuple output", lambda x, y: (x @ y, x, (y * 2).sum()), arrays((5, 3), (3,)), (0, 1)),
    Case("dict output", lambda x: {"b": x**2, "a": [x.sum(), None], "c": ()}, arrays((5,))),
    Case("nested input", lambda p, x: {"y": p["W"][0] @ x + p["b"]["c"], "z": p["W"][1]}, tree(lambda n: ({"W": (n(5, 3), n(2,)), "b": {"c": n(5), "unused": n()}, "none": None}, n(3))), (0, 1)),
    Case("nested input, alone", lambda p: p[0] * p[1]["s"], tree(lambda n: ([n(3), {"s": n()}],))),
    Case("empty pytree", lambda p, x: x, tree(lambda n: ({}, n(3))), (0, 1)),
    Case("scalar", jnp.sin, arrays(())),
    Case("scalar to vector", lambda s: s * jnp.arange(3.0), arrays(())),
    Case("one entry to scalar", lambda x: x.sum(), arrays((1,))),
    Case("one by one", lambda x: x @ x, arrays((1, 1))),
    Case("one entry out", lambda x: (x @ x)[None, None], arrays((5,))),
    Case("zero-size input", lambda x: jnp.sin(x) * 2, arrays((0, 3))),
    Case("zero-size input, summed", lambda x, y: x.sum(0) + y, arrays((0, 3), (3,)), (0, 1)),
    Case("zero-size contraction", lambda A, B: A @ B, arrays((5, 0), (0, 3)), (0, 1)),
    Case("zero-size output", lambda x: x[:0], arrays((5,)), known=False),
    Case("zero-size output, dot", lambda x, A: A @ x, arrays((5,), (0, 5)), (0, 1)),
    Case("negative argnums", lambda x, y: x * y.sum(), arrays((5,), (3,)), -1),
    Case("other arguments", _int_mask, _int_args),
    Case("key argument", lambda x, key: x * jax.random.normal(key, x.shape), _keyed),
    Case("random closure", _dropout, arrays((5, 3))),
]  # fmt: skip

LINEAR_ALGEBRA = [
    Case("inverse", jnp.linalg.inv, dominant(3), known=False),
    Case("solve", jnp.linalg.solve, dominant(3, (3, 2)), (0, 1), known=False),
    Case("Cholesky", lambda A: jnp.linalg.cholesky(A @ A.T), dominant(3), known=False),
    Case("determinant", jnp.linalg.det, dominant(3), known=False),
    Case("log-determinant", lambda A: jnp.linalg.slogdet(A)[1], dominant(3), known=False),
    Case("eigenvalues", lambda A: jnp.linalg.eigvalsh(A + A.T), arrays((3, 3)), known=False),
    Case("eigh", lambda A: (lambda w, V: V @ jnp.diag(jnp.exp(w)) @ V.T)(*jnp.linalg.eigh(A + A.T)), arrays((3, 3)), known=False),
    Case("singular values", lambda A: jnp.linalg.svd(A, compute_uv=False), arrays((5, 3)), known=False),
    Case("QR", lambda A: jnp.linalg.qr(A)[1], arrays((5, 3)), known=False),
    Case("triangular solve", lambda A, b: jax.scipy.linalg.solve_triangular(A, b, lower=True), dominant(3, (3, 2)), (0, 1), known=False),
    Case("least squares by normal equations", lambda A, b: jnp.linalg.solve(A.T @ A, A.T @ b), arrays((5, 3), (5,)), (0, 1), known=False),
    Case("matrix exponential", jax.scipy.linalg.expm, arrays((2, 2)), known=False),
]  # fmt: skip

_reverse_only = ("auto", "reverse")
_forward_only = ("auto", "forward")

PROGRAMS = [
    Case("convolution", convolve, arrays((2, 3, 5, 4), (2, 3, 3, 2)), (0, 1), known=False),
    Case("1-D convolution", partial(jnp.convolve, mode="full"), arrays((5,), (3,)), (0, 1), known=False),
    Case("mean pool", lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 3), (1, 2), "VALID"), arrays((5, 7)), known=False),
    Case("max pool", lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 3), (1, 2), "VALID"), arrays((5, 7)), known=False),
    Case("power spectrum", lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2, arrays((7,)), known=False),
    Case("filter by FFT", lambda x, h: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(h), n=7), arrays((7,), (7,)), (0, 1), known=False),
    Case("scan", recurrent, arrays((3, 3), (3,), (5, 3)), (0, 1, 2), known=False),
    Case("fori loop", lambda x: lax.fori_loop(0, 4, lambda n, s: jnp.sin(s) * x, x), arrays((3,)), known=False),
    Case("associative scan", lambda x: lax.associative_scan(jnp.multiply, x), arrays((5,)), known=False),
    Case("map", lambda x: lax.map(lambda row: jnp.outer(row, row), x), arrays((3, 2)), known=False),
    Case("cond", lambda x, y: lax.cond(x.sum() > y.sum(), lambda: x * y, lambda: jnp.tanh(y)), arrays((5,), (5,)), (0, 1), known=False),
    Case("switch", lambda x: lax.switch(1, [jnp.sin, lambda x: x * x[::-1], jnp.cos], x), arrays((5,)), known=False),
    Case("while", halving, arrays((5,)), orders=_forward_only, known=False),
    Case("while between matmuls", lambda A, x: A @ halving(A.T @ x), arrays((5, 3), (5,)), (0, 1), orders=_forward_only, known=False),
    Case("remat", _remat, arrays((5, 3), (3,)), (0, 1)),
    Case("nested jit", jax.jit(lambda x, W: jax.jit(jnp.tanh)(x @ W) * x.sum()), arrays((5, 3), (3, 2)), (0, 1)),
    Case("custom JVP", lambda x: doubled_slope(x) * x, arrays((5,))),
    Case("custom JVP, twice", lambda x: jax.vmap(doubled_slope)(doubled_slope(x)), arrays((5,))),
    Case("custom VJP", clipped_backward, arrays((5,), (3,)), (0, 1), orders=_reverse_only, known=False),
    Case("custom VJP inside", lambda x, W: jnp.tanh(clipped_backward(jnp.sin(x), x @ W) @ W.T), arrays((5,), (5, 3)), (0, 1), orders=_reverse_only, known=False),
    Case("custom VJP before a scan", lambda x, y: lax.scan(lambda s, r: (s + r, s @ r), x, clipped_backward(y, x)), arrays((3,), (5,)), (0, 1), orders=_reverse_only, known=False),
    Case("polynomial", lambda c, x: jnp.polyval(c, x), arrays((5,), (3,)), (0, 1), known=False),
    Case("interpolation", lambda x, y: jnp.interp(jnp.array([0.2, 1.7]), x, y), lambda rng: (jnp.array([0.0, 1.0, 2.5]), jnp.asarray(rng.standard_normal(3))), (0, 1), known=False),
]  # fmt: skip

DTYPES = [
    Case("float32", lambda W, X: jnp.tanh(W @ X), arrays((5, 3), (3, 2), dtype=F32), (0, 1)),
    Case("float16", lambda W, X: jnp.tanh(W @ X), arrays((5, 3), (3, 2), dtype=F16), (0, 1)),
    Case("bfloat16", lambda W, X: jnp.tanh(W @ X), arrays((5, 3), (3, 2), dtype=BF16), (0, 1)),
    Case("float32, no factor", lambda x: -x.T + x.sum(), arrays((5, 3), dtype=F32)),
    Case("float32 sums", lambda x: 0.1 * (x - x.mean()), arrays((5,), dtype=F32)),
    Case("float32 with float64", lambda x, y: jnp.sin(x) * y, lambda rng: (jnp.asarray(rng.standard_normal(5), F32), jnp.asarray(rng.standard_normal(5))), (0, 1), rounding="float32"),
    Case("down and up", lambda x: jnp.sin(x.astype(F32)).astype(F64) * x, arrays((5,)), rounding="float32"),
    Case("cast output", lambda x: (x**2).astype(F32), arrays((5,)), rounding="float32"),
    Case("float32 to float64", lambda x: (x**2).astype(F64), arrays((5,), dtype=F32), rounding="float32"),
    Case("complex, holomorphic", lambda z, w: jnp.exp(z) * w + z.sum(), complexes((5,), (5,)), (0, 1), holomorphic=True),
    Case("complex matmul", lambda A, B: (2 + 1j) * A @ B, complexes((5, 3), (3, 2)), (0, 1), holomorphic=True),
    Case("complex64", lambda z: z @ z.T, complexes((3, 2), dtype=C64), holomorphic=True),
    Case("complex FFT", lambda z: jnp.fft.fft(z) ** 2, complexes((5,)), holomorphic=True, known=False),
    Case("complex inside", _states, arrays((3,)), known=False),
    Case("complex through real", _through_real, arrays((3,)), known=False),
    Case("complex phase", lambda x: jnp.angle(jnp.exp(1j * x) + 2 * x), arrays((3,)), known=False),
    Case("complex matrix inside", lambda x: jnp.real((jnp.array([[1j, 2.0], [3.0, 1 - 1j], [0.5, 2j]]) @ (x + 1j * x[::-1])) ** 2), arrays((2,)), known=False),
]  # fmt: skip

CASES = [
    *CONTRACTIONS,
    *ELEMENTWISE,
    *REDUCTIONS,
    *SHAPES,
    *NETWORKS,
    *STRUCTURES,
    *LINEAR_ALGEBRA,
    *PROGRAMS,
    *DTYPES,
]
