"""Heat maps of hand-made arrays: what is in the SVG, counted."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from layouts.show.heatmap import INFINITY, MOST_CELLS, NAN, NEGATIVE, POSITIVE, heatmap

SVG = "{http://www.w3.org/2000/svg}"


def parsed(figure):
    """The figure, its picture, and the text below; well-formed or this raises."""
    root = ElementTree.fromstring(figure)
    return root.find(f"{SVG}svg"), "".join(root.find("figcaption").itertext())


def titles(svg):
    return [rect.find(f"{SVG}title").text for rect in svg.findall(f"{SVG}rect")]


def numbers(svg):
    return [text.text for text in svg.iter(f"{SVG}text")]


def area(svg, fill):
    """How many square pixels are painted in a colour."""
    total = 0
    for rect in svg.findall(f"{SVG}rect"):
        if rect.get("fill") == fill:
            total += int(rect.get("width")) * int(rect.get("height"))
    for path in svg.findall(f"{SVG}path"):
        if path.get("fill") == fill:
            for left, top, right, bottom in re.findall(r"M(\d+) (\d+)H(\d+)V(\d+)", path.get("d")):
                total += (int(right) - int(left)) * (int(bottom) - int(top))
    return total


def test_each_kind_of_entry_has_its_own_mark():
    values = np.array([[1.5, -2.0, 0.0], [np.nan, np.inf, -np.inf], [0.0, 0.0, 3.0]])
    structure = np.ones((3, 3), bool)
    structure[2, :2] = False
    svg, text = parsed(heatmap(values, structure))
    assert titles(svg) == [
        "row 0, column 0: 1.5",
        "row 0, column 1: -2",
        "row 0, column 2: 0",
        "row 1, column 0: NaN",
        "row 1, column 1: Inf",
        "row 1, column 2: -Inf",
        "row 2, column 2: 3",
    ]
    assert numbers(svg) == ["1.5", "−2", "0", "NaN", "∞", "−∞", "3"]
    fills = [rect.get("fill") for rect in svg.findall(f"{SVG}rect")]
    assert fills == [POSITIVE, NEGATIVE, "currentColor", NAN, INFINITY, INFINITY, POSITIVE]
    assert "1 NaN, 1 +Inf, 1 −Inf among 9 entries" in text
    for key in ("negative, to −2", "positive, to 3", "zero by value", "zero by structure"):
        assert key in text


def test_what_is_not_there_has_no_key():
    _, text = parsed(heatmap(np.array([[1.0, 2.0]])))
    assert text == "positive, to 2"
    _, text = parsed(heatmap(np.zeros((2, 3))))
    assert text == "zero by value"
    svg, text = parsed(heatmap(np.zeros((2, 3)), np.zeros((2, 3), bool)))
    assert text == "zero by structure" and not titles(svg)


def test_strength_is_the_share_of_the_largest_and_centred_at_zero():
    svg, _ = parsed(heatmap(np.array([[8.0, -8.0, 4.0, -1e-9]])))
    strengths = [float(rect.get("fill-opacity")) for rect in svg.findall(f"{SVG}rect")]
    assert strengths[0] == strengths[1] == 1 > strengths[2] > strengths[3] > 0.2


@pytest.mark.parametrize(
    ("number", "text"),
    [(-1.2345e-5, "−1.2e−5"), (123456.0, "1.23e5"), (-0.08494, "−0.0849"), (-1.26e-300, "−1e−300")],
)
def test_numbers_are_short(number, text):
    svg, _ = parsed(heatmap(np.array([[number]])))
    assert numbers(svg) == [text]


def test_numbers_and_titles_give_way_in_larger_arrays():
    small, large, larger = (parsed(heatmap(np.ones(s)))[0] for s in ((16, 12), (17, 12), (40, 40)))
    assert (len(numbers(small)), len(titles(small))) == (192, 192)
    assert (len(numbers(large)), len(titles(large))) == (0, 204)
    assert (len(numbers(larger)), len(titles(larger))) == (0, 0)
    assert area(larger, POSITIVE) == 400 * 400


def test_lines_are_drawn_between_blocks():
    svg, _ = parsed(heatmap(np.ones((12, 12)), rows=(3, 4), columns=(3, 2, 2)))
    lines = [path.get("d") for path in svg.iter(f"{SVG}path") if path.get("class") == "block"]
    rows, columns = ["M0 88.0H648", "M0 176.0H648"], ["M216.0 0V264", "M432.0 0V264"]
    halves = ["M108.0 0V264", "M324.0 0V264", "M540.0 0V264"]
    assert lines == rows + columns + halves
    for shape in ((12,), (1, 12)):
        svg, _ = parsed(heatmap(np.ones((12, 8)), rows=shape, columns=(8, 1)))
        assert not [p for p in svg.iter(f"{SVG}path") if p.get("class") == "block"]


def test_large_arrays_keep_the_largest_of_each_block_with_its_sign():
    values = np.zeros((130, 256))
    values[0, 0], values[1, 1], values[129, 255] = 1.0, -5.0, 2.0
    structure = np.zeros((130, 256), bool)
    structure[0, :4] = structure[1, 1] = structure[129, 255] = structure[64, 128] = True
    svg, text = parsed(heatmap(values, structure))
    cell = 36
    assert area(svg, NEGATIVE) == area(svg, POSITIVE) == area(svg, "currentColor") == cell
    assert "33,280 entries in 64×64 cells" in text and "block of up to 3×4" in text
    assert "left out" in text and "to −5" in text and "to 2" in text
    assert "zero by value" in text and "zero by structure" in text


def test_nan_and_infinity_win_over_every_number():
    values = np.full((640, 640), 7.0)
    values[3, 3], values[4, 5], values[100, 600] = np.nan, np.inf, -np.inf
    svg, text = parsed(heatmap(values))
    assert titles(svg) == ["row 0–9, column 0–9: NaN", "row 100–109, column 600–609: -Inf"]
    assert "1 NaN, 1 +Inf, 1 −Inf among 409,600 entries" in text
    marks = {path.get("class"): path.get("d") for path in svg.iter(f"{SVG}path")}
    assert marks["NaN"].count("M") == 1 and marks["infinity"].count("M") == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (65, 3), (1, 1000), (63, 64), (129, 65)])
def test_every_cell_is_painted_once(shape):
    svg, text = parsed(heatmap(np.ones(shape)))
    width, height = (int(svg.get(side)) - 2 for side in ("width", "height"))
    assert area(svg, POSITIVE) == width * height
    assert ("left out" in text) == (max(shape) > MOST_CELLS)


def test_structure_alone():
    structure = np.eye(100, dtype=bool)
    svg, text = parsed(heatmap(None, structure))
    assert "may be nonzero" in text and "zero by structure" in text and "the structure of a" in text
    assert area(svg, "currentColor") % 36 == 0 and area(svg, "currentColor") >= 64 * 36
    small, text = parsed(heatmap(None, np.eye(3, dtype=bool)))
    assert titles(small)[1] == "row 1, column 1: may be nonzero" and not numbers(small)
    assert "left out" not in text


def test_other_dtypes():
    z = np.array([[3 + 4j, complex(np.nan, np.inf), complex(1.7e308, 1.7e308), 0]])
    svg, text = parsed(heatmap(z))
    assert numbers(svg)[0] == "5" and numbers(svg)[1] == "NaN" and "∞" not in numbers(svg)
    assert "magnitude, to 1.8e308" in text and "1 NaN among 4 entries" in text
    for dtype in (bool, np.int8, np.uint64, np.float16, np.longdouble):
        svg, _ = parsed(heatmap(np.eye(2, dtype=dtype)))
        assert numbers(svg) == ["1", "0", "0", "1"]
    svg, _ = parsed(heatmap(np.array([[np.finfo(float).max, -5e-324]])))
    assert [r.get("fill") for r in svg.findall(f"{SVG}rect")] == [POSITIVE, NEGATIVE]


def test_no_entries():
    assert "there are no entries" in heatmap(np.ones((0, 4)))
    assert "there are no entries" in heatmap(None, np.ones((4, 0), bool))
