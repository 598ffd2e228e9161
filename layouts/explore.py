"""What there is to say about one Jacobian, as data: formula, rule, layouts, costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from layouts.algebra import settle
from layouts.axes import Label, labels_of
from layouts.cells import Form, Layout
from layouts.conventions import Convention
from layouts.costs import CONVENTION, CostReport, cost
from layouts.errors import LayoutError
from layouts.grammar import guess, shorten
from layouts.jacobian import Jacobian, Names
from layouts.lettering import Lettering
from layouts.naming import linearize_named
from layouts.plan import make_plan
from layouts.program import Leaf, Shape
from layouts.show.rules import rule_matrix, rule_text
from layouts.show.terms import coefficient_text, is_negative
from layouts.show.writing import Definition
from layouts.terms import Factor, Term, Terms
from layouts.transforms import jacobian

# JAX raises these where a function asks a tracer for its numbers.
NEEDS_NUMBERS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


@dataclass(frozen=True)
class Arrangement:
    """A Jacobian in one layout.

    Attributes:
        layout: the layout.
        shape: the shape that it is written in.
        by_rows: the Kronecker form, matrices stacked by rows; None where it has none.
        by_columns: the Kronecker form, matrices stacked by columns.
    """

    layout: Layout
    shape: Shape
    by_rows: str | None
    by_columns: str | None


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
        _check_output(_run(lambda: jax.eval_shape(fun, *shapes), "run on these shapes"))
        lettering, J, unfolded = _symbolic(fun, inputs, place, shapes, order, (out_name, loss))
        report = cost(fun, place)(*shapes)
    except NEEDS_NUMBERS:
        J = jacobian_at_random(fun, inputs, wrt, order=order, seed=seed)
        lettering, unfolded, report = None, J.terms, None
    J = replace(J, names=Names(out_name, wrt))
    rules = [(t, rule_matrix(t, out_name, wrt, loss, inputs)) for t in (unfolded, J.terms)]
    terms, matrices = next((rule for rule in rules if rule[1] is not None), rules[0])
    return Exploration(
        dict(inputs),
        wrt,
        out_name,
        J.out_shape,
        str(J),
        lettering.definitions(J.terms + terms, J.dtype) if lettering else (),
        tuple(_arranged(_of_columns(J, inputs), layout) for layout in Layout),
        rule_text(terms, out_name, wrt, loss),
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
    _check_output(_run(lambda: fun(*arrays), "run on arrays of these shapes", last=True))
    derivative = jacobian(fun, place, order=order, structured=True)
    return _run(lambda: derivative(*arrays), "be differentiated", last=True)


def _symbolic(
    fun: Callable,
    inputs: Mapping[str, Shape],
    place: int,
    shapes: list[jax.ShapeDtypeStruct],
    order: str,
    taken: tuple[str, ...],
) -> tuple[Lettering, Jacobian, Terms]:
    """The Jacobian with named factors, and its terms with products taken apart for the rule."""
    named = _run(lambda: linearize_named(fun, place, shapes), "be differentiated")
    graph = named.linearized.graph
    (settled,) = make_plan(graph, order).apply(graph).values()
    settled = tuple(map(settle, settled))
    lettering = Lettering(named, inputs, taken)
    terms = lettering.write(settled)
    unfolded = lettering.write_unfolded(settled) or terms
    (value,) = named.linearized.value
    J = Jacobian(terms, (), value.shape, shapes[place].shape, shapes[place].dtype)
    return lettering, J, unfolded


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


def _run(call: Callable[[], Any], purpose: str, *, last: bool = False) -> Any:
    """Call what runs the user's function; its exceptions are named, not shown."""
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
            remedy = "write it with jax.numpy in place of numpy"
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


def _arranged(J: Jacobian, layout: Layout) -> Arrangement:
    """One layout's shape, and its Kronecker form where it is a matrix of stacked axes."""
    convention = Convention(layout)
    form = convention.form(J.out_shape, J.in_shape)
    side = {Form.MATRIX: Layout.NUMERATOR, Form.MATRIX_TRANSPOSED: Layout.DENOMINATOR}.get(form)
    rows, columns = (_kronecker(J, side, vec) if side else None for vec in ("rows", "columns"))
    return Arrangement(layout, convention.shape(J.out_shape, J.in_shape), rows, columns)


def _of_columns(J: Jacobian, inputs: Mapping[str, Shape]) -> Jacobian:
    """Inputs that are rows by the name `cᵀ`, since a factor of one label is a column."""

    def renamed(factor: Factor) -> Factor:
        node = factor.node
        name = node.name if isinstance(node, Leaf) else None
        shape = inputs.get(name or "", ())
        row = len(factor.labels) == 1 and len(shape) == 2 and shape[0] == 1
        return replace(factor, node=replace(node, name=f"{name}ᵀ")) if row else factor  # type: ignore[call-arg]

    terms = (replace(term, factors=tuple(map(renamed, term.factors))) for term in J.terms)
    return replace(J, terms=tuple(terms))


def _kronecker(J: Jacobian, layout: Layout, vec: str) -> str | None:
    """The matrix as Kronecker products, its rows and columns scaled: `diag(vec(A)) (I₄ ⊗ Xᵀ)`.

    `vec( )` in the text stacks as `vec` says.
    """
    whole = J.kronecker(layout, vec)
    if whole is not None or not J.terms:
        return whole and whole.replace("ᵀᵀ", "")
    text = ""
    for place, term in enumerate(J.terms):
        product = _scaled_term(J, term, layout, vec)
        if product is None:
            return None
        sign = "-" if is_negative(term.coefficient) else "+"
        text += f" {sign} " if place else ("-" if sign == "-" else "")
        text += " ".join([*coefficient_text(term.coefficient), product])
    return text.replace("ᵀᵀ", "")


def _scaled_term(J: Jacobian, term: Term, layout: Layout, vec: str) -> str | None:
    """One term: factors that carry all axes of a side are diagonal matrices on that side."""
    sides: tuple[list[str], list[str]] = ([], [])
    rest = []
    for factor in term.factors:
        for labels, found in zip((term.out, term.into), sides, strict=True):
            name = _stacked_name(factor, labels_of(labels))
            if name is not None:
                found.append(f"diag(vec({name}))")
                break
        else:
            rest.append(factor)
    bare = replace(J, terms=(replace(term, factors=tuple(rest), coefficient=1),))
    inner = bare.kronecker(layout, vec)
    if inner is None:
        return None
    left, right = sides if layout is Layout.NUMERATOR else sides[::-1]
    if term.out == term.into and not rest:  # the identity matrix
        return " ".join([*left, *right]) or inner
    return " ".join([*left, f"({inner})" if left or right else inner, *right])


def _stacked_name(factor: Factor, labels: tuple[Label, ...]) -> str | None:
    """`A` or `Aᵀ`, whichever has the labels in this order, where there are two or more."""
    name = getattr(factor.node, "name", None)
    if len(labels) < 2 or factor.labels not in (labels, labels[::-1]):
        return None
    if factor.labels == labels:
        return name
    return f"{name}ᵀ" if len(labels) == 2 else None
