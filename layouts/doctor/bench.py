"""The candidate at work: what it gives at the caller's own arguments and at random ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.doctor.candidates import Candidate
from layouts.doctor.case import Case
from layouts.doctor.evidence import cotangent_like, perturbed
from layouts.doctor.report import Finding
from layouts.errors import LayoutError

# Random inputs beside the caller's own.
PERTURBATIONS = 3


@dataclass
class Trial:
    """The candidate at one input."""

    leaves: Sequence[Any]
    cotangent: Any
    right: dict[int, np.ndarray]
    given: dict[int, np.ndarray]


class Bench:
    """Runs a candidate.

    Args:
        case: the function at its arguments.
        candidate: what is to be diagnosed.
        cotangent: the output's, at the caller's own arguments; random unless given.
    """

    def __init__(self, case: Case, candidate: Candidate, cotangent: Any):
        """Run the function once, to know its output."""
        self.case, self.candidate = case, candidate
        self.notes: list[str] = []
        out = case.fun(*case.args)
        if len(jax.tree.leaves(out)) != 1:
            received = f"{len(jax.tree.leaves(out))} arrays"
            raise LayoutError("function", "one array as output", received, "diagnose each output")
        self.out = jnp.asarray(jax.tree.leaves(out)[0])
        self.cotangent = self._first_cotangent(cotangent)

    def trials(self) -> tuple[list[Trial], Finding | None]:
        """The candidate at every input, or why that cannot be."""
        trials: list[Trial] = []
        for leaves, cotangent, right in self.inputs():
            given, failure = self.given(leaves, cotangent)
            if failure is not None:
                return trials, failure
            trials.append(Trial(leaves, cotangent, right, given))
        if not self.candidate.fixed:
            again, failure = self.given(trials[0].leaves, trials[0].cotangent)
            for leaf, array in trials[0].given.items():
                same = again[leaf].shape == array.shape
                if failure or not same or not np.array_equal(again[leaf], array, equal_nan=True):
                    return trials, self._failed(
                        "not-deterministic", "two calls give two results", leaf
                    )
        return trials, None

    def inputs(self) -> Iterator[tuple[Sequence[Any], Any, dict[int, np.ndarray]]]:
        """The arguments' leaves, a cotangent, and the gradients there: the caller's own first."""
        count = 1 if self.candidate.fixed else 1 + PERTURBATIONS
        for number in range(count):
            leaves = self.case.leaves if number == 0 else perturbed(self.case.leaves, number)
            cotangent = self.cotangent if number == 0 else cotangent_like(self.out, number)
            right = self.case.right(leaves, cotangent)
            if number and not all(np.isfinite(array).all() for array in right.values()):
                continue  # outside the function's domain
            yield leaves, cotangent, right

    def given(
        self, leaves: Sequence[Any], cotangent: Any
    ) -> tuple[dict[int, np.ndarray], Finding | None]:
        """The candidate's gradients by leaf, or why there are none."""
        wanted = self.case.wanted
        try:
            found = self.candidate.call(cotangent, *self.case.unflatten(leaves))
        except LayoutError as error:
            if self.candidate.text:
                raise
            return {}, self._failed(
                "raises", f"it raises {type(error).__name__}: {error}", wanted[0]
            )
        except Exception as error:  # whatever the candidate may do
            first, _, _ = str(error).partition("\n")
            reason = f"it raises {type(error).__name__}: {first}"
            return {}, self._failed("raises", reason, wanted[0])
        arrays = self._arrays(found)
        if len(arrays) != len(wanted):
            reason = f"it returns {len(arrays)} arrays where {len(wanted)} belong"
            return {}, self._failed("wrong-shape", reason, wanted[0])
        given: dict[int, np.ndarray] = {}
        for leaf, array in zip(wanted, arrays, strict=True):
            real = array.dtype.kind in "biuf" or (array.dtype.kind == "c" and not array.imag.any())
            if not real and not jnp.issubdtype(array.dtype, jnp.floating):  # bfloat16 is of no kind
                reason = f"it returns {array.dtype} where real numbers belong"
                return given, self._failed("wrong-dtype", reason, leaf)
            given[leaf] = np.asarray(array.real, float)
            if not np.isfinite(given[leaf]).all():
                places = np.argwhere(~np.isfinite(given[leaf]))
                at = ", ".join(str(int(n)) for n in places[0])
                reason = f"not finite: {len(places)} of {array.size} entries, the first at [{at}]"
                return given, self._failed("not-finite", reason, leaf)
        return given, None

    def _arrays(self, found: tuple) -> list[np.ndarray]:
        """What a candidate returned, an array for each leaf; numbers in lists are one array."""
        leaves = jax.tree.leaves(found)
        if len(self.case.wanted) == 1 != len(leaves) and isinstance(found[0], list):
            with suppress(TypeError, ValueError):  # arrays of several shapes
                leaves = [np.asarray(found[0], float)]
        return [np.asarray(leaf) for leaf in leaves]

    def _failed(self, kind: str, reason: str, leaf: int) -> Finding:
        return Finding(kind, reason, "", float("inf"), self.case.names[leaf])

    def _first_cotangent(self, cotangent: Any) -> Any:
        if cotangent is not None:
            if np.shape(cotangent) != self.out.shape:
                received = f"{np.shape(cotangent)}"
                remedy = "pass one entry for each of the output's"
                raise LayoutError("cotangent", f"shape {self.out.shape}", received, remedy)
            return np.asarray(cotangent, self.out.dtype)
        if not self.candidate.fixed:
            return cotangent_like(self.out, 0)
        if self.out.shape:
            self.notes.append(
                "No cotangent was given with the array: ones were taken. Many mistakes hide behind"
                " ones; pass cotangent=."
            )
        return np.ones(self.out.shape, self.out.dtype)
