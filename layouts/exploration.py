"""What there is to say about one Jacobian, as data: formula, rule, layouts, costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.conventions import Convention, arrange
from layouts.costs import CONVENTION, CostReport, cost
from layouts.derivation import Derivation, derive
from layouts.doctor import Diagnosis, diagnose
from layouts.doctor.adapters import diagnose_vjp
from layouts.errors import LayoutError
from layouts.expressions.grammar import guess, shorten
from layouts.jacobian import Jacobian
from layouts.naming import Arrangement, Lettering, arrangements, linearize_named
from layouts.nodes import Leaf, Shape
from layouts.plan import choose
from layouts.products import settle
from layouts.show.rules import rule_matrix, rule_text
from layouts.show.terms import factor_names, terms_text
from layouts.show.writing import Definition
from layouts.terms import Factor, Terms
from layouts.transforms import jacobian

# A matrix with more than this is not shown.
MOST_ENTRIES = 600
MOST_COLUMNS = 24

# JAX raises these where a function asks a tracer for its numbers.
NEEDS_NUMBERS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


@dataclass(frozen=True)
class Exploration:
    """What there is to say about one Jacobian.

    Attributes:
        inputs: the shape of each input, by name.
        wrt: the input differentiated by.
        out_name: how the formulas call the output.
        out_shape: the output's shape.
        formula: the Jacobian in index notation.
        definitions: what the letters of the formulas stand for.
        arrangements: the Jacobian in each layout.
        rule: how a cotangent is pulled back, in index notation.
        rule_matrix: the same with matrices; None where no such form was found.
        costs: what it costs; None where the function asks for numbers.
        opaque: the primitives without structure.
    """

    inputs: Mapping[str, Shape]
    wrt: str
    out_name: str
    out_shape: Shape
    formula: str
    definitions: tuple[Definition, ...]
    arrangements: tuple[Arrangement, ...]
    rule: str
    rule_matrix: str | None
    costs: CostReport | None
    opaque: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        """The shape of the array that JAX gives: output axes first."""
        return self.out_shape + self.inputs[self.wrt]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, the same keys for every function."""
        report = self.costs
        return {
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "wrt": self.wrt,
            "output": {"name": self.out_name, "shape": list(self.out_shape)},
            "jacobian": {"formula": self.formula, "shape": list(self.shape)},
            "definitions": [
                {"name": d.name, "shape": list(d.shape), "text": d.text} for d in self.definitions
            ],
            "layouts": [
                {
                    "layout": str(a.layout),
                    "shape": list(a.shape),
                    "kronecker": {"rows": a.by_rows, "columns": a.by_columns},
                }
                for a in self.arrangements
            ],
            "vjp": {"indices": self.rule, "matrices": self.rule_matrix},
            "costs": None if report is None else _costs_json(report),
            "opaque": list(self.opaque),
        }


def _costs_json(report: CostReport) -> dict[str, Any]:
    orders = {
        "forward": report.forward,
        "reverse": report.reverse,
        "planned": report.planned,
        "jacfwd": report.jacfwd,
        "jacrev": report.jacrev,
    }
    fields = ("multiplications", "additions", "peak_bytes")
    return {
        "convention": CONVENTION,
        "plan": report.plan.name,
        "orders": {
            name: None if order is None else {field: getattr(order, field) for field in fields}
            for name, order in orders.items()
        },
        "structured_bytes": report.result_bytes,
        "dense_bytes": report.dense_bytes,
    }


