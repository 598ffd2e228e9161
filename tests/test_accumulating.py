"""Grams of a data set: equal to those of dense Jacobians, whatever the batches and devices."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from layouts import LayoutError, gram, jacobian

SAMPLES, AXES = 11, (None, 0, 0)
RNG = np.random.default_rng(7)
PARAMS = {
    "W": jnp.asarray(RNG.normal(size=(5, 3))),
    "b": jnp.asarray(RNG.normal(size=(5,))),
    "V": jnp.asarray(RNG.normal(size=(2, 5))),
}
X = jnp.asarray(RNG.normal(size=(SAMPLES, 3)))
Y = jnp.asarray(RNG.normal(size=(SAMPLES, 2)))


def network(params, x, y):
    """Two outputs of different shapes; the targets are for the loss alone."""
    hidden = jnp.tanh(params["W"] @ x + params["b"])
    return {"logits": params["V"] @ hidden, "size": jnp.sum(params["b"] * x[0])}


def loss(outputs, params, x, y):
    return jnp.sum(jnp.exp(outputs["logits"] * y)) * outputs["size"] ** 2


def dense(x=X, y=Y):
    """Samples × outputs × weights, in the order of the leaves."""
    tree = jax.jit(jax.jacrev(jax.vmap(network, AXES)))(PARAMS, x, y)
    n = len(x)
    return {
        out: np.concatenate([leaf.reshape(n, -1, leaf_size(leaf, n, out)) for leaf in row], -1)
        for out, row in ((out, jax.tree.leaves(tree[out])) for out in tree)
    }


def leaf_size(leaf, n, out):
    return leaf.size // n // {"logits": 2, "size": 1}[out]


def matrix(tree):
    """A tree of trees of weights × weights as one matrix."""
    names, size = sorted(PARAMS), lambda name: PARAMS[name].size
    return np.block([[np.reshape(tree[a][b], (size(a), size(b))) for b in names] for a in names])


def test_gauss_newton_over_batches_and_a_rest():
    rows = np.concatenate([*dense().values()], axis=1)
    expected = np.einsum("nap,naq->pq", rows, rows)
    for size in (None, 4, 11):
        found = jax.jit(gram(network, side="in", in_axes=AXES, batch_size=size))(PARAMS, X, Y)
        np.testing.assert_allclose(matrix(found), expected, rtol=1e-12, atol=1e-12)
        assert found["W"]["V"].shape == (5, 3, 2, 5)


def test_gauss_newton_with_the_hessian_of_a_loss():
    @jax.jit
    def derivatives(params, x, y):
        outputs = jax.vmap(network, AXES)(params, x, y)
        H = jax.vmap(jax.hessian(loss), (0, *AXES))(outputs, params, x, y)
        return H, jax.vmap(jax.jacrev(network), AXES)(params, x, y)

    H, J = jax.tree.map(np.asarray, derivatives(PARAMS, X, Y))
    expected = 0
    for a, width in (("logits", "a"), ("size", "")):
        for b, other in (("logits", "b"), ("size", "")):
            part = np.einsum(
                f"n{width}kl,n{width}{other},n{other}m->klm", J[a]["W"], H[a][b], J[b]["b"]
            )
            expected = expected + part
    curved = gram(network, side="in", in_axes=AXES, batch_size=3, loss=loss)
    found = jax.jit(curved)(PARAMS, X, Y)
    np.testing.assert_allclose(found["W"]["b"], expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(matrix(found), matrix(found).T, rtol=1e-12)


def test_the_kernel_by_pairs_of_batches():
    rows = dense()
    for size in (None, 4):
        kernel = jax.jit(gram(network, in_axes=AXES, batch_size=size))(PARAMS, X, Y)
        for a, b in (("logits", "logits"), ("logits", "size"), ("size", "logits")):
            expected = np.einsum("nap,mbp->namb", rows[a], rows[b])
            found = kernel[a][b]
            assert found.shape == (SAMPLES, *[2] * (a == "logits"), SAMPLES, *[2] * (b == "logits"))
            np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-12, atol=1e-12)


def test_axes_of_the_output_are_traced_and_samples_may_be_columns():
    def logits(x, params):
        return network(params, x, None)["logits"]

    rows = dense()["logits"]
    found = gram(logits, 1, in_axes=(1, None), batch_size=4, trace_axes=(0,))(X.T, PARAMS)
    np.testing.assert_allclose(found, np.einsum("nap,map->nm", rows, rows), rtol=1e-12)


def test_several_arguments_and_each_sample_its_matrix():
    def function(v, x, W):
        return W @ x @ v

    W, v = (jnp.asarray(RNG.normal(size=shape)) for shape in ((5, 3), (2,)))
    xs = jnp.asarray(RNG.normal(size=(3, 4, 2)))  # samples along the middle
    both = gram(function, (2, 0), "in", in_axes=(None, 1, None), batch_size=3)
    found = jax.jit(both)(v, xs, W)
    by_W, by_v = jax.jit(jax.jacrev(jax.vmap(function, (None, 1, None)), (2, 0)))(v, xs, W)
    np.testing.assert_allclose(found[0][1], np.einsum("nakl,nam->klm", by_W, by_v), rtol=1e-12)
    np.testing.assert_allclose(found[1][1], np.einsum("nak,nal->kl", by_v, by_v), rtol=1e-12)


def test_it_is_the_gram_of_the_jacobian_of_all_samples():
    def logits(W, x):
        return jnp.tanh(W @ x)

    J = jacobian(jax.vmap(logits, (None, 0)), structured=True)(PARAMS["W"], X)
    for side in ("in", "out"):
        whole = gram(logits, side=side, in_axes=(None, 0), batch_size=4)
        found = jax.jit(whole)(PARAMS["W"], X)
        np.testing.assert_allclose(found, J.gram(side).dense(), rtol=1e-12, atol=1e-13)


def test_progress_is_told_of_every_batch():
    for side, steps in (("in", 3), ("out", 6)):  # 11 are 4, 4 and 3; of 9 pairs 6 are distinct
        seen = []
        options = {"side": side, "in_axes": AXES, "batch_size": 4}
        told = gram(network, **options, progress=lambda n, seen=seen: seen.append(int(n)))
        jax.block_until_ready(jax.jit(told)(PARAMS, X, Y))
        jax.effects_barrier()
        assert sorted(seen) == list(range(steps))


def test_memory_is_that_of_a_batch():
    def function(W, x):
        return jnp.tanh(W @ x)

    W = jax.ShapeDtypeStruct((23, 17), "float64")

    def taken(samples):
        program = jax.jit(gram(function, side="in", in_axes=(None, 0), batch_size=10))
        X = jax.ShapeDtypeStruct((samples, 17), "float64")
        return program.lower(W, X).compile().memory_analysis().temp_size_in_bytes

    assert taken(2000) <= 1.1 * taken(200)
    assert taken(2000) < 8 * 2000 * 23 * 23 * 17 / 10  # a dense Jacobian of the data set


def test_what_does_not_fit_says_so():
    def call(*args, **options):
        return gram(network, **{"in_axes": AXES, **options})(*(args or (PARAMS, X, Y)))

    for size in (0, 12, -1, 2.5, True):
        with pytest.raises(
            LayoutError, match="batch_size: expected a number of samples from 1 to 11"
        ):
            call(batch_size=size)
    with pytest.raises(LayoutError, match="samples: expected the same number"):
        call(PARAMS, X, Y[:7])
    with pytest.raises(LayoutError, match="at least one"):
        call(PARAMS, X[:0], Y[:0])
    with pytest.raises(LayoutError, match="no axis of samples"):
        call(in_axes=None)
    with pytest.raises(LayoutError, match="each of the 3 arguments"):
        call(in_axes=(None, 0))
    with pytest.raises(LayoutError, match=r"an axis of every array.*\(11, 3\)"):
        call(in_axes=(None, 2, 0))
    with pytest.raises(LayoutError, match="None for argument 0"):
        call(in_axes=0)
    with pytest.raises(LayoutError, match="gram side"):
        call(side="both")
    with pytest.raises(LayoutError, match="loss"):
        call(side="out", loss=loss)
    with pytest.raises(LayoutError, match="trace_axes"):
        call(side="in", trace_axes=(0,))
    with pytest.raises(LayoutError, match="trace_axes: expected different axes"):
        call(trace_axes=(0,))  # one of the outputs is a scalar
    with pytest.raises(TypeError, match="real- or complex-valued"):
        gram(lambda n, x: x * n, in_axes=(None, 0))(3, X)


OVER_DEVICES = """
import json, jax, numpy as np
from layouts import LayoutError, gram
from tests import test_accumulating as t

