"""Derivations: from a function to the formula on paper, step by step."""

from layouts.derive.derive import derive
from layouts.derive.steps import Derivation, Step

__all__ = ["Derivation", "Step", "derive"]
