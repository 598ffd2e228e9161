"""The doctor: which mistake a hand-written gradient has."""

from layouts.doctor.adapters import diagnose_vjp, from_torch
from layouts.doctor.diagnose import diagnose
from layouts.doctor.report import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose", "diagnose_vjp", "from_torch"]
