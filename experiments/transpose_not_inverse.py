"""Why does the backward pass of D = W X multiply by a transpose, and not by an inverse?"""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import style
from experiments.counting import sums_and_branches
from experiments.harness import Claims, Grid, Result, main, relative_error

STEP_TRANSPOSE, STEP_INVERSE = 0.02, 0.1


def run(small: bool = False) -> Result:
    """Check the VJP, try the inverse in its place, and count sums and branches on the graph."""
    claims, rng = Claims(), np.random.default_rng(0)
    check_pullback(claims, rng)
    slopes = check_inverse(claims, rng)
    losses = check_descent(claims, steps=200 if small else 400)
    counts = check_sum_and_branch(claims)
    rows = tuple(
        (name, *(f"{counts[name][way][what]}" for way, what in COLUMNS)) for name in counts
    )
    return Result(
        question=str(__doc__),
        finding="A branch in the forward pass is a sum in the backward pass: that is the "
        "transpose. The inverse solves for W; as a gradient it goes astray on fresh batches.",
        claims=tuple(claims.made),
        grid=Grid(("scalar counts", *(f"{way} {what}" for way, what in COLUMNS)), rows),
        data={"slopes": slopes, "losses": losses, "counts": counts},
    )


COLUMNS = [(way, what) for way in ("forward", "backward") for what in ("sums", "branches")]


def check_pullback(claims: Claims, rng: np.random.Generator) -> None:
    """W is 5×10, X is 10×3: both backward rules, and why no inverse can replace them."""
    w, x, d_bar = rng.normal(size=(5, 10)), rng.normal(size=(10, 3)), rng.normal(size=(5, 3))
    w_bar, x_bar = jax.vjp(jnp.matmul, w, x)[1](d_bar)
    claims.equal("dW = dD Xᵀ is what jax.vjp gives", d_bar @ x.T, w_bar)
    claims.equal("dX = Wᵀ dD is what jax.vjp gives", w.T @ d_bar, x_bar)
    refused = []
    for matrix in (w, x):
        try:
            np.linalg.inv(matrix)
        except np.linalg.LinAlgError as error:
            refused.append(str(error))
    claims.check("neither W nor X has an inverse there", len(refused) == 2, refused[0])
    w_again = (w @ x) @ np.linalg.pinv(x)
    lost = np.linalg.norm(w_again - w) / np.linalg.norm(w)
    same = relative_error(w_again @ x, w @ x)
    claims.check(
        "D X⁺ solves D = W X for some W, not for the W that made D",
        same < 1e-12 and lost > 0.5,
        f"D met to {same:.0e}, W missed by {lost:.0%}",
    )


def check_inverse(claims: Claims, rng: np.random.Generator) -> dict[str, Any]:
    """Where X is square: the inverse recovers W exactly, and is no derivative."""
    w, x, d_bar = rng.normal(size=(5, 7)), rng.normal(size=(7, 7)), rng.normal(size=(5, 7))
    claims.equal("for square X, D X⁻¹ is W", w @ x @ np.linalg.inv(x), w, 1e-10)

    def loss(weights: np.ndarray) -> float:
        return float(np.sum(d_bar * (weights @ x)))

    step = 1e-4
    basis = np.eye(w.size).reshape(w.size, *w.shape)
    measured = np.array([(loss(w + step * e) - loss(w - step * e)) / (2 * step) for e in basis])
    transpose, inverse = (d_bar @ x.T).ravel(), (d_bar @ np.linalg.inv(x)).ravel()
    claims.equal("dD Xᵀ is the slope of the loss, by finite differences", transpose, measured, 1e-8)
    miss = relative_error(inverse, measured)
    claims.check("dD X⁻¹ is not", miss > 0.5, f"relative error {miss:.2f}")
    grows, shrinks = d_bar @ (2 * x).T, d_bar @ np.linalg.inv(2 * x)
    ratios = (
        np.linalg.norm(grows) / np.linalg.norm(transpose),
        np.linalg.norm(shrinks) / np.linalg.norm(inverse),
    )
    claims.check(
        "doubling X doubles the slope and halves the inverse's answer",
        np.allclose(ratios, (2, 0.5)),
        f"×{ratios[0]:.3f} and ×{ratios[1]:.3f}",
    )
    return {"measured": measured, "transpose": transpose, "inverse": inverse}


def check_descent(claims: Claims, steps: int) -> dict[str, list[float]]:
    """Fit W by steps along R Xᵀ and along R X⁺, with R = W X - Y, on fixed and on fresh data."""
    fixed = {
        "transpose, fixed batch": descend(np.transpose, STEP_TRANSPOSE, 3, steps, fresh=False),
        "inverse, fixed batch": descend(np.linalg.pinv, STEP_INVERSE, 3, steps, fresh=False),
    }
    at_once = descend(np.linalg.pinv, 1.0, 3, 2, fresh=False)
    claims.check(
        "on one fixed batch of 3 samples a single full step along R X⁺ ends at loss zero: a solver",
        at_once[1] < 1e-24 * at_once[0],
        f"loss {at_once[0]:.0f}, then {at_once[1]:.0e}",
    )
    claims.check(
        "there both rules fit the batch",
        all(history[-1] < 1e-6 * history[0] for history in fixed.values()),
        " and ".join(f"{history[-1]:.0e}" for history in fixed.values()),
    )
    fresh = {
        "transpose, fresh batches": descend(np.transpose, STEP_TRANSPOSE, 10, steps, fresh=True),
        "inverse, fresh batches": descend(np.linalg.inv, STEP_INVERSE, 10, steps, fresh=True),
    }
    tail = steps // 2
    steady = max(fresh["transpose, fresh batches"][tail:])
    worst = {
        size: max(descend(np.linalg.inv, size, 10, steps, fresh=True)[tail:])
        for size in (0.02, 0.1, 0.5)
    }
    claims.check(
        "on fresh noisy batches the transpose settles; the inverse does not, at three step sizes",
        min(worst.values()) > 50 * steady,
        f"worst late loss {steady:.1e} against "
        + ", ".join(f"{value:.1e} (step {size})" for size, value in worst.items()),
    )
    return fixed | fresh


