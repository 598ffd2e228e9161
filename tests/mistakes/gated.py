"""Gated layers: a product of a linear part with a gate, as in GLU, SwiGLU and highway layers."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def glu(X, W, V):
    return (X @ W) * jax.nn.sigmoid(X @ V)


def swiglu(X, W, V, U):
    """With silu for the gate and a layer after."""
    return (jax.nn.silu(X @ W) * (X @ V)) @ U


def highway(x, T):
    """The gate t = sigmoid(T x) chooses between tanh(x) and x."""
    t = jax.nn.sigmoid(T @ x)
    return t * jnp.tanh(x) + (1 - t) * x


def args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 7)), rng.normal(size=(3, 7))


def swiglu_args(rng):
    shapes = (5, 3), (3, 7), (3, 7), (7, 2)
    return tuple(rng.normal(size=shape) for shape in shapes)


def highway_args(rng):
    return 2 * rng.normal(size=5), rng.normal(size=(5, 5))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# GLU


def W_right(g, X, W, V):
    return X.T @ (g * sigmoid(X @ V))


def W_sum_of_outer_products(g, X, W, V):
    return sum(np.outer(x, d * sigmoid(x @ V)) for x, d in zip(X, g, strict=True))


def W_gate_forgotten(g, X, W, V):
    return X.T @ g


def W_gate_before_sigmoid(g, X, W, V):
    return X.T @ (g * (X @ V))


def W_slope_of_the_gate(g, X, W, V):
    """The gate's derivative where its value belongs."""
    s = sigmoid(X @ V)
    return X.T @ (g * s * (1 - s))


def W_transposed(g, X, W, V):
    return (g * sigmoid(X @ V)).T @ X


def W_gets_that_of_V(g, X, W, V):
    s = sigmoid(X @ V)
    return X.T @ (g * (X @ W) * s * (1 - s))


def V_right(g, X, W, V):
    s = sigmoid(X @ V)
    return X.T @ (g * (X @ W) * s * (1 - s))


def V_by_the_output(g, X, W, V):
    s = sigmoid(X @ V)
    output = (X @ W) * s
    return np.einsum("ni,nj->ij", X, g * output * (1 - s))


def V_slope_forgotten(g, X, W, V):
    return X.T @ (g * (X @ W))


def V_value_for_slope(g, X, W, V):
    return X.T @ (g * (X @ W) * sigmoid(X @ V))


def V_linear_part_forgotten(g, X, W, V):
    s = sigmoid(X @ V)
    return X.T @ (g * s * (1 - s))


def V_slope_of_the_value(g, X, W, V):
    s = sigmoid(sigmoid(X @ V))
    return X.T @ (g * (X @ W) * s * (1 - s))


def V_as_tanh(g, X, W, V):
    s = sigmoid(X @ V)
    return X.T @ (g * (X @ W) * (1 - s**2))


def V_slope_at_the_other_part(g, X, W, V):
    s = sigmoid(X @ W)
    return X.T @ (g * (X @ W) * s * (1 - s))


def V_mean(g, X, W, V):
    return V_right(g, X, W, V) / len(X)


def X_right(g, X, W, V):
    s = sigmoid(X @ V)
    return (g * s) @ W.T + (g * (X @ W) * s * (1 - s)) @ V.T


def X_sample_jacobians(g, X, W, V):
    out = np.empty_like(X)
    for n, x in enumerate(X):
        s = sigmoid(x @ V)
        J = W.T * s[:, None] + V.T * ((x @ W) * s * (1 - s))[:, None]
        out[n] = J.T @ g[n]
    return out


def X_gate_constant(g, X, W, V):
    return (g * sigmoid(X @ V)) @ W.T


def X_gate_only(g, X, W, V):
    s = sigmoid(X @ V)
    return (g * (X @ W) * s * (1 - s)) @ V.T


def X_weights_exchanged(g, X, W, V):
    s = sigmoid(X @ V)
    return (g * s) @ V.T + (g * (X @ W) * s * (1 - s)) @ W.T


def X_difference(g, X, W, V):
    s = sigmoid(X @ V)
    return (g * s) @ W.T - (g * (X @ W) * s * (1 - s)) @ V.T


# SwiGLU


def swiglu_W_right(g, X, W, V, U):
    Z = X @ W
    s = sigmoid(Z)
    return X.T @ (g @ U.T * (X @ V) * s * (1 + Z * (1 - s)))


def swiglu_W_product_rule(g, X, W, V, U):
    Z = X @ W
    s = sigmoid(Z)
    d = (U @ g.T).T * (X @ V)
    return X.T @ (d * s) + X.T @ (d * Z * s * (1 - s))


def swiglu_W_sigmoid_constant(g, X, W, V, U):
    return X.T @ (g @ U.T * (X @ V) * sigmoid(X @ W))


def swiglu_W_value(g, X, W, V, U):
    Z = X @ W
    return X.T @ (g @ U.T * (X @ V) * Z * sigmoid(Z))


def swiglu_W_as_sigmoid(g, X, W, V, U):
    s = sigmoid(X @ W)
    return X.T @ (g @ U.T * (X @ V) * s * (1 - s))


def swiglu_W_as_relu(g, X, W, V, U):
    return X.T @ (g @ U.T * (X @ V) * (X @ W > 0))


def swiglu_W_other_part_forgotten(g, X, W, V, U):
    Z = X @ W
    s = sigmoid(Z)
    return X.T @ (g @ U.T * s * (1 + Z * (1 - s)))


