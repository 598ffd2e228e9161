"""Second derivatives of losses: the Hessian itself, its Gauss-Newton part, a step that holds it."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.suite.case import Case, normal, same, standard


def quadratic_form(x: jax.Array, A: jax.Array) -> jax.Array:
    """`xᵀ A x`."""
    return x @ (A @ x)


def weighted_gram(X: jax.Array, weights: jax.Array) -> jax.Array:
    """`Xᵀ diag(w) X`, the left operand turned before it is weighted: the quick way on CPUs."""
    return (X.T * weights[None]) @ X


def logistic(w: jax.Array, X: jax.Array, signs: jax.Array) -> jax.Array:
    """The loss of a logistic regression."""
    return jax.nn.softplus(-signs * (X @ w)).sum()


def logistic_by_hand(w: jax.Array, X: jax.Array, signs: jax.Array) -> jax.Array:
    """`Xᵀ diag(p (1 - p)) X`."""
    p = jax.nn.sigmoid(X @ w)
    return weighted_gram(X, p * (1 - p))


def logistic_step(w: jax.Array, X: jax.Array, signs: jax.Array) -> jax.Array:
    """One step of gradient descent, as a learner of learners differentiates it."""
    return w - 0.1 * jax.grad(logistic)(w, X, signs)


def logistic_step_by_hand(w: jax.Array, X: jax.Array, signs: jax.Array) -> jax.Array:
    """One minus the step times the Hessian."""
    return same(w.size, w.dtype) - 0.1 * logistic_by_hand(w, X, signs)


def poisson(w: jax.Array, X: jax.Array, counts: jax.Array) -> jax.Array:
    """The loss of a Poisson regression."""
    predictor = X @ w
    return (jnp.exp(predictor) - counts * predictor).sum()


def poisson_by_hand(w: jax.Array, X: jax.Array, counts: jax.Array) -> jax.Array:
    """`Xᵀ diag(exp(X w)) X`."""
    return weighted_gram(X, jnp.exp(X @ w))


def cross_entropy(W: jax.Array, X: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss of a linear classifier: W is class × feature, X is sample × feature."""
    scores = X @ W.T
    chosen = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(scores, axis=1) - chosen).sum()


def cross_entropy_by_hand(W: jax.Array, X: jax.Array, labels: jax.Array) -> jax.Array:
    """`Σ_n (δ[c,d] p[n,c] - p[n,c] p[n,d]) X[n,i] X[n,j]`, each pair of classes once."""
    (classes, features), n = W.shape, X.shape[0]
    c, d = np.triu_indices(classes)
    p = jax.nn.softmax(X @ W.T)
    weights = jnp.where((c == d)[None], p[:, c], 0) - p[:, c] * p[:, d]  # sample, pair
    rows = (weights.T[:, None, :] * X.T[None]).reshape(-1, n) @ X
    place = np.zeros((classes, classes), int)
    place[c, d] = place[d, c] = np.arange(c.size)
    return rows.reshape(-1, features, features)[place].transpose(0, 2, 1, 3)


def small_network(W: jax.Array, v: jax.Array, X: jax.Array, y: jax.Array) -> jax.Array:
    """Half the squared error of `v · tanh(W X)`."""
    return 0.5 * ((v @ jnp.tanh(W @ X) - y) ** 2).sum()


def small_network_by_hand(W: jax.Array, v: jax.Array, X: jax.Array, y: jax.Array) -> jax.Array:
    """`Σ_n (g[k,n] g[p,n] - 2 δ[k,p] r[n] g[k,n] h[k,n]) X[l,n] X[q,n]` with `g = v (1 - h²)`."""
    (hidden, into), n = W.shape, X.shape[1]
    h = jnp.tanh(W @ X)
    g = v[:, None] * (1 - h * h)
    curved = -2 * (v @ h - y)[None] * g * h
    rows = (g[:, None, :] * X[None]).reshape(hidden * into, n)
    blocks = (curved[:, None, :] * X[None]).reshape(hidden * into, n) @ X.T
    everywhere = (rows @ rows.T).reshape(hidden, into, hidden, into)
    diagonal = same(hidden)[:, None, :, None]
    return everywhere + jnp.where(diagonal, blocks.reshape(hidden, into, 1, into), 0)


def factorisation(U: jax.Array, V: jax.Array, R: jax.Array) -> jax.Array:
    """Half the squared error of `U Vᵀ`."""
    return 0.5 * ((U @ V.T - R) ** 2).sum()


def factorisation_by_hand(U: jax.Array, V: jax.Array, R: jax.Array) -> jax.Array:
    """`δ[i,k] (Vᵀ V)[a,b]`."""
    return jnp.where(same(U.shape[0])[:, None, :, None], (V.T @ V)[None, :, None, :], 0)


