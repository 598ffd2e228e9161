"""The doctor's rate on the backward passes of `tests.mistakes`, and what it takes for what.

python -m tests.corpus              all of them: some minutes
python -m tests.corpus --every 12   each twelfth wrong one, and each twelfth right one
python -m tests.corpus --list       and each that is not named first, with what was said
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from layouts.doctor import Diagnosis, diagnose
from tests.mistakes import Case, cases

NAMED, AMONG, UNEXPLAINED = "named", "among", "unexplained"
MISNAMED, CERTAIN = "misnamed", "misnamed as certain"
ACCUSED, PASSED = "accused", "passed"
# How a diagnosis of a wrong pass may fit, the best first.
FITS = (NAMED, AMONG, UNEXPLAINED, MISNAMED, CERTAIN, PASSED)


@dataclass(frozen=True)
class Verdict:
    """What the doctor says of a case.

    Attributes:
        case: the case.
        fit: "named" where an accepted kind comes first, "among" where it is a later candidate,
            "misnamed", "misnamed as certain", "unexplained", "passed"; of a right pass "accused"
            or "passed".
        said: the first kind that the doctor says; empty where it finds nothing wrong.
        candidates: all that it may be, in the doctor's order.
    """

    case: Case
    fit: str
    said: str
    candidates: tuple[str, ...] = ()

    def __str__(self) -> str:
        wanted, said = " or ".join(self.case.kinds), ", ".join(self.candidates) or self.said
        return f"{self.fit}: {self.case} (argument {self.case.argnum}): {wanted}; said: {said}"


def examined(case: Case, seed: int = 1) -> Verdict:
    """Diagnose a case at random arguments."""
    args = case.args(np.random.default_rng(seed))
    found = diagnose(case.forward, case.backward, *args, argnums=case.argnum)
    said = found.findings[0].kind if found.findings else ""
    if not case.kinds:
        return Verdict(case, PASSED if found.ok else ACCUSED, said)
    accepted = {kind for kinds in case.kinds for kind in kinds.split("+")}
    candidates = [" and ".join(kinds) for few in found.candidates.values() for kinds in few]
    return Verdict(case, _fit(found, accepted), said, tuple(candidates))


def _fit(found: Diagnosis, accepted: set[str]) -> str:
    kinds = [finding.kind for finding in found.findings]
    if found.verdict != "mistake":
        return PASSED if found.ok else UNEXPLAINED
    if kinds[0] in accepted:
        return NAMED
    if found.certain:
        return CERTAIN
    return AMONG if accepted & {*kinds} else MISNAMED


def _each(chosen: Sequence[Case]) -> Iterator[Verdict]:
    """The verdict on each; what JAX compiles for so many functions would fill the memory."""
    for number, case in enumerate(chosen, start=1):
        yield examined(case)
        if not number % 20:
            jax.clear_caches()


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """For each kind how its cases fit, and what else was said first."""
    by_kind: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_kind.setdefault(verdict.case.kinds[0], []).append(verdict)
    yield f"{'kind':48}" + "".join(f"{fit[:11]:>12}" for fit in FITS) + "  said instead"
    for kind, of_kind in sorted(by_kind.items()):
        counts = Counter(verdict.fit for verdict in of_kind)
        others = Counter(v.said for v in of_kind if v.fit not in (NAMED, UNEXPLAINED, PASSED))
        instead = ", ".join(f"{other} {count}" for other, count in others.most_common())
        yield f"{kind:48}" + "".join(f"{counts[fit]:12}" for fit in FITS) + f"  {instead}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rates; 1 where a right pass is accused, or a wrong name stated as certain."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each such case")
    parser.add_argument("--start", type=int, default=0, help="from which one on")
    parser.add_argument("--list", action="store_true", help="tell of each that is not named")
    asked = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    chosen = [[c for c in cases() if bool(c.kinds) is wrong] for wrong in (True, False)]
    wrong, right = ([*_each(few[asked.start :: asked.every])] for few in chosen)
    for line in table(wrong):
        print(line)
    for verdict in wrong if asked.list else ():
        if verdict.fit != NAMED:
            print(verdict)
    counts = Counter(verdict.fit for verdict in [*wrong])
    rates = ", ".join(f"{counts[fit]} {fit} ({counts[fit] / len(wrong):.1%})" for fit in FITS)
    accused = [str(verdict.case) for verdict in right if verdict.fit == ACCUSED]
    print(f"\nOf {len(wrong)} wrong passes {rates}.")
    print(f"Of {len(right)} right ones {len(accused)} accused: {', '.join(accused) or 'none'}.")
    sure = [f"{v.case} as {v.said}" for v in wrong if v.fit == CERTAIN]
    print(f"Misnamed as certain: {'; '.join(sure) or 'none'}.")
    return int(bool(accused or sure))


if __name__ == "__main__":
    sys.exit(main())