def explore(
    fun: Callable,
    inputs: Mapping[str, Shape],
    wrt: str | None = None,
    *,
    order: str = "auto",
    seed: int = 0,
) -> Exploration:
    """Say what there is to say about the Jacobian of a function.

    Args:
        fun: takes arrays by position, returns one array.
        inputs: the shape of each argument, in order, under the name that the formulas use.
        wrt: the input to differentiate by; the first unless told.
        order: of accumulation, as in `layouts.jacobian`; the stored factors may depend on it.
        seed: of the random inputs that stand in where the function asks for numbers.

    Returns:
        An `Exploration`. Unless the function asks for numbers, nothing is computed but shapes, so
        that sizes do not matter.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array.
        TypeError: where JAX raises it, as for an integer output.

    Example:
        >>> exploration = explore(lambda W, X: W @ X, {"W": (4, 3), "X": (3, 5)})
        >>> print(exploration.formula)
        dD[i,j]/dW[k,l] = δ[i,k] X[l,j]
        >>> print(exploration.rule_matrix)
        ∂L/∂W = ∂L/∂D Xᵀ
        >>> [(str(a.layout), a.shape, a.by_columns) for a in exploration.arrangements][0]
        ('numerator', (20, 12), 'Xᵀ ⊗ I₄')
    """
    wrt = _input(wrt, inputs)
    place = list(inputs).index(wrt)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.result_type(float)) for shape in inputs.values()]
    out_name = next(name for name in ("D", "Y", "F", "out") if name not in inputs)
    loss = next(name for name in ("L", "E", "loss") if name not in inputs)
    try:
        _check_output(run(lambda: jax.eval_shape(fun, *shapes), "run on these shapes"))
        named = run(lambda: linearize_named(fun, place, shapes), "be differentiated")
        report = cost(fun, place)(*shapes)
    except NEEDS_NUMBERS:
        J = jacobian_at_random(fun, inputs, wrt, order=order, seed=seed)
        out_shape, report, lettering = J.out_shape, None, None
        terms = unfolded = _lettered(J.terms, (*inputs, out_name, loss))
    else:
        lettering = Lettering(named, inputs, (out_name, loss), shapes[place].dtype)
        out_shape = named.linearized.value[0].shape
        (found,) = choose(named.linearized.graph, order)[1].values()
        settled = tuple(map(settle, found))
        terms = lettering.write(settled)
        unfolded = lettering.write_unfolded(settled) or terms
    rules = [(t, rule_matrix(t, out_name, wrt, loss, inputs)) for t in (unfolded, terms)]
    pulling, matrices = next((rule for rule in rules if rule[1] is not None), rules[0])
    return Exploration(
        dict(inputs),
        wrt,
        out_name,
        out_shape,
        terms_text(terms, out_name, wrt),
        lettering.definitions(terms + pulling) if lettering else (),
        arrangements(terms, out_shape, inputs[wrt], inputs),
        rule_text(pulling, out_name, wrt, loss),
        matrices,
        report,
        () if report is None else report.opaque,
    )


def jacobian_at_random(
    fun: Callable, inputs: Mapping[str, Shape], wrt: str, *, order: str = "auto", seed: int = 0
) -> Jacobian:
    """The structured Jacobian at standard normal inputs.

    Args:
        fun: takes arrays by position, returns one array.
        inputs: the shape of each argument, by name.
        wrt: the input to differentiate by.
        order: of accumulation.
        seed: of the random inputs.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array.
    """
    place = list(inputs).index(_input(wrt, inputs))
    keys = jax.random.split(jax.random.key(seed), len(inputs))
    arrays = [jax.random.normal(key, s) for key, s in zip(keys, inputs.values(), strict=True)]
    _check_output(run(lambda: fun(*arrays), "run on arrays of these shapes", last=True))
    derivative = jacobian(fun, place, order=order, structured=True)
    return run(lambda: derivative(*arrays), "be differentiated", last=True)


def derivation(
    fun: Callable, inputs: Mapping[str, Shape], wrt: str | None = None, *, seed: int | None = 0
) -> Derivation:
    """How a derivative is found by hand, for shapes alone or checked at random inputs.

    Args:
        fun: takes arrays by position, returns one array; its parameters' names are those of inputs.
        inputs: the shape of each argument, by name.
        wrt: the input to differentiate by; the first unless told.
        seed: of the standard normal inputs that every step is checked at; None for shapes alone.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array.
        TypeError: where JAX raises it, as for an integer output.

    Example:
        >>> found = derivation(lambda W, X: W @ X, {"W": (4, 3), "X": (3, 5)}, seed=None)
        >>> print(found.of("matrix")[0])
        ∂L/∂W = ∂L/∂D Xᵀ
    """
    place = list(inputs).index(_input(wrt, inputs))
    args: list[jax.Array | jax.ShapeDtypeStruct]
    if seed is None:
        args = [jax.ShapeDtypeStruct(s, jnp.result_type(float)) for s in inputs.values()]
    else:
        keys = jax.random.split(jax.random.key(seed), len(inputs))
        args = [jax.random.normal(key, s) for key, s in zip(keys, inputs.values(), strict=True)]
    _check_output(run(lambda: jax.eval_shape(fun, *args), "run on these shapes", last=True))
    return run(lambda: derive(fun, place)(*args), "be differentiated", last=True)


def diagnosis(
    fun: Callable,
    backward: Any,
    inputs: Mapping[str, Shape],
    wrt: Sequence[str] = (),
    *,
    seed: int = 0,
) -> Diagnosis:
    """Whether a hand-written gradient is right, at standard normal inputs in float64.

    Args:
        fun: takes arrays by position, returns one array; its parameters' names are those of inputs.
        backward: a formula, or `backward(cotangent, *arrays)`; None for a function with a
            `jax.custom_vjp` of its own.
        inputs: the shape of each argument, by name.
        wrt: the inputs to differentiate by; the first unless told. For several, backward returns a
            tuple.
        seed: of the random inputs.

    Raises:
        LayoutError: `wrt` is no input, the function fails on these shapes or returns no array, the
            formula cannot be read.

    Example:
        >>> inputs = {"W": (4, 3), "X": (3, 5)}
        >>> print(diagnosis(lambda W, X: W @ X, "-dD @ X.T", inputs).summary)
        mistake: sign in the gradient by W
    """
    wanted = [_input(name, inputs) for name in wrt or (None,)]
    places = [list(inputs).index(name) for name in wanted]
    argnums = places[0] if len(places) == 1 else places
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), len(inputs))
        args = [jax.random.normal(key, s) for key, s in zip(keys, inputs.values(), strict=True)]
        _check_output(run(lambda: jax.eval_shape(fun, *args), "run on these shapes", last=True))

        def found() -> Diagnosis:
            if backward is None:
                return diagnose_vjp(fun, *args, argnums=argnums)
            return diagnose(fun, backward, *args, argnums=argnums)

        return run(found, "be differentiated", last=True)


