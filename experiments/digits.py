"""What does a trained network's Jacobian look like on real data, and what does it cost?"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

import layouts
from experiments import style, training
from experiments.harness import ClaimFailed, Claims, Grid, Result, interleaved_seconds, main
from layouts import chains

WIDTHS = (64, 48, 32, 10)
NETWORK = chains.mlp(WIDTHS, activation="tanh", samples="columns", loss="cross_entropy")
JAX_BATCH, BY_SAMPLE = "jax.jacrev, whole batch", "jax.jacrev, sample by sample"
OUR_DENSE, OUR_STRUCTURED = "layouts, whole batch, dense", "layouts, whole batch, structured"


def run(small: bool = False) -> Result:
    """Train by hand, then take the batched input-output Jacobian, dense and structured."""
    claims = Claims()
    (train, train_labels), (test, test_labels) = training.load()
    params = jax.tree.map(np.asarray, NETWORK.init(jax.random.key(0)))
    check_backward(claims, params, train[:, :17], np.eye(10)[:, train_labels[:17]])
    params = training.fit(params, train, np.eye(10)[:, train_labels], epochs=4 if small else 40)
    accuracy = float(np.mean(np.argmax(training.forward(params, test)[-1], axis=0) == test_labels))
    claims.check(
        "the hand-written backward pass trains the network",
        accuracy > (0.7 if small else 0.95),
        f"{accuracy:.1%} of {len(test_labels)} unseen digits",
    )
    network = partial(NETWORK, params)
    samples = test[:, : 11 if small else 64]
    sizes = check_jacobian(claims, network, samples)
    blocks = per_sample(network, test)
    singular = check_singular_values(claims, network, test[:, :7], blocks)
    maps = measure_saliency(claims, network, blocks, test, test_labels)
    costs = count_costs(claims, network, samples)
    seconds = time_costs(network, samples, repeats=3 if small else 15)
    gain = seconds[JAX_BATCH] / seconds[OUR_STRUCTURED]
    if not small:
        claims.check("and the clock agrees", gain > 10, f"structured is {gain:.0f} times faster")
    return Result(
        question=str(__doc__),
        finding=f"{samples.shape[1]} samples share no entry of the Jacobian. Structured, it takes "
        f"{sizes['dense'] / sizes['structured']:.0f} times less memory, and its blocks show which "
        "pixels each answer rests on.",
        claims=tuple(claims.made),
        grid=Grid(
            ("Jacobian of the whole batch", "multiplications", "per non-zero entry", "time"),
            tuple(
                (
                    name,
                    f"{count:,}",
                    f"{count / blocks[: samples.shape[1]].size:,.0f}",
                    f"{seconds[name] / seconds[BY_SAMPLE]:.2f}×",
                )
                for name, count in costs.items()
            ),
        ),
        data={
            "accuracy": accuracy,
            "saliency": maps,
            "means": [test[:, test_labels == digit].mean(1).reshape(8, 8) for digit in range(10)],
            "singular": singular,
            "costs": costs,
            "seconds": seconds,
            "bytes": sizes,
            "corner": corner(network, test[:, :5]),
        },
    )


def check_backward(
    claims: Claims, params: training.Params, images: np.ndarray, targets: np.ndarray
) -> None:
    """The hand-written gradient of every weight and bias against jax.vjp."""
    _, pull = jax.vjp(lambda p: NETWORK.loss(p, jnp.asarray(images), jnp.asarray(targets)), params)
    (truth,) = pull(1.0)
    ours = training.backward(params, training.forward(params, images), targets)
    for number, (mine, theirs) in enumerate(zip(ours, truth, strict=True), 1):
        for name in ("W", "b"):
            claims.equal(f"hand-written ∂L/∂{name}{number} is jax.vjp's", mine[name], theirs[name])


def check_jacobian(claims: Claims, network: Any, samples: np.ndarray) -> dict[str, int]:
    """The batched Jacobian: JAX's array, its structure, and the bytes that each form takes."""
    structured = layouts.jacobian(network, structured=True)(samples)
    dense = structured.dense()
    claims.equal(f"the {dense.shape} Jacobian is jax.jacrev's", dense, jax.jacrev(network)(samples))
    blocks, apart = per_sample(network, samples), np.array(dense)
    for place, block in enumerate(blocks):
        if not np.allclose(apart[:, place, :, place], block, atol=1e-12):
            raise ClaimFailed(f"sample {place}: its block is not its own Jacobian")
        apart[:, place, :, place] = 0
    claims.check(
        "outside the per-sample blocks every entry is exactly zero",
        not apart.any(),
        f"{apart.size - blocks.size:,} zeros, {blocks.size:,} entries in {len(blocks)} blocks",
    )
    sizes = {"dense": int(dense.nbytes), "structured": int(structured.nbytes)}
    claims.check(
        "structured, it takes no more than one block per sample",
        sizes["structured"] <= 1.05 * blocks.nbytes,
        f"{sizes['structured']:,} bytes against {sizes['dense']:,}",
    )
    return sizes


