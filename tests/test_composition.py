"""Jacobians inside JAX's other transforms, and other transforms inside them."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from layouts import Jacobian, hessian, jacobian
from tests.oracle import OPTIMIZED, assert_same, densified, is_jacobian

STRUCTURED = [False, True]


def normal(*shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(7 * sum(shape)).standard_normal(shape), dtype)


def layer(W, x):
    return jax.nn.softmax(jnp.tanh(W @ x)) * x.sum()


W, X, XS = normal(5, 3), normal(3), normal(2, 3)


def dense(transform, structured):
    """The dense result, by way of a structured one or not."""
    if not structured:
        return transform
    return lambda *args: densified(transform(*args))


def layer_jacobian(structured, **options):
    return dense(jacobian(layer, (0, 1), structured=structured, **options), structured)


WANTED = jax.jacrev(layer, (0, 1))


@pytest.mark.parametrize("structured", STRUCTURED)
def test_under_vmap(structured):
    """By each argument mapped and not."""
    ours, both = layer_jacobian(structured), normal(2, 5, 3)
    for axes, args in [
        ((None, 0), (W, XS)),
        ((0, None), (both, X)),
        ((0, 0), (both, XS)),
        ((None, 1), (W, XS.T)),
    ]:
        found, wanted = jax.jit(
            lambda *args, a=axes: [jax.vmap(f, a)(*args) for f in (ours, WANTED)]
        )(*args)
        assert_same(found, wanted)
        assert_same(jax.vmap(ours, axes)(*args), wanted)


def test_a_structured_jacobian_leaves_vmap_as_a_pytree():
    found = jax.vmap(jacobian(layer, 1, structured=True), (None, 0))(W, XS)
    assert is_jacobian(found)
    one = jax.tree.map(lambda a: a[1], found)
    assert_same(one.dense(), jax.jacrev(layer, 1)(W, XS[1]))


def through(read):
    """A scalar function of a structured Jacobian, beside the same of the dense array."""
    c, t = normal(5), normal(5, 3)
    J = jacobian(layer, structured=True)

    def ours(W):
        return read(J(W, X), c, t)

    def theirs(W):
        return read(Dense(jax.jacrev(layer)(W, X)), c, t)

    return ours, theirs


@dataclass(frozen=True)
class Dense:
    """The operations of a Jacobian of a vector by a matrix, on its dense array."""

    array: Any

    def dense(self):
        return self.array

    def vjp(self, c):
        return jnp.tensordot(c, self.array, 1)

    def jvp(self, t):
        return jnp.tensordot(self.array, t, 2)

    def gram(self, side):
        out, into = ([1, 2], [1, 2]) if side == "out" else ([0], [0])
        return Dense(jnp.tensordot(self.array, self.array, (out, into)))

    def matrix(self):
        return self.array.reshape(self.array.shape[0], -1)


READINGS = {
    "vjp": lambda J, c, t: jnp.sum(jnp.sin(J.vjp(c))),
    "jvp": lambda J, c, t: jnp.sum(J.jvp(t) ** 3),
    "gram out": lambda J, c, t: jnp.sum(jnp.tanh(J.gram("out").dense())),
    "gram in": lambda J, c, t: jnp.sum(J.gram("in").dense() ** 2),
    "dense": lambda J, c, t: jnp.sum(jnp.sin(J.dense())),
    "matrix": lambda J, c, t: jnp.linalg.norm(J.matrix() @ t.ravel()),
    "log-determinant of the kernel": lambda J, c, t: jnp.linalg.slogdet(
        J.gram("out").dense() + jnp.eye(5)
    )[1],
}


@pytest.mark.parametrize("name", READINGS)
def test_gradient_of_a_function_of_a_jacobian(name):
    ours, theirs = through(READINGS[name])
    tangent = normal(3, 5).T

    @jax.jit
    def everything(W):
        pushed = jax.jvp(ours, (W,), (tangent,))[1]
        return jax.grad(theirs)(W), jax.grad(ours)(W), jacobian(ours)(W), pushed

    wanted, *found, pushed = everything(W)
    for gradient in (jax.grad(ours)(W), *found):
        assert_same(gradient, wanted)
    assert_same(pushed, jnp.vdot(wanted, tangent))


@pytest.mark.parametrize("outer", [jax.jacrev, jax.jacfwd, jacobian])
@pytest.mark.parametrize("structured", STRUCTURED)
def test_jacobian_of_a_jacobian(outer, structured):
    ours = jax.jit(outer(lambda W: layer_jacobian(structured)(W, X)[0]))(W)
    assert_same(ours, jax.jit(jax.jacfwd(jax.jacrev(layer)))(W, X))


def test_third_derivatives():
    def cubic(x):
        return jnp.sum(jnp.sin(x) ** 3) * x[0]

    @jax.jit
    def everything(x):
        wanted = jax.jacfwd(jax.hessian(cubic))(x)
        return wanted, jacobian(hessian(cubic))(x), hessian(jacobian(cubic))(x)

    wanted, *both = everything(X)
    for found in both:
        assert_same(found, wanted)


def test_the_gradient_of_a_function_of_a_hessian():
    # In loops rounded apart an entry and its mirror image compare differently: no cotangent is
    # lost for it (a choice of the larger lost some here, compiled).
    def contrastive(Z):
        one, other = (A / jnp.linalg.norm(A, axis=1, keepdims=True) for A in (Z, normal(20, 8)))
        return jnp.diag(jax.nn.log_softmax(one @ other.T / 0.2)).sum()

    def curvature(Z, transform):
        weights = jnp.cos(jnp.arange(160 * 160)).reshape(20, 8, 20, 8)
        return jnp.sum(jnp.tanh(transform(contrastive)(Z)) * weights)

    Z = normal(20, 8) + normal(8, 20).T
    wanted = jax.grad(partial(curvature, transform=jax.hessian))(Z)
    traced = jax.jit(jax.grad(partial(curvature, transform=hessian))).lower(Z)
    assert_same(traced.compile(OPTIMIZED)(Z), wanted)


def test_derivatives_of_a_holomorphic_hessian():
    def function(z):
        return jnp.prod(z) * jnp.sin(z).sum() + jnp.sum((z[1:] - z[:-1]) ** 4)

    z = normal(5) + 1j * normal(5)[::-1]
    ours = jax.jit(jax.jacfwd(hessian(function, holomorphic=True), holomorphic=True))(z)
    once = jax.hessian(function, holomorphic=True)
    assert_same(ours, jax.jacfwd(once, holomorphic=True)(z))


@pytest.mark.parametrize("structured", STRUCTURED)
def test_under_checkpoint(structured):
    def loss(W, transform):
        return sum(jnp.sum(part**2) for part in jax.checkpoint(transform)(W, X))

    wanted = jax.grad(partial(loss, transform=WANTED))(W)
    assert_same(jax.grad(partial(loss, transform=layer_jacobian(structured)))(W), wanted)


@pytest.mark.parametrize("structured", STRUCTURED)
def test_in_the_body_of_loops(structured):
    """Scan, while, fori, cond and map over Jacobians; the structured one may be a carry too."""
    ours = dense(jacobian(layer, 1, structured=structured), structured)
    theirs = jax.jacrev(layer, 1)

    def everything(transform, xs):
        newton = lax.scan(lambda x, s: (x - 0.1 * transform(W, x).T @ layer(W, x), s), X, xs)
        powers = lax.fori_loop(0, 3, lambda n, x: x + transform(W, x).sum(0), X)
        chosen = lax.cond(xs.sum() > 0, lambda: transform(W, xs[0]), lambda: transform(W, xs[1]))
        stopped = lax.while_loop(lambda x: x @ x < 9, lambda x: 2 * x + transform(W, x)[0], X)
        return newton, powers, chosen, stopped, lax.map(lambda x: transform(W, x), xs)

    wanted = jax.jit(partial(everything, theirs))(XS)
    assert_same(jax.jit(partial(everything, ours))(XS), wanted)


def test_a_structured_jacobian_is_scanned_over():
    J = jax.vmap(jacobian(layer, 1, structured=True), (None, 0))(W, XS)
    _, pulled = lax.scan(lambda carry, J: (carry, J.vjp(carry)), normal(5), J)
    wanted = jnp.einsum("i,nij->nj", normal(5), jax.vmap(jax.jacrev(layer, 1), (None, 0))(W, XS))
    assert_same(pulled, wanted)


def test_the_differentiated_function_may_hold_any_transform():
    def function(x, A):
        rows = jax.vmap(lambda r: jnp.tanh(r * x[0]))(A)
        slope = jax.grad(lambda y: jnp.sum(jnp.sin(y) ** 2))(x)
        inner = jax.jacfwd(lambda y: y * y[::-1])(x)
        ours = jacobian(lambda y: jnp.outer(y, y), structured=True)(x).gram("in").dense()
        return rows @ inner @ slope, ours

    args = normal(3), normal(2, 3)
    wanted = jax.jit(jax.jacrev(function, (0, 1)))(*args)
    assert_same(jax.jit(jacobian(function, (0, 1)))(*args), wanted)
    assert_same(densified(jacobian(function, (0, 1), structured=True)(*args)), wanted)


@pytest.mark.parametrize("structured", STRUCTURED)
def test_closures_over_tracers_of_every_kind(structured):
    """A constant of the function that is itself mapped, differentiated and compiled."""

    @jax.jit
    def everything(W, XS):
        def inner(transform, W, x):
            return jnp.sum(transform(lambda y: layer(W * x[0], y))(x) ** 2)

        ours = partial(inner, lambda f: dense(jacobian(f, structured=structured), structured))
        theirs = partial(inner, jax.jacrev)
        return [jax.vmap(jax.grad(f), (None, 0))(W, XS) for f in (ours, theirs)]

    found, wanted = everything(W, XS)
    assert_same(found, wanted)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_of_a_function_that_maps_over_shards(order):
    mesh = Mesh(np.array(jax.devices()[:1]), ("samples",))
    specs = {"in_specs": PartitionSpec("samples"), "out_specs": PartitionSpec("samples")}

    def mapped(x):
        return jnp.sin(jax.shard_map(jnp.tanh, mesh=mesh, **specs)(x) * x)

    x = jnp.linspace(-1.0, 2.0, 5)
    found = jacobian(mapped, order=order)(x)
    np.testing.assert_allclose(found, jax.jacrev(mapped)(x), rtol=1e-12)


@pytest.mark.parametrize("structured", STRUCTURED)
def test_under_shard_map(structured):
    """On a mesh of one device; the next test has eight."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("samples",))
    specs = {"in_specs": (PartitionSpec(), PartitionSpec("samples"))}
    ours = jax.vmap(dense(jacobian(layer, 1, structured=structured), structured), (None, 0))
    sharded = jax.shard_map(ours, mesh=mesh, **specs, out_specs=PartitionSpec("samples"))
    wanted = jax.vmap(jax.jacrev(layer, 1), (None, 0))(W, XS)
    assert_same(sharded(W, XS), wanted)
    assert_same(jax.jit(sharded)(W, XS), wanted)