def swiglu_U_right(g, X, W, V, U):
    Z = X @ W
    return (Z * sigmoid(Z) * (X @ V)).T @ g


def swiglu_U_gate_forgotten(g, X, W, V, U):
    return (X @ V).T @ g


def swiglu_U_gate_before_the_activation(g, X, W, V, U):
    return (X @ W * (X @ V)).T @ g


def swiglu_V_right(g, X, W, V, U):
    Z = X @ W
    return X.T @ (g @ U.T * Z * sigmoid(Z))


def swiglu_V_with_the_slope(g, X, W, V, U):
    Z = X @ W
    s = sigmoid(Z)
    return X.T @ (g @ U.T * s * (1 + Z * (1 - s)))


# highway


def gate(x, T):
    t = sigmoid(T @ x)
    return t, t * (1 - t)


def highway_right(g, x, T):
    t, slope = gate(x, T)
    return g * (t / np.cosh(x) ** 2 + 1 - t) + T.T @ (g * slope * (np.tanh(x) - x))


def highway_jacobian(g, x, T):
    t, slope = gate(x, T)
    h = np.tanh(x)
    J = np.diag(t * (1 - h**2)) + np.diag(1 - t) + np.diag(slope * (h - x)) @ T
    return J.T @ g


def highway_gate_constant(g, x, T):
    t, _ = gate(x, T)
    return g * (t * (1 - np.tanh(x) ** 2) + 1 - t)


def highway_gate_only(g, x, T):
    _, slope = gate(x, T)
    return T.T @ (g * slope * (np.tanh(x) - x))


def highway_carry_forgotten(g, x, T):
    t, slope = gate(x, T)
    return g * t * (1 - np.tanh(x) ** 2) + T.T @ (g * slope * (np.tanh(x) - x))


def highway_carried_gate_sign(g, x, T):
    t, slope = gate(x, T)
    h = np.tanh(x)
    return g * (t * (1 - h**2) + 1 - t) + T.T @ (g * slope * (h + x))


def highway_not_transposed(g, x, T):
    t, slope = gate(x, T)
    h = np.tanh(x)
    return g * (t * (1 - h**2) + 1 - t) + T @ (g * slope * (h - x))


CASES = [
    Case("gated", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (1, glu, W_right, args, ()),
        (1, glu, W_sum_of_outer_products, args, ()),
        (1, glu, W_gate_forgotten, args, ("missing-factor",)),
        (1, glu, W_gate_before_sigmoid, args, ("wrong-point",)),
        (1, glu, W_slope_of_the_gate, args, ("wrong-point", "extra-factor")),
        (1, glu, W_transposed, args, ("transposed-layout",)),
        (1, glu, W_gets_that_of_V, args, ("wrong-argument",)),
        (2, glu, V_right, args, ()),
        (2, glu, V_by_the_output, args, ()),
        (2, glu, V_slope_forgotten, args, ("missing-activation-derivative",)),
        (2, glu, V_value_for_slope, args, ("value-for-derivative", "missing-factor")),
        (2, glu, V_linear_part_forgotten, args, ("missing-factor",)),
        (2, glu, V_slope_of_the_value, args, ("wrong-point",)),
        (2, glu, V_as_tanh, args, ("wrong-point",)),
        (2, glu, V_slope_at_the_other_part, args, ("wrong-point",)),
        (2, glu, V_mean, args, ("mean-for-sum", "constant-factor")),
        (0, glu, X_right, args, ()),
        (0, glu, X_sample_jacobians, args, ()),
        (0, glu, X_gate_constant, args, ("treated-as-constant", "missing-path")),
        (0, glu, X_gate_only, args, ("missing-path",)),
        (0, glu, X_weights_exchanged, args, ("order-swapped", "missing-cotangent")),
        (0, glu, X_difference, args, ("sign",)),
        (1, swiglu, swiglu_W_right, swiglu_args, ()),
        (1, swiglu, swiglu_W_product_rule, swiglu_args, ()),
        (
            1,
            swiglu,
            swiglu_W_sigmoid_constant,
            swiglu_args,
            ("treated-as-constant", "missing-path"),
        ),
        (1, swiglu, swiglu_W_value, swiglu_args, ("value-for-derivative",)),
        (1, swiglu, swiglu_W_as_sigmoid, swiglu_args, ("wrong-point",)),
        (1, swiglu, swiglu_W_as_relu, swiglu_args, ("wrong-point",)),
        (1, swiglu, swiglu_W_other_part_forgotten, swiglu_args, ("missing-factor",)),
        (3, swiglu, swiglu_U_right, swiglu_args, ()),
        (3, swiglu, swiglu_U_gate_forgotten, swiglu_args, ("missing-factor",)),
        (3, swiglu, swiglu_U_gate_before_the_activation, swiglu_args, ("wrong-point",)),
        (2, swiglu, swiglu_V_right, swiglu_args, ()),
        (2, swiglu, swiglu_V_with_the_slope, swiglu_args, ("wrong-point",)),
        (0, highway, highway_right, highway_args, ()),
        (0, highway, highway_jacobian, highway_args, ()),
        (0, highway, highway_gate_constant, highway_args, ("treated-as-constant", "diagonal-only")),
        (0, highway, highway_gate_only, highway_args, ("missing-path",)),
        (0, highway, highway_carry_forgotten, highway_args, ("missing-path",)),
        (0, highway, highway_carried_gate_sign, highway_args, ("sign",)),
        (0, highway, highway_not_transposed, highway_args, ("operand-not-transposed",)),
    ]
]
