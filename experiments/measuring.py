"""One row of the benchmark: a case checked against JAX, then timed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

import layouts
from experiments import harness, peers, timing
from experiments.suite import Case
from layouts.plan import Plan, make_plan
from layouts.transforms import linearize_call

FARTHEST_FROM_HAND = 1.5
SECONDS_A_CASE = 2.0
TOLERANCE = 1e-4  # of the largest entry, in float32


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one case: times in seconds, sizes in bytes.

    Attributes:
        case: what was measured.
        plan: the order of elimination that was found.
        planning: how long finding it took.
        compiling: to trace, plan and compile, for "layouts" and for "jax"; empty at small size.
        seconds: of one call, by program: what it is compared with, and "dense", "structured", "by
            hand".
        kept: likewise, where nothing dense is to be kept warm: what it is compared with,
            "structured", and "kept by hand" where the case has it.
        dense_bytes: of the Jacobian as an array.
        stored_bytes: of the structured Jacobian.
        peers: the seconds of other packages, or why there are none.
    """

    case: Case
    plan: Plan
    planning: float
    compiling: dict[str, float]
    seconds: dict[str, float]
    dense_bytes: int
    stored_bytes: int
    peers: dict[str, float | str]
    kept: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """The quickest of what the case is compared with."""
        return self._best(self.seconds)

    def _best(self, seconds: Mapping[str, float]) -> str:
        return min(self.case.baselines().keys() & seconds, key=seconds.__getitem__)

    def ratio(self, what: str) -> float:
        """How many times faster than the best of what the case is compared with."""
        seconds = self.kept if what in self.kept else self.seconds
        return seconds[self._best(seconds)] / seconds[what]

    @property
    def distance(self) -> float:
        """How many times slower than the hand-written optimum."""
        return self.seconds["dense"] / self.seconds["by hand"]

    @property
    def compilation(self) -> float | None:
        """The time to trace, plan and compile, over that of what the case is compared with."""
        return self.compiling["layouts"] / self.compiling["jax"] if self.compiling else None

    @property
    def missed(self) -> list[str]:
        """What was asked of this case and not measured, in words."""
        asked = {"dense": self.case.dense, "structured": self.case.structured}
        missed = [
            f"{what} {self.ratio(what):.2f}× of {target:g}×"
            for what, target in asked.items()
            if target is not None and self.ratio(what) < target
        ]
        if self.distance > FARTHEST_FROM_HAND:
            missed.append(f"{self.distance:.2f} times slower than by hand")
        return missed

    def record(self) -> dict[str, Any]:
        """The row as JSON keeps it."""
        return {
            "case": self.case.name,
            "kind": self.case.kind,
            "best_of_jax": self.best,
            "left_out": dict(self.case.left_out),
            "plan": self.plan.name,
            "multiplications": self.plan.cost.multiplications,
            "planning_seconds": self.planning,
            "compile_seconds": self.compiling,
            "compile_ratio": self.compilation,
            "seconds": self.seconds,
            "kept_seconds": self.kept,
            "dense_ratio": self.ratio("dense"),
            "structured_ratio": self.ratio("structured"),
            "by_hand_ratio": self.ratio("by hand"),
            "distance_to_by_hand": self.distance,
            "dense_bytes": self.dense_bytes,
            "stored_bytes": self.stored_bytes,
            "peers": self.peers,
            "missed": self.missed,
        }


def time_kept(case: Case, rounds: int) -> dict[str, float]:
    """The seconds of what is kept structured, beside JAX's own and what one would keep by hand.

    It belongs before anything else: small results feel how memory is kept for large ones.
    """
    args = case.draw(small=False)
    programs = {**case.baselines(), "structured": case.planned(structured=True)}
    if case.kept_by_hand:
        programs["kept by hand"] = case.kept_by_hand
    return timing.interleaved(_compiled(programs, args), rounds, SECONDS_A_CASE / 2)


