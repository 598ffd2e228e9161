"""Formulas whose shapes do not fit: `dD @ X` for `dD @ X.T`, which runs for square matrices alone.

Such a formula has no value that could be compared. So it is mended: matrices are turned and the
factors of its products put in other orders until it has one. What gives the true gradient at
several inputs tells what the mistake is. Where no mending does, for there is another slip besides,
the formula is diagnosed at arguments whose axes are all of one size, where it does run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, count, islice, permutations
from typing import Any

from layouts.doctor.bench import Bench
from layouts.doctor.candidates import of_formula
from layouts.doctor.changes import text
from layouts.doctor.evidence import squared, tolerance
from layouts.doctor.report import Diagnosis, Finding
from layouts.doctor.results import close
from layouts.errors import LayoutError
from layouts.formulas.parsing import parse
from layouts.formulas.tree import Derivative, Formula, Inverse, Name, Product, Transpose

# So many matrices are turned at once, in products of so many factors, in all so many ways.
MOST_TURNED = 2
MOST_FACTORS = 4
MOST_WAYS = 1_000
# The size of all axes where a formula has to run that runs for square matrices alone.
SQUARE = 5

Slip = tuple[str, str]
# Diagnoses the formula at other arguments.
Examine = Callable[[tuple], Diagnosis]


def misfit(bench: Bench, examine: Examine) -> Diagnosis | None:
    """Diagnose a formula that has no value, or one of a wrong shape, at the arguments' shapes.

    Args:
        bench: the function at its arguments, differentiated by one of them, and a formula.
        examine: diagnoses the formula at other arguments.

    Returns:
        The mistakes; None where none is found.
    """
    return _mending(bench) or at_squares(bench, examine)


def _mending(bench: Bench) -> Diagnosis | None:
    """The mistake whose mending gives the true gradient."""
    case, written = bench.case, bench.candidate.text
    inputs, formula = list(bench.inputs()), parse(bench.candidate.text)
    (wanted,) = case.wanted
    precision = tolerance([*case.leaves, bench.out])
    for tried, (mended, slips) in enumerate(islice(_mended(formula), MOST_WAYS), start=1):
        call = of_formula(mended, case.names, case.flat_array)

        def gives(leaves: Sequence[Any], cotangent: Any, right: Any, call: Any = call) -> bool:
            try:
                (value,) = call(cotangent, *case.unflatten(leaves))
            except LayoutError:
                return False
            return close(value, right[wanted], precision)

        if all(gives(*point) for point in inputs):
            shown, name = text(mended), case.names[wanted]
            findings = tuple(
                Finding(
                    kind,
                    f"{words}, so that the shapes do not fit",
                    f"write {shown}",
                    0.0,
                    name,
                    wrong=written,
                    right=shown,
                    inputs=len(inputs),
                )
                for kind, words in slips
            )
            return Diagnosis("mistake", findings, (), tried, len(inputs))
    return None


def at_squares(bench: Bench, examine: Examine) -> Diagnosis | None:
    """What is wrong with a candidate where all axes are of one size; None where nothing is found.

    Args:
        bench: the function at its arguments, and the candidate.
        examine: diagnoses it at other arguments.
    """
    args = bench.case.unflatten(squared(bench.case.leaves, SQUARE))
    try:
        found = examine(args)
    except Exception:  # the function itself needs other sizes
        return None
    if found.verdict != "mistake":
        return None
    where, wrong = "the shapes do not fit", bench.candidate.text
    findings = [replace(finding, where=where, wrong=wrong) for finding in found.findings]
    note = f"Where all axes have {SQUARE} entries the shapes fit: there the mistake was found."
    return replace(found, findings=tuple(findings), notes=(note,))


def _mended(formula: Formula) -> Iterator[tuple[Formula, Sequence[Slip]]]:
    """A formula with its slips mended, the fewest first."""
    for swapped, order in sorted(_ordered(formula), key=lambda pair: len(pair[1])):
        arrays = [part for part in _outermost(swapped) if _is_array(part)]
        for size in range(MOST_TURNED + 1):
            for places in combinations(range(len(arrays)), size):
                slips = [
                    *order,
                    *(("operand-not-transposed", _words(arrays[place])) for place in places),
                ]
                if slips:
                    yield _turned_at(swapped, places), slips


def _ordered(formula: Formula) -> Iterator[tuple[Formula, Sequence[Slip]]]:
    """The formula, and that with the factors of one product in each other order."""
    yield formula, ()
    for part in dict.fromkeys(formula.walk()):
        match part:
            case Product("entrywise", factors):
                words = f"{text(part)} is a product entry by entry, where one of matrices belongs"
                multiplied = formula.replaced({part: Product("matrix", factors)})
                yield multiplied, [("missing-sum", words)]
            case Inverse(array):
                words = f"the inverse of {text(array)} stands where its transpose belongs"
                turned = formula.replaced({part: Transpose(array)})
                yield turned, [("inverse-for-transpose", words)]
            case Product("matrix", factors) if len(factors) <= MOST_FACTORS:
                for others in islice(permutations(factors), 1, None):
                    words = f"the factors of {text(part)} stand in the wrong order"
                    swapped = formula.replaced({part: Product("matrix", others)})
                    yield swapped, [("order-swapped", words)]


def _outermost(formula: Formula) -> Iterator[Formula]:
    """Every part, but those of an array."""
    yield formula
    if not _is_array(formula):
        for part in formula.parts:
            yield from _outermost(part)


def _is_array(part: Formula) -> bool:
    """Whether it is a name, an ∂L/∂D, or one of these turned."""
    return isinstance(part.of if isinstance(part, Transpose) else part, Name | Derivative)


def _turned_at(formula: Formula, places: Sequence[int]) -> Formula:
    """Some of the arrays turned, by their places among them."""
    counter = count()

    def visit(part: Formula) -> Formula:
        if not _is_array(part):
            return part.rebuilt(visit)
        if next(counter) not in places:
            return part
        return part.of if isinstance(part, Transpose) else Transpose(part)

    return visit(formula)


def _words(array: Formula) -> str:
    if isinstance(array, Transpose):
        return f"{text(array.of)} is transposed"
    return f"{text(array)} is not transposed"