EIGHT = """
import os
flags = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=8"
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import layouts

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
W, X = jnp.asarray(rng.standard_normal((5, 3))), jnp.asarray(rng.standard_normal((16, 3)))
mesh = Mesh(np.array(jax.devices()).reshape(8), ("n",))

def f(W, X):
    return jnp.tanh(X @ W.T)

wanted = jax.jacrev(f, (0, 1))(W, X)

# Inputs laid out over the devices, the partitioner left to itself.
spread = jax.device_put(X, NamedSharding(mesh, P("n")))
found = jax.jit(layouts.jacobian(f, (0, 1)))(W, spread)
for a, b in zip(found, wanted):
    np.testing.assert_allclose(a, b, atol=1e-12)
J = jax.jit(layouts.jacobian(f, structured=True))(W, spread)
assert len(J.arrays[-1].sharding.device_set) == 8
np.testing.assert_allclose(J.dense(), wanted[0], atol=1e-12)

# A function that maps over shards, of an input that is laid out so: its maps split themselves.
def steps(row):
    return jax.lax.scan(lambda c, t: (jnp.sin(c * t), c), row, jnp.arange(3.0))[1]

def by_rows(X):
    maps = dict(mesh=mesh, in_specs=P("n"), out_specs=P("n"))
    return jax.shard_map(jax.vmap(steps), **maps)(X)

found = layouts.jacobian(by_rows)(spread)
np.testing.assert_allclose(found, jax.jacrev(jax.vmap(steps))(X), atol=1e-12)

# One block of rows on each device; the product inside sums over devices.
def gradient(W, X):
    J = layouts.jacobian(f, structured=True)(W, X)
    return jax.lax.psum(J.vjp(jnp.cos(f(W, X))), "n"), layouts.jacobian(f)(W, X)

sharded = jax.shard_map(gradient, mesh=mesh, in_specs=(P(), P("n")), out_specs=(P(), P("n")))
total, rows = jax.jit(sharded)(W, X)
np.testing.assert_allclose(total, np.tensordot(np.cos(f(W, X)), wanted[0], 2), atol=1e-12)
np.testing.assert_allclose(rows, wanted[0], atol=1e-12)

# A collective within the function that is differentiated.
def loss(W, X):
    return jax.lax.psum(jnp.sum(f(W, X) ** 2), "n")

for transform in (jax.jacrev, layouts.jacobian):
    sharded = jax.shard_map(transform(loss), mesh=mesh, in_specs=(P(), P("n")), out_specs=P())
    whole = jax.grad(lambda W: jnp.sum(f(W, X) ** 2))(W)
    np.testing.assert_allclose(sharded(W, X), whole, atol=1e-12)
print("as on one device")
"""


