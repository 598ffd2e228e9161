# ruff: noqa: E501 - a row is one line
"""Every public function of JAX's array modules, each with a call to differentiate.

A row is an expression in `f`, the function itself, and in drawn arrays: those that stand in it are
what the call is differentiated by. Names that JAX cannot differentiate stand in tables of their own,
with a call that shows why.
"""

import ast
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any, get_origin

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
from jax import lax

MODULES: dict[str, ModuleType] = {
    "jnp": jnp,
    "nn": jax.nn,
    "special": jax.scipy.special,
    "linalg": jnp.linalg,
    "lax": lax,
    "fft": jnp.fft,
}

# Of either sign, between -0.9 and 0.9.
SIGNED = {
    "s": (),
    "u": (5,),
    "v": (5,),
    "w": (3,),
    "M": (3, 5),
    "N": (3, 5),
    "B": (5, 2),
    "T": (2, 3, 5),
    "Q": (1, 3, 2, 5),
    "K": (1, 7, 2, 5),
    "V": (1, 7, 2, 5),
    "I": (2, 3, 5, 4),
    "F": (2, 3, 3, 2),
}
# Between 0.2 and 0.9.
POSITIVE = {"a": (), "b": (), "x": (5,), "X": (3, 5), "Y": (3, 5)}
COMPLEX = {"z": (5,), "O": (3, 5)}
# Square and far from singular; C is complex.
SQUARE = {"S": (3, 3), "R": (3, 3), "C": (3, 3)}

VARIABLES = {**SIGNED, **POSITIVE, **COMPLEX, **SQUARE}


@cache
def variable(name: str) -> jax.Array:
    """The drawn array of a name, the same at every call."""
    rng = np.random.default_rng(sorted(VARIABLES).index(name))
    shape = VARIABLES[name]
    drawn = rng.uniform(0.2, 0.9, shape)
    if name in POSITIVE:
        return jnp.asarray(drawn)
    drawn = drawn * rng.choice([-1, 1], shape)
    if name in COMPLEX or name == "C":
        drawn = drawn + 1j * rng.uniform(-0.9, 0.9, shape)
    return jnp.asarray(drawn + 3 * np.eye(3) if name in SQUARE else drawn)


def parts(tree: Any) -> Any:
    """Complex arrays as pairs of real ones, which a real Jacobian exists of."""
    return jax.tree.map(lambda a: [jnp.real(a), jnp.imag(a)], tree)


def each(function: Callable, *arrays: jax.Array) -> Any:
    """A collective over the first axis, named i."""
    return jax.vmap(function, axis_name="i")(*arrays)


_DOT = (((1,), (0,)), ((), ()))
_RAGGED = lax.RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), [0], [0])
_ROWS = lax.GatherDimensionNumbers((1,), (0,), (0,))
_INTO = lax.ScatterDimensionNumbers((1,), (0,), (0,))
_PLACES = np.array([[2], [0]])
_COMPOSITE = partial(lax.composite, name="project.twice")
NAMES = {
    "np": np,
    "jnp": jnp,
    "jax": jax,
    "lax": lax,
    "parts": parts,
    "each": each,
    "i": jnp.array([3, 1, 2, 0, 2]),
    "j": jnp.array([1, 2, 0, 3, 1]),
    "taken": np.array([2, 0, 2, 1]),
    "mask": np.array([True, False, True, True, False]),
    "grid": np.array([[0, 2, 1, 2, 0]]),
    "knots": np.linspace(-1, 1, 4),
    "DOT": _DOT,
    "RAGGED": _RAGGED,
    "ROWS": _ROWS,
    "INTO": _INTO,
    "PLACES": _PLACES,
    "COMPOSITE": _COMPOSITE,
}

Calls = str | tuple[str, ...]


def _rows(call: str, names: str) -> dict[str, Calls]:
    return dict.fromkeys(names.split(), call)