def measure(
    case: Case, small: bool, rounds: int, claims: harness.Claims, kept: dict[str, float]
) -> Row:
    """Check one case against JAX, then time it.

    Args:
        case: what to measure.
        small: check at the small size and time one call, to see that everything works.
        rounds: how often to time each program at most.
        claims: where the check is recorded.
        kept: what `time_kept` measured.

    Raises:
        harness.ClaimFailed: a result is not the one of JAX.
    """
    args, baselines = case.draw(small), case.baselines()
    if small:  # the second is there for its speed
        baselines = dict(list(baselines.items())[:1])
    programs = {
        **baselines,
        "dense": case.planned(structured=False),
        "structured": case.planned(structured=True),
        "by hand": case.by_hand,
    }
    calls = _compiled(programs, args)
    check(case, calls, claims)
    jacobians = jax.tree.leaves(calls["structured"](), is_leaf=_is_jacobian)
    peer = {} if small else peers.programs(case, args)
    timed = calls | {name: partial(f, *args) for name, f in peer.items() if callable(f)}
    seconds = timing.interleaved(timed, 1 if small else rounds, SECONDS_A_CASE)
    plan, planning = _planned(case, args)
    return Row(
        case=case,
        plan=plan,
        planning=planning,
        compiling={} if small else _compile_times(case, args),
        seconds={name: seconds[name] for name in calls},
        dense_bytes=sum(int(np.prod(J.shape)) * J.dtype.itemsize for J in jacobians),
        stored_bytes=sum(J.nbytes for J in jacobians),
        peers={
            **{name: why for name, why in peer.items() if isinstance(why, str)},
            **{name: seconds[name] for name in peer if name in seconds},
            **({} if small else peers.torch_seconds(case, args, rounds)),
        },
        kept=kept,
    )


def check(case: Case, calls: dict[str, Callable[[], Any]], claims: harness.Claims) -> None:
    """Claim that every program computes what the first of them, JAX's own, computes."""
    first, *rest = calls
    expected, errors = calls[first](), {}
    for name in rest:
        result = calls[name]()
        if name == "structured":
            make = jax.jit(case.take or (lambda J: J.dense()))
            result = jax.tree.map(make, result, is_leaf=_is_jacobian)
        errors[name] = disagreement(result, expected)
    claims.check(
        f"{case.name}: as {first}",
        max(errors.values()) <= TOLERANCE,
        "relative errors " + ", ".join(f"{name} {error:.0e}" for name, error in errors.items()),
    )


def disagreement(got: Any, expected: Any) -> float:
    """The largest relative error of the leaves of two trees, infinite where they do not fit."""
    leaves, wanted = jax.tree.leaves(got), jax.tree.leaves(expected)
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in wanted]:
        return float("inf")
    return max(map(harness.relative_error, leaves, wanted))


def _is_jacobian(leaf: Any) -> bool:
    return isinstance(leaf, layouts.Jacobian)


def _compiled(programs: dict[str, Callable], args: tuple) -> dict[str, Callable[[], Any]]:
    return {
        name: partial(jax.jit(program).lower(*args).compile(), *args)
        for name, program in programs.items()
    }


def _planned(case: Case, args: tuple) -> tuple[Plan, float]:
    """The plan of the case's Jacobian, and the seconds that finding it takes."""
    found = []

    def trace(*args: Any) -> None:
        found.append(linearize_call(case.differentiated, 0, args, {}).graph)

    jax.eval_shape(trace, *args)
    start = time.perf_counter()
    plan = make_plan(found[0])
    return plan, time.perf_counter() - start


def _compile_times(case: Case, args: tuple) -> dict[str, float]:
    """From the function to the program, beside the first of what the case is compared with."""

    def anew(program: Callable) -> Callable:
        return lambda *args: program(*args)

    theirs = next(iter(case.baselines()))
    return timing.compiling(
        {
            "layouts": lambda: case.planned(structured=False),
            "jax": lambda: anew(case.baselines()[theirs]),
        },
        args,
    )
