"""Products of a matrix with itself: squares, cubes, a power times a vector, a trace of a power."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def squared(M):
    return M @ M


def cubed(M):
    return M @ M @ M


def iterated(M, v):
    """Four steps from v: M M M M v."""
    for _ in range(4):
        v = M @ v
    return v


def trace_of_cube(M):
    """A number."""
    return jnp.trace(M @ M @ M)


def congruence(A, S):
    """The product A S Aᵀ."""
    return A @ S @ A.T


def series(M):
    """The exponential's series up to the third power."""
    square = M @ M
    return jnp.eye(M.shape[0]) + M + square / 2 + square @ M / 6


def square(rng):
    return (rng.normal(size=(5, 5)),)


def square_and_vector(rng):
    return rng.normal(size=(5, 5)), rng.normal(size=5)


def congruence_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 3))


def congruence_square_args(rng):
    return rng.normal(size=(5, 5)), rng.normal(size=(5, 5))


def squared_right(g, M):
    return g @ M.T + M.T @ g


def squared_kronecker(g, M):
    n = len(M)
    J = np.kron(np.eye(n), M.T) + np.kron(M, np.eye(n))
    return (J.T @ g.ravel()).reshape(n, n)


def squared_index_notation(g, M):
    return np.einsum("ij,kj->ik", g, M) + np.einsum("ij,ik->kj", g, M)


def squared_two_products(g, M):
    return 2 * g @ M.T


def squared_left_factor_only(g, M):
    return g @ M.T


def squared_right_factor_only(g, M):
    return M.T @ g


def squared_not_transposed(g, M):
    return g @ M + M @ g


def squared_one_not_transposed(g, M):
    return g @ M.T + M @ g


def squared_sides_of_one_swapped(g, M):
    return M.T @ g + M.T @ g


def squared_inverse(g, M):
    inverse = np.linalg.inv(M)
    return g @ inverse + inverse @ g


def squared_minus(g, M):
    return g @ M.T - M.T @ g


def squared_cotangent_transposed(g, M):
    return g.T @ M.T + M.T @ g.T


def squared_handed_back_transposed(g, M):
    return M @ g.T + g.T @ M


def squared_vec_by_columns(g, M):
    """The Jacobian for rows, applied to the cotangent stacked by columns."""
    n = len(M)
    J = np.kron(np.eye(n), M.T) + np.kron(M, np.eye(n))
    return (J.T @ g.ravel(order="F")).reshape(n, n)


def squared_reshaped_by_columns(g, M):
    n = len(M)
    J = np.kron(np.eye(n), M.T) + np.kron(M, np.eye(n))
    return (J.T @ g.ravel()).reshape((n, n), order="F")


def squared_output_for_cotangent(g, M):
    return M @ M @ M.T + M.T @ M @ M


def cubed_right(g, M):
    T = M.T
    return g @ T @ T + T @ g @ T + T @ T @ g


def cubed_recursive(g, M):
    dsquare, last = g @ M.T, (M @ M).T @ g
    return dsquare @ M.T + M.T @ dsquare + last


def cubed_middle_forgotten(g, M):
    return g @ M.T @ M.T + M.T @ M.T @ g


def cubed_last_only(g, M):
    return (M @ M).T @ g


def cubed_nothing_transposed(g, M):
    return g @ M @ M + M @ g @ M + M @ M @ g


# a power times a vector


def iterated_backwards(g, M, v):
    forward = [v]
    for _ in range(3):
        forward.append(M @ forward[-1])
    out = np.zeros_like(M)
    for x in reversed(forward):
        out += np.outer(g, x)
        g = M.T @ g
    return out


def iterated_powers(g, M, v):
    P = np.linalg.matrix_power
    return sum(np.outer(P(M, 3 - k).T @ g, P(M, k) @ v) for k in range(4))


def iterated_last_step(g, M, v):
    return np.outer(g, M @ M @ M @ v)