DIFFERENTIABLE: dict[str, dict[str, Calls]] = {
    "jnp": {
        **_rows(
            "f(M)",
            """abs absolute acos arccos arcsin asin arcsinh asinh arctan atan arctanh atanh around
            array asarray atleast_1d cbrt ceil copy cos cosh deg2rad degrees exp exp2 expm1
            fabs floor i0 imag matrix_transpose max mean median min nan_to_num nanmax nanmean nanmedian nanmin
            negative ones_like empty_like positive prod ptp rad2deg radians ravel real rint round
            sign sin sinc sinh square std sum tan tanh transpose trunc unstack var zeros_like""",
        ),
        **_rows("f(X)", "log log10 log1p log2 reciprocal sqrt"),
        **_rows("f(1 + X)", "acosh arccosh"),
        **_rows(
            "f(M, N)",
            """add append arctan2 atan2 copysign divide floor_divide fmax fmin fmod heaviside hypot inner
            logaddexp logaddexp2 maximum minimum mod multiply outer remainder subtract true_divide vdot
            vecdot divmod""",
        ),
        **_rows("f(X, Y)", "float_power pow power"),
        **_rows("f(M, axis=1)", "amax amin minmax nanprod nanstd nansum nanvar"),
        **_rows("f(M, axis=1)", "cumprod cumsum nancumprod nancumsum cumulative_prod cumulative_sum"),
        **_rows("f([M, N])", "column_stack dstack hstack vstack"),
        **_rows("f(M.T, 2)", "array_split"),
        **_rows("f(u, w)", "convolve correlate polyadd polysub polymul polydiv"),
        **_rows("f(s, a, 4)", "linspace"),
        **_rows("f(a, b, 4)", "geomspace logspace"),
        **_rows("f(M, B)", "dot matmul"),
        "angle": ("f(z)", "f(M)"),
        "apply_along_axis": "f(lambda r: r * r.sum(), 1, M)",
        "apply_over_axes": "f(jnp.sum, T, (0, 2))",
        "astype": ("f(M, jnp.float64)", "f(M, jnp.float32)"),
        "atleast_2d": "f(u)",
        "atleast_3d": "f(M)",
        "average": "f(M, axis=1, weights=x)",
        "bincount": "f(taken, weights=u[:4], length=4)",
        "block": "f([[M, N], [N, M]])",
        "broadcast_arrays": "f(M, w[:, None])",
        "broadcast_to": "f(M, (2, 3, 5))",
        "choose": "f(np.array([0, 1, 1, 0, 1]), [u, v])",
        "clip": ("f(M, -0.3, 0.4)", "f(u, -x, v)"),
        "compress": "f(mask, M, axis=1)",
        "concat": "f([M, N], axis=1)",
        "concatenate": ("f([M, N], axis=0)", "f([u, w], axis=None)"),
        "conj": ("f(M)", "parts(f(O))"),
        "conjugate": ("f(M)", "parts(f(O))"),
        "corrcoef": "f(M)",
        "cov": ("f(M)", "f(u, v)"),
        "cross": "f(M.T, N.T)",
        "delete": "f(u, 1)",
        "diag": ("f(u, k=1)", "f(M, k=-1)"),
        "diagflat": "f(w, k=-1)",
        "diagonal": "f(T, 1, 0, 2)",
        "diff": ("f(M, n=2, axis=1)", "f(M, prepend=w[:, None])"),
        "dsplit": "f(T, [2])",
        "ediff1d": "f(u)",
        "einsum": ("f('ij,jk->ki', M, B)", "f('aij,jk,i->ak', T, B, w)", "f('ii->i', S)", "f('ij,ij,ij', M, N, M)"),
        "expand_dims": "f(M, (0, 2))",
        "extract": "f(mask, u)",
        "fill_diagonal": "f(S, w, inplace=False)",
        "flip": "f(T, axis=(0, 2))",
        "fliplr": "f(M)",
        "flipud": "f(M)",
        "frexp": "f(X)[0]",
        "frompyfunc": "f(lambda p, q: p * jnp.sin(q), nin=2, nout=1)(M, N)",
        "full": "f((3, 2), s)",
        "full_like": "f(M, s)",
        "gradient": ("f(M)", "f(u, 0.3)"),
        "histogram": "f(u, bins=3, weights=v)",
        "histogram2d": "f(u, v, bins=(2, 3), weights=x)",
        "histogram_bin_edges": "f(u, bins=3)",
        "histogramdd": "f(B, bins=(2, 3), weights=x)",
        "hsplit": "f(M, [2, 3])",
        "identity": "f(3) * s",
        "insert": "f(M, 2, w, axis=1)",
        "interp": ("f(v, knots, u[:4])", "f(v, jnp.sort(u), x)"),
        "intersect1d": "f(jnp.concatenate([u, w]), u, size=5)",
        "kaiser": "f(5, a)",
        "kron": "f(M, B)",
        "ldexp": "f(u, i)",
        "matvec": "f(M, u)",
        "meshgrid": "f(u, w)",
        "modf": "f(3 * M)",
        "moveaxis": "f(T, 0, 2)",
        "nanpercentile": "f(M, 30.0, axis=1)",
        "nanquantile": "f(M, 0.3, axis=1)",
        "pad": (
            "f(M, ((1, 2), (0, 3)))",
            "f(M, 2, mode='reflect')",
            "f(M, 1, mode='edge')",
            "f(M, 2, mode='wrap')",
            "f(u, 2, mode='linear_ramp')",
            "f(u, 2, mode='mean')",
        ),
        "partition": "f(M, 2, axis=1)",
        "percentile": ("f(M, 30.0, axis=1)", "f(u, 100 * x)"),
        "permute_dims": "f(T, (2, 0, 1))",
        "piecewise": "f(u, [u < 0, u >= 0], [jnp.sin, lambda t: t**2])",
        "place": "f(M, M > 0, v, inplace=False)",
        "poly": "f(w)",
        "polyder": "f(u, 2)",
        "polyfit": "f(knots, u[:4], 2)",
        "polyint": "f(u, 2)",
        "polyval": "f(w, u)",
        "put": "f(u, taken[1:], w, inplace=False)",
        "put_along_axis": "f(M, grid, v[None], 0, inplace=False)",
        "quantile": ("f(M, 0.3, axis=1)", "f(M, 0.3, method='nearest')"),
        "repeat": ("f(M, 2, axis=1)", "f(u, np.array([1, 0, 2, 1, 3]), total_repeat_length=7)"),
        "reshape": ("f(M, (5, 3))", "f(T, (6, 5))", "f(M, (5, 3), order='F')"),
        "resize": "f(M, (4, 2))",
        "roll": ("f(M, 2, axis=1)", "f(M, (1, 2), axis=(0, 1))", "f(M, 4)"),
        "rollaxis": "f(T, 2)",
        "roots": "parts(f(w, strip_zeros=False))",
        "rot90": "f(M, 3)",
        "select": "f([u > 0.3, v > 0], [u, 2 * v], s)",
        "setdiff1d": "f(u, v, size=7)",
        "setxor1d": "f(u, v, size=11)",
        "sort": ("f(M)", "f(M, axis=0, descending=True)"),
        "sort_complex": "parts(f(u))",
        "split": "f(M, [2, 3], axis=1)",
        "squeeze": "f(M[None], 0)",
        "stack": "f([M, N], axis=1)",
        "swapaxes": "f(T, 0, 2)",
        "take": ("f(M, taken, axis=0)", "f(M, i)"),
        "take_along_axis": "f(M, grid, axis=0)",
        "tensordot": ("f(T, M, axes=[(1, 2), (0, 1)])", "f(w, B, axes=0)"),
        "tile": "f(M, (2, 3))",
        "top_k": "f(M, 2)[0]",
        "trace": "f(T, axis1=1, axis2=2)",
        "trapezoid": ("f(M, axis=0)", "f(u, x)"),
        "tril": "f(M, k=1)",
        "triu": "f(T)",
        "trim_zeros": "f(u)",
        "union1d": "f(u, v, size=7)",
        "unique": "f(jnp.concatenate([u, u]), size=7)",
        "unique_all": "f(u, size=5).values",
        "unique_counts": "f(u, size=5).values",
        "unique_inverse": "f(u, size=5).values",
        "unique_values": "f(u, size=5)",
        "unwrap": "f(9 * M)",
        "vander": "f(w, 5)",
        "vecmat": "f(w, M)",
        "vectorize": "f(lambda r: r * r.sum(), signature='(n)->(n)')(M)",
        "vsplit": "f(B, [2])",
        "where": ("f(M > N, M, N)", "f(mask[None], M, s)"),
    },
    "nn": {
        **_rows(
            "f(M)",
            """celu elu gelu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu log_sigmoid
            log_softmax logmeanexp logsumexp mish relu relu6 selu sigmoid silu soft_sign softmax
            softplus sparse_plus sparse_sigmoid squareplus standardize swish tanh""",
        ),
        "dot_product_attention": ("f(Q, K, V)", "f(Q, K, V, is_causal=True, scale=0.3)"),
        "glu": "f(B)",
        "scaled_dot_general": "f(T, T, (((2,), (2,)), ((0,), (0,))), jnp.float64)",
        "log1mexp": "f(X)",
    },
    "special": {
        **_rows(
            "f(M)",
            """dawsn erf erfc erfcx erfinv expi expit exp1 factorial fresnel gammasgn i0 i0e i1 i1e log_ndtr
            log_softmax logsumexp ndtr sici softmax""",
        ),
        **_rows("f(X)", "digamma entr exp1 factorial gamma gammaln logit loggamma ndtri spence erfcinv expi"),
        **_rows("f(X, Y)", "beta betaln boxcox boxcox1p comb kl_div owens_t poch rel_entr xlog1py xlogy"),
        **_rows("f(1 + X, Y)", "gammainc gammaincc"),
        "bessel_jn": "f(u, v=2)",
        "betainc": "f(0.7, 1.3, X)",
        "expn": "f(2, X)",
        "hyp1f1": "f(x[:3], 1 + x[1:4], x[2:])",
        "hyp2f1": "f(x[:2], x[1:3], 1 + x[2:4], 0.3 * x[3:])",
        "multigammaln": "f(3 + X, 2)",
        "polygamma": "f(2, X)",
        "sph_harm_y": "parts(f(np.array([2, 3]), np.array([1, 0]), x[:2], 2 * x[3:], n_max=3))",
        "wofz": ("parts(f(z))", "parts(f(u))"),
        "zeta": "f(np.full(5, 1.5), x)",
    },
    "linalg": {
        **_rows("f(S)", "det diagonal inv matrix_norm matrix_transpose pinv slogdet trace"),
        **_rows("f(M)", "norm svdvals vector_norm"),
        "cholesky": "f(S @ S.T)",
        "cond": "f(M)",
        "cross": "f(M.T, N.T)",
        "eigh": "f(S @ S.T)",
        "eigvals": "parts(f(S))",
        "eigvalsh": "f(S @ S.T)",
        "lstsq": "f(M.T, u)[0]",
        "matmul": "f(M, B)",
        "matrix_power": ("f(S, 3)", "f(S, -2)"),
        "multi_dot": "f([M, B, B.T, M.T])",
        "outer": "f(u, w)",
        "qr": "f(M.T)",
        "solve": ("f(S, w)", "f(C, C @ C)"),
        "svd": ("f(M, compute_uv=False)", "f(M, full_matrices=False)"),
        "tensordot": "f(T, M, axes=[(1, 2), (0, 1)])",
        "tensorinv": "f(S, ind=1)",
        "tensorsolve": "f(S, w)",
        "vecdot": "f(M, N)",
    },
    "lax": {
        **_rows(
            "f(M)",
            """abs acos asin asinh atan atanh bessel_i0e bessel_i1e cbrt ceil cos cosh erf erf_inv
            erfc exp exp2 expm1 floor logistic neg optimization_barrier round sign sin sinh
            square stage stop_gradient tan tanh unstack one_minus_square""",
        ),
        **_rows("f(X)", "digamma lgamma log log1p log2 reciprocal rsqrt sqrt"),
        **_rows("f(M, N)", "add atan2 div max min mul rem sub"),
        **_rows("f(1 + X, Y)", "igamma igammac"),
        **_rows("f(M, axis=1)", "cumlogsumexp cummax cummin cumprod cumsum"),
        **_rows("f(M, (0,))", "reduce_max reduce_min reduce_prod reduce_sum"),
        **_rows("f(M, 2)[0]", "approx_max_k approx_min_k top_k"),
        **_rows("each(lambda r: f(r, 'i'), M)", "all_gather pmean psum"),
        **_rows("each(lambda r: f(r, 'i', [(0, 2), (1, 0), (2, 1)]), M)", "ppermute"),
        **_rows("each(lambda r: f(r, 'i', [2, 0, 1]), M)", "pshuffle"),
        **_rows("f(I, jnp.concatenate([F, F]), (2, 1), 'SAME')", "conv conv_general_dilated"),
        "acosh": "f(1 + X)",
        "all_to_all": "each(lambda r: f(r, 'i', 0, 0), S)",
        "associative_scan": ("f(jnp.multiply, u)", "f(jnp.matmul, jnp.stack([S, R, S]))"),
        "batch_matmul": "f(T, jnp.swapaxes(T, 1, 2))",
        "betainc": "f(jnp.full(5, 0.7), jnp.full(5, 1.3), x)",
        "broadcast": "f(M, (2,))",
        "broadcast_in_dim": "f(M, (3, 2, 5), (0, 2))",
        "broadcast_like": "f(w[:, None], np.zeros((3, 5)))",
        "broadcast_to_rank": "f(M, 4)",
        "clamp": "f(-x, u, x)",
        "collapse": "f(T, 1)",
        "complex": "parts(f(M, N))",
        "concatenate": "f([M, N], 0)",
        "cond": "f(u.sum() > 9, jnp.sin, lambda t: t * t[::-1], u)",
        "conj": "parts(f(O))",
        "conv_general_dilated_local": "f(T, I[:, :, :4].reshape(4, 6, 4), (1,), 'VALID', (2,))",
        "conv_general_dilated_patches": "f(I, (2, 2), (1, 2), 'SAME')",
        "conv_transpose": "f(T, jnp.stack([B, 2 * B]), (2,), 'SAME', dimension_numbers=('NHC', 'HIO', 'NHC'))",
        "conv_with_general_padding": "f(I, jnp.concatenate([F, F]), (1, 1), ((1, 0), (0, 2)), (1, 2), (2, 1))",
        "convert_element_type": ("f(M, jnp.float64)", "f(M, jnp.float32)"),
        "custom_linear_solve": "f(lambda t: S @ t, w, lambda mv, t: jnp.linalg.solve(S, t), lambda mv, t: jnp.linalg.solve(S.T, t))",
        "custom_root": "f(lambda t: t**3 + t - w, jnp.zeros(3), lambda g, t: lax.fori_loop(0, 60, lambda n, r: r - g(r) / (1 + 3 * r**2), t), lambda g, y: y / jax.jacfwd(g)(y).diagonal())",
        "dot": "f(M, B)",
        "dot_general": ("f(M, B, DOT)", "f(T, T, (((2,), (2,)), ((0,), (0,))))", "f(M, B, DOT, preferred_element_type=jnp.float64)"),
        "dynamic_index_in_dim": "f(M, i[0] - 2, 1)",
        "dynamic_slice": "f(M, (i[1], j[0]), (2, 3))",
        "dynamic_slice_in_dim": "f(M, i[0], 2, 1)",
        "dynamic_update_index_in_dim": "f(M, w, i[1], 1)",
        "dynamic_update_slice": "f(M, B[:2], (i[1], j[0]))",
        "dynamic_update_slice_in_dim": "f(M, B[:3], 1, 1)",
        "expand_dims": "f(M, (0,))",
        "fft": "parts(f(M, 'RFFT', (5,)))",
        "fori_loop": "f(0, 3, lambda n, t: jnp.sin(t) * u, u)",
        "full": "f((3, 2), s)",
        "full_like": "f(M, s)",
        "gather": "f(M, PLACES, ROWS, (1, 5))",
        "imag": "f(O)",
        "index_in_dim": "f(M, 2, 1)",
        "index_take": "f(M, (taken, taken), (0, 1))",
        "integer_pow": ("f(M, 3)", "f(X, -2)"),
        "map": "f(lambda r: jnp.outer(r, r), B)",
        "pad": ("f(M, 0.0, ((1, 2, 0), (-1, 0, 2)))", "f(M, s, ((1, 0, 0), (0, 2, 0)))"),
        "platform_dependent": "f(M, cpu=jnp.sin, default=jnp.sin)",
        "polygamma": "f(jnp.full((3, 5), 2.0), X)",
        "polynomial": "f(u, [s, a, b])",
        "pow": "f(X, Y)",
        "psum_scatter": "each(lambda r: f(r, 'i'), S)",
        "pswapaxes": "each(lambda r: f(r, 'i', 0), S)",
        "random_gamma_grad": "f(1 + x[:2], x[3:])",
        "real": "f(O)",
        "reduce": "f(M, 0.0, lax.add, (1,))",
        "reduce_precision": "f(M, 11, 52)",
        "reduce_window": ("f(M, 0.0, lax.add, (2, 3), (1, 2), 'VALID')", "f(M, -np.inf, lax.max, (2, 2), (1, 1), 'SAME')"),
        "reshape": "f(M, (5, 3))",
        "rev": "f(T, (0, 2))",
        "scan": "f(lambda c, r: (jnp.tanh(S @ c + r), c.sum()), w, jnp.outer(u, w))",
        "scatter": "f(M, PLACES, B.T, INTO)",
        "scatter_add": "f(M, np.array([[2], [2]]), B.T, INTO)",
        "scatter_max": "f(M, PLACES, B.T, INTO)",
        "scatter_min": "f(M, PLACES, B.T, INTO)",
        "scatter_mul": "f(M, PLACES, B.T, INTO, unique_indices=True)",
        "scatter_sub": "f(M, np.array([[2], [2]]), B.T, INTO)",
        "select": "f(M > N, M, N)",
        "select_n": "f(np.array([0, 1, 1, 0, 1], bool), u, v)",
        "slice": "f(M, (0, 1), (3, 5), (2, 3))",
        "slice_in_dim": "f(M, 1, 5, 2, 1)",
        "sort": ("f(M, dimension=0)", "f([u, v], num_keys=1)"),
        "sort_key_val": "f(u, v)",
        "split": "f(M, (2, 3), 1)",
        "squeeze": "f(M[None], (0,))",
        "stack": "f([M, N], 1)",
        "switch": "f(1, [jnp.sin, lambda t: t * t[::-1]], u)",
        "tile": "f(M, (2, 3))",
        "transpose": "f(T, (2, 0, 1))",
        "with_sharding_constraint": "f(M, jax.sharding.SingleDeviceSharding(jax.devices()[0]))",
        "while_loop": "f(lambda t: jnp.sum(t**2) > 0.1, lambda t: 0.5 * jnp.sin(t), u)",
    },
    "fft": {
        **_rows("f(M)", "fftshift ifftshift"),
        **_rows("f(O)", "fft fft2 fftn ifft ifft2 ifftn"),
        **_rows("parts(f(M))", "ihfft rfft rfft2 rfftn"),
        **_rows("f(O, n=7)", "hfft irfft"),
        **_rows("f(O)", "irfft2 irfftn"),
    },
}  # fmt: skip

