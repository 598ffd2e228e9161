"""The table of textbook identities: derived in closed form, equal to the book's and to JAX's."""

from dataclasses import replace
from functools import cached_property

import jax
import numpy as np
import pytest

from layouts.conventions import arrange_array
from layouts.derivation import derive
from layouts.formulas import tree
from layouts.formulas.evaluating import evaluate, names
from layouts.formulas.parsing import parse
from layouts.show.text import text
from tests.identities import IDENTITIES

INDICES = (tree.Letter, tree.Entry, tree.Delta, tree.Sigma)


class Work:
    """One row worked out: what is derived, and what JAX gives."""

    def __init__(self, row):
        self.row, self.arrays = row, row.arrays()
        self.derivation = derive(row.function)(*self.arrays.values())
        self.jacobian = np.asarray(jax.jit(jax.jacrev(row.function))(*self.arrays.values()))

    @cached_property
    def arranged(self):
        """The true Jacobian as the source lays it out."""
        shapes = self.derivation.out_shape, self.derivation.inputs[self.derivation.wrt]
        return np.asarray(arrange_array(self.jacobian, self.row.convention, *shapes))

    @property
    def laid_out(self):
        """The step that is laid out as the source is."""
        kind = "kronecker" if self.row.layout == "columns" else "layout"
        words = "columns" if kind == "kronecker" else f"{self.row.layout} layout"
        (step,) = (step for step in self.derivation.of(kind) if words in step.reason)
        return step

    @property
    def gradient(self):
        """The step that has the gradient with matrices."""
        (step,) = self.derivation.of("matrix")
        return step

    def assert_the_book_is_right(self):
        assert_equal(evaluate(parse(self.row.cell), self.arrays), self.arranged)

    def assert_the_forms_are_closed(self):
        """Neither indices are left nor derivatives, but the loss's by the output."""
        allowed = tree.Name(self.derivation.out_name)
        for step in (self.gradient, self.laid_out):
            for part in step.formula.sides[-1].walk():
                assert not isinstance(part, INDICES), str(step)
                assert not isinstance(part, tree.Derivative) or part.by == allowed, str(step)

    def assert_what_is_printed_is_the_derivative(self, alphabet):
        known, shape = self.printed(alphabet), self.derivation.out_shape
        value = evaluate(parse(text(self.laid_out.formula, alphabet)), known)
        assert_equal(value, self.arranged)
        cotangent = np.random.default_rng(1).normal(size=shape) if shape else np.ones(())
        known[f"dL/d{self.derivation.out_name}"] = cotangent
        value = evaluate(parse(text(self.gradient.formula, alphabet)), known)
        assert_equal(value, np.tensordot(cotangent, self.jacobian, len(shape)))

    def printed(self, alphabet):
        """Every array that is given a name in print, worked out from its text."""
        steps = [step.formula for step in self.derivation.of("forward")]
        formulas = (*steps, *self.derivation.definitions)
        waiting = [parse(text(formula, alphabet)) for formula in formulas]
        waiting = [equation for equation in waiting if isinstance(equation.sides[0], tree.Name)]
        known = dict(self.arrays)
        while waiting:
            ready = [equation for equation in waiting if known.keys() >= {*names(equation)}]
            assert ready, f"{waiting[0]} has names that stand nowhere"
            known |= {equation.sides[0].text: evaluate(equation, known) for equation in ready}
            waiting = [equation for equation in waiting if equation not in ready]
        return known


def assert_equal(value, wanted):
    """The same array; a vector stands as a column."""
    value = np.asarray(value)
    if value.ndim == 1 and wanted.ndim == 2:
        value = value[:, None]
    assert value.shape == wanted.shape
    scale = np.max(np.abs(wanted), initial=1e-3)
    np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-10 * scale)


def test_the_table_has_enough_rows_in_each_family():
    families = [row.family for row in IDENTITIES]
    assert len(IDENTITIES) >= 100 and min(map(families.count, families)) >= 2
    assert len({row.name for row in IDENTITIES}) == len(IDENTITIES)


@pytest.mark.parametrize("row", IDENTITIES, ids=lambda row: row.name)
def test_an_identity_is_derived(row):
    work = Work(row)
    for step in work.derivation.steps:
        assert step.check is not None and step.check < 1e-10, str(step)
    work.assert_the_book_is_right()
    work.assert_the_forms_are_closed()
    for alphabet in ("unicode", "ascii"):
        work.assert_what_is_printed_is_the_derivative(alphabet)
    assert text(work.laid_out.formula.sides[-1]) == row.derived


SMALLER = {2: 4, 3: 2, 5: 3, 7: 5}
IN_SYMBOLS = [
    row
    for row in IDENTITIES
    if row.family == "Scalars by matrices"
    and row.expression.startswith(("tr(", "det(", "logdet("))
    and row.shapes.keys() >= {*names(parse(row.derived))}
]


def test_enough_rows_are_held_against_symbols():
    assert len(IN_SYMBOLS) >= 10


@pytest.mark.parametrize("row", IN_SYMBOLS, ids=lambda row: row.name)
def test_what_is_printed_is_what_sympy_differentiates(row):
    """Entry by entry, at smaller sizes than those that it was derived at."""
    sympy = pytest.importorskip("sympy")
    shapes = {n: tuple(SMALLER[size] for size in shape) for n, shape in row.shapes.items()}
    arrays = replace(row, shapes=shapes).arrays()
    rows, columns = shapes["X"]
    X = sympy.Matrix(rows, columns, sympy.symbols(f"x:{rows * columns}"))
    functions = {
        "tr": sympy.trace,
        "det": sympy.det,
        "logdet": lambda A: sympy.log(sympy.det(A)),
        "inv": lambda A: A.adjugate() / A.det(),
    }
    known = {name: sympy.Matrix(np.asarray(array)) for name, array in arrays.items()}
    loss = eval(row.expression, functions, {**known, "X": X})
    values = dict(zip(X, known["X"], strict=True))
    gradient = X.applyfunc(lambda entry: sympy.diff(loss, entry).subs(values))
    wanted = np.asarray(gradient, dtype=float)
    printed = row.derived.replace("I₅", "I₃")
    assert_equal(
        evaluate(parse(printed), arrays), wanted.T if row.layout == "numerator" else wanted
    )
