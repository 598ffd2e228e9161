"""`layouts.diagnose`: not only that a gradient is wrong, but which mistake it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.derive.tracing import Program, trace
from layouts.doctor.candidates import Candidate, as_candidate
from layouts.doctor.evidence import (
    cotangent_like,
    is_symmetric,
    nearby,
    perturbed,
    tolerance,
)
from layouts.doctor.functions import of_function
from layouts.doctor.guesses import Guess, OnPage, OnTape, Page, page_of
from layouts.doctor.hypotheses import Hypothesis
from layouts.doctor.paths import of_paths
from layouts.doctor.ratios import Constant, named, ratio, sizes_of
from layouts.doctor.report import Diagnosis, Finding, worst
from layouts.doctor.results import (
    Result,
    close,
    difference,
    of_array,
    of_result,
    where_they_differ,
)
from layouts.doctor.steps import of_steps
from layouts.doctor.tape import Listing, Tape, listing
from layouts.errors import LayoutError
from layouts.transforms import leaf_names

# Random inputs beside the caller's own.
PERTURBATIONS = 3
# Edits of the tape that are tried; then, two at a time, the simplest of all that differ.
MOST_HYPOTHESES = 1_500
MOST_PAIRED = 20
MOST_PAIRS = 1_200


def diagnose(
    fun: Callable,
    candidate: Any,
    *args: Any,
    argnums: int | Sequence[int] = 0,
    cotangent: Any = None,
    kind: str = "vjp",
) -> Diagnosis:
    """Say whether a hand-written gradient is right, and if not, which mistake it has.

    The true pull-back is run step by step, and every classical mistake is a small edit of it. The
    edit that gives the candidate's numbers at the caller's own inputs and at random ones is the
    diagnosis. The number of edits grows with the number of steps, and no further than a bound.

    Args:
        fun: the function, of pytrees of arrays, that returns one array.
        candidate: a callable `candidate(cotangent, *args)`, a formula such as `"dD @ X.T"`, or an
            array: the gradient at `cotangent`, or with `kind="jacobian"` the whole Jacobian.
        args: the function's arguments.
        argnums: which argument the gradient is by; several for a candidate that returns a tuple.
        cotangent: the output's cotangent at which an array was computed; for a scalar output one.
        kind: "vjp" or "jacobian".

    Returns:
        A `Diagnosis`.

    Raises:
        LayoutError: a formula that cannot be read, an unknown kind, or an argnum out of range.
        TypeError: where JAX raises it for a function that it cannot differentiate.

    Example:
        >>> W, X = np.random.default_rng(0).standard_normal((2, 4, 4))
        >>> print(diagnose(lambda W, X: W @ X, "dD @ inv(X)", W, X).findings[0].kind)
        inverse-for-transpose
        >>> diagnose(lambda W, X: W @ X, lambda dD, W, X: dD @ X.T, W, X).ok
        True
    """
    if kind not in ("vjp", "jacobian"):
        raise LayoutError("kind", "'vjp' or 'jacobian'", repr(kind), "pass one of these")
    case = _Case.of(fun, args, argnums)
    found = as_candidate(candidate, len(case.places), case.several, case.names)
    if kind == "jacobian":
        found = _of_jacobian(found, case)
    return _Examination(case, found, cotangent).diagnosis()


@dataclass(frozen=True)
class _Case:
    """A function at arguments, flattened."""

    fun: Callable
    args: tuple
    places: tuple[int, ...]
    several: bool

    @staticmethod
    def of(fun: Callable, args: tuple, argnums: int | Sequence[int]) -> _Case:
        several = not isinstance(argnums, int)
        places = tuple(argnums) if not isinstance(argnums, int) else (argnums,)
        for place in places:
            if not -len(args) <= place < len(args):
                received = f"{place} with {len(args)} arguments"
                raise LayoutError("argnums", "places among the arguments", received, "count from 0")
        return _Case(fun, args, tuple(place % len(args) for place in places), several)

    @cached_property
    def leaves(self) -> list[Any]:
        return jax.tree.leaves(self.args)

    @cached_property
    def names(self) -> list[str]:
        return leaf_names(self.fun, self.args, range(len(self.args)))

    @cached_property
    def treedef(self) -> Any:
        return jax.tree.structure(self.args)

    @cached_property
    def wanted(self) -> list[int]:
        """The leaves that are differentiated by."""
        numbers = jax.tree.unflatten(self.treedef, range(len(self.leaves)))
        return [n for place in self.places for n in jax.tree.leaves(numbers[place])]

    def flat(self, *leaves: Any) -> Any:
        return self.fun(*jax.tree.unflatten(self.treedef, leaves))

    def flat_array(self, *leaves: Any) -> Any:
        """The output alone, of the arguments' leaves."""
        return jax.tree.leaves(self.flat(*leaves))[0]

    def unflatten(self, leaves: Sequence[Any]) -> tuple:
        return jax.tree.unflatten(self.treedef, leaves)