def test_on_eight_devices():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EIGHT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "as on one device\n"


F32, F16, BF16, C64, I8 = jnp.float32, jnp.float16, jnp.bfloat16, jnp.complex64, jnp.int8
TYPES = {
    "Python float": (lambda s: s * s, (0.7,), {}),
    "Python float, array out": (lambda s: s * jnp.arange(3, dtype=F32), (0.7,), {}),
    "Python float by array": (lambda x, s: x * s, (normal(3, dtype=F32), 0.7), {"argnums": (0, 1)}),
    "Python float unused": (lambda x, s: x * x, (normal(3, dtype=BF16), 0.7), {"argnums": (0, 1)}),
    "Python complex": (lambda s: s * s, (0.7 + 1j,), {"holomorphic": True}),
    "NumPy's number": (lambda s: jnp.sin(s), (np.float64(0.7),), {}),
    "weak array": (lambda s: jnp.sin(s), (jnp.asarray(0.7),), {}),
    "constant output": (lambda s: 3.0, (0.7,), {}),
    "constant output by array": (lambda x: 3.0, (normal(3, dtype=F16),), {}),
    "identity": (lambda s: s, (0.7,), {}),
    "bfloat16 by float16": (
        lambda x, y: x * y,
        (normal(3, dtype=BF16), normal(3, dtype=F16)),
        {"argnums": (0, 1)},
    ),
    "float16 by float32": (
        lambda x, y: jnp.sin(x) @ y,
        (normal(3, dtype=F16), normal(3, dtype=F32)),
        {"argnums": (0, 1)},
    ),
    "float32 to float16": (lambda x: (x * x).astype(F16), (normal(3, dtype=F32),), {}),
    "integer allowed": (
        lambda n, x: n * x,
        (jnp.arange(3, dtype=I8), normal(3, dtype=F32)),
        {"argnums": (0, 1), "allow_int": True},
    ),
    "Python int allowed": (
        lambda n, x: n * x,
        (3, normal(3)),
        {"argnums": (0, 1), "allow_int": True},
    ),
    "complex64": (
        lambda z, w: jnp.exp(z) @ w,
        (normal(3).astype(C64) * (1 + 2j), normal(3).astype(C64) * 1j),
        {"argnums": (0, 1), "holomorphic": True},
    ),
    "complex64 by complex128": (
        lambda z, w: z * w,
        (normal(3).astype(C64) * (1 + 2j), normal(3) * 1j),
        {"argnums": (0, 1), "holomorphic": True},
    ),
    "auxiliary": (lambda x: (x * x, {"kept": 2 * x}), (normal(3, dtype=F16),), {"has_aux": True}),
    "auxiliary, holomorphic": (
        lambda z: (z * z, z.real),
        (normal(3) * (1 + 2j),),
        {"has_aux": True, "holomorphic": True},
    ),
    "zero-size": (lambda x: (x @ x.T, x.sum(0), x), (normal(0, 3, dtype=F32),), {}),
    "zero-size, half": (lambda x: x[:0] * x.sum(), (normal(3, dtype=BF16),), {}),
}

