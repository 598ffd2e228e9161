"""The HTML report: one file, pictures within, that opens without a network."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from experiments.harness import Report, environment

STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --soft: #5b626c; --line: #d9dde3;
  --page: #fbfbfa; --card: #fff; --accent: #2f6fb2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a2a9b3; --line: #3a4048;
  --page: #15181c; --card: #1d2126; --accent: #7fb2ea; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 62rem; background: var(--page);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 0; font-size: 1.15rem; }
p { margin: .6rem 0; } .soft { color: var(--soft); }
section { margin-top: 2rem; padding: 1.3rem 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; }
.finding { padding-left: .9rem; border-left: 3px solid var(--accent); }
img { display: block; width: 100%; margin: 1rem 0; border-radius: 6px; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
summary { cursor: pointer; color: var(--accent); } details { margin-top: .6rem; }
a { color: var(--accent); }
"""


def page(reports: Sequence[Report], failures: dict[str, str]) -> str:
    """The whole report.

    Args:
        reports: The experiments that ran, in order.
        failures: What went wrong with each of the others, by name.

    Returns:
        An HTML document that loads nothing from outside itself.
    """
    versions = " · ".join(f"{name} {value}" for name, value in environment().items())
    body = [
        "<h1>Layouts: what was asked, what was measured</h1>",
        f'<p class="soft">{escape(versions)}</p>',
        summary(reports),
        *(section(report) for report in reports),
        *(failed(name, message) for name, message in failures.items()),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Layouts: experiments</title><style>{STYLE}</style></head>\n"
        f"<body>{''.join(body)}</body></html>\n"
    )


def summary(reports: Sequence[Report]) -> str:
    """The table of contents: each question with its finding."""
    rows = [
        (link(report.name), escape(report.result.question), escape(report.result.finding))
        for report in reports
    ]
    return f"<section>{table(('experiment', 'question', 'finding'), rows)}</section>"


def section(report: Report) -> str:
    """One experiment: question, finding, picture, table, and the claims with their figures."""
    result = report.result
    claims = [(escape(claim.text), escape(claim.measured)) for claim in result.claims]
    cells = [tuple(map(escape, row)) for row in result.grid.rows]
    return (
        f'<section id="{escape(report.name, quote=True)}"><h2>{escape(result.question)}</h2>'
        f'<p class="finding">{escape(result.finding)}</p>'
        f"{picture(report.picture, result.finding)}"
        f"{table(tuple(map(escape, result.grid.columns)), cells)}"
        f"<details><summary>{len(claims)} claims, each checked on this machine</summary>"
        f"{table(('claim', 'measured'), claims)}</details>"
        f'<p class="soft">python -m experiments.{escape(report.name)} · {report.seconds:.1f} s</p>'
        "</section>"
    )


def failed(name: str, message: str) -> str:
    """An experiment that did not run to its end."""
    return f"<section><h2>{escape(name)}: failed</h2><p>{escape(message)}</p></section>"


def picture(path: Path | None, description: str) -> str:
    """A picture as part of the document itself."""
    if path is None:
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(description, quote=True)}">'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{column}</th>" for column in columns)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def link(name: str) -> str:
    """A link to an experiment's section."""
    return f'<a href="#{escape(name, quote=True)}">{escape(name)}</a>'
