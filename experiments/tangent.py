"""What do the tangent kernel and the Gauss-Newton matrix of a whole data set cost?"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import layouts
from experiments import style, training
from experiments.harness import Claims, Grid, Result, main, progress, relative_error
from layouts import chains
from layouts.counting import count

WIDTHS = (64, 24, 10)
NETWORK = chains.mlp(WIDTHS, activation="tanh", samples="columns")
SHARED = (None, 0)  # the weights are shared, the images are not
MOST_SHOWN = 300  # samples in the picture of the kernel
DEVICES, KERNEL_DEVICES = 8, 3  # 1,797 samples are 3 × 599


def logits(params: Any, image: jax.Array) -> jax.Array:
    """The network on one image."""
    return NETWORK(params, image[:, None])[:, 0]


def cross_entropy(outputs: jax.Array, params: Any, image: jax.Array) -> jax.Array:
    """The part of a sample's loss that its Hessian by the logits comes from."""
    return jax.nn.logsumexp(outputs)


def run(small: bool = False) -> Result:
    """Train, accumulate both matrices over all digits, and check them where they can be checked."""
    claims = Claims()
    params, images, labels = trained(epochs=3 if small else 40)
    if small:
        images, labels = images[::6], labels[::6]
    batch = 60
    gauss_newton = accumulate("Gauss-Newton", params, images, batch, side="in", loss=cross_entropy)
    kernel = accumulate("tangent kernel", params, images, batch, side="out", trace_axes=(0,))
    check_subset(claims, params, images[: 23 if small else 97], batch=10)
    check_whole(claims, params, images, gauss_newton, kernel)
    costs = count_costs(claims, params, images[:batch])
    memory = measure_memory(claims, params, images, batch)
    if not small:
        check_devices(claims)
    accuracy = classify(claims, kernel, labels)
    values = np.linalg.eigvalsh(as_matrix(gauss_newton))[::-1]
    samples, weights = len(images), len(values)
    shown = np.argsort(labels, kind="stable")[:: 1 + len(labels) // MOST_SHOWN]  # by digit
    return Result(
        question=str(__doc__),
        finding=f"{batch} at a time, the {weights:,} × {weights:,} Gauss-Newton matrix of "
        f"{samples:,} digits takes {costs['in'][1] / costs['in'][0]:.0f} times fewer "
        f"multiplications than from dense Jacobians, the kernel "
        f"{costs['out'][1] / costs['out'][0]:.0f} times fewer, and no Jacobian of the data set is "
        f"there. The kernel alone classifies {accuracy:.1%} of unseen digits.",
        claims=tuple(claims.made),
        grid=Grid(
            (f"one batch of {batch}", "structured", "dense Jacobians", "ratio"),
            tuple(
                (name, f"{ours:,}", f"{dense:,}", f"{dense / ours:.1f}")
                for name, (ours, dense) in (
                    ("multiplications, Jᵀ H J", costs["in"]),
                    ("multiplications, J Jᵀ", costs["out"]),
                    ("bytes in between, Jᵀ H J", memory),
                )
            ),
        ),
        data={
            "eigenvalues": values,
            "kernel": np.round(kernel[np.ix_(shown, shown)], 3),
            "costs": costs,
            "memory": memory,
            "accuracy": accuracy,
        },
    )


def trained(epochs: int) -> tuple[Any, jax.Array, np.ndarray]:
    """A small network after training, and all 1,797 digits, the four fifths trained on first."""
    (train, train_labels), (test, test_labels) = training.load()
    params = jax.tree.map(np.asarray, NETWORK.init(jax.random.key(0)))
    params = training.fit(params, train, np.eye(10)[:, train_labels], epochs)
    images = jnp.asarray(np.concatenate([train, test], axis=1).T)
    params = jax.tree.map(jnp.asarray, params)
    return params, images, np.concatenate([train_labels, test_labels])


def accumulate(name: str, params: Any, images: jax.Array, batch: int, **options: Any) -> Any:
    """One of the matrices over all images, with a progress bar."""
    rows = -(-len(images) // batch)
    steps = rows if options["side"] == "in" else rows * (rows + 1) // 2
    with progress(name, steps) as report:
        found = layouts.gram(logits, in_axes=SHARED, batch_size=batch, progress=report, **options)
        return jax.tree.map(np.asarray, jax.block_until_ready(jax.jit(found)(params, images)))


def dense_jacobian(params: Any, images: jax.Array) -> jax.Array:
    """Samples × logits × weights, by `jax.jacrev`."""
    tree = jax.vmap(jax.jacrev(logits), SHARED)(params, images)
    leaves = [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(tree)]
    return jnp.concatenate(leaves, axis=-1)


def dense_gauss_newton(params: Any, images: jax.Array) -> jax.Array:
    """`Σ_n J_nᵀ H_n J_n` from dense Jacobians."""
    J = dense_jacobian(params, images)
    outputs = jax.vmap(logits, SHARED)(params, images)
    H = jax.vmap(jax.hessian(lambda z: cross_entropy(z, None, z)))(outputs)
    return jnp.einsum("nap,naq->pq", J, jnp.einsum("nab,nbq->naq", H, J))


def dense_kernel(params: Any, images: jax.Array) -> jax.Array:
    """`J Jᵀ` from dense Jacobians, summed over the logits."""
    J = dense_jacobian(params, images)
    return jnp.einsum("nap,map->nm", J, J)


def as_matrix(tree: Any) -> np.ndarray:
    """A tree of trees of `in + in` arrays as one matrix."""
    is_row = jax.tree.structure(tree[0]["W"])
    rows = [jax.tree.leaves(row) for row in jax.tree.leaves(tree, is_leaf=lambda t: _is(t, is_row))]
    sizes = [round(row[n].size ** 0.5) for n, row in enumerate(rows)]
    return np.block(
        [
            [np.asarray(part).reshape(sizes[i], sizes[j]) for j, part in enumerate(row)]
            for i, row in enumerate(rows)
        ]
    )


def _is(tree: Any, structure: Any) -> bool:
    return jax.tree.structure(tree) == structure


def check_subset(claims: Claims, params: Any, images: jax.Array, batch: int) -> None:
    """Both against dense Jacobians, on as many digits as those allow."""
    options: dict[str, Any] = {"in_axes": SHARED, "batch_size": batch}
    curved = layouts.gram(logits, side="in", loss=cross_entropy, **options)
    found = jax.jit(curved)(params, images)
    text = f"on {len(images)} digits, in batches of {batch} and a rest, the"
    claims.equal(
        f"{text} Gauss-Newton matrix is that of dense Jacobians",
        as_matrix(found),
        jax.jit(dense_gauss_newton)(params, images),
    )
    summed = layouts.gram(logits, side="out", trace_axes=(0,), **options)
    kernel = jax.jit(summed)(params, images)
    dense = jax.jit(dense_kernel)(params, images)
    claims.equal(f"{text} kernel is that of dense Jacobians", kernel, dense)
    whole = jax.jit(layouts.gram(logits, side="out", **options))(params, images[:11])
    inner = jax.jit(layouts.gram(logits, side="in", in_axes=SHARED))(params, images[:11])
    size = 11 * WIDTHS[-1]
    left = np.linalg.eigvalsh(np.asarray(whole).reshape(size, size))
    right = np.linalg.eigvalsh(as_matrix(inner))[-size:]
    claims.equal("J Jᵀ and Jᵀ J have the same eigenvalues but zeros", left, right, 1e-10)


def check_whole(
    claims: Claims, params: Any, images: jax.Array, gauss_newton: Any, kernel: np.ndarray
) -> None:
    """What can be known of the whole without a Jacobian of it."""
    rng = np.random.default_rng(2)
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)

    def network(params: Any) -> jax.Array:
        return jax.vmap(logits, SHARED)(params, images)

    @jax.jit
    def product(direction: Any) -> Any:
        outputs, pushed = jax.jvp(network, (params,), (direction,))
        slope = jax.vmap(jax.grad(jax.nn.logsumexp))
        _, curved = jax.jvp(slope, (outputs,), (pushed,))
        return jax.vjp(network, params)[1](curved)[0]

    pulled = product(direction)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(direction)])
    claims.equal(
        f"over {len(images):,} digits, Gauss-Newton times v is jax.vjp of H of jax.jvp of v",
        as_matrix(gauss_newton) @ flat,
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(pulled)]),
        1e-10,
    )
    squares = jax.jit(lambda images: jnp.sum(dense_jacobian(params, images) ** 2, (1, 2)))
    norms = squares(images[np.array([0, -1])])
    claims.equal(
        "and the kernel's ends are the squares of samples' Jacobians",
        kernel[[0, -1], [0, -1]],
        norms,
    )


