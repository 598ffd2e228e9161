"""`layouts.diagnose`: not only that a gradient is wrong, but which mistake it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from layouts.doctor.bench import Bench, Trial
from layouts.doctor.candidates import Candidate, as_candidate
from layouts.doctor.case import Case
from layouts.doctor.evidence import is_symmetric, nearby, tolerance
from layouts.doctor.misfits import at_squares, misfit
from layouts.doctor.report import Diagnosis, Finding, worst
from layouts.doctor.results import close, where_they_differ
from layouts.doctor.search import Search
from layouts.errors import LayoutError


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
    case = Case.of(fun, args, argnums)
    found = as_candidate(candidate, len(case.places), case.several, case.names, case.flat_array)
    if kind == "vjp" or not found.fixed:
        return _Examination(case, found, cotangent).whole()
    return _of_jacobian(found, case, cotangent)


class _Examination:
    """Tries a candidate at several inputs, then the mistakes that it may have."""

    def __init__(self, case: Case, candidate: Candidate, cotangent: Any, jacobian: bool = False):
        self.case, self.bench = case, Bench(case, candidate, cotangent)
        self.notes = self.bench.notes
        self.tolerance = tolerance([*case.leaves, self.bench.out])
        self.search = Search(case, (), self.bench.out, self.tolerance, jacobian)

    def whole(self) -> Diagnosis:
        """The diagnosis; where a candidate's shapes do not fit, also what it is where they do."""
        is_formula = bool(self.bench.candidate.text) and len(self.case.wanted) == 1
        try:
            found = self.diagnosis()
        except LayoutError:
            unfit = misfit(self.bench, self._elsewhere) if is_formula else None
            if unfit is None:
                raise
            return unfit
        kinds = [finding.kind for finding in found.findings]
        if is_formula and "wrong-shape" in kinds:
            return misfit(self.bench, self._elsewhere) or found
        if "raises" in kinds and not self.bench.candidate.fixed:
            other = at_squares(self.bench, self._elsewhere)
            if other is not None:
                note = f"{' '.join(other.notes)} It is {other.summary.partition(': ')[2]}."
                return replace(found, notes=(*found.notes, note))
        return found

    def _elsewhere(self, args: tuple) -> Diagnosis:
        """The diagnosis at other arguments."""
        case = replace(self.case, args=args)
        return _Examination(case, self.bench.candidate, None).diagnosis()

    def diagnosis(self) -> Diagnosis:
        """The verdict on every argument."""
        trials, failure = self.bench.trials()
        self.search.trials = trials
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
            verdict,
            tuple(findings),
            tuple(dict.fromkeys(self.notes)),
            self.search.tried,
            len(trials),
        )

    def _examine(self, leaf: int, trials: Sequence[Trial]) -> tuple[str, list[Finding]]:
        given = [_reshaped(trial.given[leaf], trial.right[leaf]) for trial in trials]
        right = [trial.right[leaf] for trial in trials]
        agree = [close(a, b, self.tolerance) for a, b in zip(given, right, strict=True)]
        if all(agree):
            return self._of_shape(leaf, trials[0].given[leaf].shape, right[0], len(trials))
        if not self.bench.candidate.fixed and self._is_kink(leaf, trials[0]):
            name = self.case.names[leaf]
            self.notes.append(
                f"At the given arguments the gradient by {name} differs from JAX's,"
                " and beside them it agrees: a tie or a kink, where each is a valid subgradient."
            )
            return "correct", []
        findings = self.search.findings(leaf, given, right)
        where = where_they_differ(given[0], right[0], self.tolerance)
        if not findings:
            message = "no single mistake that was tried explains it, nor two at once"
            name = self.case.names[leaf]
            fits = given[0].shape == right[0].shape
            kind = "unexplained" if fits else "wrong-shape"
            fix = "" if fits else f"return shape {right[0].shape}"
            lone = Finding(kind, message, fix, float("inf"), name, where=where)
            return "unexplained", [replace(lone, inputs=len(trials), certain=False)]
        return "mistake", [replace(f, where=where, inputs=len(trials)) for f in findings]

    def _of_shape(
        self, leaf: int, given: tuple[int, ...], right: np.ndarray, inputs: int
    ) -> tuple[str, list[Finding]]:
        """The right entries: right, unless they stand as a row or a column that is none."""
        name = self.case.names[leaf]
        words = f"the right entries stand in shape {given}; the variable's is {right.shape}"
        if given != right.shape and right.size > 1:
            fix = f"reshape it to {right.shape}: beside the variable it broadcasts"
            finding = Finding("transposed-layout", words, fix, 0.0, name, inputs=inputs)
            return "mistake", [finding]
        if given != right.shape:
            self.notes.append(f"The gradient by {name}: {words}.")
        return "correct", []

    def _is_kink(self, leaf: int, trial: Trial) -> bool:
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
            right = self.case.right(leaves, trial.cotangent)[leaf]
            given, failure = self.bench.given(leaves, trial.cotangent)
            if failure is not None or not close(given[leaf], right, self.tolerance):
                return False
            scale = np.abs(right).max(initial=0) or 1.0
            jumped |= np.abs(right - trial.right[leaf]) > 1e-2 * scale
        scale = np.abs(trial.right[leaf]).max(initial=0) or 1.0
        return bool(jumped[off > self.tolerance * scale].all())

    def _note_symmetry(self) -> None:
        for name, leaf in zip(self.case.names, self.case.leaves, strict=True):
            if is_symmetric(leaf):
                self.notes.append(f"{name} is symmetric: mistakes with its transpose can hide.")
        shapes = [np.shape(leaf) for leaf in self.case.leaves]
        if any(len(shape) == 2 and shape[0] == shape[1] > 1 for shape in shapes):
            self.notes.append("Square matrices let a missing transpose run: try unequal sizes.")

    def _note_ones(self, trials: Sequence[Trial]) -> None:
        """A wrong gradient that a cotangent of ones does not show."""
        if self.bench.candidate.fixed or not self.bench.out.shape:
            return
        ones = np.ones(self.bench.out.shape, self.bench.out.dtype)
        given, failure = self.bench.given(trials[0].leaves, ones)
        if failure is None:
            right = self.case.right(trials[0].leaves, ones)
            if all(close(given[n], right[n], self.tolerance) for n in self.case.wanted):
                self.notes.append("With a cotangent of ones it passes: ones hide this mistake.")