def per_sample(network: Any, images: np.ndarray) -> np.ndarray:
    """The 10×64 Jacobian of each sample alone, samples first."""
    return np.asarray(jax.jit(jax.vmap(sample_jacobian(network), in_axes=1))(images))


def sample_jacobian(network: Any) -> Callable[[Any], Any]:
    """The Jacobian of the network on one sample, a vector of pixels."""
    return jax.jacrev(lambda image: network(image[:, None])[:, 0])


def check_singular_values(
    claims: Claims, network: Any, images: np.ndarray, blocks: np.ndarray
) -> np.ndarray:
    """The singular values of every sample's block; a batch has the union of its samples'."""
    values = np.linalg.svd(blocks, compute_uv=False)
    batch = layouts.jacobian(network, structured=True)(images)
    together = np.linalg.svd(np.asarray(batch.matrix()), compute_uv=False)
    union = np.sort(values[: images.shape[1]].ravel())[::-1]
    claims.equal(
        "a batch's singular values are those of its samples", together[: union.size], union, 1e-10
    )
    squares = np.linalg.eigvalsh(np.asarray(batch.gram("out").matrix()))[::-1]
    claims.equal("their squares are the eigenvalues of J Jᵀ", squares, union**2, 1e-9)
    energy = np.cumsum(values**2, axis=1) / np.sum(values**2, axis=1, keepdims=True)
    share = float(np.median(energy[:, 2]))
    claims.check(
        "three of ten directions carry most of a sample's Jacobian",
        share > 0.5,
        f"{share:.0%} of its squared entries, median over {len(values)} digits",
    )
    return values


