"""Running sums and products along an axis."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def running_sum(X):
    """Along each row."""
    return jnp.cumsum(X, axis=1)


def running_product(x):
    return jnp.cumprod(x)


def discounted(r):
    """Returns: the reward from each step on, discounted by 0.9 a step."""
    T = r.size
    return jnp.stack([sum(0.9 ** (s - t) * r[s] for s in range(t, T)) for t in range(T)])


def exponentials(X):
    """Of the running sums."""
    return jnp.exp(jnp.cumsum(X, axis=1) / 4)


def matrix(rng):
    return (rng.normal(size=(5, 7)),)


def square(rng):
    return (rng.normal(size=(6, 6)),)


def vector(rng):
    return (rng.uniform(0.5, 1.5, size=7),)


def sum_from_the_right(g, X):
    return np.cumsum(g[:, ::-1], axis=1)[:, ::-1]


def sum_by_a_triangle(g, X):
    return g @ np.tril(np.ones((X.shape[1], X.shape[1])))


def sum_total_less_what_came(g, X):
    return g.sum(1, keepdims=True) - np.cumsum(g, axis=1) + g


def sum_not_reversed(g, X):
    return np.cumsum(g, axis=1)


def sum_reversed_once(g, X):
    return np.cumsum(g[:, ::-1], axis=1)


def sum_passed_through(g, X):
    return g.copy()


def sum_along_the_other_axis(g, X):
    return np.cumsum(g[::-1], axis=0)[::-1]


def sum_triangle_not_transposed(g, X):
    return g @ np.tril(np.ones((X.shape[1], X.shape[1]))).T


def sum_inverse_of_the_triangle(g, X):
    return g @ np.linalg.inv(np.tril(np.ones((X.shape[1], X.shape[1]))).T)


def sum_over_everything(g, X):
    """Runs through the whole array as one sequence."""
    return np.cumsum(g.ravel()[::-1])[::-1].reshape(g.shape)


def sum_mean(g, X):
    return sum_from_the_right(g, X) / X.shape[1]


def product_from_the_right(g, x):
    return np.cumsum((g * np.cumprod(x))[::-1])[::-1] / x


def product_leaving_one_out(g, x):
    out = np.zeros_like(x)
    for t in range(x.size):
        for s in range(t + 1):
            out[s] += g[t] * np.prod(np.delete(x[: t + 1], s))
    return out


def product_not_reversed(g, x):
    return np.cumsum(g * np.cumprod(x)) / x


def product_not_divided(g, x):
    return np.cumsum((g * np.cumprod(x))[::-1])[::-1]


def product_own_entry_only(g, x):
    return g * np.cumprod(x) / x


def product_without_the_product(g, x):
    return np.cumsum(g[::-1])[::-1] / x


def product_sign(g, x):
    return -np.cumsum((g * np.cumprod(x))[::-1])[::-1] / x


def discounted_recursion(g, r):
    out = np.zeros_like(r)
    carry = 0.0
    for t in range(r.size):
        carry = 0.9 * carry + g[t]
        out[t] = carry
    return out


def discounted_matrix(g, r):
    lag = np.subtract.outer(np.arange(r.size), np.arange(r.size))
    return np.where(lag >= 0, 0.9 ** np.abs(lag), 0.0) @ g


def discounted_as_forward(g, r):
    out = np.zeros_like(r)
    carry = 0.0
    for t in reversed(range(r.size)):
        carry = g[t] + 0.9 * carry
        out[t] = carry
    return out


def discount_forgotten(g, r):
    return np.cumsum(g)


def discounted_own_step(g, r):
    return g.copy()


def exponential_right(g, X):
    d = g * np.exp(np.cumsum(X, axis=1) / 4) / 4
    return np.flip(np.cumsum(np.flip(d, 1), axis=1), 1)


def exponential_value_missing(g, X):
    return np.flip(np.cumsum(np.flip(g, 1), axis=1), 1) / 4


def exponential_of_the_entry(g, X):
    return np.flip(np.cumsum(np.flip(g * np.exp(X / 4), 1), axis=1), 1) / 4


def exponential_outside(g, X):
    """Sums the cotangent first and multiplies by the value then."""
    return np.exp(np.cumsum(X, axis=1) / 4) * sum_from_the_right(g, X) / 4


def exponential_quarter_missing(g, X):
    return 4 * exponential_right(g, X)


CASES = [
    Case("cumulative", b.__name__.replace("_", " "), 0, f, b, draw, kinds)
    for f, b, draw, kinds in [
        (running_sum, sum_from_the_right, matrix, ()),
        (running_sum, sum_by_a_triangle, matrix, ()),
        (running_sum, sum_total_less_what_came, matrix, ()),
        (running_sum, sum_not_reversed, matrix, ("not-flipped", "operand-not-transposed")),
        (running_sum, sum_reversed_once, matrix, ("not-flipped", "permutation-not-inverted")),
        (running_sum, sum_passed_through, matrix, ("diagonal-only", "missing-sum")),
        (running_sum, sum_along_the_other_axis, matrix, ("wrong-axis",)),
        (
            running_sum,
            sum_triangle_not_transposed,
            square,
            ("operand-not-transposed", "not-flipped"),
        ),
        (running_sum, sum_inverse_of_the_triangle, square, ("inverse-for-transpose",)),
        (running_sum, sum_over_everything, matrix, ("flattened-batch", "wrong-axis")),
        (running_sum, sum_mean, matrix, ("constant-factor", "mean-for-sum")),
        (running_product, product_from_the_right, vector, ()),
        (running_product, product_leaving_one_out, vector, ()),
        (running_product, product_not_reversed, vector, ("not-flipped",)),
        (running_product, product_not_divided, vector, ("missing-factor",)),
        (running_product, product_own_entry_only, vector, ("diagonal-only", "missing-sum")),
        (running_product, product_without_the_product, vector, ("missing-factor",)),
        (running_product, product_sign, vector, ("sign",)),
        (discounted, discounted_recursion, vector, ()),
        (discounted, discounted_matrix, vector, ()),
        (discounted, discounted_as_forward, vector, ("not-flipped", "operand-not-transposed")),
        (discounted, discount_forgotten, vector, ("missing-factor", "constant-factor")),
        (discounted, discounted_own_step, vector, ("diagonal-only", "missing-path")),
        (exponentials, exponential_right, matrix, ()),
        (exponentials, exponential_value_missing, matrix, ("missing-activation-derivative",)),
        (exponentials, exponential_of_the_entry, matrix, ("wrong-point",)),
        (exponentials, exponential_outside, matrix, ("order-swapped",)),
        (exponentials, exponential_quarter_missing, matrix, ("constant-factor",)),
    ]
]
