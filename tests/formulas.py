"""Reads the formulas that `layouts` prints and evaluates them: the oracle of everything printed."""

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = Mapping[str, np.ndarray]

POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
GELU_SLOPE = jnp.vectorize(jax.grad(jax.nn.gelu))
SILU_SLOPE = jnp.vectorize(jax.grad(jax.nn.silu))
ELU_SLOPE = jnp.vectorize(jax.grad(jax.nn.elu))


class _Indicator:
    def __getitem__(self, condition: Any) -> Any:
        return jnp.where(condition, 1.0, 0.0)


_FUNCTIONS = {
    **{name: getattr(jnp, name) for name in dir(jnp) if not name.startswith("_")},
    **{
        name: getattr(jax.nn, name)
        for name in ("relu", "sigmoid", "softmax", "gelu", "silu", "logsumexp", "log_softmax")
    },
    **{name: getattr(jnp.linalg, name) for name in ("det", "inv", "norm")},
    "logdet": lambda A: jnp.linalg.slogdet(A).logabsdet,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    **{name: getattr(jax.lax, name) for name in ("erf", "erfc", "cummax", "cummin")},
    "gelu_slope": GELU_SLOPE,
    "silu_slope": SILU_SLOPE,
    "elu_slope": ELU_SLOPE,
    "indicator": _Indicator(),
}


def expression(text: str, arrays: Arrays) -> np.ndarray:
    """The value of a definition such as `1[W @ X + b > 0]`."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda match: "**" + match[0].translate(POWERS), text)
    text = re.sub(r"(?<![A-Za-z0-9_])1\[", "indicator[", text)
    text = text.replace("ᵀ", ".T").replace("′", "_slope")
    with jax.numpy_rank_promotion("allow"):
        return np.asarray(eval(text, {**_FUNCTIONS, **arrays}))


def letters(definitions: Any, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of all letters; the parts that they are written with come last in the list."""
    known = dict(arrays)
    parts = [d for d in definitions if re.fullmatch("z[0-9]+", d.name)]
    for definition in [*parts, *(d for d in definitions if d not in parts)]:
        value = expression(definition.text, known)
        known[definition.name] = value.reshape(definition.shape)
    return known


def indexed(formula: str, arrays: Arrays, shape: tuple[int, ...]) -> np.ndarray:
    """The array of `dD[i,j]/dW[k,l] = δ[i,k] X[l,j]`, its axes those of the left side in order.

    Every axis is one letter; a letter that no factor carries runs over ones, or is summed over.
    """
    head, _, body = formula.partition(" = ")
    if body == "0":
        return np.zeros(shape)
    free = [letter for group in re.findall(r"\[(.*?)\]", head) for letter in group.split(",")]
    size = {letter: n for letter, n in zip(free, shape, strict=True) if letter != "0"}
    total = np.zeros(shape)
    for sign, term in re.findall(r"([+-] |^)(.*?)(?= [+-] |$)", re.sub("^-", "- ", body)):
        number, operands = (-1.0 if sign == "- " else 1.0), []
        words = [word.removesuffix("]").partition("[") for word in term.split()]
        for name, _, inside in words:
            if name in arrays:
                array = arrays[name].squeeze()
                axes = [axis for axis in inside.split(",") if axis not in ("0", "")]
                size |= dict(zip(axes, array.shape, strict=True))
                operands.append((array, axes))
        for name, _, inside in words:
            if name in ("δ", ""):
                operands.append(_condition(inside, size, arrays))
            elif name not in arrays and not name.startswith("Σ"):
                above, _, below = name.partition("/")
                number *= float(above) / float(below or 1)
        kept = [axis for axis in free if axis != "0"]
        operands += [(np.ones(size[axis]), [axis]) for axis in kept] + [(np.ones(()), [])]
        used = sorted({axis for _, axes in operands for axis in axes})
        code = {axis: chr(97 + n) for n, axis in enumerate(used)}
        inputs = ",".join("".join(code[axis] for axis in axes) for _, axes in operands)
        output = "".join(code[axis] for axis in kept)
        product = np.einsum(f"{inputs}->{output}", *(array for array, _ in operands))
        total += number * product.reshape(shape)
    return total


def _condition(text: str, size: Mapping[str, int], arrays: Arrays) -> tuple[np.ndarray, list[str]]:
    """Ones where `i+2,k` are equal, or where `1≤k<3` holds, over the letters in it."""
    used = [letter for letter in size if re.search(rf"(?<![A-Z]){letter}(?!\w)", text)]
    places = np.meshgrid(*(np.arange(size[letter]) for letter in used), indexing="ij")
    text = re.sub(r"(\d)([a-z])", r"\1*\2", text.replace("≤", "<="))
    if "<" in text:
        first, letter, last = re.split("<=|<", text)
        text = f"({first} <= {letter}) & ({letter} < {last})"
    else:
        text = "==".join(text.split(","))
    known = {**arrays, **dict(zip(used, places, strict=True))}
    return np.asarray(eval(text, known), float) * np.ones([size[n] for n in used]), used


