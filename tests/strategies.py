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
    "cummax": lambda x: jax.lax.cummax(x, axis=0),
    "lower triangle": lambda x: jnp.tril(x) if x.ndim > 1 else x,
    "diagonal": lambda x: jnp.diagonal(x) if x.ndim > 1 else jnp.diag(x),
    "sort": lambda x: jnp.sort(x, axis=-1),
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


SELECTIONS = [
    "slice",
    "difference",
    "pad",
    "take",
    "fancy",
    "one",
    "add-at",
    "set-at",
    "scatter",
    "join",
    "stack",
    "split",
    "repeat",
    "tile",
    "flip",
    "roll",
    "weighted",
    "by-value",
    "window-by-value",
]


@st.composite
def _selection(draw: Any, shape: tuple[int, ...]) -> tuple[str, Callable]:
    """A step that picks, places, repeats or reverses entries along one axis."""
    axis = draw(st.integers(0, len(shape) - 1))
    extent = shape[axis]
    before = (slice(None),) * axis
    kind = draw(st.sampled_from(SELECTIONS))
    places = draw(st.lists(st.integers(-extent, extent - 1), min_size=1, max_size=4))
    beyond = np.array(places) * 2
    where = np.array(places)
    if kind == "slice":
        start, stop = draw(st.integers(0, extent - 1)), draw(st.integers(0, extent))
        step = draw(st.sampled_from([1, 2, 3, -1, -2]))
        cut = slice(start, stop, step) if start < stop and step > 0 else slice(None, None, step)
        return f"[{cut}] on {axis}", lambda x: x[(*before, cut)]
    if kind == "difference":
        return f"difference on {axis}", lambda x: x - jnp.roll(x, 1, axis)
    if kind == "pad":
        low, high = draw(st.integers(-1, 2)), draw(st.integers(-1, 2))
        inside = draw(st.integers(0, 2))
        if low + high + extent + inside * (extent - 1) < 1:
            low = high = 0
        sides = [(low, high, inside) if n == axis else (0, 0, 0) for n in range(len(shape))]
        return f"pad{sides}", lambda x: lax.pad(x, 0.0, sides)
    if kind == "take":
        mode = draw(st.sampled_from(["clip", "wrap", "fill"]))
        return (
            f"take {beyond} on {axis}, {mode}",
            lambda x: jnp.take(x, beyond, axis, mode=mode, fill_value=0.0),
        )
    if kind == "fancy":
        return f"[{where}] on {axis}", lambda x: x[(*before, where)]
    if kind == "one":
        return f"[{places[0]}] on {axis}", lambda x: x[(*before, places[0])]
    if kind == "by-value":
        return (
            f"argmax on {axis}",
            lambda x: lax.dynamic_slice_in_dim(x, jnp.argmax(x.ravel()) % extent, 1, axis),
        )
    if kind == "window-by-value":
        width = draw(st.integers(1, extent))
        return (
            f"window of {width} by value on {axis}",
            lambda x: lax.dynamic_slice_in_dim(x, jnp.argmin(x.ravel()) - 1, width, axis),
        )
    if kind == "add-at":
        return (
            f"at {where} add on {axis}",
            lambda x: x.at[(*before, where)].add(0.5 * x[(*before, where[::-1])]),
        )
    if kind == "set-at":
        return f"at {places[0]} set on {axis}", lambda x: x.at[(*before, places[0])].set(2.0)
    if kind == "scatter":
        target = np.abs(np.arange(extent) * places[0]) % 3
        return (
            f"scatter {target} on {axis}",
            lambda x: (
                jnp.zeros((*x.shape[:axis], 3, *x.shape[axis + 1 :])).at[(*before, target)].add(x)
            ),
        )
    repeated = {
        "join": lambda x: jnp.concatenate([x, 2 * x, x[(*before, slice(0, 0))]], axis),
        "stack": lambda x: jnp.stack([x, jnp.sin(x)], axis),
        "split": lambda x: jnp.split(x, [extent // 2], axis)[1],
        "repeat": lambda x: jnp.repeat(x, 2, axis),
        "tile": lambda x: jnp.tile(x, (2,) + (1,) * (x.ndim - 1)),
        "flip": lambda x: jnp.flip(x, axis),
        "roll": lambda x: jnp.roll(x, places[0], axis),
        "weighted": lambda x: x * x[(*before, slice(None, None, -1))],
    }
    return f"{kind} on {axis}", repeated[kind]


@st.composite
def _unary(draw: Any, shape: tuple[int, ...], opaque: bool) -> tuple[str, Callable]:
    """A step on one value."""
    kinds = ["elementwise", "transpose", "reshape", "broadcast", "matrix"]
    kinds += ["sum", "max"] if shape else []
    kinds += ["selection", "selection"] if shape and prod(shape) else []
    kinds += ["without rule"] if shape and opaque else []
    kind = draw(st.sampled_from(kinds))
    if kind == "elementwise":
        name = draw(st.sampled_from(sorted(UNARY)))
        return name, UNARY[name]
    if kind == "selection":
        return draw(_selection(shape))
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
