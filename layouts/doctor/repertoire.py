"""All that is tried on one function: its steps, its runs at each input, and every mistake."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from layouts.derivation.tracing import trace
from layouts.derivation.vertices import Program
from layouts.doctor.bench import Trial
from layouts.doctor.case import Case, is_float
from layouts.doctor.facts import Facts
from layouts.doctor.functions import OnFunction, of_function
from layouts.doctor.guesses import Guess, OnTape, Page, Point, page_of
from layouts.doctor.hypotheses import Hypothesis
from layouts.doctor.listing import Listing, listing
from layouts.doctor.pairs import everywhere
from layouts.doctor.paths import of_paths
from layouts.doctor.ratios import sizes_of
from layouts.doctor.replay import Replay
from layouts.doctor.reruns import changes, of_reruns
from layouts.doctor.results import DIVISOR, close
from layouts.doctor.rewrites import Found
from layouts.doctor.steps import of_steps
from layouts.doctor.tape import Tape

# Edits of the pull-back that are tried, and changes of the gradient as it is written.
MOST_HYPOTHESES = 1_500
MOST_CHANGES = 1_500


class Repertoire:
    """The mistakes that can be made on a function, and what each needs to be computed.

    Args:
        case: the function at its arguments.
        trials: the inputs.
        out: the output.
        tolerance: relative to the largest entry.
    """

    def __init__(self, case: Case, trials: Sequence[Trial], out: Any, tolerance: float):
        """Nothing is computed before it is asked for."""
        self.case, self.trials, self.out, self.tolerance = case, trials, out, tolerance
        self._pages: dict[int, Page | None] = {}

    def guesses(self, leaf: int) -> list[Guess]:
        """Every mistake that is tried on one gradient."""
        variable = self.listing.inputs[leaf]
        guesses: list[Guess] = [
            OnTape.of(hypothesis, self.runs, variable)
            for hypothesis in self._hypotheses
            if self.runs[0].depends(hypothesis.edit, variable)
        ]
        page = self.page(leaf)
        if page is not None:
            guesses += sorted(page.guesses(), key=lambda guess: guess.rank)[:MOST_CHANGES]
        guesses += [guess for guess in self._functions if guess.leaf == leaf]
        guesses += of_reruns(self._reruns, self._replays, variable)
        return sorted(guesses, key=lambda guess: guess.rank)

    def page(self, leaf: int) -> Page | None:
        """The gradient as it is written; None where it has no formula."""
        if leaf not in self._pages:
            self._pages[leaf] = page_of(self._program, leaf, self._points)
        return self._pages[leaf]

    def right_formula(self, leaf: int) -> str:
        """The right gradient as a formula; empty where there is none, or nobody asked for it."""
        page = self._pages.get(leaf)
        return "" if page is None else page.text()

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        """The inputs and what is computed of them at one trial, by name."""
        found = {}
        named = zip(self.listing.inputs, self.case.names, strict=True)
        for (variable, name), leaf in zip(named, self.trials[number].leaves, strict=True):
            if is_float(leaf):
                divisor = variable in self.facts.divisors
                found[f"{DIVISOR} {name}" if divisor else name] = np.asarray(leaf, float)
        values = self.runs[number].values
        for step in self.listing.steps:
            for variable in step.results:
                what = DIVISOR if variable in self.facts.divisors else "the result"
                name = f"{what} of {step.name} ({variable})"
                if variable == self.listing.output:
                    name = f"{DIVISOR}, the output" if what == DIVISOR else "the output"
                if is_float(values[variable]):
                    found[name] = np.asarray(values[variable], float)
        return found

    @cached_property
    def listing(self) -> Listing:
        """The function's steps, without shifts for the sake of precision, which nobody writes."""
        arrays = [jnp.asarray(leaf) for leaf in self.case.leaves]
        whole = listing(self.case.flat_array, arrays)
        if all(step.name != "stop_gradient" for step in whole.steps):
            return whole
        bare = listing(self.case.flat_array, arrays, shifts=False)
        return bare if all(self._is_same(bare, trial) for trial in self.trials) else whole

    def _is_same(self, bare: Listing, trial: Trial) -> bool:
        """Whether a function has the true gradients at an input."""
        if bare.output is None:
            return False
        found = Tape(bare, trial.leaves, jnp.asarray(trial.cotangent)).gradients()
        return all(close(found[n], array, self.tolerance) for n, array in trial.right.items())

    @cached_property
    def runs(self) -> list[Tape]:
        """A run of the function at each input."""
        return [Tape(self.listing, t.leaves, jnp.asarray(t.cotangent)) for t in self.trials]

    @cached_property
    def _replays(self) -> list[Replay]:
        """The same runs, to be run again with a change."""
        return [Replay(tape) for tape in self.runs]

    @cached_property
    def _hypotheses(self) -> list[Hypothesis]:
        """Every edit of the pull-back that is tried, the least far-fetched first."""
        found = [*of_paths(self.listing, self.runs[0]), *of_steps(self.listing, self.runs[0])]
        found += everywhere(found)
        return sorted(found, key=lambda h: h.rank)[:MOST_HYPOTHESES]

    @cached_property
    def _reruns(self) -> list[Found]:
        """Every change of the function that is tried."""
        return changes(self._replays[0])

    @cached_property
    def _functions(self) -> list[OnFunction]:
        """Every change of the function's formulas that is tried, by each input."""
        return list(of_function(self._points))

    @cached_property
    def _points(self) -> list[Point]:
        return [Point(self._program, t.leaves, t.cotangent) for t in self.trials]

    @cached_property
    def _program(self) -> Program:
        return trace(self.case.flat_array, self.case.leaves, names=self.case.names)

    @cached_property
    def facts(self) -> Facts:
        """What the function's steps tell of it."""
        sizes = sizes_of(self.case.names, self.case.leaves, self.out.shape)
        return Facts(self.listing, sizes)
