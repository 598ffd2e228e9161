"""What people write shorter: `(Xᵀ A)ᵀ` is `Aᵀ X`, `sum(eye * A)` is `trace(A)`.

Each is an identity of real numbers where both sides are defined.
"""

from itertools import permutations

from layouts.show.value import MOST_OPERANDS, Shape, Value, identity_size, is_call, reduces
from layouts.show.values import Values

# A transpose looks so many levels into a product or a sum.
DEPTH = 6


def turn(values: Values, matrix: Value) -> Value:
    """The transpose of a matrix, taken to its parts where that leaves fewer transposes.

    Args:
        values: makes the result.
        matrix: an array of two axes.

    Example:
        >>> values = Values()
        >>> X, A = values.name("X", (4, 3)), values.name("A", (4, 5))
        >>> product = values.make("matmul", (turn(values, X), A), (), (3, 5))
        >>> turned = turn(values, product)
        >>> turned.head, turned.operands == (turn(values, A), X)
        ('matmul', True)
    """
    if matrix.head == "transpose":
        return matrix.operands[0]
    if identity_size(matrix):
        return matrix
    parts, turned = _transposes(matrix, DEPTH)
    if 2 * turned >= parts and _is_open(matrix):
        return _turned(values, matrix)
    return values.make("transpose", (matrix,), (), matrix.shape[::-1])


def _is_open(matrix: Value) -> bool:
    """Whether its transpose is made of those of its parts."""
    if matrix.head == "sum":
        fits = all(operand.shape in ((), matrix.shape) for operand in matrix.operands)
        return fits and len(matrix.operands) <= MOST_OPERANDS
    if matrix.head == "product":
        return all(_along(v, matrix.shape) for v in matrix.operands)
    return matrix.head == "matmul" and all(len(v.shape) == 2 for v in matrix.operands)


def _along(value: Value, shape: Shape) -> bool:
    """Whether a factor of a matrix is a number, a matrix, a row or a column."""
    column = value.head == "index" and value.detail == (":", "None")
    return value.shape in ((), shape, shape[1:]) or (column and value.shape[0] == shape[0])


def _transposes(matrix: Value, depth: int) -> tuple[int, int]:
    """Of how many parts it is made, and how many of these are transposed."""
    if len(matrix.shape) < 2 or identity_size(matrix) or 1 in matrix.shape:
        return 0, 0
    if not _is_open(matrix) or depth == 0:
        return 1, int(matrix.head == "transpose")
    inner = [_transposes(operand, depth - 1) for operand in matrix.operands]
    return sum(parts for parts, _ in inner), sum(turned for _, turned in inner)


def _turned(values: Values, matrix: Value) -> Value:
    """The transpose of a product or a sum by those of its parts."""
    if matrix.head == "product":
        parts = [_turned_factor(values, v) for v in matrix.operands]
        return values.multiply(zip(parts, matrix.detail, strict=True))
    parts = [turn(values, v) if v.shape else v for v in matrix.operands]
    if matrix.head == "sum":
        return values.add(zip(matrix.detail, parts, strict=True))
    return values.make("matmul", parts[::-1], (), matrix.shape[::-1])


def _turned_factor(values: Values, value: Value) -> Value:
    """A row as a column, a column as a row, a matrix turned."""
    if len(value.shape) == 2 and value.shape[1] == 1 and value.head == "index":
        return value.operands[0]
    if len(value.shape) == 1:
        return values.make("index", (value,), (":", "None"), (*value.shape, 1))
    return turn(values, value) if value.shape else value


def inverse(values: Values, matrix: Value) -> Value:
    """The inverse of a matrix; of a transpose, the transpose of the inverse."""
    if identity_size(matrix):
        return matrix
    if matrix.head == "transpose":
        return turn(values, inverse(values, matrix.operands[0]))
    if is_call(matrix, "inv"):
        return matrix.operands[0]
    return values.call("inv", [matrix], [], matrix.shape)


