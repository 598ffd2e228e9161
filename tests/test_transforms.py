"""The drop-in transforms: whatever `jax.jacrev` and `jax.hessian` give, so do these."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax.flatten_util import ravel_pytree

import layouts
from layouts import LayoutError, hessian, jacobian
from layouts.counting import count_stored
from tests.cases import complexes
from tests.oracle import (
    assert_same,
    densified,
    is_jacobian,
)
from tests.strategies import programs


def normal(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).standard_normal(shape))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(programs())
def test_random_programs(program):
    numbers = tuple(range(len(program.inputs)))

    def everything(*args):
        found = {
            order: jacobian(program, numbers, order=order)(*args)
            for order in ("auto", "forward", "reverse")
        }
        structured = jacobian(program, numbers, structured=True)(*args)
        return jax.jacrev(program, numbers)(*args), found, densified(structured)

    wanted, found, structured = jax.jit(everything)(*program.args())
    for order in found:
        assert_same(found[order], wanted)
    assert_same(structured, wanted)


def pair(x, y, scale=1.0):
    return {"a": scale * jnp.sin(x) * y.sum(), "b": y @ y.T}


@pytest.mark.parametrize(
    "argnums",
    [0, 1, -1, -2, (0,), (1, 0), (-1, 0), [0, 1], (-2, -1), True, {1}, np.int64(1), np.arange(2)],
)
def test_argnums_in_every_form(argnums):
    args = normal(5), normal(3, 2)
    wanted = jax.jacrev(pair, argnums)(*args)
    assert_same(jacobian(pair, argnums)(*args), wanted)
    assert_same(densified(jacobian(pair, argnums, structured=True)(*args)), wanted)


def test_keywords_pass_through_undifferentiated():
    args = normal(5), normal(3, 2)
    found = jacobian(pair, (0, 1))(*args, scale=normal(5))
    assert_same(found, jax.jacrev(pair, (0, 1))(*args, scale=normal(5)))


@pytest.mark.parametrize("structured", [False, True])
def test_auxiliary_output(structured):
    def function(x):
        return jnp.sin(x), {"doubled": 2 * x, "kept": 7, "text": "as it is"}

    x = normal(5)
    found, aux = jacobian(function, has_aux=True, structured=structured)(x)
    wanted, wanted_aux = jax.jacrev(function, has_aux=True)(x)
    assert_same(densified(found) if structured else found, wanted)
    assert aux["kept"] == 7 and aux["text"] == "as it is"
    assert_same(aux["doubled"], wanted_aux["doubled"])
    compiled = jax.jit(jacobian(lambda x: (x**2, x.sum()), has_aux=True))(x)
    assert_same(compiled, jax.jacrev(lambda x: (x**2, x.sum()), has_aux=True)(x))


@pytest.mark.parametrize("wrong", [lambda x: x, lambda x: (x, 1, 2)])
def test_an_auxiliary_output_that_is_missing(wrong):
    x = normal(5)
    with pytest.raises(TypeError, match="two-element tuple"):
        jax.jacrev(wrong, has_aux=True)(x)
    with pytest.raises(TypeError, match="two-element tuple"):
        jacobian(wrong, has_aux=True)(x)


@pytest.mark.parametrize("structured", [False, True])
def test_integers_that_are_allowed(structured):
    def function(n, x, m):
        return x * n * m, x.sum()

    args = jnp.arange(5), normal(5), jnp.ones(5, jnp.int8)
    found = jacobian(function, (0, 1, 2), allow_int=True, structured=structured)(*args)
    assert_same(
        densified(found) if structured else found,
        jax.jacrev(function, (0, 1, 2), allow_int=True)(*args),
    )


def test_a_real_function_of_complex_inputs():
    """Jacrev gives such functions a Jacobian; so must these, structured too."""
    (z,) = complexes((5,))(np.random.default_rng(0))

    def function(z):
        return jnp.abs(z) ** 2 + jnp.real(z[::-1] * (2 - 1j))

    wanted = jax.jacrev(function)(z)
    assert_same(jacobian(function)(z), wanted)
    J = jacobian(function, structured=True)(z)
    assert is_jacobian(J)
    assert_same(J.dense(), wanted)


TO_COMPLEX = {
    "Fourier transform": jnp.fft.rfft,
    "on the way and back": lambda x: {"there": jnp.exp(1j * x), "back": jnp.abs(x + 2j * x[::-1])},
    "products": lambda x: normal(3, 5) @ jnp.tanh(normal(5, 7) * (1 + 2j) @ x),
    "through real": lambda x: jnp.real(normal(4, 7) * 1j @ (1j * x)) * (normal(4, 7) * 1j @ x),
}


@pytest.mark.parametrize("name", TO_COMPLEX)
@pytest.mark.parametrize("structured", [False, True])
def test_complex_outputs_of_real_inputs_are_pushed_as_jacfwd_does(name, structured):
    function, x = TO_COMPLEX[name], normal(7)
    found = jacobian(function, order="forward", structured=structured)(x)
    assert_same(densified(found) if structured else found, jax.jacfwd(function)(x))
    for order in ("auto", "reverse"):
        with pytest.raises(TypeError, match="real-valued outputs"):
            jacobian(function, order=order)(x)


X, N = normal(5), jnp.arange(3)
Z = X + 1j
WRONG = {
    "integer input": (jnp.sin, {}, (N,)),
    "boolean input": (jnp.sin, {}, (N > 0,)),
    "Python int input": (jnp.sin, {}, (3,)),
    "one integer among several": (lambda p: p["a"] * p["b"], {}, ({"a": X[:3], "b": N},)),
    "integer output": (jnp.argmax, {}, (X,)),
    "one integer output": (lambda x: (x, jnp.argmax(x)), {}, (X,)),
    "complex output": (lambda x: 1j * x, {}, (X,)),
    "complex input and output": (lambda z: z * z, {}, (Z,)),
    "holomorphic, real input": (lambda z: z * z, {"holomorphic": True}, (X,)),
    "holomorphic, real output": (jnp.real, {"holomorphic": True}, (Z,)),
    "a string": (jnp.sin, {}, ("abc",)),
    "an object": (jnp.sin, {}, (object(),)),
    "None": (jnp.sin, {}, (None,)),
    "a key": (jax.random.normal, {}, (jax.random.key(0),)),
    "no such argument": (jnp.sin, {"argnums": 1}, (X,)),
    "no such negative argument": (jnp.sin, {"argnums": -2}, (X,)),
    "one argument out of range": (jnp.multiply, {"argnums": (0, 2)}, (X, X)),
    "no arguments": (lambda: 1.0, {}, ()),
    "unknown keyword": (lambda x: x, {}, (X,)),
    "argnums no number": (jnp.sin, {"argnums": "x"}, (X,)),
    "argnums a float": (jnp.sin, {"argnums": 0.0}, (X,)),
    "no function": (3, {}, (X,)),
    "text for output": (lambda x: "text", {}, (X,)),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_what_jax_refuses_is_refused_in_the_same_words(name):
    function, options, args = WRONG[name]
    keywords = {"unknown": 3} if name == "unknown keyword" else {}
    with pytest.raises((TypeError, ValueError)) as theirs:
        jax.jacrev(function, **options)(*args, **keywords)
    with pytest.raises(type(theirs.value)) as ours:
        jacobian(function, **options)(*args, **keywords)
    if name in ("no such argument", "no such negative argument", "one argument out of range"):
        assert isinstance(ours.value, LayoutError)
        assert "argnums: expected positions from" in str(ours.value)
    elif name == "no arguments":
        assert "called with 0 positional arguments" in str(ours.value)
    elif name not in ("argnums no number", "no function", "text for output", "unknown keyword"):
        assert str(ours.value) == str(theirs.value)
    for mode in ("jacobian", "structured"):
        with pytest.raises(type(theirs.value)):
            jacobian(function, **options, structured=mode == "structured")(*args, **keywords)


def test_the_same_argument_twice_is_refused():
    """JAX fails on it; zeros for the first would be a silent surprise."""
    with pytest.raises((TypeError, ValueError)):
        jacobian(lambda x, y: x * y, (0, 0))(X, X)


def test_functions_errors_pass_through():
    def fails(x):
        raise KeyError("of its own")

    with pytest.raises(KeyError, match="of its own"):
        jacobian(fails)(X)


def test_the_wrapper_keeps_the_functions_name():
    def energy(x):
        """Half the square."""
        return 0.5 * x @ x

    assert jacobian(energy).__name__ == "energy"
    assert jacobian(energy).__doc__ == "Half the square."


def cubic(p, y):
    return jnp.sum(jnp.tanh(p["W"] @ y) ** 3) + p["s"] * y @ y


HESSIANS = {
    "cubes": (lambda x: jnp.sum(x**3), 0, lambda: (normal(5),)),
    "linear": (lambda x: 3 * x.sum(), 0, lambda: (normal(5),)),
    "matrix": (lambda M: jnp.sum(jnp.tanh(M @ M.T)), 0, lambda: (normal(3, 2),)),
    "pytree": (cubic, (0, 1), lambda: ({"W": normal(5, 3), "s": jnp.asarray(0.7)}, normal(3))),
    "vector output": (lambda x: x**3, 0, lambda: (normal(5),)),
    "log-sum-exp": (jax.nn.logsumexp, 0, lambda: (normal(5),)),
    "pairs": (
        lambda x: jnp.sum(jnp.exp(-((x[:, None, :] - x[None, :, :]) ** 2).sum(-1))),
        0,
        lambda: (normal(5, 2),),
    ),
    "solve": (
        lambda b: b @ jnp.linalg.solve(jnp.eye(3) + jnp.outer(b, b), b),
        0,
        lambda: (normal(3),),
    ),
}


@pytest.mark.parametrize("name", sorted(HESSIANS))
def test_hessians(name):
    function, argnums, make = HESSIANS[name]
    args = make()
    wanted = jax.jit(jax.hessian(function, argnums))(*args)

    def everything(*args):
        found = {
            o: hessian(function, argnums, order=o)(*args) for o in ("auto", "forward", "reverse")
        }
        return found, densified(hessian(function, argnums, structured=True)(*args))

    found, structured = jax.jit(everything)(*args)
    for order in found:
        assert_same(found[order], wanted)
    assert_same(structured, wanted)
    nested = jax.jit(jacobian(jacobian(function, argnums), argnums))(*args)
    assert_same(nested, wanted)


def test_hessian_with_auxiliary_output_and_holomorphic():
    x = normal(3)
    found, aux = hessian(lambda x: (jnp.sum(x**3), {"x": x}), has_aux=True)(x)
    assert_same(found, jax.hessian(lambda x: jnp.sum(x**3))(x))
    assert_same(aux["x"], x)
    z = x + 1j * x[::-1]
    assert_same(
        hessian(lambda z: jnp.sum(z**3), holomorphic=True)(z),
        jax.hessian(lambda z: jnp.sum(z**3), holomorphic=True)(z),
    )
    with pytest.raises(TypeError):
        hessian(jnp.sum)(N)


def test_a_pairwise_hessian_is_two_terms():
    """`δ[a,b] S[a,d,e] - 2 M[a,b,d,e]`: stored in far less than the dense array."""
    H = hessian(HESSIANS["pairs"][0], structured=True)(normal(11, 2))
    assert len(H.terms) <= 4
    assert H.shape == (11, 2, 11, 2)


def gated(inputs):
    """A recurrent network with a gate, of few units, by what it is given."""
    h = jnp.zeros(6)
    for x in inputs:
        gate = jax.nn.sigmoid(h @ jnp.cos(SQUARE) + x)
        h = (1 - gate) * h + gate * jnp.tanh(gate * h @ jnp.sin(SQUARE))
    return h


def recurrent(weights):
    h = jnp.ones(6)
    for _ in range(5):
        h = jnp.tanh(weights @ h + 0.1)
    return (h**2).sum()


def hidden_states(transitions):
    """The likelihood of what a hidden Markov model of six states emits: large terms, many sums."""

    def step(alpha, emitted):
        moves = jax.nn.log_softmax(transitions, 1)
        return jax.nn.logsumexp(alpha[:, None] + moves, 0) + emitted, None

    emitted = jnp.sin(jnp.arange(60.0)).reshape(10, 6)
    return jax.nn.logsumexp(jax.lax.scan(step, jnp.zeros(6), emitted)[0])


SQUARE = jnp.arange(36.0).reshape(6, 6)
LOOPS = [
    (jacobian, gated, jax.jacrev, (9, 6)),
    (hessian, recurrent, jax.hessian, (6, 6)),
    (hessian, hidden_states, jax.hessian, (6, 6)),
]


@pytest.mark.parametrize(("of", "function", "by_jax", "shape"), LOOPS)
def test_a_loop_of_small_products_is_applied_as_a_whole(of, function, by_jax, shape):
    """Dense, in about as many steps as JAX makes; structured, by the plan."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal(shape))
    wanted = by_jax(function)(x)
    stored = [count_stored(jax.make_jaxpr(one(function))(x).jaxpr) for one in (of, by_jax)]
    assert stored[0] <= 1.1 * stored[1]
    np.testing.assert_allclose(of(function)(x), wanted, atol=1e-12)
    np.testing.assert_allclose(of(function, structured=True)(x).dense(), wanted, atol=1e-12)
    assert not layouts.cost(function)(x).opaque


