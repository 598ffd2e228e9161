"""Hessians that are symmetric in every bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import hessian
from tests.oracle import OPTIMIZED

RANDOM = np.random.default_rng(11)


def drawn(*shape):
    return jnp.asarray(RANDOM.normal(size=shape))


X, Y, R = drawn(61, 13), drawn(61), drawn(7, 11)


def logistic(w, b):
    z = X @ w + b
    return jnp.mean(jnp.logaddexp(0.0, z) - jax.nn.sigmoid(Y) * z)


def factors(U, V):
    return jnp.sum((U @ V.T - R) ** 2)


def network(W, v):
    """Nothing but its being a function shows that its second derivatives are symmetric."""
    return jnp.mean((jax.nn.gelu(X @ W) @ v - Y) ** 2)


def kernel(scale, noise):
    """Half the negative log likelihood of a Gaussian process."""
    apart = ((X[:9, None] - X[None, :9]) ** 2 * jnp.exp(scale)[None, None]).sum(-1)
    K = jnp.exp(-apart) + jnp.exp(noise) * jnp.eye(9)
    return Y[:9] @ jnp.linalg.solve(K, Y[:9]) / 2 + jnp.linalg.slogdet(K)[1] / 2


def forces(P, charges):
    """An energy of pairs, each a product that a compiler fuses with its mirror image."""
    distances = jnp.sqrt(((P[:, None] - P[None]) ** 2).sum(-1) + jnp.eye(7))
    return jnp.sum(charges[:, None] * charges[None] / distances)


CASES = [
    (logistic, (drawn(13), drawn())),
    (factors, (drawn(7, 3), drawn(11, 3))),
    (network, (drawn(13, 5), drawn(5))),
    (kernel, (drawn(13), drawn())),
    (forces, (drawn(7, 3), drawn(7))),
]


@pytest.mark.parametrize(("function", "args"), CASES, ids=lambda it: getattr(it, "__name__", ""))
@pytest.mark.parametrize("structured", [False, True])
def test_blocks_are_turned_exactly(function, args, structured):
    """`H_ij` is `H_jiᵀ`, and `H_ii` its own transpose, to the last bit, compiled too."""
    found = hessian(function, (0, 1), structured=structured)(*args)
    compiled = jax.jit(hessian(function, (0, 1)))(*args)
    wanted = jax.hessian(function, (0, 1))(*args)
    for i, first in enumerate(args):
        for j, second in enumerate(args):
            blocks = [found[i][j], found[j][i]]
            block, other = [b.dense() if structured else b for b in blocks]
            np.testing.assert_allclose(block, wanted[i][j], atol=1e-10)
            sides = first.size, second.size
            np.testing.assert_array_equal(block.reshape(sides), other.reshape(sides[::-1]).T)
            block, other = compiled[i][j], compiled[j][i]
            np.testing.assert_array_equal(block.reshape(sides), other.reshape(sides[::-1]).T)


def test_a_rule_of_the_users_own_need_not_be_symmetric():
    """What JAX gives is given, where a derivative rule is none of a derivative."""

    @jax.custom_jvp
    def odd(x):
        return x

    odd.defjvps(lambda tangent, ans, x: tangent * x[::-1])
    x = drawn(5)

    def energy(x):
        return jnp.sum(odd(x) ** 3 * jnp.arange(1.0, 6.0))

    wanted = jax.hessian(energy)(x)
    assert not np.allclose(wanted, wanted.T)
    np.testing.assert_allclose(hessian(energy)(x), wanted, atol=1e-12)


def by_one_triangle(A):
    return Y[:4] @ jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(A), Y[4:8])


def by_eigenvectors(A):
    return jnp.sum(X[:4, :4] * jax.lax.linalg.eigh(A, symmetrize_input=False)[0] ** 2)


def by_conjugate_gradients(A):
    starts = jnp.stack([Y[4:8], Y[8:12]])
    solve = jax.vmap(lambda b: jax.scipy.sparse.linalg.cg(lambda v: A @ v, b, tol=1e-14)[0])
    return jnp.sum(solve(starts) @ Y[:4])


@pytest.mark.parametrize("function", [by_one_triangle, by_eigenvectors, by_conjugate_gradients])
def test_a_rule_for_symmetric_matrices_alone_need_not_be_symmetric(function):
    """JAX reads half of the matrix, or takes it for its transpose: its rules do not say so."""
    A = X[:4, :6] @ X[:4, :6].T + 4 * jnp.eye(4)
    wanted = jax.hessian(function)(A)
    asymmetric = not np.allclose(wanted.reshape(16, 16), wanted.reshape(16, 16).T, atol=1e-5)
    newer = jax.__version_info__ >= (0, 11)  # makes the first symmetric
    assert asymmetric or (newer and function is by_one_triangle)
    np.testing.assert_allclose(hessian(function)(A), wanted, atol=1e-10)


def apart(x):
    """Its terms stand at other places than their mirror images: only their sum is symmetric."""
    table = jnp.array([3, 1, 0, 2, 5, 4])
    return (x[table] ** 2 * x).sum() + jnp.exp(x[::-1] * x * x[table]).sum()


def among_others(x):
    """Shifts beside an outer product, of which neither is symmetric alone."""
    shifted = sum((jnp.sin(x[n:]) * x[:-n] ** 2).sum() for n in (1, 2, 3))
    return shifted + jnp.tanh(x[2:] * x[:-2]).sum() * x.sum()


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("function", [apart, among_others])
def test_terms_that_are_symmetric_together_alone(function, structured):
    x = drawn(6)
    found = hessian(function, structured=structured)(x)
    if not structured:
        np.testing.assert_array_equal(found, found.T)
    found = found.dense() if structured else found
    np.testing.assert_allclose(found, jax.hessian(function)(x), atol=1e-12)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def lagged(x):
    return (jnp.tanh(x[5:]) * jnp.exp(x[:-5]) * x[2:-3]).sum()


def neighbours(x):
    grid = x.reshape(10, 30)
    return (jnp.tanh(grid[1:, :-1]) * jnp.exp(grid[:-1, 1:])).sum()


@pytest.mark.parametrize("function", [rosenbrock, lagged, neighbours])
def test_shifts_are_paired_with_the_opposite_ones(function):
    """Few entries: they are compared, not the whole array with its mirror image."""
    x = drawn(300).astype(jnp.float32)
    program = jax.jit(hessian(function))
    assert "cond" not in str(jax.make_jaxpr(program)(x))
    found = program.lower(x).compile(OPTIMIZED)(x)
    np.testing.assert_array_equal(found, found.T)
    wide = x.astype(float)
    np.testing.assert_allclose(found, jax.hessian(function)(wide), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(program(wide), jax.hessian(function)(wide), rtol=1e-11, atol=1e-11)


def test_a_vector_valued_function_keeps_its_own_axes():
    """Its second derivatives are no square matrix, and nothing is turned."""

    def function(x):
        return jnp.outer(jnp.sin(x[:3]), x).sum(1)

    x = drawn(5)
    np.testing.assert_allclose(hessian(function)(x), jax.hessian(function)(x), atol=1e-12)


@pytest.mark.parametrize("narrow", [jnp.float32, jnp.bfloat16])
def test_blocks_have_the_dtype_of_their_gradient(narrow):
    """As `jax.hessian` has it, which pushes forward: the first argument's, not the second's."""

    def energy(a, b):
        return jnp.sum(a.astype(float) * b) ** 3

    a, b = drawn(3).astype(narrow), drawn(3)
    found, wanted = (of(energy, (0, 1))(a, b) for of in (hessian, jax.hessian))
    for row, its in zip(found, wanted, strict=True):
        assert [block.dtype for block in row] == [block.dtype for block in its]
        np.testing.assert_allclose(row, its, rtol=1e-5)


def test_symmetric_as_the_compiler_fuses_it():
    def loss(Z):
        centred = Z - Z.mean(0, keepdims=True)
        covariance = centred.T @ centred / 19
        spread = jax.nn.relu(1 - jnp.sqrt(jnp.diag(covariance) + 1e-4)).sum()
        return spread + (covariance**2).sum() - (jnp.diag(covariance) ** 2).sum()

    Z = jnp.asarray(np.random.default_rng(0).standard_normal((20, 8)), jnp.float32)
    wanted = jax.hessian(loss)(Z.astype(float))
    alone = jax.jit(hessian(loss)).lower(Z).compile(OPTIMIZED)(Z)
    batch = jnp.stack([Z, 2 * Z])
    first, _ = jax.jit(jax.vmap(hessian(loss))).lower(batch).compile(OPTIMIZED)(batch)
    for found in (alone, first):
        np.testing.assert_array_equal(found, found.transpose(2, 3, 0, 1))
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