def descend(rule: Any, step: float, samples: int, steps: int, fresh: bool) -> list[float]:
    """Losses of W ← W - step · R · rule(X). On fresh data, the loss is against the true W."""
    rng = np.random.default_rng(1)
    truth, w = rng.normal(size=(5, 10)), np.zeros((5, 10))
    losses = []
    for index in range(steps):
        if fresh or index == 0:
            x = rng.normal(size=(10, samples))
            y = truth @ x + 0.1 * rng.normal(size=(5, samples)) * fresh
        residual = w @ x - y
        losses.append(0.5 * float(np.sum((w - truth) ** 2 if fresh else residual**2)))
        w = w - step * residual @ rule(x)
    return losses


def check_sum_and_branch(claims: Claims) -> dict[str, dict[str, dict[str, int]]]:
    """Count sums and branches in the linear map of f and in its transpose."""
    rng = np.random.default_rng(2)
    w, x, b, c = (rng.normal(size=s) for s in ((5, 10), (10, 3), (5, 1), (10, 5)))

    def block(w: Any, x: Any, b: Any, c: Any) -> Any:
        hidden = jnp.tanh(w @ x + b)
        return x + c @ (hidden * hidden)

    cases: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "D = W X": (jnp.matmul, (w, x)),
        "Z = W X + b": (lambda w, x, b: w @ x + b, (w, x, b)),
        "X + C tanh²(W X + b)": (block, (w, x, b, c)),
    }
    counts = {}
    for name, (function, args) in cases.items():
        value, push = jax.linearize(function, *args)
        pull = jax.vjp(function, *args)[1]
        ways = {
            "forward": sums_and_branches(jax.make_jaxpr(push)(*args).jaxpr),
            "backward": sums_and_branches(jax.make_jaxpr(pull)(value).jaxpr),
        }
        there, back = ways["forward"], ways["backward"]
        claims.check(
            f"{name}: every sum forward is a branch backward, and every branch a sum",
            (there["sums"], there["branches"]) == (back["branches"], back["sums"]),
            f"{there['sums']} and {there['branches']}, then {back['branches']} and {back['sums']}",
        )
        counts[name] = ways
    return counts


def draw(result: Result) -> Figure:
    """Slopes, losses on a fixed and on fresh batches, and the counts that trade places."""
    figure = style.figure(10, 6.6)
    slopes, fixed, fresh, counts = figure.subplots(2, 2).ravel()
    draw_slopes(slopes, result.data["slopes"])
    losses = result.data["losses"]
    for axes, batch, title in (
        (fixed, "fixed batch", "One batch: both fit it, the inverse by solving"),
        (fresh, "fresh batches", "Fresh noisy batches: the inverse goes astray"),
    ):
        for rule, colour in (("transpose", style.FORWARD), ("inverse", style.REVERSE)):
            label = "pseudo-inverse" if (rule, batch) == ("inverse", "fixed batch") else rule
            axes.semilogy(losses[f"{rule}, {batch}"], color=colour, label=label)
        axes.set(title=title, xlabel="step")
        axes.legend()
    fixed.set(ylabel="loss ½‖W X − Y‖²", ylim=(1e-12, None), xlim=(0, 200))
    fresh.set(ylabel="error ½‖W − W*‖²")
    draw_counts(counts, result.data["counts"]["X + C tanh²(W X + b)"])
    return figure


def draw_slopes(axes: Any, slopes: dict[str, Any]) -> None:
    """Each rule's answer against the slope measured by finite differences, one dot per weight."""
    low, high = np.min(slopes["measured"]), np.max(slopes["measured"])
    axes.plot([low, high], [low, high], color=style.OTHER, linewidth=1, label="equal")
    for rule, label, colour in (
        ("transpose", "dD Xᵀ", style.FORWARD),
        ("inverse", "dD X⁻¹", style.REVERSE),
    ):
        axes.plot(slopes["measured"], slopes[rule], "o", color=colour, markersize=5, label=label)
    axes.set(title="Only the transpose is the slope", xlabel="slope of the loss, measured")
    axes.set(ylabel="answer of each rule")
    axes.legend()


def draw_counts(axes: Any, ways: dict[str, dict[str, int]]) -> None:
    """Sums and branches of the forward and of the backward graph, side by side."""
    for offset, what, colour in ((-0.2, "sums", style.FORWARD), (0.2, "branches", style.REVERSE)):
        heights = [ways[way][what] for way in ("forward", "backward")]
        bars = axes.bar(np.arange(2) + offset, heights, 0.38, color=colour, label=what)
        axes.bar_label(bars, padding=2)
    axes.set_xticks([0, 1], ["forward graph", "backward graph"])
    axes.set(title="Sums and branches trade places", ylabel="scalars in X + C tanh²(W X + b)")
    axes.set_ylim(0, 1.3 * max(max(way.values()) for way in ways.values()))
    axes.legend(loc="upper center", ncols=2)


if __name__ == "__main__":
    main(sys.modules[__name__])