def _reshaped(given: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Axes of one entry come and go without notice; a row for a column is another layout."""
    if given.ndim == right.ndim and given.shape != right.shape:
        return given
    bare = [n for n in given.shape if n != 1] == [n for n in right.shape if n != 1]
    return given.reshape(right.shape) if bare and given.size == right.size else given


def _of_jacobian(candidate: Candidate, case: Case, cotangent: Any) -> Diagnosis:
    """A whole Jacobian, as the gradients that it gives for any cotangent."""
    out = np.shape(jax.tree.leaves(jax.eval_shape(case.fun, *case.args))[0])
    arrays, transposed = [], []
    for leaf, array in zip(case.wanted, jax.tree.leaves(candidate.call(None)), strict=False):
        array, shape = np.asarray(array), np.shape(case.leaves[leaf])
        if array.shape == (*shape, *out) != (*out, *shape):
            array = np.moveaxis(array, range(len(shape)), range(-len(shape), 0))
            transposed.append(leaf)
        if array.shape != (*out, *shape):
            expected = f"the shape {(*out, *shape)}: the output's axes, then the variable's"
            remedy = "reshape it, or see layouts.read for a matrix in some layout"
            raise LayoutError("Jacobian", expected, f"{array.shape}", remedy)
        arrays.append(array)

    def call(cotangent: Any, *args: Any) -> tuple:
        return tuple(np.tensordot(np.asarray(cotangent), array, axes=len(out)) for array in arrays)

    found = _Examination(case, Candidate(call, fixed=True), cotangent, jacobian=True).whole()
    words = "the Jacobian is transposed: the variable's axes stand before the output's"
    fix = "put the output's axes first"
    findings = [
        Finding("transposed-layout", words, fix, 0.0, case.names[leaf], inputs=found.inputs)
        for leaf in transposed
    ]
    if not findings:
        return found
    return replace(found, verdict="mistake", findings=(*findings, *found.findings))
