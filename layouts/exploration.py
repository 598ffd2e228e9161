"""What there is to say about one Jacobian, as data: formula, rule, layouts, costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax
import numpy as np

from layouts.at_random import NEEDS_NUMBERS, check_output, input_of, jacobian_at, run, structs
from layouts.conventions import Convention, arrange
from layouts.costs import CONVENTION, CostReport, cost
from layouts.formulas.of_terms import rule_matrix
from layouts.naming import Arrangement, Lettering, arrangements, linearize_named
from layouts.nodes import Leaf, Shape
from layouts.plan import choose
from layouts.products import settle
from layouts.show.terms import factor_names, rule_formula, terms_text
from layouts.show.text import text
from layouts.show.writing import Definition
from layouts.terms import Factor, Terms

# A matrix with more than this is not shown.
MOST_ENTRIES = 600
MOST_COLUMNS = 24


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
    wrt = input_of(wrt, inputs)
    place = list(inputs).index(wrt)
    shapes = structs(inputs)
    out_name = next(name for name in ("D", "Y", "F", "out") if name not in inputs)
    loss = next(name for name in ("L", "E", "loss") if name not in inputs)
    try:
        check_output(run(lambda: jax.eval_shape(fun, *shapes), "run on these shapes"))
        named = run(lambda: linearize_named(fun, place, shapes), "be differentiated")
        report = cost(fun, place)(*shapes)
    except NEEDS_NUMBERS:
        J = jacobian_at(fun, inputs, wrt, order=order, seed=seed)
        out_shape, report, lettering = J.out_shape, None, None
        terms = unfolded = _lettered(J.terms, (*inputs, out_name, loss))
    else:
        lettering = Lettering(named, inputs, (out_name, loss), shapes[place].dtype)
        out_shape = named.linearized.value[0].shape
        (found,) = choose(named.linearized.graph, order)[1].values()
        settled = tuple(map(settle, found))
        terms = lettering.write(settled)
        unfolded = lettering.write_unfolded(settled) or terms
    rules = ((t, rule_matrix(t, out_name, wrt, loss, inputs)) for t in (unfolded, terms))
    pulling, matrices = next((rule for rule in rules if rule[1] is not None), (unfolded, None))
    return Exploration(
        dict(inputs),
        wrt,
        out_name,
        out_shape,
        terms_text(terms, out_name, wrt, inputs),
        lettering.definitions(terms + pulling) if lettering else (),
        arrangements(terms, out_shape, inputs[wrt], inputs),
        text(rule_formula(pulling, out_name, wrt, loss, inputs)),
        None if matrices is None else text(matrices),
        report,
        () if report is None else report.opaque,
    )


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
    J = jacobian_at(fun, found.inputs, found.wrt, order=order, seed=seed)
    return Written(convention, shape, np.asarray(arrange(J, convention)), seed)


def _lettered(terms: Terms, taken: Sequence[str]) -> Terms:
    """Letters for the factors of a Jacobian that has been evaluated, none of them taken."""
    names = factor_names(terms, taken)

    def lettered(factor: Factor) -> Factor:
        assert isinstance(factor.node, Leaf)
        return replace(factor, node=replace(factor.node, name=names[factor.node.index]))

    return tuple(replace(term, factors=tuple(map(lettered, term.factors))) for term in terms)