def count_costs(claims: Claims, params: Any, images: jax.Array) -> dict[str, tuple[int, int]]:
    """Multiplications of one batch: structured, and from dense Jacobians, both as executed."""
    ours = {
        "in": layouts.gram(logits, side="in", in_axes=SHARED, loss=cross_entropy),
        "out": layouts.gram(logits, side="out", in_axes=SHARED, trace_axes=(0,)),
    }
    dense = {"in": dense_gauss_newton, "out": dense_kernel}
    costs = {
        side: tuple(count(f, params, images).multiplications for f in (ours[side], dense[side]))
        for side in ours
    }
    for side, (structured, written) in costs.items():
        name = {"in": "Jᵀ H J", "out": "J Jᵀ"}[side]
        claims.check(
            f"structure makes a batch's {name} cheaper",
            structured < written,
            f"{structured:,} multiplications against {written:,}",
        )
    return costs  # type: ignore[return-value]


def measure_memory(claims: Claims, params: Any, images: jax.Array, batch: int) -> tuple[int, int]:
    """Bytes between arguments and result of the compiled programs, ours and the dense one."""

    def taken(function: Callable, samples: int) -> int:
        compiled: Any = jax.jit(function).lower(params, images[:samples]).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    def ours(size: int) -> Callable:
        return layouts.gram(logits, side="in", in_axes=SHARED, batch_size=size, loss=cross_entropy)

    third, whole = taken(ours(batch), len(images) // 3), taken(ours(batch), len(images))
    claims.check(
        "memory is the batch's, however many samples there are",
        whole <= 1.1 * third + images.nbytes,
        f"{whole:,} bytes in between for {len(images):,} samples, {third:,} for a third of them",
    )
    dense = taken(dense_gauss_newton, len(images))
    claims.check(
        "dense Jacobians of all samples take more", dense > whole, f"{dense:,} bytes in between"
    )
    return whole, dense


def classify(claims: Claims, kernel: np.ndarray, labels: np.ndarray) -> float:
    """Kernel regression on the training digits: which class do the others have?"""
    cut = 4 * len(labels) // 5
    ridge = 1e-3 * np.trace(kernel[:cut, :cut]) / cut * np.eye(cut)
    weights = np.linalg.solve(kernel[:cut, :cut] + ridge, np.eye(10)[labels[:cut]] - 0.1)
    found = np.argmax(kernel[cut:, :cut] @ weights, axis=1)
    accuracy = float(np.mean(found == labels[cut:]))
    claims.check(
        "the tangent kernel alone classifies digits it has not seen",
        accuracy > 0.9,
        f"{accuracy:.1%} of {len(labels) - cut}, by ridge regression",
    )
    return accuracy


def check_devices(claims: Claims) -> None:
    """The same over virtual devices, in a process that has them."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    command = [sys.executable, "-c", "from experiments import tangent; tangent.over_devices()"]
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the run over {DEVICES} devices failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    for name, (error, held, whole) in found.items():
        claims.check(
            f"{name} is that of one device",
            error < 1e-11,
            f"relative error {error:.0e}; a device holds {held:,} of its {whole:,} bytes",
        )


def over_devices() -> None:
    """Print, for both matrices over a mesh: the error, and the bytes on a device and in all."""
    params, images, _ = trained(epochs=3)
    found = {}
    for name, devices, options in (
        (f"Gauss-Newton added up over {DEVICES} devices", DEVICES, {"side": "in"}),
        (
            f"the kernel with its rows on {KERNEL_DEVICES} devices",
            KERNEL_DEVICES,
            {"side": "out", "trace_axes": (0,)},
        ),
    ):
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("samples",))
        shared: dict[str, Any] = {"in_axes": SHARED, "batch_size": 60, **options}
        alone = jax.tree.leaves(jax.jit(layouts.gram(logits, **shared))(params, images))
        program = jax.jit(layouts.gram(logits, **shared, mesh=mesh))
        spread = jax.tree.leaves(program(params, images))
        errors = [relative_error(a, b) for a, b in zip(spread, alone, strict=True)]
        held = sum(leaf.addressable_shards[0].data.nbytes for leaf in spread)
        found[name] = (max(errors), held, sum(leaf.nbytes for leaf in spread))
    print(json.dumps(found))


def draw(result: Result) -> Figure:
    """The kernel, sorted by digit, and the spectrum of the Gauss-Newton matrix."""
    figure = style.figure(10, 4.2)
    panels: Any = figure.subplots(1, 2, width_ratios=(1, 1.2))
    style.heat(panels[0], result.data["kernel"], "Tangent kernel of the digits, 0 to 9")
    values = result.data["eigenvalues"]
    ranks = np.arange(1, 1 + len(values))
    panels[1].loglog(ranks, np.maximum(values, values[0] * 1e-16), color=style.FORWARD)
    panels[1].set(title="Gauss-Newton matrix", xlabel="eigenvalue", ylabel="size")
    return figure


if __name__ == "__main__":
    main(sys.modules[__name__])
