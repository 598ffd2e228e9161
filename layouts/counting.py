"""What a jaxpr costs as JAX executes it: no structure, every zero multiplied.

Counted in the units of `layouts.program`: one multiplication is one scalar product, so a matmul of
m×k by k×n is mkn of them (XLA's flops are twice that). Transcendental functions, comparisons and
data movement count nothing. Equations whose results nobody uses are left out, as XLA leaves them.
"""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from layouts.program import Cost
from layouts.walking import in_parts, inlined, opened

# What XLA does in one loop over entries with what comes before and after.
ENTRY_BY_ENTRY = {
    *("add", "add_any", "sub", "mul", "neg", "div", "integer_pow", "square", "select_n"),
    *("convert_element_type", "copy", "real", "imag", "sin", "cos", "tanh", "exp", "log"),
    *("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "transpose", "slice", "rev"),
    *("tile", "unstack"),
}

# What is one step, whatever is inside.
AT_ONCE = {"cond", "custom_linear_solve", "while"}


def count(function: Callable, *args: Any) -> Cost:
    """Count what JAX executes for `function(*args)`.

    Args:
        function: any function that JAX can trace.
        *args: arrays or `jax.ShapeDtypeStruct`s.

    Returns:
        The cost; a `while` loop, whose length is not known, counts one pass.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> A, B = jax.ShapeDtypeStruct((2, 3), "float32"), jax.ShapeDtypeStruct((3, 5), "float32")
        >>> count(jnp.matmul, A, B).multiplications
        30
    """
    return count_jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def count_jaxpr(jaxpr: Jaxpr) -> Cost:
    """Count a jaxpr: its live equations, and the most bytes alive between any two of them."""
    live = _live(jaxpr)
    last_use = {var: len(live) for var in jaxpr.outvars if not isinstance(var, Literal)}
    for step, equation in reversed(list(enumerate(live))):
        for atom in equation.invars:
            if not isinstance(atom, Literal):
                last_use.setdefault(atom, step)
    dying: dict[int, int] = {}
    for var, step in last_use.items():
        dying[step] = dying.get(step, 0) + _nbytes(var)
    alive = peak = sum(_nbytes(var) for var in last_use if var in {*jaxpr.invars, *jaxpr.constvars})
    multiplications = additions = moved = 0
    for step, equation in enumerate(live):
        products, sums, inside = count_equation(equation)
        multiplications, additions = multiplications + products, additions + sums
        operands = sum(_nbytes(atom) for atom in equation.invars)
        results = sum(_nbytes(var) for var in equation.outvars if var in last_use)
        peak = max(peak, alive + max(results, inside - operands))
        moved += operands + results
        alive += results - dying.get(step, 0)
    return Cost(multiplications, additions, peak, moved)


def count_equation(equation: JaxprEqn) -> tuple[int, int, int]:
    """Multiplications and additions of one equation, and the peak bytes inside it."""
    name, params = equation.primitive.name, equation.params
    bodies = [count_jaxpr(body) for body in inner_jaxprs(params)]
    if bodies:
        inside = max(body.peak_bytes for body in bodies)
        times = _passes(equation)
        pick: Callable = max if name == "cond" else sum
        if name == "custom_linear_solve":  # matvec, vecmat, solve, transpose_solve: one runs
            bodies = bodies[2:3]
        return (
            times * pick(body.multiplications for body in bodies),
            times * pick(body.additions for body in bodies),
            inside,
        )
    if not _inexact(equation.outvars[0]):
        return 0, 0, 0
    rule = _COUNTS.get(name)
    products, sums = rule(equation) if rule else (0, 0)
    return products, sums, 0


def count_stored(jaxpr: Jaxpr) -> int:
    """How many arrays a jaxpr stores: what no loop over entries takes in, or is taken in by none.

    `layouts.program.count_stored` counts the same of a plan.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> count_stored(jax.make_jaxpr(lambda x: jnp.sin(2 * x @ x) + x.sum())(jnp.ones(3)).jaxpr)
        4
    """
    count, in_loops = 0, set[Any]()
    stored = set[Any]()
    for equation in _live(jaxpr):
        if equation.primitive.name in ENTRY_BY_ENTRY:
            in_loops.update(equation.outvars)
            continue
        count += count_stored_by(equation)
        stored.update(atom for atom in equation.invars if not isinstance(atom, Literal))
    stored.update(atom for atom in jaxpr.outvars if not isinstance(atom, Literal))
    return count + len(stored & in_loops)


def count_stored_by(equation: JaxprEqn) -> int:
    """How many arrays one equation stores: a loop at each of its steps those of its body."""
    name, params = equation.primitive.name, equation.params
    bodies = [] if name in AT_ONCE else inner_jaxprs(params)
    return _passes(equation) * sum(map(count_stored, bodies)) if bodies else 1


def count_placed(jaxpr: Jaxpr, direction: str) -> int:
    """How many entries a linear program puts at their places one at a time.

    Args:
        jaxpr: the program.
        direction: how it is applied; "push" puts the entries of its scatters, "pull" those of its
            gathers, as the transpose of one scatters.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> places = jnp.array([2, 0, 2])
        >>> put = jax.make_jaxpr(lambda x: jnp.zeros(5).at[places].add(x))(jnp.ones(3))
        >>> count_placed(put.jaxpr, "push"), count_placed(put.jaxpr, "pull")
        (3, 0)
    """
    count = 0
    for equation in _live(jaxpr):
        name = equation.primitive.name
        if direction == "push" and name.startswith("scatter"):
            count += prod(_shape(equation.invars[2]))
        elif direction == "pull" and name == "gather" and _inexact(equation.outvars[0]):
            count += prod(_shape(equation.outvars[0]))
        inside = sum(count_placed(body, direction) for body in inner_jaxprs(equation.params))
        count += _passes(equation) * inside
    return count


def _passes(equation: JaxprEqn) -> int:
    """How often an equation runs its body; of a `while` loop, whose length is not known, once."""
    return equation.params["length"] if equation.primitive.name == "scan" else 1


def loops_over_residuals(jaxpr: Jaxpr) -> set[bool]:
    """Which ways a linear program's loops run, that read residuals and work entry by entry.

    To make the residuals in a loop, to store and read them takes about as long there as what is
    done with them: XLA makes a few kernels of such a step, or a single one of the whole loop.

    Returns:
        Whether some run in reverse, and whether some do not; nothing where any loop does more, or
        none reads residuals.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def powers(x):
        ...     return jax.lax.scan(lambda y, _: (y * jnp.sin(x * y), None), x, None, length=30)[0]
        >>> loops_over_residuals(jax.make_jaxpr(jax.linearize(powers, 1.0)[1])(1.0).jaxpr)
        {False}
    """
    loops = list(_loops(jaxpr, set(jaxpr.constvars)))
    known = any(reads for _, reads in loops)
    entrywise = all(_is_entrywise(opened(loop.params["jaxpr"])[0]) for loop, _ in loops)
    return {loop.params["reverse"] for loop, _ in loops} if known and entrywise else set()


def _loops(jaxpr: Jaxpr, residuals: set[Any]) -> Iterator[tuple[JaxprEqn, bool]]:
    """The loops, each with whether it is given an entry of a residual at each step."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            scanned = in_parts(equation, equation.invars)[2]
            yield equation, any(_is_one_of(residuals, atom) for atom in scanned)
        elif called := inlined(equation, equation.invars):
            body, _, given = called
            pairs = zip(body.invars, given, strict=True)
            inside = {var for var, atom in pairs if _is_one_of(residuals, atom)}
            yield from _loops(body, inside | set(body.constvars))


def _is_one_of(variables: set[Any], atom: Any) -> bool:
    return not isinstance(atom, Literal) and atom in variables


def _is_entrywise(jaxpr: Jaxpr) -> bool:
    """Whether all it does is done in loops over entries, by XLA for CPUs."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in ("concatenate", "stack") and all(prod(_shape(a)) == 1 for a in equation.invars):
            continue  # of numbers
        if called := inlined(equation, equation.invars):
            if not _is_entrywise(called[0]):
                return False
        elif name not in ENTRY_BY_ENTRY | {"pad", "reduce_sum"}:
            return False
    return True


def inner_jaxprs(params: Any) -> list[Jaxpr]:
    """The jaxprs among an equation's parameters."""
    leaves: list[Any] = jax.tree.leaves(list(params.values()), is_leaf=_is_jaxpr)
    return [getattr(leaf, "jaxpr", leaf) for leaf in leaves if _is_jaxpr(leaf)]


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def _live(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """The equations that an output depends on, in order."""
    needed = {var for var in jaxpr.outvars if not isinstance(var, Literal)}
    live = []
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars) or equation.effects:
            live.append(equation)
            needed.update(atom for atom in equation.invars if not isinstance(atom, Literal))
    return live[::-1]


def _shape(atom: Any) -> tuple[int, ...]:
    return getattr(atom.aval, "shape", ())


def _nbytes(atom: Any) -> int:
    if isinstance(atom, Literal):
        return 0
    return prod(_shape(atom)) * getattr(getattr(atom.aval, "dtype", None), "itemsize", 0)


def _inexact(atom: Any) -> bool:
    dtype: Any = getattr(atom.aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.inexact)


def _dot_general(equation: JaxprEqn) -> tuple[int, int]:
    (contracted, _), _ = equation.params["dimension_numbers"]
    inner = prod(_shape(equation.invars[0])[axis] for axis in contracted)
    outputs = prod(_shape(equation.outvars[0]))
    return outputs * inner, outputs * max(inner - 1, 0)


def _convolution(equation: JaxprEqn) -> tuple[int, int]:
    kernel = _shape(equation.invars[1])
    features = equation.params["dimension_numbers"].rhs_spec[0]
    inner = prod(kernel) // max(kernel[features], 1)
    outputs = prod(_shape(equation.outvars[0]))
    return outputs * inner, outputs * max(inner - 1, 0)


def _products(equation: JaxprEqn) -> tuple[int, int]:
    return prod(_shape(equation.outvars[0])), 0


def _sums(equation: JaxprEqn) -> tuple[int, int]:
    return 0, prod(_shape(equation.outvars[0]))


def _reduction(equation: JaxprEqn) -> tuple[int, int]:
    return 0, max(prod(_shape(equation.invars[0])) - prod(_shape(equation.outvars[0])), 0)


def _power(equation: JaxprEqn) -> tuple[int, int]:
    """By repeated squaring: one product a bit, one more for each bit set beyond the first."""
    exponent = abs(equation.params["y"])
    steps = max(exponent.bit_length() + exponent.bit_count() - 2, 0)
    return steps * prod(_shape(equation.outvars[0])), 0


def _fourier(equation: JaxprEqn) -> tuple[int, int]:
    """By halves of halves: at each entry half a product and a sum for each bit of the length.

    For reals half of both. The count of the algorithm by Cooley and Tukey (1965).
    """
    lengths, shape = equation.params["fft_lengths"], _shape(equation.invars[0])
    entries = prod(shape[: len(shape) - len(lengths)]) * prod(lengths)
    reals = equation.params["fft_type"] in (lax.FftType.RFFT, lax.FftType.IRFFT)
    sums = entries * (prod(lengths) - 1).bit_length() // (2 if reals else 1)
    return sums // 2, sums


def _triangular_solve(equation: JaxprEqn) -> tuple[int, int]:
    n = _shape(equation.invars[0])[-1]
    entries = prod(_shape(equation.outvars[0]))
    return entries * (n + 1) // 2, entries * (n - 1) // 2


_COUNTS: dict[str, Callable[[JaxprEqn], tuple[int, int]]] = {
    "add": _sums,
    "add_any": _sums,
    "conv_general_dilated": _convolution,
    "cumsum": _sums,
    "div": _products,
    "dot_general": _dot_general,
    "fft": _fourier,
    "integer_pow": _power,
    "mul": _products,
    "reduce_sum": _reduction,
    "square": _products,
    "sub": _sums,
    "triangular_solve": _triangular_solve,
}


def primitives(jaxpr: Jaxpr) -> Sequence[str]:
    """The names of all primitives in a jaxpr, those of inner jaxprs too."""
    names = []
    for equation in jaxpr.eqns:
        names.append(equation.primitive.name)
        for body in inner_jaxprs(equation.params):
            names.extend(primitives(body))
    return names
