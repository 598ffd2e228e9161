"""Random derivatives in index notation: sums of products of entries and deltas."""

import jax
import numpy as np
from hypothesis import strategies as st

from layouts.formulas.evaluating import evaluate
from layouts.formulas.summands import Summand
from layouts.formulas.tree import (
    Call,
    Delta,
    Entry,
    Letter,
    Name,
    Number,
    Product,
    Quotient,
    Sum,
    Transpose,
    View,
)

# Two letters of each size and one of each alone, so that deltas, squares and oblongs all come.
FREE = {text: Letter(text, size) for text, size in zip("ijkl", (3, 2, 3, 2), strict=True)}
INNER = tuple(Letter(text, size) for text, size in zip("mnuv", (3, 2, 5, 3), strict=True))
_RNG = np.random.default_rng(11)
_SIZES = (2, 3, 5)
# Those of a size of one are what letters leave out.
_SHAPES = [(), (1,), *((n,) for n in _SIZES), *((n, m) for n in (1, *_SIZES) for m in (1, *_SIZES))]
ARRAYS = {
    f"{text}{''.join(map(str, shape))}": _RNG.uniform(0.5, 1.5, shape) * _RNG.choice([-1, 1], shape)
    for shape in _SHAPES
    for text in ("a", "b", "dL/da")
}


def _name(text: str, shape: tuple[int, ...]) -> Name:
    return Name(f"{text}{''.join(map(str, shape))}")


def shape_of(formula):
    """The shape of a formula of these arrays."""
    return jax.eval_shape(lambda: evaluate(formula, ARRAYS)).shape


@st.composite
def arrays(draw, shape):
    """A formula for an array of a shape: mostly a name, sometimes what is made of names."""
    a, b = _name("a", shape), _name("b", shape)
    n = shape[0] if shape else 3
    square, vector = _name("a", (n, n)), _name("b", (n,))
    number = Product("matrix", (Transpose(vector), vector))
    made = [
        Sum((1, -0.5), (a, b)),
        Sum((-2,), (a,)),
        Quotient(a, _name("b", ())),
        Quotient(Number(1), b),
        Product("entrywise", (a, b)),
        Call("tanh", (a,)),
        Product("matrix", (number, a)),
        Sum((3,), (Product("matrix", (_name("a", ()), b)),)),
    ]
    if len(shape) == 2:
        made += [Transpose(_name("a", shape[::-1]))]
    if shape and shape[0] > 1:
        made += [
            Product("matrix", (square, a)),
            Product("matrix", (Transpose(square), Sum((1, 1), (a, b)))),
            Sum((1, -0.5), (Product("matrix", (Transpose(square), a)), b)),
        ]
    if len(shape) == 1:
        wide = View(_name("a", (n, 2)), (":", "0"))
        made += [
            Call("tanh", (View(_name("a", (n, 1)), (":", "0")),), (), 1),
            Call("tanh", (wide,)),
        ]
    if shape == ():
        made += [number, Quotient(Number(1), number)]
    return draw(st.sampled_from([a, a, b, b, *made]))


@st.composite
def products(draw, target):
    """A product of one to four factors of rank two at most over some letters."""
    letters = [FREE[name] for name in target if name]
    pool = [*letters, *letters, *INNER]
    factors, deltas = [], []
    for _ in range(draw(st.integers(0 if target else 1, 4))):
        rank = draw(st.sampled_from([0, 1, 1, 2, 2, 2]))
        indices = tuple(
            draw(
                st.sampled_from([Number(0), *pool])
                if draw(st.booleans())
                else st.sampled_from(pool)
            )
            for _ in range(rank)
        )
        if rank == 2 and draw(st.integers(0, 5)) == 0:
            left, right = indices
            if isinstance(left, Letter) and isinstance(right, Letter) and left.size == right.size:
                deltas.append(Delta(left, right))
                continue
        shape = tuple(n.size if isinstance(n, Letter) else 1 for n in indices)
        if Number(0) in indices and draw(st.booleans()):  # of a larger array
            indices = tuple(
                Number(draw(st.sampled_from([0, 1]))) if n == Number(0) else n for n in indices
            )
            shape = tuple(n.size if isinstance(n, Letter) else 3 for n in indices)
        factors.append(Entry(draw(arrays(shape)), indices))
    body = Summand(draw(st.sampled_from([1, 1, -1, 2, 0.5])), (), tuple(deltas), tuple(factors))
    return body.over([n for n in INNER if n in body.letters])


def sums(target):
    """One to three products over the same free letters."""
    return st.lists(products(target), min_size=1, max_size=3)


def einsum(summands, letters):
    """The value of a sum as an array over letters, by NumPy's einsum."""
    total = np.zeros([letter.size for letter in letters])
    names = {letter: chr(97 + n) for n, letter in enumerate([*FREE.values(), *INNER])}
    for summand in summands:
        parts, operands = [], []
        for delta in summand.deltas:
            parts.append(names[delta.left] + names[delta.right])
            operands.append(np.eye(delta.left.size))
        for factor in summand.factors:
            value = np.asarray(evaluate(factor.array, ARRAYS))
            value = value[
                tuple(slice(None) if isinstance(n, Letter) else n.value for n in factor.indices)
            ]
            parts.append("".join(names[n] for n in factor.indices if isinstance(n, Letter)))
            operands.append(value)
        for letter in letters:
            parts.append(names[letter])
            operands.append(np.ones(letter.size))
        out = "".join(names[letter] for letter in letters)
        total = total + summand.coefficient * np.einsum(",".join(parts) + "->" + out, *operands)
    return total
