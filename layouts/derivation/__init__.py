"""Derivations: from a function to the formula on paper, step by step."""

from layouts.derivation.derive import derive
from layouts.derivation.steps import Derivation, Step

__all__ = ["Derivation", "Step", "derive"]