# The output holds no floating-point array, so that there is nothing to differentiate.
WHOLE: dict[str, dict[str, str]] = {
    "jnp": {
        **_rows("f(M > 0)", "all any logical_not"),
        **_rows("f(M, N)", "allclose array_equal array_equiv equal greater greater_equal isclose isin less less_equal logical_and logical_or logical_xor not_equal result_type"),
        **_rows("f(M)", "argmax argmin argsort argwhere array_repr array_str count_nonzero flatnonzero iscomplex iscomplexobj isfinite isinf isnan isneginf isposinf isreal isrealobj isscalar iterable nanargmax nanargmin ndim nonzero shape signbit size tril_indices_from triu_indices_from"),
        **_rows("f(i, j)", "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor gcd ix_ lcm left_shift right_shift"),
        **_rows("f(i)", "bitwise_count bitwise_invert bitwise_not invert"),
        **_rows("f(mask)", "packbits"),
        "argpartition": "f(M, 2)",
        "diag_indices_from": "f(S)",
        "digitize": "f(u, knots)",
        "einsum_path": "f('ij,jk->ik', M, B)[1]",
        "lexsort": "f((u, v))",
        "ravel_multi_index": "f((i, j), (4, 4))",
        "searchsorted": "f(knots, u)",
        "unpackbits": "f(i.astype(np.uint8))",
        "unravel_index": "f(i, (2, 2))",
    },
    "nn": {},
    "special": {},
    "linalg": {"matrix_rank": "f(S)"},
    "lax": {
        **_rows("f(M, N)", "eq ge gt le lt ne"),
        **_rows("f(i, j)", "bitwise_and bitwise_or bitwise_xor shift_left shift_right_arithmetic shift_right_logical mulhi"),
        **_rows("f(i)", "bitwise_not clz population_count"),
        **_rows("f(i > 1, (0,))", "reduce_and reduce_or reduce_xor"),
        **_rows("f(M, 1, np.int32)", "argmax argmin"),
        "axis_index": "each(lambda r: f('i'), M)",
        "axis_size": "each(lambda r: f('i'), M)",
        "bitcast_convert_type": "f(M, np.int64)",
        "dtype": "f(M)",
        "is_finite": "f(M)",
        "shape_as_value": "f((3, 5))",
    },
    "fft": {},
}  # fmt: skip

