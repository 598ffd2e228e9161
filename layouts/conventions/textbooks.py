"""Whose layout is this? The conventions of textbooks and tools, as far as they were verified.

A cell that was not verified at the source, or by running the tool, is None. Where a source has two
operators, its plain name takes the gradient for scalar functions and the Jacobian for all others,
and a second entry has the Jacobian or derivative throughout.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from layouts.conventions.cells import Cells, Layout
from layouts.conventions.convention import Convention, Vec

_LAYOUT_OF = {"m×n": Layout.NUMERATOR, "n×m": Layout.DENOMINATOR, "author's choice": Layout.MIXED}
_UNVERIFIED = Cells()
_OUT_AND_IN = Cells(
    s_by_x="like x", s_by_X="p×q", y_by_s="like y", y_by_x="m×n", Y_by_s="m×n", Y_by_X="out + in"
)
_VEC_BY_VEC = Cells(
    s_by_x="row", s_by_X="1×pq", y_by_s="column", y_by_x="m×n", Y_by_s="mn×1", Y_by_X="mn×pq"
)

# name → source, its table, its vec order
_TABLE: Mapping[str, tuple[str, Cells, Vec | None]] = {
    "wikipedia-numerator": (
        "Wikipedia, numerator layout",
        Cells(s_by_x="row", s_by_X="q×p", y_by_x="m×n", Y_by_s="m×n", Y_by_X="not defined"),
        None,
    ),
    "wikipedia-denominator": (
        "Wikipedia, denominator layout",
        Cells(s_by_x="column", s_by_X="p×q", y_by_x="n×m", Y_by_s="n×m", Y_by_X="not defined"),
        None,
    ),
    "wikipedia-mixed": (
        "Wikipedia, mixed layout",
        Cells(s_by_x="author's choice", s_by_X="p×q", y_by_x="author's choice", Y_by_s="m×n"),
        None,
    ),
    # Defined once for all cases as ∂vec F / ∂(vec X)′, so a vector by a scalar is m×1.
    "magnus-neudecker": ("Magnus & Neudecker, D", _VEC_BY_VEC, "columns"),
    # Laid out like Y and like the transpose of X, so a vector by a scalar is a column.
    "minka": (
        "Minka, Old and New Matrix Algebra",
        Cells(s_by_x="row", s_by_X="q×p", y_by_x="m×n", Y_by_s="m×n"),
        "columns",
    ),
    "matrix-cookbook": ("The Matrix Cookbook", _UNVERIFIED, "columns"),
    "parr-howard": ("Parr & Howard", _UNVERIFIED, None),
    "mit-18.s096": (
        "MIT 18.S096, gradient of a scalar",
        Cells(s_by_x="like x", s_by_X="p×q", y_by_x="m×n", Y_by_X="mn×pq"),
        "columns",
    ),
    "mit-18.s096-derivative": (
        "MIT 18.S096, derivative f′",
        Cells(s_by_x="row", y_by_x="m×n", Y_by_X="mn×pq"),
        "columns",
    ),
    "jax": ("JAX", _OUT_AND_IN, "rows"),
    "autograd": ("HIPS autograd", _OUT_AND_IN, "rows"),
    "pytorch": ("PyTorch", _UNVERIFIED, None),
    "tensorflow": ("TensorFlow, GradientTape", _UNVERIFIED, None),
    "tensorflow-batch-jacobian": (
        "TensorFlow, batch_jacobian of one sample",
        Cells(y_by_x="m×n"),
        None,
    ),
    "casadi": (
        "CasADi, gradient of a scalar",
        replace(_VEC_BY_VEC, s_by_x="column", s_by_X="p×q"),
        "columns",
    ),
    "casadi-jacobian": ("CasADi, jacobian", _VEC_BY_VEC, "columns"),
    "matlab-symbolic": (
        "MATLAB Symbolic Math Toolbox, gradient of a scalar",
        Cells(s_by_x="column", y_by_x="m×n"),
        None,
    ),
    "matlab-symbolic-jacobian": (
        "MATLAB Symbolic Math Toolbox, jacobian",
        Cells(s_by_x="row", y_by_x="m×n"),
        None,
    ),
    "matlab-dlgradient": ("MATLAB dlgradient", _UNVERIFIED, None),
    "forwarddiff": ("ForwardDiff.jl", Cells(y_by_x="m×n", Y_by_X="mn×pq"), None),
    "zygote": ("Zygote.jl, forward_jacobian", Cells(y_by_x="n×m"), None),
    "enzyme": ("Enzyme.jl", Cells(y_by_x="m×n", Y_by_X="out + in"), None),
    "stan": ("Stan", Cells(y_by_x="m×n"), None),
    "eigen": ("Eigen", Cells(y_by_x="m×n"), None),
    "r-numderiv": ("R numDeriv", _UNVERIFIED, None),
    "matrixcalculus.org": ("matrixcalculus.org", _UNVERIFIED, None),
}

TEXTBOOKS: Mapping[str, Convention] = MappingProxyType(
    {
        name: Convention(
            _LAYOUT_OF.get(cells.y_by_x or ""), vec, cells=cells, source=source, name=name
        )
        for name, (source, cells, vec) in _TABLE.items()
    }
)
"""Name of a textbook or tool → its `Convention`; ``layout`` is that of its y by x."""
