"""Of all explanations that give a candidate's numbers: which comes first, and how sure it is.

All of them are right about the numbers, so the numbers do not tell which it is. The least
far-fetched comes first. It is stated as certain where no mistake of another kind explains the
candidate, and where its kind is the only name that people have for what was done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from layouts.doctor.guesses import Part
from layouts.doctor.report import Finding

# Candidates that a diagnosis lists at the most, and how much more far-fetched they may be than the
# first: a reader is not helped by what nobody would do.
MOST_LISTED = 5
MARGIN = 2
# Other names that people have for the same slip, from which rank on. A statistic held constant is a
# path left out; a sum over all entries is one over a wrong axis; a number such as 1/n is a mean; a
# square matrix read by columns is transposed; a Jacobian that moves entries and is not transposed
# is a permutation that is not inverted.
NEAR: dict[str, dict[str, int]] = {
    "treated-as-constant": {"missing-path": 0},
    "missing-path": {"treated-as-constant": 3},
    "flattened-batch": {"wrong-axis": 0},
    "mean-for-sum": {"constant-factor": 0},
    "overwritten-duplicates": {"missing-sum": 0, "missing-path": 4},
    "vec-order": {"operand-not-transposed": 2, "permutation-not-inverted": 2},
    "extra-factor": {"missing-factor": 3, "wrong-point": 3},
    "missing-factor": {"wrong-point": 4},
    "operand-not-transposed": {"order-swapped": 5, "permutation-not-inverted": 5},
    "permutation-not-inverted": {"operand-not-transposed": 5},
    "order-swapped": {"permutation-not-inverted": 3, "wrong-argument": 3},
    "value-for-derivative": {"wrong-point": 3},
    "wrong-point": {"missing-factor": 4, "value-for-derivative": 4},
}


@dataclass(frozen=True)
class Explanation:
    """One mistake, or several at once, that give the candidate's numbers at every input.

    Attributes:
        parts: kind, message and correction of each.
        rank: how far-fetched they are together.
        residual: by how much they miss.
        formula: what is computed; empty where there is none.
        sure: whether it is beyond doubt if no other explains the candidate; two mistakes that were
            put together to fit are not.
    """

    parts: tuple[Part, ...]
    rank: int
    residual: float = 0.0
    formula: str = ""
    sure: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its mistakes, each once, in alphabetical order."""
        return tuple(sorted({kind for kind, _, _ in self.parts}))


def listed(explanations: Sequence[Explanation]) -> list[Explanation]:
    """The least far-fetched of each kind, and the other names that people have for the same."""
    found = sorted(explanations, key=lambda e: (e.rank, len(e.parts)))
    near = [e for e in found if e.rank <= found[0].rank + MARGIN]
    kept: dict[tuple[str, ...], Explanation] = {}
    for explanation in [*near, *(other for e in near for other in _called_otherwise(e))]:
        kept.setdefault(explanation.kinds, explanation)
    return sorted(kept.values(), key=lambda e: e.rank)[:MOST_LISTED]


def _called_otherwise(explanation: Explanation) -> Iterator[Explanation]:
    """The same slip under its other names, where it has some."""
    parts, rank = explanation.parts, explanation.rank
    if len(parts) == 2 and len(explanation.kinds) == 1 and not explanation.sure:
        part = ("order-swapped", "two things stand in each other's place", parts[0][2])
        yield replace(explanation, parts=(part,), rank=rank + 1)
    for number, (kind, _, fix) in enumerate(parts):
        for other, least in NEAR.get(kind, {}).items():
            if rank >= least and other not in explanation.kinds:
                part = (other, "another name for the same", fix)
                renamed = (*parts[:number], part, *parts[number + 1 :])
                yield replace(explanation, parts=renamed, rank=rank + 1)


def findings_of(
    explanations: Sequence[Explanation], argument: str, right: str, next_best: float
) -> list[Finding]:
    """Findings, the best first.

    Args:
        explanations: those that give the candidate's numbers.
        argument: which argument's gradient it is.
        right: the right formula.
        next_best: by how much the nearest mistake of another kind misses.
    """
    chosen = listed(explanations)
    certain = len(chosen) == 1 and chosen[0].sure
    # All of them give the same numbers, so the formula of one is that of all.
    plainest = sorted(explanations, key=lambda e: e.rank)
    wrong = next((e.formula for e in plainest if e.formula), "")
    return [
        Finding(
            kind,
            message,
            fix,
            explanation.residual,
            argument,
            wrong=explanation.formula or wrong,
            right=right,
            next_best=next_best,
            certain=certain,
            alternative=number,
        )
        for number, explanation in enumerate(chosen, start=0 if certain else 1)
        for kind, message, fix in dict.fromkeys(explanation.parts)
    ]
