# ruff: noqa: E501 - a template is one line
"""Random programs, written as Python: each is run, differentiated in every order, and compared.

A longer search than the tests make, which prints a failing program, shrunk, as a script:

    python -m tests.fuzz --minutes 10 --seed 7
"""

import argparse
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

from layouts import Jacobian, hessian, jacobian
from tests.oracle import distinct_orders

MOST_ENTRIES = 48
SIZES = (2, 3, 5, 4, 1)
SHAPES = ((2,), (3, 2), (5,), (2, 3), (3, 5), (2, 3, 4), (6,), (4, 4), (3, 1), (), (2, 1, 5), (12,))
LENGTHS = (1, 2, 3, 5, 6, 7, 8, 9, 10, 11)
TOLERANCE = 1e-9

Shape = tuple[int, ...]

HEADER = """\
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import layouts

jax.config.update("jax_enable_x64", True)

"""
FOOTER = """

rng = np.random.default_rng(0)
args = [jnp.asarray(rng.standard_normal(shape)) for shape in {inputs}]
numbers = tuple(range(len(args)))
wanted = jax.jacrev(program, numbers)(*args)
for order in ("auto", "forward", "reverse"):
    found = layouts.jacobian(program, numbers, order=order)(*args)
    apart = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b), initial=0)), found, wanted)
    print(order, apart)
"""


@dataclass(frozen=True)
class Program:
    """A function as text, one assignment a line.

    Attributes:
        inputs: shapes of the arguments v0, v1, ...
        lines: the expressions of the values that follow.
        outputs: the numbers of the values returned.
    """

    inputs: tuple[Shape, ...]
    lines: tuple[str, ...]
    outputs: tuple[int, ...]

    @property
    def source(self) -> str:
        """The definition of `program`, without the lines that no output needs."""
        names = ", ".join(f"v{n}" for n in range(len(self.inputs)))
        head = [f"def program({names}):  # {', '.join(map(str, self.inputs))}"]
        lines = list(enumerate(self.lines, len(self.inputs)))
        used = set(self.outputs)
        for n, line in reversed(lines):
            used |= (
                {int(digits) for digits in re.findall(r"\bv(\d+)", line)} if n in used else set()
            )
        body = [f"    v{n} = {line}" for n, line in lines if n in used]
        returned = ", ".join(f"v{n}" for n in self.outputs)
        return "\n".join([*head, *body, f"    return [{returned}]"])

    @property
    def script(self) -> str:
        """A script that runs it and prints how far each order is from JAX."""
        return HEADER + self.source + FOOTER.replace("{inputs}", str(list(self.inputs)))

    @property
    def function(self) -> Callable:
        """The program as a function."""
        scope: dict[str, Any] = {"jax": jax, "jnp": jnp, "np": np, "lax": lax}
        exec(self.source, scope)
        return scope["program"]

    def args(self) -> list[jax.Array]:
        """The arguments that its script draws."""
        rng = np.random.default_rng(0)
        return [jnp.asarray(rng.standard_normal(shape)) for shape in self.inputs]

    def __repr__(self) -> str:
        return "\n" + self.source