def fit(W: jax.Array, X: jax.Array, Y: jax.Array) -> jax.Array:
    """The residual of `tanh(X W)`, to be made small in the least squares' sense."""
    return jnp.tanh(X @ W) - Y


def gauss_newton_by_jax(W: jax.Array, X: jax.Array, Y: jax.Array) -> jax.Array:
    """`Jᵀ J` of the dense Jacobian, from the better side."""
    J = jax.jacrev(fit)(W, X, Y).reshape(Y.size, W.size)
    return (J.T @ J).reshape(W.shape + W.shape)


def gauss_newton_by_hand(W: jax.Array, X: jax.Array, Y: jax.Array) -> jax.Array:
    """`δ[b,d] Σ_n X[n,a] s[n,b]² X[n,c]`."""
    into, out = W.shape
    slope = 1 - jnp.tanh(X @ W) ** 2
    rows = (X.T[:, None, :] * (slope * slope).T[None]).reshape(into * out, -1)
    blocks = (rows @ X).reshape(into, out, into, 1)
    return jnp.where(same(out)[None, :, None, :], blocks, 0)


def labels(random: np.random.Generator, n: int, count: int) -> np.ndarray:
    """Classes at random."""
    return random.integers(count, size=n).astype(np.int32)


CASES = (
    Case(
        name="xᵀ A x, n = 2048, Hessian",
        kind="Hessian",
        function=quadratic_form,
        sizes=((2048,), (7,)),
        arguments=lambda r, n: (standard(r, n), normal(r, n, n)),
        by_hand=lambda x, A: A + A.T,
        dense=3,
        second_order=True,
    ),
    Case(
        name="logistic regression 2048×256, Hessian",
        kind="Hessian",
        function=logistic,
        sizes=((2048, 256), (7, 5)),
        arguments=lambda r, n, k: (
            standard(r, k),
            normal(r, n, k),
            np.sign(standard(r, n)),
        ),
        by_hand=logistic_by_hand,
        dense=1.4,
        second_order=True,
    ),
    Case(
        name="gradient step of a logistic regression 1024×128",
        kind="Hessian",
        function=logistic_step,
        sizes=((1024, 128), (7, 5)),
        arguments=lambda r, n, k: (
            standard(r, k),
            normal(r, n, k),
            np.sign(standard(r, n)),
        ),
        by_hand=logistic_step_by_hand,
    ),
    Case(
        name="Poisson regression 2048×128, Hessian",
        kind="Hessian",
        function=poisson,
        sizes=((2048, 128), (7, 5)),
        arguments=lambda r, n, k: (
            standard(r, k),
            normal(r, n, k),
            r.poisson(1.0, size=n).astype(np.float32),
        ),
        by_hand=poisson_by_hand,
        second_order=True,
    ),
    Case(
        name="cross-entropy of 8 classes, 512×48, Hessian",
        kind="Hessian",
        function=cross_entropy,
        sizes=((8, 512, 48), (3, 7, 5)),
        arguments=lambda r, classes, n, k: (
            normal(r, classes, k),
            standard(r, n, k),
            labels(r, n, classes),
        ),
        by_hand=cross_entropy_by_hand,
        second_order=True,
    ),
    Case(
        name="squared error of v · tanh(W X) 16-16-1, 64 samples, Hessian",
        kind="Hessian",
        function=small_network,
        sizes=((16, 16, 64), (3, 5, 7)),
        arguments=lambda r, hidden, into, n: (
            normal(r, hidden, into),
            normal(r, hidden),
            standard(r, into, n),
            standard(r, n),
        ),
        by_hand=small_network_by_hand,
        second_order=True,
    ),
    Case(
        name="‖U Vᵀ - R‖², 100×100 of rank 5, Hessian by U",
        kind="Hessian",
        function=factorisation,
        sizes=((100, 100, 5), (7, 5, 3)),
        arguments=lambda r, m, n, rank: (
            standard(r, m, rank),
            standard(r, n, rank),
            standard(r, m, n),
        ),
        by_hand=factorisation_by_hand,
        dense=5,
        second_order=True,
    ),
    Case(
        name="Gauss-Newton matrix of tanh(X W) - Y, 256×24×8",
        kind="Gauss-Newton",
        function=fit,
        sizes=((256, 24, 8), (7, 5, 3)),
        arguments=lambda r, n, into, out: (
            normal(r, into, out),
            standard(r, n, into),
            standard(r, n, out),
        ),
        by_hand=gauss_newton_by_hand,
        take=lambda J: J.gram("in").dense(),
        against={"JᵀJ of jacrev": gauss_newton_by_jax},
    ),
)
