"""The search for the mistake: results first, then edits, alone and two at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np

from layouts.derivation.tracing import Program, trace
from layouts.doctor.bench import Trial
from layouts.doctor.case import Case, is_float
from layouts.doctor.functions import of_function
from layouts.doctor.guesses import Guess, OnPage, OnTape, Page, page_of
from layouts.doctor.hypotheses import Hypothesis
from layouts.doctor.paths import of_paths
from layouts.doctor.ratios import Constant, named, ratio, sizes_of
from layouts.doctor.report import Finding
from layouts.doctor.results import Result, close, difference, of_array, of_result, undo
from layouts.doctor.steps import of_steps
from layouts.doctor.tape import Listing, Tape, listing

# Edits of the tape that are tried; then, two at a time, the simplest of all that differ.
MOST_HYPOTHESES = 1_500
MOST_PAIRED = 20
MOST_PAIRS = 1_200


class Search:
    """Looks for the mistakes that give a candidate's numbers.

    Args:
        case: the function at its arguments.
        trials: the candidate at several inputs.
        out: the output.
        tolerance: relative to the largest entry.
    """

    def __init__(self, case: Case, trials: Sequence[Trial], out: Any, tolerance: float):
        """Nothing is computed before it is asked for."""
        self.case, self.trials, self.out, self.tolerance = case, trials, out, tolerance
        self.tried = 0
        self._tapes: list[Tape] | None = None
        self._hypotheses: list[Hypothesis] = []
        self._pages: dict[int, Page | None] = {}

    def findings(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Finding]:
        """What is wrong with the gradient by one leaf; nothing where no mistake explains it."""
        return (
            self._results(leaf, given, right, self.trials)
            or self._edits(leaf, given, self.trials)
            or self._factors(leaf, given, right, self.trials)
        )

    def _results(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray], trials: Sequence[Trial]
    ) -> list[Finding]:
        """Mistakes that the result alone shows."""

        def of_trial(number: int) -> Iterator[Result]:
            trial = trials[number]
            others = {self.case.names[n]: a for n, a in trial.right.items() if n != leaf}
            cotangent = np.asarray(trial.cotangent, float)
            pair = given[number], right[number]
            return of_result(*pair, others, self._sizes, self._divides, self.tolerance, cotangent)

        found = self._of_results(leaf, len(trials), of_trial)
        if found and found[0].kind == "transposed-layout" and self._permutes:
            words = "axes are permuted as in the forward pass, or not at all"
            fix = "permute them by the inverse of the forward permutation"
            return [self._finding(leaf, "permutation-not-inverted", words, fix)]
        return found

    def _factors(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray], trials: Sequence[Trial]
    ) -> list[Finding]:
        """Arrays that the gradient is multiplied by, or should be."""

        def of_trial(number: int) -> Iterator[Result]:
            arrays = self._arrays(trials[number])
            page = self._page(leaf, trials)
            if page is not None:
                arrays |= page.arrays(number)
            return of_array(given[number], right[number], arrays, self.tolerance)

        return self._of_results(leaf, len(trials), of_trial)

    def _of_results(
        self, leaf: int, count: int, of_trial: Callable[[int], Iterator[Result]]
    ) -> list[Finding]:
        """Those that are the same at every input."""
        kept: dict[tuple, Result] = {result.key: result for result in of_trial(0)}
        for number in range(1, count):
            seen = {result.key for result in of_trial(number)} if kept else set()
            kept = {key: result for key, result in kept.items() if key in seen}
        found = list(kept.values())
        if not found:
            return []
        # Two at once only where one result has two, as a factor with the wrong sign has.
        best = found[:1]
        if best[0].kind in ("constant-factor", "mean-for-sum"):
            best += [r for r in found[1:] if r.kind == "sign"]
        findings = [self._finding(leaf, r.kind, r.message, r.correction) for r in best]
        if best[0].constant is not None:
            findings += self._of_constant(leaf, best[0].constant)
        return findings

    def _arrays(self, trial: Trial) -> dict[str, np.ndarray]:
        """The inputs, the output and the cotangent at one trial, by name."""
        floats = [
            (name, leaf)
            for name, leaf in zip(self.case.names, trial.leaves, strict=True)
            if is_float(leaf)
        ]
        found = {name: np.asarray(leaf, float) for name, leaf in floats}
        found["the output"] = np.asarray(self.case.flat_array(*trial.leaves), float)
        return found

    def _edits(self, leaf: int, given: list[np.ndarray], trials: Sequence[Trial]) -> list[Finding]:
        """Mistakes that give the candidate's numbers at every input."""
        guesses = self._guesses(leaf, trials)
        self.tried = max(self.tried, len(guesses))
        right = trials[0].right[leaf]
        scored = self._scored(guesses, right, given[0])
        matched = self._matching(scored, given)
        if not matched:
            pairs = self._scored(self._pairs(leaf, scored, trials), right, given[0])
            self.tried += len(pairs)
            matched = self._matching(pairs, given)
        return self._ranked(leaf, matched, scored)

    def _scored(self, guesses: Sequence[Guess], right: np.ndarray, given: np.ndarray) -> list:
        """What each gives at the first input, those apart that give the right gradient."""
        scored = []
        for guess in guesses:
            found = guess.value(0)
            if found is None or found.shape != right.shape:
                continue
            if not close(found, right, self.tolerance):
                scored.append((guess, found, difference(given, found)))
        return scored

    def _matching(
        self, scored: list, given: list[np.ndarray]
    ) -> list[tuple[Guess, Constant | None, float]]:
        """Those that agree at all inputs, up to a constant that has a name."""
        matched = []
        for guess, found, _ in scored:
            constant = self._constant(given[0], found)
            if constant is None:
                continue
            residual = difference(given[0], constant.value * found)
            for number in range(1, len(given)):
                other = guess.value(number)
                again = None if other is None else self._constant(given[number], other)
                if again is None or again.name != constant.name:
                    break
                residual = max(residual, difference(given[number], again.value * other))
            else:
                matched.append((guess, None if constant.name == "1" else constant, residual))
        return matched

    def _constant(self, given: np.ndarray, found: np.ndarray) -> Constant | None:
        if close(given, found, self.tolerance):
            return Constant(1.0, "1")
        factor = ratio(given, found, self.tolerance)
        return None if factor is None else named(factor, self._sizes)

    def _ranked(self, leaf: int, matched: list, scored: list) -> list[Finding]:
        """The simplest of each kind; exact ones, if there are any."""
        if not matched:
            return []
        order = sorted(matched, key=lambda entry: (entry[1] is not None, entry[0].rank))
        order = [entry for entry in order if entry[1] is None] or order
        kinds: dict[str, tuple] = {}
        for entry in order:
            kinds.setdefault(entry[0].kind, entry)
        others = [gap for guess, _, gap in scored if guess.kind not in kinds]
        # Exact matches give the same numbers, so the formula of one is that of all.
        shown = next((g.formula() for g, c, _ in order if c is None and g.formula()), "")
        findings = []
        for number, (guess, constant, residual) in enumerate(kinds.values()):
            for kind, message, fix in guess.parts:
                findings.append(
                    replace(
                        self._finding(leaf, kind, message, fix, residual),
                        certain=len(kinds) == 1,
                        next_best=min(others, default=float("inf")),
                        wrong=shown,
                        right=self._right_formula(leaf),
                        alternative=number,
                    )
                )
            if constant is not None:
                also = self._of_constant(leaf, constant)
                findings += [replace(finding, alternative=number) for finding in also]
        return findings

    def _of_constant(self, leaf: int, constant: Constant) -> list[Finding]:
        found = []
        if constant.name.removeprefix("-") != "1":
            words = f"and a factor of {constant.name}"
            words += f", where {constant.meaning}" if constant.meaning else ""
            fix = undo(constant.name.removeprefix("-"))
            found.append(self._finding(leaf, "constant-factor", words, fix))
        if constant.value < 0:
            found.append(self._finding(leaf, "sign", "and the sign is wrong", "change the sign"))
        return found

    def _finding(
        self, leaf: int, kind: str, message: str, fix: str, residual: float = 0.0
    ) -> Finding:
        return Finding(kind, message, fix, residual, self.case.names[leaf])

    @cached_property
    def _listing(self) -> Listing:
        return listing(self.case.flat_array, [jnp.asarray(leaf) for leaf in self.case.leaves])

    def _guesses(self, leaf: int, trials: Sequence[Trial]) -> list[Guess]:
        """Every mistake that is tried on one gradient."""
        if self._tapes is None:
            self._tapes = [Tape(self._listing, t.leaves, jnp.asarray(t.cotangent)) for t in trials]
            found = [
                *of_paths(self._listing, self._tapes[0]),
                *of_steps(self._listing, self._tapes[0]),
            ]
            self._hypotheses = sorted(found, key=lambda h: h.rank)[:MOST_HYPOTHESES]
        guesses: list[Guess] = [
            OnTape(hypothesis, self._tapes, self._listing.inputs[leaf])
            for hypothesis in self._hypotheses
            if self._tapes[0].depends(hypothesis.edit, self._listing.inputs[leaf])
        ]
        page = self._page(leaf, trials)
        if page is not None:
            guesses += page.guesses()
        inputs = [(trial.leaves, trial.cotangent) for trial in trials]
        guesses += of_function(self._program, leaf, inputs)
        return sorted(guesses, key=lambda guess: guess.rank)

    def _page(self, leaf: int, trials: Sequence[Trial]) -> Page | None:
        """The gradient as it is written; None where it has no formula."""
        if leaf not in self._pages:
            inputs = [(trial.leaves, trial.cotangent) for trial in trials]
            self._pages[leaf] = page_of(self._program, leaf, inputs)
        return self._pages[leaf]

    def _pairs(self, leaf: int, scored: list, trials: Sequence[Trial]) -> list[Guess]:
        """Two mistakes at once, of those that are least far-fetched and change the result."""
        distinct: list = []
        for guess, found, _ in sorted(scored, key=lambda entry: entry[0].rank):
            if not any(close(found, other, self.tolerance) for _, other in distinct):
                distinct.append((guess, found))
        tapes = [guess for guess, _ in distinct if isinstance(guess, OnTape)][:MOST_PAIRED]
        pairs: list[Guess | None] = [one.with_(other) for one, other in combinations(tapes, 2)]
        written = [guess for guess, _ in distinct if isinstance(guess, OnPage)][:MOST_PAIRED]
        for guess in written:
            pairs += guess.again()
        return [pair for pair in pairs if pair is not None][:MOST_PAIRS]

    def _right_formula(self, leaf: int) -> str:
        page = self._pages.get(leaf)
        return "" if page is None else page.text()

    @cached_property
    def _program(self) -> Program:
        return trace(self.case.flat_array, self.case.leaves, names=self.case.names)

    @cached_property
    def _sizes(self) -> dict[int, str]:
        return sizes_of(self.case.names, self.case.leaves, self.out.shape)

    @cached_property
    def _permutes(self) -> bool:
        """Whether the function permutes axes and multiplies no matrices."""
        names = {step.name for step in self._listing.steps}
        return "transpose" in names and "dot_general" not in names

    @cached_property
    def _divides(self) -> bool:
        """Whether the function divides by the number of something, as a mean does."""
        for step in self._listing.steps:
            if step.name == "integer_pow" and abs(step.params["y"]) in self._sizes:
                return True
            for constant in step.constants:
                if step.name in ("div", "mul") and np.size(constant) == 1 and constant is not None:
                    value = abs(float(np.asarray(constant).ravel()[0]))
                    if any(abs(value - n) < 1e-6 or abs(value * n - 1) < 1e-6 for n in self._sizes):
                        return True
        return False