# No argument is a floating-point array.
CONSTANT: dict[str, dict[str, str]] = {
    "jnp": {
        **_rows("f(5)", "arange bartlett blackman diag_indices eye hamming hanning ones tri tril_indices triu_indices zeros"),
        "broadcast_shapes": "f((3, 1), (1, 5))",
        "can_cast": "f(np.int8, np.int32)",
        "empty": "f((3, 2))",
        "frombuffer": "f(np.arange(3.0).tobytes(), float)",
        "fromfunction": "f(lambda m, n: m + 2 * n, (3, 5))",
        "fromstring": "f('1 2 3', sep=' ')",
        "get_printoptions": "f()",
        "indices": "f((3, 5))",
        "isdtype": "f(np.dtype(float), 'real floating')",
        "issubdtype": "f(float, np.inexact)",
        "mask_indices": "f(3, jnp.triu)",
        "printoptions": "f(precision=3)",
        "promote_types": "f(float, int)",
    },
    "nn": {"one_hot": "f(i, 4)"},
    "special": {"bernoulli": "f(5)"},
    "linalg": {},
    "lax": {
        "after_all": "f(lax.create_token())",
        "broadcast_shapes": "f((3, 1), (1, 5))",
        "broadcasted_iota": "f(float, (3, 5), 1)",
        "conv_dimension_numbers": "f((2, 3, 5, 4), (2, 3, 3, 2), None)",
        "conv_general_permutations": "f(('NCHW', 'OIHW', 'NCHW'))",
        "conv_general_shape_tuple": "f((2, 3, 5, 4), (2, 3, 3, 2), (1, 1), 'SAME', ('NCHW', 'OIHW', 'NCHW'))",
        "conv_shape_tuple": "f((2, 3, 5, 4), (2, 3, 3, 2), (1, 1), 'SAME')",
        "conv_transpose_shape_tuple": "f((2, 3, 5, 4), (3, 2, 3, 2), (1, 1), 'SAME', ('NCHW', 'OIHW', 'NCHW'))",
        "create_token": "f()",
        "empty": "f((3, 2), float)",
        "iota": "f(float, 5)",
        "padtype_to_pads": "f((5, 4), (3, 2), (1, 1), 'SAME')",
        "reduce_window_shape_tuple": "f((5, 4), (3, 2), (1, 1), ((0, 0), (0, 0)))",
        "rng_bit_generator": "f(np.arange(4, dtype=np.uint32), (3,))",
    },
    "fft": {**_rows("f(5)", "fftfreq rfftfreq")},
}  # fmt: skip