UNARY = (
    "jnp.sin({x})",
    "jnp.tanh({x})",
    "-{x}",
    "{x} / 3",
    "0.5 * {x} * {x}",
    "jax.nn.relu({x})",
    "jnp.exp(-jnp.abs({x}))",
    "jnp.where({x} > 0.1, {x}, 0.2 * {x})",
)
BINARY = (
    "{x} + {y}",
    "{x} - 2 * {y}",
    "{x} * {y}",
    "{x} / (2 + jnp.cos({y}))",
    "jnp.maximum({x}, {y})",
    "jnp.where({x} > {y}, {x}, 0.3 * {y})",
    "lax.select({x} < {y}, jnp.sin({x}), {y} * {x})",
)
ALONG = (  # one axis
    "jnp.cumsum({x}, axis={n})",
    "jnp.sort({x}, axis={n})",
    "jnp.flip({x}, axis={n})",
    "jax.nn.softmax({x}, axis={n})",
    "jnp.sum({x}, axis={n})",
    "jnp.mean({x}, axis={n}, keepdims=True)",
    "jnp.max({x}, axis={n})",
    "jnp.repeat({x}, 2, axis={n})",
    "jnp.concatenate([{x}, jnp.sin({x})], axis={n})",
    "jnp.stack([{x}, 2 * {x}], axis={n})",
    "jnp.diff({x}, axis={n})",
    "jax.nn.logsumexp({x}, axis={n}, keepdims=True)",
    "jnp.linalg.norm({x}, axis={n}, keepdims=True)",
)
VECTORS = (  # with a last axis
    "lax.scan(lambda c, r: (jnp.tanh(c + r), c * r), 0.1 * {x}, jnp.stack([{x}, -{x}, {x} / 2]))[1]",
    "lax.fori_loop(0, 2, lambda n, t: jnp.sin(t) * {x}, {x})",
    "lax.map(jnp.tanh, {x})",
    "jnp.outer({x}, {x})",
    "jnp.fft.irfft(jnp.fft.rfft({x}, axis=-1) * (1 + 0.3j), axis=-1, n={last})",
    "jnp.fft.irfft(jnp.fft.rfft({x}, axis=-1) * jnp.exp(1j * jnp.sum({x})), axis=-1, n={last})",
    "jnp.real(jnp.exp(1j * {x}) * (0.3 - 1j) * jnp.sum(jnp.exp(2j * {x})))",
    "jnp.imag(1j * jnp.fft.fft(jnp.cumsum((1 + 2j) * {x}, axis=-1)) * {x})",
    "jnp.convolve(jnp.ravel({x}), np.array([0.5, -1.0, 0.3]))",
    "jnp.convolve(jnp.ravel({x}), jnp.sin(jnp.ravel({x})[:3]), mode='same')",
    "lax.reduce_window({x}, 0.0, lax.add, {window}, {strides}, 'VALID')",
    "lax.conv_general_dilated({x}.reshape(1, 1, -1), np.array([[[0.5, -1.0]]]), (1,), [(1, 0)])[0, 0]",
)
MATRICES = (  # of rank two
    "jnp.tril({x})",
    "jnp.diagonal({x})",
    "{x} @ {x}.T",
    "{x}.T @ jnp.tanh({x})",
    "jnp.linalg.solve(3 * jnp.eye({first}) + jnp.tanh({x} @ {x}.T), {x})",
    "lax.linalg.triangular_solve(4 * jnp.eye({first}) + jnp.tril({x} @ {x}.T), {x}, left_side=True, lower=True)",
    "jax.vmap(lambda r: r * r.sum())({x})",
    "jnp.einsum('ij,kj->ik', {x}, jnp.sin({x}))",
    "jnp.einsum('ij,ij->i', {x}, {x})",
)


@st.composite
def _reindexed(draw: Any, shape: Shape) -> str:
    """A pick or a placement of entries along one axis."""
    n = draw(st.integers(0, len(shape) - 1))
    extent, before = shape[n], ":, " * n
    places = draw(st.lists(st.integers(0, extent - 1), min_size=1, max_size=3))
    start = draw(st.integers(0, extent - 1))
    stop = draw(st.integers(start + 1, extent))
    step = draw(st.sampled_from([1, 2, -1]))
    sides = [(0, 0, 0)] * len(shape)
    sides[n] = (draw(st.integers(0, 2)), draw(st.integers(-1, 2)), draw(st.integers(0, 1)))
    return draw(
        st.sampled_from(
            [
                f"{{x}}[{before}{start}:{stop}]",
                f"{{x}}[{before}::{step}]",
                f"{{x}}[{before}{start}]",
                f"{{x}}[{before}np.array({places})]",
                f"jnp.roll({{x}}, {start + 1}, axis={n})",
                f"lax.pad({{x}}, 0.0, {sides})",
                f"{{x}}.at[{before}{start}].set(0.5)",
                f"{{x}}.at[{before}np.array({places})].add(jnp.sin({{x}}[{before}np.array({places})]))",
                f"{{x}}.at[{before}np.array({places})].multiply(2.0)",
                f"jnp.take({{x}}, jnp.argsort({{x}}.ravel())[:2] % {extent}, axis={n})",
                f"lax.dynamic_slice_in_dim({{x}}, jnp.argmax({{x}}.ravel()), {stop - start}, {n})",
                f"jnp.take_along_axis({{x}}, jnp.argsort({{x}}, axis={n}), axis={n})",
            ]
        )
    )


