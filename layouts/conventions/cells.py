"""The tables of layouts: which shape a derivative of each case is written in.

A derivative is one array with labelled axes, output and input, and people write it down in only
four ways (`Form`). A layout, a textbook or a tool is a choice of form for each case: the table
`Cells`, in the words that the sources use.

y has m entries, x has n, Y is m×n, X is p×q, s is a scalar:

=======  ===========  ===========  =======================================
case     numerator    denominator  mixed
=======  ===========  ===========  =======================================
s by s   ()           ()           ()
s by x   row, 1×n     column, n×1  column, n×1 (as the variable)
s by X   q×p          p×q          p×q (as the variable)
y by s   column, m×1  row, 1×m     column, m×1
y by x   m×n          n×m          m×n
Y by s   m×n          n×m          m×n
Y by X   mn×pq        pq×mn        mn×pq
=======  ===========  ===========  =======================================

y by X, Y by x, and arrays of more than two axes on either side are written like Y by X: each side
stacked into one index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum, StrEnum

from layouts.errors import LayoutError


class Layout(StrEnum):
    """On which side of the matrix the output's axes stand; ``Layout("numerator")`` reads a name.

    NUMERATOR has the outputs along the rows, DENOMINATOR the inputs. MIXED, as it is commonly used,
    writes Jacobians like the first and gradients of a scalar like the second.

    Example:
        >>> Layout("denominator") is Layout.DENOMINATOR
        True
    """

    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"
    MIXED = "mixed"

    @classmethod
    def _missing_(cls, value: object) -> "Layout":
        names = ", ".join(repr(str(layout)) for layout in cls)
        raise LayoutError("layout", f"one of {names}", repr(value), "pass one of these names")


class Form(Enum):
    """The four ways to write down the labelled array."""

    MATRIX = "vec(out) × vec(in)"
    MATRIX_TRANSPOSED = "vec(in) × vec(out)"
    ARRAY = "out shape + in shape"
    ARRAY_TRANSPOSED = "out shape + in shape, the order of the axes reversed"


FORMS: Mapping[str, Mapping[str, Form]] = {
    "s_by_x": {"row": Form.MATRIX, "column": Form.MATRIX_TRANSPOSED, "like x": Form.ARRAY},
    "s_by_X": {"q×p": Form.ARRAY_TRANSPOSED, "p×q": Form.ARRAY, "1×pq": Form.MATRIX},
    "y_by_s": {"column": Form.MATRIX, "row": Form.MATRIX_TRANSPOSED, "like y": Form.ARRAY},
    "y_by_x": {"m×n": Form.MATRIX, "n×m": Form.MATRIX_TRANSPOSED},
    "Y_by_s": {"m×n": Form.ARRAY, "n×m": Form.ARRAY_TRANSPOSED, "mn×1": Form.MATRIX},
    "Y_by_X": {"mn×pq": Form.MATRIX, "pq×mn": Form.MATRIX_TRANSPOSED, "out + in": Form.ARRAY},
}
"""The words that each case has, and the form that they mean."""

NO_SHAPE = ("not defined", "author's choice")
"""Words that any case may have: the source says that it fixes no shape there."""


@dataclass(frozen=True)
class Cells:
    """One table: for each case a word of `FORMS` or `NO_SHAPE`, None where nothing is verified.

    Raises:
        LayoutError: a word that its case does not have.

    Example:
        >>> Cells(s_by_x="row").s_by_X is None
        True
    """

    s_by_x: str | None = None
    s_by_X: str | None = None
    y_by_s: str | None = None
    y_by_x: str | None = None
    Y_by_s: str | None = None
    Y_by_X: str | None = None

    def __post_init__(self) -> None:
        for case in (f.name for f in fields(self)):
            word, known = getattr(self, case), [*FORMS[case], *NO_SHAPE]
            if word is not None and word not in known:
                remedy = "or None where the source was not verified"
                raise LayoutError(_in_words(case), f"one of {known}", repr(word), remedy)

    def form(self, out_ndim: int, in_ndim: int) -> Form:
        """The form of a derivative whose output and input have these numbers of axes.

        Raises:
            LayoutError: the source fixes no shape for this case, or none that was verified.

        Example:
            >>> Cells(s_by_x="row").form(0, 1)
            <Form.MATRIX: 'vec(out) × vec(in)'>
        """
        if out_ndim == in_ndim == 0:
            return Form.ARRAY
        case = _case(out_ndim, in_ndim)
        word = getattr(self, case)
        if word in FORMS[case]:
            return FORMS[case][word]
        received = "a cell that is not verified" if word is None else f"'{word}' in the source"
        remedy = "name a layout instead: Convention(layout='numerator', vec='columns')"
        raise LayoutError(_in_words(case), "a case that has a shape", received, remedy)


LAYOUT_CELLS: Mapping[Layout, Cells] = {
    Layout.NUMERATOR: Cells(
        s_by_x="row", s_by_X="q×p", y_by_s="column", y_by_x="m×n", Y_by_s="m×n", Y_by_X="mn×pq"
    ),
    Layout.DENOMINATOR: Cells(
        s_by_x="column", s_by_X="p×q", y_by_s="row", y_by_x="n×m", Y_by_s="n×m", Y_by_X="pq×mn"
    ),
    Layout.MIXED: Cells(
        s_by_x="column", s_by_X="p×q", y_by_s="column", y_by_x="m×n", Y_by_s="m×n", Y_by_X="mn×pq"
    ),
}
"""The three layouts as tables."""


def _case(out_ndim: int, in_ndim: int) -> str:
    if max(out_ndim, in_ndim) > 2 or (min(out_ndim, in_ndim), max(out_ndim, in_ndim)) == (1, 2):
        return "Y_by_X"
    return f"{'syY'[out_ndim]}_by_{'sxX'[in_ndim]}"


def _in_words(case: str) -> str:
    return "derivative of " + case.replace("_", " ")