def traced(values: Values, value: Value) -> Value | None:
    """The A of `where(eye, A, 0)` and of `eye * A`, whose sum is the trace of A."""
    if len(value.shape) != 2:
        return None
    if is_call(value, "where") and value.operands[2] is values.number(0):
        condition, matrix, _ = value.operands
        diagonal = identity_size(values.indicator(condition))
        return matrix if diagonal and matrix.shape == value.shape else None
    if value.head == "product" and value.detail == (1, 1):
        for one, matrix in permutations(value.operands):
            if identity_size(one) and matrix.shape == one.shape:
                return matrix
    return None


def diagonal(values: Values, value: Value) -> Value:
    """`where(eye, x[:, None], 0)` is `diag(x)`; all else is as it was."""
    if len(value.shape) == 2 and is_call(value, "where"):
        condition, column, zero = value.operands
        if zero is values.number(0) and identity_size(values.indicator(condition)):
            if column.shape == ():
                return values.multiply([(values.indicator(condition), 1), (column, 1)])
            if column.head == "index" and column.detail == (":", "None"):
                return values.call("diag", column.operands, [], value.shape)
    return value


def stepped(values: Values, value: Value) -> Value:
    """`where(x > y, 1, where(x == y, 1/2, 0))` is `heaviside(x - y, 1/2)`, a maximum's slope."""
    if not is_call(value, "where"):
        return value
    above, one, rest = value.operands
    half = [values.number(0.5), values.number(0)]
    if above.detail != (">",) or one is not values.number(1) or not is_call(rest, "where"):
        return value
    even = rest.operands[0]
    if even.detail != ("==",) or {*even.operands} != {*above.operands}:
        return value
    if [*rest.operands[1:]] != half:
        return value
    apart = values.add(zip((1, -1), above.operands, strict=True))
    return values.map("heaviside", apart, values.number(0.5))


def logarithm(values: Values, value: Value) -> Value:
    """The logarithm; `log(sum(exp(x - max(x))))` is `logsumexp(x) - max(x)`."""
    total = value.operands[0] if value.head == "index" else value
    if is_call(value, "softmax"):
        return values.call("log_softmax", value.operands, value.detail[1:], value.shape)
    if value.head == "sum" and value.detail == (1, 1):  # log(1 + exp(x))
        for one, power in permutations(value.operands):
            if one is values.number(1) and is_call(power, "exp"):
                return values.map("softplus", *power.operands)
    if total.head != "call" or not is_call(total, "sum") or not is_call(total.operands[0], "exp"):
        return values.map("log", value)
    options = total.detail[1:]
    x = unshifted = total.operands[0].operands[0]
    terms = list(zip(x.detail, x.operands, strict=True)) if x.head == "sum" else []
    for place, (coefficient, peak) in enumerate(terms):
        rest = values.add(terms[:place] + terms[place + 1 :])
        if coefficient == -1 and rest.shape == x.shape and reduces("max", peak, rest, options):
            unshifted = rest
    found = [values.call("logsumexp", [unshifted], options, total.shape)]
    if unshifted is not x:
        found.append(values.call("max", [unshifted], options, total.shape))
    if value.head == "index":
        found = [values.make("index", [v], value.detail, value.shape) for v in found]
    return values.add(zip((1, -1), found, strict=False))


def root(values: Values, value: Value) -> Value:
    """The square root; of `sum(x²)` it is `norm(x)`."""
    if value.head == "matmul" and value.operands[0] is value.operands[1] and value.shape == ():
        return values.call("norm", value.operands[:1], [], ())
    if is_call(value, "sum") and value.head == "call":
        (square,), options = value.operands, value.detail[1:]
        powers = square.detail if square.head == "product" else ()
        several = any("(" in option for option in options) and len(square.shape) > 2
        if powers and all(power % 2 == 0 for power in powers) and not several:
            halves = [power // 2 for power in powers]
            x = values.multiply(zip(square.operands, halves, strict=True))
            if x.shape == square.shape:
                return values.call("norm", [x], options, value.shape)
    return values.map("sqrt", value)