# What JAX itself does not differentiate.
REFUSED: dict[str, dict[str, str]] = {
    "jnp": {
        "from_dlpack": "f(M)",
        "nextafter": "f(M, N)",
        "save": "f('/dev/null', M)",
        "savez": "f('/dev/null', M)",
        "spacing": "f(M)",
    },
    "nn": {
        "scaled_matmul": "f(T, T, T, T)",
    },
    "special": {},
    "linalg": {"eig": "f(S)"},
    "lax": {
        "composite": "COMPOSITE(lambda t: t * jnp.sin(t))(M)",
        "igamma_grad_a": "f(X, Y)",
        "nextafter": "f(M, N)",
        "pmax": "each(lambda r: f(r, 'i'), M)",
        "pmin": "each(lambda r: f(r, 'i'), M)",
        "ragged_dot": "f(B, jnp.stack([B.T, 2 * B.T]), np.array([3, 2]))",
        "ragged_dot_general": "f(B, jnp.stack([B.T, 2 * B.T]), np.array([3, 2]), RAGGED)",
        "rng_uniform": "f(s, a, (3,))",
        "scaled_dot": "f(M, B)",
        "scatter_apply": "f(M, PLACES, jnp.sin, INTO, update_shape=(2, 5))",
        "zeta": "f(jnp.full((3, 5), 1.5), X)",
    },
    "fft": {},
}