# The least exact dtype inside, where neither input nor output shows it.
LEAST = {
    "Python float, array out": "float32",
    "Python float by array": "float32",
    "bfloat16 by float16": "bfloat16",
    "float16 by float32": "float16",
    "float32 to float16": "float16",
    "complex64 by complex128": "complex64",
}


@pytest.mark.parametrize("name", TYPES)
def test_types_are_those_of_jacrev(name):
    """Structure, shape and dtype; compiled and not; structured too.

    By a Python number or another weak array the Jacobian is weak, as its gradient would be.
    """
    function, args, options = TYPES[name]
    least = LEAST.get(name, "float64")

    def both(*args):
        return [transform(function, **options)(*args) for transform in (jacobian, jax.jacrev)]

    eager = both(*args)
    for found, wanted in (eager, jax.jit(both)(*args)):
        assert_same(found, wanted, least)
        assert weak_types(found) == weak_types(wanted)  # NumPy's numbers are weak in neither
    if not options.get("has_aux"):
        structured = densified(jacobian(function, **options, structured=True)(*args))
        assert_same(structured, eager[1], least)


def test_types_are_those_of_hessian():
    """Those of the gradient by one argument, whatever the other."""
    x = normal(3, dtype=F32)

    def energy(x, s):
        return jnp.sum(jnp.sin(s * x))

    wanted = jax.hessian(energy, (0, 1))(x, 2.0)
    found = hessian(energy, (0, 1))(x, 2.0)
    assert_same(found, wanted, "float32")
    assert weak_types(found) == weak_types(wanted)


