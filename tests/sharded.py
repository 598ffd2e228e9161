"""What `tests/test_sharding.py` measures on virtual devices, as JSON: run as a module.

    python -m tests.sharded                              eight devices
    python -m tests.sharded DEVICES ADDRESS COUNT NUMBER  one process of several

The number of devices is fixed when JAX starts, so that this needs a process of its own.
"""

import json
import sys
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from layouts import Jacobian, LayoutError, gram, hessian, jacobian, stream


def normal(*shape):
    return np.random.default_rng(prod(shape)).standard_normal(shape)


def mlp(W1, W2, X):
    return jnp.tanh(X @ W1) @ W2


def attention(x, Q, K, V):
    return jax.nn.softmax((x @ Q) @ (x @ K).T / np.sqrt(Q.shape[1])) @ (x @ V)


def energy(x):
    return jnp.exp(-((x[:, None] - x[None]) ** 2).sum(-1)).sum()


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def scaled(scale, x):
    return layer_norm(x) * scale


def variance(W1, W2, X):
    return jax.nn.softmax(mlp(W1, W2, X)).var()


def convolution(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME")


def product(W, X):
    return W @ X


def filtered(x, weights):
    return jnp.fft.irfft(jnp.fft.rfft(x) * weights, n=x.shape[0])


@jax.custom_vjp
def own_rule(x):
    return jnp.sin(x)


own_rule.defvjp(lambda x: (jnp.sin(x), x), lambda x, cotangent: (jnp.cos(x) * cotangent,))


# name: transform, function, argnum, arguments, how they are split, how the result is: by "x" on a
# mesh of 8, by "a" and "b" on one of 4×2.
MATRICES = (normal(48, 24), normal(24, 40))
SCALES = (normal(32)[None], normal(64, 32))
WEIGHTS = (normal(24, 48), normal(48, 16), normal(40, 24))
CLASSES = (normal(24, 48), normal(48, 16), normal(64, 24))
HEADS = (normal(56, 32), normal(32, 16), normal(32, 16), normal(32, 16))
IMAGES = (normal(16, 3, 7, 5), normal(8, 3, 3, 3))
CASES = {
    "W X by W, rows": (jacobian, product, 0, MATRICES, [P("x")], P("x")),
    "W X by W, columns": (jacobian, product, 0, MATRICES, [P("x")], P(None, None, "x")),
    "W X by W, both": (jacobian, product, 0, MATRICES, [P("a"), P(None, "b")], P("a", None, "b")),
    "W X by X, rows": (jacobian, product, 1, MATRICES, [P("x")], P("x")),
    "W X by X, columns": (jacobian, product, 1, MATRICES, [P(), P(None, "x")], P(*[None] * 3, "x")),
    "MLP by weights, batch": (jacobian, mlp, 0, WEIGHTS, [P(), P(), P("x")], P("x")),
    "MLP by weights, rows of W": (jacobian, mlp, 0, WEIGHTS, [P("x")], P(None, None, "x")),
    "MLP by weights, both": (
        *(jacobian, mlp, 0, WEIGHTS, [P(None, "b"), P("b"), P("a")]),
        P("a", None, None, "b"),
    ),
    "tanh, rows": (jacobian, jnp.tanh, 0, (normal(1000),), [P("x")], P("x")),
    "tanh, columns": (jacobian, jnp.tanh, 0, (normal(1000),), [P("x")], P(None, "x")),
    "tanh, both": (jacobian, jnp.tanh, 0, (normal(1000),), [P(("a", "b"))], P("a", "b")),
    "softmax, rows": (jacobian, jax.nn.softmax, 0, (normal(1000),), [P("x")], P("x")),
    "softmax, both": (jacobian, jax.nn.softmax, 0, (normal(1000),), [P("a")], P("a", "b")),
    "attention, rows": (jacobian, attention, 0, HEADS, [P("x")], P("x")),
    "attention, columns": (jacobian, attention, 0, HEADS, [P("x")], P(None, None, "x")),
    "attention, both": (jacobian, attention, 0, HEADS, [P("a")], P("a", None, "b")),
    "energy Hessian, rows": (hessian, energy, 0, (normal(128, 8),), [P("x")], P("x")),
    # The two mirrored halves want one array in two ways.
    "energy Hessian, flat": (hessian, energy, 0, (normal(128, 2),), [P("x")], P("x")),
    "energy Hessian, columns": (hessian, energy, 0, (normal(96, 3),), [P()], P(None, None, "x")),
    "energy Hessian, wide": (hessian, energy, 0, (normal(64, 16),), [P()], P(None, None, "x")),
    "energy Hessian, both": (hessian, energy, 0, (normal(96, 3),), [P()], P("a", None, "b")),
    # Its plan makes arrays larger than the result: they are made in another split, and turned.
    "variance's Hessian, rows": (hessian, variance, 1, CLASSES, [P()], P("x")),
    "scale of a norm, columns": (jacobian, scaled, 0, SCALES, [P()], P(*[None] * 3, "x")),
    "layer norm, rows": (jacobian, layer_norm, 0, (normal(64, 20),), [P("x")], P("x")),
    "layer norm, columns": (
        jacobian,
        layer_norm,
        0,
        (normal(64, 20),),
        [P("x")],
        P(*[None] * 2, "x"),
    ),
    "convolution, rows": (jacobian, convolution, 0, IMAGES, [P("x")], P("x")),
    "convolution by kernel": (jacobian, convolution, 1, IMAGES, [P("x")], P("x")),
    # An operator is applied to columns, each device its own.
    "filter by FFT, rows": (jacobian, filtered, 0, (normal(128), normal(65)), [P("x")], P("x")),
    "MLP, explicit axes": (jacobian, mlp, 0, WEIGHTS, [P(), P(), P("x")], P("x")),
    "energy Hessian, explicit axes": (hessian, energy, 0, (normal(96, 3),), [P()], P("x")),
    "own rule, explicit axes": (jacobian, own_rule, 0, (normal(1000),), [P("x")], P("x")),
}


def meshes(kind=AxisType.Auto):
    devices = np.array(jax.devices())
    line = Mesh(devices, ("x",), axis_types=(kind,))
    return line, Mesh(devices.reshape(4, -1), ("a", "b"), axis_types=(kind,) * 2)


def place(arrays, specs, mesh):
    specs = [*specs, *[P()] * (len(arrays) - len(specs))]
    pairs = zip(arrays, specs, strict=True)
    return [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in pairs]


def peak(compiled):
    """The bytes of arguments, results and temporaries that XLA plans for on one device."""
    taken = compiled.memory_analysis()
    return taken.argument_size_in_bytes + taken.output_size_in_bytes + taken.temp_size_in_bytes


def distance(found, expected):
    """The largest difference, told by shards, relative to the largest entry."""
    gaps = [np.abs(np.asarray(s.data) - expected[s.index]).max() for s in found.addressable_shards]
    return float(max(gaps) / (np.abs(expected).max() or 1))


def measured(name, transform, function, argnum, arrays, specs, out):
    mesh = meshes(AxisType.Explicit if "explicit" in name else AxisType.Auto)["a" in str(out)]
    whole = jax.jit(transform(function, argnum)).lower(*arrays).compile()
    expected = np.asarray(whole(*arrays))
    given, sharding = place(arrays, specs, mesh), NamedSharding(mesh, out)
    split = jax.jit(transform(function, argnum, out_sharding=sharding)).lower(*given).compile()
    results = [split(*given)]
    if name.endswith("rows"):  # outside jit too: one of each function
        results.append(transform(function, argnum, out_sharding=out)(*given))
    shards = {shard.data.size for result in results for shard in result.addressable_shards}
    return {
        "error": max(distance(result, expected) for result in results),
        "single": peak(whole),
        "device": peak(split),
        "shard": max(shards) / expected.size,
        "lies": all(x.sharding.is_equivalent_to(sharding, x.ndim) for x in results),
    }


def dense_of(function, argnum, arrays):
    return np.asarray(jax.jacrev(function, argnum)(*map(jnp.asarray, arrays)))


def by_themselves():
    """Nothing asked: where results and factors lie, on both kinds of mesh axes."""
    found = {}
    cases = {
        "tanh": (jnp.tanh, 0, (normal(40),), [P("x")]),
        "flip": (lambda x: x[::-1], 0, (normal(48),), [P("x")]),
        "softmax": (jax.nn.softmax, 0, (normal(40),), [P("x")]),
        "product": (product, 0, (normal(16, 3), normal(3, 24)), [P("x")]),
        "mlp": (mlp, 0, (normal(5, 6), normal(6, 3), normal(16, 5)), [P(), P(), P("x")]),
    }
    for kind in (AxisType.Auto, AxisType.Explicit):
        for name, (function, argnum, arrays, specs) in cases.items():
            expected = dense_of(function, argnum, arrays)
            given = place(arrays, specs, meshes(kind)[0])
            dense = jacobian(function, argnum)(*given)
            stored = jacobian(function, argnum, structured=True)(*given)
            again = stored.dense()
            found[f"{name}, {kind.name}"] = {
                "error": max(distance(dense, expected), distance(again, expected)),
                "dense": str(dense.sharding.spec),
                "shard": dense.addressable_shards[0].data.size / dense.size,
                "factors": [str(array.sharding.spec) for array in stored.arrays],
            }
    return found


def methods():
    """`gram`, `blocks`, `jvp`, `vjp`, `matrix` and `diagonal` of a Jacobian with split factors."""
    found = {}
    arrays = (normal(5, 8), normal(8, 3), normal(16, 5))
    W, x = dense_of(mlp, 0, arrays).reshape(48, 40), dense_of(mlp, 2, arrays)
    tangent, cotangent = normal(5, 8), normal(16, 3)
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = meshes(kind)[0]
        given = place(arrays, [P(), P(), P("x")], mesh)
        by_W = jacobian(mlp, 0, structured=True)(*given)
        by_X = jacobian(mlp, 2, structured=True)(*given)
        kernel = by_W.gram("out", out_sharding=P("x"))
        checks = {
            "gram out": (kernel.dense(out_sharding=P("x")), (W @ W.T).reshape(16, 3, 16, 3)),
            "gram in": (
                by_W.gram("in").dense(out_sharding=P(None, "x")),
                (W.T @ W).reshape(5, 8, 5, 8),
            ),
            "blocks": (by_X.blocks(0, out_sharding=P("x")), np.einsum("nanb->nab", x)),
            "jvp": (
                by_W.jvp(tangent, out_sharding=P("x")),
                (W @ tangent.ravel()).reshape(16, 3),
            ),
            "vjp": (
                by_W.vjp(cotangent, out_sharding=P(None, "x")),
                (cotangent.ravel() @ W).reshape(5, 8),
            ),
            "matrix": (by_W.matrix(out_sharding=P("x")), W),
            "diagonal": (
                jacobian(jnp.tanh, structured=True)(given[2]).diagonal(out_sharding=P("x")),
                1 - np.tanh(arrays[2]) ** 2,
            ),
            "free jvp": (by_W.jvp(tangent), (W @ tangent.ravel()).reshape(16, 3)),
            "free blocks": (by_X.blocks(0), np.einsum("nanb->nab", x)),
            "in jit": (
                jax.jit(partial(Jacobian.dense, out_sharding=NamedSharding(mesh, P("x"))))(by_W),
                W.reshape(16, 3, 5, 8),
            ),
        }
        for name, (array, expected) in checks.items():
            found[f"{name}, {kind.name}"] = {
                "error": distance(array, expected),
                "shard": array.addressable_shards[0].data.size / array.size,
            }
        found[f"kernel factors, {kind.name}"] = {
            "error": 0.0,
            "shard": max(a.addressable_shards[0].data.size / a.size for a in kernel.arrays),
        }
    return found


def over_batches():
    """A data set's kernel, and blocks of a Jacobian, where arrays' types name the mesh."""
    mesh = jax.make_mesh((8,), ("x",))
    W, X = normal(5, 3), normal(16, 5)
    given = place([W, X], [P(), P("x")], mesh)

    def sample(W, x):
        return jnp.tanh(x @ W)

    def of_all(W, X):
        return jnp.tanh(X @ W)

    J = dense_of(of_all, 0, (W, X)).reshape(48, 15)
    options = {"in_axes": (None, 0), "batch_size": 2, "mesh": mesh}
    kernel = jax.jit(gram(sample, **options))(*given)
    blocks = stream(of_all, memory_limit=8000)(*given)
    rows = [distance(block.array, J.reshape(48, 5, 3)[block.slices]) for block in blocks]
    # JAX refuses x[:, None] - x[None] where both axes would be split over one of the mesh.
    points = normal(16, 3)
    (split,) = place([points], [P("x")], mesh)
    second = hessian(energy, out_sharding=P("x"))(split)
    return {
        "refused by types": distance(second, np.asarray(jax.hessian(energy)(points))),
        "lies": second.sharding.is_equivalent_to(NamedSharding(mesh, P("x")), 4),
        "kernel": distance(kernel, (J @ J.T).reshape(16, 3, 16, 3)),
        "shard": kernel.addressable_shards[0].data.size / kernel.size,
        "Gauss-Newton": distance(
            gram(sample, side="in", **options)(W, X), (J.T @ J).reshape(5, 3, 5, 3)
        ),
        "blocks": len(blocks),
        "stream": max(rows),
    }


def pytrees():
    """One sharding for all, one for each, and some left free; with an auxiliary output."""
    mesh = meshes()[0]
    weights = {"u": normal(8, 5), "v": normal(16, 8)}

    def function(weights, x, name):
        hidden = jnp.tanh(weights["u"] @ x)
        return {"out": weights["v"] @ hidden, "sum": hidden}, name

    x = normal(5)
    expected, _ = jax.jacrev(function, has_aux=True)(weights, x, 0)
    asked = {
        "one": P("x"),
        "by output": {"out": P("x"), "sum": None},
        "by leaf": {"out": {"u": P(None, "x"), "v": P("x")}, "sum": P(None, "x")},
    }
    found = {}
    for name, spec in asked.items():
        given = jax.device_put(weights, NamedSharding(mesh, P()))
        result, aux = jacobian(function, has_aux=True, out_sharding=spec)(given, x, "words")
        errors = jax.tree.map(distance, result, jax.tree.map(np.asarray, expected))
        found[name] = {
            "error": max(jax.tree.leaves(errors)),
            "aux": aux,
            "specs": {
                f"{out}/{leaf}": str(result[out][leaf].sharding.spec)
                for out in result
                for leaf in result[out]
            },
        }
    return found


def refusals():
    """The message of each request that does not fit."""
    (line, grid), (typed, _) = meshes(), meshes(AxisType.Explicit)
    devices = np.array(jax.devices())
    x = jax.device_put(normal(40), NamedSharding(line, P("x")))
    odd = jnp.asarray(normal(7, 16))
    calls = {
        "indivisible": lambda: jacobian(jnp.tanh, out_sharding=NamedSharding(line, P("x")))(odd),
        "indivisible product": lambda: jacobian(
            jnp.tanh, out_sharding=NamedSharding(grid, P(("a", "b")))
        )(jnp.asarray(normal(12))),
        "rank": lambda: jacobian(jnp.tanh, out_sharding=P(None, None, "x"))(x),
        "unknown axis": lambda: jacobian(jnp.tanh, out_sharding=P("y"))(x),
        "no mesh": lambda: jacobian(jnp.tanh, out_sharding=P("x"))(jnp.asarray(normal(40))),
        "other devices": lambda: jacobian(
            jnp.tanh, out_sharding=NamedSharding(Mesh(devices[:4], ("x",)), P("x"))
        )(x),
        "other types": lambda: jacobian(jnp.tanh, out_sharding=NamedSharding(line, P("x")))(
            jax.device_put(normal(40), NamedSharding(typed, P("x")))
        ),
        "no sharding": lambda: jacobian(jnp.tanh, out_sharding="x")(x),
        "pytree": lambda: jacobian(jnp.tanh, out_sharding=[P("x"), P("x")])(x),
        "memory_limit": lambda: jacobian(jnp.tanh, memory_limit=10**6, out_sharding=P("x"))(x),
        "dense": lambda: jacobian(jnp.tanh, structured=True)(x).dense(out_sharding=P("y")),
        "jvp": lambda: jacobian(jnp.tanh, structured=True)(x).jvp(x, out_sharding=P(None, "x")),
        "in jit": lambda: jax.jit(jacobian(jnp.tanh, out_sharding=NamedSharding(line, P("x"))))(
            odd
        ),
    }
    found = {}
    for name, call in calls.items():
        try:
            call()
        except LayoutError as error:
            found[name] = str(error)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        else:
            found[name] = "nothing"
    return found


def constraints():
    """Functions that say themselves how their intermediates lie, and how often JAX compiles."""
    mesh = meshes()[0]
    x = jax.device_put(normal(16, 3), NamedSharding(mesh, P("x")))

    def constrained(x):
        return jnp.tanh(jax.lax.with_sharding_constraint(2 * x, NamedSharding(mesh, P(None))))

    def moved(x):
        return jnp.tanh(jax.device_put(2 * x, NamedSharding(mesh, P())))

    traces = []

    def counted(x):
        traces.append(1)
        return jnp.tanh(x)

    again = jacobian(counted, out_sharding=P("x"))
    again(x), again(x)
    return {
        "text": [str(jacobian(f, structured=True)(x)) for f in (constrained, moved)],
        "traces": len(traces),
    }


def one_of_several(address, count, number):
    """The same in one process of several, which see only their own devices' shards."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, count, number)
    mesh = Mesh(np.array(jax.devices()), ("x",), axis_types=(AxisType.Auto,))

    def spread(array, *spec):
        sharding = NamedSharding(mesh, P(*spec))
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    found = {"devices": [len(jax.local_devices()), len(jax.devices())]}
    cases = {
        "softmax": (jacobian, jax.nn.softmax, 0, (normal(20),), [("x",)]),
        "flip": (jacobian, lambda x: x[::-1], 0, (normal(20),), [("x",)]),
        "convolution": (
            *(jacobian, convolution, 0),
            *((normal(4, 2, 3, 5), normal(3, 2, 3, 3)), [("x",), ()]),
        ),
        "energy": (hessian, energy, 0, (normal(12, 2),), [("x",)]),
    }
    for name, (transform, function, argnum, arrays, specs) in cases.items():
        dense = jax.hessian if transform is hessian else jax.jacrev
        expected = np.asarray(dense(function, argnum)(*map(jnp.asarray, arrays)))
        given = [spread(array, *spec) for array, spec in zip(arrays, specs, strict=True)]
        asked = NamedSharding(mesh, P("x"))
        stored = transform(function, argnum, structured=True)(*given)
        results = [
            transform(function, argnum)(*given),
            transform(function, argnum, out_sharding=P("x"))(*given),
            jax.jit(transform(function, argnum, out_sharding=asked))(*given),
            stored.dense(out_sharding=asked),
        ]
        found[name] = {
            "error": max(distance(result, expected) for result in results),
            "shard": max(r.addressable_shards[0].data.size / r.size for r in results[1:]),
            "text": [str(stored), repr(stored)],
        }
    return found


def main(devices="8", address=None, count="1", number="0"):
    jax.config.update("jax_num_cpu_devices", int(devices))
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    if address is None:
        found = {
            "cases": {name: measured(name, *case) for name, case in CASES.items()},
            "free": by_themselves(),
            "methods": methods(),
            "over batches": over_batches(),
            "pytrees": pytrees(),
            "refusals": refusals(),
            "constraints": constraints(),
        }
    else:
        found = one_of_several(address, int(count), int(number))
    print("\n" + json.dumps(found))  # collectives print lines of their own


if __name__ == "__main__":
    main(*sys.argv[1:])