def bands(x):
    """The energy in each of eight bands of frequencies: complex on the way from reals to reals."""
    return jnp.log(jnp.abs(jnp.fft.rfft(x)[:-1] ** 2).reshape(8, -1).sum(1))


def test_what_would_move_many_more_bytes_than_jax_is_applied_as_a_whole():
    x = jnp.asarray(np.random.default_rng(0).standard_normal(2048))
    compiled = jax.jit(jacobian(bands)).lower(x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1e6  # the transform's matrix has 34 MB
    np.testing.assert_allclose(compiled(x), jax.jacrev(bands)(x), atol=1e-12)


def of_segments(x):
    """What the sums of segments cost."""
    return jnp.sin(jax.ops.segment_sum(x, jnp.arange(300) // 20, 15)).sum()


def test_no_column_is_scattered_where_a_plan_writes_what_it_would_give():
    """XLA puts each entry at its place by itself: all columns of a matrix take long."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal(300))
    text = jax.jit(hessian(of_segments)).lower(x).as_text()
    assert text.count('"stablehlo.scatter"') == 1  # the function's own
    np.testing.assert_allclose(hessian(of_segments)(x), jax.hessian(of_segments)(x), atol=1e-12)


def preys(p):
    """Predators and preys by what they eat and are eaten: a long loop over entries."""
    growth, eaten = p["growth"], p["eaten"]

    def step(x, _):
        x = x + 0.01 * x * (growth - (eaten * x[None]).sum(1))
        return x, x

    sizes = jax.lax.scan(step, jnp.ones(2), None, 40)[1]
    return sizes, {"last": sizes[-1]}


def pendulum(x):
    def step(x, _):
        x = x + 0.1 * jnp.stack([x[1], -jnp.sin(x[0])])
        return x, x

    return jax.lax.scan(step, x, None, 40)[1]


def by_matrix(x):
    step = jnp.cos(SQUARE)
    return jax.lax.scan(lambda x, _: (jnp.tanh(step @ x),) * 2, x, None, 40)[1]


def test_a_long_loop_over_entries_is_pushed_together_with_its_function():
    """In one loop, as `jax.jacfwd` has it: no residuals are stored. Products stay apart."""
    parameters = {"growth": normal(2), "eaten": 1 + normal(2, 2)}
    together, unravel = ravel_pytree(parameters)

    def flat(p):
        return preys(unravel(p))[0]

    for function, x, loops in [
        (flat, together, 1),
        (pendulum, normal(2), 1),
        (by_matrix, normal(6), 2),
    ]:
        wanted = jax.jacfwd(function)(x)
        assert_same(jacobian(function)(x), wanted)
        assert_same(jacobian(function, structured=True)(x).dense(), wanted)
        text = jax.jit(jacobian(function)).lower(x).as_text()
        assert text.count("stablehlo.while") == loops
    text = jax.jit(jacobian(lambda p: preys(p)[0])).lower(parameters).as_text()
    assert text.count("stablehlo.while") == 1
    of_all, by_jax = (of(preys, has_aux=True)(parameters) for of in (jacobian, jax.jacfwd))
    assert_same(of_all, by_jax)
    points = normal(3, 6)
    assert_same(jax.vmap(jacobian(flat))(points), jax.vmap(jax.jacfwd(flat))(points))
    fitted = [
        jax.jit(of(lambda p: (flat(p) ** 2).sum()))(together) for of in (hessian, jax.hessian)
    ]
    assert_same(*fitted)
    np.testing.assert_array_equal(fitted[0], fitted[0].T)


@pytest.mark.parametrize("everything", [False, True])
def test_all_inputs_of_a_loop_are_pushed_or_pulled_at_once(everything):
    """By a dictionary of weights, to several outputs: one loop beside the function's own."""
    given = jnp.sin(jnp.arange(120.0)).reshape(40, 1, 3)

    def network(p):
        def step(h, x):
            h = jnp.tanh(0.3 * x @ p["W"] + h @ p["U"] + p["b"])
            return h, h[:, :2]

        last, rows = jax.lax.scan(step, p["h"].astype(float), given)
        return {"last": last, "rows": rows if everything else rows[-1]}

    shapes = {"W": (3, 4), "U": (4, 4), "b": (1, 4), "h": (1, 4)}
    weights = {name: 0.4 * normal(*shape) for name, shape in shapes.items()}
    weights["h"] = weights["h"].astype(jnp.float32)
    assert_same(jacobian(network)(weights), jax.jacrev(network)(weights), "float32")
    text = jax.jit(jacobian(network)).lower(weights).as_text()
    assert text.count("stablehlo.while") == 2


def test_a_gradient_is_jaxs_own_program_where_a_plan_saves_nothing():
    """A network's by its weights; of a sum of products the plan multiplies sums, not matrices."""
    X, weights = normal(31, 7), [normal(7, 5), normal(5, 3)]

    def network(weights):
        return jnp.mean((jnp.tanh(X @ weights[0]) @ weights[1]) ** 2)

    def products(weights):
        return jnp.sum(X @ weights[0] @ weights[1])

    def work(transform, function):
        text = jax.jit(transform(function)).lower(weights).as_text()
        return [text.count(f"stablehlo.{name} ") for name in ("dot_general", "multiply", "reduce")]

    for function in (network, products):
        found, wanted = jacobian(function)(weights), jax.grad(function)(weights)
        assert_same(found, wanted)
    assert work(jacobian, network) == work(jax.grad, network)
    assert work(jacobian, products)[0] < work(jax.grad, products)[0]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_numbers_alone_are_of_the_results_dtype(dtype):
    """With 64 bits on, arrays of ones and zeros would else be computed in double precision."""
    x = normal(70).astype(dtype)
    for transform, function in [
        (jacobian, lambda x: x[1:] - x[:-1]),
        (jacobian, lambda x: x + jnp.tanh(x).sum()),
        (hessian, lambda x: (x[0] * x[1:]).sum()),
    ]:
        program = str(jax.make_jaxpr(transform(function))(x))
        assert "f64[70" not in program and "f64[69" not in program


def test_jacobians_of_closures_under_an_outer_jacobian():
    W, x = normal(5, 3), normal(3)

    def inner(W):
        return jacobian(lambda x: jnp.tanh(W @ x))(x)

    assert_same(
        jax.jacrev(inner)(W), jax.jacrev(lambda W: jax.jacrev(lambda x: jnp.tanh(W @ x))(x))(W)
    )
    assert_same(jacobian(inner)(W), jax.jacrev(inner)(W))


def energy(x):
    return jnp.exp(-((x[:, None] - x[None]) ** 2)).sum()


def damped(x):
    return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1]


@pytest.mark.parametrize(
    ("transform", "function", "programs", "structured"),
    [
        (hessian, energy, 1, False),
        (hessian, energy, 1, True),
        (jacobian, lambda x: x[1:] * x[:-1], 1, False),
        (jacobian, lambda x: x[1:] * x[:-1], 0, True),  # whose factors are at hand
        (jacobian, damped, 0, False),  # what applies an operator is run step by step
    ],
)
def test_outside_jit_a_plan_is_one_program_that_is_compiled_once(
    transform, function, programs, structured, caplog
):
    """Whatever function it came from, if that is alike."""
    x = normal(7)
    wanted = (jax.hessian if transform is hessian else jax.jacfwd)(function)(x)
    jax.clear_caches()
    for expected in (programs, 0):
        caplog.clear()
        with jax.log_compiles():
            found = transform(lambda x: function(x), structured=structured)(x)
        told = [record.getMessage() for record in caplog.records]
        assert sum(line.startswith("Compiling jit(_evaluated)") for line in told) == expected
        assert_same(densified(found) if structured else found, wanted)


def test_outside_jit_an_array_that_is_at_hand_stays_that_array():
    W, X = normal(5, 3), normal(3, 2)
    assert jacobian(jnp.matmul, structured=True)(W, X).arrays[0] is X


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize(
    ("transform", "function"), [(hessian, energy), (jacobian, damped), (jacobian, jax.nn.softmax)]
)
def test_no_tracer_outlives_its_trace(transform, function, structured):
    x = normal(7)
    with jax.checking_leaks():
        found = jax.jit(transform(function, structured=structured))(x)
    wanted = (jax.hessian if transform is hessian else jax.jacfwd)(function)(x)
    assert_same(densified(found) if structured else found, wanted)


def test_names_are_exported():
    assert layouts.jacobian is jacobian and layouts.hessian is hessian
    assert issubclass(LayoutError, ValueError)
