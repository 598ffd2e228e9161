"""Random small programs: elementwise, products, transposes, reshapes, broadcasts, sums, reuse."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

MOST_ENTRIES = 36
SIZES = (1, 2, 3, 4, 5, 6)

UNARY: dict[str, Callable] = {
    "sin": jnp.sin,
    "tanh": jnp.tanh,
    "square": lambda x: 0.5 * x**2,
    "neg": lambda x: -x,
    "third": lambda x: x / 3,
    "relu": jax.nn.relu,
    "softmax": lambda x: jax.nn.softmax(x, axis=-1) if x.ndim else x,
}
BINARY: dict[str, Callable] = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": lambda x, y: x / (2 + jnp.cos(y)),
    "where": lambda x, y: jnp.where(x > y, x, 0.3 * y),
}
WITHOUT_RULE: dict[str, Callable] = {
    "cumsum": lambda x: jnp.cumsum(x, axis=0),
    "flip": lambda x: jnp.flip(x, axis=0),
    "drop": lambda x: x[1:] if x.shape[0] > 1 else x,
    "pad": lambda x: jnp.pad(x, [(1, 0)] + [(0, 0)] * (x.ndim - 1)),
    "twice": lambda x: jnp.concatenate([x, 2 * x]),
}


@dataclass(frozen=True)
class Step:
    """One line of a program: a function of values computed earlier."""

    text: str
    function: Callable
    operands: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A function written line by line; its text is what a failing example shows."""

    inputs: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def __call__(self, *inputs: jax.Array) -> list[jax.Array]:
        """Run it."""
        values = list(inputs)
        for step in self.steps:
            values.append(step.function(*(values[n] for n in step.operands)))
        return [values[n] for n in self.outputs]

    def __repr__(self) -> str:
        lines = [f"v{n} = input{shape}" for n, shape in enumerate(self.inputs)]
        for n, step in enumerate(self.steps, len(self.inputs)):
            operands = ", ".join(f"v{place}" for place in step.operands)
            lines.append(f"v{n} = {step.text}({operands})  # {step.shape}")
        return "\n".join([*lines, f"return {self.outputs}"])

    def args(self) -> tuple[jax.Array, ...]:
        """Random inputs, the same at every call."""
        rng = np.random.default_rng(len(self.steps))
        return tuple(jnp.asarray(rng.standard_normal(shape)) for shape in self.inputs)


def shapes(most_axes: int = 3) -> st.SearchStrategy:
    """Shapes of few entries."""
    axes = st.lists(st.sampled_from(SIZES), max_size=most_axes).map(tuple)
    return axes.filter(lambda shape: prod(shape) <= MOST_ENTRIES)


@st.composite
def factorisations(draw: Any, size: int) -> tuple[int, ...]:
    """A shape of this size, axes of size one among them."""
    shape = []
    while size > 1:
        shape.append(draw(st.sampled_from([n for n in range(2, size + 1) if size % n == 0])))
        size //= shape[-1]
    for _ in range(draw(st.integers(0, 1))):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return tuple(draw(st.permutations(shape)))


@st.composite
def _unary(draw: Any, shape: tuple[int, ...], opaque: bool) -> tuple[str, Callable]:
    """A step on one value."""
    kinds = ["elementwise", "transpose", "reshape", "broadcast", "matrix"]
    kinds += ["sum", "max"] if shape else []
    kinds += ["without rule"] if shape and opaque else []
    kind = draw(st.sampled_from(kinds))
    if kind == "elementwise":
        name = draw(st.sampled_from(sorted(UNARY)))
        return name, UNARY[name]
    if kind == "without rule":
        name = draw(st.sampled_from(sorted(WITHOUT_RULE)))
        return name, WITHOUT_RULE[name]
    if kind == "transpose":
        order = tuple(draw(st.permutations(range(len(shape)))))
        return f"transpose{order}", lambda x: jnp.transpose(x, order)
    if kind == "reshape":
        target = draw(factorisations(prod(shape)))
        return f"reshape{target}", lambda x: jnp.reshape(x, target)
    if kind == "broadcast":
        place, size = draw(st.integers(0, len(shape))), draw(st.sampled_from(SIZES))
        target = (*shape[:place], size, *shape[place:])
        return f"broadcast{target}", lambda x: jnp.broadcast_to(jnp.expand_dims(x, place), target)
    if kind == "matrix":
        rows = draw(st.sampled_from(SIZES))
        columns = shape[-1] if shape else 1
        A = jnp.asarray(np.random.default_rng(rows).standard_normal((columns, rows)))
        return f"times{A.shape}", lambda x: (x if x.ndim else x[None]) @ A
    axis, kept = draw(st.integers(0, len(shape) - 1)), draw(st.booleans())
    reduce = jnp.sum if kind == "sum" else jnp.max
    return f"{kind} over {axis}, kept={kept}", lambda x: reduce(x, axis=axis, keepdims=kept)


@st.composite
def _binary(draw: Any, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[str, Callable]:
    """A step on two values: elementwise where they broadcast, else a product over equal axes."""
    fits = len(left) == len(right) and all(
        a == b or 1 in (a, b) for a, b in zip(left, right, strict=True)
    )
    if fits and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(BINARY)))
        return name, BINARY[name]
    pairs = [(i, j) for i, a in enumerate(left) for j, b in enumerate(right) if a == b]
    chosen: list[tuple[int, int]] = []
    for pair in draw(st.permutations(pairs)) if pairs else []:
        if all(pair[0] != i and pair[1] != j for i, j in chosen):
            chosen.append(pair)
    batch = draw(st.integers(0, len(chosen)))
    numbers = (
        (tuple(i for i, _ in chosen[batch:]), tuple(j for _, j in chosen[batch:])),
        (tuple(i for i, _ in chosen[:batch]), tuple(j for _, j in chosen[:batch])),
    )
    return f"dot_general{numbers}", lambda x, y: 0.5 * lax.dot_general(x, y, numbers)


@st.composite
def programs(draw: Any, most_steps: int = 8, opaque: bool = True) -> Program:
    """A random program of one or two inputs and outputs.

    Args:
        draw: hypothesis's.
        most_steps: how many lines at most.
        opaque: whether primitives without a rule may occur.
    """
    inputs = draw(st.lists(shapes(), min_size=1, max_size=2))
    known, steps = list(inputs), []
    for _ in range(draw(st.integers(1, most_steps))):
        # The latest values oftener, so that programs run deep.
        operands = (draw(st.integers(max(0, len(known) - 3), len(known) - 1)),)
        if draw(st.booleans()):
            operands += (draw(st.integers(0, len(known) - 1)),)
            text, function = draw(_binary(known[operands[0]], known[operands[1]]))
        else:
            text, function = draw(_unary(known[operands[0]], opaque))
        structs = (jax.ShapeDtypeStruct(known[n], float) for n in operands)
        shape = jax.eval_shape(function, *structs).shape
        if prod(shape) <= MOST_ENTRIES:
            steps.append(Step(text, function, operands, shape))
            known.append(shape)
    last = len(known) - 1
    outputs = (last, *draw(st.lists(st.integers(0, last), max_size=1)))
    return Program(tuple(inputs), tuple(steps), outputs)
