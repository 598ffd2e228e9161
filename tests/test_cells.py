"""The tables: words that fit, layouts that accept names, errors that list the choices."""

import pickle

import pytest

from layouts.conventions.cells import FORMS, LAYOUT_CELLS, Cells, Form, Layout
from layouts.errors import LayoutError


@pytest.mark.parametrize("name", ["numerator", "denominator", "mixed"])
def test_layout_reads_its_name(name):
    assert Layout(name) is getattr(Layout, name.upper())
    assert str(Layout(name)) == name
    assert pickle.loads(pickle.dumps(Layout(name))) is Layout(name)


@pytest.mark.parametrize("wrong", ["rows", "Numerator", "", None, 1])
def test_unknown_layout_lists_the_choices(wrong):
    with pytest.raises(LayoutError, match="'numerator', 'denominator', 'mixed'"):
        Layout(wrong)


def test_denominator_is_the_transpose_of_numerator_in_every_case():
    transposed = {
        Form.MATRIX: Form.MATRIX_TRANSPOSED,
        Form.MATRIX_TRANSPOSED: Form.MATRIX,
        Form.ARRAY: Form.ARRAY_TRANSPOSED,
        Form.ARRAY_TRANSPOSED: Form.ARRAY,
    }
    for case, words in FORMS.items():
        numerator = words[getattr(LAYOUT_CELLS[Layout.NUMERATOR], case)]
        denominator = words[getattr(LAYOUT_CELLS[Layout.DENOMINATOR], case)]
        assert denominator is transposed[numerator], case


def test_mixed_takes_gradients_from_denominator_and_the_rest_from_numerator():
    numerator, denominator, mixed = (LAYOUT_CELLS[Layout(name)] for name in Layout)
    for case in FORMS:
        side = denominator if case in ("s_by_x", "s_by_X") else numerator
        assert getattr(mixed, case) == getattr(side, case)


def test_a_word_that_its_case_does_not_have():
    with pytest.raises(LayoutError, match=r"derivative of s by X.*got 'n×m'"):
        Cells(s_by_X="n×m")


def test_a_cell_that_is_unverified_or_undefined_has_no_form():
    with pytest.raises(LayoutError, match=r"derivative of s by x.*not verified"):
        Cells().form(0, 1)
    with pytest.raises(LayoutError, match=r"derivative of Y by X.*'not defined'"):
        Cells(Y_by_X="not defined").form(2, 2)


@pytest.mark.parametrize("ndims", [(1, 2), (2, 1), (2, 2), (0, 3), (3, 0), (1, 4), (3, 2)])
def test_whatever_must_be_stacked_is_written_like_Y_by_X(ndims):
    assert Cells(Y_by_X="pq×mn").form(*ndims) is Form.MATRIX_TRANSPOSED