def iterated_first_step(g, M, v):
    return np.outer((M @ M @ M).T @ g, v)


def iterated_not_transposed(g, M, v):
    P = np.linalg.matrix_power
    return sum(np.outer(P(M, 3 - k) @ g, P(M, k) @ v) for k in range(4))


def iterated_states_in_the_wrong_order(g, M, v):
    P = np.linalg.matrix_power
    return sum(np.outer(P(M, k).T @ g, P(M, k) @ v) for k in range(4))


def iterated_states_late_by_one(g, M, v):
    P = np.linalg.matrix_power
    return sum(np.outer(P(M, 3 - k).T @ g, P(M, k + 1) @ v) for k in range(4))


def iterated_outer_product_swapped(g, M, v):
    return iterated_backwards(g, M, v).T


def v_right(g, M, v):
    return np.linalg.matrix_power(M.T, 4) @ g


def v_row_times_power(g, M, v):
    return g @ np.linalg.matrix_power(M, 4)


def v_not_transposed(g, M, v):
    return np.linalg.matrix_power(M, 4) @ g


def v_inverse(g, M, v):
    return np.linalg.solve(np.linalg.matrix_power(M, 4), g)


def v_one_step_short(g, M, v):
    return np.linalg.matrix_power(M.T, 3) @ g


# trace


def trace_right(g, M):
    return 3 * g * (M @ M).T


def trace_by_index(g, M):
    return 3 * g * np.einsum("jk,ki->ij", M, M)


def trace_not_transposed(g, M):
    return 3 * g * M @ M


def trace_three_forgotten(g, M):
    return g * (M @ M).T


def trace_diagonal(g, M):
    return 3 * g * np.diag(np.diag(M @ M))


# A S Aᵀ


def A_right(g, A, S):
    return g @ A @ S.T + g.T @ A @ S


def A_two_paths(g, A, S):
    left = np.einsum("ij,jk->ik", g, A @ S.T)
    right = ((A @ S).T @ g).T
    return left + right


def A_as_if_symmetric(g, A, S):
    return 2 * g @ A @ S


def A_first_path(g, A, S):
    return g @ A @ S.T


def A_second_path(g, A, S):
    return g.T @ A @ S


def A_S_not_transposed(g, A, S):
    return g @ A @ S + g.T @ A @ S


def A_cotangent_not_transposed(g, A, S):
    return g @ A @ S.T + g @ A @ S


def S_right(g, A, S):
    return A.T @ g @ A


def S_of_the_forward_pass(g, A, S):
    return A @ g @ A.T


def S_pseudo_inverse(g, A, S):
    return np.linalg.pinv(A) @ g @ np.linalg.pinv(A).T


def S_transposed(g, A, S):
    return A.T @ g.T @ A


# series


def series_right(g, M):
    T = M.T
    first = (g @ T + T @ g) / 2
    return g + first + (g @ T @ T + T @ g @ T + T @ T @ g) / 6


def series_shared_square(g, M):
    dsquare = g / 2 + g @ M.T / 6
    return g + (M @ M).T @ g / 6 + dsquare @ M.T + M.T @ dsquare


def series_linear_term_forgotten(g, M):
    return series_right(g, M) - g


def series_square_not_shared(g, M):
    """The square's use in the cube left out."""
    return g + (M @ M).T @ g / 6 + (g @ M.T + M.T @ g) / 2


