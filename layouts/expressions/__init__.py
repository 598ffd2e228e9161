"""Functions that come as text: a whitelist grammar, bindings such as `W=4x3`, `module:function`."""

from layouts.expressions.loading import load
from layouts.expressions.parsing import (
    FUNCTIONS,
    Expression,
    check_shapes,
    parse_binding,
    parse_expression,
)

__all__ = ["FUNCTIONS", "Expression", "check_shapes", "load", "parse_binding", "parse_expression"]