def measure_saliency(
    claims: Claims, network: Any, blocks: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> list[np.ndarray]:
    """By class: how each pixel moves that class's logit against the mean of all ten, on average."""

    def margin(pixels: np.ndarray, digit: int) -> float:
        logits = np.asarray(network(pixels))
        return float(np.mean(logits[digit] - logits.mean(0)))

    relative = blocks - blocks.mean(1, keepdims=True)
    maps = [relative[labels == digit, digit].mean(0) for digit in range(10)]
    gains = []
    for digit, pixels in enumerate(maps):
        own = images[:, labels == digit]
        moved = own + (pixels / np.linalg.norm(pixels))[:, None]
        gains.append(margin(moved, digit) - margin(own, digit))
    claims.check(
        "a step along a class's map raises that class's logit, for every class",
        min(gains) > 0,
        f"by {min(gains):.1f} to {max(gains):.1f}, against the mean logit, for a step of length 1",
    )
    return [pixels.reshape(8, 8) for pixels in maps]


def corner(network: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """The Jacobian of a few samples as a matrix, in both vec orders."""
    jacobian = layouts.jacobian(network, structured=True)(images)
    return {vec: np.asarray(jacobian.matrix(vec=vec)) for vec in ("columns", "rows")}


def count_costs(claims: Claims, network: Any, samples: np.ndarray) -> dict[str, int]:
    """Multiplications for the whole batch: at once and sample by sample, by JAX and by plan."""
    count = samples.shape[1]
    batch, one = (layouts.cost(network)(images) for images in (samples, samples[:, :1]))
    if batch.jacrev is None or one.jacrev is None:
        raise ClaimFailed("jax.jacrev was not counted on the network")
    costs = {
        JAX_BATCH: batch.jacrev.multiplications,
        BY_SAMPLE: count * one.jacrev.multiplications,
        OUR_DENSE: batch.planned.multiplications,  # writing the zeros multiplies nothing
        OUR_STRUCTURED: batch.planned.multiplications,
    }
    claims.check(
        "the planned batch costs no more than its samples one at a time",
        batch.planned.multiplications <= count * one.planned.multiplications,
        f"{batch.planned.multiplications / count:,.0f} multiplications per sample in the batch, "
        f"{one.planned.multiplications:,} alone",
    )
    wasted = costs[JAX_BATCH] / costs[BY_SAMPLE]
    claims.check(
        "jax.jacrev of the whole batch multiplies zeros, about once more per sample",
        wasted > 0.8 * count,
        f"{wasted:.0f} times the multiplications of one sample at a time, for {count} samples",
    )
    return costs


def time_costs(network: Any, samples: np.ndarray, repeats: int) -> dict[str, float]:
    """Seconds for the whole batch, jitted and warm, in turns."""
    by_sample = jax.vmap(sample_jacobian(network), in_axes=1)
    programs = {
        JAX_BATCH: jax.jit(jax.jacrev(network)),
        BY_SAMPLE: jax.jit(by_sample),
        OUR_DENSE: jax.jit(layouts.jacobian(network)),
        OUR_STRUCTURED: jax.jit(layouts.jacobian(network, structured=True)),
    }
    return interleaved_seconds(
        {name: partial(program, jnp.asarray(samples)) for name, program in programs.items()},
        repeats,
    )


def draw(result: Result) -> Figure:
    """Saliency by class over the mean digits, then spectrum, block structure and cost."""
    data = result.data
    figure = style.figure(10, 6.6)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.4))
    pictures, plots = halves
    draw_saliency(pictures, data["means"], data["saliency"])
    spectrum, corner, cost = plots.subplots(1, 3, width_ratios=(1, 1.15, 1))
    draw_spectrum(spectrum, data["singular"])
    style.heat(corner, data["corner"]["columns"], "Samples share no entry")
    style.grid_lines(corner, data["corner"]["columns"].shape, (10, 64))
    corner.set(xlabel="5 × 64 pixels, vec by columns", ylabel="5 × 10 logits", aspect="auto")
    draw_costs(cost, data["seconds"])
    return figure


def draw_saliency(figure: SubFigure, means: list[np.ndarray], maps: list[np.ndarray]) -> None:
    """Two rows of ten pictures; every map is white at zero and has a colour scale of its own."""
    figure.suptitle(
        "The average digit, and its saliency: red pixels speak for the digit, blue ones against it",
        fontsize=10.5,
        weight="bold",
        x=0.01,
        ha="left",
    )
    axes: Any = figure.subplots(2, 10)
    for digit in range(10):
        axes[0, digit].imshow(means[digit], cmap="Greys")
        axes[0, digit].axis("off")
        style.heat(axes[1, digit], maps[digit])


def draw_spectrum(axes: Axes, singular: np.ndarray) -> None:
    """The median singular values of a sample's block, and where nine tenths of samples lie."""
    ranks = np.arange(1, 11)
    low, median, high = np.quantile(singular, (0.05, 0.5, 0.95), axis=0)
    axes.fill_between(ranks, low, high, color=style.FORWARD, alpha=0.2, linewidth=0)
    axes.semilogy(ranks, median, "o-", color=style.FORWARD)
    axes.set(title="Few directions matter", xlabel="singular value", ylabel="size, 5 to 95 %")
    axes.set_xticks([1, 4, 7, 10])


def draw_costs(axes: Axes, seconds: dict[str, float]) -> None:
    """Time of each way to the whole batch's Jacobian, over that of the structured one."""
    base = seconds[OUR_STRUCTURED]
    names = [JAX_BATCH, OUR_DENSE, BY_SAMPLE, OUR_STRUCTURED]
    colours = [style.OTHER, style.BEST, style.OTHER, style.BEST]
    bars = axes.barh(range(4), [seconds[name] / base for name in names], color=colours)
    axes.bar_label(bars, [f"{seconds[name] / base:.3g}×" for name in names], padding=3)
    axes.set_yticks(range(4), [name.replace(", ", "\n", 1) for name in names])
    axes.invert_yaxis()
    axes.set(title="Time for the batch", xscale="log", xlabel="× structured")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.35)


if __name__ == "__main__":
    main(sys.modules[__name__])