# JAX after 0.10 has rules for these.
if jax.__version_info__ > (0, 10, 2):
    for _module, _name in (("jnp", "nextafter"), ("jnp", "spacing"), ("lax", "nextafter")):
        DIFFERENTIABLE[_module][_name] = REFUSED[_module].pop(_name)

# What cannot be called here, and why.
OUTSIDE: dict[str, dict[str, str]] = {
    "jnp": {
        "fromfile": "reads a file; JAX has it only to raise",
        "fromiter": "JAX has it only to raise",
        "load": "reads a file",
        "set_printoptions": "changes the printing of the whole process",
    },
    "nn": {"get_scaled_dot_general_config": "describes a quantisation; takes no array"},
    "special": {},
    "linalg": {},
    "lax": {
        "dce_sink": "returns nothing",
        "pbroadcast": "has no lowering for CPUs",
        "pcast": "only within shard_map",
        "precv": "sends between devices",
        "psend": "sends between devices",
        "psum_scatter_start": "starts a transfer between devices",
        "ragged_all_to_all": "has no lowering for CPUs",
    },
    "fft": {},
}

# A loop whose length the values decide: JAX pushes tangents through it, and pulls nothing.
FORWARD_ONLY = {"lax.random_gamma_grad", "lax.while_loop"}

