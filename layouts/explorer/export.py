"""The page as one file that opens anywhere, with nothing else at hand.

The style stands in it, the modules as `data:` addresses in an import map, and what the page shows
as JSON in the element `data`, which the page reads instead of asking a server. The file's own
policy lets nothing be fetched, and no script run but two, by their hashes, and what they start.
"""

import base64
import hashlib
import json
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from layouts.show.html import escape

STATIC = Path(__file__).parent / "static"
# How a module is called in an import map; `./` would be relative to its `data:` address.
PREFIX = "layouts/"
START = "boot.js"
STYLESHEET = '<link rel="stylesheet" href="style.css">'
SCRIPT = f'<script type="module" src="{START}"></script>'
PRELOAD = re.compile('<link rel="modulepreload" href="[a-z]+[.]js">\n')
CHARSET = '<meta charset="utf-8">'
# 'strict-dynamic' trusts the elements that a trusted script makes, and what they import.
BOOT = f"""
const map = JSON.parse(document.querySelector("script[type=importmap]").textContent);
const first = document.createElement("script");
first.type = "module";
first.src = map.imports["{PREFIX}{START}"];
document.head.append(first);
"""
_IMPORTED = re.compile(r'(\bfrom\s*|\bimport\s*\(?\s*)"\./([\w.-]+\.js)"')


def document(data: dict[str, Any], title: str | None = None) -> str:
    """The page that shows given data, as one HTML file.

    Args:
        data: what the page finds in its element `data`; plain values for JSON.
        title: of the document; the page's own unless given.

    Example:
        >>> text = document({"formula": "a < b"})
        >>> '{"formula":"a \\\\u003c b"}' in text
        True
        >>> "src=" in text
        False
    """
    page, style, script, modules = _parts()
    policy = "; ".join(
        (
            "default-src 'none'",
            # A browser that knows 'strict-dynamic' ignores data: itself.
            f"script-src {_hash(modules)} {_hash(script)} 'strict-dynamic' data:",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    scripts = (
        f'<script type="application/json" id="data">{_json(data)}</script>\n'
        f'<script type="importmap">{modules}</script>\n<script>{script}</script>'
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = _replaced(page, CHARSET, f"{CHARSET}\n{meta}")
    page = _replaced(page, STYLESHEET, f"<style>{style}</style>")
    page = _replaced(page, SCRIPT, "")
    page = _replaced(page, "</body>", f"{scripts}\n</body>")
    if title is not None:
        heading = f"<title>{escape(title)}</title>"
        page = re.sub(r"<title>.*?</title>", lambda _: heading, page, count=1)
    return page


def modules() -> dict[str, str]:
    """The page's modules by name, each behind those that it imports.

    Raises:
        RuntimeError: two import each other.
    """
    texts = {path.name: path.read_text("utf-8") for path in sorted(STATIC.glob("*.js"))}
    imported = {
        name: [module for _, module in _IMPORTED.findall(text)] for name, text in texts.items()
    }
    try:
        return {name: texts[name] for name in TopologicalSorter(imported).static_order()}
    except CycleError as error:
        raise RuntimeError(f"modules that import each other: {error.args[1]}") from error


def _parts() -> tuple[str, str, str, str]:
    """The page, its style, the script that starts it, and the import map of its modules."""
    found = {}
    for name, text in modules().items():
        coded = base64.b64encode(_IMPORTED.sub(rf'\1"{PREFIX}\2"', text).encode()).decode()
        found[f"{PREFIX}{name}"] = f"data:text/javascript;charset=utf-8;base64,{coded}"
    page = PRELOAD.sub("", (STATIC / "index.html").read_text("utf-8"))
    style = (STATIC / "style.css").read_text("utf-8")
    return page, style, BOOT, json.dumps({"imports": found})


def _json(data: dict[str, Any]) -> str:
    """JSON that ends no element: inside a script, `<` is the one sign that could."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """The source expression of a policy for an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _replaced(page: str, old: str, new: str) -> str:
    if page.count(old) != 1:
        raise RuntimeError(f"index.html has to have {old} once")
    return page.replace(old, new)