def weak_types(tree):
    return [leaf.weak_type for leaf in jax.tree.leaves(tree)]


@partial(jax.tree_util.register_dataclass, data_fields=["gain", "shift"], meta_fields=["power"])
@dataclass(frozen=True)
class Affine:
    """Parameters in a dataclass with a static field."""

    gain: Any
    shift: Any
    power: int


def test_dataclasses_in_and_out():
    def function(p, x):
        return Affine(jnp.tanh(p.gain @ x) ** p.power, {"sum": p.shift.sum()}, 5)

    p = Affine(normal(5, 3), normal(2), 3)
    wanted = jax.jacrev(function, (0, 1))(p, X)
    assert isinstance(wanted, Affine) and isinstance(wanted.gain[0], Affine)
    assert_same(jacobian(function, (0, 1))(p, X), wanted)
    assert_same(jax.jit(jacobian(function, (0, 1)))(p, X), wanted)
    structured = jacobian(function, (0, 1), structured=True)(p, X)
    assert isinstance(structured.gain[0].gain, Jacobian)
    assert_same(densified(structured), wanted)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.concatenate([x[:1], x[1:]])[0],
        lambda x: lax.pad(x[2:], 0.0, ((0, 1, 0), (0, 0, 0)))[:1],
        lambda x: x[None][jnp.array([0])][0],
        lambda x: x[jnp.array([2, 0])].sum(0),
    ],
)
def test_a_structured_jacobian_of_picked_entries_is_a_pytree(function):
    """Axes of one entry leave nothing behind that flattening loses."""
    x = normal(3, 2)
    J = jacobian(function, structured=True)(x)
    leaves, treedef = jax.tree.flatten(J)
    wanted = jax.jacrev(function)(x)
    assert_same(jax.tree.unflatten(treedef, leaves).dense(), wanted)
    assert_same(jax.jit(jacobian(function, structured=True))(x).dense(), wanted)


def test_transposed_and_mapped_as_a_linear_function():
    """What a Jacobian does to a tangent is linear for JAX, which can turn it round."""
    J = jacobian(layer, 1, structured=True)(W, X)
    c = normal(5)
    (turned,) = jax.linear_transpose(J.jvp, X)(c)
    assert_same(turned, J.vjp(c))
    assert_same(jax.vmap(J.jvp)(XS), XS @ J.dense().T)


def test_donated_and_static_arguments():
    compiled = jax.jit(
        lambda x, power: jacobian(lambda y: y**power)(x), static_argnums=1, donate_argnums=0
    )
    assert_same(compiled(normal(3) + 0, 3), jnp.diag(3 * normal(3) ** 2))


def test_two_calls_compile_once():
    """The structure of a Jacobian depends on shapes alone, so that a second call hits the cache."""
    traced = []

    @jax.jit
    def read(J):
        traced.append(J)
        return J.vjp(jnp.ones(5))

    transform = jacobian(layer, 1, structured=True)
    read(transform(W, X))
    read(transform(2 * W, X - 1))
    assert len(traced) == 1