@st.composite
def _reshaped(draw: Any, shape: Shape) -> str:
    """Another shape of the same entries, or a new axis."""
    size, target = prod(shape), []
    while size > 1:
        target.append(draw(st.sampled_from([d for d in range(2, size + 1) if size % d == 0])))
        size //= target[-1]
    order = draw(st.permutations(range(len(shape))))
    place, extent = draw(st.integers(0, len(shape))), draw(st.sampled_from(SIZES))
    wide = (*shape[:place], extent, *shape[place:])
    return draw(
        st.sampled_from(
            [
                f"jnp.reshape({{x}}, {draw(st.permutations(target))})",
                f"jnp.transpose({{x}}, {list(order)})",
                f"jnp.broadcast_to(jnp.expand_dims({{x}}, {place}), {wide})",
            ]
        )
    )


@st.composite
def _one(draw: Any, shape: Shape) -> str:
    """An expression of one value x."""
    kinds: list[Any] = [st.sampled_from(UNARY)]
    if prod(shape):
        kinds.append(_reshaped(shape))
    if shape and prod(shape):
        kinds += [st.sampled_from(ALONG), _reindexed(shape)] * 2 + [st.sampled_from(VECTORS)]
    if len(shape) == 2 and prod(shape):
        kinds += [st.sampled_from(MATRICES)] * 2
    text = draw(draw(st.sampled_from(kinds)))
    words = {"first": shape[0], "last": shape[-1]} if shape else {}
    words["n"] = draw(st.integers(0, len(shape) - 1)) if shape else 0
    window = [min(2, extent) for extent in shape]
    words |= {"window": tuple(window), "strides": (1,) * len(shape)}
    return text.format(x="{x}", **words)


@st.composite
def _two(draw: Any, left: Shape, right: Shape) -> str:
    """An expression of two values x and y: elementwise where shapes agree, else a product."""
    fits = len(left) == len(right) and all(
        a == b or 1 in (a, b) for a, b in zip(left, right, strict=True)
    )
    if fits and draw(st.integers(0, 2)):
        return draw(st.sampled_from(BINARY if left == right else BINARY[:-1]))
    letters = iter("ijklmnopqrstuvw")
    one = [next(letters) for _ in left]
    two = [next(letters) for _ in right]
    for n, extent in enumerate(right):
        free = [a for a, e in zip(one, left, strict=True) if e == extent and a not in two]
        if free and draw(st.integers(0, 3)):
            two[n] = draw(st.sampled_from(free))
    everything = list(dict.fromkeys(one + two))
    kept = [a for a in everything if draw(st.integers(0, 3))] or everything[:1]
    output = "".join(draw(st.permutations(kept))) if kept else ""
    return f"0.5 * jnp.einsum('{''.join(one)},{''.join(two)}->{output}', {{x}}, {{y}})"


def _shape_of(text: str, operands: dict[str, Shape]) -> Shape | None:
    """The shape of an expression, or None where it has none or is too large."""
    scope = {"jax": jax, "jnp": jnp, "np": np, "lax": lax}
    function = eval(f"lambda {', '.join(operands)}: {text}", scope)
    try:
        result = jax.eval_shape(
            function, *(jax.ShapeDtypeStruct(s, float) for s in operands.values())
        )
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return result.shape if prod(result.shape) <= MOST_ENTRIES else None


@st.composite
def programs(draw: Any) -> Program:
    """A random program of one to three inputs and one or two outputs."""
    inputs = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    known, lines = list(inputs), []
    for _ in range(draw(st.sampled_from(LENGTHS))):
        # The latest values oftener, so that programs run deep; earlier ones are used again.
        x = draw(st.integers(max(0, len(known) - 2), len(known) - 1))
        y = draw(st.integers(0, len(known) - 1))
        both = draw(st.integers(0, 2)) == 0
        text = draw(_two(known[x], known[y])) if both else draw(_one(known[x]))
        text = text.format(x=f"v{x}", y=f"v{y}")
        shape = _shape_of(text, {f"v{n}": known[n] for n in sorted({x, y} if both else {x})})
        if shape is not None:
            lines.append(text)
            known.append(shape)
    last = len(known) - 1
    outputs = (last, *draw(st.lists(st.integers(0, last), max_size=1)))
    return Program(tuple(inputs), tuple(lines), outputs)


# A program runs once: most of its time would be XLA's optimisation.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def check(program: Program) -> None:
    """Compare a program's Jacobians, dense in each order and structured, with JAX's.

    Raises:
        AssertionError: one of them differs; the message names the order.
    """
    function, args = program.function, program.args()
    numbers = tuple(range(len(args)))
    orders = distinct_orders(function, *args, argnums=numbers)

    def everything(*args: jax.Array) -> tuple:
        found = {o: jacobian(function, numbers, order=o)(*args) for o in orders}
        found["structured"] = _dense(jacobian(function, numbers, structured=True)(*args))
        return jax.jacrev(function, numbers)(*args), found

    _compare_compiled(everything, args, jax.jacrev(function, numbers))


