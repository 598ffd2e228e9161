"""Formulas as MathML: elements of MathML Core, well-formed, every name escaped."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings

from layouts.formulas.tree import Call, Compare, Entry, Name, Number, Product, Transpose, View
from layouts.show.mathml import mathml
from tests.formula_trees import (
    FORMULAS,
    TABLE,
    a,
    add,
    at,
    b,
    dD,
    formulas,
    hand,
    i,
    j,
    mul,
    second,
    small,
    x,
)

SPACE = "{http://www.w3.org/1998/Math/MathML}"
# The elements of MathML Core that are used, with the number of children they need.
CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "msqrt": 1}
TOKENS = {"mi", "mn", "mo", "mtext", "mspace"}
OTHERS = {"math", "mrow", "mtable", "mtr", "mtd"}
ATTRIBUTES = {"display", "form", "width", "lspace", "rspace", "style", "displaystyle"}


def parsed(formula, display="block"):
    """The element, checked against what MathML Core allows."""
    root = ElementTree.fromstring(mathml(formula, display))
    assert root.tag == SPACE + "math"
    assert root.attrib == {"display": display}
    for element in root.iter():
        tag = element.tag.removeprefix(SPACE)
        assert tag in CHILDREN.keys() | TOKENS | OTHERS
        assert {*element.attrib} <= ATTRIBUTES
        assert len(element) == CHILDREN.get(tag, 0 if tag in TOKENS else len(element))
        assert tag in TOKENS or not (element.text or "").strip()
        assert not (element.tail or "").strip()
    return root


def inside(formula):
    """What stands within the element of a line of text."""
    return mathml(formula, "inline").partition(">")[2].removesuffix("</math>")


def read(element):
    """The characters in order, invisible ones left out."""
    return "".join(element.itertext()).replace("\u2061", "")


@pytest.mark.parametrize("formula", FORMULAS, ids=[row[1] for row in TABLE])
def test_the_table_is_of_mathml_core(formula):
    for display in ("block", "inline"):
        parsed(formula, display)


def test_all_small_formulas_are_of_mathml_core():
    for formula in small():
        parsed(formula)


@given(formulas)
@settings(max_examples=200, deadline=None)
def test_any_formula_is_of_mathml_core(formula):
    parsed(formula)


@pytest.mark.parametrize(
    "formula, expected",
    [
        (Name("z1"), "<msub><mi>z</mi><mn>1</mn></msub>"),
        (Name("W_hh"), "<msub><mi>W</mi><mi>hh</mi></msub>"),
        (Name("alpha"), "<mi>α</mi>"),
        (Name("params.w"), "<mi>params.w</mi>"),
        (at(a, i, j), "<msub><mi>a</mi><mrow><mi>i</mi><mo>,</mo><mi>j</mi></mrow></msub>"),
        (mul(a, b), '<mi>a</mi><mspace width="0.17em"/><mi>b</mi>'),
        (mul(a, Number(2)), "<mi>a</mi><mo>⋅</mo><mn>2</mn>"),
        (Product("entrywise", (a, b)), "<mi>a</mi><mo>⊙</mo><mi>b</mi>"),
        (Compare("<=", a, b), "<mi>a</mi><mo>≤</mo><mi>b</mi>"),
        (Compare("<", a, b), "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
        (add((-1, a), (-1, b)), '<mo form="prefix">−</mo><mi>a</mi><mo>−</mo><mi>b</mi>'),
        (Number(0.2), "<mfrac><mn>1</mn><mn>5</mn></mfrac>"),
        (Number(float("nan")), "<mi>nan</mi>"),
        (Number(float("-inf")), '<mo form="prefix">−</mo><mi>∞</mi>'),
        (
            dD,
            "<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mrow><mi>∂</mi><mi>D</mi></mrow></mfrac>",
        ),
        (View(x, ("<", "None")),
         '<mi>x</mi><mrow><mo form="prefix">[</mo><mtext>&lt;, None</mtext>'
         '<mo form="postfix">]</mo></mrow>'),
    ],
)  # fmt: skip
def test_elements(formula, expected):
    assert inside(formula) == expected


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b", '"', "'", "]]>", "é层", ""])
def test_names_are_escaped(name):
    for formula in (Name(name), Entry(Name(name), (i,)), Call(name, (), ((name, name),))):
        root = parsed(formula)
        assert name in read(root)
        assert not list(root.iter(SPACE + "script"))


def test_what_xml_cannot_hold_is_replaced():
    assert read(parsed(Name("a\x00\x1b\ud800\uffff"))) == "a" + "\ufffd" * 4


def test_numbers_one_by_one_are_a_table():
    rows = Call("array", (Call("array", (a, mul(a, b))), Call("array", (Number(0), b))))
    table = next(parsed(rows).iter(SPACE + "mtable"))
    assert [[read(cell) for cell in row] for row in table] == [["a", "ab"], ["0", "b"]]
    (column,) = parsed(Call("array", (a, b))).iter(SPACE + "mtable")
    assert [[read(cell) for cell in row] for row in column] == [["a"], ["b"]]


def test_an_equation_of_its_own_has_a_row_for_each_side():
    table = parsed(hand).find(SPACE + "mtable")
    cells = [[read(cell) for cell in row] for row in table]
    first, *others = [read(parsed(side)) for side in hand.sides]
    assert cells == [[first, "=" + others[0]], ["", "=" + others[1]]]
    assert parsed(hand, "inline").find(SPACE + "mtable") is None


def test_parentheses_enclose_one_row():
    power = parsed(Transpose(mul(a, b)))[0]
    assert [read(part) for part in power] == ["(ab)", "⊤"]


def test_a_second_derivative_is_one_fraction():
    above, below = parsed(second)[0]
    assert (read(above), read(below)) == ("∂2L", "∂Xk,l∂Wi,j")
