"""Names as on paper: library calls whose derivative is the textbook's, expressions as formulas."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from layouts.exploration import explore
from layouts.formulas.evaluating import evaluate
from layouts.formulas.tree import (
    Call,
    Identity,
    Indicator,
    Inverse,
    Name,
    Ones,
    Product,
    Quotient,
    Sum,
    Transpose,
    View,
)
from layouts.naming import familiar, linearize_named
from layouts.naming.paper import on_paper
from layouts.naming.units import unit_of
from layouts.naming.written import is_open, open_parts, written
from layouts.show.patterns import turn
from layouts.show.products import einsum
from layouts.show.values import Values
from layouts.show.views import expand
from layouts.transforms import linearize_call
from tests.test_naming import CASES

linalg = jnp.linalg
S = (3, 3)


def gradient(function):
    return lambda x, *rest: jax.grad(lambda x: jnp.sum(function(x, *rest) ** 2))(x)


UNITS = {
    "inv": (linalg.inv, S),
    "det": (linalg.det, S),
    "slogdet": (lambda X: linalg.slogdet(X)[1] * linalg.slogdet(X).sign, S),
    "solve for a vector": (linalg.solve, S, (3,)),
    "solve for a matrix": (lambda B, A: linalg.solve(A.T, B), (3, 2), S),
    "norm of a vector": (linalg.norm, (5,)),
    "Frobenius norm": (lambda X: linalg.norm(X, "fro", keepdims=True), (4, 3)),
    "norms of rows": (lambda X: X / linalg.norm(X, axis=-1, keepdims=True), (4, 3)),
    "norms of columns": (lambda X: linalg.norm(X, axis=0), (4, 3)),
    "inside a jit": (lambda A, X: jax.jit(lambda Y: linalg.inv(Y @ A))(X), S, S),
    "several at once": (lambda X, b: b @ linalg.solve(X, b) + linalg.slogdet(X)[1], S, (3,)),
    "columns by vmap": (lambda A, B: jax.vmap(lambda b: linalg.solve(A, b))(B), S, (2, 3)),
    "gradient of inv": (gradient(linalg.inv), S),
    "gradient of solve": (gradient(linalg.solve), S, (3,)),
    "gradient by b": (gradient(lambda B, A: linalg.solve(A, B)), (3, 2), S),
    "gradient of logdet": (gradient(lambda X: linalg.slogdet(X)[1]), S),
    "gradient of norm": (gradient(linalg.norm), (5,)),
}


def arrays_for(shapes):
    rng = np.random.default_rng(sum(map(len, shapes)) + shapes[0][0])
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("name", UNITS)
def test_values_and_derivatives_are_those_of_the_function(name):
    function, *shapes = UNITS[name]
    places = tuple(range(len(shapes)))

    def all_of(fun):
        second = [] if "gradient" in name else [jax.hessian(fun)]
        return [fun, jax.jacrev(fun, places), *second]

    def run(fun):
        return jax.jit(lambda *args: [part(*args) for part in all_of(fun)])(*arrays_for(shapes))

    found, true = jax.tree.leaves(run(on_paper(function))), jax.tree.leaves(run(function))
    for ours, theirs in zip(found, true, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", UNITS)
def test_no_decomposition_is_left(name):
    function, *shapes = UNITS[name]
    named = linearize_named(function, 0, [jax.ShapeDtypeStruct(s, float) for s in shapes])
    assert open_parts(named.residuals) == ()


@jax.jit
def norm(x):
    return x.sum() ** 2


@jax.jit
def inv(X):
    return X.T


def test_a_function_of_the_same_name_is_not_taken_for_the_library():
    for function, shape in ((norm, (3,)), (inv, (3, 3))):
        struct = jax.ShapeDtypeStruct(shape, float)
        (equation,) = jax.make_jaxpr(function)(struct).eqns
        assert equation.params["name"] in ("norm", "inv")
        assert unit_of(equation) is None
    assert explore(norm, {"x": (3,)}).definitions[0].text == "sum(x)"


@pytest.mark.parametrize(
    "function",
    [
        lambda X: linalg.inv(X + 1j),
        lambda X: linalg.norm(X, ord=1, axis=1),
        lambda X: linalg.norm(X, ord=2),
        lambda X: linalg.inv(X.reshape(1, 3, 3)),
    ],
)
def test_what_the_table_does_not_fit_is_left_alone(function):
    closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((3, 3), float))
    assert all(unit_of(equation) is None for equation in closed.eqns)


def test_a_users_own_rule_stands():
    @jax.custom_jvp
    def straight(X):
        return linalg.inv(X)

    straight.defjvp(lambda primals, tangents: (straight(*primals), 7 * tangents[0]))
    (X,) = arrays_for([S])
    J = jax.jacrev(on_paper(lambda X: straight(linalg.inv(X))))(X)
    np.testing.assert_allclose(J, 7 * jax.jacrev(linalg.inv)(X), rtol=1e-8, atol=1e-8)


def test_arguments_and_results_keep_their_structure():
    def model(params, *, scale):
        return {"y": linalg.inv(params["A"]) * scale, "params": params}

    params = {"A": arrays_for([S])[0], "n": 3}
    paper = on_paper(model)
    assert inspect.signature(paper) == inspect.signature(model)
    result = paper(params, scale=2.0)
    assert jax.tree.structure(result) == jax.tree.structure(model(params, scale=2.0))
    np.testing.assert_allclose(result["y"], 2 * np.linalg.inv(params["A"]))


@pytest.mark.parametrize(
    ("function", "shapes", "formula", "texts"),
    [
        (lambda X: linalg.inv(X), {"X": S}, "dD[i,j]/dX[k,l] = -A[l,j] A[i,k]", {"inv(X)"}),
        (lambda X: linalg.det(X), {"X": S}, "dD/dX[k,l] = A[l,k]", {"det(X) * inv(X)"}),
        (lambda X: linalg.slogdet(X)[1], {"X": S}, "dD/dX[k,l] = A[l,k]", {"inv(X)"}),
        (lambda A, b: linalg.solve(A, b), {"A": S, "b": (3,)}, None, {"inv(A)", "inv(A) @ b"}),
        (lambda x: linalg.norm(x), {"x": (3,)}, "dD/dx[k] = A[k]", {"x / norm(x)"}),
        (
            lambda X, A: jnp.trace(X.T @ A @ X),
            {"X": (3, 2), "A": S},
            "dD/dX[k,l] = B[k,l]",
            {"Aᵀ @ X + A @ X"},
        ),
    ],
)
def test_explore_says_what_a_textbook_says(function, shapes, formula, texts):
    found = explore(function, shapes)
    assert formula in (None, found.formula)
    assert {definition.text for definition in found.definitions} == texts


WRITTEN = {
    "row times matrix": (lambda W, x, b: jnp.tanh(x @ W * b), (4, 5), (4,), (5,)),
    "quadratic form": (lambda x, A: jnp.exp(x @ A @ x) * (A @ x), (3,), S),
    "product of many": (lambda A, x: jnp.sin(x @ A @ (A @ A.T) @ A @ x / x.sum()), S, (3,)),
    "sigmoid": (lambda W, x: jax.nn.sigmoid(W @ x) ** 2, (4, 3), (3,)),
    "scaled rows and columns": (lambda W, x, y: jnp.sin(W * x * y[:, None]), (4, 5), (5,), (4,)),
    "outer product": (lambda x, y: jnp.sin(jnp.outer(x, y / 3) * x.sum()), (4,), (5,)),
    "einsum": (lambda x, y: x * jnp.sin(jnp.einsum("bij,bkj->i", y, y)), (3,), (2, 3, 4)),
    "batched": (lambda x, y: jnp.sin(jnp.einsum("bij,bjk->kbi", x, y)), (2, 3, 4), (2, 4, 5)),
    "layer norm": (lambda X: (X - X.mean(1)[:, None]) / jnp.sqrt(X.var(1)[:, None] + 1), (4, 5)),
    "logsumexp": (lambda X, y: jax.nn.logsumexp(X * y, axis=1) * y.sum(1), (4, 5), (4, 5)),
    "log softmax": (lambda X: jnp.sin(jax.nn.log_softmax(X, axis=0)), (4, 5)),
    "diagonal matrix": (lambda s, X: jnp.sin(jnp.diag(s) @ X), (4,), (4, 5)),
    "padding": (lambda x, y: jnp.pad(x, (1, 2)) * jnp.pad(y, (2, 1)), (4,), (4,)),
    "arcs": (lambda x, y: x * jnp.arctan(y) * jnp.arcsinh(y), (4,), (4,)),
    "powers": (lambda x, y: x**y * jnp.sqrt(x * y), (4,), (4,)),
    "trace": (lambda X, Y: jnp.exp(jnp.trace(X @ Y)), (3, 4), (4, 3)),
} | {name: case for name, case in UNITS.items() if "vmap" not in name}


@pytest.mark.parametrize("name", [*CASES, *WRITTEN])
def test_a_formula_has_the_value_of_its_expression(name):
    function, *shapes = WRITTEN[name] if name in WRITTEN else CASES[name]
    rng = np.random.default_rng(len(name))
    args = {n: rng.uniform(0.2, 1.5, s) for n, s in zip("pqr", shapes, strict=False)}
    with jax.numpy_rank_promotion("allow"):
        flat = eval(f"lambda {','.join(args)}: f({','.join(args)})", {"f": function})
        named = linearize_named(flat, 0, [jax.ShapeDtypeStruct(s, float) for s in shapes])
        arrays = jax.jit(lambda *xs: linearize_call(on_paper(flat), 0, xs, {}).residuals)(
            *args.values()
        )
    assert len(arrays) == len(named.residuals)
    known = familiar(named.values, float)
    for value, array in zip(named.residuals, arrays, strict=True):
        assert open_parts([value], {}, known) == ()
        with jax.numpy_rank_promotion("allow"):
            found = np.asarray(evaluate(written(value, {}, known), args))
        np.testing.assert_allclose(np.broadcast_to(found, array.shape), array, rtol=2e-5, atol=1e-6)


@pytest.fixture
def values():
    return Values()


def matmul(values, left, right):
    shape = left.shape[:-1] + right.shape[1:]
    return values.make("matmul", (left, right), (), shape)


A, B, W, x, y, z = map(Name, "ABWxyz")


def test_vectors_stand_as_columns(values):
    a, b = values.name("A", (3, 4)), values.name("B", (4, 5))
    u, v = values.name("x", (3,)), values.name("y", (4,))
    w = values.name("z", (5,))
    row = matmul(values, matmul(values, u, a), b)
    assert written(row) == Product("matrix", (Transpose(B), Transpose(A), x))
    assert written(matmul(values, row, w)) == Product("matrix", (Transpose(x), A, B, z))
    assert written(matmul(values, u, u)) == Product("matrix", (Transpose(x), x))
    assert written(turn(values, matmul(values, a, b))) == Product(
        "matrix", (Transpose(B), Transpose(A))
    )
    half = values.add([(0.5, a)])
    assert written(matmul(values, half, v)) == Sum((0.5,), (Product("matrix", (A, y)),))
    scaled = values.multiply([(v, 1), (matmul(values, v, v), -1)])
    inner = Product("matrix", (Transpose(y), y))
    assert written(matmul(values, a, scaled)) == Quotient(Product("matrix", (A, y)), inner)


def test_columns_and_rows_make_matrices(values):
    u, v, w = values.name("x", (3,)), values.name("y", (4,)), values.name("W", (3, 4))
    column = expand(values, u, [0], 2)
    outer = values.multiply([(column, 1), (v, 1)])
    assert written(outer) == Product("matrix", (x, Transpose(y)))
    both = values.multiply([(column, 1), (w, 1), (v, 1)])
    assert written(both) == Product("matrix", (Call("diag", (x,)), W, Call("diag", (y,))))
    assert written(values.add([(1, w), (1, column)])) == Sum((1, 1), (W, View(x, (":", "None"))))


def test_derivatives_of_functions_have_primes(values):
    u = values.name("z", (3,))
    one, tanh, s = values.number(1), values.map("tanh", u), values.map("sigmoid", u)
    slope = values.add([(1, one), (-1, values.multiply([(tanh, 2)]))])
    assert written(slope) == Call("tanh", (z,), (), 1)
    assert written(values.add([(-3, slope)])) == Sum((-3,), (Call("tanh", (z,), (), 1),))
    less = values.add([(1, one), (-1, s)])
    assert written(values.multiply([(s, 1), (less, 1)])) == Call("sigmoid", (z,), (), 1)
    assert written(less) == Sum((1, -1), (one_formula(), Call("sigmoid", (z,))))
    assert written(values.map("gelu′", u)) == Call("gelu", (z,), (), 1)
    above = values.indicator(values.compare(">", u, values.number(0)))
    assert isinstance(written(above), Indicator)
    assert written(above, steps=True) == Call("relu", (z,), (), 1)


def one_formula():
    return written(Values().number(1))


def test_parts_with_names_are_not_written_out(values):
    u, w = values.name("x", (3,)), values.name("W", (4, 3))
    z1 = matmul(values, w, u)
    a1 = values.map("tanh", z1)
    named = {z1: "z1", a1: "a1"}
    assert written(a1, named) == Call("tanh", (Name("z1"),))
    slope = values.add([(1, values.number(1)), (-1, values.multiply([(a1, 2)]))])
    assert written(slope, named) == Call("tanh", (Name("z1"),), (), 1)


def test_special_matrices(values):
    a = values.name("A", S)
    eye = values.call("eye", [], ["3"], S)
    assert written(eye) == Identity(3)
    assert written(values.call("inv", [a], [], S)) == Inverse(A)
    assert written(values.call("trace", [a], [], ())) == Call("tr", (A,))
    ones = values.call("broadcast_to", [values.number(1)], ["(2, 3)"], (2, 3))
    assert written(ones) == Ones((2, 3))


def test_what_has_no_formula_is_open(values):
    u, constant = values.name("x", (3,)), values.constant((3,))
    (scan,) = values.unknown("scan", [u], [(3,)])
    total = values.multiply([(scan, 1), (values.map("sin", constant), 1)])
    assert [is_open(v) for v in (u, constant, scan, total)] == [False, True, True, False]
    assert open_parts([total]) == (scan, constant)
    assert open_parts([total], {scan: "h"}) == (constant,)
    assert written(constant) == Name("const1")
    assert written(total, {scan: "h"}).factors[0] == Name("h")
    diagonal = einsum(values, [values.name("A", S)] * 2, [(0, 0), (0, 1)], (1,), (3, 3))
    assert is_open(diagonal)


def test_work_is_linear_in_the_number_of_parts(values):
    value = values.name("x", (3,))
    for _ in range(3000):  # each holds the last one twice
        value = values.map("maximum", values.map("sin", value), values.map("cos", value))
    formula = written(value)
    assert isinstance(formula, Call)


def test_names_that_the_function_gives_are_kept():
    def model(x, W):
        return jnp.sin(checkpoint_name(jnp.tanh(checkpoint_name(W @ x, "z1")), "a1"))

    named = linearize_named(model, 0, [jax.ShapeDtypeStruct(s, float) for s in ((3,), (4, 3))])
    given = {name: value for value, name in named.values.given.items()}
    assert given.keys() == {"z1", "a1"}
    assert given["a1"].operands == (given["z1"],)
    found = explore(model, {"x": (3,), "W": (4, 3)})
    assert found.opaque == ()


def test_a_table_of_indices_known_to_be_none_below_zero_is_taken_as_it_is():
    E = jnp.arange(15.0).reshape(5, 3)
    for table, guarded in (([1, 3, 1], False), ([1, -3, 1], True)):

        def rows(E, table=table):
            return E[jnp.array(table)]

        closed = jax.make_jaxpr(on_paper(rows))(E)
        assert ("select_n" in str(closed)) == guarded
        np.testing.assert_array_equal(on_paper(rows)(E), rows(E))
    traced = jax.make_jaxpr(on_paper(lambda E, i: E[i]))(E, jnp.array([1, 3]))
    assert "select_n" in str(traced)  # an argument may be negative another time
