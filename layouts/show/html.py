"""Small blocks of HTML that notebooks and pages are built from: no script, no network.

Text becomes HTML by escaping, and only `Markup` is taken as it is, so that a name such as
`<script>` cannot do harm wherever it is put. Colours come from the page around: text and lines are
drawn in its own, so that light and dark themes both work.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape as _escape

# What XML has no way to write, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

STYLE = """
.layouts{color:inherit;font:14px/1.45 system-ui,sans-serif;margin:.3em 0;max-width:62em}
.layouts h4{font-size:1em;font-weight:600;margin:.9em 0 .3em}
.layouts p{margin:.25em 0}
.layouts .muted{opacity:.72;font-size:.9em}
.layouts .alarm{font-weight:600}
.layouts code,.layouts pre{font:13px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;
 color:inherit;background:none;padding:0;border:0}
.layouts pre{overflow-x:auto;margin:.3em 0}
.layouts .formula{overflow-x:auto;white-space:pre;padding:.3em .7em;margin:.3em 0;
 border-left:3px solid #3578c0;background:rgba(128,128,128,.1)}
.layouts .scroll{overflow-x:auto}
.layouts table{border-collapse:collapse;color:inherit;background:none;font-size:1em;margin:.2em 0}
.layouts th,.layouts td{text-align:left;vertical-align:top;padding:.15em 1em .15em 0;border:0;
 background:none;color:inherit}
.layouts thead th{font-weight:600;border-bottom:1px solid rgba(128,128,128,.6)}
.layouts tbody th{font-weight:400}
.layouts tbody tr{background:none}
.layouts td.number,.layouts th.number{text-align:right;font-variant-numeric:tabular-nums}
.layouts .bar{display:block;height:3px;margin-left:auto;background:#3578c0}
.layouts summary{cursor:pointer}
.layouts figure{margin:.3em 0;padding:0}
.layouts figure svg{max-width:100%;height:auto;display:block}
.layouts figcaption{font-size:.9em;margin:.3em 0;text-align:left;color:inherit}
.layouts figcaption svg{display:inline-block;vertical-align:-2px;margin:0 .3em 0 0}
.layouts .key{display:inline-block;margin-right:1.1em;white-space:nowrap}
"""


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Text as HTML shows it; `Markup` as it is.

    Characters that no HTML or XML may hold are shown as U+FFFD.

    Example:
        >>> escape("<script>"), escape(Markup("<b>"))
        ('&lt;script&gt;', '<b>')
    """
    if isinstance(text, Markup):
        return text
    return Markup(_escape(_FORBIDDEN.sub("\ufffd", str(text)), quote=True))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; children and attribute values are escaped.

    Args:
        name: of the element.
        children: text, or `Markup`; an element without any is closed at once where SVG is.
        attributes: by name; a trailing underscore is dropped and others become hyphens, None leaves
            the attribute out.

    Example:
        >>> tag("td", "a < b", class_="number")
        '<td class="number">a &lt; b</td>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other, each escaped."""
    return Markup(between.join(map(escape, parts)))


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()
) -> Markup:
    """A table; the first cell of a row is its heading.

    Args:
        head: the headings of the columns.
        rows: the cells.
        numbers: the columns that are set to the right.

    Example:
        >>> table(["n"], [[1]]).count("<tr>")
        2
    """
    right = set(numbers)

    def cells(kinds: str, row: Sequence[object]) -> Markup:
        css = ("number" if place in right else None for place in range(len(row)))
        found = zip(row, css, strict=True)
        made = [tag("th" if n == 0 else kinds, c, class_=k) for n, (c, k) in enumerate(found)]
        return tag("tr", *made)

    body = tag("tbody", *(cells("td", row) for row in rows))
    whole = tag("table", tag("thead", cells("th", head)), body)
    return tag("div", whole, class_="scroll")


def section(title: str, *children: object) -> Markup:
    """A heading and what is under it."""
    return tag("div", tag("h4", title), *children)


def folded(title: str, *children: object) -> Markup:
    """What a click on its title shows."""
    return tag("details", tag("summary", title), *children)


def code(text: object) -> Markup:
    """Text in the type of a program."""
    return tag("code", text)


def formula(text: object) -> Markup:
    """A formula on a line of its own, which scrolls where it is long."""
    return tag("div", code(text), class_="formula")


def times(shape: Iterable[int]) -> str:
    """A shape in words: `4×3`, `scalar`."""
    return "×".join(map(str, shape)) or "scalar"


def fragment(*children: object) -> Markup:
    """A whole result, with the style that it needs: what a notebook shows."""
    return tag("div", tag("style", Markup(STYLE)), *children, class_="layouts")


def page(title: str, *fragments: object) -> Markup:
    """A document that stands alone, in the theme that the reader's system has.

    Example:
        >>> page("a & b").startswith("<!DOCTYPE html>"), "a &amp; b" in page("a & b")
        (True, True)
    """
    style = ":root{color-scheme:light dark}body{margin:1.5em;background:Canvas;color:CanvasText}"
    head = tag(
        "head",
        Markup('<meta charset="utf-8"/>'),
        Markup('<meta name="viewport" content="width=device-width"/>'),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return Markup("<!DOCTYPE html>\n" + tag("html", head, tag("body", *fragments), lang="en"))


class Shown:
    """How notebooks show a result: its `html`, its `latex` where there is one, its `str`.

    Example:
        >>> class Result(Shown):
        ...     def html(self):
        ...         return fragment("x < 1")
        ...
        ...     def __str__(self):
        ...         return "x < 1"
        >>> sorted(Result()._repr_mimebundle_())
        ['text/html', 'text/plain']
    """

    def html(self) -> str:
        """The result as a fragment of HTML that stands alone: no script, nothing fetched."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str | None:
        """The formula between dollar signs, for a result that has a method `latex`."""
        latex = getattr(self, "latex", None)
        return None if latex is None else f"$\\displaystyle {latex()}$"

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        """Each form by its MIME type; those not wanted are not made."""
        makers = {
            "text/plain": self.__str__,
            "text/html": self._repr_html_,
            "text/latex": self._repr_latex_,
        }
        wanted = set(makers if include is None else include) - set(exclude or ())
        found = {kind: make() for kind, make in makers.items() if kind in wanted}
        return {kind: text for kind, text in found.items() if text is not None}
