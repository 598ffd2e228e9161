"""Names: which expression of a function's inputs a residual is, and how formulas call it."""

from layouts.naming.arrangements import Arrangement, arrangements
from layouts.naming.lettering import Lettering
from layouts.naming.residuals import familiar, linearize_named

__all__ = ["Arrangement", "Lettering", "arrangements", "familiar", "linearize_named"]