CASES = [
    Case("matrix_power", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, squared, squared_right, square, ()),
        (0, squared, squared_kronecker, square, ()),
        (0, squared, squared_index_notation, square, ()),
        (0, squared, squared_two_products, square, ("order-swapped", "missing-path")),
        (0, squared, squared_left_factor_only, square, ("missing-path",)),
        (0, squared, squared_right_factor_only, square, ("missing-path",)),
        (0, squared, squared_not_transposed, square, ("operand-not-transposed",)),
        (0, squared, squared_one_not_transposed, square, ("operand-not-transposed",)),
        (0, squared, squared_sides_of_one_swapped, square, ("order-swapped", "missing-path")),
        (0, squared, squared_inverse, square, ("inverse-for-transpose",)),
        (0, squared, squared_minus, square, ("sign",)),
        (0, squared, squared_cotangent_transposed, square, ("operand-not-transposed", "vec-order")),
        (0, squared, squared_handed_back_transposed, square, ("transposed-layout", "vec-order")),
        (0, squared, squared_vec_by_columns, square, ("vec-order", "operand-not-transposed")),
        (0, squared, squared_reshaped_by_columns, square, ("vec-order", "transposed-layout")),
        (0, squared, squared_output_for_cotangent, square, ("missing-cotangent",)),
        (0, cubed, cubed_right, square, ()),
        (0, cubed, cubed_recursive, square, ()),
        (0, cubed, cubed_middle_forgotten, square, ("missing-path",)),
        (0, cubed, cubed_last_only, square, ("missing-path",)),
        (0, cubed, cubed_nothing_transposed, square, ("operand-not-transposed",)),
        (0, iterated, iterated_backwards, square_and_vector, ()),
        (0, iterated, iterated_powers, square_and_vector, ()),
        (0, iterated, iterated_last_step, square_and_vector, ("missing-path",)),
        (0, iterated, iterated_first_step, square_and_vector, ("missing-path",)),
        (0, iterated, iterated_not_transposed, square_and_vector, ("operand-not-transposed",)),
        (0, iterated, iterated_states_in_the_wrong_order, square_and_vector, ("not-flipped",)),
        (0, iterated, iterated_states_late_by_one, square_and_vector, ("wrong-point",)),
        (
            0,
            iterated,
            iterated_outer_product_swapped,
            square_and_vector,
            ("transposed-layout", "order-swapped"),
        ),
        (1, iterated, v_right, square_and_vector, ()),
        (1, iterated, v_row_times_power, square_and_vector, ()),
        (1, iterated, v_not_transposed, square_and_vector, ("operand-not-transposed",)),
        (1, iterated, v_inverse, square_and_vector, ("inverse-for-transpose",)),
        (1, iterated, v_one_step_short, square_and_vector, ("missing-factor",)),
        (0, trace_of_cube, trace_right, square, ()),
        (0, trace_of_cube, trace_by_index, square, ()),
        (
            0,
            trace_of_cube,
            trace_not_transposed,
            square,
            ("transposed-layout", "operand-not-transposed"),
        ),
        (0, trace_of_cube, trace_three_forgotten, square, ("constant-factor", "missing-path")),
        (0, trace_of_cube, trace_diagonal, square, ("diagonal-only",)),
        (0, congruence, A_right, congruence_args, ()),
        (0, congruence, A_two_paths, congruence_args, ()),
        (
            0,
            congruence,
            A_as_if_symmetric,
            congruence_args,
            ("operand-not-transposed", "missing-path"),
        ),
        (0, congruence, A_first_path, congruence_args, ("missing-path",)),
        (0, congruence, A_second_path, congruence_args, ("missing-path",)),
        (0, congruence, A_S_not_transposed, congruence_args, ("operand-not-transposed",)),
        (0, congruence, A_cotangent_not_transposed, congruence_args, ("operand-not-transposed",)),
        (1, congruence, S_right, congruence_args, ()),
        (1, congruence, S_of_the_forward_pass, congruence_square_args, ("operand-not-transposed",)),
        (1, congruence, S_pseudo_inverse, congruence_args, ("inverse-for-transpose",)),
        (1, congruence, S_transposed, congruence_args, ("transposed-layout",)),
        (0, series, series_right, square, ()),
        (0, series, series_shared_square, square, ()),
        (0, series, series_linear_term_forgotten, square, ("missing-path",)),
        (0, series, series_square_not_shared, square, ("missing-path",)),
    ]
]