def check_hessian(program: Program) -> None:
    """Compare the Hessian of a scalar made of a program's outputs with JAX's.

    Raises:
        AssertionError: the dense or the structured one differs; the message names which.
    """
    function, args = program.function, program.args()
    numbers = tuple(range(len(args)))

    def scalar(*args: jax.Array) -> jax.Array:
        outputs = [jnp.ravel(output) for output in function(*args)]
        return sum(jnp.sum(jnp.sin(o) * jnp.arange(1.0, 1 + o.size)) for o in outputs)

    def everything(*args: jax.Array) -> tuple:
        dense = hessian(scalar, numbers)(*args)
        return jax.hessian(scalar, numbers)(*args), {
            "dense": dense,
            "structured": _dense(hessian(scalar, numbers, structured=True)(*args)),
        }

    _compare_compiled(everything, args, jax.hessian(scalar, numbers))


def _dense(tree: Any) -> Any:
    """Every Jacobian in a tree as an array."""
    return jax.tree.map(lambda J: J.dense(), tree, is_leaf=lambda J: isinstance(J, Jacobian))


def _compare_compiled(everything: Callable, args: Sequence[jax.Array], of_jax: Callable) -> None:
    """Compare what one compiled program gives: JAX's answer and what else is found."""
    wanted, found = jax.jit(everything, compiler_options=QUICK)(*args)
    try:
        _compare(wanted, found)
    except AssertionError:
        # XLA compiles some programs wrongly, JAX's own among them (0.10.2: `jacrev` by v1 of
        # `jnp.cumsum(v1.sum() * v2, axis=0)[np.array([1])]`); run step by step they are right.
        _compare(of_jax(*args), found)


def _compare(wanted: Any, found: dict[str, Any]) -> None:
    """Whether each of what is found is as wanted, with its types."""
    for order, tree in found.items():
        assert jax.tree.structure(tree) == jax.tree.structure(wanted), order
        for left, right in zip(jax.tree.leaves(tree), jax.tree.leaves(wanted), strict=True):
            assert (left.shape, left.dtype) == (right.shape, right.dtype), order
            scale = np.nanmax(np.abs(right), initial=1.0)
            told = np.where(np.isnan(right), right, left)  # a choice may drop what JAX multiplies
            np.testing.assert_allclose(told, right, TOLERANCE, TOLERANCE * scale, err_msg=order)


def _too_slow(*_: Any) -> None:
    raise TimeoutError("planning or compiling takes too long")


def search(
    minutes: float, seed: int, slowest: int = 60, examine: Callable[[Program], None] = check
) -> Program | None:
    """Draw programs for some minutes; returns the smallest that fails, or None.

    Args:
        minutes: how long to draw; shrinking what fails comes after.
        seed: of the draws.
        slowest: a program that takes more seconds than this fails too.
        examine: raises where a program fails.
    """
    end, count, smallest = time.monotonic() + 60 * minutes, 0, None
    signal.signal(signal.SIGALRM, _too_slow)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=10**9, deadline=None, database=None, print_blob=False, derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck), verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip
    @hypothesis.given(programs())
    def run(program: Program) -> None:
        nonlocal count, smallest
        if smallest is None and time.monotonic() > end:
            raise KeyboardInterrupt
        count += 1
        if count % 50 == 0:
            print(f"{count} programs", flush=True)
            jax.clear_caches()
        signal.alarm(slowest)
        try:
            examine(program)
        except Exception as error:
            if smallest is None:
                print(f"{count} programs, {type(error).__name__}; shrinking", flush=True)
            smallest = program
            raise
        finally:
            signal.alarm(0)

    try:
        run()
    except KeyboardInterrupt:
        pass
    except Exception as error:
        print(f"{type(error).__name__}: {error}\n", file=sys.stderr)
    print(f"{count} programs in all")
    return smallest


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 where no program failed, 1 after printing one that did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slowest", type=int, default=60, help="seconds that one may take")
    parser.add_argument("--hessians", action="store_true", help="compare second derivatives")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    examine = check_hessian if options.hessians else check
    program = search(options.minutes, options.seed, options.slowest, examine)
    if program is not None:
        print(program.script)
    return int(program is not None)


if __name__ == "__main__":
    sys.exit(main())
