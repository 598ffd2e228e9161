"""Arrays over a mesh: sharded inputs in, sharded Jacobians out."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from layouts import LayoutError, hessian, jacobian
from layouts.mesh.sharding import checked, split_of
from layouts.mesh.splitting import by_label
from tests import sharded

ROOT = Path(__file__).parent.parent


def start(*arguments):
    """A process with virtual devices of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sharded", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def measured():
    return finished(start())


@pytest.mark.parametrize("name", sharded.CASES)
def test_no_device_holds_the_whole(measured, name):
    """The values, each shard's size, and what XLA plans for on one device."""
    case = measured["cases"][name]
    assert case["error"] < 1e-12
    assert case["lies"]
    assert case["shard"] == 1 / 8
    assert case["device"] <= case["single"] / 6


def test_free_results_lie_as_the_inputs_do(measured):
    for name, case in measured["free"].items():
        assert case["error"] < 1e-14, name
        assert case["shard"] == 1 / 8, name
    assert measured["free"]["tanh, Auto"]["dense"] == "P(None, 'x')"
    assert measured["free"]["tanh, Explicit"]["factors"] == ["P('x',)"]
    assert measured["free"]["mlp, Auto"]["factors"].count("P('x',)") == 2


def test_methods_of_a_jacobian_with_split_factors(measured):
    assert len(measured["methods"]) == 22
    for name, case in measured["methods"].items():
        assert case["error"] < 1e-14, name
        assert case["shard"] == 1 / 8, name


def test_data_sets_and_streams_over_axes_that_types_name(measured):
    found = measured["over batches"]
    assert found["shard"] == 1 / 8 and found["blocks"] > 1 and found["lies"]
    names = ("kernel", "Gauss-Newton", "stream", "refused by types")
    assert max(found[name] for name in names) < 1e-14


def test_shardings_are_a_prefix_of_the_result(measured):
    for name, case in measured["pytrees"].items():
        assert case["error"] < 1e-14, name
        assert case["aux"] == "words"
    assert set(measured["pytrees"]["one"]["specs"].values()) == {"P('x',)"}
    specs = measured["pytrees"]["by leaf"]["specs"]
    assert specs["out/u"] == specs["sum/v"] == "P(None, 'x')"
    assert specs["out/v"] == "P('x',)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("indivisible", "axis 0 .* to be a multiple of 8, .* 'x', got the size 7; split axis 1"),
        ("indivisible product", "multiple of 8, .*'a' × 'b', got the size 12; .*2, 3, 4, 6, 12"),
        ("rank", "at most 2 axes, .* got 3 axes"),
        ("unknown axis", "axes of the mesh {'x': 8}"),
        ("no mesh", "a mesh in the context"),
        ("other devices", "devices that the inputs are on"),
        ("other types", "the mesh that the inputs' types name"),
        ("no sharding", "NamedSharding or a PartitionSpec, got 'x'"),
        ("pytree", "a prefix of the result's pytree"),
        ("memory_limit", "blocks are for one device"),
        ("dense", "axes of the mesh {'x': 8}"),
        ("jvp", "at most 1 axes"),
        ("in jit", "a multiple of 8"),
    ],
)
def test_what_does_not_fit_is_refused(measured, name, words):
    message = measured["refusals"][name]
    assert re.search(words, message), message


def test_constraints_inside_a_function_keep_its_structure(measured):
    assert measured["constraints"]["text"] == ["dD[i,j]/dx[k,l] = δ[i,k] δ[j,l] A[i,j]"] * 2


def test_a_second_call_compiles_nothing(measured):
    assert measured["constraints"]["traces"] == 1


def test_two_processes_with_two_devices_each():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [start(2, address, 2, number) for number in range(2)]
    for found in map(finished, processes):
        assert found.pop("devices") == [2, 4]
        for name, case in found.items():
            assert case["error"] < 1e-12, name
            assert case["shard"] == 1 / 4, name


def one_device():
    return Mesh(np.array(jax.devices()[:1]), ("x",))


def test_one_device_is_a_mesh_too():
    sharding = NamedSharding(one_device(), P("x"))
    x = jnp.asarray(np.random.default_rng(0).standard_normal(5))
    found = jacobian(jnp.sin, out_sharding=sharding)(x)
    assert found.sharding.is_equivalent_to(sharding, 2)
    assert found.sharding.mesh == sharding.mesh
    np.testing.assert_array_equal(found, jnp.diag(jnp.cos(x)))
    second = hessian(lambda x: jnp.sum(x**3), out_sharding=sharding)(x)
    np.testing.assert_allclose(second, jnp.diag(6 * x), rtol=1e-15)


def test_weak_and_integer_inputs_keep_their_types():
    sharding = NamedSharding(one_device(), P())
    for argument in (2.0, jnp.arange(3), np.float32(3)):
        expected = jax.jacrev(lambda x: 2.0 * x, allow_int=True)(argument)
        found = jacobian(lambda x: 2.0 * x, allow_int=True, out_sharding=sharding)(argument)
        assert (found.dtype, found.weak_type) == (expected.dtype, expected.weak_type)


def test_a_sharding_of_no_mesh_is_refused():
    with pytest.raises(LayoutError, match="NamedSharding"):
        checked(SingleDeviceSharding(jax.devices()[0]), (3,), ())


def test_factors_are_split_along_the_labels_they_carry():
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("a", "b"))
    W, X = jnp.ones((4, 3)), jnp.ones((3, 5))
    J = jacobian(lambda W, X: W @ X, structured=True)(W, X)  # δ[i,k] X[l,j]

    def split(*spec):
        (found,) = by_label(J.terms[0], NamedSharding(mesh, P(*spec)))
        return None if found is None else split_of(found, 2)

    assert split("a") is None
    assert split(None, "a") == ((), ("a",))
    assert split("a", "b", None, None) == ((), ("b",))
    assert split(None, "a", None, "b") == (("b",), ("a",))