@dataclass
class _Trial:
    """The candidate at one input."""

    leaves: Sequence[Any]
    cotangent: Any
    right: dict[int, np.ndarray]
    given: dict[int, np.ndarray]


class _Examination:
    """Tries a candidate at several inputs, then the mistakes that it may have."""

    def __init__(self, case: _Case, candidate: Candidate, cotangent: Any):
        self.case, self.candidate = case, candidate
        self.notes: list[str] = []
        out = case.fun(*case.args)
        if len(jax.tree.leaves(out)) != 1:
            received = f"{len(jax.tree.leaves(out))} arrays"
            raise LayoutError("function", "one array as output", received, "diagnose each output")
        self.out = jnp.asarray(jax.tree.leaves(out)[0])
        self.tolerance = tolerance([*case.leaves, self.out])
        self.first = self._first_cotangent(cotangent)
        self.tried = 0
        self._tapes: list[Tape] | None = None
        self._hypotheses: list[Hypothesis] = []
        self._pages: dict[int, Page | None] = {}

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

    def diagnosis(self) -> Diagnosis:
        """The verdict on every argument."""
        trials, failure = self._trials()
        if failure is not None:
            return Diagnosis("unexplained", (failure,), tuple(self.notes), 0, len(trials))
        findings: list[Finding] = []
        verdicts = []
        for leaf in self.case.wanted:
            verdict, found = self._examine(leaf, trials)
            verdicts.append(verdict)
            findings += found
        verdict = worst(verdicts)
        if verdict != "correct":
            self._note_symmetry()
            self._note_ones(trials)
        return Diagnosis(
            verdict, tuple(findings), tuple(dict.fromkeys(self.notes)), self.tried, len(trials)
        )

    # The evidence.

    def _trials(self) -> tuple[list[_Trial], Finding | None]:
        trials: list[_Trial] = []
        count = 1 if self.candidate.fixed else 1 + PERTURBATIONS
        for number in range(count):
            leaves = self.case.leaves if number == 0 else perturbed(self.case.leaves, number)
            cotangent = self.first if number == 0 else cotangent_like(self.out, number)
            right = self._right(leaves, cotangent)
            if number and not all(np.isfinite(array).all() for array in right.values()):
                continue  # outside the function's domain
            given, failure = self._given(leaves, cotangent)
            if failure is not None:
                return trials, failure
            trials.append(_Trial(leaves, cotangent, right, given))
        if not self.candidate.fixed:
            again, failure = self._given(trials[0].leaves, trials[0].cotangent)
            for leaf, array in trials[0].given.items():
                same = again[leaf].shape == array.shape
                if failure or not same or not np.array_equal(again[leaf], array, equal_nan=True):
                    return trials, self._failed(
                        "not-deterministic", "two calls give two results", leaf
                    )
        return trials, None

    def _right(self, leaves: Sequence[Any], cotangent: Any) -> dict[int, np.ndarray]:
        """JAX's own gradient, by every leaf that has one."""
        active = [n for n, leaf in enumerate(leaves) if _is_float(leaf)]
        for leaf in self.case.wanted:
            if leaf not in active:
                jax.grad(lambda x: x)(leaves[leaf])  # JAX says what is wrong with it

        def of_active(*arrays: Any) -> Any:
            whole = list(leaves)
            for place, array in zip(active, arrays, strict=True):
                whole[place] = array
            return jax.tree.leaves(self.case.flat(*whole))[0]

        out, pull = jax.vjp(of_active, *(jnp.asarray(leaves[n]) for n in active))
        found = pull(jnp.asarray(cotangent, out.dtype))
        return {n: np.asarray(array) for n, array in zip(active, found, strict=True)}

    def _given(
        self, leaves: Sequence[Any], cotangent: Any
    ) -> tuple[dict[int, np.ndarray], Finding | None]:
        """The candidate's gradients by leaf, or why there are none."""
        wanted = self.case.wanted
        try:
            found = self.candidate.call(cotangent, *self.case.unflatten(leaves))
            arrays = [np.asarray(array) for array in jax.tree.leaves(found)]
            arrays = [array.astype(float) if array.dtype != object else array for array in arrays]
        except LayoutError as error:
            if self.candidate.text:
                raise
            return {}, self._failed(
                "raises", f"it raises {type(error).__name__}: {error}", wanted[0]
            )
        except Exception as error:  # whatever the candidate may do
            reason = f"it raises {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return {}, self._failed("raises", reason, wanted[0])
        if len(arrays) != len(wanted):
            reason = f"it returns {len(arrays)} arrays for {len(wanted)} variables"
            return {}, self._failed("wrong-shape", reason, wanted[0])
        given = dict(zip(wanted, arrays, strict=True))
        right_finite = True
        for leaf, array in given.items():
            if not np.isfinite(array).all() and right_finite:
                count = int((~np.isfinite(array)).sum())
                reason = f"{count} of {array.size} entries are not finite"
                return given, self._failed("not-finite", reason, leaf)
        return given, None

    def _failed(self, kind: str, reason: str, leaf: int) -> Finding:
        return Finding(kind, reason, "", float("inf"), self.case.names[leaf])

    # The diagnosis of one argument.

    def _examine(self, leaf: int, trials: Sequence[_Trial]) -> tuple[str, list[Finding]]:
        given = [_reshaped(trial.given[leaf], trial.right[leaf]) for trial in trials]
        right = [trial.right[leaf] for trial in trials]
        agree = [close(a, b, self.tolerance) for a, b in zip(given, right, strict=True)]
        if all(agree):
            if trials[0].given[leaf].shape != right[0].shape:
                self.notes.append(
                    f"The gradient by {self.case.names[leaf]} has the right entries in shape"
                    f" {trials[0].given[leaf].shape}; the variable's is {right[0].shape}."
                )
            return "correct", []
        if not self.candidate.fixed and self._is_kink(leaf, trials[0]):
            self.notes.append(
                f"At the given arguments the gradient by {self.case.names[leaf]} differs from JAX's,"
                " and beside them it agrees: a tie or a kink, where each is a valid subgradient."
            )
            return "correct", []
        findings = self._results(leaf, given, right, trials) or self._edits(leaf, given, trials)
        findings = findings or self._factors(leaf, given, right, trials)
        where = where_they_differ(given[0], right[0], self.tolerance)
        if not findings:
            message = "no single mistake that was tried explains it, nor two at once"
            name = self.case.names[leaf]
            lone = Finding("unexplained", message, "", float("inf"), name, where=where)
            return "unexplained", [replace(lone, inputs=len(trials))]
        return "mistake", [replace(f, where=where, inputs=len(trials)) for f in findings]

    def _is_kink(self, leaf: int, trial: _Trial) -> bool:
        """Whether the candidate is right beside the given arguments, where the truth jumps."""
        off = (
            np.abs(trial.given[leaf] - trial.right[leaf])
            if (trial.given[leaf].shape == trial.right[leaf].shape)
            else None
        )
        if off is None:
            return False
        jumped = np.zeros(off.shape, bool)
        for seed in (1, 2, 3):
            leaves = nearby(trial.leaves, seed)
            right = self._right(leaves, trial.cotangent)[leaf]
            given, failure = self._given(leaves, trial.cotangent)
            if failure is not None or not close(given[leaf], right, self.tolerance):
                return False
            scale = np.abs(right).max(initial=0) or 1.0
            jumped |= np.abs(right - trial.right[leaf]) > 1e-2 * scale
        scale = np.abs(trial.right[leaf]).max(initial=0) or 1.0
        return bool(jumped[off > self.tolerance * scale].all())

    def _results(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray], trials: Sequence[_Trial]
    ) -> list[Finding]:
        """Mistakes that the result alone shows."""

        def of_trial(number: int) -> Iterator[Result]:
            trial = trials[number]
            others = {self.case.names[n]: a for n, a in trial.right.items() if n != leaf}
            cotangent = np.asarray(trial.cotangent, float)
            pair = given[number], right[number]
            return of_result(*pair, others, self._sizes, self._divides, self.tolerance, cotangent)

        return self._of_results(leaf, len(trials), of_trial)

    def _factors(
        self, leaf: int, given: list[np.ndarray], right: list[np.ndarray], trials: Sequence[_Trial]
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

    def _arrays(self, trial: _Trial) -> dict[str, np.ndarray]:
        """The inputs, the output and the cotangent at one trial, by name."""
        floats = [
            (name, leaf)
            for name, leaf in zip(self.case.names, trial.leaves, strict=True)
            if _is_float(leaf)
        ]
        found = {name: np.asarray(leaf, float) for name, leaf in floats}
        found["the output"] = np.asarray(self.case.flat_array(*trial.leaves), float)
        return found

    def _edits(self, leaf: int, given: list[np.ndarray], trials: Sequence[_Trial]) -> list[Finding]:
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
            if found is not None and found.shape == right.shape:
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
        for guess, constant, residual in kinds.values():
            for kind, message, fix in guess.parts:
                findings.append(
                    replace(
                        self._finding(leaf, kind, message, fix, residual),
                        certain=len(kinds) == 1,
                        next_best=min(others, default=float("inf")),
                        wrong=shown,
                        right=self._right_formula(leaf),
                    )
                )
            if constant is not None:
                findings += self._of_constant(leaf, constant)
        return findings

    def _of_constant(self, leaf: int, constant: Constant) -> list[Finding]:
        found = []
        if constant.name.removeprefix("-") != "1":
            words = f"and a factor of {constant.name}"
            words += f", where {constant.meaning}" if constant.meaning else ""
            fix = f"divide by {constant.name}"
            found.append(self._finding(leaf, "constant-factor", words, fix))
        if constant.value < 0:
            found.append(self._finding(leaf, "sign", "and the sign is wrong", "change the sign"))
        return found

    def _finding(
        self, leaf: int, kind: str, message: str, fix: str, residual: float = 0.0
    ) -> Finding:
        return Finding(kind, message, fix, residual, self.case.names[leaf])

    # What mistakes are made of.

    @cached_property
    def _listing(self) -> Listing:
        return listing(self.case.flat_array, [jnp.asarray(leaf) for leaf in self.case.leaves])

    def _guesses(self, leaf: int, trials: Sequence[_Trial]) -> list[Guess]:
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

    def _page(self, leaf: int, trials: Sequence[_Trial]) -> Page | None:
        """The gradient as it is written; None where it has no formula."""
        if leaf not in self._pages:
            inputs = [(trial.leaves, trial.cotangent) for trial in trials]
            self._pages[leaf] = page_of(self._program, leaf, inputs)
        return self._pages[leaf]

    def _pairs(self, leaf: int, scored: list, trials: Sequence[_Trial]) -> list[Guess]:
        """Two mistakes at once, of those that are least far-fetched and change the result."""
        distinct: list = []
        for guess, found, _ in sorted(scored, key=lambda entry: entry[0].rank):
            if not any(close(found, other, self.tolerance) for _, other in distinct):
                distinct.append((guess, found))
        tapes = [guess for guess, _ in distinct if isinstance(guess, OnTape)][:MOST_PAIRED]
        pairs = [one.with_(other) for one, other in combinations(tapes, 2)]
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
    def _divides(self) -> bool:
        """Whether the function divides by the number of something, as a mean does."""
        for step in self._listing.steps:
            for constant in step.constants:
                if step.name in ("div", "mul") and np.size(constant) == 1 and constant is not None:
                    value = abs(float(np.asarray(constant).ravel()[0]))
                    if any(abs(value - n) < 1e-6 or abs(value * n - 1) < 1e-6 for n in self._sizes):
                        return True
        return False

    def _note_symmetry(self) -> None:
        for name, leaf in zip(self.case.names, self.case.leaves, strict=True):
            if is_symmetric(leaf):
                self.notes.append(f"{name} is symmetric: mistakes with its transpose can hide.")
        shapes = [np.shape(leaf) for leaf in self.case.leaves]
        if any(len(shape) == 2 and shape[0] == shape[1] > 1 for shape in shapes):
            self.notes.append("Square matrices let a missing transpose run: try unequal sizes.")

    def _note_ones(self, trials: Sequence[_Trial]) -> None:
        """A wrong gradient that a cotangent of ones does not show."""
        if self.candidate.fixed or not self.out.shape:
            return
        ones = np.ones(self.out.shape, self.out.dtype)
        given, failure = self._given(trials[0].leaves, ones)
        if failure is None:
            right = self._right(trials[0].leaves, ones)
            if all(close(given[n], right[n], self.tolerance) for n in self.case.wanted):
                self.notes.append("With a cotangent of ones it passes: ones hide this mistake.")


def _reshaped(given: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Axes of one entry come and go without notice; a row for a column is another layout."""
    if given.ndim == right.ndim and given.shape != right.shape:
        return given
    bare = [n for n in given.shape if n != 1] == [n for n in right.shape if n != 1]
    return given.reshape(right.shape) if bare and given.size == right.size else given


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def _of_jacobian(candidate: Candidate, case: _Case) -> Candidate:
    """A whole Jacobian as the gradients that it gives for any cotangent."""
    if not candidate.fixed:
        return candidate
    arrays = [np.asarray(a) for a in jax.tree.leaves(candidate.call(None))]
    out = np.shape(jax.tree.leaves(jax.eval_shape(case.fun, *case.args))[0])

    def call(cotangent: Any, *args: Any) -> tuple:
        return tuple(np.tensordot(np.asarray(cotangent), array, axes=len(out)) for array in arrays)

    return Candidate(call, fixed=True)