@dataclass(frozen=True)
class Written:
    """A Jacobian's matrix at random inputs.

    Attributes:
        convention: how it is written.
        shape: its shape.
        entries: the matrix; None where it is too large to show.
        seed: of the inputs, which are standard normal.
    """

    convention: Convention
    shape: Shape
    entries: np.ndarray | None
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no NaN and no infinity: they are None."""
        entries = None
        if self.entries is not None:
            plain = self.entries.astype(object)
            plain[~np.isfinite(self.entries)] = None
            entries = plain.tolist()
        return {
            "layout": str(self.convention.layout),
            "vec": self.convention.vec,
            "shape": list(self.shape),
            "seed": self.seed,
            "entries": entries,
        }


def write(
    fun: Callable,
    found: Exploration,
    convention: Convention,
    *,
    order: str = "auto",
    seed: int = 0,
) -> Written:
    """Write a Jacobian down as numbers, if it is small.

    Args:
        fun: the function explored.
        found: what was found.
        convention: how to write it.
        order: of accumulation.
        seed: of the random inputs.
    """
    shape = convention.shape(found.out_shape, found.inputs[found.wrt])
    columns = max(shape[1:], default=0)
    if len(shape) > 2 or prod(shape) > MOST_ENTRIES or columns > MOST_COLUMNS:
        return Written(convention, shape, None, seed)
    J = jacobian_at_random(fun, found.inputs, found.wrt, order=order, seed=seed)
    return Written(convention, shape, np.asarray(arrange(J, convention)), seed)


def _lettered(terms: Terms, taken: Sequence[str]) -> Terms:
    """Letters for the factors of a Jacobian that has been evaluated, none of them taken."""
    names = factor_names(terms, taken)

    def lettered(factor: Factor) -> Factor:
        assert isinstance(factor.node, Leaf)
        return replace(factor, node=replace(factor.node, name=names[factor.node.index]))

    return tuple(replace(term, factors=tuple(map(lettered, term.factors))) for term in terms)


def _input(wrt: str | None, inputs: Mapping[str, Shape]) -> str:
    """The input to differentiate by."""
    if not inputs:
        remedy = "give at least one, as in W=4x3"
        raise LayoutError("inputs", "a name and a shape for each", "none", remedy)
    if wrt is None:
        return next(iter(inputs))
    if wrt not in inputs:
        remedy = guess(wrt, inputs) or f"choose from {', '.join(inputs)}"
        raise LayoutError("input to differentiate by", "the name of an input", repr(wrt), remedy)
    return wrt


def run(call: Callable[[], Any], purpose: str, *, last: bool = False) -> Any:
    """Call what runs the user's function; its exceptions are named, not shown.

    Args:
        call: what to run.
        purpose: what the function should have been able to do, for the error.
        last: whether an error that asks for a tracer's numbers is an error too.

    Raises:
        LayoutError: whatever it raised.
    """
    try:
        return call()
    except LayoutError:
        raise
    except (Exception, SystemExit) as error:  # whatever the function may do
        if isinstance(error, NEEDS_NUMBERS) and not last:
            raise
        reason, _, _ = str(error).strip().partition("\n")
        received = f"{type(error).__name__}: {shorten(reason, 200)}"
        remedy = "change it, or the shapes"
        if isinstance(error, NEEDS_NUMBERS):
            remedy = "write it with jax.numpy in place of numpy, and jnp.where in place of if"
        raise LayoutError("function", f"one that can {purpose}", received, remedy) from error


def _check_output(output: Any) -> None:
    """One array, or one number."""
    leaves, treedef = jax.tree.flatten(output)
    if len(leaves) != 1 or not jax.tree_util.treedef_is_leaf(treedef):
        received = f"a {type(output).__name__} of {len(leaves)} arrays"
        remedy = "return one of them, or write a function for each"
        raise LayoutError("output of the function", "one array", received, remedy)
    dtype = jnp.result_type(output)
    if not jnp.issubdtype(dtype, jnp.floating):
        remedy = "only what varies smoothly and really can be differentiated"
        raise LayoutError("output of the function", "a floating-point array", dtype.name, remedy)