class _Matrix:
    """A product of matrices, multiplied when it is asked for: ones have their neighbour's size."""

    def __init__(self, array: Any, *factors: "_Matrix"):
        self.factors = factors
        self.known = None if factors else np.atleast_2d(array)

    @property
    def array(self) -> np.ndarray:
        if self.known is None:
            arrays = [factor.array for factor in self.factors]
            for place, array in enumerate(arrays):
                if array is ONES.array and place > 0:
                    arrays[place] = np.ones((arrays[place - 1].shape[1], 1))
            for place in reversed(range(len(arrays))):
                if arrays[place] is ONES_ROW.array and place + 1 < len(arrays):
                    arrays[place] = np.ones((1, arrays[place + 1].shape[0]))
            self.known = reduce(self.times, arrays)
        return self.known

    @staticmethod
    def times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return left * right if 1 in (left.size, right.size) else left @ right

    @property
    def T(self) -> "_Matrix":
        return {id(ONES): ONES_ROW, id(ONES_ROW): ONES}.get(id(self)) or _Matrix(self.array.T)

    def __matmul__(self, other: "_Matrix") -> "_Matrix":
        return _Matrix(None, *(self.factors or (self,)), *(other.factors or (other,)))

    def __mul__(self, other: "_Matrix") -> "_Matrix":
        assert self.array.shape == other.array.shape
        return _Matrix(self.array * other.array)

    def __add__(self, other: "_Matrix") -> "_Matrix":
        return _Matrix(self.array + other.array)

    def __sub__(self, other: "_Matrix") -> "_Matrix":
        return _Matrix(self.array - other.array)

    def __neg__(self) -> "_Matrix":
        return _Matrix(-1.0) @ self


# Ones repeat along an axis that no neighbour gives a size.
ONES, ONES_ROW = _Matrix(np.ones((1, 1))), _Matrix(np.ones((1, 1)))


def _columns(arrays: Arrays) -> dict[str, Any]:
    return {
        name: _Matrix(array if array.ndim == 2 else array.reshape(-1, 1))
        for name, array in arrays.items()
        if array.ndim <= 2
    }


def _diag(vector: _Matrix) -> _Matrix:
    assert 1 in vector.array.shape
    return _Matrix(np.diag(vector.array.reshape(-1)))


def _juxtaposed(text: str, sign: str) -> str:
    """Python's operator where two operands stand side by side."""
    return re.sub(r"(?<=[\w)\]]) (?=[\w(])", f" {sign} ", text)


def _numbers(text: str) -> str:
    return re.sub(r"(?<![\w.(\[])([0-9.]+(/[0-9.]+)?)(?= )", r"number(\1)", text)


def matrices(
    rule: str, arrays: Arrays, cotangent: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """The array of `∂L/∂W = (∂L/∂D ⊙ A) Xᵀ`."""
    _, _, text = rule.partition(" = ")
    if text == "0":
        return np.zeros(shape)
    text = re.sub(r"\(∂L/∂\w+\)ᵀ", "COTANGENT.T", text)
    text = _numbers(re.sub(r"∂L/∂\w+", "COTANGENT", text)).replace("𝟏", "ONES").replace("ᵀ", ".T")
    text = _juxtaposed(text, "@").replace("⊙", "*")
    names = {**_columns({**arrays, "COTANGENT": cotangent}), "ONES": ONES}
    # The product by juxtaposition binds more tightly than ⊙, which always stands in parentheses.
    found = eval(text, {**names, "diag": _diag, "number": lambda x: _Matrix(np.float64(x))})
    rows, cols = shape if len(shape) == 2 else (*shape, 1, 1)[:2]
    return np.broadcast_to(found.array, (rows, cols)).reshape(shape)


class _Kronecker:
    """A matrix whose `*` is ⊗ and whose `**` is the product."""

    def __init__(self, array: Any):
        self.array = np.atleast_2d(array)

    def __mul__(self, other: "_Kronecker") -> "_Kronecker":
        return _Kronecker(np.kron(self.array, other.array))

    def __pow__(self, other: "_Kronecker") -> "_Kronecker":
        return _Kronecker(_Matrix.times(self.array, other.array))

    def __add__(self, other: "_Kronecker") -> "_Kronecker":
        return _Kronecker(self.array + other.array)

    def __sub__(self, other: "_Kronecker") -> "_Kronecker":
        return _Kronecker(self.array - other.array)

    def __neg__(self) -> "_Kronecker":
        return _Kronecker(-self.array)

    @property
    def T(self) -> "_Kronecker":
        return _Kronecker(self.array.T)


def kronecker(text: str, arrays: Arrays, vec: str) -> np.ndarray:
    """The matrix of `diag(vec(A)) (I₄ ⊗ Xᵀ)`."""
    if text == "0":
        return np.zeros(())
    text = _numbers(text)
    text = re.sub(r"𝟏\((\d+)×(\d+)\)", r"ones(\1,\2)", text)
    text = re.sub("𝟏([₀-₉]+)", lambda match: f"ones({match[1].translate(DIGITS)},1)", text)
    text = re.sub("I([₀-₉]+)", lambda match: f"eye({match[1].translate(DIGITS)})", text)
    text = _juxtaposed(text.replace("ᵀ", ".T"), "**").replace("⊗", "*")
    text = re.sub("^(-?)1$", r"\1eye(1)", text)
    names = {name: _Kronecker(matrix.array) for name, matrix in _columns(arrays).items()}

    def stack(matrix: _Kronecker) -> _Kronecker:
        array = matrix.array if vec == "rows" else matrix.array.T
        return _Kronecker(array.reshape(-1, 1))

    functions = {
        "vec": stack,
        "diag": lambda vector: _Kronecker(_diag(vector).array),
        "eye": lambda n: _Kronecker(np.eye(n)),
        "ones": lambda m, n: _Kronecker(np.ones((m, n))),
        "number": lambda x: _Kronecker(np.float64(x)),
    }
    return eval(text, {**names, **functions}).array
