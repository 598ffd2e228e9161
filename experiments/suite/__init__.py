"""The cases of the benchmark, one module for each field that they come from."""

from experiments.suite import algebra, entries, layers, losses, networks, physics
from experiments.suite.case import Case

CASES: tuple[Case, ...] = (
    *entries.CASES,
    *algebra.CASES,
    *layers.CASES,
    *networks.CASES,
    *losses.CASES,
    *physics.CASES,
)

__all__ = ["CASES", "Case"]