# The length of the output depends on values, so that JAX does not compile it.
EAGER = {"jnp.choose", "jnp.compress", "jnp.extract", "jnp.trim_zeros"}

# JAX computes a softmax in float32, whatever its inputs are.
SINGLE = {"nn.dot_product_attention"}

# Public in some of the supported versions of JAX only.
VERSIONED = {
    *("jnp.minmax", "jnp.top_k", "special.erfcinv"),
    *("lax.log2", "lax.one_minus_square", "lax.polynomial"),
    *("lax.precv", "lax.psend", "lax.psum_scatter_start"),
}


def public(module: str) -> list[str]:
    """The public functions of a module: callable, and neither a class nor a type's alias."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        members = {name: getattr(MODULES[module], name) for name in dir(MODULES[module])}
    for name, value in members.items():
        other = inspect.isclass(value) or inspect.ismodule(value) or get_origin(value) is not None
        if not name.startswith("_") and callable(value) and not other:
            found.append(name)
    return found


@dataclass(frozen=True)
class Call:
    """One expression of a public function.

    Attributes:
        module: a key of `MODULES`.
        name: of the function in it.
        text: the expression, in `f`, in drawn arrays and in `NAMES`.
    """

    module: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}: {self.text}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The drawn arrays that stand in the expression, in alphabetical order."""
        nodes = list(ast.walk(ast.parse(self.text, mode="eval")))
        bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
        names = {node.id for node in nodes if isinstance(node, ast.Name)} - bound
        return tuple(sorted(names & set(VARIABLES)))

    @property
    def args(self) -> tuple[jax.Array, ...]:
        """The drawn arrays."""
        return tuple(map(variable, self.variables))

    @property
    def function(self) -> Callable:
        """The expression as a function of the drawn arrays."""
        known = {"f": getattr(MODULES[self.module], self.name), **NAMES}
        return eval(f"lambda {', '.join(self.variables)}: {self.text}", known)

    @property
    def rounding(self) -> str:
        """The least exact dtype inside the function."""
        return "float32" if f"{self.module}.{self.name}" in SINGLE else "float64"

    @property
    def eager(self) -> bool:
        """Whether it runs on known values only."""
        return f"{self.module}.{self.name}" in EAGER

    @property
    def forward_only(self) -> bool:
        """Whether JAX has no pull-back of it."""
        return f"{self.module}.{self.name}" in FORWARD_ONLY


def calls(table: dict[str, dict[str, Any]]) -> list[Call]:
    """The calls of a table whose functions this version of JAX has."""
    return [
        Call(module, name, text)
        for module, rows in table.items()
        for name in sorted(rows.keys() & set(public(module)))
        for text in ((rows[name],) if isinstance(rows[name], str) else rows[name])
    ]
