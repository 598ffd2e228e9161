"""Recurrent networks: a tanh layer over time, its last state, and a leaky integrator."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def states(W, U, X):
    """All states h[t] = tanh(W h[t-1] + U x[t]) from h = 0, a row each."""
    h, out = jnp.zeros(W.shape[0]), []
    for x in X:
        h = jnp.tanh(W @ h + U @ x)
        out.append(h)
    return jnp.stack(out)


def last(W, U, X):
    """The last state alone."""
    return states(W, U, X)[-1]


def integrated(a, x):
    """The last of y[t] = a y[t-1] + x[t]; a is a number."""
    y = 0.0
    for t in range(x.size):
        y = a * y + x[t]
    return y


def args(rng):
    return rng.normal(size=(4, 4)) / 2, rng.normal(size=(4, 3)), rng.normal(size=(5, 3))


def signal(rng):
    return np.asarray(rng.uniform(0.5, 0.95)), rng.normal(size=7)


def run(W, U, X):
    """States from h[0] = 0 on, a row each."""
    H = np.zeros((len(X) + 1, len(W)))
    for t, x in enumerate(X):
        H[t + 1] = np.tanh(W @ H[t] + U @ x)
    return H


def preactivation_gradients(g, W, U, X):
    """The gradient by each W h + U x, backwards in time."""
    H, dZ, carry = run(W, U, X), np.zeros_like(g), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dZ[t] = (g[t] + carry) * (1 - H[t + 1] ** 2)
        carry = W.T @ dZ[t]
    return dZ


# by W, all states


def W_through_time(g, W, U, X):
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dz = (g[t] + carry) * (1 - H[t + 1] ** 2)
        dW += np.outer(dz, H[t])
        carry = W.T @ dz
    return dW


def W_deferred_product(g, W, U, X):
    """Gathers the gradients by the preactivations first, one matrix product at the end."""
    return preactivation_gradients(g, W, U, X).T @ run(W, U, X)[:-1]


def W_forward_sensitivities(g, W, U, X):
    """Carries the whole derivative forward in time (real-time recurrent learning)."""
    n = len(W)
    h, S, dW = np.zeros(n), np.zeros((n, n, n)), np.zeros_like(W)
    for row, x in zip(g, X, strict=True):
        direct = np.einsum("ik,l->ikl", np.eye(n), h)
        h = np.tanh(W @ h + U @ x)
        S = (1 - h**2)[:, None, None] * (direct + np.tensordot(W, S, 1))
        dW += np.tensordot(row, S, 1)
    return dW


def W_truncated_to_one_step(g, W, U, X):
    H = run(W, U, X)
    return (g * (1 - H[1:] ** 2)).T @ H[:-1]


def W_not_transposed_in_time(g, W, U, X):
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dz = (g[t] + carry) * (1 - H[t + 1] ** 2)
        dW += np.outer(dz, H[t])
        carry = W @ dz
    return dW


def W_slope_forgotten(g, W, U, X):
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dz = g[t] + carry
        dW += np.outer(dz, H[t])
        carry = W.T @ dz
    return dW


def W_slope_at_the_state_before(g, W, U, X):
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dz = (g[t] + carry) * (1 - H[t] ** 2)
        dW += np.outer(dz, H[t])
        carry = W.T @ dz
    return dW


def W_slope_of_the_state(g, W, U, X):
    """The slope taken at the state where it belongs at the preactivation."""
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dz = (g[t] + carry) * (1 - np.tanh(H[t + 1]) ** 2)
        dW += np.outer(dz, H[t])
        carry = W.T @ dz
    return dW


def W_value_for_slope(g, W, U, X):
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(len(X))):
        dz = (g[t] + carry) * H[t + 1]
        dW += np.outer(dz, H[t])
        carry = W.T @ dz
    return dW


def W_state_after_for_before(g, W, U, X):
    return preactivation_gradients(g, W, U, X).T @ run(W, U, X)[1:]


def W_overwritten_each_step(g, W, U, X):
    H, dW, carry = run(W, U, X), np.zeros_like(W), np.zeros(len(W))
    for t in reversed(range(1, len(X))):
        dz = (g[t] + carry) * (1 - H[t + 1] ** 2)
        dW = np.outer(dz, H[t])
        carry = W.T @ dz
    return dW


def W_outer_product_swapped(g, W, U, X):
    return run(W, U, X)[:-1].T @ preactivation_gradients(g, W, U, X)


def W_mean_over_time(g, W, U, X):
    return W_deferred_product(g, W, U, X) / len(X)


def W_only_the_last_cotangent(g, W, U, X):
    """Starts from the last state and forgets what comes in at the others."""
    late = np.zeros_like(g)
    late[-1] = g[-1]
    return W_deferred_product(late, W, U, X)


# by U, the last state


def U_through_time(g, W, U, X):
    H, dU, dh = run(W, U, X), np.zeros_like(U), g
    for t in reversed(range(len(X))):
        dz = dh * (1 - H[t + 1] ** 2)
        dU += dz[:, None] * X[t]
        dh = dz @ W
    return dU


def U_product_of_jacobians(g, W, U, X):
    H, dU = run(W, U, X), np.zeros_like(U)
    J = np.eye(len(W))
    for t in reversed(range(len(X))):
        J = J @ np.diag(1 - H[t + 1] ** 2)
        dU += np.outer(J.T @ g, X[t])
        J = J @ W
    return dU


def U_last_step_only(g, W, U, X):
    H = run(W, U, X)
    return np.outer(g * (1 - H[-1] ** 2), X[-1])


def U_inputs_in_reverse(g, W, U, X):
    H, dU, dh = run(W, U, X), np.zeros_like(U), g
    for t in reversed(range(len(X))):
        dz = dh * (1 - H[t + 1] ** 2)
        dU += np.outer(dz, X[len(X) - 1 - t])
        dh = W.T @ dz
    return dU


def U_weights_forgotten_in_time(g, W, U, X):
    H, dU, dh = run(W, U, X), np.zeros_like(U), g
    for t in reversed(range(len(X))):
        dz = dh * (1 - H[t + 1] ** 2)
        dU += np.outer(dz, X[t])
        dh = dz
    return dU


def U_slope_only_at_the_end(g, W, U, X):
    H, dU = run(W, U, X), np.zeros_like(U)
    dz = g * (1 - H[-1] ** 2)
    for t in reversed(range(len(X))):
        dU += np.outer(dz, X[t])
        dz = W.T @ dz
    return dU


# the integrator


def a_states_kept(g, a, x):
    y, slope = 0.0, 0.0
    for value in x:
        slope = y + a * slope
        y = a * y + value
    return g * slope


def a_polynomial(g, a, x):
    k = np.arange(x.size)[::-1]
    return g * np.sum(k * a ** np.maximum(k - 1, 0) * x)


def a_last_step(g, a, x):
    y = 0.0
    for value in x[:-1]:
        y = a * y + value
    return g * y


def a_exponent_not_lowered(g, a, x):
    k = np.arange(x.size)[::-1]
    return g * np.sum(k * a**k * x)


def a_time_not_reversed(g, a, x):
    k = np.arange(x.size)
    return g * np.sum(k * a ** np.maximum(k - 1, 0) * x)


CASES = [
    Case("recurrent", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, states, W_through_time, args, ()),
        (0, states, W_deferred_product, args, ()),
        (0, states, W_forward_sensitivities, args, ()),
        (0, states, W_truncated_to_one_step, args, ("missing-path", "treated-as-constant")),
        (0, states, W_not_transposed_in_time, args, ("operand-not-transposed",)),
        (0, states, W_slope_forgotten, args, ("missing-activation-derivative",)),
        (0, states, W_slope_at_the_state_before, args, ("wrong-point",)),
        (0, states, W_slope_of_the_state, args, ("wrong-point",)),
        (0, states, W_value_for_slope, args, ("value-for-derivative",)),
        (0, states, W_state_after_for_before, args, ("wrong-point",)),
        (0, states, W_overwritten_each_step, args, ("overwritten-duplicates", "missing-path")),
        (0, states, W_outer_product_swapped, args, ("transposed-layout", "order-swapped")),
        (0, states, W_mean_over_time, args, ("mean-for-sum", "constant-factor")),
        (0, states, W_only_the_last_cotangent, args, ("missing-path", "missing-cotangent")),
        (1, last, U_through_time, args, ()),
        (1, last, U_product_of_jacobians, args, ()),
        (1, last, U_last_step_only, args, ("missing-path", "treated-as-constant")),
        (1, last, U_inputs_in_reverse, args, ("not-flipped", "wrong-point")),
        (1, last, U_weights_forgotten_in_time, args, ("missing-factor",)),
        (1, last, U_slope_only_at_the_end, args, ("missing-activation-derivative",)),
        (0, integrated, a_states_kept, signal, ()),
        (0, integrated, a_polynomial, signal, ()),
        (0, integrated, a_last_step, signal, ("missing-path", "treated-as-constant")),
        (0, integrated, a_exponent_not_lowered, signal, ("extra-factor",)),
        (0, integrated, a_time_not_reversed, signal, ("not-flipped",)),
    ]
]
