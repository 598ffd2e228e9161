"""The search for the mistake: results first, then edits, alone and two at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.derivation.tracing import Program, trace
from layouts.doctor.bench import Trial
from layouts.doctor.case import Case, is_float
from layouts.doctor.facts import Facts
from layouts.doctor.functions import of_function
from layouts.doctor.guesses import Guess, OnTape, Page, Part, page_of
from layouts.doctor.hypotheses import Hypothesis
from layouts.doctor.pairs import Scored, distinct, everywhere, in_turn, side_by_side
from layouts.doctor.paths import of_paths
from layouts.doctor.ranking import MARGIN, Explanation, findings_of
from layouts.doctor.ratios import Constant, ratio, sizes_of
from layouts.doctor.replay import Replay
from layouts.doctor.report import Finding
from layouts.doctor.reruns import of_reruns
from layouts.doctor.results import (
    DIVISOR,
    Result,
    close,
    difference,
    factors_of,
    of_array,
    of_result,
    of_slope,
    undo,
)
from layouts.doctor.steps import of_steps
from layouts.doctor.tape import Listing, Tape, listing
from layouts.doctor.weights import paths_of, weighted

# Edits of the tape that are tried.
MOST_HYPOTHESES = 1_500


class Search:
    """Looks for the mistakes that give a candidate's numbers.

    Args:
        case: the function at its arguments.
        trials: the candidate at several inputs.
        out: the output.
        tolerance: relative to the largest entry.
        jacobian: whether the candidate is a whole Jacobian.
    """

    def __init__(
        self,
        case: Case,
        trials: Sequence[Trial],
        out: Any,
        tolerance: float,
        jacobian: bool = False,
    ):
        """Nothing is computed before it is asked for."""
        self.case, self.trials, self.out, self.tolerance = case, trials, out, tolerance
        self.tried, self.jacobian = 0, jacobian
        self._pages: dict[int, Page | None] = {}

    def findings(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Finding]:
        """What is wrong with the gradient by one leaf; nothing where no mistake explains it."""
        found = self._results(leaf, given, right)
        found += self._factors(leaf, given, right)
        scored, alone = self._alone(leaf, given, right[0], found)
        found += alone
        self.tried = max(self.tried, len(scored))
        if not any(len(one.parts) == 1 for one in found):
            found += self._matching(scored, given, constants=True)
            found += self._weighted(leaf, given, right)
        if not found:
            found = [*self._too_late(scored, given), *self._pushed(leaf, given)]
        if not found:
            found = self._two_at_once(scored, given, right)
        kinds = {kind for one in found for kind in one.kinds}
        next_best = min((gap for g, _, gap in scored if g.kind not in kinds), default=float("inf"))
        name, shown = self.case.names[leaf], self._right_formula(leaf)
        return findings_of(found, name, shown, next_best)

    def _results(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Mistakes that the result alone shows."""

        def of_trial(number: int) -> Iterator[Result]:
            trial = self.trials[number]
            others = {self.case.names[n]: a for n, a in trial.right.items() if n != leaf}
            cotangent = np.asarray(trial.cotangent, float)
            pair = given[number], right[number]
            return of_result(
                *pair, others, self._facts.names, self._facts.divides, self.tolerance, cotangent
            )

        found = self._of_results(of_trial)
        if self._facts.moves:
            found = [_likelier(one, "permutation-not-inverted") for one in found]
        return [*found, *(_permuted(one) for one in found)] if self._facts.permutes else found

    def _factors(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Arrays that the gradient is multiplied by, or should be."""

        def of_trial(number: int) -> Iterator[Result]:
            arrays = self._arrays(number)
            page = self._page(leaf)
            if page is not None:
                known = {name.removeprefix(f"{DIVISOR} ") for name in arrays}
                divisors = [array for name, array in arrays.items() if name.startswith(DIVISOR)]
                for name, array in page.arrays(number).items():
                    same = any(close(array, other, self.tolerance) for other in divisors)
                    if name not in known and not same:
                        arrays[name] = array
            return of_array(given[number], right[number], arrays, self.tolerance)

        def of_slopes(number: int) -> Iterator[Result]:
            arrays = self._arrays(number)
            return of_slope(given[number], right[number], arrays, self.tolerance)

        return [*self._of_results(of_trial), *self._of_results(of_slopes)]

    def _pushed(self, leaf: int, given: list[np.ndarray]) -> list[Explanation]:
        """The Jacobian times the cotangent, where its transpose belongs."""
        if given[0].shape != self.out.shape or np.shape(self.case.leaves[leaf]) != self.out.shape:
            return []
        residual = 0.0
        for trial, array in zip(self.trials, given, strict=True):

            def along(one: Any, leaves: Sequence[Any] = trial.leaves) -> Any:
                return self.case.flat_array(*leaves[:leaf], one, *leaves[leaf + 1 :])

            point = jnp.asarray(trial.leaves[leaf])
            tangent = jnp.asarray(trial.cotangent, point.dtype)
            try:
                pushed = jax.jvp(along, (point,), (tangent,))[1]
            except TypeError:  # a custom_vjp has no push-forward
                return []
            residual = max(residual, difference(array, np.asarray(pushed, float)))
        if residual > self.tolerance:
            return []
        words = "the Jacobian is multiplied by the cotangent as if that were a tangent"
        fix = "multiply by the Jacobian's transpose: it carries cotangents back"
        kind = "permutation-not-inverted" if self._facts.only_moves else "operand-not-transposed"
        kind = "transposed-layout" if self.jacobian else kind
        return [Explanation(((kind, words, fix),), 5, residual)]

    def _of_results(self, of_trial: Callable[[int], Iterator[Result]]) -> list[Explanation]:
        """Those that are the same at every input."""
        kept: dict[tuple, Result] = {result.key: result for result in of_trial(0)}
        for number in range(1, len(self.trials)):
            seen = {result.key for result in of_trial(number)} if kept else set()
            kept = {key: result for key, result in kept.items() if key in seen}
        return [
            Explanation((result.part, *_parts_of(result.constant)), result.rank)
            for result in kept.values()
            if len(self.trials) > 1 or not result.unnamed
        ]

    def _arrays(self, number: int) -> dict[str, np.ndarray]:
        """The inputs and what is computed of them at one trial, by name."""
        found = {}
        named = zip(self._listing.inputs, self.case.names, strict=True)
        for (variable, name), leaf in zip(named, self.trials[number].leaves, strict=True):
            if is_float(leaf):
                divisor = variable in self._facts.divisors
                found[f"{DIVISOR} {name}" if divisor else name] = np.asarray(leaf, float)
        values = self._run[number].values
        for step in self._listing.steps:
            for variable in step.results:
                what = DIVISOR if variable in self._facts.divisors else "the result"
                name = f"{what} of {step.name} ({variable})"
                if variable == self._listing.output:
                    name = f"{DIVISOR}, the output" if what == DIVISOR else "the output"
                if is_float(values[variable]):
                    found[name] = np.asarray(values[variable], float)
        return found

    def _alone(
        self, leaf: int, given: list[np.ndarray], right: np.ndarray, found: Sequence[Explanation]
    ) -> tuple[list[Scored], list[Explanation]]:
        """Mistakes alone that give the candidate: all that are not beyond the best's margin."""
        best = min((one.rank for one in found if len(one.parts) == 1), default=None)
        scored: list[Scored] = []
        alone: list[Explanation] = []
        for guess in self._guesses(leaf):
            if best is not None and guess.rank > best + MARGIN:
                break
            entry = self._scored([guess], right, given[0])
            scored += entry
            alone += self._matching(entry, given)
            best = min((one.rank for one in (*found, *alone) if len(one.parts) == 1), default=None)
        return scored, alone

    def _too_late(self, scored: list[Scored], given: list[np.ndarray]) -> list[Explanation]:
        """A factor that is multiplied in at the end, where it belongs before other steps."""
        arrays = [self._arrays(number) for number in range(len(given))]
        found = []
        for guess, first, _ in scored:
            if guess.kind not in ("missing-factor", "missing-activation-derivative"):
                continue
            names = factors_of(given[0], first, arrays[0], self.tolerance)
            for number in range(1, len(given) if names else 0):
                value = guess.value(number)
                if value is not None:
                    fitting = factors_of(given[number], value, arrays[number], self.tolerance)
                    names = [name for name in names if name in fitting]
            for name in names:
                words = f"{name} is multiplied in at the end, where it belongs before other steps"
                other = f"{name} is multiplied in at the end, where another factor belongs"
                fix = "go back through the steps in their order"
                found.append(Explanation((("order-swapped", words, fix),), guess.rank + 1))
                found.append(Explanation((("wrong-point", other, fix),), guess.rank + 1))
        return found

    def _two_at_once(
        self, scored: list[Scored], given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Two mistakes, each on a path of its own, or one after the other."""
        single = distinct(scored, self.tolerance)
        found = self._matching(side_by_side(single, given[0], right, self.tolerance), given)
        if not found:
            pairs = self._scored(in_turn(single), right[0], given[0])
            self.tried += len(pairs)
            found = self._matching(pairs, given)
        return [replace(one, sure=False) for one in found]

    def _weighted(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Paths with another weight than one."""
        variable = self._listing.inputs[leaf]
        paths = paths_of(self._listing, self._run, variable, self._page(leaf), right)
        self.tried += len(paths)
        found = weighted(paths, given, right, self._facts.names, self.tolerance)
        return [Explanation(tuple(w.parts), w.rank, residual) for w, residual in found]

    def _scored(self, guesses: Sequence[Guess], right: np.ndarray, given: np.ndarray) -> list:
        """What each gives at the first input, those apart that give the right gradient."""
        scored = []
        for guess in guesses:
            found = guess.value(0)
            if found is None or found.shape != given.shape:
                continue
            if not close(found, right, self.tolerance):
                scored.append((guess, found, difference(given, found)))
        return scored

    def _matching(
        self, scored: Sequence[Scored], given: list[np.ndarray], constants: bool = False
    ) -> list[Explanation]:
        """Those that agree at all inputs, as they are or up to a constant that has a name."""
        matched = []
        for guess, found, _ in scored:
            constant = self._constant(given[0], found, constants)
            if constant is None:
                continue
            residual = difference(given[0], constant.value * found)
            for number in range(1, len(given)):
                other = guess.value(number)
                again = None if other is None else self._constant(given[number], other, constants)
                if other is None or again is None or again.name != constant.name:
                    break
                residual = max(residual, difference(given[number], again.value * other))
            else:
                parts = (*guess.parts, *_parts_of(constant))
                rank = guess.rank + 4 * (len(parts) - len(guess.parts))
                formula = guess.formula() if constant.name == "1" else ""
                matched.append(Explanation(parts, rank, residual, formula))
        return matched

    def _constant(self, given: np.ndarray, found: np.ndarray, any_named: bool) -> Constant | None:
        if close(given, found, self.tolerance):
            return Constant(1.0, "1")
        factor = ratio(given, found, self.tolerance) if any_named else None
        return None if factor is None else self._facts.names(factor)

    @cached_property
    def _listing(self) -> Listing:
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
    def _run(self) -> list[Tape]:
        """A run of the function at each input."""
        return [Tape(self._listing, t.leaves, jnp.asarray(t.cotangent)) for t in self.trials]

    @cached_property
    def _replays(self) -> list[Replay]:
        """The same runs, to be run again with a change."""
        return [Replay(tape) for tape in self._run]

    @cached_property
    def _hypotheses(self) -> list[Hypothesis]:
        """Every edit of the pull-back that is tried, the least far-fetched first."""
        found = [*of_paths(self._listing, self._run[0]), *of_steps(self._listing, self._run[0])]
        found += everywhere(found)
        return sorted(found, key=lambda h: h.rank)[:MOST_HYPOTHESES]

    @cached_property
    def _inputs(self) -> list[tuple[Sequence[Any], Any]]:
        return [(trial.leaves, trial.cotangent) for trial in self.trials]

    def _guesses(self, leaf: int) -> list[Guess]:
        """Every mistake that is tried on one gradient."""
        variable = self._listing.inputs[leaf]
        guesses: list[Guess] = [
            OnTape(hypothesis, self._run, variable)
            for hypothesis in self._hypotheses
            if self._run[0].depends(hypothesis.edit, variable)
        ]
        page = self._page(leaf)
        if page is not None:
            guesses += page.guesses()
        guesses += of_function(self._program, leaf, self._inputs)
        guesses += of_reruns(self._replays, variable)
        return sorted(guesses, key=lambda guess: guess.rank)

    def _page(self, leaf: int) -> Page | None:
        """The gradient as it is written; None where it has no formula."""
        if leaf not in self._pages:
            self._pages[leaf] = page_of(self._program, leaf, self._inputs)
        return self._pages[leaf]

    def _right_formula(self, leaf: int) -> str:
        page = self._pages.get(leaf)
        return "" if page is None else page.text()

    @cached_property
    def _program(self) -> Program:
        return trace(self.case.flat_array, self.case.leaves, names=self.case.names)

    @cached_property
    def _facts(self) -> Facts:
        sizes = sizes_of(self.case.names, self.case.leaves, self.out.shape)
        return Facts(self._listing, sizes)


def _parts_of(constant: Constant | None) -> list[Part]:
    """The mistakes that a constant besides another mistake stands for."""
    if constant is None:
        return []
    found, bare = [], constant.name.removeprefix("-")
    if bare != "1":
        words = f"and a factor of {bare}"
        words += f", where {constant.meaning}" if constant.meaning else ""
        found.append(("constant-factor", words, undo(bare)))
    if constant.value < 0:
        found.append(("sign", "and the sign is wrong", "change the sign"))
    return found


def _likelier(explanation: Explanation, kind: str) -> Explanation:
    """The same, less far-fetched if it is of a kind."""
    closer = explanation.kinds == (kind,)
    return replace(explanation, rank=explanation.rank - 2) if closer else explanation


def _permuted(explanation: Explanation) -> Explanation:
    """What a transposed layout may be as well, in a function that permutes axes."""
    (kind, *_), *others = explanation.parts
    if kind != "transposed-layout":
        return explanation
    words = "axes are permuted as in the forward pass, or not at all"
    fix = "permute them by the inverse of the forward permutation"
    parts = ("permutation-not-inverted", words, fix), *others
    return replace(explanation, parts=parts, rank=explanation.rank - 1)
