"""`D = A B C`, and one matrix used several times: `M M`, `Mᵀ M`."""

import numpy as np
from numpy.linalg import inv

from tests.mistakes import Problem, normal


def forward(A, B, C):
    return A @ B @ C


def right_to_left(dD, A, B, C):
    # reverse mode as a tape has it: the product A B first, then its parts
    d_product = dD @ C.T
    return d_product @ B.T


def last_use(dD, M):
    d_second = M.T @ dD
    d_first = dD @ M.T
    gradient = d_second
    gradient = d_first
    return gradient


CHAIN = normal((5, 3), (3, 7), (7, 2))
SQUARE = normal((4, 4), (4, 4), (4, 4))
A, B, C = (Problem("chain", forward, CHAIN, argnum) for argnum in range(3))
A_SQUARE, B_SQUARE, C_SQUARE = (Problem("chain", forward, SQUARE, argnum) for argnum in range(3))
POWER = Problem("chain", lambda M: M @ M, normal((4, 4)))
CUBE = Problem("chain", lambda M: M @ M @ M, normal((4, 4)))
GRAM = Problem("chain", lambda M: M.T @ M, normal((5, 3)))

CASES = [
    A.right("by A", lambda dD, A, B, C: dD @ C.T @ B.T),
    A.right("by A, one product transposed", lambda dD, A, B, C: dD @ (B @ C).T),
    A.right("by A, factor by factor", right_to_left),
    A.wrong("by A, layout", lambda dD, A, B, C: B @ C @ dD.T, "transposed-layout"),
    A.wrong("by A, D for dD", lambda dD, A, B, C: A @ B @ C @ C.T @ B.T, "missing-cotangent"),
    A_SQUARE.wrong(
        "by A, the transposes in the forward order",
        lambda dD, A, B, C: dD @ B.T @ C.T,
        "order-swapped",
    ),
    A_SQUARE.wrong("by A, C left out", lambda dD, A, B, C: dD @ B.T, "missing-factor"),
    A_SQUARE.wrong("by A, B left out", lambda dD, A, B, C: dD @ C.T, "missing-factor"),
    A_SQUARE.wrong("by A, C as it is", lambda dD, A, B, C: dD @ C @ B.T, "operand-not-transposed"),
    A_SQUARE.wrong(
        "by A, B inverted", lambda dD, A, B, C: dD @ C.T @ inv(B), "inverse-for-transpose"
    ),
    A_SQUARE.wrong("by A, B twice", lambda dD, A, B, C: dD @ C.T @ B.T @ B.T, "extra-factor"),
    B.right("by B", lambda dD, A, B, C: A.T @ dD @ C.T),
    B.right("by B, one einsum", lambda dD, A, B, C: np.einsum("ij,il,kl->jk", A, dD, C)),
    B.right(
        "by B, a Kronecker product",
        lambda dD, A, B, C: (np.kron(A, C.T).T @ dD.reshape(-1)).reshape(B.shape),
    ),
    B.wrong(
        "by B, Kronecker the other way round",
        lambda dD, A, B, C: (np.kron(C.T, A).T @ dD.reshape(-1)).reshape(B.shape),
        "vec-order",
        "order-swapped",
    ),
    B.wrong("by B, sign", lambda dD, A, B, C: -A.T @ dD @ C.T, "sign"),
    B_SQUARE.wrong("by B, sides", lambda dD, A, B, C: C.T @ dD @ A.T, "order-swapped"),
    B_SQUARE.wrong("by B, A as it is", lambda dD, A, B, C: A @ dD @ C.T, "operand-not-transposed"),
    B_SQUARE.wrong("by B, C left out", lambda dD, A, B, C: A.T @ dD, "missing-factor"),
    B_SQUARE.wrong("by B, the formula of A", lambda dD, A, B, C: dD @ (B @ C).T, "wrong-argument"),
    C.right("by C", lambda dD, A, B, C: (A @ B).T @ dD),
    C.wrong("by C, twice", lambda dD, A, B, C: 2 * B.T @ A.T @ dD, "constant-factor"),
    C_SQUARE.wrong("by C, order", lambda dD, A, B, C: A.T @ B.T @ dD, "order-swapped"),
    C_SQUARE.wrong("by C, AB as it is", lambda dD, A, B, C: A @ B @ dD, "operand-not-transposed"),
    POWER.right("M M", lambda dD, M: dD @ M.T + M.T @ dD),
    POWER.right("M M, transposed at the end", lambda dD, M: (M @ dD.T + dD.T @ M).T),
    POWER.wrong("M M, the first use", lambda dD, M: dD @ M.T, "missing-path"),
    POWER.wrong("M M, the second use", lambda dD, M: M.T @ dD, "missing-path"),
    POWER.wrong("M M, one use overwrites", last_use, "missing-path", "overwritten-duplicates"),
    POWER.wrong("M M, as of numbers", lambda dD, M: 2 * dD @ M.T, "order-swapped", "missing-path"),
    CUBE.right("M M M", lambda dD, M: dD @ (M @ M).T + M.T @ dD @ M.T + (M @ M).T @ dD),
    CUBE.wrong(
        "M M M, the middle forgotten", lambda dD, M: dD @ (M @ M).T + (M @ M).T @ dD, "missing-path"
    ),
    GRAM.right("Mᵀ M", lambda dD, M: M @ (dD + dD.T)),
    GRAM.wrong(
        "Mᵀ M, as if dD were symmetric",
        lambda dD, M: 2 * M @ dD,
        "missing-path",
        "operand-not-transposed",
    ),
    GRAM.wrong("Mᵀ M, one use", lambda dD, M: M @ dD, "missing-path"),
    GRAM.wrong("Mᵀ M, the other use", lambda dD, M: M @ dD.T, "missing-path"),
]