def mesh(n): return jax.sharding.Mesh(np.array(jax.devices()[:n]).reshape(-1, 2), ("a", "b"))
def gram_of(**options): return jax.jit(gram(t.network, **options))

found = {}
X, Y = (jax.numpy.concatenate([array, 2 * array]) for array in (t.X, t.Y))
options = dict(side="in", in_axes=t.AXES, loss=t.loss)  # 22 samples: 2 on each of 8, and 6 left
alone = gram_of(**options)(t.PARAMS, X, Y)
spread = gram_of(**options, batch_size=2, mesh=mesh(8))(t.PARAMS, X, Y)
found["in"] = float(np.abs(t.matrix(alone) - t.matrix(spread)).max())
options = dict(in_axes=t.AXES)
alone = gram_of(**options)(t.PARAMS, X, Y)["logits"]["size"]
spread = gram_of(**options, batch_size=3, mesh=mesh(2))(t.PARAMS, X, Y)["logits"]["size"]
found["out"] = float(np.abs(alone - spread).max())
found["rows"] = [shard.data.shape for shard in spread.addressable_shards]
few = gram_of(side="in", in_axes=t.AXES, mesh=mesh(8))(t.PARAMS, t.X[:5], t.Y[:5])
less = gram_of(side="in", in_axes=t.AXES)(t.PARAMS, t.X[:5], t.Y[:5])
found["few"] = float(np.abs(t.matrix(few) - t.matrix(less)).max())
try:
    gram(t.network, in_axes=t.AXES, mesh=mesh(8))(t.PARAMS, X, Y)
except LayoutError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


def test_over_devices():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-c", OVER_DEVICES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["in"] < 1e-8 and found["out"] < 1e-12 and found["few"] < 1e-12
    assert found["rows"] == [[11, 2, 22]] * 2  # each device its own rows
    assert found["error"].startswith("mesh: expected a number of devices that divides the 22")
