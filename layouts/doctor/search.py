"""The search for the mistake: results first, then edits, alone and two at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.doctor.bench import Trial
from layouts.doctor.case import Case
from layouts.doctor.guesses import Part
from layouts.doctor.pairs import in_turn, side_by_side
from layouts.doctor.ranking import MARGIN, Explanation, findings_of
from layouts.doctor.ratios import Constant, ratio
from layouts.doctor.repertoire import Repertoire
from layouts.doctor.report import Finding
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
from layouts.doctor.screening import Scored, Screen
from layouts.doctor.weights import paths_of, weighted

# The denominators of factors that are written as fractions.
MOST_BELOW = 1_000


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

    @cached_property
    def repertoire(self) -> Repertoire:
        """All that is tried."""
        return Repertoire(self.case, self.trials, self.out, self.tolerance)

    def findings(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Finding]:
        """What is wrong with the gradient by one leaf; nothing where no mistake explains it."""
        found = self._results(leaf, given, right)
        found += self._factors(leaf, given, right)
        screen = Screen(given[0], right[0], self.tolerance)
        scored, alone = self._alone(leaf, given, screen, found)
        found += alone
        self.tried = max(self.tried, len(scored))
        if not any(len(one.parts) == 1 for one in found):
            found += self._matching(scored, given, screen, constants=True)
            found += self._weighted(leaf, given, right)
        if not found:
            found = [*self._too_late(scored, given), *self._pushed(leaf, given)]
        if not found:
            found = self._two_at_once(scored, given, right, screen)
        kinds = {kind for one in found for kind in one.kinds}
        next_best = min((gap for g, _, gap in scored if g.kind not in kinds), default=float("inf"))
        name, shown = self.case.names[leaf], self.repertoire.right_formula(leaf)
        if found and not any(one.formula for one in found):
            found[0] = replace(found[0], formula=self._scaled(leaf, given[0], right[0]))
        return findings_of(found, name, shown, next_best)

    def _scaled(self, leaf: int, given: np.ndarray, right: np.ndarray) -> str:
        """The formula of a named constant times the right gradient; empty where that is not it."""
        factor, known = ratio(given, right, self.tolerance), self.repertoire
        page = known.page(leaf)
        if factor is None or page is None or known.facts.names(factor) is None:
            return ""
        exact = float(Fraction(factor).limit_denominator(MOST_BELOW))
        terms = [replace(s, coefficient=exact * s.coefficient) for s in page.written.summands]
        return page.text(terms) if abs(exact - factor) <= self.tolerance * abs(factor) else ""

    def _results(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Mistakes that the result alone shows."""
        facts = self.repertoire.facts

        def of_trial(number: int) -> Iterator[Result]:
            trial = self.trials[number]
            others = {self.case.names[n]: a for n, a in trial.right.items() if n != leaf}
            cotangent = np.asarray(trial.cotangent, float)
            pair = given[number], right[number]
            return of_result(*pair, others, facts.names, facts.divides, self.tolerance, cotangent)

        found = self._of_results(of_trial)
        if facts.moves:
            found = [_likelier(one, "permutation-not-inverted") for one in found]
        return [*found, *(_permuted(one) for one in found)] if facts.permutes else found

    def _factors(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Arrays that the gradient is multiplied by, or should be."""

        def of_trial(number: int) -> Iterator[Result]:
            arrays = self.repertoire.arrays(number)
            page = self.repertoire.page(leaf)
            if page is not None:
                known = {name.removeprefix(f"{DIVISOR} ") for name in arrays}
                divisors = [array for name, array in arrays.items() if name.startswith(DIVISOR)]
                for name, array in page.arrays(number).items():
                    same = any(close(array, other, self.tolerance) for other in divisors)
                    if name not in known and not same:
                        arrays[name] = array
            return of_array(given[number], right[number], arrays, self.tolerance)

        def of_slopes(number: int) -> Iterator[Result]:
            arrays = self.repertoire.arrays(number)
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
        moves = self.repertoire.facts.only_moves
        kind = "permutation-not-inverted" if moves else "operand-not-transposed"
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

    def _alone(
        self, leaf: int, given: list[np.ndarray], screen: Screen, found: Sequence[Explanation]
    ) -> tuple[list[Scored], list[Explanation]]:
        """Mistakes alone that give the candidate: all that are not beyond the best's margin."""
        best = min((one.rank for one in found if len(one.parts) == 1), default=None)
        scored: list[Scored] = []
        alone: list[Explanation] = []
        for guess in self.repertoire.guesses(leaf):
            if best is not None and guess.rank > best + MARGIN:
                break
            entry = screen.scored(guess)
            if entry is None:
                continue
            scored.append(entry)
            alone += self._matching([entry], given, screen)
            best = min((one.rank for one in (*found, *alone) if len(one.parts) == 1), default=None)
        return scored, alone

    def _too_late(self, scored: list[Scored], given: list[np.ndarray]) -> list[Explanation]:
        """A factor that is multiplied in at the end, where it belongs before other steps."""
        arrays = [self.repertoire.arrays(number) for number in range(len(given))]
        found = []
        for guess, _, _ in scored:
            if guess.kind not in ("missing-factor", "missing-activation-derivative"):
                continue
            names = list(arrays[0])
            for number in range(len(given)):
                value = guess.value(number) if names else None
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
        self,
        scored: list[Scored],
        given: list[np.ndarray],
        right: list[np.ndarray],
        screen: Screen,
    ) -> list[Explanation]:
        """Two mistakes, each on a path of its own, or one after the other."""
        single = screen.distinct(scored)
        found = self._matching(side_by_side(single, screen, right), given, screen)
        if not found:
            entries = map(screen.scored, in_turn(single))
            pairs = [entry for entry in entries if entry is not None]
            self.tried += len(pairs)
            found = self._matching(pairs, given, screen)
        return [replace(one, sure=False) for one in found]

    def _weighted(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray]
    ) -> list[Explanation]:
        """Paths with another weight than one."""
        known = self.repertoire
        variable, page = known.listing.inputs[leaf], known.page(leaf)
        paths = paths_of(known.listing, known.runs, variable, page, right)
        self.tried += len(paths)
        found = weighted(paths, given, right, known.facts.names, self.tolerance)
        return [Explanation(tuple(w.parts), w.rank, residual) for w, residual in found]

    def _matching(
        self,
        scored: Sequence[Scored],
        given: list[np.ndarray],
        screen: Screen,
        constants: bool = False,
    ) -> list[Explanation]:
        """Those that agree at all inputs, as they are or up to a constant that has a name."""
        matched = []
        for guess, entries, _ in scored:
            constant = self._constant(screen.given, entries, constants)
            if constant is None:
                continue
            residual = difference(screen.given, constant.value * entries)
            for number in range(1 if screen.places is None else 0, len(given)):
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
        return None if factor is None else self.repertoire.facts.names(factor)


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
